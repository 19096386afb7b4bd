//! Which connections are let in, before anybody speaks.
//!
//! Refused at the end of the handshake: our own id, ids without a sound Ed25519 key, peers that are
//! cooling down, and strangers beyond a number of slots. A *stranger* is a peer that the driver has
//! not vouched for with `remember`; without the slots, anybody could fill the node with connections
//! that never introduce themselves and keep members out. Whether a peer deserves to be remembered is
//! decided elsewhere; this file only counts.
//!
//! A peer cools down after the driver disconnected it, or after it sent bytes that no honest peer
//! sends: five seconds, doubled with each repetition up to five minutes, forgotten after ten quiet
//! ones. The list is bounded; when it is full, the peer that was quiet for longest is forgiven first.
//! Remembering a peer forgives it at once. Peer ids cost nothing, so this stops a broken or banned
//! peer from hammering, not an attacker; against that one stand the slots and the limits of pending
//! connections.

use std::collections::{BTreeMap, BTreeSet};

use hashpact_protocol::keys::PublicKey;
use libp2p::PeerId;
use libp2p::swarm::ConnectionId;

use super::convert::{PeerIdError, public_key};

/// Most peers on the cool-down list.
pub(super) const COOLING_MAX: usize = 1024;
const COOL_FIRST_MS: u64 = 5_000;
const COOL_MAX_MS: u64 = 300_000;
const COOL_FORGOTTEN_MS: u64 = 600_000;

/// Why a connection is refused at the end of its handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(super) enum Denial {
    /// Somebody runs with our key, or we dialled ourselves.
    #[error("the remote peer has this node's own id")]
    OwnId,
    /// The id holds no key that we accept.
    #[error(transparent)]
    PeerId(#[from] PeerIdError),
    /// It was disconnected a moment ago.
    #[error("the peer is cooling down for another {left_ms} ms")]
    CoolingDown {
        /// Time left.
        left_ms: u64,
    },
    /// All slots for peers that nobody vouched for are taken.
    #[error("all {max} slots for unknown peers are taken")]
    StrangersFull {
        /// How many there are.
        max: usize,
    },
}

impl Denial {
    /// Fixed label for logs and metrics.
    pub(super) const fn label(&self) -> &'static str {
        match self {
            Self::OwnId => "own_peer_id",
            Self::PeerId(_) => "peer_id_refused",
            Self::CoolingDown { .. } => "cooling_down",
            Self::StrangersFull { .. } => "strangers_full",
        }
    }
}

/// Who opened a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opener {
    /// We dialled.
    Us,
    /// They dialled.
    Them,
}

#[derive(Debug, Clone, Copy)]
struct Cooling {
    strikes: u32,
    struck_ms: u64,
    until_ms: u64,
}

/// The gate's memory. Times are milliseconds since the network started.
#[derive(Debug)]
pub(super) struct Gate {
    own: PublicKey,
    strangers_max: usize,
    remembered: BTreeSet<PublicKey>,
    cooling: BTreeMap<PublicKey, Cooling>,
    /// Open incoming connections of peers that were not remembered when they came.
    strangers: BTreeMap<PublicKey, Vec<ConnectionId>>,
}

impl Gate {
    pub(super) fn new(own: PublicKey, strangers_max: usize) -> Self {
        Self {
            own,
            strangers_max,
            remembered: BTreeSet::new(),
            cooling: BTreeMap::new(),
            strangers: BTreeMap::new(),
        }
    }

    /// Lets a connection in, or says why not.
    pub(super) fn check(&self, peer: &PeerId, opener: Opener, now_ms: u64) -> Result<PublicKey, Denial> {
        let key = public_key(peer)?;
        if key == self.own {
            return Err(Denial::OwnId);
        }
        if self.remembered.contains(&key) {
            return Ok(key);
        }
        if let Some(until_ms) = self.cooling_until(&key, now_ms) {
            return Err(Denial::CoolingDown { left_ms: until_ms - now_ms });
        }
        let taken: usize = self.strangers.values().map(Vec::len).sum();
        if opener == Opener::Them && taken >= self.strangers_max {
            return Err(Denial::StrangersFull { max: self.strangers_max });
        }
        Ok(key)
    }

    pub(super) fn handle_opened(&mut self, key: PublicKey, connection: ConnectionId, opener: Opener) {
        if opener == Opener::Them && !self.remembered.contains(&key) {
            self.strangers.entry(key).or_default().push(connection);
        }
    }

    pub(super) fn handle_closed(&mut self, key: &PublicKey, connection: ConnectionId) {
        if let Some(connections) = self.strangers.get_mut(key) {
            connections.retain(|open| *open != connection);
            if connections.is_empty() {
                self.strangers.remove(key);
            }
        }
    }

    pub(super) fn is_remembered(&self, key: &PublicKey) -> bool {
        self.remembered.contains(key)
    }

    pub(super) fn remembered_count(&self) -> usize {
        self.remembered.len()
    }

    /// Vouched for: forgiven, and no longer counted as a stranger.
    pub(super) fn remember(&mut self, key: PublicKey) {
        self.cooling.remove(&key);
        self.strangers.remove(&key);
        self.remembered.insert(key);
    }

    pub(super) fn forget(&mut self, key: &PublicKey) {
        self.remembered.remove(key);
    }

