//! C2SP signed notes: a text followed by signature lines.
//!
//! Checkpoints, roster versions and node cards are all notes, so this is the one text envelope whose
//! bytes members verify. Parsing is strict and gives every accepted note one spelling:
//! [`Note::encode`] returns exactly the bytes that [`Note::parse`] took. Verification is over the
//! text as received.
//!
//! What the text means belongs to `checkpoint` and `roster`; timestamped witness signatures to
//! `cosignature`. Signature lines of keys the caller does not know are kept and ignored, as the
//! format demands; two lines of the *same* known key are refused, because a verifier that picked
//! one of them would disagree with one that picked the other.
//!
//! Invariants (SPEC §3.2): bounded before anything is copied; UTF-8; no ASCII control character but
//! newline; base64 with padding and no stray bits; a key is known by its name *and* its id.
//!
//! ```
//! use hashpact_protocol::keys::SecretKey;
//! use hashpact_protocol::note::{Note, NoteAlgorithm, NoteKey, sign_note};
//! let key = SecretKey::from_seed([1; 32]);
//! let text = "hello\n".to_string();
//! let signatures = vec![sign_note(&text, "example.org/key", &key)];
//! let bytes = Note { text, signatures }.encode();
//! let note = Note::parse(&bytes)?;
//! let known = NoteKey {
//!     name: "example.org/key".into(),
//!     algorithm: NoteAlgorithm::Ed25519,
//!     key: key.public(),
//! };
//! note.verify(&known)?;
//! # Ok::<(), hashpact_protocol::note::NoteError>(())
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::digest::{hex_array, hex_encode, sha256};
use crate::keys::{
    KeyError, PUBLIC_KEY_BYTES, PublicKey, SIGNATURE_BYTES, SecretKey, Signature, Signer, SignerError,
};
use crate::limits::{NOTE_MAX_BYTES, NOTE_SIGNATURES_MAX};

/// Length of a key id, in bytes.
pub const KEY_ID_BYTES: usize = 4;

/// How a signature line starts: em dash, space.
const LINE_PREFIX: &str = "— ";
/// What separates the text from the signature lines: the end of the text and an empty line.
const SEPARATOR: &str = "\n\n";

/// Why bytes are not a note, or a note does not prove what is asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// Longer than [`NOTE_MAX_BYTES`].
    #[error("note of {bytes} bytes, at most {NOTE_MAX_BYTES} are read")]
    TooLong {
        /// Length found.
        bytes: usize,
    },
    /// Not UTF-8.
    #[error("note is not UTF-8 after byte {valid_bytes}")]
    NotUtf8 {
        /// Bytes before the first invalid one.
        valid_bytes: usize,
    },
    /// An ASCII control character other than newline.
    #[error("control character 0x{character:02x} at byte {offset}")]
    ControlCharacter {
        /// Its position.
        offset: usize,
        /// Its code.
        character: u8,
    },
    /// No empty line separates a text from signature lines.
    #[error("no empty line between text and signatures")]
    NoSeparator,
    /// Nothing follows the empty line.
    #[error("no signature lines")]
    NoSignatureLines,
    /// More than [`NOTE_SIGNATURES_MAX`] signature lines.
    #[error("more than {NOTE_SIGNATURES_MAX} signature lines")]
    TooManySignatures,
    /// The last signature line does not end in a newline.
    #[error("last signature line does not end in a newline")]
    UnfinishedLine,
    /// A signature line is not `— <name> <base64>`.
    #[error("signature line {line} does not have the form of one")]
    LineForm {
        /// Signature line, counted from 0.
        line: usize,
    },
    /// A key name is empty, or contains a space or a plus sign.
    #[error("key name in signature line {line} is empty or contains a space or a plus sign")]
    KeyName {
        /// Signature line, counted from 0.
        line: usize,
    },
    /// A signature is not canonical base64 with padding.
    #[error("signature line {line} is not canonical base64")]
    Base64 {
        /// Signature line, counted from 0.
        line: usize,
    },
    /// A signature is too short to hold a key id and at least one byte.
    #[error("signature line {line} holds {bytes} bytes, at least {} are needed", KEY_ID_BYTES + 1)]
    ShortSignature {
        /// Signature line, counted from 0.
        line: usize,
        /// Bytes decoded.
        bytes: usize,
    },
    /// The key is meant for another kind of signature than the one asked for.
    #[error("the key makes {found:?} signatures, not {expected:?}")]
    WrongAlgorithm {
        /// What the operation verifies.
        expected: NoteAlgorithm,
        /// What the key is for.
        found: NoteAlgorithm,
    },
    /// No signature line carries the key's name and id.
    #[error("no signature by {name}")]
    NotSigned {
        /// Name of the key looked for.
        name: String,
    },
    /// More than one signature line carries the key's name and id.
    #[error("{count} signatures by {name}, exactly one is expected")]
    DuplicateSignature {
        /// Name of the key.
        name: String,
        /// Lines found.
        count: usize,
    },
    /// The signature of a known key has the wrong length for its algorithm.
    #[error("signature by {name} has {bytes} bytes, expected {expected}")]
    SignatureLength {
        /// Name of the key.
        name: String,
        /// Length the algorithm has.
        expected: usize,
        /// Length found.
        bytes: usize,
    },
    /// The signature of a known key does not verify.
    #[error("signature by {name} does not verify")]
    BadSignature {
        /// Name of the key.
        name: String,
    },
    /// A verifier key is not `<name>+<key id>+<base64>`.
    #[error("verifier key does not have the form name+id+key")]
    VkeyForm,
    /// A verifier key names a signature type that this protocol does not use.
    #[error("verifier key of unknown signature type 0x{code:02x}")]
    VkeyAlgorithm {
        /// Type found.
        code: u8,
    },
    /// The id in a verifier key is not the one that its name and key have.
    #[error("verifier key states id {stated}, its key has {computed}")]
    VkeyId {
        /// Id stated, in hexadecimal.
        stated: String,
        /// Id of the key, in hexadecimal.
        computed: String,
    },
    /// The public key inside a verifier key is refused.
    #[error("verifier key: {0}")]
    VkeyKey(#[from] KeyError),
}

