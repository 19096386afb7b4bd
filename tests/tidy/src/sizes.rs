//! How long a file may grow before somebody must say why.

use crate::{SourceFile, Violation};

/// Lines of a Rust file beyond which it must be listed with owner and reason.
pub const LINES_MAX: usize = 700;

/// Checks all Rust files against the limit and the list of exceptions.
pub fn long_files(files: &[SourceFile], exceptions: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    let listed: Vec<(&str, &str)> = exceptions
        .lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .map(|line| line.split_once("  ").unwrap_or((line, "")))
        .collect();
    for (path, reason) in &listed {
        if !reason.contains(": ") {
            violations.push(format!("long-files.txt: {path} needs an owner and a reason"));
        }
        let long = files.iter().any(|file| file.path == *path && lines(file) > LINES_MAX);
        if !long {
            violations.push(format!("long-files.txt: {path} is not a long file (any more)"));
        }
    }
    for file in files.iter().filter(|file| file.is_rust()) {
        let excused = listed.iter().any(|(path, _)| *path == file.path);
        if lines(file) > LINES_MAX && !excused {
            violations.push(format!("{}: {} lines, at most {LINES_MAX}", file.path, lines(file)));
        }
    }
    violations
}

fn lines(file: &SourceFile) -> usize {
    file.text.lines().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_files_and_idle_exceptions_are_caught() {
        let long = SourceFile::new("a/long.rs", &"x\n".repeat(LINES_MAX + 1));
        let short = SourceFile::new("a/short.rs", &"x\n".repeat(LINES_MAX));
        let text = SourceFile::new("SPEC.md", &"x\n".repeat(LINES_MAX + 1));
        let files = [long, short, text];
        assert_eq!(long_files(&files, "# none\n"), ["a/long.rs: 701 lines, at most 700"]);
        assert!(long_files(&files, "a/long.rs  core: one table of events\n").is_empty());
        assert_eq!(long_files(&files, "a/long.rs\n").len(), 1);
        assert_eq!(long_files(&files[1..], "a/short.rs  core: was long once\n").len(), 1);
    }
}
