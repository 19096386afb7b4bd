//! Laws of the walk from version to version.

use super::*;
use crate::digest::{Root, RosterDigest, empty_root};
use crate::keys::SecretKey;
use crate::merkle::Frontier;
use std::collections::BTreeSet;

const NOW_S: u64 = 1_800_000_000;

type Change = fn(&mut Roster);

fn secret(number: u8) -> SecretKey {
    SecretKey::from_seed([number; 32])
}

fn member(id: &str, first_key: u8) -> Member {
    Member {
        id: MemberId::parse(id).expect("valid"),
        name: format!("Member {id}"),
        status: MemberStatus::Active,
        roles: BTreeSet::from([Role::Contributor]),
        card_key: secret(first_key).public(),
        cosigner_key: Some(secret(first_key + 1).public()),
        history_start_s: 0,
        quota_entries_per_day: 1_000_000,
        logs: vec![LogEntry { n: 1, key: secret(first_key + 2).public(), status: LogStatus::Open }],
    }
}

fn first() -> Roster {
    Roster {
        consortium: "test-0123456789abcdef".to_owned(),
        version: 1,
        created_s: NOW_S,
        expires_s: NOW_S + 1_000,
        previous: None,
        threshold: 2,
        governance: ["a", "b", "c"]
            .iter()
            .zip(1..)
            .map(|(name, number)| GovernanceKey { name: (*name).to_owned(), key: secret(number).public() })
            .collect(),
        taxonomies: vec!["cg-taxonomy/1".to_owned()],
        retention_s: 90 * 86_400,
        hold_s: 72 * 3_600,
        members: vec![member("acme", 10), member("birch", 20)],
        witnesses: vec![MemberId::parse("acme").expect("valid")],
        erasers: Vec::new(),
    }
}

fn sign(roster: &Roster, before: &Frontier, by: &[(&str, u8)]) -> SignedRoster {
    let body = roster.encode();
    let signatures = by
        .iter()
        .map(|(name, number)| sign_roster(&body, before, name, &secret(*number)).expect("signs"))
        .collect();
    assemble(&body, before, signatures).expect("assembles")
}

fn start() -> RosterChain {
    RosterChain::start(&sign(&first(), &Frontier::empty(), &[("a", 1), ("c", 3)]), None).expect("valid")
}

/// The next version with one change.
fn next(chain: &RosterChain, change: impl FnOnce(&mut Roster)) -> Roster {
    let mut roster = chain.current().clone();
    roster.version += 1;
    roster.previous = Some(RosterDigest::of_body(&chain.current().encode()));
    change(&mut roster);
    roster
}

fn check_advance(change: impl FnOnce(&mut Roster), by: &[(&str, u8)]) -> Result<(), ChainError> {
    let mut chain = start();
    let signed = sign(&next(&chain, change), chain.tree(), by);
    let outcome = chain.advance(&signed);
    assert_eq!(chain.version(), 1 + u64::from(outcome.is_ok()), "an error changes nothing");
    outcome
}

#[test]
fn text_round_trips() {
    let roster = first();
    assert_eq!(Roster::parse(&roster.encode()), Ok(roster));
}

#[test]
fn two_of_three_signatures_are_enough_and_one_is_not() {
    let empty = Frontier::empty();
    for (by, valid) in [
        (vec![("a", 1)], 1),
        (vec![("a", 1), ("x", 9)], 1),
        // b's name with a's key is nobody's signature.
        (vec![("a", 1), ("b", 1)], 1),
    ] {
        let outcome = RosterChain::start(&sign(&first(), &empty, &by), None);
        let expected = ChainError::TooFewSignatures { version: 1, valid, keys: 3, threshold: 2 };
        assert_eq!(outcome.map(|_| ()), Err(expected), "{by:?}");
    }
    assert!(RosterChain::start(&sign(&first(), &empty, &[("b", 2), ("c", 3)]), None).is_ok());
}

#[test]
fn a_pin_holds() {
    let signed = sign(&first(), &Frontier::empty(), &[("a", 1), ("b", 2)]);
    let root = start().root();
    assert!(RosterChain::start(&signed, Some(&root)).is_ok());
    let other: Root = empty_root();
    assert!(matches!(RosterChain::start(&signed, Some(&other)), Err(ChainError::Pin { .. })));
}

#[test]
fn a_changed_body_is_refused() {
    let mut signed = sign(&first(), &Frontier::empty(), &[("a", 1), ("b", 2)]);
    let text = String::from_utf8(signed.body.clone()).expect("text");
    signed.body = text.replace("Member acme", "Member axme").into_bytes();
    let outcome = RosterChain::start(&signed, None).map(|_| ());
    assert!(matches!(outcome, Err(ChainError::OtherCheckpoint { field: "root", .. })), "{outcome:?}");
}

