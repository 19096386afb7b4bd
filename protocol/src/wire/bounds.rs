//! Count and size bounds of peer messages, and the check that applies them (SPEC §10).
//!
//! Decoding bounds bytes; this bounds meaning: how many notes, how long an origin, whether a range
//! is a range. It runs on messages we are about to send as well, so that a bug on our side shows
//! here and not as a refusal at somebody else's node.
//!
//! Deliberately not checked: anything that needs a roster or a root.
use super::codec::WireError;
use super::message::{
    Announce, ConsistencyAnswer, ConsistencyRequest, CosignAnswer, EntriesAnswer, EntriesRequest, HeadNote,
    Heads, Hello, PayloadsRequest, ProvenEntry, RangeChunk, RangeRequest, Request, Response, Stored,
    WireEntry, WirePayload,
};
use crate::limits::{
    ADD_CHECKPOINT_MAX_BYTES, COSIGNATURES_MAX_BYTES, ENTRY_LEAF_MAX_BYTES, EVIDENCE_MAX_BYTES,
    NODE_CARD_MAX_BYTES, NOTE_MAX_BYTES, PAYLOAD_PADDED_MAX_BYTES, RANGE_BYTES_MAX, RANGE_ENTRIES_MAX,
    ROSTER_BODY_MAX_BYTES, WIRE_REQUEST_MAX_BYTES, WIRE_RESPONSE_MAX_BYTES,
};
use crate::merkle::LEVELS_MAX;
use crate::roster::{CONSORTIUM_ID_MAX_BYTES, ORIGIN_MAX_BYTES};

/// Most checkpoints in one `Heads` response.
pub const HEADS_MAX: usize = 4096;
/// Most checkpoints in one `Announce`.
pub const ANNOUNCE_NOTES_MAX: usize = 256;
/// Most priority indexes in one `Announce`.
pub const ANNOUNCE_PRIORITY_MAX: usize = 1024;
/// Most priority indexes in one `Heads` response.
pub const HEADS_PRIORITY_MAX: usize = 4096;
/// Most roster versions in one `Hello`; a longer walk takes several.
pub const HELLO_ROSTERS_MAX: usize = 64;
/// Most subtree roots in one chunk: a right-hand cover has at most two per level of a 64-bit tree.
pub const COVER_NODES_MAX: usize = 128;
/// Most payloads in one request for single payloads, and in its answer.
pub const PAYLOADS_ASKED_MAX: usize = 256;
/// Most entries in one request for single entries, and in its answer.
pub const ENTRIES_ASKED_MAX: usize = 64;
/// Most leaf indexes that one statement of possession lists beyond its size.
pub const STORED_AHEAD_MAX: usize = 64;

/// Bincode's budget while decoding a request: the bytes read plus the in-memory size of the one
/// outer vector that is under construction.
pub(super) const REQUEST_DECODE_BUDGET: usize = 2 * WIRE_REQUEST_MAX_BYTES;
/// The same for a response.
pub(super) const RESPONSE_DECODE_BUDGET: usize = 2 * WIRE_RESPONSE_MAX_BYTES;

