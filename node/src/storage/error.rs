//! What can go wrong with the store, one variant per rule.
//!
//! Three groups, and the driver treats them differently (ARCHITECTURE, "three kinds of trouble"):
//! refusals, after which the store is exactly as it was; [`StoreError::OutcomeUnknown`] and
//! [`StoreError::Poisoned`], after which the process must stop and start again; and damage (a value
//! that does not decode, an entry that is missing), for which `fsck` finds the extent.

use hashpact_protocol::digest::LogId;
use hashpact_protocol::merkle::MerkleError;
use std::path::PathBuf;

/// Why the store refused or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// `create` never overwrites.
    #[error("{} already holds a database; it is never overwritten", dir.display())]
    Exists {
        /// The folder.
        dir: PathBuf,
    },
    /// `create` wants a folder of its own.
    #[error("{} is not empty; a new database needs an empty folder", dir.display())]
    NotEmpty {
        /// The folder.
        dir: PathBuf,
    },
    /// `open` never creates.
    #[error("{} holds no database; `init` creates one", dir.display())]
    Missing {
        /// The folder.
        dir: PathBuf,
    },
    /// A legal hold could not be kept; nothing was destroyed.
    #[error("a legal hold could not be kept: {0}")]
    Vault(#[from] crate::vault::VaultError),
    /// Another process, or another handle of this one, has the database open.
    #[error("{} is in use by another process or handle: {detail}", dir.display())]
    InUse {
        /// The folder.
        dir: PathBuf,
        /// RocksDB's words.
        detail: String,
    },
    /// The database was never initialised to the end.
    #[error("the database holds no {field}: its creation was interrupted; remove it and run `init` again")]
    NoIdentity {
        /// The missing field.
        field: &'static str,
    },
    /// A database of another version of this program.
    #[error("the database has schema {found}, this program knows schema {known}")]
    Schema {
        /// Version in the database.
        found: u32,
        /// Version of this program.
        known: u32,
    },
    /// The set of column families is not the one of this schema.
    #[error("column families are {found:?}, schema has {expected:?}")]
    Families {
        /// Families in the database.
        found: Vec<String>,
        /// Families of this schema.
        expected: Vec<String>,
    },
    /// A write-ahead log, the manifest or a table is damaged where a crash cannot have damaged it.
    #[error(
        "the database is damaged ({detail}); restore it from a backup and compare with the lock file, or let the roster open a successor log"
    )]
    Damaged {
        /// RocksDB's words.
        detail: String,
    },
    /// RocksDB failed to read.
    #[error("the database cannot be read: {0}")]
    Engine(#[from] rocksdb::Error),
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A synced write failed: it may or may not be on disk.
    #[error("a write failed and its outcome is unknown: {0}; the node must stop and start again")]
    OutcomeUnknown(rocksdb::Error),
    /// An earlier write failed; nothing is written until the database is opened again.
    #[error("an earlier write failed; the node must stop and start again")]
    Poisoned,
    /// A batch does not continue the log where it ends.
    #[error("batch for {origin} starts at {start}, but {stored} entries are stored")]
    Start {
        /// The log.
        origin: String,
        /// First index of the batch.
        start: u64,
        /// Entries stored.
        stored: u64,
    },
    /// A batch names a log id that is not the hash of its origin.
    #[error("log id {log} is not the id of origin {origin}")]
    Origin {
        /// The id given.
        log: LogId,
        /// The origin given.
        origin: String,
    },
    /// An origin longer than the store takes.
    #[error("origin of {len_bytes} bytes; at most {max_bytes} are stored")]
    OriginTooLong {
        /// Length.
        len_bytes: usize,
        /// Bound.
        max_bytes: usize,
    },
    /// A leaf longer than any log may hold.
    #[error("leaf {index} of {origin} has {len_bytes} bytes; at most {max_bytes} are allowed")]
    LeafTooLong {
        /// The log.
        origin: String,
        /// Leaf index.
        index: u64,
        /// Length.
        len_bytes: usize,
        /// Bound.
        max_bytes: usize,
    },
    /// The frontier of the batch is not the one that its leaves lead to.
    #[error("the frontier given for {origin} at size {size} is not the one of its leaves")]
    FrontierMismatch {
        /// The log.
        origin: String,
        /// Tree size after the batch.
        size: u64,
    },
    /// A checkpoint note for more than is stored.
    #[error("note of {origin} signs size {note}, but {stored} entries are stored")]
    NoteBeyond {
        /// The log.
        origin: String,
        /// Size of the note.
        note: u64,
        /// Entries stored with the batch.
        stored: u64,
    },
    /// A checkpoint note for less than the one that is kept.
    #[error("note of {origin} signs size {note}, but one for size {kept} is kept")]
    NoteBackwards {
        /// The log.
        origin: String,
        /// Size of the note.
        note: u64,
        /// Size of the note that is kept.
        kept: u64,
    },
    /// A head that would show what is not stored.
    #[error("cannot publish {origin} at size {size}: {stored} entries are stored")]
    PublishBeyond {
        /// The log.
        origin: String,
        /// Size to publish.
        size: u64,
        /// Entries stored.
        stored: u64,
    },
    /// A witness never cosigns a smaller size, or another root of one size.
    #[error("refusing to cosign size {given} of log {log}: size {held} with its root was cosigned before")]
    CosignedBackwards {
        /// The log.
        log: LogId,
        /// Size cosigned.
        held: u64,
        /// Size given.
        given: u64,
    },
    /// The generation only grows.
    #[error("generation {given} is below the stored generation {stored}")]
    GenerationBackwards {
        /// Generation stored.
        stored: u64,
        /// Generation given.
        given: u64,
    },
    /// A part of a history that is kept beside the followed one does not fit what is kept of it.
    #[error("part of the kept history {number} of log {log}: {detail}")]
    Branch {
        /// The log.
        log: LogId,
        /// Which of its kept histories.
        number: u8,
        /// What does not fit.
        detail: String,
    },
    /// A proof of a kind that this program does not know how to read failed.
    #[error("a proof of log {0} could not be read from its tiles")]
    Proof(LogId),
    /// No such log here (or, for reads by others, none published).
    #[error("log {0} is not held here")]
    UnknownLog(LogId),
    /// A read beyond what may be seen or is stored.
    #[error("entries {start}..{end} of log {log} were asked for, {size} may be read")]
    Beyond {
        /// The log.
        log: LogId,
        /// First index asked for.
        start: u64,
        /// End asked for.
        end: u64,
        /// Readable size.
        size: u64,
    },
    /// An entry below the stored size is not there.
    #[error("{family} of entry {index} of log {log} is missing")]
    EntryMissing {
        /// Column family.
        family: &'static str,
        /// The log.
        log: LogId,
        /// Leaf index.
        index: u64,
    },
    /// A hash tile below the stored size is missing or too short.
    #[error("hash tile {level}/{index} of log {log} holds {hashes} hashes, {needed} are needed")]
    TileShort {
        /// The log.
        log: LogId,
        /// Tile level.
        level: u8,
        /// Tile index.
        index: u64,
        /// Hashes held (0: no such tile).
        hashes: usize,
        /// Hashes needed.
        needed: usize,
    },
    /// A hash tile that is not a whole number of hashes, or too wide.
    #[error("hash tile {level}/{index} of log {log} has {len_bytes} bytes")]
    TileLength {
        /// The log.
        log: LogId,
        /// Tile level.
        level: u8,
        /// Tile index.
        index: u64,
        /// Its length.
        len_bytes: usize,
    },
    /// A stored value does not decode.
    #[error("a value of column family {family} does not decode: {detail}")]
    Value {
        /// Column family.
        family: &'static str,
        /// The decoder's words.
        detail: String,
    },
    /// A stored value has bytes behind its end.
    #[error("a value of column family {family} ends after {consumed_bytes} of {len_bytes} bytes")]
    TrailingBytes {
        /// Column family.
        family: &'static str,
        /// Bytes that the value has.
        consumed_bytes: usize,
        /// Bytes stored.
        len_bytes: usize,
    },
    /// A value is longer than could be read back.
    #[error("a value for column family {family} has {len_bytes} bytes, at most {max_bytes} are allowed")]
    ValueTooLong {
        /// Column family.
        family: &'static str,
        /// Its length.
        len_bytes: usize,
        /// The bound.
        max_bytes: usize,
    },
    /// A key of a column family has the wrong shape.
    #[error("a key of column family {family} has {len_bytes} bytes or an unknown form")]
    Key {
        /// Column family.
        family: &'static str,
        /// Its length.
        len_bytes: usize,
    },
    /// The tree arithmetic refused.
    #[error("tree: {0}")]
    Merkle(#[from] MerkleError),
}
