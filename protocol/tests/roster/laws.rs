//! Laws of rosters and cards over random values, and over every bit of signed ones.

use crate::cards::{CARD_SEED, card};
use crate::sample::{ANA, BEN, NOW_S, file, first, id, log, public, secret, sign, signature, tree_of};
use crate::walk;
use hashpact_protocol::digest::{Root, RosterDigest, empty_root};
use hashpact_protocol::keys::{PublicKey, SecretKey};
use hashpact_protocol::merkle::Frontier;
use hashpact_protocol::note::NoteError;
use hashpact_protocol::roster::{
    ChainError, Feature, GOVERNANCE_MAX, GovernanceKey, Group, LogEntry, LogPlace, LogStatus, Member,
    MemberId, MemberStatus, PRIORITY_ENTRIES_PER_DAY_DEFAULT, PanelTerm, Rejected, Role, Roster, RosterChain,
    RosterRule, SignedRoster, StewardTerm, Term, Terms, VerifiedCard, assemble, sign_card, sign_roster,
};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Hands out a new key each time.
#[derive(Default)]
struct Keys(u64);

impl Keys {
    fn take(&mut self) -> PublicKey {
        self.0 += 1;
        let mut seed = [0xa5; 32];
        seed[..8].copy_from_slice(&self.0.to_be_bytes());
        SecretKey::from_seed(seed).public()
    }
}

/// What a member is made of, before it has keys.
#[derive(Clone, Debug)]
struct Plan {
    name: String,
    is_active: bool,
    roles: BTreeSet<usize>,
    has_cosigner: bool,
    is_witness: bool,
    history_start_s: u64,
    quota: u64,
    closed: Vec<(u64, [u8; 32])>,
    has_open: bool,
    spares: usize,
}

fn plan() -> impl Strategy<Value = Plan> {
    let name = "[A-Za-z0-9à-ö&.,'()-]{1,12}( [A-Za-zぁ-ん]{1,8}){0,2}";
    let who = (name, any::<bool>(), btree_set(0..4usize, 1..=4), any::<bool>(), any::<bool>());
    let what = (0..=253_402_300_799u64, any::<u64>(), vec((1..1u64 << 63, any::<[u8; 32]>()), 0..3));
    (who, what, any::<bool>(), 0..3usize).prop_map(
        |(
            (name, is_active, roles, has_cosigner, is_witness),
            (history_start_s, quota, closed),
            has_open,
            spares,
        )| {
            Plan {
                name,
                is_active,
                roles,
                has_cosigner,
                is_witness,
                history_start_s,
                quota,
                closed,
                has_open,
                spares,
            }
        },
    )
}

/// A term that has ended and one that goes on, for some members.
fn terms((id, plan): (&String, &Plan)) -> Vec<Term> {
    let place = |index| LogPlace { n: 1, index };
    let member = || MemberId::parse(id).unwrap();
    let first = Term { member: member(), from: place(plan.quota % 5), until: Some(place(7)) };
    let second = Term { member: member(), from: place(7 + plan.quota % 3), until: None };
    [first, second].into_iter().take(plan.spares).collect()
}

fn member(id: &str, plan: Plan, keys: &mut Keys) -> Member {
    let mut statuses: Vec<LogStatus> = plan
        .closed
        .iter()
        .map(|(size, root)| LogStatus::Closed { size: *size, root: Root::new(*root) })
        .collect();
    if plan.is_active {
        statuses.extend(plan.has_open.then_some(LogStatus::Open));
        statuses.extend(std::iter::repeat_n(LogStatus::Spare, plan.spares));
    }
    let roles = [Role::Contributor, Role::Hotline, Role::Observer, Role::Auditor];
    Member {
        id: MemberId::parse(id).unwrap(),
        name: plan.name,
        status: if plan.is_active { MemberStatus::Active } else { MemberStatus::Left },
        roles: plan.roles.iter().map(|role| roles[*role]).collect(),
        groups: BTreeSet::new(),
        card_key: keys.take(),
        cosigner_key: plan.has_cosigner.then(|| keys.take()),
        history_start_s: plan.history_start_s,
        quota_entries_per_day: plan.quota,
        priority_entries_per_day: PRIORITY_ENTRIES_PER_DAY_DEFAULT,
        agreement: None,
        records_lapse: false,
        logs: (1..).zip(statuses).map(|(n, status)| LogEntry { n, key: keys.take(), status }).collect(),
    }
}

