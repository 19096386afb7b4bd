//! Column family `cards`: the newest node card seen of each member.
//!
//! ```text
//! key    member id, [a-z0-9-]{1,32}
//! value  the signed card, verbatim
//! ```
//!
//! An address book for the next start, written without a sync. Cards are signed, expire, and are
//! verified again when read: somebody who writes here can make a member unreachable until its card
//! arrives anew. Losing it costs the same.

use super::error::StoreError;
use super::options::Shape;
use hashpact_protocol::limits::{MEMBER_ID_MAX, NODE_CARD_MAX_BYTES};

/// Name of the column family.
pub(super) const FAMILY: &str = "cards";
/// How it is laid out on disk.
pub(super) const SHAPE: Shape = Shape::Small;

/// Whether a text can be a key: the characters and length of a member id.
pub(super) fn is_member_key(key: &[u8]) -> bool {
    (1..=MEMBER_ID_MAX).contains(&key.len())
        && key.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

/// Checks key and card before they are stored or after they are read.
pub(super) fn check(key: &[u8], card: &[u8]) -> Result<(), StoreError> {
    if !is_member_key(key) {
        return Err(StoreError::Key { family: FAMILY, len_bytes: key.len() });
    }
    if card.len() > NODE_CARD_MAX_BYTES {
        return Err(StoreError::ValueTooLong {
            family: FAMILY,
            len_bytes: card.len(),
            max_bytes: NODE_CARD_MAX_BYTES,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_member_ids_and_cards_are_bounded() {
        check(b"north-2", &[0; NODE_CARD_MAX_BYTES]).expect("at the bound");
        check(&[b'a'; MEMBER_ID_MAX], b"card").expect("at the bound");
        for key in [&b""[..], b"North", b"a/b", &[b'a'; MEMBER_ID_MAX + 1], &[0xff]] {
            assert!(matches!(check(key, b"card"), Err(StoreError::Key { .. })), "{key:?}");
        }
        assert!(matches!(
            check(b"north", &[0; NODE_CARD_MAX_BYTES + 1]),
            Err(StoreError::ValueTooLong { .. })
        ));
    }
}
