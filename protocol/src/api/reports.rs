//! `/v1/reports/contradictions`: new records that lie close to what is known to be benign, or to what members dispute.
//!
//! SPEC §11.3.

use serde::{Deserialize, Serialize};

/// Query parameters of the report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct ContradictionsQuery {
    /// How many days back records are new, by the time that they were stated: 1 to 36525, default 7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u32>,
    /// Only records of this member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// Most records in the answer: 1 to 1000, default 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// The report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ContradictionsResponse {
    /// New records that were looked at.
    pub looked_at: u64,
    /// Whether there were more new records than are looked at in one report; then the latest of each log were.
    pub truncated: bool,
    /// Those that contradict what is known: who contradicts most comes first.
    pub contradictions: Vec<ContradictionJson>,
}

/// One new record that contradicts what is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ContradictionJson {
    /// Its id.
    pub record: String,
    /// Who stated it.
    pub member: String,
    /// When, by its author.
    pub stated: String,
    /// Who reviewed it, as stated.
    pub review: String,
    /// Negative lists of this node that have a value within their radius of it.
    pub negative_lists: Vec<String>,
    /// Signals that members call benign or adult, within 31 bits of it.
    pub benign: u64,
    /// Records of other members within 31 bits of it about which members disagree, other than about labels.
    pub disputed: u64,
    /// The same as a sentence.
    pub sentence: String,
}
