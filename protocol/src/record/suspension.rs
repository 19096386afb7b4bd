//! `suspension`: a vote to let a member's entries not count for a while, or to end that.
//!
//! An emergency brake for a stolen key or a flood: it holds what the member states from a place of its logs
//! on, for a fixed time, until a new roster can close the log. A vote names that place, so that nobody can
//! evade it by dating entries back, and the roster version, for which a member can be suspended once. How
//! many votes it takes, and from when until when it lasts, is the view's business (SPEC §7.12).
//!
//! SPEC §7.12.

use super::error::{RecordError, SchemaError};
use super::schema::{KEY_SUBJECT, MapReader, MapWriter, Schema, UnknownFields, find_foreign_key};
use super::vocabulary::{Label, LabelWord, Vocabulary};
use crate::codec::{Fields, Int, Value};
use crate::leaf::{Kind, Leaf, OpaqueReason};
use crate::roster::{LogPlace, MemberId};

const MAP: &str = "suspension";

const KEY_REASON: u64 = 1;
const KEY_MEMBER: u64 = 2;
const KEY_ROSTER: u64 = 4;
const KEY_FROM: u64 = 6;
const KEY_VOTE: u64 = 8;

/// What is voted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Vote {
    /// That the member's entries from this place of its logs on do not count.
    Suspend(LogPlace),
    /// That they count again.
    Withdraw,
}

/// The word of a [`Vote`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VoteWord {
    /// Suspend the member.
    Suspend,
    /// End the suspension.
    Withdraw,
}

/// Why a member is suspended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SuspensionReason {
    /// Not stated.
    #[default]
    Unstated,
    /// Its key is, or may be, in other hands.
    StolenKey,
    /// It contributes far more than it used to.
    Flood,
    /// What it states is wrong.
    FalseRecords,
    /// It takes back far more than it used to.
    MassWithdrawal,
    /// It breaks what members agreed upon.
    Misconduct,
    /// None of these.
    Other,
}

impl Vocabulary for VoteWord {
    const FIELD: &'static str = "vote";
    const TABLE: &'static [(Self, u8, &'static str)] =
        &[(Self::Suspend, 1, "suspend"), (Self::Withdraw, 2, "withdraw")];
}

impl Vocabulary for SuspensionReason {
    const FIELD: &'static str = "reason";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self::Unstated, 0, "unstated"),
        (Self::StolenKey, 1, "stolen_key"),
        (Self::Flood, 2, "flood"),
        (Self::FalseRecords, 3, "false_records"),
        (Self::MassWithdrawal, 4, "mass_withdrawal"),
        (Self::Misconduct, 5, "misconduct"),
        (Self::Other, 6, "other"),
    ];
}

impl LabelWord for SuspensionReason {
    const DEFAULT: Self = Self::Unstated;
    const FALLBACK: Self = Self::Unstated;
}

impl Vote {
    /// Its word.
    #[must_use]
    pub const fn word(self) -> VoteWord {
        match self {
            Self::Suspend(_) => VoteWord::Suspend,
            Self::Withdraw => VoteWord::Withdraw,
        }
    }
}

/// A vote about the suspension of a member under one roster version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspension {
    /// The member that it is about.
    pub member: MemberId,
    /// The roster version that it is for; a member can be suspended once under each.
    pub roster_version: u64,
    /// What is voted for.
    pub vote: Vote,
    /// Why.
    pub reason: Label<SuspensionReason>,
    /// Fields of a newer version that may be ignored.
    pub unknown: UnknownFields,
}

impl Suspension {
    /// A vote without fields of a newer version.
    #[must_use]
    pub fn new(
        member: MemberId,
        roster_version: u64,
        vote: Vote,
        reason: impl Into<Label<SuspensionReason>>,
    ) -> Self {
        Self { member, roster_version, vote, reason: reason.into(), unknown: UnknownFields::new() }
    }
}

fn read_place(value: &Value) -> Option<LogPlace> {
    let Value::Array(parts) = value else { return None };
    let [Value::Int(Int::Unsigned(n)), Value::Int(Int::Unsigned(index))] = parts.as_slice() else {
        return None;
    };
    Some(LogPlace { n: u32::try_from(*n).ok()?, index: *index })
}

impl Schema for Suspension {
    fn find_foreign(fields: &Fields) -> Option<OpaqueReason> {
        let known = [KEY_SUBJECT, KEY_MEMBER, KEY_ROSTER, KEY_FROM, KEY_VOTE];
        find_foreign_key(MAP, fields, &known).or_else(|| {
            let code = fields.get(&KEY_VOTE)?.as_unsigned()?;
            let known = VoteWord::from_code(code).is_some();
            (!known).then_some(OpaqueReason::Word { field: VoteWord::FIELD, code })
        })
    }

    fn read(leaf: &Leaf, fields: Fields) -> Result<Self, SchemaError> {
        let mut map = MapReader::new(MAP, fields);
        if map.subject(leaf)?.is_some() {
            return Err(map.broken(KEY_SUBJECT, RecordError::SubjectNotAllowed { kind: Kind::Suspension }));
        }
        let member = map.text(KEY_MEMBER)?.ok_or_else(|| map.missing(KEY_MEMBER))?;
        let member =
            MemberId::parse(&member).map_err(|rule| map.broken(KEY_MEMBER, RecordError::Member(rule)))?;
        let roster_version = map.unsigned(KEY_ROSTER)?.ok_or_else(|| map.missing(KEY_ROSTER))?;
        if roster_version == 0 {
            return Err(map.broken(KEY_ROSTER, RecordError::RosterVersion));
        }
        let from = map.value(KEY_FROM);
        let from = from.map(|from| read_place(&from).ok_or_else(|| map.mistyped(KEY_FROM, "[n, index]")));
        let from = from.transpose()?;
        let code = map.unsigned(KEY_VOTE)?.ok_or_else(|| map.missing(KEY_VOTE))?;
        let word = VoteWord::from_code(code).expect("an unknown word was found foreign before");
        let vote = match (word, from) {
            (VoteWord::Suspend, Some(from)) => Vote::Suspend(from),
            (VoteWord::Suspend, None) => return Err(map.missing(KEY_FROM)),
            (VoteWord::Withdraw, None) => Vote::Withdraw,
            (VoteWord::Withdraw, Some(_)) => {
                return Err(map.broken(KEY_FROM, RecordError::PlaceOfWithdrawal));
            }
        };
        Ok(Self { member, roster_version, vote, reason: map.label(KEY_REASON)?, unknown: map.finish()? })
    }

    fn to_fields(&self) -> Fields {
        let mut map = MapWriter::new(&self.unknown);
        map.put_nonzero(KEY_REASON, self.reason.code());
        map.put(KEY_MEMBER, Value::Text(self.member.to_string()));
        map.put(KEY_ROSTER, Value::unsigned(self.roster_version));
        if let Vote::Suspend(LogPlace { n, index }) = self.vote {
            map.put(KEY_FROM, Value::Array(vec![Value::unsigned(n), Value::unsigned(index)]));
        }
        map.put(KEY_VOTE, Value::unsigned(self.vote.word().code()));
        map.finish()
    }
}
