//! Bulk look-ups at a real node: the answers of single ones, and every way in which a caller fails.

use crate::http::{Answer, Api, call, record, value};
use anyhow::{Context as _, Result, ensure};
use hashpact_client::ClientError;
use hashpact_protocol::api::BulkQuery;
use hashpact_protocol::api::frames::{BrokenOff, EndFrame, Frame, FrameEvent, FrameReader, MatchFrame};
use hashpact_protocol::digest::hex_decode;
use hashpact_tests::node::block_on;
use hashpact_tests::{Consortium, Node};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

const BULK: &str = "/v1/match/bulk";
const VALUES: (&str, &str) = ("Content-Type", "application/octet-stream");
const LINES: (&str, &str) = ("Content-Type", "application/x-ndjson");
/// Records that the node holds; their PDQ values are those of their numbers.
const HELD: u64 = 200;

/// Starts members with these lines in their `[http]` section and has the first state records.
fn started(members: &[&str], http: &str) -> Result<(Consortium, Api)> {
    let mut consortium = Consortium::found(members)?;
    for node in &consortium.nodes {
        // The section is the last one of the file.
        let config = std::fs::read_to_string(node.config())?;
        std::fs::write(node.config(), format!("{config}{http}"))?;
    }
    consortium.start()?;
    let api = Api::of(&consortium.nodes[0])?;
    let records: Vec<Value> = (0..HELD).map(record).collect();
    api.contribute(&records)?;
    Ok((consortium, api))
}

/// Value number `nth` of a bulk request: one in `every` is near what a record carries.
fn asked(nth: u64, every: u64) -> Result<[u8; 32]> {
    let number = if nth.is_multiple_of(every) { nth / every % HELD } else { 1_000_000 + nth };
    let mut bytes: [u8; 32] = hex_decode(&value(number, 64))?.as_slice().try_into()?;
    if number < HELD {
        for bit in 0..(nth / every % 40) {
            bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
        }
    }
    Ok(bytes)
}

fn post(api: &Api, target: &str, content_type: (&str, &str), body: &[u8]) -> Result<Answer> {
    let bearer = api.bearer();
    call(api.port, "POST", target, &[("Authorization", &bearer), content_type], body)
}

fn frames(bytes: &[u8]) -> Result<(Vec<MatchFrame>, Frame)> {
    let (mut reader, mut matches, mut last) = (FrameReader::new(), Vec::new(), None);
    reader.read(bytes, |event| match event {
        FrameEvent::Frame(Frame::Match(found)) => matches.push(found),
        FrameEvent::Frame(end) => last = Some(end),
        FrameEvent::Header(_) => {}
    })?;
    reader.finish()?;
    Ok((matches, last.context("an end")?))
}

fn item(nth: usize, value: &[u8; 32]) -> Value {
    let value = hashpact_protocol::digest::hex_encode(value);
    json!({ "id": format!("u{nth}"), "signals": [{ "type": "pdq", "value": value, "quality": 90 }] })
}

#[test]
fn a_hundred_thousand_values_are_answered_as_one_by_one() -> Result<()> {
    let (consortium, api) = started(&["ash", "birch"], "")?;
    let values = (0..100_000).map(|nth| asked(nth, 50)).collect::<Result<Vec<_>>>()?;
    // All is sent before anything is read: a caller may.
    let answer = post(&api, BULK, VALUES, &values.concat())?;
    ensure!(answer.status == 200, "{}: {}", answer.status, answer.text());
    let (matches, last) = frames(&answer.body)?;
    let Frame::End(EndFrame { items: 100_000, matched, incomplete: None, .. }) = last else {
        anyhow::bail!("the answer ends with {last:?}")
    };
    ensure!(matched == matches.len() as u32, "each matches one record: {matched}, {}", matches.len());

    let mut streamed = Vec::new();
    let client = consortium.nodes[0].client()?;
    let all = values.clone();
    let end = block_on(client.match_values(&BulkQuery::default(), all, |event| {
        if let FrameEvent::Frame(Frame::Match(found)) = event {
            streamed.push(found);
        }
    }))?;
    ensure!(Frame::End(end) == last && streamed == matches, "the client reads another answer: {end:?}");
    let too_far = BulkQuery { pdq_distance: Some(65), ..BulkQuery::default() };
    let refused = block_on(client.match_values(&too_far, values.clone(), |_| {}));
    ensure!(matches!(refused, Err(ClientError::Refused { status: 400, .. })), "{refused:?}");

    let mut frames = matches.iter().peekable();
    let mut results = Vec::new();
    for (part, values) in values.chunks(10_000).enumerate() {
        let items: Vec<Value> =
            values.iter().enumerate().map(|(nth, value)| item(part * 10_000 + nth, value)).collect();
        let answer = api.post("/v1/match", &json!({ "items": items }))?.ok()?;
        results.extend(answer["results"].as_array().context("results")?.clone());
    }
    let mut found = 0;
    for (nth, result) in results.iter().enumerate() {
        for shown in result["matches"].as_array().context("matches")? {
            let frame = frames.next().context("fewer matches in bulk")?;
            let same = frame.item as usize == nth
                && json!(frame.record.to_hex()) == shown["record"]
                && json!(frame.distance) == shown["distance"]
                && json!(frame.total) == result["total"];
            ensure!(same, "item {nth}: {frame:?} in bulk, {shown} alone");
            found += 1;
        }
    }
    ensure!(frames.peek().is_none(), "more matches in bulk");
    ensure!(found > 1_000 && found < 2_000, "{found}: distances 0 to 31 match, 32 to 39 do not");

    let lines: String =
        values[..5_000].iter().enumerate().map(|(nth, value)| format!("{}\n", item(nth, value))).collect();
    let answer = post(&api, BULK, LINES, lines.as_bytes())?;
    let mut lines: Vec<Value> = answer.text().lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let end = lines.pop().context("an end")?["end"].clone();
    ensure!(end["complete"] == true && end["items"] == 5_000, "{end}");
    ensure!(lines == results[..5_000], "results as lines differ from those of one call");
    Ok(())
}

