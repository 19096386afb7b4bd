//! A member gone bad: admitted by its own card, and lying about what it holds and serves.
//!
//! Its transport is the honest one, played with the keys of a member whose real node is not running;
//! what it says is up to the test.

use super::{GROWTH_MAX_KIB, Insider, now_s, resident_kib, start_two, still_works};
use crate::evidence::{checkpoint, log_identity, wait_until};
use crate::http::{Api, record};
use anyhow::{Context as _, Result, ensure};
use hashpact_node::network::{Network, NetworkConfig, NetworkEvent, NetworkHandle, NetworkLimits};
use hashpact_protocol::checkpoint::{Checkpoint, sign_checkpoint};
use hashpact_protocol::digest::{LogId, empty_root, leaf_hash};
use hashpact_protocol::keys::{PublicKey, SecretKey};
use hashpact_protocol::leaf::{Kind, LeafHeader, Sealed, seal};
use hashpact_protocol::merkle::Frontier;
use hashpact_protocol::record::{Content, Record, Signal, SignalType};
use hashpact_protocol::wire::{
    Announce, HeadNote, Heads, Hello, RangeChunk, RangeRequest, Refusal, Request, Response, Stored,
    WireEntry, WirePayload,
};
use hashpact_tests::Consortium;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(super) type Serve = Box<dyn Fn(&RangeRequest) -> Response + Send>;

/// What the rogue says, and what it learnt.
pub(super) struct Script {
    hello: Hello,
    pub(super) heads: Vec<HeadNote>,
    pub(super) serve: Serve,
    pub(super) connected: BTreeSet<PublicKey>,
    answers: BTreeMap<u64, Option<Response>>,
}

/// A running rogue. Stops when it is dropped.
pub(super) struct Rogue {
    runtime: tokio::runtime::Runtime,
    network: NetworkHandle,
    script: Arc<Mutex<Script>>,
    requests: AtomicU64,
}

impl Rogue {
    pub(super) fn start(insider: &Insider, ports: &[u16]) -> Result<Self> {
        let now = now_s()?;
        let card = insider.card(now, now + 86_400, &insider.keys.peer, &insider.keys.card)?;
        let script = Arc::new(Mutex::new(Script {
            hello: insider.hello(card),
            heads: Vec::new(),
            serve: Box::new(|_| Response::Refused(Refusal::Busy)),
            connected: BTreeSet::new(),
            answers: BTreeMap::new(),
        }));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let config = NetworkConfig {
            peer_key: &insider.keys.peer,
            listen: Vec::new(),
            bootstrap: ports.iter().map(|port| format!("/ip4/127.0.0.1/tcp/{port}")).collect(),
            limits: NetworkLimits::default(),
        };
        let (network, events) = {
            let _inside = runtime.enter();
            Network::start(config)?
        };
        runtime.spawn(play(network.clone(), events, Arc::clone(&script)));
        Ok(Self { runtime, network, script, requests: AtomicU64::new(1_000_000) })
    }

    pub(super) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wait_for_admission(&self, apis: &[&Api]) -> Result<()> {
        for api in apis {
            wait_until("the rogue to be admitted", || {
                let status = api.get("/v1/status")?.ok()?;
                let peers = status["peers"].as_array().context("peers")?;
                Ok(peers.iter().any(|peer| peer["member"] == "cedar" && peer["connected"] == true))
            })?;
        }
        wait_until("the rogue to be connected", || Ok(self.script().connected.len() == apis.len()))
    }

    /// Sends a request to everybody connected and waits until each has answered.
    fn tell(&self, request: &Request) -> Result<()> {
        let peers: Vec<PublicKey> = self.script().connected.iter().copied().collect();
        ensure!(!peers.is_empty(), "the rogue is not connected");
        peers.into_iter().try_for_each(|peer| self.exchange(peer, request).map(drop))
    }

    /// Asks one node until it answers: a request beyond the transport's own bounds fails at once.
    pub(super) fn exchange(&self, peer: PublicKey, request: &Request) -> Result<Response> {
        let mut number = None;
        let mut answer = None;
        wait_until("an answer", || {
            let asked = match number {
                Some(asked) => asked,
                None => {
                    let next = self.requests.fetch_add(1, Ordering::Relaxed);
                    self.runtime.block_on(self.network.send(peer, next, request.clone()))?;
                    *number.insert(next)
                }
            };
            match self.script().answers.remove(&asked) {
                Some(Some(response)) => answer = Some(response),
                Some(None) => number = None,
                None => {}
            }
            Ok(answer.is_some())
        })?;
        answer.context("no answer came")
    }

    pub(super) fn announce(&self, origin: &str, note: Vec<u8>) -> Result<()> {
        let notes = vec![HeadNote { origin: origin.to_owned(), note }];
        self.tell(&Request::Announce(Announce { notes, priority: Vec::new() }))
    }

