//! From 64 x 64 samples to bits: quality, cosine transform, median, orientation.
//!
//! Everything is `f32` in the reference's order: a coefficient is a sum over 64 products, begun at zero and
//! taken in index order, first down the columns, then along the rows. Coefficients next to each other
//! are summed side by side.
//!
//! Rotating or mirroring a picture only moves and negates its cosine coefficients, so all eight
//! hashes come from one transform. They are close to, not always equal to, the hash of the turned
//! pixels, because the samples of an even grid are not quite symmetric.

use std::sync::LazyLock;

use super::downscale::{SIDE, Samples};

/// Frequencies kept along each side: 1 to 16, without the constant.
const FREQUENCIES: usize = 16;

type Grid = [[f32; FREQUENCIES]; FREQUENCIES];

/// The rows 1 to 16 of the 64-point cosine matrix, and the same transposed.
struct CosineMatrix {
    by_frequency: [[f32; SIDE]; FREQUENCIES],
    by_position: [[f32; FREQUENCIES]; SIDE],
}

static COSINES: LazyLock<CosineMatrix> = LazyLock::new(|| {
    // The scale is rounded to f32 before it is used, the product after; as in the reference.
    let scale = f64::from((2.0 / SIDE as f64).sqrt() as f32);
    let step = std::f64::consts::PI / 2.0 / SIDE as f64;
    let entry = |f: usize, p: usize| (scale * (step * (f + 1) as f64 * (2 * p + 1) as f64).cos()) as f32;
    CosineMatrix {
        by_frequency: std::array::from_fn(|f| std::array::from_fn(|p| entry(f, p))),
        by_position: std::array::from_fn(|p| std::array::from_fn(|f| entry(f, p))),
    }
});

/// The low frequencies of a picture, and its quality.
pub(super) struct Spectrum {
    pub(super) quality: u8,
    /// Vertical frequency first.
    grid: Grid,
}

impl Spectrum {
    pub(super) fn of(samples: &Samples) -> Self {
        Self { quality: quality(samples), grid: transform(samples) }
    }

    pub(super) fn hash(&self) -> [u8; 32] {
        bits_above_median(&self.grid)
    }

    /// In the order of [`super::VARIANT_NAMES`].
    ///
    /// Index 0 stands for frequency 1, which is odd under reversal, so "even index" means negated by a flip.
    pub(super) fn dihedral_hashes(&self) -> [[u8; 32]; 8] {
        let odd = |n: usize| n % 2 == 1;
        [
            self.hash(),
            self.turned(true, |v, _| !odd(v)),
            self.turned(false, |v, h| odd(v + h)),
            self.turned(true, |_, h| !odd(h)),
            self.turned(false, |v, _| !odd(v)),
            self.turned(false, |_, h| !odd(h)),
            self.turned(true, |_, _| false),
            self.turned(true, |v, h| odd(v + h)),
        ]
    }

    /// The hash after swapping the axes (or not) and negating where `negate(vertical, horizontal)`, in the
    /// new axes, says so.
    fn turned(&self, swap: bool, negate: impl Fn(usize, usize) -> bool) -> [u8; 32] {
        let grid: Grid = std::array::from_fn(|v| {
            std::array::from_fn(|h| {
                let value = if swap { self.grid[h][v] } else { self.grid[v][h] };
                if negate(v, h) { -value } else { value }
            })
        });
        bits_above_median(&grid)
    }
}

/// Counts gradients between neighbouring samples, in whole percent of the luma range so that faint
/// ones count for nothing, and scales the total.
fn quality(samples: &Samples) -> u8 {
    let percent = |a: f32, b: f32| (((a - b) * 100.0 / 255.0) as i32).abs();
    let mut total = 0;
    for (row, below) in samples.iter().zip(&samples[1..]) {
        total += row.iter().zip(below).map(|(&a, &b)| percent(a, b)).sum::<i32>();
    }
    for row in samples {
        total += row.iter().zip(&row[1..]).map(|(&a, &b)| percent(a, b)).sum::<i32>();
    }
    u8::try_from(total / 90).map_or(100, |q| q.min(100))
}

fn transform(samples: &Samples) -> Grid {
    let cosines = &*COSINES;
    let mut grid = [[0.0; FREQUENCIES]; FREQUENCIES];
    for (out, weights) in grid.iter_mut().zip(&cosines.by_frequency) {
        let mut down = [0.0f32; SIDE];
        for (weight, row) in weights.iter().zip(samples) {
            for (sum, x) in down.iter_mut().zip(row) {
                *sum += weight * x;
            }
        }
        for (x, weights) in down.iter().zip(&cosines.by_position) {
            for (sum, weight) in out.iter_mut().zip(weights) {
                *sum += x * weight;
            }
        }
    }
    grid
}

/// One bit for each coefficient above the median: the 128th of the 256 in ascending order, which is what
/// the reference's search converges to. Coefficient 0 is the last bit of the last byte.
fn bits_above_median(grid: &Grid) -> [u8; 32] {
    let mut sorted = *grid.as_flattened().as_array::<256>().expect("16 x 16 is 256");
    let (_, &mut median, _) = sorted.select_nth_unstable_by(127, f32::total_cmp);
    let mut hash = [0u8; 32];
    for (values, byte) in grid.as_flattened().chunks_exact(8).zip(hash.iter_mut().rev()) {
        for (i, &value) in values.iter().enumerate() {
            *byte |= u8::from(value > median) << i;
        }
    }
    hash
}
