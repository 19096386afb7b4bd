//! One bulk request of very many values over loopback; every answer is checked.

use super::data::{Data, Question};
use super::report::{Report, Target};
use anyhow::{Context as _, Result, bail, ensure};
use hashpact_protocol::api::frames::{EndFrame, Frame, FrameEvent, FrameReader, MatchFrame};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Instant;

/// Values that are written to the socket at once.
const WRITE_VALUES: usize = 4_096;

/// Sends `count` values in one request while it reads the answer, and prints values per second.
pub(crate) fn run(data: Data, port: u16, token: &str, count: u64, report: Report) -> Result<()> {
    let questions: Vec<Question> = (0..count).map(|nth| data.question(nth)).collect();
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    let writer = stream.try_clone()?;
    let head = format!(
        "POST /v1/match/bulk HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\n\
         content-type: application/octet-stream\r\ncontent-length: {}\r\n\r\n",
        count * 32
    );
    let started = Instant::now();
    let (matches, end) = std::thread::scope(|scope| {
        let sent = scope.spawn(|| send(writer, &head, &questions));
        let answer = receive(stream);
        sent.join().map_err(|_| anyhow::anyhow!("the sender panicked"))??;
        answer
    })?;
    let took = started.elapsed();
    let recall = check(&questions, &matches)?;
    ensure!(u64::from(end.items) == count, "{} of {count} values were looked up", end.items);
    ensure!(end.incomplete.is_none(), "the answer is incomplete");
    let rate = count as f64 / took.as_secs_f64();
    report.metric("bulk_lookups_per_second", rate, "1/s", Target::AtLeast(150_000.0));
    report.metric("bulk_recall", recall, "%", Target::AtLeast(100.0));
    Ok(())
}

fn send(mut stream: TcpStream, head: &str, questions: &[Question]) -> Result<()> {
    stream.write_all(head.as_bytes())?;
    let mut bytes = Vec::with_capacity(WRITE_VALUES * 32);
    for part in questions.chunks(WRITE_VALUES) {
        bytes.clear();
        part.iter().for_each(|question| bytes.extend_from_slice(&question.value));
        stream.write_all(&bytes)?;
    }
    Ok(())
}

fn receive(stream: TcpStream) -> Result<(Vec<MatchFrame>, EndFrame)> {
    let mut stream = BufReader::with_capacity(1 << 16, stream);
    let mut line = String::new();
    stream.read_line(&mut line)?;
    ensure!(line.starts_with("HTTP/1.1 200"), "the node answered {line:?}");
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line)?;
    }
    let (mut reader, mut matches, mut end) = (FrameReader::new(), Vec::new(), None);
    let mut chunk = Vec::new();
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        let length = usize::from_str_radix(line.trim(), 16).context("length of a chunk")?;
        chunk.resize(length + 2, 0);
        stream.read_exact(&mut chunk)?;
        if length == 0 {
            break;
        }
        reader.read(&chunk[..length], |event| match event {
            FrameEvent::Frame(Frame::Match(found)) => matches.push(found),
            FrameEvent::Frame(last) => end = Some(last),
            FrameEvent::Header(_) => {}
        })?;
    }
    reader.finish()?;
    let _ = stream.get_ref().shutdown(Shutdown::Both);
    match end {
        Some(Frame::End(end)) => Ok((matches, end)),
        other => bail!("the answer ended with {other:?}"),
    }
}

/// Share of the near duplicates that were found; anything found that was not asked for is an error.
fn check(questions: &[Question], matches: &[MatchFrame]) -> Result<f64> {
    let mut found = vec![false; questions.len()];
    for frame in matches {
        let question = questions.get(frame.item as usize).context("an item that was not asked")?;
        let Some(expected) = question.expected else {
            bail!("item {} matches record {} and should match none", frame.item, frame.record)
        };
        ensure!(
            expected == (frame.record, frame.distance),
            "item {}: {expected:?}, got {frame:?}",
            frame.item
        );
        found[frame.item as usize] = true;
    }
    let near = questions.iter().filter(|question| question.expected.is_some()).count();
    let found = found.iter().filter(|found| **found).count();
    Ok(100.0 * found as f64 / near.max(1) as f64)
}
