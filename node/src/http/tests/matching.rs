//! `POST /v1/match`: what matches, how it is shown, and what an incomplete node says.

use super::*;
use fixture::{CONSORTIUM, Stated};
use hashpact_core::health::{Completeness, Health, RosterHealth};
use hashpact_protocol::digest::RecordId;
use hashpact_protocol::record::{
    Content, Label, Opinion, OpinionValue, Origin, Reason, Record, Retraction, RetractionReason, Review,
    Signal, SignalType, Source, SubjectRef, Token,
};

pub(super) const SHARED: [u8; 32] = [0x11; 32];
pub(super) const TWO_VALUES: [u8; 32] = [0x5a; 32];
const WITHDRAWN: [u8; 32] = [0x77; 32];
pub(super) const CROWD: [u8; 32] = [0xee; 32];

/// The value with its first `bits` bits flipped.
pub(super) fn away(mut value: [u8; 32], bits: usize) -> [u8; 32] {
    for bit in 0..bits {
        value[bit / 8] ^= 1 << (bit % 8);
    }
    value
}

fn content(values: &[[u8; 32]], organisation: Option<&str>) -> Content {
    let signal = |value: &[u8; 32]| Signal::new(SignalType::Pdq, value, Some(90)).expect("valid");
    let mut content = Content::new(values.iter().map(signal).collect()).expect("valid");
    content.source = organisation.map(|name| Source::new(Token::new(name).expect("valid")));
    content.labels.origin = Label::Known(Origin::Generated);
    content.review = Label::Known(Review::Dual);
    content
}

pub(super) struct World {
    pub(super) node: Fixture,
    shared: [RecordId; 3],
    two_values: RecordId,
}

pub(super) fn world() -> World {
    let mut stated = Stated::default();
    let mut record = |by, content: Content| stated.push(by, &Record::Content(content), None);
    let first = record("south", content(&[SHARED], Some("hotline")));
    let second = record("east", content(&[SHARED], Some("hotline")));
    let third = record("east", content(&[SHARED], None));
    let mut two = content(&[away(TWO_VALUES, 9), away(TWO_VALUES, 3)], None);
    two.signals.push(Signal::new(SignalType::Md5, &[4; 16], None).expect("valid"));
    two.signals.sort_unstable();
    let two_values = record("south", two);
    let withdrawn = record("south", content(&[WITHDRAWN], None));
    for at in 0..120 {
        record("south", content(&[away(CROWD, at % 7)], None));
    }
    let south = |index| SubjectRef { log: fixture::log("south"), index };
    let withdrawal = Record::Retraction(Retraction::new(south(2), RetractionReason::Error));
    stated.push("south", &withdrawal, Some(withdrawn));
    let opinion = Record::Opinion(Opinion::new(south(1), OpinionValue::Disagree, Reason::NotCg));
    stated.push("east", &opinion, Some(two_values));
    World { node: Fixture::start(Options::default(), stated), shared: [first, second, third], two_values }
}

fn pdq(value: [u8; 32], variants: &[[u8; 32]]) -> Value {
    let variants: Vec<String> = variants.iter().map(|value| hex(value)).collect();
    json!({"type": "pdq", "value": hex(&value), "quality": 90, "variants": variants})
}

async fn ask(node: &Fixture, signals: Value, radius: Option<u32>) -> Value {
    let mut body = json!({"items": [{"id": "u1", "signals": signals}]});
    if let Some(radius) = radius {
        body["max_distance"] = json!({"pdq": radius});
    }
    let answer = node.post("/v1/match", &body).await.ok();
    assert_eq!(answer["results"].as_array().map(Vec::len), Some(1));
    assert_eq!(answer["results"][0]["id"], "u1");
    answer["results"][0].clone()
}

