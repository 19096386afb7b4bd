//! What all statements have in common: signals, labels, review, source and handling of one thing.
//!
//! `content` is a statement about a piece of media; `model`, `dataset`, `service` and `ttp` are statements about other
//! things, and say more in a part of their own (`detail`). A `supersede` is any of them in the place of a former one.
//!
//! Signals are an array of [type, value] or [type, value, quality], strictly ascending by type and
//! then value, so that there is one order and no duplicate. An array rather than a map by type,
//! because one piece of media may have several signals of one type.
//!
//! SPEC §7.5, §7.14.

use super::detail::Detail;
use super::error::{RecordError, SchemaError};
use super::handling::{self, Handling};
use super::labels::Labels;
use super::schema::{KEY_SUBJECT, MapReader, MapWriter, SubjectRef, UnknownFields};
use super::signal::{Signal, SignalType, UnknownSignal, belongs};
use super::source::Source;
use super::taxonomy::Review;
use super::vocabulary::Label;
use crate::codec::{Cursor, Fields, Int, Value};
use crate::leaf::{Kind, Leaf, OpaqueReason};
use crate::limits::{
    PAYLOAD_CBOR_MAX_BYTES, QUALITY_MAX, SIGNALS_PER_RECORD_MAX, TIME_S_MAX, UNKNOWN_SIGNAL_MAX_BYTES,
};

const KEY_REVIEW: u64 = 1;
const KEY_SIGNALS: u64 = 2;
const KEY_EXPIRES: u64 = 3;
const KEY_LABELS: u64 = 4;
const KEY_SOURCE: u64 = 6;
/// Which kind of statement a `supersede` makes.
const KEY_STATES: u64 = 22;

/// Keys of every statement that a reader must understand.
const KEYS_EVEN: [u64; 8] = [
    KEY_SUBJECT,
    KEY_SIGNALS,
    KEY_LABELS,
    KEY_SOURCE,
    handling::KEY_HASH_SET,
    handling::KEY_REPORTS,
    handling::KEY_INCIDENT,
    handling::KEY_CLASSES,
];

/// One piece of media by its fingerprints, or another thing that members state something about ([`Content::kind`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The entry this one adds to, such as licensed signals in a record for the licensees' group.
    pub subject: Option<SubjectRef>,
    /// Signals of known types of its kind: ascending, each (type, value) once. With the unknown ones 1 to 64; none in a
    /// `ttp`, and where a model is named by no file.
    pub signals: Vec<Signal>,
    /// Signals of types that a newer version registered: kept, not indexed.
    pub unknown_signals: Vec<UnknownSignal>,
    /// What it is.
    pub labels: Labels,
    /// Who reviewed the harm.
    pub review: Label<Review>,
    /// Where the statement comes from; the member itself when absent.
    pub source: Option<Source>,
    /// When the statement stops counting, seconds since 1970 UTC.
    pub expires_s: Option<u64>,
    /// Hash set, reports, incident and the like; absent when nothing of it is stated ([`Handling::boxed`]).
    pub handling: Option<Box<Handling>>,
    /// What its kind says beside; none in most records about media.
    pub detail: Option<Box<Detail>>,
    /// Fields of a newer version that may be ignored.
    pub unknown: UnknownFields,
}

impl Content {
    /// A record of these signals, put in order, with nothing else stated.
    ///
    /// # Errors
    /// No signal, too many, or the same (type, value) twice; positions are those of `signals`.
    ///
    /// ```
    /// use hashpact_protocol::record::{Content, Label, Record, Review, Signal, SignalType};
    /// let mut content = Content::new(vec![Signal::new(SignalType::Md5, &[9; 16], None)?])?;
    /// content.review = Label::Known(Review::Dual);
    /// assert_eq!(Record::Content(content).encode().len(), 24);
    /// # Ok::<(), hashpact_protocol::record::RecordError>(())
    /// ```
    pub fn new(signals: Vec<Signal>) -> Result<Self, RecordError> {
        Self::stating(signals, None)
    }

    /// A record of these signals that says this beside, both put in order, with nothing else stated.
    ///
    /// # Errors
    /// As for [`Self::new`], or signals of types that do not belong to its kind, or a rule of its kind; a record that
    /// needs a subject ([`super::Model::is_further_part`]) is checked when it is sealed.
    pub fn stating(mut signals: Vec<Signal>, detail: Option<Detail>) -> Result<Self, RecordError> {
        let detail = detail.map(|detail| Box::new(detail.sorted()));
        let empty = Self { detail, ..Self::empty() };
        if signals.len() > SIGNALS_PER_RECORD_MAX {
            return Err(RecordError::TooManySignals { got: signals.len() });
        }
        for (second, signal) in signals.iter().enumerate() {
            let mut before = signals.iter().take(second);
            if let Some(first) = before.position(|other| other.same_value(signal)) {
                return Err(RecordError::DuplicateSignal { first, second });
            }
        }
        signals.sort_unstable();
        let content = Self { signals, ..empty };
        content.check_signals()?;
        content.detail.as_deref().map_or(Ok(()), Detail::check)?;
        Ok(content)
    }
}

