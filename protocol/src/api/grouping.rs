//! Near-duplicates as one: with `group` in a match, and `GET /v1/records/{id}/near`.
//!
//! SPEC §11.3.

use serde::{Deserialize, Serialize};

/// What is known together about the records that one item matches: whether anybody must look at it again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GroupJson {
    /// Records that count, all of them and not only those shown.
    pub records: u64,
    /// Members that stated them, ascending.
    pub members: Vec<String>,
    /// Independent original sources among them.
    pub sources: u32,
    /// The highest review that counts: `unreviewed`, `single`, `dual` or `hotline_confirmed`.
    pub review: String,
    /// Members that have looked: they reviewed what they stated, or agree with it. Ascending.
    pub reviewed_by: Vec<String>,
    /// How many of these looks are independent.
    pub looks: u32,
    /// Members that disagree, other than about labels, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disputed_by: Vec<String>,
    /// Whether a person should look.
    pub look: bool,
    /// Why: `disputed`, `hotline_confirmed`, `reviewed_twice`, `single_review` or `unreviewed`.
    pub why: String,
    /// The same as a sentence.
    pub sentence: String,
}
