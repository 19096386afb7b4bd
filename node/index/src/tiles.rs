//! Tiles of models: which models have tiles near those that are asked about.
//!
//! The same engine as for perceptual values of pictures, in an index of its own. A tile may only be near one of its own
//! class (shape and kind): each class has a secret mask of 256 bits that all of its values are combined with, which keeps
//! every distance within a class and puts values of different classes at 128 ± 8 bits, out of any reach. So one engine
//! serves all classes, however many a stranger's records name, without a table for each.
//!
//! What is found are candidates, with how many of the asked tiles have a neighbour in each: whoever asks compares whole
//! models and decides. Two searches make the candidates:
//!
//! - within `near_bits`, every asked tile, through the tables: no model is missed that has such a tile;
//! - within `wide_bits`, as many of the asked tiles as `wide_pairs_max` comparisons allow, spread over all of them, by a
//!   flat scan. While tiles are few these are all of them, and nothing is missed here either; with millions of tiles it
//!   is a sample, and [`Candidates::wide_tiles`] says of how many.

use crate::{Change, Hit, IndexStats, MatchIndex, Options};
use siphasher::sip128::{Hasher128 as _, SipHasher13};
use std::collections::BTreeMap;
use std::hash::Hasher as _;

/// What may be compared with one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileClass {
    /// The owner's number for what the bits are of.
    pub kind: u8,
    /// Rows of the tile.
    pub rows: u64,
    /// Columns of the tile.
    pub columns: u64,
}

/// A tile's bits with its class.
pub type ClassBits = (TileClass, [u8; 32]);

/// How far a search goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TileSearch {
    /// Every asked tile is looked for within so many bits; at most [`TABLE_RADIUS_MAX`](crate::TABLE_RADIUS_MAX) is fast.
    pub near_bits: u16,
    /// And some or all of them within so many.
    pub wide_bits: u16,
    /// Comparisons that the second search may take.
    pub wide_pairs_max: u64,
    /// Threads that work at once.
    pub threads: usize,
}

/// What a search found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidates {
    /// For each model with a neighbour, how many of the asked tiles have one there.
    pub models: BTreeMap<u64, u64>,
    /// How many of the asked tiles were looked for in the wide search.
    pub wide_tiles: usize,
}

/// The index of tiles. Shared by reference between any number of readers and writers.
#[derive(Debug)]
pub struct TileIndex {
    index: MatchIndex,
    key: [u8; 16],
}

impl Default for TileIndex {
    fn default() -> Self {
        Self::with_options(Options::with_seed(crate::random::secret_seed()))
    }
}

impl TileIndex {
    /// An empty index with a secret seed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty index that works as told.
    #[must_use]
    pub fn with_options(options: Options) -> Self {
        let [a, b] = [0, 16].map(|at| {
            let half = options.seed[at..at + 16].try_into().expect("half of a seed has 16 bytes");
            u128::from_le_bytes(half)
        });
        Self { index: MatchIndex::with_options(options), key: (a ^ b.rotate_left(19)).to_le_bytes() }
    }

    /// Says that the model, by its owner's number, has these tiles.
    pub fn insert(&self, model: u64, tiles: impl IntoIterator<Item = ClassBits>) {
        let values = self.masked(tiles);
        self.index.apply(values.iter().map(|value| Change::InsertHamming { value, record: model }));
    }

    /// Withdraws tiles of a model.
    pub fn remove(&self, model: u64, tiles: impl IntoIterator<Item = ClassBits>) {
        let values = self.masked(tiles);
        self.index.apply(values.iter().map(|value| Change::RemoveHamming { value, record: model }));
    }

    /// The models near each of the asked tiles within the radius, in the order of the tiles; each sorted by distance,
    /// then by model.
    #[must_use]
    pub fn near(&self, asked: &[ClassBits], radius: u16, threads: usize) -> Vec<Vec<Hit>> {
        self.index.query_hamming_bulk(&self.masked(asked.iter().copied()), radius, threads)
    }

    /// Models that the asked tiles may be of.
    #[must_use]
    pub fn candidates(&self, asked: &[ClassBits], search: &TileSearch) -> Candidates {
        let TileSearch { near_bits, wide_bits, wide_pairs_max, threads } = *search;
        let values = self.masked(asked.iter().copied());
        let indexed = self.index.stats().hamming.values.max(1);
        let wide_tiles = usize::try_from(wide_pairs_max / indexed).unwrap_or(usize::MAX).min(values.len());
        let mut found = Candidates { models: BTreeMap::new(), wide_tiles };
        if wide_tiles < values.len() {
            found.add(self.index.query_hamming_bulk(&values, near_bits, threads));
        }
        // Tiles that lie next to one another belong to one layer; what is picked is spread over all.
        let picked: Vec<[u8; 32]> =
            (0..wide_tiles).map(|nth| values[nth * values.len() / wide_tiles]).collect();
        let wide = self.index.query_hamming_bulk(&picked, wide_bits.max(near_bits), threads);
        if wide_tiles < values.len() {
            // Tiles that were counted are not counted twice: those models are candidates already.
            let known: Vec<u64> = found.models.keys().copied().collect();
            let fresh = wide.into_iter().map(|mut hits| {
                hits.retain(|hit| known.binary_search(&hit.record).is_err());
                hits
            });
            found.add(fresh.collect());
        } else {
            found.add(wide);
        }
        found
    }

    /// How much it holds.
    #[must_use]
    pub fn stats(&self) -> IndexStats {
        self.index.stats()
    }

