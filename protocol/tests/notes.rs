//! Signed notes, checkpoints, cosignatures and keys: vectors, laws and garbage.

mod vector_files;

use std::fmt::Debug;

use hashpact_protocol::checkpoint::{Checkpoint, SignedCheckpoint, sign_checkpoint};
use hashpact_protocol::cosignature::{COSIGNATURE_TIME_MAX_S, sign_cosignature, verify_cosignature};
use hashpact_protocol::digest::{Root, empty_root};
use hashpact_protocol::keys::{PublicKey, SecretKey};
use hashpact_protocol::limits::NOTE_MAX_BYTES;
use hashpact_protocol::merkle::TREE_SIZE_MAX;
use hashpact_protocol::note::{
    Note, NoteAlgorithm, NoteError, NoteKey, NoteSignature, is_key_name, sign_note,
};
use proptest::prelude::*;
use vector_files::VectorFile;

#[test]
fn vectors() {
    for vector in vector_files::read_area("notes") {
        let outcome = match vector.get("kind") {
            "note" => outcome(read_note(&vector)),
            "checkpoint" => outcome(read_checkpoint(&vector)),
            "cosignature" => outcome(read_cosignature(&vector)),
            "public-key" => {
                let text = str::from_utf8(&vector.body).unwrap().trim_end();
                outcome(PublicKey::from_hex(text).map(|key| assert_eq!(key.to_hex(), text)))
            }
            "vkey" => {
                let text = str::from_utf8(&vector.body).unwrap().trim_end();
                outcome(NoteKey::parse_vkey(text).map(|key| assert_eq!(key.vkey(), text)))
            }
            kind => panic!("{}: unknown kind {kind}", vector.name),
        };
        vector.check(&outcome);
    }
}

fn outcome<E: Debug>(result: Result<(), E>) -> Result<(), String> {
    result.map_err(|error| format!("{error:?}"))
}

fn key_of(vector: &VectorFile) -> NoteKey {
    NoteKey::parse_vkey(vector.get("key")).unwrap()
}

fn read_note(vector: &VectorFile) -> Result<(), NoteError> {
    let note = Note::parse(&vector.body)?;
    assert_eq!(note.encode(), vector.body, "{}: encode is the inverse of parse", vector.name);
    note.verify(&key_of(vector))
}

fn read_checkpoint(vector: &VectorFile) -> Result<(), impl Debug> {
    let key = key_of(vector);
    SignedCheckpoint::verify(&vector.body, &key.name, &key.key).map(|signed| {
        assert_eq!(signed.note(), vector.body);
        assert_eq!(Note::parse(&vector.body).unwrap().text, signed.checkpoint().text());
    })
}

fn read_cosignature(vector: &VectorFile) -> Result<(), impl Debug> {
    let note = Note::parse(&vector.body).unwrap();
    verify_cosignature(&note, &key_of(vector)).map(|time_s| {
        assert_eq!(time_s.to_string(), vector.get("time"));
    })
}

fn log_key() -> SecretKey {
    SecretKey::from_seed([1; 32])
}

fn sample() -> Checkpoint {
    Checkpoint { origin: "hearth/north/0".into(), size: 3, root: Root::new([9; 32]) }
}

#[test]
fn every_flipped_bit_of_a_checkpoint_note_is_refused() {
    let key = log_key().public();
    let note = sign_checkpoint(&sample(), &log_key());
    assert!(SignedCheckpoint::verify(&note, "hearth/north/0", &key).is_ok());
    for bit in 0..note.len() * 8 {
        let mut flipped = note.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(SignedCheckpoint::verify(&flipped, "hearth/north/0", &key).is_err(), "bit {bit}");
    }
    for length in 0..note.len() {
        assert!(SignedCheckpoint::verify(&note[..length], "hearth/north/0", &key).is_err());
    }
}

