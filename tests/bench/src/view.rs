//! What a record costs a node beyond the match index: memory of view and look-ups, time of fold and replay.
//!
//! Records are those of a typical import: a PDQ value with its quality, labels, a review and a source with list, id
//! and day, from twelve members, nobody saying anything about them. Resident memory is what the process
//! grows by while they are folded and applied with nothing for the index to do; the same pieces are timed.
//! The replay is what a start of a node does with a real database, in which members speak about records as well: without snapshots, and
//! with them.

#[path = "http/report.rs"]
#[expect(dead_code, reason = "latencies are for look-ups")]
mod report;
#[path = "view/typical.rs"]
mod typical;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use hashpact_core::effect::{IndexChange, StoredEntry, WriteBatch};
use hashpact_core::view::View;
use hashpact_node::lookup::replay::{fold, replay};
use hashpact_node::lookup::snapshot::SnapshotPlace;
use hashpact_node::lookup::{LogExtent, Lookup};
use hashpact_node::storage::{PayloadRef, Store};
use hashpact_protocol::digest::leaf_hash;
use hashpact_protocol::leaf::check_commitment;
use hashpact_protocol::merkle::Frontier;
use report::{Report, Target};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};
use typical::{LOGS, author, entry, is_record, origin, spoken};
use xxhash_rust::xxh3::xxh3_64;

/// Entries made, folded and applied at a time.
const ENTRIES_AT_ONCE: u64 = 4_096;
const NOW_MS: u64 = 1_800_000_000_000;

/// Measures memory and time of a record beyond the match index.
#[derive(Parser)]
struct Arguments {
    /// Records whose memory and fold are measured; also at a tenth of them.
    #[arg(long, default_value_t = 10_000_000)]
    records: u64,
    /// Records of the database that is replayed.
    #[arg(long, default_value_t = 1_000_000)]
    replayed: u64,
    /// Keep database and snapshots in this folder, and use what is there: only the start with snapshots is measured then.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let report = Report { json: arguments.json };
    if arguments.records > 0 {
        memory(report, arguments.records)?;
    }
    if arguments.replayed > 0 {
        match &arguments.folder {
            Some(folder) => start(report, arguments.replayed, folder)?,
            None => {
                start(report, arguments.replayed, tempfile::tempdir().context("temporary folder")?.path())?
            }
        }
    }
    Ok(())
}

/// Memory of view and rows, and the time that they take.
fn memory(report: Report, records: u64) -> Result<()> {
    let lookup = Lookup::new(1);
    let mut view = View::with_key(NOW_MS, [7; 16]);
    // What making entries and folding them needs for a moment is there before counting begins.
    View::new(NOW_MS).fold(&author(0), 0, &entry(0, 0).leaf, &entry(0, 0).payload);
    let before = resident_bytes()?;
    let (mut folding, mut applying) = (Duration::ZERO, Duration::ZERO);
    let mut done = 0;
    for goal in [records / 10, records] {
        while done < goal {
            let (log, start) =
                (done / ENTRIES_AT_ONCE % LOGS, done / ENTRIES_AT_ONCE / LOGS * ENTRIES_AT_ONCE);
            let entries: Vec<StoredEntry> =
                (start..start + ENTRIES_AT_ONCE).map(|index| entry(log, index)).collect();
            let author = author(log);
            let started = Instant::now();
            let mut changes = Vec::new();
            for (index, entry) in (start..).zip(&entries) {
                changes.extend(view.fold(&author, index, &entry.leaf, &entry.payload));
            }
            folding += started.elapsed();
            changes.iter_mut().for_each(|change| change.index = IndexChange::Keep);
            let started = Instant::now();
            lookup.apply(&changes);
            applying += started.elapsed();
            done += entries.len() as u64;
        }
        let bytes = resident_bytes()?.saturating_sub(before) as f64 / done as f64;
        report.metric(&format!("view_bytes_per_record_{done}"), bytes, "B", Target::AtMost(200.0));
    }
    ensure!(lookup.records_count() as u64 == done, "not every entry became a record");
    let rate = |took: Duration| done as f64 / took.as_secs_f64();
    report.metric("view_fold_on_one_core", rate(folding), "entries/s", Target::None);
    report.metric("view_apply", rate(applying), "entries/s", Target::None);
    report.metric("view_fold_and_apply", rate(folding + applying), "entries/s", Target::None);
    Ok(())
}

