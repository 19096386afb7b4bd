//! Payloads: padded, salted, and committed to by a leaf.
//!
//! An author seals a record into (leaf, salt, padded payload); a follower checks that the three belong
//! together before it looks at any of the payload's bytes. Salt and payload are erased together: the
//! commitment alone must not let anybody confirm a guess.
//!
//! SPEC §6.2.

use super::{CODEC_CBOR, EntryLeaf, Kind, Leaf, VoidReason, read_leaf};
use crate::digest::{LeafHash, LogId, PayloadCommitment, leaf_hash, sha256, tags};
use crate::limits::{
    LEAF_BYTES, LEAF_PREFIX_BYTES, PAYLOAD_CBOR_MAX_BYTES, PAYLOAD_LENGTH_PREFIX_BYTES,
    PAYLOAD_PADDED_MAX_BYTES, PAYLOAD_PADDED_MIN_BYTES, SALT_BYTES,
};
use crate::record::{Payload, Record, read_payload};

/// Why a payload cannot be sealed or does not belong to a leaf.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// Too long for the largest padding.
    #[error("{got} bytes of CBOR, at most {max} can be padded")]
    TooLong {
        /// Bytes given.
        got: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// A padded payload of a length that no padding produces.
    #[error("{got} bytes are no padded length")]
    PaddedLength {
        /// Bytes given.
        got: usize,
    },
    /// The inner length does not fit, or fits a smaller padding.
    #[error("{inner} bytes of CBOR do not belong in a padding of {padded} bytes")]
    InnerLength {
        /// CBOR length that the payload states.
        inner: u32,
        /// Padded length.
        padded: usize,
    },
    /// A byte of the padding is not zero.
    #[error("padding byte at offset {offset} is not zero")]
    NotZero {
        /// Offset in the padded payload.
        offset: usize,
    },
    /// The padded payload is not as long as the leaf says.
    #[error("padded payload of {got} bytes, the leaf says {expected}")]
    LeafSaysLength {
        /// Bytes given.
        got: usize,
        /// Bytes that the leaf states.
        expected: u32,
    },
    /// The bytes are not those the leaf commits to.
    #[error("payload and salt do not match the commitment in the leaf")]
    Commitment,
    /// The bytes before the commitment are not a whole leaf.
    #[error("leaf of {got} bytes, expected {expected}")]
    LeafLength {
        /// Bytes given.
        got: usize,
        /// Bytes a leaf has.
        expected: usize,
    },
    /// Header and record disagree on whether there is a subject.
    #[error("the header {} a subject, the record {} one", has(.header), has(.record))]
    Subject {
        /// Whether the header has one.
        header: bool,
        /// Whether the record has one.
        record: bool,
    },
    /// Header and record are of different kinds.
    #[error("the header is for kind {header}, the record is of kind {record}")]
    Kind {
        /// Kind in the header.
        header: Kind,
        /// Kind of the record.
        record: Kind,
    },
    /// Leaf or payload would break a rule that their fields cannot express.
    #[error("the entry would be void: {0}")]
    Unreadable(Box<VoidReason>),
    /// The record does not read back as itself for another reason.
    #[error("the record would be read as something else")]
    Changed,
}

fn has(one: &bool) -> &'static str {
    if *one { "has" } else { "lacks" }
}

/// The commitment to a leaf's first 104 bytes, a salt and a padded payload.
#[must_use]
pub fn commitment(
    leaf_prefix: &[u8; LEAF_PREFIX_BYTES],
    salt: &[u8; SALT_BYTES],
    padded: &[u8],
) -> PayloadCommitment {
    PayloadCommitment::new(sha256(&[tags::PAYLOAD, leaf_prefix, salt, padded]))
}

/// Pads CBOR to the next of 128, 256, … 65,536 bytes.
///
/// # Errors
/// The CBOR is too long.
pub fn pad_payload(cbor: &[u8]) -> Result<Vec<u8>, PayloadError> {
    let too_long = PayloadError::TooLong { got: cbor.len(), max: PAYLOAD_CBOR_MAX_BYTES };
    if cbor.len() > PAYLOAD_CBOR_MAX_BYTES {
        return Err(too_long);
    }
    let length = u32::try_from(cbor.len()).map_err(|_| too_long)?;
    let padded_len = padded_length(cbor.len());
    let mut padded = Vec::with_capacity(padded_len);
    padded.extend_from_slice(&length.to_be_bytes());
    padded.extend_from_slice(cbor);
    padded.resize(padded_len, 0);
    Ok(padded)
}

/// The CBOR in a padded payload.
///
/// # Errors
/// The padding is not the one that [`pad_payload`] makes.
pub fn unpad(padded: &[u8]) -> Result<&[u8], PayloadError> {
    if !is_padded_length(padded.len()) {
        return Err(PayloadError::PaddedLength { got: padded.len() });
    }
    let (length, rest) = padded.split_first_chunk().expect("the smallest padding is longer than the length");
    let inner = u32::from_be_bytes(*length);
    let wrong = PayloadError::InnerLength { inner, padded: padded.len() };
    let (cbor, zeros) = rest.split_at_checked(inner as usize).ok_or_else(|| wrong.clone())?;
    if padded_length(cbor.len()) != padded.len() {
        return Err(wrong);
    }
    match zeros.iter().position(|byte| *byte != 0) {
        Some(at) => Err(PayloadError::NotZero { offset: PAYLOAD_LENGTH_PREFIX_BYTES + cbor.len() + at }),
        None => Ok(cbor),
    }
}

