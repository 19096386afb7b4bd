//! The snapshots: `index.snapshot`, from which a start can answer at once, and `records.snapshot` beside it, with which the
//! answers are complete a moment later ([`super::saved`]).
//!
//! They are derived data. Losing them costs the time of a replay; deleting them is always safe. The format of the
//! index and its checksums are the index's; what is bound to this node stands in the tag that both files carry. Somebody who can
//! write the index can make matches be missed until it is compared with the records, while answers say
//! `complete: false`; somebody who can write both, until the logs have confirmed the records ([`super::confirm`]). Neither can make one up.
//!
//! They hold values that are as sensitive as the database beside them: mode 0600.

use super::restored::LogExtent;
use super::saved::{self, SavedRecords};
use super::tag::{Owner, Tag, TagError};
use super::{Lookup, read, write};
use hashpact_core::view::{BLOCK_ENTRIES, kept_line};
use hashpact_index::{MatchIndex, SnapshotError};
use hashpact_protocol::digest::LogId;
use hashpact_protocol::roster::MemberId;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Attempts to write a snapshot before the node gives up until the next interval.
const ATTEMPTS_MAX: u32 = 3;
/// Blocks of record numbers that each growing log gets ahead of need, in entries.
const RESERVED_ENTRIES: u64 = 2 * BLOCK_ENTRIES;

/// Where a node's snapshot is, and whose it must be.
#[derive(Debug, Clone)]
pub struct SnapshotPlace {
    path: PathBuf,
    owner: Owner,
    /// Shared by all copies.
    roster_version: Arc<AtomicU64>,
}

/// A snapshot that was written.
#[derive(Debug, Clone, Copy)]
pub struct Saved {
    /// Entries of all logs whose effects are in it, at least.
    pub entries: u64,
    /// Length of the file.
    pub bytes: u64,
    /// How long writing took.
    pub took: Duration,
}

/// Why no snapshot was written; the one before is still there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SaveError {
    /// The index's own words.
    #[error("index.snapshot: {0}")]
    Index(#[source] SnapshotError),
    /// The file cannot be put in its place.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The tag cannot be written.
    #[error("{0}")]
    Tag(String),
    /// Logs outgrew the record numbers that the tag had for them, each time.
    #[error("logs grew by more than a snapshot can follow, {ATTEMPTS_MAX} times in a row")]
    Outgrown,
}

/// Why a snapshot cannot be used. A start then builds the index from the logs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unusable {
    /// There is none.
    #[error("there is none")]
    Missing,
    /// Torn, damaged or of another version.
    #[error("{0}")]
    Index(#[source] SnapshotError),
    /// The records snapshot is torn, damaged, of another version, or not this index's.
    #[error("{0}")]
    Records(String),
    /// The tag breaks a rule of its format.
    #[error("{0}")]
    Tag(String),
    /// Another member's.
    #[error("it was written by member {got}; this node is member {expected}'s")]
    Member {
        /// Who wrote it.
        got: String,
        /// Who we are.
        expected: String,
    },
    /// Of another consortium, or from the time of another log of ours.
    #[error("it was written when {got} was the own log; now it is {expected}")]
    OwnLog {
        /// Log id in the tag.
        got: LogId,
        /// Ours.
        expected: LogId,
    },
    /// Which logs count may have changed since.
    #[error("it was written under roster version {got}; now version {expected} is in force")]
    Roster {
        /// Version in the tag.
        got: u64,
        /// In force.
        expected: u64,
    },
    /// A log that the roster does not list.
    #[error("it knows log {0}, which the roster does not list")]
    UnknownLog(LogId),
    /// It knows more than there is: the database was replaced by an older one.
    #[error("it knows {position} entries of log {log}; {size} are held here")]
    Ahead {
        /// The log.
        log: LogId,
        /// What the snapshot knows.
        position: u64,
        /// What is here.
        size: u64,
    },
}

impl SnapshotPlace {
    /// A snapshot at `path` of this member's node, while `own_log` is open and this roster in force.
    #[must_use]
    pub fn new(path: PathBuf, member: &MemberId, own_log: LogId, roster_version: u64) -> Self {
        let owner = Owner { member: member.to_string(), own_log, roster_version };
        Self { path, owner, roster_version: Arc::new(AtomicU64::new(roster_version)) }
    }

    /// A newer roster is in force, under which the same entries count.
    pub fn set_roster_version(&self, version: u64) {
        self.roster_version.store(version, Ordering::Relaxed);
    }

