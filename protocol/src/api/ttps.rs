//! `/v1/ttps`: techniques that were seen, their taxonomy, and statistics of them and of what files say of their making.
//!
//! Observations are records of kind `ttp` and are stated with `POST /v1/records`. Ids are for STIX 2.1 (SPEC §7.17).

use serde::{Deserialize, Serialize};

use super::records::RecordJson;

/// Query parameters of `GET /v1/ttps`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct TtpsQuery {
    /// Only this technique, such as `HP-T0034`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub technique: Option<String>,
    /// Only techniques of this tactic, such as `TA05`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tactic: Option<String>,
    /// Only what was seen there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surface: Option<String>,
    /// Only what was seen in this month or later, `YYYY-MM`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Only what was seen in this month or earlier, `YYYY-MM`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Only this member's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// Where to go on: `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Most observations on the page, 1..=1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// One page of `GET /v1/ttps`: observations that stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TtpsPage {
    /// The observations.
    pub ttps: Vec<ObservationJson>,
    /// Cursor of the next page; null on the last.
    pub next: Option<String>,
}

/// One observation with its ids.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ObservationJson {
    /// The record.
    pub record: RecordJson,
    /// Name of the technique; absent if the taxonomy of this version does not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Id of its tactic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tactic: Option<String>,
    /// Its ids.
    pub stix: StixIds,
}

/// Ids of one observation for STIX 2.1, the same at every node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StixIds {
    /// Of the observation: `sighting--…`.
    pub sighting: String,
    /// Of the technique: `attack-pattern--…`.
    pub attack_pattern: String,
    /// Of the member that stated it: `identity--…`.
    pub identity: String,
}

/// `GET /v1/ttps/taxonomy`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TaxonomyJson {
    /// `hashpact-ttp`.
    pub taxonomy: String,
    /// Its version.
    pub version: String,
    /// The tactics, by id.
    pub tactics: Vec<TacticJson>,
    /// The techniques, by id.
    pub techniques: Vec<TechniqueJson>,
}

/// A tactic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TacticJson {
    /// Its id, such as `TA05`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its id for STIX 2.1: `x-mitre-tactic--…`.
    pub stix: String,
}

/// A technique.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TechniqueJson {
    /// Its id, such as `HP-T0034`.
    pub id: String,
    /// Id of its tactic.
    pub tactic: String,
    /// Its name.
    pub name: String,
    /// What belongs to it; never how it is done.
    pub description: String,
    /// Its id for STIX 2.1: `attack-pattern--…`.
    pub stix: String,
}

/// Query parameters of statistics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct StatisticsQuery {
    /// What is counted apart: of techniques `technique` (default), `tactic`, `surface` or `member`; of what files say
    /// `tool` (default), `model`, `source_type`, `c2pa` or `member`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// From this month on, `YYYY-MM`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Up to and with this month, `YYYY-MM`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// Counts of records that stand, by month and key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StatisticsJson {
    /// What is counted apart.
    pub by: String,
    /// One row for each month and key that has records, by month, then key.
    pub rows: Vec<StatisticsRow>,
}

/// One count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StatisticsRow {
    /// The month, `YYYY-MM`: of an observation that which it states, of other records that in which they were stated.
    pub month: String,
    /// The key.
    pub key: String,
    /// Records.
    pub records: u64,
    /// Members that stated them.
    pub members: u64,
}
