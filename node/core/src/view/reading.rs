//! What one entry says by itself, before anything else is known.

use super::statement::Subject;
use super::{Author, Gone, KnownRecord, RecordView, Stated};
use crate::effect::{PayloadState, PayloadView};
use hashpact_protocol::digest::{LeafHash, RecordId, leaf_hash};
use hashpact_protocol::leaf::{EntryLeaf, Kind, Leaf, check_commitment, marked_kind, read_leaf, unpad};
use hashpact_protocol::record::{Content, Payload, Record, SubjectRef, read_payload};

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
pub fn read_record<'p>(
    author: &Author,
    index: u64,
    leaf: &[u8],
    payload: impl Into<PayloadView<'p>>,
    now_ms: u64,
) -> Option<RecordView> {
    let EntryLeaf::Known(known_leaf) = read_leaf(leaf, &author.log, index) else { return None };
    let payload = payload.into();
    if !known_leaf.kind.is_statement() || payload.state != PayloadState::Present {
        return None;
    }
    let Read::States(stated) = read_stored(&known_leaf, leaf, payload) else { return None };
    let subject = Subject {
        member: &author.member,
        place: SubjectRef { log: author.log, index },
        expires_s: stated.content.expires_s,
        contested: None,
        superseded: None,
        void: None,
        lapsed: None,
        suspended: None,
    };
    let standing = subject.standing(now_ms);
    let known = KnownRecord { id: leaf_hash(leaf), author: author.clone(), index, standing };
    Some(RecordView { known, stated: *stated })
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
pub(super) enum Form {
    Known(Leaf, Read),
    Opaque,
    Void,
}

impl ReadEntry {
    /// Reads the entry at a leaf index of this author's log.
    #[must_use]
    pub fn new<'p>(author: &Author, index: u64, leaf: &[u8], payload: impl Into<PayloadView<'p>>) -> Self {
        let form = match read_leaf(leaf, &author.log, index) {
            EntryLeaf::Known(known) => {
                let read = read_stored(&known, leaf, payload.into());
                Form::Known(known, read)
            }
            EntryLeaf::Opaque(_) => Form::Opaque,
            EntryLeaf::Void(_) => Form::Void,
        };
        Self { id: leaf_hash(leaf), form }
    }
}

/// What the payload of a known leaf is.
#[derive(Debug)]
pub(super) enum Read {
    /// A record; it is not moved again until look-ups take it.
    States(Box<Stated>),
    /// Anything else.
    Other(Box<Payload>),
    /// Not here; never any more, if it says why.
    Absent(Option<Gone>),
    Damaged,
}

fn read_stored(leaf: &Leaf, bytes: &[u8], payload: PayloadView<'_>) -> Read {
    let Some((salt, padded)) = payload.bytes else { return Read::Absent(gone(payload.state)) };
    if check_commitment(bytes, salt, padded).is_err() {
        return Read::Damaged;
    }
    let Ok(cbor) = unpad(padded) else { return Read::Damaged };
    match read_payload(leaf, cbor) {
        Payload::Record(Record::Content(content) | Record::Supersede(content)) => {
            Read::States(Box::new(Stated { kind: leaf.kind, time_ms: leaf.time_ms, content }))
        }
        other => Read::Other(Box::new(other)),
    }
}

/// What a record states whose payload is not here.
pub(super) fn stated_nothing(leaf: &Leaf) -> Box<Stated> {
    Box::new(Stated { kind: leaf.kind, time_ms: leaf.time_ms, content: Content::empty() })
}

const fn gone(state: PayloadState) -> Option<Gone> {
    match state {
        PayloadState::Erased => Some(Gone::Erased),
        PayloadState::Held => Some(Gone::Held),
        PayloadState::Present | PayloadState::Sealed | PayloadState::Withheld | PayloadState::NotHere => None,
    }
}
