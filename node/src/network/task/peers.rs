//! What peers do, seen through the swarm: connections that come and go, messages, and broken rules.

use hashpact_core::event::SendFailure;
use hashpact_protocol::keys::PublicKey;
use hashpact_protocol::wire::{Request, Response};
use libp2p::request_response::{
    self, InboundFailure, InboundRequestId, Message, OutboundFailure, OutboundRequestId, ResponseChannel,
};
use libp2p::swarm::{ConnectionDenied, ConnectionId, DialError, ListenError, SwarmEvent};
use libp2p::{PeerId, connection_limits};

use super::{Channel, Task, busy};
use crate::network::behaviour::BehaviourEvent;
use crate::network::budget::Fault;
use crate::network::codec::{FrameError, Parcel};
use crate::network::convert::{peer_id, public_key};
use crate::network::gate::{Denial, Opener};
use crate::network::{CHANNELS_MAX, CHANNELS_PER_PEER_MAX, NetworkEvent};

/// Consecutive timeouts that prove a connection dead.
const TIMEOUTS_MAX: u32 = 2;

type SyncEvent = request_response::Event<Parcel<Request>, Parcel<Response>>;

impl Task {
    pub(super) fn handle_fault(&mut self, fault: Fault) {
        let now_ms = self.now_ms();
        tracing::warn!(peer.id = %fault.peer, rule = fault.rule, "a peer broke the wire format");
        self.refuse(Some(fault.peer), fault.rule);
        if fault.rule == "bytes_in_flight" {
            // The stream is gone already; too much at once is no reason to lose the others.
            return;
        }
        if fault.is_deliberate {
            self.swarm.behaviour_mut().exchange.gate.cool(fault.peer, now_ms);
        }
        let _ = self.swarm.disconnect_peer_id(peer_id(&fault.peer));
    }

