//! Which models a store holds: every folder is looked into, and files that belong together are one model.
//!
//! Links are followed, as stores of models consist of them; a folder is entered once, whatever leads to it, and a file
//! that was found under another name before is named with that name and not read again. Only names and sizes are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use hashpact_hashing::models::parts::{self, Component};

use super::super::files;

/// Folders deeper than this are not entered.
const DEPTH_MAX: usize = 64;

/// A model of the store.
#[derive(Debug)]
pub(super) struct Found {
    /// The file, or the index of its shards.
    pub(super) path: PathBuf,
    /// What is to be done with it.
    pub(super) what: What,
}

/// What was found at a path.
#[derive(Debug)]
pub(super) enum What {
    /// A model to read.
    Model(Files),
    /// The same files as those of a model that was found before.
    SameAs(PathBuf),
    /// Nothing that can be read, and why.
    Problem(String),
}

/// The files of one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Files {
    /// In order.
    pub(super) paths: Vec<PathBuf>,
    /// Of all together.
    pub(super) size_bytes: u64,
    /// Size and time of the last change of each: another stamp means other contents.
    pub(super) stamp: String,
}

impl Files {
    /// As they are now.
    pub(super) fn new(paths: Vec<PathBuf>) -> Result<Self, String> {
        let (mut size_bytes, mut stamps) = (0, Vec::new());
        for path in &paths {
            let metadata = fs::metadata(path).map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => {
                    format!("{} is missing, which the index names", path.display())
                }
                _ => format!("{}: {error}", path.display()),
            })?;
            if !metadata.is_file() {
                return Err(format!("{} is not a regular file", path.display()));
            }
            size_bytes += metadata.len();
            stamps.push(stamp(&metadata));
        }
        Ok(Self { paths, size_bytes, stamp: stamps.join(" ") })
    }
}

fn stamp(metadata: &Metadata) -> String {
    let changed = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    format!("{}:{}", metadata.len(), changed.unwrap_or_default().as_nanos())
}

/// Everything under `roots`, in the order of the names. `each_folder` is called with every folder that is entered.
pub(super) fn find(roots: &[PathBuf], mut each_folder: impl FnMut(&Path)) -> Vec<Found> {
    let mut walk = Walk::default();
    for root in roots {
        match fs::metadata(root) {
            Ok(metadata) if metadata.is_dir() => walk.folder(root, 0, &mut each_folder),
            Ok(_) => walk.model(root.clone()),
            Err(error) => walk.problem(root, error.to_string()),
        }
    }
    walk.found
}

#[derive(Default)]
struct Walk {
    found: Vec<Found>,
    /// Folders that were entered, as they are really called.
    entered: BTreeSet<PathBuf>,
    /// Files that were found, as they are really called, and under which name first.
    files: BTreeMap<Vec<PathBuf>, PathBuf>,
}

impl Walk {
    fn folder(&mut self, folder: &Path, depth: usize, each: &mut impl FnMut(&Path)) {
        match fs::canonicalize(folder) {
            Ok(real) => {
                if !self.entered.insert(real) {
                    return;
                }
                each(folder);
            }
            Err(error) => return self.problem(folder, error.to_string()),
        }
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return self.problem(folder, format!("the folder cannot be read: {error}")),
        };
        let (mut names, mut folders) = (Vec::new(), Vec::new());
        for entry in entries {
            let path = match entry {
                Ok(entry) => entry.path(),
                Err(error) => {
                    self.problem(folder, format!("the folder cannot be read to its end: {error}"));
                    break;
                }
            };
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let is_wanted = parts::is_model(&name) || parts::is_index(&name);
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => folders.push(path),
                Ok(metadata) if metadata.is_file() && is_wanted => names.push(name),
                // A pipe or a device would be waited for.
                Ok(_) => {}
                Err(error) if is_wanted => self.problem(&path, broken(&path, &error)),
                Err(_) => {}
            }
        }
        names.sort_unstable();
        folders.sort_unstable();
        for Component { name, .. } in parts::components(&names) {
            self.model(folder.join(name));
        }
        for inner in folders {
            if depth == DEPTH_MAX {
                self.problem(&inner, format!("folders are nested deeper than {DEPTH_MAX}"));
            } else {
                self.folder(&inner, depth + 1, each);
            }
        }
    }

    fn model(&mut self, path: PathBuf) {
        let what = match files::files_of(&path).and_then(Files::new) {
            Ok(model) => {
                let real = model.paths.iter().map(|path| fs::canonicalize(path).unwrap_or(path.clone()));
                match self.files.entry(real.collect()) {
                    std::collections::btree_map::Entry::Occupied(first) => What::SameAs(first.get().clone()),
                    std::collections::btree_map::Entry::Vacant(place) => {
                        place.insert(path.clone());
                        What::Model(model)
                    }
                }
            }
            Err(reason) => What::Problem(reason),
        };
        self.found.push(Found { path, what });
    }

    fn problem(&mut self, path: &Path, reason: String) {
        self.found.push(Found { path: path.to_owned(), what: What::Problem(reason) });
    }
}

