//! `hashpact models fingerprint`: every identifier of model files, and the sketch of their weights.

use std::path::PathBuf;

use hashpact_hashing::models::identifiers::hex;
use hashpact_hashing::models::layout::Claim;
use hashpact_hashing::models::registry::{Changes, Evidence, Registry, RegistryLimits};
use hashpact_hashing::models::{Model, Weights};
use serde_json::{Value, json};

use super::files::{self, Named};
use crate::cli::exit::Outcome;
use crate::cli::output::{Output, counted, grouped, printable};

/// Arguments of `models fingerprint`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Takes .safetensors, .gguf, and .ckpt, .pt and .bin archives of PyTorch (whose pickle is never executed); an \
                  index stands for its shards, and a folder for its components. Of other files, such as ONNX, only the \
                  digests of the whole are taken. Nothing is sent to anybody.\n\n\
                  The sketch (WSK-1) of an adapter is printed as it is. Of full weights only what they add to a base \
                  given with --base is printed: the rest names their family, which every innocent descendant shares.\n\n\
                  With --json each model is {\"file\",\"format\",\"kind\",\"ids\",\"tset1\",\"claims\",\"evidence\",…} on one line."
)]
pub(crate) struct Args {
    /// Model files, indexes of shards, and folders
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// A known base; what is sketched is what the models add to it. May be given more than once
    #[arg(long, value_name = "FILE|DIR")]
    base: Vec<PathBuf>,
}

pub(crate) fn run(args: &Args, output: Output) -> anyhow::Result<Outcome> {
    let registry = files::registry(&args.base, output)?;
    let mut outcome = Outcome::Done;
    for path in &args.paths {
        match files::read(path, output) {
            Ok(models) => {
                for named in &models {
                    let failed = matches!(named.weights, Some(Err(_)));
                    outcome = outcome.worst(if failed { Outcome::SomeFailed } else { Outcome::Done });
                    print(named, &registry, output);
                }
            }
            Err(error) => {
                outcome = Outcome::SomeFailed;
                let name = path.to_string_lossy();
                if output.json {
                    output.json_line(&json!({"file": name, "error": error}));
                } else {
                    output.warn(&format!("{}: {}", printable(&name), printable(&error)));
                }
            }
        }
    }
    Ok(outcome)
}

fn print(named: &Named, registry: &Registry, output: Output) {
    let changes = named.weights.as_ref().and_then(|weights| weights.as_ref().ok());
    let changes = changes.map(|weights| registry.changes(weights, &RegistryLimits::default()));
    if output.json {
        output.json_line(&in_json(named, registry, changes.as_ref()));
    } else {
        in_lines(named, registry, changes.as_ref(), output);
    }
}

/// Identifiers of a file in the order of [`hashpact_hashing::models::identifiers`].
fn ids(model: &Model) -> Value {
    let named = model.identifiers.named().into_iter();
    Value::Object(named.map(|(name, value)| (name.to_owned(), Value::String(value))).collect())
}

/// What a claim turned out to be: true, false, or not about this file.
fn holds(claim: &Claim, model: &Model) -> Option<bool> {
    if claim.about.name() != "self" {
        return None;
    }
    let named = model.identifiers.named();
    Some(named.iter().any(|(name, value)| *name == claim.identifier && *value == claim.hex))
}

fn in_json(named: &Named, registry: &Registry, changes: Option<&Changes>) -> Value {
    let mut value = identity(named);
    if let Some(changes) = changes {
        let mut add = |key: &str, part: Value| value[key] = part;
        add("evidence", changes.evidence.iter().map(tile).collect());
        add("rollups", changes.rollups.iter().map(tile).collect());
        add(
            "bases",
            json!({
                "registered": registry.models(),
                "unchanged": changes.unchanged,
                "without_base": changes.without_base,
                "family_mean_bits": changes.family_mean_bits,
            }),
        );
    }
    value
}

