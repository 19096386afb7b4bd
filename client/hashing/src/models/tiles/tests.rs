//! Against the definition written as a plain double loop, number for number.

use super::*;
use crate::models::sketch::{Bits, bits};
use proptest::prelude::*;

/// The definition, slowly: nothing is shared with the code under test but the seeds.
pub(crate) fn plain(values: &[f32], rows: usize, columns: usize) -> Vec<f64> {
    fn v(seed: u64, i: u64) -> (usize, f64) {
        let mut x = seed ^ i.wrapping_mul(0xD134_2543_DE82_EF95);
        x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^= x >> 31;
        ((x & 255) as usize, if x & (1 << 63) != 0 { 1.0 } else { -1.0 })
    }
    let (mut y, mut ones, mut sum) = (vec![0f64; 256], vec![0f64; 256], 0f64);
    for i in 0..rows {
        let (row_bucket, row_sign) = v(0x4853_4331_5753_4B52, i as u64);
        let (mut row, mut row_sum) = (vec![0f32; 256], 0f32);
        for j in 0..columns {
            let (bucket, sign) = v(0x4853_4331_5753_4B43, j as u64);
            row[bucket] += sign as f32 * values[i * columns + j];
            row_sum += values[i * columns + j];
            ones[(row_bucket + bucket) % 256] += row_sign * sign;
        }
        for (bucket, value) in row.iter().enumerate() {
            y[(row_bucket + bucket) % 256] += row_sign * f64::from(*value);
        }
        sum += f64::from(row_sum);
    }
    let mean = sum / (rows as f64 * columns as f64);
    y.iter().zip(&ones).map(|(y, one)| y - mean * one).collect()
}

/// Numbers that look random, the same in every run.
pub(crate) fn noise(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / 8_388_608.0 - 0.9
    };
    std::iter::repeat_with(next).take(count).collect()
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn tiled(values: &[f32], shape: Shape, portion: usize) -> Option<Vec<Sketch>> {
    let mut tiler = Tiler::new(shape);
    bytes(values).chunks(portion).for_each(|part| tiler.push(part));
    tiler.finish(&mut Ones::default())
}

/// The values of a tile of a matrix.
fn cut(values: &[f32], shape: &Shape, nth: usize) -> Vec<f32> {
    let (rows, columns) = (shape.tile.rows as usize, shape.tile.columns as usize);
    let across = shape.across() as usize;
    let (top, left) = (nth / across * rows, nth % across * columns);
    let row = |i: usize| {
        let start = (top + i) * shape.columns as usize + left;
        values[start..start + columns].to_vec()
    };
    (0..rows).flat_map(row).collect()
}

fn check(rows: usize, columns: usize, portion: usize) {
    let shape = Shape::matrix(rows as u64, columns as u64).unwrap();
    let values = noise(rows * columns, (rows * 31 + columns) as u64);
    let tiles = tiled(&values, shape, portion).unwrap();
    assert_eq!(tiles.len() as u64, shape.tiles);
    for (nth, tile) in tiles.iter().enumerate() {
        let (height, width) = (shape.tile.rows as usize, shape.tile.columns as usize);
        let expected = plain(&cut(&values, &shape, nth), height, width);
        assert!(tile.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits()), "{rows} x {columns}");
    }
}

#[test]
fn equals_the_plain_double_loop_number_for_number() {
    for (rows, columns) in
        [(64, 64), (100, 77), (37, 200), (16, 256), (512, 32), (33, 33 * 5), (129, 43), (17, 401)]
    {
        for portion in [usize::MAX, 4, 1003, 7] {
            check(rows, columns, portion);
        }
    }
}

#[test]
fn rows_too_long_to_gather_are_no_different() {
    let columns = (BLOCK_MAX_BYTES / (4 * LANES as u64)) as usize;
    check(17, columns, 1 << 16);
    check(17, columns + 3, 1 << 16);
    check(16, columns * 2 + 1, 1001);
    // The other way of working on a small matrix, to compare the two directly.
    let shape = Shape::matrix(40, 200).unwrap();
    let values = noise(8000, 5);
    let mut single = Tiler { rows: Rows::OneByOne(Box::default()), ..Tiler::new(shape) };
    bytes(&values).chunks(5).for_each(|part| single.push(part));
    assert_eq!(single.finish(&mut Ones::default()), tiled(&values, shape, usize::MAX));
}

#[test]
fn a_fused_matrix_gives_the_tiles_of_its_parts() {
    let (side, parts) = (64, 3);
    let values = noise(side * side * parts, 9);
    let fused = tiled(&values, Shape::matrix((side * parts) as u64, side as u64).unwrap(), 999).unwrap();
    let square = Shape::matrix(side as u64, side as u64).unwrap();
    for (tile, part) in fused.iter().zip(values.chunks(side * side)) {
        assert_eq!(*tile, tiled(part, square, usize::MAX).unwrap()[0]);
    }
}

#[test]
fn values_that_are_no_numbers_or_missing_give_nothing() {
    let shape = Shape::matrix(70, 70).unwrap();
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut values = noise(4900, 1);
        values[4321] = bad;
        assert_eq!(tiled(&values, shape, 64), None);
    }
    let mut both = noise(4900, 1);
    (both[3], both[4]) = (f32::INFINITY, f32::NEG_INFINITY);
    assert_eq!(tiled(&both, shape, 64), None);
    assert_eq!(tiled(&noise(4899, 1), shape, 64), None);
    assert!(tiled(&noise(4905, 1), shape, 64).is_some(), "what is too much is left alone");
}

/// The sum in doubles alone, without the order of the definition: the bits are the same.
fn bits_in_doubles(values: &[f32], rows: usize, columns: usize) -> Bits {
    let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / values.len() as f64;
    let mut y = [0f64; 256];
    for i in 0..rows {
        let row = Slot::new(ROW_SEED, i as u64);
        for j in 0..columns {
            let column = Slot::new(COLUMN_SEED, j as u64);
            let place = (usize::from(row.bucket) + usize::from(column.bucket)) % 256;
            y[place] += f64::from(row.sign * column.sign) * (f64::from(values[i * columns + j]) - mean);
        }
    }
    bits(&y)
}

#[test]
fn the_bits_do_not_depend_on_the_precision_of_the_sums() {
    let mut differing = 0;
    for seed in 0..8 {
        let values = noise(200 * 300, seed);
        let tile = tiled(&values, Shape::matrix(200, 300).unwrap(), 4096).unwrap();
        differing += sketch::distance(&bits(&tile[0]), &bits_in_doubles(&values, 200, 300));
    }
    assert!(differing <= 1, "{differing} of 2048 bits");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_shape_and_portion(rows in 16usize..90, columns in 16usize..150, portion in 1usize..5000) {
        if Shape::matrix(rows as u64, columns as u64).is_some() {
            check(rows, columns, portion);
        }
    }
}
