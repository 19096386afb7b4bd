//! The feed of changes over HTTP: lines, a wait, events, and a cursor that is too old.

use super::*;
use crate::tokens::Scope;
use axum::body::BodyDataStream;
use futures::StreamExt as _;
use std::time::Duration;

const VALUE: &str = "5a";

fn record(value: &str) -> Value {
    json!({ "records": [{ "kind": "content", "review": "dual",
        "signals": [{ "type": "pdq", "value": value.repeat(32), "quality": 90 }] }] })
}

impl Fixture {
    async fn contribute(&self, value: &str) -> String {
        let receipts = self.post("/v1/records", &record(value)).await.ok();
        receipts["receipts"][0]["record"].as_str().expect("an id").to_owned()
    }

    /// The changes behind a cursor once there are so many.
    async fn changes(&self, after: &str, count: usize) -> Vec<Value> {
        let mut all = Vec::new();
        let mut after = after.to_owned();
        while all.len() < count {
            let answer = self.get(&format!("/v1/changes?after={after}&wait_s=30")).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
            assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
            answer.header("hashpact-cursor").expect("a cursor").clone_into(&mut after);
            let text = answer.text();
            assert!(!text.is_empty(), "nothing came in time");
            all.extend(text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line")));
        }
        assert_eq!(all.len(), count);
        assert_eq!(all[count - 1]["cursor"], json!(after));
        all
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_told_of_with_what_it_states_until_it_is_sealed() {
    let node = Fixture::new();
    let first = node.contribute(VALUE).await;
    let second = node.contribute("a5").await;
    let told = node.changes("oldest", 2).await;
    let change = &told[0];
    assert_eq!((&change["kind"], &change["record"]), (&json!("record"), &json!(first)));
    assert_eq!((&change["member"], &change["index"]), (&json!("north"), &json!(0)));
    assert_eq!(change["log"], json!(fixture::origin("north")));
    assert_eq!(change["signals"], json!([{ "type": "pdq", "value": VALUE.repeat(32), "quality": 90 }]));
    assert_eq!(change["status"], json!({ "before": null, "after": "active" }));
    let outcome = json!({ "before": null, "list_before": null, "after": "review", "list_after": "built-in" });
    assert_eq!(change["outcome"], outcome);
    assert_eq!(
        change["lists"],
        json!([{ "list": "built-in", "version": 1, "before": null, "after": "review" }])
    );
    let after = told[1]["cursor"].as_str().expect("a cursor");
    node.post(&format!("/v1/records/{first}/retraction"), &json!({ "reason": "error" })).await.ok();
    node.post(&format!("/v1/records/{second}/erasure"), &json!({ "reason": "error" })).await.ok();
    let later = node.changes(after, 2).await;
    assert_eq!(later[0]["status"], json!({ "before": "active", "after": "retracted" }));
    assert!(later[0]["reason"].as_str().is_some_and(|why| why.ends_with(": error")), "{}", later[0]);
    assert_eq!(
        (&later[0]["outcome"]["before"], &later[0]["outcome"]["after"]),
        (&json!("review"), &json!(null))
    );
    assert_eq!(later[1]["status"]["after"], "sealed");
    assert_eq!(later[1]["outcome"]["before"], "review");
    assert!(later[1].get("signals").is_none(), "{}", later[1]);
    // And so for what was told of it before.
    let again = node.changes("oldest", 4).await;
    assert!(again[0].get("signals").is_some() && again[1].get("signals").is_none());
    assert!(again[0].get("reason").is_none(), "it has moved on since");
    let status = node.get("/v1/status").await.ok();
    assert_eq!((&status["changes"]["cursor"], &status["changes"]["kept"]), (&later[1]["cursor"], &json!(4)));
    assert!(node.get("/metrics").await.text().contains("hashpact_changes_kept 4"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_ends_with_a_change_and_not_before() {
    let node = Fixture::new();
    let snapshot = node.get("/v1/changes/snapshot").await.ok();
    let cursor = snapshot["cursor"].as_str().expect("a cursor");
    let empty = node.get(&format!("/v1/changes?after={cursor}")).await;
    assert_eq!((empty.status, empty.text().as_str()), (StatusCode::OK, ""));
    assert_eq!(empty.header("hashpact-cursor"), Some(cursor));
    let waiting = node.changes(cursor, 1);
    let stating = async {
        tokio::task::yield_now().await;
        node.contribute(VALUE).await
    };
    let (told, record) = tokio::join!(waiting, stating);
    assert_eq!(told[0]["record"], json!(record));
    assert_eq!(snapshot["complete"], json!(true));
    assert_eq!(
        node.get(snapshot["records"].as_str().expect("a path")).await.ok()["records"][0]["record"],
        json!(record)
    );
}

fn events(cursor: Option<&str>, last: Option<&str>, token: &str) -> axum::http::Request<Body> {
    let path = cursor.map_or("/v1/changes".to_owned(), |cursor| format!("/v1/changes?after={cursor}"));
    let mut request = request(&Method::GET, &path, Some(token), None);
    request.headers_mut().insert("accept", "text/event-stream".parse().expect("valid"));
    if let Some(last) = last {
        request.headers_mut().insert("last-event-id", last.parse().expect("valid"));
    }
    request
}

/// Reads a stream until it holds this.
async fn read_until(stream: &mut BodyDataStream, wanted: &str) -> String {
    let mut text = String::new();
    while !text.contains(wanted) {
        let piece = tokio::time::timeout(Duration::from_secs(30), stream.next()).await.expect("in time");
        text.push_str(std::str::from_utf8(&piece.expect("it goes on").expect("whole")).expect("text"));
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_as_they_happen_and_go_on_behind_the_last_one() {
    let node = Fixture::new();
    let token = node.token(Scope::Lookup).to_owned();
    let response = node.open(events(None, None, &token)).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut stream = response.into_body().into_data_stream();
    assert!(
        read_until(&mut stream, "\n\n").await.contains("id: "),
        "where it begins, before anything changes"
    );
    let first = node.contribute(VALUE).await;
    let event = read_until(&mut stream, "data: ").await;
    assert!(event.starts_with("event: record\nid: ") && event.contains(&first), "{event}");
    let id = event.lines().find_map(|line| line.strip_prefix("id: ")).expect("an id").to_owned();
    drop(stream);
    let second = node.contribute("a5").await;
    let response = node.open(events(Some("now"), Some(&id), &token)).await;
    let mut stream = response.into_body().into_data_stream();
    let event = read_until(&mut stream, "data: ").await;
    assert!(event.contains(&second) && !event.contains(&first), "{event}");
    // The stream ends when the node stops.
    node.feed.as_ref().expect("a feed").finish(true);
    let end = tokio::time::timeout(Duration::from_secs(30), async {
        while let Some(piece) = stream.next().await {
            piece.expect("whole");
        }
    });
    end.await.expect("it ends");
}

#[tokio::test]
async fn a_cursor_that_is_gone_leads_to_a_snapshot() {
    let node = Fixture::new();
    let answer = node.get("/v1/changes?after=0000000000000001-5").await;
    assert_eq!(answer.header("link"), Some("</v1/changes/snapshot>; rel=\"snapshot\""));
    assert!(answer.refused(410, "cursor_gone").contains("GET /v1/changes/snapshot"));
    let events = events(Some("0000000000000001-5"), None, node.token(Scope::Audit));
    node.send(events).await.refused(410, "cursor_gone");
    for (query, said) in [
        ("after=5", "after: "),
        ("after=0000000000000001-05", "after: "),
        ("limit=0", "limit: 0 is not in 1..=1000"),
        ("limit=1001", "limit: 1001"),
        ("wait_s=61", "wait_s: 61 is not in 0..=60"),
    ] {
        let message = node.get(&format!("/v1/changes?{query}")).await.refused(400, "invalid_field");
        assert!(message.starts_with(said), "{message}");
    }
    node.get("/v1/changes?before=now").await.refused(400, "invalid_query");
    let loading = Fixture::start(Options { loaded: false, ..Options::default() }, fixture::Stated::default());
    loading.get("/v1/changes").await.refused(503, "loading");
    loading.get("/v1/changes/snapshot").await.refused(503, "loading");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_mutes_are_told_and_queries_never_are() {
    let node = Fixture::new();
    let record = node.contribute(VALUE).await;
    let canary = "c3".repeat(32);
    for value in [canary.clone(), VALUE.repeat(32)] {
        let asked = json!({ "items": [{ "id": "canary-77", "signals": [{ "type": "pdq", "value": value, "quality": 90 }] }] });
        node.post("/v1/match", &asked).await.ok();
    }
    let list = "name = \"mine\"\noutcome = \"block\"\nreview_min = \"dual\"\n";
    let put = axum::http::Request::builder()
        .method(Method::PUT)
        .uri("/v1/lists/mine")
        .header("authorization", format!("Bearer {}", node.token(Scope::Admin)))
        .header("content-type", "application/toml");
    node.send(put.body(Body::from(list)).expect("a request")).await.ok();
    let told = node.changes("oldest", 2).await;
    assert_eq!(told[1]["record"], json!(record));
    assert_eq!(told[1]["cause"], json!({ "what": "list", "name": "mine", "version": 1 }));
    assert_eq!(told[1]["status"], json!({ "before": "active", "after": "active" }));
    assert_eq!(
        (&told[1]["outcome"]["before"], &told[1]["outcome"]["after"]),
        (&json!("review"), &json!("block"))
    );
    let text = node.get("/v1/changes?after=oldest").await.text();
    assert!(!text.contains(&canary) && !text.contains("canary-77"));
}
