//! Rulings, suspensions and incidents: entries that are about signals, members and incidents instead of records.
//!
//! What they change is told in two ways: records that stand otherwise leave with the fold, as always; verdicts on
//! signals, suspensions and incidents wait for [`View::take_news`].

use super::incidents::IncidentState;
use super::record::{Standing, Status, StatusReason};
use super::rulings::{Ruled, RulingChange};
use super::said::{Said, Weights};
use super::suspensions::Suspension;
use super::{Author, Rules, View};
use crate::effect::ViewChange;
use hashpact_protocol::digest::{LeafHash, RecordId};
use hashpact_protocol::leaf::Leaf;
use hashpact_protocol::record::{self, Incident, IncidentId, Ruling, Signal};
use hashpact_protocol::roster::{LogPlace, MemberId};
use std::collections::{BTreeMap, BTreeSet};

/// What look-ups must hear beside how records stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct News {
    /// Signals on which the panel has another verdict now; of one signal the last counts.
    pub rulings: Vec<RulingChange>,
    /// All suspensions, if they are others now.
    pub suspensions: Option<Vec<Suspension>>,
    /// All incidents, if they are others now.
    pub incidents: Option<Vec<IncidentState>>,
}

impl News {
    /// Whether there is nothing to tell.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rulings.is_empty() && self.suspensions.is_none() && self.incidents.is_none()
    }
}

impl View {
    /// What changed since it was asked last, other than records.
    pub fn take_news(&mut self) -> News {
        std::mem::take(&mut self.news)
    }

    /// What the panel holds of a signal, whatever its quality.
    #[must_use]
    pub fn ruled(&self, signal: &Signal) -> Option<Ruled> {
        self.rulings.ruled(&signal.clone().without_quality(), &self.weights())
    }

    /// Every signal on which the panel has a verdict.
    pub fn rulings(&self) -> impl Iterator<Item = (&Signal, Ruled)> {
        let weights = self.weights();
        self.rulings.signals().filter_map(move |signal| Some((signal, self.rulings.ruled(signal, &weights)?)))
    }

    /// Every suspension, in the order in which they began.
    #[must_use]
    pub fn suspensions(&self) -> &[Suspension] {
        self.suspensions.all()
    }

    /// Every incident that was declared, by id.
    #[must_use]
    pub fn incidents(&self) -> Vec<IncidentState> {
        self.incidents.all(&self.weights())
    }

    /// One incident that was declared.
    #[must_use]
    pub fn incident(&self, id: &IncidentId) -> Option<IncidentState> {
        self.incidents.get(id, &self.weights())
    }

    /// The rules.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    pub(super) fn weights(&self) -> Weights<'_> {
        self.weights_at(self.expired_until_ms)
    }

    pub(super) fn weights_at(&self, now_ms: u64) -> Weights<'_> {
        let leavers = &self.rules.leavers;
        Weights { contested: &self.contested, suspensions: self.suspensions.all(), leavers, now_ms }
    }

    pub(super) fn fold_ruling(&mut self, author: &Author, leaf: &Leaf, id: LeafHash, ruling: &Ruling) {
        let said = Said::new(author, leaf, id);
        let Some(needed) = self.rules.ruling_needs(&author.member, said.place) else { return };
        let signal = ruling.signal().clone();
        let before = self.ruled(&signal);
        self.rulings.add(&author.member, said, needed, ruling);
        self.tell_ruling(signal, &before);
    }

    pub(super) fn tell_ruling(&mut self, signal: Signal, before: &Option<Ruled>) {
        let ruled = self.ruled(&signal);
        if ruled != *before {
            self.news.rulings.push(RulingChange { signal, ruled });
        }
    }

    pub(super) fn fold_incident(&mut self, author: &Author, leaf: &Leaf, id: LeafHash, incident: &Incident) {
        if self.rules.may_declare(&author.member, author.n, leaf.index)
            && self.incidents.add(&author.member, Said::new(author, leaf, id), incident)
        {
            self.news.incidents = Some(self.incidents());
        }
    }

    pub(super) fn fold_vote(
        &mut self,
        author: &Author,
        leaf: &Leaf,
        id: LeafHash,
        vote: &record::Suspension,
    ) -> Vec<ViewChange> {
        if !self.suspensions.add(&author.member, Said::new(author, leaf, id), vote) {
            return Vec::new();
        }
        self.decide()
    }

    /// Takes up who is active, and the version, of a newer roster under which nothing has to be folded again.
    pub fn adopt(&mut self, rules: Rules) -> Vec<ViewChange> {
        self.rules = rules;
        self.decide()
    }

    /// Counts all votes again.
    pub(super) fn decide(&mut self) -> Vec<ViewChange> {
        let Rules { members, version, .. } = &self.rules;
        let decided = self.suspensions.decide(members, *version, &self.contested);
        if decided == self.suspensions.all() {
            return Vec::new();
        }
        self.suspend(decided, self.expired_until_ms)
    }

    /// Lets these suspensions be the ones, and `now_ms` the time.
    pub(super) fn suspend(&mut self, decided: Vec<Suspension>, now_ms: u64) -> Vec<ViewChange> {
        let before_ms = self.expired_until_ms;
        let concerned = concerned(self.suspensions.all(), before_ms, &decided, now_ms);
        let is_other = decided != self.suspensions.all() || !concerned.is_empty();
        let signals: BTreeSet<Signal> =
            concerned.keys().flat_map(|member| self.rulings.of_member(member)).collect();
        let signals: Vec<(Signal, Option<Ruled>)> =
            signals.into_iter().map(|signal| (signal.clone(), self.ruled(&signal))).collect();
        let subjects = self.subjects_of(&concerned);
        let held = self.suspensions.replace(decided);
        self.expired_until_ms = now_ms;
        let mut changes = Vec::new();
        {
            let (contested, leavers) = (&self.contested, &self.rules.leavers);
            let before = Weights { contested, suspensions: &held, leavers, now_ms: before_ms };
            let stated = concerned.iter().flat_map(|(member, from)| self.records.of_member(member, *from));
            let mut seen = BTreeSet::new();
            let said = subjects.iter().filter_map(|id| self.records.find(id));
            for record in stated.chain(said) {
                if seen.insert(record.number) {
                    let contested = self.contested_of(record.author);
                    let before = self.standing_when(&record, contested, &before);
                    changes.extend(self.change(&record, &before));
                }
            }
        }
        for (signal, before) in signals {
            self.tell_ruling(signal, &before);
        }
        if is_other {
            self.news.suspensions = Some(self.suspensions.all().to_vec());
            self.news.incidents = Some(self.incidents());
        }
        self.blanked(changes)
    }

    /// The records, here or not, about which these members said something at or after these places; with those that
    /// rival a supersession.
    fn subjects_of(&self, concerned: &BTreeMap<MemberId, LogPlace>) -> Vec<RecordId> {
        if concerned.is_empty() {
            return Vec::new();
        }
        let said = self
            .about
            .iter()
            .filter(|(_, about)| concerned.iter().any(|(member, from)| about.has_from(member, *from)));
        said.flat_map(|(id, about)| std::iter::once(*id).chain(about.superseding())).collect()
    }

    /// Why a record of this author at this place does not count now, if its author is suspended.
    pub(super) fn suspended_reason(
        weights: &Weights<'_>,
        author: &Author,
        index: u64,
    ) -> Option<StatusReason> {
        let held = weights.suspension(&author.member, LogPlace { n: author.n, index })?;
        Some(StatusReason::SuspendedBy {
            votes: held.voters.len(),
            members: held.members,
            until_ms: held.until_ms,
            roster_version: held.roster_version,
        })
    }
}

