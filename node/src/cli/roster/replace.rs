//! `hashpact-node roster replace-log`: a member's log ends for good, and the next one begins.
//!
//! Where it ends is governance's decision and a trust anchor from then on: entries below that size count,
//! what lies beyond never does. After a loss it is the newest checkpoint that any member holds; after a
//! theft it is the place where the thief's entries begin, even if others have cosigned them.

use super::draft::{ensure_new, told, write_new};
use crate::cli::init::{JoinFile, load_roster};
use crate::driver::now_ms;
use anyhow::{Context as _, Result, bail, ensure};
use hashpact_core::governance::successor;
use hashpact_protocol::checkpoint::SignedCheckpoint;
use hashpact_protocol::digest::{Root, RosterDigest};
use hashpact_protocol::keys::PublicKey;
use hashpact_protocol::roster::{LogEntry, LogStatus, Member, MemberId};
use std::path::PathBuf;

#[derive(clap::Args)]
pub(in crate::cli) struct ReplaceArguments {
    /// The signed roster in force, with all versions.
    #[arg(long)]
    roster: PathBuf,
    /// The member's join file with the key of its next log.
    #[arg(long)]
    join: PathBuf,
    /// A checkpoint of the log that ends, as a member holds it; repeat for each member asked. The largest
    /// counts.
    #[arg(long = "checkpoint", required_unless_present = "size")]
    checkpoints: Vec<PathBuf>,
    /// End the log at this size instead, disowning what lies beyond.
    #[arg(long, requires = "root", conflicts_with = "checkpoints")]
    size: Option<u64>,
    /// Root of the tree of that size, 64 hex digits.
    #[arg(long, requires = "size")]
    root: Option<String>,
    /// Days until the new version expires.
    #[arg(long, default_value_t = 365)]
    valid_days: u64,
    /// The new file: all versions and the draft.
    #[arg(long)]
    out: PathBuf,
}

pub(super) fn replace_log(arguments: &ReplaceArguments) -> Result<String> {
    ensure_new(&arguments.out)?;
    let (chain, _) = load_roster(&arguments.roster, None)?;
    let text = std::fs::read_to_string(&arguments.join)
        .with_context(|| format!("cannot read the join file {}", arguments.join.display()))?;
    let join: JoinFile =
        toml::from_str(&text).with_context(|| format!("join file {}", arguments.join.display()))?;
    let digest = RosterDigest::of_body(&chain.current().encode());
    let valid_s = arguments.valid_days.saturating_mul(86_400);
    let mut next = successor(chain.current(), digest, now_ms() / 1_000, valid_s);
    let id = MemberId::parse(&join.member).context("join file: member")?;
    let open = next
        .member(&id)
        .with_context(|| format!("the roster lists no member {id}"))?
        .open_log()
        .with_context(|| format!("member {id} has no open log"))?
        .clone();
    let origin = next.origin(&id, open.n);
    let (size, root) = closure(arguments, &origin, &open.key)?;
    let member = next
        .members
        .iter_mut()
        .find(|member| member.id == id)
        .context("the member was found a moment ago")?;
    change(member, &join, &open, LogStatus::Closed { size, root })?;
    chain.check_next(&next).context("no node would accept this version")?;
    write_new(&arguments.out, Some(&chain), &next)?;
    Ok(format!(
        "drafted version {} of {}\n\
         closes {origin} at size {size}, root {root}\n\
         opens {} with key {}\n{}\
         Entries from index {size} on will never count. Compare size and root with other members before signing.\n",
        next.version,
        next.consortium,
        next.origin(&id, open.n + 1),
        join.log_key,
        told(&next)
    ))
}

/// Where the log ends.
fn closure(arguments: &ReplaceArguments, origin: &str, key: &PublicKey) -> Result<(u64, Root)> {
    if let (Some(size), Some(root)) = (arguments.size, &arguments.root) {
        return Ok((size, Root::from_hex(root).context("--root")?));
    }
    let mut largest: Option<SignedCheckpoint> = None;
    for file in &arguments.checkpoints {
        let note = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let found = SignedCheckpoint::verify(&note, origin, key)
            .with_context(|| format!("{} is no checkpoint of {origin}", file.display()))?;
        if let Some(held) = &largest {
            ensure!(
                held.size() != found.size() || held.root() == found.root(),
                "two checkpoints of {origin} at size {} have different roots: its author signed two histories. Find out \
                 which one counts, and end the log with --size and --root",
                found.size()
            );
        }
        if largest.as_ref().is_none_or(|held| held.size() < found.size()) {
            largest = Some(found);
        }
    }
    let largest = largest.context("no checkpoint was given")?;
    Ok((largest.size(), largest.root()))
}

/// Closes the open log and opens the next one, with the keys of the join file.
fn change(member: &mut Member, join: &JoinFile, open: &LogEntry, closed: LogStatus) -> Result<()> {
    let key = |name: &str, hex: &str| PublicKey::from_hex(hex).with_context(|| format!("join file: {name}"));
    let log_key = key("log_key", &join.log_key)?;
    ensure!(
        log_key != open.key,
        "the join file has the key of the log that ends; give it up first with `hashpact-node recover`, or create new \
         keys with `hashpact-node init`"
    );
    let n = open.n.checked_add(1).context("no number is left for another log")?;
    for log in &mut member.logs {
        if log.n == open.n {
            log.status = closed;
        }
    }
    match member.logs.iter_mut().find(|log| log.n == n) {
        Some(spare) if spare.key == log_key => spare.status = LogStatus::Open,
        Some(spare) => bail!("log {n} was authorised in advance with key {}, not {log_key}", spare.key),
        None => member.logs.push(LogEntry { n, key: log_key, status: LogStatus::Open }),
    }
    member.card_key = key("card_key", &join.card_key)?;
    if member.cosigner_key.is_some() {
        member.cosigner_key = Some(key("cosigner_key", &join.cosigner_key)?);
    }
    Ok(())
}
