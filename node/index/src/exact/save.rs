//! The exact maps as bytes, for a snapshot.
//!
//! Numbers are little-endian. A table is
//!
//! | bytes | content |
//! |---|---|
//! | 1 | 1: a table follows |
//! | 1 | signal type |
//! | 4 | width of the values |
//! | 8 | about how many values follow: changes made while it was written may not be counted |
//! | … | groups |
//! | 4 | 0: no more groups |
//!
//! and a byte 0 ends the tables. A group is
//!
//! | bytes | content |
//! |---|---|
//! | 4 | n, at least 1 and at most what [`group_max`] says |
//! | 4 n | slots: a record below 2^31, or 2^32 - 1 for a list |
//! | width × n | values |
//! | for each list in turn: 8 | m, at least 1 |
//! | 8 m | records |
//!
//! Groups come in the order of the keyed hash, read from its low end. Loaded with the same seed, they fill one
//! page after another; with another seed, or in any order, they load as well, only more slowly.
//!
//! Nothing here detects altered bytes: that is the matter of whoever stores them. Bytes that break the layout
//! are an error, and no length in them makes the reader take more memory than a group, or than what it read.

use std::io::{self, Read, Write};

use super::ExactMaps;
use super::table::{END, Table};

/// A slot that says that a list follows.
const LIST: u32 = u32::MAX;
/// Most bytes of values in a group of more than one.
const GROUP_BYTES: usize = 64 * 1024;
/// Records that are read at a time.
const RECORDS_CHUNK: u64 = 4096;

/// Most values in a group.
fn group_max(width: usize) -> usize {
    (GROUP_BYTES / (width + 4)).clamp(1, 1024)
}

/// What loading may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoadLimits {
    /// Widest value accepted, in bytes.
    pub(crate) width_max: u32,
    /// Length of the input, in bytes, or more: no more values are expected than fit into it.
    pub(crate) input_bytes: u64,
}

/// Why saved maps were refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// The input ended early or could not be read.
    #[error("the exact maps cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Neither "a table follows" nor "no more tables".
    #[error("exact maps: byte {0} where 0 or 1 starts the next part")]
    Marker(u8),
    /// Values wider than the caller accepts.
    #[error("exact maps: values of {width_bytes} bytes, at most {max_bytes} are accepted")]
    Width {
        /// What the table says.
        width_bytes: u32,
        /// What the caller says.
        max_bytes: u32,
    },
    /// A group larger than any that is written.
    #[error("exact maps: a group of {values}, at most {max} values of {width_bytes} bytes")]
    Group {
        /// What the group says.
        values: u32,
        /// The bound for this width.
        max: usize,
        /// Width of the table's values.
        width_bytes: usize,
    },
    /// A slot that is neither a small record nor a list.
    #[error("exact maps: slot {0:#010x} is neither a record nor a list")]
    Slot(u32),
    /// A list without a record.
    #[error("exact maps: a list without records")]
    EmptyList,
    /// A value, or a record in its list, that came before.
    #[error("exact maps: signal type {kind} has a value or one of its records twice")]
    Twice {
        /// The signal type's code.
        kind: u8,
    },
}

impl ExactMaps {
    /// Writes everything. May run beside a writer, like [`for_each`](Self::for_each).
    pub(crate) fn save_into(&self, out: &mut impl Write) -> io::Result<()> {
        for table in self.tables() {
            let values = table.stats().values;
            let width = u32::try_from(table.width).map_err(|_| io::ErrorKind::InvalidInput)?;
            out.write_all(&[1, table.kind])?;
            out.write_all(&width.to_le_bytes())?;
            out.write_all(&values.to_le_bytes())?;
            let mut group = Group::default();
            let mut place = 0;
            while place < END {
                place = self.gather(table, place, &mut group);
                // Pages of neighbouring places share a group, so that small pages do not make small writes.
                if group.slots.len() >= group_max(table.width) / 2 || place == END {
                    group.write(out, table.width)?;
                }
            }
            out.write_all(&0_u32.to_le_bytes())?;
        }
        out.write_all(&[0])
    }

    /// Adds a page to a group; nothing is written while the guard is held.
    fn gather(&self, table: &Table, place: u64, group: &mut Group) -> u64 {
        let guard = crossbeam_epoch::pin();
        table.visit(place, &self.hasher, &guard, |slot, value| {
            let mut records = Vec::new();
            self.lists.read(slot, &guard, |record| records.push(record));
            match records[..] {
                // It was taken out meanwhile.
                [] => return,
                [record] if record < 1 << 31 => group.slots.push(record as u32),
                _ => {
                    group.slots.push(LIST);
                    group.lists.push(records);
                }
            }
            group.values.extend(value);
        })
    }

    /// Reads what [`save_into`](Self::save_into) wrote, into new maps.
    pub(crate) fn load_from(
        seed: &[u8; 32],
        input: &mut impl Read,
        limits: LoadLimits,
    ) -> Result<Self, LoadError> {
        let maps = Self::with_seed(seed);
        loop {
            match u8::from_le_bytes(read(input)?) {
                0 => return Ok(maps),
                1 => maps.load_table(input, limits)?,
                other => return Err(LoadError::Marker(other)),
            }
        }
    }

