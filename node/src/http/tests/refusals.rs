//! Every error has one shape, a stable code, and says what to do.

use super::*;
use crate::tokens::Scope;

pub(super) fn record(value: u8) -> Value {
    json!({"kind": "content", "signals": [{"type": "pdq", "value": hex(&[value; 32]), "quality": 90}]})
}

#[tokio::test]
async fn each_malformed_request_is_told_what_is_wrong_with_it() {
    let node = Fixture::new();
    let item = |signals: Value| json!({"items": [{"id": "u1", "signals": signals}]});
    let pdq = |value: &str| json!({"type": "pdq", "value": value});
    let zeros = "0".repeat(64);
    let cases = [
        ("/v1/match", json!([]), "invalid_json", "invalid"),
        ("/v1/match", json!({"items": []}), "invalid_field", "items: must not be empty"),
        ("/v1/match", json!({"items": [], "file": "x"}), "invalid_json", "unknown field `file`"),
        ("/v1/match", item(json!([])), "invalid_field", "items[0].signals: must not be empty"),
        (
            "/v1/match",
            item(json!([pdq(&zeros[1..])])),
            "invalid_field",
            "expected 64 lower-case hex digits, got 63",
        ),
        (
            "/v1/match",
            item(json!([pdq(&zeros.replace('0', "A"))])),
            "invalid_field",
            "items[0].signals[0].value",
        ),
        (
            "/v1/match",
            item(json!([{"type": "phash", "value": zeros}])),
            "invalid_field",
            "expected one of: pdq",
        ),
        ("/v1/records", json!({"records": []}), "invalid_field", "records: must not be empty"),
        (
            "/v1/records",
            json!({"records": [record(1), {"kind": "content", "signals": []}]}),
            "invalid_field",
            "records[1]",
        ),
        ("/v1/records", json!({"records": [{"kind": "picture", "signals": []}]}), "invalid_field", "content"),
        ("/v1/records?ack=all", json!({"records": [record(1)]}), "invalid_ack", "replicated:K"),
        ("/v1/records?ack=replicated:0", json!({"records": [record(1)]}), "invalid_ack", "1..="),
        (
            "/v1/records?ack=replicated:3",
            json!({"records": [record(1)]}),
            "too_few_members",
            "2 other active members",
        ),
        ("/v1/records?wait=1", json!({"records": [record(1)]}), "invalid_query", "unknown field `wait`"),
        (
            "/v1/records/xyz/opinions",
            json!({"opinion": "agree"}),
            "invalid_record_id",
            "64 lower-case hex digits",
        ),
        ("/v1/records/%FF/opinions", json!({"opinion": "agree"}), "invalid_path", "UTF-8"),
        ("/v1/records/%FF/retraction", json!({"reason": "error"}), "invalid_path", "UTF-8"),
    ];
    for (path, body, code, expected) in cases {
        let message = node.post(path, &body).await.refused(400, code);
        assert!(message.contains(expected), "{path}: {message}");
        assert!(!message.contains(&zeros[..32]), "a message never repeats a signal: {message}");
    }
    let distances = [json!({"pdq": 65}), json!({"md5": 1}), json!({"phash": 1})];
    for max_distance in distances {
        let body = json!({"items": [{"id": "u", "signals": [pdq(&zeros)]}], "max_distance": max_distance});
        node.post("/v1/match", &body).await.refused(400, "invalid_field");
    }
    let lists = |lists: Value| json!({"items": [{"id": "u", "signals": [pdq(&zeros)]}], "lists": lists});
    node.post("/v1/match", &lists(json!([]))).await.refused(400, "invalid_field");
    let message = node.post("/v1/match", &lists(json!(["mine"]))).await.refused(400, "unknown_list");
    assert!(message.contains("\"mine\""), "{message}");
    for query in
        ["limit=0", "limit=1001", "kind=opinion", "cursor=x", "signal_type=x", "review=x", "status=x"]
    {
        node.get(&format!("/v1/records?{query}")).await.refused(400, "invalid_field");
    }
    node.get("/v1/records?limit=many").await.refused(400, "invalid_query");
    node.get("/v1/records/%FF").await.refused(400, "invalid_path");
    node.get("/v1/records/%FF/proof").await.refused(400, "invalid_path");
    node.get("/logs/%FF/1/checkpoint").await.refused(400, "invalid_path");
    node.get("/logs/north/1/tile/%FF").await.refused(400, "invalid_path");
    assert_eq!(node.lookup.records_count(), 0, "nothing was appended");
}

