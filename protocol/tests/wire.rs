//! Peer messages: the vectors in `tests/vectors/wire`, and the laws of their codec (SPEC §10).
//!
//! `UPDATE_VECTORS=1 cargo test -p hashpact-protocol --test wire` writes the vectors anew. Bytes of
//! the must-fail ones are built by hand below, never by the encoder under test.

mod vector_files;
mod vector_writer;
mod wire_branch;
mod wire_priority;
mod wire_samples;
mod wire_witness;

use hashpact_protocol::digest::{hex_decode, hex_encode};
use hashpact_protocol::limits::{
    ENTRY_LEAF_MAX_BYTES, NODE_CARD_MAX_BYTES, NOTE_MAX_BYTES, PAYLOAD_PADDED_MAX_BYTES, RANGE_BYTES_MAX,
    RANGE_ENTRIES_MAX, ROSTER_BODY_MAX_BYTES, WIRE_REQUEST_MAX_BYTES, WIRE_RESPONSE_MAX_BYTES,
};
use hashpact_protocol::roster::{CONSORTIUM_ID_MAX_BYTES, ORIGIN_MAX_BYTES};
use hashpact_protocol::wire::bounds::{
    ANNOUNCE_NOTES_MAX, ANNOUNCE_PRIORITY_MAX, Bounded, COVER_NODES_MAX, ENTRIES_ASKED_MAX, HEADS_MAX,
    HEADS_PRIORITY_MAX, HELLO_ROSTERS_MAX, PAYLOADS_ASKED_MAX, STORED_AHEAD_MAX,
};
use hashpact_protocol::wire::{
    Announce, BranchRequest, DecodeFault, EntriesAnswer, EntriesRequest, HeadNote, Heads, Hello,
    PayloadsRequest, RangeChunk, RangeRequest, Refusal, Request, Response, Stored, WireEntry, WireError,
    WirePayload, decode_request, decode_response, encode_request, encode_response,
};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use vector_files::read_area;
use vector_writer::{Vector, compare_or_update};
use wire_priority::{entries_request, proven};
use wire_samples::{
    CONSORTIUM, ORIGIN, Raw, Refused, accepted_requests, accepted_responses, chunk, head, hello, payloads,
    payloads_request, range, raw, raw_payloads, raw_range, refused_encodings, refused_requests,
    refused_responses, refused_stored, refused_witness_requests, stored, unchecked,
};

fn all_vectors() -> Vec<Vector> {
    let hex_line = |bytes: &[u8]| format!("{}\n", hex_encode(bytes));
    let accept = |(name, reason, bytes, side): (&str, &str, Vec<u8>, &str)| {
        Vector::accept(name, reason, hex_line(&bytes)).with("message", side)
    };
    let reject = |side: &'static str| {
        move |(name, rule, reason, raw): Refused| {
            Vector::reject(name, rule, reason, format!("{}\n", hex_encode(&raw.0))).with("message", side)
        }
    };
    let requests = accepted_requests()
        .into_iter()
        .chain(wire_witness::requests())
        .chain(wire_priority::requests())
        .chain(wire_branch::requests())
        .map(|(name, reason, message)| (name, reason, encode_request(&message).unwrap(), "request"));
    let responses = accepted_responses()
        .into_iter()
        .chain(wire_witness::responses())
        .chain(wire_priority::responses())
        .chain(wire_branch::responses())
        .map(|(name, reason, message)| (name, reason, encode_response(&message).unwrap(), "response"));
    let mut vectors: Vec<Vector> = requests.chain(responses).map(accept).collect();
    vectors.extend(
        refused_encodings()
            .into_iter()
            .chain(refused_requests())
            .chain(refused_witness_requests())
            .chain(refused_stored())
            .chain(wire_priority::refused_requests())
            .chain(wire_branch::refused_requests())
            .map(reject("request")),
    );
    let refused = refused_responses().into_iter().chain(wire_priority::refused_responses());
    vectors.extend(refused.map(reject("response")));
    vectors
}

#[test]
fn vectors_are_what_the_generator_writes() {
    compare_or_update("wire", &all_vectors());
}

