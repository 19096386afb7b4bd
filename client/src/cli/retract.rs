//! `hashpact retract`: withdraw a record of your member.

use hashpact_client::Client;
use hashpact_protocol::api::RetractionRequest;
use hashpact_protocol::digest::RecordId;
use hashpact_protocol::record::RetractionReason;

use super::exit::Outcome;
use super::labels::words;
use super::output::{Output, printable};

/// Arguments of `retract`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Only the member that stated a record can retract it. A retraction is final: the record stops matching at \
                  every member, and only a new record can state the same again."
)]
pub(crate) struct Args {
    /// The record's id
    #[arg(value_name = "RECORD", value_parser = super::parse_record_id)]
    record: RecordId,
    /// Why
    #[arg(long, value_name = "REASON", value_parser = words::<RetractionReason>())]
    reason: String,
}

pub(crate) async fn run(args: &Args, client: &Client, output: Output) -> anyhow::Result<Outcome> {
    let request = RetractionRequest { reason: args.reason.clone() };
    request.check()?;
    let receipt = client.retraction(&args.record, &request).await?;
    if output.json {
        output.json_line(&receipt);
    } else {
        output.line(&printable(&format!(
            "{} retracted by {} ({} #{})",
            args.record, receipt.record, receipt.log, receipt.index
        )));
    }
    Ok(Outcome::Done)
}
