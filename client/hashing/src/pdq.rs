//! PDQ, Meta's 256-bit perceptual hash of a picture, with its quality and dihedral variants.
//!
//! Defined by the C++ code in ThreatExchange (`pdq/cpp`) and its paper: luma at full size, two passes
//! of box filters along rows and columns, 64 x 64 samples, the 16 x 16 lowest non-constant
//! frequencies of their cosine transform, one bit for each that is above the median. The quality,
//! 0 to 100, grows with the gradients in the 64 x 64 samples; hashes with a quality under 50 are
//! usually neither stored nor matched. Deciding that belongs to the caller.
//!
//! Invariants, pinned by `tests/vectors/pdq`:
//!
//! * Every hash and quality equals those of the Python binding `pdqhash` 0.2.8 on the same pixels.
//!   Each value is made by the reference's `f32` operations in the reference's order; nothing is
//!   fused, reordered or approximated. Only *which* values are worked on together differs.
//! * Luma follows that binding, which weighs channels in `f64` and rounds once. The C++ programs
//!   weigh in `f32`; the two are at most one unit in the last place of an `f32` apart.
//! * `hashes[0]` of the variants equals the plain hash. The reference's dihedral hashes treat a picture of
//!   exactly 64 x 64 slightly differently from its plain hash; there all eight follow the plain one.
//! * A picture with a side under 5 pixels has the all-zero hash and quality 0, as in the reference.
//!
//! Pictures without content (blank, or symmetric so that frequencies cancel) have coefficients that
//! are rounding noise around the median. Their bits are the reference's here too, but Meta's own code
//! built with fused multiply-add gives other bits. Their quality is low; do not match on them.

mod coefficients;
mod downscale;

use std::fmt;

use coefficients::Spectrum;

/// A side shorter than this is not hashed: the result is all zero with quality 0.
const SIDE_MIN: usize = 5;

/// Names of [`PdqVariants::hashes`], in order, as the reference calls them.
///
/// The variant is the hash that the picture *would* have after the change. Rotations are
/// counter-clockwise; `flipX` swaps top and bottom (a mirror along the X axis), `flipY` swaps left
/// and right, `flipPlus1` mirrors along the diagonal from the top left (a transposition) and
/// `flipMinus1` along the other diagonal.
pub const VARIANT_NAMES: [&str; 8] =
    ["original", "rotate90", "rotate180", "rotate270", "flipX", "flipY", "flipPlus1", "flipMinus1"];

/// Why pixels could not be hashed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PdqError {
    /// The buffer does not hold `width * height` pixels.
    #[error("a picture of {width} x {height} takes {expected} values, not {got}")]
    WrongLength {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
        /// Values that the buffer should hold.
        expected: u64,
        /// Values that it holds.
        got: u64,
    },
    /// The reference counts pixels in a signed 32-bit integer; above that there is no value to equal.
    #[error("a picture of {width} x {height} has more than {max} pixels")]
    TooManyPixels {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
        /// The largest count that has a defined hash.
        max: u64,
    },
    /// A luma value is infinite or not a number, and would spread over the whole picture.
    #[error("luma value {index} is not a finite number")]
    NotFinite {
        /// Position in the buffer.
        index: usize,
    },
}

/// A hash and how much picture there was to hash.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pdq {
    /// The 256 bits in the byte order whose hexadecimal form is the reference's 64 digits.
    pub hash: [u8; 32],
    /// 0 (nothing to see) to 100.
    pub quality: u8,
}

impl fmt::Debug for Pdq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.hash {
            write!(f, "{byte:02x}")?;
        }
        write!(f, "/{}", self.quality)
    }
}

/// The hashes of a picture and of its seven rotations and mirror images, from one cosine transform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PdqVariants {
    /// 0 to 100, as in [`Pdq::quality`].
    pub quality: u8,
    /// In the order of [`VARIANT_NAMES`]; the first is the picture as it is.
    pub hashes: [[u8; 32]; 8],
}

impl PdqVariants {
    /// The hash of the picture as it is.
    #[must_use]
    pub fn original(&self) -> Pdq {
        Pdq { hash: self.hashes[0], quality: self.quality }
    }
}

/// Hashes interleaved 8-bit RGB, row by row from the top, at full size.
///
/// # Errors
/// [`PdqError::WrongLength`] unless there are exactly `3 * width * height` bytes;
/// [`PdqError::TooManyPixels`] above 2^31 - 1 pixels.
pub fn hash_rgb(pixels: &[u8], width: u32, height: u32) -> Result<Pdq, PdqError> {
    Ok(plain(spectrum_rgb(pixels, width, height)?))
}

