//! What is left after a power cut, with a layer that forgets unsynced bytes ([`Layer`]); see `crash.rs` for a
//! consortium that lives through such cuts.

use crate::evidence::{fsck_clean, leaves};
use crate::http::{Api, record};
use anyhow::{Result, ensure};
use hashpact_tests::Consortium;
use hashpact_tests::power::Layer;

#[test]
fn an_acknowledged_batch_costs_three_syncs_and_survives_what_they_promise() -> Result<()> {
    let mut consortium = Consortium::found(&["ash"])?;
    let library = Layer::compile(consortium.dir())?;
    let node = &mut consortium.nodes[0];
    let layer = Layer::under(node, &library)?;
    node.start()?;
    node.wait_until_open()?;
    let api = Api::of(node)?;
    let before = layer.syncs()?;
    for number in 0..20 {
        api.contribute(&[record(number)])?;
    }
    let after = layer.syncs()?;
    let spent = |kind| after.get(kind).unwrap_or(&0) - before.get(kind).unwrap_or(&0);
    println!(
        "20 acknowledged batches: {} of the log of the database, {} of the lock file",
        spent("wal"),
        spent("lock")
    );
    ensure!((spent("wal"), spent("lock")) == (20, 40), "{before:?} {after:?}");
    let stated = leaves(&api, "ash", 20)?;
    let forgotten = layer.cut(node)?;
    ensure!(forgotten > 0, "the layer forgot nothing: it is not in place");
    node.start()?;
    node.wait_until_open()?;
    ensure!(leaves(&api, "ash", 20)? == stated, "other leaves after the cut");
    node.stop()?;
    fsck_clean(node).map(drop)
}

/// The test of the test, and of the lock file: a disk that lies about syncing the database.
#[test]
fn a_disk_that_lies_about_the_database_is_found_out() -> Result<()> {
    let mut consortium = Consortium::found(&["ash"])?;
    let library = Layer::compile(consortium.dir())?;
    let node = &mut consortium.nodes[0];
    let layer = Layer::under(node, &library)?;
    node.environment.push(("HASHPACT_POWER_IGNORE".to_owned(), ".log".to_owned()));
    node.start()?;
    node.wait_until_open()?;
    Api::of(node)?.contribute(&[record(0), record(1)])?;
    layer.cut(node)?;
    let done = node.try_command(&["run"])?;
    ensure!(done.code == Some(4), "ended with {:?}\n{}{}", done.code, done.stdout, done.stderr);
    ensure!(done.stderr.contains("holds 0 entries") && done.stderr.contains("signed 2"), "{}", done.stderr);
    Ok(())
}
