//! What a roster that expires, and one that says something else about leavers, means to a running node.

use super::*;
use crate::effect::{HeldFacts, LockState, RosterWrite};
use crate::recover::OwnDisk;
use crate::view::Rules;
use hashpact_protocol::digest::{RosterDigest, empty_root, leaf_hash};
use hashpact_protocol::keys::SecretKey;
use hashpact_protocol::merkle::Frontier;
use hashpact_protocol::roster::{
    CardNode, GovernanceKey, LogEntry, LogStatus, Member, MemberStatus, NodeCard,
    PRIORITY_ENTRIES_PER_DAY_DEFAULT, Role, SignedRoster, Terms, assemble, sign_card, sign_roster,
};
use hashpact_protocol::wire::{Hello, Refusal, Response};

const NOW_MS: u64 = 1_800_000_000_000;
const EXPIRES_S: u64 = NOW_MS / 1_000 + 60;
const EXPIRED_MS: u64 = EXPIRES_S * 1_000;
/// The node's own member, one that it knows, and one that nobody has met.
const MEMBERS: [(&str, u8); 3] = [("north", 10), ("south", 20), ("west", 30)];

fn secret(number: u8) -> SecretKey {
    SecretKey::from_seed([number; 32])
}

fn id(nth: usize) -> MemberId {
    MemberId::parse(MEMBERS[nth].0).expect("valid")
}

fn peer(nth: usize) -> Peer {
    secret(MEMBERS[nth].1 + 3).public()
}

fn roster() -> Roster {
    let member = |(id, key): &(&str, u8)| Member {
        id: MemberId::parse(id).expect("valid"),
        name: (*id).to_owned(),
        status: MemberStatus::Active,
        roles: BTreeSet::from([Role::Contributor]),
        groups: BTreeSet::new(),
        card_key: secret(*key).public(),
        cosigner_key: None,
        history_start_s: 0,
        quota_entries_per_day: 1_000,
        priority_entries_per_day: PRIORITY_ENTRIES_PER_DAY_DEFAULT,
        agreement: None,
        records_lapse: false,
        logs: vec![LogEntry { n: 1, key: secret(key + 1).public(), status: LogStatus::Open }],
    };
    Roster {
        consortium: "test-0000000000000000".to_owned(),
        version: 1,
        created_s: NOW_MS / 1_000 - 60,
        expires_s: EXPIRES_S,
        previous: None,
        rejected: Vec::new(),
        threshold: 1,
        governance: vec![GovernanceKey { name: "a".to_owned(), key: secret(1).public() }],
        taxonomies: vec!["cg-taxonomy/1".to_owned()],
        hash_sets: Vec::new(),
        retention_s: 90 * 86_400,
        hold_s: 72 * 3_600,
        features: Vec::new(),
        groups: Vec::new(),
        members: MEMBERS.iter().map(member).collect(),
        witnesses: Vec::new(),
        terms: Terms::default(),
    }
}

fn signed(roster: &Roster, before: &Frontier) -> SignedRoster {
    let body = roster.encode();
    let signature = sign_roster(&body, before, "a", &secret(1)).expect("a canonical body");
    assemble(&body, before, vec![signature]).expect("signed")
}

fn chain() -> RosterChain {
    RosterChain::start(&signed(&roster(), &Frontier::empty()), None).expect("valid")
}

/// The second version, with a change.
fn next(change: impl FnOnce(&mut Roster)) -> SignedRoster {
    let previous = Some(RosterDigest::of_body(&roster().encode()));
    let mut next = Roster { version: 2, previous, ..roster() };
    change(&mut next);
    signed(&next, chain().tree())
}

/// The node of the first member; it holds an entry of the second if that has begun.
fn open(second_has_begun: bool) -> Engine {
    let chain = chain();
    let origin = |nth: usize| chain.current().origin(&id(nth), 1);
    let mut held = BTreeMap::new();
    if second_has_begun {
        let mut frontier = Frontier::empty();
        frontier.append(leaf_hash(b"an entry"));
        held.insert(LogId::of_origin(&origin(1)), HeldLog { frontier, note: None, payloads_missing: 0 });
    }
    let lock = LockState { generation: 0, origin: origin(0), size: 0, root: empty_root(), note: Vec::new() };
    let own = OwnDisk {
        frontier: Frontier::empty(),
        at_lock: Some(Frontier::empty()),
        lock: Some(lock),
        beyond_lock: Vec::new(),
        generation: 0,
    };
    let config = EngineConfig {
        member: id(0),
        role: NodeRole::Author {
            log_key: secret(MEMBERS[0].1 + 1).into(),
            cosigner_key: secret(MEMBERS[0].1 + 2).into(),
        },
        peer: peer(0),
        card: card(0),
        from_backup: false,
        is_doubtful: false,
        receipt_interval_ms: 0,
    };
    let opening = Opening {
        config,
        view: View::under(Rules::from(&chain), NOW_MS, [0; 16]),
        roster: chain,
        own,
        last_time_ms: 0,
        held,
        priority: BTreeMap::new(),
        facts: HeldFacts::default(),
        now_ms: NOW_MS,
    };
    Engine::open(opening).expect("it starts").0
}

