//! Column family `tiles`: the Merkle trees, as runs of 256 hashes at every eighth level.
//!
//! ```text
//! key    0  32  log id     32  1  tile level     33  8  tile index, big-endian
//! value  1 to 256 hashes of 32 bytes
//! ```
//!
//! One row per tile: the rightmost tile of a level is replaced as it fills, and every earlier, narrower
//! state of it is a prefix of the row. Proofs, covers and the HTTP tiles are read from here.
//! Derived from `leaves`: losing it costs a rebuild. Somebody who writes here makes the node serve
//! proofs that do not verify, and no others.

use super::error::StoreError;
use super::options::Shape;
use hashpact_protocol::digest::{DIGEST_BYTES, LogId, NodeHash};
use hashpact_protocol::merkle::decode_tile;

/// Name of the column family.
pub(super) const FAMILY: &str = "tiles";
/// How it is laid out on disk.
pub(super) const SHAPE: Shape = Shape::Dense;
/// Length of a key.
pub(super) const KEY_BYTES: usize = DIGEST_BYTES + 1 + 8;

/// The key of a tile.
pub(super) fn key(log: &LogId, level: u8, index: u64) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    key[..DIGEST_BYTES].copy_from_slice(log.as_bytes());
    key[DIGEST_BYTES] = level;
    key[DIGEST_BYTES + 1..].copy_from_slice(&index.to_be_bytes());
    key
}

/// Reads a key; `None` if it has another length.
pub(super) fn parse_key(key: &[u8]) -> Option<(LogId, u8, u64)> {
    let (log, rest) = key.split_first_chunk::<DIGEST_BYTES>()?;
    let (level, index) = rest.split_first()?;
    Some((LogId::new(*log), *level, u64::from_be_bytes(index.try_into().ok()?)))
}

/// Decodes a tile's hashes.
pub(super) fn decode(log: &LogId, level: u8, index: u64, value: &[u8]) -> Result<Vec<NodeHash>, StoreError> {
    decode_tile(value).map_err(|_| StoreError::TileLength { log: *log, level, index, len_bytes: value.len() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hashpact_protocol::merkle::encode_tile;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_round_trip(log: [u8; 32], level: u8, index: u64) {
            let log = LogId::new(log);
            prop_assert_eq!(parse_key(&key(&log, level, index)), Some((log, level, index)));
        }

        #[test]
        fn only_whole_hashes_are_tiles(value in proptest::collection::vec(any::<u8>(), 0..400)) {
            match decode(&LogId::new([0; 32]), 1, 2, &value) {
                Ok(hashes) => prop_assert_eq!(encode_tile(&hashes), value),
                Err(error) => prop_assert!(
                    value.is_empty() || value.len() % DIGEST_BYTES != 0,
                    "refused {} bytes: {error}", value.len()
                ),
            }
        }
    }

    #[test]
    fn a_tile_has_at_most_256_hashes() {
        let log = LogId::new([0; 32]);
        assert_eq!(decode(&log, 0, 0, &[0; 256 * 32]).expect("full").len(), 256);
        assert!(matches!(
            decode(&log, 0, 0, &[0; 257 * 32]),
            Err(StoreError::TileLength { len_bytes: 8224, .. })
        ));
        assert_eq!(parse_key(&[0; 40]), None);
    }
}
