//! `hashpact-node recover`: give the open log up, and get ready for the next one.
//!
//! After a lost lock file, a restored database, a copied key or a move to another machine nobody can know
//! which notes of this log are in the world, so nothing may ever be signed under its key again. This
//! command retires key and lock, creates those of the log after it, and writes what governance needs. The
//! database stays as it is: whatever it holds of the former log is served to the other members, and what
//! it lacks is fetched from them, proven leaf for leaf under the notes that its key signed.
//!
//! Each step leaves a state in which `run` refuses to append and this command can be given again.

use super::init::{JoinFile, load_roster};
use crate::config::Config;
use crate::journal;
use crate::keystore::{is_sealed, key_path, public_path};
use crate::storage::{LockError, LockFile, Store};
use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use hashpact_core::effect::{LockState, SizedNote};
use hashpact_protocol::checkpoint::SignedCheckpoint;
use hashpact_protocol::digest::{LogId, empty_root};
use hashpact_protocol::keys::{KeyRole, PublicKey};
use hashpact_protocol::roster::{LogStatus, Roster};
use std::fs::File;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub(super) struct RecoverArguments {
    /// Why the log is given up; goes to the journal.
    #[arg(long)]
    reason: String,
    /// Key of a spare log that the roster authorised in advance (a key file of role log); without it a
    /// new key is created.
    #[arg(long)]
    spare_key: Option<PathBuf>,
}

/// The log that is given up, and the one after it.
pub(super) struct Logs {
    former: u32,
    pub(super) former_origin: String,
    former_key: PublicKey,
    next: u32,
    pub(super) next_origin: String,
}

impl Logs {
    pub(super) fn find(config: &Config, roster: &Roster) -> Result<Self> {
        let member = roster
            .member(&config.member)
            .filter(|member| member.is_active())
            .with_context(|| format!("the roster lists no active member {}", config.member))?;
        let former = member
            .logs
            .iter()
            .filter(|log| log.status != LogStatus::Spare)
            .max_by_key(|log| log.n)
            .with_context(|| {
                format!("the roster lists no log of {} that could be given up", config.member)
            })?;
        let next = former.n.checked_add(1).context("no number is left for another log")?;
        Ok(Self {
            former: former.n,
            former_origin: roster.origin(&config.member, former.n),
            former_key: former.key,
            next,
            next_origin: roster.origin(&config.member, next),
        })
    }
}

pub(super) fn recover(config: &Config, arguments: &RecoverArguments) -> Result<()> {
    ensure!(!arguments.reason.trim().is_empty(), "--reason is empty; say why the log is given up");
    ensure!(
        !config.is_replica(),
        "this node is a read replica and has no log to give up; `hashpact-node promote` makes it the author"
    );
    let (chain, _) = load_roster(&config.roster_file(), None).context(
        "without a roster there is no log to give up; after the loss of all files, start again with `init`",
    )?;
    let roster = chain.current();
    let logs = Logs::find(config, roster)?;
    let store = open_store(config, roster)?;
    let lock = match LockFile::open(&config.lock_file()) {
        Ok(lock) => Some(lock.state().clone()),
        Err(error @ (LockError::InUse { .. } | LockError::Io { .. })) => return Err(error.into()),
        // Lost or damaged beyond use: that is what this command is for.
        Err(_) => None,
    };
    if lock.as_ref().is_some_and(|lock| lock.origin == logs.next_origin) {
        println!("{} was given up before; nothing was changed", logs.former_origin);
        return explain(config, &logs, &store, None);
    }
    journal::record(
        &config.journal_file(),
        &journal::Actor::of_command(),
        "recover",
        &serde_json::json!({
            "reason": arguments.reason, "former": logs.former_origin, "next": logs.next_origin,
            "stored": stored_size(&store, &logs), "locked": lock.as_ref().map(|lock| lock.size),
        }),
    )?;
    retire(&config.lock_file(), &format!("signed.lock.{}", logs.former))?;
    change_key(config, roster, &logs, arguments.spare_key.as_deref())?;
    // What this node cosigned since the database's last generation may be forgotten: that key signs no more.
    renew(config, KeyRole::Cosigner, logs.former)?;
    begin_next(config, &store, &logs)?;
    println!("gave up {}; this node now has the key of {}", logs.former_origin, logs.next_origin);
    explain(config, &logs, &store, lock)
}

/// Makes the lock of the next log. Log and cosigner key are new: neither has signed anything that this database does not
/// know.
pub(super) fn begin_next(config: &Config, store: &Store, logs: &Logs) -> Result<()> {
    let fresh = LockState {
        generation: store.generation()?,
        origin: logs.next_origin.clone(),
        size: 0,
        root: empty_root(),
        note: Vec::new(),
    };
    LockFile::create(&config.lock_file(), &fresh)?;
    Ok(())
}

fn open_store(config: &Config, roster: &Roster) -> Result<Store> {
    let dir = config.database_dir();
    if dir.exists() {
        return super::database::open(config).context(
            "the database cannot be opened. If it is damaged, move it away and give this command again: \
             what other members have is fetched from them",
        );
    }
    println!("no database: a new one is created, and the other members fill it");
    Ok(Store::create(&dir, &roster.consortium, config.member.as_str())?)
}

fn stored_size(store: &Store, logs: &Logs) -> u64 {
    store.stored_size(&LogId::of_origin(&logs.former_origin)).unwrap_or(0)
}

