//! An erasure that erases: found in the raw files of every node before, in none after.
//!
//! The bytes looked for are a PDQ value, an MD5 and the salt, which do not compress; that the search could find
//! them is shown by finding them first.

use crate::evidence::{fsck_clean, log_identity, wait_until};
use crate::http::{Api, record, value};
use anyhow::{Context as _, Result, ensure};
use hashpact_protocol::digest::hex_decode;
use hashpact_protocol::proof::{TlogProof, verify_record_proof};
use hashpact_tests::{Consortium, Node};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// How long an order waits in this consortium, in seconds.
const HOLD_S: &str = "12";

/// What must be gone.
struct Traces {
    record: String,
    number: u64,
    needles: Vec<Vec<u8>>,
}

/// The values of a record, and its salt from the proof that its author gives.
fn traces(api: &Api, number: u64, receipt: &Value) -> Result<Traces> {
    let record = receipt["record"].as_str().context("record")?.to_owned();
    let proof = api.get(&format!("/v1/records/{record}/proof"))?;
    let extra = TlogProof::parse(&proof.body)?.extra.context("extra")?;
    let salt = extra.get(136..168).context("the payload is here")?.to_vec();
    let needles = vec![hex_decode(&value(number, 64))?, hex_decode(&value(number, 32))?, salt];
    Ok(Traces { record, number, needles })
}

fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        match path.is_dir() {
            true => found.extend(files(&path)?),
            false => found.push(path),
        }
    }
    Ok(found)
}

/// Every file of a node's folder in which a needle stands. Its ends are not looked for: tables are compressed (LZ4),
/// and a match of what stands beside random bytes may reach into them.
pub(crate) fn search(node: &Node, needle: &[u8]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let needle = &needle[4..needle.len() - 4];
    for file in files(&node.dir)? {
        // A file may go while a node works.
        let Ok(bytes) = std::fs::read(&file) else { continue };
        let first = needle.first().context("a needle")?;
        let starts = bytes.iter().enumerate().filter(|(_, byte)| *byte == first);
        if starts.clone().any(|(at, _)| bytes[at..].starts_with(needle)) {
            found.push(file);
        }
    }
    Ok(found)
}

fn assert_found(nodes: &[&Node], traces: &Traces) -> Result<()> {
    for node in nodes {
        for (which, needle) in traces.needles.iter().enumerate() {
            let found = search(node, needle)?;
            ensure!(!found.is_empty(), "needle {which} is not in the files of {}", node.member);
        }
    }
    Ok(())
}

fn assert_gone(nodes: &[&Node], traces: &Traces) -> Result<()> {
    for node in nodes {
        for (which, needle) in traces.needles.iter().enumerate() {
            let found = search(node, needle)?;
            ensure!(
                found.is_empty(),
                "needle {which} of {} is at {} in {found:?}",
                traces.number,
                node.member
            );
        }
    }
    Ok(())
}

fn status_of(api: &Api, record: &str) -> Result<Value> {
    api.get(&format!("/v1/records/{record}"))?.ok()
}

fn matches(api: &Api, number: u64) -> Result<bool> {
    let item = json!({ "id": "a", "signals": [
        { "type": "pdq", "value": value(number, 64), "quality": 90 },
        { "type": "md5", "value": value(number, 32) },
    ] });
    let answer = api.post("/v1/match", &json!({ "items": [item] }))?.ok()?;
    let found = answer["results"][0]["matches"].as_array().context("matches")?;
    Ok(!found.is_empty())
}

/// The leaf is proven at its place, and nothing stands beside it.
fn assert_bare_proof(api: &Api, record: &str) -> Result<()> {
    let identity = log_identity(api, "ash")?;
    let proof = api.get(&format!("/v1/records/{record}/proof"))?;
    let proven = verify_record_proof(&proof.body, Some(&identity.0), &identity.1)?;
    ensure!(proven.leaf_hash.to_hex() == record && proven.payload.is_none(), "{:?}", proven.payload);
    Ok(())
}

fn wait_for_status(apis: &[&Api], record: &str, wanted: &str) -> Result<()> {
    for api in apis {
        wait_until(wanted, || Ok(status_of(api, record)?["status"] == wanted))?;
    }
    Ok(())
}

/// By the author, by the authority, and again by the author; of somebody else nothing is taken.
fn order_all(nodes: &[Node], apis: &[Api], traces: &[Traces]) -> Result<()> {
    let path = format!("/v1/records/{}/erasure", traces[0].record);
    let refused = apis[1].post(&path, &json!({ "reason": "error" }))?;
    ensure!(refused.status == 403, "{} {}", refused.status, refused.text());
    nodes[0].hashpact_ok(&["erase", &traces[0].record, "--reason", "victim_request"])?;
    nodes[2].hashpact_ok(&["erase", &traces[1].record, "--reason", "legal_order", "--basis", "court"])?;
    nodes[0].hashpact_ok(&["erase", &traces[2].record, "--reason", "error"])?;
    Ok(())
}