fn card(nth: usize) -> Vec<u8> {
    let node = CardNode { peer_key: peer(nth), addresses: vec!["/ip4/127.0.0.1/tcp/1".to_owned()] };
    let card = NodeCard {
        consortium: roster().consortium,
        member: id(nth),
        sequence: 1,
        expires_s: EXPIRES_S + 3_600,
        nodes: vec![node],
    };
    sign_card(&card, &secret(MEMBERS[nth].1))
}

/// What the node does when a member's node says hello, with a version that it may hold.
fn hello(engine: &mut Engine, nth: usize, newer: Option<&SignedRoster>, now_ms: u64) -> Vec<Effect> {
    engine.handle(Event::Connected { peer: peer(nth) }, now_ms);
    let roster = newer.map(|version| (version.body.clone(), version.note.clone())).into_iter().collect();
    let roster_version = if newer.is_some() { 2 } else { 1 };
    let hello = Hello { consortium: roster_name(), roster_version, roster, card: card(nth) };
    engine.handle(Event::Inbound { peer: peer(nth), channel: 7, request: Request::Hello(hello) }, now_ms)
}

fn roster_name() -> String {
    roster().consortium
}

fn is_admitted(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Admitted { .. }))
}

fn let_go(effects: &[Effect]) -> Option<&'static str> {
    effects.iter().find_map(|effect| match effect {
        Effect::Disconnect { reason, .. } => Some(*reason),
        _ => None,
    })
}

#[test]
fn an_expired_roster_admits_who_took_part_before_and_nobody_else() {
    let mut engine = open(true);
    assert!(is_admitted(&hello(&mut engine, 1, None, EXPIRED_MS)), "it has stated something");
    let effects = hello(&mut engine, 2, None, EXPIRED_MS);
    assert!(!is_admitted(&effects));
    assert_eq!(let_go(&effects), Some("hello_roster_expired"));
    let is_refusal = |effect: &Effect| {
        matches!(effect, Effect::Reply { response: Response::Refused(Refusal::NotAdmitted), .. })
    };
    assert!(effects.iter().any(is_refusal));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Misbehaviour { .. })), "it broke no rule");

    // A second earlier it would have come in, and then stays one who took part.
    let mut engine = open(true);
    assert!(is_admitted(&hello(&mut engine, 2, None, EXPIRED_MS - 1)));
    engine.handle(Event::Disconnected { peer: peer(2) }, EXPIRED_MS);
    assert!(is_admitted(&hello(&mut engine, 2, None, EXPIRED_MS)));
}

#[test]
fn who_holds_nothing_of_anybody_is_itself_new_and_admits_all() {
    let mut engine = open(false);
    assert!(is_admitted(&hello(&mut engine, 1, None, EXPIRED_MS)));
    assert!(is_admitted(&hello(&mut engine, 2, None, EXPIRED_MS)));
}

#[test]
fn a_newer_roster_that_the_new_member_brings_along_lets_it_in() {
    let newer = next(|roster| roster.expires_s += 86_400);
    let mut engine = open(true);
    let effects = hello(&mut engine, 2, Some(&newer), EXPIRED_MS);
    assert_eq!((is_admitted(&effects), let_go(&effects)), (false, None), "it says hello again");
    let write = effects.iter().find_map(|effect| match effect {
        Effect::WriteRoster(RosterWrite { id, .. }) => Some(*id),
        _ => None,
    });
    let write = write.expect("the version is persisted first");
    engine.handle(Event::Written { write, read_back: Vec::new() }, EXPIRED_MS);
    assert_eq!(engine.roster().version, 2);
    assert!(is_admitted(&hello(&mut engine, 2, Some(&newer), EXPIRED_MS)));
}

#[test]
fn other_words_about_leavers_have_the_node_start_anew_and_others_do_not() {
    let leave = |roster: &mut Roster| {
        let member = &mut roster.members[2];
        member.status = MemberStatus::Left;
        member.logs[0].status = LogStatus::Closed { size: 0, root: empty_root() };
    };
    let lapse = |roster: &mut Roster| {
        leave(roster);
        roster.members[2].records_lapse = true;
    };
    for (version, reopens) in [(next(leave), false), (next(lapse), true)] {
        let mut engine = open(true);
        let effects = engine.handle(Event::Roster { versions: vec![version] }, NOW_MS);
        let stopped =
            effects.iter().any(|effect| matches!(effect, Effect::Stop(StopReason::Reopen { version: 2 })));
        assert_eq!(stopped, reopens);
    }
}
