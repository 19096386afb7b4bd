//! *Same*, *review*, or nothing: what a sketch match is worth, with the evidence for it.
//!
//! Tiles of one shape are paired one to one, the nearest first, so that names and order play no part and one tile of
//! the asked-about model can stand for only one of the listed model. The mean of their distances and how many of
//! them are near decide. Thresholds are values, since they were measured on small networks and will be recalibrated.
//!
//! A sketch match is never acted on automatically, whatever the verdict: it goes to a person. Exact identifiers are
//! compared elsewhere. A node decides by the same rule in integers; `tests/vectors/models/decisions.txt` holds both to it.

use std::collections::BTreeMap;

use super::registry::Evidence;
use super::sketch::{self, Bits, TileShape};

/// When two models are the same. The defaults are those that `client/hashing/MODELS.md` measures.
#[derive(Clone, Debug, PartialEq)]
pub struct Thresholds {
    /// The most bits of the mean, and of a tile, that count as the same.
    pub same_max_bits: u32,
    /// The most bits of the mean that a person should look at.
    pub review_max_bits: u32,
    /// The least share of the pairs within `same_max_bits`, in percent.
    pub near_min_percent: u64,
    /// The fewest pairs.
    pub tiles_min: u64,
    /// The least share of the listed tiles that have a pair, in percent.
    pub coverage_min_percent: u64,
    /// A new listing whose mean is within so many bits of a benign model is refused.
    pub refusal_max_bits: u32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            same_max_bits: 31,
            review_max_bits: 60,
            near_min_percent: 50,
            tiles_min: 8,
            coverage_min_percent: 25,
            refusal_max_bits: 64,
        }
    }
}

/// What is listed of a model, or known of the one that is asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint {
    /// Tiles that are evidence.
    pub tiles: Vec<Evidence>,
    /// Vectors of a textual inversion.
    pub vectors: Vec<Bits>,
}

/// How two fingerprints compare.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Comparison {
    /// Tiles or vectors that the listed model has.
    pub listed: u64,
    /// How many of them have a pair.
    pub pairs: u64,
    /// The mean distance of the pairs, in bits.
    pub mean_bits: f64,
    /// Pairs that count as the same.
    pub near: u64,
    /// The distance of the nearest pair.
    pub least_bits: u32,
    /// The distance of the farthest pair.
    pub most_bits: u32,
}

impl Comparison {
    /// The share of the listed tiles that have a pair, in percent, rounded down.
    #[must_use]
    pub fn coverage_percent(&self) -> u64 {
        (self.pairs * 100).checked_div(self.listed).unwrap_or(0)
    }
}

/// The answer. Ordered: more similar is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// No reason to look.
    Nothing,
    /// A person should look: it may be derived from the listed model.
    Review,
    /// It is the listed model in another form; a person decides.
    Same,
}

impl Verdict {
    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Review => "review",
            Self::Same => "same",
        }
    }
}

/// The answer with what it rests on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// The answer.
    pub verdict: Verdict,
    /// How the model compares with the listed one.
    pub comparison: Comparison,
    /// The nearest of the benign models, by its place in the list, and how the model compares with it.
    pub nearest_benign: Option<(usize, Comparison)>,
}

/// Pairs the tiles of `asked` with those of `listed`.
#[must_use]
pub fn compare(listed: &Fingerprint, asked: &Fingerprint, thresholds: &Thresholds) -> Comparison {
    let mut classes: BTreeMap<Option<TileShape>, (Vec<&Bits>, Vec<&Bits>)> = BTreeMap::new();
    for tile in &listed.tiles {
        classes.entry(Some(tile.shape)).or_default().0.push(&tile.bits);
    }
    for tile in &asked.tiles {
        classes.entry(Some(tile.shape)).or_default().1.push(&tile.bits);
    }
    let vectors = classes.entry(None).or_default();
    vectors.0.extend(&listed.vectors);
    vectors.1.extend(&asked.vectors);
    // In the order of the bits, so that the order of a file plays no part in ties either.
    for (listed, asked) in classes.values_mut() {
        listed.sort_unstable();
        asked.sort_unstable();
    }
    let distances: Vec<u32> = classes.values().flat_map(|(listed, asked)| paired(listed, asked)).collect();
    let sum: u64 = distances.iter().map(|bits| u64::from(*bits)).sum();
    Comparison {
        listed: (listed.tiles.len() + listed.vectors.len()) as u64,
        pairs: distances.len() as u64,
        mean_bits: if distances.is_empty() { 0.0 } else { sum as f64 / distances.len() as f64 },
        near: distances.iter().filter(|bits| **bits <= thresholds.same_max_bits).count() as u64,
        least_bits: distances.iter().copied().min().unwrap_or(0),
        most_bits: distances.iter().copied().max().unwrap_or(0),
    }
}

