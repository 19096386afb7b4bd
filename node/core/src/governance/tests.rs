//! Edits, what they are told apart by, and every message about them (`tests/vectors/messages/`).

use super::*;
use hashpact_protocol::digest::{RosterDigest, empty_root, leaf_hash};
use hashpact_protocol::keys::{PublicKey, SecretKey};
use hashpact_protocol::merkle::Frontier;
use hashpact_protocol::roster::{
    GovernanceKey, LogEntry, LogStatus, Member, MemberId, MemberStatus, PRIORITY_ENTRIES_PER_DAY_DEFAULT,
    Rejected, Role, Roster, RosterChain, SignedRoster, Terms, assemble, sign_roster,
};
use std::collections::BTreeSet;
use std::fmt::Write as _;

const NOW_S: u64 = 1_800_000_000;
const DAY_S: u64 = 86_400;

fn key(seed: u8) -> PublicKey {
    SecretKey::from_seed([seed; 32]).public()
}

fn id(text: &str) -> MemberId {
    MemberId::parse(text).expect("valid")
}

fn member(text: &str, name: &str, seed: u8) -> Member {
    Member {
        id: id(text),
        name: name.to_owned(),
        status: MemberStatus::Active,
        roles: BTreeSet::from([Role::Contributor]),
        groups: BTreeSet::new(),
        card_key: key(seed),
        cosigner_key: Some(key(seed + 1)),
        history_start_s: 0,
        quota_entries_per_day: 5_000_000,
        priority_entries_per_day: PRIORITY_ENTRIES_PER_DAY_DEFAULT,
        agreement: None,
        records_lapse: false,
        logs: vec![LogEntry { n: 1, key: key(seed + 2), status: LogStatus::Open }],
    }
}

/// Acme, Birch and Cedar, with two of three governance keys.
fn first() -> Roster {
    Roster {
        consortium: "test-0123456789abcdef".to_owned(),
        version: 1,
        created_s: NOW_S,
        expires_s: NOW_S + 365 * DAY_S,
        previous: None,
        rejected: Vec::new(),
        threshold: 2,
        governance: [("ana", 1), ("ben", 2), ("cho", 3)]
            .map(|(name, seed)| GovernanceKey { name: name.to_owned(), key: key(seed) })
            .to_vec(),
        taxonomies: vec!["cg-taxonomy/1".to_owned()],
        hash_sets: Vec::new(),
        retention_s: 90 * DAY_S,
        hold_s: 72 * 3_600,
        features: Vec::new(),
        groups: Vec::new(),
        members: vec![
            member("acme", "Acme Ltd", 10),
            member("birch", "Birch & Sons", 20),
            member("cedar", "Cedar", 30),
        ],
        witnesses: vec![id("acme"), id("birch")],
        terms: Terms::default(),
    }
}

fn next(held: &Roster) -> Roster {
    successor(held, RosterDigest::of_body(&held.encode()), NOW_S + 1_000, 365 * DAY_S)
}

