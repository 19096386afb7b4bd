//! What does not wait its turn: a retraction acts at a node that lags, long before the log has reached it, and
//! stays in force when that node is killed and has nobody to ask. And what members say of themselves: receipts.

use crate::evidence::{checkpoint, fsck_clean, log_identity, wait_until};
use crate::http::{Api, record, value};
use anyhow::{Context as _, Result, ensure};
use hashpact_protocol::digest::leaf_hash;
use hashpact_protocol::roster::{MemberId, SignedRoster, Term};
use hashpact_tests::{Consortium, Node};
use serde_json::{Value, json};

/// Records in one contribution, and how many contributions the backlog is.
const BATCH: u64 = 10_000;
const BATCHES: u64 = 12;

/// Records that a node shows for the values of record `number`.
fn matches(api: &Api, number: u64) -> Result<usize> {
    let signals = json!([{ "type": "pdq", "value": value(number, 64) }]);
    let answer = api.post("/v1/match", &json!({ "items": [{ "id": "one", "signals": signals }] }))?.ok()?;
    Ok(answer["results"][0]["matches"].as_array().context("matches")?.len())
}

/// Entries of a member's log that count at a node before the log has reached them.
fn ahead(api: &Api, member: &str) -> Result<u64> {
    let status = api.get("/v1/status")?.ok()?;
    let logs = status["logs"].as_array().context("logs")?;
    let of_member =
        |log: &&Value| log["origin"].as_str().is_some_and(|name| name.contains(&format!("/{member}/")));
    logs.iter().find(of_member).and_then(|log| log["ahead"].as_u64()).context("the log")
}

#[test]
fn a_retraction_behind_a_backlog_acts_at_once_and_after_a_restart() -> Result<()> {
    let mut consortium = Consortium::found(&["ash", "birch"])?;
    consortium.start()?;
    let apis = consortium.nodes.iter().map(Api::of).collect::<Result<Vec<_>>>()?;
    let receipts = apis[0].contribute(&[record(0), record(1)])?;
    let withdrawn = receipts[0]["record"].as_str().context("an id")?.to_owned();
    wait_until("both records at birch", || Ok(matches(&apis[1], 0)? == 1 && matches(&apis[1], 1)? == 1))?;
    consortium.nodes[1].stop()?;

    let backlog: Vec<Value> = (2..2 + BATCH).map(record).collect();
    for _ in 0..BATCHES {
        apis[0].contribute(&backlog)?;
    }
    let reason = json!({ "reason": "error" });
    let answer = apis[0].post(&format!("/v1/records/{withdrawn}/retraction"), &reason)?;
    ensure!(answer.status == 200, "{}", answer.text());
    ensure!(matches(&apis[0], 0)? == 0, "its author shows it no more");

    let total = 2 + BATCH * BATCHES + 1;
    consortium.nodes[1].start()?;
    // A node that has only begun to start matches nothing at all.
    let is_up = || matches(&apis[1], 1).is_ok_and(|found| found == 1);
    wait_until(
        "the retraction to act",
        || Ok(is_up() && matches(&apis[1], 0).is_ok_and(|found| found == 0)),
    )?;
    let held = consortium.nodes[1].held("ash")?;
    consortium.nodes[1].kill()?;
    consortium.nodes[0].kill()?;
    ensure!(held < total, "{held} of {total} were held: it did not overtake");

    // Alone, with what it has on disk: the log ends long before the retraction.
    consortium.nodes[1].start()?;
    wait_until("birch to answer", || Ok(apis[1].get("/readyz").is_ok_and(|answer| answer.status == 200)))?;
    let held = consortium.nodes[1].held("ash")?;
    ensure!(held < total, "{held} of {total} are held");
    ensure!(matches(&apis[1], 0)? == 0, "what overtook is in force after a restart");
    ensure!(matches(&apis[1], 1)? == 1, "and nothing else is withdrawn");
    ensure!(ahead(&apis[1], "ash")? == 1, "what overtook is told");
    let told = consortium.nodes[1].hashpact(&["status"])?.stdout;
    ensure!(told.contains("/ash/1: 1 urgent entry is in force already"), "{told}");

    // With its author back, the log reaches it.
    consortium.nodes[0].start()?;
    wait_until("the whole log", || Ok(consortium.nodes[1].held("ash")? == total))?;
    ensure!(matches(&apis[1], 0)? == 0 && matches(&apis[1], 1)? == 1);
    wait_until("nothing to be ahead of the whole log", || Ok(ahead(&apis[1], "ash")? == 0))?;
    let identity = log_identity(&apis[1], "ash")?;
    let noted = checkpoint(&apis[1], "ash", &identity)?.map(|noted| noted.size());
    ensure!(noted == Some(total), "{noted:?}");
    consortium.nodes[1].stop()?;
    fsck_clean(&consortium.nodes[1])?;
    Ok(())
}

