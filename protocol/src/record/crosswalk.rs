//! What other schemes call a record, as far as its labels say so.
//!
//! One table for everybody who hands a record on: to NCMEC's hash sharing, into a CyberTip, or beside an
//! answer of Arachnid Shield. The words are those that these schemes use on the wire; `CROSSWALK.md` says
//! where each was seen, and what could not be verified. Where the labels do not decide, nothing is said: a
//! wrong class in somebody else's scheme is worse than none.
//!
//! Nothing here follows from `review`: whether harm was confirmed is said by its own field.

use super::labels::Labels;
use super::taxonomy::{Activity, AgeBand, Origin, Realism};

/// What follows from the labels of one record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Crosswalk {
    /// Class of the industry scheme: `A1`, `A2`, `B1` or `B2`.
    pub industry_class: Option<&'static str>,
    /// `classification` of an entry in NCMEC's hash sharing: the industry class.
    pub ncmec_classification: Option<&'static str>,
    /// Elements of `fileAnnotations` in a CyberTip's file details, in the order of their schema.
    pub cybertip_annotations: Vec<&'static str>,
    /// `classification` of Arachnid Shield.
    pub arachnid_class: Option<&'static str>,
}

impl Crosswalk {
    /// What these labels are called elsewhere.
    ///
    /// ```
    /// use hashpact_protocol::record::{Activity, AgeGroup, Crosswalk, Labels, Origin};
    /// let labels = Labels {
    ///     origin: Origin::Generated.into(),
    ///     activity: Activity::LasciviousExhibition.into(),
    ///     age_group: AgeGroup::Prepubescent.into(),
    ///     ..Labels::default()
    /// };
    /// let crosswalk = Crosswalk::of(&labels);
    /// assert_eq!(crosswalk.ncmec_classification, Some("A2"));
    /// assert_eq!(crosswalk.cybertip_annotations, ["generativeAi"]);
    /// ```
    #[must_use]
    pub fn of(labels: &Labels) -> Self {
        let industry_class = labels.industry_class();
        Self {
            industry_class,
            ncmec_classification: industry_class,
            cybertip_annotations: cybertip_annotations(labels).collect(),
            arachnid_class: arachnid_class(labels),
        }
    }

    /// Whether the labels say nothing in any of these schemes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn cybertip_annotations(labels: &Labels) -> impl Iterator<Item = &'static str> {
    // Not of an altered picture of abuse: who reads a tip must not take its victim for invented.
    let is_generated = matches!(labels.origin.get(), Origin::Generated | Origin::EditedBenign);
    let is_drawn = labels.realism.get() == Realism::NonPhotorealistic;
    let is_infant = labels.age_band.get() == AgeBand::From0To2;
    let annotations =
        [(is_drawn, "animeDrawingVirtualHentai"), (is_infant, "infant"), (is_generated, "generativeAi")];
    annotations.into_iter().filter(|(applies, _)| *applies).map(|(_, word)| word)
}

fn arachnid_class(labels: &Labels) -> Option<&'static str> {
    // Whether drawings are classified there could not be verified.
    if labels.realism.get() == Realism::NonPhotorealistic {
        return None;
    }
    match (labels.industry_class(), labels.activity.get()) {
        (Some(_), _) => Some("csam"),
        (None, Activity::OtherSexualised) => Some("harmful-abusive-material"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{AgeGroup, Label};

    fn labels(age_group: AgeGroup, activity: Activity) -> Labels {
        Labels { age_group: age_group.into(), activity: activity.into(), ..Labels::default() }
    }

    #[test]
    fn each_class_has_one_word_in_each_scheme() {
        let cases = [
            (AgeGroup::Prepubescent, Activity::SexAct, Some("A1"), Some("csam")),
            (AgeGroup::Prepubescent, Activity::LasciviousExhibition, Some("A2"), Some("csam")),
            (AgeGroup::Pubescent, Activity::SexAct, Some("B1"), Some("csam")),
            (AgeGroup::Pubescent, Activity::LasciviousExhibition, Some("B2"), Some("csam")),
            (AgeGroup::Pubescent, Activity::OtherSexualised, None, Some("harmful-abusive-material")),
            (AgeGroup::Undetermined, Activity::SexAct, None, None),
            (AgeGroup::Pubescent, Activity::Undetermined, None, None),
        ];
        for (age_group, activity, class, arachnid) in cases {
            let crosswalk = Crosswalk::of(&labels(age_group, activity));
            assert_eq!(crosswalk.industry_class, class);
            assert_eq!((crosswalk.ncmec_classification, crosswalk.arachnid_class), (class, arachnid));
        }
    }

    #[test]
    fn annotations_follow_from_origin_realism_and_age_band() {
        let of = |origin: Origin, realism: Realism, age_band: AgeBand| {
            let (origin, realism, age_band) = (origin.into(), realism.into(), age_band.into());
            Crosswalk::of(&Labels { origin, realism, age_band, ..Labels::default() }).cybertip_annotations
        };
        assert_eq!(
            of(Origin::Generated, Realism::NonPhotorealistic, AgeBand::From0To2),
            ["animeDrawingVirtualHentai", "infant", "generativeAi"]
        );
        assert_eq!(of(Origin::EditedBenign, Realism::Indistinguishable, AgeBand::From3To6), ["generativeAi"]);
        for origin in [Origin::EditedAbuse, Origin::Photographic, Origin::Undetermined] {
            assert!(of(origin, Realism::Undetermined, AgeBand::Undetermined).is_empty(), "{origin:?}");
        }
    }

    #[test]
    fn a_drawing_has_no_class_of_arachnid_and_what_is_not_known_has_none_at_all() {
        let drawn = Labels {
            realism: Realism::NonPhotorealistic.into(),
            ..labels(AgeGroup::Pubescent, Activity::SexAct)
        };
        assert_eq!(Crosswalk::of(&drawn).arachnid_class, None);
        let newer = Labels {
            activity: Label::Unknown(99),
            origin: Label::Unknown(99),
            ..labels(AgeGroup::Pubescent, Activity::SexAct)
        };
        assert!(Crosswalk::of(&newer).is_empty());
    }
}
