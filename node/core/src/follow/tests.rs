//! One followed log against a signed author and peers of any honesty.

use super::*;
use hashpact_protocol::checkpoint::{Checkpoint, sign_checkpoint};
use hashpact_protocol::digest::node_hash;
use hashpact_protocol::keys::SecretKey;
use hashpact_protocol::leaf::{LeafHeader, seal};
use hashpact_protocol::merkle::right_cover;
use hashpact_protocol::record::{Content, Record, Signal, SignalType};
use hashpact_protocol::roster::MemberId;

mod chunks;
mod heads;

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
}

impl Bench {
    fn new() -> Self {
        Self::closed_at(None)
    }

    fn closed_at(size_max: Option<u64>) -> Self {
        let mut out = Out::default();
        let start = FollowedStart {
            author: Author {
                member: MemberId::parse("north").expect("valid"),
                n: 1,
                log: LogId::of_origin(ORIGIN),
            },
            origin: ORIGIN.to_owned(),
            key: key().public(),
            size_max,
            frontier: Frontier::empty(),
            note: None,
            payloads_complete: true,
        };
        let log = FollowedLog::new(start, &mut out);
        out.take();
        Self { log, out }
    }

    fn hear(&mut self, from: Peer, is_author: bool, note: &[u8], now_ms: u64) -> Result<Heard, HeadError> {
        self.log.heard(from, is_author, note, now_ms, &mut self.out)
    }

    /// The fetch that was just asked for: of whom, from where, up to where.
    fn asked(&mut self) -> Option<(Peer, u64, u64)> {
        let asked = self.out.take().into_iter().filter_map(|effect| match effect {
            Effect::Send { peer, request: Request::Range(range), .. } => {
                Some((peer, range.start, range.size))
            }
            _ => None,
        });
        let asked: Vec<_> = asked.collect();
        assert!(asked.len() <= 1, "one fetch at a time: {asked:?}");
        asked.into_iter().next()
    }

    fn fetched(&mut self, chunk: RangeChunk, now_ms: u64) -> Result<Option<WriteBatch>, ChunkError> {
        self.log.fetched(chunk, now_ms, &mut self.out)?;
        let batch = self.out.take().into_iter().find_map(|effect| match effect {
            Effect::Write(batch) => Some(batch),
            _ => None,
        });
        Ok(batch)
    }

    fn written(&mut self, now_ms: u64) -> Followed {
        self.log.written(now_ms, &mut self.out).expect("a write is under way")
    }
}
