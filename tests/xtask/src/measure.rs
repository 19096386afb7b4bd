//! `cargo xtask bench`: runs a benchmark and prints what it measured.
//!
//! What concerns one crate is measured in the release profile, by a program that builds in seconds. The whole
//! program is measured in the dev profile, whose dependencies are optimised, so that RocksDB is not built a
//! second time.

use std::ffi::OsString;

use anyhow::{Result, ensure};

use crate::workspace::Workspace;
use crate::{Benchmark, bench, hash, index, models, pdq, quality, setup};

pub(crate) fn run(workspace: &Workspace, name: Benchmark, json: bool, options: &[OsString]) -> Result<()> {
    let takes_options =
        matches!(name, Benchmark::Index | Benchmark::Log | Benchmark::ModelsRobustness | Benchmark::View);
    ensure!(options.is_empty() || takes_options, "{name:?} takes no {}", options[0].display());
    match name {
        Benchmark::Audit => bench::audit(workspace, json),
        Benchmark::Pdq => pdq::run(workspace, json),
        Benchmark::Index => index::run(workspace, json, options),
        Benchmark::Http => whole(workspace, "bench-http", json, &[]),
        Benchmark::Log => whole(workspace, "bench-log", json, options),
        Benchmark::Hash => hash::run(workspace, json),
        Benchmark::Models => models::speed(workspace, json),
        Benchmark::ModelsRobustness => models::robustness(workspace, json, options),
        Benchmark::Propagate => whole(workspace, "bench-propagate", json, &[]),
        Benchmark::Quality => quality::run(workspace, json),
        Benchmark::View => whole(workspace, "bench-view", json, options),
    }
}

fn whole(workspace: &Workspace, program: &str, json: bool, options: &[OsString]) -> Result<()> {
    setup::run(workspace)?;
    bench::whole(&workspace.build_binaries()?, program, json, options)
}
