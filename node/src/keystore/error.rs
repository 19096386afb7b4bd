//! Why keys cannot be created or opened.

use super::sealed::SEALED_FORMAT;
use super::{FORMAT, PassphraseError, SignerFault};
use hashpact_protocol::digest::HexError;
use std::path::PathBuf;

/// Why keys cannot be created or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyStoreError {
    /// `create` never overwrites.
    #[error("key file {} already exists; keys are never overwritten", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A key is not there.
    #[error("key file {} is missing", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// Others may read or write a key.
    #[error("key file {} has mode {mode:03o}: only its owner may access it (chmod 600)", path.display())]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file has another length than a key file of its role.
    #[error("key file {} has {found_bytes} bytes, a key file of its role has {expected_bytes}", path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// Its length.
        found_bytes: u64,
        /// The right length.
        expected_bytes: usize,
    },
    /// The line does not start as key files do, or does not end in a line feed.
    #[error("key file {} is not in the form {FORMAT:?}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
    },
    /// The file holds a key of another role.
    #[error("key file {} does not hold a {expected} key", path.display())]
    Role {
        /// The file.
        path: PathBuf,
        /// The role wanted.
        expected: &'static str,
    },
    /// The digits are wrong.
    #[error("key file {}: {source}", path.display())]
    Hex {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: HexError,
    },
    /// One key in two roles.
    #[error("{first} and {second} key are the same; one key per role")]
    Shared {
        /// One role.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// The file is sealed, and there is no passphrase for it.
    #[error("key file {} is sealed: {source}", path.display())]
    Passphrase {
        /// The file.
        path: PathBuf,
        /// Why there is none.
        source: PassphraseError,
    },
    /// Begins like a sealed key and is none.
    #[error("key file {} is not in the form {SEALED_FORMAT:?}", path.display())]
    SealForm {
        /// The file.
        path: PathBuf,
    },
    /// A role both in a file and at the signer.
    #[error("the signer is to hold the {role} key, and {} is there as well; move it away", path.display())]
    Twice {
        /// The file.
        path: PathBuf,
        /// The role.
        role: &'static str,
    },
    /// The file of a public key.
    #[error("{} does not hold the public {role} key of the signer", path.display())]
    Public {
        /// The file.
        path: PathBuf,
        /// The role.
        role: &'static str,
    },
    /// The signer.
    #[error(transparent)]
    Signer(#[from] SignerFault),
    /// The passphrase does not open the file.
    #[error("key file {} does not open: the passphrase is another, or the file was changed", path.display())]
    WrongPassphrase {
        /// The file.
        path: PathBuf,
    },
    /// Sealing or opening failed for want of memory or randomness.
    #[error("key file {}: sealing failed (is there memory for it?)", path.display())]
    Sealing {
        /// The file.
        path: PathBuf,
    },
    /// The operating system has no random bytes.
    #[error("no random bytes from the operating system: {0}")]
    Random(getrandom::Error),
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}
