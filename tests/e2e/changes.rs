//! The feed of changes between real nodes: over restarts, a kill, decisions, expiries and erasures; pushed to a receiver.

use crate::erasure::search;
use crate::evidence::wait_until;
use crate::http::{Api, record, value};
use anyhow::{Context as _, Result, ensure};
use hashpact_protocol::digest::hex_decode;
use hashpact_protocol::webhook;
use hashpact_tests::{Consortium, Node};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SECRET: &str = "a secret of thirty-two characters";

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The changes behind a cursor until the last one is about this record with this status.
fn changes_until(api: &Api, after: &str, record: &str, status: &str) -> Result<Vec<Value>> {
    let mut all: Vec<Value> = Vec::new();
    let mut after = after.to_owned();
    wait_until(&format!("{record} to be told as {status}"), || {
        let answer = api.get(&format!("/v1/changes?after={after}&wait_s=5"))?;
        ensure!(answer.status == 200, "{}: {}", answer.status, answer.text());
        for line in answer.text().lines() {
            let change: Value = serde_json::from_str(line)?;
            change["cursor"].as_str().context("a cursor")?.clone_into(&mut after);
            all.push(change);
        }
        let is_it = |change: &Value| change["record"] == record && change["status"]["after"] == status;
        Ok(all.last().is_some_and(is_it))
    })?;
    Ok(all)
}

fn told(change: &Value) -> String {
    let word = |value: &Value| value.as_str().unwrap_or("none").to_owned();
    format!(
        "{} > {}: {} > {}",
        word(&change["status"]["before"]),
        word(&change["status"]["after"]),
        word(&change["outcome"]["before"]),
        word(&change["outcome"]["after"])
    )
}

fn id(receipt: &Value) -> Result<&str> {
    receipt["record"].as_str().context("a record")
}

fn reviewed(number: u64, expires_s: Option<u64>) -> Value {
    let mut record = record(number);
    record["review"] = json!("dual");
    if let Some(expires_s) = expires_s {
        record["expires"] = json!(hashpact_protocol::api::time::rfc3339_seconds(expires_s));
    }
    record
}

fn cursor(change: &Value) -> Result<String> {
    Ok(change["cursor"].as_str().context("a cursor")?.to_owned())
}

#[test]
fn what_another_member_does_is_told_over_restarts_and_a_kill() -> Result<()> {
    let mut consortium = Consortium::found(&["ash", "birch"])?;
    consortium.start()?;
    let (ash, birch) = (Api::of(&consortium.nodes[0])?, Api::of(&consortium.nodes[1])?);
    let first = birch.get("/v1/changes/snapshot")?.ok()?["cursor"].as_str().context("cursor")?.to_owned();
    let expires_s = now_s() + 25;
    let stated = ash.contribute(&[reviewed(1, None), reviewed(2, None), reviewed(3, Some(expires_s))])?;
    let [retracted, erased, expiring] = [id(&stated[0])?, id(&stated[1])?, id(&stated[2])?];
    // A query that must be nowhere afterwards, and one that matches.
    for number in [1, 77] {
        let item =
            json!({ "id": "a", "signals": [{ "type": "pdq", "value": value(number, 64), "quality": 90 }] });
        birch.post("/v1/match", &json!({ "items": [item] }))?.ok()?;
    }
    let all = changes_until(&birch, &first, expiring, "active")?;
    ensure!(all.iter().all(|change| told(change) == "none > active: none > review"), "{all:?}");
    ensure!(all.len() == 3 && all[0]["signals"][0]["value"] == value(1, 64), "{all:?}");

    let node = &consortium.nodes[1];
    std::fs::write(
        node.dir.join("confirmed.toml"),
        "name = \"confirmed\"\noutcome = \"block\"\nreview_min = \"dual\"\n",
    )?;
    node.hashpact_ok(&["lists", "put", "confirmed.toml"])?;
    ash.post(&format!("/v1/records/{retracted}/retraction"), &json!({ "reason": "error" }))?.ok()?;
    let after_list = changes_until(&birch, &cursor(&all[2])?, retracted, "retracted")?;
    let lines: Vec<String> = after_list.iter().map(told).collect();
    ensure!(lines.iter().filter(|line| *line == "active > active: review > block").count() == 3, "{lines:?}");
    ensure!(lines.last().is_some_and(|line| line == "active > retracted: block > none"), "{lines:?}");
    ensure!(
        after_list[0]["cause"] == json!({ "what": "list", "name": "confirmed", "version": 1 }),
        "{after_list:?}"
    );

    node.hashpact_ok(&["mutes", "add", "ash", "--reason", "case 17"])?;
    node.hashpact_ok(&["mutes", "remove", "ash"])?;
    ash.post(&format!("/v1/records/{erased}/erasure"), &json!({ "reason": "error" }))?.ok()?;
    let later = changes_until(&birch, &cursor(after_list.last().context("changes")?)?, erased, "sealed")?;
    let muted = later.iter().filter(|change| change["cause"]["what"] == "mute");
    ensure!(
        muted.clone().count() == 2 && muted.clone().all(|change| told(change).ends_with("block > none")),
        "{later:?}"
    );
    let last = later.last().context("changes")?;
    ensure!(told(last) == "active > sealed: block > none" && last.get("signals").is_none(), "{last}");

    // What expires while the node is down is told when it is up again, in the same epoch.
    let before = cursor(last)?;
    let birch_node = &mut consortium.nodes[1];
    birch_node.stop()?;
    while now_s() <= expires_s {
        std::thread::sleep(Duration::from_millis(100));
    }
    birch_node.start()?;
    birch_node.wait_until_open()?;
    let after_start = changes_until(&birch, &before, expiring, "expired")?;
    ensure!(
        told(&after_start[0]) == "active > expired: block > none" && after_start.len() == 1,
        "{after_start:?}"
    );

    let old = cursor(&after_start[0])?;
    a_kill_begins_a_new_epoch(birch_node, (&ash, &birch), &before, &old)?;

    ensure!(search(birch_node, &hex_decode(&value(77, 64))?)?.is_empty(), "a query is on the disk");
    ensure!(!search(birch_node, &hex_decode(&value(4, 64))?)?.is_empty(), "the search finds what is there");
    Ok(())
}

