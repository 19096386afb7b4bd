//! What is to be known about a record beside its labels: where it belongs, whom it was reported to, how long.
//!
//! Hash set, reports, preservation, validity, incident, and what other schemes call it. None of it says what
//! the media shows, and all of it has a bound: words, months, seconds, random ids, and class ids that are
//! passed on unread. A scheme or an addressee that a newer version named is kept with its number.
//!
//! The keys are those of the content map; most records have none of them, so they are kept behind a pointer.
//!
//! SPEC §7.5.

use super::error::{RecordError, SchemaError};
use super::incident::IncidentId;
use super::schema::{MapReader, MapWriter};
use super::source::Token;
use super::vocabulary::{Label, LabelWord, Vocabulary};
use crate::codec::{Int, Value};
use crate::limits::{CLASS_ID_MAX_BYTES, CLASSES_PER_RECORD_MAX, REPORTS_PER_RECORD_MAX, TIME_S_MAX};

pub(super) const KEY_VALID_FROM: u64 = 9;
pub(super) const KEY_PRESERVED: u64 = 11;
pub(super) const KEY_HASH_SET: u64 = 12;
pub(super) const KEY_REPORTS: u64 = 14;
pub(super) const KEY_INCIDENT: u64 = 16;
pub(super) const KEY_CLASSES: u64 = 18;

/// Months from 1970-01 to 9999-12.
const MONTHS: u64 = 8_030 * 12;

/// A month from 1970-01 to 9999-12.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month(u32);

impl Month {
    /// The month that many months after 1970-01.
    ///
    /// # Errors
    /// A month after the year 9999.
    pub fn from_months(months: u64) -> Result<Self, RecordError> {
        let months = u32::try_from(months).ok().filter(|months| u64::from(*months) < MONTHS);
        months.map(Self).ok_or(RecordError::Month)
    }

    /// Months since 1970-01.
    #[must_use]
    pub const fn months(self) -> u32 {
        self.0
    }

    /// Reads `YYYY-MM`.
    ///
    /// # Errors
    /// Another form, or a month that does not exist or is before 1970.
    pub fn parse(text: &str) -> Result<Self, RecordError> {
        let (year, month) = text.split_once('-').ok_or(RecordError::Month)?;
        let number = |text: &str, digits| {
            let plain = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| text.parse::<u64>().ok()).flatten().ok_or(RecordError::Month)
        };
        let (year, month) = (number(year, 4)?, number(month, 2)?);
        if year < 1970 || !(1..=12).contains(&month) {
            return Err(RecordError::Month);
        }
        Self::from_months((year - 1970) * 12 + month - 1)
    }
}

impl std::fmt::Display for Month {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}", 1970 + self.0 / 12, self.0 % 12 + 1)
    }
}

/// Whom a record was reported to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReportedTo {
    /// None of those below.
    #[default]
    Other,
    /// NCMEC's CyberTipline.
    Ncmec,
    /// The Internet Watch Foundation.
    Iwf,
    /// The Canadian Centre for Child Protection.
    C3p,
    /// A hotline of INHOPE, if none of those above.
    InhopeHotline,
    /// A law enforcement agency.
    LawEnforcement,
    /// Another national authority.
    NationalAuthority,
}

/// A scheme whose classes a record may name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// One that members agreed upon elsewhere.
    #[default]
    Other,
    /// INHOPE's Universal Classification Schema.
    InhopeUcs,
    /// The Internet Watch Foundation's grading.
    Iwf,
    /// The law of a jurisdiction; the class begins with its country code.
    Jurisdiction,
}

impl Vocabulary for ReportedTo {
    const FIELD: &'static str = "reported_to";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self::Other, 0, "other"),
        (Self::Ncmec, 1, "ncmec"),
        (Self::Iwf, 2, "iwf"),
        (Self::C3p, 3, "c3p"),
        (Self::InhopeHotline, 4, "inhope_hotline"),
        (Self::LawEnforcement, 5, "law_enforcement"),
        (Self::NationalAuthority, 6, "national_authority"),
    ];
}

impl Vocabulary for Scheme {
    const FIELD: &'static str = "scheme";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self::Other, 0, "other"),
        (Self::InhopeUcs, 1, "inhope_ucs"),
        (Self::Iwf, 2, "iwf"),
        (Self::Jurisdiction, 3, "jurisdiction"),
    ];
}

impl LabelWord for ReportedTo {
    const DEFAULT: Self = Self::Other;
    const FALLBACK: Self = Self::Other;
}

impl LabelWord for Scheme {
    const DEFAULT: Self = Self::Other;
    const FALLBACK: Self = Self::Other;
}

/// A report. Ordered by the code of the addressee, then by month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Report {
    /// To whom.
    pub to: Label<ReportedTo>,
    /// In which month.
    pub month: Month,
}

impl Report {
    fn key(&self) -> (u64, Month) {
        (self.to.code(), self.month)
    }
}

