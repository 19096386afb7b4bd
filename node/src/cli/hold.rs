//! `hashpact-node hold`: payloads that must not be destroyed, because a law or a court demands it.
//!
//! Each change is journalled before it takes effect, and works whether or not the node runs: the node reads the list
//! again before it destroys anything, and gives up what is no longer on it.

use crate::config::Config;
use crate::driver::now_ms;
use crate::vault::{Hold, Vault};
use anyhow::{Context as _, Result, ensure};
use clap::Subcommand;
use hashpact_protocol::api::time::rfc3339;
use hashpact_protocol::digest::{RecordId, hex_encode};
use hashpact_protocol::leaf::unpad;

#[derive(Subcommand)]
pub(super) enum HoldCommand {
    /// Keep a record's payload, encrypted, when it would be destroyed.
    Add {
        /// The record's id.
        record: String,
        /// Why, for the journal: a file number, not the content.
        #[arg(long)]
        reason: String,
    },
    /// End a hold; what was kept because of it is destroyed.
    Release {
        /// The record's id.
        record: String,
        /// Why, for the journal.
        #[arg(long)]
        reason: String,
    },
    /// Show the holds, and of which records a payload is kept.
    List,
    /// Decrypt what is kept of a record and print it as hexadecimal: salt, then the CBOR of the payload.
    Extract {
        /// The record's id.
        record: String,
        /// To whom and why, for the journal.
        #[arg(long)]
        reason: String,
    },
}

pub(super) fn hold(config: &Config, command: HoldCommand) -> Result<()> {
    let vault = Vault::of(&config.data_dir, &config.keys);
    match command {
        HoldCommand::Add { record, reason } => add(config, &vault, &record, reason),
        HoldCommand::Release { record, reason } => release(config, &vault, &record, &reason),
        HoldCommand::List => list(&vault),
        HoldCommand::Extract { record, reason } => extract(config, &vault, &record, &reason),
    }
}

fn parse(record: &str) -> Result<RecordId> {
    RecordId::from_hex(record).context("a record id has 64 lower-case hex digits")
}

fn record(config: &Config, action: &str, id: &RecordId, reason: &str) -> Result<()> {
    ensure!(!reason.trim().is_empty(), "--reason must say something");
    let details = serde_json::json!({ "record": id.to_hex(), "reason": reason });
    crate::journal::record(&config.journal_file(), &crate::journal::Actor::of_command(), action, &details)
}

fn add(config: &Config, vault: &Vault, text: &str, reason: String) -> Result<()> {
    let id = parse(text)?;
    let mut holds = vault.holds()?;
    ensure!(!holds.contains_key(&id), "record {id} is on hold already");
    record(config, "hold-add", &id, &reason)?;
    holds.insert(id, Hold { record: id.to_hex(), reason, since_ms: now_ms() });
    vault.set_holds(&holds)?;
    println!(
        "record {id} is on hold: what this node has of its payload is kept when it would be destroyed (whether it has it: `hashpact record {id}`)"
    );
    Ok(())
}

fn release(config: &Config, vault: &Vault, text: &str, reason: &str) -> Result<()> {
    let id = parse(text)?;
    let mut holds = vault.holds()?;
    ensure!(holds.contains_key(&id), "record {id} is not on hold");
    record(config, "hold-release", &id, reason)?;
    holds.remove(&id);
    vault.set_holds(&holds)?;
    println!(
        "the hold of record {id} is released; a running node destroys what it kept within seconds, a stopped one at its next start"
    );
    Ok(())
}

fn list(vault: &Vault) -> Result<()> {
    for (id, hold) in vault.holds()? {
        let kept = if vault.has(&id) { "kept" } else { "not needed yet" };
        println!("{id}  since {}  {kept}  {}", rfc3339(hold.since_ms), hold.reason);
    }
    Ok(())
}

fn extract(config: &Config, vault: &Vault, text: &str, reason: &str) -> Result<()> {
    let id = parse(text)?;
    let held = vault.open(&id)?.with_context(|| format!("nothing is kept of record {id}"))?;
    record(config, "hold-extract", &id, reason)?;
    println!("{}", hex_encode(&held.salt));
    println!("{}", hex_encode(unpad(&held.padded)?));
    Ok(())
}