#[test]
fn a_verified_line_is_good_in_every_note_over_the_same_text() {
    let (log, witness) = (log_key(), SecretKey::from_seed([2; 32]));
    let (origin, key) = ("hearth/north/0", log.public());
    let alone = sign_checkpoint(&sample(), &log);
    let signed = SignedCheckpoint::verify(&alone, origin, &key).unwrap();
    let mut note = Note::parse(&alone).unwrap();
    note.signatures.insert(0, sign_cosignature(&note.text, "hearth/witness/east", &witness, 7));
    let dressed = note.encode();
    assert_eq!(signed.in_note(&dressed, &key), SignedCheckpoint::verify(&dressed, origin, &key).ok());
    assert_eq!(signed.in_note(&alone, &key), Some(signed.clone()));
    // Whatever else is told is verified, or refused.
    for bit in 0..dressed.len() * 8 {
        let mut flipped = dressed.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let taken = signed.in_note(&flipped, &key);
        assert_eq!(taken, SignedCheckpoint::verify(&flipped, origin, &key).ok(), "bit {bit}");
    }
    let longer = Checkpoint { size: 4, ..sample() };
    assert_eq!(signed.in_note(&sign_checkpoint(&longer, &log), &key), None);
    note.signatures.push(sign_note(&note.text, origin, &log));
    assert_eq!(signed.in_note(&note.encode(), &key), None, "the line of the log twice");
}

#[test]
fn every_flipped_bit_of_a_cosignature_is_refused() {
    let witness = SecretKey::from_seed([2; 32]);
    let key = NoteKey {
        name: "hearth/witness/east".into(),
        algorithm: NoteAlgorithm::CosignatureV1,
        key: witness.public(),
    };
    let text = sample().text();
    let line = sign_cosignature(&text, &key.name, &witness, 1_700_000_000);
    let note = Note { text, signatures: vec![line] };
    assert_eq!(verify_cosignature(&note, &key), Ok(1_700_000_000));
    for bit in 0..note.signatures[0].bytes.len() * 8 {
        let mut flipped = note.clone();
        flipped.signatures[0].bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(verify_cosignature(&flipped, &key).is_err(), "bit {bit}");
    }
    let late = sign_cosignature(&note.text, &key.name, &witness, u64::MAX);
    let late = Note { signatures: vec![late], ..note };
    assert_eq!(verify_cosignature(&late, &key), Ok(COSIGNATURE_TIME_MAX_S));
}

#[test]
fn one_key_in_two_roles_never_counts_twice() {
    let key = log_key();
    let text = sample().text();
    let as_signer = NoteKey { name: "a".into(), algorithm: NoteAlgorithm::Ed25519, key: key.public() };
    let as_witness = NoteKey { algorithm: NoteAlgorithm::CosignatureV1, ..as_signer.clone() };
    assert_ne!(as_signer.key_id(), as_witness.key_id());
    let signed = Note { signatures: vec![sign_note(&text, "a", &key)], text: text.clone() };
    let cosigned = Note { signatures: vec![sign_cosignature(&text, "a", &key, 5)], text };
    assert!(signed.verify(&as_signer).is_ok() && cosigned.verify(&as_signer).is_err());
    assert!(verify_cosignature(&cosigned, &as_witness).is_ok());
    assert!(verify_cosignature(&signed, &as_witness).is_err());
    assert!(matches!(cosigned.verify(&as_witness), Err(NoteError::WrongAlgorithm { .. })));
}

#[test]
fn the_longest_note_is_read_and_one_byte_more_is_not() {
    let room = NOTE_MAX_BYTES - sample_note("x".into()).encode().len();
    let longest = sample_note("x".repeat(1 + room)).encode();
    assert_eq!(longest.len(), NOTE_MAX_BYTES);
    assert!(Note::parse(&longest).is_ok());
    let longer = sample_note("x".repeat(2 + room)).encode();
    assert_eq!(Note::parse(&longer), Err(NoteError::TooLong { bytes: NOTE_MAX_BYTES + 1 }));
}

fn sample_note(line: String) -> Note {
    let text = format!("{line}\n");
    let signatures = vec![NoteSignature { name: "k".into(), key_id: [1; 4], bytes: vec![0] }];
    Note { text, signatures }
}