// A legitimate full message fits its budget: content plus the largest outer vector.
const _: () = assert!(ANNOUNCE_NOTES_MAX * size_of::<HeadNote>() <= WIRE_REQUEST_MAX_BYTES);
const _: () = assert!(ANNOUNCE_PRIORITY_MAX * size_of::<(String, u64)>() <= WIRE_REQUEST_MAX_BYTES);
const _: () = assert!(PAYLOADS_ASKED_MAX * size_of::<u64>() <= WIRE_REQUEST_MAX_BYTES);
const _: () = assert!(PAYLOADS_ASKED_MAX * size_of::<WirePayload>() <= WIRE_RESPONSE_MAX_BYTES);
const _: () = assert!(HEADS_MAX * size_of::<HeadNote>() <= WIRE_RESPONSE_MAX_BYTES);
const _: () = assert!(
    HEADS_PRIORITY_MAX * (size_of::<(String, u64)>() + ORIGIN_MAX_BYTES + 11) <= WIRE_RESPONSE_MAX_BYTES
);
const _: () = assert!(RANGE_ENTRIES_MAX * size_of::<WireEntry>() <= WIRE_RESPONSE_MAX_BYTES);
// A chunk that respects `bytes_max`, or holds one largest entry, fits a response with its framing
// (at most 48 bytes an entry: two lengths, a discriminant, a salt).
const _: () = assert!(
    RANGE_BYTES_MAX
        + ENTRY_LEAF_MAX_BYTES
        + PAYLOAD_PADDED_MAX_BYTES
        + RANGE_ENTRIES_MAX * 48
        + COVER_NODES_MAX * 32
        <= WIRE_RESPONSE_MAX_BYTES
);
// Single entries that respect `bytes_max`, each with the longest proof, fit too.
const _: () = assert!(
    RANGE_BYTES_MAX
        + ENTRY_LEAF_MAX_BYTES
        + PAYLOAD_PADDED_MAX_BYTES
        + ENTRIES_ASKED_MAX * (48 + LEVELS_MAX * 32)
        + LEVELS_MAX * 32
        <= WIRE_RESPONSE_MAX_BYTES
);
// One largest roster version, its note and a card fit a request.
const _: () =
    assert!(ROSTER_BODY_MAX_BYTES + NOTE_MAX_BYTES + NODE_CARD_MAX_BYTES + 1024 <= WIRE_REQUEST_MAX_BYTES);

/// What exceeded its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bounded {
    /// Bytes of a consortium id.
    ConsortiumBytes,
    /// Bytes of a log origin.
    OriginBytes,
    /// Bytes of a signed note.
    NoteBytes,
    /// Bytes of a roster body.
    RosterBodyBytes,
    /// Bytes of a node card.
    CardBytes,
    /// Bytes of a leaf.
    LeafBytes,
    /// Bytes of a padded payload.
    PayloadBytes,
    /// Roster versions in a hello.
    Rosters,
    /// Checkpoints in a heads response.
    Heads,
    /// Checkpoints in an announcement.
    AnnouncedNotes,
    /// Priority indexes in an announcement.
    PriorityIndexes,
    /// Entries in a chunk.
    Entries,
    /// Subtree roots in a chunk.
    CoverNodes,
    /// `entries_max` of a range request.
    EntriesMax,
    /// `bytes_max` of a request for a range or for payloads.
    BytesMax,
    /// Leaf indexes in a request for payloads or entries, or in a statement of possession.
    Indexes,
    /// Payloads in an answer to it.
    Payloads,
    /// Bytes of an `add-checkpoint` body.
    CosignBytes,
    /// Bytes of a witness's signature lines.
    CosignatureBytes,
    /// Bytes of evidence.
    EvidenceBytes,
    /// Hashes of one proof.
    ProofHashes,
}

impl std::fmt::Display for Bounded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::ConsortiumBytes => "consortium id bytes",
            Self::OriginBytes => "origin bytes",
            Self::NoteBytes => "note bytes",
            Self::RosterBodyBytes => "roster body bytes",
            Self::CardBytes => "node card bytes",
            Self::LeafBytes => "leaf bytes",
            Self::PayloadBytes => "padded payload bytes",
            Self::Rosters => "roster versions",
            Self::Heads => "heads",
            Self::AnnouncedNotes => "announced notes",
            Self::PriorityIndexes => "priority indexes",
            Self::Entries => "entries",
            Self::CoverNodes => "cover nodes",
            Self::EntriesMax => "entries_max",
            Self::BytesMax => "bytes_max",
            Self::Indexes => "leaf indexes",
            Self::Payloads => "payloads",
            Self::CosignBytes => "add-checkpoint bytes",
            Self::CosignatureBytes => "cosignature bytes",
            Self::EvidenceBytes => "evidence bytes",
            Self::ProofHashes => "proof hashes",
        })
    }
}

fn at_most(what: Bounded, found: usize, max: usize) -> Result<(), WireError> {
    if found > max { Err(WireError::TooMany { what, found, max }) } else { Ok(()) }
}

fn within(what: Bounded, found: usize, max: usize) -> Result<(), WireError> {
    if found == 0 { Err(WireError::None { what }) } else { at_most(what, found, max) }
}

