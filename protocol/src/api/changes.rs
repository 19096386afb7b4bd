//! `/v1/changes`: what changed at this node, one change a line, so that a platform can look again at what it hosts.
//!
//! SPEC §11.4.

use serde::{Deserialize, Serialize};

use super::matching::AsOf;
use super::records::SignalJson;

/// Most changes of one answer.
pub const CHANGES_PAGE_MAX: u32 = 1_000;
/// Changes of one answer when the caller does not say.
pub const CHANGES_PAGE_DEFAULT: u32 = 100;
/// Longest wait for a change, in seconds.
pub const CHANGES_WAIT_MAX_S: u32 = 60;
/// In place of a cursor: whatever is still kept.
pub const CHANGES_OLDEST: &str = "oldest";
/// In place of a cursor: only what comes from now on.
pub const CHANGES_NOW: &str = "now";
/// Header of an answer: where to go on.
pub const CHANGES_CURSOR_HEADER: &str = "hashpact-cursor";
/// The error code of a cursor from which one cannot go on.
pub const CHANGES_GONE: &str = "cursor_gone";
/// Where a snapshot begins.
pub const CHANGES_SNAPSHOT: &str = "/v1/changes/snapshot";

/// Query parameters of `GET /v1/changes`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct ChangesQuery {
    /// Only what comes behind this cursor; `oldest`: whatever is still kept; `now` (the default): what comes from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Most changes in the answer: 1 to 1000, default 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// How long to wait for a change if there is none, in seconds: 0 (the default) to 60.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_s: Option<u32>,
}

/// One change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChangeJson {
    /// Where to go on behind this change.
    pub cursor: String,
    /// When this node noted it, RFC 3339.
    pub time: String,
    /// `record`: a record changed. `snapshot`: more changed than is told one by one; look at everything again.
    pub kind: String,
    /// Of a `record`: its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// Member that stated it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// Origin of the log that holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// Its place in that log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
    /// Its signals; none once the payload is sealed or erased.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signals: Vec<SignalJson>,
    /// Its status before and after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusTurn>,
    /// Why it has its status, unless that has changed again since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What a look-up of its signals comes to because of it, before and after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<OutcomeTurn>,
    /// The same for each list that makes something else of it than before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lists: Vec<ListTurn>,
    /// What changed, if it was not the record: a decision of this node's operator, or the roster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<ChangeCause>,
    /// Of a `snapshot`: where one begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
}

/// A status before and after.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StatusTurn {
    /// Before; null: this node did not know the record.
    pub before: Option<String>,
    /// After.
    pub after: String,
}

/// An outcome before and after.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OutcomeTurn {
    /// Before; null: it did not count.
    pub before: Option<String>,
    /// The list that decided.
    pub list_before: Option<String>,
    /// After; null: it does not count.
    pub after: Option<String>,
    /// The list that decides.
    pub list_after: Option<String>,
}

/// What one list made of a record before and after.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ListTurn {
    /// The list.
    pub list: String,
    /// Its version; the last one it had, if it was deleted.
    pub version: u64,
    /// Before; null: it did not count the record.
    pub before: Option<String>,
    /// After; null: it does not count the record.
    pub after: Option<String>,
}

/// What changed beside records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChangeCause {
    /// `list`, `list_deleted`, `mute`, `unmute`, `negatives`, `flood`, `roster`, `record` (another one with the same signal); of a snapshot also `restart` (what decides is
    /// not what it was when the node stopped), `overflow` (more changed at once than could be noted) and, to webhooks, `cursor_gone`.
    pub what: String,
    /// Name of the list, member or flood; id of the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Version of the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
}

/// Answer to `GET /v1/changes/snapshot`: how to begin anew without missing anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChangesSnapshot {
    /// Follow the changes behind this cursor once the records are read.
    pub cursor: String,
    /// Where the records that stand are listed: first page.
    pub records: String,
    /// False: the records may lack something that will come as a change.
    pub complete: bool,
    /// Why not.
    pub reason: Option<String>,
    /// What the records are read from, or something newer.
    pub as_of: AsOf,
}

/// The feed of changes, in the status of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FeedStatus {
    /// Behind the last change.
    pub cursor: String,
    /// Changes that are kept.
    pub kept: u64,
    /// Changes that wait to be written.
    pub waiting: u64,
}

/// One webhook, in the status of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WebhookStatus {
    /// Its name in the configuration.
    pub name: String,
    /// Behind the last change that it accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Changes that come behind that.
    pub behind: u64,
    /// Deliveries accepted since the process started.
    pub delivered: u64,
    /// Failed attempts at the delivery that is under way.
    pub attempts: u32,
    /// Since when nothing was accepted; absent while all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<String>,
    /// Why the last attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Deliveries that were given up, in all.
    pub dead_letters: u64,
}

impl ChangeJson {
    /// Of a `record`.
    pub const RECORD: &'static str = "record";
    /// Of a call for a snapshot.
    pub const SNAPSHOT: &'static str = "snapshot";
}
