//! Tiles as C2SP tlog-tiles names and encodes them: which tiles a tree has, their paths, their bytes.
//!
//! A tile of level `L` and index `N` holds up to 256 consecutive hashes, each the root of `256^L`
//! leaves. Paths have one spelling each: any other is refused, so that a path can be a cache key.

use super::MerkleError;
use crate::digest::{DIGEST_BYTES, NodeHash};

/// Hashes of a full tile.
pub const TILE_WIDTH: u16 = 256;
/// Tree levels that one tile spans: `2^TILE_HEIGHT == TILE_WIDTH`.
pub const TILE_HEIGHT: u8 = 8;
/// Longest entry of a bundle: its length is written in 16 bits.
pub const BUNDLE_ENTRY_MAX_BYTES: usize = u16::MAX as usize;

/// Highest tile level that tlog-tiles lets a path name.
const PATH_LEVEL_MAX: u8 = 63;
/// Elements of three digits that the largest index needs.
const PATH_ELEMENTS_MAX: usize = 7;

const _: () = assert!(1_u32 << TILE_HEIGHT == TILE_WIDTH as u32);

/// Names a tile of a given width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    /// Tile level: 0 holds leaf hashes, each next level the roots of full tiles below.
    pub level: u8,
    /// Position among the tiles of this level.
    pub index: u64,
    /// Hashes in the tile, 1 to 256; below 256 the tile is partial.
    pub width: u16,
}

impl TileId {
    /// The tile at this place in a tree of `size` leaves, or `None` when the tree has none there.
    #[must_use]
    pub fn in_tree(level: u8, index: u64, size: u64) -> Option<Self> {
        let before = index.checked_mul(u64::from(TILE_WIDTH))?;
        let behind = hashes_at(level, size).checked_sub(before)?.min(u64::from(TILE_WIDTH));
        let width = u16::try_from(behind).ok().filter(|width| *width > 0)?;
        Some(Self { level, index, width })
    }

    /// The path below `tile/`: `<level>/<index>` and, for a partial tile, `.p/<width>`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}/{}", self.level, entries_path(self.index, self.width))
    }

    /// Reads what [`TileId::path`] writes, and nothing else.
    ///
    /// # Errors
    /// [`MerkleError::TilePath`].
    pub fn parse_path(path: &str) -> Result<Self, MerkleError> {
        let (level, rest) = path.split_once('/').ok_or(MerkleError::TilePath)?;
        let level = parse_decimal(level)
            .and_then(|level| u8::try_from(level).ok())
            .filter(|level| *level <= PATH_LEVEL_MAX)
            .ok_or(MerkleError::TilePath)?;
        let (index, width) = parse_entries_path(rest)?;
        Ok(Self { level, index, width })
    }
}

/// The path of an entry bundle below `tile/entries/`: `<index>` and, when partial, `.p/<width>`.
#[must_use]
pub fn entries_path(index: u64, width: u16) -> String {
    let mut elements = vec![format!("{:03}", index % 1000)];
    let mut rest = index / 1000;
    while rest > 0 {
        elements.push(format!("x{:03}", rest % 1000));
        rest /= 1000;
    }
    elements.reverse();
    let index = elements.join("/");
    if width == TILE_WIDTH { index } else { format!("{index}.p/{width}") }
}

/// Reads what [`entries_path`] writes, and nothing else; the width is 1 to 256.
///
/// # Errors
/// [`MerkleError::TilePath`].
pub fn parse_entries_path(path: &str) -> Result<(u64, u16), MerkleError> {
    let (index, width) = match path.split_once(".p/") {
        None => (path, TILE_WIDTH),
        Some((index, width)) => {
            let width = parse_decimal(width)
                .and_then(|width| u16::try_from(width).ok())
                .filter(|width| (1..TILE_WIDTH).contains(width))
                .ok_or(MerkleError::TilePath)?;
            (index, width)
        }
    };
    Ok((parse_index(index).ok_or(MerkleError::TilePath)?, width))
}

