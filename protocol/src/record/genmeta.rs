//! `genmeta`, a part of `content`: what the file itself says about how it was made.
//!
//! The file's own statement, which can be forged or removed: it links records, and proves nothing. Every field is a
//! number in bounds, a word of a fixed list or digits of a digest, so that no prompt, seed, file name, place or person
//! has a field to stand in.
//!
//! SPEC §7.18.

use super::error::{RecordError, SchemaError};
use super::genmeta_words::{
    C2pa, Carrier, Container, ResourceKind, Sampler, Scheduler, SizeBucket, SourceType, Tool,
};
use super::identifier::ClaimedId;
use super::lists::{check_ascending, read_ascending};
use super::schema::{MapReader, MapWriter, UnknownFields, find_foreign_key};
use super::vocabulary::{Label, Vocabulary};
use crate::codec::{Fields, Int, Value};
use crate::leaf::OpaqueReason;
use crate::limits::{
    CFG_X10_MAX, CLIP_SKIP_MAX, DENOISE_X100_MAX, RESOURCES_PER_RECORD_MAX, STEPS_MAX, VERSION_NUMBER_MAX,
};

pub(super) const MAP: &str = "genmeta";

const KEY_CONTAINER: u64 = 1;
const KEY_CARRIERS: u64 = 3;
const KEY_TOOL: u64 = 5;
const KEY_VERSION: u64 = 6;
const KEY_SAMPLER: u64 = 7;
const KEY_RESOURCES: u64 = 8;
const KEY_SCHEDULER: u64 = 9;
const KEY_WORKFLOW: u64 = 10;
const KEY_STEPS: u64 = 11;
const KEY_CFG: u64 = 13;
const KEY_DENOISE: u64 = 15;
const KEY_CLIP_SKIP: u64 = 17;
const KEY_SIZE: u64 = 19;
const KEY_C2PA: u64 = 21;
const KEY_SOURCE_TYPE: u64 = 23;

/// Where something was found in a file, as bits; bits of a newer version are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CarrierSet(u64);

impl CarrierSet {
    /// The set with these bits.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits as stated.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The bits that this version has no word for.
    #[must_use]
    pub fn unknown_bits(self) -> u64 {
        Carrier::all().fold(self.0, |bits, word| bits & !(1 << word.code()))
    }

    /// The words in the set, by code.
    pub fn iter(self) -> impl Iterator<Item = Carrier> {
        Carrier::all().filter(move |word| self.0 & (1 << word.code()) != 0)
    }
}

impl FromIterator<Carrier> for CarrierSet {
    fn from_iter<I: IntoIterator<Item = Carrier>>(words: I) -> Self {
        Self(words.into_iter().fold(0, |bits, word| bits | 1 << word.code()))
    }
}

/// A model that the file names. Ordered by the code of its kind, then by its identifier.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Resource {
    /// What it is said to be.
    pub kind: Label<ResourceKind>,
    /// The identifier.
    pub id: ClaimedId,
    /// Whether only the file says so; otherwise the author of the record holds a model with that identifier that the
    /// file was made with.
    pub claimed: bool,
}

impl Ord for Resource {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let key = |one: &Self| (one.kind.code(), one.id.clone(), one.claimed);
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for Resource {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// What a file says about how it was made; the default is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Genmeta {
    /// Its format.
    pub container: Label<Container>,
    /// Where the statement stood.
    pub carriers: CarrierSet,
    /// The program.
    pub tool: Label<Tool>,
    /// Its version: two or three numbers of at most three digits.
    pub version: Vec<u16>,
    /// Models that it names, ascending.
    pub resources: Vec<Resource>,
    /// The sampler.
    pub sampler: Label<Sampler>,
    /// The noise schedule.
    pub scheduler: Label<Scheduler>,
    /// Steps, 1 to 1000; 0 is not stated.
    pub steps: u64,
    /// Ten times the guidance scale, 1 to 1000; 0 is not stated.
    pub cfg_x10: u64,
    /// A hundred times the strength of the change to a given picture, 1 to 100; 0 is not stated.
    pub denoise_x100: u64,
    /// Layers of the text encoder that were left out, 1 to 24; 0 is not stated.
    pub clip_skip: u64,
    /// The longer side.
    pub size: Label<SizeBucket>,
    /// Digest of the types of a workflow's nodes (SPEC §13.3).
    pub workflow: Option<[u8; 32]>,
    /// Its C2PA manifest.
    pub c2pa: Label<C2pa>,
    /// The IPTC's digital source type.
    pub source_type: Label<SourceType>,
    /// Fields of a newer version that may be ignored.
    pub unknown: UnknownFields,
}

impl Genmeta {
    /// Puts its list in order.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.resources.sort();
        self
    }

