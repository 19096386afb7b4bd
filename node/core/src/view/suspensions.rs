//! Who is suspended, from which place of its logs on, and from when until when.
//!
//! Votes are kept by (member, roster version), and everything is computed from all of them whenever one comes: so the
//! order in which they arrive does not matter. Suspensions begin one after the other in time, and each one takes its
//! member out of the number that the later ones need. A member's claimed times never go back, and what a suspended
//! member states from its place on is no vote, so nobody gets around a suspension by another date.
//!
//! SPEC §7.12.

use super::said::{Said, Weights, insert};
use super::{Contested, Leavers};
use crate::limits::STATEMENTS_PER_MEMBER_MAX;
use hashpact_protocol::digest::LogId;
use hashpact_protocol::record::{self, SuspensionReason, Vote};
use hashpact_protocol::roster::{LogPlace, MemberId};
use std::collections::{BTreeMap, BTreeSet};

/// How long a suspension lasts unless it is ended before, in milliseconds.
pub const SUSPENSION_MS: u64 = 72 * 3_600 * 1_000;

/// One suspension, whether or not it holds now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// The member.
    pub member: MemberId,
    /// The roster version that it is for.
    pub roster_version: u64,
    /// The first place of its logs that does not count.
    pub from: LogPlace,
    /// When the last vote was cast that it needed.
    pub begins_ms: u64,
    /// When it ends.
    pub until_ms: u64,
    /// Whether members ended it before its time.
    pub is_withdrawn: bool,
    /// Who voted for it by its beginning, ascending.
    pub voters: Vec<MemberId>,
    /// Members that were counted then, the suspended one among them.
    pub members: usize,
    /// Why, as the last of the votes says.
    pub reason: SuspensionReason,
}

impl Suspension {
    /// Whether it holds at a moment.
    #[must_use]
    pub const fn holds(&self, now_ms: u64) -> bool {
        self.begins_ms <= now_ms && now_ms < self.until_ms
    }
}

#[derive(Debug, Clone)]
struct Ballot {
    said: Said,
    vote: Vote,
    reason: SuspensionReason,
}

/// What a suspension is for: a member, under a roster version.
type Case = (MemberId, u64);

/// All votes, and what follows from them.
#[derive(Debug, Default)]
pub(super) struct Suspensions {
    ballots: BTreeMap<Case, BTreeMap<MemberId, Vec<Ballot>>>,
    all: Vec<Suspension>,
}

/// A member's vote from a moment on.
struct Cast<'a> {
    time_ms: u64,
    voter: &'a MemberId,
    ballot: &'a Ballot,
}

impl Suspensions {
    /// Takes a vote. Whether it is news; then [`Self::decide`] must be asked.
    pub(super) fn add(&mut self, voter: &MemberId, said: Said, vote: &record::Suspension) -> bool {
        let case = (vote.member.clone(), vote.roster_version);
        let ballots = self.ballots.entry(case).or_default().entry(voter.clone()).or_default();
        let ballot = Ballot { said, vote: vote.vote, reason: vote.reason.get() };
        insert(ballots, ballot, |ballot| &ballot.said, STATEMENTS_PER_MEMBER_MAX)
    }

    /// Every suspension, in the order in which they began.
    pub(super) fn all(&self) -> &[Suspension] {
        &self.all
    }

    /// What all votes amount to, among these members and under roster versions up to this one.
    pub(super) fn decide(
        &self,
        members: &BTreeSet<MemberId>,
        roster_version: u64,
        contested: &BTreeMap<LogId, Contested>,
    ) -> Vec<Suspension> {
        let mut decided: Vec<Suspension> = Vec::new();
        // Who has not the votes even if all members but two were suspended need not be looked at again and again.
        let mut open: Vec<&Case> =
            self.ballots.keys().filter(|(_, version)| *version <= roster_version).collect();
        open.retain(|(member, _)| members.contains(member));
        loop {
            let next = open.iter().filter_map(|case| self.sweep(case, members, &decided, contested));
            let Some(next) = next.min_by(|one, other| order(one).cmp(&order(other))) else { return decided };
            open.retain(|(member, version)| (member, *version) != (&next.member, next.roster_version));
            decided.push(next);
        }
    }

    /// Takes what was decided; what it was before.
    pub(super) fn replace(&mut self, decided: Vec<Suspension>) -> Vec<Suspension> {
        std::mem::replace(&mut self.all, decided)
    }

