//! Sketches of the tiles of one tensor, from its values as they stream by.
//!
//! Values come in any portions. Sixteen rows are gathered, then worked on side by side: lane `r` of every vector
//! belongs to row `r`, so that each row's sums are formed in exactly the order that [`super::sketch`] defines.
//! Rows too long to gather sixteen of them go value by value instead, with the same result; memory stays within
//! [`BLOCK_MAX_BYTES`] and the sketches themselves, whatever the shape.

use super::sketch::{self, BUCKETS, COLUMN_SEED, Ones, ROW_SEED, Shape, Sketch, Slot};

/// Rows that are worked on together.
const LANES: usize = 16;
/// The most bytes of gathered rows.
const BLOCK_MAX_BYTES: u64 = 8 << 20;

/// One number for each of the rows.
type Lanes = [f32; LANES];

/// The values of one tile.
#[derive(Debug, Clone)]
pub(crate) struct RawTile {
    /// The sketch, with the mean still in it.
    sketch: Box<Sketch>,
    sum: f64,
}

/// Collects the values of one tensor.
#[derive(Debug)]
pub(crate) struct Tiler {
    shape: Shape,
    tiles: Vec<RawTile>,
    /// Rows that were added.
    row: u64,
    rows: Rows,
}

/// How rows are gathered.
#[derive(Debug)]
enum Rows {
    Together(Box<Together>),
    OneByOne(Box<OneByOne>),
}

impl Tiler {
    /// For a tensor of this shape.
    pub(crate) fn new(shape: Shape) -> Self {
        let raw = RawTile { sketch: Box::new([0.0; BUCKETS]), sum: 0.0 };
        let together =
            shape.columns.checked_mul(4 * LANES as u64).is_some_and(|bytes| bytes <= BLOCK_MAX_BYTES);
        let rows = if together {
            Rows::Together(Box::new(Together::new(&shape)))
        } else {
            Rows::OneByOne(Box::default())
        };
        Self { shape, tiles: vec![raw; shape.tiles as usize], row: 0, rows }
    }

    /// Adds values that follow those before, as little-endian 32-bit floats. More than the shape has are ignored.
    pub(crate) fn push(&mut self, mut floats: &[u8]) {
        while !floats.is_empty() && self.row < self.shape.rows {
            let (shape, row) = (self.shape, self.row);
            let first = if shape.across() > 1 { 0 } else { (row / shape.tile.rows) as usize };
            let tiles = &mut self.tiles[first..];
            let (used, rows) = match &mut self.rows {
                Rows::Together(block) => block.push(floats, &shape, row, tiles),
                Rows::OneByOne(single) => single.push(floats, &shape, row, tiles),
            };
            floats = &floats[used..];
            self.row += rows;
        }
    }

    /// The sketches of the tiles in order, or nothing when a value was no finite number (or a row's sum exceeded
    /// what a 32-bit float holds), or values are missing.
    pub(crate) fn finish(self, ones: &mut Ones) -> Option<Vec<Sketch>> {
        if self.row < self.shape.rows {
            return None;
        }
        let count = self.shape.tile.rows as f64 * self.shape.tile.columns as f64;
        let ones = ones.of(self.shape.tile);
        let finished = self.tiles.into_iter().map(|mut tile| {
            sketch::subtract_mean(&mut tile.sketch, tile.sum / count, ones);
            let finite = tile.sum.is_finite() && tile.sketch.iter().all(|number| number.is_finite());
            finite.then_some(*tile.sketch)
        });
        finished.collect()
    }
}

/// Sixteen rows side by side.
#[derive(Debug)]
struct Together {
    /// Gathered rows of the whole tensor's width.
    block: Vec<u8>,
    /// Slots of the columns of one tile.
    columns: Vec<Slot>,
    buckets: Box<[Lanes; BUCKETS]>,
}

impl Together {
    fn new(shape: &Shape) -> Self {
        Self {
            block: Vec::with_capacity(shape.columns as usize * 4 * LANES),
            columns: (0..shape.tile.columns).map(|j| Slot::new(COLUMN_SEED, j)).collect(),
            buckets: Box::new([[0.0; LANES]; BUCKETS]),
        }
    }

    /// Takes bytes until the rows are there that can be added together; returns the bytes taken and rows added.
    fn push(&mut self, floats: &[u8], shape: &Shape, row: u64, tiles: &mut [RawTile]) -> (usize, u64) {
        let row_bytes = shape.columns as usize * 4;
        // A block ends where a tile does.
        let rows = (shape.tile.rows - row % shape.tile.rows).min(LANES as u64) as usize;
        let missing = rows * row_bytes - self.block.len();
        let taken = missing.min(floats.len());
        self.block.extend_from_slice(&floats[..taken]);
        if taken < missing {
            return (taken, 0);
        }
        let width = shape.tile.columns as usize * 4;
        for (nth, tile) in tiles.iter_mut().take(shape.across() as usize).enumerate() {
            let sums = self.sum_columns(nth * width, width, row_bytes, rows);
            self.add_rows(tile, row % shape.tile.rows, &sums[..rows]);
        }
        self.block.clear();
        (taken, rows as u64)
    }

