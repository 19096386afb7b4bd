//! SIGKILL of any node at any moment, and power cuts that take what was not synced, while all three take
//! contributions.
//!
//! One consortium lives through all repetitions, so that each starts from what the ones before left
//! on disk. Contributors retry with the same Idempotency-Key until they have receipts; a watcher keeps
//! every checkpoint that any node ever showed. At the end all promises are checked at once: each
//! acknowledged record at its index on every node and stated once, one tree per log, and no
//! checkpoint that the final tree contradicts.
//!
//! `HASHPACT_CRASH_SEEDS=FROM..TO` chooses the seeds of both.

use crate::evidence::{
    Dice, all_records, checkpoint, fsck_clean, leaves, log_identity, roots_at, wait_until,
};
use crate::http::{Answer, Api, record, value};
use anyhow::{Context as _, Result, bail, ensure};
use hashpact_protocol::digest::Root;
use hashpact_protocol::keys::PublicKey;
use hashpact_tests::power::Layer;
use hashpact_tests::{Consortium, Node};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const MEMBERS: [&str; 3] = ["ash", "birch", "cedar"];
const NUMBERS_PER_MEMBER: u64 = 1_000_000_000;

/// What a node promised: record number to (record id, index).
type Promises = BTreeMap<u64, (String, u64)>;

/// Everything that the threads share.
struct Run {
    apis: Vec<Api>,
    identities: Vec<(String, PublicKey)>,
    stop: AtomicBool,
    promises: Vec<Mutex<Promises>>,
    /// Per log: every (size, root) that any node ever showed under the log's signature.
    seen: Vec<Mutex<BTreeSet<(u64, Root)>>>,
}

#[test]
fn nothing_acknowledged_is_lost_whenever_a_node_is_killed() -> Result<()> {
    let mut consortium = Consortium::found(&MEMBERS)?;
    live_through(&mut consortium, &Cut::Kill, seeds(0..50)?)
}

#[test]
fn nothing_acknowledged_is_lost_in_power_cuts() -> Result<()> {
    let mut consortium = Consortium::found(&MEMBERS)?;
    let cut = Cut::Power(layers(&mut consortium)?);
    live_through(&mut consortium, &cut, seeds(1_000..1_020)?)
}

#[test]
fn nothing_acknowledged_is_lost_when_the_last_writes_are_torn() -> Result<()> {
    let mut consortium = Consortium::found(&MEMBERS)?;
    let cut = Cut::Torn(layers(&mut consortium)?);
    live_through(&mut consortium, &cut, seeds(2_000..2_015)?)
}

/// How a node ends.
enum Cut {
    /// By a signal: the page cache survives.
    Kill,
    /// With every byte that was not synced.
    Power(Vec<Layer>),
    /// With some of the bytes that were not synced.
    Torn(Vec<Layer>),
}

impl Cut {
    fn end(&self, node: &mut Node, at: usize, dice: &mut Dice) -> Result<()> {
        match self {
            Self::Kill => node.kill(),
            Self::Power(layers) => layers[at].cut(node).map(drop),
            Self::Torn(layers) => layers[at].tear(node, |bound| dice.below(bound)).map(drop),
        }
    }
}

fn layers(consortium: &mut Consortium) -> Result<Vec<Layer>> {
    let library = Layer::compile(consortium.dir())?;
    consortium.nodes.iter_mut().map(|node| Layer::under(node, &library)).collect()
}

/// Ends nodes by these seeds. Then checks every promise.
fn live_through(consortium: &mut Consortium, cut: &Cut, seeds: std::ops::Range<u64>) -> Result<()> {
    let started = Instant::now();
    consortium.start()?;
    let apis = consortium.nodes.iter().map(Api::of).collect::<Result<Vec<_>>>()?;
    let identities =
        MEMBERS.iter().map(|member| log_identity(&apis[0], member)).collect::<Result<Vec<_>>>()?;
    let run = Run {
        apis,
        identities,
        stop: AtomicBool::new(false),
        promises: MEMBERS.iter().map(|_| Mutex::default()).collect(),
        seen: MEMBERS.iter().map(|_| Mutex::default()).collect(),
    };
    std::thread::scope(|threads| -> Result<()> {
        let mut workers = Vec::new();
        for member in 0..MEMBERS.len() {
            let run = &run;
            workers.push(threads.spawn(move || contribute(run, member)));
        }
        workers.push(threads.spawn(|| watch(&run)));
        let outcome = seeds.clone().try_for_each(|seed| {
            repetition(consortium, cut, &run, seed).with_context(|| format!("crash seed {seed}"))
        });
        run.stop.store(true, Ordering::SeqCst);
        let ended =
            workers.into_iter().map(|worker| worker.join().unwrap_or_else(|_| bail!("a worker panicked")));
        // A node that does not come up is why a worker waits in vain, so that is said first.
        let ended: Vec<Result<()>> = ended.collect();
        outcome.and_then(|()| ended.into_iter().collect())
    })?;
    let stated = check_everything(consortium, &run)?;
    println!(
        "{} kills, {stated} records acknowledged, {} checkpoints seen, {:?}",
        seeds.end - seeds.start,
        run.seen.iter().map(|seen| lock(seen).len()).sum::<usize>(),
        started.elapsed()
    );
    Ok(())
}

