//! `hashpact rule` and `rulings`: what panellists hold of signals.

use anyhow::bail;
use hashpact_client::Client;
use hashpact_protocol::api::{RulingRequest, RulingSignal};
use hashpact_protocol::digest::RecordId;
use hashpact_protocol::record::{RulingReason, SignalType, Verdict};

use super::exit::Outcome;
use super::labels::words;
use super::output::{Output, counted, printable};

/// Arguments of `rule`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "For members on the review panel of the roster. A ruling stands while enough panellists hold the same of a \
                  signal; it binds every record that carries the signal, byte for byte, at every member. Signals ruled benign \
                  or adult match no more. Your latest word about a signal takes the place of the one before; withdrawn takes \
                  it back."
)]
pub(crate) struct Args {
    /// What is held of the signals
    #[arg(value_name = "VERDICT", value_parser = words::<Verdict>())]
    verdict: String,
    /// A signal, such as pdq:f8f8…; repeat for several
    #[arg(long, value_name = "TYPE:VALUE", required_unless_present = "record")]
    signal: Vec<String>,
    /// The record that gave rise to it; without --signal, all of its signals are ruled on
    #[arg(long, value_name = "RECORD", value_parser = super::parse_record_id)]
    record: Option<RecordId>,
    /// Of the record's signals only those of this type; repeat for several
    #[arg(long = "type", value_name = "TYPE", requires = "record", conflicts_with = "signal",
        value_parser = SignalType::ALL.map(SignalType::name))]
    types: Vec<String>,
    /// What the verdict rests on
    #[arg(long, value_name = "REASON", value_parser = words::<RulingReason>())]
    reason: Option<String>,
}

pub(crate) async fn run(args: &Args, client: &Client, output: Output) -> anyhow::Result<Outcome> {
    let signals = match &args.record {
        Some(record) if args.signal.is_empty() => signals_of(record, args, client).await?,
        _ => args.signal.iter().map(|text| parse_signal(text)).collect::<Result<_, _>>()?,
    };
    let request = RulingRequest {
        signals,
        verdict: args.verdict.clone(),
        reason: args.reason.clone(),
        record: args.record.map(|record| record.to_hex()),
    };
    request.check()?;
    let receipts = client.rule(&request).await?;
    for receipt in &receipts {
        if output.json {
            output.json_line(receipt);
        } else {
            output.line(&printable(&format!(
                "{} stated as {} ({} #{})",
                args.verdict, receipt.record, receipt.log, receipt.index
            )));
        }
    }
    output.note(&counted(receipts.len() as u64, "signal ruled on", "signals ruled on"));
    Ok(Outcome::Done)
}

async fn signals_of(record: &RecordId, args: &Args, client: &Client) -> anyhow::Result<Vec<RulingSignal>> {
    let shown = client.record(record).await?;
    let is_asked = |kind: &String| args.types.is_empty() || args.types.contains(kind);
    // Of several PDQ values that differ in quality alone, one is meant.
    let mut signals: Vec<RulingSignal> = Vec::new();
    for signal in shown.signals {
        let signal = RulingSignal { signal_type: signal.signal_type, value: signal.value };
        let is_known = SignalType::parse(&signal.signal_type).is_some();
        if is_known && is_asked(&signal.signal_type) && !signals.contains(&signal) {
            signals.push(signal);
        }
    }
    if signals.is_empty() {
        bail!("record {record} shows no such signal here");
    }
    Ok(signals)
}

fn parse_signal(text: &str) -> anyhow::Result<RulingSignal> {
    match text.split_once(':') {
        Some((kind, value)) => {
            Ok(RulingSignal { signal_type: kind.to_owned(), value: value.to_ascii_lowercase() })
        }
        None => bail!("a signal is given as TYPE:VALUE, such as md5:0123456789abcdef0123456789abcdef"),
    }
}

pub(crate) async fn list(client: &Client, output: Output) -> anyhow::Result<Outcome> {
    let rulings = client.rulings().await?.rulings;
    if output.json {
        rulings.iter().for_each(|ruling| output.json_line(ruling));
        return Ok(Outcome::Done);
    }
    let row = |ruling: &hashpact_protocol::api::RulingJson| {
        vec![
            printable(&ruling.verdict),
            printable(&format!("{}:{}", ruling.signal_type, ruling.value)),
            printable(&format!("{} (needs {})", ruling.panellists.join(", "), ruling.needed)),
            printable(ruling.reason.as_deref().unwrap_or("-")),
            printable(&ruling.time),
        ]
    };
    output.table(
        &["verdict", "signal", "panellists", "reason", "since"],
        &rulings.iter().map(row).collect::<Vec<_>>(),
    );
    output.note(&counted(rulings.len() as u64, "ruling", "rulings"));
    Ok(Outcome::Done)
}
