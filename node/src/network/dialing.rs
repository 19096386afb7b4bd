//! Whom to dial, and when.
//!
//! A *target* is one configured bootstrap address, or one remembered peer with its addresses. While
//! nobody is connected there, it is dialled: at once, then after a quarter of a second, twice as long
//! after each failure, up to half a minute, each wait stretched by a deterministic jitter so that a
//! consortium that lost its network does not return in lockstep. The count of failures survives a
//! connection that ends at once, so a peer that accepts and hangs up is not hammered; a session that
//! lasted, or a peer that dials *us*, resets it.
//!
//! A bootstrap address without `/p2p/` accepts whoever answers; what it learned is used to know when
//! the target is connected, and forgotten with the next answer. An address at which we meet
//! ourselves is retired: putting every member's address into every member's configuration is fine.
//!
//! Everything here is a pure function of calls and times (milliseconds since the network started)
//! but for [`resolve`], which asks the operating system for the addresses behind a name.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use hashpact_protocol::digest::sha256;
use hashpact_protocol::keys::PublicKey;
use libp2p::multiaddr::{Multiaddr, Protocol};
use libp2p::swarm::ConnectionId;

use super::convert::DialAddress;

/// First wait after a failure.
const WAIT_FIRST_MS: u64 = 250;
/// Longest wait, before up to a quarter of jitter is added: 24 s + 6 s.
const WAIT_MAX_MS: u64 = 24_000;
/// A session this long shows that the address works and the peer wants us.
const SESSION_STABLE_MS: u64 = 10_000;
/// Most dials under way at once.
pub(super) const DIALS_MAX: usize = 16;
/// Most addresses kept for one remembered peer, and tried behind one name.
pub(super) const ADDRESSES_PER_PEER_MAX: usize = 8;
/// Longest wait for the operating system to look up a name.
const RESOLVE_MAX: Duration = Duration::from_secs(5);

/// Names a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum TargetId {
    /// By its place in the configuration.
    Bootstrap(usize),
    /// By its key.
    Peer(PublicKey),
}

/// One dial to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attempt {
    /// For which target.
    pub(super) target: TargetId,
    /// Who must answer, if that is known.
    pub(super) expects: Option<PublicKey>,
    /// Where, names included.
    pub(super) addresses: Vec<Multiaddr>,
    /// How often it failed before; chooses among the addresses behind a name.
    pub(super) failures: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting { until_ms: u64 },
    Dialing,
    Connected,
    Retired,
}

#[derive(Debug)]
struct Target {
    addresses: Vec<Multiaddr>,
    expects: Option<PublicKey>,
    /// Who answered last, or must answer.
    peer: Option<PublicKey>,
    failures: u32,
    state: State,
}

/// All targets.
#[derive(Debug)]
pub(super) struct Dialer {
    own: PublicKey,
    targets: BTreeMap<TargetId, Target>,
    dials: HashMap<ConnectionId, TargetId>,
    connected_since_ms: BTreeMap<PublicKey, u64>,
}

impl Dialer {
    /// Starts with the bootstrap addresses, all due at once.
    pub(super) fn new(own: PublicKey, bootstrap: Vec<DialAddress>) -> Self {
        let targets = bootstrap
            .into_iter()
            .enumerate()
            .filter(|(_, address)| address.peer != Some(own))
            .map(|(place, address)| {
                let target = Target {
                    addresses: vec![address.transport],
                    expects: address.peer,
                    peer: address.peer,
                    failures: 0,
                    state: State::Waiting { until_ms: 0 },
                };
                (TargetId::Bootstrap(place), target)
            })
            .collect();
        Self { own, targets, dials: HashMap::new(), connected_since_ms: BTreeMap::new() }
    }

    /// Wants a connection to this peer from now on; new addresses replace the old ones.
    pub(super) fn remember(&mut self, peer: PublicKey, addresses: Vec<Multiaddr>, now_ms: u64) {
        if peer == self.own {
            return;
        }
        let is_connected = self.connected_since_ms.contains_key(&peer);
        let target = self.targets.entry(TargetId::Peer(peer)).or_insert_with(|| Target {
            addresses: Vec::new(),
            expects: Some(peer),
            peer: Some(peer),
            failures: 0,
            state: if is_connected { State::Connected } else { State::Waiting { until_ms: now_ms } },
        });
        if target.addresses != addresses {
            target.addresses = addresses;
            if let State::Waiting { until_ms } = &mut target.state {
                *until_ms = (*until_ms).min(now_ms);
            }
        }
    }

    /// No longer wants a connection to this peer, unless a bootstrap address leads to it.
    pub(super) fn forget(&mut self, peer: &PublicKey) {
        self.targets.remove(&TargetId::Peer(*peer));
    }

    /// When [`Dialer::take_due`] will next have something.
    pub(super) fn next_due_ms(&self) -> Option<u64> {
        if self.dialing_count() >= DIALS_MAX {
            return None;
        }
        let waiting = self.targets.values().filter(|target| !target.addresses.is_empty());
        let times = waiting.filter_map(|target| match target.state {
            State::Waiting { until_ms } => Some(until_ms),
            State::Dialing | State::Connected | State::Retired => None,
        });
        times.min()
    }

    /// The dials that are due. Each must be followed by [`Dialer::handle_started`] or
    /// [`Dialer::handle_failed`].
    pub(super) fn take_due(&mut self, now_ms: u64) -> Vec<Attempt> {
        let room = DIALS_MAX.saturating_sub(self.dialing_count());
        let due = self.targets.iter_mut().filter(|(_, target)| {
            !target.addresses.is_empty()
                && matches!(target.state, State::Waiting { until_ms } if until_ms <= now_ms)
        });
        due.take(room)
            .map(|(id, target)| {
                target.state = State::Dialing;
                Attempt {
                    target: *id,
                    expects: target.expects,
                    addresses: target.addresses.clone(),
                    failures: target.failures,
                }
            })
            .collect()
    }

