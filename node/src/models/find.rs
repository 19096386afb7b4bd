//! What identifiers lead to, and which listings sketches resemble.

use super::entry::{Entry, First};
use super::{Models, State, in_classes};
use hashpact_core::models::decision::{self, Class, Comparison, Decision, Fingerprint, Verdict};
use hashpact_core::models::{LeadBy, ModelStanding};
use hashpact_index::TileSearch;
use hashpact_protocol::api::{
    AskedFingerprint, AskedModel, ComparisonJson, ListingJson, ModelId, ModelIdType, ModelLeadJson,
    NearestBenignJson, RegisteredModelJson, SketchMatchJson,
};
use hashpact_protocol::digest::RecordId;
use hashpact_protocol::record::{IdentifierType, LabelWord, ModelRole, Vocabulary as _};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

/// Leads that an answer names at most, for each identifier.
const LEADS_MAX: usize = 16;
/// Listings that a fingerprint is compared with at most, those with the most near tiles first.
const COMPARED_MAX: usize = 32;
/// Sketch matches that an answer names at most.
const SKETCHES_MAX: usize = 16;

/// What the registry and the sketches say of a model.
#[derive(Debug, Default)]
pub struct Found {
    /// What identifiers lead to.
    pub leads: Vec<ModelLeadJson>,
    /// Listings that it resembles.
    pub sketches: Vec<SketchMatchJson>,
    /// Bases of it that the panel holds to be trained on known abuse.
    pub descent: Vec<RegisteredModelJson>,
    /// Registrations of the very model.
    pub registered: Vec<RegisteredModelJson>,
}

impl Models {
    /// What is known of a model beside exact matches. Takes tens of milliseconds with many tiles: not for the runtime.
    #[must_use]
    pub fn find(&self, asked: &AskedModel) -> Found {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let conflicting = state.conflicting();
        let leads = (0u32..).zip(&asked.ids).flat_map(|(nth, id)| {
            let found = state.leads.find(&id.bytes, &among(id));
            let listing = |(by, record): (LeadBy, RecordId)| {
                let listing = state.listing(&record, &conflicting)?;
                Some(ModelLeadJson { id: nth, by: by.name().to_owned(), listing })
            };
            found.into_iter().filter_map(listing).take(LEADS_MAX).collect::<Vec<_>>()
        });
        let whole: BTreeSet<_> = asked.ids.iter().flat_map(ModelId::signals).collect();
        let registered = state.registry.statements().filter(|(_, statement)| {
            statement.role != ModelRole::Listed && statement.ids.iter().any(|id| whole.contains(id))
        });
        let bases: BTreeSet<RecordId> = asked.fingerprints.iter().filter_map(|asked| asked.base).collect();
        Found {
            leads: leads.collect(),
            sketches: self.sketches(&state, &asked.fingerprints, &conflicting),
            descent: bases
                .iter()
                .filter(|base| state.registry.is_marked(base))
                .filter_map(|base| state.registered(base))
                .collect(),
            registered: registered.filter_map(|(id, _)| state.registered(id)).collect(),
        }
    }

    fn sketches(
        &self,
        state: &State,
        asked: &[AskedFingerprint],
        conflicting: &BTreeMap<RecordId, (RecordId, u32)>,
    ) -> Vec<SketchMatchJson> {
        // Each listing once, by the fingerprint that resembles it most.
        let mut best: BTreeMap<u64, (Decision, u32, Option<RecordId>)> = BTreeMap::new();
        for (nth, asked) in (0u32..).zip(asked) {
            let fingerprint = fingerprint(asked);
            let roll_ups = shaped(&asked.roll_ups);
            let benign = self.benign_near(state, &fingerprint);
            let others: Vec<&Fingerprint> =
                benign.iter().map(|(entry, _)| &*entry.indexed.fingerprint).collect();
            for entry in self.candidates(state, &fingerprint, &roll_ups) {
                let listed = &entry.indexed.fingerprint;
                let decision = decision::decide(listed, &fingerprint, &others, &self.thresholds);
                if decision.verdict == Verdict::Nothing
                    && decision::verdict(&decision.comparison, &self.thresholds) == Verdict::Nothing
                {
                    continue;
                }
                let registration = decision.nearest_benign.and_then(|(nth, _)| {
                    Some(benign.get(nth)?.0.first.as_ref()?.id)
                });
                let found = (decision, nth, registration);
                let held = best.entry(entry.number).or_insert(found);
                if rank(&found.0) < rank(&held.0) {
                    *held = found;
                }
            }
        }
        let mut found: Vec<_> = best.into_iter().collect();
        found.sort_by_key(|(number, (decision, ..))| (rank(decision), *number));
        let shown = found.into_iter().filter_map(|(number, (decision, nth, registration))| {
            let entry = state.entries.get(state.numbers.get(&number)?)?;
            let listing = state.listing(&entry.standing_first()?.id, conflicting)?;
            let nearest_benign = decision.nearest_benign.zip(registration);
            Some(SketchMatchJson {
                listing,
                verdict: decision.verdict.name().to_owned(),
                fingerprint: nth,
                evidence: evidence(&decision.comparison),
                nearest_benign: nearest_benign.map(|((_, comparison), record)| NearestBenignJson {
                    record: record.to_hex(),
                    evidence: evidence(&comparison),
                }),
                parts_missing: entry.parts_missing(),
            })
        });
        shown.take(SKETCHES_MAX).collect()
    }

