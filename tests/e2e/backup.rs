//! The whole drill: a backup while the node works, a lost disk, the way back; and everything that a person can get
//! wrong on it.

use crate::evidence::{all_records, checkpoint, fsck_clean, leaves, log_identity, roots_at, wait_until};
use crate::http::{Api, record};
use crate::recover::{checkpoints, held, install, journal, next_roster, replicated};
use anyhow::{Context as _, Result, ensure};
use hashpact_tests::consortium::path;
use hashpact_tests::{Consortium, Node};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Backup and keys of a node, in folders of their own beside its data.
struct Places {
    backup: PathBuf,
    keys: PathBuf,
}

impl Places {
    fn of(node: &Node, name: &str) -> Self {
        Self { backup: node.dir.join(name), keys: node.dir.join(format!("{name}.keys")) }
    }

    fn take(&self, node: &Node) -> Result<String> {
        let (out, keys) = (path(&self.backup)?, path(&self.keys)?);
        let token = node.dir.join("token");
        node.command(&["backup", "--out", out, "--keys-out", keys, "--token-file", path(&token)?])
    }

    fn restore(&self, node: &Node, more: &[&str]) -> Result<hashpact_tests::node::Outcome> {
        let mut arguments = vec!["restore", "--from", path(&self.backup)?, "--keys", path(&self.keys)?];
        arguments.extend(more);
        node.try_command(&arguments)
    }
}

/// A command must fail with this code and say this.
fn refused(done: &hashpact_tests::node::Outcome, code: i32, says: &str) -> Result<()> {
    ensure!(done.code == Some(code), "ended with {:?}\n{}{}", done.code, done.stdout, done.stderr);
    ensure!(done.stderr.contains(says), "{says:?} is not said: {}", done.stderr);
    Ok(())
}

/// What must be found of a log everywhere: its first entries are these, and nobody shows another tree.
fn agree(consortium: &Consortium, member: &str, size: u64) -> Result<()> {
    let first = Api::of(&consortium.nodes[0])?;
    let identity = log_identity(&first, member)?;
    let of_first = leaves(&first, member, size)?;
    let root = roots_at(&of_first, &[size].into())[&size];
    for node in &consortium.nodes {
        let api = Api::of(node)?;
        ensure!(leaves(&api, member, size)? == of_first, "{} holds other leaves of {member}", node.member);
        let head = checkpoint(&api, member, &identity)?.context("a checkpoint")?;
        ensure!((head.size(), head.root()) == (size, root), "{} shows another head", node.member);
        let wrong = api.counted_but_cut_off()?;
        ensure!(wrong.is_empty(), "{} accuses somebody: {wrong:?}", node.member);
    }
    Ok(())
}

