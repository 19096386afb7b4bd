//! The snapshots: a start that answers from the index at once, and completely from the records beside it, says nothing that
//! the logs do not say, whatever became of the files meanwhile.
//!
//! A watcher asks for every value from the first moment at which the process listens. As long as
//! answers say `complete: false` they may miss something; they must never show a record that was
//! withdrawn before the start.

use crate::evidence::{Dice, fsck_clean, wait_until};
use crate::http::{Answer, Api, record, value};
use anyhow::{Context as _, Result, ensure};
use hashpact_protocol::digest::hex_decode;
use hashpact_tests::node::DEADLINE;
use hashpact_tests::{Consortium, Node};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Items in one question.
const ITEMS: u64 = 500;

fn snapshot(node: &Node) -> PathBuf {
    node.dir.join("data/index.snapshot")
}

fn records_snapshot(node: &Node) -> PathBuf {
    node.dir.join("data/records.snapshot")
}

/// Gives a node these keys of its section `[index]`.
fn configure(node: &Node, keys: &str) -> Result<()> {
    let text = std::fs::read_to_string(node.config())?;
    Ok(std::fs::write(node.config(), format!("{text}\n[index]\n{keys}\n"))?)
}

/// What a node said since `from`, a length of its log.
fn said(node: &Node, from: usize) -> Result<String> {
    let log = std::fs::read(node.dir.join("node.log"))?;
    Ok(String::from_utf8_lossy(log.get(from..).unwrap_or_default()).into_owned())
}

fn log_length(node: &Node) -> Result<usize> {
    Ok(std::fs::read(node.dir.join("node.log")).map_or(0, |log| log.len()))
}

/// Asks for the PDQ values, one bit beside, and the MD5 values of records `0..count`.
fn ask(api: &Api, count: u64) -> Result<Vec<(u16, Value)>> {
    let mut answers = Vec::new();
    for start in (0..count).step_by(usize::try_from(ITEMS)?) {
        let items: Vec<Value> = (start..count.min(start + ITEMS))
            .flat_map(|number| {
                let mut near = value(number, 64);
                let last = u8::from_str_radix(&near[63..], 16).expect("a hex digit");
                near.replace_range(63.., &format!("{:x}", last ^ 1));
                [("pdq", near), ("md5", value(number, 32))].map(|(kind, value)| {
                    json!({ "id": format!("{kind}-{number}"), "signals": [{ "type": kind, "value": value }] })
                })
            })
            .collect();
        let Answer { status, body, .. } = api.post("/v1/match", &json!({ "items": items }))?;
        answers.push((status, serde_json::from_slice(&body)?));
    }
    Ok(answers)
}

/// The matches of an item as the answer gives them, by item.
type Matches = BTreeMap<String, Value>;

/// All answers and whether each says that it is complete.
fn matches(api: &Api, count: u64) -> Result<(Matches, bool)> {
    let (mut found, mut complete) = (Matches::new(), true);
    for (status, answer) in ask(api, count)? {
        ensure!(status == 200, "{status} {answer}");
        complete &= answer["complete"] == true;
        ensure!(answer["complete"] == true || answer["reason"].is_string(), "{answer}");
        for result in answer["results"].as_array().context("results")? {
            found.insert(result["id"].as_str().context("id")?.to_owned(), result["matches"].clone());
        }
    }
    Ok((found, complete))
}

fn records_of(matches: &Matches) -> BTreeSet<String> {
    let shown = matches.values().flat_map(|matches| matches.as_array().into_iter().flatten());
    shown.filter_map(|hit| hit["record"].as_str().map(str::to_owned)).collect()
}

/// What was seen between the start of the process and the first complete answer.
#[derive(Debug, Default)]
struct Seen {
    /// Answers from the snapshot that had every match already.
    early: u32,
    answers: u32,
}

/// Starts a node and asks until its answers are complete: they are then these, and nothing that does
/// not stand was ever among them.
fn starts_with(node: &mut Node, count: u64, expected: &Matches) -> Result<Seen> {
    let from = log_length(node)?;
    node.start()?;
    let api = Api::of(node)?;
    let stands = records_of(expected);
    let (until, mut seen) = (Instant::now() + DEADLINE, Seen::default());
    loop {
        ensure!(Instant::now() < until, "not complete in time: {}", node.last_log());
        // Until it listens, nobody answers.
        let Ok((found, complete)) = matches(&api, count) else { continue };
        let shown = records_of(&found);
        ensure!(shown.is_subset(&stands), "{:?} do not stand", shown.difference(&stands));
        let ready = api.get("/readyz")?;
        ensure!(!complete || ready.status == 200, "complete, but not ready: {}", ready.text());
        if complete {
            ensure!(found == *expected, "other answers than before\n{}", said(node, from)?);
            return Ok(seen);
        }
        seen.answers += 1;
        seen.early += u32::from(shown == stands);
    }
}

