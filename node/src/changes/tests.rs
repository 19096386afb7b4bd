//! The feed over real rows and a real database, without sockets.

use super::writer::COMPARED_MAX;
use super::*;
use crate::lists::read_toml;
use crate::lookup::Question;
use hashpact_core::effect::{EntryRef, StoredEntry, StoredPayload};
use hashpact_core::policy::{Decision, FloodLimits, Floods, MemberFacts, Policy};
use hashpact_core::view::{Author, ErasureRules, News, Ruled, RulingChange, View};
use hashpact_protocol::api;
use hashpact_protocol::digest::{LogId, RecordId};
use hashpact_protocol::leaf::{LeafHeader, seal};
use hashpact_protocol::record::{
    Content, Erasure, ErasureBasis, ErasureReason, Label, Opinion, OpinionValue, Reason, Record, Retraction,
    RetractionReason, Review, RulingReason, Signal, SignalType, SubjectRef, Verdict,
};
use hashpact_protocol::roster::MemberId;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Long ago: what this process's clock says must not matter.
const NOW_MS: u64 = 1_700_000_000_000;
const BLOCK: &str = "name = \"confirmed\"\noutcome = \"block\"\nreview_min = \"dual\"\ndisagree_max = 0\n";

/// Two members' logs, and what a node makes of them over its restarts.
struct World {
    store: Arc<Store>,
    lookup: Arc<Lookup>,
    view: View,
    feed: Arc<Feed>,
    entries: Vec<(Author, u64, StoredEntry)>,
    counts: BTreeMap<String, u64>,
    keep: u64,
    now_ms: u64,
    local: Local,
    flood: u64,
    _dir: tempfile::TempDir,
}

fn author(member: &str) -> Author {
    let log = LogId::of_origin(&format!("test-0000000000000000/{member}/1"));
    Author::new(MemberId::parse(member).expect("valid"), 1, log)
}

fn local(lists: &[&str], muted: &[&str]) -> Local {
    let lists = lists.iter().map(|text| Arc::new(read_toml(text).expect("a list")));
    let members = ["north", "south", "east"].map(|member| {
        let facts = MemberFacts { muted: muted.contains(&member), ..MemberFacts::default() };
        (MemberId::parse(member).expect("valid"), facts)
    });
    let policy = Policy::new(lists, Arc::new(members.into_iter().collect()));
    Local { policy: Arc::new(policy), ..Local::default() }
}

fn content(value: u8) -> Content {
    let pdq = Signal::new(SignalType::Pdq, &[value | 0x11; 32], Some(90)).expect("valid");
    let mut content = Content::new(vec![pdq]).expect("valid");
    content.review = Label::Known(Review::Dual);
    content
}

impl World {
    fn new(keep: u64, lists: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("temporary folder");
        let store = Store::create(&dir.path().join("db"), "test-0011223344556677", "north").expect("fresh");
        let (store, flood) = (Arc::new(store), 1_000_000);
        let local = local(lists, &[]);
        let (lookup, view) = replay(&[], NOW_MS, &local, flood);
        let feed = Feed::begin(Arc::clone(&lookup), Arc::clone(&store), keep).expect("begun");
        let (entries, counts, now_ms) = (Vec::new(), BTreeMap::new(), NOW_MS);
        Self { store, lookup, view, feed, entries, counts, keep, now_ms, local, flood, _dir: dir }
    }

    /// Another process over the same database, `later_ms` later.
    fn restart(&mut self, is_clean: bool, later_ms: u64) {
        self.feed.finish(is_clean);
        self.now_ms += later_ms;
        (self.lookup, self.view) = replay(&self.entries, self.now_ms, &self.local, self.flood);
        let (lookup, store) = (Arc::clone(&self.lookup), Arc::clone(&self.store));
        self.feed = Feed::begin(lookup, store, self.keep).expect("begun");
    }

    fn enter(&mut self, by: &str, record: &Record, subject: Option<RecordId>) -> (RecordId, SubjectRef) {
        let author = author(by);
        let count = self.counts.entry(by.to_owned()).or_default();
        let index = *count;
        *count += 1;
        let header = LeafHeader {
            kind: record.kind(),
            priority: false,
            index,
            time_ms: NOW_MS,
            roster_version: 1,
            log_id: author.log,
            subject,
            group: 0,
        };
        let sealed = seal(header, record, [index as u8; 32]).expect("valid");
        let id = sealed.record_id();
        let payload = StoredPayload::Present { salt: sealed.salt, padded: sealed.padded };
        let entry = StoredEntry { leaf: sealed.leaf_bytes.to_vec(), payload };
        let place = SubjectRef { log: author.log, index };
        self.entries.push((author, index, entry));
        (id, place)
    }

