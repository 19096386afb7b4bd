//! A member whose signed log is full of entries that break every rule, or that only a later version can read,
//! against real nodes: they replicate, relay, prove, cosign, show and export it, and go on.

use super::member::Rogue;
use super::{Insider, now_s, still_works};
use crate::evidence::wait_until;
use crate::http::Api;
use anyhow::{Context as _, Result, ensure};
use hashpact_protocol::checkpoint::{Checkpoint, sign_checkpoint};
use hashpact_protocol::cosignature::verify_cosignature;
use hashpact_protocol::digest::{LogId, RecordId, leaf_hash};
use hashpact_protocol::keys::PublicKey;
use hashpact_protocol::merkle::Frontier;
use hashpact_protocol::note::{NoteAlgorithm, NoteKey};
use hashpact_protocol::proof::verify_record_proof;
use hashpact_protocol::record::{Content, Signal, SignalType};
use hashpact_protocol::roster::{Roster, SignedRoster};
use hashpact_protocol::wire::{CosignAnswer, HeadNote, RangeChunk, Request, Response, WireEntry};
use hashpact_protocol::witness::{AddCheckpoint, parse_signatures};
use hashpact_sim::poison::{self, Poison};
use hashpact_tests::{Consortium, Node};
use serde_json::Value;

/// The whole poisoned log.
struct Log {
    checkpoint: Checkpoint,
    note: Vec<u8>,
    entries: Vec<WireEntry>,
}

impl Log {
    fn of(insider: &Insider) -> Result<Self> {
        let origin = format!("{}/cedar/1", insider.consortium);
        let log = LogId::of_origin(&origin);
        let size = 2 * Poison::ALL.len() as u64;
        let mut tree = Frontier::empty();
        let mut entries = Vec::new();
        for index in 0..size {
            let value = (0xdead_0000 + index).to_be_bytes().repeat(2);
            let content = Content::new(vec![Signal::new(SignalType::Md5, &value, None)?])?;
            let entry = poison::entry(content, log, index, now_s()? * 1_000, [9; 32]);
            tree.append(leaf_hash(&entry.leaf));
            entries.push(entry);
        }
        let checkpoint = Checkpoint { origin, size, root: tree.root() };
        let note = sign_checkpoint(&checkpoint, &insider.keys.log);
        Ok(Self { checkpoint, note, entries })
    }

    fn id(&self, index: usize) -> RecordId {
        leaf_hash(&self.entries[index].leaf)
    }

    /// Indexes of entries, and what a node says that they are; nothing for those without a payload.
    fn verdicts(&self) -> impl Iterator<Item = (usize, &'static str)> {
        (0..self.entries.len()).map(|index| match Poison::at(index as u64) {
            Poison::None => (index, "active"),
            poison if poison.is_newer() => (index, "opaque"),
            _ => (index, "void"),
        })
    }
}

fn trust(consortium: &Consortium) -> Result<String> {
    let versions = SignedRoster::parse_file(&std::fs::read(&consortium.roster)?)?;
    Ok(leaf_hash(&versions.first().context("a version")?.body).to_hex())
}

#[test]
fn a_log_full_of_poison_and_of_what_is_newer_stops_nobody() -> Result<()> {
    let mut consortium = Consortium::found(&["ash", "birch", "cedar", "dew"])?;
    for at in [0, 1, 3] {
        consortium.nodes[at].start()?;
    }
    for at in [0, 1, 3] {
        consortium.nodes[at].wait_until_open()?;
    }
    let apis = [0, 1, 3].map(|at| Api::of(&consortium.nodes[at]));
    let apis = apis.into_iter().collect::<Result<Vec<_>>>()?;
    let insider = Insider::of(&consortium, 2, "cedar")?;
    let log = Log::of(&insider)?;
    // Two of the three hear it from its author, the third from them alone.
    let ports = [consortium.nodes[0].peer_port, consortium.nodes[1].peer_port];
    let rogue = Rogue::start(&insider, &ports)?;
    rogue.wait_for_admission(&[&apis[0], &apis[1]])?;
    let entries = log.entries.clone();
    rogue.script().serve = Box::new(move |range| {
        let at = |index: u64| usize::try_from(index).unwrap_or(usize::MAX);
        let entries = entries[at(range.start)..at(range.size)].to_vec();
        Response::Range(RangeChunk { start: range.start, entries, cover: Vec::new() })
    });
    rogue.script().heads = vec![HeadNote { origin: log.checkpoint.origin.clone(), note: log.note.clone() }];
    let before = counted(&apis)?;
    rogue.announce(&log.checkpoint.origin, log.note.clone())?;
    for at in [0, 1, 3] {
        let node = &consortium.nodes[at];
        wait_until("the whole log to be held", || Ok(node.held("cedar")? == log.checkpoint.size))?;
        shown(node, &log)?;
    }
    ensure!(counted(&apis)? == before, "somebody was blamed for what the author wrote");
    still_works(&consortium, 70)?;
    cosigned(&consortium, &rogue, &log)?;

    // Exported and verified offline: everything is there, what it is is told.
    let node = &consortium.nodes[3];
    node.hashpact_ok(&["audit", "fetch", "--tlp", "red", "--out", "all.tar"])?;
    let trust = trust(&consortium)?;
    let told = node.hashpact_ok(&["audit", "verify", "all.tar", "--trust", &trust, "--json"])?;
    let found: Value = told.json_lines()?.pop().context("findings")?;
    let cedar = found["logs"].as_array().and_then(|logs| {
        logs.iter().find(|found| found["log"].as_str() == Some(log.checkpoint.origin.as_str()))
    });
    let cedar = cedar.with_context(|| format!("no log of cedar in {found:#}"))?;
    ensure!(cedar["entries"] == log.checkpoint.size, "{cedar:#}");
    let count = |status: &str| log.verdicts().filter(|(_, verdict)| *verdict == status).count() as u64;
    ensure!(cedar["opaque"] == count("opaque") && cedar["void"] == count("void"), "{cedar:#}");

    // Read again from disk after a crash: the same, whoever tells it.
    let node = &mut consortium.nodes[3];
    node.kill()?;
    node.start()?;
    node.wait_until_open()?;
    shown(&consortium.nodes[3], &log)
}

