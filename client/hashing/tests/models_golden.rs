//! Model files compared with what independent programs say about them: `tests/vectors/models/generate.py` computes
//! digests with hashlib, zlib and BLAKE3's own binding, values with safetensors, ml_dtypes and gguf, and sketches as
//! the definition reads, in doubles. Every identifier must be equal, and every bit.
//!
//! The files of the folder are always compared. Those that packages ship are compared where `cargo xtask models`
//! left them (`HASHPACT_MODELS`).
#![expect(clippy::disallowed_methods, reason = "tests read their vectors")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use hashpact_hashing::models::{self, identifiers};

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/models");

/// The lines of a table, by file and name.
fn golden(table: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let text = fs::read_to_string(Path::new(VECTORS).join(table)).unwrap();
    let mut files: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for line in text.lines() {
        let [file, name, value] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        files.entry(file.to_owned()).or_default().insert(name.to_owned(), value.to_owned());
    }
    assert!(!files.is_empty());
    files
}

fn found(path: &Path) -> BTreeMap<String, String> {
    let model = models::read(&mut File::open(path).unwrap(), |_| ()).unwrap();
    let weights = model.weights.unwrap().unwrap();
    let mut found: BTreeMap<String, String> =
        model.identifiers.named().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    found.insert("size_bytes".to_owned(), model.identifiers.size_bytes.to_string());
    found.insert("tset1".to_owned(), identifiers::hex(&weights.tensor_set().unwrap()));
    for (nth, tile) in weights.tiles.iter().enumerate() {
        found.insert(format!("tile:{nth}"), identifiers::hex(&tile.bits));
        found.insert(format!("rows:{nth}"), tile.shape.rows.to_string());
        found.insert(format!("columns:{nth}"), tile.shape.columns.to_string());
    }
    found
}

fn compare(table: &str, folder: &Path) {
    for (file, expected) in golden(table) {
        let found = found(&folder.join(&file));
        let has_tiles = expected.keys().any(|name| name.starts_with("tile:"));
        for (name, value) in &expected {
            assert_eq!(found.get(name), Some(value), "{file}: {name}");
        }
        let more =
            found.keys().find(|name| !expected.contains_key(*name) && (has_tiles || !name.contains(':')));
        assert_eq!(more, None, "{file} has something that the table lacks");
    }
}

#[test]
fn files_of_every_type() {
    compare("golden.txt", Path::new(VECTORS));
}

#[test]
fn files_that_packages_ship() {
    match std::env::var_os("HASHPACT_MODELS") {
        Some(folder) => compare("golden-packages.txt", Path::new(&folder)),
        None => println!("not compared: HASHPACT_MODELS names no folder (cargo xtask models makes one)"),
    }
}
