//! Leaves: the 136 bytes a log commits to, and how a payload hangs on them.
//!
//! A leaf says who states what kind of thing about which entry, and commits to a payload that is kept
//! beside the tree. The commitment is salted, so that a payload can be erased or withheld while every
//! proof still verifies, and so that the leaf of an erased payload confirms no guess. Padding to a few
//! sizes keeps the length from saying more than it must.
//!
//! [`read_leaf`] is total: a leaf never stops replication. It is `Void` when it breaks a rule of this
//! version, which no later version may forgive, and `Opaque` when it may make sense to a later
//! version. Void depends on the entry alone, never on what came before it: whether time or roster
//! version went backwards is not asked here. Whether the subject exists is not asked here either
//! (`hashpact-core` keeps an entry pending until its subject is held).
//!
//! Sealing and checking payloads is in `payload`, the reasons of both verdicts are in `verdict`.
//!
//! What this module deliberately does not do: read payloads (`record`) or hash leaves into trees
//! (`digest`, `merkle`).
//!
//! SPEC §6.

mod payload;
mod verdict;

use crate::digest::{LeafHash, LogId, PayloadCommitment};
use crate::limits::{
    ENTRY_LEAF_MAX_BYTES, LEAF_BYTES, LEAF_PREFIX_BYTES, PAYLOAD_PADDED_MAX_BYTES, PAYLOAD_PADDED_MIN_BYTES,
    TIME_MS_MAX,
};
pub use payload::{LeafHeader, PayloadError, Sealed, check_commitment, commitment, pad_payload, seal, unpad};
pub use verdict::{OpaqueReason, VoidReason};

/// First bytes of a version 1 leaf.
pub const MAGIC: [u8; 4] = *b"HPL1";
/// The only payload codec of this version: deterministic CBOR.
pub const CODEC_CBOR: u16 = 1;

const FLAG_HAS_SUBJECT: u8 = 1;
const FLAG_PRIORITY: u8 = 2;

/// What an entry is.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Signals and labels of one piece of media.
    Content = 1,
    /// Fingerprints of a generative model.
    Model = 2,
    /// Digests of a set of training data.
    Dataset = 3,
    /// Digests of an app, bot or site made for abuse.
    Service = 4,
    /// A technique that was seen: tactics, techniques and procedures.
    Ttp = 5,
    /// What a member thinks of another entry.
    Opinion = 6,
    /// The author takes an entry back.
    Retraction = 7,
    /// The author replaces an entry by this one.
    Supersede = 8,
    /// An order to destroy a payload.
    Erasure = 9,
    /// A content incident.
    Incident = 10,
    /// A verdict of the review panel.
    Ruling = 11,
    /// A vote to suspend a member.
    Suspension = 12,
    /// A statement of which payloads a member holds.
    Receipt = 13,
    /// Evidence of a forked log.
    Evidence = 14,
}

impl Kind {
    /// Every kind, by code.
    pub const ALL: [Self; 14] = [
        Self::Content,
        Self::Model,
        Self::Dataset,
        Self::Service,
        Self::Ttp,
        Self::Opinion,
        Self::Retraction,
        Self::Supersede,
        Self::Erasure,
        Self::Incident,
        Self::Ruling,
        Self::Suspension,
        Self::Receipt,
        Self::Evidence,
    ];

