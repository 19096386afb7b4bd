//! Bytes of an image file to RGB pixels, under limits.
//!
//! JPEG, PNG, WebP, GIF (first frame), BMP and TIFF (first page), recognised by their first bytes and
//! never by a name. The decoders are those of the `image` crate.
//!
//! A file states its own size, so nothing is allocated on its word: sides, pixels and bytes are
//! compared with [`DecodeLimits`] first, and a file that asks for more is an error with the numbers.
//! A file that ends early is an error too: half a picture has a different hash, and must not be
//! mistaken for the whole. Whatever the bytes are, the answer is a value; if a decoder panics on
//! malformed input, that is caught and reported as an error of this file.
//!
//! The pixels are meant to equal what the Python tooling around PDQ sees (`Image.open(f).convert("RGB")`):
//! alpha is dropped and not blended with a background, palettes are looked up, grey is copied to three
//! channels, of 16 bits per channel the upper 8 are kept, colour profiles are ignored, and the
//! orientation in EXIF is *not* applied. The eight variants of a PDQ hash cover the latter.
//! Decoders may still differ in the last bit of lossy formats, and outside the frame of a GIF
//! that does not cover its screen (black here).

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::error::{ImageFormatHint, LimitErrorKind};
use image::{DynamicImage, GenericImageView, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

mod jpeg;

/// How large a picture may be. The defaults take any camera's pictures and refuse bombs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Most pixels in a row.
    pub width_max: u32,
    /// Most rows.
    pub height_max: u32,
    /// Most pixels altogether.
    pub pixels_max: u64,
    /// Most bytes that decoding may hold at a time: the decoder's own output and working memory, and the
    /// RGB copy. Decoders observe it as well as they can; the first three limits are exact.
    pub alloc_max_bytes: u64,
}

impl Default for DecodeLimits {
    /// 32,768 a side, 128 Mi pixels, 1 GiB.
    fn default() -> Self {
        Self { width_max: 32_768, height_max: 32_768, pixels_max: 128 << 20, alloc_max_bytes: 1 << 30 }
    }
}

/// Interleaved 8-bit RGB, row by row from the top.
#[derive(Clone, PartialEq, Eq)]
pub struct Rgb {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `3 * width * height` bytes.
    pub pixels: Vec<u8>,
}

impl std::fmt::Debug for Rgb {
    // Pixels are media and do not belong in a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rgb({} x {})", self.width, self.height)
    }
}

/// The formats that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JPEG, baseline and progressive.
    Jpeg,
    /// PNG; of an animation the still image.
    Png,
    /// WebP, lossy and lossless; of an animation the first frame.
    WebP,
    /// GIF, first frame.
    Gif,
    /// Windows bitmap.
    Bmp,
    /// TIFF, first page.
    Tiff,
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::WebP => "WebP",
            Self::Gif => "GIF",
            Self::Bmp => "BMP",
            Self::Tiff => "TIFF",
        })
    }
}

