//! `hashpact-node init`: identity first, log second, neither ever overwritten.
//!
//! Without `--roster` it creates the keys and a join file with the public ones, which goes to
//! governance. With `--roster` it verifies the roster, checks that it lists these keys, and creates
//! database and lock file for the log that the roster opens. A read replica (`--replica`) has a peer key alone, which its
//! member's author lists, and no log.

use crate::config::Config;
use crate::keystore::{KeyStore, NodeKeys};
use crate::storage::{LockFile, Store};
use anyhow::{Context as _, bail, ensure};
use clap::Args;
use hashpact_core::effect::LockState;
use hashpact_core::engine::replica_origin;
use hashpact_protocol::digest::{Root, empty_root};
use hashpact_protocol::keys::KeyRole;
use hashpact_protocol::roster::{LogStatus, Roster, RosterChain, SignedRoster};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

#[derive(Args)]
pub(super) struct InitArguments {
    /// The signed roster that lists this member.
    #[arg(long)]
    roster: Option<PathBuf>,
    /// Root of the consortium's first roster version, compared by another channel.
    #[arg(long, requires = "roster")]
    pin: Option<String>,
    /// Make this node a read replica of its member, which has an author already: a peer key, and no key that signs.
    #[arg(long)]
    replica: bool,
    /// Seal the keys by a passphrase from the start, so that they are never on the disk without it.
    #[arg(long)]
    encrypt_keys: bool,
}

/// What a member sends to governance: public keys only.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JoinFile {
    /// Member id.
    pub(super) member: String,
    /// Verifies the log's checkpoints; 64 hex digits.
    pub(super) log_key: String,
    /// Verifies node cards.
    pub(super) card_key: String,
    /// Verifies cosignatures.
    pub(super) cosigner_key: String,
}

impl JoinFile {
    pub(super) fn of(config: &Config, keys: &NodeKeys) -> Self {
        Self {
            member: config.member.to_string(),
            log_key: keys.log.public().to_hex(),
            card_key: keys.card.public().to_hex(),
            cosigner_key: keys.cosigner.public().to_hex(),
        }
    }
}

pub(super) fn init(config: &Config, arguments: &InitArguments) -> anyhow::Result<()> {
    match (arguments.replica, config.is_replica()) {
        (true, true) => return init_replica(config, arguments),
        (false, false) => {}
        (true, false) => {
            bail!("--replica, but the configuration does not say role = \"replica\": add that line first")
        }
        (false, true) => bail!("the configuration says role = \"replica\": give --replica to create one"),
    }
    let keys = if config.keys_dir().exists() {
        ensure!(!arguments.encrypt_keys, "the keys exist already; `hashpact-node keys encrypt` seals them");
        config.keys.open()?
    } else {
        create_keys(config, arguments.encrypt_keys)?
    };
    match &arguments.roster {
        None if config.lock_file().exists() => {
            bail!("{} exists: this node is already initialised", config.lock_file().display())
        }
        None => {
            println!("join file: {}", config.join_file().display());
            println!("Send it to governance, then run: hashpact-node init --roster FILE");
            Ok(())
        }
        Some(roster) => create_log(config, &keys, roster, arguments.pin.as_deref()),
    }
}

fn create_keys(config: &Config, seals: bool) -> anyhow::Result<NodeKeys> {
    // Asked for before anything is there.
    if seals {
        config.keys.passphrase.get_for_sealing()?;
    }
    std::fs::create_dir_all(&config.data_dir)
        .with_context(|| format!("cannot create {}", config.data_dir.display()))?;
    let keys = config.keys.create(seals)?;
    let join = JoinFile::of(config, &keys);
    std::fs::write(config.join_file(), toml::to_string(&join).context("join file")?)
        .with_context(|| format!("cannot write {}", config.join_file().display()))?;
    println!("created keys of member {} in {}", config.member, config.keys_dir().display());
    Ok(keys)
}

