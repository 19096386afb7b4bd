//! Fine-tunes and adapters, made here: no trainer is at hand.
//!
//! A fine-tune is a change of a given size relative to each weight, most of it of low rank, as gradients are, and the
//! rest spread over all values. An adapter is a pair of factors with falling weight from rank to rank.

use crate::network::{Network, Noise, Tensor};

/// The rank of adapters.
pub(crate) const RANK: usize = 8;

/// Whether a tensor is changed: the layers, not the table of words.
pub(crate) fn is_layer(tensor: &Tensor) -> bool {
    tensor.sides.len() == 2 && tensor.sides.iter().all(|side| (64..=4096).contains(side))
}

fn norm(values: &[f32]) -> f32 {
    values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt() as f32
}

/// The network after a change of `size`, relative to each layer.
pub(crate) fn fine_tuned(base: &Network, size: f32, seed: u64) -> Network {
    let adapter = Adapter::new(base, seed, seed);
    let mut layers = adapter.pairs.iter();
    let mut noise = Noise(seed ^ 0xff);
    let mut tuned = base.clone();
    for tensor in tuned.tensors.iter_mut().filter(|tensor| is_layer(tensor)) {
        let Some(pair) = layers.next() else { break };
        let mut change = pair.product();
        let spread = norm(&change) / (change.len() as f32).sqrt() * 0.5;
        let rest = noise.values(change.len());
        change.iter_mut().zip(&rest).for_each(|(value, rest)| *value += spread * rest);
        let scale = size * norm(&tensor.values) / norm(&change);
        tensor.values.iter_mut().zip(&change).for_each(|(value, change)| *value += scale * change);
    }
    tuned
}

/// The factors for one layer: `up` is output by rank, `down` rank by input, row by row.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) out: usize,
    pub(crate) inner: usize,
    pub(crate) rank: usize,
    pub(crate) up: Vec<f32>,
    pub(crate) down: Vec<f32>,
}

impl Pair {
    pub(crate) fn product(&self) -> Vec<f32> {
        let mut product = vec![0f32; self.out * self.inner];
        for (row, up) in product.chunks_exact_mut(self.inner).zip(self.up.chunks_exact(self.rank)) {
            for (factor, down) in up.iter().zip(self.down.chunks_exact(self.inner)) {
                row.iter_mut().zip(down).for_each(|(value, down)| *value += factor * down);
            }
        }
        product
    }

    /// The first `rank` ranks: they carry the most, so this is what tools that resize keep.
    fn resized(&self, rank: usize) -> Self {
        let up = self.up.chunks_exact(self.rank).flat_map(|row| row[..rank].to_vec()).collect();
        Self { rank, up, down: self.down[..rank * self.inner].to_vec(), ..*self }
    }

    /// `up·Q` and `Qᵀ·down` for a product of plane rotations: other factors of the same change.
    fn rotated(&self, noise: &mut Noise) -> Self {
        let mut turned = self.clone();
        for i in 0..self.rank {
            for j in i + 1..self.rank {
                let (sin, cos) = noise.values(1)[0].sin_cos();
                for row in turned.up.chunks_exact_mut(self.rank) {
                    (row[i], row[j]) = (cos * row[i] - sin * row[j], sin * row[i] + cos * row[j]);
                }
                for column in 0..self.inner {
                    let (a, b) = (i * self.inner + column, j * self.inner + column);
                    let (x, y) = (turned.down[a], turned.down[b]);
                    (turned.down[a], turned.down[b]) = (cos * x - sin * y, sin * x + cos * y);
                }
            }
        }
        turned
    }
}

/// A low-rank change to all layers of a network.
#[derive(Clone, Debug)]
pub(crate) struct Adapter {
    pub(crate) pairs: Vec<Pair>,
}

