//! Times a look-up of one full checkpoint's tiles among many listed models, against a scan of all tiles as others would
//! write it, in the same run. One JSON object a line: metric, value, unit.
//!
//! `bench_tiles [LISTINGS]` (10,000 unless told): nine in ten are adapters of 264 tiles, the others full checkpoints of
//! 1,680, in the shapes of the layers of diffusion models; bits are pseudo-random, as those of unrelated changes are.
//! The model that is asked about has 1,680 tiles and is a listed one as saved anew in half precision (every tile some bits
//! off), or for `unknown` related to none.

use std::hint::black_box;
use std::time::Instant;

use hashpact_index::{ClassBits, TileClass, TileIndex, TileSearch};

/// Rows and columns of tiles, with how often they come.
const SHAPES: [(u64, u64, u64); 8] = [
    (1280, 1280, 9),
    (640, 640, 4),
    (10240, 1280, 1),
    (1280, 5120, 1),
    (1280, 2048, 3),
    (320, 320, 2),
    (640, 2048, 1),
    (1280, 11520, 1),
];
const ADAPTER_TILES: u64 = 264;
const FULL_TILES: u64 = 1680;
/// Times that each measurement is taken; the best counts, since machines have moods.
const TURNS: usize = 9;
/// As the node searches unless its operator says otherwise.
const SEARCH: TileSearch =
    TileSearch { near_bits: 31, wide_bits: 60, wide_pairs_max: 4 << 20, threads: 1 };

fn main() {
    let listings = std::env::args().nth(1).map_or(10_000, |text| text.parse().expect("a number of listings"));
    let index = TileIndex::new();
    let mut all: Vec<ClassBits> = Vec::new();
    for model in 0..listings {
        let tiles: Vec<ClassBits> = (0..tiles_of(model)).map(|nth| tile(model, nth)).collect();
        index.insert(model, tiles.iter().copied());
        all.extend(tiles);
    }
    report("models_lookup_listings", listings as f64, "listings");
    report("models_lookup_indexed", all.len() as f64, "tiles");
    report("models_lookup_bytes", index.stats().bytes() as f64 / all.len() as f64, "bytes/tile");
    // The last full one.
    let listed = (0..listings).rev().find(|model| tiles_of(*model) == FULL_TILES).expect("a full checkpoint");
    let known: Vec<ClassBits> = (0..FULL_TILES).map(|nth| saved_again(tile(listed, nth), nth)).collect();
    let unknown: Vec<ClassBits> = (0..FULL_TILES).map(|nth| tile(listings + 7, nth)).collect();
    for (name, asked) in [("known", &known), ("unknown", &unknown)] {
        for threads in [1, 2] {
            let search = TileSearch { threads, ..SEARCH };
            let ms = best(|| {
                let found = index.candidates(black_box(asked), &search);
                let expected = if name == "known" { Some(&FULL_TILES) } else { None };
                assert_eq!(found.models.get(&listed), expected);
            });
            let suffix = if threads == 1 { "" } else { "_two_threads" };
            report(&format!("models_lookup_{name}{suffix}"), ms, "ms");
        }
    }
    // The peer: every asked tile with every listed one of its shape, bits counted by the processor.
    let start = Instant::now();
    let mut near = 0u64;
    let share = 64;
    for (class, bits) in known.iter().step_by(share) {
        for (other, others) in &all {
            near += u64::from(other == class && distance(bits, others) <= 31);
        }
    }
    black_box(near);
    report("models_lookup_naive_scan", milliseconds(start) * share as f64, "ms");
}

fn tiles_of(model: u64) -> u64 {
    if model % 10 == 9 { FULL_TILES } else { ADAPTER_TILES }
}

fn tile(model: u64, nth: u64) -> ClassBits {
    let total: u64 = SHAPES.iter().map(|(.., share)| share).sum();
    let mut place = nth % total;
    let (rows, columns, _) = SHAPES
        .iter()
        .find(|(.., share)| {
            let here = place < *share;
            place = place.saturating_sub(*share);
            here
        })
        .expect("shares add up");
    let mut bits = [0; 32];
    for (word, bytes) in (0u64..).zip(bits.as_chunks_mut::<8>().0) {
        *bytes = mixed((model << 32 | nth << 8 | word) ^ 0x5851_f42d_4c95_7f2d).to_le_bytes();
    }
    (TileClass { kind: 0, rows: *rows, columns: *columns }, bits)
}

/// With up to 14 bits turned round.
fn saved_again((class, mut bits): ClassBits, nth: u64) -> ClassBits {
    for turn in 0..nth % 15 {
        let bit = mixed(nth << 8 | turn) as usize % 256;
        bits[bit / 8] ^= 1 << (bit % 8);
    }
    (class, bits)
}

fn mixed(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

fn distance(a: &[u8; 32], b: &[u8; 32]) -> u32 {
    let words = a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0);
    words.map(|(a, b)| (u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b)).count_ones()).sum()
}

fn best(mut work: impl FnMut()) -> f64 {
    (0..TURNS)
        .map(|_| {
            let start = Instant::now();
            work();
            milliseconds(start)
        })
        .fold(f64::INFINITY, f64::min)
}

fn milliseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

fn report(metric: &str, value: f64, unit: &str) {
    println!("{{\"metric\":\"{metric}\",\"value\":{value:.3},\"unit\":\"{unit}\"}}");
}
