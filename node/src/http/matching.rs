//! `POST /v1/match`.

use super::body::{BODY_MAX_BYTES, read_json};
use super::{Api, ApiError};
use crate::tokens::Scope;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use hashpact_protocol::api::{ErrorBody, MatchLimits, MatchRequest, MatchResponse};

/// Is this known? Up to 10,000 signals a call; queries are neither stored nor logged.
#[utoipa::path(post, path = "/v1/match", tag = "lookup", security(("token" = ["lookup"])),
    request_body = MatchRequest,
    responses((status = 200, body = MatchResponse), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn match_signals(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<MatchResponse>, ApiError> {
    api.allow(&headers, &[Scope::Lookup])?;
    let (request, _) = read_json::<MatchRequest>(&headers, body, BODY_MAX_BYTES).await?;
    let limits = MatchLimits::default();
    let radius = request.pdq_distance(&limits)?;
    let queries = request.to_queries(&limits)?;
    Ok(Json(api.service.match_signals(queries, radius, request.lists).await?))
}
