//! The header of a GGUF file, versions 2 and 3, little-endian.
//!
//! Magic, version, counts of tensors and of metadata entries, the metadata, one description for each tensor, then
//! the tensors, aligned. Of the metadata only the alignment is used. Dimensions are stored the fastest first and
//! turned round here. Types of blocks that are not decoded go into the digest of the tensor set as raw bytes.

use std::io::{Read, Seek};

use super::element;
use super::layout::{self, Layout, LayoutError, ReadError, Source, Tensor, shown};

/// The longest header that is read: vocabularies of 250,000 words need about a tenth of it.
const HEADER_MAX_BYTES: u64 = 64 << 20;
/// The longest text in the metadata: chat templates are the longest.
const TEXT_MAX_BYTES: u64 = 4 << 20;
/// How deep arrays of the metadata may lie in one another.
const DEPTH_MAX: u32 = 4;

fn malformed(what: &'static str) -> LayoutError {
    LayoutError::Malformed { format: "gguf", what }
}

/// Reads the header.
pub(crate) fn read<R: Read + Seek>(source: &mut Source<'_, R>) -> Result<Layout, ReadError> {
    let header = source.read_at(0, source.size.min(HEADER_MAX_BYTES), "the header")?;
    Ok(parse(&header, source.size)?)
}

/// Reads the first bytes of a file of `size` bytes.
pub(crate) fn parse(header: &[u8], size: u64) -> Result<Layout, LayoutError> {
    let mut cursor = Cursor { bytes: header, at: 0, size };
    let magic = cursor.take(4)?;
    if magic != b"GGUF" {
        return Err(malformed("the magic is missing"));
    }
    match cursor.u32()? {
        2 | 3 => {}
        0x0200_0000 | 0x0300_0000 => return Err(malformed("a big-endian file is not read")),
        _ => return Err(malformed("only versions 2 and 3 are read")),
    }
    let (tensors, entries) = (cursor.u64()?, cursor.u64()?);
    layout::check_bounds(usize::try_from(tensors).unwrap_or(usize::MAX), "", 0)?;
    let mut alignment = 32u64;
    for _ in 0..entries {
        let key = cursor.text()?;
        let kind = cursor.u32()?;
        if key == b"general.alignment" && kind == 4 {
            alignment = u64::from(cursor.u32()?);
        } else {
            cursor.skip_value(kind, 0)?;
        }
    }
    if !alignment.is_power_of_two() || alignment > 1 << 20 {
        return Err(malformed("the alignment is no power of two up to 1 MiB"));
    }
    let mut found = Vec::new();
    for _ in 0..tensors {
        found.push(cursor.tensor()?);
    }
    place(&mut found, (cursor.at as u64).next_multiple_of(alignment), alignment, size)?;
    Ok(Layout { tensors: found, claims: Vec::new(), body_start: None })
}

/// Turns offsets into places of the file; refuses overlaps, misaligned tensors and an end beyond the file.
fn place(tensors: &mut [Tensor], data: u64, alignment: u64, size: u64) -> Result<(), LayoutError> {
    layout::check_names(tensors)?;
    tensors.sort_by(|a, b| (a.start, a.bytes, &a.name).cmp(&(b.start, b.bytes, &b.name)));
    let mut end = data;
    for tensor in tensors {
        if !tensor.start.is_multiple_of(alignment) {
            return Err(LayoutError::Field {
                tensor: shown(&tensor.name),
                what: "its offset is not aligned",
            });
        }
        tensor.start = data.saturating_add(tensor.start);
        if tensor.start < end {
            return Err(LayoutError::Overlap { tensor: shown(&tensor.name), at: tensor.start });
        }
        end = tensor.start.saturating_add(tensor.bytes);
        if end > size {
            return Err(LayoutError::Truncated { what: "a tensor", needed: end, size });
        }
    }
    Ok(())
}

/// A place in the header.
struct Cursor<'b> {
    bytes: &'b [u8],
    at: usize,
    /// Of the whole file.
    size: u64,
}

impl<'b> Cursor<'b> {
    fn take(&mut self, bytes: u64) -> Result<&'b [u8], LayoutError> {
        let needed = (self.at as u64).saturating_add(bytes);
        let end = usize::try_from(needed).unwrap_or(usize::MAX);
        match self.bytes.get(self.at..end) {
            Some(found) => {
                self.at = end;
                Ok(found)
            }
            None if self.size > self.bytes.len() as u64 => Err(LayoutError::TooLarge {
                what: "bytes of the header",
                found: needed,
                max: HEADER_MAX_BYTES,
            }),
            None => Err(LayoutError::Truncated { what: "the header", needed, size: self.size }),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], LayoutError> {
        let bytes = self.take(N as u64)?;
        Ok(bytes.first_chunk::<N>().copied().unwrap_or([0; N]))
    }

    fn u32(&mut self) -> Result<u32, LayoutError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, LayoutError> {
        self.array().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Result<&'b [u8], LayoutError> {
        let length = self.u64()?;
        if length > TEXT_MAX_BYTES {
            return Err(LayoutError::TooLarge {
                what: "bytes of a text",
                found: length,
                max: TEXT_MAX_BYTES,
            });
        }
        self.take(length)
    }

