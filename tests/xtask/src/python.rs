//! Virtual environments with the Python packages that a benchmark compares with.

use std::path::PathBuf;

use anyhow::{Result, ensure};

use crate::workspace::Workspace;

/// The Python of a virtual environment under the target folder that has `packages`, each `name==version` or
/// `name`. It is made and filled when it does not have them.
///
/// # Errors
/// When there is no Python with `venv`, or pip cannot install the packages.
pub(crate) fn environment(workspace: &Workspace, folder: &str, packages: &[&str]) -> Result<PathBuf> {
    let folder = workspace.target_dir()?.join(folder);
    let python = folder.join("bin/python");
    if !workspace.step(&python).args(["-c", &probe(packages)]).quiet().succeeds() {
        let made = workspace.step("python3").args(["-m", "venv"]).args([&folder]).quiet().succeeds();
        ensure!(made, "python3 -m venv does not work");
        let pip = workspace.step(&python).args(["-m", "pip", "install", "--quiet"]).args(packages);
        ensure!(pip.quiet().succeeds(), "pip cannot install {}", packages.join(" "));
    }
    Ok(python)
}

/// A program that fails unless the packages are there, in these versions.
fn probe(packages: &[&str]) -> String {
    let check = |package: &&str| match package.split_once("==") {
        Some((name, version)) => format!("assert version('{name}') == '{version}'"),
        None => format!("version('{package}')"),
    };
    let checks: Vec<String> = packages.iter().map(check).collect();
    format!("from importlib.metadata import version; {}", checks.join("; "))
}

#[cfg(test)]
mod tests {
    use super::probe;

    #[test]
    fn versions_are_compared_where_they_are_pinned() {
        assert_eq!(
            probe(&["a-b==1.2", "c"]),
            "from importlib.metadata import version; assert version('a-b') == '1.2'; version('c')"
        );
    }
}
