//! An auditor's view from outside: checkpoints, leaves and records as HTTP serves them, and `fsck`.
//!
//! Trees are recomputed here from the leaves in entry bundles; nothing that a node computed is taken
//! on trust but the bytes of leaves and notes.

use crate::http::Api;
use anyhow::{Context as _, Result, bail, ensure};
use hashpact_protocol::checkpoint::SignedCheckpoint;
use hashpact_protocol::digest::{LeafHash, Root, leaf_hash};
use hashpact_protocol::keys::PublicKey;
use hashpact_protocol::merkle::{Frontier, decode_bundle, entries_path};
use hashpact_tests::Node;
use hashpact_tests::node::DEADLINE;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Origin and key of a member's first log, as a node names them.
pub(crate) fn log_identity(api: &Api, member: &str) -> Result<(String, PublicKey)> {
    let logs = api.get("/v1/logs")?.ok()?;
    let log = logs["logs"].as_array().and_then(|logs| logs.iter().find(|log| log["member"] == member));
    let log = log.with_context(|| format!("no log of {member} in {logs}"))?;
    let text = |field: &str| log[field].as_str().with_context(|| format!("{field} in {log}"));
    Ok((text("origin")?.to_owned(), PublicKey::from_hex(text("key")?)?))
}

/// The newest checkpoint of a member's first log at this node, verified; `None` while there is none.
pub(crate) fn checkpoint(
    api: &Api,
    member: &str,
    identity: &(String, PublicKey),
) -> Result<Option<SignedCheckpoint>> {
    let answer = api.get(&format!("/logs/{member}/1/checkpoint"))?;
    match answer.status {
        200 => Ok(Some(SignedCheckpoint::verify(&answer.body, &identity.0, &identity.1)?)),
        404 => Ok(None),
        other => bail!("checkpoint of {member}: {other} {}", answer.text()),
    }
}

/// Leaf hashes of the first `size` entries of a member's log, from entry bundles.
pub(crate) fn leaves(api: &Api, member: &str, size: u64) -> Result<Vec<LeafHash>> {
    let mut leaves = Vec::new();
    while (leaves.len() as u64) < size {
        let width = (size - leaves.len() as u64).min(256);
        let path = entries_path(leaves.len() as u64 / 256, u16::try_from(width)?);
        let answer = api.get(&format!("/logs/{member}/1/tile/entries/{path}"))?;
        ensure!(answer.status == 200, "{path} of {member}: {} {}", answer.status, answer.text());
        let bundle = decode_bundle(&answer.body)?;
        ensure!(bundle.len() as u64 == width, "{path} of {member} holds {} entries", bundle.len());
        leaves.extend(bundle.into_iter().map(leaf_hash));
    }
    Ok(leaves)
}

/// Root of the tree at each of `sizes`.
pub(crate) fn roots_at(leaves: &[LeafHash], sizes: &BTreeSet<u64>) -> BTreeMap<u64, Root> {
    let mut tree = Frontier::empty();
    let mut roots = BTreeMap::new();
    for size in 0..=leaves.len() as u64 {
        if sizes.contains(&size) {
            roots.insert(size, tree.root());
        }
        if let Some(leaf) = leaves.get(usize::try_from(size).unwrap_or(usize::MAX)) {
            tree.append(*leaf);
        }
    }
    roots
}

/// Every record that a node shows as standing, page by page.
pub(crate) fn all_records(api: &Api) -> Result<Vec<Value>> {
    let mut records = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = api.get(&format!("/v1/records?limit=1000{cursor}"))?.ok()?;
        records.extend(page["records"].as_array().context("records")?.iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(records),
        }
    }
}

/// Runs `fsck` on a stopped node; fails unless it is clean.
pub(crate) fn fsck_clean(node: &Node) -> Result<Value> {
    let done = node.try_command(&["fsck", "--json"])?;
    ensure!(
        done.code == Some(0),
        "fsck of {} ended with {:?}\n{}{}",
        node.member,
        done.code,
        done.stdout,
        done.stderr
    );
    let report: Value = serde_json::from_str(done.stdout.trim())?;
    ensure!(report["clean"] == true, "fsck of {}: {report}", node.member);
    Ok(report)
}

/// Waits until something holds; tells what was seen last.
pub(crate) fn wait_until(what: &str, mut seen: impl FnMut() -> Result<bool>) -> Result<()> {
    let until = Instant::now() + DEADLINE;
    let mut last = String::from("not yet");
    while Instant::now() < until {
        match seen() {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) => last = format!("{error:#}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    bail!("waited {DEADLINE:?} for {what}; last: {last}")
}

/// A small deterministic generator (SplitMix64), so that a seed replays the same run.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number in `0..bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
