//! *Same*, *review*, or nothing: what a sketch match is worth, with the evidence for it.
//!
//! Tiles of one shape are paired one to one, the nearest first, so that names and order play no part and one tile of
//! the asked-about model can stand for only one of the listed model. The sum of their distances and how many of them
//! are near decide. The client decides by the same rule on its own (`hashpact_hashing::models::decision`); shared
//! vectors (`tests/vectors/models/decisions.txt`) hold both to it, defaults included.
//!
//! A verdict is never an outcome: a sketch match goes to a person. Exact identifiers are judged by lists, elsewhere.

use std::collections::BTreeMap;

/// The bits of one tile.
pub type Bits = [u8; 32];

/// Tiles that may be compared with one another: those of one shape, and vectors of textual inversions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A tile of a weight.
    Tile {
        /// Its rows.
        rows: u64,
        /// Its columns.
        columns: u64,
    },
    /// A vector of a textual inversion.
    Vector,
}

/// When two models are the same. What the defaults rest on is measured in `client/hashing/MODELS.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// The most bits of the mean, and of a tile, that count as the same.
    pub same_max_bits: u16,
    /// The most bits of the mean that a person should look at.
    pub review_max_bits: u16,
    /// The least share of the pairs within `same_max_bits`, in percent.
    pub near_min_percent: u8,
    /// The fewest pairs.
    pub tiles_min: u64,
    /// The least share of the listed tiles that have a pair, in percent.
    pub coverage_min_percent: u8,
    /// A listing whose mean is within so many bits of a benign model of two members is refused.
    pub refusal_max_bits: u16,
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

/// Bits by class, each class in ascending order: two fingerprints of the same tiles are equal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fingerprint {
    classes: BTreeMap<Class, Vec<Bits>>,
}

impl FromIterator<(Class, Bits)> for Fingerprint {
    fn from_iter<T: IntoIterator<Item = (Class, Bits)>>(bits: T) -> Self {
        let mut classes: BTreeMap<Class, Vec<Bits>> = BTreeMap::new();
        for (class, bits) in bits {
            classes.entry(class).or_default().push(bits);
        }
        classes.values_mut().for_each(|bits| bits.sort_unstable());
        Self { classes }
    }
}

impl Fingerprint {
    /// How many tiles and vectors it has.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.classes.values().map(|bits| bits.len() as u64).sum()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }

    /// All of its bits, class by class.
    pub fn iter(&self) -> impl Iterator<Item = (Class, &Bits)> {
        self.classes.iter().flat_map(|(class, all)| all.iter().map(move |bits| (*class, bits)))
    }

    /// How many there are in each class.
    pub fn classes(&self) -> impl Iterator<Item = (Class, u64)> {
        self.classes.iter().map(|(class, bits)| (*class, bits.len() as u64))
    }
}

/// How two fingerprints compare.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Tiles or vectors that the listed model has.
    pub listed: u64,
    /// How many of them have a pair.
    pub pairs: u64,
    /// The sum of the distances of all pairs, in bits.
    pub sum_bits: u64,
    /// Pairs that count as the same.
    pub near: u64,
    /// The distance of the nearest pair, in bits.
    pub least_bits: u16,
    /// The distance of the farthest pair, in bits.
    pub most_bits: u16,
}

impl Comparison {
    /// The share of the listed tiles that have a pair, in percent, rounded down.
    #[must_use]
    pub fn coverage_percent(&self) -> u64 {
        self.pairs.saturating_mul(100).checked_div(self.listed).unwrap_or(0)
    }

    /// The mean distance in hundredths of a bit, rounded down: for people. Rules compare sums.
    #[must_use]
    pub fn mean_bits_hundredths(&self) -> u64 {
        self.sum_bits.saturating_mul(100).checked_div(self.pairs).unwrap_or(0)
    }

    /// Whether the mean is at most so many bits.
    fn is_mean_within(&self, bits: u16) -> bool {
        self.sum_bits <= self.pairs.saturating_mul(u64::from(bits))
    }

    /// Whether the mean is less than another's.
    fn is_nearer_than(&self, other: &Self) -> bool {
        u128::from(self.sum_bits) * u128::from(other.pairs)
            < u128::from(other.sum_bits) * u128::from(self.pairs)
    }
}

/// The answer. Ordered: more similar is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// No reason to look.
    Nothing,
    /// A person should look: it may be derived from the listed model.
    Review,
    /// It is the listed model in another form; a person decides.
    Same,
}

impl Verdict {
    /// Its name in answers.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// The answer.
    pub verdict: Verdict,
    /// How the model compares with the listed one.
    pub comparison: Comparison,
    /// The nearest of the benign models, by its place among them, and how the model compares with it.
    pub nearest_benign: Option<(usize, Comparison)>,
}

/// Pairs the tiles of `asked` with those of `listed`.
#[must_use]
pub fn compare(listed: &Fingerprint, asked: &Fingerprint, thresholds: &Thresholds) -> Comparison {
    let mut found = Comparison { listed: listed.len(), least_bits: u16::MAX, ..Comparison::default() };
    for (class, listed) in &listed.classes {
        let Some(asked) = asked.classes.get(class) else { continue };
        pair(listed, asked, &mut |bits| {
            found.pairs += 1;
            found.sum_bits += u64::from(bits);
            found.near += u64::from(bits <= thresholds.same_max_bits);
            found.least_bits = found.least_bits.min(bits);
            found.most_bits = found.most_bits.max(bits);
        });
    }
    if found.pairs == 0 {
        found.least_bits = 0;
    }
    found
}

