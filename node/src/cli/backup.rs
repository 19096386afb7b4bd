//! `hashpact-node backup`: a verified copy of everything that a node needs to come back, taken while it runs or while it
//! does not.
//!
//! A running node holds its database, so it makes the first copy itself (`POST /v1/admin/backup`), beside it and out of
//! hard links; everything else is done here.

use super::init::load_roster;
use crate::backup::{Backup, back_up, verify};
use crate::config::Config;
use crate::driver::now_ms;
use crate::service::backup::checkpoint;
use crate::storage::fsck::Progress;
use crate::storage::{LockError, LockFile};
use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use hashpact_protocol::api::time::rfc3339;
use hashpact_protocol::api::{BackupResponse, ErrorBody};
use hashpact_protocol::digest::{hex_encode, sha256};
use std::fs::DirBuilder;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a running node may take to make its copy.
const PATIENCE: Duration = Duration::from_secs(600);
/// Longest answer of it that is read.
const ANSWER_MAX_BYTES: u64 = 64 * 1024;

#[derive(Args)]
pub(super) struct BackupArguments {
    /// Write the backup to this folder, which must not exist. It holds no key.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Copy the secret keys to this folder (mode 0700, files 0600), which must not exist and not be inside the backup.
    /// Keep it somewhere else: whoever has both can be this node.
    #[arg(long, value_name = "DIR")]
    keys_out: Option<PathBuf>,
    /// File with a token of scope admin; needed when the node is running.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Compare what was written with what was read, and do not rebuild the trees from it as well.
    #[arg(long)]
    quick: bool,
}

pub(super) fn backup(config: &Config, arguments: &BackupArguments) -> Result<()> {
    ensure!(!arguments.out.exists(), "{} exists; a backup needs a new folder", arguments.out.display());
    let (made, taken) = match LockFile::open(&config.lock_file()) {
        Ok(lock) => copy_stopped(config, &lock)?,
        Err(LockError::InUse { .. }) => copy_running(config, arguments.token_file.as_deref())?,
        Err(error) => return Err(error.into()),
    };
    let (out, keys_out) = (arguments.out.clone(), arguments.keys_out.clone());
    let written = back_up(&Backup { config, checkpoint: made.clone(), taken, out, keys_out });
    // It shares the database's files and would keep them from being freed.
    std::fs::remove_dir_all(&made).with_context(|| format!("cannot remove {}", made.display()))?;
    let written = written?;
    let out = &arguments.out;
    let manifest = &written.manifest;
    let said = std::fs::read(out.join("manifest"))?;
    println!("wrote {} ({} files, {} bytes)", out.display(), manifest.files.len(), written.bytes);
    println!("log {} signed up to {} entries, at {}", manifest.log, manifest.size, manifest.taken);
    if !arguments.quick {
        let (chain, _) = load_roster(&out.join("roster"), None)?;
        let entries = verify(out, &chain, &mut |_: Progress<'_>| {})?;
        println!("verified: {entries} entries lead to their signed roots");
    }
    match &arguments.keys_out {
        Some(keys) => println!("keys in {}: keep them apart from the backup", keys.display()),
        None => println!("the keys are not in it; `--keys-out DIR` copies them"),
    }
    println!("sha256 of the manifest {}", hex_encode(&sha256(&[&said])));
    Ok(())
}

/// Of a node that does not run: the copy is made here.
fn copy_stopped(config: &Config, lock: &LockFile) -> Result<(PathBuf, String)> {
    let store = super::database::open(config).context("database")?;
    let now = now_ms();
    let folder = config.checkpoints_dir().join(now.to_string());
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700).create(&folder).with_context(|| folder.display().to_string())?;
    checkpoint(&store, lock.state(), &folder)?;
    Ok((folder, rfc3339(now)))
}

/// Of a running node: it makes the copy.
fn copy_running(config: &Config, token_file: Option<&Path>) -> Result<(PathBuf, String)> {
    let Some(token_file) = token_file else {
        bail!(
            "the node is running: give a token of scope admin with --token-file (`hashpact-node token create --scope admin`; it \
             counts from the node's next start on), or stop the node first"
        );
    };
    let token = std::fs::read_to_string(token_file)
        .with_context(|| format!("cannot read the token file {}", token_file.display()))?;
    let made = ask(config.http_listen, token.trim())?;
    ensure!(
        made.checkpoint.bytes().all(|byte| byte.is_ascii_digit()) && !made.checkpoint.is_empty(),
        "the node names a copy {:?}",
        made.checkpoint
    );
    Ok((config.checkpoints_dir().join(made.checkpoint), made.taken))
}

/// One request over loopback, by hand: a client of its own would be the only use of one in this program.
fn ask(listen: SocketAddr, token: &str) -> Result<BackupResponse> {
    let mut address = listen;
    if address.ip().is_unspecified() {
        let loopback =
            if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        address.set_ip(loopback);
    }
    ensure!(!token.contains(['\r', '\n']), "the token file holds more than one line");
    let unreachable = || format!("the node holds its lock file, but its API at {address} does not answer");
    let mut connection = TcpStream::connect(address).with_context(unreachable)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    write!(
        connection,
        "POST /v1/admin/backup HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\
         Content-Length: 0\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    connection.take(ANSWER_MAX_BYTES).read_to_end(&mut answer).with_context(unreachable)?;
    read_answer(&String::from_utf8_lossy(&answer))
}

fn read_answer(answer: &str) -> Result<BackupResponse> {
    let (head, body) = answer.split_once("\r\n\r\n").context("the node's answer has no body")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status == "200" {
        return serde_json::from_str(body).context("the node's answer is not understood");
    }
    match serde_json::from_str::<ErrorBody>(body) {
        Ok(ErrorBody { error }) => bail!("the node refused ({status}, {}): {}", error.code, error.message),
        Err(_) => bail!("the node answered {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_strictly() {
        let good = "HTTP/1.1 200 OK\r\nx: y\r\n\r\n{\"checkpoint\":\"17\",\"log\":\"c/m/1\",\"size\":3,\"taken\":\"t\"}";
        assert_eq!(read_answer(good).expect("an answer").checkpoint, "17");
        let refused = "HTTP/1.1 403 Forbidden\r\n\r\n{\"error\":{\"code\":\"forbidden\",\"message\":\"no scope\",\"request_id\":\"1\"}}";
        let error = read_answer(refused).expect_err("refused").to_string();
        assert_eq!(error, "the node refused (403, forbidden): no scope");
        for other in ["", "HTTP/1.1 200 OK\r\n\r\n{}", "HTTP/1.1 500 Oops\r\n\r\nwhat"] {
            assert!(read_answer(other).is_err(), "{other}");
        }
    }
}
