//! From contribution at one member to match there and at another, on one machine, with real processes.
//!
//! Per round: a fresh random signal is contributed at A, and A or B is asked for it until it matches. The
//! clock starts when A's request is sent; at A this is the way through signature, disk and index, with all
//! syncs, and rounds are further apart than two checkpoints of a log must be. At B there are two loads: an idle consortium, and one in which C is also
//! taking a list of 1,000 records every 50 ms. Printed: p50, p99 and the largest,
//! in milliseconds; and records per second that C acknowledges in bulk.
//!
//! Withdrawals: while C takes 200 records a second, a record of A that matches everywhere is retracted there; the clock runs
//! from that request until no node matches it any more. Rulings: the same for a panel's `benign` on a signal, until it has no
//! outcome at any node.

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use hashpact_client::Client;
use hashpact_protocol::api::{
    Ack, MatchItem, MatchRequest, NewRecord, NewSignal, QuerySignal, RetractionRequest, RulingRequest,
    RulingSignal,
};
use hashpact_protocol::digest::{RecordId, hex_encode, sha256};
use hashpact_protocol::roster::{MemberId, PanelTerm, Term};
use hashpact_tests::Consortium;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Measures how long a contribution takes to be matched elsewhere.
#[derive(Parser)]
struct Arguments {
    /// Rounds per load.
    #[arg(long, default_value_t = 300)]
    rounds: u64,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

/// What p99 must stay below at another member, in milliseconds.
const TARGET_MS: f64 = 1_000.0;
/// Records in one part of the bulk, and the pause behind it, in milliseconds: while contributions are measured, and
/// while withdrawals are.
const BULK: (u64, u64) = (1_000, 50);
const BACKGROUND: (u64, u64) = (20, 100);
/// What it must stay below where the record was stated.
const TARGET_OWN_MS: f64 = 20.0;

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut consortium = Consortium::found(&["acme", "birch", "cedar"])?;
    let roster = consortium.next_roster(|roster| {
        let acme = MemberId::parse("acme").expect("an id");
        roster.terms.panel.push(PanelTerm { needed: 1, term: Term::from_the_first(acme) });
    })?;
    for node in &consortium.nodes {
        node.command(&["roster", "install", roster.to_str().context("a path")?])?;
    }
    consortium.start()?;
    let [a, b, c] = consortium.nodes.as_slice() else { anyhow::bail!("three nodes expected") };
    let (a, b, c) = (Arc::new(a.client()?), Arc::new(b.client()?), Arc::new(c.client()?));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let own = rounds(&a, &a, "own", arguments.rounds).await?;
        report(&arguments, "contribution_to_visible", TARGET_OWN_MS, own);
        let idle = rounds(&a, &b, "idle", arguments.rounds).await?;
        report(&arguments, "propagate_idle", TARGET_MS, idle);
        let (busy, rate) = beside(&c, BULK, rounds(&a, &b, "busy", arguments.rounds)).await?;
        report(&arguments, "propagate_busy", TARGET_MS, busy);
        print(&arguments, "bulk_acknowledged_meanwhile", rate, "records/s", None);
        let nodes = [&*a, &*b, &*c];
        let (gone, rate) = beside(&c, BACKGROUND, ends(nodes, arguments.rounds, End::Ruling)).await?;
        report(&arguments, "ruling_to_no_outcome_everywhere", TARGET_MS, gone);
        print(&arguments, "contributed_meanwhile", rate, "records/s", None);
        let (gone, rate) = beside(&c, BACKGROUND, ends(nodes, arguments.rounds, End::Retraction)).await?;
        report(&arguments, "retraction_to_gone_everywhere", TARGET_MS, gone);
        print(&arguments, "contributed_meanwhile", rate, "records/s", None);
        Ok::<(), anyhow::Error>(())
    })
}

fn report(arguments: &Arguments, name: &str, target: f64, mut samples: Vec<f64>) {
    samples.sort_by(f64::total_cmp);
    let at = |share: f64| samples[((samples.len() - 1) as f64 * share).round() as usize];
    print(arguments, &format!("{name}_p50"), at(0.5), "ms", None);
    print(arguments, &format!("{name}_p99"), at(0.99), "ms", Some(target));
    print(arguments, &format!("{name}_max"), at(1.0), "ms", None);
}

fn print(arguments: &Arguments, metric: &str, value: f64, unit: &str, target: Option<f64>) {
    if !arguments.json {
        let target = target.map_or(String::new(), |target| format!("   (target: under {target} {unit})"));
        println!("{metric:<32} {value:>10.2} {unit}{target}");
        return;
    }
    let mut line = serde_json::json!({ "metric": metric, "value": value, "unit": unit });
    if let Some(target) = target {
        line["target"] = target.into();
    }
    println!("{line}");
}

