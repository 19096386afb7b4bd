//! The binary answer of `POST /v1/match/bulk`: a header, one frame a matching record, one last frame.
//!
//! All integers are big-endian, all unnamed bytes are zero. The header has 80 bytes:
//!
//! | at | bytes | |
//! |---|---|---|
//! | 0 | 4 | `HPM1` |
//! | 4 | 2 | PDQ radius that is applied |
//! | 8 | 8 | roster version |
//! | 16 | 64 | name of the view when the answer began, ASCII, padded with zeros |
//!
//! Frames have 48 bytes and begin with their kind:
//!
//! | at | bytes | 1: a matching record | 2: the end | 3: broken off |
//! |---|---|---|---|---|
//! | 0 | 1 | 1 | 2 | 3 |
//! | 1 | 1 | outcome of the item | why not complete, 0: complete | why |
//! | 2 | 1 | review of the record | 1 if the view is still the header's | |
//! | 4 | 4 | number of the item, from 0 | items looked up | items looked up |
//! | 8 | 4 | matching records of the item in all | items with a match | |
//! | 12 | 2 | distance | | |
//! | 16 | 32 | record id | | |
//!
//! Items come in the order of the request, the records of an item closest first, at most 100 of them
//! ([`MATCHES_PER_ITEM_MAX`](crate::limits::MATCHES_PER_ITEM_MAX)); an item without a match has no frame. Nothing follows an end. The
//! [`FrameReader`] checks all of this, so that a lost part of an answer is never taken for "no match".
//!
//! SPEC §11.1.

mod reader;
mod words;

use crate::digest::RecordId;
use crate::record::Vocabulary;

pub use reader::{FrameEvent, FrameReader};
pub use words::{BrokenOff, FrameOutcome, Incomplete};

/// First bytes of an answer: format and version.
pub const MAGIC: [u8; 4] = *b"HPM1";
/// Size of the header.
pub const HEADER_BYTES: usize = 80;
/// Size of every frame.
pub const FRAME_BYTES: usize = 48;
/// Longest name of a view.
pub const VIEW_MAX_BYTES: usize = 64;

/// What comes before the first frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// PDQ radius that is applied.
    pub pdq_distance: u16,
    /// Roster version.
    pub roster: u64,
    /// Name of the view when the answer began: at most 64 characters of ASCII.
    pub view: String,
}

/// One record that matches one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatchFrame {
    /// Number of the item in the request, from 0.
    pub item: u32,
    /// Matching records of the item in all; at most 100 have a frame.
    pub total: u32,
    /// Distance between the signals; 0 is equal.
    pub distance: u16,
    /// Outcome of the item, the same in all its frames.
    pub outcome: FrameOutcome,
    /// Code of who looked at the record (SPEC §7.5); newer nodes may send newer codes.
    pub review: u8,
    /// The record.
    pub record: RecordId,
}

/// The end of a whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndFrame {
    /// Items looked up.
    pub items: u32,
    /// Items with a match.
    pub matched: u32,
    /// Set if any part was answered while the node was not complete: then no match proves nothing.
    pub incomplete: Option<Incomplete>,
    /// Whether the view at the end is the one of the header.
    pub same_view: bool,
}

/// The end of an answer that broke off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokenFrame {
    /// Why.
    pub why: BrokenOff,
    /// Items looked up before.
    pub items: u32,
}

/// One frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// One record that matches one item.
    Match(MatchFrame),
    /// The end of a whole answer.
    End(EndFrame),
    /// The end of an answer that broke off.
    Broken(BrokenFrame),
}

/// Why bytes are not an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Another format or version.
    #[error("the answer does not begin with HPM1")]
    Magic,
    /// A view's name that is not at most 64 bytes of printable ASCII.
    #[error("the name of the view is not 1..={VIEW_MAX_BYTES} printable ASCII characters")]
    View,
    /// A byte that must be zero is not.
    #[error("byte {at} of a header or frame must be zero")]
    Reserved {
        /// Its place.
        at: usize,
    },
    /// A kind, outcome, reason or flag that this version does not know.
    #[error("unknown {what} {code}")]
    Unknown {
        /// What it is.
        what: &'static str,
        /// The byte.
        code: u8,
    },
    /// An item with fewer or more frames than its total asks for, or frames that contradict it.
    #[error("the frames of item {item} do not agree with its total")]
    Item {
        /// The item.
        item: u32,
    },
    /// An item that comes after a later one.
    #[error("item {item} comes after item {after}")]
    Order {
        /// The item.
        item: u32,
        /// The one before it.
        after: u32,
    },
    /// The end counts otherwise than the frames before it.
    #[error("the end says {items} items and {matched} with a match, the frames say otherwise")]
    Count {
        /// Items by its word.
        items: u32,
        /// Items with a match by its word.
        matched: u32,
    },
    /// Bytes after the end.
    #[error("bytes follow the end of the answer")]
    AfterEnd,
    /// No end: the answer broke off on its way.
    #[error("the answer broke off: it has no end")]
    NoEnd,
}

