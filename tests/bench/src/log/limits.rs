//! What this machine can do at best: the disk's sync, RocksDB alone with the same bytes, hashing and signing.

use crate::records;
use crate::report::{Line, Report, percentile};
use anyhow::{Result, ensure};
use hashpact_protocol::digest::{LogId, NodeHash, leaf_hash, node_hash, sha256};
use hashpact_protocol::keys::SecretKey;
use hashpact_protocol::leaf::{LeafHeader, check_commitment, seal};
use hashpact_protocol::record::Record;
use rocksdb::{DB, Options, WriteBatch, WriteOptions};
use std::hint::black_box;
use std::io::Write as _;
use std::time::Instant;

/// Records of one synced batch of RocksDB alone: what forms in the node while another is written.
const BATCH: u64 = 10_000;
const SYNCS: usize = 200;

/// The limits that other measurements are compared with, in records a second.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Limits {
    /// RocksDB with the same rows in synced batches, and nothing else; one thread.
    pub(crate) rocksdb: Option<f64>,
}

/// Measures all limits over `count` records.
pub(crate) fn run(count: u64, report: Report) -> Result<Limits> {
    sync(report)?;
    let sealed = hashing(count.min(200_000), report)?;
    signing(report);
    let rate = rocksdb_alone(&sealed, count)?;
    let note = format!("one thread, batches of {BATCH}, default options, the three rows of each record");
    report.line(&Line::new("limit.rocksdb_synced_records", rate, "1/s").note(note));
    Ok(Limits { rocksdb: Some(rate) })
}

fn sync(report: Report) -> Result<()> {
    let mut file = tempfile::tempfile()?;
    let mut samples = Vec::new();
    for _ in 0..SYNCS {
        file.write_all(&[7; 4096])?;
        let started = Instant::now();
        file.sync_data()?;
        samples.push(started.elapsed().as_secs_f64() * 1_000.0);
    }
    for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
        report.line(&Line::new(format!("limit.fdatasync_{name}"), percentile(&mut samples, share), "ms"));
    }
    Ok(())
}

struct Entry {
    leaf: [u8; 136],
    salt: [u8; 32],
    padded: Vec<u8>,
}

/// Seals records, then does with each what a follower must at least: hash the leaf, go up the tree, check the
/// payload's commitment.
fn hashing(count: u64, report: Report) -> Result<Vec<Entry>> {
    let log = LogId::of_origin("bench/limits/1");
    let records = records::records(0, 0..count)?;
    let started = Instant::now();
    let sealed =
        (0..).zip(&records).map(|(index, record)| entry(log, index, record)).collect::<Result<Vec<_>>>()?;
    let rate = count as f64 / started.elapsed().as_secs_f64();
    report.line(&Line::new("limit.seal_records", rate, "1/s").note("one thread"));
    let started = Instant::now();
    for entry in &sealed {
        let leaf = NodeHash::from(leaf_hash(&entry.leaf));
        black_box(node_hash(&leaf, &leaf));
        ensure!(check_commitment(&entry.leaf, &entry.salt, &entry.padded).is_ok(), "a sealed entry");
    }
    let rate = count as f64 / started.elapsed().as_secs_f64();
    report.line(
        &Line::new("limit.verify_records", rate, "1/s").note("leaf, node and commitment hashed, one thread"),
    );
    Ok(sealed)
}

fn entry(log: LogId, index: u64, record: &Record) -> Result<Entry> {
    let header = LeafHeader {
        kind: record.kind(),
        priority: false,
        index,
        time_ms: 1_800_000_000_000,
        roster_version: 1,
        log_id: log,
        subject: None,
        group: 0,
    };
    let sealed = seal(header, record, sha256(&[&index.to_be_bytes()]))?;
    Ok(Entry { leaf: sealed.leaf_bytes, salt: sealed.salt, padded: sealed.padded })
}

fn signing(report: Report) {
    let key = SecretKey::from_seed([7; 32]);
    let public = key.public();
    let times = 2_000;
    let started = Instant::now();
    let mut signature = key.sign(b"first");
    for nth in 0..times {
        signature = key.sign(&u32::to_be_bytes(nth));
    }
    let signs = f64::from(times) / started.elapsed().as_secs_f64();
    let started = Instant::now();
    for _ in 0..times {
        black_box(public.verify(&u32::to_be_bytes(times - 1), &signature).is_ok());
    }
    let verifies = f64::from(times) / started.elapsed().as_secs_f64();
    report.line(&Line::new("limit.ed25519_sign", signs, "1/s").note("one a batch"));
    report.line(&Line::new("limit.ed25519_verify", verifies, "1/s").note("one a head"));
}

/// The rows that the node writes for each record, tiles apart, into RocksDB as it comes.
fn rocksdb_alone(sealed: &[Entry], count: u64) -> Result<f64> {
    let dir = tempfile::tempdir()?;
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    let db = DB::open_cf(&options, dir.path(), ["leaves", "payloads", "places"])?;
    let family = |name| db.cf_handle(name).expect("just made");
    let (leaves, payloads, places) = (family("leaves"), family("payloads"), family("places"));
    let mut synced = WriteOptions::default();
    synced.set_sync(true);
    let started = Instant::now();
    for first in (0..count).step_by(BATCH as usize) {
        let mut batch = WriteBatch::default();
        for (index, entry) in (first..count.min(first + BATCH)).zip(sealed.iter().cycle()) {
            let mut key = [7; 40];
            key[32..].copy_from_slice(&index.to_be_bytes());
            batch.put_cf(leaves, key, entry.leaf);
            batch.put_cf(payloads, key, [&[0; 12][..], &entry.salt[..], &entry.padded[..]].concat());
            let mut place = [7; 72];
            place[..32].copy_from_slice(&sha256(&[&key]));
            place[64..].copy_from_slice(&index.to_be_bytes());
            batch.put_cf(places, place, []);
        }
        db.write_opt(batch, &synced)?;
    }
    Ok(count as f64 / started.elapsed().as_secs_f64())
}
