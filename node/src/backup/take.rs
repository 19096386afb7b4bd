//! Taking a backup from a checkpoint of the database, and verifying what was written.

use super::files::{
    BESIDE, BackupError, DATABASE, FORMAT, FileDigest, HELD, LOCK, MANIFEST, Manifest, copy, copy_keys,
    make_folder, names, sync_dir,
};
use crate::config::Config;
use crate::storage::fsck::{Progress, fsck};
use crate::storage::{LockFile, Store};
use hashpact_protocol::roster::RosterChain;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// What to back up, and where to.
pub struct Backup<'a> {
    /// The node.
    pub config: &'a Config,
    /// A folder with the database and the lock file of one moment.
    pub checkpoint: PathBuf,
    /// When it was made, RFC 3339.
    pub taken: String,
    /// The new folder.
    pub out: PathBuf,
    /// A new folder for the keys, if they are wanted.
    pub keys_out: Option<PathBuf>,
}

/// A backup that was written and verified.
pub struct Taken {
    /// What belongs to it.
    pub manifest: Manifest,
    /// Its bytes.
    pub bytes: u64,
}

/// Copies everything, the manifest last, and compares it with what was read.
///
/// # Errors
/// [`BackupError`]; a folder without a manifest may be left, which is no backup.
pub fn back_up(backup: &Backup<'_>) -> Result<Taken, BackupError> {
    check_places(backup)?;
    let (from, out) = (&backup.checkpoint, &backup.out);
    make_folder(out)?;
    make_folder(&out.join(DATABASE))?;
    let mut files = Vec::new();
    for name in names(from)? {
        files.push(copy(&from.join(&name), &out.join(&name), &name)?);
    }
    for name in BESIDE {
        let path = backup.config.data_dir.join(name);
        if path.exists() {
            files.push(copy(&path, &out.join(name), name)?);
        }
    }
    files.extend(copy_held(&backup.config.data_dir, out)?);
    files.sort();
    let lock = LockFile::open(&from.join(LOCK))?;
    let state = lock.state();
    let consortium = state.origin.split('/').next().unwrap_or_default().to_owned();
    let manifest = Manifest {
        format: FORMAT.to_owned(),
        taken: backup.taken.clone(),
        consortium,
        member: backup.config.member.to_string(),
        log: state.origin.clone(),
        size: state.size,
        root: state.root.to_hex(),
        generation: state.generation,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        files,
    };
    if let Some(keys) = &backup.keys_out {
        copy_keys(&backup.config.keys_dir(), keys)?;
    }
    sync_dir(&out.join(DATABASE))?;
    write_manifest(out, &manifest)?;
    sync_dir(out)?;
    if let Some(parent) = out.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        sync_dir(parent)?;
    }
    // What is on the disk now, not what was meant.
    let written = Manifest::read(out)?;
    written.check(out)?;
    let bytes = manifest.files.iter().map(|file| file.bytes).sum();
    Ok(Taken { manifest, bytes })
}

/// What is under a legal hold is kept although the database has destroyed it: a backup without it would lose it.
fn copy_held(data: &Path, out: &Path) -> Result<Vec<FileDigest>, BackupError> {
    let (from, to) = (data.join(HELD), out.join(HELD));
    if !from.is_dir() {
        return Ok(Vec::new());
    }
    make_folder(&to)?;
    // What is still being written has another name, and is still in the database.
    let whole = names(&from)?.into_iter().filter(|name| !name.ends_with(".new"));
    let files = whole.map(|name| copy(&from.join(&name), &to.join(&name), &format!("{HELD}/{name}")));
    let files = files.collect::<Result<Vec<_>, _>>()?;
    sync_dir(&to)?;
    Ok(files)
}

/// Rebuilds and compares everything in the database of a backup, from its leaves up, as `fsck` does. The backup is
/// not changed.
///
/// # Errors
/// [`BackupError::Damaged`] names the first fault.
pub fn verify(
    dir: &Path,
    roster: &RosterChain,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<u64, BackupError> {
    let scratch = std::env::temp_dir().join(format!("hashpact-verify-{}", std::process::id()));
    make_folder(&scratch)?;
    let verified = verify_with(dir, &scratch, roster, progress);
    let _ = fs::remove_dir_all(&scratch);
    verified
}

fn verify_with(
    dir: &Path,
    scratch: &Path,
    roster: &RosterChain,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<u64, BackupError> {
    // A lock file is opened for writing: a copy of it is.
    let lock = scratch.join(LOCK);
    copy(&dir.join(LOCK), &lock, LOCK)?;
    let lock = LockFile::open(&lock)?;
    let store = Store::open_read_only(&dir.join(DATABASE), scratch)?;
    let report = fsck(&store, roster, lock.state(), progress)?;
    match report.problems.iter().find(|problem| problem.is_fault()) {
        Some(problem) => Err(BackupError::Damaged(problem.to_string())),
        None => Ok(report.logs.iter().map(|log| log.entries).sum()),
    }
}

fn check_places(backup: &Backup<'_>) -> Result<(), BackupError> {
    let out = &backup.out;
    if fs::symlink_metadata(out).is_ok() {
        return Err(BackupError::Exists(out.clone()));
    }
    let Some(keys) = &backup.keys_out else { return Ok(()) };
    if fs::symlink_metadata(keys).is_ok() {
        return Err(BackupError::Exists(keys.clone()));
    }
    let whole = |path: &Path| std::path::absolute(path).map_err(BackupError::io(path));
    if whole(keys)?.starts_with(whole(out)?) {
        return Err(BackupError::KeysInside(out.clone()));
    }
    Ok(())
}

fn write_manifest(out: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    let path = out.join(MANIFEST);
    let mut text = serde_json::to_vec_pretty(manifest)
        .map_err(|error| BackupError::Manifest { dir: out.to_owned(), detail: error.to_string() })?;
    text.push(b'\n');
    let mut options = fs::OpenOptions::new();
    let mut file =
        options.write(true).create_new(true).mode(0o600).open(&path).map_err(BackupError::io(&path))?;
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(BackupError::io(&path))
}
