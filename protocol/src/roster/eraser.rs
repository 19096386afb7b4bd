//! Erasure authorities: members whose orders count for everybody's payloads (SPEC §8.2, §7.10).
//!
//! The right begins and ends at places of the member's own logs, never at a time: what was ordered while it
//! lasted stays ordered, and nothing that was said before it began counts in retrospect.

use super::MemberId;
use std::fmt;

/// Most lines about erasure authorities.
pub const ERASERS_MAX: usize = 64;

/// A place in a member's logs; later logs of the member come after all of an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogPlace {
    /// Number of the log.
    pub n: u32,
    /// Leaf index.
    pub index: u64,
}

impl fmt::Display for LogPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.n, self.index)
    }
}

/// One term of an erasure authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eraser {
    /// The member.
    pub member: MemberId,
    /// Its first entry that may order.
    pub from: LogPlace,
    /// The first that may not any more, once the term has ended.
    pub until: Option<LogPlace>,
}

impl Eraser {
    /// Whether an entry of the member at this place may order.
    #[must_use]
    pub fn covers(&self, place: LogPlace) -> bool {
        place >= self.from && self.until.is_none_or(|until| place < until)
    }
}
