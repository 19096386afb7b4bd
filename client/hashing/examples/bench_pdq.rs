//! Times PDQ of a 512 x 512 picture: one JSON object a line, medians in milliseconds.
//!
//! `tests/vectors/pdq/bench_reference.py` prints the same for the Python binding. Take both in one
//! run, alternating, since machines have moods.
#![expect(clippy::disallowed_methods, reason = "a benchmark looks at the clock and its arguments")]

use std::hint::black_box;
use std::time::Instant;

use hashpact_hashing::pdq;

const SIDE: u32 = 512;

/// Smooth shapes with some texture; the same formula as in the Python file.
fn picture() -> Vec<u8> {
    let mut pixels = Vec::with_capacity((SIDE * SIDE * 3) as usize);
    for y in 0..SIDE {
        for x in 0..SIDE {
            let value = (x * y / 64 + x / 3 + (x * 7 + y * 13) % 29) % 256;
            pixels.extend([value as u8, (255 - value) as u8, ((x + y) / 4) as u8]);
        }
    }
    pixels
}

fn median_ms(rounds: usize, mut work: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..rounds)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    times.sort_unstable_by(f64::total_cmp);
    times[rounds / 2]
}

fn main() {
    let rounds =
        std::env::args().nth(1).map_or(101, |n| n.parse().expect("the argument is a number of rounds"));
    let pixels = picture();
    let hash = median_ms(rounds, || {
        black_box(pdq::hash_rgb(black_box(&pixels), SIDE, SIDE)).expect("the buffer has the right size");
    });
    let variants = median_ms(rounds, || {
        black_box(pdq::variants_rgb(black_box(&pixels), SIDE, SIDE)).expect("the buffer has the right size");
    });
    println!(r#"{{"metric":"hashing.pdq.hash_rgb.512x512.p50","value":{hash:.3},"unit":"ms"}}"#);
    println!(r#"{{"metric":"hashing.pdq.variants_rgb.512x512.p50","value":{variants:.3},"unit":"ms"}}"#);
}