    /// The suspension of a case, if its votes ever sufficed, given those that were decided before.
    fn sweep(
        &self,
        case: &Case,
        members: &BTreeSet<MemberId>,
        decided: &[Suspension],
        contested: &BTreeMap<LogId, Contested>,
    ) -> Option<Suspension> {
        let casts = self.casts(case, members, decided, contested);
        let (target, roster_version) = case;
        let mut moments: BTreeSet<u64> = casts.iter().map(|cast| cast.time_ms).collect();
        moments.extend(decided.iter().flat_map(|other| [other.begins_ms, other.until_ms]));
        let mut found: Option<Suspension> = None;
        for now_ms in moments {
            let is_out = |member: &MemberId| {
                decided.iter().any(|other| other.member == *member && other.holds(now_ms))
            };
            let counted = members.iter().filter(|member| *member == target || !is_out(member)).count();
            // The last vote of each by now.
            let mut latest: BTreeMap<&MemberId, &Ballot> = BTreeMap::new();
            for cast in casts.iter().take_while(|cast| cast.time_ms <= now_ms) {
                if !is_out(cast.voter) {
                    latest.insert(cast.voter, cast.ballot);
                }
            }
            match &mut found {
                None => found = begin(case, &latest, counted, now_ms),
                Some(held) if !held.holds(now_ms) => break,
                Some(held) => {
                    let withdrawn = latest.values().filter(|ballot| ballot.vote == Vote::Withdraw).count();
                    if withdrawn * 2 > counted {
                        (held.until_ms, held.is_withdrawn) = (now_ms, true);
                        break;
                    }
                }
            }
        }
        debug_assert!(found.as_ref().is_none_or(|held| held.roster_version == *roster_version));
        found
    }

    /// The votes of a case that count, in the order of their moments.
    fn casts<'a>(
        &'a self,
        case: &Case,
        members: &BTreeSet<MemberId>,
        decided: &[Suspension],
        contested: &BTreeMap<LogId, Contested>,
    ) -> Vec<Cast<'a>> {
        let leavers = &Leavers::default();
        let none = Weights { contested, suspensions: &[], leavers, now_ms: 0 };
        let mut casts = Vec::new();
        for (voter, ballots) in self.ballots.get(case).into_iter().flatten() {
            if *voter == case.0 || !members.contains(voter) {
                continue;
            }
            let mut time_ms = 0;
            for ballot in ballots.iter().filter(|ballot| none.counts(voter, &ballot.said)) {
                time_ms = ballot.said.time_ms.max(time_ms);
                let is_suspended = decided.iter().any(|other| {
                    other.member == *voter && ballot.said.place >= other.from && time_ms < other.until_ms
                });
                if !is_suspended {
                    casts.push(Cast { time_ms, voter, ballot });
                }
            }
        }
        casts.sort_by_key(|cast| (cast.time_ms, cast.voter, cast.ballot.said.rank()));
        casts
    }
}

fn order(suspension: &Suspension) -> (u64, &MemberId, u64) {
    (suspension.begins_ms, &suspension.member, suspension.roster_version)
}

/// A suspension that begins now, if more than half vote for it.
fn begin(
    (member, roster_version): &Case,
    latest: &BTreeMap<&MemberId, &Ballot>,
    members: usize,
    now_ms: u64,
) -> Option<Suspension> {
    let place = |ballot: &Ballot| match ballot.vote {
        Vote::Suspend(from) => Some(from),
        Vote::Withdraw => None,
    };
    let mut places: Vec<LogPlace> = latest.values().filter_map(|ballot| place(ballot)).collect();
    places.sort_unstable();
    // The lowest place for which, or for a lower one, more than half vote.
    let from = *places.get(members / 2)?;
    let voters = latest.iter().filter(|(_, ballot)| place(ballot).is_some());
    let last = voters.clone().max_by_key(|(voter, ballot)| (ballot.said.time_ms, **voter))?;
    Some(Suspension {
        member: member.clone(),
        roster_version: *roster_version,
        from,
        begins_ms: now_ms,
        until_ms: now_ms.saturating_add(SUSPENSION_MS),
        is_withdrawn: false,
        voters: voters.map(|(voter, _)| (*voter).clone()).collect(),
        members,
        reason: last.1.reason,
    })
}
