//! Keys and raw Ed25519 signatures.
//!
//! A member holds one key per [`KeyRole`], and a roster refuses the same key in two places, so that
//! what a key signs is unambiguous even where two signed formats could collide. What is signed is
//! decided elsewhere (`note`, `cosignature`); randomness for seeds comes from the caller.
//!
//! Invariants (SPEC §3.1):
//! - a [`PublicKey`] is the canonical encoding of a point of the prime-order group that is not the
//!   neutral element. Small-order keys would verify many messages, mixed-order keys make cofactored
//!   and cofactorless verifiers disagree, and a second encoding would give one key two ids;
//! - verification is strict: reduced `S`, no small-order `R`, the cofactorless equation. All members
//!   therefore agree on every signature;
//! - a [`SecretKey`] wipes itself when dropped and never shows its content.
//!
//! ```
//! use hashpact_protocol::keys::SecretKey;
//! let key = SecretKey::from_seed([7; 32]);
//! let signature = key.sign(b"text");
//! assert!(key.public().verify(b"text", &signature).is_ok());
//! assert!(key.public().verify(b"test", &signature).is_err());
//! ```

use core::fmt;
use std::sync::Arc;

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};

use crate::digest::{HexError, hex_array, hex_encode};

/// Length of an encoded Ed25519 public key, in bytes.
pub const PUBLIC_KEY_BYTES: usize = 32;
/// Length of an Ed25519 signature, in bytes.
pub const SIGNATURE_BYTES: usize = 64;
/// Length of the seed a secret key is made from, in bytes.
pub const SEED_BYTES: usize = 32;

/// Why a key or a signature is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The bytes are not a point of the curve.
    #[error("public key is not a point of the curve")]
    NotAPoint,
    /// The bytes decode to a point whose canonical encoding is different.
    #[error("public key is not in canonical encoding")]
    NotCanonical,
    /// The point has small order: signatures under it prove nothing.
    #[error("public key has small order")]
    SmallOrder,
    /// The point has a small-order component, so verifiers could disagree about it.
    #[error("public key lies outside the prime-order group")]
    MixedOrder,
    /// The text is not a key in hexadecimal.
    #[error("public key text: {0}")]
    Hex(#[from] HexError),
    /// The signature does not verify, strictly, over this message under this key.
    #[error("signature does not verify")]
    BadSignature,
}

/// What a key may sign: one key per role, never shared between roles (SPEC §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyRole {
    /// Signs the checkpoints of one log, for that log's life.
    Log,
    /// Cosigns other members' checkpoints as a witness.
    Cosigner,
    /// Signs the member's node card.
    Card,
    /// Authenticates peer connections.
    Peer,
    /// Signs roster versions.
    Governance,
}

impl KeyRole {
    /// Every role, in declaration order.
    pub const ALL: [Self; 5] = [Self::Log, Self::Cosigner, Self::Card, Self::Peer, Self::Governance];

    /// The role's lower-case name, for file names and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Cosigner => "cosigner",
            Self::Card => "card",
            Self::Peer => "peer",
            Self::Governance => "governance",
        }
    }
}

/// A raw Ed25519 signature (RFC 8032); not yet verified.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; SIGNATURE_BYTES]);

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({})", hex_encode(&self.0))
    }
}

/// An Ed25519 public key that passed every check of SPEC §3.1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; PUBLIC_KEY_BYTES]);

impl PublicKey {
    /// Accepts the canonical encoding of a point of the prime-order group.
    ///
    /// # Errors
    /// [`KeyError`] names the check that failed.
    pub fn from_bytes(bytes: [u8; PUBLIC_KEY_BYTES]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::NotAPoint)?;
        let point = key.to_edwards();
        if point.compress().to_bytes() != bytes {
            return Err(KeyError::NotCanonical);
        }
        if point.is_small_order() {
            return Err(KeyError::SmallOrder);
        }
        if !point.is_torsion_free() {
            return Err(KeyError::MixedOrder);
        }
        Ok(Self(bytes))
    }

    /// Reads 64 lower-case hexadecimal digits.
    ///
    /// # Errors
    /// [`KeyError::Hex`], or what [`PublicKey::from_bytes`] refuses.
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        Self::from_bytes(hex_array(text)?)
    }

    /// The 32 bytes of RFC 8032.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; PUBLIC_KEY_BYTES] {
        &self.0
    }

    /// 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex_encode(&self.0)
    }

    /// Verifies strictly: reduced `S`, no small-order `R`, the cofactorless equation.
    ///
    /// # Errors
    /// [`KeyError::BadSignature`].
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), KeyError> {
        // The bytes were checked when this value was made, so decoding them again cannot fail.
        let key = VerifyingKey::from_bytes(&self.0).map_err(|_| KeyError::NotAPoint)?;
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        key.verify_strict(message, &signature).map_err(|_| KeyError::BadSignature)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.to_hex())
    }
}

