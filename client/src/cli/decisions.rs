//! `hashpact mutes`, `hashpact negatives`, `hashpact quarantine`: what an operator decides about members, signals and floods.

use std::path::{Path, PathBuf};

use anyhow::bail;
use hashpact_client::Client;
use hashpact_protocol::api::{
    DecisionRequest, FloodJson, MuteRequest, NEGATIVE_SIGNALS_MAX, NegativesRequest, NewSignal, QuerySignal,
};
use hashpact_protocol::limits::PDQ_DISTANCE_MAX;

use super::exit::Outcome;
use super::output::{Output, counted, printable};
use super::queries::Lots;

/// Commands of `mutes`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Mutes {
    /// Show muted members
    Show,
    /// Mute a member: from now on nothing that it states, and no opinion of it, counts at this node
    Add {
        /// The member's id
        #[arg(value_name = "MEMBER")]
        member: String,
        /// Why, for the journal
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Take a mute back
    Remove {
        /// The member's id
        #[arg(value_name = "MEMBER")]
        member: String,
    },
}

/// Commands of `negatives`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Negatives {
    /// Show negative lists
    Show,
    /// Put a negative list in place of its former signals, or as a new one
    Put {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        /// Its signals: CSV, JSON lines (also those of `hash --json`) or TYPE VALUE lines; - reads standard input
        #[arg(value_name = "SIGNALS")]
        signals: PathBuf,
        /// Largest PDQ distance at which it counts, 0 to 64; left out: 16
        #[arg(long, value_name = "BITS", value_parser = clap::value_parser!(u32).range(0..=i64::from(PDQ_DISTANCE_MAX)))]
        radius: Option<u32>,
        /// Pass over CSV columns that are not known
        #[arg(long)]
        ignore_unknown_columns: bool,
    },
    /// Delete a negative list
    Delete {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// Commands of `quarantine`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Quarantine {
    /// Show floods that wait for a decision
    Show {
        /// Show those that were decided as well
        #[arg(long, short)]
        all: bool,
    },
    /// Let the entries of floods count: contributions like any others, withdrawals as withdrawn
    Accept(Decide),
    /// Let the entries of floods not count at this node: contributions never, withdrawn records go on matching for review
    Reject(Decide),
}

/// A decision about floods.
#[derive(Debug, clap::Args)]
pub(crate) struct Decide {
    /// Names of floods, as `quarantine show` prints them
    #[arg(value_name = "FLOOD", required = true)]
    floods: Vec<String>,
    /// Why, for the journal
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

pub(crate) async fn mutes(command: &Mutes, client: &Client, output: Output) -> anyhow::Result<Outcome> {
    let mutes = match command {
        Mutes::Show => client.mutes().await?,
        Mutes::Add { member, reason } => {
            client.mute(&MuteRequest { member: member.clone(), reason: reason.clone() }).await?
        }
        Mutes::Remove { member } => {
            client.unmute(member).await?;
            client.mutes().await?
        }
    };
    if output.json {
        output.json_line(&mutes);
        return Ok(Outcome::Done);
    }
    let row = |mute: hashpact_protocol::api::MuteJson| {
        [mute.member, mute.since, mute.by, mute.reason].map(|cell| printable(&cell)).to_vec()
    };
    let rows: Vec<Vec<String>> = mutes.mutes.into_iter().map(row).collect();
    if rows.is_empty() {
        output.note("no member is muted");
    } else {
        output.table(&["member", "since", "by", "reason"], &rows);
    }
    Ok(Outcome::Done)
}

pub(crate) async fn negatives(
    command: &Negatives,
    client: &Client,
    output: Output,
) -> anyhow::Result<Outcome> {
    let negatives = match command {
        Negatives::Show => client.negatives().await?,
        Negatives::Put { name, signals, radius, ignore_unknown_columns } => {
            let signals = read_signals(signals, *ignore_unknown_columns, output)?;
            client.put_negatives(name, &NegativesRequest { radius: *radius, signals }).await?
        }
        Negatives::Delete { name } => {
            client.delete_negatives(name).await?;
            client.negatives().await?
        }
    };
    if output.json {
        output.json_line(&negatives);
        return Ok(Outcome::Done);
    }
    let row = |list: hashpact_protocol::api::NegativeJson| {
        vec![printable(&list.name), list.radius.to_string(), list.signals.to_string()]
    };
    let rows: Vec<Vec<String>> = negatives.negatives.into_iter().map(row).collect();
    if rows.is_empty() {
        output.note("there are no negative lists");
    } else {
        output.table(&["list", "radius", "signals"], &rows);
    }
    Ok(Outcome::Done)
}

/// All signals of a list. One that cannot be read refuses the list: half a negative list would be taken for a whole one.
fn read_signals(list: &Path, ignore_unknown_columns: bool, output: Output) -> anyhow::Result<Vec<NewSignal>> {
    let mut lots = Lots::open(list, usize::MAX, ignore_unknown_columns)?;
    let mut signals: Vec<NewSignal> = Vec::new();
    while let Some(lot) = lots.next_lot(|text| output.warn(&printable(text)))? {
        signals.extend(lot.into_iter().flat_map(|(_, signals)| signals).map(|signal| {
            let QuerySignal { signal_type, value, quality, .. } = signal;
            NewSignal { signal_type, value, quality }
        }));
    }
    if lots.failed() > 0 {
        let lines = counted(lots.failed(), "line", "lines");
        bail!("{}: {lines} cannot be read; nothing was put", list.display());
    }
    if signals.len() > NEGATIVE_SIGNALS_MAX {
        let count = signals.len();
        bail!("{}: {count} signals, at most {NEGATIVE_SIGNALS_MAX} fit one negative list", list.display());
    }
    Ok(signals)
}

pub(crate) async fn quarantine(
    command: &Quarantine,
    client: &Client,
    output: Output,
) -> anyhow::Result<Outcome> {
    let (decide, accept) = match command {
        Quarantine::Show { all } => {
            let mut quarantine = client.quarantine().await?;
            quarantine.floods.retain(|flood| *all || flood.decision == "waiting");
            if output.json {
                output.json_line(&quarantine);
            } else if quarantine.floods.is_empty() {
                output.note("no flood waits for a decision");
            } else {
                quarantine.floods.iter().for_each(|flood| show_flood(flood, output));
            }
            return Ok(Outcome::Done);
        }
        Quarantine::Accept(decide) => (decide, true),
        Quarantine::Reject(decide) => (decide, false),
    };
    for flood in &decide.floods {
        let request = DecisionRequest { reason: decide.reason.clone() };
        let decided = client.decide_flood(flood, accept, &request).await?;
        if output.json {
            output.json_line(&decided);
        } else {
            show_flood(&decided, output);
        }
    }
    Ok(Outcome::Done)
}

fn show_flood(flood: &FloodJson, output: Output) {
    let FloodJson { id, member, kind, hour, entries, norm_per_day, decision, meaning, .. } = flood;
    let usual = format!("{norm_per_day} on a usual day");
    output.line(&printable(&format!("{id}: {entries} {kind} of {member} in the hour from {hour} ({usual})")));
    let because = match (&flood.reason, &flood.by, &flood.decided) {
        (Some(reason), Some(by), Some(decided)) => format!(" by {by} on {decided}: {reason}"),
        _ => String::new(),
    };
    output.line(&printable(&format!("    {decision}{because}; {meaning}")));
}
