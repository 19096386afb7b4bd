//! Records about a model: identifiers and sketches in one record, or in as many as the sketches need.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use hashpact_client::Client;
use hashpact_hashing::models::sketch::{BUCKETS, Bits, TileShape};
use hashpact_hashing::models::{Kind, Weights, identifiers::hex};
use hashpact_protocol::api::{Ack, ClaimedIdJson, ModelJson, NewRecord, NewSignal, PartJson, Receipt, TilesJson};
use hashpact_protocol::limits::{CLAIMS_PER_RECORD_MAX, MODEL_PARTS_MAX, TILE_GROUPS_MAX};
use hashpact_protocol::record::TileShape as StatedShape;

use super::bases;
use super::files::Named;
use crate::cli::contribute::digest_of;

/// Bytes of sketches in one record; identifiers and the rest of a payload of 64 KiB fit beside them.
const SKETCHES_MAX_BYTES: usize = 56 * 1024;
/// What a group takes beside its values, in bytes.
const GROUP_BYTES: usize = 16;
/// Records that are sent together.
const TOGETHER: usize = 64;

/// The sketches of a statement.
#[derive(Debug, Default)]
pub(super) struct Sketches {
    /// D-bits, or F-bits of a stop list.
    pub(super) tiles: Vec<(TileShape, Bits)>,
    /// One for each shape.
    pub(super) roll_ups: Vec<(TileShape, Bits)>,
    /// Of a registered model.
    pub(super) numbers: Vec<(TileShape, Box<[f32; BUCKETS]>)>,
    /// Of a textual inversion.
    pub(super) vectors: Vec<Bits>,
}

/// What a statement of a model says apart from its sketches: identifiers, kind and size.
pub(super) fn record_of(named: &Named) -> anyhow::Result<NewRecord> {
    let weights = match &named.weights {
        Some(Ok(weights)) => Some(weights),
        Some(Err(error)) => bail!("{}: {error}", named.name),
        None => None,
    };
    let signal = |signal_type: &str, value: String| NewSignal {
        signal_type: signal_type.to_owned(),
        value,
        quality: None,
    };
    let tset1 = weights.and_then(Weights::tensor_set).map(|set| signal("tset1", hex(&set)));
    let mut signals: Vec<NewSignal> = tset1.into_iter().collect();
    for (_, model) in &named.files {
        for (name, value) in model.identifiers.named() {
            let signal_type = match name {
                "sha256" => "model_sha256",
                "blake3" => "model_blake3",
                "st_body" => "st_body",
                "crc32" => "model_crc32",
                _ => continue,
            };
            signals.push(signal(signal_type, value));
        }
    }
    let mut model = ModelJson {
        form: weights.and_then(|weights| form(weights.kind())).map(str::to_owned),
        parameters: weights.map(|weights| weights.parameters).filter(|count| *count > 0),
        tensors: weights.map(|weights| weights.tensors).filter(|count| *count > 0),
        ..ModelJson::default()
    };
    if let [(_, file)] = &named.files[..] {
        model.size_bytes = Some(file.identifiers.size_bytes).filter(|size| *size > 0);
        model.autov1 = file.identifiers.autov1.map(|bytes| hex(&bytes));
        model.claimed = claimed(file);
    }
    let (kind, model) = ("model".to_owned(), Some(Box::new(model)));
    Ok(NewRecord { kind, signals, model, ..NewRecord::default() })
}

fn form(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Full => Some("full"),
        Kind::Adapter => Some("adapter"),
        Kind::Embedding => Some("embedding"),
        Kind::Small => None,
    }
}

/// What the file claims about itself, as far as a record takes it.
fn claimed(file: &hashpact_hashing::models::Model) -> Vec<ClaimedIdJson> {
    let own = file.claims.iter().filter(|claim| claim.about.name() == "self");
    let mut claimed: Vec<ClaimedIdJson> = own
        .filter(|claim| (8..=64).contains(&claim.hex.len()) && claim.hex.len().is_multiple_of(2))
        .map(|claim| ClaimedIdJson {
            identifier: "undetermined".to_owned(),
            hex: claim.hex.clone(),
            ..ClaimedIdJson::default()
        })
        .collect();
    claimed.sort_by(|a, b| a.hex.cmp(&b.hex));
    claimed.dedup_by(|a, b| a.hex == b.hex);
    claimed.truncate(CLAIMS_PER_RECORD_MAX);
    claimed
}

/// Splits a statement into records that fit: the first has everything but what does not fit of the sketches.
pub(super) fn split(first: NewRecord, sketches: &Sketches) -> anyhow::Result<Vec<NewRecord>> {
    let mut parts = vec![Filling::default()];
    for (shape, bits) in &sketches.roll_ups {
        put(&mut parts, *shape, 32, |part, shape| part.roll_ups.entry(shape).or_default().extend(bits));
    }
    for (shape, bits) in &sketches.tiles {
        put(&mut parts, *shape, 32, |part, shape| part.tiles.entry(shape).or_default().extend(bits));
    }
    for (shape, numbers) in &sketches.numbers {
        put(&mut parts, *shape, 4 * BUCKETS, |part, shape| {
            part.numbers.entry(shape).or_default().extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        });
    }
    let of = u16::try_from(parts.len()).ok().filter(|of| *of <= MODEL_PARTS_MAX);
    let of = of.with_context(|| format!("the sketches need more than {MODEL_PARTS_MAX} records"))?;
    let mut records = Vec::new();
    for (number, filling) in (1u16..).zip(&parts) {
        let mut record = if number == 1 {
            first.clone()
        } else {
            NewRecord { kind: "model".to_owned(), ..NewRecord::default() }
        };
        let model = record.model.get_or_insert_default();
        model.tiles = groups(&filling.tiles, true);
        model.roll_ups = groups(&filling.roll_ups, true);
        model.numbers = groups(&filling.numbers, false);
        if number == 1 && !sketches.vectors.is_empty() {
            model.vectors = Some(hashpact_protocol::api::vectors_text(&sketches.vectors));
        }
        model.part = (of > 1).then_some(PartJson { number, of });
        records.push(record);
    }
    Ok(records)
}

