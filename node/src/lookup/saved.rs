//! The records snapshot: one file beside the index snapshot, `records.snapshot`, from which a start takes the rows of
//! pictures instead of reading every entry of every log again.
//!
//! ```text
//! "HPROWS\0\0" | version 4 | length of the tag 4 | tag
//! blocks, as [`super::rows`] writes them, in the order of their numbers; a number of 2^32 - 1 ends them
//! descriptions 4 | for each, in the order of their numbers, the number of a record that has it 8
//! XXH3-64 of all before 8
//! ```
//!
//! Numbers are little-endian; the tag is that of the index snapshot that was written with it, byte for byte, and its positions
//! bound what is saved of each log. What members said about records, and every entry that is no picture with a payload, is
//! folded from the database at each start.
//!
//! The checksum finds accidents. What somebody else wrote into the file is never shown: until the logs have confirmed
//! every row, each hit is held against its own entry ([`super::confirm`]).

use super::Lookup;
use super::read;
use super::rows::{BLOCK_HEAD_BYTES, BlockHead, SavedBlock, SavedDescriptions};
use super::snapshot::{SaveError, Unusable};
use super::tag::Tag;
use hashpact_core::view::BLOCK_ENTRIES;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use xxhash_rust::xxh3::Xxh3;

const MAGIC: [u8; 8] = *b"HPROWS\0\0";
const VERSION: u32 = 1;
/// Stands where the number of a block would.
const END: u32 = u32::MAX;
const CHECKSUM_BYTES: u64 = 8;
/// Read and written at a time.
const BUFFER_BYTES: usize = 1 << 20;

/// Why a records snapshot cannot be used.
fn bad(what: &str) -> Unusable {
    Unusable::Records(what.to_owned())
}

fn io(error: io::Error) -> Unusable {
    match error.kind() {
        io::ErrorKind::NotFound => Unusable::Missing,
        io::ErrorKind::UnexpectedEof => bad("it ends too early"),
        _ => bad(&error.to_string()),
    }
}

/// Writes what look-ups know of the records below the tag's positions; the file's length.
pub(super) fn save(path: &Path, lookup: &Lookup, tag: &Tag, tag_bytes: &[u8]) -> Result<u64, SaveError> {
    let io = |source| SaveError::Io { path: path.to_owned(), source };
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    let mut out = Summing { to: BufWriter::with_capacity(BUFFER_BYTES, file.map_err(io)?), sum: Xxh3::new() };
    let mut write = |bytes: &[u8]| out.write(bytes).map_err(io);
    write(&MAGIC)?;
    write(&VERSION.to_le_bytes())?;
    write(&(tag_bytes.len() as u32).to_le_bytes())?;
    write(tag_bytes)?;
    let (mut descriptions, mut bytes) = (SavedDescriptions::default(), Vec::new());
    for (number, block) in (0..).zip(&tag.blocks) {
        let position = tag.positions.get(&block.log).copied().unwrap_or(0);
        bytes.clear();
        // The lock is let go after each block.
        let is_any = read(&lookup.rows).save_block(
            number,
            block_end(position, block.high),
            &mut descriptions,
            &mut bytes,
        );
        if is_any {
            write(&bytes)?;
        }
    }
    write(&END.to_le_bytes())?;
    write(&(descriptions.holders.len() as u32).to_le_bytes())?;
    for number in &descriptions.holders {
        write(&number.to_le_bytes())?;
    }
    let sum = out.sum.digest();
    out.to.write_all(&sum.to_le_bytes()).map_err(io)?;
    let file = out.to.into_inner().map_err(io::IntoInnerError::into_error).map_err(io)?;
    file.sync_all().map_err(io)?;
    file.metadata().map(|found| found.len()).map_err(io)
}

/// How many leaf indexes of a block lie below a position.
pub(super) fn block_end(position: u64, high: u64) -> usize {
    let first = high.saturating_mul(BLOCK_ENTRIES);
    usize::try_from(position.saturating_sub(first).min(BLOCK_ENTRIES)).unwrap_or(0)
}

struct Summing {
    to: BufWriter<File>,
    sum: Xxh3,
}

impl Summing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sum.update(bytes);
        self.to.write_all(bytes)
    }
}