/// The peer key first, which the author must list; then, with a roster, database and a lock file that says that nothing
/// is signed here.
fn init_replica(config: &Config, arguments: &InitArguments) -> anyhow::Result<()> {
    let dir = config.keys_dir();
    if dir.exists() {
        ensure!(!arguments.encrypt_keys, "the keys exist already; `hashpact-node keys encrypt` seals them");
        ensure!(
            KeyStore::roles_in(&dir) == [KeyRole::Peer],
            "{} holds the keys of an author; a read replica has a peer key alone. Take an empty data folder",
            dir.display()
        );
    } else {
        if arguments.encrypt_keys {
            config.keys.passphrase.get_for_sealing()?;
        }
        std::fs::create_dir_all(&config.data_dir)
            .with_context(|| format!("cannot create {}", config.data_dir.display()))?;
        config.keys.create_peer(arguments.encrypt_keys)?;
        println!("created the peer key of a read replica of {} in {}", config.member, dir.display());
    }
    let peer = config.keys.open_peer()?.public();
    match &arguments.roster {
        None => {
            ensure!(
                !config.lock_file().exists(),
                "{} exists: this node is already initialised",
                config.lock_file().display()
            );
            let addresses: Vec<String> = config.advertised().iter().map(|at| format!("{at:?}")).collect();
            println!("Add to the configuration of {}'s author, and start it anew:", config.member);
            println!("\n[[replicas]]\npeer_key = \"{peer}\"\naddresses = [{}]\n", addresses.join(", "));
            println!("Then run here: hashpact-node init --replica --roster FILE");
            Ok(())
        }
        Some(roster) => create_follower(config, roster, arguments.pin.as_deref()),
    }
}

fn create_follower(config: &Config, roster: &Path, pin: Option<&str>) -> anyhow::Result<()> {
    let (chain, bytes) = check_new(config, roster, pin)?;
    let current = chain.current();
    let member = current.member(&config.member).filter(|member| member.is_active());
    ensure!(
        member.is_some(),
        "the roster, version {}, lists no active member {}",
        current.version,
        config.member
    );
    create_files(config, current, bytes, replica_origin(current, &config.member))?;
    println!(
        "created a read replica of {}; its author's card must list it before others let it in",
        config.member
    );
    Ok(())
}

/// Reads and verifies a roster file with all its versions.
pub(super) fn load_roster(path: &Path, pin: Option<&Root>) -> anyhow::Result<(RosterChain, Vec<u8>)> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read the roster {}", path.display()))?;
    let versions = SignedRoster::parse_file(&bytes).with_context(|| format!("roster {}", path.display()))?;
    let (first, rest) = versions.split_first().context("the roster file is empty")?;
    let mut chain =
        RosterChain::start(first, pin).with_context(|| format!("roster {}, version 1", path.display()))?;
    for next in rest {
        let version = chain.version() + 1;
        chain.advance(next).with_context(|| format!("roster {}, version {version}", path.display()))?;
    }
    Ok((chain, bytes))
}

fn create_log(config: &Config, keys: &NodeKeys, roster: &Path, pin: Option<&str>) -> anyhow::Result<()> {
    let (chain, bytes) = check_new(config, roster, pin)?;
    let current = chain.current();
    let member = current
        .member(&config.member)
        .with_context(|| format!("member {} is not in roster version {}", config.member, current.version))?;
    let log = member
        .logs
        .iter()
        .find(|log| log.status == LogStatus::Open)
        .with_context(|| format!("the roster opens no log for {}", config.member))?;
    ensure!(
        log.key == keys.log.public() && member.card_key == keys.card.public(),
        "the roster lists other keys for {} than {} holds",
        config.member,
        config.keys_dir().display()
    );
    let origin = current.origin(&config.member, log.n);
    create_files(config, current, bytes, origin.clone())?;
    println!("created log {origin}");
    println!(
        "roster version {} of {}, {} members",
        current.version,
        current.consortium,
        current.members.len()
    );
    Ok(())
}

/// The roster for a data folder that holds nothing yet.
fn check_new(config: &Config, roster: &Path, pin: Option<&str>) -> anyhow::Result<(RosterChain, Vec<u8>)> {
    let pin = pin.map(Root::from_hex).transpose().context("--pin")?;
    ensure!(
        !config.lock_file().exists() && !config.database_dir().exists(),
        "{} already holds a log; init never overwrites one",
        config.data_dir.display()
    );
    let (chain, bytes) = load_roster(roster, pin.as_ref())?;
    ensure!(
        !chain.is_expired(crate::driver::now_ms() / 1_000),
        "roster version {} has expired, and an expired roster admits nobody: ask governance for a newer one",
        chain.version()
    );
    Ok((chain, bytes))
}

fn create_files(config: &Config, roster: &Roster, bytes: Vec<u8>, origin: String) -> anyhow::Result<()> {
    std::fs::write(config.roster_file(), bytes)
        .with_context(|| format!("cannot write {}", config.roster_file().display()))?;
    Store::create(&config.database_dir(), &roster.consortium, config.member.as_str())?;
    // The lock comes last: without it `run` refuses to start, so a crash here leaves nothing that signs.
    let lock = LockState { generation: 0, origin, size: 0, root: empty_root(), note: Vec::new() };
    LockFile::create(&config.lock_file(), &lock)?;
    Ok(())
}
