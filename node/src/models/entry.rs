//! One model as members state it: the first record, and further ones that carry on with its sketches.
//!
//! Parts may come before the first, in any order, and count while they and the first stand. What is indexed is what has
//! come; how much is missing is said with every answer.

use super::lead_of;
use hashpact_core::effect::ViewChange;
use hashpact_core::models::decision::{Bits, Class, Fingerprint};
use hashpact_core::models::registry::is_exact;
use hashpact_core::models::{LeadBy, Statement};
use hashpact_core::view::Status;
use hashpact_index::TileClass;
use hashpact_protocol::digest::{LogId, RecordId};
use hashpact_protocol::record::{
    Content, Detail, Label, Model, ModelFamily, ModelForm, ModelRole, Review, Signal, TILE_NUMBERS_BYTES,
    TileBits, TileShape,
};
use hashpact_protocol::roster::MemberId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Log and leaf index.
pub(super) type Place = (LogId, u64);

/// The 256 numbers of a base tile, as little-endian 32-bit floats.
pub(super) type Numbers = [u8; TILE_NUMBERS_BYTES];

/// A model with all of its records.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its number in the indexes.
    pub(super) number: u64,
    pub(super) first: Option<First>,
    pieces: BTreeMap<RecordId, Piece>,
    /// What the indexes hold of it.
    pub(super) indexed: Sketches,
}

/// What the first record says.
#[derive(Debug, Clone)]
pub(super) struct First {
    pub(super) id: RecordId,
    pub(super) member: MemberId,
    source: String,
    pub(super) role: ModelRole,
    pub(super) form: Label<ModelForm>,
    pub(super) family: Label<ModelFamily>,
    pub(super) review: Label<Review>,
    pub(super) status: Status,
    pub(super) ids: Vec<Signal>,
    autov1: Option<[u8; 4]>,
    claimed: Vec<Vec<u8>>,
    /// How many records there are in all.
    of: u16,
}

/// The sketches of one record.
#[derive(Debug, Clone)]
struct Piece {
    member: MemberId,
    number: u16,
    stands: bool,
    sketches: Arc<PieceSketches>,
}

#[derive(Debug, Default)]
struct PieceSketches {
    tiles: Vec<(Class, Bits)>,
    roll_ups: Vec<(Class, Bits)>,
    numbers: Vec<(TileShape, Numbers)>,
}

/// The sketches of a model, put together from what stands of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Sketches {
    /// None while the model does not stand.
    pub(super) role: Option<ModelRole>,
    pub(super) fingerprint: Arc<Fingerprint>,
    pub(super) roll_ups: Arc<Fingerprint>,
    pub(super) numbers: Arc<Vec<(TileShape, Numbers)>>,
}

impl PartialEq for Sketches {
    fn eq(&self, other: &Self) -> bool {
        self.role == other.role
            && self.fingerprint == other.fingerprint
            && self.roll_ups == other.roll_ups
            && self.numbers == other.numbers
    }
}

impl Sketches {
    /// F-bits of the base tiles: the signs of their numbers, in the order in which they are kept.
    pub(super) fn base_bits(&self) -> impl Iterator<Item = (TileShape, Bits)> {
        self.numbers.iter().map(|(shape, numbers)| (*shape, signs(numbers)))
    }
}

/// The signs of 256 little-endian 32-bit floats, the first in the highest bit of the first byte. Zero, and what is no number,
/// counts as negative, as in `hashpact_hashing::models::sketch::bits`.
pub(super) fn signs(numbers: &Numbers) -> Bits {
    let mut bits = [0; 32];
    for (nth, number) in numbers.as_chunks::<4>().0.iter().enumerate() {
        let number = u32::from_le_bytes(*number);
        // Positive: no sign, not zero, and at most infinity.
        let is_positive = (1..=0x7f80_0000).contains(&number);
        bits[nth / 8] |= u8::from(is_positive) << (7 - nth % 8);
    }
    bits
}

pub(super) fn class_of(shape: TileShape) -> TileClass {
    TileClass { kind: 0, rows: shape.rows.into(), columns: shape.columns.into() }
}

fn class(shape: TileShape) -> Class {
    Class::Tile { rows: shape.rows.into(), columns: shape.columns.into() }
}

/// Bits of a record's groups, and its vectors.
pub(super) fn bits_of(groups: &[TileBits]) -> impl Iterator<Item = (Class, Bits)> {
    groups.iter().flat_map(|group| group.values().iter().map(|bits| (class(group.shape()), *bits)))
}

/// D-bits and vectors of a record.
pub(super) fn tiles_of(model: &Model) -> impl Iterator<Item = (Class, Bits)> {
    bits_of(&model.tiles).chain(model.vectors.iter().map(|bits| (Class::Vector, *bits)))
}

/// Who stated a record originally.
pub(super) fn source_of(content: &Content, member: &MemberId) -> String {
    match &content.source {
        Some(source) => source.organisation.as_str().to_owned(),
        None => member.as_str().to_owned(),
    }
}

impl Entry {
    pub(super) fn new(number: u64) -> Self {
        Self { number, first: None, pieces: BTreeMap::new(), indexed: Sketches::default() }
    }

    /// The place of the first record of the model that a new record is about.
    pub(super) fn place_of(change: &ViewChange) -> Option<Place> {
        let content = &change.stated.as_ref()?.content;
        let Some(Detail::Model(model)) = content.detail.as_deref() else { return None };
        if model.is_further_part() {
            return content.subject.map(|subject| (subject.log, subject.index));
        }
        Some((change.record.author.line, change.record.index))
    }