    pub(super) fn handle_swarm(&mut self, event: SwarmEvent<BehaviourEvent>) {
        let now_ms = self.now_ms();
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Exchange(event)) => self.handle_exchange(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                let opener = if endpoint.is_dialer() { Opener::Us } else { Opener::Them };
                self.handle_opened(peer_id, connection_id, opener, now_ms);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, .. } => {
                self.timeouts.remove(&connection_id);
                if let Some(key) = self.sessions.handle_closed(&peer_id, connection_id) {
                    self.handle_session_end(peer_id, key, now_ms);
                }
            }
            SwarmEvent::IncomingConnectionError { error, peer_id, .. } => {
                let peer = peer_id.and_then(|peer| public_key(&peer).ok());
                self.refuse(peer, listen_error_label(&error));
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                tracing::debug!(%error, "a dial failed");
                if matches!(error, DialError::LocalPeerId { .. }) {
                    self.dialer.handle_own(connection_id);
                } else {
                    self.dialer.handle_connection_failed(connection_id, now_ms);
                }
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                self.emit(NetworkEvent::Listening { address: address.to_string() });
            }
            SwarmEvent::ListenerClosed { addresses, reason: Err(error), .. } => {
                tracing::error!(?addresses, %error, "a listening socket failed");
            }
            SwarmEvent::ListenerError { error, .. } => {
                tracing::warn!(%error, "a listening socket reports a passing error");
            }
            _ => {}
        }
    }

    fn handle_opened(&mut self, peer: PeerId, connection: ConnectionId, opener: Opener, now_ms: u64) {
        let Some(key) = self.swarm.behaviour().exchange.account(&peer).map(|account| account.peer) else {
            // The gate opens an account for whoever it lets in; without one, it is already closed.
            return;
        };
        let opened = self.sessions.handle_opened(peer, key, connection, opener, now_ms);
        if opened.ends_previous {
            self.handle_session_end(peer, key, now_ms);
        }
        self.dialer.handle_opened(key, connection, opener == Opener::Them, now_ms);
        for stale in opened.close {
            self.swarm.close_connection(stale);
        }
        if opened.begins {
            self.emit(NetworkEvent::Connected { peer: key });
        }
    }

    /// Drops what waits for the peer and tells the driver.
    fn handle_session_end(&mut self, peer: PeerId, key: PublicKey, now_ms: u64) {
        self.channels.retain(|_, channel| channel.peer != peer);
        let channels = &self.channels;
        self.channel_of.retain(|_, channel| channels.contains_key(channel));
        self.dialer.handle_disconnected(key, now_ms);
        if let Some(until_ms) = self.swarm.behaviour().exchange.gate.cooling_until(&key, now_ms) {
            self.dialer.hold_off(key, until_ms);
        }
        self.emit(NetworkEvent::Disconnected { peer: key });
    }

    fn handle_exchange(&mut self, event: SyncEvent) {
        match event {
            SyncEvent::Message { peer, connection_id, message } => {
                self.timeouts.remove(&connection_id);
                match message {
                    Message::Request { request_id, request, channel } => {
                        self.handle_request(peer, request_id, request, channel);
                    }
                    Message::Response { request_id, response: Parcel::Incoming { message, .. } } => {
                        self.handle_outcome(request_id, Ok(message));
                    }
                    // The codec yields nothing but incoming parcels.
                    Message::Response { request_id, response: Parcel::Outgoing { .. } } => {
                        self.handle_outcome(request_id, Err(SendFailure::Malformed));
                    }
                }
            }
            SyncEvent::OutboundFailure { connection_id, request_id, error, .. } => {
                let failure = send_failure(&error);
                self.handle_outcome(request_id, Err(failure));
                if failure == SendFailure::TimedOut {
                    let timeouts = self.timeouts.entry(connection_id).or_default();
                    *timeouts += 1;
                    if *timeouts >= TIMEOUTS_MAX {
                        self.swarm.close_connection(connection_id);
                    }
                }
            }
            SyncEvent::InboundFailure { request_id, error, .. } => {
                if let Some(channel) = self.channel_of.remove(&request_id) {
                    self.channels.remove(&channel);
                }
                if matches!(error, InboundFailure::Timeout) {
                    tracing::debug!("an incoming request lapsed before it was answered");
                }
            }
            SyncEvent::ResponseSent { .. } => {}
        }
    }

    fn handle_request(
        &mut self,
        peer: PeerId,
        inbound: InboundRequestId,
        parcel: Parcel<Request>,
        sender: ResponseChannel<Parcel<Response>>,
    ) {
        let (Some(key), Parcel::Incoming { message, hold }) = (self.sessions.key(&peer), parcel) else {
            // From a session that is over. Dropping the sender closes the stream.
            return;
        };
        let open = self.channels.values().filter(|channel| channel.peer == peer).count();
        if open >= CHANNELS_PER_PEER_MAX || self.channels.len() >= CHANNELS_MAX {
            let _ = self.swarm.behaviour_mut().exchange.inner.send_response(sender, busy());
            return self.refuse(Some(key), "requests_unanswered");
        }
        let channel = self.next_channel;
        self.next_channel += 1;
        self.channels.insert(channel, Channel { peer, inbound, sender, _hold: hold });
        self.channel_of.insert(inbound, channel);
        self.emit(NetworkEvent::Inbound { peer: key, channel, request: message });
    }

    fn handle_outcome(&mut self, id: OutboundRequestId, result: Result<Response, SendFailure>) {
        if let Some(asked) = self.asked.remove(&id) {
            self.emit(NetworkEvent::Outcome { peer: asked.key, request_id: asked.request_id, result });
        }
    }
}

fn send_failure(error: &OutboundFailure) -> SendFailure {
    match error {
        OutboundFailure::Timeout => SendFailure::TimedOut,
        OutboundFailure::Io(error) => {
            let frame = error.get_ref().and_then(|inner| inner.downcast_ref::<FrameError>());
            if frame.is_some_and(FrameError::is_malformed) {
                SendFailure::Malformed
            } else {
                SendFailure::Unreachable
            }
        }
        OutboundFailure::DialFailure
        | OutboundFailure::ConnectionClosed
        | OutboundFailure::UnsupportedProtocols => SendFailure::Unreachable,
    }
}

fn listen_error_label(error: &ListenError) -> &'static str {
    match error {
        ListenError::Denied { cause } => denied_label(cause),
        ListenError::LocalPeerId { .. } => Denial::OwnId.label(),
        ListenError::Aborted | ListenError::WrongPeerId { .. } | ListenError::Transport(_) => {
            "handshake_failed"
        }
    }
}

fn denied_label(cause: &ConnectionDenied) -> &'static str {
    if let Some(denial) = cause.downcast_ref::<Denial>() {
        denial.label()
    } else if cause.downcast_ref::<connection_limits::Exceeded>().is_some() {
        "connection_limit"
    } else {
        "connection_denied"
    }
}