impl Content {
    /// The kind of statement it is: `content` for all that says nothing else.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.detail.as_deref().map_or(Kind::Content, Detail::kind)
    }

    /// Whether it says that a model is benign, or tiles are no evidence: no list counts such a record.
    #[must_use]
    pub fn is_registration(&self) -> bool {
        matches!(self.detail.as_deref(), Some(Detail::Model(model)) if model.role.is_registration())
    }

    /// Whether it has the signals that its kind asks for.
    fn check_signals(&self) -> Result<(), RecordError> {
        let kind = self.kind();
        let mut codes = self.signals.iter().map(|signal| u64::from(signal.kind().code()));
        if let Some(code) = codes.find(|code| !belongs(*code, kind)) {
            return Err(RecordError::SignalOfOtherKind { code, kind });
        }
        let is_without = self.signals.is_empty() && self.unknown_signals.is_empty();
        match self.detail.as_deref() {
            Some(Detail::Ttp(_)) if !is_without => Err(RecordError::SignalsNotAllowed),
            Some(Detail::Ttp(_)) => Ok(()),
            Some(Detail::Model(model)) if model.goes_without_signals() => Ok(()),
            _ if is_without => Err(RecordError::NoSignals),
            _ => Ok(()),
        }
    }

    /// The rules that bind the parts of a statement and its leaf to one another.
    fn check_whole(&self, leaf: &Leaf) -> Result<(), RecordError> {
        self.check_signals()?;
        let mut keyed = self.signals.iter().map(Signal::kind).filter(|kind| kind.is_keyed());
        if let Some(kind) = keyed.next().filter(|_| leaf.group == 0) {
            return Err(RecordError::KeyedWithoutGroup { kind });
        }
        match self.detail.as_deref() {
            Some(Detail::Ttp(_)) => {
                let tlp = self.labels.tlp;
                let is_tlp =
                    self.labels == Labels { tlp, unknown: self.labels.unknown.clone(), ..Labels::default() };
                if is_tlp { Ok(()) } else { Err(RecordError::LabelsOfTtp) }
            }
            Some(Detail::Model(model)) if model.is_further_part() => {
                let subject = self.subject;
                let sketches = Self { subject, detail: self.detail.clone(), ..Self::empty() };
                let is_sketches = subject.is_some() && *self == sketches;
                if is_sketches { Ok(()) } else { Err(RecordError::PartSaysMore) }
            }
            _ => Ok(()),
        }
    }
}

impl Content {
    /// What is left to show of a record whose payload is gone: nothing. No payload reads as this.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            subject: None,
            signals: Vec::new(),
            unknown_signals: Vec::new(),
            labels: Labels::default(),
            review: Label::default(),
            source: None,
            expires_s: None,
            handling: None,
            detail: None,
            unknown: UnknownFields::new(),
        }
    }

    /// Whether nothing is left to show.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.signals.is_empty() && self.unknown_signals.is_empty() && self.detail.is_none()
    }
}

/// The kind of statement that a payload makes: that of its leaf, or what a `supersede` says it is.
fn stated_kind(leaf: &Leaf, fields: &Fields) -> Result<Kind, u64> {
    if leaf.kind != Kind::Supersede {
        return Ok(leaf.kind);
    }
    let Some(code) = fields.get(&KEY_STATES).and_then(Value::as_unsigned) else { return Ok(Kind::Content) };
    let kind = u8::try_from(code).ok().and_then(Kind::from_code).filter(|kind| kind.is_statement());
    match kind {
        // A written default is void, which is found when it is read.
        None if code == 0 => Ok(Kind::Content),
        None | Some(Kind::Supersede) => Err(code),
        Some(kind) => Ok(kind),
    }
}

impl Content {
    /// Whether a newer version is needed, as `Schema` asks it; which keys are known depends on the kind.
    pub(super) fn find_foreign(leaf: &Leaf, fields: &Fields) -> Option<OpaqueReason> {
        let kind = match stated_kind(leaf, fields) {
            Ok(kind) => kind,
            Err(code) => return Some(OpaqueReason::Word { field: "stated kind", code }),
        };
        let within = |key, find: fn(&Fields) -> Option<OpaqueReason>| match fields.get(&key) {
            Some(Value::Map(inner)) => find(inner),
            _ => None,
        };
        let is_known = |key: u64| match key {
            KEY_STATES => leaf.kind == Kind::Supersede,
            KEY_SIGNALS => kind != Kind::Ttp,
            key => KEYS_EVEN.contains(&key) || Detail::keys_even(kind).contains(&key),
        };
        let key = fields.keys().copied().find(|key| key % 2 == 0 && !is_known(*key));
        key.map(|key| OpaqueReason::Key { map: kind.name(), key })
            .or_else(|| Detail::find_foreign(kind, fields))
            .or_else(|| within(KEY_LABELS, Labels::find_foreign))
            .or_else(|| within(KEY_SOURCE, Source::find_foreign))
    }

