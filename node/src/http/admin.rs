//! `POST /v1/admin/backup`: a copy of the database beside it, for `hashpact-node backup` on the same machine.
//!
//! No path goes in and none comes out but the name of a folder below `data/checkpoints`: a caller can make the
//! node use disk, one copy at a time, and can choose no place. Keys are never in a copy.

use super::{Api, ApiError};
use crate::tokens::Scope;
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use hashpact_protocol::api::{BackupResponse, ErrorBody};

/// Makes a consistent copy of the database and of what was signed last, in a new folder below `data/checkpoints`.
#[utoipa::path(post, path = "/v1/admin/backup", tag = "node", security(("token" = ["admin"])),
    responses((status = 200, body = BackupResponse), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn backup(
    State(api): State<Api>,
    headers: HeaderMap,
) -> Result<Json<BackupResponse>, ApiError> {
    let caller = api.allow(&headers, &[Scope::Admin])?;
    let _slot = api.backups.enter(caller.id)?;
    api.journal(&caller, "copy-database", &serde_json::json!({}))?;
    // Not within the time of a request: whoever makes a copy waits for it.
    Ok(Json(api.service.copy_database(&api.checkpoints).await?))
}
