//! Look-ups while everything else runs: catching up, compaction, exports, and whatever the node scrubs.
//!
//! The new member's node has stated a list of its own and knows nobody. Then a relay with twelve logs appears, and while the
//! node catches up with it, audit bundles are fetched one after the other and another process asks `/v1/match` at a
//! fixed rate, 99 of 100 questions without a match. The times are those of `bench http`'s import run: counted from
//! when a question should have been sent. Answers say that they are not complete meanwhile, which is no fault here;
//! a status other than 200 is. Relay, node and both callers share the cores.

use crate::Arguments;
use crate::catch_up::{start_relay, wait};
use crate::data::{Data, SIGNALS_PER_RECORD};
use crate::report::{Line, Report};
use crate::world::{Transport, World};
use anyhow::{Context as _, Result, ensure};
use hashpact_client::Client;
use hashpact_protocol::api::{Ack, NewRecord, NewSignal};
use hashpact_protocol::digest::hex_encode;
use hashpact_tests::Node;
use hashpact_tests::node::block_on;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Records that the node stated itself before the clock starts; near duplicates are those of their signals.
const HELD_BEFORE: u64 = 10_000;
const RECORDS_PER_CALL: u64 = 1_000;
const AUTHORS: usize = 12;
const P99_MAX_MS: f64 = 10.0;
/// How long it is asked on after the node has caught up, while it compacts.
const AFTERWARDS: Duration = Duration::from_secs(3);

/// Asks a node that catches up with `arguments.isolation` records.
pub(crate) fn run(arguments: &Arguments, report: Report) -> Result<()> {
    let mut world = World::prepare(AUTHORS, arguments.isolation, Transport::Tcp)?;
    world.newcomer().start()?;
    wait(world.newcomer(), |status| status.appending.then_some(()))?;
    state_own(world.newcomer())?;
    start_relay(&mut world)?;
    let records = world.records;
    let node = world.newcomer();

    let stop = Arc::new(AtomicBool::new(false));
    let exported = Arc::new(AtomicU64::new(0));
    let exporter = {
        let (stop, exported) = (Arc::clone(&stop), Arc::clone(&exported));
        let (port, token) = (node.http_port, node.token()?.to_owned());
        std::thread::spawn(move || export_until(&stop, &exported, port, &token))
    };
    let compactions_before = compactions(node)?;
    let mut load = paced(node, arguments.rate)?.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let started = Instant::now();
    wait(node, |status| {
        let held: u64 = status.logs.iter().map(|log| log.size).sum();
        (held == records + HELD_BEFORE).then_some(())
    })?;
    let took = started.elapsed();
    std::thread::sleep(AFTERWARDS);
    drop(load.stdin.take());
    let output = load.wait_with_output()?;
    ensure!(output.status.success(), "the load ended with {}", output.status);
    stop.store(true, Ordering::Relaxed);
    exporter.join().map_err(|_| anyhow::anyhow!("the exporter panicked"))??;

    lookups(&String::from_utf8(output.stdout)?, report)?;
    let rate = records as f64 / took.as_secs_f64();
    report.line(&Line::new("isolation.caught_up", rate, "1/s").note(format!("{records} records meanwhile")));
    let bytes = exported.load(Ordering::Relaxed) as f64 / 1e6;
    report.line(&Line::new("isolation.exported", bytes, "MB").note("bundles meanwhile"));
    let compacted = compactions(node)? - compactions_before;
    report.line(
        &Line::new("isolation.compactions", compacted as f64, "jobs").note("compactions finished meanwhile"),
    );
    Ok(())
}

fn state_own(node: &Node) -> Result<()> {
    let data = data();
    let client: Client = node.client()?;
    for from in (0..HELD_BEFORE).step_by(RECORDS_PER_CALL as usize) {
        let records: Vec<NewRecord> = (from..from + RECORDS_PER_CALL)
            .map(|nth| NewRecord {
                kind: "content".to_owned(),
                signals: vec![NewSignal {
                    signal_type: "pdq".to_owned(),
                    value: hex_encode(&data.signal(nth)),
                    quality: Some(100),
                }],
                ..NewRecord::default()
            })
            .collect();
        block_on(client.contribute(&records, &format!("own-{from}"), Ack::Local))?;
    }
    Ok(())
}

fn data() -> Data {
    Data { count: HELD_BEFORE, records: HELD_BEFORE.div_ceil(SIGNALS_PER_RECORD), seed: 1 }
}

/// The load of `bench http`'s import run, against this node.
fn paced(node: &Node, rate: u64) -> Result<Command> {
    let program = std::env::current_exe()?.with_file_name("bench-http");
    let mut command = Command::new(program);
    command.args([
        "paced",
        "--json",
        "--lagging",
        "--port",
        &node.http_port.to_string(),
        "--token",
        node.token()?,
    ]);
    command.args(["--count", &HELD_BEFORE.to_string(), "--rate", &rate.to_string()]);
    Ok(command)
}

/// Says again what the load measured, under the names of this run.
fn lookups(printed: &str, report: Report) -> Result<()> {
    for line in printed.lines() {
        let line: serde_json::Value = serde_json::from_str(line)?;
        let text = |key: &str| line.get(key).and_then(serde_json::Value::as_str);
        let name = text("metric").context("a metric")?.trim_start_matches("import_");
        let value = line.get("value").and_then(serde_json::Value::as_f64).context("a value")?;
        let measured = Line::new(format!("isolation.{name}"), value, text("unit").context("a unit")?);
        report.line(&match name {
            "lookup_p99" => measured.target(P99_MAX_MS),
            "lookup_refused" | "lookup_wrong" => measured.target(0.0),
            _ => measured,
        });
    }
    Ok(())
}

/// Fetches bundles of everything, one after the other, and throws them away.
fn export_until(stop: &AtomicBool, exported: &AtomicU64, port: u16, token: &str) -> Result<()> {
    while !stop.load(Ordering::Relaxed) {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        let head = format!(
            "GET /v1/audit/export HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes())?;
        let mut bytes = vec![0; 1 << 16];
        let mut first = true;
        while !stop.load(Ordering::Relaxed) {
            let count = stream.read(&mut bytes)?;
            ensure!(
                !first || bytes.starts_with(b"HTTP/1.1 200"),
                "{}",
                String::from_utf8_lossy(&bytes[..count])
            );
            first = false;
            exported.fetch_add(count as u64, Ordering::Relaxed);
            if count == 0 {
                break;
            }
        }
    }
    Ok(())
}

/// Compactions that the database has finished, from its own journal.
fn compactions(node: &Node) -> Result<usize> {
    let journal = std::fs::read_to_string(node.dir.join("data/database/LOG"))?;
    Ok(journal.matches("\"compaction_finished\"").count())
}