/// Renames a file within its folder, if it is there; an earlier one of that name is not overwritten.
pub(super) fn retire(path: &Path, name: &str) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let mut to = path.with_file_name(name);
    let mut again = 0;
    while to.exists() {
        again += 1;
        to = path.with_file_name(format!("{name}.{again}"));
    }
    std::fs::rename(path, &to)
        .and_then(|()| File::open(path.parent().unwrap_or(Path::new("."))).and_then(|dir| dir.sync_all()))
        .with_context(|| format!("cannot rename {} to {}", path.display(), to.display()))
}

/// Puts the key of the next log in the place of the former one.
pub(super) fn change_key(
    config: &Config,
    roster: &Roster,
    logs: &Logs,
    spare_key: Option<&Path>,
) -> Result<()> {
    let path = key_path(&config.keys_dir(), KeyRole::Log);
    let held = config.keys.open_role(KeyRole::Log).ok();
    // A sealed key that nobody opened is no lost one.
    if let (None, true) = (&held, path.exists()) {
        config.keys.open_role(KeyRole::Log)?;
    }
    let spare = roster
        .member(&config.member)
        .and_then(|member| member.logs.iter().find(|log| log.n == logs.next))
        .map(|log| log.key);
    let given = spare_key.map(|file| crate::keystore::open_key(file, KeyRole::Log)).transpose()?;
    match (&given, spare) {
        (Some(given), Some(spare)) if given.public() != spare => {
            bail!(
                "the roster authorised {spare} for {}, --spare-key holds {}",
                logs.next_origin,
                given.public()
            )
        }
        (Some(_), None) => bail!("the roster authorised no spare log {}", logs.next_origin),
        (None, Some(spare)) if held.as_ref().is_none_or(|held| held.public() != spare) => {
            bail!(
                "the roster authorised {spare} for {}: give its key file with --spare-key",
                logs.next_origin
            )
        }
        _ => {}
    }
    let is_former = held.as_ref().is_none_or(|held| held.public() == logs.former_key);
    if let (Some(_), Some(file)) = (&given, spare_key) {
        retire(&path, &format!("log-{}.key.retired", logs.former))?;
        let bytes = zeroize::Zeroizing::new(std::fs::read(file)?);
        return crate::keystore::write_key_file(&path, &bytes).map_err(Into::into);
    }
    if is_former {
        renew(config, KeyRole::Log, logs.former)?;
    }
    Ok(())
}

/// Retires a key and makes the next one in its place, sealed if the former was; one that a signer holds must have been
/// made there before.
fn renew(config: &Config, role: KeyRole, former: u32) -> Result<()> {
    let dir = config.keys_dir();
    let (path, public) = (key_path(&dir, role), public_path(&dir, role));
    let (name, seals) = (role.name(), is_sealed(&path).unwrap_or(false));
    let before = config.keys.open_role(role).ok().map(|key| key.public());
    let next = config.keys.held_elsewhere(role)?;
    if next.is_some() && next == before {
        bail!("the signer still holds the former {name} key: have it make a new one, then run this again");
    }
    retire(&path, &format!("{name}-{former}.key.retired"))?;
    retire(&public, &format!("{name}-{former}.public.retired"))?;
    config.keys.create_role(role, seals)?;
    Ok(())
}

/// Writes the join file and the newest note known, and says what comes next.
pub(super) fn explain(config: &Config, logs: &Logs, store: &Store, lock: Option<LockState>) -> Result<()> {
    let keys = config.keys.open()?;
    let join = JoinFile::of(config, &keys);
    std::fs::write(config.join_file(), toml::to_string(&join).context("join file")?)
        .with_context(|| format!("cannot write {}", config.join_file().display()))?;
    println!("join file with the new key: {}", config.join_file().display());
    let former = LogId::of_origin(&logs.former_origin);
    let kept = store.heads()?.into_iter().find(|head| head.log == former).and_then(|head| head.note);
    let locked = lock
        .filter(|lock| lock.origin == logs.former_origin && !lock.note.is_empty())
        .map(|lock| SizedNote { size: lock.size, note: lock.note });
    let is_signed = |note: &SizedNote| {
        SignedCheckpoint::verify(&note.note, &logs.former_origin, &logs.former_key).is_ok()
    };
    let newest = [kept, locked].into_iter().flatten().filter(is_signed).max_by_key(|note| note.size);
    let stored = stored_size(store, logs);
    match &newest {
        Some(note) => {
            let file = config.data_dir.join(format!("checkpoint.{}", logs.former));
            std::fs::write(&file, &note.note).with_context(|| format!("cannot write {}", file.display()))?;
            println!("newest checkpoint known here: size {}, {}", note.size, file.display());
            if note.size < stored {
                println!(
                    "{} entries behind it were never signed; state their records again in the new log",
                    stored - note.size
                );
            }
        }
        None => println!("no checkpoint of {} is known here; other members have one", logs.former_origin),
    }
    println!(
        "Next: `hashpact-node run` serves look-ups and fetches what is lacking, but appends nothing. Governance takes the join \
         file and the newest checkpoint that any member holds (/logs/{}/{}/checkpoint), drafts the next roster with \
         `hashpact-node roster replace-log`, signs it, and every member gives it to `hashpact-node roster install`.",
        config.member, logs.former
    );
    Ok(())
}
