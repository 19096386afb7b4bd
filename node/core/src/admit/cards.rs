//! The newest node card of each member, as far as one was told (SPEC §9).
//!
//! Which peer keys are a member's, and which of its nodes is the author, is read here and nowhere else. A card is kept
//! with its bytes, so that a newer roster can judge it again. What is kept is bounded by the roster: one card a member.

use crate::event::Peer;
use hashpact_protocol::roster::{CardError, CardNode, MemberId, Roster, VerifiedCard};
use std::collections::BTreeMap;

/// Cards by member.
#[derive(Default)]
pub(super) struct Cards {
    known: BTreeMap<MemberId, Known>,
}

struct Known {
    bytes: Vec<u8>,
    card: VerifiedCard,
}

/// What a verified card brought.
pub(super) struct Told {
    /// Whose it is.
    pub(super) member: MemberId,
    /// It is the newest known from now on, and was not before.
    pub(super) is_news: bool,
    /// A newer one is known.
    pub(super) is_old: bool,
}

impl Cards {
    /// Verifies a card, and keeps it unless a newer one of its member is known.
    ///
    /// # Errors
    /// The rule of SPEC §9.3 that it breaks.
    pub(super) fn take(&mut self, bytes: &[u8], roster: &Roster, now_s: u64) -> Result<Told, CardError> {
        let card = VerifiedCard::verify(bytes, roster, now_s)?;
        let member = card.card().member.clone();
        let before = self.known.get(&member).map(|known| (known.card.card().sequence, &known.bytes));
        let sequence = card.card().sequence;
        let is_old = before.is_some_and(|(newest, _)| newest > sequence);
        let is_news = !is_old && before.is_none_or(|(_, held)| held != bytes);
        if is_news {
            self.known.insert(member.clone(), Known { bytes: bytes.to_vec(), card });
        }
        Ok(Told { member, is_news, is_old })
    }

    /// The nodes on the newest card of a member; the first is its author.
    pub(super) fn nodes(&self, member: &MemberId) -> &[CardNode] {
        self.known.get(member).map_or(&[], |known| known.card.card().nodes.as_slice())
    }

    /// The node behind a peer key: of this member, or else of the only one whose card lists the key. A card that has
    /// expired lists nobody.
    pub(super) fn find(
        &self,
        peer: &Peer,
        member: Option<&MemberId>,
        now_s: u64,
    ) -> Option<(&MemberId, &CardNode)> {
        let cards = self.known.iter().filter(|(of, known)| {
            member.is_none_or(|member| member == *of) && known.card.card().expires_s > now_s
        });
        let mut found = cards.filter_map(|(of, known)| {
            let node = known.card.card().nodes.iter().find(|node| node.peer_key == *peer)?;
            Some((of, node))
        });
        let first = found.next();
        first.filter(|_| found.next().is_none())
    }

    /// Another roster is in force: cards that do not verify under it are forgotten.
    pub(super) fn enforce(&mut self, roster: &Roster, now_s: u64) {
        self.known.retain(|_, known| VerifiedCard::verify(&known.bytes, roster, now_s).is_ok());
    }
}
