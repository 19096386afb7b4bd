//! `hashpact status`: how the node is, in a few lines.

use hashpact_client::Client;
use hashpact_protocol::api::{
    BranchStatus, CatchUp, ErasureStatus, HoldingStatus, IncidentJson, LogStatus, ReceiptStatus, ScrubStatus,
    StatusResponse, WebhookStatus,
};

use super::exit::Outcome;
use super::incident::coverage;
use super::output::{Output, grouped, printable};

pub(crate) async fn run(client: &Client, output: Output) -> anyhow::Result<Outcome> {
    let status = client.status().await?;
    if output.json {
        output.json_line(&status);
    } else {
        show(&status, output);
    }
    Ok(if status.complete { Outcome::Done } else { Outcome::Incomplete })
}

/// When the roster expires, and whether a newer one is held back.
fn expiry(status: &StatusResponse) -> String {
    let expires = status.roster_expires.as_ref().filter(|_| !status.roster_expired);
    let expires = expires.map_or(String::new(), |time| format!(", expires {time}"));
    match status.roster_newer {
        Some(newer) => {
            format!("{expires}; a member holds version {newer}, which was not given to this node yet")
        }
        None => expires,
    }
}

/// What a read replica knows of its author; nothing for an author.
fn role(status: &StatusResponse) -> String {
    let Some(author) = &status.author else { return String::new() };
    let whom = author.peer.as_deref().map_or("not known".to_owned(), |peer| format!("peer {peer}"));
    let is = if author.connected { "connected" } else { "NOT connected" };
    let listed = if author.listed { "" } else { "; NOT on its card" };
    format!(", read replica (author {whom}, {is}{listed})")
}

fn show(status: &StatusResponse, output: Output) {
    let yes = |word: bool| if word { "yes" } else { "NO" };
    let expired = if status.roster_expired { " (EXPIRED: look-ups and retractions go on)" } else { "" };
    let signals: Vec<String> =
        status.index.iter().map(|(kind, count)| format!("{} {kind}", grouped(*count))).collect();
    let complete = match (&status.reason, status.complete) {
        (_, true) => "yes".to_owned(),
        (Some(reason), false) => format!("NO: {reason}"),
        (None, false) => "NO".to_owned(),
    };
    let appending = match (&status.append_blocked, status.appending) {
        (_, true) => "yes".to_owned(),
        (Some(reason), false) => format!("NO: {reason}"),
        (None, false) => "NO".to_owned(),
    };
    let fields = [
        ("node of", format!("{} in {}{}", status.member, status.consortium, role(status))),
        ("roster", format!("version {}{expired}{}", status.roster, expiry(status))),
        ("program", format!("{}, up {}", status.version, duration(status.uptime_s))),
        ("ready", yes(status.ready).to_owned()),
        ("complete", complete),
        ("appending", appending),
        ("catch-up", status.catch_up.as_ref().map_or("done".to_owned(), catch_up)),
        ("scrub", status.scrub.as_ref().map_or("off".to_owned(), scrub)),
        ("erasures", erasures(&status.erasures)),
        ("signals", if signals.is_empty() { "none".to_owned() } else { signals.join(", ") }),
    ];
    for (name, value) in fields {
        output.line(&format!("{name:<10} {}", printable(&value)));
    }
    attention(status, output);
    output.line("");
    logs(status, output);
    output.line("");
    if status.receipts.is_empty() {
        output.line("no member has stated yet whose payloads it holds");
    } else {
        let receipts: Vec<Vec<String>> = status.receipts.iter().map(receipt).collect();
        output.table(&["receipt of", "stated", "holds the payloads of"], &receipts);
    }
    output.line("");
    let peers: Vec<Vec<String>> = status
        .peers
        .iter()
        .map(|peer| {
            let connected = if peer.connected { "connected" } else { "NOT CONNECTED" };
            vec![printable(&peer.member), connected.to_owned()]
        })
        .collect();
    output.table(&["peer", "connection"], &peers);
}

/// What somebody should look at.
fn attention(status: &StatusResponse, output: Output) {
    for problem in status.scrub.iter().flat_map(|scrub| &scrub.problems) {
        output.line(&format!("{:<10} DAMAGED: {}", "", printable(problem)));
    }
    for alarm in &status.alarms {
        output.line(&format!("ALARM {}: {}", printable(&alarm.name), printable(&alarm.message)));
    }
    if status.quarantine_waiting > 0 {
        let floods = grouped(status.quarantine_waiting);
        output.line(&format!("{:<10} {floods} WAIT FOR A DECISION: hashpact quarantine show", "floods"));
    }
    for incident in &status.incidents {
        output.line(&format!("{:<10} {}", "incident", printable(&open(incident))));
    }
    for hook in status.webhooks.iter().filter(|hook| hook.failing_since.is_some() || hook.dead_letters > 0) {
        output.line(&format!("{:<10} {}", "webhook", printable(&webhook(hook))));
    }
    if !status.muted.is_empty() {
        output.line(&format!("{:<10} {}", "muted", printable(&status.muted.join(", "))));
    }
    for rival in &status.roster_rivals {
        output.line(&format!("roster     RIVAL: governance signed another version {}", printable(rival)));
    }
    if status.restored {
        output.line("restored from a backup: no payloads are shown before the node has caught up");
    }
}

