//! C2SP tlog checkpoints: a log's signed statement of its size and root.
//!
//! The text has three lines, origin, size and root, and ends there: extension lines are optional in the
//! format, unaudited, and refused here. The signature is a plain Ed25519 note signature whose key
//! name is the origin. Cosignatures of witnesses are further lines of the same note.
//!
//! [`Checkpoint`] is a claim; [`SignedCheckpoint`] can only be made by verifying a note, and keeps
//! that note byte for byte, because it is what is stored, relayed, and shown as evidence. Whether
//! two signed checkpoints can both be true is for `merkle` (proofs) and `hashpact-core` (forks).
//! Specified in SPEC §3.3.
//!
//! ```
//! use hashpact_protocol::checkpoint::{Checkpoint, SignedCheckpoint, sign_checkpoint};
//! use hashpact_protocol::digest::empty_root;
//! use hashpact_protocol::keys::SecretKey;
//! let key = SecretKey::from_seed([1; 32]);
//! let empty = Checkpoint { origin: "hearth/north/0".into(), size: 0, root: empty_root() };
//! let note = sign_checkpoint(&empty, &key);
//! let signed = SignedCheckpoint::verify(&note, "hearth/north/0", &key.public())?;
//! assert_eq!(signed.checkpoint(), &empty);
//! # Ok::<(), hashpact_protocol::checkpoint::CheckpointError>(())
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::digest::{DIGEST_BYTES, Root, empty_root};
use crate::keys::{PublicKey, SecretKey, Signer, SignerError};
use crate::merkle::TREE_SIZE_MAX;
use crate::note::{
    Note, NoteAlgorithm, NoteError, NoteKey, NoteSignature, is_key_name, sign_note, sign_note_by,
};

/// Why a text is not a checkpoint, or a note not the checkpoint that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The note is malformed, or the log's key did not sign it.
    #[error("checkpoint note: {0}")]
    Note(#[from] NoteError),
    /// The text is not exactly three lines, each ended by a newline.
    #[error("checkpoint text has {lines} lines, expected origin, size and root")]
    Lines {
        /// Newlines found.
        lines: usize,
    },
    /// The origin could not name a key.
    #[error("checkpoint origin is empty or contains a space or a plus sign")]
    Origin,
    /// The size is not a decimal number without leading zeros, at most [`TREE_SIZE_MAX`].
    #[error("checkpoint size is not a canonical decimal number up to {TREE_SIZE_MAX}")]
    Size,
    /// The root is not 32 bytes in canonical base64.
    #[error("checkpoint root is not {DIGEST_BYTES} bytes in canonical base64")]
    Root,
    /// Size 0 comes with another root than that of the empty tree.
    #[error("checkpoint of size 0 has another root than the empty tree")]
    EmptyRoot,
    /// A well-formed checkpoint, of another log.
    #[error("checkpoint is of {found}, expected {expected}")]
    WrongOrigin {
        /// Origin asked for.
        expected: String,
        /// Origin stated.
        found: String,
    },
}

/// A log's size and root, as a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Origin line; also the name of the key that signs.
    pub origin: String,
    /// Number of leaves.
    pub size: u64,
    /// Merkle tree hash of those leaves.
    pub root: Root,
}

impl Checkpoint {
    /// The three lines that are signed.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, BASE64.encode(self.root.as_bytes()))
    }

    /// Reads what [`Checkpoint::text`] writes, and nothing else.
    ///
    /// # Errors
    /// [`CheckpointError`] names the line that is wrong.
    pub fn parse_text(text: &str) -> Result<Self, CheckpointError> {
        let lines = text.bytes().filter(|byte| *byte == b'\n').count();
        let mut parts = text.split('\n');
        let (Some(origin), Some(size), Some(root), Some(""), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(CheckpointError::Lines { lines });
        };
        if !is_key_name(origin) {
            return Err(CheckpointError::Origin);
        }
        let size = parse_decimal(size).filter(|size| *size <= TREE_SIZE_MAX).ok_or(CheckpointError::Size)?;
        let root = BASE64.decode(root).map_err(|_| CheckpointError::Root)?;
        let root = Root::new(root.try_into().map_err(|_| CheckpointError::Root)?);
        if size == 0 && root != empty_root() {
            return Err(CheckpointError::EmptyRoot);
        }
        Ok(Self { origin: origin.to_owned(), size, root })
    }
}

/// A checkpoint whose note was verified with the log's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: Vec<u8>,
    /// The line of the log's key.
    line: NoteSignature,
}

impl SignedCheckpoint {
    /// Verifies a note as the checkpoint of the log `origin` with this key.
    ///
    /// # Errors
    /// [`CheckpointError`]; the origin is compared before the signature is looked at.
    pub fn verify(note: &[u8], origin: &str, key: &PublicKey) -> Result<Self, CheckpointError> {
        let parsed = Note::parse(note)?;
        let checkpoint = Checkpoint::parse_text(&parsed.text)?;
        if checkpoint.origin != origin {
            return Err(CheckpointError::WrongOrigin {
                expected: origin.to_owned(),
                found: checkpoint.origin,
            });
        }
        let key = NoteKey { name: origin.to_owned(), algorithm: NoteAlgorithm::Ed25519, key: *key };
        parsed.verify(&key)?;
        let line = parsed.signature_by(&key)?.clone();
        Ok(Self { checkpoint, note: note.to_vec(), line })
    }

    /// The same checkpoint in another note, with other lines beside the one that was verified, which need not be
    /// verified again. `None` if the note has another text, or another line of the log's key, or two of them.
    #[must_use]
    pub fn in_note(&self, note: &[u8], key: &PublicKey) -> Option<Self> {
        if !note.starts_with(self.checkpoint.text().as_bytes()) {
            return None;
        }
        let parsed = Note::parse(note).ok().filter(|parsed| parsed.text == self.checkpoint.text())?;
        let name = self.checkpoint.origin.clone();
        let line =
            parsed.signature_by(&NoteKey { name, algorithm: NoteAlgorithm::Ed25519, key: *key }).ok()?;
        (*line == self.line).then(|| Self { note: note.to_vec(), ..self.clone() })
    }

    /// What was signed.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note, byte for byte as verified, with all its signature lines.
    #[must_use]
    pub fn note(&self) -> &[u8] {
        &self.note
    }

    /// Number of leaves.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.checkpoint.size
    }

    /// Merkle tree hash of those leaves.
    #[must_use]
    pub const fn root(&self) -> Root {
        self.checkpoint.root
    }
}

/// Signs a checkpoint: the whole note, with the one signature line of the log's key.
///
/// The caller answers for never signing two inconsistent checkpoints of one origin, and for an
/// origin that can name a key; a note over any other origin would not verify.
#[must_use]
pub fn sign_checkpoint(checkpoint: &Checkpoint, key: &SecretKey) -> Vec<u8> {
    let text = checkpoint.text();
    let signature = sign_note(&text, &checkpoint.origin, key);
    Note { text, signatures: vec![signature] }.encode()
}

/// The same by whoever holds the log's key.
///
/// # Errors
/// [`SignerError`]: there is no signature.
pub fn sign_checkpoint_by(checkpoint: &Checkpoint, key: &Signer) -> Result<Vec<u8>, SignerError> {
    let text = checkpoint.text();
    let signature = sign_note_by(&text, &checkpoint.origin, key)?;
    Ok(Note { text, signatures: vec![signature] }.encode())
}

/// An ASCII decimal number with one spelling: digits only, no leading zeros.
pub(crate) fn parse_decimal(text: &str) -> Option<u64> {
    let is_canonical =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if is_canonical { text.parse().ok() } else { None }
}
