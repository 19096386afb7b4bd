//! The files of the tree, and what of a Rust file is code.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A text file of the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Path relative to the workspace, with forward slashes.
    pub path: String,
    /// The whole content.
    pub text: String,
}

impl SourceFile {
    /// A file made up in a test.
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// Whether it is Rust source.
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Line numbers (from 1) and lines without those that are only a comment.
    pub fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(number, line)| (number + 1, line));
        lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

/// The repository as it lies on disk.
#[derive(Clone, Debug)]
pub struct Tree {
    /// The workspace's folder.
    pub root: PathBuf,
    /// All text files that are tracked, or would be.
    pub files: Vec<SourceFile>,
}

impl Tree {
    /// Reads the workspace that this package belongs to.
    ///
    /// # Panics
    ///
    /// When the workspace cannot be listed; a check of nothing must not pass.
    pub fn read() -> Self {
        let package = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root =
            package.ancestors().nth(2).expect("tests/tidy is two folders below the workspace").to_owned();
        let mut paths = tracked(&root).unwrap_or_else(|| {
            let mut found = Vec::new();
            walk(&root, &root, &mut found);
            found
        });
        paths.sort();
        let read =
            |path: String| Some(SourceFile { text: std::fs::read_to_string(root.join(&path)).ok()?, path });
        let files: Vec<SourceFile> = paths.into_iter().filter_map(read).collect();
        assert!(files.iter().any(|file| file.path == "Cargo.toml"), "no workspace in {}", root.display());
        Self { root, files }
    }

    /// The file at this path, if there is one.
    pub fn file(&self, path: &str) -> Option<&SourceFile> {
        self.files.iter().find(|file| file.path == path)
    }
}

/// What git tracks or would track; `None` outside a git checkout.
fn tracked(root: &Path) -> Option<Vec<String>> {
    if !root.join(".git").exists() {
        return None;
    }
    let args = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").args(args).current_dir(root).output().ok()?;
    let names = String::from_utf8(output.stdout).ok()?;
    let paths: Vec<String> = names.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    (output.status.success() && !paths.is_empty()).then_some(paths)
}

/// All files below a folder, for a copy of the tree without git.
fn walk(root: &Path, folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if name == "target" || name == ".git" {
            continue;
        }
        if path.is_dir() {
            walk(root, &path, found);
        } else if let Some(relative) = path.strip_prefix(root).ok().and_then(Path::to_str) {
            found.push(relative.to_owned());
        }
    }
}

/// Whether a character can be part of a Rust name.
pub(crate) fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Places where `word` stands in `line` and is not part of a longer name on its left.
pub(crate) fn occurrences<'l>(line: &'l str, word: &'l str) -> impl Iterator<Item = usize> + 'l {
    line.match_indices(word).map(|(at, _)| at).filter(|at| !line[..*at].ends_with(is_name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_not_code() {
        let file = SourceFile::new("a.rs", "//! axum::\nuse x;\n    // y\nfn z() {}\n");
        assert_eq!(file.code_lines().collect::<Vec<_>>(), [(2, "use x;"), (4, "fn z() {}")]);
    }

    #[test]
    fn names_are_matched_whole_on_their_left() {
        assert_eq!(occurrences("axum::x my_axum::y (axum::z", "axum::").collect::<Vec<_>>(), [0, 20]);
    }
}
