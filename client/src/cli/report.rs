//! `hashpact report`: what people should look at.

use hashpact_client::Client;
use hashpact_protocol::api::ContradictionsQuery;

use super::exit::Outcome;
use super::output::{Output, counted, printable};

/// Commands of `report`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Show new records that lie close to what is known to be benign, or to what members dispute
    Suspicious {
        /// How many days back records are new
        #[arg(long, value_name = "DAYS", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=36_525))]
        days: u32,
        /// Only records of this member
        #[arg(long, value_name = "MEMBER")]
        member: Option<String>,
        /// Most records that are shown
        #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
    /// Count what files say about how they were made, by month; files can lie
    Genmeta {
        /// What is counted apart
        #[arg(long, value_name = "KEY", default_value = "tool", value_parser = ["tool", "model", "source_type", "c2pa", "member"])]
        by: String,
        #[command(flatten)]
        period: super::ttp::Period,
    },
}

pub(crate) async fn run(command: &Command, client: &Client, output: Output) -> anyhow::Result<Outcome> {
    let (days, member, limit) = match command {
        Command::Suspicious { days, member, limit } => (days, member, limit),
        Command::Genmeta { by, period } => {
            let statistics = client.genmeta_statistics(&super::ttp::query(by, period)).await?;
            super::ttp::show_statistics(&statistics, output);
            return Ok(Outcome::Done);
        }
    };
    let query = ContradictionsQuery { days: Some(*days), member: member.clone(), limit: Some(*limit) };
    let report = client.contradictions(&query).await?;
    for found in &report.contradictions {
        if output.json {
            output.json_line(found);
        } else {
            let line =
                format!("{} by {} on {}, review {}", found.record, found.member, found.stated, found.review);
            output.line(&printable(&line));
            output.line(&printable(&format!("    {}", found.sentence)));
        }
    }
    let looked_at = counted(report.looked_at, "new record", "new records");
    let more = if report.truncated { "; there are more, the latest were looked at" } else { "" };
    output.note(&format!("{} of {looked_at} contradict what is known{more}", report.contradictions.len()));
    Ok(Outcome::Done)
}
