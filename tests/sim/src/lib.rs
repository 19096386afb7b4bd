//! Members in a world of virtual time: the same engine as the daemon's, with a network that delays,
//! loses, duplicates nothing it must not and reorders, and disks that a crash leaves at any step.
//!
//! One seed gives one run. The world performs effects as a shell would, in order, and checks after
//! every step what must never happen; [`World::check`] checks at the end what must have happened: no
//! acknowledged record lost, no fork, convergence.

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