fn broken(path: &Path, error: &std::io::Error) -> String {
    match fs::read_link(path) {
        Ok(target) => format!("a link to {}, which cannot be opened: {error}", target.display()),
        Err(_) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(root: &Path, found: &[Found]) -> Vec<String> {
        let inner = |path: &Path| path.strip_prefix(root).unwrap().display().to_string();
        let line = |found: &Found| match &found.what {
            What::Model(files) => format!("{}: {} files", inner(&found.path), files.paths.len()),
            What::SameAs(first) => format!("{}: is {}", inner(&found.path), inner(first)),
            What::Problem(reason) => format!("{}: {}", inner(&found.path), reason.split(',').next().unwrap()),
        };
        found.iter().map(line).collect()
    }

    #[cfg(unix)]
    #[test]
    fn links_shards_and_broken_things() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for inner in ["blobs", "snapshots/a", "z"] {
            fs::create_dir_all(root.join(inner)).unwrap();
        }
        for name in ["blobs/0a", "z/one.ckpt", "z/readme.md", "z/m-1-of-2.safetensors"] {
            fs::write(root.join(name), name).unwrap();
        }
        let index =
            r#"{"weight_map":{"a":"m-00001-of-00002.safetensors","b":"m-00002-of-00002.safetensors"}}"#;
        fs::write(root.join("z/m.safetensors.index.json"), index).unwrap();
        symlink(root.join("blobs/0a"), root.join("snapshots/a/model.safetensors")).unwrap();
        symlink(root.join("blobs/0a"), root.join("snapshots/a/other.safetensors")).unwrap();
        symlink(root, root.join("z/loop")).unwrap();
        symlink(root.join("gone"), root.join("z/broken.gguf")).unwrap();
        let mut folders = 0;
        let found = find(&[root.to_owned()], |_| folders += 1);
        let expected = [
            "snapshots/a/model.safetensors: 1 files",
            "snapshots/a/other.safetensors: is snapshots/a/model.safetensors",
            "z/broken.gguf: a link to ",
            "z/m.safetensors.index.json: ",
            "z/one.ckpt: 1 files",
        ];
        let shown = shown(root, &found);
        assert_eq!(shown.len(), expected.len(), "{shown:?}");
        for (line, expected) in shown.iter().zip(expected) {
            assert!(line.starts_with(expected), "{line}");
        }
        assert!(shown[3].contains("m-00001-of-00002.safetensors is missing"), "{}", shown[3]);
        assert_eq!(folders, 5);
    }

    #[test]
    fn a_stamp_changes_with_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pt");
        fs::write(&path, "one").unwrap();
        let files = || Files::new(vec![path.clone()]).unwrap();
        let first = files();
        assert_eq!(first, files());
        fs::write(&path, "longer").unwrap();
        assert_ne!(first.stamp, files().stamp);
        assert!(Files::new(vec![folder.path().to_owned()]).unwrap_err().contains("not a regular file"));
    }
}