/// Members who are suspended at one of two moments and not in the same way at the other, with the lower place.
fn concerned(
    before: &[Suspension],
    before_ms: u64,
    after: &[Suspension],
    after_ms: u64,
) -> BTreeMap<MemberId, LogPlace> {
    let holding = |all: &[Suspension], now_ms: u64| -> BTreeSet<Key> {
        all.iter().filter(|held| held.holds(now_ms)).map(key).collect()
    };
    let (before, after) = (holding(before, before_ms), holding(after, after_ms));
    let mut concerned = BTreeMap::new();
    for (member, from, ..) in before.symmetric_difference(&after) {
        let lowest = concerned.entry(member.clone()).or_insert(*from);
        *lowest = (*lowest).min(*from);
    }
    concerned
}

/// Everything of a suspension that the reason of a record shows.
type Key = (MemberId, LogPlace, u64, u64, usize, usize);

fn key(held: &Suspension) -> Key {
    let Suspension { member, roster_version, from, until_ms, voters, members, .. } = held;
    (member.clone(), *from, *roster_version, *until_ms, voters.len(), *members)
}

impl Standing {
    /// Whether the panel holds that the record stands: what others think of it lowers nothing then (SPEC §7.11).
    #[must_use]
    pub fn is_settled(&self) -> bool {
        matches!(&self.reason, Some(StatusReason::RuledBy { ruled }) if ruled.settles())
    }

    /// The same, given what the panel holds of each of the record's signals.
    ///
    /// A record of which every signal is cleared does not match. Of one of which some are, look-ups pass over those.
    /// `stands` settles a dispute; what is said of models beside that settles nothing.
    #[must_use]
    pub fn ruled<'a>(mut self, verdicts: impl IntoIterator<Item = Option<&'a Ruled>>) -> Self {
        if !self.status.stands() {
            return self;
        }
        let (mut cleared, mut settled, mut is_all) = (None, None, true);
        for ruled in verdicts {
            match ruled {
                Some(ruled) if ruled.clears() => cleared = cleared.or(Some(ruled)),
                other => {
                    is_all = false;
                    settled = settled.or(other.filter(|ruled| ruled.settles()));
                }
            }
        }
        let reason = |ruled: &Ruled| Some(StatusReason::RuledBy { ruled: Box::new(ruled.clone()) });
        match (cleared, settled) {
            (Some(ruled), _) if is_all => (self.status, self.reason) = (Status::Ruled, reason(ruled)),
            (_, Some(ruled)) if matches!(self.status, Status::Active | Status::Disputed) => {
                (self.status, self.reason) = (Status::Active, reason(ruled));
            }
            _ => {}
        }
        self
    }
}