/// The command goes on from its file; after a kill it says that everything must be looked at.
fn a_kill_begins_a_new_epoch(
    birch_node: &mut Node,
    (ash, birch): (&Api, &Api),
    before: &str,
    old: &str,
) -> Result<()> {
    let watch = ["watch", "--once", "--state", "cursor"];
    std::fs::write(birch_node.dir.join("cursor"), before)?;
    let shown = birch_node.hashpact_ok(&watch)?.stdout;
    ensure!(
        shown.lines().count() == 1
            && shown.contains("active → expired")
            && shown.contains("block → none: un-action"),
        "{shown}"
    );
    ensure!(birch_node.hashpact_ok(&watch)?.stdout.is_empty(), "nothing twice");
    birch_node.kill()?;
    birch_node.start()?;
    birch_node.wait_until_open()?;
    let gone = birch.get(&format!("/v1/changes?after={old}"))?;
    ensure!(gone.status == 410 && gone.json()?["error"]["code"] == "cursor_gone", "{gone:?}");
    let snapshot = birch.get("/v1/changes/snapshot")?.ok()?;
    let listed = birch.get(snapshot["records"].as_str().context("a path")?)?.ok()?;
    ensure!(listed["records"].as_array().is_some_and(Vec::is_empty), "nothing stands any more: {listed}");
    ensure!(
        birch_node.hashpact_ok(&watch)?.stdout.starts_with("EVERYTHING (changes were missed)"),
        "told so"
    );
    let fourth = ash.contribute(&[reviewed(4, None)])?;
    let from = snapshot["cursor"].as_str().context("cursor")?;
    changes_until(birch, from, id(&fourth[0])?, "active")?;
    let shown = birch_node.hashpact_ok(&watch)?.stdout;
    ensure!(shown.contains("new → active · none → block: act"), "{shown}");
    Ok(())
}

/// One request that a receiver got.
#[derive(Debug, Clone)]
struct Delivery {
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

/// A receiver that refuses the first requests.
struct Receiver {
    url: String,
    seen: Arc<Mutex<Vec<Delivery>>>,
}

impl Receiver {
    fn start(refuse: usize) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}/hook", listener.local_addr()?);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Ok(delivery) = read_request(&stream) else { continue };
                let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
                log.push(delivery);
                let status = if log.len() <= refuse { "503 Later" } else { "204 Taken" };
                let _ =
                    write!(&stream, "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
            }
        });
        Ok(Self { url, seen })
    }

    fn seen(&self) -> Vec<Delivery> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn read_request(stream: &std::net::TcpStream) -> Result<Delivery> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut reader = BufReader::new(stream);
    let mut headers = BTreeMap::new();
    let mut line = String::new();
    reader.read_line(&mut line)?;
    ensure!(line.starts_with("POST /hook "), "{line}");
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let mut body = vec![0; headers.get("content-length").context("a length")?.parse()?];
    reader.read_exact(&mut body)?;
    Ok(Delivery { headers, body })
}

