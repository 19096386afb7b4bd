//! Why an entry does not count: it cannot be read yet, or it can never be read.
//!
//! The two must not be confused. A void verdict is for ever and the same in every version, so each
//! reason here is a rule of version 1 that no later version may relax. An opaque verdict is lifted by
//! an upgrade, after which the entry is folded again. Both verdicts depend on the entry alone.
//!
//! SPEC §6.3, §7.2.

use super::{Kind, PayloadError};
use crate::codec::CborError;
use crate::digest::LogId;
use crate::record::SchemaError;

/// Why this version cannot read an entry; a later one may.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpaqueReason {
    /// A leaf of another version.
    #[error("leaf version byte 0x{got:02x} is not known")]
    Version {
        /// The byte after `HPL`.
        got: u8,
    },
    /// A kind that this version has no name for.
    #[error("kind {got} is not known")]
    Kind {
        /// The code.
        got: u8,
    },
    /// A payload codec that this version has no reader for.
    #[error("payload codec {got} is not known")]
    Codec {
        /// The code.
        got: u16,
    },
    /// A known kind whose payload this version does not read.
    #[error("payloads of kind {kind} are not read by this version")]
    KindNotRead {
        /// The kind.
        kind: Kind,
    },
    /// A field that must be understood and is not known.
    #[error("{map}: key {key} must be understood and is not known")]
    Key {
        /// The map that holds it.
        map: &'static str,
        /// The even key.
        key: u64,
    },
    /// A word that decides what the entry means and is not known.
    #[error("{field}: value {code} is not known")]
    Word {
        /// The field.
        field: &'static str,
        /// The code.
        code: u64,
    },
}

/// The rule that an entry breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VoidReason {
    /// A leaf longer than followers accept.
    #[error("leaf of {got} bytes, at most {max} are allowed")]
    LeafTooLong {
        /// Bytes given.
        got: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// Bytes that do not start like any version of a leaf.
    #[error("the entry does not start with HPL and a version")]
    Magic,
    /// A version 1 leaf that is not 136 bytes long.
    #[error("version 1 leaf of {got} bytes, expected {expected}")]
    LeafLength {
        /// Bytes given.
        got: usize,
        /// Bytes a leaf has.
        expected: usize,
    },
    /// A leaf that names another log.
    #[error("the leaf names another log: {got}")]
    Log {
        /// The log id in the leaf.
        got: LogId,
    },
    /// A leaf that names another place in the log.
    #[error("the leaf names index {got}, it stands at {expected}")]
    Index {
        /// The index in the leaf.
        got: u64,
        /// Where it stands.
        expected: u64,
    },
    /// A flag that version 1 does not have.
    #[error("flags 0x{got:02x} have bits that version 1 does not know")]
    Flags {
        /// The flags byte.
        got: u8,
    },
    /// The flag says that there is a subject, the field says zeros.
    #[error("the flag announces a subject, the subject is zeros")]
    SubjectZero,
    /// The flag says that there is no subject, the field has one.
    #[error("a subject without its flag")]
    SubjectUnannounced,
    /// An entry of this kind must be about another one.
    #[error("{kind} without a subject")]
    SubjectMissing {
        /// The kind.
        kind: Kind,
    },
    /// A time after the year 9999.
    #[error("time {got} ms is after the year 9999")]
    Time {
        /// The time.
        got: u64,
    },
    /// A payload length that no padding produces.
    #[error("padded payload length {got} is not a power of two from {min} to {max}")]
    PayloadLength {
        /// The length.
        got: u32,
        /// Smallest padded payload.
        min: usize,
        /// Largest padded payload.
        max: usize,
    },
    /// A payload that is not padded as it must be.
    #[error("padding: {0}")]
    Padding(PayloadError),
    /// A payload that is not canonical.
    #[error("payload: {0}")]
    Cbor(#[from] CborError),
    /// A payload that is not what its kind demands.
    #[error("payload: {0}")]
    Schema(#[from] SchemaError),
}

impl OpaqueReason {
    /// A fixed word for metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Version { .. } => "leaf_version",
            Self::Kind { .. } => "kind",
            Self::Codec { .. } => "codec",
            Self::KindNotRead { .. } => "kind_not_read",
            Self::Key { .. } => "key",
            Self::Word { .. } => "word",
        }
    }
}

impl VoidReason {
    /// A fixed word for metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::LeafTooLong { .. } | Self::Magic | Self::LeafLength { .. } => "leaf_form",
            Self::Log { .. } | Self::Index { .. } => "leaf_place",
            Self::Flags { .. } => "flags",
            Self::SubjectZero | Self::SubjectUnannounced | Self::SubjectMissing { .. } => "subject",
            Self::Time { .. } => "time",
            Self::PayloadLength { .. } | Self::Padding(_) => "padding",
            Self::Cbor(_) => "cbor",
            Self::Schema(_) => "schema",
        }
    }
}
