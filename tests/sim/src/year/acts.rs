//! How members state things: again and again under one key until it is acknowledged, so that no crash changes the
//! story.

use super::ledger::Item;
use super::{DAY_MS, SECOND_MS, Year};
use crate::founding::Founding;
use crate::world::{Place, Stated};
use hashpact_core::effect::SubmitError;
use hashpact_core::event::{Ack, Draft};
use hashpact_core::view::View;
use hashpact_protocol::digest::RecordId;
use hashpact_protocol::record::{
    Content, Label, OpinionValue, Reason, RetractionReason, Review, Signal, SignalType,
};

/// How long anything may take until everybody sees it, in steps of half a second.
const STEPS_MAX: usize = 1_200;
/// Cards live for thirty days; a node whose card would be older than this is restarted, which renews it.
const CARD_DAYS: u64 = 20;
/// The longest jump at once.
const JUMP_DAYS: u64 = 7;

impl Year {
    /// Members that take part.
    pub(super) fn inside(&self) -> Vec<usize> {
        let nodes = 0..self.world.nodes.len();
        nodes.filter(|at| self.world.nodes[*at].place == Place::Inside && !self.world.is_rogue(*at)).collect()
    }

    /// A member states something; the ids of its entries.
    pub(super) fn say(&mut self, node: usize, drafts: Vec<Draft>) -> Vec<RecordId> {
        let (key, digest) = (self.world.random.bytes(), self.world.random.bytes());
        let stated = Stated { drafts, key, digest };
        for _ in 0..STEPS_MAX {
            if let Some(Ok(records)) = self.try_to_say(node, &stated) {
                return records;
            }
            self.world.run(SECOND_MS / 2);
        }
        panic!("{} cannot state anything", self.name(node));
    }

    /// One attempt; nothing if the node is down or goes down.
    fn try_to_say(&mut self, node: usize, stated: &Stated) -> Option<Result<Vec<RecordId>, SubmitError>> {
        if !self.world.is_running(node) {
            return None;
        }
        let request = self.world.state(node, stated.clone(), Ack::Local);
        loop {
            if let Some(answer) = self.world.answers.remove(&request) {
                return Some(answer.map(|receipts| receipts.records));
            }
            if !self.world.promises.contains_key(&request) {
                return None;
            }
            self.world.run(20);
        }
    }

    /// Why a member's node refuses to state something.
    pub(super) fn refused(&mut self, node: usize, draft: Draft) -> SubmitError {
        self.world.probing = true;
        let stated = Stated { drafts: vec![draft], key: self.world.random.bytes(), digest: [0; 32] };
        let answer = loop {
            match self.try_to_say(node, &stated) {
                Some(Err(SubmitError::NotCleared(_))) | None => self.world.run(SECOND_MS / 2),
                Some(answer) => break answer,
            }
        };
        self.world.probing = false;
        answer.expect_err("it must be refused")
    }

    /// Runs until every member that takes part is up and sees this.
    pub(super) fn until(&mut self, what: &str, is_seen: impl Fn(&View) -> bool) {
        let inside = self.inside();
        self.until_at(&inside, what, is_seen);
    }

    /// The same for these members.
    pub(super) fn until_at(&mut self, nodes: &[usize], what: &str, is_seen: impl Fn(&View) -> bool) {
        for _ in 0..STEPS_MAX {
            let mut engines = nodes.iter().map(|node| self.world.nodes[*node].engine.as_ref());
            if engines.all(|engine| engine.is_some_and(|engine| is_seen(engine.view()))) {
                return;
            }
            self.world.run(SECOND_MS / 2);
        }
        let lacks = |node: &&usize| {
            let engine = self.world.nodes[**node].engine.as_ref();
            !engine.is_some_and(|engine| is_seen(engine.view()))
        };
        let lacking: Vec<String> = nodes.iter().filter(lacks).map(|node| self.name(*node)).collect();
        panic!("day {}: {what}: not seen by {lacking:?}", self.day());
    }

    /// Lets days pass until a day of the year.
    pub(super) fn pass_to(&mut self, day: u64) {
        let target_ms = Founding::NOW_MS + day * DAY_MS;
        self.skip(target_ms.saturating_sub(self.world.now_ms));
    }

    /// Lets time pass without anybody at work. Timers that were due meanwhile fire late, as on a machine that slept.
    pub(super) fn skip(&mut self, span_ms: u64) {
        let mut left_ms = span_ms;
        while left_ms > 0 {
            let jump_ms = left_ms.min(JUMP_DAYS * DAY_MS);
            self.renew_cards(jump_ms);
            self.world.leap(jump_ms);
            self.world.run(4 * SECOND_MS);
            left_ms -= jump_ms;
        }
    }

    fn renew_cards(&mut self, jump_ms: u64) {
        for node in self.inside() {
            if self.world.now_ms + jump_ms - self.carded_ms[node] > CARD_DAYS * DAY_MS {
                self.world.cut_power(node);
                self.world.run(4 * SECOND_MS);
                self.carded_ms[node] = self.world.now_ms;
            }
        }
    }

