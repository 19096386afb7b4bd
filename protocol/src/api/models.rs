//! `POST /v1/models/bases` and `POST /v1/models/match`: which bases a model is made from, and whether it is known.
//!
//! Two calls, because what may be compared is what a model *adds* to a known base, and only its holder can compute
//! that: the first gives the bits of the weights' tiles (F-bits) for the numbers of the registered bases nearest to
//! them, the second asks with the bits of the differences (D-bits). Weights go nowhere; neither bits nor identifiers are
//! stored or logged.
//!
//! An exact identifier is judged by lists like that of a picture. Everything else (prefixes, checksums, claims, sketches) is
//! for a person, and never has an outcome.
//!
//! SPEC §13.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::field::{FieldError, FieldRule, hex_into, vocabulary};
use super::matching::{AsOf, MatchResult, Query, check_lists};
use crate::digest::RecordId;
use crate::limits::{
    MODEL_FINGERPRINTS_MAX, MODEL_IDS_MAX, MODEL_TILES_PER_CALL_MAX, TILE_SIDE_MIN, VECTORS_PER_RECORD_MAX,
};
use crate::record::{
    IdentifierType, Signal, SignalType, TILE_BITS_BYTES, TILE_NUMBERS_BYTES, TileShape,
};

/// Bits of the tiles of one shape.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TileGroupJson {
    /// Rows of each tile, at least 16.
    pub rows: u32,
    /// Columns of each tile, at least 16.
    pub columns: u32,
    /// The bits of all of them behind one another, 32 bytes each, in base64.
    pub bits: String,
}

/// Which registered bases are near these tiles?
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BasesRequest {
    /// F-bits of the model's tiles, at most 16,384 tiles.
    pub tiles: Vec<TileGroupJson>,
}

/// The bases of a model's tiles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BasesResponse {
    /// False while the node is loading, lagging or isolated: then a base may be missing.
    pub complete: bool,
    /// Why the answer is not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The state that was asked.
    pub as_of: AsOf,
    /// What the registry holds.
    pub registry: RegistryJson,
    /// Registered models that have a tile near one of those asked about.
    pub models: Vec<RegisteredModelJson>,
    /// The tiles with a base, or of the stop list, in the order of the request; others are left out.
    pub tiles: Vec<BaseTileJson>,
    /// The numbers of the base tiles, each once: 256 little-endian 32-bit floats in base64.
    pub numbers: Vec<String>,
}

/// What the registry holds: an answer is worth as much as it covers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RegistryJson {
    /// Name of its state; equal at all nodes that hold the same.
    pub version: String,
    /// Registrations of models that count.
    pub models: u64,
    /// Of these, those of models that two independent members registered: only they stand against a listing.
    pub doubly_registered: u64,
    /// Tiles of registered models.
    pub base_tiles: u64,
    /// Tiles of the stop list.
    pub stop_tiles: u64,
    /// Registrations that wait for the panel, because the model is listed.
    pub waiting: u64,
    /// Listed models.
    pub listings: u64,
    /// Of these, members registered the same model as benign.
    pub conflicting: u64,
    /// Tiles of listed models.
    pub listed_tiles: u64,
    /// Records of which a part has not come.
    pub incomplete: u64,
}

/// A registered model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RegisteredModelJson {
    /// The registration, 64 hex digits.
    pub record: String,
    /// Who registered it.
    pub member: String,
    /// `base` or `intermediate`.
    pub role: String,
    /// How many independent members registered the model.
    pub members: u32,
    /// Its family of bases.
    pub family: String,
    /// Whether the panel holds that it was trained on known abuse: information about what descends from it.
    pub trained_on_known_csam: bool,
}

/// One tile with its bases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BaseTileJson {
    /// Which group of the request, from 0.
    pub group: u32,
    /// Which tile of it, from 0.
    pub tile: u32,
    /// Whether it is of the stop list, and so no evidence.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// The nearest tile of each registered model within 31 bits, the nearest first; at most 4.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub near: Vec<NearBaseJson>,
}

/// A base of a tile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NearBaseJson {
    /// Place in `models`.
    pub model: u32,
    /// Distance in F-bits.
    pub distance: u32,
    /// Place in `numbers`.
    pub numbers: u32,
}

/// Is this model known?
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ModelMatchRequest {
    /// Identifiers, whole or cut short, at most 256.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<ModelIdJson>,
    /// What the model adds to known bases, once for each base that it may be made from; at most 4.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fingerprints: Vec<FingerprintJson>,
    /// Local lists to ask about whole identifiers; all of them when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lists: Option<Vec<String>>,
}

