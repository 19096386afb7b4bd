//! The records that look-ups know, by number, by id and by place.
//!
//! A row is a pointer that the view shares: eight bytes here, in a vector per block of leaf indexes.

use super::ids::Ids;
use super::numbers::{BLOCK_ENTRIES, Block, Numbers};
use hashpact_core::view::RecordView;
use hashpact_protocol::digest::{LogId, RecordId};
use std::sync::Arc;

/// The rows.
#[derive(Debug, Default)]
pub(super) struct Rows {
    numbers: Numbers,
    /// By block number; each as long as its last record needs.
    blocks: Vec<Vec<Option<Arc<RecordView>>>>,
    ids: Ids,
    count: usize,
}

impl Rows {
    /// No rows yet, but these numbers.
    pub(super) fn with_numbers(numbers: Numbers) -> Self {
        Self { numbers, ..Self::default() }
    }

    /// The numbers handed out.
    pub(super) fn numbers(&self) -> &Numbers {
        &self.numbers
    }

    /// Hands out the block of a leaf index ahead of need.
    pub(super) fn reserve(&mut self, log: LogId, index: u64) {
        self.numbers.assign(log, index);
    }

    /// Takes a record as it now stands; its number.
    pub(super) fn put(&mut self, record: &Arc<RecordView>) -> u64 {
        let number = self.numbers.assign(record.log, record.index);
        let (block, offset) = split(number);
        if self.blocks.len() <= block {
            self.blocks.resize_with(block + 1, Vec::new);
        }
        let rows = &mut self.blocks[block];
        if rows.len() <= offset {
            rows.resize(offset + 1, None);
        }
        if rows[offset].replace(Arc::clone(record)).is_none() {
            self.ids.insert(&record.id, number);
            self.count += 1;
        }
        number
    }

    /// A record by its number.
    pub(super) fn get(&self, number: u64) -> Option<&Arc<RecordView>> {
        let (block, offset) = split(number);
        self.blocks.get(block)?.get(offset)?.as_ref()
    }

    /// A record by its id.
    pub(super) fn by_id(&self, id: &RecordId) -> Option<&Arc<RecordView>> {
        let is = |number| self.get(number).is_some_and(|record| record.id == *id);
        self.get(self.ids.get(id, is)?)
    }

    /// Number of records.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The first block at or after this one in the order of (log, leaf index), with its records in
    /// that order and their numbers.
    pub(super) fn block_at_or_after(
        &self,
        block: Block,
    ) -> Option<(Block, impl Iterator<Item = (u64, &Arc<RecordView>)>)> {
        let (block, number) = self.numbers.at_or_after(block)?;
        let rows = usize::try_from(number).ok().and_then(|number| self.blocks.get(number));
        let numbered = (number * BLOCK_ENTRIES..).zip(rows.into_iter().flatten());
        Some((block, numbered.filter_map(|(number, row)| Some((number, row.as_ref()?)))))
    }
}

fn split(number: u64) -> (usize, usize) {
    let block = usize::try_from(number / BLOCK_ENTRIES).unwrap_or(usize::MAX);
    (block, (number % BLOCK_ENTRIES) as usize)
}
