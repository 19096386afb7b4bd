//! The manifest, and files that are copied with their digests.

use crate::keystore::{KeyStore, hold_key_path, key_path, public_path};
use hashpact_protocol::digest::{Sha256Parts, hex_encode};
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// What the first field of a manifest says.
pub(super) const FORMAT: &str = "hashpact-backup-1";
/// Name of the manifest.
pub(super) const MANIFEST: &str = "manifest";
/// Folder of the database, in a backup and in a checkpoint.
pub(super) const DATABASE: &str = "database";
/// Name of the lock file, in a backup and in a checkpoint.
pub(super) const LOCK: &str = "signed.lock";
/// Small files of the data folder that go along if they are there.
/// The journal's head goes before the journal: lines that come in between are then beyond it, and none are lacking.
pub(super) const BESIDE: [&str; 8] =
    ["roster", "rivals", "card", "tokens", "journal.head", "journal", "host", "holds"];
/// Folder of encrypted payloads under a legal hold, which goes along as well.
pub(super) const HELD: &str = "held";
/// Longest manifest that is read, in bytes: a hundred thousand files and more.
const MANIFEST_MAX_BYTES: u64 = 64 * 1024 * 1024;
const COPY_BYTES: usize = 1 << 20;

/// Why there is no backup, or no way back from it. Nothing that was there before was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// A backup never overwrites.
    #[error("{} exists; a backup needs a new folder", .0.display())]
    Exists(PathBuf),
    /// Keys beside what they protect.
    #[error("keys must not be inside the backup: choose a folder outside {}", .0.display())]
    KeysInside(PathBuf),
    /// No manifest.
    #[error("{} holds no manifest: it is no backup, or one that was not finished", .0.display())]
    NoManifest(PathBuf),
    /// A manifest that makes no sense.
    #[error("the manifest of {} cannot be read: {detail}", dir.display())]
    Manifest {
        /// The backup.
        dir: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// A file that is missing, or one that does not belong.
    #[error("{}: {what}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The backup of somebody else.
    #[error(
        "this is the backup of member {found} of {consortium}; the configuration is of member {expected}"
    )]
    Member {
        /// Its member.
        found: String,
        /// Its consortium.
        consortium: String,
        /// The configuration's member.
        expected: String,
    },
    /// A restore needs an empty folder.
    #[error(
        "{} is not empty ({found}): a restore never overwrites. Move it away, whole: its signed.lock may be the newest that there is, and then `--lock` wants it",
        dir.display()
    )]
    NotEmpty {
        /// The data folder.
        dir: PathBuf,
        /// The first name found in it.
        found: String,
    },
    /// The backup's lock in place of the newest.
    #[error(
        "{} is the backup's own lock file: it says what was signed when the backup was taken, not what was signed since. Without the newest \
         lock file of the machine, restore without --lock and give the log up",
        .0.display()
    )]
    OldLock(PathBuf),
    /// The database of the backup is damaged.
    #[error("the database in the backup is damaged: {0}")]
    Damaged(String),
    /// Keys that cannot be used.
    #[error("keys: {0}")]
    Keys(#[from] crate::keystore::KeyStoreError),
    /// The database.
    #[error(transparent)]
    Store(#[from] crate::storage::StoreError),
    /// The lock file.
    #[error(transparent)]
    Lock(#[from] crate::storage::LockError),
    /// The file system.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl BackupError {
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

/// One file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileDigest {
    /// Path below the backup, with `/`.
    pub path: String,
    /// Length.
    pub bytes: u64,
    /// SHA-256 in hex.
    pub sha256: String,
}

/// What belongs to a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The format.
    pub format: String,
    /// When it was taken, RFC 3339.
    pub taken: String,
    /// Consortium id.
    pub consortium: String,
    /// Member id.
    pub member: String,
    /// Origin of the own log.
    pub log: String,
    /// Size that was signed last.
    pub size: u64,
    /// Its root.
    pub root: String,
    /// Generation of the last signature.
    pub generation: u64,
    /// Version of the program that took it.
    pub program: String,
    /// Every file but this one, in the order of their paths.
    pub files: Vec<FileDigest>,
}

impl Manifest {
    /// Reads the manifest of a backup.
    ///
    /// # Errors
    /// [`BackupError::NoManifest`], [`BackupError::Manifest`], [`BackupError::Io`].
    pub fn read(dir: &Path) -> Result<Self, BackupError> {
        let path = dir.join(MANIFEST);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(BackupError::NoManifest(dir.to_owned()));
            }
            Err(error) => return Err(BackupError::io(&path)(error)),
        };
        let mut bytes = Vec::new();
        file.take(MANIFEST_MAX_BYTES).read_to_end(&mut bytes).map_err(BackupError::io(&path))?;
        let wrong = |detail: String| BackupError::Manifest { dir: dir.to_owned(), detail };
        let manifest: Self = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        if manifest.format != FORMAT {
            return Err(wrong(format!("format {:?}, this program reads {FORMAT:?}", manifest.format)));
        }
        let is_plain = |path: &str| {
            !path.is_empty() && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
        };
        if let Some(file) = manifest.files.iter().find(|file| !is_plain(&file.path)) {
            return Err(wrong(format!("it names the path {:?}", file.path)));
        }
        Ok(manifest)
    }

    /// Reads every file again and compares it; nothing may be missing and nothing may be there besides.
    ///
    /// # Errors
    /// [`BackupError::File`] names the first that is not as it was written.
    pub fn check(&self, dir: &Path) -> Result<(), BackupError> {
        for file in &self.files {
            let path = dir.join(&file.path);
            let wrong = |what: &str| BackupError::File { path: path.clone(), what: what.to_owned() };
            if !path.is_file() {
                return Err(wrong("is missing from the backup"));
            }
            let found = digest(&path, &file.path)?;
            if found != *file {
                return Err(wrong("is not what the backup's manifest says: the backup is damaged"));
            }
        }
        let listed: std::collections::BTreeSet<&str> =
            self.files.iter().map(|file| file.path.as_str()).collect();
        for name in names(dir)? {
            if name != MANIFEST && !listed.contains(name.as_str()) {
                let what = "does not belong to the backup".to_owned();
                return Err(BackupError::File { path: dir.join(name), what });
            }
        }
        Ok(())
    }
}