    /// One of some.
    pub(super) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.dice.below(of.len() as u64) as usize]
    }

    /// Signals that nobody has stated before.
    pub(super) fn signal(&mut self) -> Signal {
        Signal::new(SignalType::Pdq, &self.dice.bytes(), Some(90)).expect("a valid signal")
    }

    /// Records that a member states now; `kept` says that everyday business leaves them alone.
    pub(super) fn contribute(&mut self, node: usize, signals: Vec<Signal>, kept: bool) -> Vec<usize> {
        self.contribute_contents(node, signals.into_iter().map(reviewed).collect(), kept)
    }

    /// The same with what else they state.
    pub(super) fn contribute_contents(
        &mut self,
        node: usize,
        contents: Vec<Content>,
        kept: bool,
    ) -> Vec<usize> {
        let drafts = contents.iter().cloned().map(Draft::Content).collect();
        let ids = self.say(node, drafts);
        let items = ids.into_iter().zip(contents).map(|(id, content)| {
            let signal = content.signals.first().expect("one signal").clone();
            Item { id, by: node, signal, kept, is_gone: false, disputed_ms: None }
        });
        self.ledger.add(items.collect())
    }

    /// A member's opinion on a record of the ledger, once it has the record.
    pub(super) fn opine(&mut self, node: usize, item: usize, opinion: OpinionValue, reason: Option<Reason>) {
        let subject = self.ledger.items[item].id;
        self.until_at(&[node], "a record to have an opinion about", |view| view.record(&subject).is_some());
        self.say(node, vec![Draft::Opinion { subject, opinion, reason }]);
        if opinion == OpinionValue::Disagree {
            self.ledger.items[item].disputed_ms.get_or_insert(self.world.now_ms);
        }
    }

    /// A member withdraws a record of its own.
    pub(super) fn retract(&mut self, item: usize, reason: RetractionReason) {
        let Item { id: subject, by, .. } = self.ledger.items[item];
        self.until_at(&[by], "a record to retract", |view| view.record(&subject).is_some());
        self.say(by, vec![Draft::Retraction { subject, reason }]);
        self.ledger.items[item].is_gone = true;
    }

    /// Everyday business: members contribute, have opinions, withdraw and replace; now and then a machine fails or
    /// members do not reach each other for some seconds.
    pub(super) fn business(&mut self, acts: usize) {
        let inside = self.inside();
        self.business_of(&inside, acts);
    }

    /// The same of these members only.
    pub(super) fn business_of(&mut self, nodes: &[usize], acts: usize) {
        for _ in 0..acts {
            let node = self.pick(nodes);
            let own = self.ledger.open(|item| item.by == node);
            let others = self.ledger.open(|item| item.by != node && nodes.contains(&item.by));
            match self.dice.below(20) {
                0..=3 if !others.is_empty() => {
                    let (item, opinion) = (self.pick(&others), self.dice.below(4));
                    let (opinion, reason) = [
                        (OpinionValue::Agree, None),
                        (OpinionValue::Seen, None),
                        (OpinionValue::Unsure, None),
                        (OpinionValue::Disagree, Some(Reason::WrongClass)),
                    ][opinion as usize];
                    self.opine(node, item, opinion, reason);
                }
                4..=5 if !own.is_empty() => {
                    let item = self.pick(&own);
                    self.retract(item, RetractionReason::Error);
                }
                6 if !own.is_empty() => {
                    let item = self.pick(&own);
                    self.supersede(item);
                }
                7 => {
                    let fails = self.pick(nodes);
                    self.world.cut_power(fails);
                }
                8 => {
                    let apart = nodes.iter().copied().filter(|_| self.dice.once_in(3)).collect();
                    let is_free = self.world.partition.0 < self.world.now_ms;
                    let span_ms = SECOND_MS * (1 + self.dice.below(8));
                    if is_free {
                        self.world.part_off(apart, span_ms);
                    }
                }
                _ => {
                    let signals = (0..=self.dice.below(4)).map(|_| self.signal()).collect();
                    self.contribute(node, signals, false);
                }
            }
            self.world.run(40);
        }
    }

    fn supersede(&mut self, item: usize) {
        let Item { id: subject, by, .. } = self.ledger.items[item];
        self.until_at(&[by], "a record to supersede", |view| view.record(&subject).is_some());
        let signal = self.signal();
        let content = reviewed(signal.clone());
        let ids = self.say(by, vec![Draft::Supersession { subject, content }]);
        self.ledger.items[item].is_gone = true;
        let next =
            |id| Item { id, by, signal: signal.clone(), kept: false, is_gone: false, disputed_ms: None };
        self.ledger.add(ids.into_iter().map(next).collect());
    }
}

/// A record of this signal, of which one person says that it is harmful.
pub(super) fn reviewed(signal: Signal) -> Content {
    let mut content = Content::new(vec![signal]).expect("a valid record");
    content.review = Label::Known(Review::Single);
    content
}
