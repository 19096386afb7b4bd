//! Digests: the 32-byte names of things, and the table of domain tags.
//!
//! Every value in here is SHA-256 output, and yet a leaf hash, an interior node, a root, a log id, a
//! payload commitment and a roster digest must never be exchanged for one another by accident. Each
//! has its own type; the few conversions that are meaningful (a leaf hash is a tree node, the node
//! that covers a whole tree is its root) are spelled as `From`.
//!
//! RFC 6962 separates leaves from interior nodes by a prefix byte; our own hash inputs start with a
//! tag from [`tags`]. A log id is the plain SHA-256 of its origin and a roster digest the plain
//! SHA-256 of a roster body, as SPEC §2 says: neither shares an input format with anything else.
//!
//! Text form is always 64 lower-case hexadecimal digits; upper case is refused, so that one value
//! has one spelling. What a digest is a digest *of* is decided by the modules that produce it.
//!
//! ```
//! use hashpact_protocol::digest::{LogId, leaf_hash};
//! let id = LogId::of_origin("hearth-0011223344556677/north/0");
//! assert_eq!(LogId::from_hex(&id.to_hex()), Ok(id));
//! assert_ne!(leaf_hash(b"a"), leaf_hash(b"b"));
//! ```

use core::fmt;

use sha2::{Digest as _, Sha256};

/// Length of every digest, in bytes.
pub const DIGEST_BYTES: usize = 32;

/// The first bytes of every hash and signature input, one table for the whole protocol (SPEC §2).
pub mod tags {
    /// RFC 6962 §2.1: the prefix of a leaf hash.
    pub const LEAF: &[u8] = &[0x00];
    /// RFC 6962 §2.1: the prefix of an interior node hash.
    pub const NODE: &[u8] = &[0x01];
    /// The prefix of a payload commitment.
    pub const PAYLOAD: &[u8] = b"hashpact/payload/v1\0";
    /// C2SP tlog-cosignature: the header line of the message a cosigner signs.
    pub const COSIGNATURE: &[u8] = b"cosignature/v1\n";
    /// C2SP tlog-proof: the first line of an offline proof.
    pub const TLOG_PROOF: &[u8] = b"c2sp.org/tlog-proof@v1\n";
    /// The prefix of a node's own name for a history of a forked log; never sent.
    pub const KEPT_LINE: &[u8] = b"hashpact/kept-line/v1\0";
}

/// Why a text is not the hexadecimal form of the expected bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HexError {
    /// Two digits make a byte, so the text must have an even number of them.
    #[error("{digits} hexadecimal digits do not make whole bytes")]
    OddLength {
        /// Characters found.
        digits: usize,
    },
    /// A fixed-width value has another width.
    #[error("expected {expected_bytes} bytes in hexadecimal, found {found_bytes}")]
    Width {
        /// Bytes of the type.
        expected_bytes: usize,
        /// Bytes that the text describes.
        found_bytes: usize,
    },
    /// Only `0-9` and `a-f` are digits here; upper case would give a value two spellings.
    #[error("byte {position} of the text is not a lower-case hexadecimal digit")]
    Digit {
        /// Offset of the offending byte in the text.
        position: usize,
    },
}

// Six types with the same surface. A generic `Digest<Kind>` would carry phantom bounds into every
// signature and error message, so the repetition is written once, here.
macro_rules! digest_types {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; DIGEST_BYTES]);

        impl $name {
            /// Wraps 32 bytes that are already known to be this kind of digest.
            #[must_use]
            pub const fn new(bytes: [u8; DIGEST_BYTES]) -> Self {
                Self(bytes)
            }

            /// The bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; DIGEST_BYTES] {
                &self.0
            }

            /// Reads 64 lower-case hexadecimal digits.
            ///
            /// # Errors
            /// [`HexError`] names the width or the digit that is wrong.
            pub fn from_hex(text: &str) -> Result<Self, HexError> {
                hex_array(text).map(Self)
            }

            /// 64 lower-case hexadecimal digits.
            #[must_use]
            pub fn to_hex(&self) -> String {
                hex_encode(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.to_hex())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.to_hex())
            }
        }
    )+};
}

digest_types! {
    /// RFC 6962 leaf hash of a log entry; being unique to its log and index, also the record's id.
    LeafHash;
    /// Hash of any node of a Merkle tree: a leaf, or the top of a subtree.
    NodeHash;
    /// Merkle tree hash of a whole tree of a stated size.
    Root;
    /// SHA-256 of a log's origin line.
    LogId;
    /// What a leaf says about its payload without revealing it (SPEC §6).
    PayloadCommitment;
    /// SHA-256 of a roster body, by which its successor names it (SPEC §8).
    RosterDigest;
}

/// A record is named by the leaf hash of the entry that states it.
pub type RecordId = LeafHash;

impl LogId {
    /// The id of the log with this origin line (without its newline).
    #[must_use]
    pub fn of_origin(origin: &str) -> Self {
        Self(sha256(&[origin.as_bytes()]))
    }
}

