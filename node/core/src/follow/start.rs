//! What a log is followed from: the roster's word and what is on disk.

use crate::effect::{SizedNote, StoredEntry};
use crate::view::Author;
use hashpact_protocol::digest::Root;
use hashpact_protocol::keys::PublicKey;
use hashpact_protocol::merkle::Frontier;

/// What the roster and the database say about a log at the start.
pub struct FollowedStart {
    /// Member, number and id.
    pub author: Author,
    /// Its origin.
    pub origin: String,
    /// The key that signs its checkpoints.
    pub key: PublicKey,
    /// Where the roster closed it, if it is closed.
    pub closed: Option<Closure>,
    /// Peaks of what is held and counts: never more than the closure has.
    pub frontier: Frontier,
    /// The largest note held completely.
    pub note: Option<SizedNote>,
    /// Entries held without their payload; with any, nothing is confirmed to the author.
    pub payloads_missing: u64,
    /// Entries held ahead of the log's end, by leaf index; folded already.
    pub ahead: Vec<(u64, StoredEntry)>,
    /// How many entries may be held ahead of the log's end.
    pub ahead_max: usize,
}

/// Size and root at which the roster closed a log: all of it that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closure {
    /// Tree size.
    pub size: u64,
    /// Root at that size.
    pub root: Root,
}