    /// Takes a record, or how it stands now.
    pub(super) fn take(&mut self, change: &ViewChange) {
        let (id, status) = (change.record.id, change.record.status());
        if change.record.is_blank() {
            // Sealed or gone: nothing of it is kept.
            self.pieces.remove(&id);
            self.first.take_if(|first| first.id == id);
            return;
        }
        if let Some(stated) = &change.stated
            && let Some(Detail::Model(model)) = stated.content.detail.as_deref()
        {
            let member = &change.record.author.member;
            if !model.is_further_part() {
                self.first = Some(First::new(id, member, status, &stated.content, model));
            }
            let sketches = PieceSketches {
                tiles: tiles_of(model).collect(),
                roll_ups: bits_of(&model.roll_ups).collect(),
                numbers: numbers_of(model),
            };
            let number = model.part.map_or(1, |part| part.number);
            let (member, sketches) = (member.clone(), Arc::new(sketches));
            self.pieces.insert(id, Piece { member, number, stands: status.stands(), sketches });
        }
        if let Some(piece) = self.pieces.get_mut(&id) {
            piece.stands = status.stands();
        }
        if let Some(first) = self.first.as_mut().filter(|first| first.id == id) {
            first.status = status;
        }
    }

    /// The first record, if it stands.
    pub(super) fn standing_first(&self) -> Option<&First> {
        self.first.as_ref().filter(|first| first.status.stands())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Pieces that count: those of the first record's author that stand, one for each number.
    fn standing_pieces(&self) -> BTreeMap<u16, (&RecordId, &Piece)> {
        let Some(first) = self.standing_first() else { return BTreeMap::new() };
        let counts = |piece: &Piece| piece.stands && piece.member == first.member && piece.number <= first.of;
        let counted = self.pieces.iter().filter(|(_, piece)| counts(piece));
        // Of two with one number the greater id counts, at every node the same one.
        counted.map(|(id, piece)| (piece.number, (id, piece))).collect()
    }

    /// Records that count.
    pub(super) fn standing_ids(&self) -> Vec<RecordId> {
        self.standing_pieces().values().map(|(id, _)| **id).collect()
    }

    /// How many parts have not come, or do not stand.
    pub(super) fn parts_missing(&self) -> u32 {
        let of = self.first.as_ref().map_or(0, |first| u32::from(first.of));
        of.saturating_sub(self.standing_pieces().len() as u32)
    }

    /// What stands of its sketches.
    pub(super) fn sketches(&self) -> Sketches {
        let Some(first) = self.standing_first() else { return Sketches::default() };
        let pieces = self.standing_pieces();
        let all = || pieces.values().map(|(_, piece)| &piece.sketches);
        Sketches {
            role: Some(first.role),
            fingerprint: Arc::new(all().flat_map(|piece| piece.tiles.iter().copied()).collect()),
            roll_ups: Arc::new(all().flat_map(|piece| piece.roll_ups.iter().copied()).collect()),
            numbers: Arc::new(all().flat_map(|piece| piece.numbers.iter().copied()).collect()),
        }
    }
}

fn numbers_of(model: &Model) -> Vec<(TileShape, Numbers)> {
    let groups = model.numbers.iter();
    groups.flat_map(|group| group.values().iter().map(|numbers| (group.shape(), *numbers))).collect()
}

impl First {
    fn new(id: RecordId, member: &MemberId, status: Status, content: &Content, model: &Model) -> Self {
        Self {
            id,
            member: member.clone(),
            source: source_of(content, member),
            role: model.role,
            form: model.form,
            family: model.family,
            review: content.review,
            status,
            ids: content.signals.clone(),
            autov1: model.autov1,
            claimed: model.claimed.iter().map(|claim| claim.bytes().to_vec()).collect(),
            of: model.part.map_or(1, |part| part.of),
        }
    }

    /// What it says, for the registry.
    pub(super) fn statement(&self) -> Statement {
        let ids = self.ids.iter().filter(|signal| is_exact(signal.kind())).cloned();
        Statement {
            member: self.member.clone(),
            source: self.source.clone(),
            role: self.role,
            ids: ids.collect(),
        }
    }

    /// What leads to it.
    pub(super) fn leads(&self) -> Vec<(LeadBy, Vec<u8>)> {
        let by_signal = |signal: &Signal| Some((lead_of(signal.kind())?, signal.value().to_vec()));
        let signals = self.ids.iter().filter_map(by_signal);
        let autov1 = self.autov1.map(|bytes| (LeadBy::AutoV1, bytes.to_vec()));
        let claimed = self.claimed.iter().map(|bytes| (LeadBy::Claimed, bytes.clone()));
        signals.chain(autov1).chain(claimed).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_are_those_that_a_client_derives() {
        let floats = [0.0f32, -0.0, 1.0, -1.0, f32::MIN_POSITIVE / 4.0, -f32::MIN_POSITIVE / 4.0, f32::INFINITY, f32::NAN];
        let mut numbers = [0; TILE_NUMBERS_BYTES];
        for (bytes, nth) in numbers.as_chunks_mut::<4>().0.iter_mut().zip(0..) {
            *bytes = floats[nth % 8].to_le_bytes();
        }
        let expected = floats.iter().fold(0u8, |byte, number| byte << 1 | u8::from(*number > 0.0));
        assert_eq!(signs(&numbers), [expected; 32]);
    }
}
