//! Reads the test vectors of one area.
//!
//! A file starts with lines `# key: value`, among them `expect` (accept or reject), `reason`, and for
//! a rejection `rule`: the name of the error variant, or several separated by `|` where
//! implementations may differ in what they notice first. A line `----` ends the header; everything behind it is
//! the input, byte for byte.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// One vector.
pub(crate) struct VectorFile {
    /// Area and file name, for messages.
    pub(crate) name: String,
    header: BTreeMap<String, String>,
    /// The input.
    pub(crate) body: Vec<u8>,
}

/// All vectors of an area, by name; fails when the folder is missing or mostly accepts.
pub(crate) fn read_area(area: &str) -> Vec<VectorFile> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors").join(area);
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let vectors: Vec<VectorFile> = paths.iter().map(read_file).collect();
    let rejects = vectors.iter().filter(|vector| vector.get("expect") == "reject").count();
    assert!(rejects * 2 > vectors.len(), "{area}: more must fail than must pass");
    vectors
}

#[expect(clippy::disallowed_methods, reason = "the test reads files, the crate under test does not")]
fn read_file(path: &PathBuf) -> VectorFile {
    let bytes = std::fs::read(path).unwrap();
    let end = bytes.windows(6).position(|window| window == b"\n----\n").unwrap();
    let mut header = BTreeMap::new();
    for line in str::from_utf8(&bytes[..end]).unwrap().lines() {
        let (key, value) = line.strip_prefix("# ").and_then(|line| line.split_once(": ")).unwrap();
        assert!(header.insert(key.to_owned(), value.to_owned()).is_none(), "{path:?}: {key} twice");
    }
    let vector = VectorFile {
        name: path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(path).display().to_string(),
        header,
        body: bytes[end + 6..].to_vec(),
    };
    assert!(!vector.get("reason").is_empty());
    vector
}

impl VectorFile {
    /// A header line that must be there.
    pub(crate) fn get(&self, key: &str) -> &str {
        self.header.get(key).unwrap_or_else(|| panic!("{}: no header line {key}", self.name))
    }

    /// Compares an outcome with what the header expects.
    pub(crate) fn check<E: std::fmt::Debug>(&self, outcome: &Result<(), E>) {
        match (self.get("expect"), outcome) {
            ("accept", Ok(())) => {}
            ("reject", Err(error)) => {
                let (rules, error) = (self.get("rule"), format!("{error:?}"));
                let names: Vec<&str> = error.split(|c: char| !c.is_alphanumeric()).collect();
                assert!(
                    rules.split('|').any(|rule| names.contains(&rule)),
                    "{}: refused for {error}, expected {rules}",
                    self.name
                );
            }
            (expect, outcome) => panic!("{}: expected {expect}, got {outcome:?}", self.name),
        }
    }
}