    /// Reads a payload without foreign parts.
    pub(super) fn read(leaf: &Leaf, fields: Fields) -> Result<Self, SchemaError> {
        let kind = stated_kind(leaf, &fields).expect("an unknown word was found foreign before");
        let mut map = MapReader::new(kind.name(), fields);
        if leaf.kind == Kind::Supersede && map.unsigned(KEY_STATES)?.is_some_and(|code| code <= 1) {
            return Err(map.default_written(KEY_STATES));
        }
        let subject = map.subject(leaf)?;
        let (signals, unknown_signals) = read_signals(&mut map, kind)?;
        // Who has looked at an observation is said by its basis.
        let review = if kind == Kind::Ttp { Label::default() } else { map.label(KEY_REVIEW)? };
        let expires_s = map.unsigned(KEY_EXPIRES)?;
        if let Some(got) = expires_s.filter(|expires_s| !(1..=TIME_S_MAX).contains(expires_s)) {
            return Err(map.broken(KEY_EXPIRES, RecordError::ExpiryRange { got }));
        }
        let labels = map.fields(KEY_LABELS)?.map(Labels::read).transpose()?.unwrap_or_default();
        let source = map.fields(KEY_SOURCE)?.map(Source::read).transpose()?;
        let handling = Handling::read(&mut map, expires_s)?;
        let detail = Detail::read(kind, &mut map)?;
        let broken = |rule| SchemaError::Whole { map: kind.name(), rule };
        let unknown = map.finish()?;
        let content = Self {
            subject,
            signals,
            unknown_signals,
            labels,
            review,
            source,
            expires_s,
            handling,
            detail,
            unknown,
        };
        content.check_whole(leaf).map_err(broken)?;
        Ok(content)
    }

    /// The canonical fields; a `supersede` says which kind of statement it makes.
    pub(super) fn to_fields(&self, supersedes: bool) -> Fields {
        let mut map = MapWriter::new(&self.unknown);
        map.put_some(KEY_SUBJECT, self.subject.map(SubjectRef::to_value));
        map.put_nonzero(KEY_REVIEW, self.review.code());
        if supersedes && self.kind() != Kind::Content {
            map.put(KEY_STATES, Value::unsigned(self.kind().code()));
        }
        map.put_list(KEY_SIGNALS, write_signals(&self.signals, &self.unknown_signals));
        map.put_some(KEY_EXPIRES, self.expires_s.map(Value::unsigned));
        map.put_fields(KEY_LABELS, self.labels.to_fields());
        map.put_some(KEY_SOURCE, self.source.as_ref().map(|source| Value::Map(source.to_fields())));
        if let Some(handling) = &self.handling {
            handling.write(&mut map);
        }
        if let Some(detail) = &self.detail {
            detail.write(&mut map);
        }
        map.finish()
    }
}

impl Content {
    /// Reads a payload of known fields, known signals and no subject in place, as nearly all are.
    /// `None` says nothing about any other: that is decided by [`Self::read`], more slowly.
    pub(super) fn read_plain(leaf: &Leaf, cbor: &[u8]) -> Option<Self> {
        if leaf.has_subject || cbor.len() > PAYLOAD_CBOR_MAX_BYTES {
            return None;
        }
        let mut content = Self::empty();
        let mut cursor = Cursor::new(cbor);
        cursor.map(|cursor, key| {
            match key {
                KEY_REVIEW => content.review = Label::read_plain(cursor)?,
                KEY_SIGNALS => content.signals = read_plain_signals(cursor)?,
                KEY_EXPIRES => {
                    let expires_s =
                        cursor.unsigned().filter(|expires_s| (1..=TIME_S_MAX).contains(expires_s));
                    content.expires_s = Some(expires_s?);
                }
                KEY_LABELS => content.labels = Labels::read_plain(cursor)?,
                KEY_SOURCE => content.source = Some(Source::read_plain(cursor)?),
                _ => return None,
            }
            Some(())
        })?;
        (cursor.is_at_end() && !content.signals.is_empty()).then_some(content)
    }
}

