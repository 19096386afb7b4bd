//! What is known about a record beside its labels, as JSON, and what other schemes call it.
//!
//! As with labels, a code of a newer version reads as `other` and stands in `raw` with its number, which a
//! request may not carry.

use serde::{Deserialize, Serialize};

use super::field::{FieldError, FieldRule, vocabulary};
use super::matching::check_count;
use super::time;
use crate::limits::{CLASSES_PER_RECORD_MAX, REPORTS_PER_RECORD_MAX};
use crate::record::{
    Crosswalk, Handling, IncidentId, Label, LabelWord, Labels, Month, OtherClass, RecordError, Report,
    ReportedTo, Scheme, Token,
};

/// Where a record belongs, whom it was reported to, how long it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HandlingJson {
    /// Hash set that its author puts it in: one that the roster registers, such as `cg-csam`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_set: Option<String>,
    /// Reports to hotlines and authorities, at most 16, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reported_to: Vec<ReportJson>,
    /// Until when its author preserves what it is about, RFC 3339, whole seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preserved_until: Option<String>,
    /// Since when the statement is true, RFC 3339, whole seconds; before `expires`. Delays nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<String>,
    /// Content incident that it belongs to: 32 lower-case hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    /// What other schemes call it, at most 16, each once; passed on unread.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<OtherClassJson>,
}

/// A report of the content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReportJson {
    /// `ncmec`, `iwf`, `c3p`, `inhope_hotline`, `law_enforcement`, `national_authority` or `other`.
    pub to: String,
    /// Month of the report, `YYYY-MM`.
    pub month: String,
    /// Answers only: the number of an addressee that this version cannot name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<u64>,
}

/// A class of another scheme.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OtherClassJson {
    /// `inhope_ucs`, `iwf`, `jurisdiction` or `other`.
    pub scheme: String,
    /// Version of the scheme, `[a-z0-9._-]{1,32}`.
    pub version: String,
    /// The class, `[a-z0-9._-]{1,32}`.
    pub class: String,
    /// Answers only: the number of a scheme that this version cannot name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<u64>,
}

/// What other schemes call a record, as far as its labels say so (`CROSSWALK.md`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CrosswalkJson {
    /// `classification` in NCMEC's hash sharing: `A1`, `A2`, `B1` or `B2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ncmec_classification: Option<String>,
    /// Elements of `fileAnnotations` in a CyberTip.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cybertip_annotations: Vec<String>,
    /// `classification` of Arachnid Shield: `csam` or `harmful-abusive-material`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arachnid_class: Option<String>,
}

impl HandlingJson {
    /// Checks every field; paths in errors start at the handling object. `None` if nothing is stated.
    ///
    /// # Errors
    /// The first field that breaks a rule.
    pub fn to_handling(&self) -> Result<Option<Box<Handling>>, FieldError> {
        if *self == Self::default() {
            return Ok(None);
        }
        let rule = |path: &'static str| move |rule: RecordError| FieldError::new(path, rule.into());
        let hash_set = self.hash_set.as_deref().map(Token::new).transpose().map_err(rule("hash_set"))?;
        let incident =
            self.incident.as_deref().map(IncidentId::parse).transpose().map_err(rule("incident"))?;
        let handling = Handling {
            hash_set,
            incident,
            reports: read_all("reported_to", &self.reported_to, REPORTS_PER_RECORD_MAX, ReportJson::read)?,
            classes: read_all("classes", &self.classes, CLASSES_PER_RECORD_MAX, OtherClassJson::read)?,
            preserved_until_s: seconds("preserved_until", self.preserved_until.as_deref())?,
            valid_from_s: seconds("valid_from", self.valid_from.as_deref())?,
        };
        handling.boxed().map_err(|rule| {
            let path = if matches!(rule, RecordError::ClassOrder { .. }) { "classes" } else { "reported_to" };
            match rule {
                RecordError::ClassOrder { .. } | RecordError::ReportOrder { .. } => {
                    FieldError::new(path, FieldRule::Twice)
                }
                rule => FieldError::new(path, rule.into()),
            }
        })
    }

    /// The request that would state the known parts again, each once.
    pub(super) fn restated(handling: &Handling) -> Self {
        let mut json = Self::from(handling);
        json.reported_to.iter_mut().for_each(|report| report.raw = None);
        json.classes.iter_mut().for_each(|class| class.raw = None);
        json.reported_to.sort_by(|one, other| (&one.to, &one.month).cmp(&(&other.to, &other.month)));
        json.reported_to.dedup();
        let key = |class: &OtherClassJson| (class.scheme.clone(), class.version.clone(), class.class.clone());
        json.classes.sort_by_key(key);
        json.classes.dedup();
        json
    }
}

