//! What one entry says by itself, before anything else is known.

use super::statement::Subject;
use super::{Author, Gone, KnownRecord, RecordView, Stated};
use crate::effect::StoredPayload;
use hashpact_protocol::digest::{LeafHash, RecordId, leaf_hash};
use hashpact_protocol::leaf::{EntryLeaf, Kind, Leaf, check_commitment, marked_kind, read_leaf, unpad};
use hashpact_protocol::record::{Payload, Record, SubjectRef, read_payload};

/// The record that this entry withdraws, if it is a retraction, a supersession or an erasure by its form. Whether it
/// counts is decided by the fold: the record's own author can withdraw it, and an erasure authority.
///
/// Such entries may be folded ahead of all others. A record that is withdrawn then never stands for a
/// moment while a view is built, because the fold does not mind the order.
#[must_use]
pub fn withdrawn_record(author: &Author, index: u64, leaf: &[u8]) -> Option<RecordId> {
    if !marked_kind(leaf).is_some_and(Kind::acts_from_leaf) {
        return None;
    }
    match read_leaf(leaf, &author.log, index) {
        EntryLeaf::Known(leaf) if leaf.kind.acts_from_leaf() => leaf.subject,
        _ => None,
    }
}

/// Whether entries with this leaf are folded ahead of others when a view is built: what withdraws records, and what is
/// said about signals, members and incidents, so that nothing shows for a moment that does not stand.
#[must_use]
pub fn comes_first(leaf: &[u8]) -> bool {
    marked_kind(leaf).is_some_and(|kind| {
        kind.acts_from_leaf() || matches!(kind, Kind::Ruling | Kind::Suspension | Kind::Incident)
    })
}

/// The record that one entry states, as it stands as long as nobody has said anything about it:
/// active, or expired at `now_ms`. `None` for every other entry and where the payload is not here.
#[must_use]
pub fn read_record(
    author: &Author,
    index: u64,
    leaf: &[u8],
    payload: &StoredPayload,
    now_ms: u64,
) -> Option<RecordView> {
    let EntryLeaf::Known(known_leaf) = read_leaf(leaf, &author.log, index) else { return None };
    if !known_leaf.kind.is_statement() || !matches!(payload, StoredPayload::Present { .. }) {
        return None;
    }
    let Read::Payload(Payload::Record(Record::Content(content) | Record::Supersede(content))) =
        read_stored(&known_leaf, leaf, payload)
    else {
        return None;
    };
    let subject = Subject {
        member: &author.member,
        place: SubjectRef { log: author.log, index },
        expires_s: content.expires_s,
        contested: None,
        superseded: None,
        void: None,
        lapsed: None,
        suspended: None,
    };
    let standing = subject.standing(now_ms);
    let known = KnownRecord { id: leaf_hash(leaf), author: author.clone(), index, standing };
    Some(RecordView { known, stated: Stated { kind: known_leaf.kind, time_ms: known_leaf.time_ms, content } })
}

/// One entry, read: all that it says by itself, to be folded in with [`super::View::take`].
///
/// Reading takes most of the time of a fold and needs no view: several threads can share it.
#[derive(Debug)]
pub struct ReadEntry {
    /// Its leaf hash.
    pub(super) id: LeafHash,
    pub(super) form: Form,
}

/// What an entry is by its leaf.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are known")]
pub(super) enum Form {
    Known(Leaf, Read),
    Opaque,
    Void,
}

impl ReadEntry {
    /// Reads the entry at a leaf index of this author's log.
    #[must_use]
    pub fn new(author: &Author, index: u64, leaf: &[u8], payload: &StoredPayload) -> Self {
        let form = match read_leaf(leaf, &author.log, index) {
            EntryLeaf::Known(known) => {
                let read = read_stored(&known, leaf, payload);
                Form::Known(known, read)
            }
            EntryLeaf::Opaque(_) => Form::Opaque,
            EntryLeaf::Void(_) => Form::Void,
        };
        Self { id: leaf_hash(leaf), form }
    }
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are payloads")]
pub(super) enum Read {
    Payload(Payload),
    /// Not here; never any more, if it says why.
    Absent(Option<Gone>),
    Damaged,
}

fn read_stored(leaf: &Leaf, bytes: &[u8], payload: &StoredPayload) -> Read {
    let Some((salt, padded)) = payload.bytes() else { return Read::Absent(gone(payload)) };
    if check_commitment(bytes, salt, padded).is_err() {
        return Read::Damaged;
    }
    match unpad(padded) {
        Ok(cbor) => Read::Payload(read_payload(leaf, cbor)),
        Err(_) => Read::Damaged,
    }
}

const fn gone(payload: &StoredPayload) -> Option<Gone> {
    match payload {
        StoredPayload::Erased | StoredPayload::ErasedBy { .. } => Some(Gone::Erased),
        StoredPayload::Held { .. } => Some(Gone::Held),
        StoredPayload::Present { .. }
        | StoredPayload::Sealed { .. }
        | StoredPayload::Withheld
        | StoredPayload::NotHere => None,
    }
}