/// What a model is, without what it adds to a base: identifiers, claims, kind and size.
pub(super) fn identity(named: &Named) -> Value {
    let mut value = json!({"file": named.name});
    let mut add = |key: &str, part: Value| value[key] = part;
    let sizes = named.files.iter().map(|(_, model)| model.identifiers.size_bytes);
    add("size_bytes", sizes.sum::<u64>().into());
    if let [(_, model)] = &named.files[..] {
        add("format", model.format.name().into());
        add("ids", ids(model));
        let claims = model.claims.iter().map(|claim| {
            json!({"about": claim.about.name(), "id": claim.identifier, "hex": claim.hex, "holds": holds(claim, model)})
        });
        add("claims", claims.collect());
    } else {
        let part = |(file, model): &(String, Model)| {
            let size = model.identifiers.size_bytes;
            json!({"file": file, "format": model.format.name(), "size_bytes": size, "ids": ids(model)})
        };
        add("parts", named.files.iter().map(part).collect());
    }
    match &named.weights {
        Some(Ok(weights)) => {
            add("kind", weights.kind().name().into());
            add("tensors", weights.tensors.into());
            add("parameters", weights.parameters.into());
            add("tset1", weights.tensor_set().map(|digest| hex(&digest)).into());
            let skipped = weights.skipped.first.iter();
            let first: Vec<Value> = skipped.map(|(name, why)| json!({"tensor": name, "why": why})).collect();
            add("skipped", json!({"count": weights.skipped.count, "first": first}));
            add("tiles", weights.tiles.len().into());
            add("vectors", weights.vectors.iter().map(|bits| Value::from(hex(bits))).collect());
        }
        Some(Err(error)) => add("error", error.as_str().into()),
        None => {}
    }
    value
}

fn tile(evidence: &Evidence) -> Value {
    json!({"rows": evidence.shape.rows, "columns": evidence.shape.columns, "bits": hex(&evidence.bits)})
}

fn in_lines(named: &Named, registry: &Registry, changes: Option<&Changes>, output: Output) {
    for (file, model) in &named.files {
        let size = grouped(model.identifiers.size_bytes);
        output.line(&format!("{}  {}, {size} bytes", printable(file), model.format.name()));
        for (name, value) in model.identifiers.named() {
            output.line(&format!("  {name:<8} {value}"));
        }
        for claim in &model.claims {
            let word = match holds(claim, model) {
                Some(true) => "and that is so",
                Some(false) => "and that is WRONG",
                None => "not checked",
            };
            let (about, id, hex) = (claim.about.name(), claim.identifier, &claim.hex);
            output.line(&format!("  {:<8} {id} of {about} is {hex}, {word}", "claims"));
        }
    }
    match &named.weights {
        Some(Ok(weights)) => weights_in_lines(named, weights, registry, changes, output),
        Some(Err(error)) => output.warn(&format!("  {}: {}", printable(&named.name), printable(error))),
        None => output.line("  digests of the whole file only: tensors of this format are not read"),
    }
}

fn weights_in_lines(
    named: &Named,
    weights: &Weights,
    registry: &Registry,
    changes: Option<&Changes>,
    output: Output,
) {
    if named.files.len() > 1 {
        output.line(&format!("{}  {} files together", printable(&named.name), named.files.len()));
    }
    if let Some(digest) = weights.tensor_set() {
        output.line(&format!("  {:<8} {}", "tset1", hex(&digest)));
    }
    let (tensors, parameters) = (counted(weights.tensors, "tensor", "tensors"), grouped(weights.parameters));
    output.line(&format!("  {:<8} {}, {tensors}, {parameters} parameters", "kind", weights.kind().name()));
    for bits in &weights.vectors {
        output.line(&format!("  {:<8} {}", "vector", hex(bits)));
    }
    let Some(changes) = changes else { return };
    for rollup in &changes.rollups {
        let (rows, columns) = (rollup.shape.rows, rollup.shape.columns);
        output.line(&format!("  {:<8} {} of tiles {rows} x {columns}", "wsk1", hex(&rollup.bits)));
    }
    let tiles = weights.tiles.len() as u64;
    let evidence = counted(changes.evidence.len() as u64, "tile", "tiles");
    if !weights.tiles.is_empty() && registry.models() == 0 {
        let tiles = counted(tiles, "tile", "tiles");
        output.note(&format!("  {tiles} sketched; give --base to see what was added to a known base"));
    } else if tiles > 0 {
        let (same, without) = (changes.unchanged, changes.without_base);
        output.line(&format!(
            "  {:<8} {evidence} of {tiles}; {same} as in the base, {without} without a base",
            "evidence"
        ));
    } else if !changes.evidence.is_empty() {
        output.line(&format!("  {:<8} {evidence}", "evidence"));
    }
    for (name, why) in &weights.skipped.first {
        output.warn(&format!("  no sketch of {}: {why}", printable(name)));
    }
}