    fn dialing_count(&self) -> usize {
        self.targets.values().filter(|target| target.state == State::Dialing).count()
    }

    /// The dial is under way as this connection.
    pub(super) fn handle_started(&mut self, target: TargetId, connection: ConnectionId) {
        self.dials.insert(connection, target);
    }

    /// The dial could not even start, or nothing is behind the name.
    pub(super) fn handle_failed(&mut self, id: TargetId, now_ms: u64) {
        let own = self.own;
        if let Some(target) = self.targets.get_mut(&id)
            && target.state == State::Dialing
        {
            target.failures = target.failures.saturating_add(1);
            target.state = State::Waiting { until_ms: now_ms + wait_ms(&own, id, target.failures) };
        }
    }

    /// A connection that we dialled did not come about.
    pub(super) fn handle_connection_failed(&mut self, connection: ConnectionId, now_ms: u64) {
        if let Some(id) = self.dials.remove(&connection) {
            self.handle_failed(id, now_ms);
        }
    }

    /// At the other end of a connection that we dialled was this node.
    pub(super) fn handle_own(&mut self, connection: ConnectionId) {
        if let Some(id) = self.dials.remove(&connection)
            && let Some(target) = self.targets.get_mut(&id)
        {
            target.state = State::Retired;
        }
    }

    /// A connection opened; `is_inbound` if the peer dialled us.
    pub(super) fn handle_opened(
        &mut self,
        peer: PublicKey,
        connection: ConnectionId,
        is_inbound: bool,
        now_ms: u64,
    ) {
        if let Some(id) = self.dials.remove(&connection)
            && let Some(target) = self.targets.get_mut(&id)
        {
            target.peer = Some(peer);
        }
        self.connected_since_ms.entry(peer).or_insert(now_ms);
        for target in self.targets_of(peer) {
            target.state = State::Connected;
            if is_inbound {
                target.failures = 0;
            }
        }
    }

    /// The last connection to a peer is gone.
    pub(super) fn handle_disconnected(&mut self, peer: PublicKey, now_ms: u64) {
        let own = self.own;
        let since_ms = self.connected_since_ms.remove(&peer).unwrap_or(now_ms);
        let was_stable = now_ms.saturating_sub(since_ms) >= SESSION_STABLE_MS;
        for (id, target) in &mut self.targets {
            if target.peer == Some(peer) && target.state == State::Connected {
                target.failures = if was_stable { 0 } else { target.failures.saturating_add(1) };
                target.state = State::Waiting { until_ms: now_ms + wait_ms(&own, *id, target.failures) };
            }
        }
    }

    /// Dials this peer no earlier than this: it would not let us in, or we not it.
    pub(super) fn hold_off(&mut self, peer: PublicKey, not_before_ms: u64) {
        for target in self.targets_of(peer) {
            if let State::Waiting { until_ms } = &mut target.state {
                *until_ms = (*until_ms).max(not_before_ms);
            }
        }
    }

    fn targets_of(&mut self, peer: PublicKey) -> impl Iterator<Item = &mut Target> {
        self.targets
            .values_mut()
            .filter(move |target| target.peer == Some(peer) && target.state != State::Retired)
    }
}

/// The wait after this many failures: exponential, with up to a quarter added by a hash of who dials
/// whom for the how-manieth time. Between 0.25 s and 30 s.
fn wait_ms(own: &PublicKey, target: TargetId, failures: u32) -> u64 {
    let exponent = failures.saturating_sub(1).min(16);
    let base_ms = WAIT_FIRST_MS.saturating_mul(1 << exponent).min(WAIT_MAX_MS);
    let name = match target {
        TargetId::Bootstrap(place) => (place as u64).to_be_bytes().to_vec(),
        TargetId::Peer(key) => key.as_bytes().to_vec(),
    };
    let hash = sha256(&[own.as_bytes(), &name, &failures.to_be_bytes()]);
    base_ms + base_ms / 4 * u64::from(hash[0]) / 255
}

/// Replaces names by the IP addresses behind them. Names that do not resolve in time yield nothing.
pub(super) async fn resolve(addresses: Vec<Multiaddr>) -> Vec<Multiaddr> {
    let mut resolved = Vec::new();
    for address in addresses {
        let (name, wants_v4, wants_v6) = match address.iter().next() {
            Some(Protocol::Dns(name)) => (name, true, true),
            Some(Protocol::Dns4(name)) => (name, true, false),
            Some(Protocol::Dns6(name)) => (name, false, true),
            _ => {
                resolved.push(address.clone());
                continue;
            }
        };
        let found = tokio::time::timeout(RESOLVE_MAX, tokio::net::lookup_host((name.as_ref(), 0))).await;
        let Ok(Ok(found)) = found else { continue };
        for socket in found {
            let host = match socket.ip() {
                std::net::IpAddr::V4(ip) if wants_v4 => Protocol::Ip4(ip),
                std::net::IpAddr::V6(ip) if wants_v6 => Protocol::Ip6(ip),
                _ => continue,
            };
            resolved.push(std::iter::once(host).chain(address.iter().skip(1)).collect());
        }
    }
    resolved.truncate(ADDRESSES_PER_PEER_MAX);
    resolved
}

#[cfg(test)]
#[path = "dialing_tests.rs"]
mod tests;
