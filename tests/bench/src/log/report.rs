//! What was measured, one line each: JSON for programs, a table for people.

use serde::{Deserialize, Serialize};

/// One measurement. Absent parts are left out of the JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    /// What.
    pub(crate) metric: String,
    /// How much.
    pub(crate) value: f64,
    /// `1/s` is better when larger, everything else when smaller.
    pub(crate) unit: String,
    /// What the value should reach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<f64>,
    /// Whether it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) met: Option<bool>,
    /// The limit that it is compared with, measured in the same run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) peer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) peer_value: Option<f64>,
    /// Our share of that limit; 1 is the limit itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ratio: Option<f64>,
    /// What else must be known to read the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<String>,
}

impl Line {
    pub(crate) fn new(metric: impl Into<String>, value: f64, unit: &str) -> Self {
        Self { metric: metric.into(), value: rounded(value), unit: unit.into(), ..Self::default() }
    }

    /// What the value should be: at least this when it is a rate, at most this otherwise.
    pub(crate) fn target(mut self, target: f64) -> Self {
        self.target = Some(target);
        self.met = Some(if self.unit == "1/s" { self.value >= target } else { self.value <= target });
        self
    }

    /// A limit of this machine for the same work.
    pub(crate) fn peer(mut self, name: &str, value: f64) -> Self {
        let ratio = if self.unit == "1/s" { self.value / value } else { value / self.value };
        self.peer = Some(name.into());
        self.peer_value = Some(rounded(value));
        self.ratio = Some(rounded(ratio));
        self
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    fn text(&self) -> String {
        let mut text = format!("{:<44} {:>12} {:<8}", self.metric, self.value, self.unit);
        if let (Some(peer), Some(value), Some(ratio)) = (&self.peer, self.peer_value, self.ratio) {
            text += &format!("  {peer}: {value}, {ratio} of it");
        }
        if let (Some(target), Some(met)) = (self.target, self.met) {
            text += &format!("  target {target}: {}", if met { "met" } else { "MISSED" });
        }
        if let Some(note) = &self.note {
            text += &format!("  ({note})");
        }
        text
    }
}

/// Four significant digits: no measurement here is worth more.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let digits = (3 - value.abs().log10().floor() as i32).max(0);
    format!("{value:.*}", digits as usize).parse().unwrap_or(value)
}

/// Where lines go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Report {
    /// One JSON object a line.
    pub(crate) json: bool,
}

impl Report {
    /// Prints a line, unless there is no number to print: JSON has none for a division by zero.
    pub(crate) fn line(self, line: &Line) {
        if !line.value.is_finite() {
            eprintln!("note: {} could not be measured", line.metric);
        } else if self.json {
            println!("{}", serde_json::to_string(line).expect("texts and finite numbers"));
        } else {
            println!("{}", line.text());
        }
    }
}

/// The value below which this share of the samples lies; sorts them.
pub(crate) fn percentile(samples: &mut [f64], share: f64) -> f64 {
    samples.sort_unstable_by(f64::total_cmp);
    let last = samples.len().saturating_sub(1);
    samples.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
}
