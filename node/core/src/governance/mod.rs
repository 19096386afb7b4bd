//! What governance does with rosters, before anybody signs: change one, and read what a change means.
//!
//! Edits are made to a copy of the newest version; each says precisely why it cannot be made and what to do
//! instead. [`differences`] tells two versions apart in words, for people who must decide whether to sign.
//! Both are pure: files, keys and flags are the affair of `hashpact-node roster`.
//!
//! What this module deliberately does not do: verify. Whoever applies edits asks `Roster::check` and the chain
//! afterwards, whose rules (SPEC §8.2, §8.4) are not repeated here.

mod difference;
mod edit;
mod error;
mod parse;
mod terms;
#[cfg(test)]
mod tests;
mod words;

pub use difference::{Difference, differences};
pub use edit::{Edit, PlaceOf, apply, successor};
pub use error::EditError;
pub use terms::Right;
pub use words::thousands;
