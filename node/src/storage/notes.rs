//! Column family `notes`: the newest checkpoint note of each log.
//!
//! ```text
//! key    0  32  log id
//! value  bincode { size: u64, note: bytes, verbatim }
//! ```
//!
//! Apart from `heads`, because a note may gain cosignatures without the log growing, and such a
//! change need not be synced: peers hold it too, and the own log's note is in the lock file.
//! Notes are signed, and whoever reads one verifies it again: somebody who can write here can only
//! make it disappear or show an older one. Losing them costs one round of asking the peers.

use super::codec;
use super::error::StoreError;
use super::options::Shape;
use bincode::{BorrowDecode, Encode};
use hashpact_core::effect::SizedNote;
use hashpact_protocol::limits::NOTE_MAX_BYTES;

/// Name of the column family.
pub(super) const FAMILY: &str = "notes";
/// How it is laid out on disk.
pub(super) const SHAPE: Shape = Shape::Small;
const VALUE_MAX_BYTES: usize = NOTE_MAX_BYTES + 2 * 8;

#[derive(Encode, BorrowDecode)]
struct Value<'a> {
    size: u64,
    note: &'a [u8],
}

/// Encodes a note.
pub(super) fn encode(note: &SizedNote) -> Result<Vec<u8>, StoreError> {
    codec::encode::<_, VALUE_MAX_BYTES>(FAMILY, Value { size: note.size, note: &note.note })
}

/// Decodes a note; its signature is the reader's business.
pub(super) fn decode(value: &[u8]) -> Result<SizedNote, StoreError> {
    let value: Value<'_> = codec::decode_borrowed::<_, VALUE_MAX_BYTES>(FAMILY, value)?;
    Ok(SizedNote { size: value.size, note: value.note.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn round_trips_up_to_the_largest_note() {
        for len in [0, 1, NOTE_MAX_BYTES] {
            let note = SizedNote { size: 7, note: vec![b'n'; len] };
            assert_eq!(decode(&encode(&note).expect("within the bound")).expect("ours"), note);
        }
        let long = SizedNote { size: 7, note: vec![b'n'; NOTE_MAX_BYTES + 1] };
        assert!(matches!(encode(&long), Err(StoreError::ValueTooLong { .. })));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(value in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(&value);
        }
    }
}
