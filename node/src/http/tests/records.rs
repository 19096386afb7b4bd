//! `/v1/records`: receipts, retries, listings, opinions, retractions and proofs.

use super::*;
use crate::tokens::Scope;
use fixture::{Stated, log_key, origin};
use hashpact_protocol::proof::{TlogProof, verify_record_proof};
use hashpact_protocol::record::{Content, Record, Signal, SignalType};

fn batch(values: std::ops::Range<u8>) -> Value {
    let record = |value: u8| {
        json!({"kind": "content", "signals": [{"type": "pdq", "value": hex(&[value; 32]), "quality": 90}],
        "labels": {"origin": "generated"}, "review": "dual", "source": {"organisation": "hotline", "list": "a-list"}})
    };
    json!({"records": values.map(record).collect::<Vec<_>>()})
}

fn theirs() -> (Fixture, String) {
    let mut stated = Stated::default();
    let content =
        Content::new(vec![Signal::new(SignalType::Md5, &[9; 16], None).expect("valid")]).expect("valid");
    let id = stated.push("south", &Record::Content(content), None).to_hex();
    (Fixture::start(Options::default(), stated), id)
}

#[tokio::test]
async fn a_contribution_is_receipted_shown_listed_and_proven() {
    let node = Fixture::new();
    let receipts = node.post("/v1/records", &batch(0..3)).await.ok();
    let receipts = receipts["receipts"].as_array().expect("receipts").clone();
    assert_eq!(receipts.len(), 3);
    for (index, receipt) in receipts.iter().enumerate() {
        assert_eq!(receipt["index"], index);
        assert_eq!((&receipt["log"], &receipt["tree_size"]), (&json!(origin("north")), &json!(3)));
        assert_eq!(receipt["ack"], "local");
        let id = receipt["record"].as_str().expect("an id");
        let shown = node.get(&format!("/v1/records/{id}")).await.ok();
        assert_eq!(
            (&shown["record"], &shown["status"], &shown["member"]),
            (&json!(id), &json!("active"), &json!("north"))
        );
        assert_eq!(
            (&shown["labels"]["origin"], &shown["source"]["list"]),
            (&json!("generated"), &json!("a-list"))
        );

        let answer = node.get(&format!("/v1/records/{id}/proof")).await;
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        let proof = TlogProof::parse(&answer.body).expect("a tlog-proof");
        assert_eq!((proof.index, proof.extra.is_some()), (index as u64, true));
        let proven = verify_record_proof(&answer.body, Some(&origin("north")), &log_key("north").public())
            .expect("verifies");
        assert_eq!((proven.leaf_hash.to_hex().as_str(), proven.checkpoint.size), (id, 3));
        assert!(
            verify_record_proof(&answer.body, Some(&origin("north")), &log_key("south").public()).is_err()
        );
    }
    let page = node.get("/v1/records?limit=2").await.ok();
    let cursor = page["next"].as_str().expect("there is more");
    let rest = node.get(&format!("/v1/records?limit=2&cursor={cursor}")).await.ok();
    let ids = |page: &Value| -> Vec<Value> {
        page["records"].as_array().expect("records").iter().map(|record| record["record"].clone()).collect()
    };
    let all: Vec<Value> = receipts.iter().map(|receipt| receipt["record"].clone()).collect();
    assert_eq!([ids(&page), ids(&rest)].concat(), all);
    assert!(rest.get("next").is_none_or(Value::is_null));
    for (filter, count) in [
        ("member=north", 3),
        ("member=south", 0),
        ("signal_type=md5", 0),
        ("review=dual", 3),
        ("review=hotline_confirmed", 0),
        ("status=retracted", 0),
    ] {
        assert_eq!(ids(&node.get(&format!("/v1/records?{filter}")).await.ok()).len(), count, "{filter}");
    }
}

async fn keyed(node: &Fixture, scope: Scope, key: &str, body: &Value) -> Answer {
    let mut request = request(&Method::POST, "/v1/records", Some(node.token(scope)), Some(body));
    request.headers_mut().insert("idempotency-key", key.parse().expect("a header value"));
    node.send(request).await
}

