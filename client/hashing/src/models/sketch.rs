//! WSK-1: 256 numbers for each tile of a weight matrix, linear in the weights, and their signs.
//!
//! Every row and every column of a tile has a bucket and a sign, made from its index alone ([`Slot`]). The weight at
//! (i, j) is added, with the product of the signs, to the number in bucket (row bucket + column bucket) mod 256;
//! then what a tile of equal weights with the same mean would give is taken away. Names, order of tensors and file
//! format play no part.
//!
//! The arithmetic is part of the definition, so that two programs get the same numbers and not only nearly so:
//! within a row each bucket, and the sum of the row, is added up in 32-bit floats by ascending column; rows are
//! added in 64-bit floats by ascending row. That order leaves rows independent, which is why sixteen of them are
//! worked on side by side here, as vectors.
//!
//! A tensor becomes tiles by [`Shape::of`]: rows by columns, cut into squares when one side is a small multiple of
//! the other, so that a fused projection gives the tiles of its parts.

/// Numbers of a sketch, and bits of a fingerprint.
pub const BUCKETS: usize = 256;
/// Seed of the slots of rows.
pub const ROW_SEED: u64 = 0x4853_4331_5753_4b52;
/// Seed of the slots of columns.
pub const COLUMN_SEED: u64 = 0x4853_4331_5753_4b43;
/// A tensor of fewer values has no sketch.
pub const VALUES_MIN: u64 = 4096;
/// A matrix whose smaller side is below this has no sketch.
pub const SIDE_MIN: u64 = 16;
/// The most squares into which a matrix is cut.
pub const SPLIT_MAX: u64 = 16;

/// The numbers of a sketch.
pub type Sketch = [f64; BUCKETS];
/// The signs of a sketch: bit `b` is in byte `b / 8`, the first in the uppermost place.
pub type Bits = [u8; 32];

/// Where a row or column goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slot {
    /// The bucket.
    pub bucket: u8,
    /// 1 or -1.
    pub sign: f32,
}

impl Slot {
    /// The slot of row or column `index` under `seed`.
    #[inline]
    #[must_use]
    pub fn new(seed: u64, index: u64) -> Self {
        let mut x = seed ^ index.wrapping_mul(0xd134_2543_de82_ef95);
        x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^= x >> 31;
        Self { bucket: x as u8, sign: if x >> 63 == 1 { 1.0 } else { -1.0 } }
    }
}

/// The shape of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileShape {
    /// Rows.
    pub rows: u64,
    /// Columns.
    pub columns: u64,
}

/// A tensor as a matrix, and how it is cut into tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Rows of the matrix.
    pub rows: u64,
    /// Columns of the matrix.
    pub columns: u64,
    /// The shape of each tile.
    pub tile: TileShape,
    /// How many tiles there are.
    pub tiles: u64,
}

impl Shape {
    /// The matrix of a tensor with these dimensions; nothing when it has no sketch: fewer than [`VALUES_MIN`]
    /// values, a side below [`SIDE_MIN`], or fewer than two dimensions.
    #[must_use]
    pub fn of(dimensions: &[u64]) -> Option<Self> {
        let [rows, rest @ ..] = without_trailing_ones(dimensions) else { return None };
        let columns = rest.iter().try_fold(1u64, |product, side| product.checked_mul(*side))?;
        if rest.is_empty() { None } else { Self::matrix(*rows, columns) }
    }

    /// A matrix of this size, under the same conditions.
    #[must_use]
    pub fn matrix(rows: u64, columns: u64) -> Option<Self> {
        if rows.checked_mul(columns)? < VALUES_MIN || rows.min(columns) < SIDE_MIN {
            return None;
        }
        let (small, large) = (rows.min(columns), rows.max(columns));
        let parts = large / small;
        let square = large.is_multiple_of(small) && (2..=SPLIT_MAX).contains(&parts);
        let tile =
            if square { TileShape { rows: small, columns: small } } else { TileShape { rows, columns } };
        Some(Self { rows, columns, tile, tiles: if square { parts } else { 1 } })
    }

    /// Tiles that lie beside one another in a row.
    pub(crate) fn across(&self) -> u64 {
        self.columns / self.tile.columns
    }
}

/// The dimensions without those of size 1 at the end, beyond the second.
#[must_use]
pub fn without_trailing_ones(dimensions: &[u64]) -> &[u64] {
    let mut kept = dimensions;
    while let [shorter @ .., 1] = kept
        && kept.len() > 2
    {
        kept = shorter;
    }
    kept
}

/// The signs of a sketch. Zero counts as negative.
#[must_use]
pub fn bits(sketch: &Sketch) -> Bits {
    let mut bits = [0; 32];
    for (byte, numbers) in bits.iter_mut().zip(sketch.as_chunks::<8>().0) {
        *byte = numbers.iter().fold(0, |byte, number| byte << 1 | u8::from(*number > 0.0));
    }
    bits
}

/// In how many bits two fingerprints differ.
#[must_use]
pub fn distance(a: &Bits, b: &Bits) -> u32 {
    a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum()
}

/// The square root of the sum of squares.
#[must_use]
pub fn norm(sketch: &Sketch) -> f64 {
    sketch.iter().map(|number| number * number).sum::<f64>().sqrt()
}

