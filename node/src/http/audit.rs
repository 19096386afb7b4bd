//! `GET /v1/audit/export`: an audit bundle (SPEC §12), written while it is sent.
//!
//! Compressed by default. As a plain archive (`format=tar`) it can be taken up again: with `at` and `begun` from the
//! headers of the first answer, a `Range` that starts where the caller stopped, and in `Hashpact-Beginning` the SHA-256 of
//! what the caller has. The bundle is written again from its start; if it still begins with exactly those bytes, what
//! follows is sent, so that both parts are one bundle. If not (a note, a payload or an erasure came meanwhile and
//! changed the annex before that place), the answer is 412 and the transfer must begin again.

use super::budget::Slot;
use super::request::read_query;
use super::{Api, ApiError};
use crate::export::{Audience, Beginning};
use crate::service::{AuditRequest, AuditStream};
use crate::tokens::Scope;
use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::stream::{Stream, StreamExt as _};
use hashpact_protocol::api::ErrorBody;
use hashpact_protocol::bundle;
use hashpact_protocol::digest::{hex_array, hex_encode};
use hashpact_protocol::limits::TIME_S_MAX;
use serde::Deserialize;

static HEADS: HeaderName = HeaderName::from_static("hashpact-heads");
static BEGUN: HeaderName = HeaderName::from_static("hashpact-begun");
static BEGINNING: HeaderName = HeaderName::from_static("hashpact-beginning");

/// What to export.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditQuery {
    /// `all` (the default), `member ID`, `period FROM TO` (seconds since 1970 UTC), or `record ID`.
    scope: Option<String>,
    /// `tar.zst` (the default), or `tar`, which can be taken up again.
    format: Option<String>,
    /// `false` marks all payloads as withheld, so that no signal is in the bundle.
    payloads: Option<bool>,
    /// The strictest marking that payloads in the bundle may have: `clear`, `green`, `amber`, `amber+strict` (the default) or `red`.
    tlp: Option<String>,
    /// Groups whose payloads may be in the bundle, separated by commas; none without it.
    groups: Option<String>,
    /// Heads of another export, from its header `Hashpact-Heads`: the core is then the same.
    at: Option<String>,
    /// When that export began, from its header `Hashpact-Begun`, seconds since 1970 UTC.
    begun: Option<u64>,
}

/// An audit bundle: logs, rosters and all that vouches for them, to be verified offline.
#[utoipa::path(get, path = "/v1/audit/export", tag = "logs", security(("token" = ["audit"])),
    params(AuditQuery, ("Range" = Option<String>, Header, description = "bytes=N-; with format=tar, at and begun only"),
        ("Hashpact-Beginning" = Option<String>, Header, description = "with Range: SHA-256 of the N bytes that the caller has")),
    responses((status = 200, content((Vec<u8> = "application/zstd"), (Vec<u8> = "application/x-tar"))),
        (status = 206, body = Vec<u8>, content_type = "application/x-tar"),
        (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn export(
    State(api): State<Api>,
    query: Result<Query<AuditQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let caller = api.allow_payloads(&headers, &[Scope::Audit])?;
    let query = read_query(query)?;
    let is_archive = query.is_archive()?;
    let can_resume = is_archive && query.at.is_some() && query.begun.is_some();
    let beginning = if can_resume { beginning(&headers)? } else { Beginning::default() };
    let request = query.request(beginning)?;
    let slot = api.exports.enter(caller.id)?;
    let started = api.service.audit_export(request).await?;
    answer(started, is_archive, beginning.len, slot)
}

impl AuditQuery {
    fn is_archive(&self) -> Result<bool, ApiError> {
        match self.format.as_deref() {
            None | Some("tar.zst") => Ok(false),
            Some("tar") => Ok(true),
            Some(_) => Err(invalid("format: must be tar.zst or tar")),
        }
    }

    fn request(self, beginning: Beginning) -> Result<AuditRequest, ApiError> {
        let is_archive = self.is_archive()?;
        let scope = bundle::Scope::parse(self.scope.as_deref().unwrap_or("all"));
        let scope = scope.ok_or_else(|| {
            invalid(
                "scope: must be all, \"member ID\", \"period FROM TO\" (seconds, ascending) or \"record ID\"",
            )
        })?;
        if self.begun.is_some_and(|begun_s| begun_s > TIME_S_MAX) {
            return Err(invalid("begun: must be seconds since 1970"));
        }
        let groups = self.groups.iter().flat_map(|names| names.split(',')).map(str::to_owned);
        let audience = match self.payloads {
            Some(false) if self.tlp.is_some() || self.groups.is_some() => {
                return Err(invalid("payloads: false leaves nothing for tlp and groups to choose"));
            }
            Some(false) => Audience::without_payloads(),
            _ => Audience::parse(self.tlp.as_deref(), groups).map_err(|message| invalid(&message))?,
        };
        let (at, begun_s) = (self.at, self.begun);
        Ok(AuditRequest { scope, audience, at, begun_s, is_archive, beginning })
    }
}

/// What the caller says it has: `Range: bytes=N-` and the digest of the N bytes. Other ranges are passed over, as HTTP
/// allows.
fn beginning(headers: &HeaderMap) -> Result<Beginning, ApiError> {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let first = text(&RANGE).and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
    let Some(first) = first else { return Ok(Beginning::default()) };
    let len = first.parse().map_err(|_| invalid("Range: must be bytes=N-"))?;
    if len == 0 {
        return Ok(Beginning::default());
    }
    let digest = text(&BEGINNING).and_then(|digest| hex_array(digest).ok()).ok_or_else(|| {
        invalid("Hashpact-Beginning: with Range it must hold the SHA-256 (64 hex digits) of the bytes received before")
    })?;
    Ok(Beginning { len, digest })
}

fn invalid(message: &str) -> ApiError {
    ApiError::bad_request("invalid_query", message)
}

fn answer(stream: AuditStream, is_archive: bool, from: u64, slot: Slot) -> Result<Response, ApiError> {
    let AuditStream { heads, begun_s, core, total, parts } = stream;
    let header = |text: String| {
        HeaderValue::from_str(&text)
            .map_err(|_| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "a header"))
    };
    let (media, ending) =
        if is_archive { ("application/x-tar", "tar") } else { ("application/zstd", "tar.zst") };
    let name = format!("attachment; filename=\"hashpact-audit-{}.{ending}\"", &hex_encode(&core)[..16]);
    let body = Body::from_stream(held_open(parts, slot));
    let mut response = (StatusCode::OK, body).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(CONTENT_DISPOSITION, header(name)?);
    headers.insert(&HEADS, header(heads)?);
    headers.insert(&BEGUN, header(begun_s.to_string())?);
    if is_archive {
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    }
    if let Some(total) = total.filter(|_| from > 0) {
        if from >= total {
            let message = format!("the archive has {total} bytes");
            return Err(ApiError::new(StatusCode::RANGE_NOT_SATISFIABLE, "range", message));
        }
        headers.insert(CONTENT_RANGE, header(format!("bytes {from}-{}/{total}", total - 1))?);
        headers.insert(CONTENT_LENGTH, header((total - from).to_string())?);
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

/// The parts of a bundle; the place in the budget is held as long as they come.
fn held_open(
    parts: tokio::sync::mpsc::Receiver<std::io::Result<Vec<u8>>>,
    slot: Slot,
) -> impl Stream<Item = std::io::Result<Bytes>> {
    let parts = futures::stream::unfold((parts, slot), |(mut parts, slot)| async move {
        let part = parts.recv().await?;
        Some((part, (parts, slot)))
    });
    parts.map(|part| part.map(Bytes::from))
}
