//! Bytes that change on the disk under real nodes: another member's are fetched again, the own log's stop the node, and
//! a block that RocksDB cannot read is left behind by `repair`.

use crate::evidence::{all_records, fsck_clean, leaves, wait_until};
use crate::http::{Api, record};
use crate::recover::journal;
use anyhow::{Context as _, Result, ensure};
use hashpact_protocol::digest::LogId;
use hashpact_tests::{Consortium, Node};
use serde_json::Value;
use std::io::Write as _;

/// Lets the scrub read fast and again and again.
fn scrub_fast(node: &Node) -> Result<()> {
    let mut file = std::fs::OpenOptions::new().append(true).open(node.config())?;
    Ok(write!(file, "\n[scrub]\nrate_mb_s = 1000\ninterval_s = 1\n")?)
}

fn log_of(node: &Node, member: &str) -> Result<LogId> {
    let origin = node
        .status()?
        .logs
        .iter()
        .find(|log| log.origin.contains(&format!("/{member}/")))
        .map(|log| log.origin.clone());
    Ok(LogId::of_origin(&origin.context("a log")?))
}

/// Changes one byte of rows of a stopped node's database, as a bad memory would have written them.
fn flip_rows(node: &Node, rows: &[(&str, LogId, u64, usize)]) -> Result<()> {
    let dir = node.dir.join("data/database");
    let options = rocksdb::Options::default();
    let db = rocksdb::DB::open_cf(&options, &dir, rocksdb::DB::list_cf(&options, &dir)?)?;
    for (family, log, index, at) in rows {
        let key = [log.as_bytes().as_slice(), &index.to_be_bytes()].concat();
        let family = db.cf_handle(family).context("a column family")?;
        let mut value = db.get_cf(&family, &key)?.context("a row")?;
        value[*at] ^= 0x10;
        db.put_cf(&family, &key, value)?;
    }
    Ok(())
}

/// Changes one byte of the table file that holds this leaf; `false` if none does. Tables are compressed (LZ4), so the
/// bytes that are looked for are random ones: the commitment at the end of a leaf, without its ends, into which a match
/// of what stands beside them may reach.
fn flip_on_disk(node: &Node, leaf: &[u8]) -> Result<bool> {
    let wanted = &leaf[108..132];
    for file in std::fs::read_dir(node.dir.join("data/database"))? {
        let path = file?.path();
        if path.extension().is_some_and(|ending| ending == "sst") {
            let mut bytes = std::fs::read(&path)?;
            if let Some(at) = bytes.windows(wanted.len()).position(|window| window == wanted) {
                bytes[at + wanted.len() / 2] ^= 1;
                std::fs::write(&path, bytes)?;
                return Ok(true);
            }
        }
    }
    Ok(false)
}

#[test]
fn a_bad_byte_of_another_log_is_healed_and_one_of_the_own_log_stops_the_node() -> Result<()> {
    let mut consortium = Consortium::found(&["ash", "birch", "cedar"])?;
    consortium.start()?;
    let apis = consortium.nodes.iter().map(Api::of).collect::<Result<Vec<_>>>()?;
    apis[0].contribute(&(2_000..2_300).map(record).collect::<Vec<_>>())?;
    let receipts = apis[1].contribute(&(0..700).map(record).collect::<Vec<_>>())?;
    wait_until("ash to hold birch's log", || Ok(consortium.nodes[0].held("birch")? == 700))?;
    wait_until("cedar to hold all", || {
        let cedar = &consortium.nodes[2];
        Ok(cedar.held("birch")? == 700 && cedar.held("ash")? == 300)
    })?;
    let before = leaves(&apis[0], "birch", 700)?;
    let (theirs, own) = (log_of(&consortium.nodes[0], "birch")?, log_of(&consortium.nodes[0], "ash")?);

    // A leaf, a salt, and the padded payload of entries in three tiles.
    let ash = &mut consortium.nodes[0];
    ash.stop()?;
    flip_rows(
        ash,
        &[("leaves", theirs, 300, 20), ("payloads", theirs, 5, 10), ("payloads", theirs, 699, 60)],
    )?;
    let done = ash.try_command(&["fsck"])?;
    ensure!(done.code == Some(3) && done.stdout.contains("entry 5 does not meet"), "{}", done.stdout);
    scrub_fast(ash)?;
    ash.start()?;
    ash.wait_for("three healed tiles", |status| {
        status.scrub.as_ref().is_some_and(|scrub| scrub.healed == 3 && scrub.last_whole.is_some())
    })?;
    let status = ash.status()?;
    let scrub = status.scrub.context("a scrub")?;
    ensure!(scrub.problems.is_empty() && scrub.found >= 3 && scrub.passes >= 1, "{scrub:?}");
    ensure!(apis[0].metric("hashpact_scrub_healed_total")? == 3, "the metric");
    let shown = ash.hashpact_ok(&["status"])?;
    ensure!(shown.stdout.contains("3 found, 3 healed"), "{}", shown.stdout);
    ensure!(leaves(&apis[0], "birch", 700)? == before, "the leaves are back");
    // What was damaged when the node started is found again without another start.
    for index in [5, 300, 699] {
        let id = receipts[index]["record"].as_str().context("record")?;
        let shown = apis[0].get(&format!("/v1/records/{id}"))?.ok()?;
        ensure!(shown["index"] == index && shown["status"] == "active", "{shown}");
    }
    let healed: Vec<Value> = journal(ash)?.into_iter().filter(|line| line["action"] == "healed").collect();
    ensure!(
        healed.len() == 3 && healed.iter().all(|line| line["details"]["payloads_missing"] == 0),
        "{healed:?}"
    );
    ash.stop()?;
    fsck_clean(ash)?;

    flip_rows(ash, &[("payloads", own, 7, 60)])?;
    let done = ash.try_command(&["run"])?;
    ensure!(done.code == Some(4), "ended with {:?}\n{}{}", done.code, done.stdout, done.stderr);
    for words in ["is damaged on this disk: entry 7", "RECOVERY.md", "the node stopped itself"] {
        ensure!(done.stderr.contains(words), "{words:?} is not said: {}", done.stderr);
    }
    Ok(())
}

