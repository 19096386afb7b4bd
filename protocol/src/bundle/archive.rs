//! The archive: POSIX ustar with exactly one spelling (SPEC §12.2).
//!
//! Any tar program reads it. The other way round nearly nothing is accepted: a header is right if it is,
//! byte for byte, the one that [`header`] writes for its name and size, so no byte of an archive is
//! without a meaning and a flipped one cannot hide. A library for tar would read more than that, and
//! what it writes depends on its version.

use crate::limits::BUNDLE_MEMBER_MAX_BYTES;

/// Headers and padding are multiples of this.
pub const RECORD_BYTES: usize = 512;
/// What ends an archive: two records of zeros.
pub const END_BYTES: usize = 2 * RECORD_BYTES;
/// Longest name of a member.
pub const NAME_MAX_BYTES: usize = 100;

const SIZE_AT: usize = 124;
const CHECKSUM_AT: usize = 148;

/// A rule of the archive that is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The name is empty, too long, or has other characters than names of members have.
    #[error("the header has no name of a member")]
    Name,
    /// The size is not eleven octal digits.
    #[error("the header has no size")]
    Size,
    /// The member is longer than any may be.
    #[error("{name} has {bytes} bytes, at most {BUNDLE_MEMBER_MAX_BYTES} are read")]
    TooLong {
        /// Its name.
        name: String,
        /// Its size.
        bytes: u64,
    },
    /// Another byte than the one spelling has.
    #[error("byte {offset} of the header of {name} is not the one it must be")]
    NotCanonical {
        /// Name of the member.
        name: String,
        /// Offset in the header.
        offset: usize,
    },
    /// A byte of the padding, or of the end, is not zero.
    #[error("padding that is not zeros")]
    Padding,
}

/// What a header record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Header {
    /// A member follows.
    Member {
        /// Its name.
        name: String,
        /// Bytes of its content, without padding.
        size: usize,
    },
    /// The first of the two records that end the archive.
    End,
}

/// The header of a member. The name is one that [`is_name`] accepts.
#[must_use]
pub fn header(name: &str, size: usize) -> [u8; RECORD_BYTES] {
    let mut bytes = [0; RECORD_BYTES];
    let mut put = |at: usize, field: &[u8]| {
        for (target, source) in bytes.iter_mut().skip(at).zip(field) {
            *target = *source;
        }
    };
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(SIZE_AT, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(CHECKSUM_AT, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    put(329, b"0000000\x000000000\0");
    let sum: u32 = bytes.iter().map(|byte| u32::from(*byte)).sum();
    let checksum = format!("{sum:06o}\0 ");
    for (target, source) in bytes.iter_mut().skip(CHECKSUM_AT).zip(checksum.as_bytes()) {
        *target = *source;
    }
    bytes
}

/// Reads a header record, and refuses every spelling but that of [`header`].
///
/// # Errors
/// [`ArchiveError`].
pub fn parse_header(bytes: &[u8; RECORD_BYTES]) -> Result<Header, ArchiveError> {
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok(Header::End);
    }
    let (name, rest) = bytes.split_at(NAME_MAX_BYTES);
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(NAME_MAX_BYTES);
    let name = name.get(..end).and_then(|name| std::str::from_utf8(name).ok());
    let name = name.filter(|name| is_name(name)).ok_or(ArchiveError::Name)?;
    let digits = rest.get(SIZE_AT - NAME_MAX_BYTES..).and_then(|rest| rest.first_chunk::<11>());
    let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok()).ok_or(ArchiveError::Size)?;
    let bytes_stated = u64::from_str_radix(digits, 8).map_err(|_| ArchiveError::Size)?;
    let too_long = ArchiveError::TooLong { name: name.to_owned(), bytes: bytes_stated };
    let size = usize::try_from(bytes_stated).ok().filter(|size| *size <= BUNDLE_MEMBER_MAX_BYTES);
    let size = size.ok_or(too_long)?;
    let expected = header(name, size);
    match expected.iter().zip(bytes).position(|(expected, got)| expected != got) {
        Some(offset) => Err(ArchiveError::NotCanonical { name: name.to_owned(), offset }),
        None => Ok(Header::Member { name: name.to_owned(), size }),
    }
}

/// Whether a member may be called that: 1 to 100 of `a-z A-Z 0-9 / . _ -`.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    (1..=NAME_MAX_BYTES).contains(&name.len()) && name.bytes().all(fine)
}

/// Zeros that follow a content of this size.
#[must_use]
pub const fn padding(size: usize) -> usize {
    size.next_multiple_of(RECORD_BYTES) - size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_has_one_spelling() {
        let good = header("core/manifest", 1234);
        assert_eq!(parse_header(&good), Ok(Header::Member { name: "core/manifest".into(), size: 1234 }));
        assert_eq!(parse_header(&[0; RECORD_BYTES]), Ok(Header::End));
        for bit in 0..RECORD_BYTES * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(parse_header(&bad).is_err(), "bit {bit}");
        }
        assert!(parse_header(&header("a", BUNDLE_MEMBER_MAX_BYTES)).is_ok());
        let long = parse_header(&header("a", BUNDLE_MEMBER_MAX_BYTES + 1));
        assert!(matches!(long, Err(ArchiveError::TooLong { .. })), "{long:?}");
    }

    #[test]
    fn names_and_padding() {
        assert!(is_name(&"n".repeat(100)) && !is_name(&"n".repeat(101)) && !is_name(""));
        assert!(!is_name("a b") && !is_name("ä") && !is_name("a\n"));
        assert_eq!([0, 1, 511, 512, 513].map(padding), [0, 511, 1, 0, 511]);
    }
}
