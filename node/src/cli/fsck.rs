//! `hashpact-node fsck`: verify everything on disk, from the leaves up.

use crate::config::Config;
use crate::storage::fsck::{FsckReport, Progress};
use crate::storage::{LockFile, Store, fsck as check};
use anyhow::Context as _;
use clap::Args;
use std::process::ExitCode;

#[derive(Args)]
pub(super) struct FsckArguments {
    /// Print the report as one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn fsck(config: &Config, arguments: &FsckArguments) -> anyhow::Result<ExitCode> {
    let (chain, _) = super::init::load_roster(&config.roster_file(), None)?;
    let store = Store::open(&config.database_dir()).context("database (is the node still running?)")?;
    let lock = LockFile::open(&config.lock_file())
        .with_context(|| format!("lock file {}", config.lock_file().display()))?;
    let mut shown = std::time::Instant::now();
    let mut progress = |progress: Progress<'_>| {
        if !arguments.json && shown.elapsed().as_millis() >= 500 {
            shown = std::time::Instant::now();
            eprintln!("{}: {} of {} entries", progress.origin, progress.checked, progress.size);
        }
    };
    let report = check(&store, &chain, lock.state(), &mut progress)?;
    if arguments.json {
        println!("{}", to_json(&report));
    } else {
        print(&report);
    }
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

fn print(report: &FsckReport) {
    for log in &report.logs {
        println!(
            "{}: {} entries, {} payloads, {} tiles",
            log.origin, log.entries, log.payloads_present, log.tiles
        );
    }
    for problem in &report.problems {
        println!("{}: {problem}", if problem.is_fault() { "FAULT" } else { "notice" });
    }
    let entries: u64 = report.logs.iter().map(|log| log.entries).sum();
    let verdict = if report.is_clean() { "clean" } else { "NOT CLEAN" };
    println!(
        "{verdict}: {} logs, {entries} entries, {} faults, {} notices",
        report.logs.len(),
        report.faults,
        report.notices
    );
}

fn to_json(report: &FsckReport) -> serde_json::Value {
    let logs: Vec<serde_json::Value> = report
        .logs
        .iter()
        .map(|log| {
            serde_json::json!({
                "origin": log.origin, "entries": log.entries, "root": log.root.map(|root| root.to_hex()),
                "note_size": log.note_size, "payloads": log.payloads_present, "tiles": log.tiles,
            })
        })
        .collect();
    let problems: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
    serde_json::json!({
        "clean": report.is_clean(), "faults": report.faults, "notices": report.notices, "logs": logs, "problems": problems,
    })
}
