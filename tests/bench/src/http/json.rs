//! `/v1/match` with one hash a request: as fast as the node answers, and at a fixed rate.
//!
//! A client of its own over plain sockets, one thread for all connections, so that the generator
//! takes as little as it can of the cores that it shares with the node.

use super::data::{Data, Question};
use super::report::{Report, Target};
use anyhow::{Context as _, Result, bail, ensure};
use hashpact_protocol::api::MatchResponse;
use hashpact_protocol::digest::hex_encode;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

/// Where a value stands in a request, to be replaced.
const PLACE: &str = "----------------------------------------------------------------";
/// Answers slower than this are what the targets forbid.
const P99_MAX_MS: f64 = 10.0;
/// Look-ups that wait to be sent at the fixed rate, at most, as connections.
const PACED_CONNECTIONS: u64 = 32;

/// A kept-alive connection.
struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    /// Whether the ids of records are those of [`Data`]; a real node makes its own.
    known_ids: bool,
    /// Whether answers may say that they are not complete.
    lagging: bool,
    place: usize,
    answer: Vec<u8>,
}

impl Connection {
    async fn open(port: u16, token: &str, known_ids: bool) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let body = format!(
            "{{\"items\":[{{\"id\":\"u\",\"signals\":[{{\"type\":\"pdq\",\"value\":\"{PLACE}\",\"quality\":100}}]}}]}}"
        );
        let request = format!(
            "POST /v1/match HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let place = request.find(PLACE).context("the place of the value")?;
        Ok(Self {
            stream,
            request: request.into_bytes(),
            known_ids,
            lagging: false,
            place,
            answer: Vec::with_capacity(4_096),
        })
    }

    /// Asks one question; the status, and whether the answer is the expected one.
    async fn ask(&mut self, question: &Question) -> Result<(u16, bool)> {
        let hex = hex_encode(&question.value);
        self.request[self.place..self.place + 64].copy_from_slice(hex.as_bytes());
        self.stream.write_all(&self.request).await?;
        self.answer.clear();
        let body = loop {
            ensure!(self.stream.read_buf(&mut self.answer).await? > 0, "the node closed the connection");
            if let Some(end) = find(&self.answer, b"\r\n\r\n") {
                break end + 4;
            }
        };
        let head = std::str::from_utf8(&self.answer[..body])?.to_ascii_lowercase();
        let status = head.split(' ').nth(1).context("a status")?.parse()?;
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
        let length: usize = length.context("a length")?.parse()?;
        while self.answer.len() < body + length {
            ensure!(self.stream.read_buf(&mut self.answer).await? > 0, "the node closed the connection");
        }
        Ok((status, status == 200 && self.is_expected(&self.answer[body..], question)?))
    }

