//! Measurements of the whole program.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::workspace::Workspace;

/// Runs a benchmark of the whole program with the binaries in `bin_dir`.
pub(crate) fn whole(bin_dir: &Path, program: &str, json: bool, options: &[OsString]) -> Result<()> {
    let program = bin_dir.join(program);
    let mut command = Command::new(&program);
    if json {
        command.arg("--json");
    }
    // This tool answers --help itself.
    let help = OsStr::new("--help");
    command.args(options.iter().map(|option| if option == "--help-all" { help } else { option }));
    let status = command.status().with_context(|| format!("cannot start {}", program.display()))?;
    ensure!(status.success(), "the benchmark ended with {status}");
    Ok(())
}

/// Verifies audit bundles, in the release profile: neither RocksDB nor libp2p is built for it.
pub(crate) fn audit(workspace: &Workspace, json: bool) -> Result<()> {
    let args = ["run", "--quiet", "--locked", "--release", "--package", "hashpact-bench-audit", "--"];
    workspace.cargo(args).args(json.then_some("--json")).quiet().run()
}
