//! The error of a request body: which field, which rule, which numbers.
//!
//! A message repeats a word of a controlled vocabulary when it is short and plain, because
//! `unknown value "generatd"` saves a support call; it never repeats a value, an id or anything
//! long, because messages are logged and signals must not be.

use crate::record::{RecordError, SignalType, Vocabulary};

/// One field that breaks one rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {rule}")]
pub struct FieldError {
    /// Where, from the root of the body: `items[3].signals[0].value`.
    pub path: String,
    /// What is wrong there.
    pub rule: FieldRule,
}

impl FieldError {
    pub(super) fn new(path: impl Into<String>, rule: FieldRule) -> Self {
        Self { path: path.into(), rule }
    }

    /// The same error about a value that has no field of its own.
    pub(super) fn at(self, outer: &str) -> Self {
        if self.path.is_empty() {
            Self { path: outer.to_owned(), rule: self.rule }
        } else {
            self.within(outer)
        }
    }

    /// The same error seen from one level further out.
    pub(super) fn within(self, outer: &str) -> Self {
        Self { path: format!("{outer}.{}", self.path), rule: self.rule }
    }
}

/// A rule of a request body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FieldRule {
    /// A hexadecimal value of the wrong length.
    #[error("expected {expected} lower-case hex digits, got {got}")]
    HexLength {
        /// Digits the type has.
        expected: usize,
        /// Characters given.
        got: usize,
    },
    /// A character that is not a lower-case hexadecimal digit.
    #[error("expected lower-case hex digits, but character {position} is none (counted from 0)")]
    HexDigit {
        /// Which character, counted from 0.
        position: usize,
    },
    /// A list that must not be empty is empty.
    #[error("must not be empty")]
    Empty,
    /// A field that answers have, or another list, or records of another kind.
    #[error("has no place here")]
    NotHere,
    /// A number that is left out instead.
    #[error("0 is not stated; leave the field out")]
    Zero,
    /// A text that is not base64.
    #[error("expected base64 with padding")]
    Base64,
    /// A list with too many elements.
    #[error("{got} elements, at most {max} are allowed")]
    TooMany {
        /// Elements given.
        got: usize,
        /// Elements allowed.
        max: usize,
    },
    /// More signals in one call than allowed, summed over its items.
    #[error("{got} signals in one call, at most {max} are allowed")]
    TooManySignals {
        /// Signals given.
        got: usize,
        /// Signals allowed.
        max: usize,
    },
    /// A text with too many bytes, or none.
    #[error("{got} bytes, expected 1..={max}")]
    TextLength {
        /// Bytes given.
        got: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// A control character in a text.
    #[error("control characters are not allowed")]
    ControlCharacter,
    /// A word that is not in the vocabulary of its field.
    #[error("unknown value{}, expected one of: {allowed}", quoted(.got))]
    UnknownWord {
        /// The word, when it is short and plain.
        got: Option<String>,
        /// The vocabulary.
        allowed: String,
    },
    /// A radius above the largest for which matching is exact.
    #[error("distance {got}, at most {max} is allowed")]
    Distance {
        /// Radius asked for.
        got: u32,
        /// Largest radius.
        max: u32,
    },
    /// A radius for a signal type that matches exactly.
    #[error("{kind} matches exactly; the only distance is 0, got {got}")]
    ExactType {
        /// The signal type.
        kind: SignalType,
        /// Radius asked for.
        got: u32,
    },
    /// Variants of a signal type that has none.
    #[error("{kind} signals have no variants")]
    NoVariants {
        /// The signal type.
        kind: SignalType,
    },
    /// A labels object that carries raw values in a request.
    #[error("raw label values can be shown, not stated")]
    RawLabels,
    /// A time that is not RFC 3339 in the years 1970 to 9999.
    #[error("{0}")]
    Time(#[from] super::time::TimeError),
    /// A time with a fraction of a second where whole seconds are kept.
    #[error("expected whole seconds")]
    WholeSeconds,
    /// A list that holds one of its elements again.
    #[error("the same one stands there twice")]
    Twice,
    /// An identifier of a model of as many digits as its type does not have.
    #[error("expected 64 hex digits, or the 8, 10 or 12 that its type begins with, got {got}")]
    ModelIdDigits {
        /// Characters given.
        got: usize,
    },
    /// Bits of tiles that are no base64, none, or no whole tiles.
    #[error("expected base64 of 32 bytes for each tile, at least one")]
    TileBits,
    /// A tile with too short a side.
    #[error("a tile with a side of {got}; the least is {min}")]
    TileSide {
        /// The shorter side.
        got: u32,
        /// The least that has a sketch.
        min: u32,
    },
    /// A rule of records.
    #[error("{0}")]
    Record(#[from] RecordError),
}

fn quoted(got: &Option<String>) -> String {
    got.as_ref().map(|word| format!(" \"{word}\"")).unwrap_or_default()
}

/// The word if showing it cannot reveal a signal or a sentence: at most 24 plain characters, fewer
/// than the digits of the shortest registered signal.
pub(super) fn showable(word: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-+.".contains(&byte);
    (!word.is_empty() && word.len() <= 24 && word.bytes().all(plain)).then(|| word.to_owned())
}

/// Reads a word of a vocabulary.
pub(super) fn vocabulary<T: Vocabulary>(path: &str, word: &str) -> Result<T, FieldError> {
    T::parse(word).ok_or_else(|| {
        let allowed = T::all().map(Vocabulary::name).collect::<Vec<_>>().join(", ");
        FieldError::new(path, FieldRule::UnknownWord { got: showable(word), allowed })
    })
}

/// Reads a signal type.
pub(super) fn signal_type(path: &str, word: &str) -> Result<SignalType, FieldError> {
    SignalType::parse(word).ok_or_else(|| {
        let allowed = SignalType::ALL.map(SignalType::name).join(", ");
        FieldError::new(path, FieldRule::UnknownWord { got: showable(word), allowed })
    })
}

/// Reads exactly `width_bytes` bytes of lower-case hexadecimal into `out`.
pub(super) fn hex_into(path: &str, text: &str, out: &mut [u8]) -> Result<(), FieldError> {
    let expected = out.len() * 2;
    if text.len() != expected {
        let got = text.chars().count();
        // A multi-byte character can make lengths in bytes and characters differ; name the character.
        return Err(match text.chars().position(|c| !c.is_ascii()) {
            Some(position) => FieldError::new(path, FieldRule::HexDigit { position }),
            None => FieldError::new(path, FieldRule::HexLength { expected, got }),
        });
    }
    for (position, (byte, pair)) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)).enumerate() {
        let digit = |nth: usize| {
            let value = match pair.get(nth).copied().unwrap_or_default() {
                digit @ b'0'..=b'9' => digit - b'0',
                digit @ b'a'..=b'f' => digit - b'a' + 10,
                _ => {
                    return Err(FieldError::new(path, FieldRule::HexDigit { position: position * 2 + nth }));
                }
            };
            Ok(value)
        };
        *byte = digit(0)? << 4 | digit(1)?;
    }
    Ok(())
}

/// Reads lower-case hexadecimal of any even number of digits, at most `max_bytes` bytes.
pub(super) fn hex_bytes(path: &str, text: &str, max_bytes: usize) -> Result<Vec<u8>, FieldError> {
    let mut bytes = vec![0; (text.len() / 2).min(max_bytes)];
    hex_into(path, text, &mut bytes)?;
    Ok(bytes)
}
