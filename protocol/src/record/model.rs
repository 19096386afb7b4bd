//! `model`: a generative model, by its exact identifiers and by sketches of its weights.
//!
//! One record is either a **listing** (a model made for abuse, or known to contain it) or a **registration** (a public
//! base, or a popular benign model that others are derived from, so that descent from it is no evidence). The role
//! says which; a role that this version does not know makes the entry opaque, because a listing must never be read
//! out of something else.
//!
//! What a listing shows of weights is what was *added* to a known base (D-bits), never the bits of the weights
//! themselves, which every innocent descendant of a public base has too. A sketch cannot be turned back into weights.
//! What does not fit one payload goes on in further records, its parts.
//!
//! SPEC §7.14.

use super::error::{RecordError, SchemaError};
use super::identifier::{ClaimedId, read_claimed, write_claimed};
use super::lists::{
    check_ascending, read_ascending, read_related, read_techniques, write_related, write_techniques,
};
use super::schema::{MapReader, MapWriter, SubjectRef};
use super::techniques::TechniqueId;
use super::tiles::{TILE_BITS_BYTES, TileBits, TileNumbers, Tiles, check_groups, read_groups, write_groups};
use super::vocabulary::{Label, LabelWord, Vocabulary};
use crate::codec::{Fields, Int, Value};
use crate::leaf::OpaqueReason;
use crate::limits::{
    CLAIMS_PER_RECORD_MAX, MODEL_PARTS_MAX, RELATED_PER_LIST_MAX, TECHNIQUES_PER_RECORD_MAX,
    VECTORS_PER_RECORD_MAX,
};

pub(super) const KEY_FORM: u64 = 21;
const KEY_FAMILY: u64 = 23;
const KEY_ROLE: u64 = 24;
const KEY_PARAMETERS: u64 = 25;
const KEY_PART: u64 = 26;
const KEY_TENSORS: u64 = 27;
const KEY_AUTOV1: u64 = 28;
pub(super) const KEY_SIZE: u64 = 29;
const KEY_CLAIMED: u64 = 30;
const KEY_WATERMARK: u64 = 31;
pub(super) const KEY_TECHNIQUES: u64 = 32;
pub(super) const KEY_DERIVED_FROM: u64 = 34;
const KEY_TRAINED_ON: u64 = 36;
const KEY_COPY: u64 = 38;
const KEY_TILES: u64 = 40;
const KEY_ROLL_UPS: u64 = 42;
const KEY_VECTORS: u64 = 44;
const KEY_NUMBERS: u64 = 46;

/// Keys that a reader must understand.
pub(super) const KEYS_EVEN: [u64; 12] = [
    KEY_ROLE,
    KEY_PART,
    KEY_AUTOV1,
    KEY_CLAIMED,
    KEY_TECHNIQUES,
    KEY_DERIVED_FROM,
    KEY_TRAINED_ON,
    KEY_COPY,
    KEY_TILES,
    KEY_ROLL_UPS,
    KEY_VECTORS,
    KEY_NUMBERS,
];

/// The first four bytes of the SHA-256 of nothing, which all small files would share as `autov1`.
const AUTOV1_OF_NOTHING: [u8; 4] = [0xe3, 0xb0, 0xc4, 0x42];

/// What kind of model the file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ModelForm {
    /// Not known.
    #[default]
    Undetermined,
    /// Full weights, of which nothing else is known.
    Full,
    /// Full weights, trained on from others.
    Finetune,
    /// Full weights, merged from others.
    Merge,
    /// Low-rank changes to a base: LoRA and its kin.
    Adapter,
    /// Vectors of a textual inversion.
    Embedding,
    /// A part of a model: text encoder, VAE, control network.
    Component,
}

impl Vocabulary for ModelForm {
    const FIELD: &'static str = "form";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self::Undetermined, 0, "undetermined"),
        (Self::Full, 1, "full"),
        (Self::Finetune, 2, "finetune"),
        (Self::Merge, 3, "merge"),
        (Self::Adapter, 4, "adapter"),
        (Self::Embedding, 5, "embedding"),
        (Self::Component, 6, "component"),
    ];
}

impl LabelWord for ModelForm {
    const DEFAULT: Self = Self::Undetermined;
    const FALLBACK: Self = Self::Undetermined;
}

/// What the record says of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ModelRole {
    /// It is made for abuse, or contains it: a listing.
    Listed,
    /// A public base: a registration.
    Base,
    /// A popular benign model that others are derived from: a registration.
    Intermediate,
    /// Tiles that many models share and that are no evidence: a registration.
    Stop,
}

