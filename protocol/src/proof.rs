//! C2SP tlog-proof: one record's provenance in a text file that verifies offline.
//!
//! A proof is an index, an inclusion proof, and the log's signed checkpoint, so that its verifier
//! needs the log's public key and nothing else: no network, no roster, no other entry. Its `extra` line carries
//! the leaf and, where it may be shown, salt and padded payload. The format does not
//! authenticate that line; we do, because the leaf hashes into the tree and the leaf commits to
//! the payload (SPEC §5).
//!
//! [`TlogProof`] is the format; [`verify_record_proof`] is the whole check. What a proof does not say:
//! that the record still stands (later entries may retract it), that the key belongs to a member
//! (roster), or that the log showed everybody the same tree (cosignatures, which stay in the note
//! that [`ProvenRecord`] hands on).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint, parse_decimal};
use crate::digest::{DIGEST_BYTES, LeafHash, LogId, NodeHash, leaf_hash, tags};
use crate::keys::PublicKey;
use crate::leaf::{EntryLeaf, PayloadError, check_commitment, read_leaf};
use crate::limits::{ENTRY_LEAF_MAX_BYTES, LEAF_BYTES, NOTE_MAX_BYTES, PAYLOAD_PADDED_MAX_BYTES, SALT_BYTES};
use crate::merkle::{LEVELS_MAX, MerkleError, verify_inclusion};
use crate::note::Note;
use crate::record::{Payload, read_padded};

/// Longest extra data: a leaf, a salt and the largest padded payload.
pub const PROOF_EXTRA_MAX_BYTES: usize = LEAF_BYTES + SALT_BYTES + PAYLOAD_PADDED_MAX_BYTES;
/// Longest proof that is read: extra data in base64, 64 hashes, a note, and room for the short lines.
pub const PROOF_MAX_BYTES: usize =
    PROOF_EXTRA_MAX_BYTES.div_ceil(3) * 4 + LEVELS_MAX * 45 + NOTE_MAX_BYTES + 256;

const _: () = assert!(ENTRY_LEAF_MAX_BYTES <= PROOF_EXTRA_MAX_BYTES);

/// What separates the hashes from the checkpoint: the end of a line and an empty line.
const SEPARATOR: &str = "\n\n";

/// Why bytes are not a proof, or prove nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// Longer than [`PROOF_MAX_BYTES`].
    #[error("proof of {bytes} bytes, at most {PROOF_MAX_BYTES} are read")]
    TooLong {
        /// Length found.
        bytes: usize,
    },
    /// Not UTF-8.
    #[error("proof is not UTF-8 after byte {valid_bytes}")]
    NotUtf8 {
        /// Bytes before the first invalid one.
        valid_bytes: usize,
    },
    /// The first line is another one.
    #[error("first line is not that of a tlog-proof of version 1")]
    Header,
    /// No empty line comes before a checkpoint.
    #[error("no empty line between the hashes and the checkpoint")]
    NoSeparator,
    /// The extra data is not canonical base64, or longer than [`PROOF_EXTRA_MAX_BYTES`].
    #[error("extra data is not canonical base64 of at most {PROOF_EXTRA_MAX_BYTES} bytes")]
    Extra,
    /// The index line is missing or not a canonical decimal number.
    #[error("index line is missing or not canonical")]
    Index,
    /// A hash line is not 32 bytes in canonical base64.
    #[error("hash line {line} is not {DIGEST_BYTES} bytes in canonical base64")]
    Hash {
        /// Hash line, counted from 0.
        line: usize,
    },
    /// More hash lines than a tree has levels.
    #[error("more than {LEVELS_MAX} hash lines")]
    TooManyHashes,
    /// The proof carries no extra data, so there is no leaf to prove.
    #[error("no extra data: the leaf is missing")]
    NoLeaf,
    /// The extra data is neither a leaf nor a leaf with salt and payload.
    #[error("{bytes} bytes of extra data are not a leaf, nor a leaf with salt and payload")]
    ExtraLength {
        /// Length found.
        bytes: usize,
    },
    /// The checkpoint is malformed, of another log, or not signed by the key.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The leaf is not in the tree at the index.
    #[error("inclusion: {0}")]
    Inclusion(#[from] MerkleError),
    /// The leaf commits to another payload than the one shown.
    #[error("payload: {0}")]
    Payload(#[from] PayloadError),
}

/// A tlog-proof, well-formed but unverified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlogProof {
    /// Opaque extra data; ours is leaf ‖ salt ‖ padded payload, or a leaf alone.
    pub extra: Option<Vec<u8>>,
    /// Position of the entry in the log.
    pub index: u64,
    /// The inclusion proof, from the leaf's sibling up to the root's child.
    pub hashes: Vec<NodeHash>,
    /// The signed checkpoint, verbatim.
    pub checkpoint: Vec<u8>,
}

