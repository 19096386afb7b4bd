//! Controlled vocabularies: a code in the payload, a word in JSON.
//!
//! A label is stated by its code; code 0 is its default and is never written, so that absence is the
//! only way to say nothing. A code that this version has no word for is kept and reads as a cautious
//! fallback, so that adding a word is not a format break.
//!
//! SPEC §7.3.

use crate::codec::Cursor;
use std::fmt::Debug;

/// A closed set of words, each with a code.
pub trait Vocabulary: Copy + Ord + Debug + 'static {
    /// Name of the field that holds such a word.
    const FIELD: &'static str;
    /// Every word with its code and name, by code.
    const TABLE: &'static [(Self, u8, &'static str)];

    /// The code in a payload.
    fn code(self) -> u8 {
        Self::TABLE.iter().find(|row| row.0 == self).map(|row| row.1).expect("every word is in its table")
    }

    /// The word in JSON.
    fn name(self) -> &'static str {
        Self::TABLE.iter().find(|row| row.0 == self).map(|row| row.2).expect("every word is in its table")
    }

    /// The word with this code.
    fn from_code(code: u64) -> Option<Self> {
        Self::TABLE.iter().find(|row| u64::from(row.1) == code).map(|row| row.0)
    }

    /// The word with this name.
    fn parse(name: &str) -> Option<Self> {
        Self::TABLE.iter().find(|row| row.2 == name).map(|row| row.0)
    }

    /// Every word, by code.
    fn all() -> impl Iterator<Item = Self> {
        Self::TABLE.iter().map(|row| row.0)
    }
}

/// A vocabulary whose words are labels.
pub trait LabelWord: Vocabulary {
    /// What absence means; its code is 0.
    const DEFAULT: Self;
    /// What an unknown code reads as: the cautious reading, often the default.
    const FALLBACK: Self;
}

/// A label as stated: a word, or a code of a newer version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Label<T> {
    /// A word of this version.
    Known(T),
    /// A code that this version has no word for.
    Unknown(u64),
}

impl<T: LabelWord> Label<T> {
    /// The word to act upon: the one stated, or the fallback.
    #[must_use]
    pub fn get(self) -> T {
        match self {
            Self::Known(word) => word,
            Self::Unknown(_) => T::FALLBACK,
        }
    }

    /// The code as stated.
    #[must_use]
    pub fn code(self) -> u64 {
        match self {
            Self::Known(word) => word.code().into(),
            Self::Unknown(code) => code,
        }
    }

    /// The label with this code.
    #[must_use]
    pub fn from_code(code: u64) -> Self {
        T::from_code(code).map_or(Self::Unknown(code), Self::Known)
    }
}

impl<T: LabelWord> Label<T> {
    /// A code that is written: not the default's.
    pub(super) fn read_plain(cursor: &mut Cursor<'_>) -> Option<Self> {
        cursor.unsigned().filter(|code| *code != 0).map(Self::from_code)
    }
}

impl<T: LabelWord> Default for Label<T> {
    fn default() -> Self {
        Self::Known(T::DEFAULT)
    }
}

impl<T> From<T> for Label<T> {
    fn from(word: T) -> Self {
        Self::Known(word)
    }
}
