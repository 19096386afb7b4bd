//! Malformed requests: each gets a precise error in the one shape, and changes nothing.
//!
//! The table says what is sent and what must come back. After every case the log's size and the
//! number of records are what they were before.

use crate::http::{Api, call, record, value};
use anyhow::{Context as _, Result, ensure};
use hashpact_tests::Consortium;
use serde_json::{Value, json};

/// What a case sends as its Authorization header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Nobody,
    Stranger,
    Reader,
    NoBearer,
    Everything,
}

struct Case {
    name: &'static str,
    who: Who,
    method: &'static str,
    target: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    status: u16,
    code: &'static str,
    says: &'static str,
}

impl Case {
    fn send(name: &'static str, method: &'static str, target: impl Into<String>) -> Self {
        Self {
            name,
            who: Who::Everything,
            method,
            target: target.into(),
            headers: Vec::new(),
            body: Vec::new(),
            status: 0,
            code: "",
            says: "",
        }
    }

    fn get(name: &'static str, target: impl Into<String>) -> Self {
        Self::send(name, "GET", target)
    }

    fn json(name: &'static str, target: impl Into<String>, body: &Value) -> Self {
        Self::text(name, target, body.to_string())
    }

    fn text(name: &'static str, target: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        let case = Self::send(name, "POST", target).header("Content-Type", "application/json");
        Self { body: body.into(), ..case }
    }

    fn who(self, who: Who) -> Self {
        Self { who, ..self }
    }

    fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn gives(self, status: u16, code: &'static str, says: &'static str) -> Self {
        Self { status, code, says, ..self }
    }
}

/// One record whose first signal is this.
fn with_signal(signal: &Value) -> Value {
    json!({ "records": [{ "kind": "content", "signals": [signal] }] })
}

/// One record with these fields beside its signal.
fn with_fields(fields: &Value) -> Value {
    let mut record = record(900);
    for (name, value) in fields.as_object().into_iter().flatten() {
        record[name] = value.clone();
    }
    json!({ "records": [record] })
}

fn query(signal: &Value) -> Value {
    json!({ "items": [{ "id": "u1", "signals": [signal] }] })
}

fn access() -> Vec<Case> {
    let good = json!({ "records": [record(900)] });
    vec![
        Case::json("no token", "/v1/records", &good).who(Who::Nobody).gives(
            401,
            "unauthorized",
            "bearer token is needed",
        ),
        Case::json("unknown token", "/v1/records", &good).who(Who::Stranger).gives(
            401,
            "unauthorized",
            "not known",
        ),
        Case::json("not a bearer", "/v1/records", &good).who(Who::NoBearer).gives(
            401,
            "unauthorized",
            "Bearer TOKEN",
        ),
        Case::json("scope", "/v1/records", &good).who(Who::Reader).gives(
            403,
            "forbidden",
            "scope contribute",
        ),
        Case::get("no token to read", "/v1/status").who(Who::Nobody).gives(
            401,
            "unauthorized",
            "bearer token",
        ),
        Case::get("no token to list", "/v1/records").who(Who::Nobody).gives(
            401,
            "unauthorized",
            "bearer token",
        ),
        Case::json(
            "no token to match",
            "/v1/match",
            &query(&json!({ "type": "md5", "value": value(1, 32) })),
        )
        .who(Who::Nobody)
        .gives(401, "unauthorized", "bearer token"),
    ]
}

