//! Where the workspace is, where cargo builds it, and cargo itself.
//!
//! RocksDB's C++ takes most of a first build, so tests, lints and demo must share one build of it. They do as
//! long as every command builds in the dev profile and selects packages as done here: node and client together
//! give the dependencies the same features as the whole workspace does.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::command::Step;

/// Packages that need neither RocksDB nor libp2p.
pub(crate) const PURE_PACKAGES: [&str; 8] = [
    "hashpact-protocol",
    "hashpact-core",
    "hashpact-index",
    "hashpact-hashing",
    "hashpact-sim",
    "tidy",
    "hashpact-bench-matching",
    "xtask",
];

/// How many of them, at the end, have no library.
pub(crate) const PROGRAMS_ONLY: usize = 2;

/// The checked-out repository.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// Looks for the workspace of which this program's package is a part.
    pub(crate) fn find() -> Result<Self> {
        let package = env::var_os("CARGO_MANIFEST_DIR").context("start this program as `cargo xtask`")?;
        match Path::new(&package).ancestors().nth(2) {
            Some(root) if root.join("Cargo.lock").is_file() => Ok(Self { root: root.to_owned() }),
            _ => bail!("{} is not tests/xtask of a Hashpact workspace", package.display()),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A command in the workspace's folder.
    pub(crate) fn step(&self, program: impl AsRef<OsStr>) -> Step {
        Step::new(program, &self.root)
    }

    /// The cargo that started us, with these arguments.
    pub(crate) fn cargo<I: IntoIterator<Item: AsRef<OsStr>>>(&self, args: I) -> Step {
        self.step(env::var_os("CARGO").unwrap_or_else(|| "cargo".into())).args(args)
    }

    /// Cargo's target folder, however it was chosen.
    pub(crate) fn target_dir(&self) -> Result<PathBuf> {
        let args = ["metadata", "--no-deps", "--format-version", "1"];
        let metadata = self.cargo(args).quiet().read()?;
        let target = json_text(&metadata, "target_directory");
        target.map(PathBuf::from).context("cargo metadata names no target_directory")
    }

    /// Builds the node and the command in the dev profile and returns the folder that holds both.
    pub(crate) fn build_binaries(&self) -> Result<PathBuf> {
        self.cargo(["build", "--locked", "--workspace", "--bins"]).run()?;
        Ok(self.target_dir()?.join("debug"))
    }
}

/// The first text value under `key` in a JSON document that cargo wrote. Cargo's documents are the only ones
/// read here, and single fields of them are all that is needed; a parser would be the largest part of this tool.
pub(crate) fn json_text(json: &str, key: &str) -> Option<String> {
    let start = json.find(&format!("\"{key}\":\""))? + key.len() + 4;
    let mut text = String::new();
    let mut rest = json[start..].chars();
    loop {
        match rest.next()? {
            '"' => return Some(text),
            '\\' => match rest.next()? {
                escaped @ ('"' | '\\' | '/') => text.push(escaped),
                // Control characters and surrogates do not occur in the fields that are read.
                _ => return None,
            },
            plain => text.push(plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_fields_are_read() {
        let json = r#"{"executable":null,"name":"a \"b\" \\c","target_directory":"/x/y","last":"open"#;
        assert_eq!(json_text(json, "target_directory").as_deref(), Some("/x/y"));
        assert_eq!(json_text(json, "name").as_deref(), Some("a \"b\" \\c"));
        assert_eq!(json_text(json, "executable"), None);
        assert_eq!(json_text(json, "last"), None);
        assert_eq!(json_text(json, "missing"), None);
    }
}
