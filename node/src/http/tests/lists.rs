//! Lists, negatives, mutes and floods over HTTP, and what they do to matches.

use super::*;
use crate::lists::tests::check_golden;
use crate::tokens::Scope;
use fixture::Stated;
use hashpact_protocol::digest::RecordId;
use hashpact_protocol::record::{
    Content, Erasure, ErasureBasis, ErasureReason, Label, Opinion, OpinionValue, Reason, Record, Retraction,
    RetractionReason, Review, Signal, SignalType, Source, SubjectRef, Token,
};
use std::fmt::Write as _;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/lists/refusals.txt");
const PICTURE: [u8; 32] = [0x11; 32];
const OTHER: [u8; 32] = [0x5a; 32];
const DIGEST: [u8; 16] = [7; 16];

fn content(value: [u8; 32], review: Review) -> Content {
    let pdq = Signal::new(SignalType::Pdq, &value, Some(90)).expect("valid");
    let mut content = Content::new(vec![pdq]).expect("valid");
    content.review = Label::Known(review);
    content
}

fn with_digest(mut content: Content) -> Content {
    content.signals.push(Signal::new(SignalType::Md5, &DIGEST, None).expect("valid"));
    content
}

fn south(index: u64) -> SubjectRef {
    SubjectRef { log: fixture::log("south"), index }
}

/// What south states about a picture with a digest, and about another one that nobody reviewed.
fn stated() -> (Stated, RecordId) {
    let mut stated = Stated::default();
    let first = stated.push("south", &Record::Content(with_digest(content(PICTURE, Review::Dual))), None);
    stated.push("south", &Record::Content(content(OTHER, Review::Unreviewed)), None);
    (stated, first)
}

fn say(stated: &mut Stated, by: &'static str, about: RecordId, reason: Reason) {
    let opinion = Record::Opinion(Opinion::new(south(0), OpinionValue::Disagree, reason));
    stated.push(by, &opinion, Some(about));
}

fn start(stated: Stated, flood: u64) -> Fixture {
    Fixture::start(Options { flood, ..Options::default() }, stated)
}

impl Fixture {
    async fn put(&self, path: &str, form: &str, body: &str) -> Answer {
        self.put_from(path, form, body, None).await
    }

    async fn put_from(&self, path: &str, form: &str, body: &str, if_match: Option<&str>) -> Answer {
        let mut request = Request::builder()
            .method(Method::PUT)
            .uri(path)
            .header("authorization", format!("Bearer {}", self.token(Scope::Admin)))
            .header("content-type", form);
        if let Some(etag) = if_match {
            request = request.header("if-match", etag);
        }
        self.send(request.body(Body::from(body.to_owned())).expect("a valid request")).await
    }

    async fn put_list(&self, text: &str) -> Value {
        let name = text.split('"').nth(1).expect("a name").to_owned();
        self.put(&format!("/v1/lists/{name}"), "application/toml", text).await.ok()
    }

    async fn delete(&self, path: &str) -> Answer {
        self.send(request(&Method::DELETE, path, Some(self.token(Scope::Admin)), None)).await
    }

    /// What becomes of one picture.
    async fn ask(&self, value: [u8; 32], more: Value) -> Value {
        let signal = json!({"type": "pdq", "value": hex(&value), "quality": 90});
        self.ask_for(vec![signal], more).await
    }

    async fn ask_for(&self, signals: Vec<Value>, more: Value) -> Value {
        let mut body = json!({"items": [{"id": "u1", "signals": signals}]});
        for (key, value) in more.as_object().into_iter().flatten() {
            body[key] = value.clone();
        }
        self.post("/v1/match", &body).await.ok()["results"][0].clone()
    }

    async fn outcome(&self, value: [u8; 32]) -> Value {
        self.ask(value, json!({})).await["outcome"].clone()
    }
}

const BLOCK: &str = "name = \"mine\"\noutcome = \"block\"\nreview_min = \"dual\"\n";