    /// Asks the one connected node and waits for its answer.
    fn ask(&self, request: &Request) -> Result<Response> {
        let peer = *self.script().connected.first().context("not connected")?;
        self.exchange(peer, request)
    }

    /// Sends many small requests at once, as fast as the transport takes them, and lets the answers go.
    fn flood(&self, request: &Request, times: u64) -> Result<()> {
        let peers: Vec<PublicKey> = self.script().connected.iter().copied().collect();
        self.runtime.block_on(async {
            for number in 0..times {
                for peer in &peers {
                    self.network.send(*peer, u64::MAX - number, request.clone()).await?;
                }
                if number % 8 == 7 {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
            anyhow::Ok(())
        })
    }
}

/// Introduces itself, and otherwise answers by the script.
async fn play(
    network: NetworkHandle,
    mut events: tokio::sync::mpsc::Receiver<NetworkEvent>,
    script: Arc<Mutex<Script>>,
) {
    let lock = || script.lock().unwrap_or_else(PoisonError::into_inner);
    while let Some(event) = events.recv().await {
        let done = match event {
            NetworkEvent::Connected { peer } => {
                let hello = lock().hello.clone();
                lock().connected.insert(peer);
                network.send(peer, 0, Request::Hello(hello)).await
            }
            NetworkEvent::Disconnected { peer } => {
                lock().connected.remove(&peer);
                Ok(())
            }
            NetworkEvent::Inbound { channel, request, .. } => {
                let response = match request {
                    Request::Hello(_) => Response::Hello(lock().hello.clone()),
                    Request::Heads => {
                        Response::Heads(Heads { notes: lock().heads.clone(), priority: Vec::new() })
                    }
                    Request::Announce(_) | Request::Stored(_) | Request::Evidence(_) => Response::Ack,
                    Request::Cosign(_)
                    | Request::Consistency(_)
                    | Request::Entries(_)
                    | Request::Branch(_) => Response::Refused(Refusal::Busy),
                    Request::Range(range) => (lock().serve)(&range),
                    Request::Payloads(request) => {
                        Response::Payloads(vec![WirePayload::NotHere; request.indexes.len()])
                    }
                };
                network.reply(channel, response).await
            }
            NetworkEvent::Outcome { request_id, result, .. } => {
                if request_id > 0 {
                    lock().answers.insert(request_id, result.ok());
                }
                Ok(())
            }
            NetworkEvent::Listening { .. } | NetworkEvent::Refused { .. } => Ok(()),
        };
        if done.is_err() {
            return;
        }
    }
}

/// One history of the rogue's own log.
#[derive(Clone)]
pub(super) struct Branch {
    pub(super) origin: String,
    key: [u8; 32],
    pub(super) entries: Vec<Sealed>,
}

impl Branch {
    pub(super) fn grow(insider: &Insider, tag: u8, count: u64) -> Result<Self> {
        let origin = format!("{}/cedar/1", insider.consortium);
        let entries = (0..count)
            .map(|index| {
                let mut value = [tag; 16];
                value[..8].copy_from_slice(&index.to_be_bytes());
                let record =
                    Record::Content(Content::new(vec![Signal::new(SignalType::Md5, &value, None)?])?);
                let header = LeafHeader {
                    kind: Kind::Content,
                    priority: false,
                    index,
                    time_ms: now_s()? * 1_000,
                    roster_version: 1,
                    log_id: LogId::of_origin(&origin),
                    subject: None,
                    group: 0,
                };
                Ok(seal(header, &record, [tag; 32])?)
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { origin, key: *insider.keys.log.seed(), entries })
    }

    /// The same with the first entries of another.
    pub(super) fn after(mut self, other: &Self, shared: usize) -> Self {
        self.entries.splice(..shared, other.entries[..shared].iter().cloned());
        self
    }

    pub(super) fn note(&self, size: usize) -> Vec<u8> {
        let mut tree = Frontier::empty();
        for entry in &self.entries[..size] {
            tree.append(leaf_hash(&entry.leaf_bytes));
        }
        let checkpoint = Checkpoint { origin: self.origin.clone(), size: size as u64, root: tree.root() };
        sign_checkpoint(&checkpoint, &SecretKey::from_seed(self.key))
    }

    /// Entries as served, payloads changed by `twist`.
    pub(super) fn serve(&self, start: u64, end: u64, twist: fn(&mut Vec<u8>)) -> Response {
        let entries = (start..end)
            .map(|index| {
                let entry = &self.entries[usize::try_from(index).unwrap_or(0)];
                let mut padded = entry.padded.clone();
                twist(&mut padded);
                WireEntry {
                    leaf: entry.leaf_bytes.to_vec(),
                    payload: WirePayload::Present { salt: entry.salt, padded },
                }
            })
            .collect();
        Response::Range(RangeChunk { start, entries, cover: Vec::new() })
    }
}

pub(super) fn honest(_: &mut Vec<u8>) {}

#[expect(clippy::ptr_arg, reason = "one of several twists, others of which change the length")]
fn flipped(padded: &mut Vec<u8>) {
    if let Some(byte) = padded.get_mut(6) {
        *byte ^= 1;
    }
}

/// Waits until each of these nodes has counted a rule once more than `before`.
fn counted(apis: &[Api], rule: &str, before: &[u64]) -> Result<()> {
    for (api, before) in apis.iter().zip(before) {
        wait_until(&format!("{rule} to be counted"), || Ok(api.misbehaviour(rule)? > *before))?;
    }
    Ok(())
}

fn counts(apis: &[Api], rule: &str) -> Result<Vec<u64>> {
    apis.iter().map(|api| api.misbehaviour(rule)).collect()
}

#[expect(clippy::too_many_lines, reason = "one story, told in order")]
#[test]
fn a_lying_member_is_caught_and_its_log_goes_on_until_it_equivocates() -> Result<()> {
    let mut consortium = Consortium::found(&["ash", "birch", "cedar"])?;
    start_two(&mut consortium)?;
    let insider = Insider::of(&consortium, 2, "cedar")?;
    let apis = [Api::of(&consortium.nodes[0])?, Api::of(&consortium.nodes[1])?];
    let rogue = Rogue::start(&insider, &[consortium.nodes[0].peer_port, consortium.nodes[1].peer_port])?;
    rogue.wait_for_admission(&[&apis[0], &apis[1]])?;
    let branch = Branch::grow(&insider, 1, 8)?;
    let other = Branch::grow(&insider, 2, 8)?;
    let all_hold = |size: u64| {
        consortium.nodes[..2].iter().try_for_each(|node| {
            wait_until(&format!("{} to hold {size} of the rogue's entries", node.member), || {
                Ok(node.held("cedar")? == size)
            })
        })
    };

    // Heads under other keys: of its own log, and of a log that is not its own.
    let stranger = Branch { key: [5; 32], ..branch.clone() };
    let foreign = Branch { origin: format!("{}/birch/1", insider.consortium), ..branch.clone() };
    for note in [
        (&stranger.origin, stranger.note(3)),
        (&foreign.origin, foreign.note(3)),
        (&branch.origin, b"note".to_vec()),
    ] {
        let before = counts(&apis[..1], "head_signature")?;
        rogue.announce(note.0, note.1)?;
        counted(&apis[..1], "head_signature", &before)?;
    }

    // Chunks that do not belong under the signed head.
    let lies: [(&str, Serve); 4] = [
        ("chunk_root", {
            let other = other.clone();
            Box::new(move |range| other.serve(range.start, range.size, honest))
        }),
        ("chunk_start", {
            let branch = branch.clone();
            Box::new(move |range| branch.serve(range.start + 1, range.size, honest))
        }),
        ("chunk_too_long", {
            let branch = branch.clone();
            Box::new(move |range| branch.serve(range.start, range.size + 1, honest))
        }),
        // Fewer entries than asked, and nothing that covers the rest.
        ("chunk_root", {
            let branch = branch.clone();
            Box::new(move |range| branch.serve(range.start, range.size - 1, honest))
        }),
    ];
    for (rule, serve) in lies {
        rogue.script().serve = serve;
        let before = counts(&apis, rule)?;
        rogue.announce(&branch.origin, branch.note(3))?;
        counted(&apis, rule, &before)?;
        ensure!(consortium.nodes[0].held("cedar")? == 0, "{rule}: something was stored");
    }
    let truth: fn(&Branch, fn(&mut Vec<u8>)) -> Serve = |branch, twist| {
        let branch = branch.clone();
        Box::new(move |range| branch.serve(range.start, range.size, twist))
    };
    rogue.script().serve = truth(&branch, honest);
    all_hold(3)?;

    // The author serves payloads that are not the committed ones: nobody will ever have better ones.
    rogue.script().serve = truth(&branch, flipped);
    rogue.announce(&branch.origin, branch.note(5))?;
    all_hold(5)?;
    rogue.script().serve = truth(&branch, honest);
    rogue.announce(&branch.origin, branch.note(6))?;
    all_hold(6)?;
    for (index, status) in [(0, 200), (3, 404), (4, 404), (5, 200)] {
        let id = branch.entries[index].record_id();
        for api in &apis {
            wait_until(&format!("entry {index} to be {status}"), || {
                Ok(api.get(&format!("/v1/records/{id}"))?.status == status)
            })?;
        }
    }

    // A confirmation of a tree that nobody signed, and one of an entry that there is not.
    let log = *LogId::of_origin(&format!("{}/ash/1", insider.consortium)).as_bytes();
    for (size, root, ahead) in [(1_000, [1; 32], Vec::new()), (0, *empty_root().as_bytes(), vec![1_000])] {
        let before = counts(&apis[..1], "stored_unknown_head")?;
        rogue.tell(&Request::Stored(Stored { log, size, root, ahead }))?;
        counted(&apis[..1], "stored_unknown_head", &before)?;
    }
    tiny_requests(&rogue, &consortium)?;

    // Two signed heads of one size.
    let before = counts(&apis, "equivocation")?;
    rogue.announce(&other.origin, other.note(6))?;
    counted(&apis, "equivocation", &before)?;
    for api in &apis {
        let status = api.get("/v1/status")?.ok()?;
        let reason = status["reason"].as_str().unwrap_or_default();
        ensure!(
            status["complete"] == false && reason.contains("frozen") && reason.contains(&branch.origin),
            "{status}"
        );
        let answer = api.post("/v1/match", &serde_json::json!({ "items": [{ "id": "u", "signals": [{ "type": "md5", "value": "0".repeat(32) }] }] }))?.ok()?;
        ensure!(answer["complete"] == false && answer["reason"] == status["reason"], "{answer}");
    }
    rogue.announce(&branch.origin, branch.note(8))?;
    rogue.announce(&other.origin, other.note(7))?;
    still_works(&consortium, 60)?;
    all_hold(6)
}

/// More small questions than any honest peer has, one after the other and many at once.
fn tiny_requests(rogue: &Rogue, consortium: &Consortium) -> Result<()> {
    still_works(consortium, 50)?;
    let before = resident_kib(&consortium.nodes[0])?;
    for round in 0..4 {
        rogue.flood(&Request::Heads, 500)?;
        still_works(consortium, 51 + round)?;
    }
    rogue.script().answers.clear();
    let after = resident_kib(&consortium.nodes[0])?;
    println!("resident memory: {before} KiB before, {after} KiB after 2,000 tiny requests");
    ensure!(after < before + GROWTH_MAX_KIB, "{before} KiB became {after} KiB");
    Ok(())
}

#[test]
fn payloads_from_another_than_the_author_must_be_the_committed_ones() -> Result<()> {
    let mut consortium = Consortium::found(&["ash", "birch", "cedar"])?;
    consortium.nodes[0].start()?;
    let ash = Api::of(&consortium.nodes[0])?;
    wait_until("ash to answer", || Ok(ash.get("/readyz")?.status == 200))?;
    let insider = Insider::of(&consortium, 2, "cedar")?;
    let first = Rogue::start(&insider, &[consortium.nodes[0].peer_port])?;
    first.wait_for_admission(&[&ash])?;
    consortium.nodes[0].wait_until_open()?;
    let receipts = ash.contribute(&(0..5).map(record).collect::<Vec<_>>())?;
    let identity = log_identity(&ash, "ash")?;
    let head = checkpoint(&ash, "ash", &identity)?.context("no checkpoint")?;
    let range = RangeRequest {
        log: *LogId::of_origin(&identity.0).as_bytes(),
        start: 0,
        size: head.size(),
        entries_max: 100,
        bytes_max: 100_000,
    };
    let Response::Range(chunk) = first.ask(&Request::Range(range))? else { anyhow::bail!("no range") };
    drop(first);
    consortium.nodes[0].kill()?;

    consortium.nodes[1].start()?;
    let birch = Api::of(&consortium.nodes[1])?;
    wait_until("birch to answer", || Ok(birch.get("/readyz")?.status == 200))?;
    let mut twisted = chunk.clone();
    for entry in &mut twisted.entries {
        if let WirePayload::Present { padded, .. } = &mut entry.payload {
            flipped(padded);
        }
    }
    let second = Rogue::start(&insider, &[consortium.nodes[1].peer_port])?;
    second.script().serve = Box::new(move |_| Response::Range(twisted.clone()));
    second.script().heads = vec![HeadNote { origin: identity.0, note: head.note().to_vec() }];
    wait_until("the lie to be counted", || Ok(birch.misbehaviour("chunk_payload")? > 0))?;
    ensure!(consortium.nodes[1].held("ash")? == 0, "a lie was stored");
    second.script().serve = Box::new(move |_| Response::Range(chunk.clone()));
    wait_until("the truth to be stored", || Ok(consortium.nodes[1].held("ash")? == 5))?;
    for receipt in &receipts {
        let id = receipt["record"].as_str().context("record")?;
        wait_until("its records to be shown", || Ok(birch.get(&format!("/v1/records/{id}"))?.status == 200))?;
    }
    Ok(())
}
