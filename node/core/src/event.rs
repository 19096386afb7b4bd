//! What happens to a node, as plain data.
//!
//! Shells turn sockets, timers, disks and callers into these values; [`crate::Engine::handle`]
//! answers with [`crate::Effect`]s. Random bytes arrive inside events, and so does time (as an
//! argument of `handle`): the engine has no other source of either.

use crate::effect::{EntryRef, FoundSubject, PayloadState, RequestId, StoredEntry, Timer, WriteId};
use hashpact_protocol::digest::{LeafHash, LogId, RecordId};
use hashpact_protocol::keys::PublicKey;
use hashpact_protocol::merkle::Frontier;
use hashpact_protocol::record::{
    Content, ErasureBasis, ErasureReason, Gap, Incident, OpinionValue, Reason, RetractionReason,
    RulingReason, Signal, SuspensionReason, Verdict, Vote,
};
use hashpact_protocol::roster::{MemberId, SignedRoster};
use hashpact_protocol::wire::{ConsistencyAnswer, Request, Response};
use std::collections::BTreeSet;

/// A remote node, named by its Ed25519 peer key (the key of its libp2p identity).
pub type Peer = PublicKey;

/// Names one inbound request, so that its reply finds the way back. Chosen by the shell.
pub type Channel = u64;

/// One thing that happened.
#[derive(Debug)]
pub enum Event {
    /// A timer set by [`crate::Effect::SetTimer`] fired.
    Timer(Timer),
    /// A transport connection to a peer is up (the first one, if it holds several).
    Connected {
        /// The peer, authenticated by the transport and not yet admitted.
        peer: Peer,
    },
    /// The last transport connection to a peer is gone.
    Disconnected {
        /// The peer.
        peer: Peer,
    },
    /// A peer asks something. Answered by exactly one `Reply`, `ServeRange`, `ServeEntries` or
    /// `ServePayloads` with this channel.
    Inbound {
        /// Who asks.
        peer: Peer,
        /// Where the answer goes.
        channel: Channel,
        /// The decoded request.
        request: Request,
    },
    /// A peer answered a request of ours, or never will.
    Outcome {
        /// Whom we had asked.
        peer: Peer,
        /// The id that we gave the request.
        request: RequestId,
        /// The decoded response, or why there is none.
        result: Result<Response, SendFailure>,
    },
    /// Our member's card was signed anew, or came as a file.
    Card {
        /// The signed card.
        card: Vec<u8>,
    },
    /// A local caller states something.
    Submit(Submit),
    /// A local caller asks this witness to cosign: a C2SP `add-checkpoint` body. Answered by exactly one
    /// `AnswerCosign`.
    AddCheckpoint {
        /// Echoed in the answer.
        request: u64,
        /// The body.
        body: Vec<u8>,
    },
    /// What [`crate::Effect::ReadTree`] found.
    TreeRead {
        /// The read's number.
        read: u64,
        /// What the tree says, or `None` when it could not be read.
        found: Option<ConsistencyAnswer>,
    },
    /// A batch of [`crate::Effect::Write`], or a fact of [`crate::Effect::WriteFact`], is synced to disk.
    Written {
        /// The batch's id.
        write: WriteId,
        /// The leaves as read back from the database, when the batch asked for it; else empty.
        read_back: Vec<Vec<u8>>,
    },
    /// Entries that lack their payload, as [`crate::Effect::FindMissing`] asked.
    Missing {
        /// The log.
        log: LogId,
        /// The entries, ascending; none when the end of the list is reached.
        found: Vec<MissingEntry>,
    },
    /// Stored bytes are not what they were. Of the own log this stops the node; of another one the entries are
    /// fetched again, and [`crate::Effect::Healed`] tells when they are stored.
    Damaged(Damage),
    /// The entries of [`crate::Effect::Repair`] are synced to disk.
    Repaired {
        /// The batch's id.
        write: WriteId,
        /// Of how many of them no payload is here now.
        payloads_missing: u64,
    },
    /// The operator installed roster versions; all that are on disk, oldest first.
    Roster {
        /// The versions.
        versions: Vec<SignedRoster>,
    },
    /// What [`crate::Effect::ReadHoldings`] found.
    Holdings {
        /// The read's number.
        read: u64,
        /// Log by log in the order asked, or `None` when they could not be read.
        found: Option<Vec<FoundHolding>>,
        /// A fresh random salt, for the receipt that may come of it.
        salt: [u8; 32],
    },
    /// Where subjects of erasures stand, as [`crate::Effect::FindSubjects`] asked; those that are not here
    /// are left out.
    SubjectsFound {
        /// The places.
        found: Vec<FoundSubject>,
    },
    /// A batch of [`crate::Effect::Erase`] is done: what is destroyed is in no file any more.
    Erased {
        /// The batch's id.
        write: WriteId,
        /// What changed.
        changed: Vec<ErasedEntry>,
    },
    /// The lock file of [`crate::Effect::WriteLock`] is synced to disk.
    LockWritten {
        /// The write's id.
        write: WriteId,
    },
    /// A write failed or its outcome is unknown. The engine stops: recovery is start-up's work.
    WriteFailed {
        /// The write's id.
        write: WriteId,
        /// The storage engine's own words, for the operator.
        detail: String,
    },
}

