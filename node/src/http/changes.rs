//! `/v1/changes`: what changed, as lines or as server-sent events, from any place that is still kept.

use super::budget::Slot;
use super::request::read_query;
use super::{Api, ApiError};
use crate::changes::ChangeCursor;
use crate::service::{ChangesPage, Service, ServiceError};
use crate::tokens::Scope;
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, LINK};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use hashpact_protocol::api::{
    BULK_LINES_TYPE, CHANGES_CURSOR_HEADER, CHANGES_GONE, CHANGES_NOW, CHANGES_PAGE_DEFAULT,
    CHANGES_PAGE_MAX, CHANGES_SNAPSHOT, CHANGES_WAIT_MAX_S, ChangeJson, ChangesQuery, ChangesSnapshot,
    ErrorBody,
};
use std::time::{Duration, Instant};

/// Media type of server-sent events.
const EVENTS_TYPE: &str = "text/event-stream";
/// How long an event stream may be silent: proxies close what looks dead.
const BEAT: Duration = Duration::from_secs(15);
/// How long an event stream lasts: a token that was taken back or has expired must not read on. Readers come back by themselves,
/// behind the last event.
const STREAM_TIME: Duration = Duration::from_secs(3_600);
/// Changes that an event stream sends at once.
const EVENTS_TOGETHER_MAX: usize = 200;

