//! A consortium of real processes on loopback, for tests, benchmarks and the demonstration.
//!
//! [`Consortium::found`] does what members and governance would do with the two commands: keys, join
//! files, a roster signed by two of three governance keys, logs, tokens. [`Node`] starts, kills and
//! restarts one member's `hashpact-node` and runs the `hashpact` command against it. Everything lives
//! in a temporary folder; every wait has a deadline and ends with what was seen last.

pub mod consortium;
pub mod node;
pub mod pictures;
pub mod power;

pub use consortium::Consortium;
pub use node::{Node, Outcome};
