//! `hashpact-node keys`: key files sealed by a passphrase, and back. A running node has read them at its start and does not look again.
//!
//! What was on a disk before it was sealed may still be found in blocks that the file system has not used again: keys that
//! must never have been in the clear are made by `init --encrypt-keys`.

use crate::config::Config;
use crate::journal::{Actor, record};
use crate::keystore::{KeyStore, Passphrase, PassphraseSource, is_sealed, key_path, public_path};
use anyhow::bail;
use clap::{Args, Subcommand};
use hashpact_protocol::keys::KeyRole;
use std::path::PathBuf;

#[derive(Subcommand)]
pub(super) enum KeysCommand {
    /// Seal the key files by the passphrase that --passphrase-file and the like give.
    Encrypt,
    /// Write the key files without a passphrase again.
    Decrypt,
    /// Seal the key files by another passphrase.
    ChangePassphrase(NewPassphrase),
    /// Show where the key of each role is, and whether it is sealed. Never a key.
    Show,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub(super) struct NewPassphrase {
    /// File with the new passphrase, readable by its owner only.
    #[arg(long, value_name = "FILE")]
    new_passphrase_file: Option<PathBuf>,
    /// Number of an inherited descriptor from which the new passphrase is read.
    #[arg(long, value_name = "NUMBER")]
    new_passphrase_fd: Option<u32>,
}

pub(super) fn keys(config: &Config, command: &KeysCommand) -> anyhow::Result<()> {
    let (action, changed) = match command {
        KeysCommand::Show => return show(config),
        KeysCommand::Encrypt => {
            config.keys.passphrase.get_for_sealing()?;
            // Nothing is journalled that cannot be done: every key is opened once before.
            config.keys.try_all()?;
            note(config, "encrypt-keys")?;
            ("sealed", config.keys.seal_files()?)
        }
        KeysCommand::Decrypt => {
            config.keys.try_all()?;
            note(config, "decrypt-keys")?;
            ("unsealed", config.keys.unseal_files()?)
        }
        KeysCommand::ChangePassphrase(NewPassphrase { new_passphrase_file, new_passphrase_fd }) => {
            let source = match (new_passphrase_file, new_passphrase_fd) {
                (Some(file), _) => PassphraseSource::File(file.clone()),
                (None, Some(number)) => PassphraseSource::Descriptor(*number),
                (None, None) => bail!("--new-passphrase-file or --new-passphrase-fd is needed"),
            };
            let new = Passphrase::from_source(source);
            new.get_for_sealing()?;
            config.keys.passphrase.get()?;
            note(config, "change-passphrase")?;
            ("sealed anew", config.keys.reseal_files(&new)?)
        }
    };
    match changed.as_slice() {
        [] => println!("nothing was to be done"),
        keys => println!("{action}: {}", keys.join(", ")),
    }
    Ok(())
}

fn note(config: &Config, action: &str) -> anyhow::Result<()> {
    record(&config.journal_file(), &Actor::of_command(), action, &serde_json::json!({}))
}

fn show(config: &Config) -> anyhow::Result<()> {
    for role in KeyStore::roles_in(&config.keys_dir()) {
        let path = key_path(&config.keys_dir(), role);
        let place = if role != KeyRole::Peer && public_path(&config.keys_dir(), role).exists() {
            "held by the signer".to_owned()
        } else if is_sealed(&path)? {
            format!("{}, sealed", path.display())
        } else {
            format!("{}, not sealed", path.display())
        };
        println!("{}: {place}", role.name());
    }
    Ok(())
}
