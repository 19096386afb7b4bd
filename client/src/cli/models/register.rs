//! `hashpact models register`: known bases, popular benign models, and tiles that are no evidence.

use std::path::PathBuf;

use anyhow::bail;
use hashpact_client::Client;
use hashpact_hashing::models::Weights;
use hashpact_protocol::api::{Ack, NewRecord};
use hashpact_protocol::record::ModelFamily;
use serde_json::json;

use super::files::{self, Named};
use super::statement::{self, Sketches};
use super::bases;
use crate::cli::contribute::parse_ack;
use crate::cli::exit::Outcome;
use crate::cli::labels::words;
use crate::cli::output::{Output, counted, printable};

/// Arguments of `models register`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A registered model is one that others are made from: what they add to it can then be compared. Its sketch (256 \
                  numbers for each tile) is signed into your member's log and given to every member; no weight can be computed \
                  from it. It never matches anything and has no outcome.\n\n\
                  One member's registration is a base for comparisons; only a model that two independent members registered \
                  stands against a listing. So a second member registers the same file as well, with --identifiers-only. A model \
                  that is listed is registered, and waits until the review panel rules.\n\n\
                  Of a stop list the tiles of the file are no evidence for anybody: positional tables, untouched encoders."
)]
pub(crate) struct Args {
    /// The model: a file, an index of shards, or a folder of components
    #[arg(value_name = "FILE|DIR")]
    path: PathBuf,
    /// What it is: base, intermediate (a benign model made from a base), or stop (a stop list)
    #[arg(long, value_name = "ROLE", value_parser = ["base", "intermediate", "stop"])]
    role: String,
    /// The family of its base
    #[arg(long, value_name = "WORD", value_parser = words::<ModelFamily>())]
    family: Option<String>,
    /// State identifiers only: another member has registered the sketch
    #[arg(long)]
    identifiers_only: bool,
    /// What to wait for: local or replicated:K
    #[arg(long, default_value = "local", value_parser = parse_ack)]
    ack: Ack,
    /// Show what would be stated and state nothing
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(args: &Args, client: &Client, output: Output) -> anyhow::Result<Outcome> {
    let models = files::read(&args.path, output).map_err(|error| anyhow::anyhow!("{}: {error}", args.path.display()))?;
    for named in &models {
        let records = records(args, client, named).await?;
        let count = counted(records.len() as u64, "record", "records");
        if args.dry_run {
            records.iter().filter(|_| output.json).for_each(|record| output.json_line(record));
            output.note(&format!("{}: {count}; dry run, nothing was stated", printable(&named.name)));
            continue;
        }
        let receipts = statement::state(client, records, args.ack).await?;
        let first = receipts.first().map(|receipt| receipt.record.clone()).unwrap_or_default();
        if output.json {
            output.json_line(&json!({"file": named.name, "record": first, "records": receipts.len()}));
        } else {
            output.line(&format!("{}  registered as {}: record {first}, {count}", printable(&named.name), args.role));
        }
    }
    Ok(Outcome::Done)
}

async fn records(args: &Args, client: &Client, named: &Named) -> anyhow::Result<Vec<NewRecord>> {
    let mut first = statement::record_of(named)?;
    let Some(Ok(weights)) = &named.weights else {
        bail!("{}: tensors of this format are not read, so it cannot be a base", named.name);
    };
    let model = first.model.get_or_insert_default();
    model.role = Some(args.role.clone());
    model.family = args.family.clone();
    let sketches = match args.role.as_str() {
        "stop" => {
            first.signals.clear();
            Sketches { tiles: weights.tiles.iter().map(|tile| (tile.shape, tile.bits)).collect(), ..Sketches::default() }
        }
        _ if args.identifiers_only => Sketches::default(),
        role => sketches(client, weights, role == "intermediate").await?,
    };
    if args.role == "stop" && sketches.tiles.is_empty() {
        bail!("{}: it has no tile, so there is nothing to put on the stop list", named.name);
    }
    statement::split(first, &sketches)
}

/// The numbers of a model's tiles, and of one that is made from a base what it adds to it.
async fn sketches(client: &Client, weights: &Weights, is_derived: bool) -> anyhow::Result<Sketches> {
    let numbers = weights.tiles.iter().map(|tile| (tile.shape, tile.numbers.clone())).collect();
    let mut sketches = Sketches { numbers, vectors: weights.vectors.clone(), ..Sketches::default() };
    if is_derived {
        let placed = bases::place(client, weights).await?;
        if let Some(against) = placed.against.into_iter().next() {
            sketches.tiles = against.changes.evidence.iter().map(|tile| (tile.shape, tile.bits)).collect();
            sketches.roll_ups = against.changes.rollups.iter().map(|tile| (tile.shape, tile.bits)).collect();
        }
    }
    Ok(sketches)
}
