//! Networks over loopback: real sockets and real handshakes. Peers that misbehave are in `hostile`.

mod hostile;

use super::convert::peer_id;
use super::*;
use hashpact_protocol::wire::{
    Announce, HeadNote, Heads, RangeChunk, Refusal, Stored, WireEntry, WirePayload,
};

/// No wait in these tests is longer; a longer one is a failure.
const DEADLINE: Duration = Duration::from_secs(20);
const TCP: &str = "/ip4/127.0.0.1/tcp/0";
const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";

struct Node {
    key: PublicKey,
    handle: NetworkHandle,
    events: mpsc::Receiver<NetworkEvent>,
    address: String,
}

fn start(
    number: u8,
    listen: &str,
    bootstrap: &[String],
    limits: NetworkLimits,
) -> Result<(PublicKey, NetworkHandle, mpsc::Receiver<NetworkEvent>), NetworkError> {
    let secret = SecretKey::from_seed([number; 32]);
    let config = NetworkConfig {
        peer_key: &secret,
        listen: vec![listen.to_owned()],
        bootstrap: bootstrap.to_vec(),
        limits,
    };
    let (handle, events) = Network::start(config)?;
    Ok((secret.public(), handle, events))
}

async fn node_with(number: u8, listen: &str, bootstrap: &[String], limits: NetworkLimits) -> Node {
    listening(start(number, listen, bootstrap, limits).expect("it starts")).await
}

async fn listening(started: (PublicKey, NetworkHandle, mpsc::Receiver<NetworkEvent>)) -> Node {
    let (key, handle, events) = started;
    let mut node = Node { key, handle, events, address: String::new() };
    node.address = node
        .until("listening", |event| match event {
            NetworkEvent::Listening { address } => Some(address),
            _ => None,
        })
        .await;
    node
}

async fn node(number: u8, listen: &str, bootstrap: &[String]) -> Node {
    node_with(number, listen, bootstrap, NetworkLimits::default()).await
}

impl Node {
    /// Waits for an event that `pick` takes; others are passed over.
    async fn until<T>(&mut self, what: &str, mut pick: impl FnMut(NetworkEvent) -> Option<T>) -> T {
        let wait = async {
            loop {
                let event = self.events.recv().await.expect("the network runs");
                if let Some(picked) = pick(event) {
                    return picked;
                }
            }
        };
        tokio::time::timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("waited in vain for: {what}"))
    }

    async fn connected(&mut self, to: PublicKey) {
        self.until("connected", |event| match event {
            NetworkEvent::Connected { peer } if peer == to => Some(()),
            _ => None,
        })
        .await;
    }

    async fn disconnected(&mut self, from: PublicKey) {
        self.until("disconnected", |event| match event {
            NetworkEvent::Disconnected { peer } if peer == from => Some(()),
            _ => None,
        })
        .await;
    }

    async fn inbound(&mut self) -> (PublicKey, u64, Request) {
        self.until("inbound", |event| match event {
            NetworkEvent::Inbound { peer, channel, request } => Some((peer, channel, request)),
            _ => None,
        })
        .await
    }

    async fn outcome(&mut self, id: u64) -> Result<Response, SendFailure> {
        self.until("outcome", |event| match event {
            NetworkEvent::Outcome { request_id, result, .. } if request_id == id => Some(result),
            _ => None,
        })
        .await
    }

    async fn refused(&mut self, rule: &'static str) -> Option<PublicKey> {
        self.until(rule, |event| match event {
            NetworkEvent::Refused { peer, reason } if reason == rule => Some(peer),
            _ => None,
        })
        .await
    }

    async fn send(&self, to: PublicKey, id: u64, request: Request) {
        self.handle.send(to, id, request).await.expect("the network runs");
    }

    async fn reply(&self, channel: u64, response: Response) {
        self.handle.reply(channel, response).await.expect("the network runs");
    }
}

