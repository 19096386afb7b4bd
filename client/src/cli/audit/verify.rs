//! `hashpact audit verify`: the verdict on a bundle, in four lists.

use std::path::PathBuf;

use hashpact_client::bundle::FileFindings;
use hashpact_protocol::api::time::rfc3339_seconds;
use hashpact_protocol::bundle::{Fork, HeadProof, LogFindings, Manifest, Scope};
use hashpact_protocol::digest::{Root, hex_encode};
use serde_json::json;

use super::{Outcome, Output, parse_trust, verified};
use crate::cli::output::{counted, grouped, printable};

/// Arguments of `audit verify`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The root of roster version 1 decides what the verdict is worth: take it from governance, not from whoever \
                  gave you the file (`hashpact-node roster show` prints it for a file of version 1 alone). Nothing is asked over the network."
)]
pub(crate) struct Args {
    /// The bundle, compressed or not
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The root of roster version 1: 64 hex digits
    #[arg(long, value_name = "ROOT", value_parser = parse_trust)]
    trust: Root,
}

pub(crate) fn run(args: &Args, output: Output) -> anyhow::Result<Outcome> {
    let found = verified(&args.file, &args.trust, &mut (), output)?;
    if output.json {
        output.json_line(&as_json(&found));
    } else {
        lines(&found).iter().for_each(|line| output.line(&printable(line)));
    }
    Ok(if found.is_clean() { Outcome::Done } else { Outcome::NotProven })
}

/// The verdict for a person: what is proven, claimed, missing, wrong.
pub(super) fn lines(found: &FileFindings) -> Vec<String> {
    let mut lines = wrong(found);
    if !found.is_clean() {
        lines.insert(0, "NOT PROVEN: the bundle is damaged, incomplete or not what it says".to_owned());
        return lines;
    }
    lines.push("PROVEN:".to_owned());
    lines.extend(proven(found));
    lines.push("CLAIMED, not proven:".to_owned());
    lines.extend(claimed(found));
    lines.push("MISSING, or not answered by this bundle:".to_owned());
    lines.extend(missing(found));
    lines
}

fn wrong(found: &FileFindings) -> Vec<String> {
    let mut lines: Vec<String> = found
        .damage
        .iter()
        .map(|damage| {
            format!("  DAMAGED  bytes {} to {} of the file: {}", damage.start, damage.end, damage.what)
        })
        .collect();
    let findings = &found.findings;
    lines.extend(findings.problems.iter().map(|problem| format!("  WRONG    {problem}")));
    let hidden = findings.problem_count - findings.problems.len() as u64;
    if hidden > 0 {
        lines.push(format!("  and {} more", counted(hidden, "problem", "problems")));
    }
    if !findings.is_finished {
        lines.push("  The rest was not checked.".to_owned());
    }
    lines
}

pub(super) fn proven(found: &FileFindings) -> Vec<String> {
    let findings = &found.findings;
    let Some(manifest) = &findings.manifest else { return Vec::new() };
    let mut lines = vec![
        format!(
            "  consortium {}, roster version {} from the trusted root on",
            manifest.consortium, manifest.roster_version
        ),
        format!(
            "  core {} (every node with these heads writes the same)",
            hex_encode(&manifest.core_digest())
        ),
        format!("  scope: {}", manifest.scope.text()),
    ];
    lines.extend(findings.logs.iter().map(|log| format!("  log {}: {}", log.origin, log_line(log))));
    lines.extend(findings.forks.iter().flat_map(fork_lines));
    if let Some(journal) = &findings.journal {
        lines.push(format!(
            "  the holder's journal of administrative actions is one chain of {}, the newest with digest {}",
            counted(journal.lines, "line", "lines"),
            hex_encode(&journal.digest)
        ));
    }
    if let Some(statement) = &findings.statement {
        lines.push(format!(
            "  written by {} between {} and {} (its signature; the times are its clock's)",
            statement.member,
            rfc3339_seconds(statement.begun_s),
            rfc3339_seconds(statement.ended_s)
        ));
    }
    lines
}

fn fork_lines(fork: &Fork) -> Vec<String> {
    let (first, second) = fork.sizes;
    let parts = match fork.diverges_at {
        Some(index) => format!("they part at entry {}", grouped(index)),
        None => "where they part is not proven".to_owned(),
    };
    let (first, second) = (grouped(first), grouped(second));
    let head = format!(
        "  FORKED: log {}: its key signed two histories, of {first} and of {second} entries; {parts}",
        fork.origin
    );
    let kept = fork.kept.iter().map(|kept| {
        format!(
            "    the history of {} entries with root {} is here too: every entry from {} on, {}, proven to be what was signed",
            grouped(kept.size),
            kept.root.to_hex(),
            grouped(kept.start),
            counted(kept.payloads, "payload", "payloads")
        )
    });
    std::iter::once(head).chain(kept).collect()
}

fn log_line(log: &LogFindings) -> String {
    let entries = if log.is_whole {
        format!("all {}", counted(log.log.size, "entry", "entries"))
    } else {
        format!("{} of {} entries, at their places", grouped(log.entries), grouped(log.log.size))
    };
    let head = match log.head {
        HeadProof::Empty => return "empty".to_owned(),
        HeadProof::Closed => "closed there by the roster".to_owned(),
        HeadProof::Signed { size } if size == log.log.size => "signed by its author".to_owned(),
        HeadProof::Signed { size } => format!("signed by its author at {}", grouped(size)),
        HeadProof::Nothing => "signed by nobody".to_owned(),
    };
    let cosigned = match (log.witnesses, log.quorum_size()) {
        ((0, _), _) => "no witnesses".to_owned(),
        (_, Some(size)) => format!("cosigned by a quorum up to {}", grouped(size)),
        ((witnesses, _), None) => {
            format!("no quorum ({} of {witnesses} witnesses cosigned)", log.cosigned.len())
        }
    };
    format!(
        "{entries}; {head}; {cosigned}; {} as committed to",
        counted(log.payloads.present, "payload", "payloads")
    )
}

