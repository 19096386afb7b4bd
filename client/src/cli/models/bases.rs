//! What a model adds to the bases that the consortium registered: the node says which are near, the difference is computed
//! here.
//!
//! Relatives of one base lie within a few bits of one another, so which of them is nearest to a tile is chance where a model
//! was saved again. The difference is therefore taken against each model by itself, the one that fits best first; whoever
//! lists a model lists that first one.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use hashpact_client::Client;
use hashpact_hashing::models::registry::{Changes, Evidence, Registry, RegistryLimits};
use hashpact_hashing::models::sketch::{self, BUCKETS, Bits, TileShape};
use hashpact_hashing::models::{Tile, Weights};
use hashpact_protocol::api::{
    BasesRequest, BasesResponse, FingerprintJson, RegisteredModelJson, RegistryJson, TileGroupJson,
};
use hashpact_protocol::limits::{MODEL_FINGERPRINTS_MAX, MODEL_TILES_PER_CALL_MAX};
use hashpact_protocol::record;

/// What a model adds to one base.
#[derive(Debug)]
pub(crate) struct Against {
    /// The base; none for an adapter, and where tiles have bases in several models.
    pub(crate) base: Option<RegisteredModelJson>,
    /// The difference.
    pub(crate) changes: Changes,
}

/// A model beside the registry.
#[derive(Debug)]
pub(crate) struct Placed {
    /// Against each base that it may be made from, the best first; at most 4.
    pub(crate) against: Vec<Against>,
    /// What the registry holds.
    pub(crate) registry: Option<RegistryJson>,
    /// Why the node's answer is not complete, if it is not.
    pub(crate) incomplete: Option<String>,
}

/// Finds the bases of a model. Of an adapter, which needs none, nothing is asked.
pub(crate) async fn place(client: &Client, weights: &Weights) -> anyhow::Result<Placed> {
    if weights.tiles.is_empty() {
        let changes = Registry::default().changes(weights, &RegistryLimits::default());
        let against = vec![Against { base: None, changes }];
        return Ok(Placed { against, registry: None, incomplete: None });
    }
    let tiles = asked(&weights.tiles);
    let groups = groups(tiles.iter().map(|tile| (tile.shape, tile.bits)));
    let answer = client.model_bases(&BasesRequest { tiles: groups }).await?;
    let against = against(weights, &tiles, &answer)?;
    let reason = || answer.reason.unwrap_or_else(|| "the node's answer is not complete".to_owned());
    let incomplete = if answer.complete { None } else { Some(reason()) };
    Ok(Placed { against, registry: Some(answer.registry), incomplete })
}

/// The tiles that are asked about: of more than a call takes, evenly chosen ones.
fn asked(tiles: &[Tile]) -> Vec<&Tile> {
    let step = tiles.len().div_ceil(MODEL_TILES_PER_CALL_MAX).max(1);
    let mut asked: Vec<&Tile> = tiles.iter().step_by(step).collect();
    // As groups have them: by shape, each in the order of the file.
    asked.sort_by_key(|tile| tile.shape);
    asked
}

/// Bits by shape, in the order given within each.
pub(crate) fn groups(bits: impl Iterator<Item = (TileShape, Bits)>) -> Vec<TileGroupJson> {
    let mut shapes: BTreeMap<TileShape, Vec<Bits>> = BTreeMap::new();
    for (shape, bits) in bits {
        shapes.entry(shape).or_default().push(bits);
    }
    shapes.iter().filter_map(|(shape, bits)| Some(TileGroupJson::new(stated(*shape)?, bits))).collect()
}

/// The shape as records have it; one whose sides exceed 32 bits is not stated.
pub(crate) fn stated(shape: TileShape) -> Option<record::TileShape> {
    let (rows, columns) = (shape.rows.try_into().ok()?, shape.columns.try_into().ok()?);
    Some(record::TileShape { rows, columns })
}

