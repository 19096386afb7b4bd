//! Around every request: an id, a bound on how many at once, a bound in time, counters.

use super::{Api, ApiError};
use crate::metrics::EndpointLabel;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{MatchedPath, Path, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hashpact_protocol::api::{ErrorBody, ErrorDetail};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static NUMBER: AtomicU64 = AtomicU64::new(1);

/// The outermost layer: gives the request its id, counts the answer, and gives errors their body.
pub(super) async fn identified(State(api): State<Api>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let id = format!("{:x}-{number:x}", std::process::id());
    let endpoint = request.extensions().get::<MatchedPath>().map_or("none", |path| path.as_str()).to_owned();
    let method = request.method().clone();
    let mut response = next.run(request).await;
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        tracing::debug!(request.id = id, endpoint, code = error.code, "request refused");
        let detail =
            ErrorDetail { code: error.code.to_owned(), message: error.message, request_id: id.clone() };
        let body = (response.status(), Json(ErrorBody { error: detail })).into_response();
        let headers = std::mem::take(response.headers_mut());
        response = body;
        for (name, value) in &headers {
            if !response.headers().contains_key(name) {
                response.headers_mut().insert(name, value.clone());
            }
        }
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID.clone(), value);
    }
    let status = response.status().as_u16();
    let duration = started.elapsed();
    let metrics = api.service.metrics();
    metrics.http_seconds.observe(duration.as_secs_f64());
    metrics.http_requests.get_or_create(&EndpointLabel { endpoint: endpoint.clone(), status }).inc();
    tracing::debug!(request.id = id, %method, endpoint, status, duration_ms = duration.as_millis(), "answered");
    response
}

/// Around work: at most so many at once, each at most so long.
pub(super) async fn bounded(State(api): State<Api>, request: Request, next: Next) -> Response {
    let Ok(_slot) = api.slots.clone().try_acquire_owned() else {
        let message = "too many requests are being worked on; try again in a second";
        return ApiError::later(StatusCode::SERVICE_UNAVAILABLE, "overloaded", message).into_response();
    };
    match tokio::time::timeout(api.timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let message = format!(
                "not done within {} ms; what was being stated may still be appended, so retry with the same Idempotency-Key",
                api.timeout.as_millis()
            );
            ApiError::later(StatusCode::GATEWAY_TIMEOUT, "timeout", message).into_response()
        }
    }
}

/// The parameters of a path; one that is not text names nothing that exists here.
pub(super) fn read_path<T>(path: Result<Path<T>, PathRejection>) -> Result<T, ApiError> {
    path.map(|Path(path)| path).map_err(|error| ApiError::bad_request("invalid_path", error.body_text()))
}

pub(super) async fn no_such_path(uri: Uri) -> ApiError {
    ApiError::not_found(format!("there is nothing at {}", uri.path()))
}

pub(super) async fn no_such_method(method: Method, uri: Uri) -> ApiError {
    let message = format!("{method} is not allowed at {}", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}
