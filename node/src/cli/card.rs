//! `hashpact-node card`: show the member's node card, and carry it between machines as a file.

use crate::cards::CardFile;
use crate::config::Config;
use crate::driver::now_ms;
use anyhow::{Context as _, Result, ensure};
use clap::Subcommand;
use hashpact_protocol::roster::VerifiedCard;
use std::path::PathBuf;

#[derive(Subcommand)]
pub(super) enum CardCommand {
    /// Show which nodes the card of this data folder lists.
    Show,
    /// Write the card to a file, for a read replica that cannot reach its author.
    Export {
        /// The new file.
        file: PathBuf,
    },
    /// Take a card that the author's node signed; a running node takes it at once.
    Import {
        /// The file.
        file: PathBuf,
    },
}

pub(super) fn card(config: &Config, command: &CardCommand) -> Result<()> {
    let (chain, _) = super::init::load_roster(&config.roster_file(), None)?;
    let roster = chain.current();
    let held = || {
        std::fs::read(config.card_file()).context(
            "there is no node card here yet: the author signs one when it runs, and gives it to its replicas",
        )
    };
    match command {
        CardCommand::Show => {
            let verified = VerifiedCard::verify(&held()?, roster, now_ms() / 1_000)?;
            let card = verified.card();
            println!("card of {}, sequence {}, expires {}", card.member, card.sequence, card.expires_s);
            for (at, node) in card.nodes.iter().enumerate() {
                let role = if at == 0 { "author" } else { "replica" };
                println!("{role} {} {}", node.peer_key, node.addresses.join(" "));
            }
        }
        CardCommand::Export { file } => {
            ensure!(!file.exists(), "{} exists; an export never overwrites a file", file.display());
            let card = held()?;
            VerifiedCard::verify(&card, roster, now_ms() / 1_000)?;
            std::fs::write(file, card).with_context(|| format!("cannot write {}", file.display()))?;
            println!("wrote {}", file.display());
        }
        CardCommand::Import { file } => {
            ensure!(
                config.is_replica(),
                "this node is its member's author and signs the card itself, from its configuration"
            );
            let card = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            let peer = config.keys.open_peer()?.public();
            let files = CardFile::of(config, &roster.consortium, peer, None);
            let sequence = files.import(&card, roster).with_context(|| file.display().to_string())?;
            println!("took the card with sequence {sequence}");
        }
    }
    Ok(())
}
