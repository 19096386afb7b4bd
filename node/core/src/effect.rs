//! What the engine wants done, as plain data, in order.
//!
//! Order is meaning: *persist, then publish*. An effect that must be durable before another may be
//! seen stands before it and is answered by an event; the engine emits the second only then.

mod branch;
mod erasure;
mod refusal;

pub use branch::{BranchBatch, BranchState, HeldBranch, LogBranches};
pub use erasure::{EntryRef, EraseBatch, EraseStep, ErasureCounts, FoundSubject, PayloadState};
pub use refusal::SubmitError;

use crate::coverage::IncidentCoverage;
use crate::entitled::Entitled;
use crate::event::{Ack, Channel, Peer};
use crate::health::Health;
use crate::view::{FoldCounts, KnownRecord, News, Stated, StatedHolding};
use hashpact_protocol::digest::{LeafHash, LogId, NodeHash, RecordId, Root};
use hashpact_protocol::roster::{MemberId, RosterChain, SignedRoster};
use hashpact_protocol::wire::{BranchRequest, CosignAnswer, EntriesRequest, Request, Response};
use std::collections::BTreeMap;

/// Names one request of ours to a peer.
pub type RequestId = u64;
/// Names one write of ours.
pub type WriteId = u64;

/// One thing to do.
#[derive(Debug)]
pub enum Effect {
    /// Write this batch with a sync, then report `Event::Written`.
    Write(WriteBatch),
    /// Sync this state to the lock file, then report `Event::LockWritten`.
    WriteLock {
        /// Echoed in the event.
        write: WriteId,
        /// What the file must say.
        lock: LockState,
    },
    /// From now on everybody may see this log up to this head, and nothing beyond it.
    Publish(PublishedHead),
    /// Send a request; its answer returns as `Event::Outcome`.
    Send {
        /// To whom.
        peer: Peer,
        /// Echoed in the outcome.
        request_id: RequestId,
        /// What to ask.
        request: Request,
    },
    /// Answer an inbound request.
    Reply {
        /// The request's channel.
        channel: Channel,
        /// The answer.
        response: Response,
    },
    /// Answer an inbound range request from the database: entries from `start` on, at most up to
    /// `size`, within both bounds, with the cover of what remains up to `size`.
    ServeRange {
        /// The request's channel.
        channel: Channel,
        /// The log.
        log: LogId,
        /// First leaf index.
        start: u64,
        /// Tree size that the cover leads to; held and published.
        size: u64,
        /// Most entries to send.
        entries_max: u32,
        /// Most bytes of leaves and payloads to send (one entry always goes).
        bytes_max: u32,
        /// What the peer may have.
        entitled: Entitled,
    },
    /// Answer an inbound request for payloads from the database: what stands beside the first of these
    /// leaves, in this order, within the bound (one always goes). All are below the published size.
    ServePayloads {
        /// The request's channel.
        channel: Channel,
        /// The log.
        log: LogId,
        /// Leaf indexes, ascending.
        indexes: Vec<u64>,
        /// Most bytes of salts and payloads to send.
        bytes_max: u32,
        /// What the peer may have.
        entitled: Entitled,
    },
    /// Answer an inbound request for single entries from the database: the first of them in this order, within
    /// the bound (one always goes), and how the caller's size leads to the tree named. That is published.
    ServeEntries {
        /// The request's channel.
        channel: Channel,
        /// What is asked for.
        ask: EntriesRequest,
        /// What the peer may have.
        entitled: Entitled,
    },
    /// Answer an inbound request for one history of a log from the database: from the tree that is followed, or
    /// one that is kept beside it, whichever has that root at that size; else it is refused as another history.
    ServeBranch {
        /// The request's channel.
        channel: Channel,
        /// What is asked for.
        ask: BranchRequest,
        /// What the peer may have.
        entitled: Entitled,
    },
    /// Keep these entries of a forked log's other history with a sync, then report `Event::Written`.
    WriteBranch(BranchBatch),
    /// What is followed of a forked log, and what is kept beside it, changed.
    Branches(LogBranches),
    /// Store these entries ahead of their log's end with a sync, then report `Event::Written`. One that the
    /// log has reached meanwhile stays as it is.
    WriteAhead(AheadBatch),
    /// Store these payloads beside their leaves with a sync, then report `Event::Written`. A row that
    /// is no longer one of a missing payload stays as it is.
    WritePayloads(PayloadBatch),
    /// Store these entries again in the place of damaged ones with a sync, then report `Event::Repaired`.
    Repair(RepairBatch),
    /// Damaged entries of `[start, end)` are stored again, all of them.
    Healed {
        /// The log.
        log: LogId,
        /// First leaf index.
        start: u64,
        /// Behind the last one.
        end: u64,
        /// Of how many the payload is still to be had.
        payloads_missing: u64,
    },
    /// Say which entries of a log lack their payload, then report `Event::Missing`.
    FindMissing {
        /// The log.
        log: LogId,
        /// Only entries behind this one.
        after: Option<u64>,
        /// The first so many of them.
        count_max: usize,
    },
    /// Say where the entries with these leaf hashes stand, then report `Event::SubjectsFound`.
    FindSubjects {
        /// Leaf hashes.
        ids: Vec<LeafHash>,
    },
    /// Seal, destroy or give back payloads, with a sync; then report `Event::Erased`. What was destroyed is
    /// by then in no file of this node.
    Erase(EraseBatch),
    /// How many payloads wait to be destroyed, and how many are gone, changed.
    Erasures(ErasureCounts),
    /// Write this fact with a sync, then report `Event::Written`.
    WriteFact(FactWrite),
    /// Read from the stored tree of a log how its size `old` leads to its size `new`, both stored and
    /// `old` below `new`; report `Event::TreeRead`.
    ReadTree {
        /// Echoed in the event.
        read: u64,
        /// The log.
        log: LogId,
        /// The smaller size.
        old: u64,
        /// The larger size.
        new: u64,
    },
    /// Look through these logs for payloads that are not present; report `Event::Holdings`.
    ReadHoldings {
        /// Echoed in the event.
        read: u64,
        /// The logs.
        logs: Vec<HoldingRead>,
    },
    /// Add these verified roster versions to those on disk, and keep these rivals, synced; then report
    /// `Event::Written`.
    WriteRoster(RosterWrite),
    /// From now on this roster counts.
    Roster(RosterChain),
    /// Answer a local `add-checkpoint` request.
    AnswerCosign {
        /// The request's number.
        request: u64,
        /// What to say.
        answer: CosignAnswer,
    },
    /// How far a log is cosigned changed.
    Cosigned(CosignedHead),
    /// Evidence of equivocation is held, or more of it.
    Evidence(ForkedLog),
    /// Close all connections to a peer.
    Disconnect {
        /// The peer.
        peer: Peer,
        /// Why, as a fixed label for logs and metrics.
        reason: &'static str,
    },
    /// A peer proved by its node card that it is a member's node; it may be dialled at these
    /// multiaddresses when the connection is lost.
    Admitted {
        /// The peer.
        peer: Peer,
        /// The member it belongs to.
        member: String,
        /// Multiaddresses in text form.
        addresses: Vec<String>,
    },
    /// Nodes of a member, as its newest card lists them: they may be dialled at these multiaddresses.
    Nodes {
        /// Peer keys with addresses in text form.
        nodes: Vec<(Peer, Vec<String>)>,
    },
    /// The card of this read replica is another from now on: keep it for the next start. Empty if its member's
    /// newest card does not list this node any more.
    OwnCard {
        /// The signed card.
        card: Vec<u8>,
    },
    /// Fire `Event::Timer` at this time, or at once if it is past. Setting a timer again moves it.
    SetTimer {
        /// Which timer.
        timer: Timer,
        /// Milliseconds since 1970.
        at_ms: u64,
    },
    /// Answer a local submission.
    Answer {
        /// The submission's request number.
        request: u64,
        /// What to say.
        answer: Result<Receipts, SubmitError>,
    },
    /// Records changed in the view: update look-ups, in this order.
    View(Vec<ViewChange>),
    /// Verdicts on signals, suspensions or incidents changed in the view.
    News(News),
    /// Which members' nodes are known to hold the declarations of incidents: all that is known now.
    Coverage(Vec<IncidentCoverage>),
    /// What became of a log's entries, as counts.
    Folded {
        /// The log.
        log: LogId,
        /// The counts.
        counts: FoldCounts,
        /// Entries beyond the log's end that count already: those that overtook a backlog.
        ahead: u64,
    },
    /// A member stated anew whose payloads it holds: all that it states now.
    Receipted {
        /// The member.
        member: MemberId,
        /// Its newest statement about each log.
        stated: Vec<StatedHolding>,
    },
    /// What look-ups must say about completeness changed.
    Health(Health),
    /// A peer broke a rule: count it under this label.
    Misbehaviour {
        /// The peer.
        peer: Peer,
        /// The rule's fixed label.
        rule: &'static str,
    },
    /// Our own state may be wrong, or somebody else writes with our key: stop now. The text tells
    /// the operator what happened and what to do.
    Stop(crate::StopReason),
}

