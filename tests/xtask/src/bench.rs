//! Measurements of the whole program.

use std::path::Path;

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// Measures the time from a contribution at one member to a match at another, with the binaries in `bin_dir`.
pub(crate) fn propagate(bin_dir: &Path, json: bool) -> Result<()> {
    let program = bin_dir.join("bench-propagate");
    let mut command = Command::new(&program);
    if json {
        command.arg("--json");
    }
    let status = command.status().with_context(|| format!("cannot start {}", program.display()))?;
    ensure!(status.success(), "the benchmark ended with {status}");
    Ok(())
}
