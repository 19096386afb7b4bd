//! CRC-32C as RocksDB stores it: rotated and moved by a constant.

/// What RocksDB adds, so that checksums of data that holds checksums stay good ones.
const MASK: u32 = 0xa282_ead8;

/// A checksum that grows with the bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Checksum(u32);

impl Checksum {
    /// Of these bytes.
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self(crc32c::crc32c(bytes))
    }

    /// With one byte more.
    pub(super) fn then(self, byte: u8) -> Self {
        Self(crc32c::crc32c_append(self.0, &[byte]))
    }

    /// As it stands in a file.
    pub(super) const fn stored(self) -> u32 {
        self.0.rotate_right(15).wrapping_add(MASK)
    }
}
