//! `hashpact-node token create`: a bearer token, shown once.

use crate::config::Config;
use crate::tokens::{Scope, Tokens};
use clap::Subcommand;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

#[derive(Subcommand)]
pub(super) enum TokenCommand {
    /// Create a token and print it; only its hash is kept. It counts from the node's next start on.
    Create {
        /// A name for logs and for revoking: [a-z0-9._-], at most 64.
        #[arg(long)]
        name: String,
        /// What the token allows; repeat for several.
        #[arg(long = "scope", required = true)]
        scopes: Vec<Scope>,
        /// Write the token to a new file with mode 600 instead of printing it.
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

pub(super) fn token(config: &Config, command: TokenCommand) -> anyhow::Result<()> {
    let TokenCommand::Create { name, scopes, out } = command;
    let scopes: BTreeSet<Scope> = scopes.into_iter().collect();
    if let Some(path) = &out {
        anyhow::ensure!(!path.exists(), "{} exists; a token file is never overwritten", path.display());
    }
    let secret = Tokens::create(&config.tokens_file(), &name, &scopes)?;
    match out {
        Some(path) => {
            let mut file =
                std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path)?;
            file.write_all(format!("{secret}\n").as_bytes())?;
            file.sync_all()?;
            println!("token {name} written to {}", path.display());
        }
        None => println!("{secret}"),
    }
    Ok(())
}