#[tokio::test]
async fn a_list_is_in_force_at_once_and_gone_at_once() {
    let (stated, _) = stated();
    let node = start(stated, 1_000);
    let asked = json!({"items": [{"id": "a", "signals": [{"type": "md5", "value": hex(&DIGEST)}]}]});
    let before = node.post("/v1/match", &asked).await.ok();
    assert_eq!(
        (&before["results"][0]["outcome"], &before["results"][0]["list"]),
        (&json!("review"), &json!("built-in"))
    );
    let put = node.put_list(BLOCK).await;
    assert_eq!(
        (&put["list"]["version"], &put["list"]["review"]),
        (&json!(1), &json!(["dual", "hotline_confirmed"]))
    );
    let after = node.post("/v1/match", &asked).await.ok();
    assert_eq!(
        (&after["results"][0]["outcome"], &after["results"][0]["list"]),
        (&json!("block"), &json!("mine"))
    );
    assert_eq!(after["results"][0]["matches"][0]["outcome"], "block");
    assert_ne!(after["as_of"]["view"], before["as_of"]["view"], "equal names mean equal answers");
    assert_eq!(node.outcome(OTHER).await, "review", "nobody reviewed it");
    let all = node.get("/v1/lists").await.ok();
    assert_eq!(
        (&all["lists"][0]["list"]["name"], &all["lists"][1]["built_in"]),
        (&json!("mine"), &json!(true))
    );

    for (lists, outcome) in [(json!(["mine"]), json!("block")), (json!(["built-in"]), json!("review"))] {
        assert_eq!(node.ask(PICTURE, json!({"lists": lists})).await["outcome"], outcome);
    }
    let other = node.ask(OTHER, json!({"lists": ["mine"]})).await;
    assert_eq!(
        (&other["outcome"], &other["total"], &other["matches"]),
        (&Value::Null, &json!(0), &json!([]))
    );

    assert_eq!(node.delete("/v1/lists/mine").await.status, StatusCode::NO_CONTENT);
    assert_eq!(node.outcome(PICTURE).await, "review");
    let again = node.post("/v1/match", &asked).await.ok();
    assert_eq!(again, before, "nothing is decided any more");
}

#[tokio::test]
async fn a_list_has_its_own_distance_and_a_caller_can_only_ask_for_less() {
    let (stated, _) = stated();
    let node = start(stated, 1_000);
    let far = matching::away(PICTURE, 40);
    assert_eq!(node.outcome(far).await, Value::Null);
    node.put_list(&format!("{BLOCK}[distance]\npdq = 44\n")).await;
    assert_eq!(node.outcome(far).await, "block", "the look-up goes as far as any list asks");
    let asked = |bits: u32| json!({"max_distance": {"pdq": bits}});
    assert_eq!(node.ask(far, asked(39)).await["outcome"], Value::Null);
    assert_eq!(node.ask(far, asked(64)).await["outcome"], "block");
    let further = matching::away(PICTURE, 50);
    assert_eq!(
        node.ask(further, asked(64)).await["outcome"],
        "review",
        "the built-in list goes as far as is asked"
    );
    let poor = json!({"type": "pdq", "value": hex(&PICTURE), "quality": 49});
    assert_eq!(node.ask_for(vec![poor.clone()], json!({})).await["outcome"], "review");
    let digest = json!({"type": "md5", "value": hex(&DIGEST)});
    assert_eq!(
        node.ask_for(vec![poor, digest], json!({})).await["outcome"],
        "block",
        "bytes have no quality"
    );
}

#[tokio::test]
async fn bulk_answers_are_decided_by_the_same_lists() {
    let (stated, _) = stated();
    let node = start(stated, 1_000);
    node.put_list(BLOCK).await;
    for (query, outcomes) in [("", [1, 2]), ("?lists=built-in", [2, 2]), ("?lists=mine", [1, 0])] {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("/v1/match/bulk{query}"))
            .header("authorization", format!("Bearer {}", node.token(Scope::Lookup)))
            .header("content-type", "application/octet-stream")
            .body(Body::from([PICTURE, OTHER].concat()))
            .expect("a valid request");
        let answer = node.send(request).await;
        let frames: Vec<&[u8]> = answer.body[80..].chunks(48).filter(|frame| frame[0] == 1).collect();
        let told: Vec<u8> = frames.iter().map(|frame| frame[1]).collect();
        let expected: Vec<u8> = outcomes.into_iter().filter(|outcome| *outcome > 0).collect();
        assert_eq!(told, expected, "{query}");
    }
}

