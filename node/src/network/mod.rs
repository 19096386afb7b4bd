//! Authenticated connections to other nodes, and messages over them.
//!
//! One task owns a libp2p swarm. It turns connections and messages into [`NetworkEvent`]s, carries
//! out what a [`NetworkHandle`] asks, and redials. It makes no trust decision: who may do what is the
//! engine's business, and the driver tells the result through [`NetworkHandle::remember`] and
//! [`NetworkHandle::disconnect`].
//!
//! What the driver can rely on:
//! - [`NetworkHandle::send`] leads to exactly one `Outcome`, unless the network stops;
//! - `Connected` and `Disconnected` alternate per peer, and requests arrive only between them;
//! - a handle call never waits for the driver itself: the task takes commands also while the event
//!   queue is full, and stops listening to peers instead. (At [`BACKLOG_MAX`] events that nobody
//!   fetches it stops taking commands as well.)
//! - a channel is answered once. It lapses when the request times out or its connection ends;
//!   answering it then is silently in vain, since nobody could be told.
//!
//! Every queue and table has a bound in this file or in [`NetworkLimits`]; bytes are counted in
//! `budget`. A peer that breaks the wire format is reported as `Refused` and its connections are
//! closed; a stranger also cools down (`gate`).
//!
//! SPEC §10: peer messages and their framing.

mod behaviour;
mod budget;
mod codec;
mod convert;
mod dialing;
mod gate;
mod sessions;
mod task;

#[cfg(test)]
mod tests;

use std::time::Duration;

use hashpact_core::event::SendFailure;
use hashpact_protocol::keys::{PublicKey, SecretKey};
use hashpact_protocol::limits::{WIRE_REQUEST_MAX_BYTES, WIRE_RESPONSE_MAX_BYTES};
use hashpact_protocol::wire::{Request, Response};
use tokio::sync::{mpsc, oneshot};

pub use convert::{AddressError, PeerIdError};

/// Checks a multiaddress of the configuration: one to listen on or, with `/p2p/…` or a name, to dial.
///
/// # Errors
/// What is wrong with it.
pub fn check_address(text: &str, role: AddressRole) -> Result<(), AddressError> {
    match role {
        AddressRole::Listen => convert::listen_address(text).map(drop),
        AddressRole::Dial => convert::dial_address(text).map(drop),
    }
}

/// What a configured multiaddress is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressRole {
    /// To listen on.
    Listen,
    /// To dial, or for others to dial.
    Dial,
}

/// Events that wait for the driver in the channel.
const EVENTS_MAX: usize = 256;
/// Commands that wait for the task.
const COMMANDS_MAX: usize = 64;
/// Events that wait beyond the channel before the task takes no more commands.
pub(crate) const BACKLOG_MAX: usize = 8192;
/// Our requests to one peer that are under way at once; one more fails at once.
pub(crate) const REQUESTS_PER_PEER_MAX: usize = 16;
/// Unanswered requests of one peer; one more is refused as busy.
const CHANNELS_PER_PEER_MAX: usize = 32;
/// Unanswered requests of all peers.
const CHANNELS_MAX: usize = 4096;
/// Peers that are remembered.
const REMEMBERED_MAX: usize = 2048;

/// Bounds that an operator may want to change. `Default` suits a consortium of 200 nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkLimits {
    /// Longest wait for a response, and for all parts of an incoming request. Default 15 s.
    pub request_timeout: Duration,
    /// Incoming connections that are still shaking hands. Default 32.
    pub pending_inbound_max: u32,
    /// Incoming connections in all. Default 256.
    pub established_inbound_max: u32,
    /// Of those, connections of peers that nobody vouched for. Default 64.
    pub strangers_max: usize,
    /// Bytes of messages in flight in one direction, for all peers. Default 256 MiB.
    pub in_flight_total_bytes: usize,
    /// The same for one remembered peer. Default 16 MiB.
    pub in_flight_peer_bytes: usize,
    /// The same for any other peer: one largest request and one largest response. Default 2.5 MiB.
    pub in_flight_stranger_bytes: usize,
}

impl Default for NetworkLimits {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(15),
            pending_inbound_max: 32,
            established_inbound_max: 256,
            strangers_max: 64,
            in_flight_total_bytes: 256 * 1024 * 1024,
            in_flight_peer_bytes: 16 * 1024 * 1024,
            in_flight_stranger_bytes: WIRE_REQUEST_MAX_BYTES + WIRE_RESPONSE_MAX_BYTES,
        }
    }
}

// By default, strangers together cannot use up the total.
const _: () = assert!(64 * (WIRE_REQUEST_MAX_BYTES + WIRE_RESPONSE_MAX_BYTES) < 256 * 1024 * 1024);

/// What the network needs to start.
#[derive(Debug)]
pub struct NetworkConfig<'a> {
    /// The node's peer key.
    pub peer_key: &'a SecretKey,
    /// Multiaddresses to listen on.
    pub listen: Vec<String>,
    /// Multiaddresses to dial from the start, with or without `/p2p/`.
    pub bootstrap: Vec<String>,
    /// Bounds.
    pub limits: NetworkLimits,
}

