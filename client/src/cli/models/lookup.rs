//! What the node says about a model: identifiers and sketches go there, no weight and no name of a file does.

use hashpact_client::Client;
use hashpact_hashing::models::Weights;
use hashpact_hashing::models::identifiers::hex;
use hashpact_protocol::api::{
    ListingJson, ModelIdJson, ModelMatchRequest, ModelMatchResponse, RegisteredModelJson, SketchMatchJson,
};
use hashpact_protocol::limits::{MODEL_FINGERPRINTS_MAX, MODEL_IDS_MAX};
use serde_json::{Value, json};

use super::bases::{self, Placed};
use super::files::Named;
use crate::cli::output::{Output, counted, grouped, printable};

/// Digits of a claim that are sent: what a file says of itself may lead to a record, and never match one.
const CLAIM_DIGITS: usize = 12;

/// What was found about one model.
pub(super) struct Answer {
    pub(super) response: ModelMatchResponse,
    placed: Placed,
}

/// Asks the node about a model that was read.
pub(super) async fn ask(
    client: &Client,
    named: &Named,
    lists: Option<Vec<String>>,
) -> anyhow::Result<Answer> {
    let nothing = Weights::default();
    let weights = named.weights.as_ref().and_then(|weights| weights.as_ref().ok()).unwrap_or(&nothing);
    let placed = bases::place(client, weights).await?;
    let evidence = placed.against.iter().filter(|against| against.is_evidence(&weights.vectors));
    let fingerprints = evidence.map(|against| against.fingerprint(&weights.vectors));
    let fingerprints = fingerprints.take(MODEL_FINGERPRINTS_MAX).collect();
    let request = ModelMatchRequest { ids: ids(named, weights), fingerprints, lists };
    let response = client.match_model(&request).await?;
    Ok(Answer { response, placed })
}

fn id(id_type: &str, value: &str) -> ModelIdJson {
    ModelIdJson { id_type: Some(id_type.to_owned()), value: value.to_owned() }
}

/// Every identifier of a model; those that only begin another are left out.
fn ids(named: &Named, weights: &Weights) -> Vec<ModelIdJson> {
    let mut ids: Vec<ModelIdJson> = weights.tensor_set().map(|set| id("tset1", &hex(&set))).into_iter().collect();
    for (_, model) in &named.files {
        let named = model.identifiers.named().into_iter();
        let wanted = named.filter(|(name, _)| is_wanted(name));
        ids.extend(wanted.map(|(name, value)| id(name, &value)));
        for claim in &model.claims {
            let digits = [CLAIM_DIGITS, 10, 8].into_iter().find_map(|digits| claim.hex.get(..digits));
            ids.extend(digits.map(|value| ModelIdJson { id_type: None, value: value.to_owned() }));
        }
    }
    ids.truncate(MODEL_IDS_MAX);
    ids
}

fn is_wanted(name: &str) -> bool {
    matches!(name, "sha256" | "blake3" | "st_body" | "crc32" | "autov1")
}

/// The answer about a model as JSON, or the reason why there is none.
pub(super) async fn in_json(client: &Client, named: &Named) -> Value {
    match ask(client, named, None).await {
        Ok(answer) => answer.in_json(),
        Err(error) => json!({"error": format!("{error:#}")}),
    }
}

/// The same for a model that was read before, by what was noted of it.
pub(super) async fn by_identifiers(client: &Client, entry: &Value) -> Value {
    let parts = entry["parts"].as_array().map_or_else(|| vec![entry], |parts| parts.iter().collect());
    let mut asked: Vec<ModelIdJson> = entry["tset1"].as_str().map(|set| id("tset1", set)).into_iter().collect();
    for part in parts {
        let ids = part["ids"].as_object().into_iter().flatten();
        let wanted = ids.filter(|(name, _)| is_wanted(name));
        asked.extend(wanted.filter_map(|(name, value)| Some(id(name, value.as_str()?))));
    }
    asked.truncate(MODEL_IDS_MAX);
    let request = ModelMatchRequest { ids: asked, ..ModelMatchRequest::default() };
    match client.match_model(&request).await {
        Ok(response) => serde_json::to_value(&response).expect("an answer is JSON"),
        Err(error) => json!({"error": error.to_string()}),
    }
}

/// Whether an answer names a listing that is more than a lead.
pub(super) fn is_found(answer: &Value) -> bool {
    let sketches = answer["sketches"].as_array().into_iter().flatten();
    answer["exact"]["total"].as_u64().unwrap_or(0) > 0
        || sketches.into_iter().any(|found| found["verdict"] != "nothing")
}

/// An answer in a few words.
pub(super) fn summary(answer: &Value) -> String {
    if let Some(error) = answer["error"].as_str() {
        return format!("failed: {}", printable(error));
    }
    let exact = answer["exact"]["outcome"].as_str().map(|outcome| format!("exact: {outcome}"));
    let listed = (answer["exact"]["total"].as_u64() > Some(0)).then(|| "exact".to_owned());
    let sketch = answer["sketches"][0]["verdict"].as_str().filter(|verdict| *verdict != "nothing");
    let lead = answer["leads"].as_array().is_some_and(|leads| !leads.is_empty());
    let registered = answer["registered"].as_array().is_some_and(|models| !models.is_empty());
    let words = [
        exact.or(listed),
        sketch.map(|verdict| format!("sketch: {verdict}")),
        lead.then(|| "lead".to_owned()),
        registered.then(|| "registered".to_owned()),
    ];
    let words: Vec<String> = words.into_iter().flatten().collect();
    let complete = answer["complete"] == true;
    match (words.is_empty(), complete) {
        (true, true) => "nothing".to_owned(),
        (true, false) => "nothing, incomplete".to_owned(),
        (false, _) => words.join(", "),
    }
}

