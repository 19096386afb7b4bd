//! `hashpact digest urls` and `hosts`: a list of addresses becomes records with keyed digests.
//!
//! Line by line, with memory for the digests that were seen (about 40 bytes each). A line that cannot be used is reported by its
//! number and the reason, and the rest is done; no address leaves this file but as a digest.

use std::collections::HashSet;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use hashpact_client::keyed::{AddressError, GroupKey};
use hashpact_client::list::lines::{LINE_MAX_BYTES, Lines, RawLine};
use hashpact_client::list::tx;
use hashpact_protocol::api::{NewRecord, NewSignal, ServiceJson};
use hashpact_protocol::digest::RecordId;
use hashpact_protocol::leaf::Kind;
use hashpact_protocol::limits::SIGNALS_PER_RECORD_MAX;
use hashpact_protocol::record::{Platform, ServiceForm, SignalType};
use serde::Serialize;

use super::{OutArgs, key, shown, signal, subject, technique, write};
use crate::cli::bad_lines::Reporter;
use crate::cli::exit::Outcome;
use crate::cli::labels::words;
use crate::cli::output::{Output, counted, grouped};
use crate::cli::target::Target;
use crate::cli::{inputs, progress};

/// What both commands take.
#[derive(Debug, clap::Args)]
struct ListArgs {
    /// The list, one to a line; - reads standard input
    #[arg(value_name = "LIST")]
    list: PathBuf,
    /// File with the group's key, 64 hex digits, readable by its owner only; `digest key` makes one
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// Write TYPE VALUE lines for `match --list` instead of records: of each line at its own number, nothing where it
    /// cannot be used
    #[arg(long, conflicts_with = "subject")]
    for_match: bool,
    /// Record that these add to
    #[arg(long, value_name = "RECORD", value_parser = crate::cli::parse_record_id)]
    subject: Option<RecordId>,
    /// Write every unusable line's number and reason to this file
    #[arg(long, value_name = "FILE")]
    errors: Option<PathBuf>,
    #[command(flatten)]
    out: OutArgs,
}

/// Arguments of `digest urls`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Each digest is HMAC-SHA-256 of an address in its canonical form (SPEC §7.15): scheme and host in lower case, \
                  international host names as A-labels, the scheme's own port and the fragment left out, all else as it is. \
                  Addresses are never sent, printed or logged; errors name the number of the line alone.\n\n\
                  State them with `hashpact import FILE --group GROUP --review WORD` (millions of lines, resumable) or \
                  `contribute --signals`; look them up with --for-match and `hashpact match --list`."
)]
pub(crate) struct Urls {
    #[command(flatten)]
    list: ListArgs,
    /// Digests of one record, 1 to 64
    #[arg(long, value_name = "COUNT", default_value_t = SIGNALS_PER_RECORD_MAX as u64, conflicts_with = "for_match",
          value_parser = clap::value_parser!(u64).range(1..=SIGNALS_PER_RECORD_MAX as u64))]
    per_record: u64,
}

/// Arguments of `digest hosts`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "One record for each host name: HMAC-SHA-256 of the name in lower case, as A-labels, without a dot at the end \
                  (SPEC §7.16). Of a whole address its host is taken. Names are never sent, printed or logged; errors name \
                  the number of the line alone.\n\n\
                  State them with `hashpact import FILE --group GROUP --review WORD`."
)]
pub(crate) struct Hosts {
    #[command(flatten)]
    list: ListArgs,
    #[command(flatten)]
    of: ServiceArgs,
}

/// What a service is.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Service (left out: undetermined)")]
pub(super) struct ServiceArgs {
    /// What it is
    #[arg(long, value_name = "WORD", value_parser = words::<ServiceForm>())]
    form: Option<String>,
    /// What it runs on
    #[arg(long, value_name = "WORD", value_parser = words::<Platform>())]
    platform: Option<String>,
    /// A technique that it is used for, such as HP-T0034; repeat for several
    #[arg(long, value_name = "TECHNIQUE", value_parser = technique)]
    technique: Vec<String>,
}

impl ServiceArgs {
    /// A record of such a service, without signals.
    pub(super) fn record(&self) -> NewRecord {
        let service = ServiceJson {
            form: self.form.clone(),
            platform: self.platform.clone(),
            techniques: self.technique.clone(),
            ..ServiceJson::default()
        };
        let kind = Kind::Service.name().to_owned();
        NewRecord { kind, service: Some(Box::new(service)), ..NewRecord::default() }
    }
}

/// What came of a list, as printed with `--json`.
#[derive(Debug, Default, Serialize)]
struct Summary {
    lines: u64,
    digests: u64,
    records: u64,
    duplicates: u64,
    blank_lines: u64,
    bad_lines: u64,
    key_check: String,
}

pub(super) fn urls(args: &Urls, output: Output) -> anyhow::Result<Outcome> {
    let record = NewRecord { kind: Kind::Dataset.name().to_owned(), ..NewRecord::default() };
    let per_record = usize::try_from(args.per_record).unwrap_or(SIGNALS_PER_RECORD_MAX);
    digest_list(&args.list, SignalType::UrlKey, GroupKey::url_key, record, per_record, output)
}

