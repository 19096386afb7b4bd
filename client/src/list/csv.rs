//! CSV lists: a header that names the columns, one record a line.
//!
//! Two forms of naming signals, never both: `type` and `value`, one signal a record; or a column
//! for each signal type (`pdq`, `md5`, `sha1`, `sha256`, `photodna`), in which a cell may hold
//! several values separated by `;`. `quality` belongs to the PDQ value, or holds one number for
//! each of them in the same order. `evidence` is separated by `;` as well. All other columns hold
//! one word: the labels, `review`, `source_org`, `source_list`, `source_id`, `source_date`,
//! `expires`, `valid_from`, `preserved_until`, `hash_set`, `incident`; `reported_to` holds `TO:YYYY-MM` and `classes`
//! `SCHEME:VERSION:CLASS`, several separated by `;`. An empty cell says nothing; the word `undetermined` says
//! undetermined.
//!
//! What [`header_line`] and [`row`] write is read back as the same record (a property test says so), but for the
//! reports and the preservation, which are the author's and not written.

use hashpact_protocol::api::{NewRecord, NewSignal, OtherClassJson, RecordJson, ReportJson, SourceJson};
use hashpact_protocol::record::SignalType;
use thiserror::Error;

use super::{LineError, cells, kind_of};

/// The columns, in the order in which they are written.
const COLUMNS: [(&str, Column); 28] = [
    ("type", Column::Type),
    ("value", Column::Value),
    ("pdq", Column::Signal(SignalType::Pdq)),
    ("quality", Column::Quality),
    ("md5", Column::Signal(SignalType::Md5)),
    ("sha1", Column::Signal(SignalType::Sha1)),
    ("sha256", Column::Signal(SignalType::Sha256)),
    ("photodna", Column::Signal(SignalType::PhotoDna)),
    ("origin", Column::Origin),
    ("realism", Column::Realism),
    ("activity", Column::Activity),
    ("age_group", Column::AgeGroup),
    ("age_band", Column::AgeBand),
    ("likeness", Column::Likeness),
    ("evidence", Column::Evidence),
    ("tlp", Column::Tlp),
    ("review", Column::Review),
    ("source_org", Column::SourceOrg),
    ("source_list", Column::SourceList),
    ("source_id", Column::SourceId),
    ("source_date", Column::SourceDate),
    ("expires", Column::Expires),
    ("valid_from", Column::ValidFrom),
    ("preserved_until", Column::PreservedUntil),
    ("hash_set", Column::HashSet),
    ("reported_to", Column::ReportedTo),
    ("incident", Column::Incident),
    ("classes", Column::Classes),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Type,
    Value,
    Signal(SignalType),
    Quality,
    Origin,
    Realism,
    Activity,
    AgeGroup,
    AgeBand,
    Likeness,
    Evidence,
    Tlp,
    Review,
    SourceOrg,
    SourceList,
    SourceId,
    SourceDate,
    Expires,
    ValidFrom,
    PreservedUntil,
    HashSet,
    ReportedTo,
    Incident,
    Classes,
    Ignored,
}

/// What is wrong with a header.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// Quotes do not pair up.
    #[error(transparent)]
    Cells(#[from] cells::CellError),
    /// Columns that we do not know.
    #[error("unknown column(s) {}; rename them, or pass over them with --ignore-unknown-columns", .names.join(", "))]
    Unknown {
        /// Their names.
        names: Vec<String>,
    },
    /// A column stands twice.
    #[error("column {name} stands twice")]
    Twice {
        /// Its name.
        name: String,
    },
    /// No column holds signals.
    #[error("no column for signals: expected type and value, or one of pdq, md5, sha1, sha256, photodna")]
    NoSignals,
    /// `type` without `value`, or the other way round.
    #[error("type and value belong together, but only one of them is there")]
    HalfTyped,
    /// Both ways of naming signals.
    #[error("either type and value, or a column for each signal type, not both")]
    BothForms,
}

