//! Chunks of a WebP file: EXIF, XMP, C2PA, and the size of the canvas.

use super::{Contents, exif};

/// The most chunks that are gone over.
const CHUNKS_MAX: usize = 1 << 12;

/// Goes over the chunks.
pub(crate) fn contents(bytes: &[u8]) -> Contents {
    let mut contents = Contents::default();
    let mut rest = bytes.get(12..).unwrap_or_default();
    for _ in 0..CHUNKS_MAX {
        let Some((kind, after)) = rest.split_first_chunk::<4>() else { break };
        let Some((length, after)) = after.split_first_chunk::<4>() else { break };
        let length = u32::from_le_bytes(*length) as usize;
        let Some(data) = after.get(..length) else { break };
        match kind {
            b"EXIF" => exif::read(data.strip_prefix(b"Exif\0\0").unwrap_or(data), &mut contents),
            b"XMP " => contents.set_xmp(data),
            b"C2PA" => contents.add_c2pa(data),
            b"VP8X" | b"VP8 " | b"VP8L" if contents.size.is_none() => contents.size = size(kind, data),
            _ => {}
        }
        rest = after.get(length + length % 2..).unwrap_or_default();
    }
    contents
}

fn size(kind: &[u8; 4], data: &[u8]) -> Option<(u32, u32)> {
    let number = |at: usize, bytes: usize| -> Option<u32> {
        let found = data.get(at..at + bytes)?;
        Some(found.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte)))
    };
    match kind {
        b"VP8X" => Some((number(4, 3)? + 1, number(7, 3)? + 1)),
        b"VP8L" => {
            let packed = number(1, 4)?;
            Some(((packed & 0x3fff) + 1, (packed >> 14 & 0x3fff) + 1))
        }
        _ => Some((number(6, 2)? & 0x3fff, number(8, 2)? & 0x3fff)),
    }
}
