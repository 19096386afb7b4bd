//! What happens to an address that tries tokens.
//!
//! A token that this node does not know costs its sender time: after [`FREE`] in a row each further answer comes later, after
//! [`SLOWED`] none is given any more but 429, until the address has been quiet for [`REFUSED_FOR`]. A good token is
//! served all the same, from this address too: it is looked at first, and many callers may share an address. Guessing 256 bits
//! is hopeless without this; what is kept away is the load, and what is gained is an alarm (`hashpact_http_unknown_tokens`).
//!
//! Memory is bounded: at most two generations of [`ADDRESSES_MAX`]; whoever sends from more addresses than that is forgotten
//! sooner. IPv6 addresses count by their /64, which is what one customer gets.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Unknown tokens that are answered at once.
pub(super) const FREE: u32 = 10;
/// From this one on none is answered but with 429.
pub(super) const SLOWED: u32 = 40;
/// Each answer after the free ones comes later by this, up to [`DELAY_MAX`].
const DELAY_STEP: Duration = Duration::from_millis(100);
const DELAY_MAX: Duration = Duration::from_secs(2);
/// How long an address must send no unknown token to be trusted again.
pub(super) const REFUSED_FOR: Duration = Duration::from_secs(300);
/// Addresses of one generation.
const ADDRESSES_MAX: usize = 4_096;
/// Answers that wait at once: each holds a connection.
const WAITING_MAX: usize = 64;

/// What to do with the answer to an unknown token.
pub(super) enum Verdict {
    /// Send it.
    Answer,
    /// Send it after this time, while the permit is held.
    Slow(Duration, OwnedSemaphorePermit),
    /// Send 429 in its place; try again after so many seconds.
    Refuse(u32),
}

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

#[derive(Default)]
struct Generations {
    young: HashMap<IpAddr, Failures>,
    old: HashMap<IpAddr, Failures>,
}

/// Addresses that have sent unknown tokens.
pub(super) struct Guard {
    seen: Mutex<Generations>,
    waiting: Arc<Semaphore>,
}

impl Default for Guard {
    fn default() -> Self {
        Self { seen: Mutex::default(), waiting: Arc::new(Semaphore::new(WAITING_MAX)) }
    }
}

impl Guard {
    /// An address has sent an unknown token.
    pub(super) fn failed(&self, address: IpAddr, now: Instant) -> Verdict {
        let count = self.count(network(address), now);
        if count <= FREE {
            return Verdict::Answer;
        }
        if count <= SLOWED
            && let Ok(permit) = Arc::clone(&self.waiting).try_acquire_owned()
        {
            return Verdict::Slow((DELAY_STEP * (count - FREE)).min(DELAY_MAX), permit);
        }
        Verdict::Refuse(u32::try_from(REFUSED_FOR.as_secs()).unwrap_or(u32::MAX))
    }

    /// Unknown tokens of a network, this one included, without a pause of [`REFUSED_FOR`].
    fn count(&self, network: IpAddr, now: Instant) -> u32 {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let before = seen.young.get(&network).or_else(|| seen.old.get(&network)).copied();
        let before = before.filter(|failures| now.duration_since(failures.last) < REFUSED_FOR);
        let count = before.map_or(0, |failures| failures.count).saturating_add(1);
        if seen.young.len() >= ADDRESSES_MAX && !seen.young.contains_key(&network) {
            seen.old = std::mem::take(&mut seen.young);
        }
        seen.young.insert(network, Failures { count, last: now });
        count
    }
}

/// What counts as one address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    fn kind(verdict: &Verdict) -> &'static str {
        match verdict {
            Verdict::Answer => "answer",
            Verdict::Slow(..) => "slow",
            Verdict::Refuse(_) => "refuse",
        }
    }

    #[test]
    fn an_address_is_slowed_then_refused_then_forgiven() {
        let (guard, now) = (Guard::default(), Instant::now());
        let kinds: Vec<&str> = (0..50).map(|_| kind(&guard.failed(address(1), now))).collect();
        assert!(kinds[..10].iter().all(|kind| *kind == "answer"));
        assert!(kinds[10..40].iter().all(|kind| *kind == "slow"));
        assert!(kinds[40..].iter().all(|kind| *kind == "refuse"));
        assert_eq!(kind(&guard.failed(address(2), now)), "answer", "another address");
        let Verdict::Slow(delay, _) = (0..FREE).map(|_| guard.failed(address(2), now)).last().expect("some")
        else {
            panic!("slowed")
        };
        assert_eq!(delay, DELAY_STEP);
        let almost = now + REFUSED_FOR - Duration::from_secs(1);
        assert_eq!(kind(&guard.failed(address(1), almost)), "refuse", "it has not been quiet");
        assert_eq!(kind(&guard.failed(address(1), almost + REFUSED_FOR)), "answer");
    }

    #[test]
    fn memory_is_bounded_and_whoever_goes_on_is_remembered() {
        let (guard, now) = (Guard::default(), Instant::now());
        for number in 0..100_000 {
            if number % 1_000 == 0 {
                guard.failed(address(u32::MAX), now);
            }
            guard.failed(address(number), now);
        }
        assert_eq!(kind(&guard.failed(address(u32::MAX), now)), "refuse");
        let seen = guard.seen.lock().expect("no panic");
        assert!(seen.young.len() <= ADDRESSES_MAX && seen.old.len() <= ADDRESSES_MAX);
    }

    #[test]
    fn answers_that_wait_are_bounded() {
        let (guard, now) = (Guard::default(), Instant::now());
        let mut held = Vec::new();
        for number in 0..20 {
            for _ in 0..FREE + 10 {
                held.push(guard.failed(address(number), now));
            }
        }
        let slow = held.iter().filter(|verdict| kind(verdict) == "slow").count();
        assert_eq!(slow, WAITING_MAX);
        drop(held);
        assert_eq!(kind(&guard.failed(address(3), now)), "slow");
    }

    #[test]
    fn one_customer_is_one_address() {
        let (guard, now) = (Guard::default(), Instant::now());
        for host in 0..=SLOWED as u16 {
            guard.failed(IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, host]), now);
        }
        assert_eq!(kind(&guard.failed(IpAddr::from([0x2001, 0xdb8, 0, 1, 9, 9, 9, 9]), now)), "refuse");
        assert_eq!(kind(&guard.failed(IpAddr::from([0x2001, 0xdb8, 0, 2, 0, 0, 0, 1]), now)), "answer");
        assert_eq!(network("::ffff:10.0.0.1".parse().expect("an address")), address(0x0a00_0001));
    }
}
