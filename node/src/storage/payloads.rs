//! Column family `payloads`: what stands beside each leaf.
//!
//! ```text
//! key    0  32  log id     32  8  leaf index, big-endian
//! value  bincode  u32 0 = present { salt: 32 bytes, padded payload: bytes }
//!                 u32 1 = withheld    u32 2 = erased    u32 3 = not here
//!                 u32 4 = sealed { by: log 32 bytes, index u64; salt: 32 bytes, padded payload: bytes }
//!                 u32 5 = erased by { log, index }    u32 6 = held { option of log, index }
//! ```
//!
//! Every leaf has a row, so that a missing row is damage and not a state. The only column family
//! whose rows are replaced later (a payload arrives, or is erased together with its salt).
//! Somebody who writes here can hide a payload; a false one does not meet the leaf's commitment.
//! Losing it costs a replication, except for payloads that nobody else is entitled to.

use super::codec;
use super::error::StoreError;
use super::options::Shape;
use bincode::{BorrowDecode, Encode};
use hashpact_core::effect::{EntryRef, PayloadState, PayloadView, StoredPayload};
use hashpact_protocol::digest::LogId;
use hashpact_protocol::limits::{PAYLOAD_PADDED_MAX_BYTES, SALT_BYTES};
use hashpact_protocol::wire::WirePayload;

/// Name of the column family.
pub(super) const FAMILY: &str = "payloads";
/// How it is laid out on disk.
pub(super) const SHAPE: Shape = Shape::Compressible;
/// Discriminant, order, salt, length and the payload.
const VALUE_MAX_BYTES: usize = 4 + 40 + SALT_BYTES + 8 + PAYLOAD_PADDED_MAX_BYTES;

/// A place of an order, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub struct OrderPlace {
    log: [u8; 32],
    index: u64,
}

impl From<EntryRef> for OrderPlace {
    fn from(EntryRef { log, index }: EntryRef) -> Self {
        Self { log: *log.as_bytes(), index }
    }
}

impl From<OrderPlace> for EntryRef {
    fn from(OrderPlace { log, index }: OrderPlace) -> Self {
        Self { log: LogId::new(log), index }
    }
}

/// A stored payload that borrows from the database's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub enum PayloadRef<'a> {
    /// Held: the commitment's salt and the padded payload.
    Present {
        /// The salt.
        salt: [u8; 32],
        /// The padded payload.
        padded: &'a [u8],
    },
    /// Not for us.
    Withheld,
    /// Erased at whoever served it.
    Erased,
    /// Whoever served the leaf did not have it.
    NotHere,
    /// Held, and sealed by an order.
    Sealed {
        /// The order.
        by: OrderPlace,
        /// The salt.
        salt: [u8; 32],
        /// The padded payload.
        padded: &'a [u8],
    },
    /// Destroyed because of an order or a retraction.
    ErasedBy {
        /// Which.
        by: OrderPlace,
    },
    /// Encrypted elsewhere for a legal hold.
    Held {
        /// The order or retraction; `None`: its expiry.
        by: Option<OrderPlace>,
    },
}

impl PayloadRef<'_> {
    /// Bytes that count against a range's bound: salt and padded payload.
    pub(super) fn len_bytes(&self) -> usize {
        match self {
            Self::Present { padded, .. } => SALT_BYTES + padded.len(),
            // Sealed bytes are not sent.
            _ => 0,
        }
    }

    /// The payload as a peer gets it.
    pub(super) fn to_wire(self) -> WirePayload {
        match self {
            Self::Present { salt, padded } => WirePayload::Present { salt, padded: padded.to_vec() },
            Self::Withheld => WirePayload::Withheld,
            Self::Erased => WirePayload::Erased,
            Self::NotHere => WirePayload::NotHere,
            Self::Sealed { by, .. } | Self::ErasedBy { by } | Self::Held { by: Some(by) } => {
                WirePayload::ErasedBy { log: by.log, index: by.index }
            }
            Self::Held { by: None } => WirePayload::Erased,
        }
    }

    /// The payload on its own.
    #[must_use]
    pub fn to_stored(self) -> StoredPayload {
        match self {
            Self::Present { salt, padded } => StoredPayload::Present { salt, padded: padded.to_vec() },
            Self::Withheld => StoredPayload::Withheld,
            Self::Erased => StoredPayload::Erased,
            Self::NotHere => StoredPayload::NotHere,
            Self::Sealed { by, salt, padded } => {
                StoredPayload::Sealed { by: by.into(), salt, padded: padded.to_vec() }
            }
            Self::ErasedBy { by } => StoredPayload::ErasedBy { by: by.into() },
            Self::Held { by } => StoredPayload::Held { by: by.map(Into::into) },
        }
    }
}