/// What another scheme calls it: passed on unread. Ordered by the code of the scheme, then version and class.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OtherClass {
    scheme: Label<Scheme>,
    version: Token,
    class: Token,
}

impl OtherClass {
    /// A class of a version of a scheme.
    ///
    /// # Errors
    /// A version or class that is no token of at most 32 characters.
    pub fn new(scheme: impl Into<Label<Scheme>>, version: &str, class: &str) -> Result<Self, RecordError> {
        Ok(Self { scheme: scheme.into(), version: class_id(version)?, class: class_id(class)? })
    }

    /// The scheme.
    #[must_use]
    pub const fn scheme(&self) -> Label<Scheme> {
        self.scheme
    }

    /// Its version.
    #[must_use]
    pub const fn version(&self) -> &Token {
        &self.version
    }

    /// The class.
    #[must_use]
    pub const fn class(&self) -> &Token {
        &self.class
    }

    fn key(&self) -> (u64, &Token, &Token) {
        (self.scheme.code(), &self.version, &self.class)
    }
}

fn class_id(text: &str) -> Result<Token, RecordError> {
    if text.len() > CLASS_ID_MAX_BYTES {
        return Err(RecordError::ClassIdLength { got: text.len() });
    }
    Token::new(text)
}

/// What is known about a record beside its labels; the default is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Handling {
    /// The hash set of the roster that its author puts it in.
    pub hash_set: Option<Token>,
    /// Reports, ascending, each once.
    pub reports: Vec<Report>,
    /// Until when its author preserves what it is about, seconds since 1970 UTC.
    pub preserved_until_s: Option<u64>,
    /// Since when the statement is true, seconds since 1970 UTC; does not delay anything.
    pub valid_from_s: Option<u64>,
    /// The incident that it belongs to.
    pub incident: Option<IncidentId>,
    /// What other schemes call it, ascending, each once.
    pub classes: Vec<OtherClass>,
}

impl Handling {
    /// What a record carries: lists put in order, nothing if nothing is stated.
    ///
    /// # Errors
    /// Too many reports or classes, one of them twice, or a time that cannot be stated.
    pub fn boxed(mut self) -> Result<Option<Box<Self>>, RecordError> {
        self.reports.sort_by_key(Report::key);
        self.classes.sort_by(|one, other| one.key().cmp(&other.key()));
        if self == Self::default() {
            return Ok(None);
        }
        self.check(None)?;
        Ok(Some(Box::new(self)))
    }

    /// Checks everything but the keys that are not there.
    pub(super) fn check(&self, expires_s: Option<u64>) -> Result<(), RecordError> {
        if self.reports.len() > REPORTS_PER_RECORD_MAX {
            return Err(RecordError::ReportCount { got: self.reports.len() });
        }
        if self.classes.len() > CLASSES_PER_RECORD_MAX {
            return Err(RecordError::ClassCount { got: self.classes.len() });
        }
        if let Some(nth) = unordered(&self.reports, Report::key) {
            return Err(RecordError::ReportOrder { nth });
        }
        if let Some(nth) = unordered(&self.classes, OtherClass::key) {
            return Err(RecordError::ClassOrder { nth });
        }
        let times = [self.preserved_until_s, self.valid_from_s];
        if let Some(got) = times.into_iter().flatten().find(|got| !(1..=TIME_S_MAX).contains(got)) {
            return Err(RecordError::ExpiryRange { got });
        }
        match (self.valid_from_s, expires_s) {
            (Some(from), Some(expires)) if from >= expires => {
                Err(RecordError::ValidityOrder { from, expires })
            }
            _ => Ok(()),
        }
    }

    /// Takes its keys of the content map; nothing if none of them is there.
    pub(super) fn read(
        map: &mut MapReader,
        expires_s: Option<u64>,
    ) -> Result<Option<Box<Self>>, SchemaError> {
        if !map.holds_any(&[
            KEY_VALID_FROM,
            KEY_PRESERVED,
            KEY_HASH_SET,
            KEY_REPORTS,
            KEY_INCIDENT,
            KEY_CLASSES,
        ]) {
            return Ok(None);
        }
        let handling = Self {
            valid_from_s: read_time(map, KEY_VALID_FROM)?,
            preserved_until_s: read_time(map, KEY_PRESERVED)?,
            hash_set: super::source::read_token(map, KEY_HASH_SET)?,
            reports: read_list(map, KEY_REPORTS, read_report, |got| RecordError::ReportCount { got })?,
            incident: match map.bytes(KEY_INCIDENT)? {
                Some(id) => Some(IncidentId::from_bytes(&id).map_err(|rule| map.broken(KEY_INCIDENT, rule))?),
                None => None,
            },
            classes: read_list(map, KEY_CLASSES, read_class, |got| RecordError::ClassCount { got })?,
        };
        handling.check(expires_s).map_err(|rule| map.broken(key_of(&rule), rule))?;
        Ok(Some(Box::new(handling)))
    }

