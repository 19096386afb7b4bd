//! `data/restored`: the mark of a data folder that came from a backup.
//!
//! `hashpact-node restore` writes it. As long as it is there, the node shows no payload to anybody, for some may have
//! been erased since the backup was taken; the loop removes it when the node has caught up with enough peers. Somebody
//! who removes it by hand makes the node show what it must not.

use hashpact_protocol::api::time::rfc3339;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use tracing::{info, warn};

/// The mark.
#[derive(Debug, Clone)]
pub struct Restored {
    file: PathBuf,
    said: Said,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Said {
    /// When the backup was taken.
    taken: String,
    /// When it was put back.
    restored: String,
}

impl Restored {
    /// The mark, if there is one.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn find(file: &Path) -> io::Result<Option<Self>> {
        let bytes = match std::fs::read(file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        // A mark that makes no sense is a mark.
        let unknown = || Said { taken: "an unknown time".to_owned(), restored: String::new() };
        let said = serde_json::from_slice(&bytes).unwrap_or_else(|_| unknown());
        Ok(Some(Self { file: file.to_owned(), said }))
    }

    /// Writes the mark, synced.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn mark(file: &Path, taken: &str, now_ms: u64) -> io::Result<()> {
        let said = Said { taken: taken.to_owned(), restored: rfc3339(now_ms) };
        std::fs::write(file, serde_json::to_vec(&said)?)?;
        std::fs::File::open(file)?.sync_all()
    }

    /// When the backup was taken.
    #[must_use]
    pub fn taken(&self) -> &str {
        &self.said.taken
    }

    /// The node has caught up: what members erased since is known here.
    pub(crate) fn clear(self) {
        match std::fs::remove_file(&self.file) {
            Ok(()) => info!(taken = self.said.taken, "caught up after the restore; payloads are shown again"),
            // Then the next start waits once more.
            Err(error) => warn!(%error, "the mark of the restore could not be removed"),
        }
    }
}
