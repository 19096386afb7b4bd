//! HTTP/1.1 by hand, one request a connection: what is sent is exactly what the test wrote.
//!
//! Malformed requests must reach the node as they are, and a node that is killed in the middle of an
//! answer must show as an error here and not be retried by a clever client.

use anyhow::{Context as _, Result, ensure};
use hashpact_protocol::digest::sha256;
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest wait for any byte.
const PATIENCE: Duration = Duration::from_secs(40);

/// One answer, whole.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("{} with a body that is not JSON: {}", self.status, self.text()))
    }

    /// The body as JSON if the status is 200.
    pub(crate) fn ok(&self) -> Result<Value> {
        ensure!(self.status == 200, "{}: {}", self.status, self.text());
        self.json()
    }
}

/// One node's API with a token that may do everything.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    pub(crate) port: u16,
    pub(crate) token: String,
}

impl Api {
    pub(crate) fn of(node: &hashpact_tests::Node) -> Result<Self> {
        Ok(Self { port: node.http_port, token: node.token()?.to_owned() })
    }

    pub(crate) fn get(&self, target: &str) -> Result<Answer> {
        call(self.port, "GET", target, &[("Authorization", &self.bearer())], b"")
    }

    pub(crate) fn post(&self, target: &str, body: &Value) -> Result<Answer> {
        self.post_with(target, body, &[])
    }

    pub(crate) fn post_with(&self, target: &str, body: &Value, headers: &[(&str, &str)]) -> Result<Answer> {
        let bearer = self.bearer();
        let mut all = vec![("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        all.extend(headers);
        call(self.port, "POST", target, &all, body.to_string().as_bytes())
    }

    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }

    /// States records and gives back their receipts.
    pub(crate) fn contribute(&self, records: &[Value]) -> Result<Vec<Value>> {
        let answer = self.post("/v1/records", &json!({ "records": records }))?.ok()?;
        Ok(answer["receipts"].as_array().context("receipts")?.clone())
    }

    /// One counter or gauge of `/metrics`; 0 if it is not there yet.
    pub(crate) fn metric(&self, name_and_labels: &str) -> Result<u64> {
        let answer = self.get("/metrics")?;
        ensure!(answer.status == 200, "/metrics: {}", answer.status);
        let text = answer.text();
        let value = text.lines().find_map(|line| line.strip_prefix(name_and_labels)?.strip_prefix(' '));
        value.map_or(Ok(0), |value| Ok(value.trim().parse()?))
    }

    pub(crate) fn misbehaviour(&self, rule: &str) -> Result<u64> {
        self.metric(&format!("hashpact_peer_misbehaviour_total{{rule=\"{rule}\"}}"))
    }

    /// Everything that peers did wrong, whatever the rule.
    pub(crate) fn counted_in_all(&self) -> Result<u64> {
        let lines = self.counted()?;
        lines.iter().map(|line| Ok(line.rsplit(' ').next().context("value")?.parse::<u64>()?)).sum()
    }

    /// What peers did wrong, as the metrics say it, a rule a line.
    pub(crate) fn counted(&self) -> Result<Vec<String>> {
        let text = self.get("/metrics")?.text();
        let wrong = ["hashpact_peer_misbehaviour_total{", "hashpact_peer_refused_total{"];
        let lines = text.lines().filter(|line| wrong.iter().any(|name| line.starts_with(name)));
        Ok(lines.map(str::to_owned).collect())
    }

    /// The same but for connections that broke in their handshake, as they may while a node is stopped or restarts.
    pub(crate) fn counted_but_cut_off(&self) -> Result<Vec<String>> {
        let is_wrong = |line: &String| !line.ends_with(" 0") && !line.contains("handshake_failed");
        Ok(self.counted()?.into_iter().filter(is_wrong).collect())
    }

    pub(crate) fn refused(&self, rule: &str) -> Result<u64> {
        self.metric(&format!("hashpact_peer_refused_total{{rule=\"{rule}\"}}"))
    }
}

/// Sends one request and reads its answer to the end.
pub(crate) fn call(
    port: u16,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Answer> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() || method == "POST" {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    stream.write_all(head.as_bytes())?;
    // A node that refuses early may stop reading; its answer is what counts.
    let sent = stream.write_all(body);
    let mut bytes = Vec::new();
    let received = stream.read_to_end(&mut bytes);
    parse(&bytes).with_context(|| {
        format!("{method} {target}: sent {sent:?}, received {received:?}, {} bytes", bytes.len())
    })
}

pub(crate) fn parse(bytes: &[u8]) -> Result<Answer> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").context("no complete head")?;
    let (head, body) = (std::str::from_utf8(&bytes[..end])?, &bytes[end + 4..]);
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("no status")?.parse()?;
    let header = |wanted: &str| {
        head.split("\r\n").find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case(wanted).then(|| value.trim().to_owned())
        })
    };
    let content_type = header("content-type");
    if header("transfer-encoding").is_some() {
        return Ok(Answer { status, content_type, body: dechunk(body)? });
    }
    if let Some(length) = header("content-length") {
        let length: usize = length.parse()?;
        ensure!(body.len() == length, "{} of {length} bytes of the body arrived", body.len());
    }
    Ok(Answer { status, content_type, body: body.to_vec() })
}

fn dechunk(mut rest: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n").context("a chunk without a length")?;
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..end])?.trim(), 16)?;
        rest = &rest[end + 2..];
        if length == 0 {
            return Ok(body);
        }
        body.extend_from_slice(rest.get(..length).context("a chunk broke off")?);
        rest = rest.get(length + 2..).context("a chunk without an end")?;
    }
}

/// Hex digits of a value that is unlike any other, for one of the signal types.
pub(crate) fn value(number: u64, digits: usize) -> String {
    let mut text = String::new();
    let mut part = 0u8;
    while text.len() < digits {
        text.push_str(&hashpact_protocol::digest::hex_encode(&sha256(&[
            b"e2e",
            &number.to_be_bytes(),
            &[part],
        ])));
        part += 1;
    }
    text.truncate(digits);
    text
}

/// A record with an MD5 and a PDQ signal that no other number has.
pub(crate) fn record(number: u64) -> Value {
    json!({
        "kind": "content",
        "signals": [
            { "type": "md5", "value": value(number, 32) },
            { "type": "pdq", "value": value(number, 64), "quality": 90 },
        ],
        "labels": { "origin": "generated" },
        "review": "single",
    })
}
