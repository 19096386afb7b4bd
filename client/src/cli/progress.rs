//! Progress bars on standard error, only when a person is looking at it.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::Output;

/// What the numbers of a bar count.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Unit {
    /// Files, items, records.
    Items,
    /// Bytes of an input.
    Bytes,
}

/// A bar of `total` steps; with no total known, a spinner that counts.
pub(crate) fn bar(output: Output, what: &str, total: Option<u64>, unit: Unit) -> ProgressBar {
    if output.quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
    let numbers = match (total, unit) {
        (Some(_), Unit::Items) => "{human_pos} of {human_len}, {eta} left",
        (Some(_), Unit::Bytes) => "{bytes} of {total_bytes}, {eta} left",
        (None, Unit::Items) => "{human_pos}",
        (None, Unit::Bytes) => "{bytes}",
    };
    let shape = if total.is_some() { "{prefix}  [{bar:30}]  " } else { "{prefix}  {spinner}  " };
    let style = ProgressStyle::with_template(&format!("{shape}{numbers}  {{msg}}"))
        .expect("the template is a constant of this function")
        .progress_chars("=> ");
    bar.set_style(style);
    bar.set_prefix(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
