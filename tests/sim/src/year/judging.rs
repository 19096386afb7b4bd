//! A contributor is compromised: it floods, lies and takes everything back; members suspend it, the panel rules,
//! governance gives it another key.

use super::checks::{ruled_benign, stand};
use super::{
    AURORA, BEACON, COBALT, DAY_MS, DELTA, EMBER, FJORD, GROVE, HARBOR, HOUR_MS, JUNIPER, SECOND_MS, Year,
};
use hashpact_core::effect::SubmitError;
use hashpact_core::event::Draft;
use hashpact_core::policy::{Decision, FloodKind, Outcome};
use hashpact_core::view::{Status, View};
use hashpact_protocol::digest::RecordId;
use hashpact_protocol::record::{
    OpinionValue, Reason, RetractionReason, RulingReason, Signal, SuspensionReason, Verdict, Vote,
};
use hashpact_protocol::roster::LogPlace;

const GOOD: usize = 8;
const LIES: usize = 4;
const FLOOD: usize = 400;

/// What the compromised contributor did.
struct Harm {
    /// The first entry of whoever has the key.
    from: u64,
    /// Records of before, which it retracts.
    good: Vec<RecordId>,
    /// Places of the lies in the ledger.
    lies: Vec<usize>,
    /// All that it states, the lies first.
    bad: Vec<RecordId>,
    /// A record of another member, which it calls benign.
    slandered: RecordId,
}

impl Year {
    pub(super) fn compromise(&mut self) {
        let harm = self.harm();
        self.quarantine(&harm);
        self.dispute_lies(&harm);
        self.defend(harm.slandered);
        self.suspend_juniper(&harm);
        self.skip(2 * DAY_MS);
        self.rule(harm.lies[0], "aurora and cobalt");
        self.skip(25 * HOUR_MS);
        self.until("the end of the suspension", |view| stand(view, &harm.good, Status::Retracted));
        self.until("the flood after it", |view| stand(view, &harm.bad[LIES..], Status::Active));
        self.note("after 72 hours the suspension lapses by itself: flood and retractions count again");
        self.settle_log(JUNIPER);
        let former = self.give_up_log(JUNIPER);
        self.replace_log(JUNIPER, &former, harm.from, COBALT);
        self.until("records of before", |view| stand(view, &harm.good, Status::Active));
        self.until("nothing of the flood", |view| harm.bad.iter().all(|id| view.record(id).is_none()));
        self.all_desks_say("good records of before", &harm.good, Some(Outcome::Block));
        self.all_desks_say("what the key's new owner stated", &harm.bad[..LIES], None);
        let name = self.world.nodes[JUNIPER].member.id.clone();
        self.until("nothing of the slander", |view| {
            let record = view.record(&harm.slandered);
            record.is_some_and(|record| !record.standing.statements.contains_key(&name))
        });
        self.note(format!(
            "governance closes juniper's log at entry {} and opens its next one: what was stated beyond \
             counts nowhere, and the {GOOD} retracted records match again",
            harm.from
        ));
        let signals = vec![self.signal()];
        let items = self.contribute(JUNIPER, signals, false);
        let ids = self.ledger.ids(&items);
        self.until("juniper under its new key", |view| stand(view, &ids, Status::Active));
        self.business(20);
    }

