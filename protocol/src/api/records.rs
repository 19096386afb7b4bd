//! Contributing records and reading them back.
//!
//! `POST /v1/records` takes up to 10,000 new records, all or none; `GET /v1/records/{id}` shows one;
//! `GET /v1/records` pages through what stands. A record as shown can be stated again by another
//! member: its signals, labels, review and source have the shapes of a [`NewRecord`].

use serde::{Deserialize, Serialize};

use super::details::{DatasetJson, ModelJson, ServiceJson, TtpJson};
use super::field::{FieldError, FieldRule, hex_into, showable, vocabulary};
use super::genmeta::GenmetaJson;
use super::handling::{CrosswalkJson, HandlingJson, time_s};
use super::labels::LabelsJson;
use super::matching::{OpinionCounts, check_count, parse_signal};
use super::time;
use crate::digest::{RecordId, hex_encode};
use crate::leaf::Kind;
use crate::limits::{RECORDS_PER_CALL_MAX, SIGNALS_PER_RECORD_MAX};
use crate::record::{
    Content, Date, Detail, Handling, Label, Labels, RecordError, Review, Signal, Source, Token, Vocabulary,
};

/// `POST /v1/records`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ContributeRequest {
    /// 1 to 10,000 new records, appended in this order, all or none.
    pub records: Vec<NewRecord>,
}

/// Query parameters of `POST /v1/records`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct ContributeQuery {
    /// `local` (default) or `replicated:K`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ack: Option<String>,
    /// Name of a group of the roster: only its members receive what the records say. Everybody without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// A record to be stated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewRecord {
    /// Kind of the record: `content`, `model`, `dataset`, `service` or `ttp`.
    pub kind: String,
    /// The signals of what it is about, of types of its kind, 1 to 64, each (type, value) once, in any order. A `ttp` has
    /// none; a stop list and a further part of a model may go without.
    #[serde(default)]
    pub signals: Vec<NewSignal>,
    /// Record id of the entry that it adds to; a further part of a model names its first part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Labels; absent ones are undetermined.
    #[serde(default)]
    pub labels: LabelsJson,
    /// Review of harm: `unreviewed` (default), `single`, `dual` or `hotline_confirmed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<String>,
    /// Where the statement comes from, when the member passes on somebody else's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceJson>,
    /// When the statement stops counting, RFC 3339, whole seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Hash set, reports, incident and the like.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub handling: HandlingJson,
    /// Of `content`: what the file says about how it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub genmeta: Option<Box<GenmetaJson>>,
    /// Of `model`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Box<ModelJson>>,
    /// Of `dataset`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<Box<DatasetJson>>,
    /// Of `service`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Box<ServiceJson>>,
    /// Of `ttp`, which must have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttp: Option<Box<TtpJson>>,
}

/// A signal to be stated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewSignal {
    /// Signal type: `pdq`, `md5`, `sha1`, `sha256` or `photodna`; of a model `model_sha256`, `tset1` and the like.
    #[serde(rename = "type")]
    pub signal_type: String,
    /// Value in lower-case hexadecimal.
    pub value: String,
    /// Quality of a PDQ hash, 0..=100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<u8>,
}

/// A signal as shown; a type that this version does not know is named `unknown-<code>`.
pub type SignalJson = NewSignal;

/// Where a statement comes from: tokens `[a-z0-9._-]{1,64}`, no free text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SourceJson {
    /// Organisation that made the original statement.
    pub organisation: String,
    /// List it stands in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// Its id in that list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Day of the original statement, `YYYY-MM-DD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
}

/// Answer to `POST /v1/records`, sent only when the promise holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Receipts {
    /// One receipt per record, in order.
    pub receipts: Vec<Receipt>,
}

/// What became of one record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Receipt {
    /// Record id: its leaf hash, 64 hex digits.
    pub record: String,
    /// Origin of the log that holds it.
    pub log: String,
    /// Its place in that log.
    pub index: u64,
    /// Size of a signed tree that includes it.
    pub tree_size: u64,
    /// The promise: `local` or `replicated:K`.
    pub ack: String,
}

/// Query parameters of `GET /v1/records`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct RecordsQuery {
    /// Where to go on: `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Most records on the page, 1..=1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Only this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Only this member's records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// Only records with a signal of this type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal_type: Option<String>,
    /// Only records of this status; what stands when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Only records with at least this review.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<String>,
}

/// One page of `GET /v1/records`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecordsPage {
    /// The records.
    pub records: Vec<RecordJson>,
    /// Cursor of the next page; null on the last.
    pub next: Option<String>,
}