#[tokio::test]
async fn a_retry_with_its_key_states_nothing_twice() {
    let node = Fixture::new();
    let first = keyed(&node, Scope::Contribute, "import-1", &batch(0..2)).await.ok();
    let again = keyed(&node, Scope::Contribute, "import-1", &batch(0..2)).await.ok();
    assert_eq!(first, again);
    assert_eq!(node.lookup.records_count(), 2);
    let reused = keyed(&node, Scope::Contribute, "import-1", &batch(0..1)).await;
    assert!(reused.refused(409, "idempotency_key_reused").contains("different request"));
    let other_caller = keyed(&node, Scope::Admin, "import-1", &batch(0..2)).await.ok();
    assert_ne!(first, other_caller, "a key belongs to its caller");
    assert_eq!(node.lookup.records_count(), 4);
}

#[tokio::test]
async fn a_call_is_stated_whole_or_not_at_all() {
    let node = Fixture::new();
    let mut body = batch(0..3);
    body["records"][2]["signals"][0]["value"] = json!("00");
    let message = node.post("/v1/records", &body).await.refused(400, "invalid_field");
    assert!(message.starts_with("records[2].signals[0].value"), "{message}");
    assert_eq!(node.lookup.records_count(), 0);
    assert_eq!(node.get("/v1/status").await.ok()["logs"][0]["size"], 0);
}

#[tokio::test]
async fn others_judge_and_only_the_author_retracts() {
    let (node, theirs) = theirs();
    let ours = node.post("/v1/records", &batch(1..2)).await.ok();
    let ours = ours["receipts"][0]["record"].as_str().expect("an id").to_owned();
    let opinion = |value: &str| json!({"opinion": value, "reason": "not_cg"});
    let retraction = json!({"reason": "error"});

    node.post(&format!("/v1/records/{ours}/opinions"), &opinion("agree")).await.refused(409, "own_record");
    let message =
        node.post(&format!("/v1/records/{theirs}/retraction"), &retraction).await.refused(403, "not_author");
    assert!(message.contains("south"), "{message}");
    node.post(&format!("/v1/records/{theirs}/opinions"), &opinion("certainly"))
        .await
        .refused(400, "invalid_field");
    node.post(&format!("/v1/records/{ours}/retraction"), &json!({"reason": "whim"}))
        .await
        .refused(400, "invalid_field");

    let receipt = node.post(&format!("/v1/records/{theirs}/opinions"), &opinion("disagree")).await.ok();
    let shown = node.get(&format!("/v1/records/{theirs}")).await.ok();
    assert_eq!((&shown["status"], &shown["opinions"]["disagree"]), (&json!("disputed"), &json!(1)));
    assert_eq!(
        (&shown["statements"][0]["member"], &shown["statements"][0]["reason"]),
        (&json!("north"), &json!("not_cg"))
    );
    node.post(&format!("/v1/records/{theirs}/opinions"), &opinion("agree")).await.ok();
    let shown = node.get(&format!("/v1/records/{theirs}")).await.ok();
    assert_eq!(
        (&shown["status"], &shown["opinions"]["agree"]),
        (&json!("active"), &json!(1)),
        "the latest counts"
    );

    node.post(&format!("/v1/records/{ours}/retraction"), &retraction).await.ok();
    let shown = node.get(&format!("/v1/records/{ours}")).await.ok();
    assert_eq!(shown["status"], "retracted");
    assert!(
        shown["reason"].as_str().is_some_and(|reason| reason.contains("north") && reason.contains("error")),
        "{shown}"
    );
    node.post(&format!("/v1/records/{ours}/retraction"), &retraction).await.refused(409, "already_retracted");

    // An opinion is an entry with a proof, and not a record.
    let id = receipt["record"].as_str().expect("an id");
    assert_eq!(node.get(&format!("/v1/records/{id}/proof")).await.status, StatusCode::OK);
    node.get(&format!("/v1/records/{id}")).await.refused(404, "not_found");
}