fn contribute(api: &Api, numbers: std::ops::Range<u64>) -> Result<Vec<String>> {
    let mut ids = Vec::new();
    let numbers: Vec<Value> = numbers.map(record).collect();
    for some in numbers.chunks(1_000) {
        for receipt in api.contribute(some)? {
            ids.push(receipt["record"].as_str().context("record id")?.to_owned());
        }
    }
    Ok(ids)
}

fn retract(api: &Api, id: &str) -> Result<()> {
    api.post(&format!("/v1/records/{id}/retraction"), &json!({ "reason": "error" }))?.ok().map(drop)
}

/// One node with `count` records, stopped, and its answers.
fn stopped_with(consortium: &mut Consortium, count: u64) -> Result<(Vec<String>, Matches)> {
    consortium.start()?;
    let node = &mut consortium.nodes[0];
    let api = Api::of(node)?;
    let ids = contribute(&api, 0..count)?;
    let (found, complete) = matches(&api, count)?;
    ensure!(complete && records_of(&found).len() as u64 == count, "{} found", records_of(&found).len());
    node.stop()?;
    Ok((ids, found))
}

#[test]
fn a_restart_answers_from_the_snapshot_as_before() -> Result<()> {
    const COUNT: u64 = 6_000;
    let mut consortium = Consortium::found(&["ash"])?;
    let (_, expected) = stopped_with(&mut consortium, COUNT)?;
    let node = &mut consortium.nodes[0];
    for file in [snapshot(node), records_snapshot(node)] {
        let mode = std::fs::metadata(&file)?.permissions().mode() & 0o777;
        ensure!(mode == 0o600, "{}: mode {mode:o}", file.display());
    }
    let report = fsck_clean(node)?;
    for key in ["snapshot", "records_snapshot"] {
        ensure!(report[key] == json!({ "state": "good", "entries": COUNT }), "{report}");
    }
    let from = log_length(node)?;
    let seen = starts_with(node, COUNT, &expected)?;
    println!("{seen:?}");
    let log = said(node, from)?;
    ensure!(log.contains("the replay confirmed the index snapshot"), "{log}");
    ensure!(log.contains("pictures were taken from the records snapshot"), "{log}");
    wait_until("the records to be confirmed", || {
        Ok(said(node, from)?.contains("the logs confirmed the records snapshot"))
    })?;
    let api = Api::of(node)?;
    ensure!(matches(&api, COUNT)? == (expected, true), "other answers once they are confirmed");
    let metrics = api.get("/metrics")?.text();
    for name in ["hashpact_index_bytes", "hashpact_index_snapshot_bytes"] {
        ensure!(api.metric(name)? > 0, "{name}: {metrics}");
    }
    ensure!(!metrics.contains("hashpact_index_rebuilds_total{"), "{metrics}");
    ensure!(metrics.contains("hashpact_index_snapshot_timestamp_seconds 1"), "{metrics}");
    // Nothing changed: the file stays as it is.
    let before = std::fs::metadata(snapshot(node))?.modified()?;
    node.stop()?;
    ensure!(std::fs::metadata(snapshot(node))?.modified()? == before, "written for nothing");
    Ok(())
}

#[test]
fn what_happened_after_the_snapshot_is_caught_up_and_what_was_withdrawn_never_shows() -> Result<()> {
    const FIRST: u64 = 3_000;
    const ALL: u64 = 4_000;
    let mut consortium = Consortium::found(&["ash"])?;
    let (first, _) = stopped_with(&mut consortium, FIRST)?;
    let node = &mut consortium.nodes[0];
    let written = std::fs::read(snapshot(node))?;
    node.start()?;
    node.wait_until_open()?;
    let api = Api::of(node)?;
    let later = contribute(&api, FIRST..ALL)?;
    let gone: BTreeSet<&String> = first.iter().step_by(7).chain(later.iter().step_by(5)).collect();
    for id in &gone {
        retract(&api, id)?;
    }
    let (expected, _) = matches(&api, ALL)?;
    ensure!(records_of(&expected).len() as u64 == ALL - gone.len() as u64);
    for round in 0..4 {
        node.kill()?;
        ensure!(std::fs::read(snapshot(node))? == written, "a snapshot was written before its time");
        let from = log_length(node)?;
        let seen = starts_with(node, ALL, &expected).with_context(|| format!("round {round}"))?;
        println!("{seen:?}");
        let log = said(node, from)?;
        ensure!(log.contains("the replay confirmed the index snapshot"), "{log}");
    }
    // What a clean stop writes knows all of it.
    node.stop()?;
    ensure!(std::fs::read(snapshot(node))? != written, "no new snapshot");
    starts_with(node, ALL, &expected).map(drop)
}

