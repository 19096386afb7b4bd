//! Shapes of the HTTP API that a member's own systems talk to: JSON, and one binary answer ([`frames`]).
//!
//! Shared by the node, which serves them, and the client, which sends them, so that the two cannot
//! drift apart. Requests refuse unknown fields: a misspelt option must not silently do nothing.
//! Responses do not, so that an older client keeps working with a newer node. Every value of a
//! signal is lower-case hexadecimal text, every time is RFC 3339 in UTC.
//!
//! A shape here is unchecked text. `to_queries`, `to_record` and their siblings turn it into checked
//! values or into a [`FieldError`] that names the exact item and rule, for example
//! `items[3].signals[0].value: expected 64 lower-case hex digits, got 63`. Such a message never
//! repeats a signal, because messages end up in logs.
//!
//! What this module deliberately does not do: routing, authentication and status codes
//! (`hashpact-node`), or deciding an outcome (`hashpact-core`). No shape has a place for media.
//!
//! SPEC §11.

mod ack;
mod bulk;
mod changes;
mod decisions;
mod details;
mod field;
pub mod frames;
mod genmeta;
mod governance;
mod grouping;
mod handling;
mod labels;
mod lists;
mod matching;
mod models;
mod node;
mod records;
mod reports;
mod statements;
pub mod time;
mod ttps;

pub use ack::{Ack, AckError, IdempotencyKeyError, check_idempotency_key};
pub use bulk::{
    BULK_ITEMS_MAX, BULK_LINES_TYPE, BULK_MATCHES_TYPE, BULK_VALUE_BYTES, BULK_VALUES_TYPE, BulkLine,
    BulkQuery, BulkSummary,
};
pub use changes::{
    CHANGES_CURSOR_HEADER, CHANGES_GONE, CHANGES_NOW, CHANGES_OLDEST, CHANGES_PAGE_DEFAULT, CHANGES_PAGE_MAX,
    CHANGES_SNAPSHOT, CHANGES_WAIT_MAX_S, ChangeCause, ChangeJson, ChangesQuery, ChangesSnapshot, FeedStatus,
    ListTurn, OutcomeTurn, StatusTurn, WebhookStatus,
};
pub use decisions::{
    DecisionRequest, FloodJson, MuteJson, MuteRequest, MutesResponse, NEGATIVE_RADIUS_DEFAULT,
    NEGATIVE_SIGNALS_MAX, NegativeJson, NegativesRequest, NegativesResponse, QuarantineResponse,
    REASON_MAX_BYTES, check_reason,
};
pub use details::{
    ClaimedIdJson, DatasetJson, ModelJson, PartJson, PlaceOfRecord, ServiceJson, TilesJson, TtpJson,
};
pub use field::{FieldError, FieldRule};
pub use genmeta::{GenmetaJson, ResourceJson};
pub use governance::{
    CoverageJson, IncidentJson, IncidentReceipt, IncidentRequest, IncidentStepJson, IncidentsResponse,
    MemberCoverage, PlaceJson, RulingJson, RulingRequest, RulingSignal, RulingsResponse, SuspensionJson,
    SuspensionRequest, SuspensionsResponse,
};
pub use grouping::GroupJson;
pub use handling::{CrosswalkJson, HandlingJson, OtherClassJson, ReportJson};
pub use labels::LabelsJson;
pub use lists::{
    AppliedRule, ChangedOutcome, DryRunRequest, DryRunResponse, LIST_FILE_TYPE, ListExplanation, ListJson,
    ListState, ListsResponse, UnmetCondition,
};
pub use matching::{
    AsOf, Match, MatchItem, MatchLimits, MatchRequest, MatchResponse, MatchResult, OpinionCounts, Query,
    QuerySignal,
};
pub use models::{
    AskedFingerprint, AskedModel, BaseTileJson, BasesRequest, BasesResponse, ComparisonJson, FingerprintJson,
    ListingJson, ModelId, ModelIdJson, ModelIdType, ModelLeadJson, ModelMatchRequest, ModelMatchResponse,
    NearBaseJson, NearestBenignJson, RegisteredModelJson, RegistryJson, ShapedBits, SketchMatchJson,
    TileGroupJson, tile_numbers, tile_text, vectors_text,
};
pub use node::{
    AlarmStatus, AuthorStatus, BackupResponse, BranchStatus, CatchUp, CosignedStatus, ErasureStatus,
    ErrorBody, ErrorDetail, EvidenceJson, EvidenceResponse, HoldingStatus, LogJson, LogStatus, LogsResponse,
    MemberJson, MembersResponse, PeerStatus, ReadyResponse, ReceiptStatus, ScrubPlace, ScrubStatus,
    StatusResponse,
};
pub use records::{
    ContributeQuery, ContributeRequest, NewRecord, NewSignal, Receipt, Receipts, RecordJson, RecordsPage,
    RecordsQuery, SignalJson, SourceJson, StatementJson,
};
pub use reports::{ContradictionJson, ContradictionsQuery, ContradictionsResponse};
pub use statements::{ErasureRequest, OpinionRequest, RetractionRequest};
pub use ttps::{
    ObservationJson, StatisticsJson, StatisticsQuery, StatisticsRow, StixIds, TacticJson, TaxonomyJson,
    TechniqueJson, TtpsPage, TtpsQuery,
};
