//! `hashpact audit report`: who contributed, disputed, withdrew what and when, for people who govern.
//!
//! One HTML file without scripts, fonts or links to anywhere, and each of its tables as CSV beside it. It is made from
//! a bundle that verifies and from nothing else. Signals are counted and compared; none is printed.

mod page;
mod plot;
mod tables;
mod tally;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use hashpact_protocol::digest::Root;

use super::{Outcome, Output, parse_trust, verified, verify};
use crate::cli::output::printable;
use tally::Tally;

/// Arguments of `audit report`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Tables are written beside the report: REPORT-members.csv, REPORT-months.csv and so on. A bundle without payloads \
                  gives a report without labels and sources. Times are the authors' claims."
)]
pub(crate) struct Args {
    /// The bundle, compressed or not
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The root of roster version 1: 64 hex digits
    #[arg(long, value_name = "ROOT", value_parser = parse_trust)]
    trust: Root,
    /// Write the report here; the tables go beside it
    #[arg(long, value_name = "OUT.html")]
    html: PathBuf,
}

pub(crate) fn run(args: &Args, output: Output) -> anyhow::Result<Outcome> {
    let stem = args.html.file_stem().and_then(|stem| stem.to_str()).map(ToOwned::to_owned);
    let stem = stem.filter(|stem| !stem.is_empty()).context("--html: a file name, such as report.html")?;
    let mut tally = Tally::default();
    let found = verified(&args.file, &args.trust, &mut tally, output)?;
    if !found.is_clean() {
        verify::lines(&found).iter().for_each(|line| output.line(&printable(line)));
        output.warn("no report was written: it would rest on what is not proven");
        return Ok(Outcome::NotProven);
    }
    let summary = tally.finish(&found.findings);
    let tables = tables::all(&summary, &found.findings);
    let mut written = Vec::new();
    for table in &tables {
        let path = args.html.with_file_name(format!("{stem}-{}.csv", table.name));
        write(&path, &table.csv())?;
        written.push(path);
    }
    write(&args.html, &page::html(&summary, &tables, &found, &stem))?;
    output.note(&format!("wrote {} and {} tables beside it", args.html.display(), written.len()));
    Ok(Outcome::Done)
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    ensure!(!path.is_dir(), "{} is a folder", path.display());
    fs::write(path, text).with_context(|| path.display().to_string())
}
