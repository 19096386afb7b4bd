//! What a picture file says about its making, in the JSON of records: what `hashpact hash --json` prints is what is stated.

use hashpact_hashing::genmeta::{GenMeta, Resource};
use hashpact_protocol::api::{ClaimedIdJson, GenmetaJson, ResourceJson};
use hashpact_protocol::digest::hex_encode;
use hashpact_protocol::limits::RESOURCES_PER_RECORD_MAX;

/// The JSON of what was found; nothing when the file says nothing.
#[must_use]
pub fn described(found: &GenMeta) -> Option<GenmetaJson> {
    if found.is_empty() {
        return None;
    }
    let word = |word: Option<&'static str>| word.map(str::to_owned);
    let resource = |resource: &Resource| ResourceJson {
        kind: resource.kind.name().to_owned(),
        id: ClaimedIdJson {
            identifier: resource.identifier.to_owned(),
            hex: resource.hex.clone(),
            ..ClaimedIdJson::default()
        },
        claimed: true,
        raw: None,
    };
    let size = |size: u16| if size == 0 { "more".to_owned() } else { size.to_string() };
    Some(GenmetaJson {
        container: word(found.container.map(|container| container.name())),
        carriers: found.carriers.iter().map(|carrier| carrier.name().to_owned()).collect(),
        tool: word(found.tool.map(|tool| tool.name())),
        version: found.version.clone(),
        resources: found.resources.iter().map(resource).collect(),
        sampler: word(found.sampler),
        scheduler: word(found.scheduler),
        steps: found.steps.map(u64::from),
        cfg_x10: found.cfg_x10.map(u64::from),
        denoise_x100: found.denoise_x100.map(u64::from),
        clip_skip: found.clip_skip.map(u64::from),
        size_bucket: found.size_bucket.map(size),
        workflow: found.workflow.map(|digest| hex_encode(&digest)),
        // Its signature is not checked here.
        c2pa: found.c2pa.then(|| "present".to_owned()),
        source_type: word(found.source_type),
        ..GenmetaJson::default()
    })
}

/// As a record may state it: of more models than it has room for the first.
#[must_use]
pub fn stated(mut described: GenmetaJson) -> GenmetaJson {
    described.resources.truncate(RESOURCES_PER_RECORD_MAX);
    described
}

#[cfg(test)]
mod tests {
    use hashpact_hashing::genmeta::{SAMPLERS, SCHEDULERS, SOURCE_TYPES, Tool};
    use hashpact_protocol::record::{self, Sampler, Scheduler, SourceType, Vocabulary as _};

    /// Whatever the reader of files may say can be stated.
    #[test]
    fn words_of_the_reader_are_words_of_records() {
        for word in SAMPLERS.into_iter().chain(["other"]) {
            assert!(Sampler::parse(word).is_some(), "{word}");
        }
        for word in SCHEDULERS.into_iter().chain(["other"]) {
            assert!(Scheduler::parse(word).is_some(), "{word}");
        }
        for tool in Tool::ALL {
            assert!(record::Tool::parse(tool.name()).is_some(), "{}", tool.name());
        }
        for word in SOURCE_TYPES {
            assert!(SourceType::parse(word).is_some(), "{word}");
        }
    }
}
