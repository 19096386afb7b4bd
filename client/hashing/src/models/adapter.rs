//! Low-rank adapters and textual inversions: which tensors belong together, and what they sketch to.
//!
//! An adapter stores a change `B·A` to a weight as its two factors; the sketch of the product comes from sketches of
//! the factors, column by column, without forming it. A LoHa change is the element-wise product of two such
//! products, which is one product whose rank is the product of the ranks. Its scale (`alpha` over rank) only matters
//! by its sign and in sums over tiles, and is applied where it is stated. The magnitudes of a DoRA act on base and
//! change together and need the base; the sketch is of the change.
//!
//! Only here do names of tensors matter: they say which factors belong together, in the layouts of kohya, diffusers,
//! PEFT, LyCORIS and GGUF. A factor without its partner, or of a shape that does not fit, is skipped and named.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek};

use super::layout::{Layout, ReadError, Source, Tensor};
use super::sketch::{self, BUCKETS, COLUMN_SEED, Ones, ROW_SEED, Shape, Sketch, Slot};
use super::{TILES_MAX, Weights, pass};

/// The most values of a factor.
const FACTOR_MAX_VALUES: u64 = 16 << 20;
/// The most vectors of a textual inversion, over all its tensors.
const VECTORS_MAX: u64 = 128;
/// The sides that a vector of a textual inversion may have.
const VECTOR_SIDES: std::ops::RangeInclusive<u64> = 256..=8192;

/// What a tensor is for its adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// Rank by input side.
    Down,
    /// Output side by rank.
    Up,
    /// The factors of an embedding's change, which is stored transposed.
    EmbeddingDown,
    EmbeddingUp,
    /// The four factors of a LoHa.
    FirstUp,
    FirstDown,
    SecondUp,
    SecondDown,
    /// A kernel between the factors, which is not multiplied here.
    Middle,
    /// Numerator of the scale.
    Alpha,
    /// Magnitudes of a DoRA.
    Magnitude,
}

/// Ends of names, and what they mean.
const ENDINGS: [(&str, Part); 30] = [
    (".lora_down.weight", Part::Down),
    (".lora_up.weight", Part::Up),
    (".lora_mid.weight", Part::Middle),
    (".lora_A.weight", Part::Down),
    (".lora_B.weight", Part::Up),
    (".lora_A.default.weight", Part::Down),
    (".lora_B.default.weight", Part::Up),
    (".lora_A", Part::Down),
    (".lora_B", Part::Up),
    (".lora_a", Part::Down),
    (".lora_b", Part::Up),
    ("_lora.down.weight", Part::Down),
    ("_lora.up.weight", Part::Up),
    (".lora.down.weight", Part::Down),
    (".lora.up.weight", Part::Up),
    (".lora_linear_layer.down.weight", Part::Down),
    (".lora_linear_layer.up.weight", Part::Up),
    (".lora_embedding_A", Part::EmbeddingDown),
    (".lora_embedding_B", Part::EmbeddingUp),
    (".hada_w1_a", Part::FirstUp),
    (".hada_w1_b", Part::FirstDown),
    (".hada_w2_a", Part::SecondUp),
    (".hada_w2_b", Part::SecondDown),
    (".hada_t1", Part::Middle),
    (".hada_t2", Part::Middle),
    (".alpha", Part::Alpha),
    (".dora_scale", Part::Magnitude),
    (".lora_magnitude_vector", Part::Magnitude),
    (".lora_magnitude_vector.weight", Part::Magnitude),
    (".lora_magnitude_vector.default.weight", Part::Magnitude),
];

/// Names that tools give to the tensors of a textual inversion.
const VECTOR_NAMES: [&str; 6] = ["emb_params", "clip_l", "clip_g", "t5xxl", "string_to_param.*", "<concept>"];

/// Which tensors are parts of adapters or vectors.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    modules: Vec<BTreeMap<Part, usize>>,
    vectors: Vec<usize>,
    parts: Vec<bool>,
}