#[tokio::test]
async fn an_explanation_says_why_each_list_counts_a_record_or_not() {
    let (stated, _) = stated();
    let node = start(stated, 1_000);
    node.put_list(BLOCK).await;
    let found = node.ask(OTHER, json!({"explain": true})).await;
    let explain = &found["matches"][0]["explain"];
    assert_eq!(
        explain[0]["sentence"],
        "mine does not count it; review: found unreviewed, asked for dual or hotline_confirmed; review at most: nobody whose review counts has looked at it"
    );
    assert_eq!(
        explain[0]["unmet"][0],
        json!({"condition": "review", "found": "unreviewed", "wanted": "dual or hotline_confirmed"})
    );
    assert_eq!(
        (&explain[1]["list"], &explain[1]["counts"], &explain[1]["outcome"]),
        (&json!("built-in"), &json!(true), &json!("review"))
    );
    assert_eq!(explain[1]["rules"][0]["rule"], "unreviewed");
    let only = node.ask(OTHER, json!({"explain": true, "lists": ["mine"]})).await;
    assert_eq!((&only["total"], &only["not_counted"][0]["explain"][0]["counts"]), (&json!(0), &json!(false)));
    assert_eq!(node.ask(OTHER, json!({})).await["matches"][0].get("explain"), None);
}

#[tokio::test]
async fn a_dry_run_says_what_would_change_and_changes_nothing() {
    let (stated, _) = stated();
    let node = start(stated, 1_000);
    let item =
        |id: &str, value| json!({"id": id, "signals": [{"type": "pdq", "value": hex(value), "quality": 90}]});
    let items = json!([item("a", &PICTURE), item("b", &OTHER), item("c", &[0x77; 32])]);
    let run = node.post("/v1/lists/dry-run", &json!({"toml": BLOCK, "items": items})).await.ok();
    assert_eq!((&run["items"], &run["matched"]), (&json!(3), &json!([2, 2])));
    let changed = json!([{"id": "a", "before": "review", "list_before": "built-in", "after": "block", "list_after": "mine"}]);
    assert_eq!(run["changed"], changed);
    assert_eq!(node.outcome(PICTURE).await, "review");
    node.put_list(BLOCK).await;
    let run = node.post("/v1/lists/dry-run", &json!({"delete": "mine", "items": items})).await.ok();
    assert_eq!(run["changed"][0]["after"], "review");
    let narrower = json!({"name": "mine", "outcome": "block", "members": ["east"]});
    let run = node.post("/v1/lists/dry-run", &json!({"list": narrower, "items": items})).await.ok();
    assert_eq!(run["changed"][0]["list_after"], "built-in");
}

#[tokio::test]
async fn a_muted_member_counts_for_nothing_until_it_is_unmuted() {
    let (stated, _) = stated();
    let node = start(stated, 1_000);
    assert_eq!(node.outcome(PICTURE).await, "review");
    let muted = node.post("/v1/mutes", &json!({"member": "south", "reason": "case 17"})).await.ok();
    assert_eq!(
        (&muted["mutes"][0]["member"], &muted["mutes"][0]["by"]),
        (&json!("south"), &json!("token:admin"))
    );
    assert_eq!(node.outcome(PICTURE).await, Value::Null);
    let why = node.ask(PICTURE, json!({"explain": true})).await;
    assert_eq!(why["not_counted"][0]["explain"][0]["rules"][0]["rule"], "muted");
    assert_eq!(node.get("/v1/status").await.ok()["muted"], json!(["south"]));
    assert_eq!(node.delete("/v1/mutes/south").await.status, StatusCode::NO_CONTENT);
    assert_eq!(node.outcome(PICTURE).await, "review");
}

