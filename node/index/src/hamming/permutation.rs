//! The secret order of bits, and the cutting of a value into parts.
//!
//! Real PDQ values are skewed: neighbouring coefficients agree, and cut in their own order a few buckets would
//! hold a hundred times their share. A permutation of the 256 bits keeps every distance and spreads neighbours
//! over all parts. It is random and secret for each index, so that nobody outside can choose values that
//! meet in one bucket.

use crate::random::Random;

/// Parts of a code; a part is the key of one table and the fingerprint of the one before.
pub(crate) const PARTS: usize = 16;

/// A permuted 256-bit value as four words; part p is bits 16·(p mod 4) of word p / 4.
pub(crate) type Code = [u64; 4];

/// The first half of a code, which decides nearly always whether another is near.
pub(crate) type Front = [u64; 2];

/// The front of a code.
#[inline(always)]
pub(crate) fn front(code: &Code) -> Front {
    [code[0], code[1]]
}

/// Part `part` of a code, taken in a ring.
#[inline(always)]
pub(crate) fn part(code: &Code, part: usize) -> u16 {
    let part = part % PARTS;
    (code[part / 4] >> (16 * (part % 4))) as u16
}

/// Bits in which two codes differ.
#[inline(always)]
pub(crate) fn distance(a: &Code, b: &Code) -> u32 {
    a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum()
}

/// A permutation of 256 bits, as one table for each half byte of the value: 32 KiB.
pub(crate) struct Permutation {
    nibbles: Box<[[Code; 16]; 64]>,
}

impl Permutation {
    /// A permutation drawn with `random`.
    pub(crate) fn draw(random: &mut Random) -> Self {
        let mut to: [u8; 256] = std::array::from_fn(|bit| bit as u8);
        for last in (1..256).rev() {
            to.swap(last, random.below(last as u64 + 1) as usize);
        }
        Self { nibbles: nibble_tables(&to) }
    }

    /// The code of a value.
    #[inline]
    pub(crate) fn code(&self, value: &[u8; 32]) -> Code {
        apply(&self.nibbles, &words(value))
    }
}

impl std::fmt::Debug for Permutation {
    /// Secret: its bits are not printed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Permutation")
    }
}

fn words(value: &[u8; 32]) -> Code {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(value.chunks_exact(8)) {
        *word = u64::from_le_bytes(bytes.try_into().expect("chunks of eight bytes"));
    }
    words
}

fn nibble_tables(to: &[u8; 256]) -> Box<[[Code; 16]; 64]> {
    let mut tables = Box::new([[[0u64; 4]; 16]; 64]);
    for (nibble, table) in tables.iter_mut().enumerate() {
        for (pattern, code) in table.iter_mut().enumerate() {
            for bit in (0..4).filter(|bit| pattern >> bit & 1 == 1) {
                let place = usize::from(to[nibble * 4 + bit]);
                code[place / 64] |= 1 << (place % 64);
            }
        }
    }
    tables
}

#[inline]
fn apply(tables: &[[Code; 16]; 64], words: &Code) -> Code {
    let mut out = [0u64; 4];
    for (word, tables) in words.iter().zip(tables.chunks_exact(16)) {
        for (nibble, table) in tables.iter().enumerate() {
            let entry = &table[(word >> (4 * nibble) & 15) as usize];
            for (out, entry) in out.iter_mut().zip(entry) {
                *out |= entry;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_kept() {
        let mut random = Random::from_seed([7; 32]);
        let permutation = Permutation::draw(&mut random);
        let mut value = || std::array::from_fn(|_| random.next() as u8);
        for _ in 0..200 {
            let (a, b): ([u8; 32], [u8; 32]) = (value(), value());
            let plain: u32 = a.iter().zip(&b).map(|(a, b)| (a ^ b).count_ones()).sum();
            assert_eq!(distance(&permutation.code(&a), &permutation.code(&b)), plain);
        }
        assert_eq!(permutation.code(&[0; 32]), [0; 4]);
        assert_eq!(permutation.code(&[0xff; 32]), [u64::MAX; 4]);
    }

    #[test]
    fn parts_are_the_code_in_pieces() {
        let code = [0x0004_0003_0002_0001, 0, 0, 0x0010_000f_000e_000d];
        assert_eq!(part(&code, 0), 1);
        assert_eq!(part(&code, 3), 4);
        assert_eq!(part(&code, 15), 0x10);
        assert_eq!(part(&code, 16), 1, "the parts form a ring");
    }

    #[test]
    fn two_seeds_give_two_orders() {
        let one = Permutation::draw(&mut Random::from_seed([1; 32]));
        let two = Permutation::draw(&mut Random::from_seed([2; 32]));
        let value = std::array::from_fn(|byte| byte as u8);
        assert_ne!(one.code(&value), two.code(&value));
    }
}
