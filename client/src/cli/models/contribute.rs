//! `hashpact models contribute`: lists model files that are made for abuse, with what they add to registered bases.

use std::path::PathBuf;

use hashpact_client::Client;
use hashpact_protocol::api::{Ack, NewRecord};
use hashpact_protocol::record::ModelFamily;
use serde_json::json;

use super::files::{self, Named};
use super::statement::{self, Sketches};
use super::bases;
use crate::cli::contribute::parse_ack;
use crate::cli::exit::Outcome;
use crate::cli::labels::{LabelArgs, words};
use crate::cli::output::{Output, counted, printable};

/// Arguments of `models contribute`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "States, for each model, every exact identifier, and as a sketch what it adds to a registered base, or the sketch \
                  of an adapter or textual inversion as it is. Bits of the weights themselves are never listed: every innocent \
                  descendant of a public base has them too. Without a registered base only identifiers are stated, and that is \
                  said.\n\n\
                  The node refuses a model that two independent members registered as benign, or one that is hardly different."
)]
pub(crate) struct Args {
    /// Model files, indexes of shards, and folders of components
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// What kind of model it is, if that is known better than the file says: finetune, merge or component
    #[arg(long, value_name = "WORD", value_parser = ["finetune", "merge", "component"])]
    form: Option<String>,
    /// The family of its base
    #[arg(long, value_name = "WORD", value_parser = words::<ModelFamily>())]
    family: Option<String>,
    /// What to wait for: local or replicated:K
    #[arg(long, default_value = "local", value_parser = parse_ack)]
    ack: Ack,
    /// Show what would be stated and state nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    labels: LabelArgs,
}

pub(crate) async fn run(args: &Args, client: &Client, output: Output) -> anyhow::Result<Outcome> {
    let defaults = args.labels.defaults()?;
    let mut outcome = Outcome::Done;
    for path in &args.paths {
        let models = match files::read(path, output) {
            Ok(models) => models,
            Err(error) => {
                outcome = outcome.worst(Outcome::SomeFailed);
                output.warn(&format!("{}: {}; not stated", path.display(), printable(&error)));
                continue;
            }
        };
        for named in &models {
            let mut first = statement::record_of(named)?;
            defaults.apply(&mut first);
            let records = records(args, client, named, first, output).await?;
            if args.dry_run {
                records.iter().filter(|_| output.json).for_each(|record| output.json_line(record));
                output.note(&format!("{}: dry run, nothing was stated", printable(&named.name)));
                continue;
            }
            let count = counted(records.len() as u64, "record", "records");
            let receipts = statement::state(client, records, args.ack).await?;
            let first = receipts.first().map(|receipt| receipt.record.clone()).unwrap_or_default();
            if output.json {
                output.json_line(&json!({"file": named.name, "record": first, "records": receipts.len()}));
            } else {
                output.line(&format!("{}  listed: record {first}, {count}", printable(&named.name)));
            }
        }
    }
    Ok(outcome)
}

async fn records(
    args: &Args,
    client: &Client,
    named: &Named,
    mut first: NewRecord,
    output: Output,
) -> anyhow::Result<Vec<NewRecord>> {
    let model = first.model.get_or_insert_default();
    model.family = args.family.clone();
    if args.form.is_some() {
        model.form = args.form.clone();
    }
    let Some(Ok(weights)) = &named.weights else { return statement::split(first, &Sketches::default()) };
    let placed = bases::place(client, weights).await?;
    let Some(best) = placed.against.first().filter(|best| best.is_evidence(&weights.vectors)) else {
        if !weights.tiles.is_empty() {
            output.warn(&format!(
                "{}: no registered base is near, so only its identifiers are stated; register the base and list it again",
                printable(&named.name)
            ));
        }
        return statement::split(first, &Sketches::default());
    };
    let sketches = Sketches {
        tiles: best.changes.evidence.iter().map(|tile| (tile.shape, tile.bits)).collect(),
        roll_ups: best.changes.rollups.iter().map(|tile| (tile.shape, tile.bits)).collect(),
        numbers: Vec::new(),
        vectors: weights.vectors.clone(),
    };
    statement::split(first, &sketches)
}
