//! Lines of an input that cannot be used: none is passed over in silence.
//!
//! The first hundred go to standard error, all of them to a file if one is asked for. A reason never repeats what stands on
//! the line beyond what its reader thought fit to show.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::Context;
use indicatif::ProgressBar;

use super::output::{Output, printable};

/// Unusable lines shown on standard error; the rest is counted there and listed in the file.
const SHOWN_MAX: u64 = 100;

/// Where unusable lines are reported.
pub(crate) struct Reporter {
    output: Output,
    bar: ProgressBar,
    shown: u64,
    file: Option<BufWriter<File>>,
    failure: Option<io::Error>,
}

impl Reporter {
    /// Reports around `bar`, and to the file at `path`.
    pub(crate) fn new(output: Output, bar: ProgressBar, path: Option<&Path>) -> anyhow::Result<Reporter> {
        let create = |path: &Path| File::create(path).with_context(|| path.display().to_string());
        let file = path.map(create).transpose()?.map(BufWriter::new);
        Ok(Reporter { output, bar, shown: 0, file, failure: None })
    }

    /// Reports one line.
    pub(crate) fn report(&mut self, line: u64, reason: &dyn Display) {
        let text = format!("line {line}: {}", printable(&reason.to_string()));
        self.shown += 1;
        if self.shown <= SHOWN_MAX {
            self.bar.suspend(|| self.output.warn(&text));
        } else if self.shown == SHOWN_MAX + 1 {
            let rest = if self.file.is_some() {
                "all are in the --errors file"
            } else {
                "list all with --errors FILE"
            };
            self.bar.suspend(|| {
                self.output.warn(&format!("further unusable lines are only counted here; {rest}"))
            });
        }
        if let (Some(file), None) = (&mut self.file, &self.failure) {
            self.failure = writeln!(file, "{text}").err();
        }
    }

    /// Ends the file.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        let written = match (self.failure, self.file) {
            (Some(error), _) => Err(error),
            (None, Some(mut file)) => file.flush(),
            (None, None) => Ok(()),
        };
        written.context("the --errors file could not be written")
    }
}