#[tokio::test]
async fn a_negative_list_lowers_what_resembles_it_and_no_digest() {
    let (stated, _) = stated();
    let node = start(stated, 1_000);
    node.put_list(BLOCK).await;
    let near = matching::away(PICTURE, 10);
    let put = |radius: u32| {
        json!({"radius": radius, "signals": [{"type": "pdq", "value": hex(&near)}]}).to_string()
    };
    let json = "application/json";
    node.put("/v1/negatives/logos", json, &put(9)).await.ok();
    assert_eq!(node.outcome(PICTURE).await, "block", "too far from it");
    let shown = node.put("/v1/negatives/logos", json, &put(10)).await.ok();
    assert_eq!(shown["negatives"], json!([{"name": "logos", "radius": 10, "signals": 1}]));
    assert_eq!(node.outcome(PICTURE).await, "review");
    let why = node.ask(PICTURE, json!({"explain": true})).await;
    assert_eq!(why["matches"][0]["explain"][0]["rules"][0]["rule"], "local_negative");
    let digest = json!({"type": "md5", "value": hex(&DIGEST)});
    let both = vec![json!({"type": "pdq", "value": hex(&PICTURE)}), digest];
    assert_eq!(node.ask_for(both, json!({})).await["outcome"], "block");
    assert_eq!(node.delete("/v1/negatives/logos").await.status, StatusCode::NO_CONTENT);
    assert_eq!(node.outcome(PICTURE).await, "block");
}

#[tokio::test]
async fn two_other_members_make_a_signal_a_negative_wherever_it_is_stated() {
    let (mut two, first) = stated();
    say(&mut two, "east", first, Reason::BenignCollision);
    let node = start(two, 1_000);
    node.put_list(&format!("{BLOCK}disagree_max = 5\n")).await;
    assert_eq!(node.outcome(PICTURE).await, "block", "one member is not two");
    // This node's own member is the second.
    let opinion = json!({"opinion": "disagree", "reason": "adult"});
    node.post(&format!("/v1/records/{}/opinions", first.to_hex()), &opinion).await.ok();
    assert_eq!(node.outcome(PICTURE).await, "review");
    assert_eq!(
        node.outcome(matching::away(PICTURE, 3)).await,
        "review",
        "the record's signal is bound, not the query"
    );
    let digest = vec![json!({"type": "md5", "value": hex(&DIGEST)})];
    assert_eq!(node.ask_for(digest, json!({})).await["outcome"], "block", "a digest is not touched");
    node.post("/v1/mutes", &json!({"member": "east", "reason": "r"})).await.ok();
    assert_eq!(node.outcome(PICTURE).await, "block", "who is muted has no say");
}

#[tokio::test]
async fn an_opinion_follows_the_signal_when_its_record_is_withdrawn_and_stated_again() {
    let (mut stated, first) = stated();
    say(&mut stated, "east", first, Reason::BenignCollision);
    let withdrawal = Record::Retraction(Retraction::new(south(0), RetractionReason::Error));
    stated.push("south", &withdrawal, Some(first));
    let again = stated.push("south", &Record::Content(content(PICTURE, Review::Dual)), None);
    let node = start(stated, 1_000);
    node.put_list(&format!("{BLOCK}disagree_max = 5\n")).await;
    assert_eq!(node.outcome(PICTURE).await, "block");
    let opinion = json!({"opinion": "disagree", "reason": "benign_collision"});
    node.post(&format!("/v1/records/{}/opinions", again.to_hex()), &opinion).await.ok();
    assert_eq!(node.outcome(PICTURE).await, "review", "east spoke about the record before");
}

#[tokio::test]
async fn asking_for_other_labels_lowers_nothing() {
    let (mut stated, first) = stated();
    say(&mut stated, "east", first, Reason::NotCg);
    let node = start(stated, 1_000);
    node.put_list(&format!("{BLOCK}disagree_max = 0\nstatus = [\"active\"]\n")).await;
    let found = node.ask(PICTURE, json!({})).await;
    assert_eq!((&found["outcome"], &found["matches"][0]["status"]), (&json!("block"), &json!("disputed")));
}

#[tokio::test]
async fn one_member_that_names_many_organisations_is_one_source() {
    let mut stated = Stated::default();
    for name in ["a", "b", "c"] {
        let mut content = content(PICTURE, Review::Dual);
        content.source = Some(Source::new(Token::new(name).expect("valid")));
        stated.push("south", &Record::Content(content), None);
    }
    let node = start(stated, 1_000);
    node.put_list(&format!("{BLOCK}sources_min = 2\n")).await;
    let found = node.ask(PICTURE, json!({})).await;
    assert_eq!((&found["outcome"], &found["matches"][0]["sources"]), (&json!("review"), &json!(1)));
}

