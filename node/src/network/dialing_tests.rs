//! The dialer in virtual time.

use super::*;
use crate::network::convert::dial_address;
use hashpact_protocol::keys::SecretKey;

fn key(number: u8) -> PublicKey {
    SecretKey::from_seed([number; 32]).public()
}

fn address(text: &str) -> Multiaddr {
    text.parse().expect("a literal of this test")
}

fn connection(number: usize) -> ConnectionId {
    ConnectionId::new_unchecked(number)
}

/// One bootstrap address without a peer.
fn dialer() -> Dialer {
    Dialer::new(key(0), vec![dial_address("/ip4/10.0.0.1/tcp/7").expect("valid")])
}

#[test]
fn failures_are_spaced_between_a_quarter_and_thirty_seconds() {
    let mut dialer = dialer();
    let mut now_ms = 0;
    let mut waits = Vec::new();
    for _ in 0..40 {
        assert_eq!(dialer.next_due_ms(), Some(now_ms));
        let attempts = dialer.take_due(now_ms);
        assert_eq!(attempts.len(), 1);
        assert!(dialer.take_due(now_ms).is_empty(), "one dial at a time");
        dialer.handle_failed(attempts[0].target, now_ms);
        let due_ms = dialer.next_due_ms().expect("it is tried again");
        waits.push(due_ms - now_ms);
        now_ms = due_ms;
    }
    assert!((250..=313).contains(&waits[0]), "{waits:?}");
    assert!((500..=625).contains(&waits[1]), "{waits:?}");
    assert!(waits.iter().all(|wait| (250..=30_000).contains(wait)), "{waits:?}");
    assert!(waits[30..].iter().all(|wait| *wait >= 24_000), "{waits:?}");
    let distinct: std::collections::BTreeSet<_> = waits[30..].iter().collect();
    assert!(distinct.len() > 3, "jitter moves the waits: {waits:?}");
}

#[test]
fn a_session_that_lasted_resets_the_wait_and_a_short_one_does_not() {
    let mut dialer = dialer();
    let peer = key(1);
    let target = TargetId::Bootstrap(0);
    for round in 0..6 {
        let due_ms = dialer.next_due_ms().expect("due");
        dialer.take_due(due_ms);
        dialer.handle_started(target, connection(round));
        dialer.handle_opened(peer, connection(round), false, due_ms);
        assert_eq!(dialer.next_due_ms(), None, "connected");
        dialer.handle_disconnected(peer, due_ms + 5);
        let wait_ms = dialer.next_due_ms().expect("redialled") - due_ms - 5;
        assert!(wait_ms >= 250 << round, "accepting and hanging up is a failure: {wait_ms} ms");
    }
    let due_ms = dialer.next_due_ms().expect("due");
    dialer.take_due(due_ms);
    dialer.handle_started(target, connection(9));
    dialer.handle_opened(peer, connection(9), false, due_ms);
    dialer.handle_disconnected(peer, due_ms + SESSION_STABLE_MS);
    let wait_ms = dialer.next_due_ms().expect("redialled") - due_ms - SESSION_STABLE_MS;
    assert!(wait_ms <= 313, "{wait_ms}");
}

#[test]
fn a_peer_that_dials_us_stops_and_resets_our_dialling() {
    let mut dialer = dialer();
    let peer = key(1);
    dialer.remember(peer, vec![address("/ip4/10.0.0.2/tcp/7")], 0);
    let mut now_ms = 0;
    for _ in 0..10 {
        for attempt in dialer.take_due(now_ms) {
            dialer.handle_failed(attempt.target, now_ms);
        }
        now_ms = dialer.next_due_ms().expect("due");
    }
    dialer.handle_opened(peer, connection(1), true, now_ms);
    let only_bootstrap = dialer.take_due(now_ms + 60_000);
    assert!(only_bootstrap.iter().all(|attempt| attempt.target == TargetId::Bootstrap(0)));
    dialer.handle_disconnected(peer, now_ms + 10);
    let targets: Vec<_> = dialer.take_due(now_ms + 10 + 1_000).iter().map(|a| a.target).collect();
    assert_eq!(targets, [TargetId::Peer(peer)], "back within a second, whatever the failures before");
}

