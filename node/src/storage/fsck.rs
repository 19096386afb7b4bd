//! Checks the whole database against itself, the signatures and the lock file.
//!
//! Every leaf is hashed again; tiles, frontier and root are recomputed from the leaves and compared;
//! notes are verified under the roster's keys and their roots compared with the recomputed ones;
//! payloads are held against their commitments, the place index against the leaves, the list of missing payloads
//! against their rows, the list of entries that overtake a backlog against the leaves, idempotency entries and the lock
//! file against the heads, what was cosigned against the recomputed roots; evidence is verified, and so are the other histories
//! that are kept of forked logs; cards are decoded. A block that RocksDB cannot read is a fault like any
//! other, named with the place where reading ended. What fsck deliberately does not do: repair, or decide
//! what counts (the engine folds entries anew at every start).
//!
//! It streams: one chunk of leaf hashes is in memory at a time, whatever the size of the database,
//! and at most [`PROBLEMS_KEPT_MAX`] problems are kept (the rest are counted). It only reads, and
//! should run while the node is stopped. Somebody who can write the database can satisfy every check
//! but the signatures and the lock: those are what ties the bytes to something outside.

mod branches;
mod log;
mod priority;
mod problem;
mod tables;

pub use problem::Problem;

use super::error::StoreError;
use super::{Store, StoredHead};
use hashpact_core::effect::LockState;
use hashpact_protocol::digest::{LogId, Root};
use hashpact_protocol::keys::PublicKey;
use hashpact_protocol::roster::RosterChain;
use std::collections::BTreeMap;

/// Problems that a report names one by one.
pub const PROBLEMS_KEPT_MAX: usize = 1000;

/// The key of every log that the roster names.
pub type LogKeys = BTreeMap<LogId, PublicKey>;

/// How far a check is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// Origin of the log being checked.
    pub origin: &'a str,
    /// Entries of it that are done.
    pub checked: u64,
    /// Entries that it has.
    pub size: u64,
}

/// What was found about one log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogReport {
    /// Its origin.
    pub origin: String,
    /// Entries checked; below the stored size if one was missing.
    pub entries: u64,
    /// Root recomputed from the leaves, if none was missing.
    pub root: Option<Root>,
    /// Size of the note kept, if its signature and root are right.
    pub note_size: Option<u64>,
    /// Payloads held.
    pub payloads_present: u64,
    /// Payloads withheld, erased or not here.
    pub payloads_absent: u64,
    /// Tiles recomputed.
    pub tiles: u64,
}

/// What was found about a history that is kept beside the followed one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchReport {
    /// Origin of its log.
    pub origin: String,
    /// Size of its checkpoint.
    pub size: u64,
    /// Leaf index from which on it is kept.
    pub start: u64,
    /// Where what is kept ends.
    pub end: u64,
}

/// The result of a check.
#[derive(Debug, Default)]
pub struct FsckReport {
    /// One report per log, in the order of their ids.
    pub logs: Vec<LogReport>,
    /// Histories of forked logs that are kept beside the followed ones.
    pub branches: Vec<BranchReport>,
    /// Occurrences in the place index.
    pub places: u64,
    /// Idempotency entries.
    pub idempotency: u64,
    /// Entries held ahead of their log's end.
    pub ahead: u64,
    /// What is wrong, in the order found, up to [`PROBLEMS_KEPT_MAX`].
    pub problems: Vec<Problem>,
    /// Faults found, kept or not.
    pub faults: u64,
    /// Notices found, kept or not: what a crash leaves behind and a start puts right.
    pub notices: u64,
}

impl FsckReport {
    /// Whether nothing but notices was found.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.faults == 0
    }

    fn add(&mut self, problem: Problem) {
        if problem.is_fault() {
            self.faults += 1;
        } else {
            self.notices += 1;
        }
        if self.problems.len() < PROBLEMS_KEPT_MAX {
            self.problems.push(problem);
        }
    }
}

/// Checks everything, with the keys of the newest roster of a verified chain.
///
/// # Errors
/// Only what makes checking impossible: heads that do not decode, or RocksDB's own.
pub fn fsck(
    store: &Store,
    roster: &RosterChain,
    lock: &LockState,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<FsckReport, StoreError> {
    let keys = roster.current().logs().map(|log| (log.log_id, *log.key)).collect();
    fsck_with_keys(store, &keys, lock, progress)
}

/// Checks everything, with these keys.
///
/// # Errors
/// As [`fsck`].
pub fn fsck_with_keys(
    store: &Store,
    keys: &LogKeys,
    lock: &LockState,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<FsckReport, StoreError> {
    let mut report = FsckReport::default();
    let heads = store.heads()?;
    let own = LogId::of_origin(&lock.origin);
    check_lock(store, &heads, lock, &mut report)?;
    let facts = tables::facts(store, &mut report);
    for head in &heads {
        let said = log::Said {
            key: keys.get(&head.log),
            lock: (head.log == own).then_some((lock.size, lock.root)),
            cosigned: facts.cosigned.get(&head.log).copied(),
            quorum: facts.quorum_heads.get(&head.log),
        };
        let log = log::check(store, head, &said, &mut report, progress)?;
        report.logs.push(log);
    }
    tables::check(store, &heads, &facts, keys, &mut report)?;
    branches::check(store, &heads, &facts, keys, &mut report)?;
    Ok(report)
}

/// Compares what the lock says with what is stored; its root is compared while leaves are hashed.
fn check_lock(
    store: &Store,
    heads: &[StoredHead],
    lock: &LockState,
    report: &mut FsckReport,
) -> Result<(), StoreError> {
    let (origin, locked) = (lock.origin.clone(), lock.size);
    let stored = heads.iter().find(|head| head.origin == lock.origin).map_or(0, |head| head.size);
    if locked > stored {
        report.add(Problem::LockAhead { origin, locked, stored });
    } else if locked < stored {
        report.add(Problem::LockBehind { origin, locked, stored });
    }
    let generation = store.generation()?;
    if generation > lock.generation {
        report.add(Problem::GenerationAhead { stored: generation, locked: lock.generation });
    } else if generation != 0 && generation < lock.generation {
        report.add(Problem::GenerationBehind { stored: generation, locked: lock.generation });
    }
    Ok(())
}
