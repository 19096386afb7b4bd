//! Two histories of one log: one is followed, the other is fetched, and nothing that does not prove itself is kept.

use super::*;
use crate::entitled::{Entitled, Mine};
use crate::view::View;
use hashpact_protocol::checkpoint::{Checkpoint, sign_checkpoint};
use hashpact_protocol::digest::{LeafHash, NodeHash, leaf_hash, node_hash};
use hashpact_protocol::evidence::{Divergence, Evidence, OldRoot, Side};
use hashpact_protocol::keys::SecretKey;
use hashpact_protocol::limits::{ENTRY_LEAF_MAX_BYTES, PAYLOAD_PADDED_MAX_BYTES};
use hashpact_protocol::merkle::{HashReader, consistency_proof, inclusion_proof, read_cover, read_root};
use hashpact_protocol::roster::MemberId;
use hashpact_protocol::wire::{WireEntry, WirePayload};
use std::convert::Infallible;

const ORIGIN: &str = "test-0000000000000000/north/1";
/// Entries that both histories share.
const SHARED: u64 = 5;

fn log() -> LogId {
    LogId::of_origin(ORIGIN)
}

fn key() -> SecretKey {
    SecretKey::from_seed([7; 32])
}

fn peer(n: u8) -> Peer {
    SecretKey::from_seed([n; 32]).public()
}

/// One history: the first entries are the same in all.
struct History(Vec<Vec<u8>>);

impl History {
    fn new(name: u8, size: u64) -> Self {
        Self::parting(name, size, SHARED)
    }

    fn parting(name: u8, size: u64, shared: u64) -> Self {
        Self(
            (0..size)
                .map(|index| vec![if index < shared { 0 } else { name }, index as u8, (index >> 8) as u8])
                .collect(),
        )
    }

    fn frontier(&self, size: u64) -> Frontier {
        let mut frontier = Frontier::empty();
        self.0[..size as usize].iter().for_each(|leaf| frontier.append(leaf_hash(leaf)));
        frontier
    }

    fn note(&self, size: u64) -> Vec<u8> {
        let checkpoint =
            Checkpoint { origin: ORIGIN.to_owned(), size, root: read_root(self, size).expect("held") };
        sign_checkpoint(&checkpoint, &key())
    }

    fn lead(&self, old: u64, new: u64) -> ConsistencyAnswer {
        let bytes = |hashes: Vec<NodeHash>| hashes.iter().map(|hash| *hash.as_bytes()).collect();
        ConsistencyAnswer {
            old_root: *self.frontier(old).root().as_bytes(),
            consistency: bytes(consistency_proof(self, old, new).expect("in order")),
            leaf: *leaf_hash(&self.0[old as usize]).as_bytes(),
            inclusion: bytes(inclusion_proof(self, old, new).expect("in order")),
        }
    }

    fn chunk(&self, start: u64, end: u64, size: u64) -> RangeChunk {
        let entry = |leaf: &Vec<u8>| WireEntry { leaf: leaf.clone(), payload: WirePayload::NotHere };
        let cover = read_cover(self, end, size).expect("held");
        RangeChunk {
            start,
            entries: self.0[start as usize..end as usize].iter().map(entry).collect(),
            cover: cover.iter().map(|hash| *hash.as_bytes()).collect(),
        }
    }

    fn side(&self, size: u64) -> Side {
        Side {
            leaf: leaf_hash(&self.0[SHARED as usize]),
            consistency: consistency_proof(self, SHARED, size).expect("in order"),
            inclusion: inclusion_proof(self, SHARED, size).expect("in order"),
        }
    }
}

impl HashReader for History {
    type Error = Infallible;

    fn node(&self, level: u8, index: u64) -> Result<NodeHash, Infallible> {
        if level == 0 {
            return Ok(LeafHash::into(leaf_hash(&self.0[index as usize])));
        }
        Ok(node_hash(&self.node(level - 1, 2 * index)?, &self.node(level - 1, 2 * index + 1)?))
    }
}

