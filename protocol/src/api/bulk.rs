//! `POST /v1/match/bulk`: millions of look-ups in one request.
//!
//! Two forms, chosen by the type of the body. `application/octet-stream` is a row of 32-byte PDQ
//! values, and the answer is a row of binary frames ([`super::frames`]) in which a value without a
//! match takes no byte. `application/x-ndjson` is one [`MatchItem`](super::MatchItem) a line, and the
//! answer is one [`MatchResult`] a line, then one last line. Both answers end in a word that says how
//! much was looked up; an answer without it has broken off.
//!
//! What this module deliberately does not do: reading sockets or lines (`hashpact-node`).
//!
//! SPEC §11.1.

use serde::{Deserialize, Serialize};

use super::field::{FieldError, FieldRule};
use super::matching::{AsOf, MatchLimits, MatchResult, check_lists};
use super::node::ErrorDetail;
use crate::limits::PDQ_DISTANCE_MAX;

/// Media type of a body of 32-byte values.
pub const BULK_VALUES_TYPE: &str = "application/octet-stream";
/// Media type of a body, and of an answer, of JSON lines.
pub const BULK_LINES_TYPE: &str = "application/x-ndjson";
/// Media type of an answer in binary frames.
pub const BULK_MATCHES_TYPE: &str = "application/vnd.hashpact.matches";
/// Size of one value of a body of values.
pub const BULK_VALUE_BYTES: usize = 32;
/// Most items of one request; they are counted in 32 bits.
pub const BULK_ITEMS_MAX: u64 = u32::MAX as u64;

/// Query parameters of `POST /v1/match/bulk`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct BulkQuery {
    /// Largest PDQ distance, 0..=64. When absent, each list's own, or 31.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pdq_distance: Option<u32>,
    /// Local lists to ask, separated by commas; all of them when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lists: Option<String>,
}

impl BulkQuery {
    /// The PDQ radius asked for, if any is.
    ///
    /// # Errors
    /// A radius above the limit.
    pub fn pdq_distance(&self, limits: &MatchLimits) -> Result<Option<u32>, FieldError> {
        let max = limits.pdq_distance_max.min(PDQ_DISTANCE_MAX);
        match self.pdq_distance {
            Some(got) if got > max => Err(FieldError::new("pdq_distance", FieldRule::Distance { got, max })),
            asked => Ok(asked),
        }
    }

    /// The lists asked, or `None` for all of them.
    ///
    /// # Errors
    /// A name that is no token, or too many of them.
    pub fn lists(&self) -> Result<Option<Vec<String>>, FieldError> {
        let Some(text) = &self.lists else { return Ok(None) };
        let lists: Vec<String> = text.split(',').map(str::to_owned).collect();
        check_lists(&lists)?;
        Ok(Some(lists))
    }
}

/// One line of an answer in JSON lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[expect(clippy::large_enum_variant, reason = "nearly every line is the large one")]
pub enum BulkLine {
    /// What is known about one item, in the order of the items.
    Result(MatchResult),
    /// The last line of a whole answer.
    End {
        /// What the answer covers.
        end: BulkSummary,
    },
    /// The last line of an answer that broke off.
    Error {
        /// Why; the results before it stand.
        error: ErrorDetail,
    },
}

/// The end of a whole answer in JSON lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BulkSummary {
    /// False if any part of the answer was given while the node was loading, lagging or isolated.
    pub complete: bool,
    /// Why the answer is not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The state that the last item was asked of.
    pub as_of: AsOf,
    /// Items looked up.
    pub items: u64,
    /// Items with a match.
    pub matched: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(pdq_distance: Option<u32>, lists: Option<&str>) -> BulkQuery {
        BulkQuery { pdq_distance, lists: lists.map(str::to_owned) }
    }

    #[test]
    fn parameters_are_checked_like_those_of_a_match() {
        let limits = MatchLimits::default();
        for given in [None, Some(0), Some(64)] {
            assert_eq!(query(given, None).pdq_distance(&limits), Ok(given));
        }
        let error = query(Some(65), None).pdq_distance(&limits).expect_err("too far");
        assert_eq!(error.to_string(), "pdq_distance: distance 65, at most 64 is allowed");
        assert_eq!(query(None, None).lists(), Ok(None));
        let lists = query(None, Some("built-in,other")).lists().expect("two tokens");
        assert_eq!(lists, Some(vec!["built-in".to_owned(), "other".to_owned()]));
        for wrong in ["", "a,", "A", "a b"] {
            let error = query(None, Some(wrong)).lists().expect_err(wrong).to_string();
            assert!(error.starts_with("lists["), "{error}");
        }
        let many = ["x"; 65].join(",");
        assert!(query(None, Some(&many)).lists().expect_err("65").to_string().contains("at most 64"));
    }

    #[test]
    fn the_kinds_of_line_are_told_apart() {
        let result = r#"{"id":"u1","outcome":null,"total":0,"matches":[]}"#;
        let end = r#"{"end":{"complete":true,"as_of":{"view":"0-00","roster":1},"items":1,"matched":0}}"#;
        let error = r#"{"error":{"code":"too_slow","message":"m","request_id":"r"}}"#;
        let read = |text: &str| serde_json::from_str::<BulkLine>(text).expect(text);
        assert!(matches!(read(result), BulkLine::Result(result) if result.id == "u1"));
        assert!(matches!(read(end), BulkLine::End { end } if end.items == 1 && end.complete));
        assert!(matches!(read(error), BulkLine::Error { error } if error.code == "too_slow"));
        for text in [result, end, error] {
            assert_eq!(serde_json::to_string(&read(text)).expect("plain data"), text);
        }
        for wrong in ["{}", "[]", r#"{"end":{}}"#, r#"{"id":"u1"}"#] {
            assert!(serde_json::from_str::<BulkLine>(wrong).is_err(), "{wrong}");
        }
    }
}
