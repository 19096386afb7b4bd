//! Terms: rights of a member that begin and end at places of its own logs (SPEC §8.2).
//!
//! A right never begins or ends at a time: what was said while it lasted stays said, and nothing that was
//! said before it began counts in retrospect. Erasure authorities (SPEC §7.10), the review panel, who
//! declares incidents, and stewards of a leaver's records are all named so.

use super::{MemberId, Roster};
use std::fmt;

/// Most lines of each kind of term.
pub const TERMS_MAX: usize = 64;

/// A place in a member's logs; later logs of the member come after all of an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogPlace {
    /// Number of the log.
    pub n: u32,
    /// Leaf index.
    pub index: u64,
}

impl LogPlace {
    /// The first place there is.
    pub const FIRST: Self = Self { n: 1, index: 0 };
}

impl fmt::Display for LogPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.n, self.index)
    }
}

/// One term of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// The member.
    pub member: MemberId,
    /// Its first entry that has the right.
    pub from: LogPlace,
    /// The first that has it not any more, once the term has ended.
    pub until: Option<LogPlace>,
}

impl Term {
    /// From a member's first entry on, without an end.
    #[must_use]
    pub fn from_the_first(member: MemberId) -> Self {
        Self { member, from: LogPlace::FIRST, until: None }
    }

    /// Whether an entry of the member at this place has the right.
    #[must_use]
    pub fn covers(&self, place: LogPlace) -> bool {
        place >= self.from && self.until.is_none_or(|until| place < until)
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { member, from, until } = self;
        match until {
            Some(until) => write!(f, "{member} {from} {until}"),
            None => write!(f, "{member} {from}"),
        }
    }
}

/// One term on the review panel.
///
/// How many must agree is part of the term, so that a panel of another size judges by its own number from
/// a place of each log on, and what an earlier one ruled stays ruled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PanelTerm {
    /// How many panellists must state the same for it to be a ruling.
    pub needed: u8,
    /// Who, and from where to where.
    pub term: Term,
}

/// One term of a member that may retract what another one, who left, had stated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StewardTerm {
    /// The member who left.
    pub of: MemberId,
    /// Who may, and from where to where.
    pub term: Term,
}

/// The rights that begin and end at places of logs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Members that may order the erasure of others' payloads, ascending by (member, beginning).
    pub erasers: Vec<Term>,
    /// The review panel, ascending by (member, beginning).
    pub panel: Vec<PanelTerm>,
    /// Members that may declare and close incidents, ascending by (member, beginning).
    pub declarers: Vec<Term>,
    /// Stewards of leavers' records, ascending by (leaver, member, beginning).
    pub stewards: Vec<StewardTerm>,
}

impl Roster {
    /// How many panellists must state what an entry at this place states, itself included; `None` if it is
    /// no panellist's. A ruling stands when at least k panellists state the same at places that need k or fewer.
    #[must_use]
    pub fn ruling_needs(&self, member: &MemberId, place: LogPlace) -> Option<u8> {
        let mut terms = self.terms.panel.iter();
        let found = terms.find(|panellist| panellist.term.member == *member && panellist.term.covers(place));
        found.map(|panellist| panellist.needed)
    }

    /// Whether an entry at this place may declare or close an incident.
    #[must_use]
    pub fn may_declare(&self, member: &MemberId, place: LogPlace) -> bool {
        self.terms.declarers.iter().any(|term| term.member == *member && term.covers(place))
    }

    /// Whether an entry at this place may order the erasure of what others stated.
    #[must_use]
    pub fn may_erase(&self, member: &MemberId, place: LogPlace) -> bool {
        self.terms.erasers.iter().any(|term| term.member == *member && term.covers(place))
    }

    /// Whether an entry at this place may retract what `author`, who left, had stated.
    #[must_use]
    pub fn is_steward(&self, author: &MemberId, member: &MemberId, place: LogPlace) -> bool {
        let mut terms = self.terms.stewards.iter();
        terms.any(|steward| {
            steward.of == *author && steward.term.member == *member && steward.term.covers(place)
        })
    }
}
