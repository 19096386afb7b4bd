//! What a roster says that the view goes by.

use super::{ErasureRules, Leavers};
use hashpact_protocol::roster::{LogPlace, MemberId, PanelTerm, RosterChain, Term};
use std::collections::BTreeSet;

/// Whose word counts, for what and from where on.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// About destroying payloads.
    pub erasure: ErasureRules,
    pub(super) panel: Vec<PanelTerm>,
    pub(super) declarers: Vec<Term>,
    pub(super) leavers: Leavers,
    /// Active members.
    pub(super) members: BTreeSet<MemberId>,
    pub(super) version: u64,
}

/// Of its newest version; since when a leaver's records lapse is a matter of those before.
impl From<&RosterChain> for Rules {
    fn from(chain: &RosterChain) -> Self {
        let roster = chain.current();
        let active = roster.members.iter().filter(|member| member.is_active());
        Self {
            erasure: ErasureRules::from(roster),
            panel: roster.terms.panel.clone(),
            declarers: roster.terms.declarers.clone(),
            leavers: Leavers::from(chain),
            members: active.map(|member| member.id.clone()).collect(),
            version: roster.version,
        }
    }
}

/// Without a panel, declarers and members.
impl From<ErasureRules> for Rules {
    fn from(erasure: ErasureRules) -> Self {
        Self { erasure, ..Self::default() }
    }
}

impl Rules {
    /// Whether entries that were folded under these rules have to be folded again under others. Which members are
    /// active, and the version, are taken up as they change ([`super::View::adopt`]).
    #[must_use]
    pub fn need_refold(&self, other: &Self) -> bool {
        self.erasure != other.erasure
            || self.panel != other.panel
            || self.declarers != other.declarers
            || self.leavers != other.leavers
    }

    /// How many panellists must agree with an entry at this place, if it is a panellist's.
    pub(super) fn ruling_needs(&self, member: &MemberId, place: LogPlace) -> Option<u8> {
        let covers =
            |panellist: &&PanelTerm| panellist.term.member == *member && panellist.term.covers(place);
        self.panel.iter().find(covers).map(|panellist| panellist.needed)
    }

    /// Whether an entry at this place is a panellist's.
    #[must_use]
    pub fn is_panellist(&self, member: &MemberId, n: u32, index: u64) -> bool {
        self.ruling_needs(member, LogPlace { n, index }).is_some()
    }

    /// Whether an entry at this place may declare and close incidents.
    #[must_use]
    pub fn may_declare(&self, member: &MemberId, n: u32, index: u64) -> bool {
        let place = LogPlace { n, index };
        self.declarers.iter().any(|term| term.member == *member && term.covers(place))
    }

    /// What the roster says about members who left.
    #[must_use]
    pub const fn leavers(&self) -> &Leavers {
        &self.leavers
    }

    /// Whether entries of a member from here on in a log may withdraw what `author` stated: its own, and those of a leaver
    /// whose steward it is. Whether an entry's place is within the term is judged by everybody once it has one.
    #[must_use]
    pub fn may_withdraw(&self, author: &MemberId, member: &MemberId, n: u32) -> bool {
        self.leavers.acts_for(author, member, LogPlace { n, index: u64::MAX })
    }

    /// The active members.
    #[must_use]
    pub const fn members(&self) -> &BTreeSet<MemberId> {
        &self.members
    }

    /// The roster's version.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }
}
