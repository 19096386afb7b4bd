//! `ttp`: a technique was seen in use.
//!
//! A number of the taxonomy, a month, where, how often, and what that rests on: words and numbers only. Nothing says
//! how it was done, by whom or against whom.
//!
//! SPEC §7.17.

use super::error::{RecordError, SchemaError};
use super::handling::Month;
use super::lists::{check_ascending, read_related, write_related};
use super::schema::{MapReader, MapWriter, SubjectRef};
use super::techniques::TechniqueId;
use super::vocabulary::{Label, LabelWord, Vocabulary};
use crate::codec::Value;
use crate::limits::RELATED_PER_LIST_MAX;

const KEY_CONFIDENCE: u64 = 21;
const KEY_SURFACE: u64 = 23;
const KEY_TECHNIQUE: u64 = 24;
const KEY_COUNT: u64 = 25;
const KEY_MONTH: u64 = 26;
const KEY_BASIS: u64 = 27;
const KEY_STATUS: u64 = 29;
const KEY_RELATED: u64 = 34;

/// Keys that a reader must understand.
pub(super) const KEYS_EVEN: [u64; 3] = [KEY_TECHNIQUE, KEY_MONTH, KEY_RELATED];

/// How sure its author is. Ordered: surer is greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidence {
    /// Not stated.
    #[default]
    Unstated,
    /// Low.
    Low,
    /// Medium.
    Medium,
    /// High.
    High,
}

impl Vocabulary for Confidence {
    const FIELD: &'static str = "confidence";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self::Unstated, 0, "unstated"),
        (Self::Low, 1, "low"),
        (Self::Medium, 2, "medium"),
        (Self::High, 3, "high"),
    ];
}

impl LabelWord for Confidence {
    const DEFAULT: Self = Self::Unstated;
    const FALLBACK: Self = Self::Unstated;
}

/// Where it was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Surface {
    /// None of those below.
    #[default]
    Other,
    /// A place where models are hosted.
    Hub,
    /// A social network.
    Social,
    /// A messaging service.
    Messaging,
    /// A forum.
    Forum,
    /// A search engine.
    Search,
    /// A service that offers generation.
    GenaiService,
    /// A payment service.
    Payments,
}

impl Vocabulary for Surface {
    const FIELD: &'static str = "surface";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self::Other, 0, "other"),
        (Self::Hub, 1, "hub"),
        (Self::Social, 2, "social"),
        (Self::Messaging, 3, "messaging"),
        (Self::Forum, 4, "forum"),
        (Self::Search, 5, "search"),
        (Self::GenaiService, 6, "genai_service"),
        (Self::Payments, 7, "payments"),
    ];
}

impl LabelWord for Surface {
    const DEFAULT: Self = Self::Other;
    const FALLBACK: Self = Self::Other;
}

/// How often it was seen in that month. Ordered: more is greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CountBucket {
    /// Not stated.
    #[default]
    Unstated,
    /// Once.
    One,
    /// 2 to 9 times.
    Few,
    /// 10 to 99 times.
    Tens,
    /// 100 times or more.
    Hundreds,
}

impl Vocabulary for CountBucket {
    const FIELD: &'static str = "count";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self::Unstated, 0, "unstated"),
        (Self::One, 1, "1"),
        (Self::Few, 2, "2-9"),
        (Self::Tens, 3, "10-99"),
        (Self::Hundreds, 4, "100+"),
    ];
}

impl LabelWord for CountBucket {
    const DEFAULT: Self = Self::Unstated;
    const FALLBACK: Self = Self::Unstated;
}

/// What the observation rests on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Basis {
    /// Not stated.
    #[default]
    Unstated,
    /// A person looked.
    HumanReview,
    /// A match of a listed signal.
    HashMatch,
    /// A classifier, and a person who looked.
    ClassifierAndReview,
}

