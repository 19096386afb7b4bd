//! What the review panel holds of signals: verdicts that bind a type and value wherever they are stated.
//!
//! Which records carry a signal is not known here, for the view does not keep what records state: look-ups hold a
//! copy of the verdicts ([`RulingChange`]) and ask for those of a record's signals whenever they show or match it
//! ([`super::Standing::ruled`]). So it does not matter which comes first, the ruling or the record.
//!
//! SPEC §7.11, §8.6.

use super::said::{Said, Weights, insert};
use crate::effect::EntryRef;
use crate::limits::STATEMENTS_PER_MEMBER_MAX;
use hashpact_protocol::record::{Ruling, RulingReason, Signal, Verdict};
use hashpact_protocol::roster::MemberId;
use std::collections::{BTreeMap, BTreeSet};

/// A verdict of the panel on one signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruled {
    /// The verdict; never `withdrawn`.
    pub verdict: Verdict,
    /// Who holds it, ascending.
    pub panellists: Vec<MemberId>,
    /// How many of them must.
    pub needed: u8,
    /// Claimed time of the latest of their entries.
    pub time_ms: u64,
    /// That entry.
    pub entry: EntryRef,
    /// What it says that it rests on.
    pub reason: RulingReason,
}

impl Ruled {
    /// Whether disputes about the signal are over.
    #[must_use]
    pub const fn settles(&self) -> bool {
        matches!(self.verdict, Verdict::Stands)
    }

    /// Whether nothing is to be done because of the signal.
    #[must_use]
    pub const fn clears(&self) -> bool {
        matches!(self.verdict, Verdict::Benign | Verdict::Adult)
    }
}

/// The panel has another verdict on a signal than before, or none any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulingChange {
    /// Type and value; without a quality.
    pub signal: Signal,
    /// The verdict from now on.
    pub ruled: Option<Ruled>,
}

#[derive(Debug, Clone)]
struct Word {
    said: Said,
    needed: u8,
    verdict: Verdict,
    reason: RulingReason,
}

/// What panellists state, by signal and panellist; each list in the order of their logs.
#[derive(Debug, Default)]
pub(super) struct Rulings(BTreeMap<Signal, BTreeMap<MemberId, Vec<Word>>>);

impl Rulings {
    /// Takes what a panellist states at a place where its term needs so many. Whether it is news.
    pub(super) fn add(&mut self, member: &MemberId, said: Said, needed: u8, ruling: &Ruling) -> bool {
        let words = self.0.entry(ruling.signal().clone()).or_default().entry(member.clone()).or_default();
        let word = Word { said, needed, verdict: ruling.verdict, reason: ruling.reason.get() };
        insert(words, word, |word| &word.said, STATEMENTS_PER_MEMBER_MAX)
    }

    /// The verdict on a signal. Of two that have enough panellists, the one that more of them hold, then the one with
    /// the lower code.
    pub(super) fn ruled(&self, signal: &Signal, weights: &Weights<'_>) -> Option<Ruled> {
        let mut held: BTreeMap<Verdict, Vec<(&MemberId, &Word)>> = BTreeMap::new();
        for (member, words) in self.0.get(signal)? {
            let latest = words.iter().rev().find(|word| weights.counts(member, &word.said));
            if let Some(word) = latest.filter(|word| word.verdict != Verdict::Withdrawn) {
                held.entry(word.verdict).or_default().push((member, word));
            }
        }
        let ruled = held.into_iter().filter_map(|(verdict, words)| rule(verdict, &words));
        // Of equals the first stays, which has the lower code.
        ruled.reduce(|best, other| if other.panellists.len() > best.panellists.len() { other } else { best })
    }

    /// Signals that a member has stated something about.
    pub(super) fn of_member(&self, member: &MemberId) -> Vec<Signal> {
        let said = self.0.iter().filter(|(_, words)| words.contains_key(member));
        said.map(|(signal, _)| signal.clone()).collect()
    }

    /// Every signal that a panellist stated something about.
    pub(super) fn signals(&self) -> impl Iterator<Item = &Signal> {
        self.0.keys()
    }
}

/// A ruling, if for some k at least k panellists hold the verdict at places that need k or fewer (SPEC §8.6).
fn rule(verdict: Verdict, words: &[(&MemberId, &Word)]) -> Option<Ruled> {
    let numbers: BTreeSet<u8> = words.iter().map(|(_, word)| word.needed).collect();
    let enough = |needed: &u8| {
        let counted = words.iter().filter(|(_, word)| word.needed <= *needed).count();
        counted >= usize::from(*needed)
    };
    let needed = numbers.into_iter().find(enough)?;
    let (_, latest) = words.iter().max_by_key(|(member, word)| (word.said.time_ms, *member))?;
    Some(Ruled {
        verdict,
        panellists: words.iter().map(|(member, _)| (*member).clone()).collect(),
        needed,
        time_ms: latest.said.time_ms,
        entry: latest.said.entry(),
        reason: latest.reason,
    })
}