/// Any roster that obeys the rules, of a moderate size.
fn roster() -> impl Strategy<Value = Roster> {
    let words = || btree_set("[a-z0-9-]{1,32}", 0..3);
    (agreement(), vec(any::<Option<u32>>(), 0..5), words(), words(), any::<[u8; 32]>()).prop_map(
        |(roster, groups, sets, features, digest)| entitled(roster, &groups, sets, features, digest),
    )
}

/// The same with groups, hash sets, features, terms and a rejected rival.
fn entitled(
    mut roster: Roster,
    groups: &[Option<u32>],
    sets: BTreeSet<String>,
    features: BTreeSet<String>,
    digest: [u8; 32],
) -> Roster {
    let inside = |n: u32, within: u32| (n > 1).then(|| 1 + within % (n - 1));
    let group = |(n, within): (u32, &Option<u32>)| Group {
        n,
        word: format!("g{n}"),
        within: within.and_then(|within| inside(n, within)),
    };
    roster.groups = (1..).zip(groups).map(group).collect();
    roster.hash_sets = sets.into_iter().collect();
    let from = |word: String| Feature { from: 1 + u64::from(digest[0]), word };
    roster.features = features.into_iter().map(from).collect();
    if roster.version > 2 {
        let version = 2 + u64::from(digest[1]) % (roster.version - 2);
        roster.rejected = vec![Rejected { version, digest: RosterDigest::new(digest) }];
    }
    for at in 0..roster.members.len() {
        let mut next = u32::from(digest[2 + at]) % (u32::try_from(groups.len()).unwrap() + 1);
        while next > 0 {
            roster.members[at].groups.insert(next);
            next = roster.group(next).unwrap().within.unwrap_or(0);
        }
        let member = &mut roster.members[at];
        member.agreement = digest[7 + at].checked_sub(100).map(|version| 1 + u32::from(version));
        member.priority_entries_per_day = 10_000 * (u64::from(digest[12 + at]) % 3);
        member.records_lapse = !member.is_active() && digest[17 + at] > 99;
    }
    let ids: Vec<MemberId> = roster.members.iter().map(|member| member.id.clone()).collect();
    let needed = u8::try_from(ids.len() / 2 + 1).unwrap();
    let term = |member: &MemberId| Term::from_the_first(member.clone());
    roster.terms.panel = ids.iter().map(|id| PanelTerm { needed, term: term(id) }).collect();
    roster.terms.declarers = ids.iter().skip(1).map(term).collect();
    let leavers = roster.members.iter().filter(|member| !member.is_active());
    let pairs = leavers.flat_map(|leaver| ids.iter().map(move |id| (&leaver.id, id)));
    let others = pairs.filter(|(of, member)| of != member);
    roster.terms.stewards = others.map(|(of, id)| StewardTerm { of: of.clone(), term: term(id) }).collect();
    roster
}