/// One record as this node sees it now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecordJson {
    /// Record id: its leaf hash, 64 hex digits.
    pub record: String,
    /// Member that stated it.
    pub member: String,
    /// Origin of the log that holds it.
    pub log: String,
    /// Its place in that log.
    pub index: u64,
    /// Kind of the record; `unknown` when this version cannot name it, or the leaf breaks a rule.
    pub kind: String,
    /// Leaf time, RFC 3339: the author's claim; empty when the leaf cannot be read.
    pub time: String,
    /// What the view makes of it: `active`, `retracted`, `sealed` or `erased` by an order, `held`, ….
    pub status: String,
    /// Why: who retracted it, disagreed or ordered its erasure, when and for which reason; the rule that a void entry
    /// breaks, or what this version does not know about an opaque one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Record id of the entry that this one is about, or adds to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Record id of the entry that this one takes the place of, as its leaf names it; whether it counts as that, the
    /// other one's status says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supersedes: Option<String>,
    /// What an `opinion` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opinion: Option<String>,
    /// What a `supersede` is a statement about: `content`, `model`, `dataset`, `service` or `ttp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub states: Option<String>,
    /// The signals of a statement.
    #[serde(default)]
    pub signals: Vec<SignalJson>,
    /// The labels of a statement; absent when the payload is not here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<LabelsJson>,
    /// Class of the industry scheme that follows from the labels: `A1`, `A2`, `B1` or `B2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub industry_class: Option<String>,
    /// Review of a statement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<String>,
    /// Where the statement comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceJson>,
    /// When the statement stops counting, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Hash set, reports, incident and the like.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub handling: HandlingJson,
    /// What other schemes call it, as far as its labels say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crosswalk: Option<CrosswalkJson>,
    /// Of `content`: what the file says about how it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub genmeta: Option<Box<GenmetaJson>>,
    /// Of `model`; sketches are counted, not shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Box<ModelJson>>,
    /// Of `dataset`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<Box<DatasetJson>>,
    /// Of `service`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Box<ServiceJson>>,
    /// Of `ttp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttp: Option<Box<TtpJson>>,
    /// Latest opinions of other members, counted.
    #[serde(default)]
    pub opinions: OpinionCounts,
    /// The same, one by one.
    #[serde(default)]
    pub statements: Vec<StatementJson>,
    /// Path of the provenance proof on this node.
    pub proof: String,
}

/// One member's latest opinion on a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StatementJson {
    /// Member that says so.
    pub member: String,
    /// `agree`, `disagree`, `unsure` or `seen`.
    pub opinion: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Leaf time of the opinion, RFC 3339.
    pub time: String,
    /// Record id of the opinion itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
}

impl ContributeRequest {
    /// Checks every record and returns them in order, each with the entry that it adds to; paths in errors start with
    /// `records[n]`.
    ///
    /// # Errors
    /// The first field that breaks a rule.
    pub fn to_records(&self) -> Result<Vec<(Option<RecordId>, Content)>, FieldError> {
        check_count("records", self.records.len(), RECORDS_PER_CALL_MAX)?;
        let record = |(nth, record): (usize, &NewRecord)| {
            let addition = record.subject().and_then(|subject| Ok((subject, record.to_record()?)));
            addition.map_err(|error| error.within(&format!("records[{nth}]")))
        };
        self.records.iter().enumerate().map(record).collect()
    }
}

impl NewRecord {
    /// Checks one record; paths in errors start at the record.
    ///
    /// # Errors
    /// The first field that breaks a rule.
    pub fn to_record(&self) -> Result<Content, FieldError> {
        let kind = self.stated_kind()?;
        let detail = self.detail(kind)?;
        if !self.signals.is_empty() {
            check_count("signals", self.signals.len(), SIGNALS_PER_RECORD_MAX)?;
        }
        let mut signals: Vec<Signal> = Vec::with_capacity(self.signals.len());
        for (nth, json) in self.signals.iter().enumerate() {
            let signal = parse_signal(&json.signal_type, &json.value, json.quality)
                .map_err(|error| error.within(&format!("signals[{nth}]")))?;
            signals.push(signal);
        }
        let other = signals.iter().position(|signal| signal.kind().record_kind() != kind);
        let mut content = Content::stating(signals, detail).map_err(|rule| match rule {
            RecordError::DuplicateSignal { second, .. } => {
                FieldError::new(format!("signals[{second}]"), rule.into())
            }
            RecordError::SignalOfOtherKind { .. } => {
                FieldError::new(format!("signals[{}]", other.unwrap_or_default()), rule.into())
            }
            RecordError::NoSignals => FieldError::new("signals", FieldRule::Empty),
            RecordError::SignalsNotAllowed | RecordError::TooManySignals { .. } => {
                FieldError::new("signals", rule.into())
            }
            _ => FieldError::new(kind.name(), rule.into()),
        })?;
        content.labels = self.labels.to_labels().map_err(|error| error.within("labels"))?;
        if kind == Kind::Ttp {
            let only_tlp = Labels { tlp: content.labels.tlp, ..Labels::default() };
            if content.labels != only_tlp {
                return Err(FieldError::new("labels", RecordError::LabelsOfTtp.into()));
            }
            if self.review.is_some() {
                return Err(FieldError::new("review", FieldRule::NotHere));
            }
        }
        if let Some(word) = &self.review {
            content.review = Label::Known(vocabulary::<Review>("review", word)?);
        }
        if let Some(source) = &self.source {
            content.source = Some(source.to_source().map_err(|error| error.within("source"))?);
        }
        (content.expires_s, content.handling) = self.expiry_and_handling()?;
        Ok(content)
    }
}

