//! The check of one log: a single pass over its leaves and payloads.

use super::problem::Problem;
use super::{FsckReport, LogReport, Progress};
use crate::storage::error::StoreError;
use crate::storage::read::row_at;
use crate::storage::{PayloadRef, Store, StoredHead, codec, leaves, missing, payloads, places, tiles};
use hashpact_core::effect::{Place, SizedNote};
use hashpact_protocol::checkpoint::SignedCheckpoint;
use hashpact_protocol::digest::{LeafHash, NodeHash, Root, leaf_hash};
use hashpact_protocol::keys::PublicKey;
use hashpact_protocol::leaf::check_commitment;
use hashpact_protocol::merkle::{Frontier, TileWriter, rightmost_tiles};

/// Leaves between two comparisons of tiles and two reports of progress.
const CHUNK_ENTRIES: u64 = 65_536;

/// The pass over one log.
struct Pass<'a> {
    store: &'a Store,
    head: &'a StoredHead,
    report: &'a mut FsckReport,
    log: LogReport,
    frontier: Frontier,
    tiles: TileWriter,
    /// Payloads that somebody else may have.
    not_here: u64,
    /// Those of them that are listed.
    listed: u64,
    /// Whether payloads could be read so far.
    payloads_readable: bool,
    /// Payloads that are sealed, erased by an order or a retraction, or held.
    erased: u64,
    /// Sizes at which the root is wanted, and the root once it was passed.
    pins: Vec<(u64, Option<Root>)>,
}

/// What else is said about one log.
pub(super) struct Said<'a> {
    /// Its author's key.
    pub(super) key: Option<&'a PublicKey>,
    /// What the lock file says, if it is the own log.
    pub(super) lock: Option<(u64, Root)>,
    /// What this node cosigned last.
    pub(super) cosigned: Option<(u64, Root)>,
    /// The largest note that a quorum cosigned.
    pub(super) quorum: Option<&'a SizedNote>,
}

