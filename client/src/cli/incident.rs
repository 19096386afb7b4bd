//! `hashpact incident`: content incidents, in the manner of GIFCT's Content Incident Protocol.

use hashpact_client::Client;
use hashpact_protocol::api::{CoverageJson, IncidentJson, IncidentRequest};
use hashpact_protocol::record::{ClosingReason, IncidentClass};

use super::exit::Outcome;
use super::labels::words;
use super::output::{Output, counted, printable};
use super::status::duration;

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Declare an incident; prints its id, which records name with --incident
    Declare {
        /// What sort it is; there is no room to say more
        #[arg(long, value_name = "CLASS", value_parser = words::<IncidentClass>())]
        class: Option<String>,
    },
    /// Close an incident, for good
    Close {
        /// Its id, 32 hex digits
        #[arg(value_name = "ID")]
        incident: String,
        /// Why
        #[arg(long, value_name = "REASON", value_parser = words::<ClosingReason>())]
        reason: Option<String>,
    },
    /// Show incidents, open and closed
    List,
}

pub(crate) async fn run(command: &Command, client: &Client, output: Output) -> anyhow::Result<Outcome> {
    let request = match command {
        Command::Declare { class } => IncidentRequest {
            step: "declared".to_owned(),
            class: class.clone(),
            ..IncidentRequest::default()
        },
        Command::Close { incident, reason } => IncidentRequest {
            step: "closed".to_owned(),
            incident: Some(incident.clone()),
            closing: reason.clone(),
            ..IncidentRequest::default()
        },
        Command::List => return list(client, output).await,
    };
    let done = client.incident(&request).await?;
    if output.json {
        output.json_line(&done);
    } else {
        output.line(&printable(&format!(
            "incident {} {} as {} ({} #{})",
            done.incident, request.step, done.receipt.record, done.receipt.log, done.receipt.index
        )));
    }
    Ok(Outcome::Done)
}

async fn list(client: &Client, output: Output) -> anyhow::Result<Outcome> {
    let incidents = client.incidents().await?.incidents;
    if output.json {
        incidents.iter().for_each(|incident| output.json_line(incident));
        return Ok(Outcome::Done);
    }
    let row = |incident: &IncidentJson| {
        let closed = incident.closed.as_ref().map_or("open".to_owned(), |closed| {
            let why = closed.reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            format!("closed by {} on {}{why}", closed.member, closed.time)
        });
        vec![
            printable(&incident.incident),
            printable(&incident.class),
            printable(&format!("{} on {}", incident.declared.member, incident.declared.time)),
            printable(&closed),
            printable(&incident.coverage.as_ref().map_or_else(|| "-".to_owned(), coverage)),
        ]
    };
    output.table(
        &["incident", "class", "declared by", "state", "its word has come"],
        &incidents.iter().map(row).collect::<Vec<_>>(),
    );
    output.note(&counted(incidents.len() as u64, "incident", "incidents"));
    Ok(Outcome::Done)
}

/// How far the word of an incident has come, in a sentence.
pub(super) fn coverage(coverage: &CoverageJson) -> String {
    let CoverageJson { covered, members, counted_since, by_member } = coverage;
    let last = by_member.iter().filter_map(|state| state.ms).max();
    let after = last.map_or_else(String::new, |ms| format!(" after {}", precise(ms)));
    let since = counted_since.as_ref().map_or_else(String::new, |time| format!(" (counted since {time})"));
    let unknown: Vec<&str> =
        by_member.iter().filter(|state| state.ms.is_none()).map(|state| state.member.as_str()).collect();
    let rest =
        if unknown.is_empty() { String::new() } else { format!("; {}: not yet known", unknown.join(", ")) };
    format!("held by {covered} of {members} members{after}{since}{rest}")
}

/// A time to a tenth of a second below a minute, then as everywhere.
fn precise(ms: u64) -> String {
    if ms < 60_000 { format!("{}.{} s", ms / 1_000, ms % 1_000 / 100) } else { duration(ms / 1_000) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hashpact_protocol::api::MemberCoverage;

    fn of(states: &[(&str, Option<u64>)], counted_since: Option<&str>) -> CoverageJson {
        let by_member =
            states.iter().map(|(member, ms)| MemberCoverage { member: (*member).to_owned(), ms: *ms });
        CoverageJson {
            covered: states.iter().filter(|(_, ms)| ms.is_some()).count() as u64,
            members: states.len() as u64,
            counted_since: counted_since.map(str::to_owned),
            by_member: by_member.collect(),
        }
    }

    #[test]
    fn coverage_is_said_with_who_is_not_known() {
        let mut states = vec![("acme", Some(40)), ("ash", Some(0)), ("birch", None), ("elm", Some(450))];
        let some = coverage(&of(&states, None));
        assert_eq!(some, "held by 3 of 4 members after 0.4 s; birch: not yet known");
        states[2].1 = Some(61_900);
        assert_eq!(coverage(&of(&states, None)), "held by 4 of 4 members after 1 min 1 s");
        let since = coverage(&of(&states[..2], Some("2026-01-01T00:00:00.000Z")));
        assert_eq!(since, "held by 2 of 2 members after 0.0 s (counted since 2026-01-01T00:00:00.000Z)");
        let none = coverage(&of(&[("birch", None), ("elm", None)], None));
        assert_eq!(none, "held by 0 of 2 members; birch, elm: not yet known");
    }
}
