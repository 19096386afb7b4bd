//! Models over real nodes: bases registered by two members, a fine-tune that one lists, and what a third one finds.
//!
//! The networks are noise that the test makes: ten layers, changes of a few percent.

use crate::evidence::wait_until;
use crate::http::Api;
use anyhow::{Context as _, Result, ensure};
use hashpact_protocol::api::tile_text;
use hashpact_tests::{Consortium, Node};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

type Layers = Vec<Vec<f32>>;

/// Numbers that look random, the same in every run.
fn layers(seed: u64) -> Layers {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / 8_388_608.0 - 1.0
    };
    (0..10).map(|_| (0..64 * 64).map(|_| next()).collect()).collect()
}

fn plus(base: &Layers, change: &Layers, share: f32) -> Layers {
    let layer = |(a, b): (&Vec<f32>, &Vec<f32>)| a.iter().zip(b).map(|(a, b)| a + share * b).collect();
    base.iter().zip(change).map(layer).collect()
}

/// Half precision, rounded to the nearest; for numbers that are neither tiny nor huge.
fn half(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16 & 0x8000) as u16;
    let magnitude = (bits & 0x7fff_ffff) + 0x0fff + (bits >> 13 & 1);
    let exponent = i64::from(magnitude >> 23) - 112;
    if exponent <= 0 { sign } else { sign | ((exponent as u32) << 10 | magnitude >> 13 & 0x3ff) as u16 }
}

/// A safetensors file; in half precision the layers come in another order, under other names.
fn save(path: &Path, layers: &Layers, is_half: bool) -> Result<()> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (nth, layer) in layers.iter().enumerate() {
        let start = data.len();
        if is_half {
            data.extend(layer.iter().flat_map(|value| half(*value).to_le_bytes()));
        } else {
            data.extend(layer.iter().flat_map(|value| value.to_le_bytes()));
        }
        let (kind, name) =
            if is_half { ("F16", format!("renamed.{}", 9 - nth)) } else { ("F32", format!("layer.{nth}")) };
        header.insert(name, json!({"dtype": kind, "shape": [64, 64], "data_offsets": [start, data.len()]}));
    }
    let header = Value::Object(header).to_string();
    Ok(std::fs::write(path, [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat())?)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("UTF-8")
}

/// What the node of a member says of a model.
fn asked(node: &Node, path: &Path) -> Result<Value> {
    let lines = node.hashpact_ok(&["--json", "models", "match", text(path)?])?.json_lines()?;
    lines.into_iter().next().context("an answer")
}

fn registry(node: &Node) -> Result<Value> {
    let ask = json!({ "ids": [{ "value": "00000000" }] });
    Ok(Api::of(node)?.post("/v1/models/match", &ask)?.ok()?["registry"].clone())
}

/// A listing of a fine-tune against a base, as JSON for the API: as a client would that knows nothing of the registry.
fn listing(node: &Node, model: &Path, base: &Path) -> Result<Value> {
    let arguments = ["--json", "models", "fingerprint", "--base", text(base)?, text(model)?];
    let found = node.hashpact_ok(&arguments)?.json_lines()?.into_iter().next().context("a fingerprint")?;
    let evidence = found["evidence"].as_array().context("evidence")?;
    let mut bits = Vec::new();
    for tile in evidence {
        let hex = tile["bits"].as_str().context("bits")?;
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16);
        for at in (0..64).step_by(2) {
            bits.push(byte(at)?);
        }
    }
    ensure!(bits.len() == 320, "ten tiles of evidence");
    Ok(json!({
        "kind": "model",
        "review": "dual",
        "signals": [{ "type": "model_sha256", "value": found["ids"]["sha256"] }],
        "model": { "form": "finetune", "tiles": [{ "rows": 64, "columns": 64, "bits": tile_text(&bits) }] },
    }))
}

