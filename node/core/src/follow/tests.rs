//! One followed log against a signed author and peers of any honesty.

use super::*;
use crate::effect::{StoredPayload, WriteBatch};
use crate::entitled::{Entitled, Mine};
use crate::limits::{FETCHES_PER_LOG_MAX, MISSING_REST_FIRST_MS, MISSING_REST_MAX_MS};
use crate::view::View;
use hashpact_protocol::checkpoint::{Checkpoint, sign_checkpoint};
use hashpact_protocol::digest::{LogId, NodeHash, leaf_hash, node_hash};
use hashpact_protocol::keys::SecretKey;
use hashpact_protocol::leaf::{LeafHeader, seal};
use hashpact_protocol::limits::ENTRY_LEAF_MAX_BYTES;
use hashpact_protocol::merkle::right_cover;
use hashpact_protocol::record::{Content, Record, Signal, SignalType};
use hashpact_protocol::roster::MemberId;
use hashpact_protocol::wire::{EntriesAnswer, RangeChunk, WireEntry};

mod ahead;
mod chunks;
mod erased;
mod heads;
mod heal;
mod late;
mod parallel;

const NOW_MS: u64 = 1_800_000_000_000;
const ORIGIN: &str = "test-0000000000000000/north/1";

/// The author's side: a log that can serve itself.
struct AuthorLog {
    entries: Vec<WireEntry>,
}

impl AuthorLog {
    fn of(size: u64) -> Self {
        Self { entries: (0..size).map(|index| entry(index, 0)).collect() }
    }

    fn tree(&self, size: u64) -> Frontier {
        let mut tree = Frontier::empty();
        for entry in &self.entries[..size as usize] {
            tree.append(leaf_hash(&entry.leaf));
        }
        tree
    }

    fn note(&self, size: u64) -> Vec<u8> {
        let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size, root: self.tree(size).root() };
        sign_checkpoint(&checkpoint, &key())
    }

    fn chunk(&self, start: u64, end: u64, size: u64) -> RangeChunk {
        let leaves: Vec<NodeHash> = self.entries.iter().map(|entry| leaf_hash(&entry.leaf).into()).collect();
        let cover = right_cover(end, size)
            .into_iter()
            .map(|node| {
                let width = 1 << node.level;
                let from = node.index as usize * width;
                *complete_root(&leaves[from..from + width]).as_bytes()
            })
            .collect();
        RangeChunk { start, entries: self.entries[start as usize..end as usize].to_vec(), cover }
    }
}

fn complete_root(leaves: &[NodeHash]) -> NodeHash {
    match leaves {
        [one] => *one,
        many => {
            let (left, right) = many.split_at(many.len() / 2);
            node_hash(&complete_root(left), &complete_root(right))
        }
    }
}

/// A sound entry; entries of another branch differ in their time.
fn entry(index: u64, branch: u64) -> WireEntry {
    let signal = Signal::new(SignalType::Pdq, &[index as u8; 32], Some(80)).expect("valid");
    let record = Record::Content(Content::new(vec![signal]).expect("valid"));
    let header = LeafHeader {
        kind: record.kind(),
        priority: false,
        index,
        time_ms: NOW_MS + branch,
        roster_version: 1,
        log_id: LogId::of_origin(ORIGIN),
        subject: None,
        group: 0,
    };
    let sealed = seal(header, &record, [4; 32]).expect("valid");
    let payload = WirePayload::Present { salt: sealed.salt, padded: sealed.padded };
    WireEntry { leaf: sealed.leaf_bytes.to_vec(), payload }
}

fn key() -> SecretKey {
    SecretKey::from_seed([9; 32])
}

fn peer(number: u8) -> Peer {
    SecretKey::from_seed([100 + number; 32]).public()
}

/// The follower's side.
struct Bench {
    log: FollowedLog,
    out: Out,
    /// Effects that no check has looked at yet.
    effects: Vec<Effect>,
    /// The last request for a range.
    request: RequestId,
    write: WriteId,
    /// What is known about payloads still to come.
    view: View,
    members: BTreeMap<LogId, MemberId>,
    /// What the reading member may have.
    mine: Mine,
}

impl Bench {
    fn new() -> Self {
        Self::starting(None, 0)
    }

    fn closed_at(size: u64, root: Root) -> Self {
        Self::starting(Some(Closure { size, root }), 0)
    }

