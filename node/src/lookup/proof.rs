//! Holding the index against the records: which pairs of value and record must be in it.

use super::matching::CORES;
use super::rows::Held;
use super::{Lookup, Source, read, write};
use hashpact_core::effect::IndexChange;
use hashpact_core::view::{Block, Reach, reach};
use hashpact_index::Change;
use hashpact_index::MatchIndex;
use hashpact_protocol::digest::LogId;
use hashpact_protocol::record::Signal;
use std::sync::Arc;

/// How an index differs from the records that it must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the index holds {held} pairs of value and record; the records that stand have {expected}{}",
    if held == expected { ", and they are others" } else { "" })]
pub struct Contradiction {
    /// Pairs in the index.
    pub held: u64,
    /// Pairs that should be.
    pub expected: u64,
}

/// What a change of one record means for the index: values that are searched by distance are on the
/// Hamming side, which finds equals too; all others are in the exact maps.
pub(super) fn index_changes(
    signals: &[Signal],
    number: u64,
    change: IndexChange,
) -> impl Iterator<Item = Change<'_>> {
    signals.iter().filter_map(move |signal| index_change(signal, number, change))
}

fn index_change(signal: &Signal, record: u64, change: IndexChange) -> Option<Change<'_>> {
    let (kind, value) = (signal.kind().code(), signal.value());
    match (change, reach(signal)) {
        (IndexChange::Add, Reach::Near(value)) => Some(Change::InsertHamming { value, record }),
        (IndexChange::Add, Reach::Equal) => Some(Change::InsertExact { kind, value, record }),
        (IndexChange::Remove, Reach::Near(value)) => Some(Change::RemoveHamming { value, record }),
        (IndexChange::Remove, Reach::Equal) => Some(Change::RemoveExact { kind, value, record }),
        (IndexChange::Keep, _) => None,
    }
}

impl Lookup {
    /// Ends the time in which matches come from a snapshot: compares the index with all records that
    /// stand, by a keyed digest over every pair, and builds it anew from them if it is another, or if
    /// `is_sound` is false. Nothing else may change the records meanwhile.
    ///
    /// Without a snapshot there is nothing to compare: the replay itself built the index.
    ///
    /// # Errors
    /// How the index differed; it has been replaced.
    pub fn confirm_index(&self, is_sound: bool) -> Result<(), Contradiction> {
        let Source { index, restored, unconfirmed } = self.source();
        if restored.is_none() {
            return Ok(());
        }
        let compared = self.compare(&index);
        let index = if compared.is_ok() && is_sound { index } else { Arc::new(self.built_index()) };
        *write(&self.source) = Source { index, restored: None, unconfirmed };
        compared
    }

    /// Compares an index with all records that stand.
    fn compare(&self, index: &MatchIndex) -> Result<(), Contradiction> {
        let blocks = read(&self.rows).numbers().blocks().to_vec();
        let share = blocks.len().div_ceil(*CORES).max(1);
        let ((expected, fingerprint), held_fingerprint) = std::thread::scope(|threads| {
            let holding = threads.spawn(|| index.fingerprint());
            let count = |blocks| threads.spawn(move || self.pairs(index, blocks));
            let counting: Vec<_> = blocks.chunks(share).map(count).collect();
            let counted = counting
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            let counted = counted.fold((0, 0), |(expected, sum): (u64, u128), (more, part)| {
                (expected + more, sum.wrapping_add(part))
            });
            (counted, holding.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        let stats = index.stats();
        let held = stats.hamming.postings + stats.exact.values().map(|held| held.postings).sum::<u64>();
        if held == expected && held_fingerprint == fingerprint {
            return Ok(());
        }
        Err(Contradiction { held, expected })
    }

    /// How many pairs of value and record these blocks give, and the sum of their fingerprints.
    fn pairs(&self, index: &MatchIndex, blocks: &[Block]) -> (u64, u128) {
        let (mut count, mut sum) = (0u64, 0u128);
        for block in blocks {
            let rows = read(&self.rows);
            let records = rows.block_at_or_after(*block).filter(|(found, _)| found == block);
            let records = records.into_iter().flat_map(|(_, records)| records);
            for record in records.filter(|record| record.status().stands()) {
                for signal in record.signals() {
                    let kind = match reach(&signal) {
                        Reach::Near(_) => None,
                        Reach::Equal => Some(signal.kind().code()),
                    };
                    count += 1;
                    sum = sum.wrapping_add(index.pair_fingerprint(kind, signal.value(), record.number));
                }
            }
        }
        (count, sum)
    }

    fn built_index(&self) -> MatchIndex {
        let index = MatchIndex::new();
        let mut some: Vec<(u64, Signal)> = Vec::new();
        let flush = |some: &mut Vec<(u64, Signal)>| {
            let changes = some.iter();
            index.apply(
                changes.filter_map(|(number, signal)| index_change(signal, *number, IndexChange::Add)),
            );
            some.clear();
        };
        self.for_each_standing(|record| {
            some.extend(record.signals().map(|signal| (record.number, signal)));
            if some.len() >= 65_536 {
                flush(&mut some);
            }
        });
        flush(&mut some);
        index
    }

    /// Visits block by block, so that nobody waits for the rows longer than a block takes.
    pub(super) fn for_each_standing(&self, mut visit: impl FnMut(Held<'_>)) {
        let mut from = Block { log: LogId::new([0; 32]), high: 0 };
        loop {
            let rows = read(&self.rows);
            let Some((block, records)) = rows.block_at_or_after(from) else { return };
            records.filter(|record| record.status().stands()).for_each(&mut visit);
            from = block.next();
        }
    }
}