/// What a start does with a database of so many records.
fn start(report: Report, records: u64, folder: &Path) -> Result<()> {
    let (database, size) = (folder.join("database"), records / LOGS);
    let is_there = database.exists();
    let store = if is_there {
        Store::open(&database)?
    } else {
        let store = Store::create(&database, typical::CONSORTIUM, "member-0")?;
        (0..LOGS).try_for_each(|log| store_log(&store, log, size))?;
        store
    };
    let store = Arc::new(store);
    let logs: Vec<LogExtent> = (0..LOGS)
        .map(|log| LogExtent {
            author: author(log),
            size,
            priority: hashpact_core::effect::HeldPriority::default(),
            kept: Vec::new(),
        })
        .collect();
    let total = (size * LOGS) as f64;
    fold_from_disk(report, &store, &logs)?;
    let stated = (0..size).filter(|index| is_record(*index)).count() as u64 * LOGS;
    let place = place(&folder.join("index.snapshot"));
    let starts = [("replay_without_snapshot", true), ("replay_with_snapshot", false)];
    for (name, is_first) in starts.into_iter().skip(usize::from(is_there)) {
        let lookup = Lookup::new(1);
        let started = Instant::now();
        let replayed = replay(&store, &lookup, &logs, &place, &hashpact_core::view::Rules::default())?;
        let took = started.elapsed();
        ensure!(lookup.records_count() as u64 == stated, "{} of {stated} records", lookup.records_count());
        ensure!(replayed.origin.rebuilt().is_some() == is_first, "{:?}", replayed.origin);
        report.metric(name, total / took.as_secs_f64(), "entries/s", Target::None);
        if is_first {
            let saved = place.save(&lookup)?;
            report.metric("snapshot_save", saved.took.as_secs_f64(), "s", Target::None);
            report.metric("snapshot_bytes_per_entry", saved.bytes as f64 / total, "B", Target::None);
        } else {
            ensure!(replayed.unused.is_none(), "{:?}", replayed.unused);
            let peer = ("both files read once", reading_time(folder)?.as_secs_f64());
            report.beside("snapshot_restart", took.as_secs_f64(), "s", Target::None, peer);
            // What is left of ten million if every record takes as long.
            let seconds = took.as_secs_f64() * 10_000_000.0 / total;
            report.metric("snapshot_restart_of_10_000_000", seconds, "s", Target::AtMost(5.0));
            let started = Instant::now();
            ensure!(lookup.confirm_records(|_| ControlFlow::Continue(()))?, "not confirmed");
            report.metric("confirm", total / started.elapsed().as_secs_f64(), "entries/s", Target::None);
        }
    }
    Ok(())
}

/// The view of all entries, and nothing for look-ups.
fn fold_from_disk(report: Report, store: &Store, logs: &[LogExtent]) -> Result<()> {
    let mut view = View::with_key(NOW_MS, [7; 16]);
    let ranges = logs.iter().map(|extent| (extent, 0..extent.size)).collect();
    let total: u64 = logs.iter().map(|extent| extent.size).sum();
    let started = Instant::now();
    std::thread::scope(|threads| {
        let (folded, changes) = sync_channel(1);
        threads.spawn(move || changes.into_iter().for_each(drop));
        fold(store, &mut view, ranges, &folded)
    })?;
    let rate = total as f64 / started.elapsed().as_secs_f64();
    let peer = ("the same entries read and hashed, and nothing else", hashing_rate(store, logs)?);
    report.beside("view_fold_from_disk", rate, "entries/s", Target::AtLeast(1_000_000.0), peer);
    Ok(())
}

/// Entries a second that all cores read from the database and hash, leaf and payload: no fold can be faster.
fn hashing_rate(store: &Store, logs: &[LogExtent]) -> Result<f64> {
    let total: u64 = logs.iter().map(|extent| extent.size).sum();
    let cores = std::thread::available_parallelism()?.get();
    let started = Instant::now();
    std::thread::scope(|threads| {
        let share = logs.len().div_ceil(cores);
        let threads: Vec<_> = logs
            .chunks(share)
            .map(|logs| threads.spawn(move || logs.iter().try_for_each(|extent| hash(store, extent))))
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("no thread panics"))
    })?;
    Ok(total as f64 / started.elapsed().as_secs_f64())
}

fn hash(store: &Store, LogExtent { author, size, .. }: &LogExtent) -> Result<()> {
    let mut good = 0;
    store.for_each_entry(&author.log, 0, *size, |_, leaf, payload| {
        let is_good = match payload {
            PayloadRef::Present { salt, padded } => check_commitment(leaf, &salt, padded).is_ok(),
            _ => false,
        };
        good += u64::from(is_good && leaf_hash(leaf).as_bytes() != &[0; 32]);
        ControlFlow::Continue(())
    })?;
    ensure!(good == *size, "{good} good entries of {size}");
    Ok(())
}

/// How long reading the snapshots takes, checksum and all, on one core.
fn reading_time(folder: &Path) -> Result<Duration> {
    let started = Instant::now();
    let mut sum = 0;
    for name in ["index.snapshot", "records.snapshot"] {
        sum ^= xxh3_64(&std::fs::read(folder.join(name))?);
    }
    ensure!(sum != 0, "two files of one sum");
    Ok(started.elapsed())
}

fn place(path: &Path) -> SnapshotPlace {
    SnapshotPlace::new(path.to_owned(), &author(0).member, author(0).log, 1)
}

fn store_log(store: &Store, log: u64, size: u64) -> Result<()> {
    let mut frontier = Frontier::empty();
    for start in (0..size).step_by(ENTRIES_AT_ONCE as usize) {
        let entries: Vec<StoredEntry> =
            (start..size.min(start + ENTRIES_AT_ONCE)).map(|index| spoken(log, index)).collect();
        for entry in &entries {
            frontier.append(leaf_hash(&entry.leaf));
        }
        store.write(&WriteBatch {
            id: 1,
            log: author(log).log,
            origin: origin(log),
            start,
            entries,
            frontier: frontier.hashes().to_vec(),
            note: None,
            idempotency: Vec::new(),
            read_back: false,
            generation: None,
        })?;
    }
    Ok(())
}

/// Memory of this process that is in RAM.
fn resident_bytes() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("only Linux tells")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().context("VmRSS")?;
    Ok(kib * 1024)
}
