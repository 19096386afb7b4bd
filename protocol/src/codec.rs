//! The CBOR profile of payloads: a bounded reader and writer with exactly one encoding per value.
//!
//! The profile is the core deterministic encoding of RFC 8949 §4.2.1 with less in it: unsigned and
//! negative integers, byte strings, UTF-8 text, arrays, maps with unsigned integer keys, and the two
//! booleans. There are no floats, tags, nulls or other simple values, no indefinite lengths, nothing
//! deeper than four levels and nothing after the outermost map. Decoding therefore checks what can
//! be checked without knowing a kind, so that an entry of a kind or field that this version cannot
//! read is still known to be canonical, and encoding what was decoded returns the same bytes.
//!
//! The reader is our own because the rule that a payload breaks is part of the verdict on an entry,
//! and a general decoder accepts most of what is refused here. Memory is bounded by the input: a
//! length is compared with the bytes that remain before anything is allocated.
//!
//! What this module deliberately does not do: know any field (`record`).
//!
//! SPEC §7.1.

mod cursor;

use std::collections::BTreeMap;

use crate::limits::{CBOR_DEPTH_MAX, PAYLOAD_CBOR_MAX_BYTES};
pub(crate) use cursor::Cursor;

/// An integer of either sign, as CBOR holds it: 64 bits of magnitude.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Int {
    /// The value itself.
    Unsigned(u64),
    /// `-1 - n`.
    Negative(u64),
}

/// Pairs of a map. The order of unsigned keys is the order of their encodings.
pub type Fields = BTreeMap<u64, Value>;

/// One value of the profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// An integer.
    Int(Int),
    /// A byte string.
    Bytes(Vec<u8>),
    /// A text string.
    Text(String),
    /// An array.
    Array(Vec<Value>),
    /// A map.
    Map(Fields),
    /// A boolean.
    Bool(bool),
}

impl Value {
    /// A non-negative integer.
    #[must_use]
    pub fn unsigned(value: impl Into<u64>) -> Self {
        Self::Int(Int::Unsigned(value.into()))
    }

    /// The integer, if it is one and not negative.
    #[must_use]
    pub fn as_unsigned(&self) -> Option<u64> {
        match self {
            Self::Int(Int::Unsigned(value)) => Some(*value),
            _ => None,
        }
    }
}

/// A rule of the profile that a payload breaks. Offsets count bytes from the start of the CBOR.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CborError {
    /// The whole payload is longer than any padded payload can hold.
    #[error("{got} bytes of CBOR, at most {max} are allowed")]
    TooLong {
        /// Bytes given.
        got: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// The input ends inside an item, or a length points past its end.
    #[error("offset {offset}: the item needs {needed} bytes, {left} are left")]
    Truncated {
        /// Where the missing bytes should be.
        offset: usize,
        /// Bytes needed there, at least.
        needed: u64,
        /// Bytes left there.
        left: usize,
    },
    /// An integer or length in more bytes than needed.
    #[error("offset {offset}: {value} is not in its shortest form")]
    NotMinimal {
        /// Where the item starts.
        offset: usize,
        /// The integer or length.
        value: u64,
    },
    /// A string, array or map of indefinite length, or the break that ends one.
    #[error("offset {offset}: indefinite length")]
    Indefinite {
        /// Where the item starts.
        offset: usize,
    },
    /// One of the reserved values 28, 29 and 30 of the additional information.
    #[error("offset {offset}: reserved additional information {info}")]
    Reserved {
        /// Where the item starts.
        offset: usize,
        /// The additional information.
        info: u8,
    },
    /// A tag.
    #[error("offset {offset}: tag {tag}")]
    Tag {
        /// Where the tag starts.
        offset: usize,
        /// Its number.
        tag: u64,
    },
    /// A half, single or double precision float.
    #[error("offset {offset}: float")]
    Float {
        /// Where the item starts.
        offset: usize,
    },
    /// `null` or `undefined`.
    #[error("offset {offset}: null or undefined")]
    Null {
        /// Where the item starts.
        offset: usize,
    },
    /// A simple value other than the booleans, `null` and `undefined`.
    #[error("offset {offset}: simple value {value}")]
    Simple {
        /// Where the item starts.
        offset: usize,
        /// The simple value.
        value: u8,
    },
    /// A text string that is not UTF-8.
    #[error("offset {offset}: text is not UTF-8")]
    Utf8 {
        /// Where the item starts.
        offset: usize,
    },
    /// A map key that is not an unsigned integer.
    #[error("offset {offset}: map key is not an unsigned integer")]
    KeyType {
        /// Where the key starts.
        offset: usize,
    },
    /// A map key lower than the one before it.
    #[error("offset {offset}: map key {key} after {previous}")]
    KeyOrder {
        /// Where the key starts.
        offset: usize,
        /// The key.
        key: u64,
        /// The key before it.
        previous: u64,
    },
    /// The same map key twice.
    #[error("offset {offset}: map key {key} twice")]
    KeyTwice {
        /// Where the second one starts.
        offset: usize,
        /// The key.
        key: u64,
    },
    /// An array or map inside too many others.
    #[error("offset {offset}: deeper than {max} levels")]
    Depth {
        /// Where the item starts.
        offset: usize,
        /// Levels allowed.
        max: usize,
    },
    /// Bytes after the outermost item.
    #[error("{got} bytes after the end at offset {offset}")]
    Trailing {
        /// Where the item ends.
        offset: usize,
        /// Bytes that follow.
        got: usize,
    },
    /// The outermost item is not a map.
    #[error("the outermost item is not a map")]
    NotAMap,
}

