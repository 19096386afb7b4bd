//! The typed HTTP client of one node (SPEC §11).
//!
//! One method per endpoint, the shapes of `hashpact_protocol::api` in and out. What it adds to plain
//! HTTP: the token goes to this node only (no redirects, no proxy for loopback addresses), answers
//! are read up to a bound, errors keep the node's code and request id, and requests are sent again
//! when, and only when, that cannot state anything twice (`retry`).
//!
//! It never touches media: its only inputs are signals, labels and record ids.

use std::time::Duration;

use hashpact_protocol::api::{
    Ack, BasesRequest, BasesResponse, ContributeRequest, ErasureRequest, ErrorBody, IncidentReceipt, IncidentRequest, IncidentsResponse,
    LogsResponse, MatchRequest, MatchResponse, MembersResponse, ModelMatchRequest, ModelMatchResponse, NewRecord, OpinionRequest, Receipt, Receipts,
    RecordJson, RecordsPage, RecordsQuery, RetractionRequest, RulingRequest, RulingsResponse, StatusResponse,
    SuspensionRequest, SuspensionsResponse,
};
use hashpact_protocol::digest::RecordId;
use reqwest::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::ClientError;
use crate::retry::{self, Failure, Repeat};
use crate::tls::TlsOptions;

/// The largest answer that is read, in bytes. A full match call with every match shown stays below.
pub const ANSWER_MAX_BYTES: u64 = 512 * 1024 * 1024;
/// What is read of the body of a refused bulk look-up, in bytes.
const REFUSAL_MAX_BYTES: usize = 64 * 1024;
/// How long a connection attempt may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one attempt may take in total; a node answers a waiting contribution well before.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(120);
/// The address of a node on this machine with its default configuration.
pub const DEFAULT_URL: &str = "http://127.0.0.1:7410";

/// A connection to one node; cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    authorization: Option<HeaderValue>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

