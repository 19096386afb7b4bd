//! Holding rows that came from a records snapshot against the logs, while look-ups are answered from them.
//!
//! A start believes the file for what it does not show: a record that the file leaves out is folded from its entry, and one that
//! it names is shown only after its own entry was read and says the same. A thread reads every entry that the file stood for;
//! when all are confirmed, look-ups read the disk no more. If one is not, the node starts anew from its logs.

use super::rows::Held;
use super::{Lookup, read, write};
use crate::storage::{Store, StoreError};
use hashpact_core::view::{Author, read_record};
use hashpact_protocol::digest::LogId;
use hashpact_protocol::leaf::Kind;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tracing::{error, info, warn};

/// Entries read at a time.
const ENTRIES_AT_ONCE: u64 = 1_024;

/// What is not confirmed yet: records of the followed histories of logs, below a position of each.
pub(super) struct Unconfirmed {
    store: Arc<Store>,
    logs: Vec<(Author, u64)>,
}

/// Why rows are not believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unconfirmable {
    /// A row says something else than its entry.
    #[error("entry {index} of log {log} does not say what the records snapshot says")]
    Contradicted {
        /// The log.
        log: LogId,
        /// Leaf index.
        index: u64,
    },
    /// The entries cannot be read.
    #[error("{0}")]
    Store(#[from] StoreError),
}

impl Unconfirmed {
    pub(super) fn new(store: Arc<Store>, logs: impl IntoIterator<Item = (Author, u64)>) -> Self {
        Self { store, logs: logs.into_iter().collect() }
    }

    /// Whether a record's own entry says what its row says. Reads the disk.
    pub(super) fn confirms(&self, held: &Held<'_>) -> bool {
        let is_of =
            |(author, position): &&(Author, u64)| author.line == held.author.line && held.index < *position;
        let Some((author, _)) = self.logs.iter().find(is_of) else { return true };
        if held.status().is_blank() || held.description.kind() != Kind::Content {
            // Nothing of it is shown, or it was folded.
            return true;
        }
        match self.store.entry(&author.log, held.index) {
            Ok(Some(entry)) => {
                let record = read_record(author, held.index, &entry.leaf, &entry.payload, 0);
                record.is_some_and(|record| held.states(&record))
            }
            Ok(None) => false,
            Err(error) => {
                error!(%error, log.index = held.index, "a matching record could not be read; run fsck");
                false
            }
        }
    }
}

impl Lookup {
    /// Whether a look-up may have to read the disk.
    #[must_use]
    pub fn reads_disk(&self) -> bool {
        !self.is_loaded() || read(&self.source).unconfirmed.is_some()
    }

    /// Reads the entries of all rows that came from a records snapshot, and believes the rows from then on. `go_on` hears how
    /// long each step took, and may wait, or end it. Whether it came to its end.
    ///
    /// # Errors
    /// The first row that is another than its entry, or the database cannot be read.
    pub fn confirm_records(
        &self,
        mut go_on: impl FnMut(Duration) -> ControlFlow<()>,
    ) -> Result<bool, Unconfirmable> {
        let Some(unconfirmed) = read(&self.source).unconfirmed.clone() else { return Ok(true) };
        for (author, position) in &unconfirmed.logs {
            for start in (0..*position).step_by(ENTRIES_AT_ONCE as usize) {
                let started = Instant::now();
                let end = position.min(&(start + ENTRIES_AT_ONCE)).to_owned();
                self.confirm_run(&unconfirmed, author, start..end)?;
                if go_on(started.elapsed()).is_break() {
                    return Ok(false);
                }
            }
        }
        write(&self.source).unconfirmed = None;
        Ok(true)
    }

    fn confirm_run(
        &self,
        unconfirmed: &Unconfirmed,
        author: &Author,
        range: Range<u64>,
    ) -> Result<(), Unconfirmable> {
        let mut records = Vec::new();
        unconfirmed.store.for_each_entry(&author.log, range.start, range.end, |index, leaf, payload| {
            let record = read_record(author, index, leaf, &payload, 0);
            records.push(record.filter(|record| record.stated.kind == Kind::Content));
            ControlFlow::Continue(())
        })?;
        let rows = read(&self.rows);
        for (index, record) in range.zip(&records) {
            let Some(held) = rows.at(author.line, index) else { continue };
            let is_same = record.as_ref().is_some_and(|record| held.states(record));
            // What was sealed or given back between the two reads is read once more.
            if !is_same && !unconfirmed.confirms(&held) {
                return Err(Unconfirmable::Contradicted { log: author.log, index });
            }
        }
        Ok(())
    }
}

/// The thread that confirms restored rows.
pub struct Confirming {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Confirming {
    /// Starts it; it ends at once if there is nothing to confirm. What is contradicted is told once.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(lookup: Arc<Lookup>, contradicted: mpsc::Sender<String>) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let work = move || {
            if read(&lookup.source).unconfirmed.is_none() {
                return;
            }
            let started = Instant::now();
            let outcome = lookup.confirm_records(|took| {
                // Half of a core is left to whoever asks.
                std::thread::sleep(took);
                if stopped.load(Ordering::Relaxed) {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            });
            match outcome {
                Ok(true) => {
                    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
                    info!(duration_ms, "the logs confirmed the records snapshot");
                }
                Ok(false) => {}
                Err(error @ Unconfirmable::Contradicted { .. }) => {
                    // A loop that has ended needs no telling.
                    let _ = contradicted.blocking_send(error.to_string());
                }
                Err(error) => warn!(%error, "the records snapshot cannot be held against the logs; run fsck"),
            }
        };
        let thread = std::thread::Builder::new().name("confirm".to_owned()).spawn(work)?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Confirming {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
