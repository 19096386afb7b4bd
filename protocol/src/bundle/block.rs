//! Blocks of a compressed bundle: where each starts, how long it is, and whether it is whole (SPEC §12.7).
//!
//! A compressed bundle is a row of blocks; a block is a zstd *skippable frame* of 44 bytes, read here, and one
//! zstd frame. Any zstd program passes over the first and unpacks the second. The checksum finds damage and
//! says where, also where zstd itself would not notice; it proves nothing and need not. Compressing and
//! decompressing are the caller's, as is reading files.

use crate::limits::BUNDLE_BLOCK_MAX_BYTES;
use xxhash_rust::xxh3::xxh3_128;

/// Length of what stands before each compressed frame.
pub const BLOCK_HEADER_BYTES: usize = 44;
/// Longest compressed frame: zstd's own bound for incompressible input of this size is far below.
pub const BLOCK_FRAME_MAX_BYTES: usize = BUNDLE_BLOCK_MAX_BYTES + 4096;

/// zstd's magic number of a skippable frame (0x184D2A5E, little-endian), and the length of its content.
const SKIPPABLE: [u8; 8] = [0x5e, 0x2a, 0x4d, 0x18, 36, 0, 0, 0];
const MAGIC: [u8; 4] = *b"HPB1";

/// Which part of the archive a block holds; a block never holds bytes of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// What every node with the same heads writes alike.
    Core,
    /// What the holder adds.
    Annex,
}

/// What stands before a compressed frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockHeader {
    /// Number of the block, from 0.
    pub number: u32,
    /// Which part it holds.
    pub section: Section,
    /// Bytes when unpacked.
    pub unpacked: u32,
    /// Bytes of the frame that follows.
    pub packed: u32,
    /// XXH3-128 of the other fields and the frame.
    checksum: [u8; 16],
}

/// Why a block is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
    /// These are not the bytes of a block's header.
    #[error("not the header of a block")]
    Header,
    /// Another number than the one after the last block's.
    #[error("block {got} where block {expected} must be")]
    Number {
        /// Expected.
        expected: u32,
        /// Found.
        got: u32,
    },
    /// A length beyond what blocks have.
    #[error("the lengths of block {number} are beyond the bounds")]
    Length {
        /// Which block.
        number: u32,
    },
    /// Header or frame were changed.
    #[error("block {number} was changed: its checksum is another")]
    Checksum {
        /// Which block.
        number: u32,
    },
}

impl BlockHeader {
    /// The header of a compressed frame.
    ///
    /// # Errors
    /// [`BlockError::Length`] beyond the bounds.
    pub fn new(number: u32, section: Section, unpacked: usize, frame: &[u8]) -> Result<Self, BlockError> {
        let length = BlockError::Length { number };
        let (Ok(unpacked), Ok(packed)) = (u32::try_from(unpacked), u32::try_from(frame.len())) else {
            return Err(length);
        };
        let mut header = Self { number, section, unpacked, packed, checksum: [0; 16] };
        header.check_lengths()?;
        header.checksum = header.compute(frame);
        Ok(header)
    }

    /// The bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; BLOCK_HEADER_BYTES] {
        let mut bytes = [0; BLOCK_HEADER_BYTES];
        let fields = [SKIPPABLE.as_slice(), &self.fields(), &self.checksum].concat();
        for (target, source) in bytes.iter_mut().zip(fields) {
            *target = source;
        }
        bytes
    }

    /// Reads the bytes; whether the frame is whole is asked with [`BlockHeader::check`].
    ///
    /// # Errors
    /// [`BlockError::Header`], [`BlockError::Length`].
    pub fn parse(bytes: &[u8; BLOCK_HEADER_BYTES]) -> Result<Self, BlockError> {
        let rest = bytes.strip_prefix(&SKIPPABLE).and_then(|rest| rest.strip_prefix(&MAGIC));
        let (section, rest) = rest.and_then(<[u8]>::split_first_chunk::<4>).ok_or(BlockError::Header)?;
        let section = match section {
            [0, 0, 0, 0] => Section::Core,
            [0, 0, 0, 1] => Section::Annex,
            _ => return Err(BlockError::Header),
        };
        let mut numbers = rest.as_chunks::<4>().0.iter().map(|bytes| u32::from_be_bytes(*bytes));
        let (Some(number), Some(unpacked), Some(packed)) = (numbers.next(), numbers.next(), numbers.next())
        else {
            return Err(BlockError::Header);
        };
        let checksum = *rest.last_chunk().ok_or(BlockError::Header)?;
        let header = Self { number, section, unpacked, packed, checksum };
        header.check_lengths()?;
        Ok(header)
    }

    /// Whether header and frame are as they were written, and the block is the one that must come.
    ///
    /// # Errors
    /// [`BlockError::Checksum`], [`BlockError::Number`].
    pub fn check(&self, expected: u32, frame: &[u8]) -> Result<(), BlockError> {
        if self.compute(frame) != self.checksum {
            return Err(BlockError::Checksum { number: expected });
        }
        if self.number != expected {
            return Err(BlockError::Number { expected, got: self.number });
        }
        Ok(())
    }

    fn check_lengths(&self) -> Result<(), BlockError> {
        let fits = |length: u32, max: usize| (1..=max).contains(&(length as usize));
        let is_fine = fits(self.unpacked, BUNDLE_BLOCK_MAX_BYTES) && fits(self.packed, BLOCK_FRAME_MAX_BYTES);
        if is_fine { Ok(()) } else { Err(BlockError::Length { number: self.number }) }
    }

    fn fields(&self) -> [u8; 20] {
        let section: u32 = match self.section {
            Section::Core => 0,
            Section::Annex => 1,
        };
        let mut bytes = [0; 20];
        let numbers = [section, self.number, self.unpacked, self.packed].map(u32::to_be_bytes);
        for (target, source) in bytes.iter_mut().zip(MAGIC.iter().chain(numbers.as_flattened())) {
            *target = *source;
        }
        bytes
    }

    fn compute(&self, frame: &[u8]) -> [u8; 16] {
        xxh3_128(&[self.fields().as_slice(), frame].concat()).to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_of_a_block_counts() {
        let frame = [7; 50];
        let header = BlockHeader::new(3, Section::Annex, 900, &frame).expect("in bounds");
        let good = header.encode();
        assert_eq!(BlockHeader::parse(&good), Ok(header));
        assert_eq!(header.check(3, &frame), Ok(()));
        assert_eq!(header.check(2, &frame), Err(BlockError::Number { expected: 2, got: 3 }));
        for bit in 0..good.len() * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            let read = BlockHeader::parse(&bad).and_then(|header| header.check(3, &frame));
            assert!(read.is_err(), "bit {bit}");
        }
        for bit in 0..frame.len() * 8 {
            let mut bad = frame;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(header.check(3, &bad), Err(BlockError::Checksum { number: 3 }));
        }
    }

    #[test]
    fn lengths_have_bounds() {
        let long = BlockHeader::new(0, Section::Core, BUNDLE_BLOCK_MAX_BYTES + 1, &[0]);
        assert_eq!(long, Err(BlockError::Length { number: 0 }));
        assert!(BlockHeader::new(0, Section::Core, 0, &[0]).is_err());
        assert!(BlockHeader::new(0, Section::Core, 1, &vec![0; BLOCK_FRAME_MAX_BYTES + 1]).is_err());
    }
}
