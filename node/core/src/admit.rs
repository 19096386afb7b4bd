//! Who may speak to us: connections become peers only by a node card under the roster.
//!
//! The transport proves a peer key and nothing else. Both sides say `Hello` with their card; the newest card known of
//! a member that verifies under the roster and lists the key binds the peer to that member. A node may know less than
//! we do: an older card, or none, is no reason to refuse a key that the newest card lists. Anything else that
//! an unadmitted peer asks is refused, and it is disconnected after a bounded time.
//!
//! A read replica takes its own card from what it is told: the newest of its member that lists it.

use crate::effect::{Effect, RequestId};
use crate::engine::Out;
use crate::event::Peer;
use crate::health::PeerHealth;
use crate::limits::{
    ADMISSION_TIMEOUT_MS, HEADS_INTERVAL_MS, HELLO_INTERVAL_MS, PEERS_MAX, ROSTER_INTERVAL_MS,
    UNANSWERED_RETRY_MS,
};
use hashpact_protocol::roster::{CardError, CardNode, MemberId, Roster, VerifiedCard};
use hashpact_protocol::wire::{Hello, Request};
use std::collections::{BTreeMap, BTreeSet};

mod cards;
#[cfg(test)]
mod tests;

use cards::{Cards, Told};

/// Which node this is, among all nodes of its member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnNode {
    /// Its peer key.
    pub(crate) peer: Peer,
    /// Its member.
    pub(crate) member: MemberId,
    /// Whether another node signs its card.
    pub(crate) is_replica: bool,
}

/// All connected peers.
pub struct Peers {
    own: OwnNode,
    hello: Hello,
    connected: BTreeMap<Peer, State>,
    cards: Cards,
    /// Members of which a node was admitted since the start: they come back under an expired roster.
    admitted_before: BTreeSet<MemberId>,
    /// Our card is another than the one that we told last.
    is_renewed: bool,
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
    /// No card was sent, and none is known that lists the peer's key. A replica that has none yet breaks no rule.
    NoCard,
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
    /// Whether the peer broke no rule: it is our roster that stands in its way, or our not knowing its card.
    #[must_use]
    pub const fn is_blameless(&self) -> bool {
        matches!(self, Self::RosterExpired | Self::NoCard)
    }

    /// Fixed label for metrics and logs.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Consortium => "hello_consortium",
            Self::Card => "hello_card",
            Self::NoCard => "hello_no_card",
            Self::NotListed => "hello_not_listed",
            Self::OldCard => "hello_old_card",
            Self::Left => "hello_left",
            Self::RosterExpired => "hello_roster_expired",
        }
    }
}

impl Peers {
    /// Starts with nobody connected; our own card in `hello` counts like any other.
    pub(crate) fn new(own: OwnNode, hello: Hello, roster: &Roster, now_ms: u64, out: &mut Out) -> Self {
        let mut peers = Self {
            own,
            hello,
            connected: BTreeMap::new(),
            cards: Cards::default(),
            admitted_before: BTreeSet::new(),
            is_renewed: false,
        };
        if peers.cards.take(&peers.hello.card, roster, now_ms / 1_000).is_ok() {
            peers.show_nodes(&peers.own.member, out);
        } else if peers.own.is_replica {
            // Refused everywhere: nobody is to be bothered with it.
            peers.hello.card.clear();
        }
        peers
    }

    /// A card of our member is to be ours from now on. `false` if it is not valid, not ours, or older than the one held.
    pub(crate) fn renew(&mut self, card: Vec<u8>, roster: &Roster, now_ms: u64, out: &mut Out) -> bool {
        let now_s = now_ms / 1_000;
        let verified = VerifiedCard::verify(&card, roster, now_s).ok();
        let fits = verified.is_some_and(|verified| {
            let card = verified.card();
            card.member == self.own.member && card.nodes.iter().any(|node| node.peer_key == self.own.peer)
        });
        let is_news = fits && self.cards.take(&card, roster, now_s).is_ok_and(|told| told.is_news);
        if is_news {
            self.hello.card = card;
            self.is_renewed = true;
            self.show_nodes(&self.own.member, out);
        }
        is_news
    }

    /// Whether everybody is to be told our card anew; says so once.
    pub(crate) fn take_renewed(&mut self) -> bool {
        std::mem::take(&mut self.is_renewed)
    }

