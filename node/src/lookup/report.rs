//! New records that lie close to what is known to be benign, or to what members dispute.
//!
//! A poisoned or careless contribution looks like any other; that it lands beside many signals that others called benign
//! is worth a look. Reads rows a block at a time, and the index without a lock.

use super::local::Local;
use super::rows::{Held, Rows};
use super::{Lookup, read};
use hashpact_core::policy::Opinions;
use hashpact_core::view::{Block, Reach, reach};
use hashpact_index::MatchIndex;
use hashpact_protocol::api::time::rfc3339;
use hashpact_protocol::api::{ContradictionJson, ContradictionsResponse};
use hashpact_protocol::digest::LogId;
use hashpact_protocol::limits::PDQ_DISTANCE_DEFAULT;
use hashpact_protocol::record::{Signal, SignalType, Vocabulary as _};
use hashpact_protocol::roster::MemberId;
use std::collections::BTreeSet;

/// New records that one report looks at.
const LOOKED_AT_MAX: usize = 20_000;
const RADIUS: u16 = PDQ_DISTANCE_DEFAULT as u16;

/// What the report is about.
#[derive(Debug, Clone)]
pub struct ReportAsk {
    /// Records stated since, in milliseconds since 1970.
    pub since_ms: u64,
    /// Only of this member.
    pub member: Option<String>,
    /// Most records in the answer.
    pub limit: usize,
}

/// A new record, apart from where it is.
struct New {
    number: u64,
    id: String,
    member: MemberId,
    time_ms: u64,
    review: &'static str,
    values: Vec<Signal>,
}

impl Lookup {
    /// New records that contradict what is known. Takes long: not for the async runtime.
    #[must_use]
    pub fn contradictions(&self, ask: &ReportAsk) -> ContradictionsResponse {
        let local = self.local();
        let index = self.source().index;
        let benign = self.benign_index();
        let (news, truncated) = self.news(ask);
        let looked_at = news.len() as u64;
        let mut found: Vec<(u64, ContradictionJson)> = news
            .into_iter()
            .filter_map(|new| {
                let contradiction = self.contradiction(&new, &local, &index, &benign);
                let weight =
                    contradiction.negative_lists.len() as u64 + contradiction.benign + contradiction.disputed;
                (weight > 0).then_some((weight, contradiction))
            })
            .collect();
        found.sort_by(|a, b| (b.0, &a.1.record).cmp(&(a.0, &b.1.record)));
        let contradictions = found.into_iter().take(ask.limit).map(|(_, contradiction)| contradiction);
        ContradictionsResponse { looked_at, truncated, contradictions: contradictions.collect() }
    }

    /// Signals that anybody calls benign.
    fn benign_index(&self) -> MatchIndex {
        let index = MatchIndex::new();
        for (number, (kind, value, _)) in (0..).zip(read(&self.rows).benign().signals()) {
            if let (SignalType::Pdq, Ok(value)) = (kind, value.try_into()) {
                index.insert_hamming(value, number);
            }
        }
        index
    }

    /// New standing records that are found by distance, and whether there are more.
    fn news(&self, ask: &ReportAsk) -> (Vec<New>, bool) {
        let (mut news, mut truncated) = (Vec::new(), false);
        let mut from = Block::of(LogId::new([0; 32]), 0);
        loop {
            let rows = read(&self.rows);
            let Some((block, records)) = rows.block_at_or_after(from) else { break };
            let is_new = |record: &Held<'_>| {
                record.time_ms() >= ask.since_ms
                    && record.status().stands()
                    && ask.member.as_ref().is_none_or(|member| record.author.member.as_str() == member)
            };
            news.extend(records.filter(is_new).map(|record| new(&rows, &record)));
            if news.len() > LOOKED_AT_MAX {
                truncated = true;
                news.sort_by_key(|new: &New| std::cmp::Reverse(new.time_ms));
                news.truncate(LOOKED_AT_MAX);
            }
            from = block.next();
        }
        (news, truncated)
    }

    fn contradiction(
        &self,
        new: &New,
        local: &Local,
        index: &MatchIndex,
        benign: &MatchIndex,
    ) -> ContradictionJson {
        let (mut lists, mut called, mut disputed) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for signal in &new.values {
            let Reach::Near(value) = reach(signal) else { continue };
            let near = local.negatives.iter().filter(|list| list.nearest(SignalType::Pdq, value).is_some());
            lists.extend(near.map(|list| list.name.clone()));
            called.extend(benign.query_hamming(value, RADIUS).iter().map(|hit| hit.record));
            let near = index.query_hamming(value, RADIUS);
            let rows = read(&self.rows);
            disputed.extend(
                near.iter().map(|hit| hit.record).filter(|number| {
                    *number != new.number && is_disputed(&rows, *number, &new.member, local)
                }),
            );
        }
        let sentence = sentence(&lists, called.len(), disputed.len());
        ContradictionJson {
            record: new.id.clone(),
            member: new.member.to_string(),
            stated: rfc3339(new.time_ms),
            review: new.review.to_owned(),
            negative_lists: lists.into_iter().collect(),
            benign: called.len() as u64,
            disputed: disputed.len() as u64,
            sentence,
        }
    }
}

fn new(rows: &Rows, record: &Held<'_>) -> New {
    New {
        number: record.number,
        id: rows.view(record).known.id.to_hex(),
        member: record.author.member.clone(),
        time_ms: record.time_ms(),
        review: record.description.review.get().name(),
        values: record.signals().filter(|signal| signal.kind() == SignalType::Pdq).collect(),
    }
}

/// Whether another member's record is disputed, other than about its labels.
fn is_disputed(rows: &Rows, number: u64, author: &MemberId, local: &Local) -> bool {
    let is_other = rows.get(number).is_some_and(|record| record.author.member != *author);
    let disagree = |standing| Opinions::of(standing, local.policy.members()).disagree > 0;
    is_other && rows.standing(number).is_some_and(disagree)
}

fn sentence(lists: &BTreeSet<String>, benign: usize, disputed: usize) -> String {
    let mut parts = Vec::new();
    if !lists.is_empty() {
        let names: Vec<&str> = lists.iter().map(String::as_str).collect();
        parts.push(format!("near values of the negative lists {}", names.join(", ")));
    }
    if benign > 0 {
        parts.push(format!("near {benign} signals that members call benign or adult"));
    }
    if disputed > 0 {
        parts.push(format!("near {disputed} disputed records of other members"));
    }
    parts.join("; ")
}
