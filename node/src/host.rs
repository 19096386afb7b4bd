//! Which machine this node last appended on.
//!
//! A data folder that wakes up on another machine may be one of two copies: an image that was restored,
//! or a failover while the first machine still runs. Nothing on the disk can tell, so the node then waits
//! for more of the other members than usual before it appends (DESIGN: Appending). A machine without
//! an id (many containers) is not told apart from any other.

use std::io::Write as _;
use std::path::PathBuf;
use tracing::warn;

/// Where systems keep the id of an installation.
const MACHINE_ID: &str = "/etc/machine-id";

/// This machine, and the file that remembers the last one.
pub struct Host {
    file: PathBuf,
    id: String,
}

impl Host {
    /// This machine; `None` if it has no id.
    #[must_use]
    pub fn find(file: PathBuf) -> Option<Self> {
        let id = std::fs::read_to_string(MACHINE_ID).ok()?.trim().to_owned();
        (!id.is_empty()).then_some(Self { file, id })
    }

    /// Whether the data folder was last used on another machine.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        std::fs::read_to_string(&self.file).is_ok_and(|last| last.trim() != self.id)
    }

    /// From now on this machine is the known one.
    pub fn remember(&self) {
        if std::fs::read_to_string(&self.file).is_ok_and(|last| last.trim() == self.id) {
            return;
        }
        // Whole or not at all: a file that a power cut left empty would look like another machine.
        let beside = self.file.with_extension("part");
        let write = || {
            let mut file = std::fs::File::create(&beside)?;
            writeln!(file, "{}", self.id)?;
            file.sync_all()?;
            std::fs::rename(&beside, &self.file)
        };
        if let Err(error) = write() {
            warn!(%error, "the machine's id could not be remembered");
        }
    }
}