struct World {
    consortium: Consortium,
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Result<Self> {
        let mut consortium = Consortium::found(&["ash", "birch", "cedar"])?;
        consortium.start()?;
        let folder = tempfile::tempdir()?;
        let (base, change, benign) = (layers(1), layers(2), layers(3));
        let world = Self { consortium, folder };
        let tuned = plus(&base, &change, 0.02);
        save(&world.path("base"), &base, false)?;
        save(&world.path("tuned"), &tuned, false)?;
        save(&world.path("resaved"), &tuned, true)?;
        save(&world.path("merged"), &plus(&base, &change, 0.012), false)?;
        save(&world.path("unrelated"), &layers(9), false)?;
        let benign = plus(&base, &benign, 0.02);
        save(&world.path("benign"), &benign, false)?;
        save(&world.path("nearly"), &plus(&benign, &layers(4), 0.004), false)?;
        Ok(world)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.safetensors"))
    }

    fn node(&self, nth: usize) -> &Node {
        &self.consortium.nodes[nth]
    }

    /// Registers a model at ash with its sketch and at birch by its identifiers, and waits until cedar knows.
    fn register_twice(&self, name: &str, role: &str, doubly: u64) -> Result<()> {
        let path = self.path(name);
        let register = ["models", "register", "--role", role, text(&path)?];
        self.node(0).hashpact_ok(&register)?;
        self.node(1).hashpact_ok(&[&register[..], &["--identifiers-only"]].concat())?;
        for node in &self.consortium.nodes {
            wait_until("the registrations to be everywhere", || {
                Ok(registry(node)?["doubly_registered"] == json!(doubly))
            })?;
        }
        let versions: Vec<Value> = self
            .consortium
            .nodes
            .iter()
            .map(|node| Ok(registry(node)?["version"].clone()))
            .collect::<Result<_>>()?;
        ensure!(
            versions.iter().all(|version| *version == versions[0]),
            "one version everywhere: {versions:?}"
        );
        Ok(())
    }
}

#[test]
fn a_fine_tune_is_found_again_in_half_precision_under_another_name() -> Result<()> {
    let world = World::new()?;
    let cedar = world.node(2);
    world.register_twice("base", "base", 2)?;
    // Registered, so never a match: it is benign.
    let base = asked(cedar, &world.path("base"))?;
    ensure!(base["exact"]["total"] == json!(0), "a registration matched: {base}");
    ensure!(base["registered"].as_array().is_some_and(|models| models.len() == 2), "{base}");

    let listed = world.node(0).hashpact_ok(&[
        "--json",
        "models",
        "contribute",
        "--form",
        "finetune",
        "--review",
        "dual",
        text(&world.path("tuned"))?,
    ])?;
    let listed = listed.json_lines()?[0]["record"].clone();
    wait_until("cedar to hold the listing", || Ok(registry(cedar)?["listings"] == json!(1)))?;

    let found = asked(cedar, &world.path("resaved"))?;
    ensure!(found["exact"]["total"] == json!(0), "{found}");
    ensure!(found["sketches"][0]["verdict"] == json!("same"), "{found}");
    ensure!(found["sketches"][0]["listing"]["record"] == listed, "{found}");
    ensure!(found["sketches"][0]["evidence"]["pairs"] == json!(10), "{found}");
    ensure!(found["complete"] == json!(true), "{found}");
    let merged = asked(cedar, &world.path("merged"))?;
    ensure!(merged["sketches"][0]["verdict"] == json!("same"), "a share of the change: {merged}");
    let exact = asked(cedar, &world.path("tuned"))?;
    ensure!(exact["exact"]["total"] == json!(1) && exact["exact"]["outcome"].is_string(), "{exact}");
    for name in ["unrelated", "benign", "base"] {
        let nothing = asked(cedar, &world.path(name))?;
        ensure!(
            nothing["sketches"] == json!([]) && nothing["exact"]["total"] == json!(0),
            "{name}: {nothing}"
        );
        ensure!(nothing["leads"] == json!([]), "{name}: {nothing}");
    }

    // What others quote of it is a lead, without an outcome.
    let ids =
        cedar.hashpact_ok(&["--json", "models", "fingerprint", text(&world.path("tuned"))?])?.json_lines()?;
    let prefix = &ids[0]["ids"]["ti"];
    let lead = Api::of(cedar)?.post("/v1/models/match", &json!({ "ids": [{ "value": prefix }] }))?.ok()?;
    ensure!(lead["leads"][0]["by"] == json!("sha256_prefix"), "{lead}");
    ensure!(
        lead["leads"][0]["listing"]["record"] == listed && lead["exact"]["outcome"] == Value::Null,
        "{lead}"
    );
    scan(cedar, world.folder.path())
}