pub(super) fn claimed(found: &FileFindings) -> Vec<String> {
    let findings = &found.findings;
    let sum = |count: fn(&LogFindings) -> u64| findings.logs.iter().map(count).sum::<u64>();
    let markers = [
        (sum(|log| log.payloads.withheld), "withheld"),
        (sum(|log| log.payloads.erased), "erased"),
        (sum(|log| log.payloads.held), "under a legal hold"),
        (sum(|log| log.payloads.not_here), "never received"),
    ];
    let mut lines = vec!["  when each entry was stated: the author's clock".to_owned()];
    let cosigned = findings.logs.iter().any(|log| !log.cosigned.is_empty());
    if cosigned {
        lines.push("  when heads were cosigned: each witness's clock".to_owned());
    }
    if findings.journal.is_some() {
        lines.push("  what the journal says, and that nothing was left out at its end: the word of the holder, who signed it".to_owned());
    }
    for (count, what) in markers.iter().filter(|(count, _)| *count > 0) {
        let payloads = counted(*count, "payload", "payloads");
        lines.push(format!("  {payloads} {what}: the word of the holder, who signed it"));
    }
    lines
}

pub(super) fn missing(found: &FileFindings) -> Vec<String> {
    let findings = &found.findings;
    let sum = |count: fn(&LogFindings) -> u64| findings.logs.iter().map(count).sum::<u64>();
    let mut lines = vec!["  what was stated after these heads".to_owned()];
    if let Some(manifest) = &findings.manifest {
        lines.extend(scope_limit(manifest).map(|limit| format!("  {limit}")));
    }
    if findings.journal.is_none() {
        lines.push(
            "  what was done at the holder's node: its journal is not here (bundles of everything have it)"
                .to_owned(),
        );
    }
    let opaque = sum(|log| log.opaque);
    if opaque > 0 {
        lines.push(format!("  what {} of a newer version say", counted(opaque, "entry", "entries")));
    }
    let void = sum(|log| log.void);
    if void > 0 {
        lines.push(format!("  ({} break a rule and never count)", counted(void, "entry", "entries")));
    }
    for log in findings
        .logs
        .iter()
        .filter(|log| log.log.size > 0 && log.quorum_size().is_none_or(|size| size < log.log.size))
    {
        lines.push(format!(
            "  whether others were shown the same head of {}: no quorum cosigned it",
            log.origin
        ));
    }
    lines
}

/// What a part of the logs cannot show.
fn scope_limit(manifest: &Manifest) -> Option<&'static str> {
    match manifest.scope {
        Scope::All => None,
        Scope::Member(_) => Some(
            "whether other members said more about this member's records: what is here was said, but the other logs are not whole",
        ),
        Scope::Period { .. } => Some(
            "whether more was stated in this time: times are the authors' claims, and entries with other times are not here",
        ),
        Scope::Record(_) => {
            Some("whether more was said about this record: what is here was said, but no log is whole")
        }
    }
}

fn as_json(found: &FileFindings) -> serde_json::Value {
    let findings = &found.findings;
    let logs: Vec<serde_json::Value> = findings
        .logs
        .iter()
        .map(|log| {
            json!({
                "log": log.origin, "size": log.log.size, "root": log.log.root.to_hex(), "whole": log.is_whole,
                "entries": log.entries, "head_proven": log.head != HeadProof::Nothing, "quorum_size": log.quorum_size(),
                "cosigned": log.cosigned.iter().map(|(witness, (size, time_s))| {
                    json!({"witness": witness.as_str(), "size": size, "time": rfc3339_seconds(*time_s)})
                }).collect::<Vec<_>>(),
                "payloads": {"present": log.payloads.present, "withheld": log.payloads.withheld,
                    "erased": log.payloads.erased, "held": log.payloads.held, "not_here": log.payloads.not_here},
                "opaque": log.opaque, "void": log.void,
            })
        })
        .collect();
    let manifest = findings.manifest.as_ref();
    json!({
        "proven": found.is_clean(),
        "core": manifest.map(|manifest| hex_encode(&manifest.core_digest())),
        "consortium": manifest.map(|manifest| manifest.consortium.clone()),
        "scope": manifest.map(|manifest| manifest.scope.text()),
        "holder": findings.statement.as_ref().map(|statement| statement.member.as_str().to_owned()),
        "logs": logs,
        "journal": findings.journal.map(|head| json!({ "lines": head.lines, "sha256": hex_encode(&head.digest) })),
        "forks": findings.forks.iter().map(|fork| json!({
            "log": fork.origin, "sizes": [fork.sizes.0, fork.sizes.1], "diverges_at": fork.diverges_at,
            "roots": [fork.roots.0.to_hex(), fork.roots.1.to_hex()],
            "kept": fork.kept.iter().map(|kept| json!({
                "size": kept.size, "root": kept.root.to_hex(), "start": kept.start, "payloads": kept.payloads,
            })).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "claimed": claimed(found), "missing": missing(found),
        "problem_count": findings.problem_count,
        "problems": findings.problems.iter().map(|problem| json!({
            "member": problem.member, "start": problem.start, "end": problem.end, "rule": problem.rule.to_string()
        })).collect::<Vec<_>>(),
        "damage": found.damage.iter().map(|damage| json!({
            "start": damage.start, "end": damage.end, "what": damage.what
        })).collect::<Vec<_>>(),
        "finished": findings.is_finished,
    })
}
