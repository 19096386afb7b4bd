//! Durable appends: a real node of one member, real HTTP, every receipt waited for.
//!
//! Two ways in. *Records*: calls of `POST /v1/records` over a few kept-alive connections, bodies made before the
//! clock starts, as a program does that already has its JSON. *Import*: the `hashpact import` command with a CSV
//! list, journal and all. Node and sender share the cores. What a receipt promises is counted apart: the
//! same node over a layer that counts syncs.

use crate::Arguments;
use crate::limits::Limits;
use crate::process;
use crate::records;
use crate::report::{Line, Report, percentile};
use anyhow::{Context as _, Result, ensure};
use hashpact_tests::power::Layer;
use hashpact_tests::{Consortium, Node};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// What both ways in must reach, in records a second.
const TARGET: f64 = 60_000.0;
/// Records of one call, as `hashpact import` sends them.
const RECORDS_PER_CALL: u64 = 2_000;
/// Calls under way.
const CONNECTIONS: usize = 8;
/// Calls over the layer that counts syncs.
const COUNTED_CALLS: u64 = 40;

/// Measures both ways in, over `arguments.appends` records each.
pub(crate) fn run(arguments: &Arguments, limits: Limits, report: Report) -> Result<()> {
    syncs(report)?;
    through_records(arguments.appends, limits, report)?;
    through_import(arguments.appends, limits, report)
}

fn line(metric: &str, rate: f64, limits: Limits) -> Line {
    let line = Line::new(metric, rate, "1/s").target(TARGET);
    match limits.rocksdb {
        Some(limit) => line.peer("RocksDB alone", limit),
        None => line,
    }
}

fn alone() -> Result<Consortium> {
    let mut consortium = Consortium::found(&["acme"])?;
    consortium.start()?;
    Ok(consortium)
}

/// Calls, taken by whichever connection is free.
struct Calls {
    /// Begins their idempotency keys.
    name: String,
    bodies: Vec<Vec<u8>>,
    next: AtomicUsize,
    latencies_ms: Mutex<Vec<f64>>,
}

impl Calls {
    fn of(list: u64, count: u64) -> Result<Self> {
        let starts = (0..count).step_by(RECORDS_PER_CALL as usize);
        let bodies = starts.map(|first| records::body(list, first..count.min(first + RECORDS_PER_CALL)));
        Ok(Self::named(format!("list-{list}"), bodies.collect::<Result<_>>()?))
    }

    fn named(name: String, bodies: Vec<Vec<u8>>) -> Self {
        Self { name, bodies, next: AtomicUsize::default(), latencies_ms: Mutex::default() }
    }

    /// Sends all of them and waits for every receipt; seconds.
    fn send(self: &Arc<Self>, node: &Node) -> Result<f64> {
        let started = Instant::now();
        let senders: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                let (calls, port, token) = (Arc::clone(self), node.http_port, node.token()?.to_owned());
                Ok(std::thread::spawn(move || calls.send_some(port, &token)))
            })
            .collect::<Result<_>>()?;
        for sender in senders {
            sender.join().map_err(|_| anyhow::anyhow!("a sender panicked"))??;
        }
        Ok(started.elapsed().as_secs_f64())
    }

    fn send_some(&self, port: u16, token: &str) -> Result<()> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        let mut stream = BufReader::with_capacity(1 << 16, stream);
        loop {
            let nth = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(body) = self.bodies.get(nth) else { return Ok(()) };
            let head = format!(
                "POST /v1/records HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\nidempotency-key: {}-{nth}\r\n\
                 content-type: application/json\r\ncontent-length: {}\r\n\r\n",
                self.name,
                body.len()
            );
            let started = Instant::now();
            stream.get_mut().write_all(head.as_bytes())?;
            stream.get_mut().write_all(body)?;
            receive(&mut stream)?;
            let took_ms = started.elapsed().as_secs_f64() * 1_000.0;
            self.latencies_ms.lock().expect("no sender panics holding it").push(took_ms);
        }
    }
}

