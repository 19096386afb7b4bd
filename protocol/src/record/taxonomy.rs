//! The words of `cg-taxonomy/1`.
//!
//! An elaboration of the "C" class that Thiel, Stroebe and Portnoff (2023, §5.5) offer as one
//! possibility: their four criteria follow from `origin`, `realism`, `activity` and `likeness`. The
//! words classify; they never describe. Codes are final: a word is never renumbered or reused.
//!
//! SPEC §7.4 is the normative table; a test compares it with this file.

use super::vocabulary::{LabelWord, Vocabulary};

/// How the picture came to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// Not known.
    #[default]
    Undetermined,
    /// Wholly computer generated.
    Generated,
    /// A benign picture of a real person, altered.
    EditedBenign,
    /// A picture of abuse, altered.
    EditedAbuse,
    /// A photograph.
    Photographic,
}

/// How far it can be told from a photograph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Realism {
    /// Not known.
    #[default]
    Undetermined,
    /// Cannot be told from a photograph.
    Indistinguishable,
    /// Realistic, with visible flaws.
    RealisticFlawed,
    /// Drawn, rendered or otherwise not photorealistic.
    NonPhotorealistic,
}

/// Activity class of the industry scheme.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Activity {
    /// Not known.
    #[default]
    Undetermined,
    /// Class 1.
    SexAct,
    /// Class 2.
    LasciviousExhibition,
    /// Outside both classes.
    OtherSexualised,
}

/// Age group of the industry scheme.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AgeGroup {
    /// Not known.
    #[default]
    Undetermined,
    /// Class A.
    Prepubescent,
    /// Class B.
    Pubescent,
}

/// Finer age band, in years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AgeBand {
    /// Not known.
    #[default]
    Undetermined,
    /// 0 to 2.
    From0To2,
    /// 3 to 6.
    From3To6,
    /// 7 to 10.
    From7To10,
    /// 11 to 13.
    From11To13,
    /// 14 to 15.
    From14To15,
    /// 16 to 17.
    From16To17,
}

/// Whether it is modelled after somebody: a flag, never an identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Likeness {
    /// Not known.
    #[default]
    Undetermined,
    /// A known victim.
    KnownVictim,
    /// An extant person.
    ExtantPerson,
    /// Nobody known.
    NoneKnown,
}

/// What the statement of origin rests on; each is a bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Evidence {
    /// A person looked.
    HumanReview,
    /// A C2PA manifest.
    C2paManifest,
    /// A watermark of a generator.
    Watermark,
    /// Metadata that a generator left.
    GeneratorMetadata,
    /// A classifier.
    Classifier,
    /// The operator of the generator says so.
    OperatorStatement,
}

/// Who reviewed the harm. Ordered: more review is greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Review {
    /// Nobody.
    #[default]
    Unreviewed,
    /// One person.
    Single,
    /// Two people, independently.
    Dual,
    /// A hotline.
    HotlineConfirmed,
}

/// Traffic Light Protocol 2.0. Ordered: stricter is greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tlp {
    /// TLP:CLEAR.
    Clear,
    /// TLP:GREEN.
    Green,
    /// TLP:AMBER.
    Amber,
    /// TLP:AMBER+STRICT, the default.
    #[default]
    AmberStrict,
    /// TLP:RED.
    Red,
}

impl Vocabulary for Origin {
    const FIELD: &'static str = "origin";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self::Undetermined, 0, "undetermined"),
        (Self::Generated, 1, "generated"),
        (Self::EditedBenign, 2, "edited_benign"),
        (Self::EditedAbuse, 3, "edited_abuse"),
        (Self::Photographic, 4, "photographic"),
    ];
}

impl Vocabulary for Realism {
    const FIELD: &'static str = "realism";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self::Undetermined, 0, "undetermined"),
        (Self::Indistinguishable, 1, "indistinguishable"),
        (Self::RealisticFlawed, 2, "realistic_flawed"),
        (Self::NonPhotorealistic, 3, "non_photorealistic"),
    ];
}

impl Vocabulary for Activity {
    const FIELD: &'static str = "activity";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self::Undetermined, 0, "undetermined"),
        (Self::SexAct, 1, "sex_act"),
        (Self::LasciviousExhibition, 2, "lascivious_exhibition"),
        (Self::OtherSexualised, 3, "other_sexualised"),
    ];
}

impl Vocabulary for AgeGroup {
    const FIELD: &'static str = "age_group";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self::Undetermined, 0, "undetermined"),
        (Self::Prepubescent, 1, "prepubescent"),
        (Self::Pubescent, 2, "pubescent"),
    ];
}

impl Vocabulary for AgeBand {
    const FIELD: &'static str = "age_band";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self::Undetermined, 0, "undetermined"),
        (Self::From0To2, 1, "0-2"),
        (Self::From3To6, 2, "3-6"),
        (Self::From7To10, 3, "7-10"),
        (Self::From11To13, 4, "11-13"),
        (Self::From14To15, 5, "14-15"),
        (Self::From16To17, 6, "16-17"),
    ];
}

impl Vocabulary for Likeness {
    const FIELD: &'static str = "likeness";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self::Undetermined, 0, "undetermined"),
        (Self::KnownVictim, 1, "known_victim"),
        (Self::ExtantPerson, 2, "extant_person"),
        (Self::NoneKnown, 3, "none_known"),
    ];
}

impl Vocabulary for Evidence {
    const FIELD: &'static str = "evidence";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self::HumanReview, 0, "human_review"),
        (Self::C2paManifest, 1, "c2pa_manifest"),
        (Self::Watermark, 2, "watermark"),
        (Self::GeneratorMetadata, 3, "generator_metadata"),
        (Self::Classifier, 4, "classifier"),
        (Self::OperatorStatement, 5, "operator_statement"),
    ];
}

impl Vocabulary for Review {
    const FIELD: &'static str = "review";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self::Unreviewed, 0, "unreviewed"),
        (Self::Single, 1, "single"),
        (Self::Dual, 2, "dual"),
        (Self::HotlineConfirmed, 3, "hotline_confirmed"),
    ];
}

impl Vocabulary for Tlp {
    const FIELD: &'static str = "tlp";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self::AmberStrict, 0, "amber+strict"),
        (Self::Clear, 1, "clear"),
        (Self::Green, 2, "green"),
        (Self::Amber, 3, "amber"),
        (Self::Red, 4, "red"),
    ];
}

impl LabelWord for Origin {
    const DEFAULT: Self = Self::Undetermined;
    const FALLBACK: Self = Self::Undetermined;
}

impl LabelWord for Realism {
    const DEFAULT: Self = Self::Undetermined;
    const FALLBACK: Self = Self::Undetermined;
}

impl LabelWord for Activity {
    const DEFAULT: Self = Self::Undetermined;
    const FALLBACK: Self = Self::Undetermined;
}

impl LabelWord for AgeGroup {
    const DEFAULT: Self = Self::Undetermined;
    const FALLBACK: Self = Self::Undetermined;
}

impl LabelWord for AgeBand {
    const DEFAULT: Self = Self::Undetermined;
    const FALLBACK: Self = Self::Undetermined;
}

impl LabelWord for Likeness {
    const DEFAULT: Self = Self::Undetermined;
    const FALLBACK: Self = Self::Undetermined;
}

impl LabelWord for Review {
    const DEFAULT: Self = Self::Unreviewed;
    const FALLBACK: Self = Self::Unreviewed;
}

/// An unknown restriction reads as the strictest one.
impl LabelWord for Tlp {
    const DEFAULT: Self = Self::AmberStrict;
    const FALLBACK: Self = Self::Red;
}
