//! What this member makes of matching records: lists, and the rules that no list can switch off.
//!
//! A [`List`] is local policy: which records count, and with which outcome. For each record that a query item
//! found, of the lists that count it the one with the highest priority decides (of equals the strongest outcome);
//! then [`rules`] say how far it may go; the item gets the strongest outcome of its records. So a rule that holds
//! one record back never touches another, and a record more never lowers an outcome. The built-in list, which
//! always exists, yields `review` for whatever counts and comes after all others.
//!
//! Also here: what is known about near-duplicates together ([`Group`]), how many independent sources a signal has ([`independent_sources`]), which signals members call
//! benign ([`Benign`]), and what is a flood ([`Floods`]). Facts come in as values; nothing here knows how a record
//! was found, what it costs to look, or where lists are kept.
//!
//! SPEC §11.3.

mod benign;
mod condition;
mod facts;
mod flood;
mod grouping;
mod list;
mod outcome;
mod rules;
mod source;
#[cfg(test)]
mod tests;

pub use benign::Benign;
pub use condition::{Condition, Conditions, Newcomers, Subject, Unmet};
pub use facts::{
    Facts, Flooded, HarmLabels, MemberFacts, Members, Negative, Opinions, Way, asks_for_labels, on_harm,
};
pub use flood::{Decision, Flood, FloodEntry, FloodId, FloodKind, FloodLimits, Floods, Ranges};
pub use grouping::{Group, Grouped, LOOKS_ENOUGH, Look};
pub use list::{BUILT_IN_LIST, List, ListError, ListRule, PRIORITY_MAX, VERSION_NONE};
pub use outcome::Outcome;
pub use rules::{NEGATIVE_MEMBERS_MIN, Rule};
pub use source::{independent_sources, original_source};

use std::sync::Arc;

/// All lists, and what is known about members: what a look-up decides with.
#[derive(Debug, Clone)]
pub struct Policy {
    /// By falling priority, then name; the built-in list last.
    lists: Vec<Arc<List>>,
    /// What roster and operator say about members.
    members: Arc<Members>,
}

/// What one look-up asks of the policy.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The lists to ask; `None`: all.
    pub lists: Option<&'a [String]>,
    /// Largest PDQ distance that the caller asked for.
    pub distance: Option<u16>,
    /// Now, in milliseconds since 1970.
    pub now_ms: u64,
}

impl Asked<'_> {
    fn asks(&self, list: &List) -> bool {
        self.lists.is_none_or(|names| names.contains(&list.name))
    }
}

/// What becomes of one record.
#[derive(Debug, Clone, Copy)]
pub struct Verdict<'p> {
    /// The outcome.
    pub outcome: Outcome,
    /// The list that decided.
    pub list: &'p Arc<List>,
}

/// Why one list counts a record or does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation<'p> {
    /// The list.
    pub list: &'p List,
    /// How the record was found, in the way in which the list goes furthest.
    pub way: Way,
    /// What it would come to if this list decided; `None`: it does not count.
    pub outcome: Option<Outcome>,
    /// Conditions of the list that are not met.
    pub unmet: Vec<Unmet>,
    /// Rules that hold it back, whatever the list says.
    pub rules: Vec<Rule>,
}

impl std::fmt::Display for Explanation<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.outcome {
            Some(outcome) => write!(f, "{} counts it: {}", self.list.name, outcome.name())?,
            None => write!(f, "{} does not count it", self.list.name)?,
        }
        let unmet = self.unmet.iter().map(ToString::to_string);
        for reason in unmet.chain(self.rules.iter().map(ToString::to_string)) {
            write!(f, "; {reason}")?;
        }
        Ok(())
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::new([], Arc::default())
    }
}

impl Policy {
    /// These lists and the built-in one.
    #[must_use]
    pub fn new(lists: impl IntoIterator<Item = Arc<List>>, members: Arc<Members>) -> Self {
        let mut lists: Vec<Arc<List>> = lists.into_iter().collect();
        lists.push(Arc::new(List::built_in()));
        lists.sort_by(|a, b| (b.priority, b.outcome, &a.name).cmp(&(a.priority, a.outcome, &b.name)));
        Self { lists, members }
    }

    /// The lists, in the order in which they decide.
    #[must_use]
    pub fn lists(&self) -> &[Arc<List>] {
        &self.lists
    }

    /// The list with this name.
    #[must_use]
    pub fn list(&self, name: &str) -> Option<&Arc<List>> {
        self.lists.iter().find(|list| list.name == name)
    }

