//! CRC-32C as RocksDB stores it: Castagnoli's polynomial, then rotated and moved by a constant.

/// Castagnoli's polynomial, lowest bit first.
const POLYNOMIAL: u32 = 0x82f6_3b78;
/// What RocksDB adds, so that checksums of data that holds checksums stay good ones.
const MASK: u32 = 0xa282_ead8;

/// `TABLES[n][byte]`: what a byte does to the checksum after `n` more bytes.
const TABLES: [[u32; 256]; 8] = tables();

/// A checksum that grows with the bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Checksum(u32);

impl Checksum {
    /// Of these bytes.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<8>();
        let whole = words.iter().fold(Self(u32::MAX), |checksum, word| checksum.eight(*word));
        rest.iter().fold(whole, |checksum, byte| checksum.then(*byte))
    }

    /// With one byte more.
    pub(super) const fn then(self, byte: u8) -> Self {
        Self(TABLES[0][(self.0 as u8 ^ byte) as usize] ^ (self.0 >> 8))
    }

    /// As it stands in a file.
    pub(super) const fn stored(self) -> u32 {
        (!self.0).rotate_right(15).wrapping_add(MASK)
    }

    const fn eight(self, word: [u8; 8]) -> Self {
        let [a, b, c, d, e, f, g, h] = word;
        let [i, j, k, l] = (self.0 ^ u32::from_le_bytes([a, b, c, d])).to_le_bytes();
        let bytes = [h, g, f, e, l, k, j, i];
        let (mut sum, mut at) = (0, 0);
        while at < bytes.len() {
            sum ^= TABLES[at][bytes[at] as usize];
            at += 1;
        }
        Self(sum)
    }
}

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut value = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { (value >> 1) ^ POLYNOMIAL } else { value >> 1 };
            bit += 1;
        }
        tables[0][byte] = value;
        byte += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before: u32 = tables[table - 1][byte];
            tables[table][byte] = tables[0][(before & 0xff) as usize] ^ (before >> 8);
            byte += 1;
        }
        table += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3720, appendix B.4, and the check value of the catalogue of parametrised CRC algorithms.
    #[test]
    fn published_values_hold() {
        let ascending: Vec<u8> = (0..32).collect();
        let cases: [(&[u8], u32); 4] = [
            (b"123456789", 0xe306_9283),
            (&[0; 32], 0x8a91_36aa),
            (&[0xff; 32], 0x62a8_ab43),
            (&ascending, 0x46dd_794e),
        ];
        for (bytes, expected) in cases {
            assert_eq!(!Checksum::of(bytes).0, expected);
            let one_by_one = bytes.iter().fold(Checksum::of(&[]), |checksum, byte| checksum.then(*byte));
            assert_eq!(!one_by_one.0, expected);
        }
    }
}
