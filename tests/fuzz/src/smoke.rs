//! A simple mutation fuzzer for machines without libFuzzer: no coverage, but the same targets and seeds.
//!
//! `smoke TARGET SECONDS [SEED]` takes a seed of the target, damages it, and hands it to the target, until the time is over. A panic ends it with the seed of
//! the run and the input's number; the same seed finds it again. An input that takes longer than ten seconds is an error.

use std::time::{Duration, Instant};

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % bound.max(1)
    }
}

/// Numbers that break arithmetic.
const NUMBERS: [u64; 8] = [0, 1, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff, u64::MAX];

fn damaged(seed: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(6) {
        // Headers are where the parsers are: half of the damage goes there.
        let reach = if random.below(2) == 0 { bytes.len().min(2048) } else { bytes.len() };
        let at = random.below(reach);
        match random.below(7) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at.min(bytes.len()), random.below(256) as u8),
            2 if !bytes.is_empty() => drop(bytes.remove(at)),
            3 => {
                let number = NUMBERS[random.below(NUMBERS.len())].to_le_bytes();
                let width = [1, 2, 4, 8][random.below(4)];
                bytes.iter_mut().skip(at).zip(&number[..width]).for_each(|(byte, new)| *byte = *new);
            }
            4 => {
                let part: Vec<u8> = bytes.iter().skip(at).take(random.below(64)).copied().collect();
                let to = random.below(bytes.len());
                bytes.splice(to..to, part);
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = random.below(256) as u8;
                }
            }
        }
    }
    bytes
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let target = arguments.next().expect("the first argument is a target");
    let seconds: u64 = arguments.next().map_or(10, |text| text.parse().expect("a number of seconds"));
    let seed: u64 = arguments.next().map_or(1, |text| text.parse().expect("a seed"));
    let named = hashpact_fuzz::TARGETS.iter().find(|(name, _)| *name == target);
    let names = hashpact_fuzz::TARGETS.map(|(name, _)| name).join(", ");
    let (_, run) = named.unwrap_or_else(|| panic!("targets are {names}"));
    let inputs = hashpact_fuzz::seeds::of(&target);
    assert!(!inputs.is_empty(), "no seeds for {target}");
    let (mut random, start, mut count, mut slowest) = (Random(seed), Instant::now(), 0u64, Duration::ZERO);
    while start.elapsed() < Duration::from_secs(seconds) {
        let input = damaged(&inputs[random.below(inputs.len())], &mut random);
        let before = Instant::now();
        if std::panic::catch_unwind(|| run(&input)).is_err() {
            println!("seed {seed}, input {count} panics: {input:02x?}");
            std::process::exit(1);
        }
        slowest = slowest.max(before.elapsed());
        assert!(before.elapsed() < Duration::from_secs(10), "seed {seed}, input {count} is too slow");
        count += 1;
    }
    println!("{target}: {count} inputs, slowest {} ms, no panic", slowest.as_millis());
}
