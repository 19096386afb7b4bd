//! What is whole of a damaged database, copied to a new one.
//!
//! For damage that cannot be mended in place: a block of a table file that RocksDB cannot read stays in the way of
//! every later compaction. The damaged database is opened without changing it. Every log is read from its start
//! and written anew, tiles, places and head with it, up to the first leaf that is missing, unreadable or not what its
//! hash tile says; what follows is at the other members, and a start fetches it like anything that is lacking. A payload
//! that cannot be read becomes *not here* and is asked for. Other histories of forked logs are not copied: they are fetched again.
//!
//! Two things have no copy elsewhere, and nothing is salvaged without them: the own log, and what this node cosigned.

use super::error::StoreError;
use super::fsck::LogKeys;
use super::{
    PayloadRef, Store, StoredHead, cards, codec, erase, facts, idempotency, leaves, meta, payloads, places,
    write,
};
use hashpact_core::effect::{LockState, StoredEntry, StoredPayload, WriteBatch};
use hashpact_protocol::checkpoint::SignedCheckpoint;
use hashpact_protocol::digest::{LogId, NodeHash, Root, leaf_hash};
use hashpact_protocol::keys::PublicKey;
use hashpact_protocol::leaf::check_commitment;
use hashpact_protocol::limits::ENTRY_LEAF_MAX_BYTES;
use hashpact_protocol::merkle::{Frontier, TILE_WIDTH};
use rocksdb::IteratorMode;
use std::path::Path;
use std::sync::{Mutex, RwLock};

/// Entries written in one batch.
const BATCH_ENTRIES: usize = 4_096;

/// Why nothing is salvaged. The damaged database is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SalvageError {
    /// The own log has no other writer.
    #[error(
        "the own log {origin} is whole only up to entry {whole}, and {needed} entries were signed or stored: nothing can be made up for it. \
         Give it up with `hashpact-node recover` (RECOVERY.md, \"Damaged bytes\")"
    )]
    OwnLog {
        /// The log.
        origin: String,
        /// Entries found whole.
        whole: u64,
        /// Entries that there must be.
        needed: u64,
    },
    /// The own log is not the one that was signed.
    #[error(
        "the own log {origin} has another root at size {size} than was signed; give it up with `hashpact-node recover`"
    )]
    OwnRoot {
        /// The log.
        origin: String,
        /// Tree size.
        size: u64,
    },
    /// What this node vouched for cannot be read.
    #[error(
        "what this node cosigned, or the generation of its signatures, cannot be read ({detail}): it must not cosign again under its key. Give \
         its log up with `hashpact-node recover`, which changes the cosigner key, with the database moved away"
    )]
    Cosigned {
        /// RocksDB's words.
        detail: String,
    },
    /// The list of logs cannot be read.
    #[error(
        "the list of logs cannot be read ({detail}): move the database away and give the log up with `hashpact-node recover`"
    )]
    Heads {
        /// RocksDB's words.
        detail: String,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What became of one log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SalvagedLog {
    /// Its origin.
    pub origin: String,
    /// Entries that the damaged database spoke of.
    pub stored: u64,
    /// Entries copied.
    pub whole: u64,
    /// Payloads that were lost, of those entries.
    pub payloads_lost: u64,
    /// Why no more entries were copied.
    pub cut: Option<String>,
}

/// What was salvaged.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// Every log.
    pub logs: Vec<SalvagedLog>,
    /// Rows of the small tables that were lost.
    pub rows_lost: u64,
}

/// Copies what is whole of the database in `from` to a new one in `to`. `own` is the lock file's state.
///
/// # Errors
/// [`SalvageError`]; `to` is then worth nothing and may be removed.
pub fn salvage(
    from: &Path,
    to: &Path,
    scratch: &Path,
    keys: &LogKeys,
    own: &LockState,
) -> Result<Salvaged, SalvageError> {
    let old = Store::open_damaged(from, scratch)?;
    let new = Store::create(to, &old.identity.consortium, &old.identity.member)?;
    let mut salvaged = Salvaged::default();
    let heads = old.heads().map_err(|error| SalvageError::Heads { detail: error.to_string() })?;
    for head in &heads {
        let copy = Copying { old: &old, new: &new, head, key: keys.get(&head.log) };
        let log = if head.origin == own.origin { copy.own_log(own)? } else { copy.other_log()? };
        salvaged.logs.push(log);
    }
    let stored = heads.iter().any(|head| head.origin == own.origin);
    if !stored && own.size > 0 {
        let (origin, needed) = (own.origin.clone(), own.size);
        return Err(SalvageError::OwnLog { origin, whole: 0, needed });
    }
    copy_signed(&old, &new)?;
    salvaged.rows_lost = copy_others(&old, &new)?;
    Ok(salvaged)
}

struct Copying<'a> {
    old: &'a Store,
    new: &'a Store,
    head: &'a StoredHead,
    key: Option<&'a PublicKey>,
}

