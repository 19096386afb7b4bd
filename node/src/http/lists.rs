//! `/v1/lists`: the lists of this node, and what a change of them would change.

use super::body::{BODY_MAX_BYTES, media_type, read_json, read_whole, unsupported};
use super::request::read_path;
use super::{Api, ApiError};
use crate::lists::{LIST_FILE_MAX_BYTES, ListsError, TextError, read_json as read_list_json, read_toml};
use crate::tokens::Scope;
use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::{ETAG, IF_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use hashpact_core::policy::List;
use hashpact_protocol::api::{
    DryRunRequest, DryRunResponse, ErrorBody, LIST_FILE_TYPE, ListJson, ListState, ListsResponse,
    MatchLimits, MatchRequest, Query,
};

/// All lists, in the order in which they decide; the built-in one is the last.
#[utoipa::path(get, path = "/v1/lists", tag = "lists", security(("token" = ["lookup", "audit"])),
    responses((status = 200, body = ListsResponse), (status = "4XX", body = ErrorBody)))]
pub(super) async fn all(State(api): State<Api>, headers: HeaderMap) -> Result<Json<ListsResponse>, ApiError> {
    api.allow(&headers, &[Scope::Lookup, Scope::Audit])?;
    Ok(Json(ListsResponse { lists: api.service.lists()?.all() }))
}

/// One list. The answer's ETag is what a change names in If-Match.
#[utoipa::path(get, path = "/v1/lists/{name}", tag = "lists", security(("token" = ["lookup", "audit"])),
    params(("name" = String, Path, description = "name of the list")),
    responses((status = 200, body = ListState), (status = "4XX", body = ErrorBody)))]
pub(super) async fn show(
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    api.allow(&headers, &[Scope::Lookup, Scope::Audit])?;
    let name = read_path(path)?;
    let list = api.service.lists()?.get(&name).ok_or(ListsError::NoList(name))?;
    Ok(tagged(list))
}

