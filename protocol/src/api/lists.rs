//! `/v1/lists`: the local policy of a node.
//!
//! A list says which matching records count, at which distance, with which outcome. This file says what may stand in one,
//! as text or JSON; what it means, and which rules no list can switch off, is decided in `hashpact-core`.
//!
//! SPEC §11.3.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::matching::MatchItem;

/// Media type of a list as a file.
pub const LIST_FILE_TYPE: &str = "application/toml";

/// One list. What is left out asks nothing; several words are alternatives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ListJson {
    /// Its name: 1 to 64 characters `a-z 0-9 . _ -`.
    pub name: String,
    /// Which version this is; in a change, the version that it was made from, 0 or left out for a new list.
    #[serde(default, skip_serializing_if = "is_default")]
    pub version: u64,
    /// `block`, `review` or `log`.
    pub outcome: String,
    /// Of the lists that count a record, the one with the highest priority decides: -1000 to 1000.
    #[serde(default, skip_serializing_if = "is_default")]
    pub priority: i32,
    /// What it is for, in at most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Types of signals by which a record may be found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signals: Vec<String>,
    /// Kinds of records that count: `content`, `model`, `dataset`, `service`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kind: Vec<String>,
    /// Least quality of the query's PDQ value; one that the caller does not state is too low.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_quality_min: Option<u8>,
    /// How the record stands: `active`, `disputed`, `contested` and the like.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub status: Vec<String>,
    /// Who reviewed the harm.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub review: Vec<String>,
    /// The same as a least review: it and all that are more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review_min: Option<String>,
    /// How far it can be told from a photograph.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub realism: Vec<String>,
    /// Activity class.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub activity: Vec<String>,
    /// Age group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub age_group: Vec<String>,
    /// Age band.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub age_band: Vec<String>,
    /// Whether it is modelled after somebody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub likeness: Vec<String>,
    /// Class of the industry scheme: `A1`, `A2`, `B1`, `B2`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub industry_class: Vec<String>,
    /// With whom the record may be shared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tlp: Vec<String>,
    /// Registered sets, of which the record must be in one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hash_set: Vec<String>,
    /// Incidents, to one of which the record must belong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incident: Vec<String>,
    /// Members whose records count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<String>,
    /// Members whose records do not count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except_members: Vec<String>,
    /// Roles, of which the member must have one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Least number of independent sources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources_min: Option<u32>,
    /// Least number of members that agree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agree_min: Option<u32>,
    /// Largest number of members that disagree, other than about labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disagree_max: Option<u32>,
    /// How long after joining a member is a newcomer, in days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newcomer_days: Option<u32>,
    /// Least number of independent sources of what a newcomer states.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newcomer_sources_min: Option<u32>,
    /// Shortest time since the record was stated, in hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_hours_min: Option<u32>,
    /// Longest time since the record was stated, in days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_days_max: Option<u32>,
    /// Largest distance by signal type; only `pdq` has one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub distance: BTreeMap<String, u32>,
}

/// `skip_serializing_if` for numbers that say nothing.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// One list as the node has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ListState {
    /// The list.
    pub list: ListJson,
    /// Names version and content: for `If-Match`.
    pub etag: String,
    /// Whether it is the built-in list, which cannot be changed.
    #[serde(default)]
    pub built_in: bool,
}

/// All lists, in the order in which they decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ListsResponse {
    /// The lists.
    pub lists: Vec<ListState>,
}

/// `POST /v1/lists/dry-run`: what would a list change?
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DryRunRequest {
    /// The list that would be put, as it would stand in a file (TOML).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toml: Option<String>,
    /// The same as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<ListJson>,
    /// Name of a list that would be deleted, instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete: Option<String>,
    /// What to look up, as in a match.
    pub items: Vec<MatchItem>,
}

/// What a list would change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DryRunResponse {
    /// False while the node is loading, lagging or isolated.
    pub complete: bool,
    /// Why the answer is not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Items looked up.
    pub items: u64,
    /// Items with an outcome, before and after.
    pub matched: [u64; 2],
    /// Items whose outcome, or whose deciding list, would be another one, in the order of the items.
    pub changed: Vec<ChangedOutcome>,
}

/// One item of a dry run whose outcome would be another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChangedOutcome {
    /// The caller's name for the item.
    pub id: String,
    /// Outcome now.
    pub before: Option<String>,
    /// The list that decides now.
    pub list_before: Option<String>,
    /// Outcome with the change.
    pub after: Option<String>,
    /// The list that would decide.
    pub list_after: Option<String>,
}

/// Why one list counts a record or does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ListExplanation {
    /// The list.
    pub list: String,
    /// Its version.
    pub version: u64,
    /// Whether the record counts for it.
    pub counts: bool,
    /// What the record would come to if this list decided.
    pub outcome: Option<String>,
    /// Conditions that are not met.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unmet: Vec<UnmetCondition>,
    /// Rules that hold the record back, whatever the list says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<AppliedRule>,
    /// All of this as a sentence.
    pub sentence: String,
}

/// A condition that a record does not meet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UnmetCondition {
    /// The key in the list.
    pub condition: String,
    /// What the record, or the query, has.
    pub found: String,
    /// What the list asks for.
    pub wanted: String,
}

/// A rule that no list can switch off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AppliedRule {
    /// Its fixed name.
    pub rule: String,
    /// What it does, as a sentence.
    pub sentence: String,
}
