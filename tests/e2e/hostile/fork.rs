//! A member that shows one history of its log to one node and another to the next: when these meet, each keeps both.

use super::Insider;
use super::member::{Branch, Rogue, honest};
use crate::audit::verify;
use crate::evidence::{fsck_clean, wait_until};
use crate::http::Api;
use anyhow::{Result, ensure};
use hashpact_protocol::proof::verify_record_proof;
use hashpact_tests::{Consortium, Node};
use serde_json::{Value, json};

/// Entries that both histories share.
const SHARED: u64 = 3;

/// Shows a history to a node that nobody else talks to, until it holds it.
fn show(node: &Node, insider: &Insider, branch: &Branch, size: u64) -> Result<()> {
    let api = Api::of(node)?;
    let rogue = Rogue::start(insider, &[node.peer_port])?;
    rogue.wait_for_admission(&[&api])?;
    let served = branch.clone();
    rogue.script().serve = Box::new(move |range| served.serve(range.start, range.size, honest));
    rogue.announce(&branch.origin, branch.note(usize::try_from(size)?))?;
    wait_until("the history to be followed", || Ok(node.held("cedar")? == size))
}

/// What a node says that it holds of both histories.
fn branches(api: &Api) -> Result<Value> {
    let shown = api.get("/v1/evidence")?.ok()?["evidence"][0].clone();
    ensure!(shown["diverges_at"] == SHARED, "{shown}");
    Ok(shown["branches"].clone())
}

fn check_both(api: &Api, followed: usize) -> Result<()> {
    wait_until("both histories to be here", || {
        let branches = branches(api)?;
        for (at, size) in [8_u64, 10].into_iter().enumerate() {
            let one = &branches[at];
            ensure!(one["size"] == size && one["held"] == size && one["too_long"] == false, "{branches}");
            let kept_from = if at == followed { Value::Null } else { json!(SHARED) };
            ensure!(one["followed"] == (at == followed) && one["kept_from"] == kept_from, "{branches}");
        }
        Ok(true)
    })
}

/// A record of either history matches for review and is proven by that history's own checkpoint.
fn contested_everywhere(api: &Api, insider: &Insider, history: &Branch, size: u64) -> Result<()> {
    let entry = &history.entries[5];
    let id = entry.record_id();
    let shown = api.get(&format!("/v1/records/{id}"))?.ok()?;
    ensure!(shown["status"] == "contested" && shown["index"] == 5, "{shown}");
    let signal = &shown["signals"][0];
    let query = json!({ "items": [{ "id": "q", "signals": [{ "type": signal["type"], "value": signal["value"] }] }] });
    let found = api.post("/v1/match", &query)?.ok()?["results"][0].clone();
    let matched = found["matches"].as_array().into_iter().flatten();
    ensure!(
        matched.clone().any(|record| record["record"] == id.to_hex()) && found["outcome"] == "review",
        "{found}"
    );
    let proof = api.get(&format!("/v1/records/{id}/proof"))?.body;
    let proven = verify_record_proof(&proof, Some(&history.origin), &insider.keys.log.public())?;
    ensure!(proven.checkpoint.size == size, "the history's own checkpoint");
    Ok(())
}

#[test]
fn both_histories_of_a_forked_log_are_kept_shown_and_proven() -> Result<()> {
    let mut consortium = Consortium::found(&["ash", "birch", "cedar"])?;
    consortium.nodes[0].start()?;
    let ash = Api::of(&consortium.nodes[0])?;
    wait_until("ash to answer", || Ok(ash.get("/readyz")?.status == 200))?;
    let insider = Insider::of(&consortium, 2, "cedar")?;
    let first = Branch::grow(&insider, 1, 8)?;
    let second = Branch::grow(&insider, 2, 10)?.after(&first, usize::try_from(SHARED)?);
    show(&consortium.nodes[0], &insider, &first, 8)?;
    consortium.nodes[0].stop()?;
    consortium.nodes[1].start()?;
    let birch = Api::of(&consortium.nodes[1])?;
    wait_until("birch to answer", || Ok(birch.get("/readyz")?.status == 200))?;
    show(&consortium.nodes[1], &insider, &second, 10)?;

    // The two honest members meet; the bad one is gone.
    consortium.nodes[0].start()?;
    check_both(&ash, 0)?;
    check_both(&birch, 1)?;
    for api in [&ash, &birch] {
        for (history, size) in [(&first, 8), (&second, 10)] {
            contested_everywhere(api, &insider, history, size)?;
        }
    }
    let shown = consortium.nodes[0].hashpact(&["status"])?.stdout;
    for line in ["they part at entry 3", "8 held, followed", "10 held, from 3 on beside what is followed"] {
        ensure!(shown.contains(line), "{line}: {shown}");
    }

    // It is still there after the power went, with nobody to ask.
    consortium.nodes[0].stop()?;
    consortium.nodes[1].kill()?;
    consortium.nodes[1].start()?;
    wait_until("birch to answer again", || Ok(birch.get("/readyz")?.status == 200))?;
    check_both(&birch, 1)?;
    contested_everywhere(&birch, &insider, &first, 8)?;
    let report = fsck_clean(&consortium.nodes[0])?;
    let kept = json!([{ "origin": first.origin, "size": 10, "start": 3, "end": 10 }]);
    ensure!(report["branches"] == kept, "{report}");

    let file = consortium.dir().join("forked.tar.zst");
    consortium.nodes[0].command(&["export", "--out", file.to_str().unwrap_or_default()])?;
    let found = verify(&consortium, &file)?;
    let kept = &found["forks"][0]["kept"][0];
    ensure!(
        (&kept["size"], &kept["start"], &kept["payloads"]) == (&json!(10), &json!(3), &json!(7)),
        "{found:#}"
    );
    Ok(())
}
