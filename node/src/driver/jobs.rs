//! The storage thread: everything durable that the loop asks for, done in that order and reported as events.
//!
//! Its inbox is bounded; a loop that writes faster than the disk waits for it. What fails ends the thread: the
//! loop hears of it and stops the node.

use crate::eraser::{Purges, is_destroying};
use crate::rosters::RosterFile;
use crate::storage::{LockFile, Store};
use crate::vault::Vault;
use hashpact_core::effect::{
    AheadBatch, BranchBatch, EraseBatch, FactWrite, LockState, PayloadBatch, RepairBatch, RosterWrite,
    WriteBatch, WriteId,
};
use hashpact_core::{Effect, Event, StopReason};
use hashpact_protocol::digest::{LeafHash, LogId, NodeHash};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use tokio::sync::{mpsc, oneshot};

/// Jobs waiting for the thread.
pub(super) const JOBS_QUEUED_MAX: usize = 64;
/// Batches that are stored with one sync.
const WRITES_TOGETHER_MAX: usize = 16;

/// One thing to do.
pub(super) enum Job {
    Write(WriteBatch),
    Fact(FactWrite),
    Lock(WriteId, LockState),
    Payloads(PayloadBatch),
    Repair(RepairBatch),
    Tiles {
        log: LogId,
        wrong: Vec<(u8, u64, Vec<NodeHash>)>,
    },
    /// Says what was signed last, for a backup that begins now.
    LockState(oneshot::Sender<LockState>),
    Ahead(AheadBatch),
    Subjects(Vec<LeafHash>),
    Erase(EraseBatch),
    Missing {
        log: LogId,
        after: Option<u64>,
        count_max: usize,
    },
    Roster(RosterWrite),
    Branch(BranchBatch),
}

impl Job {
    /// What the storage thread does as it is told; anything else is given back.
    pub(super) fn of(effect: Effect) -> Result<Self, Box<Effect>> {
        Ok(match effect {
            Effect::Write(batch) => Self::Write(batch),
            Effect::WriteLock { write, lock } => Self::Lock(write, lock),
            Effect::WriteFact(fact) => Self::Fact(fact),
            Effect::WritePayloads(batch) => Self::Payloads(batch),
            Effect::Repair(batch) => Self::Repair(batch),
            Effect::WriteAhead(batch) => Self::Ahead(batch),
            Effect::FindMissing { log, after, count_max } => Self::Missing { log, after, count_max },
            Effect::WriteRoster(write) => Self::Roster(write),
            Effect::WriteBranch(batch) => Self::Branch(batch),
            Effect::FindSubjects { ids } => Self::Subjects(ids),
            Effect::Erase(batch) => Self::Erase(batch),
            other => return Err(Box::new(other)),
        })
    }
}

/// What the storage thread works on.
pub(super) struct Disk {
    pub(super) store: Arc<Store>,
    pub(super) rosters: RosterFile,
    pub(super) vault: Vault,
    pub(super) purges: Purges,
}

/// The running thread. Joined when dropped: a process that ends while this thread still closes the database is
/// aborted by the database's own static destructors.
pub(super) struct StorageThread {
    /// `None` once it is being dropped.
    jobs: Option<SyncSender<Job>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl StorageThread {
    /// Starts the thread; what it did is told to `report`.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn start(disk: Disk, lock: LockFile, report: mpsc::Sender<Event>) -> std::io::Result<Self> {
        let (jobs, inbox) = sync_channel(JOBS_QUEUED_MAX);
        let thread = std::thread::Builder::new()
            .name("storage".to_owned())
            .spawn(move || write_loop(&disk, lock, &inbox, &report))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Queues a job, waiting for room.
    ///
    /// # Errors
    /// The thread has ended.
    pub(super) fn send(&self, job: Job) -> Result<(), StopReason> {
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        let ended = || StopReason::WriteFailed { detail: "the storage thread has ended".to_owned() };
        sent.then_some(()).ok_or_else(ended)
    }
}

impl Drop for StorageThread {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // A panic there was reported as an ended thread already.
            let _ = thread.join();
        }
    }
}

