//! From a picture to models: what the picture's file names, and who listed it.
//!
//! The file says so itself, and anybody can write that: it is a lead for a person, never a match, and has no outcome. So
//! only the first digits of an identifier are sent, also of a whole one.

use hashpact_client::{Client, ClientError};
use hashpact_protocol::api::{ClaimedIdJson, ListingJson, ModelIdJson, ModelMatchRequest, ResourceJson};
use hashpact_protocol::limits::MODEL_IDS_MAX;
use serde::Serialize;

/// Digits that are sent of an identifier.
const DIGITS_MAX: usize = 12;

/// A model that a file names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamedModel {
    /// Which item names it.
    pub(super) item: usize,
    /// What the file says.
    pub(super) resource: ResourceJson,
}

/// A model that a file names and a member listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct NamedLead {
    /// `model`, `lora`, `embedding`, `vae` or `other`, as the file says.
    pub(super) kind: String,
    /// The identifier in the file.
    pub(super) hex: String,
    /// What leads to the listing.
    pub(super) by: String,
    /// The listing.
    pub(super) listing: ListingJson,
}

impl NamedLead {
    /// In words.
    pub(super) fn sentence(&self) -> String {
        let kind = match self.kind.as_str() {
            "lora" => "LoRA",
            "vae" => "VAE",
            "other" => "a resource",
            kind => kind,
        };
        let ListingJson { record, member, status, review, .. } = &self.listing;
        format!(
            "lead: the file names {kind} {}, listed by {member} ({review}, {status}, record {record}); it may be forged",
            self.hex
        )
    }
}

/// What the node has listed of the models that files name, each with its item.
pub(super) async fn leads(
    client: &Client,
    named: &[NamedModel],
) -> Result<Vec<(usize, NamedLead)>, ClientError> {
    let mut leads = Vec::new();
    for some in named.chunks(MODEL_IDS_MAX) {
        let ids = some.iter().map(|named| id(&named.resource)).collect();
        let answer = client.match_model(&ModelMatchRequest { ids, ..ModelMatchRequest::default() }).await?;
        for lead in answer.leads {
            let Some(NamedModel { item, resource }) = some.get(lead.id as usize) else { continue };
            let (kind, hex) = (resource.kind.clone(), resource.id.hex.clone());
            leads.push((*item, NamedLead { kind, hex, by: lead.by, listing: lead.listing }));
        }
    }
    Ok(leads)
}

/// As it is asked for: tools give one digest several names, and cut it short.
fn id(resource: &ResourceJson) -> ModelIdJson {
    let ClaimedIdJson { identifier, hex, .. } = &resource.id;
    let digits = hex.get(..DIGITS_MAX).unwrap_or(hex);
    let is_whole_by_definition = matches!(identifier.as_str(), "autov1" | "crc32") && digits.len() == 8;
    ModelIdJson { id_type: is_whole_by_definition.then(|| identifier.clone()), value: digits.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_digest_in_a_picture_is_asked_for_as_a_lead() {
        let resource = |id: &str, digits: usize| ResourceJson {
            kind: "lora".to_owned(),
            id: ClaimedIdJson { identifier: id.to_owned(), hex: "a".repeat(digits), raw: None },
            claimed: true,
            raw: None,
        };
        for (name, digits, sent) in
            [("sha256", 64, 12), ("autov3", 12, 12), ("autov2", 10, 10), ("autov1", 8, 8)]
        {
            let asked = id(&resource(name, digits));
            assert_eq!(asked.value.len(), sent, "{name}");
            let request = ModelMatchRequest { ids: vec![asked], ..ModelMatchRequest::default() };
            assert!(request.to_model().unwrap().query().signals.is_empty(), "{name} can never be a match");
        }
    }
}