    /// Listings with the most tiles near those of a fingerprint, and those with a roll-up near.
    fn candidates<'s>(
        &self,
        state: &'s State,
        fingerprint: &Fingerprint,
        roll_ups: &Fingerprint,
    ) -> Vec<&'s Entry> {
        let search = self.search();
        let mut models = self.listed.candidates(&in_classes(fingerprint), &search).models;
        let wide = TileSearch { wide_pairs_max: super::ROLL_UP_PAIRS_MAX, ..search };
        for (number, count) in self.roll_ups.candidates(&in_classes(roll_ups), &wide).models {
            *models.entry(number).or_default() += count;
        }
        let mut models: Vec<(u64, u64)> = models.into_iter().collect();
        models.sort_unstable_by_key(|(number, tiles)| (Reverse(*tiles), *number));
        let entries = models.into_iter().filter_map(|(number, _)| state.entries.get(state.numbers.get(&number)?));
        entries.take(COMPARED_MAX).collect()
    }
}

/// The better match first: by verdict, then by what the comparison alone would be.
fn rank(decision: &Decision) -> (Reverse<Verdict>, u64) {
    (Reverse(decision.verdict), decision.comparison.mean_bits_hundredths())
}

/// In what an identifier is looked up as a lead. Whole digests are matched exactly elsewhere, and lead by claims alone.
fn among(id: &ModelId) -> Vec<LeadBy> {
    use IdentifierType as Type;
    use LeadBy::{AutoV1, Claimed, Crc32, Sha256Prefix, StBodyPrefix};
    let mut among = match (id.id_type, id.bytes.len()) {
        (_, 32) => Vec::new(),
        (Some(ModelIdType::Known(Type::Crc32)), _) => vec![Crc32],
        (Some(ModelIdType::Known(Type::AutoV1)), _) => vec![AutoV1],
        (Some(ModelIdType::Known(Type::Sha256 | Type::AutoV2)), 4 | 5) => vec![Sha256Prefix],
        (Some(ModelIdType::Known(Type::Blake3)), _) => Vec::new(),
        // Of twelve digits nobody knows which they are of, whatever they are called.
        (_, 6) => vec![Sha256Prefix, StBodyPrefix],
        (Some(ModelIdType::Known(Type::StBody)), _) => vec![StBodyPrefix],
        (_, 4) => vec![Sha256Prefix, StBodyPrefix, AutoV1, Crc32],
        _ => vec![Sha256Prefix, StBodyPrefix],
    };
    among.push(Claimed);
    among
}

fn shaped(bits: &[hashpact_protocol::api::ShapedBits]) -> Fingerprint {
    let class = |shape: &hashpact_protocol::record::TileShape| Class::Tile {
        rows: shape.rows.into(),
        columns: shape.columns.into(),
    };
    bits.iter().map(|(shape, bits)| (class(shape), *bits)).collect()
}

fn fingerprint(asked: &AskedFingerprint) -> Fingerprint {
    let tiles = shaped(&asked.tiles);
    let vectors = asked.vectors.iter().map(|bits| (Class::Vector, *bits));
    tiles.iter().map(|(class, bits)| (class, *bits)).chain(vectors).collect()
}

fn evidence(comparison: &Comparison) -> ComparisonJson {
    ComparisonJson {
        listed: comparison.listed,
        pairs: comparison.pairs,
        mean_bits_hundredths: comparison.mean_bits_hundredths(),
        near: comparison.near,
        least_bits: comparison.least_bits.into(),
        most_bits: comparison.most_bits.into(),
        coverage_percent: comparison.coverage_percent(),
    }
}

/// The word of a label; of one that this version does not know, what it reads as.
fn word<T: LabelWord>(label: hashpact_protocol::record::Label<T>) -> String {
    label.get().name().to_owned()
}

impl State {
    fn first(&self, id: &RecordId) -> Option<&First> {
        let entry = self.entries.get(self.firsts.get(id)?)?;
        entry.standing_first().filter(|first| first.id == *id)
    }

    fn listing(
        &self,
        id: &RecordId,
        conflicting: &BTreeMap<RecordId, (RecordId, u32)>,
    ) -> Option<ListingJson> {
        let first = self.first(id).filter(|first| first.role == ModelRole::Listed)?;
        let status = if conflicting.contains_key(id) { "conflicting" } else { first.status.name() };
        Some(ListingJson {
            record: id.to_hex(),
            member: first.member.as_str().to_owned(),
            status: status.to_owned(),
            form: word(first.form),
            review: word(first.review),
        })
    }

    /// A registration that counts, as answers show it.
    pub(super) fn registered(&self, id: &RecordId) -> Option<RegisteredModelJson> {
        let first = self.first(id)?;
        let Some(ModelStanding::Registered { members }) = self.registry.standing(id) else { return None };
        Some(RegisteredModelJson {
            record: id.to_hex(),
            member: first.member.as_str().to_owned(),
            role: first.role.name().to_owned(),
            members,
            family: word(first.family),
            trained_on_known_csam: self.registry.is_marked(id),
        })
    }
}
