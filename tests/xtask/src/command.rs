//! A child process, started so that it can be read back in the output: what runs is printed before it runs.
//!
//! Cargo started from within `cargo run` would inherit variables that the outer cargo meant for this program
//! alone; some build scripts watch them and would build everything again. They are taken away here.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, ensure};

/// A command that is about to run.
#[derive(Debug)]
pub(crate) struct Step {
    command: Command,
    quiet: bool,
}

impl Step {
    pub(crate) fn new(program: impl AsRef<OsStr>, directory: &Path) -> Self {
        let mut command = Command::new(program);
        command.current_dir(directory).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if meant_for_us_alone(&name) {
                command.env_remove(name);
            }
        }
        Self { command, quiet: false }
    }

    pub(crate) fn args<I: IntoIterator<Item: AsRef<OsStr>>>(mut self, args: I) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Neither announced nor heard.
    pub(crate) fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// What it says on standard error goes to a file.
    pub(crate) fn errors_to(mut self, file: File) -> Self {
        self.command.stderr(file);
        self
    }

    /// Runs it with its output passed through; a status other than 0 is an error.
    pub(crate) fn run(mut self) -> Result<()> {
        self.announce();
        let status = self.command.status().with_context(|| format!("cannot start {}", self.line()))?;
        ensure!(status.success(), "{} failed: {status}", self.line());
        Ok(())
    }

    /// Runs it for its exit status; `false` also when it cannot be started.
    pub(crate) fn succeeds(mut self) -> bool {
        self.announce();
        if self.quiet {
            self.command.stdout(Stdio::null()).stderr(Stdio::null());
        }
        self.command.status().is_ok_and(|status| status.success())
    }

    /// Runs it and calls `each_line` with every line of its standard output; its errors are passed through.
    pub(crate) fn lines(mut self, mut each_line: impl FnMut(&str)) -> Result<ExitStatus> {
        self.announce();
        let mut child = self
            .command
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", self.line()))?;
        let output = child.stdout.take().expect("standard output was piped above");
        for line in BufReader::new(output).split(b'\n') {
            each_line(&String::from_utf8_lossy(&line?));
        }
        Ok(child.wait()?)
    }

    /// Runs it and returns its standard output; a status other than 0 is an error.
    pub(crate) fn read(self) -> Result<String> {
        let line = self.line();
        let mut text = String::new();
        let status = self.lines(|output| {
            text.push_str(output);
            text.push('\n');
        })?;
        ensure!(status.success(), "{line} failed: {status}");
        Ok(text)
    }

    fn announce(&self) {
        if !self.quiet {
            println!("$ {}", self.line());
            // What the child prints must come after this line, also when the output is a pipe.
            let _ = std::io::stdout().flush();
        }
    }

    /// The command as one would type it, with programs of the toolchain by their bare names.
    fn line(&self) -> String {
        let program = Path::new(self.command.get_program());
        let program = program.file_name().unwrap_or(program.as_os_str());
        let words = std::iter::once(program).chain(self.command.get_args());
        words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
    }
}

/// Variables that cargo sets for the program that it runs.
fn meant_for_us_alone(name: &OsString) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("CARGO_PKG_")
        || name.starts_with("CARGO_MANIFEST_")
        || matches!(&*name, "CARGO_CRATE_NAME" | "CARGO_BIN_NAME" | "CARGO_PRIMARY_PACKAGE")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Step {
        Step::new("sh", Path::new(".")).args(["-c", script])
    }

    #[test]
    fn output_status_and_failure_are_reported() {
        assert_eq!(shell("printf 'a\\nb'").read().unwrap(), "a\nb\n");
        assert!(shell("exit 0").succeeds());
        assert!(!shell("exit 3").quiet().succeeds());
        let error = shell("exit 3").run().unwrap_err().to_string();
        assert!(error.contains("sh -c exit 3 failed") && error.contains('3'), "{error}");
        assert!(Step::new("no-such-program-here", Path::new(".")).run().is_err());
    }

    #[test]
    fn the_outer_cargo_is_not_inherited() {
        assert_eq!(shell("echo \"[$CARGO_MANIFEST_DIR$CARGO_PKG_NAME]\"").read().unwrap(), "[]\n");
    }
}