/// A fact that must survive, in one durable step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactWrite {
    /// Echoed in `Event::Written`.
    pub id: WriteId,
    /// The log that it is about.
    pub log: LogId,
    /// The generation that this step raises the database to, if something is signed on its strength.
    pub generation: Option<u64>,
    /// What is kept.
    pub fact: Fact,
}

/// What is kept beside the logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// What we cosign from now on: nothing smaller, nothing else of this size.
    Cosigned {
        /// Tree size.
        size: u64,
        /// Its root.
        root: Root,
    },
    /// The largest checkpoint that a quorum of witnesses cosigned, with its cosignatures.
    QuorumHead(SizedNote),
    /// Evidence of equivocation, in the form of SPEC §3.6.
    Evidence(Vec<u8>),
    /// When these entries of the log were first seen here: erasures and retractions.
    Seen {
        /// Leaf indexes.
        indexes: Vec<u64>,
        /// Milliseconds since 1970.
        at_ms: u64,
    },
}

/// Facts about logs other than their entries, as the database holds them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeldFacts {
    /// What we cosigned last.
    pub cosigned: BTreeMap<LogId, (u64, Root)>,
    /// The largest checkpoints with a quorum of cosignatures.
    pub quorum_heads: BTreeMap<LogId, SizedNote>,
    /// Evidence of equivocation.
    pub evidence: BTreeMap<LogId, Vec<u8>>,
    /// Histories of forked logs that are kept beside the one that is followed, by log and number.
    pub branches: BTreeMap<(LogId, u8), HeldBranch>,
    /// When erasures and retractions were first seen here.
    pub seen: BTreeMap<EntryRef, u64>,
    /// Entries whose payload is sealed or gone.
    pub erased: Vec<FoundSubject>,
}