impl Vocabulary for ModelRole {
    const FIELD: &'static str = "role";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self::Listed, 0, "listed"),
        (Self::Base, 1, "base"),
        (Self::Intermediate, 2, "intermediate"),
        (Self::Stop, 3, "stop"),
    ];
}

/// The family of bases that a model belongs to, as far as its shapes say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ModelFamily {
    /// Not known.
    #[default]
    Undetermined,
    /// None of those below.
    Other,
    /// Stable Diffusion 1.
    Sd1,
    /// Stable Diffusion 2.
    Sd2,
    /// Stable Diffusion XL.
    Sdxl,
    /// Stable Diffusion 3 and 3.5.
    Sd3,
    /// Stable Cascade and Würstchen.
    Cascade,
    /// FLUX.1.
    Flux1,
    /// FLUX.2.
    Flux2,
    /// PixArt.
    PixArt,
    /// Kolors.
    Kolors,
    /// AuraFlow.
    AuraFlow,
    /// Hunyuan for images.
    HunyuanImage,
    /// Qwen-Image.
    QwenImage,
    /// Stable Video Diffusion.
    Svd,
    /// Motion modules of AnimateDiff.
    AnimateDiff,
    /// Hunyuan for video.
    HunyuanVideo,
    /// Wan.
    WanVideo,
    /// LTX-Video.
    LtxVideo,
    /// A language model of any family.
    Language,
    /// A model of voice or other sound.
    Voice,
    /// A model that swaps or restores faces.
    Face,
}

impl Vocabulary for ModelFamily {
    const FIELD: &'static str = "family";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self::Undetermined, 0, "undetermined"),
        (Self::Other, 1, "other"),
        (Self::Sd1, 2, "sd_1"),
        (Self::Sd2, 3, "sd_2"),
        (Self::Sdxl, 4, "sdxl"),
        (Self::Sd3, 5, "sd_3"),
        (Self::Cascade, 6, "cascade"),
        (Self::Flux1, 7, "flux_1"),
        (Self::Flux2, 8, "flux_2"),
        (Self::PixArt, 9, "pixart"),
        (Self::Kolors, 10, "kolors"),
        (Self::AuraFlow, 11, "auraflow"),
        (Self::HunyuanImage, 12, "hunyuan_image"),
        (Self::QwenImage, 13, "qwen_image"),
        (Self::Svd, 14, "svd"),
        (Self::AnimateDiff, 15, "animatediff"),
        (Self::HunyuanVideo, 16, "hunyuan_video"),
        (Self::WanVideo, 17, "wan_video"),
        (Self::LtxVideo, 18, "ltx_video"),
        (Self::Language, 19, "language"),
        (Self::Voice, 20, "voice"),
        (Self::Face, 21, "face"),
    ];
}

impl LabelWord for ModelFamily {
    const DEFAULT: Self = Self::Undetermined;
    const FALLBACK: Self = Self::Undetermined;
}

/// The scheme by which a provider marks what the model makes, where the provider states it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WatermarkScheme {
    /// Not stated.
    #[default]
    Unstated,
    /// The provider states that there is none.
    None,
    /// None of those below.
    Other,
    /// The invisible-watermark library, DWT-DCT.
    DwtDct,
    /// RivaGAN.
    RivaGan,
    /// Stable Signature.
    StableSignature,
    /// Tree-Ring.
    TreeRing,
    /// Gaussian Shading.
    GaussianShading,
    /// SynthID.
    SynthId,
    /// TrustMark.
    TrustMark,
    /// Pseudo-random code.
    Prc,
}

impl Vocabulary for WatermarkScheme {
    const FIELD: &'static str = "watermark";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self::Unstated, 0, "unstated"),
        (Self::None, 1, "none"),
        (Self::Other, 2, "other"),
        (Self::DwtDct, 3, "dwt_dct"),
        (Self::RivaGan, 4, "rivagan"),
        (Self::StableSignature, 5, "stable_signature"),
        (Self::TreeRing, 6, "tree_ring"),
        (Self::GaussianShading, 7, "gaussian_shading"),
        (Self::SynthId, 8, "synthid"),
        (Self::TrustMark, 9, "trustmark"),
        (Self::Prc, 10, "prc"),
    ];
}

impl LabelWord for WatermarkScheme {
    const DEFAULT: Self = Self::Unstated;
    const FALLBACK: Self = Self::Unstated;
}

