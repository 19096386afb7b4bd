//! Leaves, padding and commitments against `tests/vectors/leaf`, and their laws on random values.

mod hex_vectors;

use hashpact_protocol::digest::{LeafHash, LogId, PayloadCommitment, leaf_hash};
use hashpact_protocol::leaf::{
    EntryLeaf, Kind, Leaf, LeafHeader, PayloadError, check_commitment, pad_payload, read_leaf, seal, unpad,
};
use hashpact_protocol::limits::{LEAF_BYTES, PAYLOAD_CBOR_MAX_BYTES, TIME_MS_MAX};
use hashpact_protocol::record::{
    Content, Opinion, OpinionValue, Payload, Reason, Record, Signal, SignalType, SubjectRef, read_padded,
};
use hex_vectors::{VectorFile, vectors};
use proptest::prelude::*;

/// What a vector's header calls the verdict, with the message that explains it.
fn verdict(file: &VectorFile) -> String {
    let log = LogId::from_hex(file.field("log")).expect("log id");
    let index = file.field("index").parse().expect("index");
    let leaf_bytes = file.bytes("leaf");
    let leaf = match read_leaf(&leaf_bytes, &log, index) {
        EntryLeaf::Opaque(reason) => return format!("opaque {reason}"),
        EntryLeaf::Void(reason) => return format!("void {reason}"),
        EntryLeaf::Known(leaf) => leaf,
    };
    assert_eq!(leaf.encode().as_slice(), leaf_bytes, "{}: encode after read", file.name);
    if let Some(salt) = file.optional("salt") {
        let salt = hashpact_protocol::digest::hex_array(salt).expect("salt");
        let padded = file.bytes("padded");
        if let Err(rule) = check_commitment(&leaf_bytes, &salt, &padded) {
            return format!("mismatch {rule}");
        }
        if let Payload::Void(rule) = read_padded(&leaf, &padded) {
            return format!("payload-void {rule}");
        }
        assert_eq!(unpad(&padded).expect("padding"), file.bytes("cbor"), "{}", file.name);
        assert_eq!(pad_payload(&file.bytes("cbor")).expect("padding"), padded, "{}", file.name);
        assert_eq!(leaf_hash(&leaf_bytes).to_hex(), file.field("record"), "{}", file.name);
    }
    format!("known {}", leaf.kind)
}

#[test]
fn vectors_hold() {
    let files = vectors("leaf");
    let passing = files.iter().filter(|file| file.expect.starts_with("known")).count();
    assert!(passing >= 5 && files.len() > 2 * passing, "{passing} of {} vectors pass", files.len());
    for file in files {
        assert_eq!(verdict(&file), file.expect, "{}: {}", file.name, file.reason);
    }
}

#[test]
fn every_kind_has_one_code_and_one_name() {
    for (nth, kind) in Kind::ALL.into_iter().enumerate() {
        assert_eq!(usize::from(kind.code()), nth + 1);
        assert_eq!(Kind::from_code(kind.code()), Some(kind));
        assert_eq!(Kind::parse(kind.name()), Some(kind));
    }
}

fn header(kind: Kind) -> LeafHeader {
    LeafHeader {
        kind,
        priority: false,
        index: 5,
        time_ms: 1_767_225_600_123,
        roster_version: 3,
        log_id: LogId::new([1; 32]),
        subject: None,
        group: 0,
    }
}

fn content() -> Record {
    let signal = Signal::new(SignalType::Md5, &[7; 16], None).expect("signal");
    Record::Content(Content::new(vec![signal]).expect("content"))
}

#[test]
fn sealed_records_read_back() {
    let sealed = seal(header(Kind::Content), &content(), [9; 32]).expect("seal");
    let read = read_leaf(&sealed.leaf_bytes, &LogId::new([1; 32]), 5);
    assert_eq!(read, EntryLeaf::Known(sealed.leaf.clone()));
    assert_eq!(check_commitment(&sealed.leaf_bytes, &sealed.salt, &sealed.padded), Ok(()));
    assert_eq!(read_padded(&sealed.leaf, &sealed.padded), Payload::Record(content()));
    assert_eq!(sealed.record_id(), leaf_hash(&sealed.leaf_bytes));
}