/// Origins and consortium ids are printable ASCII without spaces; their exact shape is the
/// roster's business.
fn check_name(what: Bounded, text: &str, max: usize) -> Result<(), WireError> {
    within(what, text.len(), max)?;
    match text.bytes().position(|byte| !byte.is_ascii_graphic()) {
        Some(at) => Err(WireError::NameByte { what, at }),
        None => Ok(()),
    }
}

pub(super) fn check_request(request: &Request) -> Result<(), WireError> {
    match request {
        Request::Hello(hello) => check_hello(hello),
        Request::Heads => Ok(()),
        Request::Announce(announce) => check_announce(announce),
        Request::Range(range) => check_range(range),
        Request::Stored(stored) => check_stored(stored),
        Request::Payloads(payloads) => check_payloads_request(payloads),
        Request::Cosign(body) => within(Bounded::CosignBytes, body.len(), ADD_CHECKPOINT_MAX_BYTES),
        Request::Consistency(ConsistencyRequest { old, new, .. }) if old >= new => {
            Err(WireError::EmptyRange { start: *old, size: *new })
        }
        Request::Consistency(_) => Ok(()),
        Request::Evidence(evidence) => within(Bounded::EvidenceBytes, evidence.len(), EVIDENCE_MAX_BYTES),
        Request::Entries(entries) => check_entries_request(entries),
        Request::Branch(branch) => check_range(&branch.range),
    }
}

pub(super) fn check_response(response: &Response) -> Result<(), WireError> {
    match response {
        Response::Hello(hello) => check_hello(hello),
        Response::Heads(Heads { notes, priority }) => {
            at_most(Bounded::Heads, notes.len(), HEADS_MAX)?;
            notes.iter().try_for_each(check_head)?;
            check_priority(priority, HEADS_PRIORITY_MAX)
        }
        Response::Ack | Response::Refused(_) => Ok(()),
        Response::Range(chunk) => check_chunk(chunk),
        Response::Payloads(payloads) => {
            within(Bounded::Payloads, payloads.len(), PAYLOADS_ASKED_MAX)?;
            payloads.iter().try_for_each(check_payload)
        }
        Response::Cosign(CosignAnswer::Cosigned(lines)) => {
            within(Bounded::CosignatureBytes, lines.len(), COSIGNATURES_MAX_BYTES)
        }
        Response::Cosign(_) => Ok(()),
        Response::Consistency(ConsistencyAnswer { consistency, inclusion, .. }) => {
            at_most(Bounded::ProofHashes, consistency.len(), LEVELS_MAX)?;
            at_most(Bounded::ProofHashes, inclusion.len(), LEVELS_MAX)
        }
        Response::Entries(EntriesAnswer { consistency, entries }) => {
            at_most(Bounded::ProofHashes, consistency.len(), LEVELS_MAX)?;
            within(Bounded::Entries, entries.len(), ENTRIES_ASKED_MAX)?;
            entries.iter().try_for_each(|ProvenEntry { entry, inclusion }| {
                at_most(Bounded::ProofHashes, inclusion.len(), LEVELS_MAX)?;
                check_entry(entry)
            })
        }
    }
}

fn check_hello(hello: &Hello) -> Result<(), WireError> {
    check_name(Bounded::ConsortiumBytes, &hello.consortium, CONSORTIUM_ID_MAX_BYTES)?;
    if hello.roster_version == 0 {
        return Err(WireError::RosterVersionZero);
    }
    at_most(Bounded::Rosters, hello.roster.len(), HELLO_ROSTERS_MAX)?;
    for (body, note) in &hello.roster {
        within(Bounded::RosterBodyBytes, body.len(), ROSTER_BODY_MAX_BYTES)?;
        within(Bounded::NoteBytes, note.len(), NOTE_MAX_BYTES)?;
    }
    // None from a read replica that its author has not given one yet (SPEC §9.4).
    at_most(Bounded::CardBytes, hello.card.len(), NODE_CARD_MAX_BYTES)
}

fn check_head(head: &HeadNote) -> Result<(), WireError> {
    check_name(Bounded::OriginBytes, &head.origin, ORIGIN_MAX_BYTES)?;
    within(Bounded::NoteBytes, head.note.len(), NOTE_MAX_BYTES)
}

