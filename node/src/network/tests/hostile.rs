//! Peers that speak the transports properly and then write what they like.

use super::super::codec::PROTOCOL;
use super::super::convert::{keypair, peer_id};
use super::*;
use libp2p::futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use libp2p::request_response::{self, ProtocolSupport};
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, StreamProtocol, Swarm, SwarmBuilder, noise, tcp, yamux};
use std::io;

/// Writes the given bytes as they are, and reads whatever comes back.
#[derive(Clone, Default)]
struct RawCodec;

impl request_response::Codec for RawCodec {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        let mut bytes = Vec::new();
        io.take(1 << 20).read_to_end(&mut bytes).await?;
        Ok(bytes)
    }

    async fn read_response<T>(&mut self, protocol: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        self.read_request(protocol, io).await
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, bytes: Vec<u8>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&bytes).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, bytes: Vec<u8>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&bytes).await
    }
}

type Raw = Swarm<request_response::Behaviour<RawCodec>>;

/// A peer that speaks the transports but not our codec, dials `to` and sends these requests.
fn raw(number: u8, protocol: StreamProtocol, to: &Node, requests: Vec<Vec<u8>>) -> Raw {
    let mut swarm = SwarmBuilder::with_existing_identity(keypair(&[number; 32]))
        .with_tokio()
        .with_tcp(tcp::Config::new(), noise::Config::new, yamux::Config::default)
        .expect("the transport builds")
        .with_quic()
        .with_behaviour(|_| {
            let protocols = [(protocol, ProtocolSupport::Full)];
            request_response::Behaviour::new(protocols, request_response::Config::default())
        })
        .expect("the behaviour builds")
        .with_swarm_config(|config| config.with_idle_connection_timeout(DEADLINE))
        .build();
    let address: Multiaddr = to.address.parse().expect("our own text");
    if requests.is_empty() {
        swarm.dial(address.clone()).expect("dialling starts");
    }
    for request in requests {
        let addresses = vec![address.clone()];
        swarm.behaviour_mut().send_request_with_addresses(&peer_id(&to.key), request, addresses);
    }
    swarm
}

/// Lets a raw peer run on its own, answering every request with `answer`.
fn run_raw(mut swarm: Raw, answer: Vec<u8>) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            let event = swarm.select_next_some().await;
            if let SwarmEvent::Behaviour(request_response::Event::Message {
                message: request_response::Message::Request { channel, .. },
                ..
            }) = event
            {
                let _ = swarm.behaviour_mut().send_response(channel, answer.clone());
            }
        }
    })
}

async fn check_bad_request(listen: &str, bytes: Vec<u8>, rule: &'static str) {
    let mut south = node(1, listen, &[]).await;
    let key = key_of(7);
    let running = run_raw(raw(7, PROTOCOL, &south, vec![bytes]), Vec::new());
    south.connected(key).await;
    assert_eq!(south.refused(rule).await, Some(key));
    south.disconnected(key).await;
    running.abort();
}

#[tokio::test]
async fn an_oversized_length_closes_the_connection() {
    let over = u32::try_from(WIRE_REQUEST_MAX_BYTES).expect("fits") + 1;
    check_bad_request(TCP, over.to_be_bytes().to_vec(), "frame_too_long").await;
    check_bad_request(QUIC, u32::MAX.to_be_bytes().to_vec(), "frame_too_long").await;
}

#[tokio::test]
async fn a_truncated_body_closes_the_connection() {
    check_bad_request(TCP, vec![0, 0, 0, 9, 1, 1], "frame_truncated").await;
    check_bad_request(QUIC, vec![0, 0, 0, 9, 1, 1], "frame_truncated").await;
}

#[tokio::test]
async fn a_garbage_body_closes_the_connection() {
    check_bad_request(TCP, vec![0, 0, 0, 4, 9, 9, 9, 9], "message_malformed").await;
    check_bad_request(QUIC, vec![0, 0, 0, 1, 1, 0], "frame_trailing_bytes").await;
}

async fn check_bad_response(answer: Vec<u8>, failure: SendFailure, rule: &'static str) {
    let mut south = node(1, TCP, &[]).await;
    let key = key_of(7);
    let running = run_raw(raw(7, PROTOCOL, &south, vec![]), answer);
    south.connected(key).await;
    south.send(key, 1, Request::Heads).await;
    let mut seen = (None, None);
    while seen.0.is_none() || seen.1.is_none() {
        south
            .until("outcome and refusal", |event| match event {
                NetworkEvent::Outcome { result, .. } => {
                    seen.0 = Some(result);
                    Some(())
                }
                NetworkEvent::Refused { peer, reason } => {
                    seen.1 = Some((peer, reason));
                    Some(())
                }
                _ => None,
            })
            .await;
    }
    assert_eq!(seen, (Some(Err(failure)), Some((Some(key), rule))));
    running.abort();
}

#[tokio::test]
async fn bad_responses_are_told_apart() {
    let over = u32::try_from(WIRE_RESPONSE_MAX_BYTES).expect("fits") + 1;
    check_bad_response(over.to_be_bytes().to_vec(), SendFailure::Malformed, "frame_too_long").await;
    check_bad_response(vec![0, 0, 0, 2, 9, 9], SendFailure::Malformed, "message_malformed").await;
    check_bad_response(vec![0, 0, 0, 2, 9], SendFailure::Unreachable, "frame_truncated").await;
}

#[tokio::test]
async fn another_protocol_name_is_unreachable() {
    let mut south = node(1, TCP, &[]).await;
    let key = key_of(7);
    let running = run_raw(raw(7, StreamProtocol::new("/hashpact/sync/2"), &south, vec![]), Vec::new());
    south.connected(key).await;
    south.send(key, 1, Request::Heads).await;
    assert_eq!(south.outcome(1).await, Err(SendFailure::Unreachable));
    running.abort();
}

#[tokio::test]
async fn requests_that_nobody_answers_are_bounded_per_peer() {
    let mut south = node(1, TCP, &[]).await;
    let requests = vec![vec![0, 0, 0, 1, 1]; CHANNELS_PER_PEER_MAX + 1];
    let running = run_raw(raw(7, PROTOCOL, &south, requests), Vec::new());
    let mut asked = 0;
    south
        .until("one request too many", |event| match event {
            NetworkEvent::Inbound { .. } => {
                asked += 1;
                None
            }
            NetworkEvent::Refused { reason: "requests_unanswered", .. } => Some(()),
            _ => None,
        })
        .await;
    assert_eq!(asked, CHANNELS_PER_PEER_MAX);
    running.abort();
}
