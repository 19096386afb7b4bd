//! Who may speak to us: connections become peers only by a node card under the roster.
//!
//! The transport proves a peer key and nothing else. Both sides say `Hello` with their card; a card
//! that verifies under the roster and lists the key binds the peer to its member. Anything else that
//! an unadmitted peer asks is refused, and it is disconnected after a bounded time.

use crate::effect::{Effect, RequestId};
use crate::engine::Out;
use crate::event::Peer;
use crate::health::PeerHealth;
use crate::limits::{
    ADMISSION_TIMEOUT_MS, HEADS_INTERVAL_MS, HELLO_INTERVAL_MS, PEERS_MAX, ROSTER_INTERVAL_MS,
    UNANSWERED_RETRY_MS,
};
use hashpact_protocol::roster::{CardError, MemberId, Roster, VerifiedCard};
use hashpact_protocol::wire::{Hello, Request};
use std::collections::{BTreeMap, BTreeSet};

#[cfg(test)]
mod tests;

/// All connected peers.
pub struct Peers {
    own_peer: Peer,
    hello: Hello,
    connected: BTreeMap<Peer, State>,
    /// Newest card sequence seen, by member: a key that a newer card dropped stays out.
    cards: BTreeMap<MemberId, u64>,
}

struct State {
    since_ms: u64,
    member: Option<MemberId>,
    hello_request: Option<RequestId>,
    hello_ms: u64,
    heads: Heads,
    announcing: Option<RequestId>,
    announce_again: bool,
    /// Roster version that the peer said it holds; 0 before it said any.
    version: u64,
    /// Roster version that we said last on this connection.
    told: u64,
}

#[derive(Default)]
struct Heads {
    request: Option<RequestId>,
    asked_ms: u64,
    answered: bool,
}

/// Why a `Hello` is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HelloError {
    /// Another consortium.
    Consortium,
    /// The card does not verify under our roster.
    Card,
    /// The card is valid and does not list the peer's key.
    NotListed,
    /// An older card than one already seen of this member.
    OldCard,
    /// The member has left or may not connect.
    Left,
    /// Our roster has expired, and the member has not taken part before.
    RosterExpired,
}

/// Whom a node admits (SPEC §9.4, rule 5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admits {
    /// Every member that the roster lists as active.
    Members,
    /// Of these the ones that have taken part: the roster has expired, and nobody new joins under it. Who was admitted
    /// before is one of them, too.
    Known(BTreeSet<MemberId>),
}

impl HelloError {
    /// Whether the peer broke no rule: it is our roster that stands in its way.
    #[must_use]
    pub const fn is_blameless(&self) -> bool {
        matches!(self, Self::RosterExpired)
    }

    /// Fixed label for metrics and logs.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Consortium => "hello_consortium",
            Self::Card => "hello_card",
            Self::NotListed => "hello_not_listed",
            Self::OldCard => "hello_old_card",
            Self::Left => "hello_left",
            Self::RosterExpired => "hello_roster_expired",
        }
    }
}

impl Peers {
    pub(crate) fn new(own_peer: Peer, hello: Hello) -> Self {
        Self { own_peer, hello, connected: BTreeMap::new(), cards: BTreeMap::new() }
    }

    /// What we say of ourselves.
    #[must_use]
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// From now on this is what we say of ourselves.
    pub(crate) fn set_hello(&mut self, hello: Hello) {
        self.hello = hello;
    }

    /// The newest roster version that an admitted peer says it holds.
    pub(crate) fn newest_claimed(&self) -> u64 {
        let admitted = self.connected.values().filter(|state| state.member.is_some());
        admitted.map(|state| state.version).max().unwrap_or(0)
    }

    /// The member behind an admitted, connected peer.
    #[must_use]
    pub fn member(&self, peer: &Peer) -> Option<&MemberId> {
        self.connected.get(peer)?.member.as_ref()
    }

    /// Admitted, connected peers.
    pub fn admitted(&self) -> impl Iterator<Item = (&Peer, &MemberId)> {
        self.connected.iter().filter_map(|(peer, state)| Some((peer, state.member.as_ref()?)))
    }

    /// Admitted, connected peers, for status.
    #[must_use]
    pub fn health(&self) -> Vec<PeerHealth> {
        self.admitted().map(|(peer, member)| PeerHealth { peer: *peer, member: member.to_string() }).collect()
    }

