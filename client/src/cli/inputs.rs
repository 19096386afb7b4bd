//! Which files a command works on.
//!
//! Files are taken as named; folders are walked in the order of their names, so that two runs print
//! the same. Links are followed, except where they lead back into a folder that is being walked.
//! What cannot be read is an input that failed, with its reason, in its place.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use walkdir::WalkDir;

/// An input: a file to open, or a path that could not be walked and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Input {
    /// The path, as shown.
    pub(crate) path: PathBuf,
    /// Why it is no file that can be opened.
    pub(crate) problem: Option<String>,
}

/// Every file under `paths`, in order.
pub(crate) fn walk(paths: &[PathBuf]) -> impl Iterator<Item = Input> + '_ {
    paths.iter().flat_map(|path| walk_one(path))
}

fn walk_one(root: &Path) -> impl Iterator<Item = Input> + '_ {
    WalkDir::new(root).follow_links(true).sort_by_file_name().into_iter().filter_map(move |entry| match entry
    {
        Ok(entry) if entry.file_type().is_dir() => None,
        Ok(entry) if entry.file_type().is_file() => Some(Input { path: entry.into_path(), problem: None }),
        // A pipe or device would be waited for; inside a folder nobody asked for it by name.
        Ok(entry) if entry.depth() > 0 => None,
        Ok(entry) => Some(Input { path: entry.into_path(), problem: Some("not a regular file".to_owned()) }),
        Err(error) if error.loop_ancestor().is_some() => None,
        Err(error) => {
            let path = error.path().unwrap_or(root).to_owned();
            let reason = error.io_error().map_or_else(|| error.to_string(), ToString::to_string);
            Some(Input { path, problem: Some(reason) })
        }
    })
}

/// Opens a list, and says how many bytes it has if that is known; `-` is standard input.
pub(crate) fn open_list(list: &Path) -> anyhow::Result<(Box<dyn BufRead>, Option<u64>)> {
    if list.as_os_str() == "-" {
        return Ok((Box::new(BufReader::with_capacity(1 << 18, io::stdin())), None));
    }
    let file = File::open(list).with_context(|| list.display().to_string())?;
    let size_bytes = file.metadata().with_context(|| list.display().to_string())?.len();
    Ok((Box::new(BufReader::with_capacity(1 << 18, file)), Some(size_bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_links_and_problems() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir_all(root.join("b/inner")).unwrap();
        for name in ["c.png", "a.png", "b/inner/x.png"] {
            std::fs::write(root.join(name), b"").unwrap();
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(root, root.join("b/loop")).unwrap();
            std::os::unix::fs::symlink(root.join("a.png"), root.join("d.png")).unwrap();
        }
        let paths = [root.to_owned(), root.join("missing")];
        let found: Vec<(String, bool)> = walk(&paths)
            .map(|input| {
                let name = input.path.strip_prefix(root).unwrap().display().to_string();
                (name, input.problem.is_some())
            })
            .collect();
        let expected = [
            ("a.png", false),
            ("b/inner/x.png", false),
            ("c.png", false),
            ("d.png", false),
            ("missing", true),
        ];
        assert_eq!(found, expected.map(|(name, problem)| (name.to_owned(), problem)));
    }
}