/// The model against each base that the node named.
fn against(weights: &Weights, tiles: &[&Tile], answer: &BasesResponse) -> anyhow::Result<Vec<Against>> {
    let numbers = answer.numbers.iter().map(|text| numbers(text)).collect::<anyhow::Result<Vec<_>>>()?;
    // The first tile of each group of the request.
    let mut starts = vec![0usize];
    for (nth, pair) in tiles.windows(2).enumerate() {
        if pair[0].shape != pair[1].shape {
            starts.push(nth + 1);
        }
    }
    let mut stopped = Vec::new();
    // By model: tiles that have a base there, their distances, and the base tiles by their place.
    let mut models: BTreeMap<u32, (u64, u64, BTreeMap<u32, Tile>)> = BTreeMap::new();
    for found in &answer.tiles {
        let at = starts.get(found.group as usize).map(|start| start + found.tile as usize);
        let tile = at.and_then(|at| tiles.get(at)).context("the node named a tile that was not asked about")?;
        if found.stopped {
            stopped.push(tile.bits);
        }
        for near in &found.near {
            let numbers = numbers.get(near.numbers as usize).context("the node left out numbers of a base")?;
            ensure!((near.model as usize) < answer.models.len(), "the node left out a registered model");
            let base = models.entry(near.model).or_default();
            (base.0, base.1) = (base.0 + 1, base.1 + u64::from(near.distance));
            let bits = sketch::bits(&numbers.map(f64::from));
            base.2.insert(near.numbers, Tile { shape: tile.shape, numbers: numbers.clone(), bits });
        }
    }
    let registry = |bases: Vec<Tile>| {
        let mut registry = Registry::default();
        stopped.iter().for_each(|bits| registry.stop(*bits));
        registry.add(&Weights { tiles: bases, ..Weights::default() });
        registry
    };
    let changes = |bases: Vec<Tile>| registry(bases).changes(weights, &RegistryLimits::default());
    let mut ranked: Vec<_> = models.into_iter().collect();
    ranked.sort_by_key(|(nth, (tiles, bits, _))| {
        (u64::MAX - tiles, *bits, answer.models[*nth as usize].record.clone())
    });
    let with_base = answer.tiles.iter().filter(|tile| !tile.near.is_empty()).count() as u64;
    let is_covered = ranked.first().is_some_and(|(_, (tiles, ..))| *tiles == with_base);
    let everything: Vec<Tile> =
        ranked.iter().flat_map(|(_, (_, _, tiles))| tiles.values().cloned()).collect();
    let single = ranked.into_iter().map(|(nth, (_, _, tiles))| Against {
        base: answer.models.get(nth as usize).cloned(),
        changes: changes(tiles.into_values().collect()),
    });
    let mut against: Vec<Against> = single.take(MODEL_FINGERPRINTS_MAX - 1).collect();
    if !is_covered {
        // A model of parts of several, or of none: against whatever is nearest.
        against.insert(0, Against { base: None, changes: changes(everything) });
    }
    Ok(against)
}

fn numbers(text: &str) -> anyhow::Result<Box<[f32; BUCKETS]>> {
    let bytes = hashpact_protocol::api::tile_numbers(text).context("the node sent numbers that are none")?;
    let mut numbers = Box::new([0f32; BUCKETS]);
    for (number, bytes) in numbers.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *number = f32::from_le_bytes(*bytes);
    }
    Ok(numbers)
}

impl Against {
    /// As a question has it.
    pub(crate) fn fingerprint(&self, vectors: &[Bits]) -> FingerprintJson {
        let shaped = |evidence: &[Evidence]| {
            let step = evidence.len().div_ceil(MODEL_TILES_PER_CALL_MAX / (2 * MODEL_FINGERPRINTS_MAX)).max(1);
            groups(evidence.iter().step_by(step).map(|tile| (tile.shape, tile.bits)))
        };
        FingerprintJson {
            base: self.base.as_ref().map(|base| base.record.clone()),
            tiles: shaped(&self.changes.evidence),
            roll_ups: shaped(&self.changes.rollups),
            vectors: hashpact_protocol::api::vectors_text(vectors),
        }
    }

    /// Whether there is anything to compare.
    pub(crate) fn is_evidence(&self, vectors: &[Bits]) -> bool {
        !self.changes.evidence.is_empty() || !vectors.is_empty()
    }
}
