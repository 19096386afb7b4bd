//! Log output: text for people or JSON for machines, filtered by directives.
//!
//! Events are written where they are handled, once. No event carries signals, queries, keys, tokens
//! or addresses of callers.

use crate::config::{LogFormat, RawLog};
use std::fmt;
use std::io::IsTerminal as _;
use tracing::field::{Field, Visit};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

/// Starts logging to standard error. The variable `HASHPACT_LOG` overrides the filter.
///
/// # Errors
/// The filter is not valid.
pub fn start(log: &RawLog) -> Result<(), String> {
    let directives = std::env::var("HASHPACT_LOG").unwrap_or_else(|_| log.filter.clone());
    let filter =
        EnvFilter::try_new(&directives).map_err(|error| format!("log.filter = {directives:?}: {error}"))?;
    let terminal = std::io::stderr().is_terminal();
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(terminal).with_writer(std::io::stderr);
    let outcome = match log.format {
        LogFormat::Text => builder.with_target(false).fmt_fields(TextFields).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    outcome.map_err(|error| error.to_string())
}

/// Writes the message and `name=value`. The library's own writer leaves out every field whose name begins with `log.`,
/// which it takes for the bridge from the `log` crate; ours name a member's log.
struct TextFields;

impl<'writer> FormatFields<'writer> for TextFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut shown = Shown { writer, is_first: true, outcome: Ok(()) };
        fields.record(&mut shown);
        shown.outcome
    }
}

struct Shown<'writer> {
    writer: Writer<'writer>,
    is_first: bool,
    outcome: fmt::Result,
}

impl Shown<'_> {
    fn show(&mut self, name: &str, value: &dyn fmt::Debug) -> fmt::Result {
        if !std::mem::take(&mut self.is_first) {
            self.writer.write_char(' ')?;
        }
        match name.strip_prefix("r#").unwrap_or(name) {
            "message" => {}
            name if self.writer.has_ansi_escapes() => {
                write!(self.writer, "\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m")?;
            }
            name => write!(self.writer, "{name}=")?,
        }
        // A value may hold what somebody else wrote: it must not reach a terminal as an instruction, nor begin a line.
        for char in format!("{value:?}").chars() {
            if char.is_control() {
                write!(self.writer, "{}", char.escape_default())?;
            } else {
                self.writer.write_char(char)?;
            }
        }
        Ok(())
    }
}

impl Visit for Shown<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.record_debug(field, &format_args!("{value}")),
            _ => self.record_debug(field, &value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // What the bridge adds says where in a dependency something was logged.
        let is_bridge = matches!(field.name(), "log.target" | "log.module_path" | "log.file" | "log.line");
        if !is_bridge && self.outcome.is_ok() {
            self.outcome = self.show(field.name(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    /// Collects what is written.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("one thread").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn written(ansi: bool, log: impl FnOnce()) -> String {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(ansi)
            .without_time()
            .with_target(false)
            .fmt_fields(TextFields)
            .with_writer(move || writer.clone());
        tracing::subscriber::with_default(subscriber.finish(), log);
        let bytes = written.0.lock().expect("one thread").clone();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn every_field_is_written_whatever_its_name() {
        let text = written(false, || {
            tracing::info!(log.origin = "c/ash/0", log.size = 7, member.id = %"ash", "stored");
        });
        assert_eq!(text, " INFO stored log.origin=\"c/ash/0\" log.size=7 member.id=ash\n");
    }

    #[test]
    fn what_the_bridge_adds_is_left_out() {
        let text =
            written(false, || tracing::warn!(log.target = "dependency", log.line = 3, log.size = 1, "x"));
        assert_eq!(text, " WARN x log.size=1\n");
    }

    #[test]
    fn no_value_begins_a_line_or_instructs_a_terminal() {
        let text = written(false, || tracing::warn!(from = %"a\nb\x1b[2J", "said {}", "c\rd"));
        assert_eq!(text, " WARN said c\\rd from=a\\nb\\u{1b}[2J\n");
    }

    #[test]
    fn a_terminal_gets_names_in_italics() {
        let text = written(true, || tracing::info!(log.size = 7, "stored"));
        assert!(text.contains("\x1b[3mlog.size\x1b[0m\x1b[2m=\x1b[0m7"), "{text:?}");
    }
}