/// What `count` rows or columns with the value 1 give: whole numbers, so exact.
#[must_use]
pub(crate) fn ones(seed: u64, count: u64) -> Sketch {
    let mut sketch = [0.0; BUCKETS];
    for index in 0..count {
        let slot = Slot::new(seed, index);
        sketch[usize::from(slot.bucket)] += f64::from(slot.sign);
    }
    sketch
}

/// The sketch of the product of a column and a row is the circular convolution of theirs. Adds it to `sum`.
pub(crate) fn add_convolution(sum: &mut Sketch, rows: &Sketch, columns: &Sketch) {
    // Twice as long and folded at the end, so that the inner loop is a plain vector operation.
    let mut long = [0.0; 2 * BUCKETS];
    for (p, factor) in rows.iter().enumerate() {
        for (place, column) in long[p..p + BUCKETS].iter_mut().zip(columns) {
            *place += factor * column;
        }
    }
    let (low, high) = long.split_at(BUCKETS);
    for ((place, low), high) in sum.iter_mut().zip(low).zip(high) {
        *place += low + high;
    }
}

/// Takes away what a tile of equal values with mean `mean` gives.
pub(crate) fn subtract_mean(sketch: &mut Sketch, mean: f64, ones: &Sketch) {
    for (number, one) in sketch.iter_mut().zip(ones) {
        *number -= mean * one;
    }
}

/// Sketches of tiles of equal ones, kept since a network has few shapes.
#[derive(Debug, Default)]
pub(crate) struct Ones {
    known: Vec<(TileShape, Box<Sketch>)>,
}

/// Shapes that are kept; the oldest goes first.
const ONES_MAX: usize = 64;

impl Ones {
    /// The sketch of a tile of ones.
    pub(crate) fn of(&mut self, shape: TileShape) -> &Sketch {
        let at = match self.known.iter().position(|(known, _)| *known == shape) {
            Some(at) => at,
            None => {
                if self.known.len() == ONES_MAX {
                    self.known.remove(0);
                }
                let mut sketch = Box::new([0.0; BUCKETS]);
                let (rows, columns) = (ones(ROW_SEED, shape.rows), ones(COLUMN_SEED, shape.columns));
                add_convolution(&mut sketch, &rows, &columns);
                self.known.push((shape, sketch));
                self.known.len() - 1
            }
        };
        &self.known[at].1
    }
}

/// The value of a textual inversion's vector: eight times a sketch of columns, with eight seeds, added up. The mean
/// stays in.
#[must_use]
pub fn vector(values: &[f32]) -> Sketch {
    let mut sketch = [0.0; BUCKETS];
    for turn in 0..8u64 {
        let seed = COLUMN_SEED.wrapping_add(977 * turn);
        for (index, value) in values.iter().enumerate() {
            let slot = Slot::new(seed, index as u64);
            sketch[usize::from(slot.bucket)] += f64::from(slot.sign) * f64::from(*value);
        }
    }
    sketch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_splitmix() {
        // splitmix64 of 0 is the published first output of the generator with seed 0.
        assert_eq!(Slot::new(0, 0), Slot { bucket: 0xaf, sign: 1.0 });
        let signs = (0..10_000).filter(|i| Slot::new(ROW_SEED, *i).sign > 0.0).count();
        assert!((4800..5200).contains(&signs), "{signs}");
    }

    #[test]
    fn shapes() {
        let tile = |rows, columns| TileShape { rows, columns };
        let check = |dimensions: &[u64], expected: Option<(TileShape, u64)>| {
            let found = Shape::of(dimensions).map(|shape| (shape.tile, shape.tiles));
            assert_eq!(found, expected, "{dimensions:?}");
        };
        check(&[320, 320, 3, 3], Some((tile(320, 320), 9)));
        check(&[960, 320, 1, 1], Some((tile(320, 320), 3)));
        check(&[320, 1280], Some((tile(320, 320), 4)));
        check(&[17 * 16, 16], Some((tile(272, 16), 1)));
        check(&[16 * 16, 16], Some((tile(16, 16), 16)));
        check(&[320, 768], Some((tile(320, 768), 1)));
        check(&[64, 64, 1], Some((tile(64, 64), 1)));
        check(&[64, 63], None);
        check(&[15, 4096], None);
        check(&[4096, 1], None);
        check(&[100_000], None);
        check(&[], None);
        check(&[1, 1, 1], None);
        check(&[u64::MAX, 2, u64::MAX], None);
        assert_eq!(without_trailing_ones(&[5, 1, 1, 1]), [5, 1]);
        assert_eq!(without_trailing_ones(&[1, 1, 2, 1]), [1, 1, 2]);
    }

    #[test]
    fn bits_begin_at_the_top() {
        let mut sketch = [-1.0; BUCKETS];
        sketch[0] = 1.0;
        sketch[9] = 0.5;
        sketch[255] = 0.0;
        let bits = bits(&sketch);
        assert_eq!((bits[0], bits[1], bits[31]), (0x80, 0x40, 0));
        assert_eq!(distance(&bits, &[0; 32]), 2);
    }
}