fn state_often(node: &Node) -> Result<()> {
    let text = std::fs::read_to_string(node.config())?;
    Ok(std::fs::write(node.config(), format!("{text}\n[receipts]\ninterval_s = 2\n"))?)
}

#[test]
fn members_state_which_payloads_they_hold_and_anybody_can_show_it() -> Result<()> {
    let mut consortium = Consortium::found(&["ash", "birch"])?;
    state_often(&consortium.nodes[1])?;
    consortium.start()?;
    let apis = consortium.nodes.iter().map(Api::of).collect::<Result<Vec<_>>>()?;
    let receipts = apis[0].contribute(&(0..40).map(record).collect::<Vec<_>>())?;
    let first = receipts[0]["record"].as_str().context("an id")?.to_owned();
    wait_until("birch's receipt at ash", || Ok(consortium.nodes[0].held("birch")? >= 1))?;

    let versions = SignedRoster::parse_file(&std::fs::read(&consortium.roster)?)?;
    let trust = leaf_hash(&versions.first().context("a version")?.body).to_hex();
    // Birch may have stated its first receipt before all forty were there; the next one covers them.
    let last = receipts[39]["record"].as_str().context("an id")?.to_owned();
    for asked in [&first, &last] {
        wait_until("possession to be shown", || {
            let told =
                consortium.nodes[0].hashpact(&["audit", "when", asked, "--trust", &trust, "--json"])?;
            let told = told.json_lines()?.pop().with_context(|| told.stderr.clone())?;
            let held = &told["payload_held_by"][0];
            Ok(held["member"] == "birch" && held["size"].as_u64() >= Some(1) && held["receipt"].is_string())
        })?;
    }
    wait_until("status to show it", || {
        let status = apis[0].get("/v1/status")?.ok()?;
        let of_birch = &status["receipts"][0];
        let about_ash = &of_birch["holdings"][0];
        Ok(of_birch["member"] == "birch"
            && about_ash["log"].as_str().is_some_and(|log| log.contains("/ash/"))
            && about_ash["size"].as_u64() >= Some(40)
            && about_ash["lacking"] == 0)
    })?;
    let told = consortium.nodes[0].hashpact(&["status"])?.stdout;
    ensure!(told.contains("birch") && told.contains("entries of 1 log"), "{told}");
    ensure!(apis[0].get("/metrics")?.text().contains("hashpact_receipt_lacking{member=\"birch\"} 0"));
    let told = consortium.nodes[0].hashpact_ok(&["audit", "when", &first, "--trust", &trust])?;
    let (proven, claimed) = told.stdout.split_once("CLAIMED:").context("two parts")?;
    ensure!(claimed.contains("birch held its payload by") && claimed.contains("birch's word"), "{claimed}");
    ensure!(!proven.contains("payload"), "possession is not proven: {proven}");
    Ok(())
}

#[test]
fn what_names_an_open_incident_matches_behind_a_backlog() -> Result<()> {
    let mut consortium = Consortium::found(&["ash", "birch"])?;
    let roster = consortium.next_roster(|roster| {
        let ash = MemberId::parse("ash").expect("an id");
        roster.terms.declarers.push(Term::from_the_first(ash));
    })?;
    for node in &consortium.nodes {
        node.command(&["roster", "install", roster.to_str().context("a path")?])?;
    }
    consortium.start()?;
    let apis = consortium.nodes.iter().map(Api::of).collect::<Result<Vec<_>>>()?;
    consortium.nodes[1].stop()?;
    let backlog: Vec<Value> = (2..2 + BATCH).map(record).collect();
    for _ in 0..BATCHES {
        apis[0].contribute(&backlog)?;
    }
    let declared = apis[0].post("/v1/incidents", &json!({ "step": "declared" }))?.ok()?;
    let mut urgent = record(0);
    urgent["handling"] = json!({ "incident": declared["incident"] });
    apis[0].contribute(&[urgent])?;

    consortium.nodes[1].start()?;
    wait_until("the record to match", || Ok(matches(&apis[1], 0).is_ok_and(|found| found == 1)))?;
    let held = consortium.nodes[1].held("ash")?;
    ensure!(held < BATCH * BATCHES, "it matched when all was held: {held}");
    // Killed, it matches again before the log has reached it; and once, when it has.
    consortium.nodes[1].kill()?;
    consortium.nodes[1].start()?;
    wait_until("the record to match again", || Ok(matches(&apis[1], 0).is_ok_and(|found| found == 1)))?;
    wait_until("the whole log", || Ok(consortium.nodes[1].held("ash")? == BATCH * BATCHES + 2))?;
    ensure!(matches(&apis[1], 0)? == 1);
    consortium.nodes[1].stop()?;
    fsck_clean(&consortium.nodes[1]).map(drop)
}
