//! The ways back after a disk, a lock file or a key is lost: nothing acknowledged as replicated is lost, no
//! log forks, and the member goes on in its next log.

use crate::evidence::{all_records, checkpoint, fsck_clean, leaves, log_identity, roots_at, wait_until};
use crate::http::{Api, record};
use anyhow::{Context as _, Result, ensure};
use hashpact_tests::consortium::{GOVERNANCE, path};
use hashpact_tests::node::run;
use hashpact_tests::{Consortium, Node};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// States records and waits until two other members have them.
pub(crate) fn replicated(api: &Api, numbers: std::ops::Range<u64>, key: &str) -> Result<Vec<Value>> {
    let body = json!({ "records": numbers.map(record).collect::<Vec<_>>() });
    let headers = [("Idempotency-Key", key)];
    let answer = api.post_with("/v1/records?ack=replicated:2", &body, &headers)?.ok()?;
    Ok(answer["receipts"].as_array().context("receipts")?.clone())
}

/// The newest checkpoints of a member's first log that these nodes hold, as files.
pub(crate) fn checkpoints(consortium: &Consortium, holders: &[usize], member: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for holder in holders {
        let node = &consortium.nodes[*holder];
        let answer = Api::of(node)?.get(&format!("/logs/{member}/1/checkpoint"))?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
        let file = consortium.dir().join(format!("checkpoint.{member}.{}", node.member));
        std::fs::write(&file, answer.body)?;
        files.push(file);
    }
    Ok(files)
}

/// Governance drafts the next roster with these arguments, and two of three sign it.
pub(crate) fn next_roster(
    consortium: &Consortium,
    name: &str,
    join: &Path,
    closure: &[&str],
) -> Result<PathBuf> {
    let out = consortium.dir().join(name);
    let governance = consortium.dir().join("governance");
    let mut draft = Command::new(&consortium.programs.node);
    draft.args(["roster", "replace-log", "--roster", path(&consortium.roster)?, "--join", path(join)?]);
    run(draft.args(closure).args(["--out", path(&out)?]))?;
    for signer in &GOVERNANCE[..2] {
        let key = governance.join(format!("{signer}.key"));
        let mut sign = Command::new(&consortium.programs.node);
        run(sign.args(["roster", "sign", "--key", path(&key)?, "--name", signer, path(&out)?]))?;
    }
    Ok(out)
}

/// Installs a roster at a node and starts it again.
pub(crate) fn install(node: &mut Node, roster: &Path) -> Result<()> {
    node.stop()?;
    node.command(&["roster", "install", path(roster)?])?;
    node.start()
}

pub(crate) fn journal(node: &Node) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(node.dir.join("data/journal"))?;
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

pub(crate) fn held(node: &Node, log: &str) -> Result<u64> {
    Ok(node.status()?.logs.iter().find(|held| held.origin.ends_with(log)).map_or(0, |held| held.size))
}

#[test]
fn a_wiped_disk_comes_back_from_the_other_members_and_the_log_goes_on_in_the_next() -> Result<()> {
    let mut consortium = Consortium::found(&["ash", "birch", "cedar"])?;
    consortium.start()?;
    let api = Api::of(&consortium.nodes[0])?;
    let identity = log_identity(&api, "ash")?;
    let mut receipts = replicated(&api, 0..300, "first")?;
    receipts.extend(replicated(&api, 300..340, "second")?);
    let before = leaves(&api, "ash", 340)?;

    // Everything is gone: database, lock, keys, tokens.
    let ash = &mut consortium.nodes[0];
    ash.kill()?;
    std::fs::remove_dir_all(ash.dir.join("data"))?;
    let refused = ash.try_command(&["recover", "--reason", "disk lost"])?;
    ensure!(refused.code == Some(1) && refused.stderr.contains("init"), "{refused:?}");
    ash.command(&["init"])?;
    let join = ash.dir.join("data/join.toml");

    let notes = checkpoints(&consortium, &[1, 2], "ash")?;
    let closure = ["--checkpoint", path(&notes[0])?, "--checkpoint", path(&notes[1])?];
    let roster = next_roster(&consortium, "roster.2", &join, &closure)?;
    for node in &mut consortium.nodes[1..] {
        install(node, &roster)?;
    }
    let ash = &mut consortium.nodes[0];
    ash.command(&["init", "--roster", path(&roster)?])?;
    ash.renew_tokens()?;
    ash.start()?;
    ash.wait_until_open()?;
    wait_until("the former log to be back", || Ok(held(&consortium.nodes[0], "/ash/1")? == 340))?;

    // Leaf for leaf, record for record, and closed there everywhere.
    let api = Api::of(&consortium.nodes[0])?;
    ensure!(leaves(&api, "ash", 340)? == before, "other leaves than were acknowledged");
    for (index, receipt) in receipts.iter().enumerate() {
        let id = receipt["record"].as_str().context("record")?;
        ensure!(before[index].to_hex() == id, "receipt {index} names {id}");
        let shown = api.get(&format!("/v1/records/{id}"))?.ok()?;
        ensure!(shown["index"] == index && shown["status"] == "active", "{shown}");
    }
    let stated = api.contribute(&(1_000..1_020).map(record).collect::<Vec<_>>())?;
    ensure!(stated[0]["index"] == 0, "a new log begins at 0: {}", stated[0]);
    for node in &consortium.nodes {
        wait_until("the next log to arrive", || Ok(held(node, "/ash/2")? == 20))?;
        ensure!(held(node, "/ash/1")? == 340, "{} holds another size of the closed log", node.member);
        let api = Api::of(node)?;
        let shown = checkpoint(&api, "ash", &identity)?.context("of the closed log")?;
        let roots = roots_at(&before, &[340].into());
        ensure!(shown.size() == 340 && Some(&shown.root()) == roots.get(&340), "{} forked it", node.member);
        ensure!(all_records(&api)?.len() == 360, "{} shows other records", node.member);
    }
    for node in &mut consortium.nodes {
        node.stop()?;
        fsck_clean(node)?;
    }
    Ok(())
}

