//! The `hashpact` command: arguments in, one exit code out.
//!
//! One file for each command; what several of them need lies in files named after it (`inputs`:
//! which files; `hashing`: their signals; `labels`: what is stated; `connect`: the node; `output`:
//! tables and JSON). Media is read in `hashing` and nowhere else, and what leaves that file are
//! signals; the files that talk to the node never open an input of media.

mod audit;
mod bad_lines;
mod completions;
mod connect;
mod contribute;
mod decisions;
mod digest;
mod erase;
mod exit;
mod export;
mod hash;
mod hashing;
mod import;
mod incident;
mod inputs;
mod labels;
mod lists;
mod r#match;
mod members;
mod models;
mod named_models;
mod opinion;
mod output;
mod progress;
mod queries;
mod record;
mod report;
mod retract;
mod rule;
mod status;
mod supersede;
mod suspend;
mod target;
mod ttp;
mod verify;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use hashpact_client::ClientError;
use hashpact_protocol::digest::RecordId;

use self::exit::Outcome;
use self::output::Output;

/// Hash media on this machine, look signals up, and state records at your member's Hashpact node.
///
/// Media never leaves this machine: `hash`, `match` and `contribute` read files here and send signals
/// only, without file names.
#[derive(Debug, Parser)]
#[command(name = "hashpact", version, after_help = exit::help_text(), max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Debug, clap::Args)]
pub(crate) struct Global {
    #[command(flatten)]
    node: connect::NodeArgs,
    /// Print JSON, one object a line, instead of tables
    #[arg(long, global = true, help_heading = "Node and output")]
    json: bool,
    /// Print results and errors only: no summaries, no progress
    #[arg(long, short, global = true, help_heading = "Node and output")]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compute the signals of files; sends nothing
    Hash(hash::Args),
    /// Make keyed digests of addresses, and digests of data sets and services; sends nothing
    #[command(subcommand)]
    Digest(digest::Command),
    /// Fingerprint, compare, look up and register generative models; no weight leaves this machine
    #[command(subcommand)]
    Models(models::Command),
    /// Ask the node whether files, or the signals of a list, are known
    Match(r#match::Args),
    /// State the signals of files, with labels, as records of your member
    Contribute(contribute::Args),
    /// State a hash list (CSV, JSON lines, or TYPE VALUE lines); resumable
    Import(import::Args),
    /// Write the records that stand as a hash list
    Export(export::Args),
    /// Say what your member thinks of a record
    Opinion(opinion::Args),
    /// Withdraw a record of your member, for good
    Retract(retract::Args),
    /// State a record of your member anew, in the place of the old one
    Supersede(supersede::Args),
    /// Order the erasure of a record's payload
    Erase(erase::Args),
    /// State what your member, as a panellist, holds of signals
    Rule(rule::Args),
    /// Show what the review panel holds of signals
    Rulings,
    /// Vote to suspend a member, or to end that
    Suspend(suspend::Args),
    /// Show who was suspended, by whom, and until when
    Suspensions,
    /// Declare, close and show content incidents
    #[command(subcommand)]
    Incident(incident::Command),
    /// State, show and count techniques that were seen
    #[command(subcommand)]
    Ttp(ttp::Command),
    /// Show a record and who said what about it
    Record(record::Args),
    /// Verify the provenance proof of a record, offline
    Verify(verify::Args),
    /// Fetch, verify and report on audit bundles; say when a record was there
    #[command(subcommand)]
    Audit(audit::Command),
    /// Show, try, put and delete the lists of the node: which matches count, with which outcome
    #[command(subcommand)]
    Lists(lists::Command),
    /// Mute members at this node: nothing that they state counts
    #[command(subcommand)]
    Mutes(decisions::Mutes),
    /// Keep signals of what is known to be benign, so that what resembles them is for review at most
    #[command(subcommand)]
    Negatives(decisions::Negatives),
    /// Show floods of contributions or withdrawals, and decide about them
    #[command(subcommand)]
    Quarantine(decisions::Quarantine),
    /// Show what people should look at
    #[command(subcommand)]
    Report(report::Command),
    /// Follow what changes: records stated, withdrawn, disputed, and what the node makes of them
    Watch(watch::Args),
    /// Show how the node is
    Status,
    /// Show the members of the consortium, their logs and keys
    Members,
    /// Print a completion script for a shell
    Completions(completions::Args),
}

/// Runs the command line of this process.
pub(crate) fn run() -> ExitCode {
    let cli = Cli::parse();
    let output = Output { json: cli.global.json, quiet: cli.global.quiet };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output.warn(&format!("hashpact: cannot start: {error}"));
            return ExitCode::from(1);
        }
    };
    let outcome = runtime.block_on(dispatch(cli, output)).unwrap_or_else(|error| {
        report(&error, output);
        outcome_of(&error)
    });
    ExitCode::from(outcome.code())
}

