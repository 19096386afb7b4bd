//! Who calls, and whether the token allows it.

use super::{Api, ApiError};
use crate::tokens::Scope;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};

/// An authenticated caller.
pub(super) struct Caller {
    /// Stable for one token; binds idempotency keys to it.
    pub(super) id: [u8; 32],
}

impl Api {
    /// The caller of what shows payloads or what follows from them.
    pub(super) fn allow_payloads(&self, headers: &HeaderMap, scopes: &[Scope]) -> Result<Caller, ApiError> {
        let caller = self.allow(headers, scopes)?;
        self.service.check_shows_payloads()?;
        Ok(caller)
    }

    /// The same, with the name of its token, for the journal.
    pub(super) fn allow_named(
        &self,
        headers: &HeaderMap,
        scopes: &[Scope],
    ) -> Result<(Caller, String), ApiError> {
        let caller = self.allow(headers, scopes)?;
        let secret = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.split_once(' '));
        let token = secret.and_then(|(_, secret)| self.tokens.find(secret.trim()));
        Ok((caller, token.map_or_else(String::new, |token| token.name.clone())))
    }

    /// The caller, if its token allows any of `scopes`.
    pub(super) fn allow(&self, headers: &HeaderMap, scopes: &[Scope]) -> Result<Caller, ApiError> {
        let unauthorised = |message| ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", message);
        let Some(value) = headers.get(AUTHORIZATION) else {
            return Err(unauthorised("a bearer token is needed: Authorization: Bearer hpt_…"));
        };
        let secret = value
            .to_str()
            .ok()
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, secret)| secret.trim());
        let Some(secret) = secret else {
            return Err(unauthorised("the Authorization header must be: Bearer TOKEN"));
        };
        let Some(token) = self.tokens.find(secret) else {
            return Err(unauthorised("this token is not known to this node"));
        };
        if scopes.iter().any(|scope| token.allows(*scope)) {
            return Ok(Caller { id: token.caller() });
        }
        let wanted: Vec<&str> = scopes.iter().map(|scope| scope.name()).collect();
        let message = format!("this token does not have scope {}", wanted.join(" or "));
        Err(ApiError::new(StatusCode::FORBIDDEN, "forbidden", message))
    }
}
