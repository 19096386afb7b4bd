//! Every kernel that this processor has, against the scalar twin, on random and on hostile lines.

use super::super::permutation::front;
use super::{Asking, FEW, Instructions, Kernel, LINE, MANY, Scalar, WithKernel, dispatch};
use crate::random::Random;

/// Two bytes before the line, the line, aligned like an extent.
#[repr(C, align(64))]
struct Padded([u16; 32], [u16; LINE], [u16; 32]);

#[derive(Clone, Copy)]
struct Ask<'a> {
    line: &'a Padded,
    fingerprint: u16,
    query: [u64; 4],
    radius: u32,
    lane: usize,
}

#[derive(Debug, PartialEq)]
struct Answers([u32; 6], u32, u32, [[[u32; FEW]; 2]; 3], Vec<u32>);

impl WithKernel for Ask<'_> {
    type Output = Answers;

    #[inline(always)]
    fn with<K: Kernel>(self) -> Answers {
        let line = self.line.1.as_ptr().cast::<u8>();
        // SAFETY: the line is inside `Padded`, aligned to 64, with room before and after; the instructions were asked
        // for by `dispatch`.
        unsafe {
            let queries: [[Asking; FEW]; 2] = std::array::from_fn(|row| {
                std::array::from_fn(|at| {
                    let fingerprint = self.fingerprint ^ (self.query[1] >> (3 * (FEW * row + at))) as u16;
                    Asking { query: 0, fingerprint_twice: u32::from(fingerprint) * 0x1_0001 }
                })
            });
            let mut each = [[[0; FEW]; 2]; 3];
            K::line_within_each::<0>(line, &queries, &mut each[0]);
            K::line_within_each::<2>(line, &queries, &mut each[1]);
            K::line_within_each::<3>(line, &queries, &mut each[2]);
            let words: &[u32; MANY] = each[1].as_flattened().try_into().expect("two rows");
            let mut numbers = [0; MANY];
            let mask = self.query[2] as u32 & self.query[3] as u32;
            let marked = K::marked(words, self.lane.min(MANY), mask, self.fingerprint.into(), &mut numbers);
            let marked = numbers[..marked].to_vec();
            Answers(
                [
                    K::line_within::<0>(line, self.fingerprint),
                    K::line_within::<1>(line, self.fingerprint),
                    K::line_within::<2>(line, self.fingerprint),
                    K::line_within::<3>(line, self.fingerprint),
                    K::line_within::<4>(line, self.fingerprint),
                    K::line_within::<5>(line, self.fingerprint),
                ],
                K::front_within(line, &front(&self.query), self.radius),
                K::descents(line) & !1,
                each,
                marked,
            )
        }
    }
}

#[test]
fn every_instruction_set_agrees_with_the_scalar_twin() {
    let mut random = Random::from_seed([3; 32]);
    let available = Instructions::available();
    assert_eq!(available.first(), Some(&Instructions::Scalar));
    for round in 0..4000_u64 {
        let base = random.next() as u16;
        let lane = |random: &mut Random| match round % 5 {
            0 => random.next() as u16,
            // A few bits away from the fingerprint, so that every threshold decides something.
            1 => base ^ (1 << random.below(16)) ^ (1 << random.below(16)) ^ (1 << random.below(16)),
            2 => base,
            3 => [0, u16::MAX, 0x8000, 0x7fff][random.below(4) as usize],
            _ => base ^ (random.next() & random.next() & random.next()) as u16,
        };
        let line = Padded(
            std::array::from_fn(|_| random.next() as u16),
            std::array::from_fn(|_| lane(&mut random)),
            std::array::from_fn(|_| random.next() as u16),
        );
        let word = |at: usize| u64::from(line.1[at]) | u64::from(line.1[at + 1]) << 16;
        let ask = Ask {
            line: &line,
            fingerprint: base,
            query: [word(0) | word(2) << 32, random.next(), random.next(), random.next()],
            radius: random.below(80) as u32,
            lane: 1 + random.below(31) as usize,
        };
        let expected = ask.with::<Scalar>();
        for &instructions in &available {
            assert_eq!(dispatch(instructions, ask), expected, "{}", instructions.name());
        }
    }
}

#[test]
fn the_scalar_twin_counts_right() {
    let mut line = Padded([0; 32], [0; LINE], [0; 32]);
    for (lane, value) in line.1.iter_mut().enumerate() {
        *value = (1u32 << lane.min(16)).wrapping_sub(1) as u16;
    }
    let ask = Ask { line: &line, fingerprint: 0, query: [0; 4], radius: 0, lane: 1 };
    let Answers(within, ..) = ask.with::<Scalar>();
    assert_eq!(within, [0b1, 0b11, 0b111, 0b1111, 0b1_1111, 0b11_1111]);
}
