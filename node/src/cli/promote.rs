//! `hashpact-node promote`: a read replica takes the place of its member's author, which is lost.
//!
//! What the author signed last nobody can know, so nothing may ever be signed under its key again: the replica becomes
//! the author of the *next* log, under keys of its own. This command makes them (or takes the key of a spare log that
//! the roster authorised in advance) and writes what governance needs. Until the roster closes the former log and
//! opens the next one, the node goes on as before: it follows, serves and answers, and states nothing.
//!
//! Each step leaves a state in which `run` refuses to append and this command can be given again.

use super::init::load_roster;
use super::recover::{Logs, begin_next, change_key, explain, retire};
use crate::config::Config;
use crate::journal;
use crate::keystore::{key_path, open_key, public_path, write_key_file};
use crate::storage::{LockError, LockFile};
use anyhow::{Context as _, Result, ensure};
use clap::Args;
use hashpact_core::engine::replica_origin;
use hashpact_protocol::keys::KeyRole;
use std::path::{Path, PathBuf};

/// Name of the lock file that said that this node signs nothing.
const RETIRED: &str = "signed.lock.replica";

#[derive(Args)]
pub(super) struct PromoteArguments {
    /// Why the author is given up; goes to the journal.
    #[arg(long)]
    reason: String,
    /// Key of a spare log that the roster authorised in advance (a key file of role log); without it a new key is
    /// created.
    #[arg(long)]
    spare_key: Option<PathBuf>,
    /// The member's card key, if it was kept apart (a key file of role card); without it a new key is created.
    #[arg(long)]
    card_key: Option<PathBuf>,
    /// Seal the new keys by a passphrase.
    #[arg(long)]
    encrypt_keys: bool,
}

pub(super) fn promote(config: &Config, arguments: &PromoteArguments) -> Result<()> {
    ensure!(!arguments.reason.trim().is_empty(), "--reason is empty; say why the author is given up");
    ensure!(
        !config.is_replica(),
        "the configuration says role = \"replica\": set role = \"author\" first, so that `run` finds what this command makes"
    );
    let (chain, _) = load_roster(&config.roster_file(), None)?;
    let roster = chain.current();
    let logs = Logs::find(config, roster)?;
    let store = super::database::open(config).context("database (is the node still running?)")?;
    let locked = match LockFile::open(&config.lock_file()) {
        Ok(lock) => lock.state().origin.clone(),
        // An earlier attempt ended here.
        Err(LockError::Missing { .. }) if config.lock_file().with_file_name(RETIRED).exists() => {
            replica_origin(roster, &config.member)
        }
        Err(error) => return Err(error.into()),
    };
    if locked == logs.next_origin {
        println!("this node was promoted before; nothing was changed");
        return explain(config, &logs, &store, None);
    }
    ensure!(
        locked == replica_origin(roster, &config.member),
        "this data folder is not a read replica's: it writes {locked}"
    );
    journal::record(
        &config.journal_file(),
        &journal::Actor::of_command(),
        "promote",
        &serde_json::json!({
            "reason": arguments.reason, "former": logs.former_origin, "next": logs.next_origin,
        }),
    )?;
    make_keys(config, arguments, |spare| change_key(config, roster, &logs, spare))?;
    retire(&config.lock_file(), RETIRED)?;
    // The lock comes last: without it `run` does not start.
    begin_next(config, &store, &logs)?;
    println!(
        "this node now has the key of {}; it will never sign for {}",
        logs.next_origin, logs.former_origin
    );
    explain(config, &logs, &store, None)?;
    println!(
        "Keep the former author switched off: if it comes back, it stops as soon as it hears of the new roster. Other replicas \
         go into [[replicas]] of this node's configuration."
    );
    Ok(())
}

/// Makes the keys that a replica does not have; those that an earlier attempt made stay.
fn make_keys(
    config: &Config,
    arguments: &PromoteArguments,
    take_spare: impl Fn(Option<&Path>) -> Result<()>,
) -> Result<()> {
    let dir = config.keys_dir();
    let is_there = |role| key_path(&dir, role).exists() || public_path(&dir, role).exists();
    if let (Some(file), false) = (&arguments.card_key, is_there(KeyRole::Card)) {
        open_key(file, KeyRole::Card).context("--card-key")?;
        let bytes = zeroize::Zeroizing::new(std::fs::read(file)?);
        write_key_file(&key_path(&dir, KeyRole::Card), &bytes)?;
    }
    // What `change_key` refuses (a spare that is not the one) is refused before a key is made for nothing.
    if !is_there(KeyRole::Log) && arguments.spare_key.is_none() && arguments.encrypt_keys {
        config.keys.passphrase.get_for_sealing()?;
    }
    take_spare(arguments.spare_key.as_deref())?;
    for role in [KeyRole::Card, KeyRole::Cosigner] {
        if !is_there(role) {
            config.keys.create_role(role, false)?;
        }
    }
    if arguments.encrypt_keys {
        config.keys.seal_files()?;
    }
    Ok(())
}