impl From<&Handling> for HandlingJson {
    fn from(handling: &Handling) -> Self {
        Self {
            hash_set: handling.hash_set.as_ref().map(Token::to_string),
            reported_to: handling.reports.iter().map(ReportJson::from).collect(),
            preserved_until: handling.preserved_until_s.map(time::rfc3339_seconds),
            valid_from: handling.valid_from_s.map(time::rfc3339_seconds),
            incident: handling.incident.map(|id| id.to_string()),
            classes: handling.classes.iter().map(OtherClassJson::from).collect(),
        }
    }
}

impl ReportJson {
    fn read(&self) -> Result<Report, FieldError> {
        refuse_raw(self.raw)?;
        let to = vocabulary::<ReportedTo>("to", &self.to)?;
        let month = Month::parse(&self.month).map_err(|rule| FieldError::new("month", rule.into()))?;
        Ok(Report { to: to.into(), month })
    }
}

impl From<&Report> for ReportJson {
    fn from(report: &Report) -> Self {
        let (to, raw) = shown(report.to);
        Self { to, month: report.month.to_string(), raw }
    }
}

impl OtherClassJson {
    fn read(&self) -> Result<OtherClass, FieldError> {
        refuse_raw(self.raw)?;
        let scheme = vocabulary::<Scheme>("scheme", &self.scheme)?;
        let of = |version: &str, class: &str| OtherClass::new(scheme, version, class);
        // Each part alone, so that the error says which one it is about.
        of(&self.version, "x").map_err(|rule| FieldError::new("version", rule.into()))?;
        of(&self.version, &self.class).map_err(|rule| FieldError::new("class", rule.into()))
    }
}

impl From<&OtherClass> for OtherClassJson {
    fn from(class: &OtherClass) -> Self {
        let (scheme, raw) = shown(class.scheme());
        Self { scheme, version: class.version().to_string(), class: class.class().to_string(), raw }
    }
}

impl CrosswalkJson {
    /// What these labels are called elsewhere; `None` if nothing follows from them.
    #[must_use]
    pub fn of(labels: &Labels) -> Option<Self> {
        let crosswalk = Crosswalk::of(labels);
        let json = Self {
            ncmec_classification: crosswalk.ncmec_classification.map(str::to_owned),
            cybertip_annotations: crosswalk.cybertip_annotations.into_iter().map(str::to_owned).collect(),
            arachnid_class: crosswalk.arachnid_class.map(str::to_owned),
        };
        (json != Self::default()).then_some(json)
    }
}

fn shown<T: LabelWord>(label: Label<T>) -> (String, Option<u64>) {
    let raw = match label {
        Label::Known(_) => None,
        Label::Unknown(code) => Some(code),
    };
    (label.get().name().to_owned(), raw)
}

fn refuse_raw(raw: Option<u64>) -> Result<(), FieldError> {
    raw.map_or(Ok(()), |_| Err(FieldError::new("raw", FieldRule::RawLabels)))
}

fn read_all<T, U>(
    path: &str,
    list: &[T],
    max: usize,
    read: fn(&T) -> Result<U, FieldError>,
) -> Result<Vec<U>, FieldError> {
    if !list.is_empty() {
        check_count(path, list.len(), max)?;
    }
    let element =
        |(nth, element): (usize, &T)| read(element).map_err(|error| error.within(&format!("{path}[{nth}]")));
    list.iter().enumerate().map(element).collect()
}

fn seconds(path: &str, text: Option<&str>) -> Result<Option<u64>, FieldError> {
    text.map(|text| time_s(path, text)).transpose()
}

/// Reads an RFC 3339 time of whole seconds, after 1970 began.
pub(super) fn time_s(path: &str, text: &str) -> Result<u64, FieldError> {
    let ms = time::parse_rfc3339(text).map_err(|rule| FieldError::new(path, rule.into()))?;
    match (ms / 1000, ms % 1000) {
        (_, rest) if rest != 0 => Err(FieldError::new(path, FieldRule::WholeSeconds)),
        (got @ 0, _) => Err(FieldError::new(path, RecordError::ExpiryRange { got }.into())),
        (seconds, _) => Ok(seconds),
    }
}
