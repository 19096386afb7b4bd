//! Keys and value envelopes that the column families share.
//!
//! Keys are fixed-width and big-endian, so that the database's byte order is the order of leaf
//! indexes. Value envelopes are bincode with fixed-width big-endian integers and a byte limit:
//!
//! - fixed width leaves one encoding per value (bincode's variable-width integers have several);
//! - the limit is charged before anything is allocated, so a forged length costs nothing;
//! - a value must be consumed to its last byte, because bincode itself accepts trailing bytes.
//!
//! What somebody who can write the database achieves with a garbled value is an error that names
//! the column family, never a panic and never a large allocation. Signed things travel inside
//! envelopes as opaque bytes; their meaning is checked by `hashpact-protocol`.

use super::error::StoreError;
use bincode::config::{BigEndian, Configuration, Fixint, Limit};
use bincode::de::{BorrowDecode, Decode};
use bincode::enc::Encode;
use hashpact_protocol::digest::{DIGEST_BYTES, LogId};

/// Length of an entry's key: log id, then leaf index.
pub(super) const ENTRY_KEY_BYTES: usize = DIGEST_BYTES + 8;

type Envelope<const LIMIT: usize> = Configuration<BigEndian, Fixint, Limit<LIMIT>>;

fn envelope<const LIMIT: usize>() -> Envelope<LIMIT> {
    bincode::config::standard().with_big_endian().with_fixed_int_encoding().with_limit::<LIMIT>()
}

/// The key of an entry in `leaves` and `payloads`:
///
/// ```text
///  0  32  log id          32  8  leaf index
/// ```
pub(super) fn entry_key(log: &LogId, index: u64) -> [u8; ENTRY_KEY_BYTES] {
    let mut key = [0; ENTRY_KEY_BYTES];
    key[..DIGEST_BYTES].copy_from_slice(log.as_bytes());
    key[DIGEST_BYTES..].copy_from_slice(&index.to_be_bytes());
    key
}

/// Reads a key made by [`entry_key`]; `None` if it has another length.
pub(super) fn parse_entry_key(key: &[u8]) -> Option<(LogId, u64)> {
    let (log, index) = key.split_first_chunk::<DIGEST_BYTES>()?;
    Some((LogId::new(*log), u64::from_be_bytes(index.try_into().ok()?)))
}

/// Encodes a value of ours.
pub(super) fn encode<T: Encode, const LIMIT: usize>(
    family: &'static str,
    value: T,
) -> Result<Vec<u8>, StoreError> {
    let bytes = bincode::encode_to_vec(value, envelope::<LIMIT>())
        .map_err(|source| StoreError::Value { family, detail: source.to_string() })?;
    // The limit of the configuration binds the decoder only; what could not be read back must not
    // be written.
    if bytes.len() > LIMIT {
        return Err(StoreError::ValueTooLong { family, len_bytes: bytes.len(), max_bytes: LIMIT });
    }
    Ok(bytes)
}

/// Decodes an owned value.
pub(super) fn decode<T: Decode<()>, const LIMIT: usize>(
    family: &'static str,
    bytes: &[u8],
) -> Result<T, StoreError> {
    let (value, consumed) = bincode::decode_from_slice(bytes, envelope::<LIMIT>())
        .map_err(|source| StoreError::Value { family, detail: source.to_string() })?;
    check_consumed(family, consumed, bytes.len())?;
    Ok(value)
}

/// Decodes a value that borrows from `bytes`.
pub(super) fn decode_borrowed<'a, T: BorrowDecode<'a, ()>, const LIMIT: usize>(
    family: &'static str,
    bytes: &'a [u8],
) -> Result<T, StoreError> {
    let (value, consumed) = bincode::borrow_decode_from_slice(bytes, envelope::<LIMIT>())
        .map_err(|source| StoreError::Value { family, detail: source.to_string() })?;
    check_consumed(family, consumed, bytes.len())?;
    Ok(value)
}

fn check_consumed(family: &'static str, consumed: usize, len: usize) -> Result<(), StoreError> {
    if consumed == len {
        return Ok(());
    }
    Err(StoreError::TrailingBytes { family, consumed_bytes: consumed, len_bytes: len })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_by_index_and_round_trip() {
        let log = LogId::new([7; 32]);
        let indexes = [0, 1, 255, 256, 65_535, 65_536, u64::from(u32::MAX), u64::MAX];
        let keys: Vec<_> = indexes.iter().map(|index| entry_key(&log, *index)).collect();
        assert!(keys.is_sorted());
        for (key, index) in keys.iter().zip(indexes) {
            assert_eq!(parse_entry_key(key), Some((log, index)));
        }
        assert_eq!(parse_entry_key(&keys[0][..39]), None);
        assert_eq!(parse_entry_key(&[0; 41]), None);
    }

    #[test]
    fn trailing_bytes_and_forged_lengths_are_errors() {
        let good = encode::<_, 64>("test", vec![1_u8, 2, 3]).expect("short");
        assert_eq!(decode::<Vec<u8>, 64>("test", &good).expect("round trip"), [1, 2, 3]);
        let mut long = good.clone();
        long.push(0);
        assert!(matches!(
            decode::<Vec<u8>, 64>("test", &long),
            Err(StoreError::TrailingBytes { consumed_bytes: 11, len_bytes: 12, .. })
        ));
        let forged = u64::MAX.to_be_bytes();
        assert!(matches!(decode::<Vec<u8>, 64>("test", &forged), Err(StoreError::Value { .. })));
        assert!(matches!(
            encode::<_, 64>("test", vec![0_u8; 57]),
            Err(StoreError::ValueTooLong { len_bytes: 65, max_bytes: 64, .. })
        ));
    }
}
