//! `/v1/mutes`, `/v1/negatives`, `/v1/quarantine`: what the operator decides about members, signals and floods.

use super::body::{BODY_MAX_BYTES, STATEMENT_MAX_BYTES, read_json};
use super::request::read_path;
use super::{Api, ApiError};
use crate::tokens::Scope;
use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use hashpact_core::policy::Decision;
use hashpact_protocol::api::{
    DecisionRequest, ErrorBody, FloodJson, MuteRequest, MutesResponse, NegativesRequest, NegativesResponse,
    QuarantineResponse, check_reason,
};

/// Muted members: nothing that they state counts at this node.
#[utoipa::path(get, path = "/v1/mutes", tag = "decisions", security(("token" = ["lookup", "audit"])),
    responses((status = 200, body = MutesResponse), (status = "4XX", body = ErrorBody)))]
pub(super) async fn mutes(
    State(api): State<Api>,
    headers: HeaderMap,
) -> Result<Json<MutesResponse>, ApiError> {
    api.allow(&headers, &[Scope::Lookup, Scope::Audit])?;
    Ok(Json(api.service.lists()?.mutes()))
}

/// Mutes a member at this node, at once. Nobody else is told.
#[utoipa::path(post, path = "/v1/mutes", tag = "decisions", security(("token" = ["admin"])), request_body = MuteRequest,
    responses((status = 200, body = MutesResponse), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn mute(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<MutesResponse>, ApiError> {
    let caller = api.allow(&headers, &[Scope::Admin])?;
    let by = caller.actor();
    let check = |request: MuteRequest| check_reason(&request.reason).map(|()| request).map_err(Into::into);
    let (request, _body) = read_json(&api, &caller, &headers, body, STATEMENT_MAX_BYTES, check).await?;
    let own = api.service.member().to_owned();
    let mutes = api.service.decide(move |lists| lists.mute(&request.member, &own, &request.reason, &by));
    Ok(Json(mutes.await??))
}

/// Takes a mute back.
#[utoipa::path(delete, path = "/v1/mutes/{member}", tag = "decisions", security(("token" = ["admin"])),
    params(("member" = String, Path, description = "the member")),
    responses((status = 204), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn unmute(
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let by = api.allow(&headers, &[Scope::Admin])?.actor();
    let member = read_path(path)?;
    api.service.decide(move |lists| lists.unmute(&member, &by)).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// Negative lists: signals of what is known to be benign.
#[utoipa::path(get, path = "/v1/negatives", tag = "decisions", security(("token" = ["lookup", "audit"])),
    responses((status = 200, body = NegativesResponse), (status = "4XX", body = ErrorBody)))]
pub(super) async fn negatives(
    State(api): State<Api>,
    headers: HeaderMap,
) -> Result<Json<NegativesResponse>, ApiError> {
    api.allow(&headers, &[Scope::Lookup, Scope::Audit])?;
    Ok(Json(api.service.lists()?.negatives()))
}

/// Puts a negative list. What resembles a query near one of its values matches for review at most, from now on.
#[utoipa::path(put, path = "/v1/negatives/{name}", tag = "decisions", security(("token" = ["admin"])),
    params(("name" = String, Path, description = "name of the negative list")), request_body = NegativesRequest,
    responses((status = 200, body = NegativesResponse), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn put_negatives(
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<NegativesResponse>, ApiError> {
    let caller = api.allow(&headers, &[Scope::Admin])?;
    let by = caller.actor();
    let name = read_path(path)?;
    let check = |request: NegativesRequest| request.check().map(|_| request).map_err(Into::into);
    let (request, _body) = read_json(&api, &caller, &headers, body, BODY_MAX_BYTES, check).await?;
    Ok(Json(api.service.decide(move |lists| lists.put_negatives(&name, request, &by)).await??))
}

/// Deletes a negative list.
#[utoipa::path(delete, path = "/v1/negatives/{name}", tag = "decisions", security(("token" = ["admin"])),
    params(("name" = String, Path, description = "name of the negative list")),
    responses((status = 204), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn delete_negatives(
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let by = api.allow(&headers, &[Scope::Admin])?.actor();
    let name = read_path(path)?;
    api.service.decide(move |lists| lists.delete_negatives(&name, &by)).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// Floods that were found: what waits for a decision, and what was decided.
#[utoipa::path(get, path = "/v1/quarantine", tag = "decisions", security(("token" = ["lookup", "audit"])),
    responses((status = 200, body = QuarantineResponse), (status = "4XX", body = ErrorBody)))]
pub(super) async fn quarantine(
    State(api): State<Api>,
    headers: HeaderMap,
) -> Result<Json<QuarantineResponse>, ApiError> {
    api.allow(&headers, &[Scope::Lookup, Scope::Audit])?;
    Ok(Json(api.service.lists()?.quarantine()))
}

/// Accepts a flood: its records count like any others, what it withdraws is withdrawn. Can be rejected later.
#[utoipa::path(post, path = "/v1/quarantine/{id}/accept", tag = "decisions", security(("token" = ["admin"])),
    params(("id" = String, Path, description = "name of the flood")), request_body = DecisionRequest,
    responses((status = 200, body = FloodJson), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn accept(
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<FloodJson>, ApiError> {
    decide(&api, path, &headers, body, Decision::Accepted).await
}

/// Rejects a flood: its records do not count here, what it retracts goes on matching for review. Can be accepted later.
#[utoipa::path(post, path = "/v1/quarantine/{id}/reject", tag = "decisions", security(("token" = ["admin"])),
    params(("id" = String, Path, description = "name of the flood")), request_body = DecisionRequest,
    responses((status = 200, body = FloodJson), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn reject(
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<FloodJson>, ApiError> {
    decide(&api, path, &headers, body, Decision::Rejected).await
}

async fn decide(
    api: &Api,
    path: Result<Path<String>, PathRejection>,
    headers: &HeaderMap,
    body: Body,
    decision: Decision,
) -> Result<Json<FloodJson>, ApiError> {
    let caller = api.allow(headers, &[Scope::Admin])?;
    let by = caller.actor();
    let id = read_path(path)?;
    let check =
        |request: DecisionRequest| check_reason(&request.reason).map(|()| request.reason).map_err(Into::into);
    let (reason, _body) = read_json(api, &caller, headers, body, STATEMENT_MAX_BYTES, check).await?;
    Ok(Json(api.service.decide(move |lists| lists.decide_flood(&id, decision, &reason, &by)).await??))
}
