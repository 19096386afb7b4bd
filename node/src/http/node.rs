//! What the node says of itself: members, logs, status, health, readiness, metrics.

use super::{Api, ApiError};
use crate::tokens::Scope;
use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use hashpact_protocol::api::{ErrorBody, LogsResponse, MembersResponse, ReadyResponse, StatusResponse};

/// The members of the roster in force.
#[utoipa::path(get, path = "/v1/members", tag = "node", security(("token" = ["lookup", "audit"])),
    responses((status = 200, body = MembersResponse), (status = "4XX", body = ErrorBody)))]
pub(super) async fn members(
    State(api): State<Api>,
    headers: HeaderMap,
) -> Result<Json<MembersResponse>, ApiError> {
    api.allow(&headers, &[Scope::Lookup, Scope::Audit])?;
    Ok(Json(api.service.members()))
}

/// Every log of the roster, as far as this node holds it.
#[utoipa::path(get, path = "/v1/logs", tag = "node", security(("token" = ["lookup", "audit"])),
    responses((status = 200, body = LogsResponse), (status = "4XX", body = ErrorBody)))]
pub(super) async fn logs(State(api): State<Api>, headers: HeaderMap) -> Result<Json<LogsResponse>, ApiError> {
    api.allow(&headers, &[Scope::Lookup, Scope::Audit])?;
    Ok(Json(api.service.logs()))
}

/// What this node is, holds and waits for.
#[utoipa::path(get, path = "/v1/status", tag = "node", security(("token" = ["lookup", "contribute", "audit"])),
    responses((status = 200, body = StatusResponse), (status = "4XX", body = ErrorBody)))]
pub(super) async fn status(
    State(api): State<Api>,
    headers: HeaderMap,
) -> Result<Json<StatusResponse>, ApiError> {
    api.allow(&headers, &[Scope::Lookup, Scope::Contribute, Scope::Audit])?;
    Ok(Json(api.service.status()))
}

/// The process answers.
#[utoipa::path(get, path = "/healthz", tag = "node", responses((status = 200, body = String, content_type = "text/plain")))]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// The logs are loaded and requests are served.
#[utoipa::path(get, path = "/readyz", tag = "node",
    responses((status = 200, body = ReadyResponse), (status = 503, body = ReadyResponse)))]
pub(super) async fn readyz(State(api): State<Api>) -> Response {
    let ready = api.service.ready();
    let status = if ready.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(ready)).into_response()
}

/// Metrics in OpenMetrics text: no signals and no callers. A token is needed when the API is not on loopback.
#[utoipa::path(get, path = "/metrics", tag = "node", security((), ("token" = ["audit"])),
    responses((status = 200, body = String, content_type = "application/openmetrics-text"), (status = "4XX", body = ErrorBody)))]
pub(super) async fn metrics(State(api): State<Api>, headers: HeaderMap) -> Result<Response, ApiError> {
    if !api.loopback {
        api.allow(&headers, &[Scope::Audit])?;
    }
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(CONTENT_TYPE, content_type)], api.service.metrics_text()).into_response())
}
