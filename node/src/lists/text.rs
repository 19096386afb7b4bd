//! A list as a file: strict TOML, with errors that name the line and the key.

use hashpact_core::policy::{List, ListError};
use hashpact_protocol::api::ListJson;
use std::fmt::Write as _;

/// Longest file of a list.
pub const LIST_FILE_MAX_BYTES: usize = 64 * 1024;

/// Keys that a list must not have, and why.
const FORBIDDEN: [&str; 2] = ["origin", "evidence"];

/// Why a file is no list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// Too long.
    #[error("a list has at most {LIST_FILE_MAX_BYTES} bytes, this has {got}")]
    Length {
        /// Its bytes.
        got: usize,
    },
    /// No TOML, an unknown key, or a value of another type.
    #[error("{place}{message}")]
    Shape {
        /// `line 3: ` or nothing.
        place: String,
        /// What is wrong.
        message: String,
    },
    /// A key over which no list may have a condition.
    #[error(
        "{place}{key}: a list has no condition over {key}: origin, and evidence of origin, change no outcome; action rests on \
         review"
    )]
    Forbidden {
        /// `line 3: ` or nothing.
        place: String,
        /// The key.
        key: &'static str,
    },
    /// A value that breaks a rule.
    #[error("{place}{error}")]
    Rule {
        /// `line 3: ` or nothing.
        place: String,
        /// Key and rule.
        error: ListError,
    },
}

/// Reads a list from TOML.
///
/// # Errors
/// What is wrong, with its line.
pub fn read_toml(text: &str) -> Result<List, TextError> {
    if text.len() > LIST_FILE_MAX_BYTES {
        return Err(TextError::Length { got: text.len() });
    }
    let shape = |error: &toml::de::Error| {
        let place = error.span().map_or_else(String::new, |span| line_at(text, span.start));
        // The first line says what is wrong; the rest repeats the text.
        let message = error.message().lines().next().unwrap_or_default().to_owned();
        TextError::Shape { place, message }
    };
    let table = toml::de::DeTable::parse(text).map_err(|error| shape(&error))?;
    for key in FORBIDDEN {
        if let Some((found, _)) = table.get_ref().iter().find(|(found, _)| found.get_ref() == key) {
            return Err(TextError::Forbidden { place: line_at(text, found.span().start), key });
        }
    }
    let read: ListJson = toml::from_str(text).map_err(|error| shape(&error))?;
    List::read(&read).map_err(|error| {
        let first = error.key.split('.').next().unwrap_or(error.key);
        let found = table.get_ref().iter().find(|(found, _)| found.get_ref() == first);
        let place = found.map_or_else(String::new, |(found, _)| line_at(text, found.span().start));
        TextError::Rule { place, error }
    })
}

/// Reads a list from JSON.
///
/// # Errors
/// What is wrong, with its line where that is known.
pub fn read_json(bytes: &[u8]) -> Result<List, TextError> {
    let place = |error: &serde_json::Error| match error.line() {
        0 => String::new(),
        line => format!("line {line}, column {}: ", error.column()),
    };
    let shape = |error: serde_json::Error| {
        let words = error.to_string();
        let message = words.rsplit_once(" at line ").map_or(words.as_str(), |(words, _)| words).to_owned();
        TextError::Shape { place: place(&error), message }
    };
    let table: serde_json::Value = serde_json::from_slice(bytes).map_err(shape)?;
    if let Some(key) = FORBIDDEN.into_iter().find(|key| table.get(key).is_some()) {
        return Err(TextError::Forbidden { place: String::new(), key });
    }
    // Read from the text again, so that errors have their place.
    let read: ListJson = serde_json::from_slice(bytes).map_err(shape)?;
    List::read(&read).map_err(|error| TextError::Rule { place: String::new(), error })
}

/// A list as it stands in its file.
#[must_use]
pub(super) fn write_toml(list: &List) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "# Kept by the node: change it with `hashpact lists put`.");
    text.push_str(&toml::to_string(&list.show()).expect("plain data becomes TOML"));
    text
}

/// `line 3: `.
fn line_at(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    format!("line {}: ", before.matches('\n').count() + 1)
}
