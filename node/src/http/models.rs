//! `POST /v1/models/bases` and `POST /v1/models/match`.

use super::body::{BODY_MAX_BYTES, read_json};
use super::{Api, ApiError};
use crate::tokens::Scope;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use hashpact_protocol::api::{
    BasesRequest, BasesResponse, ErrorBody, ModelMatchRequest, ModelMatchResponse,
};

/// Which registered bases are the tiles of a model near? Bits of tiles in, numbers of bases out; what was asked is neither
/// stored nor logged.
#[utoipa::path(post, path = "/v1/models/bases", tag = "models", security(("token" = ["lookup"])),
    request_body = BasesRequest,
    responses((status = 200, body = BasesResponse), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn bases(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<BasesResponse>, ApiError> {
    let caller = api.allow_payloads(&headers, &[Scope::Lookup])?;
    let check = |request: BasesRequest| -> Result<_, ApiError> { Ok(request.to_tiles()?) };
    let (tiles, _body) = read_json(&api, &caller, &headers, body, BODY_MAX_BYTES, check).await?;
    api.count_items(&caller, 1)?;
    let _slot = api.scans.enter(caller.id)?;
    Ok(Json(api.within(api.service.model_bases(tiles)).await?))
}

/// Is this model known? Whole identifiers have an outcome by this node's lists; prefixes, checksums, claims and sketches are
/// for a person and have none.
#[utoipa::path(post, path = "/v1/models/match", tag = "models", security(("token" = ["lookup"])),
    request_body = ModelMatchRequest,
    responses((status = 200, body = ModelMatchResponse), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn match_model(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<ModelMatchResponse>, ApiError> {
    let caller = api.allow_payloads(&headers, &[Scope::Lookup])?;
    let check = |request: ModelMatchRequest| -> Result<_, ApiError> {
        request.check_lists()?;
        Ok((request.to_model()?, request.lists))
    };
    let ((asked, lists), _body) = read_json(&api, &caller, &headers, body, BODY_MAX_BYTES, check).await?;
    api.count_items(&caller, 1)?;
    let _slot = api.scans.enter(caller.id)?;
    Ok(Json(api.within(api.service.match_model(asked, lists)).await?))
}