/// A request and a response of about half their largest size.
fn large_messages() -> (Request, Response) {
    let head = HeadNote { origin: "hearth-0011223344556677/north/0".to_owned(), note: vec![b'x'; 10_000] };
    let request = Request::Announce(Announce { notes: vec![head; 25], priority: vec![] });
    let payload = WirePayload::Present { salt: [3; 32], padded: vec![7; 65_536] };
    let entries = vec![WireEntry { leaf: vec![1; 136], payload }; 15];
    (request, Response::Range(RangeChunk { start: 0, entries, cover: vec![[2; 32]; 5] }))
}

async fn check_round_trips(listen: &str) {
    let mut south = node(1, listen, &[]).await;
    let mut north = node(2, listen, std::slice::from_ref(&south.address)).await;
    north.connected(south.key).await;
    south.connected(north.key).await;
    let (large_request, large_response) = large_messages();

    north.send(south.key, 7, Request::Heads).await;
    let (peer, channel, request) = south.inbound().await;
    assert_eq!((peer, request), (north.key, Request::Heads));
    // A stranger may send only so much; large messages are for remembered peers.
    south.handle.remember(north.key, vec![]).await.expect("runs");
    north.handle.remember(south.key, vec![]).await.expect("runs");
    south.reply(channel, Response::Heads(Heads::default())).await;
    assert_eq!(north.outcome(7).await, Ok(Response::Heads(Heads::default())));

    // The other way round over the same connection, and large.
    south.send(north.key, 8, large_request.clone()).await;
    let (peer, channel, request) = north.inbound().await;
    assert_eq!((peer, request), (south.key, large_request));
    north.reply(channel, large_response.clone()).await;
    assert_eq!(south.outcome(8).await, Ok(large_response));

    // Several at once, answered in the opposite order.
    for id in 10..20 {
        let stored = Stored { log: [0; 32], size: id, root: [0; 32], ahead: Vec::new() };
        north.send(south.key, id, Request::Stored(stored)).await;
    }
    let mut open = Vec::new();
    for _ in 10..20 {
        let (_, channel, request) = south.inbound().await;
        let Request::Stored(stored) = request else { panic!("unexpected {request:?}") };
        open.push((channel, stored.size));
    }
    for (channel, held) in open.into_iter().rev() {
        south.reply(channel, Response::Refused(Refusal::BeyondSize { held })).await;
    }
    let mut outcomes = std::collections::BTreeSet::new();
    while outcomes.len() < 10 {
        let (id, result) = north
            .until("outcomes", |event| match event {
                NetworkEvent::Outcome { request_id, result, .. } => Some((request_id, result)),
                _ => None,
            })
            .await;
        assert_eq!(result, Ok(Response::Refused(Refusal::BeyondSize { held: id })), "answers find their ids");
        outcomes.insert(id);
    }
    north.handle.shutdown().await;
    south.disconnected(north.key).await;
    assert_eq!(north.handle.send(south.key, 1, Request::Heads).await, Err(NetworkStopped));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_and_responses_travel_both_ways_over_tcp() {
    check_round_trips(TCP).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_and_responses_travel_both_ways_over_quic() {
    check_round_trips(QUIC).await;
}

#[tokio::test]
async fn requests_that_cannot_go_out_fail_at_once_and_once() {
    let mut south = node(1, TCP, &[]).await;
    let mut north = node(2, TCP, std::slice::from_ref(&south.address)).await;
    north.connected(south.key).await;
    south.connected(north.key).await;
    north.send(key_of(9), 1, Request::Heads).await;
    assert_eq!(north.outcome(1).await, Err(SendFailure::Unreachable));
    north.send(north.key, 2, Request::Heads).await;
    assert_eq!(north.outcome(2).await, Err(SendFailure::Unreachable));

    let max = u64::try_from(REQUESTS_PER_PEER_MAX).expect("small");
    for id in 100..=100 + max {
        north.send(south.key, id, Request::Heads).await;
    }
    assert_eq!(north.outcome(100 + max).await, Err(SendFailure::Unreachable), "one past the bound");
    for _ in 0..max {
        south.inbound().await;
    }
    // The receiver leaves with all of them unanswered.
    south.handle.shutdown().await;
    let mut ids: Vec<u64> = Vec::new();
    while ids.len() < REQUESTS_PER_PEER_MAX {
        let (id, result) = north
            .until("the rest", |event| match event {
                NetworkEvent::Outcome { request_id, result, .. } => Some((request_id, result)),
                _ => None,
            })
            .await;
        assert_eq!(result, Err(SendFailure::Unreachable));
        ids.push(id);
    }
    ids.sort_unstable();
    assert_eq!(ids, (100..100 + max).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_silent_peer_times_out_and_twice_in_a_row_loses_the_connection() {
    let limits = NetworkLimits { request_timeout: Duration::from_millis(300), ..NetworkLimits::default() };
    let south = node(1, TCP, &[]).await;
    let mut north = node_with(2, TCP, std::slice::from_ref(&south.address), limits).await;
    north.connected(south.key).await;
    north.send(south.key, 1, Request::Heads).await;
    assert_eq!(north.outcome(1).await, Err(SendFailure::TimedOut));
    north.send(south.key, 2, Request::Heads).await;
    assert_eq!(north.outcome(2).await, Err(SendFailure::TimedOut));
    north.disconnected(south.key).await;
    north.connected(south.key).await;
}

#[tokio::test]
async fn answers_to_unknown_and_lapsed_channels_do_no_harm() {
    let mut south = node(1, TCP, &[]).await;
    let mut north = node(2, TCP, std::slice::from_ref(&south.address)).await;
    north.connected(south.key).await;
    south.reply(12_345, Response::Ack).await;
    north.send(south.key, 1, Request::Heads).await;
    let (_, channel, _) = south.inbound().await;
    south.reply(channel, Response::Ack).await;
    south.reply(channel, Response::Heads(Heads::default())).await;
    assert_eq!(north.outcome(1).await, Ok(Response::Ack), "the first answer counts");
    north.send(south.key, 2, Request::Heads).await;
    let (_, lapsed, _) = south.inbound().await;
    north.handle.shutdown().await;
    south.disconnected(north.key).await;
    south.reply(lapsed, Response::Ack).await;
    // It still serves others.
    let mut east = node(3, TCP, std::slice::from_ref(&south.address)).await;
    east.connected(south.key).await;
    east.send(south.key, 3, Request::Heads).await;
    let (_, channel, _) = south.inbound().await;
    south.reply(channel, Response::Ack).await;
    assert_eq!(east.outcome(3).await, Ok(Response::Ack));
}

async fn check_reconnects(listen: &str) {
    let mut south = node(1, listen, &[]).await;
    let mut north = node(2, listen, &[]).await;
    let named = format!("{}/p2p/{}", south.address, peer_id(&south.key));
    north.handle.remember(south.key, vec![named]).await.expect("runs");
    north.connected(south.key).await;
    south.connected(north.key).await;
    let address = south.address.clone();
    south.handle.shutdown().await;
    drop(south);
    north.disconnected(key_of(1)).await;
    // The same address again, as soon as the system lets go of the old socket: `north` redials
    // without being told.
    let mut south = node_as_soon_as_possible(1, &address).await;
    let begun = std::time::Instant::now();
    north.connected(south.key).await;
    south.connected(north.key).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    north.send(south.key, 5, Request::Heads).await;
    let (_, channel, _) = south.inbound().await;
    south.reply(channel, Response::Ack).await;
    assert_eq!(north.outcome(5).await, Ok(Response::Ack));
}

/// Retries while the address is still taken: QUIC drains in the background after its connections.
async fn node_as_soon_as_possible(number: u8, address: &str) -> Node {
    let wait = async {
        loop {
            match start(number, address, &[], NetworkLimits::default()) {
                Ok(started) => return listening(started).await,
                Err(NetworkError::Listen { detail, .. }) if detail.contains("in use") => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => panic!("unexpected: {error}"),
            }
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.expect("the address becomes free")
}

fn key_of(number: u8) -> PublicKey {
    SecretKey::from_seed([number; 32]).public()
}

#[tokio::test]
async fn a_peer_that_comes_back_is_redialled_over_tcp() {
    check_reconnects(TCP).await;
}

#[tokio::test]
async fn a_peer_that_comes_back_is_redialled_over_quic() {
    check_reconnects(QUIC).await;
}

/// A node whose process is killed says no goodbye; here, its whole runtime is torn away.
async fn check_killed(listen: &str) {
    let mut south = node(1, listen, &[]).await;
    let (address, killed) = (south.address.clone(), tokio::runtime::Runtime::new().expect("a runtime"));
    let bootstrap = vec![address.clone()];
    let (first, second) = (bootstrap.clone(), bootstrap);
    let mut north =
        killed.spawn(async move { node(2, listen_at(&address), &first).await }).await.expect("starts");
    south.connected(north.key).await;
    north.connected(south.key).await;
    let north_address = north.address.clone();
    killed.shutdown_background();
    drop(north);
    let begun = std::time::Instant::now();
    let mut north = loop {
        match start(2, &north_address, &second, NetworkLimits::default()) {
            Ok(started) => break listening(started).await,
            Err(error) => assert!(begun.elapsed() < DEADLINE, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    north.connected(south.key).await;
    north.send(south.key, 1, Request::Heads).await;
    let (_, channel, _) = south.inbound().await;
    south.reply(channel, Response::Ack).await;
    assert_eq!(north.outcome(1).await, Ok(Response::Ack));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    // What `south` still believes to be the old connection must not swallow its requests for long.
    for id in 0..4 {
        south.send(north.key, id, Request::Heads).await;
    }
    let mut served = 0;
    let mut failed = 0;
    while served + failed < 4 {
        tokio::select! {
            (_, channel, _) = north.inbound() => north.reply(channel, Response::Ack).await,
            result = south.until("outcomes", |event| match event {
                NetworkEvent::Outcome { result, .. } => Some(result),
                _ => None,
            }) => if result.is_ok() { served += 1 } else { failed += 1 },
        }
    }
    println!("killed and back: {served} of 4 served, all settled after {:?}", begun.elapsed());
    assert!(served >= 2, "{served}");
}

fn listen_at(address: &str) -> &'static str {
    if address.contains("quic") { QUIC } else { TCP }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_peer_is_served_again_over_tcp() {
    check_killed(TCP).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_peer_is_served_again_over_quic() {
    check_killed(QUIC).await;
}

#[tokio::test]
async fn nodes_that_dial_each_other_at_once_have_one_session() {
    let mut south = node(1, TCP, &[]).await;
    let mut north = node(2, TCP, &[]).await;
    south.handle.remember(north.key, vec![north.address.clone()]).await.expect("runs");
    north.handle.remember(south.key, vec![south.address.clone()]).await.expect("runs");
    south.connected(north.key).await;
    north.connected(south.key).await;
    for id in 0..6 {
        south.send(north.key, id, Request::Heads).await;
        let (_, channel, _) = north
            .until("a request without a second session", |event| match event {
                NetworkEvent::Connected { .. } | NetworkEvent::Disconnected { .. } => {
                    panic!("unexpected {event:?}")
                }
                NetworkEvent::Inbound { peer, channel, request } => Some((peer, channel, request)),
                _ => None,
            })
            .await;
        north.reply(channel, Response::Ack).await;
        assert_eq!(south.outcome(id).await, Ok(Response::Ack));
    }
}

#[tokio::test]
async fn a_disconnected_stranger_cools_down_and_a_remembered_one_does_not() {
    let mut south = node(1, TCP, &[]).await;
    let mut north = node(2, TCP, std::slice::from_ref(&south.address)).await;
    south.connected(north.key).await;
    north.connected(south.key).await;
    south.handle.disconnect(north.key).await.expect("runs");
    south.disconnected(north.key).await;
    north.disconnected(south.key).await;
    // `north` redials within a second and is turned away at the gate.
    assert_eq!(south.refused("cooling_down").await, Some(north.key));
    // Vouched for, it is let in at its next try.
    south.handle.remember(north.key, vec![]).await.expect("runs");
    south.connected(north.key).await;
    south.handle.disconnect(north.key).await.expect("runs");
    south.disconnected(north.key).await;
    let again = south
        .until("back in", |event| match event {
            NetworkEvent::Connected { peer } => Some(Ok(peer)),
            NetworkEvent::Refused { reason, .. } => Some(Err(reason)),
            _ => None,
        })
        .await;
    assert_eq!(again, Ok(north.key));
}

#[tokio::test]
async fn strangers_beyond_their_slots_are_refused_and_members_are_not() {
    let limits = NetworkLimits { strangers_max: 1, ..NetworkLimits::default() };
    let mut south = node_with(1, TCP, &[], limits).await;
    let north = node(2, TCP, std::slice::from_ref(&south.address)).await;
    south.connected(north.key).await;
    let east = node(3, TCP, std::slice::from_ref(&south.address)).await;
    assert_eq!(south.refused("strangers_full").await, Some(east.key));
    south.handle.remember(east.key, vec![]).await.expect("runs");
    south.connected(east.key).await;
}

#[tokio::test]
async fn connections_beyond_the_limit_are_refused() {
    let limits = NetworkLimits { established_inbound_max: 1, ..NetworkLimits::default() };
    let mut south = node_with(1, TCP, &[], limits).await;
    let north = node(2, TCP, std::slice::from_ref(&south.address)).await;
    south.connected(north.key).await;
    let _east = node(3, TCP, std::slice::from_ref(&south.address)).await;
    south.refused("connection_limit").await;
}

/// Passes bytes between whoever connects to it and an address that is told later.
async fn relay() -> (String, tokio::sync::watch::Sender<u16>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = format!("/ip4/127.0.0.1/tcp/{}", listener.local_addr().expect("bound").port());
    let (target, mut told) = tokio::sync::watch::channel(0);
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let Ok(port) = told.wait_for(|port| *port > 0).await.map(|port| *port) else {
                return;
            };
            let mut far = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await });
        }
    });
    (address, target)
}

#[tokio::test]
async fn a_node_that_meets_itself_gives_up() {
    let (address, target) = relay().await;
    let mut alone = node(1, TCP, &[address]).await;
    let port = alone.address.rsplit('/').next().and_then(|port| port.parse().ok());
    target.send(port.expect("our own text")).expect("the relay runs");
    assert_eq!(alone.refused("own_peer_id").await, None, "it is nobody's fault");
    alone.send(alone.key, 1, Request::Heads).await;
    assert_eq!(alone.outcome(1).await, Err(SendFailure::Unreachable));
}

#[tokio::test]
async fn bad_addresses_are_named() {
    let error = |listen: &str, bootstrap: &str| {
        start(1, listen, &[bootstrap.to_owned()], NetworkLimits::default()).map(|_| ()).expect_err("bad")
    };
    let text = error(TCP, "north.example:4001").to_string();
    assert!(text.starts_with("bootstrap: bad address \"north.example:4001\": not a multiaddress"), "{text}");
    let text = error("/ip4/127.0.0.1/tcp/0/ws", "/ip4/10.0.0.1/tcp/7").to_string();
    assert!(text.starts_with("listen: bad address \"/ip4/127.0.0.1/tcp/0/ws\": expected"), "{text}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("bound").port();
    let address = format!("/ip4/127.0.0.1/tcp/{port}");
    let error = error(&address, "/ip4/10.0.0.1/tcp/7");
    assert!(matches!(&error, NetworkError::Listen { value, .. } if *value == address), "{error}");
}

#[tokio::test]
async fn a_driver_that_fetches_nothing_can_still_give_commands() {
    let south = node(1, TCP, &[]).await;
    let nobody = SecretKey::from_seed([9; 32]).public();
    let count = u64::try_from(EVENTS_MAX + COMMANDS_MAX + 100).expect("small");
    let give = async {
        for id in 0..count {
            south.send(nobody, id, Request::Heads).await;
        }
    };
    tokio::time::timeout(DEADLINE, give).await.expect("the task takes commands while events wait");
    let mut south = south;
    for id in 0..count {
        assert_eq!(south.outcome(id).await, Err(SendFailure::Unreachable), "none is lost, in order");
    }
}
