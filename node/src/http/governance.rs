//! `/v1/rulings`, `/v1/suspensions`, `/v1/incidents`: state one's part, and see what all parts amount to.

use super::body::{RECORD_MAX_BYTES, STATEMENT_MAX_BYTES, read_json};
use super::records::{Statement, single, submit};
use super::{Api, ApiError};
use crate::service::ServiceError;
use crate::tokens::Scope;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use hashpact_core::event::{Ack, Draft};
use hashpact_protocol::api::{
    ErrorBody, IncidentReceipt, IncidentRequest, IncidentsResponse, Receipt, Receipts, RulingRequest,
    RulingsResponse, SuspensionRequest, SuspensionsResponse,
};
use hashpact_protocol::limits::INCIDENT_ID_BYTES;
use hashpact_protocol::record::{Incident, IncidentId, Vote, VoteWord};
use hashpact_protocol::roster::EVERYBODY;

/// States what this member, as a panellist, holds of signals: one entry each, all or none. A later one takes the place of
/// an earlier one.
#[utoipa::path(post, path = "/v1/rulings", tag = "governance", security(("token" = ["contribute"])),
    request_body = RulingRequest,
    responses((status = 200, body = Receipts), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn rule(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Receipts>, ApiError> {
    let caller = api.allow(&headers, &[Scope::Contribute])?;
    let check = |request: RulingRequest| -> Result<Vec<Draft>, ApiError> {
        let (signals, verdict, reason, subject) = request.check()?;
        let draft = |signal| Draft::Ruling { subject, signal, verdict, reason };
        Ok(signals.into_iter().map(draft).collect())
    };
    let (drafts, whole) = read_json(&api, &caller, &headers, body, RECORD_MAX_BYTES, check).await?;
    // A ruling names the signal: of a record that a group alone may see, nobody else hears of it.
    let of_record = drafts.iter().find_map(|draft| match draft {
        Draft::Ruling { subject, .. } => *subject,
        _ => None,
    });
    let group = match of_record {
        Some(record) => api.service.group_of(record).await?,
        None => EVERYBODY,
    };
    let statement = Statement { operation: "ruling", subject: None, group, body: &whole.bytes };
    Ok(Json(submit(&api, &headers, &caller, drafts, &statement, Ack::Local).await?))
}

/// What the review panel holds of signals.
#[utoipa::path(get, path = "/v1/rulings", tag = "governance", security(("token" = ["lookup", "audit"])),
    responses((status = 200, body = RulingsResponse), (status = "4XX", body = ErrorBody)))]
pub(super) async fn rulings(
    State(api): State<Api>,
    headers: HeaderMap,
) -> Result<Json<RulingsResponse>, ApiError> {
    let caller = api.allow_payloads(&headers, &[Scope::Lookup, Scope::Audit])?;
    let _slot = api.reads.enter(caller.id)?;
    Ok(Json(api.service.rulings()))
}

/// Votes to suspend a member for 72 hours, or to end that. It takes more than half of the members.
#[utoipa::path(post, path = "/v1/suspensions", tag = "governance", security(("token" = ["contribute"])),
    request_body = SuspensionRequest,
    responses((status = 200, body = Receipt), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn vote(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Receipt>, ApiError> {
    let caller = api.allow(&headers, &[Scope::Contribute])?;
    let service = api.service.clone();
    let check = move |request: SuspensionRequest| -> Result<Vec<Draft>, ApiError> {
        let (member, vote, reason, from) = request.check()?;
        let vote = match vote {
            VoteWord::Suspend => Vote::Suspend(from.unwrap_or_else(|| service.place_behind(&member))),
            VoteWord::Withdraw => Vote::Withdraw,
        };
        Ok(vec![Draft::Vote { member, vote, reason }])
    };
    let (drafts, whole) = read_json(&api, &caller, &headers, body, STATEMENT_MAX_BYTES, check).await?;
    let statement = Statement { operation: "suspension", subject: None, group: 0, body: &whole.bytes };
    single(submit(&api, &headers, &caller, drafts, &statement, Ack::Local).await?)
}

/// Every suspension that ever began: who voted, from when until when, and whether it holds.
#[utoipa::path(get, path = "/v1/suspensions", tag = "governance", security(("token" = ["lookup", "audit"])),
    responses((status = 200, body = SuspensionsResponse), (status = "4XX", body = ErrorBody)))]
pub(super) async fn suspensions(
    State(api): State<Api>,
    headers: HeaderMap,
) -> Result<Json<SuspensionsResponse>, ApiError> {
    let caller = api.allow_payloads(&headers, &[Scope::Lookup, Scope::Audit])?;
    let _slot = api.reads.enter(caller.id)?;
    Ok(Json(api.service.suspensions()))
}

/// Declares a content incident, or closes one; declarers of the roster only.
#[utoipa::path(post, path = "/v1/incidents", tag = "governance", security(("token" = ["contribute"])),
    request_body = IncidentRequest,
    responses((status = 200, body = IncidentReceipt), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn declare(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<IncidentReceipt>, ApiError> {
    let caller = api.allow(&headers, &[Scope::Contribute])?;
    let drawn = draw()?;
    let is_repeatable = headers.contains_key("idempotency-key");
    let check = move |request: IncidentRequest| -> Result<Incident, ApiError> {
        // A repetition would draw another id than the one that was stated.
        if is_repeatable && request.incident.is_none() {
            let message = "incident: must be given together with an Idempotency-Key";
            return Err(ApiError::bad_request("invalid_field", message));
        }
        Ok(request.check(drawn)?)
    };
    let (incident, whole) = read_json(&api, &caller, &headers, body, STATEMENT_MAX_BYTES, check).await?;
    let statement = Statement { operation: "incident", subject: None, group: 0, body: &whole.bytes };
    let (id, drafts) = (incident.id.to_string(), vec![Draft::Incident(incident)]);
    let Json(receipt) = single(submit(&api, &headers, &caller, drafts, &statement, Ack::Local).await?)?;
    Ok(Json(IncidentReceipt { incident: id, receipt }))
}

/// Every content incident that was declared, open or closed.
#[utoipa::path(get, path = "/v1/incidents", tag = "governance", security(("token" = ["lookup", "audit"])),
    responses((status = 200, body = IncidentsResponse), (status = "4XX", body = ErrorBody)))]
pub(super) async fn incidents(
    State(api): State<Api>,
    headers: HeaderMap,
) -> Result<Json<IncidentsResponse>, ApiError> {
    let caller = api.allow_payloads(&headers, &[Scope::Lookup, Scope::Audit])?;
    let _slot = api.reads.enter(caller.id)?;
    Ok(Json(api.service.incidents()))
}

/// The id of an incident that is declared without one.
fn draw() -> Result<IncidentId, ApiError> {
    let mut id = [0; INCIDENT_ID_BYTES];
    match getrandom::fill(&mut id) {
        Ok(()) => Ok(IncidentId::new(id)),
        Err(error) => {
            tracing::error!(%error, "the system has no random bytes");
            Err(ServiceError::Stopping.into())
        }
    }
}
