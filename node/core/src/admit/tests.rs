//! Who becomes a peer, and how long an unknown one may try.

use super::*;
use hashpact_protocol::keys::SecretKey;
use hashpact_protocol::roster::{
    CardNode, GovernanceKey, LogEntry, LogStatus, Member, MemberStatus, NodeCard,
    PRIORITY_ENTRIES_PER_DAY_DEFAULT, Role, Terms, sign_card,
};
use std::collections::BTreeSet;

const NOW_MS: u64 = 1_800_000_000_000;
const CONSORTIUM: &str = "test-0000000000000000";

fn secret(number: u8) -> SecretKey {
    SecretKey::from_seed([number; 32])
}

fn peer(number: u8) -> Peer {
    secret(100 + number).public()
}

fn member(id: &str, number: u8, status: MemberStatus) -> Member {
    Member {
        id: MemberId::parse(id).expect("valid"),
        name: id.to_owned(),
        status,
        roles: BTreeSet::from([Role::Contributor]),
        groups: BTreeSet::new(),
        card_key: secret(number).public(),
        cosigner_key: None,
        history_start_s: 0,
        quota_entries_per_day: 1_000,
        priority_entries_per_day: PRIORITY_ENTRIES_PER_DAY_DEFAULT,
        agreement: None,
        records_lapse: false,
        logs: vec![LogEntry { n: 1, key: secret(50 + number).public(), status: LogStatus::Open }],
    }
}

fn roster() -> Roster {
    Roster {
        consortium: CONSORTIUM.to_owned(),
        version: 1,
        created_s: NOW_MS / 1_000 - 60,
        expires_s: NOW_MS / 1_000 + 86_400,
        previous: None,
        rejected: Vec::new(),
        threshold: 1,
        governance: vec![GovernanceKey { name: "a".to_owned(), key: secret(90).public() }],
        taxonomies: vec!["cg-taxonomy/1".to_owned()],
        hash_sets: Vec::new(),
        retention_s: 90 * 86_400,
        hold_s: 72 * 3_600,
        features: Vec::new(),
        groups: Vec::new(),
        members: vec![member("north", 1, MemberStatus::Active), member("south", 2, MemberStatus::Left)],
        witnesses: Vec::new(),
        terms: Terms::default(),
    }
}

/// A card of a member that lists these peers.
fn card(id: &str, sequence: u64, peers: &[Peer]) -> NodeCard {
    let node = |peer: &Peer| CardNode { peer_key: *peer, addresses: vec!["/ip4/127.0.0.1/tcp/1".to_owned()] };
    NodeCard {
        consortium: CONSORTIUM.to_owned(),
        member: MemberId::parse(id).expect("valid"),
        sequence,
        expires_s: NOW_MS / 1_000 + 3_600,
        nodes: peers.iter().map(node).collect(),
    }
}

fn hello(card: Vec<u8>) -> Hello {
    Hello { consortium: CONSORTIUM.to_owned(), roster_version: 1, roster: Vec::new(), card }
}

fn good(sequence: u64, peers: &[Peer]) -> Hello {
    hello(sign_card(&card("north", sequence, peers), &secret(1)))
}

struct Bench {
    peers: Peers,
    out: Out,
}

impl Bench {
    fn new() -> Self {
        Self::of("east", false, b"own card".to_vec())
    }

    fn of(member: &str, is_replica: bool, card: Vec<u8>) -> Self {
        let member = MemberId::parse(member).expect("valid");
        let own = OwnNode { peer: peer(0), member, is_replica };
        let mut out = Out::default();
        Self { peers: Peers::new(own, hello(card), &roster(), NOW_MS, &mut out), out }
    }

    fn connect(&mut self, peer: Peer) -> Vec<Effect> {
        self.peers.connected(peer, NOW_MS, &mut self.out);
        self.out.take()
    }

