//! `POST /v1/records` for the kinds beside `content`: what is taken, and which field and rule an error names.

use std::collections::BTreeSet;

use hashpact_protocol::api::{NewRecord, RecordJson};
use hashpact_protocol::digest::hex_array;
use hashpact_protocol::leaf::Kind;
use hashpact_protocol::record::{Content, Detail, ModelRole, TileShape, dataset_root};

fn read(json: &str) -> Result<Content, String> {
    let record: NewRecord = serde_json::from_str(json).map_err(|error| error.to_string())?;
    record.subject().map_err(|error| error.to_string())?;
    record.to_record().map_err(|error| error.to_string())
}

fn sha(kind: &str) -> String {
    format!(r#"{{"type":"{kind}","value":"{}"}}"#, "ab".repeat(32))
}

fn model(more: &str) -> String {
    format!(r#"{{"kind":"model","signals":[{}],"model":{{{more}}}}}"#, sha("model_sha256"))
}

fn ttp(more: &str) -> String {
    format!(r#"{{"kind":"ttp","ttp":{{"technique":"HP-T0034","month":"2026-11"{more}}}}}"#)
}

fn genmeta(more: &str) -> String {
    let md5 = "00".repeat(16);
    format!(r#"{{"kind":"content","signals":[{{"type":"md5","value":"{md5}"}}],"genmeta":{{{more}}}}}"#)
}

/// 64 zero bytes.
const TWO_TILES: &str =
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==";

#[test]
fn every_kind_is_taken_and_shown_as_it_was_stated() {
    let log = "11".repeat(32);
    let place = format!(r#"{{"log_id":"{log}","index":7}}"#);
    for (json, kind) in [
        (
            model(&format!(
                r#""form":"adapter","family":"sdxl","parameters":9,"size_bytes":4,"autov1":"0a0b0c0d","claimed":[{{"identifier":"autov3","hex":"0011223344ff"}}],"techniques":["HP-T0003"],"derived_from":[{place}],"copy":"{log}","tiles":[{{"rows":320,"columns":64,"bits":"{TWO_TILES}"}}],"vectors":"{TWO_TILES}""#
            )),
            Kind::Model,
        ),
        (
            format!(
                r#"{{"kind":"dataset","signals":[{}],"dataset":{{"form":"index","items":9,"known":2}}}}"#,
                sha("dataset_root")
            ),
            Kind::Dataset,
        ),
        (
            format!(
                r#"{{"kind":"service","signals":[{}],"service":{{"form":"app","platform":"android","offers":[{place}]}}}}"#,
                sha("package_sha256")
            ),
            Kind::Service,
        ),
        (
            ttp(&format!(
                r#","surface":"hub","count":"10-99","confidence":"high","basis":"human_review","status":"ongoing","related":[{place}]"#
            )),
            Kind::Ttp,
        ),
        (
            genmeta(
                r#""tool":"comfyui","version":"1.10.1","steps":30,"resources":[{"kind":"lora","id":{"identifier":"autov1","hex":"0a0b0c0d"}}]"#,
            ),
            Kind::Content,
        ),
    ] {
        let content = read(&json).unwrap_or_else(|error| panic!("{json}: {error}"));
        assert_eq!(content.kind(), kind);
        let again = NewRecord::from(&content);
        assert_eq!(again.kind, kind.name());
        assert_eq!(again.to_record().expect("restated"), content, "{json}");
        let shown = serde_json::to_string(&RecordJson::default().with_content(&content)).expect("json");
        assert!(!shown.contains(TWO_TILES), "values of sketches are not shown: {shown}");
        if kind == Kind::Model {
            assert!(shown.contains(r#""tiles":[{"rows":320,"columns":64,"count":2}]"#), "{shown}");
            assert!(shown.contains(r#""vector_count":2"#), "{shown}");
        }
    }
}

#[test]
fn registrations_and_parts_are_taken() {
    let numbers = "A".repeat(1364) + "AA==";
    let base = read(&model(&format!(
        r#""role":"base","numbers":[{{"rows":16,"columns":16,"numbers":"{}"}}]"#,
        &numbers
    )));
    let base = base.expect("a registration");
    assert!(base.is_registration());
    let Some(Detail::Model(stated)) = base.detail.as_deref() else { panic!("a model") };
    assert_eq!((stated.role, stated.tile_count()), (ModelRole::Base, 1));
    assert_eq!(stated.numbers[0].shape(), TileShape { rows: 16, columns: 16 });
    let stop = format!(
        r#"{{"kind":"model","model":{{"role":"stop","tiles":[{{"rows":16,"columns":16,"bits":"{TWO_TILES}"}}]}}}}"#
    );
    assert!(read(&stop).expect("a stop list").signals.is_empty());
    let part = |subject: &str| {
        format!(
            r#"{{"kind":"model",{subject}"model":{{"part":{{"number":2,"of":2}},"tiles":[{{"rows":16,"columns":16,"bits":"{TWO_TILES}"}}]}}}}"#
        )
    };
    assert_eq!(read(&part("")), Err("subject: must not be empty".to_owned()));
    assert!(read(&part(&format!(r#""subject":"{}","#, "ab".repeat(32)))).is_ok());
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn errors_name_field_and_rule() {
    for (json, expected) in [
        (r#"{"kind":"model"}"#.to_owned(), "signals: must not be empty"),
        (r#"{"kind":"ttp"}"#.to_owned(), "ttp: must not be empty"),
        (model(r#""name":"x""#), "unknown field `name`"),
        (
            model(r#""form":"lora""#),
            r#"model.form: unknown value "lora", expected one of: undetermined, full"#,
        ),
        (model(r#""role":"benign""#), r#"model.role: unknown value "benign", expected one of: listed, base"#),
        (model(r#""parameters":0"#), "model.parameters: 0 is not stated; leave the field out"),
        (model(r#""autov1":"e3b0c442""#), "model: autov1 is the digest of nothing"),
        (model(r#""autov1":"e3b0c4""#), "model.autov1: expected 8 lower-case hex digits, got 6"),
        (
            model(r#""claimed":[{"identifier":"autov2","hex":"00112233"}]"#),
            "model.claimed[0].hex: identifier of 4 bytes, expected 5..=5",
        ),
        (
            model(r#""techniques":["HP-T0003","HP-T0003"]"#),
            "model.techniques[1]: the same one stands there twice",
        ),
        (
            model(r#""techniques":["T3"]"#),
            "model.techniques[0]: expected a technique as HP-T0001 to HP-T9999",
        ),
        (
            model(r#""derived_from":[{"log_id":"00","index":1}]"#),
            "model.derived_from[0].log_id: expected 64 lower-case hex digits, got 2",
        ),
        (model(r#""tiles":[{"rows":16,"columns":16}]"#), "model.tiles[0].bits: must not be empty"),
        (
            model(r#""tiles":[{"rows":16,"columns":16,"bits":"x"}]"#),
            "model.tiles[0].bits: expected base64 with padding",
        ),
        (
            model(r#""tiles":[{"rows":16,"columns":16,"bits":"AAAA"}]"#),
            "model.tiles[0].bits: 3 bytes of tiles, expected a multiple of 32",
        ),
        (
            model(&format!(r#""tiles":[{{"rows":8,"columns":16,"bits":"{TWO_TILES}"}}]"#)),
            "model.tiles[0].bits: tile with a side of 8, at least 16 is needed",
        ),
        (model(r#""tiles":[{"rows":16,"columns":16,"count":3}]"#), "model.tiles[0].count: has no place here"),
        (
            model(&format!(r#""roll_ups":[{{"rows":16,"columns":16,"bits":"{TWO_TILES}"}}]"#)),
            "model: a roll-up is one value for its shape",
        ),
        (model(r#""part":{"number":3,"of":2},"role":"base""#), "subject: must not be empty"),
        (model(r#""raw":{"form":9}"#), "model.raw: raw label values can be shown, not stated"),
        (
            model("").replace("\"model\":{}", "\"ttp\":{\"technique\":\"HP-T0001\",\"month\":\"2026-01\"}"),
            "ttp: has no place here",
        ),
        (
            model("").replace("model_sha256", "sha256"),
            "signals[0]: signals of type sha256 do not stand in records of kind model",
        ),
        (ttp(r#","surface":"the dark web""#), "ttp.surface: unknown value, expected one of: other, hub"),
        (ttp(r#","note":"x""#), "unknown field `note`"),
        (ttp("").replace("2026-11", "2026-13"), "ttp.month: expected a month as YYYY-MM"),
        (
            ttp("").replace("\"ttp\":", "\"labels\":{\"origin\":\"generated\"},\"ttp\":"),
            "labels: the only label of a ttp record is tlp",
        ),
        (ttp("").replace("\"ttp\":", "\"review\":\"dual\",\"ttp\":"), "review: has no place here"),
        (
            ttp("").replace("\"ttp\":", &format!("\"signals\":[{}],\"ttp\":", sha("model_sha256"))),
            "signals[0]: signals of type model_sha256 do not stand in records of kind ttp",
        ),
        (genmeta(r#""prompt":"x""#), "unknown field `prompt`"),
        (genmeta(r#""version":"1""#), "genmeta.version: expected two or three numbers, at most 999 each"),
        (
            genmeta(r#""version":"1.12345""#),
            "genmeta.version: expected two or three numbers, at most 999 each",
        ),
        (genmeta(r#""steps":1001"#), "genmeta.steps: 1001, at most 1000 is allowed"),
        (
            genmeta(r#""resources":[{"kind":"lora","id":{"identifier":"sha256","hex":"00"}}]"#),
            "genmeta.resources[0].id.hex: identifier of 1 bytes, expected 32..=32",
        ),
        (genmeta(r#""carriers":["exif","paper"]"#), r#"genmeta.carriers[1]: unknown value "paper""#),
        (
            format!(
                r#"{{"kind":"dataset","signals":[{}],"dataset":{{"items":1,"known":2}}}}"#,
                sha("dataset_sha256")
            ),
            "dataset.known: 2 known items of 1",
        ),
    ] {
        let error = read(&json).expect_err(&json);
        assert!(error.starts_with(expected), "{json}\n  says {error}\n  not  {expected}");
    }
}

/// Roots that an independent program computed.
#[test]
fn roots_of_data_sets() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/vectors/keyed/vectors.json")).unwrap();
    for case in vectors["roots"].as_array().unwrap() {
        let digest = |text: &serde_json::Value| hash(text.as_str().unwrap());
        let files = case["files"].as_array().unwrap().iter().map(digest).collect();
        assert_eq!(dataset_root(&files), Some(digest(&case["root"])), "{} files", files.len());
    }
    assert_eq!(dataset_root(&BTreeSet::new()), None);
}

fn hash(text: &str) -> [u8; 32] {
    hex_array(text).unwrap()
}