#[tokio::test]
async fn a_flood_of_records_is_for_review_until_somebody_decides_and_again_if_they_decide_otherwise() {
    let mut stated = Stated::default();
    for at in 0..8 {
        stated.push("south", &Record::Content(content(matching::away(PICTURE, at), Review::Dual)), None);
    }
    let node = start(stated, 7);
    node.put_list(BLOCK).await;
    assert_eq!(node.outcome(PICTURE).await, "review");
    let waiting = node.get("/v1/quarantine").await.ok();
    assert_eq!((&waiting["waiting"], &waiting["floods"][0]["entries"]), (&json!(1), &json!(8)));
    assert_eq!(node.get("/v1/status").await.ok()["quarantine_waiting"], 1);
    assert!(node.get("/metrics").await.text().contains("hashpact_quarantine_waiting 1"));
    let id = waiting["floods"][0]["id"].as_str().expect("a name").to_owned();
    assert!(id.starts_with("contributions.south."), "{id}");
    let reason = json!({"reason": "an announced import"});
    for (decision, expected) in
        [("accept", json!("block")), ("reject", Value::Null), ("accept", json!("block"))]
    {
        node.post(&format!("/v1/quarantine/{id}/{decision}"), &reason).await.ok();
        assert_eq!(node.outcome(PICTURE).await, expected, "{decision}");
    }
    assert_eq!(node.get("/v1/quarantine").await.ok()["waiting"], 0);
}

#[tokio::test]
async fn a_flood_of_retractions_does_not_take_records_away() {
    let mut stated = Stated::default();
    let ids: Vec<RecordId> = (0..6)
        .map(|at| {
            stated.push(
                "south",
                &Record::Content(with_digest(content(matching::away(PICTURE, at), Review::Dual))),
                None,
            )
        })
        .collect();
    for (index, id) in (0..).zip(&ids) {
        let withdrawal = Record::Retraction(Retraction::new(south(index), RetractionReason::Error));
        stated.push("south", &withdrawal, Some(*id));
    }
    let node = start(stated, 5);
    node.put_list(BLOCK).await;
    let waiting = node.get("/v1/quarantine").await.ok();
    let of_kind = |kind: &str| {
        let floods = waiting["floods"].as_array().expect("floods").clone();
        floods.iter().find(|flood| flood["kind"] == kind).expect("found")["id"]
            .as_str()
            .expect("a name")
            .to_owned()
    };
    let contributions = of_kind("contributions");
    let reason = json!({"reason": "r"});
    node.post(&format!("/v1/quarantine/{contributions}/accept"), &reason).await.ok();
    let found = node.ask(PICTURE, json!({"explain": true})).await;
    assert_eq!((&found["outcome"], &found["total"]), (&json!("review"), &json!(6)));
    assert_eq!(found["matches"][0]["status"], "retracted");
    let by_digest = vec![json!({"type": "md5", "value": hex(&DIGEST)})];
    assert_eq!(node.ask_for(by_digest, json!({})).await["total"], 6);
    let shown = node.get(&format!("/v1/records/{}", ids[0].to_hex())).await.ok();
    assert_eq!(shown["status"], "retracted", "listings show what its author says");

    let flood = of_kind("withdrawals");
    for (decision, total) in [("accept", 0), ("reject", 6), ("accept", 0)] {
        node.post(&format!("/v1/quarantine/{flood}/{decision}"), &reason).await.ok();
        assert_eq!(node.ask(PICTURE, json!({})).await["total"], total, "{decision}");
    }
}

#[tokio::test]
async fn a_flood_of_erasures_by_their_author_does_not_take_records_away_and_an_authoritys_does() {
    for (by, total) in [("south", 6), ("east", 0)] {
        let mut stated = Stated::default();
        let state = |stated: &mut Stated, at| {
            stated.push("south", &Record::Content(content(matching::away(PICTURE, at), Review::Dual)), None)
        };
        let ids: Vec<RecordId> = (0..6).map(|at| state(&mut stated, at)).collect();
        for (index, id) in (0..).zip(&ids) {
            let order = Erasure::new(south(index), ErasureReason::Error, ErasureBasis::Own);
            stated.push(by, &Record::Erasure(order), Some(*id));
        }
        let node = start(stated, 5);
        assert_eq!(
            node.ask(PICTURE, json!({})).await["total"],
            0,
            "their signals are read from the sealed payloads"
        );
        node.lists.keep_floods(&node.store);
        let reason = json!({"reason": "r"});
        let waiting = node.get("/v1/quarantine").await.ok();
        for flood in waiting["floods"].as_array().expect("floods") {
            if flood["kind"] == "contributions" {
                let id = flood["id"].as_str().expect("a name");
                node.post(&format!("/v1/quarantine/{id}/accept"), &reason).await.ok();
            }
        }
        let found = node.ask(PICTURE, json!({})).await;
        assert_eq!(found["total"], total, "ordered by {by}");
        if total == 0 {
            continue;
        }
        assert_eq!((&found["outcome"], &found["matches"][0]["status"]), (&json!("review"), &json!("sealed")));
        assert_eq!(found["matches"][0]["review"], "unreviewed", "nothing of it is shown");
        let id = format!("withdrawals.south.{}", node.lookup.floods()[1].id.hour);
        node.post(&format!("/v1/quarantine/{id}/accept"), &reason).await.ok();
        assert_eq!(node.ask(PICTURE, json!({})).await["total"], 0);
    }
}

