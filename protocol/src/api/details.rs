//! What records say beside what all records say, by their kind, as JSON: models, data sets, services, techniques, and
//! what a file says about how it was made.
//!
//! As with labels, absence of a word means its default, and a value that a newer version wrote reads as its cautious
//! fallback and stands in `raw` with its number, which a request may not carry. Other records are named by the id of
//! their log and their place in it, as payloads name them. Answers show how many sketches there are, not their values.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::field::{FieldError, FieldRule, hex_bytes, hex_into, vocabulary};
use super::matching::check_count;
use crate::digest::{LogId, hex_encode};
use crate::limits::{
    CLAIMED_ID_MAX_BYTES, CLAIMS_PER_RECORD_MAX, RELATED_PER_LIST_MAX, TECHNIQUES_PER_RECORD_MAX,
    TILE_GROUPS_MAX, VECTORS_PER_RECORD_MAX,
};
use crate::record::{
    ClaimedId, Dataset, IdentifierType, Label, LabelWord, Model, ModelRole, Month, Part, RecordError,
    Service, SubjectRef, TILE_BITS_BYTES, TechniqueId, TileShape, Tiles, Ttp, Vocabulary as _,
};

/// Numbers of values that this version cannot name, by field.
pub(super) type Raw = BTreeMap<String, u64>;

/// A record, by its place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PlaceOfRecord {
    /// Id of its log: 64 hex digits, the SHA-256 of the log's origin.
    pub log_id: String,
    /// Its leaf index.
    pub index: u64,
}

/// An identifier of a model that a file claims.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ClaimedIdJson {
    /// `sha256`, `st_body`, `blake3`, `crc32`, `autov1`, `autov2`, `autov3`, `ti` or `undetermined`.
    pub identifier: String,
    /// Lower-case hexadecimal, as many digits as the identifier has; 8 to 64 of an undetermined one.
    pub hex: String,
    /// Answers only: the number of an identifier that this version cannot name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<u64>,
}

/// Tiles of one shape.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TilesJson {
    /// Rows of a tile.
    pub rows: u32,
    /// Columns of a tile.
    pub columns: u32,
    /// Requests only: bits of the tiles behind one another, base64 of 32 bytes each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<String>,
    /// Requests only: numbers of the tiles of a registered model behind one another, base64 of 256 f32 (little end
    /// first) each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numbers: Option<String>,
    /// Answers only: how many tiles there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

/// Which part of a statement that one payload is too small for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PartJson {
    /// Which one, from 1; all but the first name the first as `subject` and carry sketches only.
    pub number: u16,
    /// How many there are: 2 to 256.
    pub of: u16,
}

/// What a `model` record says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ModelJson {
    /// `full`, `finetune`, `merge`, `adapter`, `embedding`, `component` or `undetermined` (default).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<String>,
    /// `listed` (default), or of a registration `base`, `intermediate` or `stop`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Family of its base, such as `sdxl`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// Values in all tensors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<u64>,
    /// Tensors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tensors: Option<u64>,
    /// Bytes of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// The old hash of 8 digits, as recomputed: a lead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autov1: Option<String>,
    /// Identifiers that the file claims of itself, at most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claimed: Vec<ClaimedIdJson>,
    /// Techniques that it is used for, such as `HP-T0003`, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub techniques: Vec<String>,
    /// Records of models that it was made from, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub derived_from: Vec<PlaceOfRecord>,
    /// Records of data sets that it was trained on, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trained_on: Vec<PlaceOfRecord>,
    /// How its provider states that it marks what the model makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark: Option<String>,
    /// SHA-256 of the id by which a provider knows the copy that this one comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy: Option<String>,
    /// Bits of tiles, a group for each shape.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiles: Vec<TilesJson>,
    /// One value of bits for each shape.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roll_ups: Vec<TilesJson>,
    /// Requests only: bits of the vectors of a textual inversion behind one another, base64 of 32 bytes each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vectors: Option<String>,
    /// Answers only: how many vectors there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vector_count: Option<u64>,
    /// Numbers of the tiles of a registered model, a group for each shape.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub numbers: Vec<TilesJson>,
    /// Which part it is, where one payload is too small.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<PartJson>,
    /// Answers only: numbers of values that this version cannot name, by field.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub raw: BTreeMap<String, u64>,
}

