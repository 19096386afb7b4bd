//! `opinion`: what a member thinks of another entry.
//!
//! A word that decides (`agree`, `disagree`, `unsure`, `seen`) and a reason that explains. An unknown
//! deciding word makes the entry opaque; an unknown reason reads as unstated. What an opinion binds
//! and whose counts is the view's business.
//!
//! SPEC §7.7.

use super::error::SchemaError;
use super::schema::{KEY_SUBJECT, MapReader, MapWriter, Schema, SubjectRef, UnknownFields, find_foreign_key};
use super::vocabulary::{Label, LabelWord, Vocabulary};
use crate::codec::{Fields, Value};
use crate::leaf::{Leaf, OpaqueReason};

const MAP: &str = "opinion";

const KEY_REASON: u64 = 1;
const KEY_OPINION: u64 = 2;

/// The opinion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OpinionValue {
    /// The record is right.
    Agree,
    /// It is not.
    Disagree,
    /// Looked, and cannot tell.
    Unsure,
    /// Met the content, says no more.
    Seen,
}

/// Why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Not stated.
    #[default]
    Unstated,
    /// The signal also matches benign content.
    BenignCollision,
    /// Those shown are adults.
    Adult,
    /// Not computer generated: asks for another origin label, never lowers an outcome.
    NotCg,
    /// Another class: asks for other labels, never lowers an outcome.
    WrongClass,
    /// Stated already.
    Duplicate,
    /// A mistake in making the record.
    Error,
    /// An order of a court or authority.
    LegalOrder,
    /// None of these.
    Other,
}

impl Vocabulary for OpinionValue {
    const FIELD: &'static str = "opinion";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self::Agree, 1, "agree"),
        (Self::Disagree, 2, "disagree"),
        (Self::Unsure, 3, "unsure"),
        (Self::Seen, 4, "seen"),
    ];
}

impl Vocabulary for Reason {
    const FIELD: &'static str = "reason";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self::Unstated, 0, "unstated"),
        (Self::BenignCollision, 1, "benign_collision"),
        (Self::Adult, 2, "adult"),
        (Self::NotCg, 3, "not_cg"),
        (Self::WrongClass, 4, "wrong_class"),
        (Self::Duplicate, 5, "duplicate"),
        (Self::Error, 6, "error"),
        (Self::LegalOrder, 7, "legal_order"),
        (Self::Other, 8, "other"),
    ];
}

impl LabelWord for Reason {
    const DEFAULT: Self = Self::Unstated;
    const FALLBACK: Self = Self::Unstated;
}

/// What a member thinks of the entry that is its subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opinion {
    /// The entry, which must be the one that the leaf names by its hash.
    pub subject: SubjectRef,
    /// The opinion.
    pub opinion: OpinionValue,
    /// Why.
    pub reason: Label<Reason>,
    /// Fields of a newer version that may be ignored.
    pub unknown: UnknownFields,
}

impl Opinion {
    /// An opinion without fields of a newer version.
    #[must_use]
    pub fn new(subject: SubjectRef, opinion: OpinionValue, reason: impl Into<Label<Reason>>) -> Self {
        Self { subject, opinion, reason: reason.into(), unknown: UnknownFields::new() }
    }
}

impl Schema for Opinion {
    fn find_foreign(fields: &Fields) -> Option<OpaqueReason> {
        find_foreign_key(MAP, fields, &[KEY_SUBJECT, KEY_OPINION]).or_else(|| {
            let code = fields.get(&KEY_OPINION)?.as_unsigned()?;
            let known = OpinionValue::from_code(code).is_some();
            (!known).then_some(OpaqueReason::Word { field: OpinionValue::FIELD, code })
        })
    }

    fn read(leaf: &Leaf, fields: Fields) -> Result<Self, SchemaError> {
        let mut map = MapReader::new(MAP, fields);
        let subject = map.subject(leaf)?.ok_or(SchemaError::SubjectMissing)?;
        let code = map.unsigned(KEY_OPINION)?.ok_or_else(|| map.missing(KEY_OPINION))?;
        let opinion = OpinionValue::from_code(code).expect("an unknown word was found foreign before");
        Ok(Self { subject, opinion, reason: map.label(KEY_REASON)?, unknown: map.finish()? })
    }

    fn to_fields(&self) -> Fields {
        let mut map = MapWriter::new(&self.unknown);
        map.put(KEY_SUBJECT, self.subject.to_value());
        map.put_nonzero(KEY_REASON, self.reason.code());
        map.put(KEY_OPINION, Value::unsigned(self.opinion.code()));
        map.finish()
    }
}
