//! `cargo xtask demo`: runs the demonstration that was built beside the node and the command.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// Runs `hashpact-demo` from `bin_dir`; its exit status is the verdict.
///
/// # Errors
/// It cannot be started, or a check failed.
pub(crate) fn run(bin_dir: &Path, images: Option<PathBuf>, keep: bool) -> Result<()> {
    let program = bin_dir.join("hashpact-demo");
    let mut command = Command::new(&program);
    if let Some(images) = images {
        command.arg("--images").arg(images);
    }
    if keep {
        command.arg("--keep");
    }
    let status = command.status().with_context(|| format!("cannot start {}", program.display()))?;
    ensure!(status.success(), "the demonstration ended with {status}");
    Ok(())
}
