//! What a witness is asked and answers, and evidence of equivocation: the vectors of a second
//! implementation, laws and garbage.

mod vector_files;

use hashpact_protocol::checkpoint::{Checkpoint, sign_checkpoint};
use hashpact_protocol::cosignature::{sign_cosignature, verify_cosignature};
use hashpact_protocol::digest::{LeafHash, NodeHash, Root, leaf_hash};
use hashpact_protocol::evidence::{Divergence, Evidence, OldRoot, Side};
use hashpact_protocol::keys::{PublicKey, SecretKey};
use hashpact_protocol::merkle::{Frontier, HashReader, consistency_proof, inclusion_proof};
use hashpact_protocol::note::{NoteAlgorithm, NoteKey};
use hashpact_protocol::roster::{faults_tolerated, quorum};
use hashpact_protocol::witness::{AddCheckpoint, check, encode_signatures, parse_signatures};
use proptest::prelude::*;
use std::convert::Infallible;
use vector_files::VectorFile;

const ORIGIN: &str = "hearth-0011223344556677/north/0";
const WITNESS: &str = "hearth-0011223344556677/witness/east";

fn log_key(vector: &VectorFile) -> PublicKey {
    NoteKey::parse_vkey(vector.get("key")).unwrap().key
}

#[test]
fn witness_vectors() {
    let cosigner = SecretKey::from_seed([3; 32]);
    for vector in vector_files::read_area("witness") {
        vector.check(&ask(&vector, &cosigner));
    }
}

fn ask(vector: &VectorFile, cosigner: &SecretKey) -> Result<(), String> {
    let request = AddCheckpoint::parse(&vector.body).map_err(|error| format!("{error:?}"))?;
    assert_eq!(request.encode(), vector.body, "{}: encode is the inverse of parse", vector.name);
    let cosigned = vector
        .get("cosigned")
        .split_once(' ')
        .map(|(size, root)| (size.parse().unwrap(), Root::from_hex(root).unwrap()));
    let signed = check(&request, vector.get("origin"), &log_key(vector), cosigned)
        .map_err(|error| format!("{error:?}"))?;
    // The bytes of the answer are those of the second implementation, and read back to its time.
    let text = signed.checkpoint().text();
    let time_s = vector.get("time").parse().unwrap();
    let lines = encode_signatures(&[sign_cosignature(&text, WITNESS, cosigner, time_s)]);
    assert_eq!(str::from_utf8(&lines).unwrap().trim_end(), vector.get("answer"), "{}", vector.name);
    let note = parse_signatures(signed.checkpoint(), &lines).unwrap();
    let key =
        NoteKey { name: WITNESS.into(), algorithm: NoteAlgorithm::CosignatureV1, key: cosigner.public() };
    assert_eq!(verify_cosignature(&note, &key), Ok(time_s));
    Ok(())
}

#[test]
fn evidence_vectors() {
    for vector in vector_files::read_area("evidence") {
        let outcome = Evidence::parse(&vector.body).and_then(|evidence| {
            assert_eq!(evidence.encode(), vector.body, "{}", vector.name);
            let verified = evidence.verify(vector.get("origin"), &log_key(&vector))?;
            let at = verified.diverges_at().map_or("none".to_owned(), |index| index.to_string());
            assert_eq!(at, vector.get("divergence"), "{}", vector.name);
            assert_eq!(verified.origin(), vector.get("origin"));
            Ok(())
        });
        vector.check(&outcome);
    }
}

#[test]
fn signature_lines_are_those_of_the_checkpoint_that_was_asked_about() {
    let checkpoint = Checkpoint { origin: ORIGIN.into(), size: 3, root: Root::new([9; 32]) };
    let line = |size| {
        let text = Checkpoint { size, ..checkpoint.clone() }.text();
        encode_signatures(&[sign_cosignature(&text, WITNESS, &SecretKey::from_seed([3; 32]), 5)])
    };
    let key = NoteKey {
        name: WITNESS.into(),
        algorithm: NoteAlgorithm::CosignatureV1,
        key: SecretKey::from_seed([3; 32]).public(),
    };
    let verified = |lines: &[u8]| verify_cosignature(&parse_signatures(&checkpoint, lines).unwrap(), &key);
    assert_eq!(verified(&line(3)), Ok(5));
    assert!(verified(&line(4)).is_err(), "of another size");
    assert!(verified(&[line(3), line(3)].concat()).is_err(), "twice");
    for bad in [&b""[..], b"\n", b"x", &[b"\n", &line(3)[..]].concat(), &line(3)[..40]] {
        assert!(parse_signatures(&checkpoint, bad).is_err(), "{bad:?}");
    }
    assert!(parse_signatures(&checkpoint, &line(3).repeat(33)).is_err(), "too many lines");
}

