//! Identifiers of model files as files and tools write them: often cut short, and often wrong.
//!
//! Such an identifier is a claim: it is kept as one, shown as one, and leads a person to a record. It is never what a
//! record is found by without a person.
//!
//! SPEC §7.14, §13.1.

use super::error::RecordError;
use super::vocabulary::{Label, LabelWord, Vocabulary};
use crate::codec::{Int, Value};
use crate::limits::{CLAIMED_ID_MAX_BYTES, CLAIMED_ID_MIN_BYTES};

/// Which identifier of a model file it is meant to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IdentifierType {
    /// Not stated; its length may say it.
    #[default]
    Undetermined,
    /// SHA-256 of the file.
    Sha256,
    /// SHA-256 of a safetensors file behind its header.
    StBody,
    /// BLAKE3 of the file.
    Blake3,
    /// CRC-32 of the file.
    Crc32,
    /// First 8 hex digits of the SHA-256 of bytes 0x100000 to 0x110000.
    AutoV1,
    /// First 10 hex digits of `sha256`.
    AutoV2,
    /// First 12 hex digits of `st_body`.
    AutoV3,
    /// First 12 hex digits of `sha256`, of a textual inversion.
    Ti,
}

impl Vocabulary for IdentifierType {
    const FIELD: &'static str = "identifier";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self::Undetermined, 0, "undetermined"),
        (Self::Sha256, 1, "sha256"),
        (Self::StBody, 2, "st_body"),
        (Self::Blake3, 3, "blake3"),
        (Self::Crc32, 4, "crc32"),
        (Self::AutoV1, 5, "autov1"),
        (Self::AutoV2, 6, "autov2"),
        (Self::AutoV3, 7, "autov3"),
        (Self::Ti, 8, "ti"),
    ];
}

impl LabelWord for IdentifierType {
    const DEFAULT: Self = Self::Undetermined;
    const FALLBACK: Self = Self::Undetermined;
}

impl IdentifierType {
    /// Width of its values in bytes, if it has one.
    #[must_use]
    pub const fn width_bytes(self) -> Option<usize> {
        match self {
            Self::Undetermined => None,
            Self::Sha256 | Self::StBody | Self::Blake3 => Some(32),
            Self::Crc32 | Self::AutoV1 => Some(4),
            Self::AutoV2 => Some(5),
            Self::AutoV3 | Self::Ti => Some(6),
        }
    }
}

/// An identifier that somebody claims. Ordered by the code of its type, then by its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClaimedId {
    identifier: Label<IdentifierType>,
    bytes: Vec<u8>,
}

impl ClaimedId {
    /// An identifier of 4 to 32 bytes, of exactly as many as its type says.
    ///
    /// # Errors
    /// Another width.
    pub fn new(identifier: impl Into<Label<IdentifierType>>, bytes: &[u8]) -> Result<Self, RecordError> {
        let identifier = identifier.into();
        let width = match identifier {
            Label::Known(word) => word.width_bytes(),
            Label::Unknown(_) => None,
        };
        let (min, max) = width.map_or((CLAIMED_ID_MIN_BYTES, CLAIMED_ID_MAX_BYTES), |width| (width, width));
        if !(min..=max).contains(&bytes.len()) {
            return Err(RecordError::ClaimedWidth { got: bytes.len(), min, max });
        }
        Ok(Self { identifier, bytes: bytes.to_vec() })
    }

    /// Its type.
    #[must_use]
    pub const fn identifier(&self) -> Label<IdentifierType> {
        self.identifier
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Ord for ClaimedId {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.identifier.code(), &self.bytes).cmp(&(other.identifier.code(), &other.bytes))
    }
}

impl PartialOrd for ClaimedId {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

pub(super) fn read_claimed(nth: usize, element: &Value) -> Result<ClaimedId, RecordError> {
    let shape = || RecordError::ListShape { nth, expected: "[identifier, bytes]" };
    let Value::Array(parts) = element else { return Err(shape()) };
    let [Value::Int(Int::Unsigned(identifier)), Value::Bytes(bytes)] = parts.as_slice() else {
        return Err(shape());
    };
    ClaimedId::new(Label::from_code(*identifier), bytes)
}

pub(super) fn write_claimed(claimed: &ClaimedId) -> Value {
    Value::Array(vec![Value::unsigned(claimed.identifier.code()), Value::Bytes(claimed.bytes.clone())])
}
