//! Words, names and paths that do not belong into the repository.
//!
//! The words are put together here from parts, so that this file does not break its own rules.

use crate::source::{is_name, occurrences};
use crate::{SourceFile, Violation};

/// Marks of unfinished work, in code and prose.
const UNFINISHED: [&str; 5] = [
    concat!("to", "do!"),
    concat!("unim", "plemented!"),
    concat!("FIX", "ME"),
    concat!("X", "XX"),
    concat!("db", "g!"),
];

/// Module names that say nothing about what is inside.
const VAGUE: [&str; 7] = ["utils", "util", "common", "helpers", "helper", "types", "misc"];

/// Folders of a developer's machine.
const MACHINE: [&str; 4] =
    [concat!("/wo", "rk"), concat!("/ro", "ot"), concat!("/tm", "p/"), concat!("/ho", "me/")];

/// Hosts of package registries and settings that redirect to a mirror: where packages come from is the
/// business of whoever builds.
const REGISTRIES: [&str; 8] = [
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("pypi.", "org/simple"),
    concat!("files.python", "hosted.org"),
    concat!("registry.", "npmjs.org"),
    concat!("proxy.", "golang.org"),
    concat!("deb.", "debian.org"),
    concat!("replace-", "with ="),
];

/// Files whose words are not ours: written by cargo, or test data.
fn is_foreign(path: &str) -> bool {
    path == "Cargo.lock" || path.ends_with("/Cargo.lock") || path == "LICENSE"
}

/// Checks for marks of unfinished work.
pub fn unfinished(file: &SourceFile) -> Vec<Violation> {
    if is_foreign(&file.path) || file.path.starts_with("tests/vectors/") {
        return Vec::new();
    }
    find(file, &UNFINISHED, |line, at, word| {
        let after = line[at + word.len()..].chars().next();
        word.ends_with('!') || !after.is_some_and(is_name)
    })
}

/// Checks for paths of one machine.
pub fn machine_paths(file: &SourceFile) -> Vec<Violation> {
    if is_foreign(&file.path) {
        return Vec::new();
    }
    find(file, &MACHINE, |line, at, word| {
        let before = line[..at].chars().next_back();
        let inner = before.is_some_and(|c| is_name(c) || ".-<})".contains(c));
        let after = line[at + word.len()..].chars().next();
        let longer = !word.ends_with('/') && after.is_some_and(|c| is_name(c) || c == '-');
        !inner && !longer
    })
}

/// Checks for hosts of package registries.
pub fn registries(file: &SourceFile) -> Vec<Violation> {
    if is_foreign(&file.path) {
        return Vec::new();
    }
    find(file, &REGISTRIES, |_, _, _| true)
}

/// Checks for tests that are switched off.
pub fn ignored_tests(file: &SourceFile) -> Vec<Violation> {
    if file.is_rust() { find(file, &[concat!("#[ig", "nore")], |_, _, _| true) } else { Vec::new() }
}

/// Checks the names of a Rust file and of the modules around it.
pub fn vague_modules(path: &str) -> Vec<Violation> {
    let Some(stem) = path.strip_suffix(".rs") else {
        return Vec::new();
    };
    let vague = stem.split('/').filter(|name| VAGUE.contains(name));
    vague.map(|name| format!("{path}: a module named {name} says nothing; name its subject")).collect()
}

fn find(file: &SourceFile, words: &[&str], counts: impl Fn(&str, usize, &str) -> bool) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (number, line) in file.text.lines().enumerate() {
        for word in words {
            let mut places: Box<dyn Iterator<Item = usize>> = if word.starts_with(is_name) {
                Box::new(occurrences(line, word))
            } else {
                Box::new(line.match_indices(word).map(|(at, _)| at))
            };
            if places.any(|at| counts(line, at, word)) {
                violations.push(format!("{}:{}: {word} does not belong here", file.path, number + 1));
            }
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> SourceFile {
        SourceFile::new("a/b.rs", text)
    }

    #[test]
    fn unfinished_work_is_caught() {
        for word in UNFINISHED {
            assert_eq!(unfinished(&file(&format!("fn a() {{ {word}() }}"))).len(), 1, "{word}");
        }
        let longer = format!("{}YZ mastodon {}s_", UNFINISHED[3], UNFINISHED[2]);
        assert!(unfinished(&file(&longer)).is_empty());
        assert!(unfinished(&SourceFile::new("tests/vectors/a.txt", UNFINISHED[3])).is_empty());
    }

    #[test]
    fn paths_of_a_machine_are_caught() {
        for folder in MACHINE {
            let path = format!("\"{}/x\"", folder.trim_end_matches('/'));
            assert_eq!(machine_paths(&file(&path)).len(), 1, "{path}");
        }
        assert_eq!(machine_paths(&file(&format!("cd {}", MACHINE[0]))).len(), 1);
        for fine in ["target{}/x", "https://example.org{}", "{}space/x", "{}-cause", "<{}>", "${HOME}{}/x"] {
            let line = fine.replace("{}", MACHINE[1]);
            assert!(machine_paths(&file(&line)).is_empty(), "{line}");
        }
    }

    #[test]
    fn registry_hosts_are_caught() {
        for host in REGISTRIES {
            assert_eq!(registries(&file(&format!("see https://{host}/x"))).len(), 1, "{host}");
            assert!(registries(&SourceFile::new("Cargo.lock", host)).is_empty());
        }
        assert!(registries(&file("a crate from crates.io")).is_empty());
    }

    #[test]
    fn switched_off_tests_are_caught() {
        let line = concat!("#[te", "st]\n#[ig", "nore = \"slow\"]\nfn a() {}");
        assert_eq!(ignored_tests(&file(line)).len(), 1);
        assert!(ignored_tests(&file("#[test]\nfn ignore() {}")).is_empty());
    }

    #[test]
    fn vague_names_are_caught() {
        assert_eq!(vague_modules("node/src/utils.rs").len(), 1);
        assert_eq!(vague_modules("node/src/common/mod.rs").len(), 1);
        assert!(vague_modules("node/src/typesetting.rs").is_empty());
        assert!(vague_modules("docs/utils.md").is_empty());
    }
}
