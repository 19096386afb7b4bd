//! `hashpact opinion`: what your member thinks of somebody's record.

use hashpact_client::Client;
use hashpact_protocol::api::OpinionRequest;
use hashpact_protocol::digest::RecordId;
use hashpact_protocol::record::{OpinionValue, Reason};

use super::exit::Outcome;
use super::labels::words;
use super::output::{Output, printable};

/// Arguments of `opinion`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "An opinion is a statement of your member, signed into its log; of several on one record the latest counts. \
                  If the connection breaks in the middle, look at the record before repeating."
)]
pub(crate) struct Args {
    /// The record's id
    #[arg(value_name = "RECORD", value_parser = super::parse_record_id)]
    record: RecordId,
    /// The opinion
    #[arg(value_name = "OPINION", value_parser = words::<OpinionValue>())]
    opinion: String,
    /// Why
    #[arg(long, value_name = "REASON", value_parser = words::<Reason>())]
    reason: Option<String>,
}

pub(crate) async fn run(args: &Args, client: &Client, output: Output) -> anyhow::Result<Outcome> {
    let request = OpinionRequest { opinion: args.opinion.clone(), reason: args.reason.clone() };
    request.check()?;
    let receipt = client.opinion(&args.record, &request).await?;
    if output.json {
        output.json_line(&receipt);
    } else {
        output.line(&printable(&format!(
            "{} on {} stated as {} ({} #{})",
            args.opinion, args.record, receipt.record, receipt.log, receipt.index
        )));
    }
    Ok(Outcome::Done)
}
