//! Reading canonical CBOR in place, for payloads that are just what they usually are.
//!
//! Answers `None` to anything else, whatever the reason: the caller then asks [`super::decode_map`], which
//! says what the bytes are. So this reader may be narrower than the profile, and must never be wider.

use super::{MAJOR_ARRAY, MAJOR_BYTES, MAJOR_MAP, MAJOR_TEXT, MAJOR_UNSIGNED, Reader};

/// A place in bytes that are being read.
pub(crate) struct Cursor<'a>(Reader<'a>);

impl<'a> Cursor<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(Reader { bytes, offset: 0 })
    }

    /// Whether all bytes are read.
    pub(crate) fn is_at_end(&self) -> bool {
        self.0.left() == 0
    }

    /// The argument of a head of this major type.
    fn head(&mut self, major: u8) -> Option<u64> {
        let start = self.0.offset;
        let head = self.0.byte().ok()?;
        if head >> 5 != major {
            return None;
        }
        self.0.argument(start, head & 0x1f).ok()
    }

    pub(crate) fn unsigned(&mut self) -> Option<u64> {
        self.head(MAJOR_UNSIGNED)
    }

    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.head(MAJOR_BYTES)?;
        self.0.take(length).ok()
    }

    pub(crate) fn text(&mut self) -> Option<&'a str> {
        let length = self.head(MAJOR_TEXT)?;
        std::str::from_utf8(self.0.take(length).ok()?).ok()
    }

    /// How many elements of an array follow.
    pub(crate) fn array(&mut self) -> Option<u64> {
        self.head(MAJOR_ARRAY)
    }

    /// Reads a map: `read` takes the value of each key, which ascend.
    pub(crate) fn map(&mut self, mut read: impl FnMut(&mut Self, u64) -> Option<()>) -> Option<()> {
        let mut least = 0;
        for _ in 0..self.head(MAJOR_MAP)? {
            let key = self.unsigned().filter(|key| *key >= least)?;
            least = key.checked_add(1)?;
            read(self, key)?;
        }
        Some(())
    }
}
