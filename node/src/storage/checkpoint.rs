//! Copies of the database as a whole: taken while it is written to, and opened without changing a byte.

use super::error::StoreError;
use super::{FAMILIES, Store, check_families, options};
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{Cache, DB};
use std::path::Path;

impl Store {
    /// Makes a consistent copy of the database as it is now, in a folder that must not exist: of hard links where the
    /// file system allows it. Everything that was acknowledged before the call is in it.
    ///
    /// # Errors
    /// RocksDB's own.
    pub fn checkpoint(&self, dir: &Path) -> Result<(), StoreError> {
        Ok(Checkpoint::new(&self.db)?.create_checkpoint(dir)?)
    }

    /// Opens a database for reading and changes nothing in its folder; RocksDB's own log goes to `scratch`.
    /// Whatever writes to it fails.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_read_only(dir: &Path, scratch: &Path) -> Result<Self, StoreError> {
        Self::load(open_read_only(dir, scratch)?)
    }
}

/// The database alone, as it is.
pub(super) fn open_read_only(dir: &Path, scratch: &Path) -> Result<DB, StoreError> {
    if !dir.join(super::MARKER).exists() {
        return Err(StoreError::Missing { dir: dir.to_owned() });
    }
    check_families(dir)?;
    let cache = Cache::new_lru_cache(options::BLOCK_CACHE_BYTES);
    let families = FAMILIES.map(|(name, shape)| options::family(name, shape, &cache));
    let mut database = options::database(false);
    database.create_missing_column_families(false);
    database.set_db_log_dir(scratch);
    DB::open_cf_descriptors_read_only(&database, dir, families, false)
        .map_err(|error| super::opening(dir, error))
}
