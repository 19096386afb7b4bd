//! Reading everything again, a step at a time, while the node runs.
//!
//! A [`Pass`] walks one log from a place on: every leaf is hashed, every payload held against its leaf, every
//! tile against the leaves; at the end the root must be the one that is shown and the one that was signed. A
//! [`TablePass`] reads the rows of all other column families, so that RocksDB checks their blocks. Nothing is
//! written here and nothing is decided: a [`Finding`] says what is wrong and what it concerns.
//!
//! Reads leave the block cache alone. A block that is in it is checked there and not on the disk, until it is evicted.

use super::error::StoreError;
use super::read::row_at;
use super::{FAMILIES, PayloadRef, Store, codec, leaves, options, payloads, places, tiles};
use hashpact_core::effect::PublishedHead;
use hashpact_protocol::digest::{LogId, NodeHash, Root, leaf_hash};
use hashpact_protocol::leaf::check_commitment;
use hashpact_protocol::merkle::{Frontier, TILE_WIDTH, TileWriter};
use std::collections::BTreeSet;

/// Upper tiles that one pass remembers as wrong; the rest is for the next pass.
const WRONG_TILES_MAX: usize = 1_024;
/// Rows of a table read in one step.
const TABLE_ROWS: usize = 1_024;

/// What a step found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Rows that can be written again: of the entries from where the pass stands up to `end`.
    Rows {
        /// Behind the last entry concerned.
        end: u64,
        /// Whose payloads are bad.
        payloads: BTreeSet<u64>,
        /// For people.
        detail: String,
    },
    /// RocksDB cannot read a block: no row in it can be had or be replaced in place.
    Unreadable {
        /// RocksDB's words.
        detail: String,
    },
    /// The leaves do not lead to the root that is shown or signed, although they fit their tiles.
    Root {
        /// Tree size.
        size: u64,
        /// For people.
        detail: String,
    },
}

impl Finding {
    /// For people.
    #[must_use]
    pub fn detail(&self) -> &str {
        match self {
            Self::Rows { detail, .. } | Self::Unreadable { detail } | Self::Root { detail, .. } => detail,
        }
    }
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stepped {
    /// Bytes read.
    pub bytes: u64,
    /// Whether the end is reached.
    pub is_done: bool,
}

/// The walk over one log.
pub struct Pass {
    log: LogId,
    size: u64,
    /// Roots that must be met, by size.
    pins: Vec<(u64, Root)>,
    frontier: Frontier,
    tiles: TileWriter,
    begun_at: u64,
    wrong_tiles: Vec<(u8, u64, Vec<NodeHash>)>,
}

impl Pass {
    /// Begins a walk over what is shown of a log, at the last whole tile before `from`. The tree up to there is
    /// taken from the tiles, and checked by the root at the end.
    ///
    /// # Errors
    /// A tile cannot be read.
    pub fn begin(
        store: &Store,
        head: &PublishedHead,
        signed: Option<(u64, Root)>,
        from: u64,
    ) -> Result<Self, StoreError> {
        let from = from.min(head.size);
        let begun_at = from - from % u64::from(TILE_WIDTH);
        Ok(Self {
            log: head.log,
            size: head.size,
            pins: signed.into_iter().chain([(head.size, head.root)]).collect(),
            frontier: store.frontier_at(&head.log, begun_at)?,
            tiles: TileWriter::new(begun_at, store.rightmost(&head.log, begun_at)?)?,
            begun_at,
            wrong_tiles: Vec::new(),
        })
    }

    /// Entries found whole so far.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.frontier.size()
    }

    /// The tree of the entries found whole so far.
    #[must_use]
    pub fn tree(&self) -> &Frontier {
        &self.frontier
    }

    /// Whether the tree before the place where it began was taken from tiles.
    #[must_use]
    pub fn is_from_tiles(&self) -> bool {
        self.begun_at > 0
    }

    /// Upper tiles that differ from what the leaves lead to. Worth writing again once the root was met.
    #[must_use]
    pub fn wrong_tiles(&self) -> &[(u8, u64, Vec<NodeHash>)] {
        &self.wrong_tiles
    }

    /// Reads the entries of the next tile. After a finding the pass stands where it stood.
    ///
    /// # Errors
    /// What was found.
    pub fn step(&mut self, store: &Store) -> Result<Stepped, Finding> {
        let start = self.frontier.size();
        if start == self.size {
            return Ok(Stepped { bytes: 0, is_done: true });
        }
        let end = self.size.min(start - start % u64::from(TILE_WIDTH) + u64::from(TILE_WIDTH));
        let mut read = Read::new(self.frontier.clone(), self.tiles.clone(), &self.pins);
        read.entries(store, &self.log, start, end)?;
        let mut wrong = Vec::new();
        // Behind a leaf that is missing every hash stands elsewhere.
        let touched = if read.frontier.size() == end { read.tiles.finish() } else { Vec::new() };
        for (level, index, hashes) in touched {
            let stored = match store.load_tile(&self.log, level, index) {
                Ok(stored) => stored,
                Err(StoreError::TileLength { .. }) => Vec::new(),
                Err(error) => return Err(Finding::Unreadable { detail: error.to_string() }),
            };
            read.bytes += tiles::KEY_BYTES as u64 + 32 * stored.len() as u64;
            if stored.get(..hashes.len()) == Some(hashes.as_slice()) {
                continue;
            }
            if level == 0 {
                let differs = stored.iter().zip(&hashes).position(|(stored, computed)| stored != computed);
                let first = index * u64::from(TILE_WIDTH) + differs.unwrap_or(stored.len()) as u64;
                read.bad.insert(first, "leaf and hash tile differ".to_owned());
            } else {
                wrong.push((level, index, hashes));
            }
        }
        if let Some((index, what)) = read.bad.first_key_value() {
            let detail = format!("entry {index}: {what} ({} in entries {start} to {end})", read.bad.len());
            return Err(Finding::Rows { end, payloads: read.bad_payloads, detail });
        }
        if let Some((size, found, wanted)) = read.off {
            let detail =
                format!("the leaves lead to root {found} at size {size}, shown or signed is {wanted}");
            return Err(Finding::Root { size, detail });
        }
        // Only now: what damaged leaves lead to is no tile.
        for tile in wrong {
            self.wrong_tiles.retain(|before| (before.0, before.1) != (tile.0, tile.1));
            if self.wrong_tiles.len() < WRONG_TILES_MAX {
                self.wrong_tiles.push(tile);
            }
        }
        (self.frontier, self.tiles) = (read.frontier, read.tiles);
        Ok(Stepped { bytes: read.bytes, is_done: end == self.size })
    }
}