/// True if `name` is one of our columns.
pub(super) fn is_column(name: &str) -> bool {
    column(name).is_some()
}

fn column(name: &str) -> Option<Column> {
    COLUMNS.iter().find(|(known, _)| *known == name).map(|(_, column)| *column)
}

/// The columns of one list.
#[derive(Debug, Clone)]
pub struct Columns {
    columns: Vec<Column>,
}

impl Columns {
    /// Reads the header line.
    ///
    /// # Errors
    /// A [`HeaderError`] that names the columns.
    pub fn parse(line: &str, ignore_unknown: bool) -> Result<Columns, HeaderError> {
        let names: Vec<String> = cells::split(line)?.iter().map(|name| name.to_ascii_lowercase()).collect();
        let columns: Vec<Column> = names.iter().map(|name| column(name).unwrap_or(Column::Ignored)).collect();
        let twice = |at: &usize| columns[*at] != Column::Ignored && columns[..*at].contains(&columns[*at]);
        if let Some(at) = (0..columns.len()).find(twice) {
            return Err(HeaderError::Twice { name: names[at].clone() });
        }
        let unknown = names.iter().zip(&columns).filter(|(_, column)| **column == Column::Ignored);
        let unknown: Vec<String> = unknown.map(|(name, _)| format!("{:?}", super::shortened(name))).collect();
        if !unknown.is_empty() && !ignore_unknown {
            return Err(HeaderError::Unknown { names: unknown });
        }
        let (typed, valued) = (columns.contains(&Column::Type), columns.contains(&Column::Value));
        let wide = columns.iter().any(|column| matches!(column, Column::Signal(_)));
        match (typed, valued, wide) {
            (true, true, false) | (false, false, true) => Ok(Columns { columns }),
            (false, false, false) => Err(HeaderError::NoSignals),
            (true, true, true) => Err(HeaderError::BothForms),
            _ => Err(HeaderError::HalfTyped),
        }
    }

    /// Reads a row into the record that it states, not yet checked.
    ///
    /// # Errors
    /// A [`LineError`] about the shape of the row; the words in it are checked by the caller.
    pub fn read(&self, line: &str) -> Result<NewRecord, LineError> {
        let cells = cells::split(line)?;
        if cells.len() != self.columns.len() {
            return Err(LineError::CellCount { expected: self.columns.len(), got: cells.len() });
        }
        let mut record = NewRecord::default();
        let mut row = Row::default();
        for (column, cell) in self.columns.iter().zip(&cells) {
            let word = cells::read_cell(cell);
            if !word.is_empty() {
                row.take(*column, word, &mut record)?;
            }
        }
        row.finish(record)
    }
}

/// What cannot be put into the record before the whole row is read.
#[derive(Default)]
struct Row<'l> {
    kind: Option<&'l str>,
    value: Option<&'l str>,
    quality: Option<&'l str>,
    source: SourceJson,
}

impl<'l> Row<'l> {
    fn take(&mut self, column: Column, word: &'l str, record: &mut NewRecord) -> Result<(), LineError> {
        let owned = || Some(word.to_owned());
        match column {
            Column::Type => self.kind = Some(word),
            Column::Value => self.value = Some(word),
            Column::Quality => self.quality = Some(word),
            Column::Signal(kind) => record.signals.extend(word.split(';').map(|value| NewSignal {
                signal_type: kind.name().to_owned(),
                value: value.trim().to_owned(),
                quality: None,
            })),
            Column::Origin => record.labels.origin = owned(),
            Column::Realism => record.labels.realism = owned(),
            Column::Activity => record.labels.activity = owned(),
            Column::AgeGroup => record.labels.age_group = owned(),
            Column::AgeBand => record.labels.age_band = owned(),
            Column::Likeness => record.labels.likeness = owned(),
            Column::Evidence => {
                record.labels.evidence = word.split(';').map(|part| part.trim().to_owned()).collect();
            }
            Column::Tlp => record.labels.tlp = owned(),
            Column::Review => record.review = owned(),
            Column::SourceOrg => self.source.organisation = word.to_owned(),
            Column::SourceList => self.source.list = owned(),
            Column::SourceId => self.source.id = owned(),
            Column::SourceDate => self.source.date = owned(),
            Column::Expires => record.expires = owned(),
            Column::ValidFrom => record.handling.valid_from = owned(),
            Column::PreservedUntil => record.handling.preserved_until = owned(),
            Column::HashSet => record.handling.hash_set = owned(),
            Column::Incident => record.handling.incident = owned(),
            Column::ReportedTo => record.handling.reported_to = read_reports(word)?,
            Column::Classes => record.handling.classes = read_classes(word)?,
            Column::Ignored => {}
        }
        Ok(())
    }

