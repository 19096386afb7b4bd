//! `hashpact verify` on proofs that hold, and on the same proofs with one thing wrong.

use hashpact_protocol::checkpoint::{Checkpoint, sign_checkpoint};
use hashpact_protocol::digest::{LeafHash, LogId, NodeHash, Root, leaf_hash, node_hash};
use hashpact_protocol::keys::SecretKey;
use hashpact_protocol::leaf::{Kind, LeafHeader, seal};
use hashpact_protocol::note::{NoteAlgorithm, NoteKey};
use hashpact_protocol::proof::TlogProof;
use hashpact_protocol::record::{Content, Record, Signal, SignalType};

use crate::command::{hashpact, run};
use crate::fake_node::{FakeNode, Reply};

const ORIGIN: &str = "demo-0123456789abcdef/alpha/1";

/// A log of two entries; the proof of the second.
struct Proven {
    key: SecretKey,
    record: LeafHash,
    with_payload: String,
    leaf_alone: String,
}

fn prove() -> Proven {
    let key = SecretKey::from_seed([3; 32]);
    let mut content = Content::new(vec![Signal::new(SignalType::Md5, &[0xAB; 16], None).unwrap()]).unwrap();
    content.labels.origin = hashpact_protocol::record::Origin::Generated.into();
    let header = LeafHeader {
        kind: Kind::Content,
        priority: false,
        index: 1,
        time_ms: 1_767_323_045_000,
        roster_version: 4,
        log_id: LogId::of_origin(ORIGIN),
        subject: None,
        group: 0,
    };
    let sealed = seal(header, &Record::Content(content), [9; 32]).unwrap();
    let record = leaf_hash(&sealed.leaf_bytes);
    let sibling = NodeHash::new([5; 32]);
    let root = Root::from(node_hash(&sibling, &NodeHash::from(record)));
    let note = sign_checkpoint(&Checkpoint { origin: ORIGIN.to_owned(), size: 2, root }, &key);
    let proof = |extra: Vec<u8>| {
        TlogProof { extra: Some(extra), index: 1, hashes: vec![sibling], checkpoint: note.clone() }.encode()
    };
    let whole = [&sealed.leaf_bytes[..], &sealed.salt, &sealed.padded].concat();
    Proven { record, with_payload: proof(whole), leaf_alone: proof(sealed.leaf_bytes.to_vec()), key }
}

#[test]
fn proofs_that_hold_and_proofs_that_do_not() {
    let proven = prove();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("proof");
    let key = proven.key.public();
    let vkey = NoteKey { name: ORIGIN.to_owned(), algorithm: NoteAlgorithm::Ed25519, key }.vkey();
    let verify = |proof: &str, arguments: &[&str]| {
        std::fs::write(&file, proof).unwrap();
        run(hashpact().arg("verify").arg(&file).args(arguments))
    };

    let (code, stdout, _) = verify(&proven.with_payload, &["--key", &vkey]);
    assert_eq!(code, 0, "{stdout}");
    let expected = format!(
        "PROVEN by the key's signature:\n  record     {}\n  is entry   1 of log {ORIGIN}\n  in a tree of 2 entries with root ",
        proven.record
    );
    assert!(stdout.starts_with(&expected), "{stdout}");
    assert!(stdout.contains(&format!("md5      {}\n    labels   generated\n", "ab".repeat(16))), "{stdout}");
    assert!(stdout.contains("CLAIMED, not proven:\n  stated at 2026-01-02T03:04:05"), "{stdout}");
    assert!(!stdout.contains("NOTE:"), "{stdout}");

    let (code, stdout, _) = verify(&proven.leaf_alone, &["--key", &key.to_hex()]);
    assert_eq!(code, 0, "{stdout}");
    assert!(stdout.contains("NOT SHOWN: what the entry says"), "{stdout}");
    assert!(stdout.contains("NOTE: the name of the log is the one in the proof"), "{stdout}");

    let other = SecretKey::from_seed([4; 32]).public().to_hex();
    let moved = proven.with_payload.replace("index 1\n", "index 0\n");
    let resized = proven.with_payload.replace(&format!("{ORIGIN}\n2\n"), &format!("{ORIGIN}\n3\n"));
    let salted = proven.with_payload.replacen("CQkJCQkJ", "CQkJCQkK", 1);
    assert!(resized != proven.with_payload && salted != proven.with_payload);
    let cases: [(&str, &[&str]); 5] = [
        (&proven.with_payload, &["--key", &other]),
        (&moved, &["--key", &vkey]),
        (&resized, &["--key", &vkey]),
        (&salted, &["--key", &vkey]),
        (&proven.with_payload, &["--key", &key.to_hex(), "--origin", "demo-0123456789abcdef/beta/1"]),
    ];
    for (nth, (proof, arguments)) in cases.into_iter().enumerate() {
        let (code, stdout, _) = verify(proof, arguments);
        assert_eq!(code, 7, "case {nth}: {stdout}");
        assert!(stdout.starts_with("NOT PROVEN: ") && !stdout.contains("PROVEN by"), "case {nth}: {stdout}");
    }
    let (code, _, stderr) =
        verify(&proven.with_payload, &["--key", &vkey, "--origin", "demo-0123456789abcdef/beta/1"]);
    assert_eq!(code, 2, "{stderr}");
}

#[test]
fn a_fetched_proof_must_be_of_the_record_that_was_asked_for() {
    let proven = prove();
    let text = proven.with_payload.clone();
    let node = FakeNode::start(move |_, _| Reply::Answer(200, "", text.clone()));
    let key = proven.key.public().to_hex();
    let asked =
        |id: &str| run(hashpact().args(["--url", &node.url, "verify", "--record", id, "--key", &key]));
    assert_eq!(asked(&proven.record.to_hex()).0, 0);
    let (code, stdout, _) = asked(&"cd".repeat(32));
    assert_eq!(code, 7);
    assert!(stdout.starts_with("NOT PROVEN: the proof is valid, but of another record: "), "{stdout}");
    assert_eq!(node.requests()[0].target, format!("/v1/records/{}/proof", proven.record));
}
