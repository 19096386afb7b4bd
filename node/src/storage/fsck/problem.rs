//! What a check can find, each with the numbers that a person needs to look for it.

use hashpact_protocol::digest::{LeafHash, LogId, NodeHash, Root};

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A leaf below the stored size is not there; the rest of its log cannot be checked.
    #[error("{origin}: leaf {index} is missing; {size} entries should be stored")]
    LeafMissing {
        /// The log.
        origin: String,
        /// Leaf index.
        index: u64,
        /// Entries that the head speaks of.
        size: u64,
    },
    /// A leaf's hash is not the one in its tile.
    #[error("{origin}: leaf {index} hashes to {leaf}, its hash tile says {tile}")]
    LeafHash {
        /// The log.
        origin: String,
        /// Leaf index.
        index: u64,
        /// Hash of the stored leaf.
        leaf: NodeHash,
        /// Hash in the tile.
        tile: NodeHash,
    },
    /// An upper tile differs from the one that the leaves lead to.
    #[error("{origin}: hash {position} of tile {level}/{index} is {tile}, the leaves lead to {computed}")]
    TileHash {
        /// The log.
        origin: String,
        /// Tile level.
        level: u8,
        /// Tile index.
        index: u64,
        /// Position of the first hash that differs.
        position: usize,
        /// Hash in the tile.
        tile: NodeHash,
        /// Hash recomputed.
        computed: NodeHash,
    },
    /// A tile is not there.
    #[error("{origin}: hash tile {level}/{index} is missing")]
    TileMissing {
        /// The log.
        origin: String,
        /// Tile level.
        level: u8,
        /// Tile index.
        index: u64,
    },
    /// A tile has another width than the tree gives it.
    #[error("{origin}: hash tile {level}/{index} has {found} hashes, the tree has {expected} there")]
    TileWidth {
        /// The log.
        origin: String,
        /// Tile level.
        level: u8,
        /// Tile index.
        index: u64,
        /// Hashes found.
        found: usize,
        /// Hashes that it should have.
        expected: usize,
    },
    /// A value does not decode.
    #[error("{origin}: {detail}")]
    Value {
        /// The log.
        origin: String,
        /// The decoder's words.
        detail: String,
    },
    /// The head's frontier is not the one of the leaves.
    #[error("{origin}: the head at size {size} has root {stored}, the leaves lead to {computed}")]
    HeadRoot {
        /// The log.
        origin: String,
        /// Tree size.
        size: u64,
        /// Root of the stored frontier.
        stored: Root,
        /// Root recomputed.
        computed: Root,
    },
    /// A payload row is missing.
    #[error("{origin}: entry {index} has no payload row")]
    PayloadMissing {
        /// The log.
        origin: String,
        /// Leaf index.
        index: u64,
    },
    /// The list of missing payloads is not that of the rows that say so.
    #[error("{origin}: {listed} payloads are listed as missing, {not_here} are")]
    MissingCount {
        /// The log.
        origin: String,
        /// Rows of the list.
        listed: u64,
        /// Payload rows that say *not here*.
        not_here: u64,
    },
    /// A payload that is not here is not on the list of what is asked for.
    #[error(
        "{origin}: the payload of entry {index} is not here, and not listed as missing: nobody would be asked for it"
    )]
    NotListed {
        /// The log.
        origin: String,
        /// Leaf index.
        index: u64,
    },
    /// An entry that overtakes a backlog is not on the list of such entries.
    #[error(
        "{origin}: entry {index} overtakes a backlog and is not listed: peers that are behind are not told of it"
    )]
    PriorityMissing {
        /// The log.
        origin: String,
        /// Leaf index.
        index: u64,
    },
    /// An entry is listed as overtaking a backlog, and is none that does.
    #[error("{origin}: entry {index} is listed as overtaking a backlog, and is not such an entry")]
    PriorityExtra {
        /// The log.
        origin: String,
        /// Leaf index.
        index: u64,
    },
    /// What is kept ahead of a log's end should not be there.
    #[error("{origin}: what is kept of entry {index} ahead of the log is wrong: {detail}")]
    Ahead {
        /// The log, or its id.
        origin: String,
        /// Leaf index.
        index: u64,
        /// Why.
        detail: String,
    },
    /// RocksDB cannot read a block: nothing behind it in this table and log was checked.
    #[error("{origin}: {family} cannot be read at {place} and behind it: {detail}")]
    Unreadable {
        /// The log, or the table once more.
        origin: String,
        /// Column family.
        family: &'static str,
        /// Where reading ended.
        place: String,
        /// RocksDB's words.
        detail: String,
    },
    /// What this node cosigned is not what it holds.
    #[error(
        "{origin}: this node cosigned root {cosigned} at size {size}, the leaves lead to {computed}; do not start it"
    )]
    CosignedRoot {
        /// The log.
        origin: String,
        /// Tree size.
        size: u64,
        /// Root cosigned.
        cosigned: Root,
        /// Root recomputed.
        computed: Root,
    },
    /// What this node cosigned is more than it holds.
    #[error("{origin}: this node cosigned size {size}, {stored} entries are stored; do not start it")]
    CosignedBeyond {
        /// The log.
        origin: String,
        /// Size cosigned.
        size: u64,
        /// Entries stored.
        stored: u64,
    },
    /// The note that a quorum cosigned is not one of this log.
    #[error("{origin}: the note that a quorum cosigned at size {size} is wrong: {detail}")]
    QuorumHead {
        /// The log.
        origin: String,
        /// Size it is kept for.
        size: u64,
        /// What is wrong.
        detail: String,
    },
    /// Evidence that proves nothing.
    #[error("{origin}: the evidence kept does not verify: {detail}")]
    Evidence {
        /// The log.
        origin: String,
        /// What the check said.
        detail: String,
    },
    /// A history that is kept beside the followed one.
    #[error("{origin}: the other history of size {size} that is kept: {detail}")]
    Branch {
        /// The log.
        origin: String,
        /// Size of its checkpoint.
        size: u64,
        /// What is wrong.
        detail: String,
    },
    /// The list of sealed and erased payloads is not that of the rows that say so.
    #[error("{origin}: {listed} payloads are listed as sealed or erased, {erased} are")]
    ErasedCount {
        /// The log.
        origin: String,
        /// Rows of the list.
        listed: u64,
        /// Payload rows that say so.
        erased: u64,
    },
    /// A payload row does not decode.
    #[error("{origin}: the payload row of entry {index} does not decode: {detail}")]
    PayloadValue {
        /// The log.
        origin: String,
        /// Leaf index.
        index: u64,
        /// The decoder's words.
        detail: String,
    },
    /// A payload does not meet the commitment in its leaf.
    #[error("{origin}: the payload of entry {index} does not meet its commitment: {detail}")]
    Commitment {
        /// The log.
        origin: String,
        /// Leaf index.
        index: u64,
        /// What the check said.
        detail: String,
    },
    /// The place index does not find an entry.
    #[error("{origin}: entry {index} (record {leaf}) is not in the place index")]
    PlaceMissing {
        /// The log.
        origin: String,
        /// Leaf index.
        index: u64,
        /// Its leaf hash.
        leaf: LeafHash,
    },
    /// The place index has rows that belong to no entry.
    #[error("the place index has {found} rows for {entries} entries")]
    PlacesExtra {
        /// Rows found.
        found: u64,
        /// Entries stored.
        entries: u64,
    },
    /// A note's signature or form is wrong.
    #[error("{origin}: the note kept for size {size} does not verify: {detail}")]
    NoteInvalid {
        /// The log.
        origin: String,
        /// Size it is kept for.
        size: u64,
        /// What the check said.
        detail: String,
    },
    /// A note signs another root than the leaves have.
    #[error("{origin}: the note signs root {signed} at size {size}, the leaves lead to {computed}")]
    NoteRoot {
        /// The log.
        origin: String,
        /// Tree size.
        size: u64,
        /// Root signed.
        signed: Root,
        /// Root recomputed.
        computed: Root,
    },
    /// A note signs more than is stored.
    #[error("{origin}: the note signs size {signed}, {stored} entries are stored")]
    NoteBeyond {
        /// The log.
        origin: String,
        /// Size signed.
        signed: u64,
        /// Entries stored.
        stored: u64,
    },
    /// The roster has no key for a log, so its note cannot be verified.
    #[error("{origin}: the roster names no key for this log; its signatures were not checked")]
    NoKey {
        /// The log.
        origin: String,
    },
    /// Rows at or beyond the size that the head speaks of.
    #[error("{origin}: {family} has a row for {index}, beyond the {size} entries of the head")]
    Stray {
        /// The log.
        origin: String,
        /// Column family.
        family: &'static str,
        /// Leaf or tile index.
        index: u64,
        /// Entries that the head speaks of.
        size: u64,
    },
    /// Rows of a log that has no head.
    #[error("{family} has rows of log {log}, which has no head")]
    Orphan {
        /// Column family.
        family: &'static str,
        /// The log.
        log: LogId,
    },
    /// A key of the wrong form.
    #[error("{family} has a key of {len_bytes} bytes that is none of ours")]
    Key {
        /// Column family.
        family: &'static str,
        /// Its length.
        len_bytes: usize,
    },
    /// An idempotency entry speaks of entries that are not stored.
    #[error(
        "an idempotency entry of log {log} speaks of {count} entries from {first_index} on at size {tree_size}, {stored} are stored"
    )]
    Idempotency {
        /// The log.
        log: LogId,
        /// First index.
        first_index: u64,
        /// How many.
        count: u32,
        /// Size of the checkpoint it names.
        tree_size: u64,
        /// Entries stored.
        stored: u64,
    },
    /// The lock remembers more than the database has: it was restored, or lost writes.
    #[error(
        "{origin}: this node signed size {locked}, the database has {stored} entries: it is older than the lock file; do not start it"
    )]
    LockAhead {
        /// The own log.
        origin: String,
        /// Size in the lock.
        locked: u64,
        /// Entries stored.
        stored: u64,
    },
    /// The database has more than was signed: a crash between storing and signing.
    #[error(
        "{origin}: {stored} entries are stored, {locked} are signed; the next start verifies and signs the rest"
    )]
    LockBehind {
        /// The own log.
        origin: String,
        /// Size in the lock.
        locked: u64,
        /// Entries stored.
        stored: u64,
    },
    /// The lock remembers another root than the leaves have.
    #[error(
        "{origin}: this node signed root {locked} at size {size}, the leaves lead to {computed}; do not start it"
    )]
    LockRoot {
        /// The own log.
        origin: String,
        /// Size in the lock.
        size: u64,
        /// Root in the lock.
        locked: Root,
        /// Root recomputed.
        computed: Root,
    },
    /// The database's generation is newer: a crash before the lock was written.
    #[error("the database has generation {stored}, the lock file {locked}; the next start raises the lock")]
    GenerationAhead {
        /// Generation in the database.
        stored: u64,
        /// Generation in the lock.
        locked: u64,
    },
    /// The database's generation is older: it was restored.
    #[error(
        "the database has generation {stored}, the lock file {locked}: the database is older than the lock file; do not start it"
    )]
    GenerationBehind {
        /// Generation in the database.
        stored: u64,
        /// Generation in the lock.
        locked: u64,
    },
}

impl Problem {
    /// Whether a person must act; the others are what a crash leaves and a start puts right, or what
    /// could not be checked.
    #[must_use]
    pub const fn is_fault(&self) -> bool {
        !matches!(self, Self::LockBehind { .. } | Self::GenerationAhead { .. } | Self::NoKey { .. })
    }
}
