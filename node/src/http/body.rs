//! Reading bodies: bounded in size, time and memory, JSON only, with errors that say where.
//!
//! A body is read before its request takes a place anywhere, so that one that trickles in keeps
//! nobody from being served. What it may hold meanwhile is its memory: the first bytes of a body are
//! free, the number of connections bounds them; more of it counts against a budget of its own.

use super::access::Caller;
use super::budget::Slot;
use super::{Api, ApiError};
use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use futures::StreamExt as _;
use serde::de::DeserializeOwned;

/// Largest body of a match or contribution: 10,000 signals with variants and labels fit.
pub(super) const BODY_MAX_BYTES: usize = 16 * 1024 * 1024;
/// Largest body of a statement about one record.
pub(super) const STATEMENT_MAX_BYTES: usize = 4 * 1024;
/// Longest body about the signals of one record: 64 of the widest type take less.
pub(super) const RECORD_MAX_BYTES: usize = 64 * 1024;
/// Memory of all bodies that are longer than [`BODY_FREE_BYTES`].
pub(super) const BODIES_MAX_BYTES: usize = 256 * 1024 * 1024;
/// What a body may hold without counting: a match of a few signals is shorter.
pub(super) const BODY_FREE_BYTES: usize = 16 * 1024;
/// Longest body that is read and checked on a thread of the runtime: about a tenth of a millisecond.
const AT_ONCE_MAX_BYTES: usize = 16 * 1024;

/// A body that was read, and the memory that it counts for.
pub(super) struct WholeBody {
    /// Its bytes.
    pub(super) bytes: Bytes,
    _memory: Option<Slot>,
}

/// The type of a body without its parameters, in lower case.
pub(super) fn media_type(headers: &HeaderMap) -> String {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase()
}

pub(super) fn unsupported(wanted: &str, got: &str) -> ApiError {
    let message = format!("the body must be {wanted}, not {got:?}; this node takes no other form");
    ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message)
}

/// Reads a JSON body and checks it; returns what `check` makes of its value, and its bytes. A long
/// body is parsed and checked on a blocking thread.
pub(super) async fn read_json<T, U>(
    api: &Api,
    caller: &Caller,
    headers: &HeaderMap,
    body: Body,
    max_bytes: usize,
    check: impl FnOnce(T) -> Result<U, ApiError> + Send + 'static,
) -> Result<(U, WholeBody), ApiError>
where
    T: DeserializeOwned,
    U: Send + 'static,
{
    let essence = media_type(headers);
    if essence != "application/json" {
        return Err(unsupported("application/json", &essence));
    }
    let whole = read_whole(api, caller, body, max_bytes).await?;
    if whole.bytes.len() <= AT_ONCE_MAX_BYTES {
        return Ok((check(parse(&whole.bytes)?)?, whole));
    }
    let bytes = whole.bytes.clone();
    let checked = tokio::task::spawn_blocking(move || check(parse(&bytes)?)).await;
    let stopping = |_| ApiError::later(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the node is stopping");
    Ok((checked.map_err(stopping)??, whole))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| ApiError::bad_request("invalid_json", error.to_string()))
}

/// Reads a body to its end, within the node's time for one request.
pub(super) async fn read_whole(
    api: &Api,
    caller: &Caller,
    body: Body,
    max_bytes: usize,
) -> Result<WholeBody, ApiError> {
    let read = collect(api, caller, body, max_bytes);
    tokio::time::timeout(api.timeout, read).await.unwrap_or_else(|_| {
        let message = format!("the body did not arrive within {} ms", api.timeout.as_millis());
        Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "too_slow", message))
    })
}

async fn collect(api: &Api, caller: &Caller, body: Body, max_bytes: usize) -> Result<WholeBody, ApiError> {
    let announced = body.size_hint().lower();
    let too_large = || {
        let message = format!("the body is longer than {max_bytes} bytes");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    };
    if announced > max_bytes as u64 {
        return Err(too_large());
    }
    let broke_off = |_| ApiError::bad_request("body_broke_off", "the body broke off before its end");
    let mut parts = body.into_data_stream();
    let Some(first) = parts.next().await.transpose().map_err(broke_off)? else {
        return Ok(WholeBody { bytes: Bytes::new(), _memory: None });
    };
    // A short body comes in one part, which is not copied.
    if first.len() as u64 == announced {
        return Ok(WholeBody { bytes: first, _memory: None });
    }
    let mut memory = api.bodies.empty(caller.id);
    let mut bytes = Vec::from(first);
    loop {
        if bytes.len() > max_bytes {
            return Err(too_large());
        }
        if bytes.len() > BODY_FREE_BYTES {
            // Twice, for the vector grows by doubling.
            memory.grow_to(bytes.len() * 2)?;
        }
        let Some(part) = parts.next().await.transpose().map_err(broke_off)? else { break };
        bytes.extend_from_slice(&part);
    }
    Ok(WholeBody { bytes: bytes.into(), _memory: Some(memory) })
}
