//! `hashpact models match`: is a model known?

use std::path::PathBuf;

use hashpact_client::Client;
use serde_json::json;

use super::{files, lookup};
use crate::cli::exit::Outcome;
use crate::cli::output::{Output, printable};

/// Arguments of `models match`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Identifiers and sketches go to your member's node; weights and names of files do not. What the model adds to \
                  each registered base is computed here, with the numbers of the base that the node gives.\n\n\
                  Only an exact identifier has an outcome. Leads (prefixes, checksums, claims) and sketches (same, review) are \
                  for a person to look at. \"Nothing\" is worth as much as the registry covers, which every answer says.\n\n\
                  With --json each model is the node's answer with \"file\" and \"against\" on one line."
)]
pub(crate) struct Args {
    /// Model files, indexes of shards, and folders of components
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// Ask this local list about exact identifiers; may be given more than once. All lists when absent
    #[arg(long = "list", value_name = "NAME")]
    lists: Vec<String>,
    /// End with 10 if a model is found exactly or by its sketch
    #[arg(long)]
    exit_code: bool,
}

pub(crate) async fn run(args: &Args, client: &Client, output: Output) -> anyhow::Result<Outcome> {
    let lists = (!args.lists.is_empty()).then(|| args.lists.clone());
    let mut outcome = Outcome::Done;
    for path in &args.paths {
        let models = match files::read(path, output) {
            Ok(models) => models,
            Err(error) => {
                outcome = outcome.worst(Outcome::SomeFailed);
                let name = path.to_string_lossy();
                if output.json {
                    output.json_line(&json!({"file": name, "error": error}));
                } else {
                    output.warn(&format!("{}: {}", printable(&name), printable(&error)));
                }
                continue;
            }
        };
        for named in &models {
            let answer = lookup::ask(client, named, lists.clone()).await?;
            let mut value = answer.in_json();
            value["file"] = named.name.clone().into();
            if let Some(Err(error)) = &named.weights {
                outcome = outcome.worst(Outcome::SomeFailed);
                value["error"] = error.clone().into();
            }
            if answer.incomplete().is_some() {
                outcome = outcome.worst(Outcome::Incomplete);
            }
            if args.exit_code && lookup::is_found(&value) {
                outcome = outcome.worst(Outcome::Matched);
            }
            if output.json {
                output.json_line(&value);
            } else {
                answer.print(&named.name, output);
                match &named.weights {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => output.warn(&format!("  tensors not read: {}", printable(error))),
                    None => {
                        output.note("  only its digests were asked for: tensors of this format are not read")
                    }
                }
            }
        }
    }
    Ok(outcome)
}
