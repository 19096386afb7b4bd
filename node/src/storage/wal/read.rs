//! Reads one write-ahead log, or the manifest, which has the same format, and says how it ends. Pure over bytes; no file is changed here.
//!
//! ```text
//! file    blocks of 32 KiB; a record is cut into fragments at their ends; less than 7 bytes left in a block are filler
//! header  0  4  CRC-32C over type and data, masked     4  2  length of the data     6  1  type    (little-endian)
//! type    1 whole record     2 first fragment     3 middle     4 last
//! ```
//!
//! RocksDB has more types (recycled logs, compression, time stamps); this node's options write none of them.
//! RocksDB itself believes lengths and types of a damaged header before it knows the checksum: a flipped bit there ends
//! the replay without an error, or, of the type, for ever. So nothing that this reader calls damaged reaches RocksDB.

use super::checksum::Checksum;
use std::io::{self, Read};

/// Bytes of a block.
const BLOCK_BYTES: usize = 32 * 1024;
/// Bytes before the data of a fragment.
const HEADER_BYTES: usize = 7;
/// So many zeros at the end are blocks that were never written. Fewer may be the end of a record: nearly all of ours
/// end in a digest, a text or a number.
const UNWRITTEN_MIN_BYTES: u64 = 16;

/// How a log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// It holds nothing but zeros, if anything.
    Empty,
    /// With a whole record.
    Whole,
    /// Within a record, with the file: the write was cut short.
    Short,
    /// Within a record, and nothing but zeros up to the end of the file.
    Zeros {
        /// Where the last whole record ends.
        whole_bytes: u64,
        /// Where the zeros begin.
        written_bytes: u64,
        /// Where the file ends.
        file_bytes: u64,
    },
    /// With something that no write that was cut short leaves behind.
    Damaged {
        /// Where the reader stopped.
        at: u64,
        /// What is wrong there.
        what: &'static str,
    },
}

/// What was read of a log so far.
#[derive(Default)]
struct Log {
    /// Where the block begins that is read.
    block_at: u64,
    /// Where the last good fragment ends.
    good_bytes: u64,
    /// Where the last whole record ends.
    whole_bytes: u64,
    /// Whether a record has begun and not ended.
    is_within: bool,
}

/// A fragment whose checksum holds.
struct Fragment {
    bytes: usize,
    ends_record: bool,
}

/// Reads a log from its beginning to its end.
///
/// # Errors
/// The file cannot be read.
pub(super) fn ending(file: &mut impl Read) -> io::Result<Ending> {
    let mut log = Log::default();
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        let length = fill(file, &mut block)?;
        let bytes = block.get(..length).unwrap_or_default();
        if let Some(tail) = log.take_block(bytes) {
            let stopped_at = log.block_at + (bytes.len() - tail.len()) as u64;
            return Ok(log.stopped(stopped_at, tail, &Rest::of(file)?));
        }
        if length < BLOCK_BYTES {
            let is_empty = log.block_at + length as u64 == 0;
            return Ok(match (is_empty, log.is_within) {
                (true, _) => Ending::Empty,
                (false, true) => Ending::Short,
                (false, false) => Ending::Whole,
            });
        }
        log.block_at += BLOCK_BYTES as u64;
    }
}

