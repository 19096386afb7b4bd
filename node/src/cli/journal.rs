//! `hashpact-node journal`: the chain of administrative actions, from the command line.

use crate::config::Config;
use crate::journal::{Actor, check, restart};
use anyhow::{Context as _, ensure};
use clap::Subcommand;
use hashpact_protocol::digest::hex_encode;
use std::io::{ErrorKind, Write as _};

#[derive(Subcommand)]
pub(super) enum JournalCommand {
    /// Verify that no line was changed, taken out, added or cut off.
    Verify,
    /// Verify the journal and print its lines, one JSON object each.
    Show,
    /// Put a broken journal aside and begin a new one, whose first line says so.
    Restart {
        /// Why; goes to the new journal.
        #[arg(long)]
        reason: String,
    },
}

pub(super) fn journal(config: &Config, command: &JournalCommand) -> anyhow::Result<()> {
    let path = config.journal_file();
    match command {
        JournalCommand::Verify => {
            let head = check(&path)?;
            println!("whole: {} lines, newest {}", head.lines, hex_encode(&head.digest));
        }
        JournalCommand::Show => {
            check(&path)?;
            let bytes = crate::journal::read(&path).with_context(|| path.display().to_string())?;
            match std::io::stdout().write_all(&bytes) {
                Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(error.into()),
                _ => {}
            }
        }
        JournalCommand::Restart { reason } => {
            ensure!(!reason.trim().is_empty(), "--reason must say something");
            let aside = restart(&path, &Actor::of_command(), reason)?;
            println!("the broken journal is kept as {}; a new one has begun", aside.display());
        }
    }
    Ok(())
}