#[test]
fn a_table_that_cannot_be_read_is_left_behind_by_repair() -> Result<()> {
    let mut consortium = Consortium::found(&["ash", "birch"])?;
    consortium.start()?;
    let apis = consortium.nodes.iter().map(Api::of).collect::<Result<Vec<_>>>()?;
    apis[0].contribute(&(20_000..20_050).map(record).collect::<Vec<_>>())?;
    for thousand in 0..3 {
        apis[1].contribute(&(thousand * 1_000..(thousand + 1) * 1_000).map(record).collect::<Vec<_>>())?;
    }
    wait_until("ash to hold birch's log", || Ok(consortium.nodes[0].held("birch")? == 3_000))?;
    let before = leaves(&apis[0], "birch", 3_000)?;
    let leaf = entry_bytes(&apis[0], 2_000)?;
    // A start writes what the write-ahead log holds into tables.
    let ash = &mut consortium.nodes[0];
    for _ in 0..2 {
        ash.stop()?;
        ash.start()?;
        ash.wait_until_open()?;
    }
    ash.stop()?;
    ensure!(flip_on_disk(ash, &leaf)?, "the leaf is in no table");
    // With good snapshots it answers, and says what is wrong.
    ash.start()?;
    wait_until("the damage to be found", || {
        let log = std::fs::read_to_string(ash.dir.join("node.log"))?;
        Ok(log.contains("cannot be healed while the node runs: stop it and run `hashpact-node repair`")
            && log.contains("the records snapshot cannot be held against the logs; run fsck"))
    })?;
    ash.stop()?;
    // Without them it cannot read its logs.
    std::fs::remove_file(ash.dir.join("data/records.snapshot"))?;
    let done = ash.try_command(&["run"])?;
    ensure!(
        done.code == Some(1) && done.stderr.contains("hashpact-node repair"),
        "{:?} {}",
        done.code,
        done.stderr
    );
    let done = ash.try_command(&["fsck"])?;
    ensure!(
        done.code == Some(3) && done.stdout.contains("leaves cannot be read at entry"),
        "{}",
        done.stdout
    );
    let said = ash.command(&["repair", "--reason", "a bad block, found by the start"])?;
    ensure!(said.contains("/ash/1: 50 of 50 entries are whole"), "{said}");
    ensure!(said.contains("of 3000 entries are whole") && said.contains("cannot be read"), "{said}");
    ash.start()?;
    ash.wait_until_open()?;
    wait_until("birch's log to be back", || Ok(consortium.nodes[0].held("birch")? == 3_000))?;
    ensure!(leaves(&apis[0], "birch", 3_000)? == before, "other leaves");
    ensure!(all_records(&apis[0])?.len() == 3_050, "records are lost");
    apis[0].contribute(&(30_000..30_010).map(record).collect::<Vec<_>>())?;
    wait_until("birch to follow", || Ok(consortium.nodes[1].held("ash")? == 60))?;
    let leaf = entry_bytes_of(&apis[1], "ash", 20)?;
    let ash = &mut consortium.nodes[0];
    ash.stop()?;
    fsck_clean(ash)?;

    // The own log is at stake: nothing is made up.
    ensure!(flip_on_disk(ash, &leaf)?, "the leaf is in no table");
    let done = ash.try_command(&["repair", "--reason", "again"])?;
    ensure!(done.code == Some(1) && done.stderr.contains("the own log"), "{:?} {}", done.code, done.stderr);
    ensure!(done.stderr.contains("hashpact-node recover"), "{}", done.stderr);
    ensure!(ash.dir.join("data/database").exists() && !ash.dir.join("data/database.new").exists());
    Ok(())
}

fn entry_bytes(api: &Api, index: u64) -> Result<Vec<u8>> {
    entry_bytes_of(api, "birch", index)
}

/// The bytes of one leaf of a member's log, in a bundle that is full or as wide as the log.
fn entry_bytes_of(api: &Api, member: &str, index: u64) -> Result<Vec<u8>> {
    let width = if member == "birch" { 256 } else { 60 };
    let path = hashpact_protocol::merkle::entries_path(index / 256, width);
    let answer = api.get(&format!("/logs/{member}/1/tile/entries/{path}"))?;
    ensure!(answer.status == 200, "{}", answer.text());
    let bundle = hashpact_protocol::merkle::decode_bundle(&answer.body)?;
    let leaf = bundle.get(usize::try_from(index % 256)?).context("a leaf")?;
    Ok(leaf.to_vec())
}
