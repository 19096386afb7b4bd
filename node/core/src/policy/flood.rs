//! Floods: a member that states, or withdraws, far more in an hour than it ever does in a day.
//!
//! An hour is a flood if it holds more entries than a floor that the operator chooses, and more than the median of the
//! member's own daily counts over the 28 days before. What is in a flood waits for a decision: contributions match at
//! most as `review`; withdrawn records go on matching as `review`, although they are served no longer. Days without
//! entries count as 0, so a newcomer has the floor alone, and one large import does not make the next one usual.
//!
//! **Clock.** An entry belongs to the hour of its leaf time, which is its author's claim, but never to one later than
//! when this node folded it: who dates entries ahead lands in the present. Who dates them back can spread them over the
//! hours since its log's last entry, the floor for each and no more. Arrival alone would make a flood of every node
//! that catches up. Which hours are floods follows from the set of entries, whatever their order; floods that were
//! found are kept by the caller besides, with what was decided.
//!
//! Of a member, the newest [`HOURS_KEPT`] hours that hold anything are known; floods older than these are not found
//! any more. Nothing here makes an exception for incidents.

use super::facts::Flooded;
use hashpact_protocol::digest::LogId;
use hashpact_protocol::roster::MemberId;
use std::collections::{BTreeMap, BTreeSet};

const HOUR_MS: u64 = 3_600_000;
const HOURS_PER_DAY: u64 = 24;
/// Days before a flood whose median is what the member usually does.
const NORM_DAYS: u64 = 28;
/// Hours with entries that are known of each member and kind: two months of uninterrupted work.
const HOURS_KEPT: usize = 1_500;

/// What a member does too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FloodKind {
    /// Records.
    Contributions,
    /// Retractions, and erasures by the author.
    Withdrawals,
}

impl FloodKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Contributions, Self::Withdrawals];

    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Contributions => "contributions",
            Self::Withdrawals => "withdrawals",
        }
    }
}

/// Names a flood: what, whose, and in which hour since 1970. As text `contributions.acme.490272`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FloodId {
    /// What.
    pub kind: FloodKind,
    /// Whose.
    pub member: MemberId,
    /// Hours since 1970.
    pub hour: u64,
}

impl FloodId {
    /// Reads the text form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let (kind, member, hour) = (parts.next()?, parts.next()?, parts.next()?);
        let kind = FloodKind::ALL.into_iter().find(|known| known.name() == kind)?;
        let id = Self { kind, member: MemberId::parse(member).ok()?, hour: hour.parse().ok()? };
        // One spelling: no fourth part, no sign, no zeros in front.
        (id.to_string() == text).then_some(id)
    }

    /// When the hour began, in milliseconds since 1970.
    #[must_use]
    pub const fn from_ms(&self) -> u64 {
        self.hour.saturating_mul(HOUR_MS)
    }
}

impl std::fmt::Display for FloodId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.kind.name(), self.member, self.hour)
    }
}

/// What was decided about a flood.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Decision {
    /// Nothing yet.
    #[default]
    Waiting,
    /// It is as it should be: contributions count, withdrawals are withdrawn.
    Accepted,
    /// Contributions do not count here; what was withdrawn goes on matching as `review`.
    Rejected,
}

impl Decision {
    /// Every decision.
    pub const ALL: [Self; 3] = [Self::Waiting, Self::Accepted, Self::Rejected];

    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
        }
    }
}

/// The entries of a flood: of each log, the first and the last leaf index. What lies between counts as well.
pub type Ranges = BTreeMap<LogId, (u64, u64)>;

/// A flood that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flood {
    /// Its name.
    pub id: FloodId,
    /// Entries in it.
    pub count: u64,
    /// What the member usually does in a day.
    pub norm_per_day: u64,
    /// Where its entries are.
    pub ranges: Ranges,
    /// What was decided.
    pub decision: Decision,
}

/// How much a member may do in an hour whatever it did before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FloodLimits {
    /// Records.
    pub contributions_per_hour: u64,
    /// Retractions and erasures.
    pub withdrawals_per_hour: u64,
}

impl Default for FloodLimits {
    fn default() -> Self {
        Self { contributions_per_hour: 10_000, withdrawals_per_hour: 1_000 }
    }
}

impl FloodLimits {
    const fn floor(&self, kind: FloodKind) -> u64 {
        match kind {
            FloodKind::Contributions => self.contributions_per_hour,
            FloodKind::Withdrawals => self.withdrawals_per_hour,
        }
    }
}

