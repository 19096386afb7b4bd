//! The rules of `tidy`, applied to the repository as it is.

use std::process::Command;
use std::sync::OnceLock;

use tidy::{SourceFile, Tree, Violation, citations, containers, layers, sizes, words};

fn tree() -> &'static Tree {
    static TREE: OnceLock<Tree> = OnceLock::new();
    TREE.get_or_init(Tree::read)
}

fn text(path: &str) -> &'static str {
    &tree().file(path).unwrap_or_else(|| panic!("{path} is missing")).text
}

fn none(violations: Vec<Violation>) {
    assert!(violations.is_empty(), "{} violations:\n{}", violations.len(), violations.join("\n"));
}

fn each_file(rule: impl Fn(&SourceFile) -> Vec<Violation>) {
    none(tree().files.iter().flat_map(rule).collect());
}

/// Runs cargo without the network; where something was never downloaded, once more with it.
fn cargo(arguments: &[&str]) -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let run = |extra: &[&str]| {
        let output = Command::new(&cargo).args(arguments).args(extra).current_dir(&tree().root).output();
        output.expect("cargo starts")
    };
    let mut output = run(&["--locked", "--offline"]);
    if !output.status.success() {
        output = run(&["--locked"]);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {}: {errors}", arguments.join(" "));
    String::from_utf8(output.stdout).expect("cargo writes UTF-8")
}

fn links(package: &str, extra: &[&str], forbidden: &[&str]) {
    let arguments = ["tree", "--edges", "normal", "--prefix", "none", "--package", package];
    none(layers::links(package, &cargo(&[&arguments, extra].concat()), forbidden));
}

#[test]
fn pure_packages_link_nothing_heavy() {
    for package in layers::PURE {
        links(package, &[], &layers::HEAVY);
        links(package, &["--all-features"], &layers::HEAVY);
    }
    links("hashpact-index", &[], &layers::HEAVY);
    links("hashpact-hashing", &[], &layers::HEAVY);
    links("hashpact-sim", &[], &layers::HEAVY);
}

#[test]
fn the_client_links_no_node() {
    links("hashpact-client", &[], &layers::NOT_IN_CLIENT);
}

#[test]
fn packages_depend_along_the_arrows() {
    none(layers::arrows(&cargo(&["metadata", "--no-deps", "--format-version", "1"])));
}

#[test]
fn rocksdb_libp2p_and_axum_stay_in_their_rooms() {
    each_file(layers::rooms);
}

#[test]
fn storage_network_and_http_are_strangers() {
    each_file(layers::strangers);
}

#[test]
fn no_file_is_too_long() {
    none(sizes::long_files(&tree().files, text("tests/tidy/long-files.txt")));
}

#[test]
fn no_work_is_left_unfinished() {
    each_file(words::unfinished);
}

#[test]
fn no_path_of_a_machine_is_named() {
    each_file(words::machine_paths);
}

#[test]
fn no_registry_host_is_named() {
    each_file(words::registries);
}

#[test]
fn no_test_is_switched_off() {
    each_file(words::ignored_tests);
}

#[test]
fn modules_are_named_after_their_subject() {
    none(tree().files.iter().flat_map(|file| words::vague_modules(&file.path)).collect());
}

#[test]
fn cited_sections_of_the_specification_exist() {
    let sections = citations::sections(text("protocol/SPEC.md"));
    assert!(!sections.is_empty(), "SPEC.md has no numbered sections");
    each_file(|file| citations::cited_sections(file, &sections));
}

#[test]
fn domain_tags_of_the_code_are_in_the_specification() {
    let tags = citations::domain_tags(text("protocol/src/digest.rs"));
    none(citations::tags_in_spec(&tags, text("protocol/SPEC.md")));
}

#[test]
fn every_dependency_says_what_it_saves() {
    none(citations::explained_dependencies(text("Cargo.toml")));
}

#[test]
fn the_image_holds_two_programs_and_no_root() {
    none(containers::image(text("docker/Dockerfile"), text("rust-toolchain.toml")));
}

#[test]
fn the_compose_consortium_is_closed_and_watched() {
    none(containers::compose(text("docker/compose.yaml"), 3));
}
