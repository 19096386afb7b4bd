//! Bounds on what is under way: each at its limit and one past it, and what goes on meanwhile.

use super::refusals::record;
use super::*;
use crate::http::body::{BODIES_MAX_BYTES, BODY_FREE_BYTES};
use crate::tokens::Scope;
use axum::body::Bytes;
use futures::StreamExt as _;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Waker};

const MIB: usize = 1024 * 1024;

/// A node whose submissions are never answered, so that they hold their places.
fn waiting(http: &'static str) -> Fixture {
    Fixture::start(Options { http, answering: false, ..Options::default() }, fixture::Stated::default())
}

fn is_pending<T>(future: Pin<&mut impl Future<Output = T>>) -> bool {
    future.poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

fn look_up() -> Value {
    json!({"items": [{"id": "u", "signals": [{"type": "pdq", "value": "0".repeat(64)}]}]})
}

#[tokio::test]
async fn writes_that_wait_keep_nobody_from_reading_or_looking_up() {
    let mut node = waiting("requests_max = 1");
    let mut submissions = node.submissions.take().expect("no loop");
    let body = json!({"records": [record(1)]});
    {
        let mut first = pin!(node.post("/v1/records", &body));
        assert!(is_pending(first.as_mut()), "it waits for its receipt");
        let submission = submissions.recv().await.expect("submitted");
        assert_eq!(submission.drafts.len(), 1);

        let own = node.post("/v1/records", &body).await;
        assert!(own.refused(429, "too_many_requests").contains("requests that write"));
        assert_eq!(own.header("retry-after"), Some("1"));
        let other = node.token(Scope::Contribute);
        let other = node.send(request(&Method::POST, "/v1/records", Some(other), Some(&body))).await;
        assert!(other.refused(503, "overloaded").contains("try again"));
        assert_eq!(other.header("retry-after"), Some("1"));
        for path in ["/v1/status", "/v1/records", "/v1/members", "/healthz", "/metrics"] {
            assert_eq!(node.get(path).await.status, StatusCode::OK, "{path}");
        }
        assert_eq!(node.post("/v1/match", &look_up()).await.status, StatusCode::OK);

        drop(submission);
        let answer = first.await;
        answer.refused(503, "stopping");
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    drop(submissions);
    node.post("/v1/records", &body).await.refused(503, "stopping");
}

/// A request with this body, sent as one who may do everything.
fn post(node: &Fixture, path: &str, body: Body) -> Request<Body> {
    let mut request = request(&Method::POST, path, Some(node.token(Scope::Admin)), Some(&json!({})));
    *request.body_mut() = body;
    request
}

/// So many blanks in parts of a mebibyte, and then nothing for ever.
fn unfinished(bytes: usize) -> Body {
    let part = Bytes::from(vec![b' '; MIB.min(bytes)]);
    let parts =
        futures::stream::iter((0..bytes / part.len()).map(move |_| Ok::<_, std::io::Error>(part.clone())));
    Body::from_stream(parts.chain(futures::stream::pending()))
}

#[tokio::test]
async fn a_slow_sender_holds_no_place_and_is_given_up() {
    let options = Options { http: "requests_max = 1\ntimeout_ms = 200", ..Options::default() };
    let node = Fixture::start(options, fixture::Stated::default());
    let opinions = format!("/v1/records/{}/opinions", "0".repeat(64));
    for path in ["/v1/match", "/v1/records", opinions.as_str()] {
        let mut slow = pin!(node.send(post(&node, path, unfinished(1_000))));
        assert!(is_pending(slow.as_mut()));
        let contributed = node.post("/v1/records", &json!({"records": [record(2)]})).await;
        assert_eq!(contributed.status, StatusCode::OK, "the only place to write is free");
        assert_eq!(node.post("/v1/match", &look_up()).await.status, StatusCode::OK);
        let message = slow.await.refused(408, "too_slow");
        assert!(message.contains("200 ms"), "{message}");
    }
}

#[tokio::test]
async fn unfinished_bodies_are_bounded_in_memory() {
    let node = Fixture::new();
    // A body counts twice what arrived; one token may hold three quarters.
    let share = BODIES_MAX_BYTES / 4 * 3;
    let count = share / (2 * 12 * MIB);
    let mut slow: Vec<_> =
        (0..count).map(|_| Box::pin(node.send(post(&node, "/v1/match", unfinished(12 * MIB))))).collect();
    for one in &mut slow {
        assert!(is_pending(one.as_mut()));
    }
    let answer = node.send(post(&node, "/v1/match", unfinished(BODY_FREE_BYTES + 1))).await;
    assert!(answer.refused(429, "too_many_requests").contains("bytes of long bodies"));
    assert_eq!(node.post("/v1/match", &look_up()).await.status, StatusCode::OK, "short ones do not count");
    let other = node.token(Scope::Lookup).to_owned();
    let mut rest = post(&node, "/v1/match", unfinished(12 * MIB));
    rest.headers_mut().insert("authorization", format!("Bearer {other}").parse().expect("a header value"));
    assert!(is_pending(pin!(node.send(rest)).as_mut()), "another token has room");
    drop(slow);
    let blanks = Body::from(vec![b' '; 12 * MIB]);
    node.send(post(&node, "/v1/match", blanks)).await.refused(400, "invalid_json");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_told_apart_from_one_that_is_too_long() {
    let node = Fixture::new();
    let parts = [Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("gone"))];
    let broken = Body::from_stream(futures::stream::iter(parts));
    node.send(post(&node, "/v1/match", broken)).await.refused(400, "body_broke_off");
    let unannounced = Body::from_stream(
        futures::stream::iter(0..17).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![b' '; MIB]))),
    );
    node.send(post(&node, "/v1/match", unannounced)).await.refused(413, "body_too_large");
}