impl ModelRole {
    /// Whether the record says that the model is benign, or its tiles are no evidence. Such a record is never matched by
    /// a list and has no outcome.
    #[must_use]
    pub const fn is_registration(self) -> bool {
        !matches!(self, Self::Listed)
    }
}

/// Which part of a statement a record is that one payload is too small for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Part {
    /// Which one, from 1. The first is the statement; the others are about it and carry nothing but sketches.
    pub number: u16,
    /// How many there are, at least 2.
    pub of: u16,
}

/// What a record says of a model beside what all statements say.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Model {
    /// What kind of model the file holds.
    pub form: Label<ModelForm>,
    /// What the record says of it.
    pub role: ModelRole,
    /// The family of its base.
    pub family: Label<ModelFamily>,
    /// Values in all tensors; 0 is not stated.
    pub parameters: u64,
    /// Tensors; 0 is not stated.
    pub tensors: u64,
    /// Bytes of the file; 0 is not stated.
    pub size_bytes: u64,
    /// The first bytes of the SHA-256 of bytes 0x100000 to 0x110000: a lead.
    pub autov1: Option<[u8; 4]>,
    /// Identifiers that the file claims of itself, ascending. Claims stay claims.
    pub claimed: Vec<ClaimedId>,
    /// What it is used for, ascending.
    pub techniques: Vec<TechniqueId>,
    /// Records of models that it was made from, ascending.
    pub derived_from: Vec<SubjectRef>,
    /// Records of data sets that it was trained on, ascending.
    pub trained_on: Vec<SubjectRef>,
    /// How its provider marks what it makes.
    pub watermark: Label<WatermarkScheme>,
    /// SHA-256 of the id by which a provider knows the copy from which this one comes.
    pub copy: Option<[u8; 32]>,
    /// Bits of tiles, ascending by shape: D-bits; of a stop list F-bits.
    pub tiles: Vec<TileBits>,
    /// One value for each shape, ascending.
    pub roll_ups: Vec<TileBits>,
    /// Values of the vectors of a textual inversion, in their order.
    pub vectors: Vec<[u8; TILE_BITS_BYTES]>,
    /// Numbers of the tiles of a registered model, ascending by shape.
    pub numbers: Vec<TileNumbers>,
    /// How many vectors there are, also when their values are left out.
    pub vector_count: usize,
    /// Which part it is, if there are several.
    pub part: Option<Part>,
}

impl Default for Model {
    /// A listing of which nothing is known.
    fn default() -> Self {
        Self {
            form: Label::default(),
            role: ModelRole::Listed,
            family: Label::default(),
            parameters: 0,
            tensors: 0,
            size_bytes: 0,
            autov1: None,
            claimed: Vec::new(),
            techniques: Vec::new(),
            derived_from: Vec::new(),
            trained_on: Vec::new(),
            watermark: Label::default(),
            copy: None,
            tiles: Vec::new(),
            roll_ups: Vec::new(),
            vectors: Vec::new(),
            numbers: Vec::new(),
            vector_count: 0,
            part: None,
        }
    }
}

impl Model {
    /// Whether it only carries on with the sketches of another record.
    #[must_use]
    pub fn is_further_part(&self) -> bool {
        self.part.is_some_and(|part| part.number > 1)
    }

    /// Whether the record may do without identifiers.
    pub(super) fn goes_without_signals(&self) -> bool {
        self.role == ModelRole::Stop || self.is_further_part()
    }

    /// How many tiles it carries, of either sort.
    #[must_use]
    pub fn tile_count(&self) -> usize {
        self.tiles.iter().map(TileBits::count).chain(self.numbers.iter().map(TileNumbers::count)).sum()
    }