impl Log {
    /// Takes the fragments of a block; gives what follows the last good one, if the log goes no further.
    fn take_block<'a>(&mut self, block: &'a [u8]) -> Option<&'a [u8]> {
        let mut rest = block;
        loop {
            let is_filler = rest.len() < HEADER_BYTES && block.len() == BLOCK_BYTES;
            if rest.is_empty() || is_filler {
                return None;
            }
            let Some(fragment) = self.fragment(rest) else { return Some(rest) };
            rest = rest.get(fragment.bytes..).unwrap_or_default();
            self.is_within = !fragment.ends_record;
            self.good_bytes = self.block_at + (block.len() - rest.len()) as u64;
            if fragment.ends_record {
                self.whole_bytes = self.good_bytes;
            }
        }
    }

    /// The fragment at the beginning of these bytes, if it is whole and has its place here.
    fn fragment(&self, bytes: &[u8]) -> Option<Fragment> {
        let header = Header::read(bytes)?;
        let ends_record = self.fits(header.kind)?;
        let covered = bytes.get(HEADER_BYTES - 1..HEADER_BYTES + header.data_bytes)?;
        (Checksum::of(covered).stored() == header.checksum)
            .then_some(Fragment { bytes: HEADER_BYTES + header.data_bytes, ends_record })
    }

    /// Whether a fragment of this type ends a record, if one may come here.
    const fn fits(&self, kind: u8) -> Option<bool> {
        match (kind, self.is_within) {
            (1, false) | (4, true) => Some(true),
            (2, false) | (3, true) => Some(false),
            _ => None,
        }
    }

    /// What it means that no good fragment follows at `at`. `tail` is the rest of the block.
    fn stopped(&self, at: u64, tail: &[u8], rest: &Rest) -> Ending {
        let damaged = |what| Ending::Damaged { at, what };
        let file_bytes = at + tail.len() as u64 + rest.bytes;
        if rest.has_content {
            return damaged("neither a record nor zeros to the end of the file");
        }
        let written = tail.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        // A filler before it is zeros, too.
        let written_bytes = if written == 0 { self.good_bytes } else { at + written as u64 };
        let zeros = Ending::Zeros { whole_bytes: self.whole_bytes, written_bytes, file_bytes };
        let Some(header) = Header::read(tail) else {
            return if written_bytes == 0 { Ending::Empty } else { Ending::Short };
        };
        if written < HEADER_BYTES {
            return if written_bytes == 0 { Ending::Empty } else { zeros };
        }
        if self.fits(header.kind).is_none() {
            return damaged("a record of a type that has no place there");
        }
        let fragment_bytes = HEADER_BYTES + header.data_bytes;
        let left_in_block = BLOCK_BYTES - usize::try_from(at - self.block_at).unwrap_or(BLOCK_BYTES);
        if fragment_bytes > left_in_block || header.holds_for_another_length(tail) {
            return damaged("a record whose length is wrong");
        }
        if fragment_bytes > tail.len() {
            return Ending::Short;
        }
        if written >= fragment_bytes || file_bytes - written_bytes < UNWRITTEN_MIN_BYTES {
            return damaged("a record whose checksum is wrong");
        }
        zeros
    }
}

/// The header of a fragment, not checked.
struct Header {
    checksum: u32,
    data_bytes: usize,
    kind: u8,
}

impl Header {
    fn read(bytes: &[u8]) -> Option<Self> {
        let [a, b, c, d, low, high, kind] = *bytes.first_chunk::<HEADER_BYTES>()?;
        let checksum = u32::from_le_bytes([a, b, c, d]);
        Some(Self { checksum, data_bytes: usize::from(u16::from_le_bytes([low, high])), kind })
    }

    /// Whether the checksum, which does not cover the length, is that of more or fewer bytes. Then the length was damaged,
    /// and a record that was cut short only seems to be one.
    fn holds_for_another_length(&self, tail: &[u8]) -> bool {
        let mut checksum = Checksum::of(&[self.kind]);
        for (data_bytes, byte) in (1..).zip(tail.iter().skip(HEADER_BYTES)) {
            checksum = checksum.then(*byte);
            if checksum.stored() == self.checksum && data_bytes != self.data_bytes {
                return true;
            }
        }
        false
    }
}

/// What follows the block in which the reader stopped.
struct Rest {
    bytes: u64,
    has_content: bool,
}

impl Rest {
    fn of(file: &mut impl Read) -> io::Result<Self> {
        let mut rest = Self { bytes: 0, has_content: false };
        let mut block = vec![0; BLOCK_BYTES];
        loop {
            let length = fill(file, &mut block)?;
            rest.bytes += length as u64;
            rest.has_content |= block.iter().take(length).any(|byte| *byte != 0);
            if length == 0 {
                return Ok(rest);
            }
        }
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(free) = buffer.get_mut(filled..).filter(|free| !free.is_empty()) {
        match file.read(free) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests;