async fn dispatch(cli: Cli, output: Output) -> anyhow::Result<Outcome> {
    let node = &cli.global.node;
    match cli.command {
        Command::Hash(args) => hash::run(&args, output),
        Command::Digest(command) => digest::run(&command, output),
        Command::Models(command) => models::run(&command, node, output).await,
        Command::Match(args) => r#match::run(&args, &node.client(output)?, output).await,
        Command::Contribute(args) => contribute::run(&args, node, output).await,
        Command::Import(args) => import::run(&args, node, output).await,
        Command::Export(args) => export::run(&args, &node.client(output)?, output).await,
        Command::Opinion(args) => opinion::run(&args, &node.client(output)?, output).await,
        Command::Retract(args) => retract::run(&args, &node.client(output)?, output).await,
        Command::Erase(args) => erase::run(&args, &node.client(output)?, output).await,
        Command::Supersede(args) => supersede::run(&args, &node.client(output)?, output).await,
        Command::Rule(args) => rule::run(&args, &node.client(output)?, output).await,
        Command::Rulings => rule::list(&node.client(output)?, output).await,
        Command::Suspend(args) => suspend::run(&args, &node.client(output)?, output).await,
        Command::Suspensions => suspend::list(&node.client(output)?, output).await,
        Command::Incident(command) => incident::run(&command, &node.client(output)?, output).await,
        Command::Ttp(command) => ttp::run(&command, &node.client(output)?, output).await,
        Command::Record(args) => record::run(&args, &node.client(output)?, output).await,
        Command::Verify(args) => verify::run(&args, node, output).await,
        Command::Audit(command) => audit::run(&command, node, output).await,
        Command::Lists(command) => lists::run(&command, &node.client(output)?, output).await,
        Command::Mutes(command) => decisions::mutes(&command, &node.client(output)?, output).await,
        Command::Negatives(command) => decisions::negatives(&command, &node.client(output)?, output).await,
        Command::Quarantine(command) => decisions::quarantine(&command, &node.client(output)?, output).await,
        Command::Report(command) => report::run(&command, &node.client(output)?, output).await,
        Command::Watch(args) => watch::run(&args, &node.client(output)?, output).await,
        Command::Status => status::run(&node.client(output)?, output).await,
        Command::Members => members::run(&node.client(output)?, output).await,
        Command::Completions(args) => {
            completions::run(&args);
            Ok(Outcome::Done)
        }
    }
}

/// The exit code of an error: what the client says about the node, else a local problem.
fn outcome_of(error: &anyhow::Error) -> Outcome {
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::Refused { .. }) => Outcome::Refused,
        Some(
            ClientError::Unreachable { .. }
            | ClientError::Unexpected { .. }
            | ClientError::BrokeOff { .. }
            | ClientError::AnswerTooLarge { .. },
        ) => Outcome::Unreachable,
        _ => Outcome::Usage,
    }
}

fn report(error: &anyhow::Error, output: Output) {
    if output.json {
        let (code, request_id) = match error.downcast_ref::<ClientError>() {
            Some(ClientError::Refused { code, request_id, .. }) => (code.as_str(), request_id.as_str()),
            Some(ClientError::Unreachable { .. } | ClientError::BrokeOff { .. }) => ("unreachable", ""),
            Some(ClientError::Unexpected { .. } | ClientError::AnswerTooLarge { .. }) => {
                ("unexpected_answer", "")
            }
            _ => ("local", ""),
        };
        let message = format!("{error:#}");
        let body = serde_json::json!({"error": {"code": code, "message": message, "request_id": request_id}});
        output.warn(&body.to_string());
    } else {
        output.warn(&format!("hashpact: {}", output::printable(&format!("{error:#}"))));
    }
}

/// Reads a record id from the command line.
fn parse_record_id(text: &str) -> Result<RecordId, String> {
    RecordId::from_hex(text).map_err(|error| format!("a record id has 64 lower-case hex digits: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
