//! A libp2p peer that writes exactly the bytes it was given.
//!
//! Its codec adds no length and checks nothing, so frames can be wrong in any way. One attack is one
//! connection with one stream; what the node did about it is all that is reported.

use anyhow::{Context as _, Result, bail};
use libp2p::futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::request_response::{self, Codec, Message, OutboundFailure, ProtocolSupport};
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, StreamProtocol, Swarm, SwarmBuilder, identity, noise, tcp, yamux};
use std::io;
use std::time::{Duration, Instant};

/// No attack takes longer; one that does has hung.
const DEADLINE: Duration = Duration::from_secs(40);
/// Most of an answer that is read.
const ANSWER_MAX_BYTES: u64 = 4 * 1024 * 1024;

/// One hostile connection.
#[derive(Debug, Clone)]
pub(super) struct Attack {
    address: String,
    seed: [u8; 32],
    bytes: Vec<u8>,
    /// What it speaks, what it prefers first.
    pub(super) protocols: &'static [&'static str],
}

impl Attack {
    pub(super) fn new(address: &str, seed: &[u8; 32], bytes: Vec<u8>) -> Self {
        Self { address: address.to_owned(), seed: *seed, bytes, protocols: &["/hashpact/sync/1"] }
    }
}

/// What the node did; words are for failures of the test.
#[derive(Debug)]
#[allow(dead_code, reason = "the words are shown by Debug when a case fails")]
pub(super) enum Seen {
    /// It answered with these bytes.
    Answer(Vec<u8>),
    /// It closed the stream without a byte.
    Nothing,
    /// It closed the connection, or the stream broke.
    Closed(String),
    /// It does not speak the protocol.
    Unsupported,
    /// It did not let the peer in.
    Refused(String),
}

/// Writes bytes and reads to the end, whatever they are.
#[derive(Debug, Clone, Default)]
struct Raw;

impl Codec for Raw {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: libp2p::futures::AsyncRead + Unpin + Send,
    {
        read_all(io).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: libp2p::futures::AsyncRead + Unpin + Send,
    {
        read_all(io).await
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, bytes: Vec<u8>) -> io::Result<()>
    where
        T: libp2p::futures::AsyncWrite + Unpin + Send,
    {
        io.write_all(&bytes).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, bytes: Vec<u8>) -> io::Result<()>
    where
        T: libp2p::futures::AsyncWrite + Unpin + Send,
    {
        io.write_all(&bytes).await
    }
}

async fn read_all<T: libp2p::futures::AsyncRead + Unpin>(io: &mut T) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io.take(ANSWER_MAX_BYTES).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

fn swarm(
    seed: &[u8; 32],
    protocols: &'static [&'static str],
) -> Result<Swarm<request_response::Behaviour<Raw>>> {
    let key = identity::Keypair::ed25519_from_bytes(*seed).context("seed")?;
    let behaviour = request_response::Behaviour::<Raw>::new(
        protocols.iter().map(|protocol| (StreamProtocol::new(protocol), ProtocolSupport::Full)),
        request_response::Config::default().with_request_timeout(DEADLINE),
    );
    Ok(SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)
        .context("transports")?
        .with_quic()
        .with_behaviour(|_| behaviour)
        .unwrap_or_else(|never| match never {})
        .with_swarm_config(|config| config.with_idle_connection_timeout(DEADLINE))
        .build())
}

/// Connects, writes, and waits for what comes of it.
pub(super) async fn attack(attack: &Attack) -> Result<Seen> {
    let mut swarm = swarm(&attack.seed, attack.protocols)?;
    swarm.dial(attack.address.parse::<Multiaddr>()?)?;
    let run = async {
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::ConnectionEstablished { peer_id, .. } => {
                    swarm.behaviour_mut().send_request(&peer_id, attack.bytes.clone());
                }
                SwarmEvent::OutgoingConnectionError { error, .. } => return Seen::Refused(error.to_string()),
                SwarmEvent::ConnectionClosed { cause, .. } => return Seen::Closed(format!("{cause:?}")),
                SwarmEvent::Behaviour(request_response::Event::Message {
                    message: Message::Response { response, .. },
                    ..
                }) => return if response.is_empty() { Seen::Nothing } else { Seen::Answer(response) },
                SwarmEvent::Behaviour(request_response::Event::OutboundFailure { error, .. }) => {
                    return match error {
                        OutboundFailure::UnsupportedProtocols => Seen::Unsupported,
                        other => Seen::Closed(other.to_string()),
                    };
                }
                _ => {}
            }
        }
    };
    tokio::time::timeout(DEADLINE, run).await.with_context(|| format!("an attack hung: {attack:?}"))
}

/// Connects and says nothing; how long the node keeps the connection.
pub(super) async fn stay_silent(address: &str, seed: &[u8; 32], patience: Duration) -> Result<Duration> {
    let mut swarm = swarm(seed, &["/hashpact/sync/1"])?;
    swarm.dial(address.parse::<Multiaddr>()?)?;
    let mut since = None;
    let run = async {
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::ConnectionEstablished { .. } => since = Some(Instant::now()),
                SwarmEvent::ConnectionClosed { .. } => {
                    return Ok(since.context("closed before it was open")?.elapsed());
                }
                SwarmEvent::OutgoingConnectionError { error, .. } => bail!("turned away: {error}"),
                _ => {}
            }
        }
    };
    tokio::time::timeout(patience, run).await.context("the node kept a silent stranger")?
}