/// Puts a list, as JSON or TOML, in place of its former version or as a new one. It takes effect at once. Names the version
/// that it was made from, in the list or in If-Match.
#[utoipa::path(put, path = "/v1/lists/{name}", tag = "lists", security(("token" = ["admin"])),
    params(("name" = String, Path, description = "name of the list"), ("If-Match" = Option<String>, Header, description = "entity tag of the version that is changed")),
    request_body(content((ListJson = "application/json"), (String = "application/toml"))),
    responses((status = 200, body = ListState), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn put(
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let caller = api.allow(&headers, &[Scope::Admin])?;
    let by = caller.actor();
    let name = read_path(path)?;
    let whole = read_whole(&api, &caller, body, LIST_FILE_MAX_BYTES).await?;
    let list = match media_type(&headers).as_str() {
        "application/json" => read_list_json(&whole.bytes)?,
        LIST_FILE_TYPE => read_text(&whole.bytes)?,
        other => return Err(unsupported(&format!("application/json or {LIST_FILE_TYPE}"), other)),
    };
    if list.name != name {
        return Err(ListsError::OtherName { got: list.name, wanted: name }.into());
    }
    let if_match = if_match(&headers)?;
    let put = api.service.decide(move |lists| lists.put(list, if_match.as_deref(), &by)).await??;
    Ok(tagged(put))
}

/// Deletes a list; what it counted is judged by the others from now on.
#[utoipa::path(delete, path = "/v1/lists/{name}", tag = "lists", security(("token" = ["admin"])),
    params(("name" = String, Path, description = "name of the list"), ("If-Match" = Option<String>, Header, description = "entity tag of the version that is deleted")),
    responses((status = 204), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn delete(
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let by = api.allow(&headers, &[Scope::Admin])?.actor();
    let (name, if_match) = (read_path(path)?, if_match(&headers)?);
    api.service.decide(move |lists| lists.delete(&name, if_match.as_deref(), &by)).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// What would a list, or its deletion, change? Nothing is changed.
#[utoipa::path(post, path = "/v1/lists/dry-run", tag = "lists", security(("token" = ["lookup"])), request_body = DryRunRequest,
    responses((status = 200, body = DryRunResponse), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn dry_run(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<DryRunResponse>, ApiError> {
    let caller = api.allow_payloads(&headers, &[Scope::Lookup])?;
    let read = read_json(&api, &caller, &headers, body, BODY_MAX_BYTES, check_dry_run).await?;
    let ((change, queries), _body) = read;
    let _slot = api.scans.enter(caller.id)?;
    let local = api.service.lists()?.with(change)?;
    Ok(Json(api.within(api.service.dry_run(queries, local)).await?))
}

/// The list that would be put or the name of the one that would be deleted, and what to look up.
type DryRun = (Result<List, String>, Vec<Query>);

fn check_dry_run(request: DryRunRequest) -> Result<DryRun, ApiError> {
    let DryRunRequest { toml, list, delete, items } = request;
    let change = match (toml, list, delete) {
        (Some(text), None, None) => Ok(read_toml(&text)?),
        (None, Some(list), None) => {
            Ok(List::read(&list).map_err(|error| TextError::Rule { place: String::new(), error })?)
        }
        (None, None, Some(name)) => Err(name),
        _ => {
            let message = "exactly one of toml, list and delete says what would be changed";
            return Err(ApiError::bad_request("invalid_field", message));
        }
    };
    let queries = MatchRequest { items, ..MatchRequest::default() }.to_queries(&MatchLimits::default())?;
    Ok((change, queries))
}

fn read_text(bytes: &[u8]) -> Result<List, ApiError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let message = format!("the list is not UTF-8 text from byte {} on", error.valid_up_to());
        ApiError::bad_request("invalid_list", message)
    })?;
    Ok(read_toml(text)?)
}

fn if_match(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let wrong = |_| ApiError::bad_request("invalid_header", "If-Match: not the entity tag of a list");
    headers.get(IF_MATCH).map(|value| value.to_str().map(str::to_owned).map_err(wrong)).transpose()
}

fn tagged(list: ListState) -> Response {
    let etag = HeaderValue::from_str(&list.etag);
    let mut response = Json(list).into_response();
    if let Ok(etag) = etag {
        response.headers_mut().insert(ETAG, etag);
    }
    response
}

impl From<TextError> for ApiError {
    fn from(error: TextError) -> Self {
        let status = match error {
            TextError::Length { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        };
        Self::new(status, "invalid_list", error.to_string())
    }
}

impl From<ListsError> for ApiError {
    fn from(error: ListsError) -> Self {
        use StatusCode as S;
        let message = error.to_string();
        match error {
            ListsError::NoList(_) => Self::new(S::NOT_FOUND, "unknown_list", message),
            ListsError::NoNegatives(_) | ListsError::NotMuted(_) | ListsError::NoFlood(_) => {
                Self::not_found(message)
            }
            ListsError::BuiltIn => Self::new(S::CONFLICT, "built_in", message),
            ListsError::OtherName { .. } | ListsError::Name => Self::bad_request("invalid_list", message),
            ListsError::Changed { .. } | ListsError::NotThere(_) => {
                Self::new(S::PRECONDITION_FAILED, "changed", message)
            }
            ListsError::SayVersion { .. } => Self::new(S::PRECONDITION_REQUIRED, "version_needed", message),
            ListsError::TooMany(..) => Self::new(S::CONFLICT, "too_many", message),
            ListsError::NoMember(_) | ListsError::Own(_) => Self::bad_request("invalid_field", message),
            ListsError::Muted(_) => Self::new(S::CONFLICT, "already_muted", message),
            ListsError::DecidedAlready(..) => Self::new(S::CONFLICT, "already_decided", message),
            ListsError::Io(cause) => {
                tracing::error!(cause, "a decision could not be written");
                Self::new(S::INTERNAL_SERVER_ERROR, "storage", message)
            }
        }
    }
}