#[test]
fn seal_refuses_what_others_would_call_void() {
    let error =
        |header: LeafHeader, record: &Record| seal(header, record, [0; 32]).expect_err("refused").to_string();
    assert_eq!(
        error(header(Kind::Opinion), &content()),
        "the header is for kind opinion, the record is of kind content"
    );
    let subject = Some(LeafHash::new([2; 32]));
    assert_eq!(
        error(LeafHeader { subject, ..header(Kind::Content) }, &content()),
        "the header has a subject, the record lacks one"
    );
    let named = SubjectRef { log: LogId::new([1; 32]), index: 0 };
    let opinion = Record::Opinion(Opinion::new(named, OpinionValue::Agree, Reason::Unstated));
    assert_eq!(error(header(Kind::Opinion), &opinion), "the header lacks a subject, the record has one");
    let zeros = LeafHeader { subject: Some(LeafHash::new([0; 32])), ..header(Kind::Opinion) };
    assert_eq!(
        error(zeros, &opinion),
        "the entry would be void: the flag announces a subject, the subject is zeros"
    );
    let late = LeafHeader { time_ms: TIME_MS_MAX + 1, ..header(Kind::Content) };
    assert!(error(late, &content()).ends_with("is after the year 9999"));
    let Record::Content(mut unordered) = content() else { unreachable!("content() makes content") };
    unordered.signals.insert(0, Signal::new(SignalType::Sha1, &[7; 20], None).expect("signal"));
    assert_eq!(
        seal(header(Kind::Content), &Record::Content(unordered.clone()), [0; 32]),
        Err(PayloadError::Changed)
    );
    unordered.signals.clear();
    assert_eq!(
        error(header(Kind::Content), &Record::Content(unordered)),
        "the entry would be void: payload: content: key 2 is missing"
    );
}

#[test]
fn padding_at_the_bound_and_one_past_it() {
    let largest = vec![1; PAYLOAD_CBOR_MAX_BYTES];
    let padded = pad_payload(&largest).expect("fits");
    assert_eq!(padded.len(), 65_536);
    assert_eq!(unpad(&padded), Ok(largest.as_slice()));
    let too_long = vec![1; PAYLOAD_CBOR_MAX_BYTES + 1];
    let expected = PayloadError::TooLong { got: PAYLOAD_CBOR_MAX_BYTES + 1, max: PAYLOAD_CBOR_MAX_BYTES };
    assert_eq!(pad_payload(&too_long), Err(expected));
}

fn any_leaf() -> impl Strategy<Value = Leaf> {
    let numbers =
        (0..14usize, any::<bool>(), any::<u64>(), 0..=TIME_MS_MAX, any::<u64>(), any::<u32>(), 7..=16u32);
    let hashes =
        (any::<[u8; 32]>(), proptest::option::of(proptest::array::uniform32(1..=255u8)), any::<[u8; 32]>());
    (numbers, hashes).prop_map(|((kind, priority, index, time_ms, roster_version, group, log2), hashes)| {
        let (log, subject, commitment) = hashes;
        let kind = Kind::ALL[kind];
        let subject = subject.or(kind.needs_subject().then_some([3; 32])).map(LeafHash::new);
        Leaf {
            kind,
            has_subject: subject.is_some(),
            priority,
            payload_codec: 1,
            index,
            time_ms,
            roster_version,
            log_id: LogId::new(log),
            subject,
            group,
            payload_len: 1 << log2,
            commitment: PayloadCommitment::new(commitment),
        }
    })
}

proptest! {
    #[test]
    fn reading_after_encoding_is_identity(leaf in any_leaf()) {
        prop_assert_eq!(read_leaf(&leaf.encode(), &leaf.log_id, leaf.index), EntryLeaf::Known(leaf));
    }

    #[test]
    fn every_known_leaf_encodes_to_the_bytes_it_was_read_from(
        leaf in any_leaf(), at in 0..LEAF_BYTES, flip in 1..=255u8,
    ) {
        let mut bytes = leaf.encode();
        bytes[at] ^= flip;
        if let EntryLeaf::Known(read) = read_leaf(&bytes, &leaf.log_id, leaf.index) {
            prop_assert_eq!(read.encode(), bytes);
        }
    }

    #[test]
    fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..1100), magic: bool) {
        let mut bytes = bytes;
        if magic && bytes.len() >= 4 { bytes[..4].copy_from_slice(b"HPL1"); }
        let _ = read_leaf(&bytes, &LogId::new([0; 32]), 0);
        let _ = unpad(&bytes);
    }

    #[test]
    fn padding_is_undone_and_hides_the_length(cbor in proptest::collection::vec(any::<u8>(), 0..3000)) {
        let padded = pad_payload(&cbor).expect("fits");
        prop_assert!(padded.len().is_power_of_two() && padded.len() >= 128);
        prop_assert_eq!(unpad(&padded), Ok(cbor.as_slice()));
    }
}
