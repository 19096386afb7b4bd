//! What was added to a known base: D-bits.
//!
//! A registry holds the sketches of known public bases and popular benign intermediates, and a stop list of tiles
//! that are the same in unrelated networks (tables of positions, bases of Fourier transforms, untouched encoders).
//! The base of a tile is the registered tile of the same shape with the nearest F-bits, if it is near enough to be
//! its parent at all: a difference from a stranger says nothing. The signs of the difference, with the direction of
//! the base projected out, are the D-bits. They are what is listed and compared; the changes of adapters live in the
//! same space.
//!
//! Against an unregistered parent siblings look alike, so the coverage of the registry decides how many false
//! answers there are. Every result says against which registry it was made.

use std::collections::BTreeMap;

use super::sketch::{self, BUCKETS, Bits, Sketch, TileShape};
use super::{Tile, Weights};

/// How near is near. The defaults are those that `client/hashing/MODELS.md` measures.
#[derive(Clone, Debug, PartialEq)]
pub struct RegistryLimits {
    /// The most F-bits in which a tile may differ from its base.
    pub family_max_bits: u32,
    /// The most F-bits in which a tile may differ from one of the stop list to be no evidence.
    pub stop_max_bits: u32,
    /// The least change, as a share of the base, that has D-bits.
    pub change_min: f64,
}

impl Default for RegistryLimits {
    fn default() -> Self {
        Self { family_max_bits: 31, stop_max_bits: 31, change_min: 1e-3 }
    }
}

/// Known bases, by the shape of their tiles.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    models: u32,
    bases: BTreeMap<TileShape, Vec<BaseTile>>,
    stop: Vec<Bits>,
}

#[derive(Clone, Debug)]
struct BaseTile {
    model: u32,
    tile: Tile,
}

/// A tile that is evidence: where its bits may be compared, and the bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Evidence {
    /// Its shape; only tiles of one shape are compared.
    pub shape: TileShape,
    /// D-bits, or the bits of an adapter's change.
    pub bits: Bits,
}

/// What a model adds to known bases.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// Tiles that are evidence, in the order of the model.
    pub evidence: Vec<Evidence>,
    /// One value for each shape: the signs of the sum of all changes, each brought to length 1.
    pub rollups: Vec<Evidence>,
    /// Tiles that do not differ from their base.
    pub unchanged: u64,
    /// Tiles without a base in the registry.
    pub without_base: u64,
    /// Tiles of the stop list.
    pub stopped: u64,
    /// How many tiles have their base in each model of the registry.
    pub bases: BTreeMap<u32, u64>,
    /// The mean distance of those tiles from their bases, in F-bits.
    pub family_mean_bits: Option<f64>,
}

impl Registry {
    /// Registers the full weights of a model and returns its number here, counted from 0.
    pub fn add(&mut self, weights: &Weights) -> u32 {
        let model = self.models;
        self.models += 1;
        for tile in &weights.tiles {
            self.bases.entry(tile.shape).or_default().push(BaseTile { model, tile: tile.clone() });
        }
        model
    }

    /// Puts the F-bits of a tile on the stop list.
    pub fn stop(&mut self, bits: Bits) {
        self.stop.push(bits);
    }

    /// How many models are registered.
    #[must_use]
    pub fn models(&self) -> u32 {
        self.models
    }

    fn nearest(&self, tile: &Tile) -> Option<(&BaseTile, u32)> {
        let bases = self.bases.get(&tile.shape)?.iter();
        bases
            .map(|base| (base, sketch::distance(&base.tile.bits, &tile.bits)))
            .min_by_key(|(_, distance)| *distance)
    }

    /// What the tiles of `weights` add to registered bases; of an adapter, its changes as they are.
    #[must_use]
    pub fn changes(&self, weights: &Weights, limits: &RegistryLimits) -> Changes {
        let mut changes = Changes::default();
        let mut rollups = Rollups::default();
        let (mut family_bits, mut with_base) = (0u64, 0u64);
        for tile in &weights.tiles {
            if self.stop.iter().any(|stop| sketch::distance(stop, &tile.bits) <= limits.stop_max_bits) {
                changes.stopped += 1;
                continue;
            }
            let Some((base, distance)) =
                self.nearest(tile).filter(|(_, bits)| *bits <= limits.family_max_bits)
            else {
                changes.without_base += 1;
                continue;
            };
            *changes.bases.entry(base.model).or_default() += 1;
            with_base += 1;
            family_bits += u64::from(distance);
            match difference(&tile.numbers, &base.tile.numbers, limits.change_min) {
                Some(numbers) => {
                    rollups.add(tile.shape, &numbers);
                    changes.evidence.push(Evidence { shape: tile.shape, bits: sketch::bits(&numbers) });
                }
                None => changes.unchanged += 1,
            }
        }
        for tile in &weights.changes {
            rollups.add(tile.shape, &tile.numbers.map(f64::from));
            changes.evidence.push(Evidence { shape: tile.shape, bits: tile.bits });
        }
        changes.rollups = rollups.finish();
        changes.family_mean_bits = (with_base > 0).then(|| family_bits as f64 / with_base as f64);
        changes
    }
}

