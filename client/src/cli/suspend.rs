//! `hashpact suspend` and `suspensions`: the emergency brake on a member.

use anyhow::Context;
use hashpact_client::Client;
use hashpact_protocol::api::{PlaceJson, SuspensionJson, SuspensionRequest};
use hashpact_protocol::record::SuspensionReason;

use super::exit::Outcome;
use super::labels::words;
use super::output::{Output, counted, printable};

/// Arguments of `suspend`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A vote, signed into your member's log. When more than half of the members vote for it, nothing that the \
                  member stated from a place of its log on counts for 72 hours, at every member: time for a new roster to close \
                  the log. A member can be suspended once under each roster version; as many votes with --withdraw end it before."
)]
pub(crate) struct Args {
    /// The member's id
    #[arg(value_name = "MEMBER")]
    member: String,
    /// Vote to end the suspension instead
    #[arg(long, conflicts_with = "from")]
    withdraw: bool,
    /// First entry that is not to count; left out: behind what your node holds of its open log
    #[arg(long, value_name = "LOG:INDEX", value_parser = parse_place)]
    from: Option<PlaceJson>,
    /// Why
    #[arg(long, value_name = "REASON", value_parser = words::<SuspensionReason>())]
    reason: Option<String>,
}

fn parse_place(text: &str) -> Result<PlaceJson, String> {
    let place = text
        .split_once(':')
        .and_then(|(log, index)| Some(PlaceJson { log: log.parse().ok()?, index: index.parse().ok()? }));
    place.ok_or_else(|| "expected the number of the log and an entry of it, such as 1:20481".to_owned())
}

pub(crate) async fn run(args: &Args, client: &Client, output: Output) -> anyhow::Result<Outcome> {
    let request = SuspensionRequest {
        member: args.member.clone(),
        vote: if args.withdraw { "withdraw" } else { "suspend" }.to_owned(),
        reason: args.reason.clone(),
        from: args.from,
    };
    request.check()?;
    let receipt = client.vote(&request).await?;
    if output.json {
        output.json_line(&receipt);
        return Ok(Outcome::Done);
    }
    output.line(&printable(&format!(
        "vote to {} {} stated as {} ({} #{})",
        request.vote, args.member, receipt.record, receipt.log, receipt.index
    )));
    let suspensions = client.suspensions().await.context("the vote is stated, but not what it amounts to")?;
    let holds = suspensions.suspensions.iter().find(|held| held.holds && held.member == args.member);
    output.note(&match holds {
        Some(held) => printable(&format!("{} is suspended until {}", held.member, held.until)),
        None => printable(&format!("{} is not suspended now, as far as your node knows", args.member)),
    });
    Ok(Outcome::Done)
}

pub(crate) async fn list(client: &Client, output: Output) -> anyhow::Result<Outcome> {
    let suspensions = client.suspensions().await?.suspensions;
    if output.json {
        suspensions.iter().for_each(|held| output.json_line(held));
        return Ok(Outcome::Done);
    }
    let row = |held: &SuspensionJson| {
        let state = match (held.holds, held.withdrawn) {
            (true, _) => "holds",
            (false, true) => "withdrawn",
            (false, false) => "over",
        };
        vec![
            printable(&held.member),
            state.to_owned(),
            printable(&format!("log {} from #{}", held.from.log, held.from.index)),
            printable(&held.begins),
            printable(&held.until),
            printable(&format!("{} of {}: {}", held.voters.len(), held.members, held.voters.join(", "))),
            printable(held.reason.as_deref().unwrap_or("-")),
        ]
    };
    output.table(
        &["member", "state", "entries", "began", "until", "votes", "reason"],
        &suspensions.iter().map(row).collect::<Vec<_>>(),
    );
    output.note(&counted(suspensions.len() as u64, "suspension", "suspensions"));
    Ok(Outcome::Done)
}