impl TlogProof {
    /// The text of the proof. The checkpoint is a note as [`Note::parse`] accepts it.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::from_utf8_lossy(tags::TLOG_PROOF).into_owned();
        if let Some(extra) = &self.extra {
            text.push_str(&format!("extra {}\n", BASE64.encode(extra)));
        }
        text.push_str(&format!("index {}\n", self.index));
        for hash in &self.hashes {
            text.push_str(&BASE64.encode(hash.as_bytes()));
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&String::from_utf8_lossy(&self.checkpoint));
        text
    }

    /// Reads what [`TlogProof::encode`] writes, and nothing else; verifies nothing.
    ///
    /// # Errors
    /// [`ProofError`] names the line that is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProofError> {
        if bytes.len() > PROOF_MAX_BYTES {
            return Err(ProofError::TooLong { bytes: bytes.len() });
        }
        let text = core::str::from_utf8(bytes)
            .map_err(|error| ProofError::NotUtf8 { valid_bytes: error.valid_up_to() })?;
        let header = core::str::from_utf8(tags::TLOG_PROOF).expect("the header line is ASCII");
        let body = text.strip_prefix(header).ok_or(ProofError::Header)?;
        // No line above is empty, so the first empty line is the separator.
        let (head, checkpoint) = body.split_once(SEPARATOR).ok_or(ProofError::NoSeparator)?;
        let (extra, head) = match head.strip_prefix("extra ") {
            None => (None, head),
            Some(rest) => {
                let (extra, rest) = rest.split_once('\n').ok_or(ProofError::Index)?;
                (Some(parse_extra(extra)?), rest)
            }
        };
        let mut lines = head.split('\n');
        let index = lines.next().and_then(|line| line.strip_prefix("index ")).and_then(parse_decimal);
        let index = index.ok_or(ProofError::Index)?;
        let mut hashes = Vec::new();
        for (line, content) in lines.enumerate() {
            if line == LEVELS_MAX {
                return Err(ProofError::TooManyHashes);
            }
            hashes.push(parse_hash(content).ok_or(ProofError::Hash { line })?);
        }
        Note::parse(checkpoint.as_bytes()).map_err(CheckpointError::from)?;
        Ok(Self { extra, index, hashes, checkpoint: checkpoint.as_bytes().to_vec() })
    }
}

/// What a verified proof shows: this entry is at this place of the log that signed this checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenRecord {
    /// The log's claim that was verified; its origin names the log.
    pub checkpoint: Checkpoint,
    /// The note of that checkpoint, verbatim, for a caller that also wants cosignatures.
    pub note: Vec<u8>,
    /// Position of the entry in the log.
    pub index: u64,
    /// Leaf hash of the entry: the record's id.
    pub leaf_hash: LeafHash,
    /// The entry's leaf, byte for byte.
    pub leaf_bytes: Vec<u8>,
    /// The leaf as this version reads it.
    pub leaf: EntryLeaf,
    /// The payload as this version reads it; `None` when the proof shows the leaf alone, or shows
    /// more than a leaf that this version cannot read, whose commitment it therefore cannot check.
    pub payload: Option<Payload>,
}

