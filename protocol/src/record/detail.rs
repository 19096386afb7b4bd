//! What a statement says beside what all statements say, by its kind.
//!
//! `content`, `model`, `dataset`, `service` and `ttp` are statements about different things with much in common
//! ([`Content`](super::Content)): what differs stands here. Keys from 20 on are the kind's own.
//!
//! SPEC §7.14 to §7.18.

use super::dataset::{self, Dataset};
use super::error::{RecordError, SchemaError};
use super::genmeta::Genmeta;
use super::model::{self, Model};
use super::schema::{MapReader, MapWriter, UnknownFields};
use super::service::{self, Service};
use super::ttp::{self, Ttp};
use crate::codec::{Fields, Value, decode_map, encode_map};
use crate::leaf::{Kind, OpaqueReason};

const KEY_GENMETA: u64 = 20;

/// The part of a statement that only its kind has.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Detail {
    /// Of a piece of media: what the file says about how it was made.
    Genmeta(Genmeta),
    /// Of a model.
    Model(Model),
    /// Of a data set.
    Dataset(Dataset),
    /// Of a service.
    Service(Service),
    /// Of a technique that was seen.
    Ttp(Ttp),
}

impl Detail {
    /// The kind of statement that has such a part.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Genmeta(_) => Kind::Content,
            Self::Model(_) => Kind::Model,
            Self::Dataset(_) => Kind::Dataset,
            Self::Service(_) => Kind::Service,
            Self::Ttp(_) => Kind::Ttp,
        }
    }

    /// The same with every list in order.
    #[must_use]
    pub fn sorted(self) -> Self {
        match self {
            Self::Genmeta(genmeta) => Self::Genmeta(genmeta.sorted()),
            Self::Model(model) => Self::Model(model.sorted()),
            Self::Dataset(dataset) => Self::Dataset(dataset.sorted()),
            Self::Service(service) => Self::Service(service.sorted()),
            Self::Ttp(ttp) => Self::Ttp(ttp.sorted()),
        }
    }

    /// Checks what its types do not keep.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), RecordError> {
        let checked = match self {
            Self::Genmeta(genmeta) => genmeta.check(),
            Self::Model(model) => model.check(),
            Self::Dataset(dataset) => dataset.check(),
            Self::Service(service) => service.check(),
            Self::Ttp(ttp) => ttp.check(),
        };
        checked.map_err(|(_, rule)| rule)
    }

    /// Keys of a kind that a reader must understand.
    pub(super) const fn keys_even(kind: Kind) -> &'static [u64] {
        match kind {
            Kind::Content => &[KEY_GENMETA],
            Kind::Model => &model::KEYS_EVEN,
            Kind::Dataset => &dataset::KEYS_EVEN,
            Kind::Service => &service::KEYS_EVEN,
            Kind::Ttp => &ttp::KEYS_EVEN,
            _ => &[],
        }
    }

    pub(super) fn find_foreign(kind: Kind, fields: &Fields) -> Option<OpaqueReason> {
        match (kind, fields.get(&KEY_GENMETA)) {
            (Kind::Content, Some(Value::Map(genmeta))) => Genmeta::find_foreign(genmeta),
            (Kind::Model, _) => Model::find_foreign(fields),
            _ => None,
        }
    }

    /// Takes the keys of a kind of the map of a statement.
    pub(super) fn read(kind: Kind, map: &mut MapReader) -> Result<Option<Box<Self>>, SchemaError> {
        let detail = match kind {
            Kind::Model => Self::Model(Model::read(map)?),
            Kind::Dataset => Self::Dataset(Dataset::read(map)?),
            Kind::Service => Self::Service(Service::read(map)?),
            Kind::Ttp => Self::Ttp(Ttp::read(map)?),
            _ => match map.fields(KEY_GENMETA)? {
                Some(fields) => Self::Genmeta(Genmeta::read(fields)?),
                None => return Ok(None),
            },
        };
        Ok(Some(Box::new(detail)))
    }

    /// Few bytes for who keeps many records: everything but the values of sketches, of which the numbers are left. Not a
    /// format: written and read by one process.
    #[must_use]
    pub fn to_kept(&self) -> Vec<u8> {
        let mut map = MapWriter::new(&UnknownFields::new());
        match self {
            Self::Model(model) => model.write_kept(&mut map),
            other => other.write(&mut map),
        }
        encode_map(&map.finish())
    }

    /// What [`Self::to_kept`] wrote of a statement of this kind; `None` if it did not.
    #[must_use]
    pub fn from_kept(kind: Kind, bytes: &[u8]) -> Option<Self> {
        let mut map = MapReader::new(kind.name(), decode_map(bytes).ok()?);
        match kind {
            Kind::Model => Model::read_kept(&mut map).map(Self::Model),
            kind => Self::read(kind, &mut map).ok()?.map(|detail| *detail),
        }
    }

    pub(super) fn write(&self, map: &mut MapWriter) {
        match self {
            Self::Genmeta(genmeta) => map.put_fields(KEY_GENMETA, genmeta.to_fields()),
            Self::Model(model) => model.write(map),
            Self::Dataset(dataset) => dataset.write(map),
            Self::Service(service) => service.write(map),
            Self::Ttp(ttp) => ttp.write(map),
        }
    }
}