    fn finish(self, mut record: NewRecord) -> Result<NewRecord, LineError> {
        if let Some(value) = self.value {
            let signal_type = self.kind.unwrap_or_default().to_owned();
            record.signals.push(NewSignal { signal_type, value: value.to_owned(), quality: None });
        }
        if record.signals.is_empty() {
            return Err(LineError::NoSignal);
        }
        record.kind = kind_of(&record.signals);
        if let Some(quality) = self.quality {
            set_qualities(&mut record.signals, quality)?;
        }
        if self.source.organisation.is_empty() {
            if self.source != SourceJson::default() {
                return Err(LineError::SourceWithoutOrganisation);
            }
        } else {
            record.source = Some(self.source);
        }
        Ok(record)
    }
}

/// Reads reports, `TO:YYYY-MM`, separated by `;`.
///
/// # Errors
/// A part of another form; the words in it are checked by the caller.
pub fn read_reports(cell: &str) -> Result<Vec<ReportJson>, LineError> {
    let wrong = LineError::Parts { column: "reported_to", form: "TO:YYYY-MM" };
    let report = |part: &str| {
        let (to, month) = part.trim().split_once(':')?;
        Some(ReportJson { to: to.to_owned(), month: month.to_owned(), raw: None })
    };
    cell.split(';').map(report).collect::<Option<_>>().ok_or(wrong)
}

/// Reads classes of other schemes, `SCHEME:VERSION:CLASS`, separated by `;`.
///
/// # Errors
/// A part of another form; the words in it are checked by the caller.
pub fn read_classes(cell: &str) -> Result<Vec<OtherClassJson>, LineError> {
    let wrong = LineError::Parts { column: "classes", form: "SCHEME:VERSION:CLASS" };
    let class = |part: &str| {
        let (scheme, rest) = part.trim().split_once(':')?;
        let (version, class) = rest.split_once(':')?;
        let [scheme, version, class] = [scheme, version, class].map(str::to_owned);
        Some(OtherClassJson { scheme, version, class, raw: None })
    };
    cell.split(';').map(class).collect::<Option<_>>().ok_or(wrong)
}

/// Gives each PDQ value its quality.
fn set_qualities(signals: &mut [NewSignal], cell: &str) -> Result<(), LineError> {
    let mut values: Vec<&mut NewSignal> =
        signals.iter_mut().filter(|signal| signal.signal_type == "pdq").collect();
    let qualities: Vec<&str> = cell.split(';').map(str::trim).collect();
    if values.is_empty() {
        return Err(LineError::QualityAlone);
    }
    if qualities.len() != values.len() {
        return Err(LineError::QualityCount { qualities: qualities.len(), values: values.len() });
    }
    for (signal, text) in values.iter_mut().zip(qualities) {
        if !text.is_empty() {
            let wrong = || LineError::Quality { got: super::shortened(text) };
            let quality = text.parse::<u8>().ok().filter(|quality| *quality <= 100).ok_or_else(wrong)?;
            signal.quality = Some(quality);
        }
    }
    Ok(())
}

