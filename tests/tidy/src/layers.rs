//! Who may depend on whom: between packages, on heavy libraries, and between the rooms of the node.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::source::{is_name, occurrences};
use crate::{SourceFile, Violation};

/// Libraries that must not be linked to decide a rule.
pub const HEAVY: [&str; 6] = ["tokio", "rocksdb", "librocksdb-sys", "libp2p", "axum", "getrandom"];

/// Packages that verifiers and the simulator link, kept free of [`HEAVY`].
pub const PURE: [&str; 2] = ["hashpact-protocol", "hashpact-core"];

/// What the client and everything below it never links.
pub const NOT_IN_CLIENT: [&str; 6] =
    ["hashpact-node", "hashpact-core", "rocksdb", "librocksdb-sys", "libp2p", "axum"];

/// The arrows: each product package with the workspace packages that it may depend on, in any way.
const ARROWS: [(&str, &[&str]); 6] = [
    ("hashpact-protocol", &[]),
    ("hashpact-core", &["hashpact-protocol"]),
    ("hashpact-index", &["hashpact-protocol"]),
    ("hashpact-node", &["hashpact-protocol", "hashpact-core", "hashpact-index"]),
    ("hashpact-hashing", &[]),
    ("hashpact-client", &["hashpact-protocol", "hashpact-hashing"]),
];

/// What the simulator may depend on: it must compile in seconds.
const SIMULATOR: (&str, &[&str]) = ("hashpact-sim", &["hashpact-protocol", "hashpact-core"]);

/// Checks the manifests, given the output of `cargo metadata --no-deps`.
///
/// # Panics
///
/// When the metadata is not what cargo writes.
pub fn arrows(metadata: &str) -> Vec<Violation> {
    let metadata: Value = serde_json::from_str(metadata).expect("cargo metadata writes JSON");
    let packages = metadata["packages"].as_array().expect("cargo metadata lists packages");
    let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
    let ours: BTreeSet<String> = packages.iter().map(name).collect();
    let mut violations = Vec::new();
    for package in packages {
        let from = name(package);
        let manifest = package["manifest_path"].as_str().unwrap_or_default().replace('\\', "/");
        let rule = ARROWS.iter().chain([&SIMULATOR]).find(|(name, _)| *name == from);
        let Some((_, allowed)) = rule else {
            if !manifest.contains("/tests/") {
                violations.push(format!("{from} has no arrows: add it to the table of the tidy test"));
            }
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let to = name(dependency);
            if ours.contains(&to) && !allowed.contains(&to.as_str()) {
                violations.push(format!("{from} must not depend on {to}"));
            }
        }
    }
    violations
}

/// Checks that none of `forbidden` is linked, given `cargo tree --prefix none` of a package.
pub fn links(package: &str, tree: &str, forbidden: &[&str]) -> Vec<Violation> {
    let linked: BTreeSet<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    if !linked.contains(package) {
        return vec![format!("cargo tree of {package} does not show {package} itself")];
    }
    let found = forbidden.iter().filter(|name| linked.contains(*name));
    found.map(|name| format!("{package} must not link {name}")).collect()
}

/// Libraries with the one folder in which they may be named.
const ROOMS: [(&str, &str); 3] =
    [("rocksdb", "node/src/storage"), ("libp2p", "node/src/network"), ("axum", "node/src/http")];

/// Checks that a library is named in its room and in tests only.
pub fn rooms(file: &SourceFile) -> Vec<Violation> {
    let mut violations = Vec::new();
    if !file.is_rust() || file.path.starts_with("tests/") {
        return violations;
    }
    for (library, room) in ROOMS {
        if in_room(&file.path, room) {
            continue;
        }
        for (number, line) in file.code_lines() {
            if occurrences(line, &format!("{library}::")).next().is_some() || imports(line, library) {
                violations.push(format!("{}:{number}: {library} belongs into {room} alone", file.path));
            }
        }
    }
    violations
}

fn imports(line: &str, library: &str) -> bool {
    let rest = line.trim_start().strip_prefix("use ").and_then(|rest| rest.strip_prefix(library));
    rest.is_some_and(|rest| !rest.starts_with(is_name))
}

/// `node/src/http.rs`, `node/src/http/…`, or a file of another room.
fn in_room(path: &str, room: &str) -> bool {
    path.strip_prefix(room).is_some_and(|rest| rest.starts_with('/') || rest == ".rs")
}

/// Checks that storage, network and http do not import one another.
pub fn strangers(file: &SourceFile) -> Vec<Violation> {
    let Some((_, home)) = ROOMS.iter().find(|(_, room)| in_room(&file.path, room)) else {
        return Vec::new();
    };
    // A room's tests may set up the others: a real store behind the API under test.
    if file.path.contains("/tests/") || file.path.ends_with("/tests.rs") {
        return Vec::new();
    }
    let code: Vec<&str> = file.code_lines().map(|(_, line)| line).collect();
    let imported = crate_modules(&code.join("\n"));
    let others = ROOMS.iter().map(|(_, room)| *room).filter(|room| room != home);
    let names = others.filter_map(|room| room.rsplit('/').next());
    let found = names.filter(|name| imported.contains(*name));
    found.map(|name| format!("{}: {home} must not import {name}", file.path)).collect()
}

