//! The tables of a report, as they stand in CSV files and in the page.

use std::collections::BTreeMap;

use hashpact_protocol::api::time::rfc3339_seconds;
use hashpact_protocol::bundle::{Findings, HeadProof};

use super::tally::{Activity, Summary};

/// A day in milliseconds.
pub(super) const DAY_MS: u64 = 86_400_000;

/// One table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) header: Vec<&'static str>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Table {
    /// Comma-separated; no cell holds a comma, a quote or a line break, for all are words, numbers and times.
    pub(super) fn csv(&self) -> String {
        let mut text = format!("{}\n", self.header.join(","));
        for row in &self.rows {
            text.push_str(&row.join(","));
            text.push('\n');
        }
        text
    }
}

/// All tables of a report.
pub(super) fn all(summary: &Summary, findings: &Findings) -> Vec<Table> {
    vec![
        members(summary),
        months(summary),
        disputes(summary),
        sources(summary),
        overlap(summary),
        labels(summary),
        payloads(findings),
        cosigning(findings),
    ]
}

const ACTIVITY: [&str; 6] = ["contributed", "opinions", "disputed", "retracted", "corrected", "erased"];

fn cells(activity: &Activity) -> Vec<String> {
    let Activity { contributed, opinions, retracted, corrected, disputed, erased } = activity;
    [contributed, opinions, disputed, retracted, corrected, erased].map(ToString::to_string).to_vec()
}

/// The sum over some months and members.
pub(super) fn sum<'a>(some: impl Iterator<Item = &'a Activity>) -> Activity {
    some.fold(Activity::default(), |a, b| Activity {
        contributed: a.contributed + b.contributed,
        opinions: a.opinions + b.opinions,
        retracted: a.retracted + b.retracted,
        corrected: a.corrected + b.corrected,
        disputed: a.disputed + b.disputed,
        erased: a.erased + b.erased,
    })
}

fn members(summary: &Summary) -> Table {
    let row = |member: &String| {
        let own = summary.activity.iter().filter(|((of, _), _)| of == member).map(|(_, activity)| activity);
        [vec![member.clone()], cells(&sum(own))].concat()
    };
    let header = [&["member"], ACTIVITY.as_slice()].concat();
    Table { name: "members", header, rows: summary.members.iter().map(row).collect() }
}

fn months(summary: &Summary) -> Table {
    let header = [&["month", "member"], ACTIVITY.as_slice()].concat();
    let mut rows: Vec<Vec<String>> = summary
        .activity
        .iter()
        .map(|((member, month), activity)| [vec![month.clone(), member.clone()], cells(activity)].concat())
        .collect();
    rows.sort();
    Table { name: "months", header, rows }
}

fn disputes(summary: &Summary) -> Table {
    let row = |dispute: &super::tally::Dispute| {
        let (resolved, how, days) = match dispute.resolved {
            Some((time_ms, how)) => {
                let days = (time_ms - dispute.opened_ms) as f64 / DAY_MS as f64;
                (rfc3339_seconds(time_ms / 1000), how, format!("{days:.1}"))
            }
            None => (String::new(), "open", String::new()),
        };
        vec![
            dispute.member.clone(),
            rfc3339_seconds(dispute.opened_ms / 1000),
            resolved,
            how.to_owned(),
            days,
        ]
    };
    let header = vec!["member", "opened", "resolved", "outcome", "days"];
    Table { name: "disputes", header, rows: summary.disputes.iter().map(row).collect() }
}

fn sources(summary: &Summary) -> Table {
    let row = |(sources, signals): (&usize, &u64)| vec![sources.to_string(), signals.to_string()];
    let header = vec!["independent_sources", "signals"];
    Table { name: "sources", header, rows: summary.sources.iter().map(row).collect() }
}

fn overlap(summary: &Summary) -> Table {
    let own = |member: &String| summary.overlap.get(&(member.clone(), member.clone())).copied().unwrap_or(0);
    let row = |((a, b), shared): (&(String, String), &u64)| {
        vec![a.clone(), b.clone(), shared.to_string(), own(a).to_string(), own(b).to_string()]
    };
    let pairs = summary.overlap.iter().filter(|((a, b), _)| a != b);
    let header = vec!["member", "other", "shared_signals", "signals_of_member", "signals_of_other"];
    Table { name: "overlap", header, rows: pairs.map(row).collect() }
}

fn labels(summary: &Summary) -> Table {
    let mut of_field: BTreeMap<&str, u64> = BTreeMap::new();
    for ((field, _), count) in &summary.labels {
        *of_field.entry(*field).or_default() += count;
    }
    let row = |((field, word), count): (&(&str, &str), &u64)| {
        let all = of_field.get(field).copied().unwrap_or(1).max(1);
        let percent = *count as f64 * 100.0 / all as f64;
        vec![(*field).to_owned(), (*word).to_owned(), count.to_string(), format!("{percent:.1}")]
    };
    let header = vec!["label", "word", "records", "percent"];
    Table { name: "taxonomy", header, rows: summary.labels.iter().map(row).collect() }
}

fn payloads(findings: &Findings) -> Table {
    let row = |log: &hashpact_protocol::bundle::LogFindings| {
        let counts = log.payloads;
        let numbers = [
            log.entries,
            counts.present,
            counts.withheld,
            counts.erased,
            counts.held,
            counts.not_here,
            log.void,
            log.opaque,
        ];
        let name = format!("{}/{}", log.log.member, log.log.n);
        [vec![name], numbers.map(|number| number.to_string()).to_vec()].concat()
    };
    let header =
        vec!["log", "entries", "present", "withheld", "erased", "held", "not_here", "void", "not_readable"];
    Table { name: "payloads", header, rows: findings.logs.iter().map(row).collect() }
}

fn cosigning(findings: &Findings) -> Table {
    let row = |log: &hashpact_protocol::bundle::LogFindings| {
        let quorum = log.quorum_size();
        let newest = log.cosigned.values().map(|(_, time_s)| *time_s).max();
        let head = match log.head {
            HeadProof::Nothing => "unsigned",
            HeadProof::Empty => "empty",
            HeadProof::Closed => "closed",
            HeadProof::Signed { .. } => "signed",
        };
        vec![
            format!("{}/{}", log.log.member, log.log.n),
            log.log.size.to_string(),
            head.to_owned(),
            log.witnesses.0.to_string(),
            log.witnesses.1.map_or_else(|| "none".to_owned(), |needed| needed.to_string()),
            log.cosigned.len().to_string(),
            quorum.map_or_else(|| "never".to_owned(), |size| size.to_string()),
            quorum.map_or(log.log.size, |size| log.log.size.saturating_sub(size)).to_string(),
            newest.map_or_else(|| "never".to_owned(), rfc3339_seconds),
        ]
    };
    let header = vec![
        "log",
        "entries",
        "head",
        "witnesses",
        "quorum_needs",
        "cosigned_by",
        "quorum_up_to",
        "entries_behind",
        "newest_cosignature",
    ];
    Table { name: "cosigning", header, rows: findings.logs.iter().map(row).collect() }
}
