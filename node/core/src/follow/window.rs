//! Which parts of a log are being fetched, from whom, and which have arrived.
//!
//! All parts of one window are asked for under one signed head, so each answer carries what leads from
//! its end to that head's root, whoever serves it. Answers may come in any order and from any peer; they
//! are checked and stored in the order of the log, because the tree before a part is needed to check it.
//! What has arrived early waits here, and counts against the bound like what is still on its way.

use super::Target;
use crate::effect::RequestId;
use crate::event::Peer;
use hashpact_protocol::limits::RANGE_ENTRIES_MAX;
use hashpact_protocol::wire::RangeChunk;
use std::collections::BTreeMap;

/// Parts in hand for one head.
#[derive(Default)]
pub(super) struct Window {
    target: Option<Target>,
    /// By leaf index of the first entry; disjoint.
    parts: BTreeMap<u64, Part>,
    /// First index that no part covers yet.
    next: u64,
    /// Entries that an answer is expected to hold; learnt from the last one.
    expected: u64,
}

struct Part {
    end: u64,
    state: State,
}

enum State {
    Open,
    Asked { peer: Peer, request: RequestId },
    Here { peer: Peer, chunk: RangeChunk },
}

impl Window {
    /// The head that the parts belong under.
    pub(super) fn target(&self) -> Option<&Target> {
        self.target.as_ref()
    }

    /// Starts anew towards another head, from what is held or being written.
    pub(super) fn start(&mut self, target: Target, from: u64) {
        self.parts.clear();
        self.next = from;
        if self.expected == 0 {
            self.expected = RANGE_ENTRIES_MAX as u64;
        }
        self.target = Some(target);
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.parts.clear();
        self.target = None;
    }

    /// Whether an entry is in a part that waits to be stored, or in what somebody who was asked is likely to
    /// send: answers are bounded in bytes, and may end long before the part does.
    pub(super) fn is_on_its_way(&self, index: u64) -> bool {
        let part = self.parts.range(..=index).next_back();
        part.is_some_and(|(start, part)| match part.state {
            State::Open => false,
            State::Asked { .. } => index < part.end.min(start.saturating_add(self.expected)),
            State::Here { .. } => index < part.end,
        })
    }

    /// Parts on their way or waiting to be stored.
    pub(super) fn in_hand(&self) -> usize {
        self.parts.values().filter(|part| !matches!(part.state, State::Open)).count()
    }

    /// Parts that a peer has been asked for and has not sent.
    pub(super) fn asked_of(&self, peer: &Peer) -> usize {
        let ours = |part: &&Part| matches!(&part.state, State::Asked { peer: asked, .. } if asked == peer);
        self.parts.values().filter(ours).count()
    }

    /// The next part that somebody should be asked for: start and end.
    pub(super) fn next_open(&self) -> Option<(u64, u64)> {
        let open = self.parts.iter().find(|(_, part)| matches!(part.state, State::Open));
        if let Some((start, part)) = open {
            return Some((*start, part.end));
        }
        let size = self.target.as_ref()?.size;
        // Alone, as much as a peer will send; side by side, what it is likely to send, or the parts
        // would have to be mended.
        let most = if self.in_hand() == 0 { RANGE_ENTRIES_MAX as u64 } else { self.expected };
        (self.next < size).then(|| (self.next, size.min(self.next.saturating_add(most))))
    }

    /// Whether `start` is the part that everything behind it waits for.
    pub(super) fn is_first(&self, start: u64) -> bool {
        self.parts.first_key_value().is_none_or(|(first, _)| start <= *first)
    }

    /// A peer is being asked for a part.
    pub(super) fn ask(&mut self, start: u64, end: u64, peer: Peer, request: RequestId) {
        self.next = self.next.max(end);
        self.parts.insert(start, Part { end, state: State::Asked { peer, request } });
    }

    /// Which part a request of ours is about: start, end and whom it asks.
    pub(super) fn asked(&self, request: RequestId) -> Option<(u64, u64, Peer)> {
        self.parts.iter().find_map(|(start, part)| match &part.state {
            State::Asked { peer, request: ours } if *ours == request => Some((*start, part.end, *peer)),
            _ => None,
        })
    }

    /// The part's answer is here. What it leaves out is asked for again.
    pub(super) fn arrived(&mut self, start: u64, peer: Peer, chunk: RangeChunk) {
        let Some(part) = self.parts.get_mut(&start) else { return };
        let (asked, entries) = (part.end - start, chunk.entries.len() as u64);
        let rest = part.end;
        part.end = start + entries;
        part.state = State::Here { peer, chunk };
        if entries < asked {
            self.expected = entries.max(1);
            self.parts.insert(start + entries, Part { end: rest, state: State::Open });
        } else {
            self.expected = self.expected.max(entries.saturating_mul(2)).min(RANGE_ENTRIES_MAX as u64);
        }
    }

    /// Takes the part at `start` if it has arrived.
    pub(super) fn take(&mut self, start: u64) -> Option<(Peer, RangeChunk)> {
        if !matches!(self.parts.get(&start)?.state, State::Here { .. }) {
            return None;
        }
        match self.parts.remove(&start)?.state {
            State::Here { peer, chunk } => Some((peer, chunk)),
            State::Open | State::Asked { .. } => None,
        }
    }

    /// A part is to be asked for again.
    pub(super) fn reopen(&mut self, start: u64, end: u64) {
        self.parts.insert(start, Part { end, state: State::Open });
    }

    /// Everything that this peer was asked for is to be asked for elsewhere.
    pub(super) fn lost(&mut self, gone: &Peer) {
        for part in self.parts.values_mut() {
            if matches!(&part.state, State::Asked { peer, .. } if peer == gone) {
                part.state = State::Open;
            }
        }
    }
}