    /// Goes past a value of the metadata. Each array item takes at least one byte, so that the header's length bounds
    /// the time.
    fn skip_value(&mut self, kind: u32, depth: u32) -> Result<(), LayoutError> {
        let width = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            10..=12 => 8,
            8 => return self.text().map(drop),
            9 if depth < DEPTH_MAX => {
                let (kind, count) = (self.u32()?, self.u64()?);
                return self.skip_array(kind, count, depth + 1);
            }
            9 => return Err(malformed("arrays are nested too deeply")),
            _ => return Err(malformed("the metadata has a value of an unknown kind")),
        };
        self.take(width).map(drop)
    }

    fn skip_array(&mut self, kind: u32, count: u64, depth: u32) -> Result<(), LayoutError> {
        let width = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            10..=12 => 8,
            _ => {
                for _ in 0..count {
                    self.skip_value(kind, depth)?;
                }
                return Ok(());
            }
        };
        self.take(count.saturating_mul(width)).map(drop)
    }

    /// The description of a tensor; `start` is still relative to the data.
    fn tensor(&mut self) -> Result<Tensor, LayoutError> {
        let name = std::str::from_utf8(self.text()?).map_err(|_| LayoutError::NotUtf8("a tensor's name"))?;
        let sides = self.u32()?;
        if sides > 4 {
            return Err(LayoutError::Field { tensor: shown(name), what: "it has more than four dimensions" });
        }
        layout::check_bounds(0, name, sides as usize)?;
        let mut dimensions = (0..sides).map(|_| self.u64()).collect::<Result<Vec<_>, _>>()?;
        dimensions.reverse();
        let kind = self.u32()?;
        let unknown = || LayoutError::UnknownType { tensor: shown(name), found: kind.to_string() };
        let encoding = element::ggml(kind).ok_or_else(unknown)?;
        if dimensions.last().is_some_and(|side| !side.is_multiple_of(u64::from(encoding.block_values))) {
            return Err(LayoutError::Field {
                tensor: shown(name),
                what: "its rows do not fill whole blocks",
            });
        }
        let bytes = layout::bytes_of(name, &dimensions, &encoding)?;
        let start = self.u64()?;
        Ok(Tensor { name: name.to_owned(), encoding, dimensions, start, bytes, strides: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(bytes: &mut Vec<u8>, text: &str) {
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(text.as_bytes());
    }

    /// A file with metadata of every kind and the tensors `(name, type, sides, offset)`.
    fn file(tensors: &[(&str, u32, &[u64], u64)], data: usize) -> Vec<u8> {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend((tensors.len() as u64).to_le_bytes());
        bytes.extend(3u64.to_le_bytes());
        text(&mut bytes, "general.alignment");
        bytes.extend([4u32.to_le_bytes(), 64u32.to_le_bytes()].concat());
        text(&mut bytes, "words");
        bytes.extend([9u32.to_le_bytes(), 8u32.to_le_bytes()].concat());
        bytes.extend(2u64.to_le_bytes());
        text(&mut bytes, "one");
        text(&mut bytes, "two");
        text(&mut bytes, "numbers");
        bytes.extend([9u32.to_le_bytes(), 6u32.to_le_bytes()].concat());
        bytes.extend([&2u64.to_le_bytes()[..], &[0; 8]].concat());
        for (name, kind, sides, offset) in tensors {
            text(&mut bytes, name);
            bytes.extend((sides.len() as u32).to_le_bytes());
            sides.iter().for_each(|side| bytes.extend(side.to_le_bytes()));
            bytes.extend(kind.to_le_bytes());
            bytes.extend(offset.to_le_bytes());
        }
        bytes.resize(bytes.len().next_multiple_of(64) + data, 0);
        bytes
    }

    fn parsed(bytes: &[u8]) -> Result<Layout, LayoutError> {
        parse(bytes, bytes.len() as u64)
    }

    #[test]
    fn tensors_are_found_with_their_sides_turned_round() {
        let bytes = file(&[("b", 12, &[256, 2], 64), ("a", 0, &[3, 2], 0)], 64 + 288);
        let layout = parsed(&bytes).unwrap();
        let [a, b] = &layout.tensors[..] else { panic!("two tensors") };
        assert_eq!((a.name.as_str(), &a.dimensions[..], a.bytes), ("a", &[2, 3][..], 24));
        assert_eq!(
            (b.encoding.name, &b.dimensions[..], b.start + b.bytes),
            ("Q4_K", &[2, 256][..], bytes.len() as u64)
        );
    }

    #[test]
    fn each_broken_rule_is_named() {
        let check = |bytes: &[u8], message: &str| {
            let error = parsed(bytes).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        };
        check(&file(&[("a", 0, &[2], 0), ("a", 0, &[2], 64)], 128), "two tensors are named");
        check(&file(&[("a", 0, &[32], 0), ("b", 0, &[2], 64)], 128), "overlaps");
        check(&file(&[("a", 0, &[2], 4)], 64), "not aligned");
        check(&file(&[("a", 0, &[2], 64)], 64), "a tensor needs");
        check(&file(&[("a", 0, &[1 << 40, 1 << 40], 0)], 64), "exceed 64 bits");
        check(&file(&[("a", 12, &[255], 0)], 255), "whole blocks");
        check(&file(&[("a", 99, &[2], 0)], 64), "unknown type \"99\"");
        check(&file(&[("a", 0, &[1, 1, 1, 1, 1], 0)], 64), "more than four");
        check(&file(&[("a", 0, &[2], 0)], 64)[..60], "the header needs");
        check(b"GGUF\x01\0\0\0", "versions 2 and 3");
        check(b"GGUF\0\0\0\x03", "big-endian");
        let mut many = file(&[], 0);
        many[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
        check(&many, "at most 262144");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_damaged_header_never_panics(at in 0usize..300, byte in any::<u8>(), cut in 0usize..100) {
            let mut bytes = file(&[("a", 0, &[2, 3], 0), ("b", 8, &[32], 64)], 128);
            let length = bytes.len();
            bytes[at % length] = byte;
            bytes.truncate(length - cut);
            if let Ok(layout) = parsed(&bytes) {
                prop_assert!(layout.tensors.iter().all(|tensor| tensor.start + tensor.bytes <= bytes.len() as u64));
            }
        }
    }
}
