//! Where the bytes of a bundle go: into compressed blocks, or as they are from some byte on.

use hashpact_protocol::bundle::{BlockHeader, Section, Sink};
use hashpact_protocol::digest::{DIGEST_BYTES, Sha256Parts};
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

/// The caller's first bytes are not those of the archive as it is now.
#[derive(Debug, thiserror::Error)]
#[error("what was received before is not how the bundle begins now")]
pub struct OtherBeginning;

/// What a caller has of an archive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Beginning {
    /// Bytes.
    pub len: u64,
    /// Their SHA-256.
    pub digest: [u8; DIGEST_BYTES],
}

/// Passes on the archive behind what the caller has, and only if that is how the archive begins.
pub struct Portion<W> {
    writer: W,
    beginning: Beginning,
    passed: Sha256Parts,
    /// Bytes of the archive so far.
    pub seen: u64,
}

impl<W: Write> Portion<W> {
    /// Leaves out what the caller has.
    pub fn new(writer: W, beginning: Beginning) -> Self {
        Self { writer, beginning, passed: Sha256Parts::default(), seen: 0 }
    }

    /// Gives the writer back.
    pub fn into_inner(self) -> W {
        self.writer
    }
}

impl<W: Write> Sink for Portion<W> {
    type Error = io::Error;

    fn write(&mut self, _section: Section, bytes: &[u8]) -> io::Result<()> {
        let lacking = self.beginning.len.saturating_sub(self.seen);
        let before = lacking.min(bytes.len() as u64);
        self.seen += bytes.len() as u64;
        let from = usize::try_from(before).map_err(io::Error::other)?;
        let (had, new) = bytes.split_at(from.min(bytes.len()));
        if lacking > 0 {
            self.passed.update(had);
            if before == lacking && self.passed.digest() != self.beginning.digest {
                return Err(io::Error::other(OtherBeginning));
            }
        }
        self.writer.write_all(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hashpact_protocol::digest::sha256;

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
    fn a_portion_leaves_out_what_the_caller_has_and_nothing_else() {
        let write = |beginning: Beginning| {
            let mut portion = Portion::new(Vec::new(), beginning);
            let parts = [&b"abc"[..], b"defg", b"hij"];
            let written = parts.iter().try_for_each(|part| portion.write(Section::Core, part));
            written.map(|()| (portion.seen, portion.into_inner()))
        };
        for len in [0, 1, 3, 4, 9, 10, 11] {
            let from = usize::try_from(len).expect("small").min(10);
            let digest = sha256(&[&b"abcdefghij"[..from]]);
            let (seen, rest) = write(Beginning { len, digest }).expect("the same beginning");
            assert_eq!((seen, rest.as_slice()), (10, &b"abcdefghij"[from..]), "{len}");
        }
        for len in [1, 3, 4, 9, 10] {
            let other = Beginning { len, digest: sha256(&[b"another beginning"]) };
            let error = write(other).expect_err("another beginning");
            assert!(error.get_ref().is_some_and(|cause| cause.is::<OtherBeginning>()), "{error}");
        }
    }
}
