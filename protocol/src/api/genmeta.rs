//! What a file says about how it was made, as JSON: the part `genmeta` of a `content` record.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::details::{ClaimedIdJson, Raw, read_list, refuse_raw, shown, word};
use super::field::{FieldError, FieldRule, hex_into, vocabulary};
use crate::digest::hex_encode;
use crate::limits::{
    CFG_X10_MAX, CLIP_SKIP_MAX, DENOISE_X100_MAX, RESOURCES_PER_RECORD_MAX, STEPS_MAX, VERSION_NUMBER_MAX,
};
use crate::record::{
    Carrier, CarrierSet, Genmeta, Label, RecordError, Resource, ResourceKind, UnknownFields, Vocabulary as _,
};

/// What a media file itself says about how it was made. Its own statement, which can be forged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GenmetaJson {
    /// `png`, `jpeg`, `webp` or `other`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Where it stood: `png_text`, `jpeg_comment`, `exif`, `xmp`, `c2pa`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub carriers: Vec<String>,
    /// The program: `a1111`, `comfyui` and the like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// Its version: two or three numbers of at most three digits, such as `1.10.1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Models that it names, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<ResourceJson>,
    /// The sampler, such as `dpmpp_2m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampler: Option<String>,
    /// The noise schedule, such as `karras`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<String>,
    /// Steps, 1 to 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Ten times the guidance scale, 1 to 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cfg_x10: Option<u64>,
    /// A hundred times the strength of the change to a given picture, 1 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denoise_x100: Option<u64>,
    /// Layers of the text encoder that were left out, 1 to 24.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_skip: Option<u64>,
    /// The longer side in pixels, rounded up: `512`, `768`, `1024`, `1536`, `2048` or `more`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bucket: Option<String>,
    /// Digest of the types of a workflow's nodes, 64 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// `absent`, `present` (signature not checked), `valid` or `invalid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub c2pa: Option<String>,
    /// The IPTC's digital source type, such as `trainedAlgorithmicMedia`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_type: Option<String>,
    /// Answers only: numbers of values that this version cannot name, by field.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub raw: BTreeMap<String, u64>,
}

/// A model that a file names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ResourceJson {
    /// `model`, `lora`, `embedding`, `vae` or `other`.
    pub kind: String,
    /// By what.
    pub id: ClaimedIdJson,
    /// Whether only the file says so (default), or the contributing member verified it.
    #[serde(default = "claimed")]
    pub claimed: bool,
    /// Answers only: the number of a kind that this version cannot name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<u64>,
}

fn claimed() -> bool {
    true
}

impl GenmetaJson {
    /// Checks every field; paths in errors start at the object. `None` if nothing is stated.
    pub(super) fn read(&self) -> Result<Option<Genmeta>, FieldError> {
        refuse_raw(&self.raw)?;
        let carrier =
            |(nth, text): (usize, &String)| vocabulary::<Carrier>(&format!("carriers[{nth}]"), text);
        let carriers: Vec<Carrier> =
            self.carriers.iter().enumerate().map(carrier).collect::<Result<_, _>>()?;
        let workflow = match &self.workflow {
            Some(text) => {
                let mut bytes = [0; 32];
                hex_into("workflow", text, &mut bytes)?;
                Some(bytes)
            }
            None => None,
        };
        let genmeta = Genmeta {
            container: word("container", &self.container)?,
            carriers: carriers.into_iter().collect::<CarrierSet>(),
            tool: word("tool", &self.tool)?,
            version: read_version(&self.version)?,
            resources: read_list("resources", &self.resources, RESOURCES_PER_RECORD_MAX, ResourceJson::read)?,
            sampler: word("sampler", &self.sampler)?,
            scheduler: word("scheduler", &self.scheduler)?,
            steps: bounded("steps", self.steps, STEPS_MAX)?,
            cfg_x10: bounded("cfg_x10", self.cfg_x10, CFG_X10_MAX)?,
            denoise_x100: bounded("denoise_x100", self.denoise_x100, DENOISE_X100_MAX)?,
            clip_skip: bounded("clip_skip", self.clip_skip, CLIP_SKIP_MAX)?,
            size: word("size_bucket", &self.size_bucket)?,
            workflow,
            c2pa: word("c2pa", &self.c2pa)?,
            source_type: word("source_type", &self.source_type)?,
            unknown: UnknownFields::new(),
        };
        Ok((genmeta != Genmeta::default()).then_some(genmeta))
    }
}

/// A number of which 0 says nothing.
fn bounded(path: &str, stated: Option<u64>, max: u64) -> Result<u64, FieldError> {
    match stated {
        Some(got) if got > max => Err(FieldError::new(path, RecordError::NumberRange { got, max }.into())),
        stated => Ok(stated.unwrap_or(0)),
    }
}

fn read_version(text: &Option<String>) -> Result<Vec<u16>, FieldError> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let number = |part: &str| {
        let plain = (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| part.parse::<u16>().ok()).flatten().filter(|number| *number <= VERSION_NUMBER_MAX)
    };
    let numbers: Option<Vec<u16>> = text.split('.').map(number).collect();
    let numbers = numbers.filter(|numbers| matches!(numbers.len(), 2 | 3));
    numbers.ok_or_else(|| FieldError::new("version", RecordError::ToolVersion.into()))
}

impl From<&Genmeta> for GenmetaJson {
    fn from(genmeta: &Genmeta) -> Self {
        let mut raw = Raw::new();
        let stated = |number: u64| (number != 0).then_some(number);
        if genmeta.carriers.unknown_bits() != 0 {
            raw.insert(Carrier::FIELD.to_owned(), genmeta.carriers.unknown_bits());
        }
        let version: Vec<String> = genmeta.version.iter().map(u16::to_string).collect();
        Self {
            container: shown("container", genmeta.container, &mut raw),
            carriers: genmeta.carriers.iter().map(|word| word.name().to_owned()).collect(),
            tool: shown("tool", genmeta.tool, &mut raw),
            version: (!version.is_empty()).then(|| version.join(".")),
            resources: genmeta.resources.iter().map(ResourceJson::from).collect(),
            sampler: shown("sampler", genmeta.sampler, &mut raw),
            scheduler: shown("scheduler", genmeta.scheduler, &mut raw),
            steps: stated(genmeta.steps),
            cfg_x10: stated(genmeta.cfg_x10),
            denoise_x100: stated(genmeta.denoise_x100),
            clip_skip: stated(genmeta.clip_skip),
            size_bucket: shown("size_bucket", genmeta.size, &mut raw),
            workflow: genmeta.workflow.map(|bytes| hex_encode(&bytes)),
            c2pa: shown("c2pa", genmeta.c2pa, &mut raw),
            source_type: shown("source_type", genmeta.source_type, &mut raw),
            raw,
        }
    }
}

impl ResourceJson {
    fn read(&self) -> Result<Resource, FieldError> {
        if self.raw.is_some() {
            return Err(FieldError::new("raw", FieldRule::RawLabels));
        }
        let kind = vocabulary::<ResourceKind>("kind", &self.kind)?;
        let id = self.id.read().map_err(|error| error.within("id"))?;
        Ok(Resource { kind: kind.into(), id, claimed: self.claimed })
    }
}

impl From<&Resource> for ResourceJson {
    fn from(resource: &Resource) -> Self {
        let raw = match resource.kind {
            Label::Known(_) => None,
            Label::Unknown(code) => Some(code),
        };
        let kind = resource.kind.get().name().to_owned();
        Self { kind, id: ClaimedIdJson::from(&resource.id), claimed: resource.claimed, raw }
    }
}