#[test]
fn a_backup_under_load_comes_back_and_the_log_goes_on_in_the_next() -> Result<()> {
    let mut consortium = Consortium::found(&["ash", "birch", "cedar"])?;
    consortium.start()?;
    let api = Api::of(&consortium.nodes[0])?;
    let places = Places::of(&consortium.nodes[0], "backup");
    let mut receipts = backed_up_under_load(&consortium, &api, &places)?;
    check_backup(&consortium.nodes[0], &places)?;
    receipts.extend(replicated(&api, 5_000..5_100, "after")?);
    let signed = receipts.len() as u64;

    // The disk is gone.
    let ash = &mut consortium.nodes[0];
    ash.kill()?;
    std::fs::remove_dir_all(ash.dir.join("data"))?;
    let done = places.restore(ash, &[])?;
    ensure!(done.code == Some(0) && done.stdout.contains("signs in no role"), "{done:?}");
    ensure!(!ash.dir.join("data/signed.lock").exists(), "the old lock file is no lock file");
    refused(&ash.try_command(&["run"])?, 4, "this data folder was restored from a backup taken at")?;
    refused(&ash.try_command(&["run"])?, 4, "the node stopped itself")?;

    let notes = checkpoints(&consortium, &[1, 2], "ash")?;
    let ash = &mut consortium.nodes[0];
    ash.command(&["recover", "--reason", "the disk was lost; restored from the backup of today"])?;
    let join = ash.dir.join("data/join.toml");

    // Alone it shows no payload: some may have been erased since.
    for node in &mut consortium.nodes[1..] {
        node.stop()?;
    }
    let ash = &mut consortium.nodes[0];
    ash.start()?;
    shows_no_payload(ash)?;
    for node in &mut consortium.nodes[1..] {
        node.start()?;
    }
    let ash = &consortium.nodes[0];
    ash.wait_for("to have caught up", |status| !status.restored)?;
    wait_until("the mark to be gone", || Ok(!ash.dir.join("data/restored").exists()))?;
    wait_until("what the backup lacked", || Ok(held(ash, "/ash/1")? == signed))?;

    let closure = ["--checkpoint", path(&notes[0])?, "--checkpoint", path(&notes[1])?];
    let roster = next_roster(&consortium, "roster.2", &join, &closure)?;
    for node in &mut consortium.nodes {
        install(node, &roster)?;
    }
    for node in &consortium.nodes {
        node.wait_until_open()?;
    }
    goes_on_in_the_next(&consortium, &receipts)?;
    let actions: Vec<Value> =
        journal(&consortium.nodes[0])?.into_iter().map(|line| line["action"].clone()).collect();
    ensure!(actions.contains(&json!("restore")) && actions.contains(&json!("recover")), "{actions:?}");
    for node in &mut consortium.nodes {
        node.stop()?;
        fsck_clean(node)?;
    }
    Ok(())
}

/// A backup while records are stated; gives the receipts of all of them.
fn backed_up_under_load(consortium: &Consortium, api: &Api, places: &Places) -> Result<Vec<Value>> {
    let mut receipts = replicated(api, 0..300, "before")?;
    let is_done = AtomicBool::new(false);
    let meanwhile = std::thread::scope(|threads| -> Result<Vec<Value>> {
        let writer = threads.spawn(|| -> Result<Vec<Value>> {
            let mut stated = Vec::new();
            for round in 0.. {
                let from = 1_000 + round * 20;
                stated.extend(replicated(api, from..from + 20, &format!("meanwhile-{round}"))?);
                if is_done.load(Ordering::Relaxed) {
                    break;
                }
            }
            Ok(stated)
        });
        let taken = places.take(&consortium.nodes[0]);
        is_done.store(true, Ordering::Relaxed);
        let stated = writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))?;
        let said = taken?;
        ensure!(said.contains("verified: ") && said.contains("keep them apart"), "{said}");
        stated
    })?;
    ensure!(meanwhile.len() >= 20, "appends went on");
    receipts.extend(meanwhile);
    Ok(receipts)
}

/// A restored node that has met nobody answers nothing that follows from payloads.
fn shows_no_payload(node: &Node) -> Result<()> {
    node.wait_for("the API", |status| status.ready && status.restored)?;
    let api = Api::of(node)?;
    for target in ["/v1/records", "/v1/audit/export"] {
        let answer = api.get(target)?;
        ensure!(answer.status == 503 && answer.json()?["error"]["code"] == "restored", "{}", answer.text());
    }
    let query = json!({ "items": [{ "signals": [{ "type": "md5", "value": "00".repeat(16) }] }] });
    let answer = api.post("/v1/match", &query)?;
    ensure!(answer.status == 503, "no answer is no silent \"no\": {} {}", answer.status, answer.text());
    ensure!(node.dir.join("data/restored").exists(), "the mark stays");
    Ok(())
}