    /// Puts every list in order and sets the count of vectors.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.claimed.sort();
        self.techniques.sort();
        self.derived_from.sort();
        self.trained_on.sort();
        self.tiles.sort_by_key(TileBits::shape);
        self.roll_ups.sort_by_key(TileBits::shape);
        self.numbers.sort_by_key(TileNumbers::shape);
        self.vector_count = self.vectors.len();
        self
    }

    /// The same without the values of its sketches, for who keeps many records: shapes and numbers are left.
    #[must_use]
    pub fn without_values(&self) -> Self {
        Self {
            tiles: self.tiles.iter().map(TileBits::without_values).collect(),
            roll_ups: self.roll_ups.iter().map(TileBits::without_values).collect(),
            numbers: self.numbers.iter().map(TileNumbers::without_values).collect(),
            vectors: Vec::new(),
            ..self.clone()
        }
    }

    /// The rules that bind its fields to one another, with the key that each is about.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub(super) fn check(&self) -> Result<(), (u64, RecordError)> {
        let at = |key: u64| move |rule: RecordError| (key, rule);
        check_ascending(&self.claimed, CLAIMS_PER_RECORD_MAX).map_err(at(KEY_CLAIMED))?;
        check_ascending(&self.techniques, TECHNIQUES_PER_RECORD_MAX).map_err(at(KEY_TECHNIQUES))?;
        check_ascending(&self.derived_from, RELATED_PER_LIST_MAX).map_err(at(KEY_DERIVED_FROM))?;
        check_ascending(&self.trained_on, RELATED_PER_LIST_MAX).map_err(at(KEY_TRAINED_ON))?;
        check_groups(&self.tiles).map_err(at(KEY_TILES))?;
        check_groups(&self.roll_ups).map_err(at(KEY_ROLL_UPS))?;
        check_groups(&self.numbers).map_err(at(KEY_NUMBERS))?;
        if self.roll_ups.iter().any(|group| group.count() != 1) {
            return Err((KEY_ROLL_UPS, RecordError::RollUps));
        }
        if self.vectors.len() > VECTORS_PER_RECORD_MAX {
            let (got, max) = (self.vectors.len(), VECTORS_PER_RECORD_MAX);
            return Err((KEY_VECTORS, RecordError::ListCount { got, max }));
        }
        if self.autov1 == Some(AUTOV1_OF_NOTHING) {
            return Err((KEY_AUTOV1, RecordError::Autov1OfNothing));
        }
        self.check_part()?;
        let holds_numbers = matches!(self.role, ModelRole::Base | ModelRole::Intermediate);
        if !self.numbers.is_empty() && !holds_numbers && !self.is_further_part() {
            return Err((KEY_NUMBERS, RecordError::NumbersOfListing));
        }
        Ok(())
    }

    fn check_part(&self) -> Result<(), (u64, RecordError)> {
        let Some(Part { number, of }) = self.part else { return Ok(()) };
        if !(2..=MODEL_PARTS_MAX).contains(&of) || !(1..=of).contains(&number) {
            return Err((KEY_PART, RecordError::PartNumber { number, of }));
        }
        let sketches = Self {
            tiles: self.tiles.clone(),
            vectors: self.vectors.clone(),
            vector_count: self.vector_count,
            numbers: self.numbers.clone(),
            part: self.part,
            ..Self::default()
        };
        if number > 1 && *self != sketches {
            return Err((KEY_PART, RecordError::PartSaysMore));
        }
        Ok(())
    }

    pub(super) fn find_foreign(fields: &Fields) -> Option<OpaqueReason> {
        let code = fields.get(&KEY_ROLE).and_then(Value::as_unsigned)?;
        let is_known = ModelRole::from_code(code).is_some();
        (!is_known).then_some(OpaqueReason::Word { field: ModelRole::FIELD, code })
    }

    /// Takes its keys of the map of the statement.
    pub(super) fn read(map: &mut MapReader) -> Result<Self, SchemaError> {
        let role = map.unsigned_or_zero(KEY_ROLE)?;
        let vectors = read_vectors(map)?;
        let model = Self {
            form: map.label(KEY_FORM)?,
            role: ModelRole::from_code(role).expect("an unknown word was found foreign before"),
            family: map.label(KEY_FAMILY)?,
            parameters: map.unsigned_or_zero(KEY_PARAMETERS)?,
            tensors: map.unsigned_or_zero(KEY_TENSORS)?,
            size_bytes: map.unsigned_or_zero(KEY_SIZE)?,
            autov1: map.fixed(KEY_AUTOV1)?,
            claimed: read_ascending(map, KEY_CLAIMED, CLAIMS_PER_RECORD_MAX, read_claimed)?,
            techniques: read_techniques(map, KEY_TECHNIQUES)?,
            derived_from: read_related(map, KEY_DERIVED_FROM)?,
            trained_on: read_related(map, KEY_TRAINED_ON)?,
            watermark: map.label(KEY_WATERMARK)?,
            copy: map.fixed(KEY_COPY)?,
            tiles: read_groups(map, KEY_TILES)?,
            roll_ups: read_groups(map, KEY_ROLL_UPS)?,
            numbers: read_groups(map, KEY_NUMBERS)?,
            vector_count: vectors.len(),
            vectors,
            part: read_part(map)?,
        };
        model.check().map_err(|(key, rule)| map.broken(key, rule))?;
        Ok(model)
    }

    pub(super) fn write(&self, map: &mut MapWriter) {
        map.put_nonzero(KEY_FORM, self.form.code());
        map.put_nonzero(KEY_ROLE, self.role.code().into());
        map.put_nonzero(KEY_FAMILY, self.family.code());
        map.put_nonzero(KEY_PARAMETERS, self.parameters);
        map.put_nonzero(KEY_TENSORS, self.tensors);
        map.put_nonzero(KEY_SIZE, self.size_bytes);
        map.put_some(KEY_AUTOV1, self.autov1.map(|bytes| Value::Bytes(bytes.to_vec())));
        map.put_list(KEY_CLAIMED, self.claimed.iter().map(write_claimed).collect());
        write_techniques(map, KEY_TECHNIQUES, &self.techniques);
        write_related(map, KEY_DERIVED_FROM, &self.derived_from);
        write_related(map, KEY_TRAINED_ON, &self.trained_on);
        map.put_nonzero(KEY_WATERMARK, self.watermark.code());
        map.put_some(KEY_COPY, self.copy.map(|bytes| Value::Bytes(bytes.to_vec())));
        write_groups(map, KEY_TILES, &self.tiles);
        write_groups(map, KEY_ROLL_UPS, &self.roll_ups);
        write_groups(map, KEY_NUMBERS, &self.numbers);
        if !self.vectors.is_empty() {
            map.put(KEY_VECTORS, Value::Bytes(self.vectors.as_flattened().to_vec()));
        }
        let part = |part: Part| Value::Array(vec![Value::unsigned(part.number), Value::unsigned(part.of)]);
        map.put_some(KEY_PART, self.part.map(part));
    }
}

