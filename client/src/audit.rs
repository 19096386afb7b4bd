//! Audit bundles over HTTP, in parts.

use std::time::Duration;

use hashpact_protocol::bundle::Scope;
use hashpact_protocol::digest::{Sha256Parts, hex_encode};
use reqwest::header::RANGE;
use reqwest::{Method, StatusCode};

use crate::client::{Client, chain, refusal_of};
use crate::error::ClientError;

/// How long a transfer may take; one that stands still is ended by the node.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(7 * 86_400);

/// The node's code for a transfer that cannot be taken up, because the bundle does not begin any more with what arrived.
pub const OTHER_BEGINNING: &str = "other_beginning";

/// Which bundle.
#[derive(Debug, Clone)]
pub struct AuditFetch {
    /// Which entries.
    pub scope: Scope,
    /// Whether payloads are wanted.
    pub payloads: bool,
    /// The strictest marking (TLP 2.0) of payloads that are wanted; the node's default if none is given.
    pub tlp: Option<String>,
    /// Groups whose payloads are wanted.
    pub groups: Vec<String>,
    /// Heads and moment (seconds since 1970 UTC) of an earlier answer, to get the same bytes again.
    pub resume: Option<(String, u64)>,
}

/// What has arrived of a bundle.
#[derive(Debug, Clone, Default)]
pub struct Arrived {
    /// Bytes.
    pub len: u64,
    /// Their SHA-256.
    pub digest: Sha256Parts,
}

impl Arrived {
    /// Takes the next bytes.
    pub fn take(&mut self, bytes: &[u8]) {
        self.len += bytes.len() as u64;
        self.digest.update(bytes);
    }
}

/// A bundle that is arriving.
#[derive(Debug)]
pub struct AuditAnswer {
    /// Its heads.
    pub heads: String,
    /// When the node began to write it, seconds since 1970 UTC.
    pub begun_s: u64,
    response: reqwest::Response,
    url: String,
}

impl Client {
    /// Asks for an audit bundle as a plain archive, or for what follows the bytes that have arrived of it. The node
    /// refuses with the code [`OTHER_BEGINNING`] when the bundle does not begin with them any more.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn audit_export(&self, asked: &AuditFetch, had: &Arrived) -> Result<AuditAnswer, ClientError> {
        let url = self.url("v1/audit/export");
        let mut query = vec![
            ("scope", asked.scope.text()),
            ("format", "tar".to_owned()),
            ("payloads", asked.payloads.to_string()),
        ];
        query.extend(asked.tlp.clone().map(|tlp| ("tlp", tlp)));
        if !asked.groups.is_empty() {
            query.push(("groups", asked.groups.join(",")));
        }
        if let Some((heads, begun_s)) = &asked.resume {
            query.push(("at", heads.clone()));
            query.push(("begun", begun_s.to_string()));
        }
        let mut request = self.request(Method::GET, &url).query(&query).timeout(TRANSFER_TIMEOUT);
        if had.len > 0 {
            request = request
                .header(RANGE, format!("bytes={}-", had.len))
                .header("Hashpact-Beginning", hex_encode(&had.digest.digest()));
        }
        let sent = request.send().await;
        let response = sent.map_err(|error| ClientError::Unreachable {
            url: self.base_url().to_owned(),
            attempts: 1,
            reason: chain(&error),
        })?;
        let expected = if had.len > 0 { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
        if response.status() != expected {
            return Err(refusal_of(&url, response).await);
        }
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let missing = || ClientError::Unexpected {
            url: url.to_string(),
            what: "an audit bundle without its heads and moment".to_owned(),
        };
        let heads = header("hashpact-heads").ok_or_else(missing)?.to_owned();
        let begun_s = header("hashpact-begun").and_then(|text| text.parse().ok()).ok_or_else(missing)?;
        Ok(AuditAnswer { heads, begun_s, url: url.to_string(), response })
    }
}

impl AuditAnswer {
    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// The transfer broke off.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        let part = self.response.chunk().await;
        let part =
            part.map_err(|error| ClientError::BrokeOff { url: self.url.clone(), why: chain(&error) })?;
        Ok(part.map(Into::into))
    }
}