fn logs(status: &StatusResponse, output: Output) {
    let logs: Vec<Vec<String>> = status
        .logs
        .iter()
        .map(|log| {
            let behind = log.announced.saturating_sub(log.size);
            vec![
                printable(&log.origin),
                grouped(log.size),
                grouped(behind),
                grouped(log.void),
                grouped(log.opaque),
                grouped(log.without_payload),
                cosigned(log),
            ]
        })
        .collect();
    output.table(&["log", "entries", "behind", "void", "opaque", "no payload", "cosigned"], &logs);
    for log in status.logs.iter().filter(|log| log.forked) {
        fork(log).iter().for_each(|line| output.line(line));
    }
    for log in status.logs.iter().filter(|log| log.ahead > 0) {
        output.line(&format!("{}: {}", printable(&log.origin), ahead(log)));
    }
}

/// An open incident, and how far the word of it has come.
fn open(incident: &IncidentJson) -> String {
    let IncidentJson { incident: id, class, declared, coverage: covered, .. } = incident;
    let covered = covered.as_ref().map_or_else(String::new, |covered| format!(": {}", coverage(covered)));
    format!("{id} ({class}), declared by {} on {}{covered}", declared.member, declared.time)
}

/// A webhook that is not well.
fn webhook(hook: &WebhookStatus) -> String {
    let failing = match (&hook.failing_since, &hook.last_error) {
        (Some(since), Some(error)) => format!(
            "NOTHING ACCEPTED since {since}: {error}; {} changes behind, {} attempts",
            grouped(hook.behind),
            grouped(u64::from(hook.attempts))
        ),
        _ => "accepts again".to_owned(),
    };
    match hook.dead_letters {
        0 => format!("{}: {failing}", hook.name),
        dead => {
            format!("{}: {failing}; {} GIVEN UP: data/webhooks/{}.dead", hook.name, grouped(dead), hook.name)
        }
    }
}

/// What counts already of a log that is behind.
fn ahead(log: &LogStatus) -> String {
    let entries = if log.ahead == 1 {
        "1 urgent entry is".to_owned()
    } else {
        format!("{} urgent entries are", grouped(log.ahead))
    };
    format!(
        "{entries} in force already (retractions and the like), though the entries before have not arrived"
    )
}

/// Whose payloads a member states that it holds: what is lacking first.
fn receipt(receipt: &ReceiptStatus) -> Vec<String> {
    let (lacking, whole): (Vec<_>, Vec<_>) = receipt.holdings.iter().partition(|holding| holding.lacking > 0);
    let mut said: Vec<String> = lacking.into_iter().map(lacks).collect();
    let unstated: u64 = receipt.holdings.iter().map(|holding| holding.unstated).fold(0, u64::saturating_add);
    let entries: u64 = whole.iter().map(|holding| holding.size).fold(0, u64::saturating_add);
    if !whole.is_empty() {
        let logs = if whole.len() == 1 { "1 log".to_owned() } else { format!("{} logs", whole.len()) };
        said.push(format!("all {} entries of {logs}", grouped(entries)));
    }
    if unstated > 0 {
        said.push(format!("{} newer entries not stated yet", grouped(unstated)));
    }
    vec![printable(&receipt.member), printable(&receipt.time), said.join("; ")]
}

fn lacks(holding: &HoldingStatus) -> String {
    let first = holding.first_lacking.map_or_else(String::new, |index| format!(", the first at {index}"));
    format!(
        "LACKS {} of {} payloads of {}{first}",
        grouped(holding.lacking),
        grouped(holding.size),
        printable(&holding.log)
    )
}

/// How far catching up is, in words.
fn catch_up(progress: &CatchUp) -> String {
    let remaining = progress.remaining_s.map_or("nothing arrives".to_owned(), |seconds| {
        format!("{} a second, about {} left", grouped(progress.entries_per_s), duration(seconds))
    });
    let (held, offered) = (grouped(progress.entries_held), grouped(progress.entries_offered));
    let percent = u128::from(progress.entries_held) * 100 / u128::from(progress.entries_offered.max(1));
    format!("{held} of {offered} entries ({percent} %), {remaining}")
}

/// What reading everything again has found.
fn scrub(scrub: &ScrubStatus) -> String {
    let place = scrub.place.as_ref().map_or_else(
        || "resting".to_owned(),
        |place| format!("at {} of {} entries of {}", grouped(place.entries), grouped(place.size), place.log),
    );
    let whole = scrub.last_whole.as_deref().unwrap_or("never yet");
    format!(
        "{} found, {} healed; all whole {whole}; {place}, {} passes",
        grouped(scrub.found),
        grouped(scrub.healed),
        grouped(scrub.passes)
    )
}

