//! The JSON of the HTTP API: exact snapshots, refusal of unknown fields, bounds and their messages.

use hashpact_protocol::api::{
    Ack, AsOf, ContributeRequest, ErrorBody, ErrorDetail, GroupJson, LabelsJson, Match, MatchItem,
    MatchLimits, MatchRequest, MatchResponse, MatchResult, NewRecord, OpinionCounts, OpinionRequest,
    QuerySignal, Receipt, Receipts, RecordJson, RetractionRequest, check_idempotency_key, time,
};
use hashpact_protocol::limits::{MATCH_SIGNALS_PER_CALL_MAX, RECORDS_PER_CALL_MAX, TIME_MS_MAX};
use hashpact_protocol::record::{
    Content, EvidenceSet, Label, Labels, Record, RetractionReason, Review, Signal, SignalType, UnknownSignal,
};
use proptest::prelude::*;

const PDQ: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn match_error(json: &str) -> String {
    let request: MatchRequest = serde_json::from_str(json).expect("shape");
    request.check(&MatchLimits::default()).expect_err("refused").to_string()
}

fn record_error(json: &str) -> String {
    let request: ContributeRequest = serde_json::from_str(json).expect("shape");
    request.to_records().expect_err("refused").to_string()
}

fn item(signal: &str) -> String {
    format!(r#"{{"items":[{{"id":"u1","signals":[{signal}]}}]}}"#)
}

fn record(fields: &str) -> String {
    let signals = r#""signals":[{"type":"md5","value":"000102030405060708090a0b0c0d0e0f"}]"#;
    format!(r#"{{"records":[{{"kind":"content",{signals},{fields}}}]}}"#)
}

#[test]
fn a_match_request_becomes_typed_queries() {
    let json = format!(
        r#"{{"items":[{{"id":"u1","signals":[{{"type":"pdq","value":"{PDQ}","quality":98,"variants":["{PDQ}"]}}]}}],"max_distance":{{"pdq":12,"md5":0}},"lists":["cg-csam"]}}"#
    );
    let request: MatchRequest = serde_json::from_str(&json).expect("shape");
    let limits = MatchLimits::default();
    let queries = request.to_queries(&limits).expect("queries");
    assert_eq!(request.pdq_distance(&limits), Ok(Some(12)));
    assert!(!request.explain);
    assert_eq!(queries.len(), 1);
    assert_eq!(queries[0].id, "u1");
    let (signal, variants) = &queries[0].signals[0];
    assert_eq!((signal.kind(), signal.quality()), (SignalType::Pdq, Some(98)));
    assert_eq!(signal.value()[..4], [0x00, 0x11, 0x22, 0x33]);
    assert_eq!(variants.as_slice(), [<[u8; 32]>::try_from(signal.value()).expect("32 bytes")]);
    let again: MatchRequest =
        serde_json::from_str(&serde_json::to_string(&request).expect("json")).expect("shape");
    assert_eq!(again, request);
}

#[test]
fn absent_options_have_their_defaults() {
    let request: MatchRequest =
        serde_json::from_str(&item(&format!(r#"{{"type":"pdq","value":"{PDQ}"}}"#))).expect("shape");
    assert_eq!(request.pdq_distance(&MatchLimits::default()), Ok(None), "each list has its own");
    assert_eq!(request.lists, None);
}

#[test]
fn match_errors_name_item_signal_and_rule() {
    let long = format!(
        r#"{{"items":[{{"id":"a","signals":[{{"type":"pdq","value":"{PDQ}"}}]}},{{"id":"b","signals":[{{"type":"md5","value":"00"}},{{"type":"pdq","value":"{}"}}]}}]}}"#,
        &PDQ[1..]
    );
    let types = SignalType::ALL.map(SignalType::name).join(", ");
    let cases: &[(&str, &str)] = &[
        (
            &long.replace(r#"{"type":"md5","value":"00"},"#, ""),
            "items[1].signals[0].value: expected 64 lower-case hex digits, got 63",
        ),
        (&long, "items[1].signals[0].value: expected 32 lower-case hex digits, got 2"),
        (r#"{"items":[]}"#, "items: must not be empty"),
        (r#"{"items":[{"id":"a","signals":[]}]}"#, "items[0].signals: must not be empty"),
        (r#"{"items":[{"id":"","signals":[]}]}"#, "items[0].id: 0 bytes, expected 1..=256"),
        (r#"{"items":[{"id":"a\nb","signals":[]}]}"#, "items[0].id: control characters are not allowed"),
        (
            &item(r#"{"type":"pdqf","value":""}"#),
            &format!(r#"items[0].signals[0].type: unknown value "pdqf", expected one of: {types}"#),
        ),
        (
            &item(&format!(r#"{{"type":"{PDQ}","value":""}}"#)),
            &format!("items[0].signals[0].type: unknown value, expected one of: {types}"),
        ),
        (
            &item(&format!(r#"{{"type":"pdq","value":"{}"}}"#, PDQ.to_uppercase())),
            "items[0].signals[0].value: expected lower-case hex digits, but character 20 is none (counted from 0)",
        ),
        (
            &item(&format!(r#"{{"type":"pdq","value":"é{}"}}"#, &PDQ[2..])),
            "items[0].signals[0].value: expected lower-case hex digits, but character 0 is none (counted from 0)",
        ),
        (
            &item(&format!(r#"{{"type":"pdq","value":"{PDQ}","quality":101}}"#)),
            "items[0].signals[0].quality: quality 101, expected 0..=100",
        ),
        (
            &item(&format!(r#"{{"type":"sha256","value":"{PDQ}","quality":1}}"#)),
            "items[0].signals[0].quality: sha256 signals have no quality, got 1",
        ),
        (
            &item(&format!(r#"{{"type":"sha256","value":"{PDQ}","variants":["{PDQ}"]}}"#)),
            "items[0].signals[0].variants: sha256 signals have no variants",
        ),
        (
            &item(&format!(r#"{{"type":"pdq","value":"{PDQ}","variants":["{PDQ}","00"]}}"#)),
            "items[0].signals[0].variants[1]: expected 64 lower-case hex digits, got 2",
        ),
        (
            &item(&format!(
                r#"{{"type":"pdq","value":"{PDQ}","variants":[{}]}}"#,
                vec![format!("\"{PDQ}\""); 8].join(",")
            )),
            "items[0].signals[0].variants: 8 elements, at most 7 are allowed",
        ),
        (r#"{"items":[],"max_distance":{"pdq":65}}"#, "max_distance.pdq: distance 65, at most 64 is allowed"),
        (
            r#"{"items":[],"max_distance":{"md5":1}}"#,
            "max_distance.md5: md5 matches exactly; the only distance is 0, got 1",
        ),
        (
            r#"{"items":[],"max_distance":{"tmk":1}}"#,
            &format!(r#"max_distance: unknown value "tmk", expected one of: {types}"#),
        ),
        (r#"{"items":[],"lists":[]}"#, "lists: must not be empty"),
        (
            r#"{"items":[],"lists":["ok","No"]}"#,
            "lists[1]: a token has only the characters a-z 0-9 . _ - (byte 0 is another)",
        ),
    ];
    for (json, expected) in cases {
        assert_eq!(match_error(json), *expected, "{json}");
    }
}

#[test]
fn unknown_fields_of_requests_are_refused() {
    let refused =
        |error: serde_json::Error| assert!(error.to_string().starts_with("unknown field"), "{error}");
    refused(serde_json::from_str::<MatchRequest>(r#"{"items":[],"max_distances":{}}"#).expect_err("refused"));
    refused(
        serde_json::from_str::<MatchRequest>(&item(r#"{"type":"pdq","value":"","url":""}"#))
            .expect_err("refused"),
    );
    refused(serde_json::from_str::<ContributeRequest>(&record(r#""note":"""#)).expect_err("refused"));
    refused(
        serde_json::from_str::<ContributeRequest>(&record(r#""labels":{"name":""}"#)).expect_err("refused"),
    );
    refused(
        serde_json::from_str::<ContributeRequest>(&record(r#""source":{"organisation":"x","url":""}"#))
            .expect_err("refused"),
    );
    refused(serde_json::from_str::<OpinionRequest>(r#"{"opinion":"agree","text":""}"#).expect_err("refused"));
    refused(serde_json::from_str::<RetractionRequest>(r#"{"text":""}"#).expect_err("refused"));
}

#[test]
fn calls_at_the_bound_and_one_past_it() {
    let signal = QuerySignal { signal_type: "md5".into(), value: "00".repeat(16), ..QuerySignal::default() };
    let item = MatchItem { id: "x".into(), signals: vec![signal.clone()] };
    let mut request =
        MatchRequest { items: vec![item; MATCH_SIGNALS_PER_CALL_MAX], ..MatchRequest::default() };
    let limits = MatchLimits::default();
    assert_eq!(request.check(&limits), Ok(()));
    request.items[7].signals.push(signal.clone());
    let error = request.check(&limits).expect_err("refused").to_string();
    assert_eq!(error, "items: 10001 signals in one call, at most 10000 are allowed");
    let small = MatchLimits { signals_max: 5, ..limits };
    request.items.truncate(6);
    assert_eq!(
        request.check(&small).expect_err("refused").to_string(),
        "items: 6 signals in one call, at most 5 are allowed"
    );
    request.items.truncate(1);
    request.items[0].signals = vec![signal; 65];
    assert_eq!(
        request.check(&limits).expect_err("refused").to_string(),
        "items[0].signals: 65 elements, at most 64 are allowed"
    );
    let one: ContributeRequest = serde_json::from_str(&record(r#""labels":{}"#)).expect("shape");
    let mut many = ContributeRequest { records: vec![one.records[0].clone(); RECORDS_PER_CALL_MAX] };
    assert_eq!(many.to_records().expect("records").len(), 10_000);
    many.records.push(many.records[0].clone());
    let error = many.to_records().expect_err("refused").to_string();
    assert_eq!(error, "records: 10001 elements, at most 10000 are allowed");
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn record_errors_name_record_field_and_rule() {
    let md5 = r#"{"type":"md5","value":"000102030405060708090a0b0c0d0e0f"}"#;
    let cases: &[(&str, &str)] = &[
        (r#"{"records":[]}"#, "records: must not be empty"),
        (
            r#"{"records":[{"kind":"opinion","signals":[]}]}"#,
            r#"records[0].kind: unknown value "opinion", expected one of: content, model, dataset, service, ttp"#,
        ),
        (r#"{"records":[{"kind":"content","signals":[]}]}"#, "records[0].signals: must not be empty"),
        (
            &format!(r#"{{"records":[{{"kind":"content","signals":[{md5},{md5}]}}]}}"#),
            "records[0].signals[1]: same type and value as signals[0]",
        ),
        (
            &format!(r#"{{"records":[{{"kind":"content","signals":[{}]}}]}}"#, vec![md5; 65].join(",")),
            "records[0].signals: 65 elements, at most 64 are allowed",
        ),
        (
            &record(r#""labels":{"origin":"generatd"}"#),
            r#"records[0].labels.origin: unknown value "generatd", expected one of: undetermined, generated, edited_benign, edited_abuse, photographic"#,
        ),
        (
            &record(r#""labels":{"likeness":"Some person's name"}"#),
            "records[0].labels.likeness: unknown value, expected one of: undetermined, known_victim, extant_person, none_known",
        ),
        (
            &record(r#""labels":{"evidence":["watermark","rumour"]}"#),
            r#"records[0].labels.evidence[1]: unknown value "rumour", expected one of: human_review, c2pa_manifest, watermark, generator_metadata, classifier, operator_statement"#,
        ),
        (
            &record(r#""labels":{"raw":{"origin":9}}"#),
            "records[0].labels.raw: raw label values can be shown, not stated",
        ),
        (
            &record(r#""review":"triple""#),
            r#"records[0].review: unknown value "triple", expected one of: unreviewed, single, dual, hotline_confirmed"#,
        ),
        (
            &record(r#""source":{"organisation":"Example"}"#),
            "records[0].source.organisation: a token has only the characters a-z 0-9 . _ - (byte 0 is another)",
        ),
        (
            &record(r#""source":{"organisation":""}"#),
            "records[0].source.organisation: token of 0 bytes, expected 1..=64",
        ),
        (
            &record(r#""source":{"organisation":"x","date":"2025-02-29"}"#),
            "records[0].source.date: no such day: 29",
        ),
        (
            &record(r#""source":{"organisation":"x","date":"2025-2-9"}"#),
            "records[0].source.date: expected a day such as 2026-01-31",
        ),
        (
            &record(r#""expires":"tomorrow""#),
            "records[0].expires: expected an RFC 3339 time such as 2026-01-31T12:00:00Z",
        ),
        (&record(r#""expires":"2027-01-01T00:00:00.5Z""#), "records[0].expires: expected whole seconds"),
        (
            &record(r#""expires":"1970-01-01T00:00:00Z""#),
            "records[0].expires: expiry 0 s, expected 1..=253402300799",
        ),
        (
            &record(r#""handling":{"hash_set":"CG CSAM"}"#),
            "records[0].handling.hash_set: a token has only the characters a-z 0-9 . _ - (byte 0 is another)",
        ),
        (
            &record(r#""handling":{"reported_to":[{"to":"ncmec","month":"2026-11","raw":7}]}"#),
            "records[0].handling.reported_to[0].raw: raw label values can be shown, not stated",
        ),
        (
            &record(
                r#""handling":{"classes":[{"scheme":"iwf","version":"1","class":"a"},{"scheme":"iwf","version":"1","class":"a"}]}"#,
            ),
            "records[0].handling.classes: the same one stands there twice",
        ),
        (
            &record(r#""expires":"2027-01-01T00:00:00Z","handling":{"valid_from":"2027-01-01T00:00:00Z"}"#),
            "records[0].handling.valid_from: valid from 1798761600 s, which is not before the expiry 1798761600 s",
        ),
    ];
    for (json, expected) in cases {
        assert_eq!(record_error(json), *expected, "{json}");
    }
}

#[test]
fn statements_use_their_vocabularies() {
    let opinion: OpinionRequest =
        serde_json::from_str(r#"{"opinion":"disagree","reason":"not_cg"}"#).expect("shape");
    assert!(opinion.check().is_ok());
    let prose = OpinionRequest { reason: Some("because I say so".into()), ..opinion };
    assert!(
        prose
            .check()
            .expect_err("refused")
            .to_string()
            .starts_with("reason: unknown value, expected one of: unstated, benign")
    );
    let retraction = RetractionRequest { reason: "error".into() };
    assert_eq!(retraction.check(), Ok(RetractionReason::Error));
    assert!(RetractionRequest { reason: String::new() }.check().is_err());
}

#[test]
fn answers_have_exactly_this_json() {
    let labels = LabelsJson::from(&Labels::default());
    let found = Match {
        record: "ab".into(),
        member: "alpha".into(),
        log: "example-0011223344556677/alpha/1".into(),
        index: 5,
        signal_type: "pdq".into(),
        distance: 12,
        variant: 0,
        status: "active".into(),
        labels,
        review: "dual".into(),
        first_stated: time::rfc3339(1_767_225_600_123),
        sources: 1,
        opinions: OpinionCounts::default(),
        proof: "/v1/records/ab/proof".into(),
        outcome: Some("block".into()),
        list: Some("confirmed".into()),
        explain: Vec::new(),
    };
    let result = |outcome: Option<&str>, matches: Vec<Match>| MatchResult {
        id: "u1".into(),
        outcome: outcome.map(str::to_owned),
        list: outcome.map(|_| "built-in".to_owned()),
        total: matches.len() as u64,
        group: outcome.map(|_| GroupJson {
            records: 1,
            members: vec!["alpha".into()],
            sources: 1,
            review: "dual".into(),
            reviewed_by: vec!["alpha".into()],
            looks: 2,
            why: "reviewed_twice".into(),
            sentence: "s".into(),
            ..GroupJson::default()
        }),
        matches,
        not_counted: Vec::new(),
    };
    let response = MatchResponse {
        complete: true,
        reason: None,
        as_of: AsOf { view: "v".into(), roster: 1 },
        results: vec![result(Some("review"), vec![found]), result(None, vec![])],
    };
    let json = r#"{"complete":true,"as_of":{"view":"v","roster":1},"results":[{"id":"u1","outcome":"review","list":"built-in","total":1,"matches":[{"record":"ab","member":"alpha","log":"example-0011223344556677/alpha/1","index":5,"signal_type":"pdq","distance":12,"variant":0,"status":"active","labels":{"origin":"undetermined","realism":"undetermined","activity":"undetermined","age_group":"undetermined","likeness":"undetermined","tlp":"amber+strict"},"review":"dual","first_stated":"2026-01-01T00:00:00.123Z","sources":1,"opinions":{"agree":0,"disagree":0,"unsure":0,"seen":0},"proof":"/v1/records/ab/proof","outcome":"block","list":"confirmed"}],"group":{"records":1,"members":["alpha"],"sources":1,"review":"dual","reviewed_by":["alpha"],"looks":2,"look":false,"why":"reviewed_twice","sentence":"s"}},{"id":"u1","outcome":null,"total":0,"matches":[]}]}"#;
    assert_eq!(serde_json::to_string(&response).expect("json"), json);
    assert_eq!(serde_json::from_str::<MatchResponse>(json).expect("shape"), response);

    let receipts = Receipts {
        receipts: vec![Receipt {
            record: "ab".into(),
            log: "l".into(),
            index: 5,
            tree_size: 6,
            ack: "local".into(),
        }],
    };
    assert_eq!(
        serde_json::to_string(&receipts).expect("json"),
        r#"{"receipts":[{"record":"ab","log":"l","index":5,"tree_size":6,"ack":"local"}]}"#
    );
    let error = ErrorBody {
        error: ErrorDetail { code: "invalid_request".into(), message: "m".into(), request_id: "r".into() },
    };
    assert_eq!(
        serde_json::to_string(&error).expect("json"),
        r#"{"error":{"code":"invalid_request","message":"m","request_id":"r"}}"#
    );
}

#[test]
fn a_record_shows_what_it_cannot_name() {
    let mut content =
        Content::new(vec![Signal::new(SignalType::Md5, &[1; 16], None).expect("signal")]).expect("content");
    content.unknown_signals.push(UnknownSignal { code: 77, value: vec![1, 2], quality: None });
    content.labels.origin = Label::Unknown(9);
    content.labels.evidence = EvidenceSet::from_bits(1 << 9 | 1);
    content.review = Label::Unknown(12);
    let shown =
        RecordJson { kind: Record::Content(content.clone()).kind().name().into(), ..RecordJson::default() }
            .with_content(&content);
    assert_eq!(shown.signals[1].signal_type, "unknown-77");
    assert_eq!(shown.review.as_deref(), Some(Review::Unreviewed).map(|_| "unreviewed"));
    let labels = shown.labels.expect("labels");
    assert_eq!(labels.origin.as_deref(), Some("undetermined"));
    assert_eq!(
        serde_json::to_string(&labels.raw).expect("json"),
        r#"{"evidence":512,"origin":9,"review":12}"#
    );
    assert_eq!(NewRecord::from(&content).signals.len(), 1, "nobody can state what they cannot name");
}

#[test]
fn acks_and_idempotency_keys() {
    assert_eq!(Ack::parse("local"), Ok(Ack::Local));
    assert_eq!(Ack::parse("replicated:2"), Ok(Ack::Replicated(2)));
    assert_eq!(Ack::Replicated(2).to_string(), "replicated:2");
    for refused in [
        "",
        "Local",
        "replicated",
        "replicated:",
        "replicated:0",
        "replicated:02",
        "replicated:+1",
        "replicated:256",
        "replicated:99999999999999999999",
    ] {
        assert!(Ack::parse(refused).is_err(), "{refused}");
    }
    assert!(check_idempotency_key(&"k".repeat(128)).is_ok());
    for refused in ["", "a b", "é", &"k".repeat(129)] {
        assert!(check_idempotency_key(refused).is_err(), "{refused}");
    }
}

#[test]
fn times_are_read_and_written() {
    let cases: &[(&str, u64)] = &[
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T01:00:00+01:00", 0),
        ("2000-02-29T23:59:59.999Z", 951_868_799_999),
        ("2000-03-01t00:00:00.0009z", 951_868_800_000),
        ("2026-01-01T00:00:00.5-00:30", 1_767_227_400_500),
        ("9999-12-31T23:59:59.999Z", TIME_MS_MAX),
    ];
    for (text, time_ms) in cases {
        assert_eq!(time::parse_rfc3339(text), Ok(*time_ms), "{text}");
    }
    assert_eq!(time::rfc3339(u64::MAX), "9999-12-31T23:59:59.999Z");
    let refused = [
        "",
        "2026-01-01",
        "2026-01-01 00:00:00Z",
        "2026-01-01T00:00:00",
        "2026-01-01T00:00:00.Z",
        "2026-13-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z",
        "2026-01-01T00:00:60Z",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "2026-01-01T00:00:00+24:00",
        "2026-01-01T00:00:00ZZ",
        "2026-01-01T00:00:00.1234567890Z",
        "２026-01-01T00:00:00Z",
        "2026-01-01T00:00:0é",
    ];
    for text in refused {
        assert!(time::parse_rfc3339(text).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn every_time_reads_back(time_ms in 0..=TIME_MS_MAX) {
        prop_assert_eq!(time::parse_rfc3339(&time::rfc3339(time_ms)), Ok(time_ms));
    }

    #[test]
    fn days_follow_each_other(days in 0..2_932_896u64) {
        let (day, next) = (time::day_text(days), time::day_text(days + 1));
        prop_assert!(day < next);
        prop_assert_eq!(time::parse_day(&day), Ok(days));
    }

    #[test]
    fn reading_a_time_never_panics(text in ".{0,40}") {
        let _ = time::parse_rfc3339(&text);
    }
}
