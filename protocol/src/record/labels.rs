//! The labels of a content record.
//!
//! All but `tlp` are about the content as its author sees it. Labels say what something is; whether
//! anything is done about it rests on the review of harm, which is a field of its own (`content`).
//!
//! SPEC §7.4.

use super::error::SchemaError;
use super::schema::{MapReader, MapWriter, UnknownFields, find_foreign_key};
use super::taxonomy::{Activity, AgeBand, AgeGroup, Evidence, Likeness, Origin, Realism, Tlp};
use super::vocabulary::{Label, Vocabulary};
use crate::codec::{Cursor, Fields};
use crate::leaf::OpaqueReason;

pub(super) const MAP: &str = "labels";

const KEY_ORIGIN: u64 = 1;
const KEY_REALISM: u64 = 3;
const KEY_ACTIVITY: u64 = 5;
const KEY_AGE_GROUP: u64 = 7;
const KEY_AGE_BAND: u64 = 9;
const KEY_LIKENESS: u64 = 11;
const KEY_EVIDENCE: u64 = 13;
const KEY_TLP: u64 = 15;

/// Labels of `cg-taxonomy/1`; the default is undetermined throughout, TLP:AMBER+STRICT.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Labels {
    /// How the picture came to be.
    pub origin: Label<Origin>,
    /// How far it can be told from a photograph.
    pub realism: Label<Realism>,
    /// Activity class.
    pub activity: Label<Activity>,
    /// Age group.
    pub age_group: Label<AgeGroup>,
    /// Finer age band.
    pub age_band: Label<AgeBand>,
    /// Whether it is modelled after somebody.
    pub likeness: Label<Likeness>,
    /// What the statement of origin rests on.
    pub evidence: EvidenceSet,
    /// With whom the record may be shared.
    pub tlp: Label<Tlp>,
    /// Fields of a newer version that may be ignored.
    pub unknown: UnknownFields,
}

/// A set of evidence as bits; bits of a newer version are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EvidenceSet(u64);

impl EvidenceSet {
    /// The set with these bits.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits as stated.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The bits that this version has no word for.
    #[must_use]
    pub fn unknown_bits(self) -> u64 {
        Evidence::all().fold(self.0, |bits, word| bits & !(1 << word.code()))
    }

    /// Adds a word.
    pub fn insert(&mut self, word: Evidence) {
        self.0 |= 1 << word.code();
    }

    /// Whether the word is in the set.
    #[must_use]
    pub fn contains(self, word: Evidence) -> bool {
        self.0 & (1 << word.code()) != 0
    }

    /// The words in the set, by code.
    pub fn iter(self) -> impl Iterator<Item = Evidence> {
        Evidence::all().filter(move |word| self.contains(*word))
    }
}

impl FromIterator<Evidence> for EvidenceSet {
    fn from_iter<I: IntoIterator<Item = Evidence>>(words: I) -> Self {
        let mut set = Self::default();
        words.into_iter().for_each(|word| set.insert(word));
        set
    }
}

impl Labels {
    /// Class of the industry scheme, which follows from age group and activity alone.
    #[must_use]
    pub fn industry_class(&self) -> Option<&'static str> {
        match (self.age_group.get(), self.activity.get()) {
            (AgeGroup::Prepubescent, Activity::SexAct) => Some("A1"),
            (AgeGroup::Prepubescent, Activity::LasciviousExhibition) => Some("A2"),
            (AgeGroup::Pubescent, Activity::SexAct) => Some("B1"),
            (AgeGroup::Pubescent, Activity::LasciviousExhibition) => Some("B2"),
            _ => None,
        }
    }

    pub(super) fn find_foreign(fields: &Fields) -> Option<OpaqueReason> {
        find_foreign_key(MAP, fields, &[])
    }

    pub(super) fn read(fields: Fields) -> Result<Self, SchemaError> {
        let mut map = MapReader::new(MAP, fields);
        Ok(Self {
            origin: map.label(KEY_ORIGIN)?,
            realism: map.label(KEY_REALISM)?,
            activity: map.label(KEY_ACTIVITY)?,
            age_group: map.label(KEY_AGE_GROUP)?,
            age_band: map.label(KEY_AGE_BAND)?,
            likeness: map.label(KEY_LIKENESS)?,
            evidence: EvidenceSet(map.unsigned_or_zero(KEY_EVIDENCE)?),
            tlp: map.label(KEY_TLP)?,
            unknown: map.finish()?,
        })
    }

    /// Known labels alone, at least one.
    pub(super) fn read_plain(cursor: &mut Cursor<'_>) -> Option<Self> {
        let mut labels = Self::default();
        cursor.map(|cursor, key| {
            match key {
                KEY_ORIGIN => labels.origin = Label::read_plain(cursor)?,
                KEY_REALISM => labels.realism = Label::read_plain(cursor)?,
                KEY_ACTIVITY => labels.activity = Label::read_plain(cursor)?,
                KEY_AGE_GROUP => labels.age_group = Label::read_plain(cursor)?,
                KEY_AGE_BAND => labels.age_band = Label::read_plain(cursor)?,
                KEY_LIKENESS => labels.likeness = Label::read_plain(cursor)?,
                KEY_EVIDENCE => labels.evidence = EvidenceSet(cursor.unsigned().filter(|bits| *bits != 0)?),
                KEY_TLP => labels.tlp = Label::read_plain(cursor)?,
                _ => return None,
            }
            Some(())
        })?;
        // Nothing that is stated is a default.
        (labels != Self::default()).then_some(labels)
    }

    pub(super) fn to_fields(&self) -> Fields {
        let mut map = MapWriter::new(&self.unknown);
        map.put_nonzero(KEY_ORIGIN, self.origin.code());
        map.put_nonzero(KEY_REALISM, self.realism.code());
        map.put_nonzero(KEY_ACTIVITY, self.activity.code());
        map.put_nonzero(KEY_AGE_GROUP, self.age_group.code());
        map.put_nonzero(KEY_AGE_BAND, self.age_band.code());
        map.put_nonzero(KEY_LIKENESS, self.likeness.code());
        map.put_nonzero(KEY_EVIDENCE, self.evidence.bits());
        map.put_nonzero(KEY_TLP, self.tlp.code());
        map.finish()
    }
}