/// A roster as above, before anything but membership is agreed.
fn agreement() -> impl Strategy<Value = Roster> {
    let head = ("[a-z0-9-]{1,64}-[0-9a-f]{16}", 1..1u64 << 63, 0..253_402_300_799u64, any::<[u8; 32]>());
    let governance = btree_set("[a-z0-9-]{1,32}", 1..=GOVERNANCE_MAX);
    let taxonomies = btree_set("[a-z-]{1,32}/[1-9][0-9]{0,8}", 1..4);
    let members = btree_set("[a-z0-9-]{1,32}", 1..5);
    let numbers = (any::<prop::sample::Index>(), 1..=36_525u64 * 86_400, 1..=8_784u64 * 3_600);
    (head, governance, taxonomies, members, vec(plan(), 5), numbers).prop_map(
        |((consortium, version, created_s, previous), governance, taxonomies, ids, plans, numbers)| {
            let mut keys = Keys::default();
            let (threshold, retention_s, hold_s) = numbers;
            let least = governance.len() / 2 + 1;
            let threshold = least + threshold.index(governance.len() - least + 1);
            let witness = |(id, plan): (&String, &Plan)| {
                let fits = plan.is_active && plan.has_cosigner && plan.is_witness;
                fits.then(|| MemberId::parse(id).unwrap())
            };
            Roster {
                consortium,
                version,
                created_s,
                expires_s: created_s + 1,
                previous: (version > 1).then(|| RosterDigest::new(previous)),
                rejected: Vec::new(),
                threshold: u8::try_from(threshold).unwrap(),
                governance: governance
                    .into_iter()
                    .map(|name| GovernanceKey { name, key: keys.take() })
                    .collect(),
                taxonomies: taxonomies.into_iter().collect(),
                hash_sets: Vec::new(),
                retention_s,
                hold_s,
                features: Vec::new(),
                groups: Vec::new(),
                terms: Terms {
                    erasers: ids.iter().zip(&plans).flat_map(terms).collect(),
                    ..Terms::default()
                },
                witnesses: ids.iter().zip(&plans).filter_map(witness).collect(),
                members: ids.iter().zip(plans).map(|(id, plan)| member(id, plan, &mut keys)).collect(),
            }
        },
    )
}

fn never_panics(bytes: &[u8]) {
    if let Ok(roster) = Roster::parse(bytes) {
        assert_eq!(roster.encode(), bytes, "one spelling");
        assert_eq!(roster.check(), Ok(()));
    }
    let _ = SignedRoster::parse_file(bytes);
    let _ = VerifiedCard::verify(bytes, &first(), NOW_S);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn parse_is_the_inverse_of_encode(roster in roster()) {
        prop_assert_eq!(Roster::parse(&roster.encode()), Ok(roster));
    }

    #[test]
    fn garbage_is_refused_without_a_panic(bytes in vec(any::<u8>(), 0..600)) {
        never_panics(&bytes);
        prop_assert!(Roster::parse(&bytes).is_err());
    }

    #[test]
    fn mutated_bodies_have_one_spelling_or_none(
        edits in vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..5u8, any::<u8>()), 1..4),
    ) {
        let mut lines: Vec<Vec<u8>> =
            first().encode().split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        for (at, other, how, byte) in edits {
            let (at, other) = (at.index(lines.len()), other.index(lines.len()));
            match how {
                0 => lines.swap(at, other),
                1 => lines.insert(other, lines[at].clone()),
                2 if lines.len() > 1 => drop(lines.remove(at)),
                3 => lines[at].insert(0, byte),
                _ => {
                    let column = other % lines[at].len();
                    lines[at][column] = byte;
                }
            }
        }
        never_panics(&lines.concat());
    }

    #[test]
    fn mutated_cards_and_files_never_panic(at in any::<prop::sample::Index>(), to in vec(any::<u8>(), 0..4)) {
        for bytes in [sign_card(&card(), &secret(CARD_SEED)), file(&[sign(&first(), &[], &[ANA, BEN])])] {
            let at = at.index(bytes.len());
            let end = (at + to.len()).min(bytes.len());
            never_panics(&[&bytes[..at], &to, &bytes[end..]].concat());
        }
    }
}

/// Every bit flip and every cut of `bytes` must be refused.
fn every_change_is_refused(bytes: &[u8], accepts: impl Fn(&[u8]) -> bool) {
    assert!(accepts(bytes));
    let mut changed = bytes.to_vec();
    for at in 0..bytes.len() {
        assert!(!accepts(&bytes[..at]), "cut at {at}");
        for bit in 0..8 {
            changed[at] ^= 1 << bit;
            assert!(!accepts(&changed), "bit {bit} of byte {at}");
            changed[at] = bytes[at];
        }
    }
}

#[test]
fn every_bit_of_a_signed_roster_counts() {
    let signed = file(&[sign(&first(), &[], &[ANA, BEN])]);
    every_change_is_refused(&signed, |bytes| walk(bytes, None).is_ok());
}

#[test]
fn every_bit_of_a_card_counts() {
    let signed = sign_card(&card(), &secret(CARD_SEED));
    every_change_is_refused(&signed, |bytes| VerifiedCard::verify(bytes, &first(), NOW_S).is_ok());
}

