//! `hashpact-node repair`: what is whole of a damaged database, in a new one; the rest comes from the other members.

use super::init::load_roster;
use crate::config::Config;
use crate::driver::now_ms;
use crate::journal;
use crate::storage::salvage::{Salvaged, salvage};
use crate::storage::{LockFile, Problem, Store, fsck as check};
use anyhow::{Context as _, Result, ensure};
use clap::Args;
use std::fs;
use std::path::Path;

#[derive(Args)]
pub(super) struct RepairArguments {
    /// Why; goes to the journal.
    #[arg(long)]
    reason: String,
}

pub(super) fn repair(config: &Config, arguments: &RepairArguments) -> Result<()> {
    ensure!(!arguments.reason.trim().is_empty(), "--reason is empty; say what happened");
    let (chain, _) = load_roster(&config.roster_file(), None)?;
    let lock = LockFile::open(&config.lock_file()).context("the lock file (is the node still running?)")?;
    let database = config.database_dir();
    let (new, scratch) = (database.with_extension("new"), config.data_dir.join("repair.part"));
    for folder in [&new, &scratch] {
        remove(folder)?;
    }
    fs::create_dir(&scratch).with_context(|| scratch.display().to_string())?;
    let keys = chain.current().logs().map(|log| (log.log_id, *log.key)).collect();
    let salvaged = salvage(&database, &new, &scratch, &keys, lock.state());
    remove(&scratch)?;
    let salvaged = match salvaged {
        Ok(salvaged) => salvaged,
        Err(error) => {
            remove(&new)?;
            return Err(error.into());
        }
    };
    let report = check(&Store::open(&new)?, &chain, lock.state(), &mut |_| ())?;
    // What was cosigned beyond a cut is remembered, and comes again with the entries.
    let is_bad =
        |problem: &&Problem| problem.is_fault() && !matches!(problem, Problem::CosignedBeyond { .. });
    if let Some(problem) = report.problems.iter().find(is_bad) {
        remove(&new)?;
        anyhow::bail!("the new database is not clean ({problem}); nothing was changed");
    }
    let kept = database.with_extension(format!("damaged-{}", now_ms()));
    journal::record(
        &config.journal_file(),
        &journal::Actor::of_command(),
        "repair",
        &serde_json::json!({
            "reason": arguments.reason, "kept": kept.display().to_string(), "rows_lost": salvaged.rows_lost,
            "logs": salvaged.logs.iter().map(|log| serde_json::json!({
                "log": log.origin, "stored": log.stored, "whole": log.whole, "payloads_lost": log.payloads_lost,
                "cut": log.cut,
            })).collect::<Vec<_>>(),
        }),
    )?;
    // A crash between the two leaves no database: the message of `run` says so, and the new one is beside it.
    fs::rename(&database, &kept).with_context(|| format!("cannot rename {}", database.display()))?;
    fs::rename(&new, &database).with_context(|| format!("cannot rename {}", new.display()))?;
    fs::File::open(&config.data_dir).and_then(|dir| dir.sync_all()).context("the data folder")?;
    print(&salvaged);
    println!("The damaged database is kept in {}; remove it when the node has caught up.", kept.display());
    println!("Next: `hashpact-node run` fetches what is lacking from the other members.");
    Ok(())
}

fn print(salvaged: &Salvaged) {
    for log in &salvaged.logs {
        let lost = match log.payloads_lost {
            0 => String::new(),
            lost => format!(", {lost} payloads lost"),
        };
        let cut = log.cut.as_ref().map_or(String::new(), |cut| format!(" ({cut})"));
        println!("{}: {} of {} entries are whole{lost}{cut}", log.origin, log.whole, log.stored);
    }
    if salvaged.rows_lost > 0 {
        println!(
            "{} rows of small tables were lost; a retried request may be stated a second time",
            salvaged.rows_lost
        );
    }
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}
