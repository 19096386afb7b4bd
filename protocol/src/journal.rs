//! The chain of a journal of administrative actions (SPEC §12.10).
//!
//! A line carries its number and the digest of the line before it, so whoever knows the newest line knows that no
//! earlier one was changed, taken out or added. That the newest lines are still there can be shown only by
//! somebody who remembers them: the node keeps the head beside the journal, and an audit bundle's holder signs it.
//!
//! Pure text: what the actions mean, and where the lines are kept, is the node's.
//!
//! ```
//! use hashpact_protocol::journal::{JournalHead, encode_line, verify};
//! let first = encode_line(&JournalHead::default(), "\"action\":\"one\"");
//! let head = verify(JournalHead::default(), first.as_bytes()).expect("a chain");
//! assert_eq!(head.lines, 1);
//! assert!(verify(head, first.as_bytes()).is_err());
//! ```

use crate::digest::{DIGEST_BYTES, HexError, hex_array, hex_encode, sha256};

/// Longest line of a journal, without its line feed.
pub const JOURNAL_LINE_MAX_BYTES: usize = 64 * 1024;

/// The newest line of a journal. All zeros before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalHead {
    /// Lines up to here: the number of the newest one, from 1.
    pub lines: u64,
    /// SHA-256 of the newest line, without its line feed.
    pub digest: [u8; DIGEST_BYTES],
}

/// Where a journal is not a chain. Lines are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The text ends within a line.
    #[error("line {line} is torn: {bytes} bytes without a line feed")]
    Torn {
        /// Which.
        line: u64,
        /// Bytes of it.
        bytes: usize,
    },
    /// Longer than any line.
    #[error("line {line} has {bytes} bytes, more than {JOURNAL_LINE_MAX_BYTES}")]
    Long {
        /// Which.
        line: u64,
        /// Bytes of it.
        bytes: usize,
    },
    /// Does not begin as lines do.
    #[error(
        "line {line} is not a line of a journal: it must begin with its number and the digest of the line before it"
    )]
    Form {
        /// Which.
        line: u64,
    },
    /// A digest that is none.
    #[error("line {line}: {detail}")]
    Digest {
        /// Which.
        line: u64,
        /// What is wrong.
        detail: HexError,
    },
    /// Another number.
    #[error("line {line} says that it is line {found}: lines were taken out or added")]
    Number {
        /// Which it is.
        line: u64,
        /// What it says.
        found: u64,
    },
    /// The line before is not the one that was there when this one was written.
    #[error("line {} was changed: line {line} carries another digest of it", line.saturating_sub(1))]
    Changed {
        /// The line that carries the digest.
        line: u64,
    },
}

impl JournalError {
    /// The line that is named.
    #[must_use]
    pub fn line(&self) -> u64 {
        match self {
            Self::Torn { line, .. }
            | Self::Long { line, .. }
            | Self::Form { line }
            | Self::Digest { line, .. }
            | Self::Number { line, .. }
            | Self::Changed { line } => *line,
        }
    }
}

/// The line that follows `head`: a JSON object that begins with its place in the chain and goes on with `fields`,
/// which are members of a JSON object without its braces. Ends in a line feed.
#[must_use]
pub fn encode_line(head: &JournalHead, fields: &str) -> String {
    let line = head.lines.saturating_add(1);
    format!("{{\"line\":{line},\"before\":\"{}\",{fields}}}\n", hex_encode(&head.digest))
}

/// Verifies that whole lines follow `head`; gives the head after them. Of no bytes it is `head`.
///
/// # Errors
/// The first line that is not as it must be.
pub fn verify(head: JournalHead, bytes: &[u8]) -> Result<JournalHead, JournalError> {
    let mut head = head;
    let mut rest = bytes;
    while !rest.is_empty() {
        let line = head.lines.saturating_add(1);
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            return Err(JournalError::Torn { line, bytes: rest.len() });
        };
        let (text, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        rest = after.get(1..).unwrap_or_default();
        head = follow(&head, text)?;
    }
    Ok(head)
}

