//! One shape for every error: a stable code, a message for the caller, the request's id.
//!
//! The detailed cause of a fault of ours goes to the log under the same id, never to the caller.

use crate::changes::FeedError;
use crate::export::HeadsError;
use crate::models::RefusedListing;
use crate::service::ServiceError;
use axum::http::StatusCode;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use hashpact_core::effect::SubmitError;
use hashpact_core::entitled::GroupError;
use hashpact_protocol::api::{CHANGES_GONE, CHANGES_SNAPSHOT, FieldError};

/// An error answer. The request's id is filled in by the outermost layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// HTTP status.
    pub status: StatusCode,
    /// Stable code for programs.
    pub code: &'static str,
    /// A sentence for the caller.
    pub message: String,
    /// Seconds after which to try again.
    pub retry_after_s: Option<u32>,
    /// Whether the caller sent a token that this node does not know.
    pub is_unknown_token: bool,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after_s: None, is_unknown_token: false }
    }

    pub(super) fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(super) fn later(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { retry_after_s: Some(1), ..Self::new(status, code, message) }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, axum::http::HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<FieldError> for ApiError {
    fn from(error: FieldError) -> Self {
        Self::bad_request("invalid_field", error.to_string())
    }
}

impl From<RefusedListing> for ApiError {
    fn from(error: RefusedListing) -> Self {
        Self::new(StatusCode::CONFLICT, "registered_benign", error.to_string())
    }
}

impl From<ServiceError> for ApiError {
    fn from(error: ServiceError) -> Self {
        let message = error.to_string();
        match error {
            ServiceError::Storage(cause) => {
                tracing::error!(%cause, "a read from the database failed; run fsck");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "storage", message)
            }
            ServiceError::Stopping => Self::later(StatusCode::SERVICE_UNAVAILABLE, "stopping", message),
            ServiceError::Loading => Self::later(StatusCode::SERVICE_UNAVAILABLE, "loading", message),
            ServiceError::Heads(HeadsError::Store(cause)) => {
                tracing::error!(%cause, "a read from the database failed; run fsck");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "storage", "the database could not be read")
            }
            ServiceError::Heads(HeadsError::Journal(cause)) => {
                tracing::error!(%cause, "the journal of administrative actions cannot be read");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "storage", "the journal could not be read")
            }
            ServiceError::Heads(HeadsError::Beyond { .. }) => {
                Self::new(StatusCode::CONFLICT, "not_held", message)
            }
            ServiceError::Heads(_) => Self::bad_request("invalid_query", message),
            ServiceError::Export(cause) => {
                tracing::error!(cause, "an audit bundle could not be written; run fsck");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "storage", message)
            }
            ServiceError::Restored => Self::later(StatusCode::SERVICE_UNAVAILABLE, "restored", message),
            ServiceError::ReadReplica(_) => Self::new(StatusCode::CONFLICT, "read_replica", message),
            ServiceError::Backup(cause) => {
                tracing::error!(cause, "the database could not be copied for a backup");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "storage", message)
            }
            ServiceError::OtherBeginning(_) => {
                Self::new(StatusCode::PRECONDITION_FAILED, "other_beginning", message)
            }
            ServiceError::Cursor => Self::bad_request("invalid_field", message),
            ServiceError::Feed(FeedError::Broken) => {
                Self::later(StatusCode::SERVICE_UNAVAILABLE, "storage", message)
            }
            ServiceError::Feed(_) => {
                let message = format!("{message}; take a snapshot: GET {CHANGES_SNAPSHOT}");
                Self::new(StatusCode::GONE, CHANGES_GONE, message)
            }
            ServiceError::UnknownList(_) => Self::bad_request("unknown_list", message),
        }
    }
}

impl From<GroupError> for ApiError {
    fn from(error: GroupError) -> Self {
        let (status, code) = match error {
            GroupError::NotIn(_) => (StatusCode::FORBIDDEN, "not_in_group"),
            _ => (StatusCode::BAD_REQUEST, "unknown_group"),
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<SubmitError> for ApiError {
    fn from(error: SubmitError) -> Self {
        use StatusCode as S;
        let message = error.to_string();
        match error {
            SubmitError::NotCleared(_) => Self::later(S::SERVICE_UNAVAILABLE, "not_appending", message),
            SubmitError::ReadReplica { .. } => Self::new(S::CONFLICT, "read_replica", message),
            SubmitError::Busy { .. } => Self::later(S::TOO_MANY_REQUESTS, "busy", message),
            SubmitError::Unavailable(_) => Self::later(S::SERVICE_UNAVAILABLE, "unavailable", message),
            SubmitError::Stopping => Self::later(S::SERVICE_UNAVAILABLE, "stopping", message),
            SubmitError::KeyReused => Self::new(S::CONFLICT, "idempotency_key_reused", message),
            SubmitError::UnknownRecord(_) => Self::new(S::NOT_FOUND, "unknown_record", message),
            SubmitError::NotARecord(_) => Self::new(S::CONFLICT, "not_a_record", message),
            SubmitError::NotAuthor { .. } => Self::new(S::FORBIDDEN, "not_author", message),
            SubmitError::OwnRecord(_) => Self::new(S::CONFLICT, "own_record", message),
            SubmitError::AlreadyRetracted(_) => Self::new(S::CONFLICT, "already_retracted", message),
            SubmitError::MayNotErase { .. } => Self::new(S::FORBIDDEN, "may_not_erase", message),
            SubmitError::AlreadyErased(..) => Self::new(S::CONFLICT, "already_erased", message),
            SubmitError::AlreadySuperseded(..) => Self::new(S::CONFLICT, "already_superseded", message),
            SubmitError::MayNotRule => Self::new(S::FORBIDDEN, "may_not_rule", message),
            SubmitError::MayNotDeclare => Self::new(S::FORBIDDEN, "may_not_declare", message),
            SubmitError::UnknownMember(_) => Self::new(S::NOT_FOUND, "unknown_member", message),
            SubmitError::OwnSuspension => Self::new(S::CONFLICT, "own_suspension", message),
            SubmitError::UnknownIncident(_) => Self::new(S::NOT_FOUND, "unknown_incident", message),
            SubmitError::IncidentIs(..) => Self::new(S::CONFLICT, "incident_state", message),
            SubmitError::NotYetReplicated { .. } => {
                Self::later(S::GATEWAY_TIMEOUT, "not_yet_replicated", message)
            }
            SubmitError::TooFewMembers { .. } => Self::bad_request("too_few_members", message),
            SubmitError::ClockBehind { .. } => Self::new(S::SERVICE_UNAVAILABLE, "clock_behind", message),
            SubmitError::LogClosed(_) => Self::new(S::CONFLICT, "log_closed", message),
            SubmitError::Empty | SubmitError::TooMany { .. } | SubmitError::Payload { .. } => {
                Self::bad_request("invalid_record", message)
            }
            SubmitError::Salts { .. } => Self::new(S::INTERNAL_SERVER_ERROR, "internal", message),
            _ => Self::new(S::INTERNAL_SERVER_ERROR, "internal", message),
        }
    }
}
