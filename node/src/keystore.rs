//! Secret keys on disk: one file per role, readable by their owner only.
//!
//! ```text
//! hashpact-secret-key-1 <role> <64 lower-case hexadecimal digits>\n
//! ```
//!
//! The role stands in the file, so that a file renamed or copied to another place is refused instead
//! of signing in the wrong role. Keys are created by `init` (or the governance tool) only, never
//! overwritten, and synced together with their folder before `create` returns. `open` refuses a file
//! that group or others may read or write, and two roles with one key.
//!
//! Somebody who can read a key file *is* this member in that role until the roster replaces the
//! key; somebody who can write one stops the node. Losing `log.key` closes the log; losing the others
//! costs a roster change. Files may be sealed by a passphrase (`keys encrypt`), which then comes from
//! somewhere else than this disk; or the log, card and cosigner keys are held by another program and never here
//! ([`signer`], SIGNER.md). The peer key is always a file: it authenticates connections, each of which needs it, and signs
//! nothing that lasts.

mod access;
mod error;
mod hold;
mod passphrase;
mod sealed;
mod signer;

pub use access::KeyAccess;
pub use error::KeyStoreError;
pub use hold::hold_key_path;
pub use passphrase::{PASSPHRASE_MIN_BYTES, Passphrase, PassphraseError, PassphraseSource};

pub use signer::{SignerFault, SignerProgram};

use sealed::{SEALED_FORMAT, SealFault, Sealed};

use hashpact_protocol::digest::{hex_array, hex_encode};
use hashpact_protocol::keys::{KeyRole, PublicKey, SEED_BYTES, SecretKey, Signer};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const FORMAT: &str = "hashpact-secret-key-1";
/// A public key whose secret half a signer holds.
const PUBLIC_FORMAT: &str = "hashpact-public-key-1";
/// Longest key file, generously: a longer one is not read to its end.
const FILE_BYTES_MAX: u64 = 512;

/// The keys of one node, wherever they are.
#[derive(Debug)]
pub struct NodeKeys {
    /// Signs the own log's checkpoints.
    pub log: Signer,
    /// Signs the member's node card.
    pub card: Signer,
    /// Cosigns other members' checkpoints.
    pub cosigner: Signer,
    /// Authenticates peer connections.
    pub peer: SecretKey,
}

/// The secret keys of one node, all of them files.
#[derive(Debug)]
pub struct KeyStore {
    /// Signs the own log's checkpoints.
    pub log: SecretKey,
    /// Signs the member's node card.
    pub card: SecretKey,
    /// Cosigns other members' checkpoints.
    pub cosigner: SecretKey,
    /// Authenticates peer connections.
    pub peer: SecretKey,
}

impl KeyStore {
    /// The roles that a node holds, in the order of their creation.
    pub const ROLES: [KeyRole; 4] = [KeyRole::Log, KeyRole::Card, KeyRole::Cosigner, KeyRole::Peer];

    /// Creates fresh keys of all roles in `dir`, which is made if missing (mode 0700).
    ///
    /// # Errors
    /// [`KeyStoreError::Exists`] if any key file is there (then none is created),
    /// [`KeyStoreError::Random`], [`KeyStoreError::Io`].
    pub fn create(dir: &Path) -> Result<Self, KeyStoreError> {
        make_key_dir(dir)?;
        let make = |role| create_key(&key_path(dir, role), role);
        let [log, card, cosigner, peer] = Self::ROLES;
        Ok(Self { log: make(log)?, card: make(card)?, cosigner: make(cosigner)?, peer: make(peer)? })
    }

    /// Opens the keys of all roles.
    ///
    /// # Errors
    /// As [`open_key`], and [`KeyStoreError::Shared`].
    pub fn open(dir: &Path) -> Result<Self, KeyStoreError> {
        let open = |role| open_key(&key_path(dir, role), role);
        let [log, card, cosigner, peer] = Self::ROLES;
        let keys = Self { log: open(log)?, card: open(card)?, cosigner: open(cosigner)?, peer: open(peer)? };
        check_shared(&[&keys.log, &keys.card, &keys.cosigner, &keys.peer].map(SecretKey::public))?;
        Ok(keys)
    }

