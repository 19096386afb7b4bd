//! Compressed bundles, written here once more from the specification.

use std::convert::Infallible;

use hashpact_protocol::bundle::{BlockHeader, Section, Sink};
use hashpact_protocol::limits::BUNDLE_BLOCK_MAX_BYTES;

/// Blocks of a bundle in memory.
#[derive(Default)]
pub(crate) struct Packed {
    pub(crate) bytes: Vec<u8>,
    held: Vec<u8>,
    is_annex: bool,
    number: u32,
}

impl Packed {
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.flush();
        self.bytes
    }

    fn flush(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let section = if self.is_annex { Section::Annex } else { Section::Core };
        let frame = zstd::bulk::compress(&self.held, 3).expect("memory is enough");
        let header = BlockHeader::new(self.number, section, self.held.len(), &frame).expect("in bounds");
        self.bytes.extend(header.encode());
        self.bytes.extend(frame);
        self.held.clear();
        self.number += 1;
    }
}

impl Sink for Packed {
    type Error = Infallible;

    fn write(&mut self, section: Section, bytes: &[u8]) -> Result<(), Infallible> {
        if (section == Section::Annex) != self.is_annex {
            self.flush();
            self.is_annex = true;
        }
        for byte in bytes.chunks(1024) {
            let (now, rest) = byte.split_at(byte.len().min(BUNDLE_BLOCK_MAX_BYTES - self.held.len()));
            self.held.extend_from_slice(now);
            if self.held.len() == BUNDLE_BLOCK_MAX_BYTES {
                self.flush();
            }
            self.held.extend_from_slice(rest);
        }
        Ok(())
    }
}
