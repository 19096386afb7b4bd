//! Restarts: what a snapshot, a database and a replay make of one another.

use super::*;
use crate::lookup::replay::{IndexOrigin, replay, serve};
use crate::lookup::snapshot::{SaveError, SnapshotPlace, Unusable};
use crate::lookup::tag::Tag;
use crate::storage::Store;
use hashpact_core::effect::{HeldPriority, StoredEntry, ViewChange, WriteBatch};
use hashpact_index::MatchIndex;
use hashpact_protocol::digest::leaf_hash;
use hashpact_protocol::merkle::Frontier;
use hashpact_protocol::record::{
    Detail, Erasure, ErasureBasis, ErasureReason, Month, Opinion, OpinionValue, Reason, TechniqueId, Ttp,
};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

mod saved;

const MEMBERS: [&str; 2] = ["north", "south"];

fn author(by: usize) -> Author {
    let member = MemberId::parse(MEMBERS[by]).expect("valid");
    let log = LogId::of_origin(&format!("test-0000000000000000/{member}/1"));
    Author::new(member, 1, log)
}

/// What members stated, log by log, and a database with some of it.
struct World {
    dir: tempfile::TempDir,
    store: Arc<Store>,
    entries: [Vec<StoredEntry>; 2],
    /// Author, id and place of each content record, in the order in which they were stated.
    records: Vec<(usize, RecordId, SubjectRef)>,
}

