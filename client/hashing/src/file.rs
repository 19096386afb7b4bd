//! All signals of one file.
//!
//! The digests are of the bytes and always there. A PDQ hash is there if the bytes are a picture that
//! could be decoded; otherwise [`ImageOutcome`] tells a file that is no picture (nothing to
//! report) from a picture that failed (worth reporting).

use crate::decode::{self, DecodeError, DecodeLimits};
use crate::digest::{self, Digests};
use crate::pdq::{self, PdqError, PdqVariants};

/// What can be said about one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSignals {
    /// MD5, SHA-1, SHA-256 and length of the bytes.
    pub digests: Digests,
    /// The perceptual hashes, or why there are none.
    pub image: ImageOutcome,
}

/// What became of a file as a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one of these at a time for each picture that is hashed"
)]
pub enum ImageOutcome {
    /// Decoded and hashed. A quality of 0 says that the hash means nothing.
    Hashed(PdqVariants),
    /// In none of the formats that are read.
    NotAnImage,
    /// In one of the formats, but without a hash.
    Failed(ImageError),
}

/// Why a picture has no hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The bytes did not become pixels.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The pixels did not become a hash.
    #[error(transparent)]
    Pdq(#[from] PdqError),
}

/// Digests `bytes`, decodes them and hashes the picture at full size.
#[must_use]
pub fn hash_bytes(bytes: &[u8], limits: &DecodeLimits) -> FileSignals {
    FileSignals { digests: digest::digest_bytes(bytes), image: hash_image(bytes, limits) }
}

/// The second half of [`hash_bytes`], for a caller that has the digests already.
#[must_use]
pub fn hash_image(bytes: &[u8], limits: &DecodeLimits) -> ImageOutcome {
    let rgb = match decode::decode(bytes, limits) {
        Ok(rgb) => rgb,
        Err(DecodeError::NotAnImage) => return ImageOutcome::NotAnImage,
        Err(e) => return ImageOutcome::Failed(e.into()),
    };
    match pdq::variants_rgb(&rgb.pixels, rgb.width, rgb.height) {
        Ok(variants) => ImageOutcome::Hashed(variants),
        Err(e) => ImageOutcome::Failed(e.into()),
    }
}