fn check_announce(announce: &Announce) -> Result<(), WireError> {
    at_most(Bounded::AnnouncedNotes, announce.notes.len(), ANNOUNCE_NOTES_MAX)?;
    announce.notes.iter().try_for_each(check_head)?;
    check_priority(&announce.priority, ANNOUNCE_PRIORITY_MAX)
}

fn check_priority(priority: &[(String, u64)], max: usize) -> Result<(), WireError> {
    at_most(Bounded::PriorityIndexes, priority.len(), max)?;
    priority.iter().try_for_each(|(origin, _)| check_name(Bounded::OriginBytes, origin, ORIGIN_MAX_BYTES))
}

fn check_range(range: &RangeRequest) -> Result<(), WireError> {
    if range.start >= range.size {
        return Err(WireError::EmptyRange { start: range.start, size: range.size });
    }
    let entries_max = usize::try_from(range.entries_max).unwrap_or(usize::MAX);
    within(Bounded::EntriesMax, entries_max, RANGE_ENTRIES_MAX)?;
    check_bytes_max(range.bytes_max)
}

fn check_payloads_request(request: &PayloadsRequest) -> Result<(), WireError> {
    check_indexes(&request.indexes, PAYLOADS_ASKED_MAX)?;
    check_bytes_max(request.bytes_max)
}

fn check_entries_request(request: &EntriesRequest) -> Result<(), WireError> {
    let EntriesRequest { old, size, indexes, bytes_max, .. } = request;
    check_indexes(indexes, ENTRIES_ASKED_MAX)?;
    if let Some(index) = indexes.iter().find(|index| !(old..size).contains(index)) {
        return Err(WireError::IndexOutside { index: *index, old: *old, size: *size });
    }
    check_bytes_max(*bytes_max)
}

fn check_stored(stored: &Stored) -> Result<(), WireError> {
    let Stored { size, ahead, .. } = stored;
    at_most(Bounded::Indexes, ahead.len(), STORED_AHEAD_MAX)?;
    check_order(ahead)?;
    match ahead.first().filter(|first| *first < size) {
        Some(index) => Err(WireError::IndexHeld { index: *index, size: *size }),
        None => Ok(()),
    }
}

fn check_indexes(indexes: &[u64], max: usize) -> Result<(), WireError> {
    within(Bounded::Indexes, indexes.len(), max)?;
    check_order(indexes)
}

fn check_order(indexes: &[u64]) -> Result<(), WireError> {
    let pairs = indexes.iter().zip(indexes.iter().skip(1));
    match pairs.into_iter().position(|(before, after)| before >= after) {
        Some(at) => Err(WireError::IndexOrder { at: at + 1 }),
        None => Ok(()),
    }
}

fn check_bytes_max(bytes_max: u32) -> Result<(), WireError> {
    within(Bounded::BytesMax, usize::try_from(bytes_max).unwrap_or(usize::MAX), RANGE_BYTES_MAX)
}

fn check_payload(payload: &WirePayload) -> Result<(), WireError> {
    match payload {
        WirePayload::Present { padded, .. } => {
            at_most(Bounded::PayloadBytes, padded.len(), PAYLOAD_PADDED_MAX_BYTES)
        }
        WirePayload::Withheld | WirePayload::Erased | WirePayload::NotHere | WirePayload::ErasedBy { .. } => {
            Ok(())
        }
    }
}

fn check_entry(entry: &WireEntry) -> Result<(), WireError> {
    at_most(Bounded::LeafBytes, entry.leaf.len(), ENTRY_LEAF_MAX_BYTES)?;
    check_payload(&entry.payload)
}

fn check_chunk(chunk: &RangeChunk) -> Result<(), WireError> {
    within(Bounded::Entries, chunk.entries.len(), RANGE_ENTRIES_MAX)?;
    let count = u64::try_from(chunk.entries.len()).unwrap_or(u64::MAX);
    if chunk.start.checked_add(count).is_none() {
        return Err(WireError::IndexOverflow { start: chunk.start, entries: count });
    }
    chunk.entries.iter().try_for_each(check_entry)?;
    at_most(Bounded::CoverNodes, chunk.cover.len(), COVER_NODES_MAX)
}