#[tokio::test]
async fn a_match_is_shown_with_all_that_an_analyst_needs() {
    let World { node, two_values, .. } = world();
    let result = ask(&node, json!([pdq(TWO_VALUES, &[])]), None).await;
    assert_eq!((&result["outcome"], &result["total"]), (&json!("review"), &json!(1)));
    let id = two_values.to_hex();
    let shown = &result["matches"][0];
    assert_eq!(shown["distance"], 3, "the closer of the record's two values");
    let expected = json!({
        "record": id, "member": "south", "log": format!("{CONSORTIUM}/south/1"), "index": 1,
        "signal_type": "pdq", "distance": 3, "variant": 0, "status": "disputed",
        "labels": shown["labels"], "review": "dual", "first_stated": "2027-01-14T08:01:00.000Z", "sources": 1,
        "opinions": {"agree": 0, "disagree": 1, "unsure": 0, "seen": 0},
        "proof": format!("/v1/records/{id}/proof"), "outcome": "review", "list": "built-in",
    });
    assert_eq!(shown, &expected);
    assert_eq!(shown["labels"]["origin"], "generated");
    assert_eq!(node.get(&format!("/v1/records/{id}/proof")).await.status, StatusCode::OK, "the link works");
}

#[tokio::test]
async fn distances_are_exact_at_and_past_the_radius() {
    let World { node, .. } = world();
    for (bits, radius, found) in
        [(0, Some(0), 1), (1, Some(0), 0), (31, None, 1), (32, None, 0), (64, Some(64), 1), (65, Some(64), 0)]
    {
        // Away from the record's nearer value, in bits that are not flipped yet.
        let mut query = away(TWO_VALUES, 3);
        for bit in 100..100 + bits {
            query[bit / 8] ^= 1 << (bit % 8);
        }
        let result = ask(&node, json!([pdq(query, &[])]), radius).await;
        assert_eq!(result["total"], found, "{bits} bits away, radius {radius:?}");
        assert_eq!(result["outcome"], if found == 1 { json!("review") } else { Value::Null });
        if found == 1 {
            assert_eq!(result["matches"][0]["distance"], bits);
        }
    }
}

#[tokio::test]
async fn variants_are_named_and_the_best_hit_of_a_record_is_kept() {
    let World { node, .. } = world();
    let far = [0xff; 32];
    let near = away(TWO_VALUES, 3);
    let result = ask(&node, json!([pdq(far, &[far, away(near, 0), near])]), None).await;
    let shown = &result["matches"][0];
    assert_eq!((&shown["distance"], &shown["variant"]), (&json!(0), &json!(2)), "the first of equal ones");
    let mut further = near;
    further[20] ^= 3;
    let result = ask(&node, json!([pdq(further, &[near])]), None).await;
    assert_eq!((result["total"].clone(), &result["matches"][0]["variant"]), (json!(1), &json!(1)));

    let md5 = json!({"type": "md5", "value": hex(&[4; 16])});
    let result = ask(&node, json!([md5]), None).await;
    let shown = &result["matches"][0];
    assert_eq!((&shown["signal_type"], &shown["distance"]), (&json!("md5"), &json!(0)));
    let result = ask(&node, json!([md5, pdq(further, &[])]), None).await;
    assert_eq!(
        (result["total"].clone(), &result["matches"][0]["signal_type"]),
        (json!(1), &json!("md5")),
        "exact is closer"
    );
    let other = json!({"type": "sha1", "value": hex(&[4; 20])});
    assert_eq!(ask(&node, json!([other]), None).await["total"], 0, "types never match one another");
}

#[tokio::test]
async fn sources_count_organisations_and_not_importers() {
    let World { node, shared, .. } = world();
    let result = ask(&node, json!([pdq(SHARED, &[])]), None).await;
    let matches = result["matches"].as_array().expect("matches");
    let records: Vec<&str> = matches.iter().filter_map(|found| found["record"].as_str()).collect();
    assert_eq!(result["total"], 3);
    for id in shared {
        assert!(records.contains(&id.to_hex().as_str()));
    }
    for found in matches {
        assert_eq!(found["sources"], 2, "hotline twice, and east itself");
        assert_eq!(
            found["first_stated"], "2027-01-14T08:00:00.000Z",
            "the earliest statement of this signal"
        );
    }
}

#[tokio::test]
async fn many_matches_are_capped_closest_first_and_counted() {
    let World { node, .. } = world();
    let result = ask(&node, json!([pdq(CROWD, &[])]), None).await;
    let distances: Vec<u64> = result["matches"]
        .as_array()
        .expect("matches")
        .iter()
        .filter_map(|found| found["distance"].as_u64())
        .collect();
    assert_eq!(
        (result["total"].clone(), distances.len()),
        (json!(120), hashpact_protocol::limits::MATCHES_PER_ITEM_MAX)
    );
    assert!(distances.is_sorted() && distances[0] == 0, "{distances:?}");
}