    /// The byte in the leaf.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The kind with this code, if this version knows it.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// The word used in JSON and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Content => "content",
            Self::Model => "model",
            Self::Dataset => "dataset",
            Self::Service => "service",
            Self::Ttp => "ttp",
            Self::Opinion => "opinion",
            Self::Retraction => "retraction",
            Self::Supersede => "supersede",
            Self::Erasure => "erasure",
            Self::Incident => "incident",
            Self::Ruling => "ruling",
            Self::Suspension => "suspension",
            Self::Receipt => "receipt",
            Self::Evidence => "evidence",
        }
    }

    /// The kind with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether an entry of this kind is nothing without a subject.
    #[must_use]
    pub const fn needs_subject(self) -> bool {
        matches!(self, Self::Opinion | Self::Retraction | Self::Supersede | Self::Erasure)
    }

    /// Whether an entry of this kind takes effect from its leaf alone, whatever its payload says and
    /// whether or not anybody holds it. Otherwise members with and without the payload would disagree.
    #[must_use]
    pub const fn acts_from_leaf(self) -> bool {
        matches!(self, Self::Retraction | Self::Supersede | Self::Erasure)
    }

    /// Whether an entry of this kind is a record: a statement that others are about, and that look-ups find.
    #[must_use]
    pub const fn is_statement(self) -> bool {
        matches!(
            self,
            Self::Content | Self::Model | Self::Dataset | Self::Service | Self::Ttp | Self::Supersede
        )
    }

    /// Whether entries of this kind may overtake a backlog when their leaf asks for it.
    #[must_use]
    pub const fn may_overtake(self) -> bool {
        self.is_statement()
            || matches!(
                self,
                Self::Retraction | Self::Erasure | Self::Incident | Self::Ruling | Self::Suspension
            )
    }

    /// Whether the payload of an entry of this kind may be erased.
    #[must_use]
    pub const fn payload_can_be_erased(self) -> bool {
        self.is_statement()
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A leaf of version 1 that breaks no rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// What the entry is.
    pub kind: Kind,
    /// Whether it is about another entry; equal to `subject.is_some()`.
    pub has_subject: bool,
    /// Whether it overtakes a backlog when logs are followed.
    pub priority: bool,
    /// How the payload is encoded; always [`CODEC_CBOR`].
    pub payload_codec: u16,
    /// Place in the log.
    pub index: u64,
    /// Milliseconds since 1970 UTC: the author's claim.
    pub time_ms: u64,
    /// Version of the roster that the author held: a claim that grants no right.
    pub roster_version: u64,
    /// The log.
    pub log_id: LogId,
    /// Leaf hash of the entry that this one is about.
    pub subject: Option<LeafHash>,
    /// Who may have the payload; 0 is every member.
    pub group: u32,
    /// Length of the padded payload in bytes.
    pub payload_len: u32,
    /// Commitment to prefix, salt and padded payload.
    pub commitment: PayloadCommitment,
}

impl Leaf {
    /// Whether it overtakes a backlog: it asks for it, and its kind may.
    #[must_use]
    pub const fn overtakes(&self) -> bool {
        self.priority && self.kind.may_overtake()
    }

    /// The 136 bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; LEAF_BYTES] {
        let mut bytes = [0; LEAF_BYTES];
        let (prefix, commitment) = bytes.split_at_mut(LEAF_PREFIX_BYTES);
        prefix.copy_from_slice(&self.encode_prefix());
        commitment.copy_from_slice(self.commitment.as_bytes());
        bytes
    }

    /// The part that the commitment covers.
    fn encode_prefix(&self) -> [u8; LEAF_PREFIX_BYTES] {
        let has_subject = if self.has_subject { FLAG_HAS_SUBJECT } else { 0 };
        let priority = if self.priority { FLAG_PRIORITY } else { 0 };
        let subject = self.subject.map_or([0; 32], |subject| *subject.as_bytes());
        let mut bytes = [0; LEAF_PREFIX_BYTES];
        let mut at = 0;
        let mut put = |field: &[u8]| {
            for (target, source) in bytes.iter_mut().skip(at).zip(field) {
                *target = *source;
            }
            at += field.len();
        };
        put(&MAGIC);
        put(&[self.kind.code(), has_subject | priority]);
        put(&self.payload_codec.to_be_bytes());
        put(&self.index.to_be_bytes());
        put(&self.time_ms.to_be_bytes());
        put(&self.roster_version.to_be_bytes());
        put(self.log_id.as_bytes());
        put(&subject);
        put(&self.group.to_be_bytes());
        put(&self.payload_len.to_be_bytes());
        debug_assert_eq!(at, LEAF_PREFIX_BYTES, "the fields fill the prefix");
        bytes
    }
}

/// What a leaf is to this version of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryLeaf {
    /// A leaf of version 1 whose kind and codec are known.
    Known(Leaf),
    /// Stored, proven and shown, but this version cannot read it. Never counts.
    Opaque(OpaqueReason),
    /// Stored, proven and shown, but breaks a rule. Never counts, in no version.
    Void(VoidReason),
}

/// Reads a leaf that stands at `expected_index` of `expected_log`. Never fails: see [`EntryLeaf`].
#[must_use]
pub fn read_leaf(bytes: &[u8], expected_log: &LogId, expected_index: u64) -> EntryLeaf {
    if bytes.len() > ENTRY_LEAF_MAX_BYTES {
        return EntryLeaf::Void(VoidReason::LeafTooLong { got: bytes.len(), max: ENTRY_LEAF_MAX_BYTES });
    }
    match bytes {
        [b'H', b'P', b'L', b'1', ..] => {}
        [b'H', b'P', b'L', got, ..] => return EntryLeaf::Opaque(OpaqueReason::Version { got: *got }),
        _ => return EntryLeaf::Void(VoidReason::Magic),
    }
    let Ok(bytes) = <&[u8; LEAF_BYTES]>::try_from(bytes) else {
        return EntryLeaf::Void(VoidReason::LeafLength { got: bytes.len(), expected: LEAF_BYTES });
    };
    let raw = RawLeaf::split(bytes);
    match raw.check(expected_log, expected_index) {
        Err(reason) => EntryLeaf::Void(reason),
        Ok(()) => raw.name(),
    }
}

