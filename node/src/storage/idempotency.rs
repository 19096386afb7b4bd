//! Column family `idempotency`: what a caller's key led to, so that a retry appends nothing.
//!
//! ```text
//! key    0  32  the caller's key, bound to the caller
//! value  bincode { log: 32 bytes, digest: 32 bytes, first index: u64, count: u32, tree size: u64 }
//! ```
//!
//! Written in the batch that appends, so a key is fulfilled exactly if its entries are stored. The
//! record ids are not repeated here: they are the hashes of the leaves.
//! Somebody who writes here can make a retry answer with a receipt for other entries of this log,
//! which the caller sees from the record ids. Losing it turns one retry into a duplicate record.

use super::codec;
use super::error::StoreError;
use super::options::Shape;
use bincode::{Decode, Encode};
use hashpact_core::effect::IdempotencyEntry;
use hashpact_protocol::digest::LogId;

/// Name of the column family.
pub(super) const FAMILY: &str = "idempotency";
/// How it is laid out on disk.
pub(super) const SHAPE: Shape = Shape::Lookup;
const VALUE_MAX_BYTES: usize = 32 + 32 + 8 + 4 + 8;

#[derive(Encode, Decode)]
struct Value {
    log: [u8; 32],
    digest: [u8; 32],
    first_index: u64,
    count: u32,
    tree_size: u64,
}

/// Encodes what a key led to.
pub(super) fn encode(log: &LogId, entry: &IdempotencyEntry) -> Result<Vec<u8>, StoreError> {
    let value = Value {
        log: *log.as_bytes(),
        digest: entry.digest,
        first_index: entry.first_index,
        count: entry.count,
        tree_size: entry.tree_size,
    };
    codec::encode::<_, VALUE_MAX_BYTES>(FAMILY, value)
}

/// Decodes what a key led to.
pub(super) fn decode(key: &[u8], value: &[u8]) -> Result<(LogId, IdempotencyEntry), StoreError> {
    let key = key.try_into().map_err(|_| StoreError::Key { family: FAMILY, len_bytes: key.len() })?;
    let value: Value = codec::decode::<_, VALUE_MAX_BYTES>(FAMILY, value)?;
    let entry = IdempotencyEntry {
        key,
        digest: value.digest,
        first_index: value.first_index,
        count: value.count,
        tree_size: value.tree_size,
    };
    Ok((LogId::new(value.log), entry))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trips(key: [u8; 32], digest: [u8; 32], log: [u8; 32], first_index: u64, count: u32, tree_size: u64) {
            let entry = IdempotencyEntry { key, digest, first_index, count, tree_size };
            let value = encode(&LogId::new(log), &entry).expect("fixed length");
            prop_assert_eq!(decode(&key, &value).expect("ours"), (LogId::new(log), entry));
        }

        #[test]
        fn only_the_fixed_length_decodes(value in proptest::collection::vec(any::<u8>(), 0..120)) {
            prop_assert_eq!(decode(&[0; 32], &value).is_ok(), value.len() == VALUE_MAX_BYTES);
        }
    }
}
