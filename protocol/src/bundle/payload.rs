//! What the holder has beside each leaf: the payload, or a marker in its place (SPEC §12.6).

use crate::digest::LogId;
use crate::limits::{PAYLOAD_PADDED_MAX_BYTES, SALT_BYTES};

/// A payload, or what the holder says in its place. Only a payload can be proven; markers are claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BundlePayload<'a> {
    /// Salt and padded payload.
    Present {
        /// The salt.
        salt: &'a [u8; SALT_BYTES],
        /// The padded payload.
        padded: &'a [u8],
    },
    /// The holder may not have it, or does not show it here.
    Withheld,
    /// Destroyed; the holder does not say by which order.
    Erased,
    /// The holder does not have it; others may.
    NotHere,
    /// Under a legal hold at the holder, and shown to nobody.
    Held,
    /// Destroyed by the order at this place.
    ErasedBy {
        /// Log of the order.
        log: LogId,
        /// Its index there.
        index: u64,
    },
}

/// The payloads of a chunk are not in their form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not {count} payloads or markers: {rule}")]
pub struct PayloadsError {
    /// How many there must be.
    pub count: usize,
    /// What is wrong.
    pub rule: &'static str,
}

impl BundlePayload<'_> {
    const fn code(&self) -> u8 {
        match self {
            Self::Present { .. } => 0,
            Self::Withheld => 1,
            Self::Erased => 2,
            Self::NotHere => 3,
            Self::Held => 4,
            Self::ErasedBy { .. } => 5,
        }
    }
}

/// Writes the payloads of a chunk: one code each, then the orders, then the payloads. Also says how long
/// codes and orders are: nothing but the digest in the holder's statement proves these.
#[must_use]
pub(super) fn encode_payloads(payloads: &[BundlePayload<'_>]) -> (Vec<u8>, usize) {
    let mut bytes: Vec<u8> = payloads.iter().map(BundlePayload::code).collect();
    for payload in payloads {
        if let BundlePayload::ErasedBy { log, index } = payload {
            bytes.extend_from_slice(log.as_bytes());
            bytes.extend_from_slice(&index.to_be_bytes());
        }
    }
    let states = bytes.len();
    for payload in payloads {
        if let BundlePayload::Present { salt, padded } = payload {
            bytes.extend_from_slice(*salt);
            let length = u32::try_from(padded.len()).expect("a padded payload has at most 64 KiB");
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(padded);
        }
    }
    (bytes, states)
}

/// Reads what [`encode_payloads`] writes, and nothing else.
///
/// # Errors
/// [`PayloadsError`].
pub(super) fn decode_payloads(
    bytes: &[u8],
    count: usize,
) -> Result<(Vec<BundlePayload<'_>>, usize), PayloadsError> {
    let wrong = |rule| PayloadsError { count, rule };
    let (codes, mut rest) = bytes.split_at_checked(count).ok_or(wrong("too short"))?;
    let mut payloads = Vec::with_capacity(count);
    for code in codes {
        payloads.push(match code {
            // Filled in below, once the orders have been passed.
            0 => BundlePayload::Present { salt: &[0; SALT_BYTES], padded: &[] },
            1 => BundlePayload::Withheld,
            2 => BundlePayload::Erased,
            3 => BundlePayload::NotHere,
            4 => BundlePayload::Held,
            5 => {
                let (log, tail) = rest.split_first_chunk::<32>().ok_or(wrong("an order is cut off"))?;
                let (index, tail) = tail.split_first_chunk::<8>().ok_or(wrong("an order is cut off"))?;
                rest = tail;
                BundlePayload::ErasedBy { log: LogId::new(*log), index: u64::from_be_bytes(*index) }
            }
            _ => return Err(wrong("an unknown code")),
        });
    }
    let states = bytes.len() - rest.len();
    for payload in &mut payloads {
        if let BundlePayload::Present { salt, padded } = payload {
            let (found, tail) = rest.split_first_chunk::<SALT_BYTES>().ok_or(wrong("a salt is cut off"))?;
            let (length, tail) = tail.split_first_chunk::<4>().ok_or(wrong("a length is cut off"))?;
            let length = u32::from_be_bytes(*length) as usize;
            if length > PAYLOAD_PADDED_MAX_BYTES {
                return Err(wrong("a payload is too long"));
            }
            let (content, tail) = tail.split_at_checked(length).ok_or(wrong("a payload is cut off"))?;
            (*salt, *padded, rest) = (found, content, tail);
        }
    }
    if rest.is_empty() { Ok((payloads, states)) } else { Err(wrong("bytes behind the last payload")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_state_comes_back() {
        let all = [
            BundlePayload::Present { salt: &[1; 32], padded: &[2; 128] },
            BundlePayload::Withheld,
            BundlePayload::Erased,
            BundlePayload::NotHere,
            BundlePayload::Held,
            BundlePayload::ErasedBy { log: LogId::new([3; 32]), index: 9 },
        ];
        let (bytes, states) = encode_payloads(&all);
        assert_eq!((bytes.len(), states), (6 + 40 + 32 + 4 + 128, 46));
        assert_eq!(decode_payloads(&bytes, 6), Ok((all.to_vec(), states)));
        for cut in 0..bytes.len() {
            assert!(decode_payloads(&bytes[..cut], 6).is_err(), "{cut}");
        }
        assert!(decode_payloads(&bytes, 5).is_err() && decode_payloads(&bytes, 7).is_err());
    }

    proptest! {
        #[test]
        fn what_decodes_encodes_to_itself(bytes in proptest::collection::vec(0_u8..8, 0..200), count in 0_usize..9) {
            if let Ok((payloads, states)) = decode_payloads(&bytes, count) {
                prop_assert_eq!(encode_payloads(&payloads), (bytes, states));
            }
        }
    }
}