/// Evidence about the first `a` entries of one and the first `b`, not fewer, of the other.
fn evidence(first: &History, a: u64, second: &History, b: u64) -> VerifiedEvidence {
    let old = (a < b).then(|| OldRoot {
        root: second.frontier(a).root(),
        proof: consistency_proof(second, a, b).expect("in order"),
    });
    let divergence = Divergence {
        index: SHARED,
        root: first.frontier(SHARED).root(),
        first: first.side(a),
        second: second.side(b),
    };
    let claimed =
        Evidence { first: first.note(a), second: second.note(b), old, divergence: Some(divergence) };
    claimed.verify(ORIGIN, &key().public()).expect("two histories")
}

/// Takes an answer while no order is known.
fn answer(branches: &mut Branches, request: RequestId, chunk: Option<RangeChunk>, id: WriteId) -> Brought {
    let (view, members) = (View::new(0), BTreeMap::new());
    let mine = Mine { member: MemberId::parse("south").expect("valid"), entitled: Entitled::All };
    let barred = Barred { view: &view, members: &members, mine: &mine, now_ms: 0 };
    branches.answered(request, chunk, id, &barred)
}

/// Asks for the next part, in the name of `request`.
fn ask(branches: &mut Branches, request: RequestId) -> Option<BranchRequest> {
    let (log, branch) = branches.wanted().next()?;
    let peer = branch.pick(&[(peer(1), false)], 0)?;
    Some(branch.ask(log, peer, request))
}

#[test]
fn the_other_history_is_kept_from_where_it_parts() {
    let (ours, other) = (History::new(1, 20), History::new(2, 17));
    let known = evidence(&other, 17, &ours, 20);
    let mut branches = Branches::default();
    branches.place(log(), &known, &ours.frontier(20), Some(&ours.lead(SHARED, 20)));
    for (request, (start, end)) in [(1, (5, 9)), (3, (9, 16)), (5, (16, 17))] {
        let asked = ask(&mut branches, request).expect("it is not whole");
        assert_eq!((asked.range.start, asked.range.size), (start, 17));
        assert_eq!(asked.root, *other.frontier(17).root().as_bytes());
        assert!(ask(&mut branches, 99).is_none(), "one part at a time");
        let chunk = other.chunk(start, end, 17);
        let Brought::Batch(batch) = answer(&mut branches, request, Some(chunk), request + 1) else {
            panic!("it proves itself")
        };
        assert_eq!((batch.start, batch.at, batch.entries.len() as u64), (5, start, end - start));
        assert_eq!(batch.frontier, other.frontier(end).hashes());
        assert!(branches.written(request + 2).is_none(), "another's write");
        let kept = branches.written(request + 1).expect("ours");
        assert_eq!((kept.log, kept.number), (log(), 0));
        assert!(kept.entries.iter().map(|(index, _)| *index).eq(start..end));
    }
    assert!(ask(&mut branches, 7).is_none(), "it is whole");
    let [first, second] = branches.state(log(), &known, 20).branches;
    assert_eq!((first.is_followed, first.kept_from, first.held), (false, Some(5), 17));
    assert_eq!((second.is_followed, second.kept_from, second.held), (true, None, 20));
    // A restart takes up what is on disk, and keeps nothing twice.
    let signed = SignedCheckpoint::verify(&other.note(17), ORIGIN, &key().public()).expect("signed");
    let note = SizedNote { size: 17, note: other.note(17) };
    let held = HeldBranch { note, start: 5, frontier: other.frontier(9), payload_bytes: 0 };
    let mut again = Branches::default();
    again.load(log(), 0, held, &signed);
    again.place(log(), &known, &ours.frontier(20), Some(&ours.lead(SHARED, 20)));
    assert_eq!(ask(&mut again, 1).map(|asked| asked.range.start), Some(9), "it goes on where it was");
    assert_eq!(again.kept().count(), 1);
}

#[test]
fn a_restart_that_finds_the_second_alone_goes_on_with_both() {
    let (a, b) = (History::new(1, 20), History::new(2, 17));
    let known = evidence(&b, 17, &a, 20);
    let signed = SignedCheckpoint::verify(&a.note(20), ORIGIN, &key().public()).expect("signed");
    let note = SizedNote { size: 20, note: a.note(20) };
    let held = HeldBranch { note, start: 3, frontier: a.frontier(11), payload_bytes: 0 };
    let mut branches = Branches::default();
    branches.load(log(), 1, held, &signed);
    branches.place(log(), &known, &a.frontier(3), None);
    let found: Vec<_> =
        branches.kept.iter().map(|((_, n), one)| (*n, one.note.size, one.frontier.size())).collect();
    assert_eq!(found, [(0, 17, 3), (1, 20, 11)]);
}

