//! The key that encrypts payloads under a legal hold: `hold.key`, made when it is needed first, sealed when the others are.
//!
//! It signs nothing: it is of another format than the keys of roles, so that it is never taken for one that does. Losing it loses
//! what is held.

use super::{
    FORMAT, KeyAccess, KeyStoreError, Passphrase, SEALED_FORMAT, Sealed, is_sealed, key_path, read_key_file,
    replace_key_file, sealed, write_key_file,
};
use hashpact_protocol::digest::{hex_array, hex_encode};
use hashpact_protocol::keys::{KeyRole, SEED_BYTES};
use std::fs;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const HOLD_FORMAT: &str = "hashpact-hold-key-1";
/// Its name where names of roles are told.
pub(super) const NAME: &str = "hold";

type Seed = Zeroizing<[u8; SEED_BYTES]>;

/// Where it is, in a folder of keys.
#[must_use]
pub fn hold_key_path(dir: &Path) -> PathBuf {
    dir.join("hold.key")
}

impl KeyAccess {
    /// The key of legal holds.
    ///
    /// # Errors
    /// [`KeyStoreError`]: it cannot be made, read or opened.
    pub fn hold_key(&self) -> Result<Seed, KeyStoreError> {
        let path = hold_key_path(&self.dir);
        if fs::symlink_metadata(&path).is_err() {
            let mut seed = Seed::default();
            getrandom::fill(seed.as_mut_slice()).map_err(KeyStoreError::Random)?;
            // The peer key is always a file: as it is kept, so is this one.
            let line = match is_sealed(&key_path(&self.dir, KeyRole::Peer)) {
                Ok(true) => self.sealed_hold(&seed)?,
                _ => plain(&seed),
            };
            write_key_file(&path, line.as_bytes())?;
        }
        self.read_hold(&path)
    }

    fn read_hold(&self, path: &Path) -> Result<Seed, KeyStoreError> {
        let (text, _) = read_key_file(path)?;
        if text.starts_with(SEALED_FORMAT) {
            let fault = |fault| super::seal_fault(path, NAME, fault);
            let sealed = Sealed::parse(&text, NAME).map_err(fault)?;
            let passphrase = self.passphrase.get();
            let passphrase =
                passphrase.map_err(|source| KeyStoreError::Passphrase { path: path.to_owned(), source })?;
            return sealed.open(passphrase).map_err(fault);
        }
        if text.starts_with(FORMAT) {
            return Err(KeyStoreError::Role { path: path.to_owned(), expected: NAME });
        }
        let digits = text.strip_prefix(HOLD_FORMAT).and_then(|rest| rest.strip_prefix(' '));
        let digits = digits.and_then(|rest| rest.strip_suffix('\n'));
        let digits = digits.ok_or_else(|| KeyStoreError::Format { path: path.to_owned() })?;
        let seed = hex_array(digits);
        Ok(Zeroizing::new(seed.map_err(|source| KeyStoreError::Hex { path: path.to_owned(), source })?))
    }

    fn sealed_hold(&self, seed: &Seed) -> Result<Zeroizing<String>, KeyStoreError> {
        let path = hold_key_path(&self.dir);
        let passphrase = self.passphrase.get_for_sealing();
        let passphrase =
            passphrase.map_err(|source| KeyStoreError::Passphrase { path: path.clone(), source })?;
        sealed::seal(NAME, seed, passphrase).map(Zeroizing::new).map_err(|_| KeyStoreError::Sealing { path })
    }

    /// Seals it by this passphrase, whichever seals it now, or unseals it; whether there was anything to do.
    pub(super) fn rewrite_hold(&self, by: Option<&Passphrase>) -> Result<bool, KeyStoreError> {
        let path = hold_key_path(&self.dir);
        if fs::symlink_metadata(&path).is_err() {
            return Ok(false);
        }
        let was_sealed = is_sealed(&path)?;
        let Some(by) = by else {
            if was_sealed {
                replace_key_file(&path, &plain(&*self.read_hold(&path)?))?;
            }
            return Ok(was_sealed);
        };
        let after = Self { passphrase: by.clone(), ..self.clone() };
        // A crash may have left it with the new passphrase.
        if was_sealed && after.read_hold(&path).is_ok() {
            return Ok(false);
        }
        let seed = self.read_hold(&path)?;
        replace_key_file(&path, &after.sealed_hold(&seed)?)?;
        Ok(true)
    }
}

fn plain(seed: &[u8; SEED_BYTES]) -> Zeroizing<String> {
    let digits = Zeroizing::new(hex_encode(seed));
    Zeroizing::new(format!("{HOLD_FORMAT} {}\n", digits.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keystore::KeyStore;

    #[test]
    fn it_is_sealed_when_the_others_are_and_stays_the_same_key() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let access = KeyAccess {
            passphrase: Passphrase::given("correct horse battery"),
            ..KeyAccess::files(&dir.path().join("keys"))
        };
        KeyStore::create(&access.dir).expect("fresh");
        let path = hold_key_path(&access.dir);
        let key = access.hold_key().expect("made");
        let sealed = || is_sealed(&path).expect("readable");
        assert!(!sealed());
        assert!(access.seal_files().expect("sealed").contains(&NAME) && sealed());
        assert_eq!(access.hold_key().expect("opens"), key);
        assert_eq!(access.seal_files().expect("again"), [""; 0]);

        let new = Passphrase::given("another fine passphrase");
        assert!(access.reseal_files(&new).expect("anew").contains(&NAME));
        assert!(matches!(access.hold_key(), Err(KeyStoreError::WrongPassphrase { .. })));
        let after = KeyAccess { passphrase: new, ..access.clone() };
        assert_eq!(after.hold_key().expect("opens"), key);
        assert!(after.unseal_files().expect("in the clear").contains(&NAME) && !sealed());
        assert_eq!(access.hold_key().expect("no passphrase is needed"), key);

        // Made where keys are sealed, it never was in the clear.
        std::fs::remove_file(&path).expect("there");
        access.seal_files().expect("sealed");
        access.hold_key().expect("made");
        assert!(sealed());
        std::fs::copy(key_path(&access.dir, KeyRole::Peer), &path).expect("copied");
        assert!(matches!(access.hold_key(), Err(KeyStoreError::Role { .. })));
    }
}
