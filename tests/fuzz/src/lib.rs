//! What is fuzzed, and what must hold: no panic, bounded memory, and a result that keeps its bounds.
//!
//! Each target is a function of bytes. Time is bounded by whoever calls it; memory by the allocator here, which ends the
//! process when a single input makes the parsers hold more than [`LIVE_MAX_BYTES`].

mod allocator;
pub mod seeds;

use std::io::Cursor;

use hashpact_hashing::genmeta as hashing_genmeta;
use hashpact_hashing::models::{self as hashing_models, Model, parts};
use hashpact_protocol::digest::{LeafHash, LogId, PayloadCommitment};
use hashpact_protocol::leaf::{CODEC_CBOR, Kind, Leaf};
use hashpact_protocol::record::{Payload, read_payload};

pub use allocator::LIVE_MAX_BYTES;

/// The targets by name.
pub const TARGETS: [(&str, fn(&[u8])); 5] = [
    ("models", models),
    ("pickle", pickle),
    ("genmeta", genmeta),
    ("settings", settings),
    ("payloads", payloads),
];

/// Every parser of model files, told by the first bytes as in the product; the text also as an index.
pub fn models(data: &[u8]) {
    check_model(&read_model(data), data.len());
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(files) = parts::shards(text)
    {
        assert!(files.len() <= parts::SHARDS_MAX && files.iter().all(|file| !file.contains('/')));
    }
}

/// The pickle of a PyTorch archive that has two storages.
pub fn pickle(data: &[u8]) {
    let storage = storage();
    let members = [("m/data.pkl", data), ("m/data/0", &storage), ("m/data/1", &storage[..64])];
    let archive = archive(&members);
    check_model(&read_model(&archive), archive.len());
}

/// Bytes of floats that are finite and differ.
fn storage() -> Vec<u8> {
    (0..16_384u32).map(|at| (at * at % 60) as u8).collect()
}

fn read_model(data: &[u8]) -> Model {
    hashing_models::read(&mut Cursor::new(data), |_| ()).expect("reading from memory does not fail")
}

fn check_model(model: &Model, bytes: usize) {
    assert_eq!(model.identifiers.size_bytes, bytes as u64);
    if let Some(Ok(weights)) = &model.weights {
        let max = hashing_models::TILES_MAX;
        assert!(weights.tiles.len() <= max && weights.changes.len() <= max);
        assert!(weights.digests.len() as u64 <= weights.tensors);
    }
}

/// A zip archive of stored members, without checksums, which readers of ranges do not look at.
fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in members {
        let header = file.len() as u32;
        let size = (data.len() as u32).to_le_bytes();
        let fields = [&[0; 10][..], &size, &size, &(name.len() as u16).to_le_bytes(), &[0; 2]].concat();
        file.extend([b"PK\x03\x04\x14\0\0\0".as_slice(), &fields, name.as_bytes(), data].concat());
        directory.extend([b"PK\x01\x02\x14\0\x14\0\0\0".as_slice(), &fields, &[0; 10]].concat());
        directory.extend([&header.to_le_bytes()[..], name.as_bytes()].concat());
    }
    let (count, start) = ((members.len() as u16).to_le_bytes(), (file.len() as u32).to_le_bytes());
    let size = (directory.len() as u32).to_le_bytes();
    let end = [b"PK\x05\x06\0\0\0\0".as_slice(), &count, &count, &size, &start, &[0; 2]].concat();
    [file, directory, end].concat()
}

/// Containers of pictures, with all that is in them.
pub fn genmeta(data: &[u8]) {
    check_genmeta(data);
}

/// Texts of settings, each as a picture carries it: under every key that is read, in XMP, and as the comment of a JPEG file.
pub fn settings(data: &[u8]) {
    let chunk = |kind: &[u8; 4], text: &[u8]| {
        let length = (text.len() as u32).to_be_bytes();
        [&length[..], kind, text, &[0; 4]].concat()
    };
    let png = |chunks: &[Vec<u8>]| [&b"\x89PNG\r\n\x1a\n"[..], &chunks.concat()].concat();
    for key in ["parameters", "prompt", "invokeai_metadata", "Comment", "Make", "Software", "generation_data"]
    {
        let text = chunk(b"tEXt", &[key.as_bytes(), b"\0", data].concat());
        let software = if key == "Comment" { chunk(b"tEXt", b"Software\0NovelAI") } else { Vec::new() };
        check_genmeta(&png(&[software, text]));
    }
    check_genmeta(&png(&[chunk(b"iTXt", &[b"XML:com.adobe.xmp\0\0\0\0\0", data].concat())]));
    if let Ok(length) = u16::try_from(data.len() + 2) {
        check_genmeta(&[&b"\xff\xd8\xff\xfe"[..], &length.to_be_bytes(), data, b"\xff\xd9"].concat());
    }
}

fn check_genmeta(file: &[u8]) {
    let found = hashing_genmeta::read(file);
    assert!(found.resources.iter().all(|resource| matches!(resource.hex.len(), 8 | 10 | 12 | 64)));
    assert!(found.version.as_ref().is_none_or(|version| version.len() <= 11));
    assert!(found.steps.is_none_or(|steps| (1..=1000).contains(&steps)));
    assert!(found.cfg_x10.is_none_or(|cfg| cfg <= 1000));
}

/// A payload of the kind that the first byte says, with a subject if the second is odd, for a group if it is not below 128.
/// What is read as a record has the same bytes again.
pub fn payloads(data: &[u8]) {
    let Some((&[kind, more], cbor)) = data.split_first_chunk::<2>() else { return };
    let kind = Kind::ALL[usize::from(kind) % Kind::ALL.len()];
    let has_subject = more & 1 == 1;
    let leaf = Leaf {
        kind,
        has_subject,
        priority: false,
        payload_codec: CODEC_CBOR,
        index: 7,
        time_ms: 1_767_323_045_000,
        roster_version: 1,
        log_id: LogId::new([1; 32]),
        subject: has_subject.then(|| LeafHash::new([2; 32])),
        group: u32::from(more >> 7),
        payload_len: 1024,
        commitment: PayloadCommitment::new([3; 32]),
    };
    if let Payload::Record(record) = read_payload(&leaf, cbor) {
        assert!(record.encode() == cbor, "what is read is written the same");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hashpact_hashing::models::Weights;

    /// The archive around a pickle is one that is read, and the tensor of the seed has a sketch.
    #[test]
    fn the_pickle_of_a_seed_has_a_tensor() {
        let seed = &seeds::of("pickle")[0];
        let archive = archive(&[("m/data.pkl", seed), ("m/data/0", &storage())]);
        assert_eq!(read_model(&archive).weights.unwrap().unwrap().tiles.len(), 1);
    }

    /// Every type of tensor is decoded from some seed: a file that is cut off is refused before that.
    #[test]
    fn seeds_of_models_reach_what_decodes_values() {
        let seeds = seeds::of("models");
        let weights = seeds.iter().filter_map(|seed| read_model(seed).weights?.ok());
        let decoded = |weights: &Weights| !weights.tiles.is_empty() || !weights.vectors.is_empty();
        let count = weights.filter(decoded).count();
        // Thirteen types of GGUF, seven files of safetensors, an inversion, an archive.
        assert!(count >= 22, "{count} seeds have a sketch");
    }

    #[test]
    fn every_target_has_seeds_and_holds_on_them() {
        for (name, run) in TARGETS {
            let seeds = seeds::of(name);
            assert!(!seeds.is_empty(), "{name}");
            seeds.iter().for_each(|seed| run(seed));
        }
    }
}
