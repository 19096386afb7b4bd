//! A start from both snapshots: rows of pictures come from a file, all other entries are folded.
//!
//! Nothing of it is visible before it is whole. The rows are built aside, and are put in place with all that withdraws records,
//! and all that members said, already told: a record that does not stand is not found for a moment. If anything about the file is
//! not as it must be, the logs are read from their beginning instead.

use super::applying::Consequences;
use super::confirm::Unconfirmed;
use super::judging::equals;
use super::reading::read_side_by_side;
use super::replay::{fold_kept, fold_priority};
use super::restored::LogExtent;
use super::rows::{Rows, table_key};
use super::saved::{SavedRecords, block_end};
use super::snapshot::Unusable;
use super::tag::Tag;
use super::{Lookup, Source, write};
use crate::driver::now_ms;
use crate::storage::{Store, StoreError};
use anyhow::Context as _;
use hashpact_core::effect::ViewChange;
use hashpact_core::view::{
    Author, BLOCK_ENTRIES, Block, News, Numbers, ReadEntry, Restorable, Rules, View, read_record,
};
use hashpact_protocol::leaf::{Kind, marked_kind};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

/// Blocks that wait between two steps.
const BLOCKS_AHEAD: usize = 2;
/// Entries without a row that are read at a time.
const STATEMENTS_AT_ONCE: usize = 1_024;

/// What was restored.
pub(super) struct Restoring {
    /// The view, of all but what comes next.
    pub(super) view: View,
    /// By log in the order of the extents: leaf indexes below its position of which nothing is folded yet.
    pub(super) lacking: Vec<Vec<u64>>,
}

/// Puts the saved rows in place, with everything folded that withdraws a record or says something about one.
///
/// # Errors
/// The database cannot be read. A file that cannot be used is none: nothing has changed then.
pub(super) fn restore(
    store: &Arc<Store>,
    lookup: &Lookup,
    logs: &[LogExtent],
    (saved, tag): (SavedRecords, &Tag),
    rules: &Rules,
) -> anyhow::Result<Result<Restoring, Unusable>> {
    let numbers = Numbers::from_blocks(tag.blocks.clone()).expect("a tag is decoded with good blocks only");
    let mut rows = Rows::with_numbers(numbers);
    let mut view = View::under(rules.clone(), now_ms(), table_key());
    let Taken { mut changes, holders, blocks, descriptions_end } =
        match take_blocks(logs, (saved, tag), &mut view, &mut rows) {
            Ok(taken) => taken,
            Err(unusable) => return Ok(Err(unusable)),
        };
    if descriptions_end > holders.len() as u64 {
        return Ok(Err(Unusable::Records("it has a row without a description".to_owned())));
    }
    if let Err(unusable) = describe(store, logs, tag, &mut rows, &holders)? {
        return Ok(Err(unusable));
    }
    let lacking = logs.iter().map(|extent| indexes_without_row(rows.numbers(), &blocks, extent, tag));
    let lacking: Vec<Vec<u64>> = lacking.collect();
    let lacking = fold_statements(store, &mut view, logs, &lacking, &mut changes)?;
    for extent in logs {
        changes.extend(fold_priority(store, &mut view, extent, position(extent, tag))?);
        changes.extend(fold_kept(store, &mut view, extent, true)?);
    }
    let positions = logs.iter().map(|extent| (extent.author.clone(), position(extent, tag)));
    let unconfirmed = Unconfirmed::new(Arc::clone(store), positions);
    write(&lookup.source).unconfirmed = Some(Arc::new(unconfirmed));
    install(lookup, rows, &changes, view.take_news());
    Ok(Ok(Restoring { view, lacking }))
}

/// How many entries of a log the snapshots know.
pub(super) fn position(extent: &LogExtent, tag: &Tag) -> u64 {
    tag.positions.get(&extent.author.log).copied().unwrap_or(0).min(extent.size)
}

