//! One life of a consortium from one seed: who is in it, what goes wrong, how long it goes on. The tests run
//! some seeds; `cargo xtask sim --seeds FROM..TO` runs as many as one likes.

use crate::{Faults, Report, World};
use std::ops::Range;

/// Seeds of runs as text, `FROM..TO`.
///
/// # Errors
/// What it should look like.
pub fn parse_seeds(text: &str) -> Result<Range<u64>, String> {
    let wrong = || format!("{text:?} is not FROM..TO");
    let (from, to) = text.split_once("..").ok_or_else(wrong)?;
    let number = |part: &str| part.parse::<u64>().map_err(|_| wrong());
    Ok(number(from)?..number(to)?)
}

/// Lets members act under faults for a while; everything must have come together in the end.
pub fn play(mut world: World, seed: u64) -> Report {
    world.run(4_000);
    for _ in 0..60 {
        world.act();
        world.run(seed % 7 * 40 + 30);
    }
    world.check();
    world.report
}

/// A member that signs two histories among three to six honest ones, with messages lost and late,
/// crashes, cuts and partitions; every third seed also has peers that leave payloads out.
#[must_use]
pub fn equivocation(seed: u64) -> Report {
    let honest = 3 + (seed % 4) as usize;
    let faults = Faults {
        loss: [0, 10, 20, 40][(seed / 4 % 4) as usize],
        delay_max_ms: [20, 150, 600][(seed / 16 % 3) as usize],
        crash: 8,
        cut: 10,
        partition: 25,
        bare: if seed.is_multiple_of(3) { 3 } else { 0 },
    };
    play(World::with_rogue(seed, honest, faults), seed)
}
