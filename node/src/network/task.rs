//! The one task: waits for the swarm, for commands and for the next dial, and keeps the tables that
//! connect libp2p's ids with the driver's.
//!
//! Backpressure: events go through a bounded channel. While it is full, the task keeps them in a
//! backlog, stops polling the swarm (so peers feel it), and goes on taking commands, because the
//! driver may be busy giving them. Refusals are dropped then; everything else is kept.
//!
//! A connection on which requests time out twice in a row, with nothing heard in between, is dead
//! whatever its transport believes, and is closed.

mod peers;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use hashpact_core::event::SendFailure;
use hashpact_protocol::keys::PublicKey;
use hashpact_protocol::wire::{self, Refusal, Request, Response};
use libp2p::futures::StreamExt;
use libp2p::futures::future::BoxFuture;
use libp2p::futures::stream::FuturesUnordered;
use libp2p::request_response::{InboundRequestId, OutboundRequestId, ResponseChannel};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError};
use libp2p::{Multiaddr, PeerId, Swarm, TransportError};
use tokio::sync::mpsc;

use super::behaviour::{Behaviour, swarm};
use super::budget::{Fault, Hold};
use super::codec::Parcel;
use super::convert::{dial_address, listen_address, peer_id};
use super::dialing::{ADDRESSES_PER_PEER_MAX, Attempt, Dialer, resolve};
use super::gate::Gate;
use super::sessions::Sessions;
use super::{
    BACKLOG_MAX, Command, NetworkConfig, NetworkError, NetworkEvent, REMEMBERED_MAX, REQUESTS_PER_PEER_MAX,
};

/// Faults that wait to be looked at.
const FAULTS_MAX: usize = 64;
/// Longest time for goodbyes.
const GOODBYE_MAX: Duration = Duration::from_secs(1);

/// A request of ours under way.
struct Asked {
    peer: PeerId,
    key: PublicKey,
    request_id: u64,
}

/// A request of theirs that waits for its answer.
struct Channel {
    peer: PeerId,
    inbound: InboundRequestId,
    sender: ResponseChannel<Parcel<Response>>,
    /// The request stays charged until it is answered.
    _hold: Hold,
}

/// The task's state.
pub(super) struct Task {
    swarm: Swarm<Behaviour>,
    commands: mpsc::Receiver<Command>,
    faults: mpsc::Receiver<Fault>,
    events: mpsc::Sender<NetworkEvent>,
    backlog: VecDeque<NetworkEvent>,
    dialer: Dialer,
    resolving: FuturesUnordered<BoxFuture<'static, (Attempt, Vec<Multiaddr>)>>,
    sessions: Sessions,
    asked: HashMap<OutboundRequestId, Asked>,
    channels: HashMap<u64, Channel>,
    channel_of: HashMap<InboundRequestId, u64>,
    next_channel: u64,
    timeouts: HashMap<ConnectionId, u32>,
}

impl Task {
    pub(super) fn new(
        config: &NetworkConfig<'_>,
        commands: mpsc::Receiver<Command>,
        events: mpsc::Sender<NetworkEvent>,
    ) -> Result<Self, NetworkError> {
        let named = |setting, value: &String| {
            let value = value.clone();
            move |error| NetworkError::Address { setting, value, error }
        };
        let bootstrap = config.bootstrap.iter();
        let bootstrap = bootstrap
            .map(|text| dial_address(text).map_err(named("bootstrap", text)))
            .collect::<Result<_, _>>()?;
        let listen = config.listen.iter();
        let listen: Vec<(&String, Multiaddr)> = listen
            .map(|text| Ok((text, listen_address(text).map_err(named("listen", text))?)))
            .collect::<Result<_, NetworkError>>()?;

        let own = config.peer_key.public();
        let (fault_sender, faults) = mpsc::channel(FAULTS_MAX);
        let gate = Gate::new(own, config.limits.strangers_max);
        let mut swarm = swarm(config.peer_key.seed(), gate, config.limits.clone(), fault_sender)?;
        for (text, address) in listen {
            swarm.listen_on(address).map_err(|error| NetworkError::Listen {
                value: text.clone(),
                detail: listen_detail(&error),
            })?;
        }
        Ok(Self {
            swarm,
            commands,
            faults,
            events,
            backlog: VecDeque::new(),
            dialer: Dialer::new(own, bootstrap),
            resolving: FuturesUnordered::new(),
            sessions: Sessions::default(),
            asked: HashMap::new(),
            channels: HashMap::new(),
            channel_of: HashMap::new(),
            next_channel: 1,
            timeouts: HashMap::new(),
        })
    }