/// What all blocks came to.
struct Taken {
    /// Of records that are not simply active.
    changes: Vec<ViewChange>,
    /// Numbers of records with the descriptions, in the order of these.
    holders: Vec<u64>,
    /// By block number: how many rows it has, and where, counted from its first, there is none among them.
    blocks: BTreeMap<u64, (u64, Vec<u64>)>,
    /// The number of every row's description is smaller.
    descriptions_end: u64,
}

/// Takes all blocks into view and rows.
fn take_blocks(
    logs: &[LogExtent],
    (saved, tag): (SavedRecords, &Tag),
    view: &mut View,
    rows: &mut Rows,
) -> Result<Taken, Unusable> {
    std::thread::scope(|threads| {
        let (read, blocks) = sync_channel(BLOCKS_AHEAD);
        let reading = threads.spawn(move || read_blocks(saved, &read));
        let (pass, passed) = sync_channel::<(&Author, Vec<Restorable>)>(BLOCKS_AHEAD);
        let viewing = threads.spawn(move || view.restore(passed));
        let (mut batch, mut taken, mut descriptions_end) = (rows.batch(), BTreeMap::new(), 0);
        for mut block in blocks {
            let bad = || Unusable::Records("it has a block that the index snapshot does not know".to_owned());
            let at = tag.blocks.get(block.number()).ok_or_else(bad)?;
            let extent = logs.iter().find(|extent| extent.author.log == at.log).ok_or_else(bad)?;
            if block.len() > block_end(position(extent, tag), at.high) {
                return Err(Unusable::Records("it knows more than the index snapshot".to_owned()));
            }
            let first = at.high * BLOCK_ENTRIES;
            taken.insert(block.number() as u64, (block.len() as u64, std::mem::take(&mut block.lacking)));
            descriptions_end = block.descriptions_end.max(descriptions_end);
            let mut records = std::mem::take(&mut block.records);
            rows.restore(&extent.author, &records, block, &mut batch);
            records.iter_mut().for_each(|record| record.index += first);
            if pass.send((&extent.author, records)).is_err() {
                break;
            }
        }
        drop(pass);
        rows.insert_batch(batch);
        let changes = viewing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let holders = reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok(Taken { changes, holders, blocks: taken, descriptions_end })
    })
}

fn read_blocks(
    mut saved: SavedRecords,
    read: &SyncSender<super::rows::SavedBlock>,
) -> Result<Vec<u64>, Unusable> {
    while let Some(block) = saved.block()? {
        if read.send(block).is_err() {
            // Whoever takes them has ended, and says why.
            return Ok(Vec::new());
        }
    }
    saved.finish()
}

/// Gives the rows their descriptions, from the entries of records that have them.
fn describe(
    store: &Store,
    logs: &[LogExtent],
    tag: &Tag,
    rows: &mut Rows,
    holders: &[u64],
) -> anyhow::Result<Result<(), Unusable>> {
    let bad = || Unusable::Records("a record is another than the logs say".to_owned());
    let mut described = Vec::with_capacity(holders.len());
    for number in holders {
        let place = rows.numbers().place(*number);
        let found = place.and_then(|(log, index)| {
            let extent = logs.iter().find(|extent| extent.author.log == log)?;
            (index < position(extent, tag)).then_some((&extent.author, index))
        });
        let Some((author, index)) = found else { return Ok(Err(bad())) };
        let entry = store.entry(&author.log, index).context("a saved record; run fsck")?;
        let record = entry.and_then(|entry| read_record(author, index, &entry.leaf, &entry.payload, 0));
        let record = record.filter(|record| record.stated.kind == Kind::Content);
        let Some(record) = record else { return Ok(Err(bad())) };
        described.push(record.stated);
    }
    Ok(if rows.describe(described.iter()) { Ok(()) } else { Err(bad()) })
}