/// One job after the other, each synced before it is reported. Batches that wait one behind the other share a sync.
fn write_loop(disk: &Disk, mut lock: LockFile, inbox: &Receiver<Job>, report: &mpsc::Sender<Event>) {
    let mut next = None;
    while let Some(job) = next.take().or_else(|| inbox.recv().ok()) {
        let events = match job {
            Job::Write(first) => {
                let mut batches = vec![first];
                while batches.len() < WRITES_TOGETHER_MAX && next.is_none() {
                    match inbox.try_recv() {
                        Ok(Job::Write(batch)) => batches.push(batch),
                        Ok(other) => next = Some(other),
                        Err(_) => break,
                    }
                }
                write_together(&disk.store, &batches)
            }
            other => perform_job(disk, &mut lock, other).into_iter().collect(),
        };
        for event in events {
            let failed = matches!(event, Event::WriteFailed { .. });
            if report.blocking_send(event).is_err() || failed {
                return;
            }
        }
    }
}

fn write_together(store: &Store, batches: &[WriteBatch]) -> Vec<Event> {
    match store.write_together(&batches.iter().collect::<Vec<_>>()) {
        Ok(read_back) => batches
            .iter()
            .zip(read_back)
            .map(|(batch, read_back)| Event::Written { write: batch.id, read_back })
            .collect(),
        Err(error) => {
            let write = batches.first().map_or(0, |batch| batch.id);
            vec![Event::WriteFailed { write, detail: error.to_string() }]
        }
    }
}

/// What the loop must hear of a job, if anything.
fn perform_job(disk: &Disk, lock: &mut LockFile, job: Job) -> Option<Event> {
    let Disk { store, rosters, vault, purges } = disk;
    let written = |write, read_back| Event::Written { write, read_back };
    let (write, done) = match job {
        Job::Write(batch) => return write_together(store, &[batch]).pop(),
        Job::Missing { log, after, count_max } => {
            (0, store.missing(&log, after, count_max).map(|found| Some(Event::Missing { log, found })))
        }
        Job::Lock(write, state) => {
            let done = lock.write(&state).map(|()| Event::LockWritten { write });
            return Some(
                done.unwrap_or_else(|error| Event::WriteFailed { write, detail: error.to_string() }),
            );
        }
        Job::LockState(answer) => {
            // Whoever asked may be gone.
            let _ = answer.send(lock.state().clone());
            return None;
        }
        Job::Fact(fact) => (fact.id, store.write_fact(&fact).map(|()| Some(written(fact.id, Vec::new())))),
        Job::Payloads(batch) => {
            (batch.id, store.write_payloads(&batch).map(|()| Some(written(batch.id, Vec::new()))))
        }
        Job::Ahead(batch) => {
            (batch.id, store.write_ahead(&batch).map(|()| Some(written(batch.id, Vec::new()))))
        }
        Job::Branch(batch) => {
            (batch.id, store.write_branch(&batch).map(|()| Some(written(batch.id, Vec::new()))))
        }
        Job::Roster(write) => {
            let kept = rosters.add_rivals(&write.rivals).and_then(|()| rosters.add(&write.versions));
            let done = kept.map(|()| written(write.id, Vec::new()));
            let failed =
                |error: anyhow::Error| Event::WriteFailed { write: write.id, detail: format!("{error:#}") };
            return Some(done.unwrap_or_else(failed));
        }
        Job::Repair(batch) => {
            let repaired = |payloads_missing| Some(Event::Repaired { write: batch.id, payloads_missing });
            (batch.id, store.repair(&batch).map(repaired))
        }
        Job::Subjects(ids) => {
            (0, store.find_subjects(&ids).map(|found| Some(Event::SubjectsFound { found })))
        }
        Job::Erase(batch) => {
            let erased = |changed| {
                if is_destroying(&batch) {
                    // Said to be destroyed once it is in no file any more.
                    purges.add(batch.id, changed);
                    return None;
                }
                Some(Event::Erased { write: batch.id, changed })
            };
            (batch.id, store.erase(&batch, vault).map(erased))
        }
        Job::Tiles { log, wrong } => (0, store.rewrite_tiles(&log, &wrong).map(|()| None)),
    };
    done.unwrap_or_else(|error| Some(Event::WriteFailed { write, detail: error.to_string() }))
}