/// What a note key signs with: the signature type byte of C2SP signed-note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum NoteAlgorithm {
    /// Plain Ed25519 over the note text.
    Ed25519 = 0x01,
    /// Timestamped Ed25519 witness cosignature.
    CosignatureV1 = 0x04,
}

impl NoteAlgorithm {
    /// The signature type byte.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            0x01 => Some(Self::Ed25519),
            0x04 => Some(Self::CosignatureV1),
            _ => None,
        }
    }
}

/// One signature line, not yet verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteSignature {
    /// Key name: not empty, without spaces or plus signs (see [`is_key_name`]).
    pub name: String,
    /// Which key of that name, and of what type.
    pub key_id: [u8; KEY_ID_BYTES],
    /// The signature itself, after the key id; never empty.
    pub bytes: Vec<u8>,
}

/// A note, well-formed but unverified: trust nothing in `text` before a signature verifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What is signed, with its final newline.
    pub text: String,
    /// All signature lines, known or not, in order.
    pub signatures: Vec<NoteSignature>,
}

/// A public key as a note verifier knows it: by name, type and key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteKey {
    /// Key name.
    pub name: String,
    /// What kind of signatures the key makes.
    pub algorithm: NoteAlgorithm,
    /// The key.
    pub key: PublicKey,
}

impl Note {
    /// Reads a note and checks its form; verifies nothing.
    ///
    /// # Errors
    /// [`NoteError`] names the rule broken.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > NOTE_MAX_BYTES {
            return Err(NoteError::TooLong { bytes: bytes.len() });
        }
        let note = core::str::from_utf8(bytes)
            .map_err(|error| NoteError::NotUtf8 { valid_bytes: error.valid_up_to() })?;
        let control = bytes.iter().enumerate().find(|(_, byte)| **byte < b' ' && **byte != b'\n');
        if let Some((offset, character)) = control {
            return Err(NoteError::ControlCharacter { offset, character: *character });
        }
        // The text may itself contain empty lines: the last one separates.
        let (head, tail) = note.rsplit_once(SEPARATOR).ok_or(NoteError::NoSeparator)?;
        if tail.is_empty() {
            return Err(NoteError::NoSignatureLines);
        }
        let lines = tail.strip_suffix('\n').ok_or(NoteError::UnfinishedLine)?;
        let mut signatures = Vec::new();
        for (line, content) in lines.split('\n').enumerate() {
            if line == NOTE_SIGNATURES_MAX {
                return Err(NoteError::TooManySignatures);
            }
            signatures.push(parse_line(line, content)?);
        }
        Ok(Self { text: format!("{head}\n"), signatures })
    }

    /// The bytes of the note: the exact inverse of [`Note::parse`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut note = String::with_capacity(self.text.len() + 1 + self.signatures.len() * 160);
        note.push_str(&self.text);
        note.push('\n');
        for signature in &self.signatures {
            let bytes = [signature.key_id.as_slice(), &signature.bytes].concat();
            note.push_str(LINE_PREFIX);
            note.push_str(&signature.name);
            note.push(' ');
            note.push_str(&BASE64.encode(bytes));
            note.push('\n');
        }
        note.into_bytes()
    }

    /// Checks that `key` signed the text, in exactly one line.
    ///
    /// # Errors
    /// [`NoteError::NotSigned`], [`NoteError::DuplicateSignature`], [`NoteError::SignatureLength`],
    /// [`NoteError::BadSignature`]; [`NoteError::WrongAlgorithm`] for a cosigner's key.
    pub fn verify(&self, key: &NoteKey) -> Result<(), NoteError> {
        if key.algorithm != NoteAlgorithm::Ed25519 {
            return Err(NoteError::WrongAlgorithm { expected: NoteAlgorithm::Ed25519, found: key.algorithm });
        }
        let line = self.signature_by(key)?;
        let signature = <[u8; SIGNATURE_BYTES]>::try_from(line.bytes.as_slice()).map_err(|_| {
            NoteError::SignatureLength {
                name: key.name.clone(),
                expected: SIGNATURE_BYTES,
                bytes: line.bytes.len(),
            }
        })?;
        key.key
            .verify(self.text.as_bytes(), &Signature(signature))
            .map_err(|_| NoteError::BadSignature { name: key.name.clone() })
    }

    /// The one signature line that carries this key's name and id; not verified.
    ///
    /// # Errors
    /// [`NoteError::NotSigned`] or [`NoteError::DuplicateSignature`].
    pub fn signature_by(&self, key: &NoteKey) -> Result<&NoteSignature, NoteError> {
        let key_id = key.key_id();
        let mut lines = self.signatures.iter().filter(|line| line.key_id == key_id && line.name == key.name);
        let Some(first) = lines.next() else {
            return Err(NoteError::NotSigned { name: key.name.clone() });
        };
        match lines.count() {
            0 => Ok(first),
            more => Err(NoteError::DuplicateSignature { name: key.name.clone(), count: more + 1 }),
        }
    }
}

