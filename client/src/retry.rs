//! When a request may be sent again, and after how long.
//!
//! Pure: the decision takes the outcome of an attempt and the number of attempts made. Sending
//! again is only ever allowed when it cannot state a thing twice: reading requests, contributions
//! (they carry an idempotency key), and requests that provably never left this machine or that the
//! node turned away before it looked at them (429). A 503 is repeated for the first two kinds only,
//! because a node may have appended before it gave up waiting for others to hold the entry.
//!
//! The delay doubles from [`DELAY_MIN_MS`] up to [`DELAY_MAX_MS`]; what the node asks for in
//! `Retry-After` wins if it is longer, up to [`RETRY_AFTER_MAX_S`]; a longer wish ends the attempts,
//! since a person or a script should decide about a wait of minutes.

/// Attempts in total, the first included.
pub const ATTEMPTS_MAX: u32 = 6;
/// The delay before the second attempt, in milliseconds.
pub const DELAY_MIN_MS: u64 = 200;
/// The longest delay of our own choosing, in milliseconds.
pub const DELAY_MAX_MS: u64 = 8_000;
/// The longest `Retry-After` that is waited for, in seconds.
pub const RETRY_AFTER_MAX_S: u64 = 60;

/// What a second sending of a request would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Nothing: it only reads, or its idempotency key makes the node answer as before.
    Safe,
    /// It could state a thing twice.
    Unsafe,
}

/// How an attempt failed, as far as repeating is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No connection was made; the node has seen nothing.
    NotConnected,
    /// The connection broke or timed out after the request may have left.
    Interrupted,
    /// The node answered with this status; the second field is `Retry-After` in seconds.
    Status(u16, Option<u64>),
}

/// The delay before the next attempt in milliseconds, or `None` when there must not be one.
///
/// `attempts` counts those made, and `jitter` is any random number: it spreads the delay over its
/// upper half, so that many clients of one node do not come back together.
pub fn delay_ms(repeat: Repeat, failure: Failure, attempts: u32, jitter: u32) -> Option<u64> {
    if attempts >= ATTEMPTS_MAX {
        return None;
    }
    let (allowed, asked_s) = match failure {
        Failure::NotConnected => (true, None),
        Failure::Interrupted => (repeat == Repeat::Safe, None),
        Failure::Status(429, asked_s) => (true, asked_s),
        Failure::Status(502..=504, asked_s) => (repeat == Repeat::Safe, asked_s),
        Failure::Status(..) => (false, None),
    };
    if !allowed || asked_s.is_some_and(|seconds| seconds > RETRY_AFTER_MAX_S) {
        return None;
    }
    let full_ms = DELAY_MIN_MS.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(DELAY_MAX_MS);
    let own_ms = full_ms / 2 + u64::from(jitter) % (full_ms / 2 + 1);
    Some(own_ms.max(asked_s.unwrap_or(0) * 1_000))
}

/// Reads a `Retry-After` header in its number form; the date form is not sent by a Hashpact node.
pub fn parse_retry_after(value: &str) -> Option<u64> {
    value.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_stated_twice() {
        let goes = |repeat, failure| delay_ms(repeat, failure, 1, 0).is_some();
        for (failure, safe, not_safe) in [
            (Failure::NotConnected, true, true),
            (Failure::Interrupted, true, false),
            (Failure::Status(429, None), true, true),
            (Failure::Status(503, None), true, false),
            (Failure::Status(504, None), true, false),
            (Failure::Status(500, None), false, false),
            (Failure::Status(400, None), false, false),
            (Failure::Status(409, None), false, false),
            (Failure::Status(503, Some(61)), false, false),
        ] {
            assert_eq!(goes(Repeat::Safe, failure), safe, "{failure:?}");
            assert_eq!(goes(Repeat::Unsafe, failure), not_safe, "{failure:?}");
        }
    }

    #[test]
    fn delays_grow_and_end() {
        let full = |attempts| delay_ms(Repeat::Safe, Failure::NotConnected, attempts, 0).map(|ms| ms * 2);
        assert_eq!(
            [1, 2, 3, 4, 5, 6].map(full),
            [Some(200), Some(400), Some(800), Some(1600), Some(3200), None]
        );
        assert_eq!(delay_ms(Repeat::Safe, Failure::Status(503, Some(7)), 1, 9), Some(7_000));
        for jitter in [0, 1, 100, 101, u32::MAX] {
            let ms = delay_ms(Repeat::Safe, Failure::NotConnected, 1, jitter).unwrap();
            assert!((100..=200).contains(&ms), "{ms}");
        }
    }
}
