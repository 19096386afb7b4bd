//! Which registered bases are near the tiles of a model.

use super::{FAMILY_MAX_BITS, Models, STOP, State, entry};
use hashpact_index::{ClassBits, Hit};
use hashpact_protocol::api::{
    BaseTileJson, NearBaseJson, RegisteredModelJson, ShapedBits, tile_text,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

/// Registered models that are named for one tile at most.
const NEAR_MAX: usize = 4;

/// The bases of a model's tiles.
#[derive(Debug, Default)]
pub struct Bases {
    /// Registered models with a tile near.
    pub models: Vec<RegisteredModelJson>,
    /// Tiles with a base, or of the stop list.
    pub tiles: Vec<BaseTileJson>,
    /// The numbers of the base tiles, each once.
    pub numbers: Vec<String>,
}

impl Models {
    /// The bases of tiles, each given with its group and place in it. Takes tens of milliseconds with many tiles: not for the
    /// runtime.
    #[must_use]
    pub fn bases(&self, asked: &[(u32, u32, ShapedBits)]) -> Bases {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let bits: Vec<ClassBits> =
            asked.iter().map(|(_, _, (shape, bits))| (entry::class_of(*shape), *bits)).collect();
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let hits = self.bases.near(&bits, FAMILY_MAX_BITS, threads);
        let mut found = Bases::default();
        let mut places = Places::default();
        for ((group, tile, _), hits) in asked.iter().zip(hits) {
            let stopped = hits.iter().any(|hit| hit.record & STOP == STOP && state.counts(hit.record >> 32));
            let near = if stopped { Vec::new() } else { nearest(&state, &hits, &mut places, &mut found) };
            if stopped || !near.is_empty() {
                found.tiles.push(BaseTileJson { group: *group, tile: *tile, stopped, near });
            }
        }
        found
    }
}

/// What an answer has named already.
#[derive(Default)]
struct Places {
    /// By number; none for a model that does not count.
    models: BTreeMap<u64, Option<u32>>,
    /// By number of model and tile.
    numbers: BTreeMap<u64, u32>,
}

/// The nearest tile of each model; hits come the nearest first.
fn nearest(state: &State, hits: &[Hit], places: &mut Places, found: &mut Bases) -> Vec<NearBaseJson> {
    let (mut near, mut seen) = (Vec::new(), BTreeSet::new());
    for hit in hits {
        let (number, tile) = (hit.record >> 32, hit.record & STOP);
        if near.len() == NEAR_MAX || !seen.insert(number) {
            continue;
        }
        let models = &mut found.models;
        let model = *places.models.entry(number).or_insert_with(|| {
            let place = state.numbers.get(&number)?;
            let model = state.registered(&state.entries.get(place)?.standing_first()?.id)?;
            models.push(model);
            Some(models.len() as u32 - 1)
        });
        let Some(model) = model else { continue };
        let numbers = match places.numbers.get(&hit.record) {
            Some(held) => *held,
            None => {
                let Some(held) = state.numbers_of(number, tile) else { continue };
                found.numbers.push(held);
                let place = found.numbers.len() as u32 - 1;
                places.numbers.insert(hit.record, place);
                place
            }
        };
        near.push(NearBaseJson { model, distance: hit.distance.into(), numbers });
    }
    near
}

impl State {
    /// Whether a registration counts.
    fn counts(&self, number: u64) -> bool {
        let entry = self.numbers.get(&number).and_then(|place| self.entries.get(place));
        let first = entry.and_then(|entry| entry.standing_first());
        first.is_some_and(|first| self.registered(&first.id).is_some())
    }

    fn numbers_of(&self, number: u64, tile: u64) -> Option<String> {
        let entry = self.entries.get(self.numbers.get(&number)?)?;
        let (_, numbers) = entry.indexed.numbers.get(usize::try_from(tile).ok()?)?;
        Some(tile_text(numbers))
    }
}