#[test]
fn the_walk_needs_both_versions_governance() {
    let rotate = |roster: &mut Roster| {
        for (key, number) in roster.governance.iter_mut().zip(101..) {
            key.key = secret(number).public();
        }
    };
    let old_only = check_advance(rotate, &[("a", 1), ("b", 2)]);
    assert!(
        matches!(old_only, Err(ChainError::TooFewSignatures { version: 2, valid: 0, .. })),
        "{old_only:?}"
    );
    let new_only = check_advance(rotate, &[("a", 101), ("b", 102)]);
    assert!(
        matches!(new_only, Err(ChainError::TooFewSignatures { version: 1, valid: 0, .. })),
        "{new_only:?}"
    );
    assert_eq!(check_advance(|_| {}, &[("a", 1), ("b", 2)]), Ok(()));
}

#[test]
fn a_version_cannot_be_skipped_or_name_another_predecessor() {
    let mut chain = start();
    let other = next(&chain, |roster| roster.previous = Some(RosterDigest::of_body(b"another")));
    let signed = sign(&other, chain.tree(), &[("a", 1), ("b", 2)]);
    assert!(matches!(chain.advance(&signed), Err(ChainError::OtherPrevious { .. })));
    let again = sign(&first(), &Frontier::empty(), &[("a", 1), ("b", 2)]);
    assert_eq!(chain.advance(&again), Err(ChainError::NotNext { held: 1, got: 1 }));
}

#[test]
fn what_is_fixed_for_life_stays() {
    let both = [("a", 1), ("b", 2)];
    let close = |roster: &mut Roster| {
        roster.members[1].logs[0].status = LogStatus::Closed { size: 5, root: empty_root() };
        roster.members[1].logs.push(LogEntry { n: 2, key: secret(50).public(), status: LogStatus::Open });
    };
    assert_eq!(check_advance(close, &both), Ok(()));
    let cases: [(&str, Change); 4] = [
        ("member ids", |roster| {
            roster.members.pop();
        }),
        ("logs", |roster| roster.members[1].logs.clear()),
        ("key of a log", |roster| roster.members[1].logs[0].key = secret(60).public()),
        ("opened log", |roster| roster.members[1].logs[0].status = LogStatus::Spare),
    ];
    for (what, change) in cases {
        let outcome = check_advance(change, &both);
        assert!(matches!(outcome, Err(ChainError::Immutable { .. })), "{what}: {outcome:?}");
    }
}

#[test]
fn expiry_is_asked_of_the_newest_only() {
    let chain = start();
    assert!(!chain.is_expired(NOW_S + 999));
    assert!(chain.is_expired(NOW_S + 1_000));
}

#[test]
fn files_carry_several_versions() {
    let mut chain = start();
    let signed = sign(&next(&chain, |_| {}), chain.tree(), &[("a", 1), ("b", 2)]);
    chain.advance(&signed).expect("valid");
    let file: Vec<u8> = chain.suffix_from(0).iter().flat_map(SignedRoster::encode).collect();
    assert_eq!(SignedRoster::parse_file(&file).expect("reads"), chain.suffix_from(0));
    assert_eq!(chain.suffix_from(1).len(), 1);
    for cut in 1..file.len() {
        let cut_file = SignedRoster::parse_file(&file[..cut]);
        let whole_first = chain.suffix_from(0)[0].encode().len() == cut;
        assert_eq!(cut_file.is_ok(), whole_first, "cut at {cut}");
    }
}

fn card(sequence: u64) -> NodeCard {
    NodeCard {
        consortium: "test-0123456789abcdef".to_owned(),
        member: MemberId::parse("acme").expect("valid"),
        sequence,
        expires_s: NOW_S + 86_400,
        nodes: vec![CardNode {
            peer_key: secret(99).public(),
            addresses: vec!["/ip4/127.0.0.1/tcp/7411".to_owned()],
        }],
    }
}

#[test]
fn a_card_verifies_under_its_members_key_only() {
    let roster = first();
    let good = sign_card(&card(7), &secret(10));
    let verified = VerifiedCard::verify(&good, &roster, NOW_S).expect("valid");
    assert_eq!(verified.card(), &card(7));
    let other = sign_card(&card(7), &secret(20));
    assert!(matches!(VerifiedCard::verify(&other, &roster, NOW_S), Err(CardError::Note(_))));
    let expired = VerifiedCard::verify(&good, &roster, NOW_S + 86_400);
    assert!(matches!(expired, Err(CardError::Expired { .. })));
    let too_long = VerifiedCard::verify(&good, &roster, NOW_S - 30 * 86_400);
    assert!(matches!(too_long, Err(CardError::TooLongValid { .. })));
    let mut left = roster.clone();
    left.members[0].status = MemberStatus::Left;
    let gone = VerifiedCard::verify(&good, &left, NOW_S);
    assert!(matches!(gone, Err(CardError::MemberLeft(_))));
    let text = String::from_utf8(good).expect("text");
    let changed = text.replace("tcp/7411", "tcp/7412").into_bytes();
    assert!(matches!(VerifiedCard::verify(&changed, &roster, NOW_S), Err(CardError::Note(_))));
}