    /// Whether at least one peer is admitted and every admitted one has told its heads.
    #[must_use]
    pub fn all_told_heads(&self) -> bool {
        let mut any = false;
        for state in self.connected.values().filter(|state| state.member.is_some()) {
            any = true;
            if !state.heads.answered {
                return false;
            }
        }
        any
    }

    /// Members of which at least one connected node has told its heads.
    #[must_use]
    pub fn members_told_heads(&self) -> usize {
        let told = self.connected.values().filter(|state| state.heads.answered);
        told.filter_map(|state| state.member.as_ref()).collect::<BTreeSet<_>>().len()
    }

    pub(crate) fn connected(&mut self, peer: Peer, now_ms: u64, out: &mut Out) {
        if peer == self.own_peer {
            out.push(Effect::Disconnect { peer, reason: "own_key" });
            return;
        }
        if self.connected.len() >= PEERS_MAX && !self.connected.contains_key(&peer) {
            out.push(Effect::Disconnect { peer, reason: "too_many_peers" });
            return;
        }
        let request_id = out.next_id();
        let state = State {
            since_ms: now_ms,
            member: None,
            hello_request: Some(request_id),
            hello_ms: now_ms,
            heads: Heads::default(),
            announcing: None,
            announce_again: false,
            version: 0,
            told: self.hello.roster_version,
        };
        self.connected.insert(peer, state);
        out.push(Effect::Send { peer, request_id, request: Request::Hello(self.hello.clone()) });
    }

    /// A newer roster is in force: who is not listed any more, or under another card key, is let go. Its nodes may
    /// say hello again.
    pub(crate) fn enforce(&mut self, before: &Roster, now: &Roster, out: &mut Out) {
        let card = |roster: &Roster, id: &MemberId| {
            roster.member(id).filter(|member| member.is_active()).map(|member| member.card_key)
        };
        for (peer, state) in &mut self.connected {
            let Some(member) = &state.member else { continue };
            let key = card(now, member);
            if key.is_none() || key != card(before, member) {
                state.member = None;
                out.push(Effect::Disconnect { peer: *peer, reason: "roster_changed" });
            }
        }
    }

    /// Admitted peers that should hear our hello again, with the roster version that each holds: it is older than
    /// ours and was not told, or it is newer and was not given to us yet.
    pub(crate) fn to_be_greeted(&self, version: u64, now_ms: u64) -> Vec<(Peer, u64)> {
        let is_behind = |state: &State| {
            state.version < version && state.told < version
                || state.version > version && now_ms.saturating_sub(state.hello_ms) >= ROSTER_INTERVAL_MS
        };
        let admitted = self.connected.iter().filter(|(_, state)| state.member.is_some());
        let due = admitted.filter(|(_, state)| state.hello_request.is_none() && is_behind(state));
        due.map(|(peer, state)| (*peer, state.version)).collect()
    }

    /// Says hello to a connected peer, unless it has yet to answer one.
    pub(crate) fn say_hello(&mut self, peer: Peer, hello: Hello, now_ms: u64, out: &mut Out) {
        let state = self.connected.get_mut(&peer).filter(|state| state.hello_request.is_none());
        let Some(state) = state else { return };
        let request_id = out.next_id();
        (state.hello_request, state.hello_ms, state.told) = (Some(request_id), now_ms, hello.roster_version);
        out.push(Effect::Send { peer, request_id, request: Request::Hello(hello) });
    }

    pub(crate) fn disconnected(&mut self, peer: &Peer) {
        self.connected.remove(peer);
    }

    /// Whether `request` is our hello to `peer`; answers once.
    pub(crate) fn take_hello(&mut self, peer: &Peer, request: RequestId) -> bool {
        self.connected
            .get_mut(peer)
            .is_some_and(|state| state.hello_request.take_if(|ours| *ours == request).is_some())
    }

