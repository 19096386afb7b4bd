//! Record numbers: a place in one of all logs in 40 bits, handed out in dense blocks.
//!
//! ```text
//! number = block << 16 | leaf index & 0xffff
//! ```
//!
//! A block covers 65,536 leaf indexes of one log and is handed out when the first record of that range
//! appears. Blocks are dense, so numbers stay below 2^31 until 32,768 of them are in use: two thousand
//! million entries, or that many small logs. The view and the look-ups of a node hand out numbers of
//! their own. Those of the look-ups are what the match index calls a record: their table of blocks travels
//! in the tag of the snapshots, so that they are the same after every restart; without it a start
//! hands out blocks anew, which is as good, but names records differently.

use hashpact_protocol::digest::LogId;
use std::collections::BTreeMap;

/// Bits of a leaf index that a number keeps.
const OFFSET_BITS: u32 = 16;
/// Leaf indexes in a block.
pub const BLOCK_ENTRIES: u64 = 1 << OFFSET_BITS;

/// A range of leaf indexes of one log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Block {
    /// The log.
    pub log: LogId,
    /// Leaf index of its first entry, divided by [`BLOCK_ENTRIES`].
    pub high: u64,
}

impl Block {
    /// The block that a place lies in.
    #[must_use]
    pub const fn of(log: LogId, index: u64) -> Self {
        Self { log, high: index >> OFFSET_BITS }
    }

    /// The block after this one in its log.
    #[must_use]
    pub fn next(self) -> Self {
        Self { high: self.high.saturating_add(1), ..self }
    }
}

/// The blocks handed out.
#[derive(Debug, Clone, Default)]
pub struct Numbers {
    blocks: Vec<Block>,
    by_block: BTreeMap<Block, u64>,
    /// The block that was asked for last.
    last: usize,
}

impl Numbers {
    /// The table with these blocks, numbered in this order.
    ///
    /// # Errors
    /// The position of the first block that is there twice, or that no leaf index can lie in.
    pub fn from_blocks(blocks: Vec<Block>) -> Result<Self, usize> {
        let mut by_block = BTreeMap::new();
        for (number, block) in (0..).zip(&blocks) {
            if block.high > u64::MAX >> OFFSET_BITS || by_block.insert(*block, number).is_some() {
                return Err(usize::try_from(number).unwrap_or(usize::MAX));
            }
        }
        Ok(Self { blocks, by_block, last: 0 })
    }

    /// The blocks in the order of their numbers.
    #[must_use]
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The number of a place; hands a block out if it lies in a new one.
    pub fn assign(&mut self, log: LogId, index: u64) -> u64 {
        let block = Block::of(log, index);
        // Entries of one log arrive in runs.
        if self.blocks.get(self.last) != Some(&block) {
            let next = self.blocks.len();
            let number = *self.by_block.entry(block).or_insert(next as u64);
            self.last = usize::try_from(number).unwrap_or(next);
            if self.last == next {
                self.blocks.push(block);
            }
        }
        Self::join(self.last as u64, index & (BLOCK_ENTRIES - 1))
    }

    /// The place with this number, if its block was handed out.
    #[must_use]
    pub fn place(&self, number: u64) -> Option<(LogId, u64)> {
        let block = self.blocks.get(usize::try_from(number >> OFFSET_BITS).ok()?)?;
        Some((block.log, block.high << OFFSET_BITS | number & (BLOCK_ENTRIES - 1)))
    }

    /// Block and offset of a number, as positions.
    #[must_use]
    pub fn split(number: u64) -> (usize, usize) {
        let block = usize::try_from(number >> OFFSET_BITS).unwrap_or(usize::MAX);
        (block, (number & (BLOCK_ENTRIES - 1)) as usize)
    }

    /// The number at this offset of the block with this number.
    #[must_use]
    pub const fn join(block: u64, offset: u64) -> u64 {
        block << OFFSET_BITS | offset
    }

    /// The first block handed out at or after this one in the order of (log, leaf index), with its number.
    #[must_use]
    pub fn at_or_after(&self, block: Block) -> Option<(Block, u64)> {
        self.by_block.range(block..).next().map(|(block, number)| (*block, *number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn log(number: u8) -> LogId {
        LogId::new([number; 32])
    }

    #[test]
    fn blocks_are_dense_in_the_order_of_first_use() {
        let mut numbers = Numbers::default();
        assert_eq!(numbers.assign(log(9), 70_000), 70_000 - 65_536);
        assert_eq!(numbers.assign(log(1), 5), 65_536 + 5);
        assert_eq!(numbers.assign(log(9), 0), 2 * 65_536);
        assert_eq!(numbers.assign(log(9), 65_536), 0, "in the first block");
        assert_eq!(numbers.blocks().len(), 3);
        assert_eq!(numbers.place(3 << 16), None);
        assert_eq!(numbers.place(u64::MAX), None);
    }

    #[test]
    fn two_thousand_million_entries_stay_below_31_bits() {
        let blocks: Vec<Block> = (0..32_768).map(|high| Block { log: log(1), high }).collect();
        let mut numbers = Numbers::from_blocks(blocks).expect("all different");
        assert_eq!(numbers.assign(log(1), 32_768 * BLOCK_ENTRIES - 1), (1 << 31) - 1);
    }

    #[test]
    fn a_table_with_a_block_twice_or_beyond_all_indexes_is_refused() {
        let block = |high| Block { log: log(1), high };
        assert_eq!(Numbers::from_blocks(vec![block(7), block(7)]).err(), Some(1));
        assert!(Numbers::from_blocks(vec![block((1 << 48) - 1)]).is_ok());
        assert_eq!(Numbers::from_blocks(vec![block(1), block(2), block(1 << 48)]).err(), Some(2));
    }

    proptest! {
        #[test]
        fn numbers_are_unique_stable_and_lead_back(
            places in prop::collection::btree_set((0..4_u8, 0..400_000_u64), 0..200),
        ) {
            let mut numbers = Numbers::default();
            let assigned: Vec<u64> =
                places.iter().map(|(by, index)| numbers.assign(log(*by), *index)).collect();
            let restarted = Numbers::from_blocks(numbers.blocks().to_vec()).expect("all different");
            let mut again = restarted.clone();
            for ((by, index), number) in places.iter().zip(&assigned) {
                prop_assert_eq!(restarted.place(*number), Some((log(*by), *index)));
                prop_assert_eq!(again.assign(log(*by), *index), *number);
            }
            let distinct: std::collections::BTreeSet<&u64> = assigned.iter().collect();
            prop_assert_eq!(distinct.len(), places.len());
        }
    }
}
