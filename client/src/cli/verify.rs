//! `hashpact verify`: is this record really in that member's log?
//!
//! Offline: the proof, the member's public key, and the verifier that the nodes use; nothing is asked
//! and nobody is trusted, except with `--record`, which fetches the proof from the node first (and then
//! trusts it no more than a file). What is proven and what is only claimed are printed apart.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context, bail};
use hashpact_protocol::api::LabelsJson;
use hashpact_protocol::api::time::rfc3339;
use hashpact_protocol::digest::{RecordId, hex_encode};
use hashpact_protocol::keys::PublicKey;
use hashpact_protocol::leaf::{EntryLeaf, Leaf};
use hashpact_protocol::note::{NoteAlgorithm, NoteKey};
use hashpact_protocol::proof::{PROOF_MAX_BYTES, ProvenRecord, verify_record_proof};
use hashpact_protocol::record::{Content, Holding, Payload, Record, Vocabulary};
use serde::Serialize;

use super::connect::NodeArgs;
use super::exit::Outcome;
use super::labels;
use super::output::{Output, grouped, printable};

/// Arguments of `verify`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The key decides what the proof is worth: take it from the signed roster, or from the member itself. A valid \
                  proof shows that the holder of the key signed a tree with this record at this place. It does not show \
                  when (times are claims), that the record is right, or that it was not retracted later."
)]
pub(crate) struct Args {
    /// The proof, as GET /v1/records/ID/proof gives it; - reads standard input
    #[arg(value_name = "PROOF", required_unless_present = "record", conflicts_with = "record")]
    proof: Option<PathBuf>,
    /// Fetch the proof of this record from the node first
    #[arg(long, value_name = "RECORD", value_parser = super::parse_record_id)]
    record: Option<RecordId>,
    /// The log's public key: 64 hex digits, or a verifier key NAME+ID+KEY
    #[arg(long, value_name = "KEY", value_parser = parse_key)]
    key: Key,
    /// The log that the proof must be of, CONSORTIUM/MEMBER/N; left out: that of the verifier key, or the
    /// one the proof names
    #[arg(long, value_name = "ORIGIN")]
    origin: Option<String>,
}

/// A public key, and the log it is for if it says so.
#[derive(Debug, Clone)]
struct Key {
    key: PublicKey,
    origin: Option<String>,
}

fn parse_key(text: &str) -> Result<Key, String> {
    if text.len() == 64 && !text.contains('+') {
        let key = PublicKey::from_hex(text).map_err(|error| error.to_string())?;
        return Ok(Key { key, origin: None });
    }
    let vkey = NoteKey::parse_vkey(text)
        .map_err(|error| format!("expected 64 hex digits or a verifier key: {error}"))?;
    match vkey.algorithm {
        NoteAlgorithm::Ed25519 => Ok(Key { key: vkey.key, origin: Some(vkey.name) }),
        NoteAlgorithm::CosignatureV1 => {
            Err("this is the key of a witness; a proof is signed by the log's key".to_owned())
        }
    }
}

/// The result as printed with `--json`.
#[derive(Serialize)]
struct Verdict {
    proven: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tree_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claimed_time: Option<String>,
    payload_shown: bool,
}

pub(crate) async fn run(args: &Args, node: &NodeArgs, output: Output) -> anyhow::Result<Outcome> {
    let origin = match (&args.origin, &args.key.origin) {
        (Some(asked), Some(named)) if asked != named => bail!("the key is for log {named}, not for {asked}"),
        (asked, named) => asked.as_deref().or(named.as_deref()),
    };
    let bytes = match (&args.proof, &args.record) {
        (_, Some(record)) => node.client(output)?.proof(record).await?,
        (Some(path), None) => read_proof(path)?,
        (None, None) => bail!("give a proof file or --record"),
    };
    let verified = verify_record_proof(&bytes, origin, &args.key.key).map_err(|error| error.to_string());
    let verified = verified.and_then(|proven| match &args.record {
        Some(asked) if proven.leaf_hash != *asked => {
            Err(format!("the proof is valid, but of another record: {}", proven.leaf_hash))
        }
        _ => Ok(proven),
    });
    match verified {
        Ok(proven) => {
            if output.json {
                output.json_line(&verdict(&proven));
            } else {
                lines(&proven, origin.is_some()).iter().for_each(|line| output.line(&printable(line)));
            }
            Ok(Outcome::Done)
        }
        Err(error) => {
            if output.json {
                output.json_line(&failed(error));
            } else {
                output.line(&printable(&format!("NOT PROVEN: {error}")));
            }
            Ok(Outcome::NotProven)
        }
    }
}

fn read_proof(path: &PathBuf) -> anyhow::Result<Vec<u8>> {
    let shown = || path.display().to_string();
    let mut bytes = Vec::new();
    // One byte more than any proof: the verifier then says that it is too long.
    let bound = PROOF_MAX_BYTES as u64 + 1;
    if path.as_os_str() == "-" {
        std::io::stdin().take(bound).read_to_end(&mut bytes).with_context(shown)?;
    } else {
        File::open(path).with_context(shown)?.take(bound).read_to_end(&mut bytes).with_context(shown)?;
    }
    Ok(bytes)
}

fn failed(error: String) -> Verdict {
    Verdict {
        proven: false,
        error: Some(error),
        record: None,
        log: None,
        index: None,
        tree_size: None,
        root: None,
        kind: None,
        claimed_time: None,
        payload_shown: false,
    }
}

