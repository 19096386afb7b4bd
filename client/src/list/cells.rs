//! The cells of one CSV line (RFC 4180), and the one direction back.
//!
//! A cell that spans lines is refused: nothing that a list of signals holds needs one, and it would
//! make the line numbers in error messages useless. Written cells never need quotes, because every
//! vocabulary of ours is made of `[A-Za-z0-9._;:+-]` and never begins
//! with `+`; the same alphabet rules out formulas, except that
//! a leading `-` could start one, so [`write_cell`] puts an apostrophe before it, and reading takes
//! it off again.

use thiserror::Error;

/// Why a line is not a row of cells.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CellError {
    /// A quoted cell has no closing quote on its line.
    #[error("cell {cell} opens a quote that does not close on the same line")]
    OpenQuote {
        /// Number of the cell, counted from 1.
        cell: usize,
    },
    /// Text follows the closing quote of a cell.
    #[error("cell {cell} has text after its closing quote")]
    AfterQuote {
        /// Number of the cell, counted from 1.
        cell: usize,
    },
}

/// Splits a line into its cells; white space around a cell is dropped.
///
/// # Errors
/// A [`CellError`] with the number of the cell.
pub fn split(line: &str) -> Result<Vec<String>, CellError> {
    let mut cells = Vec::new();
    let mut rest = line;
    loop {
        let start = rest.trim_start_matches([' ', '\t']);
        let (cell, after) = match start.strip_prefix('"') {
            Some(quoted) => quoted_cell(quoted, cells.len() + 1)?,
            None => {
                let end = start.find(',').unwrap_or(start.len());
                (start[..end].to_owned(), &start[end..])
            }
        };
        cells.push(cell.trim().to_owned());
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return Ok(cells),
        }
    }
}

/// The text of a quoted cell whose opening quote was taken, and what follows it from the comma on.
fn quoted_cell(text: &str, cell: usize) -> Result<(String, &str), CellError> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let Some(quote) = rest.find('"') else {
            return Err(CellError::OpenQuote { cell });
        };
        value.push_str(&rest[..quote]);
        rest = &rest[quote + 1..];
        match rest.strip_prefix('"') {
            Some(after) => {
                value.push('"');
                rest = after;
            }
            None => break,
        }
    }
    let after = rest.trim_start_matches([' ', '\t']);
    if after.is_empty() || after.starts_with(',') {
        Ok((value, after))
    } else {
        Err(CellError::AfterQuote { cell })
    }
}

/// True for text that [`write_cell`] takes: that of our vocabularies.
pub fn is_writable(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._;:+-".contains(&byte))
        && !value.starts_with('+')
}

/// Appends `value` to a CSV line so that no spreadsheet takes it for a formula.
///
/// # Panics
/// When `value` is not [writable](is_writable): no quoting is attempted, because nothing that a record
/// may hold needs any.
pub fn write_cell(line: &mut String, value: &str) {
    assert!(is_writable(value), "the caller checked that the value is of a closed vocabulary");
    if value.starts_with('-') {
        line.push('\'');
    }
    line.push_str(value);
}

/// The value of a cell as [`write_cell`] or a person wrote it.
pub fn read_cell(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if rest.starts_with('-') => rest,
        _ => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rows() {
        let cells = |line: &str| split(line).unwrap();
        assert_eq!(cells("a,b"), ["a", "b"]);
        assert_eq!(cells(""), [""]);
        assert_eq!(cells(" a , \"b, c\" ,"), ["a", "b, c", ""]);
        assert_eq!(cells("\"say \"\"x\"\"\",\"\""), ["say \"x\"", ""]);
        assert_eq!(split("a,\"b").unwrap_err(), CellError::OpenQuote { cell: 2 });
        assert_eq!(split("\"a\"b,c").unwrap_err(), CellError::AfterQuote { cell: 1 });
    }

    #[test]
    fn a_leading_minus_is_no_formula() {
        let mut line = String::new();
        write_cell(&mut line, "-2-3");
        assert_eq!(line, "'-2-3");
        assert_eq!(read_cell(&line), "-2-3");
        assert_eq!(read_cell("'x"), "'x");
    }

    proptest! {
        /// The `csv` crate is the second opinion on what the quoting rules mean.
        #[test]
        fn agrees_with_the_csv_crate(cells in proptest::collection::vec("[a-z,\"]{0,6}", 1..6)) {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(&cells).unwrap();
            let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
            prop_assert_eq!(split(text.trim_end_matches('\n')).unwrap(), cells);
        }
    }
}