#[test]
fn vectors_hold() {
    for vector in read_area("wire") {
        let text = str::from_utf8(&vector.body).unwrap();
        let bytes = hex_decode(text.strip_suffix('\n').unwrap()).unwrap();
        let outcome = match vector.get("message") {
            "request" => {
                decode_request(&bytes).map(|message| assert_eq!(encode_request(&message).unwrap(), bytes))
            }
            "response" => {
                decode_response(&bytes).map(|message| assert_eq!(encode_response(&message).unwrap(), bytes))
            }
            other => panic!("{}: message {other}", vector.name),
        };
        vector.check(&outcome);
    }
}

/// The layout of SPEC §10, written out: the encoder is compared with bytes from another hand.
#[test]
fn encoding_is_the_specified_one() {
    let numbers = [250, 252, 0x70, 0x11, 0x01, 0x00, 251, 0xfb, 0x00, 252, 0x00, 0x00, 0x01, 0x00];
    assert_eq!(encode_request(&Request::Range(range())).unwrap(), raw_range(&numbers).0);

    let expected =
        raw(0).text(CONSORTIUM).bytes(&[251, 0x2c, 0x01]).byte(1).text("body").text("note").text("card");
    assert_eq!(encode_request(&Request::Hello(hello())).unwrap(), expected.0);

    let expected = raw(3)
        .long(1 << 32)
        .byte(5)
        .text("leaf")
        .byte(0)
        .repeat(&[0x33], 32)
        .bytes(&[4, 0, 0, 0, 0])
        .text("leaf")
        .byte(1)
        .text("leaf")
        .byte(2)
        .text("leaf")
        .byte(3)
        .text("leaf")
        .byte(4)
        .repeat(&[7], 32)
        .bytes(&[251, 0x2c, 0x01])
        .byte(1)
        .repeat(&[0x22], 32);
    assert_eq!(encode_response(&Response::Range(chunk())).unwrap(), expected.0);

    let asked = [4, 0, 250, 251, 0xfb, 0x00, 252, 0x70, 0x11, 0x01, 0x00, 252, 0x00, 0x00, 0x01, 0x00];
    assert_eq!(encode_request(&Request::Payloads(payloads_request())).unwrap(), raw_payloads(&asked).0);
    let asked =
        [250, 252, 0x70, 0x11, 0x01, 0x00, 2, 250, 252, 0x6f, 0x11, 0x01, 0x00, 252, 0x00, 0x00, 0x01, 0x00];
    let expected = raw(9).repeat(&[0x11], 32).bytes(&asked);
    assert_eq!(encode_request(&Request::Entries(entries_request())).unwrap(), expected.0);
    let answer = EntriesAnswer { consistency: vec![[0x44; 32]], entries: vec![proven(1, 2, 1)] };
    let expected =
        raw(8).byte(1).repeat(&[0x44], 32).bytes(&[1, 1, 7, 0]).repeat(&[0x33], 32).bytes(&[2, 0, 0, 1]);
    assert_eq!(encode_response(&Response::Entries(answer)).unwrap(), expected.repeat(&[0x22], 32).0);
    let expected = raw(5).bytes(&[5, 0]).repeat(&[0x33], 32).bytes(&[4, 0, 0, 0, 0, 1, 2, 3, 4]);
    let expected = expected.repeat(&[7], 32).bytes(&[251, 0x2c, 0x01]);
    assert_eq!(encode_response(&Response::Payloads(payloads())).unwrap(), expected.0);

    assert_eq!(
        encode_response(&Response::Refused(Refusal::BeyondSize { held: 251 })).unwrap(),
        [4, 2, 251, 251, 0]
    );
}

/// One bound: a message of `count` somethings passes at the bound and fails one past it, for the
/// sender and for the receiver.
fn check_bound(what: Bounded, max: usize, make: impl Fn(usize) -> Side) {
    let refused = WireError::TooMany { what, found: max + 1, max };
    match (make(max), make(max + 1)) {
        (Side::Request(at), Side::Request(past)) => {
            assert_eq!(decode_request(&encode_request(&at).unwrap()), Ok(at), "{what}");
            assert_eq!(encode_request(&past), Err(refused.clone()), "{what}");
            assert_eq!(decode_request(&unchecked(&past)), Err(refused), "{what}");
        }
        (Side::Response(at), Side::Response(past)) => {
            assert_eq!(decode_response(&encode_response(&at).unwrap()), Ok(at), "{what}");
            assert_eq!(encode_response(&past), Err(refused.clone()), "{what}");
            assert_eq!(decode_response(&unchecked(&past)), Err(refused), "{what}");
        }
        _ => unreachable!("one side a case"),
    }
}