fn forms() -> Vec<Case> {
    let multipart =
        b"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\n\r\nbytes\r\n--x--\r\n";
    let mut long = b"{\"records\":[]}".to_vec();
    long.resize(16 * 1024 * 1024 + 1, b' ');
    let mut word = b"{\"reason\":\"error\"}".to_vec();
    word.resize(4 * 1024 + 1, b' ');
    let upload = |name, target: &str, content_type: &str, body: &[u8]| Case {
        body: body.to_vec(),
        ..Case::send(name, "POST", target).header("Content-Type", content_type).gives(
            415,
            "unsupported_media_type",
            "application/json",
        )
    };
    vec![
        upload("multipart upload", "/v1/match", "multipart/form-data; boundary=x", multipart),
        upload("multipart contribution", "/v1/records", "multipart/form-data; boundary=x", multipart),
        upload("image upload", "/v1/match", "image/png", b"\x89PNG\r\n\x1a\n"),
        upload("image contribution", "/v1/records", "image/jpeg", b"\xff\xd8\xff"),
        upload("bytes", "/v1/records", "application/octet-stream", b"\0\0"),
        upload("plain text", "/v1/records", "text/plain", b"{\"records\":[]}"),
        Case { body: b"{}".to_vec(), ..Case::send("no content type", "POST", "/v1/records") }.gives(
            415,
            "unsupported_media_type",
            "application/json",
        ),
        Case::text("empty body", "/v1/records", "").gives(400, "invalid_json", "EOF"),
        Case::text("broken JSON", "/v1/records", "{\"records\":[").gives(
            400,
            "invalid_json",
            "line 1 column",
        ),
        Case::text("two values", "/v1/records", "{\"records\":[]} {}").gives(400, "invalid_json", "trailing"),
        Case::text("not UTF-8", "/v1/records", b"{\"records\":\"\xff\"}".to_vec()).gives(
            400,
            "invalid_json",
            "",
        ),
        Case::text("deep JSON", "/v1/records", "[".repeat(100_000)).gives(400, "invalid_json", ""),
        Case::text("wrong shape", "/v1/records", "[]").gives(400, "invalid_json", ""),
        Case::text("no records", "/v1/records", "{}").gives(400, "invalid_json", "records"),
        Case::text("duplicate field", "/v1/records", "{\"records\":[],\"records\":[]}").gives(
            400,
            "invalid_json",
            "duplicate field",
        ),
        Case::json("unknown field", "/v1/records", &json!({ "records": [record(1)], "media": "AAAA" }))
            .gives(400, "invalid_json", "unknown field `media`"),
        Case::json("unknown field of a record", "/v1/records", &with_fields(&json!({ "note": "text" })))
            .gives(400, "invalid_json", "unknown field `note`"),
        Case::json("unknown field of a match", "/v1/match", &json!({ "items": [], "image": "AAAA" })).gives(
            400,
            "invalid_json",
            "unknown field `image`",
        ),
        Case::text("too large", "/v1/records", long).gives(413, "body_too_large", "16777216"),
        Case::text("too large a statement", format!("/v1/records/{}/retraction", value(1, 64)), word).gives(
            413,
            "body_too_large",
            "4096",
        ),
    ]
}