    /// Runs until told to stop or until nobody is left to talk to.
    pub(super) async fn run(mut self) {
        let events = self.events.clone();
        let done = loop {
            self.flush();
            self.start_dials();
            let wait = self.next_dial_wait();
            let is_quiet = self.backlog.is_empty();
            tokio::select! {
                permit = events.reserve(), if !is_quiet => match (permit, self.backlog.pop_front()) {
                    (Ok(permit), Some(event)) => permit.send(event),
                    _ => break None,
                },
                () = events.closed(), if is_quiet => break None,
                command = self.commands.recv(), if self.backlog.len() < BACKLOG_MAX => match command {
                    Some(Command::Shutdown { done }) => break Some(done),
                    Some(command) => self.handle_command(command),
                    None => break None,
                },
                Some(fault) = self.faults.recv(), if is_quiet => self.handle_fault(fault),
                Some((attempt, addresses)) = self.resolving.next() => self.dial(&attempt, addresses),
                event = self.swarm.select_next_some(), if is_quiet => self.handle_swarm(event),
                () = tokio::time::sleep(wait) => {}
            }
        };
        self.say_goodbye().await;
        drop(self);
        if let Some(done) = done {
            let _ = done.send(());
        }
    }

    /// Closes connections in order, so that peers need not wait for a timeout to notice.
    async fn say_goodbye(&mut self) {
        let peers: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let closed = async {
            while self.swarm.connected_peers().next().is_some() {
                self.swarm.select_next_some().await;
            }
        };
        let _ = tokio::time::timeout(GOODBYE_MAX, closed).await;
    }

    fn now_ms(&self) -> u64 {
        self.swarm.behaviour().exchange.now_ms()
    }

    fn emit(&mut self, event: NetworkEvent) {
        self.backlog.push_back(event);
        self.flush();
    }

    fn refuse(&mut self, peer: Option<PublicKey>, reason: &'static str) {
        if self.backlog.is_empty() {
            let _ = self.events.try_send(NetworkEvent::Refused { peer, reason });
        }
    }

    fn flush(&mut self) {
        while let Some(event) = self.backlog.pop_front() {
            if let Err(error) = self.events.try_send(event) {
                // Full or closed: `run` waits for room, or ends.
                self.backlog.push_front(error.into_inner());
                return;
            }
        }
    }

    // ----- dialling -----

    fn next_dial_wait(&self) -> Duration {
        const NOTHING_DUE: Duration = Duration::from_secs(60);
        let now_ms = self.now_ms();
        self.dialer
            .next_due_ms()
            .map_or(NOTHING_DUE, |due_ms| Duration::from_millis(due_ms.saturating_sub(now_ms)))
    }

    fn start_dials(&mut self) {
        let now_ms = self.now_ms();
        for attempt in self.dialer.take_due(now_ms) {
            let addresses = attempt.addresses.clone();
            self.resolving.push(Box::pin(async move { (attempt, resolve(addresses).await) }));
        }
    }

