//! One small consortium, from fixed seeds.

use hashpact_protocol::digest::{Root, RosterDigest, empty_root, leaf_hash};
use hashpact_protocol::keys::{PublicKey, SecretKey};
use hashpact_protocol::merkle::Frontier;
use hashpact_protocol::note::NoteSignature;
use hashpact_protocol::roster::{
    Feature, GovernanceKey, Group, LogEntry, LogPlace, LogStatus, Member, MemberId, MemberStatus,
    PRIORITY_ENTRIES_PER_DAY_DEFAULT, PanelTerm, Role, Roster, SignedRoster, StewardTerm, Term, Terms,
    assemble, sign_roster,
};
use std::collections::BTreeSet;

pub(crate) const NOW_S: u64 = 1_800_000_000;
pub(crate) const CONSORTIUM: &str = "hearth-0011223344556677";

/// Who signs as governance: name and seed.
pub(crate) type Signer = (&'static str, u8);
pub(crate) const ANA: Signer = ("ana", 1);
pub(crate) const BEN: Signer = ("ben", 2);
pub(crate) const CHO: Signer = ("cho", 3);

pub(crate) fn secret(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

pub(crate) fn public(seed: u8) -> PublicKey {
    secret(seed).public()
}

pub(crate) fn id(text: &str) -> MemberId {
    MemberId::parse(text).unwrap()
}

pub(crate) fn log(n: u32, seed: u8, status: LogStatus) -> LogEntry {
    LogEntry { n, key: public(seed), status }
}

/// Root of a tree of one leaf, for closed logs.
pub(crate) fn some_root() -> Root {
    let mut tree = Frontier::empty();
    tree.append(leaf_hash(b"entry"));
    tree.root()
}

fn member(text: &str, name: &str, roles: &[Role], first_seed: u8, logs: Vec<LogEntry>) -> Member {
    Member {
        id: id(text),
        name: name.to_owned(),
        status: MemberStatus::Active,
        roles: roles.iter().copied().collect(),
        groups: BTreeSet::new(),
        card_key: public(first_seed),
        cosigner_key: Some(public(first_seed + 1)),
        history_start_s: 0,
        quota_entries_per_day: 1_000_000,
        logs,
        priority_entries_per_day: PRIORITY_ENTRIES_PER_DAY_DEFAULT,
        agreement: None,
        records_lapse: false,
    }
}

/// Version 1, with every kind of line.
pub(crate) fn first() -> Roster {
    let closed = LogStatus::Closed { size: 1, root: some_root() };
    let north_logs = vec![log(1, 12, closed), log(2, 13, LogStatus::Open), log(3, 14, LogStatus::Spare)];
    let left_log = log(1, 42, LogStatus::Closed { size: 0, root: empty_root() });
    let east = member("east", "East Light", &[Role::Observer], 40, vec![left_log]);
    let south = member("south", "Süd & Söhne", &[Role::Contributor], 20, vec![log(1, 22, LogStatus::Open)]);
    Roster {
        consortium: CONSORTIUM.to_owned(),
        version: 1,
        created_s: NOW_S,
        expires_s: NOW_S + 365 * 86_400,
        previous: None,
        rejected: Vec::new(),
        threshold: 2,
        governance: [ANA, BEN, CHO]
            .iter()
            .map(|(name, seed)| GovernanceKey { name: (*name).to_owned(), key: public(*seed) })
            .collect(),
        taxonomies: vec!["cg-taxonomy/1".to_owned()],
        hash_sets: Vec::new(),
        retention_s: 90 * 86_400,
        hold_s: 72 * 3_600,
        features: Vec::new(),
        groups: Vec::new(),
        members: vec![
            Member { status: MemberStatus::Left, cosigner_key: None, quota_entries_per_day: 1_000, ..east },
            member("north", "North Star", &[Role::Contributor, Role::Hotline], 10, north_logs),
            Member { history_start_s: 1_790_000_000, ..south },
        ],
        witnesses: vec![id("north"), id("south")],
        terms: Terms::default(),
    }
}

/// The same with erasure authorities: one whose term ended and began again, and another.
pub(crate) fn with_erasers() -> Roster {
    let place = |n, index| LogPlace { n, index };
    let term = |member, from, until| Term { member: id(member), from, until };
    let erasers = vec![
        term("north", place(1, 0), Some(place(2, 5))),
        term("north", place(2, 9), None),
        term("south", place(1, 0), None),
    ];
    Roster { terms: Terms { erasers, ..Terms::default() }, ..first() }
}

/// The same with every right and agreement that a roster can carry.
pub(crate) fn with_rights() -> Roster {
    let term = |member, index| Term { member: id(member), from: LogPlace { n: 1, index }, until: None };
    let ended = Term { until: Some(LogPlace { n: 2, index: 7 }), ..term("north", 3) };
    let panellist = |needed, term| PanelTerm { needed, term };
    let mut roster = with_erasers();
    roster.hash_sets = vec!["cg-csam".to_owned(), "model-weights".to_owned()];
    roster.features = vec![
        Feature { word: "counting".to_owned(), from: 1 },
        Feature { word: "weaving".to_owned(), from: 9 },
    ];
    roster.groups = [("licensees", None), ("hotlines", None), ("licensees-eu", Some(1))]
        .into_iter()
        .zip(1..)
        .map(|((word, within), n)| Group { n, word: word.to_owned(), within })
        .collect();
    roster.members[0].records_lapse = true;
    roster.members[1].groups = BTreeSet::from([1, 2, 3]);
    roster.members[1].agreement = Some(3);
    roster.members[2].groups = BTreeSet::from([1]);
    roster.members[2].priority_entries_per_day = 500;
    roster.terms = Terms {
        panel: vec![
            panellist(1, ended.clone()),
            panellist(2, Term { from: LogPlace { n: 2, index: 7 }, ..term("north", 0) }),
            panellist(2, term("south", 4)),
        ],
        declarers: vec![term("north", 0), term("south", 5)],
        stewards: vec![
            StewardTerm { of: id("east"), term: ended },
            StewardTerm { of: id("east"), term: term("south", 0) },
        ],
        ..roster.terms
    };
    roster
}

/// The version after this one, before any change.
pub(crate) fn after(roster: &Roster) -> Roster {
    Roster {
        version: roster.version + 1,
        previous: Some(RosterDigest::of_body(&roster.encode())),
        ..roster.clone()
    }
}

/// The tree of these versions.
pub(crate) fn tree_of(versions: &[SignedRoster]) -> Frontier {
    let mut tree = Frontier::empty();
    for version in versions {
        tree.append(leaf_hash(&version.body));
    }
    tree
}

pub(crate) fn signature(body: &[u8], before: &Frontier, (name, seed): Signer) -> NoteSignature {
    sign_roster(body, before, name, &secret(seed)).unwrap()
}

/// Signs a version on top of others.
pub(crate) fn sign(roster: &Roster, before: &[SignedRoster], signers: &[Signer]) -> SignedRoster {
    let (body, before) = (roster.encode(), tree_of(before));
    let signatures = signers.iter().map(|signer| signature(&body, &before, *signer)).collect();
    assemble(&body, &before, signatures).unwrap()
}

/// Several versions after each other.
pub(crate) fn file(versions: &[SignedRoster]) -> Vec<u8> {
    versions.iter().flat_map(SignedRoster::encode).collect()
}
