//! One delivery: lines, signed, posted; and when to try again.

use crate::config::WebhookConfig;
use crate::driver::now_ms;
use anyhow::{Context as _, ensure};
use hashpact_protocol::api::{BULK_LINES_TYPE, CHANGES_CURSOR_HEADER, ChangeJson};
use hashpact_protocol::webhook::{SECRET_MIN_BYTES, SIGNATURE_HEADER, TIMESTAMP_HEADER, sign};
use reqwest::header::CONTENT_TYPE;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long a connection attempt may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one delivery may take.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(30);
/// The pause after the first failure; doubled with each further one.
const PAUSE_MIN_MS: u64 = 1_000;
/// The longest pause.
const PAUSE_MAX_MS: u64 = 300_000;
/// Longest secret, in bytes.
const SECRET_MAX_BYTES: u64 = 4_096;

/// Sends to one receiver.
pub(super) struct Sender {
    http: reqwest::Client,
    url: reqwest::Url,
    secret: Zeroizing<Vec<u8>>,
}

impl Sender {
    pub(super) fn new(config: &WebhookConfig) -> anyhow::Result<Self> {
        let secret = read_secret(&config.secret_file)
            .with_context(|| format!("webhook {}: {}", config.name, config.secret_file.display()))?;
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("hashpact-node/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(DELIVERY_TIMEOUT);
        if config.url.scheme() == "http" {
            // It is on this machine: no proxy may see it.
            builder = builder.no_proxy();
        }
        let http = builder.build().with_context(|| format!("webhook {}", config.name))?;
        Ok(Self { http, url: config.url.clone(), secret })
    }

    /// Sends once; accepted with any 2xx status.
    ///
    /// # Errors
    /// Why it was not accepted, without the address.
    pub(super) async fn send(&self, body: &[u8], cursor: &str) -> Result<(), String> {
        let timestamp_s = now_ms() / 1_000;
        let sent = self
            .http
            .post(self.url.clone())
            .header(CONTENT_TYPE, BULK_LINES_TYPE)
            .header(TIMESTAMP_HEADER, timestamp_s.to_string())
            .header(SIGNATURE_HEADER, sign(&self.secret, timestamp_s, body))
            .header(CHANGES_CURSOR_HEADER, cursor)
            .body(body.to_vec())
            .send()
            .await;
        match sent {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(format!("it answered {}", answer.status().as_u16())),
            Err(error) if error.is_timeout() => Err("it did not answer in time".to_owned()),
            Err(error) if error.is_connect() => Err("no connection could be made".to_owned()),
            // The address may hold a secret of its own.
            Err(error) => Err(format!("the exchange broke off: {}", error.without_url())),
        }
    }
}

/// The body of a delivery: one change a line, as the feed tells it.
pub(super) fn body(changes: &[ChangeJson]) -> Vec<u8> {
    let mut body = Vec::new();
    for change in changes {
        body.extend(serde_json::to_vec(change).expect("our own shapes have string keys and finite numbers"));
        body.push(b'\n');
    }
    body
}

/// The pause after so many failures, spread over its upper half by any random number.
#[must_use]
pub fn backoff_ms(attempts: u32, random: u32) -> u64 {
    let full_ms = PAUSE_MIN_MS.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(PAUSE_MAX_MS);
    full_ms / 2 + u64::from(random) % (full_ms / 2 + 1)
}

fn read_secret(path: &Path) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let mut file = std::fs::File::open(path)?;
    let mode = file.metadata()?.permissions().mode() & 0o777;
    ensure!(mode & 0o077 == 0, "can be read by others (mode {mode:04o}); run: chmod 600");
    let mut bytes = Zeroizing::new(Vec::with_capacity(SECRET_MAX_BYTES as usize + 1));
    (&mut file).take(SECRET_MAX_BYTES + 1).read_to_end(&mut bytes)?;
    ensure!(bytes.len() as u64 <= SECRET_MAX_BYTES, "a secret has at most {SECRET_MAX_BYTES} bytes");
    let secret = Zeroizing::new(bytes.trim_ascii().to_vec());
    ensure!(secret.len() >= SECRET_MIN_BYTES, "a secret has at least {SECRET_MIN_BYTES} bytes");
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_five_minutes_and_are_spread() {
        let least = [1, 2, 3, 9, 10, 40].map(|attempts| backoff_ms(attempts, 0));
        assert_eq!(least, [500, 1_000, 2_000, 128_000, 150_000, 150_000]);
        for random in [0, 1, 499, 500, 501, u32::MAX] {
            assert!((500..=1_000).contains(&backoff_ms(1, random)));
        }
        assert_eq!(backoff_ms(20, 150_000), 300_000);
    }

    #[test]
    fn a_secret_is_its_owners_and_long_enough() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let path = dir.path().join("secret");
        let write = |text: &str, mode: u32| {
            std::fs::write(&path, text).expect("written");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("set");
            read_secret(&path).map(|secret| secret.to_vec()).map_err(|error| error.to_string())
        };
        assert_eq!(write("0123456789abcdef\n", 0o600), Ok(b"0123456789abcdef".to_vec()));
        assert!(write("0123456789abcdef", 0o640).is_err_and(|error| error.contains("chmod 600")));
        assert!(write("0123456789abcde\n", 0o600).is_err_and(|error| error.contains("at least 16")));
        assert!(write(&"x".repeat(4_097), 0o600).is_err_and(|error| error.contains("at most")));
    }
}