/// The largest head of a log with enough cosignatures, or of the own log with any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CosignedHead {
    /// The log.
    pub log: LogId,
    /// Tree size.
    pub size: u64,
    /// The checkpoint with its cosignatures.
    pub note: Vec<u8>,
    /// Who cosigned, and when, in seconds since 1970.
    pub witnesses: BTreeMap<MemberId, u64>,
    /// Whether these are a quorum.
    pub quorum: bool,
}

/// A log whose author signed two histories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForkedLog {
    /// The log.
    pub log: LogId,
    /// Its origin.
    pub origin: String,
    /// Sizes and roots of the two notes.
    pub notes: [(u64, Root); 2],
    /// Where the histories part, if that is proven.
    pub diverges_at: Option<u64>,
    /// Entries from this leaf index on are contested.
    pub contested_from: Option<u64>,
    /// The evidence, in the form of SPEC §3.6.
    pub evidence: Vec<u8>,
}

/// Timers that the engine sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// The next batch may be formed.
    Append,
    /// The next announcement may be sent.
    Announce,
    /// Routine: poll heads, retry, expire, time out.
    Tick,
}

/// One durable step: everything in it is stored, or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteBatch {
    /// Echoed in `Event::Written`.
    pub id: WriteId,
    /// The log that grows.
    pub log: LogId,
    /// The log's origin (stored with its head).
    pub origin: String,
    /// Leaf index of the first entry.
    pub start: u64,
    /// The new entries, in order.
    pub entries: Vec<StoredEntry>,
    /// Peaks of the tree after these entries, largest first; its size is `start + entries.len()`.
    pub frontier: Vec<NodeHash>,
    /// The largest checkpoint note that we hold completely, if this batch brings or changes it.
    pub note: Option<SizedNote>,
    /// Idempotency keys that this batch fulfils.
    pub idempotency: Vec<IdempotencyEntry>,
    /// Read the leaves back from the database after the sync and report them.
    pub read_back: bool,
    /// The generation that this step raises the database to: of the own log only.
    pub generation: Option<u64>,
}

