//! `hashpact incident`: content incidents, in the manner of GIFCT's Content Incident Protocol.

use hashpact_client::Client;
use hashpact_protocol::api::{IncidentJson, IncidentRequest};
use hashpact_protocol::record::{ClosingReason, IncidentClass};

use super::exit::Outcome;
use super::labels::words;
use super::output::{Output, counted, printable};

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
        ]
    };
    output.table(
        &["incident", "class", "declared by", "state"],
        &incidents.iter().map(row).collect::<Vec<_>>(),
    );
    output.note(&counted(incidents.len() as u64, "incident", "incidents"));
    Ok(Outcome::Done)
}
