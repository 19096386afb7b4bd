//! What a node's engine wants done, done in virtual time as a shell would, and checked on the way.

use super::checks;
use super::{Acknowledged, Happening, Place, World};
use crate::disk::{Disk, Job};
use hashpact_core::effect::{PublishedHead, Receipts, SubmitError};
use hashpact_core::entitled::Entitled;
use hashpact_core::event::{Ack, Peer, SendFailure};
use hashpact_core::{Effect, StopReason};
use hashpact_protocol::digest::LogId;
use hashpact_protocol::wire::{
    BranchRequest, Refusal, Request, Response, WirePayload, decode_request, decode_response, encode_request,
    encode_response,
};

/// How long after a leap nobody wonders at a greeting that was under way before.
const SLEEPY_MS: u64 = 2_000;

impl World {
    pub(super) fn perform(&mut self, node: usize, effects: Vec<Effect>) {
        for effect in effects {
            match Job::of(effect) {
                Ok(job) => {
                    if let Job::Ahead(batch) = &job {
                        self.report.overtaken += batch.entries.len() as u64;
                    }
                    self.job(node, job);
                }
                Err(effect) => self.carry_out(node, *effect),
            }
        }
    }

    fn job(&mut self, node: usize, job: Job) {
        self.check_signs_nothing(node, &job);
        self.nodes[node].jobs.push_back(job);
        let life = self.nodes[node].life;
        let delay = 1 + self.random.below(12);
        self.later(delay, Happening::DiskDone { node, life });
    }

    fn carry_out(&mut self, node: usize, effect: Effect) {
        self.check_sends_no_signature(node, &effect);
        match effect {
            Effect::Publish(head) => self.publish(node, head),
            Effect::Send { peer, request_id, request } => self.send(node, &peer, request_id, request),
            Effect::ReadTree { read, log, old, new } => {
                let stored = self.nodes[node].disk.logs.get(&log).map_or(0, |log| log.entries.len());
                assert!(old < new && new <= stored as u64, "a read of {old} to {new} with {stored} stored");
                let life = self.nodes[node].life;
                let delay = 1 + self.random.below(5);
                self.later(delay, Happening::Read { node, life, read, log, old, new });
            }
            Effect::Roster(chain) => {
                let on_disk = checks::chain(&self.founding, &self.nodes[node].disk);
                assert!(chain.version() <= on_disk.version(), "in force before it was persisted");
            }
            Effect::ReadHoldings { read, logs } => {
                let disk = &self.nodes[node].disk;
                let found = logs.iter().map(|ask| disk.holding(ask)).collect();
                let (life, salt) = (self.nodes[node].life, self.random.bytes());
                self.later(3, Happening::Holdings { node, life, read, found, salt });
            }
            Effect::AnswerCosign { .. } => panic!("nobody asked locally"),
            Effect::Cosigned(_) => {}
            Effect::Coverage(report) => self.covered(node, report),
            Effect::Evidence(forked) => {
                assert!(self.forked.contains(&forked.origin), "the honest log {} is accused", forked.origin);
            }
            Effect::Reply { .. }
            | Effect::ServeRange { .. }
            | Effect::ServePayloads { .. }
            | Effect::ServeEntries { .. }
            | Effect::ServeBranch { .. } => self.answer_peer(node, effect),
            Effect::FindMissing { log, after, count_max } => {
                let found = self.nodes[node].disk.logs[&log].missing(after, count_max);
                self.report.sought += found.len() as u64;
                let life = self.nodes[node].life;
                self.later(1, Happening::Found { node, life, log, found });
            }
            Effect::OwnCard { card } => self.nodes[node].disk.card = Some(card),
            Effect::Disconnect { peer, reason } => {
                let other = self.by_peer(&peer);
                let slept = reason == "not_admitted_in_time" && self.now_ms < self.leapt_ms + SLEEPY_MS;
                assert!(
                    slept || self.may_be_unknown(other, reason) || self.may_be_let_go(node, other),
                    "member {node} disconnects honest member {other}, {} ms after a leap: {reason}",
                    self.now_ms - self.leapt_ms
                );
                self.cut(node, other);
            }
            Effect::SetTimer { timer, at_ms } => {
                self.nodes[node].timers.insert(timer, at_ms);
                let life = self.nodes[node].life;
                let delay = at_ms.saturating_sub(self.now_ms);
                self.later(delay, Happening::Timer { node, life, timer, at_ms });
            }
            Effect::Answer { request, answer } => self.answered(request, answer),
            Effect::Misbehaviour { peer, rule } => {
                let other = self.by_peer(&peer);
                let is_honest = !self.is_rogue(other) && !self.may_be_let_go(node, other);
                assert!(!is_honest, "member {node} accuses honest member {other} of {rule}");
            }
            Effect::Stop(StopReason::Reopen { .. }) => {
                self.report.reopened += 1;
                self.crash(node);
            }
            Effect::Stop(StopReason::Roster(_)) if self.nodes[node].place == Place::Leaving => {
                self.nodes[node].place = Place::Outside;
                self.crash(node);
            }
            Effect::Stop(reason) => panic!("member {node} stopped: {reason}"),
            Effect::Repair(_) | Effect::Healed { .. } => panic!("nothing is damaged here"),
            // What is not checked here; jobs for the disk are taken out above.
            _ => {}
        }
    }

