//! Signatures of webhooks: HMAC-SHA256 over moment and body, so that a receiver knows who sent it and when.
//!
//! Node and receivers share a secret. What is signed is the timestamp in decimal, a dot, and the bytes of the body as
//! they were sent. Receivers compare in constant time, refuse what is older than they like, and pass over what they have
//! seen: a delivery comes at least once.
//!
//! Not here: sending, retrying, and what a body says. SPEC §11.4.

use crate::digest::{DIGEST_BYTES, hex_array, hex_encode, sha256};

/// Header with the moment of sending, in seconds since 1970.
pub const TIMESTAMP_HEADER: &str = "hashpact-timestamp";
/// Header with the signature.
pub const SIGNATURE_HEADER: &str = "hashpact-signature";
/// Shortest secret, in bytes.
pub const SECRET_MIN_BYTES: usize = 16;

/// What stands in front of a signature of this form.
const FORM: &str = "v1=";
/// Block length of SHA-256.
const BLOCK_BYTES: usize = 64;

/// Why a delivery is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookError {
    /// Not of the form `v1=` and 64 hex digits.
    #[error("the signature is not v1= and 64 lower-case hex digits")]
    Form,
    /// Signed with another secret, or for another body or moment.
    #[error("the signature is not of this secret, moment and body")]
    Signature,
    /// Too old, or too far ahead.
    #[error("sent at {timestamp_s}, which is more than {tolerance_s} s from {now_s}")]
    Moment {
        /// The stated moment.
        timestamp_s: u64,
        /// The receiver's time.
        now_s: u64,
        /// How far they may be apart.
        tolerance_s: u64,
    },
}

/// HMAC-SHA256 (RFC 2104) over these parts, one behind the other.
#[must_use]
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; DIGEST_BYTES] {
    let hashed = sha256(&[key]);
    let key = if key.len() > BLOCK_BYTES { hashed.as_slice() } else { key };
    let padded = |pad: u8| {
        let mut block = [pad; BLOCK_BYTES];
        for (byte, key) in block.iter_mut().zip(key) {
            *byte ^= key;
        }
        block
    };
    let (inner, outer) = (padded(0x36), padded(0x5c));
    let mut whole: Vec<&[u8]> = vec![&inner];
    whole.extend(parts);
    sha256(&[&outer, &sha256(&whole)])
}

/// The signature of a body that is sent at this moment.
#[must_use]
pub fn sign(secret: &[u8], timestamp_s: u64, body: &[u8]) -> String {
    let digest = hmac_sha256(secret, &[timestamp_s.to_string().as_bytes(), b".", body]);
    format!("{FORM}{}", hex_encode(&digest))
}

/// Checks a delivery: signature, then moment.
///
/// # Errors
/// Why it is not believed.
pub fn check(
    secret: &[u8],
    timestamp_s: u64,
    body: &[u8],
    signature: &str,
    now_s: u64,
    tolerance_s: u64,
) -> Result<(), WebhookError> {
    let given = signature.strip_prefix(FORM).ok_or(WebhookError::Form)?;
    let given: [u8; DIGEST_BYTES] = hex_array(given).map_err(|_| WebhookError::Form)?;
    let expected = hmac_sha256(secret, &[timestamp_s.to_string().as_bytes(), b".", body]);
    // Every byte is looked at, wherever the first difference is.
    let differs = expected.iter().zip(&given).fold(0, |differs, (a, b)| differs | (a ^ b));
    if differs != 0 {
        return Err(WebhookError::Signature);
    }
    if timestamp_s.abs_diff(now_s) > tolerance_s {
        return Err(WebhookError::Moment { timestamp_s, now_s, tolerance_s });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Test cases 1, 2, 6 and 7 of RFC 4231.
    #[test]
    fn hmac_is_the_one_of_the_standard() {
        let long = [0xaa; 131];
        let larger: &[u8] =
            b"This is a test using a larger than block-size key and a larger than block-size data. The key \
                              needs to be hashed before being used by the HMAC algorithm.";
        for (key, data, expected) in [
            (
                &[0x0b; 20][..],
                &b"Hi There"[..],
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &long,
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
            (&long, larger, "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"),
        ] {
            assert_eq!(hex_encode(&hmac_sha256(key, &[data])), expected);
            let (front, back) = data.split_at(data.len() / 2);
            assert_eq!(hex_encode(&hmac_sha256(key, &[front, back])), expected, "in parts");
        }
    }

    #[test]
    fn a_delivery_is_believed_only_as_it_was_sent() {
        let (secret, body, now_s) = (b"0123456789abcdef", b"{}\n".as_slice(), 1_000_000);
        let signature = sign(secret, now_s, body);
        assert_eq!(check(secret, now_s, body, &signature, now_s + 300, 300), Ok(()));
        let late = WebhookError::Moment { timestamp_s: now_s, now_s: now_s + 301, tolerance_s: 300 };
        assert_eq!(check(secret, now_s, body, &signature, now_s + 301, 300), Err(late));
        for (secret, at_s, body) in [
            (b"0123456789abcdeg".as_slice(), now_s, body),
            (secret, now_s + 1, body),
            (secret, now_s, b"{} \n"),
        ] {
            assert_eq!(check(secret, at_s, body, &signature, now_s, 300), Err(WebhookError::Signature));
        }
        for wrong in ["", "v1=", "v2=00", &signature[3..], &signature.to_uppercase()] {
            assert_eq!(check(secret, now_s, body, wrong, now_s, 300), Err(WebhookError::Form), "{wrong}");
        }
    }
}
