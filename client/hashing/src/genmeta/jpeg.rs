//! Segments of a JPEG file before its pixels: EXIF, XMP, comments, C2PA.

use super::{Carrier, Contents, exif, png};

/// The most segments that are gone over.
const SEGMENTS_MAX: usize = 1 << 12;

/// Goes over the segments up to the first scan.
pub(crate) fn contents(bytes: &[u8]) -> Contents {
    let mut contents = Contents::default();
    let mut rest = bytes.get(2..).unwrap_or_default();
    for _ in 0..SEGMENTS_MAX {
        // Bytes of 0xff may fill the space before a marker.
        while let [0xff, 0xff, ..] = rest {
            rest = &rest[1..];
        }
        let [0xff, marker, after @ ..] = rest else { break };
        match marker {
            // Markers without a length.
            0x01 | 0xd0..=0xd8 => {
                rest = after;
                continue;
            }
            // The scan, or the end: what follows are pixels.
            0xd9 | 0xda => break,
            _ => {}
        }
        let Some((length, body)) = after.split_first_chunk::<2>() else { break };
        let length = usize::from(u16::from_be_bytes(*length));
        let Some(data) = length.checked_sub(2).and_then(|length| body.get(..length)) else { break };
        segment(*marker, data, &mut contents);
        rest = &body[data.len()..];
    }
    contents
}

fn segment(marker: u8, data: &[u8], contents: &mut Contents) {
    match marker {
        0xe1 => {
            if let Some(tiff) = data.strip_prefix(b"Exif\0\0") {
                exif::read(tiff, contents);
            } else if let Some(packet) = data.strip_prefix(b"http://ns.adobe.com/xap/1.0/\0") {
                contents.set_xmp(packet);
            }
        }
        // JPEG XT boxes: identifier, box instance, sequence number, then the box. A manifest store begins with a
        // superbox that is labelled c2pa; its later parts repeat the head.
        0xeb if data.starts_with(b"JP") => {
            let is_first = data.windows(4).take(128).any(|window| window == b"c2pa");
            if is_first || !contents.c2pa.is_empty() {
                contents.add_c2pa(data);
            }
        }
        0xfe => contents.add(Carrier::JpegComment, "Comment", png::decoded(data.to_vec())),
        0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
            if let [_, h1, h0, w1, w0, ..] = data {
                let side = |high: &u8, low: &u8| u32::from(u16::from_be_bytes([*high, *low]));
                contents.size = Some((side(w1, w0), side(h1, h0)));
            }
        }
        _ => {}
    }
}
