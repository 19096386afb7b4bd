//! What the HTTP API makes of the index, over loopback, load generator and node on the same cores.
//!
//! Three runs. *Bulk*: one request of very many values. *JSON*: one hash a request, 64 connections,
//! each asking as soon as it has its answer. *Import*: a real node with its disk takes a million
//! records while another process asks it at a fixed rate. In all of them 99 of 100 queries match
//! nothing and one is a near duplicate at distance 0 to 31, no query is asked twice, and every
//! answer is checked. Node and load are processes of their own; where the machine has more than two
//! cores, `taskset` keeps them on the first two.

#[path = "http/bulk.rs"]
mod bulk;
#[path = "http/data.rs"]
mod data;
#[path = "http/import.rs"]
mod import;
#[path = "http/json.rs"]
mod json;
#[path = "http/report.rs"]
mod report;
#[path = "http/serve.rs"]
mod serve;

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, ValueEnum};
use data::{Data, SIGNALS_PER_RECORD};
use report::{Report, Target};
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

/// Measures look-ups over HTTP.
#[derive(Debug, Clone, Parser)]
struct Arguments {
    /// Only this run; all of them without it
    #[arg(long, value_enum)]
    only: Vec<Run>,
    /// Signals in the index
    #[arg(long, default_value_t = 10_000_000)]
    count: u64,
    /// Records that the signals belong to
    #[arg(long, default_value_t = 4_096)]
    records: u64,
    /// Values of the bulk request
    #[arg(long, default_value_t = 2_000_000)]
    bulk: u64,
    /// Requests of the JSON run
    #[arg(long, default_value_t = 1_000_000)]
    requests: u64,
    /// Connections of the JSON run
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Records that are imported
    #[arg(long, default_value_t = 1_000_000)]
    import: u64,
    /// Look-ups per second while they are imported
    #[arg(long, default_value_t = 1_000)]
    rate: u64,
    /// What values are made from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// A part of the measurement, as a process of its own
    #[arg(hide = true, value_enum)]
    part: Option<Part>,
    #[arg(long, hide = true, default_value_t = 0)]
    port: u16,
    #[arg(long, hide = true, default_value = "")]
    token: String,
    /// Answers may say that they are not complete
    #[arg(long, hide = true)]
    lagging: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Run {
    /// One bulk request
    Bulk,
    /// One hash a request
    Json,
    /// At a fixed rate while records are imported
    Import,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Serve,
    Bulk,
    Closed,
    Paced,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let Arguments { port, token, .. } = &arguments;
    let data = Data { count: arguments.count, records: arguments.records, seed: arguments.seed };
    let report = Report { json: arguments.json };
    let alone = || tokio::runtime::Builder::new_current_thread().enable_all().build();
    match arguments.part {
        // The node's own runtime: as many threads as cores.
        Some(Part::Serve) => {
            tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve::run(data))
        }
        Some(Part::Bulk) => bulk::run(data, *port, token, arguments.bulk, report),
        Some(Part::Closed) => alone()?.block_on(json::closed(
            data,
            *port,
            token,
            arguments.connections,
            arguments.requests,
            report,
        )),
        Some(Part::Paced) => {
            alone()?.block_on(json::paced(data, *port, token, (arguments.rate, arguments.lagging), report))
        }
        None => all(&arguments, report),
    }
}

fn all(arguments: &Arguments, report: Report) -> Result<()> {
    let wanted = |run| arguments.only.is_empty() || arguments.only.contains(&run);
    let cores = std::thread::available_parallelism()?.get();
    report.metric("cores_used", cores.min(2) as f64, "cores", Target::None);
    if wanted(Run::Bulk) || wanted(Run::Json) {
        let parts: Vec<&str> = [(Run::Bulk, "bulk"), (Run::Json, "closed")]
            .into_iter()
            .filter_map(|(run, part)| wanted(run).then_some(part))
            .collect();
        against_server(arguments, &parts, report)?;
    }
    if wanted(Run::Import) {
        import::run(arguments, report)?;
    }
    Ok(())
}

/// Starts a filled server and runs the loads against it, one after the other.
fn against_server(arguments: &Arguments, loads: &[&str], report: Report) -> Result<()> {
    report.metric("index_signals", arguments.count as f64, "signals", Target::None);
    let records = arguments.records.min(arguments.count.div_ceil(SIGNALS_PER_RECORD));
    report.metric("index_records", records as f64, "records", Target::None);
    let mut server = child(&["serve"], arguments)
        .args(["--count", &arguments.count.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(server.stdout.take().context("its output")?).read_line(&mut line)?;
    let (port, token) = line.trim().split_once(' ').context("the server did not start")?;
    for load in loads {
        let status = child(&[load], arguments)
            .args(["--count", &arguments.count.to_string(), "--port", port, "--token", token])
            .stdin(Stdio::null())
            .status()?;
        ensure!(status.success(), "load {load} ended with {status}");
    }
    drop(server.stdin.take());
    let status = server.wait()?;
    ensure!(status.success(), "the server ended with {status}");
    Ok(())
}

/// This program as another process that does one part, on the same two cores as all others.
fn child(part: &[&str], arguments: &Arguments) -> Command {
    let program = std::env::current_exe().unwrap_or_else(|_| "bench-http".into());
    let many = std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 2);
    let mut command = if many { Command::new("taskset") } else { Command::new(&program) };
    if many {
        command.args(["-c", "0,1"]).arg(&program);
    }
    command.args(part);
    for (name, value) in [
        ("--records", arguments.records),
        ("--bulk", arguments.bulk),
        ("--requests", arguments.requests),
        ("--connections", arguments.connections as u64),
        ("--seed", arguments.seed),
    ] {
        command.args([name, &value.to_string()]);
    }
    if arguments.json {
        command.arg("--json");
    }
    command
}
