//! `ruling`: what a panellist holds of a signal, wherever it is stated.
//!
//! A ruling carries type and value itself, so that it binds every record that carries them, of whichever
//! member and however often re-contributed. One panellist's word is not yet a ruling of the panel: how many
//! must state the same, and whose entries count, is the roster's affair (SPEC §8.2) and the view's. The
//! latest word of a panellist about a signal takes the place of those before; `withdrawn` takes it back.
//!
//! SPEC §7.11.

use super::error::SchemaError;
use super::schema::{KEY_SUBJECT, MapReader, MapWriter, Schema, SubjectRef, UnknownFields, find_foreign_key};
use super::signal::{Signal, SignalType};
use super::vocabulary::{Label, LabelWord, Vocabulary};
use crate::codec::{Fields, Int, Value};
use crate::leaf::{Leaf, OpaqueReason};

const MAP: &str = "ruling";

const KEY_REASON: u64 = 1;
const KEY_SIGNAL: u64 = 2;
const KEY_VERDICT: u64 = 4;

/// What is held of the signal. Codes from 16 on are verdicts about models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Records of it are right: disputes about it are settled.
    Stands,
    /// It is of benign content, or matches benign content.
    Benign,
    /// Those shown are adults.
    Adult,
    /// The panellist takes back what it held.
    Withdrawn,
    /// The model was trained on known abuse material. Said of a public base it is information about whatever descends from
    /// it, and never an outcome; it clears nothing and settles nothing.
    TrainedOnKnownCsam,
}

/// What the verdict rests on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RulingReason {
    /// Not stated.
    #[default]
    Unstated,
    /// The panellist's own review.
    Review,
    /// What a hotline found.
    HotlineStatement,
    /// An appeal against an action.
    Appeal,
    /// An order of a court or authority.
    LegalOrder,
    /// A former ruling was mistaken.
    Error,
    /// None of these.
    Other,
}

impl Vocabulary for Verdict {
    const FIELD: &'static str = "verdict";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self::Stands, 1, "stands"),
        (Self::Benign, 2, "benign"),
        (Self::Adult, 3, "adult"),
        (Self::Withdrawn, 4, "withdrawn"),
        (Self::TrainedOnKnownCsam, 16, "trained_on_known_csam"),
    ];
}

impl Vocabulary for RulingReason {
    const FIELD: &'static str = "reason";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self::Unstated, 0, "unstated"),
        (Self::Review, 1, "review"),
        (Self::HotlineStatement, 2, "hotline_statement"),
        (Self::Appeal, 3, "appeal"),
        (Self::LegalOrder, 4, "legal_order"),
        (Self::Error, 5, "error"),
        (Self::Other, 6, "other"),
    ];
}

impl LabelWord for RulingReason {
    const DEFAULT: Self = Self::Unstated;
    const FALLBACK: Self = Self::Unstated;
}

/// What a panellist holds of a signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// The record that gave rise to it, if it names one; explains only.
    pub subject: Option<SubjectRef>,
    /// The signal: type and value, no quality.
    signal: Signal,
    /// What is held of it.
    pub verdict: Verdict,
    /// What that rests on.
    pub reason: Label<RulingReason>,
    /// Fields of a newer version that may be ignored.
    pub unknown: UnknownFields,
}

impl Ruling {
    /// A ruling on a signal, whatever its quality.
    #[must_use]
    pub fn new(signal: &Signal, verdict: Verdict, reason: impl Into<Label<RulingReason>>) -> Self {
        Self {
            subject: None,
            signal: signal.clone().without_quality(),
            verdict,
            reason: reason.into(),
            unknown: UnknownFields::new(),
        }
    }

    /// The same, about a record that gave rise to it.
    #[must_use]
    pub fn about(self, subject: SubjectRef) -> Self {
        Self { subject: Some(subject), ..self }
    }

    /// Type and value that it binds; without a quality.
    #[must_use]
    pub const fn signal(&self) -> &Signal {
        &self.signal
    }
}

/// Type and value of [type, value], read as far as the profile goes.
fn split(value: &Value) -> Option<(u64, &[u8])> {
    let Value::Array(parts) = value else { return None };
    let [Value::Int(Int::Unsigned(code)), Value::Bytes(bytes)] = parts.as_slice() else { return None };
    Some((*code, bytes))
}

impl Schema for Ruling {
    fn find_foreign(fields: &Fields) -> Option<OpaqueReason> {
        find_foreign_key(MAP, fields, &[KEY_SUBJECT, KEY_SIGNAL, KEY_VERDICT]).or_else(|| {
            let verdict = fields.get(&KEY_VERDICT).and_then(Value::as_unsigned);
            let verdict = verdict.filter(|code| Verdict::from_code(*code).is_none());
            if let Some(code) = verdict {
                return Some(OpaqueReason::Word { field: Verdict::FIELD, code });
            }
            let (code, _) = split(fields.get(&KEY_SIGNAL)?)?;
            let is_known = SignalType::from_code(code).is_some();
            (!is_known).then_some(OpaqueReason::Word { field: "signal type", code })
        })
    }

    fn read(leaf: &Leaf, fields: Fields) -> Result<Self, SchemaError> {
        let mut map = MapReader::new(MAP, fields);
        let subject = map.subject(leaf)?;
        let signal = map.value(KEY_SIGNAL).ok_or_else(|| map.missing(KEY_SIGNAL))?;
        let (code, value) = split(&signal).ok_or_else(|| map.mistyped(KEY_SIGNAL, "[type, value]"))?;
        let kind = SignalType::from_code(code).expect("an unknown type was found foreign before");
        let signal = Signal::new(kind, value, None).map_err(|rule| map.broken(KEY_SIGNAL, rule))?;
        let code = map.unsigned(KEY_VERDICT)?.ok_or_else(|| map.missing(KEY_VERDICT))?;
        let verdict = Verdict::from_code(code).expect("an unknown word was found foreign before");
        Ok(Self { subject, signal, verdict, reason: map.label(KEY_REASON)?, unknown: map.finish()? })
    }

    fn to_fields(&self) -> Fields {
        let mut map = MapWriter::new(&self.unknown);
        let signal = [Value::unsigned(self.signal.kind().code()), Value::Bytes(self.signal.value().to_vec())];
        map.put_some(KEY_SUBJECT, self.subject.map(SubjectRef::to_value));
        map.put_nonzero(KEY_REASON, self.reason.code());
        map.put(KEY_SIGNAL, Value::Array(signal.to_vec()));
        map.put(KEY_VERDICT, Value::unsigned(self.verdict.code()));
        map.finish()
    }
}
