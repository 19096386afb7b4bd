//! Histories of forked logs that the holder keeps beside those in the core (SPEC §12.6).
//!
//! A history stands in the annex as its checkpoint, the frontier of what it shares with the core's (or with whatever
//! the holder followed), then its own entries in chunks as in an entry bundle, each followed by its payloads. The
//! entries, appended to the frontier, must give the root of the checkpoint, which must be one of the evidence.

use super::chunk::Span;
use crate::limits::BUNDLE_CHUNK_ENTRIES_MAX;

/// Folder of a history's members.
#[must_use]
pub(super) fn place(number: usize) -> String {
    format!("annex/branches/{number:06}")
}

/// The runs that a history's own entries `[start, size)` are cut into: none goes beyond a multiple of 256.
pub fn spans(start: u64, size: u64) -> impl Iterator<Item = Span> {
    let chunk = BUNDLE_CHUNK_ENTRIES_MAX as u64;
    let mut at = start;
    std::iter::from_fn(move || {
        let end = (at - at % chunk).saturating_add(chunk).min(size);
        let count = u16::try_from(end.saturating_sub(at)).ok().filter(|count| *count > 0)?;
        let span = Span { start: at, count };
        at = end;
        Some(span)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_end_at_multiples_of_256_and_at_the_size() {
        let cut = |start, size| spans(start, size).map(|span| (span.start, span.count)).collect::<Vec<_>>();
        assert_eq!(cut(250, 520), [(250, 6), (256, 256), (512, 8)]);
        assert_eq!(cut(0, 256), [(0, 256)]);
        assert_eq!((cut(7, 7), cut(8, 7)), (vec![], vec![]));
    }
}