/// Entries that arrived before those in front of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AheadBatch {
    /// Echoed in `Event::Written`.
    pub id: WriteId,
    /// The log.
    pub log: LogId,
    /// Leaf indexes and entries; proven to belong under a signed head that is consistent with what was held.
    pub entries: Vec<(u64, StoredEntry)>,
}

/// Roster versions to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RosterWrite {
    /// Echoed in `Event::Written`.
    pub id: WriteId,
    /// The versions behind the newest one on disk, oldest first.
    pub versions: Vec<SignedRoster>,
    /// Rivals of versions on disk, which are kept beside them (SPEC §8.4).
    pub rivals: Vec<SignedRoster>,
}

/// Which payloads of a log are wanted to be known of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldingRead {
    /// The log.
    pub log: LogId,
    /// What came from here on is looked at for its kind.
    pub stated_size: u64,
    /// Entries to look through; stored.
    pub size: u64,
    /// Most gaps to report; at least 1. More are reported as fewer that are wider.
    pub gaps_max: usize,
}

/// Priority entries of one log, as the database holds them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeldPriority {
    /// The newest ones below the log's end, ascending.
    pub recent: Vec<u64>,
    /// Those held ahead of it, ascending.
    pub ahead: Vec<(u64, StoredEntry)>,
}

/// Payloads that arrived after their leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayloadBatch {
    /// Echoed in `Event::Written`.
    pub id: WriteId,
    /// The log.
    pub log: LogId,
    /// Leaf indexes, and what now stands there; checked against the leaves' commitments.
    pub payloads: Vec<(u64, StoredPayload)>,
}

/// Entries to be stored in the place of damaged ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepairBatch {
    /// Echoed in `Event::Repaired`.
    pub id: WriteId,
    /// The log.
    pub log: LogId,
    /// Leaf index of the first leaf.
    pub start: u64,
    /// Leaves, in order; proven under a signed root.
    pub leaves: Vec<Vec<u8>>,
    /// What stands beside those whose payload was bad, unless the stored one is what the leaf commits to.
    pub payloads: Vec<(u64, StoredPayload)>,
}

/// An entry as it is stored: the leaf in the tree, the payload beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// Leaf bytes, as signed.
    pub leaf: Vec<u8>,
    /// The payload or what stands in for it.
    pub payload: StoredPayload,
}

/// A payload as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredPayload {
    /// Held: the commitment's salt and the padded payload.
    Present {
        /// The salt.
        salt: [u8; 32],
        /// The padded payload.
        padded: Vec<u8>,
    },
    /// Not for us.
    Withheld,
    /// Erased at whoever served it.
    Erased,
    /// Whoever served the leaf did not have it.
    NotHere,
    /// Held, but an order seals it: served to nobody, and destroyed when its hold is over.
    Sealed {
        /// The order.
        by: EntryRef,
        /// The salt.
        salt: [u8; 32],
        /// The padded payload.
        padded: Vec<u8>,
    },
    /// Destroyed, or never fetched, because of this order or retraction.
    ErasedBy {
        /// The order or retraction.
        by: EntryRef,
    },
    /// Encrypted elsewhere for a legal hold, instead of being destroyed.
    Held {
        /// Because of this order or retraction; `None`: its expiry.
        by: Option<EntryRef>,
    },
}

/// A stored payload as whoever reads an entry needs it.
#[derive(Debug, Clone, Copy)]
pub struct PayloadView<'p> {
    /// What is stored.
    pub state: PayloadState,
    /// Salt and padded payload, if they are stored beside the leaf.
    pub bytes: Option<(&'p [u8; 32], &'p [u8])>,
}

impl<'p> From<&'p StoredPayload> for PayloadView<'p> {
    fn from(payload: &'p StoredPayload) -> Self {
        Self { state: payload.state(), bytes: payload.bytes() }
    }
}

impl StoredPayload {
    /// Salt and padded payload, if they are stored beside the leaf.
    #[must_use]
    pub fn bytes(&self) -> Option<(&[u8; 32], &[u8])> {
        match self {
            Self::Present { salt, padded } | Self::Sealed { salt, padded, .. } => Some((salt, padded)),
            Self::Withheld | Self::Erased | Self::NotHere | Self::ErasedBy { .. } | Self::Held { .. } => None,
        }
    }

