//! Who gets what, and in which group something is written.

use super::*;
use hashpact_protocol::digest::LogId;
use hashpact_protocol::keys::SecretKey;
use hashpact_protocol::leaf::{Kind, LeafHeader, seal};
use hashpact_protocol::record::{Record, Retraction, RetractionReason, SubjectRef};
use hashpact_protocol::roster::{
    Group, LogEntry, LogStatus, Member, MemberStatus, PRIORITY_ENTRIES_PER_DAY_DEFAULT, Role, Terms,
};

fn id(text: &str) -> MemberId {
    MemberId::parse(text).expect("valid")
}

pub(crate) fn member(text: &str, groups: &[u32], history_start_s: u64, seed: u8) -> Member {
    let key = |seed| SecretKey::from_seed([seed; 32]).public();
    Member {
        id: id(text),
        name: text.to_owned(),
        status: MemberStatus::Active,
        roles: BTreeSet::from([Role::Contributor]),
        groups: groups.iter().copied().collect(),
        card_key: key(seed),
        cosigner_key: None,
        history_start_s,
        quota_entries_per_day: 1_000,
        priority_entries_per_day: PRIORITY_ENTRIES_PER_DAY_DEFAULT,
        agreement: None,
        records_lapse: false,
        logs: vec![LogEntry { n: 1, key: key(seed + 1), status: LogStatus::Open }],
    }
}

/// Groups 1 and 2, which is a part of 1; acme is in both, birch in the first, cedar in none and new.
pub(crate) fn roster() -> Roster {
    let group = |n, word: &str, within| Group { n, word: word.to_owned(), within };
    Roster {
        consortium: "test-0123456789abcdef".to_owned(),
        version: 1,
        created_s: 1,
        expires_s: 2,
        previous: None,
        rejected: Vec::new(),
        threshold: 1,
        governance: Vec::new(),
        taxonomies: Vec::new(),
        hash_sets: Vec::new(),
        retention_s: 1,
        hold_s: 1,
        features: Vec::new(),
        groups: vec![group(1, "licensees", None), group(2, "licensees-eu", Some(1))],
        members: vec![
            member("acme", &[1, 2], 0, 10),
            member("birch", &[1], 0, 20),
            member("cedar", &[], 1_000, 30),
        ],
        witnesses: Vec::new(),
        terms: Terms::default(),
    }
}

fn leaf(group: u32, time_ms: u64) -> Vec<u8> {
    let subject = SubjectRef { log: LogId::new([7; 32]), index: 0 };
    let record = Record::Retraction(Retraction::new(subject, RetractionReason::default()));
    let header = LeafHeader {
        kind: Kind::Retraction,
        priority: true,
        index: 4,
        time_ms,
        roster_version: 1,
        log_id: LogId::new([9; 32]),
        subject: Some(hashpact_protocol::digest::leaf_hash(b"subject")),
        group,
    };
    seal(header, &record, [1; 32]).expect("a leaf").leaf_bytes.to_vec()
}

fn told(member: &str, author: &str, group: u32, time_ms: u64) -> &'static str {
    let entitled = Entitled::of(&roster(), &id(member), Some(&id(author)));
    let present = WirePayload::Present { salt: [1; 32], padded: vec![0; 128] };
    match entitled.shown(&leaf(group, time_ms), present) {
        WirePayload::Present { .. } => "present",
        WirePayload::Withheld => "withheld",
        _ => "other",
    }
}

#[test]
fn payloads_go_to_members_of_their_group_from_the_history_start_on() {
    let late = 2_000_000;
    for (member, group, time_ms, expected) in [
        ("acme", 2, 0, "present"),
        ("birch", 1, 0, "present"),
        ("birch", 2, 0, "withheld"),
        ("cedar", 0, late, "present"),
        ("cedar", 0, 999_999, "withheld"),
        ("cedar", 1, late, "withheld"),
        // A group of a newer roster than the server's.
        ("acme", 9, late, "withheld"),
        // Nobody's node.
        ("dora", 0, late, "withheld"),
    ] {
        assert_eq!(
            told(member, "elsewhere", group, time_ms),
            expected,
            "{member}, group {group}, at {time_ms}"
        );
    }
    assert_eq!(told("cedar", "cedar", 2, 0), "present", "what it wrote itself");
    let mut left = roster();
    left.members[0].status = MemberStatus::Left;
    let entitled = Entitled::of(&left, &id("acme"), Some(&id("birch")));
    assert!(!entitled.covers(&leaf(0, late)), "who left has a node that may still be connected");
}

#[test]
fn what_is_not_here_is_told_as_withheld_and_what_is_erased_as_erased() {
    let birch = Entitled::of(&roster(), &id("birch"), Some(&id("acme")));
    let erased = WirePayload::ErasedBy { log: [1; 32], index: 3 };
    assert_eq!(birch.shown(&leaf(2, 0), WirePayload::NotHere), WirePayload::Withheld);
    assert_eq!(birch.shown(&leaf(2, 0), erased.clone()), erased);
    assert_eq!(birch.shown(&leaf(1, 0), WirePayload::NotHere), WirePayload::NotHere);
    assert_eq!(Entitled::Nothing.shown(&leaf(1, 0), WirePayload::Withheld), WirePayload::NotHere);
    assert!(birch.covers(b"a leaf of another form"), "beside which there is no payload");
}

#[test]
fn an_entry_is_written_in_the_group_of_its_subject_or_a_narrower_one() {
    let roster = roster();
    let write = |author: &str, asked, subject| group_for(&roster, &id(author), asked, subject);
    assert_eq!(write("acme", None, None), Ok(0));
    assert_eq!(write("birch", None, Some(1)), Ok(1));
    assert_eq!(write("acme", Some("licensees-eu"), Some(1)), Ok(2));
    assert_eq!(write("acme", Some("licensees"), Some(0)), Ok(1));
    let wider = GroupError::Wider { word: "licensees".to_owned(), subject: "licensees-eu".to_owned() };
    assert_eq!(write("acme", Some("licensees"), Some(2)), Err(wider));
    assert_eq!(write("birch", Some("licensees-eu"), None), Err(GroupError::NotIn("licensees-eu".to_owned())));
    let known = vec!["licensees".to_owned(), "licensees-eu".to_owned()];
    let unknown = GroupError::Unknown { word: "friends".to_owned(), known };
    assert_eq!(write("acme", Some("friends"), None), Err(unknown));
}
