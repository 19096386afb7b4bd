//! Reading the fields of one map: each key once, of its type, and what is left over is unknown.
//!
//! The parity of an unknown key says what to do with it. An even key must be understood: the entry is
//! opaque, and that is decided before any other rule of the schema, because a newer version may have
//! changed those rules with the same key. An odd key may be ignored: it holds an integer, it is kept,
//! and it is written back.
//!
//! SPEC §7.2.

use std::collections::BTreeMap;

use super::error::{RecordError, SchemaError};
use super::vocabulary::{Label, LabelWord};
use crate::codec::{Fields, Int, Value};
use crate::digest::LogId;
use crate::leaf::{Leaf, OpaqueReason};
use crate::limits::UNKNOWN_FIELDS_MAX;

/// Unknown odd keys of a map with their integers.
pub type UnknownFields = BTreeMap<u64, Int>;

/// The key of the subject in every kind of payload.
pub(super) const KEY_SUBJECT: u64 = 0;

/// The entry that another one is about, as the payload repeats it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectRef {
    /// The log that holds it.
    pub log: LogId,
    /// Its place there.
    pub index: u64,
}

impl SubjectRef {
    pub(super) fn to_value(self) -> Value {
        Value::Array(vec![Value::Bytes(self.log.as_bytes().to_vec()), Value::unsigned(self.index)])
    }

    pub(super) fn from_value(value: &Value) -> Option<Self> {
        let Value::Array(elements) = value else {
            return None;
        };
        let [Value::Bytes(log), Value::Int(Int::Unsigned(index))] = elements.as_slice() else {
            return None;
        };
        Some(Self { log: LogId::new(log.as_slice().try_into().ok()?), index: *index })
    }
}

/// What is to be read of a kind of payload.
pub(super) trait Schema: Sized {
    /// Whether a newer version is needed: an unknown even key, or an unknown word that decides what
    /// the entry means.
    fn find_foreign(fields: &Fields) -> Option<OpaqueReason>;

    /// Reads a payload without foreign parts.
    fn read(leaf: &Leaf, fields: Fields) -> Result<Self, SchemaError>;

    /// The canonical fields.
    fn to_fields(&self) -> Fields;
}

/// The first even key that is not in `known`.
pub(super) fn find_foreign_key(map: &'static str, fields: &Fields, known: &[u64]) -> Option<OpaqueReason> {
    let mut keys = fields.keys().copied();
    keys.find(|key| key % 2 == 0 && !known.contains(key)).map(|key| OpaqueReason::Key { map, key })
}

/// A map whose keys are taken one by one.
pub(super) struct MapReader {
    map: &'static str,
    fields: Fields,
}

impl MapReader {
    pub(super) fn new(map: &'static str, fields: Fields) -> Self {
        Self { map, fields }
    }

    /// The error that `key` holds no such value.
    pub(super) fn mistyped(&self, key: u64, expected: &'static str) -> SchemaError {
        SchemaError::Type { map: self.map, key, expected }
    }

    /// The error that `key` breaks `rule`.
    pub(super) fn broken(&self, key: u64, rule: RecordError) -> SchemaError {
        SchemaError::Field { map: self.map, key, rule }
    }

    /// The error that `key` is missing.
    pub(super) fn missing(&self, key: u64) -> SchemaError {
        SchemaError::Missing { map: self.map, key }
    }

    /// The error that `key` writes its default.
    pub(super) fn default_written(&self, key: u64) -> SchemaError {
        SchemaError::DefaultWritten { map: self.map, key }
    }

    pub(super) fn unsigned(&mut self, key: u64) -> Result<Option<u64>, SchemaError> {
        let Some(value) = self.fields.remove(&key) else {
            return Ok(None);
        };
        value.as_unsigned().map(Some).ok_or_else(|| self.mistyped(key, "unsigned integer"))
    }

    /// An unsigned integer whose absence means 0.
    pub(super) fn unsigned_or_zero(&mut self, key: u64) -> Result<u64, SchemaError> {
        match self.unsigned(key)? {
            Some(0) => Err(self.default_written(key)),
            value => Ok(value.unwrap_or(0)),
        }
    }

    pub(super) fn label<T: LabelWord>(&mut self, key: u64) -> Result<Label<T>, SchemaError> {
        self.unsigned_or_zero(key).map(Label::from_code)
    }

