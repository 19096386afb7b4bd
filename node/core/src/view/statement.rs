//! Everything that members have said about one record id, whether or not the record is here yet.

use super::record::{Standing, Statement, Status, StatusReason};
use super::said::{Said, Weights, insert};
use super::{Author, Contested};
use crate::effect::EntryRef;
use crate::limits::STATEMENTS_PER_MEMBER_MAX;
use crate::policy::asks_for_labels;
use hashpact_protocol::digest::{LeafHash, LogId, RecordId};
use hashpact_protocol::leaf::Leaf;
use hashpact_protocol::record::{Opinion, OpinionValue, Reason, Retraction, SubjectRef};
use hashpact_protocol::roster::{LogPlace, MemberId};
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
pub(super) struct OpinionEntry {
    pub(super) n: u32,
    pub(super) line: LogId,
    pub(super) index: u64,
    /// Its leaf hash: two histories of a forked log may state something at one index.
    pub(super) id: LeafHash,
    pub(super) time_ms: u64,
    pub(super) opinion: Opinion,
}

#[derive(Debug, Clone)]
pub(super) struct RetractionEntry {
    pub(super) n: u32,
    pub(super) log: LogId,
    pub(super) line: LogId,
    pub(super) index: u64,
    /// Its leaf hash.
    pub(super) id: LeafHash,
    pub(super) time_ms: u64,
    /// The reason, when the payload is here and fits its leaf; the leaf alone acts.
    pub(super) stated: Option<Retraction>,
}

impl OpinionEntry {
    pub(super) const fn new(author: &Author, leaf: &Leaf, id: LeafHash, opinion: Opinion) -> Self {
        let (n, line, index, time_ms) = (author.n, author.line, leaf.index, leaf.time_ms);
        Self { n, line, index, id, time_ms, opinion }
    }

    const fn log_place(&self) -> LogPlace {
        LogPlace { n: self.n, index: self.index }
    }

    fn rank(&self) -> (u32, u64, LeafHash) {
        (self.n, self.index, self.id)
    }

    fn statement(&self) -> Statement {
        Statement {
            opinion: self.opinion.opinion,
            reason: Some(self.opinion.reason.get()).filter(|reason| *reason != Reason::Unstated),
            time_ms: self.time_ms,
            place: self.log_place(),
            before: None,
        }
    }
}

impl RetractionEntry {
    const fn log_place(&self) -> LogPlace {
        LogPlace { n: self.n, index: self.index }
    }

    fn rank(&self) -> (u32, u64, LeafHash) {
        (self.n, self.index, self.id)
    }

    pub(super) fn place(&self) -> EntryRef {
        EntryRef { log: self.log, index: self.index }
    }
}

/// Statements by member, each list ordered by (log number, index, leaf hash).
#[derive(Debug, Default)]
pub(super) struct About {
    opinions: BTreeMap<MemberId, Vec<OpinionEntry>>,
    retractions: BTreeMap<MemberId, Vec<RetractionEntry>>,
    supersessions: BTreeMap<MemberId, Vec<Said>>,
}

impl About {
    pub(super) fn supersede(&mut self, member: &MemberId, said: Said) {
        let list = self.supersessions.entry(member.clone()).or_default();
        insert(list, said, |said| said, STATEMENTS_PER_MEMBER_MAX);
    }

