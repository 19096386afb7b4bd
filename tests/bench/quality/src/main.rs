//! What matching is worth: recall per transform, and false matches, on benign photographs.
//!
//! Prints one JSON object a line with `--json`, otherwise tables; `--page DIR` also writes the page for analysts
//! and its plots there. Needs the packages of `tests/vectors/pdq/packages.txt` unpacked, one folder each, in
//! `HASHPACT_PHOTOS`. The same photographs give the same output, byte for byte.

mod false_matches;
mod page;
mod photographs;
mod plot;
mod recall;
mod report;
mod series;
mod statistics;
mod transforms;

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;

use false_matches::Pairing;
use report::Report;

/// Measures recall per transform and false matches on photographs.
#[derive(Debug, Parser)]
struct Arguments {
    /// The folder that holds one folder for each package, as `cargo xtask photos` leaves it.
    #[arg(long, env = "HASHPACT_PHOTOS", value_name = "DIR")]
    photos: PathBuf,
    /// How many photographs to take, spread evenly over the table.
    #[arg(long, default_value_t = 450, conflicts_with = "all")]
    count: usize,
    /// Take all photographs.
    #[arg(long)]
    all: bool,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
    /// Also write QUALITY.md and its plots into this folder.
    #[arg(long, value_name = "DIR")]
    page: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let count = if arguments.all { usize::MAX } else { arguments.count };
    let collection = photographs::read(&arguments.photos, count)?;
    let recalls = recall::measure(&collection.photographs)?;
    let pairings =
        Pairing::ALL.iter().map(|(pairing, _, _)| false_matches::measure(&collection.photographs, *pairing));
    let false_matches = pairings.collect::<Result<_>>()?;
    let report = Report { collection, recalls, false_matches };
    if let Some(folder) = &arguments.page {
        page::write(&report, folder)?;
    }
    if arguments.json {
        report.measurements().iter().for_each(|line| println!("{line}"));
    } else {
        print!("{}", report::tables(&report));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }
}