    /// Adds the part of every row that lies in one tile to the buckets, and returns the sum of each row.
    fn sum_columns(&mut self, start: usize, width: usize, row_bytes: usize, rows: usize) -> Lanes {
        const STEP: usize = 16;
        self.buckets.fill([0.0; LANES]);
        let mut sums = [0.0; LANES];
        // Lanes without a row read the first one; what they add up is not used.
        let part = |r: usize| {
            let from = if r < rows { r * row_bytes + start } else { start };
            self.block[from..from + width].as_chunks::<4>().0
        };
        let parts: [&[[u8; 4]]; LANES] = std::array::from_fn(part);
        for (nth, slots) in self.columns.chunks(STEP).enumerate() {
            // The values of sixteen columns, turned so that a vector holds one column of all rows.
            let mut turned = [[0f32; LANES]; STEP];
            for (r, part) in parts.iter().enumerate() {
                let part = &part[nth * STEP..];
                if let Some(values) = part.first_chunk::<STEP>() {
                    for (column, value) in turned.iter_mut().zip(values) {
                        column[r] = f32::from_le_bytes(*value);
                    }
                } else {
                    for (column, value) in turned.iter_mut().zip(part) {
                        column[r] = f32::from_le_bytes(*value);
                    }
                }
            }
            for (slot, column) in slots.iter().zip(&turned) {
                let bucket = &mut self.buckets[usize::from(slot.bucket)];
                for lane in 0..LANES {
                    bucket[lane] += slot.sign * column[lane];
                    sums[lane] += column[lane];
                }
            }
        }
        sums
    }

    /// Adds the buckets of rows `row..` of a tile to its sketch.
    fn add_rows(&self, tile: &mut RawTile, row: u64, sums: &[f32]) {
        for (lane, sum) in sums.iter().enumerate() {
            let slot = Slot::new(ROW_SEED, row + lane as u64);
            let (sign, turn) = (f64::from(slot.sign), usize::from(slot.bucket));
            let (low, high) = self.buckets.split_at(BUCKETS - turn);
            let (wrapped, shifted) = tile.sketch.split_at_mut(turn);
            let pairs = shifted.iter_mut().zip(low).chain(wrapped.iter_mut().zip(high));
            pairs.for_each(|(number, bucket)| *number += sign * f64::from(bucket[lane]));
            tile.sum += f64::from(*sum);
        }
    }
}

/// One row, value by value: for rows that are too long to gather.
#[derive(Debug)]
struct OneByOne {
    /// Columns of the row that were added.
    column: u64,
    /// Bytes of a value that is not whole yet.
    partial: Vec<u8>,
    buckets: [f32; BUCKETS],
    sum: f32,
}

impl Default for OneByOne {
    fn default() -> Self {
        Self { column: 0, partial: Vec::new(), buckets: [0.0; BUCKETS], sum: 0.0 }
    }
}

impl OneByOne {
    fn push(&mut self, floats: &[u8], shape: &Shape, row: u64, tiles: &mut [RawTile]) -> (usize, u64) {
        let mut used = 0;
        let mut rest = floats;
        while let Some(float) = self.next_float(&mut rest) {
            used = floats.len() - rest.len();
            let slot = Slot::new(COLUMN_SEED, self.column % shape.tile.columns);
            self.buckets[usize::from(slot.bucket)] += slot.sign * float;
            self.sum += float;
            self.column += 1;
            if self.column.is_multiple_of(shape.tile.columns) {
                let nth = (self.column / shape.tile.columns - 1) as usize;
                self.add_row(&mut tiles[nth], row % shape.tile.rows);
            }
            if self.column == shape.columns {
                self.column = 0;
                return (used, 1);
            }
        }
        (floats.len().max(used), 0)
    }

    /// The next value, put together from two portions where it has to be.
    fn next_float(&mut self, rest: &mut &[u8]) -> Option<f32> {
        if self.partial.is_empty()
            && let Some((float, after)) = rest.split_first_chunk::<4>()
        {
            *rest = after;
            return Some(f32::from_le_bytes(*float));
        }
        let (now, after) = rest.split_at(rest.len().min(4 - self.partial.len()));
        self.partial.extend_from_slice(now);
        *rest = after;
        let float = self.partial.first_chunk::<4>().map(|float| f32::from_le_bytes(*float));
        if float.is_some() {
            self.partial.clear();
        }
        float
    }

    fn add_row(&mut self, tile: &mut RawTile, row: u64) {
        let slot = Slot::new(ROW_SEED, row);
        for (bucket, value) in self.buckets.iter().enumerate() {
            let place = (bucket + usize::from(slot.bucket)) % BUCKETS;
            tile.sketch[place] += f64::from(slot.sign) * f64::from(*value);
        }
        tile.sum += f64::from(self.sum);
        self.buckets = [0.0; BUCKETS];
        self.sum = 0.0;
    }
}

#[cfg(test)]
pub(crate) mod tests;
