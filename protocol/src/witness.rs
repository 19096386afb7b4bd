//! C2SP tlog-witness: what a log asks of a witness (`add-checkpoint`), and what it gets back.
//!
//! One body for HTTP and for peers: the size that the witness cosigned last, a consistency proof from
//! there, and the signed checkpoint. Reading is strict and has one spelling: [`AddCheckpoint::encode`]
//! returns exactly the bytes that [`AddCheckpoint::parse`] took. [`check`] is the part of a witness's
//! rules that needs nothing but its own memory of the log, in the order of SPEC §3.5; whether it holds
//! the leaves, and making its memory durable before a signature is released, is for `hashpact-core`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::checkpoint::{Checkpoint, SignedCheckpoint, parse_decimal};
use crate::digest::{DIGEST_BYTES, NodeHash, Root, empty_root};
use crate::keys::PublicKey;
use crate::limits::{ADD_CHECKPOINT_MAX_BYTES, CONSISTENCY_HASHES_MAX};
use crate::merkle::{TREE_SIZE_MAX, verify_consistency};
use crate::note::{Note, NoteError, NoteSignature};

/// Media type of the size in a 409 answer (C2SP tlog-witness).
pub const TLOG_SIZE_MEDIA_TYPE: &str = "text/x.tlog.size";

/// Why bytes are not the body of an `add-checkpoint` request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// Longer than [`ADD_CHECKPOINT_MAX_BYTES`].
    #[error("body of {bytes} bytes, at most {ADD_CHECKPOINT_MAX_BYTES} are read")]
    TooLong {
        /// Length found.
        bytes: usize,
    },
    /// Not UTF-8.
    #[error("body is not UTF-8 after byte {valid_bytes}")]
    NotUtf8 {
        /// Bytes before the first invalid one.
        valid_bytes: usize,
    },
    /// The first line is not `old <size>`.
    #[error("the first line is not \"old\" and a canonical size")]
    Old,
    /// The body ends before the empty line.
    #[error("no empty line between the proof and the checkpoint")]
    NoSeparator,
    /// More than [`CONSISTENCY_HASHES_MAX`] proof lines.
    #[error("more than {CONSISTENCY_HASHES_MAX} proof lines")]
    TooManyHashes,
    /// A proof line is not 32 bytes in canonical base64.
    #[error("proof line {line} is not {DIGEST_BYTES} bytes in canonical base64")]
    Hash {
        /// Proof line, counted from 0.
        line: usize,
    },
    /// What follows is not a signed note.
    #[error("checkpoint: {0}")]
    Note(#[from] NoteError),
}

/// The body of an `add-checkpoint` request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// Tree size that the witness cosigned last, as the caller believes; 0 for none.
    pub old: u64,
    /// Consistency proof from `old` to the checkpoint's size (RFC 6962 §2.1.2).
    pub proof: Vec<NodeHash>,
    /// The signed checkpoint, verbatim.
    pub note: Vec<u8>,
}

impl AddCheckpoint {
    /// Reads a body and checks its form; verifies nothing.
    ///
    /// # Errors
    /// [`BodyError`] names the rule broken.
    pub fn parse(body: &[u8]) -> Result<Self, BodyError> {
        if body.len() > ADD_CHECKPOINT_MAX_BYTES {
            return Err(BodyError::TooLong { bytes: body.len() });
        }
        let text = core::str::from_utf8(body)
            .map_err(|error| BodyError::NotUtf8 { valid_bytes: error.valid_up_to() })?;
        let (first, mut rest) = text.split_once('\n').ok_or(BodyError::Old)?;
        let old = first.strip_prefix("old ").and_then(parse_decimal);
        let old = old.filter(|old| *old <= TREE_SIZE_MAX).ok_or(BodyError::Old)?;
        let mut proof = Vec::new();
        loop {
            let (line, after) = rest.split_once('\n').ok_or(BodyError::NoSeparator)?;
            rest = after;
            if line.is_empty() {
                break;
            }
            if proof.len() == CONSISTENCY_HASHES_MAX {
                return Err(BodyError::TooManyHashes);
            }
            let hash = BASE64.decode(line).ok().and_then(|bytes| <[u8; DIGEST_BYTES]>::try_from(bytes).ok());
            proof.push(NodeHash::new(hash.ok_or(BodyError::Hash { line: proof.len() })?));
        }
        Note::parse(rest.as_bytes())?;
        Ok(Self { old, proof, note: rest.as_bytes().to_vec() })
    }

