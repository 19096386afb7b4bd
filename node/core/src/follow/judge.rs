//! What a peer sent, judged: heads and chunks, and the rules that they break.

use super::{Barred, payloads};
use crate::effect::{SizedNote, StoredEntry, StoredPayload};
use crate::event::Peer;
use hashpact_protocol::checkpoint::SignedCheckpoint;
use hashpact_protocol::digest::{LogId, NodeHash, Root, leaf_hash};
use hashpact_protocol::leaf::check_commitment;
use hashpact_protocol::limits::ENTRY_LEAF_MAX_BYTES;
use hashpact_protocol::merkle::Frontier;
use hashpact_protocol::wire::{RangeChunk, WireEntry, WirePayload};

/// A peer that sent what breaks a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Who.
    pub peer: Peer,
    /// The rule.
    pub error: ChunkError,
}

/// Why a chunk is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChunkError {
    /// Starts elsewhere than asked.
    #[error("chunk starts at {start}, asked for {asked}")]
    Start {
        /// Given.
        start: u64,
        /// Asked.
        asked: u64,
    },
    /// No progress.
    #[error("chunk has no entries")]
    Empty,
    /// Goes beyond what was asked for.
    #[error("chunk ends at {end}, asked for up to {size}")]
    TooLong {
        /// Its end.
        end: u64,
        /// The end asked for.
        size: u64,
    },
    /// A leaf is longer than any entry may be.
    #[error("leaf {index} has {len} bytes; at most {ENTRY_LEAF_MAX_BYTES} are allowed")]
    LeafTooLong {
        /// Which.
        index: u64,
        /// Its length.
        len: usize,
    },
    /// Leaves and cover do not hash to the signed root.
    #[error("leaves and cover do not hash to the signed root of size {size}")]
    Root {
        /// The signed size.
        size: u64,
    },
    /// More payloads than asked for, or none.
    #[error("{sent} payloads were sent, {asked} asked for")]
    Payloads {
        /// Sent.
        sent: usize,
        /// Asked for.
        asked: usize,
    },
    /// More single entries than asked for, or none.
    #[error("{sent} entries were sent, {asked} asked for")]
    Entries {
        /// Sent.
        sent: usize,
        /// Asked for.
        asked: usize,
    },
    /// A single entry is not proven to stand where it was asked for.
    #[error("entry {index} is not in the tree of the signed head")]
    Inclusion {
        /// Which.
        index: u64,
    },
    /// An entry was listed as one that overtakes, and it does not ask for that.
    #[error("entry {index} is no priority entry")]
    NotPriority {
        /// Which.
        index: u64,
    },
    /// A payload is not the one that its leaf commits to.
    #[error("the payload of entry {index} is not the one its leaf commits to")]
    Payload {
        /// Which.
        index: u64,
    },
}

impl ChunkError {
    /// Fixed label for metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Start { .. } => "chunk_start",
            Self::Empty => "chunk_empty",
            Self::TooLong { .. } => "chunk_too_long",
            Self::LeafTooLong { .. } => "chunk_leaf_too_long",
            Self::Root { .. } => "chunk_root",
            Self::Payloads { .. } => "payloads_count",
            Self::Entries { .. } => "entries_count",
            Self::Inclusion { .. } => "entry_inclusion",
            Self::NotPriority { .. } => "entry_priority",
            Self::Payload { .. } => "chunk_payload",
        }
    }
}

/// What a verified head says about what is held.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// Of a larger size, or of one that nothing is known about yet.
    Beyond,
    /// Of our own branch: a size and root that we computed ourselves.
    Ours(SignedCheckpoint),
    /// Signed by the same author as `ours`, for the same size, with another root.
    Contradiction {
        /// The other note, verbatim.
        ours: Vec<u8>,
        /// What was heard.
        theirs: SignedCheckpoint,
    },
    /// Of a smaller size than the note held, to be compared with the tree.
    Unchecked {
        /// What was heard.
        head: SignedCheckpoint,
        /// The note that covers everything held when it was heard.
        against: SizedNote,
    },
}

/// Why a head is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeadError {
    /// The note does not verify under the log's key and origin.
    Signature,
    /// Of the size at which the roster closed the log, with another root.
    AgainstClosure,
}

impl HeadError {
    /// Fixed label for metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Signature => "head_signature",
            Self::AgainstClosure => "head_against_closure",
        }
    }
}

/// Whether a chunk is an answer to what was asked.
pub(crate) fn check_place(chunk: &RangeChunk, start: u64, end: u64) -> Result<(), ChunkError> {
    if chunk.start != start {
        return Err(ChunkError::Start { start: chunk.start, asked: start });
    }
    if chunk.entries.is_empty() {
        return Err(ChunkError::Empty);
    }
    let found = start.saturating_add(chunk.entries.len() as u64);
    if found > end {
        return Err(ChunkError::TooLong { end: found, size: end });
    }
    Ok(())
}

/// The tree behind a chunk, if its leaves after `before`, with what covers the rest, lead to the root of `size`.
pub(crate) fn lead_on(
    before: &Frontier,
    chunk: &RangeChunk,
    size: u64,
    root: &Root,
) -> Result<Frontier, ChunkError> {
    let mut after = before.clone();
    for (index, entry) in (before.size()..).zip(&chunk.entries) {
        if entry.leaf.len() > ENTRY_LEAF_MAX_BYTES {
            return Err(ChunkError::LeafTooLong { index, len: entry.leaf.len() });
        }
        after.append(leaf_hash(&entry.leaf));
    }
    let cover: Vec<NodeHash> = chunk.cover.iter().copied().map(NodeHash::new).collect();
    match after.root_with_cover(size, &cover) {
        Ok(found) if found == *root => Ok(after),
        _ => Err(ChunkError::Root { size }),
    }
}

/// Takes an entry whose leaf is proven. A payload that is not the committed one is the serving peer's
/// fault, unless the author itself serves it: then nobody will ever have a better one, and the leaf
/// must not stop replication. Only the author's word that a payload is withheld or erased is kept; a
/// relaying peer that says so does not have it, and another may. A payload about which an order counts that
/// we hold is dropped, whoever sends it.
pub(crate) fn accept_entry(
    log: &LogId,
    index: u64,
    entry: WireEntry,
    from_author: bool,
    barred: &Barred<'_>,
) -> Result<StoredEntry, ChunkError> {
    let WireEntry { leaf, payload } = entry;
    if let Some(payload) = barred.judge(&leaf, says_erased(&payload)) {
        return Ok(StoredEntry { leaf, payload });
    }
    let payload = match payload {
        WirePayload::Present { salt, padded } => match check_commitment(&leaf, &salt, &padded) {
            Ok(()) => StoredPayload::Present { salt, padded },
            Err(_) if from_author || payloads::is_unreadable(log, index, &leaf) => StoredPayload::NotHere,
            Err(_) => return Err(ChunkError::Payload { index }),
        },
        WirePayload::Withheld if from_author => StoredPayload::Withheld,
        WirePayload::Erased if from_author => StoredPayload::Erased,
        WirePayload::Withheld
        | WirePayload::Erased
        | WirePayload::NotHere
        // We do not have that order, or it does not count here: until then somebody may have the payload.
        | WirePayload::ErasedBy { .. } => StoredPayload::NotHere,
    };
    Ok(StoredEntry { leaf, payload })
}

/// Whether an entry is named in place of a payload.
pub(super) const fn says_erased(payload: &WirePayload) -> bool {
    matches!(payload, WirePayload::ErasedBy { .. })
}