    /// The roles whose keys a folder is to hold: all, or the peer key alone if it is a read replica's.
    #[must_use]
    pub fn roles_in(dir: &Path) -> Vec<KeyRole> {
        let is_there = |role: &KeyRole| {
            let paths = [key_path(dir, *role), public_path(dir, *role)];
            paths.iter().any(|path| fs::symlink_metadata(path).is_ok())
        };
        let is_replica =
            is_there(&KeyRole::Peer) && Self::ROLES.iter().filter(|role| is_there(role)).count() == 1;
        if is_replica { vec![KeyRole::Peer] } else { Self::ROLES.to_vec() }
    }

    /// Whether there is a whole file for each role: a key, a sealed key, or the public key of one that a signer holds.
    ///
    /// # Errors
    /// The first that is missing or damaged, as far as can be told without a passphrase.
    pub fn check(dir: &Path) -> Result<(), KeyStoreError> {
        for role in Self::roles_in(dir) {
            let path = key_path(dir, role);
            let public = public_path(dir, role);
            if role != KeyRole::Peer && fs::symlink_metadata(&public).is_ok() {
                read_public(&public, role)?;
            } else if is_sealed(&path)? {
                let (text, _) = read_key_file(&path)?;
                Sealed::parse(&text, role.name()).map_err(|fault| seal_error(&path, role, fault))?;
            } else {
                open_key(&path, role)?;
            }
        }
        Ok(())
    }
}

/// Makes the folder of keys (mode 0700); no key may be in it.
fn make_key_dir(dir: &Path) -> Result<(), KeyStoreError> {
    let io = |source| KeyStoreError::Io { path: dir.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io)?;
    let paths = KeyStore::ROLES.into_iter().flat_map(|role| [key_path(dir, role), public_path(dir, role)]);
    match paths.into_iter().find(|path| fs::symlink_metadata(path).is_ok()) {
        Some(path) => Err(KeyStoreError::Exists { path }),
        None => Ok(()),
    }
}

/// One key per role; in the order of [`KeyStore::ROLES`].
fn check_shared(publics: &[PublicKey; 4]) -> Result<(), KeyStoreError> {
    for (second, key) in publics.iter().enumerate() {
        if let Some(first) = publics.iter().take(second).position(|other| other == key) {
            let [first, second] = [first, second].map(|role| KeyStore::ROLES[role].name());
            return Err(KeyStoreError::Shared { first, second });
        }
    }
    Ok(())
}

/// Where the public key of a role is whose key a signer holds: `<role>.public`.
#[must_use]
pub fn public_path(dir: &Path, role: KeyRole) -> PathBuf {
    dir.join(format!("{}.public", role.name()))
}

fn read_public(path: &Path, role: KeyRole) -> Result<PublicKey, KeyStoreError> {
    let (text, _) = read_key_file(path)?;
    let prefix = format!("{PUBLIC_FORMAT} {} ", role.name());
    let digits = text.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix('\n'));
    let key = digits.and_then(|digits| PublicKey::from_hex(digits).ok());
    key.ok_or_else(|| KeyStoreError::Public { path: path.to_owned(), role: role.name() })
}

/// Whether a key file is sealed.
///
/// # Errors
/// It cannot be read.
pub fn is_sealed(path: &Path) -> Result<bool, KeyStoreError> {
    Ok(read_key_file(path)?.0.starts_with(SEALED_FORMAT))
}

/// Opens one key file, sealed or not.
///
/// # Errors
/// As [`open_key`], [`KeyStoreError::Passphrase`], [`KeyStoreError::WrongPassphrase`].
pub fn open_key_with(
    path: &Path,
    role: KeyRole,
    passphrase: &Passphrase,
) -> Result<SecretKey, KeyStoreError> {
    let (text, found_bytes) = read_key_file(path)?;
    if !text.starts_with(SEALED_FORMAT) {
        return parse_key_file(path, role, &text, found_bytes);
    }
    let fault = |fault| seal_error(path, role, fault);
    let sealed = Sealed::parse(&text, role.name()).map_err(fault)?;
    let passphrase = passphrase.get();
    let passphrase =
        passphrase.map_err(|source| KeyStoreError::Passphrase { path: path.to_owned(), source })?;
    Ok(SecretKey::from_seed(*sealed.open(passphrase).map_err(fault)?))
}

fn seal_error(path: &Path, role: KeyRole, fault: SealFault) -> KeyStoreError {
    seal_fault(path, role.name(), fault)
}

