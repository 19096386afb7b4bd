//! Stand-ins for what the index does not offer yet; each is deleted when its method is there.

use std::path::Path;

use anyhow::{Result, bail};
use hashpact_index::{Hit, MatchIndex};

/// `MatchIndex::with_seed(seed)`.
pub(crate) fn with_seed(_seed: [u8; 32]) -> MatchIndex {
    MatchIndex::new()
}

/// `index.query_hamming_bulk(values, radius, threads)`.
pub(crate) fn query_hamming_bulk(
    index: &MatchIndex,
    values: &[[u8; 32]],
    radius: u16,
    threads: usize,
) -> Vec<Vec<Hit>> {
    let part = |values| index.query_hamming_batch(values, radius);
    std::thread::scope(|scope| {
        let parts: Vec<_> = values
            .chunks(values.len().div_ceil(threads).max(1))
            .map(|chunk| scope.spawn(move || part(chunk)))
            .collect();
        parts.into_iter().flat_map(|part| part.join().expect("a query does not panic")).collect()
    })
}

/// `index.stats().bytes`.
pub(crate) fn bytes(_index: &MatchIndex) -> Option<u64> {
    None
}

/// `index.save(path, tag)`.
pub(crate) fn save(_index: &MatchIndex, _path: &Path, _tag: &[u8]) -> Result<()> {
    bail!("this index cannot be saved yet")
}

/// `MatchIndex::open(path)`.
pub(crate) fn open(_path: &Path) -> Result<(MatchIndex, Vec<u8>)> {
    bail!("this index cannot be opened yet")
}

/// `index.warm()`.
pub(crate) fn warm(_index: &MatchIndex) -> Result<()> {
    bail!("this index cannot be warmed yet")
}
