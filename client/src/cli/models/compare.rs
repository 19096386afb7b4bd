//! `hashpact models compare`: what two models have in common.

use std::path::{Path, PathBuf};

use hashpact_hashing::models::Weights;
use hashpact_hashing::models::decision::{self, Decision, Fingerprint, Thresholds};
use hashpact_hashing::models::registry::{self, Registry, RegistryLimits};
use serde_json::{Value, json};

use super::files::{self, Named};
use crate::cli::exit::Outcome;
use crate::cli::output::{Output, printable};

/// Arguments of `models compare`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Equal identifiers are the same file or the same tensors. The family distance (bits of 256; unrelated: 128) says \
                  that two models have an ancestor in common, which thousands of innocent models have.\n\n\
                  What was added to a common base decides: give the base with --base, unless both are adapters. The answer is \
                  same, review or nothing; whatever it is, a person decides. A is taken as the listed model, B as the one \
                  that is asked about."
)]
pub(crate) struct Args {
    /// The first model: a file, an index of shards, or a folder with one component
    #[arg(value_name = "A")]
    a: PathBuf,
    /// The second model
    #[arg(value_name = "B")]
    b: PathBuf,
    /// A base that both may have been made from. May be given more than once
    #[arg(long, value_name = "FILE|DIR")]
    base: Vec<PathBuf>,
}

pub(crate) fn run(args: &Args, output: Output) -> anyhow::Result<Outcome> {
    let registry = files::registry(&args.base, output)?;
    let (a, b) = (one(&args.a, output)?, one(&args.b, output)?);
    let found = Found::new(&a, &b, &registry)?;
    if output.json {
        output.json_line(&found.in_json(&a, &b));
    } else {
        found.in_lines(&a, &b, output);
    }
    Ok(Outcome::Done)
}

/// The one model that a path names.
fn one(path: &Path, output: Output) -> anyhow::Result<Named> {
    let refused = |reason: String| anyhow::anyhow!("{}: {reason}", path.display());
    let mut models = files::read(path, output).map_err(refused)?;
    match models.len() {
        1 => Ok(models.remove(0)),
        count => Err(refused(format!("the folder holds {count} models; name one of them"))),
    }
}

fn weights(named: &Named) -> anyhow::Result<Option<&Weights>> {
    match &named.weights {
        Some(Ok(weights)) => Ok(Some(weights)),
        Some(Err(error)) => Err(anyhow::anyhow!("{}: {error}", named.name)),
        None => Ok(None),
    }
}

/// What was found about two models.
struct Found {
    /// Identifiers that are equal.
    equal: Vec<&'static str>,
    /// Mean distance in F-bits, over how many tiles.
    family: Option<(f64, u64)>,
    /// What both add to a base.
    decision: Option<Decision>,
}

impl Found {
    fn new(a: &Named, b: &Named, registry: &Registry) -> anyhow::Result<Self> {
        let mut equal = Vec::new();
        if let ([(_, a)], [(_, b)]) = (&a.files[..], &b.files[..]) {
            // A prefix is a lead, never a match: only whole digests count.
            let (a, b) = (a.identifiers.named(), b.identifiers.named());
            let whole =
                a.iter().filter(|(name, value)| value.len() == 64 && b.contains(&(*name, value.clone())));
            equal.extend(whole.map(|(name, _)| *name));
        }
        let (Some(a), Some(b)) = (weights(a)?, weights(b)?) else {
            return Ok(Self { equal, family: None, decision: None });
        };
        if a.tensor_set().is_some() && a.tensor_set() == b.tensor_set() {
            equal.push("tset1");
        }
        let fingerprint = |weights: &Weights| Fingerprint {
            tiles: registry.changes(weights, &RegistryLimits::default()).evidence,
            vectors: weights.vectors.clone(),
        };
        let (listed, asked) = (fingerprint(a), fingerprint(b));
        let comparable = |side: &Fingerprint| !side.tiles.is_empty() || !side.vectors.is_empty();
        let decided = comparable(&listed) && comparable(&asked);
        let decision = decided.then(|| decision::decide(&listed, &asked, &[], &Thresholds::default()));
        Ok(Self { equal, family: registry::family(a, b), decision })
    }

    fn in_json(&self, a: &Named, b: &Named) -> Value {
        let family = self.family.map(|(mean_bits, tiles)| json!({"mean_bits": mean_bits, "tiles": tiles}));
        let decision = self.decision.map(|Decision { verdict, comparison, .. }| {
            json!({
                "verdict": verdict.name(),
                "mean_bits": comparison.mean_bits,
                "pairs": comparison.pairs,
                "near": comparison.near,
                "listed": comparison.listed,
                "coverage_percent": comparison.coverage_percent(),
            })
        });
        json!({"a": a.name, "b": b.name, "equal": self.equal, "family": family, "changes": decision})
    }

    fn in_lines(&self, a: &Named, b: &Named, output: Output) {
        output.line(&format!("{}  and  {}", printable(&a.name), printable(&b.name)));
        let equal = if self.equal.is_empty() { "none".to_owned() } else { self.equal.join(", ") };
        output.line(&format!("  equal identifiers  {equal}"));
        if let Some((mean, tiles)) = self.family {
            output.line(&format!(
                "  family             {mean:.1} of 256 bits over {tiles} tiles (unrelated: 128)"
            ));
        }
        match &self.decision {
            Some(Decision { verdict, comparison, .. }) => {
                let (pairs, near, coverage) =
                    (comparison.pairs, comparison.near, comparison.coverage_percent());
                let mean = comparison.mean_bits;
                output.line(&format!(
                    "  changes            {}: {mean:.1} of 256 bits over {pairs} pairs, {near} of them near, {coverage} % covered",
                    verdict.name()
                ));
                output.note("  A sketch is for a person to look at; it is no proof.");
            }
            None => output.note("  Nothing to compare beyond the family; give --base with a base of both."),
        }
    }
}