/// The inventory of the folder, with what the node says.
fn scan(node: &Node, folder: &Path) -> Result<()> {
    let state = folder.join("scan.state");
    let arguments = ["--json", "models", "scan", "--match", "--state", text(&state)?, text(folder)?];
    let first = node.hashpact_ok(&arguments)?.json_lines()?;
    let of = |lines: &[Value], name: &str| {
        lines.iter().find(|line| line["path"].as_str().is_some_and(|path| path.ends_with(name))).cloned()
    };
    let resaved = of(&first, "resaved.safetensors").context("resaved")?;
    ensure!(resaved["status"] == json!("read"), "{resaved}");
    ensure!(resaved["match"]["sketches"][0]["verdict"] == json!("same"), "{resaved}");
    let again = node.hashpact_ok(&arguments)?.json_lines()?;
    ensure!(again.iter().all(|line| line["status"] == json!("known")), "nothing is read twice");
    let tuned = of(&again, "tuned.safetensors").context("tuned")?;
    ensure!(tuned["match"]["exact"]["total"] == json!(1), "{tuned}");
    Ok(())
}

#[test]
fn a_model_that_two_members_registered_cannot_be_listed() -> Result<()> {
    let world = World::new()?;
    let cedar = world.node(2);
    // One member alone shields nothing.
    let (base, benign) = (world.path("base"), world.path("benign"));
    world.node(0).hashpact_ok(&["models", "register", "--role", "base", text(&base)?])?;
    wait_until("ash to know the base", || Ok(registry(world.node(0))?["models"] == json!(1)))?;
    world.node(0).hashpact_ok(&["models", "register", "--role", "intermediate", text(&benign)?])?;
    wait_until("cedar to know both", || Ok(registry(cedar)?["models"] == json!(2)))?;
    let near = listing(cedar, &world.path("nearly"), &base)?;
    let api = Api::of(cedar)?;
    // A second member does: now the same is refused, and so is the very model.
    world.node(1).hashpact_ok(&[
        "models",
        "register",
        "--role",
        "intermediate",
        "--identifiers-only",
        text(&benign)?,
    ])?;
    wait_until("cedar to know the second", || Ok(registry(cedar)?["doubly_registered"] == json!(2)))?;
    let refused = api.post("/v1/records", &json!({ "records": [near] }))?;
    ensure!(refused.status == 409 && refused.text().contains("registered_benign"), "{}", refused.text());
    let exact = cedar.hashpact(&["models", "contribute", text(&benign)?])?;
    ensure!(exact.code == Some(4) && exact.stderr.contains("registered_benign"), "{exact:?}");
    // Something else that is made from the same base is listed as ever.
    let other = listing(cedar, &world.path("tuned"), &base)?;
    api.contribute(&[other])?;
    let counted = registry(cedar)?;
    ensure!(counted["listings"] == json!(1) && counted["conflicting"] == json!(0), "{counted}");
    // A listing that was there first waits for the panel with the registrations: it is found, for review at most.
    let tuned = world.path("tuned");
    for nth in [0, 1] {
        wait_until("the listing", || Ok(registry(world.node(nth))?["listings"] == json!(1)))?;
        world.node(nth).hashpact_ok(&[
            "models",
            "register",
            "--role",
            "base",
            "--identifiers-only",
            text(&tuned)?,
        ])?;
    }
    wait_until("the conflict", || Ok(registry(cedar)?["conflicting"] == json!(1)))?;
    let counted = registry(cedar)?;
    ensure!(counted["waiting"] == json!(2) && counted["doubly_registered"] == json!(2), "{counted}");
    let found = asked(cedar, &tuned)?;
    ensure!(found["exact"]["matches"][0]["status"] == json!("conflicting"), "{found}");
    ensure!(found["exact"]["outcome"] == json!("review"), "{found}");
    let api = Api::of(cedar)?;
    ensure!(api.metric("hashpact_model_listings_conflicting")? == 1);
    ensure!(api.metric("hashpact_model_registrations_waiting")? == 2);
    ensure!(api.metric("hashpact_model_matches_found_total{found=\"exact\"}")? == 1);
    ensure!(found["exact"]["matches"][0]["sources"] == json!(1), "who calls it benign is no source: {found}");
    Ok(())
}
