//! The read model of models: what is listed, what is registered as benign, and how a model that is asked about compares.
//!
//! Fed with the same view changes as the other look-ups, from which it takes records of kind `model` with the values of
//! their sketches; nothing of it is on disk. Exact identifiers are found by the match index like those of pictures; what is
//! here are the registry, tiles, and what leads to a listing.
//!
//! | what | where |
//! |---|---|
//! | records and their parts, put together | [`entry`] |
//! | the indexes of tiles, and who contradicts whom | this file |
//! | bases of tiles | [`bases`] |
//! | leads and sketch matches | [`find`] |
//! | whether a listing is refused | [`refusal`] |
//!
//! Readers share a lock that is held for the length of an answer, and by the writer for one change: changes of models
//! are few. Queries are neither stored nor logged.
//!
//! SPEC §13.4.

mod bases;
mod entry;
mod find;
mod refusal;
#[cfg(test)]
mod tests;

pub use refusal::RefusedListing;

use entry::{Entry, Place, Sketches};
use hashpact_core::effect::ViewChange;
use hashpact_core::models::decision::{self, Class, Fingerprint};
use hashpact_core::models::{LeadBy, Leads, ModelStanding, Registry, Thresholds};
use hashpact_core::view::RulingChange;
use hashpact_index::{ClassBits, TileClass, TileIndex, TileSearch};
use hashpact_protocol::api::RegistryJson;
use hashpact_protocol::digest::RecordId;
use hashpact_protocol::record::{Detail, ModelRole, SignalType};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{PoisonError, RwLock};

/// The most F-bits in which a tile may differ from a base, or from one of the stop list.
pub const FAMILY_MAX_BITS: u16 = 31;
/// Comparisons that a wide search may take: a few milliseconds.
const WIDE_PAIRS_MAX: u64 = 4 << 20;
/// The same for roll-ups, of which there are few.
const ROLL_UP_PAIRS_MAX: u64 = 32 << 20;

/// What look-ups of models ask.
pub struct Models {
    state: RwLock<State>,
    thresholds: Thresholds,
    /// D-bits of listings.
    listed: TileIndex,
    /// Their roll-ups.
    roll_ups: TileIndex,
    /// D-bits of registered models.
    benign: TileIndex,
    /// F-bits of bases and of the stop list.
    bases: TileIndex,
}

#[derive(Default)]
struct State {
    /// By the place of the first record.
    entries: BTreeMap<Place, Entry>,
    /// Where each record of a model is: the place of its first.
    firsts: BTreeMap<RecordId, Place>,
    /// By the number that indexes have for it.
    numbers: BTreeMap<u64, Place>,
    number_next: u64,
    registry: Registry,
    leads: Leads,
    /// Listings that are near a registered model, with its registration and how many members registered it.
    near_benign: BTreeMap<RecordId, (RecordId, u32)>,
}

impl Models {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(thresholds: Thresholds) -> Self {
        Self {
            state: RwLock::default(),
            thresholds,
            listed: TileIndex::new(),
            roll_ups: TileIndex::new(),
            benign: TileIndex::new(),
            bases: TileIndex::new(),
        }
    }

    /// Takes what changed. Whether any of it was about models.
    pub fn apply(&self, changes: &[ViewChange]) -> bool {
        let is_new = |change: &ViewChange| {
            let detail = change.stated.as_ref().and_then(|stated| stated.content.detail.as_deref());
            matches!(detail, Some(Detail::Model(_)))
        };
        let is_known = |change: &ViewChange| {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            state.firsts.contains_key(&change.record.id)
        };
        let mut changed = false;
        for change in changes {
            if is_new(change) || (change.stated.is_none() && self.has_any() && is_known(change)) {
                self.take(change);
                changed = true;
            }
        }
        changed
    }

    fn has_any(&self) -> bool {
        !self.state.read().unwrap_or_else(PoisonError::into_inner).firsts.is_empty()
    }