/// Leaf indexes below a log's position at which no row was restored.
fn indexes_without_row(
    numbers: &Numbers,
    blocks: &BTreeMap<u64, (u64, Vec<u64>)>,
    extent: &LogExtent,
    tag: &Tag,
) -> Vec<u64> {
    let position = position(extent, tag);
    let mut indexes = Vec::new();
    let mut block = Block::of(extent.author.log, 0);
    loop {
        let (first, end) = (block.high * BLOCK_ENTRIES, block_end(position, block.high) as u64);
        if end == 0 {
            return indexes;
        }
        let number = numbers.at_or_after(block).filter(|(found, _)| *found == block);
        let restored = number.and_then(|(_, number)| blocks.get(&number));
        let (rows, lacking) =
            restored.map_or((0, &[] as &[u64]), |(rows, lacking)| (*rows, lacking.as_slice()));
        indexes.extend(lacking.iter().copied().chain(rows..end).map(|offset| first + offset));
        block = block.next();
    }
}

/// Folds those of these entries of each log that withdraw records or say something about them: what is left. They stand far
/// from one another, so that reading them takes longest.
fn fold_statements<'a>(
    store: &Store,
    view: &mut View,
    logs: &'a [LogExtent],
    indexes: &[Vec<u64>],
    changes: &mut Vec<ViewChange>,
) -> anyhow::Result<Vec<Vec<u64>>> {
    let runs = (0..).zip(logs).zip(indexes).flat_map(|((nth, LogExtent { author, .. }), indexes)| {
        indexes.chunks(STATEMENTS_AT_ONCE).map(move |some| (nth, author, some))
    });
    let runs: Vec<(usize, &'a Author, &[u64])> = runs.collect();
    let mut left = vec![Vec::new(); logs.len()];
    let read = |(nth, author, some): &(usize, &'a Author, &[u64])| read_statements(store, *nth, author, some);
    read_side_by_side(&runs, read, |Statements { nth, author, entries, others }| {
        entries.into_iter().for_each(|entry| view.take(author, entry, changes));
        left[nth].extend(others);
        Ok(())
    })?;
    left.iter_mut().for_each(|indexes| indexes.sort_unstable());
    Ok(left)
}

/// Some entries of one log.
struct Statements<'a> {
    /// Which log.
    nth: usize,
    author: &'a Author,
    entries: Vec<ReadEntry>,
    /// Leaf indexes of those that state records: what is listed beside pictures may be long, and is taken later, a little at a
    /// time.
    others: Vec<u64>,
}

fn read_statements<'a>(
    store: &Store,
    nth: usize,
    author: &'a Author,
    indexes: &[u64],
) -> Result<Statements<'a>, StoreError> {
    let mut read = Statements { nth, author, entries: Vec::new(), others: Vec::new() };
    store.for_each_entry_at(&author.log, indexes, |index, leaf, payload| {
        if marked_kind(leaf).is_some_and(|kind| kind.is_statement() && kind != Kind::Supersede) {
            read.others.push(index);
        } else {
            read.entries.push(ReadEntry::new(author, index, leaf, &payload));
        }
        ControlFlow::Continue(())
    })?;
    Ok(read)
}

/// Puts the rows in place, with what the changes make of them.
fn install(lookup: &Lookup, mut rows: Rows, changes: &[ViewChange], news: News) {
    let Source { index, restored, .. } = lookup.source();
    let mut consequences = Consequences::default();
    let now_ms = now_ms();
    {
        let mut floods = write(&lookup.floods);
        rows.stated().for_each(|(author, records)| floods.restore(author, records, now_ms));
        for change in changes {
            consequences.take(change, (&mut rows, &mut floods), restored.as_deref(), now_ms);
        }
    }
    for change in &news.rulings {
        rows.rule(change.clone());
    }
    for change in &news.rulings {
        let numbers = equals(&index, std::slice::from_ref(&change.signal));
        numbers.into_iter().for_each(|number| rows.judge(number));
    }
    *write(&lookup.rows) = rows;
    lookup.spread(&index, changes, consequences);
    lookup.hear(news);
}