fn signals() -> Vec<Case> {
    let many: Vec<Value> = (0..10_001)
        .map(|_| json!({ "kind": "content", "signals": [{ "type": "md5", "value": value(1, 32) }] }))
        .collect();
    let lot: Vec<Value> =
        (0..65).map(|number| json!({ "type": "md5", "value": value(number, 32) })).collect();
    let md5 = json!({ "type": "md5", "value": value(1, 32) });
    let contribute = |name, signal: Value| Case::json(name, "/v1/records", &with_signal(&signal));
    vec![
        Case::json("no record", "/v1/records", &json!({ "records": [] })).gives(400, "invalid_field", "records: must not be empty"),
        Case::json("10,001 records", "/v1/records", &json!({ "records": many })).gives(400, "invalid_field", "records: 10001 elements, at most 10000"),
        Case::json("no signal", "/v1/records", &json!({ "records": [{ "kind": "content", "signals": [] }] }))
            .gives(400, "invalid_field", "records[0].signals: must not be empty"),
        Case::json("65 signals", "/v1/records", &json!({ "records": [{ "kind": "content", "signals": lot }] }))
            .gives(400, "invalid_field", "records[0].signals: 65 elements, at most 64"),
        Case::json("the last is bad", "/v1/records", &json!({ "records": [record(901), record(902), { "kind": "content", "signals": [{ "type": "md5", "value": "00" }] }] }))
            .gives(400, "invalid_field", "records[2].signals[0].value: expected 32 lower-case hex digits, got 2"),
        contribute("odd width", json!({ "type": "pdq", "value": value(1, 63), "quality": 1 })).gives(400, "invalid_field", "expected 64 lower-case hex digits, got 63"),
        contribute("width of another type", json!({ "type": "sha1", "value": value(1, 32) })).gives(400, "invalid_field", "expected 40"),
        contribute("upper case", json!({ "type": "md5", "value": "A".repeat(32) })).gives(400, "invalid_field", "character 0 is none"),
        contribute("not hex", json!({ "type": "md5", "value": format!("{}g", value(1, 31)) })).gives(400, "invalid_field", "character 31 is none"),
        contribute("not ASCII", json!({ "type": "md5", "value": "\u{e9}".repeat(16) })).gives(400, "invalid_field", "character 0 is none"),
        contribute("unknown type", json!({ "type": "md6", "value": value(1, 32) })).gives(400, "invalid_field", "records[0].signals[0].type: unknown value \"md6\""),
        contribute("quality 101", json!({ "type": "pdq", "value": value(1, 64), "quality": 101 })).gives(400, "invalid_field", "records[0].signals[0].quality: "),
        contribute("quality 256", json!({ "type": "pdq", "value": value(1, 64), "quality": 256 })).gives(400, "invalid_json", "256"),
        contribute("negative quality", json!({ "type": "pdq", "value": value(1, 64), "quality": -1 })).gives(400, "invalid_json", "-1"),
        contribute("quality of an exact type", json!({ "type": "md5", "value": value(1, 32), "quality": 5 })).gives(400, "invalid_field", "signals[0].quality: "),
        Case::json("a signal twice", "/v1/records", &json!({ "records": [{ "kind": "content", "signals": [md5, md5] }] })).gives(400, "invalid_field", "records[0].signals[1]: "),
    ]
}

fn labels() -> Vec<Case> {
    let contribute = |name, fields: Value| Case::json(name, "/v1/records", &with_fields(&fields));
    vec![
        contribute("unknown kind", json!({ "kind": "opinion" })).gives(
            400,
            "invalid_field",
            "records[0].kind: unknown value \"opinion\"",
        ),
        contribute("unknown label", json!({ "labels": { "origin": "generatd" } })).gives(
            400,
            "invalid_field",
            "records[0].labels.origin: unknown value \"generatd\"",
        ),
        contribute("unknown label name", json!({ "labels": { "colour": "red" } })).gives(
            400,
            "invalid_json",
            "unknown field `colour`",
        ),
        contribute("raw labels", json!({ "labels": { "raw": { "origin": 77 } } })).gives(
            400,
            "invalid_field",
            "raw label values",
        ),
        contribute("unknown review", json!({ "review": "triple" })).gives(
            400,
            "invalid_field",
            "records[0].review: unknown value \"triple\"",
        ),
        contribute("free text as source", json!({ "source": { "organisation": "Some words here" } })).gives(
            400,
            "invalid_field",
            "records[0].source.organisation",
        ),
        contribute(
            "a day that is none",
            json!({ "source": { "organisation": "ash", "date": "2026-02-30" } }),
        )
        .gives(400, "invalid_field", "records[0].source.date"),
        contribute("a time that is none", json!({ "expires": "tomorrow" })).gives(
            400,
            "invalid_field",
            "records[0].expires",
        ),
    ]
}

