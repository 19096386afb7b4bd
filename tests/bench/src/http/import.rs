//! A real node that takes an import and writes index snapshots while it is asked at a fixed rate.

use super::data::{Data, SIGNALS_PER_RECORD};
use super::report::{Report, Target};
use super::{Arguments, child};
use anyhow::{Context as _, Result, ensure};
use hashpact_client::Client;
use hashpact_protocol::api::{Ack, NewRecord, NewSignal};
use hashpact_protocol::digest::hex_encode;
use hashpact_tests::Consortium;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Records stated before the clock starts; near duplicates are those of their signals.
const HELD_BEFORE: u64 = 10_000;
/// Records of one call, as the `hashpact` command sends them.
const RECORDS_PER_CALL: u64 = 1_000;
/// Calls that an import has under way.
const CALLS_AT_ONCE: usize = 2;
/// Least time between two snapshots of the index: several fall into the import.
const SNAPSHOT_INTERVAL_S: u64 = 10;
/// What a node says of each.
const SNAPSHOT_WRITTEN: &str = "wrote the index snapshot";
/// How long it is asked on after the import, while the node settles.
const AFTERWARDS: Duration = Duration::from_secs(5);

/// Imports `arguments.import` records, one PDQ signal each, while another process asks.
pub(crate) fn run(arguments: &Arguments, report: Report) -> Result<()> {
    let mut consortium = Consortium::found(&["acme"])?;
    for node in &consortium.nodes {
        let config = std::fs::read_to_string(node.config())?;
        std::fs::write(
            node.config(),
            format!("{config}\n[index]\nsnapshot_interval_s = {SNAPSHOT_INTERVAL_S}\n"),
        )?;
    }
    consortium.start()?;
    let node = consortium.nodes.first().context("one node")?;
    let client = Arc::new(node.client()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let seed = arguments.seed;
    runtime.block_on(import(&client, seed, 0, HELD_BEFORE))?;

    let mut load = child(&["paced"], arguments)
        .args(["--port", &node.http_port.to_string(), "--token", node.token()?])
        .args(["--count", &HELD_BEFORE.to_string(), "--rate", &arguments.rate.to_string()])
        .stdin(Stdio::piped())
        .spawn()?;
    let started = Instant::now();
    runtime.block_on(import(&client, seed, HELD_BEFORE, HELD_BEFORE + arguments.import))?;
    let took = started.elapsed();
    std::thread::sleep(AFTERWARDS);
    let log = std::fs::read_to_string(node.dir.join("node.log"))?;
    drop(load.stdin.take());
    let status = load.wait()?;
    ensure!(status.success(), "the load ended with {status}");
    report.metric("import_records", arguments.import as f64, "records", Target::None);
    let rate = arguments.import as f64 / took.as_secs_f64();
    report.metric("import_records_per_second", rate, "1/s", Target::None);
    let snapshots = log.matches(SNAPSHOT_WRITTEN).count();
    report.metric("import_index_snapshots", snapshots as f64, "snapshots", Target::AtLeast(1.0));
    Ok(())
}

/// States the records from `first` to `end`, which carry the signals of the same numbers.
async fn import(client: &Arc<Client>, seed: u64, first: u64, end: u64) -> Result<()> {
    let data = Data { count: end, records: end.div_ceil(SIGNALS_PER_RECORD), seed };
    let next = Arc::new(AtomicU64::new(first));
    let mut calls = Vec::new();
    for _ in 0..CALLS_AT_ONCE {
        let (client, next) = (Arc::clone(client), Arc::clone(&next));
        calls.push(tokio::spawn(async move {
            loop {
                let from = next.fetch_add(RECORDS_PER_CALL, Ordering::Relaxed);
                if from >= end {
                    return Ok::<(), anyhow::Error>(());
                }
                let records: Vec<NewRecord> =
                    (from..end.min(from + RECORDS_PER_CALL)).map(|nth| record(&data.signal(nth))).collect();
                client.contribute(&records, &format!("import-{from}"), Ack::Local).await?;
            }
        }));
    }
    for call in calls {
        call.await??;
    }
    Ok(())
}

fn record(value: &[u8; 32]) -> NewRecord {
    let signal = NewSignal { signal_type: "pdq".to_owned(), value: hex_encode(value), quality: Some(100) };
    NewRecord { kind: "content".to_owned(), signals: vec![signal], ..NewRecord::default() }
}
