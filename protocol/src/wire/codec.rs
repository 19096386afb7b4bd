//! Bytes to messages and back: one canonical encoding, bounded work (SPEC §10).
//!
//! Bincode 2 alone accepts trailing bytes and integers in a longer form than needed. Both would
//! give one message several encodings, so the decoder demands that everything is consumed and that
//! encoding the result again yields the bytes received. The copy costs at most one message.
//!
//! Allocation: bincode claims `count * size_of::<T>()` from the budget before it reserves a vector
//! and gives it back element by element, so what a hostile length can reserve is at most the
//! budget, a small multiple of the message bound, whatever number it claims.
use super::bounds::{Bounded, REQUEST_DECODE_BUDGET, RESPONSE_DECODE_BUDGET, check_request, check_response};
use super::message::{Request, Response};
use crate::limits::{WIRE_REQUEST_MAX_BYTES, WIRE_RESPONSE_MAX_BYTES};
use bincode::config::{self, Config};
use bincode::error::DecodeError;

/// Why a peer message was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// Longer than its kind of message may be.
    #[error("message of {length_bytes} bytes, at most {max_bytes} are allowed")]
    TooLong {
        /// Length received.
        length_bytes: usize,
        /// The bound.
        max_bytes: usize,
    },
    /// The bytes are not an encoding of the message type.
    #[error("message does not decode: {0}")]
    Decode(DecodeFault),
    /// The message ended before the bytes did.
    #[error("{trailing_bytes} bytes follow the message")]
    Trailing {
        /// Bytes left over.
        trailing_bytes: usize,
    },
    /// Another, shorter encoding of the same message exists (an integer in a long form).
    #[error("not the canonical encoding: first difference at byte {at}")]
    NotCanonical {
        /// Offset of the first byte that differs.
        at: usize,
    },
    /// A count or size is beyond its bound.
    #[error("{found} {what}, at most {max} are allowed")]
    TooMany {
        /// What is counted.
        what: Bounded,
        /// The number found.
        found: usize,
        /// The bound.
        max: usize,
    },
    /// Something that must be there is empty or zero.
    #[error("{what} must not be zero")]
    None {
        /// What is counted.
        what: Bounded,
    },
    /// A name holds a byte that is not printable ASCII.
    #[error("byte {at} of a name ({what}) is not printable ASCII")]
    NameByte {
        /// Which name.
        what: Bounded,
        /// Offset of the byte.
        at: usize,
    },
    /// Roster versions start at one.
    #[error("roster version 0 does not exist")]
    RosterVersionZero,
    /// A range request that asks for nothing.
    #[error("range starts at {start}, not below the size {size}")]
    EmptyRange {
        /// First index asked for.
        start: u64,
        /// Tree size named.
        size: u64,
    },
    /// Leaf indexes that do not ascend strictly.
    #[error("leaf index {at} of the list is not above the one before it")]
    IndexOrder {
        /// Position in the list, from 0.
        at: usize,
    },
    /// An entry asked for that is held already, or that the tree named does not have.
    #[error("leaf index {index} is not between the size held, {old}, and the size named, {size}")]
    IndexOutside {
        /// The index.
        index: u64,
        /// Leaves that the caller holds.
        old: u64,
        /// Tree size named.
        size: u64,
    },
    /// An entry listed as held beyond the size below which all are held.
    #[error("leaf index {index} is below the size {size}, where nothing needs to be listed")]
    IndexHeld {
        /// The index.
        index: u64,
        /// The size.
        size: u64,
    },
    /// A chunk whose last index does not fit 64 bits.
    #[error("{entries} entries from index {start} overflow the index")]
    IndexOverflow {
        /// First index.
        start: u64,
        /// Entries in the chunk.
        entries: u64,
    },
}

/// How decoding failed; bincode's own error reduced to what an operator can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeFault {
    /// The bytes end inside a value.
    #[error("ends inside a value")]
    Truncated,
    /// A length inside the message claims more than any valid message has.
    #[error("claims more than the limit")]
    BeyondLimit,
    /// An enum discriminant that this version does not know.
    #[error("unknown variant {0}")]
    UnknownVariant(u32),
    /// A string that is not UTF-8.
    #[error("text is not UTF-8")]
    NotUtf8,
    /// An integer that does not fit, or a reserved integer marker.
    #[error("bad integer")]
    BadInteger,
}

