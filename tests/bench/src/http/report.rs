//! Metrics as lines: for people, or one JSON object each.

use std::time::Duration;

/// How metrics are printed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Report {
    /// One JSON object a line.
    pub(crate) json: bool,
}

/// What a metric is held against.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    /// It must not be less.
    AtLeast(f64),
    /// It must not be more.
    AtMost(f64),
    /// It is only shown.
    None,
}

impl Report {
    pub(crate) fn metric(self, metric: &str, value: f64, unit: &str, target: Target) {
        self.line(metric, value, unit, target, None);
    }

    /// The same, beside what something else came to in the same run.
    #[allow(dead_code, reason = "not every benchmark that has these reports has peers")]
    pub(crate) fn beside(self, metric: &str, value: f64, unit: &str, target: Target, peer: (&str, f64)) {
        self.line(metric, value, unit, target, Some(peer));
    }

    fn line(self, metric: &str, value: f64, unit: &str, target: Target, peer: Option<(&str, f64)>) {
        let (words, met) = match target {
            Target::AtLeast(bound) => (format!("at least {bound}"), Some(value >= bound)),
            Target::AtMost(bound) => (format!("at most {bound}"), Some(value <= bound)),
            Target::None => (String::new(), None),
        };
        if !self.json {
            let verdict = match met {
                Some(true) => format!("   (target: {words} {unit}, met)"),
                Some(false) => format!("   (target: {words} {unit}, MISSED)"),
                None => String::new(),
            };
            let peer = peer.map(|(name, of)| format!("   ({:.2} x {name}: {of:.3} {unit})", value / of));
            println!("{metric:<36} {value:>14.3} {unit}{verdict}{}", peer.unwrap_or_default());
            return;
        }
        let mut line = serde_json::json!({ "metric": metric, "value": value, "unit": unit });
        if let Some(met) = met {
            line["target"] = words.into();
            line["met"] = met.into();
        }
        if let Some((name, of)) = peer {
            line["peer"] = name.into();
            line["peer_value"] = of.into();
            line["ratio"] = (value / of).into();
        }
        println!("{line}");
    }

    /// Percentiles of times in milliseconds; the target is that of p99.
    pub(crate) fn latencies(self, name: &str, mut samples: Vec<Duration>, p99: Target) {
        samples.sort_unstable();
        let at = |share: f64| {
            let last = samples.len().saturating_sub(1);
            let sample = samples.get((last as f64 * share).round() as usize).copied().unwrap_or_default();
            sample.as_secs_f64() * 1_000.0
        };
        for (suffix, share, target) in [
            ("p50", 0.5, Target::None),
            ("p90", 0.9, Target::None),
            ("p99", 0.99, p99),
            ("p99.9", 0.999, Target::None),
            ("max", 1.0, Target::None),
        ] {
            self.metric(&format!("{name}_{suffix}"), at(share), "ms", target);
        }
    }
}
