//! `cargo xtask bench`: runs a benchmark and prints what it measured.
//!
//! Micro-benchmarks are examples of the crate that they time, run in the release profile; they print one JSON
//! object a line. The whole program is measured in the dev profile, whose dependencies are optimised, so that
//! RocksDB is not built a second time.

use anyhow::{Result, ensure};

use crate::workspace::{Workspace, json_text};
use crate::{Benchmark, bench, pdq, photos, quality, setup};

pub(crate) fn run(workspace: &Workspace, name: Benchmark, json: bool) -> Result<()> {
    match name {
        Benchmark::Pdq => pdq::run(workspace, json),
        Benchmark::Index => example(workspace, "hashpact-index", "bench_flat", json),
        Benchmark::Quality => quality::run(workspace, json),
        Benchmark::Propagate => {
            setup::run(workspace)?;
            bench::propagate(&workspace.build_binaries()?, json)
        }
    }
}

fn example(workspace: &Workspace, package: &str, example: &str, json: bool) -> Result<()> {
    let mut step = workspace
        .cargo(["run", "--quiet", "--locked", "--release", "--package", package, "--example", example])
        .quiet();
    if let Some(folder) = photos::already_here(workspace)? {
        step = step.env("HASHPACT_PHOTOS", folder);
    }
    let status = step.lines(|line| match (json, readable(line)) {
        (false, Some(text)) => println!("{text}"),
        _ => println!("{line}"),
    })?;
    ensure!(status.success(), "benchmark {example} failed: {status}");
    Ok(())
}

/// One measurement as a line of a table.
fn readable(line: &str) -> Option<String> {
    let (metric, unit) = (json_text(line, "metric")?, json_text(line, "unit")?);
    let value = line.split("\"value\":").nth(1)?.split([',', '}']).next()?.trim();
    Some(format!("{metric:<44} {value:>14} {unit}"))
}

#[cfg(test)]
mod tests {
    use super::readable;

    #[test]
    fn a_measurement_becomes_a_table_line() {
        let line = r#"{"metric":"index.1m.single","value":12.5,"unit":"us"}"#;
        let words = readable(line).expect("a measurement");
        assert_eq!(words.split_whitespace().collect::<Vec<_>>(), ["index.1m.single", "12.5", "us"]);
        assert_eq!(readable("warming up"), None);
    }
}