/// Keys of what is kept of sketches; not in payloads.
const KEPT_TILES: u64 = 1_000;
const KEPT_ROLL_UPS: u64 = 1_002;
const KEPT_NUMBERS: u64 = 1_004;
const KEPT_VECTORS: u64 = 1_005;

impl Model {
    /// As [`Self::write`], with shapes and numbers of sketches in the place of their values.
    pub(super) fn write_kept(&self, map: &mut MapWriter) {
        let (tiles, roll_ups, vectors, numbers) = Default::default();
        Self { tiles, roll_ups, vectors, numbers, ..self.clone() }.write(map);
        map.put_list(KEPT_TILES, self.tiles.iter().map(Tiles::count_to_value).collect());
        map.put_list(KEPT_ROLL_UPS, self.roll_ups.iter().map(Tiles::count_to_value).collect());
        map.put_list(KEPT_NUMBERS, self.numbers.iter().map(Tiles::count_to_value).collect());
        map.put_nonzero(KEPT_VECTORS, self.vector_count as u64);
    }

    pub(super) fn read_kept(map: &mut MapReader) -> Option<Self> {
        let tiles = read_counts(map, KEPT_TILES)?;
        let roll_ups = read_counts(map, KEPT_ROLL_UPS)?;
        let numbers = read_counts(map, KEPT_NUMBERS)?;
        let vector_count = usize::try_from(map.unsigned(KEPT_VECTORS).ok()?.unwrap_or(0)).ok()?;
        Some(Self { tiles, roll_ups, numbers, vector_count, ..Self::read(map).ok()? })
    }
}

fn read_counts<const BYTES: usize>(map: &mut MapReader, key: u64) -> Option<Vec<Tiles<BYTES>>> {
    map.array(key).ok()?.unwrap_or_default().iter().map(Tiles::count_from_value).collect()
}

fn read_vectors(map: &mut MapReader) -> Result<Vec<[u8; TILE_BITS_BYTES]>, SchemaError> {
    let Some(bytes) = map.bytes(KEY_VECTORS)? else { return Ok(Vec::new()) };
    match bytes.as_chunks() {
        (values @ [_, ..], []) => Ok(values.to_vec()),
        _ => {
            let rule = RecordError::TileBytes { got: bytes.len(), width: TILE_BITS_BYTES };
            Err(map.broken(KEY_VECTORS, rule))
        }
    }
}

fn read_part(map: &mut MapReader) -> Result<Option<Part>, SchemaError> {
    let Some(elements) = map.array(KEY_PART)? else { return Ok(None) };
    let part = match elements.as_slice() {
        [Value::Int(Int::Unsigned(number)), Value::Int(Int::Unsigned(of))] => {
            u16::try_from(*number).ok().zip(u16::try_from(*of).ok())
        }
        _ => None,
    };
    let (number, of) = part.ok_or_else(|| map.mistyped(KEY_PART, "[number, of]"))?;
    Ok(Some(Part { number, of }))
}
