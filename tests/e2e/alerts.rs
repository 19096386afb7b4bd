//! The rules that ship for Prometheus: they parse, each is raised by its cause, and every metric in them is one that a node has.

use crate::evidence::wait_until;
use crate::http::{Api, record};
use anyhow::{Context as _, Result, ensure};
use hashpact_node::alarms::NAMES;
use hashpact_tests::Consortium;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

fn docker() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docker")
}

fn promtool(arguments: &[&str]) -> Result<()> {
    let done = Command::new("promtool").args(arguments).current_dir(docker()).output();
    let done = done.context("promtool (Debian package prometheus; `cargo xtask setup` installs it)")?;
    let said = [done.stdout, done.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    ensure!(done.status.success(), "promtool {arguments:?}: {said}");
    Ok(())
}

/// Words of a text that begin with `prefix`, as far as they are names.
fn words(text: &str, prefix: &str) -> BTreeSet<String> {
    let rest = text.split(prefix).skip(1);
    let name =
        |rest: &str| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>();
    rest.map(|rest| format!("{prefix}{}", name(rest))).collect()
}

#[test]
fn the_rules_are_rules_and_each_is_raised_by_its_cause() -> Result<()> {
    promtool(&["check", "rules", "alerts.yaml"])?;
    promtool(&["test", "rules", "alerts.test.yaml"])
}

fn metrics(api: &Api) -> Result<String> {
    Ok(api.get("/metrics")?.text())
}

#[test]
fn every_alarm_has_a_rule_and_every_rule_a_metric() -> Result<()> {
    let rules = std::fs::read_to_string(docker().join("alerts.yaml"))?;
    let tests = std::fs::read_to_string(docker().join("alerts.test.yaml"))?;
    let alerts: BTreeSet<&str> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    let missing: Vec<&&str> = NAMES.iter().filter(|name| !alerts.contains(**name)).collect();
    ensure!(missing.is_empty(), "alarms of the node without a rule: {missing:?}");

    let mut consortium = Consortium::found(&["ash", "birch"])?;
    consortium.start()?;
    let ash = Api::of(&consortium.nodes[0])?;
    ash.contribute(&[record(0)])?;
    // A family shows once it has a value: one of them tells of cosignatures.
    wait_until("birch's cosignature", || Ok(metrics(&ash)?.contains("log_cosigned_timestamp_seconds{")))?;
    let metrics = metrics(&ash)?;
    let known = words(&metrics, "# TYPE hashpact_")
        .into_iter()
        .map(|name| name.replace("# TYPE ", ""))
        .collect::<BTreeSet<_>>();
    let registers = std::fs::read_to_string(docker().join("../node/src/metrics.rs"))?;
    let used = words(&rules, "hashpact_");
    ensure!(used.len() >= 18, "{used:?}");
    for name in &used {
        let family = name.strip_suffix("_total").unwrap_or(name);
        // A family with labels shows once it has a value: then the node must at least register it.
        let registered = format!("\"{}\"", family.trim_start_matches("hashpact_"));
        ensure!(
            known.contains(family) || registers.contains(&registered),
            "{name} is in alerts.yaml and not in /metrics: {known:?}"
        );
        ensure!(tests.contains(name), "{name} is not in alerts.test.yaml");
    }
    // A node that was just founded has a roster for a year, a token for 90 days, no snapshot, and a disk.
    let status = consortium.nodes[0].status()?;
    let told: Vec<&str> = status.alarms.iter().map(|alarm| alarm.name.as_str()).collect();
    ensure!(told.iter().all(|name| *name == "HashpactDiskLow"), "{:?}", status.alarms);
    Ok(())
}