/// The head after one line, given without its line feed.
fn follow(head: &JournalHead, text: &[u8]) -> Result<JournalHead, JournalError> {
    let line = head.lines.saturating_add(1);
    if text.len() > JOURNAL_LINE_MAX_BYTES {
        return Err(JournalError::Long { line, bytes: text.len() });
    }
    let (found, before) =
        std::str::from_utf8(text).ok().and_then(place).ok_or(JournalError::Form { line })?;
    let before: [u8; DIGEST_BYTES] =
        hex_array(before).map_err(|detail| JournalError::Digest { line, detail })?;
    if found != line {
        return Err(JournalError::Number { line, found });
    }
    if before != head.digest {
        return Err(JournalError::Changed { line });
    }
    Ok(JournalHead { lines: line, digest: sha256(&[text]) })
}

/// Number and digest at the beginning of a line.
fn place(text: &str) -> Option<(u64, &str)> {
    let rest = text.strip_prefix("{\"line\":")?;
    let (number, rest) = rest.split_once(",\"before\":\"")?;
    let (before, rest) = rest.split_once("\",")?;
    (rest.len() > 1 && rest.ends_with('}')).then_some(())?;
    Some((crate::checkpoint::parse_decimal(number)?, before))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(actions: &[&str]) -> (String, JournalHead) {
        let (mut text, mut head) = (String::new(), JournalHead::default());
        for action in actions {
            let line = encode_line(&head, &format!("\"action\":\"{action}\""));
            head = verify(head, line.as_bytes()).expect("a line of the chain");
            text.push_str(&line);
        }
        (text, head)
    }

    #[test]
    fn a_chain_is_verified_as_a_whole_and_in_parts() {
        let (text, head) = journal(&["one", "two", "three"]);
        assert_eq!(verify(JournalHead::default(), text.as_bytes()), Ok(head));
        let cut = text.find('\n').expect("lines") + 1;
        let (first, rest) = text.as_bytes().split_at(cut);
        let after_first = verify(JournalHead::default(), first).expect("one line");
        assert_eq!(verify(after_first, rest), Ok(head));
        assert_eq!(verify(head, b""), Ok(head));
        assert_eq!(head.lines, 3);
    }

    #[test]
    fn every_changed_byte_is_found_at_its_line_or_changes_the_head() {
        let (text, head) = journal(&["one", "two", "three"]);
        let starts: Vec<usize> =
            (0..text.len()).filter(|at| *at == 0 || text.as_bytes()[at - 1] == b'\n').collect();
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] ^= 1;
            let line = starts.iter().filter(|start| **start <= at).count() as u64;
            match verify(JournalHead::default(), &changed) {
                // The last line, or a line feed whose loss makes one line of the last two.
                Ok(found) => assert!(line >= 2 && found != head, "byte {at}"),
                Err(error) => assert!((line..=line + 1).contains(&error.line()), "byte {at}: {error}"),
            }
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let (text, _) = journal(&["one", "two", "three"]);
        let lines: Vec<&str> = text.lines().collect();
        let check = |text: &str, expected: &str| {
            let error = verify(JournalHead::default(), text.as_bytes()).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(&text[..text.len() - 1], "line 3 is torn: ");
        check(
            &format!("{}\n{}\n", lines[0], lines[2]),
            "line 2 says that it is line 3: lines were taken out",
        );
        check(&text.replace("\"two\"", "\"TWO\""), "line 2 was changed: line 3 carries another digest of it");
        check("hello\n", "line 1 is not a line of a journal");
        check(&(lines[0].replace("before\":\"00", "before\":\"0X") + "\n"), "line 1: byte 1 of the text");
        check(
            &format!("{{\"line\":1,\"before\":\"{}\",{}}}\n", "0".repeat(64), "x".repeat(70_000)),
            "more than 65536",
        );
    }
}