impl<'a> From<&'a PayloadRef<'_>> for PayloadView<'a> {
    fn from(payload: &'a PayloadRef<'_>) -> Self {
        let (state, bytes) = match payload {
            PayloadRef::Present { salt, padded } => (PayloadState::Present, Some((salt, *padded))),
            PayloadRef::Sealed { salt, padded, .. } => (PayloadState::Sealed, Some((salt, *padded))),
            PayloadRef::Withheld => (PayloadState::Withheld, None),
            PayloadRef::NotHere => (PayloadState::NotHere, None),
            PayloadRef::Erased | PayloadRef::ErasedBy { .. } => (PayloadState::Erased, None),
            PayloadRef::Held { .. } => (PayloadState::Held, None),
        };
        Self { state, bytes }
    }
}

impl<'a> From<&'a StoredPayload> for PayloadRef<'a> {
    fn from(payload: &'a StoredPayload) -> Self {
        match payload {
            StoredPayload::Present { salt, padded } => Self::Present { salt: *salt, padded },
            StoredPayload::Withheld => Self::Withheld,
            StoredPayload::Erased => Self::Erased,
            StoredPayload::NotHere => Self::NotHere,
            StoredPayload::Sealed { by, salt, padded } => {
                Self::Sealed { by: (*by).into(), salt: *salt, padded }
            }
            StoredPayload::ErasedBy { by } => Self::ErasedBy { by: (*by).into() },
            StoredPayload::Held { by } => Self::Held { by: by.map(Into::into) },
        }
    }
}

/// Encodes a payload.
pub(super) fn encode(payload: &StoredPayload) -> Result<Vec<u8>, StoreError> {
    let (len_bytes, max_bytes) =
        (payload.bytes().map_or(0, |(_, padded)| padded.len()), PAYLOAD_PADDED_MAX_BYTES);
    if len_bytes > max_bytes {
        return Err(StoreError::ValueTooLong { family: FAMILY, len_bytes, max_bytes });
    }
    codec::encode::<_, VALUE_MAX_BYTES>(FAMILY, PayloadRef::from(payload))
}

/// Decodes a payload without copying it.
pub(super) fn decode(value: &[u8]) -> Result<PayloadRef<'_>, StoreError> {
    codec::decode_borrowed::<_, VALUE_MAX_BYTES>(FAMILY, value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_state_round_trips_in_its_fixed_form() {
        let present = StoredPayload::Present { salt: [9; 32], padded: vec![5; 128] };
        let largest = StoredPayload::Present { salt: [9; 32], padded: vec![5; PAYLOAD_PADDED_MAX_BYTES] };
        let by = EntryRef { log: LogId::new([3; 32]), index: 7 };
        let sealed = StoredPayload::Sealed { by, salt: [9; 32], padded: vec![5; PAYLOAD_PADDED_MAX_BYTES] };
        let states = [
            present,
            StoredPayload::Withheld,
            StoredPayload::Erased,
            StoredPayload::NotHere,
            largest,
            sealed,
            StoredPayload::ErasedBy { by },
            StoredPayload::Held { by: Some(by) },
            StoredPayload::Held { by: None },
        ];
        for (discriminant, state) in [0_u32, 1, 2, 3, 0, 4, 5, 6, 6].into_iter().zip(states) {
            let value = encode(&state).expect("within the bound");
            assert_eq!(value[..4], discriminant.to_be_bytes());
            assert_eq!(decode(&value).expect("ours").to_stored(), state);
        }
        let long = StoredPayload::Present { salt: [0; 32], padded: vec![0; PAYLOAD_PADDED_MAX_BYTES + 1] };
        assert!(matches!(encode(&long), Err(StoreError::ValueTooLong { .. })));
    }

    proptest! {
        #[test]
        fn what_decodes_encodes_to_itself(value in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(payload) = decode(&value) {
                prop_assert_eq!(encode(&payload.to_stored()).expect("decoded"), value);
            }
        }
    }
}
