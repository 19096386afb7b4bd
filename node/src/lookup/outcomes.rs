//! What records come to by themselves: as if their own signals were looked up, value for value.
//!
//! For the feed of changes, never for a look-up. Rows are read a little at a time, so that nobody waits for them.

use super::judging::{Judges, Known, perceptual, signals_of};
use super::local::{FloodState, Local};
use super::news::RecordNews;
use super::rows::{Held, Rows};
use super::{Lookup, Question, read};
use hashpact_core::policy::{
    Decision, Flood, Flooded, HarmLabels, List, NEGATIVE_MEMBERS_MIN, Negative, Outcome, Ranges, Way,
};
use hashpact_core::view::{KnownRecord, Standing, Stated, Status, StatusReason};
use hashpact_protocol::digest::{LogId, RecordId};
use hashpact_protocol::record::{Label, OpinionValue, Review, Signal};
use hashpact_protocol::roster::MemberId;
use std::sync::Arc;

/// Records judged under one lock of the rows.
const RECORDS_PER_LOCK: usize = 256;
/// Numbers looked at under one lock.
const NUMBERS_PER_LOCK: u64 = 1_024;

/// What one record comes to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OwnOutcomes {
    /// The outcome, and the list that decides; none if it does not count.
    pub verdict: Option<(Outcome, Arc<List>)>,
    /// The lists that count it.
    pub lists: Vec<(Arc<List>, Outcome)>,
}

/// A record's change, judged.
#[derive(Debug)]
pub struct Judgement {
    /// What it came to before.
    pub before: OwnOutcomes,
    /// What it comes to.
    pub after: OwnOutcomes,
}

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

/// How all records stand.
#[derive(Debug, Default)]
pub struct Standings {
    /// The same for the same records with the same statuses, apart from expiries after the moment asked for.
    pub fingerprint: u128,
    /// Records that expired after that moment.
    pub expired: Vec<Expired>,
    /// The last expiry that has passed, in milliseconds since 1970.
    pub expired_until_ms: u64,
}

/// A record that expired.
pub type Expired = RecordNews;

/// What is judged of one record.
struct Own<'a> {
    number: u64,
    member: &'a MemberId,
    log: LogId,
    index: u64,
    labels: HarmLabels,
    review: Label<Review>,
    stated_ms: u64,
    signals: Vec<Signal>,
}

impl<'a> Own<'a> {
    fn row(record: &Held<'a>) -> Self {
        Self {
            number: record.number,
            member: &record.author.member,
            log: record.author.log,
            index: record.index,
            labels: HarmLabels::from(record.description.labels()),
            review: record.description.review,
            stated_ms: record.time_ms(),
            signals: record.signals().collect(),
        }
    }

    fn stated(number: u64, known: &'a KnownRecord, stated: &Stated) -> Self {
        Self {
            number,
            member: &known.author.member,
            log: known.author.log,
            index: known.index,
            labels: HarmLabels::from(&stated.content.labels),
            review: stated.content.review,
            stated_ms: stated.time_ms,
            signals: stated.content.signals.clone(),
        }
    }
}

impl Judges<'_> {
    /// What one record comes to if it stands so.
    fn own(&self, rows: &Rows, own: &Own<'_>, standing: &Standing, flooded: Option<Flooded>) -> OwnOutcomes {
        let Some(kind) = own.signals.iter().map(Signal::kind).min() else { return OwnOutcomes::default() };
        if !standing.status.stands() && flooded != Some(Flooded::Withdrawn) {
            return OwnOutcomes::default();
        }
        let known = Known {
            member: own.member,
            status: standing.status,
            labels: own.labels,
            review: own.review,
            standing: Some(standing),
            stated_ms: own.stated_ms,
        };
        let way = |signal: &Signal| Way { signal: signal.kind(), distance: 0, quality: signal.quality() };
        let ways: Vec<Way> = own.signals.iter().map(way).collect();
        let sources = || self.carried(rows, || signals_of(own.signals.iter().cloned(), kind), kind).sources;
        let judged = |negative: Option<Negative<'_>>| {
            let facts = self.facts(&known, flooded, negative, || 0);
            let (verdict, each) = self.local.policy.outcomes(&self.asked, &facts, &ways, &sources);
            let lists = self.local.policy.lists().iter().zip(each);
            OwnOutcomes {
                verdict: verdict.map(|verdict| (verdict.outcome, Arc::clone(verdict.list))),
                lists: lists.filter_map(|(list, outcome)| Some((Arc::clone(list), outcome?))).collect(),
            }
        };
        let free = judged(None);
        // What is benign holds back to review, so it is asked for only where something goes further.
        if free.lists.iter().all(|(_, outcome)| *outcome <= Outcome::Review) {
            return free;
        }
        match self.own_negative(rows, own) {
            None => free,
            negative => judged(negative),
        }
    }

    fn own_negative(&self, rows: &Rows, own: &Own<'_>) -> Option<Negative<'_>> {
        let near = self.local.negatives.iter().flat_map(|list| {
            let nearest = |signal: &Signal| list.nearest(signal.kind(), signal.value());
            own.signals.iter().filter_map(nearest).map(|distance| (distance, list.name.as_str()))
        });
        if let Some((distance, list)) = near.min() {
            return Some(Negative::Local { list, distance });
        }
        let signals = perceptual(own.signals.iter().cloned());
        let count = rows.benign().members(signals, own.member, self.local.policy.members());
        (count >= NEGATIVE_MEMBERS_MIN).then_some(Negative::Members { count })
    }

    fn judge_news(&self, rows: &Rows, floods: &FloodState, news: &RecordNews) -> Judgement {
        let row = rows.get(news.number);
        let own = match (&news.stated, &row) {
            (Some(stated), _) => Own::stated(news.number, &news.known, stated),
            (None, Some(record)) => Own::row(record),
            (None, None) => {
                return Judgement { before: OwnOutcomes::default(), after: OwnOutcomes::default() };
            }
        };
        let judge = |standing: &Standing| {
            let flooded = floods.of(own.number, &own.log, own.index, standing.status);
            self.own(rows, &own, standing, flooded)
        };
        Judgement {
            before: news.before.as_ref().map_or_else(OwnOutcomes::default, judge),
            after: judge(&news.known.standing),
        }
    }
}