#[tokio::test]
async fn new_records_beside_what_is_called_benign_are_reported() {
    let (mut stated, first) = stated();
    say(&mut stated, "east", first, Reason::BenignCollision);
    stated.push("east", &Record::Content(content(matching::away(PICTURE, 9), Review::Single)), None);
    let node = start(stated, 1_000);
    let ask = "/v1/reports/contradictions?days=36525";
    let report = node.get(ask).await.ok();
    let of = |report: &Value, member: &str| {
        let found = report["contradictions"].as_array().expect("a list").clone();
        found.into_iter().find(|found| found["member"] == member)
    };
    let east = of(&report, "east").expect("beside a disputed record");
    assert_eq!(
        east["sentence"],
        "near 1 signals that members call benign or adult; near 1 disputed records of other members"
    );
    let signals = json!([{"type": "pdq", "value": hex(&OTHER)}]);
    node.put("/v1/negatives/logos", "application/json", &json!({"signals": signals}).to_string()).await.ok();
    let report = node.get(&format!("{ask}&member=south")).await.ok();
    assert_eq!(report["looked_at"], 2);
    let lists: Vec<&Value> = report["contradictions"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|found| &found["negative_lists"])
        .collect();
    assert!(lists.contains(&&json!(["logos"])), "{report}");
    for wrong in ["days=0", "limit=1001", "month=1"] {
        assert_eq!(
            node.get(&format!("/v1/reports/contradictions?{wrong}")).await.status,
            StatusCode::BAD_REQUEST
        );
    }
}

/// Every mistake that a person can make over HTTP: method, path, media type, body.
const MISTAKES: [(&str, &str, &str, &str); 26] = [
    ("GET", "/v1/lists/mine", "", ""),
    ("PUT", "/v1/lists/mine", "text/plain", "name = \"mine\""),
    ("PUT", "/v1/lists/mine", "application/toml", "name = \"other\"\noutcome = \"log\"\n"),
    ("PUT", "/v1/lists/mine", "application/toml", "name = \"mine\"\noutcome = \"log\"\nsources_min = 999\n"),
    ("PUT", "/v1/lists/mine", "application/json", "{\"name\":\"mine\",\"outcome\":\"log\",\"version\":3}"),
    ("PUT", "/v1/lists/built-in", "application/json", "{\"name\":\"built-in\",\"outcome\":\"log\"}"),
    ("PUT", "/v1/lists/there", "application/json", "{\"name\":\"there\",\"outcome\":\"log\"}"),
    ("PUT", "/v1/lists/there", "application/json", "{\"name\":\"there\",\"outcome\":\"log\",\"version\":7}"),
    ("DELETE", "/v1/lists/mine", "", ""),
    ("DELETE", "/v1/lists/built-in", "", ""),
    ("POST", "/v1/lists/dry-run", "application/json", "{\"items\":[]}"),
    ("POST", "/v1/lists/dry-run", "application/json", "{\"delete\":\"there\",\"items\":[]}"),
    ("POST", "/v1/lists/dry-run", "application/json", "{\"toml\":\"outcome = 1\",\"items\":[]}"),
    (
        "POST",
        "/v1/match",
        "application/json",
        "{\"items\":[{\"id\":\"a\",\"signals\":[{\"type\":\"md5\",\"value\":\"00000000000000000000000000000000\"}]}],\"lists\":[\"mine\"]}",
    ),
    ("POST", "/v1/mutes", "application/json", "{\"member\":\"south\"}"),
    ("POST", "/v1/mutes", "application/json", "{\"member\":\"south\",\"reason\":\" \"}"),
    ("POST", "/v1/mutes", "application/json", "{\"member\":\"west\",\"reason\":\"r\"}"),
    ("POST", "/v1/mutes", "application/json", "{\"member\":\"north\",\"reason\":\"r\"}"),
    ("DELETE", "/v1/mutes/south", "", ""),
    (
        "PUT",
        "/v1/negatives/Logos",
        "application/json",
        "{\"signals\":[{\"type\":\"md5\",\"value\":\"00000000000000000000000000000000\"}]}",
    ),
    ("PUT", "/v1/negatives/logos", "application/json", "{\"signals\":[]}"),
    ("PUT", "/v1/negatives/logos", "application/json", "{\"radius\":65,\"signals\":[]}"),
    ("PUT", "/v1/negatives/logos", "application/json", "{\"signals\":[{\"type\":\"md5\",\"value\":\"0\"}]}"),
    ("DELETE", "/v1/negatives/logos", "", ""),
    ("POST", "/v1/quarantine/contributions.south.1/accept", "application/json", "{\"reason\":\"r\"}"),
    ("POST", "/v1/quarantine/x/reject", "application/json", "{\"reason\":\"\"}"),
];

