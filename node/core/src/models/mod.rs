//! Models: what a sketch match is worth, what the consortium knows of bases, and what leads to a listing.
//!
//! | what | where |
//! |---|---|
//! | *same*, *review* or nothing, with the evidence | [`decision`] |
//! | listings, registrations, and where they contradict each other | [`registry`] |
//! | prefixes, checksums and claims | [`leads`] |
//!
//! Integers only: distances between bits are counted, means are compared as sums. The numbers behind the bits stay at
//! the client, which computes with them; of a registered base tile the node keeps the bytes and reads their signs.

pub mod decision;
pub mod leads;
pub mod registry;

pub use decision::{Bits, Class, Comparison, Decision, Fingerprint, Thresholds, Verdict};
pub use leads::{LeadBy, Leads};
pub use registry::{ModelStanding, Registry, Statement};
