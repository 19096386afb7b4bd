//! JSON lines: records to state, records as exported, or the output of `hashpact hash --json`.
//!
//! The three shapes are told apart by a key that only one of them has: `record` (an exported
//! record has an id), `file` (an output of `hash`), neither (a record to state). An exported record
//! without a source gets its author as the source, so that passing it on does not look like a second,
//! independent statement.

use hashpact_protocol::api::{
    GenmetaJson, HandlingJson, ModelJson, NewRecord, NewSignal, RecordJson, SourceJson,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{LineError, Parsed, record_of, shortened};

/// What `hashpact hash --json` prints for one file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HashedFile {
    /// The file, as named on the command line or found in a folder.
    pub file: String,
    /// Its signals; PDQ first when it is a picture.
    pub signals: Vec<HashedSignal>,
    /// What a picture file says about its making. Not part of the record that would be stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub genmeta: Option<Box<GenmetaJson>>,
    /// Why there are no signals, or none of the picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A signal of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HashedSignal {
    /// Signal type.
    #[serde(rename = "type")]
    pub signal_type: String,
    /// Value in lower-case hexadecimal.
    pub value: String,
    /// Quality of a PDQ hash, 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<u8>,
    /// The seven other dihedral values of a PDQ hash.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<String>,
}

impl HashedFile {
    /// The record that would be stated, without labels.
    pub fn to_record(&self) -> NewRecord {
        record_of(
            self.signals
                .iter()
                .map(|signal| NewSignal {
                    signal_type: signal.signal_type.clone(),
                    value: signal.value.clone(),
                    quality: signal.quality,
                })
                .collect(),
        )
    }

    /// The seven other values of its PDQ hash, if it has one.
    pub fn variants(&self) -> Vec<String> {
        self.signals
            .iter()
            .find(|signal| !signal.variants.is_empty())
            .map_or(vec![], |pdq| pdq.variants.clone())
    }
}

/// The record that passes an exported one on: without the reports and the preservation, which are its author's.
///
/// # Errors
/// It is no statement or a further part of one, or it does not stand.
pub fn restated(exported: RecordJson) -> Result<NewRecord, LineError> {
    let kind = exported.states.clone().unwrap_or_else(|| match exported.kind.as_str() {
        "supersede" => "content".to_owned(),
        kind => kind.to_owned(),
    });
    let part = exported.model.as_ref().and_then(|model| model.part.as_ref());
    let is_statement = matches!(kind.as_str(), "content" | "model" | "dataset" | "service" | "ttp");
    if !is_statement || part.is_some_and(|part| part.number > 1) {
        return Err(LineError::Kind { kind: shortened(&exported.kind) });
    }
    if !matches!(exported.status.as_str(), "active" | "disputed" | "contested") {
        return Err(LineError::NotStanding { status: shortened(&exported.status) });
    }
    let source =
        exported.source.unwrap_or(SourceJson { organisation: exported.member, ..SourceJson::default() });
    // Values of sketches are not exported.
    let model = exported.model.map(|model| {
        let (tiles, roll_ups, numbers, vectors, vector_count, part) = Default::default();
        Box::new(ModelJson { tiles, roll_ups, numbers, vectors, vector_count, part, ..*model })
    });
    Ok(NewRecord {
        kind,
        subject: None,
        genmeta: exported.genmeta,
        model,
        dataset: exported.dataset,
        service: exported.service,
        ttp: exported.ttp,
        signals: exported.signals,
        labels: exported.labels.unwrap_or_default(),
        review: exported.review,
        source: Some(source),
        expires: exported.expires,
        handling: HandlingJson { reported_to: Vec::new(), preserved_until: None, ..exported.handling },
    })
}

/// Reads one line.
pub(super) fn read(text: &str) -> Result<Parsed, LineError> {
    let json = |error: serde_json::Error| LineError::Json { what: error.to_string() };
    let value: Value = serde_json::from_str(text).map_err(json)?;
    let Value::Object(fields) = &value else {
        return Err(LineError::Json { what: "expected an object in braces".to_owned() });
    };
    if fields.contains_key("record") {
        let exported: RecordJson = serde_json::from_value(value).map_err(json)?;
        return Ok(Parsed::from(restated(exported)?));
    }
    if fields.contains_key("file") {
        let hashed: HashedFile = serde_json::from_value(value).map_err(json)?;
        if let (Some(error), true) = (&hashed.error, hashed.signals.is_empty()) {
            return Err(LineError::NotHashed { error: error.clone() });
        }
        return Ok(Parsed {
            record: hashed.to_record(),
            variants: hashed.variants(),
            file: Some(hashed.file),
        });
    }
    serde_json::from_value::<NewRecord>(value).map(Parsed::from).map_err(json)
}