/// One step.
struct Read<'a> {
    frontier: Frontier,
    tiles: TileWriter,
    pins: &'a [(u64, Root)],
    bytes: u64,
    bad: std::collections::BTreeMap<u64, String>,
    bad_payloads: BTreeSet<u64>,
    off: Option<(u64, Root, Root)>,
}

impl<'a> Read<'a> {
    fn new(frontier: Frontier, tiles: TileWriter, pins: &'a [(u64, Root)]) -> Self {
        let (bad, bad_payloads) = Default::default();
        Self { frontier, tiles, pins, bytes: 0, bad, bad_payloads, off: None }
    }

    fn entries(&mut self, store: &Store, log: &LogId, start: u64, end: u64) -> Result<(), Finding> {
        let unreadable = |error: StoreError| Finding::Unreadable { detail: error.to_string() };
        let rows = |family: &str| {
            let read = options::scrub(codec::entry_key(log, end).to_vec());
            let mut rows = store.db.raw_iterator_cf_opt(store.family(family), read);
            rows.seek(codec::entry_key(log, start));
            rows
        };
        let (mut leaf_rows, mut payload_rows) = (rows(leaves::FAMILY), rows(payloads::FAMILY));
        for index in start..end {
            let key = codec::entry_key(log, index);
            let leaf = row_at(&leaf_rows, &key).map_err(unreadable)?;
            let payload = row_at(&payload_rows, &key).map_err(unreadable)?;
            self.bytes += 2 * key.len() as u64;
            self.bytes += leaf.map_or(0, <[u8]>::len) as u64 + payload.map_or(0, <[u8]>::len) as u64;
            match leaf {
                None => _ = self.bad.insert(index, "its leaf is missing".to_owned()),
                Some(leaf) => {
                    let hash = leaf_hash(leaf);
                    self.frontier.append(hash);
                    self.tiles.append(hash);
                    self.pin();
                }
            }
            if let Some(what) = bad_payload(leaf, payload) {
                self.bad.insert(index, what);
                self.bad_payloads.insert(index);
            }
            // A missing row leaves its iterator at a later one: it waits there.
            if leaf.is_some() {
                leaf_rows.next();
            }
            if payload.is_some() {
                payload_rows.next();
            }
        }
        Ok(())
    }

    fn pin(&mut self) {
        let size = self.frontier.size();
        for (_, wanted) in self.pins.iter().filter(|pin| pin.0 == size) {
            let found = self.frontier.root();
            if found != *wanted {
                self.off.get_or_insert((size, found, *wanted));
            }
        }
    }
}

/// What is wrong with what stands beside a leaf.
fn bad_payload(leaf: Option<&[u8]>, payload: Option<&[u8]>) -> Option<String> {
    let Some(payload) = payload else { return Some("its payload row is missing".to_owned()) };
    match payloads::decode(payload) {
        Err(error) => Some(error.to_string()),
        Ok(PayloadRef::Present { salt, padded } | PayloadRef::Sealed { salt, padded, .. }) => {
            // Leaves of other versions may commit in a way that this program does not know.
            let leaf = leaf.filter(|leaf| places::named_place(leaf).is_some())?;
            let failed = check_commitment(leaf, &salt, padded).err()?;
            Some(format!("its payload does not meet its commitment: {failed}"))
        }
        Ok(_) => None,
    }
}

/// The walk over all column families beside leaves and payloads.
#[derive(Debug, Default)]
pub struct TablePass {
    family: usize,
    next: Vec<u8>,
}

impl TablePass {
    /// Reads the next rows.
    ///
    /// # Errors
    /// A block that cannot be read. The next step begins with the next table.
    pub fn step(&mut self, store: &Store) -> Result<Stepped, Finding> {
        let Some((name, _)) = FAMILIES.get(self.family) else {
            return Ok(Stepped { bytes: 0, is_done: true });
        };
        if [leaves::FAMILY, payloads::FAMILY, tiles::FAMILY].contains(name) {
            self.end_table();
            return Ok(Stepped { bytes: 0, is_done: false });
        }
        let mut rows = store.db.raw_iterator_cf_opt(store.family(name), options::scrub_all());
        rows.seek(&self.next);
        let (mut bytes, mut count) = (0, 0);
        while let Some((key, value)) = rows.item() {
            if count == TABLE_ROWS {
                self.next = key.to_vec();
                return Ok(Stepped { bytes, is_done: false });
            }
            bytes += (key.len() + value.len()) as u64;
            count += 1;
            rows.next();
        }
        let read = rows.status();
        self.end_table();
        read.map_err(|error| Finding::Unreadable { detail: format!("table {name}: {error}") })?;
        Ok(Stepped { bytes, is_done: self.family == FAMILIES.len() })
    }

    fn end_table(&mut self) {
        self.family += 1;
        self.next.clear();
    }
}