enum Side {
    Request(Request),
    Response(Response),
}

fn announce(notes: Vec<HeadNote>, priority: Vec<(String, u64)>) -> Side {
    Side::Request(Request::Announce(Announce { notes, priority }))
}

fn one_entry(leaf: usize, padded: usize) -> WireEntry {
    let payload = WirePayload::Present { salt: [0; 32], padded: vec![0; padded] };
    WireEntry { leaf: vec![0; leaf], payload }
}

fn range_chunk(entries: Vec<WireEntry>, cover: usize) -> Side {
    Side::Response(Response::Range(RangeChunk { start: 0, entries, cover: vec![[0; 32]; cover] }))
}

#[test]
fn request_bounds_hold_at_the_bound_and_one_past_it() {
    let hello = |change: &dyn Fn(&mut Hello)| {
        let mut hello = hello();
        change(&mut hello);
        Side::Request(Request::Hello(hello))
    };
    check_bound(Bounded::ConsortiumBytes, CONSORTIUM_ID_MAX_BYTES, |n| {
        hello(&|hello| hello.consortium = "c".repeat(n))
    });
    check_bound(Bounded::CardBytes, NODE_CARD_MAX_BYTES, |n| hello(&|hello| hello.card = vec![1; n]));
    check_bound(Bounded::RosterBodyBytes, ROSTER_BODY_MAX_BYTES, |n| {
        hello(&|hello| hello.roster = vec![(vec![1; n], vec![1])])
    });
    check_bound(Bounded::NoteBytes, NOTE_MAX_BYTES, |n| {
        hello(&|hello| hello.roster = vec![(vec![1], vec![1; n])])
    });
    check_bound(Bounded::Rosters, HELLO_ROSTERS_MAX, |n| {
        hello(&|hello| hello.roster = vec![(vec![1], vec![1]); n])
    });
    check_bound(Bounded::AnnouncedNotes, ANNOUNCE_NOTES_MAX, |n| announce(vec![head(); n], Vec::new()));
    check_bound(Bounded::PriorityIndexes, ANNOUNCE_PRIORITY_MAX, |n| {
        announce(Vec::new(), vec![(ORIGIN.to_owned(), 1); n])
    });
    check_bound(Bounded::OriginBytes, ORIGIN_MAX_BYTES, |n| announce(Vec::new(), vec![("o".repeat(n), 1)]));
    check_bound(Bounded::EntriesMax, RANGE_ENTRIES_MAX, |n| {
        Side::Request(Request::Range(RangeRequest { entries_max: u32::try_from(n).unwrap(), ..range() }))
    });
    check_bound(Bounded::BytesMax, RANGE_BYTES_MAX, |n| {
        Side::Request(Request::Range(RangeRequest { bytes_max: u32::try_from(n).unwrap(), ..range() }))
    });
    check_bound(Bounded::BytesMax, RANGE_BYTES_MAX, |n| {
        let bytes_max = u32::try_from(n).unwrap();
        Side::Request(Request::Payloads(PayloadsRequest { bytes_max, ..payloads_request() }))
    });
    check_bound(Bounded::Indexes, PAYLOADS_ASKED_MAX, |n| {
        let indexes = (0..n as u64).collect();
        Side::Request(Request::Payloads(PayloadsRequest { indexes, ..payloads_request() }))
    });
    check_bound(Bounded::Indexes, ENTRIES_ASKED_MAX, |n| {
        let indexes = (250..250 + n as u64).collect();
        Side::Request(Request::Entries(EntriesRequest { indexes, ..entries_request() }))
    });
    check_bound(Bounded::BytesMax, RANGE_BYTES_MAX, |n| {
        let bytes_max = u32::try_from(n).unwrap();
        Side::Request(Request::Entries(EntriesRequest { bytes_max, ..entries_request() }))
    });
    check_bound(Bounded::Indexes, STORED_AHEAD_MAX, |n| {
        Side::Request(Request::Stored(stored((250..250 + n as u64).collect())))
    });
}

