//! What the node keeps on disk: entries, trees, heads and look-ups, in one RocksDB.
//!
//! [`Store`] performs the batches that the engine decides on and answers reads from any thread. It
//! contains no rule about validity: what is stored was checked before, what is read is checked again
//! by whoever relies on it. One writer thread calls [`Store::write`]; readers never wait for it.
//!
//! Invariants:
//! - *acknowledged is durable*: `write` returns after the write-ahead log is synced, and recovery
//!   refuses a log that was damaged anywhere but in its unacknowledged tail (see `options` and `wal`);
//! - *one batch, one step*: leaves, payloads, places, tiles, head, note and idempotency keys of a
//!   batch are stored together or not at all, and only where the log ends;
//! - *persist, then publish*: what peers and HTTP callers may see ends at [`Store::publish`]ed
//!   heads, kept in memory only; after a start nothing is visible until the driver publishes again;
//! - an existing database is never created over, and a missing one never created by opening.
//!
//! | column family | key | what an attacker who writes it gains | what losing it costs |
//! |---|---|---|---|
//! | `leaves` | log, index | nothing: roots break | peers' copies; own log if unreplicated |
//! | `payloads` | log, index | hides a payload | peers' copies |
//! | `missing` | log, index | a payload that is not asked for | the same |
//! | `priority` | log, index | a withdrawal until the log reaches it | waiting for the log |
//! | `heads`, `tiles`, `places` | | a node that stops or serves proofs that fail | a rebuild |
//! | `notes`, `cards` | | older signed facts | asking peers again |
//! | `cosigned`, `quorum`, `evidence` | log | hides evidence; see `facts` | the right to cosign; asking peers again |
//! | `branches`, `branch_leaves`, `branch_payloads` | log, number | nothing: roots break | peers' copies |
//! | `erased`, `purging` | log, index | bytes that are not destroyed | the same, until a rebuild |
//! | `seen` | log, index | bytes destroyed too early or too late | waits that start anew |
//! | `changes` | sequence | hides a change from followers, or makes one up | a snapshot for each follower |
//! | `idempotency` | caller's key | a wrong receipt, visible as such | duplicate records on retry |
//! | `meta` | | none that the lock file does not catch | the database |
//!
//! Together with the lock file an attacker can put back a consistent older state; only the other
//! members can tell (they hold a larger checkpoint of this node).

mod branches;
mod cards;
mod changes;
mod checkpoint;
mod codec;
mod compact;
mod erase;
mod error;
mod facts;
pub mod fsck;
mod heads;
mod idempotency;
mod leaves;
pub mod lock;
mod meta;
mod missing;
mod notes;
mod options;
mod payloads;
mod places;
mod priority;
mod proofs;
mod published;
mod read;
mod repair;
pub mod salvage;
pub mod scrub;
mod tiles;
mod wal;
mod write;

#[cfg(test)]
mod tests;

pub use changes::{CauseRow, ChangeRow, CleanStop, DecidedRow, FeedState, ListRow, RecordRow};
pub use error::StoreError;
pub use fsck::{FsckReport, Problem, fsck};
pub use heads::{ORIGIN_MAX_BYTES, StoredHead};
pub use lock::{LOCK_FILE_BYTES, LockError, LockFile};
pub use meta::{Identity, SCHEMA_VERSION};
pub use payloads::PayloadRef;
pub use wal::TornTail;

use hashpact_core::effect::PublishedHead;
use hashpact_protocol::digest::LogId;
use options::Shape;
use rocksdb::{Cache, ColumnFamily, DB, ErrorKind, Options};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, RwLock};

/// The file that marks a folder as a RocksDB database.
const MARKER: &str = "CURRENT";

/// Every column family of the schema; `default` is RocksDB's own and stays empty.
const FAMILIES: [(&str, Shape); 22] = [
    ("default", Shape::Small),
    (meta::FAMILY, meta::SHAPE),
    (heads::FAMILY, heads::SHAPE),
    (notes::FAMILY, notes::SHAPE),
    (leaves::FAMILY, leaves::SHAPE),
    (payloads::FAMILY, payloads::SHAPE),
    (missing::FAMILY, missing::SHAPE),
    (priority::FAMILY, priority::SHAPE),
    (places::FAMILY, places::SHAPE),
    (tiles::FAMILY, tiles::SHAPE),
    (idempotency::FAMILY, idempotency::SHAPE),
    (cards::FAMILY, cards::SHAPE),
    (facts::COSIGNED, facts::SHAPE),
    (facts::QUORUM, facts::SHAPE),
    (facts::EVIDENCE, facts::SHAPE),
    (branches::HEADS, branches::HEADS_SHAPE),
    (branches::LEAVES, branches::ENTRIES_SHAPE),
    (branches::PAYLOADS, branches::ENTRIES_SHAPE),
    (erase::ERASED, erase::SHAPE),
    (erase::PURGING, erase::SHAPE),
    (erase::SEEN, erase::SHAPE),
    (changes::FAMILY, changes::SHAPE),
];