    /// What a peer asked for.
    fn answer_peer(&mut self, node: usize, effect: Effect) {
        match effect {
            Effect::Reply { channel, response } => {
                self.check_cosignature(node, channel, &response);
                self.reply(channel, response);
            }
            Effect::ServeRange { channel, log, start, size, entries_max, entitled, .. } => {
                // Small chunks, so that transfers take several.
                let mut chunk = self.nodes[node].disk.logs[&log].range(start, size, entries_max.min(7));
                if self.nodes[node].member.log != log {
                    self.lay_bare(&mut chunk);
                }
                chunk.entries = chunk.entries.into_iter().map(|entry| entitled.shown_entry(entry)).collect();
                self.reply(channel, Response::Range(chunk));
            }
            Effect::ServePayloads { channel, log, indexes, entitled, .. } => {
                let payloads = payloads(&self.nodes[node].disk, &log, &indexes, &entitled);
                self.reply(channel, Response::Payloads(payloads));
            }
            Effect::ServeEntries { channel, ask, entitled } => {
                let mut answer = self.nodes[node].disk.logs[&LogId::new(ask.log)].proven(&ask);
                for proven in &mut answer.entries {
                    proven.entry = entitled.shown_entry(proven.entry.clone());
                }
                self.reply(channel, Response::Entries(answer));
            }
            Effect::ServeBranch { channel, ask, .. } => {
                let response = branch(&self.nodes[node].disk, &ask);
                self.reply(channel, response);
            }
            _ => {}
        }
    }

    /// Checks *persist, then publish* at every publication, and that no log ever shows two roots at
    /// one size.
    fn publish(&mut self, node: usize, head: PublishedHead) {
        let held = &self.nodes[node];
        let stored = held.disk.logs.get(&head.log);
        let on_disk = stored.map_or(0, |log| log.entries.len() as u64);
        assert!(head.size <= on_disk, "published {} of {} with {on_disk} on disk", head.size, head.origin);
        if head.log == held.member.log {
            let locked = held.disk.lock.as_ref().map_or(0, |lock| lock.size);
            assert!(head.size <= locked, "published {} with a lock of {locked}", head.size);
        }
        if self.is_of_rogue(&head.origin) {
            self.nodes[node].published.insert(head.origin.clone(), head);
            return;
        }
        let sizes = self.notes.entry(head.origin.clone()).or_default();
        let root = *head.root.as_bytes();
        let first = sizes.entry(head.size).or_insert(root);
        assert_eq!(*first, root, "{} has two roots at size {}", head.origin, head.size);
        self.nodes[node].published.insert(head.origin.clone(), head);
    }

