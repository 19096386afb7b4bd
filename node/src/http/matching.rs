//! `POST /v1/match`, `GET /v1/records/{id}/near`.

use super::body::{BODY_MAX_BYTES, read_json};
use super::records::parse_id;
use super::{Api, ApiError};
use crate::service::MatchAsk;
use crate::tokens::Scope;
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts as Head;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use hashpact_protocol::api::{ErrorBody, MatchLimits, MatchRequest, MatchResponse, Query};

/// A request that was checked.
struct Checked {
    queries: Vec<Query>,
    ask: MatchAsk,
}

/// Is this known? Up to 10,000 signals a call; queries are neither stored nor logged.
#[utoipa::path(post, path = "/v1/match", tag = "lookup", security(("token" = ["lookup"])),
    request_body = MatchRequest,
    responses((status = 200, body = MatchResponse), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn match_signals(State(api): State<Api>, request: Request) -> Result<Response, ApiError> {
    let (Head { headers, .. }, body) = request.into_parts();
    let caller = api.allow_payloads(&headers, &[Scope::Lookup])?;
    let read = read_json(&api, &caller, &headers, body, BODY_MAX_BYTES, check).await?;
    let (Checked { queries, ask }, _body) = read;
    api.count_items(&caller, queries.len())?;
    // A cheap look-up takes less than finding out whether there is room for it, so it always has.
    let bytes = if api.service.is_cheap(&queries, &ask) {
        to_bytes(api.service.match_at_once(queries, &ask)?)?
    } else {
        let _slot = api.scans.enter(caller.id)?;
        api.within(api.service.match_signals(queries, ask, to_bytes)).await??
    };
    let mut response = bytes.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// Records that resemble this one, as a look-up of its own signals, and how well they are reviewed together.
#[utoipa::path(get, path = "/v1/records/{id}/near", tag = "lookup", security(("token" = ["lookup"])),
    params(("id" = String, Path, description = "record id: 64 hex digits")),
    responses((status = 200, body = MatchResponse), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn near(
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Json<MatchResponse>, ApiError> {
    let caller = api.allow_payloads(&headers, &[Scope::Lookup])?;
    let id = parse_id(path)?;
    api.count_items(&caller, 1)?;
    let _slot = api.scans.enter(caller.id)?;
    let near = api.within(api.service.near(id)).await?;
    near.map(Json).ok_or_else(|| {
        ApiError::not_found(format!(
            "of record {id} this node has no signals: it is not known, sealed or erased"
        ))
    })
}

fn check(request: MatchRequest) -> Result<Checked, ApiError> {
    let limits = MatchLimits::default();
    let distance = request.pdq_distance(&limits)?;
    let queries = request.to_queries(&limits)?;
    let ask = MatchAsk { lists: request.lists, distance, explain: request.explain, group: request.group };
    Ok(Checked { queries, ask })
}

fn to_bytes(answer: MatchResponse) -> Result<Bytes, ApiError> {
    serde_json::to_vec(&answer).map(Bytes::from).map_err(|error| {
        tracing::error!(%error, "an answer could not be written as JSON");
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the answer could not be written")
    })
}
