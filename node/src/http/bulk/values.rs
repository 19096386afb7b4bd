//! Bulk look-ups of 32-byte PDQ values, answered in binary frames.

use super::{Form, Part, Totals};
use crate::http::ApiError;
use crate::service::{BulkState, MatchAsk, Service};
use axum::http::StatusCode;
use hashpact_protocol::api::frames::{BrokenFrame, BrokenOff, EndFrame, Frame, FrameHeader, MatchFrame};
use hashpact_protocol::api::{BULK_ITEMS_MAX, BULK_MATCHES_TYPE, BULK_VALUE_BYTES};
use hashpact_protocol::record::Vocabulary as _;

/// The form, what is asked, and the radius when the answer began.
#[derive(Clone)]
pub(super) struct Values {
    ask: MatchAsk,
    radius: u16,
}

impl Values {
    pub(super) fn new(ask: MatchAsk, radius: u16) -> Self {
        Self { ask, radius }
    }

    /// Refuses a body whose announced length is that of no row of values.
    pub(super) fn check_length(&self, length: Option<u64>) -> Result<(), ApiError> {
        let Some(length) = length else { return Ok(()) };
        let (values, over) = (length / BULK_VALUE_BYTES as u64, length % BULK_VALUE_BYTES as u64);
        if over != 0 {
            return Err(truncated(values, over));
        }
        if values > BULK_ITEMS_MAX {
            let message = format!("{values} values in one request, at most {BULK_ITEMS_MAX} are allowed");
            return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many_items", message));
        }
        Ok(())
    }
}

fn truncated(values: u64, over: u64) -> ApiError {
    let message = format!(
        "after {values} values of {BULK_VALUE_BYTES} bytes, the body ends with {over} bytes of one more"
    );
    ApiError::bad_request(BrokenOff::TruncatedValue.name(), message)
}

/// A count that the request's bound keeps within 32 bits.
fn number(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl Form for Values {
    const ANSWER_TYPE: &'static str = BULK_MATCHES_TYPE;
    // Larger parts share more of what is read of the index, but the answer of one is in memory: 350 MB if every value
    // matches as many records as are told.
    const PART_ITEMS_MAX: usize = 73_728;
    const HELD_MAX_BYTES: usize = Self::PART_ITEMS_MAX * BULK_VALUE_BYTES;

    fn whole(&self, bytes: &[u8], items_max: usize, _ended: bool) -> (usize, usize) {
        let items = (bytes.len() / BULK_VALUE_BYTES).min(items_max);
        (items * BULK_VALUE_BYTES, items)
    }

    fn answer(&self, service: &Service, bytes: &[u8], before: &Totals) -> Part {
        // Before the look-up: what is true then and not after it must not be claimed.
        let state = service.bulk_state();
        let (values, _) = bytes.as_chunks::<BULK_VALUE_BYTES>();
        let found = service.match_values(values, &self.ask);
        let mut answer = Vec::new();
        for value in &found {
            for record in &value.records {
                let frame = MatchFrame {
                    item: number(before.items + value.position as u64),
                    total: value.total,
                    distance: record.distance,
                    outcome: value.outcome,
                    review: record.review,
                    record: record.id,
                };
                answer.extend_from_slice(&Frame::Match(frame).encode());
            }
        }
        let (items, matched) = (values.len() as u64, found.len() as u64);
        Part { answer, items, lines: 0, matched, state, fault: None }
    }

    fn head(&self, state: &BulkState) -> Result<Vec<u8>, ApiError> {
        let header = FrameHeader {
            pdq_distance: self.radius,
            roster: state.as_of.roster,
            view: state.as_of.view.clone(),
        };
        header.encode().map(Vec::from).map_err(|error| {
            tracing::error!(%error, "the header of a bulk answer cannot be written");
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the answer could not be written")
        })
    }

    fn end(&self, totals: &Totals, state: &BulkState) -> Vec<u8> {
        let end = EndFrame {
            items: number(totals.items),
            matched: number(totals.matched),
            incomplete: totals.incomplete.as_ref().and_then(|state| state.incomplete),
            same_view: totals.view == state.as_of.view,
        };
        Frame::End(end).encode().to_vec()
    }

    fn broken(&self, error: &ApiError, totals: &Totals) -> Vec<u8> {
        let why = BrokenOff::parse(error.code).unwrap_or(BrokenOff::Stopping);
        Frame::Broken(BrokenFrame { why, items: number(totals.items) }).encode().to_vec()
    }

    fn not_whole(&self, totals: &Totals, bytes: usize) -> ApiError {
        truncated(totals.items, bytes as u64)
    }
}
