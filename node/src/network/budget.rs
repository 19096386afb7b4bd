//! Bytes in flight: how much memory messages may hold, per peer and in total, in each direction.
//!
//! A message is in flight from the moment memory is reserved for its first byte. An incoming request
//! stays in flight until it is answered or dropped, an incoming response until it is handed to the
//! driver, an outgoing message until its last byte is written. So the sum of all [`Hold`]s bounds what
//! peers can make this node keep, whatever they announce. Decoding needs a second copy for a moment;
//! the budget counts wire bytes, and a bound on memory is therefore a small multiple of it.
//!
//! Directions are counted apart: a peer that never reads what it asked for must not keep us from
//! hearing anybody, and a flood of requests must not keep our own answers from leaving. A peer that
//! nobody vouched for gets a much smaller account than an admitted one; the difference is set by the
//! driver through `remember`, never decided here.
//!
//! This is also the node's memory limit for the network. A limit on the size of the process would be
//! the wrong instrument: the match index and the database legitimately hold gigabytes, and the node
//! must not turn members away because it knows much.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hashpact_protocol::keys::PublicKey;
use tokio::sync::mpsc;

/// A budget would be exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(super) enum OverBudget {
    /// This peer's share is used up.
    #[error("{wanted_bytes} more bytes would put {max_bytes} bytes in flight for one peer out of bounds")]
    Peer {
        /// Bytes asked for.
        wanted_bytes: usize,
        /// The peer's bound.
        max_bytes: usize,
    },
    /// All peers together use up the total.
    #[error("{wanted_bytes} more bytes would put {max_bytes} bytes in flight in total out of bounds")]
    Total {
        /// Bytes asked for.
        wanted_bytes: usize,
        /// The bound on all peers together.
        max_bytes: usize,
    },
}

/// A counter with a bound. Never exceeds it, also under races.
#[derive(Debug)]
pub(super) struct Counter {
    held_bytes: AtomicUsize,
    max_bytes: AtomicUsize,
}

impl Counter {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { held_bytes: AtomicUsize::new(0), max_bytes: AtomicUsize::new(max_bytes) }
    }

    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes.load(Ordering::Relaxed)
    }

    fn max_bytes(&self) -> usize {
        self.max_bytes.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) -> bool {
        let max_bytes = self.max_bytes();
        self.held_bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
                held.checked_add(bytes).filter(|sum| *sum <= max_bytes)
            })
            .is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.held_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// One direction of one peer's traffic.
#[derive(Debug)]
pub(super) struct Direction {
    peer: Counter,
    total: Arc<Counter>,
}

impl Direction {
    pub(super) fn new(peer_max_bytes: usize, total: Arc<Counter>) -> Arc<Self> {
        Arc::new(Self { peer: Counter::new(peer_max_bytes), total })
    }

    /// Changes this peer's bound; what is held already stays held.
    pub(super) fn set_max_bytes(&self, max_bytes: usize) {
        self.peer.max_bytes.store(max_bytes, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.peer.held_bytes()
    }
}

/// Bytes reserved from both the peer's and the total budget; given back on drop.
#[derive(Debug)]
pub(super) struct Hold {
    direction: Arc<Direction>,
    bytes: usize,
}

impl Hold {
    /// Reserves nothing yet.
    pub(super) fn empty(direction: &Arc<Direction>) -> Self {
        Self { direction: Arc::clone(direction), bytes: 0 }
    }

    /// Reserves this many bytes at once.
    pub(super) fn of(direction: &Arc<Direction>, bytes: usize) -> Result<Self, OverBudget> {
        let mut hold = Self::empty(direction);
        hold.grow(bytes)?;
        Ok(hold)
    }

    /// Reserves more, or nothing.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), OverBudget> {
        let Direction { peer, total } = &*self.direction;
        if !peer.take(bytes) {
            return Err(OverBudget::Peer { wanted_bytes: bytes, max_bytes: peer.max_bytes() });
        }
        if !total.take(bytes) {
            peer.give_back(bytes);
            return Err(OverBudget::Total { wanted_bytes: bytes, max_bytes: total.max_bytes() });
        }
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.direction.peer.give_back(self.bytes);
        self.direction.total.give_back(self.bytes);
    }
}

/// A broken rule of the wire format, seen while reading a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    /// Who broke it.
    pub(super) peer: PublicKey,
    /// The rule's fixed label.
    pub(super) rule: &'static str,
    /// A dying connection cannot look like this, so the peer is to blame.
    pub(super) is_deliberate: bool,
}

/// Everything that streams of one peer share.
#[derive(Debug)]
pub(super) struct Account {
    /// Whose.
    pub(super) peer: PublicKey,
    /// What it sends us.
    pub(super) inbound: Arc<Direction>,
    /// What we send it.
    pub(super) outbound: Arc<Direction>,
    /// Where broken rules are reported: libp2p swallows errors of incoming requests.
    pub(super) faults: mpsc::Sender<Fault>,
}

impl Account {
    /// Reports a broken rule. When many wait already, one more changes nothing.
    pub(super) fn report(&self, rule: &'static str, is_deliberate: bool) {
        let _ = self.faults.try_send(Fault { peer: self.peer, rule, is_deliberate });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_are_bounded_per_peer_and_in_total_and_given_back() {
        let total = Arc::new(Counter::new(150));
        let one = Direction::new(100, Arc::clone(&total));
        let two = Direction::new(100, Arc::clone(&total));
        let mut first = Hold::of(&one, 60).expect("fits");
        assert_eq!(first.grow(41), Err(OverBudget::Peer { wanted_bytes: 41, max_bytes: 100 }));
        first.grow(40).expect("exactly at the bound");
        assert_eq!(
            Hold::of(&two, 51).map(|_| ()),
            Err(OverBudget::Total { wanted_bytes: 51, max_bytes: 150 })
        );
        assert_eq!(two.held_bytes(), 0, "a refused hold leaves nothing behind");
        let second = Hold::of(&two, 50).expect("exactly at the total");
        drop(first);
        assert_eq!((one.held_bytes(), total.held_bytes()), (0, 50));
        one.set_max_bytes(10);
        assert!(Hold::of(&one, 11).is_err());
        drop(second);
        assert_eq!(total.held_bytes(), 0);
    }
}
