//! `hashpact audit when`: when was this record in its log, and who says so?
//!
//! What is proven is which signed head covers the record and which does not; when is always somebody's word. The
//! author's own time is worth the least. The times of third parties, who cosigned a head, come next: a cosignature of
//! a head that covers the record says that the cosigner held its leaf by then. That somebody held its *payload* is said by
//! receipts only: entries in which a member states which payloads of a log it holds.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use hashpact_client::{Arrived, AuditFetch};
use hashpact_protocol::api::time::{rfc3339, rfc3339_seconds};
use hashpact_protocol::bundle::{Cosigned, Entry, EntryPayload, Scope, Visitor};
use hashpact_protocol::digest::{LogId, RecordId, Root};
use hashpact_protocol::leaf::{EntryLeaf, Kind};
use hashpact_protocol::record::{Payload, Record};
use serde_json::json;

use super::{NodeArgs, Outcome, Output, parse_trust, verified, verify};
use crate::cli::output::printable;

/// Most cosignatures that are kept for one question.
const COSIGNATURES_MAX: usize = 1_000_000;

/// Arguments of `audit when`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The record's id
    #[arg(value_name = "RECORD", value_parser = crate::cli::parse_record_id)]
    record: RecordId,
    /// The root of roster version 1: 64 hex digits
    #[arg(long, value_name = "ROOT", value_parser = parse_trust)]
    trust: Root,
    /// Ask this bundle instead of the node
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// Keep the bundle that the node gave: it is the proof of what is printed
    #[arg(long, value_name = "FILE", conflicts_with = "bundle")]
    keep: Option<PathBuf>,
}

/// A cosignature of some log.
struct Seen {
    member: String,
    n: u32,
    size: u64,
    witness: String,
    time_s: u64,
    note: Vec<u8>,
}

/// Where the record is, and what bears on when.
struct Question {
    record: RecordId,
    cosigned: Vec<Seen>,
    found: Option<Found>,
    /// Where the record is, from the first pass over the bundle.
    place: Option<(LogId, u64)>,
    /// Receipts that state that its payload is held.
    held: Vec<Receipted>,
    /// Receipts whose payload is not in the bundle or not readable.
    unread: u64,
}

/// A receipt that states that the payload was held.
struct Receipted {
    member: String,
    n: u32,
    index: u64,
    /// Leaf hash of the receipt.
    entry: RecordId,
    time_ms: u64,
    size: u64,
    root: Root,
}

struct Found {
    member: String,
    n: u32,
    index: u64,
    time_ms: Option<u64>,
}

impl Visitor for Question {
    fn entry(&mut self, entry: &Entry<'_>) {
        let known = match &entry.leaf {
            EntryLeaf::Known(leaf) => Some(leaf),
            EntryLeaf::Opaque(_) | EntryLeaf::Void(_) => None,
        };
        if let Some(leaf) = known.filter(|leaf| leaf.kind == Kind::Receipt) {
            self.receipt(entry, leaf.time_ms);
        }
        if entry.id == self.record {
            let (member, n, index) = (entry.log.member.to_string(), entry.log.n, entry.index);
            self.found = Some(Found { member, n, index, time_ms: known.map(|leaf| leaf.time_ms) });
            self.place = Some((entry.log_id, index));
        }
    }

    fn cosignature(&mut self, cosigned: &Cosigned<'_>) {
        if self.cosigned.len() < COSIGNATURES_MAX {
            self.cosigned.push(Seen {
                member: cosigned.log.member.to_string(),
                n: cosigned.log.n,
                size: cosigned.size,
                witness: cosigned.witness.to_string(),
                time_s: cosigned.time_s,
                note: cosigned.note.to_vec(),
            });
        }
    }
}

/// What the cosignatures around a record say.
struct Answer<'a> {
    /// The first cosignature of each witness that covers the record.
    held_by: Vec<&'a Seen>,
    /// The last cosignature of a head that does not cover it.
    not_yet: Option<&'a Seen>,
}

impl Question {
    fn new(record: RecordId) -> Self {
        Self { record, cosigned: Vec::new(), found: None, place: None, held: Vec::new(), unread: 0 }
    }