    pub(super) fn write(&self, map: &mut MapWriter) {
        let list = |values: Vec<Value>| (!values.is_empty()).then_some(Value::Array(values));
        map.put_some(KEY_VALID_FROM, self.valid_from_s.map(Value::unsigned));
        map.put_some(KEY_PRESERVED, self.preserved_until_s.map(Value::unsigned));
        map.put_some(KEY_HASH_SET, self.hash_set.as_ref().map(Token::to_value));
        map.put_some(KEY_REPORTS, list(self.reports.iter().map(write_report).collect()));
        map.put_some(KEY_INCIDENT, self.incident.map(IncidentId::to_value));
        map.put_some(KEY_CLASSES, list(self.classes.iter().map(write_class).collect()));
    }
}

/// Which key a rule of [`Handling::check`] is about.
const fn key_of(rule: &RecordError) -> u64 {
    match rule {
        RecordError::ValidityOrder { .. } => KEY_VALID_FROM,
        RecordError::ClassCount { .. } | RecordError::ClassOrder { .. } => KEY_CLASSES,
        _ => KEY_REPORTS,
    }
}

/// The first element that is not after the one before it.
fn unordered<'a, T, K: Ord>(list: &'a [T], key: impl Fn(&'a T) -> K) -> Option<usize> {
    let mut pairs = list.iter().zip(list.iter().skip(1));
    pairs.position(|(before, after)| key(before) >= key(after)).map(|at| at + 1)
}

fn read_time(map: &mut MapReader, key: u64) -> Result<Option<u64>, SchemaError> {
    match map.unsigned(key)? {
        Some(got) if !(1..=TIME_S_MAX).contains(&got) => {
            Err(map.broken(key, RecordError::ExpiryRange { got }))
        }
        time => Ok(time),
    }
}

/// A list that is not empty where it is written.
fn read_list<T>(
    map: &mut MapReader,
    key: u64,
    read: fn(usize, &Value) -> Result<T, RecordError>,
    miscounted: fn(usize) -> RecordError,
) -> Result<Vec<T>, SchemaError> {
    let Some(elements) = map.array(key)? else { return Ok(Vec::new()) };
    if elements.is_empty() {
        return Err(map.broken(key, miscounted(0)));
    }
    let list = elements.iter().enumerate().map(|(nth, element)| read(nth, element));
    list.collect::<Result<_, _>>().map_err(|rule| map.broken(key, rule))
}

fn read_report(nth: usize, element: &Value) -> Result<Report, RecordError> {
    let shape = || RecordError::ReportShape { nth };
    let Value::Array(parts) = element else { return Err(shape()) };
    let [Value::Int(Int::Unsigned(to)), Value::Int(Int::Unsigned(months))] = parts.as_slice() else {
        return Err(shape());
    };
    Ok(Report { to: Label::from_code(*to), month: Month::from_months(*months).map_err(|_| shape())? })
}

fn write_report(report: &Report) -> Value {
    Value::Array(vec![Value::unsigned(report.to.code()), Value::unsigned(report.month.months())])
}

fn read_class(nth: usize, element: &Value) -> Result<OtherClass, RecordError> {
    let Value::Array(parts) = element else { return Err(RecordError::ClassShape { nth }) };
    let [Value::Int(Int::Unsigned(scheme)), Value::Text(version), Value::Text(class)] = parts.as_slice()
    else {
        return Err(RecordError::ClassShape { nth });
    };
    OtherClass::new(Label::from_code(*scheme), version, class)
}

fn write_class(class: &OtherClass) -> Value {
    Value::Array(vec![Value::unsigned(class.scheme.code()), class.version.to_value(), class.class.to_value()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_have_one_form() {
        for (text, months) in [("1970-01", 0), ("2026-11", 682), ("9999-12", 96_359)] {
            let month = Month::parse(text).expect("a month");
            assert_eq!((month.months(), month.to_string().as_str()), (months, text));
        }
        for text in ["", "2026", "2026-1", "2026-13", "2026-00", "1969-12", "10000-01", "2026-1a", "+026-01"]
        {
            assert_eq!(Month::parse(text), Err(RecordError::Month), "{text}");
        }
        assert!(Month::from_months(MONTHS).is_err() && Month::from_months(u64::MAX).is_err());
    }

    #[test]
    fn lists_are_put_in_order_and_hold_nothing_twice() {
        let report = |to: ReportedTo, month| Report { to: to.into(), month: Month(month) };
        let reports = vec![report(ReportedTo::Iwf, 3), report(ReportedTo::Ncmec, 9)];
        let stated = Handling { reports: reports.clone(), ..Handling::default() };
        let held = stated.boxed().expect("valid").expect("stated");
        assert_eq!(held.reports, [reports[1], reports[0]]);
        let twice = Handling { reports: vec![reports[0]; 2], ..Handling::default() };
        assert_eq!(twice.boxed(), Err(RecordError::ReportOrder { nth: 1 }));
        assert_eq!(Handling::default().boxed(), Ok(None));
    }
}