impl Client {
    /// A client of the node at `base_url`, which authenticates with `token` (none: public calls only).
    ///
    /// # Errors
    /// The address is no HTTP address, or the token cannot stand in a header. Nothing is sent yet.
    pub fn new<'t>(base_url: &str, token: impl Into<Option<&'t str>>) -> Result<Client, ClientError> {
        Self::with_tls(base_url, token, &TlsOptions::default())
    }

    /// The same, with what is special about the TLS of this node.
    ///
    /// # Errors
    /// As [`Client::new`], and [`ClientError::Tls`].
    pub fn with_tls<'t>(
        base_url: &str,
        token: impl Into<Option<&'t str>>,
        tls: &TlsOptions,
    ) -> Result<Client, ClientError> {
        let wrong =
            |reason: &str| ClientError::Address { url: base_url.to_owned(), reason: reason.to_owned() };
        let mut base = Url::parse(base_url).map_err(|error| wrong(&error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(wrong("it must start with http:// or https:// and name a host"));
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err(wrong("it must not carry a user name or password; give a token instead"));
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err(wrong("it must not have a query or fragment"));
        }
        if !base.path().ends_with('/') {
            let with_slash = format!("{}/", base.path());
            base.set_path(&with_slash);
        }
        let authorization = match token.into() {
            Some(token) => {
                let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim()))
                    .map_err(|_| ClientError::Token)?;
                value.set_sensitive(true);
                Some(value)
            }
            None => None,
        };
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("hashpact-client/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ATTEMPT_TIMEOUT);
        if is_loopback(&base) {
            // A proxy set in the environment must not see queries that were meant for this machine.
            builder = builder.no_proxy();
        }
        let http = tls.apply(builder)?.build().map_err(|error| wrong(&chain(&error)))?;
        Ok(Client { http, base, authorization })
    }

    /// The node's address.
    pub fn base_url(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// True when the token would cross a network unencrypted.
    pub fn sends_token_in_clear(&self) -> bool {
        self.authorization.is_some() && self.base.scheme() == "http" && !is_loopback(&self.base)
    }

    /// Looks signals up.
    ///
    /// # Errors
    /// See [`ClientError`]. An answer with `complete: false` is *not* an error: the caller must look.
    pub async fn match_signals(&self, request: &MatchRequest) -> Result<MatchResponse, ClientError> {
        let url = self.url("v1/match");
        self.json(self.request(Method::POST, &url).json(request), &url, Repeat::Safe).await
    }

    /// Asks which registered bases the tiles of a model are near.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn model_bases(&self, request: &BasesRequest) -> Result<BasesResponse, ClientError> {
        let url = self.url("v1/models/bases");
        self.json(self.request(Method::POST, &url).json(request), &url, Repeat::Safe).await
    }

    /// Asks whether a model is known.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn match_model(&self, request: &ModelMatchRequest) -> Result<ModelMatchResponse, ClientError> {
        let url = self.url("v1/models/match");
        self.json(self.request(Method::POST, &url).json(request), &url, Repeat::Safe).await
    }

    /// States records, all or none, and returns one receipt for each, in order.
    ///
    /// `idempotency_key` makes repeating safe: the node answers a second call with the same key and
    /// the same records with the receipts of the first.
    ///
    /// # Errors
    /// See [`ClientError`]; also when the number of receipts is not the number of records.
    pub async fn contribute(
        &self,
        records: &[NewRecord],
        idempotency_key: &str,
        ack: Ack,
    ) -> Result<Vec<Receipt>, ClientError> {
        self.contribute_to(None, records, idempotency_key, ack).await
    }

    /// The same, told to the members of a group of the roster alone.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn contribute_to(
        &self,
        group: Option<&str>,
        records: &[NewRecord],
        idempotency_key: &str,
        ack: Ack,
    ) -> Result<Vec<Receipt>, ClientError> {
        let mut url = self.url("v1/records");
        url.query_pairs_mut().append_pair("ack", &ack.to_string());
        if let Some(group) = group {
            url.query_pairs_mut().append_pair("group", group);
        }
        let body = ContributeRequest { records: records.to_vec() };
        let request = self.request(Method::POST, &url).header("Idempotency-Key", idempotency_key).json(&body);
        let receipts: Receipts = self.json(request, &url, Repeat::Safe).await?;
        if receipts.receipts.len() != records.len() {
            return Err(ClientError::Unexpected {
                url: url.to_string(),
                what: format!("{} receipts for {} records", receipts.receipts.len(), records.len()),
            });
        }
        Ok(receipts.receipts)
    }

    /// One record, with who said what about it.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn record(&self, id: &RecordId) -> Result<RecordJson, ClientError> {
        self.get(&self.url(&format!("v1/records/{id}"))).await
    }

    /// The provenance proof of a record (C2SP `tlog-proof` text), not verified here.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn proof(&self, id: &RecordId) -> Result<Vec<u8>, ClientError> {
        let url = self.url(&format!("v1/records/{id}/proof"));
        self.send(self.request(Method::GET, &url), &url, Repeat::Safe).await
    }

    /// States this member's opinion of a record. Not repeated after a broken connection.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn opinion(&self, id: &RecordId, opinion: &OpinionRequest) -> Result<Receipt, ClientError> {
        self.statement(&format!("v1/records/{id}/opinions"), opinion).await
    }

    /// Retracts a record of this member, for good. Not repeated after a broken connection.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn retraction(
        &self,
        id: &RecordId,
        retraction: &RetractionRequest,
    ) -> Result<Receipt, ClientError> {
        self.statement(&format!("v1/records/{id}/retraction"), retraction).await
    }

    /// Orders the erasure of a record's payload. Not repeated after a broken connection.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn erasure(&self, id: &RecordId, erasure: &ErasureRequest) -> Result<Receipt, ClientError> {
        self.statement(&format!("v1/records/{id}/erasure"), erasure).await
    }

    /// States another record in the place of one of this member's own. Not repeated after a broken connection.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn supersede(&self, id: &RecordId, record: &NewRecord) -> Result<Receipt, ClientError> {
        self.statement(&format!("v1/records/{id}/supersede"), record).await
    }

    /// States what this member, as a panellist, holds of signals. Not repeated after a broken connection.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn rule(&self, ruling: &RulingRequest) -> Result<Vec<Receipt>, ClientError> {
        let receipts: Receipts = self.statement("v1/rulings", ruling).await?;
        Ok(receipts.receipts)
    }

    /// What the review panel holds of signals.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn rulings(&self) -> Result<RulingsResponse, ClientError> {
        self.get(&self.url("v1/rulings")).await
    }

    /// Votes about the suspension of a member. Not repeated after a broken connection.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn vote(&self, vote: &SuspensionRequest) -> Result<Receipt, ClientError> {
        self.statement("v1/suspensions", vote).await
    }

    /// Every suspension that ever began.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn suspensions(&self) -> Result<SuspensionsResponse, ClientError> {
        self.get(&self.url("v1/suspensions")).await
    }

    /// Declares or closes an incident. Not repeated after a broken connection.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn incident(&self, incident: &IncidentRequest) -> Result<IncidentReceipt, ClientError> {
        self.statement("v1/incidents", incident).await
    }

    /// Every incident that was declared.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn incidents(&self) -> Result<IncidentsResponse, ClientError> {
        self.get(&self.url("v1/incidents")).await
    }

    /// A page of what stands; the cursor of the query says where it begins.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn records(&self, query: &RecordsQuery) -> Result<RecordsPage, ClientError> {
        let url = self.url("v1/records");
        self.json(self.request(Method::GET, &url).query(query), &url, Repeat::Safe).await
    }

    /// The members of the consortium.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn members(&self) -> Result<MembersResponse, ClientError> {
        self.get(&self.url("v1/members")).await
    }

    /// The logs that this node holds.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn logs(&self) -> Result<LogsResponse, ClientError> {
        self.get(&self.url("v1/logs")).await
    }

    /// How the node is.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn status(&self) -> Result<StatusResponse, ClientError> {
        self.get(&self.url("v1/status")).await
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, url: &Url) -> Result<T, ClientError> {
        self.json(self.request(Method::GET, url), url, Repeat::Safe).await
    }

    /// An opinion or a retraction, say: no idempotency key, so never repeated when it may have arrived.
    async fn statement<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        let url = self.url(path);
        self.json(self.request(Method::POST, &url).json(body), &url, Repeat::Unsafe).await
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        self.base.join(path).expect("the paths of this file are relative and well formed")
    }

    pub(crate) fn request(&self, method: Method, url: &Url) -> RequestBuilder {
        let request = self.http.request(method, url.clone());
        match &self.authorization {
            Some(value) => request.header(AUTHORIZATION, value.clone()),
            None => request,
        }
    }

    pub(crate) async fn json<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        url: &Url,
        repeat: Repeat,
    ) -> Result<T, ClientError> {
        let bytes = self.send(request, url, repeat).await?;
        serde_json::from_slice(&bytes)
            .map_err(|error| ClientError::Unexpected { url: url.to_string(), what: error.to_string() })
    }

    /// Sends until there is an answer or repeating is not allowed; the body of a good answer.
    pub(crate) async fn send(
        &self,
        request: RequestBuilder,
        url: &Url,
        repeat: Repeat,
    ) -> Result<Vec<u8>, ClientError> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let attempt = request.try_clone().expect("bodies are in memory");
            let (failure, error) = match self.attempt(attempt, url, attempts).await {
                Ok(bytes) => return Ok(bytes),
                Err(failed) => failed,
            };
            // Without randomness from the system the delay is merely not spread.
            let jitter = getrandom::u32().unwrap_or(0);
            match failure.and_then(|failure| retry::delay_ms(repeat, failure, attempts, jitter)) {
                Some(delay_ms) => tokio::time::sleep(Duration::from_millis(delay_ms)).await,
                None => return Err(error),
            }
        }
    }

    /// One exchange; a failure says whether repeating may be thought about at all.
    async fn attempt(
        &self,
        request: RequestBuilder,
        url: &Url,
        attempts: u32,
    ) -> Result<Vec<u8>, (Option<Failure>, ClientError)> {
        let unreachable = |error: &reqwest::Error| {
            let failure = if error.is_connect() { Failure::NotConnected } else { Failure::Interrupted };
            let reason = chain(error);
            (Some(failure), ClientError::Unreachable { url: self.base_url().to_owned(), attempts, reason })
        };
        let mut response = request.send().await.map_err(|error| unreachable(&error))?;
        let status = response.status();
        let retry_after_s = retry_after(&response);
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(|error| unreachable(&error))? {
            if body.len() as u64 + part.len() as u64 > ANSWER_MAX_BYTES {
                let error =
                    ClientError::AnswerTooLarge { url: url.to_string(), limit_bytes: ANSWER_MAX_BYTES };
                return Err((None, error));
            }
            body.extend_from_slice(&part);
        }
        if status.is_success() {
            return Ok(body);
        }
        let failure = Failure::Status(status.as_u16(), retry_after_s);
        Err((Some(failure), refusal(url, status, retry_after_s, &body)))
    }
}

