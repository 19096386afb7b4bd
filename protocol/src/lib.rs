//! Everything that two members of a Hashpact consortium must agree on.
//!
//! Formats and rules only: this crate takes bytes and values and returns bytes and values. It
//! reads no clock, opens no file, rolls no dice and never waits, so that a verifier on an auditor's
//! laptop links exactly the code that the nodes run. `SPEC.md` beside this crate is normative; the
//! modules cite its sections.
//!
//! What it deliberately does not do: decide what to trust next (`hashpact-core`), store anything
//! (`hashpact-node`), or look at media (`hashpact-hashing`).
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing))]

pub mod api;
pub mod bundle;
pub mod checkpoint;
pub mod codec;
pub mod cosignature;
pub mod digest;
pub mod evidence;
pub mod journal;
pub mod keys;
pub mod leaf;
pub mod limits;
pub mod merkle;
pub mod note;
pub mod proof;
pub mod record;
pub mod roster;
pub mod webhook;
pub mod wire;
pub mod witness;