#[tokio::test]
async fn idempotency_keys_are_bounded_plain_text() {
    let node = Fixture::new();
    let body = json!({"records": [record(1)]});
    for key in [String::new(), "a b".to_owned(), "k".repeat(129), "\u{e9}".to_owned()] {
        let mut request =
            request(&Method::POST, "/v1/records", Some(node.token(Scope::Contribute)), Some(&body));
        let value = axum::http::HeaderValue::from_bytes(key.as_bytes()).expect("a header value");
        request.headers_mut().insert("idempotency-key", value);
        node.send(request).await.refused(400, "invalid_idempotency_key");
    }
}

#[tokio::test]
async fn unknown_places_and_methods_and_bodies_have_the_shape_too() {
    let node = Fixture::new();
    let zeros = "0".repeat(64);
    for path in ["/", "/v2/match", "/v1/records/", "/logs/north", "/v1/match/x"] {
        let message = node.get(path).await.refused(404, "not_found");
        assert!(message.contains(path), "{message}");
    }
    for path in [format!("/v1/records/{zeros}"), format!("/v1/records/{zeros}/proof")] {
        node.get(&path).await.refused(404, "not_found");
    }
    let opinion = json!({"opinion": "agree"});
    node.post(&format!("/v1/records/{zeros}/opinions"), &opinion).await.refused(404, "unknown_record");
    let retraction = json!({"reason": "error"});
    node.post(&format!("/v1/records/{zeros}/retraction"), &retraction).await.refused(404, "unknown_record");

    for (path, allowed) in [("/v1/match", "POST"), ("/v1/status", "GET"), ("/metrics", "GET")] {
        let answer = node.send(request(&Method::DELETE, path, None, None)).await;
        assert!(answer.refused(405, "method_not_allowed").contains("DELETE"));
        assert!(
            answer.header("allow").is_some_and(|methods| methods.contains(allowed)),
            "{path}: {:?}",
            answer.headers
        );
    }

    for media in ["image/png", "multipart/form-data; boundary=x", "text/plain", ""] {
        let mut request =
            request(&Method::POST, "/v1/match", Some(node.token(Scope::Lookup)), Some(&json!({})));
        request.headers_mut().insert("content-type", media.parse().expect("a header value"));
        let message = node.send(request).await.refused(415, "unsupported_media_type");
        assert!(message.contains("application/json"), "{message}");
    }
}

#[tokio::test]
async fn tokens_are_asked_for_and_never_repeated() {
    let node = Fixture::new();
    let secret = node.token(Scope::Lookup).to_owned();
    let with = |value: &str| {
        let mut request = request(&Method::GET, "/v1/status", None, None);
        request.headers_mut().insert("authorization", value.parse().expect("a header value"));
        request
    };
    assert!(
        node.send(request(&Method::GET, "/v1/status", None, None))
            .await
            .refused(401, "unauthorized")
            .contains("Bearer")
    );
    for value in [
        secret.clone(),
        format!("Basic {secret}"),
        "Bearer".to_owned(),
        "Bearer hpt_00".to_owned(),
        format!("Bearer {secret}0"),
    ] {
        let answer = node.send(with(&value)).await;
        let message = answer.refused(401, "unauthorized");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        assert!(!message.contains(&secret), "{message}");
    }
    for value in [format!("Bearer {secret}"), format!("bearer  {secret} ")] {
        assert_eq!(node.send(with(&value)).await.status, StatusCode::OK, "the scheme has no case");
    }
}