fn counted(apis: &[Api]) -> Result<Vec<u64>> {
    apis.iter().map(Api::counted_in_all).collect()
}

/// Every entry is proven and shown as what it is, and counted so.
fn shown(node: &Node, log: &Log) -> Result<()> {
    let api = Api::of(node)?;
    let key = {
        let logs = api.get("/v1/logs")?.ok()?;
        let logs = logs["logs"].as_array().context("logs")?.clone();
        let cedar = logs.iter().find(|found| found["origin"] == log.checkpoint.origin.as_str());
        PublicKey::from_hex(cedar.and_then(|cedar| cedar["key"].as_str()).context("a key")?)?
    };
    for (index, verdict) in log.verdicts() {
        let id = log.id(index);
        let proof = api.get(&format!("/v1/records/{id}/proof"))?;
        ensure!(proof.status == 200, "proof of {index}: {}", proof.text());
        let proven = verify_record_proof(&proof.body, Some(&log.checkpoint.origin), &key)?;
        ensure!(proven.leaf_bytes == log.entries[index].leaf, "leaf of {index}");
        let mut last = String::new();
        let wanted = || {
            let shown = api.get(&format!("/v1/records/{id}"))?;
            last = shown.text();
            Ok(shown.status == 200 && shown.json()?["status"] == verdict)
        };
        wait_until(&format!("{:?} to be shown as {verdict}", Poison::at(index as u64)), wanted)
            .with_context(|| format!("at {}: {last}", node.member))?;
    }
    let status = node.status()?;
    let held = status.logs.iter().find(|held| held.origin == log.checkpoint.origin).context("cedar's log")?;
    let count = |status: &str| log.verdicts().filter(|(_, verdict)| *verdict == status).count() as u64;
    ensure!((held.opaque, held.void) == (count("opaque"), count("void")), "{held:?}");
    Ok(())
}

/// Witnesses sign for leaves, and these they hold.
fn cosigned(consortium: &Consortium, rogue: &Rogue, log: &Log) -> Result<()> {
    let body = AddCheckpoint { old: 0, proof: Vec::new(), note: log.note.clone() }.encode();
    let versions = SignedRoster::parse_file(&std::fs::read(&consortium.roster)?)?;
    let roster = Roster::parse(&versions[0].body)?;
    let connected: Vec<_> = rogue.script().connected.iter().copied().collect();
    let mut signers = Vec::new();
    for peer in connected {
        let answer = rogue.exchange(peer, &Request::Cosign(body.clone()))?;
        let Response::Cosign(CosignAnswer::Cosigned(lines)) = answer else {
            anyhow::bail!("not cosigned: {answer:?}")
        };
        let note = parse_signatures(&log.checkpoint, &lines)?;
        for witness in &roster.witnesses {
            let name = roster.witness_name(witness);
            let key = roster.member(witness).and_then(|member| member.cosigner_key).context("a witness")?;
            let key = NoteKey { name, algorithm: NoteAlgorithm::CosignatureV1, key };
            if note.signatures.iter().any(|line| line.name == key.name) {
                verify_cosignature(&note, &key)?;
                signers.push(witness.to_string());
            }
        }
    }
    signers.sort();
    ensure!(signers == ["ash", "birch"], "{signers:?}");
    Ok(())
}
