//! Matching of many values at once, for answers that name records instead of showing them.
//!
//! A value without a match, nearly every one, costs its index query and nothing else: no row is
//! read, no text is made. What counts as a match, its order and its bound are those of
//! [`Lookup::match_queries`]; a test compares the two.

use super::{Lookup, read};
use hashpact_core::health::Completeness;
use hashpact_core::verdict;
use hashpact_core::view::RecordView;
use hashpact_index::Hit;
use hashpact_protocol::api::frames::{FrameOutcome, Incomplete};
use hashpact_protocol::digest::RecordId;
use hashpact_protocol::limits::MATCHES_PER_ITEM_MAX;
use hashpact_protocol::record::Vocabulary as _;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is known about one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueMatches {
    /// Which of the values asked, from 0.
    pub position: usize,
    /// What the lists make of it.
    pub outcome: FrameOutcome,
    /// Matching records in all.
    pub total: u32,
    /// The closest of them, at most [`MATCHES_PER_ITEM_MAX`].
    pub records: Vec<NearRecord>,
}

/// One record near a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NearRecord {
    /// The record.
    pub id: RecordId,
    /// Distance between the signals.
    pub distance: u16,
    /// Code of who looked at it.
    pub review: u8,
}

impl Lookup {
    /// The values that match standing records within `radius`, in the order of `values`; a value that
    /// matches nothing is left out. Uses the calling thread and further ones: not for the async runtime.
    #[must_use]
    pub fn match_values(&self, values: &[[u8; 32]], radius: u16) -> Vec<ValueMatches> {
        let hits = self.scan(values, radius);
        let hits = hits.into_iter().enumerate().filter(|(_, hits)| !hits.is_empty());
        hits.filter_map(|(position, hits)| self.name(position, hits)).collect()
    }

    /// Why "no match" proves nothing now, if that is so.
    #[must_use]
    pub fn incomplete(&self) -> Option<Incomplete> {
        let state = read(&self.state);
        if !state.loaded {
            return Some(Incomplete::Loading);
        }
        match &state.health.completeness {
            Completeness::Complete => None,
            Completeness::Starting => Some(Incomplete::Starting),
            Completeness::Isolated => Some(Incomplete::Isolated),
            Completeness::Lagging { .. } => Some(Incomplete::Lagging),
            Completeness::Frozen { .. } => Some(Incomplete::Frozen),
        }
    }

    fn name(&self, position: usize, hits: Vec<Hit>) -> Option<ValueMatches> {
        // A record that carries several near values is one match, at its nearest.
        let mut nearest: BTreeMap<u64, u16> = BTreeMap::new();
        for hit in hits {
            let held = nearest.entry(hit.record).or_insert(hit.distance);
            *held = hit.distance.min(*held);
        }
        let mut found: Vec<(u16, Arc<RecordView>)> = self.standing(nearest);
        let outcome = verdict::outcome(found.iter().map(|(_, record)| record.as_ref()))?;
        found.sort_by_key(|(distance, record)| (*distance, record.ordinal));
        let total = u32::try_from(found.len()).unwrap_or(u32::MAX);
        let near = |(distance, record): &(u16, Arc<RecordView>)| NearRecord {
            id: record.id,
            distance: *distance,
            review: record.content.review.get().code(),
        };
        let records = found.iter().take(MATCHES_PER_ITEM_MAX).map(near).collect();
        let outcome = FrameOutcome::parse(outcome.name()).expect("every outcome has its byte");
        Some(ValueMatches { position, outcome, total, records })
    }

    /// The rows of those records that stand.
    fn standing(&self, nearest: BTreeMap<u64, u16>) -> Vec<(u16, Arc<RecordView>)> {
        let records = read(&self.records);
        let row = |(ordinal, distance): (u64, u16)| {
            let record = records.by_ordinal.get(&ordinal).filter(|record| record.stands())?;
            Some((distance, Arc::clone(record)))
        };
        nearest.into_iter().filter_map(row).collect()
    }
}
