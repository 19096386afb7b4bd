//! `tests/vectors/models/decisions.txt`: what client and node must both answer. The file says how to read it.

use super::super::*;
use crate::models::registry::Evidence;
use std::collections::BTreeMap;

/// Tile `nth` of `seed`: four words of splitmix64.
fn tile(seed: u64, nth: u64) -> Bits {
    let mut bits = [0; 32];
    for (word, bytes) in (0u64..).zip(bits.as_chunks_mut::<8>().0) {
        let mut x = (seed << 32 | nth << 8 | word).wrapping_add(0x9e37_79b9_7f4a_7c15);
        x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        *bytes = (x ^ x >> 31).to_le_bytes();
    }
    bits
}

/// With its first `count` bits turned round.
fn turned(mut bits: Bits, count: usize) -> Bits {
    (0..count).for_each(|bit| bits[bit / 8] ^= 1 << (bit % 8));
    bits
}

/// `64x64 seed=1 from=0 to=32 turn=3, vector seed=…`.
fn fingerprint(text: &str) -> Fingerprint {
    let mut found = Fingerprint::default();
    for part in text.split(',').map(str::trim).filter(|part| *part != "none") {
        let (class, numbers) = part.split_once(' ').unwrap();
        let numbers: BTreeMap<&str, u64> = numbers
            .split(' ')
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(key, value)| (key, value.parse().unwrap()))
            .collect();
        let bits = |nth| turned(tile(numbers["seed"], nth), numbers["turn"] as usize);
        for nth in numbers["from"]..numbers["to"] {
            match class.split_once('x') {
                Some((rows, columns)) => {
                    let shape = TileShape { rows: rows.parse().unwrap(), columns: columns.parse().unwrap() };
                    found.tiles.push(Evidence { shape, bits: bits(nth) });
                }
                None => found.vectors.push(bits(nth)),
            }
        }
    }
    found
}

fn answer(listed: &str, asked: &str, benign: &[&str]) -> String {
    let (listed, asked) = (fingerprint(listed), fingerprint(asked));
    let benign: Vec<Fingerprint> = benign.iter().map(|text| fingerprint(text)).collect();
    let thresholds = Thresholds::default();
    let decision = decide(&listed, &asked, &benign.iter().collect::<Vec<_>>(), &thresholds);
    let registered: Vec<_> = benign.iter().map(|model| (model, 2)).collect();
    let refused = refusal(&listed, &registered, &thresholds);
    let Comparison { pairs, mean_bits, near, least_bits, most_bits, .. } = decision.comparison;
    let sum = (mean_bits * pairs as f64).round() as u64;
    let place =
        |found: Option<(usize, Comparison)>| found.map_or("none".to_owned(), |(nth, _)| nth.to_string());
    format!(
        "{} pairs={pairs} sum={sum} near={near} least={least_bits} most={most_bits} benign={} refused_by={}",
        decision.verdict.name(),
        place(decision.nearest_benign),
        place(refused),
    )
}

fn defaults() -> String {
    let Thresholds {
        same_max_bits,
        review_max_bits,
        near_min_percent,
        tiles_min,
        coverage_min_percent,
        refusal_max_bits,
    } = Thresholds::default();
    format!(
        "defaults same_max_bits={same_max_bits} review_max_bits={review_max_bits} near_min_percent={near_min_percent} tiles_min={tiles_min} coverage_min_percent={coverage_min_percent} refusal_max_bits={refusal_max_bits}"
    )
}

#[test]
fn as_the_shared_vectors_say() {
    let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/models/decisions.txt"));
    let (mut listed, mut asked, mut benign, mut case) = ("", "", Vec::new(), "");
    for line in text.lines() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "defaults" => assert_eq!(line, defaults()),
            "case" => (case, benign) = (rest, Vec::new()),
            "listed" => listed = rest,
            "asked" => asked = rest,
            "benign" => benign.push(rest),
            "answer" => assert_eq!(answer(listed, asked, &benign), rest, "{case}"),
            _ => {}
        }
    }
    assert!(!case.is_empty());
}