#[test]
fn who_was_frozen_before_they_part_keeps_both_and_who_is_behind_keeps_the_rest_of_its_own() {
    let (a, b) = (History::new(1, 20), History::new(2, 17));
    let known = evidence(&b, 17, &a, 20);
    for (held, here, kept) in [
        (0, None, vec![(17, 0), (20, 0)]),
        (3, None, vec![(17, 3), (20, 3)]),
        (5, None, vec![(17, 5), (20, 5)]),
        (7, Some(a.lead(SHARED, 7)), vec![(17, 5), (20, 7)]),
        (20, Some(a.lead(SHARED, 20)), vec![(17, 5)]),
        // Of a history that is neither of the two: both are kept.
        (9, Some(History::new(3, 9).lead(SHARED, 9)), vec![(17, 5), (20, 5)]),
        // One that parted from both before they parted: nothing can be put together with it.
        (9, Some(History::parting(3, 9, 2).lead(SHARED, 9)), vec![]),
    ] {
        let mut branches = Branches::default();
        branches.place(log(), &known, &a.frontier(held), here.as_ref());
        let found: Vec<(u64, u64)> =
            branches.kept.values().map(|branch| (branch.note.size, branch.start)).collect();
        assert_eq!(found, kept, "{held} held");
    }
}

#[test]
fn what_does_not_prove_itself_is_not_kept() {
    let (ours, other) = (History::new(1, 20), History::new(2, 17));
    let third = History::new(3, 17);
    let known = evidence(&other, 17, &ours, 20);
    let good = other.chunk(5, 9, 17);
    let changed = |change: &dyn Fn(&mut RangeChunk)| {
        let mut chunk = good.clone();
        change(&mut chunk);
        chunk
    };
    let wrong = [
        (ours.chunk(5, 9, 17), "chunk_root"),
        (third.chunk(5, 9, 17), "chunk_root"),
        (other.chunk(5, 9, 16), "chunk_root"),
        (changed(&|chunk| chunk.entries[2].leaf[1] ^= 1), "chunk_root"),
        (changed(&|chunk| chunk.cover[0][0] ^= 1), "chunk_root"),
        (changed(&|chunk| assert!(chunk.cover.pop().is_some())), "chunk_root"),
        (changed(&|chunk| assert!(chunk.entries.pop().is_some())), "chunk_root"),
        (other.chunk(4, 9, 17), "chunk_start"),
        (other.chunk(6, 9, 17), "chunk_start"),
        (changed(&|chunk| chunk.entries.clear()), "chunk_empty"),
        (changed(&|chunk| chunk.entries.extend(other.chunk(0, 10, 17).entries)), "chunk_too_long"),
        (changed(&|chunk| chunk.entries[0].leaf = vec![0; ENTRY_LEAF_MAX_BYTES + 1]), "chunk_leaf_too_long"),
    ];
    for (number, (chunk, label)) in wrong.into_iter().enumerate() {
        let mut branches = Branches::default();
        branches.place(log(), &known, &ours.frontier(20), Some(&ours.lead(SHARED, 20)));
        ask(&mut branches, 1).expect("wanted");
        assert!(
            matches!(answer(&mut branches, 2, Some(chunk.clone()), 9), Brought::Nothing),
            "another's answer"
        );
        let Brought::Fault(error) = answer(&mut branches, 1, Some(chunk), 9) else {
            panic!("{number}: {label}")
        };
        assert_eq!(error.label(), label, "{number}");
        assert_eq!(branches.kept.values().next().map(|branch| branch.frontier.size()), Some(5));
        assert!(ask(&mut branches, 3).is_none(), "who sent it is not asked again in this round");
    }
}

#[test]
fn nobody_is_blamed_where_the_tree_before_may_be_the_wrong_one() {
    let (a, b) = (History::new(1, 20), History::new(2, 17));
    let known = evidence(&b, 17, &a, 20);
    let stranger = History::parting(3, 3, 1);
    let mut branches = Branches::default();
    branches.place(log(), &known, &stranger.frontier(3), None);
    ask(&mut branches, 1).expect("wanted");
    assert!(matches!(answer(&mut branches, 1, Some(b.chunk(3, 9, 17)), 9), Brought::Nothing));
    assert!(matches!(answer(&mut branches, 1, Some(b.chunk(3, 9, 17)), 9), Brought::Nothing), "asked once");
}

