//! What members' own lists make of what they see (SPEC §11.3): at every desk one list says `block` for whatever counts, and
//! the rules that no list can switch off say how far it goes. Desks share no state: that they come to the same follows
//! from the entries.

use super::Year;
use super::checks::stated;
use crate::world::Node;
use hashpact_core::policy::{
    Asked, Benign, Conditions, Decision, Facts, FloodEntry, FloodId, FloodKind, FloodLimits, Flooded, Floods,
    HarmLabels, List, MemberFacts, Members, NEGATIVE_MEMBERS_MIN, Negative, Opinions, Outcome, Policy, Way,
};
use hashpact_core::view::{Status, StatusReason};
use hashpact_protocol::digest::RecordId;
use hashpact_protocol::record::{Signal, SignalType};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a member may state, and withdraw, in an hour before somebody looks.
const LIMITS: FloodLimits = FloodLimits { contributions_per_hour: 100, withdrawals_per_hour: 5 };
/// The same picture, of good quality.
const EQUAL: Way = Way { signal: SignalType::Pdq, distance: 0, quality: Some(90) };

/// The desk of one member at one moment.
pub(super) struct Desk {
    policy: Policy,
    floods: Floods,
    benign: Benign,
    numbers: BTreeMap<RecordId, u64>,
    now_ms: u64,
}

impl Desk {
    /// The desk of a node that runs.
    fn of(node: &Node, now_ms: u64) -> Self {
        let engine = node.engine.as_ref().expect("it runs");
        let members = engine.roster().members.iter().map(|member| {
            (member.id.clone(), MemberFacts { roles: member.roles.clone(), ..MemberFacts::default() })
        });
        let members: Members = members.collect();
        let block = List {
            name: "block".to_owned(),
            version: 1,
            outcome: Outcome::Block,
            priority: 0,
            note: None,
            conditions: Conditions::default(),
        };
        let mut desk = Self {
            policy: Policy::new([Arc::new(block)], Arc::new(members)),
            floods: Floods::new(LIMITS, []),
            benign: Benign::default(),
            numbers: BTreeMap::new(),
            now_ms,
        };
        for (number, record) in (0..).zip(engine.view().records()) {
            desk.numbers.insert(record.id, number);
            let Some((stated_ms, content)) = stated(node, &record) else { continue };
            desk.benign.note(number, &record.standing, || content.signals);
            let (member, log, index) = (&record.author.member, record.author.line, record.index);
            let kind = FloodKind::Contributions;
            let entry = FloodEntry { kind, member, log, index, time_ms: stated_ms, withdrawn: None };
            desk.floods.note(&entry, now_ms);
            if let Some(StatusReason::RetractedBy { member: by, time_ms, entry, .. }) =
                &record.standing.reason
                && by == member
            {
                let (kind, withdrawn) = (FloodKind::Withdrawals, Some(number));
                let (log, index, time_ms) = (entry.log, entry.index, *time_ms);
                desk.floods.note(&FloodEntry { kind, member, log, index, time_ms, withdrawn }, now_ms);
            }
        }
        desk.floods.settle();
        desk
    }

    /// Floods that wait for a decision here.
    pub(super) fn waiting(&self) -> Vec<FloodId> {
        let waiting = self.floods.found().filter(|flood| flood.decision == Decision::Waiting);
        waiting.map(|flood| flood.id.clone()).collect()
    }

    /// The operator decides.
    pub(super) fn decide(&mut self, flood: &FloodId, decision: Decision) {
        assert!(self.floods.decide(flood, decision), "{flood} is not known");
    }

    /// What becomes of an item whose picture is that of a record; `None` if the record does not count.
    pub(super) fn outcome(&self, node: &Node, id: &RecordId) -> Option<Outcome> {
        let record = node.engine.as_ref()?.view().record(id)?;
        let (stated_ms, content) = stated(node, &record)?;
        let (author, status, members) = (&record.author, record.status(), self.policy.members());
        let is_held = status == Status::Retracted && self.floods.withheld().contains(self.numbers.get(id)?);
        let flooded = if is_held {
            Some(Flooded::Withdrawn)
        } else {
            self.floods.contribution(&author.line, record.index)
        };
        let view = node.engine.as_ref()?.view();
        let is_settled = |signal: &Signal| view.ruled(signal).is_some_and(|ruled| ruled.settles());
        let mut opinions = Opinions::of(&record.standing, members);
        if content.signals.iter().any(is_settled) {
            opinions.disagree = 0;
        }
        let open = content.signals.into_iter().filter(|signal| !is_settled(signal));
        let count = self.benign.members(open, &author.member, members);
        let facts = Facts {
            member: &author.member,
            status,
            labels: HarmLabels::from(&content.labels),
            review: content.review,
            opinions,
            stated_ms,
            hash_set: None,
            incident: None,
            is_registration: false,
            flooded,
            negative: (count >= NEGATIVE_MEMBERS_MIN).then_some(Negative::Members { count }),
        };
        let asked = Asked { lists: None, distance: None, now_ms: self.now_ms };
        self.policy.decide(&asked, &facts, &[EQUAL], &|| 1).map(|verdict| verdict.outcome)
    }
}

impl Year {
    /// The desk of one member now.
    pub(super) fn desk(&self, node: usize) -> Desk {
        Desk::of(&self.world.nodes[node], self.world.now_ms)
    }

    /// Asserts that at the desk of every member each of these records comes to the same.
    pub(super) fn all_desks_say(&self, what: &str, ids: &[RecordId], expected: Option<Outcome>) {
        for node in self.inside() {
            let desk = self.desk(node);
            for id in ids {
                let outcome = desk.outcome(&self.world.nodes[node], id);
                assert_eq!(outcome, expected, "day {}: {what}: {id} at {}", self.day(), self.name(node));
            }
        }
    }
}
