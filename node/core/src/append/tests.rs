//! The own log from a submission to its receipt, one step at a time and without a disk: the test plays
//! the storage thread and decides what was read back and when.

use super::*;
use crate::event::{Draft, Prior};
use hashpact_protocol::checkpoint::SignedCheckpoint;
use hashpact_protocol::digest::{LogId, empty_root};
use hashpact_protocol::keys::SecretKey;
use hashpact_protocol::leaf::{EntryLeaf, Kind, Leaf, read_leaf};
use hashpact_protocol::record::{
    Content, OpinionValue, Reason, Record, Retraction, RetractionReason, Signal, SignalType, SubjectRef,
};

mod promises;
mod signer;
mod submissions;

const NOW_MS: u64 = 1_800_000_000_000;
const ORIGIN: &str = "test-0000000000000000/north/1";

/// An own log whose storage is the test.
struct Bench {
    own: OwnLog,
    view: View,
    out: Out,
    last_request: u64,
}

impl Bench {
    fn new() -> Self {
        Self::start(empty_lock(), None, None, 0)
    }

    /// Starts with entries that are on disk and not signed, if any are given.
    fn start(
        lock: LockState,
        unsigned: Option<(Vec<StoredEntry>, Frontier)>,
        blocked: Option<&'static str>,
        last_time_ms: u64,
    ) -> Self {
        let mut out = Out::default();
        let generation = lock.generation;
        let recovered = Recovered { signed: Frontier::empty(), lock, unsigned, generation };
        let own = OwnLog::new(identity(), recovered, last_time_ms, blocked, &mut out);
        Self { own, view: View::new(NOW_MS), out, last_request: 0 }
    }

    fn effects(&mut self) -> Vec<Effect> {
        self.out.take()
    }

    /// Submits and returns the request's number.
    fn send(&mut self, ask: Ask, now_ms: u64) -> u64 {
        self.last_request += 1;
        let request = self.last_request;
        let salts = (0..ask.drafts.len()).map(|at| [at as u8; 32]).collect();
        let Ask { drafts, group, key, digest, prior, ack } = ask;
        let submit = Submit { request, drafts, group, salts, key, digest, prior, ack };
        self.own.submit(submit, &self.view, now_ms, &mut self.out);
        request
    }

    /// Submits what must be refused or answered at once.
    fn answer(&mut self, ask: Ask, now_ms: u64) -> Result<Receipts, SubmitError> {
        let request = self.send(ask, now_ms);
        let mut answers = answers(&self.effects());
        assert_eq!(answers.len(), 1, "answered at once");
        let (answered, answer) = answers.remove(0);
        assert_eq!(answered, request);
        answer
    }

    /// The storage thread does its work faithfully: batch, read back, lock.
    fn store(&mut self, batch: &WriteBatch, now_ms: u64) -> Vec<Effect> {
        self.own.written(&leaves(batch), &mut self.out).expect("read back as written");
        let effects = self.effects();
        assert!(matches!(effects[..], [Effect::WriteLock { .. }]), "nothing but the lock: {effects:?}");
        self.own.lock_written(now_ms, &mut self.out).expect("lock under way");
        self.effects()
    }

    /// Appends one record and returns what followed.
    fn append_one(&mut self, now_ms: u64) -> Vec<Effect> {
        self.send(Ask::records(1), now_ms);
        let batch = written(&self.effects()).expect("a batch");
        self.store(&batch, now_ms)
    }
}

/// What a test submits.
struct Ask {
    drafts: Vec<Draft>,
    group: u32,
    key: Option<[u8; 32]>,
    digest: [u8; 32],
    prior: Option<Prior>,
    ack: Ack,
}

impl Ask {
    fn records(count: usize) -> Self {
        Self::drafts((0..count).map(|at| Draft::Content(content(at as u8))).collect())
    }

    fn drafts(drafts: Vec<Draft>) -> Self {
        Self { drafts, group: 0, key: None, digest: [1; 32], prior: None, ack: Ack::Local }
    }

    fn key(self, key: u8) -> Self {
        Self { key: Some([key; 32]), ..self }
    }

    fn digest(self, digest: u8) -> Self {
        Self { digest: [digest; 32], ..self }
    }

    fn ack(self, ack: Ack) -> Self {
        Self { ack, ..self }
    }
}

fn identity() -> OwnIdentity {
    let author = Author::new(member("north"), 1, LogId::of_origin(ORIGIN));
    let others = BTreeMap::from([(member("south"), BTreeSet::from([1])), (member("east"), BTreeSet::new())]);
    OwnIdentity { author, origin: ORIGIN.to_owned(), key: Some(key().into()), roster_version: 7, others }
}

fn member(id: &str) -> MemberId {
    MemberId::parse(id).expect("a valid id")
}

fn key() -> SecretKey {
    SecretKey::from_seed([9; 32])
}

fn empty_lock() -> LockState {
    LockState { generation: 4, origin: ORIGIN.to_owned(), size: 0, root: empty_root(), note: Vec::new() }
}

fn content(value: u8) -> Content {
    Content::new(vec![Signal::new(SignalType::Pdq, &[value; 32], Some(80)).expect("valid")]).expect("valid")
}

/// The one batch among effects.
fn written(effects: &[Effect]) -> Option<WriteBatch> {
    let mut batches = effects.iter().filter_map(|effect| match effect {
        Effect::Write(batch) => Some(batch.clone()),
        _ => None,
    });
    let batch = batches.next();
    assert!(batches.next().is_none(), "one batch at a time");
    batch
}

fn leaves(batch: &WriteBatch) -> Vec<Vec<u8>> {
    batch.entries.iter().map(|entry| entry.leaf.clone()).collect()
}

fn answers(effects: &[Effect]) -> Vec<(u64, Result<Receipts, SubmitError>)> {
    let answer = |effect: &Effect| match effect {
        Effect::Answer { request, answer } => Some((*request, answer.clone())),
        _ => None,
    };
    effects.iter().filter_map(answer).collect()
}

fn timer(effects: &[Effect]) -> Option<u64> {
    effects.iter().find_map(|effect| match effect {
        Effect::SetTimer { timer: Timer::Append, at_ms } => Some(*at_ms),
        _ => None,
    })
}

fn leaf_at(batch: &WriteBatch, at: usize) -> Leaf {
    match read_leaf(&batch.entries[at].leaf, &batch.log, batch.start + at as u64) {
        EntryLeaf::Known(leaf) => leaf,
        other => panic!("an own entry must be valid: {other:?}"),
    }
}