impl Plan {
    /// Whether the tensor is handled here, and so has no sketch of its own.
    pub(crate) fn is_part(&self, nth: usize) -> bool {
        self.parts.get(nth).copied().unwrap_or(false)
    }
}

/// Sorts tensors by the modules that they change.
pub(crate) fn plan(tensors: &[Tensor]) -> Plan {
    let mut modules: BTreeMap<&str, BTreeMap<Part, usize>> = BTreeMap::new();
    for (nth, tensor) in tensors.iter().enumerate() {
        let ending = ENDINGS.iter().find_map(|(end, part)| Some((tensor.name.strip_suffix(end)?, *part)));
        if let Some((module, part)) = ending {
            modules.entry(module).or_default().insert(part, nth);
        }
    }
    // A full checkpoint may have a tensor named "x.alpha"; a module has factors.
    let is_module = |parts: &BTreeMap<Part, usize>| {
        !parts.keys().all(|part| matches!(part, Part::Alpha | Part::Magnitude))
    };
    let modules: Vec<_> = modules.into_values().filter(is_module).collect();
    let vectors = vectors(tensors);
    let mut parts = vec![false; tensors.len()];
    for nth in modules.iter().flat_map(BTreeMap::values).chain(&vectors) {
        parts[*nth] = true;
    }
    Plan { modules, vectors, parts }
}

/// The tensors of a textual inversion: few vectors, under names that tools give them, or one tensor alone.
fn vectors(tensors: &[Tensor]) -> Vec<usize> {
    let known = |name: &str| VECTOR_NAMES.contains(&name) || name.starts_with("string_to_param.");
    let floats: Vec<usize> = (0..tensors.len()).filter(|nth| tensors[*nth].encoding.is_float()).collect();
    let named = floats.iter().filter(|nth| known(&tensors[**nth].name)).count();
    let all_fit = floats.iter().all(|nth| vector_side(&tensors[*nth].dimensions).is_some());
    let count = floats.iter().map(|nth| rows(&tensors[*nth].dimensions)).fold(0u64, u64::saturating_add);
    let is_inversion =
        all_fit && (1..=VECTORS_MAX).contains(&count) && (floats.len() == 1 || named == floats.len());
    if is_inversion { floats } else { Vec::new() }
}

fn rows(dimensions: &[u64]) -> u64 {
    if let [rows, _] = dimensions { *rows } else { 1 }
}

fn vector_side(dimensions: &[u64]) -> Option<u64> {
    let (rows, side) = match dimensions {
        [side] => (1, *side),
        [rows, side] => (*rows, *side),
        _ => return None,
    };
    ((1..=VECTORS_MAX).contains(&rows) && VECTOR_SIDES.contains(&side)).then_some(side)
}

/// Sketches what is planned and adds it to `weights`.
pub(crate) fn sketch<R: Read + Seek>(
    source: &mut Source<'_, R>,
    layout: &Layout,
    plan: &Plan,
    weights: &mut Weights,
    ones: &mut Ones,
) -> io::Result<()> {
    for parts in &plan.modules {
        let name = parts.values().next().map_or("", |nth| &layout.tensors[*nth].name);
        match module(source, &layout.tensors, parts, ones)? {
            Ok(tiles) if weights.changes.len() + tiles.len() <= TILES_MAX => weights.changes.extend(tiles),
            Ok(_) => weights.skipped.add(name, "too many tiles"),
            Err(why) => weights.skipped.add(name, why),
        }
    }
    for nth in &plan.vectors {
        let tensor = &layout.tensors[*nth];
        match factor(source, tensor)? {
            Ok(matrix) => {
                let side = vector_side(&tensor.dimensions).unwrap_or(1) as usize;
                let sketches = matrix.values.chunks_exact(side).map(sketch::vector);
                weights.vectors.extend(sketches.map(|numbers| sketch::bits(&numbers)));
            }
            Err(why) => weights.skipped.add(&tensor.name, why),
        }
    }
    Ok(())
}

/// A factor in memory.
#[derive(Clone, Debug, PartialEq)]
struct Matrix {
    rows: usize,
    columns: usize,
    values: Vec<f32>,
}