/// Nothing acknowledged is lost, and the next log takes entries.
fn goes_on_in_the_next(consortium: &Consortium, receipts: &[Value]) -> Result<()> {
    let signed = receipts.len() as u64;
    let api = Api::of(&consortium.nodes[0])?;
    for (index, receipt) in receipts.iter().enumerate() {
        let id = receipt["record"].as_str().context("record")?;
        let shown = api.get(&format!("/v1/records/{id}"))?.ok()?;
        ensure!(shown["index"] == index && shown["status"] == "active", "{shown}");
    }
    let next = api.contribute(&(9_000..9_010).map(record).collect::<Vec<_>>())?;
    ensure!(next[0]["index"] == 0, "a new log begins at 0: {}", next[0]);
    agree(consortium, "ash", signed)?;
    for node in &consortium.nodes {
        wait_until("the next log to arrive", || Ok(held(node, "/ash/2")? == 10))?;
        ensure!(all_records(&Api::of(node)?)?.len() as u64 == signed + 10, "{}", node.member);
    }
    Ok(())
}

/// No key in the backup, keys apart and closed to others, nothing left beside the database.
fn check_backup(node: &Node, places: &Places) -> Result<()> {
    let files = walk(&places.backup)?;
    ensure!(files.iter().all(|file| !file.ends_with(".key")), "{files:?}");
    for secret in walk(&node.dir.join("data/keys"))? {
        let key = std::fs::read(node.dir.join("data/keys").join(&secret))?;
        for file in &files {
            let bytes = std::fs::read(places.backup.join(file))?;
            let digits = &key[key.len() - 65..key.len() - 1];
            ensure!(!bytes.windows(64).any(|window| window == digits), "{secret} is in {file}");
        }
        let mode = std::fs::metadata(places.keys.join(&secret))?.permissions().mode();
        ensure!(mode & 0o777 == 0o600, "{secret} has mode {mode:o}");
    }
    ensure!(std::fs::metadata(&places.keys)?.permissions().mode() & 0o777 == 0o700, "a closed folder");
    ensure!(walk(&node.dir.join("data/checkpoints"))?.is_empty(), "the first copy is removed");
    Ok(())
}

/// Paths of all files below a folder.
fn walk(dir: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let (path, name) = {
            let entry = entry?;
            (entry.path(), entry.file_name())
        };
        let name = name.to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(walk(&path)?.into_iter().map(|below| format!("{name}/{below}")));
        } else {
            found.push(name);
        }
    }
    Ok(found)
}

#[test]
fn with_the_newest_lock_file_a_node_goes_on_and_with_a_newer_one_it_stops() -> Result<()> {
    let mut consortium = Consortium::found(&["ash", "birch"])?;
    consortium.start()?;
    let api = Api::of(&consortium.nodes[0])?;
    api.contribute(&(0..50).map(record).collect::<Vec<_>>())?;
    wait_until("birch to have them", || Ok(consortium.nodes[1].held("ash")? == 50))?;
    let ash = &mut consortium.nodes[0];
    ash.stop()?;
    let places = Places::of(ash, "backup");
    places.take(ash)?;
    let (data, old) = (ash.dir.join("data"), ash.dir.join("old"));
    std::fs::rename(&data, &old)?;
    let lock = old.join("signed.lock");
    let done = places.restore(ash, &["--lock", path(&lock)?])?;
    ensure!(done.code == Some(0) && done.stdout.contains("nothing is lost"), "{done:?}");
    fsck_clean(ash)?;
    ash.start()?;
    ash.wait_until_open()?;
    let stated = api.contribute(&(50..60).map(record).collect::<Vec<_>>())?;
    ensure!(stated[0]["index"] == 50, "the same log goes on: {}", stated[0]);
    wait_until("birch to follow", || Ok(consortium.nodes[1].held("ash")? == 60))?;
    agree(&consortium, "ash", 60)?;

    // The same backup again, with the lock file as it is now.
    let ash = &mut consortium.nodes[0];
    ash.stop()?;
    std::fs::rename(&data, ash.dir.join("older"))?;
    let lock = ash.dir.join("older/signed.lock");
    let done = places.restore(ash, &["--lock", path(&lock)?])?;
    ensure!(done.code == Some(0) && done.stdout.contains("recover"), "{done:?}");
    refused(&ash.try_command(&["run"])?, 4, "holds 50 entries")?;
    refused(&ash.try_command(&["run"])?, 4, "an older database was restored")
}

