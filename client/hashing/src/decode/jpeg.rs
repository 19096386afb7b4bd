//! Whether a JPEG file was cut off.
//!
//! The JPEG decoder fills what is missing with grey and reports success, which suits a browser. A hash
//! of that would be a hash of another picture, so the end is looked for here: after the last scan's
//! data there is an end-of-image marker. Where it is missing, [`completions`] help to find out whether
//! anything else is. The walk follows ITU-T T.81 annex B: segments carry their length,
//! data of a scan runs to the next marker that is neither a stuffed zero nor a restart.

const END_OF_IMAGE: u8 = 0xD9;

/// Whether the end-of-image marker is reached. Bytes after it are of no interest.
pub(super) fn ends_properly(bytes: &[u8]) -> bool {
    let mut at = 2;
    loop {
        let Some(marker_at) = next_marker(bytes, at) else {
            return false;
        };
        match bytes[marker_at] {
            END_OF_IMAGE => return true,
            // Markers without a length: temporary, restarts, a second start of image.
            0x01 | 0xD0..=0xD8 => at = marker_at + 1,
            _ => {
                let Some(length) = segment_length(bytes, marker_at + 1) else {
                    return false;
                };
                at = marker_at + 1 + length;
            }
        }
    }
}

/// Two ways to end a file that has no end: if they decode to the same picture, no picture data was missing,
/// since a decoder that still expects some reads zeros in one and something else in the other.
pub(super) fn completions(bytes: &[u8]) -> [Vec<u8>; 2] {
    // A file cut inside a marker ends in half of one.
    let kept = bytes.strip_suffix(&[0xFF]).unwrap_or(bytes);
    let end = [0xFF, END_OF_IMAGE];
    let noise: Vec<u8> = (0..64u8).map(|i| i.wrapping_mul(167) ^ 0x5A).filter(|&b| b != 0xFF).collect();
    [[kept, &end].concat(), [kept, &noise, &end].concat()]
}

/// The length field of a segment counts itself.
fn segment_length(bytes: &[u8], at: usize) -> Option<usize> {
    let field = bytes.get(at..at + 2)?;
    Some(usize::from(u16::from_be_bytes([field[0], field[1]])).max(2))
}

/// The position of the next marker's code at or after `from`, skipping scan data and fill bytes.
fn next_marker(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += bytes.get(at..)?.iter().position(|&b| b == 0xFF)? + 1;
        match *bytes.get(at)? {
            0x00 => at += 1,
            0xFF => {}
            _ => return Some(at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ends_properly;

    #[test]
    fn walks_segments_scans_and_fill_bytes() {
        // Start, a comment holding what looks like an end, a scan with a stuffed zero and a restart, fill, end.
        let whole = [
            0xFF, 0xD8, 0xFF, 0xFE, 0, 4, 0xFF, 0xD9, 0xFF, 0xDA, 0, 3, 1, 9, 0xFF, 0, 8, 0xFF, 0xD0, 7,
            0xFF, 0xFF, 0xD9,
        ];
        assert!(ends_properly(&whole));
        assert!(ends_properly(&[&whole[..], b"trailing"].concat()));
        for cut in 2..whole.len() {
            assert!(!ends_properly(&whole[..cut]), "cut at {cut}");
        }
    }
}