    /// The supersession that counts, and whose it is: a steward's before the author's own, of several stewards' the
    /// latest by claimed time, and of each member's the highest.
    pub(super) fn superseded_by<'a>(
        &'a self,
        author: &'a MemberId,
        weights: &Weights<'a>,
    ) -> Option<(&'a MemberId, &'a Said)> {
        let last = |member: &'a MemberId| {
            let mut said = self.supersessions.get(member)?.iter().rev();
            let last = said.find(|said| weights.withdraws(author, member, &said.line, said.place))?;
            Some((member, last))
        };
        let acting = weights.leavers.acting_for(author).filter_map(last);
        acting.max_by_key(|(member, said)| (*member != author, said.time_ms, *member))
    }

    /// The last supersession of a member that counts, whoever's record it is.
    pub(super) fn last_by(&self, member: &MemberId, weights: &Weights<'_>) -> Option<&Said> {
        self.supersessions.get(member)?.iter().rev().find(|said| weights.counts(member, said))
    }

    /// The records by which anybody supersedes it.
    pub(super) fn superseding(&self) -> impl Iterator<Item = RecordId> {
        self.supersessions.values().flatten().map(|said| said.id)
    }

    /// Whether a history of a log says something about it at or after an index, erasure orders aside.
    pub(super) fn is_said_from(&self, line: LogId, index: u64) -> bool {
        let opined = self.opinions.values().flatten().map(|entry| (entry.line, entry.index));
        let retracted = self.retractions.values().flatten().map(|entry| (entry.line, entry.index));
        let superseded = self.supersessions.values().flatten().map(|said| (said.line, said.place.index));
        opined.chain(retracted).chain(superseded).any(|(of, at)| of == line && at >= index)
    }

    /// Whether a member says something about it at or after a place, erasure orders aside.
    pub(super) fn has_from(&self, member: &MemberId, from: LogPlace) -> bool {
        let opined = self.opinions.get(member).into_iter().flatten().map(OpinionEntry::log_place);
        let retracted = self.retractions.get(member).into_iter().flatten().map(RetractionEntry::log_place);
        let superseded = self.supersessions.get(member).into_iter().flatten().map(|said| said.place);
        opined.chain(retracted).chain(superseded).any(|place| place >= from)
    }

    pub(super) fn opine(&mut self, member: &MemberId, entry: OpinionEntry) {
        let list = self.opinions.entry(member.clone()).or_default();
        let at = list.partition_point(|held| held.rank() < entry.rank());
        if list.get(at).is_none_or(|held| held.id != entry.id) {
            list.insert(at, entry);
        }
        // The oldest can only matter if all newer ones are void; a member that writes this many void
        // opinions about one record loses the oldest.
        if list.len() > STATEMENTS_PER_MEMBER_MAX {
            list.remove(0);
        }
    }

    pub(super) fn retract(&mut self, member: &MemberId, entry: RetractionEntry) {
        let list = self.retractions.entry(member.clone()).or_default();
        let at = list.partition_point(|held| held.rank() < entry.rank());
        // Its payload came after its leaf: the same retraction, which now has a reason.
        if let Some(held) = list.get_mut(at).filter(|held| held.id == entry.id) {
            held.stated = entry.stated.or(held.stated.take());
            return;
        }
        list.insert(at, entry);
        // The first valid one gives time and reason, so the newest goes.
        list.truncate(STATEMENTS_PER_MEMBER_MAX);
    }

    /// The first retraction by the author, else by the first of its stewards, and whose it is.
    pub(super) fn retracted_by<'a>(
        &'a self,
        author: &'a MemberId,
        weights: &Weights<'a>,
    ) -> Option<(&'a MemberId, &'a RetractionEntry)> {
        weights.leavers.acting_for(author).find_map(|member| {
            let mut list = self.retractions.get(member)?.iter();
            let counts =
                |entry: &&RetractionEntry| weights.withdraws(author, member, &entry.line, entry.log_place());
            Some((member, list.find(counts)?))
        })
    }

    /// Where retractions stand.
    pub(super) fn retracting_entries(&self) -> impl Iterator<Item = EntryRef> {
        self.retractions.values().flatten().map(RetractionEntry::place)
    }

    /// How a record stands about which this was said.
    pub(super) fn standing(&self, subject: &Subject<'_>, weights: &Weights<'_>) -> Standing {
        let statements: BTreeMap<MemberId, Statement> = self
            .opinions
            .iter()
            .filter(|(member, _)| *member != subject.member && weights.leavers.lapsed_since(member).is_none())
            .filter_map(|(member, list)| {
                let mut valid = list.iter().rev().filter(|entry| {
                    entry.opinion.subject == subject.place
                        && weights.weighs(member, &entry.line, entry.log_place())
                });
                let mut latest = valid.next()?.statement();
                if asks_for_labels(&latest) {
                    let before =
                        valid.map(OpinionEntry::statement).find(|statement| !asks_for_labels(statement));
                    latest.before = before.map(Box::new);
                }
                Some((member.clone(), latest))
            })
            .collect();
        let (status, reason) = self
            .withdrawn(subject, weights)
            .or_else(|| subject.fallen(weights.now_ms))
            .unwrap_or_else(|| disputed(&statements));
        Standing { status, reason, statements }
    }

    fn withdrawn(
        &self,
        subject: &Subject<'_>,
        weights: &Weights<'_>,
    ) -> Option<(Status, Option<StatusReason>)> {
        let (member, entry) = self.retracted_by(subject.member, weights)?;
        let stated = entry.stated.as_ref().filter(|stated| stated.subject == subject.place);
        let reason = StatusReason::RetractedBy {
            member: member.clone(),
            time_ms: entry.time_ms,
            entry: entry.place(),
            reason: stated.map(|stated| stated.reason.get()),
        };
        Some((Status::Retracted, Some(reason)))
    }
}

