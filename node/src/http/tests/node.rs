//! What the node says of itself, while loading and after; and that metrics say nothing else.

use super::*;
use crate::tokens::Scope;
use fixture::Stated;
use hashpact_core::health::{Completeness, Health, RosterHealth};
use hashpact_core::view::{FoldCounts, StatedHolding};
use hashpact_protocol::digest::{LogId, empty_root};
use hashpact_protocol::record::{Content, Gap, Holding, Record, Signal, SignalType};
use hashpact_protocol::roster::MemberId;
use std::collections::BTreeMap;

#[tokio::test]
async fn a_loading_node_answers_and_says_that_it_is_loading() {
    let node = Fixture::start(Options { loaded: false, ..Options::default() }, Stated::default());
    assert_eq!(node.get("/healthz").await.text(), "ok\n");
    let ready = node.get("/readyz").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ready.json()["ready"], false);
    assert!(ready.json()["reason"].as_str().is_some_and(|reason| reason.contains("loading")));
    let body = json!({"items": [{"id": "u", "signals": [{"type": "md5", "value": hex(&[1; 16])}]}]});
    let answer = node.post("/v1/match", &body).await.ok();
    assert_eq!(answer["complete"], false);
    assert!(answer["reason"].as_str().is_some_and(|reason| reason.contains("loading")), "{answer}");
    let status = node.get("/v1/status").await.ok();
    assert_eq!((&status["ready"], &status["complete"]), (&json!(false), &json!(false)));

    node.lookup.set_loaded();
    let ready = node.get("/readyz").await;
    assert_eq!((ready.status, ready.json()), (StatusCode::OK, json!({"ready": true})));
    assert_eq!(node.post("/v1/match", &body).await.ok()["complete"], true);
}

