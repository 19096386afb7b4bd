//! `dataset`: a collection of training data that is known to contain abuse, by digests.
//!
//! Of the collection as a whole: digests of its files, and a Merkle root over them. Of single items: keyed digests of
//! their URLs, which only the members of the group that shares the key can make or look up; the schema refuses them in
//! a record for every member, because an unkeyed list of addresses would be a directory.
//!
//! SPEC §7.15.

use std::collections::BTreeSet;

use super::error::{RecordError, SchemaError};
use super::lists::{check_ascending, read_related, read_techniques, write_related, write_techniques};
use super::model::{KEY_DERIVED_FROM, KEY_FORM, KEY_SIZE, KEY_TECHNIQUES};
use super::schema::{MapReader, MapWriter, SubjectRef};
use super::techniques::TechniqueId;
use super::vocabulary::{Label, LabelWord, Vocabulary};
use crate::digest::leaf_hash;
use crate::limits::{RELATED_PER_LIST_MAX, TECHNIQUES_PER_RECORD_MAX};
use crate::merkle::Frontier;

const KEY_ITEMS: u64 = 25;
const KEY_KNOWN: u64 = 27;

/// Keys that a reader must understand.
pub(super) const KEYS_EVEN: [u64; 2] = [KEY_TECHNIQUES, KEY_DERIVED_FROM];

/// What the data set consists of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DatasetForm {
    /// Not known.
    #[default]
    Undetermined,
    /// Media files.
    Files,
    /// Addresses of media that are fetched when it is used.
    Index,
    /// Media as a model encoded them.
    Latents,
    /// Text or captions.
    Text,
}

impl Vocabulary for DatasetForm {
    const FIELD: &'static str = "form";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self::Undetermined, 0, "undetermined"),
        (Self::Files, 1, "files"),
        (Self::Index, 2, "index"),
        (Self::Latents, 3, "latents"),
        (Self::Text, 4, "text"),
    ];
}

impl LabelWord for DatasetForm {
    const DEFAULT: Self = Self::Undetermined;
    const FALLBACK: Self = Self::Undetermined;
}

/// What a record says of a data set beside what all statements say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Dataset {
    /// What it consists of.
    pub form: Label<DatasetForm>,
    /// How many items it has; 0 is not stated.
    pub items: u64,
    /// How many of them are known to be abuse; 0 is not stated.
    pub known: u64,
    /// Bytes of its files; 0 is not stated.
    pub size_bytes: u64,
    /// What it is used for, ascending.
    pub techniques: Vec<TechniqueId>,
    /// Records of data sets that it was made from, ascending.
    pub derived_from: Vec<SubjectRef>,
}

/// The `dataset_root` of a data set: the RFC 6962 root over the SHA-256 digests of its files, distinct and ascending as the
/// set has them; none of a data set without files.
#[must_use]
pub fn dataset_root(files: &BTreeSet<[u8; 32]>) -> Option<[u8; 32]> {
    let mut frontier = Frontier::empty();
    files.iter().for_each(|digest| frontier.append(leaf_hash(digest)));
    (!files.is_empty()).then(|| *frontier.root().as_bytes())
}

impl Dataset {
    /// Puts every list in order.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.techniques.sort();
        self.derived_from.sort();
        self
    }

    /// The rules that bind its fields, with the key that each is about.
    pub(super) fn check(&self) -> Result<(), (u64, RecordError)> {
        check_ascending(&self.techniques, TECHNIQUES_PER_RECORD_MAX)
            .map_err(|rule| (KEY_TECHNIQUES, rule))?;
        check_ascending(&self.derived_from, RELATED_PER_LIST_MAX).map_err(|rule| (KEY_DERIVED_FROM, rule))?;
        if self.items != 0 && self.known > self.items {
            return Err((KEY_KNOWN, RecordError::KnownItems { known: self.known, items: self.items }));
        }
        Ok(())
    }

    /// Takes its keys of the map of the statement.
    pub(super) fn read(map: &mut MapReader) -> Result<Self, SchemaError> {
        let dataset = Self {
            form: map.label(KEY_FORM)?,
            items: map.unsigned_or_zero(KEY_ITEMS)?,
            known: map.unsigned_or_zero(KEY_KNOWN)?,
            size_bytes: map.unsigned_or_zero(KEY_SIZE)?,
            techniques: read_techniques(map, KEY_TECHNIQUES)?,
            derived_from: read_related(map, KEY_DERIVED_FROM)?,
        };
        dataset.check().map_err(|(key, rule)| map.broken(key, rule))?;
        Ok(dataset)
    }

    pub(super) fn write(&self, map: &mut MapWriter) {
        map.put_nonzero(KEY_FORM, self.form.code());
        map.put_nonzero(KEY_ITEMS, self.items);
        map.put_nonzero(KEY_KNOWN, self.known);
        map.put_nonzero(KEY_SIZE, self.size_bytes);
        write_techniques(map, KEY_TECHNIQUES, &self.techniques);
        write_related(map, KEY_DERIVED_FROM, &self.derived_from);
    }
}
