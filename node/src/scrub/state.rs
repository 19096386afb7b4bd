//! `data/scrub`: where the scrub stands, so that a restart does not begin again.
//!
//! One JSON object. Derived: a file that is missing or makes no sense begins a new pass.

use hashpact_protocol::digest::LogId;
use serde::{Deserialize, Serialize};
use std::io::Write as _;
use std::path::Path;

/// What is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct State {
    /// The log being read, and the entries of it that were found whole.
    pub(super) place: Option<(LogId, u64)>,
    /// Passes that came to their end.
    pub(super) passes: u64,
    /// Bytes read, in all.
    pub(super) bytes: u64,
    /// When a pass last ended without a finding, in milliseconds since 1970.
    pub(super) whole_ms: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    log: Option<String>,
    index: u64,
    passes: u64,
    bytes: u64,
    whole_ms: Option<u64>,
}

impl State {
    pub(super) fn load(path: &Path) -> Self {
        let text = std::fs::read(path).unwrap_or_default();
        let Ok(file) = serde_json::from_slice::<File>(&text) else { return Self::default() };
        let log = file.log.and_then(|log| LogId::from_hex(&log).ok());
        let place = log.map(|log| (log, file.index));
        Self { place, passes: file.passes, bytes: file.bytes, whole_ms: file.whole_ms }
    }

    pub(super) fn save(&self, path: &Path) -> std::io::Result<()> {
        let file = File {
            log: self.place.map(|(log, _)| log.to_hex()),
            index: self.place.map_or(0, |(_, index)| index),
            passes: self.passes,
            bytes: self.bytes,
            whole_ms: self.whole_ms,
        };
        let beside = path.with_extension("part");
        let mut out = std::fs::File::create(&beside)?;
        out.write_all(&serde_json::to_vec(&file)?)?;
        // Not synced: a lost place costs a pass.
        std::fs::rename(&beside, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_remembered_and_nonsense_begins_anew() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let path = dir.path().join("scrub");
        let state =
            State { place: Some((LogId::new([7; 32]), 512)), passes: 3, bytes: 99, whole_ms: Some(5) };
        state.save(&path).expect("own folder");
        assert_eq!(State::load(&path), state);
        for text in ["", "{}", "[1]", "{\"log\":7}"] {
            std::fs::write(&path, text).expect("own file");
            assert_eq!(State::load(&path), State::default(), "{text}");
        }
        assert_eq!(State::load(&dir.path().join("none")), State::default());
    }
}