    /// Takes the card of a hello, if there is one.
    fn hear_card(
        &mut self,
        bytes: &[u8],
        roster: &Roster,
        now_s: u64,
        out: &mut Out,
    ) -> Result<Option<Told>, HelloError> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let told = self.cards.take(bytes, roster, now_s).map_err(|error| match error {
            CardError::MemberLeft(_) => HelloError::Left,
            _ => HelloError::Card,
        })?;
        if told.is_news {
            if self.own.is_replica && told.member == self.own.member {
                self.take_own(bytes, out);
            }
            self.show_nodes(&told.member, out);
        }
        Ok(Some(told))
    }

    /// Our member has a newer card: ours from now on, if it still lists this node.
    fn take_own(&mut self, bytes: &[u8], out: &mut Out) {
        let is_listed = self.nodes(&self.own.member).iter().any(|node| node.peer_key == self.own.peer);
        self.hello.card = if is_listed { bytes.to_vec() } else { Vec::new() };
        self.is_renewed = is_listed;
        out.push(Effect::OwnCard { card: self.hello.card.clone() });
    }

    /// The nodes on the newest card of a member, the author first.
    pub(crate) fn nodes(&self, member: &MemberId) -> &[CardNode] {
        self.cards.nodes(member)
    }

    /// The node that writes a member's log, by its newest card, if it is admitted and connected.
    pub(crate) fn author(&self, member: &MemberId) -> Option<Peer> {
        let author = self.cards.nodes(member).first()?.peer_key;
        (self.member(&author) == Some(member)).then_some(author)
    }

    /// Whether this peer writes the log of this member.
    pub(crate) fn is_author(&self, peer: &Peer, member: &MemberId) -> bool {
        self.author(member).as_ref() == Some(peer)
    }

    /// Whether a node of another member is admitted and connected. Those of our own know no more than we do if
    /// nobody else is there.
    pub(crate) fn meets_others(&self) -> bool {
        self.admitted().any(|(_, member)| *member != self.own.member)
    }

    /// Tells where the nodes of a member are.
    fn show_nodes(&self, member: &MemberId, out: &mut Out) {
        let others = self.cards.nodes(member).iter().filter(|node| node.peer_key != self.own.peer);
        let nodes: Vec<_> = others.map(|node| (node.peer_key, node.addresses.clone())).collect();
        if !nodes.is_empty() {
            out.push(Effect::Nodes { nodes });
        }
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

    /// Whether at least one node of another member is admitted, or for a replica any node, and every admitted peer has
    /// told its heads.
    #[must_use]
    pub fn all_told_heads(&self) -> bool {
        let mut any = false;
        for state in self.connected.values().filter(|state| state.member.is_some()) {
            any |= self.own.is_replica || state.member.as_ref() != Some(&self.own.member);
            if !state.heads.answered {
                return false;
            }
        }
        any
    }

    /// Other members of which at least one connected node has told its heads.
    #[must_use]
    pub fn members_told_heads(&self) -> usize {
        let told = self.connected.values().filter(|state| state.heads.answered);
        let members = told.filter_map(|state| state.member.as_ref());
        members.filter(|member| **member != self.own.member).collect::<BTreeSet<_>>().len()
    }

    pub(crate) fn connected(&mut self, peer: Peer, now_ms: u64, out: &mut Out) {
        if peer == self.own.peer {
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
    pub(crate) fn enforce(&mut self, before: &Roster, now: &Roster, now_ms: u64, out: &mut Out) {
        self.cards.enforce(now, now_ms / 1_000);
        if self.own.is_replica && self.cards.nodes(&self.own.member).is_empty() {
            self.hello.card.clear();
        }
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
        let now_s = now_ms / 1_000;
        let told = self.hear_card(&hello.card, roster, now_s, out)?;
        let found = self.cards.find(&peer, told.as_ref().map(|told| &told.member), now_s);
        let (member, addresses) = match (found, told) {
            (Some((member, node)), _) => (member.clone(), node.addresses.clone()),
            (None, None) => return Err(HelloError::NoCard),
            (None, Some(Told { is_old: true, .. })) => return Err(HelloError::OldCard),
            (None, Some(_)) => return Err(HelloError::NotListed),
        };
        let has_been_here = self.admitted_before.contains(&member) || member == self.own.member;
        if let Admits::Known(members) = admits
            && !has_been_here
            && !members.contains(&member)
        {
            return Err(HelloError::RosterExpired);
        }
        self.admitted_before.insert(member.clone());
        let Some(state) = self.connected.get_mut(&peer) else { return Ok(()) };
        state.version = hello.roster_version;
        if state.member.is_none() {
            state.member = Some(member.clone());
            out.push(Effect::Admitted { peer, member: member.to_string(), addresses });
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
        // A card that has expired is refused everywhere; the author sends the next.
        let own = self.cards.find(&self.own.peer, Some(&self.own.member), now_ms / 1_000);
        if self.own.is_replica && own.is_none() {
            self.hello.card.clear();
        }
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
