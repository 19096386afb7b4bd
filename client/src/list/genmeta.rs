//! JSON of generation metadata: what `hashpact hash --json` prints about the making of a picture.

use hashpact_hashing::genmeta::GenMeta;
use hashpact_protocol::api::{ClaimedIdJson, GenmetaJson};
use hashpact_protocol::digest::hex_encode;
use hashpact_protocol::limits::RESOURCES_PER_RECORD_MAX;
use serde::{Deserialize, Serialize};

/// What a picture file says about its making. Self-declared: it links records and proves nothing.
///
/// Every field is a word of a fixed list, a number in bounds, or digits of a digest; prompts, names, seeds and
/// places have no field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenMetaJson {
    /// `png`, `jpeg` or `webp`.
    pub container: String,
    /// Where in the file it stands: `png_text`, `jpeg_comment`, `exif`, `xmp`, `c2pa`.
    pub carriers: Vec<String>,
    /// The program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// Its version, two or three numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Models that it names by digests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<ResourceJson>,
    /// Sampler, or `other`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampler: Option<String>,
    /// Noise schedule, or `other`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<String>,
    /// Steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u16>,
    /// Ten times the guidance scale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cfg_x10: Option<u16>,
    /// A hundred times the denoising strength.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denoise_x100: Option<u8>,
    /// Layers of the text encoder that were left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_skip: Option<u8>,
    /// The longer side, rounded up to 512, 768, 1024, 1536 or 2048; 0 for more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bucket: Option<u16>,
    /// SHA-256 of the sorted types of a workflow's nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// Content credentials.
    pub c2pa: C2paJson,
    /// The IPTC's digital source type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digital_source_type: Option<String>,
}

/// A model that a picture file names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceJson {
    /// `model`, `lora`, `embedding`, `vae` or `other`.
    pub kind: String,
    /// Which identifier: `sha256`, `autov2`, `autov3`, …
    pub id: String,
    /// Lower-case hexadecimal digits.
    pub hex: String,
    /// Always true: the file claims it.
    pub claimed: bool,
}

/// Content credentials in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct C2paJson {
    /// Whether there is a manifest.
    pub present: bool,
    /// Whether its signature holds; null, since it is not checked here.
    pub valid: Option<bool>,
}

impl GenMetaJson {
    /// The part of a record that states it; of more models than a record names the first.
    #[must_use]
    pub fn stated(&self) -> GenmetaJson {
        let resource = |resource: &ResourceJson| hashpact_protocol::api::ResourceJson {
            kind: resource.kind.clone(),
            id: ClaimedIdJson { identifier: resource.id.clone(), hex: resource.hex.clone(), raw: None },
            claimed: resource.claimed,
            raw: None,
        };
        let size = |size: u16| if size == 0 { "more".to_owned() } else { size.to_string() };
        let c2pa = match self.c2pa {
            C2paJson { present: false, .. } => None,
            C2paJson { valid: None, .. } => Some("present"),
            C2paJson { valid: Some(true), .. } => Some("valid"),
            C2paJson { valid: Some(false), .. } => Some("invalid"),
        };
        GenmetaJson {
            container: Some(self.container.clone()).filter(|container| !container.is_empty()),
            carriers: self.carriers.clone(),
            tool: self.tool.clone(),
            version: self.version.clone(),
            resources: self.resources.iter().take(RESOURCES_PER_RECORD_MAX).map(resource).collect(),
            sampler: self.sampler.clone(),
            scheduler: self.scheduler.clone(),
            steps: self.steps.map(u64::from),
            cfg_x10: self.cfg_x10.map(u64::from),
            denoise_x100: self.denoise_x100.map(u64::from),
            clip_skip: self.clip_skip.map(u64::from),
            size_bucket: self.size_bucket.map(size),
            workflow: self.workflow.clone(),
            c2pa: c2pa.map(str::to_owned),
            source_type: self.digital_source_type.clone(),
            ..GenmetaJson::default()
        }
    }

    /// The JSON of what was found; nothing when the file says nothing.
    #[must_use]
    pub fn of(found: &GenMeta) -> Option<Self> {
        if found.is_empty() {
            return None;
        }
        let word = |word: Option<&'static str>| word.map(str::to_owned);
        let resource = |resource: &hashpact_hashing::genmeta::Resource| ResourceJson {
            kind: resource.kind.name().to_owned(),
            id: resource.identifier.to_owned(),
            hex: resource.hex.clone(),
            claimed: true,
        };
        Some(Self {
            container: found.container.map_or("", |container| container.name()).to_owned(),
            carriers: found.carriers.iter().map(|carrier| carrier.name().to_owned()).collect(),
            tool: word(found.tool.map(|tool| tool.name())),
            version: found.version.clone(),
            resources: found.resources.iter().map(resource).collect(),
            sampler: word(found.sampler),
            scheduler: word(found.scheduler),
            steps: found.steps,
            cfg_x10: found.cfg_x10,
            denoise_x100: found.denoise_x100,
            clip_skip: found.clip_skip,
            size_bucket: found.size_bucket,
            workflow: found.workflow.map(|digest| hex_encode(&digest)),
            c2pa: C2paJson { present: found.c2pa, valid: None },
            digital_source_type: word(found.source_type),
        })
    }
}

#[cfg(test)]
mod tests {
    use hashpact_hashing::genmeta::{SAMPLERS, SCHEDULERS, SOURCE_TYPES};
    use hashpact_protocol::record::{Sampler, Scheduler, SourceType, Vocabulary as _};

    /// Whatever the reader of files may say can be stated.
    #[test]
    fn words_of_the_reader_are_words_of_records() {
        for word in SAMPLERS.into_iter().chain(["other"]) {
            assert!(Sampler::parse(word).is_some(), "{word}");
        }
        for word in SCHEDULERS.into_iter().chain(["other"]) {
            assert!(Scheduler::parse(word).is_some(), "{word}");
        }
        for word in SOURCE_TYPES {
            assert!(SourceType::parse(word).is_some(), "{word}");
        }
    }
}