/// The kind that a leaf is marked with, if it is of a version that this program reads: for what need not read most leaves.
#[must_use]
pub fn marked_kind(bytes: &[u8]) -> Option<Kind> {
    Kind::from_code(*bytes.get(4)?)
}

/// Whether the leaf that stands at this place overtakes a backlog, decided without reading most leaves.
#[must_use]
pub fn is_overtaking(bytes: &[u8], log: &LogId, index: u64) -> bool {
    bytes.get(5).is_some_and(|flags| flags & FLAG_PRIORITY != 0)
        && matches!(read_leaf(bytes, log, index), EntryLeaf::Known(leaf) if leaf.overtakes())
}

/// The fields as they stand, before any is believed.
struct RawLeaf {
    kind: u8,
    flags: u8,
    codec: u16,
    index: u64,
    time_ms: u64,
    roster_version: u64,
    log_id: LogId,
    subject: [u8; 32],
    group: u32,
    payload_len: u32,
    commitment: PayloadCommitment,
}

impl RawLeaf {
    fn split(bytes: &[u8; LEAF_BYTES]) -> Self {
        let mut fields = Split(bytes);
        let [_, _, _, _, kind, flags] = fields.next::<6>();
        Self {
            kind,
            flags,
            codec: u16::from_be_bytes(fields.next()),
            index: u64::from_be_bytes(fields.next()),
            time_ms: u64::from_be_bytes(fields.next()),
            roster_version: u64::from_be_bytes(fields.next()),
            log_id: LogId::new(fields.next()),
            subject: fields.next(),
            group: u32::from_be_bytes(fields.next()),
            payload_len: u32::from_be_bytes(fields.next()),
            commitment: PayloadCommitment::new(fields.next()),
        }
    }

    /// The rules of version 1 that hold for every kind and codec, in the order of SPEC §6.3.
    fn check(&self, expected_log: &LogId, expected_index: u64) -> Result<(), VoidReason> {
        if self.log_id != *expected_log {
            return Err(VoidReason::Log { got: self.log_id });
        }
        if self.index != expected_index {
            return Err(VoidReason::Index { got: self.index, expected: expected_index });
        }
        if self.flags & !(FLAG_HAS_SUBJECT | FLAG_PRIORITY) != 0 {
            return Err(VoidReason::Flags { got: self.flags });
        }
        match (self.has_subject(), self.subject == [0; 32]) {
            (true, true) => return Err(VoidReason::SubjectZero),
            (false, false) => return Err(VoidReason::SubjectUnannounced),
            _ => {}
        }
        if self.time_ms > TIME_MS_MAX {
            return Err(VoidReason::Time { got: self.time_ms });
        }
        if !payload::is_padded_length(self.payload_len as usize) {
            return Err(VoidReason::PayloadLength {
                got: self.payload_len,
                min: PAYLOAD_PADDED_MIN_BYTES,
                max: PAYLOAD_PADDED_MAX_BYTES,
            });
        }
        match Kind::from_code(self.kind) {
            Some(kind) if kind.needs_subject() && !self.has_subject() => {
                Err(VoidReason::SubjectMissing { kind })
            }
            _ => Ok(()),
        }
    }

    fn has_subject(&self) -> bool {
        self.flags & FLAG_HAS_SUBJECT != 0
    }

    fn name(&self) -> EntryLeaf {
        let Some(kind) = Kind::from_code(self.kind) else {
            return EntryLeaf::Opaque(OpaqueReason::Kind { got: self.kind });
        };
        if self.codec != CODEC_CBOR {
            return EntryLeaf::Opaque(OpaqueReason::Codec { got: self.codec });
        }
        let has_subject = self.has_subject();
        EntryLeaf::Known(Leaf {
            kind,
            has_subject,
            priority: self.flags & FLAG_PRIORITY != 0,
            payload_codec: self.codec,
            index: self.index,
            time_ms: self.time_ms,
            roster_version: self.roster_version,
            log_id: self.log_id,
            subject: has_subject.then(|| LeafHash::new(self.subject)),
            group: self.group,
            payload_len: self.payload_len,
            commitment: self.commitment,
        })
    }
}

/// Takes fixed-width fields off the front of a leaf.
struct Split<'a>(&'a [u8]);

impl Split<'_> {
    fn next<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self.0.split_first_chunk::<N>().expect("the fields of a leaf sum to its length");
        self.0 = rest;
        *field
    }
}