/// One entry that may be part of a flood.
#[derive(Debug, Clone, Copy)]
pub struct FloodEntry<'a> {
    /// What it does.
    pub kind: FloodKind,
    /// Its author.
    pub member: &'a MemberId,
    /// Its log.
    pub log: LogId,
    /// Its leaf index.
    pub index: u64,
    /// Its leaf time.
    pub time_ms: u64,
    /// Number of the record that it withdraws; of a contribution, nothing.
    pub withdrawn: Option<u64>,
}

#[derive(Debug, Clone, Default)]
struct Bucket {
    count: u64,
    ranges: Ranges,
    withdrawn: BTreeSet<u64>,
}

type Hours = BTreeMap<u64, Bucket>;

/// What members do, by the hour, and which hours are floods.
#[derive(Debug, Clone, Default)]
pub struct Floods {
    limits: FloodLimits,
    hours: BTreeMap<MemberId, [Hours; 2]>,
    found: BTreeMap<FloodId, Flood>,
    /// Records that entries of a flood withdraw, wherever their hour is counted now.
    withdrawn: BTreeMap<FloodId, BTreeSet<u64>>,
    /// Hours over the floor that are not looked at yet.
    suspects: BTreeSet<FloodId>,
}

impl Floods {
    /// Nothing yet, under these limits, but floods that were found before.
    #[must_use]
    pub fn new(limits: FloodLimits, found: impl IntoIterator<Item = Flood>) -> Self {
        let found = found.into_iter().map(|flood| (flood.id.clone(), flood)).collect();
        Self { limits, found, ..Self::default() }
    }

    /// Takes an entry that was folded at `now_ms`. The caller takes each contribution once; a withdrawal may come again.
    pub fn note(&mut self, entry: &FloodEntry<'_>, now_ms: u64) {
        self.note_withdrawn(entry);
        self.count(entry, 1, entry.index, now_ms);
    }

    /// Takes so many contributions of one hour and one log, from the entry to a last leaf index: what single ones come to.
    pub fn note_contributions(&mut self, first: &FloodEntry<'_>, count: u64, last: u64, now_ms: u64) {
        self.count(first, count, last, now_ms);
    }

    /// The hour that an entry is counted in.
    #[must_use]
    pub fn hour(time_ms: u64, now_ms: u64) -> u64 {
        time_ms.min(now_ms) / HOUR_MS
    }

    fn count(&mut self, entry: &FloodEntry<'_>, count: u64, last: u64, now_ms: u64) {
        let FloodEntry { kind, member, log, index, time_ms, withdrawn } = *entry;
        let hour = Self::hour(time_ms, now_ms);
        if !self.hours.contains_key(member) {
            self.hours.insert(member.clone(), <[Hours; 2]>::default());
        }
        let Some([contributions, withdrawals]) = self.hours.get_mut(member) else { return };
        let hours = match kind {
            FloodKind::Contributions => contributions,
            FloodKind::Withdrawals => withdrawals,
        };
        let bucket = hours.entry(hour).or_default();
        if withdrawn.is_some_and(|number| !bucket.withdrawn.insert(number)) {
            return;
        }
        bucket.count += count;
        widen(&mut bucket.ranges, log, index);
        widen(&mut bucket.ranges, log, last);
        if bucket.count > self.limits.floor(kind) {
            let id = FloodId { kind, member: member.clone(), hour };
            match self.found.get_mut(&id) {
                Some(flood) => {
                    flood.count = flood.count.max(bucket.count);
                    widen(&mut flood.ranges, log, index);
                    widen(&mut flood.ranges, log, last);
                }
                None => _ = self.suspects.insert(id),
            }
        }
        if hours.len() > HOURS_KEPT {
            hours.pop_first();
        }
    }

    /// An entry that was dated ahead is counted in another hour after a restart; its flood still holds it.
    fn note_withdrawn(&mut self, entry: &FloodEntry<'_>) {
        let Some(number) = entry.withdrawn else { return };
        let covers = |flood: &&Flood| {
            flood.id.kind == entry.kind && is_covered(&flood.ranges, &entry.log, entry.index)
        };
        for flood in self.found.values().filter(covers) {
            self.withdrawn.entry(flood.id.clone()).or_default().insert(number);
        }
    }