/// How much of a log is whole.
struct Whole {
    size: u64,
    /// The root at the size that was asked for, if it is reached.
    at_note: Option<Root>,
    /// Why there is no more.
    cut: Option<String>,
}

impl Copying<'_> {
    /// The own log: all of it, or nothing is salvaged.
    fn own_log(&self, lock: &LockState) -> Result<SalvagedLog, SalvageError> {
        let origin = || self.head.origin.clone();
        let log = self.copy(self.head.size)?;
        let needed = self.head.size.max(lock.size);
        if log.whole < needed {
            return Err(SalvageError::OwnLog { origin: origin(), whole: log.whole, needed });
        }
        if log.payloads_lost > 0 {
            let whole = log.whole - log.payloads_lost;
            return Err(SalvageError::OwnLog { origin: origin(), whole, needed });
        }
        if self.new.frontier_at(&self.head.log, lock.size)?.root() != lock.root {
            return Err(SalvageError::OwnRoot { origin: origin(), size: lock.size });
        }
        self.keep_note(log.whole)?;
        Ok(log)
    }

    /// Somebody else's log: as far as it is whole, and none of it if that is not what its author signed.
    fn other_log(&self) -> Result<SalvagedLog, SalvageError> {
        let signed = self.head.note.as_ref().zip(self.key).and_then(|(note, key)| {
            let signed = SignedCheckpoint::verify(&note.note, &self.head.origin, key).ok()?;
            Some((signed.size(), signed.root()))
        });
        let Some((size, root)) = signed else { return Ok(self.copy(self.head.size)?) };
        // Looked at before it is written: what is written cannot be taken back.
        let whole = self.whole(size)?;
        if whole.at_note.is_some_and(|found| found != root) {
            return Ok(SalvagedLog {
                origin: self.head.origin.clone(),
                stored: self.head.size,
                whole: 0,
                payloads_lost: 0,
                cut: Some(format!("its leaves do not lead to the root that was signed at size {size}")),
            });
        }
        let log = self.copy(whole.size)?;
        self.keep_note(log.whole)?;
        Ok(SalvagedLog { cut: whole.cut.or(log.cut), ..log })
    }

    /// How far the leaves are whole, with the root at a size.
    fn whole(&self, wanted: u64) -> Result<Whole, StoreError> {
        let (mut tree, mut at_note) = (Frontier::empty(), None);
        let cut = self.each_leaf(self.head.size, |_, leaf| {
            tree.append(leaf_hash(leaf));
            if tree.size() == wanted {
                at_note = Some(tree.root());
            }
            Ok(())
        })?;
        Ok(Whole { size: tree.size(), at_note, cut })
    }

    /// The newest note, if the entries are there that it speaks of.
    fn keep_note(&self, whole: u64) -> Result<(), StoreError> {
        let Some(note) = self.head.note.as_ref().filter(|note| note.size > 0 && note.size <= whole) else {
            return Ok(());
        };
        self.new.keep_note(&self.head.log, &self.head.origin, note).map(drop)
    }

    fn copy(&self, end: u64) -> Result<SalvagedLog, StoreError> {
        let (mut tree, mut entries, mut payloads_lost) = (Frontier::empty(), Vec::new(), 0);
        let cut = self.each_leaf(end, |index, leaf| {
            tree.append(leaf_hash(leaf));
            let (payload, is_lost) = self.payload(index, leaf);
            payloads_lost += u64::from(is_lost);
            entries.push(StoredEntry { leaf: leaf.to_vec(), payload });
            if entries.len() == BATCH_ENTRIES {
                self.write(&tree, std::mem::take(&mut entries))?;
            }
            Ok(())
        })?;
        if !entries.is_empty() {
            self.write(&tree, entries)?;
        }
        let origin = self.head.origin.clone();
        Ok(SalvagedLog { origin, stored: self.head.size, whole: tree.size(), payloads_lost, cut })
    }

    /// Calls `take` with every leaf below `end` that is whole, in order; says why it ended before.
    fn each_leaf(
        &self,
        end: u64,
        mut take: impl FnMut(u64, &[u8]) -> Result<(), StoreError>,
    ) -> Result<Option<String>, StoreError> {
        let log = &self.head.log;
        let mut tile: Vec<NodeHash> = Vec::new();
        let mut rows = self.old.walk(leaves::FAMILY, log, 0, end);
        for index in 0..end {
            let position = usize::try_from(index % u64::from(TILE_WIDTH)).unwrap_or(0);
            if position == 0 {
                // One that cannot be read says nothing about its leaves; the signed root does.
                tile = self.old.load_tile(log, 0, index / u64::from(TILE_WIDTH)).unwrap_or_default();
            }
            let leaf = match super::read::row_at(&rows, &codec::entry_key(log, index)) {
                Ok(Some(leaf)) => leaf,
                Ok(None) => return Ok(Some(format!("leaf {index} is missing"))),
                Err(error) => return Ok(Some(format!("leaf {index} cannot be read: {error}"))),
            };
            if leaf.len() > ENTRY_LEAF_MAX_BYTES {
                return Ok(Some(format!("leaf {index} has {} bytes", leaf.len())));
            }
            if tile.get(position).is_some_and(|hash| *hash != leaf_hash(leaf).into()) {
                return Ok(Some(format!("leaf {index} is not what its hash tile says")));
            }
            take(index, leaf)?;
            rows.next();
        }
        Ok(None)
    }

    /// What stands beside a leaf, and whether it was lost.
    fn payload(&self, index: u64, leaf: &[u8]) -> (StoredPayload, bool) {
        let key = codec::entry_key(&self.head.log, index);
        let family = self.old.family(payloads::FAMILY);
        let Ok(Some(row)) = self.old.db.get_pinned_cf(family, key) else {
            return (StoredPayload::NotHere, true);
        };
        match payloads::decode(&row) {
            Ok(PayloadRef::Present { salt, padded } | PayloadRef::Sealed { salt, padded, .. })
                if places::named_place(leaf).is_some() && check_commitment(leaf, &salt, padded).is_err() =>
            {
                (StoredPayload::NotHere, true)
            }
            Ok(payload) => (payload.to_stored(), false),
            Err(_) => (StoredPayload::NotHere, true),
        }
    }

    fn write(&self, tree: &Frontier, entries: Vec<StoredEntry>) -> Result<(), StoreError> {
        let batch = WriteBatch {
            id: 0,
            log: self.head.log,
            origin: self.head.origin.clone(),
            start: tree.size() - entries.len() as u64,
            entries,
            frontier: tree.hashes().to_vec(),
            note: None,
            idempotency: Vec::new(),
            read_back: false,
            generation: None,
        };
        self.new.write(&batch).map(drop)
    }
}

