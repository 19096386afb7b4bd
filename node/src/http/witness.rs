//! `POST /witness/add-checkpoint` (C2SP tlog-witness) and what witnesses and members found out about logs.

use super::body::read_whole;
use super::logs::checkpoint_answer;
use super::request::read_path;
use super::{Api, ApiError};
use crate::tokens::Scope;
use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use hashpact_protocol::api::{ErrorBody, EvidenceResponse};
use hashpact_protocol::limits::ADD_CHECKPOINT_MAX_BYTES;
use hashpact_protocol::wire::CosignAnswer;
use hashpact_protocol::witness::TLOG_SIZE_MEDIA_TYPE;

const TEXT: &str = "text/plain; charset=utf-8";

/// Cosigns a checkpoint of another member's log, once every leaf below its size is held here: the body and
/// the answers of C2SP tlog-witness. A size in the answer 409 is what was cosigned last.
#[utoipa::path(post, path = "/witness/add-checkpoint", tag = "logs", security((), ("token" = ["audit"])),
    request_body(content = String, content_type = "text/plain", description = "old size, proof lines, an empty line, the signed checkpoint"),
    responses((status = 200, body = String, content_type = "text/plain", description = "signature lines of this witness"),
        (status = 409, body = String, content_type = "text/x.tlog.size", description = "the size cosigned last"),
        (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn add_checkpoint(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let caller = api.log_reader(&headers)?;
    // The specification names no type, and a client's default may be any: the body says what it is.
    let whole = read_whole(&api, &caller, body, ADD_CHECKPOINT_MAX_BYTES).await?;
    let _slot = api.writes.enter(caller.id)?;
    let answer = api.within(api.service.add_checkpoint(whole.bytes.to_vec())).await?;
    let refuse = |status, code, message: &str| Err(ApiError::new(status, code, message));
    match answer {
        CosignAnswer::Cosigned(lines) => Ok(([(CONTENT_TYPE, TEXT)], lines).into_response()),
        CosignAnswer::Conflict { cosigned } => {
            let size = format!("{cosigned}\n");
            Ok((StatusCode::CONFLICT, [(CONTENT_TYPE, TLOG_SIZE_MEDIA_TYPE)], size).into_response())
        }
        CosignAnswer::NotYet { held, retry_after_s } => {
            let message =
                format!("this witness holds {held} leaves of the log and cosigns no more than it holds");
            let later = ApiError::later(StatusCode::SERVICE_UNAVAILABLE, "not_yet", message);
            Err(ApiError { retry_after_s: Some(retry_after_s), ..later })
        }
        CosignAnswer::UnknownLog => refuse(
            StatusCode::NOT_FOUND,
            "unknown_log",
            "this node is no witness by its roster, or the checkpoint is of no other member's log",
        ),
        CosignAnswer::NotSigned => refuse(
            StatusCode::FORBIDDEN,
            "not_signed",
            "the log's key did not sign this checkpoint, or the log is closed below it or forked",
        ),
        CosignAnswer::BadProof => refuse(
            StatusCode::UNPROCESSABLE_ENTITY,
            "bad_proof",
            "the consistency proof does not lead from the tree cosigned last to this one",
        ),
        CosignAnswer::Malformed => Err(ApiError::bad_request(
            "invalid_body",
            "the body is not an add-checkpoint request, or its old size is above the checkpoint's",
        )),
    }
}

/// The largest checkpoint of a log that a quorum of its witnesses cosigned, with their signatures.
#[utoipa::path(get, path = "/logs/{member}/{n}/checkpoint/cosigned", tag = "logs", security((), ("token" = ["audit"])),
    params(("member" = String, Path, description = "member id"), ("n" = u32, Path, description = "number of the member's log")),
    responses((status = 200, body = String, content_type = "text/plain"), (status = "4XX", body = ErrorBody)))]
pub(super) async fn cosigned(
    State(api): State<Api>,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (member, n) = read_path(path)?;
    let (origin, _slot) = super::logs::origin(&api, &headers, &member, &n)?;
    let note = api.service.cosigned_checkpoint(&origin);
    let note = note.ok_or_else(|| {
        ApiError::not_found(format!("no checkpoint of {origin} is cosigned by a quorum yet"))
    })?;
    Ok(checkpoint_answer(note))
}

/// Logs whose authors signed two histories, with the evidence.
#[utoipa::path(get, path = "/v1/evidence", tag = "node", security(("token" = ["lookup", "audit"])),
    responses((status = 200, body = EvidenceResponse), (status = "4XX", body = ErrorBody)))]
pub(super) async fn evidence(
    State(api): State<Api>,
    headers: HeaderMap,
) -> Result<Json<EvidenceResponse>, ApiError> {
    api.allow(&headers, &[Scope::Lookup, Scope::Audit])?;
    Ok(Json(api.service.evidence()))
}
