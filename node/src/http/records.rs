//! `/v1/records`: state, list, show, prove, judge, withdraw.

use super::access::Caller;
use super::body::{BODY_MAX_BYTES, RECORD_MAX_BYTES, STATEMENT_MAX_BYTES, read_json};
use super::request::{read_path, read_query};
use super::{Api, ApiError};
use crate::config::STATUSES;
use crate::lookup::{Cursor, RecordsFilter};
use crate::service::ServiceError;
use crate::tokens::Scope;
use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use hashpact_core::event::{Ack, Draft};
use hashpact_protocol::api::{
    self, ContributeQuery, ContributeRequest, ErasureRequest, ErrorBody, FieldError, NewRecord,
    OpinionRequest, Receipt, Receipts, RecordJson, RecordsPage, RecordsQuery, RetractionRequest,
    check_idempotency_key,
};
use hashpact_protocol::digest::{RecordId, sha256};
use hashpact_protocol::leaf::Kind;
use hashpact_protocol::record::{Review, SignalType, Vocabulary as _};
use serde::de::DeserializeOwned;

/// Domain of idempotency keys, which are bound to their caller. Local to this node.
const IDEMPOTENCY: &[u8] = b"hashpact/idempotency/v1\0";
/// Domain of the digest that recognises a retry. Local to this node.
const SUBMISSION: &[u8] = b"hashpact/submission/v1\0";
/// Records on a page when the caller does not say.
const PAGE_DEFAULT: u32 = 100;
/// Most records on a page.
const PAGE_MAX: u32 = 1_000;

/// States records in this member's log: all or none. Answered when the promise of `ack` holds.
#[utoipa::path(post, path = "/v1/records", tag = "contribute", security(("token" = ["contribute"])),
    params(ContributeQuery, ("Idempotency-Key" = Option<String>, Header, description = "1 to 128 printable ASCII characters; a retry with the same key states nothing twice")),
    request_body = ContributeRequest,
    responses((status = 200, body = Receipts), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn contribute(
    State(api): State<Api>,
    query: Result<Query<ContributeQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Receipts>, ApiError> {
    let caller = api.allow(&headers, &[Scope::Contribute])?;
    let query = read_query(query)?;
    let ack = parse_ack(query.ack.as_deref())?;
    let group = api.service.group_for(query.group.as_deref())?;
    let check = |request: ContributeRequest| -> Result<Vec<Draft>, ApiError> {
        let drafts = request.to_records()?.into_iter().map(|(subject, content)| match subject {
            Some(subject) => Draft::Addition { subject, content },
            None => Draft::Content(content),
        });
        Ok(drafts.collect())
    };
    let (drafts, whole) = read_json(&api, &caller, &headers, body, BODY_MAX_BYTES, check).await?;
    api.count_items(&caller, drafts.len())?;
    let statement = Statement { operation: "contribute", subject: None, group, body: &whole.bytes };
    Ok(Json(submit(&api, &headers, &caller, drafts, &statement, ack).await?))
}

/// Pages through records in the order of (log, index); what stands unless `status` says otherwise.
#[utoipa::path(get, path = "/v1/records", tag = "lookup", security(("token" = ["lookup", "audit"])), params(RecordsQuery),
    responses((status = 200, body = RecordsPage), (status = "4XX", body = ErrorBody)))]
pub(super) async fn list(
    State(api): State<Api>,
    query: Result<Query<RecordsQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Json<RecordsPage>, ApiError> {
    let caller = api.allow_payloads(&headers, &[Scope::Lookup, Scope::Audit])?;
    let query = read_query(query)?;
    let invalid = |field: &str, value: &str| {
        ApiError::bad_request("invalid_field", format!("{field}: {value:?} is not a value of this parameter"))
    };
    let limit = query.limit.unwrap_or(PAGE_DEFAULT);
    if limit == 0 || limit > PAGE_MAX {
        return Err(ApiError::bad_request(
            "invalid_field",
            format!("limit: {limit} is not in 1..={PAGE_MAX}"),
        ));
    }
    let kind = match &query.kind {
        Some(text) => {
            let kind = Kind::parse(text).filter(|kind| kind.is_statement());
            Some(kind.ok_or_else(|| invalid("kind", text))?)
        }
        None => None,
    };
    let cursor = match &query.cursor {
        Some(text) => Some(Cursor::parse(text).ok_or_else(|| invalid("cursor", text))?),
        None => None,
    };
    let signal_type = match &query.signal_type {
        Some(text) => Some(SignalType::parse(text).ok_or_else(|| invalid("signal_type", text))?),
        None => None,
    };
    let review_min = match &query.review {
        Some(text) => Some(Review::parse(text).ok_or_else(|| invalid("review", text))?),
        None => None,
    };
    if let Some(status) = &query.status
        && !STATUSES.contains(&status.as_str())
    {
        return Err(invalid("status", status));
    }
    let filter = RecordsFilter { member: query.member, kind, signal_type, status: query.status, review_min };
    let _slot = api.reads.enter(caller.id)?;
    // A page may pass over very many records: not on a thread that look-ups need.
    let service = api.service.clone();
    let page = tokio::task::spawn_blocking(move || service.records(&filter, cursor, limit as usize));
    let page = page.await.map_err(|_| ServiceError::Stopping)?;
    Ok(Json(page))
}

/// One record: labels, signals, status with its reason, who said what.
#[utoipa::path(get, path = "/v1/records/{id}", tag = "lookup", security(("token" = ["lookup", "audit"])),
    params(("id" = String, Path, description = "record id: 64 hex digits")),
    responses((status = 200, body = RecordJson), (status = "4XX", body = ErrorBody)))]
