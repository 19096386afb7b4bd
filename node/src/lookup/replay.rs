//! What a start does before the loop: the logs folded into the view, and look-ups meanwhile.
//!
//! With a good index snapshot, in this order:
//!
//! 1. the leaves beyond the snapshot's positions are read for retractions and erasures, then matches are
//!    answered;
//! 2. all that withdraws records is folded, and what is said about signals, members and incidents, those ahead of a
//!    log's end as well. With a good records snapshot, pictures are taken from it first ([`super::restoring`]);
//! 3. entries beyond the positions are folded and applied: what was stated last is found next;
//! 4. the rest is folded, and what is kept beside forked logs. Its additions are in the index already; what does not stand is taken out;
//! 5. the index is compared with all records that stand, and rebuilt if it is another.
//!
//! What came from a records snapshot is held against the logs afterwards ([`super::confirm`]). Without an index snapshot, all entries are beyond the positions, and the index grows with the replay. What withdraws
//! comes first in any case, so that no record matches for a moment that was withdrawn long ago; the view
//! does not mind the order.

use super::reading::{read_at, read_side_by_side};
use super::restored::{KeptExtent, LogExtent, Restored, for_each_leaf};
use super::restoring::{Restoring, position, restore};
use super::rows::table_key;
use super::snapshot::{SnapshotPlace, Unusable};
use super::tag::Tag;
use super::{Contradiction, Lookup};
use crate::driver::now_ms;
use crate::storage::{Store, StoreError};
use anyhow::Context as _;
use hashpact_core::effect::ViewChange;
use hashpact_core::view::{Author, Numbers, ReadEntry, Rules, View, comes_first};
use hashpact_index::{MatchIndex, SnapshotError};
use hashpact_protocol::digest::LogId;
use hashpact_protocol::leaf::{Kind, marked_kind};
use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Instant;
use tracing::{error, info, warn};

/// Entries replayed at a time.
const REPLAY_ENTRIES: usize = 16_384;
/// Entries that come first, read at a time.
const FIRST_AT_ONCE: usize = 1_024;
/// Entries that a records snapshot lacks, folded at a time: a listing of a model may have 64 KiB.
const LACKING_AT_ONCE: usize = 256;
/// Lots of them that wait between two steps.
const RUNS_AHEAD: usize = 2;

/// What the replay made of the disk.
pub struct Replayed {
    /// The view of all entries.
    pub view: View,
    /// Entries folded.
    pub entries: u64,
    /// Where the index comes from.
    pub origin: IndexOrigin,
    /// Why pictures were not taken from a records snapshot; none if they were.
    pub unused: Option<Unusable>,
}

/// Where the index comes from.
#[derive(Debug)]
#[non_exhaustive]
pub enum IndexOrigin {
    /// A snapshot that the replay has confirmed.
    Snapshot {
        /// Entries that it knew.
        entries: u64,
    },
    /// The logs, because there was no snapshot to start from.
    Logs(Unusable),
    /// The logs, because the snapshot was not what the logs say.
    Contradicted(Contradiction),
    /// The logs, because a part of the snapshot could not be read later.
    Unreadable(String),
}

impl IndexOrigin {
    /// Why the index was built from the logs, as a fixed label; `None` if it was not.
    #[must_use]
    pub const fn rebuilt(&self) -> Option<&'static str> {
        match self {
            Self::Snapshot { .. } => None,
            Self::Logs(Unusable::Missing) => Some("missing"),
            Self::Logs(_) => Some("unusable"),
            Self::Contradicted(_) => Some("contradicted"),
            Self::Unreadable(_) => Some("unreadable"),
        }
    }
}

/// An opened snapshot that is being answered from.
pub(super) struct Serving {
    tag: Tag,
    warming: JoinHandle<Result<(), SnapshotError>>,
}