    /// The payload without its bytes.
    #[must_use]
    pub const fn state(&self) -> PayloadState {
        match self {
            Self::Present { .. } => PayloadState::Present,
            Self::Sealed { .. } => PayloadState::Sealed,
            Self::NotHere => PayloadState::NotHere,
            Self::Withheld => PayloadState::Withheld,
            Self::Erased | Self::ErasedBy { .. } => PayloadState::Erased,
            Self::Held { .. } => PayloadState::Held,
        }
    }

    /// What stands here after a step; `None` if that changes nothing. A payload that is moved to a legal
    /// hold instead of being destroyed is the shell's affair.
    #[must_use]
    pub fn after(&self, step: EraseStep) -> Option<Self> {
        let destroyed = |by: Option<EntryRef>| by.map_or(Self::Erased, |by| Self::ErasedBy { by });
        match (self, step) {
            (Self::Present { salt, padded }, EraseStep::Seal { by }) => {
                Some(Self::Sealed { by, salt: *salt, padded: padded.clone() })
            }
            (Self::NotHere, EraseStep::Seal { by }) => Some(Self::ErasedBy { by }),
            (Self::Present { .. } | Self::Sealed { .. } | Self::NotHere, EraseStep::Destroy { by }) => {
                Some(destroyed(by))
            }
            (Self::Held { by }, EraseStep::Destroy { .. }) => Some(destroyed(*by)),
            (Self::Present { salt, padded } | Self::Sealed { salt, padded, .. }, EraseStep::Restore) => {
                Some(Self::Present { salt: *salt, padded: padded.clone() })
            }
            (Self::ErasedBy { .. }, EraseStep::Restore) => Some(Self::NotHere),
            _ => None,
        }
    }
}

/// A checkpoint note with the size it signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizedNote {
    /// Tree size.
    pub size: u64,
    /// The signed note, verbatim.
    pub note: Vec<u8>,
}

/// An idempotency key and what it led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyEntry {
    /// The key, bound to its caller.
    pub key: [u8; 32],
    /// Digest of what was asked.
    pub digest: [u8; 32],
    /// Leaf index of the first entry.
    pub first_index: u64,
    /// How many entries.
    pub count: u32,
    /// Size of the checkpoint that first covers them.
    pub tree_size: u64,
}

/// What the lock file says: the last thing that this node signed for its own log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockState {
    /// Grows with every signature of any role.
    pub generation: u64,
    /// The log.
    pub origin: String,
    /// Signed tree size.
    pub size: u64,
    /// Signed root.
    pub root: Root,
    /// The signed note; empty for an empty log that was never signed.
    pub note: Vec<u8>,
}

/// How far a log may be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedHead {
    /// The log.
    pub log: LogId,
    /// Its origin.
    pub origin: String,
    /// Entries below this are held, verified and visible.
    pub size: u64,
    /// Root of the tree at `size`.
    pub root: Root,
    /// The largest signed checkpoint with a size of at most `size`.
    pub note: Option<SizedNote>,
    /// The largest size in a valid checkpoint that a connected peer offers, at least `size`.
    pub announced: u64,
}

/// A change of one record in the view.
#[derive(Debug, Clone)]
pub struct ViewChange {
    /// The record as it now stands.
    pub record: KnownRecord,
    /// What it states: with its first change, and never again.
    pub stated: Option<Box<Stated>>,
    /// What it means for the match index.
    pub index: IndexChange,
}

/// What a view change means for the match index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexChange {
    /// Its signals must be found from now on.
    Add,
    /// Its signals must not be found any more.
    Remove,
    /// No change: labels, counts or status only.
    Keep,
}

/// The answer to a submission whose promise holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipts {
    /// Origin of our log.
    pub origin: String,
    /// Leaf index of the first entry; the others follow it.
    pub first_index: u64,
    /// Record ids in the order of the drafts.
    pub records: Vec<RecordId>,
    /// Size of the checkpoint that first covered them.
    pub tree_size: u64,
    /// The promise that holds.
    pub ack: Ack,
}

/// A leaf hash with its place, as storage finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The log.
    pub log: LogId,
    /// Leaf index.
    pub index: u64,
    /// The leaf hash: the record id.
    pub leaf: LeafHash,
}