    /// Puts a stranger on the cool-down list and says until when. Remembered peers do not cool down:
    /// their redialling backs off instead.
    pub(super) fn cool(&mut self, key: PublicKey, now_ms: u64) -> Option<u64> {
        if self.remembered.contains(&key) {
            return None;
        }
        let strikes = match self.cooling.get(&key) {
            Some(known) if now_ms < known.struck_ms + COOL_FORGOTTEN_MS => known.strikes.saturating_add(1),
            _ => 1,
        };
        if strikes == 1 && self.cooling.len() >= COOLING_MAX {
            self.forgive_quietest();
        }
        let cool_ms = COOL_FIRST_MS.saturating_mul(1 << (strikes - 1).min(16)).min(COOL_MAX_MS);
        let until_ms = now_ms + cool_ms;
        self.cooling.insert(key, Cooling { strikes, struck_ms: now_ms, until_ms });
        Some(until_ms)
    }

    /// Until when this peer cools down, if it does.
    pub(super) fn cooling_until(&self, key: &PublicKey, now_ms: u64) -> Option<u64> {
        self.cooling.get(key).map(|cooling| cooling.until_ms).filter(|until_ms| *until_ms > now_ms)
    }

    fn forgive_quietest(&mut self) {
        let quietest = self.cooling.iter().min_by_key(|(_, cooling)| cooling.struck_ms).map(|(key, _)| *key);
        if let Some(key) = quietest {
            self.cooling.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::convert::peer_id;
    use hashpact_protocol::keys::SecretKey;

    fn key(number: u16) -> PublicKey {
        let mut seed = [1; 32];
        seed[..2].copy_from_slice(&number.to_be_bytes());
        SecretKey::from_seed(seed).public()
    }

    #[test]
    fn own_id_and_foreign_key_types_are_refused() {
        let gate = Gate::new(key(0), 4);
        assert_eq!(gate.check(&peer_id(&key(0)), Opener::Them, 0), Err(Denial::OwnId));
        let hashed = PeerId::random();
        assert_eq!(gate.check(&hashed, Opener::Them, 0), Err(Denial::PeerId(PeerIdError::NotEd25519)));
        assert_eq!(gate.check(&peer_id(&key(1)), Opener::Them, 0), Ok(key(1)));
    }

    #[test]
    fn cooling_doubles_and_is_forgotten_and_forgiven() {
        let mut gate = Gate::new(key(0), 4);
        let peer = peer_id(&key(1));
        assert_eq!(gate.cool(key(1), 0), Some(5_000));
        assert_eq!(gate.check(&peer, Opener::Them, 4_999), Err(Denial::CoolingDown { left_ms: 1 }));
        assert_eq!(gate.check(&peer, Opener::Us, 5_000), Ok(key(1)));
        assert_eq!(gate.cool(key(1), 6_000), Some(16_000));
        for _ in 0..40 {
            gate.cool(key(1), 7_000);
        }
        assert_eq!(gate.cool(key(1), 7_000), Some(7_000 + COOL_MAX_MS));
        let quiet_ms = 7_000 + COOL_FORGOTTEN_MS;
        assert_eq!(gate.cool(key(1), quiet_ms), Some(quiet_ms + 5_000));
        gate.remember(key(1));
        assert_eq!(gate.check(&peer, Opener::Them, quiet_ms), Ok(key(1)));
        assert_eq!(gate.cool(key(1), quiet_ms), None, "remembered peers do not cool down");
        gate.forget(&key(1));
        assert!(gate.cool(key(1), quiet_ms).is_some());
    }

    #[test]
    fn the_cool_down_list_is_bounded_and_forgives_the_quietest() {
        let mut gate = Gate::new(key(0), 4);
        let last = u16::try_from(COOLING_MAX).expect("small") + 1;
        for number in 1..=last {
            gate.cool(key(number), u64::from(number));
        }
        assert_eq!(gate.cooling.len(), COOLING_MAX);
        assert_eq!(gate.check(&peer_id(&key(1)), Opener::Them, 2), Ok(key(1)));
        assert!(gate.check(&peer_id(&key(2)), Opener::Them, 2).is_err());
    }

    #[test]
    fn strangers_cannot_take_the_slots_of_members() {
        let mut gate = Gate::new(key(0), 2);
        for number in 1..=2 {
            gate.handle_opened(key(number), ConnectionId::new_unchecked(number.into()), Opener::Them);
        }
        let third = peer_id(&key(3));
        assert_eq!(gate.check(&third, Opener::Them, 0), Err(Denial::StrangersFull { max: 2 }));
        assert_eq!(gate.check(&third, Opener::Us, 0), Ok(key(3)), "we chose to dial it");
        gate.remember(key(3));
        assert_eq!(gate.check(&third, Opener::Them, 0), Ok(key(3)));
        gate.forget(&key(3));
        gate.remember(key(1));
        assert_eq!(gate.check(&third, Opener::Them, 0), Ok(key(3)), "a vouched peer frees its slot");
        gate.handle_opened(key(3), ConnectionId::new_unchecked(3), Opener::Them);
        assert!(gate.check(&peer_id(&key(4)), Opener::Them, 0).is_err());
        gate.handle_closed(&key(2), ConnectionId::new_unchecked(2));
        assert_eq!(gate.check(&peer_id(&key(4)), Opener::Them, 0), Ok(key(4)));
    }
}