impl Lookup {
    /// Judges changes of records, before and after, in their order.
    #[must_use]
    pub fn judge_news(&self, news: &[RecordNews], local: &Local) -> Vec<Judgement> {
        let source = self.source();
        let mut judged = Vec::with_capacity(news.len());
        for some in news.chunks(RECORDS_PER_LOCK) {
            // Anew for each: what it has worked out holds as long as the rows do not change.
            let judges = self.judges(&source, local, &Question::default());
            let (rows, floods) = (read(&self.rows), read(&self.floods));
            judged.extend(some.iter().map(|news| judges.judge_news(&rows, &floods, news)));
        }
        judged
    }

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
                let flooded = floods.of(own.number, &own.log, own.index, standing.status);
                Judgement {
                    before: then.own(rows, own, standing, flooded),
                    after: now.own(rows, own, standing, flooded),
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
                before: judges.own(rows, own, standing, before.and_then(held_back)),
                after: judges.own(rows, own, standing, held_back(flood.decision)),
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
                before: judges.own(rows, own, standing, withdrawn(!is_withheld)),
                after: judges.own(rows, own, standing, withdrawn(is_withheld)),
            },
            [local, local],
        );
        compared.unwrap_or_default()
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
            for number in numbers.by_ref().take(NUMBERS_PER_LOCK as usize) {
                let Some(record) = rows.get(number) else { continue };
                let standing = rows.standing(number).cloned().unwrap_or(Standing::UNDISPUTED);
                let judgement = judge(&rows, &floods, &Own::row(&record), &standing, [then, now]);
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
            numbers.extend((*first..=*last).filter_map(|index| rows.number_at(*log, index)));
        }
        Ok(numbers)
    }

    /// How all records stand, and which of them expired after a moment: those count as they stood before they did.
    #[must_use]
    pub fn standings(&self, after_ms: u64) -> Standings {
        let mut all = Standings::default();
        let (mut next, end) = (0, read(&self.rows).numbers_end());
        while next < end {
            let rows = read(&self.rows);
            for record in (next..end.min(next + NUMBERS_PER_LOCK)).filter_map(|number| rows.get(number)) {
                let status = all.note(&rows, &record, after_ms);
                all.fingerprint = all.fingerprint.wrapping_add(fingerprint(&record.id(), status));
            }
            next += NUMBERS_PER_LOCK;
        }
        all
    }
}

impl Standings {
    /// Notes whether a record expired; its status, before it did if that was after the moment asked for.
    fn note(&mut self, rows: &Rows, record: &Held<'_>, after_ms: u64) -> Status {
        let status = record.status();
        let Some(standing) = rows.standing(record.number).filter(|_| status == Status::Expired) else {
            return status;
        };
        let Some(StatusReason::ExpiredAt { time_ms }) = &standing.reason else { return status };
        self.expired_until_ms = self.expired_until_ms.max(*time_ms);
        if *time_ms <= after_ms {
            return status;
        }
        let before = unexpired(standing);
        let status = before.status;
        self.expired.extend(RecordNews::of(record.number, Some(before), &rows.view(record).known, None));
        status
    }
}

/// How a record stood before it expired.
fn unexpired(standing: &Standing) -> Standing {
    let disagree = standing.statements.values().any(|said| said.opinion == OpinionValue::Disagree);
    let status = if disagree { Status::Disputed } else { Status::Active };
    Standing { status, reason: None, statements: standing.statements.clone() }
}

/// Ids are digests already: all that is needed is that each status gives another number.
fn fingerprint(id: &RecordId, status: Status) -> u128 {
    let (head, _) = id.as_bytes().split_at(16);
    let word = status.name().bytes().fold(0xcbf2_9ce4_8422_2325_u128, |word, byte| {
        (word ^ u128::from(byte)).wrapping_mul(0x0000_0100_0000_01b3_0000_0100_0000_01b3)
    });
    u128::from_be_bytes(head.try_into().expect("16 of 32 bytes")).wrapping_mul(word | 1)
}

/// What a decision about a flood means for its records.
const fn held_back(decision: Decision) -> Option<Flooded> {
    match decision {
        Decision::Waiting => Some(Flooded::Waiting),
        Decision::Rejected => Some(Flooded::Rejected),
        Decision::Accepted => None,
    }
}

impl Judgement {
    /// Whether anything comes to something else.
    #[must_use]
    pub fn is_other(&self) -> bool {
        let decided = |outcomes: &OwnOutcomes| {
            outcomes.verdict.as_ref().map(|(outcome, list)| (*outcome, list.name.clone()))
        };
        let lists = |outcomes: &OwnOutcomes| -> Vec<(String, Outcome)> {
            outcomes.lists.iter().map(|(list, outcome)| (list.name.clone(), *outcome)).collect()
        };
        decided(&self.before) != decided(&self.after) || {
            let (mut before, mut after) = (lists(&self.before), lists(&self.after));
            before.sort();
            after.sort();
            before != after
        }
    }
}