/// From the moment that an order is here: no match, nothing shown, and the leaf as provable as before.
fn assert_sealed(apis: &[&Api], traces: &[Traces]) -> Result<()> {
    for one in traces {
        wait_for_status(apis, &one.record, "sealed")?;
        for api in apis {
            ensure!(!matches(api, one.number)?, "{} is sealed and still matches", one.number);
            ensure!(status_of(api, &one.record)?["signals"] == json!([]), "nothing is shown");
            assert_bare_proof(api, &one.record)?;
        }
    }
    let said = status_of(apis[1], &traces[1].record)?["reason"].to_string();
    ensure!(said.contains("cedar") && said.contains("legal_order") && said.contains("court"), "{said}");
    ensure!(apis[2].metric("hashpact_payloads_sealed")? == 3, "outstanding erasures are counted");
    Ok(())
}

/// Nothing comes back with a restart, and everything is sound.
fn assert_gone_after_restart(nodes: &mut [Node], apis: &[Api], traces: &[Traces]) -> Result<()> {
    for node in &mut *nodes {
        node.stop()?;
        ensure!(node.dir.join("data/index.snapshot").exists(), "the index is written again, without them");
        fsck_clean(node)?;
    }
    for node in &mut *nodes {
        node.start()?;
    }
    for (node, api) in nodes.iter().zip(apis) {
        node.wait_until_open()?;
        for one in traces {
            wait_for_status(&[api], &one.record, "erased")?;
            ensure!(!matches(api, one.number)?, "{} came back", one.number);
            assert_gone(&[node], one)?;
        }
        ensure!(matches(api, 6)?, "the neighbour is still there");
    }
    Ok(())
}

#[test]
fn an_erased_payload_is_in_no_file_of_any_node() -> Result<()> {
    let options = ["--hold-s", HOLD_S, "--retention-s", "3600", "--eraser", "cedar"];
    let mut consortium = Consortium::found_with(&["ash", "birch", "cedar", "dove"], &options)?;
    // The fourth member joins later.
    for node in &mut consortium.nodes[..3] {
        node.start()?;
    }
    for node in &consortium.nodes[..3] {
        node.wait_until_open()?;
    }
    let apis: Vec<Api> = consortium.nodes.iter().map(Api::of).collect::<Result<_>>()?;
    let running = [&apis[0], &apis[1], &apis[2]];
    let receipts = apis[0].contribute(&(0..20).map(record).collect::<Vec<_>>())?;
    for node in &consortium.nodes[..3] {
        wait_until("all to hold the records", || Ok(node.held("ash")? == 20))?;
    }
    // An index snapshot with the values is on birch's disk.
    consortium.nodes[1].stop()?;
    consortium.nodes[1].start()?;
    consortium.nodes[1].wait_until_open()?;
    ensure!(consortium.nodes[1].dir.join("data/index.snapshot").exists());

    let traces: Vec<Traces> =
        [7, 8, 9].iter().map(|at| traces(&apis[0], *at, &receipts[*at as usize])).collect::<Result<_>>()?;
    let nodes: Vec<&Node> = consortium.nodes[..3].iter().collect();
    for one in &traces {
        assert_found(&nodes, one)?;
        for api in running {
            ensure!(matches(api, one.number)?, "{} is known", one.number);
        }
    }

    // What is on legal hold at one member is kept there, encrypted.
    let hold = ["hold", "add", &traces[2].record, "--reason", "case 17"];
    consortium.nodes[1].command(&hold)?;
    order_all(&consortium.nodes, &apis, &traces)?;
    assert_sealed(&running, &traces)?;
    // Sealed, but not destroyed: a disowned order must be able to lapse.
    assert_found(&nodes, &traces[0])?;

    wait_for_status(&running, &traces[0].record, "erased")?;
    wait_for_status(&running, &traces[1].record, "erased")?;
    wait_for_status(&[&apis[0], &apis[2]], &traces[2].record, "erased")?;
    wait_for_status(&[&apis[1]], &traces[2].record, "held")?;
    for one in &traces {
        // On legal hold it is encrypted: the bytes are nowhere either.
        assert_gone(&nodes, one)?;
    }
    let kept =
        consortium.nodes[1].command(&["hold", "extract", &traces[2].record, "--reason", "to the court"])?;
    ensure!(kept.contains(&value(9, 64)), "the hold keeps the payload");
    drop(nodes);
    consortium.nodes[1].command(&["hold", "release", &traces[2].record, "--reason", "closed"])?;
    wait_for_status(&[&apis[1]], &traces[2].record, "erased")?;

    // A member that joins now gets the leaves, and nothing else.
    consortium.nodes[3].start()?;
    consortium.nodes[3].wait_until_open()?;
    wait_until("dove to hold all", || Ok(consortium.nodes[3].held("ash")? == 22))?;
    for one in &traces {
        wait_for_status(&[&apis[3]], &one.record, "erased")?;
        assert_bare_proof(&apis[3], &one.record)?;
    }
    let status = apis[3].get("/v1/status")?.ok()?;
    ensure!(status["erasures"]["erased"] == 3 && status["erasures"]["sealed"] == 0, "{status}");
    for api in &apis {
        let wrong = api.counted_but_cut_off()?;
        ensure!(wrong.is_empty(), "somebody is accused: {wrong:?}");
    }

    assert_gone_after_restart(&mut consortium.nodes, &apis, &traces)
}
