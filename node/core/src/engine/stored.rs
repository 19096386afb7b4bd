//! What members' nodes tell one another about what is on their disks (SPEC §10.2, *Stored*), and what that says of
//! incidents.
//!
//! The author of a log hears how far others hold it. How far the declaration of an incident has come is everybody's
//! concern: it is told to all, when it arrives here and with every answer for heads.

use super::Engine;
use crate::effect::Effect;
use crate::event::Peer;
use crate::follow::FollowedLog;
use crate::view::Author;
use hashpact_protocol::digest::{LogId, Root, empty_root};
use hashpact_protocol::roster::MemberId;
use hashpact_protocol::wire::{Request, Stored};

impl Engine {
    /// A member's node states what it has of a log. Of our own log it must be what we signed; of others it is a claim
    /// that concerns nothing but who has heard of an incident.
    pub(super) fn told_stored(&mut self, peer: Peer, member: &MemberId, stored: Stored, now_ms: u64) {
        let Stored { log, size, root, ahead } = stored;
        let (log, root) = (LogId::new(log), Root::new(root));
        if *member == self.own.author().member {
            // Another node of our own member is no other member, and what we hold ourselves we know.
            return;
        }
        if log == self.own.author().log {
            let is_beyond = ahead.last().is_some_and(|last| *last >= self.own.size());
            let is_ours = match size {
                _ if is_beyond => false,
                0 => root == empty_root(),
                _ => self.own.stored(member, size, &root, &mut self.out),
            };
            if !is_ours {
                self.misbehaved(peer, "stored_unknown_head");
                return;
            }
        } else if self.logs.get(&log).is_none_or(FollowedLog::is_frozen) {
            // Of a newer roster than ours; or of two histories, of which the claim may mean either.
            return;
        }
        self.coverage.told(member, log, size, ahead, now_ms);
    }

    /// Tells a member's node what we hold of its logs, and of those in which incidents were declared. Said again with
    /// every answer for heads: what is lost, or arrives before we are admitted there, must not stay lost.
    pub(super) fn confirm_held(&mut self, peer: Peer) {
        let Some(member) = self.peers.member(&peer) else { return };
        let concerns =
            |log: &&FollowedLog| log.author().member == *member || self.coverage.concerns(&log.author().log);
        let held: Vec<Stored> =
            self.logs.values().filter(concerns).filter_map(|log| self.stored_of(log)).collect();
        for stored in held {
            self.send_stored(peer, stored);
        }
    }

    /// Tells the author's nodes that leaves and payloads below a signed head are on our disk.
    pub(super) fn confirm_stored(&mut self, author: &Author, size: u64, root: Root) {
        let stored = self.stored(author.log, size, root);
        for peer in self.admitted_of(|member| *member == author.member) {
            self.send_stored(peer, stored.clone());
        }
    }

    /// Shows which members have heard of incidents, if that changed, and tells everybody what has come here.
    pub(super) fn cover(&mut self, now_ms: u64) {
        if self.coverage.take_stale() {
            let own = &self.own.author().member;
            let news = self.coverage.refresh(self.view.incidents(), own, now_ms);
            // Who wrote the own log needs nobody's word for it.
            let held = news.iter().filter_map(|log| self.stored_of(self.logs.get(log)?));
            for stored in held.collect::<Vec<_>>() {
                for peer in self.admitted_of(|_| true) {
                    self.send_stored(peer, stored.clone());
                }
            }
        }
        if let Some(report) = self.coverage.report(self.roster.current()) {
            self.out.push(Effect::Coverage(report));
        }
    }

    /// What to tell about a log, if there is anything: without all payloads the size is 0, and only what is held ahead
    /// is told.
    fn stored_of(&self, log: &FollowedLog) -> Option<Stored> {
        let (size, root) = log.held_head().unwrap_or((0, empty_root()));
        let stored = self.stored(log.author().log, size, root);
        (size > 0 || !stored.ahead.is_empty()).then_some(stored)
    }

    fn stored(&self, log: LogId, size: u64, root: Root) -> Stored {
        let ahead = self.coverage.declared_in(&log, size);
        Stored { log: *log.as_bytes(), size, root: *root.as_bytes(), ahead }
    }

    fn admitted_of(&self, of: impl Fn(&MemberId) -> bool) -> Vec<Peer> {
        self.peers.admitted().filter(|(_, member)| of(member)).map(|(peer, _)| *peer).collect()
    }

    /// A read replica says nothing for its member, and nobody counts what one of our own nodes has.
    fn send_stored(&mut self, peer: Peer, stored: Stored) {
        let is_ours = self.peers.member(&peer) == Some(&self.own.author().member);
        if is_ours || self.own.is_replica() {
            return;
        }
        let request_id = self.out.next_id();
        self.out.push(Effect::Send { peer, request_id, request: Request::Stored(stored) });
    }
}