#[test]
fn a_bootstrap_address_learns_who_answers() {
    let mut dialer = dialer();
    let attempt = dialer.take_due(0).remove(0);
    assert_eq!(attempt.expects, None);
    dialer.handle_started(attempt.target, connection(1));
    dialer.handle_opened(key(1), connection(1), false, 0);
    dialer.handle_disconnected(key(1), 20_000);
    // It comes back by dialling us: the address needs no dial.
    dialer.handle_opened(key(1), connection(2), true, 20_100);
    assert!(dialer.take_due(60_000).is_empty());
    // Somebody else's comings and goings change nothing.
    dialer.handle_disconnected(key(2), 60_000);
    assert!(dialer.take_due(120_000).is_empty());
}

#[test]
fn own_addresses_are_retired() {
    let mut dialer = dialer();
    let attempt = dialer.take_due(0).remove(0);
    dialer.handle_started(attempt.target, connection(1));
    dialer.handle_own(connection(1));
    assert_eq!(dialer.next_due_ms(), None);
    let own = crate::network::convert::peer_id(&key(0));
    let named = dial_address(&format!("/ip4/10.0.0.1/tcp/7/p2p/{own}")).expect("valid");
    assert_eq!(Dialer::new(key(0), vec![named]).next_due_ms(), None);
    dialer.remember(key(0), vec![address("/ip4/10.0.0.1/tcp/7")], 0);
    assert_eq!(dialer.next_due_ms(), None);
}

#[test]
fn dials_under_way_are_bounded() {
    let bootstrap: Vec<_> = (1..=DIALS_MAX + 5)
        .map(|port| dial_address(&format!("/ip4/10.0.0.1/tcp/{port}")).expect("valid"))
        .collect();
    let mut dialer = Dialer::new(key(0), bootstrap);
    let attempts = dialer.take_due(0);
    assert_eq!(attempts.len(), DIALS_MAX);
    assert_eq!(dialer.next_due_ms(), None, "no busy loop while the room is taken");
    dialer.handle_failed(attempts[0].target, 0);
    assert_eq!(dialer.next_due_ms(), Some(0));
    assert_eq!(dialer.take_due(0).len(), 1);
}

#[test]
fn remembering_and_forgetting_and_holding_off() {
    let mut dialer = Dialer::new(key(0), Vec::new());
    let peer = key(1);
    dialer.remember(peer, Vec::new(), 0);
    assert_eq!(dialer.next_due_ms(), None, "nowhere to dial");
    dialer.remember(peer, vec![address("/ip4/10.0.0.2/tcp/7")], 5);
    assert_eq!(dialer.next_due_ms(), Some(0));
    dialer.hold_off(peer, 5_000);
    assert_eq!(dialer.next_due_ms(), Some(5_000));
    dialer.remember(peer, vec![address("/ip4/10.0.0.2/tcp/7")], 6);
    assert_eq!(dialer.next_due_ms(), Some(5_000), "nothing new");
    dialer.remember(peer, vec![address("/ip4/10.0.0.3/tcp/7")], 7);
    assert_eq!(dialer.next_due_ms(), Some(7), "a new address deserves a try");
    dialer.forget(&peer);
    assert_eq!(dialer.next_due_ms(), None);
}

#[tokio::test]
async fn names_are_resolved_and_addresses_pass_through() {
    let ip = address("/ip4/10.0.0.1/udp/7/quic-v1");
    let name = address("/dns4/localhost/tcp/7");
    let resolved = resolve(vec![ip.clone(), name]).await;
    assert_eq!(resolved, [ip, address("/ip4/127.0.0.1/tcp/7")]);
}