impl Matrix {
    fn transposed(&self) -> Self {
        let column = |j: usize| (0..self.rows).map(move |i| self.values[i * self.columns + j]);
        let values = (0..self.columns).flat_map(column).collect();
        Self { rows: self.columns, columns: self.rows, values }
    }

    /// Every product of a column of `self` and a column of `other`, row by row.
    fn column_products(&self, other: &Self) -> Self {
        let (a, b) = (self.values.chunks_exact(self.columns), other.values.chunks_exact(other.columns));
        let row = |(a, b): (&[f32], &[f32])| {
            a.iter().flat_map(|x| b.iter().map(move |y| x * y)).collect::<Vec<_>>()
        };
        Self {
            rows: self.rows,
            columns: self.columns * other.columns,
            values: a.zip(b).flat_map(row).collect(),
        }
    }
}

/// Reads a tensor as a matrix, or says why that is not done.
fn factor<R: Read + Seek>(
    source: &mut Source<'_, R>,
    tensor: &Tensor,
) -> io::Result<Result<Matrix, &'static str>> {
    let values: u64 = tensor.dimensions.iter().fold(1, |all, side| all.saturating_mul(*side));
    if values > FACTOR_MAX_VALUES || values == 0 || tensor.strides.is_some() || !tensor.encoding.is_float() {
        return Ok(Err("a factor is empty, too large, scattered, or of a type without values"));
    }
    let bytes = match source.read_at(tensor.start, tensor.bytes, "a factor") {
        Ok(bytes) => bytes,
        Err(ReadError::Io(error)) => return Err(error),
        Err(ReadError::Layout(_)) => return Ok(Err("a factor reaches beyond the file")),
    };
    let mut floats = Vec::new();
    tensor.encoding.decode(&bytes, &mut floats);
    let values: Vec<f32> = floats.as_chunks::<4>().0.iter().map(|float| f32::from_le_bytes(*float)).collect();
    if values.iter().any(|value| !value.is_finite()) {
        return Ok(Err("a value is no finite number"));
    }
    let rows = tensor.dimensions.first().copied().unwrap_or(1) as usize;
    Ok(Ok(Matrix { rows, columns: values.len() / rows, values }))
}

/// The tiles of one module, or why it has none.
fn module<R: Read + Seek>(
    source: &mut Source<'_, R>,
    tensors: &[Tensor],
    parts: &BTreeMap<Part, usize>,
    ones: &mut Ones,
) -> io::Result<Result<Vec<super::Tile>, &'static str>> {
    let mut get = |part: Part| -> io::Result<Result<Matrix, &'static str>> {
        match parts.get(&part) {
            Some(nth) => factor(source, &tensors[*nth]),
            None => Ok(Err("a factor has no partner")),
        }
    };
    if parts.contains_key(&Part::Middle) {
        return Ok(Err("a change with a kernel between its factors is not read"));
    }
    let (up, down, rank) = if parts.contains_key(&Part::FirstUp) {
        let (first, second) =
            ((get(Part::FirstUp)?, get(Part::FirstDown)?), (get(Part::SecondUp)?, get(Part::SecondDown)?));
        match (first, second) {
            ((Ok(up1), Ok(down1)), (Ok(up2), Ok(down2))) => match hadamard([up1, down1], [up2, down2]) {
                Ok(product) => product,
                Err(why) => return Ok(Err(why)),
            },
            ((Err(why), _) | (_, Err(why)), _) | (_, (Err(why), _) | (_, Err(why))) => return Ok(Err(why)),
        }
    } else {
        let embedding = parts.contains_key(&Part::EmbeddingUp);
        let (up, down) =
            if embedding { (Part::EmbeddingUp, Part::EmbeddingDown) } else { (Part::Up, Part::Down) };
        match (get(up)?, get(down)?) {
            // The change of an embedding is used transposed: (B·A)ᵀ = Aᵀ·Bᵀ.
            (Ok(up), Ok(down)) if embedding => (down.transposed(), up.transposed(), down.rows),
            (Ok(up), Ok(down)) => {
                let rank = down.rows;
                (up, down, rank)
            }
            (Err(why), _) | (_, Err(why)) => return Ok(Err(why)),
        }
    };
    if up.columns != down.rows {
        return Ok(Err("the ranks of two factors differ"));
    }
    let Some(shape) = Shape::matrix(up.rows as u64, down.columns as u64) else { return Ok(Ok(Vec::new())) };
    let alpha = match get(Part::Alpha)? {
        Ok(Matrix { values, .. }) if values.len() == 1 && values[0] != 0.0 => f64::from(values[0]),
        _ => rank as f64,
    };
    Ok(Ok(low_rank(&up, &down, &shape, alpha / rank as f64, ones)))
}

