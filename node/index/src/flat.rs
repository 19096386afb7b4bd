//! Hamming search by scanning everything: exact for any radius, a millisecond or two per million codes.
//!
//! The codes stand densely in blocks; all blocks but the last, called the tail, are full. A snapshot is the
//! list of blocks and the tail, all shared. The writer changes a working copy of it: whatever a published
//! snapshot still shares is copied first (one block, 48 KiB), whatever is its own already is changed in place,
//! which makes a run of changes before one publication cheap. A removed code's slot takes the last code, so
//! there are no holes and no tombstones to skip.
//!
//! Publication replaces one pointer under a lock that readers hold only while they copy that pointer.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::block::{BLOCK_CODES, Block, Code, code_of};
use crate::posting::{Posting, Removal};
use crate::{Hit, SignalStats};

/// What one query works on; nobody changes it.
#[derive(Clone, Debug, Default)]
struct Snapshot {
    /// Full blocks.
    blocks: Arc<Vec<Arc<Block>>>,
    /// The last block, not full, possibly empty.
    tail: Arc<Block>,
}

impl Snapshot {
    fn scan_order(&self) -> impl Iterator<Item = &Block> {
        self.blocks.iter().map(Arc::as_ref).chain(std::iter::once(&*self.tail))
    }

    fn block(&self, number: usize) -> &Block {
        self.blocks.get(number).unwrap_or(&self.tail)
    }

    fn block_mut(&mut self, number: usize) -> &mut Block {
        if number < self.blocks.len() {
            Arc::make_mut(&mut Arc::make_mut(&mut self.blocks)[number])
        } else {
            Arc::make_mut(&mut self.tail)
        }
    }

    fn push(&mut self, code: Code, posting: Posting) {
        let tail = Arc::make_mut(&mut self.tail);
        tail.push(code, posting);
        if tail.is_full() {
            Arc::make_mut(&mut self.blocks).push(std::mem::take(&mut self.tail));
        }
    }

    /// Takes the last code of all out; an empty tail is refilled from the last full block.
    fn pop(&mut self) -> Option<(Code, Posting)> {
        if self.tail.len() == 0 {
            self.tail = Arc::make_mut(&mut self.blocks).pop()?;
        }
        Arc::make_mut(&mut self.tail).pop()
    }
}

/// The readers' side: the published snapshot.
#[derive(Debug, Default)]
pub(crate) struct FlatScan {
    published: RwLock<Arc<Snapshot>>,
}

impl FlatScan {
    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.published.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Shows the writer's changes to every query from now on.
    pub(crate) fn publish(&self, writer: &mut FlatWriter) {
        if !std::mem::take(&mut writer.unpublished) {
            return;
        }
        let next = Arc::new(writer.working.clone());
        let last = {
            let mut published = self.published.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *published, next)
        };
        // Freeing a snapshot can take a while; readers must not wait for it.
        drop(last);
    }

    pub(crate) fn query(&self, value: &[u8; 32], radius: u16) -> Vec<Hit> {
        let query = code_of(value);
        let mut hits = Vec::new();
        for block in self.snapshot().scan_order() {
            collect_hits(block, &query, radius, &mut hits);
        }
        sort_hits(&mut hits);
        hits
    }

    /// Every block is scanned for all queries while it is in the cache.
    pub(crate) fn query_batch(&self, values: &[[u8; 32]], radius: u16) -> Vec<Vec<Hit>> {
        let queries: Vec<Code> = values.iter().map(code_of).collect();
        let mut results = vec![Vec::new(); queries.len()];
        for block in self.snapshot().scan_order() {
            for (query, hits) in queries.iter().zip(&mut results) {
                collect_hits(block, query, radius, hits);
            }
        }
        results.iter_mut().for_each(|hits| sort_hits(hits));
        results
    }
}

fn collect_hits(block: &Block, query: &Code, radius: u16, hits: &mut Vec<Hit>) {
    block.scan(query, radius, |slot, distance| {
        let records = block.posting(slot).records();
        hits.extend(records.iter().map(|&record| Hit { record, distance }));
    });
}

fn sort_hits(hits: &mut [Hit]) {
    hits.sort_unstable_by_key(|hit| (hit.distance, hit.record));
}

/// The writers' side: the working copy, and where every value stands in it.
#[derive(Debug, Default)]
pub(crate) struct FlatWriter {
    working: Snapshot,
    /// Position of every code: block number times [`BLOCK_CODES`], plus slot. Values come from other members,
    /// so this map keeps the standard library's keyed hashing.
    positions: HashMap<Code, usize>,
    postings: u64,
    /// Whether the working copy differs from what is published.
    unpublished: bool,
}

impl FlatWriter {
    /// Adds a pair of value and record; `false` when it was there already.
    pub(crate) fn insert(&mut self, value: &[u8; 32], record: u64) -> bool {
        let code = code_of(value);
        if let Some(&position) = self.positions.get(&code) {
            let (number, slot) = (position / BLOCK_CODES, position % BLOCK_CODES);
            if self.working.block(number).posting(slot).contains(record) {
                return false;
            }
            self.working.block_mut(number).posting_mut(slot).insert(record);
        } else {
            self.positions.insert(code, self.positions.len());
            self.working.push(code, Posting::One(record));
        }
        self.postings += 1;
        self.unpublished = true;
        true
    }

    /// Takes a pair of value and record out; `false` when it was not there.
    pub(crate) fn remove(&mut self, value: &[u8; 32], record: u64) -> bool {
        let code = code_of(value);
        let Some(&position) = self.positions.get(&code) else {
            return false;
        };
        let (number, slot) = (position / BLOCK_CODES, position % BLOCK_CODES);
        if !self.working.block(number).posting(slot).contains(record) {
            return false;
        }
        if self.working.block_mut(number).posting_mut(slot).remove(record) == Removal::Last {
            self.drop_code(&code, position);
        }
        self.postings -= 1;
        self.unpublished = true;
        true
    }

    /// Closes the gap at `position` with the last code.
    fn drop_code(&mut self, code: &Code, position: usize) {
        self.positions.remove(code);
        let (last, posting) = self.working.pop().expect("a code that has a position is in a block");
        if last != *code {
            self.working.block_mut(position / BLOCK_CODES).replace(position % BLOCK_CODES, last, posting);
            self.positions.insert(last, position);
        }
    }

    pub(crate) fn stats(&self) -> SignalStats {
        SignalStats { values: self.positions.len() as u64, postings: self.postings }
    }
}
