//! Bulk look-ups of items, one a line of JSON, answered in one line each.

use super::{Form, Part, Totals};
use crate::http::ApiError;
use crate::http::request::RequestId;
use crate::service::{BulkState, MatchAsk, Service};
use axum::http::StatusCode;
use hashpact_protocol::api::{BULK_LINES_TYPE, BulkLine, BulkSummary, ErrorDetail, MatchItem, Query};

/// Longest line. An item with every signal and variant it may have takes 40,000 bytes.
pub(super) const LINE_MAX_BYTES: usize = 64 * 1024;

/// The form, what is asked, and the request's id for an error inside the answer.
#[derive(Clone)]
pub(super) struct Lines {
    ask: MatchAsk,
    id: RequestId,
}

impl Lines {
    pub(super) fn new(ask: MatchAsk, id: RequestId) -> Self {
        Self { ask, id }
    }
}

impl Form for Lines {
    const ANSWER_TYPE: &'static str = BULK_LINES_TYPE;
    const PART_ITEMS_MAX: usize = 4_096;
    const HELD_MAX_BYTES: usize = 1024 * 1024;

    fn whole(&self, bytes: &[u8], items_max: usize, ended: bool) -> (usize, usize) {
        let (mut length, mut items) = (0, 0);
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let is_whole = line.ends_with(b"\n") || (ended && line.len() <= LINE_MAX_BYTES);
            if items == items_max || !is_whole {
                break;
            }
            length += line.len();
            items += 1;
        }
        (length, items)
    }

    fn answer(&self, service: &Service, bytes: &[u8], before: &Totals) -> Part {
        let state = service.bulk_state();
        let (mut queries, mut lines, mut fault) = (Vec::new(), 0, None);
        for line in bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::trim_ascii) {
            lines += 1;
            // A blank line, such as a second one at the end of a file, asks nothing.
            if line.is_empty() {
                continue;
            }
            match read_line(line, before.lines + lines) {
                Ok(query) => queries.push(query),
                Err(error) => {
                    fault = Some(error);
                    break;
                }
            }
        }
        let items = queries.len() as u64;
        let results = service.match_items(queries, &self.ask);
        let matched = results.iter().filter(|result| result.total > 0).count() as u64;
        let answer = results.into_iter().flat_map(|result| line_of(&BulkLine::Result(result))).collect();
        Part { answer, items, lines, matched, state, fault }
    }

    fn head(&self, _state: &BulkState) -> Result<Vec<u8>, ApiError> {
        Ok(Vec::new())
    }

    fn end(&self, totals: &Totals, state: &BulkState) -> Vec<u8> {
        let end = BulkSummary {
            complete: totals.incomplete.is_none(),
            reason: totals.incomplete.as_ref().and_then(|state| state.reason.clone()),
            as_of: state.as_of.clone(),
            items: totals.items,
            matched: totals.matched,
        };
        line_of(&BulkLine::End { end })
    }

    fn broken(&self, error: &ApiError, _totals: &Totals) -> Vec<u8> {
        let error = ErrorDetail {
            code: error.code.to_owned(),
            message: error.message.clone(),
            request_id: self.id.text(),
        };
        line_of(&BulkLine::Error { error })
    }

    fn not_whole(&self, totals: &Totals, _bytes: usize) -> ApiError {
        too_long(totals.lines + 1)
    }
}

fn too_long(number: u64) -> ApiError {
    let message = format!("line {number}: longer than {LINE_MAX_BYTES} bytes");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "line_too_long", message)
}

/// Reads one item; errors name its line, from 1.
fn read_line(line: &[u8], number: u64) -> Result<Query, ApiError> {
    if line.len() > LINE_MAX_BYTES {
        return Err(too_long(number));
    }
    let item: MatchItem = serde_json::from_slice(line).map_err(|error| {
        let words = error.to_string();
        let words = words.rsplit_once(" at line ").map_or(words.as_str(), |(words, _)| words);
        ApiError::bad_request("invalid_json", format!("line {number}, column {}: {words}", error.column()))
    })?;
    item.to_query().map_err(|error| ApiError::bad_request("invalid_field", format!("line {number}: {error}")))
}

fn line_of(line: &BulkLine) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(line).expect("plain data with text keys becomes JSON");
    bytes.push(b'\n');
    bytes
}
