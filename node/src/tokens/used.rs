//! What tokens have used of their quotas of a day, over restarts: `tokens.used` beside the file of tokens.
//!
//! One line for each token that has used any: `hash requests items`, each count with its day. Derived data: it is written
//! every few seconds and when the node stops, so a crash gives back what was used since; losing it gives back a day's
//! quota. An attacker who can write it could lengthen or end the day's quota of a token, and nothing else.

use super::limits::Usage;
use crate::rosters::write_private;
use hashpact_protocol::digest::{hex_array, hex_encode};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Longest file that is read: more than all tokens fill.
const FILE_MAX_BYTES: u64 = 256 * 1024;

/// Words of [`Usage::today`] by the hash of a token.
pub(super) type Used = BTreeMap<[u8; 32], [u64; 2]>;

/// Where it is, for this file of tokens.
pub(super) fn path(tokens: &Path) -> PathBuf {
    let mut name = tokens.as_os_str().to_owned();
    name.push(".used");
    PathBuf::from(name)
}

/// What was used as far as the file can be read; one that cannot is said in the log, and nothing was used.
pub(super) fn load(path: &Path) -> Used {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.len() <= FILE_MAX_BYTES => {}
        Ok(_) => {
            tracing::warn!(file = %path.display(), "is too long; quotas of today begin anew");
            return Used::new();
        }
        Err(_) => return Used::new(),
    }
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let used: Option<Used> = text.lines().map(parse).collect();
    used.unwrap_or_else(|| {
        tracing::warn!(file = %path.display(), "cannot be read; quotas of today begin anew");
        Used::new()
    })
}

fn parse(line: &str) -> Option<([u8; 32], [u64; 2])> {
    let mut words = line.split(' ');
    let hash = hex_array(words.next()?).ok()?;
    let mut number = || words.next()?.parse().ok();
    let used = [number()?, number()?];
    words.next().is_none().then_some((hash, used))
}

/// Writes the file, whole or not at all.
pub(super) fn save(path: &Path, used: &Used) -> anyhow::Result<()> {
    let line = |(hash, [requests, items]): (&[u8; 32], &[u64; 2])| {
        format!("{} {requests} {items}\n", hex_encode(hash))
    };
    let text: String = used.iter().map(line).collect();
    write_private(path, text.as_bytes())
}

/// What these have used, of those that have used any.
pub(super) fn collect<'a>(all: impl Iterator<Item = (&'a [u8; 32], &'a Usage)>) -> Used {
    all.map(|(hash, usage)| (*hash, usage.today())).filter(|(_, used)| *used != [0, 0]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_is_read_as_it_was_written_and_a_bad_file_is_none() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let file = path(&dir.path().join("tokens"));
        assert_eq!(load(&file), Used::new());
        let used = Used::from([([1; 32], [5, 0]), ([2; 32], [u64::MAX, 7])]);
        save(&file, &used).expect("writable");
        assert_eq!(load(&file), used);
        let text = std::fs::read_to_string(&file).expect("there");
        for bad in ["x 1 2\n".to_owned(), text.replace(" 5 0", " 5"), text.replace(" 5 0", " 5 0 1")] {
            std::fs::write(&file, bad).expect("writable");
            assert_eq!(load(&file), Used::new());
        }
    }
}
