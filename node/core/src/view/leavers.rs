//! Members who left: whose records lapse, and who acts in whose place.
//!
//! Both are words of the roster. A record of a member whose records lapse does not count, and neither do the member's
//! opinions; what it withdrew stays withdrawn, and what it stated as a panellist or declarer goes by its terms. An entry of
//! a steward is judged, as a retraction, supersession or erasure of what the leaver stated, as if the leaver had made it.
//!
//! SPEC §8.6.

use hashpact_protocol::digest::LogId;
use hashpact_protocol::roster::{LogPlace, MemberId, Roster, RosterChain, StewardTerm};
use std::collections::BTreeMap;

/// What a roster says about members who left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leavers {
    /// Members whose records lapse, and the version since which they do without a break.
    pub(super) lapsed: BTreeMap<MemberId, u64>,
    pub(super) stewards: Vec<StewardTerm>,
    /// Logs of members who have stewards.
    pub(super) logs: BTreeMap<LogId, MemberId>,
}

impl From<&RosterChain> for Leavers {
    fn from(chain: &RosterChain) -> Self {
        let roster = chain.current();
        Self { lapsed: chain.lapsed().clone(), ..Self::with_stewards(roster) }
    }
}

impl Leavers {
    fn with_stewards(roster: &Roster) -> Self {
        let stewards = roster.terms.stewards.clone();
        let is_stewarded = |member: &MemberId| stewards.iter().any(|steward| steward.of == *member);
        let logs = roster.logs().filter(|log| is_stewarded(log.member));
        let logs = logs.map(|log| (log.log_id, log.member.clone())).collect();
        Self { lapsed: BTreeMap::new(), stewards, logs }
    }

    /// The roster version since which what a member stated does not count any more.
    #[must_use]
    pub fn lapsed_since(&self, member: &MemberId) -> Option<u64> {
        self.lapsed.get(member).copied()
    }

    /// Whether an entry at this place, if it withdraws what `author` stated, counts as that member's own.
    #[must_use]
    pub fn acts_for(&self, author: &MemberId, member: &MemberId, place: LogPlace) -> bool {
        author == member
            || self
                .stewards_of(author)
                .any(|steward| steward.term.member == *member && steward.term.covers(place))
    }

    /// The leavers for whom an entry at this place acts, ascending.
    #[must_use]
    pub fn served_by(&self, member: &MemberId, place: LogPlace) -> Vec<MemberId> {
        let covering = self.stewards.iter().filter(|steward| steward.term.member == *member);
        covering.filter(|steward| steward.term.covers(place)).map(|steward| steward.of.clone()).collect()
    }

    /// Everybody of whom some entry may act for a member: itself, then its stewards, ascending.
    pub(super) fn acting_for<'a>(&'a self, author: &'a MemberId) -> impl Iterator<Item = &'a MemberId> {
        let mut last = None;
        let stewards = self.stewards_of(author).map(|steward| &steward.term.member);
        std::iter::once(author).chain(stewards.filter(move |member| last.replace(*member) != Some(*member)))
    }

    /// The member who left and has stewards, if this is a log of one.
    pub(super) fn of_log(&self, log: &LogId) -> Option<&MemberId> {
        self.logs.get(log)
    }

    fn stewards_of(&self, author: &MemberId) -> impl Iterator<Item = &StewardTerm> {
        self.stewards.iter().filter(move |steward| steward.of == *author)
    }
}