/// An identifier of a model file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ModelIdJson {
    /// `sha256`, `blake3`, `st_body`, `tset1`, `crc32`, `autov1`, `autov2`, `autov3` or `ti`; absent when it is not known.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub id_type: Option<String>,
    /// 64 lower-case hex digits, or the first 8, 10 or 12 of them.
    pub value: String,
}

/// What a model adds to one base, or an adapter as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FingerprintJson {
    /// The registration of the base that the bits are against; absent for adapters, vectors and several bases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// D-bits, at most 16,384 tiles over all fingerprints.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiles: Vec<TileGroupJson>,
    /// One value for each shape: finds what tiles alone would miss among millions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roll_ups: Vec<TileGroupJson>,
    /// Vectors of a textual inversion behind one another, 32 bytes each, in base64.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub vectors: String,
}

/// What is known of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ModelMatchResponse {
    /// False while the node is loading, lagging or isolated: then "nothing" proves nothing.
    pub complete: bool,
    /// Why the answer is not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The state that was asked.
    pub as_of: AsOf,
    /// What the registry holds.
    pub registry: RegistryJson,
    /// Listings with one of the whole identifiers, judged by lists; the only part with an outcome.
    pub exact: MatchResult,
    /// What prefixes, checksums and claims lead to: for a person.
    pub leads: Vec<ModelLeadJson>,
    /// Listings that the sketches resemble: for a person, whatever the verdict.
    pub sketches: Vec<SketchMatchJson>,
    /// Bases of the fingerprints that the panel holds to be trained on known abuse: information, no outcome.
    pub descent: Vec<RegisteredModelJson>,
    /// Registrations of the very model, by a whole identifier.
    pub registered: Vec<RegisteredModelJson>,
}

/// A record that an identifier leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ModelLeadJson {
    /// Which identifier of the request, from 0.
    pub id: u32,
    /// `sha256_prefix`, `st_body_prefix`, `autov1`, `crc32` or `claimed`.
    pub by: String,
    /// The listing.
    pub listing: ListingJson,
}

/// A listing, in short; the record has the rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ListingJson {
    /// Record id, 64 hex digits.
    pub record: String,
    /// Who listed it.
    pub member: String,
    /// How the record stands; `conflicting` when members registered the same model as benign.
    pub status: String,
    /// `full`, `finetune`, `merge`, `adapter`, `embedding`, `component` or `undetermined`.
    pub form: String,
    /// Who looked at it.
    pub review: String,
}

/// A listing that a sketch resembles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SketchMatchJson {
    /// The listing.
    pub listing: ListingJson,
    /// `same` or `review`; `nothing` when a benign model is nearer. Never an outcome.
    pub verdict: String,
    /// Which fingerprint of the request, from 0.
    pub fingerprint: u32,
    /// How the two compare.
    pub evidence: ComparisonJson,
    /// The nearest registered benign model, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest_benign: Option<NearestBenignJson>,
    /// Parts of the listing that have not come: the evidence may be more than it seems.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub parts_missing: u32,
}

/// How two fingerprints compare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ComparisonJson {
    /// Tiles of the listing.
    pub listed: u64,
    /// How many of them have a pair.
    pub pairs: u64,
    /// Mean distance of the pairs, in hundredths of a bit (of 256 bits; unrelated: about 11,000).
    pub mean_bits_hundredths: u64,
    /// Pairs within the bits that count as the same.
    pub near: u64,
    /// The nearest pair, in bits.
    pub least_bits: u32,
    /// The farthest pair, in bits.
    pub most_bits: u32,
    /// Share of the listed tiles that have a pair, in percent.
    pub coverage_percent: u64,
}

/// The nearest benign model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NearestBenignJson {
    /// Its registration.
    pub record: String,
    /// How the model compares with it.
    pub evidence: ComparisonJson,
}

/// The 256 numbers of a base tile from their text, 1,024 bytes; none if it is another.
#[must_use]
pub fn tile_numbers(text: &str) -> Option<[u8; TILE_NUMBERS_BYTES]> {
    BASE64.decode(text).ok()?.try_into().ok()
}

