//! What is wrong with a bundle, and where.

use super::chunk::RunError;
use super::manifest::ManifestError;
use super::payload::PayloadsError;
use super::statement::StatementError;
use crate::checkpoint::CheckpointError;
use crate::cosignature::CosignatureError;
use crate::evidence::EvidenceError;
use crate::journal::JournalError;
use crate::leaf::PayloadError;
use crate::merkle::MerkleError;
use crate::roster::ChainError;

/// A rule that is broken at a place of the archive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{member}, bytes {start} to {end} of the archive: {rule}")]
pub struct Problem {
    /// The member of the archive.
    pub member: String,
    /// Offset of the first byte in the (unpacked) archive.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
    /// What is wrong.
    pub rule: Rule,
}

/// What can be wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rule {
    /// Another member must stand here, or none.
    #[error("expected {expected}")]
    Expected {
        /// What must stand here.
        expected: String,
    },
    /// Evidence of a fork does not verify.
    #[error("evidence: {0}")]
    Evidence(#[from] EvidenceError),
    /// Evidence names a log that the roster does not list.
    #[error("evidence of a log that the roster does not list")]
    EvidenceLog,
    /// A history of a forked log in the annex.
    #[error("this history of a forked log {0}")]
    Branch(&'static str),
    /// The holder's journal of administrative actions.
    #[error("the holder's journal: {0}")]
    Journal(#[from] JournalError),
    /// The archive ends too early.
    #[error("the archive ends where {expected} must stand")]
    Ends {
        /// What must stand here.
        expected: String,
    },
    /// The manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A roster version, or its signatures, or the trust anchor.
    #[error("roster: {0}")]
    Roster(#[from] ChainError),
    /// More roster bodies than are read.
    #[error("more roster bodies than are read")]
    RosterBytes,
    /// The roster leads to another root than the manifest says.
    #[error("the manifest says another {0} than the roster has")]
    ManifestRoster(&'static str),
    /// The manifest names a log that the roster does not, or leaves one out.
    #[error("log {0} is not in both the roster and the manifest")]
    Logs(String),
    /// Policy or taxonomy are not what the roster says.
    #[error("not what follows from the roster")]
    Derived,
    /// An entry was changed: the tree is as signed, the entry is not.
    #[error("entry {index} of log {log} is not the one that was signed")]
    Entry {
        /// Origin.
        log: String,
        /// Leaf index.
        index: u64,
    },
    /// A hash of a tile was changed.
    #[error("hash {number} of this tile of log {log} is not the one of the signed tree")]
    Tile {
        /// Origin.
        log: String,
        /// Which hash of the tile, from 0.
        number: u64,
    },
    /// Not entries, or not as many as there must be.
    #[error("not the entries of a tile")]
    Entries,
    /// The entries lead to another root.
    #[error("the entries of log {log} do not lead to the root of its head")]
    Root {
        /// Origin.
        log: String,
    },
    /// A run.
    #[error("{0}")]
    Run(#[from] RunError),
    /// Runs are not in order, or one is torn in two.
    #[error("runs are in ascending order, each as long as can be")]
    RunOrder,
    /// An entry that the scope does not take.
    #[error("entry {index} of log {log} is not in the scope")]
    OutOfScope {
        /// Origin.
        log: String,
        /// Leaf index.
        index: u64,
    },
    /// The record that the bundle is about is not in it.
    #[error("the record of the scope is in none of the logs")]
    RecordMissing,
    /// A checkpoint.
    #[error("{0}")]
    Checkpoint(#[from] CheckpointError),
    /// A checkpoint of another size than its name says.
    #[error("a checkpoint of size {got}")]
    CheckpointSize {
        /// Its size.
        got: u64,
    },
    /// A checkpoint cannot be true together with the head.
    #[error(
        "this signed checkpoint and the head of log {log} contradict each other ({detail}): either the proof is damaged or the log \
         was forked"
    )]
    Contradiction {
        /// Origin.
        log: String,
        /// Why.
        detail: MerkleError,
    },
    /// Not hashes.
    #[error("not the hashes of a consistency proof")]
    Hashes,
    /// The roster closed the log with another root at this size.
    #[error("the roster closed log {log} with another root")]
    Closed {
        /// Origin.
        log: String,
    },
    /// Nobody signed the head.
    #[error("no checkpoint signs the head of log {log}")]
    HeadNotSigned {
        /// Origin.
        log: String,
    },
    /// A cosignature by a witness's key that does not hold.
    #[error("cosignature of {witness}: {detail}")]
    Cosignature {
        /// Whose.
        witness: String,
        /// Why.
        detail: CosignatureError,
    },
    /// Payloads are not in their form.
    #[error("{0}")]
    Payloads(#[from] PayloadsError),
    /// A payload is not what its leaf commits to.
    #[error("payload of entry {index} of log {log}: {detail}")]
    Payload {
        /// Origin.
        log: String,
        /// Leaf index.
        index: u64,
        /// Why.
        detail: PayloadError,
    },
    /// Not what the holder's list of digests says.
    #[error("not the bytes that the holder's digests name")]
    Digest,
    /// The list of digests names other members, or is not the one in the statement.
    #[error("not the list of the annex's digests")]
    Digests,
    /// The holder's statement.
    #[error("{0}")]
    Statement(#[from] StatementError),
    /// The statement is about something else.
    #[error("the statement names another {0}")]
    StatementAbout(&'static str),
}
