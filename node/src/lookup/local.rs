//! What this node's operator decided, as look-ups need it: one handle for a request, replaced as a whole.
//!
//! Lists, mutes and negative lists come from [`crate::lists`]; what is a flood is found here, because every change of
//! what stands passes by. None of it is in the index: a changed list takes effect with the next look-up.

use super::news::FeedNews;
use super::rows::Rows;
use super::{Lookup, read, write};
use hashpact_core::effect::ViewChange;
use hashpact_core::policy::{Decision, Flood, FloodEntry, FloodId, FloodKind, Flooded, Floods, Policy};
use hashpact_core::view::{Author, Reach, Status, StatusReason, reach};
use hashpact_index::{Change, MatchIndex};
use hashpact_protocol::digest::{LogId, hex_encode, sha256};
use hashpact_protocol::record::{Signal, SignalType};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The operator's decisions.
#[derive(Clone)]
pub struct Local {
    /// Lists, and what is known about members.
    pub policy: Arc<Policy>,
    /// What is known to be benign.
    pub negatives: Arc<Vec<Arc<NegativeList>>>,
    /// Changes with what is decided; empty while nothing is. Part of the name of the view.
    pub name: Arc<str>,
}

impl Default for Local {
    fn default() -> Self {
        Self { policy: Arc::default(), negatives: Arc::default(), name: "".into() }
    }
}

/// Signals that are known to be benign, searched within a radius of their own.
pub struct NegativeList {
    /// Its name.
    pub name: String,
    /// Largest distance of PDQ values.
    pub radius: u16,
    /// Signals in it.
    pub count: usize,
    /// Digest of signals and radius.
    pub digest: String,
    index: MatchIndex,
}

impl NegativeList {
    /// A list of these signals.
    #[must_use]
    pub fn new(name: &str, radius: u16, signals: &[Signal]) -> Self {
        let index = MatchIndex::new();
        index.apply(signals.iter().map(|signal| insertion(signal, 0)));
        let mut bytes = radius.to_be_bytes().to_vec();
        for signal in signals {
            bytes.push(signal.kind().code());
            bytes.extend(signal.value());
        }
        let digest = hex_encode(&sha256(&[&bytes])[..8]);
        Self { name: name.to_owned(), radius, count: signals.len(), digest, index }
    }

    /// How far the nearest signal of the list is, if one is within its radius.
    #[must_use]
    pub fn nearest(&self, kind: SignalType, value: &[u8]) -> Option<u16> {
        if !self.index.query_exact(kind.code(), value).is_empty() {
            return Some(0);
        }
        let value = value.try_into().ok().filter(|_| kind == SignalType::Pdq)?;
        self.index.query_hamming(value, self.radius).iter().map(|hit| hit.distance).min()
    }
}

/// A change that makes a signal found as [`reach`] says.
fn insertion(signal: &Signal, record: u64) -> Change<'_> {
    match reach(signal) {
        Reach::Near(value) => Change::InsertHamming { value, record },
        Reach::Equal => Change::InsertExact { kind: signal.kind().code(), value: signal.value(), record },
    }
}

/// Floods, and the records that their authors withdrew in one, which are found beside the index.
#[derive(Default)]
pub(super) struct FloodState {
    floods: Floods,
    /// Records whose withdrawal does not count here, as [`Self::index`] holds them.
    withheld: BTreeSet<u64>,
    index: Arc<MatchIndex>,
    /// Signals of withheld records whose payload is sealed: rows hold nothing of them.
    sealed: BTreeMap<u64, Vec<Signal>>,
    /// Records that somebody else than their author ordered to be erased.
    ordered: BTreeSet<u64>,
    /// Whether what is withheld may be another set than before.
    changed: bool,
    /// Floods that nobody was told of yet.
    news: Vec<FloodId>,
}

impl FloodState {
    /// What of a flood a record is.
    pub(super) fn of(&self, number: u64, log: &LogId, index: u64, status: Status) -> Option<Flooded> {
        if matches!(status, Status::Retracted | Status::Sealed) && self.withheld.contains(&number) {
            return Some(Flooded::Withdrawn);
        }
        self.floods.contribution(log, index)
    }

    /// Whether a record counts although its author withdrew it.
    pub(super) fn withholds(&self, number: u64) -> bool {
        self.withheld.contains(&number)
    }

