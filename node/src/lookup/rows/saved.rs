//! Rows as bytes of a file, and back ([`crate::lookup::saved`] says what stands around them).
//!
//! ```text
//! block:  number 4 | rows 4 | length of the packed bytes 4 | rows, 48 bytes each | packed bytes
//! row:    id 32 | time in ms 6 | types of signals 1 | zero 1 | description 4 | where its packed bytes begin 4
//! ```
//!
//! Numbers are little-endian. Only pictures are saved whose payload is here (`content`): a row of zeros stands for every other
//! entry. Packed bytes are those of [`super::packed`], one record behind the other without a gap: of records that were
//! blanked nothing is written. How a record stands is not saved.

use super::{ABSENT, Column, NO_ROW, Numbers, Row, Rows};
use crate::lookup::packed;
use hashpact_core::view::{Author, BLOCK_ENTRIES, Batch, Restorable, Stated, Status};
use hashpact_protocol::digest::RecordId;
use hashpact_protocol::leaf::Kind;
use std::collections::HashMap;

/// Length of a row in a file.
const ROW_BYTES: usize = 48;
/// Length of what stands before the rows of a block.
pub(in crate::lookup) const BLOCK_HEAD_BYTES: usize = 12;

/// Descriptions of rows that are saved, by new numbers in the order of their appearance, each with the number of a record
/// that has it.
#[derive(Debug, Default)]
pub(in crate::lookup) struct SavedDescriptions {
    numbers: HashMap<u32, u32>,
    pub(in crate::lookup) holders: Vec<u64>,
}

impl SavedDescriptions {
    fn number(&mut self, held: u32, record: u64) -> u32 {
        *self.numbers.entry(held).or_insert_with(|| {
            self.holders.push(record);
            u32::try_from(self.holders.len() - 1).expect("there are no more than of the rows")
        })
    }
}

/// What stands before the rows of a block.
#[derive(Debug, Clone, Copy)]
pub(in crate::lookup) struct BlockHead {
    /// Number of the block.
    pub(in crate::lookup) number: u32,
    rows: u32,
    packed: u32,
}

/// A block that was read.
pub(in crate::lookup) struct SavedBlock {
    number: u32,
    rows: Vec<Row>,
    packed: Vec<u8>,
    /// What a view restores; leaf indexes are counted from the first of the block.
    pub(in crate::lookup) records: Vec<Restorable>,
    /// Leaf indexes, counted alike, at which there is no row.
    pub(in crate::lookup) lacking: Vec<u64>,
    /// The number of every row's description is smaller.
    pub(in crate::lookup) descriptions_end: u64,
}

impl SavedBlock {
    /// Its number.
    pub(in crate::lookup) fn number(&self) -> usize {
        self.number as usize
    }

    /// How many rows it has.
    pub(in crate::lookup) fn len(&self) -> usize {
        self.rows.len()
    }
}

impl BlockHead {
    pub(in crate::lookup) fn read(bytes: &[u8; BLOCK_HEAD_BYTES]) -> Self {
        let at = |from| u32::from_le_bytes(*bytes[from..].first_chunk().expect("there are twelve"));
        Self { number: at(0), rows: at(4), packed: at(8) }
    }

    /// Lengths of its rows and of its packed bytes, if a block can have as many rows.
    pub(in crate::lookup) fn lengths(&self) -> Option<(u64, u64)> {
        let is_possible = u64::from(self.rows) <= BLOCK_ENTRIES;
        is_possible.then(|| (u64::from(self.rows) * ROW_BYTES as u64, u64::from(self.packed)))
    }

    /// The block with these rows and packed bytes.
    ///
    /// # Errors
    /// What contradicts itself.
    pub(in crate::lookup) fn block(self, rows: &[u8], packed: Vec<u8>) -> Result<SavedBlock, &'static str> {
        let mut block = SavedBlock {
            number: self.number,
            rows: Vec::with_capacity(self.rows as usize),
            packed,
            records: Vec::with_capacity(self.rows as usize),
            lacking: Vec::new(),
            descriptions_end: 0,
        };
        let packed = block.packed.as_slice();
        let mut rest = packed;
        for (index, bytes) in (0..).zip(rows.as_chunks::<ROW_BYTES>().0) {
            let row = read_row(bytes);
            block.rows.push(row);
            if row.id == ABSENT {
                block.lacking.push(index);
                continue;
            }
            block.descriptions_end = block.descriptions_end.max(u64::from(row.description) + 1);
            if row.at as usize != packed.len() - rest.len() {
                return Err("a row whose bytes are somewhere else");
            }
            let (length, expires_s) = packed::measure(rest).ok_or("bytes that no record packs to")?;
            rest = &rest[length..];
            block.records.push(Restorable { index, id: row.id, expires_s });
        }
        if rest.is_empty() { Ok(block) } else { Err("bytes of no row") }
    }
}

