//! The durability a contributor asks for, and the key that makes a retry safe.
//!
//! `local` promises that the record survives a crash of this node; `replicated:K` that it survives
//! this node's disk, because K other members hold it (SPEC §11). The same text is the query
//! parameter of a contribution and the `ack` of its receipts.

use crate::limits::{IDEMPOTENCY_KEY_MAX_BYTES, MEMBERS_MAX};

/// What a receipt promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ack {
    /// Survives any crash of the author's node.
    #[default]
    Local,
    /// Survives the loss of the author's disk: this many other members hold it durably.
    Replicated(u32),
}

/// Why a text is not an [`Ack`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AckError {
    /// Neither of the two forms.
    #[error("ack: expected `local` or `replicated:K`")]
    Form,
    /// No number, or one with a sign or leading zeros, after `replicated:`.
    #[error("ack: expected a whole number without leading zeros after `replicated:`")]
    Number,
    /// More members than a roster can have besides the author, or none.
    #[error("ack: replicated:{got} is outside 1..={max}")]
    Range {
        /// The number asked for.
        got: u64,
        /// The most that can be asked for.
        max: usize,
    },
}

impl Ack {
    /// Reads `local` or `replicated:K`, 1 <= K < the largest number of members.
    ///
    /// # Errors
    /// The rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, AckError> {
        if text == "local" {
            return Ok(Self::Local);
        }
        let number = text.strip_prefix("replicated:").ok_or(AckError::Form)?;
        let canonical = !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
            && (number == "0" || !number.starts_with('0'));
        if !canonical {
            return Err(AckError::Number);
        }
        let max = MEMBERS_MAX - 1;
        let got: u64 = number.parse().unwrap_or(u64::MAX);
        match u32::try_from(got) {
            Ok(members) if members >= 1 && members as usize <= max => Ok(Self::Replicated(members)),
            _ => Err(AckError::Range { got, max }),
        }
    }
}

impl std::fmt::Display for Ack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Local => f.write_str("local"),
            Self::Replicated(members) => write!(f, "replicated:{members}"),
        }
    }
}

/// Why a text cannot be an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdempotencyKeyError {
    /// Empty or too long.
    #[error("Idempotency-Key: {got} bytes, expected 1..={max}")]
    Length {
        /// Bytes given.
        got: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// A character other than visible ASCII.
    #[error("Idempotency-Key: only visible ASCII characters are allowed (byte {position})")]
    Character {
        /// Offset of the first offender, in bytes.
        position: usize,
    },
}

/// Checks the value of an `Idempotency-Key` header: 1 to 128 visible ASCII characters.
///
/// # Errors
/// The rule that the text breaks.
pub fn check_idempotency_key(key: &str) -> Result<(), IdempotencyKeyError> {
    if key.is_empty() || key.len() > IDEMPOTENCY_KEY_MAX_BYTES {
        return Err(IdempotencyKeyError::Length { got: key.len(), max: IDEMPOTENCY_KEY_MAX_BYTES });
    }
    match key.bytes().position(|byte| !byte.is_ascii_graphic()) {
        Some(position) => Err(IdempotencyKeyError::Character { position }),
        None => Ok(()),
    }
}
