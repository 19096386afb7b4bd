//! Reproducible pseudo-random numbers and 256-bit values.
//!
//! `SplitMix64` (Steele, Lea, Flood 2014): the same seed and stream give the same numbers on every machine and
//! with every version of every library, which is what a benchmark's data need. Nothing here is secret.

/// A stream of pseudo-random numbers.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// One of 2^64 streams of a seed; streams of different numbers have nothing to do with one another.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut scramble = Self(seed);
        Self(scramble.next() ^ Self(stream.wrapping_mul(0xd134_2543_de82_ef95)).next())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `end - 1`; the bias of 2^-64 times `end` does not matter here.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// A number from 0.0 to just under 1.0.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// 256 uniform bits.
    pub(crate) fn value(&mut self) -> [u8; 32] {
        let mut value = [0; 32];
        for chunk in value.chunks_exact_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes());
        }
        value
    }

    /// A value that differs from `from` in exactly `distance` bits, each choice equally likely.
    pub(crate) fn at_distance(&mut self, from: &[u8; 32], distance: usize) -> [u8; 32] {
        let mut bits: [u8; 256] = std::array::from_fn(|bit| bit as u8);
        let mut value = *from;
        for taken in 0..distance {
            let other = taken + self.below((256 - taken) as u64) as usize;
            bits.swap(taken, other);
            value[usize::from(bits[taken] / 8)] ^= 1 << (bits[taken] % 8);
        }
        value
    }

    /// Fisher and Yates's shuffle.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use hashpact_hashing::pdq::distance;

    use super::*;

    #[test]
    fn numbers_are_those_of_the_published_generator() {
        // From the reference implementation in C, seed 1234567.
        let mut random = Random(1_234_567);
        let expected = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!([(); 3].map(|()| random.next()), expected);
    }

    #[test]
    fn streams_repeat_and_differ() {
        assert_eq!(Random::new(7, 3).value(), Random::new(7, 3).value());
        let values = [(7, 3), (7, 4), (8, 3)].map(|(seed, stream)| Random::new(seed, stream).value());
        for (a, b) in [(0, 1), (0, 2), (1, 2)] {
            assert!((80..176).contains(&distance(&values[a], &values[b])));
        }
    }

    #[test]
    fn distances_are_exact_and_reach_every_bit() {
        let mut random = Random::new(1, 1);
        let mut touched = [0_u8; 32];
        for wanted in (0..=256).chain([31; 100]) {
            let from = random.value();
            let near = random.at_distance(&from, wanted);
            assert_eq!(distance(&from, &near) as usize, wanted);
            if wanted == 31 {
                touched.iter_mut().zip(from.iter().zip(near)).for_each(|(t, (a, b))| *t |= a ^ b);
            }
        }
        assert_eq!(touched, [0xff; 32]);
    }

    #[test]
    fn numbers_stay_in_range_and_a_shuffle_loses_nothing() {
        let mut random = Random::new(9, 0);
        assert!((0..1000).all(|_| random.below(3) < 3 && random.unit() < 1.0));
        let mut items: Vec<u32> = (0..100).collect();
        random.shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
