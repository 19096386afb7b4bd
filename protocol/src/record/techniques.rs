//! The techniques that records may name: `hashpact-ttp`, version 1.
//!
//! Names of categories, for moderation and statistics. A description never says how something is done, and no
//! such detail may be added. Numbers are final: a technique is never renumbered, and a number never used again.
//!
//! A record states the number alone, so that one of a newer version of the taxonomy is kept and counted.
//!
//! SPEC §7.17.

use super::error::RecordError;
use crate::limits::TECHNIQUE_NUMBER_MAX;

/// Name of the taxonomy.
pub const TAXONOMY: &str = "hashpact-ttp";
/// Its version.
pub const TAXONOMY_VERSION: &str = "1";

/// The number of a technique, 1 to 9999: `HP-T0001` has 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TechniqueId(u16);

/// What techniques have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tactic {
    /// Its id, such as `TA01`.
    pub id: &'static str,
    /// Its name.
    pub name: &'static str,
}

/// A technique of the taxonomy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Technique {
    /// Its number.
    pub id: TechniqueId,
    /// Id of its tactic.
    pub tactic: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What belongs to it.
    pub description: &'static str,
}

impl TechniqueId {
    /// The technique with this number, whether or not this version knows it.
    ///
    /// # Errors
    /// 0, or more than four digits.
    pub fn from_number(number: u64) -> Result<Self, RecordError> {
        let valid = u16::try_from(number).ok().filter(|number| (1..=TECHNIQUE_NUMBER_MAX).contains(number));
        valid.map(Self).ok_or(RecordError::Technique)
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// Reads `HP-T` and four digits.
    ///
    /// # Errors
    /// Another form.
    pub fn parse(text: &str) -> Result<Self, RecordError> {
        let digits = text.strip_prefix("HP-T").filter(|digits| digits.len() == 4);
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let number = digits.and_then(|digits| digits.parse().ok()).ok_or(RecordError::Technique)?;
        Self::from_number(number)
    }

    /// What the taxonomy of this version says of it.
    #[must_use]
    pub fn technique(self) -> Option<&'static Technique> {
        TECHNIQUES.iter().find(|technique| technique.id == self)
    }
}

impl std::fmt::Display for TechniqueId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HP-T{:04}", self.0)
    }
}

/// The tactics, by id.
pub const TACTICS: [Tactic; 6] = [
    Tactic { id: "TA01", name: "Model adaptation" },
    Tactic { id: "TA02", name: "Content production" },
    Tactic { id: "TA03", name: "Evasion and provenance" },
    Tactic { id: "TA04", name: "Contact and coercion" },
    Tactic { id: "TA05", name: "Hosting and distribution" },
    Tactic { id: "TA06", name: "Monetisation and community" },
];

const fn technique(
    number: u16,
    tactic: &'static str,
    name: &'static str,
    description: &'static str,
) -> Technique {
    Technique { id: TechniqueId(number), tactic, name, description }
}

