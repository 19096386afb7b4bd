//! A layer under the database and the lock file that forgets what was not synced, as a power cut does.
//!
//! The node runs with `power/shim.rs` loaded before its C library; [`Layer::cut`] kills it and puts every
//! file back to what its last sync left. [`Layer::syncs`] counts.

use crate::consortium::path;
use crate::node::{Node, run};
use anyhow::{Context as _, Result};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The layer under one node.
pub struct Layer {
    data: PathBuf,
    shadow: PathBuf,
}

impl Layer {
    /// Compiles the layer into a folder.
    ///
    /// # Errors
    /// The compiler's words.
    pub fn compile(into: &Path) -> Result<PathBuf> {
        let library = into.join("libpower.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/power/shim.rs");
        let compiler = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
        let mut compile = Command::new(compiler);
        compile.args(["--edition", "2024", "--crate-type", "cdylib", "--crate-name", "power", "-O"]);
        run(compile.arg("-o").arg(&library).arg(source))?;
        Ok(library)
    }

    /// Lays it under a node that is not running. What is on the disk now is taken as synced.
    ///
    /// # Errors
    /// Files cannot be copied.
    pub fn under(node: &mut Node, library: &Path) -> Result<Self> {
        let layer = Self { data: node.dir.join("data").canonicalize()?, shadow: node.dir.join("shadow") };
        std::fs::create_dir(&layer.shadow)?;
        for file in files(&layer.data)? {
            std::fs::copy(&file, layer.shadow.join(name(&std::fs::metadata(&file)?)))?;
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
    ///
    /// # Errors
    /// Files cannot be put back.
    pub fn cut(&self, node: &mut Node) -> Result<u64> {
        self.cut_to(node, |synced, _| synced.to_vec())
    }

    /// Cuts the power in the middle of the writes that were not synced yet: some part of them is on disk. `below`
    /// gives a number below the one it is given.
    ///
    /// # Errors
    /// As for [`Self::cut`].
    pub fn tear(&self, node: &mut Node, mut below: impl FnMut(u64) -> u64) -> Result<u64> {
        self.cut_to(node, |synced, cached| torn(synced, cached, &mut below))
    }

    /// Kills the node and leaves of each file what `left` makes of its synced and its latest content.
    fn cut_to(&self, node: &mut Node, mut left: impl FnMut(&[u8], &[u8]) -> Vec<u8>) -> Result<u64> {
        node.kill()?;
        let mut forgotten = 0;
        for file in files(&self.data)? {
            let about = std::fs::metadata(&file)?;
            let synced = std::fs::read(self.shadow.join(name(&about))).unwrap_or_default();
            let cached = std::fs::read(&file)?;
            forgotten += about.len().saturating_sub(synced.len() as u64);
            // In place, so that the file stays the one that the layer knows.
            std::fs::write(&file, left(&synced, &cached)).with_context(|| file.display().to_string())?;
        }
        Ok(forgotten)
    }

    /// Syncs so far, by kind of file: `wal`, `lock` or `other`.
    ///
    /// # Errors
    /// None happened yet, or they cannot be read.
    pub fn syncs(&self) -> Result<BTreeMap<&'static str, u64>> {
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
fn torn(synced: &[u8], cached: &[u8], mut below: impl FnMut(u64) -> u64) -> Vec<u8> {
    const SECTOR: usize = 512;
    if let Some(added) = cached.strip_prefix(synced) {
        let kept = usize::try_from(below(added.len() as u64 + 1)).unwrap_or(0);
        let zeros = [0, 0, 100, 4096, 40_000][usize::try_from(below(5)).unwrap_or(0)];
        let zeros = if kept < added.len() { zeros } else { 0 };
        return [synced, &added[..kept], &vec![0; zeros]].concat();
    }
    if synced.len() != cached.len() {
        return synced.to_vec();
    }
    let sectors = synced.chunks(SECTOR).zip(cached.chunks(SECTOR));
    sectors.flat_map(|(old, new)| if below(2) == 0 { old } else { new }.to_vec()).collect()
}

/// How the layer names what it remembers of a file.
fn name(about: &std::fs::Metadata) -> String {
    let born = about.created().ok().and_then(|born| born.duration_since(std::time::UNIX_EPOCH).ok());
    format!("{}-{}", about.ino(), born.map_or(0, |born| born.as_nanos()))
}

fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    Ok(found)
}
