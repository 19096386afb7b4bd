//! Hash lists: the forms in which members keep and exchange signals outside of Hashpact.
//!
//! Three formats, read line by line with bounded memory, and written by `hashpact export`:
//!
//! * **CSV** with a header (`csv`): one record a line, either `type,value` or a column for each
//!   signal type; more columns for quality, labels, review, source, expiry and handling.
//! * **JSON lines** (`jsonl`): objects of the HTTP API (`NewRecord`), objects that `export` writes,
//!   or objects that `hashpact hash --json` prints.
//! * **`TYPE VALUE` lines** (`tx`) as the `threatexchange` command prints them with
//!   `dataset --print-signals --signals-only` or `hash`; no labels.
//!
//! A line that cannot be used is a value with its number and the reason ([`BadLine`]); only a list
//! that cannot be understood at all is an error. Upper-case hexadecimal is accepted and lowered;
//! nothing else is guessed. Every record that comes out has passed the same check that the node
//! makes.

pub mod cells;
pub mod csv;
pub mod genmeta;
pub mod jsonl;
pub mod lines;
pub mod tx;

use std::io::{self, BufRead};

use hashpact_protocol::api::{FieldError, HandlingJson, LabelsJson, NewRecord, NewSignal, SourceJson};
use hashpact_protocol::leaf::Kind;
use hashpact_protocol::record::{Content, SignalType};
use thiserror::Error;

use self::cells::CellError;
use self::csv::{Columns, HeaderError};
use self::lines::{Lines, RawLine};

/// The form of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values with a header.
    Csv,
    /// One JSON object a line.
    Jsonl,
    /// `TYPE VALUE` lines.
    Tx,
}

impl Format {
    /// The name that options use.
    pub fn name(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Jsonl => "jsonl",
            Format::Tx => "tx",
        }
    }

    /// Tells the format from the first line that is not blank.
    fn of(line: &str) -> Option<Format> {
        if line.trim_start().starts_with('{') {
            Some(Format::Jsonl)
        } else if line.contains(',') || csv::is_column(line.trim()) {
            Some(Format::Csv)
        } else if line.split_whitespace().next().is_some_and(tx::is_known_type) {
            Some(Format::Tx)
        } else {
            None
        }
    }
}

/// What is stated about every record whose line does not say otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Defaults {
    /// Labels.
    pub labels: LabelsJson,
    /// Review of harm.
    pub review: Option<String>,
    /// Source.
    pub source: Option<SourceJson>,
    /// Expiry.
    pub expires: Option<String>,
    /// Hash set, reports, incident and the like.
    pub handling: HandlingJson,
}

impl Defaults {
    /// Fills what `record` leaves open.
    pub fn apply(&self, record: &mut NewRecord) {
        let fill = |field: &mut Option<String>, default: &Option<String>| {
            if field.is_none() {
                field.clone_from(default);
            }
        };
        let labels = &mut record.labels;
        fill(&mut labels.origin, &self.labels.origin);
        fill(&mut labels.realism, &self.labels.realism);
        fill(&mut labels.activity, &self.labels.activity);
        fill(&mut labels.age_group, &self.labels.age_group);
        fill(&mut labels.age_band, &self.labels.age_band);
        fill(&mut labels.likeness, &self.labels.likeness);
        fill(&mut labels.tlp, &self.labels.tlp);
        if labels.evidence.is_empty() {
            labels.evidence.clone_from(&self.labels.evidence);
        }
        fill(&mut record.review, &self.review);
        if record.source.is_none() {
            record.source.clone_from(&self.source);
        }
        fill(&mut record.expires, &self.expires);
        let (handling, defaults) = (&mut record.handling, &self.handling);
        fill(&mut handling.hash_set, &defaults.hash_set);
        fill(&mut handling.preserved_until, &defaults.preserved_until);
        fill(&mut handling.valid_from, &defaults.valid_from);
        fill(&mut handling.incident, &defaults.incident);
        if handling.reported_to.is_empty() {
            handling.reported_to.clone_from(&defaults.reported_to);
        }
        if handling.classes.is_empty() {
            handling.classes.clone_from(&defaults.classes);
        }
    }
}

/// A usable line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListItem {
    /// Its number.
    pub line: u64,
    /// What it states, defaults filled in, in [`canonical`] form.
    pub record: NewRecord,
    /// The same, checked.
    pub content: Content,
    /// The other seven dihedral values of its first PDQ signal, where the list has them; used for
    /// look-ups only.
    pub variants: Vec<String>,
    /// The file that the line is about, as `hash` printed it; never sent.
    pub file: Option<String>,
}

/// A line that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// Its number.
    pub line: u64,
    /// Why.
    pub reason: LineError,
}

