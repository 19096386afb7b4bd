//! `hashpact digest key`: the key that the members of a group digest addresses with.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use hashpact_client::keyed::{GroupKey, KEY_BYTES};
use serde_json::json;
use zeroize::Zeroizing;

use super::shown;
use crate::cli::connect::read_secret;
use crate::cli::exit::Outcome;
use crate::cli::output::Output;

/// Arguments of `digest key`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "One member makes the key and passes the file on by a way of its own (never through Hashpact); each member compares \
                  the check value, which says nothing else about the key. Whoever has the key can try out addresses against \
                  every keyed digest of the group: keep it as a secret, and make another one when a member leaves."
)]
pub(crate) struct Args {
    /// The file; it must not be there yet, unless with --check
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Show the check value of a key that is there
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(args: &Args, output: Output) -> anyhow::Result<Outcome> {
    let key = if args.check { read(&args.file)? } else { make(&args.file)? };
    let check = key.check_value();
    if output.json {
        output.json_line(&json!({"file": args.file.display().to_string(), "check": check}));
    } else {
        output.line(&format!("{}  check value {check}", shown(&args.file)));
    }
    Ok(Outcome::Done)
}

/// Reads the key of a group from a file that only its owner can read.
pub(super) fn read(path: &Path) -> anyhow::Result<GroupKey> {
    let text = read_secret(path, "key")?;
    GroupKey::from_hex(&text).with_context(|| format!("key file {}", shown(path)))
}

fn make(path: &Path) -> anyhow::Result<GroupKey> {
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    getrandom::fill(&mut *bytes)
        .map_err(|error| anyhow::anyhow!("no randomness from the system: {error}"))?;
    let key = GroupKey::new(*bytes);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).with_context(|| shown(path))?;
    file.write_all(key.to_hex().as_bytes())
        .and_then(|()| file.write_all(b"\n"))
        .and_then(|()| file.sync_all())
        .with_context(|| shown(path))?;
    Ok(key)
}