    fn owner(&self) -> Owner {
        Owner { roster_version: self.roster_version.load(Ordering::Relaxed), ..self.owner.clone() }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the snapshot and checks that it is this node's and not ahead of its logs.
    pub(super) fn open(&self, logs: &[LogExtent]) -> Result<(MatchIndex, Tag), Unusable> {
        if !self.path.exists() {
            return Err(Unusable::Missing);
        }
        let (index, tag) = MatchIndex::open(&self.path).map_err(Unusable::Index)?;
        let tag = Tag::decode(&tag).map_err(|error| Unusable::Tag(error.to_string()))?;
        self.check(&tag, logs)?;
        Ok((index, tag))
    }

    /// Opens the records that were written with the index of this tag.
    pub(super) fn open_records(&self, tag: &Tag) -> Result<SavedRecords, Unusable> {
        let tag = tag.encode().map_err(|error| Unusable::Tag(error.to_string()))?;
        SavedRecords::open(&self.records_path(), &tag)
    }

    fn check(&self, tag: &Tag, logs: &[LogExtent]) -> Result<(), Unusable> {
        let (got, expected) = (&tag.owner, &self.owner());
        if got.member != expected.member {
            return Err(Unusable::Member { got: got.member.clone(), expected: expected.member.clone() });
        }
        if got.own_log != expected.own_log {
            return Err(Unusable::OwnLog { got: got.own_log, expected: expected.own_log });
        }
        if got.roster_version != expected.roster_version {
            return Err(Unusable::Roster { got: got.roster_version, expected: expected.roster_version });
        }
        let followed = logs.iter().map(|held| (held.author.log, held.size));
        let kept = logs.iter().flat_map(|held| {
            held.kept.iter().map(|kept| (kept_line(&held.author.log, kept.number), kept.end))
        });
        let sizes: BTreeMap<LogId, u64> = followed.chain(kept).collect();
        for (log, position) in &tag.positions {
            let size = *sizes.get(log).ok_or(Unusable::UnknownLog(*log))?;
            if *position > size {
                return Err(Unusable::Ahead { log: *log, position: *position, size });
            }
        }
        Ok(())
    }

    /// Writes a snapshot of what look-ups know now, beside readers and writers, and puts it in the
    /// place of the one before. A crash at any moment leaves one or the other, whole.
    ///
    /// # Errors
    /// Why not; the one before is still there.
    pub fn save(&self, lookup: &Lookup) -> Result<Saved, SaveError> {
        let started = Instant::now();
        let [fresh, fresh_records] = self.fresh_paths();
        let io = |source| SaveError::Io { path: fresh.clone(), source };
        for _ in 0..ATTEMPTS_MAX {
            let tag = lookup.tag(&self.owner());
            let bytes = tag.encode().map_err(|error: TagError| SaveError::Tag(error.to_string()))?;
            lookup.source().index.save(&fresh, &bytes).map_err(SaveError::Index)?;
            // The index may hold changes that came after the tag. If one of them took a number from a
            // block that the tag does not list, a restart could give that number to another record.
            if read(&lookup.rows).numbers().blocks().len() > tag.blocks.len() {
                continue;
            }
            let mut len = std::fs::metadata(&fresh).map_err(io)?.len();
            len += saved::save(&fresh_records, lookup, &tag, &bytes)?;
            // Between the two the tags differ, and a start does without the records.
            std::fs::rename(&fresh_records, self.records_path()).map_err(io)?;
            std::fs::rename(&fresh, &self.path).map_err(io)?;
            if let Some(folder) = self.path.parent() {
                File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)?;
            }
            return Ok(Saved { entries: tag.entries(), bytes: len, took: started.elapsed() });
        }
        self.remove_unfinished();
        Err(SaveError::Outgrown)
    }

    /// Removes the snapshots and what a crash while writing left behind. Whether they are gone.
    #[must_use]
    pub fn remove(&self) -> bool {
        let mut is_gone = true;
        for path in [self.path.clone(), self.records_path()].into_iter().chain(self.fresh_paths()) {
            if let Err(error) = remove_if_there(&path) {
                tracing::error!(%error, file = %path.display(), "a snapshot that must go could not be removed");
                is_gone = false;
            }
        }
        let synced = self.path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all());
        if let Err(error) = &synced {
            tracing::error!(%error, file = %self.path.display(), "the removal of a snapshot could not be made durable");
        }
        is_gone && synced.is_ok()
    }

    /// Removes what a crash while writing left behind.
    pub fn remove_unfinished(&self) {
        for path in self.fresh_paths() {
            if let Err(error) = remove_if_there(&path) {
                tracing::warn!(%error, file = %path.display(), "an unfinished snapshot could not be removed");
            }
        }
    }

    /// The file of the records.
    fn records_path(&self) -> PathBuf {
        self.path.with_file_name("records.snapshot")
    }

    /// Where both files are while they are written.
    fn fresh_paths(&self) -> [PathBuf; 2] {
        [self.path.clone(), self.records_path()].map(|path| {
            let mut name = path.into_os_string();
            name.push(".new");
            name.into()
        })
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl Lookup {
    /// Entries of all logs whose effects are in the index.
    pub(super) fn entries_known(&self) -> u64 {
        read(&self.state).folded.values().map(|(counts, _)| counts.entries()).sum()
    }

    /// The tag of a snapshot that is begun now.
    fn tag(&self, owner: &Owner) -> Tag {
        // Positions before blocks: whatever is applied in between only makes positions too low.
        let folded = read(&self.state).folded.clone();
        let mut positions: BTreeMap<LogId, u64> =
            folded.iter().map(|(log, (counts, _))| (*log, counts.entries())).collect();
        let blocks = {
            let mut rows = write(&self.rows);
            for (log, position) in &positions {
                // A log that has grown this far may grow on while the snapshot is written.
                if *position >= BLOCK_ENTRIES / 2 {
                    (0..=RESERVED_ENTRIES / BLOCK_ENTRIES)
                        .for_each(|ahead| rows.reserve(*log, position + ahead * BLOCK_ENTRIES));
                }
            }
            rows.numbers().blocks().to_vec()
        };
        for block in &blocks {
            positions.entry(block.log).or_insert(0);
        }
        Tag { owner: owner.clone(), positions, blocks }
    }
}
