//! How far the word of an incident has come: which members' nodes hold its declaration, and since when this node
//! knows (SPEC §7.13, §10.2).
//!
//! Fed by what the view says of incidents, and by what members' nodes state that they have on their disks. A member is
//! covered once one of its nodes says so; the author of the declaration is by having published it, and the own
//! member by having folded it. What a member says is taken as it is: it speaks of itself, and nothing that stands
//! depends on it.
//!
//! This is knowledge of one node in one run: it is not in the view and not on disk. After a start everything is
//! heard again, and the report says since when it counts. While an incident is reported, nothing that was known of
//! a member is forgotten.
//!
//! Bounds: incidents ([`INCIDENTS_COVERED_MAX`], those that still matter first) × members; of each member the newest
//! statements about so many logs ([`CLAIMS_PER_MEMBER_MAX`]), for they may come before the declaration does.

use crate::effect::EntryRef;
use crate::entitled::Entitled;
use crate::limits::{CLAIMS_PER_MEMBER_MAX, INCIDENT_CLOSED_SHOWN_MS, INCIDENTS_COVERED_MAX};
use crate::view::IncidentState;
use hashpact_protocol::digest::LogId;
use hashpact_protocol::record::IncidentId;
use hashpact_protocol::roster::{EVERYBODY, Member, MemberId, Roster};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How far the declaration of one incident has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentCoverage {
    /// The incident.
    pub incident: IncidentId,
    /// Since when it counts, in milliseconds since 1970, if the declaration is older than this run of the node: what a
    /// member held before then shows as if it came after.
    pub counted_since_ms: Option<u64>,
    /// Every active member that may have the declaration, by id.
    pub members: Vec<MemberCoverage>,
}

/// Whether one member's node holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberCoverage {
    /// The member.
    pub member: MemberId,
    /// Milliseconds from the declaration's leaf time to when this node first knew, by its own clock; 0 if that is behind
    /// the declarer's. `None` while it does not know.
    pub ms: Option<u64>,
}

/// What is known of incidents and members.
#[derive(Debug)]
pub struct Coverage {
    started_ms: u64,
    tracked: BTreeMap<IncidentId, Tracked>,
    claims: BTreeMap<MemberId, VecDeque<Claim>>,
    /// Whether the view may say something else of incidents than what is tracked.
    is_stale: bool,
    /// Whether a report would differ, and the roster that the last one was made by.
    is_other: bool,
    roster_version: u64,
    reported: Vec<IncidentCoverage>,
}

#[derive(Debug)]
struct Tracked {
    place: EntryRef,
    author: MemberId,
    declared_ms: u64,
    closed_ms: Option<u64>,
    /// Whether the declaration counts: one that does not is not shown, and what is known of it is kept.
    counts: bool,
    /// When this node first knew of a member, in milliseconds since 1970.
    known_ms: BTreeMap<MemberId, u64>,
}

/// What a member's node said that it has on its disk of a log.
#[derive(Debug)]
struct Claim {
    log: LogId,
    size: u64,
    ahead: Vec<u64>,
}

impl Claim {
    fn has(&self, place: &EntryRef) -> bool {
        self.log == place.log && (place.index < self.size || self.ahead.contains(&place.index))
    }
}

impl Tracked {
    fn know(&mut self, member: &MemberId, now_ms: u64) -> bool {
        let is_new = !self.known_ms.contains_key(member);
        if is_new {
            self.known_ms.insert(member.clone(), now_ms);
        }
        is_new
    }

    fn report(&self, incident: IncidentId, roster: &Roster, started_ms: u64) -> IncidentCoverage {
        let may_have = |member: &&Member| {
            member.is_active()
                && Entitled::of(roster, &member.id, Some(&self.author)).reaches(EVERYBODY, self.declared_ms)
        };
        let state = |member: &Member| MemberCoverage {
            ms: self.known_ms.get(&member.id).map(|known_ms| known_ms.saturating_sub(self.declared_ms)),
            member: member.id.clone(),
        };
        IncidentCoverage {
            incident,
            counted_since_ms: (self.declared_ms < started_ms).then_some(started_ms),
            members: roster.members.iter().filter(may_have).map(state).collect(),
        }
    }
}

/// Whether an incident was closed so long ago that nobody watches it any more.
fn is_over(closed_ms: Option<u64>, now_ms: u64) -> bool {
    closed_ms.is_some_and(|closed_ms| now_ms.saturating_sub(closed_ms) >= INCIDENT_CLOSED_SHOWN_MS)
}

impl Coverage {
    /// Of a node that starts now; nothing is known yet.
    #[must_use]
    pub fn new(started_ms: u64) -> Self {
        Self {
            started_ms,
            tracked: BTreeMap::new(),
            claims: BTreeMap::new(),
            is_stale: true,
            is_other: false,
            roster_version: 0,
            reported: Vec::new(),
        }
    }

