//! `hashpact digest dataset`: a data set as a whole, by the digests of its files and the Merkle root over them.
//!
//! All or nothing: the root of a set with a file left out would be that of another set. File names are never printed into a
//! record.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use hashpact_client::list::lines::{Lines, RawLine};
use hashpact_hashing::digest::sha256_reader;
use hashpact_protocol::api::{DatasetJson, NewRecord, NewSignal};
use hashpact_protocol::digest::{RecordId, hex_array, hex_encode};
use hashpact_protocol::leaf::Kind;
use hashpact_protocol::limits::SIGNALS_PER_RECORD_MAX;
use hashpact_protocol::record::{DatasetForm, SignalType, dataset_root};
use rayon::prelude::*;
use serde::Serialize;

use super::{OutArgs, shown, signal, subject, technique, write};
use crate::cli::bad_lines::Reporter;
use crate::cli::exit::Outcome;
use crate::cli::inputs::{self, Input};
use crate::cli::labels::words;
use crate::cli::output::{Output, counted, grouped};
use crate::cli::progress;

/// Files digested between two steps of the progress bar, for each processor.
const PORTION_PER_THREAD: usize = 8;

/// Arguments of `digest dataset`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The first record has the root (dataset_root, SPEC §7.15), what the options say and up to 63 digests of files \
                  (dataset_sha256); further records have the other digests. With --root-only there is one record. Nothing is \
                  sent to anybody, and no name of a file is part of a record. If one file cannot be read nothing is made: the \
                  root would be that of another data set.\n\n\
                  State them with `hashpact contribute --signals FILE --review WORD`. With the id of the first record as \
                  --subject, `digest urls` makes keyed digests that add to it."
)]
pub(crate) struct Args {
    /// Files of the data set, and folders to walk
    #[arg(value_name = "FILE|DIR", required_unless_present = "sums")]
    paths: Vec<PathBuf>,
    /// Take the digests from a list as sha256sum writes it instead; - reads standard input
    #[arg(long, value_name = "LIST", conflicts_with = "paths")]
    sums: Option<PathBuf>,
    /// Make the root alone, without the digests of single files
    #[arg(long)]
    root_only: bool,
    /// What the data set consists of; left out: undetermined
    #[arg(long, value_name = "WORD", value_parser = words::<DatasetForm>())]
    form: Option<String>,
    /// How many items it has
    #[arg(long, value_name = "COUNT")]
    items: Option<u64>,
    /// How many of them are known to be abuse
    #[arg(long, value_name = "COUNT")]
    known: Option<u64>,
    /// A technique that it is used for, such as HP-T0003; repeat for several
    #[arg(long, value_name = "TECHNIQUE", value_parser = technique)]
    technique: Vec<String>,
    /// Record that these add to
    #[arg(long, value_name = "RECORD", value_parser = crate::cli::parse_record_id)]
    subject: Option<RecordId>,
    #[command(flatten)]
    out: OutArgs,
}

/// What was made, as printed with `--json`.
#[derive(Debug, Serialize)]
struct Summary {
    files: u64,
    distinct: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_bytes: Option<u64>,
    dataset_root: String,
    records: u64,
}

/// Digests of a data set's files.
#[derive(Default)]
struct Digested {
    files: u64,
    size_bytes: Option<u64>,
    distinct: BTreeSet<[u8; 32]>,
}

pub(super) fn run(args: &Args, output: Output) -> anyhow::Result<Outcome> {
    let found = match &args.sums {
        Some(list) => read_sums(list, output)?,
        None => digest_files(&args.paths, output)?,
    };
    let root = dataset_root(&found.distinct).context("there are no files; nothing was made")?;
    let mut signals = vec![signal(SignalType::DatasetRoot, &root)];
    if !args.root_only {
        signals.extend(found.distinct.iter().map(|digest| signal(SignalType::DatasetSha256, digest)));
    }
    let records = records(args, &found, signals);
    let mut target = args.out.open()?;
    for record in &records {
        write(&mut target, record)?;
    }
    target.finish()?;
    let summary = Summary {
        files: found.files,
        distinct: found.distinct.len() as u64,
        size_bytes: found.size_bytes,
        dataset_root: hex_encode(&root),
        records: records.len() as u64,
    };
    args.out.conclude(&summary, &in_words(&summary), output);
    Ok(Outcome::Done)
}