/// Families that came later: a database without them is opened, and has them from then on.
const ADDED: [&str; 11] = [
    facts::COSIGNED,
    facts::QUORUM,
    facts::EVIDENCE,
    priority::FAMILY,
    branches::HEADS,
    branches::LEAVES,
    branches::PAYLOADS,
    erase::ERASED,
    erase::PURGING,
    erase::SEEN,
    changes::FAMILY,
];

/// The database of one node.
pub struct Store {
    db: DB,
    identity: Identity,
    /// Held for the length of a write; readers never take it.
    writer: Mutex<write::Writer>,
    /// Entries stored per log, for readers.
    sizes: RwLock<BTreeMap<LogId, u64>>,
    /// What may be seen per log.
    published: RwLock<BTreeMap<LogId, PublishedHead>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("dir", &self.db.path()).field("identity", &self.identity).finish()
    }
}

impl Store {
    /// Creates an empty database for a member; only `init` does this.
    ///
    /// The identity is synced last. A crash before that leaves a folder that `open` refuses with
    /// [`StoreError::NoIdentity`], and nothing was ever stored in it.
    ///
    /// # Errors
    /// [`StoreError::Exists`], [`StoreError::NotEmpty`], [`StoreError::Io`], or RocksDB's own.
    pub fn create(dir: &Path, consortium: &str, member: &str) -> Result<Self, StoreError> {
        if dir.join(MARKER).exists() {
            return Err(StoreError::Exists { dir: dir.to_owned() });
        }
        let io = |source| StoreError::Io { path: dir.to_owned(), source };
        fs::create_dir_all(dir).map_err(io)?;
        if fs::read_dir(dir).map_err(io)?.next().is_some() {
            return Err(StoreError::NotEmpty { dir: dir.to_owned() });
        }
        let db = open_database(dir, true)?;
        let family = db.cf_handle(meta::FAMILY).expect("opened with every column family");
        let mut batch = rocksdb::WriteBatch::default();
        batch.put_cf(family, meta::CONSORTIUM, consortium);
        batch.put_cf(family, meta::MEMBER, member);
        batch.put_cf(family, meta::SCHEMA, meta::SCHEMA_VERSION.to_be_bytes());
        db.write_opt(batch, &options::synced()).map_err(StoreError::OutcomeUnknown)?;
        // The name of the folder itself must survive a crash as well.
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            let sync = fs::File::open(parent).and_then(|parent| parent.sync_all());
            sync.map_err(|source| StoreError::Io { path: parent.to_owned(), source })?;
        }
        Self::load(db)
    }

    /// Opens an existing database and recovers it.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::InUse`], [`StoreError::Damaged`], [`StoreError::Schema`],
    /// [`StoreError::Families`], [`StoreError::NoIdentity`], or a value that does not decode.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        Self::open_telling(dir, &mut |_| Ok(()))
    }

    /// As [`Store::open`]; tells of a torn tail before it is cut off the write-ahead log (see `wal`).
    ///
    /// # Errors
    /// As [`Store::open`], [`StoreError::Io`], or what `told` fails with: then nothing was cut.
    pub fn open_telling(
        dir: &Path,
        told: &mut dyn FnMut(&TornTail) -> Result<(), StoreError>,
    ) -> Result<Self, StoreError> {
        if !dir.join(MARKER).exists() {
            return Err(StoreError::Missing { dir: dir.to_owned() });
        }
        let mut torn = wal::check(dir)?.into_iter();
        loop {
            let opened = match check_families(dir) {
                // Whether another process has it open is known only to who opens it.
                Ok(()) | Err(StoreError::Damaged { .. }) => open_database(dir, false),
                Err(other) => return Err(other),
            };
            match (opened, torn.next()) {
                (Err(StoreError::Damaged { .. }), Some(tail)) => {
                    told(&tail)?;
                    tail.cut()?;
                }
                (opened, _) => return Self::load(opened?),
            }
        }
    }

    /// Removes what was cut off write-ahead logs, once database and lock file were found to agree.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn forget_torn_tails(&self) -> Result<(), StoreError> {
        wal::forget(self.db.path())
    }

    /// Whose database this is.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Generation of the last signature, as last set; 0 if never set.
    ///
    /// # Errors
    /// A value that does not decode, or RocksDB's own.
    pub fn generation(&self) -> Result<u64, StoreError> {
        meta::decode_generation(self.db.get_cf(self.family(meta::FAMILY), meta::GENERATION)?)
    }

    /// Raises the generation, synced. Call it before the lock file is written with the same value.
    ///
    /// # Errors
    /// [`StoreError::GenerationBackwards`], or [`StoreError::OutcomeUnknown`].
    pub fn set_generation(&self, generation: u64) -> Result<(), StoreError> {
        let mut writer = self.writer()?;
        let stored = self.generation()?;
        if generation < stored {
            return Err(StoreError::GenerationBackwards { stored, given: generation });
        }
        let mut batch = rocksdb::WriteBatch::default();
        batch.put_cf(self.family(meta::FAMILY), meta::GENERATION, generation.to_be_bytes());
        self.commit(&mut writer, batch)
    }

    /// Keeps a member's signed node card. Not synced: a lost card arrives again.
    ///
    /// # Errors
    /// [`StoreError::Key`], [`StoreError::ValueTooLong`], or RocksDB's own.
    pub fn card_put(&self, member: &str, card: &[u8]) -> Result<(), StoreError> {
        cards::check(member.as_bytes(), card)?;
        Ok(self.db.put_cf_opt(self.family(cards::FAMILY), member, card, &options::unsynced())?)
    }

    /// All node cards, by member id. They are to be verified again.
    ///
    /// # Errors
    /// [`StoreError::Key`], [`StoreError::ValueTooLong`], or RocksDB's own.
    pub fn cards(&self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let rows = self.db.iterator_cf(self.family(cards::FAMILY), rocksdb::IteratorMode::Start);
        rows.map(|row| {
            let (key, card) = row?;
            cards::check(&key, &card)?;
            Ok((String::from_utf8_lossy(&key).into_owned(), card.into_vec()))
        })
        .collect()
    }

    fn load(db: DB) -> Result<Self, StoreError> {
        let identity = load_identity(&db)?;
        let store = Self {
            db,
            identity,
            writer: Mutex::new(write::Writer::default()),
            sizes: RwLock::default(),
            published: RwLock::default(),
        };
        store.load_writer()?;
        Ok(store)
    }

    fn family(&self, name: &str) -> &ColumnFamily {
        self.db.cf_handle(name).expect("opened with every column family")
    }
}

