//! Times the match index and prints one JSON object a line: metric, value, unit.
//!
//! Values are pseudo-random with planted neighbours, from a fixed seed. Run it with `--release`.

use std::hint::black_box;
use std::time::Instant;

use hashpact_index::{Change, MatchIndex};

const RADII: [u16; 2] = [31, 64];
const SINGLE_QUERIES: usize = 200;
const BATCH_QUERIES: usize = 1000;

fn main() {
    for codes in [100_000, 1_000_000] {
        bench(codes, if codes == 100_000 { "100k" } else { "1m" });
    }
}

fn bench(codes: usize, label: &str) {
    let mut seed = 0x9e37_79b9_7f4a_7c15;
    let values: Vec<[u8; 32]> = (0..codes).map(|_| random_value(&mut seed)).collect();
    let queries: Vec<[u8; 32]> = (0..BATCH_QUERIES)
        .map(|n| if n % 2 == 0 { flip(&values[n * 37], n % 32) } else { random_value(&mut seed) })
        .collect();

    let index = MatchIndex::new();
    let start = Instant::now();
    let changes = values.iter().enumerate();
    index.apply(changes.map(|(n, value)| Change::InsertHamming { value, record: n as u64 }));
    report(&format!("index.{label}.bulk_insert"), per_item_ns(start, codes), "ns/code");

    let start = Instant::now();
    for (n, value) in values.iter().take(1000).enumerate() {
        index.insert_hamming(&flip(value, 1), n as u64);
    }
    report(&format!("index.{label}.insert"), per_item_ns(start, 1000) / 1e3, "us/code");
    let start = Instant::now();
    for (n, value) in values.iter().take(1000).enumerate() {
        assert!(index.remove_hamming(&flip(value, 1), n as u64));
    }
    report(&format!("index.{label}.remove"), per_item_ns(start, 1000) / 1e3, "us/code");

    for radius in RADII {
        let mut times_us: Vec<f64> = Vec::new();
        for query in queries.iter().take(SINGLE_QUERIES) {
            let start = Instant::now();
            black_box(index.query_hamming(query, radius));
            times_us.push(start.elapsed().as_secs_f64() * 1e6);
        }
        times_us.sort_by(f64::total_cmp);
        report(&format!("index.{label}.r{radius}.single_p50"), times_us[SINGLE_QUERIES / 2], "us");
        report(&format!("index.{label}.r{radius}.single_p99"), times_us[SINGLE_QUERIES * 99 / 100], "us");

        let start = Instant::now();
        let hits = black_box(index.query_hamming_batch(&queries, radius));
        report(
            &format!("index.{label}.r{radius}.batch"),
            per_item_ns(start, BATCH_QUERIES) / 1e3,
            "us/query",
        );
        let found = hits.iter().step_by(2).filter(|hits| !hits.is_empty()).count();
        assert_eq!(found, BATCH_QUERIES / 2, "every planted neighbour is found");
    }
}

fn report(metric: &str, value: f64, unit: &str) {
    println!("{{\"metric\":\"{metric}\",\"value\":{value:.2},\"unit\":\"{unit}\"}}");
}

fn per_item_ns(start: Instant, items: usize) -> f64 {
    start.elapsed().as_secs_f64() * 1e9 / items as f64
}

fn random_value(seed: &mut u64) -> [u8; 32] {
    let mut value = [0; 32];
    for chunk in value.chunks_exact_mut(8) {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        chunk.copy_from_slice(&seed.wrapping_mul(0x2545_f491_4f6c_dd1d).to_be_bytes());
    }
    value
}

/// Flips the lowest bit of the first `bits` bytes, at most 32.
fn flip(value: &[u8; 32], bits: usize) -> [u8; 32] {
    let mut flipped = *value;
    flipped.iter_mut().take(bits).for_each(|byte| *byte ^= 1);
    flipped
}
