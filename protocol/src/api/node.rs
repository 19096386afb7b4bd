//! Shapes that describe the node itself: members, logs, status, readiness, errors.
//!
//! Nothing here is secret and nothing here is trusted: a client that wants proof fetches the
//! checkpoint a link points to and verifies it with the log's key (SPEC §5, §11).

use std::collections::BTreeMap;

use super::changes::{FeedStatus, WebhookStatus};
use super::governance::IncidentJson;
use serde::{Deserialize, Serialize};

/// `GET /v1/members`: the members of the newest roster this node holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MembersResponse {
    /// Consortium id, `name-<16 hex digits>`.
    pub consortium: String,
    /// Version of the roster that lists them.
    pub roster: u64,
    /// Every member, in the roster's order, members who left included.
    pub members: Vec<MemberJson>,
}

/// One member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MemberJson {
    /// Member id.
    pub member: String,
    /// Name of the organisation as the roster gives it.
    pub name: String,
    /// `active` or `left`.
    pub status: String,
    /// Roles: `contributor`, `hotline`, `observer`, `auditor`.
    pub roles: Vec<String>,
    /// Names of the groups that it is in.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Origins of the member's logs, oldest first.
    pub logs: Vec<String>,
}

/// `GET /v1/logs`: every log of the roster, as far as this node holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogsResponse {
    /// The logs, by origin.
    pub logs: Vec<LogJson>,
}

/// One log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogJson {
    /// Log origin, `<consortium>/<member>/<n>`.
    pub origin: String,
    /// Member that writes it.
    pub member: String,
    /// Number of the log within the member.
    pub n: u32,
    /// Tree size that this node holds and has verified.
    pub size: u64,
    /// Root at that size, 64 hex digits.
    pub root: String,
    /// Whether the roster lets the member append to it.
    pub open: bool,
    /// Ed25519 public key of the log, 64 hex digits.
    pub key: String,
    /// Path of the newest checkpoint on this node.
    pub checkpoint: String,
}

/// `GET /v1/status`: the node's own account of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StatusResponse {
    /// Member whose node this is.
    pub member: String,
    /// `author`: it writes the member's log; `replica`: it follows that log, too, and states nothing.
    #[serde(default = "author")]
    pub role: String,
    /// Of a read replica: the node that writes its member's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<AuthorStatus>,
    /// Consortium id.
    pub consortium: String,
    /// Version of the program.
    pub version: String,
    /// Version of the newest roster held.
    pub roster: u64,
    /// Whether that roster has passed its expiry; look-ups and retractions go on.
    #[serde(default)]
    pub roster_expired: bool,
    /// When it expires, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roster_expires: Option<String>,
    /// Other versions that governance signed beside one that is held, as `<version> <digest>`: no version follows that does not
    /// reject them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roster_rivals: Vec<String>,
    /// A newer version that a connected member says it holds, and that this node was not given yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roster_newer: Option<u64>,
    /// Opaque name of the current view; equal names mean equal answers.
    pub view: String,
    /// Whether the node serves requests.
    pub ready: bool,
    /// Whether look-up answers cover everything that the node should know.
    pub complete: bool,
    /// Why not, when `complete` is false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether the node may append to its own log.
    #[serde(default)]
    pub appending: bool,
    /// Why not, when `appending` is false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub append_blocked: Option<String>,
    /// Whether the node was put back from a backup and shows no payloads until it has caught up.
    #[serde(default)]
    pub restored: bool,
    /// The scrub, which reads everything stored again; absent when it is switched off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scrub: Option<ScrubStatus>,
    /// How far catching up is, while peers offer more than this node holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catch_up: Option<CatchUp>,
    /// Payloads that wait to be destroyed, or are gone.
    #[serde(default)]
    pub erasures: ErasureStatus,
    /// What an operator should look at now; empty when all is well. Prometheus rules of the same names ship with the node.
    #[serde(default)]
    pub alarms: Vec<AlarmStatus>,
    /// Floods that wait for a decision.
    #[serde(default)]
    pub quarantine_waiting: u64,
    /// Members that are muted here.
    #[serde(default)]
    pub muted: Vec<String>,
    /// Incidents that are open, with how far the word of each has come.
    #[serde(default)]
    pub incidents: Vec<IncidentJson>,
    /// The feed of changes; absent while the logs are read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<FeedStatus>,
    /// Webhooks of the configuration.
    #[serde(default)]
    pub webhooks: Vec<WebhookStatus>,
    /// Seconds since the process started.
    pub uptime_s: u64,
    /// Every log followed, the own one included.
    pub logs: Vec<LogStatus>,
    /// Whose payloads each member states that it holds, as of its newest receipt. Claims, not proofs; members
    /// that never gave a receipt are absent.
    #[serde(default)]
    pub receipts: Vec<ReceiptStatus>,
    /// Every other member's node.
    pub peers: Vec<PeerStatus>,
    /// Signals in the match index by signal type.
    pub index: BTreeMap<String, u64>,
}

