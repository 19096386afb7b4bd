//! What a log is followed from: the roster's word and what is on disk.

use super::{FollowedLog, Target};
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

impl FollowedLog {
    /// Whether nothing that is held, or being written, is beyond this end or on another branch than it.
    pub(crate) fn can_end_at(&self, closure: &Closure) -> bool {
        let end = self.writing.as_ref().map_or(&self.frontier, |writing| &writing.after);
        let leads_there =
            end.size() < closure.size || (end.size(), end.root()) == (closure.size, closure.root);
        leads_there && !self.overtaking.reaches(closure.size)
    }

    /// The roster closed the log where [`Self::can_end_at`] says that it can end.
    pub(crate) fn end_at(&mut self, closure: Closure) {
        if self.closed == Some(closure) {
            return;
        }
        self.closed = Some(closure);
        self.frozen = false;
        for source in self.sources.values_mut().filter(|source| source.head.size > closure.size) {
            source.head = Target { size: closure.size, root: closure.root, signed: None };
        }
        let is_other = |head: &Target| head.size == closure.size && head.root != closure.root;
        self.sources.retain(|_, source| !is_other(&source.head));
        self.window.clear();
        self.overtaking.clear();
    }
}
