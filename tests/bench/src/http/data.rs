//! What the server holds and what is asked of it, from one seed: both processes make the same.

use hashpact_protocol::digest::RecordId;

/// Signals of one record; the most that a record may have.
pub(crate) const SIGNALS_PER_RECORD: u64 = 64;
/// One query in so many is a near duplicate; the others match nothing.
const NEAR_EVERY: u64 = 100;
/// Largest distance of a near duplicate, the node's default radius.
const DISTANCE_MAX: u64 = 31;

/// Signals and records of a server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Data {
    /// Signals in the index.
    pub(crate) count: u64,
    /// Records that they belong to.
    pub(crate) records: u64,
    /// What the values are made from.
    pub(crate) seed: u64,
}

/// A query and what must be found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question {
    /// The value.
    pub(crate) value: [u8; 32],
    /// Record and distance, for a near duplicate.
    pub(crate) expected: Option<(RecordId, u16)>,
}

impl Data {
    /// Signal number `nth` of the index.
    pub(crate) fn signal(&self, nth: u64) -> [u8; 32] {
        random_value(self.seed, nth)
    }

    /// The record that carries a signal.
    pub(crate) fn record_of(&self, signal: u64) -> u64 {
        signal / SIGNALS_PER_RECORD % self.records
    }

    /// Query number `nth`; none is asked twice.
    pub(crate) fn question(&self, nth: u64) -> Question {
        let choice = mix(self.seed ^ 0x5eed_0001 ^ nth.wrapping_mul(0x9e37_79b9));
        if !nth.is_multiple_of(NEAR_EVERY) {
            return Question { value: random_value(self.seed ^ 0x5eed_0002, nth), expected: None };
        }
        let signal = choice % self.count;
        let distance = (nth / NEAR_EVERY) % (DISTANCE_MAX + 1);
        let mut value = self.signal(signal);
        let (start, step) = ((choice >> 40) % 256, 2 * ((choice >> 50) % 64) + 1);
        // An odd step goes through all 256 bits before it comes back to the first.
        for bit in (0..distance).map(|nth| (start + nth * step) % 256) {
            value[(bit / 8) as usize] ^= 1 << (bit % 8);
        }
        Question { value, expected: Some((record_id(self.record_of(signal)), distance as u16)) }
    }
}

/// The id of record number `nth`.
pub(crate) fn record_id(nth: u64) -> RecordId {
    RecordId::new(random_value(0x1d, nth))
}

fn random_value(seed: u64, nth: u64) -> [u8; 32] {
    let mut value = [0; 32];
    let base = mix(seed.wrapping_add(mix(nth)));
    for (part, bytes) in (0u64..).zip(value.chunks_exact_mut(8)) {
        bytes.copy_from_slice(&mix(base.wrapping_add(part)).to_be_bytes());
    }
    value
}

/// SplitMix64 (Steele, Lea, Flood 2014).
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