#[test]
fn response_bounds_hold_at_the_bound_and_one_past_it() {
    let heads = |notes, priority| Side::Response(Response::Heads(Heads { notes, priority }));
    check_bound(Bounded::Heads, HEADS_MAX, |n| heads(vec![head(); n], Vec::new()));
    check_bound(Bounded::PriorityIndexes, HEADS_PRIORITY_MAX, |n| {
        heads(Vec::new(), vec![("o".repeat(ORIGIN_MAX_BYTES), u64::MAX); n])
    });
    check_bound(Bounded::NoteBytes, NOTE_MAX_BYTES, |n| {
        heads(vec![HeadNote { note: vec![1; n], ..head() }], Vec::new())
    });
    let entries = |entries, hashes| {
        Side::Response(Response::Entries(EntriesAnswer { consistency: vec![[9; 32]; hashes], entries }))
    };
    check_bound(Bounded::Entries, ENTRIES_ASKED_MAX, |n| entries(vec![proven(136, 128, 64); n], 64));
    check_bound(Bounded::ProofHashes, 64, |n| entries(vec![proven(136, 128, 64)], n));
    check_bound(Bounded::ProofHashes, 64, |n| entries(vec![proven(136, 128, n)], 64));
    check_bound(Bounded::LeafBytes, ENTRY_LEAF_MAX_BYTES, |n| entries(vec![proven(n, 128, 1)], 1));
    check_bound(Bounded::PayloadBytes, PAYLOAD_PADDED_MAX_BYTES, |n| entries(vec![proven(136, n, 1)], 1));
    check_bound(Bounded::Entries, RANGE_ENTRIES_MAX, |n| {
        range_chunk(vec![WireEntry { leaf: vec![0; 136], payload: WirePayload::NotHere }; n], 0)
    });
    check_bound(Bounded::LeafBytes, ENTRY_LEAF_MAX_BYTES, |n| range_chunk(vec![one_entry(n, 128)], 0));
    check_bound(Bounded::PayloadBytes, PAYLOAD_PADDED_MAX_BYTES, |n| range_chunk(vec![one_entry(136, n)], 0));
    check_bound(Bounded::CoverNodes, COVER_NODES_MAX, |n| range_chunk(vec![one_entry(136, 128)], n));
    check_bound(Bounded::Payloads, PAYLOADS_ASKED_MAX, |n| {
        Side::Response(Response::Payloads(vec![WirePayload::NotHere; n]))
    });
    check_bound(Bounded::PayloadBytes, PAYLOAD_PADDED_MAX_BYTES, |n| {
        Side::Response(Response::Payloads(vec![WirePayload::Present { salt: [0; 32], padded: vec![0; n] }]))
    });
}

/// The fullest chunk that a server may send under `bytes_max` fits a response.
#[test]
fn a_full_chunk_fits() {
    let each = RANGE_BYTES_MAX / RANGE_ENTRIES_MAX - 32 - 136;
    let mut entries = vec![one_entry(136, each); RANGE_ENTRIES_MAX];
    entries[0] = one_entry(ENTRY_LEAF_MAX_BYTES, PAYLOAD_PADDED_MAX_BYTES);
    let message = Response::Range(RangeChunk { start: 0, entries, cover: vec![[9; 32]; COVER_NODES_MAX] });
    let bytes = encode_response(&message).unwrap();
    assert!(bytes.len() > RANGE_BYTES_MAX);
    assert_eq!(decode_response(&bytes), Ok(message));
}

#[test]
fn a_message_beyond_its_size_is_not_decoded() {
    for (max_bytes, is_request) in [(WIRE_REQUEST_MAX_BYTES, true), (WIRE_RESPONSE_MAX_BYTES, false)] {
        let too_long = WireError::TooLong { length_bytes: max_bytes + 1, max_bytes };
        // `Heads`, then `Ack`: one byte each, and then filling.
        let mut bytes = vec![0; max_bytes + 1];
        bytes[0] = if is_request { 1 } else { 2 };
        let (past, at) = if is_request {
            (decode_request(&bytes).map(|_| ()), decode_request(&bytes[1..]).map(|_| ()))
        } else {
            (decode_response(&bytes).map(|_| ()), decode_response(&bytes[1..]).map(|_| ()))
        };
        assert_eq!(past, Err(too_long));
        assert!(matches!(at, Err(ref error) if !matches!(error, WireError::TooLong { .. })), "{at:?}");
    }
    // Legal parts that are too long together: refused by the sender already.
    let body = vec![1; ROSTER_BODY_MAX_BYTES];
    let message = Request::Hello(Hello { roster: vec![(body, vec![1]); 3], ..hello() });
    assert!(matches!(encode_request(&message), Err(WireError::TooLong { .. })));
}

