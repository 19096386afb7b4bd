//! Supersessions, rulings, suspensions and incidents over HTTP.

use super::*;
use fixture::Stated;
use hashpact_protocol::record::{Record, Suspension, SuspensionReason, Vote};
use hashpact_protocol::roster::{LogPlace, MemberId};

fn md5(value: u8) -> Value {
    json!({"type": "md5", "value": hex(&[value; 16])})
}

fn pdq(value: u8) -> Value {
    json!({"type": "pdq", "value": hex(&[value; 32])})
}

/// States a record of these signals; its id.
async fn state(node: &Fixture, signals: Value) -> String {
    let body =
        json!({"records": [{"kind": "content", "signals": signals, "labels": {"origin": "generated"}}]});
    let receipts = node.post("/v1/records", &body).await.ok();
    receipts["receipts"][0]["record"].as_str().expect("an id").to_owned()
}

/// Ids of the records that match a signal.
async fn found(node: &Fixture, signal: Value) -> Vec<String> {
    let answer = node.post("/v1/match", &json!({"items": [{"id": "u", "signals": [signal]}]})).await.ok();
    let matches = answer["results"][0]["matches"].as_array().expect("matches").clone();
    matches.iter().map(|found| found["record"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn a_record_is_superseded_by_one_entry_and_for_good() {
    let node = Fixture::new();
    let old = state(&node, json!([md5(1)])).await;
    let body = json!({"kind": "content", "signals": [md5(1)], "labels": {"origin": "photographic"}, "handling": {"hash_set": "cg-csam"}});
    let path = format!("/v1/records/{old}/supersede");
    let new = node.post(&path, &body).await.ok()["record"].as_str().expect("an id").to_owned();
    let shown = node.get(&format!("/v1/records/{old}")).await.ok();
    assert_eq!(shown["status"], "superseded");
    let reason = shown["reason"].as_str().expect("a reason");
    assert!(reason.starts_with("superseded by north on 20") && reason.ends_with(&new), "{reason}");
    let shown = node.get(&format!("/v1/records/{new}")).await.ok();
    assert_eq!((&shown["kind"], &shown["status"]), (&json!("supersede"), &json!("active")));
    assert_eq!((&shown["supersedes"], shown.get("subject")), (&json!(old), None));
    let near = node.get(&format!("/v1/records/{new}/near")).await.ok();
    let group = &near["results"][0]["group"];
    assert_eq!(
        (&group["records"], &group["why"], &group["look"]),
        (&json!(1), &json!("unreviewed"), &json!(true))
    );
    assert_eq!(group["members"], json!(["north"]));
    assert_eq!(shown["handling"]["hash_set"], "cg-csam");
    assert_eq!(found(&node, md5(1)).await, std::slice::from_ref(&new));
    let page = node.get("/v1/records?status=superseded").await.ok();
    assert_eq!(page["records"][0]["record"], json!(old));
    let message = node.post(&path, &body).await.refused(409, "already_superseded");
    assert!(message.contains(&new), "{message}");
    node.post(&format!("/v1/records/{}/supersede", "0".repeat(64)), &body)
        .await
        .refused(404, "unknown_record");
}

#[tokio::test]
async fn what_the_panel_clears_matches_no_more_until_it_takes_that_back() {
    let node = Fixture::new();
    let only = state(&node, json!([md5(1)])).await;
    let both = state(&node, json!([md5(1), pdq(0x35)])).await;
    let rule =
        |verdict: &str, signals: Value| json!({"verdict": verdict, "signals": signals, "reason": "appeal"});
    node.post("/v1/rulings", &rule("benign", json!([md5(1)]))).await.ok();
    assert!(found(&node, md5(1)).await.is_empty());
    assert_eq!(found(&node, pdq(0x35)).await, std::slice::from_ref(&both), "its other signal is not cleared");
    let shown = node.get(&format!("/v1/records/{only}")).await.ok();
    assert_eq!(shown["status"], "ruled");
    let reason = shown["reason"].as_str().expect("a reason");
    assert!(reason.starts_with("ruled benign by 1 of the review panel on 20"), "{reason}");
    assert_eq!(node.get(&format!("/v1/records/{both}")).await.ok()["status"], "active");
    // A record that comes after the ruling is bound by it.
    let late = state(&node, json!([md5(1)])).await;
    assert!(found(&node, md5(1)).await.is_empty());
    assert_eq!(node.get(&format!("/v1/records/{late}")).await.ok()["status"], "ruled");
    let ruling = &node.get("/v1/rulings").await.ok()["rulings"][0];
    assert_eq!((&ruling["verdict"], &ruling["panellists"]), (&json!("benign"), &json!(["north"])));
    assert_eq!(
        (&ruling["type"], &ruling["reason"], &ruling["needed"]),
        (&json!("md5"), &json!("appeal"), &json!(1))
    );
    node.post("/v1/rulings", &rule("withdrawn", json!([md5(1)]))).await.ok();
    assert_eq!(found(&node, md5(1)).await.len(), 3);
    assert_eq!(node.get("/v1/rulings").await.ok()["rulings"], json!([]));
    let cases = [
        (rule("guilty", json!([md5(1)])), "verdict: unknown value \"guilty\""),
        (rule("benign", json!([])), "signals: must not be empty"),
        (rule("benign", json!([md5(1), md5(1)])), "signals[1]: the same one stands there twice"),
        (
            json!({"verdict": "benign", "signals": [md5(1)], "record": "x"}),
            "record: expected 64 lower-case hex digits",
        ),
    ];
    for (body, expected) in cases {
        let message = node.post("/v1/rulings", &body).await.refused(400, "invalid_field");
        assert!(message.contains(expected), "{message}");
    }
}

#[tokio::test]
async fn more_than_half_of_the_members_suspend_one() {
    let member = |id: &str| MemberId::parse(id).expect("valid");
    let place = LogPlace { n: 1, index: 0 };
    let vote = Suspension::new(member("east"), 1, Vote::Suspend(place), SuspensionReason::Flood);
    let mut stated = Stated::default();
    let signal =
        hashpact_protocol::record::Signal::new(hashpact_protocol::record::SignalType::Md5, &[9; 16], None);
    let content = hashpact_protocol::record::Content::new(vec![signal.expect("valid")]).expect("valid");
    let theirs = stated.push("east", &Record::Content(content), None).to_hex();
    stated.push("south", &Record::Suspension(vote), None);
    let node = Fixture::start(Options::default(), stated);
    assert_eq!(node.get("/v1/suspensions").await.ok()["suspensions"], json!([]));
    assert_eq!(found(&node, md5(9)).await, std::slice::from_ref(&theirs));
    let from = json!({"log": 1, "index": 0});
    let body = json!({"member": "east", "vote": "suspend", "reason": "stolen_key", "from": from});
    node.post("/v1/suspensions", &body).await.ok();
    assert!(found(&node, md5(9)).await.is_empty());
    let shown = node.get(&format!("/v1/records/{theirs}")).await.ok();
    assert_eq!(shown["status"], "suspended");
    let reason = shown["reason"].as_str().expect("a reason");
    assert!(reason.starts_with("its author is suspended by 2 of 3 members until 20"), "{reason}");
    let held = &node.get("/v1/suspensions").await.ok()["suspensions"][0];
    assert_eq!((&held["member"], &held["voters"]), (&json!("east"), &json!(["north", "south"])));
    assert_eq!((&held["from"], &held["roster"], &held["withdrawn"]), (&from, &json!(1), &json!(false)));
    let refused = [
        (json!({"member": "north", "vote": "suspend"}), 409, "own_suspension"),
        (json!({"member": "west", "vote": "suspend"}), 404, "unknown_member"),
        (json!({"member": "east", "vote": "maybe"}), 400, "invalid_field"),
        (json!({"member": "East", "vote": "suspend"}), 400, "invalid_field"),
        (json!({"member": "east", "vote": "withdraw", "from": from}), 400, "invalid_field"),
    ];
    let before = node.get("/v1/logs").await.ok();
    for (body, status, code) in refused {
        node.post("/v1/suspensions", &body).await.refused(status, code);
    }
    assert_eq!(node.get("/v1/logs").await.ok(), before, "nothing else was stated");
}

#[tokio::test]
async fn an_incident_is_declared_named_by_records_and_closed() {
    let node = Fixture::new();
    let declared = node.post("/v1/incidents", &json!({"step": "declared", "class": "extortion"})).await.ok();
    let id = declared["incident"].as_str().expect("an id").to_owned();
    let shown = &node.get("/v1/incidents").await.ok()["incidents"][0];
    assert_eq!(
        (&shown["incident"], &shown["open"], &shown["class"]),
        (&json!(id), &json!(true), &json!("extortion"))
    );
    assert_eq!(shown["declared"]["member"], "north");
    let coverage = &shown["coverage"];
    let by_member = coverage["by_member"].as_array().expect("members");
    assert_eq!((&coverage["covered"], &coverage["members"]), (&json!(1), &json!(by_member.len())));
    assert!(by_member.iter().all(|state| state["ms"].is_u64() == (state["member"] == "north")), "{coverage}");
    assert_eq!(node.get("/v1/status").await.ok()["incidents"][0], *shown);
    let record = json!({"kind": "content", "signals": [md5(1)], "handling": {"incident": id}});
    let receipts = node.post("/v1/records", &json!({"records": [record]})).await.ok();
    let record = receipts["receipts"][0]["record"].as_str().expect("an id");
    assert_eq!(node.get(&format!("/v1/records/{record}")).await.ok()["handling"]["incident"], json!(id));
    let again = json!({"step": "declared", "incident": id});
    let message = node.post("/v1/incidents", &again).await.refused(409, "incident_state");
    assert!(message.contains("declared already"), "{message}");
    let close = json!({"step": "closed", "incident": id, "closing": "ended"});
    node.post("/v1/incidents", &close).await.ok();
    let shown = &node.get("/v1/incidents").await.ok()["incidents"][0];
    assert_eq!((&shown["open"], &shown["closed"]["reason"]), (&json!(false), &json!("ended")));
    assert_eq!(node.get("/v1/status").await.ok()["incidents"], json!([]));
    node.post("/v1/incidents", &close).await.refused(409, "incident_state");
    let other = json!({"step": "closed", "incident": "00".repeat(16)});
    node.post("/v1/incidents", &other).await.refused(404, "unknown_incident");
    let invalid = [
        json!({"step": "closed"}),
        json!({"step": "closed", "incident": "wave"}),
        json!({"step": "closed", "incident": id, "class": "other"}),
        json!({"step": "declared", "closing": "ended"}),
        json!({"step": "declared", "class": "a wave of"}),
        json!({"step": "begun"}),
    ];
    for body in invalid {
        node.post("/v1/incidents", &body).await.refused(400, "invalid_field");
    }
    let token = Some(node.token(crate::tokens::Scope::Contribute));
    let mut keyed = request(&Method::POST, "/v1/incidents", token, Some(&json!({"step": "declared"})));
    keyed.headers_mut().insert("idempotency-key", axum::http::HeaderValue::from_static("k"));
    let message = node.send(keyed).await.refused(400, "invalid_field");
    assert!(message.contains("Idempotency-Key"), "{message}");
}