    pub(super) fn text(&mut self, key: u64) -> Result<Option<String>, SchemaError> {
        match self.fields.remove(&key) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(self.mistyped(key, "text")),
        }
    }

    pub(super) fn bytes(&mut self, key: u64) -> Result<Option<Vec<u8>>, SchemaError> {
        match self.fields.remove(&key) {
            None => Ok(None),
            Some(Value::Bytes(bytes)) => Ok(Some(bytes)),
            Some(_) => Err(self.mistyped(key, "byte string")),
        }
    }

    /// A byte string of this width.
    pub(super) fn fixed<const BYTES: usize>(&mut self, key: u64) -> Result<Option<[u8; BYTES]>, SchemaError> {
        let Some(bytes) = self.bytes(key)? else { return Ok(None) };
        let got = bytes.len();
        let fixed = bytes.try_into().map(Some);
        fixed.map_err(|_| self.broken(key, RecordError::FixedWidth { got, expected: BYTES }))
    }

    /// Whether one of these keys is there.
    pub(super) fn holds_any(&self, keys: &[u64]) -> bool {
        keys.iter().any(|key| self.fields.contains_key(key))
    }

    /// A value of any type.
    pub(super) fn value(&mut self, key: u64) -> Option<Value> {
        self.fields.remove(&key)
    }

    pub(super) fn array(&mut self, key: u64) -> Result<Option<Vec<Value>>, SchemaError> {
        match self.fields.remove(&key) {
            None => Ok(None),
            Some(Value::Array(elements)) => Ok(Some(elements)),
            Some(_) => Err(self.mistyped(key, "array")),
        }
    }

    /// A map whose absence means that all of it is default.
    pub(super) fn fields(&mut self, key: u64) -> Result<Option<Fields>, SchemaError> {
        match self.fields.remove(&key) {
            None => Ok(None),
            Some(Value::Map(fields)) if fields.is_empty() => Err(self.default_written(key)),
            Some(Value::Map(fields)) => Ok(Some(fields)),
            Some(_) => Err(self.mistyped(key, "map")),
        }
    }

    /// The subject, present exactly when the leaf announces one.
    pub(super) fn subject(&mut self, leaf: &Leaf) -> Result<Option<SubjectRef>, SchemaError> {
        match (self.fields.remove(&KEY_SUBJECT), leaf.has_subject) {
            (None, false) => Ok(None),
            (None, true) => Err(SchemaError::SubjectMissing),
            (Some(_), false) => Err(SchemaError::SubjectUnannounced),
            (Some(value), true) => match SubjectRef::from_value(&value) {
                Some(subject) => Ok(Some(subject)),
                None => Err(self.mistyped(KEY_SUBJECT, "[log id, index]")),
            },
        }
    }

    /// What nobody took: unknown odd keys.
    pub(super) fn finish(self) -> Result<UnknownFields, SchemaError> {
        if self.fields.len() > UNKNOWN_FIELDS_MAX {
            return Err(SchemaError::UnknownTooMany { map: self.map, got: self.fields.len() });
        }
        let integer = |(key, value)| match value {
            Value::Int(integer) => Ok((key, integer)),
            _ => Err(SchemaError::UnknownNotInteger { map: self.map, key }),
        };
        self.fields.into_iter().map(integer).collect()
    }
}

/// A map that is being written; defaults are left out.
pub(super) struct MapWriter(Fields);

impl MapWriter {
    /// Starts with the unknown fields that were read.
    pub(super) fn new(unknown: &UnknownFields) -> Self {
        Self(unknown.iter().map(|(&key, &integer)| (key, Value::Int(integer))).collect())
    }

    pub(super) fn put(&mut self, key: u64, value: Value) {
        self.0.insert(key, value);
    }

    pub(super) fn put_some(&mut self, key: u64, value: Option<Value>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }

    /// Writes an integer unless it is 0.
    pub(super) fn put_nonzero(&mut self, key: u64, value: u64) {
        if value != 0 {
            self.put(key, Value::unsigned(value));
        }
    }

    /// Writes an array unless it is empty.
    pub(super) fn put_list(&mut self, key: u64, elements: Vec<Value>) {
        if !elements.is_empty() {
            self.put(key, Value::Array(elements));
        }
    }

    /// Writes a map unless it is empty.
    pub(super) fn put_fields(&mut self, key: u64, fields: Fields) {
        if !fields.is_empty() {
            self.put(key, Value::Map(fields));
        }
    }

    pub(super) fn finish(self) -> Fields {
        self.0
    }
}