    /// The bytes of the body: the exact inverse of [`AddCheckpoint::parse`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut body = format!("old {}\n", self.old);
        for hash in &self.proof {
            body.push_str(&BASE64.encode(hash.as_bytes()));
            body.push('\n');
        }
        body.push('\n');
        [body.as_bytes(), &self.note].concat()
    }

    /// The origin that the checkpoint names, unverified: which log's key and memory to check against.
    #[must_use]
    pub fn origin(&self) -> Option<String> {
        let text = Note::parse(&self.note).ok()?.text;
        text.split_once('\n').map(|(origin, _)| origin.to_owned())
    }
}

/// Why a witness does not cosign, with the HTTP status that C2SP tlog-witness gives it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// 403: the log's key did not sign, or the text is not a checkpoint of this log.
    #[error("the log's key did not sign this checkpoint")]
    NotSigned,
    /// 400: the old size is above the checkpoint's.
    #[error("old size {old} is above the checkpoint's size {size}")]
    OldAbove {
        /// Old size stated.
        old: u64,
        /// The checkpoint's size.
        size: u64,
    },
    /// 409: the witness cosigned another size last.
    #[error("the witness cosigned size {cosigned} last")]
    Conflict {
        /// The size that it cosigned last, 0 for none.
        cosigned: u64,
    },
    /// 409: the same size as cosigned last, with another root: the log's author signed both.
    #[error("the witness cosigned another root of size {cosigned}")]
    OtherRoot {
        /// The size.
        cosigned: u64,
    },
    /// 422: the proof does not lead from the root cosigned last to this one.
    #[error("the consistency proof does not verify")]
    BadProof,
}

/// Checks a request against what the witness cosigned last of this log (`None`: nothing), in the order
/// of SPEC §3.5. A checkpoint that comes back extends that memory.
///
/// # Errors
/// The first rule broken.
pub fn check(
    request: &AddCheckpoint,
    origin: &str,
    key: &PublicKey,
    cosigned: Option<(u64, Root)>,
) -> Result<SignedCheckpoint, Refusal> {
    let signed = SignedCheckpoint::verify(&request.note, origin, key).map_err(|_| Refusal::NotSigned)?;
    let (size, root) = (signed.size(), signed.root());
    let (held, held_root) = cosigned.unwrap_or((0, empty_root()));
    if request.old > size {
        return Err(Refusal::OldAbove { old: request.old, size });
    }
    if request.old != held {
        return Err(Refusal::Conflict { cosigned: held });
    }
    if held == size && held_root != root {
        return Err(Refusal::OtherRoot { cosigned: held });
    }
    verify_consistency(held, &held_root, size, &root, &request.proof).map_err(|_| Refusal::BadProof)?;
    Ok(signed)
}

/// Writes signature lines alone: the body of a 200 answer.
#[must_use]
pub fn encode_signatures(signatures: &[NoteSignature]) -> Vec<u8> {
    // A note of an empty line: its lines are what follows the separator.
    let note = Note { text: "\n".to_owned(), signatures: signatures.to_vec() }.encode();
    note.get(2..).unwrap_or_default().to_vec()
}

/// Reads the signature lines of a 200 answer as further lines of a checkpoint's text. Lines of unknown
/// keys are kept; the caller verifies the one that it knows.
///
/// # Errors
/// [`NoteError`], as if the lines stood in a note.
pub fn parse_signatures(checkpoint: &Checkpoint, lines: &[u8]) -> Result<Note, NoteError> {
    let note = [checkpoint.text().as_bytes(), b"\n", lines].concat();
    let note = Note::parse(&note)?;
    // An empty line among the lines would move the separator, and with it the text.
    if note.text != checkpoint.text() {
        return Err(NoteError::NoSignatureLines);
    }
    Ok(note)
}