    fn load_table(&self, input: &mut impl Read, limits: LoadLimits) -> Result<(), LoadError> {
        let [kind] = read(input)?;
        let (width, values) = (u32::from_le_bytes(read(input)?), u64::from_le_bytes(read(input)?));
        if width > limits.width_max {
            return Err(LoadError::Width { width_bytes: width, max_bytes: limits.width_max });
        }
        let values = values.min(limits.input_bytes / (u64::from(width) + 4));
        let (width, _writer) = (width as usize, self.lock());
        let table = self.table_for(kind, width, values);
        let mut group = Group::default();
        while group.read(input, width)? {
            self.load_group(table, &mut group, input)?;
        }
        Ok(())
    }

    fn load_group(&self, table: &Table, group: &mut Group, input: &mut impl Read) -> Result<(), LoadError> {
        let width = table.width;
        group.hashes.clear();
        group
            .hashes
            .extend((0..group.slots.len()).map(|n| self.hasher.of(&group.values[n * width..][..width])));
        let mut done = 0;
        while done < group.slots.len() {
            let (slots, hashes) = (&group.slots[done..], &group.hashes[done..]);
            let values = &group.values[done * width..];
            let single = slots.iter().take_while(|&&slot| slot != LIST).count();
            done += if single == 0 {
                self.load_list(table, hashes[0], &values[..width], input)?;
                1
            } else {
                let run = table.insert_run(&hashes[..single], values, slots, &self.hasher);
                run.map_err(|_| LoadError::Twice { kind: table.kind })?
            };
        }
        Ok(())
    }

    /// Reads the records of one value with a list, a few at a time.
    fn load_list(
        &self,
        table: &Table,
        hash: u64,
        value: &[u8],
        input: &mut impl Read,
    ) -> Result<(), LoadError> {
        let mut left = u64::from_le_bytes(read(input)?);
        if left == 0 {
            return Err(LoadError::EmptyList);
        }
        let mut bytes = Vec::new();
        while left > 0 {
            let chunk = left.min(RECORDS_CHUNK);
            bytes.resize(chunk as usize * 8, 0);
            input.read_exact(&mut bytes)?;
            for record in bytes.as_chunks::<8>().0 {
                let record = u64::from_le_bytes(*record);
                if !table.insert(hash, value, record, &self.lists, &self.hasher) {
                    return Err(LoadError::Twice { kind: table.kind });
                }
            }
            left -= chunk;
        }
        Ok(())
    }
}

/// A group on its way in or out.
#[derive(Default)]
struct Group {
    slots: Vec<u32>,
    values: Vec<u8>,
    lists: Vec<Vec<u64>>,
    hashes: Vec<u64>,
}

impl Group {
    /// Writes the group, in parts if it is too large, and empties it.
    fn write(&mut self, out: &mut impl Write, width: usize) -> io::Result<()> {
        let mut lists = self.lists.iter();
        for (part, slots) in self.slots.chunks(group_max(width)).enumerate() {
            out.write_all(&(slots.len() as u32).to_le_bytes())?;
            let slot_bytes: Vec<u8> = slots.iter().flat_map(|slot| slot.to_le_bytes()).collect();
            out.write_all(&slot_bytes)?;
            out.write_all(&self.values[part * group_max(width) * width..][..slots.len() * width])?;
            for list in lists.by_ref().take(slots.iter().filter(|&&slot| slot == LIST).count()) {
                out.write_all(&(list.len() as u64).to_le_bytes())?;
                let records: Vec<u8> = list.iter().flat_map(|record| record.to_le_bytes()).collect();
                out.write_all(&records)?;
            }
        }
        self.slots.clear();
        self.values.clear();
        self.lists.clear();
        Ok(())
    }

    /// Reads slots and values of the next group; `false` when there is none.
    fn read(&mut self, input: &mut impl Read, width: usize) -> Result<bool, LoadError> {
        let values = u32::from_le_bytes(read(input)?);
        let (len, max) = (values as usize, group_max(width));
        if len > max {
            return Err(LoadError::Group { values, max, width_bytes: width });
        }
        self.values.resize(len * 4, 0);
        input.read_exact(&mut self.values)?;
        self.slots.clear();
        self.slots.extend(self.values.as_chunks::<4>().0.iter().map(|slot| u32::from_le_bytes(*slot)));
        let bad = self.slots.iter().find(|&&slot| slot >= 1 << 31 && slot != LIST);
        if let Some(&slot) = bad {
            return Err(LoadError::Slot(slot));
        }
        self.values.resize(len * width, 0);
        input.read_exact(&mut self.values)?;
        Ok(len > 0)
    }
}

fn read<const N: usize>(input: &mut impl Read) -> Result<[u8; N], LoadError> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}