#[tokio::test]
async fn what_was_retracted_never_matches() {
    let World { node, .. } = world();
    let result = ask(&node, json!([pdq(WITHDRAWN, &[])]), Some(0)).await;
    assert_eq!(
        (&result["outcome"], &result["total"], &result["matches"]),
        (&Value::Null, &json!(0), &json!([]))
    );

    let value = [0x21; 32];
    let body = json!({"records": [{"kind": "content", "signals": [{"type": "pdq", "value": hex(&value)}]}]});
    let receipts = node.post("/v1/records", &body).await.ok();
    let id = receipts["receipts"][0]["record"].as_str().expect("an id").to_owned();
    assert_eq!(
        ask(&node, json!([pdq(value, &[])]), None).await["total"],
        1,
        "found as soon as it is acknowledged"
    );
    node.post(&format!("/v1/records/{id}/retraction"), &json!({"reason": "error"})).await.ok();
    assert_eq!(
        ask(&node, json!([pdq(value, &[])]), None).await["total"],
        0,
        "gone as soon as it is acknowledged"
    );
}

#[tokio::test]
async fn a_query_of_low_quality_never_yields_more_than_review() {
    let World { node, .. } = world();
    for quality in [0, 10, 49, 50, 100] {
        let signal = json!({"type": "pdq", "value": hex(&SHARED), "quality": quality});
        assert_eq!(ask(&node, json!([signal]), None).await["outcome"], "review", "quality {quality}");
    }
}

#[tokio::test]
async fn results_keep_the_order_and_the_names_of_the_items() {
    let World { node, .. } = world();
    let item = |id: &str, value| json!({"id": id, "signals": [pdq(value, &[])]});
    let body =
        json!({"items": [item("b", SHARED), item("a", [0xff; 32]), item("b", CROWD)], "lists": ["built-in"]});
    let answer = node.post("/v1/match", &body).await.ok();
    let totals: Vec<(&Value, &Value)> = answer["results"]
        .as_array()
        .expect("results")
        .iter()
        .map(|result| (&result["id"], &result["total"]))
        .collect();
    assert_eq!(totals, [(&json!("b"), &json!(3)), (&json!("a"), &json!(0)), (&json!("b"), &json!(120))]);
    assert_eq!((&answer["complete"], &answer["as_of"]["roster"]), (&json!(true), &json!(1)));
    assert!(answer.get("reason").is_none());
    assert!(
        answer["as_of"]["view"].as_str().is_some_and(|view| view.starts_with("127-")),
        "{}",
        answer["as_of"]
    );
}

#[tokio::test]
async fn a_node_that_cannot_know_says_so_and_why() {
    let World { node, .. } = world();
    let lagging = Completeness::Lagging { logs: vec![fixture::origin("south")] };
    let frozen = Completeness::Frozen { logs: vec![fixture::origin("east")] };
    let cases = [
        (Completeness::Starting, "starting"),
        (Completeness::Isolated, "isolated"),
        (lagging, "/south/1"),
        (frozen, "/east/1"),
    ];
    let body = json!({"items": [{"id": "u1", "signals": [pdq(SHARED, &[])]}]});
    for (completeness, expected) in cases {
        node.lookup.set_health(Health {
            completeness,
            append_blocked: None,
            from_backup: false,
            peers: Vec::new(),
            roster: RosterHealth::default(),
            replica: None,
        });
        let answer = node.post("/v1/match", &body).await.ok();
        assert_eq!((&answer["complete"], &answer["results"][0]["total"]), (&json!(false), &json!(3)));
        assert!(answer["reason"].as_str().is_some_and(|reason| reason.contains(expected)), "{answer}");
        assert_eq!(node.get("/readyz").await.status, StatusCode::OK, "it serves, and says what it lacks");
        let status = node.get("/v1/status").await.ok();
        assert_eq!((&status["complete"], &status["reason"]), (&json!(false), &answer["reason"]));
    }
}