/// A length just under the decoding budget must fail for want of bytes; it may not reserve more
/// than the budget, and a count that needs more than the budget fails before anything is reserved.
#[test]
fn claimed_lengths_are_bounded_by_the_budget() {
    let budget = u64::try_from(2 * WIRE_REQUEST_MAX_BYTES).unwrap();
    for (claim, fault) in [
        (budget / 2, DecodeFault::Truncated),
        (budget + 1, DecodeFault::BeyondLimit),
        (1 << 40, DecodeFault::BeyondLimit),
        (u64::MAX, DecodeFault::BeyondLimit),
    ] {
        let text = Raw::default().byte(0).bytes(&unchecked(&claim)).0;
        assert_eq!(decode_request(&text), Err(WireError::Decode(fault)), "text of {claim} bytes");
    }
    // A checkpoint takes 48 bytes in memory, so far fewer of them exhaust the budget.
    let notes = Raw::default().byte(2).bytes(&unchecked(&(budget / 40))).0;
    assert_eq!(decode_request(&notes), Err(WireError::Decode(DecodeFault::BeyondLimit)));
}

fn name() -> impl Strategy<Value = String> {
    "[!-~]{1,40}"
}

fn some_bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 1..300)
}

/// Small and large numbers alike, so that every width of integer occurs.
fn number() -> impl Strategy<Value = u64> {
    (any::<u64>(), 0_u32..64).prop_map(|(number, shift)| number >> shift)
}

fn any_hello() -> impl Strategy<Value = Hello> {
    (name(), number(), vec((some_bytes(), some_bytes()), 0..4), some_bytes()).prop_map(
        |(consortium, version, roster, card)| Hello {
            consortium,
            roster_version: version.max(1),
            roster,
            card,
        },
    )
}

fn heads() -> impl Strategy<Value = Vec<HeadNote>> {
    vec((name(), some_bytes()).prop_map(|(origin, note)| HeadNote { origin, note }), 0..6)
}

fn any_range() -> impl Strategy<Value = RangeRequest> {
    (any::<[u8; 32]>(), number(), number(), 1_u32..4097, 1_u32..1_048_577).prop_map(
        |(log, one, other, entries_max, bytes_max)| {
            let (start, size) = (one.min(other).min(u64::MAX - 1), one.max(other));
            RangeRequest { log, start, size: size.max(start + 1), entries_max, bytes_max }
        },
    )
}

fn any_request() -> impl Strategy<Value = Request> {
    prop_oneof![
        any_hello().prop_map(Request::Hello),
        Just(Request::Heads),
        (heads(), vec((name(), number()), 0..6))
            .prop_map(|(notes, priority)| Request::Announce(Announce { notes, priority })),
        any_range().prop_map(Request::Range),
        (any::<[u8; 32]>(), any::<[u8; 32]>(), btree_set(number(), 0..20), 0_u64..9).prop_map(
            |(log, root, ahead, below)| {
                let size = ahead.first().map_or(below, |first| first.saturating_sub(below));
                Request::Stored(Stored { log, size, root, ahead: ahead.into_iter().collect() })
            }
        ),
        (any::<[u8; 32]>(), btree_set(number(), 1..20), 1_u32..1_048_577).prop_map(
            |(log, indexes, bytes_max)| {
                let indexes = indexes.into_iter().collect();
                Request::Payloads(PayloadsRequest { log, indexes, bytes_max })
            }
        ),
        wire_witness::any_request(),
        wire_priority::any_request(),
        (any_range(), any::<[u8; 32]>())
            .prop_map(|(range, root)| Request::Branch(BranchRequest { range, root })),
    ]
}