/// Applies options as they are typed; an error leaves the roster as far as it came.
fn edit(roster: &mut Roster, options: &[(&'static str, &str)]) -> Result<(), EditError> {
    options.iter().try_for_each(|(option, text)| {
        let edit = Edit::parse(option, text).unwrap_or_else(|| panic!("--{option} is an edit"));
        apply(roster, edit?)
    })
}

/// A version that was changed much, from which further changes start.
fn busy() -> Roster {
    let mut roster = next(&first());
    edit(
        &mut roster,
        &[
            ("group", "licensees"),
            ("group", "licensees-eu:licensees"),
            ("in-group", "acme=licensees-eu"),
            ("hash-set", "cg-csam"),
            ("feature", "weaving@9"),
            ("declarer", "acme"),
            ("eraser", "birch@1:40"),
            ("panel", "2=acme,birch@1:40,cedar@1:7"),
        ],
    )
    .expect("valid");
    assert_eq!(roster.check(), Ok(()));
    roster
}

/// Signed by everybody whom this version or the one before lists.
fn signed(roster: &Roster, held: &Roster, before: &Frontier) -> SignedRoster {
    let body = roster.encode();
    let holders = [("ana", 1), ("ben", 2), ("cho", 3), ("cho", 90), ("dora", 90)];
    let listed = |name: &str, seed: u8| {
        let mut governance = roster.governance.iter().chain(&held.governance);
        governance.any(|listed| listed.name == name && listed.key == key(seed))
    };
    let by = holders.iter().filter(|(name, seed)| listed(name, *seed));
    let sign = |(name, seed): &(&str, u8)| {
        sign_roster(&body, before, name, &SecretKey::from_seed([*seed; 32])).expect("a roster")
    };
    assemble(&body, before, by.map(sign).collect()).expect("signed")
}

/// Compares a golden file, or rewrites it with `UPDATE_GOLDEN=1`.
#[expect(
    clippy::disallowed_methods,
    reason = "the test reads and writes files, the crate under test does not"
)]
fn check_golden(name: &str, content: &str) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/messages");
    let path = folder.join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(&path, content).expect("written");
    }
    let held = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(held, content, "{} differs; if that is meant, run with UPDATE_GOLDEN=1", path.display());
}

