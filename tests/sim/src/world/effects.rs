//! What a node's engine wants done, done in virtual time, and checked on the way.

use super::checks;
use super::{Happening, World};
use crate::disk::Job;
use hashpact_core::Effect;
use hashpact_core::effect::PublishedHead;
use hashpact_protocol::digest::LogId;
use hashpact_protocol::wire::Response;

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

    fn carry_out(&mut self, node: usize, effect: Effect) {
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
            Effect::Evidence(forked) => {
                let rogue = self.rogue.as_ref().and_then(|_| self.nodes.last());
                let origin = rogue.map(|rogue| rogue.member.origin.as_str());
                assert_eq!(Some(forked.origin.as_str()), origin, "an honest log is accused");
            }
            Effect::Reply { channel, response } => {
                self.check_cosignature(node, channel, &response);
                self.reply(channel, response);
            }
            Effect::ServeRange { channel, log, start, size, entries_max, .. } => {
                // Small chunks, so that transfers take several.
                let mut chunk = self.nodes[node].disk.logs[&log].range(start, size, entries_max.min(7));
                if self.nodes[node].member.log != log {
                    self.lay_bare(&mut chunk);
                }
                self.reply(channel, Response::Range(chunk));
            }
            Effect::ServePayloads { channel, log, indexes, .. } => {
                let payloads = self.nodes[node].disk.payloads(&log, &indexes);
                self.reply(channel, Response::Payloads(payloads));
            }
            Effect::ServeEntries { channel, ask } => {
                let answer = self.nodes[node].disk.logs[&LogId::new(ask.log)].proven(&ask);
                self.reply(channel, Response::Entries(answer));
            }
            Effect::FindMissing { log, after, count_max } => {
                let found = self.nodes[node].disk.logs[&log].missing(after, count_max);
                self.report.sought += found.len() as u64;
                let life = self.nodes[node].life;
                self.later(1, Happening::Found { node, life, log, found });
            }
            Effect::Disconnect { peer, reason } => {
                let other = self.by_peer(&peer);
                panic!("member {node} disconnects honest member {other}: {reason}");
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
                assert!(self.is_rogue(other), "member {node} accuses honest member {other} of {rule}");
            }
            Effect::Stop(reason) => panic!("member {node} stopped: {reason}"),
            // What is not checked here; jobs for the disk are taken out above.
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
}