impl Answer {
    /// As JSON: the node's answer, and what was asked with.
    pub(super) fn in_json(&self) -> Value {
        let mut value = serde_json::to_value(&self.response).expect("an answer is JSON");
        let against = self.placed.against.iter().map(|against| {
            json!({
                "base": against.base.as_ref().map(|base| &base.record),
                "evidence": against.changes.evidence.len(),
                "unchanged": against.changes.unchanged,
                "without_base": against.changes.without_base,
                "stopped": against.changes.stopped,
                "family_mean_bits": against.changes.family_mean_bits,
            })
        });
        value["against"] = against.collect();
        value
    }

    /// Why nothing proves nothing, if that is so.
    pub(super) fn incomplete(&self) -> Option<&str> {
        let reason = self.response.reason.as_deref().or(Some("the node's answer is not complete"));
        if self.response.complete { self.placed.incomplete.as_deref() } else { reason }
    }

    /// In lines for people.
    pub(super) fn print(&self, name: &str, output: Output) {
        let ModelMatchResponse { exact, leads, sketches, descent, registered, registry, .. } = &self.response;
        output.line(&printable(name));
        match (&exact.outcome, exact.total) {
            (_, 0) => output.line("  exact      nothing"),
            (outcome, total) => {
                let outcome = outcome.as_deref().unwrap_or("no list counts it");
                output.line(&format!("  exact      {outcome}: {}", counted(total, "record", "records")));
            }
        }
        for found in &exact.matches {
            let (kind, review) = (&found.signal_type, &found.review);
            let (member, record, status) = (&found.member, &found.record, &found.status);
            output.line(&format!("             {kind}, listed by {member}, {review}, {status}, record {record}"));
        }
        for lead in leads {
            output.line(&format!("  lead       {}: {}", lead.by, listed(&lead.listing)));
        }
        sketches.iter().for_each(|found| self.print_sketch(found, output));
        for base in descent {
            output.line(&format!(
                "  descent    from {}, which the review panel holds to be trained on known abuse (information, no outcome)",
                model(base)
            ));
        }
        for found in registered {
            output.line(&format!("  registered {}", model(found)));
        }
        self.print_registry(output);
        let version = &registry.version;
        let (models, double) = (grouped(registry.models), grouped(registry.doubly_registered));
        output.note(&format!(
            "  registry   {version}: {models} registrations, {double} of models of two members; {} listed",
            grouped(registry.listings)
        ));
        if !sketches.is_empty() || !leads.is_empty() {
            output.note("  Leads and sketches are for a person to look at; they are no proof.");
        }
        if let Some(reason) = self.incomplete() {
            output.warn(&format!("  not complete: {}", printable(reason)));
        }
    }

    fn print_sketch(&self, found: &SketchMatchJson, output: Output) {
        let SketchMatchJson { evidence, verdict, nearest_benign, parts_missing, .. } = found;
        let mean = evidence.mean_bits_hundredths as f64 / 100.0;
        output.line(&format!(
            "  sketch     {verdict}: {mean:.1} of 256 bits over {} pairs, {} of them near, {} % covered; {}",
            evidence.pairs,
            evidence.near,
            evidence.coverage_percent,
            listed(&found.listing)
        ));
        if let Some(benign) = nearest_benign {
            let mean = benign.evidence.mean_bits_hundredths as f64 / 100.0;
            output.line(&format!("             nearest registered model: {mean:.1} bits, record {}", benign.record));
        }
        if *parts_missing > 0 {
            let parts = counted((*parts_missing).into(), "part", "parts");
            output.note(&format!("             {parts} of the listing have not come yet"));
        }
    }

    /// Against what the model was compared.
    fn print_registry(&self, output: Output) {
        for against in &self.placed.against {
            let changes = &against.changes;
            if changes.evidence.is_empty() && changes.without_base == 0 && changes.unchanged == 0 {
                continue;
            }
            let base = against.base.as_ref().map_or("its bases".to_owned(), model);
            output.line(&format!(
                "  against    {base}: {} changed, {} as there, {} without a base",
                counted(changes.evidence.len() as u64, "tile", "tiles"),
                grouped(changes.unchanged),
                grouped(changes.without_base),
            ));
        }
    }
}

fn listed(listing: &ListingJson) -> String {
    let ListingJson { record, member, status, form, review } = listing;
    format!("{form} listed by {member}, {review}, {status}, record {record}")
}

fn model(model: &RegisteredModelJson) -> String {
    let RegisteredModelJson { record, member, role, members, family, .. } = model;
    let members = counted((*members).into(), "member", "members");
    format!("{role} ({family}) registered by {member}, {members}, record {record}")
}
