//! Log output: text for people or JSON for machines, filtered by directives.
//!
//! Events are written where they are handled, once. No event carries signals, queries, keys, tokens
//! or addresses of callers.

use crate::config::{LogFormat, RawLog};
use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;

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
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    outcome.map_err(|error| error.to_string())
}
