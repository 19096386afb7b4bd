//! An incident behind a backlog: its author has stated much that the others do not hold yet.
//!
//! Real nodes. The author imports its records while the two others are stopped; then they start and catch up. As soon as
//! both hold some of the log, and while much of it is still to come, the author declares an incident and states a record that names it; the clock runs from the
//! declaration's request until both others match the record. This is repeated as long as the backlog lasts; of each round it is known how much was
//! left at the slower one when the record matched there.

use crate::Arguments;
use crate::records;
use crate::report::{Line, Report, percentile};
use anyhow::{Context as _, Result, ensure};
use hashpact_client::Client;
use hashpact_protocol::api::{
    Ack, HandlingJson, IncidentRequest, MatchItem, MatchRequest, NewRecord, QuerySignal,
};
use hashpact_protocol::digest::hex_encode;
use hashpact_protocol::roster::{MemberId, Term};
use hashpact_tests::{Consortium, Node};
use std::time::{Duration, Instant};

/// What a round may take, in milliseconds.
const TARGET_MS: f64 = 2_000.0;
/// Rounds at most.
const ROUNDS: u64 = 30;
/// A round begins only while at least this much of the backlog is left at both, as a share.
const LEFT_MIN: f64 = 0.2;
/// The numbers of the records of incidents, beyond those of the backlog.
const LIST: u64 = 77;
/// How long one round may take at all.
const DEADLINE: Duration = Duration::from_secs(120);

/// Measures it over a backlog of `arguments.backlog` records.
pub(crate) fn run(arguments: &Arguments, report: Report) -> Result<()> {
    let mut consortium = Consortium::found(&["acme", "birch", "cedar"])?;
    let roster = consortium.next_roster(|roster| {
        roster.terms.declarers.push(Term::from_the_first(MemberId::parse("acme").expect("an id")));
    })?;
    for node in &consortium.nodes {
        node.command(&["roster", "install", roster.to_str().context("a path")?])?;
    }
    let [author, others @ ..] = consortium.nodes.as_mut_slice() else { anyhow::bail!("three nodes") };
    author.start()?;
    author.wait_for("an open log", |status| status.appending)?;
    let list = author.dir.join("list.csv");
    std::fs::write(&list, records::csv(3, arguments.backlog)?)?;
    author.hashpact_ok(&["import", "list.csv", "--quiet"])?;
    ensure!(author.held("acme")? == arguments.backlog, "the log has not all records");
    for node in &mut *others {
        node.start()?;
    }
    let clients = [author.client()?, others[0].client()?, others[1].client()?];
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let rounds = runtime.block_on(rounds(&clients, others, arguments.backlog))?;
    ensure!(!rounds.is_empty(), "the others had caught up before the first round");
    let took: Vec<f64> = rounds.iter().map(|round| round.took_ms).collect();
    let left = rounds.iter().map(|round| round.left).min().unwrap_or(0);
    let note =
        format!("{} incidents behind {} records; at least {left} were left", rounds.len(), arguments.backlog);
    report.line(&Line::new("overtake.p50", percentile(&mut took.clone(), 0.5), "ms"));
    let largest = took.iter().copied().fold(0.0, f64::max);
    report.line(&Line::new("overtake.max", largest, "ms").target(TARGET_MS).note(note));
    Ok(())
}

struct Round {
    took_ms: f64,
    /// Entries that the slower of the others did not hold yet.
    left: u64,
}

async fn rounds(clients: &[Client; 3], others: &[Node], backlog: u64) -> Result<Vec<Round>> {
    let [author, first, second] = clients;
    let mut rounds = Vec::new();
    let started = Instant::now();
    while rounds.len() < ROUNDS as usize {
        ensure!(started.elapsed() < DEADLINE * 5, "it took too long\n{}", others[0].last_log());
        let held = [held(first).await, held(second).await];
        let (least, most) = (held[0].min(held[1]), held[0].max(held[1]));
        if least == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        }
        if (backlog.saturating_sub(most)) as f64 <= LEFT_MIN * backlog as f64 {
            break;
        }
        let number = rounds.len() as u64;
        let started = Instant::now();
        let declared = IncidentRequest { step: "declared".to_owned(), ..IncidentRequest::default() };
        let incident = author.incident(&declared).await?.incident;
        let record = NewRecord {
            handling: HandlingJson { incident: Some(incident), ..HandlingJson::default() },
            ..records::new_record(LIST, number)
        };
        author.contribute(&[record], &format!("incident-{number}"), Ack::Local).await?;
        tokio::try_join!(matched(first, number), matched(second, number))?;
        let took_ms = started.elapsed().as_secs_f64() * 1_000.0;
        let held = held_by(first, second).await;
        rounds.push(Round { took_ms, left: backlog.saturating_sub(held) });
        tokio::time::sleep(Duration::from_millis(53 + number * 37 % 101)).await;
    }
    Ok(rounds)
}

/// The smaller of what both hold of the author's log.
async fn held_by(first: &Client, second: &Client) -> u64 {
    held(first).await.min(held(second).await)
}

/// What a node holds of the author's log; 0 while it does not answer.
async fn held(node: &Client) -> u64 {
    let Ok(status) = node.status().await else { return 0 };
    status.logs.iter().find(|log| log.origin.ends_with("/acme/1")).map_or(0, |log| log.size)
}

async fn matched(node: &Client, number: u64) -> Result<()> {
    let signal = QuerySignal {
        signal_type: "pdq".to_owned(),
        value: hex_encode(&records::pdq(LIST, number)),
        quality: Some(90),
        variants: Vec::new(),
    };
    let asked = MatchRequest {
        items: vec![MatchItem { id: "probe".to_owned(), signals: vec![signal] }],
        ..MatchRequest::default()
    };
    let started = Instant::now();
    loop {
        let answer = node.match_signals(&asked).await?;
        if answer.results.first().is_some_and(|result| result.total > 0) {
            return Ok(());
        }
        ensure!(started.elapsed() < DEADLINE, "it did not match in {DEADLINE:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