/// A records snapshot that is being read.
pub(super) struct SavedRecords {
    from: BufReader<File>,
    sum: Xxh3,
    /// Bytes that are not read yet, without the checksum.
    left: u64,
    /// The number of the next block is at least this.
    next_block: u32,
    body: Vec<u8>,
}

impl SavedRecords {
    /// Opens the file, which must have been written with this tag.
    ///
    /// # Errors
    /// There is none, it is not whole, of another version, or was written at another moment.
    pub(super) fn open(path: &Path, tag_bytes: &[u8]) -> Result<Self, Unusable> {
        let file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let left = length.checked_sub(CHECKSUM_BYTES).ok_or_else(|| bad("it ends too early"))?;
        let from = BufReader::with_capacity(BUFFER_BYTES, file);
        let mut saved = Self { from, sum: Xxh3::new(), left, next_block: 0, body: Vec::new() };
        if saved.array()? != MAGIC {
            return Err(bad("this is no records snapshot"));
        }
        let version = saved.number()?;
        if version != VERSION {
            return Err(bad(&format!("it has version {version}; this node reads version {VERSION}")));
        }
        let length = saved.number()?;
        if saved.bytes(length.into())? != tag_bytes {
            return Err(bad("it was written at another moment than the index snapshot"));
        }
        Ok(saved)
    }

    /// The next block; none behind the last.
    ///
    /// # Errors
    /// The file ends too early or contradicts itself.
    pub(super) fn block(&mut self) -> Result<Option<SavedBlock>, Unusable> {
        let bytes: [u8; 4] = self.array()?;
        let number = u32::from_le_bytes(bytes);
        if number == END {
            return Ok(None);
        }
        // One that came twice would hide from what was said about its records.
        if number < self.next_block {
            return Err(bad("its blocks are out of order"));
        }
        self.next_block = number + 1;
        let mut head = [0; BLOCK_HEAD_BYTES];
        head[..4].copy_from_slice(&bytes);
        head[4..].copy_from_slice(&self.array::<8>()?);
        let head = BlockHead::read(&head);
        let (rows, packed) = head.lengths().ok_or_else(|| bad("it has a block of too many rows"))?;
        self.bytes(rows)?;
        // They are kept as they are read: most of the file.
        let packed = self.owned(packed)?;
        head.block(&self.body, packed).map(Some).map_err(bad)
    }

    /// Behind the last block: numbers of records with the descriptions, in the order of these. Everything before
    /// was what had been written.
    ///
    /// # Errors
    /// The file ends too early or too late, or fails its checksum.
    pub(super) fn finish(mut self) -> Result<Vec<u64>, Unusable> {
        let count = self.number()?;
        let numbers = self.bytes(u64::from(count) * 8)?;
        let numbers = numbers.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
        if self.left != 0 {
            return Err(bad("it goes on behind its end"));
        }
        let mut sum = [0; CHECKSUM_BYTES as usize];
        self.from.read_exact(&mut sum).map_err(io)?;
        if u64::from_le_bytes(sum) != self.sum.digest() {
            return Err(bad("it fails its checksum"));
        }
        Ok(numbers)
    }

    fn bytes(&mut self, length: u64) -> Result<&[u8], Unusable> {
        let mut body = std::mem::take(&mut self.body);
        body.clear();
        self.read_onto(&mut body, length)?;
        self.body = body;
        Ok(&self.body)
    }

    fn owned(&mut self, length: u64) -> Result<Vec<u8>, Unusable> {
        let mut bytes = Vec::new();
        self.read_onto(&mut bytes, length)?;
        Ok(bytes)
    }

    fn read_onto(&mut self, bytes: &mut Vec<u8>, length: u64) -> Result<(), Unusable> {
        let too_early = || bad("it ends too early");
        self.left = self.left.checked_sub(length).ok_or_else(too_early)?;
        // The file is at least as long.
        bytes.reserve_exact(usize::try_from(length).map_err(|_| too_early())?);
        let read = self.from.by_ref().take(length).read_to_end(bytes).map_err(io)?;
        if read as u64 != length {
            return Err(too_early());
        }
        self.sum.update(bytes);
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Unusable> {
        let bytes = self.bytes(N as u64)?;
        Ok(*bytes.first_chunk().expect("as many were read"))
    }

    fn number(&mut self) -> Result<u32, Unusable> {
        self.array().map(u32::from_le_bytes)
    }
}