/// Verifies a record's proof with the log's public key.
///
/// With an `origin` the proof must be of that log; without, of the log that its checkpoint names,
/// which the key must have signed under that name.
///
/// # Errors
/// [`ProofError`]: the form first, then the checkpoint, then inclusion, then the payload.
pub fn verify_record_proof(
    bytes: &[u8],
    origin: Option<&str>,
    key: &PublicKey,
) -> Result<ProvenRecord, ProofError> {
    let proof = TlogProof::parse(bytes)?;
    let signed = match origin {
        Some(origin) => SignedCheckpoint::verify(&proof.checkpoint, origin, key)?,
        None => {
            let note = Note::parse(&proof.checkpoint).map_err(CheckpointError::from)?;
            let claimed = Checkpoint::parse_text(&note.text)?.origin;
            SignedCheckpoint::verify(&proof.checkpoint, &claimed, key)?
        }
    };
    let extra = proof.extra.as_deref().ok_or(ProofError::NoLeaf)?;
    let entry = find_entry(extra, &proof, &signed)?;
    let leaf = read_leaf(entry.leaf, &LogId::of_origin(&signed.checkpoint().origin), proof.index);
    let payload = match (&leaf, entry.shown) {
        (EntryLeaf::Known(known), Some((salt, padded))) => {
            check_commitment(entry.leaf, salt, padded)?;
            Some(read_padded(known, padded))
        }
        _ => None,
    };
    Ok(ProvenRecord {
        checkpoint: signed.checkpoint().clone(),
        note: proof.checkpoint,
        index: proof.index,
        leaf_hash: leaf_hash(entry.leaf),
        leaf_bytes: entry.leaf.to_vec(),
        leaf,
        payload,
    })
}

/// The parts of the extra data, once the tree has said where the leaf ends.
struct Entry<'a> {
    leaf: &'a [u8],
    shown: Option<(&'a [u8; SALT_BYTES], &'a [u8])>,
}

/// Splits the extra data. A leaf with salt and payload starts with 136 bytes; a leaf alone may have
/// any length that followers accept, so a long foreign leaf can look like either: the one that is
/// in the tree is meant. There is only one, or else SHA-256 has a collision.
fn find_entry<'a>(
    extra: &'a [u8],
    proof: &TlogProof,
    signed: &SignedCheckpoint,
) -> Result<Entry<'a>, ProofError> {
    let include = |leaf: &[u8]| {
        verify_inclusion(&leaf_hash(leaf), proof.index, signed.size(), &proof.hashes, &signed.root())
    };
    let with_payload = extra.split_first_chunk::<LEAF_BYTES>().and_then(|(leaf, rest)| {
        let (salt, padded) = rest.split_first_chunk::<SALT_BYTES>()?;
        (!padded.is_empty()).then_some(Entry { leaf, shown: Some((salt, padded)) })
    });
    let alone = (extra.len() <= ENTRY_LEAF_MAX_BYTES).then_some(Entry { leaf: extra, shown: None });
    match (with_payload, alone) {
        (None, None) => Err(ProofError::ExtraLength { bytes: extra.len() }),
        (Some(entry), None) | (None, Some(entry)) => {
            include(entry.leaf)?;
            Ok(entry)
        }
        (Some(with_payload), Some(alone)) => match include(with_payload.leaf) {
            Ok(()) => Ok(with_payload),
            Err(error) => include(alone.leaf).map(|()| alone).map_err(|_| error.into()),
        },
    }
}

fn parse_extra(text: &str) -> Result<Vec<u8>, ProofError> {
    let extra = BASE64.decode(text).map_err(|_| ProofError::Extra)?;
    if extra.len() > PROOF_EXTRA_MAX_BYTES { Err(ProofError::Extra) } else { Ok(extra) }
}

fn parse_hash(text: &str) -> Option<NodeHash> {
    let bytes = BASE64.decode(text).ok()?;
    Some(NodeHash::new(bytes.try_into().ok()?))
}
