//! `hashpact models` and the metadata of `hashpact hash`, as a process.

use std::fs;
use std::path::{Path, PathBuf};

use hashpact_client::list::jsonl::HashedFile;
use serde_json::Value;

use crate::command::{hashpact, run};

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/models");

/// Numbers that look random, the same in every run.
fn noise(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / 8_388_608.0 - 1.0
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// A model of layers of 64 x 64, starting with layer `first`.
fn model(path: &Path, first: usize, layers: &[Vec<f32>]) {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (nth, layer) in layers.iter().enumerate() {
        let (start, end) = (data.len(), data.len() + layer.len() * 4);
        let entry = serde_json::json!({"dtype": "F32", "shape": [64, 64], "data_offsets": [start, end]});
        header.insert(format!("layer.{}", first + nth), entry);
        data.extend(layer.iter().flat_map(|value| value.to_le_bytes()));
    }
    let header = Value::Object(header).to_string();
    let file = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat();
    fs::write(path, file).unwrap();
}

fn layers(seed: u64) -> Vec<Vec<f32>> {
    (0..10).map(|nth| noise(64 * 64, seed + nth)).collect()
}

fn sum(a: &[Vec<f32>], b: &[Vec<f32>], share: f32) -> Vec<Vec<f32>> {
    let layer = |(a, b): (&Vec<f32>, &Vec<f32>)| a.iter().zip(b).map(|(a, b)| a + share * b).collect();
    a.iter().zip(b).map(layer).collect()
}

fn json_lines(arguments: &[&str], paths: &[&Path]) -> (i32, Vec<Value>, String) {
    let (code, stdout, stderr) = run(hashpact().args(["--json"]).args(arguments).args(paths));
    (code, stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), stderr)
}

/// A base, a fine-tune of it, and what somebody made of that.
struct World {
    _folder: tempfile::TempDir,
    root: PathBuf,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        let (base, change, other) = (layers(1), layers(100), layers(200));
        model(&root.join("base.safetensors"), 0, &base);
        model(&root.join("tuned.safetensors"), 0, &sum(&base, &change, 0.02));
        model(&root.join("merged.safetensors"), 7, &sum(&base, &change, 0.008));
        model(&root.join("other.safetensors"), 0, &sum(&base, &other, 0.02));
        Self { _folder: folder, root }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(format!("{name}.safetensors"))
    }

    fn compare(&self, a: &str, b: &str, base: bool) -> Value {
        let (a, b, base_path) = (self.path(a), self.path(b), self.path("base"));
        let mut arguments = vec!["models", "compare"];
        let mut paths: Vec<&Path> = vec![&a, &b];
        if base {
            arguments.push("--base");
            paths.insert(0, &base_path);
        }
        let (code, lines, stderr) = json_lines(&arguments, &paths);
        assert_eq!((code, lines.len()), (0, 1), "{stderr}");
        lines[0].clone()
    }
}

#[test]
fn fingerprints_are_the_golden_ones() {
    let path = Path::new(VECTORS).join("types.safetensors");
    let (code, lines, stderr) = json_lines(&["models", "fingerprint"], &[&path]);
    assert_eq!((code, lines.len()), (0, 1), "{stderr}");
    let golden = fs::read_to_string(Path::new(VECTORS).join("golden.txt")).unwrap();
    let expected = |name: &str| {
        let prefix = format!("types.safetensors {name} ");
        golden.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap().to_owned()
    };
    for id in ["sha256", "autov2", "autov3", "ti", "st_body", "crc32", "blake3"] {
        assert_eq!(lines[0]["ids"][id], expected(id), "{id}");
    }
    assert_eq!(lines[0]["tset1"], expected("tset1"));
    assert_eq!((&lines[0]["kind"], &lines[0]["format"]), (&"full".into(), &"safetensors".into()));
    assert_eq!(lines[0]["evidence"], Value::Array(vec![]), "without a base nothing may be listed");
    let (_, text, _) = run(hashpact().args(["models", "fingerprint"]).arg(&path));
    assert!(text.contains(&format!("  tset1    {}", expected("tset1"))), "{text}");
    assert!(!text.contains(&expected("tile:0")), "F-bits are never printed");
}

#[test]
fn a_bad_file_is_reported_with_its_identifiers() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = fs::read(Path::new(VECTORS).join("types.safetensors")).unwrap();
    let (cut, missing) = (folder.path().join("cut.safetensors"), folder.path().join("missing.gguf"));
    fs::write(&cut, &bytes[..bytes.len() - 10]).unwrap();
    let whole = Path::new(VECTORS).join("quants.gguf");
    let (code, lines, _) = json_lines(&["models", "fingerprint"], &[&cut, &missing, &whole]);
    assert_eq!((code, lines.len()), (3, 3));
    assert!(lines[0]["error"].as_str().unwrap().contains("the last tensor needs"));
    assert_eq!(lines[0]["ids"]["sha256"].as_str().unwrap().len(), 64);
    assert!(lines[1]["error"].is_string() && lines[1].get("ids").is_none());
    assert_eq!((&lines[2]["kind"], &lines[2]["format"]), (&"full".into(), &"gguf".into()));
}