#[test]
fn quorums_of_up_to_fifteen_witnesses() {
    let table: Vec<_> = (0..=15).map(|n| (quorum(n).unwrap_or(0), faults_tolerated(n))).collect();
    let expected = [
        (0, 0),
        (1, 0),
        (2, 0),
        (3, 0),
        (3, 1),
        (4, 1),
        (5, 1),
        (5, 2),
        (6, 2),
        (7, 2),
        (7, 3),
        (8, 3),
        (9, 3),
        (9, 4),
        (10, 4),
        (11, 4),
    ];
    assert_eq!(table, expected);
}

/// A tree kept as its leaves.
struct Leaves(Vec<LeafHash>);

impl HashReader for Leaves {
    type Error = Infallible;

    fn node(&self, level: u8, index: u64) -> Result<NodeHash, Infallible> {
        let width = 1usize << level;
        let from = index as usize * width;
        let mut tree = Frontier::empty();
        self.0[from..from + width].iter().for_each(|leaf| tree.append(*leaf));
        Ok(tree.root().into())
    }
}

impl Leaves {
    fn grow(tag: u8, shared: usize, len: usize) -> Self {
        let tagged = |at: usize| if at < shared { 0 } else { tag };
        Self((0..len).map(|at| leaf_hash(&[tagged(at), at as u8])).collect())
    }

    fn root(&self, size: usize) -> Root {
        let mut tree = Frontier::empty();
        self.0[..size].iter().for_each(|leaf| tree.append(*leaf));
        tree.root()
    }

    fn note(&self, size: usize) -> Vec<u8> {
        let checkpoint = Checkpoint { origin: ORIGIN.into(), size: size as u64, root: self.root(size) };
        sign_checkpoint(&checkpoint, &SecretKey::from_seed([1; 32]))
    }

    fn consistency(&self, old: usize, new: usize) -> Vec<NodeHash> {
        consistency_proof(self, old as u64, new as u64).unwrap()
    }

    fn side(&self, index: usize, size: usize) -> Side {
        Side {
            leaf: self.0[index],
            consistency: self.consistency(index, size),
            inclusion: inclusion_proof(self, index as u64, size as u64).unwrap(),
        }
    }
}

fn evidence(first: &Leaves, a: usize, second: &Leaves, b: usize) -> Evidence {
    let old = (a < b).then(|| OldRoot { root: second.root(a), proof: second.consistency(a, b) });
    Evidence { first: first.note(a), second: second.note(b), old, divergence: None }
}

proptest! {
    #[test]
    fn every_fork_can_be_proven_and_where_it_parts(
        shared in 0usize..20, more in 1usize..20, further in 0usize..20
    ) {
        let key = SecretKey::from_seed([1; 32]).public();
        let (a, b) = (shared + more, shared + more + further);
        let (first, second) = (Leaves::grow(1, shared, a), Leaves::grow(2, shared, b));
        let claim = Evidence {
            divergence: Some(Divergence {
                index: shared as u64,
                root: first.root(shared),
                first: first.side(shared, a),
                second: second.side(shared, b),
            }),
            ..evidence(&first, a, &second, b)
        };
        prop_assert_eq!(&Evidence::parse(&claim.encode()).unwrap(), &claim);
        let verified = claim.verify(ORIGIN, &key).unwrap();
        prop_assert_eq!(verified.diverges_at(), Some(shared as u64));
    }

    #[test]
    fn an_honest_log_cannot_be_accused(
        a in 0usize..40, more in 0usize..40, root in any::<[u8; 32]>(),
        made_up in proptest::collection::vec(any::<[u8; 32]>(), 0..8), cut in 0usize..8, at in 0usize..40
    ) {
        let key = SecretKey::from_seed([1; 32]).public();
        let b = a + more;
        let log = Leaves::grow(0, 0, b);
        let honest = evidence(&log, a, &log, b);
        prop_assert!(honest.clone().verify(ORIGIN, &key).is_err());
        // Whatever an accuser puts in the place of root and proof: any root with the honest proof, with
        // proofs between other sizes, with parts of them, with hashes of its own.
        let at = at.min(b);
        let proofs = [
            log.consistency(a, b),
            log.consistency(at, b),
            log.consistency(a.min(at), a.max(at)),
            log.consistency(a, b).into_iter().take(cut).collect(),
            made_up.into_iter().map(NodeHash::new).collect(),
        ];
        for proof in proofs {
            for root in [Root::new(root), log.root(at), log.root(b)] {
                let old = Some(OldRoot { root, proof: proof.clone() });
                let accusation = Evidence { old, ..honest.clone() };
                prop_assert!(accusation.verify(ORIGIN, &key).is_err());
            }
        }
    }

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400), at in 0usize..600) {
        let _ = AddCheckpoint::parse(&bytes);
        let _ = Evidence::parse(&bytes);
        let mut claim = evidence(&Leaves::grow(1, 2, 5), 5, &Leaves::grow(2, 2, 9), 9).encode();
        let at = at % claim.len();
        claim.splice(at..at, bytes);
        if let Ok(parsed) = Evidence::parse(&claim) {
            prop_assert_eq!(parsed.encode(), claim);
        }
    }
}
