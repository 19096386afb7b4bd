//! `GET /v1/reports/contradictions`: what people should look at.

use super::request::read_query;
use super::{Api, ApiError};
use crate::driver::now_ms;
use crate::lookup::ReportAsk;
use crate::tokens::Scope;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use hashpact_protocol::api::{ContradictionsQuery, ContradictionsResponse, ErrorBody};

const DAYS_DEFAULT: u32 = 7;
const DAYS_MAX: u32 = 36_525;
const LIMIT_DEFAULT: u32 = 100;
const LIMIT_MAX: u32 = 1_000;
const DAY_MS: u64 = 86_400_000;

/// New records that lie close to what is known to be benign, or to what members dispute.
#[utoipa::path(get, path = "/v1/reports/contradictions", tag = "decisions", security(("token" = ["lookup", "audit"])), params(ContradictionsQuery),
    responses((status = 200, body = ContradictionsResponse), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn contradictions(
    State(api): State<Api>,
    query: Result<Query<ContradictionsQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Json<ContradictionsResponse>, ApiError> {
    let caller = api.allow_payloads(&headers, &[Scope::Lookup, Scope::Audit])?;
    let ContradictionsQuery { days, member, limit } = read_query(query)?;
    let days = within("days", days.unwrap_or(DAYS_DEFAULT), DAYS_MAX)?;
    let limit = within("limit", limit.unwrap_or(LIMIT_DEFAULT), LIMIT_MAX)?;
    let since_ms = now_ms().saturating_sub(u64::from(days) * DAY_MS);
    let _slot = api.scans.enter(caller.id)?;
    let ask = ReportAsk { since_ms, member, limit: limit as usize };
    Ok(Json(api.within(api.service.contradictions(ask)).await?))
}

fn within(name: &str, given: u32, max: u32) -> Result<u32, ApiError> {
    if (1..=max).contains(&given) {
        return Ok(given);
    }
    Err(ApiError::bad_request("invalid_field", format!("{name}: {given} is not in 1..={max}")))
}
