//! Reads test vectors that are short binary values: fields in hexadecimal, one a line.
//!
//! A file starts with `# expect: VERDICT` and `# reason: TEXT`; the text may go on in lines that start
//! with `#` and blanks. Then come lines `name: value`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hashpact_protocol::digest::hex_decode;

/// One vector.
pub(crate) struct VectorFile {
    /// File name, for messages.
    pub(crate) name: String,
    /// The verdict that the header expects, with its message.
    pub(crate) expect: String,
    /// Why.
    pub(crate) reason: String,
    fields: BTreeMap<String, String>,
}

/// All vectors of an area, by name.
pub(crate) fn vectors(area: &str) -> Vec<VectorFile> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors").join(area);
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(&folder).expect("vectors").map(|entry| entry.expect("entry").path()).collect();
    paths.sort();
    paths.iter().map(|path| read_file(path)).collect()
}

#[expect(clippy::disallowed_methods, reason = "the test reads files, the crate under test does not")]
fn read_file(path: &Path) -> VectorFile {
    let text = std::fs::read_to_string(path).expect("text");
    let (mut expect, mut reason, mut fields) = (String::new(), String::new(), BTreeMap::new());
    for line in text.lines() {
        if let Some(verdict) = line.strip_prefix("# expect: ") {
            expect = verdict.to_owned();
        } else if let Some(more) = line.strip_prefix('#') {
            reason.push_str(more.trim_start().trim_start_matches("reason: "));
            reason.push(' ');
        } else {
            let (name, value) = line.split_once(':').expect("name: value");
            assert!(fields.insert(name.to_owned(), value.trim().to_owned()).is_none(), "{name} twice");
        }
    }
    let name = path.file_name().expect("name").to_string_lossy().into_owned();
    assert!(!expect.is_empty() && !reason.trim().is_empty(), "{name}: header");
    VectorFile { name, expect, reason, fields }
}

impl VectorFile {
    /// A field that may be missing.
    pub(crate) fn optional(&self, field: &str) -> Option<&str> {
        self.fields.get(field).map(String::as_str)
    }

    /// A field that must be there.
    pub(crate) fn field(&self, field: &str) -> &str {
        self.optional(field).unwrap_or_else(|| panic!("{}: no field {field}", self.name))
    }

    /// The bytes of a field that must be there.
    pub(crate) fn bytes(&self, field: &str) -> Vec<u8> {
        hex_decode(self.field(field)).unwrap_or_else(|error| panic!("{}: {field}: {error}", self.name))
    }
}
