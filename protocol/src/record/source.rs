//! Where a statement comes from, when a member passes on somebody else's.
//!
//! Organisation, list, id in the list and day: enough to count independent sources and to ask the
//! original author, and no room for prose. Tokens have an alphabet without `/`, `:` and `@`, so that
//! neither an address of the web nor one of a person can be written.
//!
//! SPEC §7.6.

use super::error::{RecordError, SchemaError};
use super::schema::{MapReader, MapWriter, UnknownFields, find_foreign_key};
use crate::api::time;
use crate::codec::{Cursor, Fields, Value};
use crate::leaf::OpaqueReason;
use crate::limits::{TIME_S_MAX, TOKEN_MAX_BYTES};
use smol_str::SmolStr;

pub(super) const MAP: &str = "source";

const KEY_ORGANISATION: u64 = 0;
const KEY_DATE: u64 = 1;
const KEY_LIST: u64 = 2;
const KEY_ID: u64 = 4;

/// A name of 1 to 64 characters `a-z 0-9 . _ -`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(SmolStr);

impl Token {
    /// Checks length and alphabet.
    ///
    /// # Errors
    /// The rule that the text breaks.
    pub fn new(text: &str) -> Result<Self, RecordError> {
        Self::check(text)?;
        Ok(Self(text.into()))
    }

    /// Whether a text is one.
    ///
    /// # Errors
    /// The rule that the text breaks.
    pub fn check(text: &str) -> Result<(), RecordError> {
        if text.is_empty() || text.len() > TOKEN_MAX_BYTES {
            return Err(RecordError::TokenLength { got: text.len() });
        }
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        match text.bytes().position(|byte| !allowed(byte)) {
            Some(position) => Err(RecordError::TokenCharacter { position }),
            None => Ok(()),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn to_value(&self) -> Value {
        Value::Text(self.0.to_string())
    }
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A day from 1970-01-01 to 9999-12-31.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(u64);

impl Date {
    /// The day that many days after 1970-01-01.
    ///
    /// # Errors
    /// A day after the year 9999.
    pub fn from_days(days: u64) -> Result<Self, RecordError> {
        if days > TIME_S_MAX / 86_400 {
            return Err(RecordError::DayRange { got: days });
        }
        Ok(Self(days))
    }

    /// Days since 1970-01-01.
    #[must_use]
    pub const fn days(self) -> u64 {
        self.0
    }

    /// Reads `YYYY-MM-DD`.
    ///
    /// # Errors
    /// The form, or a day that does not exist or is before 1970.
    pub fn parse(text: &str) -> Result<Self, RecordError> {
        time::parse_day(text).map(Self).map_err(RecordError::Date)
    }
}

impl std::fmt::Display for Date {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&time::day_text(self.0))
    }
}

/// The original of a statement; the importer's claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Organisation that made it.
    pub organisation: Token,
    /// List it stands in.
    pub list: Option<Token>,
    /// Its id in that list.
    pub id: Option<Token>,
    /// Day it was made.
    pub date: Option<Date>,
    /// Fields of a newer version that may be ignored.
    pub unknown: UnknownFields,
}

impl Source {
    /// A source of which only the organisation is known.
    #[must_use]
    pub const fn new(organisation: Token) -> Self {
        Self { organisation, list: None, id: None, date: None, unknown: UnknownFields::new() }
    }

    pub(super) fn find_foreign(fields: &Fields) -> Option<OpaqueReason> {
        find_foreign_key(MAP, fields, &[KEY_ORGANISATION, KEY_LIST, KEY_ID])
    }

    pub(super) fn read(fields: Fields) -> Result<Self, SchemaError> {
        let mut map = MapReader::new(MAP, fields);
        let organisation = read_token(&mut map, KEY_ORGANISATION)?;
        Ok(Self {
            organisation: organisation.ok_or_else(|| map.missing(KEY_ORGANISATION))?,
            list: read_token(&mut map, KEY_LIST)?,
            id: read_token(&mut map, KEY_ID)?,
            date: match map.unsigned(KEY_DATE)? {
                Some(days) => Some(Date::from_days(days).map_err(|rule| map.broken(KEY_DATE, rule))?),
                None => None,
            },
            unknown: map.finish()?,
        })
    }

    /// Known fields alone.
    pub(super) fn read_plain(cursor: &mut Cursor<'_>) -> Option<Self> {
        let (mut organisation, mut list, mut id, mut date) = (None, None, None, None);
        cursor.map(|cursor, key| {
            match key {
                KEY_ORGANISATION => organisation = Some(Token::new(cursor.text()?).ok()?),
                KEY_DATE => date = Some(Date::from_days(cursor.unsigned()?).ok()?),
                KEY_LIST => list = Some(Token::new(cursor.text()?).ok()?),
                KEY_ID => id = Some(Token::new(cursor.text()?).ok()?),
                _ => return None,
            }
            Some(())
        })?;
        Some(Self { organisation: organisation?, list, id, date, unknown: UnknownFields::new() })
    }

    pub(super) fn to_fields(&self) -> Fields {
        let mut map = MapWriter::new(&self.unknown);
        map.put(KEY_ORGANISATION, self.organisation.to_value());
        map.put_some(KEY_DATE, self.date.map(|date| Value::unsigned(date.days())));
        map.put_some(KEY_LIST, self.list.as_ref().map(Token::to_value));
        map.put_some(KEY_ID, self.id.as_ref().map(Token::to_value));
        map.finish()
    }
}

pub(super) fn read_token(map: &mut MapReader, key: u64) -> Result<Option<Token>, SchemaError> {
    let Some(text) = map.text(key)? else {
        return Ok(None);
    };
    Token::new(&text).map(Some).map_err(|rule| map.broken(key, rule))
}