impl Vocabulary for Basis {
    const FIELD: &'static str = "basis";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self::Unstated, 0, "unstated"),
        (Self::HumanReview, 1, "human_review"),
        (Self::HashMatch, 2, "hash_match"),
        (Self::ClassifierAndReview, 3, "classifier_and_review"),
    ];
}

impl LabelWord for Basis {
    const DEFAULT: Self = Self::Unstated;
    const FALLBACK: Self = Self::Unstated;
}

/// Whether it goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TtpStatus {
    /// It was seen; nothing is known of what came after.
    #[default]
    Observed,
    /// It goes on.
    Ongoing,
    /// It has stopped.
    Ended,
}

impl Vocabulary for TtpStatus {
    const FIELD: &'static str = "status";
    const TABLE: &'static [(Self, u8, &'static str)] =
        &[(Self::Observed, 0, "observed"), (Self::Ongoing, 1, "ongoing"), (Self::Ended, 2, "ended")];
}

impl LabelWord for TtpStatus {
    const DEFAULT: Self = Self::Observed;
    const FALLBACK: Self = Self::Observed;
}

/// What a record says of a technique that was seen, beside what all statements say.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ttp {
    /// The technique.
    pub technique: TechniqueId,
    /// The month in which it was seen.
    pub month: Month,
    /// How sure its author is.
    pub confidence: Label<Confidence>,
    /// Where.
    pub surface: Label<Surface>,
    /// How often.
    pub count: Label<CountBucket>,
    /// What that rests on.
    pub basis: Label<Basis>,
    /// Whether it goes on.
    pub status: Label<TtpStatus>,
    /// Records that it has to do with, ascending.
    pub related: Vec<SubjectRef>,
}

impl Ttp {
    /// An observation with nothing else stated.
    #[must_use]
    pub fn new(technique: TechniqueId, month: Month) -> Self {
        Self {
            technique,
            month,
            confidence: Label::default(),
            surface: Label::default(),
            count: Label::default(),
            basis: Label::default(),
            status: Label::default(),
            related: Vec::new(),
        }
    }

    /// Puts its list in order.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.related.sort();
        self
    }

    /// The rules that bind its fields, with the key that each is about.
    pub(super) fn check(&self) -> Result<(), (u64, RecordError)> {
        check_ascending(&self.related, RELATED_PER_LIST_MAX).map_err(|rule| (KEY_RELATED, rule))
    }

    /// Takes its keys of the map of the statement.
    pub(super) fn read(map: &mut MapReader) -> Result<Self, SchemaError> {
        let number = map.unsigned(KEY_TECHNIQUE)?.ok_or_else(|| map.missing(KEY_TECHNIQUE))?;
        let months = map.unsigned(KEY_MONTH)?.ok_or_else(|| map.missing(KEY_MONTH))?;
        Ok(Self {
            technique: TechniqueId::from_number(number).map_err(|rule| map.broken(KEY_TECHNIQUE, rule))?,
            month: Month::from_months(months).map_err(|rule| map.broken(KEY_MONTH, rule))?,
            confidence: map.label(KEY_CONFIDENCE)?,
            surface: map.label(KEY_SURFACE)?,
            count: map.label(KEY_COUNT)?,
            basis: map.label(KEY_BASIS)?,
            status: map.label(KEY_STATUS)?,
            related: read_related(map, KEY_RELATED)?,
        })
    }

    pub(super) fn write(&self, map: &mut MapWriter) {
        map.put(KEY_TECHNIQUE, Value::unsigned(self.technique.number()));
        map.put(KEY_MONTH, Value::unsigned(self.month.months()));
        map.put_nonzero(KEY_CONFIDENCE, self.confidence.code());
        map.put_nonzero(KEY_SURFACE, self.surface.code());
        map.put_nonzero(KEY_COUNT, self.count.code());
        map.put_nonzero(KEY_BASIS, self.basis.code());
        map.put_nonzero(KEY_STATUS, self.status.code());
        write_related(map, KEY_RELATED, &self.related);
    }
}