/// Tiles of one shape beyond this many are compared within portions of this size of their order: a bound on time.
const CLASS_MAX: usize = 2048;

/// The distances of pairs that are made from the nearest on.
fn paired(listed: &[&Bits], asked: &[&Bits]) -> Vec<u32> {
    let mut distances = Vec::new();
    let portions = listed.len().max(asked.len()).div_ceil(CLASS_MAX).max(1);
    let (left, right) = (listed.len().div_ceil(portions).max(1), asked.len().div_ceil(portions).max(1));
    for (listed, asked) in listed.chunks(left).zip(asked.chunks(right)) {
        // Sorted by distance by counting: bits are few.
        let mut by_distance: Vec<Vec<(u16, u16)>> = vec![Vec::new(); 257];
        for (i, a) in listed.iter().enumerate() {
            for (j, b) in asked.iter().enumerate() {
                by_distance[sketch::distance(a, b) as usize].push((i as u16, j as u16));
            }
        }
        let (mut used_left, mut used_right) = (vec![false; listed.len()], vec![false; asked.len()]);
        for (bits, pairs) in by_distance.into_iter().enumerate() {
            for (i, j) in pairs {
                let (left, right) = (&mut used_left[usize::from(i)], &mut used_right[usize::from(j)]);
                if !*left && !*right {
                    (*left, *right) = (true, true);
                    distances.push(bits as u32);
                }
            }
        }
    }
    distances
}

/// What one comparison is worth by itself.
///
/// A listing of fewer than `tiles_min` tiles (a textual inversion, a small adapter) is never *same*: all of it must be
/// near, and then a person looks.
#[must_use]
pub fn verdict(comparison: &Comparison, thresholds: &Thresholds) -> Verdict {
    let Comparison { listed, pairs, mean_bits, near, .. } = *comparison;
    if listed < thresholds.tiles_min {
        return if listed > 0 && near == listed { Verdict::Review } else { Verdict::Nothing };
    }
    if pairs < thresholds.tiles_min || comparison.coverage_percent() < thresholds.coverage_min_percent {
        return Verdict::Nothing;
    }
    let mostly_near = near * 100 >= pairs * thresholds.near_min_percent;
    if mean_bits <= f64::from(thresholds.same_max_bits) && mostly_near {
        Verdict::Same
    } else if mean_bits <= f64::from(thresholds.review_max_bits) {
        Verdict::Review
    } else {
        Verdict::Nothing
    }
}

/// Compares a model with a listed one and with benign ones that are registered. A benign model that is nearer than
/// the listed one wins: the answer is nothing, and says which.
#[must_use]
pub fn decide(
    listed: &Fingerprint,
    asked: &Fingerprint,
    benign: &[&Fingerprint],
    thresholds: &Thresholds,
) -> Decision {
    let comparison = compare(listed, asked, thresholds);
    let nearest_benign = nearest(asked, benign, thresholds);
    let alone = verdict(&comparison, thresholds);
    let wins = nearest_benign.is_some_and(|(_, benign)| {
        verdict(&benign, thresholds) >= alone && benign.mean_bits < comparison.mean_bits
    });
    Decision { verdict: if wins { Verdict::Nothing } else { alone }, comparison, nearest_benign }
}

/// The nearest of several fingerprints that compares at all.
fn nearest(
    asked: &Fingerprint,
    others: &[&Fingerprint],
    thresholds: &Thresholds,
) -> Option<(usize, Comparison)> {
    let compared = others.iter().enumerate().map(|(nth, other)| (nth, compare(other, asked, thresholds)));
    compared.filter(|(_, found)| found.pairs > 0).min_by(|a, b| a.1.mean_bits.total_cmp(&b.1.mean_bits))
}

/// The benign model that stands against a new listing: one that two independent members registered and that is
/// within `refusal_max_bits` over `tiles_min` pairs or all that the listing has. `benign` gives each with the number of
/// members that registered it.
#[must_use]
pub fn refusal(
    new: &Fingerprint,
    benign: &[(&Fingerprint, u32)],
    thresholds: &Thresholds,
) -> Option<(usize, Comparison)> {
    let counted = benign.iter().enumerate().filter(|(_, (_, members))| *members >= 2);
    let compared = counted.map(|(nth, (model, _))| (nth, compare(new, model, thresholds)));
    let near = compared.filter(|(_, found)| {
        found.coverage_percent() >= thresholds.coverage_min_percent
            && found.pairs > 0
            && found.pairs >= thresholds.tiles_min.min(found.listed)
            && found.mean_bits <= f64::from(thresholds.refusal_max_bits)
    });
    near.min_by(|a, b| a.1.mean_bits.total_cmp(&b.1.mean_bits))
}

#[cfg(test)]
mod tests;