    /// States a record, folds it, tells the look-ups.
    fn state(&mut self, by: &str, record: &Record, subject: Option<RecordId>) -> (RecordId, SubjectRef) {
        let stated = self.enter(by, record, subject);
        let (author, index, entry) = self.entries.last().expect("just pushed");
        self.lookup.apply(&self.view.fold(author, *index, &entry.leaf, &entry.payload));
        stated
    }

    /// The rows from a sequence on, once there are so many.
    fn rows(&self, from: u64, count: u64) -> Vec<ChangeRow> {
        let until = Instant::now() + Duration::from_secs(60);
        while self.progress().next < from + count {
            assert!(Instant::now() < until, "{:?}", self.progress());
            std::thread::yield_now();
        }
        let cursor = ChangeCursor { epoch: self.progress().epoch, sequence: from - 1 };
        let rows = self.feed.after(cursor, usize::MAX).expect("kept");
        assert_eq!(rows.len() as u64, count, "{rows:?}");
        assert!(rows.iter().map(|(sequence, _)| *sequence).eq(from..from + count), "without a gap");
        rows.into_iter().map(|(_, row)| row).collect()
    }

    fn progress(&self) -> FeedProgress {
        *self.feed.progress().borrow()
    }
}

fn replay(
    entries: &[(Author, u64, StoredEntry)],
    now_ms: u64,
    local: &Local,
    flood: u64,
) -> (Arc<Lookup>, View) {
    let lookup = Lookup::new(1);
    let limits = FloodLimits { contributions_per_hour: flood, withdrawals_per_hour: flood };
    lookup.set_floods(Floods::new(limits, []));
    lookup.set_local(local.clone());
    let mut view = View::under(ErasureRules::default(), now_ms, [0; 16]);
    for (author, index, entry) in entries {
        lookup.apply(&view.fold(author, *index, &entry.leaf, &entry.payload));
    }
    lookup.set_loaded();
    (Arc::new(lookup), view)
}

/// Status before and after, outcome before and after, cause.
fn told(row: &ChangeRow) -> String {
    let cause = row
        .cause
        .as_ref()
        .map(|cause| format!(" because {} {}", cause.what, cause.name.as_deref().unwrap_or_default()));
    let cause = cause.unwrap_or_default();
    let Some(record) = &row.record else { return format!("snapshot{cause}") };
    let decided = |decided: &Option<crate::storage::DecidedRow>| {
        decided
            .as_ref()
            .map_or("none".to_owned(), |decided| format!("{} by {}", decided.outcome, decided.list))
    };
    format!(
        "{} > {}: {} > {}{cause}",
        record.status_before.as_deref().unwrap_or("new"),
        record.status_after,
        decided(&record.before),
        decided(&record.after)
    )
}

fn disagree(place: SubjectRef) -> Record {
    Record::Opinion(Opinion::new(place, OpinionValue::Disagree, Reason::BenignCollision))
}

fn retraction(place: SubjectRef) -> Record {
    Record::Retraction(Retraction::new(place, RetractionReason::Error))
}

#[test]
fn a_record_is_followed_from_its_statement_to_its_erasure() {
    let mut world = World::new(1_000, &[BLOCK]);
    let (id, place) = world.state("south", &Record::Content(content(1)), None);
    let unsure = Opinion::new(place, OpinionValue::Unsure, Reason::Other);
    world.state("north", &Record::Opinion(unsure), Some(id));
    world.state("north", &disagree(place), Some(id));
    let (other, other_place) = world.state("south", &Record::Content(content(2)), None);
    // What is sealed before it is judged cannot be judged any more.
    world.rows(1, 3);
    world.state("south", &retraction(place), Some(id));
    let erasure = Erasure::new(other_place, ErasureReason::Error, ErasureBasis::Own);
    world.state("south", &Record::Erasure(erasure), Some(other));
    let rows = world.rows(1, 5);
    let all: Vec<String> = rows.iter().map(told).collect();
    assert_eq!(
        all,
        [
            "new > active: none > block by confirmed",
            "active > disputed: block by confirmed > review by built-in",
            "new > active: none > block by confirmed",
            "disputed > retracted: review by built-in > none",
            "active > sealed: block by confirmed > none",
        ],
        "an opinion that changes nothing is not told"
    );
    let first = rows[1].record.as_ref().expect("a record");
    assert_eq!(first.id, *id.as_bytes());
    let turns: Vec<(&str, Option<&str>, Option<&str>)> = first
        .lists
        .iter()
        .map(|turn| (turn.list.as_str(), turn.before.as_deref(), turn.after.as_deref()))
        .collect();
    assert_eq!(turns, [("confirmed", Some("block"), None)], "built-in says review as before");
}