/// The rightmost tile of each level of a tree of `size` leaves, level 0 first: what a
/// [`TileWriter`](super::TileWriter) needs to resume. `None` where the level's hashes fill whole tiles.
#[must_use]
pub fn rightmost_tiles(size: u64) -> Vec<Option<TileId>> {
    (0..=u8::MAX)
        .take_while(|level| hashes_at(*level, size) > 0)
        .map(|level| TileId::in_tree(level, hashes_at(level, size) / u64::from(TILE_WIDTH), size))
        .collect()
}

/// The bytes of a tile: its hashes, one after another.
#[must_use]
pub fn encode_tile(hashes: &[NodeHash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

/// Reads the bytes of a tile of any width.
///
/// # Errors
/// [`MerkleError::TileBytes`] unless there are 1 to 256 whole hashes.
pub fn decode_tile(bytes: &[u8]) -> Result<Vec<NodeHash>, MerkleError> {
    let (hashes, rest) = bytes.as_chunks::<DIGEST_BYTES>();
    if !rest.is_empty() || hashes.is_empty() || hashes.len() > usize::from(TILE_WIDTH) {
        return Err(MerkleError::TileBytes { bytes: bytes.len() });
    }
    Ok(hashes.iter().copied().map(NodeHash::new).collect())
}

/// An entry bundle: each entry after its length in two bytes, big-endian.
///
/// # Errors
/// [`MerkleError::BundleEntry`] for an entry longer than [`BUNDLE_ENTRY_MAX_BYTES`].
pub fn encode_bundle<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, MerkleError> {
    let mut bytes = Vec::new();
    for entry in entries {
        let length =
            u16::try_from(entry.len()).map_err(|_| MerkleError::BundleEntry { bytes: entry.len() })?;
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    Ok(bytes)
}

/// Reads the entries of a bundle, in order, without copying them.
///
/// # Errors
/// [`MerkleError::Bundle`] for a cut-off entry, or for the entry after the 256th.
pub fn decode_bundle(bytes: &[u8]) -> Result<Vec<&[u8]>, MerkleError> {
    let mut entries = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let broken = MerkleError::Bundle { offset: bytes.len() - rest.len() };
        if entries.len() == usize::from(TILE_WIDTH) {
            return Err(broken);
        }
        let (length, tail) = rest.split_first_chunk::<2>().ok_or(broken)?;
        let (entry, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or(broken)?;
        entries.push(entry);
        rest = tail;
    }
    Ok(entries)
}

/// How many hashes a level of tiles holds altogether: `floor(size / 256^level)`.
pub(super) fn hashes_at(level: u8, size: u64) -> u64 {
    size.checked_shr(u32::from(level) * u32::from(TILE_HEIGHT)).unwrap_or(0)
}

fn parse_index(path: &str) -> Option<u64> {
    let elements: Vec<&str> = path.split('/').take(PATH_ELEMENTS_MAX + 1).collect();
    if elements.len() > PATH_ELEMENTS_MAX {
        return None;
    }
    let last = elements.len().checked_sub(1)?;
    let mut index = 0_u64;
    for (position, element) in elements.iter().enumerate() {
        let digits = if position == last { element } else { element.strip_prefix('x')? };
        // A leading element of zeros would be a second spelling of the same index.
        if digits.len() != 3 || (position == 0 && last > 0 && digits == "000") {
            return None;
        }
        index = index.checked_mul(1000)?.checked_add(parse_digits(digits)?)?;
    }
    Some(index)
}

/// A decimal number without leading zeros.
fn parse_decimal(text: &str) -> Option<u64> {
    if text.len() > 1 && text.starts_with('0') {
        return None;
    }
    parse_digits(text)
}

/// Decimal digits only: `u64::from_str` alone would accept a plus sign.
fn parse_digits(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}
