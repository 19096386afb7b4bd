//! What a member says about a record that exists: an opinion, or its own retraction.

use serde::{Deserialize, Serialize};

use super::field::{FieldError, vocabulary};
use crate::record::{Label, OpinionValue, Reason, RetractionReason};

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
