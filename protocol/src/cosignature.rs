//! C2SP timestamped cosignatures: a witness's line on another member's checkpoint.
//!
//! In this consortium a cosignature says more than the format asks for: "as of this time I hold,
//! durably and verified, every leaf below this size" (SPEC §3.4). The message signed is a
//! fixed header, the time, and the checkpoint's text, so a cosignature never reads as a log's own
//! signature, even under the same key; the type byte 0x04 in the key id tells the lines apart.
//!
//! This module makes and verifies single lines. Who may be a witness is in the roster; how many
//! make a quorum, and whether a time is plausible, is decided by the caller.

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::digest::tags;
use crate::keys::{SIGNATURE_BYTES, SecretKey, Signature, Signer, SignerError};
use crate::note::{Note, NoteAlgorithm, NoteError, NoteKey, NoteSignature, key_id};

/// Latest time a cosignature may carry, in seconds since 1970 UTC (C2SP tlog-cosignature).
pub const COSIGNATURE_TIME_MAX_S: u64 = i64::MAX as u64;

/// Length of the time that precedes the signature, in bytes.
const TIME_BYTES: usize = 8;

/// Why a cosignature does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CosignatureError {
    /// The line is missing or doubled, the key is of another type, or the signature does not verify.
    #[error("cosignature: {0}")]
    Note(#[from] NoteError),
    /// The note's text is not a checkpoint; nothing else is ever cosigned.
    #[error("cosigned text: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The time is above [`COSIGNATURE_TIME_MAX_S`].
    #[error("cosignature time {time_s} is above {COSIGNATURE_TIME_MAX_S}")]
    Time {
        /// Time stated, in seconds.
        time_s: u64,
    },
}

/// Cosigns the text of a checkpoint note as of `time_s`, seconds since 1970 UTC.
///
/// A time above [`COSIGNATURE_TIME_MAX_S`] is lowered to it, since the format has no room for more.
/// The caller has verified the checkpoint and holds the leaves.
#[must_use]
pub fn sign_cosignature(checkpoint_text: &str, name: &str, key: &SecretKey, time_s: u64) -> NoteSignature {
    let time_s = time_s.min(COSIGNATURE_TIME_MAX_S);
    let signature = key.sign(&cosigned_message(checkpoint_text, time_s));
    NoteSignature {
        name: name.to_owned(),
        key_id: key_id(name, NoteAlgorithm::CosignatureV1, &key.public()),
        bytes: [time_s.to_be_bytes().as_slice(), &signature.0].concat(),
    }
}

/// The same by whoever holds the cosigner key.
///
/// # Errors
/// [`SignerError`]: there is no signature.
pub fn sign_cosignature_by(
    checkpoint_text: &str,
    name: &str,
    key: &Signer,
    time_s: u64,
) -> Result<NoteSignature, SignerError> {
    let time_s = time_s.min(COSIGNATURE_TIME_MAX_S);
    let signature = key.sign(&cosigned_message(checkpoint_text, time_s))?;
    Ok(NoteSignature {
        name: name.to_owned(),
        key_id: key_id(name, NoteAlgorithm::CosignatureV1, &key.public()),
        bytes: [time_s.to_be_bytes().as_slice(), &signature.0].concat(),
    })
}

/// Checks that `key` cosigned the checkpoint in this note, in exactly one line; returns the time it
/// states, in seconds since 1970 UTC.
///
/// The checkpoint's own signature is not looked at: see
/// [`SignedCheckpoint::verify`](crate::checkpoint::SignedCheckpoint::verify).
///
/// # Errors
/// [`CosignatureError`].
pub fn verify_cosignature(note: &Note, key: &NoteKey) -> Result<u64, CosignatureError> {
    if key.algorithm != NoteAlgorithm::CosignatureV1 {
        let expected = NoteAlgorithm::CosignatureV1;
        return Err(NoteError::WrongAlgorithm { expected, found: key.algorithm }.into());
    }
    Checkpoint::parse_text(&note.text)?;
    let line = note.signature_by(key)?;
    let wrong_length = || NoteError::SignatureLength {
        name: key.name.clone(),
        expected: TIME_BYTES + SIGNATURE_BYTES,
        bytes: line.bytes.len(),
    };
    let (time, signature) = line.bytes.split_first_chunk::<TIME_BYTES>().ok_or_else(wrong_length)?;
    let signature = <[u8; SIGNATURE_BYTES]>::try_from(signature).map_err(|_| wrong_length())?;
    let time_s = u64::from_be_bytes(*time);
    if time_s > COSIGNATURE_TIME_MAX_S {
        return Err(CosignatureError::Time { time_s });
    }
    key.key
        .verify(&cosigned_message(&note.text, time_s), &Signature(signature))
        .map_err(|_| NoteError::BadSignature { name: key.name.clone() })?;
    Ok(time_s)
}

fn cosigned_message(checkpoint_text: &str, time_s: u64) -> Vec<u8> {
    [tags::COSIGNATURE, format!("time {time_s}\n").as_bytes(), checkpoint_text.as_bytes()].concat()
}