impl NewRecord {
    /// The entry that it adds to.
    ///
    /// # Errors
    /// No record id, or none where there must be one.
    pub fn subject(&self) -> Result<Option<RecordId>, FieldError> {
        let Some(text) = &self.subject else {
            let part = self.model.as_ref().and_then(|model| model.part.as_ref());
            return match part {
                Some(part) if part.number > 1 => Err(FieldError::new("subject", FieldRule::Empty)),
                _ => Ok(None),
            };
        };
        let mut bytes = [0; 32];
        hex_into("subject", text, &mut bytes)?;
        Ok(Some(RecordId::new(bytes)))
    }

    /// Refuses a subject where the request itself names one.
    ///
    /// # Errors
    /// There is one.
    pub fn check_no_subject(&self) -> Result<(), FieldError> {
        self.subject.as_ref().map_or(Ok(()), |_| Err(FieldError::new("subject", FieldRule::NotHere)))
    }

    fn stated_kind(&self) -> Result<Kind, FieldError> {
        let kinds = [Kind::Content, Kind::Model, Kind::Dataset, Kind::Service, Kind::Ttp];
        kinds.into_iter().find(|kind| kind.name() == self.kind).ok_or_else(|| {
            let allowed = kinds.map(Kind::name).join(", ");
            FieldError::new("kind", FieldRule::UnknownWord { got: showable(&self.kind), allowed })
        })
    }

    /// The part of its kind, and none of another.
    fn detail(&self, kind: Kind) -> Result<Option<Detail>, FieldError> {
        let parts = [
            ("genmeta", Kind::Content, self.genmeta.is_some()),
            ("model", Kind::Model, self.model.is_some()),
            ("dataset", Kind::Dataset, self.dataset.is_some()),
            ("service", Kind::Service, self.service.is_some()),
            ("ttp", Kind::Ttp, self.ttp.is_some()),
        ];
        if let Some((name, ..)) = parts.into_iter().find(|(_, of, is_there)| *is_there && *of != kind) {
            return Err(FieldError::new(name, FieldRule::NotHere));
        }
        let within =
            |error: FieldError| error.within(if kind == Kind::Content { "genmeta" } else { kind.name() });
        let detail = match kind {
            Kind::Model => Some(Detail::Model(
                self.model.as_deref().map_or(Ok(Default::default()), ModelJson::read).map_err(within)?,
            )),
            Kind::Dataset => Some(Detail::Dataset(
                self.dataset.as_deref().map_or(Ok(Default::default()), DatasetJson::read).map_err(within)?,
            )),
            Kind::Service => Some(Detail::Service(
                self.service.as_deref().map_or(Ok(Default::default()), ServiceJson::read).map_err(within)?,
            )),
            Kind::Ttp => {
                let ttp = self.ttp.as_deref().ok_or_else(|| FieldError::new("ttp", FieldRule::Empty))?;
                Some(Detail::Ttp(ttp.read().map_err(within)?))
            }
            _ => match &self.genmeta {
                Some(genmeta) => genmeta.read().map_err(within)?.map(Detail::Genmeta),
                None => None,
            },
        };
        Ok(detail)
    }

    /// Checks when the record expires, in seconds since 1970, and its handling.
    ///
    /// # Errors
    /// The first field of these that breaks a rule.
    pub fn expiry_and_handling(&self) -> Result<(Option<u64>, Option<Box<Handling>>), FieldError> {
        let expires_s = self.expires.as_deref().map(|text| time_s("expires", text)).transpose()?;
        let handling = self.handling.to_handling().map_err(|error| error.within("handling"))?;
        let valid_from_s = handling.as_ref().and_then(|handling| handling.valid_from_s);
        match (valid_from_s, expires_s) {
            (Some(from), Some(expires)) if from >= expires => {
                let rule = RecordError::ValidityOrder { from, expires };
                Err(FieldError::new("handling.valid_from", rule.into()))
            }
            _ => Ok((expires_s, handling)),
        }
    }
}