/// Folds all entries of these logs and fills the look-ups. Only reads.
///
/// # Errors
/// The database cannot be read. A bad snapshot is no error.
pub fn replay(
    store: &Arc<Store>,
    lookup: &Lookup,
    logs: &[LogExtent],
    place: &SnapshotPlace,
    rules: &Rules,
) -> anyhow::Result<Replayed> {
    let opened = match place.open(logs) {
        Ok((index, tag)) => Ok(serve(store, lookup, logs, index, tag, rules)?),
        Err(unusable) => {
            report(&unusable, place);
            Err(unusable)
        }
    };
    let (view, unused) = match &opened {
        Ok(Serving { tag, .. }) => match restored(store, lookup, logs, tag, place, rules)? {
            Ok(restoring) => (fold_rest(store, lookup, logs, tag, restoring)?, None),
            Err(unused) => (fold_all(store, lookup, logs, &tag.positions, rules)?, Some(unused)),
        },
        Err(_) => (fold_all(store, lookup, logs, &BTreeMap::new(), rules)?, Some(Unusable::Missing)),
    };
    let origin = match opened {
        Ok(serving) => confirm(lookup, serving),
        Err(unusable) => IndexOrigin::Logs(unusable),
    };
    let entries = logs.iter().map(|extent| extent.size).sum();
    Ok(Replayed { view, entries, origin, unused })
}

fn report(unusable: &Unusable, place: &SnapshotPlace) {
    let file = place.path().display();
    match unusable {
        Unusable::Missing => info!(%file, "no index snapshot: the index is built from the logs"),
        _ => {
            warn!(%file, reason = %unusable, "the index snapshot is not used; the index is built from the logs")
        }
    }
}

/// Takes pictures from the records snapshot, if it is good.
fn restored(
    store: &Arc<Store>,
    lookup: &Lookup,
    logs: &[LogExtent],
    tag: &Tag,
    place: &SnapshotPlace,
    rules: &Rules,
) -> anyhow::Result<Result<Restoring, Unusable>> {
    let started = Instant::now();
    let restored = match place.open_records(tag) {
        Ok(saved) => restore(store, lookup, logs, (saved, tag), rules)?,
        Err(unusable) => Err(unusable),
    };
    match &restored {
        Ok(_) => {
            let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            info!(
                records = lookup.records_count(),
                duration_ms, "pictures were taken from the records snapshot"
            );
        }
        Err(unusable) => warn!(reason = %unusable, "the records snapshot is not used; all logs are read"),
    }
    Ok(restored)
}

/// Answers matches from a snapshot from now on.
pub(super) fn serve(
    store: &Arc<Store>,
    lookup: &Lookup,
    logs: &[LogExtent],
    index: MatchIndex,
    tag: Tag,
    rules: &Rules,
) -> anyhow::Result<Serving> {
    let entries = tag.entries();
    let numbers = Numbers::from_blocks(tag.blocks.clone()).expect("a tag is decoded with good blocks only");
    let restored =
        Restored::new(Arc::clone(store), logs, tag.positions.clone(), rules).context("retractions")?;
    let index = Arc::new(index);
    lookup.restore(Arc::clone(&index), numbers, restored);
    info!(entries, "matches are answered from the index snapshot while the logs are replayed");
    let warming = std::thread::Builder::new()
        .name("index-warm".to_owned())
        .spawn(move || index.warm())
        .context("a thread that reads the index snapshot")?;
    Ok(Serving { tag, warming })
}

fn fold_all(
    store: &Store,
    lookup: &Lookup,
    logs: &[LogExtent],
    positions: &BTreeMap<LogId, u64>,
    rules: &Rules,
) -> anyhow::Result<View> {
    let position =
        |extent: &LogExtent| positions.get(&extent.author.log).copied().unwrap_or(0).min(extent.size);
    let mut view = View::under(rules.clone(), now_ms(), table_key());
    let mut superseding = Vec::new();
    for extent in logs {
        superseding.push((extent, fold_first(store, lookup, &mut view, extent)?));
        lookup.apply(&fold_kept(store, &mut view, extent, true)?);
    }
    for (LogExtent { author, .. }, indexes) in superseding.into_iter().rev() {
        // The last ones first: what they supersede never shows.
        for some in indexes.rchunks(FIRST_AT_ONCE) {
            for entry in read_at(store, author, some).context("replay; run fsck")?.into_iter().rev() {
                let mut changes = Vec::new();
                view.take(author, entry, &mut changes);
                lookup.apply(&changes);
            }
        }
    }
    lookup.hear(view.take_news());
    let beyond = logs.iter().map(|extent| (extent, position(extent)..extent.size));
    let known = logs.iter().map(|extent| (extent, 0..position(extent)));
    fold_and_apply(store, lookup, &mut view, beyond.chain(known).collect())?;
    fold_last(store, lookup, &mut view, logs)?;
    Ok(view)
}