/// The records: the first says what the data set is, the others only that the digests are of one of the same form.
fn records(args: &Args, found: &Digested, signals: Vec<NewSignal>) -> Vec<NewRecord> {
    let record = |dataset: DatasetJson, signals: &[NewSignal]| NewRecord {
        kind: Kind::Dataset.name().to_owned(),
        signals: signals.to_vec(),
        subject: subject(args.subject.as_ref()),
        dataset: Some(Box::new(dataset)),
        ..NewRecord::default()
    };
    let form = DatasetJson { form: args.form.clone(), ..DatasetJson::default() };
    let whole = DatasetJson {
        items: args.items,
        known: args.known,
        size_bytes: found.size_bytes.filter(|size_bytes| *size_bytes > 0),
        techniques: args.technique.clone(),
        ..form.clone()
    };
    let details = std::iter::once(whole).chain(std::iter::repeat(form));
    signals.chunks(SIGNALS_PER_RECORD_MAX).zip(details).map(|(part, detail)| record(detail, part)).collect()
}

fn digest_files(paths: &[PathBuf], output: Output) -> anyhow::Result<Digested> {
    let bar = progress::bar(output, "digesting", None, progress::Unit::Items);
    let mut found = Digested { size_bytes: Some(0), ..Digested::default() };
    let mut failed = 0u64;
    let mut inputs = inputs::walk(paths).peekable();
    while inputs.peek().is_some() {
        let portion = rayon::current_num_threads() * PORTION_PER_THREAD;
        let some: Vec<Input> = inputs.by_ref().take(portion).collect();
        let digested: Vec<_> = some.par_iter().map(digest_input).collect();
        for (input, result) in some.iter().zip(digested) {
            match result {
                Ok((digest, size_bytes)) => {
                    found.files += 1;
                    found.size_bytes = found.size_bytes.map(|sum| sum + size_bytes);
                    found.distinct.insert(digest);
                }
                Err(error) => {
                    failed += 1;
                    bar.suspend(|| output.warn(&format!("{}: {error}", shown(&input.path))));
                }
            }
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    if failed > 0 {
        bail!("{} could not be read; nothing was made", counted(failed, "file", "files"));
    }
    Ok(found)
}

fn digest_input(input: &Input) -> Result<([u8; 32], u64), String> {
    match &input.problem {
        Some(problem) => Err(problem.clone()),
        None => File::open(&input.path).and_then(sha256_reader).map_err(|error| error.to_string()),
    }
}

/// Reads lines `DIGEST  NAME`, of which the names are passed over.
fn read_sums(list: &Path, output: Output) -> anyhow::Result<Digested> {
    let (input, size_bytes) = inputs::open_list(list)?;
    let mut lines = Lines::new(input);
    let bar = progress::bar(output, "reading", size_bytes, progress::Unit::Bytes);
    let mut reporter = Reporter::new(output, bar.clone(), None)?;
    let (mut found, mut bad) = (Digested::default(), 0u64);
    while let Some(line) = lines.next_line().with_context(|| shown(list))? {
        bar.set_position(lines.bytes());
        let digest = match &line {
            RawLine::Text(text) if text.trim().is_empty() => continue,
            RawLine::Text(text) => digest_of_sum(text),
            RawLine::NotUtf8 | RawLine::TooLong(_) => None,
        };
        if let Some(digest) = digest {
            found.files += 1;
            found.distinct.insert(digest);
        } else {
            bad += 1;
            reporter.report(lines.number(), &"not a SHA-256 digest of 64 hex digits, then a name");
        }
    }
    bar.finish_and_clear();
    reporter.finish()?;
    if bad > 0 {
        bail!("{} could not be read; nothing was made", counted(bad, "line", "lines"));
    }
    Ok(found)
}

/// The digest of a line; sha256sum puts a backslash before it where the name has characters that it replaces.
fn digest_of_sum(text: &str) -> Option<[u8; 32]> {
    let word = text.trim_start().trim_start_matches('\\').split_whitespace().next()?;
    hex_array(&word.to_ascii_lowercase()).ok()
}

fn in_words(summary: &Summary) -> String {
    let same = summary.files - summary.distinct;
    let same = if same > 0 { format!(", {} the same as another", grouped(same)) } else { String::new() };
    let size = summary.size_bytes.map(|bytes| format!(", {} bytes", grouped(bytes))).unwrap_or_default();
    format!(
        "{}{same}{size}; dataset_root {}, {}",
        counted(summary.files, "file", "files"),
        summary.dataset_root,
        counted(summary.records, "record", "records")
    )
}