impl From<&Content> for NewRecord {
    /// The request that would state the known parts of `content` again.
    fn from(content: &Content) -> Self {
        let shown = RecordJson::default().with_detail(content.detail.as_deref());
        Self {
            kind: content.kind().name().to_owned(),
            subject: None,
            signals: content.signals.iter().map(signal_json).collect(),
            labels: LabelsJson { raw: Default::default(), ..LabelsJson::from(&content.labels) },
            review: (content.kind() != Kind::Ttp).then(|| content.review.get().name().to_owned()),
            source: content.source.as_ref().map(SourceJson::from),
            expires: content.expires_s.map(time::rfc3339_seconds),
            handling: content.handling.as_deref().map(HandlingJson::restated).unwrap_or_default(),
            genmeta: shown.genmeta,
            model: shown.model,
            dataset: shown.dataset,
            service: shown.service,
            ttp: shown.ttp,
        }
    }
}

impl RecordJson {
    /// The same record with everything filled in that its payload says.
    #[must_use]
    pub fn with_content(self, content: &Content) -> Self {
        let mut signals: Vec<SignalJson> = content.signals.iter().map(signal_json).collect();
        signals.extend(content.unknown_signals.iter().map(|signal| SignalJson {
            signal_type: format!("unknown-{}", signal.code),
            value: hex_encode(&signal.value),
            quality: signal.quality,
        }));
        // Values of sketches are for the index, not for readers.
        let shown = content.detail.as_deref().map(|detail| match detail {
            Detail::Model(model) => Detail::Model(model.without_values()),
            other => other.clone(),
        });
        let mut labels = LabelsJson::from(&content.labels);
        if let Label::Unknown(code) = content.review {
            labels.raw.insert(Review::FIELD.to_owned(), code);
        }
        Self {
            signals,
            states: (self.kind == Kind::Supersede.name()).then(|| content.kind().name().to_owned()),
            labels: Some(labels),
            industry_class: content.labels.industry_class().map(str::to_owned),
            review: (content.kind() != Kind::Ttp).then(|| content.review.get().name().to_owned()),
            source: content.source.as_ref().map(SourceJson::from),
            expires: content.expires_s.map(time::rfc3339_seconds),
            handling: content.handling.as_deref().map(HandlingJson::from).unwrap_or_default(),
            crosswalk: CrosswalkJson::of(&content.labels),
            ..self.with_detail(shown.as_ref())
        }
    }

    fn with_detail(self, detail: Option<&Detail>) -> Self {
        match detail {
            None => self,
            Some(Detail::Genmeta(genmeta)) => Self { genmeta: Some(Box::new(genmeta.into())), ..self },
            Some(Detail::Model(model)) => Self { model: Some(Box::new(model.into())), ..self },
            Some(Detail::Dataset(dataset)) => Self { dataset: Some(Box::new(dataset.into())), ..self },
            Some(Detail::Service(service)) => Self { service: Some(Box::new(service.into())), ..self },
            Some(Detail::Ttp(ttp)) => Self { ttp: Some(Box::new(ttp.into())), ..self },
        }
    }
}

impl SourceJson {
    /// Checks every field; paths in errors start at the source object.
    ///
    /// # Errors
    /// The first field that is not a token or a date.
    pub fn to_source(&self) -> Result<Source, FieldError> {
        let token =
            |path: &str, text: &str| Token::new(text).map_err(|rule| FieldError::new(path, rule.into()));
        let mut source = Source::new(token("organisation", &self.organisation)?);
        source.list = self.list.as_deref().map(|text| token("list", text)).transpose()?;
        source.id = self.id.as_deref().map(|text| token("id", text)).transpose()?;
        let date = |text| Date::parse(text).map_err(|rule| FieldError::new("date", rule.into()));
        source.date = self.date.as_deref().map(date).transpose()?;
        Ok(source)
    }
}

impl From<&Source> for SourceJson {
    fn from(source: &Source) -> Self {
        Self {
            organisation: source.organisation.to_string(),
            list: source.list.as_ref().map(Token::to_string),
            id: source.id.as_ref().map(Token::to_string),
            date: source.date.map(|date| date.to_string()),
        }
    }
}

fn signal_json(signal: &Signal) -> SignalJson {
    SignalJson {
        signal_type: signal.kind().name().to_owned(),
        value: hex_encode(signal.value()),
        quality: signal.quality(),
    }
}

fn is_nothing(handling: &HandlingJson) -> bool {
    *handling == HandlingJson::default()
}
