//! Where the bytes of a bundle go: into compressed blocks, or as they are from some byte on.

use hashpact_protocol::bundle::{BlockHeader, Section, Sink};
use hashpact_protocol::limits::BUNDLE_BLOCK_MAX_BYTES;
use std::io::{self, Write};

/// What blocks are compressed with: hashes do not compress, and payloads are mostly zeros, at any level.
const LEVEL: i32 = 3;

/// Writes blocks of zstd frames (SPEC §12.7).
pub struct Compressed<W> {
    writer: W,
    compressor: zstd::bulk::Compressor<'static>,
    held: Vec<u8>,
    section: Section,
    number: u32,
}

impl<W: Write> Compressed<W> {
    /// Around a writer.
    ///
    /// # Errors
    /// zstd's own.
    pub fn new(writer: W) -> io::Result<Self> {
        let compressor = zstd::bulk::Compressor::new(LEVEL)?;
        let held = Vec::with_capacity(BUNDLE_BLOCK_MAX_BYTES);
        Ok(Self { writer, compressor, held, section: Section::Core, number: 0 })
    }

    /// Writes what is held and gives the writer back.
    ///
    /// # Errors
    /// The writer's own.
    pub fn finish(mut self) -> io::Result<W> {
        self.flush()?;
        self.writer.flush()?;
        Ok(self.writer)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let frame = self.compressor.compress(&self.held)?;
        let header = BlockHeader::new(self.number, self.section, self.held.len(), &frame);
        self.writer.write_all(&header.map_err(io::Error::other)?.encode())?;
        self.writer.write_all(&frame)?;
        self.number = self.number.checked_add(1).ok_or_else(|| io::Error::other("too many blocks"))?;
        self.held.clear();
        Ok(())
    }
}

impl<W: Write> Sink for Compressed<W> {
    type Error = io::Error;

    fn write(&mut self, section: Section, mut bytes: &[u8]) -> io::Result<()> {
        if section != self.section {
            self.flush()?;
            self.section = section;
        }
        while !bytes.is_empty() {
            let room = BUNDLE_BLOCK_MAX_BYTES - self.held.len();
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            self.held.extend_from_slice(now);
            if self.held.len() == BUNDLE_BLOCK_MAX_BYTES {
                self.flush()?;
            }
            bytes = rest;
        }
        Ok(())
    }
}

/// Passes on the archive from some byte on.
pub struct Portion<W> {
    writer: W,
    skip: u64,
    /// Bytes of the archive so far.
    pub seen: u64,
}

impl<W: Write> Portion<W> {
    /// Leaves out the first `skip` bytes.
    pub const fn new(writer: W, skip: u64) -> Self {
        Self { writer, skip, seen: 0 }
    }

    /// Gives the writer back.
    pub fn into_inner(self) -> W {
        self.writer
    }
}

impl<W: Write> Sink for Portion<W> {
    type Error = io::Error;

    fn write(&mut self, _section: Section, bytes: &[u8]) -> io::Result<()> {
        let before = self.skip.saturating_sub(self.seen).min(bytes.len() as u64);
        self.seen += bytes.len() as u64;
        let from = usize::try_from(before).map_err(io::Error::other)?;
        self.writer.write_all(bytes.get(from..).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_cut_at_their_bound_and_at_the_annex() {
        let core = vec![7; BUNDLE_BLOCK_MAX_BYTES * 2 + 5];
        let mut sink = Compressed::new(Vec::new()).expect("zstd");
        sink.write(Section::Core, &core).expect("memory");
        sink.write(Section::Annex, b"annex").expect("memory");
        let bytes = sink.finish().expect("memory");
        let unpacked = zstd::stream::decode_all(bytes.as_slice()).expect("zstd");
        assert_eq!(unpacked, [core.as_slice(), b"annex"].concat());
        let blocks = bytes.windows(4).filter(|four| four == b"HPB1").count();
        assert_eq!(blocks, 4);
    }

    #[test]
    fn a_portion_leaves_out_what_the_caller_has() {
        for skip in [0, 1, 3, 4, 9, 10, 11] {
            let mut portion = Portion::new(Vec::new(), skip);
            for part in [&b"abc"[..], b"defg", b"hij"] {
                portion.write(Section::Core, part).expect("memory");
            }
            assert_eq!(portion.seen, 10);
            let from = usize::try_from(skip).expect("small").min(10);
            assert_eq!(portion.into_inner(), b"abcdefghij"[from..], "{skip}");
        }
    }
}
