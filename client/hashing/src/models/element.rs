//! How the numbers of a tensor are stored, and what they are as 32-bit floats.
//!
//! A tensor is a run of blocks of fixed size. Plain types have one number a block (half-precision, bfloat16, the
//! 8-bit floats); the quantised types of GGUF have 32 or 256 (see [`super::quants`]). Everything is turned into
//! little-endian 32-bit floats, exactly where the type has no more digits than those, and rounded for 64-bit
//! floats. What is no number with a fraction (integers, booleans, complex numbers, types that are not known here)
//! is raw: it goes into the digest of the tensor set by its name and bytes, and never into a sketch.

use super::quants;

/// Appends the values of whole blocks as little-endian 32-bit floats.
pub(crate) type Decode = fn(&[u8], &mut Vec<u8>);

/// How one number, or a block of them, is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Encoding {
    /// The name in the format that it comes from, such as `BF16` or `Q4_K`.
    pub(crate) name: &'static str,
    /// Values in a block.
    pub(crate) block_values: u32,
    /// Bytes of a block.
    pub(crate) block_bytes: u32,
    pub(crate) kind: Kind,
}

/// What is done with the bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// They are little-endian 32-bit floats already.
    Floats,
    /// They are decoded.
    Decoded(Decode),
    /// They have no values for a sketch.
    Raw,
}

impl PartialEq for Encoding {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.block_bytes == other.block_bytes
    }
}

impl Encoding {
    pub(crate) const fn plain(name: &'static str, bytes: u32, kind: Kind) -> Self {
        Self { name, block_values: 1, block_bytes: bytes, kind }
    }

    pub(crate) const fn raw(name: &'static str, block_values: u32, block_bytes: u32) -> Self {
        Self { name, block_values, block_bytes, kind: Kind::Raw }
    }

    /// Whether it has values for a sketch.
    pub(crate) fn is_float(&self) -> bool {
        !matches!(self.kind, Kind::Raw)
    }

    /// Bytes of `values` numbers; nothing when they do not fill whole blocks or the size has no 64 bits.
    pub(crate) fn bytes_of(&self, values: u64) -> Option<u64> {
        let block = u64::from(self.block_values);
        if !values.is_multiple_of(block) {
            return None;
        }
        (values / block).checked_mul(u64::from(self.block_bytes))
    }

    /// Appends the values of whole blocks to `out`; raw types have none.
    pub(crate) fn decode(&self, blocks: &[u8], out: &mut Vec<u8>) {
        match self.kind {
            Kind::Floats => out.extend_from_slice(blocks),
            Kind::Decoded(decode) => decode(blocks, out),
            Kind::Raw => {}
        }
    }
}

/// The types of safetensors, and with them those of PyTorch.
pub(crate) const PLAIN: [Encoding; 20] = [
    F32,
    F16,
    BF16,
    Encoding::plain("F64", 8, Kind::Decoded(from_f64)),
    Encoding::plain("F8_E4M3", 1, Kind::Decoded(from_e4m3)),
    Encoding::plain("F8_E5M2", 1, Kind::Decoded(from_e5m2)),
    Encoding::plain("F8_E8M0", 1, Kind::Decoded(from_e8m0)),
    Encoding::raw("F4", 2, 1),
    Encoding::raw("F6_E2M3", 4, 3),
    Encoding::raw("F6_E3M2", 4, 3),
    Encoding::raw("C64", 1, 8),
    Encoding::raw("BOOL", 1, 1),
    Encoding::raw("U8", 1, 1),
    Encoding::raw("I8", 1, 1),
    Encoding::raw("U16", 1, 2),
    Encoding::raw("I16", 1, 2),
    Encoding::raw("U32", 1, 4),
    Encoding::raw("I32", 1, 4),
    Encoding::raw("U64", 1, 8),
    Encoding::raw("I64", 1, 8),
];

/// 32-bit floats.
pub(crate) const F32: Encoding = Encoding::plain("F32", 4, Kind::Floats);
/// Half precision.
pub(crate) const F16: Encoding = Encoding::plain("F16", 2, Kind::Decoded(from_f16));
/// The upper half of a 32-bit float.
pub(crate) const BF16: Encoding = Encoding::plain("BF16", 2, Kind::Decoded(from_bf16));

/// The plain type with this name.
pub(crate) fn plain(name: &str) -> Option<Encoding> {
    PLAIN.into_iter().find(|encoding| encoding.name == name)
}