/// The sketches of one record.
#[derive(Debug, Default)]
struct Filling {
    bytes: usize,
    tiles: BTreeMap<StatedShape, Vec<u8>>,
    roll_ups: BTreeMap<StatedShape, Vec<u8>>,
    numbers: BTreeMap<StatedShape, Vec<u8>>,
}

/// Puts one value into the last part, or into a new one when that is full.
fn put(
    parts: &mut Vec<Filling>,
    shape: TileShape,
    bytes: usize,
    add: impl FnOnce(&mut Filling, StatedShape),
) {
    // A shape beyond 32 bits cannot be stated.
    let Some(shape) = bases::stated(shape) else { return };
    let is_full = |part: &Filling| {
        let groups = part.tiles.len().max(part.roll_ups.len()).max(part.numbers.len());
        part.bytes + bytes + GROUP_BYTES > SKETCHES_MAX_BYTES || groups >= TILE_GROUPS_MAX
    };
    if parts.last().is_none_or(is_full) {
        parts.push(Filling::default());
    }
    let Some(part) = parts.last_mut() else { return };
    let groups = |part: &Filling| part.tiles.len() + part.roll_ups.len() + part.numbers.len();
    let before = groups(part);
    add(part, shape);
    part.bytes += bytes + (groups(part) - before) * GROUP_BYTES;
}

fn groups(values: &BTreeMap<StatedShape, Vec<u8>>, is_bits: bool) -> Vec<TilesJson> {
    let group = |(shape, bytes): (&StatedShape, &Vec<u8>)| {
        let text = Some(hashpact_protocol::api::tile_text(bytes));
        let (bits, numbers) = if is_bits { (text, None) } else { (None, text) };
        TilesJson { rows: shape.rows, columns: shape.columns, bits, numbers, count: None }
    };
    values.iter().map(group).collect()
}

/// States the records: the first, then those that carry on with it. Stating the same again changes nothing.
pub(super) async fn state(
    client: &Client,
    mut records: Vec<NewRecord>,
    ack: Ack,
) -> anyhow::Result<Vec<Receipt>> {
    let further = records.split_off(1.min(records.len()));
    let mut receipts = client.contribute(&records, &key(&records), ack).await?;
    let first = receipts.first().context("the node gave no receipt")?.record.clone();
    for some in further.chunks(TOGETHER) {
        let some: Vec<NewRecord> =
            some.iter().map(|record| NewRecord { subject: Some(first.clone()), ..record.clone() }).collect();
        receipts.extend(client.contribute(&some, &key(&some), ack).await?);
    }
    Ok(receipts)
}

/// The same records have the same key.
fn key(records: &[NewRecord]) -> String {
    hex(&digest_of(records))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: TileShape = TileShape { rows: 640, columns: 320 };

    fn sketches(tiles: usize, numbers: usize) -> Sketches {
        Sketches {
            tiles: vec![(SHAPE, [7; 32]); tiles],
            roll_ups: vec![(SHAPE, [9; 32])],
            numbers: vec![(SHAPE, Box::new([0.5; BUCKETS])); numbers],
            vectors: Vec::new(),
        }
    }

    fn first() -> NewRecord {
        let value = "0".repeat(64);
        let signal = NewSignal { signal_type: "tset1".to_owned(), value, quality: None };
        let model = Some(Box::new(ModelJson { role: Some("base".to_owned()), ..ModelJson::default() }));
        NewRecord { kind: "model".to_owned(), signals: vec![signal], model, ..NewRecord::default() }
    }

    #[test]
    fn what_fits_is_one_record() {
        let records = split(first(), &sketches(1700, 0)).unwrap();
        assert_eq!(records.len(), 1, "a full checkpoint's bits");
        assert_eq!(records[0].model.as_ref().unwrap().part, None);
        records[0].to_record().unwrap();
    }

    #[test]
    fn every_part_is_a_record_that_fits() {
        let records = split(first(), &sketches(10, 130)).unwrap();
        assert_eq!(records.len(), 3);
        let subject = Some("1".repeat(64));
        let mut tiles = 0;
        for (nth, record) in records.iter().enumerate() {
            let record = NewRecord { subject: subject.clone().filter(|_| nth > 0), ..record.clone() };
            let content = record.to_record().unwrap();
            let Some(hashpact_protocol::record::Detail::Model(model)) = content.detail.as_deref() else {
                panic!("a model")
            };
            assert_eq!(model.part.unwrap().number, nth as u16 + 1);
            tiles += model.tile_count();
            assert_eq!(record.signals.is_empty(), nth > 0);
            let cbor = hashpact_protocol::record::Record::Content(content).encode();
            assert!(cbor.len() <= hashpact_protocol::limits::PAYLOAD_CBOR_MAX_BYTES, "{}", cbor.len());
        }
        assert_eq!(tiles, 140);
        assert!(split(first(), &sketches(0, 20_000)).is_err());
    }
}
