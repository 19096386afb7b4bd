//! Cosigning, both sides: what we are asked as a witness, what we ask of ours.

use super::{Engine, FORKED, ReadFor, WAITING_FOR_HEADS};
use crate::cosigning::{Collected, count, lines};
use crate::effect::{CosignedHead, Effect, Fact, FactWrite, RequestId, SizedNote};
use crate::event::{Peer, SendFailure};
use crate::limits::COSIGN_NOT_YET_S;
use crate::witness::{Asker, Busy, Stage, answer};
use hashpact_protocol::checkpoint::SignedCheckpoint;
use hashpact_protocol::digest::{LogId, NodeHash};
use hashpact_protocol::roster::{MemberId, quorum};
use hashpact_protocol::wire::{ConsistencyAnswer, CosignAnswer, Request, Response};
use hashpact_protocol::witness::{AddCheckpoint, check};
use std::collections::BTreeMap;

impl Engine {
    /// Takes a request to cosign.
    pub(super) fn ask_cosign(&mut self, peer: Option<Peer>, asker: Asker, body: Vec<u8>, now_ms: u64) {
        let Some(cosigner) = &mut self.cosigner else {
            return self.answer_cosign(asker, CosignAnswer::UnknownLog);
        };
        // What the note says is compared with what is held, whether or not it is ever cosigned.
        let note = AddCheckpoint::parse(&body).map(|request| request.note).unwrap_or_default();
        if !cosigner.enqueue(asker, body) {
            let busy = CosignAnswer::NotYet { held: 0, retry_after_s: COSIGN_NOT_YET_S };
            self.answer_cosign(asker, busy);
        }
        self.examine_note(peer, &note, now_ms);
        self.next_cosign();
    }

    fn next_cosign(&mut self) {
        while let Some((asker, body)) = self.cosigner.as_mut().and_then(crate::witness::Cosigner::next) {
            if let Err(answer) = self.begin_cosign(asker, &body) {
                self.answer_cosign(asker, answer);
            }
        }
    }

    fn begin_cosign(&mut self, asker: Asker, body: &[u8]) -> Result<(), CosignAnswer> {
        let request = AddCheckpoint::parse(body).map_err(|_| CosignAnswer::Malformed)?;
        let origin = request.origin().ok_or(CosignAnswer::Malformed)?;
        let id = *self.origins.get(&origin).ok_or(CosignAnswer::UnknownLog)?;
        let (log, cosigner) = match (self.logs.get(&id), &self.cosigner) {
            (Some(log), Some(cosigner)) => (log, cosigner),
            _ => return Err(CosignAnswer::UnknownLog),
        };
        if log.is_frozen() || log.verify_head(&request.note).is_ok_and(|head| log.is_beyond_closure(&head)) {
            return Err(CosignAnswer::NotSigned);
        }
        let signed = check(&request, &origin, log.key(), cosigner.cosigned(&id))
            .map_err(|refusal| answer(&refusal))?;
        let size = signed.size();
        let not_yet = CosignAnswer::NotYet { held: log.size(), retry_after_s: COSIGN_NOT_YET_S };
        // A node that has not been compared with anybody since its start signs in no role.
        let is_uncompared = self.own.blocked() == Some(WAITING_FOR_HEADS) || self.from_backup;
        if log.size() < size || is_uncompared {
            return Err(not_yet);
        }
        let stage = match log.known_root(size) {
            Some(root) if root == signed.root() => None,
            Some(_) => return Err(not_yet),
            None if size == 0 => None,
            None => Some((id, size, log.size())),
        };
        let stage = match stage {
            Some((log, old, new)) => {
                Stage::Reading(self.read_tree(ReadFor::Cosign, log, old, new).ok_or(not_yet)?)
            }
            None => self.write_cosigned(id, &signed),
        };
        if let Some(cosigner) = &mut self.cosigner {
            cosigner.begin(Busy { asker, log: id, signed, stage });
        }
        Ok(())
    }

    fn write_cosigned(&mut self, log: LogId, signed: &SignedCheckpoint) -> Stage {
        let (id, generation) = (self.out.next_id(), self.own.next_generation());
        let fact = Fact::Cosigned { size: signed.size(), root: signed.root() };
        self.out.push(Effect::WriteFact(FactWrite { id, log, generation: Some(generation), fact }));
        Stage::Writing(id, generation)
    }

    /// The stored tree was read for the request under way.
    pub(super) fn cosign_read(&mut self, read: u64, found: Option<ConsistencyAnswer>) {
        let busy = self.cosigner.as_mut().and_then(crate::witness::Cosigner::busy);
        let Some(busy) = busy.filter(|busy| busy.stage == Stage::Reading(read)) else { return };
        let (id, signed) = (busy.log, busy.signed.clone());
        let log = self.logs.get_mut(&id).filter(|log| !log.is_frozen());
        let matches = found.is_some_and(|found| found.old_root == *signed.root().as_bytes());
        match log {
            Some(log) if matches => {
                log.remember(signed.size(), signed.root());
                let stage = self.write_cosigned(id, &signed);
                if let Some(busy) = self.cosigner.as_mut().and_then(crate::witness::Cosigner::busy) {
                    busy.stage = stage;
                }
            }
            _ => {
                let held = self.logs.get(&id).map_or(0, crate::follow::FollowedLog::size);
                if let Some(asker) = self.cosigner.as_mut().and_then(crate::witness::Cosigner::give_up) {
                    let retry_after_s = COSIGN_NOT_YET_S;
                    self.answer_cosign(asker, CosignAnswer::NotYet { held, retry_after_s });
                }
                self.next_cosign();
            }
        }
    }