#[test]
fn shards_and_folders_are_one_model_each() {
    let world = World::new();
    let folder = world.root.join("model/unet");
    fs::create_dir_all(&folder).unwrap();
    let base = layers(1);
    model(&folder.join("m-00001-of-00002.safetensors"), 0, &base[..4]);
    model(&folder.join("m-00002-of-00002.safetensors"), 4, &base[4..]);
    let index = r#"{"weight_map":{"layer.0":"m-00001-of-00002.safetensors","layer.9":"m-00002-of-00002.safetensors"}}"#;
    let index_path = folder.join("m.safetensors.index.json");
    fs::write(&index_path, index).unwrap();
    let model_folder = world.root.join("model");
    let (code, lines, stderr) =
        json_lines(&["models", "fingerprint"], &[&index_path, &model_folder, &world.path("base")]);
    assert_eq!((code, lines.len()), (0, 3), "{stderr}");
    assert_eq!(lines[0]["tset1"], lines[2]["tset1"], "shards together are the whole");
    assert_eq!(lines[1]["tset1"], lines[2]["tset1"]);
    assert_eq!((lines[0]["parts"].as_array().unwrap().len(), &lines[0]["tensors"]), (2, &10.into()));
    fs::write(&index_path, index.replace("m-00002", "../m-00002")).unwrap();
    let (code, lines, _) = json_lines(&["models", "fingerprint"], &[&index_path]);
    assert!(code == 3 && lines[0]["error"].as_str().unwrap().contains("not beside it"));
}

#[test]
fn what_was_added_to_a_base_is_compared() {
    let world = World::new();
    let found = world.compare("tuned", "merged", true);
    assert_eq!(found["changes"]["verdict"], "same", "{found}");
    assert_eq!(found["changes"]["coverage_percent"], 100);
    assert!(found["changes"]["mean_bits"].as_f64().unwrap() < 4.0);
    assert_eq!(found["equal"], Value::Array(vec![]));
    let found = world.compare("tuned", "other", true);
    assert_eq!(found["changes"]["verdict"], "nothing", "{found}");
    assert!(found["family"]["mean_bits"].as_f64().unwrap() < 20.0, "one family all the same");
    let found = world.compare("tuned", "merged", false);
    assert_eq!(found["changes"], Value::Null, "nothing is said without a base");
    let found = world.compare("base", "base", false);
    let equal: Vec<&str> = found["equal"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(equal, ["sha256", "st_body", "blake3", "tset1"]);
    assert_eq!(found["family"]["mean_bits"], 0.0);
    let (code, _, stderr) = run(hashpact().args(["models", "compare", "missing"]).arg(world.path("base")));
    assert!(code == 2 && stderr.contains("missing: "), "{stderr}");
}

#[test]
fn hash_reads_what_a_picture_says_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    image::RgbImage::from_fn(80, 64, |x, y| image::Rgb([(x * y) as u8, x as u8, y as u8]))
        .save(&path)
        .unwrap();
    let plain = fs::read(&path).unwrap();
    let settings = "lighthouse\nSteps: 20, Sampler: Euler a, Seed: 987654321, Model hash: 6ce0161689, Model: teapot, Version: v1.9.4";
    let text = [b"parameters\0", settings.as_bytes()].concat();
    let chunk = [&(text.len() as u32).to_be_bytes()[..], b"tEXt", &text].concat();
    let checksum = crc32(&chunk[4..]).to_be_bytes();
    // Behind the header's 8 + 25 bytes.
    fs::write(&path, [&plain[..33], &chunk, &checksum, &plain[33..]].concat()).unwrap();
    let (code, lines, stderr) = json_lines(&["hash"], &[&path]);
    assert_eq!((code, lines.len()), (0, 1), "{stderr}");
    let genmeta = &lines[0]["genmeta"];
    assert_eq!(
        (&genmeta["tool"], &genmeta["version"], &genmeta["sampler"]),
        (&"a1111".into(), &"1.9.4".into(), &"euler_a".into())
    );
    let id = serde_json::json!({"identifier": "autov2", "hex": "6ce0161689"});
    let resource = serde_json::json!({"kind": "model", "id": id, "claimed": true});
    assert_eq!(genmeta["resources"], Value::Array(vec![resource]));
    assert!(genmeta.get("c2pa").is_none(), "there is no manifest");
    let hashed: HashedFile = serde_json::from_value(lines[0].clone()).unwrap();
    assert_eq!(hashed.to_record().signals.len(), 4, "a line with metadata is a record like any other");
    let (_, text, _) = run(hashpact().arg("hash").arg(&path));
    assert!(
        text.contains("genmeta a1111, 1.9.4, sampler euler_a")
            && text.contains("claims model autov2 6ce0161689")
    );
    for planted in ["lighthouse", "987654321", "teapot"] {
        assert!(!text.contains(planted) && !lines[0].to_string().contains(planted), "{planted} came out");
    }
    fs::write(&path, &plain).unwrap();
    let (_, lines, _) = json_lines(&["hash"], &[&path]);
    assert!(lines[0].get("genmeta").is_none(), "a picture that says nothing");
}