    fn take(&self, change: &ViewChange) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let known = state.firsts.get(&change.record.id).copied();
        let Some(place) = Entry::place_of(change).or(known) else { return };
        let number = match state.entries.get(&place) {
            Some(entry) => entry.number,
            None => {
                state.number_next += 1;
                state.number_next
            }
        };
        state.firsts.insert(change.record.id, place);
        state.numbers.insert(number, place);
        let mut entry = state.entries.remove(&place).unwrap_or_else(|| Entry::new(number));
        let before = entry.indexed.clone();
        self.forget(&mut state, &entry);
        entry.take(change);
        self.learn(&mut state, &entry);
        entry.indexed = entry.sketches();
        self.index(&entry, &before);
        if entry.is_empty() {
            state.firsts.retain(|_, first| *first != place);
            state.numbers.remove(&number);
        } else {
            state.entries.insert(place, entry);
        }
        self.judge_near(&mut state, place);
    }

    /// Takes the exact identifiers and leads of an entry out.
    fn forget(&self, state: &mut State, entry: &Entry) {
        let Some(first) = entry.standing_first() else { return };
        state.registry.remove(&first.id);
        for (by, value) in first.leads() {
            state.leads.remove(by, &value, first.id);
        }
    }

    fn learn(&self, state: &mut State, entry: &Entry) {
        let Some(first) = entry.standing_first() else { return };
        state.registry.insert(first.id, first.statement());
        if first.role == ModelRole::Listed {
            for (by, value) in first.leads() {
                state.leads.insert(by, &value, first.id);
            }
        }
    }

    /// Brings the indexes from what they hold of an entry to what it has.
    fn index(&self, entry: &Entry, before: &Sketches) {
        let after = &entry.indexed;
        if before == after {
            return;
        }
        let number = entry.number;
        for (sketches, is_added) in [(before, false), (after, true)] {
            let change = |index: &TileIndex, record: u64, bits: Vec<ClassBits>| {
                if is_added { index.insert(record, bits) } else { index.remove(record, bits) }
            };
            match sketches.role {
                Some(ModelRole::Listed) => {
                    change(&self.listed, number, in_classes(&sketches.fingerprint));
                    change(&self.roll_ups, number, in_classes(&sketches.roll_ups));
                }
                Some(ModelRole::Base | ModelRole::Intermediate) => {
                    change(&self.benign, number, in_classes(&sketches.fingerprint));
                    for (nth, (shape, bits)) in (0u64..).zip(sketches.base_bits()) {
                        change(&self.bases, number << 32 | nth, vec![(entry::class_of(shape), bits)]);
                    }
                }
                Some(ModelRole::Stop) => {
                    change(&self.bases, number << 32 | STOP, in_classes(&sketches.fingerprint));
                }
                None => {}
            }
        }
    }

    /// Finds out anew which listings are near a benign model, as far as an entry has to do with it.
    fn judge_near(&self, state: &mut State, place: Place) {
        let mut listings = BTreeSet::new();
        let Some(entry) = state.entries.get(&place) else {
            // What is gone may have stood against any.
            listings.extend(state.near_benign.keys().filter_map(|id| state.firsts.get(id)).copied());
            return self.judge_listings(state, &listings);
        };
        if entry.indexed.role == Some(ModelRole::Listed) {
            listings.insert(place);
        } else if let Some(first) = &entry.first {
            // Another member's registration of a model counts for all registrations of it.
            let ids: Vec<_> = first.statement().ids;
            let shares = |other: &Entry| {
                other.standing_first().is_some_and(|other| other.ids.iter().any(|id| ids.contains(id)))
            };
            for other in state.entries.values().filter(|other| shares(other)) {
                let found = self.listed.candidates(&in_classes(&other.indexed.fingerprint), &self.refusal_search());
                listings.extend(found.models.keys().filter_map(|number| state.numbers.get(number)));
            }
            listings.extend(state.near_benign.keys().filter_map(|id| state.firsts.get(id)).copied());
        }
        self.judge_listings(state, &listings);
    }

    fn judge_listings(&self, state: &mut State, listings: &BTreeSet<Place>) {
        for place in listings {
            let Some(entry) = state.entries.get(place) else { continue };
            let Some(first) = entry.standing_first() else { continue };
            let id = first.id;
            match self.near_benign(state, &entry.indexed.fingerprint) {
                Some(found) => state.near_benign.insert(id, found),
                None => state.near_benign.remove(&id),
            };
        }
        let State { near_benign, registry, .. } = state;
        near_benign.retain(|id, _| registry.statement(id).is_some());
    }

    /// The doubly registered model that stands against a listing with these tiles.
    fn near_benign(&self, state: &State, fingerprint: &Fingerprint) -> Option<(RecordId, u32)> {
        let benign = self.benign_near(state, fingerprint);
        let fingerprints: Vec<&Fingerprint> =
            benign.iter().map(|(entry, _)| &*entry.indexed.fingerprint).collect();
        let (nth, _) = decision::refusal(fingerprint, &fingerprints, &self.thresholds)?;
        let (entry, members) = benign.get(nth)?;
        Some((entry.first.as_ref()?.id, *members))
    }

    /// Doubly registered models with a tile near one of these, the most such tiles first.
    fn benign_near<'s>(&self, state: &'s State, fingerprint: &Fingerprint) -> Vec<(&'s Entry, u32)> {
        let found = self.benign.candidates(&in_classes(fingerprint), &self.refusal_search());
        let mut found: Vec<(u64, u64)> = found.models.into_iter().map(|(number, tiles)| (tiles, number)).collect();
        found.sort_unstable_by_key(|(tiles, number)| (std::cmp::Reverse(*tiles), *number));
        let entries = found.into_iter().filter_map(|(_, number)| {
            let entry = state.entries.get(state.numbers.get(&number)?)?;
            let first = entry.standing_first()?;
            match state.registry.standing(&first.id)? {
                ModelStanding::Registered { members } if members >= 2 => Some((entry, members)),
                _ => None,
            }
        });
        entries.take(BENIGN_COMPARED_MAX).collect()
    }

    /// Takes other verdicts of the panel.
    pub fn hear(&self, rulings: &[RulingChange]) -> bool {
        let is_ours = |change: &&RulingChange| hashpact_core::models::registry::is_exact(change.signal.kind());
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = false;
        for change in rulings.iter().filter(is_ours) {
            state.registry.rule(change.signal.clone(), change.ruled.as_ref().map(|ruled| ruled.verdict));
            changed = true;
        }
        changed
    }

    /// Listings that members registered as benign, or that are near such a model, with the registration and how many
    /// members registered it: what they match is for review at most until the panel rules.
    #[must_use]
    pub fn conflicting(&self) -> BTreeMap<RecordId, (RecordId, u32)> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.conflicting()
    }

    /// What the registry holds.
    #[must_use]
    pub fn registry(&self) -> RegistryJson {
        self.state.read().unwrap_or_else(PoisonError::into_inner).registry_json()
    }

    fn search(&self) -> TileSearch {
        let Thresholds { same_max_bits, review_max_bits, .. } = self.thresholds;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        TileSearch {
            near_bits: same_max_bits,
            wide_bits: review_max_bits,
            wide_pairs_max: WIDE_PAIRS_MAX,
            threads,
        }
    }

    fn refusal_search(&self) -> TileSearch {
        TileSearch { wide_bits: self.thresholds.refusal_max_bits, ..self.search() }
    }
}

