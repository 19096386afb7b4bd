//! What is kept of a forked log beside the history that is followed.

use super::{SizedNote, StoredEntry, WriteId};
use hashpact_protocol::digest::{LogId, NodeHash, Root};
use hashpact_protocol::merkle::Frontier;

/// Entries of another history of a forked log, to be kept apart from the followed one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchBatch {
    /// Echoed in `Event::Written`.
    pub id: WriteId,
    /// The log.
    pub log: LogId,
    /// Which of the log's kept histories: 0 or 1.
    pub number: u8,
    /// The checkpoint of the evidence that signs it.
    pub note: SizedNote,
    /// Leaf index from which on it is kept; the entries before are those of the followed history.
    pub start: u64,
    /// Leaf index of the first of these entries: where those kept before end.
    pub at: u64,
    /// The entries, in order.
    pub entries: Vec<StoredEntry>,
    /// Peaks of its tree after these entries, largest first.
    pub frontier: Vec<NodeHash>,
    /// Bytes of all payloads kept of it, these included.
    pub payload_bytes: u64,
}

/// A history that is kept, as the database holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldBranch {
    /// The checkpoint of the evidence that signs it.
    pub note: SizedNote,
    /// Leaf index from which on it is kept.
    pub start: u64,
    /// The tree over what is kept and what lies before it.
    pub frontier: Frontier,
    /// Bytes of all payloads kept.
    pub payload_bytes: u64,
}

impl HeldBranch {
    /// Whether everything that its checkpoint signs is here.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.frontier.size() >= self.note.size
    }
}

/// How a node stands to both histories of a forked log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogBranches {
    /// The log.
    pub log: LogId,
    /// The history of each checkpoint of the evidence, in its order.
    pub branches: [BranchState; 2],
}

/// What is held of one of two histories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchState {
    /// Size of its checkpoint.
    pub size: u64,
    /// Root of its checkpoint.
    pub root: Root,
    /// Whether the followed history has the entry of this one where the two part.
    pub is_followed: bool,
    /// Leaf index from which on it is kept, or wanted, beside the followed history; `None` if nothing is.
    pub kept_from: Option<u64>,
    /// Entries held below its size: of the followed history, and then of what is kept beside it.
    pub held: u64,
    /// Whether it is longer than what a node keeps.
    pub is_too_long: bool,
}
