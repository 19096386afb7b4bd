//! `/v1/ttps` and the statistics of what files say: counts and categories only.

use super::request::read_query;
use super::{Api, ApiError};
use crate::lookup::{Cursor, TtpFilter};
use crate::service::{Service, ServiceError, taxonomy as the_taxonomy};
use crate::tokens::Scope;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use hashpact_core::statistics::{GenmetaKey, Period, TtpKey};
use hashpact_protocol::api::{ErrorBody, StatisticsJson, StatisticsQuery, TaxonomyJson, TtpsPage, TtpsQuery};
use hashpact_protocol::record::{Month, Surface, TACTICS, TechniqueId, Vocabulary as _};

/// Observations on a page when the caller does not say.
const PAGE_DEFAULT: u32 = 100;
/// Most observations on a page.
const PAGE_MAX: u32 = 1_000;

/// Pages through techniques that were seen, in the order of (log, index), each with ids for STIX 2.1.
#[utoipa::path(get, path = "/v1/ttps", tag = "lookup", security(("token" = ["lookup", "audit"])), params(TtpsQuery),
    responses((status = 200, body = TtpsPage), (status = "4XX", body = ErrorBody)))]
pub(super) async fn list(
    State(api): State<Api>,
    query: Result<Query<TtpsQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Json<TtpsPage>, ApiError> {
    let caller = api.allow_payloads(&headers, &[Scope::Lookup, Scope::Audit])?;
    let query = read_query(query)?;
    let limit = query.limit.unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(invalid("limit", &format!("{limit} is not in 1..={PAGE_MAX}")));
    }
    let cursor = match &query.cursor {
        Some(text) => Some(Cursor::parse(text).ok_or_else(|| invalid("cursor", "not one of this list"))?),
        None => None,
    };
    if let Some(tactic) = &query.tactic
        && !TACTICS.iter().any(|held| held.id == tactic)
    {
        return Err(invalid("tactic", "expected TA01 to TA06"));
    }
    let technique = match &query.technique {
        Some(text) => Some(TechniqueId::parse(text).map_err(|rule| invalid("technique", &rule.to_string()))?),
        None => None,
    };
    let surface = match &query.surface {
        Some(text) => Some(Surface::parse(text).ok_or_else(|| invalid("surface", "not a surface"))?),
        None => None,
    };
    let period = period(query.from.as_deref(), query.to.as_deref())?;
    let filter = TtpFilter { technique, tactic: query.tactic, surface, period, member: query.member };
    let _slot = api.reads.enter(caller.id)?;
    let service = api.service.clone();
    blocking(move || service.ttps(&filter, cursor, limit as usize)).await
}

/// How many observations there are, by month and technique, tactic, surface or member.
#[utoipa::path(get, path = "/v1/ttps/statistics", tag = "lookup", security(("token" = ["lookup", "audit"])), params(StatisticsQuery),
    responses((status = 200, body = StatisticsJson), (status = "4XX", body = ErrorBody)))]
pub(super) async fn statistics(
    State(api): State<Api>,
    query: Result<Query<StatisticsQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Json<StatisticsJson>, ApiError> {
    count(&api, query, &headers, &TtpKey::NAMES, Service::ttp_statistics).await
}

/// The techniques and tactics of this version, with ids for STIX 2.1.
#[utoipa::path(get, path = "/v1/ttps/taxonomy", tag = "lookup", security(("token" = ["lookup", "audit"])),
    responses((status = 200, body = TaxonomyJson), (status = "4XX", body = ErrorBody)))]
pub(super) async fn taxonomy(
    State(api): State<Api>,
    headers: HeaderMap,
) -> Result<Json<TaxonomyJson>, ApiError> {
    let caller = api.allow(&headers, &[Scope::Lookup, Scope::Audit])?;
    let _slot = api.reads.enter(caller.id)?;
    Ok(Json(the_taxonomy()))
}

/// How many records of media there are of which the file says how it was made, by month and tool, model, digital source
/// type, C2PA or member. Files can lie.
#[utoipa::path(get, path = "/v1/reports/genmeta", tag = "lookup", security(("token" = ["lookup", "audit"])), params(StatisticsQuery),
    responses((status = 200, body = StatisticsJson), (status = "4XX", body = ErrorBody)))]
pub(super) async fn genmeta(
    State(api): State<Api>,
    query: Result<Query<StatisticsQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Json<StatisticsJson>, ApiError> {
    count(&api, query, &headers, &GenmetaKey::NAMES, Service::genmeta_statistics).await
}

/// Counts by one of these keys over the period asked for.
async fn count<K: Copy + Send + 'static>(
    api: &Api,
    query: Result<Query<StatisticsQuery>, QueryRejection>,
    headers: &HeaderMap,
    keys: &[(K, &'static str)],
    counted: fn(&Service, K, Period) -> StatisticsJson,
) -> Result<Json<StatisticsJson>, ApiError> {
    let caller = api.allow_payloads(headers, &[Scope::Lookup, Scope::Audit])?;
    let query = read_query(query)?;
    let by = key(query.by.as_deref(), keys)?;
    let period = period(query.from.as_deref(), query.to.as_deref())?;
    let _slot = api.scans.enter(caller.id)?;
    let service = api.service.clone();
    blocking(move || counted(&service, by, period)).await
}

/// A walk over very many records: not on a thread that look-ups need.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<Json<T>, ApiError> {
    let answer = tokio::task::spawn_blocking(work).await.map_err(|_| ServiceError::Stopping)?;
    Ok(Json(answer))
}

fn invalid(field: &str, what: &str) -> ApiError {
    ApiError::bad_request("invalid_field", format!("{field}: {what}"))
}

fn key<T: Copy>(text: Option<&str>, names: &[(T, &'static str)]) -> Result<T, ApiError> {
    let found = match text {
        Some(text) => names.iter().find(|(_, name)| *name == text),
        None => names.first(),
    };
    found.map(|(key, _)| *key).ok_or_else(|| {
        let allowed: Vec<&str> = names.iter().map(|(_, name)| *name).collect();
        invalid("by", &format!("expected one of: {}", allowed.join(", ")))
    })
}

fn period(from: Option<&str>, to: Option<&str>) -> Result<Period, ApiError> {
    let month = |field: &'static str, text: Option<&str>| match text {
        Some(text) => Month::parse(text).map(Some).map_err(|rule| invalid(field, &rule.to_string())),
        None => Ok(None),
    };
    let period = Period { from: month("from", from)?, to: month("to", to)? };
    match (period.from, period.to) {
        (Some(from), Some(to)) if from > to => Err(invalid("to", "before from")),
        _ => Ok(period),
    }
}
