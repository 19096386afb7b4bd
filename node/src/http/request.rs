//! Around every request: an id, counters; around its work: a bound in time.

use super::access::CallerAddress;
use super::{Api, ApiError};
use crate::metrics::EndpointLabel;
use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{MatchedPath, Path, Query, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hashpact_protocol::api::{ErrorBody, ErrorDetail};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static NUMBER: AtomicU64 = AtomicU64::new(1);
/// Asked once: it is a call into the system each time.
static PROCESS: LazyLock<u32> = LazyLock::new(std::process::id);

/// Number of a request: unique in this process, and with the process's id in its log.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestId(u64);

impl RequestId {
    /// As it is shown and logged.
    pub(super) fn text(self) -> String {
        format!("{:x}-{:x}", *PROCESS, self.0)
    }
}

/// The outermost layer: gives the request its id, counts the answer, and gives errors their body.
pub(super) async fn identified(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = RequestId(NUMBER.fetch_add(1, Ordering::Relaxed));
    request.extensions_mut().insert(id);
    let endpoint = request.extensions().get::<MatchedPath>().map_or("none", |path| endpoint(path.as_str()));
    let from = request.extensions().get::<CallerAddress>().copied();
    let mut response = next.run(request).await;
    let id = id.text();
    if let Some(mut error) = response.extensions_mut().remove::<ApiError>() {
        if error.is_unknown_token {
            error = api.slow_down(error, from).await;
            response = error.clone().into_response();
        }
        tracing::debug!(request.id = id, endpoint, code = error.code, "request refused");
        response = with_body(response, error, &id);
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID.clone(), value);
    }
    let status = response.status().as_u16();
    let duration = started.elapsed();
    let metrics = api.service.metrics();
    metrics.http_seconds.observe(duration.as_secs_f64());
    metrics.http_requests.get_or_create(&EndpointLabel { endpoint, status }).inc();
    tracing::debug!(request.id = id, endpoint, status, duration_ms = duration.as_millis(), "answered");
    response
}

/// The answer of an error: its one shape, and the headers that it came with.
fn with_body(mut response: Response, error: ApiError, id: &str) -> Response {
    let detail =
        ErrorDetail { code: error.code.to_owned(), message: error.message, request_id: id.to_owned() };
    let mut with_body = (response.status(), Json(ErrorBody { error: detail })).into_response();
    for (name, value) in &std::mem::take(response.headers_mut()) {
        if !with_body.headers().contains_key(name) {
            with_body.headers_mut().insert(name, value.clone());
        }
    }
    with_body
}

/// A route's pattern as a name that lives as long as the process; counting must not allocate.
fn endpoint(pattern: &str) -> &'static str {
    super::ENDPOINTS.iter().find(|known| **known == pattern).copied().unwrap_or("other")
}

impl Api {
    /// Does work at most as long as one request may take.
    pub(super) async fn within<T, E: Into<ApiError>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, ApiError> {
        match tokio::time::timeout(self.timeout, work).await {
            Ok(done) => done.map_err(Into::into),
            Err(_) => {
                let message = format!(
                    "not done within {} ms; what was being stated may still be appended, so retry with the same Idempotency-Key",
                    self.timeout.as_millis()
                );
                Err(ApiError::later(StatusCode::GATEWAY_TIMEOUT, "timeout", message))
            }
        }
    }
}

/// The parameters of a path; one that is not text names nothing that exists here.
pub(super) fn read_path<T>(path: Result<Path<T>, PathRejection>) -> Result<T, ApiError> {
    path.map(|Path(path)| path).map_err(|error| ApiError::bad_request("invalid_path", error.body_text()))
}

/// The parameters after the question mark.
pub(super) fn read_query<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, ApiError> {
    query.map(|Query(query)| query).map_err(|error| ApiError::bad_request("invalid_query", error.body_text()))
}

pub(super) async fn no_such_path(uri: Uri) -> ApiError {
    ApiError::not_found(format!("there is nothing at {}", uri.path()))
}

pub(super) async fn no_such_method(method: Method, uri: Uri) -> ApiError {
    let message = format!("{method} is not allowed at {}", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}
