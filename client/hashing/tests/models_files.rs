//! Model files from end to end, in memory: what survives re-saving, and what bad files lead to.

use std::io::Cursor;

use hashpact_hashing::models::layout::Format;
use hashpact_hashing::models::{self, Kind, Model, Weights, sketch};
use proptest::prelude::*;

/// Numbers that look random, the same in every run.
fn noise(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / 8_388_608.0 - 1.0
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// A tensor: name, type, sides, bytes.
type Entry = (String, &'static str, Vec<u64>, Vec<u8>);

fn f32s(name: &str, sides: &[u64], values: &[f32]) -> Entry {
    (name.to_owned(), "F32", sides.to_vec(), values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

fn safetensors(metadata: &str, entries: &[Entry]) -> Vec<u8> {
    let (mut header, mut data) = (format!("{{\"__metadata__\":{{{metadata}}}"), Vec::new());
    for (name, kind, sides, bytes) in entries {
        let (start, end) = (data.len(), data.len() + bytes.len());
        header += &format!(
            ",\"{name}\":{{\"dtype\":\"{kind}\",\"shape\":{sides:?},\"data_offsets\":[{start},{end}]}}"
        );
        data.extend(bytes);
    }
    header.push('}');
    [(header.len() as u64).to_le_bytes().to_vec(), header.into_bytes(), data].concat()
}

fn read(bytes: &[u8]) -> Model {
    models::read(&mut Cursor::new(bytes), |_| ()).unwrap()
}

fn weights(bytes: &[u8]) -> Weights {
    read(bytes).weights.unwrap().unwrap()
}

fn error(bytes: &[u8]) -> String {
    let model = read(bytes);
    assert_eq!(model.identifiers.size_bytes, bytes.len() as u64, "identifiers are there whatever is wrong");
    model.weights.unwrap().unwrap_err().to_string()
}

fn network() -> [Entry; 3] {
    [
        f32s("a.weight", &[64, 64, 3, 3], &noise(64 * 576, 1)),
        f32s("b.weight", &[192, 64, 1, 1], &noise(192 * 64, 2)),
        f32s("b.bias", &[192], &noise(192, 3)),
    ]
}

#[test]
fn names_order_metadata_and_lossless_types_do_not_matter() {
    let [a, b, c] = network();
    let first = weights(&safetensors("", &[a.clone(), b.clone(), c.clone()]));
    assert_eq!((first.kind(), first.tensors, first.parameters), (Kind::Full, 3, 64 * 576 + 192 * 64 + 192));
    assert_eq!(first.tiles.len(), 9 + 3);
    let doubles = |(name, _, sides, bytes): Entry| {
        let values = bytes.as_chunks::<4>().0.iter().map(|float| f64::from(f32::from_le_bytes(*float)));
        (format!("x.{name}"), "F64", sides, values.flat_map(f64::to_le_bytes).collect())
    };
    let second = weights(&safetensors("\"note\":\"x\"", &[doubles(c), doubles(a), doubles(b.clone())]));
    assert_eq!(first.tensor_set(), second.tensor_set());
    let sorted = |weights: &Weights| {
        let mut bits: Vec<_> = weights.tiles.iter().map(|tile| tile.bits).collect();
        bits.sort_unstable();
        bits
    };
    assert_eq!(sorted(&first), sorted(&second));
    // The shape is part of a tensor; sides of one at its end are not.
    let flat = (b.0.clone(), b.1, vec![192, 64], b.3.clone());
    assert_eq!(
        weights(&safetensors("", std::slice::from_ref(&b))).digests,
        weights(&safetensors("", &[flat])).digests
    );
    let turned = (b.0, b.1, vec![64, 192], b.3);
    assert_ne!(weights(&safetensors("", &[turned])).digests, second.digests[2..]);
}

#[test]
fn parts_of_a_model_are_the_model() {
    let [a, b, c] = network();
    let whole = weights(&safetensors("", &[a.clone(), b.clone(), c.clone()]));
    let mut parts = weights(&safetensors("", &[a]));
    parts.merge(weights(&safetensors("", &[b, c])));
    assert_eq!((parts.tensor_set(), parts.tiles), (whole.tensor_set(), whole.tiles));
}

#[test]
fn sketches_alone_are_the_same_sketches() {
    let file = safetensors("", &network());
    let alone = models::read_sketches(&mut Cursor::new(&file), |_| ()).unwrap().unwrap().unwrap();
    assert_eq!(alone.tiles, weights(&file).tiles);
    assert!(alone.digests.is_empty());
}

#[test]
fn a_value_that_is_no_number_costs_its_tensor_the_sketch() {
    let mut values = noise(64 * 64, 1);
    values[77] = f32::NAN;
    let file = safetensors("", &[f32s("bad", &[64, 64], &values), f32s("good", &[64, 64], &noise(4096, 2))]);
    let found = weights(&file);
    assert_eq!((found.tiles.len(), found.digests.len()), (1, 2));
    assert_eq!(found.skipped.first, [("bad".to_owned(), "a value is no finite number")]);
    let half = |value: u16| ("h".to_owned(), "F16", vec![64, 64], value.to_le_bytes().repeat(4096));
    assert_eq!(weights(&safetensors("", &[half(0x7c00)])).skipped.count, 1, "an infinity in half precision");
    assert!(weights(&safetensors("", &[half(0x3c00)])).tiles.len() <= 1, "a constant has hardly a sketch");
    assert!(weights(&safetensors("", &[half(0)])).tiles.is_empty(), "zeros have none");
}

#[test]
fn bad_files_have_a_reason_and_their_identifiers() {
    let whole = safetensors("", &network());
    assert!(error(&whole[..whole.len() - 1]).contains("the last tensor needs"));
    assert!(error(&[&whole[..], b"x"].concat()).contains("belong to no tensor"));
    let mut bomb = whole.clone();
    bomb[..8].copy_from_slice(&(99_000_000u64).to_le_bytes());
    assert!(error(&bomb).contains("the header needs 99000008 bytes"));
    assert!(read(&bomb).identifiers.st_body.is_none());
    assert!(error(b"PK\x03\x04 no archive").contains("archive"));
    assert!(error(b"GGUF\x03\0\0\0").contains("the header needs"));
    let other = read(b"something else");
    assert_eq!((other.format, other.weights.is_none()), (Format::Other, true));
    assert_eq!(read(b"").identifiers.size_bytes, 0);
}

#[test]
fn an_adapter_is_what_it_adds() {
    let (up, down) = (noise(128 * 4, 1), noise(4 * 128, 2));
    let file = safetensors(
        "",
        &[
            f32s("m.lora_up.weight", &[128, 4], &up),
            f32s("m.alpha", &[], &[4.0]),
            f32s("m.lora_down.weight", &[4, 128], &down),
        ],
    );
    let adapter = weights(&file);
    assert_eq!((adapter.kind(), adapter.tiles.len(), adapter.changes.len()), (Kind::Adapter, 0, 1));
    assert_eq!(adapter.digests.len(), 3);
    // Merged into a base, the difference to the base is the adapter's change.
    let base = noise(128 * 128, 3);
    let change = |i: usize, j: usize| (0..4).map(|r| up[i * 4 + r] * down[r * 128 + j]).sum::<f32>();
    let merged: Vec<f32> = (0..128 * 128).map(|at| base[at] + 0.02 * change(at / 128, at % 128)).collect();
    let mut registry = models::registry::Registry::default();
    registry.add(&weights(&safetensors("", &[f32s("w", &[128, 128], &base)])));
    let merged = weights(&safetensors("", &[f32s("w", &[128, 128], &merged)]));
    let changes = registry.changes(&merged, &models::registry::RegistryLimits::default());
    let distance = sketch::distance(&changes.evidence[0].bits, &adapter.changes[0].bits);
    assert!(distance <= 12, "{distance} bits");
}

/// A zip archive without compression.
fn zip(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in members {
        let sizes = [(bytes.len() as u32).to_le_bytes(), (bytes.len() as u32).to_le_bytes()].concat();
        let lengths = [(name.len() as u16).to_le_bytes(), [0, 0]].concat();
        let offset = (file.len() as u32).to_le_bytes();
        file.extend([b"PK\x03\x04", &[0; 14][..], &sizes, &lengths, name.as_bytes(), bytes].concat());
        directory.extend(
            [b"PK\x01\x02", &[0; 16][..], &sizes, &lengths, &[0; 10], &offset, name.as_bytes()].concat(),
        );
    }
    let count = (members.len() as u16).to_le_bytes();
    let place = [(directory.len() as u32).to_le_bytes(), (file.len() as u32).to_le_bytes()].concat();
    [file, directory, b"PK\x05\x06\0\0\0\0".to_vec(), count.to_vec(), count.to_vec(), place, vec![0, 0]]
        .concat()
}

fn text(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

/// The pickle of a tensor with its name: a view of storage `key`.
fn view(name: &str, key: &str, offset: u8, sides: [u8; 2], strides: [u8; 2]) -> Vec<u8> {
    let pair = |[a, b]: [u8; 2]| vec![b'K', a, b'K', b, 0x86];
    let storage =
        [b"((".to_vec(), text("storage"), b"ctorch\nFloatStorage\n".to_vec(), text(key), text("cpu")]
            .concat();
    [
        text(name),
        b"ctorch._utils\n_rebuild_tensor_v2\n".to_vec(),
        storage,
        vec![b'K', 0, b't', b'Q', b'K', offset],
        pair(sides),
        pair(strides),
        b"\x89ccollections\nOrderedDict\n)RtR".to_vec(),
    ]
    .concat()
}

fn archive(views: &[Vec<u8>], values: &[f32]) -> Vec<u8> {
    let pickle = [b"\x80\x02}(".to_vec(), views.concat(), b"u.".to_vec()].concat();
    let data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    zip(&[("x/data.pkl", pickle), ("x/byteorder", b"little".to_vec()), ("x/data/0", data)])
}

#[test]
fn views_of_an_archive_are_the_tensors_that_they_show() {
    let values = noise(80 * 64 + 3, 1);
    let transposed: Vec<f32> = (0..64 * 80).map(|at| values[3 + at % 80 * 64 + at / 80]).collect();
    let plain = weights(&safetensors(
        "",
        &[
            f32s("a", &[80, 64], &values[3..]),
            f32s("b", &[80, 64], &values[3..]),
            f32s("c", &[64, 80], &transposed),
        ],
    ));
    let views = [
        view("w", "0", 3, [80, 64], [64, 1]),
        view("tied", "0", 3, [80, 64], [64, 1]),
        view("turned", "0", 3, [64, 80], [1, 64]),
    ];
    let file = archive(&views, &values);
    let found = read(&file);
    assert_eq!(found.format, Format::Torch);
    let found = found.weights.unwrap().unwrap();
    assert_eq!((found.tensor_set(), &found.tiles), (plain.tensor_set(), &plain.tiles));
    assert!(error(&archive(&[view("w", "0", 4, [80, 64], [64, 1])], &values)).contains("beyond its storage"));
    assert!(error(&archive(&[view("w", "7", 0, [2, 2], [2, 1])], &values)).contains("a storage is missing"));
    assert!(error(&zip(&[("x/data.pkl", b"cos\nsystem\n.".to_vec())])).contains("nothing was executed"));
}

#[test]
fn many_tensors_of_one_storage_take_bounded_time() {
    let views: Vec<Vec<u8>> =
        (0..2000).map(|n| view(&format!("t{n}"), "0", 0, [200, 250], [250, 1])).collect();
    let found = weights(&archive(&views, &noise(50_000, 1)));
    assert!(found.skipped.count > 1900);
    assert!(found.tiles.len() < 10);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_of_any_format_end_in_a_value(at in 0usize..3000, byte in any::<u8>(), cut in 0usize..400, kind in 0usize..3) {
        let gguf = include_bytes!("../../../tests/vectors/models/quants.gguf");
        let small = [f32s("a.lora_up.weight", &[64, 2], &noise(128, 1)), f32s("a.lora_down.weight", &[2, 64], &noise(128, 2))];
        let mut file = match kind {
            0 => safetensors("\"sshs_model_hash\":\"ab\"", &small),
            1 => archive(&[view("w", "0", 3, [16, 17], [17, 1])], &noise(400, 1)),
            _ => gguf[..8000].to_vec(),
        };
        let length = file.len();
        file[at % length] = byte;
        file.truncate(length - cut);
        let model = read(&file);
        prop_assert_eq!(model.identifiers.size_bytes, file.len() as u64);
    }
}