fn read_row(bytes: &[u8; ROW_BYTES]) -> Row {
    let number = |from: usize| u32::from_le_bytes(*bytes[from..].first_chunk().expect("within a row"));
    let id = RecordId::new(*bytes.first_chunk().expect("a row begins with it"));
    if id == ABSENT {
        return NO_ROW;
    }
    Row {
        id,
        time_low: number(32),
        time_high: u16::from_le_bytes([bytes[36], bytes[37]]),
        status: Status::Active,
        types: bytes[38],
        description: number(40),
        at: number(44),
    }
}

impl Rows {
    /// Appends what is saved of a block: of its first `end` leaf indexes. Whether there is anything.
    pub(in crate::lookup) fn save_block(
        &self,
        number: u64,
        end: usize,
        descriptions: &mut SavedDescriptions,
        out: &mut Vec<u8>,
    ) -> bool {
        let column = usize::try_from(number).ok().and_then(|number| self.columns.get(number)?.as_ref());
        let Some(column) = column.filter(|column| !column.author.is_beside()) else { return false };
        let (Ok(block), rows) = (u32::try_from(number), column.rows.len().min(end)) else { return false };
        let mut bytes = Vec::new();
        let head = out.len();
        out.extend([block, rows as u32, 0].iter().flat_map(|number| number.to_le_bytes()));
        for offset in 0..rows {
            let record = Numbers::join(number, offset as u64);
            let is_saved = |row: &Row| {
                let is_picture = self.descriptions.get(row.description).kind() == Kind::Content;
                row.id != ABSENT && is_picture && !self.is_blank(record)
            };
            let Some(row) = column.rows.get(offset).filter(|row| is_saved(row)) else {
                out.extend([0; ROW_BYTES]);
                continue;
            };
            let own = &column.packed[row.at as usize..];
            let (length, _) = packed::measure(own).expect("bytes that were packed here");
            out.extend(row.id.as_bytes());
            out.extend(row.time_low.to_le_bytes());
            out.extend(row.time_high.to_le_bytes());
            out.extend([row.types, 0]);
            out.extend(descriptions.number(row.description, record).to_le_bytes());
            out.extend((bytes.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&own[..length]);
        }
        let length = u32::try_from(bytes.len()).expect("less than the packed bytes of the block");
        out[head + 8..head + BLOCK_HEAD_BYTES].copy_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&bytes);
        true
    }

    /// Whether a record is sealed, or its payload is not here any more.
    fn is_blank(&self, number: u64) -> bool {
        self.standings.get(&number).is_some_and(|standing| standing.status.is_blank())
    }

    /// Takes a block that was saved, with the records that it had. Each once, before anything else is put.
    pub(in crate::lookup) fn restore(
        &mut self,
        author: &Author,
        records: &[Restorable],
        block: SavedBlock,
        batch: &mut Batch,
    ) {
        let SavedBlock { number, rows, packed, .. } = block;
        for Restorable { index, id, .. } in records {
            batch.add(id, Numbers::join(number.into(), *index));
        }
        self.count += records.len();
        let number = number as usize;
        if self.columns.len() <= number {
            self.columns.resize_with(number + 1, || None);
        }
        self.columns[number] = Some(Column { author: author.clone(), rows, packed });
    }

    /// Takes the descriptions of restored rows, in the order of their numbers. Whether each is another.
    pub(in crate::lookup) fn describe<'a>(&mut self, stated: impl Iterator<Item = &'a Stated>) -> bool {
        (0..).zip(stated).all(|(number, stated)| self.descriptions.number(stated) == number)
    }

    /// For each block its author, and leaf index and time of its records.
    pub(in crate::lookup) fn stated(
        &self,
    ) -> impl Iterator<Item = (&Author, impl Iterator<Item = (u64, u64)>)> {
        (0..).zip(&self.columns).filter_map(|(number, column)| {
            let column = column.as_ref()?;
            let (_, first) = self.numbers.place(Numbers::join(number, 0))?;
            let rows = (first..).zip(&column.rows).filter(|(_, row)| row.id != ABSENT);
            Some((&column.author, rows.map(|(index, row)| (index, row.time_ms()))))
        })
    }

    /// An empty batch of ids for [`Self::restore`].
    pub(in crate::lookup) fn batch(&self) -> Batch {
        self.ids.batch()
    }

    /// Ends the restoring: records are found by their ids from now on.
    pub(in crate::lookup) fn insert_batch(&mut self, batch: Batch) {
        self.ids.insert_batch(batch);
    }
}