fn any_response() -> impl Strategy<Value = Response> {
    let payload = prop_oneof![
        (any::<[u8; 32]>(), vec(any::<u8>(), 0..300))
            .prop_map(|(salt, padded)| WirePayload::Present { salt, padded }),
        Just(WirePayload::Withheld),
        Just(WirePayload::Erased),
        (any::<[u8; 32]>(), any::<u64>()).prop_map(|(log, index)| WirePayload::ErasedBy { log, index }),
        Just(WirePayload::NotHere),
    ];
    let payloads = vec(payload.clone(), 1..20);
    let entry = (vec(any::<u8>(), 0..300), payload).prop_map(|(leaf, payload)| WireEntry { leaf, payload });
    let refusal = prop_oneof![
        Just(Refusal::NotAdmitted),
        Just(Refusal::UnknownLog),
        number().prop_map(|held| Refusal::BeyondSize { held }),
        Just(Refusal::Busy),
        Just(Refusal::Malformed),
        Just(Refusal::WrongConsortium),
        Just(Refusal::RateLimited),
        Just(Refusal::OtherHistory),
    ];
    prop_oneof![
        wire_witness::any_response(),
        wire_priority::any_response(),
        any_hello().prop_map(Response::Hello),
        (heads(), vec((name(), number()), 0..6))
            .prop_map(|(notes, priority)| Response::Heads(Heads { notes, priority })),
        Just(Response::Ack),
        (number(), vec(entry, 1..8), vec(any::<[u8; 32]>(), 0..5)).prop_map(|(start, entries, cover)| {
            Response::Range(RangeChunk { start: start >> 1, entries, cover })
        }),
        refusal.prop_map(Response::Refused),
        payloads.prop_map(Response::Payloads),
    ]
}

/// Decoding gives back either an error or a message whose one encoding these bytes are.
fn is_error_or_canonical(bytes: &[u8]) {
    if let Ok(message) = decode_request(bytes) {
        assert_eq!(encode_request(&message).as_deref(), Ok(bytes));
    }
    if let Ok(message) = decode_response(bytes) {
        assert_eq!(encode_response(&message).as_deref(), Ok(bytes));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests_round_trip_and_have_one_length(message in any_request(), more in any::<u8>()) {
        let mut bytes = encode_request(&message).unwrap();
        prop_assert_eq!(decode_request(&bytes), Ok(message));
        for cut in 0..bytes.len() {
            prop_assert!(decode_request(&bytes[..cut]).is_err(), "cut at {}", cut);
        }
        bytes.push(more);
        prop_assert_eq!(decode_request(&bytes), Err(WireError::Trailing { trailing_bytes: 1 }));
    }

    #[test]
    fn responses_round_trip_and_have_one_length(message in any_response(), more in any::<u8>()) {
        let mut bytes = encode_response(&message).unwrap();
        prop_assert_eq!(decode_response(&bytes), Ok(message));
        for cut in 0..bytes.len() {
            prop_assert!(decode_response(&bytes[..cut]).is_err(), "cut at {}", cut);
        }
        bytes.push(more);
        prop_assert_eq!(decode_response(&bytes), Err(WireError::Trailing { trailing_bytes: 1 }));
    }

    #[test]
    fn a_changed_byte_gives_an_error_or_another_message(
        message in any_request(), answer in any_response(), at in any::<prop::sample::Index>(), flip in 1_u8..,
    ) {
        for mut bytes in [encode_request(&message).unwrap(), encode_response(&answer).unwrap()] {
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            is_error_or_canonical(&bytes);
        }
    }

    #[test]
    fn random_bytes_never_panic(discriminant in 0_u8..10, bytes in vec(any::<u8>(), 0..200)) {
        is_error_or_canonical(&bytes);
        is_error_or_canonical(&[&[discriminant], bytes.as_slice()].concat());
    }

    /// Any integer written longer than it must be is refused, wherever it stands.
    #[test]
    fn long_integers_are_refused(start in 0_u64..1 << 32, field in 0_usize..2) {
        let size = (1_u64 << 32) - 1;
        let numbers = [unchecked(&start), unchecked(&size)];
        let mut long = numbers.clone();
        long[field] = Raw::default().long([start, size][field]).0;
        let bytes = |numbers: &[Vec<u8>; 2]| raw_range(&numbers.concat()).bytes(&[1, 1]).0;
        prop_assume!(start < size);
        prop_assert!(decode_request(&bytes(&numbers)).is_ok());
        let refused = matches!(decode_request(&bytes(&long)), Err(WireError::NotCanonical { .. }));
        prop_assert!(refused);
    }
}