/// What a `dataset` record says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DatasetJson {
    /// `files`, `index`, `latents`, `text` or `undetermined` (default).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<String>,
    /// How many items it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<u64>,
    /// How many of them are known to be abuse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<u64>,
    /// Bytes of its files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// Techniques that it is used for, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub techniques: Vec<String>,
    /// Records of data sets that it was made from, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub derived_from: Vec<PlaceOfRecord>,
    /// Answers only: numbers of values that this version cannot name, by field.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub raw: BTreeMap<String, u64>,
}

/// What a `service` record says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ServiceJson {
    /// `app`, `bot`, `site`, `api` or `undetermined` (default).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<String>,
    /// `android`, `ios`, `windows`, `macos`, `linux`, `web`, `messaging` or `undetermined` (default).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Techniques that it is used for, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub techniques: Vec<String>,
    /// Records of models that it offers, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub offers: Vec<PlaceOfRecord>,
    /// Answers only: numbers of values that this version cannot name, by field.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub raw: BTreeMap<String, u64>,
}

/// What a `ttp` record says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TtpJson {
    /// The technique, such as `HP-T0034`.
    pub technique: String,
    /// The month in which it was seen, `YYYY-MM`.
    pub month: String,
    /// `low`, `medium`, `high` or `unstated` (default).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<String>,
    /// `hub`, `social`, `messaging`, `forum`, `search`, `genai_service`, `payments` or `other` (default).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surface: Option<String>,
    /// How often: `1`, `2-9`, `10-99`, `100+` or `unstated` (default).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<String>,
    /// `human_review`, `hash_match`, `classifier_and_review` or `unstated` (default).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<String>,
    /// `ongoing`, `ended` or `observed` (default).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Records that it has to do with, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<PlaceOfRecord>,
    /// Answers only: numbers of values that this version cannot name, by field.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub raw: BTreeMap<String, u64>,
}

/// A word that may be absent.
pub(super) fn word<T: LabelWord>(path: &str, text: &Option<String>) -> Result<Label<T>, FieldError> {
    match text {
        Some(text) => vocabulary::<T>(path, text).map(Label::Known),
        None => Ok(Label::default()),
    }
}

/// A word as shown: nothing if it is the default.
pub(super) fn shown<T: LabelWord>(field: &str, label: Label<T>, raw: &mut Raw) -> Option<String> {
    if let Label::Unknown(code) = label {
        raw.insert(field.to_owned(), code);
    }
    (label.code() != 0).then(|| label.get().name().to_owned())
}

pub(super) fn refuse_raw(raw: &Raw) -> Result<(), FieldError> {
    if raw.is_empty() { Ok(()) } else { Err(FieldError::new("raw", FieldRule::RawLabels)) }
}

/// Reads a short list of which each element is a value of its own, each once.
pub(super) fn read_list<T, U: Ord>(
    path: &str,
    list: &[T],
    max: usize,
    read: impl Fn(&T) -> Result<U, FieldError>,
) -> Result<Vec<U>, FieldError> {
    if !list.is_empty() {
        check_count(path, list.len(), max)?;
    }
    let mut values: Vec<U> = Vec::with_capacity(list.len());
    for (nth, element) in list.iter().enumerate() {
        let at = format!("{path}[{nth}]");
        let value = read(element).map_err(|error| error.at(&at))?;
        if values.contains(&value) {
            return Err(FieldError::new(at, FieldRule::Twice));
        }
        values.push(value);
    }
    Ok(values)
}

fn count(number: u64) -> Option<u64> {
    (number != 0).then_some(number)
}

