//! Which node to talk to, and with which token.
//!
//! A token is a secret, so it is never an argument (arguments are visible to every process of the
//! machine): it comes from a file that only its owner can read, or from the environment.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use hashpact_client::{Client, DEFAULT_URL, TlsOptions};
use zeroize::Zeroizing;

use super::output::Output;

/// The environment variable that holds a token.
const TOKEN_VARIABLE: &str = "HASHPACT_TOKEN";
/// No token or key is longer, in bytes.
const SECRET_FILE_MAX_BYTES: u64 = 4096;

/// Options that lead to a node.
#[derive(Debug, clap::Args)]
pub(crate) struct NodeArgs {
    /// Address of your member's node
    #[arg(long, global = true, help_heading = "Node and output", env = "HASHPACT_URL", default_value = DEFAULT_URL, value_name = "URL")]
    url: String,
    /// File with the access token, readable by its owner only; without it, the token is taken from
    /// the environment variable HASHPACT_TOKEN
    #[arg(
        long,
        global = true,
        help_heading = "Node and output",
        env = "HASHPACT_TOKEN_FILE",
        value_name = "FILE"
    )]
    token_file: Option<PathBuf>,
    /// PEM file of the authority that signed the node's certificate; no other is trusted then
    #[arg(long, global = true, help_heading = "Node and output", env = "HASHPACT_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// PEM file of a client certificate, if the node asks for one
    #[arg(
        long,
        global = true,
        help_heading = "Node and output",
        env = "HASHPACT_CLIENT_CERT",
        value_name = "FILE",
        requires = "client_key"
    )]
    client_cert: Option<PathBuf>,
    /// PEM file of its private key, readable by its owner only
    #[arg(
        long,
        global = true,
        help_heading = "Node and output",
        env = "HASHPACT_CLIENT_KEY",
        value_name = "FILE",
        requires = "client_cert"
    )]
    client_key: Option<PathBuf>,
}

impl NodeArgs {
    /// A client of the node; nothing is sent yet.
    pub(crate) fn client(&self, output: Output) -> anyhow::Result<Client> {
        let token = match &self.token_file {
            Some(path) => Some(read_secret(path, "token")?),
            None => {
                let token = std::env::var(TOKEN_VARIABLE).ok().map(Zeroizing::new);
                token.filter(|token| !token.trim().is_empty())
            }
        };
        let tls = TlsOptions {
            ca: self.ca.clone(),
            identity: self.client_cert.clone().zip(self.client_key.clone()),
        };
        let client = Client::with_tls(&self.url, token.as_deref().map(String::as_str), &tls)?;
        if client.sends_token_in_clear() {
            output.warn(&format!(
                "warning: {} is not on this machine and not encrypted; the token and all signals can be read on the way",
                client.base_url()
            ));
        }
        Ok(client)
    }
}

/// The one line of a small file that only its owner can read, such as a token or a key; `what` names it in errors.
pub(crate) fn read_secret(path: &Path, what: &str) -> anyhow::Result<Zeroizing<String>> {
    let shown = path.display();
    let named = || format!("{what} file {shown}");
    let metadata = std::fs::metadata(path).with_context(named)?;
    if !metadata.is_file() || metadata.len() > SECRET_FILE_MAX_BYTES {
        bail!("{what} file {shown}: expected a small regular file");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            bail!("{what} file {shown} can be read by others (mode {mode:04o}); run: chmod 600 {shown}");
        }
    }
    let text = Zeroizing::new(std::fs::read_to_string(path).with_context(named)?);
    let secret = text.trim();
    if secret.is_empty() || secret.lines().count() != 1 {
        bail!("{what} file {shown}: expected one line with the {what}");
    }
    Ok(Zeroizing::new(secret.to_owned()))
}
