//! What the commands print: tables and sentences for people, one JSON object a line for programs.
//!
//! Results go to standard output, everything else (warnings, progress, summaries of work done) to
//! standard error, so that a pipe carries results only. Text that came from a file name or from the
//! node is passed through [`printable`]: a file name must not be able to move the cursor of an
//! analyst's terminal. A closed pipe (`| head`) ends the program quietly.

use std::io::{self, Write};

use serde::Serialize;

/// How the commands print; made once from the global options.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// Print JSON objects instead of tables.
    pub(crate) json: bool,
    /// Print no summaries, hints or progress.
    pub(crate) quiet: bool,
}

impl Output {
    /// One JSON object on a line of standard output.
    pub(crate) fn json_line<T: Serialize>(&self, value: &T) {
        let line = serde_json::to_string(value).expect("our own shapes have string keys and finite numbers");
        self.line(&line);
    }

    /// One line of standard output.
    pub(crate) fn line(&self, line: &str) {
        let mut stdout = io::stdout().lock();
        if writeln!(stdout, "{line}").is_err() {
            // The reader went away; there is nobody left to tell.
            std::process::exit(0);
        }
    }

    /// A remark on standard error, unless `--quiet`.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            self.warn(text);
        }
    }

    /// A warning on standard error, also with `--quiet`.
    pub(crate) fn warn(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// A table on standard output; columns are as wide as their widest cell.
    pub(crate) fn table(&self, header: &[&str], rows: &[Vec<String>]) {
        for line in aligned(header, rows) {
            self.line(&line);
        }
    }
}

/// The lines of a table: cells padded to their column, two spaces between columns.
fn aligned(header: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let mut widths: Vec<usize> = header.iter().map(|name| name.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let render = |cells: Vec<&str>| {
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
        }
        line.trim_end().to_owned()
    };
    let upper: Vec<String> = header.iter().map(|name| name.to_uppercase()).collect();
    let mut lines = vec![render(upper.iter().map(String::as_str).collect())];
    lines.extend(rows.iter().map(|row| render(row.iter().map(String::as_str).collect())));
    lines
}

/// `text` without characters that a terminal would act on.
pub(crate) fn printable(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if text.chars().any(hidden) {
        text.chars()
            .flat_map(|c| if hidden(c) { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
            .collect()
    } else {
        text.to_owned()
    }
}

/// A count with the fitting form of a noun: `1 file`, `2 files`.
pub(crate) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(count), if count == 1 { one } else { many })
}

/// A number with a thin mark between thousands: `1,234,567`.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_line_up() {
        let rows = vec![
            vec!["a".to_owned(), "äöü".to_owned(), String::new()],
            vec!["long name".to_owned(), "b".to_owned(), "c".to_owned()],
        ];
        assert_eq!(
            aligned(&["name", "x", "y"], &rows),
            ["NAME       X    Y", "a          äöü", "long name  b    c"]
        );
    }

    #[test]
    fn a_file_name_cannot_move_the_cursor() {
        assert_eq!(printable("a\u{1b}[2Jb\n\u{202e}c"), "a\\u{1b}[2Jb\\n\\u{202e}c");
        assert_eq!(printable("größe.png"), "größe.png");
    }

    #[test]
    fn numbers() {
        assert_eq!([0, 999, 1000, 1234567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(counted(1, "file", "files"), "1 file");
    }
}