    fn hours(&self, id: &FloodId) -> Option<&Hours> {
        let [contributions, withdrawals] = self.hours.get(&id.member)?;
        Some(match id.kind {
            FloodKind::Contributions => contributions,
            FloodKind::Withdrawals => withdrawals,
        })
    }

    /// Looks at the hours that may be floods; the names of those that are. Asked when the logs are folded as far as
    /// they are held: before, a member's usual days may still be missing.
    pub fn settle(&mut self) -> Vec<FloodId> {
        let mut news = Vec::new();
        for id in std::mem::take(&mut self.suspects) {
            let Some(flood) = self.judge(&id).filter(|_| !self.found.contains_key(&id)) else { continue };
            self.found.insert(id.clone(), flood);
            news.push(id);
        }
        news
    }

    fn judge(&self, id: &FloodId) -> Option<Flood> {
        let hours = self.hours(id)?;
        let Bucket { count, ranges, .. } = hours.get(&id.hour)?;
        let norm_per_day = norm_per_day(hours, id.hour);
        let is_flood = *count > self.limits.floor(id.kind).max(norm_per_day);
        let flood = || Flood {
            id: id.clone(),
            count: *count,
            norm_per_day,
            ranges: ranges.clone(),
            decision: Decision::Waiting,
        };
        is_flood.then(flood)
    }

    /// All floods that were found.
    pub fn found(&self) -> impl Iterator<Item = &Flood> {
        self.found.values()
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, id: &FloodId) -> Option<&Flood> {
        self.found.get(id)
    }

    /// Takes a decision, which may be another one than before; false if there is no such flood.
    pub fn decide(&mut self, id: &FloodId, decision: Decision) -> bool {
        let flood = self.found.get_mut(id);
        flood.is_some_and(|flood| {
            flood.decision = decision;
            true
        })
    }

    /// How many floods wait for a decision.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.found.values().filter(|flood| flood.decision == Decision::Waiting).count()
    }

    /// Whether the record at this place came in a flood that is not accepted.
    #[must_use]
    pub fn contribution(&self, log: &LogId, index: u64) -> Option<Flooded> {
        let covers = |flood: &&Flood| {
            flood.id.kind == FloodKind::Contributions && is_covered(&flood.ranges, log, index)
        };
        let decisions = self.found.values().filter(covers).map(|flood| flood.decision);
        let flooded = decisions.filter_map(|decision| match decision {
            Decision::Waiting => Some(Flooded::Waiting),
            Decision::Rejected => Some(Flooded::Rejected),
            Decision::Accepted => None,
        });
        // Where two overlap, what holds back more.
        flooded.max_by_key(|flooded| *flooded == Flooded::Rejected)
    }

    /// Numbers of the records whose withdrawal does not count here: of floods that are not accepted.
    #[must_use]
    pub fn withheld(&self) -> BTreeSet<u64> {
        let floods = self
            .found
            .values()
            .filter(|flood| flood.id.kind == FloodKind::Withdrawals && flood.decision != Decision::Accepted);
        floods.flat_map(|flood| self.withdrawn(&flood.id)).collect()
    }

    fn withdrawn(&self, id: &FloodId) -> impl Iterator<Item = u64> {
        let bucket = self.hours(id).and_then(|hours| hours.get(&id.hour));
        let counted = bucket.into_iter().flat_map(|bucket| &bucket.withdrawn);
        counted.chain(self.withdrawn.get(id).into_iter().flatten()).copied()
    }
}

fn is_covered(ranges: &Ranges, log: &LogId, index: u64) -> bool {
    ranges.get(log).is_some_and(|(first, last)| (*first..=*last).contains(&index))
}

fn widen(ranges: &mut Ranges, log: LogId, index: u64) {
    let range = ranges.entry(log).or_insert((index, index));
    *range = (range.0.min(index), range.1.max(index));
}

/// The median of the daily counts over the days before an hour's day.
fn norm_per_day(hours: &Hours, hour: u64) -> u64 {
    let day = hour / HOURS_PER_DAY;
    let first = day.saturating_sub(NORM_DAYS);
    let mut days: BTreeMap<u64, u64> = (first..day).map(|day| (day, 0)).collect();
    for (hour, bucket) in hours.range(first * HOURS_PER_DAY..day * HOURS_PER_DAY) {
        *days.entry(hour / HOURS_PER_DAY).or_default() += bucket.count;
    }
    let mut counts: Vec<u64> = days.into_values().collect();
    counts.sort_unstable();
    counts.get(counts.len() / 2).copied().unwrap_or(0)
}