/// Ways to spoil a snapshot, each with what the node must say about it.
fn damages(good: &[u8], another: &[u8]) -> Vec<(String, Vec<u8>, &'static str)> {
    let mut cases = Vec::new();
    for len in [0, 1, 20, good.len() / 2, good.len() - 1] {
        cases.push((format!("cut to {len} bytes"), good[..len].to_vec(), ""));
    }
    let mut dice = Dice::new(3);
    let mut places: Vec<u64> = (0..8).map(|_| dice.below(good.len() as u64)).collect();
    places.extend([60, 200, good.len() as u64 - 1]);
    for at in places {
        let mut flipped = good.to_vec();
        flipped[usize::try_from(at).expect("an offset")] ^= 1 << dice.below(8);
        cases.push((format!("one bit of byte {at} flipped"), flipped, ""));
    }
    let mut old = good.to_vec();
    let version_at = old.len() - FOOTER_BYTES + MAGIC_BYTES;
    old[version_at] ^= 0x40;
    cases.push(("another version".to_owned(), old, "version"));
    cases.push(("garbage".to_owned(), (0..50_000).map(|_| dice.next() as u8).collect(), ""));
    cases.push(("zeros".to_owned(), vec![0; good.len()], ""));
    cases.push((
        "another node's".to_owned(),
        another.to_vec(),
        "it was written by member birch; this node is member ash's",
    ));
    cases
}

/// The format of the index ends with a footer, which has its version behind a magic number.
const FOOTER_BYTES: usize = 56;
const MAGIC_BYTES: usize = 8;

#[test]
fn a_spoiled_snapshot_is_named_and_replaced_and_changes_no_answer() -> Result<()> {
    const COUNT: u64 = 400;
    let mut consortium = Consortium::found(&["ash", "birch"])?;
    consortium.start()?;
    let apis = [Api::of(&consortium.nodes[0])?, Api::of(&consortium.nodes[1])?];
    contribute(&apis[0], 0..COUNT / 2)?;
    contribute(&apis[1], COUNT / 2..COUNT)?;
    for node in &consortium.nodes {
        wait_until("both to hold all", || Ok(node.held("ash")? + node.held("birch")? == COUNT))?;
    }
    let (expected, _) = matches(&apis[0], COUNT)?;
    ensure!(records_of(&expected).len() as u64 == COUNT);
    let [ash, birch] = &mut consortium.nodes[..] else { anyhow::bail!("two nodes") };
    ash.stop()?;
    birch.stop()?;
    let (good, another) = (std::fs::read(snapshot(ash))?, std::fs::read(snapshot(birch))?);
    birch.start()?;
    for (what, bytes, reason) in damages(&good, &another) {
        std::fs::write(snapshot(ash), &bytes)?;
        spoiled(ash, &bytes, reason, COUNT, &expected).with_context(|| what)?;
    }
    // Without any file the node says so, and not as a warning.
    std::fs::remove_file(snapshot(ash))?;
    let from = log_length(ash)?;
    starts_with(ash, COUNT, &expected)?;
    let log = said(ash, from)?;
    ensure!(log.contains("no index snapshot: the index is built from the logs"), "{log}");
    ash.stop()
}

fn spoiled(node: &mut Node, bytes: &[u8], reason: &str, count: u64, expected: &Matches) -> Result<()> {
    let report = fsck_clean(node)?;
    ensure!(report["snapshot"]["state"] == "bad", "fsck does not see it: {report}");
    let words = report["snapshot"]["reason"].as_str().context("a reason")?;
    ensure!(!words.is_empty() && words.contains(reason), "{words}");
    ensure!(std::fs::read(snapshot(node))? == bytes, "fsck changed the file");
    let from = log_length(node)?;
    starts_with(node, count, expected)?;
    let log = said(node, from)?;
    let is_named = ["the index snapshot is not used", "could not be read to its end"];
    ensure!(is_named.iter().any(|words| log.contains(words)) && log.contains(reason), "{log}");
    ensure!(!log.contains("panicked"), "{log}");
    let metrics = Api::of(node)?.get("/metrics")?.text();
    ensure!(metrics.contains("hashpact_index_rebuilds_total{reason=\"un"), "{metrics}");
    node.stop()?;
    let report = fsck_clean(node)?;
    ensure!(report["snapshot"]["state"] == "good", "it was not replaced: {report}");
    Ok(())
}