/// The techniques, by number.
pub const TECHNIQUES: [Technique; 40] = [
    technique(1, "TA01", "Misused base model", "General model repeatedly named in confirmed violations."),
    technique(
        2,
        "TA01",
        "Fine-tuned checkpoint",
        "Full checkpoint assessed as adapted for violating output.",
    ),
    technique(3, "TA01", "Low-rank adapter", "LoRA-type adapter assessed as adapted for violating output."),
    technique(4, "TA01", "Learned embedding", "Textual-inversion type file assessed likewise."),
    technique(
        5,
        "TA01",
        "Subject personalisation",
        "Model or adapter personalised to an identifiable minor or known victim.",
    ),
    technique(6, "TA01", "Merged component", "Model found to contain a listed component."),
    technique(
        7,
        "TA01",
        "Safety component removal",
        "Distribution of a model or app with safeguards taken out.",
    ),
    technique(
        8,
        "TA01",
        "Re-packaged listed model",
        "Listed model republished in another name, format or precision.",
    ),
    technique(
        9,
        "TA01",
        "Training-set abuse",
        "Model whose training data is assessed to include known abuse material.",
    ),
    technique(10, "TA02", "Fully synthetic depiction", "Violating output with no known source image."),
    technique(
        11,
        "TA02",
        "Sexualised edit of benign imagery",
        "Benign image of a minor altered into violating content.",
    ),
    technique(
        12,
        "TA02",
        "Variant of known material",
        "New output derived from known abuse material or a known victim.",
    ),
    technique(13, "TA02", "Identity substitution", "A real person's likeness placed in violating content."),
    technique(14, "TA02", "Apparent-age alteration", "Apparent age changed to produce violating content."),
    technique(
        15,
        "TA02",
        "Conditioned generation",
        "Structure- or pose-conditioning modules used for violating output.",
    ),
    technique(16, "TA02", "Region edit", "Inpainting-type partial edits used for violating output."),
    technique(17, "TA02", "Video generation", "Synthetic or edited moving imagery."),
    technique(18, "TA02", "Audio or voice synthesis", "Synthetic voice used in exploitation."),
    technique(19, "TA02", "Text generation", "Language model misused for violating narrative or role-play."),
    technique(20, "TA02", "Hosted service misuse", "Online generation service or bot misused."),
    technique(
        21,
        "TA03",
        "Coded prompt vocabulary",
        "Coded terms used against prompt filters (terms shared as keyed hashes only).",
    ),
    technique(
        22,
        "TA03",
        "Provenance mark removal",
        "Watermark or content credential taken off synthetic output.",
    ),
    technique(23, "TA03", "False synthetic label", "Real material presented as synthetic."),
    technique(24, "TA03", "False authentic label", "Synthetic material presented as real."),
    technique(
        25,
        "TA03",
        "Metadata removal or forgery",
        "Generation metadata or model hash missing or contradicted.",
    ),
    technique(26, "TA03", "Media hash evasion", "Known media altered against hash matching."),
    technique(27, "TA03", "Model fingerprint evasion", "Listed model altered against fingerprint matching."),
    technique(28, "TA03", "Account recycling", "Return after removal through new accounts."),
    technique(29, "TA04", "Grooming assistance", "Generative tools used in grooming."),
    technique(30, "TA04", "Financial sextortion", "Synthetic imagery used to demand money."),
    technique(31, "TA04", "Coercion for material", "Synthetic imagery used to demand imagery or contact."),
    technique(32, "TA04", "Peer abuse", "Synthetic imagery of a peer by a minor."),
    technique(33, "TA04", "Victim re-targeting", "Known victim or family contacted or depicted again."),
    technique(34, "TA05", "Model-hub hosting", "Listed model on a model-hosting platform."),
    technique(35, "TA05", "Gated distribution", "Invite-only repository, channel or group."),
    technique(36, "TA05", "Funnel listing", "Benign-looking post that redirects elsewhere."),
    technique(37, "TA05", "Decentralised distribution", "Peer-to-peer or content-addressed distribution."),
    technique(38, "TA05", "Sexualising app or bot", "Dedicated service for altering images of people."),
    technique(
        39,
        "TA06",
        "Advertising of services",
        "Promotion of HP-T0038 or commissions on mainstream platforms.",
    ),
    technique(40, "TA06", "Commission or subscription", "Paid production or access."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_taxonomy_is_in_order_and_whole() {
        for (nth, technique) in TECHNIQUES.iter().enumerate() {
            assert_eq!(usize::from(technique.id.number()), nth + 1, "{}", technique.name);
            assert!(TACTICS.iter().any(|tactic| tactic.id == technique.tactic), "{}", technique.name);
            assert!(technique.description.ends_with('.') && technique.description.len() <= 100);
            assert_eq!(TechniqueId::parse(&technique.id.to_string()), Ok(technique.id));
            assert_eq!(technique.id.technique(), Some(technique));
        }
    }

    #[test]
    fn ids_have_one_form() {
        assert_eq!(TechniqueId::parse("HP-T9999").map(TechniqueId::number), Ok(9_999));
        assert_eq!(TechniqueId::parse("HP-T9999").expect("an id").technique(), None);
        for text in
            ["", "HP-T", "HP-T0000", "HP-T1", "HP-T00001", "hp-t0001", "HP-T+001", "HP-T000\u{663}", "T0001"]
        {
            assert_eq!(TechniqueId::parse(text), Err(RecordError::Technique), "{text}");
        }
        assert!(TechniqueId::from_number(0).is_err() && TechniqueId::from_number(10_000).is_err());
    }
}
