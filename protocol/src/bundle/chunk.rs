//! Chunks of entries: how complete and partial logs stand in the core (SPEC §12.5).
//!
//! A log that is there as a whole is its C2SP tiles. [`TileSequence`] says which follow which, for whoever
//! writes them and whoever checks them, so that both cannot differ. A log that is there in part is *runs*:
//! neighbouring entries with the hashes that lead to the root of the whole log.

use super::manifest::BundleLog;
use crate::checkpoint::parse_decimal;
use crate::digest::{LeafHash, NodeHash, Root, leaf_hash};
use crate::limits::{BUNDLE_CHUNK_ENTRIES_MAX, ENTRY_LEAF_MAX_BYTES};
use crate::merkle::{
    Frontier, HashReader, MerkleError, TILE_WIDTH, TileHashes, TileId, TileWriter, decode_bundle,
    encode_bundle, encode_tile, entries_path, read_cover, read_root, right_cover,
};

/// Tiles of one log in the order in which they stand in a bundle: for each tile of level 0 the tile, its
/// entries, then the tiles of higher levels that it completes; last the partial tiles of higher levels.
#[derive(Clone, Debug)]
pub(super) struct TileSequence {
    size: u64,
    writer: TileWriter,
}

impl TileSequence {
    /// At the start of a log of this size.
    #[must_use]
    pub(super) fn new(size: u64) -> Self {
        let writer = TileWriter::new(0, Vec::new()).expect("the empty tree has no tiles");
        Self { size, writer }
    }

    /// The next tile of level 0; `None` behind the last.
    #[must_use]
    pub(super) fn next_tile(&self) -> Option<TileId> {
        // A partial tile is the last; after it the size is no multiple of a tile's width.
        let at = self.writer.size();
        if at < self.size { TileId::in_tree(0, at / u64::from(TILE_WIDTH), self.size) } else { None }
    }

    /// Takes the leaf hashes of the next tile; gives the tiles of higher levels that follow its entries.
    pub(super) fn advance(&mut self, hashes: &[LeafHash]) -> Vec<(TileId, Vec<u8>)> {
        hashes.iter().for_each(|hash| self.writer.append(*hash));
        let touched = self.writer.finish();
        let filled =
            touched.iter().filter(|(level, _, hashes)| *level > 0 && hashes.len() == usize::from(TILE_WIDTH));
        let mut tiles: Vec<(TileId, Vec<u8>)> = filled
            .map(|(level, index, hashes)| (tile_id(*level, *index, hashes), encode_tile(hashes)))
            .collect();
        if self.writer.size() >= self.size {
            for (level, hashes) in (0..=u8::MAX).zip(self.writer.rightmost()).skip(1) {
                let index = self.size.checked_shr(8 * (u32::from(level) + 1)).unwrap_or(0);
                if let Some(id) = TileId::in_tree(level, index, self.size)
                    && !hashes.is_empty()
                {
                    tiles.push((id, encode_tile(&hashes)));
                }
            }
        }
        tiles
    }

    /// The root of the leaves so far.
    #[must_use]
    pub(super) fn root(&self) -> Root {
        let rightmost = self.writer.rightmost();
        let load = |level: u8, _index: u64| -> Result<Vec<NodeHash>, std::convert::Infallible> {
            Ok(rightmost.get(usize::from(level)).cloned().unwrap_or_default())
        };
        // The subtrees of a frontier lie in the rightmost tiles, which are the ones here.
        read_root(&TileHashes::new(load), self.writer.size()).expect("the frontier is in the rightmost tiles")
    }
}

fn tile_id(level: u8, index: u64, hashes: &[NodeHash]) -> TileId {
    TileId { level, index, width: u16::try_from(hashes.len()).unwrap_or(TILE_WIDTH) }
}

/// Name of a tile's member.
#[must_use]
pub(super) fn tile_name(log: &BundleLog, tile: TileId) -> String {
    format!("{}/tile/{}", log.prefix("core/logs"), tile.path())
}

/// Name of the member that holds the entries of a tile of level 0.
#[must_use]
pub(super) fn entries_name(log: &BundleLog, tile: TileId) -> String {
    format!("{}/tile/entries/{}", log.prefix("core/logs"), entries_path(tile.index, tile.width))
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Index of the first entry.
    pub start: u64,
    /// How many entries: 1 to 256, none behind the next multiple of 256.
    pub count: u16,
}

