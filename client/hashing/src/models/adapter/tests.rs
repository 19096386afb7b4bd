use super::*;
use crate::models::element;
use crate::models::tiles::tests::{noise, plain};

/// A file in memory with these matrices, one after another.
struct File {
    bytes: Vec<u8>,
    tensors: Vec<Tensor>,
}

impl File {
    fn new() -> Self {
        Self { bytes: Vec::new(), tensors: Vec::new() }
    }

    fn add(mut self, name: &str, dimensions: &[u64], values: &[f32]) -> Self {
        let start = self.bytes.len() as u64;
        self.bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        let bytes = self.bytes.len() as u64 - start;
        let (name, dimensions) = (name.to_owned(), dimensions.to_vec());
        self.tensors.push(Tensor { name, encoding: element::F32, dimensions, start, bytes, strides: None });
        self
    }

    fn sketch(self) -> Weights {
        let (mut reader, plan) = (io::Cursor::new(self.bytes), plan(&self.tensors));
        let layout = Layout { tensors: self.tensors, claims: Vec::new(), body_start: None };
        let mut weights = Weights::default();
        let mut source = Source::new(&mut reader).unwrap();
        sketch(&mut source, &layout, &plan, &mut weights, &mut Ones::default()).unwrap();
        weights
    }
}

fn product(up: &[f32], down: &[f32], rank: usize) -> Vec<f32> {
    let columns = down.len() / rank;
    let value = |i: usize, j: usize| -> f64 {
        (0..rank).map(|r| f64::from(up[i * rank + r]) * f64::from(down[r * columns + j])).sum()
    };
    (0..up.len() / rank)
        .flat_map(|i| (0..columns).map(move |j| (i, j)))
        .map(|(i, j)| value(i, j) as f32)
        .collect()
}

fn is_near(tile: &super::super::Tile, expected: &[f64]) {
    let size = expected.iter().map(|y| y * y).sum::<f64>().sqrt();
    for (found, expected) in tile.numbers.iter().zip(expected) {
        assert!((f64::from(*found) - expected).abs() < 1e-5 * size, "{found} is not {expected}");
    }
}

#[test]
fn the_product_need_not_be_formed() {
    let (out, inner, rank) = (80usize, 100usize, 4usize);
    let (up, down) = (noise(out * rank, 1), noise(rank * inner, 2));
    let expected = plain(&product(&up, &down, rank), out, inner);
    let (o, i, r) = (out as u64, inner as u64, rank as u64);
    for (down_name, up_name) in [
        ("x.lora_down.weight", "x.lora_up.weight"),
        ("base_model.model.x.lora_A.weight", "base_model.model.x.lora_B.weight"),
        ("x.lora_A.default.weight", "x.lora_B.default.weight"),
        ("x.processor.to_q_lora.down.weight", "x.processor.to_q_lora.up.weight"),
        ("x.lora_linear_layer.down.weight", "x.lora_linear_layer.up.weight"),
        ("blk.0.attn_q.weight.lora_a", "blk.0.attn_q.weight.lora_b"),
    ] {
        let file = File::new().add(up_name, &[o, r], &up).add(down_name, &[r, i], &down);
        let weights = file.sketch();
        assert_eq!(weights.changes.len(), 1, "{down_name}");
        is_near(&weights.changes[0], &expected);
    }
    // Alpha 2 at rank 4 is a scale of one half; a negative one turns every sign round.
    let scaled = File::new().add("x.lora_up.weight", &[o, r, 1, 1], &up).add(
        "x.lora_down.weight",
        &[r, 25, 2, 2],
        &down,
    );
    let weights = scaled.add("x.alpha", &[], &[-2.0]).sketch();
    is_near(&weights.changes[0], &expected.iter().map(|y| -y / 2.0).collect::<Vec<_>>());
}

#[test]
fn a_change_is_cut_like_the_weight_that_it_changes() {
    let (side, rank) = (64usize, 3usize);
    let (long, short) = (noise(side * 3 * rank, 3), noise(rank * side, 4));
    let tall = File::new()
        .add("x.lora_B.weight", &[192, 3], &long)
        .add("x.lora_A.weight", &[3, 64], &short)
        .sketch();
    assert_eq!(tall.changes.len(), 3);
    for (nth, tile) in tall.changes.iter().enumerate() {
        let up = &long[nth * side * rank..(nth + 1) * side * rank];
        is_near(tile, &plain(&product(up, &short, rank), side, side));
    }
    let wide = File::new()
        .add("x.lora_B.weight", &[64, 3], &short)
        .add("x.lora_A.weight", &[3, 192], &long)
        .sketch();
    assert_eq!(wide.changes.len(), 3);
    let whole = product(&short, &long, rank);
    for (nth, tile) in wide.changes.iter().enumerate() {
        let part: Vec<f32> =
            whole.chunks(side * 3).flat_map(|row| row[nth * side..(nth + 1) * side].to_vec()).collect();
        is_near(tile, &plain(&part, side, side));
    }
}

