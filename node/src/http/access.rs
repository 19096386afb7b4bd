//! Who calls, whether the token allows it, and whether its limits do.

use super::guard::Verdict;
use super::{Api, ApiError};
use crate::driver::now_ms;
use crate::journal::Actor;
use crate::metrics::LimitLabel;
use crate::tokens::{Exceeded, LiveToken, Scope, Token};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use hashpact_protocol::api::time::rfc3339_seconds;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Address from which a connection came.
#[derive(Debug, Clone, Copy)]
pub(super) struct CallerAddress(pub(super) IpAddr);

/// An authenticated caller.
pub(super) struct Caller {
    /// Stable for one token; binds idempotency keys to it.
    pub(super) id: [u8; 32],
    /// None of whoever reads public logs.
    token: Option<Arc<LiveToken>>,
}

impl Caller {
    /// Whoever reads public logs without a token: all of them share one share of the budget.
    pub(super) fn anybody() -> Self {
        Self { id: [0; 32], token: None }
    }

    /// Items a second that it may look up.
    pub(super) fn items_per_s(&self) -> Option<u64> {
        self.token.as_ref()?.token().limits.items_per_s
    }

    fn use_items(&self, items: usize) -> Result<(), Exceeded> {
        self.token.as_ref().map_or(Ok(()), |token| token.items(items as u64, now_ms() / 1_000))
    }

    /// As the journal names it.
    pub(super) fn actor(&self) -> Actor {
        let name = self.token.as_ref().map_or("none", |token| &token.token().name);
        Actor::Token(name.to_owned())
    }
}

impl Api {
    /// The caller of what shows payloads or what follows from them.
    pub(super) fn allow_payloads(&self, headers: &HeaderMap, scopes: &[Scope]) -> Result<Caller, ApiError> {
        let caller = self.allow(headers, scopes)?;
        self.service.check_shows_payloads()?;
        Ok(caller)
    }

    /// The caller, if its token allows any of `scopes` and has a request left.
    pub(super) fn allow(&self, headers: &HeaderMap, scopes: &[Scope]) -> Result<Caller, ApiError> {
        let token = self.identify(headers)?;
        let now_s = now_ms() / 1_000;
        if token.token().has_expired(now_s) {
            let Token { name, expires_s, .. } = token.token();
            let message = format!("token {name} expired on {}", rfc3339_seconds(*expires_s));
            return Err(unauthorised(message));
        }
        if !scopes.iter().any(|scope| token.token().allows(*scope)) {
            let wanted: Vec<&str> = scopes.iter().map(|scope| scope.name()).collect();
            let message = format!("this token does not have scope {}", wanted.join(" or "));
            return Err(ApiError::new(StatusCode::FORBIDDEN, "forbidden", message));
        }
        token.request(now_s).map_err(|exceeded| self.limited(&exceeded))?;
        Ok(Caller { id: token.token().caller(), token: Some(token) })
    }

    /// Writes an administrative action into the journal, before it is done.
    pub(super) fn journal(
        &self,
        caller: &Caller,
        action: &str,
        details: &serde_json::Value,
    ) -> Result<(), ApiError> {
        crate::journal::record(&self.journal_file, &caller.actor(), action, details).map_err(|error| {
            tracing::error!(error = format!("{error:#}"), "an administrative action was refused");
            let message = format!("{error:#}");
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "journal", message)
        })
    }

    /// Counts items of a look-up, or records, against the caller's limits.
    pub(super) fn count_items(&self, caller: &Caller, items: usize) -> Result<(), ApiError> {
        caller.use_items(items).map_err(|exceeded| self.limited(&exceeded))
    }

    /// Counts items of a stream: waits while a rate is used up; refuses when a quota is, or the wait would be longer than
    /// a request may take.
    pub(super) async fn pace_items(&self, caller: &Caller, items: usize) -> Result<(), ApiError> {
        loop {
            match caller.use_items(items) {
                Ok(()) => return Ok(()),
                Err(exceeded) => {
                    let wait = Duration::from_nanos(exceeded.wait_ns);
                    // What waits holds a place among bulk look-ups.
                    if exceeded.is_quota() || wait > self.timeout {
                        return Err(self.limited(&exceeded));
                    }
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    fn limited(&self, exceeded: &Exceeded) -> ApiError {
        let Exceeded { limit, value, .. } = *exceeded;
        self.service.metrics().http_limited.get_or_create(&LimitLabel { limit }).inc();
        let retry_after_s = exceeded.retry_after_s();
        let code = if exceeded.is_quota() { "quota_exceeded" } else { "rate_limited" };
        let message =
            format!("this token's limit {limit} = {value} is used up; try again in {retry_after_s} s");
        let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, code, message);
        ApiError { retry_after_s: Some(retry_after_s), ..error }
    }

    fn identify(&self, headers: &HeaderMap) -> Result<Arc<LiveToken>, ApiError> {
        let Some(value) = headers.get(AUTHORIZATION) else {
            return Err(unauthorised("a bearer token is needed: Authorization: Bearer hpt_…"));
        };
        let secret = value
            .to_str()
            .ok()
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, secret)| secret.trim());
        let Some(secret) = secret else {
            return Err(unauthorised("the Authorization header must be: Bearer TOKEN"));
        };
        self.tokens.find(secret).ok_or_else(|| ApiError {
            is_unknown_token: true,
            ..unauthorised("this token is not known to this node")
        })
    }

    /// What becomes of the answer to an unknown token: as it is, later, or a refusal.
    pub(super) async fn slow_down(&self, error: ApiError, from: Option<CallerAddress>) -> ApiError {
        let metrics = self.service.metrics();
        metrics.http_unknown_tokens.inc();
        let Some(CallerAddress(address)) = from else { return error };
        match self.guard.failed(address, Instant::now()) {
            Verdict::Answer => error,
            Verdict::Slow(delay, _permit) => {
                tokio::time::sleep(delay).await;
                error
            }
            Verdict::Refuse(seconds) => {
                metrics.http_addresses_refused.inc();
                let message = format!(
                    "too many unknown tokens came from this address; unknown tokens are answered again after {seconds} s without any"
                );
                let refused =
                    ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_unknown_tokens", message);
                ApiError { retry_after_s: Some(seconds), ..refused }
            }
        }
    }
}

fn unauthorised(message: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
}
