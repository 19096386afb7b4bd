//! Records that something other than themselves makes another thing of: a decision of the operator, a flood, another record.
//!
//! For the feed of changes, never for a look-up.

use super::judging::{Judges, equals};
use super::local::{FloodState, Local};
use super::news::RecordNews;
use super::outcomes::{Earlier, Judgement, Own};
use super::rows::Rows;
use super::{Lookup, Question, read};
use hashpact_core::policy::{Benign, Decision, Flood, Flooded, Ranges};
use hashpact_core::view::{Standing, Status};
use hashpact_protocol::digest::RecordId;
use hashpact_protocol::record::Signal;

/// Numbers looked at under one lock.
const NUMBERS_PER_LOCK: usize = 1_024;
/// Records with the same signals that are looked at when one of them changes.
const CARRIERS_MAX: usize = 1_024;

/// A record that two decisions of the operator judge differently.
#[derive(Debug)]
pub struct Compared {
    /// The record.
    pub id: RecordId,
    /// How it stands.
    pub status: Status,
    /// What it comes to under each.
    pub judgement: Judgement,
}

/// More records would be told of than is allowed, or looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany;

impl Lookup {
    /// The records that two decisions of the operator judge differently.
    ///
    /// # Errors
    /// There are more than `found_max` of them, or more than `looked_at_max` records.
    pub fn compare_locals(
        &self,
        before: &Local,
        after: &Local,
        found_max: usize,
        looked_at_max: usize,
    ) -> Result<Vec<Compared>, TooMany> {
        if self.records_count() > looked_at_max {
            return Err(TooMany);
        }
        let end = read(&self.rows).numbers_end();
        self.judge_each(
            0..end,
            found_max,
            |rows, floods, own, standing, [then, now]| {
                let flooded = floods.of(own.number, &own.line, own.index, standing.status);
                Judgement {
                    before: then.own(rows, own, standing, flooded, None),
                    after: now.own(rows, own, standing, flooded, None),
                }
            },
            [before, after],
        )
    }

    /// The records of a flood of contributions that another decision about it judges differently.
    ///
    /// # Errors
    /// There are more than `found_max`.
    pub fn compare_flood(
        &self,
        flood: &Flood,
        before: Option<Decision>,
        local: &Local,
        found_max: usize,
    ) -> Result<Vec<Compared>, TooMany> {
        let numbers = self.numbers_in(&flood.ranges, found_max)?;
        self.judge_each(
            numbers,
            found_max,
            |rows, _, own, standing, [judges, _]| Judgement {
                before: judges.own(rows, own, standing, before.and_then(held_back), None),
                after: judges.own(rows, own, standing, held_back(flood.decision), None),
            },
            [local, local],
        )
    }

    /// The records among these whose withdrawal counts or does not count any more.
    #[must_use]
    pub fn compare_withheld(&self, numbers: &[u64], is_withheld: bool, local: &Local) -> Vec<Compared> {
        let withdrawn = |is_withheld: bool| is_withheld.then_some(Flooded::Withdrawn);
        let compared = self.judge_each(
            numbers.iter().copied(),
            usize::MAX,
            |rows, _, own, standing, [judges, _]| Judgement {
                before: judges.own(rows, own, standing, withdrawn(!is_withheld), None),
                after: judges.own(rows, own, standing, withdrawn(is_withheld), None),
            },
            [local, local],
        );
        compared.unwrap_or_default()
    }

    /// Other records that carry a signal of a record and come to something else because it changed: by the number of
    /// independent sources, or by what members call benign. Of a value that very many records carry, none.
    #[must_use]
    pub fn compare_carriers(&self, news: &RecordNews, local: &Local) -> Vec<Compared> {
        let (before, after) = (news.before.as_ref(), &news.known.standing);
        let stood = before.is_some_and(|before| before.status.stands());
        let is_source = stood != after.status.stands() && local.policy.counts_sources();
        if !is_source && !Benign::is_news(before, after) {
            return Vec::new();
        }
        let unknown = Standing { status: Status::Retracted, ..Standing::UNDISPUTED };
        let source = self.source();
        let judges = self.judges(&source, local, &Question::default());
        let (rows, floods) = (read(&self.rows), read(&self.floods));
        let row = || rows.get(news.number).map_or_else(Vec::new, |record| record.signals().collect());
        let signals: Vec<Signal> = match &news.stated {
            Some(stated) => stated.content.signals.clone(),
            None => row(),
        };
        let earlier =
            Earlier { number: news.number, standing: before.unwrap_or(&unknown), signals: &signals };
        let mut numbers = equals(&source.index, &signals);
        numbers.retain(|number| *number != news.number);
        if numbers.len() > CARRIERS_MAX {
            return Vec::new();
        }
        let compare = |number: u64| {
            let record = rows.get(number)?;
            let (own, undisputed) = (Own::row(&rows, &record), Standing::UNDISPUTED);
            let standing = rows.standing(number).unwrap_or(&undisputed);
            let standing = &rows.ruled(number, standing.clone());
            let flooded = floods.of(number, &own.line, own.index, standing.status);
            let judgement = Judgement {
                before: judges.own(&rows, &own, standing, flooded, Some(&earlier)),
                after: judges.own(&rows, &own, standing, flooded, None),
            };
            judgement.is_other().then(|| Compared { id: record.id(), status: standing.status, judgement })
        };
        numbers.into_iter().filter_map(compare).collect()
    }

    fn judge_each(
        &self,
        numbers: impl IntoIterator<Item = u64>,
        found_max: usize,
        judge: impl Fn(&Rows, &FloodState, &Own<'_>, &Standing, [&Judges<'_>; 2]) -> Judgement,
        [before, after]: [&Local; 2],
    ) -> Result<Vec<Compared>, TooMany> {
        let source = self.source();
        let mut found = Vec::new();
        let mut numbers = numbers.into_iter().peekable();
        while numbers.peek().is_some() {
            let judges = [before, after].map(|local| self.judges(&source, local, &Question::default()));
            let [then, now] = &judges;
            let (rows, floods) = (read(&self.rows), read(&self.floods));
            for number in numbers.by_ref().take(NUMBERS_PER_LOCK) {
                let Some(record) = rows.get(number) else { continue };
                let standing = rows.standing(number).cloned().unwrap_or(Standing::UNDISPUTED);
                let standing = rows.ruled(number, standing);
                let judgement = judge(&rows, &floods, &Own::row(&rows, &record), &standing, [then, now]);
                if judgement.is_other() {
                    found.push(Compared { id: record.id(), status: standing.status, judgement });
                }
            }
            if found.len() > found_max {
                return Err(TooMany);
            }
        }
        Ok(found)
    }

    /// Numbers of the records in these ranges.
    fn numbers_in(&self, ranges: &Ranges, count_max: usize) -> Result<Vec<u64>, TooMany> {
        let rows = read(&self.rows);
        let mut numbers = Vec::new();
        for (log, (first, last)) in ranges {
            if last - first >= count_max as u64 {
                return Err(TooMany);
            }
            numbers.extend((*first..=*last).filter_map(|index| Some(rows.at(*log, index)?.number)));
        }
        Ok(numbers)
    }
}

/// What a decision about a flood means for its records.
const fn held_back(decision: Decision) -> Option<Flooded> {
    match decision {
        Decision::Waiting => Some(Flooded::Waiting),
        Decision::Rejected => Some(Flooded::Rejected),
        Decision::Accepted => None,
    }
}
