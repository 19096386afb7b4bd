//! Statements about models, data sets, services and techniques: taken strictly, shown, listed, counted.

use super::*;

fn sha(kind: &str, byte: u8) -> Value {
    json!({ "type": kind, "value": hex(&[byte; 32]) })
}

fn model(byte: u8) -> Value {
    json!({ "kind": "model", "signals": [sha("model_sha256", byte)], "model": { "form": "adapter" } })
}

fn ttp(technique: &str, month: &str, surface: &str) -> Value {
    json!({ "kind": "ttp", "ttp": { "technique": technique, "month": month, "surface": surface } })
}

async fn state(node: &Fixture, records: Value) -> Vec<String> {
    let receipts = node.post("/v1/records", &json!({ "records": records })).await.ok();
    let receipts = receipts["receipts"].as_array().expect("receipts").clone();
    receipts.iter().map(|receipt| receipt["record"].as_str().expect("an id").to_owned()).collect()
}

async fn ids(node: &Fixture, path: &str, key: &str) -> Vec<String> {
    let page = node.get(path).await.ok();
    let records = page[key].as_array().expect("records").iter();
    let id =
        |record: &Value| record["record"]["record"].as_str().or(record["record"].as_str()).map(str::to_owned);
    records.filter_map(id).collect()
}

#[tokio::test]
async fn what_breaks_a_rule_is_refused_by_name_and_changes_nothing() {
    let node = Fixture::new();
    let good = model(1);
    for (bad, needle) in [
        (
            json!({ "kind": "model", "signals": [sha("sha256", 1)] }),
            "records[1].signals[0]: signals of type sha256",
        ),
        (json!({ "kind": "dataset", "signals": [sha("url_key", 1)] }), "url_key signals go to a group only"),
        (ttp("HP-T00", "2026-11", "hub"), "records[1].ttp.technique: expected a technique"),
        (ttp("HP-T0001", "2026-11", "a place"), "records[1].ttp.surface: unknown value"),
        (
            json!({ "kind": "ttp", "ttp": { "technique": "HP-T0001", "month": "2026-11", "text": "x" } }),
            "unknown field",
        ),
        (
            json!({ "kind": "service", "signals": [sha("package_sha256", 1)], "model": {} }),
            "records[1].model: has no place here",
        ),
        (
            json!({ "kind": "evidence", "signals": [] }),
            "expected one of: content, model, dataset, service, ttp",
        ),
    ] {
        let refused = node.post("/v1/records", &json!({ "records": [good, bad] })).await;
        assert_eq!(refused.status.as_u16(), 400, "{}", refused.text());
        assert!(refused.text().contains(needle), "{} not in {}", needle, refused.text());
    }
    let unknown = json!({ "records": [{ "kind": "model", "subject": hex(&[9; 32]), "signals": [sha("model_sha256", 1)] }] });
    assert_eq!(node.post("/v1/records", &unknown).await.status.as_u16(), 404);
    assert!(ids(&node, "/v1/records", "records").await.is_empty());
}

#[tokio::test]
async fn kinds_are_listed_apart_and_observations_by_what_they_say() {
    let node = Fixture::new();
    let dataset = json!({ "kind": "dataset", "signals": [sha("dataset_root", 2)] });
    let stated = state(
        &node,
        json!([
            model(1),
            dataset,
            ttp("HP-T0034", "2026-10", "hub"),
            ttp("HP-T0034", "2026-11", "social"),
            ttp("HP-T0003", "2026-11", "hub"),
            ttp("HP-T0999", "2026-11", "hub")
        ]),
    )
    .await;
    let of = |nth: &[usize]| -> Vec<String> { nth.iter().map(|nth| stated[*nth].clone()).collect() };
    for (kind, expected) in
        [("model", &[0][..]), ("dataset", &[1]), ("ttp", &[2, 3, 4, 5]), ("service", &[]), ("content", &[])]
    {
        assert_eq!(ids(&node, &format!("/v1/records?kind={kind}"), "records").await, of(expected), "{kind}");
    }
    assert_eq!(node.get("/v1/records?kind=opinion").await.status.as_u16(), 400);
    for (query, expected) in [
        ("", &[2, 3, 4, 5][..]),
        ("technique=HP-T0034", &[2, 3]),
        ("tactic=TA05&from=2026-11", &[3]),
        ("surface=hub&to=2026-10", &[2]),
        ("from=2026-11&surface=hub", &[4, 5]),
        ("member=nobody", &[]),
    ] {
        assert_eq!(ids(&node, &format!("/v1/ttps?{query}"), "ttps").await, of(expected), "{query}");
    }
    let page = node.get("/v1/ttps?limit=3").await.ok();
    let cursor = page["next"].as_str().expect("there is more");
    assert_eq!(ids(&node, &format!("/v1/ttps?limit=3&cursor={cursor}"), "ttps").await, of(&[5]));
    for query in [
        "technique=T1",
        "tactic=TA09",
        "surface=x",
        "from=2026",
        "from=2026-11&to=2026-10",
        "limit=0",
        "cursor=x",
        "colour=red",
    ] {
        assert_eq!(node.get(&format!("/v1/ttps?{query}")).await.status.as_u16(), 400, "{query}");
    }
    let shown = node.get("/v1/ttps?technique=HP-T0999").await.ok();
    assert!(shown["ttps"][0].get("name").is_none(), "a technique of a newer taxonomy: {shown}");
}

#[tokio::test]
async fn statistics_count_what_stands_by_month_and_key() {
    let node = Fixture::new();
    let stated = state(
        &node,
        json!([
            ttp("HP-T0034", "2026-10", "hub"),
            ttp("HP-T0034", "2026-11", "hub"),
            ttp("HP-T0035", "2026-11", "hub")
        ]),
    )
    .await;
    let rows = async |query: &str| -> Vec<(String, String, u64)> {
        let answer = node.get(&format!("/v1/ttps/statistics?{query}")).await.ok();
        let row = |row: &Value| {
            let text = |key: &str| row[key].as_str().expect("text").to_owned();
            (text("month"), text("key"), row["records"].as_u64().expect("a number"))
        };
        answer["rows"].as_array().expect("rows").iter().map(row).collect()
    };
    let row = |month: &str, key: &str, records| (month.to_owned(), key.to_owned(), records);
    assert_eq!(rows("by=tactic").await, [row("2026-10", "TA05", 1), row("2026-11", "TA05", 2)]);
    assert_eq!(rows("from=2026-11").await, [row("2026-11", "HP-T0034", 1), row("2026-11", "HP-T0035", 1)]);
    let reason = json!({ "reason": "error" });
    node.post(&format!("/v1/records/{}/retraction", stated[2]), &reason).await.ok();
    assert_eq!(rows("by=surface&from=2026-11").await, [row("2026-11", "hub", 1)]);
    for path in
        ["/v1/ttps/statistics?by=colour", "/v1/reports/genmeta?by=prompt", "/v1/ttps/statistics?from=x"]
    {
        assert_eq!(node.get(path).await.status.as_u16(), 400, "{path}");
    }
    let taxonomy = node.get("/v1/ttps/taxonomy").await.ok();
    assert_eq!(taxonomy["techniques"].as_array().map(Vec::len), Some(40));
}
