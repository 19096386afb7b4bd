//! Models, data sets, services and techniques: stated at one node, found and shown at the others, taken back, gone.

use crate::evidence::wait_until;
use crate::governance::{everywhere, id_of, with_panel};
use crate::http::Api;
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

/// Two tiles of zeros.
const TILES: &str =
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==";

fn digest(byte: u8) -> String {
    format!("{byte:02x}").repeat(32)
}

pub(crate) fn signal(kind: &str, byte: u8) -> Value {
    json!({ "type": kind, "value": digest(byte) })
}

pub(crate) fn model(byte: u8, part: Value) -> Value {
    let crc32 = json!({ "type": "model_crc32", "value": format!("{byte:02x}").repeat(4) });
    let signals = json!([signal("model_sha256", byte), signal("tset1", byte), crc32]);
    json!({ "kind": "model", "signals": signals, "review": "dual", "model": part })
}

/// What a look-up of one signal comes to.
pub(crate) fn outcome(api: &Api, signal: &Value) -> Result<Value> {
    let asked = json!({ "items": [{ "id": "a", "signals": [signal] }] });
    Ok(api.post("/v1/match", &asked)?.ok()?["results"][0]["outcome"].clone())
}

fn listed(api: &Api, kind: &str) -> Result<Vec<Value>> {
    let page = api.get(&format!("/v1/records?kind={kind}"))?.ok()?;
    Ok(page["records"].as_array().context("records")?.clone())
}

#[test]
fn every_kind_is_found_at_the_other_nodes_until_it_is_taken_back() -> Result<()> {
    let (consortium, apis) = with_panel()?;
    let adapter = json!({ "form": "adapter", "family": "sdxl", "autov1": "0a0b0c0d", "techniques": ["HP-T0003"],
        "tiles": [{ "rows": 320, "columns": 64, "bits": TILES }] });
    let dataset = json!({ "kind": "dataset", "signals": [signal("dataset_root", 2)], "review": "dual",
        "dataset": { "form": "index", "items": 90, "known": 3 } });
    let service = json!({ "kind": "service", "signals": [signal("package_sha256", 3)], "review": "dual",
        "service": { "form": "app", "platform": "android" } });
    let picture = json!({ "kind": "content", "signals": [{ "type": "md5", "value": "04".repeat(16) }], "review": "dual",
        "genmeta": { "tool": "comfyui", "resources": [{ "kind": "lora", "id": { "identifier": "autov1", "hex": "0a0b0c0d" } }] } });
    let stated = apis[0].contribute(&[model(1, adapter), dataset, service, picture])?;
    let ids: Vec<String> = (0..4).map(|nth| id_of(&stated, nth)).collect::<Result<_>>()?;
    let add = [
        "--json",
        "ttp",
        "add",
        "HP-T0003",
        "2026-11",
        "--surface",
        "hub",
        "--count",
        "10-99",
        "--related",
        &ids[0],
    ];
    let ttp = consortium.nodes[0].hashpact_ok(&add)?.json_lines()?;
    let ttp = id_of(&ttp, 0)?;
    for id in ids.iter().chain([&ttp]) {
        everywhere(&apis, id, "active")?;
    }
    for api in &apis {
        for (kind, byte) in [("model_sha256", 1), ("tset1", 1), ("dataset_root", 2), ("package_sha256", 3)] {
            ensure!(outcome(api, &signal(kind, byte))? == "review", "{kind}");
        }
        // Four bytes are a lead, and the digest of a model is not that of a picture.
        ensure!(outcome(api, &json!({ "type": "model_crc32", "value": "01010101" }))?.is_null());
        ensure!(outcome(api, &signal("sha256", 1))?.is_null());
        for (kind, id) in [("model", &ids[0]), ("dataset", &ids[1]), ("service", &ids[2]), ("ttp", &ttp)] {
            let shown = listed(api, kind)?;
            ensure!(shown.len() == 1 && shown[0]["record"] == json!(id), "{kind}: {shown:?}");
        }
        let shown = &listed(api, "model")?[0]["model"];
        ensure!(shown["tiles"] == json!([{ "rows": 320, "columns": 64, "count": 2 }]), "{shown}");
        ensure!(listed(api, "content")?[0]["genmeta"]["tool"] == "comfyui");
    }

    let birch = &consortium.nodes[1];
    let seen = birch
        .hashpact_ok(&["--json", "ttp", "list", "--tactic", "TA01", "--from", "2026-11"])?
        .json_lines()?;
    ensure!(seen.len() == 1 && seen[0]["name"] == "Low-rank adapter", "{seen:?}");
    ensure!(seen[0]["stix"]["attack_pattern"].as_str().is_some_and(|id| id.starts_with("attack-pattern--")));
    ensure!(seen[0]["record"]["ttp"]["related"][0]["index"] == 0, "{seen:?}");
    let count = |by: &str| birch.hashpact_ok(&["--json", "ttp", "statistics", "--by", by])?.json_lines();
    ensure!(count("surface")? == [json!({ "month": "2026-11", "key": "hub", "records": 1, "members": 1 })]);
    ensure!(count("member")?[0]["key"] == "ash");
    let models = birch.hashpact_ok(&["--json", "report", "genmeta", "--by", "model"])?.json_lines()?;
    ensure!(models.len() == 1 && models[0]["key"] == "autov1:0a0b0c0d", "{models:?}");

    for id in ids.iter().chain([&ttp]) {
        apis[0].post(&format!("/v1/records/{id}/retraction"), &json!({ "reason": "error" }))?.ok()?;
    }
    for id in ids.iter().chain([&ttp]) {
        everywhere(&apis, id, "retracted")?;
    }
    for api in &apis {
        for (kind, byte) in [("model_sha256", 1), ("dataset_root", 2), ("package_sha256", 3)] {
            ensure!(outcome(api, &signal(kind, byte))?.is_null(), "{kind}");
        }
        for kind in ["model", "dataset", "service", "ttp", "content"] {
            ensure!(listed(api, kind)?.is_empty(), "{kind}");
        }
        ensure!(api.get("/v1/ttps/statistics")?.ok()?["rows"] == json!([]));
        ensure!(api.get("/v1/reports/genmeta")?.ok()?["rows"] == json!([]));
    }
    Ok(())
}

