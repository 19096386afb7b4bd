//! Networks in memory, and their fingerprints.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use hashpact_hashing::models::{self, Weights};
use serde_json::Value;

/// One tensor of 32-bit floats.
#[derive(Clone, Debug)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) sides: Vec<u64>,
    pub(crate) values: Vec<f32>,
}

/// A network: its tensors with two sides or more.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    pub(crate) tensors: Vec<Tensor>,
}

impl Network {
    /// Reads the 32-bit floats of a safetensors file.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let length = bytes.first_chunk::<8>().context("no header")?;
        let body = 8 + usize::try_from(u64::from_le_bytes(*length))?;
        let header: Value = serde_json::from_slice(bytes.get(8..body).context("no header")?)?;
        let mut tensors = Vec::new();
        for (name, entry) in header.as_object().context("no object")? {
            if entry["dtype"] != "F32" {
                continue;
            }
            let numbers = |key: &str| -> Result<Vec<u64>> {
                let array = entry[key].as_array().with_context(|| format!("{name} has no {key}"))?;
                array.iter().map(|number| number.as_u64().context("no number")).collect()
            };
            let (sides, offsets) = (numbers("shape")?, numbers("data_offsets")?);
            let range = body + offsets[0] as usize..body + offsets[1] as usize;
            let data = bytes.get(range).with_context(|| format!("{name} is cut off"))?;
            let values = data.as_chunks::<4>().0.iter().map(|float| f32::from_le_bytes(*float)).collect();
            if sides.len() > 1 {
                tensors.push(Tensor { name: name.clone(), sides, values });
            }
        }
        ensure!(!tensors.is_empty(), "{} has no weights of 32 bits", path.display());
        Ok(Self { tensors })
    }

    /// As a safetensors file of 32-bit floats.
    pub(crate) fn file(&self) -> Vec<u8> {
        let (mut header, mut at) = (serde_json::Map::new(), 0);
        for tensor in &self.tensors {
            let end = at + tensor.values.len() * 4;
            let entry = serde_json::json!({"dtype": "F32", "shape": tensor.sides, "data_offsets": [at, end]});
            header.insert(tensor.name.clone(), entry);
            at = end;
        }
        let header = Value::Object(header).to_string();
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.reserve(header.len() + at);
        file.extend(header.bytes());
        file.extend(
            self.tensors.iter().flat_map(|tensor| &tensor.values).flat_map(|value| value.to_le_bytes()),
        );
        file
    }

    /// Its sketches.
    pub(crate) fn weights(&self) -> Result<Weights> {
        let read = models::read_sketches(&mut Cursor::new(self.file()), |_| ())?;
        Ok(read.context("no weights")??)
    }

    /// With the values of each tensor changed.
    pub(crate) fn map(&self, each: impl Fn(&Tensor) -> Vec<f32>) -> Self {
        let changed = |tensor: &Tensor| Tensor { values: each(tensor), ..tensor.clone() };
        Self { tensors: self.tensors.iter().map(changed).collect() }
    }

    /// `self + share · (other - self)`: a merge of two networks of one shape.
    pub(crate) fn merged(&self, other: &Self, share: f32) -> Self {
        let mut merged = self.clone();
        for (tensor, other) in merged.tensors.iter_mut().zip(&other.tensors) {
            tensor.values.iter_mut().zip(&other.values).for_each(|(a, b)| *a += share * (b - *a));
        }
        merged
    }
}

/// Numbers that look normally distributed, the same in every run.
#[derive(Clone, Debug)]
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    fn uniform(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) >> 40) as f32 / 16_777_216.0 - 0.5
    }

    /// Sums of four: near enough to a bell, with variance 1.
    pub(crate) fn values(&mut self, count: usize) -> Vec<f32> {
        let sum = |noise: &mut Self| (0..4).map(|_| noise.uniform()).sum::<f32>() * 1.732;
        (0..count).map(|_| sum(self)).collect()
    }
}
