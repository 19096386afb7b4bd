//! Several nodes of one member: the author, which writes its log, and read replicas, which follow it (SPEC §9.5).
//!
//! A read replica has no log and no key but its peer key. Its [`crate::append::OwnLog`] is one that no roster can list, of
//! number 0: it takes no entry, has no note, and is shown to nobody. So whatever asks whether a log is the own one finds that
//! none is, and every log is followed, cosigned by others, healed and contested like anybody's.

use super::Engine;
use crate::effect::SubmitError;
use crate::health::ReplicaHealth;
use crate::view::Author;
use hashpact_protocol::digest::LogId;
use hashpact_protocol::keys::Signer;
use hashpact_protocol::roster::{MemberId, Roster};

/// Number of the log that a read replica does not have. Rosters number from 1.
const NO_LOG: u32 = 0;

/// Why a read replica takes no entry.
pub(super) const READ_REPLICA: &str = "this node is a read replica; its member's author states records";

/// What a node does for its member.
pub enum NodeRole {
    /// It writes the member's log, and cosigns the others' if the member is a witness.
    Author {
        /// The open log's key.
        log_key: Signer,
        /// The cosigner key.
        cosigner_key: Signer,
    },
    /// It follows and serves every log, its own member's too, and signs nothing.
    Replica,
}

/// Origin in the lock file of a read replica: that of no log.
#[must_use]
pub fn replica_origin(roster: &Roster, member: &MemberId) -> String {
    roster.origin(member, NO_LOG)
}

/// Whom a read replica writes as: nobody.
pub(super) fn no_author(roster: &Roster, member: &MemberId) -> Author {
    Author::new(member.clone(), NO_LOG, LogId::of_origin(&replica_origin(roster, member)))
}

impl Engine {
    /// Where statements are to go instead.
    pub(super) fn refuse_statement(&self) -> SubmitError {
        let member = &self.own.author().member;
        let author = self.peers.nodes(member).first().map(|node| {
            let addresses = node.addresses.join(", ");
            let at = if addresses.is_empty() { String::new() } else { format!(" at {addresses}") };
            format!("peer {}{at}", node.peer_key)
        });
        let author = author.unwrap_or_else(|| "not known here: no node card of it is held".to_owned());
        SubmitError::ReadReplica { member: member.to_string(), author }
    }

    /// What a read replica knows of its member's author.
    pub(super) fn replica_health(&self) -> Option<ReplicaHealth> {
        if !self.own.is_replica() {
            return None;
        }
        let member = &self.own.author().member;
        Some(ReplicaHealth {
            author: self.peers.nodes(member).first().map(|node| node.peer_key),
            is_connected: self.peers.author(member).is_some(),
            has_card: !self.peers.hello().card.is_empty(),
        })
    }

    /// Our member's card was signed anew, or came as a file: everybody hears of it.
    pub(super) fn renew_card(&mut self, card: Vec<u8>, now_ms: u64) {
        let roster = self.roster.current_shared().clone();
        self.peers.renew(card, &roster, now_ms, &mut self.out);
        self.tell_card(now_ms);
    }

    /// Says hello again to everybody if our card is another.
    pub(super) fn tell_card(&mut self, now_ms: u64) {
        if self.peers.take_renewed() {
            self.greet_all(now_ms);
        }
    }
}