/// A number of which 0 is not to be stated.
fn number(path: &str, stated: Option<u64>) -> Result<u64, FieldError> {
    match stated {
        Some(0) => Err(FieldError::new(path, FieldRule::Zero)),
        stated => Ok(stated.unwrap_or(0)),
    }
}

fn fixed<const BYTES: usize>(path: &str, text: &Option<String>) -> Result<Option<[u8; BYTES]>, FieldError> {
    let Some(text) = text else { return Ok(None) };
    let mut bytes = [0; BYTES];
    hex_into(path, text, &mut bytes)?;
    Ok(Some(bytes))
}

fn read_technique(text: &str) -> Result<TechniqueId, FieldError> {
    TechniqueId::parse(text).map_err(|rule| FieldError::new("", rule.into()))
}

fn read_techniques(list: &[String]) -> Result<Vec<TechniqueId>, FieldError> {
    read_list("techniques", list, TECHNIQUES_PER_RECORD_MAX, |text| read_technique(text))
}

fn technique_texts(list: &[TechniqueId]) -> Vec<String> {
    list.iter().map(TechniqueId::to_string).collect()
}

fn read_places(path: &str, list: &[PlaceOfRecord]) -> Result<Vec<SubjectRef>, FieldError> {
    read_list(path, list, RELATED_PER_LIST_MAX, PlaceOfRecord::read)
}

fn places(list: &[SubjectRef]) -> Vec<PlaceOfRecord> {
    list.iter().map(PlaceOfRecord::from).collect()
}

impl PlaceOfRecord {
    fn read(&self) -> Result<SubjectRef, FieldError> {
        let mut log = [0; 32];
        hex_into("log_id", &self.log_id, &mut log)?;
        Ok(SubjectRef { log: LogId::new(log), index: self.index })
    }
}

impl From<&SubjectRef> for PlaceOfRecord {
    fn from(place: &SubjectRef) -> Self {
        Self { log_id: place.log.to_hex(), index: place.index }
    }
}

impl ClaimedIdJson {
    pub(super) fn read(&self) -> Result<ClaimedId, FieldError> {
        if self.raw.is_some() {
            return Err(FieldError::new("raw", FieldRule::RawLabels));
        }
        let identifier = vocabulary::<IdentifierType>("identifier", &self.identifier)?;
        let bytes = hex_bytes("hex", &self.hex, CLAIMED_ID_MAX_BYTES)?;
        ClaimedId::new(identifier, &bytes).map_err(|rule| FieldError::new("hex", rule.into()))
    }
}

impl From<&ClaimedId> for ClaimedIdJson {
    fn from(claimed: &ClaimedId) -> Self {
        let raw = match claimed.identifier() {
            Label::Known(_) => None,
            Label::Unknown(code) => Some(code),
        };
        let identifier = claimed.identifier().get().name().to_owned();
        Self { identifier, hex: hex_encode(claimed.bytes()), raw }
    }
}

impl TilesJson {
    fn shape(&self) -> TileShape {
        TileShape { rows: self.rows, columns: self.columns }
    }

    /// Reads values from the field that its list has, and refuses the others.
    fn read<const BYTES: usize>(&self) -> Result<Tiles<BYTES>, FieldError> {
        let is_bits = BYTES == TILE_BITS_BYTES;
        let (name, text, other) = if is_bits {
            ("bits", &self.bits, &self.numbers)
        } else {
            ("numbers", &self.numbers, &self.bits)
        };
        if other.is_some() || self.count.is_some() {
            let path = if self.count.is_some() {
                "count"
            } else if is_bits {
                "numbers"
            } else {
                "bits"
            };
            return Err(FieldError::new(path, FieldRule::NotHere));
        }
        let text = text.as_ref().ok_or_else(|| FieldError::new(name, FieldRule::Empty))?;
        let bytes = STANDARD.decode(text).map_err(|_| FieldError::new(name, FieldRule::Base64))?;
        Tiles::from_bytes(self.shape(), &bytes).map_err(|rule| FieldError::new(name, rule.into()))
    }