/// Folds what was not restored.
fn fold_rest(
    store: &Store,
    lookup: &Lookup,
    logs: &[LogExtent],
    tag: &Tag,
    Restoring { mut view, lacking }: Restoring,
) -> anyhow::Result<View> {
    let beyond = logs.iter().map(|extent| (extent, position(extent, tag)..extent.size));
    fold_and_apply(store, lookup, &mut view, beyond.collect())?;
    for (LogExtent { author, .. }, indexes) in logs.iter().zip(lacking) {
        for some in indexes.chunks(LACKING_AT_ONCE) {
            lookup.apply(&take_at(store, &mut view, author, some)?);
        }
    }
    fold_last(store, lookup, &mut view, logs)?;
    Ok(view)
}

/// Folds what is kept beside forked logs, and tells what is known beside the records.
fn fold_last(store: &Store, lookup: &Lookup, view: &mut View, logs: &[LogExtent]) -> anyhow::Result<()> {
    for extent in logs {
        lookup.apply(&fold_kept(store, view, extent, false)?);
    }
    lookup.hear(view.take_news());
    for LogExtent { author, priority, .. } in logs {
        lookup.set_folded(author.log, view.counts(&author.log), priority.ahead.len() as u64);
        lookup.set_receipts(author.member.clone(), view.receipts_of(&author.member).cloned().collect());
    }
    Ok(())
}

/// Folds what comes first of a log from a leaf index on, and what is held ahead of its end.
pub(super) fn fold_priority(
    store: &Store,
    view: &mut View,
    LogExtent { author, size, priority, .. }: &LogExtent,
    from: u64,
) -> anyhow::Result<Vec<ViewChange>> {
    let mut changes = Vec::new();
    for (index, entry) in &priority.ahead {
        changes.extend(view.fold_ahead(author, *index, &entry.leaf, &entry.payload));
    }
    let mut found = Vec::new();
    let visited = for_each_leaf(store, &author.log, from, *size, |index, leaf| {
        if comes_first(leaf) {
            found.push(index);
        }
    });
    visited.context("replay; run fsck")?;
    for some in found.chunks(FIRST_AT_ONCE) {
        changes.extend(take_at(store, view, author, some)?);
    }
    Ok(changes)
}

/// Folds what comes first of a log, but for the supersessions: where these stand.
fn fold_first(
    store: &Store,
    lookup: &Lookup,
    view: &mut View,
    LogExtent { author, size, priority, .. }: &LogExtent,
) -> anyhow::Result<Vec<u64>> {
    for (index, entry) in &priority.ahead {
        lookup.apply(&view.fold_ahead(author, *index, &entry.leaf, &entry.payload));
    }
    let (mut found, mut superseding) = (Vec::new(), Vec::new());
    for_each_leaf(store, &author.log, 0, *size, |index, leaf| {
        if marked_kind(leaf) == Some(Kind::Supersede) {
            superseding.push(index);
        } else if comes_first(leaf) {
            found.push(index);
        }
    })
    .context("replay; run fsck")?;
    for some in found.chunks(FIRST_AT_ONCE) {
        lookup.apply(&take_at(store, view, author, some)?);
    }
    Ok(superseding)
}

/// Folds the entries of a log at these leaf indexes.
fn take_at(
    store: &Store,
    view: &mut View,
    author: &Author,
    indexes: &[u64],
) -> anyhow::Result<Vec<ViewChange>> {
    let mut changes = Vec::new();
    for entry in read_at(store, author, indexes).context("replay; run fsck")? {
        view.take(author, entry, &mut changes);
    }
    Ok(changes)
}