/// Why bytes did not become pixels.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The first bytes are of none of the six formats.
    #[error("not a JPEG, PNG, WebP, GIF, BMP or TIFF file")]
    NotAnImage,
    /// A row is longer than allowed.
    #[error("{format} is {width} pixels wide, at most {max} are allowed")]
    TooWide {
        /// The file's format.
        format: Format,
        /// What the file states.
        width: u32,
        /// [`DecodeLimits::width_max`].
        max: u32,
    },
    /// There are more rows than allowed.
    #[error("{format} is {height} pixels high, at most {max} are allowed")]
    TooHigh {
        /// The file's format.
        format: Format,
        /// What the file states.
        height: u32,
        /// [`DecodeLimits::height_max`].
        max: u32,
    },
    /// There are more pixels than allowed.
    #[error("{format} has {pixels} pixels, at most {max} are allowed")]
    TooManyPixels {
        /// The file's format.
        format: Format,
        /// What the file states.
        pixels: u64,
        /// [`DecodeLimits::pixels_max`].
        max: u64,
    },
    /// The decoded picture would take more memory than allowed.
    #[error("decoding this {format} takes {bytes} bytes of memory, at most {max} are allowed")]
    TooMuchMemory {
        /// The file's format.
        format: Format,
        /// Output of the decoder and RGB copy together.
        bytes: u64,
        /// [`DecodeLimits::alloc_max_bytes`].
        max: u64,
    },
    /// The decoder stopped because its working memory would have passed the limit.
    #[error("decoding this {format} takes more than {max} bytes of working memory")]
    TooMuchWorkingMemory {
        /// The file's format.
        format: Format,
        /// [`DecodeLimits::alloc_max_bytes`].
        max: u64,
    },
    /// There is no pixel in the picture.
    #[error("{format} states a size of {width} x {height}")]
    Empty {
        /// The file's format.
        format: Format,
        /// What the file states.
        width: u32,
        /// What the file states.
        height: u32,
    },
    /// The file ends before the picture does.
    #[error("{format} is cut short")]
    Truncated {
        /// The file's format.
        format: Format,
    },
    /// The format has this feature, the decoder does not.
    #[error("{format} uses a feature that is not supported: {reason}")]
    Unsupported {
        /// The file's format.
        format: Format,
        /// The decoder's words.
        reason: String,
    },
    /// The bytes break the format's rules.
    #[error("{format} is damaged: {reason}")]
    Malformed {
        /// The file's format.
        format: Format,
        /// The decoder's words.
        reason: String,
    },
    /// The decoder has a bug which this file met; nothing of the picture is used.
    #[error("the decoder failed on this {format}")]
    DecoderPanicked {
        /// The file's format.
        format: Format,
    },
}

/// The format that the first bytes announce.
#[must_use]
pub fn format_of(bytes: &[u8]) -> Option<Format> {
    match image::guess_format(bytes).ok()? {
        ImageFormat::Jpeg => Some(Format::Jpeg),
        ImageFormat::Png => Some(Format::Png),
        ImageFormat::WebP => Some(Format::WebP),
        ImageFormat::Gif => Some(Format::Gif),
        ImageFormat::Bmp => Some(Format::Bmp),
        ImageFormat::Tiff => Some(Format::Tiff),
        _ => None,
    }
}

/// Decodes the first picture in `bytes`.
///
/// # Errors
/// [`DecodeError`], one variant for each way to fail. Never panics and never aborts, given that
/// `limits.alloc_max_bytes` is available to the process.
pub fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Rgb, DecodeError> {
    let format = format_of(bytes).ok_or(DecodeError::NotAnImage)?;
    // Nothing outlives an unwinding decoder except the input, which it cannot change.
    catch_unwind(AssertUnwindSafe(|| decode_as(format, bytes, limits)))
        .unwrap_or(Err(DecodeError::DecoderPanicked { format }))
}

fn decode_as(format: Format, bytes: &[u8], limits: &DecodeLimits) -> Result<Rgb, DecodeError> {
    if format != Format::Jpeg || jpeg::ends_properly(bytes) {
        return decode_whole(format, bytes, limits);
    }
    // What is missing may be the end marker alone, which other programs forgive, so that a file must not
    // become invisible by losing it. If picture data is missing too, what is put in its place shows.
    let [zeros, noise] = jpeg::completions(bytes);
    let picture = decode_whole(format, &zeros, limits)?;
    match decode_whole(format, &noise, limits) {
        Ok(other) if other == picture => Ok(picture),
        _ => Err(DecodeError::Truncated { format }),
    }
}

fn decode_whole(format: Format, bytes: &[u8], limits: &DecodeLimits) -> Result<Rgb, DecodeError> {
    let explain = |e| explain(format, limits, e);
    let mut decoder = image_reader(format, bytes, limits).into_decoder().map_err(explain)?;
    let (width, height) = decoder.dimensions();
    let rest = check_size(format, width, height, decoder.total_bytes(), limits)?;
    decoder.set_limits(image_limits(rest)).map_err(explain)?;
    let image = DynamicImage::from_decoder(decoder).map_err(explain)?;
    let (width, height) = image.dimensions();
    Ok(Rgb { width, height, pixels: into_rgb8(image) })
}

fn image_reader<'a>(format: Format, bytes: &'a [u8], limits: &DecodeLimits) -> ImageReader<Cursor<&'a [u8]>> {
    let format = match format {
        Format::Jpeg => ImageFormat::Jpeg,
        Format::Png => ImageFormat::Png,
        Format::WebP => ImageFormat::WebP,
        Format::Gif => ImageFormat::Gif,
        Format::Bmp => ImageFormat::Bmp,
        Format::Tiff => ImageFormat::Tiff,
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(image_limits(limits.alloc_max_bytes));
    reader
}

