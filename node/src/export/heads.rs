//! At which heads a bundle is written.
//!
//! In text, for another node or for the rest of a broken transfer: the roster version, then the size of each
//! log in the manifest's order, separated by dots: `3.1200.0.77`.

use super::Holder;
use crate::storage::{Store, StoreError};
use hashpact_core::effect::SizedNote;
use hashpact_protocol::bundle::{BundleLog, Manifest};
use hashpact_protocol::digest::LogId;
use hashpact_protocol::roster::{ChainError, LogStatus, MemberId, RosterChain};
use std::collections::BTreeMap;

/// A log as far as it may be shown.
#[derive(Debug, Clone)]
pub struct Held {
    /// Its origin.
    pub origin: String,
    /// Entries that may be shown.
    pub size: u64,
    /// Checkpoints that are kept, in any order.
    pub notes: Vec<SizedNote>,
}

/// Why there are no such heads.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeadsError {
    /// Not of the form.
    #[error("heads are a roster version and the size of each log, separated by dots, such as 3.1200.0.77")]
    Form,
    /// A roster version that is not held.
    #[error("roster version {asked} is not held here; the newest is {held}")]
    Version {
        /// Asked for.
        asked: u64,
        /// Newest held.
        held: u64,
    },
    /// Another number of logs than that version has.
    #[error("{got} sizes; roster version {version} has {expected} logs")]
    Count {
        /// Given.
        got: usize,
        /// Expected.
        expected: usize,
        /// Version of the roster.
        version: u64,
    },
    /// More entries than are held and signed.
    #[error("log {origin} is held and signed up to {held} entries here, {asked} are asked for")]
    Beyond {
        /// The log.
        origin: String,
        /// Entries asked for.
        asked: u64,
        /// Entries that can be shown under a signature.
        held: u64,
    },
    /// A member that the roster does not list.
    #[error("the roster lists no member {0}")]
    UnknownMember(MemberId),
    /// A group that the roster does not have.
    #[error("the roster has no group {0}")]
    UnknownGroup(String),
    /// The rosters on disk.
    #[error("roster: {0}")]
    Roster(#[from] ChainError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The holder's journal.
    #[error("the journal cannot be read: {0}")]
    Journal(std::io::Error),
}

/// The heads of a manifest as text.
pub(super) fn text(manifest: &Manifest) -> String {
    let sizes = manifest.logs.iter().map(|log| log.size);
    let numbers = std::iter::once(manifest.roster_version).chain(sizes);
    numbers.map(|number| number.to_string()).collect::<Vec<_>>().join(".")
}

/// The heads asked for, or the newest that somebody signed.
pub(super) fn choose(
    store: &Store,
    holder: &Holder,
    held: &BTreeMap<LogId, Held>,
    at: Option<&str>,
) -> Result<(RosterChain, Vec<BundleLog>), HeadsError> {
    let asked = at.map(parse).transpose()?;
    let chain = match &asked {
        Some((version, _)) => up_to(&holder.chain, *version)?,
        None => holder.chain.clone(),
    };
    let listed: Vec<_> = chain.current().logs().filter(|log| *log.status != LogStatus::Spare).collect();
    let sizes = asked.map(|(_, sizes)| sizes);
    if let Some(sizes) = sizes.as_ref().filter(|sizes| sizes.len() != listed.len()) {
        let (got, expected, version) = (sizes.len(), listed.len(), chain.version());
        return Err(HeadsError::Count { got, expected, version });
    }
    let mut logs = Vec::new();
    for (nth, log) in listed.iter().enumerate() {
        let largest = largest_signed(held.get(&log.log_id), log.status);
        let size = sizes.as_ref().and_then(|sizes| sizes.get(nth).copied()).unwrap_or(largest);
        if size > largest {
            return Err(HeadsError::Beyond { origin: log.origin.clone(), asked: size, held: largest });
        }
        // A log of which nothing arrived yet is not in the database.
        let root = if size == 0 {
            hashpact_protocol::digest::empty_root()
        } else {
            store.frontier_at(&log.log_id, size)?.root()
        };
        logs.push(BundleLog { member: log.member.clone(), n: log.n, size, root });
    }
    Ok((chain.clone(), logs))
}

/// The most entries that are held below a signed size, or below the size at which the roster closed the log.
fn largest_signed(held: Option<&Held>, status: &LogStatus) -> u64 {
    let Some(held) = held else { return 0 };
    let signed = held.notes.iter().map(|note| note.size).filter(|size| *size <= held.size).max();
    match status {
        LogStatus::Closed { size, .. } if *size <= held.size => *size,
        _ => signed.unwrap_or(0),
    }
}

fn parse(text: &str) -> Result<(u64, Vec<u64>), HeadsError> {
    let number = |part: &str| part.parse::<u64>().ok().filter(|number| number.to_string() == part);
    let numbers: Option<Vec<u64>> = text.split('.').map(number).collect();
    let numbers = numbers.ok_or(HeadsError::Form)?;
    let (version, sizes) = numbers.split_first().ok_or(HeadsError::Form)?;
    Ok((*version, sizes.to_vec()))
}

/// The chain that ends at an earlier version.
fn up_to(chain: &RosterChain, version: u64) -> Result<RosterChain, HeadsError> {
    let wrong = HeadsError::Version { asked: version, held: chain.version() };
    if version == 0 || version > chain.version() {
        return Err(wrong);
    }
    let versions = chain.suffix_from(0);
    let Some((first, rest)) = versions.split_first() else { return Err(wrong) };
    let mut earlier = RosterChain::start(first, None)?;
    for next in rest {
        if earlier.version() == version {
            break;
        }
        earlier.advance(next)?;
    }
    Ok(earlier)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_in_text_have_one_form() {
        assert_eq!(parse("3.1200.0.77").expect("heads"), (3, vec![1200, 0, 77]));
        assert_eq!(parse("1").expect("no logs"), (1, vec![]));
        for text in ["", ".", "1.", "1..2", "01.2", "1.+2", "1.-2", "1. 2", "x", "1.99999999999999999999"] {
            assert!(matches!(parse(text), Err(HeadsError::Form)), "{text}");
        }
    }

    #[test]
    fn a_head_is_never_larger_than_what_is_held_and_signed() {
        let note = |size| SizedNote { size, note: Vec::new() };
        let held = Held { origin: "o".into(), size: 10, notes: vec![note(4), note(9), note(12)] };
        let closed = |size| LogStatus::Closed { size, root: hashpact_protocol::digest::empty_root() };
        assert_eq!(largest_signed(Some(&held), &LogStatus::Open), 9);
        assert_eq!(largest_signed(Some(&held), &closed(10)), 10);
        assert_eq!(largest_signed(Some(&held), &closed(11)), 9, "closed beyond what is held");
        assert_eq!(largest_signed(None, &closed(3)), 0);
    }
}