/// Paths of all files below a folder, with `/`, in order.
pub(super) fn names(dir: &Path) -> Result<Vec<String>, BackupError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(BackupError::io(dir))? {
        let path = entry.map_err(BackupError::io(dir))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(names(&path)?.into_iter().map(|below| format!("{name}/{below}")));
        } else {
            found.push(name);
        }
    }
    found.sort();
    Ok(found)
}

/// Copies the keys of all roles, and the key of legal holds if there is one, to a new folder (0700) as files of mode
/// 0600.
pub(super) fn copy_keys(from: &Path, to: &Path) -> Result<(), BackupError> {
    // Only what can be used is worth keeping.
    KeyStore::check(from)?;
    make_folder(to)?;
    for role in KeyStore::roles_in(from) {
        // Of a key that a signer holds there is the public half only.
        let public = public_path(from, role);
        if public.exists() {
            copy(&public, &public_path(to, role), role.name())?;
        } else {
            copy(&key_path(from, role), &key_path(to, role), role.name())?;
        }
    }
    let hold = hold_key_path(from);
    if hold.exists() {
        copy(&hold, &hold_key_path(to), "hold")?;
    }
    sync_dir(to)
}

/// Makes a folder (0700) that is not there yet.
pub(super) fn make_folder(path: &Path) -> Result<(), BackupError> {
    DirBuilder::new().mode(0o700).create(path).map_err(BackupError::io(path))
}

/// Length and digest of a file.
pub(super) fn digest(path: &Path, name: &str) -> Result<FileDigest, BackupError> {
    pump(path, name, |_| Ok(()))
}

/// Copies a file to a new one (0600), synced; gives length and digest of what was read.
pub(super) fn copy(from: &Path, to: &Path, name: &str) -> Result<FileDigest, BackupError> {
    let mut options = OpenOptions::new();
    let mut out = options.write(true).create_new(true).mode(0o600).open(to).map_err(BackupError::io(to))?;
    let digest = pump(from, name, |bytes| out.write_all(bytes).map_err(BackupError::io(to)))?;
    out.sync_all().map_err(BackupError::io(to))?;
    Ok(digest)
}

fn pump(
    path: &Path,
    name: &str,
    mut take: impl FnMut(&[u8]) -> Result<(), BackupError>,
) -> Result<FileDigest, BackupError> {
    let mut file = File::open(path).map_err(BackupError::io(path))?;
    let (mut all, mut bytes, mut buffer) = (Sha256Parts::default(), 0, vec![0; COPY_BYTES]);
    loop {
        let count = file.read(&mut buffer).map_err(BackupError::io(path))?;
        let Some(part) = buffer.get(..count).filter(|part| !part.is_empty()) else { break };
        all.update(part);
        take(part)?;
        bytes += part.len() as u64;
    }
    Ok(FileDigest { path: name.to_owned(), bytes, sha256: hex_encode(&all.digest()) })
}

/// Makes the names in a folder durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), BackupError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(BackupError::io(dir))
}