    /// The values, or their number where they were left out.
    fn of<const BYTES: usize>(tiles: &Tiles<BYTES>) -> Self {
        let TileShape { rows, columns } = tiles.shape();
        let json = Self { rows, columns, ..Self::default() };
        if tiles.values().is_empty() {
            return Self { count: Some(tiles.count() as u64), ..json };
        }
        let values = Some(STANDARD.encode(tiles.values().as_flattened()));
        if BYTES == TILE_BITS_BYTES {
            Self { bits: values, ..json }
        } else {
            Self { numbers: values, ..json }
        }
    }
}

fn read_groups<const BYTES: usize>(path: &str, list: &[TilesJson]) -> Result<Vec<Tiles<BYTES>>, FieldError> {
    // Each shape once; the values are read after that.
    read_list(path, list, TILE_GROUPS_MAX, |group| Ok(group.shape()))?;
    let group = |(nth, group): (usize, &TilesJson)| {
        group.read().map_err(|error| error.within(&format!("{path}[{nth}]")))
    };
    list.iter().enumerate().map(group).collect()
}

fn read_vectors(text: &Option<String>) -> Result<Vec<[u8; TILE_BITS_BYTES]>, FieldError> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let bytes = STANDARD.decode(text).map_err(|_| FieldError::new("vectors", FieldRule::Base64))?;
    match bytes.as_chunks() {
        (values, []) => {
            check_count("vectors", values.len(), VECTORS_PER_RECORD_MAX)?;
            Ok(values.to_vec())
        }
        _ => {
            let rule = RecordError::TileBytes { got: bytes.len(), width: TILE_BITS_BYTES };
            Err(FieldError::new("vectors", rule.into()))
        }
    }
}

impl ModelJson {
    /// Checks every field; paths in errors start at the model object.
    ///
    /// # Errors
    /// The first field that breaks a rule.
    pub(super) fn read(&self) -> Result<Model, FieldError> {
        refuse_raw(&self.raw)?;
        if self.vector_count.is_some() {
            return Err(FieldError::new("vector_count", FieldRule::NotHere));
        }
        let role = self.role.as_deref().map_or(Ok(ModelRole::Listed), |word| vocabulary("role", word))?;
        let model = Model {
            form: word("form", &self.form)?,
            role,
            family: word("family", &self.family)?,
            parameters: number("parameters", self.parameters)?,
            tensors: number("tensors", self.tensors)?,
            size_bytes: number("size_bytes", self.size_bytes)?,
            autov1: fixed("autov1", &self.autov1)?,
            claimed: read_list("claimed", &self.claimed, CLAIMS_PER_RECORD_MAX, ClaimedIdJson::read)?,
            techniques: read_techniques(&self.techniques)?,
            derived_from: read_places("derived_from", &self.derived_from)?,
            trained_on: read_places("trained_on", &self.trained_on)?,
            watermark: word("watermark", &self.watermark)?,
            copy: fixed("copy", &self.copy)?,
            tiles: read_groups("tiles", &self.tiles)?,
            roll_ups: read_groups("roll_ups", &self.roll_ups)?,
            vectors: read_vectors(&self.vectors)?,
            numbers: read_groups("numbers", &self.numbers)?,
            vector_count: 0,
            part: self.part.as_ref().map(|part| Part { number: part.number, of: part.of }),
        };
        Ok(model)
    }
}