/// The text of the values of tiles behind one another.
#[must_use]
pub fn tile_text(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// The text of vectors, as a fingerprint has it.
#[must_use]
pub fn vectors_text(vectors: &[[u8; TILE_BITS_BYTES]]) -> String {
    BASE64.encode(vectors.as_flattened())
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Checked bits of one tile with its shape.
pub type ShapedBits = (TileShape, [u8; TILE_BITS_BYTES]);

/// A checked identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelId {
    /// Its type, if it is known.
    pub id_type: Option<ModelIdType>,
    /// Its bytes: 32, or the first 4, 5 or 6.
    pub bytes: Vec<u8>,
}

/// Which identifier of a model it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelIdType {
    /// One that tools quote.
    Known(IdentifierType),
    /// The digest of the set of tensors.
    Tset1,
}

/// A checked fingerprint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AskedFingerprint {
    /// The registration of the base.
    pub base: Option<RecordId>,
    /// D-bits with their shapes.
    pub tiles: Vec<ShapedBits>,
    /// Roll-ups with their shapes.
    pub roll_ups: Vec<ShapedBits>,
    /// Vectors of a textual inversion.
    pub vectors: Vec<[u8; TILE_BITS_BYTES]>,
}

/// A checked question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AskedModel {
    /// Identifiers in the order of the request.
    pub ids: Vec<ModelId>,
    /// Fingerprints in the order of the request.
    pub fingerprints: Vec<AskedFingerprint>,
}

impl BasesRequest {
    /// Checks every rule of the request; tiles with their place in it (group, tile).
    ///
    /// # Errors
    /// The first field that breaks a rule.
    pub fn to_tiles(&self) -> Result<Vec<(u32, u32, ShapedBits)>, FieldError> {
        let mut found = Vec::new();
        let mut room = MODEL_TILES_PER_CALL_MAX;
        for (nth, group) in (0u32..).zip(&self.tiles) {
            let bits = group.to_bits(&format!("tiles[{nth}]"), &mut room)?;
            found.extend((0u32..).zip(bits).map(|(tile, bits)| (nth, tile, bits)));
        }
        Ok(found)
    }
}

impl TileGroupJson {
    /// Bits of one shape, in the order given.
    #[must_use]
    pub fn new(shape: TileShape, bits: &[[u8; TILE_BITS_BYTES]]) -> Self {
        let TileShape { rows, columns } = shape;
        Self { rows, columns, bits: BASE64.encode(bits.as_flattened()) }
    }

    fn to_bits(&self, path: &str, room: &mut usize) -> Result<Vec<ShapedBits>, FieldError> {
        let shape = TileShape { rows: self.rows, columns: self.columns };
        let least = self.rows.min(self.columns);
        if least < TILE_SIDE_MIN {
            return Err(FieldError::new(path, FieldRule::TileSide { got: least, min: TILE_SIDE_MIN }));
        }
        let bits = values(&format!("{path}.bits"), &self.bits)?;
        take(path, bits.len(), room)?;
        Ok(bits.into_iter().map(|bits| (shape, bits)).collect())
    }
}

impl ModelMatchRequest {
    /// Checks the names of lists.
    ///
    /// # Errors
    /// One that is no token, none of them, or too many.
    pub fn check_lists(&self) -> Result<(), FieldError> {
        self.lists.as_deref().map_or(Ok(()), check_lists)
    }

    /// Checks every rule of the request but those of `lists` ([`Self::check_lists`]).
    ///
    /// # Errors
    /// The first field that breaks a rule.
    pub fn to_model(&self) -> Result<AskedModel, FieldError> {
        if self.ids.is_empty() && self.fingerprints.is_empty() {
            return Err(FieldError::new("ids", FieldRule::Empty));
        }
        at_most("ids", self.ids.len(), MODEL_IDS_MAX)?;
        at_most("fingerprints", self.fingerprints.len(), MODEL_FINGERPRINTS_MAX)?;
        let ids = self.ids.iter().enumerate().map(|(nth, id)| id.to_id(&format!("ids[{nth}]")));
        let mut room = MODEL_TILES_PER_CALL_MAX;
        let fingerprints = self.fingerprints.iter().enumerate();
        let fingerprints =
            fingerprints.map(|(nth, asked)| asked.to_asked(&format!("fingerprints[{nth}]"), &mut room));
        Ok(AskedModel {
            ids: ids.collect::<Result<_, _>>()?,
            fingerprints: fingerprints.collect::<Result<_, _>>()?,
        })
    }
}

