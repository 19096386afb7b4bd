//! What peers ask and answer, one small function per message.

use super::{Engine, ReadFor};
use crate::admit::{Admits, HelloError};
use crate::effect::{Effect, RequestId};
use crate::entitled::Entitled;
use crate::event::{Channel, Peer, SendFailure};
use crate::follow::{Barred, ChunkError, Fault, FollowedLog, HeadError};
use crate::stop::StopReason;
use crate::witness::Asker;
use hashpact_protocol::checkpoint::SignedCheckpoint;
use hashpact_protocol::digest::LogId;
use hashpact_protocol::roster::MemberId;
use hashpact_protocol::wire::{
    HeadNote, Heads, Hello, PayloadsRequest, RangeRequest, Refusal, Request, Response,
};
use std::collections::BTreeSet;

impl Engine {
    pub(super) fn inbound(
        &mut self,
        peer: Peer,
        channel: Channel,
        request: Request,
        now_ms: u64,
    ) -> Result<(), StopReason> {
        if let Request::Hello(hello) = request {
            self.inbound_hello(peer, channel, &hello, now_ms);
            return Ok(());
        }
        let Some(member) = self.peers.member(&peer).cloned() else {
            // No fault: a peer that admitted us first may ask before its own hello has arrived.
            self.reply(channel, Response::Refused(Refusal::NotAdmitted));
            return Ok(());
        };
        match request {
            Request::Hello(_) => {}
            Request::Heads => {
                let heads = self.heads();
                let priority = self.recent_of_all();
                self.reply(channel, Response::Heads(Heads { notes: heads, priority }));
            }
            Request::Announce(announce) => {
                self.reply(channel, Response::Ack);
                self.hear(peer, &announce.notes, now_ms)?;
                self.hear_listed(peer, &announce.priority, now_ms);
            }
            Request::Range(range) => self.serve_range(peer, channel, &range),
            Request::Payloads(request) => self.serve_payloads(peer, channel, request),
            Request::Entries(ask) => self.serve_entries(peer, channel, ask),
            Request::Branch(ask) => self.serve_branch(peer, channel, ask),
            Request::Cosign(body) => self.ask_cosign(Some(peer), Asker::Peer(channel), body, now_ms),
            Request::Consistency(ask) => self.serve_consistency(channel, &ask),
            Request::Evidence(evidence) => self.told_evidence(peer, channel, &evidence),
            Request::Stored(stored) => {
                self.reply(channel, Response::Ack);
                self.told_stored(peer, &member, stored, now_ms);
            }
        }
        Ok(())
    }

    fn inbound_hello(&mut self, peer: Peer, channel: Channel, hello: &Hello, now_ms: u64) {
        match self.greet(peer, hello, now_ms) {
            Ok(()) => {
                let ours = self.hello_for(hello.roster_version);
                self.reply(channel, Response::Hello(ours));
            }
            // It may be listed by a version that we do not have yet, and says hello again.
            Err(_) if self.may_be_listed(hello) => {
                self.reply(channel, Response::Refused(Refusal::NotAdmitted));
            }
            // A replica that has no card yet: its author will tell us of it.
            Err(HelloError::NoCard) => self.reply(channel, Response::Refused(Refusal::NotAdmitted)),
            // Its card may verify under the roster that it holds, and not under ours any more: it is told ours.
            Err(HelloError::Card) if hello.roster_version < self.roster.version() => {
                self.reply(channel, Response::Refused(Refusal::NotAdmitted));
                let ours = self.hello_for(hello.roster_version);
                self.peers.say_hello(peer, ours, now_ms, &mut self.out);
            }
            Err(error) => {
                self.reply(channel, Response::Refused(Refusal::NotAdmitted));
                self.turn_away(peer, error);
            }
        }
    }

    /// Lets go of a peer whose hello was refused.
    fn turn_away(&mut self, peer: Peer, error: HelloError) {
        if !error.is_blameless() {
            self.misbehaved(peer, error.label());
        }
        self.out.push(Effect::Disconnect { peer, reason: error.label() });
    }

    /// Whom we admit now. A node that holds nothing of anybody is itself the new one, and has nothing to go by.
    fn admits(&self, now_ms: u64) -> Admits {
        if !self.roster.is_expired(now_ms / 1_000) {
            return Admits::Members;
        }
        let begun = self.logs.values().filter(|log| log.size() > 0);
        let known: BTreeSet<MemberId> = begun.map(|log| log.author().member.clone()).collect();
        if known.is_empty() { Admits::Members } else { Admits::Known(known) }
    }