#[test]
fn a_lost_lock_file_costs_a_log_and_no_record() -> Result<()> {
    let mut consortium = Consortium::found(&["ash", "birch", "cedar"])?;
    consortium.start()?;
    let api = Api::of(&consortium.nodes[0])?;
    let first = replicated(&api, 0..50, "kept")?;
    // The last ones are on this disk only.
    for node in &mut consortium.nodes[1..] {
        node.stop()?;
    }
    api.contribute(&(50..60).map(record).collect::<Vec<_>>())?;
    let ash = &mut consortium.nodes[0];
    let busy = ash.try_command(&["recover", "--reason", "while it runs"])?;
    ensure!(busy.code == Some(1) && busy.stderr.contains("in use"), "{busy:?}");
    ash.stop()?;
    std::fs::remove_file(ash.dir.join("data/signed.lock"))?;
    let stopped = ash.try_command(&["run"])?;
    ensure!(stopped.code == Some(4) && stopped.stderr.contains("hashpact-node recover"), "{stopped:?}");
    let old_key = std::fs::read(ash.dir.join("data/keys/log.key"))?;

    let said = ash.command(&["recover", "--reason", "the lock file was lost"])?;
    ensure!(said.contains("gave up") && said.contains("/ash/1"), "{said}");
    ensure!(said.contains("size 60"), "its own newest checkpoint is known: {said}");
    let again = ash.command(&["recover", "--reason", "the lock file was lost"])?;
    ensure!(again.contains("nothing was changed"), "{again}");
    ensure!(std::fs::read(ash.dir.join("data/keys/log.key"))? != old_key, "the same key");
    ensure!(journal(ash)?.iter().filter(|line| line["action"] == "recover").count() == 1, "one line");

    // Until governance has acted: look-ups and replication, nothing stated.
    ash.start()?;
    consortium.nodes[1].start()?;
    consortium.nodes[2].start()?;
    let ash = &consortium.nodes[0];
    ash.wait_for("complete answers", |status| status.complete)?;
    let status = ash.status()?;
    ensure!(!status.appending, "it appends to nothing");
    ensure!(status.append_blocked.is_some_and(|why| why.contains("governance")), "and says why");
    let refused = api.post("/v1/records", &json!({ "records": [record(70)] }))?;
    ensure!(refused.status == 503, "{} {}", refused.status, refused.text());
    wait_until("birch to have what only ash had", || Ok(held(&consortium.nodes[1], "/ash/1")? == 60))?;
    wait_until("cedar, too", || Ok(held(&consortium.nodes[2], "/ash/1")? == 60))?;

    let notes = checkpoints(&consortium, &[0, 1], "ash")?;
    let join = consortium.nodes[0].dir.join("data/join.toml");
    let closure = ["--checkpoint", path(&notes[0])?, "--checkpoint", path(&notes[1])?];
    let roster = next_roster(&consortium, "roster.2", &join, &closure)?;
    let rival = next_roster(&consortium, "rival", &join, &["--size", "0", "--root", &"0".repeat(64)]);
    ensure!(rival.is_err(), "size 0 has the empty root");
    let rival = next_roster(&consortium, "rival", &join, &["--size", "50", "--root", &"1".repeat(64)]);
    ensure!(rival.is_err(), "a key signs one draft of a version");
    for node in &mut consortium.nodes {
        install(node, &roster)?;
    }
    for node in &consortium.nodes {
        node.wait_until_open()?;
    }
    ensure!(journal(&consortium.nodes[0])?.iter().any(|line| line["action"] == "install-roster"));
    api.contribute(&[record(80)])?;
    for node in &consortium.nodes {
        wait_until("the next log", || Ok(held(node, "/ash/2")? == 1))?;
        ensure!(held(node, "/ash/1")? == 60);
    }
    // A retry of what was stated in the former log is answered from there, and states nothing.
    let body = json!({ "records": (0..50).map(record).collect::<Vec<_>>() });
    let retried = api.post_with("/v1/records", &body, &[("Idempotency-Key", "kept")])?.ok()?;
    ensure!(retried["receipts"][49]["record"] == first[49]["record"], "{}", retried["receipts"][49]);
    ensure!(held(&consortium.nodes[0], "/ash/2")? == 1, "stated twice");
    for node in &mut consortium.nodes {
        node.stop()?;
        fsck_clean(node)?;
    }
    Ok(())
}