    /// The database remembers what is to be cosigned: the lock is next.
    pub(super) fn cosign_written(&mut self) {
        let Some(generation) = self.cosigner.as_mut().and_then(crate::witness::Cosigner::written) else {
            return;
        };
        let write = self.own.raise_lock(generation, &mut self.out);
        if let Some(busy) = self.cosigner.as_mut().and_then(crate::witness::Cosigner::busy) {
            busy.stage = Stage::Locking(write);
        }
    }

    /// The lock remembers, too: the signature may leave.
    pub(super) fn cosign_locked(&mut self, now_ms: u64) {
        if let Some((asker, answer)) = self.cosigner.as_mut().and_then(|cosigner| cosigner.locked(now_ms)) {
            self.answer_cosign(asker, answer);
        }
        self.next_cosign();
    }

    fn answer_cosign(&mut self, asker: Asker, answer: CosignAnswer) {
        match asker {
            Asker::Peer(channel) => self.reply(channel, Response::Cosign(answer)),
            Asker::Local(request) => self.out.push(Effect::AnswerCosign { request, answer }),
        }
    }

    /// Starts and continues the round of the own log.
    pub(super) fn collect(&mut self, now_ms: u64) {
        if self.own.blocked() == Some(FORKED) {
            return;
        }
        self.collector.start(self.own.note(), now_ms);
        let peers = &self.peers;
        let due = self.collector.due(now_ms, |witness| peers.author(witness).is_some());
        for offer in due {
            if offer.old == 0 || offer.old == offer.size {
                self.offer(&offer.witness, None, offer.old, Vec::new());
                continue;
            }
            let purpose = ReadFor::Offer { witness: offer.witness.clone(), old: offer.old };
            let log = self.own.author().log;
            if let Some(read) = self.read_tree(purpose, log, offer.old, offer.size) {
                self.collector.reading(&offer.witness, read);
            }
        }
    }

    /// The proof for an offer was read.
    pub(super) fn offer_read(
        &mut self,
        witness: &MemberId,
        old: u64,
        read: u64,
        found: Option<ConsistencyAnswer>,
        now_ms: u64,
    ) {
        match found {
            Some(found) => {
                let proof = found.consistency.into_iter().map(NodeHash::new).collect();
                self.offer(witness, Some(read), old, proof);
            }
            None => self.collector.failed(witness, now_ms),
        }
    }

    fn offer(&mut self, witness: &MemberId, read: Option<u64>, old: u64, proof: Vec<NodeHash>) {
        let Some(note) = self.collector.offered(witness, read) else { return };
        let Some(peer) = self.peers.author(witness) else { return self.collector.failed(witness, 0) };
        let request_id = self.out.next_id();
        let body = AddCheckpoint { old, proof, note }.encode();
        self.out.push(Effect::Send { peer, request_id, request: Request::Cosign(body) });
        self.collector.sent(witness, request_id, peer);
    }

    /// Takes an answer if it is one of a witness; `false` otherwise.
    pub(super) fn take_cosigned(
        &mut self,
        peer: Peer,
        request: RequestId,
        result: &Result<Response, SendFailure>,
        now_ms: u64,
    ) -> bool {
        let Some(witness) = self.collector.asked(request) else { return false };
        let answer = match result {
            Ok(Response::Cosign(answer)) => Some(answer.clone()),
            _ => None,
        };
        match self.collector.answered(&witness, answer, now_ms) {
            Collected::Cosigned(note) => {
                let (log, author) = (self.own.author().log, self.own.author().member.clone());
                self.cosignatures(log, &author, note, now_ms);
            }
            Collected::Broken => self.misbehaved(peer, "cosign_answer"),
            Collected::Nothing => {}
        }
        self.collect(now_ms);
        true
    }

    /// Looks at the cosignatures of a note whose root is that of the tree held here.
    pub(super) fn cosignatures(&mut self, log: LogId, author: &MemberId, note: SizedNote, now_ms: u64) {
        // Every peer tells it again every few seconds, and each line of it is a signature to verify.
        if self.cosigned.get(&log).is_some_and(|held| held.note == note.note) {
            return;
        }
        let witnesses = self.roster.current().witness_keys(author);
        let is_own = log == self.own.author().log;
        let needed = quorum(witnesses.len());
        // Too few lines are of no use but to the author, who gathers them.
        if !is_own && needed.is_none_or(|needed| lines(&note.note, &witnesses) < needed) {
            return;
        }
        let held = self.cosigned.get(&log);
        let (text, times) = count(&note.note, &witnesses, held, now_ms);
        let enough = needed.is_some_and(|needed| times.len() >= needed);
        // Old lines that somebody tells again never replace newer ones.
        let worth = |quorum: bool, size: u64, times: &BTreeMap<MemberId, u64>| {
            (quorum, size, times.len(), times.values().min().copied())
        };
        let before = held.map(|held| worth(held.quorum, held.size, &held.witnesses));
        let better = before < Some(worth(enough, note.size, &times));
        if times.is_empty() || !better || !(enough || is_own) {
            return;
        }
        let note = SizedNote { size: note.size, note: text };
        if is_own {
            self.own.dress(note.clone(), &mut self.out);
        } else if let Some(followed) = self.logs.get_mut(&log) {
            followed.dress(note.clone(), &mut self.out);
        }
        let grown = enough && held_size(held) < Some(note.size);
        let head =
            CosignedHead { log, size: note.size, note: note.note.clone(), witnesses: times, quorum: enough };
        self.cosigned.insert(log, head.clone());
        self.out.push(Effect::Cosigned(head));
        if enough {
            self.write_fact(log, Fact::QuorumHead(note));
        }
        if grown {
            self.contest(log);
        }
        if is_own {
            self.announce_due = true;
        }
    }
}

fn held_size(held: Option<&CosignedHead>) -> Option<u64> {
    held.filter(|held| held.quorum).map(|held| held.size)
}
