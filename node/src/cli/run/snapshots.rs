//! The snapshots of a running node: which is used, when they are written, and what becomes of ones that lie.

use crate::config::Config;
use crate::lookup::confirm::Confirming;
use crate::lookup::replay::IndexOrigin;
use crate::lookup::snapshot::{SnapshotPlace, Unusable};
use crate::lookup::{Lookup, SnapshotForgetter, SnapshotKeeper, SnapshotTimes};
use crate::metrics::Metrics;
use anyhow::Context as _;
use hashpact_core::StopReason;
use hashpact_protocol::digest::LogId;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Where they are; what a crash while writing left behind is removed.
pub(super) fn place(config: &Config, own_log: LogId, roster_version: u64) -> SnapshotPlace {
    let place = SnapshotPlace::new(config.snapshot_file(), &config.member, own_log, roster_version);
    place.remove_unfinished();
    place
}

/// What this start made of the snapshots on disk.
pub(super) struct FoundSnapshots {
    /// Where the index comes from.
    pub(super) origin: IndexOrigin,
    /// Why pictures were not taken from a records snapshot; none if they were.
    pub(super) unused: Option<Unusable>,
}

/// The threads that write and confirm them.
pub(super) struct Snapshots {
    place: SnapshotPlace,
    keeper: SnapshotKeeper,
    confirming: Confirming,
}

impl Snapshots {
    /// Writes snapshots from now on, and confirms the one that this start used: word comes if it is not what the logs say. Counts
    /// where the index came from.
    pub(super) fn keep(
        config: &Config,
        place: SnapshotPlace,
        (lookup, metrics): (&Arc<Lookup>, &Arc<Metrics>),
        FoundSnapshots { origin, unused }: &FoundSnapshots,
    ) -> anyhow::Result<(Self, mpsc::Receiver<String>)> {
        if let Some(reason) = origin.rebuilt() {
            metrics.count_rebuild(reason);
        }
        let restored_entries = match origin {
            IndexOrigin::Snapshot { entries } => {
                metrics.snapshot_found(place.path());
                // Without good records beside it, it is written again.
                unused.is_none().then_some(*entries)
            }
            _ => None,
        };
        let times = SnapshotTimes {
            interval: Duration::from_secs(config.index.snapshot_interval_s),
            changes_min: config.index.snapshot_changes_min,
        };
        let (kept, measured) = (Arc::clone(lookup), Arc::clone(metrics));
        let keeper = SnapshotKeeper::start(place.clone(), times, kept, measured, restored_entries);
        let keeper = keeper.context("snapshot thread")?;
        let (contradict, contradicted) = mpsc::channel(1);
        let confirming = Confirming::start(Arc::clone(lookup), contradict).context("confirming thread")?;
        Ok((Self { place, keeper, confirming }, contradicted))
    }

    /// For whoever destroys payloads.
    pub(super) fn forgetter(&self) -> SnapshotForgetter {
        self.keeper.forgetter()
    }

    /// Ends the threads. The loop has ended; after a clean stop the last ones are written, and those that lie are removed.
    pub(super) fn end(self, outcome: &Result<(), StopReason>) {
        let Self { place, keeper, confirming } = self;
        drop(confirming);
        match outcome {
            Ok(()) => keeper.finish(),
            Err(StopReason::Snapshot { detail }) => {
                // Nothing writes them any more.
                drop(keeper);
                tracing::error!(reason = %detail, "the snapshots are discarded, and the node starts anew from its logs");
                let _ = place.remove();
            }
            Err(_) => {}
        }
    }
}
