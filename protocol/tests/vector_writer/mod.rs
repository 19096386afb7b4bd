//! Writes the test vectors that a generator makes, or checks that the files are still what it makes.
//!
//! With `UPDATE_VECTORS=1` in the environment the folder is rewritten; without it, a file that differs,
//! is missing or has no source fails the test. Generators use fixed seeds only.

use std::path::PathBuf;

/// One vector: what its header says, and the input.
#[derive(Clone)]
pub(crate) struct Vector {
    name: String,
    header: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Vector {
    /// A vector that every implementation accepts.
    pub(crate) fn accept(name: &str, reason: &str, body: impl Into<Vec<u8>>) -> Self {
        let header = vec![("expect", "accept".to_owned()), ("reason", reason.to_owned())];
        Self { name: format!("pass-{name}.txt"), header, body: body.into() }
    }

    /// A vector that every implementation refuses; `rule` names the error.
    pub(crate) fn reject(name: &str, rule: &str, reason: &str, body: impl Into<Vec<u8>>) -> Self {
        let header =
            vec![("expect", "reject".to_owned()), ("rule", rule.to_owned()), ("reason", reason.to_owned())];
        Self { name: format!("fail-{name}.txt"), header, body: body.into() }
    }

    /// Adds a header line.
    pub(crate) fn with(mut self, key: &'static str, value: impl ToString) -> Self {
        self.header.push((key, value.to_string()));
        self
    }

    fn content(&self) -> Vec<u8> {
        let header: String = self.header.iter().map(|(key, value)| format!("# {key}: {value}\n")).collect();
        [header.as_bytes(), b"----\n", &self.body].concat()
    }
}

/// Compares the folder of an area with its vectors, or rewrites it.
#[expect(
    clippy::disallowed_methods,
    reason = "the test reads and writes files, the crate under test does not"
)]
pub(crate) fn compare_or_update(area: &str, vectors: &[Vector]) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors").join(area);
    let mut names: Vec<&str> = vectors.iter().map(|vector| vector.name.as_str()).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count, "two vectors of one name");
    let update = std::env::var_os("UPDATE_VECTORS").is_some();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let known = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| names.contains(&name));
        if update && !known {
            std::fs::remove_file(&path).unwrap();
        } else {
            assert!(known, "{} is in no generator", path.display());
        }
    }
    for vector in vectors {
        let path = folder.join(&vector.name);
        if update {
            std::fs::write(&path, vector.content()).unwrap();
        }
        let found = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(found == vector.content(), "{} is not what the generator writes", path.display());
    }
}
