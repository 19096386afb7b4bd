//! The canonical text of a roster: one fact a line, in one fixed order (SPEC §8.1).
//!
//! The reader takes lines one after the other, each with the keyword that must stand there, so that no
//! text has two readings. At the end the result is encoded again and compared: whatever the reader let
//! pass, another spelling is refused.

mod lines;
mod read;
mod write;

use super::rules::check;
use super::{Roster, RosterRule};
use crate::limits::ROSTER_BODY_MAX_BYTES;
use lines::Lines;

const HEADER: &str = "hashpact/roster/v1";
const END: &str = "end";

/// How a length of time is written: as a number of these where that is exact, else in seconds with an `s`.
struct Unit {
    seconds: u64,
}

const DAYS: Unit = Unit { seconds: 86_400 };
const HOURS: Unit = Unit { seconds: 3_600 };

impl Unit {
    fn show(&self, length_s: u64) -> String {
        if length_s.is_multiple_of(self.seconds) {
            (length_s / self.seconds).to_string()
        } else {
            format!("{length_s}s")
        }
    }
}

/// Why a text is not a roster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RosterError {
    /// Longer than a body may be.
    #[error("a roster of {got} bytes; at most {ROSTER_BODY_MAX_BYTES} are allowed")]
    Length {
        /// Its length.
        got: usize,
    },
    /// Not UTF-8.
    #[error("line {line}: a roster is UTF-8 text")]
    Utf8 {
        /// From 1.
        line: usize,
    },
    /// The text ends too early, or its last line has no newline.
    #[error("the roster breaks off after line {line}; {expected} is missing")]
    Truncated {
        /// Lines read.
        line: usize,
        /// What must follow.
        expected: &'static str,
    },
    /// A line with another keyword than must stand there.
    #[error("line {line}: expected {expected:?}")]
    Keyword {
        /// From 1.
        line: usize,
        /// What must stand there.
        expected: &'static str,
    },
    /// A value of another form.
    #[error("line {line}: {what} {given:?} is not {form}")]
    Value {
        /// From 1.
        line: usize,
        /// Which value.
        what: &'static str,
        /// Given.
        given: String,
        /// Expected.
        form: &'static str,
    },
    /// A public key that may not be used.
    #[error("line {line}: {error}")]
    Key {
        /// From 1.
        line: usize,
        /// Why not.
        error: crate::keys::KeyError,
    },
    /// Text after the end.
    #[error("line {line}: text after the end")]
    AfterEnd {
        /// From 1.
        line: usize,
    },
    /// The same facts in another spelling.
    #[error("line {line}: the roster is not in canonical form")]
    NotCanonical {
        /// From 1.
        line: usize,
    },
    /// A rule on what the text says is broken.
    #[error("line {line}: {rule}")]
    Rule {
        /// From 1: where it is broken, or where the second of two that collide stands.
        line: usize,
        /// Which.
        rule: RosterRule,
    },
}

pub(super) fn encode(roster: &Roster) -> String {
    write::write(roster).text
}

pub(super) fn parse(body: &[u8]) -> Result<Roster, RosterError> {
    if body.len() > ROSTER_BODY_MAX_BYTES {
        return Err(RosterError::Length { got: body.len() });
    }
    let text = std::str::from_utf8(body).map_err(|error| {
        let before = body.iter().take(error.valid_up_to());
        RosterError::Utf8 { line: 1 + before.filter(|byte| **byte == b'\n').count() }
    })?;
    let mut lines = Lines::new(text);
    let roster = read::read(&mut lines)?;
    // Canonical form first: from here on the place of a fact gives its line.
    let canonical = write::write(&roster);
    if canonical.text.as_bytes() != body {
        let same = canonical
            .text
            .split('\n')
            .zip(text.split('\n'))
            .take_while(|(ours, given)| ours == given)
            .count();
        return Err(RosterError::NotCanonical { line: same + 1 });
    }
    check(&roster).map_err(|(place, rule)| RosterError::Rule { line: canonical.line_of(place), rule })?;
    Ok(roster)
}