#[test]
fn what_a_closure_disowns_never_counts_again() -> Result<()> {
    let mut consortium = Consortium::found(&["ash", "birch", "cedar"])?;
    consortium.start()?;
    let api = Api::of(&consortium.nodes[0])?;
    let birch = Api::of(&consortium.nodes[1])?;
    let own = birch.contribute(&[record(9_000)])?;
    wait_until("ash to see it", || Ok(consortium.nodes[0].held("birch")? == 1))?;
    let honest = replicated(&api, 0..40, "honest")?;
    // From here on a thief writes: records, and a retraction of an honest one.
    replicated(&api, 40..60, "stolen")?;
    let subject = honest[3]["record"].as_str().context("record")?;
    let retraction = json!({ "reason": "error" });
    let answer = api.post(&format!("/v1/records/{subject}/retraction"), &retraction)?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
    wait_until("birch to have it", || Ok(consortium.nodes[1].held("ash")? == 61))?;
    ensure!(birch.get(&format!("/v1/records/{subject}"))?.ok()?["status"] == "retracted");

    let root = roots_at(&leaves(&birch, "ash", 61)?, &[40].into())[&40].to_hex();
    let ash = &mut consortium.nodes[0];
    ash.stop()?;
    ash.command(&["recover", "--reason", "the log key was stolen"])?;
    let join = ash.dir.join("data/join.toml");
    let roster = next_roster(&consortium, "roster.2", &join, &["--size", "40", "--root", &root])?;
    let ash = &mut consortium.nodes[0];
    ash.command(&["roster", "install", path(&roster)?])?;
    ash.start()?;
    for node in &mut consortium.nodes[1..] {
        install(node, &roster)?;
    }
    for node in &consortium.nodes {
        node.wait_until_open()?;
        ensure!(held(node, "/ash/1")? == 40, "{}: {:?}", node.member, node.status()?.logs);
        let api = Api::of(node)?;
        let records = all_records(&api)?;
        ensure!(records.len() == 41, "{} shows {} records", node.member, records.len());
        let shown = api.get(&format!("/v1/records/{subject}"))?.ok()?;
        ensure!(shown["status"] == "active", "the thief's retraction lapsed: {shown}");
        ensure!(api.counted_in_all()? == 0, "{} accuses somebody", node.member);
    }
    api.contribute(&[record(100)])?;
    let id = own[0]["record"].as_str().context("record")?;
    ensure!(api.get(&format!("/v1/records/{id}"))?.ok()?["status"] == "active");
    Ok(())
}

#[test]
fn another_machine_waits_for_the_others_or_for_an_override() -> Result<()> {
    let mut consortium = Consortium::found(&["ash", "birch", "cedar"])?;
    consortium.start()?;
    let ash = &mut consortium.nodes[0];
    let host = ash.dir.join("data/host");
    if !host.exists() {
        // A system without a machine id cannot tell machines apart.
        return Ok(());
    }
    let known = std::fs::read_to_string(&host)?;
    ash.stop()?;
    consortium.nodes[2].stop()?;
    std::fs::write(&host, "another-machine\n")?;
    let ash = &mut consortium.nodes[0];
    ash.start()?;
    ash.wait_for("birch's heads", |status| status.complete)?;
    // One of two others is not more than two thirds of them.
    std::thread::sleep(std::time::Duration::from_secs(4));
    let status = ash.status()?;
    ensure!(!status.appending && status.append_blocked.is_some_and(|why| why.contains("--override-doubt")));
    consortium.nodes[2].start()?;
    consortium.nodes[0].wait_until_open()?;
    wait_until("the machine to be known", || Ok(std::fs::read_to_string(&host)? == known))?;

    let ash = &mut consortium.nodes[0];
    ash.stop()?;
    std::fs::write(&host, "another-machine\n")?;
    consortium.nodes[1].stop()?;
    consortium.nodes[2].stop()?;
    let ash = &mut consortium.nodes[0];
    ash.start_with(&["--override-doubt", "moved to new hardware; the old one is switched off"])?;
    ash.wait_for("an open log", |status| status.appending)?;
    let lines = journal(ash)?;
    let line =
        lines.iter().find(|line| line["action"] == "override-doubt").context("a line in the journal")?;
    ensure!(line["details"]["machine_changed"] == true, "{line}");
    Ok(())
}