/// Reads one answer, which must be receipts.
fn receive(stream: &mut BufReader<TcpStream>) -> Result<()> {
    let (mut status, mut length) = (String::new(), 0);
    stream.read_line(&mut status)?;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer)?;
    let text = String::from_utf8_lossy(&answer);
    ensure!(status.starts_with("HTTP/1.1 200") && text.contains("\"tree_size\":"), "{status}{text}");
    Ok(())
}

fn through_records(count: u64, limits: Limits, report: Report) -> Result<()> {
    let consortium = alone()?;
    let node = consortium.nodes.first().context("one node")?;
    let calls = Arc::new(Calls::of(1, count)?);
    let pid = node.pid().context("a running node")?;
    let before = process::thread_seconds(pid)?;
    let took = calls.send(node)?;
    ensure!(node.held("acme")? == count, "the log has not all records");
    report.line(&line("append.records", count as f64 / took, limits));
    let mut latencies_ms = calls.latencies_ms.lock().expect("no sender panics holding it").clone();
    for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
        let metric = format!("append.records_call_{name}");
        let note = format!("{RECORDS_PER_CALL} records a call, {CONNECTIONS} calls at once");
        report.line(&Line::new(metric, percentile(&mut latencies_ms, share), "ms").note(note));
    }
    threads("append.records", pid, &before, count, report)
}

/// Microseconds of processor time a record, by thread.
pub(crate) fn threads(
    name: &str,
    pid: u32,
    before: &std::collections::BTreeMap<String, f64>,
    records: u64,
    report: Report,
) -> Result<()> {
    for (thread, seconds) in process::thread_seconds(pid)? {
        let spent = seconds - before.get(&thread).copied().unwrap_or_default();
        let micros = spent * 1e6 / records as f64;
        if micros >= 0.05 {
            report.line(&Line::new(format!("{name}_cpu.{thread}"), micros, "µs/record"));
        }
    }
    Ok(())
}

fn through_import(count: u64, limits: Limits, report: Report) -> Result<()> {
    let consortium = alone()?;
    let node = consortium.nodes.first().context("one node")?;
    let list = node.dir.join("list.csv");
    std::fs::write(&list, records::csv(2, count)?)?;
    let pid = node.pid().context("a running node")?;
    let before = process::seconds(pid)?;
    let started = Instant::now();
    node.hashpact_ok(&["import", "list.csv", "--quiet"])?;
    let took = started.elapsed().as_secs_f64();
    ensure!(node.held("acme")? == count, "the log has not all records");
    report.line(&line("append.import", count as f64 / took, limits));
    let micros = (process::seconds(pid)? - before) * 1e6 / count as f64;
    report.line(&Line::new("append.import_cpu_node", micros, "µs/record"));
    Ok(())
}

/// Syncs of the database's log and of the lock file for one acknowledged call after another.
fn syncs(report: Report) -> Result<()> {
    let mut consortium = Consortium::found(&["acme"])?;
    let library = Layer::compile(consortium.dir())?;
    let node = consortium.nodes.first_mut().context("one node")?;
    let layer = Layer::under(node, &library)?;
    node.start()?;
    node.wait_until_open()?;
    let before = layer.syncs()?;
    for nth in 0..COUNTED_CALLS {
        let body = records::body(3, nth * 10..nth * 10 + 10)?;
        Arc::new(Calls::named(format!("counted-{nth}"), vec![body])).send(node)?;
    }
    let after = layer.syncs()?;
    for kind in ["wal", "lock"] {
        let spent = after.get(kind).unwrap_or(&0) - before.get(kind).unwrap_or(&0);
        let metric = format!("append.syncs_per_batch_{kind}");
        report.line(&Line::new(metric, spent as f64 / COUNTED_CALLS as f64, "fsyncs"));
    }
    Ok(())
}
