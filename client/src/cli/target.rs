//! Where lines of results go: standard output, or a file that has its name only when it is complete.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

/// A stream, or a file that gets its name at the end.
pub(crate) struct Target {
    writer: Box<dyn Write>,
    rename: Option<(PathBuf, PathBuf)>,
}

impl Target {
    /// Opens what is written to; with `out`, a file beside it.
    pub(crate) fn open(out: Option<&Path>) -> anyhow::Result<Target> {
        let Some(out) = out else {
            return Ok(Target { writer: Box::new(BufWriter::new(io::stdout())), rename: None });
        };
        let mut part = out.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let file = File::create(&part).with_context(|| part.display().to_string())?;
        Ok(Target { writer: Box::new(BufWriter::new(file)), rename: Some((part, out.to_owned())) })
    }

    /// Writes a line; a closed pipe ends the program quietly.
    pub(crate) fn line(&mut self, line: &str) -> anyhow::Result<()> {
        match writeln!(self.writer, "{line}") {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe && self.rename.is_none() => {
                std::process::exit(0)
            }
            written => written.context("writing the list"),
        }
    }

    /// Ends it: the file is on disk, under its name.
    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        self.writer.flush().context("writing the list")?;
        if let Some((part, out)) = &self.rename {
            File::open(part).and_then(|file| file.sync_all()).context("writing the list")?;
            std::fs::rename(part, out).with_context(|| out.display().to_string())?;
        }
        self.rename = None;
        Ok(())
    }
}

impl Drop for Target {
    /// What did not become whole leaves nothing behind.
    fn drop(&mut self) {
        if let Some((part, _)) = &self.rename {
            let _ = std::fs::remove_file(part);
        }
    }
}
