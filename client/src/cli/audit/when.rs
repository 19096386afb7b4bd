//! `hashpact audit when`: when was this record in its log, and who says so?
//!
//! What is proven is which signed head covers the record and which does not; when is always somebody's word. The
//! author's own time is worth the least. The times of third parties, who cosigned a head, come next: a cosignature of
//! a head that covers the record says that the cosigner held its leaf by then.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use hashpact_client::{Arrived, AuditFetch};
use hashpact_protocol::api::time::{rfc3339, rfc3339_seconds};
use hashpact_protocol::bundle::{Cosigned, Entry, Scope, Visitor};
use hashpact_protocol::digest::{RecordId, Root};
use hashpact_protocol::leaf::{EntryLeaf, Kind};
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
    /// Receipt entries: who could have stated that it held payloads.
    receipts: u64,
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
        if known.is_some_and(|leaf| leaf.kind == Kind::Receipt) {
            self.receipts += 1;
        }
        if entry.id == self.record {
            let (member, n, index) = (entry.log.member.to_string(), entry.log.n, entry.index);
            self.found = Some(Found { member, n, index, time_ms: known.map(|leaf| leaf.time_ms) });
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
    fn answer<'a>(&'a self, found: &Found) -> Answer<'a> {
        let of_log = || self.cosigned.iter().filter(|seen| seen.member == found.member && seen.n == found.n);
        let mut held_by: Vec<&Seen> = Vec::new();
        for seen in of_log().filter(|seen| seen.size > found.index) {
            match held_by.iter_mut().find(|held| held.witness == seen.witness) {
                Some(held) if seen.time_s < held.time_s => *held = seen,
                Some(_) => {}
                None => held_by.push(seen),
            }
        }
        held_by.sort_by_key(|seen| seen.time_s);
        let not_yet = of_log().filter(|seen| seen.size <= found.index).max_by_key(|seen| seen.time_s);
        Answer { held_by, not_yet }
    }
}

pub(crate) async fn run(args: &Args, node: &NodeArgs, output: Output) -> anyhow::Result<Outcome> {
    let fetched = match &args.bundle {
        Some(_) => None,
        None => Some(fetch(args, node, output).await?),
    };
    let path = args.bundle.as_ref().or(fetched.as_ref()).expect("one of the two is there");
    let mut question = Question { record: args.record, cosigned: Vec::new(), found: None, receipts: 0 };
    let found = verified(path, &args.trust, &mut question, output);
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
    let asked = AuditFetch { scope: Scope::Record(args.record), payloads: false, resume: None };
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
    lines.push("NOT SHOWN:".to_owned());
    lines.push(match question.receipts {
        0 => "  whether anybody held its payload: that takes receipt entries, and there are none here"
            .to_owned(),
        some => format!(
            "  whether anybody held its payload: this version does not read the {some} receipt entries here"
        ),
    });
    lines
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
        "payload_possession": "not shown",
        "receipts": question.receipts,
    })
}
