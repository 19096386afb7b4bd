//! `hashpact-node fsck`: verify everything on disk, from the leaves up.
//!
//! The snapshots are derived data and never a fault: a bad one is worth a warning, and a start
//! does without it. Whether they are what the logs say is found out as a running node does, by reading
//! all entries; that takes the memory of a running node.

use super::run::extents;
use crate::config::Config;
use crate::journal::JournalFault;
use crate::lookup::Lookup;
use crate::lookup::replay::{IndexOrigin, Replayed, replay};
use crate::lookup::snapshot::{SnapshotPlace, Unusable};
use crate::storage::fsck::{FsckReport, Progress};
use crate::storage::{LockFile, Store, fsck as check};
use anyhow::Context as _;
use clap::Args;
use hashpact_core::effect::LockState;
use hashpact_core::view::Rules;
use hashpact_protocol::digest::{LogId, hex_encode};
use hashpact_protocol::journal::JournalHead;
use hashpact_protocol::roster::RosterChain;
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::Arc;

#[derive(Args)]
pub(super) struct FsckArguments {
    /// Print the report as one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn fsck(config: &Config, arguments: &FsckArguments) -> anyhow::Result<ExitCode> {
    let (chain, _) = super::init::load_roster(&config.roster_file(), None)?;
    let store = super::database::open(config).context("database (is the node still running?)")?;
    let store = Arc::new(store);
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
    let (snapshot, records) = check_snapshots(config, &store, &chain, lock.state());
    let journal = crate::journal::check(&config.journal_file());
    if arguments.json {
        println!("{}", to_json(&report, (&snapshot, &records), &journal));
    } else {
        print(&report, journal.is_ok());
        println!("{}", snapshot.line("index.snapshot", "builds the index from the logs"));
        println!("{}", records.line("records.snapshot", "reads all logs"));
        println!("{}", journal_line(&journal));
    }
    Ok(if report.is_clean() && journal.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

/// What became of the journal of administrative actions.
fn journal_line(journal: &Result<JournalHead, JournalFault>) -> String {
    match journal {
        Ok(head) => format!("journal: whole, {} lines, newest {}", head.lines, hex_encode(&head.digest)),
        Err(fault) => format!("FAULT: {fault}; `hashpact-node journal restart` puts it aside"),
    }
}

/// What became of a snapshot.
enum Snapshot {
    None,
    Good { entries: u64 },
    Bad { reason: String },
}

impl Snapshot {
    fn line(&self, file: &str, then: &str) -> String {
        match self {
            Self::None => format!("{file}: none; the next start {then}"),
            Self::Good { entries } => format!("{file}: good, {entries} entries"),
            Self::Bad { reason } => {
                format!("warning: {file}: {reason}; the next start {then}; deleting the file is safe")
            }
        }
    }

    fn to_json(&self) -> serde_json::Value {
        match self {
            Self::None => serde_json::json!({ "state": "none" }),
            Self::Good { entries } => serde_json::json!({ "state": "good", "entries": entries }),
            Self::Bad { reason } => serde_json::json!({ "state": "bad", "reason": reason }),
        }
    }
}

/// The index snapshot and the records snapshot.
fn check_snapshots(
    config: &Config,
    store: &Arc<Store>,
    chain: &RosterChain,
    lock: &LockState,
) -> (Snapshot, Snapshot) {
    let own_log = LogId::of_origin(&lock.origin);
    let roster = chain.current();
    let place = SnapshotPlace::new(config.snapshot_file(), &config.member, own_log, roster.version);
    if !place.path().exists() {
        return (Snapshot::None, Snapshot::None);
    }
    let lookup = Lookup::new(roster.version);
    let replayed = extents(store, roster, lock)
        .and_then(|logs| replay(store, &lookup, &logs, &place, &Rules::from(chain)));
    let bad = |reason| Snapshot::Bad { reason };
    match replayed {
        Ok(Replayed { origin, unused, entries, .. }) => {
            let index = match origin {
                IndexOrigin::Snapshot { entries } => Snapshot::Good { entries },
                IndexOrigin::Logs(Unusable::Missing) => Snapshot::None,
                IndexOrigin::Logs(unusable) => bad(unusable.to_string()),
                IndexOrigin::Contradicted(contradiction) => bad(contradiction.to_string()),
                IndexOrigin::Unreadable(reason) => bad(reason),
            };
            let records = match unused {
                Some(Unusable::Missing) => Snapshot::None,
                Some(unusable) => bad(unusable.to_string()),
                None => match lookup.confirm_records(|_| ControlFlow::Continue(())) {
                    Ok(_) => Snapshot::Good { entries },
                    Err(error) => bad(error.to_string()),
                },
            };
            (index, records)
        }
        Err(error) => (
            bad(format!("it cannot be compared with the logs: {error:#}")),
            bad("the logs cannot be read".to_owned()),
        ),
    }
}

fn print(report: &FsckReport, is_journal_whole: bool) {
    for log in &report.logs {
        println!(
            "{}: {} entries, {} payloads, {} tiles",
            log.origin, log.entries, log.payloads_present, log.tiles
        );
    }
    for branch in &report.branches {
        println!(
            "{}: another history of {} entries, kept from {} to {}",
            branch.origin, branch.size, branch.start, branch.end
        );
    }
    for problem in &report.problems {
        println!("{}: {problem}", if problem.is_fault() { "FAULT" } else { "notice" });
    }
    let entries: u64 = report.logs.iter().map(|log| log.entries).sum();
    let verdict = if report.is_clean() && is_journal_whole { "clean" } else { "NOT CLEAN" };
    println!(
        "{verdict}: {} logs, {entries} entries, {} faults, {} notices",
        report.logs.len(),
        report.faults,
        report.notices
    );
}

fn to_json(
    report: &FsckReport,
    (snapshot, records): (&Snapshot, &Snapshot),
    journal: &Result<JournalHead, JournalFault>,
) -> serde_json::Value {
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
    let branches: Vec<serde_json::Value> = report
        .branches
        .iter()
        .map(|branch| {
            serde_json::json!({
                "origin": branch.origin, "size": branch.size, "start": branch.start, "end": branch.end,
            })
        })
        .collect();
    let problems: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
    serde_json::json!({
        "clean": report.is_clean() && journal.is_ok(), "faults": report.faults, "notices": report.notices, "ahead": report.ahead, "logs": logs, "problems": problems,
        "branches": branches,
        "snapshot": snapshot.to_json(),
        "records_snapshot": records.to_json(),
        "journal": match journal {
            Ok(head) => serde_json::json!({ "lines": head.lines, "sha256": hex_encode(&head.digest) }),
            Err(fault) => serde_json::json!({ "fault": fault.to_string() }),
        },
    })
}