/// Decodes numbers of `N` bytes with `each`, which gives the bits of a 32-bit float.
fn widen<const N: usize>(bytes: &[u8], out: &mut Vec<u8>, each: impl Fn([u8; N]) -> u32) {
    let (numbers, _) = bytes.as_chunks::<N>();
    let start = out.len();
    out.resize(start + numbers.len() * 4, 0);
    let (floats, _) = out[start..].as_chunks_mut::<4>();
    for (float, number) in floats.iter_mut().zip(numbers) {
        *float = each(*number).to_le_bytes();
    }
}

fn from_f16(bytes: &[u8], out: &mut Vec<u8>) {
    widen(bytes, out, |half: [u8; 2]| f16_bits(u16::from_le_bytes(half)));
}

fn from_bf16(bytes: &[u8], out: &mut Vec<u8>) {
    widen(bytes, out, |half: [u8; 2]| u32::from(u16::from_le_bytes(half)) << 16);
}

fn from_f64(bytes: &[u8], out: &mut Vec<u8>) {
    widen(bytes, out, |long: [u8; 8]| (f64::from_le_bytes(long) as f32).to_bits());
}

fn from_e4m3(bytes: &[u8], out: &mut Vec<u8>) {
    widen(bytes, out, |[byte]: [u8; 1]| E4M3[usize::from(byte)]);
}

fn from_e5m2(bytes: &[u8], out: &mut Vec<u8>) {
    // The same number in half precision has this byte and eight zeros.
    widen(bytes, out, |[byte]: [u8; 1]| f16_bits(u16::from(byte) << 8));
}

fn from_e8m0(bytes: &[u8], out: &mut Vec<u8>) {
    widen(bytes, out, |[byte]: [u8; 1]| match byte {
        0 => 1 << 22,
        255 => f32::NAN.to_bits(),
        exponent => u32::from(exponent) << 23,
    });
}

/// The bits of the 32-bit float that equals a half-precision number; without branches, so that it becomes vector
/// instructions.
#[inline]
pub(crate) fn f16_bits(half: u16) -> u32 {
    const REBIAS: u32 = 112 << 23;
    let half = u32::from(half);
    let sign = (half & 0x8000) << 16;
    let shifted = (half & 0x7fff) << 13;
    let small = ((half & 0x3ff) as f32 * (1.0 / 16_777_216.0)).to_bits();
    let normal = shifted.wrapping_add(REBIAS);
    let endless = shifted.wrapping_add(2 * REBIAS);
    let exponent = half & 0x7c00;
    let magnitude = if exponent == 0 { small } else { normal };
    sign | if exponent == 0x7c00 { endless } else { magnitude }
}

/// A half-precision number.
pub(crate) fn f16(bytes: [u8; 2]) -> f32 {
    f32::from_bits(f16_bits(u16::from_le_bytes(bytes)))
}

/// The 8-bit floats with four bits of exponent and no infinities, as PyTorch's `float8_e4m3fn`.
const E4M3: [u32; 256] = {
    let mut table = [0u32; 256];
    let mut byte = 0;
    while byte < 256 {
        let (sign, exponent, fraction) = ((byte as u32 >> 7) << 31, (byte as u32 >> 3) & 15, byte as u32 & 7);
        let magnitude = if exponent == 15 && fraction == 7 {
            0x7fc0_0000
        } else if exponent == 0 {
            // Fractions of 2^-9: the leading one is shifted out of the way by hand.
            match fraction {
                0 => 0,
                1 => 118 << 23,
                2 | 3 => (119 << 23) | ((fraction & 1) << 22),
                _ => (120 << 23) | ((fraction & 3) << 21),
            }
        } else {
            ((exponent + 120) << 23) | (fraction << 20)
        };
        table[byte] = sign | magnitude;
        byte += 1;
    }
    table
};