    fn harm(&mut self) -> Harm {
        let signals = (0..GOOD).map(|_| self.signal()).collect();
        let good = self.contribute(JUNIPER, signals, true);
        let signals = vec![self.signal()];
        let slandered = self.contribute(AURORA, signals, true);
        let both = self.ledger.ids(&[good.clone(), slandered.clone()].concat());
        self.until("good records", |view| stand(view, &both, Status::Active));
        self.all_desks_say("good records", &both, Some(Outcome::Block));
        let from = self.settle_log(JUNIPER);
        let signals: Vec<Signal> = (0..LIES).map(|_| self.signal()).collect();
        let lies = self.contribute(JUNIPER, signals, true);
        let mut flood = Vec::new();
        for _ in 0..4 {
            let signals = (0..FLOOD / 4).map(|_| self.signal()).collect();
            flood.extend(self.contribute(JUNIPER, signals, true));
        }
        let subjects = self.ledger.ids(&good);
        let drafts = subjects
            .iter()
            .map(|subject| Draft::Retraction { subject: *subject, reason: RetractionReason::Error });
        self.say(JUNIPER, drafts.collect());
        self.opine(JUNIPER, slandered[0], OpinionValue::Disagree, Some(Reason::BenignCollision));
        let slandered = self.ledger.id(slandered[0]);
        self.until("the mass retraction", |view| stand(view, &subjects, Status::Retracted));
        self.until("the slander", |view| stand(view, &[slandered], Status::Disputed));
        self.note(format!(
            "juniper's key is in other hands: {FLOOD} records within a minute, {LIES} of benign pictures, \
             {GOOD} good records retracted, and one of aurora's called benign"
        ));
        let bad = self.ledger.ids(&[lies.clone(), flood].concat());
        for item in bad.iter() {
            let at = self.ledger.items.iter().position(|held| held.id == *item).expect("it was stated");
            self.ledger.items[at].is_gone = true;
        }
        Harm { from, good: subjects, lies, bad, slandered }
    }

    /// What no list can switch off: floods wait for a person at every desk, and one voice is no negative.
    fn quarantine(&mut self, harm: &Harm) {
        self.until("the whole flood", |view| stand(view, &harm.bad, Status::Active));
        let kinds = [FloodKind::Contributions, FloodKind::Withdrawals];
        let member = &self.world.nodes[JUNIPER].member.id;
        for node in self.inside() {
            let waiting = self.desk(node).waiting();
            let names = waiting.iter().map(|flood| (flood.kind, &flood.member));
            assert!(names.eq(kinds.map(|kind| (kind, member))), "{}: {waiting:?}", self.name(node));
        }
        self.all_desks_say("what floods", &harm.bad, Some(Outcome::Review));
        self.all_desks_say("what is withdrawn in masses", &harm.good, Some(Outcome::Review));
        self.all_desks_say("what one member calls benign", &[harm.slandered], Some(Outcome::Block));
        self.note(
            "at every desk both floods wait for a person: what floods in matches for review at most, what is \
             withdrawn in masses goes on matching for review, and aurora's record still means block",
        );
        let mut desk = self.desk(HARBOR);
        let node = &self.world.nodes[HARBOR];
        let lie = &harm.bad[0];
        for flood in desk.waiting() {
            for (decision, lie_is, good_is) in [
                (Decision::Rejected, None, Outcome::Review),
                (Decision::Waiting, Some(Outcome::Review), Outcome::Review),
            ] {
                desk.decide(&flood, decision);
                let of_lie =
                    if flood.kind == FloodKind::Contributions { lie_is } else { Some(Outcome::Review) };
                assert_eq!(desk.outcome(node, lie), of_lie, "{flood}");
                assert_eq!(desk.outcome(node, &harm.good[0]), Some(good_is), "{flood}");
            }
        }
        self.note(
            "harbor's operator rejects the floods: the records count no more at this one desk, the withdrawals \
             still do not; taking the decision back brings both to where they were",
        );
    }

    fn dispute_lies(&mut self, harm: &Harm) {
        for item in &harm.lies {
            for node in [DELTA, HARBOR] {
                self.opine(node, *item, OpinionValue::Disagree, Some(Reason::BenignCollision));
            }
        }
        let lies = self.ledger.ids(&harm.lies);
        self.until("the lies in dispute", |view| {
            let disputed = |id: &RecordId| {
                let record = view.record(id)?;
                Some(record.status() == Status::Disputed && record.standing.opinions().disagree == 2)
            };
            lies.iter().all(|id| disputed(id) == Some(true))
        });
        self.note(format!("delta and harbor dispute the {LIES} records: benign_collision"));
    }