    /// Incidents of the view changed.
    pub(crate) fn changed(&mut self) {
        self.is_stale = true;
    }

    /// Whether [`Self::refresh`] is due.
    pub(crate) fn take_stale(&mut self) -> bool {
        std::mem::take(&mut self.is_stale)
    }

    /// Takes all incidents that the view has. Returns the logs in which a declaration was found that was not known:
    /// others want to hear that it is here.
    pub fn refresh(&mut self, states: Vec<IncidentState>, own: &MemberId, now_ms: u64) -> BTreeSet<LogId> {
        let mut news = BTreeSet::new();
        for tracked in self.tracked.values_mut() {
            tracked.counts = false;
        }
        for state in states {
            let closed_ms = state.closed.as_ref().map(|(closed, _)| closed.time_ms);
            if is_over(closed_ms, now_ms) {
                self.tracked.remove(&state.id);
                continue;
            }
            let (place, author) = (state.declared.entry, state.declared.member);
            let before = self.tracked.remove(&state.id);
            let is_news = before.as_ref().is_none_or(|before| before.place != place);
            let mut tracked = Tracked {
                place,
                author,
                declared_ms: state.declared.time_ms,
                closed_ms,
                counts: true,
                known_ms: before.map(|before| before.known_ms).unwrap_or_default(),
            };
            if is_news {
                news.insert(place.log);
                let claims =
                    self.claims.iter().filter(|(_, held)| held.iter().any(|claim| claim.has(&place)));
                let author = tracked.author.clone();
                for member in [own, &author].into_iter().chain(claims.map(|(member, _)| member)) {
                    tracked.know(member, now_ms);
                }
            }
            self.tracked.insert(state.id, tracked);
        }
        self.make_room();
        self.is_other = true;
        news
    }

    /// Lets go what matters least: what does not count, then what is closed, then what is oldest.
    fn make_room(&mut self) {
        while self.tracked.len() > INCIDENTS_COVERED_MAX {
            let rank = |(id, tracked): (&IncidentId, &Tracked)| {
                (tracked.counts, tracked.closed_ms.is_none(), tracked.declared_ms, *id)
            };
            let Some((.., least)) = self.tracked.iter().map(rank).min() else { return };
            self.tracked.remove(&least);
        }
    }

    /// A member's node says that it has this log on its disk up to a size, and these entries beyond.
    pub fn told(&mut self, member: &MemberId, log: LogId, size: u64, ahead: Vec<u64>, now_ms: u64) {
        let mut claim = Claim { log, size, ahead };
        for tracked in self.tracked.values_mut() {
            if claim.has(&tracked.place) {
                self.is_other |= tracked.know(member, now_ms);
            }
        }
        let claims = self.claims.entry(member.clone()).or_default();
        if let Some(at) = claims.iter().position(|held| held.log == log) {
            // Of two messages, or two nodes of one member, the smaller may come last.
            claim.size = claims.remove(at).map_or(size, |before| before.size.max(size));
        }
        claims.push_back(claim);
        if claims.len() > CLAIMS_PER_MEMBER_MAX {
            claims.pop_front();
        }
    }

    /// Time passes: what was closed long ago is let go.
    pub fn tick(&mut self, now_ms: u64) {
        let before = self.tracked.len();
        self.tracked.retain(|_, tracked| !is_over(tracked.closed_ms, now_ms));
        self.is_other |= self.tracked.len() < before;
    }

    /// Declarations held here in a log at or above a size, ascending: what is told beside the size itself.
    #[must_use]
    pub fn declared_in(&self, log: &LogId, size: u64) -> Vec<u64> {
        let places = self.tracked.values().map(|tracked| tracked.place);
        let beyond = places.filter(|place| place.log == *log && place.index >= size);
        let indexes: BTreeSet<u64> = beyond.map(|place| place.index).collect();
        indexes.into_iter().collect()
    }

    /// Whether everybody wants to hear how far this log is held: an incident that matters was declared in it.
    #[must_use]
    pub fn concerns(&self, log: &LogId) -> bool {
        self.tracked.values().any(|tracked| tracked.counts && tracked.place.log == *log)
    }

    /// What to show, if it is something else than before.
    pub fn report(&mut self, roster: &Roster) -> Option<Vec<IncidentCoverage>> {
        if !self.is_other && self.roster_version == roster.version {
            return None;
        }
        (self.is_other, self.roster_version) = (false, roster.version);
        let counting = self.tracked.iter().filter(|(_, tracked)| tracked.counts);
        let report: Vec<_> =
            counting.map(|(id, tracked)| tracked.report(*id, roster, self.started_ms)).collect();
        if report == self.reported {
            return None;
        }
        self.reported.clone_from(&report);
        Some(report)
    }
}

#[cfg(test)]
mod tests;
