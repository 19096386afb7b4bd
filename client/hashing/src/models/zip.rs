//! The directory of a zip archive, as far as `torch.save` writes one: members stored without compression.
//!
//! The directory at the end of the file is what counts. Nothing is unpacked; a member is a range of the file.

use std::io::{Read, Seek};

use super::layout::{LayoutError, ReadError, Source, TENSORS_MAX};

/// The longest directory.
const DIRECTORY_MAX_BYTES: u64 = 64 << 20;
/// Bytes of the record at the end of the file, and the longest comment behind it.
const END_BYTES: u64 = 22;
const COMMENT_MAX_BYTES: u64 = 65_535;

fn malformed(what: &'static str) -> LayoutError {
    LayoutError::Malformed { format: "zip", what }
}

/// A member of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// Where its own header begins.
    header: u64,
    /// Bytes of the member.
    pub(crate) size: u64,
    stored: bool,
}

/// Little-endian numbers at fixed places of a record.
struct Record<'b>(&'b [u8]);

impl Record<'_> {
    fn bytes<const N: usize>(&self, at: usize) -> Result<[u8; N], LayoutError> {
        let found = self.0.get(at..).and_then(|rest| rest.first_chunk::<N>());
        found.copied().ok_or_else(|| malformed("a record of the directory ends early"))
    }

    fn u16(&self, at: usize) -> Result<u16, LayoutError> {
        self.bytes(at).map(u16::from_le_bytes)
    }

    fn u32(&self, at: usize) -> Result<u32, LayoutError> {
        self.bytes(at).map(u32::from_le_bytes)
    }

    fn u64(&self, at: usize) -> Result<u64, LayoutError> {
        self.bytes(at).map(u64::from_le_bytes)
    }
}

/// Reads the directory.
pub(crate) fn members<R: Read + Seek>(source: &mut Source<'_, R>) -> Result<Vec<Member>, ReadError> {
    let tail_bytes = source.size.min(END_BYTES + COMMENT_MAX_BYTES + 20);
    let tail_start = source.size - tail_bytes;
    let tail = source.read_at(tail_start, tail_bytes, "the end of the archive")?;
    let end = find_end(&tail)?;
    let record = Record(&tail[end..]);
    let mut directory = (u64::from(record.u16(10)?), u64::from(record.u32(12)?), u64::from(record.u32(16)?));
    let locator =
        end.checked_sub(20).map(|at| &tail[at..end]).filter(|bytes| bytes.starts_with(b"PK\x06\x07"));
    if let Some(locator) = locator {
        let record = source.read_at(Record(locator).u64(8)?, 56, "the end record of a large archive")?;
        if !record.starts_with(b"PK\x06\x06") {
            return Err(malformed("the end record of a large archive is missing").into());
        }
        let record = Record(&record);
        directory = (record.u64(32)?, record.u64(40)?, record.u64(48)?);
    }
    let (count, bytes, start) = directory;
    for (what, found, max) in [
        ("members of the archive", count, TENSORS_MAX as u64),
        ("bytes of the directory", bytes, DIRECTORY_MAX_BYTES),
    ] {
        if found > max {
            return Err(LayoutError::TooLarge { what, found, max }.into());
        }
    }
    Ok(parse(&source.read_at(start, bytes, "the directory of the archive")?, count)?)
}

/// The last place where the end record can be.
fn find_end(tail: &[u8]) -> Result<usize, LayoutError> {
    let mut at =
        tail.len().checked_sub(END_BYTES as usize).ok_or_else(|| malformed("the archive is too short"))?;
    loop {
        let comment = Record(tail).u16(at + 20)?;
        if tail[at..].starts_with(b"PK\x05\x06")
            && at + END_BYTES as usize + usize::from(comment) == tail.len()
        {
            return Ok(at);
        }
        at = at.checked_sub(1).ok_or_else(|| malformed("the end record is missing"))?;
    }
}

/// Reads `count` members from the bytes of a directory.
pub(crate) fn parse(directory: &[u8], count: u64) -> Result<Vec<Member>, LayoutError> {
    let mut members = Vec::new();
    let mut rest = directory;
    for _ in 0..count {
        let record = Record(rest);
        if !rest.starts_with(b"PK\x01\x02") {
            return Err(malformed("a member of the directory has no signature"));
        }
        let (method, encrypted) = (record.u16(10)?, record.u16(8)? & 1 == 1);
        let (name, extra, comment) = (record.u16(28)?, record.u16(30)?, record.u16(32)?);
        let (packed, size, header) = (record.u32(20)?, record.u32(24)?, record.u32(42)?);
        let part = |start: usize, length: u16| {
            let found = rest.get(start..start + usize::from(length));
            found.ok_or_else(|| malformed("a record of the directory ends early"))
        };
        let name_bytes = part(46, name)?;
        let large = large_numbers(part(46 + usize::from(name), extra)?, [size, packed, header])?;
        let name_text =
            std::str::from_utf8(name_bytes).map_err(|_| LayoutError::NotUtf8("a member's name"))?;
        let [size, packed, header] = large;
        let stored = method == 0 && !encrypted && packed == size;
        members.push(Member { name: name_text.to_owned(), header, size, stored });
        rest = &rest[46 + usize::from(name) + usize::from(extra)..];
        rest = rest
            .get(usize::from(comment)..)
            .ok_or_else(|| malformed("a record of the directory ends early"))?;
    }
    Ok(members)
}

/// Numbers that do not fit into 32 bits stand in an extra field, in this order.
fn large_numbers(mut extra: &[u8], small: [u32; 3]) -> Result<[u64; 3], LayoutError> {
    let mut numbers = small.map(u64::from);
    if !small.contains(&u32::MAX) {
        return Ok(numbers);
    }
    while !extra.is_empty() {
        let (id, length) = (Record(extra).u16(0)?, usize::from(Record(extra).u16(2)?));
        let field = extra.get(4..4 + length).ok_or_else(|| malformed("an extra field ends early"))?;
        if id == 1 {
            let mut at = 0;
            for number in numbers.iter_mut().filter(|number| **number == u64::from(u32::MAX)) {
                *number = Record(field).u64(at)?;
                at += 8;
            }
            return Ok(numbers);
        }
        extra = &extra[4 + length..];
    }
    Err(malformed("a large number is missing"))
}

impl Member {
    /// Where the bytes of the member begin.
    pub(crate) fn start<R: Read + Seek>(&self, source: &mut Source<'_, R>) -> Result<u64, ReadError> {
        if !self.stored {
            return Err(malformed("a member is compressed or encrypted").into());
        }
        let header = source.read_at(self.header, 30, "the header of a member")?;
        if !header.starts_with(b"PK\x03\x04") {
            return Err(malformed("the header of a member has no signature").into());
        }
        let (name, extra) = (Record(&header).u16(26)?, Record(&header).u16(28)?);
        let start = self.header.saturating_add(30 + u64::from(name) + u64::from(extra));
        let needed = start.saturating_add(self.size);
        if needed > source.size {
            return Err(LayoutError::Truncated {
                what: "a member of the archive",
                needed,
                size: source.size,
            }
            .into());
        }
        Ok(start)
    }
}