    fn masked(&self, tiles: impl IntoIterator<Item = ClassBits>) -> Vec<[u8; 32]> {
        let mut last: Option<(TileClass, [u8; 32])> = None;
        let masked = tiles.into_iter().map(|(class, bits)| {
            let mask = match last {
                Some((known, mask)) if known == class => mask,
                _ => self.mask(class),
            };
            last = Some((class, mask));
            std::array::from_fn(|at| bits[at] ^ mask[at])
        });
        masked.collect()
    }

    fn mask(&self, class: TileClass) -> [u8; 32] {
        let mut mask = [0; 32];
        for (half, bytes) in mask.as_chunks_mut::<16>().0.iter_mut().enumerate() {
            let mut hasher = SipHasher13::new_with_key(&self.key);
            hasher.write(&[half as u8, class.kind]);
            hasher.write(&class.rows.to_le_bytes());
            hasher.write(&class.columns.to_le_bytes());
            *bytes = hasher.finish128().as_u128().to_le_bytes();
        }
        mask
    }
}

impl Candidates {
    fn add(&mut self, hits: Vec<Vec<Hit>>) {
        for hits in hits {
            // A model may have several tiles near one of those asked about: it counts once.
            let mut models: Vec<u64> = hits.into_iter().map(|hit| hit.record).collect();
            models.sort_unstable();
            models.dedup();
            for model in models {
                *self.models.entry(model).or_default() += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    const SEARCH: TileSearch = TileSearch { near_bits: 31, wide_bits: 60, wide_pairs_max: 1 << 20, threads: 1 };

    fn class(rows: u64) -> TileClass {
        TileClass { kind: 0, rows, columns: 64 }
    }

    fn tiles(random: &mut Random, count: usize) -> Vec<ClassBits> {
        let mut tile = |nth: usize| {
            let mut bits = [0; 32];
            bits.as_chunks_mut::<8>().0.iter_mut().for_each(|word| *word = random.next().to_le_bytes());
            (class(nth as u64 % 3), bits)
        };
        (0..count).map(&mut tile).collect()
    }

    /// With the first `count` bits turned round.
    fn turned(tiles: &[ClassBits], count: usize) -> Vec<ClassBits> {
        let mut turned = tiles.to_vec();
        for (_, bits) in &mut turned {
            (0..count).for_each(|bit| bits[bit / 8] ^= 1 << (bit % 8));
        }
        turned
    }

    #[test]
    fn a_class_keeps_its_tiles_to_itself() {
        let index = TileIndex::new();
        index.insert(1, [(class(8), [7; 32])]);
        index.insert(2, [(class(9), [7; 32]), (TileClass { kind: 1, ..class(8) }, [7; 32])]);
        let found = |rows: u64| index.near(&[(class(rows), [7; 32])], 47, 1).concat();
        assert_eq!(found(8), [Hit { record: 1, distance: 0 }]);
        assert_eq!(found(9), [Hit { record: 2, distance: 0 }]);
        assert_eq!(found(10), []);
        index.remove(1, [(class(8), [7; 32])]);
        assert_eq!(found(8), []);
    }

    #[test]
    fn distances_within_a_class_are_those_of_the_bits() {
        let mut random = Random::from_seed([3; 32]);
        let (index, all) = (TileIndex::new(), tiles(&mut random, 60));
        (0..).zip(&all).for_each(|(model, tile)| index.insert(model, [*tile]));
        for (asked, hits) in all.iter().zip(index.near(&all, 256, 2)) {
            let mut expected: Vec<Hit> = (0u64..)
                .zip(&all)
                .filter(|(_, (class, _))| *class == asked.0)
                .map(|(record, (_, bits))| {
                    let distance = bits.iter().zip(&asked.1).map(|(a, b)| (a ^ b).count_ones() as u16).sum();
                    Hit { record, distance }
                })
                .collect();
            expected.sort_by_key(|hit| (hit.distance, hit.record));
            let same_class: Vec<Hit> =
                hits.into_iter().filter(|hit| all[hit.record as usize].0 == asked.0).collect();
            assert_eq!(same_class, expected);
        }
    }

    #[test]
    fn candidates_are_counted_by_tile() {
        let mut random = Random::from_seed([4; 32]);
        let index = TileIndex::new();
        let (near, far, other) = (tiles(&mut random, 12), tiles(&mut random, 12), tiles(&mut random, 40));
        index.insert(1, near.iter().copied());
        index.insert(1, turned(&near[..1], 1));
        index.insert(2, far.iter().copied());
        index.insert(3, other);
        let asked = [turned(&near[..9], 31), turned(&far[..5], 60)].concat();
        let found = index.candidates(&asked, &SEARCH);
        assert_eq!(found.models, BTreeMap::from([(1, 9), (2, 5)]));
        assert_eq!(found.wide_tiles, asked.len());
        // With less time, near ones are still never missed; of far ones a sample is looked for.
        let hurried = TileSearch { wide_pairs_max: 65 * 7, ..SEARCH };
        let found = index.candidates(&asked, &hurried);
        assert_eq!(found.models.get(&1), Some(&9));
        assert_eq!(found.wide_tiles, 7);
        assert!(found.models.contains_key(&2), "two of the five far tiles are in the sample");
        let none = TileSearch { wide_pairs_max: 0, ..SEARCH };
        assert_eq!(index.candidates(&asked, &none).models, BTreeMap::from([(1, 9)]));
        assert_eq!(index.candidates(&[], &SEARCH), Candidates::default());
        assert_eq!(TileIndex::new().candidates(&asked, &SEARCH).models, BTreeMap::new());
    }
}
