//! The thread against a real database: it finds, waits until it is told, goes on, and remembers its place.

use super::{Scrub, ScrubAsk, ScrubPace, ScrubParts, Shown, Told};
use crate::metrics::Metrics;
use crate::storage::Store;
use hashpact_core::effect::{PublishedHead, SizedNote, StoredEntry, StoredPayload, WriteBatch};
use hashpact_protocol::checkpoint::{Checkpoint, sign_checkpoint};
use hashpact_protocol::digest::{LogId, leaf_hash};
use hashpact_protocol::keys::SecretKey;
use hashpact_protocol::merkle::Frontier;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::Receiver;

const ORIGIN: &str = "demo-0011223344556677/south/1";
const ENTRIES: u64 = 600;

struct Bench {
    dir: tempfile::TempDir,
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    shown: Arc<Shown>,
    log: LogId,
    root: hashpact_protocol::digest::Root,
}

/// A foreign leaf, so that no payload is bound to it in a way that is known here.
fn leaf(index: u64) -> Vec<u8> {
    index.to_be_bytes().repeat(17)
}

impl Bench {
    /// A log whose leaf 300 was stored otherwise than it was signed, if `damaged`.
    fn new(damaged: bool) -> Self {
        let dir = tempfile::tempdir().expect("temporary folder");
        let store = Store::create(&dir.path().join("db"), "demo-0011223344556677", "north").expect("fresh");
        let (log, key) = (LogId::of_origin(ORIGIN), SecretKey::from_seed([3; 32]));
        let (mut signed, mut stored) = (Frontier::empty(), Frontier::empty());
        let mut entries = Vec::new();
        for index in 0..ENTRIES {
            signed.append(leaf_hash(&leaf(index)));
            let mut leaf = leaf(index);
            if damaged && index == 300 {
                leaf[7] ^= 1;
            }
            stored.append(leaf_hash(&leaf));
            entries.push(StoredEntry { leaf, payload: StoredPayload::Withheld });
        }
        let batch = WriteBatch {
            id: 1,
            log,
            origin: ORIGIN.to_owned(),
            start: 0,
            entries,
            frontier: stored.hashes().to_vec(),
            note: None,
            idempotency: Vec::new(),
            read_back: false,
            generation: None,
        };
        store.write(&batch).expect("stored");
        let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size: ENTRIES, root: signed.root() };
        let note = SizedNote { size: ENTRIES, note: sign_checkpoint(&checkpoint, &key) };
        let head = PublishedHead {
            log,
            origin: ORIGIN.to_owned(),
            size: ENTRIES,
            root: stored.root(),
            note: Some(note),
            announced: ENTRIES,
        };
        store.publish(&head).expect("stored");
        let root = signed.root();
        let (store, metrics, shown) = (Arc::new(store), Arc::default(), Arc::default());
        Self { dir, store, metrics, shown, log, root }
    }

    fn state_file(&self) -> std::path::PathBuf {
        self.dir.path().join("scrub")
    }

    fn start(&self, own: LogId, bytes_per_s: u64) -> (Scrub, Receiver<ScrubAsk>) {
        let (asks, asked) = tokio::sync::mpsc::channel(1);
        let parts = ScrubParts {
            store: Arc::clone(&self.store),
            metrics: Arc::clone(&self.metrics),
            shown: Arc::clone(&self.shown),
            pace: ScrubPace { bytes_per_s, interval: Duration::from_millis(5) },
            state_file: self.state_file(),
            journal_file: self.dir.path().join("journal"),
            keys: [(self.log, SecretKey::from_seed([3; 32]).public())].into_iter().collect(),
            own,
            asks,
        };
        (Scrub::start(parts).expect("a thread"), asked)
    }
}

fn wait(what: &str, seen: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !seen() {
        assert!(Instant::now() < until, "waited for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

const FAST: u64 = 1 << 40;
const NOBODY: LogId = LogId::new([0; 32]);

#[test]
fn sound_logs_are_read_again_and_again() {
    let bench = Bench::new(false);
    let (scrub, mut asked) = bench.start(NOBODY, FAST);
    wait("two passes", || bench.shown.status().passes >= 2);
    drop(scrub);
    assert!(asked.try_recv().is_err(), "nothing to ask for");
    let status = bench.shown.status();
    assert_eq!((status.found, status.healed, status.problems.len()), (0, 0, 0));
    assert!(status.bytes > 2 * ENTRIES * 136 && status.last_whole.is_some(), "{status:?}");
}

/// The root that was signed is what counts, not that leaves and tiles agree with one another.
#[test]
fn what_was_stored_otherwise_than_it_was_signed_is_an_alarm() {
    let bench = Bench::new(true);
    let (scrub, mut asked) = bench.start(NOBODY, FAST);
    wait("a pass", || bench.shown.status().passes >= 1);
    drop(scrub);
    assert!(asked.try_recv().is_err(), "no single entry can be named");
    let status = bench.shown.status();
    assert!(status.found >= 1 && status.last_whole.is_none(), "{status:?}");
    let said = format!("shown or signed is {}", bench.root);
    assert!(status.problems.iter().any(|problem| problem.contains(&said)), "{status:?}");
}

#[test]
fn damage_of_the_own_log_is_told_once_and_nothing_is_read_on() {
    let bench = Bench::new(true);
    let (scrub, mut asked) = bench.start(bench.log, FAST);
    let Some(ScrubAsk::Damage(damage)) = asked.blocking_recv() else { panic!("damage is told") };
    assert_eq!(damage.log, bench.log);
    std::thread::sleep(Duration::from_millis(50));
    assert!(asked.try_recv().is_err(), "it waits for the end");
    drop(scrub);
    assert_eq!(bench.shown.status().passes, 0);
}

#[test]
fn a_slow_scrub_keeps_its_rate_stops_at_once_and_goes_on_where_it_was() {
    let bench = Bench::new(false);
    // A tile of these has about 55,000 bytes: the second one is not due within the test.
    let (scrub, _asked) = bench.start(NOBODY, 20_000);
    wait("the first tile", || bench.shown.status().bytes > 0);
    std::thread::sleep(Duration::from_millis(100));
    let read = bench.shown.status().bytes;
    assert!(read < 100_000, "{read} bytes at once");
    let stopped = Instant::now();
    scrub.told().send(Told::Stop).expect("it runs");
    drop(scrub);
    assert!(stopped.elapsed() < Duration::from_secs(2), "a rest ends when the node stops");
    let place = place(&bench.state_file());
    assert!(place == 0 || place == 256, "stands at {place}");

    std::fs::write(
        bench.state_file(),
        format!(
            "{{\"log\":\"{}\",\"index\":512,\"passes\":7,\"bytes\":1,\"whole_ms\":null}}",
            bench.log.to_hex()
        ),
    )
    .expect("own file");
    let before = bench.shown.status().bytes;
    let (scrub, _asked) = bench.start(NOBODY, FAST);
    wait("the rest of the pass", || bench.shown.status().passes >= 8);
    drop(scrub);
    assert!(bench.shown.status().bytes > before);
}

fn place(file: &Path) -> u64 {
    let text = std::fs::read(file).expect("a state");
    let state: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    state["index"].as_u64().expect("an index")
}