fn rules() -> hashpact_core::view::Rules {
    hashpact_core::view::Rules::default()
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("temporary folder");
        let store = Store::create(&dir.path().join("database"), "test-0000000000000000", "north");
        let store = Arc::new(store.expect("fresh"));
        Self { dir, store, entries: Default::default(), records: Vec::new() }
    }

    fn push(&mut self, by: usize, record: &Record, subject: Option<RecordId>) -> RecordId {
        let index = self.entries[by].len() as u64;
        let header = LeafHeader {
            kind: record.kind(),
            priority: false,
            index,
            time_ms: NOW_MS + index,
            roster_version: 1,
            log_id: author(by).log,
            subject,
            group: 0,
        };
        let sealed = seal(header, record, [by as u8; 32]).expect("valid");
        let id = sealed.record_id();
        let payload = StoredPayload::Present { salt: sealed.salt, padded: sealed.padded };
        self.entries[by].push(StoredEntry { leaf: sealed.leaf_bytes.to_vec(), payload });
        id
    }

    fn state(&mut self, by: usize, spec: &Spec, expires_s: Option<u64>) {
        let signals = signals(spec);
        if signals.is_empty() {
            return;
        }
        let mut content = Content::new(signals).expect("valid");
        content.expires_s = expires_s;
        let place = SubjectRef { log: author(by).log, index: self.entries[by].len() as u64 };
        let id = self.push(by, &Record::Content(content), None);
        self.records.push((by, id, place));
    }

    fn withdraw(&mut self, nth: usize) {
        if let Some((by, id, place)) = self.records.get(nth % self.records.len().max(1)).copied() {
            let retraction = Retraction::new(place, RetractionReason::Error);
            self.push(by, &Record::Retraction(retraction), Some(id));
        }
    }

    /// A member's opinion about a record, of its own or the other's.
    fn say(&mut self, by: usize, nth: usize, opinion: OpinionValue) {
        if let Some((_, id, place)) = self.records.get(nth % self.records.len().max(1)).copied() {
            self.push(by, &Record::Opinion(Opinion::new(place, opinion, Reason::BenignCollision)), Some(id));
        }
    }

    /// Other content in the place of a record.
    fn replace(&mut self, nth: usize, spec: &Spec) {
        let held = self.records.get(nth % self.records.len().max(1)).copied();
        let (Some((by, id, place)), false) = (held, signals(spec).is_empty()) else { return };
        let mut content = Content::new(signals(spec)).expect("valid");
        content.subject = Some(place);
        let place = SubjectRef { log: author(by).log, index: self.entries[by].len() as u64 };
        let id = self.push(by, &Record::Supersede(content), Some(id));
        self.records.push((by, id, place));
    }

    /// Orders the erasure of a record; its payload stays where it is.
    fn order(&mut self, nth: usize) {
        if let Some((by, id, place)) = self.records.get(nth % self.records.len().max(1)).copied() {
            let order = Erasure::new(place, ErasureReason::Error, ErasureBasis::Own);
            self.push(by, &Record::Erasure(order), Some(id));
        }
    }

    fn observe(&mut self, by: usize) {
        let month = Month::from_months(680).expect("a month");
        let ttp = Ttp::new(TechniqueId::from_number(1).expect("a number"), month);
        let content = Content { detail: Some(Box::new(Detail::Ttp(ttp))), ..Content::empty() };
        self.push(by, &Record::Content(content), None);
    }

    fn sizes(&self) -> [u64; 2] {
        [self.entries[0].len() as u64, self.entries[1].len() as u64]
    }

    /// Brings the database up to what was stated.
    fn store(&self) {
        for (by, entries) in self.entries.iter().enumerate() {
            let log = author(by).log;
            let held = self.store.heads().expect("readable").into_iter().find(|head| head.log == log);
            let start = held.map_or(0, |head| head.size);
            let fresh = &entries[start as usize..];
            if fresh.is_empty() {
                continue;
            }
            let mut frontier = Frontier::empty();
            entries.iter().for_each(|entry| {
                frontier.append(leaf_hash(&entry.leaf));
            });
            let batch = WriteBatch {
                id: 1,
                log,
                origin: format!("test-0000000000000000/{}/1", MEMBERS[by]),
                start,
                entries: fresh.to_vec(),
                frontier: frontier.hashes().to_vec(),
                note: None,
                idempotency: Vec::new(),
                read_back: false,
                generation: None,
            };
            self.store.write(&batch).expect("stored");
        }
    }

    fn extents(&self, sizes: [u64; 2]) -> Vec<LogExtent> {
        (0..2)
            .map(|by| LogExtent {
                author: author(by),
                size: sizes[by],
                priority: self.priority(by, sizes[by]),
                kept: Vec::new(),
            })
            .collect()
    }

    fn priority(&self, by: usize, size: u64) -> HeldPriority {
        self.store.priority(&author(by).log, size, u64::MAX).expect("readable")
    }

    fn place(&self) -> SnapshotPlace {
        SnapshotPlace::new(self.dir.path().join("index.snapshot"), &author(0).member, author(0).log, 1)
    }

    /// A start; look-ups and where the index came from.
    fn start(&self) -> (Lookup, IndexOrigin) {
        let lookup = Lookup::new(1);
        let done = replay(&self.store, &lookup, &self.extents(self.sizes()), &self.place(), &rules())
            .expect("replayed");
        lookup.set_loaded();
        (lookup, done.origin)
    }

    /// A start that has nothing but the logs.
    fn start_from_logs(&self) -> Lookup {
        let lookup = Lookup::new(1);
        let nowhere = SnapshotPlace::new(self.dir.path().join("none"), &author(0).member, author(0).log, 1);
        replay(&self.store, &lookup, &self.extents(self.sizes()), &nowhere, &rules()).expect("replayed");
        lookup.set_loaded();
        lookup
    }

    /// Serves from the snapshot as a start does before it has folded a single entry.
    fn serve_only(&self) -> Lookup {
        let lookup = Lookup::new(1);
        let logs = self.extents(self.sizes());
        let (index, tag) = self.place().open(&logs).expect("a good snapshot");
        serve(&self.store, &lookup, &logs, index, tag, &rules()).expect("served");
        lookup
    }
}