#[test]
fn a_clean_stop_goes_on_and_tells_what_expired_meanwhile() {
    let mut world = World::new(1_000, &[BLOCK]);
    let expiring = |value: u8, after_s: u64| {
        let mut content = content(value);
        content.expires_s = Some(NOW_MS / 1_000 + after_s);
        Record::Content(content)
    };
    world.state("south", &expiring(1, 10), None);
    let (second, place) = world.state("south", &expiring(2, 100), None);
    world.state("south", &expiring(4, 1_000_000), None);
    world.state("north", &disagree(place), Some(second));
    world.lookup.apply(&world.view.expire(NOW_MS + 10_000));
    world.rows(1, 5);
    let before = world.progress();
    world.restart(true, 500_000);
    assert_eq!(world.progress().epoch, before.epoch);
    assert_eq!(told(&world.rows(5, 2)[1]), "disputed > expired: review by built-in > none");
    world.restart(true, 1_000);
    world.state("south", &Record::Content(content(8)), None);
    assert_eq!(told(&world.rows(7, 1)[0]), "new > active: none > block by confirmed", "nothing came twice");
    assert_eq!(world.progress().epoch, before.epoch);
}

#[test]
fn what_cannot_be_vouched_for_begins_another_epoch() {
    let mut world = World::new(1_000, &[]);
    let (id, place) = world.state("south", &Record::Content(content(1)), None);
    world.rows(1, 1);
    let mut epochs = vec![world.progress().epoch];
    // A crash.
    world.restart(false, 0);
    epochs.push(world.progress().epoch);
    assert_eq!((world.progress().first, world.progress().next), (1, 1), "without rows");
    // A clean stop, and an entry that nobody was told of.
    world.enter("south", &retraction(place), Some(id));
    world.restart(true, 0);
    epochs.push(world.progress().epoch);
    // A crash after a clean stop and start.
    world.restart(true, 0);
    assert_eq!(world.progress().epoch, epochs[2]);
    world.restart(false, 0);
    epochs.push(world.progress().epoch);
    epochs.sort_unstable();
    epochs.dedup();
    assert_eq!(epochs.len(), 4);
    let old = ChangeCursor { epoch: epochs[0] ^ 1, sequence: 0 };
    assert!(matches!(world.feed.after(old, 1), Err(FeedError::OtherEpoch)));
}

#[test]
fn decisions_are_told_by_what_they_change() {
    let mut world = World::new(1_000_000, &[]);
    world.state("south", &Record::Content(content(1)), None);
    let mut poor = content(2);
    poor.review = Label::Known(Review::Unreviewed);
    world.state("east", &Record::Content(poor), None);
    world.rows(1, 2);
    let renamed = BLOCK.replace("disagree_max", "note = \"the same\"\ndisagree_max");
    for (lists, muted, expected) in [
        (
            vec![BLOCK],
            vec![],
            "active > active: review by built-in > block by confirmed because list confirmed",
        ),
        (vec![BLOCK], vec!["south"], "active > active: block by confirmed > none because mute south"),
        (vec![BLOCK], vec![], "active > active: none > block by confirmed because unmute south"),
        (
            vec![],
            vec![],
            "active > active: block by confirmed > review by built-in because list_deleted confirmed",
        ),
    ] {
        let next = world.progress().next;
        world.local = local(&lists, &muted);
        world.lookup.set_local(world.local.clone());
        assert_eq!(told(&world.rows(next, 1)[0]), expected);
    }
    // A decision that changes nothing is not told; one taken while the node is down cannot be compared.
    let next = world.progress().next;
    world.lookup.set_local(local(&[BLOCK, &renamed.replace("confirmed", "again")], &[]));
    world.rows(next, 1);
    world
        .lookup
        .set_local(local(&[BLOCK, &renamed.replace("confirmed", "again").replace("the same", "x")], &[]));
    world.lookup.set_local(local(&[], &[]));
    world.rows(next, 2);
    let epoch = world.progress().epoch;
    world.local = Local { name: "-other".into(), ..local(&[], &["south"]) };
    world.restart(true, 0);
    assert_eq!(told(&world.rows(next + 2, 1)[0]), "snapshot because restart ");
    assert_eq!(world.progress().epoch, epoch);
}