/// CRC-32 by its definition.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 },
        )
    })
}

/// Lines of `models scan` over a folder, by the end of the path.
fn scan(folder: &Path, more: &[&str]) -> (i32, Vec<Value>, String) {
    let state = folder.join("scan.state");
    let mut arguments = vec!["models", "scan", "--state", state.to_str().unwrap()];
    arguments.extend(more);
    json_lines(&arguments, &[folder])
}

fn of<'l>(lines: &'l [Value], name: &str) -> &'l Value {
    lines.iter().find(|line| line["path"].as_str().unwrap().ends_with(name)).unwrap()
}

#[test]
fn an_inventory_reads_every_model_once() {
    let world = World::new();
    let folder = world.root.join("shards");
    fs::create_dir_all(&folder).unwrap();
    let base = layers(1);
    model(&folder.join("m-00001-of-00002.safetensors"), 0, &base[..4]);
    model(&folder.join("m-00002-of-00002.safetensors"), 4, &base[4..]);
    let index = r#"{"weight_map":{"a":"m-00001-of-00002.safetensors","b":"m-00002-of-00002.safetensors"}}"#;
    fs::write(folder.join("m.safetensors.index.json"), index).unwrap();
    let gone = r#"{"weight_map":{"a":"gone-00001-of-00001.safetensors"}}"#;
    fs::write(world.root.join("gone.safetensors.index.json"), gone).unwrap();
    fs::write(world.root.join("broken.safetensors"), b"\x10\0\0\0\0\0\0\0{not json at all}").unwrap();

    let (code, lines, stderr) = scan(&world.root, &[]);
    assert_eq!(code, 3, "one is missing, one is broken: {stderr}");
    assert_eq!(lines.len(), 7, "{lines:?}");
    let whole = of(&lines, "m.safetensors.index.json");
    assert_eq!(whole["tset1"], of(&lines, "base.safetensors")["tset1"], "shards are the model");
    assert_eq!(whole["parts"].as_array().unwrap().len(), 2);
    let missing = of(&lines, "gone.safetensors.index.json");
    assert_eq!(missing["status"], "unreadable");
    assert!(missing["error"].as_str().unwrap().contains("is missing, which the index names"));
    let broken = of(&lines, "broken.safetensors");
    assert!(broken["error"].is_string() && broken["ids"]["sha256"].is_string(), "{broken}");

    // Nothing is read again but what could not be read or is new.
    model(&world.root.join("new.safetensors"), 0, &layers(300));
    let report = world.root.join("report.json");
    let (_, lines, stderr) = scan(&world.root, &["--report", report.to_str().unwrap()]);
    let read: Vec<&Value> = lines.iter().filter(|line| line["status"] == "read").collect();
    assert_eq!(read.len(), 1);
    assert!(read[0]["path"].as_str().unwrap().ends_with("new.safetensors"));
    assert_eq!(of(&lines, "base.safetensors")["status"], "known");
    assert!(stderr.contains("1 read, 6 known from before"), "{stderr}");
    let report: Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    assert_eq!(report["models"].as_array().unwrap().len(), 8);
    assert_eq!((&report["counts"]["known"], &report["found_at_node"]), (&6.into(), &0.into()));
    let (_, table, _) = run(hashpact()
        .args(["models", "scan", "--state"])
        .arg(world.root.join("scan.state"))
        .arg(&world.root));
    assert!(table.starts_with("STATUS") && table.contains("known"), "{table}");
}

#[test]
fn a_scan_that_was_killed_goes_on_where_it_was() {
    let world = World::new();
    let (_, first, _) = scan(&world.root, &[]);
    let state = world.root.join("scan.state");
    let whole = fs::read(&state).unwrap();
    let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    // Two models are done, and the line of the third was being written.
    let cut = [&lines[..3].concat()[..], &lines[3][..20]].concat();
    fs::write(&state, cut).unwrap();
    let (code, again, stderr) = scan(&world.root, &[]);
    assert_eq!(code, 0, "{stderr}");
    let known = again.iter().filter(|line| line["status"] == "known").count();
    assert_eq!((known, again.len()), (2, first.len()));
    for (a, b) in first.iter().zip(&again) {
        assert_eq!((&a["path"], &a["ids"], &a["tset1"]), (&b["path"], &b["ids"], &b["tset1"]));
    }
    fs::write(&state, "something else\n").unwrap();
    let (code, _, stderr) = scan(&world.root, &[]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("not the state of a scan"), "{stderr}");
}