/// What changed behind a cursor: one change a line, or server-sent events if the caller accepts those. Each change says where
/// to go on behind it, and so does the header `Hashpact-Cursor`. A cursor from which one cannot go on is 410 `cursor_gone`, with a link to a snapshot.
#[utoipa::path(get, path = "/v1/changes", tag = "changes", security(("token" = ["lookup", "audit"])),
    params(ChangesQuery, ("Accept" = Option<String>, Header, description = "text/event-stream: a stream of events that does not end"),
        ("Last-Event-ID" = Option<String>, Header, description = "of an event stream: go on behind this cursor")),
    responses((status = 200, content((ChangeJson = "application/x-ndjson"), (String = "text/event-stream"))),
        (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn follow(
    State(api): State<Api>,
    query: Result<Query<ChangesQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let caller = api.allow_payloads(&headers, &[Scope::Lookup, Scope::Audit])?;
    let ChangesQuery { after, limit, wait_s } = read_query(query)?;
    let count = within("limit", limit.unwrap_or(CHANGES_PAGE_DEFAULT), 1, CHANGES_PAGE_MAX)?;
    let wait_s = within("wait_s", wait_s.unwrap_or(0), 0, CHANGES_WAIT_MAX_S)?;
    let accepts_events = |value: &HeaderValue| value.to_str().is_ok_and(|text| text.contains(EVENTS_TYPE));
    let is_stream = headers.get(ACCEPT).is_some_and(accepts_events);
    let last = headers.get("last-event-id").filter(|_| is_stream).and_then(|value| value.to_str().ok());
    let after = last.map(str::to_owned).or(after);
    let after = api.service.changes_place(after.as_deref().unwrap_or(CHANGES_NOW))?;
    let slot = api.followers.enter(caller.id)?;
    if is_stream {
        // What is wrong with the cursor is told with a status.
        return match api.service.changes(after, 1).await {
            Ok(_) => Ok(events(api.service.clone(), after, slot)),
            Err(error) => Ok(refused(error)),
        };
    }
    let wait = Duration::from_secs(u64::from(wait_s));
    match api.service.changes_within(after, count as usize, wait).await {
        Ok(page) => Ok(lines(&page)),
        Err(error) => Ok(refused(error)),
    }
}

/// Where to begin anew: read the records that stand, and follow the changes behind the cursor from then on.
#[utoipa::path(get, path = "/v1/changes/snapshot", tag = "changes", security(("token" = ["lookup", "audit"])),
    responses((status = 200, body = ChangesSnapshot), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn snapshot(
    State(api): State<Api>,
    headers: HeaderMap,
) -> Result<Json<ChangesSnapshot>, ApiError> {
    api.allow_payloads(&headers, &[Scope::Lookup, Scope::Audit])?;
    Ok(Json(api.service.changes_snapshot()?))
}

fn within(name: &str, given: u32, min: u32, max: u32) -> Result<u32, ApiError> {
    if (min..=max).contains(&given) {
        return Ok(given);
    }
    Err(ApiError::bad_request("invalid_field", format!("{name}: {given} is not in {min}..={max}")))
}

/// An error, and where to take a snapshot if one is needed.
fn refused(error: ServiceError) -> Response {
    let error = ApiError::from(error);
    let is_gone = error.status == StatusCode::GONE;
    let mut response = error.into_response();
    if is_gone {
        let link = HeaderValue::from_static("</v1/changes/snapshot>; rel=\"snapshot\"");
        response.headers_mut().insert(LINK, link);
    }
    response
}

fn line(change: &ChangeJson) -> Vec<u8> {
    serde_json::to_vec(change).expect("our own shapes have string keys and finite numbers")
}

fn lines(page: &ChangesPage) -> Response {
    let mut body = Vec::new();
    for change in &page.changes {
        body.extend(line(change));
        body.push(b'\n');
    }
    let mut response = ([(CONTENT_TYPE, BULK_LINES_TYPE), (CACHE_CONTROL, "no-store")], body).into_response();
    if let Ok(cursor) = HeaderValue::from_str(&page.cursor.encode()) {
        response.headers_mut().insert(HeaderName::from_static(CHANGES_CURSOR_HEADER), cursor);
    }
    response
}

/// A stream of events on its way.
struct Following {
    service: Service,
    after: ChangeCursor,
    until: Instant,
    has_begun: bool,
    has_ended: bool,
    _slot: Slot,
}

fn events(service: Service, after: ChangeCursor, slot: Slot) -> Response {
    let following = Following {
        service,
        after,
        until: Instant::now() + STREAM_TIME,
        has_begun: false,
        has_ended: false,
        _slot: slot,
    };
    let stream = futures::stream::unfold(following, |mut following| async move {
        let piece = following.next().await?;
        Some((Ok::<Bytes, std::io::Error>(piece.into()), following))
    });
    let headers = [(CONTENT_TYPE, EVENTS_TYPE), (CACHE_CONTROL, "no-store")];
    (headers, Body::from_stream(stream)).into_response()
}

impl Following {
    /// The next piece of the stream; none when the node stops, one cannot go on, or its time is over.
    async fn next(&mut self) -> Option<Vec<u8>> {
        if self.has_ended || Instant::now() >= self.until || self.service.feed_progress().ok()?.borrow().ended
        {
            return None;
        }
        if !std::mem::replace(&mut self.has_begun, true) {
            // Headers leave with the first bytes; and the caller knows where it is before anything changes.
            return Some(format!("retry: 2000\nid: {}\n\n", self.after.encode()).into_bytes());
        }
        match self.service.changes_within(self.after, EVENTS_TOGETHER_MAX, BEAT).await {
            Ok(page) if page.changes.is_empty() => Some(b": nothing changed\n\n".to_vec()),
            Ok(page) => {
                self.after = page.cursor;
                Some(page.changes.iter().flat_map(event).collect())
            }
            Err(error) => {
                self.has_ended = true;
                let error = ApiError::from(error);
                let shown = serde_json::json!({ "code": error.code, "message": error.message, "snapshot": CHANGES_SNAPSHOT });
                let name = if error.status == StatusCode::GONE { CHANGES_GONE } else { "error" };
                Some(format!("event: {name}\ndata: {shown}\n\n").into_bytes())
            }
        }
    }
}

fn event(change: &ChangeJson) -> Vec<u8> {
    let mut event = format!("event: {}\nid: {}\ndata: ", change.kind, change.cursor).into_bytes();
    event.extend(line(change));
    event.extend(b"\n\n");
    event
}
