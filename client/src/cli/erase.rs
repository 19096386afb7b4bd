//! `hashpact erase`: order the erasure of a record's payload.

use hashpact_client::Client;
use hashpact_protocol::api::ErasureRequest;
use hashpact_protocol::digest::RecordId;
use hashpact_protocol::record::{ErasureBasis, ErasureReason};

use super::exit::Outcome;
use super::labels::words;
use super::output::{Output, printable};

/// Arguments of `erase`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The member that stated a record can order its erasure, and so can a member that the roster names as erasure \
                  authority. The record is sealed at every member as soon as the order arrives: neither served nor matched nor \
                  shown. Its payload is destroyed after the roster's hold. That there was a record, who stated it and who \
                  ordered its erasure stays provable."
)]
pub(crate) struct Args {
    /// The record's id
    #[arg(value_name = "RECORD", value_parser = super::parse_record_id)]
    record: RecordId,
    /// Why
    #[arg(long, value_name = "REASON", value_parser = words::<ErasureReason>())]
    reason: String,
    /// On whose demand; left out: nobody's but your member's
    #[arg(long, value_name = "BASIS", value_parser = words::<ErasureBasis>())]
    basis: Option<String>,
}

pub(crate) async fn run(args: &Args, client: &Client, output: Output) -> anyhow::Result<Outcome> {
    let request = ErasureRequest { reason: args.reason.clone(), basis: args.basis.clone() };
    request.check()?;
    let receipt = client.erasure(&args.record, &request).await?;
    if output.json {
        output.json_line(&receipt);
    } else {
        output.line(&printable(&format!(
            "{} sealed by {} ({} #{}); destroyed everywhere after the roster's hold",
            args.record, receipt.record, receipt.log, receipt.index
        )));
    }
    Ok(Outcome::Done)
}
