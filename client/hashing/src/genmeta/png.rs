//! Texts of a PNG file: `tEXt`, `zTXt`, `iTXt`, and the chunks for EXIF and C2PA.
//!
//! Chunks are gone over by their lengths; checksums are not looked at, pixels are skipped.

use super::{Carrier, Contents, TEXT_MAX_BYTES, exif};

/// The first bytes of a PNG file.
pub(crate) const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// The most chunks that are gone over.
const CHUNKS_MAX: usize = 1 << 16;

/// Goes over the chunks.
pub(crate) fn contents(bytes: &[u8]) -> Contents {
    let mut contents = Contents::default();
    let mut rest = bytes.get(SIGNATURE.len()..).unwrap_or_default();
    for _ in 0..CHUNKS_MAX {
        let Some((length, after)) = rest.split_first_chunk::<4>() else { break };
        let Some((kind, after)) = after.split_first_chunk::<4>() else { break };
        let length = u32::from_be_bytes(*length) as usize;
        // A chunk that is cut off is left out; so is what would follow it.
        let Some(data) = after.get(..length) else { break };
        chunk(kind, data, &mut contents);
        rest = after.get(length + 4..).unwrap_or_default();
    }
    contents
}

fn chunk(kind: &[u8; 4], data: &[u8], contents: &mut Contents) {
    match kind {
        b"IHDR" => {
            if let Some((width, rest)) = data.split_first_chunk::<4>()
                && let Some(height) = rest.first_chunk::<4>()
            {
                contents.size = Some((u32::from_be_bytes(*width), u32::from_be_bytes(*height)));
            }
        }
        b"tEXt" => {
            if let Some((key, text)) = split_at_zero(data) {
                add(contents, key, text.to_vec());
            }
        }
        b"zTXt" => {
            if let Some((key, [0, packed @ ..])) = split_at_zero(data)
                && let Some(text) = inflated(packed)
            {
                add(contents, key, text);
            }
        }
        b"iTXt" => international(data, contents),
        b"eXIf" => exif::read(data, contents),
        b"caBX" => contents.add_c2pa(data),
        _ => {}
    }
}

/// Keyword, two bytes about compression, language, translated keyword, text.
fn international(data: &[u8], contents: &mut Contents) {
    let Some((key, [packed, method, rest @ ..])) = split_at_zero(data) else { return };
    let Some((_, rest)) = split_at_zero(rest) else { return };
    let Some((_, text)) = split_at_zero(rest) else { return };
    let text = match (packed, method) {
        (0, _) => Some(text.to_vec()),
        (1, 0) => inflated(text),
        _ => None,
    };
    if let Some(text) = text {
        add(contents, key, text);
    }
}

fn add(contents: &mut Contents, key: &[u8], text: Vec<u8>) {
    let key = String::from_utf8_lossy(key);
    if key == "XML:com.adobe.xmp" {
        return contents.set_xmp(&text);
    }
    if text.len() <= TEXT_MAX_BYTES {
        contents.add(Carrier::PngText, &key, decoded(text));
    }
}

/// UTF-8 if it is, as tools write it even where the standard says Latin-1; else Latin-1.
pub(crate) fn decoded(text: Vec<u8>) -> String {
    String::from_utf8(text)
        .unwrap_or_else(|error| error.as_bytes().iter().map(|byte| char::from(*byte)).collect())
}

fn split_at_zero(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let zero = data.iter().take(1 << 12).position(|byte| *byte == 0)?;
    Some((&data[..zero], &data[zero + 1..]))
}

/// Unpacks zlib data, but never to more than [`TEXT_MAX_BYTES`].
fn inflated(packed: &[u8]) -> Option<Vec<u8>> {
    miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(packed, TEXT_MAX_BYTES).ok()
}