#[test]
fn a_loha_is_the_product_of_its_products() {
    let (out, inner, rank) = (70usize, 90usize, 3usize);
    let parts: Vec<Vec<f32>> = [(out * rank, 5), (rank * inner, 6), (out * rank, 7), (rank * inner, 8)]
        .map(|(n, seed)| noise(n, seed))
        .into();
    let first = product(&parts[0], &parts[1], rank);
    let second = product(&parts[2], &parts[3], rank);
    let whole: Vec<f32> = first.iter().zip(&second).map(|(a, b)| a * b).collect();
    let file = File::new()
        .add("m.hada_w1_a", &[70, 3], &parts[0])
        .add("m.hada_w1_b", &[3, 90], &parts[1])
        .add("m.hada_w2_a", &[70, 3], &parts[2])
        .add("m.hada_w2_b", &[3, 90], &parts[3])
        .add("m.alpha", &[1], &[3.0]);
    is_near(&file.sketch().changes[0], &plain(&whole, out, inner));
}

#[test]
fn the_change_of_an_embedding_is_stored_transposed() {
    let (words, side, rank) = (120usize, 64usize, 2usize);
    let (a, b) = (noise(rank * words, 1), noise(side * rank, 2));
    let turned = product(&b, &a, rank);
    let whole: Vec<f32> =
        (0..words).flat_map(|w| (0..side).map(move |s| s * words + w)).map(|at| turned[at]).collect();
    let file = File::new().add("e.lora_embedding_A", &[2, 120], &a).add("e.lora_embedding_B", &[64, 2], &b);
    is_near(&file.sketch().changes[0], &plain(&whole, words, side));
}

#[test]
fn what_does_not_fit_is_named() {
    let values = noise(400, 1);
    let check = |file: File, why: &str| {
        let weights = file.sketch();
        assert_eq!(weights.skipped.count, 1);
        assert_eq!((weights.changes.len(), weights.skipped.first[0].1), (0, why));
    };
    check(File::new().add("x.lora_up.weight", &[100, 4], &values), "a factor has no partner");
    let differing =
        File::new().add("x.lora_up.weight", &[100, 4], &values).add("x.lora_down.weight", &[5, 80], &values);
    check(differing, "the ranks of two factors differ");
    let mut bad = values.clone();
    bad[7] = f32::NAN;
    let bad =
        File::new().add("x.lora_up.weight", &[100, 4], &values).add("x.lora_down.weight", &[4, 100], &bad);
    check(bad, "a value is no finite number");
    let empty =
        File::new().add("x.lora_up.weight", &[0, 4], &[]).add("x.lora_down.weight", &[4, 100], &values);
    check(empty, "a factor is empty, too large, scattered, or of a type without values");
    let kernel =
        File::new().add("x.lora_up.weight", &[100, 4], &values).add("x.lora_mid.weight", &[4, 100], &values);
    check(kernel, "a change with a kernel between its factors is not read");
}

#[test]
fn vectors_of_a_textual_inversion() {
    let values = noise(3 * 768, 1);
    let weights = File::new().add("emb_params", &[3, 768], &values).sketch();
    assert_eq!(weights.vectors.len(), 3);
    // Slowly: eight seeds, one column at a time.
    for (vector, bits) in values.chunks(768).zip(&weights.vectors) {
        let mut y = [0f64; 256];
        for t in 0..8u64 {
            for (j, value) in vector.iter().enumerate() {
                let slot = Slot::new(0x4853_4331_5753_4B43 + 977 * t, j as u64);
                y[usize::from(slot.bucket)] += f64::from(slot.sign) * f64::from(*value);
            }
        }
        for (b, y) in y.iter().enumerate() {
            assert_eq!(bits[b / 8] >> (7 - b % 8) & 1 == 1, *y > 0.0);
        }
    }
    let both = File::new().add("clip_l", &[2, 768], &values[..1536]).add("clip_g", &[1, 768], &values[..768]);
    assert_eq!(both.sketch().vectors.len(), 3);
    let unknown = File::new().add("a", &[2, 768], &values[..1536]).add("b", &[1, 768], &values[..768]);
    assert!(unknown.sketch().vectors.is_empty(), "two tensors with names that say nothing are no inversion");
    let tall = File::new().add("emb_params", &[129, 256], &noise(129 * 256, 2));
    assert!(tall.sketch().vectors.is_empty());
}
