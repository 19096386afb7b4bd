//! `cargo xtask bench pdq`: ours and the reference in the same run, taking turns.
//!
//! The peer is the Python binding of Meta's reference, installed with pip into a virtual environment under the
//! target folder. Machines have moods, so both are measured several times in alternation and the ratio is that of
//! the medians. Without Python or the package only our own figures are printed, and that is said.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

use crate::python;
use crate::workspace::{Workspace, json_text};

/// Turns that each side takes.
const TURNS: usize = 5;
/// How many times as fast as the reference ours must be.
const TARGET_RATIO: f64 = 3.0;
const PACKAGE: &str = "pdqhash==0.2.8";

pub(crate) fn run(workspace: &Workspace, json: bool) -> Result<()> {
    let python = match python::environment(workspace, "pdq-reference", &[PACKAGE, "numpy"]) {
        Ok(python) => Some(python),
        Err(error) => {
            eprintln!("note: the reference cannot be measured here ({error:#}); only our own figures follow");
            None
        }
    };
    let mut samples: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for _ in 0..TURNS {
        let ours = workspace.cargo([
            "run",
            "--quiet",
            "--locked",
            "--release",
            "--package",
            "hashpact-hashing",
            "--example",
            "bench_pdq",
        ]);
        collect(&ours.quiet().read()?, &mut samples)?;
        if let Some(python) = &python {
            let script = workspace.root().join("tests/vectors/pdq/bench_reference.py");
            let theirs = workspace.step(python).args([script.as_os_str()]);
            collect(&theirs.quiet().read()?, &mut samples)?;
        }
    }
    for function in ["hash_rgb", "variants_rgb"] {
        let ours = median(&mut samples, &format!("hashing.pdq.{function}.512x512.p50"))?;
        let peer = median(&mut samples, &format!("reference.pdq.{function}.512x512.p50")).ok();
        print(json, function, ours, peer);
    }
    Ok(())
}

fn print(json: bool, function: &str, ours: f64, peer: Option<f64>) {
    let metric = format!("pdq_{function}_512x512_p50");
    let comparison = peer.map(|peer| (peer, peer / ours));
    match (json, comparison) {
        (true, Some((peer, ratio))) => println!(
            r#"{{"metric":"{metric}","value":{ours:.3},"unit":"ms","peer":"{PACKAGE}","peer_value":{peer:.3},"ratio":{ratio:.2},"target":{TARGET_RATIO}}}"#
        ),
        (true, None) => println!(r#"{{"metric":"{metric}","value":{ours:.3},"unit":"ms"}}"#),
        (false, Some((peer, ratio))) => println!(
            "{metric:<32} {ours:>8.3} ms   {PACKAGE} {peer:>8.3} ms   {ratio:.1} times as fast (target {TARGET_RATIO})"
        ),
        (false, None) => println!("{metric:<32} {ours:>8.3} ms"),
    }
}

fn collect(output: &str, samples: &mut BTreeMap<String, Vec<f64>>) -> Result<()> {
    for line in output.lines() {
        // Python puts a space after a colon, Rust does not.
        let line = &line.replace("\": ", "\":");
        let Some(metric) = json_text(line, "metric") else { continue };
        let value = line.split("\"value\":").nth(1).and_then(|rest| rest.split([',', '}']).next());
        let value =
            value.and_then(|text| text.trim().parse().ok()).with_context(|| format!("no value in {line}"))?;
        samples.entry(metric).or_default().push(value);
    }
    Ok(())
}

fn median(samples: &mut BTreeMap<String, Vec<f64>>, metric: &str) -> Result<f64> {
    let values = samples.get_mut(metric).with_context(|| format!("no sample of {metric}"))?;
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().context("no samples")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_collected_by_metric_and_the_middle_one_counts() {
        let mut samples = BTreeMap::new();
        let output =
            "{\"metric\":\"a\",\"value\":3.0,\"unit\":\"ms\"}\nnoise\n{\"metric\": \"a\", \"value\": 1.5}\n";
        collect(output, &mut samples).unwrap();
        collect("{\"metric\":\"a\",\"value\":2}", &mut samples).unwrap();
        assert_eq!(median(&mut samples, "a").unwrap(), 2.0);
        assert!(median(&mut samples, "b").is_err());
        assert!(collect("{\"metric\":\"a\"}", &mut samples).is_err());
    }
}