fn seeds(default: std::ops::Range<u64>) -> Result<std::ops::Range<u64>> {
    let Ok(text) = std::env::var("HASHPACT_CRASH_SEEDS") else { return Ok(default) };
    let (from, to) = text.split_once("..").context("HASHPACT_CRASH_SEEDS must be FROM..TO")?;
    Ok(from.parse()?..to.parse()?)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// One kill, one restart, and what can be checked cheaply.
fn repetition(consortium: &mut Consortium, cut: &Cut, run: &Run, seed: u64) -> Result<()> {
    let mut dice = Dice::new(seed);
    let mut tears = Dice::new(!seed);
    let mut kill =
        |consortium: &mut Consortium, at: usize| cut.end(&mut consortium.nodes[at], at, &mut tears);
    let victim = usize::try_from(dice.below(3))?;
    let before_ms = dice.below(400);
    let other = (victim + 1 + usize::try_from(dice.below(2))?) % MEMBERS.len();
    let both = dice.below(5) == 0;
    let again = dice.below(4) == 0;
    let check = dice.below(3) == 0;
    println!(
        "crash seed {seed}: {} after {before_ms} ms, both {both}, again {again}, fsck {check}",
        MEMBERS[victim]
    );
    std::thread::sleep(Duration::from_millis(before_ms));
    if both {
        kill(consortium, other)?;
    }
    kill(consortium, victim)?;
    let promised = lock(&run.promises[victim]).clone();
    if again {
        consortium.nodes[victim].start()?;
        std::thread::sleep(Duration::from_millis(dice.below(250)));
        kill(consortium, victim)?;
    }
    let node = &mut consortium.nodes[victim];
    if check {
        fsck_clean(node)?;
    }
    node.start()?;
    if both {
        consortium.nodes[other].start()?;
        consortium.nodes[other].wait_until_open()?;
    }
    consortium.nodes[victim].wait_until_open()?;
    let api = &run.apis[victim];
    let numbers: Vec<u64> = promised.keys().copied().collect();
    for _ in 0..10.min(numbers.len()) {
        let number = numbers[usize::try_from(dice.below(numbers.len() as u64))?];
        let (id, index) = &promised[&number];
        check_record(&api.get(&format!("/v1/records/{id}"))?, number, *index)?;
    }
    if let Some((number, (id, index))) = promised.last_key_value() {
        check_record(&api.get(&format!("/v1/records/{id}"))?, *number, *index)?;
    }
    Ok(())
}

/// The first signal of a record as shown, where signals are in the order of their types.
fn pdq(number: u64) -> String {
    value(number, 64)
}

fn check_record(answer: &Answer, number: u64, index: u64) -> Result<()> {
    let shown = answer.ok().with_context(|| format!("acknowledged record number {number}"))?;
    ensure!(shown["index"] == index, "record number {number} was promised at {index}: {shown}");
    ensure!(shown["signals"][0]["value"] == pdq(number).as_str(), "record number {number}: {shown}");
    Ok(())
}

/// States records at one node until told to stop; keeps what the node promised. Each key is retried
/// until it has receipts, so in the end exactly the numbers used are in the log.
fn contribute(run: &Run, member: usize) -> Result<()> {
    let api = &run.apis[member];
    let mut dice = Dice::new(1_000 + member as u64);
    let mut next = member as u64 * NUMBERS_PER_MEMBER;
    while !run.stop.load(Ordering::SeqCst) {
        let count = 1 + dice.below(6);
        let numbers: Vec<u64> = (next..next + count).collect();
        next += count;
        let receipts = state(api, &numbers)?;
        if dice.below(10) == 0 {
            let again = state(api, &numbers)?;
            ensure!(
                places(&again)? == places(&receipts)?,
                "a repeated key gave other receipts: {again:?} {receipts:?}"
            );
        }
        let mut promises = lock(&run.promises[member]);
        for (number, place) in numbers.iter().zip(places(&receipts)?) {
            promises.insert(*number, place);
        }
        drop(promises);
        std::thread::sleep(Duration::from_millis(dice.below(40)));
    }
    Ok(())
}

/// Sends one contribution until it is acknowledged.
fn state(api: &Api, numbers: &[u64]) -> Result<Vec<Value>> {
    let body = json!({ "records": numbers.iter().map(|number| record(*number)).collect::<Vec<_>>() });
    let key = format!("contribution-{}", numbers[0]);
    let until = Instant::now() + Duration::from_secs(120);
    loop {
        let last = match api.post_with("/v1/records", &body, &[("Idempotency-Key", &key)]) {
            Ok(answer) if answer.status == 200 => {
                let receipts = answer.json()?["receipts"].as_array().context("receipts")?.clone();
                ensure!(receipts.len() == numbers.len(), "{} receipts for {key}", receipts.len());
                return Ok(receipts);
            }
            Ok(answer) => {
                ensure!(
                    matches!(answer.status, 429 | 503 | 504),
                    "{key}: {} {}",
                    answer.status,
                    answer.text()
                );
                answer.text()
            }
            Err(error) => format!("{error:#}"),
        };
        if Instant::now() > until {
            bail!("{key} was not acknowledged in time; last: {last}");
        }
        std::thread::sleep(Duration::from_millis(25));
    }
}

fn places(receipts: &[Value]) -> Result<Vec<(String, u64)>> {
    receipts
        .iter()
        .map(|receipt| {
            let id = receipt["record"].as_str().with_context(|| format!("record in {receipt}"))?;
            let index = receipt["index"].as_u64().with_context(|| format!("index in {receipt}"))?;
            let size = receipt["tree_size"].as_u64().with_context(|| format!("tree_size in {receipt}"))?;
            ensure!(size > index, "a receipt names a tree that does not cover it: {receipt}");
            Ok((id.to_owned(), index))
        })
        .collect()
}

/// Keeps every checkpoint that any node shows. A log's own node must never show a smaller one than
/// before.
fn watch(run: &Run) -> Result<()> {
    let mut own_sizes = [0; MEMBERS.len()];
    while !run.stop.load(Ordering::SeqCst) {
        for (at, api) in run.apis.iter().enumerate() {
            for (log, member) in MEMBERS.iter().enumerate() {
                // A node that is down or still loading has nothing to show; a bad note is another thing.
                let path = format!("/logs/{member}/1/checkpoint");
                let Ok(answer) = api.get(&path) else { continue };
                if answer.status != 200 {
                    continue;
                }
                let (origin, key) = &run.identities[log];
                let shown =
                    hashpact_protocol::checkpoint::SignedCheckpoint::verify(&answer.body, origin, key)?;
                lock(&run.seen[log]).insert((shown.size(), shown.root()));
                if at == log {
                    ensure!(
                        shown.size() >= own_sizes[log],
                        "{member} went back from {} to {}",
                        own_sizes[log],
                        shown.size()
                    );
                    own_sizes[log] = shown.size();
                }
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// All promises at once, then from disk. Gives back the number of records.
fn check_everything(consortium: &mut Consortium, run: &Run) -> Result<usize> {
    let sizes: Vec<u64> = run.promises.iter().map(|promises| lock(promises).len() as u64).collect();
    for node in &consortium.nodes {
        for (member, size) in MEMBERS.iter().zip(&sizes) {
            wait_until(&format!("{} to hold {size} entries of {member}", node.member), || {
                Ok(node.held(member)? >= *size)
            })?;
        }
    }
    for (log, member) in MEMBERS.iter().enumerate() {
        let size = sizes[log];
        let mut trees = Vec::new();
        for api in &run.apis {
            let head = checkpoint(api, member, &run.identities[log])?.context("no checkpoint at the end")?;
            ensure!(
                head.size() == size,
                "{member}: {size} records were stated, {} are in the log",
                head.size()
            );
            lock(&run.seen[log]).insert((size, head.root()));
            trees.push(leaves(api, member, size)?);
        }
        ensure!(trees.iter().all(|tree| *tree == trees[0]), "the nodes hold different leaves of {member}");
        let seen = lock(&run.seen[log]);
        let roots = roots_at(&trees[0], &seen.iter().map(|(size, _)| *size).collect());
        for (size, root) in seen.iter() {
            ensure!(
                roots.get(size) == Some(root),
                "a checkpoint of {member} at {size} is not of the final tree"
            );
        }
        for (number, (id, index)) in lock(&run.promises[log]).iter() {
            let leaf = trees[0][usize::try_from(*index)?].to_hex();
            ensure!(
                leaf == *id,
                "record number {number} of {member} was promised at {index} as {id}, found {leaf}"
            );
        }
    }
    let stated: usize = sizes.iter().sum::<u64>().try_into()?;
    for api in &run.apis {
        check_records(api, run, stated)?;
    }
    for node in &mut consortium.nodes {
        node.stop()?;
        let report = fsck_clean(node)?;
        let entries: u64 =
            report["logs"].as_array().context("logs")?.iter().filter_map(|log| log["entries"].as_u64()).sum();
        ensure!(entries == stated as u64, "fsck of {} saw {entries} of {stated} entries", node.member);
    }
    Ok(stated)
}

/// A node's records are exactly the promised ones, each once.
fn check_records(api: &Api, run: &Run, stated: usize) -> Result<()> {
    let mut shown = BTreeMap::new();
    for record in all_records(api)? {
        let (Some(id), Some(signal)) = (record["record"].as_str(), record["signals"][0]["value"].as_str())
        else {
            bail!("a record without id or signal: {record}");
        };
        let twice = shown.insert(signal.to_owned(), (id.to_owned(), record["index"].as_u64()));
        ensure!(twice.is_none(), "signal {signal} was stated twice");
    }
    ensure!(shown.len() == stated, "{stated} records were stated, {} are shown", shown.len());
    for promises in &run.promises {
        for (number, (id, index)) in lock(promises).iter() {
            let found = shown.get(&pdq(*number));
            ensure!(
                found == Some(&(id.clone(), Some(*index))),
                "record number {number}: promised {id} at {index}, found {found:?}"
            );
        }
    }
    Ok(())
}
