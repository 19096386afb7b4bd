//! Models: what a sketch match is worth, and what the consortium knows of bases.
//!
//! | what | where |
//! |---|---|
//! | *same*, *review* or nothing, with the evidence | [`decision`] |
//!
//! Integers only: distances between bits are counted, means are compared as sums. The numbers behind the bits stay at
//! the client, which computes them; of a registered base tile the node keeps the bytes and reads their signs.

pub mod decision;

pub use decision::{Bits, Class, Comparison, Decision, Fingerprint, Thresholds, Verdict};
