//! Putting a backup back into an empty data folder.
//!
//! The backup's own lock file is never put in its place: it says what was signed when the backup was taken, and a node
//! that believed it would sign a second history over everything that came after. Without the newest lock file of
//! the machine the node therefore starts as one whose lock is lost, which is what it is: it signs in no role until its
//! log is given up. With that lock file (`--lock`), start-up compares it with the database as always.

use super::files::{BackupError, HELD, LOCK, Manifest, copy, copy_keys, make_folder, sync_dir};
use crate::config::Config;
use crate::keystore::KeyStore;
use crate::restored::Restored;
use crate::storage::{LOCK_FILE_BYTES, LockFile, Store};
use hashpact_core::effect::LockState;
use hashpact_protocol::digest::LogId;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// What to put back, and where to.
pub struct Restore<'a> {
    /// The node; its data folder is missing or empty.
    pub config: &'a Config,
    /// The backup.
    pub from: PathBuf,
    /// Folder of the keys; `None` to make new ones.
    pub keys: Option<PathBuf>,
    /// The newest lock file of the machine, if it survived.
    pub lock: Option<PathBuf>,
    /// Now, in milliseconds since 1970.
    pub now_ms: u64,
}

/// What was put back.
pub struct RestoredFrom {
    /// What the backup says.
    pub manifest: Manifest,
    /// What the newest lock file says, if one was given.
    pub lock: Option<LockState>,
    /// Entries of the own log in the database.
    pub stored: u64,
}

/// Verifies the backup and puts it back.
///
/// # Errors
/// [`BackupError`]. The data folder is then as it was, or holds a part: it must be emptied before another attempt.
pub fn restore(restore: &Restore<'_>) -> Result<RestoredFrom, BackupError> {
    let Restore { config, from, .. } = restore;
    check_empty(&config.data_dir)?;
    let manifest = Manifest::read(from)?;
    if manifest.member != config.member.as_str() {
        let (found, consortium) = (manifest.member, manifest.consortium);
        return Err(BackupError::Member { found, consortium, expected: config.member.to_string() });
    }
    if let Some(lock) = &restore.lock {
        check_lock(lock, from)?;
    }
    if let Some(keys) = &restore.keys {
        KeyStore::check(keys)?;
    }
    manifest.check(from)?;

    let data = &config.data_dir;
    DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(BackupError::io(data))?;
    // The mark comes first: what a crash leaves behind shows no payload and signs nothing.
    Restored::mark(&config.restored_file(), &manifest.taken, restore.now_ms)
        .map_err(BackupError::io(&config.restored_file()))?;
    sync_dir(data)?;
    let database = config.database_dir();
    make_folder(&database)?;
    if manifest.files.iter().any(|file| file.path.starts_with(HELD)) {
        make_folder(&data.join(HELD))?;
    }
    for file in manifest.files.iter().filter(|file| file.path != LOCK) {
        let found = copy(&from.join(&file.path), &data.join(&file.path), &file.path)?;
        if found != *file {
            let what = "changed while it was read".to_owned();
            return Err(BackupError::File { path: from.join(&file.path), what });
        }
    }
    put_keys(restore)?;
    sync_dir(&database)?;
    let stored = {
        let store = Store::open(&database)?;
        store.stored_size(&LogId::of_origin(&manifest.log)).unwrap_or(0)
    };
    let lock = restore.lock.as_deref().map(|lock| put_lock(lock, &config.lock_file())).transpose()?;
    sync_dir(data)?;
    Ok(RestoredFrom { manifest, lock, stored })
}

fn check_empty(dir: &Path) -> Result<(), BackupError> {
    let mut entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(BackupError::io(dir)(error)),
    };
    match entries.next() {
        None => Ok(()),
        Some(entry) => {
            let found = entry.map_err(BackupError::io(dir))?.file_name().to_string_lossy().into_owned();
            Err(BackupError::NotEmpty { dir: dir.to_owned(), found })
        }
    }
}

/// The newest lock file is not one that lies in the backup, under whatever name.
fn check_lock(lock: &Path, from: &Path) -> Result<(), BackupError> {
    let real = |path: &Path| fs::canonicalize(path).map_err(BackupError::io(path));
    if real(lock)?.starts_with(real(from)?) {
        return Err(BackupError::OldLock(lock.to_owned()));
    }
    let bytes = fs::metadata(lock).map_err(BackupError::io(lock))?.len();
    if bytes != LOCK_FILE_BYTES {
        let what = format!("has {bytes} bytes and is no lock file (those have {LOCK_FILE_BYTES})");
        return Err(BackupError::File { path: lock.to_owned(), what });
    }
    Ok(())
}

fn put_keys(restore: &Restore<'_>) -> Result<(), BackupError> {
    let to = restore.config.keys_dir();
    let Some(from) = &restore.keys else {
        if restore.config.is_replica() {
            restore.config.keys.create_peer(false)?;
        } else {
            restore.config.keys.create(false)?;
        }
        return Ok(());
    };
    copy_keys(from, &to)
}

/// Puts the newest lock file in its place, if it can be read.
fn put_lock(from: &Path, to: &Path) -> Result<LockState, BackupError> {
    let beside = to.with_extension("part");
    copy(from, &beside, LOCK)?;
    let state = LockFile::open(&beside)?.state().clone();
    fs::rename(&beside, to).map_err(BackupError::io(to))?;
    Ok(state)
}