impl ModelIdJson {
    fn to_id(&self, path: &str) -> Result<ModelId, FieldError> {
        let type_path = format!("{path}.type");
        let id_type = match self.id_type.as_deref() {
            None => None,
            Some("tset1") => Some(ModelIdType::Tset1),
            Some(word) => Some(ModelIdType::Known(vocabulary(&type_path, word)?)),
        };
        let digits = self.value.len();
        let is_whole = digits == 64;
        let fits = match id_type {
            Some(ModelIdType::Known(known)) => known.width_bytes().is_none_or(|width| {
                // A whole digest may be cut short; what is short by definition has one width.
                digits == width * 2 || (width == 32 && matches!(digits, 8 | 10 | 12))
            }),
            Some(ModelIdType::Tset1) => is_whole,
            None => true,
        };
        if !fits || !(is_whole || matches!(digits, 8 | 10 | 12)) {
            return Err(FieldError::new(format!("{path}.value"), FieldRule::ModelIdDigits { got: digits }));
        }
        let mut bytes = vec![0; digits / 2];
        hex_into(&format!("{path}.value"), &self.value, &mut bytes)?;
        Ok(ModelId { id_type, bytes })
    }
}

impl FingerprintJson {
    fn to_asked(&self, path: &str, room: &mut usize) -> Result<AskedFingerprint, FieldError> {
        let base = match &self.base {
            Some(text) => {
                let mut id = [0; 32];
                hex_into(&format!("{path}.base"), text, &mut id)?;
                Some(RecordId::new(id))
            }
            None => None,
        };
        let mut groups = |name: &str, groups: &[TileGroupJson]| -> Result<Vec<ShapedBits>, FieldError> {
            let mut found = Vec::new();
            for (nth, group) in groups.iter().enumerate() {
                found.extend(group.to_bits(&format!("{path}.{name}[{nth}]"), room)?);
            }
            Ok(found)
        };
        let (tiles, roll_ups) = (groups("tiles", &self.tiles)?, groups("roll_ups", &self.roll_ups)?);
        let vectors =
            if self.vectors.is_empty() { Vec::new() } else { values(&format!("{path}.vectors"), &self.vectors)? };
        at_most(&format!("{path}.vectors"), vectors.len(), VECTORS_PER_RECORD_MAX)?;
        Ok(AskedFingerprint { base, tiles, roll_ups, vectors })
    }
}

impl ModelId {
    /// The signals that it is, if it is whole: what is found exactly. One of unknown type may be any of them.
    #[must_use]
    pub fn signals(&self) -> Vec<Signal> {
        use IdentifierType::{Blake3, Sha256, StBody, Undetermined};
        if self.bytes.len() != 32 {
            return Vec::new();
        }
        let kinds: &[SignalType] = match self.id_type {
            Some(ModelIdType::Known(Sha256)) => &[SignalType::ModelSha256],
            Some(ModelIdType::Known(Blake3)) => &[SignalType::ModelBlake3],
            Some(ModelIdType::Known(StBody)) => &[SignalType::StBody],
            Some(ModelIdType::Tset1) => &[SignalType::Tset1],
            Some(ModelIdType::Known(Undetermined)) | None => {
                &[SignalType::ModelSha256, SignalType::ModelBlake3, SignalType::StBody, SignalType::Tset1]
            }
            Some(ModelIdType::Known(_)) => &[],
        };
        kinds.iter().filter_map(|kind| Signal::new(*kind, &self.bytes, None).ok()).collect()
    }
}

impl AskedModel {
    /// The question of its whole identifiers, as for a picture's.
    #[must_use]
    pub fn query(&self) -> Query {
        let signals = self.ids.iter().flat_map(ModelId::signals).map(|signal| (signal, Vec::new()));
        Query { id: "model".to_owned(), signals: signals.collect() }
    }
}

fn values(path: &str, text: &str) -> Result<Vec<[u8; TILE_BITS_BYTES]>, FieldError> {
    let invalid = || FieldError::new(path, FieldRule::TileBits);
    let bytes = BASE64.decode(text).map_err(|_| invalid())?;
    match bytes.as_chunks() {
        (values @ [_, ..], []) => Ok(values.to_vec()),
        _ => Err(invalid()),
    }
}

fn take(path: &str, count: usize, room: &mut usize) -> Result<(), FieldError> {
    let max = MODEL_TILES_PER_CALL_MAX;
    *room = room
        .checked_sub(count)
        .ok_or_else(|| FieldError::new(path, FieldRule::TooMany { got: max - *room + count, max }))?;
    Ok(())
}

fn at_most(path: &str, got: usize, max: usize) -> Result<(), FieldError> {
    if got > max { Err(FieldError::new(path, FieldRule::TooMany { got, max })) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