/// `numbers - base` without its part along `base`; nothing when the difference is smaller than `change_min` of the
/// base.
fn difference(numbers: &[f32; BUCKETS], base: &[f32; BUCKETS], change_min: f64) -> Option<Sketch> {
    let base = base.map(f64::from);
    let mut change: Sketch = std::array::from_fn(|at| f64::from(numbers[at]) - base[at]);
    let length = sketch::norm(&base);
    // Written so that a base of zeros, or a number that is none, gives nothing.
    let is_large_enough = sketch::norm(&change) / length >= change_min;
    if !is_large_enough || length == 0.0 {
        return None;
    }
    let along = change.iter().zip(&base).map(|(a, b)| a * b).sum::<f64>() / (length * length);
    change.iter_mut().zip(&base).for_each(|(number, base)| *number -= along * base);
    Some(change)
}

/// Sums of unit vectors, by shape.
#[derive(Debug, Default)]
struct Rollups {
    sums: BTreeMap<TileShape, Box<Sketch>>,
}

impl Rollups {
    fn add(&mut self, shape: TileShape, numbers: &Sketch) {
        let length = sketch::norm(numbers);
        if length > 0.0 {
            let sum = self.sums.entry(shape).or_insert_with(|| Box::new([0.0; BUCKETS]));
            sum.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number / length);
        }
    }

    fn finish(self) -> Vec<Evidence> {
        self.sums.into_iter().map(|(shape, sum)| Evidence { shape, bits: sketch::bits(&sum) }).collect()
    }
}

/// The mean distance in F-bits of the tiles of two models that have a shape in common, and how many there are: how
/// near they are as a family. Each tile of `a` is compared with the nearest of `b`.
#[must_use]
pub fn family(a: &Weights, b: &Weights) -> Option<(f64, u64)> {
    let mut registry = Registry::default();
    registry.add(b);
    let nearest: Vec<u32> =
        a.tiles.iter().filter_map(|tile| registry.nearest(tile)).map(|(_, bits)| bits).collect();
    let sum: u64 = nearest.iter().map(|bits| u64::from(*bits)).sum();
    (!nearest.is_empty()).then(|| (sum as f64 / nearest.len() as f64, nearest.len() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::tiles::tests::noise;

    const SHAPE: TileShape = TileShape { rows: 64, columns: 64 };

    fn tile(numbers: &[f32]) -> Tile {
        let numbers: Box<[f32; BUCKETS]> = Box::new(numbers.try_into().unwrap());
        let bits = sketch::bits(&numbers.map(f64::from));
        Tile { shape: SHAPE, numbers, bits }
    }

    fn weights(tiles: Vec<Tile>) -> Weights {
        Weights { tiles, ..Weights::default() }
    }

    fn sum(a: &[f32], b: &[f32], share: f32) -> Vec<f32> {
        a.iter().zip(b).map(|(a, b)| a + share * b).collect()
    }

    fn registry(bases: &[&[f32]]) -> Registry {
        let mut registry = Registry::default();
        registry.add(&weights(vec![tile(&noise(256, 99))]));
        registry.add(&weights(bases.iter().map(|base| tile(base)).collect()));
        registry
    }

    #[test]
    fn a_change_is_found_whatever_its_share() {
        let (base, change) = (noise(256, 1), noise(256, 2));
        let registry = registry(&[&base]);
        let bits = |share: f32| {
            let changes = registry
                .changes(&weights(vec![tile(&sum(&base, &change, share))]), &RegistryLimits::default());
            assert_eq!(changes.bases, BTreeMap::from([(1, 1)]));
            changes.evidence[0].bits
        };
        let whole = bits(0.05);
        for share in [0.04, 0.02, 0.005] {
            assert!(sketch::distance(&bits(share), &whole) <= 1, "{share}");
        }
        // As an adapter it is nearly the same; only the part along the base differs.
        let adapter = Weights { changes: vec![tile(&change)], ..Weights::default() };
        let adapter = registry.changes(&adapter, &RegistryLimits::default());
        assert!(sketch::distance(&adapter.evidence[0].bits, &whole) < 16);
        assert_eq!(adapter.rollups, adapter.evidence, "the sum of one");
    }

    #[test]
    fn what_is_no_evidence_is_counted() {
        let (base, constant) = (noise(256, 1), noise(256, 3));
        let mut registry = registry(&[&base]);
        registry.stop(tile(&constant).bits);
        let tiles = vec![
            tile(&base),
            tile(&sum(&base, &noise(256, 2), 0.0005)),
            tile(&constant),
            tile(&noise(256, 4)),
        ];
        let changes = registry.changes(&weights(tiles), &RegistryLimits::default());
        assert!(changes.evidence.is_empty() && changes.rollups.is_empty());
        assert_eq!((changes.unchanged, changes.stopped, changes.without_base), (2, 1, 1));
        assert_eq!(changes.family_mean_bits, Some(0.0));
        let empty = Registry::default().changes(&weights(vec![tile(&base)]), &RegistryLimits::default());
        assert_eq!((empty.without_base, empty.family_mean_bits), (1, None));
        let zeros = difference(&[1.0; BUCKETS], &[0.0; BUCKETS], 1e-3);
        assert_eq!(zeros, None, "a base of zeros");
    }

    #[test]
    fn families() {
        let (base, other) = (noise(256, 1), noise(256, 2));
        let child = weights(vec![tile(&sum(&base, &other, 0.01))]);
        let (near, tiles) = family(&child, &weights(vec![tile(&other), tile(&base)])).unwrap();
        assert!(near < 10.0 && tiles == 1, "{near}");
        assert!(family(&child, &weights(vec![tile(&other)])).unwrap().0 > 90.0);
        assert_eq!(family(&child, &Weights::default()), None);
    }
}