    /// Judges a hello. A member that is admitted is told what we hold of its logs: it may have been
    /// restarted while somebody waits for our confirmation.
    fn greet(&mut self, peer: Peer, hello: &Hello, now_ms: u64) -> Result<(), HelloError> {
        if !self.take_versions(hello) {
            self.misbehaved(peer, "hello_roster");
        }
        let known = self.peers.member(&peer).is_some();
        let (roster, admits) = (self.roster.current_shared().clone(), self.admits(now_ms));
        self.peers.greet(peer, hello, (&roster, &admits), now_ms, &mut self.out)?;
        self.tell_card(now_ms);
        if !known {
            self.confirm_held(peer);
        }
        Ok(())
    }

    pub(super) fn outcome(
        &mut self,
        peer: Peer,
        request: RequestId,
        result: Result<Response, SendFailure>,
        now_ms: u64,
    ) -> Result<(), StopReason> {
        if matches!(result, Err(SendFailure::Malformed)) {
            self.misbehaved(peer, "malformed_response");
        }
        if self.peers.take_hello(&peer, request) {
            self.hello_answered(peer, result, now_ms);
        } else if self.peers.take_heads(&peer, request, matches!(result, Ok(Response::Heads(_)))) {
            if let Ok(Response::Heads(heads)) = result {
                self.hear(peer, &heads.notes, now_ms)?;
                self.hear_listed(peer, &heads.priority, now_ms);
                self.confirm_held(peer);
            }
        } else if let Some(again) = self.peers.take_announced(&peer, request) {
            if again {
                self.announce_due = true;
                self.announce(now_ms);
            }
        } else if self.take_cosigned(peer, request, &result, now_ms)
            || self.take_fork_answer(peer, request, &result)
            || self.take_healing(peer, request, &result, now_ms)
            || self.take_branch(peer, request, &result, now_ms)
        {
        } else if let Some(log) = self.logs.values_mut().find(|log| log.is_fetching(request)) {
            let (id, target) = (log.author().log, log.target().cloned());
            let barred = Barred { view: &self.view, members: &self.members, now_ms, mine: &self.mine };
            let fault = match result {
                Ok(Response::Range(chunk)) => log.fetched(request, chunk, &barred, &mut self.out),
                Ok(Response::Payloads(payloads)) => {
                    log.payloads_answered(request, payloads, &barred, &mut self.out)
                }
                Ok(Response::Entries(answer)) => {
                    if let Some((fault, head)) = log.entries_answered(request, answer, &barred, &mut self.out)
                    {
                        self.blame(id, fault, head.as_ref());
                    }
                    None
                }
                _ => {
                    log.fetch_failed(request, now_ms, &mut self.out);
                    None
                }
            };
            if let Some(fault) = fault {
                self.blame(id, fault, target.as_ref());
            }
        }
        Ok(())
    }

    /// Counts what a peer sent against a rule. A chunk that does not fit under a signed head may have another reason:
    /// that the author signed two histories.
    pub(super) fn blame(&mut self, log: LogId, fault: Fault, target: Option<&SignedCheckpoint>) {
        match (fault.error, target) {
            (ChunkError::Root { .. }, Some(target)) => self.suspect(log, fault.peer, target),
            // Under a closure alone nobody signed what the chunk does not fit.
            (ChunkError::Root { .. }, None) => {}
            (error, _) => self.misbehaved(fault.peer, error.label()),
        }
    }

    fn hello_answered(&mut self, peer: Peer, result: Result<Response, SendFailure>, now_ms: u64) {
        match result {
            Ok(Response::Hello(hello)) => {
                if let Err(error) = self.greet(peer, &hello, now_ms)
                    && error != HelloError::NoCard
                    && !(error == HelloError::Card && hello.roster_version < self.roster.version())
                    && !self.may_be_listed(&hello)
                {
                    self.turn_away(peer, error);
                }
            }
            // A peer that refuses us, or says nothing, may still greet us itself within the bounded time.
            Ok(Response::Refused(_)) | Err(SendFailure::TimedOut | SendFailure::Unreachable) => {}
            Ok(_) | Err(SendFailure::Malformed) => {
                self.out.push(Effect::Disconnect { peer, reason: "hello_answer" });
            }
        }
    }