/// What is known about a record apart from what members say about it.
pub(super) struct Subject<'a> {
    pub(super) member: &'a MemberId,
    pub(super) place: SubjectRef,
    /// When it stops counting by its own words.
    pub(super) expires_s: Option<u64>,
    /// From where on its log is contested, if the record is among what is.
    pub(super) contested: Option<Contested>,
    /// By what its author took its place.
    pub(super) superseded: Option<StatusReason>,
    /// What else its payload names than its leaf.
    pub(super) void: Option<StatusReason>,
    /// Since when the records of its author lapse.
    pub(super) lapsed: Option<StatusReason>,
    /// How its author is suspended.
    pub(super) suspended: Option<StatusReason>,
}

impl Subject<'_> {
    /// How it stands if nobody says anything about it.
    pub(super) fn standing(&self, now_ms: u64) -> Standing {
        match self.fallen(now_ms) {
            Some((status, reason)) => Standing { status, reason, statements: BTreeMap::new() },
            None => Standing::UNDISPUTED,
        }
    }

    /// Why it counts less than others, or not at all, whatever is said about it.
    fn fallen(&self, now_ms: u64) -> Option<(Status, Option<StatusReason>)> {
        if let Some(reason) = &self.superseded {
            return Some((Status::Superseded, Some(reason.clone())));
        }
        let expires_ms = self.expires_s.map(|expires_s| expires_s.saturating_mul(1_000));
        if let Some(time_ms) = expires_ms.filter(|expires_ms| *expires_ms <= now_ms) {
            return Some((Status::Expired, Some(StatusReason::ExpiredAt { time_ms })));
        }
        if let Some(reason) = &self.void {
            return Some((Status::Void, Some(reason.clone())));
        }
        if let Some(reason) = &self.lapsed {
            return Some((Status::Lapsed, Some(reason.clone())));
        }
        let suspended = self.suspended.as_ref();
        let suspended = suspended.map(|reason| (Status::Suspended, Some(reason.clone())));
        let Some(Contested { from, counts }) = self.contested else { return suspended };
        let forked = Some(StatusReason::ForkedFrom { index: from });
        if counts {
            suspended.or(Some((Status::Contested, forked)))
        } else {
            Some((Status::Disowned, forked))
        }
    }
}

/// How a record stands about which these are the opinions.
pub(super) fn disputed(statements: &BTreeMap<MemberId, Statement>) -> (Status, Option<StatusReason>) {
    let disagree = statements.iter().filter(|(_, statement)| statement.opinion == OpinionValue::Disagree);
    let members: Vec<MemberId> = disagree.map(|(member, _)| member.clone()).collect();
    if members.is_empty() {
        (Status::Active, None)
    } else {
        (Status::Disputed, Some(StatusReason::DisagreedBy { members }))
    }
}
