//! `incident`: a content incident is declared, or closed.
//!
//! In the manner of GIFCT's Content Incident Protocol: for as long as it is open, records that name it come
//! first. It is called by 16 random bytes and described by one word; there is no room to say what, who or
//! where. Who may declare and close is the roster's affair (SPEC §8.2), and what stands the view's.
//!
//! SPEC §7.13.

use super::error::{RecordError, SchemaError};
use super::schema::{KEY_SUBJECT, MapReader, MapWriter, Schema, UnknownFields, find_foreign_key};
use super::vocabulary::{Label, LabelWord, Vocabulary};
use crate::codec::{Fields, Value};
use crate::digest::{hex_array, hex_encode};
use crate::leaf::{Kind, Leaf, OpaqueReason};
use crate::limits::INCIDENT_ID_BYTES;

const MAP: &str = "incident";

const KEY_CLASS: u64 = 1;
const KEY_ID: u64 = 2;
const KEY_CLOSING: u64 = 3;
const KEY_STEP: u64 = 4;

/// What an incident is called: random bytes that say nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IncidentId([u8; INCIDENT_ID_BYTES]);

impl IncidentId {
    /// The id of these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; INCIDENT_ID_BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; INCIDENT_ID_BYTES] {
        &self.0
    }

    /// Reads 32 lower-case hex digits.
    ///
    /// # Errors
    /// Another length, or a character that is no such digit.
    pub fn parse(text: &str) -> Result<Self, RecordError> {
        hex_array(text).map(Self).map_err(RecordError::IncidentId)
    }

    /// Takes the id in a payload.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        bytes.try_into().map(Self).map_err(|_| RecordError::IncidentIdBytes { got: bytes.len() })
    }

    pub(super) fn to_value(self) -> Value {
        Value::Bytes(self.0.to_vec())
    }
}

impl std::fmt::Display for IncidentId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex_encode(&self.0))
    }
}

impl std::fmt::Debug for IncidentId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IncidentId({self})")
    }
}

/// What happens to the incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IncidentStep {
    /// It begins.
    Declared,
    /// It is over, for good: what comes up again gets another id.
    Closed,
}

/// What sort of incident it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IncidentClass {
    /// Not stated.
    #[default]
    Unstated,
    /// Content that spreads fast over many services.
    ViralContent,
    /// A generator that was published, or changed, and makes such content.
    GeneratorRelease,
    /// A wave of abuse of one service that generates or alters pictures.
    ServiceAbuse,
    /// A wave of extortion.
    Extortion,
    /// A collection that became public.
    CollectionExposed,
    /// None of these.
    Other,
}

/// Why it was closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClosingReason {
    /// Not stated.
    #[default]
    Unstated,
    /// It is over.
    Ended,
    /// It should not have been declared.
    Mistaken,
    /// It is another incident's.
    Duplicate,
    /// None of these.
    Other,
}

impl Vocabulary for IncidentStep {
    const FIELD: &'static str = "step";
    const TABLE: &'static [(Self, u8, &'static str)] =
        &[(Self::Declared, 1, "declared"), (Self::Closed, 2, "closed")];
}

impl Vocabulary for IncidentClass {
    const FIELD: &'static str = "class";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self::Unstated, 0, "unstated"),
        (Self::ViralContent, 1, "viral_content"),
        (Self::GeneratorRelease, 2, "generator_release"),
        (Self::ServiceAbuse, 3, "service_abuse"),
        (Self::Extortion, 4, "extortion"),
        (Self::CollectionExposed, 5, "collection_exposed"),
        (Self::Other, 6, "other"),
    ];
}

impl Vocabulary for ClosingReason {
    const FIELD: &'static str = "closing";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self::Unstated, 0, "unstated"),
        (Self::Ended, 1, "ended"),
        (Self::Mistaken, 2, "mistaken"),
        (Self::Duplicate, 3, "duplicate"),
        (Self::Other, 4, "other"),
    ];
}

impl LabelWord for IncidentClass {
    const DEFAULT: Self = Self::Unstated;
    const FALLBACK: Self = Self::Unstated;
}

impl LabelWord for ClosingReason {
    const DEFAULT: Self = Self::Unstated;
    const FALLBACK: Self = Self::Unstated;
}

/// An incident is declared, or closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// What it is called.
    pub id: IncidentId,
    /// What happens to it.
    pub step: IncidentStep,
    /// What sort it is; said when it is declared.
    pub class: Label<IncidentClass>,
    /// Why it was closed; said when it is.
    pub closing: Label<ClosingReason>,
    /// Fields of a newer version that may be ignored.
    pub unknown: UnknownFields,
}

impl Incident {
    /// A declaration.
    #[must_use]
    pub fn declared(id: IncidentId, class: impl Into<Label<IncidentClass>>) -> Self {
        let (step, closing) = (IncidentStep::Declared, Label::default());
        Self { id, step, class: class.into(), closing, unknown: UnknownFields::new() }
    }

    /// A closure.
    #[must_use]
    pub fn closed(id: IncidentId, closing: impl Into<Label<ClosingReason>>) -> Self {
        let (step, class) = (IncidentStep::Closed, Label::default());
        Self { id, step, class, closing: closing.into(), unknown: UnknownFields::new() }
    }
}

impl Schema for Incident {
    fn find_foreign(fields: &Fields) -> Option<OpaqueReason> {
        find_foreign_key(MAP, fields, &[KEY_SUBJECT, KEY_ID, KEY_STEP]).or_else(|| {
            let code = fields.get(&KEY_STEP)?.as_unsigned()?;
            let known = IncidentStep::from_code(code).is_some();
            (!known).then_some(OpaqueReason::Word { field: IncidentStep::FIELD, code })
        })
    }

    fn read(leaf: &Leaf, fields: Fields) -> Result<Self, SchemaError> {
        let mut map = MapReader::new(MAP, fields);
        if map.subject(leaf)?.is_some() {
            return Err(map.broken(KEY_SUBJECT, RecordError::SubjectNotAllowed { kind: Kind::Incident }));
        }
        let id = map.bytes(KEY_ID)?.ok_or_else(|| map.missing(KEY_ID))?;
        let id = IncidentId::from_bytes(&id).map_err(|rule| map.broken(KEY_ID, rule))?;
        let code = map.unsigned(KEY_STEP)?.ok_or_else(|| map.missing(KEY_STEP))?;
        let step = IncidentStep::from_code(code).expect("an unknown word was found foreign before");
        let (class, closing) = (map.label(KEY_CLASS)?, map.label(KEY_CLOSING)?);
        match step {
            IncidentStep::Declared if closing != Label::default() => {
                Err(map.broken(KEY_CLOSING, RecordError::ClosingOfDeclaration))
            }
            IncidentStep::Closed if class != Label::default() => {
                Err(map.broken(KEY_CLASS, RecordError::ClassOfClosure))
            }
            _ => Ok(Self { id, step, class, closing, unknown: map.finish()? }),
        }
    }

    fn to_fields(&self) -> Fields {
        let mut map = MapWriter::new(&self.unknown);
        map.put_nonzero(KEY_CLASS, self.class.code());
        map.put(KEY_ID, self.id.to_value());
        map.put_nonzero(KEY_CLOSING, self.closing.code());
        map.put(KEY_STEP, Value::unsigned(self.step.code()));
        map.finish()
    }
}
