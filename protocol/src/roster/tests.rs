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
        groups: BTreeSet::new(),
        card_key: secret(first_key).public(),
        cosigner_key: Some(secret(first_key + 1).public()),
        history_start_s: 0,
        quota_entries_per_day: 1_000_000,
        priority_entries_per_day: PRIORITY_ENTRIES_PER_DAY_DEFAULT,
        agreement: None,
        records_lapse: false,
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
        rejected: Vec::new(),
        threshold: 2,
        governance: ["a", "b", "c"]
            .iter()
            .zip(1..)
            .map(|(name, number)| GovernanceKey { name: (*name).to_owned(), key: secret(number).public() })
            .collect(),
        taxonomies: vec!["cg-taxonomy/1".to_owned()],
        hash_sets: Vec::new(),
        retention_s: 90 * 86_400,
        hold_s: 72 * 3_600,
        features: Vec::new(),
        groups: Vec::new(),
        members: vec![member("acme", 10), member("birch", 20)],
        witnesses: vec![MemberId::parse("acme").expect("valid")],
        terms: Terms::default(),
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
fn a_lapse_is_dated_by_the_version_since_which_it_holds_without_a_break() {
    let mut chain = start();
    let birch = MemberId::parse("birch").expect("valid");
    let mut advance = |lapses: bool| {
        let version = next(&chain, |roster| {
            let member = &mut roster.members[1];
            member.status = MemberStatus::Left;
            member.logs[0].status = LogStatus::Closed { size: 0, root: empty_root() };
            member.records_lapse = lapses;
        });
        chain.advance(&sign(&version, chain.tree(), &[("a", 1), ("b", 2)])).expect("follows");
        chain.lapsed().get(&birch).copied()
    };
    let since = [false, true, true, false, true].map(&mut advance);
    assert_eq!(since, [None, Some(3), Some(3), None, Some(6)]);
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

#[test]
fn a_rival_pauses_changes_until_it_is_rejected_by_name() {
    let by = [("a", 1), ("b", 2)];
    let mut chain = start();
    let rival = sign(&next(&chain, |roster| roster.hold_s = 3_600), chain.tree(), &by);
    assert!(matches!(chain.rival(&rival), Err(ChainError::NotNext { held: 1, got: 2 })), "not held yet");
    let kept = sign(&next(&chain, |_| {}), chain.tree(), &by);
    chain.advance(&kept).expect("valid");
    assert_eq!(chain.rival(&kept), Ok(None));
    let found = chain.rival(&rival).expect("valid").expect("another version 2");
    assert_eq!(found, Rejected { version: 2, digest: RosterDigest::of_body(&rival.body) });
    assert_eq!([chain.note_rival(&rival), chain.note_rival(&rival)], [Ok(true), Ok(false)]);
    let silent = sign(&next(&chain, |_| {}), chain.tree(), &by);
    let unsettled = ChainError::Unsettled { version: 2, digest: found.digest };
    assert_eq!((chain.advance(&silent), chain.version()), (Err(unsettled), 2));
    let rejecting = sign(&next(&chain, |roster| roster.rejected = vec![found]), chain.tree(), &by);
    assert_eq!(chain.advance(&rejecting), Ok(()));
    assert_eq!((chain.unsettled().len(), chain.note_rival(&rival)), (0, Ok(false)), "settled once");
    let after = next(&chain, |roster| roster.rejected.clear());
    assert_eq!(chain.advance(&sign(&after, chain.tree(), &by)), Ok(()));
}

#[test]
fn what_too_few_signed_is_no_rival() {
    let mut chain = start();
    let one = sign(&next(&chain, |roster| roster.hold_s = 3_600), chain.tree(), &[("a", 1)]);
    let kept = sign(&next(&chain, |_| {}), chain.tree(), &[("a", 1), ("b", 2)]);
    chain.advance(&kept).expect("valid");
    assert!(matches!(chain.rival(&one), Err(ChainError::TooFewSignatures { version: 1, valid: 1, .. })));
    // Anybody can found another consortium of this name.
    let mut other = first();
    other.hold_s = 3_600;
    let other = sign(&other, &Frontier::empty(), &[("a", 1), ("b", 2)]);
    assert!(matches!(chain.rival(&other), Err(ChainError::NotNext { held: 2, got: 1 })));
}

#[test]
fn groups_are_within_those_around_them_and_everybody() {
    let mut roster = first();
    roster.groups = [(1, None), (2, Some(1)), (3, Some(2)), (4, None)]
        .into_iter()
        .map(|(n, within)| Group { n, word: format!("g{n}"), within })
        .collect();
    roster.members[0].groups = BTreeSet::from([1, 2]);
    let narrower = |inner, outer| roster.is_within(inner, outer);
    assert!(narrower(3, 1) && narrower(3, 3) && narrower(2, 1) && narrower(4, EVERYBODY));
    assert!(!narrower(1, 3) && !narrower(4, 1) && !narrower(EVERYBODY, 1));
    assert!(narrower(9, 9) && narrower(9, EVERYBODY) && !narrower(9, 1), "of an unlisted group");
    let (acme, birch) = (&roster.members[0].id, &roster.members[1].id);
    assert!(roster.is_entitled(acme, 2) && !roster.is_entitled(acme, 3) && !roster.is_entitled(birch, 1));
    assert!(roster.is_entitled(birch, EVERYBODY));
    assert!(!roster.is_entitled(&MemberId::parse("cedar").expect("valid"), EVERYBODY));
}

#[test]
fn rights_are_asked_at_a_place() {
    let acme = MemberId::parse("acme").expect("valid");
    let at = |n, index| LogPlace { n, index };
    let term = Term { member: acme.clone(), from: at(1, 5), until: Some(at(2, 3)) };
    let mut roster = first();
    roster.terms.panel = vec![
        PanelTerm { needed: 2, term: term.clone() },
        PanelTerm { needed: 3, term: Term { from: at(2, 3), until: None, ..term.clone() } },
    ];
    roster.terms.stewards =
        vec![StewardTerm { of: MemberId::parse("birch").expect("valid"), term: term.clone() }];
    roster.terms.declarers = vec![term.clone()];
    roster.terms.erasers = vec![term];
    let needs = |place| roster.ruling_needs(&acme, place);
    assert_eq!(
        [needs(at(1, 4)), needs(at(1, 5)), needs(at(2, 2)), needs(at(2, 3))],
        [None, Some(2), Some(2), Some(3)]
    );
    for (place, covered) in [(at(1, 4), false), (at(1, 5), true), (at(2, 2), true), (at(2, 3), false)] {
        assert_eq!(roster.may_declare(&acme, place), covered);
        assert_eq!(roster.may_erase(&acme, place), covered);
        assert_eq!(roster.is_steward(&roster.members[1].id, &acme, place), covered);
        assert!(!roster.is_steward(&acme, &acme, place), "of another leaver");
    }
}

#[test]
fn features_are_in_use_from_a_claimed_version_on() {
    let mut roster = first();
    roster.features = vec![Feature { word: "weaving".to_owned(), from: 3 }];
    assert!(!roster.is_activated("weaving", 2) && roster.is_activated("weaving", 3));
    assert!(!roster.is_activated("baking", 3));
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