/// Sides are left to [`check_size`], whose errors have the numbers.
fn image_limits(alloc_max_bytes: u64) -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(alloc_max_bytes);
    limits
}

/// Compares what the file states with the limits; the memory that is left for the decoder.
fn check_size(
    format: Format,
    width: u32,
    height: u32,
    decoded_bytes: u64,
    limits: &DecodeLimits,
) -> Result<u64, DecodeError> {
    if width == 0 || height == 0 {
        return Err(DecodeError::Empty { format, width, height });
    }
    if width > limits.width_max {
        return Err(DecodeError::TooWide { format, width, max: limits.width_max });
    }
    if height > limits.height_max {
        return Err(DecodeError::TooHigh { format, height, max: limits.height_max });
    }
    let pixels = u64::from(width) * u64::from(height);
    if pixels > limits.pixels_max {
        return Err(DecodeError::TooManyPixels { format, pixels, max: limits.pixels_max });
    }
    let rgb_bytes = pixels * 3;
    let bytes = decoded_bytes.saturating_add(rgb_bytes);
    if bytes > limits.alloc_max_bytes {
        return Err(DecodeError::TooMuchMemory { format, bytes, max: limits.alloc_max_bytes });
    }
    Ok(limits.alloc_max_bytes - rgb_bytes)
}

fn explain(format: Format, limits: &DecodeLimits, error: ImageError) -> DecodeError {
    match error {
        ImageError::Limits(e) => match e.kind() {
            LimitErrorKind::InsufficientMemory => {
                DecodeError::TooMuchWorkingMemory { format, max: limits.alloc_max_bytes }
            }
            _ => DecodeError::Malformed { format, reason: e.to_string() },
        },
        ImageError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            DecodeError::Truncated { format }
        }
        ImageError::Unsupported(e) => match e.format_hint() {
            ImageFormatHint::Unknown => DecodeError::NotAnImage,
            _ => DecodeError::Unsupported { format, reason: e.to_string() },
        },
        ImageError::Decoding(e) if ends_early(&e) => DecodeError::Truncated { format },
        e => DecodeError::Malformed { format, reason: e.to_string() },
    }
}

/// Whether some cause of `error` is the end of the input.
fn ends_early(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(e) = cause {
        if let Some(io) = e.downcast_ref::<std::io::Error>()
            && io.kind() == std::io::ErrorKind::UnexpectedEof
        {
            return true;
        }
        cause = e.source();
    }
    false
}

/// Drops alpha, keeps the upper 8 of 16 bits, copies grey to three channels.
fn into_rgb8(image: DynamicImage) -> Vec<u8> {
    fn pick<T: Copy, const N: usize, const OUT: usize>(
        samples: &[T],
        pixel: impl Fn([T; N]) -> [u8; OUT],
    ) -> Vec<u8> {
        samples.as_chunks::<N>().0.iter().flat_map(|p| pixel(*p)).collect()
    }
    fn high(v: u16) -> u8 {
        (v >> 8) as u8
    }
    match image {
        DynamicImage::ImageRgb8(i) => i.into_raw(),
        DynamicImage::ImageRgba8(i) => pick(&i, |[r, g, b, _]: [u8; 4]| [r, g, b]),
        DynamicImage::ImageLuma8(i) => pick(&i, |[y]: [u8; 1]| [y; 3]),
        DynamicImage::ImageLumaA8(i) => pick(&i, |[y, _]: [u8; 2]| [y; 3]),
        DynamicImage::ImageLuma16(i) => pick(&i, |[y]: [u16; 1]| [high(y); 3]),
        DynamicImage::ImageLumaA16(i) => pick(&i, |[y, _]: [u16; 2]| [high(y); 3]),
        DynamicImage::ImageRgb16(i) => pick(&i, |p: [u16; 3]| p.map(high)),
        DynamicImage::ImageRgba16(i) => pick(&i, |[r, g, b, _]: [u16; 4]| [r, g, b].map(high)),
        // Floating-point TIFF: 0.0 to 1.0 is black to white.
        other => other.into_rgb8().into_raw(),
    }
}
