//! The few EXIF tags in which generators write their settings.
//!
//! Two directories are read, the first and the one of EXIF proper; nothing else is followed. Tags about places,
//! cameras, owners and thumbnails are never looked at.

use super::{Carrier, Contents, TEXT_MAX_BYTES, png};

/// The most entries of a directory.
const ENTRIES_MAX: usize = 256;
/// The entry that leads to the directory of EXIF proper.
const EXIF_DIRECTORY: u16 = 0x8769;

/// Tags and the key under which their text is kept.
const TAGS: [(u16, &str); 5] = [
    (0x010e, "ImageDescription"),
    (0x010f, "Make"),
    (0x0110, "Model"),
    (0x0131, "Software"),
    (0x9286, "UserComment"),
];

/// Reads EXIF data, which begins with a TIFF header.
pub(crate) fn read(data: &[u8], contents: &mut Contents) {
    let little = match data.get(..4) {
        Some(b"II*\0") => true,
        Some(b"MM\0*") => false,
        _ => return,
    };
    let tiff = Tiff { data, little };
    let Some(first) = tiff.u32(4) else { return };
    let inner = directory(&tiff, first, contents);
    if let Some(inner) = inner.filter(|inner| *inner != first) {
        directory(&tiff, inner, contents);
    }
}

/// Reads a directory and returns where that of EXIF proper is.
fn directory(tiff: &Tiff<'_>, at: u32, contents: &mut Contents) -> Option<u32> {
    let at = at as usize;
    let count = usize::from(tiff.u16(at)?);
    let mut inner = None;
    for nth in 0..count.min(ENTRIES_MAX) {
        let entry = at.checked_add(2 + nth * 12)?;
        let (tag, kind, length) = (tiff.u16(entry)?, tiff.u16(entry + 2)?, tiff.u32(entry + 4)? as usize);
        if tag == EXIF_DIRECTORY {
            inner = tiff.u32(entry + 8);
        }
        let Some((_, key)) = TAGS.iter().find(|(known, _)| *known == tag) else { continue };
        // Text, bytes, or undefined: all of one byte each.
        if !matches!(kind, 1 | 2 | 7) || length > TEXT_MAX_BYTES {
            continue;
        }
        let start = if length <= 4 { entry + 8 } else { tiff.u32(entry + 8)? as usize };
        let Some(value) = start.checked_add(length).and_then(|end| tiff.data.get(start..end)) else {
            continue;
        };
        let text = if *key == "UserComment" { user_comment(value) } else { text(value) };
        contents.add(Carrier::Exif, key, text);
    }
    inner
}

fn text(value: &[u8]) -> String {
    let end = value.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    png::decoded(value[..end].to_vec())
}

/// Eight bytes name the code; `UNICODE` means UTF-16 in either order, whatever the order of the rest.
fn user_comment(value: &[u8]) -> String {
    let Some((code, rest)) = value.split_first_chunk::<8>() else { return text(value) };
    match code {
        b"UNICODE\0" => utf16(rest),
        b"ASCII\0\0\0" | [0, 0, 0, 0, 0, 0, 0, 0] => text(rest),
        _ => text(value),
    }
}

/// The order in which more of the units are small: settings are nearly all ASCII.
fn utf16(bytes: &[u8]) -> String {
    let pairs = bytes.as_chunks::<2>().0;
    let (mut big, mut little) = (0usize, 0usize);
    for [first, second] in pairs {
        big += usize::from(*first == 0);
        little += usize::from(*second == 0);
    }
    let unit =
        |pair: &[u8; 2]| if big >= little { u16::from_be_bytes(*pair) } else { u16::from_le_bytes(*pair) };
    let text = String::from_utf16_lossy(&pairs.iter().map(unit).collect::<Vec<_>>());
    text.trim_end_matches('\0').to_owned()
}

/// Numbers of a TIFF structure in its byte order.
struct Tiff<'d> {
    data: &'d [u8],
    little: bool,
}

impl Tiff<'_> {
    fn u16(&self, at: usize) -> Option<u16> {
        let bytes = *self.data.get(at..)?.first_chunk::<2>()?;
        Some(if self.little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    }

    fn u32(&self, at: usize) -> Option<u32> {
        let bytes = *self.data.get(at..)?.first_chunk::<4>()?;
        Some(if self.little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }
}