/// Tiles of one class beyond this many are compared within portions of this size of their order: a bound on time.
const PORTION_MAX: usize = 2048;

/// Calls `each` with the distances of pairs that are made from the nearest on.
fn pair(listed: &[Bits], asked: &[Bits], each: &mut impl FnMut(u16)) {
    let portions = listed.len().max(asked.len()).div_ceil(PORTION_MAX).max(1);
    let (left, right) = (listed.len().div_ceil(portions).max(1), asked.len().div_ceil(portions).max(1));
    for (listed, asked) in listed.chunks(left).zip(asked.chunks(right)) {
        pair_portion(listed, asked, each);
    }
}

/// Sorted by distance by counting, as bits are few; equal distances go by the order of the bits.
fn pair_portion(listed: &[Bits], asked: &[Bits], each: &mut impl FnMut(u16)) {
    let mut by_distance: Vec<Vec<(u16, u16)>> = vec![Vec::new(); 257];
    for (i, a) in (0u16..).zip(listed) {
        for (j, b) in (0u16..).zip(asked) {
            if let Some(pairs) = by_distance.get_mut(usize::from(distance(a, b))) {
                pairs.push((i, j));
            }
        }
    }
    let (mut free_left, mut free_right) = (vec![true; listed.len()], vec![true; asked.len()]);
    for (bits, pairs) in (0u16..).zip(by_distance) {
        for (i, j) in pairs {
            let sides = (free_left.get_mut(usize::from(i)), free_right.get_mut(usize::from(j)));
            let (Some(left @ true), Some(right @ true)) = sides else { continue };
            (*left, *right) = (false, false);
            each(bits);
        }
    }
}

/// In how many bits two values differ.
#[must_use]
pub fn distance(a: &Bits, b: &Bits) -> u16 {
    let words = a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0);
    words.map(|(a, b)| (u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b)).count_ones() as u16).sum()
}

/// What one comparison is worth by itself.
///
/// A listing of fewer than `tiles_min` tiles (a textual inversion, a small adapter) is never *same*: all of it must be
/// near, and then a person looks.
#[must_use]
pub fn verdict(comparison: &Comparison, thresholds: &Thresholds) -> Verdict {
    let Comparison { listed, pairs, near, .. } = *comparison;
    if listed < thresholds.tiles_min {
        return if listed > 0 && near == listed { Verdict::Review } else { Verdict::Nothing };
    }
    if pairs < thresholds.tiles_min || !is_covered(comparison, thresholds) {
        return Verdict::Nothing;
    }
    let mostly_near =
        near.saturating_mul(100) >= pairs.saturating_mul(u64::from(thresholds.near_min_percent));
    if comparison.is_mean_within(thresholds.same_max_bits) && mostly_near {
        Verdict::Same
    } else if comparison.is_mean_within(thresholds.review_max_bits) {
        Verdict::Review
    } else {
        Verdict::Nothing
    }
}

fn is_covered(comparison: &Comparison, thresholds: &Thresholds) -> bool {
    comparison.pairs > 0 && comparison.coverage_percent() >= u64::from(thresholds.coverage_min_percent)
}

/// Compares a model with a listed one and with benign ones that are registered. A benign model that is nearer than
/// the listed one, and as good a match by itself, wins: the answer is nothing, and says which.
#[must_use]
pub fn decide(
    listed: &Fingerprint,
    asked: &Fingerprint,
    benign: &[&Fingerprint],
    thresholds: &Thresholds,
) -> Decision {
    let comparison = compare(listed, asked, thresholds);
    let compared = benign.iter().map(|model| compare(model, asked, thresholds)).enumerate();
    let nearest_benign = nearest(compared.filter(|(_, found)| found.pairs > 0));
    let alone = verdict(&comparison, thresholds);
    let wins = nearest_benign.is_some_and(|(_, benign)| {
        verdict(&benign, thresholds) >= alone && benign.is_nearer_than(&comparison)
    });
    Decision { verdict: if wins { Verdict::Nothing } else { alone }, comparison, nearest_benign }
}

/// The one of least mean; of equals the first.
fn nearest(compared: impl Iterator<Item = (usize, Comparison)>) -> Option<(usize, Comparison)> {
    compared.reduce(|best, next| if next.1.is_nearer_than(&best.1) { next } else { best })
}

/// The benign model that stands against a listing: within `refusal_max_bits`, over a share of its tiles that counts,
/// and over `tiles_min` pairs or all that the listing has. Whoever calls this passes models of two members only.
#[must_use]
pub fn refusal(
    listing: &Fingerprint,
    benign: &[&Fingerprint],
    thresholds: &Thresholds,
) -> Option<(usize, Comparison)> {
    let compared = benign.iter().map(|model| compare(listing, model, thresholds)).enumerate();
    nearest(compared.filter(|(_, found)| {
        found.pairs >= thresholds.tiles_min.min(found.listed)
            && is_covered(found, thresholds)
            && found.is_mean_within(thresholds.refusal_max_bits)
    }))
}

#[cfg(test)]
mod tests;