fn matching() -> Vec<Case> {
    let pdq = json!({ "type": "pdq", "value": value(1, 64) });
    let many: Vec<Value> = (0..10_001)
        .map(|nth| json!({ "id": format!("u{nth}"), "signals": [{ "type": "md5", "value": value(1, 32) }] }))
        .collect();
    let two_each: Vec<Value> =
        (0..5_001).map(|nth| json!({ "id": format!("u{nth}"), "signals": [pdq, pdq] })).collect();
    let ask = |name, body: Value| Case::json(name, "/v1/match", &body);
    vec![
        ask("no item", json!({ "items": [] })).gives(400, "invalid_field", "items: must not be empty"),
        ask("10,001 items", json!({ "items": many })).gives(400, "invalid_field", "at most 10000"),
        ask("10,002 signals", json!({ "items": two_each })).gives(400, "invalid_field", "10002 signals in one call, at most 10000"),
        ask("distance 65", json!({ "items": [{ "id": "u", "signals": [pdq] }], "max_distance": { "pdq": 65 } })).gives(400, "invalid_field", "max_distance.pdq: distance 65, at most 64"),
        ask("distance of an exact type", json!({ "items": [{ "id": "u", "signals": [pdq] }], "max_distance": { "md5": 1 } })).gives(400, "invalid_field", "md5 matches exactly"),
        ask("distance of no type", json!({ "items": [{ "id": "u", "signals": [pdq] }], "max_distance": { "phash": 1 } })).gives(400, "invalid_field", "unknown value \"phash\""),
        ask("unknown list", json!({ "items": [{ "id": "u", "signals": [pdq] }], "lists": ["nowhere"] })).gives(400, "unknown_list", "\"nowhere\""),
        ask("empty id", json!({ "items": [{ "id": "", "signals": [pdq] }] })).gives(400, "invalid_field", "items[0].id"),
        ask("no signal", json!({ "items": [{ "id": "u", "signals": [] }] })).gives(400, "invalid_field", "items[0].signals: must not be empty"),
        ask("eight variants", json!({ "items": [{ "id": "u", "signals": [{ "type": "pdq", "value": value(1, 64), "variants": vec![value(1, 64); 8] }] }] }))
            .gives(400, "invalid_field", "items[0].signals[0].variants: 8 elements, at most 7"),
        ask("variants of an exact type", json!({ "items": [{ "id": "u", "signals": [{ "type": "md5", "value": value(1, 32), "variants": [value(1, 64)] }] }] }))
            .gives(400, "invalid_field", "md5 signals have no variants"),
        ask("a bad variant", json!({ "items": [{ "id": "u", "signals": [{ "type": "pdq", "value": value(1, 64), "variants": ["zz"] }] }] }))
            .gives(400, "invalid_field", "variants[0]"),
    ]
}

/// Cases about records: `own` was stated here, `other` by another member, `gone` is retracted.
fn statements(own: &str, other: &str, gone: &str) -> Vec<Case> {
    let unknown = value(12_345, 64);
    let retract = |name, id: &str| {
        Case::json(name, format!("/v1/records/{id}/retraction"), &json!({ "reason": "error" }))
    };
    let opine = |name, id: &str| {
        Case::json(
            name,
            format!("/v1/records/{id}/opinions"),
            &json!({ "opinion": "disagree", "reason": "benign_collision" }),
        )
    };
    vec![
        retract("another's record", other).gives(403, "not_author", "only its author can retract"),
        retract("unknown record", &unknown).gives(404, "unknown_record", "not known"),
        retract("retracted already", gone).gives(409, "already_retracted", "already retracted"),
        retract("half an id", &own[..32]).gives(400, "invalid_record_id", "64 lower-case hex digits"),
        retract("an id in upper case", &own.to_uppercase()).gives(
            400,
            "invalid_record_id",
            "64 lower-case hex digits",
        ),
        Case::json("no reason", format!("/v1/records/{own}/retraction"), &json!({})).gives(
            400,
            "invalid_json",
            "reason",
        ),
        Case::json(
            "prose as reason",
            format!("/v1/records/{own}/retraction"),
            &json!({ "reason": "because I say so" }),
        )
        .gives(400, "invalid_field", "reason: unknown value"),
        opine("own record", own).gives(409, "own_record", "own"),
        opine("unknown record's opinion", &unknown).gives(404, "unknown_record", "not known"),
        Case::json(
            "unknown opinion",
            format!("/v1/records/{other}/opinions"),
            &json!({ "opinion": "perhaps" }),
        )
        .gives(400, "invalid_field", "opinion: unknown value \"perhaps\""),
        Case::json(
            "unknown reason",
            format!("/v1/records/{other}/opinions"),
            &json!({ "opinion": "agree", "reason": "mood" }),
        )
        .gives(400, "invalid_field", "reason: unknown value \"mood\""),
        Case::json("key of other content", "/v1/records", &json!({ "records": [record(903)] }))
            .header("Idempotency-Key", "used")
            .gives(409, "idempotency_key_reused", "different request"),
        retract("key of another call", own).header("Idempotency-Key", "used").gives(
            409,
            "idempotency_key_reused",
            "different request",
        ),
        Case::json("empty key", "/v1/records", &json!({ "records": [record(903)] }))
            .header("Idempotency-Key", "")
            .gives(400, "invalid_idempotency_key", "1..=128"),
        Case::json("long key", "/v1/records", &json!({ "records": [record(903)] }))
            .header("Idempotency-Key", "k".repeat(129))
            .gives(400, "invalid_idempotency_key", "129 bytes"),
        Case::json("key with a space", "/v1/records", &json!({ "records": [record(903)] }))
            .header("Idempotency-Key", "a b")
            .gives(400, "invalid_idempotency_key", "visible ASCII"),
        Case::json("ack of nine", "/v1/records?ack=replicated:9", &json!({ "records": [record(903)] }))
            .gives(400, "too_few_members", "replicated:9 asked, but the consortium has 1 other"),
        Case::json("ack of none", "/v1/records?ack=replicated:0", &json!({ "records": [record(903)] }))
            .gives(400, "invalid_ack", "outside 1..="),
        Case::json("ack with zeros", "/v1/records?ack=replicated:01", &json!({ "records": [record(903)] }))
            .gives(400, "invalid_ack", "leading zeros"),
        Case::json("ack of another kind", "/v1/records?ack=eventually", &json!({ "records": [record(903)] }))
            .gives(400, "invalid_ack", "expected `local`"),
        Case::json("unknown parameter", "/v1/records?acks=local", &json!({ "records": [record(903)] }))
            .gives(400, "invalid_query", "acks"),
    ]
}