/// Reads one canonical map that fills `bytes`.
///
/// # Errors
/// The first rule broken, in the order of the bytes.
pub fn decode_map(bytes: &[u8]) -> Result<Fields, CborError> {
    if bytes.len() > PAYLOAD_CBOR_MAX_BYTES {
        return Err(CborError::TooLong { got: bytes.len(), max: PAYLOAD_CBOR_MAX_BYTES });
    }
    let mut reader = Reader { bytes, offset: 0 };
    let value = reader.item(0)?;
    if reader.left() != 0 {
        return Err(CborError::Trailing { offset: reader.offset, got: reader.left() });
    }
    match value {
        Value::Map(fields) => Ok(fields),
        _ => Err(CborError::NotAMap),
    }
}

/// Writes a map. Total: what cannot be encoded canonically cannot be built, but for its depth and
/// length, which [`decode_map`] checks and [`crate::leaf::seal`] checks by reading back.
#[must_use]
pub fn encode_map(fields: &Fields) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    write_map(&mut out, fields);
    out
}

const MAJOR_UNSIGNED: u8 = 0;
const MAJOR_NEGATIVE: u8 = 1;
const MAJOR_BYTES: u8 = 2;
const MAJOR_TEXT: u8 = 3;
const MAJOR_ARRAY: u8 = 4;
const MAJOR_MAP: u8 = 5;
const MAJOR_TAG: u8 = 6;

struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    fn left(&self) -> usize {
        self.bytes.len() - self.offset
    }

    fn take(&mut self, count: u64) -> Result<&'a [u8], CborError> {
        let left = self.left();
        let short = CborError::Truncated { offset: self.offset, needed: count, left };
        let taken = usize::try_from(count).ok().and_then(|count| {
            let end = self.offset.checked_add(count)?;
            self.bytes.get(self.offset..end)
        });
        let taken = taken.ok_or(short)?;
        self.offset += taken.len();
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, CborError> {
        let [byte] = self.array::<1>()?;
        Ok(byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CborError> {
        let bytes = self.take(N as u64)?;
        Ok(bytes.try_into().expect("take returns as many bytes as asked for"))
    }

    /// The argument of a head whose first byte started at `start`.
    fn argument(&mut self, start: usize, info: u8) -> Result<u64, CborError> {
        let (value, least) = match info {
            0..=23 => (u64::from(info), 0),
            24 => (u64::from(self.byte()?), 24),
            25 => (u64::from(u16::from_be_bytes(self.array()?)), 1 << 8),
            26 => (u64::from(u32::from_be_bytes(self.array()?)), 1 << 16),
            27 => (u64::from_be_bytes(self.array()?), 1 << 32),
            31 => return Err(CborError::Indefinite { offset: start }),
            _ => return Err(CborError::Reserved { offset: start, info }),
        };
        if value < least { Err(CborError::NotMinimal { offset: start, value }) } else { Ok(value) }
    }

    /// One item with `depth` arrays and maps around it.
    fn item(&mut self, depth: usize) -> Result<Value, CborError> {
        let start = self.offset;
        let head = self.byte()?;
        let (major, info) = (head >> 5, head & 0x1f);
        if major > MAJOR_TAG {
            return self.simple(start, info);
        }
        let argument = self.argument(start, info)?;
        match major {
            MAJOR_UNSIGNED => Ok(Value::Int(Int::Unsigned(argument))),
            MAJOR_NEGATIVE => Ok(Value::Int(Int::Negative(argument))),
            MAJOR_BYTES => Ok(Value::Bytes(self.take(argument)?.to_vec())),
            MAJOR_TEXT => {
                let text = std::str::from_utf8(self.take(argument)?);
                Ok(Value::Text(text.map_err(|_| CborError::Utf8 { offset: start })?.to_owned()))
            }
            MAJOR_ARRAY => self.elements(start, argument, depth + 1),
            MAJOR_MAP => self.pairs(start, argument, depth + 1),
            _ => Err(CborError::Tag { offset: start, tag: argument }),
        }
    }

    fn simple(&mut self, start: usize, info: u8) -> Result<Value, CborError> {
        match info {
            20 => Ok(Value::Bool(false)),
            21 => Ok(Value::Bool(true)),
            22 | 23 => Err(CborError::Null { offset: start }),
            24 => Err(CborError::Simple { offset: start, value: self.byte()? }),
            25..=27 => Err(CborError::Float { offset: start }),
            28..=30 => Err(CborError::Reserved { offset: start, info }),
            31 => Err(CborError::Indefinite { offset: start }),
            value => Err(CborError::Simple { offset: start, value }),
        }
    }

    /// Refuses a container that is too deep, or that cannot fit the bytes left.
    fn check_container(
        &self,
        start: usize,
        items: u64,
        bytes_least: u64,
        depth: usize,
    ) -> Result<(), CborError> {
        if depth > CBOR_DEPTH_MAX {
            return Err(CborError::Depth { offset: start, max: CBOR_DEPTH_MAX });
        }
        let needed = items.saturating_mul(bytes_least);
        if needed > self.left() as u64 {
            return Err(CborError::Truncated { offset: self.offset, needed, left: self.left() });
        }
        Ok(())
    }

    fn elements(&mut self, start: usize, count: u64, depth: usize) -> Result<Value, CborError> {
        self.check_container(start, count, 1, depth)?;
        (0..count).map(|_| self.item(depth)).collect::<Result<_, _>>().map(Value::Array)
    }

    fn pairs(&mut self, start: usize, count: u64, depth: usize) -> Result<Value, CborError> {
        self.check_container(start, count, 2, depth)?;
        let mut fields = Fields::new();
        let mut previous = None;
        for _ in 0..count {
            let offset = self.offset;
            let head = self.byte()?;
            if head >> 5 != MAJOR_UNSIGNED {
                return Err(CborError::KeyType { offset });
            }
            let key = self.argument(offset, head & 0x1f)?;
            match previous {
                Some(previous) if key == previous => return Err(CborError::KeyTwice { offset, key }),
                Some(previous) if key < previous => {
                    return Err(CborError::KeyOrder { offset, key, previous });
                }
                _ => previous = Some(key),
            }
            fields.insert(key, self.item(depth)?);
        }
        Ok(Value::Map(fields))
    }
}

fn write_map(out: &mut Vec<u8>, fields: &Fields) {
    write_head(out, MAJOR_MAP, fields.len() as u64);
    for (&key, value) in fields {
        write_head(out, MAJOR_UNSIGNED, key);
        write_value(out, value);
    }
}

fn write_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Int(Int::Unsigned(value)) => write_head(out, MAJOR_UNSIGNED, *value),
        Value::Int(Int::Negative(value)) => write_head(out, MAJOR_NEGATIVE, *value),
        Value::Bytes(bytes) => {
            write_head(out, MAJOR_BYTES, bytes.len() as u64);
            out.extend_from_slice(bytes);
        }
        Value::Text(text) => {
            write_head(out, MAJOR_TEXT, text.len() as u64);
            out.extend_from_slice(text.as_bytes());
        }
        Value::Array(elements) => {
            write_head(out, MAJOR_ARRAY, elements.len() as u64);
            elements.iter().for_each(|element| write_value(out, element));
        }
        Value::Map(fields) => write_map(out, fields),
        Value::Bool(value) => out.push(if *value { 0xf5 } else { 0xf4 }),
    }
}

/// A head in its shortest form.
fn write_head(out: &mut Vec<u8>, major: u8, argument: u64) {
    let major = major << 5;
    let bytes = argument.to_be_bytes();
    let [.., b4, b5, b6, b7] = bytes;
    match argument {
        0..=23 => out.push(major | b7),
        24..=0xff => out.extend([major | 24, b7]),
        0x100..=0xffff => out.extend([major | 25, b6, b7]),
        0x1_0000..=0xffff_ffff => out.extend([major | 26, b4, b5, b6, b7]),
        _ => {
            out.push(major | 27);
            out.extend(bytes);
        }
    }
}