#[test]
fn a_decision_that_changes_too_much_is_one_line() {
    let mut world = World::new(1_000_000, &[]);
    let mut changes = Vec::new();
    for _ in 0..=COMPARED_MAX {
        world.enter("south", &Record::Content(content(1)), None);
        let (author, index, entry) = world.entries.last().expect("just pushed");
        changes.extend(world.view.fold(author, *index, &entry.leaf, &entry.payload));
    }
    world.lookup.apply(&changes);
    let all = COMPARED_MAX as u64 + 1;
    world.rows(1, all);
    world.lookup.set_local(local(&[BLOCK], &[]));
    assert_eq!(told(&world.rows(all + 1, 1)[0]), "snapshot because list confirmed");
}

#[test]
fn only_so_many_are_kept() {
    let mut world = World::new(32, &[]);
    for value in 0..40 {
        world.state("south", &Record::Content(content(value)), None);
        world.rows(u64::from(value) + 1, 1);
    }
    let FeedProgress { epoch, first, next, .. } = world.progress();
    assert!((32..=34).contains(&(next - first)), "{first}..{next}");
    let asked = |sequence| world.feed.after(ChangeCursor { epoch, sequence }, 100);
    assert!(matches!(asked(first - 2), Err(FeedError::TooOld { .. })));
    assert_eq!(asked(first - 1).expect("kept").len() as u64, next - first);
    assert!(asked(next - 1).expect("the end").is_empty());
    assert!(matches!(asked(next), Err(FeedError::Ahead(_))));
    world.restart(true, 0);
    assert_eq!(world.progress(), FeedProgress { epoch, first, next, ended: false, broken: false });
}

#[test]
fn a_flood_and_what_is_decided_about_it_are_told() {
    let mut world = World::new(1_000, &[BLOCK]);
    world.flood = 3;
    world.restart(true, 0);
    for value in 0..3 {
        world.state("south", &Record::Content(content(value)), None);
    }
    // Each is judged by what is so when it is judged: before the fourth makes it a flood.
    world.rows(1, 3);
    world.state("south", &Record::Content(content(3)), None);
    let rows: Vec<String> = world.rows(1, 8).iter().map(told).collect();
    assert_eq!(rows[..3], ["new > active: none > block by confirmed"; 3].map(str::to_owned));
    for row in &rows[4..] {
        let expected =
            "active > active: block by confirmed > review by confirmed because flood contributions.south";
        assert!(row.starts_with(expected), "{row}");
    }
    let flood = world.lookup.floods().pop().expect("found").id;
    let next = world.progress().next;
    assert!(world.lookup.decide_flood(&flood, Decision::Accepted));
    let rows = world.rows(next, 4);
    assert!(
        told(&rows[0]).starts_with("active > active: review by confirmed > block by confirmed because flood"),
        "{}",
        told(&rows[0])
    );
    let next = world.progress().next;
    assert!(world.lookup.decide_flood(&flood, Decision::Rejected));
    assert!(world.rows(next, 4).iter().all(|row| told(row).contains("block by confirmed > none")));
}

#[test]
fn a_second_source_is_told_of_the_first_one() {
    let list = "name = \"two\"\noutcome = \"block\"\nreview_min = \"dual\"\nsources_min = 2\n";
    let mut world = World::new(1_000, &[list]);
    world.state("south", &Record::Content(content(1)), None);
    world.rows(1, 1);
    let (second, place) = world.state("east", &Record::Content(content(1)), None);
    // Each is judged by what is so when it is judged.
    world.rows(1, 3);
    world.state("east", &retraction(place), Some(second));
    let rows: Vec<String> = world.rows(1, 5).iter().map(told).collect();
    let because = format!("because record {second}");
    assert_eq!(
        rows,
        [
            "new > active: none > review by built-in".to_owned(),
            "new > active: none > block by two".to_owned(),
            format!("active > active: review by built-in > block by two {because}"),
            "active > retracted: block by two > none".to_owned(),
            format!("active > active: block by two > review by built-in {because}"),
        ]
    );
}

