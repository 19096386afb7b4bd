//! Column family `places`: where a leaf hash occurs.
//!
//! ```text
//! key    0  32  leaf hash (the record id)     32  32  log id     64  8  leaf index, big-endian
//! value  empty
//! ```
//!
//! The place is part of the key, so that one leaf hash can have several places: followers store any
//! bytes that a member signs, and a hostile member can copy somebody else's leaf into its own log.
//! With the hash alone as key, that copy would capture the look-up of the victim's record. Look-ups
//! therefore take the place that the leaf itself names (see [`named_place`]); it names exactly one.
//!
//! Derived from `leaves` and checked by `fsck`. Somebody who can write here can make a record
//! unfindable by id, not change what is found: readers hash what they read. Losing it costs a scan.

use super::options::Shape;
use hashpact_core::effect::Place;
use hashpact_protocol::digest::{DIGEST_BYTES, LeafHash, LogId};
use hashpact_protocol::limits::LEAF_BYTES;

/// Name of the column family.
pub(super) const FAMILY: &str = "places";
/// How it is laid out on disk.
pub(super) const SHAPE: Shape = Shape::Lookup;
/// Length of a key.
pub(super) const KEY_BYTES: usize = 2 * DIGEST_BYTES + 8;

/// The key of one occurrence.
pub(super) fn key(place: &Place) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    key[..DIGEST_BYTES].copy_from_slice(place.leaf.as_bytes());
    key[DIGEST_BYTES..2 * DIGEST_BYTES].copy_from_slice(place.log.as_bytes());
    key[2 * DIGEST_BYTES..].copy_from_slice(&place.index.to_be_bytes());
    key
}

/// Reads a key; `None` if it has another length.
pub(super) fn parse_key(key: &[u8]) -> Option<Place> {
    let (leaf, rest) = key.split_first_chunk::<DIGEST_BYTES>()?;
    let (log, index) = rest.split_first_chunk::<DIGEST_BYTES>()?;
    let index = u64::from_be_bytes(index.try_into().ok()?);
    Some(Place { log: LogId::new(*log), index, leaf: LeafHash::new(*leaf) })
}

/// The place that a version 1 leaf states for itself (SPEC §6: index at 8, log id at 32); `None`
/// for leaves of other versions.
pub(super) fn named_place(leaf: &[u8]) -> Option<(LogId, u64)> {
    if leaf.len() != LEAF_BYTES || !leaf.starts_with(b"HPL1") {
        return None;
    }
    let index = u64::from_be_bytes(*leaf.get(8..)?.first_chunk()?);
    let log = LogId::new(*leaf.get(32..)?.first_chunk()?);
    Some((log, index))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_round_trip(leaf: [u8; 32], log: [u8; 32], index: u64) {
            let place = Place { leaf: LeafHash::new(leaf), log: LogId::new(log), index };
            prop_assert_eq!(parse_key(&key(&place)), Some(place));
        }

        #[test]
        fn only_full_keys_are_keys(key in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(parse_key(&key).is_some(), key.len() == KEY_BYTES);
        }
    }

    #[test]
    fn a_leaf_names_its_place() {
        let mut leaf = [0; LEAF_BYTES];
        leaf[..4].copy_from_slice(b"HPL1");
        leaf[15] = 9;
        leaf[32..64].fill(0xab);
        assert_eq!(named_place(&leaf), Some((LogId::new([0xab; 32]), 9)));
        assert_eq!(named_place(&leaf[..135]), None);
        leaf[3] = b'2';
        assert_eq!(named_place(&leaf), None);
    }
}