fn seal_fault(path: &Path, expected: &'static str, fault: SealFault) -> KeyStoreError {
    let path = path.to_owned();
    match fault {
        SealFault::Form => KeyStoreError::SealForm { path },
        SealFault::Role => KeyStoreError::Role { path, expected },
        SealFault::Failed => KeyStoreError::Sealing { path },
        SealFault::Passphrase => KeyStoreError::WrongPassphrase { path },
    }
}

fn plain_line(role: KeyRole, seed: &[u8; SEED_BYTES]) -> Zeroizing<String> {
    let digits = Zeroizing::new(hex_encode(seed.as_slice()));
    Zeroizing::new(format!("{FORMAT} {} {}\n", role.name(), digits.as_str()))
}

/// Puts another content in the place of a key file, whole or not at all.
fn replace_key_file(path: &Path, line: &str) -> Result<(), KeyStoreError> {
    crate::rosters::write_private(path, line.as_bytes()).map_err(|error| KeyStoreError::Io {
        path: path.to_owned(),
        source: std::io::Error::other(format!("{error:#}")),
    })
}

/// Where the key of a role lies in a folder: `<role>.key`.
#[must_use]
pub fn key_path(dir: &Path, role: KeyRole) -> PathBuf {
    dir.join(format!("{}.key", role.name()))
}

/// Creates one fresh key file (mode 0600), synced; also for governance keys.
///
/// # Errors
/// [`KeyStoreError::Exists`], [`KeyStoreError::Random`], [`KeyStoreError::Io`].
pub fn create_key(path: &Path, role: KeyRole) -> Result<SecretKey, KeyStoreError> {
    let mut seed = Zeroizing::new([0; SEED_BYTES]);
    getrandom::fill(seed.as_mut_slice()).map_err(KeyStoreError::Random)?;
    write_key_file(path, plain_line(role, &seed).as_bytes())?;
    Ok(SecretKey::from_seed(*seed))
}

/// Writes a new key file with this content (mode 0600), synced.
///
/// # Errors
/// [`KeyStoreError::Exists`], [`KeyStoreError::Io`].
pub fn write_key_file(path: &Path, line: &[u8]) -> Result<(), KeyStoreError> {
    let io = |source| KeyStoreError::Io { path: path.to_owned(), source };
    let mut file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => file,
        Err(source) if source.kind() == ErrorKind::AlreadyExists => {
            return Err(KeyStoreError::Exists { path: path.to_owned() });
        }
        Err(source) => return Err(io(source)),
    };
    file.write_all(line).map_err(io)?;
    file.sync_all().map_err(io)?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io)
}

/// Opens one key file; also for governance keys.
///
/// # Errors
/// [`KeyStoreError::Missing`], [`KeyStoreError::Permissions`], [`KeyStoreError::Length`],
/// [`KeyStoreError::Format`], [`KeyStoreError::Role`], [`KeyStoreError::Hex`], [`KeyStoreError::Io`].
pub fn open_key(path: &Path, role: KeyRole) -> Result<SecretKey, KeyStoreError> {
    let (text, found_bytes) = read_key_file(path)?;
    parse_key_file(path, role, &text, found_bytes)
}

/// Reads a key file that nobody else can read, with its length.
fn read_key_file(path: &Path) -> Result<(Zeroizing<String>, u64), KeyStoreError> {
    let io = |source| KeyStoreError::Io { path: path.to_owned(), source };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(source) if source.kind() == ErrorKind::NotFound => {
            return Err(KeyStoreError::Missing { path: path.to_owned() });
        }
        Err(source) => return Err(io(source)),
    };
    // Of the open file, not of the path: nothing can be exchanged in between.
    let metadata = file.metadata().map_err(io)?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyStoreError::Permissions { path: path.to_owned(), mode });
    }
    let mut text = Zeroizing::new(String::with_capacity(FILE_BYTES_MAX as usize));
    let read = (&mut file).take(FILE_BYTES_MAX).read_to_string(&mut text);
    match read {
        Err(source) if source.kind() == ErrorKind::InvalidData => {
            return Err(KeyStoreError::Format { path: path.to_owned() });
        }
        read => read.map_err(io)?,
    };
    Ok((text, metadata.len()))
}

