//! Legal holds: payloads that would be destroyed, kept encrypted because a law or a court demands it.
//!
//! ```text
//! data/holds              which records are on hold, why and since when: one JSON object a line, mode 0600
//! data/held/<record id>   nonce (24 bytes) ‖ XChaCha20-Poly1305 of salt ‖ padded payload; the record id is
//!                         authenticated with it. Mode 0600; the key is keys/hold
//! ```
//!
//! The list is written by `hashpact-node hold`, whether or not the node runs, and read again before anything
//! is destroyed. What is in the folder is not indexed, not served, not exported, and read by nobody but
//! `hold extract`. Losing the key destroys it; somebody with folder and key reads it.

use crate::keystore::KeyAccess;
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use hashpact_protocol::digest::RecordId;
use hashpact_protocol::keys::SEED_BYTES;
use hashpact_protocol::limits::SALT_BYTES;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use zeroize::Zeroizing;

const NONCE_BYTES: usize = 24;

/// Why the vault cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// The file system.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The list of holds is not in its form.
    #[error("{}, line {line}: {detail}", path.display())]
    List {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong.
        detail: String,
    },
    /// The key cannot be had.
    #[error("the key of legal holds: {0}")]
    Key(String),
    /// No random bytes.
    #[error("the operating system gave no random bytes")]
    Random,
    /// A held payload is damaged, or was encrypted under another key.
    #[error("what is held of record {0} is damaged, or of another key")]
    Damaged(RecordId),
}

/// One record on hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// Record id in hexadecimal.
    pub record: String,
    /// Why, in the operator's words.
    pub reason: String,
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
}

/// A held payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The salt.
    pub salt: [u8; SALT_BYTES],
    /// The padded payload.
    pub padded: Vec<u8>,
}

/// The list of holds at one moment; `None` where it cannot be read.
#[derive(Debug)]
pub struct OnHold(Option<BTreeMap<RecordId, Hold>>);

impl OnHold {
    /// Whether a record must be kept.
    #[must_use]
    pub fn contains(&self, id: &RecordId) -> bool {
        self.0.as_ref().is_none_or(|holds| holds.contains_key(id))
    }
}

/// The list of holds and the folder of what is held.
#[derive(Debug, Clone)]
pub struct Vault {
    list: PathBuf,
    folder: PathBuf,
    keys: KeyAccess,
    /// The key of holds once it was needed: opening a sealed one takes long.
    key: Arc<OnceLock<Zeroizing<[u8; SEED_BYTES]>>>,
}

impl Vault {
    /// The vault of a data folder, whether or not there is anything in it.
    #[must_use]
    pub fn of(data: &Path, keys: &KeyAccess) -> Self {
        let (list, folder) = (data.join("holds"), data.join("held"));
        Self { list, folder, keys: keys.clone(), key: Arc::default() }
    }

    fn key(&self) -> Result<&[u8; SEED_BYTES], VaultError> {
        if let Some(key) = self.key.get() {
            return Ok(key);
        }
        let key = self.keys.hold_key().map_err(|error| VaultError::Key(format!("{error:#}")))?;
        Ok(self.key.get_or_init(|| key))
    }