impl From<DecodeError> for DecodeFault {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::UnexpectedEnd { .. } => Self::Truncated,
            DecodeError::LimitExceeded => Self::BeyondLimit,
            DecodeError::UnexpectedVariant { found, .. } => Self::UnknownVariant(found),
            DecodeError::Utf8 { .. } => Self::NotUtf8,
            // A length over the address space claims beyond any limit, too.
            DecodeError::OutsideUsizeRange(_) => Self::BeyondLimit,
            _ => Self::BadInteger,
        }
    }
}

/// Encodes a request; refuses one that the other side would refuse.
///
/// # Errors
/// A bound of SPEC §10 that the request breaks.
pub fn encode_request(request: &Request) -> Result<Vec<u8>, WireError> {
    check_request(request)?;
    encode(request, WIRE_REQUEST_MAX_BYTES)
}

/// Decodes a request that arrived complete.
///
/// # Errors
/// The first rule of SPEC §10 that the bytes break.
///
/// ```
/// use hashpact_protocol::wire::{Request, decode_request, encode_request};
/// let bytes = encode_request(&Request::Heads).unwrap();
/// assert_eq!(bytes, [1]);
/// assert_eq!(decode_request(&bytes).unwrap(), Request::Heads);
/// assert!(decode_request(&[1, 0]).is_err());
/// ```
pub fn decode_request(bytes: &[u8]) -> Result<Request, WireError> {
    let config = config::standard().with_limit::<REQUEST_DECODE_BUDGET>();
    let request = decode(bytes, WIRE_REQUEST_MAX_BYTES, config)?;
    check_request(&request)?;
    Ok(request)
}

/// Encodes a response; refuses one that the other side would refuse.
///
/// # Errors
/// A bound of SPEC §10 that the response breaks.
pub fn encode_response(response: &Response) -> Result<Vec<u8>, WireError> {
    check_response(response)?;
    encode(response, WIRE_RESPONSE_MAX_BYTES)
}

/// Decodes a response that arrived complete.
///
/// # Errors
/// The first rule of SPEC §10 that the bytes break.
pub fn decode_response(bytes: &[u8]) -> Result<Response, WireError> {
    let config = config::standard().with_limit::<RESPONSE_DECODE_BUDGET>();
    let response = decode(bytes, WIRE_RESPONSE_MAX_BYTES, config)?;
    check_response(&response)?;
    Ok(response)
}

fn check_length(length_bytes: usize, max_bytes: usize) -> Result<(), WireError> {
    if length_bytes > max_bytes {
        return Err(WireError::TooLong { length_bytes, max_bytes });
    }
    Ok(())
}

fn to_bytes<T: bincode::Encode>(message: &T) -> Vec<u8> {
    bincode::encode_to_vec(message, config::standard())
        .expect("derived encoders of plain data into memory have no way to fail")
}

fn encode<T: bincode::Encode>(message: &T, max_bytes: usize) -> Result<Vec<u8>, WireError> {
    let bytes = to_bytes(message);
    check_length(bytes.len(), max_bytes)?;
    Ok(bytes)
}

fn decode<T, C>(bytes: &[u8], max_bytes: usize, config: C) -> Result<T, WireError>
where
    T: bincode::Encode + bincode::Decode<()>,
    C: Config,
{
    check_length(bytes.len(), max_bytes)?;
    let (message, consumed) =
        bincode::decode_from_slice::<T, C>(bytes, config).map_err(|error| WireError::Decode(error.into()))?;
    if consumed != bytes.len() {
        return Err(WireError::Trailing { trailing_bytes: bytes.len() - consumed });
    }
    let canonical = to_bytes(&message);
    if canonical != bytes {
        let at = canonical.iter().zip(bytes).take_while(|(ours, theirs)| ours == theirs).count();
        return Err(WireError::NotCanonical { at });
    }
    Ok(message)
}