    fn greet(&mut self, peer: Peer, hello: &Hello) -> Result<Vec<Effect>, HelloError> {
        self.greet_under(peer, hello, &Admits::Members)
    }

    fn greet_under(&mut self, peer: Peer, hello: &Hello, admits: &Admits) -> Result<Vec<Effect>, HelloError> {
        self.peers.greet(peer, hello, (&roster(), admits), NOW_MS, &mut self.out)?;
        Ok(self.out.take())
    }

    fn tick(&mut self, after_ms: u64) -> Vec<Effect> {
        self.peers.tick(NOW_MS + after_ms, &mut self.out);
        self.out.take()
    }
}

fn hello_request(effects: &[Effect]) -> Option<RequestId> {
    effects.iter().find_map(|effect| match effect {
        Effect::Send { request_id, request: Request::Hello(_), .. } => Some(*request_id),
        _ => None,
    })
}

fn heads_request(effects: &[Effect]) -> Option<RequestId> {
    effects.iter().find_map(|effect| match effect {
        Effect::Send { request_id, request: Request::Heads, .. } => Some(*request_id),
        _ => None,
    })
}

fn disconnects(effects: &[Effect]) -> Vec<&'static str> {
    let reason = |effect: &Effect| match effect {
        Effect::Disconnect { reason, .. } => Some(*reason),
        _ => None,
    };
    effects.iter().filter_map(reason).collect()
}

#[test]
fn a_listed_peer_is_admitted_once_and_asked_for_its_heads() {
    let mut bench = Bench::new();
    assert!(hello_request(&bench.connect(peer(1))).is_some(), "we say hello first");
    assert!(bench.peers.member(&peer(1)).is_none());
    let effects = bench.greet(peer(1), &good(5, &[peer(1)])).expect("admitted");
    assert!(matches!(&effects[0], Effect::Nodes { nodes } if nodes[0].0 == peer(1)), "{effects:?}");
    assert!(matches!(&effects[1], Effect::Admitted { member, .. } if member == "north"), "{effects:?}");
    let heads = heads_request(&effects).expect("asked for heads");
    assert_eq!(bench.peers.member(&peer(1)).map(ToString::to_string).as_deref(), Some("north"));
    assert!(bench.greet(peer(1), &good(5, &[peer(1)])).expect("still fine").is_empty(), "admitted once");

    assert!(!bench.peers.all_told_heads());
    assert!(bench.peers.take_heads(&peer(1), heads, true));
    assert!(!bench.peers.take_heads(&peer(1), heads, true), "answers once");
    assert!(bench.peers.all_told_heads());
    bench.peers.disconnected(&peer(1));
    assert!(!bench.peers.all_told_heads(), "nobody is connected");
}

#[test]
fn each_rule_of_a_hello_refuses() {
    let signed = |card: &NodeCard, key: u8| hello(sign_card(card, &secret(key)));
    let listed = card("north", 5, &[peer(1)]);
    let other = Hello { consortium: "else-0000000000000000".to_owned(), ..signed(&listed, 1) };
    let expired = NodeCard { expires_s: NOW_MS / 1_000, ..listed.clone() };
    let foreign = NodeCard { consortium: "else-0000000000000000".to_owned(), ..listed.clone() };
    let cases = [
        (other, HelloError::Consortium, "hello_consortium"),
        (hello(Vec::new()), HelloError::NoCard, "hello_no_card"),
        (hello(b"no card".to_vec()), HelloError::Card, "hello_card"),
        (signed(&listed, 7), HelloError::Card, "hello_card"),
        (signed(&expired, 1), HelloError::Card, "hello_card"),
        (signed(&foreign, 1), HelloError::Card, "hello_card"),
        (signed(&card("west", 5, &[peer(1)]), 1), HelloError::Card, "hello_card"),
        (signed(&card("north", 5, &[peer(2)]), 1), HelloError::NotListed, "hello_not_listed"),
        (signed(&card("south", 5, &[peer(1)]), 2), HelloError::Left, "hello_left"),
    ];
    for (hello, expected, label) in cases {
        let mut bench = Bench::new();
        bench.connect(peer(1));
        assert_eq!(bench.greet(peer(1), &hello).expect_err(label), expected);
        assert_eq!(expected.label(), label);
        assert!(bench.peers.member(&peer(1)).is_none() && bench.peers.health().is_empty());
    }
}

