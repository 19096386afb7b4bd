//! Matching of many values at once, for answers that name records instead of showing them.
//!
//! A value without a match, nearly every one, costs its index query and nothing else: no row is
//! read, no text is made. What counts as a match, its order and its bound are those of
//! [`Lookup::match_queries`]; a test compares the two.

use super::{Lookup, Near, NearRecord, Question, read};
use hashpact_core::health::Completeness;
use hashpact_protocol::api::frames::{FrameOutcome, Incomplete};
use hashpact_protocol::digest::RecordId;
use hashpact_protocol::record::Vocabulary as _;

/// What is known about one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueMatches {
    /// Which of the values asked, from 0.
    pub position: usize,
    /// What the lists make of it.
    pub outcome: FrameOutcome,
    /// Matching records in all.
    pub total: u32,
    /// The closest of them, at most [`MATCHES_PER_ITEM_MAX`](hashpact_protocol::limits::MATCHES_PER_ITEM_MAX).
    pub records: Vec<NamedRecord>,
}

/// One record near a value, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedRecord {
    /// The record.
    pub id: RecordId,
    /// Distance between the signals.
    pub distance: u16,
    /// Code of who looked at it.
    pub review: u8,
}

impl Lookup {
    /// The values that match records that lists count, in the order of `values`; a value
    /// that matches nothing is left out. Works on the caller's thread and further ones: not for the
    /// async runtime.
    #[must_use]
    pub fn match_values(&self, values: &[[u8; 32]], question: &Question<'_>) -> Vec<ValueMatches> {
        let near = self.near(values, question).into_iter();
        near.map(|(position, near)| name(position, &near)).collect()
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
}

/// What one value's records come to.
fn name(position: usize, near: &Near) -> ValueMatches {
    let named = |(distance, record): &NearRecord| NamedRecord {
        id: record.known.id,
        distance: *distance,
        review: record.stated.content.review.get().code(),
    };
    ValueMatches {
        position,
        outcome: FrameOutcome::parse(near.outcome.name()).expect("every outcome has its byte"),
        total: u32::try_from(near.total).unwrap_or(u32::MAX),
        records: near.closest.iter().map(named).collect(),
    }
}
