//! Writes the rendered test pictures for the Python side of `tests/vectors/pdq/rendered.tsv`: for each
//! picture a line `KIND WIDTH HEIGHT` and then its RGB bytes, on standard output.

use std::io::{Write, stdout};

#[path = "../tests/pictures/mod.rs"]
mod pictures;

fn main() -> std::io::Result<()> {
    let mut out = stdout().lock();
    for (name, kind) in pictures::KINDS {
        for (width, height) in pictures::SIZES {
            writeln!(out, "{name} {width} {height}")?;
            out.write_all(&pictures::render(kind, width, height))?;
        }
    }
    out.flush()
}