fn verdict(proven: &ProvenRecord) -> Verdict {
    let leaf = known_leaf(proven);
    Verdict {
        proven: true,
        error: None,
        record: Some(proven.leaf_hash.to_hex()),
        log: Some(proven.checkpoint.origin.clone()),
        index: Some(proven.index),
        tree_size: Some(proven.checkpoint.size),
        root: Some(proven.checkpoint.root.to_hex()),
        kind: leaf.map(|leaf| leaf.kind.name().to_owned()),
        claimed_time: leaf.map(|leaf| rfc3339(leaf.time_ms)),
        payload_shown: proven.payload.is_some(),
    }
}

fn known_leaf(proven: &ProvenRecord) -> Option<&Leaf> {
    match &proven.leaf {
        EntryLeaf::Known(leaf) => Some(leaf),
        EntryLeaf::Opaque(_) | EntryLeaf::Void(_) => None,
    }
}

/// The verdict for a person: first what is proven, then what is only claimed.
fn lines(proven: &ProvenRecord, origin_given: bool) -> Vec<String> {
    let checkpoint = &proven.checkpoint;
    let mut lines = vec![
        "PROVEN by the key's signature:".to_owned(),
        format!("  record     {}", proven.leaf_hash),
        format!("  is entry   {} of log {}", proven.index, checkpoint.origin),
        format!("  in a tree of {} entries with root {}", grouped(checkpoint.size), checkpoint.root.to_hex()),
    ];
    if let Some(shown) = &proven.payload {
        lines.push("  and says:".to_owned());
        lines.extend(payload_lines(shown).into_iter().map(|line| format!("    {line}")));
    }
    lines.push("CLAIMED, not proven:".to_owned());
    match &proven.leaf {
        EntryLeaf::Known(leaf) => lines.push(format!(
            "  stated at {} by the author's clock, under roster version {}",
            rfc3339(leaf.time_ms),
            leaf.roster_version
        )),
        EntryLeaf::Opaque(reason) => {
            lines.push(format!("  nothing: this version cannot read the entry ({reason})"))
        }
        EntryLeaf::Void(rule) => {
            lines.push(format!("  nothing: the entry breaks a rule and never counts ({rule})"))
        }
    }
    if proven.payload.is_none() {
        lines.push("NOT SHOWN: what the entry says (withheld or erased)".to_owned());
    }
    if !origin_given {
        lines.push(
            "NOTE: the name of the log is the one in the proof; give --origin to require it".to_owned(),
        );
    }
    lines.push("NOT ANSWERED: whether the record was retracted or disputed later".to_owned());
    lines
}

fn payload_lines(payload: &Payload) -> Vec<String> {
    match payload {
        Payload::Record(Record::Content(content)) => content_lines(content),
        Payload::Record(Record::Supersede(content)) => {
            let old =
                content.subject.map(|old| format!("in the place of entry {} of log {}", old.index, old.log));
            old.into_iter().chain(content_lines(content)).collect()
        }
        Payload::Record(Record::Ruling(ruling)) => vec![format!(
            "ruling {} ({}) on {} {}",
            ruling.verdict.name(),
            ruling.reason.get().name(),
            ruling.signal().kind().name(),
            hex_encode(ruling.signal().value())
        )],
        Payload::Record(Record::Suspension(vote)) => vec![format!(
            "vote to {} {} under roster version {} ({})",
            vote.vote.word().name(),
            vote.member,
            vote.roster_version,
            vote.reason.get().name()
        )],
        Payload::Record(Record::Incident(incident)) => vec![format!(
            "incident {} {} (class {}, closing {})",
            incident.id,
            incident.step.name(),
            incident.class.get().name(),
            incident.closing.get().name()
        )],
        Payload::Record(Record::Opinion(opinion)) => vec![format!(
            "opinion {} ({}) on entry {} of log {}",
            opinion.opinion.name(),
            opinion.reason.get().name(),
            opinion.subject.index,
            opinion.subject.log
        )],
        Payload::Record(Record::Retraction(retraction)) => vec![format!(
            "retraction ({}) of entry {} of log {}",
            retraction.reason.get().name(),
            retraction.subject.index,
            retraction.subject.log
        )],
        Payload::Record(Record::Receipt(receipt)) => receipt.holdings().iter().map(holding_line).collect(),
        Payload::Record(Record::Erasure(erasure)) => vec![format!(
            "erasure order ({}, basis {}) about entry {} of log {}",
            erasure.reason.get().name(),
            erasure.basis.get().name(),
            erasure.subject.index,
            erasure.subject.log
        )],
        Payload::Opaque(reason) => vec![format!("something that this version cannot read ({reason})")],
        Payload::Void(rule) => vec![format!("something that breaks a rule and never counts ({rule})")],
    }
}

fn holding_line(holding: &Holding) -> String {
    let (log, size, root) = (holding.log, holding.size, holding.root);
    let missing = match holding.missing_count() {
        0 => "all payloads".to_owned(),
        some => format!("all payloads but {some}"),
    };
    format!("receipt: holds {missing} of the first {size} entries of log {log}, root {root}")
}

fn content_lines(content: &Content) -> Vec<String> {
    let mut lines: Vec<String> = content
        .signals
        .iter()
        .map(|signal| {
            let quality = signal.quality().map(|quality| format!("  quality {quality}")).unwrap_or_default();
            format!("{:<8} {}{quality}", signal.kind().name(), hex_encode(signal.value()))
        })
        .collect();
    lines.push(format!("labels   {}", labels::in_words(&LabelsJson::from(&content.labels))));
    lines.push(format!("review   {}", content.review.get().name()));
    if let Some(source) = &content.source {
        lines.push(format!("source   {}", source.organisation));
    }
    lines
}
