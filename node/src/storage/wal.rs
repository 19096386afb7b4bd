//! The write-ahead log, looked at before RocksDB replays it, and cut where a power cut left zeros.
//!
//! A file system may make a file longer before it writes what belongs there. After a power cut a write-ahead log then
//! ends in a torn record and zeros, or in zeros alone. Nothing that was synced is missing: a synced record is whole, and
//! nothing follows the torn one. RocksDB drops a record that ends with the file, and refuses one that ends in zeros,
//! because it cannot tell it from damage. This module can, and cuts the file behind the last whole record, under four conditions:
//!
//! - it is the newest log that has content;
//! - every record before the torn one is whole, and nothing but zeros follows it ([`read`] has the exact rule);
//! - RocksDB has refused the database as damaged, so that no other process has it open;
//! - what is cut off is on the disk in a file of its own, and has been told to whoever keeps the journal.
//!
//! RocksDB's manifest, the list of its files, has the same format and is synced before anything relies on it: the same is done for it.
//! Everything else that is not a whole log or one whose last write was cut short is refused here, older logs included,
//! whatever RocksDB would make of it.
//!
//! What cannot be told apart: a synced last record that the disk gave back as zeros, or one that ends in zeros of its own and had
//! another byte changed. That is a lost tail like one cut at a record's end, and is noticed by the same means: the lock
//! file knows what this node signed in any role, and other members' logs are followed again.
//!
//! What was cut off may hold payloads that nobody acknowledged. It stays until a start has found database and lock
//! file to agree ([`forget`]), so that it does not outlive their erasure.

mod checksum;
mod read;

use super::error::StoreError;
use read::Ending;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Names of files with what was cut off begin so; RocksDB leaves files alone whose names it does not know.
const ASIDE: &str = "torn-tail-";

/// The end of a write-ahead log, or of the manifest, that is a torn record and zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornTail {
    /// The log, or the manifest.
    pub file: PathBuf,
    /// Where its last whole record ends; what follows is cut off.
    pub whole_bytes: u64,
    /// Bytes of the torn record.
    pub torn_bytes: u64,
    /// Zeros behind it.
    pub zero_bytes: u64,
    /// Where the torn bytes are kept, if there are any.
    pub aside: Option<PathBuf>,
}

/// Looks at the manifest and every write-ahead log of a database; gives the torn tails of the manifest and of the newest log,
/// if they end in zeros. Changes nothing.
///
/// # Errors
/// [`StoreError::Damaged`], or [`StoreError::Io`].
pub(super) fn check(dir: &Path) -> Result<Vec<TornTail>, StoreError> {
    let mut found = Vec::new();
    if let Some(path) = manifest(dir) {
        found.extend(torn(dir, &path, ending(&path)?));
    }
    let mut is_newest = true;
    for (_, path) in logs(dir)? {
        let ending = ending(&path)?;
        if is_newest {
            found.extend(torn(dir, &path, ending));
        }
        is_newest &= ending == Ending::Empty;
    }
    Ok(found)
}

fn ending(path: &Path) -> Result<Ending, StoreError> {
    match File::open(path).and_then(|mut file| read::ending(&mut file)).map_err(io(path))? {
        Ending::Damaged { at, what } => {
            Err(StoreError::Damaged { detail: format!("{}, byte {at}: {what}", path.display()) })
        }
        ending => Ok(ending),
    }
}

/// What is to be cut off; a record that ends with the file is RocksDB's own business.
fn torn(dir: &Path, path: &Path, ending: Ending) -> Option<TornTail> {
    let Ending::Zeros { whole_bytes, written_bytes, file_bytes } = ending else { return None };
    let torn_bytes = written_bytes.saturating_sub(whole_bytes);
    let name = path.file_name()?.to_str()?;
    Some(TornTail {
        file: path.to_owned(),
        whole_bytes,
        torn_bytes,
        zero_bytes: file_bytes.saturating_sub(whole_bytes + torn_bytes),
        aside: (torn_bytes > 0).then(|| dir.join(format!("{ASIDE}{name}-{whole_bytes}"))),
    })
}

impl TornTail {
    /// Keeps the torn bytes aside and cuts the log behind its last whole record, all of it synced.
    ///
    /// # Errors
    /// [`StoreError::Io`]; the log is as it was, or cut.
    pub(super) fn cut(&self) -> Result<(), StoreError> {
        let failed = io(&self.file);
        let mut log = OpenOptions::new().read(true).write(true).open(&self.file).map_err(&failed)?;
        if let Some(aside) = &self.aside {
            log.seek(SeekFrom::Start(self.whole_bytes)).map_err(&failed)?;
            keep(&mut (&mut log).take(self.torn_bytes), aside).map_err(io(aside))?;
        }
        log.set_len(self.whole_bytes).and_then(|()| log.sync_all()).map_err(failed)
    }
}

/// Removes what earlier starts cut off.
///
/// # Errors
/// [`StoreError::Io`].
pub(super) fn forget(dir: &Path) -> Result<(), StoreError> {
    for (name, path) in names(dir)? {
        if name.starts_with(ASIDE) {
            fs::remove_file(&path).map_err(io(&path))?;
        }
    }
    Ok(())
}

fn keep(bytes: &mut impl io::Read, aside: &Path) -> io::Result<()> {
    // An earlier start may have come as far as this.
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(aside)?;
    io::copy(bytes, &mut file)?;
    file.flush()?;
    file.sync_all()?;
    aside.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

/// The manifest that is in force. Where none is named, RocksDB says so.
fn manifest(dir: &Path) -> Option<PathBuf> {
    let current = fs::read_to_string(dir.join(super::MARKER)).ok()?;
    let name = current.trim_end();
    let path = dir.join(name);
    (name.starts_with("MANIFEST-") && !name.contains('/') && path.is_file()).then_some(path)
}

/// The write-ahead logs of a database with their numbers, newest first.
fn logs(dir: &Path) -> Result<Vec<(u64, PathBuf)>, StoreError> {
    let number = |name: &str| name.strip_suffix(".log").and_then(|number| number.parse().ok());
    let named = names(dir)?.into_iter().filter_map(|(name, path)| Some((number(&name)?, path)));
    let mut logs: Vec<(u64, PathBuf)> = named.collect();
    logs.sort_unstable_by(|one, other| other.cmp(one));
    Ok(logs)
}

fn names(dir: &Path) -> Result<Vec<(String, PathBuf)>, StoreError> {
    let entries = fs::read_dir(dir).map_err(io(dir))?;
    entries
        .map(|entry| entry.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path())))
        .collect::<io::Result<_>>()
        .map_err(io(dir))
}

fn io(path: &Path) -> impl Fn(io::Error) -> StoreError + use<> {
    let path = path.to_owned();
    move |source| StoreError::Io { path: path.clone(), source }
}
