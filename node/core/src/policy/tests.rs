//! The rules hold for every record and every list; lists say what they mean.

mod floods;
mod grouping;
mod lists;
mod properties;

use super::*;
use crate::view::{Standing, Statement, Status};
use hashpact_protocol::record::{IncidentId, Label, Labels, OpinionValue, Reason, Review, SignalType};
use hashpact_protocol::roster::{LogPlace, MemberId, Role};
use std::collections::BTreeMap;

const NOW_MS: u64 = 1_800_000_000_000;
const DAY_S: u64 = 86_400;

fn member(id: &str) -> MemberId {
    MemberId::parse(id).expect("valid")
}

/// A hotline, an old member, a newcomer and one that is muted.
fn members() -> Arc<Members> {
    let facts = |role, days: u64, muted| MemberFacts {
        roles: [role].into(),
        joined_s: NOW_MS / 1_000 - days * DAY_S,
        muted,
    };
    Arc::new(Members::from_iter([
        (member("hotline"), facts(Role::Hotline, 900, false)),
        (member("old"), facts(Role::Contributor, 900, false)),
        (member("new"), facts(Role::Contributor, 3, false)),
        (member("muted"), facts(Role::Hotline, 900, true)),
    ]))
}

/// A record as tests state it.
#[derive(Debug, Clone)]
struct Stated {
    member: MemberId,
    status: Status,
    labels: Labels,
    review: Label<Review>,
    statements: BTreeMap<MemberId, Statement>,
    age_hours: u64,
    hash_set: Option<String>,
    incident: Option<IncidentId>,
    flooded: Option<Flooded>,
    negative: Option<Negative<'static>>,
    sources: u32,
}

impl Default for Stated {
    fn default() -> Self {
        Self {
            member: member("old"),
            status: Status::Active,
            labels: Labels::default(),
            review: Review::Dual.into(),
            statements: BTreeMap::new(),
            age_hours: 48,
            hash_set: None,
            incident: None,
            flooded: None,
            negative: None,
            sources: 1,
        }
    }
}

fn says(opinion: OpinionValue, reason: Option<Reason>) -> Statement {
    Statement { opinion, reason, time_ms: NOW_MS, place: LogPlace::FIRST, before: None }
}

impl Stated {
    fn with(mut self, by: &str, statement: Statement) -> Self {
        self.statements.insert(member(by), statement);
        self
    }

    fn facts(&self, members: &Members) -> Facts<'_> {
        let standing = Standing { status: self.status, reason: None, statements: self.statements.clone() };
        Facts {
            member: &self.member,
            status: self.status,
            labels: HarmLabels::from(&self.labels),
            review: self.review,
            opinions: Opinions::of(&standing, members),
            stated_ms: NOW_MS - self.age_hours * 3_600_000,
            hash_set: self.hash_set.as_deref(),
            incident: self.incident,
            is_registration: false,
            flooded: self.flooded,
            negative: self.negative,
        }
    }

    /// What lists make of it.
    fn outcome(&self, lists: &[List], ways: &[Way]) -> Option<Outcome> {
        let policy = Policy::new(lists.iter().cloned().map(Arc::new), members());
        let facts = self.facts(policy.members());
        policy.decide(&ASKED, &facts, ways, &|| self.sources).map(|verdict| verdict.outcome)
    }
}

const ASKED: Asked<'static> = Asked { lists: None, distance: None, now_ms: NOW_MS };

fn way(signal: SignalType, distance: u16) -> Way {
    Way { signal, distance, quality: Some(90) }
}

fn pdq() -> [Way; 1] {
    [way(SignalType::Pdq, 8)]
}

fn list(name: &str, outcome: Outcome, conditions: Conditions) -> List {
    List { name: name.to_owned(), version: 1, outcome, priority: 0, note: None, conditions }
}