    /// Judges a peer's hello; admits it on success.
    pub(crate) fn greet(
        &mut self,
        peer: Peer,
        hello: &Hello,
        (roster, admits): (&Roster, &Admits),
        now_ms: u64,
        out: &mut Out,
    ) -> Result<(), HelloError> {
        if hello.consortium != roster.consortium {
            return Err(HelloError::Consortium);
        }
        let card =
            VerifiedCard::verify(&hello.card, roster, now_ms / 1_000).map_err(|error| match error {
                CardError::MemberLeft(_) => HelloError::Left,
                _ => HelloError::Card,
            })?;
        let card = card.card();
        let Some(node) = card.nodes.iter().find(|node| node.peer_key == peer) else {
            return Err(HelloError::NotListed);
        };
        let seen = self.cards.get(&card.member);
        if seen.is_some_and(|seen| *seen > card.sequence) {
            return Err(HelloError::OldCard);
        }
        if let Admits::Known(members) = admits
            && seen.is_none()
            && !members.contains(&card.member)
        {
            return Err(HelloError::RosterExpired);
        }
        self.cards.insert(card.member.clone(), card.sequence);
        let Some(state) = self.connected.get_mut(&peer) else { return Ok(()) };
        state.version = hello.roster_version;
        if state.member.is_none() {
            state.member = Some(card.member.clone());
            out.push(Effect::Admitted {
                peer,
                member: card.member.to_string(),
                addresses: node.addresses.clone(),
            });
            ask_heads(peer, state, now_ms, out);
        }
        Ok(())
    }

    /// Whether `request` is our question for heads to `peer`; answers once.
    pub(crate) fn take_heads(&mut self, peer: &Peer, request: RequestId, answered: bool) -> bool {
        let Some(state) = self.connected.get_mut(peer) else { return false };
        if state.heads.request.take_if(|ours| *ours == request).is_none() {
            return false;
        }
        state.heads.answered |= answered;
        if !answered {
            // Asked again at the next tick: the peer may not have admitted us yet.
            state.heads.asked_ms = 0;
        }
        true
    }

    /// Announces to every admitted peer; one announcement a peer is under way at a time.
    pub(crate) fn announce(&mut self, request: &Request, out: &mut Out) {
        for (peer, state) in &mut self.connected {
            if state.member.is_none() {
                continue;
            }
            if state.announcing.is_some() {
                state.announce_again = true;
                continue;
            }
            let request_id = out.next_id();
            state.announcing = Some(request_id);
            out.push(Effect::Send { peer: *peer, request_id, request: request.clone() });
        }
    }

    /// Whether `request` is our announcement to `peer`; `Some(true)` if another is due.
    pub(crate) fn take_announced(&mut self, peer: &Peer, request: RequestId) -> Option<bool> {
        let state = self.connected.get_mut(peer)?;
        state.announcing.take_if(|ours| *ours == request)?;
        Some(std::mem::take(&mut state.announce_again))
    }

    pub(crate) fn tick(&mut self, now_ms: u64, out: &mut Out) {
        for (peer, state) in &mut self.connected {
            let connected_ms = now_ms.saturating_sub(state.since_ms);
            if state.member.is_none() && connected_ms >= ADMISSION_TIMEOUT_MS {
                // Said again only if the transport has not let go of it by then.
                state.since_ms = now_ms;
                out.push(Effect::Disconnect { peer: *peer, reason: "not_admitted_in_time" });
            } else if state.member.is_none()
                && is_due(state.hello_request, state.hello_ms, HELLO_INTERVAL_MS, now_ms)
            {
                let request_id = out.next_id();
                state.hello_request = Some(request_id);
                state.hello_ms = now_ms;
                out.push(Effect::Send {
                    peer: *peer,
                    request_id,
                    request: Request::Hello(self.hello.clone()),
                });
            } else if state.member.is_some()
                && is_due(state.heads.request, state.heads.asked_ms, HEADS_INTERVAL_MS, now_ms)
            {
                ask_heads(*peer, state, now_ms, out);
            }
        }
    }
}

/// Whether a question may be asked: at its interval, or, while an earlier one is unanswered, after a
/// longer pause. A lost question must not silence a peer until the transport gives it up.
fn is_due(unanswered: Option<RequestId>, asked_ms: u64, interval_ms: u64, now_ms: u64) -> bool {
    let pause_ms = if unanswered.is_some() { UNANSWERED_RETRY_MS.max(interval_ms) } else { interval_ms };
    now_ms.saturating_sub(asked_ms) >= pause_ms
}

fn ask_heads(peer: Peer, state: &mut State, now_ms: u64, out: &mut Out) {
    let request_id = out.next_id();
    state.heads.request = Some(request_id);
    state.heads.asked_ms = now_ms;
    out.push(Effect::Send { peer, request_id, request: Request::Heads });
}