    /// Keeps each member's first receipt for the payload. Its own log says it first, so the order of logs
    /// in a bundle does not matter as long as the place is known.
    fn receipt(&mut self, entry: &Entry<'_>, time_ms: u64) {
        let EntryPayload::Present(Some(payload)) = &entry.payload else {
            self.unread += 1;
            return;
        };
        let (Payload::Record(Record::Receipt(receipt)), Some((log, index))) = (payload.as_ref(), self.place)
        else {
            return;
        };
        let Some(holding) = receipt.of(&log).filter(|holding| holding.holds(index)) else { return };
        let (member, n) = (entry.log.member.to_string(), entry.log.n);
        if self.held.iter().any(|held| held.member == member) {
            return;
        }
        let (size, root) = (holding.size, holding.root);
        self.held.push(Receipted { member, n, index: entry.index, entry: entry.id, time_ms, size, root });
    }

    fn answer<'a>(&'a self, found: &Found) -> Answer<'a> {
        self.around(&found.member, found.n, found.index)
    }

    /// The cosignatures around an entry.
    fn around<'a>(&'a self, member: &str, n: u32, index: u64) -> Answer<'a> {
        let of_log = || self.cosigned.iter().filter(|seen| seen.member == member && seen.n == n);
        let mut held_by: Vec<&Seen> = Vec::new();
        for seen in of_log().filter(|seen| seen.size > index) {
            match held_by.iter_mut().find(|held| held.witness == seen.witness) {
                Some(held) if seen.time_s < held.time_s => *held = seen,
                Some(_) => {}
                None => held_by.push(seen),
            }
        }
        held_by.sort_by_key(|seen| seen.time_s);
        let not_yet = of_log().filter(|seen| seen.size <= index).max_by_key(|seen| seen.time_s);
        Answer { held_by, not_yet }
    }
}

pub(crate) async fn run(args: &Args, node: &NodeArgs, output: Output) -> anyhow::Result<Outcome> {
    let fetched = match &args.bundle {
        Some(_) => None,
        None => Some(fetch(args, node, output).await?),
    };
    let path = args.bundle.as_ref().or(fetched.as_ref()).expect("one of the two is there");
    let mut question = Question::new(args.record);
    let mut found = verified(path, &args.trust, &mut question, output);
    if found.as_ref().is_ok_and(|found| found.is_clean()) && question.place.is_some() {
        // Receipts may stand in logs before the record's own: only now is it known what they must speak of.
        let place = question.place;
        question = Question { place, ..Question::new(args.record) };
        found = verified(path, &args.trust, &mut question, output);
    }
    if let Some(fetched) = fetched.as_ref().filter(|path| args.keep.as_ref() != Some(path)) {
        let _ = fs::remove_file(fetched);
    }
    let found = found?;
    if !found.is_clean() {
        if output.json {
            output.json_line(&json!({"proven": false, "problems": verify::lines(&found)}));
        } else {
            verify::lines(&found).iter().for_each(|line| output.line(&printable(line)));
        }
        return Ok(Outcome::NotProven);
    }
    let Some(place) = &question.found else {
        output.line(&format!("NOT PROVEN: record {} is not in the bundle", args.record));
        return Ok(Outcome::NotProven);
    };
    let answer = question.answer(place);
    if output.json {
        output.json_line(&as_json(&question, place, &answer));
    } else {
        lines(&question, place, &answer).iter().for_each(|line| output.line(&printable(line)));
    }
    Ok(Outcome::Done)
}

/// Gets the bundle of one record from the node into a file.
async fn fetch(args: &Args, node: &NodeArgs, output: Output) -> anyhow::Result<PathBuf> {
    let path = match &args.keep {
        Some(path) => path.clone(),
        None => {
            let name = format!("hashpact-when-{}-{}.tar", std::process::id(), &args.record.to_hex()[..16]);
            std::env::temp_dir().join(name)
        }
    };
    let asked = AuditFetch {
        scope: Scope::Record(args.record),
        payloads: false,
        tlp: None,
        groups: Vec::new(),
        resume: None,
    };
    let mut answer = node.client(output)?.audit_export(&asked, &Arrived::default()).await?;
    let mut file = fs::OpenOptions::new().write(true).create_new(true).open(&path)?;
    while let Some(bytes) = answer.next().await? {
        file.write_all(&bytes)?;
    }
    Ok(path)
}