/// What this node vouched for, and the generation: without exception.
fn copy_signed(old: &Store, new: &Store) -> Result<(), SalvageError> {
    let lost = |error: rocksdb::Error| SalvageError::Cosigned { detail: error.to_string() };
    let mut rows = rocksdb::WriteBatch::default();
    for row in old.db.iterator_cf(old.family(facts::COSIGNED), IteratorMode::Start) {
        let (key, value) = row.map_err(lost)?;
        rows.put_cf(new.family(facts::COSIGNED), key, value);
    }
    let generation = old.db.get_cf(old.family(meta::FAMILY), meta::GENERATION).map_err(lost)?;
    if let Some(generation) = generation {
        rows.put_cf(new.family(meta::FAMILY), meta::GENERATION, generation);
    }
    let mut writer = new.writer()?;
    Ok(new.commit(&mut writer, rows)?)
}

/// The small tables, as far as they can be read and speak of what was copied; gives how many rows were lost.
fn copy_others(old: &Store, new: &Store) -> Result<u64, SalvageError> {
    let (mut lost, mut rows) = (0, rocksdb::WriteBatch::default());
    for family in [facts::QUORUM, facts::EVIDENCE, cards::FAMILY, idempotency::FAMILY, erase::SEEN] {
        for row in old.db.iterator_cf(old.family(family), IteratorMode::Start) {
            // The iterator ends with its first error; what follows is lost with it.
            let Ok((key, value)) = row else {
                lost += 1;
                continue;
            };
            if is_covered(new, family, &key, &value) {
                rows.put_cf(new.family(family), key, value);
            } else {
                lost += 1;
            }
        }
    }
    let mut writer = new.writer()?;
    new.commit(&mut writer, rows)?;
    Ok(lost)
}

/// Whether the entries are there that a row speaks of.
fn is_covered(new: &Store, family: &str, key: &[u8], value: &[u8]) -> bool {
    let has = |log: &LogId, size: u64| new.stored_size(log).unwrap_or(0) >= size;
    match family {
        idempotency::FAMILY => {
            idempotency::decode(key, value).is_ok_and(|(log, entry)| has(&log, entry.tree_size))
        }
        facts::QUORUM => {
            let log = <[u8; 32]>::try_from(key).map(LogId::new);
            let note = super::notes::decode(value);
            log.ok().zip(note.ok()).is_some_and(|(log, note)| has(&log, note.size))
        }
        _ => true,
    }
}

impl Store {
    /// Opens a database that may be damaged, for reading, without relying on its trees.
    fn open_damaged(dir: &Path, scratch: &Path) -> Result<Self, StoreError> {
        let db = super::checkpoint::open_read_only(dir, scratch)?;
        let identity = super::load_identity(&db)?;
        let store = Self {
            db,
            identity,
            writer: Mutex::new(write::Writer::default()),
            sizes: RwLock::default(),
            published: RwLock::default(),
        };
        Ok(store)
    }
}
