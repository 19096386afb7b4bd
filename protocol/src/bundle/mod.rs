//! Audit bundles: logs, rosters and what vouches for them in one file that verifies offline (SPEC §12).
//!
//! A bundle is an archive of two parts. The *core* follows from the heads of the logs: every node that holds
//! them writes the same bytes, and the digest of its first member, the manifest, names it. The *annex* is what
//! one holder adds at one moment: signed notes, cosignatures, evidence, payloads or markers in their place;
//! the holder signs a statement over it.
//!
//! [`BundleWriter`] writes a bundle from parts, [`verify_bundle`] checks one against the root of the first
//! roster version and says what is proven, what is only claimed, and what is missing. Both hold one chunk at
//! a time. Files, compression and progress are the caller's; [`BlockHeader`] is the frame around compressed
//! blocks.
//!
//! Invariants: one spelling for each bundle; no byte without a meaning, so that one that was changed is found
//! and its place named; nothing is believed that a signed root or the holder's signature does not cover.

pub mod archive;
mod block;
mod branch;
mod chunk;
mod derived;
mod findings;
mod manifest;
mod payload;
mod problem;
mod scope;
mod statement;
mod verify;
mod writer;

pub use block::{BLOCK_FRAME_MAX_BYTES, BLOCK_HEADER_BYTES, BlockError, BlockHeader, Section};
pub use branch::spans as branch_spans;
pub use chunk::{RunError, Span};
pub use derived::policy;
pub use findings::{
    Cosigned, Entry, EntryPayload, Findings, Fork, HeadProof, KeptBranch, LogFindings, PROBLEMS_KEPT_MAX,
    PayloadCounts, Visitor,
};
pub use manifest::{BundleLog, Manifest, ManifestError};
pub use payload::{BundlePayload, PayloadsError};
pub use problem::{Problem, Rule};
pub use scope::Scope;
pub use statement::{Statement, StatementError};
pub use verify::{Member, Members, verify_bundle};
pub use writer::{BundleWriter, Sink, WholeLog, WriteError};
