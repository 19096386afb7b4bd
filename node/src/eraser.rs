//! The thread that takes destroyed payloads out of the files, and gives up what is no longer on legal hold.
//!
//! It is apart from the storage thread because compaction takes seconds to minutes, and appending must not
//! wait for it. What it is told of is no longer served by then. A node that stops meanwhile goes on at its
//! next start: what is to be purged is noted in the database.

use crate::lookup::SnapshotForgetter;
use crate::storage::Store;
use crate::vault::Vault;
use hashpact_core::Event;
use hashpact_core::effect::{EraseBatch, EraseStep, WriteId};
use hashpact_core::event::ErasedEntry;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc;
use tracing::{error, info, warn};

/// How often it looks for released holds, and tries again what a reader prevented.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Whether a batch takes bytes away.
pub(crate) fn is_destroying(batch: &EraseBatch) -> bool {
    batch.steps.iter().any(|(_, step)| matches!(step, EraseStep::Destroy { .. }))
}

/// The running thread; it ends after the purge under way when it is dropped.
pub(crate) struct Eraser {
    purges: SyncSender<Work>,
    thread: Option<JoinHandle<()>>,
}

/// Takes batches that destroyed.
#[derive(Clone)]
pub(crate) struct Purges(SyncSender<Work>);

enum Work {
    Purge(WriteId, Vec<ErasedEntry>),
    Stop,
}

impl Purges {
    /// These payloads are replaced in the database, and may still be in its files.
    pub(crate) fn add(&self, write: WriteId, changed: Vec<ErasedEntry>) {
        // A thread that has ended leaves it to the next start.
        let _ = self.0.send(Work::Purge(write, changed));
    }
}

impl Eraser {
    /// Starts the thread.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start(
        store: Arc<Store>,
        vault: Vault,
        snapshots: SnapshotForgetter,
        report: mpsc::Sender<Event>,
    ) -> std::io::Result<Self> {
        // The engine has one batch that destroys under way at a time.
        let (stop, inbox) = sync_channel(4);
        let erasing = Erasing { store, vault, snapshots, report };
        let thread =
            std::thread::Builder::new().name("eraser".to_owned()).spawn(move || erasing.run(&inbox))?;
        Ok(Self { purges: stop, thread: Some(thread) })
    }

    /// Where batches go.
    pub(crate) fn purges(&self) -> Purges {
        Purges(self.purges.clone())
    }
}

impl Drop for Eraser {
    fn drop(&mut self) {
        let _ = self.purges.send(Work::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Erasing {
    store: Arc<Store>,
    vault: Vault,
    snapshots: SnapshotForgetter,
    report: mpsc::Sender<Event>,
}

impl Erasing {
    fn run(&self, inbox: &Receiver<Work>) {
        let mut waiting: Vec<(WriteId, Vec<ErasedEntry>)> = Vec::new();
        let mut is_due = false;
        // What a crash left is purged first.
        let mut wait = Duration::ZERO;
        loop {
            match inbox.recv_timeout(wait) {
                Ok(Work::Purge(write, changed)) => {
                    waiting.push((write, changed));
                    is_due = true;
                }
                Ok(Work::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    if !self.release() {
                        return;
                    }
                    is_due |= self.store.is_purge_due().unwrap_or(false);
                }
            }
            wait = LOOK_INTERVAL;
            if !is_due {
                continue;
            }
            is_due = !self.purge();
            if !is_due {
                for (write, changed) in waiting.drain(..) {
                    if self.report.blocking_send(Event::Erased { write, changed }).is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Whether nothing destroyed is left in a file.
    fn purge(&self) -> bool {
        match self.store.purge(|| self.snapshots.forget()) {
            Ok(true) => true,
            Ok(false) => {
                warn!("destroyed payloads are still in files that a long read holds; trying again");
                false
            }
            Err(error) => {
                error!(%error, "destroyed payloads could not be taken out of the database's files; trying again");
                false
            }
        }
    }

    /// Gives up what is no longer on hold. False when nobody is left to be told.
    fn release(&self) -> bool {
        match self.store.release(&self.vault) {
            Ok(changed) if changed.is_empty() => true,
            Ok(changed) => {
                info!(payloads = changed.len(), "payloads whose legal hold was released are destroyed");
                self.report.blocking_send(Event::Erased { write: 0, changed }).is_ok()
            }
            Err(error) => {
                error!(%error, "released legal holds could not be given up");
                true
            }
        }
    }
}