    pub(super) fn send(&mut self, node: usize, peer: &Peer, request_id: u64, request: Request) {
        let bytes = encode_request(&request).expect("a request has its form");
        let request = decode_request(&bytes).expect("what was encoded");
        let to = self.by_peer(peer);
        let (from_life, to_life) = (self.nodes[node].life, self.nodes[to].life);
        let fail = |result| Happening::Answer {
            to: node,
            life: from_life,
            from: to,
            request_id,
            result: Err(result),
        };
        if !self.linked(node, to) {
            self.later(1, fail(SendFailure::Unreachable));
            return;
        }
        if self.faults.loss > 0 && self.random.once_in(self.faults.loss) {
            self.report.lost += 1;
            self.later(2_000, fail(SendFailure::TimedOut));
            return;
        }
        self.sequence += 1;
        let channel = self.sequence;
        self.channels.insert(channel, (node, from_life, to, request_id));
        let delay = 1 + self.random.below(self.faults.delay_max_ms);
        self.later(delay, Happening::Deliver { to, life: to_life, from: node, channel, request });
        // If no answer comes (crash, cut), the transport says so in the end.
        self.later(5_000, fail(SendFailure::TimedOut));
    }

    pub(super) fn reply(&mut self, channel: u64, response: Response) {
        let Some((to, life, from, request_id)) = self.channels.remove(&channel) else { return };
        let bytes = encode_response(&response).expect("a response has its form");
        let response = decode_response(&bytes).expect("what was encoded");
        let delay = 1 + self.random.below(self.faults.delay_max_ms);
        self.later(delay, Happening::Answer { to, life, from, request_id, result: Ok(response) });
    }

    /// Whether it is no breach that this node does not let the other one in: one of them is not, or not any more, inside
    /// by the roster of the other.
    fn may_be_let_go(&self, node: usize, other: usize) -> bool {
        self.is_rogue(other) || [node, other].iter().any(|node| self.nodes[*node].place != Place::Inside)
    }

    fn answered(&mut self, request: u64, answer: Result<Receipts, SubmitError>) {
        self.answers.insert(request, answer.clone());
        let promise = self.promises.remove(&request).expect("every request is answered once");
        if self.refused_rightly(promise.node, &answer) {
            return;
        }
        match answer {
            Ok(receipts) => {
                assert_eq!(receipts.records.len(), promise.drafts, "a receipt per record");
                let locked = self.nodes[promise.node].disk.lock.as_ref().map_or(0, |lock| lock.size);
                assert!(
                    receipts.first_index + promise.drafts as u64 <= locked,
                    "acknowledged beyond the lock"
                );
                let log = self.nodes[promise.node].member.log;
                if let Ack::Replicated(wanted) = receipts.ack {
                    let needed = receipts.first_index + promise.drafts as u64;
                    let author = self.nodes[promise.node].member.id.clone();
                    let copies = self.copies(&author, |node| {
                        node.disk.logs.get(&log).is_some_and(|log| log.holds(needed))
                    });
                    assert!(copies >= wanted as usize, "acknowledged as replicated without the copies");
                }
                self.report.acknowledged += 1;
                self.acknowledged.push(Acknowledged {
                    log,
                    first_index: receipts.first_index,
                    records: receipts.records,
                    ack: receipts.ack,
                });
            }
            Err(
                SubmitError::NotCleared(_)
                | SubmitError::NotYetReplicated { .. }
                | SubmitError::Busy { .. }
                | SubmitError::AlreadyRetracted(_)
                | SubmitError::AlreadyErased(..),
            ) => self.report.unanswered += 1,
            Err(_) if self.probing => {}
            Err(other) => panic!("submission refused: {other}"),
        }
    }
}

/// A part of the history that is asked for, if this disk has it.
fn branch(disk: &Disk, ask: &BranchRequest) -> Response {
    let range = &ask.range;
    let histories = disk.histories(&LogId::new(range.log));
    let found = histories.iter().find(|history| history.has(range.size, &ask.root));
    let entries_max = range.entries_max.min(5);
    found.map_or(Response::Refused(Refusal::OtherHistory), |history| {
        Response::Range(history.range(range.start, range.size, entries_max))
    })
}

/// Payloads as one peer may have them.
fn payloads(disk: &Disk, log: &LogId, indexes: &[u64], entitled: &Entitled) -> Vec<WirePayload> {
    let leaf = |index: &u64| &disk.logs[log].entries[usize::try_from(*index).expect("small")].leaf;
    let payloads = disk.payloads(log, indexes).into_iter().zip(indexes);
    payloads.map(|(payload, index)| entitled.shown(leaf(index), payload)).collect()
}
