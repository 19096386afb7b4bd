//! A block of at most [`BLOCK_CODES`] codes, laid out for scanning.
//!
//! A code is four 64-bit words. Codes stand in groups of [`LANES`], word by word, and the first two words of
//! all groups stand apart from the last two: word k of 64 codes is one run of memory, so the loops below
//! compile to vector instructions of whatever the target offers, without a line of `unsafe`. A radius that
//! matters (31 bits) is exceeded within the first 128 bits by all but a few codes in a hundred million, so the
//! second half is hardly ever read: half the memory, half the work.
//!
//! Abandoning early loses nothing: the distance over half of the bits never exceeds the whole distance.
//!
//! A block knows nothing of snapshots; its owner shares it and copies it before changing it.

use crate::posting::Posting;

/// Codes in a group.
pub(crate) const LANES: usize = 64;
/// Codes in a full block: the first halves take 16 KiB and stay in the first-level cache for a whole batch.
pub(crate) const BLOCK_CODES: usize = 1024;

const _: () = assert!(BLOCK_CODES.is_multiple_of(LANES));

/// A 256-bit value as four words.
pub(crate) type Code = [u64; 4];

/// Two words of a group of codes.
type Half = [[u64; LANES]; 2];

/// Distances of a group, kept in 64-bit lanes because that is the width of the words.
type Distances = [u64; LANES];

/// Reads a value as four words. The byte order is of no consequence for distances, but must be one.
pub(crate) fn code_of(value: &[u8; 32]) -> Code {
    let mut code = [0; 4];
    for (word, bytes) in code.iter_mut().zip(value.chunks_exact(8)) {
        *word = u64::from_be_bytes(bytes.try_into().expect("chunks of eight bytes"));
    }
    code
}

/// Codes with their postings, in slots 0 to `len`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Block {
    front: Vec<Half>,
    back: Vec<Half>,
    /// One for each code; its length is the number of codes.
    postings: Vec<Posting>,
}

impl Block {
    pub(crate) fn len(&self) -> usize {
        self.postings.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len() == BLOCK_CODES
    }

    pub(crate) fn posting(&self, slot: usize) -> &Posting {
        &self.postings[slot]
    }

    pub(crate) fn posting_mut(&mut self, slot: usize) -> &mut Posting {
        &mut self.postings[slot]
    }

    /// Puts a code into the next slot. The block must not be full.
    pub(crate) fn push(&mut self, code: Code, posting: Posting) {
        assert!(!self.is_full(), "a block holds at most {BLOCK_CODES} codes");
        let slot = self.len();
        if slot.is_multiple_of(LANES) {
            self.front.push([[0; LANES]; 2]);
            self.back.push([[0; LANES]; 2]);
        }
        self.postings.push(posting);
        self.set_code(slot, code);
    }

    /// Takes the last code out.
    pub(crate) fn pop(&mut self) -> Option<(Code, Posting)> {
        let slot = self.len().checked_sub(1)?;
        let code = self.code(slot);
        let posting = self.postings.pop()?;
        if slot.is_multiple_of(LANES) {
            self.front.pop();
            self.back.pop();
        }
        Some((code, posting))
    }

    /// Puts another code in the place of one that goes.
    pub(crate) fn replace(&mut self, slot: usize, code: Code, posting: Posting) {
        self.postings[slot] = posting;
        self.set_code(slot, code);
    }

    fn code(&self, slot: usize) -> Code {
        let (group, lane) = (slot / LANES, slot % LANES);
        let ([a, b], [c, d]) = (&self.front[group], &self.back[group]);
        [a[lane], b[lane], c[lane], d[lane]]
    }

    fn set_code(&mut self, slot: usize, [a, b, c, d]: Code) {
        let (group, lane) = (slot / LANES, slot % LANES);
        self.front[group][0][lane] = a;
        self.front[group][1][lane] = b;
        self.back[group][0][lane] = c;
        self.back[group][1][lane] = d;
    }

    /// Calls `found` with slot and distance of every code at most `radius` bits away from `query`.
    pub(crate) fn scan(&self, query: &Code, radius: u16, mut found: impl FnMut(usize, u16)) {
        let radius = u64::from(radius);
        let [a, b, c, d] = *query;
        let mut distances = [0; LANES];
        for (group, (front, back)) in self.front.iter().zip(&self.back).enumerate() {
            if !add_distances(front, a, b, radius, None, &mut distances) {
                continue;
            }
            let front_distances = distances;
            if !add_distances(back, c, d, radius, Some(&front_distances), &mut distances) {
                continue;
            }
            // The unused lanes of the last group hold zeros and must not be taken for codes.
            let first = group * LANES;
            let used = (self.len() - first).min(LANES);
            for (lane, &distance) in distances.iter().enumerate().take(used) {
                if distance <= radius {
                    let distance = u16::try_from(distance).expect("a distance is at most 256");
                    found(first + lane, distance);
                }
            }
        }
    }
}

/// Writes the distances of two words of a group, on top of `before`, and says whether any is within `radius`.
#[inline(always)]
fn add_distances(
    half: &Half,
    first: u64,
    second: u64,
    radius: u64,
    before: Option<&Distances>,
    out: &mut Distances,
) -> bool {
    let [words0, words1] = half;
    // The top bit of `distance - (radius + 1)` is set exactly when the distance is within the radius.
    let limit = radius + 1;
    let mut within = 0;
    for lane in 0..LANES {
        let bits = count_two(words0[lane] ^ first, words1[lane] ^ second);
        let distance = before.map_or(0, |before| before[lane]) + bits;
        out[lane] = distance;
        within |= distance.wrapping_sub(limit);
    }
    within >> 63 == 1
}

/// Number of set bits of both words together.
#[inline(always)]
fn count_two(a: u64, b: u64) -> u64 {
    u64::from(a.count_ones()) + u64::from(b.count_ones())
}