fn read_plain_signals(cursor: &mut Cursor<'_>) -> Option<Vec<Signal>> {
    let count = usize::try_from(cursor.array()?).ok().filter(|count| *count <= SIGNALS_PER_RECORD_MAX)?;
    let mut signals = Vec::with_capacity(count);
    let mut previous = None;
    for _ in 0..count {
        let parts = cursor.array()?;
        let (code, value) = (cursor.unsigned()?, cursor.bytes()?);
        let quality = match parts {
            2 => None,
            3 => Some(u8::try_from(cursor.unsigned()?).ok()?),
            _ => return None,
        };
        if previous.is_some_and(|previous| previous >= (code, value)) {
            return None;
        }
        previous = Some((code, value));
        let kind = SignalType::from_code(code).filter(|_| belongs(code, Kind::Content))?;
        signals.push(Signal::new(kind, value, quality).ok()?);
    }
    Some(signals)
}

type Signals = (Vec<Signal>, Vec<UnknownSignal>);

/// The signals of a record of this kind. Whether there may be none is asked of the whole record.
fn read_signals(map: &mut MapReader, kind: Kind) -> Result<Signals, SchemaError> {
    let Some(elements) = map.array(KEY_SIGNALS)? else {
        let may_lack = matches!(kind, Kind::Model | Kind::Ttp);
        return if may_lack { Ok(Signals::default()) } else { Err(map.missing(KEY_SIGNALS)) };
    };
    if elements.is_empty() {
        return Err(map.broken(KEY_SIGNALS, RecordError::NoSignals));
    }
    if elements.len() > SIGNALS_PER_RECORD_MAX {
        return Err(map.broken(KEY_SIGNALS, RecordError::TooManySignals { got: elements.len() }));
    }
    let (mut known, mut unknown) = Signals::default();
    let mut previous = None;
    for (nth, element) in elements.iter().enumerate() {
        let (code, value, quality) = split_signal(element).ok_or(SchemaError::SignalShape { nth })?;
        if previous.is_some_and(|previous| previous >= (code, value)) {
            return Err(SchemaError::SignalOrder { nth });
        }
        previous = Some((code, value));
        let broken = |rule| SchemaError::Signal { nth, rule };
        if !belongs(code, kind) {
            return Err(broken(RecordError::SignalOfOtherKind { code, kind }));
        }
        match SignalType::from_code(code) {
            Some(kind) => {
                let quality = quality.map(|got| check_quality(kind, got)).transpose().map_err(broken)?;
                known.push(Signal::new(kind, value, quality).map_err(broken)?);
            }
            None => unknown.push(read_unknown(code, value, quality).map_err(broken)?),
        }
    }
    Ok((known, unknown))
}

fn split_signal(element: &Value) -> Option<(u64, &[u8], Option<u64>)> {
    let Value::Array(parts) = element else { return None };
    let (code, value, quality) = match parts.as_slice() {
        [Value::Int(Int::Unsigned(code)), Value::Bytes(value)] => (code, value, None),
        [Value::Int(Int::Unsigned(code)), Value::Bytes(value), Value::Int(Int::Unsigned(quality))] => {
            (code, value, Some(*quality))
        }
        _ => return None,
    };
    Some((*code, value, quality))
}

fn check_quality(kind: SignalType, got: u64) -> Result<u8, RecordError> {
    if !kind.has_quality() {
        return Err(RecordError::QualityNotForType { kind, got });
    }
    quality_byte(got)
}

fn quality_byte(got: u64) -> Result<u8, RecordError> {
    let quality = u8::try_from(got).ok().filter(|quality| *quality <= QUALITY_MAX);
    quality.ok_or(RecordError::QualityRange { got })
}

fn read_unknown(code: u64, value: &[u8], quality: Option<u64>) -> Result<UnknownSignal, RecordError> {
    if value.is_empty() || value.len() > UNKNOWN_SIGNAL_MAX_BYTES {
        let (got_bytes, max_bytes) = (value.len(), UNKNOWN_SIGNAL_MAX_BYTES);
        return Err(RecordError::UnknownSignalWidth { code, got_bytes, max_bytes });
    }
    let quality = quality.map(quality_byte).transpose()?;
    Ok(UnknownSignal { code, value: value.to_vec(), quality })
}

fn write_signals(known: &[Signal], unknown: &[UnknownSignal]) -> Vec<Value> {
    let known = known.iter().map(|signal| (signal.kind().code().into(), signal.value(), signal.quality()));
    let unknown = unknown.iter().map(|signal| (signal.code, signal.value.as_slice(), signal.quality));
    let mut all: Vec<(u64, &[u8], Option<u8>)> = known.chain(unknown).collect();
    all.sort_unstable();
    let element = |(code, value, quality): (u64, &[u8], Option<u8>)| {
        let mut parts = vec![Value::unsigned(code), Value::Bytes(value.to_vec())];
        parts.extend(quality.map(Value::unsigned));
        Value::Array(parts)
    };
    all.into_iter().map(element).collect()
}