#[test]
fn what_members_call_benign_is_told_of_every_record_with_the_signal() {
    let mut world = World::new(1_000, &["name = \"dual\"\noutcome = \"block\"\nreview_min = \"dual\"\n"]);
    let (first, place) = world.state("south", &Record::Content(content(1)), None);
    world.state("south", &Record::Content(content(1)), None);
    world.rows(1, 2);
    // What is said of one record follows the value to the other, which is of the same author.
    world.state("north", &disagree(place), Some(first));
    world.rows(1, 4);
    world.state("east", &disagree(place), Some(first));
    let rows: Vec<String> = world.rows(1, 6).iter().map(told).collect();
    assert_eq!(
        rows[2..],
        [
            "active > disputed: block by dual > block by dual".to_owned(),
            "active > disputed: block by dual > block by dual".to_owned(),
            "disputed > disputed: block by dual > review by dual".to_owned(),
            format!("disputed > disputed: block by dual > review by dual because record {first}"),
        ]
    );
}

#[test]
fn what_members_call_benign_lowers_nothing_once_the_panel_holds_that_it_stands() {
    let lists = "name = \"dual\"\noutcome = \"block\"\nreview_min = \"dual\"\ndisagree_max = 1\n";
    let mut world = World::new(1_000, &[lists]);
    let (first, place) = world.state("south", &Record::Content(content(1)), None);
    let (copy, _) = world.state("west", &Record::Content(content(1)), None);
    world.rows(1, 2);
    for (by, rows) in [("north", 3), ("east", 5)] {
        world.state(by, &disagree(place), Some(first));
        world.rows(1, rows);
    }
    let rows: Vec<String> = world.rows(3, 3).iter().map(told).collect();
    assert_eq!(
        rows,
        [
            "active > disputed: block by dual > block by dual".to_owned(),
            "disputed > disputed: block by dual > review by built-in".to_owned(),
            format!("active > active: block by dual > review by dual because record {first}"),
        ]
    );
    let signal = content(1).signals[0].clone();
    let ruled = |verdict| {
        let signal = signal.clone().without_quality();
        let panellists = ["north", "south"].map(|name| MemberId::parse(name).expect("valid")).to_vec();
        let (reason, entry) = (RulingReason::Review, EntryRef { log: place.log, index: 7 });
        let ruled = Ruled { verdict, panellists, needed: 2, time_ms: NOW_MS, entry, reason };
        News { rulings: vec![RulingChange { signal, ruled: Some(ruled) }], ..News::default() }
    };
    world.lookup.hear(ruled(Verdict::Stands));
    let mut rows: Vec<String> = world.rows(6, 2).iter().map(told).collect();
    rows.sort();
    assert_eq!(
        rows,
        [
            "active > active: review by dual > block by dual",
            "disputed > active: review by built-in > block by dual",
        ]
    );
    let found = |world: &World| {
        let query = api::Query { id: "0".to_owned(), signals: vec![(signal.clone(), Vec::new())] };
        let answer = world.lookup.match_queries(vec![query], &Question::default(), &LogId::to_hex);
        answer.results.first().expect("one item").outcome.clone()
    };
    assert_eq!(found(&world).as_deref(), Some("block"));
    for id in [first, copy] {
        let standing = world.lookup.record(&id).expect("known").known.standing;
        assert!(standing.is_settled(), "{standing:?}");
    }
    world.lookup.hear(ruled(Verdict::TrainedOnKnownCsam));
    assert_eq!(found(&world).as_deref(), Some("review"), "as before");
}

#[test]
fn a_cursor_has_one_spelling() {
    let cursor = ChangeCursor { epoch: 0xab, sequence: 7 };
    assert_eq!(cursor.encode(), "00000000000000ab-7");
    assert_eq!(ChangeCursor::parse("00000000000000ab-7"), Some(cursor));
    for wrong in [
        "",
        "ab-7",
        "00000000000000AB-7",
        "00000000000000ab-07",
        "00000000000000ab-+7",
        "00000000000000ab",
        "-",
    ] {
        assert_eq!(ChangeCursor::parse(wrong), None, "{wrong}");
    }
}