#[test]
fn a_key_that_a_newer_card_of_its_member_dropped_stays_out() {
    let mut bench = Bench::new();
    bench.connect(peer(1));
    bench.greet(peer(1), &good(5, &[peer(1), peer(2)])).expect("admitted");
    bench.greet(peer(1), &good(6, &[peer(1)])).expect("a newer card");
    bench.connect(peer(2));
    assert_eq!(bench.greet(peer(2), &good(5, &[peer(1), peer(2)])).expect_err("old"), HelloError::OldCard);
    assert_eq!(bench.greet(peer(2), &hello(Vec::new())).expect_err("on no card"), HelloError::NoCard);
    assert_eq!(bench.greet(peer(2), &good(6, &[peer(1)])).expect_err("dropped"), HelloError::NotListed);
    assert_eq!(HelloError::OldCard.label(), "hello_old_card");
    bench.greet(peer(2), &good(7, &[peer(2)])).expect("listed again");
}

#[test]
fn the_newest_card_known_lists_a_node_that_has_an_older_one_or_none() {
    let mut bench = Bench::new();
    let both = [peer(1), peer(2)];
    bench.connect(peer(2));
    assert_eq!(bench.greet(peer(2), &hello(Vec::new())).expect_err("nobody knows it"), HelloError::NoCard);
    bench.connect(peer(1));
    bench.greet(peer(1), &good(6, &both)).expect("the author");
    bench.greet(peer(2), &hello(Vec::new())).expect("listed by what the author told");
    let member = bench.peers.member(&peer(2)).expect("admitted").clone();
    assert_eq!(member.as_str(), "north");
    bench.connect(peer(3));
    assert_eq!(bench.greet(peer(3), &hello(Vec::new())).expect_err("unlisted"), HelloError::NoCard);
    bench.peers.disconnected(&peer(2));
    bench.connect(peer(2));
    bench.greet(peer(2), &good(5, &[peer(2)])).expect("an older card, and still listed");
    assert!(bench.peers.is_author(&peer(1), &member) && !bench.peers.is_author(&peer(2), &member));
    assert_eq!(bench.peers.author(&member), Some(peer(1)));
    bench.peers.disconnected(&peer(1));
    assert_eq!(bench.peers.author(&member), None, "a replica does not stand in for it");
    // Expired cards list nobody.
    bench.peers.disconnected(&peer(2));
    bench.connect(peer(2));
    let late = bench.peers.greet(
        peer(2),
        &hello(Vec::new()),
        (&roster(), &Admits::Members),
        NOW_MS + 3_600_000,
        &mut bench.out,
    );
    assert_eq!(late, Err(HelloError::NoCard));
}

