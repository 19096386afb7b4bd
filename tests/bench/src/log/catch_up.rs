//! Catching up: a new member's node beside a relay that holds all logs, until its look-ups are complete.
//!
//! Both processes, peer connection included, share the machine. *Storage* is the rate at which entries become
//! held, that is verified and synced; *sync* is the time from the start of the process to complete answers with every
//! record in view and index. The new member's database is then compacted and weighed.

use crate::Arguments;
use crate::append::threads;
use crate::limits::Limits;
use crate::process;
use crate::report::{Line, Report};
use crate::world::{Transport, World};
use anyhow::{Context as _, Result, ensure};
use hashpact_node::storage::Store;
use hashpact_tests::Node;
use std::time::{Duration, Instant};

/// Records of the sync that has a target, and the target in seconds.
const SYNC_RECORDS: f64 = 10e6;
const SYNC_MAX_S: f64 = 300.0;
const STORAGE_TARGET: f64 = 200_000.0;
const DISK_MAX_BYTES: f64 = 400.0;
/// Logs of the consortium that a new member joins.
const AUTHORS: usize = 12;
/// How long catching up may take at all.
const DEADLINE: Duration = Duration::from_secs(3_600);
/// Between two looks at the status.
const LOOK: Duration = Duration::from_millis(100);

/// Catches up over both transports; weighs what is on the disk.
pub(crate) fn run(arguments: &Arguments, limits: Limits, report: Report) -> Result<()> {
    for (transport, name) in [(Transport::Tcp, "tcp"), (Transport::Quic, "quic")] {
        if transport == Transport::Quic && !arguments.quic {
            continue;
        }
        let started = Instant::now();
        let mut world = World::prepare(AUTHORS, arguments.records, transport)?;
        eprintln!("{} records of {AUTHORS} logs in {:.0?}", world.records, started.elapsed());
        start_relay(&mut world)?;
        one(&mut world, name, limits, report)?;
        if transport == Transport::Tcp {
            disk(&mut world, report)?;
        }
    }
    Ok(())
}

/// Starts the relay and waits until it has replayed what it holds.
pub(crate) fn start_relay(world: &mut World) -> Result<()> {
    let started = Instant::now();
    let relay = world.relay();
    relay.start()?;
    wait(relay, |status| status.ready.then_some(()))?;
    let pid = relay.pid().context("a running relay")?;
    eprintln!("the relay is ready after {:.0?}", started.elapsed());
    eprintln!("its memory: {:.0} MB", process::peak_bytes(pid)? / 1e6);
    Ok(())
}

/// What was seen when: seconds since the start, entries held.
type Seen = Vec<(f64, u64)>;

/// Looks at the status until `found` gives something.
pub(crate) fn wait<T>(
    node: &Node,
    mut found: impl FnMut(&hashpact_protocol::api::StatusResponse) -> Option<T>,
) -> Result<T> {
    let until = Instant::now() + DEADLINE;
    while Instant::now() < until {
        if let Ok(status) = node.status()
            && let Some(found) = found(&status)
        {
            return Ok(found);
        }
        std::thread::sleep(LOOK);
    }
    anyhow::bail!("not in {DEADLINE:?}\n{}", node.last_log())
}

/// Entries held of all logs, once complete answers cover them and the index has them all: nothing before.
fn held(status: &hashpact_protocol::api::StatusResponse) -> u64 {
    status.logs.iter().map(|log| log.size).sum()
}

fn one(world: &mut World, name: &str, limits: Limits, report: Report) -> Result<()> {
    let records = world.records;
    let relay = world.relay().pid().context("a running relay")?;
    let relay_before = process::seconds(relay)?;
    let started = Instant::now();
    let node = world.newcomer();
    node.start()?;
    let pid = node.pid().context("a running node")?;
    let mut seen = Seen::new();
    wait(node, |status| {
        seen.push((started.elapsed().as_secs_f64(), held(status)));
        let indexed = status.index.get("pdq").copied().unwrap_or_default();
        (status.complete && held(status) == records && indexed == records).then_some(())
    })?;
    let took = started.elapsed().as_secs_f64();
    let log = if world.authors == 1 { "log" } else { "logs" };
    let storage = Line::new(format!("catch_up.{name}.storage"), storage_rate(&seen, records)?, "1/s")
        .target(STORAGE_TARGET)
        .note(format!("{records} records of {} {log}", world.authors));
    report.line(&match limits.rocksdb {
        Some(limit) => storage.peer("RocksDB alone", limit),
        None => storage,
    });
    report.line(
        &Line::new(format!("catch_up.{name}.sync"), took, "s")
            .note("start to complete answers, view and index included"),
    );
    let scaled = Line::new(format!("catch_up.{name}.sync_10m"), took * SYNC_RECORDS / records as f64, "s");
    let scaled = scaled.target(SYNC_MAX_S);
    report.line(&if records < SYNC_RECORDS as u64 {
        scaled.note("extrapolated in proportion")
    } else {
        scaled
    });
    let spent = (process::seconds(relay)? - relay_before) * 1e6 / records as f64;
    report.line(&Line::new(format!("catch_up.{name}_cpu_relay"), spent, "µs/record"));
    let spent = process::seconds(pid)? * 1e6 / records as f64;
    report.line(&Line::new(format!("catch_up.{name}_cpu_newcomer"), spent, "µs/record"));
    threads(&format!("catch_up.{name}"), pid, &std::collections::BTreeMap::new(), records, report)?;
    let bytes = process::peak_bytes(pid)? / records as f64;
    report.line(
        &Line::new(format!("catch_up.{name}.memory_peak"), bytes, "B/record")
            .note("the new member's process, index included"),
    );
    Ok(())
}

/// Entries a second from the first that was held to the last.
fn storage_rate(seen: &Seen, records: u64) -> Result<f64> {
    let begin = seen.iter().rfind(|(_, held)| *held == 0).or(seen.first()).context("it was looked at")?;
    let end = seen.iter().find(|(_, held)| *held >= records).context("all was held")?;
    Ok((end.1 - begin.1) as f64 / (end.0 - begin.0).max(LOOK.as_secs_f64()))
}

fn disk(world: &mut World, report: Report) -> Result<()> {
    let records = world.records as f64;
    let node = world.newcomer();
    node.stop()?;
    let dir = node.dir.join("data/database");
    let before = process::folder_bytes(&dir)? as f64 / records;
    report.line(&Line::new("disk.before_compaction", before, "B/record"));
    let started = Instant::now();
    let store = Store::open(&dir)?;
    store.compact()?;
    let took = started.elapsed().as_secs_f64();
    drop(store);
    // Opening once more lets go of the files that compaction replaced.
    drop(Store::open(&dir)?);
    let after = process::folder_bytes(&dir)? as f64 / records;
    ensure!(after < before * 1.2, "compaction made it larger: {before} to {after}");
    report.line(
        &Line::new("disk.after_compaction", after, "B/record")
            .target(DISK_MAX_BYTES)
            .note(format!("in {took:.0} s")),
    );
    Ok(())
}
