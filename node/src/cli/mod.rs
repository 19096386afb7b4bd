//! The operator's commands, one file each.
//!
//! Exit codes: 0 done; 1 failed, with the reason on standard error; 2 wrong usage; 3 `fsck` found
//! problems; 4 the node stopped itself because its own state may be wrong.

mod backup;
mod card;
mod database;
mod duration;
mod export;
mod fsck;
mod hold;
mod init;
mod journal;
mod keys;
mod promote;
mod recover;
mod repair;
mod restore;
mod roster;
mod run;
mod token;

use crate::config::Config;
use crate::keystore::{Passphrase, PassphraseSource};
use anyhow::Context as _;
use clap::{Parser, Subcommand};
use hashpact_core::StopReason;
use std::path::PathBuf;
use std::process::ExitCode;

pub use run::{RunOptions, StartError, run};

/// A member's node in a Hashpact consortium.
#[derive(Parser)]
#[command(name = "hashpact-node", version, about, max_term_width = 100)]
struct Arguments {
    /// The configuration file.
    #[arg(long, global = true, env = "HASHPACT_CONFIG", default_value = "hashpact.toml")]
    config: PathBuf,
    /// File with the passphrase of sealed keys, readable by its owner only.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "HASHPACT_PASSPHRASE_FILE",
        conflicts_with = "passphrase_fd"
    )]
    passphrase_file: Option<PathBuf>,
    /// Number of an inherited descriptor from which the passphrase is read.
    #[arg(long, global = true, value_name = "NUMBER")]
    passphrase_fd: Option<u32>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Create this node's keys; with --roster, also its database and log (of a read replica, --replica, a peer key alone).
    Init(init::InitArguments),
    /// Run the node until SIGINT or SIGTERM.
    Run(run::RunArguments),
    /// Give the open log up for good and get ready for the next one; the node must not be running.
    Recover(recover::RecoverArguments),
    /// Make a read replica the author of its member's next log; the node must not be running.
    Promote(promote::PromoteArguments),
    /// Show, export or import the card that lists this member's nodes.
    #[command(subcommand)]
    Card(card::CardCommand),
    /// Create, sign, show and install rosters (only `install` needs the configuration).
    #[command(subcommand)]
    Roster(roster::RosterCommand),
    /// Verify everything on disk from the leaves up; the node must not be running.
    Fsck(fsck::FsckArguments),
    /// Copy what is whole of a damaged database to a new one; the node must not be running, and its own log must be whole.
    Repair(repair::RepairArguments),
    /// Write a verified backup, of a running node or a stopped one.
    Backup(backup::BackupArguments),
    /// Put a backup back into an empty data folder.
    Restore(restore::RestoreArguments),
    /// Write an audit bundle that anybody can verify offline; the node must not be running.
    Export(export::ExportArguments),
    /// Keep payloads that would be destroyed, for a law or a court; journalled.
    #[command(subcommand)]
    Hold(hold::HoldCommand),
    /// Seal the key files by a passphrase, or unseal them.
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Verify or show the journal of administrative actions, or begin a new one after damage.
    #[command(subcommand)]
    Journal(journal::JournalCommand),
    /// Manage bearer tokens of the HTTP API.
    #[command(subcommand)]
    Token(token::TokenCommand),
}

/// Parses the process's arguments and runs the command.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match dispatch(arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(1)
        }
    }
}

fn dispatch(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let source = match (&arguments.passphrase_file, arguments.passphrase_fd) {
        (Some(file), _) => Some(PassphraseSource::File(file.clone())),
        (None, Some(number)) => Some(PassphraseSource::Descriptor(number)),
        (None, None) => None,
    };
    let load = || -> anyhow::Result<Config> {
        let mut config = Config::load(&arguments.config)?;
        if let Some(source) = source.clone() {
            config.keys.passphrase = Passphrase::from_source(source);
        }
        Ok(config)
    };
    match arguments.command {
        Command::Init(init) => init::init(&load()?, &init).map(|()| ExitCode::SUCCESS),
        Command::Run(run) => run_until_signal(load()?, run.into()),
        Command::Recover(recover) => recover::recover(&load()?, &recover).map(|()| ExitCode::SUCCESS),
        Command::Promote(promote) => promote::promote(&load()?, &promote).map(|()| ExitCode::SUCCESS),
        Command::Card(command) => card::card(&load()?, &command).map(|()| ExitCode::SUCCESS),
        Command::Roster(roster::RosterCommand::Install { file }) => {
            roster::install(&load()?, &file).map(|()| ExitCode::SUCCESS)
        }
        Command::Roster(roster::RosterCommand::Keygen { .. }) if source.is_some() => anyhow::bail!(
            "`roster keygen` writes the key as it is and takes no passphrase: keep the file on a machine without a network"
        ),
        Command::Roster(command) => roster::roster(command).map(|()| ExitCode::SUCCESS),
        Command::Fsck(fsck) => fsck::fsck(&load()?, &fsck),
        Command::Repair(repair) => repair::repair(&load()?, &repair).map(|()| ExitCode::SUCCESS),
        Command::Backup(backup) => backup::backup(&load()?, &backup).map(|()| ExitCode::SUCCESS),
        Command::Restore(restore) => restore::restore(&load()?, &restore).map(|()| ExitCode::SUCCESS),
        Command::Export(export) => export::export(&load()?, &export).map(|()| ExitCode::SUCCESS),
        Command::Hold(command) => hold::hold(&load()?, command).map(|()| ExitCode::SUCCESS),
        Command::Keys(command) => keys::keys(&load()?, &command).map(|()| ExitCode::SUCCESS),
        Command::Journal(command) => journal::journal(&load()?, &command).map(|()| ExitCode::SUCCESS),
        Command::Token(command) => token::token(&load()?, command).map(|()| ExitCode::SUCCESS),
    }
}

fn run_until_signal(config: Config, options: RunOptions) -> anyhow::Result<ExitCode> {
    crate::telemetry::start(&config.log).map_err(anyhow::Error::msg)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the async runtime")?;
    let outcome = runtime.block_on(async {
        let (stop, stopped) = tokio::sync::watch::channel(false);
        tokio::spawn(async move {
            wait_for_signal().await;
            let _ = stop.send(true);
        });
        run(config, options, stopped, None).await
    });
    match outcome {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(StartError::Stopped(StopReason::Reopen { version })) => {
            Err(start_anew().context(format!("roster version {version} needs a new start, which failed")))
        }
        Err(StartError::Stopped(StopReason::Snapshot { .. })) => {
            Err(start_anew().context("a snapshot was discarded, which needs a new start, which failed"))
        }
        Err(StartError::Stopped(reason)) => {
            eprintln!("error: the node stopped itself: {reason}");
            Ok(ExitCode::from(4))
        }
        Err(StartError::Failed(error)) => Err(error),
    }
}

/// Puts the same program with the same arguments in the place of this process, which has closed everything.
/// Comes back only if that fails.
fn start_anew() -> anyhow::Error {
    use std::os::unix::process::CommandExt as _;
    match std::env::current_exe() {
        Ok(program) => std::process::Command::new(program).args(std::env::args_os().skip(1)).exec().into(),
        Err(error) => error.into(),
    }
}

async fn wait_for_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(_) => {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}