#[test]
fn what_cannot_be_read_is_not_signed() {
    let (body, empty) = (first().encode(), Frontier::empty());
    for name in ["", "Ana", "ana maria", "ana+1", "ana\n"] {
        let outcome = sign_roster(&body, &empty, name, &secret(1));
        assert!(
            matches!(outcome, Err(ChainError::SignerName(RosterRule::Word { .. }))),
            "{name:?}: {outcome:?}"
        );
    }
    let not_next = sign_roster(&body, &tree_of(&[sign(&first(), &[], &[ANA, BEN])]), "ana", &secret(1));
    assert_eq!(not_next, Err(ChainError::NotNext { held: 1, got: 1 }));
    let ana = signature(&body, &empty, ANA);
    let twice = assemble(&body, &empty, vec![ana.clone(), ana.clone()]);
    assert!(
        matches!(twice, Err(ChainError::Note(NoteError::DuplicateSignature { count: 2, .. }))),
        "{twice:?}"
    );
    let mut odd = ana;
    odd.name.push('\n');
    assert!(matches!(assemble(&body, &empty, vec![odd]), Err(ChainError::Note(_))));
    assert!(matches!(assemble(&body, &empty, Vec::new()), Err(ChainError::Note(_))));
}

#[test]
fn a_refused_version_changes_nothing() {
    let mut chain = RosterChain::start(&sign(&first(), &[], &[ANA, BEN]), None).unwrap();
    let held = chain.suffix_from(0).to_vec();
    let mut roster = crate::sample::after(&first());
    roster.members[2].logs.push(log(2, 20, LogStatus::Spare));
    roster.members[2].card_key = public(61);
    assert!(chain.advance(&sign(&roster, &held, &[ANA, BEN])).is_err());
    assert_eq!((chain.version(), chain.suffix_from(0)), (1, held.as_slice()));
    // The keys of the refused version were not remembered either.
    roster.members[2].logs.pop();
    roster.members[1].logs.push(log(4, 61, LogStatus::Spare));
    roster.members[2].card_key = public(20);
    assert_eq!(chain.advance(&sign(&roster, &held, &[ANA, BEN])), Ok(()));
    assert_eq!(chain.root(), tree_of(chain.suffix_from(0)).root());
}

#[test]
fn the_largest_body_is_read_and_one_byte_more_is_not() {
    let mut roster = first();
    let mut keys = Keys::default();
    // Members without logs until the body is nearly full; names fill the rest.
    let filler = |number: usize, keys: &mut Keys| Member {
        id: id(&format!("a{number:03}")),
        name: "n".repeat(80),
        status: MemberStatus::Left,
        roles: BTreeSet::from([Role::Observer]),
        groups: BTreeSet::new(),
        card_key: keys.take(),
        cosigner_key: None,
        history_start_s: 0,
        quota_entries_per_day: 0,
        priority_entries_per_day: PRIORITY_ENTRIES_PER_DAY_DEFAULT,
        agreement: None,
        records_lapse: false,
        logs: (1..=5)
            .map(|n| LogEntry {
                n,
                key: keys.take(),
                status: LogStatus::Closed { size: 0, root: empty_root() },
            })
            .collect(),
    };
    let max = hashpact_protocol::limits::ROSTER_BODY_MAX_BYTES;
    let mut number = 0;
    while roster.encode().len() + 1_200 < max {
        roster.members.insert(number, filler(number, &mut keys));
        number += 1;
    }
    // Each digit of a quota beyond the first is one byte.
    let mut left = max - roster.encode().len();
    for member in &mut roster.members[..number] {
        let digits = left.min(19);
        member.quota_entries_per_day =
            if digits == 0 { 0 } else { 10u64.pow(u32::try_from(digits).unwrap()) };
        left -= digits;
    }
    assert_eq!(roster.encode().len(), max);
    assert_eq!(Roster::parse(&roster.encode()), Ok(roster.clone()));
    roster.members[number].name.push('s');
    let outcome = Roster::parse(&roster.encode()).map(|_| ());
    assert!(outcome.unwrap_err().to_string().contains("196609 bytes"));
}