impl Adapter {
    /// `start` seeds the factors that training starts from, `seed` those that it finds.
    pub(crate) fn new(base: &Network, start: u64, seed: u64) -> Self {
        let (mut starts, mut found) =
            (Noise(start.wrapping_mul(7919)), Noise(seed.wrapping_mul(104_729) ^ 1));
        let pair = |tensor: &Tensor| {
            let (out, inner) = (tensor.sides[0] as usize, tensor.sides[1] as usize);
            let down = starts.values(RANK * inner);
            let mut up = found.values(out * RANK);
            for row in up.chunks_exact_mut(RANK) {
                row.iter_mut().enumerate().for_each(|(rank, value)| *value *= 0.7f32.powi(rank as i32));
            }
            Pair { out, inner, rank: RANK, up, down }
        };
        Self { pairs: base.tensors.iter().filter(|tensor| is_layer(tensor)).map(pair).collect() }
    }

    pub(crate) fn map(&self, each: impl FnMut(&Pair) -> Pair) -> Self {
        Self { pairs: self.pairs.iter().map(each).collect() }
    }

    pub(crate) fn resized(&self, rank: usize) -> Self {
        self.map(|pair| pair.resized(rank))
    }

    pub(crate) fn rotated(&self) -> Self {
        let mut noise = Noise(99);
        self.map(|pair| pair.rotated(&mut noise))
    }

    /// One factor larger, the other smaller.
    pub(crate) fn rescaled(&self) -> Self {
        let scaled = |values: &[f32], by: f32| values.iter().map(|value| value * by).collect();
        self.map(|pair| Pair {
            up: scaled(&pair.up, 37.0),
            down: scaled(&pair.down, 1.0 / 37.0),
            ..pair.clone()
        })
    }

    /// As a file in kohya's layout.
    pub(crate) fn network(&self) -> Network {
        let factors = |(nth, pair): (usize, &Pair)| {
            let (out, inner, rank) = (pair.out as u64, pair.inner as u64, pair.rank as u64);
            let name = |part: &str| format!("layer_{nth}.lora_{part}.weight");
            [
                Tensor { name: name("up"), sides: vec![out, rank], values: pair.up.clone() },
                Tensor { name: name("down"), sides: vec![rank, inner], values: pair.down.clone() },
            ]
        };
        Network { tensors: self.pairs.iter().enumerate().flat_map(factors).collect() }
    }

    /// The network with the adapter merged in, as a change of `size` relative to each layer.
    pub(crate) fn merged_into(&self, base: &Network, size: f32) -> Network {
        let mut merged = base.clone();
        let layers = merged.tensors.iter_mut().filter(|tensor| is_layer(tensor));
        for (tensor, pair) in layers.zip(&self.pairs) {
            let change = pair.product();
            let scale = size * norm(&tensor.values) / norm(&change);
            tensor.values.iter_mut().zip(&change).for_each(|(value, change)| *value += scale * change);
        }
        merged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Network {
        let values = Noise(1).values(64 * 80);
        Network { tensors: vec![Tensor { name: "a".to_owned(), sides: vec![64, 80], values }] }
    }

    #[test]
    fn other_factors_have_the_same_product() {
        let adapter = Adapter::new(&base(), 1, 2);
        let product = adapter.pairs[0].product();
        for other in [adapter.rotated(), adapter.rescaled()] {
            let found = other.pairs[0].product();
            assert!(product.iter().zip(&found).all(|(a, b)| (a - b).abs() < 1e-3));
            assert_ne!(other.pairs[0].up, adapter.pairs[0].up);
        }
        assert_eq!(adapter.resized(RANK).pairs[0].product(), product);
    }

    #[test]
    fn changes_have_the_size_that_is_asked_for() {
        let base = base();
        for changed in [fine_tuned(&base, 0.01, 3), Adapter::new(&base, 1, 2).merged_into(&base, 0.01)] {
            let pairs = base.tensors[0].values.iter().zip(&changed.tensors[0].values);
            let difference: Vec<f32> = pairs.map(|(a, b)| b - a).collect();
            let share = norm(&difference) / norm(&base.tensors[0].values);
            assert!((share - 0.01).abs() < 1e-4, "{share}");
        }
    }
}