    fn starting(closed: Option<Closure>, payloads_missing: u64) -> Self {
        let mut out = Out::default();
        let start = FollowedStart {
            author: Author::new(MemberId::parse("north").expect("valid"), 1, LogId::of_origin(ORIGIN)),
            origin: ORIGIN.to_owned(),
            key: key().public(),
            closed,
            frontier: Frontier::empty(),
            note: None,
            payloads_missing,
            ahead: Vec::new(),
            ahead_max: 8,
        };
        let log = FollowedLog::new(start, &mut out);
        out.take();
        let mine = Mine { member: MemberId::parse("south").expect("valid"), entitled: Entitled::All };
        let members = BTreeMap::from([(LogId::of_origin(ORIGIN), MemberId::parse("north").expect("valid"))]);
        Self { log, out, effects: Vec::new(), request: 0, write: 0, view: View::new(NOW_MS), members, mine }
    }

    fn hear(&mut self, from: Peer, is_author: bool, note: &[u8], now_ms: u64) -> Result<Heard, HeadError> {
        self.log.heard(from, is_author, note, now_ms, &mut self.out)
    }

    fn absorb(&mut self) {
        self.effects.extend(self.out.take());
    }

    /// The ranges that were just asked for: request, of whom, from where, up to where, of which tree.
    fn asked_ranges(&mut self) -> Vec<(RequestId, Peer, RangeRequest)> {
        self.absorb();
        let mut asked = Vec::new();
        self.effects.retain(|effect| match effect {
            Effect::Send { peer, request_id, request: Request::Range(range) } => {
                asked.push((*request_id, *peer, range.clone()));
                false
            }
            _ => true,
        });
        if let Some((request, ..)) = asked.last() {
            self.request = *request;
        }
        asked
    }

    /// The fetch that was just asked for: of whom, from where, up to where.
    fn asked(&mut self) -> Option<(Peer, u64, u64)> {
        let asked = self.asked_ranges();
        assert!(asked.len() <= 1, "one fetch at a time: {asked:?}");
        asked.into_iter().next().map(|(_, peer, range)| (peer, range.start, range.size))
    }

    fn failed(&mut self, now_ms: u64) {
        self.asked_ranges();
        self.log.fetch_failed(self.request, now_ms, &mut self.out);
    }

    fn fetched(&mut self, chunk: RangeChunk, now_ms: u64) -> Result<Option<WriteBatch>, ChunkError> {
        self.asked_ranges();
        self.answered(self.request, chunk, now_ms).map_err(|fault| fault.error)
    }

    fn answered(
        &mut self,
        request: RequestId,
        chunk: RangeChunk,
        now_ms: u64,
    ) -> Result<Option<WriteBatch>, Fault> {
        let barred = Barred { view: &self.view, members: &self.members, now_ms, mine: &self.mine };
        match self.log.fetched(request, chunk, &barred, &mut self.out) {
            Some(fault) => Err(fault),
            None => Ok(self.batch()),
        }
    }

    /// The batch that is to be written now.
    fn batch(&mut self) -> Option<WriteBatch> {
        self.absorb();
        let at = self.effects.iter().position(|effect| matches!(effect, Effect::Write(_)))?;
        let Effect::Write(batch) = self.effects.remove(at) else { unreachable!("just matched") };
        self.write = batch.id;
        Some(batch)
    }

    fn payloads_answered(
        &mut self,
        request: RequestId,
        payloads: Vec<WirePayload>,
        now_ms: u64,
    ) -> Option<Fault> {
        let barred = Barred { view: &self.view, members: &self.members, now_ms, mine: &self.mine };
        self.log.payloads_answered(request, payloads, &barred, &mut self.out)
    }

    fn entries_answered(
        &mut self,
        request: RequestId,
        answer: EntriesAnswer,
    ) -> Option<(Fault, Option<SignedCheckpoint>)> {
        let barred = Barred { view: &self.view, members: &self.members, now_ms: NOW_MS, mine: &self.mine };
        self.log.entries_answered(request, answer, &barred, &mut self.out)
    }

    fn late_written(&mut self, write: WriteId) -> Option<Followed> {
        let barred = Barred { view: &self.view, members: &self.members, now_ms: NOW_MS, mine: &self.mine };
        self.log.written(write, &barred, &mut self.out)
    }

    fn written(&mut self, now_ms: u64) -> Followed {
        let barred = Barred { view: &self.view, members: &self.members, now_ms, mine: &self.mine };
        self.log.written(self.write, &barred, &mut self.out).expect("a write is under way")
    }
}