#[test]
fn a_thief_fills_no_disk() {
    // Longer than what is kept by one: nothing is asked for, and that is said.
    let most = BRANCH_ENTRIES_MAX + SHARED;
    for (size, is_kept) in [(most, true), (most + 1, false)] {
        let (ours, other) = (History::new(1, 9), History::new(2, size));
        let known = evidence(&ours, 9, &other, size);
        let mut branches = Branches::default();
        branches.place(log(), &known, &ours.frontier(9), Some(&ours.lead(SHARED, 9)));
        assert_eq!(ask(&mut branches, 1).is_some(), is_kept, "{size}");
        let [_, state] = branches.state(log(), &known, 9).branches;
        assert_eq!((state.is_too_long, state.held), (!is_kept, SHARED), "{size}");
    }
    // A third and a fourth history are not kept beside the two of the first evidence.
    let [a, b, c, d] = [1, 2, 3, 4].map(|name| History::new(name, 9));
    let mut branches = Branches::default();
    for known in [evidence(&a, 8, &b, 9), evidence(&c, 8, &d, 9)] {
        branches.forget_place(&log());
        branches.place(log(), &known, &a.frontier(3), None);
    }
    let kept: Vec<Root> = branches.kept().map(|(_, _, root, _)| root).collect();
    assert_eq!(kept, [a.frontier(8).root(), b.frontier(9).root()]);
}

#[test]
fn payloads_beyond_the_bound_are_left_out() {
    let (ours, other) = (History::new(1, 20), History::new(2, 17));
    let known = evidence(&other, 17, &ours, 20);
    let mut branches = Branches::default();
    branches.place(log(), &known, &ours.frontier(20), Some(&ours.lead(SHARED, 20)));
    let branch = branches.kept.values_mut().next().expect("placed");
    let each = (PAYLOAD_PADDED_MAX_BYTES + SALT_BYTES) as u64;
    branch.payload_bytes = BRANCH_PAYLOAD_BYTES_MAX - 2 * each;
    let payload = StoredPayload::Present { salt: [0; 32], padded: vec![0; PAYLOAD_PADDED_MAX_BYTES] };
    let mut entries = vec![StoredEntry { leaf: Vec::new(), payload: payload.clone() }; 3];
    assert_eq!(branch.bound(&mut entries), BRANCH_PAYLOAD_BYTES_MAX);
    let left: Vec<bool> = entries.iter().map(|entry| entry.payload == payload).collect();
    assert_eq!(left, [true, true, false]);
}

#[test]
fn all_are_asked_once_in_a_round_and_rounds_grow_apart() {
    let (ours, other) = (History::new(1, 20), History::new(2, 17));
    let known = evidence(&other, 17, &ours, 20);
    let mut branches = Branches::default();
    branches.place(log(), &known, &ours.frontier(20), Some(&ours.lead(SHARED, 20)));
    let peers = [(peer(1), false), (peer(2), true), (peer(3), false)];
    let mut request = 0;
    let mut round = |branches: &mut Branches, now_ms: u64| {
        let mut asked = Vec::new();
        loop {
            let Some((log, branch)) = branches.wanted().next() else { break };
            let Some(peer) = branch.pick(&peers, now_ms) else { break };
            request += 1;
            branch.ask(log, peer, request);
            asked.push(peer);
            assert!(matches!(answer(branches, request, None, 0), Brought::Nothing));
        }
        asked
    };
    let first = round(&mut branches, 1_000);
    assert_eq!((first.len(), first[0]), (3, peer(2)), "who offers that head comes first");
    assert!(round(&mut branches, 1_000 + BRANCH_REST_FIRST_MS - 1).is_empty());
    assert_eq!(round(&mut branches, 1_000 + BRANCH_REST_FIRST_MS).len(), 3);
    assert!(round(&mut branches, 1_000 + 2 * BRANCH_REST_FIRST_MS).is_empty(), "the rest has grown");
    branches.lost(&peer(3));
    assert_eq!(round(&mut branches, 1_000 + 2 * BRANCH_REST_FIRST_MS), [peer(3)], "it is back");
}
