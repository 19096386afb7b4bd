//! The libp2p side: transports, limits and the request-response behaviour with our gate around it.
//!
//! QUIC, and TCP with Noise and Yamux; nothing else is compiled in. There is no ping, no identify and
//! no discovery: nodes know each other from the roster and from node cards, and the engine's regular
//! requests show that a peer is alive. Idle connections close after two minutes, which only strangers
//! that never ask anything reach.
//!
//! Windows and stream counts are set so that what a peer can make the transports buffer before we
//! read is a few megabytes per connection; what we read is charged to its [`Account`].
//!
//! [`Exchange`] wraps libp2p's behaviour for two reasons: a refusal must come *before* the inner
//! behaviour books the connection, and the codec must know whose connection it serves.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::request_response::{self, ProtocolSupport};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent,
    ToSwarm,
};
use libp2p::{Multiaddr, PeerId, Swarm, SwarmBuilder, noise, quic, tcp, yamux};
use tokio::sync::mpsc;

use super::budget::{Account, Counter, Direction, Fault};
use super::codec::{Opening, PROTOCOL, SyncCodec};
use super::convert::keypair;
use super::dialing::DIALS_MAX;
use super::gate::{Gate, Opener};
use super::sessions::CONNECTIONS_PER_PEER_MAX;
use super::{NetworkError, NetworkLimits};

/// A connection on which nothing happens for so long is closed.
const IDLE_MAX: Duration = Duration::from_secs(120);
/// A QUIC connection whose other end has fallen silent is given up.
const QUIC_SILENCE_MAX_MS: u32 = 6_000;
const QUIC_KEEP_ALIVE: Duration = Duration::from_secs(2);
/// Streams that one connection works on at once, ours and theirs.
const STREAMS_PER_CONNECTION: usize = 40;
/// Streams that the transports let exist; beyond it Yamux closes the connection, so it is wider.
const STREAMS_OPEN_MAX: u16 = 64;
/// Unread bytes that QUIC buffers per stream and per connection.
const QUIC_STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
const QUIC_CONNECTION_WINDOW_BYTES: u32 = 8 * 1024 * 1024;

const _: () = {
    assert!(STREAMS_PER_CONNECTION >= 2 * super::REQUESTS_PER_PEER_MAX);
    assert!(STREAMS_PER_CONNECTION < STREAMS_OPEN_MAX as usize);
};

type Inner = request_response::Behaviour<SyncCodec>;

/// What the swarm runs. Limits stand first, so that whoever passes the gate is really in.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    limits: connection_limits::Behaviour,
    pub(super) exchange: Exchange,
}

impl std::fmt::Debug for Behaviour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Behaviour").finish_non_exhaustive()
    }
}

/// Request and response behind the gate.
pub(super) struct Exchange {
    pub(super) gate: Gate,
    pub(super) inner: Inner,
    opening: Arc<Opening>,
    accounts: HashMap<PeerId, Arc<Account>>,
    inbound_total: Arc<Counter>,
    outbound_total: Arc<Counter>,
    faults: mpsc::Sender<Fault>,
    limits: NetworkLimits,
    started: Instant,
}

impl Exchange {
    fn new(gate: Gate, limits: NetworkLimits, faults: mpsc::Sender<Fault>, started: Instant) -> Self {
        let opening = Arc::new(Opening::default());
        let config = request_response::Config::default()
            .with_request_timeout(limits.request_timeout)
            .with_max_concurrent_streams(STREAMS_PER_CONNECTION);
        let inner = Inner::with_codec(
            SyncCodec::new(Arc::clone(&opening)),
            [(PROTOCOL, ProtocolSupport::Full)],
            config,
        );
        Self {
            gate,
            inner,
            opening,
            accounts: HashMap::new(),
            inbound_total: Arc::new(Counter::new(limits.in_flight_total_bytes)),
            outbound_total: Arc::new(Counter::new(limits.in_flight_total_bytes)),
            faults,
            limits,
            started,
        }
    }

    pub(super) fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The account of a connected peer.
    pub(super) fn account(&self, peer: &PeerId) -> Option<&Arc<Account>> {
        self.accounts.get(peer)
    }

    /// Gives a peer the share of the budget that it now deserves.
    pub(super) fn refresh_share(&self, peer: &PeerId) {
        if let Some(account) = self.accounts.get(peer) {
            let share_bytes = self.share_bytes(account);
            account.inbound.set_max_bytes(share_bytes);
            account.outbound.set_max_bytes(share_bytes);
        }
    }

    fn share_bytes(&self, account: &Account) -> usize {
        if self.gate.is_remembered(&account.peer) {
            self.limits.in_flight_peer_bytes
        } else {
            self.limits.in_flight_stranger_bytes
        }
    }