impl NoteKey {
    /// The key's id: the first bytes of SHA-256(name ‖ newline ‖ type ‖ key).
    #[must_use]
    pub fn key_id(&self) -> [u8; KEY_ID_BYTES] {
        key_id(&self.name, self.algorithm, &self.key)
    }

    /// The C2SP text form of a verifier key: `<name>+<key id in hex>+<base64 of type and key>`.
    #[must_use]
    pub fn vkey(&self) -> String {
        let mut material = vec![self.algorithm.code()];
        material.extend_from_slice(self.key.as_bytes());
        format!("{}+{}+{}", self.name, hex_encode(&self.key_id()), BASE64.encode(material))
    }

    /// Reads what [`NoteKey::vkey`] writes, and nothing else.
    ///
    /// # Errors
    /// The `Vkey` variants of [`NoteError`].
    pub fn parse_vkey(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(material)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::VkeyForm);
        };
        if text.len() > NOTE_MAX_BYTES || !is_key_name(name) {
            return Err(NoteError::VkeyForm);
        }
        let stated: [u8; KEY_ID_BYTES] = hex_array(id).map_err(|_| NoteError::VkeyForm)?;
        let material = BASE64.decode(material).map_err(|_| NoteError::VkeyForm)?;
        let (code, key) = material.split_first().ok_or(NoteError::VkeyForm)?;
        let algorithm = NoteAlgorithm::from_code(*code).ok_or(NoteError::VkeyAlgorithm { code: *code })?;
        let key = <[u8; PUBLIC_KEY_BYTES]>::try_from(key).map_err(|_| NoteError::VkeyForm)?;
        let key = Self { name: name.to_owned(), algorithm, key: PublicKey::from_bytes(key)? };
        let computed = key.key_id();
        if stated != computed {
            return Err(NoteError::VkeyId { stated: hex_encode(&stated), computed: hex_encode(&computed) });
        }
        Ok(key)
    }
}

/// Signs a note text (Ed25519, type 0x01). The text ends in a newline and `name` is a key name.
#[must_use]
pub fn sign_note(text: &str, name: &str, key: &SecretKey) -> NoteSignature {
    NoteSignature {
        name: name.to_owned(),
        key_id: key_id(name, NoteAlgorithm::Ed25519, &key.public()),
        bytes: key.sign(text.as_bytes()).0.to_vec(),
    }
}

/// The same by whoever holds the key.
///
/// # Errors
/// [`SignerError`]: there is no signature.
pub fn sign_note_by(text: &str, name: &str, key: &Signer) -> Result<NoteSignature, SignerError> {
    let key_id = key_id(name, NoteAlgorithm::Ed25519, &key.public());
    Ok(NoteSignature { name: name.to_owned(), key_id, bytes: key.sign(text.as_bytes())?.0.to_vec() })
}

/// Whether a text can name a key: not empty, no Unicode space, no plus sign, no control character.
#[must_use]
pub fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == '+' || c < ' ')
}

/// The id of a key of this name and type.
pub(crate) fn key_id(name: &str, algorithm: NoteAlgorithm, key: &PublicKey) -> [u8; KEY_ID_BYTES] {
    let [a, b, c, d, ..] = sha256(&[name.as_bytes(), b"\n", &[algorithm.code()], key.as_bytes()]);
    [a, b, c, d]
}

fn parse_line(line: usize, content: &str) -> Result<NoteSignature, NoteError> {
    let (name, signature) = content
        .strip_prefix(LINE_PREFIX)
        .and_then(|rest| rest.split_once(' '))
        .ok_or(NoteError::LineForm { line })?;
    if !is_key_name(name) {
        return Err(NoteError::KeyName { line });
    }
    let bytes = BASE64.decode(signature).map_err(|_| NoteError::Base64 { line })?;
    match bytes.split_first_chunk::<KEY_ID_BYTES>() {
        Some((key_id, rest)) if !rest.is_empty() => {
            Ok(NoteSignature { name: name.to_owned(), key_id: *key_id, bytes: rest.to_vec() })
        }
        _ => Err(NoteError::ShortSignature { line, bytes: bytes.len() }),
    }
}
