//! MD5, SHA-1 and SHA-256 of a byte stream, in one pass.
//!
//! Hash lists in circulation are keyed by different digests, and a file is read from disk or from
//! the network once, so the three are fed from the same buffer. MD5 and SHA-1 are here because
//! existing lists use them: they find copies of known files, and nothing is ever trusted because of
//! them.
//!
//! The reader is the caller's. An error while reading is returned as it came, and no digest of a
//! partly read file is ever produced.

use std::io::{ErrorKind, Read};

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// Bytes asked of the reader at a time: small enough to stay in the second-level cache while three
/// hashes go over it, large enough that the calls do not count.
const CHUNK_BYTES: usize = 64 * 1024;

/// The three digests of one byte stream, and its length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digests {
    /// MD5 (RFC 1321).
    pub md5: [u8; 16],
    /// SHA-1 (FIPS 180-4).
    pub sha1: [u8; 20],
    /// SHA-256 (FIPS 180-4).
    pub sha256: [u8; 32],
    /// How many bytes were read.
    pub size_bytes: u64,
}

#[derive(Default)]
struct Hashers {
    md5: Md5,
    sha1: Sha1,
    sha256: Sha256,
    size_bytes: u64,
}

impl Hashers {
    fn update(&mut self, chunk: &[u8]) {
        self.md5.update(chunk);
        self.sha1.update(chunk);
        self.sha256.update(chunk);
        self.size_bytes += chunk.len() as u64;
    }

    fn finish(self) -> Digests {
        Digests {
            md5: self.md5.finalize().into(),
            sha1: self.sha1.finalize().into(),
            sha256: self.sha256.finalize().into(),
            size_bytes: self.size_bytes,
        }
    }
}

/// Reads `r` to its end and digests it. Memory use does not depend on the length.
///
/// # Errors
/// The reader's own error, except `Interrupted`, after which reading goes on.
pub fn digest_reader(r: impl Read) -> std::io::Result<Digests> {
    let mut hashers = Hashers::default();
    each_chunk(r, |chunk| hashers.update(chunk))?;
    Ok(hashers.finish())
}

/// Reads `r` to its end; its SHA-256 alone, and how many bytes were read.
///
/// # Errors
/// As [`digest_reader`].
pub fn sha256_reader(r: impl Read) -> std::io::Result<([u8; 32], u64)> {
    let (mut hasher, mut size_bytes) = (Sha256::new(), 0);
    each_chunk(r, |chunk| {
        hasher.update(chunk);
        size_bytes += chunk.len() as u64;
    })?;
    Ok((hasher.finalize().into(), size_bytes))
}

fn each_chunk(mut r: impl Read, mut take: impl FnMut(&[u8])) -> std::io::Result<()> {
    let mut buffer = vec![0u8; CHUNK_BYTES];
    loop {
        match r.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => take(&buffer[..n]),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// Digests bytes that are already in memory.
#[must_use]
pub fn digest_bytes(bytes: &[u8]) -> Digests {
    let mut hashers = Hashers::default();
    // Chunk by chunk, so that the second and third hash find the bytes in cache.
    for chunk in bytes.chunks(CHUNK_BYTES) {
        hashers.update(chunk);
    }
    hashers.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    fn check(input: &[u8], md5: &str, sha1: &str, sha256: &str) {
        let d = digest_reader(input).unwrap();
        assert_eq!(hex(&d.md5), md5);
        assert_eq!(hex(&d.sha1), sha1);
        assert_eq!(hex(&d.sha256), sha256);
        assert_eq!(d.size_bytes, input.len() as u64);
    }

    #[test]
    fn published_vectors() {
        check(
            b"",
            "d41d8cd98f00b204e9800998ecf8427e",
            "da39a3ee5e6b4b0d3255bfef95601890afd80709",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        );
        check(
            b"abc",
            "900150983cd24fb0d6963f7d28e17f72",
            "a9993e364706816aba3e25717850c26c9cd0d89d",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        );
        // A million times the letter a crosses many buffers.
        check(
            &vec![b'a'; 1_000_000],
            "7707d6ae4e027c70eea2a935c2296f21",
            "34aa973cd4c4daa4f61eeb2bdbad27316534016f",
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
        );
    }

    /// Gives one to three bytes at a time, and an interruption before each.
    struct Stutter<'a>(&'a [u8], bool);

    impl Read for Stutter<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(ErrorKind::Interrupted.into());
            }
            let n = self.0.len().min(1 + self.0.len() % 3).min(buffer.len());
            buffer[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    #[test]
    fn a_read_error_gives_no_digest() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                Err(ErrorKind::ConnectionReset.into())
            }
        }
        let error = digest_reader(b"some bytes".chain(Broken)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn how_the_bytes_arrive_does_not_matter(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let whole = digest_bytes(&bytes);
            prop_assert_eq!(&whole, &digest_reader(Stutter(&bytes, false)).unwrap());
            prop_assert_eq!(&whole, &digest_reader(bytes.as_slice()).unwrap());
            prop_assert_eq!((whole.sha256, whole.size_bytes), sha256_reader(Stutter(&bytes, true)).unwrap());
        }
    }
}