    /// Two members call a good record benign, one of them in good faith; the panel rules that it stands.
    fn defend(&mut self, subject: RecordId) {
        let item = self.ledger.items.iter().position(|held| held.id == subject).expect("it was stated");
        self.opine(DELTA, item, OpinionValue::Disagree, Some(Reason::BenignCollision));
        let disputed = |view: &View, disagree: u32| {
            view.record(&subject).is_some_and(|record| record.standing.opinions().disagree == disagree)
        };
        self.until("two who disagree", |view| disputed(view, 2));
        self.all_desks_say("what two members call benign", &[subject], Some(Outcome::Review));
        let signal = self.ledger.items[item].signal.clone();
        let (verdict, reason) = (Verdict::Stands, RulingReason::Review);
        let ruling = Draft::Ruling { subject: Some(subject), signal: signal.clone(), verdict, reason };
        for panellist in [BEACON, COBALT] {
            self.say(panellist, vec![ruling.clone()]);
        }
        self.until("the ruling that it stands", |view| {
            let (Some(record), Some(ruled)) = (view.record(&subject), view.ruled(&signal)) else {
                return false;
            };
            ruled.settles() && record.standing.ruled([Some(&ruled)]).status == Status::Active
        });
        self.all_desks_say("what stands by a ruling", &[subject], Some(Outcome::Block));
        self.note(
            "delta, too, calls aurora's record benign, and at every desk it means review; beacon and cobalt rule \
             that it stands, and it means block again",
        );
    }

    fn suspend_juniper(&mut self, harm: &Harm) {
        let member = self.world.nodes[JUNIPER].member.id.clone();
        let from = LogPlace { n: self.world.nodes[JUNIPER].member.n, index: harm.from };
        let vote = Draft::Vote { member, vote: Vote::Suspend(from), reason: SuspensionReason::Flood };
        assert_eq!(self.refused(JUNIPER, vote.clone()), SubmitError::OwnSuspension);
        let voters = [AURORA, BEACON, COBALT, DELTA, EMBER, FJORD, GROVE];
        let (last, before) = voters.split_last().expect("voters");
        for voter in before {
            self.say(*voter, vec![vote.clone()]);
        }
        self.world.run(20 * SECOND_MS);
        self.until("six of thirteen votes do not suspend", |view| view.suspensions().is_empty());
        self.say(*last, vec![vote]);
        self.until("the suspension", |view| stand(view, &harm.bad, Status::Suspended));
        self.until("nothing retracted any more", |view| stand(view, &harm.good, Status::Active));
        self.note(format!(
            "{} of {} members vote to suspend juniper from entry {} on: nothing it stated since then \
             counts, and what it retracted stands again",
            voters.len(),
            self.inside().len(),
            harm.from
        ));
    }

    /// Two panellists rule that the signal of a record is benign; a copy of another member is bound as well.
    fn rule(&mut self, item: usize, who: &str) {
        let (subject, signal) = (self.ledger.id(item), self.ledger.items[item].signal.clone());
        let copy = self.contribute(GROVE, vec![signal.clone()], true);
        let copy = self.ledger.id(copy[0]);
        let ruling = Draft::Ruling {
            subject: Some(subject),
            signal: signal.clone(),
            verdict: Verdict::Benign,
            reason: RulingReason::Review,
        };
        assert_eq!(self.refused(DELTA, ruling.clone()), SubmitError::MayNotRule);
        self.say(AURORA, vec![ruling.clone()]);
        self.until("one word of the panel", |view| {
            view.record(&copy).is_some() && view.ruled(&signal).is_none()
        });
        self.say(COBALT, vec![ruling]);
        self.until("the ruling", |view| ruled_benign(view, &copy, &signal));
        let disputed_ms = self.ledger.items[item].disputed_ms.expect("it was disputed");
        let hours = (self.world.now_ms - disputed_ms) / HOUR_MS;
        self.notes.ruled_after.push(hours);
        self.note(format!(
            "the panel rules: {who} hold one of the signals to be benign, {hours} hours after it was \
             disputed; grove's own record of it does not match either"
        ));
    }
}
