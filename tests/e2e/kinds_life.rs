//! What becomes of models, data sets and services that are erased or expire, and of keyed digests on their way from a list of
//! addresses to a look-up.

use crate::erasure::search;
use crate::evidence::wait_until;
use crate::governance::{everywhere, id_of, with_panel};
use crate::http::Api;
use crate::kinds::{model, outcome, signal};
use anyhow::{Result, ensure};
use hashpact_protocol::api::tile_text;
use hashpact_protocol::api::time::rfc3339_seconds;
use hashpact_protocol::digest::sha256;
use hashpact_tests::{Consortium, Node};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;
use std::time::{SystemTime, UNIX_EPOCH};

/// Bits of ten tiles, which do not compress.
fn bits(seed: u8) -> Vec<u8> {
    (0..10).flat_map(|nth| sha256(&[&[seed, nth]])).collect()
}

/// A listing of an adapter with these tiles.
fn listing(seed: u8) -> Value {
    let tiles = json!([{ "rows": 320, "columns": 64, "bits": tile_text(&bits(seed)) }]);
    model(seed, json!({ "form": "adapter", "family": "sdxl", "tiles": tiles }))
}

/// What a look-up of the same tiles comes to, if a listing has them.
fn sketch(api: &Api, seed: u8) -> Result<Value> {
    let tiles = json!([{ "rows": 320, "columns": 64, "bits": tile_text(&bits(seed)) }]);
    let asked = json!({ "fingerprints": [{ "tiles": tiles }] });
    Ok(api.post("/v1/models/match", &asked)?.ok()?["sketches"][0]["verdict"].clone())
}

/// The listing is found by its digest and by its tiles at every node, or by neither.
fn is_found(apis: &[Api], seed: u8, expected: bool) -> Result<()> {
    for (nth, api) in apis.iter().enumerate() {
        let (exact, tiles) = (outcome(api, &signal("model_sha256", seed))?, sketch(api, seed)?);
        ensure!(exact.is_null() != expected, "node {nth}, model {seed}: {exact}");
        ensure!((tiles == "same") == expected, "node {nth}, tiles of {seed}: {tiles}");
    }
    Ok(())
}

/// Whether anything of a value is in the files of these nodes.
fn is_on_disk(nodes: &[Node], value: &[u8]) -> Result<bool> {
    nodes.iter().try_fold(false, |found, node| Ok(found || !search(node, value)?.is_empty()))
}

/// RFC 3339, so many seconds from now.
fn in_seconds(seconds: u64) -> Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    Ok(rfc3339_seconds(now + seconds))
}

#[test]
fn a_listing_that_was_erased_or_expired_is_found_by_nothing_that_it_stated() -> Result<()> {
    let options = ["--hold-s", "3", "--retention-s", "3600", "--eraser", "birch"];
    let mut consortium = Consortium::found_with(&["ash", "birch"], &options)?;
    consortium.start()?;
    let apis: Vec<Api> = consortium.nodes.iter().map(Api::of).collect::<Result<_>>()?;
    let until = in_seconds(12)?;
    let mut expiring = listing(2);
    expiring["expires"] = json!(until);
    let service = json!({ "kind": "service", "signals": [signal("package_sha256", 4)], "review": "dual",
        "expires": until, "service": { "form": "app", "platform": "android" } });
    let dataset = json!({ "kind": "dataset", "signals": [signal("dataset_root", 5)], "review": "dual",
        "dataset": { "form": "index", "items": 90, "known": 3 } });
    let stated = apis[0].contribute(&[listing(1), expiring, listing(3), service, dataset])?;
    let ids: Vec<String> = (0..5).map(|nth| id_of(&stated, nth)).collect::<Result<_>>()?;
    ids.iter().try_for_each(|id| everywhere(&apis, id, "active").map(drop))?;
    (1..=3).try_for_each(|seed| is_found(&apis, seed, true))?;
    let tile = &bits(1)[32..96];
    ensure!(is_on_disk(&consortium.nodes[..1], tile)? && is_on_disk(&consortium.nodes[1..], tile)?);

    // By the author and by the authority.
    consortium.nodes[0].hashpact_ok(&["erase", &ids[0], "--reason", "error"])?;
    consortium.nodes[1].hashpact_ok(&["erase", &ids[4], "--reason", "legal_order", "--basis", "court"])?;
    for id in [&ids[0], &ids[4]] {
        wait_until("the order at every node", || {
            let standing = |api: &Api| Ok(api.get(&format!("/v1/records/{id}"))?.ok()?["status"].clone());
            let standings: Vec<Value> = apis.iter().map(standing).collect::<Result<_>>()?;
            Ok(standings.iter().all(|status| status == "sealed" || status == "erased"))
        })?;
    }
    is_found(&apis, 1, false)?;
    is_found(&apis, 3, true)?;
    for id in [&ids[0], &ids[4]] {
        everywhere(&apis, id, "erased")?;
    }
    for api in &apis {
        let shown = api.get(&format!("/v1/records/{}", ids[0]))?.ok()?;
        ensure!(shown["signals"] == json!([]) && shown["model"].is_null(), "{shown}");
        ensure!(outcome(api, &signal("dataset_root", 5))?.is_null());
    }
    ensure!(!is_on_disk(&consortium.nodes, tile)?, "tiles are left in a file");

    for id in [&ids[1], &ids[3]] {
        everywhere(&apis, id, "expired")?;
    }
    is_found(&apis, 2, false)?;
    for api in &apis {
        ensure!(outcome(api, &signal("package_sha256", 4))?.is_null());
    }
    // A start comes to the same.
    for node in &mut consortium.nodes {
        node.stop()?;
        node.start()?;
    }
    for node in &consortium.nodes {
        node.wait_until_open()?;
    }
    for (seed, expected) in [(1, false), (2, false), (3, true)] {
        is_found(&apis, seed, expected)?;
    }
    ensure!(!is_on_disk(&consortium.nodes, tile)?, "tiles came back");
    Ok(())
}

