//! A random value that is looked up ten thousand times leaves no trace: not in files, not in logs, not on the wire between members.
//!
//! What goes between the members passes through relays of this test, which keep every byte. It is encrypted, so the value could
//! hide there: what shows that no look-up travels is that traffic while looking up is no more than traffic in the same time
//! without. That the search of files could find the value is shown by stating it at the end.

use crate::evidence::wait_until;
use crate::http::{Api, call};
use anyhow::{Context as _, Result, ensure};
use hashpact_protocol::digest::{hex_encode, sha256};
use hashpact_tests::consortium::path;
use hashpact_tests::node::free_port;
use hashpact_tests::{Consortium, Node};
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Look-ups in all, of three kinds.
const QUERIES: usize = 10_000;

/// Passes connections on to a port and keeps what went through, both ways.
fn relay(to: u16) -> Result<(u16, Arc<Mutex<Vec<u8>>>)> {
    let port = free_port()?;
    let (listener, kept) = (TcpListener::bind(("127.0.0.1", port))?, Arc::new(Mutex::new(Vec::new())));
    let all = Arc::clone(&kept);
    std::thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let Ok(far) = TcpStream::connect(("127.0.0.1", to)) else { continue };
            for (from, to) in [(near.try_clone(), far.try_clone()), (far.try_clone(), near.try_clone())] {
                let (Ok(from), Ok(to), kept) = (from, to, Arc::clone(&all)) else { return };
                std::thread::spawn(move || pass(from, to, &kept));
            }
        }
    });
    Ok((port, kept))
}

fn pass(mut from: TcpStream, mut to: TcpStream, kept: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        kept.lock().expect("no panic").extend_from_slice(&buffer[..read]);
        if to.write_all(&buffer[..read]).is_err() {
            return;
        }
    }
}

/// The value as it could stand somewhere: bytes, digits in both cases, base64 is not spoken here.
fn needles(value: &[u8; 32]) -> Vec<Vec<u8>> {
    let digits = hex_encode(value);
    vec![value.to_vec(), digits.clone().into_bytes(), digits.to_uppercase().into_bytes()]
}

fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    // Tables are compressed: what stands beside random bytes may reach into their ends.
    let middle = &needle[4..needle.len() - 4];
    let first = middle[0];
    bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == first)
        .any(|(at, _)| bytes[at..].starts_with(middle))
}

fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    Ok(found)
}

/// Files below a node's folder in which the value stands.
fn traces(node: &Node, value: &[u8; 32]) -> Result<Vec<PathBuf>> {
    let needles = needles(value);
    let mut found = Vec::new();
    for file in files(&node.dir)? {
        let Ok(bytes) = std::fs::read(&file) else { continue };
        if needles.iter().any(|needle| holds(&bytes, needle)) {
            found.push(file);
        }
    }
    Ok(found)
}

fn look_up(api: &Api, value: &[u8; 32]) -> Result<()> {
    let signal = json!({ "type": "pdq", "value": hex_encode(value), "quality": 90 });
    let item = |id: usize| json!({ "id": id.to_string(), "signals": [signal, { "type": "sha256", "value": hex_encode(value) }] });
    for _ in 0..500 {
        ensure!(api.post("/v1/match", &json!({ "items": [item(0)] }))?.status == 200);
    }
    let many: Vec<_> = (0..500).map(item).collect();
    for _ in 0..7 {
        ensure!(api.post("/v1/match", &json!({ "items": many }))?.status == 200);
    }
    let bearer = api.bearer();
    let bulk = |kind: &str, body: &[u8]| -> Result<()> {
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", kind)];
        let answer = call(api.port, "POST", "/v1/match/bulk", &headers, body)?;
        ensure!(answer.status == 200, "{kind}: {}", answer.text());
        Ok(())
    };
    bulk("application/octet-stream", &value.repeat(3_000))?;
    let lines: String = (0..3_000).map(|id| item(id).to_string() + "\n").collect();
    bulk("application/x-ndjson", lines.as_bytes())?;
    // What is refused is not kept either: a value that is too long by one digit, and one in a place where none belongs.
    let wrong =
        json!({ "items": [{ "id": "x", "signals": [{ "type": "pdq", "value": hex_encode(value) + "0" }] }] });
    ensure!(api.post("/v1/match", &wrong)?.status == 400);
    ensure!(api.get(&format!("/v1/records/{}", hex_encode(value)))?.status == 404);
    Ok(())
}