    /// Takes signed heads from an admitted peer. A contradiction of our own log stops us.
    fn hear(&mut self, peer: Peer, heads: &[HeadNote], now_ms: u64) -> Result<(), StopReason> {
        for head in heads {
            if head.origin == self.own.origin() {
                self.hear_own(peer, head)?;
                continue;
            }
            let Some(log) = self.origins.get(&head.origin).and_then(|id| self.logs.get_mut(id)) else {
                // A log of a newer roster than ours: not misbehaviour, and nothing to follow yet.
                continue;
            };
            let is_author = self.peers.is_author(&peer, &log.author().member);
            let id = log.author().log;
            match log.heard(peer, is_author, &head.note, now_ms, &mut self.out) {
                Ok(heard) => self.heard(Some(peer), id, heard, now_ms),
                Err(error) => self.misbehaved(peer, error.label()),
            }
        }
        Ok(())
    }

    fn hear_own(&mut self, peer: Peer, head: &HeadNote) -> Result<(), StopReason> {
        let Some(key) = self.own.public_key() else { return Ok(()) };
        match SignedCheckpoint::verify(&head.note, self.own.origin(), &key) {
            Ok(seen) => {
                self.own.check_seen(seen.size(), &seen.root())?;
                if seen.size() > 0 && self.own.is_unknown(seen.size()) {
                    let (size, root) = (seen.size(), seen.root());
                    let (log, held) = (self.own.author().log, self.own.size());
                    self.read_tree(ReadFor::OwnHead { size, root }, log, size, held);
                }
                Ok(())
            }
            Err(_) => {
                self.misbehaved(peer, HeadError::Signature.label());
                Ok(())
            }
        }
    }

    fn heads(&self) -> Vec<HeadNote> {
        let own = self.own.note().map(|note| (self.own.author().log, self.own.origin(), note));
        let others = self.logs.values().filter_map(|log| Some((log.author().log, log.origin(), log.note()?)));
        own.into_iter()
            .chain(others)
            .flat_map(|(log, origin, note)| self.notes_of(log, origin, note))
            .collect()
    }

    /// How far a log may be seen here.
    pub(super) fn served(&self, id: &LogId) -> Option<u64> {
        if *id == self.own.author().log {
            Some(self.own.size())
        } else {
            self.logs.get(id).map(FollowedLog::size)
        }
    }

    /// What a peer may have of a log, by the newest roster. Some payloads may have been erased since the backup that a node
    /// came from: it shows none. Leaves go on, or two restored nodes would wait for one another.
    pub(super) fn entitled(&self, peer: &Peer, log: &LogId) -> Entitled {
        match self.peers.member(peer) {
            _ if self.from_backup => Entitled::Nothing,
            Some(member) => Entitled::of(self.roster.current(), member, self.members.get(log)),
            None => Entitled::Nothing,
        }
    }

    fn serve_range(&mut self, peer: Peer, channel: Channel, range: &RangeRequest) {
        let id = LogId::new(range.log);
        let refusal = match self.served(&id) {
            None => Some(Refusal::UnknownLog),
            Some(held) if range.size > held => Some(Refusal::BeyondSize { held }),
            Some(_) if range.start >= range.size || range.entries_max == 0 => Some(Refusal::Malformed),
            Some(_) => None,
        };
        match refusal {
            Some(refusal) => self.reply(channel, Response::Refused(refusal)),
            None => self.out.push(Effect::ServeRange {
                channel,
                log: id,
                start: range.start,
                size: range.size,
                entries_max: range.entries_max,
                bytes_max: range.bytes_max,
                entitled: self.entitled(&peer, &id),
            }),
        }
    }

    fn serve_payloads(&mut self, peer: Peer, channel: Channel, request: PayloadsRequest) {
        let PayloadsRequest { log, indexes, bytes_max } = request;
        let id = LogId::new(log);
        let refusal = match (self.served(&id), indexes.last()) {
            (None, _) => Some(Refusal::UnknownLog),
            _ if self.from_backup => Some(Refusal::Busy),
            (Some(_), None) => Some(Refusal::Malformed),
            (Some(held), Some(last)) if *last >= held => Some(Refusal::BeyondSize { held }),
            (Some(_), Some(_)) => None,
        };
        match refusal {
            Some(refusal) => self.reply(channel, Response::Refused(refusal)),
            None => {
                let entitled = self.entitled(&peer, &id);
                self.out.push(Effect::ServePayloads { channel, log: id, indexes, bytes_max, entitled });
            }
        }
    }

    pub(super) fn reply(&mut self, channel: Channel, response: Response) {
        self.out.push(Effect::Reply { channel, response });
    }

    pub(super) fn misbehaved(&mut self, peer: Peer, rule: &'static str) {
        self.out.push(Effect::Misbehaviour { peer, rule });
    }
}
