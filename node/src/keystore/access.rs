//! Opening and making keys wherever they are: in files, sealed or not, or at a program that holds them.

use super::signer::ProgramKey;
use super::{
    KeyStore, KeyStoreError, NodeKeys, PUBLIC_FORMAT, Passphrase, SignerProgram, check_shared, create_key,
    hold, hold_key_path, is_sealed, key_path, make_key_dir, open_key_with, plain_line, public_path,
    read_public, replace_key_file, sealed, write_key_file,
};
use hashpact_protocol::keys::{KeyRole, PublicKey, SEED_BYTES, SecretKey, Signer};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Where a node's keys are, and how to come by them.
#[derive(Debug, Clone, Default)]
pub struct KeyAccess {
    /// The folder of key files.
    pub dir: PathBuf,
    /// Opens sealed ones.
    pub passphrase: Passphrase,
    /// A program that holds some of them, and which.
    pub signer: Option<(Arc<SignerProgram>, Vec<KeyRole>)>,
}

impl KeyAccess {
    /// Files in this folder, none of them sealed.
    #[must_use]
    pub fn files(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), ..Self::default() }
    }

    /// The program that holds this role's key.
    fn program(&self, role: KeyRole) -> Option<&Arc<SignerProgram>> {
        self.signer.as_ref().filter(|(_, roles)| roles.contains(&role)).map(|(program, _)| program)
    }

    /// The public key of a role that the signer holds, as it says now; `None` if it is to hold none.
    ///
    /// # Errors
    /// [`KeyStoreError::Signer`].
    pub fn held_elsewhere(&self, role: KeyRole) -> Result<Option<PublicKey>, KeyStoreError> {
        Ok(self.program(role).map(|program| program.public(role)).transpose()?)
    }

    /// Makes the key of a role: a new file, sealed if `seals`; of a role that the signer holds, a file with the public key
    /// that the signer names.
    ///
    /// # Errors
    /// [`KeyStoreError`].
    pub fn create_role(&self, role: KeyRole, seals: bool) -> Result<PublicKey, KeyStoreError> {
        if let Some(program) = self.program(role) {
            let public = program.public(role)?;
            let line = format!("{PUBLIC_FORMAT} {} {}\n", role.name(), public.to_hex());
            write_key_file(&public_path(&self.dir, role), line.as_bytes())?;
            return Ok(public);
        }
        let path = key_path(&self.dir, role);
        if !seals {
            return create_key(&path, role).map(|key| key.public());
        }
        let mut seed = Zeroizing::new([0; SEED_BYTES]);
        getrandom::fill(seed.as_mut_slice()).map_err(KeyStoreError::Random)?;
        write_key_file(&path, self.seal(&path, role, &seed)?.as_bytes())?;
        Ok(SecretKey::from_seed(*seed).public())
    }

    /// Opens the key of a role.
    ///
    /// # Errors
    /// [`KeyStoreError`].
    pub fn open_role(&self, role: KeyRole) -> Result<Signer, KeyStoreError> {
        let Some(program) = self.program(role) else { return Ok(self.open_file(role)?.into()) };
        let path = key_path(&self.dir, role);
        if fs::symlink_metadata(&path).is_ok() {
            return Err(KeyStoreError::Twice { path, role: role.name() });
        }
        let public = read_public(&public_path(&self.dir, role), role)?;
        let key = ProgramKey { program: Arc::clone(program), role, public };
        Ok(Signer::remote(public, Arc::new(key)))
    }

    fn open_file(&self, role: KeyRole) -> Result<SecretKey, KeyStoreError> {
        open_key_with(&key_path(&self.dir, role), role, &self.passphrase)
    }

    fn seal(&self, path: &Path, role: KeyRole, seed: &[u8; SEED_BYTES]) -> Result<String, KeyStoreError> {
        let passphrase = self.passphrase.get_for_sealing();
        let passphrase =
            passphrase.map_err(|source| KeyStoreError::Passphrase { path: path.to_owned(), source })?;
        sealed::seal(role.name(), seed, passphrase)
            .map_err(|_| KeyStoreError::Sealing { path: path.to_owned() })
    }

    /// Seals the key files that are not yet; gives their names.
    ///
    /// # Errors
    /// [`KeyStoreError`]; files before the one that is named are sealed then, and it can be done again.
    pub fn seal_files(&self) -> Result<Vec<&'static str>, KeyStoreError> {
        let mut done = self.rewrite(|path, role, was_sealed, seed| match was_sealed {
            true => Ok(None),
            false => self.seal(path, role, seed).map(Some),
        })?;
        done.extend(self.rewrite_hold(Some(&self.passphrase))?.then_some(hold::NAME));
        Ok(done)
    }

    /// Unseals the key files that are sealed; gives their names.
    ///
    /// # Errors
    /// As for [`KeyAccess::seal_files`].
    pub fn unseal_files(&self) -> Result<Vec<&'static str>, KeyStoreError> {
        let unseal = |_: &Path, role, was_sealed: bool, seed: &_| {
            Ok(was_sealed.then(|| plain_line(role, seed).to_string()))
        };
        let mut done = self.rewrite(unseal)?;
        done.extend(self.rewrite_hold(None)?.then_some(hold::NAME));
        Ok(done)
    }

    /// Seals the sealed key files by another passphrase; those that it opens already stay. Gives their names.
    ///
    /// # Errors
    /// As for [`KeyAccess::seal_files`].
    pub fn reseal_files(&self, new: &Passphrase) -> Result<Vec<&'static str>, KeyStoreError> {
        let after = Self { passphrase: new.clone(), ..self.clone() };
        let mut done = Vec::new();
        for role in KeyStore::roles_in(&self.dir).into_iter().filter(|role| self.program(*role).is_none()) {
            // A crash may have left some files with the new passphrase.
            if !is_sealed(&key_path(&self.dir, role))? || after.open_file(role).is_ok() {
                continue;
            }
            let seed = Zeroizing::new(*self.open_file(role)?.seed());
            let path = key_path(&self.dir, role);
            replace_key_file(&path, &after.seal(&path, role, &seed)?)?;
            done.push(role.name());
        }
        let hold = hold_key_path(&self.dir);
        if hold.exists() && is_sealed(&hold)? {
            done.extend(self.rewrite_hold(Some(new))?.then_some(hold::NAME));
        }
        Ok(done)
    }

    fn rewrite(
        &self,
        write: impl Fn(&Path, KeyRole, bool, &[u8; SEED_BYTES]) -> Result<Option<String>, KeyStoreError>,
    ) -> Result<Vec<&'static str>, KeyStoreError> {
        let mut done = Vec::new();
        for role in KeyStore::roles_in(&self.dir).into_iter().filter(|role| self.program(*role).is_none()) {
            let path = key_path(&self.dir, role);
            let seed = Zeroizing::new(*self.open_file(role)?.seed());
            if let Some(line) = write(&path, role, is_sealed(&path)?, &seed)? {
                replace_key_file(&path, &Zeroizing::new(line))?;
                done.push(role.name());
            }
        }
        Ok(done)
    }

    /// Opens the keys of all roles.
    ///
    /// # Errors
    /// As for each, and [`KeyStoreError::Shared`].
    pub fn open(&self) -> Result<NodeKeys, KeyStoreError> {
        let [log, card, cosigner, _] = KeyStore::ROLES;
        let keys = NodeKeys {
            log: self.open_role(log)?,
            card: self.open_role(card)?,
            cosigner: self.open_role(cosigner)?,
            peer: self.open_file(KeyRole::Peer)?,
        };
        check_shared(&[keys.log.public(), keys.card.public(), keys.cosigner.public(), keys.peer.public()])?;
        Ok(keys)
    }

    /// Opens the peer key alone: a read replica has no other.
    ///
    /// # Errors
    /// As for [`KeyAccess::open_role`].
    pub fn open_peer(&self) -> Result<SecretKey, KeyStoreError> {
        self.open_file(KeyRole::Peer)
    }

    /// Creates the peer key of a read replica in the folder, which is made if missing (mode 0700).
    ///
    /// # Errors
    /// [`KeyStoreError::Exists`] if any key file is there, and as for [`KeyAccess::create_role`].
    pub fn create_peer(&self, seals: bool) -> Result<PublicKey, KeyStoreError> {
        make_key_dir(&self.dir)?;
        self.create_role(KeyRole::Peer, seals)
    }

    /// Opens every key that the node has, so that what cannot be opened is known before anything is changed.
    ///
    /// # Errors
    /// As for each.
    pub fn try_all(&self) -> Result<(), KeyStoreError> {
        if KeyStore::roles_in(&self.dir).len() == KeyStore::ROLES.len() {
            return self.open().map(drop);
        }
        self.open_peer().map(drop)
    }

    /// Creates fresh keys of all roles in the folder, which is made if missing (mode 0700).
    ///
    /// # Errors
    /// [`KeyStoreError::Exists`] if any key file is there (then none is created), and as for each.
    pub fn create(&self, seals: bool) -> Result<NodeKeys, KeyStoreError> {
        make_key_dir(&self.dir)?;
        for role in KeyStore::ROLES {
            self.create_role(role, seals)?;
        }
        self.open()
    }
}
