//! What erasures change: places, states of payloads, and steps between them.

use super::WriteId;
use hashpact_protocol::digest::{LeafHash, LogId};

/// An entry by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryRef {
    /// The log.
    pub log: LogId,
    /// Leaf index.
    pub index: u64,
}

/// An entry that an erasure may be about, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundSubject {
    /// Where it stands; a leaf may be repeated elsewhere, where it is void.
    pub at: EntryRef,
    /// Leaf bytes.
    pub leaf: Vec<u8>,
    /// What stands beside it.
    pub state: PayloadState,
}

/// What stands beside a leaf, without the payload itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadState {
    /// A payload.
    Present,
    /// A payload that is not served any more.
    Sealed,
    /// Nothing, and nothing is looked for: destroyed, or never fetched because of an order.
    Erased,
    /// Nothing: not for us.
    Withheld,
    /// Nothing yet.
    NotHere,
    /// An encrypted payload under a legal hold.
    Held,
}

/// Changes of what stands beside leaves, in one durable step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EraseBatch {
    /// Echoed in `Event::Erased`.
    pub id: WriteId,
    /// What to do, each for every place where this leaf stands.
    pub steps: Vec<(LeafHash, EraseStep)>,
}

/// One change of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EraseStep {
    /// Keep the bytes, serve them to nobody. What is not here is not looked for any more.
    Seal {
        /// Because of this order.
        by: EntryRef,
    },
    /// Destroy salt and payload, or move them to the legal hold.
    Destroy {
        /// Because of this order or retraction; `None`: its expiry.
        by: Option<EntryRef>,
    },
    /// The reason lapsed: serve it again; look for it, if it is destroyed. What was not even sealed is told again.
    Restore,
}

/// How far erasing is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ErasureCounts {
    /// Payloads that an order sealed and that are not destroyed yet.
    pub sealed: u64,
    /// When the one that is due first is due, in milliseconds since 1970.
    pub next_due_ms: Option<u64>,
    /// Payloads destroyed here, or never fetched.
    pub erased: u64,
    /// Payloads under a legal hold here.
    pub held: u64,
}