#[test]
fn a_running_node_writes_snapshots_and_survives_sigkill_while_it_does() -> Result<()> {
    let mut consortium = Consortium::found(&["ash"])?;
    let node = &mut consortium.nodes[0];
    configure(node, "snapshot_interval_s = 1\nsnapshot_changes_min = 1")?;
    let mut count = 0;
    for round in 0..6 {
        node.start()?;
        node.wait_until_open()?;
        let api = Api::of(node)?;
        let written = modified(&snapshot(node));
        contribute(&api, count..count + 300)?;
        count += 300;
        wait_until("a snapshot", || Ok(modified(&snapshot(node)) != written))?;
        // One more, so that the node is killed before, while or after it writes the next.
        contribute(&api, count..count + 300)?;
        count += 300;
        let (expected, _) = matches(&api, count)?;
        std::thread::sleep(std::time::Duration::from_millis(round * 300));
        node.kill()?;
        let from = log_length(node)?;
        starts_with(node, count, &expected)?;
        let log = said(node, from)?;
        ensure!(log.contains("the replay confirmed the index snapshot"), "round {round}: {log}");
        node.stop()?;
    }
    let left: Vec<String> = std::fs::read_dir(node.dir.join("data"))?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<Vec<_>>>()?;
    let mut left: Vec<&String> = left.iter().filter(|name| name.contains("snapshot")).collect();
    left.sort();
    ensure!(left == ["index.snapshot", "records.snapshot"], "{left:?}");
    Ok(())
}

/// Bytes of a records snapshot with its checksum made right.
fn summed(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.len() - size_of::<u64>();
    let sum = xxhash_rust::xxh3::xxh3_64(&bytes[..end]).to_le_bytes();
    bytes[end..].copy_from_slice(&sum);
    bytes
}

/// Where these bytes stand first.
fn find(bytes: &[u8], wanted: &[u8]) -> Result<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted).context("not in the file")
}

#[test]
fn a_records_snapshot_that_lies_shows_nothing_and_the_node_starts_anew_from_its_logs() -> Result<()> {
    const COUNT: u64 = 3_000;
    let mut consortium = Consortium::found(&["ash"])?;
    let (_, expected) = stopped_with(&mut consortium, COUNT)?;
    let node = &mut consortium.nodes[0];
    let good = std::fs::read(records_snapshot(node))?;
    // Another value under the number of a record, as the file of somebody who can write files would have it.
    let mut lies = good.clone();
    let at = find(&good, &hex_decode(&value(7, 64))?)?;
    lies[at] ^= 1;
    std::fs::write(records_snapshot(node), summed(lies))?;
    let report = fsck_clean(node)?;
    let reason = report["records_snapshot"]["reason"].as_str().context("a reason")?;
    ensure!(reason.contains("does not say what the records snapshot says"), "{report}");
    let from = log_length(node)?;
    node.start()?;
    let stands = records_of(&expected);
    wait_until("a start from the logs", || {
        // While it starts anew, nobody answers.
        let Ok((found, _)) = Api::of(node).and_then(|api| matches(&api, COUNT)) else { return Ok(false) };
        ensure!(records_of(&found).is_subset(&stands), "made up: {:?}", records_of(&found));
        Ok(said(node, from)?.contains("the index is built from the logs"))
    })?;
    let log = said(node, from)?;
    ensure!(log.contains("the snapshots are discarded, and the node starts anew from its logs"), "{log}");
    node.wait_until_open()?;
    let api = Api::of(node)?;
    wait_until("complete answers", || Ok(matches(&api, COUNT)?.1))?;
    ensure!(matches(&api, COUNT)?.0 == expected, "other answers than before");
    node.stop()?;
    ensure!(fsck_clean(node)?["records_snapshot"]["state"] == "good", "it was not replaced");

    // One that is not as it was written is named, and the logs are read.
    let good = std::fs::read(records_snapshot(node))?;
    let at = find(&good, &hex_decode(&value(7, 64))?)?;
    for (what, bytes, reason) in [
        ("cut", good[..good.len() / 2].to_vec(), "it ends too early"),
        ("flipped", [&good[..at], &[!good[at]], &good[at + 1..]].concat(), "checksum"),
        ("another", vec![0; good.len()], "this is no records snapshot"),
    ] {
        std::fs::write(records_snapshot(node), &bytes)?;
        let from = log_length(node)?;
        starts_with(node, COUNT, &expected).context(what)?;
        let log = said(node, from)?;
        ensure!(log.contains("the records snapshot is not used") && log.contains(reason), "{what}: {log}");
        node.stop()?;
        let report = fsck_clean(node)?;
        ensure!(report["records_snapshot"]["state"] == "good", "{what}: it was not replaced: {report}");
    }
    Ok(())
}

fn modified(path: &Path) -> Option<std::time::SystemTime> {
    path.metadata().and_then(|found| found.modified()).ok()
}