/// The types of GGUF by their number.
pub(crate) fn ggml(id: u32) -> Option<Encoding> {
    let decoded = |name, block_values, block_bytes, decode| {
        Some(Encoding { name, block_values, block_bytes, kind: Kind::Decoded(decode) })
    };
    match id {
        0 => Some(F32),
        1 => Some(F16),
        2 => decoded("Q4_0", 32, 18, quants::q4_0),
        3 => decoded("Q4_1", 32, 20, quants::q4_1),
        6 => decoded("Q5_0", 32, 22, quants::q5_0),
        7 => decoded("Q5_1", 32, 24, quants::q5_1),
        8 => decoded("Q8_0", 32, 34, quants::q8_0),
        9 => Some(Encoding::raw("Q8_1", 32, 36)),
        10 => decoded("Q2_K", 256, 84, quants::q2_k),
        11 => decoded("Q3_K", 256, 110, quants::q3_k),
        12 => decoded("Q4_K", 256, 144, quants::q4_k),
        13 => decoded("Q5_K", 256, 176, quants::q5_k),
        14 => decoded("Q6_K", 256, 210, quants::q6_k),
        15 => Some(Encoding::raw("Q8_K", 256, 292)),
        16 => Some(Encoding::raw("IQ2_XXS", 256, 66)),
        17 => Some(Encoding::raw("IQ2_XS", 256, 74)),
        18 => Some(Encoding::raw("IQ3_XXS", 256, 98)),
        19 => Some(Encoding::raw("IQ1_S", 256, 50)),
        20 => Some(Encoding::raw("IQ4_NL", 32, 18)),
        21 => Some(Encoding::raw("IQ3_S", 256, 110)),
        22 => Some(Encoding::raw("IQ2_S", 256, 82)),
        23 => Some(Encoding::raw("IQ4_XS", 256, 136)),
        24 => plain("I8"),
        25 => plain("I16"),
        26 => plain("I32"),
        27 => plain("I64"),
        28 => plain("F64"),
        29 => Some(Encoding::raw("IQ1_M", 256, 56)),
        30 => Some(BF16),
        34 => Some(Encoding::raw("TQ1_0", 256, 54)),
        35 => Some(Encoding::raw("TQ2_0", 256, 66)),
        39 => Some(Encoding::raw("MXFP4", 32, 17)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value of a small float by its definition, in doubles.
    fn defined(code: u32, exponent_bits: u32, fraction_bits: u32, bias: i32) -> f64 {
        let sign = if code >> (exponent_bits + fraction_bits) & 1 == 1 { -1.0 } else { 1.0 };
        let exponent = (code >> fraction_bits) & ((1 << exponent_bits) - 1);
        let fraction = f64::from(code & ((1 << fraction_bits) - 1)) / f64::from(1u32 << fraction_bits);
        match exponent {
            0 => sign * fraction * 2f64.powi(1 - bias),
            _ => sign * (1.0 + fraction) * 2f64.powi(exponent as i32 - bias),
        }
    }

    fn decoded(name: &str, bytes: &[u8]) -> Vec<f32> {
        let mut out = Vec::new();
        plain(name).unwrap().decode(bytes, &mut out);
        out.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
    }

    #[test]
    fn every_half_precision_number() {
        for code in 0..=u16::MAX {
            let value = f16(code.to_le_bytes());
            match (code & 0x7c00, code & 0x3ff) {
                (0x7c00, 0) => {
                    assert_eq!(value, if code < 0x8000 { f32::INFINITY } else { f32::NEG_INFINITY })
                }
                (0x7c00, _) => assert!(value.is_nan()),
                _ => assert_eq!(
                    f64::from(value).to_bits(),
                    defined(code.into(), 5, 10, 15).to_bits(),
                    "{code:04x}"
                ),
            }
        }
    }

    #[test]
    fn every_number_of_eight_bits() {
        let all: Vec<u8> = (0..=255).collect();
        let (e4m3, e5m2) = (decoded("F8_E4M3", &all), decoded("F8_E5M2", &all));
        let e8m0 = decoded("F8_E8M0", &all);
        for code in 0..=255u8 {
            let at = usize::from(code);
            if code & 0x7f == 0x7f {
                assert!(e4m3[at].is_nan());
            } else {
                assert_eq!(f64::from(e4m3[at]), defined(code.into(), 4, 3, 7), "{code:02x}");
            }
            if code & 0x7c == 0x7c {
                assert!(!e5m2[at].is_finite());
            } else {
                assert_eq!(f64::from(e5m2[at]), defined(code.into(), 5, 2, 15), "{code:02x}");
            }
            if code == 255 {
                assert!(e8m0[at].is_nan());
            } else {
                assert_eq!(f64::from(e8m0[at]), 2f64.powi(i32::from(code) - 127), "{code}");
            }
        }
    }

    #[test]
    fn wider_and_raw_types() {
        assert_eq!(decoded("BF16", &[0x80, 0x3f, 0x00, 0xc0]), [1.0, -2.0]);
        assert_eq!(decoded("F64", &0.1f64.to_le_bytes()), [0.1]);
        assert_eq!(decoded("F32", &1.5f32.to_le_bytes()), [1.5]);
        assert!(decoded("I32", &[1, 2, 3, 4]).is_empty());
        assert_eq!(plain("F4").unwrap().bytes_of(3), None);
        assert_eq!(plain("F4").unwrap().bytes_of(4), Some(2));
        assert_eq!(plain("F64").unwrap().bytes_of(u64::MAX / 2), None);
        assert!(plain("F128").is_none());
    }
}
