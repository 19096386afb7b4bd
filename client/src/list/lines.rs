//! Lines of a list, one at a time, numbered, with a bound on their length.
//!
//! A member's list may have millions of lines and may come from a tool that we do not know, so
//! nothing here trusts its size: a line longer than [`LINE_MAX_BYTES`] is skipped to its end and
//! reported, and the reader's memory stays the same. Line ends may be `\n` or `\r\n`; a byte order
//! mark before the first line is dropped (spreadsheets write one).
//!
//! The reader also keeps a running digest of the lines it handed out. The import journal stores
//! it, and a resumed import compares it, so that a list that was edited between two runs is
//! noticed instead of being stated half from the old and half from the new text.

use std::io::{self, BufRead};

use hashpact_protocol::digest;

/// The longest line that a list may have, in bytes. A record of 64 PhotoDNA signals in JSON needs
/// less than a third of it.
pub const LINE_MAX_BYTES: usize = 128 * 1024;

/// A line as found: its text, or why it has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RawLine {
    /// The text without its line end.
    Text(String),
    /// Longer than [`LINE_MAX_BYTES`]; its length in bytes.
    TooLong(u64),
    /// Not UTF-8.
    NotUtf8,
}

/// Reads lines and counts them; see the module's text.
pub struct Lines<R> {
    inner: R,
    number: u64,
    bytes: u64,
    chain: [u8; 32],
}

impl<R: BufRead> Lines<R> {
    /// Starts before the first line of `inner`.
    pub fn new(inner: R) -> Lines<R> {
        Lines { inner, number: 0, bytes: 0, chain: digest::sha256(&[b"hashpact/list/v1\0"]) }
    }

    /// The number of the line handed out last; the first line is 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Bytes consumed so far, line ends included.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A digest of every line handed out so far, in order.
    pub fn chain(&self) -> [u8; 32] {
        self.chain
    }

    /// The next line, or `None` at the end of the input.
    ///
    /// # Errors
    /// Only those of reading; a line that cannot be used is a value, not an error.
    pub fn next_line(&mut self) -> io::Result<Option<RawLine>> {
        let mut line: Vec<u8> = Vec::with_capacity(256);
        let mut length_bytes = 0u64;
        let mut ended = false;
        while !ended {
            let available = match self.inner.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if available.is_empty() {
                break;
            }
            let newline = available.iter().position(|byte| *byte == b'\n');
            let taken = newline.map_or(available.len(), |at| at + 1);
            ended = newline.is_some();
            let text = &available[..newline.unwrap_or(taken)];
            length_bytes += text.len() as u64;
            // One byte past the bound is kept, so that a line at the bound followed by `\r` is not cut.
            let room = (LINE_MAX_BYTES + 1).saturating_sub(line.len());
            line.extend_from_slice(&text[..text.len().min(room)]);
            self.bytes += taken as u64;
            self.inner.consume(taken);
        }
        if length_bytes == 0 && !ended {
            return Ok(None);
        }
        self.number += 1;
        // Over whole lines, not over what one read returned: the digest must not depend on buffers.
        self.chain = digest::sha256(&[&self.chain, &length_bytes.to_be_bytes(), &line]);
        Ok(Some(self.classify(line, length_bytes)))
    }

    fn classify(&self, mut line: Vec<u8>, mut length_bytes: u64) -> RawLine {
        if length_bytes <= (LINE_MAX_BYTES + 1) as u64 && line.last() == Some(&b'\r') {
            line.pop();
            length_bytes -= 1;
        }
        if length_bytes > LINE_MAX_BYTES as u64 {
            return RawLine::TooLong(length_bytes);
        }
        if self.number == 1 && line.starts_with(b"\xEF\xBB\xBF") {
            line.drain(..3);
        }
        String::from_utf8(line).map_or(RawLine::NotUtf8, RawLine::Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(bytes: &[u8], buffer: usize) -> (Vec<RawLine>, [u8; 32]) {
        let mut lines = Lines::new(io::BufReader::with_capacity(buffer, bytes));
        let mut found = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            found.push(line);
        }
        assert_eq!(lines.bytes(), bytes.len() as u64);
        assert_eq!(lines.number(), found.len() as u64);
        (found, lines.chain())
    }

    #[test]
    fn bounds_marks_and_line_ends() {
        let text = |s: &str| RawLine::Text(s.to_owned());
        assert_eq!(all(b"\xEF\xBB\xBFa\r\n\r\nb", 7).0, [text("a"), text(""), text("b")]);
        assert_eq!(all(b"a\n\xFF\xFE\nc\n", 7).0, [text("a"), RawLine::NotUtf8, text("c")]);
        assert_eq!(all(b"", 7).0, []);
        let at = vec![b'x'; LINE_MAX_BYTES];
        let past = vec![b'x'; LINE_MAX_BYTES + 1];
        let joined = [&at[..], b"\r\n", &past, b"\n", &past, b"tail\nend"].concat();
        let found = all(&joined, 1000).0;
        assert_eq!(found[0], RawLine::Text(String::from_utf8(at).unwrap()));
        assert_eq!(found[1], RawLine::TooLong(LINE_MAX_BYTES as u64 + 1));
        assert_eq!(found[2], RawLine::TooLong(LINE_MAX_BYTES as u64 + 5));
        assert_eq!(found[3], text("end"));
    }

    proptest! {
        #[test]
        fn the_buffer_size_changes_nothing(bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..200), a in 1usize..9, b in 9usize..300) {
            prop_assert_eq!(all(&bytes, a), all(&bytes, b));
        }
    }
}
