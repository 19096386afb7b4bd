//! What build and tests need beyond the Rust toolchain: a C++ compiler for RocksDB, libclang for its bindings,
//! Python for the second implementation of the C2SP formats, and promtool for the alert rules.
//!
//! Nothing happens when all are found. As root on Debian or a descendant the missing packages are installed;
//! anybody else is told the one command to type. Nothing but those packages is ever installed.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::workspace::Workspace;

/// A tool, and the Debian package that brings it.
struct Need {
    what: &'static str,
    package: &'static str,
    present: fn() -> bool,
}

const NEEDS: [Need; 5] = [
    Need { what: "a C++ compiler", package: "g++", present: has_cxx },
    Need { what: "make", package: "make", present: || on_path("make").is_some() },
    Need { what: "libclang with its headers", package: "libclang-dev", present: has_libclang },
    Need { what: "Python 3", package: "python3", present: || on_path("python3").is_some() },
    Need { what: "promtool", package: "prometheus", present: || on_path("promtool").is_some() },
];

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let missing: Vec<&Need> = NEEDS.iter().filter(|need| !(need.present)()).collect();
    if missing.is_empty() {
        println!("setup: compiler, libclang, Python and promtool are here, nothing to install");
        return Ok(());
    }
    for need in &missing {
        println!("setup: {} is missing (Debian package {})", need.what, need.package);
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    if on_path("apt-get").is_none() {
        bail!("install {} with this system's package manager, then run this again", packages.join(", "));
    }
    if !is_root(workspace) {
        let packages = packages.join(" ");
        bail!("not root; type: sudo apt-get update && sudo apt-get install --yes {packages}");
    }
    let apt = || workspace.step("apt-get").env("DEBIAN_FRONTEND", "noninteractive");
    apt().args(["update"]).run()?;
    apt().args(["install", "--yes", "--no-install-recommends"]).args(&packages).run()?;
    match NEEDS.iter().find(|need| !(need.present)()) {
        None => Ok(()),
        Some(need) => bail!("{} is still not found after installing {}", need.what, need.package),
    }
}

fn is_root(workspace: &Workspace) -> bool {
    workspace.step("id").args(["-u"]).quiet().read().is_ok_and(|id| id.trim() == "0")
}

fn on_path(program: &str) -> Option<PathBuf> {
    let paths = env::var_os("PATH")?;
    env::split_paths(&paths).map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn has_cxx() -> bool {
    let chosen = env::var("CXX").ok().filter(|name| !name.is_empty());
    match chosen {
        Some(name) => on_path(&name).is_some() || Path::new(&name).is_file(),
        None => on_path("c++").is_some() && on_path("cc").is_some(),
    }
}

fn has_libclang() -> bool {
    let chosen = env::var_os("LIBCLANG_PATH").map(PathBuf::from);
    if let Some(path) = chosen {
        return path.is_file() || has_library(&path);
    }
    let folders = [
        "/usr/lib",
        "/usr/lib64",
        "/usr/local/lib",
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
    ];
    let versioned = children(Path::new("/usr/lib")).into_iter().filter(|folder| is_llvm(folder));
    versioned.map(|folder| folder.join("lib")).any(|folder| has_library(&folder) && has_headers(&folder))
        || folders.iter().any(|folder| has_library(Path::new(folder)) && has_headers(Path::new(folder)))
        || llvm_config_folder().is_some_and(|folder| has_library(&folder))
}

fn is_llvm(folder: &Path) -> bool {
    folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with("llvm"))
}

/// The folder that `llvm-config` names, for installations in unusual places.
fn llvm_config_folder() -> Option<PathBuf> {
    let output = std::process::Command::new("llvm-config").arg("--libdir").output().ok()?;
    Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()))
}

/// `libclang.so`, `libclang-14.so`, `libclang-14.so.1` and so on; not `libclang-cpp.so`.
fn has_library(folder: &Path) -> bool {
    children(folder)
        .iter()
        .filter_map(|file| file.file_name())
        .any(|name| is_libclang(&name.to_string_lossy()))
}

fn is_libclang(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("libclang") else {
        return false;
    };
    let version_end = rest.find(".so").or_else(|| rest.find(".dylib"));
    version_end.is_some_and(|end| {
        rest[..end].is_empty()
            || rest[..end]
                .strip_prefix('-')
                .is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()))
    })
}

/// The compiler's own headers (`stddef.h`), without which libclang parses nothing. Debian has them apart.
fn has_headers(library_folder: &Path) -> bool {
    children(&library_folder.join("clang")).iter().any(|version| version.join("include/stddef.h").is_file())
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::is_libclang;

    #[test]
    fn libclang_is_told_from_its_neighbours() {
        for name in
            ["libclang.so", "libclang.so.1", "libclang-14.so", "libclang-14.so.1", "libclang-14.0.6.so"]
        {
            assert!(is_libclang(name), "{name}");
        }
        for name in
            ["libclang-cpp.so.14", "libclangAST.a", "libclangTidyUtils.a", "libclang-14.a", "clang.so"]
        {
            assert!(!is_libclang(name), "{name}");
        }
    }
}
