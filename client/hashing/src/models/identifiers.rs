//! Exact identifiers of a model file: every one that the field uses, from one pass over the bytes.
//!
//! | identifier | of what | where it is seen |
//! |---|---|---|
//! | `sha256` | the whole file | Hugging Face, Civitai, A1111 |
//! | `autov2`, `ti` | first 10, first 12 hex digits of `sha256` | A1111's model hash and TI hashes, Civitai |
//! | `autov1` | first 8 hex digits of the SHA-256 of bytes 0x100000 to 0x110000 | old A1111, Civitai |
//! | `st_body` | SHA-256 of a safetensors file behind its header | A1111's hashes of LoRAs, kohya's `sshs_model_hash` |
//! | `autov3` | first 12 hex digits of `st_body` | A1111's "Lora hashes", Civitai |
//! | `crc32`, `blake3` | the whole file | Civitai, InvokeAI |
//! | `tset1` | the set of tensors as 32-bit floats | here: survives renaming, re-ordering, other metadata, lossless upcasts |
//!
//! Identifiers of 8, 10 and 12 digits are prefixes: a lead for a person, never a match. A file of at most 1 MiB has
//! no `autov1`; by the letter it would be the digest of nothing, which all small files share.

use sha2::{Digest as _, Sha256};

use super::sketch::without_trailing_ones;

/// Where the bytes of `autov1` begin and end.
const AUTOV1: (u64, u64) = (0x10_0000, 0x11_0000);
/// Domain of the digest of a set of tensors.
const TENSOR_SET_TAG: &[u8] = b"hashpact/tset/v1\0";

/// Digests of the bytes of a model file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identifiers {
    /// Length of the file.
    pub size_bytes: u64,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
    /// BLAKE3 of the file.
    pub blake3: [u8; 32],
    /// CRC-32 (IEEE) of the file.
    pub crc32: u32,
    /// The first bytes of the digest of the second mebibyte's beginning; none when the file does not reach it.
    pub autov1: Option<[u8; 4]>,
    /// SHA-256 behind the header of a safetensors file.
    pub st_body: Option<[u8; 32]>,
}

impl Identifiers {
    /// Every identifier that the file has, under its name, in lower-case hexadecimal.
    #[must_use]
    pub fn named(&self) -> Vec<(&'static str, String)> {
        let sha256 = hex(&self.sha256);
        let mut named = vec![("autov2", sha256[..10].to_owned()), ("ti", sha256[..12].to_owned())];
        named.insert(0, ("sha256", sha256));
        named.extend(self.autov1.map(|bytes| ("autov1", hex(&bytes))));
        if let Some(body) = self.st_body {
            let body = hex(&body);
            named.push(("autov3", body[..12].to_owned()));
            named.push(("st_body", body));
        }
        named.push(("crc32", format!("{:08x}", self.crc32)));
        named.push(("blake3", hex(&self.blake3)));
        named
    }
}

/// Lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        text.push_str(&format!("{byte:02x}"));
        text
    })
}

/// Takes the bytes of a file in order.
#[derive(Debug)]
pub(crate) struct Digester {
    at: u64,
    sha256: Sha256,
    blake3: blake3::Hasher,
    crc32: crc32fast::Hasher,
    autov1: Sha256,
    /// Where the body begins, and its digest.
    body: Option<(u64, Sha256)>,
}

impl Digester {
    /// For a file whose body begins at `body_start`, if it has one.
    pub(crate) fn new(body_start: Option<u64>) -> Self {
        Self {
            at: 0,
            sha256: Sha256::new(),
            blake3: blake3::Hasher::new(),
            crc32: crc32fast::Hasher::new(),
            autov1: Sha256::new(),
            body: body_start.map(|start| (start, Sha256::new())),
        }
    }

