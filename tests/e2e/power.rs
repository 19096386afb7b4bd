//! A layer under the database and the lock file that forgets what was not synced, as a power cut does.
//!
//! The node runs with `power/shim.rs` loaded before its C library; [`Layer::cut`] kills it and puts every
//! file back to what its last sync left. See `crash.rs` for a consortium that lives through such cuts.

use crate::evidence::{Dice, fsck_clean, leaves};
use crate::http::{Api, record};
use anyhow::{Context as _, Result, ensure};
use hashpact_tests::consortium::path;
use hashpact_tests::node::run;
use hashpact_tests::{Consortium, Node};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The layer under one node.
pub(crate) struct Layer {
    data: PathBuf,
    shadow: PathBuf,
}

impl Layer {
    /// Compiles the layer into a folder.
    pub(crate) fn compile(into: &Path) -> Result<PathBuf> {
        let library = into.join("libpower.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/power/shim.rs");
        let compiler = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
        let mut compile = Command::new(compiler);
        compile.args(["--edition", "2024", "--crate-type", "cdylib", "--crate-name", "power", "-O"]);
        run(compile.arg("-o").arg(&library).arg(source))?;
        Ok(library)
    }

    /// Lays it under a node that is not running. What is on the disk now is taken as synced.
    pub(crate) fn under(node: &mut Node, library: &Path) -> Result<Self> {
        let layer = Self { data: node.dir.join("data").canonicalize()?, shadow: node.dir.join("shadow") };
        std::fs::create_dir(&layer.shadow)?;
        for file in files(&layer.data)? {
            std::fs::copy(&file, layer.shadow.join(std::fs::metadata(&file)?.ino().to_string()))?;
        }
        node.environment = vec![
            ("LD_PRELOAD".to_owned(), path(library)?.to_owned()),
            ("HASHPACT_POWER_DATA".to_owned(), path(&layer.data)?.to_owned()),
            ("HASHPACT_POWER_SHADOW".to_owned(), path(&layer.shadow)?.to_owned()),
        ];
        Ok(layer)
    }

    /// Cuts the power: the process is gone, and with it every byte that was not synced. Gives back how many
    /// bytes that were.
    pub(crate) fn cut(&self, node: &mut Node) -> Result<u64> {
        self.cut_to(node, |synced, _| synced.to_vec())
    }

    /// Cuts the power in the middle of the writes that were not synced yet: some part of them is on disk.
    pub(crate) fn tear(&self, node: &mut Node, dice: &mut Dice) -> Result<u64> {
        self.cut_to(node, |synced, cached| torn(synced, cached, dice))
    }

    /// Kills the node and leaves of each file what `left` makes of its synced and its latest content.
    fn cut_to(&self, node: &mut Node, mut left: impl FnMut(&[u8], &[u8]) -> Vec<u8>) -> Result<u64> {
        node.kill()?;
        let mut forgotten = 0;
        for file in files(&self.data)? {
            let about = std::fs::metadata(&file)?;
            let synced = std::fs::read(self.shadow.join(about.ino().to_string())).unwrap_or_default();
            let cached = std::fs::read(&file)?;
            forgotten += about.len().saturating_sub(synced.len() as u64);
            // In place, so that the inode stays the one that the layer knows.
            std::fs::write(&file, left(&synced, &cached)).with_context(|| file.display().to_string())?;
        }
        Ok(forgotten)
    }

    /// Syncs so far, by kind of file.
    fn syncs(&self) -> Result<BTreeMap<&'static str, u64>> {
        let mut counts = BTreeMap::new();
        for line in std::fs::read_to_string(self.shadow.join("syncs"))?.lines() {
            let kind = match line.rsplit('/').next().unwrap_or_default() {
                "signed.lock" => "lock",
                name if name.ends_with(".log") => "wal",
                _ => "other",
            };
            *counts.entry(kind).or_insert(0) += 1;
        }
        Ok(counts)
    }
}

/// What may be on disk between two syncs. Of a file that grew, any part of what was added, perhaps with blocks
/// behind it that were allocated and never written; of one that was overwritten in place, any of the sectors.
fn torn(synced: &[u8], cached: &[u8], dice: &mut Dice) -> Vec<u8> {
    const SECTOR: usize = 512;
    if let Some(added) = cached.strip_prefix(synced) {
        let kept = usize::try_from(dice.below(added.len() as u64 + 1)).unwrap_or(0);
        let zeros = [0, 0, 100, 4096][usize::try_from(dice.below(4)).unwrap_or(0)];
        let zeros = if kept < added.len() { zeros } else { 0 };
        return [synced, &added[..kept], &vec![0; zeros]].concat();
    }
    if synced.len() != cached.len() {
        return synced.to_vec();
    }
    let sectors = synced.chunks(SECTOR).zip(cached.chunks(SECTOR));
    sectors.flat_map(|(old, new)| if dice.below(2) == 0 { old } else { new }.to_vec()).collect()
}

fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    Ok(found)
}

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