#[test]
fn wrong_callers_and_wrong_bodies_are_told_what_is_wrong() -> Result<()> {
    let (consortium, api) = started(&["ash", "birch"], "")?;
    let node = &consortium.nodes[0];
    let stater = node.command(&["token", "create", "--name", "stater", "--scope", "contribute"])?;
    let restarted = restart(consortium)?;
    let zeros = [0; 64];
    let stater = format!("Bearer {}", stater.trim());
    for (authorization, status, code) in [
        (None, 401, "unauthorized"),
        (Some("Bearer hpt_0"), 401, "unauthorized"),
        (Some(&*stater), 403, "forbidden"),
    ] {
        let mut headers = vec![VALUES];
        headers.extend(authorization.map(|value| ("Authorization", value)));
        let answer = call(api.port, "POST", BULK, &headers, &zeros)?;
        ensure!(answer.status == status && answer.json()?["error"]["code"] == code, "{}", answer.text());
    }
    for (target, content_type, body, status, code) in [
        (BULK, VALUES, &zeros[..63], 400, "truncated_value"),
        (BULK, ("Content-Type", "application/json"), b"{}", 415, "unsupported_media_type"),
        ("/v1/match/bulk?pdq_distance=65", VALUES, &zeros, 400, "invalid_field"),
        ("/v1/match/bulk?lists=mine", VALUES, &zeros, 400, "unknown_list"),
        ("/v1/match/bulk?radius=3", VALUES, &zeros, 400, "invalid_query"),
        (BULK, LINES, b"{\"id\":\"u\"}\n", 400, "invalid_json"),
    ] {
        let answer = post(&api, target, content_type, body)?;
        let error = answer.json()?["error"].clone();
        ensure!(answer.status == status && error["code"] == code, "{target}: {}", answer.text());
    }
    drop(restarted);
    Ok(())
}

/// The node started again.
fn restart(mut consortium: Consortium) -> Result<Consortium> {
    consortium.nodes[0].stop()?;
    consortium.nodes[0].start()?;
    consortium.nodes[0].wait_until_open()?;
    Ok(consortium)
}

/// A connection that has sent the head of a bulk request of `length` bytes.
fn begun(node: &Node, api: &Api, target: &str, content_type: &str, length: usize) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", node.http_port))?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.set_nodelay(true)?;
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: node\r\nConnection: close\r\nAuthorization: {}\r\n\
         Content-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n",
        api.bearer()
    );
    stream.write_all(head.as_bytes())?;
    Ok(stream)
}

#[test]
fn callers_that_break_off_give_their_places_back() -> Result<()> {
    let (consortium, api) = started(&["ash", "birch"], "bulk_max = 2\n")?;
    let node = &consortium.nodes[0];
    // More often than there are places, at several points of the body.
    for sent in [0, 31, 32, 4_000, 64_000, 1_000_000] {
        let mut stream = begun(node, &api, BULK, VALUES.1, 2_000_000)?;
        stream.write_all(&vec![7; sent])?;
        stream.shutdown(Shutdown::Write)?;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        ensure!(frames(&answer).is_err(), "half a body must not get a whole answer");
    }
    let since = Instant::now();
    let values = asked(0, 1)?;
    while post(&api, BULK, VALUES, &values)?.status != 200 {
        ensure!(since.elapsed() < Duration::from_secs(30), "the places are not given back");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

#[test]
fn slow_callers_are_given_up_and_keep_nobody_waiting() -> Result<()> {
    let (consortium, api) =
        started(&["ash", "birch"], "timeout_ms = 2000\nbulk_max = 2\nrequests_max = 2\n")?;
    let node = &consortium.nodes[0];
    // More silent senders of ordinary requests than there are places.
    let mut silent = Vec::new();
    for _ in 0..5 {
        for path in ["/v1/match", "/v1/records"] {
            let mut stream = begun(node, &api, path, "application/json", 1_000)?;
            stream.write_all(b"{")?;
            silent.push(stream);
        }
    }
    let mut bulk = begun(node, &api, BULK, VALUES.1, 1_000_000)?;
    bulk.write_all(&asked(0, 1)?)?;
    let started = Instant::now();
    let mut answered = 0;
    while started.elapsed() < Duration::from_millis(1_000) {
        let question = json!({ "items": [item(0, &asked(0, 1)?)] });
        let answer = api.post("/v1/match", &question)?.ok()?;
        ensure!(answer["results"][0]["total"] == 1, "{answer}");
        answered += 1;
    }
    api.contribute(&[record(5_000)])?;
    ensure!(answered > 20, "only {answered} look-ups in a second beside silent callers");
    for mut stream in silent {
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        ensure!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("too_slow"), "{answer}");
    }
    let mut answer = Vec::new();
    bulk.read_to_end(&mut answer)?;
    let body = crate::http::parse(&answer)?.body;
    let (matches, last) = frames(&body)?;
    ensure!(matches.len() == 1, "what came is answered: {matches:?}");
    ensure!(matches!(last, Frame::Broken(broken) if broken.why == BrokenOff::TooSlow), "{last:?}");
    Ok(())
}