/// Checks one log.
pub(super) fn check(
    store: &Store,
    head: &StoredHead,
    said: &Said<'_>,
    report: &mut FsckReport,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<LogReport, StoreError> {
    let wanted = [
        head.note.as_ref().map(|note| note.size),
        said.lock.map(|lock| lock.0),
        said.cosigned.map(|cosigned| cosigned.0),
        said.quorum.map(|note| note.size),
    ];
    let mut pass = Pass {
        store,
        head,
        report,
        log: LogReport { origin: head.origin.clone(), ..LogReport::default() },
        frontier: Frontier::empty(),
        tiles: TileWriter::new(0, Vec::new())?,
        not_here: 0,
        listed: 0,
        payloads_readable: true,
        erased: 0,
        pins: wanted.into_iter().flatten().map(|size| (size, None)).collect(),
    };
    pass.pin();
    let is_whole = pass.walk(progress)?;
    pass.strays()?;
    if is_whole {
        pass.missing()?;
        let listed = store.erased_count(&head.log)?;
        if listed != pass.erased {
            let (origin, erased) = (head.origin.clone(), pass.erased);
            pass.add(Problem::ErasedCount { origin, listed, erased });
        }
        pass.widths()?;
        pass.roots(said.lock);
        pass.cosigned(said);
    }
    pass.note(said.key);
    Ok(pass.log)
}

impl Pass<'_> {
    fn add(&mut self, problem: Problem) {
        self.report.add(problem);
    }

    fn origin(&self) -> String {
        self.head.origin.clone()
    }

    /// Hashes every leaf; `false` if one was missing.
    fn walk(&mut self, progress: &mut dyn FnMut(Progress<'_>)) -> Result<bool, StoreError> {
        let (store, head) = (self.store, self.head);
        let mut leaf_rows = store.walk(leaves::FAMILY, &head.log, 0, head.size);
        let mut payload_rows = store.walk(payloads::FAMILY, &head.log, 0, head.size);
        let mut chunk = Vec::new();
        for index in 0..head.size {
            let key = codec::entry_key(&head.log, index);
            let leaf = match row_at(&leaf_rows, &key) {
                Ok(leaf) => leaf,
                Err(error) => {
                    self.end_chunk(&mut chunk, progress)?;
                    self.unreadable(leaves::FAMILY, format!("entry {index}"), &error);
                    return Ok(false);
                }
            };
            let Some(leaf) = leaf else {
                self.end_chunk(&mut chunk, progress)?;
                self.add(Problem::LeafMissing { origin: head.origin.clone(), index, size: head.size });
                return Ok(false);
            };
            let hash = leaf_hash(leaf);
            self.frontier.append(hash);
            self.tiles.append(hash);
            self.pin();
            // A missing payload leaves its iterator at a later row: it waits there.
            match row_at(&payload_rows, &key) {
                Ok(payload) => {
                    self.payload(index, leaf, payload);
                    if payload.is_some() {
                        payload_rows.next();
                    }
                }
                Err(_) if !self.payloads_readable => {}
                Err(error) => {
                    self.payloads_readable = false;
                    self.unreadable(payloads::FAMILY, format!("entry {index}"), &error);
                }
            }
            leaf_rows.next();
            chunk.push(hash);
            if chunk.len() as u64 == CHUNK_ENTRIES {
                self.end_chunk(&mut chunk, progress)?;
            }
        }
        self.end_chunk(&mut chunk, progress)?;
        Ok(true)
    }

    fn payload(&mut self, index: u64, leaf: &[u8], row: Option<&[u8]>) {
        let head = self.head;
        let origin = || head.origin.clone();
        let problem = match row.map(payloads::decode) {
            None => Some(Problem::PayloadMissing { origin: origin(), index }),
            Some(Err(error)) => {
                Some(Problem::PayloadValue { origin: origin(), index, detail: error.to_string() })
            }
            Some(Ok(
                row @ (PayloadRef::Present { salt, padded } | PayloadRef::Sealed { salt, padded, .. }),
            )) => {
                self.log.payloads_present += 1;
                self.erased += u64::from(matches!(row, PayloadRef::Sealed { .. }));
                // Leaves of other versions may commit in a way that this program does not know.
                let is_known = places::named_place(leaf).is_some();
                let checked = if is_known { check_commitment(leaf, &salt, padded) } else { Ok(()) };
                let failed = checked.err().map(|error| error.to_string());
                failed.map(|detail| Problem::Commitment { origin: origin(), index, detail })
            }
            Some(Ok(payload)) => {
                self.log.payloads_absent += 1;
                self.erased +=
                    u64::from(matches!(payload, PayloadRef::ErasedBy { .. } | PayloadRef::Held { .. }));
                (payload == PayloadRef::NotHere).then(|| self.is_unlisted(index)).flatten()
            }
        };
        if let Some(problem) = problem {
            self.add(problem);
        }
    }

    /// Whether a payload that is not here is asked for.
    fn is_unlisted(&mut self, index: u64) -> Option<Problem> {
        self.not_here += 1;
        let family = self.store.family(missing::FAMILY);
        let row = self.store.db.get_pinned_cf(family, codec::entry_key(&self.head.log, index));
        // A table that cannot be read is found as such.
        if row.is_ok_and(|row| row.is_none()) {
            return Some(Problem::NotListed { origin: self.origin(), index });
        }
        self.listed += 1;
        None
    }

    /// The list of missing payloads has no more rows than there are such payloads.
    fn missing(&mut self) -> Result<(), StoreError> {
        let listed = self.store.missing_count(&self.head.log, u64::MAX)?;
        if listed != self.listed && self.payloads_readable {
            let (origin, not_here) = (self.origin(), self.not_here);
            self.add(Problem::MissingCount { origin, listed, not_here });
        }
        Ok(())
    }

    fn unreadable(&mut self, family: &'static str, place: String, error: &StoreError) {
        let (origin, detail) = (self.origin(), error.to_string());
        self.add(Problem::Unreadable { origin, family, place, detail });
    }

    /// What this node and a quorum vouched for, against the recomputed roots.
    fn cosigned(&mut self, said: &Said<'_>) {
        let stored = self.head.size;
        if let Some((size, cosigned)) = said.cosigned {
            match self.root_at(size) {
                Some(computed) if computed != cosigned => {
                    self.add(Problem::CosignedRoot { origin: self.origin(), size, cosigned, computed });
                }
                None if size > stored => {
                    self.add(Problem::CosignedBeyond { origin: self.origin(), size, stored })
                }
                _ => {}
            }
        }
        let (Some(note), Some(key)) = (said.quorum, said.key) else { return };
        let signed = SignedCheckpoint::verify(&note.note, &self.head.origin, key);
        let detail = match signed {
            Err(error) => error.to_string(),
            Ok(signed) if signed.size() != note.size => format!("it signs size {}", signed.size()),
            Ok(_) if note.size > stored => format!("{stored} entries are stored"),
            Ok(signed) => match self.root_at(note.size) {
                Some(computed) if computed != signed.root() => {
                    format!("it signs root {}, the leaves lead to {computed}", signed.root())
                }
                _ => return,
            },
        };
        self.add(Problem::QuorumHead { origin: self.origin(), size: note.size, detail });
    }

    /// Remembers the root if somebody signed this size.
    fn pin(&mut self) {
        for (size, root) in &mut self.pins {
            if *size == self.frontier.size() {
                *root = Some(self.frontier.root());
            }
        }
    }

    /// Compares the chunk's tiles and places with the stored ones.
    fn end_chunk(
        &mut self,
        chunk: &mut Vec<LeafHash>,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(), StoreError> {
        let end = self.frontier.size();
        let start = end - chunk.len() as u64;
        self.log.entries = end;
        for (level, index, hashes) in self.tiles.finish() {
            self.tile(level, index, &hashes)?;
        }
        let mut places: Vec<_> = (start..end)
            .zip(chunk.iter())
            .map(|(index, leaf)| Place { log: self.head.log, index, leaf: *leaf })
            .collect();
        // In key order: each block of the index is then read once per chunk, not once per entry.
        places.sort_unstable_by_key(|place| place.leaf);
        let keys: Vec<_> = places.iter().map(places::key).collect();
        let store = self.store;
        let rows = store.db.batched_multi_get_cf(store.family(places::FAMILY), &keys, true);
        for (place, row) in places.iter().zip(rows) {
            let (index, leaf) = (place.index, place.leaf);
            match row {
                Ok(Some(_)) => {}
                Ok(None) => self.add(Problem::PlaceMissing { origin: self.origin(), index, leaf }),
                Err(error) => {
                    self.unreadable(places::FAMILY, format!("entry {index}"), &error.into());
                    break;
                }
            }
        }
        chunk.clear();
        progress(Progress { origin: &self.head.origin, checked: end, size: self.head.size });
        Ok(())
    }

    /// Compares a tile with the hashes recomputed so far; it may still be wider.
    fn tile(&mut self, level: u8, index: u64, computed: &[NodeHash]) -> Result<(), StoreError> {
        self.log.tiles += u64::from(computed.len() == 256);
        let origin = self.origin();
        let stored = match self.store.load_tile(&self.head.log, level, index) {
            Ok(stored) => stored,
            Err(error @ StoreError::TileLength { .. }) => {
                self.add(Problem::Value { origin, detail: error.to_string() });
                return Ok(());
            }
            Err(error) => {
                self.unreadable(tiles::FAMILY, format!("tile {level}/{index}"), &error);
                return Ok(());
            }
        };
        if stored.is_empty() {
            self.add(Problem::TileMissing { origin, level, index });
            return Ok(());
        }
        if stored.len() < computed.len() {
            let (found, expected) = (stored.len(), computed.len());
            self.add(Problem::TileWidth { origin: origin.clone(), level, index, found, expected });
        }
        let differing =
            stored.iter().zip(computed).enumerate().filter(|(_, (tile, computed))| tile != computed);
        // Below an upper tile's hash lie 256 leaves or more, which were compared one by one.
        let named = if level == 0 { usize::MAX } else { 1 };
        for (position, (tile, computed)) in differing.take(named) {
            let origin = origin.clone();
            self.report.add(if level == 0 {
                let index = index * 256 + position as u64;
                Problem::LeafHash { origin, index, leaf: *computed, tile: *tile }
            } else {
                Problem::TileHash { origin, level, index, position, tile: *tile, computed: *computed }
            });
        }
        Ok(())
    }

    /// The rightmost tiles must end exactly where the tree ends.
    fn widths(&mut self) -> Result<(), StoreError> {
        for tile in rightmost_tiles(self.head.size).into_iter().flatten() {
            self.log.tiles += 1;
            let Ok(stored) = self.store.load_tile(&self.head.log, tile.level, tile.index) else {
                continue;
            };
            let (found, expected) = (stored.len(), usize::from(tile.width));
            if found > expected {
                let (level, index) = (tile.level, tile.index);
                self.add(Problem::TileWidth { origin: self.origin(), level, index, found, expected });
            }
        }
        Ok(())
    }

    /// Rows of this log beyond its head.
    fn strays(&mut self) -> Result<(), StoreError> {
        let (store, log, size) = (self.store, self.head.log, self.head.size);
        for family in [leaves::FAMILY, payloads::FAMILY, missing::FAMILY] {
            let mut rows = store.db.raw_iterator_cf(store.family(family));
            rows.seek(codec::entry_key(&log, size));
            if let Err(error) = rows.status() {
                self.unreadable(family, format!("entry {size}"), &error.into());
            }
            if let Some((_, index)) = rows.key().and_then(codec::parse_entry_key).filter(|key| key.0 == log) {
                self.add(Problem::Stray { origin: self.origin(), family, index, size });
            }
        }
        // Per level, the first tile index that the tree does not have; and one level above the top.
        let mut rows = store.db.raw_iterator_cf(store.family(tiles::FAMILY));
        for level in 0..=u8::MAX {
            let hashes = size.checked_shr(8 * u32::from(level)).unwrap_or(0);
            rows.seek(tiles::key(&log, level, hashes.div_ceil(256)));
            if let Err(error) = rows.status() {
                self.unreadable(tiles::FAMILY, format!("level {level}"), &error.into());
            }
            let found = rows.key().and_then(tiles::parse_key).filter(|key| key.0 == log);
            if let Some((_, _, index)) = found.filter(|key| key.1 == level || hashes == 0) {
                self.add(Problem::Stray { origin: self.origin(), family: tiles::FAMILY, index, size });
            }
            if hashes == 0 {
                break;
            }
        }
        Ok(())
    }

    /// The head's frontier and the lock's root against the recomputed ones.
    fn roots(&mut self, lock: Option<(u64, Root)>) {
        let computed = self.frontier.root();
        self.log.root = Some(computed);
        if self.frontier.hashes() != self.head.frontier {
            let size = self.head.size;
            match Frontier::from_parts(size, self.head.frontier.clone()) {
                Ok(stored) => {
                    let stored = stored.root();
                    self.add(Problem::HeadRoot { origin: self.origin(), size, stored, computed });
                }
                Err(error) => self.add(Problem::Value { origin: self.origin(), detail: error.to_string() }),
            }
        }
        if let Some((size, locked)) = lock
            && let Some(computed) = self.root_at(size)
            && computed != locked
        {
            self.add(Problem::LockRoot { origin: self.origin(), size, locked, computed });
        }
    }

    fn root_at(&self, size: u64) -> Option<Root> {
        self.pins.iter().find(|pin| pin.0 == size).and_then(|pin| pin.1)
    }

    /// The note's signature, and its root against the recomputed one.
    fn note(&mut self, key: Option<&PublicKey>) {
        let Some(note) = &self.head.note else { return };
        let Some(key) = key else {
            self.add(Problem::NoKey { origin: self.origin() });
            return;
        };
        let signed = match SignedCheckpoint::verify(&note.note, &self.head.origin, key) {
            Ok(signed) => signed,
            Err(error) => {
                let (size, detail) = (note.size, error.to_string());
                self.add(Problem::NoteInvalid { origin: self.origin(), size, detail });
                return;
            }
        };
        if signed.size() != note.size {
            let detail = format!("it signs size {}", signed.size());
            self.add(Problem::NoteInvalid { origin: self.origin(), size: note.size, detail });
        } else if note.size > self.head.size {
            let (signed, stored) = (note.size, self.head.size);
            self.add(Problem::NoteBeyond { origin: self.origin(), signed, stored });
        } else if let Some(computed) = self.root_at(note.size) {
            let (size, signed) = (note.size, signed.root());
            if signed == computed {
                self.log.note_size = Some(size);
            } else {
                self.add(Problem::NoteRoot { origin: self.origin(), size, signed, computed });
            }
        }
    }
}
