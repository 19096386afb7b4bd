//! The quantised blocks of GGUF as 32-bit floats, by the formulas of ggml's reference (`dequantize_row_*` in
//! `ggml-quants.c`), operation by operation, so that the values are those of the tools that made the file.
//!
//! A block of the older types holds 32 values with one scale, one of the K types 256 values in sub-blocks of 16 or
//! 32 whose scales are quantised themselves. Every function takes whole blocks; what is left over is ignored.

use super::element::f16;

/// Values of a block of a K type.
const SUPER: usize = 256;

/// Calls `each` with every block and the place for its values.
fn blocks<const BYTES: usize, const VALUES: usize>(
    bytes: &[u8],
    out: &mut Vec<u8>,
    each: impl Fn(&[u8; BYTES], &mut [f32; VALUES]),
) {
    for block in bytes.as_chunks::<BYTES>().0 {
        let mut values = [0f32; VALUES];
        each(block, &mut values);
        out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }
}

/// Two bytes of a block as a half-precision number.
fn half(block: &[u8], at: usize) -> f32 {
    f16([block[at], block[at + 1]])
}

pub(crate) fn q4_0(bytes: &[u8], out: &mut Vec<u8>) {
    blocks::<18, 32>(bytes, out, |block, values| {
        let d = half(block, 0);
        for (j, q) in block[2..].iter().enumerate() {
            values[j] = f32::from((q & 15) as i8 - 8) * d;
            values[j + 16] = f32::from((q >> 4) as i8 - 8) * d;
        }
    });
}

pub(crate) fn q4_1(bytes: &[u8], out: &mut Vec<u8>) {
    blocks::<20, 32>(bytes, out, |block, values| {
        let (d, m) = (half(block, 0), half(block, 2));
        for (j, q) in block[4..].iter().enumerate() {
            values[j] = f32::from(q & 15) * d + m;
            values[j + 16] = f32::from(q >> 4) * d + m;
        }
    });
}

/// The two five-bit numbers of byte `j`: four bits of it and one of `high`.
fn five_bits(high: &[u8], q: u8, j: usize) -> (u8, u8) {
    let high = u32::from_le_bytes([high[0], high[1], high[2], high[3]]);
    let low_bit = ((high >> j) << 4) as u8 & 16;
    let high_bit = (high >> (j + 12)) as u8 & 16;
    ((q & 15) | low_bit, (q >> 4) | high_bit)
}

pub(crate) fn q5_0(bytes: &[u8], out: &mut Vec<u8>) {
    blocks::<22, 32>(bytes, out, |block, values| {
        let d = half(block, 0);
        for (j, q) in block[6..].iter().enumerate() {
            let (low, high) = five_bits(&block[2..6], *q, j);
            values[j] = f32::from(low as i8 - 16) * d;
            values[j + 16] = f32::from(high as i8 - 16) * d;
        }
    });
}

pub(crate) fn q5_1(bytes: &[u8], out: &mut Vec<u8>) {
    blocks::<24, 32>(bytes, out, |block, values| {
        let (d, m) = (half(block, 0), half(block, 2));
        for (j, q) in block[8..].iter().enumerate() {
            let (low, high) = five_bits(&block[4..8], *q, j);
            values[j] = f32::from(low) * d + m;
            values[j + 16] = f32::from(high) * d + m;
        }
    });
}

pub(crate) fn q8_0(bytes: &[u8], out: &mut Vec<u8>) {
    blocks::<34, 32>(bytes, out, |block, values| {
        let d = half(block, 0);
        for (value, q) in values.iter_mut().zip(&block[2..]) {
            *value = f32::from(*q as i8) * d;
        }
    });
}

pub(crate) fn q2_k(bytes: &[u8], out: &mut Vec<u8>) {
    blocks::<84, SUPER>(bytes, out, |block, values| {
        let (scales, qs) = (&block[..16], &block[16..80]);
        let (d, min) = (half(block, 80), half(block, 82));
        for (sub, (values, scale)) in values.as_chunks_mut::<16>().0.iter_mut().zip(scales).enumerate() {
            let (dl, ml) = (d * f32::from(scale & 15), min * f32::from(scale >> 4));
            let (start, shift) = sub_block(sub);
            for (value, q) in values.iter_mut().zip(&qs[start..]) {
                *value = dl * f32::from((q >> shift) & 3) - ml;
            }
        }
    });
}

/// Where the two-bit numbers of the sub-block of 16 values begin, and in which bits they are.
fn sub_block(sub: usize) -> (usize, usize) {
    ((sub / 8) * 32 + (sub % 2) * 16, ((sub % 8) / 2) * 2)
}