/// What is typed, and on which version.
type Mistake = (fn() -> Roster, &'static [(&'static str, &'static str)]);

#[test]
fn every_mistake_in_a_proposal_has_its_message() {
    let mistakes: &[Mistake] = &[
        (first, &[("threshold", "two")]),
        (first, &[("threshold", "1")]),
        (first, &[("threshold", "4")]),
        (first, &[("threshold", "2")]),
        (first, &[("governance", "dora")]),
        (first, &[("governance", "dora=12ab")]),
        (first, &[("no-governance", "dora")]),
        (first, &[("no-governance", "ana"), ("no-governance", "ben")]),
        (first, &[("taxonomy", "cg-taxonomy")]),
        (first, &[("taxonomy", "cg-taxonomy/1")]),
        (first, &[("no-taxonomy", "cg-taxonomy/1")]),
        (first, &[("hash-set", "CG CSAM")]),
        (first, &[("no-hash-set", "cg-csam")]),
        (first, &[("feature", "weaving@soon")]),
        (first, &[("group", "Licensees")]),
        (first, &[("group", "eu:licensees")]),
        (busy, &[("group", "licensees")]),
        (first, &[("in-group", "acme")]),
        (first, &[("in-group", "acme=licensees")]),
        (busy, &[("in-group", "dora=licensees")]),
        (busy, &[("in-group", "acme=licensees")]),
        (busy, &[("out-of-group", "acme=licensees")]),
        (busy, &[("out-of-group", "birch=licensees")]),
        (first, &[("name", "acme=")]),
        (first, &[("name", "Acme=Acme")]),
        (first, &[("role", "acme=king")]),
        (first, &[("role", "acme=contributor")]),
        (first, &[("no-role", "acme=hotline")]),
        (first, &[("no-role", "acme=contributor")]),
        (first, &[("card-key", "acme=abc")]),
        (first, &[("quota", "acme=many")]),
        (first, &[("agreement", "acme=0")]),
        (first, &[("records-lapse", "acme")]),
        (first, &[("leave", "acme")]),
        (first, &[("leave", "dora")]),
        (first, &[("close", "acme=5")]),
        (first, &[("close", "acme=5:00"), ("leave", "acme")]),
        (first, &[("open-spare", "acme")]),
        (first, &[("witness", "dora")]),
        (first, &[("witness", "acme")]),
        (first, &[("no-witness", "cedar")]),
        (first, &[("declarer", "acme@5")]),
        (busy, &[("declarer", "acme@1:5")]),
        (busy, &[("end-declarer", "acme")]),
        (busy, &[("end-declarer", "cedar@1:5")]),
        (busy, &[("end-eraser", "birch@1:40")]),
        (busy, &[("end-eraser", "birch@1:50"), ("eraser", "birch")]),
        (busy, &[("end-eraser", "birch@1:50"), ("eraser", "birch@1:45")]),
        (first, &[("panel", "acme,birch")]),
        (first, &[("panel", "1=acme,birch")]),
        (first, &[("panel", "3=acme,birch")]),
        (busy, &[("panel", "2=acme,birch@1:50")]),
        (busy, &[("panel", "2=acme@1:5,birch@1:50")]),
        (busy, &[("end-panellist", "cedar@1:9"), ("end-panellist", "birch@1:50")]),
        (first, &[("steward", "birch")]),
        (first, &[("steward", "birch=acme")]),
        (first, &[("retention-s", "0")]),
        (first, &[("hold-s", "99999999")]),
    ];
    let mut text = String::new();
    for (start, options) in mistakes {
        let held = start();
        let mut roster = next(&held);
        let outcome = edit(&mut roster, options).map_err(|error| error.to_string());
        let outcome = outcome.and_then(|()| roster.check().map_err(|rule| rule.to_string()));
        let typed: Vec<String> =
            options.iter().map(|(option, value)| format!("--{option} {value:?}")).collect();
        let held = if held.version == 1 { "" } else { "busy: " };
        let outcome = outcome.err().unwrap_or_else(|| "accepted".to_owned());
        writeln!(text, "{held}{}\n    {outcome}", typed.join(" ")).expect("a string takes every write");
        assert_ne!(outcome, "accepted", "{typed:?}");
    }
    check_golden("roster-propose.txt", &text);
}

/// What is typed in one proposal, and who would sign it.
#[test]
fn every_change_is_told_in_words() {
    let root = empty_root().to_hex();
    let close = |id: &str, size: u64| format!("{id}={size}:{}", leaf_hash(b"a tree").to_hex());
    let (new_key, other_key) = (key(90).to_hex(), key(91).to_hex());
    let text = |parts: &[(&'static str, String)], held: &Roster| {
        let mut roster = next(held);
        for (option, value) in parts {
            edit(&mut roster, &[(*option, value)])
                .unwrap_or_else(|error| panic!("--{option} {value}: {error}"));
        }
        assert_eq!(roster.check(), Ok(()), "{parts:?}");
        let mut chain = RosterChain::start(&signed(held, held, &Frontier::empty()), None).expect("valid");
        chain
            .advance(&signed(&roster, held, chain.tree()))
            .unwrap_or_else(|error| panic!("{parts:?}: {error}"));
        let typed: Vec<String> = parts.iter().map(|(option, value)| format!("--{option} {value}")).collect();
        let told: Vec<String> = differences(held, &roster).iter().map(ToString::to_string).collect();
        format!("# {}\n{}\n\n", typed.join(" "), told.join("\n"))
    };
    let set = |options: &[(&'static str, &str)]| -> Vec<(&'static str, String)> {
        options.iter().map(|(option, value)| (*option, (*value).to_owned())).collect()
    };
    // Version 1 with all that `busy` has, so that the chain can begin with it.
    let held = Roster { version: 1, previous: None, ..busy() };
    let proposals = [
        set(&[("threshold", "3"), ("governance", &format!("dora={new_key}")), ("no-governance", "cho")]),
        set(&[("governance", &format!("cho={new_key}"))]),
        set(&[("hash-set", "weights"), ("no-hash-set", "cg-csam"), ("taxonomy", "cg-taxonomy/2")]),
        set(&[
            ("retention-s", "2592000"),
            ("hold-s", "3600"),
            ("feature", "spinning"),
            ("feature", "weaving@4"),
        ]),
        set(&[("group", "hotlines"), ("group", "hotlines-uk:hotlines"), ("in-group", "cedar=hotlines-uk")]),
        set(&[("out-of-group", "acme=licensees-eu"), ("name", "acme=Acme GmbH"), ("agreement", "acme=2")]),
        set(&[
            ("role", "acme=hotline"),
            ("history-s", "cedar=1790000000"),
            ("quota", "cedar=1000"),
            ("priority", "cedar=50"),
        ]),
        set(&[("card-key", &format!("acme={new_key}")), ("cosigner-key", &format!("acme={other_key}"))]),
        set(&[
            ("spare", &format!("acme={new_key}")),
            ("close", &close("acme", 1_234)),
            ("open-spare", "acme"),
        ]),
        set(&[
            ("close", &close("birch", 2_000)),
            ("leave", "birch"),
            ("end-eraser", "birch@1:2000"),
            ("end-panellist", "birch@1:2000"),
            ("panel", "2=acme@1:500,cedar@1:900"),
            ("steward", "birch=acme"),
        ]),
        set(&[
            ("close", &close("cedar", 20)),
            ("end-panellist", "cedar@1:20"),
            ("panel", "2=acme@1:3,birch@1:50"),
            ("leave", "cedar"),
            ("records-lapse", "cedar"),
        ]),
        set(&[("close", &format!("cedar=0:{root}"))]),
        set(&[("witness", "cedar"), ("no-witness", "acme")]),
        set(&[("end-declarer", "acme@1:77"), ("declarer", "cedar"), ("declarer", "acme@1:90")]),
        set(&[("panel", "2=acme@1:500,birch@1:60,cedar@1:900"), ("eraser", "cedar")]),
    ];
    let mut told: String = proposals.iter().map(|parts| text(parts, &held)).collect();
    let mut rejecting = next(&next(&held));
    let rival = Rejected { version: 2, digest: RosterDigest::of_body(b"a rival") };
    apply(&mut rejecting, Edit::Reject(rival)).expect("valid");
    apply(&mut rejecting, Edit::Join(Box::new(member("dora", "Dora", 60)))).expect("valid");
    let reads: Vec<String> = differences(&held, &rejecting).iter().map(ToString::to_string).collect();
    writeln!(told, "# a rival is rejected, and dora joins\n{}", reads.join("\n"))
        .expect("a string takes every write");
    check_golden("roster-diff.txt", &told);
}

#[test]
fn nothing_is_different_about_the_same() {
    let held = busy();
    assert_eq!(differences(&held, &held), []);
    let after = Roster { created_s: held.created_s + 1, ..held.clone() };
    assert_eq!(differences(&held, &after), [], "when a version was made is told elsewhere");
}

#[test]
fn an_id_is_never_used_again() {
    let mut roster = next(&first());
    let again = Edit::Join(Box::new(member("acme", "Another", 60)));
    assert_eq!(apply(&mut roster, again), Err(EditError::Taken(id("acme"))));
    let close = format!("acme=5:{}", leaf_hash(b"a tree").to_hex());
    edit(&mut roster, &[("close", &close), ("leave", "acme")]).expect("valid");
    assert_eq!(roster.witnesses, [id("birch")], "a leaver witnesses no more");
    let back = edit(&mut roster, &[("leave", "acme")]);
    assert_eq!(back, Err(EditError::HasLeft(id("acme"))));
}

#[test]
fn a_successor_is_made_now_and_never_before_its_predecessor() {
    let held = first();
    let digest = RosterDigest::of_body(&held.encode());
    let after = successor(&held, digest, NOW_S - 50, 1_000);
    assert_eq!((after.version, after.created_s, after.expires_s), (2, NOW_S, NOW_S + 1_000));
    assert_eq!(after.previous, Some(digest));
}

#[test]
fn numbers_have_commas() {
    let shown = [0, 12, 123, 1_234, 123_456, 1_234_567].map(thousands);
    assert_eq!(shown, ["0", "12", "123", "1,234", "123,456", "1,234,567"]);
}