impl Span {
    /// Name of the run's member.
    #[must_use]
    pub fn run_name(&self, log: &BundleLog) -> String {
        format!("{}/runs/{}-{}", log.prefix("core/logs"), self.start, self.count)
    }

    /// Name of the member with the payloads of these entries.
    #[must_use]
    pub fn payloads_name(&self, log: &BundleLog) -> String {
        format!("{}/{}-{}", log.prefix("annex/payloads"), self.start, self.count)
    }

    /// Reads `<start>-<count>`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (start, count) = text.split_once('-')?;
        let (start, count) = (parse_decimal(start)?, parse_decimal(count)?);
        let room = BUNDLE_CHUNK_ENTRIES_MAX as u64 - start % BUNDLE_CHUNK_ENTRIES_MAX as u64;
        let count = u16::try_from(count).ok().filter(|count| *count > 0 && u64::from(*count) <= room)?;
        Some(Self { start, count })
    }

    /// One past the last entry.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.start.saturating_add(u64::from(self.count))
    }
}

/// The content of a run: both slopes of hashes, then the entries as in an entry bundle.
///
/// # Errors
/// Whatever the reader of tree hashes reports.
pub(super) fn encode_run<R: HashReader + ?Sized>(
    reader: &R,
    start: u64,
    size: u64,
    leaves: &[Vec<u8>],
) -> Result<Vec<u8>, R::Error> {
    let end = start + leaves.len() as u64;
    let mut content = encode_tile(&read_cover(reader, 0, start)?);
    content.extend(encode_tile(&read_cover(reader, end, size)?));
    let entries = encode_bundle(leaves.iter().map(Vec::as_slice));
    content.extend(entries.expect("no stored leaf is longer than 1 KiB"));
    Ok(content)
}

/// Reads a run and checks it against the head of its log.
///
/// # Errors
/// [`RunError`].
pub(super) fn check_run<'a>(
    span: Span,
    log: &BundleLog,
    content: &'a [u8],
) -> Result<Vec<&'a [u8]>, RunError> {
    if span.end() > log.size {
        return Err(RunError::Beyond { end: span.end(), size: log.size });
    }
    let (left, right) = (span.start.count_ones() as usize, right_cover(span.end(), log.size).len());
    let hashes = content.split_at_checked((left + right) * 32).ok_or(RunError::Form)?;
    let (hashes, entries) = (hashes.0.as_chunks::<32>().0, hashes.1);
    let hashes: Vec<NodeHash> = hashes.iter().copied().map(NodeHash::new).collect();
    let (left, right) = hashes.split_at(left);
    let leaves = read_entries(entries, span.count).ok_or(RunError::Form)?;
    let mut frontier = Frontier::from_parts(span.start, left.to_vec())?;
    leaves.iter().for_each(|leaf| frontier.append(leaf_hash(leaf)));
    let root = frontier.root_with_cover(log.size, right)?;
    if root == log.root { Ok(leaves) } else { Err(RunError::Root) }
}

/// The entries of a bundle, if there are exactly so many and none is longer than any log may hold.
#[must_use]
pub(super) fn read_entries(bytes: &[u8], count: u16) -> Option<Vec<&[u8]>> {
    let leaves = decode_bundle(bytes).ok()?;
    let is_fine =
        leaves.len() == usize::from(count) && leaves.iter().all(|leaf| leaf.len() <= ENTRY_LEAF_MAX_BYTES);
    is_fine.then_some(leaves)
}

/// Why a run proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// Entries that the head does not cover.
    #[error("a run up to {end} of a log of {size} entries")]
    Beyond {
        /// One past its last entry.
        end: u64,
        /// Entries of the log.
        size: u64,
    },
    /// Not the hashes and entries of such a run.
    #[error("not the hashes and entries of a run")]
    Form,
    /// The hashes do not fit the numbers.
    #[error(transparent)]
    Merkle(#[from] MerkleError),
    /// Entries or hashes were changed.
    #[error("the entries and hashes do not lead to the root of the log")]
    Root,
}