fn lines(question: &Question, found: &Found, answer: &Answer<'_>) -> Vec<String> {
    let place = format!("entry {} of log {}/{}", found.index, found.member, found.n);
    let mut lines = vec![
        "PROVEN:".to_owned(),
        format!("  record {} is {place}, under a head that its author signed", question.record),
    ];
    if let Some(seen) = answer.not_yet {
        lines.push(format!(
            "  a head of {} entries, which {} cosigned, does not cover it",
            seen.size, seen.witness
        ));
    }
    for seen in &answer.held_by {
        lines.push(format!("  a head of {} entries, which {} cosigned, covers it", seen.size, seen.witness));
    }
    lines.push("CLAIMED:".to_owned());
    match found.time_ms {
        Some(time_ms) => lines.push(format!("  stated at {} by the author's own clock", rfc3339(time_ms))),
        None => lines.push("  no time: this version cannot read the entry".to_owned()),
    }
    for seen in &answer.held_by {
        let time = rfc3339_seconds(seen.time_s);
        lines.push(format!(
            "  {} held its leaf by {time}: the cosigner's clock, under its signature",
            seen.witness
        ));
    }
    match (answer.not_yet, answer.held_by.first()) {
        (Some(before), Some(after)) => lines.push(format!(
            "  so it entered the log between {} ({}) and {} ({}), as far as these two clocks are right and its author published what it \
             had; it may have been written earlier and shown to nobody",
            rfc3339_seconds(before.time_s),
            before.witness,
            rfc3339_seconds(after.time_s),
            after.witness
        )),
        (None, Some(after)) => lines.push(format!(
            "  so it was in the log by {} ({}); no earlier cosigned head is here, so there is no \"not before\"",
            rfc3339_seconds(after.time_s),
            after.witness
        )),
        (_, None) => lines.push(
            "  by third parties: nothing. No cosigned head here covers the record, so only the author's clock says when".to_owned(),
        ),
    }
    receipt_lines(question, &mut lines);
    lines
}

/// That a member said so is proven; that it is so is its claim.
fn receipt_lines(question: &Question, lines: &mut Vec<String>) {
    for held in &question.held {
        let Receipted { member, n, index, entry, time_ms, size, root } = held;
        lines.push(format!(
            "  {member} held its payload by {}: {member}'s word and clock, in the receipt {entry} (proven: entry {index} of log \
             {member}/{n}), about the tree of {size} entries with root {root}",
            rfc3339(*time_ms)
        ));
        if let Some(seen) = question.around(member, *n, *index).held_by.first() {
            let time = rfc3339_seconds(seen.time_s);
            lines.push(format!(
                "    {} held that receipt's leaf by {time}: the cosigner's clock, under its signature",
                seen.witness
            ));
        }
    }
    if question.held.is_empty() || question.unread > 0 {
        lines.push("NOT SHOWN:".to_owned());
    }
    if question.held.is_empty() {
        lines.push("  whether anybody held its payload: no receipt here says so".to_owned());
    }
    if question.unread > 0 {
        lines.push(format!("  what {} receipts say: their payloads are not in the bundle", question.unread));
    }
}

fn as_json(question: &Question, found: &Found, answer: &Answer<'_>) -> serde_json::Value {
    let seen = |seen: &Seen| {
        json!({
            "witness": seen.witness, "time": rfc3339_seconds(seen.time_s), "size": seen.size,
            "checkpoint": String::from_utf8_lossy(&seen.note),
        })
    };
    json!({
        "proven": {
            "record": question.record.to_hex(), "member": found.member, "n": found.n, "index": found.index,
        },
        "claimed": {
            "author_time": found.time_ms.map(rfc3339),
            "held_by": answer.held_by.iter().map(|one| seen(one)).collect::<Vec<_>>(),
            "not_yet": answer.not_yet.map(seen),
        },
        "payload_held_by": question.held.iter().map(|held| json!({
            "member": held.member, "n": held.n, "index": held.index, "receipt": held.entry.to_hex(),
            "time": rfc3339(held.time_ms), "size": held.size, "root": held.root.to_hex(),
            "receipt_held_by": question.around(&held.member, held.n, held.index).held_by.iter()
                .map(|one| seen(one)).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "receipts_not_shown": question.unread,
    })
}