/// The error that a refused request ends with. Its body is read up to a bound far above any error's.
pub(crate) async fn refusal_of(url: &Url, mut response: reqwest::Response) -> ClientError {
    let status = response.status();
    let retry_after_s = retry_after(&response);
    let mut body = Vec::new();
    while let Ok(Some(part)) = response.chunk().await {
        body.extend_from_slice(&part);
        if body.len() > REFUSAL_MAX_BYTES {
            break;
        }
    }
    refusal(url, status, retry_after_s, &body)
}

fn retry_after(response: &reqwest::Response) -> Option<u64> {
    let value = response.headers().get(RETRY_AFTER)?;
    retry::parse_retry_after(value.to_str().ok()?)
}

/// The node's own words when there are any, else what kind of answer it was.
fn refusal(url: &Url, status: StatusCode, retry_after_s: Option<u64>, body: &[u8]) -> ClientError {
    match serde_json::from_slice::<ErrorBody>(body) {
        Ok(ErrorBody { error }) => ClientError::Refused {
            status: status.as_u16(),
            code: error.code,
            message: error.message,
            request_id: error.request_id,
            retry_after_s,
        },
        Err(_) => ClientError::Unexpected {
            url: url.to_string(),
            what: format!("status {status} without an error of the API"),
        },
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// An error with its causes: the outermost alone ("error sending request") helps nobody.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}