#[tokio::test]
async fn each_mistake_is_told_and_changes_nothing() {
    let (stated, _) = stated();
    let node = start(stated, 1_000);
    node.put_list("name = \"there\"\noutcome = \"log\"\n").await;
    let before = node.get("/v1/lists").await.ok();
    let mut told = String::from(
        "# What a caller is told who makes a mistake with lists and decisions (node/src/http/tests/lists.rs).\n",
    );
    for (method, path, form, body) in MISTAKES {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {}", node.token(Scope::Admin)))
            .header("content-type", form)
            .body(Body::from(body))
            .expect("a valid request");
        let answer = node.send(request).await;
        let error = &answer.json()["error"];
        let (code, message) =
            (error["code"].as_str().expect("a code"), error["message"].as_str().expect("words"));
        let status = answer.status.as_u16();
        let _ = writeln!(told, "\n{method} {path} {body}\n    {status} {code}: {message}");
    }
    let lookup = node.token(Scope::Lookup).to_owned();
    for (method, path) in [
        ("PUT", "/v1/lists/mine"),
        ("DELETE", "/v1/lists/there"),
        ("POST", "/v1/mutes"),
        ("PUT", "/v1/negatives/x"),
        ("POST", "/v1/quarantine/x/accept"),
    ] {
        let request =
            Request::builder().method(method).uri(path).header("authorization", format!("Bearer {lookup}"));
        let answer = node.send(request.body(Body::empty()).expect("a valid request")).await;
        answer.refused(403, "forbidden");
    }
    assert_eq!(node.get("/v1/lists").await.ok(), before);
    assert_eq!(node.get("/v1/mutes").await.ok()["mutes"], json!([]));
    check_golden(GOLDEN, &told);
}

#[tokio::test]
async fn an_entity_tag_keeps_two_people_from_undoing_each_other() {
    let (stated, _) = stated();
    let node = start(stated, 1_000);
    let json = "application/json";
    let body = "{\"name\":\"mine\",\"outcome\":\"log\"}";
    let first = node.put("/v1/lists/mine", json, body).await;
    let etag = first.header("etag").expect("a tag").to_owned();
    assert_eq!(first.json()["etag"], json!(etag));
    assert_eq!(node.get("/v1/lists/mine").await.header("etag"), Some(etag.as_str()));
    let second = node.put_from("/v1/lists/mine", json, body, Some(&etag)).await;
    assert_eq!(second.json()["list"]["version"], 2);
    node.put_from("/v1/lists/mine", json, body, Some(&etag)).await.refused(412, "changed");
    node.put("/v1/lists/mine", json, body).await.refused(428, "version_needed");
    let journal = std::fs::read_to_string(node.dir.path().join("journal")).expect("a journal");
    assert_eq!(journal.lines().count(), 2, "what was refused is not in it");
    assert!(node.lists.get("mine").is_some());
}