/// Why a line cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LineError {
    /// Longer than any record.
    #[error("{bytes} bytes long, more than {max} are not read", max = lines::LINE_MAX_BYTES)]
    TooLong {
        /// Its length.
        bytes: u64,
    },
    /// Not text.
    #[error("not UTF-8 text")]
    NotUtf8,
    /// Quotes of a CSV line do not pair up.
    #[error(transparent)]
    Cells(#[from] CellError),
    /// A CSV line has fewer or more cells than the header.
    #[error("{got} cells, but the header has {expected}")]
    CellCount {
        /// Columns of the header.
        expected: usize,
        /// Cells found.
        got: usize,
    },
    /// A quality that is not a number from 0 to 100.
    #[error("quality: expected a whole number from 0 to 100, got {got:?}")]
    Quality {
        /// The text found.
        got: String,
    },
    /// Several PDQ values with another number of qualities.
    #[error("{qualities} qualities for {values} PDQ values; separate both with ';', or leave quality empty")]
    QualityCount {
        /// Qualities in the cell.
        qualities: usize,
        /// PDQ values in the cell.
        values: usize,
    },
    /// A cell of parts that are separated by `:`, of which some are missing or too many.
    #[error("{column}: expected {form}, several separated by ';'")]
    Parts {
        /// The column.
        column: &'static str,
        /// What each part looks like.
        form: &'static str,
    },
    /// A quality without a PDQ value.
    #[error("quality given, but there is no PDQ value that it could be about")]
    QualityAlone,
    /// No signal at all.
    #[error("no signal on this line")]
    NoSignal,
    /// Parts of a source without the organisation.
    #[error("source_list, source_id and source_date need a source_org")]
    SourceWithoutOrganisation,
    /// Not a JSON object, or not one of the three shapes.
    #[error("not a record in JSON: {what}")]
    Json {
        /// The parser's words.
        what: String,
    },
    /// An exported entry that is not content.
    #[error("a record of kind {kind:?} cannot be imported, only statements")]
    Kind {
        /// Its kind.
        kind: String,
    },
    /// An exported record that does not stand.
    #[error("the record is {status}; only records that stand are imported")]
    NotStanding {
        /// Its status.
        status: String,
    },
    /// `hash` could not read this file.
    #[error("this file was not hashed: {error}")]
    NotHashed {
        /// What `hash` said.
        error: String,
    },
    /// Not two words.
    #[error("expected TYPE VALUE, as `threatexchange dataset --print-signals --signals-only` prints")]
    TypeValue,
    /// Text or an address instead of a hash.
    #[error("{name} carries text; Hashpact takes hashes of media only")]
    TextType {
        /// The type's name.
        name: String,
    },
    /// A type that this version does not know.
    #[error(
        "unknown signal type {name:?}; known are pdq, md5, sha1, sha256, photodna, and video_md5 for md5"
    )]
    UnknownType {
        /// The type's name, shortened.
        name: String,
    },
    /// A keyed digest where records are for everybody.
    #[error(
        "a keyed digest, which only the members of the group that has the key can read; --group names the group in the roster"
    )]
    Keyed,
    /// A rule of records is broken.
    #[error(transparent)]
    Field(#[from] FieldError),
}

/// Why a list cannot be read at all.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ListError {
    /// Reading failed.
    #[error("reading the list: {0}")]
    Io(#[from] io::Error),
    /// The first line fits no format.
    #[error(
        "line {line}: the format of the list is not recognised; expected a CSV header, a JSON object, or TYPE VALUE \
         (use --format to say which it is)"
    )]
    UnknownFormat {
        /// The first line that is not blank.
        line: u64,
    },
    /// The header of a CSV list is wrong.
    #[error("line {line}: {error}")]
    Header {
        /// The header's line.
        line: u64,
        /// What is wrong.
        error: HeaderError,
    },
}

/// What a line was.
#[derive(Debug)]
pub enum Step {
    /// A usable line.
    Item(Box<ListItem>),
    /// A line to report.
    Bad(BadLine),
}

/// How a list is to be read.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// The format; recognised from the first line when absent.
    pub format: Option<Format>,
    /// Pass over CSV columns that we do not know, instead of refusing the list.
    pub ignore_unknown_columns: bool,
    /// Refuse keyed digests: the records are to be stated to everybody.
    pub for_everybody: bool,
    /// What is stated where a line is silent.
    pub defaults: Defaults,
}

/// Reads a list; see the module's text.
pub struct ListReader<R> {
    lines: Lines<R>,
    format: Option<Format>,
    columns: Option<Columns>,
    options: ReadOptions,
}

impl<R: BufRead> ListReader<R> {
    /// Starts before the first line of `inner`; nothing is read yet.
    pub fn new(inner: R, options: ReadOptions) -> ListReader<R> {
        ListReader { lines: Lines::new(inner), format: options.format, columns: None, options }
    }

    /// The number of the line that was read last.
    pub fn line(&self) -> u64 {
        self.lines.number()
    }

    /// Bytes read so far.
    pub fn bytes(&self) -> u64 {
        self.lines.bytes()
    }