impl From<&Model> for ModelJson {
    fn from(model: &Model) -> Self {
        let mut raw = Raw::new();
        let role = model.role;
        Self {
            form: shown("form", model.form, &mut raw),
            role: (role != ModelRole::Listed).then(|| role.name().to_owned()),
            family: shown("family", model.family, &mut raw),
            parameters: count(model.parameters),
            tensors: count(model.tensors),
            size_bytes: count(model.size_bytes),
            autov1: model.autov1.map(|bytes| hex_encode(&bytes)),
            claimed: model.claimed.iter().map(ClaimedIdJson::from).collect(),
            techniques: technique_texts(&model.techniques),
            derived_from: places(&model.derived_from),
            trained_on: places(&model.trained_on),
            watermark: shown("watermark", model.watermark, &mut raw),
            copy: model.copy.map(|bytes| hex_encode(&bytes)),
            tiles: model.tiles.iter().map(TilesJson::of).collect(),
            roll_ups: model.roll_ups.iter().map(TilesJson::of).collect(),
            vectors: (!model.vectors.is_empty()).then(|| STANDARD.encode(model.vectors.as_flattened())),
            vector_count: count(model.vector_count as u64).filter(|_| model.vectors.is_empty()),
            numbers: model.numbers.iter().map(TilesJson::of).collect(),
            part: model.part.map(|part| PartJson { number: part.number, of: part.of }),
            raw,
        }
    }
}

impl DatasetJson {
    pub(super) fn read(&self) -> Result<Dataset, FieldError> {
        refuse_raw(&self.raw)?;
        let dataset = Dataset {
            form: word("form", &self.form)?,
            items: number("items", self.items)?,
            known: number("known", self.known)?,
            size_bytes: number("size_bytes", self.size_bytes)?,
            techniques: read_techniques(&self.techniques)?,
            derived_from: read_places("derived_from", &self.derived_from)?,
        };
        if dataset.items != 0 && dataset.known > dataset.items {
            let rule = RecordError::KnownItems { known: dataset.known, items: dataset.items };
            return Err(FieldError::new("known", rule.into()));
        }
        Ok(dataset)
    }
}

impl From<&Dataset> for DatasetJson {
    fn from(dataset: &Dataset) -> Self {
        let mut raw = Raw::new();
        Self {
            form: shown("form", dataset.form, &mut raw),
            items: count(dataset.items),
            known: count(dataset.known),
            size_bytes: count(dataset.size_bytes),
            techniques: technique_texts(&dataset.techniques),
            derived_from: places(&dataset.derived_from),
            raw,
        }
    }
}

impl ServiceJson {
    pub(super) fn read(&self) -> Result<Service, FieldError> {
        refuse_raw(&self.raw)?;
        Ok(Service {
            form: word("form", &self.form)?,
            platform: word("platform", &self.platform)?,
            techniques: read_techniques(&self.techniques)?,
            offers: read_places("offers", &self.offers)?,
        })
    }
}

impl From<&Service> for ServiceJson {
    fn from(service: &Service) -> Self {
        let mut raw = Raw::new();
        Self {
            form: shown("form", service.form, &mut raw),
            platform: shown("platform", service.platform, &mut raw),
            techniques: technique_texts(&service.techniques),
            offers: places(&service.offers),
            raw,
        }
    }
}

impl TtpJson {
    pub(super) fn read(&self) -> Result<Ttp, FieldError> {
        refuse_raw(&self.raw)?;
        let technique = read_technique(&self.technique).map_err(|error| error.at("technique"))?;
        let month = Month::parse(&self.month).map_err(|rule| FieldError::new("month", rule.into()))?;
        Ok(Ttp {
            technique,
            month,
            confidence: word("confidence", &self.confidence)?,
            surface: word("surface", &self.surface)?,
            count: word("count", &self.count)?,
            basis: word("basis", &self.basis)?,
            status: word("status", &self.status)?,
            related: read_places("related", &self.related)?,
        })
    }
}

impl From<&Ttp> for TtpJson {
    fn from(ttp: &Ttp) -> Self {
        let mut raw = Raw::new();
        Self {
            technique: ttp.technique.to_string(),
            month: ttp.month.to_string(),
            confidence: shown("confidence", ttp.confidence, &mut raw),
            surface: shown("surface", ttp.surface, &mut raw),
            count: shown("count", ttp.count, &mut raw),
            basis: shown("basis", ttp.basis, &mut raw),
            status: shown("status", ttp.status, &mut raw),
            related: places(&ttp.related),
            raw,
        }
    }
}
