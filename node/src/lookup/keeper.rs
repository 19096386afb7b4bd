//! The thread that writes index snapshots while the node runs, and the last one when it stops.
//!
//! It never holds what look-ups or the loop need for longer than a copy of a small table takes; the
//! index is written beside its readers and writers.

use super::Lookup;
use super::snapshot::SnapshotPlace;
use crate::metrics::Metrics;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// How often the thread looks whether a snapshot is due.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// When snapshots are written.
#[derive(Debug, Clone, Copy)]
pub struct SnapshotTimes {
    /// Least time between two while the node runs; zero: only when it stops.
    pub interval: Duration,
    /// Least number of entries since the last one.
    pub changes_min: u64,
}

/// The running thread.
pub struct SnapshotKeeper {
    orders: SyncSender<Order>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread is told.
enum Order {
    /// End; whether to write a last snapshot.
    Stop(bool),
    /// Values were destroyed: the file must go. Answered when it is gone.
    Forget(SyncSender<bool>),
}

/// Makes the file forget destroyed values.
#[derive(Clone)]
pub struct SnapshotForgetter(SyncSender<Order>);

impl SnapshotForgetter {
    /// Removes the snapshot; whether it is gone. The next one holds nothing of what was removed.
    #[must_use]
    pub fn forget(&self) -> bool {
        let (gone, wait) = sync_channel(1);
        self.0.send(Order::Forget(gone)).is_ok() && wait.recv().unwrap_or(false)
    }
}

struct Keeping {
    place: SnapshotPlace,
    times: SnapshotTimes,
    lookup: Arc<Lookup>,
    metrics: Arc<Metrics>,
    /// Entries that the file on disk knows.
    saved_entries: u64,
    /// When it was written or last tried; `None` if there is no good one.
    saved_at: Option<Instant>,
    /// Whether the index must drop what was removed before it is written again.
    forgetting: bool,
}

impl SnapshotKeeper {
    /// Starts the thread. `restored_entries` is what the snapshot on disk knows, if it was found good.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(
        place: SnapshotPlace,
        times: SnapshotTimes,
        lookup: Arc<Lookup>,
        metrics: Arc<Metrics>,
        restored_entries: Option<u64>,
    ) -> std::io::Result<Self> {
        let (orders, inbox) = sync_channel(1);
        let mut keeping = Keeping {
            place,
            times,
            lookup,
            metrics,
            saved_entries: restored_entries.unwrap_or(0),
            saved_at: restored_entries.map(|_| Instant::now()),
            forgetting: false,
        };
        let thread = std::thread::Builder::new()
            .name("index-snapshot".to_owned())
            .spawn(move || keeping.run(&inbox))?;
        Ok(Self { orders, thread: Some(thread) })
    }

    /// For whoever destroys payloads.
    #[must_use]
    pub fn forgetter(&self) -> SnapshotForgetter {
        SnapshotForgetter(self.orders.clone())
    }

    /// Writes a last snapshot if anything changed, and ends. Nothing may change the index any more.
    pub fn finish(mut self) {
        self.end(true);
    }

    fn end(&mut self, save: bool) {
        if let Some(thread) = self.thread.take() {
            // A thread that has ended already has nothing left to write.
            let _ = self.orders.send(Order::Stop(save));
            let _ = thread.join();
        }
    }
}

/// Without [`SnapshotKeeper::finish`], nothing more is written: the node stopped itself because its own
/// state may be wrong.
impl Drop for SnapshotKeeper {
    fn drop(&mut self) {
        self.end(false);
    }
}

impl Keeping {
    fn run(&mut self, inbox: &Receiver<Order>) {
        loop {
            match inbox.recv_timeout(LOOK_INTERVAL) {
                Err(RecvTimeoutError::Timeout) => {
                    if self.is_due() {
                        self.save();
                    }
                }
                Ok(Order::Forget(gone)) => {
                    let is_gone = self.forget();
                    let _ = gone.send(is_gone);
                }
                Ok(Order::Stop(save)) => {
                    if save && (self.lookup.entries_known() > self.saved_entries || self.saved_at.is_none()) {
                        self.save();
                    }
                    return;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn is_due(&self) -> bool {
        let SnapshotTimes { interval, changes_min } = self.times;
        let is_time = self.saved_at.is_none_or(|at| at.elapsed() >= interval);
        let changes = self.lookup.entries_known().saturating_sub(self.saved_entries);
        !interval.is_zero() && is_time && changes > 0 && changes >= changes_min
    }

    /// Removes the file; whether it is gone.
    fn forget(&mut self) -> bool {
        (self.saved_entries, self.saved_at, self.forgetting) = (0, None, true);
        self.place.remove()
    }

    fn save(&mut self) {
        if self.forgetting && !self.lookup.forget_removed() {
            // A reader may still look at a removed value; without a snapshot the next start reads the logs.
            return;
        }
        self.forgetting = false;
        // A failure is not tried again before the interval is over either.
        self.saved_at = Some(Instant::now());
        match self.place.save(&self.lookup) {
            Ok(saved) => {
                self.saved_entries = saved.entries;
                self.metrics.snapshot_saved(saved.bytes, saved.took);
                let duration_ms = u64::try_from(saved.took.as_millis()).unwrap_or(u64::MAX);
                info!(entries = saved.entries, bytes = saved.bytes, duration_ms, "wrote the index snapshot");
            }
            Err(error) => {
                self.metrics.snapshot_failures.inc();
                warn!(%error, "no index snapshot was written; the next start may have to replay more");
            }
        }
    }
}