/// The two products of a LoHa as one; with the rank that its scale is divided by.
fn hadamard(
    [up1, down1]: [Matrix; 2],
    [up2, down2]: [Matrix; 2],
) -> Result<(Matrix, Matrix, usize), &'static str> {
    let fits = up1.rows == up2.rows && down1.columns == down2.columns;
    if !fits || up1.columns != down1.rows || up2.columns != down2.rows {
        return Err("the ranks of two factors differ");
    }
    let rank = down1.rows;
    let values = (up1.rows.max(down1.columns) as u64)
        .saturating_mul((up1.columns as u64).saturating_mul(up2.columns as u64));
    if values > FACTOR_MAX_VALUES {
        return Err("the product of the ranks of a LoHa is too large");
    }
    let up = up1.column_products(&up2);
    let down = down1.transposed().column_products(&down2.transposed()).transposed();
    Ok((up, down, rank))
}

/// The sketches of the tiles of `scale · up · down`.
fn low_rank(up: &Matrix, down: &Matrix, shape: &Shape, scale: f64, ones: &mut Ones) -> Vec<super::Tile> {
    let (rank, turned) = (up.columns, down.transposed());
    // Both with one row for each row (or column) of the tile and one column for each rank.
    let part = |matrix: &Matrix, seed: u64, side: u64, nth: u64| {
        let side = side as usize;
        let start = nth as usize * side * rank;
        factor_sketch(&matrix.values[start..start + side * rank], rank, seed)
    };
    let (down_tiles, up_tiles) = (shape.across(), shape.tiles / shape.across());
    let columns: Vec<_> =
        (0..down_tiles).map(|nth| part(&turned, COLUMN_SEED, shape.tile.columns, nth)).collect();
    let count = shape.tile.rows as f64 * shape.tile.columns as f64;
    let mut tiles = Vec::new();
    for nth in 0..up_tiles {
        let rows = part(up, ROW_SEED, shape.tile.rows, nth);
        for columns in &columns {
            let mut numbers: Sketch = [0.0; BUCKETS];
            let mut sum = 0.0;
            for (row, column) in rows.iter().zip(columns) {
                sketch::add_convolution(&mut numbers, &row.numbers, &column.numbers);
                sum += row.sum * column.sum;
            }
            sketch::subtract_mean(&mut numbers, sum / count, ones.of(shape.tile));
            numbers.iter_mut().for_each(|number| *number *= scale);
            tiles.extend(pass::tile(shape.tile, &numbers));
        }
    }
    tiles
}

/// The sketch of one column of a factor, and its sum.
struct FactorSketch {
    numbers: Box<Sketch>,
    sum: f64,
}

fn factor_sketch(values: &[f32], rank: usize, seed: u64) -> Vec<FactorSketch> {
    let empty = || FactorSketch { numbers: Box::new([0.0; BUCKETS]), sum: 0.0 };
    let mut sketches: Vec<FactorSketch> = std::iter::repeat_with(empty).take(rank).collect();
    for (index, row) in values.chunks_exact(rank).enumerate() {
        let slot = Slot::new(seed, index as u64);
        for (sketch, value) in sketches.iter_mut().zip(row) {
            sketch.numbers[usize::from(slot.bucket)] += f64::from(slot.sign) * f64::from(*value);
            sketch.sum += f64::from(*value);
        }
    }
    sketches
}

#[cfg(test)]
mod tests;
