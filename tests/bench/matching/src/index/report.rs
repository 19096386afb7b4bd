//! What was measured, one line each: JSON for programs, a table for people; raw samples in a file of their own.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::latency::Samples;

/// One measurement. Absent parts are left out of the JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) metric: String,
    pub(crate) value: f64,
    /// `1/s` is better when larger, everything else when smaller.
    pub(crate) unit: String,
    /// What the value, or with a peer the ratio, should reach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<f64>,
    /// Whether it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) met: Option<bool>,
    /// With what it is compared, measured in the same run on the same data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) peer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) peer_value: Option<f64>,
    /// How many times as good ours is.
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

    /// What a value without a peer should be: at most this, or at least when it is a rate or a share found.
    pub(crate) fn target(mut self, target: f64) -> Self {
        let larger_is_better = matches!(self.unit.as_str(), "1/s" | "% found");
        self.target = Some(target);
        self.met = Some(if larger_is_better { self.value >= target } else { self.value <= target });
        self
    }

    /// What a peer needed for the same.
    pub(crate) fn peer(mut self, name: &str, value: f64) -> Self {
        let ratio = if self.unit == "1/s" { self.value / value } else { value / self.value };
        self.peer = Some(name.into());
        self.peer_value = Some(rounded(value));
        self.ratio = Some(rounded(ratio));
        self
    }

    /// How many times as good as the peer ours should be at least.
    pub(crate) fn target_ratio(mut self, target: f64) -> Self {
        self.target = Some(target);
        self.met = self.ratio.map(|ratio| ratio >= target);
        self
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    fn text(&self) -> String {
        let mut text = format!("{:<52} {:>14} {:<8}", self.metric, self.value, self.unit);
        if let (Some(peer), Some(value), Some(ratio)) = (&self.peer, self.peer_value, self.ratio) {
            text += &format!("  {peer}: {value}, {ratio} times as good");
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

/// Where lines and samples go.
#[derive(Debug)]
pub(crate) struct Report {
    json: bool,
    raw: Option<BufWriter<File>>,
}

impl Report {
    /// Lines to standard output, samples to the end of the file `raw`.
    pub(crate) fn new(json: bool, raw: Option<&Path>) -> Result<Self> {
        let open = |path: &Path| {
            let file = File::options().append(true).create(true).open(path);
            file.map(BufWriter::new).with_context(|| format!("cannot write {}", path.display()))
        };
        Ok(Self { json, raw: raw.map(open).transpose()? })
    }

    /// Prints a line, unless there is no number to print: JSON has none for a division by zero.
    pub(crate) fn line(&self, line: &Line) -> Result<()> {
        if !line.value.is_finite() {
            eprintln!("note: {} could not be measured", line.metric);
            return Ok(());
        }
        let text = if self.json { serde_json::to_string(line)? } else { line.text() };
        let mut output = std::io::stdout().lock();
        writeln!(output, "{text}")?;
        Ok(output.flush()?)
    }

    /// p50, p90, p99, p99.9 and the largest, with the number of samples and the targets that some of them have. A
    /// percentile that fewer than one sample lies above is left out, and so is a target where fewer than ten do.
    pub(crate) fn percentiles(&self, metric: &str, samples: &Samples, targets: &[(&str, f64)]) -> Result<()> {
        const SHARES: [(&str, f64); 5] =
            [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];
        let values = samples.percentiles_us(SHARES.map(|(_, share)| share));
        let count = samples.nanoseconds().len();
        for ((name, share), value) in SHARES.into_iter().zip(values) {
            let above = count as f64 * (1.0 - share);
            if value.is_finite() && (above >= 1.0 || name == "max") {
                let line =
                    Line::new(format!("{metric}.{name}"), value, "us").note(format!("{count} samples"));
                let target = targets.iter().find(|(of, _)| *of == name && above >= 10.0);
                self.line(&target.into_iter().fold(line, |line, (_, target)| line.target(*target)))?;
            }
        }
        Ok(())
    }

    /// Keeps samples: the text line `# name count`, then that many nanoseconds as little-endian 32-bit integers.
    pub(crate) fn raw(&mut self, name: &str, samples: &Samples) -> Result<()> {
        let Some(raw) = &mut self.raw else { return Ok(()) };
        writeln!(raw, "# {name} {}", samples.nanoseconds().len())?;
        for nanoseconds in samples.nanoseconds() {
            raw.write_all(&nanoseconds.to_le_bytes())?;
        }
        Ok(raw.flush()?)
    }
}

/// Reads a file of raw samples: names with their samples, in the file's order.
pub(crate) fn read_raw(path: &Path) -> Result<Vec<(String, Samples)>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse_raw(&bytes).with_context(|| format!("{} is not a file of raw samples", path.display()))
}

fn parse_raw(mut bytes: &[u8]) -> Option<Vec<(String, Samples)>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.iter().position(|&byte| byte == b'\n')?;
        let (name, count) = std::str::from_utf8(&bytes[..end]).ok()?.strip_prefix("# ")?.rsplit_once(' ')?;
        let length = count.parse::<usize>().ok()?.checked_mul(4)?;
        let body = bytes.get(end + 1..)?.get(..length)?;
        let samples = body.as_chunks::<4>().0.iter().map(|sample| u32::from_le_bytes(*sample));
        all.push((name.to_owned(), Samples::from(samples.collect::<Vec<u32>>())));
        bytes = &bytes[end + 1 + length..];
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_parts_are_left_out_and_lines_read_back() {
        let line = Line::new("index.1m.insert.p50", 1.234_56, "us").target(1.0);
        let json = serde_json::to_string(&line).unwrap();
        assert_eq!(
            json,
            r#"{"metric":"index.1m.insert.p50","value":1.235,"unit":"us","target":1.0,"met":false}"#
        );
        assert_eq!(serde_json::from_str::<Line>(&json).unwrap(), line);
    }

    #[test]
    fn better_is_smaller_except_for_rates_and_what_is_found() {
        assert_eq!(Line::new("a", 12.0, "us").target(12.0).met, Some(true));
        assert_eq!(Line::new("a", 9.0, "1/s").target(12.0).met, Some(false));
        assert_eq!(Line::new("a", 99.9, "% found").target(100.0).met, Some(false));
        assert_eq!(Line::new("a", 10.0, "us").peer("p", 50_000.0).ratio, Some(5000.0));
        let rate = Line::new("a", 300_000.0, "1/s").peer("p", 20.0).target_ratio(20_000.0);
        assert_eq!((rate.ratio, rate.met), (Some(15_000.0), Some(false)));
    }

    #[test]
    fn values_keep_four_digits() {
        let values = [0.0, 0.001_234_56, 1.234_56, 123_456.7, 0.99999].map(rounded);
        assert_eq!(values, [0.0, 0.001_235, 1.235, 123_457.0, 1.0]);
    }

    #[test]
    fn raw_samples_read_back_and_a_torn_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("raw");
        for (name, values) in [("a/ours", vec![1, 2, 300_000]), ("a/peer with words", vec![9])] {
            Report::new(true, Some(&path)).unwrap().raw(name, &Samples::from(values)).unwrap();
        }
        let read = read_raw(&path).unwrap();
        let names: Vec<&str> = read.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a/ours", "a/peer with words"]);
        assert_eq!(read[0].1.nanoseconds(), [1, 2, 300_000]);
        let bytes = std::fs::read(&path).unwrap();
        assert!(parse_raw(&bytes[..bytes.len() - 1]).is_none());
    }
}