    /// What roster and operator say about members.
    #[must_use]
    pub fn members(&self) -> &Arc<Members> {
        &self.members
    }

    /// Largest PDQ distance at which any list that is asked may count a record.
    #[must_use]
    pub fn radius(&self, asked: &Asked<'_>) -> u16 {
        let lists = self.lists.iter().filter(|list| asked.asks(list));
        lists.map(|list| list.conditions.radius(asked.distance)).max().unwrap_or(0)
    }

    /// Whether any list counts independent sources.
    #[must_use]
    pub fn counts_sources(&self) -> bool {
        let counts = |list: &Arc<List>| {
            let Conditions { sources_min, newcomers, .. } = &list.conditions;
            *sources_min > 1 || newcomers.is_some()
        };
        self.lists.iter().any(counts)
    }

    /// What becomes of a record that was found in these ways; `None`: no list that is asked counts it.
    #[must_use]
    pub fn decide(
        &self,
        asked: &Asked<'_>,
        facts: &Facts<'_>,
        ways: &[Way],
        sources: &dyn Fn() -> u32,
    ) -> Option<Verdict<'_>> {
        let verdicts = ways.iter().filter_map(|way| self.decide_way(asked, facts, *way, sources));
        verdicts.max_by_key(|verdict| verdict.outcome)
    }

    fn decide_way(
        &self,
        asked: &Asked<'_>,
        facts: &Facts<'_>,
        way: Way,
        sources: &dyn Fn() -> u32,
    ) -> Option<Verdict<'_>> {
        let most = rules::most(facts, &way, &self.members)?;
        let subject = self.subject(asked, facts, way, sources);
        let mut counting = self.lists.iter().filter(|list| asked.asks(list));
        let list = counting.find(|list| list.conditions.hold(&subject))?;
        Some(Verdict { outcome: list.outcome.min(most), list })
    }

    /// What becomes of a record that was found in these ways, and what each list by itself makes of it, in the order of
    /// [`Self::lists`].
    #[must_use]
    pub fn outcomes(
        &self,
        asked: &Asked<'_>,
        facts: &Facts<'_>,
        ways: &[Way],
        sources: &dyn Fn() -> u32,
    ) -> (Option<Verdict<'_>>, Vec<Option<Outcome>>) {
        let mut verdict: Option<Verdict<'_>> = None;
        let mut each = vec![None; self.lists.len()];
        for way in ways {
            let Some(most) = rules::most(facts, way, &self.members) else { continue };
            let subject = self.subject(asked, facts, *way, sources);
            let mut is_decided = false;
            for (list, held) in self.lists.iter().zip(&mut each) {
                if !asked.asks(list) || !list.conditions.hold(&subject) {
                    continue;
                }
                let outcome = list.outcome.min(most);
                *held = (*held).max(Some(outcome));
                if !is_decided && verdict.is_none_or(|verdict| verdict.outcome <= outcome) {
                    verdict = Some(Verdict { outcome, list });
                }
                is_decided = true;
            }
        }
        (verdict, each)
    }

    fn subject<'s>(
        &'s self,
        asked: &Asked<'_>,
        facts: &'s Facts<'_>,
        way: Way,
        sources: &'s dyn Fn() -> u32,
    ) -> Subject<'s> {
        let (call_distance, now_ms) = (asked.distance, asked.now_ms);
        Subject { facts, way, members: &self.members, call_distance, now_ms, sources }
    }

    /// Why each list that is asked counts a record or does not, in the order in which they decide.
    #[must_use]
    pub fn explain(
        &self,
        asked: &Asked<'_>,
        facts: &Facts<'_>,
        ways: &[Way],
        sources: &dyn Fn() -> u32,
    ) -> Vec<Explanation<'_>> {
        let lists = self.lists.iter().filter(|list| asked.asks(list));
        let explained = lists.filter_map(|list| {
            let explained = ways.iter().map(|way| {
                let subject = self.subject(asked, facts, *way, sources);
                let unmet = list.conditions.unmet(&subject);
                let most = rules::most(facts, way, &self.members).filter(|_| unmet.is_empty());
                let rules = rules::rules(facts, way, &self.members).collect();
                let outcome = most.map(|most| list.outcome.min(most));
                Explanation { list, way: *way, outcome, unmet, rules }
            });
            // Of ways that come to the same, the one that lacks least.
            explained.max_by_key(|explained| (explained.outcome, std::cmp::Reverse(explained.unmet.len())))
        });
        explained.collect()
    }
}