fn author() -> String {
    "author".to_owned()
}

/// What a read replica knows of its member's author.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuthorStatus {
    /// Its peer key, 64 hex digits; absent while no node card of the member is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Whether it is connected.
    pub connected: bool,
    /// Whether this replica has a valid card to show, which lists it: without one others do not let it in.
    pub listed: bool,
}

/// Something that an operator should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AlarmStatus {
    /// Its name, as in the rules for Prometheus.
    pub name: String,
    /// What is wrong, in words.
    pub message: String,
}

/// What the scrub has read and found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScrubStatus {
    /// Bytes a second that it reads at most.
    pub bytes_per_s: u64,
    /// Passes over everything that came to their end.
    pub passes: u64,
    /// Bytes read since the start.
    pub bytes: u64,
    /// Where it is, while it reads a log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<ScrubPlace>,
    /// Seconds that the last pass took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_pass_s: Option<u64>,
    /// When a pass last ended with everything whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_whole: Option<String>,
    /// Findings since the start.
    pub found: u64,
    /// Findings that were healed since the start.
    pub healed: u64,
    /// What is still wrong, as far as it is known: reason for an alarm.
    pub problems: Vec<String>,
}

/// A place in a log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScrubPlace {
    /// Log origin.
    pub log: String,
    /// Entries found whole in this pass.
    pub entries: u64,
    /// Entries that it has.
    pub size: u64,
}

/// What a backup of a running node begins with: a copy of the database beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BackupResponse {
    /// Name of the folder in `data/checkpoints`.
    pub checkpoint: String,
    /// Origin of the own log.
    pub log: String,
    /// Size that was signed last when it was made.
    pub size: u64,
    /// When it was made.
    pub taken: String,
}

/// Payloads that orders, retractions and expiry took away at this node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErasureStatus {
    /// Sealed by an order, and not destroyed yet.
    pub sealed: u64,
    /// When the first of these is destroyed, RFC 3339; absent when none has a time: contested orders wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_due: Option<String>,
    /// Destroyed here, or never fetched.
    pub erased: u64,
    /// Under a legal hold here.
    pub held: u64,
    /// How long an order waits before it destroys, in seconds: the roster's.
    pub hold_s: u64,
    /// How long payloads of retracted and expired records are kept, in seconds: the roster's.
    pub retention_s: u64,
}

/// How far a node that is behind has come, over all logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CatchUp {
    /// Entries held and verified.
    pub entries_held: u64,
    /// Entries that connected peers offer.
    pub entries_offered: u64,
    /// Entries a second stored lately.
    pub entries_per_s: u64,
    /// Seconds until everything offered now is here, at that rate; absent while nothing arrives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining_s: Option<u64>,
}

/// How far one log has been followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogStatus {
    /// Log origin.
    pub origin: String,
    /// Tree size held and verified.
    pub size: u64,
    /// Largest tree size in a valid checkpoint seen from anybody.
    pub announced: u64,
    /// Entries among those held that break a rule.
    #[serde(default)]
    pub void: u64,
    /// Entries among those held that this version cannot read.
    #[serde(default)]
    pub opaque: u64,
    /// Entries among those held without their payload.
    #[serde(default)]
    pub without_payload: u64,
    /// Entries beyond `size` that are in force already: retractions and the like that overtook a backlog. They
    /// are neither in `size` nor in any count beside it.
    #[serde(default)]
    pub ahead: u64,
    /// How far witnesses vouch for it.
    #[serde(default)]
    pub cosigned: CosignedStatus,
    /// Whether its author signed two histories: nothing more is taken from it until the roster settles it.
    #[serde(default)]
    pub forked: bool,
    /// Leaf index of the first entry in which the two histories differ, if that is proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diverges_at: Option<u64>,
    /// Of a forked log: what this node holds of both histories, once it is known where they part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub branches: Vec<BranchStatus>,
}

