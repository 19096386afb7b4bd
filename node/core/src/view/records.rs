//! Which records there are: their ids by place and their places by id, in about fifty bytes each.
//!
//! Ids stand in columns, one for each block of leaf indexes of a history of a log; nothing else is kept of a record
//! that nobody has said anything about. Its signals and labels went to the look-ups when it was stated.

use super::Author;
use super::ids::{Batch, Ids};
use super::numbers::{Block, Numbers};
use hashpact_protocol::digest::{LogId, RecordId};
use hashpact_protocol::record::SubjectRef;
use hashpact_protocol::roster::{LogPlace, MemberId};
use std::collections::BTreeMap;

/// Stands where a block has no record. No entry's leaf hash is this.
const ABSENT: RecordId = RecordId::new([0; 32]);

/// The records of all logs.
#[derive(Debug)]
pub(super) struct Records {
    numbers: Numbers,
    /// By block number, then by offset; each as long as its last record needs.
    columns: Vec<Vec<RecordId>>,
    ids: Ids,
    /// By history.
    authors: BTreeMap<LogId, Author>,
    /// Whether any of these histories is kept beside a followed one.
    keeps_beside: bool,
}

/// A record that is known, by its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) number: u64,
    pub(super) id: RecordId,
    pub(super) author: &'a Author,
    pub(super) index: u64,
}

impl Known<'_> {
    /// Its place as payloads name it.
    pub(super) fn place(&self) -> SubjectRef {
        SubjectRef { log: self.author.log, index: self.index }
    }
}

impl Records {
    pub(super) fn new(key: [u8; 16]) -> Self {
        Self {
            numbers: Numbers::default(),
            columns: Vec::new(),
            ids: Ids::new(key),
            authors: BTreeMap::new(),
            keeps_beside: false,
        }
    }

    /// Adds the record at a place; its number.
    pub(super) fn insert(&mut self, author: &Author, index: u64, id: RecordId) -> u64 {
        let (number, is_new) = self.put(author, index, id);
        if is_new {
            self.ids.insert(&id, number);
        }
        number
    }

    /// Adds the record at a place, which is found by its id when the batch is inserted; its number.
    pub(super) fn insert_later(
        &mut self,
        author: &Author,
        index: u64,
        id: RecordId,
        batch: &mut Batch,
    ) -> u64 {
        let (number, is_new) = self.put(author, index, id);
        if is_new {
            batch.add(&id, number);
        }
        number
    }

    fn column(&mut self, author: &Author, block: usize) -> Option<&mut Vec<RecordId>> {
        if self.columns.len() <= block {
            self.columns.resize_with(block + 1, Vec::new);
            self.authors.entry(author.line).or_insert_with(|| author.clone());
        }
        self.columns.get_mut(block)
    }

    /// Makes room up to a place: growing step by step would touch twice the memory.
    pub(super) fn reserve(&mut self, author: &Author, index: u64) {
        let (block, offset) = Numbers::split(self.numbers.assign(author.line, index));
        if let Some(column) = self.column(author, block) {
            column.reserve_exact((offset + 1).saturating_sub(column.len()));
        }
    }

    pub(super) fn batch(&self) -> Batch {
        self.ids.batch()
    }

    pub(super) fn insert_batch(&mut self, batch: Batch) {
        self.ids.insert_batch(batch);
    }

    /// The number of the record at a place, and whether there was none.
    fn put(&mut self, author: &Author, index: u64, id: RecordId) -> (u64, bool) {
        self.keeps_beside |= author.is_beside();
        let number = self.numbers.assign(author.line, index);
        let (block, offset) = Numbers::split(number);
        if let Some(column) = self.column(author, block) {
            if column.len() <= offset {
                column.resize(offset + 1, ABSENT);
            }
            if let Some(held) = column.get_mut(offset) {
                return (number, std::mem::replace(held, id) == ABSENT);
            }
        }
        (number, false)
    }

    /// The record with this id.
    pub(super) fn find(&self, id: &RecordId) -> Option<Known<'_>> {
        let is = |number| self.id(number) == Some(*id);
        self.get(self.ids.get(id, is)?)
    }

    /// The number of the record with this id, if it is known from another history of the author's log.
    pub(super) fn find_elsewhere(&self, id: &RecordId, author: &Author) -> Option<u64> {
        // Nearly no node keeps a second history of any log.
        if !author.is_beside() && !self.keeps_beside {
            return None;
        }
        let Known { number, author: held, .. } = self.find(id)?;
        (held.line != author.line).then_some(number)
    }

    /// Forgets the record with this number.
    pub(super) fn remove(&mut self, number: u64) {
        let (block, offset) = Numbers::split(number);
        if let Some(held) = self.columns.get_mut(block).and_then(|column| column.get_mut(offset)) {
            // Its place by id stays, and leads to nothing.
            *held = ABSENT;
        }
    }

    /// The record with this number.
    pub(super) fn get(&self, number: u64) -> Option<Known<'_>> {
        let id = self.id(number)?;
        let (line, index) = self.numbers.place(number)?;
        Some(Known { number, id, author: self.authors.get(&line)?, index })
    }

    fn id(&self, number: u64) -> Option<RecordId> {
        let (block, offset) = Numbers::split(number);
        self.columns.get(block)?.get(offset).copied().filter(|id| *id != ABSENT)
    }

    /// All records in the order of (history, leaf index).
    pub(super) fn iter(&self) -> impl Iterator<Item = Known<'_>> {
        self.from(Block::of(LogId::new([0; 32]), 0))
    }

    /// The records of one history of a log from a leaf index on.
    pub(super) fn of_line(&self, line: LogId, from: u64) -> impl Iterator<Item = Known<'_>> {
        self.from(Block::of(line, from))
            .take_while(move |record| record.author.line == line)
            .filter(move |record| record.index >= from)
    }

    /// The records of one member at or after a place in its logs, of every history.
    pub(super) fn of_member(&self, member: &MemberId, from: LogPlace) -> impl Iterator<Item = Known<'_>> {
        let authors =
            self.authors.values().filter(move |author| author.member == *member && author.n >= from.n);
        authors.flat_map(move |author| {
            self.of_line(author.line, if author.n == from.n { from.index } else { 0 })
        })
    }

    fn from(&self, first: Block) -> impl Iterator<Item = Known<'_>> {
        let first = self.numbers.at_or_after(first);
        let blocks = std::iter::successors(first, |(block, _)| self.numbers.at_or_after(block.next()));
        blocks.flat_map(move |(_, block)| {
            let column = usize::try_from(block).ok().and_then(|block| self.columns.get(block));
            let offsets = 0..column.map_or(0, |column| column.len() as u64);
            offsets.filter_map(move |offset| self.get(Numbers::join(block, offset)))
        })
    }
}