    fn dial(&mut self, attempt: &Attempt, mut addresses: Vec<Multiaddr>) {
        let now_ms = self.now_ms();
        if addresses.is_empty() {
            return self.dialer.handle_failed(attempt.target, now_ms);
        }
        let options = match attempt.expects {
            Some(key) => DialOpts::peer_id(peer_id(&key))
                .condition(PeerCondition::DisconnectedAndNotDialing)
                .addresses(addresses)
                .build(),
            None => {
                let choice = attempt.failures as usize % addresses.len();
                DialOpts::unknown_peer_id().address(addresses.swap_remove(choice)).build()
            }
        };
        let connection = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => self.dialer.handle_started(attempt.target, connection),
            // libp2p leaves out the addresses that it listens on, and there was at least one.
            Err(DialError::NoAddresses) if attempt.expects.is_none() => {
                self.dialer.handle_started(attempt.target, connection);
                self.dialer.handle_own(connection);
            }
            Err(_) => self.dialer.handle_failed(attempt.target, now_ms),
        }
    }

    // ----- commands -----

    fn handle_command(&mut self, command: Command) {
        match command {
            Command::Send { peer, request_id, request } => self.send(peer, request_id, &request),
            Command::Reply { channel, response } => self.reply(channel, &response),
            Command::Disconnect { peer } => self.disconnect(peer),
            Command::Remember { peer, addresses } => self.remember(peer, &addresses),
            Command::Forget { peer } => {
                self.dialer.forget(&peer);
                let exchange = &mut self.swarm.behaviour_mut().exchange;
                exchange.gate.forget(&peer);
                exchange.refresh_share(&peer_id(&peer));
            }
            Command::Shutdown { .. } => unreachable!("the loop ends instead of handling it"),
        }
    }

    fn send(&mut self, key: PublicKey, request_id: u64, request: &Request) {
        let peer = peer_id(&key);
        let under_way = self.asked.values().filter(|asked| asked.peer == peer).count();
        let exchange = &mut self.swarm.behaviour_mut().exchange;
        let is_reachable = self.sessions.is_live(&peer) && exchange.inner.is_connected(&peer);
        let parcel = if is_reachable && under_way < REQUESTS_PER_PEER_MAX {
            wire::encode_request(request)
                .inspect_err(|error| {
                    tracing::error!(peer.id = %key, %error, "a request of this node breaks the wire format");
                })
                .ok()
                .and_then(|bytes| {
                    let hold = Hold::of(&exchange.account(&peer)?.outbound, bytes.len()).ok()?;
                    Some(Parcel::Outgoing { bytes, hold: Some(hold) })
                })
        } else {
            None
        };
        let Some(parcel) = parcel else {
            let result = Err(SendFailure::Unreachable);
            return self.emit(NetworkEvent::Outcome { peer: key, request_id, result });
        };
        let id = exchange.inner.send_request(&peer, parcel);
        self.asked.insert(id, Asked { peer, key, request_id });
    }

    fn reply(&mut self, channel: u64, response: &Response) {
        let Some(open) = self.channels.remove(&channel) else {
            tracing::debug!(channel, "an answer came after its request had lapsed");
            return;
        };
        self.channel_of.remove(&open.inbound);
        let encoded = wire::encode_response(response).inspect_err(|error| {
            tracing::error!(%error, "a response of this node breaks the wire format");
        });
        let exchange = &mut self.swarm.behaviour_mut().exchange;
        let parcel = encoded.ok().and_then(|bytes| {
            let hold = Hold::of(&exchange.account(&open.peer)?.outbound, bytes.len()).ok()?;
            Some(Parcel::Outgoing { bytes, hold: Some(hold) })
        });
        // An error here means that the request timed out this very moment.
        let _ = exchange.inner.send_response(open.sender, parcel.unwrap_or_else(busy));
    }

    fn disconnect(&mut self, key: PublicKey) {
        let now_ms = self.now_ms();
        let peer = peer_id(&key);
        if let Some(until_ms) = self.swarm.behaviour_mut().exchange.gate.cool(key, now_ms) {
            self.dialer.hold_off(key, until_ms);
        }
        // Fails only if it is not connected.
        let _ = self.swarm.disconnect_peer_id(peer);
    }

    fn remember(&mut self, key: PublicKey, addresses: &[String]) {
        let gate = &self.swarm.behaviour().exchange.gate;
        if !gate.is_remembered(&key) && gate.remembered_count() >= REMEMBERED_MAX {
            tracing::error!(peer.id = %key, max = REMEMBERED_MAX, "too many peers to remember");
            return self.refuse(Some(key), "remembered_full");
        }
        let mut usable = Vec::new();
        for text in addresses {
            match dial_address(text) {
                Ok(address) if address.peer.is_none_or(|peer| peer == key) => usable.push(address.transport),
                Ok(_) | Err(_) => self.refuse(Some(key), "peer_address"),
            }
        }
        usable.truncate(ADDRESSES_PER_PEER_MAX);
        let now_ms = self.now_ms();
        self.dialer.remember(key, usable, now_ms);
        let exchange = &mut self.swarm.behaviour_mut().exchange;
        exchange.gate.remember(key);
        exchange.refresh_share(&peer_id(&key));
    }
}

/// A refusal that is too small to be charged.
fn busy() -> Parcel<Response> {
    let bytes =
        wire::encode_response(&Response::Refused(Refusal::Busy)).expect("a refusal is far below every bound");
    Parcel::Outgoing { bytes, hold: None }
}

/// The innermost error in words: the transports wrap the system's error in ones that say nothing.
fn listen_detail(error: &TransportError<std::io::Error>) -> String {
    let TransportError::Other(error) = error else {
        return "no transport takes this address".to_owned();
    };
    let mut innermost: &(dyn std::error::Error + 'static) = error;
    let mut words = error.to_string();
    while let Some(source) = innermost.source() {
        innermost = source;
        words = source.to_string();
    }
    words
}
