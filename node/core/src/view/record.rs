//! One record as it currently stands, with who said what about it.

use super::Author;
use super::rulings::Ruled;
use crate::effect::EntryRef;
use hashpact_protocol::digest::RecordId;
use hashpact_protocol::leaf::Kind;
use hashpact_protocol::record::{
    Content, ErasureBasis, ErasureReason, OpinionValue, Reason, RetractionReason,
};
use hashpact_protocol::roster::{LogPlace, MemberId};
use std::collections::BTreeMap;

/// Whether a record counts, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Status {
    /// Counts.
    Active,
    /// Counts; at least one member disagrees.
    Disputed,
    /// Counts, for review at most: its author signed two histories, and it is in one of them only.
    Contested,
    /// Counts, for review at most: members registered the model that it lists as benign (SPEC §13.4). Look-ups find that
    /// out; a view never says it.
    Conflicting,
    /// In a history that its author forked off below what witnesses or the roster settled; never counts.
    Disowned,
    /// Withdrawn by its author, or by its steward; final.
    Retracted,
    /// Its author, or its steward, stated something else in its place; final.
    Superseded,
    /// Its author is suspended, from before it on.
    Suspended,
    /// Its author left, and the roster says that its records do not count any more.
    Lapsed,
    /// Its payload names another entry than its leaf does; never counts.
    Void,
    /// The review panel holds all of its signals to be benign, or of adults.
    Ruled,
    /// Its own expiry has passed.
    Expired,
    /// An erasure order counts, and its hold is not over: neither served nor matched nor shown.
    Sealed,
    /// The payload is destroyed here.
    Erased,
    /// The payload is under a legal hold here instead of being destroyed.
    Held,
}

impl Status {
    /// Whether look-ups may find what has this status.
    #[must_use]
    pub const fn stands(self) -> bool {
        matches!(self, Self::Active | Self::Disputed | Self::Contested | Self::Conflicting)
    }

    /// Whether the payload is sealed or gone: nothing of it may be shown.
    #[must_use]
    pub const fn is_blank(self) -> bool {
        matches!(self, Self::Sealed | Self::Erased | Self::Held)
    }

    /// The word in answers and listings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disputed => "disputed",
            Self::Contested => "contested",
            Self::Conflicting => "conflicting",
            Self::Disowned => "disowned",
            Self::Retracted => "retracted",
            Self::Superseded => "superseded",
            Self::Suspended => "suspended",
            Self::Lapsed => "lapsed",
            Self::Void => "void",
            Self::Ruled => "ruled",
            Self::Expired => "expired",
            Self::Sealed => "sealed",
            Self::Erased => "erased",
            Self::Held => "held",
        }
    }
}

/// Why a record has its status, as data for a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StatusReason {
    /// Withdrawn by its author, or by a steward of its author, who left.
    RetractedBy {
        /// Who.
        member: MemberId,
        /// Claimed time.
        time_ms: u64,
        /// The retraction.
        entry: EntryRef,
        /// The stated reason, when its payload is here.
        reason: Option<RetractionReason>,
    },
    /// Its author or an erasure authority ordered the erasure.
    OrderedBy {
        /// Who.
        member: MemberId,
        /// Claimed time.
        time_ms: u64,
        /// The order.
        entry: EntryRef,
        /// The stated reason, when its payload is here.
        reason: Option<ErasureReason>,
        /// On whose demand, when its payload is here.
        basis: Option<ErasureBasis>,
    },
    /// Its author, or a steward of its author, who left, stated something else in its place.
    SupersededBy {
        /// Who.
        member: MemberId,
        /// Claimed time.
        time_ms: u64,
        /// The supersession.
        entry: EntryRef,
        /// The same by its id: the record that stands in its place, or stood.
        record: RecordId,
    },
    /// Members voted to suspend its author.
    SuspendedBy {
        /// How many.
        votes: usize,
        /// Of how many.
        members: usize,
        /// When that ends.
        until_ms: u64,
        /// The roster version that it is for.
        roster_version: u64,
    },
    /// Its author left, and its records do not count any more.
    LapsedWith {
        /// The author.
        member: MemberId,
        /// The roster version since which they do not.
        roster_version: u64,
    },
    /// Its payload names the entry at this place, which is not the one that its leaf names.
    NamesAnother {
        /// The entry that its leaf names.
        subject: RecordId,
        /// The place that its payload names.
        named: EntryRef,
    },
    /// The review panel ruled on its signals.
    RuledBy {
        /// The ruling on the first of them that decided.
        ruled: Box<Ruled>,
    },
    /// Members disagree.
    DisagreedBy {
        /// Who.
        members: Vec<MemberId>,
    },
    /// Its author signed two histories that part before it.
    ForkedFrom {
        /// Leaf index from which on entries of the log are contested.
        index: u64,
    },
    /// Past its expiry.
    ExpiredAt {
        /// When.
        time_ms: u64,
    },
}

