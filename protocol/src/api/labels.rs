//! Labels as JSON.
//!
//! In a request every field is optional and absence means undetermined. In an answer every label is
//! stated. A value that a newer version wrote reads as its cautious fallback and stands in `raw` with
//! its number, which a request may not carry: nobody can state what they cannot name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::field::{FieldError, FieldRule, vocabulary};
use crate::record::{Evidence, Label, LabelWord, Labels, Vocabulary};

/// Labels of `cg-taxonomy/1`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LabelsJson {
    /// `generated`, `edited_benign`, `edited_abuse`, `photographic` or `undetermined`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// `indistinguishable`, `realistic_flawed`, `non_photorealistic` or `undetermined`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realism: Option<String>,
    /// Activity class of the industry scheme, or `undetermined`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activity: Option<String>,
    /// Age group of the industry scheme, or `undetermined`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_group: Option<String>,
    /// Finer age band; absent when undetermined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_band: Option<String>,
    /// `known_victim`, `extant_person`, `none_known` or `undetermined`: a flag, never an identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub likeness: Option<String>,
    /// Evidence of origin; a set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// Traffic Light Protocol 2.0: `clear`, `green`, `amber`, `amber+strict` (default), `red`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tlp: Option<String>,
    /// Answers only: numbers of values that this version cannot name, by label.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub raw: BTreeMap<String, u64>,
}

impl LabelsJson {
    /// Checks every word; paths in errors start at the labels object.
    ///
    /// # Errors
    /// The first field that is not in its vocabulary.
    pub fn to_labels(&self) -> Result<Labels, FieldError> {
        if !self.raw.is_empty() {
            return Err(FieldError::new("raw", FieldRule::RawLabels));
        }
        let mut labels = Labels {
            origin: word("origin", &self.origin)?,
            realism: word("realism", &self.realism)?,
            activity: word("activity", &self.activity)?,
            age_group: word("age_group", &self.age_group)?,
            age_band: word("age_band", &self.age_band)?,
            likeness: word("likeness", &self.likeness)?,
            tlp: word("tlp", &self.tlp)?,
            ..Labels::default()
        };
        for (nth, text) in self.evidence.iter().enumerate() {
            labels.evidence.insert(vocabulary::<Evidence>(&format!("evidence[{nth}]"), text)?);
        }
        Ok(labels)
    }
}

impl From<&Labels> for LabelsJson {
    fn from(labels: &Labels) -> Self {
        let mut raw = BTreeMap::new();
        let json = Self {
            origin: shown(labels.origin, &mut raw),
            realism: shown(labels.realism, &mut raw),
            activity: shown(labels.activity, &mut raw),
            age_group: shown(labels.age_group, &mut raw),
            age_band: shown(labels.age_band, &mut raw).filter(|band| band != "undetermined"),
            likeness: shown(labels.likeness, &mut raw),
            evidence: labels.evidence.iter().map(|word| word.name().to_owned()).collect(),
            tlp: shown(labels.tlp, &mut raw),
            raw: BTreeMap::new(),
        };
        if labels.evidence.unknown_bits() != 0 {
            raw.insert(Evidence::FIELD.to_owned(), labels.evidence.unknown_bits());
        }
        Self { raw, ..json }
    }
}

fn word<T: LabelWord>(path: &str, text: &Option<String>) -> Result<Label<T>, FieldError> {
    match text {
        Some(text) => vocabulary::<T>(path, text).map(Label::Known),
        None => Ok(Label::default()),
    }
}

fn shown<T: LabelWord>(label: Label<T>, raw: &mut BTreeMap<String, u64>) -> Option<String> {
    if let Label::Unknown(code) = label {
        raw.insert(T::FIELD.to_owned(), code);
    }
    Some(label.get().name().to_owned())
}