#[test]
fn key_names() {
    for name in ["a", "hearth-0011223344556677/north/0", "é", "—"] {
        assert!(is_key_name(name), "{name}");
    }
    for name in ["", " ", "a b", "a+b", "a\u{2003}b", "a\u{a0}b", "a\nb", "\u{3000}", "a\u{1}"] {
        assert!(!is_key_name(name), "{name:?}");
    }
}

fn any_text() -> impl Strategy<Value = String> {
    prop::collection::vec("[ -~é—]{0,12}", 1..5).prop_map(|lines| format!("{}\n", lines.join("\n")))
}

fn any_signature() -> impl Strategy<Value = NoteSignature> {
    ("[!-*,-~é]{1,12}", any::<[u8; 4]>(), prop::collection::vec(any::<u8>(), 1..80))
        .prop_map(|(name, key_id, bytes)| NoteSignature { name, key_id, bytes })
}

proptest! {
    #[test]
    fn notes_round_trip(text in any_text(), signatures in prop::collection::vec(any_signature(), 1..6)) {
        let note = Note { text, signatures };
        let bytes = note.encode();
        prop_assert_eq!(Note::parse(&bytes), Ok(note));
    }

    #[test]
    fn what_parses_is_what_encode_writes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(note) = Note::parse(&bytes) {
            prop_assert_eq!(note.encode(), bytes);
        }
    }

    /// Text that almost is a note reaches further into the parser than random bytes.
    #[test]
    fn what_almost_is_a_note(lines in prop::collection::vec("(|— [a+]{0,2} [A-D=]{0,8}|[a-c ]{0,3}|\r)", 0..8)) {
        let bytes = lines.join("\n").into_bytes();
        if let Ok(note) = Note::parse(&bytes) {
            prop_assert_eq!(note.encode(), bytes);
        }
    }

    #[test]
    fn checkpoints_round_trip(origin in "[!-*,-~]{1,40}", size in 1..=TREE_SIZE_MAX, root in any::<[u8; 32]>()) {
        let checkpoint = Checkpoint { origin, size, root: Root::new(root) };
        prop_assert_eq!(Checkpoint::parse_text(&checkpoint.text()), Ok(checkpoint.clone()));
        let key = log_key();
        let signed = SignedCheckpoint::verify(
            &sign_checkpoint(&checkpoint, &key), &checkpoint.origin, &key.public()
        );
        prop_assert_eq!(signed.map(|signed| (signed.size(), signed.root())), Ok((size, checkpoint.root)));
    }

    #[test]
    fn texts_that_parse_are_what_text_writes(text in "[a ]{0,2}\n[0-9+ ]{0,3}\n[A-Za-z0-9+/]{42,43}=?\n{0,2}") {
        if let Ok(checkpoint) = Checkpoint::parse_text(&text) {
            prop_assert_eq!(checkpoint.text(), text);
        }
    }

    #[test]
    fn vkeys_round_trip(name in "[!-*,-~é]{1,20}", seed in any::<[u8; 32]>(), cosigner in any::<bool>()) {
        let algorithm = if cosigner { NoteAlgorithm::CosignatureV1 } else { NoteAlgorithm::Ed25519 };
        let key = NoteKey { name, algorithm, key: SecretKey::from_seed(seed).public() };
        prop_assert_eq!(NoteKey::parse_vkey(&key.vkey()), Ok(key));
    }

    #[test]
    fn public_keys_of_random_bytes_are_only_errors(bytes in any::<[u8; 32]>()) {
        if let Ok(key) = PublicKey::from_bytes(bytes) {
            prop_assert_eq!(key.as_bytes(), &bytes);
        }
    }
}

#[test]
fn the_empty_tree_has_one_root() {
    let empty = Checkpoint { origin: "a".into(), size: 0, root: empty_root() };
    assert_eq!(Checkpoint::parse_text(&empty.text()), Ok(empty.clone()));
    let forged = Checkpoint { root: Root::new([1; 32]), ..empty };
    assert!(Checkpoint::parse_text(&forged.text()).is_err());
}
