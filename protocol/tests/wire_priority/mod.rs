//! Messages about priority entries: samples and broken ones for the vectors, and any for the laws.

use crate::wire_samples::{ORIGIN, Raw, Refused, head, payloads, raw};
use hashpact_protocol::wire::{
    EntriesAnswer, EntriesRequest, Heads, ProvenEntry, Request, Response, WireEntry, WirePayload,
};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

/// A vector: its name, what it shows, the message.
type Sample<T> = (&'static str, &'static str, T);

pub(crate) fn entries_request() -> EntriesRequest {
    EntriesRequest { log: [0x11; 32], old: 250, size: 70_000, indexes: vec![250, 69_999], bytes_max: 65_536 }
}

pub(crate) fn proven(leaf: usize, padded: usize, hashes: usize) -> ProvenEntry {
    let payload = WirePayload::Present { salt: [0x33; 32], padded: vec![0; padded] };
    ProvenEntry { entry: WireEntry { leaf: vec![7; leaf], payload }, inclusion: vec![[0x22; 32]; hashes] }
}

pub(crate) fn requests() -> Vec<Sample<Request>> {
    vec![
        (
            "request-entries",
            "The first entry behind what is held, and the last of the tree.",
            Request::Entries(entries_request()),
        ),
        (
            "request-entries-from-nothing",
            "Nothing is held.",
            Request::Entries(EntriesRequest { old: 0, size: 1, indexes: vec![0], ..entries_request() }),
        ),
    ]
}

pub(crate) fn responses() -> Vec<Sample<Response>> {
    let each = payloads().into_iter().map(|payload| ProvenEntry {
        entry: WireEntry { leaf: b"leaf".to_vec(), payload },
        inclusion: vec![[0x22; 32]],
    });
    let priority = vec![(ORIGIN.to_owned(), 0), (ORIGIN.to_owned(), 251)];
    vec![
        (
            "response-heads",
            "A checkpoint and two priority indexes.",
            Response::Heads(Heads { notes: vec![head()], priority }),
        ),
        ("response-heads-none", "A node may serve no log yet.", Response::Heads(Heads::default())),
        (
            "response-entries",
            "Each kind of payload once.",
            Response::Entries(EntriesAnswer { consistency: vec![[0x44; 32]], entries: each.collect() }),
        ),
        (
            "response-entries-one",
            "A tree of one leaf needs no hash.",
            Response::Entries(EntriesAnswer { consistency: Vec::new(), entries: vec![proven(4, 0, 0)] }),
        ),
    ]
}

/// A request for single entries with this behind its log id.
fn raw_entries(rest: &[u8]) -> Raw {
    raw(9).repeat(&[0x11], 32).bytes(rest)
}

pub(crate) fn refused_requests() -> Vec<Refused> {
    vec![
        (
            "entries-huge",
            "BeyondLimit",
            "Ten bytes claim 2^60 leaf indexes.",
            raw_entries(&[0, 9]).long(1 << 60),
        ),
        ("entries-of-nothing", "None", "No leaf index.", raw_entries(&[0, 9, 0, 1])),
        ("entries-twice", "IndexOrder", "One leaf index twice.", raw_entries(&[0, 9, 2, 7, 7, 1])),
        (
            "entries-backwards",
            "IndexOrder",
            "The second is below the first.",
            raw_entries(&[0, 9, 2, 7, 6, 1]),
        ),
        ("entries-held", "IndexOutside", "Index 4 of five leaves held.", raw_entries(&[5, 9, 1, 4, 1])),
        ("entries-beyond", "IndexOutside", "Index 9 of a tree of nine.", raw_entries(&[5, 9, 1, 9, 1])),
        (
            "entries-older-tree",
            "IndexOutside",
            "The tree is smaller than what is held.",
            raw_entries(&[9, 5, 1, 7, 1]),
        ),
        ("entries-no-bytes", "None", "No byte is wanted.", raw_entries(&[0, 9, 1, 7, 0])),
        (
            "entries-too-many-bytes",
            "TooMany",
            "1,048,576 are the most.",
            raw_entries(&[0, 9, 1, 7, 252, 0x01, 0x00, 0x10, 0x00]),
        ),
        (
            "entries-65",
            "TooMany",
            "64 are the most.",
            raw_entries(&[0, 100, 65]).bytes(&(0..65).collect::<Vec<u8>>()).byte(1),
        ),
    ]
}

pub(crate) fn refused_responses() -> Vec<Refused> {
    let one = |rest: &[u8]| raw(8).bytes(&[0, 1]).bytes(rest);
    vec![
        ("entries-none", "None", "An answer makes progress or is a refusal.", raw(8).bytes(&[0, 0])),
        ("entries-huge-answer", "BeyondLimit", "2^60 entries.", raw(8).byte(0).long(1 << 60)),
        ("entries-huge-proof", "BeyondLimit", "2^60 hashes.", raw(8).long(1 << 60)),
        ("entries-proof-cut", "Truncated", "31 bytes of a hash.", one(&[0, 3, 1]).repeat(&[0x22], 31)),
        (
            "entries-65-hashes",
            "TooMany",
            "More hashes than a tree has levels.",
            one(&[0, 3, 65]).repeat(&[0x22], 65 * 32),
        ),
        (
            "entries-65-consistency",
            "TooMany",
            "The same between the sizes.",
            raw(8).byte(65).repeat(&[0x44], 65 * 32).bytes(&[1, 0, 3, 0]),
        ),
        ("entries-65-entries", "TooMany", "64 are the most.", raw(8).bytes(&[0, 65]).repeat(&[0, 3, 0], 65)),
        (
            "entries-leaf-1025",
            "TooMany",
            "Leaves have 1024 bytes at most.",
            one(&[251, 0x01, 0x04]).repeat(&[7], 1025).bytes(&[3, 0]),
        ),
        ("heads-huge-priority", "BeyondLimit", "2^60 priority indexes.", raw(1).byte(0).long(1 << 60)),
        ("heads-priority-cut", "Truncated", "The priority list is missing.", raw(1).byte(0)),
    ]
}

pub(crate) fn any_request() -> impl Strategy<Value = Request> {
    (any::<[u8; 32]>(), btree_set(0_u64..1 << 40, 1..20), 0_u64..9, 1_u32..1_048_577).prop_map(
        |(log, indexes, more, bytes_max)| {
            let indexes: Vec<u64> = indexes.into_iter().collect();
            let (old, size) = (indexes[0].saturating_sub(more), indexes[indexes.len() - 1] + 1 + more);
            Request::Entries(EntriesRequest { log, old, size, indexes, bytes_max })
        },
    )
}

pub(crate) fn any_response() -> impl Strategy<Value = Response> {
    let one = (0_usize..200, 0_usize..200, 0_usize..5).prop_map(|(leaf, padded, n)| proven(leaf, padded, n));
    (vec(any::<[u8; 32]>(), 0..5), vec(one, 1..6))
        .prop_map(|(consistency, entries)| Response::Entries(EntriesAnswer { consistency, entries }))
}