/// Folds what is kept beside a forked log: what withdraws, or all the rest.
pub(super) fn fold_kept(
    store: &Store,
    view: &mut View,
    LogExtent { author, kept, .. }: &LogExtent,
    withdraws: bool,
) -> anyhow::Result<Vec<ViewChange>> {
    let mut changes = Vec::new();
    for KeptExtent { number, start, end } in kept {
        let author = author.beside(*number);
        let entries = store.branch_entries(&author.log, *number, (*start, *end));
        for (index, entry) in (*start..).zip(&entries.context("a kept history; run fsck")?) {
            if comes_first(&entry.leaf) == withdraws {
                changes.extend(view.fold(&author, index, &entry.leaf, &entry.payload));
            }
        }
    }
    Ok(changes)
}

/// Entries of one log that follow one another.
struct Run<'a> {
    author: &'a Author,
    entries: Vec<ReadEntry>,
}

/// Folds all but what comes first of these ranges, and fills the look-ups. Reading, folding and applying go on side by side.
fn fold_and_apply(
    store: &Store,
    lookup: &Lookup,
    view: &mut View,
    ranges: Vec<(&LogExtent, Range<u64>)>,
) -> anyhow::Result<()> {
    std::thread::scope(|threads| {
        let (folded, changes) = sync_channel(RUNS_AHEAD);
        threads
            .spawn(move || changes.into_iter().for_each(|changes: Vec<ViewChange>| lookup.apply(&changes)));
        fold(store, view, ranges, &folded)
    })
}

/// Folds all but what comes first of these ranges of leaf indexes, in about this order. Entries are read and decoded on all
/// cores.
///
/// # Errors
/// The database cannot be read; nobody takes the changes any more.
pub fn fold<'a>(
    store: &Store,
    view: &mut View,
    ranges: Vec<(&'a LogExtent, Range<u64>)>,
    folded: &SyncSender<Vec<ViewChange>>,
) -> anyhow::Result<()> {
    let runs = ranges.into_iter().flat_map(|(LogExtent { author, .. }, Range { start, end })| {
        let starts = (start..end).step_by(REPLAY_ENTRIES);
        starts.map(move |start| (author, start..end.min(start + REPLAY_ENTRIES as u64)))
    });
    let runs: Vec<(&'a Author, Range<u64>)> = runs.collect();
    let read = |(author, range): &(&'a Author, Range<u64>)| read_run(store, author, range);
    read_side_by_side(&runs, read, |Run { author, entries }| {
        let mut changes = Vec::with_capacity(entries.len());
        for entry in entries {
            view.take(author, entry, &mut changes);
        }
        // A long replay must not show what expires while it runs.
        changes.extend(view.expire(now_ms()));
        folded.send(changes).context("the thread that fills the look-ups ended")
    })
}

fn read_run<'a>(store: &Store, author: &'a Author, range: &Range<u64>) -> Result<Run<'a>, StoreError> {
    let mut entries = Vec::with_capacity(REPLAY_ENTRIES);
    store.for_each_entry(&author.log, range.start, range.end, |index, leaf, payload| {
        if !comes_first(leaf) {
            entries.push(ReadEntry::new(author, index, leaf, &payload));
        }
        ControlFlow::Continue(())
    })?;
    Ok(Run { author, entries })
}

fn confirm(lookup: &Lookup, serving: Serving) -> IndexOrigin {
    let Serving { tag, warming } = serving;
    let entries = tag.entries();
    let warmed = match warming.join() {
        Ok(warmed) => warmed.map_err(|error| error.to_string()),
        Err(_) => Err("the thread that reads it panicked".to_owned()),
    };
    match (lookup.confirm_index(warmed.is_ok()), warmed) {
        (Err(contradiction), _) => {
            error!(reason = %contradiction, "the index snapshot is not what the logs say; the index was rebuilt from the logs");
            IndexOrigin::Contradicted(contradiction)
        }
        (Ok(()), Err(reason)) => {
            warn!(
                reason,
                "the index snapshot could not be read to its end; the index was rebuilt from the logs"
            );
            IndexOrigin::Unreadable(reason)
        }
        (Ok(()), Ok(())) => {
            info!(entries, "the replay confirmed the index snapshot");
            IndexOrigin::Snapshot { entries }
        }
    }
}
