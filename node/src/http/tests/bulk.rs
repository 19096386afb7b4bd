//! `POST /v1/match/bulk`: the same answers as one by one, in parts of any size, and every way to end.

use super::matching::{CROWD, SHARED, TWO_VALUES, World, away, world};
use super::*;
use crate::http::bulk::answer::WAITING_MAX_BYTES;
use crate::tokens::Scope;
use axum::body::Bytes;
use axum::response::Response;
use fixture::Stated;
use futures::{Stream, StreamExt as _};
use hashpact_core::health::{Completeness, Health, RosterHealth};
use hashpact_protocol::api::frames::{
    BrokenFrame, BrokenOff, EndFrame, Frame, FrameEvent, FrameHeader, FrameReader, Incomplete, MatchFrame,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const VALUES: &str = "application/octet-stream";
const LINES: &str = "application/x-ndjson";

fn bulk(node: &Fixture, scope: Scope, query: &str, content_type: &str, body: Body) -> Request<Body> {
    Request::post(format!("/v1/match/bulk{query}"))
        .header("authorization", format!("Bearer {}", node.token(scope)))
        .header("content-type", content_type)
        .body(body)
        .expect("a valid request")
}

/// A body without an announced length, in these parts.
fn parts(parts: Vec<Vec<u8>>) -> Body {
    stream(futures::stream::iter(parts))
}

fn stream(parts: impl Stream<Item = Vec<u8>> + Send + 'static) -> Body {
    Body::from_stream(parts.map(|part| Ok::<_, std::io::Error>(Bytes::from(part))))
}

/// Parts, and then nothing for ever.
fn never_ending(parts: Vec<Vec<u8>>) -> Body {
    stream(futures::stream::iter(parts).chain(futures::stream::pending()))
}

pub(super) struct Frames {
    header: FrameHeader,
    matches: Vec<MatchFrame>,
    pub(super) last: Frame,
}

pub(super) fn frames(bytes: &[u8]) -> Frames {
    let (mut header, mut matches, mut last) = (None, Vec::new(), None);
    let mut reader = FrameReader::new();
    let read = reader.read(bytes, |event| match event {
        FrameEvent::Header(found) => header = Some(found),
        FrameEvent::Frame(Frame::Match(found)) => matches.push(found),
        FrameEvent::Frame(end) => last = Some(end),
    });
    read.and_then(|()| reader.finish()).expect("a whole answer");
    Frames { header: header.expect("a header"), matches, last: last.expect("an end") }
}

async fn ask(node: &Fixture, query: &str, body: Body) -> Frames {
    let answer = node.send(bulk(node, Scope::Lookup, query, VALUES, body)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/vnd.hashpact.matches"));
    frames(&answer.body)
}

/// Values of which some match one record, several or very many.
fn mixed(count: usize) -> Vec<[u8; 32]> {
    let value = |nth: usize| match nth % 7 {
        0 => away(CROWD, 3),
        2 => away(TWO_VALUES, nth % 40),
        5 => SHARED,
        _ => hashpact_protocol::digest::sha256(&[b"miss", &nth.to_be_bytes()]),
    };
    (0..count).map(value).collect()
}

fn item(nth: usize, value: &[u8; 32]) -> Value {
    json!({"id": format!("u{nth}"), "signals": [{"type": "pdq", "value": hex(value), "quality": 90}]})
}

/// What `/v1/match` says about the values, item by item.
async fn one_by_one(node: &Fixture, values: &[[u8; 32]], radius: u32) -> Vec<Value> {
    let items: Vec<Value> = values.iter().enumerate().map(|(nth, value)| item(nth, value)).collect();
    let body = json!({"items": items, "max_distance": {"pdq": radius}});
    let answer = node.post("/v1/match", &body).await.ok();
    answer["results"].as_array().expect("results").clone()
}

#[tokio::test]
async fn both_forms_say_what_single_look_ups_say() {
    let World { node, .. } = world();
    let values = mixed(300);
    for radius in [0, 31, 64] {
        let expected = one_by_one(&node, &values, radius).await;
        let query = format!("?pdq_distance={radius}&lists=built-in");
        let answer = ask(&node, &query, Body::from(values.concat())).await;
        assert_eq!((answer.header.pdq_distance, answer.header.roster), (radius as u16, 1));
        let mut matches = answer.matches.iter();
        for (nth, result) in expected.iter().enumerate() {
            for shown in result["matches"].as_array().expect("matches") {
                let found = matches.next().expect("as many as one by one");
                assert_eq!((found.item as usize, json!(found.total)), (nth, result["total"].clone()));
                assert_eq!(json!(found.record.to_hex()), shown["record"]);
                assert_eq!(json!(found.distance), shown["distance"]);
                assert_eq!((found.review, &shown["review"]), (2, &json!("dual")));
                assert_eq!(result["outcome"], json!("review"));
            }
        }
        assert_eq!(matches.next(), None);
        let matched = expected.iter().filter(|result| result["total"] != 0).count() as u32;
        let end = EndFrame { items: 300, matched, incomplete: None, same_view: true };
        assert_eq!(answer.last, Frame::End(end));

        let lines: String =
            values.iter().enumerate().map(|(nth, value)| format!("{}\n", item(nth, value))).collect();
        let answer = node.send(bulk(&node, Scope::Lookup, &query, LINES, Body::from(lines))).await;
        assert_eq!(answer.header("content-type"), Some(LINES));
        let mut lines: Vec<Value> =
            answer.text().lines().map(|line| serde_json::from_str(line).expect(line)).collect();
        let end = lines.pop().expect("an end")["end"].clone();
        assert_eq!((&end["complete"], &end["items"]), (&json!(true), &json!(300)));
        assert_eq!((&end["matched"], &end["as_of"]["roster"]), (&json!(matched), &json!(1)));
        assert_eq!(lines, expected);
    }
}

#[tokio::test]
async fn parts_of_any_size_make_the_same_answer() {
    let World { node, .. } = world();
    let bytes = mixed(700).concat();
    let whole = ask(&node, "", Body::from(bytes.clone())).await;
    for size in [1, 31, 33, 2_000, 22_400] {
        let answer = ask(&node, "", parts(bytes.chunks(size).map(<[u8]>::to_vec).collect())).await;
        assert_eq!((&answer.matches, answer.last), (&whole.matches, whole.last), "parts of {size}");
    }
    let nothing = EndFrame { items: 0, matched: 0, incomplete: None, same_view: true };
    assert_eq!(ask(&node, "", Body::empty()).await.last, Frame::End(nothing));
}

#[tokio::test]
async fn an_incomplete_node_says_so_in_both_forms() {
    let World { node, .. } = world();
    let lagging = Completeness::Lagging { logs: vec!["x/east/1".to_owned()] };
    node.lookup.set_health(Health {
        completeness: lagging,
        append_blocked: None,
        from_backup: false,
        peers: Vec::new(),
        roster: RosterHealth::default(),
        replica: None,
    });
    let answer = ask(&node, "", Body::from(vec![0; 64])).await;
    let incomplete = Some(Incomplete::Lagging);
    assert_eq!(answer.last, Frame::End(EndFrame { items: 2, matched: 0, incomplete, same_view: true }));
    let body = Body::from(format!("\n{}\n\n", item(1, &SHARED)));
    let answer = node.send(bulk(&node, Scope::Lookup, "", LINES, body)).await.text();
    let end: Value = serde_json::from_str(answer.lines().last().expect("an end")).expect("JSON");
    assert_eq!((&end["end"]["complete"], &end["end"]["items"]), (&json!(false), &json!(1)));
    assert!(end["end"]["reason"].as_str().expect("a reason").contains("x/east/1"));
}

#[tokio::test]
async fn what_is_wrong_before_an_answer_has_a_status() {
    let World { node, .. } = world();
    let send = async |query: &str, content_type: &str, body: Body| {
        node.send(bulk(&node, Scope::Lookup, query, content_type, body)).await
    };
    let message = send("", VALUES, Body::from(vec![0; 95])).await.refused(400, "truncated_value");
    assert!(message.contains("after 2 values") && message.contains("31 bytes"), "{message}");
    let unannounced = parts(vec![vec![0; 64], vec![0; 1]]);
    let message = send("", VALUES, unannounced).await.refused(400, "truncated_value");
    assert!(message.contains("after 2 values") && message.contains("1 bytes"), "{message}");
    let broken = futures::stream::iter([Ok(Bytes::from(vec![0; 32])), Err(std::io::Error::other("gone"))]);
    send("", VALUES, Body::from_stream(broken)).await.refused(400, "body_broke_off");
    for (query, code) in [
        ("?pdq_distance=65", "invalid_field"),
        ("?pdq_distance=-1", "invalid_query"),
        ("?distance=1", "invalid_query"),
        ("?lists=", "invalid_field"),
        ("?lists=built-in,mine", "unknown_list"),
    ] {
        send(query, VALUES, Body::from(vec![0; 32])).await.refused(400, code);
    }
    for media in ["application/json", "", "application/octet", "multipart/form-data; boundary=x"] {
        let message = send("", media, Body::from("{}")).await.refused(415, "unsupported_media_type");
        assert!(message.contains(VALUES) && message.contains(LINES), "{message}");
    }
    let zeros = "0".repeat(64);
    for (line, code, says) in [
        ("[]", "invalid_json", "line 2, column 2: "),
        (r#"{"id":"u","signals":[]}"#, "invalid_field", "line 2: signals: must not be empty"),
        (r#"{"id":"u","signals":[],"file":"x"}"#, "invalid_json", "unknown field `file`"),
    ] {
        // Only blank lines before it, so nothing was answered.
        let message = send("", LINES, Body::from(format!("\n{line}\n"))).await.refused(400, code);
        assert!(message.contains(says) && !message.contains(&zeros), "{message}");
    }
    let long = vec![b' '; 64 * 1024 + 1];
    let message = send("", LINES, Body::from(long)).await.refused(413, "line_too_long");
    assert!(message.contains("line 1") && message.contains("65536"), "{message}");
    let fits = format!("{}{}", " ".repeat(64 * 1024 - item(1, &SHARED).to_string().len()), item(1, &SHARED));
    assert_eq!(send("", LINES, Body::from(fits)).await.status, StatusCode::OK, "the longest line");
}

#[tokio::test]
async fn what_is_wrong_later_ends_the_answer() {
    let World { node, .. } = world();
    // More than the first part holds, so that the answer has begun.
    let mut bytes = vec![0; 32 * 1_000];
    bytes.extend_from_slice(&[0; 9]);
    let answer = ask(&node, "", parts(bytes.chunks(3_200).map(<[u8]>::to_vec).collect())).await;
    let broken = BrokenFrame { why: BrokenOff::TruncatedValue, items: 1_000 };
    assert_eq!(answer.last, Frame::Broken(broken));

    let values = futures::stream::iter((0..30).map(|_| Ok(Bytes::from(vec![0; 3_200]))));
    let broken = values.chain(futures::stream::iter([Err(std::io::Error::other("gone"))]));
    let answer = ask(&node, "", Body::from_stream(broken)).await;
    let broken = BrokenFrame { why: BrokenOff::BodyBrokeOff, items: 3_000 };
    assert_eq!(answer.last, Frame::Broken(broken), "all that came is answered");

    let mut lines: String = (0..100).map(|nth| format!("{}\n", item(nth, &SHARED))).collect();
    lines.push_str("{\"id\":\"\"}\n");
    let answer = node.send(bulk(&node, Scope::Lookup, "", LINES, Body::from(lines))).await;
    let id = answer.header("x-request-id").expect("an id").to_owned();
    let lines: Vec<Value> =
        answer.text().lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert_eq!(lines.len(), 101);
    let error = &lines[100]["error"];
    assert_eq!((&error["code"], &error["request_id"]), (&json!("invalid_json"), &json!(id)));
    assert!(error["message"].as_str().expect("words").contains("line 101"), "{error}");
}

#[tokio::test]
async fn a_body_that_stands_still_is_given_up() {
    let options = Options { http: "timeout_ms = 100", ..Options::default() };
    let node = Fixture::start(options, Stated::default());
    let send = async |body| node.send(bulk(&node, Scope::Lookup, "", VALUES, body)).await;
    let message = send(never_ending(vec![])).await.refused(408, "too_slow");
    assert!(message.contains("100 ms"), "{message}");
    send(never_ending(vec![vec![0; 31]])).await.refused(408, "too_slow");
    let answer = frames(&send(never_ending(vec![vec![0; 64], vec![0; 1]])).await.body);
    assert_eq!(answer.last, Frame::Broken(BrokenFrame { why: BrokenOff::TooSlow, items: 2 }));
    // A trickle is no better: bytes come, but too few.
    let trickle = futures::stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        Some((vec![0; 32], ()))
    });
    let answer = frames(&send(stream(trickle)).await.body);
    assert!(matches!(answer.last, Frame::Broken(BrokenFrame { why: BrokenOff::TooSlow, .. })));
    // What is slow but goes on is served.
    let steady = futures::stream::unfold(0, |sent| async move {
        tokio::time::sleep(Duration::from_millis(20)).await;
        (sent < 10).then(|| (vec![0; 32 * 1_024], sent + 1))
    });
    let answer = frames(&send(stream(steady)).await.body);
    assert!(matches!(answer.last, Frame::End(EndFrame { items: 10_240, .. })), "{:?}", answer.last);
}

#[tokio::test]
async fn each_bulk_place_is_taken_and_given_back() {
    let options = Options { http: "bulk_max = 1", ..Options::default() };
    let node = Fixture::start(options, Stated::default());
    let open = |scope| node.open(bulk(&node, scope, "", VALUES, never_ending(vec![vec![0; 64]])));
    let first = open(Scope::Lookup).await;
    assert_eq!(first.status(), StatusCode::OK);
    let body = || Body::from(vec![0; 32]);
    let own = node.send(bulk(&node, Scope::Lookup, "", VALUES, body())).await;
    assert!(own.refused(429, "too_many_requests").contains("bulk look-ups"));
    assert_eq!(own.header("retry-after"), Some("1"));
    let other = node.send(bulk(&node, Scope::Admin, "", VALUES, body())).await;
    other.refused(503, "overloaded");
    assert_eq!(other.header("retry-after"), Some("1"));
    let look_up = json!({"items": [item(1, &SHARED)]});
    assert_eq!(node.post("/v1/match", &look_up).await.status, StatusCode::OK, "look-ups go on");
    // The caller goes away in the middle of its body.
    drop(first);
    let mut tries = 0;
    while node.send(bulk(&node, Scope::Admin, "", VALUES, body())).await.status != StatusCode::OK {
        tries += 1;
        assert!(tries < 500, "the place is not given back");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Values that match a hundred records each, and how many of them were read.
fn crowd(count: usize) -> (Body, Arc<AtomicUsize>) {
    let read = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&read);
    let values = futures::stream::iter(0..count).map(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        CROWD.to_vec()
    });
    (stream(values), read)
}

async fn settled(read: &AtomicUsize) -> usize {
    loop {
        let before = read.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(300)).await;
        if read.load(Ordering::SeqCst) == before && before > 0 {
            return before;
        }
    }
}

async fn read_all(response: Response) -> Frames {
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a whole answer");
    frames(&bytes)
}

#[tokio::test]
async fn a_caller_may_send_all_first_up_to_a_bound_and_never_fills_the_memory() {
    let World { node, .. } = world();
    let each = 100 * 48;
    let fits = WAITING_MAX_BYTES / each - 10;
    let (body, read) = crowd(fits);
    let response = node.open(bulk(&node, Scope::Lookup, "", VALUES, body)).await;
    assert_eq!(settled(&read).await, fits, "all of it is read although nothing of the answer is");
    let answer = read_all(response).await;
    assert_eq!(answer.matches.len(), fits * 100);

    // Far more than may wait: 200,000 values would be an answer of a gigabyte.
    let (body, read) = crowd(200_000);
    let response = node.open(bulk(&node, Scope::Lookup, "", VALUES, body)).await;
    let held = settled(&read).await;
    assert!(held < 150_000, "{held} values were read without anybody reading the answer");
    drop(response);
}