fn parse_key_file(
    path: &Path,
    role: KeyRole,
    text: &str,
    found_bytes: u64,
) -> Result<SecretKey, KeyStoreError> {
    let owned = || path.to_owned();
    let Some(rest) = text.strip_prefix(FORMAT).and_then(|rest| rest.strip_prefix(' ')) else {
        return Err(KeyStoreError::Format { path: owned() });
    };
    let Some(rest) = rest.strip_prefix(role.name()).and_then(|rest| rest.strip_prefix(' ')) else {
        return Err(KeyStoreError::Role { path: owned(), expected: role.name() });
    };
    let expected_bytes = FORMAT.len() + role.name().len() + 2 * SEED_BYTES + 3;
    if found_bytes != expected_bytes as u64 {
        return Err(KeyStoreError::Length { path: owned(), found_bytes, expected_bytes });
    }
    let Some(digits) = rest.strip_suffix('\n') else {
        return Err(KeyStoreError::Format { path: owned() });
    };
    let seed = hex_array(digits).map_err(|source| KeyStoreError::Hex { path: owned(), source })?;
    Ok(SecretKey::from_seed(*Zeroizing::new(seed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("temporary folder")
    }

    #[test]
    fn created_keys_open_again_and_are_never_overwritten() {
        let dir = folder();
        let keys = dir.path().join("keys");
        let made = KeyStore::create(&keys).expect("fresh");
        let opened = KeyStore::open(&keys).expect("just made");
        assert_eq!(made.log.public(), opened.log.public());
        assert_eq!(made.peer.public(), opened.peer.public());
        assert_ne!(made.log.public(), made.card.public());
        for role in KeyStore::ROLES {
            let mode = fs::metadata(key_path(&keys, role)).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert!(matches!(KeyStore::create(&keys), Err(KeyStoreError::Exists { .. })));
        // One left-over key is enough, and the others are not created beside it.
        let partial = dir.path().join("partial");
        fs::create_dir(&partial).expect("new");
        create_key(&key_path(&partial, KeyRole::Peer), KeyRole::Peer).expect("fresh");
        assert!(matches!(KeyStore::create(&partial), Err(KeyStoreError::Exists { .. })));
        assert!(!key_path(&partial, KeyRole::Log).exists());
        assert!(matches!(KeyStore::open(&partial), Err(KeyStoreError::Missing { .. })));
    }

    #[test]
    fn files_that_others_may_touch_are_refused() {
        let dir = folder();
        let path = dir.path().join("governance.key");
        create_key(&path, KeyRole::Governance).expect("fresh");
        for mode in [0o640, 0o604, 0o620, 0o610, 0o601] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("own file");
            let error = open_key(&path, KeyRole::Governance).expect_err("too open");
            assert!(
                matches!(error, KeyStoreError::Permissions { mode: found, .. } if found == mode),
                "{error}"
            );
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).expect("own file");
        open_key(&path, KeyRole::Governance).expect("read-only is fine");
    }

    #[test]
    fn every_damage_is_named() {
        let dir = folder();
        let path = key_path(dir.path(), KeyRole::Log);
        create_key(&path, KeyRole::Log).expect("fresh");
        let good = fs::read_to_string(&path).expect("text");
        let check = |text: &[u8], what: fn(&KeyStoreError) -> bool| {
            fs::write(&path, text).expect("own file");
            let error = open_key(&path, KeyRole::Log).expect_err("damaged");
            assert!(what(&error), "{error}");
        };
        check(b"", |error| matches!(error, KeyStoreError::Format { .. }));
        check(&[0xff; 40], |error| matches!(error, KeyStoreError::Format { .. }));
        check(good.trim_end().as_bytes(), |error| matches!(error, KeyStoreError::Length { .. }));
        check(format!("{good}\n").as_bytes(), |error| matches!(error, KeyStoreError::Length { .. }));
        check("x".repeat(1000).as_bytes(), |error| matches!(error, KeyStoreError::Format { .. }));
        check(good.replace(" log ", " card ").as_bytes(), |error| {
            matches!(error, KeyStoreError::Role { .. })
        });
        let digits = good.trim_end().rsplit(' ').next().expect("digits").to_owned();
        check(good.replace(&digits, &"G".repeat(64)).as_bytes(), |error| {
            matches!(error, KeyStoreError::Hex { .. })
        });
    }

    #[test]
    fn one_key_in_two_roles_is_refused() {
        let dir = folder();
        KeyStore::create(dir.path()).expect("fresh");
        let log = fs::read_to_string(key_path(dir.path(), KeyRole::Log)).expect("text");
        fs::write(key_path(dir.path(), KeyRole::Peer), log.replace(" log ", " peer ")).expect("own file");
        assert!(matches!(
            KeyStore::open(dir.path()),
            Err(KeyStoreError::Shared { first: "log", second: "peer" })
        ));
    }
}