#[test]
fn digests_of_addresses_are_found_by_whoever_has_the_key_and_is_in_the_group() -> Result<()> {
    let (consortium, apis) = with_panel()?;
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (key, list, records) = (path("key"), path("list"), path("records.jsonl"));
    std::fs::write(&key, "5b".repeat(32))?;
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600))?;
    let address = |nth: u32| format!("https://img.example.org/item-{nth}.png");
    let addresses: Vec<String> = (0..200).map(address).collect();
    std::fs::write(&list, format!("{}\nnot an address\n", addresses.join("\n")))?;
    let [ash, birch, cedar] = &consortium.nodes[..] else { anyhow::bail!("three nodes") };
    let made = ash.hashpact(&["digest", "urls", &list, "--key-file", &key, "--out", &records])?;
    ensure!(made.code == Some(3), "one line is no address: {made:?}");
    for text in [&made.stdout, &made.stderr, &std::fs::read_to_string(&records)?] {
        ensure!(!text.contains("example.org") && !text.contains("not an address"), "{text}");
    }
    // Without a group nothing is stated, and nobody else learns anything.
    let refused = ash.hashpact(&["import", &records, "--review", "dual"])?;
    ensure!(refused.code != Some(0) && ash.held("ash")? == 0, "{refused:?}");
    ash.hashpact_ok(&["import", &records, "--review", "dual", "--group", "licensees"])?;
    for node in [birch, cedar] {
        wait_until("the entries everywhere", || Ok(node.held("ash")? == ash.held("ash")?))?;
    }
    // As others write it; the second is in nobody's list.
    std::fs::write(
        &list,
        "HTTPS://IMG.example.org:443/item-7.png#top\nhttps://img.example.org/item-7000.png\n",
    )?;
    let asked = path("asked");
    birch.hashpact_ok(&["digest", "urls", &list, "--key-file", &key, "--for-match", "--out", &asked])?;
    for (node, api, expected) in [(birch, &apis[1], true), (cedar, &apis[2], false)] {
        let lines = node.hashpact(&["--json", "match", "--list", &asked])?.json_lines()?;
        let found: Vec<bool> = lines.iter().map(|line| !line["outcome"].is_null()).collect();
        ensure!(found == [expected, false], "{}: {lines:?}", node.member);
        let text = api.get("/v1/records?kind=dataset")?.text();
        ensure!(text.contains("url_key") == expected, "{}: {text}", node.member);
    }
    // Another key is another digest.
    std::fs::write(&key, "5c".repeat(32))?;
    birch.hashpact_ok(&["digest", "urls", &list, "--key-file", &key, "--for-match", "--out", &asked])?;
    let lines = birch.hashpact(&["--json", "match", "--list", &asked])?.json_lines()?;
    ensure!(lines.iter().all(|line| line["outcome"].is_null()), "{lines:?}");
    Ok(())
}
