//! Compaction on demand: everything is rewritten once, without what was overwritten or removed.
//!
//! RocksDB compacts by itself while it runs. This is for an operator, or a measurement, that wants the smallest
//! files now.

use super::error::StoreError;
use super::{FAMILIES, Store};

impl Store {
    /// Writes out what is in memory and rewrites every column family. Takes as long as reading and writing
    /// all of it; readers and the writer go on meanwhile.
    ///
    /// # Errors
    /// RocksDB's own.
    pub fn compact(&self) -> Result<(), StoreError> {
        for (name, _) in FAMILIES {
            let family = self.family(name);
            self.db.flush_cf(family)?;
            self.db.compact_range_cf(family, None::<&[u8]>, None::<&[u8]>);
        }
        Ok(())
    }
}
