//! Members in a world of virtual time: the same engine as the daemon's, with a network that delays,
//! loses, duplicates nothing it must not and reorders, and disks that a crash leaves at any step.
//!
//! One seed gives one run. The world performs effects as a shell would, in order, and checks after
//! every step what must never happen; [`World::check`] checks at the end what must have happened: no
//! acknowledged record lost, no fork, convergence.
//!
//! [`story`] lets members act at random under faults, many seeds at a time (`cargo xtask sim --seeds 0..1000`).
//! [`mod@year`] is a script: twelve members, a year of what their people do and what goes wrong, with a report
//! (`cargo xtask sim --year 1`, kept for that seed in `tests/year-1.txt`).

mod disk;
mod founding;
mod outside;
pub mod poison;
mod random;
mod rogue;
pub mod story;
mod world;
pub mod year;

pub use random::Random;
pub use world::{Fate, Faults, Report, Step, World};