/// The columns that are written: all but `type` and `value`, and what an author did itself.
fn written() -> impl Iterator<Item = (&'static str, Column)> {
    let is_left_out = |column: &Column| {
        matches!(column, Column::Type | Column::Value | Column::ReportedTo | Column::PreservedUntil)
    };
    COLUMNS.into_iter().filter(move |(_, column)| !is_left_out(column))
}

/// The header of a list as [`row`] writes it.
pub fn header_line() -> String {
    written().map(|(name, _)| name).collect::<Vec<_>>().join(",")
}

/// The row of one exported content record.
///
/// A record without a source gets its author as the source, as in JSON lines: passing it on must not
/// look like a second, independent statement.
///
/// # Errors
/// A cell would hold something that is in none of our vocabularies, such as a signal type or label of
/// a newer version; such a record can only be exported as JSON.
pub fn row(record: &RecordJson) -> Result<String, NotWritable> {
    let labels = record.labels.clone().unwrap_or_default();
    let known = |signal: &NewSignal| SignalType::parse(&signal.signal_type).is_some();
    let handling = &record.handling;
    let is_raw = !labels.raw.is_empty() || handling.classes.iter().any(|class| class.raw.is_some());
    if is_raw || !record.signals.iter().all(known) {
        return Err(NotWritable { record: record.record.clone() });
    }
    let author = SourceJson { organisation: record.member.clone(), ..SourceJson::default() };
    let source = record.source.as_ref().unwrap_or(&author);
    let one = |field: &Option<String>| field.clone().unwrap_or_default();
    let mut line = String::with_capacity(256);
    for (at, (_, column)) in written().enumerate() {
        if at > 0 {
            line.push(',');
        }
        let cell = match column {
            Column::Signal(kind) => joined(&record.signals, kind, |signal| signal.value.clone()),
            Column::Quality => qualities(&record.signals),
            Column::Origin => one(&labels.origin),
            Column::Realism => one(&labels.realism),
            Column::Activity => one(&labels.activity),
            Column::AgeGroup => one(&labels.age_group),
            Column::AgeBand => one(&labels.age_band),
            Column::Likeness => one(&labels.likeness),
            Column::Evidence => labels.evidence.join(";"),
            Column::Tlp => one(&labels.tlp),
            Column::Review => one(&record.review),
            Column::SourceOrg => source.organisation.clone(),
            Column::SourceList => one(&source.list),
            Column::SourceId => one(&source.id),
            Column::SourceDate => one(&source.date),
            Column::Expires => one(&record.expires),
            Column::ValidFrom => one(&handling.valid_from),
            Column::HashSet => one(&handling.hash_set),
            Column::Incident => one(&handling.incident),
            Column::Classes => classes(&handling.classes),
            Column::Type | Column::Value | Column::PreservedUntil | Column::ReportedTo | Column::Ignored => {
                unreachable!("not among the written columns")
            }
        };
        if !cells::is_writable(&cell) {
            return Err(NotWritable { record: record.record.clone() });
        }
        cells::write_cell(&mut line, &cell);
    }
    Ok(line)
}

/// A record that a CSV row cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("record {record} holds a signal type or label that CSV columns cannot name; export it as jsonl")]
pub struct NotWritable {
    /// Its id.
    pub record: String,
}

fn joined(signals: &[NewSignal], kind: SignalType, part: impl Fn(&NewSignal) -> String) -> String {
    let of_kind = signals.iter().filter(|signal| signal.signal_type == kind.name());
    of_kind.map(part).collect::<Vec<_>>().join(";")
}

fn classes(classes: &[OtherClassJson]) -> String {
    let parts = classes.iter().map(|class| format!("{}:{}:{}", class.scheme, class.version, class.class));
    parts.collect::<Vec<_>>().join(";")
}

/// The qualities of the PDQ values, in their order; empty when none has one.
fn qualities(signals: &[NewSignal]) -> String {
    let text =
        joined(signals, SignalType::Pdq, |signal| signal.quality.map(|q| q.to_string()).unwrap_or_default());
    if text.bytes().all(|byte| byte == b';') { String::new() } else { text }
}