    /// A digest of the lines read so far.
    pub fn chain(&self) -> [u8; 32] {
        self.lines.chain()
    }

    /// The format, once a line was read.
    pub fn format(&self) -> Option<Format> {
        self.format
    }

    /// The next usable or unusable line; `None` at the end. Blank lines are passed over.
    ///
    /// # Errors
    /// A [`ListError`] when reading fails or the list cannot be understood at all.
    pub fn next_step(&mut self) -> Result<Option<Step>, ListError> {
        while let Some(raw) = self.lines.next_line()? {
            let line = self.lines.number();
            let text = match raw {
                RawLine::Text(text) if text.trim().is_empty() => continue,
                RawLine::Text(text) => text,
                RawLine::TooLong(bytes) => return Ok(Some(bad(line, LineError::TooLong { bytes }))),
                RawLine::NotUtf8 => return Ok(Some(bad(line, LineError::NotUtf8))),
            };
            let format = match self.format {
                Some(format) => format,
                None => Format::of(&text).ok_or(ListError::UnknownFormat { line })?,
            };
            self.format = Some(format);
            if format == Format::Csv && self.columns.is_none() {
                let columns = Columns::parse(&text, self.options.ignore_unknown_columns)
                    .map_err(|error| ListError::Header { line, error })?;
                self.columns = Some(columns);
                continue;
            }
            return Ok(Some(match self.read(format, &text) {
                Ok(item) => Step::Item(Box::new(ListItem { line, ..item })),
                Err(reason) => bad(line, reason),
            }));
        }
        Ok(None)
    }

    fn read(&self, format: Format, text: &str) -> Result<ListItem, LineError> {
        let mut parsed = match (format, &self.columns) {
            (Format::Csv, Some(columns)) => Parsed::from(columns.read(text)?),
            (Format::Csv, None) => unreachable!("the header is read before any row"),
            (Format::Jsonl, _) => jsonl::read(text)?,
            (Format::Tx, _) => Parsed::from(tx::read(text)?),
        };
        for signal in &mut parsed.record.signals {
            signal.value.make_ascii_lowercase();
        }
        for variant in &mut parsed.variants {
            variant.make_ascii_lowercase();
        }
        self.options.defaults.apply(&mut parsed.record);
        parsed.record.subject()?;
        let content = parsed.record.to_record()?;
        if self.options.for_everybody && content.signals.iter().any(|signal| signal.kind().is_keyed()) {
            return Err(LineError::Keyed);
        }
        Ok(ListItem {
            line: 0,
            record: NewRecord { subject: parsed.record.subject, ..canonical(&content) },
            content,
            variants: parsed.variants,
            file: parsed.file,
        })
    }
}

fn bad(line: u64, reason: LineError) -> Step {
    Step::Bad(BadLine { line, reason })
}

/// What a line says before it is checked.
#[derive(Debug, Default)]
struct Parsed {
    record: NewRecord,
    variants: Vec<String>,
    file: Option<String>,
}

impl From<NewRecord> for Parsed {
    fn from(record: NewRecord) -> Parsed {
        Parsed { record, ..Parsed::default() }
    }
}

/// The one way of writing a record as a request: what is the default anyway is left out.
///
/// Equal records become equal bytes, whatever list they came from, so that a request that is sent
/// again with the same idempotency key has the same body.
pub fn canonical(content: &Content) -> NewRecord {
    let silent = NewRecord::from(&Content {
        labels: Default::default(),
        review: Default::default(),
        ..content.clone()
    });
    let mut record = NewRecord::from(content);
    let quiet = |field: &mut Option<String>, default: &Option<String>| {
        if field == default {
            *field = None;
        }
    };
    let labels = &mut record.labels;
    quiet(&mut labels.origin, &silent.labels.origin);
    quiet(&mut labels.realism, &silent.labels.realism);
    quiet(&mut labels.activity, &silent.labels.activity);
    quiet(&mut labels.age_group, &silent.labels.age_group);
    quiet(&mut labels.age_band, &silent.labels.age_band);
    quiet(&mut labels.likeness, &silent.labels.likeness);
    quiet(&mut labels.tlp, &silent.labels.tlp);
    quiet(&mut record.review, &silent.review);
    record
}

/// A record of these signals alone.
fn record_of(signals: Vec<NewSignal>) -> NewRecord {
    NewRecord { kind: kind_of(&signals), signals, ..NewRecord::default() }
}

/// The kind of records that the first of these signals belongs to.
fn kind_of(signals: &[NewSignal]) -> String {
    let first = signals.first().and_then(|signal| SignalType::parse(&signal.signal_type));
    first.map_or(Kind::Content, SignalType::record_kind).name().to_owned()
}

/// At most 24 characters of a word from a list, for a message.
fn shortened(word: &str) -> String {
    word.chars().take(24).collect()
}

#[cfg(test)]
mod tests;
