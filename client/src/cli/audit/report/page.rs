//! The page: first what it rests on, then figures, then tables; readable on paper.

use std::fmt::Write as _;

use hashpact_client::bundle::FileFindings;
use hashpact_protocol::api::time::rfc3339_seconds;
use hashpact_protocol::digest::hex_encode;

use super::plot::{self, Series, escape};
use super::tables::{DAY_MS, Table, sum};
use super::tally::{Activity, Dispute, Summary};
use crate::cli::audit::verify;
use crate::cli::output::{counted, grouped};

/// Rows of a table that are shown; the file beside it has all.
const ROWS_SHOWN_MAX: usize = 16;

const STYLE: &str = "
:root{color-scheme:light}
body{font:16px/1.5 system-ui,sans-serif;color:#222;max-width:920px;margin:2rem auto;padding:0 1.2rem}
h1{font-size:1.7rem;margin:0 0 .2rem}h2{font-size:1.25rem;margin:2.6rem 0 .4rem;border-bottom:2px solid #0072b2;padding-bottom:.2rem}
p,ul{margin:.4rem 0}.lead{color:#555}small,.small{font-size:.85rem;color:#555}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(130px,1fr));gap:.7rem;margin:1.2rem 0}
.card{border:1px solid #ccc;border-radius:6px;padding:.6rem .8rem}.card b{display:block;font-size:1.5rem;line-height:1.2}
.good{background:#e8f5ee;border-left:5px solid #009e73;padding:.7rem 1rem;margin:1rem 0}
table{border-collapse:collapse;width:100%;font-size:.88rem;margin:.6rem 0}
th,td{padding:.28rem .5rem;text-align:right;border-bottom:1px solid #ddd}th{background:#f3f6f9;text-align:right}
th:first-child,td:first-child,td.word,th.word{text-align:left}
svg{max-width:100%;height:auto}svg text{font:12px system-ui,sans-serif;fill:#333}
.legend{font-size:.85rem}.legend span{margin-right:1.1rem;white-space:nowrap}.legend i{display:inline-block;width:.8em;height:.8em;margin-right:.35em;border-radius:2px}
.bar{display:grid;grid-template-columns:11rem 1fr 8rem;gap:.6rem;align-items:center;font-size:.88rem;margin:.12rem 0}
.bar i{display:block;height:.85rem;background:#0072b2;border-radius:2px;print-color-adjust:exact;-webkit-print-color-adjust:exact}
.bars{display:grid;grid-template-columns:1fr;gap:.9rem}.bars h3{font-size:1rem;margin:.4rem 0 .2rem}
code{font-size:.8rem;word-break:break-all}
@media print{body{font-size:11pt;margin:0;max-width:none}h2{break-after:avoid}svg,table,.bars>div{break-inside:avoid}*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
";

/// The whole page.
pub(super) fn html(summary: &Summary, tables: &[Table], found: &FileFindings, stem: &str) -> String {
    let sections = [
        head(summary, found),
        activity(summary, tables, stem),
        growth(summary),
        disputes(summary, tables, stem),
        sources(summary, tables, stem),
        labels(summary, stem),
        held(tables, stem),
        cosigning(tables, stem),
        basis(found),
    ];
    format!(
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><meta name='viewport' content='width=device-width'>\
         <title>Hashpact audit report</title><style>{STYLE}</style></head><body>{}</body></html>\n",
        sections.concat()
    )
}

fn head(summary: &Summary, found: &FileFindings) -> String {
    let findings = &found.findings;
    let consortium =
        findings.manifest.as_ref().map(|manifest| escape(&manifest.consortium)).unwrap_or_default();
    let scope = findings.manifest.as_ref().map(|manifest| escape(&manifest.scope.text())).unwrap_or_default();
    let written = findings.statement.as_ref().map_or_else(String::new, |statement| {
        format!(
            "Written by member <b>{}</b> on {}.",
            escape(statement.member.as_str()),
            rfc3339_seconds(statement.ended_s)
        )
    });
    let period = match (summary.months.first(), summary.months.last()) {
        (Some(first), Some(last)) => format!("{first} to {last}"),
        _ => "no entries".to_owned(),
    };
    let total = sum(summary.activity.values());
    let open = summary.disputes.iter().filter(|dispute| dispute.resolved.is_none()).count() as u64;
    let cards = [
        (total.contributed, "records contributed"),
        (total.retracted, "retracted by their author"),
        (total.disputed, "disputed by another member"),
        (open, "disputes still open"),
        (total.corrected, "corrected"),
        (total.erased, "ordered to be erased"),
    ];
    let mut text = format!(
        "<h1>Audit report</h1><p class='lead'>Consortium {consortium} · scope: {scope} · entries from {period}. {written}</p>\
         <div class='good'><b>Everything in this bundle verified.</b> Each entry counted here is in a log whose head its author signed. \
         The times are the authors' own statements. What is proven, claimed and missing is listed at the end.</div><div class='cards'>"
    );
    for (count, what) in cards {
        let _ = write!(text, "<div class='card'><b>{}</b>{what}</div>", grouped(count));
    }
    text + "</div>"
}

fn activity(summary: &Summary, tables: &[Table], stem: &str) -> String {
    let months: Vec<String> = summary.months.iter().cloned().collect();
    let of_month =
        |month: &String| sum(summary.activity.iter().filter(|((_, of), _)| of == month).map(|(_, one)| one));
    let totals: Vec<Activity> = months.iter().map(of_month).collect();
    let series = |name: &str, value: fn(&Activity) -> u64| Series {
        name: name.to_owned(),
        values: totals.iter().map(|one| value(one) as f64).collect(),
    };
    let added = plot::columns(
        "Records contributed each month",
        &months,
        &by_member(summary, &months, |one| one.contributed),
    );
    let removed = [
        series("disputed", |one| one.disputed),
        series("retracted", |one| one.retracted),
        series("corrected", |one| one.corrected),
        series("erased", |one| one.erased),
    ];
    let removed = plot::columns("Disputed, retracted, corrected and erased each month", &months, &removed);
    format!(
        "<h2>What was added, and what was taken back</h2>{}<h3>Contributed each month, by member</h3>{added}\
         <h3>Disputed, retracted, corrected, erased each month</h3>{removed}\
         <p class='small'>A record counts as disputed in the month in which the first other member disagreed. Per member and month: \
         <code>{stem}-months.csv</code>.</p>",
        table(tables, "members", stem)
    )
}

fn by_member(summary: &Summary, months: &[String], value: fn(&Activity) -> u64) -> Vec<Series> {
    let of = |member: &String, month: &String| {
        summary.activity.get(&(member.clone(), month.clone())).map_or(0.0, |one| value(one) as f64)
    };
    let series = |member: &String| Series {
        name: member.clone(),
        values: months.iter().map(|month| of(member, month)).collect(),
    };
    summary.members.iter().map(series).collect()
}

fn growth(summary: &Summary) -> String {
    let months: Vec<String> = summary.months.iter().cloned().collect();
    let mut series = by_member(summary, &months, |one| one.contributed);
    for one in &mut series {
        let mut so_far = 0.0;
        for value in &mut one.values {
            so_far += *value;
            *value = so_far;
        }
    }
    let lines = plot::lines("Records contributed so far", &months, &series);
    format!(
        "<h2>Growth</h2><p class='small'>Records contributed so far, by member; withdrawn ones included.</p>{lines}"
    )
}

fn disputes(summary: &Summary, tables: &[Table], stem: &str) -> String {
    let mut text = "<h2>Disputes, and how long they took</h2>".to_owned();
    if summary.disputes.is_empty() {
        return text + "<p>No record was disputed.</p>";
    }
    let mut days: Vec<f64> = summary.disputes.iter().filter_map(days_to_resolve).collect();
    days.sort_by(f64::total_cmp);
    let open: Vec<&Dispute> = summary.disputes.iter().filter(|dispute| dispute.resolved.is_none()).collect();
    let oldest =
        open.iter().map(|dispute| (summary.newest_ms.saturating_sub(dispute.opened_ms)) / DAY_MS).max();
    let median = days.get(days.len() / 2).map_or_else(|| "–".to_owned(), |days| format!("{days:.1} days"));
    let slowest = days.last().map_or_else(|| "–".to_owned(), |days| format!("{days:.1} days"));
    let oldest = oldest.map_or_else(|| "none".to_owned(), |days| counted(days, "day", "days"));
    let _ = write!(
        text,
        "<p>{} in all: {} resolved (median {median}, slowest {slowest}), {} open (the oldest for {oldest}, as of the newest time \
         stated). A dispute ends when its author retracts, or when nobody who disagreed still does.</p>",
        counted(summary.disputes.len() as u64, "dispute", "disputes"),
        days.len(),
        open.len()
    );
    let bounds = [
        ("1 day", 1.0),
        ("3 days", 3.0),
        ("7 days", 7.0),
        ("30 days", 30.0),
        ("90 days", 90.0),
        ("longer", f64::MAX),
    ];
    let mut names: Vec<String> = bounds
        .iter()
        .map(|(name, _)| if *name == "longer" { (*name).to_owned() } else { format!("≤ {name}") })
        .collect();
    let mut counts = vec![0.0; bounds.len()];
    for one in &days {
        let at = bounds.iter().position(|(_, bound)| one <= bound).unwrap_or(bounds.len() - 1);
        counts[at] += 1.0;
    }
    names.push("open".to_owned());
    counts.push(open.len() as f64);
    let series = [Series { name: "disputes, by time until resolved".to_owned(), values: counts }];
    text + &plot::columns("Time until disputes were resolved", &names, &series)
        + &table(tables, "disputes", stem)
}

fn days_to_resolve(dispute: &Dispute) -> Option<f64> {
    dispute.resolved.map(|(time_ms, _)| (time_ms - dispute.opened_ms) as f64 / DAY_MS as f64)
}

fn sources(summary: &Summary, tables: &[Table], stem: &str) -> String {
    let mut text = "<h2>Independent sources and overlap</h2>".to_owned();
    if summary.overlap.is_empty() {
        return text
            + "<p>No payload in this bundle could be read, so nothing is known about signals and sources.</p>";
    }
    let all: u64 = summary.sources.values().sum();
    let several: u64 =
        summary.sources.iter().filter(|(sources, _)| **sources > 1).map(|(_, signals)| signals).sum();
    let names: Vec<String> = summary.members.iter().cloned().collect();
    let shared = |a: &String, b: &String| {
        let pair = if a <= b { (a.clone(), b.clone()) } else { (b.clone(), a.clone()) };
        summary.overlap.get(&pair).copied().unwrap_or(0)
    };
    let _ = write!(
        text,
        "<p>{} different signals; {} of them ({:.1} %) were stated by more than one independent source: the organisation that a record \
         names, else the member itself. Importing one list twice does not make two sources.</p>",
        grouped(all),
        grouped(several),
        several as f64 * 100.0 / all.max(1) as f64
    );
    if names.len() <= 16 {
        let cell = |row: usize, column: usize| match (names.get(row), names.get(column)) {
            (Some(a), Some(b)) => {
                let share = shared(a, b) as f64 / shared(a, a).max(1) as f64;
                (share, if a == b { "–".to_owned() } else { format!("{:.0} %", share * 100.0) })
            }
            _ => (0.0, String::new()),
        };
        let cell = |row, column| if row == column { (0.0, "–".to_owned()) } else { cell(row, column) };
        text += "<h3>Share of a member's signals (row) that another one (column) stated too</h3>";
        text += &plot::matrix("Overlap between members", &names, cell);
    }
    text + &table(tables, "overlap", stem) + &table(tables, "sources", stem)
}

fn labels(summary: &Summary, stem: &str) -> String {
    let mut text = format!(
        "<h2>Labels</h2><p class='small'>Of the {} records whose payload is in the bundle ({} more are not readable in it). \
         <code>{stem}-taxonomy.csv</code></p><div class='bars'>",
        grouped(summary.read),
        grouped(summary.unread)
    );
    let mut fields: Vec<&str> = summary.labels.keys().map(|(field, _)| *field).collect();
    fields.dedup();
    for field in fields {
        let _ = write!(text, "<div><h3>{}</h3>", field.replace('_', " "));
        let of_field = || summary.labels.iter().filter(|((of, _), _)| *of == field);
        let all: u64 = of_field().map(|(_, count)| count).sum();
        for ((_, word), count) in of_field() {
            let percent = *count as f64 * 100.0 / all.max(1) as f64;
            let _ = write!(
                text,
                "<div class='bar'><span>{word}</span><i style='width:{:.1}%'></i><span>{} · {percent:.1} %</span></div>",
                percent.max(0.3),
                grouped(*count)
            );
        }
        text += "</div>";
    }
    text + "</div>"
}

fn held(tables: &[Table], stem: &str) -> String {
    "<h2>Payloads</h2><p class='small'>“Present” is proven: it is what the entry commits to. All other columns up to “not here” are the word \
     of the member that wrote the bundle. Void entries break a rule and never count.</p>"
        .to_owned()
        + &table(tables, "payloads", stem)
}

fn cosigning(tables: &[Table], stem: &str) -> String {
    "<h2>Cosigning</h2><p class='small'>A witness that cosigned a head holds every entry below it, by its own statement. “Quorum up to” is the \
     largest size that enough witnesses cosigned; entries behind it rest on the author's signature alone, and up to there a \
     different history shown to somebody else would have needed the help of a third of the witnesses.</p>"
        .to_owned()
        + &table(tables, "cosigning", stem)
}

fn basis(found: &FileFindings) -> String {
    let list = |lines: Vec<String>| {
        lines.iter().fold(String::new(), |text, line| text + &format!("<li>{}</li>", escape(line.trim())))
    };
    let core = found
        .findings
        .manifest
        .as_ref()
        .map(|manifest| hex_encode(&manifest.core_digest()))
        .unwrap_or_default();
    format!(
        "<h2>What this report rests on</h2><h3>Proven</h3><ul class='small'>{}</ul><h3>Claimed, not proven</h3><ul class='small'>{}</ul>\
         <h3>Missing, or not answered</h3><ul class='small'>{}</ul><p class='small'>Core of the bundle: <code>{core}</code>. Anybody with \
         these heads can write the same core, and anybody with the bundle can run this report again. Signals are counted and compared \
         here, never shown.</p>",
        list(verify::proven(found)),
        list(verify::claimed(found)),
        list(verify::missing(found))
    )
}

/// A table of the page; long ones are cut, and say so.
fn table(tables: &[Table], name: &str, stem: &str) -> String {
    let Some(table) = tables.iter().find(|table| table.name == name) else { return String::new() };
    let is_number = |cell: &str| cell.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let cell = |cell: &String| {
        if cell.bytes().all(|byte| byte.is_ascii_digit()) && !cell.is_empty() {
            format!("<td>{}</td>", cell.parse().map_or_else(|_| cell.clone(), grouped))
        } else {
            format!("<td{}>{}</td>", if is_number(cell) { "" } else { " class='word'" }, escape(cell))
        }
    };
    let is_word = |column: usize| {
        table.rows.first().and_then(|row| row.get(column)).is_some_and(|cell| !is_number(cell))
    };
    let mut text = "<table><thead><tr>".to_owned();
    for (column, name) in table.header.iter().enumerate() {
        let class = if is_word(column) { " class='word'" } else { "" };
        let _ = write!(text, "<th{class}>{}</th>", name.replace('_', " "));
    }
    text += "</tr></thead><tbody>";
    for row in table.rows.iter().take(ROWS_SHOWN_MAX) {
        let _ = write!(text, "<tr>{}</tr>", row.iter().map(cell).collect::<String>());
    }
    text += "</tbody></table>";
    let hidden = table.rows.len().saturating_sub(ROWS_SHOWN_MAX);
    let all = if hidden > 0 {
        format!("{} more rows are in ", grouped(hidden as u64))
    } else {
        "As a file: ".to_owned()
    };
    text + &format!("<p class='small'>{all}<code>{}-{name}.csv</code></p>", escape(stem))
}
