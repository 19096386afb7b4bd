//! Rules of the house that a machine can check, as functions from text to violations.
//!
//! Each module holds one family of rules; each rule is a function over paths and texts, tested here with
//! planted violations, and applied to the real tree in `tests/tree.rs`. What clippy and rustc can check is
//! left to them. Nothing here reads a clock, builds anything, or changes a file.

pub mod citations;
pub mod containers;
pub mod layers;
pub mod sizes;
pub mod source;
pub mod words;

pub use source::{SourceFile, Tree};

/// One broken rule: where, and what is wrong, as a person would say it.
pub type Violation = String;
