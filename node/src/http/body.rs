//! Reading bodies: bounded, JSON only, with errors that say where.

use super::ApiError;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

/// Largest body of a match or contribution: 10,000 signals with variants and labels fit.
pub(super) const BODY_MAX_BYTES: usize = 16 * 1024 * 1024;
/// Largest body of a statement about one record.
pub(super) const STATEMENT_MAX_BYTES: usize = 4 * 1024;

/// Reads a JSON body; returns its value and its bytes.
pub(super) async fn read_json<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
    max_bytes: usize,
) -> Result<(T, Bytes), ApiError> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = content_type.split(';').next().unwrap_or("").trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        let message =
            format!("the body must be application/json, not {essence:?}; this node takes no other form");
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message));
    }
    let bytes = to_bytes(body, max_bytes).await.map_err(|_| {
        let message = format!("the body is longer than {max_bytes} bytes, or it broke off");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    })?;
    let value = serde_json::from_slice(&bytes)
        .map_err(|error| ApiError::bad_request("invalid_json", error.to_string()))?;
    Ok((value, bytes))
}