    /// Records on hold.
    ///
    /// # Errors
    /// The list cannot be read.
    pub fn holds(&self) -> Result<BTreeMap<RecordId, Hold>, VaultError> {
        let text = match fs::read_to_string(&self.list) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(source) => return Err(VaultError::Io { path: self.list.clone(), source }),
        };
        let mut holds = BTreeMap::new();
        for (line, text) in (1..).zip(text.lines()) {
            let wrong = |detail: String| VaultError::List { path: self.list.clone(), line, detail };
            let hold: Hold = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
            let id = RecordId::from_hex(&hold.record).map_err(|error| wrong(error.to_string()))?;
            holds.insert(id, hold);
        }
        Ok(holds)
    }

    /// The list as it is now, for everything that is destroyed together. One that cannot be read holds everything:
    /// what was destroyed does not come back.
    #[must_use]
    pub fn on_hold(&self) -> OnHold {
        match self.holds() {
            Ok(holds) => OnHold(Some(holds)),
            Err(error) => {
                tracing::error!(%error, "the list of legal holds cannot be read; nothing is destroyed, all is held");
                OnHold(None)
            }
        }
    }

    /// Replaces the list.
    ///
    /// # Errors
    /// It cannot be written; then the one before is still there.
    pub fn set_holds(&self, holds: &BTreeMap<RecordId, Hold>) -> Result<(), VaultError> {
        let mut text = String::new();
        for hold in holds.values() {
            let line = serde_json::to_string(hold).expect("strings and numbers");
            text.push_str(&line);
            text.push('\n');
        }
        write_whole(&self.list, text.as_bytes())
    }

    /// Encrypts a payload and syncs it.
    ///
    /// # Errors
    /// It cannot be written, or there is no key.
    pub fn keep(&self, id: &RecordId, salt: &[u8; SALT_BYTES], padded: &[u8]) -> Result<(), VaultError> {
        fs::create_dir_all(&self.folder)
            .map_err(|source| VaultError::Io { path: self.folder.clone(), source })?;
        let key = self.key()?;
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| VaultError::Random)?;
        let plain = Zeroizing::new([salt, padded].concat());
        let message = Payload { msg: &plain, aad: id.as_bytes() };
        let cipher = XChaCha20Poly1305::new(key.into());
        let sealed =
            cipher.encrypt(XNonce::from_slice(&nonce), message).map_err(|_| VaultError::Damaged(*id))?;
        write_whole(&self.path(id), &[nonce.as_slice(), &sealed].concat())
    }

    /// Decrypts what is held of a record; `None` if nothing is.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    pub fn open(&self, id: &RecordId) -> Result<Option<Held>, VaultError> {
        let path = self.path(id);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(VaultError::Io { path, source }),
        };
        let damaged = || VaultError::Damaged(*id);
        let (nonce, sealed) = bytes.split_at_checked(NONCE_BYTES).ok_or_else(damaged)?;
        let key = self.key()?;
        let message = Payload { msg: sealed, aad: id.as_bytes() };
        let plain = XChaCha20Poly1305::new(key.into()).decrypt(XNonce::from_slice(nonce), message);
        let plain = Zeroizing::new(plain.map_err(|_| damaged())?);
        let (salt, padded) = plain.split_first_chunk::<SALT_BYTES>().ok_or_else(damaged)?;
        Ok(Some(Held { salt: *salt, padded: padded.to_vec() }))
    }

    /// Records of which a payload is held.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn kept(&self) -> Result<Vec<RecordId>, VaultError> {
        let io = |source| VaultError::Io { path: self.folder.clone(), source };
        let files = match fs::read_dir(&self.folder) {
            Ok(files) => files,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(io(source)),
        };
        let mut kept = Vec::new();
        for file in files {
            // What a crash left half written has another name, and is replaced by the next try.
            let name = file.map_err(io)?.file_name();
            kept.extend(RecordId::from_hex(&name.to_string_lossy()).ok());
        }
        Ok(kept)
    }

    /// Whether a payload is held of a record.
    #[must_use]
    pub fn has(&self, id: &RecordId) -> bool {
        self.path(id).exists()
    }

    /// Destroys what is held of a record.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn destroy(&self, id: &RecordId) -> Result<(), VaultError> {
        let path = self.path(id);
        match fs::remove_file(&path) {
            Ok(()) => sync_folder(&self.folder),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(VaultError::Io { path, source }),
        }
    }

    fn path(&self, id: &RecordId) -> PathBuf {
        self.folder.join(id.to_hex())
    }
}

/// Writes a file that nobody but its owner reads, so that a crash leaves the old one or the new one, whole.
fn write_whole(path: &Path, content: &[u8]) -> Result<(), VaultError> {
    let fresh = path.with_extension("new");
    let written = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&fresh, path)
    };
    written().map_err(|source| VaultError::Io { path: path.to_owned(), source })?;
    match path.parent() {
        Some(folder) => sync_folder(folder),
        None => Ok(()),
    }
}

fn sync_folder(folder: &Path) -> Result<(), VaultError> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|source| VaultError::Io { path: folder.to_owned(), source })
}
