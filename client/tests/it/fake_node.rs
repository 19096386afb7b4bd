//! What a node promises about contributions, without a node: a second call with the same key and the
//! same body gets the receipts of the first; a second body under one key is refused. And a responder
//! that speaks just enough HTTP/1.1 to stand behind that promise on a socket.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use hashpact_protocol::api::{ContributeRequest, NewRecord, Receipt, Receipts};

/// The part of a node that contributions see.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    answered: BTreeMap<String, (String, Vec<Receipt>)>,
    /// Everything stated, in order.
    pub(crate) stated: Vec<NewRecord>,
}

impl Ledger {
    /// States `records` once for each key.
    ///
    /// # Panics
    /// When a key comes back with another body: that is the fault the tests look for.
    pub(crate) fn contribute(&mut self, key: &str, records: &[NewRecord]) -> Vec<Receipt> {
        let body = serde_json::to_string(records).unwrap();
        if let Some((first, receipts)) = self.answered.get(key) {
            assert_eq!(first, &body, "one key, two bodies");
            return receipts.clone();
        }
        let first = self.stated.len() as u64;
        self.stated.extend_from_slice(records);
        let tree_size = self.stated.len() as u64;
        let receipt = |index: u64| Receipt {
            record: format!("{index:064x}"),
            log: "demo-0123456789abcdef/alpha/1".to_owned(),
            index,
            tree_size,
            ack: "local".to_owned(),
        };
        let receipts: Vec<Receipt> = (first..tree_size).map(receipt).collect();
        self.answered.insert(key.to_owned(), (body, receipts.clone()));
        receipts
    }
}

/// A request as received.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// What the responder does with a request.
pub(crate) enum Reply {
    /// Answers with a status, extra header lines and a body.
    Answer(u16, &'static str, String),
    /// Closes the connection without a word.
    Hangup,
}

impl Reply {
    pub(crate) fn json<T: serde::Serialize>(value: &T) -> Reply {
        Reply::Answer(200, "", serde_json::to_string(value).unwrap())
    }

    pub(crate) fn error(status: u16, header: &'static str, code: &str) -> Reply {
        let body =
            serde_json::json!({"error": {"code": code, "message": "as scripted", "request_id": "r-1"}});
        Reply::Answer(status, header, body.to_string())
    }
}

/// A responder on a loopback port; its thread ends with the process.
pub(crate) struct FakeNode {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl FakeNode {
    /// Answers every request with what `script` says; its second argument counts them from 0.
    pub(crate) fn start(mut script: impl FnMut(&Request, usize) -> Reply + Send + 'static) -> FakeNode {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Some(request) = read_request(&stream) else {
                    continue;
                };
                let count = {
                    let mut seen = log.lock().unwrap();
                    seen.push(request.clone());
                    seen.len() - 1
                };
                if let Reply::Answer(status, header, body) = script(&request, count) {
                    let _ = write!(
                        &stream,
                        "HTTP/1.1 {status} scripted\r\nConnection: close\r\nContent-Type: application/json\r\n{header}\
                         Content-Length: {}\r\n\r\n{body}",
                        body.len()
                    );
                }
            }
        });
        FakeNode { url, seen }
    }

    /// A responder that keeps a ledger; `script` may get in the way of it by answering itself.
    pub(crate) fn with_ledger(
        ledger: Arc<Mutex<Ledger>>,
        mut script: impl FnMut(&Request, usize) -> Option<Reply> + Send + 'static,
    ) -> FakeNode {
        FakeNode::start(move |request, count| {
            let receipts = request.headers.get("idempotency-key").map(|key| {
                let body: ContributeRequest = serde_json::from_str(&request.body).unwrap();
                Receipts { receipts: ledger.lock().unwrap().contribute(key, &body.records) }
            });
            // The ledger is written before the answer, as in a node; a hang-up loses the answer only.
            script(request, count).unwrap_or_else(|| match receipts {
                Some(receipts) => Reply::json(&receipts),
                None => Reply::error(404, "", "not_found"),
            })
        })
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { method, target, headers, body: String::from_utf8(body).ok()? })
}