/// Why the network did not start.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// An address of the configuration is unusable.
    #[error("{setting}: bad address \"{value}\": {error}")]
    Address {
        /// Which setting: `listen` or `bootstrap`.
        setting: &'static str,
        /// The value as configured.
        value: String,
        /// The broken rule.
        error: AddressError,
    },
    /// The operating system does not let us listen there.
    #[error("listen: cannot listen on \"{value}\": {detail}")]
    Listen {
        /// The address as configured.
        value: String,
        /// The system's words.
        detail: String,
    },
    /// The encryption layer could not be set up.
    #[error("cannot set up the transports: {0}")]
    Transport(String),
}

/// Something that happened in the network.
#[derive(Debug)]
pub enum NetworkEvent {
    /// The node listens here now.
    Listening {
        /// A multiaddress without `/p2p/`.
        address: String,
    },
    /// A peer's session begins.
    Connected {
        /// Who, proven by the handshake.
        peer: PublicKey,
    },
    /// A peer's session ended.
    Disconnected {
        /// Who.
        peer: PublicKey,
    },
    /// A peer asks.
    Inbound {
        /// Who.
        peer: PublicKey,
        /// Where the answer goes.
        channel: u64,
        /// What.
        request: Request,
    },
    /// What became of a request of ours.
    Outcome {
        /// Whom we asked.
        peer: PublicKey,
        /// The id given to [`NetworkHandle::send`].
        request_id: u64,
        /// The answer, or why there is none.
        result: Result<Response, SendFailure>,
    },
    /// A connection or message was turned away. For counting; dropped when nobody keeps up.
    Refused {
        /// Who, if the handshake got far enough.
        peer: Option<PublicKey>,
        /// Fixed label of the rule.
        reason: &'static str,
    },
}

/// The network has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the network has stopped")]
pub struct NetworkStopped;

#[derive(Debug)]
enum Command {
    Send { peer: PublicKey, request_id: u64, request: Request },
    Reply { channel: u64, response: Response },
    Disconnect { peer: PublicKey },
    Remember { peer: PublicKey, addresses: Vec<String> },
    Forget { peer: PublicKey },
    Shutdown { done: oneshot::Sender<()> },
}

/// Starts the network.
#[derive(Debug)]
pub struct Network;

impl Network {
    /// Checks the configuration, opens the listening sockets and starts the task. Must be called
    /// within a Tokio runtime. The task ends after [`NetworkHandle::shutdown`], or when all handles
    /// or the receiver are dropped.
    ///
    /// # Errors
    /// [`NetworkError`] names the address and the rule it breaks, or what the system said.
    pub fn start(
        config: NetworkConfig<'_>,
    ) -> Result<(NetworkHandle, mpsc::Receiver<NetworkEvent>), NetworkError> {
        let (commands, command_queue) = mpsc::channel(COMMANDS_MAX);
        let (events, event_queue) = mpsc::channel(EVENTS_MAX);
        let task = task::Task::new(&config, command_queue, events)?;
        tokio::spawn(task.run());
        Ok((NetworkHandle { commands }, event_queue))
    }
}

/// Asks the network to do something. Cheap to clone. No call waits for a peer.
#[derive(Debug, Clone)]
pub struct NetworkHandle {
    commands: mpsc::Sender<Command>,
}

impl NetworkHandle {
    async fn command(&self, command: Command) -> Result<(), NetworkStopped> {
        self.commands.send(command).await.map_err(|_| NetworkStopped)
    }

    /// Sends a request; what becomes of it returns as one `Outcome`. To a peer that is not
    /// connected, or beyond a bound, it fails as unreachable at once.
    ///
    /// # Errors
    /// [`NetworkStopped`].
    pub async fn send(
        &self,
        peer: PublicKey,
        request_id: u64,
        request: Request,
    ) -> Result<(), NetworkStopped> {
        self.command(Command::Send { peer, request_id, request }).await
    }

    /// Answers an incoming request. A response that does not fit the budget goes out as `Busy`.
    ///
    /// # Errors
    /// [`NetworkStopped`].
    pub async fn reply(&self, channel: u64, response: Response) -> Result<(), NetworkStopped> {
        self.command(Command::Reply { channel, response }).await
    }

    /// Closes all connections to a peer. Unless it is remembered, it may not come back for a while.
    ///
    /// # Errors
    /// [`NetworkStopped`].
    pub async fn disconnect(&self, peer: PublicKey) -> Result<(), NetworkStopped> {
        self.command(Command::Disconnect { peer }).await
    }

    /// Vouches for a peer: it gets a member's share of the bounds, and is dialled at these
    /// multiaddresses (perhaps none) whenever it is not connected. Replaces earlier addresses.
    /// Unusable ones are counted as `Refused` and skipped.
    ///
    /// # Errors
    /// [`NetworkStopped`].
    pub async fn remember(&self, peer: PublicKey, addresses: Vec<String>) -> Result<(), NetworkStopped> {
        self.command(Command::Remember { peer, addresses }).await
    }

    /// Takes back [`NetworkHandle::remember`]. Open connections stay; see
    /// [`NetworkHandle::disconnect`].
    ///
    /// # Errors
    /// [`NetworkStopped`].
    pub async fn forget(&self, peer: PublicKey) -> Result<(), NetworkStopped> {
        self.command(Command::Forget { peer }).await
    }

    /// Says goodbye to all peers and stops. Returns when it is done, or was stopped before.
    pub async fn shutdown(&self) {
        let (done, stopped) = oneshot::channel();
        if self.command(Command::Shutdown { done }).await.is_ok() {
            // An error means that the task ended on its own meanwhile: just as good.
            let _ = stopped.await;
        }
    }
}
