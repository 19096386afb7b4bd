//! `hashpact-node roster …`: the offline tools of governance. No network, and no configuration but for `install`.
//!
//! A roster file holds all versions; the last may be a draft, whose checkpoint too few have signed yet. Files
//! are carried by hand: somebody proposes a draft, everybody reads how it differs, signers add their signatures one
//! after the other or each to a copy of their own, and the file with enough of them is what members
//! `install`. A signer's machine keeps beside its key which body it signed for which version, and refuses a
//! second draft of one version.
//!
//! What may change, and what a change means, is decided in `hashpact_core::governance`. See `ROSTER.md`.

use super::init::{JoinFile, load_roster};
use crate::keystore::create_key;
use anyhow::Result;
use clap::Subcommand;
use hashpact_protocol::keys::KeyRole;
use std::path::PathBuf;

mod create;
mod draft;
mod install;
mod propose;
mod replace;
mod show;
mod sign;
#[cfg(test)]
mod tests;

pub(super) use install::install;

#[derive(Subcommand)]
pub(super) enum RosterCommand {
    /// Create a governance key and print its public half.
    Keygen {
        /// The new key file (mode 600).
        #[arg(long)]
        out: PathBuf,
    },
    /// Draft version 1 from members' join files.
    Create(create::CreateArguments),
    /// Draft the next version: with options, with a changed text, or as it is to renew its expiry.
    Propose(Box<propose::ProposeArguments>),
    /// Draft the next version: close a member's log for good and open the one after it.
    ReplaceLog(replace::ReplaceArguments),
    /// Print the text of the newest version, to be changed and proposed with `propose --text`.
    Text {
        /// The roster file.
        file: PathBuf,
    },
    /// Tell in words how the newest version differs from the one before it, or from that of another file.
    Diff {
        /// The roster file; or the older one of two.
        file: PathBuf,
        /// The newer one of two.
        newer: Option<PathBuf>,
    },
    /// Add a governance signature to a draft or partly signed roster, in place.
    Sign(sign::SignArguments),
    /// Put the signatures together that several signers made, each in a copy of one draft.
    Combine {
        /// The copies.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// The file with all signatures.
        #[arg(long)]
        out: PathBuf,
    },
    /// Check every version, who signed it, and whether the newest has expired.
    Verify(show::VerifyArguments),
    /// Take a newer signed roster into this node's data folder; a running node adopts it and tells the others.
    Install {
        /// The roster file, with all versions.
        file: PathBuf,
    },
    /// Show a roster and who signed it.
    Show {
        /// The roster file.
        file: PathBuf,
    },
}

pub(super) fn roster(command: RosterCommand) -> Result<()> {
    print!("{}", answer(command)?);
    Ok(())
}

/// What a command has to say.
fn answer(command: RosterCommand) -> Result<String> {
    match command {
        RosterCommand::Keygen { out } => Ok(format!("{}\n", create_key(&out, KeyRole::Governance)?.public())),
        RosterCommand::Create(arguments) => create::create(&arguments),
        RosterCommand::Propose(arguments) => propose::propose(&arguments),
        RosterCommand::ReplaceLog(arguments) => replace::replace_log(&arguments),
        RosterCommand::Text { file } => show::text(&file),
        RosterCommand::Diff { file, newer } => show::diff(&file, newer.as_deref()),
        RosterCommand::Sign(arguments) => sign::sign(&arguments),
        RosterCommand::Combine { files, out } => sign::combine(&files, &out),
        RosterCommand::Verify(arguments) => show::verify(&arguments),
        RosterCommand::Install { .. } => anyhow::bail!("`install` needs the configuration"),
        RosterCommand::Show { file } => show::show(&file),
    }
}
