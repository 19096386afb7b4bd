//! What goes: payloads that are ordered to be erased, members who leave.

use super::checks::stand;
use super::governance::listed;
use super::{AURORA, FJORD, GROVE, HARBOR, HOUR_MS, KRILL, SECOND_MS, Year};
use crate::world::Place;
use hashpact_core::effect::{PayloadState, SubmitError};
use hashpact_core::event::Draft;
use hashpact_core::view::{Status, StatusReason};
use hashpact_protocol::digest::RecordId;
use hashpact_protocol::record::{ErasureBasis, ErasureReason};
use hashpact_protocol::roster::{LogPlace, LogStatus, MemberStatus, StewardTerm, Term};

impl Year {
    pub(super) fn erasures(&mut self) {
        let signals = vec![self.signal(), self.signal()];
        let own = self.contribute(GROVE, signals, true);
        let signals = vec![self.signal()];
        let other = self.contribute(HARBOR, signals, true);
        let (own, other) = (self.ledger.id(own[0]), self.ledger.id(other[0]));
        self.until("the records", |view| stand(view, &[own, other], Status::Active));
        let order = |subject, reason, basis| Draft::Erasure { subject, reason, basis };
        let refusal = self.refused(KRILL, order(other, ErasureReason::Error, ErasureBasis::Own));
        assert!(matches!(refusal, SubmitError::MayNotErase { .. }), "{refusal}");
        self.say(GROVE, vec![order(own, ErasureReason::Error, ErasureBasis::Own)]);
        self.say(AURORA, vec![order(other, ErasureReason::VictimRequest, ErasureBasis::Hotline)]);
        self.until("both sealed", |view| stand(view, &[own, other], Status::Sealed));
        self.note(
            "grove orders the erasure of a record of its own, aurora, the authority, of one of \
            harbor's: both are sealed at once at every member; krill may not",
        );
        self.skip(71 * HOUR_MS);
        self.until("both still sealed", |view| stand(view, &[own, other], Status::Sealed));
        self.skip(4 * HOUR_MS);
        self.until("both erased, and why", |view| {
            let ordered = |id: &RecordId| {
                let standing = view.record(id)?.standing;
                let is_ordered = matches!(standing.reason, Some(StatusReason::OrderedBy { .. }));
                Some(standing.status == Status::Erased && is_ordered)
            };
            [own, other].iter().all(|id| ordered(id) == Some(true))
        });
        for node in self.inside() {
            for id in [own, other] {
                let found = self.world.nodes[node].disk.find_subjects(&[id]);
                assert!(found.iter().all(|at| at.state == PayloadState::Erased) && !found.is_empty());
            }
        }
        self.mark_gone(&[own, other]);
        self.note(
            "72 hours later the payloads are destroyed on every disk; the leaves, and who ordered it, stay",
        );
        self.business(30);
    }

    pub(super) fn leaving(&mut self) {
        let signals = vec![self.signal(), self.signal()];
        let stays = self.contribute(KRILL, signals, true);
        let stays = self.ledger.ids(&stays);
        self.until("krill's records", |view| stand(view, &stays, Status::Active));
        let steward = self.world.nodes[AURORA].member.clone();
        let from = LogPlace {
            n: steward.n,
            index: self.world.nodes[AURORA].disk.logs[&steward.log].entries.len() as u64,
        };
        self.leave(KRILL, Some(Term { member: steward.id, from, until: None }));
        self.until("records of a member who left", |view| stand(view, &stays, Status::Active));
        self.note("krill leaves: its log is closed, its records count on, aurora is named as their steward");
        self.leave(FJORD, None);
        let gone = [KRILL, FJORD];
        assert!(gone.iter().all(|node| !self.world.is_running(*node)), "who left runs on");
        self.note("fjord leaves; neither node is let in any more");
        self.business(30);
    }

    /// A member leaves, and perhaps names who retracts for it.
    fn leave(&mut self, node: usize, steward: Option<Term>) {
        let size = self.settle_log(node);
        let member = self.world.nodes[node].member.clone();
        let root = self.world.nodes[node].disk.logs[&member.log].frontier_at(size as usize).root();
        self.world.nodes[node].place = Place::Leaving;
        self.publish(AURORA, |roster| {
            let listed = listed(roster, &member.id);
            listed.status = MemberStatus::Left;
            let open = listed.logs.last_mut().expect("it has a log");
            open.status = LogStatus::Closed { size, root };
            roster.witnesses.retain(|witness| *witness != member.id);
            let steward = steward.map(|term| StewardTerm { of: member.id.clone(), term });
            roster.terms.stewards.extend(steward);
        });
        self.world.run(30 * SECOND_MS);
        if self.world.nodes[node].place == Place::Leaving {
            // Nobody told it: its operator does.
            self.install(node);
            self.world.run(5 * SECOND_MS);
        }
        assert!(self.world.nodes[node].place == Place::Outside, "{} runs on", self.name(node));
    }

    /// Everyday business leaves these records alone.
    pub(super) fn mark_gone(&mut self, ids: &[RecordId]) {
        for item in self.ledger.items.iter_mut().filter(|item| ids.contains(&item.id)) {
            item.is_gone = true;
        }
    }
}