#[test]
fn what_is_looked_up_leaves_no_trace() -> Result<()> {
    let mut consortium = Consortium::found(&["ash", "birch"])?;
    let seed = sha256(&[path(consortium.dir())?.as_bytes(), &std::process::id().to_be_bytes()]);
    println!("value {}", hex_encode(&seed));
    // birch is reached by ash through the relay, over TCP; neither knows another way.
    let (port, wire) = relay(consortium.nodes[1].peer_port)?;
    for (position, peers) in
        [(0, format!("peers = [\"/ip4/127.0.0.1/tcp/{port}\"]")), (1, "peers = []".to_owned())]
    {
        let node = &mut consortium.nodes[position];
        let config = std::fs::read_to_string(node.config())?;
        let (before, rest) = config.split_once("peers = [").context("peers")?;
        let (_, after) = rest.split_once("]\n").context("the end of peers")?;
        // birch must not find a way around the relay in ash's card.
        let advertised =
            format!("advertise = [\"/ip4/127.0.0.1/tcp/{}\"]\n", if position == 1 { port } else { 1 });
        let listen = format!("listen = [\"/ip4/127.0.0.1/tcp/{}\"]\n", node.peer_port);
        let (head, _) = before.split_once("listen = [").context("listen")?;
        std::fs::write(node.config(), format!("{head}{listen}{advertised}{peers}\n{after}"))?;
        node.environment.push(("HASHPACT_LOG".to_owned(), "trace".to_owned()));
    }
    consortium.start()?;
    let apis = consortium.nodes.iter().map(Api::of).collect::<Result<Vec<_>>>()?;
    apis[0].contribute(&(0..20).map(crate::http::record).collect::<Vec<_>>())?;
    wait_until("the records at birch", || Ok(consortium.nodes[1].held("ash")? == 20))?;

    let size = || wire.lock().expect("no panic").len();
    ensure!(size() > 1_000, "the members do not speak through the relay");
    let (began, before) = (Instant::now(), size());
    look_up(&apis[0], &seed)?;
    let (took, while_looking) = (began.elapsed(), size() - before);
    let before = size();
    std::thread::sleep(took.max(Duration::from_secs(5)));
    let idle = size() - before;
    // A look-up that travelled would be 32 bytes each time.
    ensure!(
        while_looking < idle * 2 + 32 * QUERIES / 4,
        "{while_looking} bytes between members while looking up, {idle} without"
    );

    let unseen = |when: &str| -> Result<()> {
        for node in &consortium.nodes {
            let found = traces(node, &seed)?;
            ensure!(found.is_empty(), "{when}: the value is at {} in {found:?}", node.member);
        }
        let wire = wire.lock().expect("no panic");
        ensure!(
            needles(&seed).iter().all(|needle| !holds(&wire, needle)),
            "{when}: the value went between members"
        );
        Ok(())
    };
    unseen("while it runs")?;
    let metrics = call(consortium.nodes[0].http_port, "GET", "/metrics", &[], b"")?.text();
    let items = metrics
        .lines()
        .find_map(|line| line.strip_prefix("hashpact_match_items_total "))
        .context("a counter")?;
    ensure!(items.trim().parse::<usize>()? >= QUERIES, "{items} items were looked up");
    for node in &mut consortium.nodes {
        node.stop()?;
    }
    for node in &consortium.nodes {
        ensure!(traces(node, &seed)?.is_empty(), "after the stop: the value is at {}", node.member);
    }

    // The search would have found it.
    consortium.start()?;
    let stated = json!({ "kind": "content", "signals": [{ "type": "pdq", "value": hex_encode(&seed), "quality": 90 }] });
    apis[0].contribute(&[stated])?;
    wait_until("the value at birch", || Ok(!traces(&consortium.nodes[1], &seed)?.is_empty()))
}