fn reading() -> Vec<Case> {
    vec![
        Case::get("bad cursor", "/v1/records?cursor=there").gives(400, "invalid_field", "cursor"),
        Case::get("half a cursor", format!("/v1/records?cursor={}", value(1, 64))).gives(
            400,
            "invalid_field",
            "cursor",
        ),
        Case::get("limit 0", "/v1/records?limit=0").gives(400, "invalid_field", "limit: 0"),
        Case::get("limit 1001", "/v1/records?limit=1001").gives(400, "invalid_field", "limit: 1001"),
        Case::get("limit of words", "/v1/records?limit=ten").gives(400, "invalid_query", "limit"),
        Case::get("unknown status", "/v1/records?status=fine").gives(400, "invalid_field", "status"),
        Case::get("unknown kind", "/v1/records?kind=picture").gives(400, "invalid_field", "kind"),
        Case::get("unknown type", "/v1/records?signal_type=md6").gives(400, "invalid_field", "signal_type"),
        Case::get("unknown review", "/v1/records?review=triple").gives(400, "invalid_field", "review"),
        Case::get("unknown filter", "/v1/records?colour=red").gives(400, "invalid_query", "colour"),
        Case::get("unknown record", format!("/v1/records/{}", value(12_345, 64))).gives(
            404,
            "not_found",
            "not known",
        ),
        Case::get("unknown proof", format!("/v1/records/{}/proof", value(12_345, 64))).gives(
            404,
            "not_found",
            "no signed tree",
        ),
        Case::get("not an id", "/v1/records/latest").gives(
            400,
            "invalid_record_id",
            "64 lower-case hex digits",
        ),
        Case::get("an id that is no text", "/v1/records/%ff").gives(400, "invalid_path", ""),
        Case::get("unknown path", "/v1/images").gives(404, "not_found", "/v1/images"),
        Case::get("no version", "/records").gives(404, "not_found", "/records"),
        Case::send("wrong method", "DELETE", "/v1/records").gives(
            405,
            "method_not_allowed",
            "DELETE is not allowed at /v1/records",
        ),
        Case::send("put", "PUT", "/v1/match").gives(405, "method_not_allowed", "PUT"),
        Case::get("match by GET", "/v1/match").gives(405, "method_not_allowed", "GET"),
        Case::get("unknown member's log", "/logs/oak/1/checkpoint").gives(404, "not_found", "oak/1"),
        Case::get("second log", "/logs/ash/2/checkpoint").gives(404, "not_found", "ash/2"),
        Case::get("log number with a zero", "/logs/ash/01/checkpoint").gives(404, "not_found", "ash/01"),
        Case::get("tile path", "/logs/ash/1/tile/0/1").gives(400, "invalid_tile_path", ""),
        Case::get("tile level", "/logs/ash/1/tile/99/000").gives(400, "invalid_tile_path", ""),
        Case::get("tile beyond the log", "/logs/ash/1/tile/0/000").gives(404, "not_found", "no such tile"),
        Case::get("bundle path", "/logs/ash/1/tile/entries/000.p/999").gives(400, "invalid_tile_path", ""),
    ]
}