    fn is_expected(&self, body: &[u8], question: &Question) -> Result<bool> {
        let Some((record, distance)) = question.expected else {
            let complete = self.lagging || find(body, b"\"complete\":true").is_some();
            return Ok(complete && find(body, b"\"total\":0").is_some());
        };
        let answer: MatchResponse = serde_json::from_slice(body)?;
        let [result] = answer.results.as_slice() else { bail!("{} results", answer.results.len()) };
        let is_it = |found: &hashpact_protocol::api::Match| {
            found.distance == u32::from(distance) && (!self.known_ids || found.record == record.to_hex())
        };
        Ok((self.lagging || answer.complete) && result.matches.iter().any(is_it))
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// What a run came to.
#[derive(Default)]
struct Run {
    next: Cell<u64>,
    latencies: RefCell<Vec<Duration>>,
    near: Cell<u64>,
    near_found: Cell<u64>,
    wrong: Cell<u64>,
    refused: Cell<u64>,
}

impl Run {
    fn note(&self, question: &Question, since: Instant, (status, expected): (u16, bool)) {
        self.latencies.borrow_mut().push(since.elapsed());
        let add = |cell: &Cell<u64>, yes: bool| cell.set(cell.get() + u64::from(yes));
        add(&self.refused, status != 200);
        add(&self.near, question.expected.is_some());
        add(&self.near_found, question.expected.is_some() && expected);
        add(&self.wrong, status == 200 && question.expected.is_none() && !expected);
    }

    fn report(&self, name: &str, report: Report) {
        let recall = 100.0 * self.near_found.get() as f64 / self.near.get().max(1) as f64;
        report.latencies(name, self.latencies.take(), Target::AtMost(P99_MAX_MS));
        report.metric(&format!("{name}_recall"), recall, "%", Target::AtLeast(100.0));
        report.metric(&format!("{name}_wrong"), self.wrong.get() as f64, "answers", Target::AtMost(0.0));
        report.metric(&format!("{name}_refused"), self.refused.get() as f64, "answers", Target::AtMost(0.0));
    }
}

/// Each connection asks its next question as soon as it has an answer, `count` in all.
pub(crate) async fn closed(
    data: Data,
    port: u16,
    token: &str,
    connections: usize,
    count: u64,
    report: Report,
) -> Result<()> {
    let run = Rc::new(Run::default());
    let (local, mut tasks) = (LocalSet::new(), Vec::new());
    let mut opened = Vec::new();
    for _ in 0..connections {
        opened.push(Connection::open(port, token, true).await?);
    }
    let started = Instant::now();
    for mut connection in opened {
        let run = Rc::clone(&run);
        tasks.push(local.spawn_local(async move {
            loop {
                let nth = run.next.get();
                if nth == count {
                    return Ok::<(), anyhow::Error>(());
                }
                run.next.set(nth + 1);
                let question = data.question(nth);
                let since = Instant::now();
                let answer = connection.ask(&question).await?;
                run.note(&question, since, answer);
            }
        }));
    }
    local.await;
    let took = started.elapsed();
    for task in tasks {
        task.await??;
    }
    let rate = count as f64 / took.as_secs_f64();
    report.metric("json_requests_per_second", rate, "1/s", Target::AtLeast(25_000.0));
    run.report("json", report);
    Ok(())
}

/// Asks at a fixed rate until standard input ends. A time counts from when the question should have
/// been sent, so that a node that stands still is not asked less often and thereby looks better. A node
/// that is `lagging` need not say that its answers are complete.
pub(crate) async fn paced(
    data: Data,
    port: u16,
    token: &str,
    (rate, lagging): (u64, bool),
    report: Report,
) -> Result<()> {
    let run = Rc::new(Run::default());
    let over = Rc::new(Cell::new(false));
    let local = LocalSet::new();
    let start = Instant::now() + Duration::from_millis(50);
    let mut tasks = Vec::new();
    for number in 0..PACED_CONNECTIONS {
        let mut connection = Connection::open(port, token, false).await?;
        connection.lagging = lagging;
        let (run, over) = (Rc::clone(&run), Rc::clone(&over));
        tasks.push(local.spawn_local(async move {
            for nth in (number..).step_by(PACED_CONNECTIONS as usize) {
                let due = start + Duration::from_nanos(1_000_000_000 / rate) * u32::try_from(nth)?;
                tokio::time::sleep_until(due.into()).await;
                if over.get() {
                    break;
                }
                let question = data.question(nth);
                let answer = connection.ask(&question).await?;
                run.note(&question, due, answer);
            }
            Ok::<(), anyhow::Error>(())
        }));
    }
    let stop = async {
        tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await??;
        over.set(true);
        Ok::<(), anyhow::Error>(())
    };
    local.run_until(stop).await?;
    local.await;
    for task in tasks {
        task.await??;
    }
    let asked = run.latencies.borrow().len() as f64;
    report.metric("import_lookups", asked, "look-ups", Target::None);
    report.metric("import_lookups_per_second", asked / start.elapsed().as_secs_f64(), "1/s", Target::None);
    run.report("import_lookup", report);
    Ok(())
}
