//! Offline proofs of records: vectors, laws and garbage.

mod vector_files;

use hashpact_protocol::checkpoint::{Checkpoint, sign_checkpoint};
use hashpact_protocol::digest::{LogId, NodeHash, leaf_hash};
use hashpact_protocol::keys::{PublicKey, SecretKey};
use hashpact_protocol::leaf::{EntryLeaf, LeafHeader, Sealed, seal};
use hashpact_protocol::merkle::Frontier;
use hashpact_protocol::note::NoteKey;
use hashpact_protocol::proof::{PROOF_MAX_BYTES, ProofError, TlogProof, verify_record_proof};
use hashpact_protocol::record::{Content, Payload, Record, Signal, SignalType};
use proptest::prelude::*;

const ORIGIN: &str = "hearth-0011223344556677/north/0";

#[test]
fn vectors() {
    for vector in vector_files::read_area("proofs") {
        let key = NoteKey::parse_vkey(vector.get("key")).unwrap().key;
        let outcome = verify_record_proof(&vector.body, Some(vector.get("origin")), &key);
        vector.check(&outcome.as_ref().map(|_| ()));
        let Ok(record) = outcome else { continue };
        let leaf = match &record.leaf {
            EntryLeaf::Known(_) => "known",
            EntryLeaf::Opaque(_) => "opaque",
            EntryLeaf::Void(_) => "void",
        };
        let payload = match &record.payload {
            None => "none",
            Some(Payload::Record(_)) => "record",
            Some(Payload::Opaque(_)) => "opaque",
            Some(Payload::Void(_)) => "void",
        };
        assert_eq!((leaf, payload), (vector.get("leaf"), vector.get("payload")), "{}", vector.name);
        assert_eq!(record.leaf_hash, leaf_hash(&record.leaf_bytes));
        assert_eq!(verify_record_proof(&vector.body, None, &key), Ok(record));
        let proof = TlogProof::parse(&vector.body).unwrap();
        assert_eq!(proof.encode().as_bytes(), vector.body, "{}", vector.name);
    }
}

/// A record at index 1 of a log of two entries, and its proof.
fn proven() -> (Sealed, TlogProof, PublicKey) {
    let signal = Signal::new(SignalType::Md5, &[7; 16], None).unwrap();
    let record = Record::Content(Content::new(vec![signal]).unwrap());
    let header = LeafHeader {
        kind: record.kind(),
        priority: false,
        index: 1,
        time_ms: 1_700_000_000_000,
        roster_version: 1,
        log_id: LogId::of_origin(ORIGIN),
        subject: None,
        group: 0,
    };
    let sealed = seal(header, &record, [5; 32]).unwrap();
    let first = leaf_hash(b"first");
    let mut frontier = Frontier::empty();
    frontier.append(first);
    frontier.append(sealed.record_id());
    let key = SecretKey::from_seed([1; 32]);
    let checkpoint = Checkpoint { origin: ORIGIN.into(), size: 2, root: frontier.root() };
    let proof = TlogProof {
        extra: Some([sealed.leaf_bytes.as_slice(), &sealed.salt, &sealed.padded].concat()),
        index: 1,
        hashes: vec![first.into()],
        checkpoint: sign_checkpoint(&checkpoint, &key),
    };
    (sealed, proof, key.public())
}

#[test]
fn a_sealed_record_proves_itself() {
    let (sealed, proof, key) = proven();
    let shown = verify_record_proof(proof.encode().as_bytes(), Some(ORIGIN), &key).unwrap();
    assert_eq!(shown.leaf_hash, sealed.record_id());
    assert_eq!(shown.leaf, EntryLeaf::Known(sealed.leaf.clone()));
    assert_eq!((shown.index, shown.checkpoint.size), (1, 2));
    assert!(matches!(shown.payload, Some(Payload::Record(Record::Content(_)))));

    let withheld = TlogProof { extra: Some(sealed.leaf_bytes.to_vec()), ..proof };
    let shown = verify_record_proof(withheld.encode().as_bytes(), None, &key).unwrap();
    assert_eq!((shown.leaf_hash, shown.payload), (sealed.record_id(), None));
}

#[test]
fn every_flipped_bit_and_every_cut_of_a_proof_is_refused() {
    let (_, proof, key) = proven();
    let text = proof.encode().into_bytes();
    for bit in 0..text.len() * 8 {
        let mut flipped = text.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(verify_record_proof(&flipped, Some(ORIGIN), &key).is_err(), "bit {bit}");
    }
    for length in 0..text.len() {
        assert!(verify_record_proof(&text[..length], Some(ORIGIN), &key).is_err(), "cut at {length}");
    }
    assert!(verify_record_proof(&text, Some(ORIGIN), &SecretKey::from_seed([2; 32]).public()).is_err());
    assert!(verify_record_proof(&text, Some("hearth-0011223344556677/north/1"), &key).is_err());
}

#[test]
fn length_is_checked_before_anything_is_read() {
    let bytes = vec![b'a'; PROOF_MAX_BYTES + 1];
    assert_eq!(TlogProof::parse(&bytes), Err(ProofError::TooLong { bytes: PROOF_MAX_BYTES + 1 }));
    assert_eq!(TlogProof::parse(&bytes[1..]), Err(ProofError::Header));
}

proptest! {
    #[test]
    fn proofs_round_trip(
        extra in prop::option::of(prop::collection::vec(any::<u8>(), 0..400)), index in any::<u64>(),
        hashes in prop::collection::vec(any::<[u8; 32]>().prop_map(NodeHash::new), 0..=64),
    ) {
        let proof = TlogProof { extra, index, hashes, ..proven().1 };
        prop_assert_eq!(TlogProof::parse(proof.encode().as_bytes()), Ok(proof));
    }

    #[test]
    fn garbage_is_only_an_error(tail in prop::collection::vec(any::<u8>(), 0..300), cut in 0..700_usize) {
        let (_, proof, key) = proven();
        let text = proof.encode().into_bytes();
        let bytes = [&text[..cut.min(text.len() - 1)], &tail].concat();
        if let Ok(parsed) = TlogProof::parse(&bytes) {
            prop_assert_eq!(parsed.encode().into_bytes(), bytes.clone());
        }
        prop_assert!(verify_record_proof(&bytes, None, &key).is_err());
    }
}