#[test]
fn each_malformed_request_gets_its_error_and_changes_nothing() -> Result<()> {
    let mut consortium = Consortium::found(&["ash", "birch"])?;
    let reader = consortium.nodes[0]
        .command(&["token", "create", "--name", "reader", "--scope", "lookup"])?
        .trim()
        .to_owned();
    consortium.start()?;
    let ash = Api::of(&consortium.nodes[0])?;
    let birch = Api::of(&consortium.nodes[1])?;
    let id = |receipts: &[Value]| receipts[0]["record"].as_str().map(str::to_owned).context("record");
    let own = id(&ash.contribute(&[record(1)])?)?;
    let gone = id(&ash.contribute(&[record(2)])?)?;
    ash.post(&format!("/v1/records/{gone}/retraction"), &json!({ "reason": "error" }))?.ok()?;
    ash.post_with("/v1/records", &json!({ "records": [record(3)] }), &[("Idempotency-Key", "used")])?.ok()?;
    let other = id(&birch.contribute(&[record(4)])?)?;
    crate::evidence::wait_until("birch's record at ash", || {
        Ok(ash.get(&format!("/v1/records/{other}"))?.status == 200)
    })?;

    let before = standing(&consortium, &ash)?;
    let groups =
        [access(), forms(), signals(), labels(), matching(), statements(&own, &other, &gone), reading()];
    let mut wrong = Vec::new();
    let cases: Vec<Case> = groups.into_iter().flatten().collect();
    for case in &cases {
        if let Err(error) = check(&ash, &reader, case) {
            wrong.push(format!("{}: {error:#}", case.name));
        }
        let after = standing(&consortium, &ash)?;
        ensure!(after == before, "{}: {before:?} became {after:?}", case.name);
    }
    ensure!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    // And the node still does its work.
    ash.contribute(&[record(5)])?;
    Ok(())
}

fn check(api: &Api, reader: &str, case: &Case) -> Result<()> {
    let authorization = match case.who {
        Who::Nobody => None,
        Who::Stranger => Some(format!("Bearer hpt_{}", "0".repeat(64))),
        Who::NoBearer => Some(format!("Basic {}", api.token)),
        Who::Reader => Some(format!("Bearer {reader}")),
        Who::Everything => Some(api.bearer()),
    };
    let mut headers: Vec<(&str, &str)> =
        case.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    if let Some(authorization) = &authorization {
        headers.push(("Authorization", authorization));
    }
    let answer = call(api.port, case.method, &case.target, &headers, &case.body)?;
    let shown: String = answer.text().chars().take(300).collect();
    ensure!(answer.status == case.status, "{} instead of {}: {shown}", answer.status, case.status);
    let error = &answer.json()?["error"];
    ensure!(error["code"] == case.code, "code {} instead of {}: {shown}", error["code"], case.code);
    let message = error["message"].as_str().context("message")?;
    ensure!(message.contains(case.says), "{message:?} does not say {:?}", case.says);
    ensure!(!message.is_empty(), "an error without words");
    ensure!(error["request_id"].as_str().is_some_and(|id| !id.is_empty()), "no request id: {shown}");
    Ok(())
}

/// What must not change: the size of the own log, records known, and a record's statements.
fn standing(consortium: &Consortium, api: &Api) -> Result<(u64, u64, u64)> {
    let own = consortium.nodes[0].held("ash")?;
    Ok((own, consortium.nodes[0].held("birch")?, api.metric("hashpact_records")?))
}
