//! Reading entries for a fold on all cores.
//!
//! Hashing and decoding take most of the time of a start, and need nothing but the entry; taking up what was read is one thread's.

use super::matching::CORES;
use crate::storage::{Store, StoreError};
use anyhow::Context as _;
use hashpact_core::view::{Author, ReadEntry};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;

/// What waits between readers and taker.
const READ_AHEAD: usize = 2;

/// Has each of these runs read on one of all cores, and takes up what was read, on this thread and in nearly the same order.
///
/// # Errors
/// The first of reading or taking; nothing is taken after it.
pub(super) fn read_side_by_side<R: Sync, T: Send>(
    runs: &[R],
    read: impl Fn(&R) -> Result<T, StoreError> + Sync,
    mut take: impl FnMut(T) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (read, next) = (&read, &AtomicUsize::new(0));
    std::thread::scope(|threads| {
        let (send, taken) = sync_channel(READ_AHEAD);
        for _ in 0..*CORES {
            let send = send.clone();
            threads.spawn(move || {
                while let Some(run) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // Whoever takes them may have ended, and says why.
                    if send.send(read(run)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(send);
        taken.into_iter().try_for_each(|read| take(read.context("replay; run fsck")?))
    })
}

/// Reads the entries of a log at these leaf indexes, ascending.
pub(super) fn read_at(store: &Store, author: &Author, indexes: &[u64]) -> Result<Vec<ReadEntry>, StoreError> {
    let mut entries = Vec::with_capacity(indexes.len());
    store.for_each_entry_at(&author.log, indexes, |index, leaf, payload| {
        entries.push(ReadEntry::new(author, index, leaf, &payload));
        ControlFlow::Continue(())
    })?;
    Ok(entries)
}
