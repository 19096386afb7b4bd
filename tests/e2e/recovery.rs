//! What a node makes of the disk that it finds: lock and database that do not fit, and promises that
//! must survive a restart.
//!
//! Exit code 4 means that the node stopped itself because its own state may be wrong; it must then
//! have signed nothing and changed nothing that a person needs to put things right.

use crate::evidence::{checkpoint, fsck_clean, leaves, log_identity, wait_until};
use crate::http::{Api, record};
use anyhow::{Context as _, Result, ensure};
use hashpact_tests::node::run;
use hashpact_tests::{Consortium, Node};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

fn copy(from: &Path, to: &Path) -> Result<()> {
    run(Command::new("cp").arg("-rp").arg(from).arg(to)).map(drop)
}

fn paths(node: &Node) -> (PathBuf, PathBuf) {
    (node.dir.join("data/signed.lock"), node.dir.join("data/database"))
}

/// `run` must end by itself with code 4 and say this.
fn stops(node: &Node, says: &str) -> Result<()> {
    let done = node.try_command(&["run"])?;
    ensure!(done.code == Some(4), "ended with {:?}\n{}{}", done.code, done.stdout, done.stderr);
    ensure!(done.stderr.contains(says), "{says:?} is not said: {}", done.stderr);
    ensure!(done.stderr.contains("the node stopped itself"), "{}", done.stderr);
    Ok(())
}

#[test]
fn lock_and_database_that_do_not_fit_stop_the_node() -> Result<()> {
    let mut consortium = Consortium::found(&["ash", "birch"])?;
    consortium.start()?;
    let api = Api::of(&consortium.nodes[0])?;
    let numbers: Vec<Value> = (0..20).map(record).collect();
    let first = api.contribute(&numbers)?;
    let [ash, birch] = &mut consortium.nodes[..] else { anyhow::bail!("two nodes") };
    ash.stop()?;
    let (lock, database) = paths(ash);
    let dir = ash.dir.clone();
    let away = |name: &str| dir.join(name);
    let (old_lock, old_database) = (away("lock.old"), away("database.old"));
    copy(&lock, &old_lock)?;
    copy(&database, &old_database)?;

    std::fs::rename(&lock, away("lock.away"))?;
    stops(ash, "the lock file is missing")?;
    ensure!(!lock.exists(), "a lock file was made up");
    birch.stop()?;
    copy(&paths(birch).0, &lock)?;
    stops(ash, "files of two nodes were mixed")?;
    std::fs::rename(away("lock.away"), &lock)?;

    birch.start()?;
    ash.start()?;
    ash.wait_until_open()?;
    let second = api.contribute(&(20..50).map(record).collect::<Vec<_>>())?;
    wait_until("birch to hold all", || Ok(birch.held("ash")? == 50))?;
    ash.stop()?;
    let (new_lock, new_database) = (away("lock.new"), away("database.new"));
    copy(&lock, &new_lock)?;
    std::fs::rename(&database, &new_database)?;

    // Yesterday's copy of the database: sound in itself, and dangerous.
    copy(&old_database, &database)?;
    stops(ash, "holds 20 entries")?;
    stops(ash, "an older database was restored")?;
    let done = ash.try_command(&["fsck"])?;
    ensure!(done.code == Some(3), "fsck does not see it: {:?} {}", done.code, done.stdout);
    ensure!(std::fs::read(&lock)? == std::fs::read(&new_lock)?, "the lock file was changed");
    std::fs::remove_dir_all(&database)?;
    std::fs::rename(&new_database, &database)?;

    // Yesterday's lock: entries beyond it are verified, signed again and kept.
    std::fs::remove_file(&lock)?;
    copy(&old_lock, &lock)?;
    fsck_clean(ash)?;
    ash.start()?;
    ash.wait_until_open()?;
    for (index, receipt) in first.iter().chain(&second).enumerate() {
        let shown = api.get(&format!("/v1/records/{}", receipt["record"].as_str().context("id")?))?.ok()?;
        ensure!(shown["index"] == index, "{shown}");
    }
    api.contribute(&[record(50)])?;
    wait_until("birch to follow", || Ok(birch.held("ash")? == 51))?;
    let identity = log_identity(&api, "ash")?;
    let theirs = Api::of(birch)?;
    ensure!(
        checkpoint(&api, "ash", &identity)?.map(|head| head.root())
            == checkpoint(&theirs, "ash", &identity)?.map(|head| head.root())
    );
    ensure!(leaves(&api, "ash", 51)? == leaves(&theirs, "ash", 51)?, "other leaves");

    // Two processes never share one data folder.
    let done = ash.try_command(&["run"])?;
    ensure!(
        done.code == Some(1) && done.stderr.contains("in use by another process"),
        "{:?} {}",
        done.code,
        done.stderr
    );
    let done = ash.try_command(&["fsck"])?;
    ensure!(
        done.code == Some(1) && done.stderr.contains("in use by another process"),
        "{:?} {}",
        done.code,
        done.stderr
    );
    api.contribute(&[record(51)])?;
    ash.stop()?;
    fsck_clean(ash).map(drop)
}

/// States one record under a key with an ack; status and body.
fn state(api: &Api, number: u64, key: &str, ack: &str) -> Result<(u16, Value)> {
    let body = json!({ "records": [record(number)] });
    let answer = api.post_with(&format!("/v1/records?ack={ack}"), &body, &[("Idempotency-Key", key)])?;
    Ok((answer.status, answer.json()?))
}