    /// Notes records that were stated before this start, and are not read again: leaf index and time of each.
    pub(super) fn restore(
        &mut self,
        author: &Author,
        records: impl Iterator<Item = (u64, u64)>,
        now_ms: u64,
    ) {
        let (kind, member, log) = (FloodKind::Contributions, &author.member, author.line);
        let mut note = |(first, time_ms), count, last| {
            let entry = FloodEntry { kind, member, log, index: first, time_ms, withdrawn: None };
            self.floods.note_contributions(&entry, count, last, now_ms);
        };
        // Hour, first, count and last of records that follow one another within an hour.
        let mut run: Option<(u64, (u64, u64), u64, u64)> = None;
        for (index, time_ms) in records {
            let hour = Floods::hour(time_ms, now_ms);
            if let Some((of, _, count, last)) = &mut run
                && *of == hour
            {
                (*count, *last) = (*count + 1, index);
            } else if let Some((_, first, count, last)) = run.replace((hour, (index, time_ms), 1, index)) {
                note(first, count, last);
            }
        }
        if let Some((_, first, count, last)) = run {
            note(first, count, last);
        }
    }

    /// Notes what a change of the view says about its member.
    pub(super) fn note(&mut self, number: u64, change: &ViewChange, now_ms: u64) {
        let known = &change.record;
        let member = &known.author.member;
        let (log, index) = (known.author.line, known.index);
        if let Some(stated) = &change.stated {
            let (kind, time_ms) = (FloodKind::Contributions, stated.time_ms);
            self.floods.note(&FloodEntry { kind, member, log, index, time_ms, withdrawn: None }, now_ms);
        }
        let (entry, time_ms, by, is_order) = match &known.standing.reason {
            Some(StatusReason::RetractedBy { entry, time_ms, member, .. }) => (entry, time_ms, member, false),
            Some(StatusReason::OrderedBy { entry, time_ms, member, .. }) => (entry, time_ms, member, true),
            _ => return,
        };
        // What an erasure authority orders is sealed at once, however much it is. What a steward retracts is counted as
        // the steward's.
        if is_order && by != member {
            self.changed |= self.ordered.insert(number);
        } else {
            let (kind, withdrawn, time_ms) = (FloodKind::Withdrawals, Some(number), *time_ms);
            let entry =
                FloodEntry { kind, member: by, log: entry.log, index: entry.index, time_ms, withdrawn };
            self.floods.note(&entry, now_ms);
            self.changed = true;
        }
    }

    /// A record's payload is sealed or gone.
    pub(super) fn blanked(&mut self, number: u64) {
        self.changed |= self.withheld.contains(&number);
    }

    /// Looks for floods among what was noted, and brings the index beside the main one to what is withheld now. What
    /// this means for records that were known before.
    fn settle(&mut self, rows: &Rows) -> Vec<FeedNews> {
        let found = self.floods.settle();
        if found.is_empty() && !self.changed {
            return Vec::new();
        }
        let contributions = found.iter().filter(|id| id.kind == FloodKind::Contributions);
        let mut news: Vec<FeedNews> = contributions
            .filter_map(|id| Some(FeedNews::Flood { flood: self.floods.get(id)?.clone(), before: None }))
            .collect();
        self.news.extend(found);
        self.changed = false;
        let claimed = self.floods.withheld();
        self.sealed.retain(|number, _| claimed.contains(number) && has_status(rows, *number, Status::Sealed));
        let is_kept =
            |number: &u64| has_status(rows, *number, Status::Retracted) || self.sealed.contains_key(number);
        let wanted = claimed.into_iter().filter(|number| !self.ordered.contains(number));
        let wanted: BTreeSet<u64> = wanted.filter(is_kept).collect();
        let mut added: Vec<u64> = wanted.difference(&self.withheld).copied().collect();
        let removed: Vec<u64> = self.withheld.difference(&wanted).copied().collect();
        if !added.is_empty() || !removed.is_empty() {
            news.push(FeedNews::Withheld { added: added.clone(), removed });
        }
        if !self.withheld.is_subset(&wanted) {
            // Built anew: this is rare, and a value that is let go must leave no trace.
            self.index = Arc::default();
            added = wanted.iter().copied().collect();
        }
        for number in added {
            let of_row = || rows.get(number).map_or_else(Vec::new, |record| record.signals().collect());
            let signals = self.sealed.get(&number).cloned().unwrap_or_else(of_row);
            self.index.apply(signals.iter().map(|signal| insertion(signal, number)));
        }
        self.withheld = wanted;
        news
    }
}