async fn rounds(a: &Client, b: &Client, load: &str, count: u64) -> Result<Vec<f64>> {
    let mut samples = Vec::new();
    for round in 0..count {
        let value = hex_encode(&sha256(&[b"propagate", load.as_bytes(), &round.to_be_bytes()]));
        let started = Instant::now();
        a.contribute(&[record(&value)], &format!("propagate-{load}-{round}"), Ack::Local).await?;
        wait_for(b, &value, true).await.with_context(|| format!("round {round}"))?;
        samples.push(started.elapsed().as_secs_f64() * 1_000.0);
        // Rounds must not wait for the last one's checkpoint, nor fall into one rhythm with the announcements.
        tokio::time::sleep(Duration::from_millis(107 + round * 37 % 101)).await;
    }
    Ok(samples)
}

/// Asks a node for a value until it matches, or until it does not any more.
async fn wait_for(node: &Client, value: &str, matches: bool) -> Result<()> {
    let started = Instant::now();
    loop {
        let answer = node.match_signals(&question(value)).await?;
        // Nothing that matches has an outcome of the built-in list, unless a panel ruled that nothing is to be done.
        if answer.results.first().is_some_and(|result| result.outcome.is_some() == matches) {
            return Ok(());
        }
        ensure!(started.elapsed() < Duration::from_secs(30), "it took more than 30 s");
    }
}

/// What ends a match.
#[derive(Clone, Copy)]
enum End {
    Retraction,
    Ruling,
}

/// Ends records of the first node that match at all of them, and waits until they do not.
async fn ends(nodes: [&Client; 3], count: u64, end: End) -> Result<Vec<f64>> {
    let [author, ..] = nodes;
    let mut samples = Vec::new();
    for round in 0..count {
        let value = hex_encode(&sha256(&[b"end", &[end as u8], &round.to_be_bytes()]));
        let key = format!("end-{}-{round}", end as u8);
        let receipts = author.contribute(&[record(&value)], &key, Ack::Local).await?;
        let id = RecordId::from_hex(&receipts.first().context("a receipt")?.record)?;
        for node in nodes {
            wait_for(node, &value, true).await.with_context(|| format!("round {round}"))?;
        }
        let started = Instant::now();
        match end {
            End::Retraction => {
                author.retraction(&id, &RetractionRequest { reason: "error".to_owned() }).await?;
            }
            End::Ruling => {
                let signals = vec![RulingSignal { signal_type: "pdq".to_owned(), value: value.clone() }];
                let verdict = "benign".to_owned();
                author.rule(&RulingRequest { signals, verdict, reason: None, record: None }).await?;
            }
        }
        let [first, second, third] = nodes.map(|node| wait_for(node, &value, false));
        tokio::try_join!(first, second, third).with_context(|| format!("round {round}"))?;
        samples.push(started.elapsed().as_secs_f64() * 1_000.0);
        tokio::time::sleep(Duration::from_millis(53 + round * 37 % 101)).await;
    }
    Ok(samples)
}

/// Does something while a node takes records in parts of so many with such pauses; with how many it took a second.
async fn beside<T>(
    node: &Arc<Client>,
    load: (u64, u64),
    work: impl Future<Output = Result<T>>,
) -> Result<(T, f64)> {
    let stop = Arc::new(AtomicBool::new(false));
    let stated = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let taking = tokio::spawn(bulk(Arc::clone(node), load, Arc::clone(&stop), Arc::clone(&stated)));
    let done = work.await;
    stop.store(true, Ordering::Relaxed);
    taking.await??;
    Ok((done?, stated.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64()))
}

async fn bulk(
    node: Arc<Client>,
    (size, pause_ms): (u64, u64),
    stop: Arc<AtomicBool>,
    stated: Arc<AtomicU64>,
) -> Result<()> {
    let mut part = 0u64;
    while !stop.load(Ordering::Relaxed) {
        let records: Vec<NewRecord> = (0..size)
            .map(|nth| {
                let value = [&b"bulk"[..], &size.to_be_bytes(), &part.to_be_bytes(), &nth.to_be_bytes()];
                record(&hex_encode(&sha256(&value)))
            })
            .collect();
        let count = records.len() as u64;
        node.contribute(&records, &format!("bulk-{size}-{part}"), Ack::Local)
            .await
            .with_context(|| format!("bulk part {part}"))?;
        stated.fetch_add(count, Ordering::Relaxed);
        part += 1;
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
    }
    Ok(())
}

fn record(value: &str) -> NewRecord {
    NewRecord {
        kind: "content".to_owned(),
        signals: vec![NewSignal {
            signal_type: "pdq".to_owned(),
            value: value.to_owned(),
            quality: Some(90),
        }],
        ..NewRecord::default()
    }
}

fn question(value: &str) -> MatchRequest {
    let signal = QuerySignal {
        signal_type: "pdq".to_owned(),
        value: value.to_owned(),
        quality: Some(90),
        variants: Vec::new(),
    };
    MatchRequest {
        items: vec![MatchItem { id: "probe".to_owned(), signals: vec![signal] }],
        ..MatchRequest::default()
    }
}
