//! `retraction`: the author takes an entry back, for good.
//!
//! The leaf alone takes effect, so that members who hold the payload and members who do not agree on
//! what stands. The payload only says why; when it is withheld, unreadable or void, the retraction
//! still counts and its reason is not shown.
//!
//! SPEC §7.8.

use super::error::SchemaError;
use super::schema::{KEY_SUBJECT, MapReader, MapWriter, Schema, SubjectRef, UnknownFields, find_foreign_key};
use super::vocabulary::{Label, LabelWord, Vocabulary};
use crate::codec::Fields;
use crate::leaf::{Leaf, OpaqueReason};

const MAP: &str = "retraction";

const KEY_REASON: u64 = 1;

/// Why an entry is taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RetractionReason {
    /// Not stated.
    #[default]
    Unstated,
    /// A mistake in making the record.
    Error,
    /// The signal also matches benign content.
    BenignCollision,
    /// Those shown are adults.
    Adult,
    /// Stated already.
    Duplicate,
    /// Labels of another class are needed.
    WrongClass,
    /// An order of a court or authority.
    LegalOrder,
    /// A victim asked for it.
    VictimRequest,
    /// The source withdrew its statement.
    SourceWithdrawn,
    /// None of these.
    Other,
}

impl Vocabulary for RetractionReason {
    const FIELD: &'static str = "reason";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self::Unstated, 0, "unstated"),
        (Self::Error, 1, "error"),
        (Self::BenignCollision, 2, "benign_collision"),
        (Self::Adult, 3, "adult"),
        (Self::Duplicate, 4, "duplicate"),
        (Self::WrongClass, 5, "wrong_class"),
        (Self::LegalOrder, 6, "legal_order"),
        (Self::VictimRequest, 7, "victim_request"),
        (Self::SourceWithdrawn, 8, "source_withdrawn"),
        (Self::Other, 9, "other"),
    ];
}

impl LabelWord for RetractionReason {
    const DEFAULT: Self = Self::Unstated;
    const FALLBACK: Self = Self::Unstated;
}

/// The author takes back the entry that is its subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retraction {
    /// The entry, which must be the one that the leaf names by its hash.
    pub subject: SubjectRef,
    /// Why.
    pub reason: Label<RetractionReason>,
    /// Fields of a newer version that may be ignored.
    pub unknown: UnknownFields,
}

impl Retraction {
    /// A retraction without fields of a newer version.
    #[must_use]
    pub fn new(subject: SubjectRef, reason: impl Into<Label<RetractionReason>>) -> Self {
        Self { subject, reason: reason.into(), unknown: UnknownFields::new() }
    }
}

impl Schema for Retraction {
    fn find_foreign(fields: &Fields) -> Option<OpaqueReason> {
        find_foreign_key(MAP, fields, &[KEY_SUBJECT])
    }

    fn read(leaf: &Leaf, fields: Fields) -> Result<Self, SchemaError> {
        let mut map = MapReader::new(MAP, fields);
        let subject = map.subject(leaf)?.ok_or(SchemaError::SubjectMissing)?;
        Ok(Self { subject, reason: map.label(KEY_REASON)?, unknown: map.finish()? })
    }

    fn to_fields(&self) -> Fields {
        let mut map = MapWriter::new(&self.unknown);
        map.put(KEY_SUBJECT, self.subject.to_value());
        map.put_nonzero(KEY_REASON, self.reason.code());
        map.finish()
    }
}
