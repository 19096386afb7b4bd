//! `/logs/<member>/<n>/…` and `/logs/roster/…`: C2SP tlog-tiles, read-only.
//!
//! Full tiles and full bundles never change and may be cached for good; a checkpoint is always asked
//! for anew. Partial tiles are served as long as they are inside the newest checkpoint. What needs a
//! token may be kept by its reader alone: a shared cache would hand it on to whoever has none. Nothing is
//! ever pruned.

use super::access::Caller;
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
use hashpact_protocol::merkle::{TILE_WIDTH, TileId, parse_entries_path};

/// A full tile or bundle never changes. A partial one does not either, but is of use for a moment only.
const FULL_CACHING: &str = "max-age=31536000, immutable";
const PARTIAL_CACHING: &str = "max-age=60";
const TEXT: &str = "text/plain; charset=utf-8";

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
    Ok(checkpoint_answer(note))
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
    let tile = TilePath::parse(&path)?;
    let bytes = match tile {
        TilePath::Entries { index, width } => {
            api.within(api.service.entry_bundle(&origin, index, width)).await?
        }
        TilePath::Hashes(id) => api.within(api.service.tile(&origin, id)).await?,
    };
    tile_answer(&api, &origin, tile, bytes)
}

/// The C2SP tlog-policy of a member's logs: their keys, their witnesses, and how many of these are a quorum.
#[utoipa::path(get, path = "/logs/{member}/policy", tag = "logs", security((), ("token" = ["audit"])),
    params(("member" = String, Path, description = "member id")),
    responses((status = 200, body = String, content_type = "text/plain"), (status = "4XX", body = ErrorBody)))]
pub(super) async fn policy(
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let member = read_path(path)?;
    let _slot = reader(&api, &headers)?;
    let policy = api.service.policy(&member);
    let policy =
        policy.ok_or_else(|| ApiError::not_found(format!("the roster lists no log of {member:?}")))?;
    Ok(checkpoint_answer(policy.into_bytes()))
}

/// The newest checkpoint of the roster log. Governance keys sign it, each under its own name.
#[utoipa::path(get, path = "/logs/roster/checkpoint", tag = "logs", security((), ("token" = ["audit"])),
    responses((status = 200, body = String, content_type = "text/plain"), (status = "4XX", body = ErrorBody)))]
pub(super) async fn roster_checkpoint(
    State(api): State<Api>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let _slot = reader(&api, &headers)?;
    Ok(checkpoint_answer(api.service.roster_log()?.checkpoint()))
}

/// A hash tile or a bundle of entries of the roster log: its entries are the rosters' texts.
#[utoipa::path(get, path = "/logs/roster/tile/{path}", tag = "logs", security((), ("token" = ["audit"])),
    params(("path" = String, Path, description = "tile path of C2SP tlog-tiles")),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"), (status = "4XX", body = ErrorBody)))]
pub(super) async fn roster_tile(
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let path = read_path(path)?;
    let _slot = reader(&api, &headers)?;
    let (tile, log) = (TilePath::parse(&path)?, api.service.roster_log()?);
    let bytes = match tile {
        TilePath::Entries { index, width } => log.entry_bundle(index, width),
        TilePath::Hashes(id) => log.tile(id),
    };
    tile_answer(&api, "the roster log", tile, bytes)
}

/// What a tile path names.
#[derive(Clone, Copy)]
enum TilePath {
    Hashes(TileId),
    Entries { index: u64, width: u16 },
}

impl TilePath {
    fn parse(path: &str) -> Result<Self, ApiError> {
        let parsed = match path.strip_prefix("entries/") {
            Some(rest) => parse_entries_path(rest).map(|(index, width)| Self::Entries { index, width }),
            None => TileId::parse_path(path).map(Self::Hashes),
        };
        parsed.map_err(|error| ApiError::bad_request("invalid_tile_path", error.to_string()))
    }

    fn is_full(self) -> bool {
        let (Self::Hashes(TileId { width, .. }) | Self::Entries { width, .. }) = self;
        width == TILE_WIDTH
    }
}

/// Text that must not be cached.
pub(super) fn checkpoint_answer(text: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, TEXT), (CACHE_CONTROL, "no-cache")], text).into_response()
}

fn tile_answer(api: &Api, log: &str, tile: TilePath, bytes: Option<Vec<u8>>) -> Result<Response, ApiError> {
    let bytes = bytes
        .ok_or_else(|| ApiError::not_found(format!("no such tile of {log} below its newest checkpoint")))?;
    let whose = if api.public_logs { "public" } else { "private" };
    let caching = format!("{whose}, {}", if tile.is_full() { FULL_CACHING } else { PARTIAL_CACHING });
    let octets = "application/octet-stream".to_owned();
    Ok(([(CONTENT_TYPE, octets), (CACHE_CONTROL, caching)], bytes).into_response())
}

/// Whoever reads logs, by token unless they are public; and a place to read them.
fn reader(api: &Api, headers: &HeaderMap) -> Result<Slot, ApiError> {
    api.reads.enter(api.log_reader(headers)?.id)
}

/// The log that is asked for, and a place to read it.
pub(super) fn origin(
    api: &Api,
    headers: &HeaderMap,
    member: &str,
    n: &str,
) -> Result<(String, Slot), ApiError> {
    let slot = reader(api, headers)?;
    let number = n.parse().ok().filter(|number: &u32| number.to_string() == n);
    let origin = number
        .and_then(|number| api.service.origin_of(member, number))
        .ok_or_else(|| ApiError::not_found(format!("the roster lists no log {member}/{n}")))?;
    Ok((origin, slot))
}

impl Api {
    /// Who reads logs, or asks this node to cosign one: without a token if logs are public, as C2SP has it.
    pub(super) fn log_reader(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        if self.public_logs { Ok(Caller::anybody()) } else { self.allow(headers, &[Scope::Audit]) }
    }
}
