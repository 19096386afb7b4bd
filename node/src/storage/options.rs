//! RocksDB's options, sized for a small node, and the argument for each that matters.
//!
//! **Memory**: block cache 64 MiB (index and filter blocks live in it, so they count), memtables
//! 48 MiB over all column families, 16 MiB of them at most for one. A node with a few million
//! entries therefore stays below about 150 MiB for storage, whatever the size on disk.
//!
//! **Durability**: acknowledged means synced. Every batch that something depends on is written with
//! `sync`, so it is in the write-ahead log and the log is on the disk when `write` returns.
//! Recovery runs in *tolerate corrupted tail* mode, after a reader of our own (`wal`) has looked at the logs:
//!
//! | what is found at the end of a start-up | here | tail mode alone | point in time (default) | absolute |
//! |---|---|---|---|---|
//! | the last record is incomplete: a crash during an unacknowledged write | dropped | drops it | drops it | refuses to open |
//! | the last record ends in blocks that were allocated and never written (zeros) | dropped, the file is cut | refuses to open | drops it | refuses to open |
//! | a record in the middle is damaged: bit rot, a bad sector, a meddler | refused | refuses to open | **drops it and all behind it** | refuses to open |
//! | the same, in the length or type of a record in the last block | refused | **drops it and all behind it, or never ends** | the same | the same |
//! | a whole synced log file is missing | refused (tracked in the manifest) | refuses | refuses | refuses |
//!
//! The default would silently forget acknowledged batches, among them a `Stored` answer that
//! another member relies on; absolute consistency would turn every power cut into an outage. What
//! no reader can see, the file cut short at a record boundary, the lock file outside the database
//! sees for everything that this node signed (start-up compares them), and replication repairs for
//! everybody else's logs.
//!
//! **Compression**: of a leaf only the commitment is random, the log id and the zeros beside it are the same in
//! every leaf; of a payload only salt and signals are; of a place only the leaf hash. All three use LZ4, which
//! halves them and unpacks faster than a disk reads. Tiles are digests and nothing else, and do not compress.
//! Log compression is off: a batch is small and latency matters.

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, DBRecoveryMode, Env, Options,
    ReadOptions, SliceTransform, WriteOptions,
};

/// Block cache for all column families, index and filter blocks included.
pub(super) const BLOCK_CACHE_BYTES: usize = 64 * 1024 * 1024;
/// Memtables of all column families together.
const MEMTABLES_BYTES: usize = 48 * 1024 * 1024;
/// Memtable of one column family.
const MEMTABLE_BYTES: usize = 16 * 1024 * 1024;
/// Write-ahead logs are flushed away beyond this, which also bounds recovery time.
const WAL_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// Files kept open; the rest are opened as needed.
const OPEN_FILES_MAX: i32 = 512;
/// Readahead of long scans.
const SCAN_READAHEAD_BYTES: usize = 2 * 1024 * 1024;

/// How a column family is read, which decides its table format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Read in key order and by exact key; does not compress.
    Dense,
    /// As `Dense`, with values that compress.
    Compressible,
    /// Looked up by a 32-byte prefix, mostly absent: a filter answers "no" from memory. What follows the prefix
    /// compresses.
    Lookup,
    /// A handful of small values.
    Small,
}

/// Options of the database as a whole.
pub(super) fn database(create: bool) -> Options {
    let mut options = Options::default();
    options.create_if_missing(create);
    // Which may be missing is checked before.
    options.create_missing_column_families(true);
    options.set_error_if_exists(create);
    options.set_paranoid_checks(true);
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_recycle_log_file_num(0);
    options.set_max_total_wal_size(WAL_BYTES_MAX);
    options.set_db_write_buffer_size(MEMTABLES_BYTES);
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_max_background_jobs(2);
    // Compaction can wait where look-ups cannot. It is never starved for long: writes stop for it.
    if let Ok(mut threads) = Env::new() {
        threads.lower_thread_pool_cpu_priority();
        options.set_env(&threads);
    }
    options.set_bytes_per_sync(1024 * 1024);
    options.set_keep_log_file_num(4);
    options.set_max_log_file_size(4 * 1024 * 1024);
    options.set_stats_dump_period_sec(0);
    options
}

/// The descriptor of one column family.
pub(super) fn family(name: &'static str, shape: Shape, cache: &Cache) -> ColumnFamilyDescriptor {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_cache_index_and_filter_blocks(true);
    table.set_cache_index_and_filter_blocks_with_high_priority(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    table.set_format_version(5);
    let mut options = Options::default();
    options.set_write_buffer_size(MEMTABLE_BYTES);
    options.set_level_compaction_dynamic_level_bytes(true);
    options.set_compression_type(DBCompressionType::None);
    match shape {
        Shape::Dense => table.set_block_size(16 * 1024),
        Shape::Compressible => {
            table.set_block_size(16 * 1024);
            options.set_compression_type(DBCompressionType::Lz4);
        }
        Shape::Lookup => {
            table.set_block_size(4 * 1024);
            table.set_bloom_filter(10.0, false);
            options.set_compression_type(DBCompressionType::Lz4);
            options.set_prefix_extractor(SliceTransform::create_fixed_prefix(32));
        }
        Shape::Small => options.set_write_buffer_size(1024 * 1024),
    }
    options.set_block_based_table_factory(&table);
    ColumnFamilyDescriptor::new(name, options)
}

/// For everything that is acknowledged: returns after the write-ahead log is on the disk.
pub(super) fn synced() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(true);
    options
}

/// For what may be lost in a crash because it can be had again (a newer cosigned note, a card).
pub(super) fn unsynced() -> WriteOptions {
    WriteOptions::default()
}

/// For long scans: reads ahead, leaves the block cache to look-ups, and stops before `end`.
pub(super) fn scan(end: Vec<u8>) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_iterate_upper_bound(end);
    options.set_readahead_size(SCAN_READAHEAD_BYTES);
    options.fill_cache(false);
    options.set_total_order_seek(true);
    options
}

/// For short runs of entries: through the block cache, stopping before `end`.
pub(super) fn short_walk(end: Vec<u8>) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_iterate_upper_bound(end);
    options
}

/// For reading again what is stored, a little at a time: leaves the block cache to look-ups, stops before `end`.
pub(super) fn scrub(end: Vec<u8>) -> ReadOptions {
    let mut options = scrub_all();
    options.set_iterate_upper_bound(end);
    options
}

/// The same, to the end of the column family.
pub(super) fn scrub_all() -> ReadOptions {
    let mut options = ReadOptions::default();
    options.fill_cache(false);
    options.set_total_order_seek(true);
    options.set_verify_checksums(true);
    options
}
