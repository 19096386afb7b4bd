//! Photographs for the PDQ tests, from distribution packages.
//!
//! The packages named in `tests/vectors/pdq/packages.txt` (one a line, `name` or `name=version`; `#` starts a
//! comment) are downloaded with apt and unpacked, never installed, under `photos` in cargo's target folder. The
//! expected hashes are checked in; the pictures are not. Where they cannot be had (no apt, no network) the
//! comparison is left out, and said so.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::workspace::Workspace;

/// Fetches what is not there yet and returns the folder that holds one folder for each package.
pub(crate) fn fetch(workspace: &Workspace) -> Result<PathBuf> {
    let list = workspace.root().join("tests/vectors/pdq/packages.txt");
    let list = fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
    let photos = workspace.target_dir()?.join("photos");
    let missing: Vec<&str> = packages(&list).filter(|line| !photos.join(name(line)).is_dir()).collect();
    if missing.is_empty() {
        println!("photos: all packages are in {}", photos.display());
        return Ok(photos);
    }
    refresh_lists_when_unknown(workspace, &missing);
    for package in missing {
        unpack(workspace, &photos, package).with_context(|| format!("no photographs from {package}"))?;
    }
    Ok(photos)
}

/// The folder of photographs when an earlier fetch left one.
pub(crate) fn already_here(workspace: &Workspace) -> Result<Option<PathBuf>> {
    let photos = workspace.target_dir()?.join("photos");
    Ok(photos.is_dir().then_some(photos))
}

fn packages(list: &str) -> impl Iterator<Item = &str> {
    let lines = list.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines.filter(|line| !line.is_empty())
}

/// The package's name without a version.
fn name(package: &str) -> &str {
    package.split('=').next().unwrap_or(package)
}

/// A fresh machine has no package lists; only root may fetch them, and a failure shows at the download.
fn refresh_lists_when_unknown(workspace: &Workspace, packages: &[&str]) {
    let known = |package: &&str| {
        let shown = workspace.step("apt-cache").args(["show", name(package)]).quiet();
        shown.succeeds()
    };
    if !packages.iter().all(known) {
        let _ = workspace.step("apt-get").args(["update"]).succeeds();
    }
}

/// Unpacks beside the destination and renames, so that a folder that is there is whole.
fn unpack(workspace: &Workspace, photos: &Path, package: &str) -> Result<()> {
    let name = name(package);
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
    ensure!(
        !name.starts_with(['-', '.']) && name.chars().all(plain),
        "not the name of a Debian package: {name:?}"
    );
    let scratch = photos.join(format!(".{name}.partial"));
    if scratch.exists() {
        fs::remove_dir_all(&scratch)?;
    }
    let (download, tree) = (scratch.join("download"), scratch.join("tree"));
    fs::create_dir_all(&download)?;
    // apt drops its rights to the user _apt when it can; without the option it warns that this folder is ours.
    let apt = crate::command::Step::new("apt-get", &download);
    apt.args(["--quiet", "--option", "APT::Sandbox::User=root", "download", package]).run()?;
    let file = fs::read_dir(&download)?.next().context("apt-get downloaded nothing")??.path();
    workspace.step("dpkg-deb").args(["-x".as_ref(), file.as_os_str(), tree.as_os_str()]).run()?;
    fs::rename(&tree, photos.join(name))?;
    fs::remove_dir_all(&scratch)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_packages_is_read() {
        let list = "# pictures\n\nsome-backgrounds=1.2-3  # landscapes\n other \n#off\n";
        let found: Vec<&str> = packages(list).collect();
        assert_eq!(found, ["some-backgrounds=1.2-3", "other"]);
        assert_eq!(
            found.iter().map(|package| name(package)).collect::<Vec<_>>(),
            ["some-backgrounds", "other"]
        );
    }
}