/// Why a payload is not here any more, and never will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// Destroyed.
    Erased,
    /// Encrypted, for a legal hold.
    Held,
}

/// One member's latest opinion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The opinion.
    pub opinion: OpinionValue,
    /// Its reason.
    pub reason: Option<Reason>,
    /// Claimed time.
    pub time_ms: u64,
    /// Where it stands in the member's logs.
    pub place: LogPlace,
    /// If it disagrees about labels alone: the last earlier one of the member that did not.
    pub before: Option<Box<Statement>>,
}

/// Latest opinions, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OpinionCounts {
    /// Members that agree.
    pub agree: u32,
    /// Members that disagree.
    pub disagree: u32,
    /// Members that are unsure.
    pub unsure: u32,
    /// Members that have seen it on their own service.
    pub seen: u32,
}

/// Whether a record counts, why, and who said what about it: everything about it that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Whether it counts.
    pub status: Status,
    /// Why.
    pub reason: Option<StatusReason>,
    /// Latest opinion of each other member.
    pub statements: BTreeMap<MemberId, Statement>,
}

impl Standing {
    /// Of a record that nobody has said anything about.
    pub const UNDISPUTED: Self = Self { status: Status::Active, reason: None, statements: BTreeMap::new() };

    /// The opinions counted.
    #[must_use]
    pub fn opinions(&self) -> OpinionCounts {
        let mut counts = OpinionCounts::default();
        for statement in self.statements.values() {
            let field = match statement.opinion {
                OpinionValue::Agree => &mut counts.agree,
                OpinionValue::Disagree => &mut counts.disagree,
                OpinionValue::Unsure => &mut counts.unsure,
                OpinionValue::Seen => &mut counts.seen,
            };
            *field += 1;
        }
        counts
    }
}

/// A record as the view knows it: whose it is, where, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownRecord {
    /// The record id: its leaf hash.
    pub id: RecordId,
    /// Who stated it, in which log.
    pub author: Author,
    /// Leaf index.
    pub index: u64,
    /// How it stands.
    pub standing: Standing,
}

impl KnownRecord {
    /// Whether it counts.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.standing.status
    }

    /// Whether look-ups may find it.
    #[must_use]
    pub const fn stands(&self) -> bool {
        self.standing.status.stands()
    }

    /// Whether nothing of what it states may be shown.
    #[must_use]
    pub const fn is_blank(&self) -> bool {
        self.standing.status.is_blank()
    }
}

/// What a record states. The view does not keep it: look-ups do, until the payload is sealed or gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stated {
    /// Kind of record.
    pub kind: Kind,
    /// When it was stated: the author's claim.
    pub time_ms: u64,
    /// Signals, labels, review and source.
    pub content: Content,
}

/// One record with what it states, as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordView {
    /// The record and how it stands.
    pub known: KnownRecord,
    /// What it states.
    pub stated: Stated,
}