impl RosterDigest {
    /// The digest of a roster body, byte for byte as signed.
    #[must_use]
    pub fn of_body(body: &[u8]) -> Self {
        Self(sha256(&[body]))
    }
}

impl From<LeafHash> for NodeHash {
    fn from(leaf: LeafHash) -> Self {
        Self(leaf.0)
    }
}

impl From<NodeHash> for Root {
    fn from(node: NodeHash) -> Self {
        Self(node.0)
    }
}

impl From<Root> for NodeHash {
    fn from(root: Root) -> Self {
        Self(root.0)
    }
}

/// SHA-256 of the concatenation of `parts`, without copying them together first.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> [u8; DIGEST_BYTES] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// SHA-256 of bytes that arrive in parts; the same as [`sha256`] of all of them.
#[derive(Debug, Clone, Default)]
pub struct Sha256Parts(Sha256);

impl Sha256Parts {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of everything taken so far.
    #[must_use]
    pub fn digest(&self) -> [u8; DIGEST_BYTES] {
        self.0.clone().finalize().into()
    }
}

/// RFC 6962 §2.1: the hash of a log entry.
#[must_use]
pub fn leaf_hash(leaf: &[u8]) -> LeafHash {
    LeafHash(sha256(&[tags::LEAF, leaf]))
}

/// RFC 6962 §2.1: the hash of an interior node over its two children.
#[must_use]
pub fn node_hash(left: &NodeHash, right: &NodeHash) -> NodeHash {
    NodeHash(sha256(&[tags::NODE, &left.0, &right.0]))
}

/// RFC 6962 §2.1: the root of the tree without leaves, SHA-256 of nothing.
#[must_use]
pub fn empty_root() -> Root {
    Root(sha256(&[]))
}

/// Lower-case hexadecimal form of any bytes.
#[must_use]
pub fn hex_encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 0x0f));
    }
    text
}

/// Reads lower-case hexadecimal text. The caller bounds the length of `text`.
///
/// # Errors
/// [`HexError::OddLength`] or [`HexError::Digit`].
pub fn hex_decode(text: &str) -> Result<Vec<u8>, HexError> {
    if !text.len().is_multiple_of(2) {
        return Err(HexError::OddLength { digits: text.len() });
    }
    let mut bytes = Vec::with_capacity(text.len() / 2);
    let mut high = None;
    for (position, character) in text.bytes().enumerate() {
        let nibble = nibble(character).ok_or(HexError::Digit { position })?;
        match high.take() {
            None => high = Some(nibble << 4),
            Some(upper) => bytes.push(upper | nibble),
        }
    }
    Ok(bytes)
}

/// Reads hexadecimal text of exactly `N` bytes, checking the width before decoding.
///
/// # Errors
/// [`HexError`], the width first.
pub fn hex_array<const N: usize>(text: &str) -> Result<[u8; N], HexError> {
    if text.len() != N.saturating_mul(2) {
        return Err(if text.len().is_multiple_of(2) {
            HexError::Width { expected_bytes: N, found_bytes: text.len() / 2 }
        } else {
            HexError::OddLength { digits: text.len() }
        });
    }
    let bytes = hex_decode(text)?;
    let found_bytes = bytes.len();
    bytes.try_into().map_err(|_| HexError::Width { expected_bytes: N, found_bytes })
}

const fn digit(nibble: u8) -> char {
    (if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }) as char
}

const fn nibble(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_has_one_spelling() {
        assert_eq!(hex_encode(&[0x00, 0x9f, 0xff]), "009fff");
        assert_eq!(hex_decode("009fff"), Ok(vec![0x00, 0x9f, 0xff]));
        assert_eq!(hex_decode("009"), Err(HexError::OddLength { digits: 3 }));
        assert_eq!(hex_decode("0F"), Err(HexError::Digit { position: 1 }));
        assert_eq!(hex_decode("0g"), Err(HexError::Digit { position: 1 }));
        // Two bytes of UTF-8 must not be taken for two digits.
        assert_eq!(hex_decode("é"), Err(HexError::Digit { position: 0 }));
        assert_eq!(Root::from_hex("00"), Err(HexError::Width { expected_bytes: 32, found_bytes: 1 }));
        assert_eq!(Root::from_hex(&"0".repeat(63)), Err(HexError::OddLength { digits: 63 }));
        let root = empty_root();
        assert_eq!(Root::from_hex(&root.to_hex()), Ok(root));
        assert_eq!(format!("{root:?}"), format!("Root({root})"));
    }

    #[test]
    fn known_answers() {
        assert_eq!(empty_root().to_hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(
            leaf_hash(b"").to_hex(),
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        );
        let leaf = NodeHash::from(leaf_hash(b""));
        assert_eq!(
            node_hash(&leaf, &leaf).as_bytes(),
            &sha256(&[&[1], leaf.as_bytes().as_slice(), leaf.as_bytes()])
        );
        assert_eq!(LogId::of_origin("a").as_bytes(), &sha256(&[b"a"]));
        assert_eq!(RosterDigest::of_body(b"a").as_bytes(), &sha256(&[b"a"]));
    }
}
