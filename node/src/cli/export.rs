//! `hashpact-node export`: an audit bundle from a stopped node's database.
//!
//! A running node gives the same bundle at `GET /v1/audit/export`.

use crate::config::Config;
use crate::driver::now_ms;
use crate::export::{Audience, Compressed, Export, Held, Holder};
use crate::storage::{LockFile, Store};
use anyhow::{Context as _, anyhow, ensure};
use clap::Args;
use hashpact_core::effect::{LockState, SizedNote};
use hashpact_protocol::bundle::Scope;
use hashpact_protocol::digest::{LogId, hex_encode};
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::BufWriter;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

#[derive(Args)]
pub(super) struct ExportArguments {
    /// Write the bundle to this file, which must not exist.
    #[arg(long)]
    out: PathBuf,
    /// What to export: "all", "member ID", "period FROM TO" (seconds since 1970 UTC), or "record ID".
    #[arg(long, default_value = "all", value_parser = parse_scope)]
    scope: Scope,
    /// The heads of another export, to write the same core: a roster version and the size of each log.
    #[arg(long)]
    at: Option<String>,
    /// Mark all payloads as withheld, so that no signal is in the file.
    #[arg(long)]
    no_payloads: bool,
    /// The strictest marking that payloads in the file may have: clear, green, amber, amber+strict (the default) or red.
    #[arg(long, conflicts_with = "no_payloads")]
    tlp: Option<String>,
    /// A group whose payloads may be in the file; may be given more than once.
    #[arg(long = "group", conflicts_with = "no_payloads")]
    groups: Vec<String>,
}

impl ExportArguments {
    fn audience(&self) -> anyhow::Result<Audience> {
        if self.no_payloads {
            return Ok(Audience::without_payloads());
        }
        Audience::parse(self.tlp.as_deref(), self.groups.iter().cloned())
            .map_err(|message| anyhow!("--{message}"))
    }
}

fn parse_scope(text: &str) -> Result<Scope, String> {
    Scope::parse(text)
        .ok_or_else(|| "must be \"all\", \"member ID\", \"period FROM TO\" or \"record ID\"".to_owned())
}

pub(super) fn export(config: &Config, arguments: &ExportArguments) -> anyhow::Result<()> {
    let out = &arguments.out;
    ensure!(!out.exists(), "{} exists; an export never overwrites a file", out.display());
    ensure!(
        arguments.no_payloads || !config.restored_file().exists(),
        "this data folder was restored from a backup: payloads in it may have been erased since. Run the node until it has caught up, \
         or give --no-payloads"
    );
    ensure!(
        !config.is_replica(),
        "this node is a read replica and has no card key to sign a bundle with: export at the author's node"
    );
    let audience = arguments.audience()?;
    let keys = config.keys.open().context("keys")?;
    let (chain, _) = super::init::load_roster(&config.roster_file(), None)?;
    let store = super::database::open(config)
        .context("database (is the node still running? then ask it: GET /v1/audit/export)")?;
    let lock = LockFile::open(&config.lock_file())
        .with_context(|| format!("lock file {}", config.lock_file().display()))?;
    let held = held(&store, lock.state())?;
    let holder = Holder {
        chain,
        member: config.member.clone(),
        card: Some(keys.card),
        journal: config.journal_file(),
    };
    let at = arguments.at.as_deref();
    let scope = arguments.scope.clone();
    let export = Export::new(&store, &holder, &held, scope, &audience, at, now_ms() / 1000)?;
    let mut part = out.clone().into_os_string();
    part.push(".part");
    let part = PathBuf::from(part);
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part);
    let file = file.with_context(|| part.display().to_string())?;
    let written = Compressed::new(BufWriter::new(file))
        .map_err(anyhow::Error::from)
        .and_then(|sink| Ok(export.write(sink, || now_ms() / 1000)?))
        .and_then(|sink| Ok(sink.finish()?.into_inner()?))
        .and_then(|file| Ok(file.sync_all()?));
    if let Err(error) = written {
        let _ = fs::remove_file(&part);
        return Err(error.context(format!("exporting to {}", out.display())));
    }
    fs::rename(&part, out).with_context(|| out.display().to_string())?;
    let manifest = export.manifest();
    let entries: u64 = manifest.logs.iter().map(|log| log.size).sum();
    println!("wrote {} ({} logs, {entries} entries below their heads)", out.display(), manifest.logs.len());
    println!("core  {}", hex_encode(&manifest.core_digest()));
    println!("at    {}", export.at());
    Ok(())
}

/// The logs as far as they are held: the own one up to what the lock says was signed, the others as stored.
fn held(store: &Store, lock: &LockState) -> anyhow::Result<BTreeMap<LogId, Held>> {
    let own_log = LogId::of_origin(&lock.origin);
    let mut held = BTreeMap::new();
    for head in store.heads().context("heads")? {
        let (size, notes) = if head.log == own_log {
            let note = SizedNote { size: lock.size, note: lock.note.clone() };
            (lock.size, Vec::from_iter((lock.size > 0).then_some(note)))
        } else {
            (head.size, Vec::from_iter(head.note))
        };
        ensure!(size <= head.size, "log {} is behind its lock file; run `fsck`", head.origin);
        held.insert(head.log, Held { origin: head.origin, size, notes });
    }
    Ok(held)
}