fn padded_length(cbor_len: usize) -> usize {
    (cbor_len + PAYLOAD_LENGTH_PREFIX_BYTES).next_power_of_two().max(PAYLOAD_PADDED_MIN_BYTES)
}

pub(super) fn is_padded_length(length: usize) -> bool {
    length.is_power_of_two() && (PAYLOAD_PADDED_MIN_BYTES..=PAYLOAD_PADDED_MAX_BYTES).contains(&length)
}

/// Whether `salt` and `padded` are what the leaf commits to.
///
/// # Errors
/// Not a leaf, another length than the leaf states, or other bytes.
pub fn check_commitment(
    leaf_bytes: &[u8],
    salt: &[u8; SALT_BYTES],
    padded: &[u8],
) -> Result<(), PayloadError> {
    let length = PayloadError::LeafLength { got: leaf_bytes.len(), expected: LEAF_BYTES };
    let leaf: &[u8; LEAF_BYTES] = leaf_bytes.try_into().map_err(|_| length)?;
    let (prefix, stated) = leaf.split_first_chunk().expect("the prefix is a part of the leaf");
    let (_, padded_len) = prefix.split_last_chunk().expect("the length is a part of the prefix");
    let expected = u32::from_be_bytes(*padded_len);
    if u32::try_from(padded.len()) != Ok(expected) {
        return Err(PayloadError::LeafSaysLength { got: padded.len(), expected });
    }
    if commitment(prefix, salt, padded).as_bytes() != stated {
        return Err(PayloadError::Commitment);
    }
    Ok(())
}

/// What the author decides about a leaf; the rest follows from the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafHeader {
    /// Kind of the record.
    pub kind: Kind,
    /// Whether the entry overtakes a backlog.
    pub priority: bool,
    /// Place in the log.
    pub index: u64,
    /// Milliseconds since 1970 UTC.
    pub time_ms: u64,
    /// Version of the roster that the author holds.
    pub roster_version: u64,
    /// The log.
    pub log_id: LogId,
    /// Leaf hash of the entry that the record names as its subject.
    pub subject: Option<LeafHash>,
    /// Who may have the payload; 0 is every member.
    pub group: u32,
}

/// A leaf with the payload that it commits to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The leaf.
    pub leaf: Leaf,
    /// Its bytes.
    pub leaf_bytes: [u8; LEAF_BYTES],
    /// The salt; random, and as secret as the payload.
    pub salt: [u8; SALT_BYTES],
    /// The padded payload.
    pub padded: Vec<u8>,
}

impl Sealed {
    /// The leaf hash, which is the record id.
    #[must_use]
    pub fn record_id(&self) -> LeafHash {
        leaf_hash(&self.leaf_bytes)
    }
}

/// Makes the leaf of a record. Leaf and payload are read back before they are used: an author never appends an
/// entry that others would call void or read as something else.
///
/// # Errors
/// Header and record disagree, or the record breaks a rule of its schema.
pub fn seal(header: LeafHeader, record: &Record, salt: [u8; SALT_BYTES]) -> Result<Sealed, PayloadError> {
    if header.kind != record.kind() {
        return Err(PayloadError::Kind { header: header.kind, record: record.kind() });
    }
    let in_record = record.subject().is_some();
    if header.subject.is_some() != in_record {
        return Err(PayloadError::Subject { header: header.subject.is_some(), record: in_record });
    }
    let cbor = record.encode();
    let padded = pad_payload(&cbor)?;
    let mut leaf = Leaf {
        kind: header.kind,
        has_subject: in_record,
        priority: header.priority,
        payload_codec: CODEC_CBOR,
        index: header.index,
        time_ms: header.time_ms,
        roster_version: header.roster_version,
        log_id: header.log_id,
        subject: header.subject,
        group: header.group,
        payload_len: u32::try_from(padded.len()).expect("a padded payload has at most 64 KiB"),
        commitment: PayloadCommitment::new([0; 32]),
    };
    leaf.commitment = commitment(&leaf.encode_prefix(), &salt, &padded);
    let leaf_bytes = leaf.encode();
    match read_leaf(&leaf_bytes, &leaf.log_id, leaf.index) {
        EntryLeaf::Known(read) if read == leaf => {}
        EntryLeaf::Void(reason) => return Err(PayloadError::Unreadable(Box::new(reason))),
        _ => return Err(PayloadError::Changed),
    }
    match read_payload(&leaf, &cbor) {
        Payload::Record(read) if read == *record => {}
        Payload::Void(reason) => return Err(PayloadError::Unreadable(Box::new(reason))),
        _ => return Err(PayloadError::Changed),
    }
    Ok(Sealed { leaf, leaf_bytes, salt, padded })
}