#[test]
fn a_replica_takes_its_card_from_its_author_and_says_none_when_it_has_none() {
    let own_card = |effects: &[Effect]| {
        let card = |effect: &Effect| match effect {
            Effect::OwnCard { card } => Some(card.clone()),
            _ => None,
        };
        effects.iter().find_map(card)
    };
    let mut bench = Bench::of("north", true, b"damaged".to_vec());
    assert!(bench.peers.hello().card.is_empty(), "what nobody would take is not said");
    bench.connect(peer(1));
    let first = good(5, &[peer(1), peer(0)]);
    let effects = bench.greet(peer(1), &first).expect("its author");
    assert_eq!(own_card(&effects), Some(first.card.clone()));
    assert_eq!(bench.peers.hello().card, first.card);
    assert!(bench.peers.take_renewed() && !bench.peers.take_renewed(), "everybody hears of it once");
    assert_eq!(own_card(&bench.greet(peer(1), &first).expect("again")), None);
    let second = good(6, &[peer(1), peer(0), peer(3)]);
    assert_eq!(own_card(&bench.greet(peer(1), &second).expect("newer")), Some(second.card.clone()));
    assert_eq!(own_card(&bench.greet(peer(1), &first).expect("older, and still listed")), None);
    assert_eq!(bench.peers.hello().card, second.card);
    // Its own member's nodes say nothing about what other members have.
    assert!(!bench.peers.meets_others() && bench.peers.members_told_heads() == 0);
    // Dropped: it says no card that others would blame it for.
    bench.peers.take_renewed();
    assert_eq!(own_card(&bench.greet(peer(1), &good(7, &[peer(1)])).expect("newest")), Some(Vec::new()));
    assert!(bench.peers.hello().card.is_empty() && !bench.peers.take_renewed());

    // An author signs its own and takes nobody's.
    let mut bench = Bench::of("north", false, good(5, &[peer(0), peer(1)]).card);
    bench.connect(peer(1));
    let effects = bench.greet(peer(1), &good(9, &[peer(1)])).expect("signed by our card key");
    assert_eq!(own_card(&effects), None);
    assert_eq!(bench.peers.hello().card, good(5, &[peer(0), peer(1)]).card);
}

#[test]
fn a_renewed_card_is_taken_if_it_is_newer_and_lists_this_node() {
    let first = good(5, &[peer(0), peer(1)]).card;
    let mut bench = Bench::of("north", false, first.clone());
    let mut renew = |card: Vec<u8>| bench.peers.renew(card, &roster(), NOW_MS, &mut bench.out);
    for (card, why) in [
        (first.clone(), "the same"),
        (good(4, &[peer(0)]).card, "older"),
        (good(6, &[peer(1)]).card, "lists others only"),
        (b"no card".to_vec(), "no card"),
        (sign_card(&card("north", 6, &[peer(0)]), &secret(7)), "by another key"),
    ] {
        assert!(!renew(card), "{why}");
    }
    let next = good(6, &[peer(0)]).card;
    assert!(renew(next.clone()));
    assert_eq!(bench.peers.hello().card, next);
    assert!(bench.peers.take_renewed());
}

#[test]
fn our_own_key_and_one_peer_too_many_are_sent_away() {
    let mut bench = Bench::new();
    assert_eq!(disconnects(&bench.connect(peer(0))), ["own_key"]);
    let crowd: Vec<Peer> = (0..PEERS_MAX as u32)
        .map(|number| {
            let mut seed = [7; 32];
            seed[..4].copy_from_slice(&number.to_be_bytes());
            SecretKey::from_seed(seed).public()
        })
        .collect();
    for peer in &crowd {
        assert!(disconnects(&bench.connect(*peer)).is_empty());
    }
    assert_eq!(disconnects(&bench.connect(peer(1))), ["too_many_peers"]);
    assert!(disconnects(&bench.connect(crowd[0])).is_empty(), "one that is counted already");
    bench.peers.disconnected(&crowd[0]);
    assert!(disconnects(&bench.connect(peer(1))).is_empty());
}

#[test]
fn an_unanswered_hello_is_said_again_and_an_unknown_peer_has_bounded_time() {
    let mut bench = Bench::new();
    let first = hello_request(&bench.connect(peer(1))).expect("hello");
    assert!(bench.tick(HELLO_INTERVAL_MS).is_empty(), "the first is still under way");
    assert!(bench.peers.take_hello(&peer(1), first) && !bench.peers.take_hello(&peer(1), first));
    assert_eq!(hello_request(&bench.tick(HELLO_INTERVAL_MS - 1)), None);
    let second = hello_request(&bench.tick(HELLO_INTERVAL_MS)).expect("again");
    assert!(bench.peers.take_hello(&peer(1), second));
    assert!(disconnects(&bench.tick(ADMISSION_TIMEOUT_MS - 1)).is_empty());
    assert_eq!(disconnects(&bench.tick(ADMISSION_TIMEOUT_MS)), ["not_admitted_in_time"]);

    let mut bench = Bench::new();
    bench.connect(peer(1));
    bench.greet(peer(1), &good(5, &[peer(1)])).expect("admitted");
    assert!(disconnects(&bench.tick(ADMISSION_TIMEOUT_MS)).is_empty(), "an admitted peer may stay");
}