    /// The next bytes of the file.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.blake3.update(bytes);
        self.crc32.update(bytes);
        self.autov1.update(between(self.at, bytes, AUTOV1.0, AUTOV1.1));
        if let Some((start, digest)) = &mut self.body {
            digest.update(between(self.at, bytes, *start, u64::MAX));
        }
        self.at += bytes.len() as u64;
    }

    /// All of them.
    pub(crate) fn finish(self) -> Identifiers {
        let [a, b, c, d, ..] = <[u8; 32]>::from(self.autov1.finalize());
        Identifiers {
            size_bytes: self.at,
            sha256: self.sha256.finalize().into(),
            blake3: self.blake3.finalize().into(),
            crc32: self.crc32.finalize(),
            autov1: (self.at > AUTOV1.0).then_some([a, b, c, d]),
            st_body: self.body.map(|(_, digest)| digest.finalize().into()),
        }
    }
}

/// The part of `bytes`, which begin at `at` in the file, that lies between two places of the file.
pub(crate) fn between(at: u64, bytes: &[u8], start: u64, end: u64) -> &[u8] {
    let clamp = |place: u64| place.saturating_sub(at).min(bytes.len() as u64) as usize;
    let (start, end) = (clamp(start), clamp(end));
    bytes.get(start..end).unwrap_or_default()
}

/// The digest of one tensor: dimensions (64 bits each, little-endian, without trailing ones beyond the second), then
/// its values as little-endian 32-bit floats, or the type's name and the raw bytes when it has no such values.
pub(crate) fn tensor_digest(dimensions: &[u64], raw_type: Option<&str>) -> Sha256 {
    let mut digest = Sha256::new();
    for side in without_trailing_ones(dimensions) {
        digest.update(side.to_le_bytes());
    }
    digest.update(raw_type.unwrap_or_default().as_bytes());
    digest
}

/// `tset1`: the digest of the sorted digests of all tensors; none when there is no tensor.
#[must_use]
pub fn tensor_set(tensors: &[[u8; 32]]) -> Option<[u8; 32]> {
    let mut sorted = tensors.to_vec();
    sorted.sort_unstable();
    let mut digest = Sha256::new_with_prefix(TENSOR_SET_TAG);
    sorted.iter().for_each(|tensor| digest.update(tensor));
    (!sorted.is_empty()).then(|| digest.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identify(bytes: &[u8], body: Option<u64>, portion: usize) -> Identifiers {
        let mut digester = Digester::new(body);
        bytes.chunks(portion).for_each(|part| digester.update(part));
        digester.finish()
    }

    #[test]
    fn published_values() {
        let ids = identify(b"abc", Some(1), 2);
        let named = ids.named();
        let get = |name| named.iter().find(|(found, _)| *found == name).map(|(_, value)| value.as_str());
        assert_eq!(get("autov2"), Some("ba7816bf8f"));
        assert_eq!(get("ti"), Some("ba7816bf8f01"));
        assert_eq!(get("crc32"), Some("352441c2"));
        let blake3 = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85";
        assert_eq!(get("blake3"), Some(blake3));
        assert_eq!(get("autov1"), None, "a small file has none");
        let bc: [u8; 32] = Sha256::digest(b"bc").into();
        assert_eq!((get("st_body"), get("autov3")), (Some(&*hex(&bc)), Some(&hex(&bc)[..12])));
    }

    #[test]
    fn autov1_is_of_its_window_alone() {
        let mut bytes = vec![7u8; 0x12_0000];
        let window: [u8; 32] = Sha256::digest(&bytes[0x10_0000..0x11_0000]).into();
        let found = identify(&bytes, None, 100_003);
        assert_eq!(found.autov1.unwrap(), window[..4]);
        bytes[0xf_ffff] = 0;
        bytes[0x11_0000] = 0;
        assert_eq!(identify(&bytes, None, 1 << 20).autov1, found.autov1);
        // A short read is allowed; nothing at all is not.
        assert!(identify(&bytes[..=0x10_0000], None, 5000).autov1.is_some());
        assert!(identify(&bytes[..0x10_0000], None, 5000).autov1.is_none());
    }

    #[test]
    fn a_tensor_set_has_no_order() {
        let (a, b) = ([1; 32], [2; 32]);
        assert_eq!(tensor_set(&[a, b]), tensor_set(&[b, a]));
        assert_ne!(tensor_set(&[a, a]), tensor_set(&[a]));
        assert_eq!(tensor_set(&[]), None);
    }
}