#[test]
fn what_a_person_can_get_wrong_changes_nothing() -> Result<()> {
    let mut consortium = Consortium::found(&["ash", "birch"])?;
    consortium.start()?;
    let api = Api::of(&consortium.nodes[0])?;
    api.contribute(&(0..20).map(record).collect::<Vec<_>>())?;
    let [ash, birch] = &mut consortium.nodes[..] else { anyhow::bail!("two nodes") };
    let places = Places::of(ash, "backup");
    let out = path(&places.backup)?.to_owned();

    refused(
        &ash.try_command(&["backup", "--out", &out])?,
        1,
        "the node is running: give a token of scope admin",
    )?;
    let weak = ash.dir.join("weak");
    std::fs::write(&weak, "hpt_0000\n")?;
    let done = ash.try_command(&["backup", "--out", &out, "--token-file", path(&weak)?])?;
    refused(&done, 1, "the node refused (401, unauthorized)")?;
    ensure!(!places.backup.exists(), "nothing was written");
    let token = ash.dir.join("token");
    let inside = places.backup.join("keys");
    let done = ash.try_command(&[
        "backup",
        "--out",
        &out,
        "--keys-out",
        path(&inside)?,
        "--token-file",
        path(&token)?,
    ])?;
    refused(&done, 1, "keys must not be inside the backup")?;
    ensure!(walk(&ash.dir.join("data/checkpoints"))?.is_empty(), "a copy was left behind");
    places.take(ash)?;
    refused(&ash.try_command(&["backup", "--out", &out])?, 1, "a backup needs a new folder")?;

    refused(&places.restore(ash, &[])?, 1, "is not empty")?;
    birch.stop()?;
    std::fs::rename(birch.dir.join("data"), birch.dir.join("old"))?;
    refused(&places.restore(birch, &[])?, 1, "this is the backup of member ash")?;
    ensure!(!birch.dir.join("data").exists(), "nothing was put anywhere");

    ash.stop()?;
    std::fs::rename(ash.dir.join("data"), ash.dir.join("old"))?;
    let lock = places.backup.join("signed.lock");
    refused(&places.restore(ash, &["--lock", path(&lock)?])?, 1, "is the backup's own lock file")?;
    let done = ash.try_command(&["restore", "--from", &out])?;
    ensure!(done.code == Some(2) && done.stderr.contains("--keys"), "{done:?}");
    let nowhere = ash.dir.join("nowhere");
    std::fs::create_dir(&nowhere)?;
    let done = ash.try_command(&["restore", "--from", path(&nowhere)?, "--new-keys"])?;
    refused(&done, 1, "holds no manifest")?;

    // One byte, one file too many, one too few: each is named.
    let table = walk(&places.backup)?.into_iter().find(|file| file.ends_with(".sst")).context("a table")?;
    let table = places.backup.join(table);
    let good = std::fs::read(&table)?;
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    std::fs::write(&table, &bad)?;
    refused(&places.restore(ash, &[])?, 1, "is not what the backup's manifest says")?;
    std::fs::remove_file(&table)?;
    refused(&places.restore(ash, &[])?, 1, "is missing from the backup")?;
    std::fs::write(&table, &good)?;
    let more = places.backup.join("database/more");
    std::fs::write(&more, "x")?;
    refused(&places.restore(ash, &[])?, 1, "does not belong to the backup")?;
    std::fs::remove_file(&more)?;
    ensure!(!ash.dir.join("data").exists(), "nothing was put anywhere");
    let done = places.restore(ash, &[])?;
    ensure!(done.code == Some(0), "{done:?}");
    Ok(())
}