#[test]
fn keyed_digests_stay_in_their_group_and_registrations_have_no_outcome() -> Result<()> {
    let (consortium, apis) = with_panel()?;
    let keyed =
        json!({ "kind": "dataset", "signals": [signal("url_key", 7)], "dataset": { "form": "index" } });
    let refused = apis[0].post("/v1/records", &json!({ "records": [keyed] }))?;
    ensure!(
        refused.status == 400 && refused.text().contains("url_key signals go to a group only"),
        "{}",
        refused.text()
    );
    let stated = apis[0].post("/v1/records?group=licensees", &json!({ "records": [keyed] }))?.ok()?;
    let keyed_id = stated["receipts"][0]["record"].as_str().context("an id")?.to_owned();
    everywhere(&apis[..2], &keyed_id, "active")?;
    ensure!(!outcome(&apis[1], &signal("url_key", 7))?.is_null());
    wait_until("cedar to hold the leaf", || Ok(consortium.nodes[2].held("ash")? == 1))?;
    ensure!(outcome(&apis[2], &signal("url_key", 7))?.is_null());

    let base = apis[0].contribute(&[model(8, json!({ "role": "base", "family": "sdxl" }))])?;
    everywhere(&apis, &id_of(&base, 0)?, "active")?;
    for api in &apis {
        ensure!(outcome(api, &signal("model_sha256", 8))?.is_null(), "a registration is no listing");
    }
    // The same kind may take its place, another may not.
    let id = id_of(&base, 0)?;
    let other = json!({ "kind": "service", "signals": [signal("package_sha256", 3)], "service": {} });
    let refused = apis[0].post(&format!("/v1/records/{id}/supersede"), &other)?;
    ensure!(refused.status == 409 && refused.text().contains("other_kind"), "{}", refused.text());
    let listing = model(8, json!({ "form": "finetune" }));
    let new = apis[0].post(&format!("/v1/records/{id}/supersede"), &listing)?.ok()?;
    let new = new["record"].as_str().context("an id")?.to_owned();
    everywhere(&apis, &id, "superseded")?;
    everywhere(&apis, &new, "active")?;
    for api in &apis {
        ensure!(outcome(api, &signal("model_sha256", 8))? == "review");
        let shown = api.get(&format!("/v1/records/{new}"))?.ok()?;
        ensure!(shown["kind"] == "supersede" && shown["states"] == "model", "{shown}");
        ensure!(listed(api, "model")?.len() == 1);
    }
    // What does not fit goes on in a part, which is its author's alone.
    let part = json!({ "kind": "model", "subject": new, "model": { "part": { "number": 2, "of": 2 },
        "tiles": [{ "rows": 16, "columns": 16, "bits": TILES }] } });
    apis[0].contribute(std::slice::from_ref(&part))?;
    let refused = apis[1].post("/v1/records", &json!({ "records": [part] }))?;
    ensure!(refused.status == 403 && refused.text().contains("not_author"), "{}", refused.text());
    Ok(())
}