/// What is held of one log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundHolding {
    /// Runs of entries whose payload is not present, ascending and apart from each other.
    pub missing: Vec<Gap>,
    /// Whether an entry that is no receipt stands at or above the size stated last.
    pub has_grown: bool,
}

/// An entry beside which something else stands now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasedEntry {
    /// Its place; of an entry of a kept history with the name of that history in place of the log.
    pub at: EntryRef,
    /// What stood there.
    pub before: PayloadState,
    /// Leaf, and what stands there now.
    pub entry: StoredEntry,
}

/// An entry that is held without its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingEntry {
    /// Leaf index.
    pub index: u64,
    /// Leaf bytes, against whose commitment the payload is checked.
    pub leaf: Vec<u8>,
}

/// Entries of a log that are not readable, or do not belong where they stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The log.
    pub log: LogId,
    /// First leaf index concerned.
    pub start: u64,
    /// Behind the last one.
    pub end: u64,
    /// The tree before `start`, from leaves that were found whole.
    pub before: Frontier,
    /// Whose payloads are bad; the others' stay as they are.
    pub payloads: BTreeSet<u64>,
    /// What was found, for the operator.
    pub detail: String,
}

/// Why a request of ours has no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendFailure {
    /// No answer in time.
    TimedOut,
    /// The connection is gone, or the peer does not speak the protocol.
    Unreachable,
    /// The answer broke the wire format or its bounds.
    Malformed,
}

/// Statements that a local caller wants in the log: all of them or none.
#[derive(Debug)]
pub struct Submit {
    /// Echoed in the answer.
    pub request: u64,
    /// What to state, in order.
    pub drafts: Vec<Draft>,
    /// The group that may have the payloads; 0 for everybody.
    pub group: u32,
    /// One fresh random salt per draft; as many as drafts.
    pub salts: Vec<[u8; 32]>,
    /// The caller's idempotency key, already bound to the caller, if one was given.
    pub key: Option<[u8; 32]>,
    /// Digest of what is asked, so that a key cannot be reused for something else.
    pub digest: [u8; 32],
    /// What the database already knows about `key`.
    pub prior: Option<Prior>,
    /// When to answer.
    pub ack: Ack,
}

/// What an earlier submission under the same idempotency key appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prior {
    /// The log that it went to: this one, or one that this member had before.
    pub log: LogId,
    /// Digest of what was asked then.
    pub digest: [u8; 32],
    /// Leaf index of its first entry.
    pub first_index: u64,
    /// Record ids of its entries, in order.
    pub records: Vec<LeafHash>,
    /// Size of the checkpoint that first covered it.
    pub tree_size: u64,
}

/// The promise that a receipt stands for (DESIGN: durability).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ack {
    /// Survives any crash of this node.
    Local,
    /// Survives the loss of this node's disk: this many other members have it on theirs.
    Replicated(u32),
}

/// One statement as a caller makes it; the engine adds place, time and subject.
#[derive(Debug, Clone)]
pub enum Draft {
    /// A piece of media, by its signals and labels, or a statement about something else.
    Content(Content),
    /// The same, as an addition to another entry, such as a further part of a model.
    Addition {
        /// The entry.
        subject: RecordId,
        /// What is stated.
        content: Content,
    },
    /// An opinion on somebody else's record.
    Opinion {
        /// The record.
        subject: RecordId,
        /// The opinion.
        opinion: OpinionValue,
        /// Its reason, if one is given.
        reason: Option<Reason>,
    },
    /// The withdrawal of a record of our own.
    Retraction {
        /// The record.
        subject: RecordId,
        /// Why.
        reason: RetractionReason,
    },
    /// An order to destroy the payload of a record of our own, or of anybody's if we are an authority.
    Erasure {
        /// The record.
        subject: RecordId,
        /// Why.
        reason: ErasureReason,
        /// On whose demand.
        basis: ErasureBasis,
    },
    /// Another statement in the place of a record of our own.
    Supersession {
        /// The record.
        subject: RecordId,
        /// What is stated instead.
        content: Content,
    },
    /// What we, as a panellist, hold of a signal.
    Ruling {
        /// The record that gave rise to it.
        subject: Option<RecordId>,
        /// The signal.
        signal: Signal,
        /// What is held of it.
        verdict: Verdict,
        /// What that rests on.
        reason: RulingReason,
    },
    /// A vote about the suspension of another member, under the roster that we hold.
    Vote {
        /// The member.
        member: MemberId,
        /// What is voted for.
        vote: Vote,
        /// Why.
        reason: SuspensionReason,
    },
    /// An incident is declared or closed.
    Incident(Incident),
}