#[tokio::test]
async fn bodies_are_bounded_before_they_are_read() {
    let node = Fixture::new();
    let post = |path: &str, scope, size: usize| {
        let mut request = request(&Method::POST, path, Some(node.token(scope)), Some(&json!({})));
        *request.body_mut() = Body::from(Bytes::from(vec![b' '; size]));
        request
    };
    let opinions = format!("/v1/records/{}/opinions", "0".repeat(64));
    node.send(post(&opinions, Scope::Contribute, 4 * 1024 + 1)).await.refused(413, "body_too_large");
    node.send(post(&opinions, Scope::Contribute, 4 * 1024)).await.refused(400, "invalid_json");
    let message = node
        .send(post("/v1/match", Scope::Lookup, 16 * 1024 * 1024 + 1))
        .await
        .refused(413, "body_too_large");
    assert!(message.contains("16777216"), "{message}");
    // Whoever may not call is told so before a byte of the body is read.
    node.send(post("/v1/match", Scope::Contribute, 16 * 1024 * 1024 + 1)).await.refused(403, "forbidden");
}

#[tokio::test]
async fn a_request_that_takes_too_long_ends() {
    let mut node = waiting("timeout_ms = 100");
    let _held = node.submissions.take();
    let answer = node.post("/v1/records", &json!({"records": [record(1)]})).await;
    let message = answer.refused(504, "timeout");
    assert!(message.contains("100 ms") && message.contains("Idempotency-Key"), "{message}");
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn a_full_queue_and_a_stopped_loop_are_told_apart() {
    let mut node = waiting("requests_max = 400");
    let submissions = node.submissions.take().expect("no loop");
    let body = json!({"records": [record(1)]});
    let mut context = Context::from_waker(Waker::noop());
    let mut waiting: Vec<_> = (0..crate::service::SUBMISSIONS_QUEUED_MAX)
        .map(|_| Box::pin(node.post("/v1/records", &body)))
        .collect();
    for one in &mut waiting {
        assert!(one.as_mut().poll(&mut context).is_pending());
    }
    let answer = node.post("/v1/records", &body).await;
    answer.refused(429, "busy");
    assert_eq!(answer.header("retry-after"), Some("1"));
    drop(waiting);
    drop(submissions);
    node.post("/v1/records", &body).await.refused(503, "stopping");
}