pub(crate) fn q3_k(bytes: &[u8], out: &mut Vec<u8>) {
    blocks::<110, SUPER>(bytes, out, |block, values| {
        let (mask, qs, packed) = (&block[..32], &block[32..96], &block[96..108]);
        let d = half(block, 108);
        for (sub, values) in values.as_chunks_mut::<16>().0.iter_mut().enumerate() {
            let low = packed[sub % 8] >> (4 * (sub / 8)) & 15;
            let high = packed[8 + sub % 4] >> (2 * (sub / 4)) & 3;
            let dl = d * f32::from((low | high << 4) as i8 - 32);
            let (start, shift) = sub_block(sub);
            let bit = 1 << (sub / 2);
            for (l, value) in values.iter_mut().enumerate() {
                let missing = if mask[(sub % 2) * 16 + l] & bit == 0 { 4 } else { 0 };
                *value = dl * f32::from((qs[start + l] >> shift & 3) as i8 - missing);
            }
        }
    });
}

/// The six-bit scale and minimum of sub-block `j` of the types `Q4_K` and `Q5_K`.
fn scale_and_min(packed: &[u8], j: usize) -> (f32, f32) {
    let (scale, min) = if j < 4 {
        (packed[j] & 63, packed[j + 4] & 63)
    } else {
        (packed[j + 4] & 15 | (packed[j - 4] >> 6) << 4, packed[j + 4] >> 4 | (packed[j] >> 6) << 4)
    };
    (f32::from(scale), f32::from(min))
}

pub(crate) fn q4_k(bytes: &[u8], out: &mut Vec<u8>) {
    blocks::<144, SUPER>(bytes, out, |block, values| {
        let (d, min) = (half(block, 0), half(block, 2));
        for (sub, values) in values.as_chunks_mut::<32>().0.iter_mut().enumerate() {
            let (scale, m) = scale_and_min(&block[4..16], sub);
            let (d, m) = (d * scale, min * m);
            for (value, q) in values.iter_mut().zip(&block[16 + sub / 2 * 32..]) {
                *value = d * f32::from(q >> (4 * (sub % 2)) & 15) - m;
            }
        }
    });
}

pub(crate) fn q5_k(bytes: &[u8], out: &mut Vec<u8>) {
    blocks::<176, SUPER>(bytes, out, |block, values| {
        let (d, min) = (half(block, 0), half(block, 2));
        let high = &block[16..48];
        for (sub, values) in values.as_chunks_mut::<32>().0.iter_mut().enumerate() {
            let (scale, m) = scale_and_min(&block[4..16], sub);
            let (d, m) = (d * scale, min * m);
            for ((value, q), high) in values.iter_mut().zip(&block[48 + sub / 2 * 32..]).zip(high) {
                let q = q >> (4 * (sub % 2)) & 15 | (high >> sub & 1) << 4;
                *value = d * f32::from(q) - m;
            }
        }
    });
}

pub(crate) fn q6_k(bytes: &[u8], out: &mut Vec<u8>) {
    blocks::<210, SUPER>(bytes, out, |block, values| {
        let d = half(block, 208);
        for (sub, values) in values.as_chunks_mut::<32>().0.iter_mut().enumerate() {
            // Eight runs of 32: four in each half of the block, two bits of `high` for each.
            let (part, run) = (sub / 4, sub % 4);
            let low = &block[part * 64 + (run % 2) * 32..];
            let high = &block[128 + part * 32..];
            for (l, value) in values.iter_mut().enumerate() {
                let q = low[l] >> (4 * (run / 2)) & 15 | (high[l] >> (2 * run) & 3) << 4;
                let scale = block[192 + part * 8 + run * 2 + l / 16] as i8;
                *value = d * f32::from(scale) * f32::from(q as i8 - 32);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::element::Decode;

    /// Values are compared with those of an independent implementation in `tests/models_golden.rs`; here, that the
    /// number of values is right and that a block of zeros is what the formula says.
    #[test]
    fn blocks_have_their_number_of_values() {
        let all: [(Decode, usize, usize); 10] = [
            (q4_0, 18, 32),
            (q4_1, 20, 32),
            (q5_0, 22, 32),
            (q5_1, 24, 32),
            (q8_0, 34, 32),
            (q2_k, 84, 256),
            (q3_k, 110, 256),
            (q4_k, 144, 256),
            (q5_k, 176, 256),
            (q6_k, 210, 256),
        ];
        for (decode, bytes, values) in all {
            let mut out = Vec::new();
            decode(&vec![0xff; bytes * 3 + bytes - 1], &mut out);
            assert_eq!(out.len(), 3 * values * 4);
            out.clear();
            decode(&vec![0; bytes], &mut out);
            assert!(out.iter().all(|byte| byte & 0x7f == 0));
        }
    }
}
