//! `data/webhooks/NAME.at`: how far a hook is; `NAME.dead`: deliveries that were given up, one JSON object a line.
//!
//! Whoever can write the first can make a hook repeat or pass over changes. Losing it begins from now on.

use crate::changes::ChangeCursor;
use crate::rosters::write_whole;
use anyhow::Context as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The files of one hook.
#[derive(Debug, Clone)]
pub(super) struct HookFiles {
    position: PathBuf,
    dead: PathBuf,
}

impl HookFiles {
    /// Of this hook; makes the folder.
    pub(super) fn of(data_dir: &Path, name: &str) -> anyhow::Result<Self> {
        let folder = data_dir.join("webhooks");
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        // A name may hold a dot: what follows it must not be taken for an ending.
        Ok(Self { position: folder.join(format!("{name}.at")), dead: folder.join(format!("{name}.dead")) })
    }

    /// How far the hook is; none if it never was.
    pub(super) fn position(&self) -> anyhow::Result<Option<ChangeCursor>> {
        let shown = || self.position.display().to_string();
        match std::fs::read_to_string(&self.position) {
            Ok(text) => {
                let cursor = ChangeCursor::parse(text.trim()).context("not a cursor").with_context(shown)?;
                Ok(Some(cursor))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(shown),
        }
    }

    /// Keeps how far the hook is, synced.
    pub(super) fn keep_position(&self, at: ChangeCursor) -> anyhow::Result<()> {
        write_whole(&self.position, format!("{}\n", at.encode()).as_bytes())
    }

    /// Adds a delivery that was given up, synced.
    pub(super) fn add_dead(&self, line: &str) -> anyhow::Result<()> {
        let write = || -> std::io::Result<()> {
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&self.dead)?;
            writeln!(file, "{line}")?;
            file.sync_all()
        };
        write().with_context(|| self.dead.display().to_string())
    }

    /// How many deliveries were given up.
    pub(super) fn dead_count(&self) -> anyhow::Result<u64> {
        match std::fs::read(&self.dead) {
            Ok(bytes) => Ok(bytes.iter().filter(|byte| **byte == b'\n').count() as u64),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error).with_context(|| self.dead.display().to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_back_and_damage_is_told() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let files = HookFiles::of(dir.path(), "a.b").expect("made");
        assert_eq!(files.position().expect("readable"), None);
        let at = ChangeCursor { epoch: 7, sequence: 12 };
        files.keep_position(at).expect("written");
        assert_eq!(files.position().expect("readable"), Some(at));
        assert_eq!(HookFiles::of(dir.path(), "a").expect("made").position().expect("readable"), None);
        files.add_dead("{}").expect("written");
        files.add_dead("{}").expect("written");
        assert_eq!(files.dead_count().expect("readable"), 2);
        std::fs::write(dir.path().join("webhooks/a.b.at"), "12").expect("written");
        assert!(files.position().is_err());
    }
}