    /// Every rule but those that its types keep, with the key that each is about.
    pub(super) fn check(&self) -> Result<(), (u64, RecordError)> {
        check_ascending(&self.resources, RESOURCES_PER_RECORD_MAX).map_err(|rule| (KEY_RESOURCES, rule))?;
        let is_version = matches!(self.version.len(), 0 | 2 | 3);
        if !is_version || self.version.iter().any(|number| *number > VERSION_NUMBER_MAX) {
            return Err((KEY_VERSION, RecordError::ToolVersion));
        }
        for (key, got, max) in [
            (KEY_STEPS, self.steps, STEPS_MAX),
            (KEY_CFG, self.cfg_x10, CFG_X10_MAX),
            (KEY_DENOISE, self.denoise_x100, DENOISE_X100_MAX),
            (KEY_CLIP_SKIP, self.clip_skip, CLIP_SKIP_MAX),
        ] {
            if got > max {
                return Err((key, RecordError::NumberRange { got, max }));
            }
        }
        Ok(())
    }

    pub(super) fn find_foreign(fields: &Fields) -> Option<OpaqueReason> {
        find_foreign_key(MAP, fields, &[KEY_VERSION, KEY_RESOURCES, KEY_WORKFLOW])
    }

    pub(super) fn read(fields: Fields) -> Result<Self, SchemaError> {
        let mut map = MapReader::new(MAP, fields);
        let genmeta = Self {
            container: map.label(KEY_CONTAINER)?,
            carriers: CarrierSet(map.unsigned_or_zero(KEY_CARRIERS)?),
            tool: map.label(KEY_TOOL)?,
            version: read_version(&mut map)?,
            resources: read_ascending(&mut map, KEY_RESOURCES, RESOURCES_PER_RECORD_MAX, read_resource)?,
            sampler: map.label(KEY_SAMPLER)?,
            scheduler: map.label(KEY_SCHEDULER)?,
            steps: map.unsigned_or_zero(KEY_STEPS)?,
            cfg_x10: map.unsigned_or_zero(KEY_CFG)?,
            denoise_x100: map.unsigned_or_zero(KEY_DENOISE)?,
            clip_skip: map.unsigned_or_zero(KEY_CLIP_SKIP)?,
            size: map.label(KEY_SIZE)?,
            workflow: map.fixed(KEY_WORKFLOW)?,
            c2pa: map.label(KEY_C2PA)?,
            source_type: map.label(KEY_SOURCE_TYPE)?,
            unknown: UnknownFields::new(),
        };
        genmeta.check().map_err(|(key, rule)| map.broken(key, rule))?;
        Ok(Self { unknown: map.finish()?, ..genmeta })
    }

    pub(super) fn to_fields(&self) -> Fields {
        let mut map = MapWriter::new(&self.unknown);
        map.put_nonzero(KEY_CONTAINER, self.container.code());
        map.put_nonzero(KEY_CARRIERS, self.carriers.bits());
        map.put_nonzero(KEY_TOOL, self.tool.code());
        map.put_list(KEY_VERSION, self.version.iter().map(|number| Value::unsigned(*number)).collect());
        map.put_list(KEY_RESOURCES, self.resources.iter().map(write_resource).collect());
        map.put_nonzero(KEY_SAMPLER, self.sampler.code());
        map.put_nonzero(KEY_SCHEDULER, self.scheduler.code());
        map.put_nonzero(KEY_STEPS, self.steps);
        map.put_nonzero(KEY_CFG, self.cfg_x10);
        map.put_nonzero(KEY_DENOISE, self.denoise_x100);
        map.put_nonzero(KEY_CLIP_SKIP, self.clip_skip);
        map.put_nonzero(KEY_SIZE, self.size.code());
        map.put_some(KEY_WORKFLOW, self.workflow.map(|bytes| Value::Bytes(bytes.to_vec())));
        map.put_nonzero(KEY_C2PA, self.c2pa.code());
        map.put_nonzero(KEY_SOURCE_TYPE, self.source_type.code());
        map.finish()
    }
}

fn read_version(map: &mut MapReader) -> Result<Vec<u16>, SchemaError> {
    let Some(elements) = map.array(KEY_VERSION)? else { return Ok(Vec::new()) };
    let number = |element: &Value| u16::try_from(element.as_unsigned()?).ok();
    let numbers: Option<Vec<u16>> = elements.iter().map(number).collect();
    let numbers = numbers.filter(|numbers| !numbers.is_empty());
    numbers.ok_or_else(|| map.broken(KEY_VERSION, RecordError::ToolVersion))
}

fn read_resource(nth: usize, element: &Value) -> Result<Resource, RecordError> {
    let shape = || RecordError::ListShape { nth, expected: "[kind, identifier, bytes, claimed]" };
    let Value::Array(parts) = element else { return Err(shape()) };
    let [
        Value::Int(Int::Unsigned(kind)),
        Value::Int(Int::Unsigned(identifier)),
        Value::Bytes(bytes),
        Value::Bool(claimed),
    ] = parts.as_slice()
    else {
        return Err(shape());
    };
    let id = ClaimedId::new(Label::from_code(*identifier), bytes)?;
    Ok(Resource { kind: Label::from_code(*kind), id, claimed: *claimed })
}

fn write_resource(resource: &Resource) -> Value {
    Value::Array(vec![
        Value::unsigned(resource.kind.code()),
        Value::unsigned(resource.id.identifier().code()),
        Value::Bytes(resource.id.bytes().to_vec()),
        Value::Bool(resource.claimed),
    ])
}