/// As [`hash_rgb`], with the hashes of the seven other orientations.
///
/// # Errors
/// As [`hash_rgb`].
pub fn variants_rgb(pixels: &[u8], width: u32, height: u32) -> Result<PdqVariants, PdqError> {
    Ok(variants(spectrum_rgb(pixels, width, height)?))
}

/// Hashes a picture given as luma, 0.0 to 255.0. A grey picture's luma is its grey value, as in the
/// reference; that is not always what the RGB weights give for three equal channels.
///
/// # Errors
/// [`PdqError::WrongLength`] unless there are exactly `width * height` values;
/// [`PdqError::TooManyPixels`] above 2^31 - 1 pixels; [`PdqError::NotFinite`].
pub fn hash_luma_f32(luma: &[f32], width: u32, height: u32) -> Result<Pdq, PdqError> {
    Ok(plain(spectrum_luma(luma, width, height)?))
}

/// As [`hash_luma_f32`], with the hashes of the seven other orientations.
///
/// # Errors
/// As [`hash_luma_f32`].
pub fn variants_luma_f32(luma: &[f32], width: u32, height: u32) -> Result<PdqVariants, PdqError> {
    Ok(variants(spectrum_luma(luma, width, height)?))
}

/// How many of the 256 bits differ.
#[must_use]
pub fn distance(a: &[u8; 32], b: &[u8; 32]) -> u32 {
    a.iter().zip(b).map(|(x, y)| (x ^ y).count_ones()).sum()
}

fn plain(spectrum: Option<Spectrum>) -> Pdq {
    match spectrum {
        Some(s) => Pdq { hash: s.hash(), quality: s.quality },
        None => Pdq { hash: [0; 32], quality: 0 },
    }
}

fn variants(spectrum: Option<Spectrum>) -> PdqVariants {
    match spectrum {
        Some(s) => PdqVariants { quality: s.quality, hashes: s.dihedral_hashes() },
        None => PdqVariants { quality: 0, hashes: [[0; 32]; 8] },
    }
}

/// Checks that a buffer of `got` values holds `channels` for each pixel; the sides as `usize`.
fn check_size(got: usize, channels: u64, width: u32, height: u32) -> Result<(usize, usize), PdqError> {
    const PIXELS_MAX: u64 = i32::MAX as u64;
    let pixels = u64::from(width) * u64::from(height);
    if pixels > PIXELS_MAX {
        return Err(PdqError::TooManyPixels { width, height, max: PIXELS_MAX });
    }
    let expected = pixels * channels;
    if got as u64 != expected {
        return Err(PdqError::WrongLength { width, height, expected, got: got as u64 });
    }
    Ok((width as usize, height as usize))
}

fn spectrum_rgb(pixels: &[u8], width: u32, height: u32) -> Result<Option<Spectrum>, PdqError> {
    let (width, height) = check_size(pixels.len(), 3, width, height)?;
    Ok(spectrum(width, height, |row, out| luma_row(&pixels[row * width * 3..][..width * 3], out)))
}

fn spectrum_luma(luma: &[f32], width: u32, height: u32) -> Result<Option<Spectrum>, PdqError> {
    let (width, height) = check_size(luma.len(), 1, width, height)?;
    if let Some(index) = luma.iter().position(|v| !v.is_finite()) {
        return Err(PdqError::NotFinite { index });
    }
    Ok(spectrum(width, height, |row, out| out.copy_from_slice(&luma[row * width..][..width])))
}

/// The transform of a picture whose luma rows come from `fill_row`; nothing if it is too small.
fn spectrum(width: usize, height: usize, fill_row: impl FnMut(usize, &mut [f32])) -> Option<Spectrum> {
    if width < SIDE_MIN || height < SIDE_MIN {
        return None;
    }
    Some(Spectrum::of(&downscale::to_64x64(width, height, fill_row)))
}

/// The luma of one row of RGB pixels.
///
/// The binding computes `r * 0.299 + g * 0.587 + b * 0.114` in `f64` and rounds to `f32`. The exact sum is
/// `n / 1000` for an integer `n` below 2^18; it never lies half-way between two `f32` (that would
/// need an odd multiple of 125 equal to an even number), and always far further from half-way than
/// the `f64` error, so the binding's value is `n / 1000` correctly rounded, which is what one
/// `f32` division gives. A test goes over all colours.
fn luma_row(rgb: &[u8], out: &mut [f32]) {
    for (pixel, y) in rgb.as_chunks::<3>().0.iter().zip(out) {
        let [r, g, b] = pixel.map(i32::from);
        *y = (299 * r + 587 * g + 114 * b) as f32 / 1000.0;
    }
}

#[cfg(test)]
mod tests;