#[tokio::test]
async fn members_logs_and_status_name_the_roster() {
    let node = Fixture::new();
    let members = node.get("/v1/members").await.ok();
    let ids: Vec<&Value> =
        members["members"].as_array().expect("members").iter().map(|member| &member["member"]).collect();
    assert_eq!(ids, [&json!("east"), &json!("north"), &json!("south")]);
    let logs = node.get("/v1/logs").await.ok();
    assert_eq!(logs["logs"].as_array().map(Vec::len), Some(3));
    for log in logs["logs"].as_array().expect("logs") {
        assert_eq!((&log["size"], &log["open"]), (&json!(0), &json!(true)));
    }
    let status = node.get("/v1/status").await.ok();
    assert_eq!(
        (&status["member"], &status["appending"], &status["complete"]),
        (&json!("north"), &json!(true), &json!(true))
    );
    assert_eq!(status["peers"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn status_and_metrics_tell_receipts_and_what_is_ahead() {
    let mut stated = Stated::default();
    for number in 0..5 {
        let signal = Signal::new(SignalType::Md5, &[number; 16], None).expect("valid");
        stated.push("south", &Record::Content(Content::new(vec![signal]).expect("valid")), None);
    }
    let node = Fixture::start(Options::default(), stated);
    let status = node.get("/v1/status").await.ok();
    assert_eq!(status["receipts"], json!([]), "nobody has stated anything");
    assert_eq!(status["logs"][2]["ahead"], 0);

    let (log, east) = (fixture::log("south"), MemberId::parse("east").expect("valid"));
    let holding = Holding {
        log,
        size: 4,
        root: empty_root(),
        missing: vec![Gap { start: 1, count: 1 }, Gap { start: 3, count: 1 }],
    };
    let of_nobody = Holding { log: LogId::new([9; 32]), missing: Vec::new(), ..holding.clone() };
    let state = |index, time_ms, holding| StatedHolding { n: 1, index, time_ms, holding };
    node.lookup.set_receipts(
        east,
        vec![state(2, 1_800_000_000_000, of_nobody), state(7, 1_800_000_060_000, holding)],
    );
    node.lookup.set_folded(log, FoldCounts::default(), 3);
    let status = node.get("/v1/status").await.ok();
    let holdings = json!([{
        "log": fixture::origin("south"), "size": 4, "lacking": 2, "first_lacking": 1, "unstated": 1,
    }]);
    assert_eq!(
        status["receipts"],
        json!([{
            "member": "east", "log": fixture::origin("east"), "index": 7, "time": "2027-01-15T08:01:00.000Z",
            "holdings": holdings,
        }]),
        "with the log that the roster names, as of the newest"
    );
    assert_eq!(status["logs"][2]["ahead"], 3);
    let text = node.get("/metrics").await.text();
    for line in [
        "hashpact_receipt_timestamp_seconds{member=\"east\"} 1800000060".to_owned(),
        "hashpact_receipt_lacking{member=\"east\"} 2".to_owned(),
        format!("hashpact_log_ahead{{log=\"{}\"}} 3", fixture::origin("south")),
    ] {
        assert!(text.contains(&line), "no {line} in {text}");
    }
}

#[tokio::test]
async fn a_restored_node_shows_no_payload_before_it_has_caught_up() {
    let node = Fixture::new();
    let health = |from_backup| Health {
        completeness: if from_backup { Completeness::Starting } else { Completeness::Complete },
        append_blocked: None,
        from_backup,
        peers: Vec::new(),
        roster: RosterHealth::default(),
        replica: None,
    };
    let match_one = json!({"items": [{"id": "u", "signals": [{"type": "md5", "value": hex(&[1; 16])}]}]});
    let record = format!("/v1/records/{}", "0".repeat(64));
    node.lookup.set_health(health(true));
    for path in ["/v1/records", &record, &format!("{record}/proof"), "/v1/audit/export"] {
        let message = node.get(path).await.refused(503, "restored");
        assert!(message.contains("two thirds of the other members"), "{path}: {message}");
    }
    for path in ["/v1/match", "/v1/match/bulk"] {
        node.post(path, &match_one).await.refused(503, "restored");
    }
    let status = node.get("/v1/status").await.ok();
    assert_eq!((&status["restored"], &status["complete"]), (&json!(true), &json!(false)));
    node.get("/v1/logs").await.ok();
    node.lookup.set_health(health(false));
    assert_eq!(node.post("/v1/match", &match_one).await.ok()["complete"], true);
    assert_eq!(node.get("/v1/status").await.ok()["restored"], false);
}

#[tokio::test]
async fn a_backup_of_a_node_that_is_not_ready_is_refused() {
    let node = Fixture::start(Options { loaded: false, ..Options::default() }, Stated::default());
    let admin = request(&Method::POST, "/v1/admin/backup", Some(node.token(Scope::Admin)), None);
    node.send(admin).await.refused(503, "loading");
}

#[tokio::test]
async fn every_answer_has_a_request_id_of_its_own() {
    let node = Fixture::new();
    let mut seen = std::collections::BTreeSet::new();
    for path in ["/healthz", "/v1/status", "/nowhere", "/openapi.json"] {
        let answer = node.get(path).await;
        assert!(seen.insert(answer.header("x-request-id").expect("an id").to_owned()), "{path}");
    }
}

/// Families and samples of an OpenMetrics text; panics where it is none.
fn parse(text: &str) -> (BTreeMap<String, String>, Vec<(String, String, f64)>) {
    let body = text.strip_suffix("# EOF\n").expect("ends with # EOF");
    let (mut families, mut samples) = (BTreeMap::new(), Vec::new());
    for line in body.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (keyword, name, rest) = (words.next(), words.next(), words.next());
            match (keyword, name, rest) {
                (Some("TYPE"), Some(name), Some(kind)) => {
                    assert!(families.insert(name.to_owned(), kind.to_owned()).is_none(), "{line}");
                }
                (Some("HELP" | "UNIT"), Some(_), Some(_)) => {}
                _ => panic!("not a comment of OpenMetrics: {line}"),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect(line);
        let (name, labels) = series
            .split_once('{')
            .map_or((series, ""), |(name, labels)| (name, labels.strip_suffix('}').expect(line)));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        assert!(name.starts_with("hashpact_") && name.bytes().all(plain), "{line}");
        let family =
            ["_total", "_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        assert!(
            families.contains_key(name) || family.is_some_and(|family| families.contains_key(family)),
            "{line}"
        );
        samples.push((name.to_owned(), labels.to_owned(), value.parse().expect(line)));
    }
    (families, samples)
}

#[tokio::test]
async fn metrics_are_openmetrics_and_hold_no_signal_query_key_or_caller() {
    let node = Fixture::new();
    let (stated, asked) = (hex(&[0xc4; 32]), hex(&[0xd5; 16]));
    let body = json!({"records": [{"kind": "content", "signals": [{"type": "pdq", "value": stated}]}]});
    let receipts = node.post("/v1/records", &body).await.ok();
    let record = receipts["receipts"][0]["record"].as_str().expect("an id").to_owned();
    node.get(&format!("/v1/records/{record}")).await.ok();
    let body = json!({"items": [{"id": "upload-4711", "signals": [{"type": "md5", "value": asked}]}]});
    node.post("/v1/match", &body).await.ok();
    node.get("/no/such/path-4711").await.refused(404, "not_found");

    let answer = node.get("/metrics").await;
    assert_eq!(
        answer.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    let text = answer.text();
    let (families, samples) = parse(&text);
    assert_eq!(families.get("hashpact_http_requests").map(String::as_str), Some("counter"));
    let value = |name: &str, labels: &str| {
        let found = samples.iter().find(|(found, with, _)| found == name && with == labels);
        found.unwrap_or_else(|| panic!("no {name}{{{labels}}} in {text}")).2
    };
    assert_eq!(value("hashpact_http_requests_total", "endpoint=\"/v1/match\",status=\"200\""), 1.0);
    assert_eq!(value("hashpact_http_requests_total", "endpoint=\"/v1/records/{id}\",status=\"200\""), 1.0);
    assert_eq!(
        value("hashpact_http_requests_total", "endpoint=\"none\",status=\"404\""),
        1.0,
        "no path of a caller"
    );
    assert_eq!(value("hashpact_match_items_total", ""), 1.0);
    assert_eq!(value("hashpact_answers_complete", ""), 1.0);
    assert_eq!(value("hashpact_records", ""), 1.0);
    let member = fixture::origin("north");
    assert_eq!(value("hashpact_log_size", &format!("log=\"{member}\"")), 1.0);
    let token = node.token(crate::tokens::Scope::Admin);
    for secret in [stated.as_str(), &asked, &record, "4711", token, &token[4..]] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}