    /// Checks a connection that finished its handshake and finds or opens the peer's account.
    fn admit(&mut self, peer: PeerId, opener: Opener) -> Result<Arc<Account>, ConnectionDenied> {
        let key = self.gate.check(&peer, opener, self.now_ms()).map_err(ConnectionDenied::new)?;
        if !self.accounts.contains_key(&peer) {
            let account = Account {
                peer: key,
                inbound: Direction::new(0, Arc::clone(&self.inbound_total)),
                outbound: Direction::new(0, Arc::clone(&self.outbound_total)),
                faults: self.faults.clone(),
            };
            self.accounts.insert(peer, Arc::new(account));
        }
        self.refresh_share(&peer);
        Ok(Arc::clone(&self.accounts[&peer]))
    }
}

impl NetworkBehaviour for Exchange {
    type ConnectionHandler = <Inner as NetworkBehaviour>::ConnectionHandler;
    type ToSwarm = <Inner as NetworkBehaviour>::ToSwarm;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.inner.handle_pending_inbound_connection(connection, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let account = self.admit(peer, Opener::Them)?;
        let inner = &mut self.inner;
        self.opening
            .with(account, || inner.handle_established_inbound_connection(connection, peer, local, remote))
    }

    // Addresses come from the dialer alone, so the inner behaviour is not asked for more.
    fn handle_pending_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: Option<PeerId>,
        _: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        Ok(Vec::new())
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port_use: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let account = self.admit(peer, Opener::Us)?;
        let inner = &mut self.inner;
        self.opening.with(account, || {
            inner.handle_established_outbound_connection(connection, peer, address, role, port_use)
        })
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match &event {
            FromSwarm::ConnectionEstablished(opened) => {
                let opener = if opened.endpoint.is_dialer() { Opener::Us } else { Opener::Them };
                if let Some(account) = self.accounts.get(&opened.peer_id) {
                    self.gate.handle_opened(account.peer, opened.connection_id, opener);
                }
            }
            FromSwarm::ConnectionClosed(closed) => {
                if let Some(account) = self.accounts.get(&closed.peer_id) {
                    self.gate.handle_closed(&account.peer, closed.connection_id);
                }
                if closed.remaining_established == 0 {
                    self.accounts.remove(&closed.peer_id);
                }
            }
            _ => {}
        }
        self.inner.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        self.inner.on_connection_handler_event(peer, connection, event);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.inner.poll(cx)
    }
}

/// Puts transports, limits and behaviour together. Needs a Tokio runtime.
pub(super) fn swarm(
    seed: &[u8; 32],
    gate: Gate,
    limits: NetworkLimits,
    faults: mpsc::Sender<Fault>,
) -> Result<Swarm<Behaviour>, NetworkError> {
    let pending_outbound = u32::try_from(DIALS_MAX * 2).unwrap_or(u32::MAX);
    // One more than a peer may keep: the newest decides which of the older ones are stale.
    let per_peer = u32::try_from(CONNECTIONS_PER_PEER_MAX + 1).unwrap_or(u32::MAX);
    let connection_limits = ConnectionLimits::default()
        .with_max_pending_incoming(Some(limits.pending_inbound_max))
        .with_max_pending_outgoing(Some(pending_outbound))
        .with_max_established_incoming(Some(limits.established_inbound_max))
        .with_max_established_per_peer(Some(per_peer));
    let behaviour = Behaviour {
        limits: connection_limits::Behaviour::new(connection_limits),
        exchange: Exchange::new(gate, limits, faults, Instant::now()),
    };
    let swarm = SwarmBuilder::with_existing_identity(keypair(seed))
        .with_tokio()
        .with_tcp(tcp::Config::new().nodelay(true), noise::Config::new, yamux_config)
        .map_err(|error| NetworkError::Transport(error.to_string()))?
        .with_quic_config(quic_config)
        .with_behaviour(|_| behaviour)
        .unwrap_or_else(|never| match never {})
        .with_swarm_config(|config| {
            config.with_idle_connection_timeout(IDLE_MAX).with_max_negotiating_inbound_streams(32)
        })
        .build();
    Ok(swarm)
}

fn yamux_config() -> yamux::Config {
    let mut config = yamux::Config::default();
    config.set_max_num_streams(usize::from(STREAMS_OPEN_MAX));
    config
}

fn quic_config(mut config: quic::Config) -> quic::Config {
    config.max_idle_timeout = QUIC_SILENCE_MAX_MS;
    config.keep_alive_interval = QUIC_KEEP_ALIVE;
    config.max_concurrent_stream_limit = u32::from(STREAMS_OPEN_MAX);
    config.max_stream_data = QUIC_STREAM_WINDOW_BYTES;
    config.max_connection_data = QUIC_CONNECTION_WINDOW_BYTES;
    config
}
