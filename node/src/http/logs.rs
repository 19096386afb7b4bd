//! `/logs/<member>/<n>/…`: C2SP tlog-tiles, read-only.
//!
//! Full tiles and full bundles never change and may be cached for good; a checkpoint is always asked
//! for anew. Partial tiles are served as long as they are inside the newest checkpoint.

use super::budget::Slot;
use super::request::read_path;
use super::{Api, ApiError};
use crate::tokens::Scope;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use hashpact_protocol::api::ErrorBody;
use hashpact_protocol::merkle::{TileId, parse_entries_path};

/// Whoever reads public logs without a token: all of them share one share of the budget.
const ANYBODY: [u8; 32] = [0; 32];
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// The newest checkpoint of a log: a signed note.
#[utoipa::path(get, path = "/logs/{member}/{n}/checkpoint", tag = "logs", security((), ("token" = ["audit"])),
    params(("member" = String, Path, description = "member id"), ("n" = u32, Path, description = "number of the member's log")),
    responses((status = 200, body = String, content_type = "text/plain"), (status = "4XX", body = ErrorBody)))]
pub(super) async fn checkpoint(
    State(api): State<Api>,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (member, n) = read_path(path)?;
    let (origin, _slot) = origin(&api, &headers, &member, &n)?;
    let note = api.service.checkpoint(&origin);
    let note =
        note.ok_or_else(|| ApiError::not_found(format!("no checkpoint of {origin} has been seen yet")))?;
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, "no-cache")], note).into_response())
}

/// A hash tile (`L/N[.p/W]`) or a bundle of entries (`entries/N[.p/W]`).
#[utoipa::path(get, path = "/logs/{member}/{n}/tile/{path}", tag = "logs", security((), ("token" = ["audit"])),
    params(("member" = String, Path, description = "member id"), ("n" = u32, Path, description = "number of the member's log"),
        ("path" = String, Path, description = "tile path of C2SP tlog-tiles")),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"), (status = "4XX", body = ErrorBody)))]
pub(super) async fn tile(
    State(api): State<Api>,
    path: Result<Path<(String, String, String)>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (member, n, path) = read_path(path)?;
    let (origin, _slot) = origin(&api, &headers, &member, &n)?;
    let (bytes, full) = match path.strip_prefix("entries/") {
        Some(rest) => {
            let (index, width) = parse_entries_path(rest).map_err(|error| bad_path(&error.to_string()))?;
            (api.within(api.service.entry_bundle(&origin, index, width)).await?, width == 256)
        }
        None => {
            let id = TileId::parse_path(&path).map_err(|error| bad_path(&error.to_string()))?;
            (api.within(api.service.tile(&origin, id)).await?, id.width == 256)
        }
    };
    let bytes = bytes.ok_or_else(|| {
        ApiError::not_found(format!("no such tile of {origin} below its newest checkpoint"))
    })?;
    let cache = if full { IMMUTABLE } else { "public, max-age=60" };
    Ok(([(CONTENT_TYPE, "application/octet-stream"), (CACHE_CONTROL, cache)], bytes).into_response())
}

/// The log that is asked for, and a place to read it.
pub(super) fn origin(
    api: &Api,
    headers: &HeaderMap,
    member: &str,
    n: &str,
) -> Result<(String, Slot), ApiError> {
    let caller = if api.public_logs { ANYBODY } else { api.allow(headers, &[Scope::Audit])?.id };
    let number = n.parse().ok().filter(|number: &u32| number.to_string() == n);
    let origin = number
        .and_then(|number| api.service.origin_of(member, number))
        .ok_or_else(|| ApiError::not_found(format!("the roster lists no log {member}/{n}")))?;
    Ok((origin, api.reads.enter(caller)?))
}

fn bad_path(message: &str) -> ApiError {
    ApiError::bad_request("invalid_tile_path", message)
}