#[test]
fn a_replicated_receipt_waits_for_other_disks_and_a_retry_waits_on() -> Result<()> {
    let mut consortium = Consortium::found(&["ash", "birch", "cedar"])?;
    consortium.start()?;
    let api = Api::of(&consortium.nodes[0])?;
    let (status, both) = state(&api, 1, "both", "replicated:2")?;
    let logs = || consortium.nodes.iter().map(Node::last_log).collect::<Vec<_>>().join("\n---\n");
    ensure!(status == 200 && both["receipts"][0]["ack"] == "replicated:2", "{status} {both}\n{}", logs());
    for node in &consortium.nodes[1..] {
        ensure!(node.held("ash")? >= 1, "{} had confirmed it", node.member);
    }

    consortium.nodes[2].kill()?;
    let (status, one) = state(&api, 2, "one", "replicated:1")?;
    ensure!(status == 200, "{status} {one}");
    let asked = Instant::now();
    let (status, late) = state(&api, 3, "late", "replicated:2")?;
    ensure!(status == 504 && late["error"]["code"] == "not_yet_replicated", "{status} {late}");
    ensure!(late["error"]["message"].as_str().is_some_and(|words| words.contains("only 1 of 2")), "{late}");
    ensure!((5..30).contains(&asked.elapsed().as_secs()), "it waited {:?}", asked.elapsed());
    let held = consortium.nodes[0].held("ash")?;
    ensure!(held == 3, "appended once: {held}");

    consortium.nodes[2].start()?;
    consortium.nodes[2].wait_until_open()?;
    let (status, again) = state(&api, 3, "late", "replicated:2")?;
    ensure!(status == 200 && again["receipts"][0]["index"] == 2, "{status} {again}");
    ensure!(consortium.nodes[0].held("ash")? == 3, "a retry stated it twice");

    // Nobody has anything left to fetch when the author comes back; the promise must still be kept.
    let (status, kept) = state(&api, 4, "kept", "local")?;
    ensure!(status == 200, "{status} {kept}");
    for node in &consortium.nodes {
        wait_until("all to hold four", || Ok(node.held("ash")? == 4))?;
    }
    consortium.nodes[0].kill()?;
    consortium.nodes[0].start()?;
    consortium.nodes[0].wait_until_open()?;
    let (status, kept_again) = state(&api, 4, "kept", "replicated:2")?;
    ensure!(
        status == 200 && kept_again["receipts"][0]["record"] == kept["receipts"][0]["record"],
        "{status} {kept_again}"
    );
    ensure!(consortium.nodes[0].held("ash")? == 4, "a retry stated it twice");
    Ok(())
}

#[test]
fn an_idempotency_key_survives_sigkill() -> Result<()> {
    let mut consortium = Consortium::found(&["ash"])?;
    consortium.start()?;
    let api = Api::of(&consortium.nodes[0])?;
    let mut promised = Vec::new();
    for round in 0..6 {
        let key = format!("key-{round}");
        let (status, first) = state(&api, round, &key, "local")?;
        ensure!(status == 200, "{status} {first}");
        promised.push((round, key, first));
        consortium.nodes[0].kill()?;
        consortium.nodes[0].start()?;
        consortium.nodes[0].wait_until_open()?;
        for (number, key, receipts) in &promised {
            let (status, again) = state(&api, *number, key, "local")?;
            ensure!(status == 200 && again == *receipts, "{status} {again} {receipts}");
            let (status, other) = state(&api, number + 100, key, "local")?;
            ensure!(status == 409 && other["error"]["code"] == "idempotency_key_reused", "{status} {other}");
        }
        ensure!(consortium.nodes[0].held("ash")? == round + 1, "stated twice");
    }
    consortium.nodes[0].stop()?;
    fsck_clean(&consortium.nodes[0]).map(drop)
}

#[test]
fn a_killed_contribution_is_stated_at_most_once() -> Result<()> {
    let mut consortium = Consortium::found(&["ash"])?;
    consortium.start()?;
    let api = Api::of(&consortium.nodes[0])?;
    for round in 0..8u64 {
        let records: Vec<Value> = (round * 1_000..round * 1_000 + 400).map(record).collect();
        let body = json!({ "records": records });
        let key = format!("call-{round}");
        let node = &mut consortium.nodes[0];
        std::thread::scope(|threads| -> Result<()> {
            let call = threads.spawn(|| api.post_with("/v1/records", &body, &[("Idempotency-Key", &key)]));
            std::thread::sleep(Duration::from_millis(3 + round * 12));
            node.kill()?;
            // Whether it was answered depends on the moment; the retry must not.
            let _ = call.join();
            Ok(())
        })?;
        node.start()?;
        node.wait_until_open()?;
        let answer = api.post_with("/v1/records", &body, &[("Idempotency-Key", &key)])?.ok()?;
        ensure!(answer["receipts"].as_array().is_some_and(|receipts| receipts.len() == 400), "{answer}");
        ensure!(
            answer["receipts"][0]["index"] == round * 400,
            "all or none, once: {}",
            answer["receipts"][0]
        );
        wait_until("all entries to be shown", || Ok(consortium.nodes[0].held("ash")? == (round + 1) * 400))?;
    }
    consortium.nodes[0].stop()?;
    fsck_clean(&consortium.nodes[0]).map(drop)
}