/// The tile number that stands for the stop list.
const STOP: u64 = u32::MAX as u64;
/// Benign models that a model is compared with at most.
const BENIGN_COMPARED_MAX: usize = 8;

impl State {
    fn conflicting(&self) -> BTreeMap<RecordId, (RecordId, u32)> {
        let mut found = BTreeMap::new();
        for (id, statement) in self.registry.statements() {
            if statement.role != ModelRole::Listed {
                continue;
            }
            let near = self.near_benign.get(id).filter(|_| !self.registry.is_upheld(id));
            if let Some(ModelStanding::Conflicting { registration, members }) = self.registry.standing(id) {
                found.insert(*id, (registration, members));
            } else if let Some(near) = near {
                found.insert(*id, *near);
            }
        }
        found
    }

    fn registry_json(&self) -> RegistryJson {
        let mut json = RegistryJson::default();
        let mut pieces = Vec::new();
        for entry in self.entries.values() {
            let Some(first) = entry.standing_first() else { continue };
            json.incomplete += u64::from(entry.parts_missing() > 0);
            let tiles = entry.indexed.fingerprint.len();
            match self.registry.standing(&first.id) {
                Some(ModelStanding::Registered { members }) => {
                    pieces.extend(entry.standing_ids());
                    if first.role == ModelRole::Stop {
                        json.stop_tiles += tiles;
                    } else {
                        json.models += 1;
                        json.doubly_registered += u64::from(members >= 2);
                        json.base_tiles += entry.indexed.numbers.len() as u64;
                    }
                }
                Some(ModelStanding::Waiting { .. }) => json.waiting += 1,
                Some(_) => {
                    json.listings += 1;
                    json.listed_tiles += tiles;
                }
                None => {}
            }
        }
        json.conflicting = self.conflicting().len() as u64;
        json.version = self.registry.version(pieces);
        json
    }
}

fn in_classes(fingerprint: &Fingerprint) -> Vec<ClassBits> {
    let class = |class: Class| match class {
        Class::Tile { rows, columns } => TileClass { kind: 0, rows, columns },
        Class::Vector => TileClass { kind: 1, rows: 0, columns: 0 },
    };
    fingerprint.iter().map(|(of, bits)| (class(of), *bits)).collect()
}

/// What leads to a record by the type of a signal.
fn lead_of(kind: SignalType) -> Option<LeadBy> {
    match kind {
        SignalType::ModelSha256 => Some(LeadBy::Sha256Prefix),
        SignalType::StBody => Some(LeadBy::StBodyPrefix),
        SignalType::ModelCrc32 => Some(LeadBy::Crc32),
        _ => None,
    }
}