/// What this node holds of one of two histories of a forked log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BranchStatus {
    /// Size of its signed checkpoint.
    pub size: u64,
    /// Root of that checkpoint, 64 hex digits.
    pub root: String,
    /// Whether this node follows it. A node that was stopped before the two part follows neither.
    pub followed: bool,
    /// Entries held below its size: of what is followed, then of what is kept beside that.
    pub held: u64,
    /// Leaf index from which on it is kept beside what is followed; absent if nothing of it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_from: Option<u64>,
    /// Whether it is not kept because it is longer than any node keeps (65,536 entries).
    #[serde(default)]
    pub too_long: bool,
}

/// Which payloads a member states that it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReceiptStatus {
    /// The member that states it.
    pub member: String,
    /// Origin of the log that the newest receipt is in.
    pub log: String,
    /// Its leaf index there.
    pub index: u64,
    /// When it was stated, by the member's own time, RFC 3339.
    pub time: String,
    /// What is stated about each log, by origin.
    pub holdings: Vec<HoldingStatus>,
}

/// What a member states about the payloads of one log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HoldingStatus {
    /// Log origin.
    pub log: String,
    /// The statement is about the first so many entries.
    pub size: u64,
    /// Of these, payloads that the member states it does not hold.
    pub lacking: u64,
    /// Leaf index of the first of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_lacking: Option<u64>,
    /// Entries that this node holds beyond `size`: nothing is stated about them yet.
    pub unstated: u64,
}

/// How far witnesses vouch for one log: the largest checkpoint with a quorum of cosignatures, or, of the
/// own log, with any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CosignedStatus {
    /// Witnesses that the roster names for this log: all but its author.
    pub witnesses: u32,
    /// How many of them are a quorum; 0 when there are no witnesses.
    pub quorum: u32,
    /// How many may be down or dishonest while the others are a quorum. Up to three witnesses: none.
    pub faults_tolerated: u32,
    /// Tree size that is cosigned; 0 when none is.
    pub size: u64,
    /// Members whose cosignatures it carries.
    pub by: Vec<String>,
    /// Whether they are a quorum.
    pub has_quorum: bool,
    /// Age of the oldest of these cosignatures in seconds, by the witness's own time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_s: Option<u64>,
}

/// `GET /v1/evidence`: logs whose authors signed two histories.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EvidenceResponse {
    /// The evidence, by origin.
    pub evidence: Vec<EvidenceJson>,
}

/// Evidence about one log. Everything but the last field is read from it for convenience: whoever wants
/// proof verifies the evidence itself with the log's key (SPEC §3.6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EvidenceJson {
    /// Log origin.
    pub origin: String,
    /// Sizes of the two signed checkpoints.
    pub sizes: Vec<u64>,
    /// Their roots, 64 hex digits each.
    pub roots: Vec<String>,
    /// Leaf index of the first entry in which the histories differ, if that is proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diverges_at: Option<u64>,
    /// Records from this leaf index on are contested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contested_from: Option<u64>,
    /// What this node holds of both histories, in the order of the checkpoints, once it is known where they part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub branches: Vec<BranchStatus>,
    /// The evidence, in text that starts with `hashpact/evidence/v1`.
    pub evidence: String,
}

/// One peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PeerStatus {
    /// Member the peer belongs to.
    pub member: String,
    /// Network identity of the peer, when one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Whether a connection is open now.
    pub connected: bool,
    /// When the last valid message arrived, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<String>,
    /// Messages of this peer that broke a rule since the process started.
    #[serde(default)]
    pub refused: u64,
}

/// `GET /readyz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReadyResponse {
    /// Whether the node serves requests.
    pub ready: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The body of every error answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
}

/// What went wrong, for a program and for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErrorDetail {
    /// Stable code that programs may compare, `snake_case`.
    pub code: String,
    /// A sentence for the caller.
    pub message: String,
    /// Id under which the operator finds the request in the logs.
    pub request_id: String,
}
