//! Measurements of the whole program.

use std::path::Path;

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::workspace::Workspace;

/// Runs a benchmark of the whole program with the binaries in `bin_dir`.
pub(crate) fn whole(bin_dir: &Path, program: &str, json: bool) -> Result<()> {
    let program = bin_dir.join(program);
    let mut command = Command::new(&program);
    if json {
        command.arg("--json");
    }
    let status = command.status().with_context(|| format!("cannot start {}", program.display()))?;
    ensure!(status.success(), "the benchmark ended with {status}");
    Ok(())
}

/// Verifies audit bundles, in the dev profile: hashing and unpacking, where the time goes, are optimised in it.
pub(crate) fn audit(workspace: &Workspace, json: bool) -> Result<()> {
    let args = ["run", "--quiet", "--locked", "--package", "hashpact-bench-audit", "--"];
    workspace.cargo(args).args(json.then_some("--json")).quiet().run()
}
