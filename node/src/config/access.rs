//! `[http.tls]` and `[keys]`: who may reach the API, and where keys come from.

use super::{ConfigError, KEYS_DIR, value};
use crate::keystore::{KeyAccess, Passphrase, PassphraseSource, SignerProgram};
use hashpact_protocol::keys::KeyRole;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// `[http.tls]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawTls {
    /// PEM file of the certificate, followed by those between it and its authority.
    pub certificate: PathBuf,
    /// PEM file of its private key.
    pub key: PathBuf,
    /// PEM file of the authorities whose client certificates are accepted.
    pub client_ca: Option<PathBuf>,
    /// Whether callers must show a client certificate.
    pub client_certificates: Option<ClientCertificates>,
}

/// Whether callers must show a client certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientCertificates {
    /// Whoever has none is turned away.
    #[default]
    Required,
    /// One that is shown must be right.
    Optional,
}

/// Checked `[http.tls]`: paths as the process opens them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates.
    pub certificate: PathBuf,
    /// Private key.
    pub key: PathBuf,
    /// Authorities of client certificates; none are asked for without.
    pub client_ca: Option<PathBuf>,
    /// Whether one must be shown.
    pub client_certificates: ClientCertificates,
}

/// `[keys]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawKeys {
    /// File with the passphrase of sealed keys.
    pub passphrase_file: Option<PathBuf>,
    /// A program that holds keys.
    pub signer: Option<RawSigner>,
}

/// `[keys.signer]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawSigner {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Roles whose keys it holds: `log`, `card`, `cosigner`.
    pub roles: Vec<String>,
    /// How long one answer may take, in milliseconds.
    #[serde(default = "signer_timeout_default")]
    pub timeout_ms: u64,
}

fn signer_timeout_default() -> u64 {
    2_000
}

pub(super) fn check_tls(raw: &RawTls, base: &Path) -> Result<TlsFiles, ConfigError> {
    if let (None, Some(given)) = (&raw.client_ca, raw.client_certificates) {
        let given = format!("{given:?}").to_lowercase();
        return Err(value(
            "http.tls.client_certificates",
            &given,
            "needs http.tls.client_ca, which says whose are accepted",
        ));
    }
    Ok(TlsFiles {
        certificate: base.join(&raw.certificate),
        key: base.join(&raw.key),
        client_ca: raw.client_ca.as_ref().map(|path| base.join(path)),
        client_certificates: raw.client_certificates.unwrap_or_default(),
    })
}

pub(super) fn check_keys(raw: &RawKeys, base: &Path, data_dir: &Path) -> Result<KeyAccess, ConfigError> {
    let source = match &raw.passphrase_file {
        Some(file) => PassphraseSource::File(base.join(file)),
        None => PassphraseSource::Environment,
    };
    let signer = match &raw.signer {
        None => None,
        Some(raw) => {
            if raw.command.first().is_none_or(String::is_empty) {
                return Err(value("keys.signer.command", "[]", "must name a program, then its arguments"));
            }
            if !(10..=60_000).contains(&raw.timeout_ms) {
                return Err(value(
                    "keys.signer.timeout_ms",
                    &raw.timeout_ms.to_string(),
                    "must be 10 to 60000",
                ));
            }
            let role = |name: &String| {
                let known = [KeyRole::Log, KeyRole::Card, KeyRole::Cosigner];
                let found = known.into_iter().find(|role| role.name() == name);
                found.ok_or_else(|| value("keys.signer.roles", name, "must be log, card or cosigner"))
            };
            let roles: Vec<KeyRole> = raw.roles.iter().map(role).collect::<Result<_, _>>()?;
            if roles.is_empty() {
                return Err(value(
                    "keys.signer.roles",
                    "[]",
                    "must name at least one of log, card, cosigner",
                ));
            }
            let program = SignerProgram::new(raw.command.clone(), Duration::from_millis(raw.timeout_ms));
            Some((Arc::new(program), roles))
        }
    };
    Ok(KeyAccess { dir: data_dir.join(KEYS_DIR), passphrase: Passphrase::from_source(source), signer })
}