/// An Ed25519 signing key. Dropping it wipes it from memory; printing it shows the public half.
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// Derives the key from 32 secret random bytes. The caller wipes its own copy.
    #[must_use]
    pub fn from_seed(seed: [u8; SEED_BYTES]) -> Self {
        let seed = zeroize::Zeroizing::new(seed);
        Self(SigningKey::from_bytes(&seed))
    }

    /// The seed, for the one module that writes it to a key file.
    #[must_use]
    pub fn seed(&self) -> &[u8; SEED_BYTES] {
        self.0.as_bytes()
    }

    /// Signs exactly these bytes (RFC 8032, deterministic).
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).to_bytes())
    }

    /// The matching public key.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        // A clamped scalar times the base point is in the prime-order group and is never neutral.
        PublicKey(self.0.verifying_key().to_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.public())
    }
}

/// Somebody else who holds a key: a program in front of a key service or a hardware module.
///
/// What comes back is never believed: [`Signer`] verifies it before anybody sees it.
pub trait RemoteSigner: Send + Sync {
    /// A signature over exactly these bytes, or `None` if there is none to be had now.
    fn sign(&self, message: &[u8]) -> Option<Signature>;
}

/// Why there is no signature. Nothing was released; asking again later is safe, for Ed25519 is deterministic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignerError {
    /// It does not answer, or refuses.
    #[error("the external signer gave no signature")]
    Unavailable,
    /// What it gave does not verify under the key that it is to hold.
    #[error("the external signer gave a signature that does not verify")]
    Wrong,
}

/// A key that signs: here, or held by somebody else. Cheap to clone.
#[derive(Clone)]
pub struct Signer(Held);

#[derive(Clone)]
enum Held {
    Here(Arc<SecretKey>),
    Elsewhere { public: PublicKey, by: Arc<dyn RemoteSigner> },
}

impl Signer {
    /// One whose key somebody else holds.
    #[must_use]
    pub fn remote(public: PublicKey, by: Arc<dyn RemoteSigner>) -> Self {
        Self(Held::Elsewhere { public, by })
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        match &self.0 {
            Held::Here(key) => key.public(),
            Held::Elsewhere { public, .. } => *public,
        }
    }

    /// Signs exactly these bytes. A key that is here always does.
    ///
    /// # Errors
    /// [`SignerError`]; then no signature exists outside the signer.
    pub fn sign(&self, message: &[u8]) -> Result<Signature, SignerError> {
        match &self.0 {
            Held::Here(key) => Ok(key.sign(message)),
            Held::Elsewhere { public, by } => {
                let signature = by.sign(message).ok_or(SignerError::Unavailable)?;
                public.verify(message, &signature).map_err(|_| SignerError::Wrong)?;
                Ok(signature)
            }
        }
    }
}

impl From<SecretKey> for Signer {
    fn from(key: SecretKey) -> Self {
        Self(Held::Here(Arc::new(key)))
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer(of {})", self.public())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Elsewhere(SecretKey, fn(Signature) -> Option<Signature>);

    impl RemoteSigner for Elsewhere {
        fn sign(&self, message: &[u8]) -> Option<Signature> {
            (self.1)(self.0.sign(message))
        }
    }

    #[test]
    fn what_somebody_else_signs_is_verified_first() {
        let key = SecretKey::from_seed([3; 32]);
        let public = key.public();
        let signer =
            |answer| Signer::remote(public, Arc::new(Elsewhere(SecretKey::from_seed([3; 32]), answer)));
        assert_eq!(signer(Some).sign(b"text"), Ok(key.sign(b"text")));
        assert_eq!(signer(|_| None).sign(b"text"), Err(SignerError::Unavailable));
        let broken = |mut signature: Signature| {
            signature.0[5] ^= 1;
            Some(signature)
        };
        assert_eq!(signer(broken).sign(b"text"), Err(SignerError::Wrong));
        let other = Signer::remote(public, Arc::new(Elsewhere(SecretKey::from_seed([4; 32]), Some)));
        assert_eq!(other.sign(b"text"), Err(SignerError::Wrong));
        assert_eq!(
            Signer::from(key).sign(b"text").map(|signature| public.verify(b"text", &signature)),
            Ok(Ok(()))
        );
    }

    #[test]
    fn rfc_8032_test_one() {
        let seed = hex_array("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").unwrap();
        let key = SecretKey::from_seed(seed);
        assert_eq!(key.public().to_hex(), "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        assert!(hex_encode(&key.sign(b"").0).starts_with("e5564300c360ac729086e2cc806e828a"));
        assert_eq!(PublicKey::from_bytes(*key.public().as_bytes()), Ok(key.public()));
        assert!(!format!("{key:?}").contains("9d61"));
    }

    #[test]
    fn every_bit_of_a_signature_counts() {
        let key = SecretKey::from_seed([3; 32]);
        let good = key.sign(b"message");
        assert_eq!(key.public().verify(b"message", &good), Ok(()));
        for bit in 0..SIGNATURE_BYTES * 8 {
            let mut bad = good;
            bad.0[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key.public().verify(b"message", &bad), Err(KeyError::BadSignature), "bit {bit}");
        }
    }
}