/// Payloads that are gone or wait to go, in words.
fn erasures(status: &ErasureStatus) -> String {
    let due = match (&status.next_due, status.sealed) {
        (_, 0) => String::new(),
        (Some(due), _) => format!(" (the first destroyed on {due})"),
        (None, _) => " (contested: destroyed once the roster settles it)".to_owned(),
    };
    let held =
        if status.held == 0 { String::new() } else { format!(", {} on legal hold", grouped(status.held)) };
    format!("{} sealed{due}, {} destroyed{held}", grouped(status.sealed), grouped(status.erased))
}

/// How far witnesses vouch for a log, how old that is, and how many faults it tolerates.
fn cosigned(log: &LogStatus) -> String {
    let cosigned = &log.cosigned;
    let fork = if log.forked { "FORKED; " } else { "" };
    if cosigned.witnesses == 0 {
        return format!("{fork}no witnesses");
    }
    let age = cosigned.age_s.map_or_else(|| "never".to_owned(), |age_s| format!("{} ago", duration(age_s)));
    let quorum = if cosigned.has_quorum { "" } else { "NO QUORUM, " };
    format!(
        "{fork}{quorum}{} by {} of {} (quorum {}, tolerates {} faults), {age}",
        grouped(cosigned.size),
        cosigned.by.len(),
        cosigned.witnesses,
        cosigned.quorum,
        cosigned.faults_tolerated
    )
}

/// Where the two histories of a forked log part, and what this node holds of each.
fn fork(log: &LogStatus) -> Vec<String> {
    let parts = match log.diverges_at {
        Some(index) => format!("they part at entry {}", grouped(index)),
        None => "where they part is not known yet".to_owned(),
    };
    let head = format!("FORKED: {}: its author signed two histories; {parts}", printable(&log.origin));
    let branch = |branch: &BranchStatus| {
        let root = printable(branch.root.get(..12).unwrap_or(&branch.root));
        let (size, held) = (grouped(branch.size), grouped(branch.held.min(branch.size)));
        let kept =
            branch.kept_from.map(|from| format!(", from {} on beside what is followed", grouped(from)));
        let stand = match (branch.followed, branch.too_long) {
            (_, true) => ", NOT kept: longer than what a node keeps beside".to_owned(),
            (true, false) => format!(", followed{}", kept.unwrap_or_default()),
            (false, false) => kept.unwrap_or_else(|| ", nothing kept of what differs".to_owned()),
        };
        format!("  of {size} entries, root {root}…: {held} held{stand}")
    };
    std::iter::once(head).chain(log.branches.iter().map(branch)).collect()
}

/// A duration in its two largest units.
pub(super) fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn catching_up_is_said_with_an_estimate_or_without() {
        let mut progress =
            CatchUp { entries_held: 250, entries_offered: 1_000, entries_per_s: 10, remaining_s: Some(75) };
        assert_eq!(catch_up(&progress), "250 of 1,000 entries (25 %), 10 a second, about 1 min 15 s left");
        progress.remaining_s = None;
        assert_eq!(catch_up(&progress), "250 of 1,000 entries (25 %), nothing arrives");
    }

    #[test]
    fn receipts_say_what_is_lacking_first() {
        let holding = |log: &str, size, lacking, unstated| HoldingStatus {
            log: log.to_owned(),
            size,
            lacking,
            first_lacking: (lacking > 0).then_some(7),
            unstated,
        };
        let mut stated = ReceiptStatus {
            member: "birch".to_owned(),
            log: "c/birch/0".to_owned(),
            index: 4,
            time: "2026-01-01T00:00:00Z".to_owned(),
            holdings: vec![
                holding("c/ash/0", 1_000, 0, 0),
                holding("c/oak/0", 200, 0, 30),
                holding("c/elm/0", 50, 3, 0),
            ],
        };
        assert_eq!(
            receipt(&stated)[2],
            "LACKS 3 of 50 payloads of c/elm/0, the first at 7; all 1,200 entries of 2 logs; 30 newer entries not stated yet"
        );
        stated.holdings.truncate(1);
        assert_eq!(receipt(&stated), ["birch", "2026-01-01T00:00:00Z", "all 1,000 entries of 1 log"]);
    }

    #[test]
    fn what_is_ahead_is_said_as_a_sentence() {
        let log: LogStatus =
            serde_json::from_str(r#"{"origin": "c/ash/0", "size": 3, "announced": 900, "ahead": 2}"#)
                .expect("a log");
        assert!(ahead(&log).starts_with("2 urgent entries are in force already"), "{}", ahead(&log));
    }

    #[test]
    fn durations() {
        assert_eq!([5, 65, 3_700, 90_000].map(duration), ["5 s", "1 min 5 s", "1 h 1 min", "1 d 1 h"]);
    }
}