/// One step of a history: a record of a member, or a withdrawal.
#[derive(Debug, Clone)]
enum Step {
    State(usize, Spec, Option<u64>),
    Withdraw(usize),
    Say(usize, usize, OpinionValue),
    Replace(usize, Spec),
    Order(usize),
    Observe(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let spec = || (prop::collection::vec(near(), 0..3), prop::collection::vec(0..4_u8, 0..2), Just(false));
    // Expired for ever, or not in the lifetime of this test.
    let expiry = prop::option::weighted(0.2, prop::sample::select(vec![1, 9_000_000_000_u64]));
    let state = (0..2_usize, spec(), expiry).prop_map(|(by, spec, expiry)| Step::State(by, spec, expiry));
    let opinion = prop::sample::select(vec![OpinionValue::Agree, OpinionValue::Disagree, OpinionValue::Seen]);
    let say = (0..2_usize, any::<usize>(), opinion).prop_map(|(by, nth, said)| Step::Say(by, nth, said));
    let replace = (any::<usize>(), spec()).prop_map(|(nth, spec)| Step::Replace(nth, spec));
    let step = prop_oneof![
        8 => state,
        2 => any::<usize>().prop_map(Step::Withdraw),
        2 => say,
        1 => replace,
        1 => any::<usize>().prop_map(Step::Order),
        1 => (0..2_usize).prop_map(Step::Observe),
    ];
    prop::collection::vec(step, 0..60)
}

fn take(world: &mut World, steps: &[Step]) {
    for step in steps {
        match step {
            Step::State(by, spec, expires_s) => world.state(*by, spec, *expires_s),
            Step::Withdraw(nth) => world.withdraw(*nth),
            Step::Say(by, nth, opinion) => world.say(*by, *nth, *opinion),
            Step::Replace(nth, spec) => world.replace(*nth, spec),
            Step::Order(nth) => world.order(*nth),
            Step::Observe(by) => world.observe(*by),
        }
    }
    world.store();
}

/// Queries for everything that anybody ever stated, and a little beside it.
fn queries() -> Vec<api::Query> {
    let near = (0..3_u8)
        .flat_map(|centre| [vec![], vec![3, 77], (0..20).collect()].map(|flips| value(centre, &flips)));
    near.enumerate().map(|(at, near)| query(at, &[near], Some(at as u8 % 4))).collect()
}

/// All matches as text without what says how complete they are.
fn answers(lookup: &Lookup) -> Vec<String> {
    [0, 31, 64]
        .into_iter()
        .flat_map(|radius| lookup.match_queries(queries(), &within(radius), &|log| log.to_hex()).results)
        .map(|result| format!("{result:?}"))
        .collect()
}

/// Pairs of value and record in the index: near, and exact by type.
fn pairs(lookup: &Lookup) -> (u64, Vec<(u8, u64)>) {
    let stats = lookup.index_stats();
    (stats.hamming.postings, stats.exact.iter().map(|(kind, held)| (*kind, held.postings)).collect())
}

/// All records with everything about them, and what became of the entries of each log.
fn everything(lookup: &Lookup) -> (Vec<RecordView>, [FoldCounts; 2]) {
    let (records, _) = lookup.page_of(None, usize::MAX, |_| true);
    (records, [0, 1].map(|by| lookup.counts(&author(by).log)))
}

/// Ids of all records that any query finds.
fn found(lookup: &Lookup) -> std::collections::BTreeSet<String> {
    let results = lookup.match_queries(queries(), &within(64), &|log| log.to_hex()).results;
    results.into_iter().flat_map(|result| result.matches).map(|hit| hit.record).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_restart_answers_as_the_logs_do_before_and_after_the_replay(before in steps(), after in steps()) {
        let mut world = World::new();
        take(&mut world, &before);
        let (lookup, origin) = world.start();
        prop_assert!(matches!(origin, IndexOrigin::Logs(Unusable::Missing)), "{:?}", origin);
        world.place().save(&lookup).expect("saved");
        let known = found(&lookup);
        take(&mut world, &after);
        let from_logs = world.start_from_logs();
        let stands = found(&from_logs);

        // Before anything is folded: what was known and still stands, and nothing else.
        let serving = world.serve_only();
        prop_assert!(!serving.completeness().0);
        let expected: std::collections::BTreeSet<String> = known.intersection(&stands).cloned().collect();
        prop_assert_eq!(found(&serving), expected);

        let (restarted, origin) = world.start();
        prop_assert!(matches!(origin, IndexOrigin::Snapshot { .. }), "{:?}", origin);
        prop_assert_eq!(answers(&restarted), answers(&from_logs));
        prop_assert_eq!(pairs(&restarted), pairs(&from_logs));
        prop_assert_eq!(everything(&restarted), everything(&from_logs));
        prop_assert!(restarted.confirm_records(|_| ControlFlow::Continue(())).expect("confirmed"));
        prop_assert_eq!(answers(&restarted), answers(&from_logs));
        // And so does a start from what the restarted node writes.
        world.place().save(&restarted).expect("saved");
        let (again, origin) = world.start();
        prop_assert!(matches!(origin, IndexOrigin::Snapshot { .. }), "{:?}", origin);
        prop_assert_eq!(answers(&again), answers(&from_logs));
        prop_assert_eq!(everything(&again), everything(&from_logs));
    }
}

#[test]
fn of_two_supersessions_of_a_record_the_earlier_shows_no_more_before_the_logs_are_read() {
    let mut world = World::new();
    let spec = |md5: u8| (vec![], vec![md5], false);
    world.state(0, &spec(1), None);
    world.replace(0, &spec(2));
    world.store();
    let (lookup, _) = world.start();
    world.place().save(&lookup).expect("saved");
    assert_eq!(found(&world.serve_only()), [world.records[1].1.to_hex()].into());
    world.replace(0, &spec(3));
    world.store();
    assert!(found(&world.serve_only()).is_empty(), "the later one is not in the index yet");
    assert_eq!(found(&world.start().0), [world.records[2].1.to_hex()].into());
}

/// A world with records of both members, one of them withdrawn, and its saved snapshot.
fn saved() -> World {
    let mut world = World::new();
    let spec = |at: u8| (vec![value(at % 3, &[at, at ^ 0x55])], vec![at % 4], false);
    let steps: Vec<Step> = (0..40).map(|at| Step::State(usize::from(at) % 2, spec(at), None)).collect();
    take(&mut world, &steps);
    world.withdraw(3);
    world.store();
    let (lookup, _) = world.start();
    world.place().save(&lookup).expect("saved");
    world
}

/// Writes a sound file around this index and tag.
fn forge(world: &World, index: &MatchIndex, tag: &Tag) {
    index.save(world.place().path(), &tag.encode().expect("short")).expect("written");
}

#[test]
fn a_snapshot_that_lies_makes_nothing_up_and_is_replaced() {
    let world = saved();
    let truth = world.start_from_logs();
    let logs = world.extents(world.sizes());
    let (index, tag) = world.place().open(&logs).expect("good");
    // Values under the numbers of other records, and of records that do not exist; one record missing.
    let value = value(1, &[]);
    for record in [0, 1, 5, 39, 70_000, 1 << 40, u64::MAX] {
        index.apply([hashpact_index::Change::InsertHamming { value: &value, record }]);
        index.apply([hashpact_index::Change::InsertExact { kind: 2, value: &[9; 16], record }]);
    }
    forge(&world, &index, &tag);
    let serving = world.serve_only();
    assert_eq!(answers(&serving), answers(&truth), "each hit is held against its record");
    let (restarted, origin) = world.start();
    assert!(matches!(origin, IndexOrigin::Contradicted(_)), "{origin:?}");
    assert_eq!(answers(&restarted), answers(&truth));
    assert_eq!(pairs(&restarted), pairs(&truth));

    // One that forgot everything.
    forge(&world, &MatchIndex::new(), &tag);
    assert!(found(&world.serve_only()).is_empty());
    let (restarted, origin) = world.start();
    assert!(matches!(origin, IndexOrigin::Contradicted(found) if found.held == 0), "{origin:?}");
    assert_eq!(answers(&restarted), answers(&truth));
}

#[test]
fn a_snapshot_of_somebody_else_or_ahead_of_the_logs_is_refused_by_name() {
    let world = saved();
    let logs = world.extents(world.sizes());
    let (index, tag) = world.place().open(&logs).expect("good");
    let refused = |change: &dyn Fn(&mut Tag)| {
        let mut other = tag.clone();
        change(&mut other);
        forge(&world, &index, &other);
        let (lookup, origin) = world.start();
        assert_eq!(answers(&lookup), answers(&world.start_from_logs()));
        match origin {
            IndexOrigin::Logs(unusable) => unusable.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let says = refused(&|tag| "south".clone_into(&mut tag.owner.member));
    assert_eq!(says, "it was written by member south; this node is member north's");
    let says = refused(&|tag| tag.owner.own_log = author(1).log);
    assert!(says.contains("was the own log"), "{says}");
    let says = refused(&|tag| tag.owner.roster_version = 7);
    assert_eq!(says, "it was written under roster version 7; now version 1 is in force");
    let says = refused(&|tag| {
        tag.positions.insert(LogId::new([7; 32]), 1);
    });
    assert!(says.contains("which the roster does not list"), "{says}");
    let says = refused(&|tag| {
        tag.positions.insert(author(1).log, world.sizes()[1] + 1);
    });
    assert!(
        says.starts_with("it knows 22 entries of log ") && says.ends_with("; 21 are held here"),
        "{says}"
    );
}

#[test]
fn a_tag_that_promises_too_much_is_found_out() {
    let mut world = saved();
    let logs = world.extents(world.sizes());
    let (index, mut tag) = world.place().open(&logs).expect("good");
    take(&mut world, &[Step::State(0, (vec![value(1, &[9])], vec![], false), None)]);
    tag.positions.insert(author(0).log, world.sizes()[0]);
    forge(&world, &index, &tag);
    let (restarted, origin) = world.start();
    assert!(matches!(origin, IndexOrigin::Contradicted(_)), "{origin:?}");
    assert_eq!(answers(&restarted), answers(&world.start_from_logs()));
}

#[test]
fn snapshots_written_while_records_arrive_promise_nothing_that_they_do_not_hold() {
    const COUNT: u64 = 3_000;
    let mut world = World::new();
    for at in 0..COUNT {
        let mut near = [0x35; 32];
        near[..8].copy_from_slice(&at.to_be_bytes());
        world.state(0, &(vec![near], vec![], false), None);
        if at % 5 == 4 {
            world.withdraw(usize::try_from(at / 2).expect("small"));
        }
    }
    world.store();
    let (lookup, mut view) = (Lookup::new(1), View::new(NOW_MS));
    let (mut saved, done) = (0, AtomicBool::new(false));
    std::thread::scope(|threads| {
        let arrivals = threads.spawn(|| {
            for (index, entry) in (0..).zip(&world.entries[0]) {
                lookup.apply(&view.fold(&author(0), index, &entry.leaf, &entry.payload));
                lookup.set_folded(author(0).log, view.counts(&author(0).log), 0);
            }
            done.store(true, Ordering::SeqCst);
        });
        while !done.load(Ordering::SeqCst) {
            match world.place().save(&lookup) {
                Ok(_) => saved += 1,
                // The first record of a log, three times in a row, is unlikely and honest.
                Err(SaveError::Outgrown) => continue,
                Err(error) => panic!("{error}"),
            }
            let (_, origin) = world.start();
            assert!(matches!(origin, IndexOrigin::Snapshot { .. }), "snapshot {saved}: {origin:?}");
        }
        arrivals.join().expect("no panic");
    });
    assert!(saved > 0, "nothing was written meanwhile");
    let last = world.place().save(&lookup).expect("saved").entries;
    assert_eq!(last, world.sizes()[0]);
    let (_, origin) = world.start();
    assert!(matches!(origin, IndexOrigin::Snapshot { entries } if entries == last), "{origin:?}");
}

#[test]
fn a_snapshot_never_names_a_number_whose_block_it_does_not_list() {
    const COUNT: u64 = 600;
    let dir = tempfile::tempdir().expect("temporary folder");
    let place = SnapshotPlace::new(dir.path().join("index.snapshot"), &author(0).member, author(0).log, 1);
    let logs = [LogExtent {
        author: author(0),
        size: u64::MAX,
        priority: HeldPriority::default(),
        kept: Vec::new(),
    }];
    let near = |at: u64| {
        let mut near = [0x35; 32];
        near[..8].copy_from_slice(&at.to_be_bytes());
        near
    };
    // Each record lies in a block of its own: the hardest case for who writes a table of blocks.
    let changes: Vec<Vec<ViewChange>> = (0..COUNT)
        .map(|at| {
            let content = Content::new(signals(&(vec![near(at)], vec![], false))).expect("valid");
            let index = at << 16;
            let header = LeafHeader {
                kind: hashpact_protocol::leaf::Kind::Content,
                priority: false,
                index,
                time_ms: NOW_MS,
                roster_version: 1,
                log_id: author(0).log,
                subject: None,
                group: 0,
            };
            let sealed = seal(header, &Record::Content(content), [0; 32]).expect("valid");
            let payload = StoredPayload::Present { salt: sealed.salt, padded: sealed.padded };
            View::new(NOW_MS).fold(&author(0), index, &sealed.leaf_bytes, &payload)
        })
        .collect();
    let lookup = Lookup::new(1);
    let (mut saved, mut outgrown, done) = (0, 0, AtomicBool::new(false));
    let check = || {
        let (index, tag) = place.open(&logs).expect("a good snapshot");
        let numbers = crate::lookup::Numbers::from_blocks(tag.blocks).expect("good blocks");
        for at in 0..COUNT {
            for hit in index.query_hamming(&near(at), 0) {
                assert_eq!(numbers.place(hit.record), Some((author(0).log, at << 16)));
            }
        }
    };
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for some in &changes {
                lookup.apply(some);
                std::thread::yield_now();
            }
            done.store(true, Ordering::SeqCst);
        });
        while !done.load(Ordering::SeqCst) {
            match place.save(&lookup) {
                Ok(_) => saved += 1,
                Err(SaveError::Outgrown) => outgrown += 1,
                Err(error) => panic!("{error}"),
            }
            if saved > 0 {
                check();
            }
        }
    });
    place.save(&lookup).expect("nothing arrives any more");
    check();
    println!("{saved} saved, {outgrown} outgrown");
    assert!(!dir.path().join("index.snapshot.new").exists(), "an unfinished one was left");
}

#[test]
fn a_matching_record_whose_payload_is_gone_is_no_match() {
    let mut world = World::new();
    take(&mut world, &[Step::State(0, (vec![value(1, &[])], vec![], false), None)]);
    let (lookup, _) = world.start();
    world.place().save(&lookup).expect("saved");
    assert_eq!(found(&world.serve_only()).len(), 1);
    // The same log as another database has it: held, but without what the leaf commits to.
    let place = world.place();
    let mut other = World::new();
    other.entries = world.entries.clone();
    other.entries[0][0].payload = StoredPayload::Erased;
    other.store();
    std::fs::copy(place.path(), other.place().path()).expect("copied");
    assert!(found(&other.serve_only()).is_empty());
    let (lookup, origin) = other.start();
    assert!(matches!(origin, IndexOrigin::Contradicted(_)), "{origin:?}");
    assert!(found(&lookup).is_empty());
}
