//! Column family `heads`: how far each log is stored.
//!
//! ```text
//! key    0  32  log id
//! value  bincode { origin: text, size: u64, frontier: list of 32-byte peaks, largest first }
//! ```
//!
//! Written in the same synced batch as the entries below `size`, so the head never speaks of more
//! than is there. The peaks derive from the leaves and `fsck` recomputes them; they are kept because
//! appending needs them at once after a start.
//! Somebody who can write here makes the node build on a false tree: the next own signature is
//! prevented by the comparison with the lock file, and for other members' logs the root no longer
//! meets any signature. Losing it loses nothing that a scan of `leaves` would not find again.

use super::codec;
use super::error::StoreError;
use super::options::Shape;
use bincode::{Decode, Encode};
use hashpact_core::effect::SizedNote;
use hashpact_protocol::digest::{LogId, NodeHash};
use hashpact_protocol::merkle::{Frontier, LEVELS_MAX};

/// Name of the column family.
pub(super) const FAMILY: &str = "heads";
/// How it is laid out on disk.
pub(super) const SHAPE: Shape = Shape::Small;
/// Longest origin that is stored; the formats of a consortium's names stay far below.
pub const ORIGIN_MAX_BYTES: usize = 512;
/// Longest value: origin and peaks with their lengths, and the size.
const VALUE_MAX_BYTES: usize = ORIGIN_MAX_BYTES + LEVELS_MAX * 32 + 3 * 8;

/// A log as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredHead {
    /// The log.
    pub log: LogId,
    /// Its origin.
    pub origin: String,
    /// Entries stored.
    pub size: u64,
    /// Peaks of the tree at `size`, largest first.
    pub frontier: Vec<NodeHash>,
    /// The newest checkpoint note that was kept.
    pub note: Option<SizedNote>,
}

#[derive(Encode, Decode)]
struct Value {
    origin: String,
    size: u64,
    frontier: Vec<[u8; 32]>,
}

/// Encodes a head.
pub(super) fn encode(origin: &str, frontier: &Frontier) -> Result<Vec<u8>, StoreError> {
    if origin.len() > ORIGIN_MAX_BYTES {
        return Err(StoreError::OriginTooLong { len_bytes: origin.len(), max_bytes: ORIGIN_MAX_BYTES });
    }
    let frontier_hashes = frontier.hashes().iter().map(|hash| *hash.as_bytes()).collect();
    let value = Value { origin: origin.to_owned(), size: frontier.size(), frontier: frontier_hashes };
    codec::encode::<_, VALUE_MAX_BYTES>(FAMILY, value)
}

/// Decodes a head; the peaks must fit the size and the key the origin.
pub(super) fn decode(key: &[u8], value: &[u8]) -> Result<(LogId, String, Frontier), StoreError> {
    let log: [u8; 32] =
        key.try_into().map_err(|_| StoreError::Key { family: FAMILY, len_bytes: key.len() })?;
    let log = LogId::new(log);
    let value: Value = codec::decode::<_, VALUE_MAX_BYTES>(FAMILY, value)?;
    if LogId::of_origin(&value.origin) != log {
        return Err(StoreError::Origin { log, origin: value.origin });
    }
    let hashes = value.frontier.into_iter().map(NodeHash::new).collect();
    Ok((log, value.origin, Frontier::from_parts(value.size, hashes)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hashpact_protocol::digest::leaf_hash;
    use proptest::prelude::*;

    #[test]
    fn round_trips_and_binds_key_origin_and_size() {
        let mut frontier = Frontier::empty();
        for leaf in 0..11_u8 {
            frontier.append(leaf_hash(&[leaf]));
        }
        let origin = "demo-0011223344556677/north/0";
        let log = LogId::of_origin(origin);
        let value = encode(origin, &frontier).expect("short");
        assert_eq!(decode(log.as_bytes(), &value).expect("ours"), (log, origin.to_owned(), frontier.clone()));
        assert!(matches!(decode(&[0; 32], &value), Err(StoreError::Origin { .. })));
        assert!(matches!(decode(&[0; 31], &value), Err(StoreError::Key { len_bytes: 31, .. })));
        let mut other_size = value;
        other_size[8 + origin.len() + 7] = 12;
        assert!(matches!(decode(log.as_bytes(), &other_size), Err(StoreError::Merkle(_))));
        assert!(matches!(
            encode(&"o".repeat(ORIGIN_MAX_BYTES + 1), &frontier),
            Err(StoreError::OriginTooLong { len_bytes: 513, max_bytes: 512 })
        ));
        encode(&"o".repeat(ORIGIN_MAX_BYTES), &frontier).expect("at the bound");
    }

    proptest! {
        #[test]
        fn garbage_never_panics(value in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(&[0; 32], &value);
        }
    }
}