fn open_database(dir: &Path, create: bool) -> Result<DB, StoreError> {
    let cache = Cache::new_lru_cache(options::BLOCK_CACHE_BYTES);
    let families = FAMILIES.map(|(name, shape)| options::family(name, shape, &cache));
    DB::open_cf_descriptors(&options::database(create), dir, families).map_err(|error| opening(dir, error))
}

/// RocksDB reports everything as text; these are the cases that an operator must tell apart.
fn opening(dir: &Path, error: rocksdb::Error) -> StoreError {
    let detail = error.to_string();
    match error.kind() {
        ErrorKind::IOError
            if detail.contains("/LOCK:") || detail.contains("lock hold by current process") =>
        {
            StoreError::InUse { dir: dir.to_owned(), detail }
        }
        ErrorKind::Corruption => StoreError::Damaged { detail },
        _ => StoreError::Engine(error),
    }
}

fn check_families(dir: &Path) -> Result<(), StoreError> {
    let mut found = DB::list_cf(&Options::default(), dir).map_err(|error| opening(dir, error))?;
    let mut expected: Vec<String> = FAMILIES.iter().map(|(name, _)| (*name).to_owned()).collect();
    found.sort_unstable();
    expected.sort_unstable();
    let is_there = |family: &String| found.contains(family) || ADDED.contains(&family.as_str());
    if found.iter().all(|family| expected.contains(family)) && expected.iter().all(is_there) {
        Ok(())
    } else {
        Err(StoreError::Families { found, expected })
    }
}

fn load_identity(db: &DB) -> Result<Identity, StoreError> {
    let family = db.cf_handle(meta::FAMILY).expect("opened with every column family");
    let field = |name: &'static str, key: &[u8]| {
        db.get_cf(family, key)?.ok_or(StoreError::NoIdentity { field: name })
    };
    Ok(Identity {
        schema: meta::check_schema(&field("schema version", meta::SCHEMA)?)?,
        consortium: meta::decode_text(field("consortium", meta::CONSORTIUM)?)?,
        member: meta::decode_text(field("member", meta::MEMBER)?)?,
    })
}
