//! `cargo xtask bench quality`: what matching is worth, on the photographs that `cargo xtask photos` fetches.

use std::path::PathBuf;

use anyhow::Result;

use crate::photos;
use crate::workspace::Workspace;

/// Runs the benchmark in the release profile on every second photograph.
pub(crate) fn run(workspace: &Workspace, json: bool) -> Result<()> {
    let args = ["run", "--quiet", "--locked", "--release", "--package", "hashpact-bench-quality", "--"];
    let step = workspace.cargo(args).args(json.then_some("--json"));
    step.env("HASHPACT_PHOTOS", photographs(workspace)?).quiet().run()
}

/// The folder that the user names, or an earlier fetch left, or a fetch makes now.
fn photographs(workspace: &Workspace) -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("HASHPACT_PHOTOS") {
        return Ok(folder.into());
    }
    match photos::already_here(workspace)? {
        Some(folder) => Ok(folder),
        None => photos::fetch(workspace),
    }
}