/// Adds webhooks to a node's configuration.
fn add_hooks(node: &Node, receivers: &[(&str, &str, &str)]) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let secret = node.dir.join("hook.secret");
    std::fs::write(&secret, SECRET)?;
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600))?;
    let mut text = std::fs::read_to_string(node.config())?;
    for (name, url, more) in receivers {
        text.push_str(&format!(
            "\n[[webhooks]]\nname = \"{name}\"\nurl = \"{url}\"\nsecret_file = \"hook.secret\"\n{more}\n"
        ));
    }
    Ok(std::fs::write(node.config(), text)?)
}

fn hook_status(api: &Api, name: &str) -> Result<Value> {
    let status = api.get("/v1/status")?.ok()?;
    let hooks = status["webhooks"].as_array().context("webhooks")?;
    hooks.iter().find(|hook| hook["name"] == name).cloned().context("such a hook")
}

#[test]
fn a_webhook_is_signed_repeated_in_order_and_goes_on_after_a_restart() -> Result<()> {
    let mut consortium = Consortium::found(&["ash", "birch"])?;
    let (receiver, picky) = (Receiver::start(2)?, Receiver::start(usize::MAX)?);
    let hooks = [
        ("all", receiver.url.as_str(), ""),
        ("picky", picky.url.as_str(), "statuses = [\"retracted\"]\ngive_up_after_s = 2"),
    ];
    add_hooks(&consortium.nodes[1], &hooks)?;
    consortium.start()?;
    let (ash, birch) = (Api::of(&consortium.nodes[0])?, Api::of(&consortium.nodes[1])?);
    wait_until("the hooks to know where they begin", || {
        Ok(hook_status(&birch, "all")?["cursor"].is_string())
    })?;
    let stated = ash.contribute(&[reviewed(1, None), reviewed(2, None)])?;
    wait_until("a delivery to be accepted", || Ok(hook_status(&birch, "all")?["delivered"] == 1))?;
    let seen = receiver.seen();
    ensure!(
        seen.len() == 3 && seen.iter().all(|delivery| delivery.body == seen[0].body),
        "the same three times"
    );
    for delivery in &seen {
        let header = |name: &str| delivery.headers.get(name).context("a header");
        let at_s = header(webhook::TIMESTAMP_HEADER)?.parse()?;
        let signature = header(webhook::SIGNATURE_HEADER)?;
        webhook::check(SECRET.as_bytes(), at_s, &delivery.body, signature, now_s(), 300)?;
        ensure!(webhook::check(b"another secret..", at_s, &delivery.body, signature, now_s(), 300).is_err());
    }
    let text = String::from_utf8(seen[0].body.clone())?;
    ensure!(text.contains(id(&stated[0])?) && text.contains(&value(1, 64)), "{text}");
    ensure!(picky.seen().is_empty(), "nothing passes its filter");

    consortium.nodes[1].stop()?;
    let retracted = id(&stated[0])?;
    ash.post(&format!("/v1/records/{retracted}/retraction"), &json!({ "reason": "error" }))?.ok()?;
    consortium.nodes[1].start()?;
    consortium.nodes[1].wait_until_open()?;
    wait_until("the retraction to be delivered", || Ok(hook_status(&birch, "all")?["delivered"] == 1))?;
    let seen = receiver.seen();
    let last = String::from_utf8(seen.last().context("a delivery")?.body.clone())?;
    ensure!(last.contains("\"retracted\"") && last.lines().count() == 1, "only what is new: {last}");

    // One that is never accepted is set aside, in sight, and holds up nobody.
    wait_until("a dead letter", || Ok(hook_status(&birch, "picky")?["dead_letters"] == 1))?;
    let dead = std::fs::read_to_string(consortium.nodes[1].dir.join("data/webhooks/picky.dead"))?;
    ensure!(dead.contains(retracted) && dead.contains("503") && !dead.contains(&value(1, 64)), "{dead}");
    ensure!(birch.metric("hashpact_webhook_dead_letters_total{hook=\"picky\"}")? == 1);
    ensure!(picky.seen().len() >= 2, "it was tried more than once");

    // A hook that cannot go on is told so.
    consortium.nodes[1].kill()?;
    consortium.nodes[1].start()?;
    consortium.nodes[1].wait_until_open()?;
    wait_until("the hook to be told of the gap", || {
        let seen = receiver.seen();
        Ok(seen.iter().any(|delivery| String::from_utf8_lossy(&delivery.body).contains("cursor_gone")))
    })?;
    Ok(())
}