#[test]
fn heads_are_asked_for_again_sooner_when_there_was_no_answer() {
    let mut bench = Bench::new();
    bench.connect(peer(1));
    let first = heads_request(&bench.greet(peer(1), &good(5, &[peer(1)])).expect("admitted")).expect("asked");
    assert_eq!(heads_request(&bench.tick(HEADS_INTERVAL_MS)), None, "one question is under way");
    assert!(bench.peers.take_heads(&peer(1), first, false));
    assert!(!bench.peers.all_told_heads());
    let second = heads_request(&bench.tick(HEADS_INTERVAL_MS + 500)).expect("asked at the next tick");
    assert!(bench.peers.take_heads(&peer(1), second, true));
    assert_eq!(heads_request(&bench.tick(HEADS_INTERVAL_MS + 1_000)), None);
    assert!(heads_request(&bench.tick(2 * HEADS_INTERVAL_MS + 500)).is_some());
}

#[test]
fn announcements_to_a_slow_peer_are_merged_into_one_more() {
    let mut bench = Bench::new();
    let request =
        Request::Announce(hashpact_protocol::wire::Announce { notes: Vec::new(), priority: Vec::new() });
    bench.connect(peer(1));
    bench.peers.announce(&request, &mut bench.out);
    assert!(bench.out.take().is_empty(), "not to a peer that is not admitted");
    bench.greet(peer(1), &good(5, &[peer(1)])).expect("admitted");
    bench.peers.announce(&request, &mut bench.out);
    let effects = bench.out.take();
    let [Effect::Send { request_id, .. }] = &effects[..] else { panic!("{effects:?}") };
    for _ in 0..3 {
        bench.peers.announce(&request, &mut bench.out);
    }
    assert!(bench.out.take().is_empty(), "one is under way");
    assert_eq!(bench.peers.take_announced(&peer(1), request_id + 1), None);
    assert_eq!(bench.peers.take_announced(&peer(1), *request_id), Some(true));
    assert_eq!(bench.peers.take_announced(&peer(1), *request_id), None);
}

#[test]
fn under_an_expired_roster_only_those_who_took_part_before_come_in() {
    let known =
        |ids: &[&str]| Admits::Known(ids.iter().map(|id| MemberId::parse(id).expect("valid")).collect());
    let (first, second) = (peer(1), peer(2));
    let hello = good(1, &[first, second]);
    let mut bench = Bench::new();
    bench.connect(first);
    assert_eq!(bench.greet_under(first, &hello, &known(&["south"])).err(), Some(HelloError::RosterExpired));
    assert!(HelloError::RosterExpired.is_blameless() && !HelloError::Card.is_blameless());
    assert_eq!(bench.peers.member(&first), None);
    bench.greet_under(first, &hello, &known(&["north", "south"])).expect("it took part before");

    // Who was admitted before the roster expired comes back, with another of its nodes as well.
    bench.connect(second);
    bench.greet_under(second, &hello, &known(&[])).expect("admitted before");
    assert!(bench.peers.member(&second).is_some());

    // A newer roster ends it.
    let mut bench = Bench::new();
    bench.connect(first);
    bench.greet_under(first, &hello, &known(&[])).expect_err("expired");
    bench.greet_under(first, &hello, &Admits::Members).expect("a version that has not expired");
}