/// The first segments of all paths that start with `crate::` or `super::super::`, groups included.
fn crate_modules(code: &str) -> BTreeSet<String> {
    let mut modules = BTreeSet::new();
    for prefix in ["crate::", "hashpact_node::", "super::super::"] {
        for at in occurrences(code, prefix) {
            let rest = &code[at + prefix.len()..];
            match rest.strip_prefix('{') {
                Some(group) => modules.extend(group_heads(group)),
                None => {
                    modules.insert(head(rest));
                }
            }
        }
    }
    modules
}

/// The first segments of the members of a `{…}` group whose opening brace has been read.
fn group_heads(group: &str) -> Vec<String> {
    let (mut depth, mut heads, mut member) = (1, Vec::new(), String::new());
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && c == ',') {
            heads.push(head(&std::mem::take(&mut member)));
            if depth == 0 {
                break;
            }
        } else {
            member.push(c);
        }
    }
    heads
}

fn head(path: &str) -> String {
    path.trim_start().chars().take_while(|c| is_name(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(from: &str, to: &str, folder: &str) -> String {
        format!(
            r#"{{"packages":[
                {{"name":"{from}","manifest_path":"/w/{folder}/Cargo.toml","dependencies":[{{"name":"{to}","kind":"dev"}},{{"name":"serde"}}]}},
                {{"name":"{to}","manifest_path":"/w/tests/Cargo.toml","dependencies":[]}}]}}"#
        )
    }

    #[test]
    fn a_wrong_arrow_is_caught() {
        assert_eq!(
            arrows(&metadata("hashpact-client", "hashpact-node", "client"))[0],
            "hashpact-client must not depend on hashpact-node"
        );
        assert_eq!(arrows(&metadata("hashpact-node", "hashpact-tests", "node")).len(), 1);
        assert_eq!(arrows(&metadata("hashpact-sim", "hashpact-node", "tests/sim")).len(), 1);
        assert_eq!(arrows(&metadata("hashpact-new", "hashpact-tests", "new")).len(), 1);
        assert_eq!(arrows(&metadata("hashpact-node", "hashpact-core", "node")), Vec::<String>::new());
        assert_eq!(arrows(&metadata("hashpact-e2e", "hashpact-tests", "tests/e2e")), Vec::<String>::new());
    }

    #[test]
    fn a_heavy_library_is_caught() {
        let tree = "hashpact-core v0.1.0 (path)\nsha2 v0.11.0\nlibp2p v0.57.1\nsha2 v0.11.0 (*)\n";
        assert_eq!(links("hashpact-core", tree, &HEAVY), ["hashpact-core must not link libp2p"]);
        assert!(links("hashpact-core", "hashpact-core v0.1.0\nlibp2p-identity v1\n", &HEAVY).is_empty());
        assert_eq!(links("hashpact-core", "", &HEAVY).len(), 1);
    }

    #[test]
    fn a_library_outside_its_room_is_caught() {
        let check = |path: &str, text: &str| rooms(&SourceFile::new(path, text)).len();
        assert_eq!(check("node/src/driver.rs", "let db: rocksdb::DB;"), 1);
        assert_eq!(check("node/src/driver.rs", "use libp2p;\nuse axum::Router;"), 2);
        assert_eq!(check("node/src/http/mod.rs", "use libp2p::PeerId;"), 1);
        assert_eq!(check("node/src/network/mod.rs", "use libp2p::PeerId;"), 0);
        assert_eq!(check("node/src/network.rs", "use libp2p::PeerId;"), 0);
        assert_eq!(check("node/src/networking.rs", "use libp2p::PeerId;"), 1);
        assert_eq!(check("tests/src/lib.rs", "use libp2p::PeerId;"), 0);
        assert_eq!(check("node/src/driver.rs", "// libp2p:: is elsewhere\nuse libp2p_identity::Keypair;"), 0);
    }

    #[test]
    fn rooms_that_import_one_another_are_caught() {
        let check = |path: &str, text: &str| strangers(&SourceFile::new(path, text)).len();
        assert_eq!(check("node/src/storage/mod.rs", "use crate::network::Network;"), 1);
        assert_eq!(check("node/src/http/mod.rs", "use crate::{config::Config, storage::{Db, Batch}};"), 1);
        assert_eq!(check("node/src/http/tests/fixture.rs", "use crate::storage::Store;"), 0);
        assert_eq!(check("node/src/http/mod.rs", "use crate::{\n    config,\n    network,\n};"), 1);
        assert_eq!(
            check("node/src/network/mod.rs", "fn f(h: crate::http::Api, s: crate::storage::Db) {}"),
            2
        );
        assert_eq!(check("node/src/network/codec.rs", "use super::super::storage::Db;"), 1);
        assert_eq!(check("node/src/network/mod.rs", "use crate::network::codec; use crate::config;"), 0);
        assert_eq!(check("node/src/driver.rs", "use crate::{http, network, storage};"), 0);
    }
}
