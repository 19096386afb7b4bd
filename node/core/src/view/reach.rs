//! Which signals a look-up finds by distance, and which only byte for byte.
//!
//! A perceptual value is worth comparing by distance only if it says something about a picture. Two
//! sorts do not, and would match what they have nothing to do with:
//!
//! - *Low quality.* PDQ states with each hash how much gradient the picture has, 0 to 100, and its
//!   authors advise against matching hashes below 50: pictures without detail hash to nearly the same
//!   bits. A value whose quality nobody stated is taken as good.
//! - *Degenerate.* PDQ compares 256 coefficients with their own median, so about 128 bits of a real
//!   value are set; ties (a blank or strictly periodic picture) are what takes it away from there. The
//!   range [`PDQ_ONES_MIN`]..=[`PDQ_ONES_MAX`] is generous: a value outside it differs in 97 bits or
//!   more from every value with 128 bits set, further than any radius that a caller may ask for. So
//!   nothing that a real picture would find is lost, while one blank picture stated a million times
//!   cannot crowd the search.
//!
//! Both stay records like any other, and are found by who asks for exactly their bytes.

use hashpact_protocol::limits::PDQ_DISTANCE_MAX;
use hashpact_protocol::record::{Signal, SignalType};

/// Lowest stated quality of a PDQ value that is searched by distance.
pub const PDQ_QUALITY_MIN: u8 = 50;
/// Fewest set bits of a PDQ value that is searched by distance.
pub const PDQ_ONES_MIN: u32 = 32;
/// Most set bits of a PDQ value that is searched by distance.
pub const PDQ_ONES_MAX: u32 = 224;

// What is left out is further from every value with 128 bits set than anybody may ask for.
const _: () = {
    assert!(128 - PDQ_ONES_MIN > PDQ_DISTANCE_MAX);
    assert!(PDQ_ONES_MAX - 128 > PDQ_DISTANCE_MAX);
};

/// How a signal is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach<'a> {
    /// By distance from this 256-bit value, which includes its equals.
    Near(&'a [u8; 32]),
    /// By its equals only.
    Equal,
}

/// How look-ups find this signal.
#[must_use]
pub fn reach(signal: &Signal) -> Reach<'_> {
    match (signal.kind(), <&[u8; 32]>::try_from(signal.value())) {
        (SignalType::Pdq, Ok(value)) if is_good(signal.quality()) && !is_degenerate(value) => {
            Reach::Near(value)
        }
        _ => Reach::Equal,
    }
}

fn is_good(quality: Option<u8>) -> bool {
    quality.is_none_or(|quality| quality >= PDQ_QUALITY_MIN)
}

fn is_degenerate(value: &[u8; 32]) -> bool {
    let ones: u32 = value.as_chunks().0.iter().map(|word| u64::from_ne_bytes(*word).count_ones()).sum();
    !(PDQ_ONES_MIN..=PDQ_ONES_MAX).contains(&ones)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value with its first `ones` bits set.
    fn value(ones: usize) -> [u8; 32] {
        let mut value = [0; 32];
        for bit in 0..ones {
            value[bit / 8] |= 0x80 >> (bit % 8);
        }
        value
    }

    #[test]
    fn good_values_are_near_and_all_others_equal_only() {
        let cases = [
            (128, None, true),
            (128, Some(100), true),
            (128, Some(50), true),
            (128, Some(49), false),
            (128, Some(0), false),
            (0, Some(100), false),
            (31, None, false),
            (32, None, true),
            (224, Some(80), true),
            (225, Some(80), false),
            (256, None, false),
            (31, Some(10), false),
        ];
        for (ones, quality, near) in cases {
            let value = value(ones);
            let signal = Signal::new(SignalType::Pdq, &value, quality).expect("valid");
            let expected = if near { Reach::Near(&value) } else { Reach::Equal };
            assert_eq!(reach(&signal), expected, "{ones} bits, quality {quality:?}");
        }
    }

    #[test]
    fn other_types_are_never_near() {
        for kind in SignalType::ALL.into_iter().filter(|kind| *kind != SignalType::Pdq) {
            let value = vec![0x0f; kind.width_bytes()];
            assert_eq!(reach(&Signal::new(kind, &value, None).expect("valid")), Reach::Equal, "{kind}");
        }
    }
}
