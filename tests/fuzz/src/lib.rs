//! What is fuzzed, and what must hold: no panic, and a result that keeps its bounds.

use std::io::Cursor;

use hashpact_hashing::models::{self, parts};
use hashpact_hashing::genmeta as hashing_genmeta;

/// Every parser of model files, told by the first bytes as in the product; the text also as an index.
pub fn models(data: &[u8]) {
    let model = models::read(&mut Cursor::new(data), |_| ()).expect("reading from memory does not fail");
    assert_eq!(model.identifiers.size_bytes, data.len() as u64);
    if let Some(Ok(weights)) = &model.weights {
        assert!(weights.tiles.len() <= models::TILES_MAX && weights.changes.len() <= models::TILES_MAX);
        assert!(weights.digests.len() as u64 <= weights.tensors);
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(files) = parts::shards(text)
    {
        assert!(files.len() <= parts::SHARDS_MAX && files.iter().all(|file| !file.contains('/')));
    }
}

/// Containers and the texts in them; bytes that are no container are tried as settings inside one.
pub fn genmeta(data: &[u8]) {
    check(&hashing_genmeta::read(data));
    for key in ["parameters", "prompt", "invokeai_metadata"] {
        let text = [key.as_bytes(), b"\0", data].concat();
        let length = (text.len() as u32).to_be_bytes();
        let png = [&b"\x89PNG\r\n\x1a\n"[..], &length, b"tEXt", &text, &[0; 4]].concat();
        check(&hashing_genmeta::read(&png));
    }
}

fn check(found: &hashing_genmeta::GenMeta) {
    assert!(found.resources.iter().all(|resource| matches!(resource.hex.len(), 8 | 10 | 12 | 64)));
    assert!(found.version.as_ref().is_none_or(|version| version.len() <= 11));
    assert!(found.steps.is_none_or(|steps| (1..=1000).contains(&steps)));
}
