//! `hashpact-node restore`: put a backup back into an empty data folder.

use super::init::{JoinFile, load_roster};
use crate::backup::{Restore, RestoredFrom, restore as put_back};
use crate::config::Config;
use crate::driver::now_ms;
use crate::journal;
use anyhow::{Context as _, Result};
use clap::Args;
use std::path::PathBuf;

#[derive(Args)]
pub(super) struct RestoreArguments {
    /// The backup.
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// The keys that `backup --keys-out` wrote.
    #[arg(long, value_name = "DIR", required_unless_present = "new_keys", conflicts_with = "new_keys")]
    keys: Option<PathBuf>,
    /// Make new keys of every role: the old ones are lost.
    #[arg(long)]
    new_keys: bool,
    /// The machine's newest lock file (`data/signed.lock`), if it survived: not the backup's. Without it nobody can
    /// know what was signed since the backup, and the log must be given up.
    #[arg(long, value_name = "FILE")]
    lock: Option<PathBuf>,
}

pub(super) fn restore(config: &Config, arguments: &RestoreArguments) -> Result<()> {
    let RestoreArguments { from, keys, lock, .. } = arguments;
    let asked =
        Restore { config, from: from.clone(), keys: keys.clone(), lock: lock.clone(), now_ms: now_ms() };
    let found = put_back(&asked)?;
    let RestoredFrom { manifest, lock, stored } = &found;
    journal::record(
        &config.journal_file(),
        &journal::Actor::of_command(),
        "restore",
        &serde_json::json!({
            "from": from.display().to_string(), "taken": manifest.taken, "log": manifest.log, "stored": stored,
            "locked": lock.as_ref().map(|lock| lock.size), "new_keys": arguments.new_keys,
        }),
    )?;
    if arguments.new_keys && config.is_replica() {
        let peer = config.keys.open_peer()?.public();
        println!("new peer key {peer}: the author's [[replicas]] must list it");
    } else if arguments.new_keys {
        let keys = config.keys.open()?;
        let join = toml::to_string(&JoinFile::of(config, &keys)).context("join file")?;
        std::fs::write(config.join_file(), join)
            .with_context(|| format!("cannot write {}", config.join_file().display()))?;
    }
    load_roster(&config.roster_file(), None).context("the backup's roster")?;
    println!("restored {} as of {} ({stored} entries of its own log)", manifest.log, manifest.taken);
    if config.is_replica() {
        println!(
            "Next: `hashpact-node run` fetches what the backup lacks, and shows no payload before it has."
        );
        return Ok(());
    }
    println!("{}", next(&found));
    Ok(())
}

/// What the operator does now.
fn next(found: &RestoredFrom) -> String {
    let RestoredFrom { manifest, lock, stored } = found;
    let origin = &manifest.log;
    match lock {
        Some(lock) if lock.origin == *origin && lock.size <= *stored => format!(
            "The lock file says that {} entries were signed, and the database has them: nothing is lost. Next: `hashpact-node run` compares \
             both once more, and appends when more than two thirds of the other members have told their heads.",
            lock.size
        ),
        Some(lock) => format!(
            "The lock file says that {} entries of {} were signed, the database has {stored}: what is lacking is at the other members. Next: \
             `hashpact-node recover --reason …` gives the log up, then `hashpact-node run` (RECOVERY.md).",
            lock.size, lock.origin
        ),
        None => format!(
            "Nobody here can know what was signed for {origin} since: the node signs in no role. Next: `hashpact-node recover --reason …` gives \
             the log up, then `hashpact-node run` fetches what the backup lacks (RECOVERY.md). Never put the backup's signed.lock into the data folder."
        ),
    }
}