impl FrameHeader {
    /// Its bytes.
    ///
    /// # Errors
    /// A name of a view that does not fit.
    pub fn encode(&self) -> Result<[u8; HEADER_BYTES], FrameError> {
        let view = self.view.as_bytes();
        if view.is_empty() || view.len() > VIEW_MAX_BYTES || !view.iter().all(u8::is_ascii_graphic) {
            return Err(FrameError::View);
        }
        let mut bytes = [0; HEADER_BYTES];
        put(&mut bytes, 0, &MAGIC);
        put(&mut bytes, 4, &self.pdq_distance.to_be_bytes());
        put(&mut bytes, 8, &self.roster.to_be_bytes());
        put(&mut bytes, 16, view);
        Ok(bytes)
    }

    /// Reads the bytes.
    ///
    /// # Errors
    /// The rule that they break.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, FrameError> {
        if take::<4>(bytes, 0) != MAGIC {
            return Err(FrameError::Magic);
        }
        check_zero(bytes, 6, 8)?;
        let field: [u8; VIEW_MAX_BYTES] = take(bytes, 16);
        let length = field.iter().position(|byte| *byte == 0).unwrap_or(VIEW_MAX_BYTES);
        check_zero(bytes, 16 + length, HEADER_BYTES)?;
        let name = field.get(..length).unwrap_or_default();
        if name.is_empty() || !name.iter().all(u8::is_ascii_graphic) {
            return Err(FrameError::View);
        }
        Ok(Self {
            pdq_distance: u16::from_be_bytes(take(bytes, 4)),
            roster: u64::from_be_bytes(take(bytes, 8)),
            view: name.iter().copied().map(char::from).collect(),
        })
    }
}

impl Frame {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; FRAME_BYTES] {
        let mut bytes = [0; FRAME_BYTES];
        match self {
            Self::Match(found) => {
                put(&mut bytes, 0, &[1, found.outcome.code(), found.review]);
                put(&mut bytes, 4, &found.item.to_be_bytes());
                put(&mut bytes, 8, &found.total.to_be_bytes());
                put(&mut bytes, 12, &found.distance.to_be_bytes());
                put(&mut bytes, 16, found.record.as_bytes());
            }
            Self::End(end) => {
                let why = end.incomplete.map_or(0, Vocabulary::code);
                put(&mut bytes, 0, &[2, why, u8::from(end.same_view)]);
                put(&mut bytes, 4, &end.items.to_be_bytes());
                put(&mut bytes, 8, &end.matched.to_be_bytes());
            }
            Self::Broken(broken) => {
                put(&mut bytes, 0, &[3, broken.why.code()]);
                put(&mut bytes, 4, &broken.items.to_be_bytes());
            }
        }
        bytes
    }

    /// Reads the bytes of one frame by itself; whether it fits the ones before it, [`FrameReader`] says.
    ///
    /// # Errors
    /// The rule that they break.
    pub fn decode(bytes: &[u8; FRAME_BYTES]) -> Result<Self, FrameError> {
        let [kind, first, second, ..] = *bytes;
        let number = |at| u32::from_be_bytes(take(bytes, at));
        check_zero(bytes, 3, 4)?;
        match kind {
            1 => {
                check_zero(bytes, 14, 16)?;
                Ok(Self::Match(MatchFrame {
                    item: number(4),
                    total: number(8),
                    distance: u16::from_be_bytes(take(bytes, 12)),
                    outcome: word(first)?,
                    review: second,
                    record: RecordId::new(take(bytes, 16)),
                }))
            }
            2 => {
                check_zero(bytes, 12, FRAME_BYTES)?;
                let incomplete = match first {
                    0 => None,
                    code => Some(word(code)?),
                };
                if second > 1 {
                    return Err(FrameError::Unknown { what: "flag", code: second });
                }
                let (items, matched) = (number(4), number(8));
                Ok(Self::End(EndFrame { items, matched, incomplete, same_view: second == 1 }))
            }
            3 => {
                check_zero(bytes, 2, 4)?;
                check_zero(bytes, 8, FRAME_BYTES)?;
                Ok(Self::Broken(BrokenFrame { why: word(first)?, items: number(4) }))
            }
            code => Err(FrameError::Unknown { what: "frame", code }),
        }
    }
}

/// Writes `value` at a place that the layout above says is inside.
fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    let places = bytes.get_mut(at..at + value.len()).expect("the layout has room for each of its fields");
    places.copy_from_slice(value);
}

/// Reads `N` bytes at a place that the layout above says is inside.
fn take<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let places = bytes.get(at..at + N).and_then(|places| places.try_into().ok());
    places.expect("the layout has room for each of its fields")
}

/// The word with this byte.
fn word<T: Vocabulary>(code: u8) -> Result<T, FrameError> {
    T::from_code(u64::from(code)).ok_or(FrameError::Unknown { what: T::FIELD, code })
}

fn check_zero(bytes: &[u8], from: usize, to: usize) -> Result<(), FrameError> {
    let places = bytes.get(from..to).unwrap_or_default();
    match places.iter().position(|byte| *byte != 0) {
        Some(position) => Err(FrameError::Reserved { at: from + position }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
