//! Records that are read by what only their kind says: techniques that were seen, and what files say of their making.
//!
//! They are few beside all records, and a description says which they are, so that a walk over the rows reads the own
//! bytes of these alone.

use super::rows::Held;
use super::{Cursor, Lookup};
use hashpact_core::statistics::{GenmetaKey, Period, Tally, TtpKey};
use hashpact_core::view::RecordView;
use hashpact_protocol::api::time;
use hashpact_protocol::leaf::Kind;
use hashpact_protocol::record::{Detail, Label, Month, Surface, TechniqueId, Ttp};

/// Which observations are asked for.
#[derive(Debug, Clone, Default)]
pub struct TtpFilter {
    /// Only this technique.
    pub technique: Option<TechniqueId>,
    /// Only techniques of this tactic.
    pub tactic: Option<String>,
    /// Only what was seen there.
    pub surface: Option<Surface>,
    /// Only these months.
    pub period: Period,
    /// Only this member's.
    pub member: Option<String>,
}

impl TtpFilter {
    fn accepts(&self, ttp: &Ttp) -> bool {
        let tactic = || ttp.technique.technique().map(|technique| technique.tactic);
        self.technique.is_none_or(|technique| ttp.technique == technique)
            && self.tactic.as_deref().is_none_or(|asked| tactic() == Some(asked))
            && self.surface.is_none_or(|surface| ttp.surface == Label::Known(surface))
            && self.period.contains(ttp.month)
    }
}

impl Lookup {
    /// A page of observations that stand, in the order of (log, index), and where the next page starts.
    #[must_use]
    pub fn observations(
        &self,
        filter: &TtpFilter,
        after: Option<Cursor>,
        limit: usize,
    ) -> (Vec<RecordView>, Option<Cursor>) {
        self.page_of(after, limit, |record| {
            let is_of = |member: &String| record.author.member.as_str() == member;
            record.description.about() == Kind::Ttp
                && record.status().stands()
                && filter.member.as_ref().is_none_or(is_of)
                && matches!(record.detail(), Some(Detail::Ttp(ttp)) if filter.accepts(&ttp))
        })
    }

    /// Counts observations that stand.
    #[must_use]
    pub fn count_observations(&self, by: TtpKey, period: Period) -> Tally {
        let mut tally = Tally::default();
        self.for_each_standing(|record| {
            if record.description.about() != Kind::Ttp {
                return;
            }
            if let Some(Detail::Ttp(ttp)) = record.detail()
                && period.contains(ttp.month)
            {
                let member = &record.author.member;
                tally.add(ttp.month, by.of(&ttp, member), member);
            }
        });
        tally
    }

    /// Counts what files say about how they were made, of records that stand, by the month in which they were stated.
    #[must_use]
    pub fn count_genmeta(&self, by: GenmetaKey, period: Period) -> Tally {
        let mut tally = Tally::default();
        self.for_each_standing(|record| {
            if record.description.about() != Kind::Content {
                return;
            }
            let Some(month) = month_of(&record).filter(|month| period.contains(*month)) else { return };
            if let Some(Detail::Genmeta(genmeta)) = record.detail() {
                let member = &record.author.member;
                by.of(&genmeta, member).into_iter().for_each(|key| tally.add(month, key, member));
            }
        });
        tally
    }
}

/// The month in which a record was stated, by its author's claim.
fn month_of(record: &Held<'_>) -> Option<Month> {
    Month::parse(time::rfc3339(record.time_ms()).get(..7)?).ok()
}
