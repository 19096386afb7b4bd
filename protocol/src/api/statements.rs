//! What a member says about a record that exists: an opinion, its own retraction, or an erasure order.

use serde::{Deserialize, Serialize};

use super::field::{FieldError, vocabulary};
use crate::record::{ErasureBasis, ErasureReason, Label, OpinionValue, Reason, RetractionReason};

/// `POST /v1/records/{id}/opinions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OpinionRequest {
    /// `agree`, `disagree`, `unsure` or `seen`.
    pub opinion: String,
    /// Why: a word of the controlled vocabulary, never prose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl OpinionRequest {
    /// Checks both words.
    ///
    /// # Errors
    /// The field that is not in its vocabulary.
    pub fn check(&self) -> Result<(OpinionValue, Label<Reason>), FieldError> {
        let opinion = vocabulary::<OpinionValue>("opinion", &self.opinion)?;
        let reason = self.reason.as_deref().map(|word| vocabulary::<Reason>("reason", word)).transpose()?;
        Ok((opinion, reason.map_or_else(Label::default, Label::Known)))
    }
}

/// `POST /v1/records/{id}/retraction`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RetractionRequest {
    /// Why: a word of the controlled vocabulary, never prose.
    pub reason: String,
}

impl RetractionRequest {
    /// Checks the word.
    ///
    /// # Errors
    /// The reason is not in its vocabulary.
    pub fn check(&self) -> Result<RetractionReason, FieldError> {
        vocabulary::<RetractionReason>("reason", &self.reason)
    }
}

/// `POST /v1/records/{id}/erasure`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErasureRequest {
    /// Why: a word of the controlled vocabulary, never prose.
    pub reason: String,
    /// On whose demand: `own` (the default), `court`, `law_enforcement`, `data_protection_authority`,
    /// `hotline` or `data_subject`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<String>,
}

impl ErasureRequest {
    /// Checks both words.
    ///
    /// # Errors
    /// The field that is not in its vocabulary.
    pub fn check(&self) -> Result<(ErasureReason, ErasureBasis), FieldError> {
        let reason = vocabulary::<ErasureReason>("reason", &self.reason)?;
        let basis =
            self.basis.as_deref().map(|word| vocabulary::<ErasureBasis>("basis", word)).transpose()?;
        Ok((reason, basis.unwrap_or_default()))
    }
}