fn has_status(rows: &Rows, number: u64, status: Status) -> bool {
    rows.get(number).is_some_and(|record| record.status() == status)
}

impl Lookup {
    /// Takes what the operator decided, for all look-ups from now on.
    pub fn set_local(&self, local: Local) {
        write(&self.state).local_name = Arc::clone(&local.name);
        let mut held = write(&self.local);
        *held = local.clone();
        self.tell([FeedNews::Local(Box::new(local))]);
    }

    /// What the operator decided.
    #[must_use]
    pub fn local(&self) -> Local {
        read(&self.local).clone()
    }

    /// Begins to look for floods, with those that were found before. Before any entry is applied.
    pub fn set_floods(&self, floods: Floods) {
        write(&self.floods).floods = floods;
    }

    /// Looks for floods among what was applied. Before the logs are replayed there are none: a member's usual days
    /// may still be missing.
    pub(super) fn find_floods(&self) {
        if self.is_loaded() {
            let rows = read(&self.rows);
            self.settle(&mut write(&self.floods), &rows);
        }
    }

    fn settle(&self, floods: &mut FloodState, rows: &Rows) {
        let news = floods.settle(rows);
        self.tell(news);
        self.withholds.store(!floods.withheld.is_empty(), Ordering::Release);
    }

    /// The index of what is found beside the main one, if there is anything.
    pub(super) fn withheld_index(&self) -> Option<Arc<MatchIndex>> {
        self.withholds.load(Ordering::Acquire).then(|| Arc::clone(&read(&self.floods).index))
    }

    /// Floods that were found since this was asked last.
    #[must_use]
    pub fn new_floods(&self) -> Vec<Flood> {
        let mut state = write(&self.floods);
        let news = std::mem::take(&mut state.news);
        news.iter().filter_map(|id| state.floods.get(id).cloned()).collect()
    }

    /// Sealed records that should go on matching, because their author ordered their erasure in a flood, and whose
    /// signals are not here: number, author and leaf index.
    #[must_use]
    pub fn sealed_in_floods(&self) -> Vec<(u64, Author, u64)> {
        let rows = read(&self.rows);
        let state = read(&self.floods);
        let lacking = state
            .floods
            .withheld()
            .into_iter()
            .filter(|number| !state.sealed.contains_key(number) && !state.ordered.contains(number));
        let sealed = lacking.filter(|number| has_status(&rows, *number, Status::Sealed));
        let place = |number| rows.get(number).map(|record| (number, record.author.clone(), record.index));
        // What is kept beside a forked log is not read for this: its author is not believed either way.
        sealed.filter_map(place).filter(|(_, author, _)| !author.is_beside()).collect()
    }

    /// Takes the signals of such records, as their sealed payloads state them.
    pub fn withhold_sealed(&self, signals: Vec<(u64, Vec<Signal>)>) {
        let rows = read(&self.rows);
        let mut state = write(&self.floods);
        state.sealed.extend(signals);
        state.changed = true;
        self.settle(&mut state, &rows);
    }

    /// All floods that were found.
    #[must_use]
    pub fn floods(&self) -> Vec<Flood> {
        read(&self.floods).floods.found().cloned().collect()
    }

    /// Floods that wait for a decision.
    #[must_use]
    pub fn floods_waiting(&self) -> usize {
        read(&self.floods).floods.waiting()
    }

    /// Takes a decision about a flood; false if there is none of this name.
    pub fn decide_flood(&self, id: &FloodId, decision: Decision) -> bool {
        let rows = read(&self.rows);
        let mut state = write(&self.floods);
        let before = state.floods.get(id).map(|flood| flood.decision);
        let known = state.floods.decide(id, decision);
        state.changed = true;
        let flood = state.floods.get(id).filter(|flood| flood.id.kind == FloodKind::Contributions);
        self.tell(flood.map(|flood| FeedNews::Flood { flood: flood.clone(), before }));
        self.settle(&mut state, &rows);
        known
    }
}