pub(super) fn hosts(args: &Hosts, output: Output) -> anyhow::Result<Outcome> {
    digest_list(&args.list, SignalType::DomainKey, GroupKey::domain_key, args.of.record(), 1, output)
}

/// The records that a list becomes, as far as it was read.
struct Records {
    target: Target,
    /// Each record, but for its signals.
    alike: NewRecord,
    per_record: usize,
    for_match: bool,
    signals: Vec<NewSignal>,
    seen: HashSet<[u8; 16]>,
    summary: Summary,
}

fn digest_list(
    args: &ListArgs,
    kind: SignalType,
    digest: fn(&GroupKey, &str) -> Result<[u8; 32], AddressError>,
    alike: NewRecord,
    per_record: usize,
    output: Output,
) -> anyhow::Result<Outcome> {
    let key = key::read(&args.key_file)?;
    let (input, size_bytes) = inputs::open_list(&args.list)?;
    let mut lines = Lines::new(input);
    let bar = progress::bar(output, "digesting", size_bytes, progress::Unit::Bytes);
    let mut reporter = Reporter::new(output, bar.clone(), args.errors.as_deref())?;
    let mut records = Records {
        target: args.out.open()?,
        alike: NewRecord { subject: subject(args.subject.as_ref()), ..alike },
        per_record,
        for_match: args.for_match,
        signals: Vec::new(),
        seen: HashSet::new(),
        summary: Summary { key_check: key.check_value(), ..Summary::default() },
    };
    while let Some(line) = lines.next_line().with_context(|| shown(&args.list))? {
        let found = match &line {
            RawLine::Text(text) if text.trim().is_empty() => Ok(None),
            RawLine::Text(text) => digest(&key, text).map(Some).map_err(|error| error.to_string()),
            RawLine::NotUtf8 => Err("not UTF-8 text".to_owned()),
            RawLine::TooLong(bytes) => {
                Err(format!("{bytes} bytes long, more than {LINE_MAX_BYTES} are not read"))
            }
        };
        match found {
            Ok(Some(digest)) => records.add(kind, &digest)?,
            Ok(None) => records.pass_over(|summary| summary.blank_lines += 1)?,
            Err(reason) => {
                reporter.report(lines.number(), &reason);
                records.pass_over(|summary| summary.bad_lines += 1)?;
            }
        }
        bar.set_position(lines.bytes());
    }
    bar.finish_and_clear();
    let summary = records.finish(lines.number())?;
    reporter.finish()?;
    args.out.conclude(&summary, &in_words(&summary, args), output);
    Ok(if summary.bad_lines > 0 { Outcome::SomeFailed } else { Outcome::Done })
}

impl Records {
    fn add(&mut self, kind: SignalType, digest: &[u8; 32]) -> anyhow::Result<()> {
        let short = digest.first_chunk::<16>().expect("32 bytes begin with 16");
        let is_new = self.seen.insert(*short);
        if is_new {
            self.summary.digests += 1;
        } else {
            self.summary.duplicates += 1;
        }
        let signal = signal(kind, digest);
        if self.for_match {
            // Each line has an answer of its own, also where two lines are the same address.
            return self.target.line(&tx::line(&signal));
        }
        if is_new {
            self.signals.push(signal);
        }
        if self.signals.len() == self.per_record { self.write() } else { Ok(()) }
    }

    /// Counts a line without a digest.
    fn pass_over(&mut self, count: impl FnOnce(&mut Summary)) -> anyhow::Result<()> {
        count(&mut self.summary);
        if self.for_match { self.target.line("") } else { Ok(()) }
    }

    fn write(&mut self) -> anyhow::Result<()> {
        let signals = std::mem::take(&mut self.signals);
        self.summary.records += 1;
        write(&mut self.target, &NewRecord { signals, ..self.alike.clone() })
    }

    fn finish(mut self, lines: u64) -> anyhow::Result<Summary> {
        if !self.signals.is_empty() {
            self.write()?;
        }
        if self.summary.digests == 0 {
            bail!("no line of the list could be used; nothing was made");
        }
        self.target.finish()?;
        self.summary.lines = lines;
        Ok(self.summary)
    }
}

fn in_words(summary: &Summary, args: &ListArgs) -> String {
    let made = counted(summary.digests, "keyed digest", "keyed digests");
    let whole = if args.for_match {
        made
    } else {
        format!("{made} in {}", counted(summary.records, "record", "records"))
    };
    let mut text = format!(
        "{} read, {whole}; check value of the key {}",
        counted(summary.lines, "line", "lines"),
        summary.key_check
    );
    let also = [
        (summary.duplicates, if args.for_match { "given before" } else { "left out, given before" }),
        (summary.blank_lines, "blank"),
        (summary.bad_lines, "not usable, reported"),
    ];
    for (count, what) in also.iter().filter(|(count, _)| *count > 0) {
        text.push_str(&format!("\n  {} {what}", grouped(*count)));
    }
    text
}