pub(super) async fn show(
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Json<RecordJson>, ApiError> {
    let caller = api.allow_payloads(&headers, &[Scope::Lookup, Scope::Audit])?;
    let id = parse_id(path)?;
    let _slot = api.reads.enter(caller.id)?;
    let record = api.within(api.service.record(id)).await?;
    record.map(Json).ok_or_else(|| ApiError::not_found(format!("record {id} is not known to this node")))
}

/// The provenance proof of an entry: a C2SP tlog-proof that verifies offline with the member's key.
#[utoipa::path(get, path = "/v1/records/{id}/proof", tag = "lookup", security(("token" = ["lookup", "audit"])),
    params(("id" = String, Path, description = "record id: 64 hex digits")),
    responses((status = 200, body = String, content_type = "text/plain"), (status = "4XX", body = ErrorBody)))]
pub(super) async fn proof(
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let caller = api.allow_payloads(&headers, &[Scope::Lookup, Scope::Audit])?;
    let id = parse_id(path)?;
    let _slot = api.reads.enter(caller.id)?;
    match api.within(api.service.proof(id)).await? {
        Some(proof) => Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], proof).into_response()),
        None => Err(ApiError::not_found(format!("no signed tree of this node covers an entry {id}"))),
    }
}

/// States an opinion on another member's record; the latest one counts.
#[utoipa::path(post, path = "/v1/records/{id}/opinions", tag = "contribute", security(("token" = ["contribute"])),
    params(("id" = String, Path, description = "record id: 64 hex digits")), request_body = OpinionRequest,
    responses((status = 200, body = Receipt), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn opine(
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Receipt>, ApiError> {
    state_about(&api, path, &headers, body, "opinion", |subject, request: OpinionRequest| {
        let (opinion, reason) = request.check()?;
        Ok(Draft::Opinion { subject, opinion, reason: Some(reason.get()) })
    })
    .await
}

/// Withdraws a record of this member's own; final.
#[utoipa::path(post, path = "/v1/records/{id}/retraction", tag = "contribute", security(("token" = ["contribute"])),
    params(("id" = String, Path, description = "record id: 64 hex digits")), request_body = RetractionRequest,
    responses((status = 200, body = Receipt), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn retract(
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Receipt>, ApiError> {
    state_about(&api, path, &headers, body, "retraction", |subject, request: RetractionRequest| {
        Ok(Draft::Retraction { subject, reason: request.check()? })
    })
    .await
}

/// Orders the erasure of a record's payload: this member's own, or anybody's if the roster names it as an erasure
/// authority. Sealed at once at every member, destroyed after the roster's hold; final after that.
#[utoipa::path(post, path = "/v1/records/{id}/erasure", tag = "contribute", security(("token" = ["contribute"])),
    params(("id" = String, Path, description = "record id: 64 hex digits")), request_body = ErasureRequest,
    responses((status = 200, body = Receipt), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn erase(
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Receipt>, ApiError> {
    state_about(&api, path, &headers, body, "erasure", |subject, request: ErasureRequest| {
        let (reason, basis) = request.check()?;
        Ok(Draft::Erasure { subject, reason, basis })
    })
    .await
}

/// States another record in the place of one of this member's own; final.
#[utoipa::path(post, path = "/v1/records/{id}/supersede", tag = "contribute", security(("token" = ["contribute"])),
    params(("id" = String, Path, description = "record id: 64 hex digits")), request_body = NewRecord,
    responses((status = 200, body = Receipt), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn supersede(
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Receipt>, ApiError> {
    let caller = api.allow(&headers, &[Scope::Contribute])?;
    let subject = parse_id(path)?;
    let check = move |request: NewRecord| -> Result<Vec<Draft>, ApiError> {
        request.check_no_subject()?;
        Ok(vec![Draft::Supersession { subject, content: request.to_record()? }])
    };
    let (drafts, whole) = read_json(&api, &caller, &headers, body, RECORD_MAX_BYTES, check).await?;
    if let (Some(about), [Draft::Supersession { content, .. }]) = (api.service.about(&subject), &drafts[..])
        && about != content.kind()
    {
        let message = format!(
            "record {subject} states a {about}; it is superseded by another one, not by a {}",
            content.kind()
        );
        return Err(ApiError::new(StatusCode::CONFLICT, "other_kind", message));
    }
    let group = api.service.group_of(subject).await?;
    let statement = Statement { operation: "supersede", subject: Some(subject), group, body: &whole.bytes };
    single(submit(&api, &headers, &caller, drafts, &statement, Ack::Local).await?)
}

/// States one thing about one record: token, id and body are read alike, `draft` says what it means.
async fn state_about<R: DeserializeOwned + 'static>(
    api: &Api,
    path: Result<Path<String>, PathRejection>,
    headers: &HeaderMap,
    body: Body,
    operation: &'static str,
    draft: impl FnOnce(RecordId, R) -> Result<Draft, FieldError> + Send + 'static,
) -> Result<Json<Receipt>, ApiError> {
    let caller = api.allow(headers, &[Scope::Contribute])?;
    let subject = parse_id(path)?;
    let check = move |request| Ok(vec![draft(subject, request)?]);
    let (drafts, whole) = read_json(api, &caller, headers, body, STATEMENT_MAX_BYTES, check).await?;
    let group = api.service.group_of(subject).await?;
    let statement = Statement { operation, subject: Some(subject), group, body: &whole.bytes };
    single(submit(api, headers, &caller, drafts, &statement, Ack::Local).await?)
}

/// What is asked, for comparison with an earlier request under the same idempotency key.
pub(super) struct Statement<'a> {
    pub(super) operation: &'static str,
    pub(super) subject: Option<RecordId>,
    /// Number of the group that may have the payloads.
    pub(super) group: u32,
    pub(super) body: &'a [u8],
}

pub(super) async fn submit(
    api: &Api,
    headers: &HeaderMap,
    caller: &Caller,
    drafts: Vec<Draft>,
    statement: &Statement<'_>,
    ack: Ack,
) -> Result<Receipts, ApiError> {
    let key = idempotency_key(headers, caller)?;
    let subject = statement.subject.map_or([0; 32], |subject| *subject.as_bytes());
    let group = statement.group.to_be_bytes();
    let operation = statement.operation.as_bytes();
    let digest = if statement.group == 0 {
        sha256(&[SUBMISSION, operation, &[0], &subject, statement.body])
    } else {
        sha256(&[SUBMISSION, operation, &[1], &group, &subject, statement.body])
    };
    let _slot = api.writes.enter(caller.id)?;
    let drafts = api.within(api.service.check_listings(drafts)).await??;
    let done = api.within(api.service.submit(drafts, statement.group, key, digest, ack)).await?;
    let ack = match done.ack {
        Ack::Local => api::Ack::Local.to_string(),
        Ack::Replicated(members) => api::Ack::Replicated(members).to_string(),
    };
    let receipts = (done.first_index..)
        .zip(done.records)
        .map(|(index, record)| Receipt {
            record: record.to_hex(),
            log: done.origin.clone(),
            index,
            tree_size: done.tree_size,
            ack: ack.clone(),
        })
        .collect();
    Ok(Receipts { receipts })
}

/// The one receipt of one statement.
pub(super) fn single(receipts: Receipts) -> Result<Json<Receipt>, ApiError> {
    let receipt = receipts.receipts.into_iter().next();
    let missing =
        || ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "no receipt for a statement");
    receipt.map(Json).ok_or_else(missing)
}

fn idempotency_key(headers: &HeaderMap, caller: &Caller) -> Result<Option<[u8; 32]>, ApiError> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let refuse = |message: String| ApiError::bad_request("invalid_idempotency_key", message);
    let text =
        value.to_str().map_err(|_| refuse("the Idempotency-Key must be printable ASCII".to_owned()))?;
    check_idempotency_key(text).map_err(|error| refuse(error.to_string()))?;
    Ok(Some(sha256(&[IDEMPOTENCY, &caller.id, text.as_bytes()])))
}

fn parse_ack(text: Option<&str>) -> Result<Ack, ApiError> {
    let ack = api::Ack::parse(text.unwrap_or("local"))
        .map_err(|error| ApiError::bad_request("invalid_ack", error.to_string()))?;
    Ok(match ack {
        api::Ack::Local => Ack::Local,
        api::Ack::Replicated(members) => Ack::Replicated(members),
    })
}

pub(super) fn parse_id(path: Result<Path<String>, PathRejection>) -> Result<RecordId, ApiError> {
    RecordId::from_hex(&read_path(path)?).map_err(|error| {
        ApiError::bad_request(
            "invalid_record_id",
            format!("a record id has 64 lower-case hex digits: {error}"),
        )
    })
}
