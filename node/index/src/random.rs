//! Numbers drawn from the index's secret seed: the bit permutation and the keys of hashes.
//!
//! xoshiro256** (Blackman and Vigna, 2018). What it feeds must be unknown outside and different at every node;
//! nothing that it gives out is ever shown, so it need not resist someone who sees its output.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;

/// A secret of the operating system's, by way of the standard library's hash keys, so that this crate asks for
/// nothing itself.
pub(crate) fn secret_seed() -> [u8; 32] {
    let mut seed = [0; 32];
    for chunk in seed.chunks_exact_mut(8) {
        chunk.copy_from_slice(&RandomState::new().hash_one(0).to_le_bytes());
    }
    seed
}

/// A stream of numbers.
#[derive(Clone)]
pub(crate) struct Random([u64; 4]);

impl Random {
    pub(crate) fn from_seed(seed: [u8; 32]) -> Self {
        let mut state = [0; 4];
        for (word, bytes) in state.iter_mut().zip(seed.chunks_exact(8)) {
            *word = u64::from_le_bytes(bytes.try_into().expect("chunks of eight bytes"));
        }
        // The state must not be all zeros, and few set bits need some rounds to spread.
        state[0] ^= 0x9e37_79b9_7f4a_7c15;
        let mut random = Self(state);
        for _ in 0..16 {
            random.next();
        }
        random
    }

    pub(crate) fn next(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.0;
        let result = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// A number below `bound`, without bias.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let zone = u64::MAX - u64::MAX % bound;
        loop {
            let number = self.next();
            if number < zone {
                return number % bound;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_differ_and_one_seed_gives_one_stream() {
        assert_ne!(secret_seed(), secret_seed());
        let stream = |seed| {
            std::array::from_fn::<u64, 8, _>({
                let mut random = Random::from_seed(seed);
                move |_| random.next()
            })
        };
        assert_eq!(stream([1; 32]), stream([1; 32]));
        assert_ne!(stream([1; 32]), stream([2; 32]));
        assert_ne!(stream([0; 32])[0], 0);
    }

    #[test]
    fn numbers_stay_below_their_bound_and_reach_all_below_it() {
        let mut random = Random::from_seed([4; 32]);
        let mut seen = [false; 7];
        (0..500).for_each(|_| seen[random.below(7) as usize] = true);
        assert!(seen.iter().all(|seen| *seen));
    }
}
