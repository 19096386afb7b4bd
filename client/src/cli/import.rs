//! `hashpact import`: a member's existing hash list becomes records.
//!
//! The work is done by `hashpact_client::import`; this file opens the list and the journal, sends the
//! batches, and reports. Unusable lines go to standard error (the first hundred) and to the
//! `--errors` file (all of them), and do not stop the rest.

use std::collections::VecDeque;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::ValueEnum;
use hashpact_client::import::{BATCH_DEFAULT, Batch, Importer, Totals, UNDER_WAY_MAX, settings_digest};
use hashpact_client::journal::Journal;
use hashpact_client::list::{Format, ListReader, ReadOptions};
use hashpact_client::{Client, ClientError};
use hashpact_protocol::api::{Ack, Receipt};
use hashpact_protocol::digest::hex_encode;
use hashpact_protocol::limits::RECORDS_PER_CALL_MAX;
use serde::Serialize;
use tokio::task::JoinHandle;

use super::bad_lines::Reporter;
use super::connect::NodeArgs;
use super::contribute::{ReaderArgs, WITHOUT_LICENSEES, parse_ack};
use super::exit::Outcome;
use super::labels::{self, LabelArgs};
use super::output::{Output, counted, grouped, printable};
use super::{inputs, progress};

/// Arguments of `import`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "CSV columns: type and value; or any of pdq, md5, sha1, sha256, photodna (several values of a cell \
                  separated by ;). Beside them: quality, origin, realism, activity, age_group, age_band, likeness, evidence \
                  (separated by ;), tlp, review, source_org, source_list, source_id, source_date, expires.\n\n\
                  A journal beside the list (LIST.hashpact-import) records which lines are stated. After a kill, run the \
                  same command again: every line is stated once. Lines that are equal in every field are stated once per \
                  list; other lists and other members are not looked at."
)]
pub(crate) struct Args {
    /// The list; - reads standard input
    #[arg(value_name = "LIST")]
    list: PathBuf,
    /// Its format; left out: recognised from the first line
    #[arg(long, value_enum)]
    format: Option<FormatArg>,
    /// Records of one call, 1 to 10000
    #[arg(long, value_name = "COUNT", default_value_t = BATCH_DEFAULT as u64,
          value_parser = clap::value_parser!(u64).range(1..=RECORDS_PER_CALL_MAX as u64))]
    batch: u64,
    /// The journal; left out: LIST.hashpact-import, and none for standard input
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Write every unusable line's number and reason to this file
    #[arg(long, value_name = "FILE")]
    errors: Option<PathBuf>,
    /// Pass over CSV columns that are not known, instead of refusing the list
    #[arg(long)]
    ignore_unknown_columns: bool,
    /// Check every line and state nothing
    #[arg(long)]
    dry_run: bool,
    /// State the list anew although it was imported before (after retractions); needs a new --state file
    #[arg(long, requires = "state", conflicts_with = "dry_run")]
    restate: bool,
    #[command(flatten)]
    readers: ReaderArgs,
    /// What to wait for: local, or replicated:K
    #[arg(long, default_value = "local", value_parser = parse_ack)]
    ack: Ack,
    #[command(flatten)]
    labels: LabelArgs,
}

/// The formats, as options name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArg {
    /// Comma-separated values with a header
    Csv,
    /// One JSON object a line
    Jsonl,
    /// TYPE VALUE lines, as the threatexchange command writes them
    Tx,
}

impl From<FormatArg> for Format {
    fn from(format: FormatArg) -> Format {
        match format {
            FormatArg::Csv => Format::Csv,
            FormatArg::Jsonl => Format::Jsonl,
            FormatArg::Tx => Format::Tx,
        }
    }
}

/// The result as printed with `--json`.
#[derive(Debug, Default, Serialize)]
struct Summary {
    dry_run: bool,
    lines: u64,
    records: u64,
    stated_now: u64,
    stated_before: u64,
    duplicates: u64,
    bad_lines: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index_first: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index_last: Option<u64>,
}

impl Summary {
    fn stated(&mut self, batch: &Batch, receipts: &[Receipt]) {
        self.stated_now += batch.records.len() as u64;
        if let (Some(first), Some(last)) = (receipts.first(), receipts.last()) {
            self.log.get_or_insert_with(|| first.log.clone());
            self.index_first = Some(self.index_first.map_or(first.index, |index| index.min(first.index)));
            self.index_last = self.index_last.max(Some(last.index));
        }
    }
}

pub(crate) async fn run(args: &Args, node: &NodeArgs, output: Output) -> anyhow::Result<Outcome> {
    let options = ReadOptions {
        format: args.format.map(Format::from),
        ignore_unknown_columns: args.ignore_unknown_columns,
        for_everybody: args.readers.group.is_none(),
        defaults: args.labels.defaults()?,
    };
    let client = if args.dry_run { None } else { Some(node.client(output)?) };
    if let Some(client) = &client {
        args.readers.check(client).await?;
    }
    let (input, size_bytes) = inputs::open_list(&args.list)?;
    let group = args.readers.group.as_deref();
    let identity = match group {
        _ if args.restate => random_identity()?,
        Some(group) => format!("list in {group}"),
        None => "list".to_owned(),
    };
    let journal = match journal_path(args) {
        Some(path) => Some(Journal::open(&path, &identity, &settings_digest(&options, group))?),
        None => None,
    };
    output.note(&format!("where a line is silent: {}", labels::statement(&options.defaults)));
    let bar = progress::bar(output, "importing", size_bytes, progress::Unit::Bytes);
    let mut reporter = Reporter::new(output, bar.clone(), args.errors.as_deref())?;
    let batch_max = usize::try_from(args.batch).unwrap_or(BATCH_DEFAULT);
    let mut importer = Importer::new(ListReader::new(input, options), journal, &identity, batch_max);
    let mut summary = Summary { dry_run: args.dry_run, ..Summary::default() };
    let mut under_way = VecDeque::new();
    loop {
        let batch = importer.next_batch(&mut |bad| reporter.report(bad.line, &bad.reason))?;
        let is_last = batch.is_none();
        if let (Some(batch), Some(client)) = (batch, &client) {
            if let Some(nth) = batch.records.iter().position(|record| args.readers.lack_licensees(record)) {
                bail!(
                    "record {} of lines {} to {}: {WITHOUT_LICENSEES}. {}",
                    nth + 1,
                    batch.first_line,
                    batch.last_line,
                    stopped_at(&batch, args, &summary)
                );
            }
            under_way.push_back(send(client.clone(), batch, args));
        }
        // All under way are waited for at the end; before that, the first of them when there is no more room.
        while under_way.len() >= UNDER_WAY_MAX || is_last {
            let Some(sent) = under_way.pop_front() else { break };
            let (batch, receipts) = sent.await.context("sending a batch")?;
            let receipts = receipts.with_context(|| stopped_at(&batch, args, &summary))?;
            importer.confirm(&batch, &receipts)?;
            summary.stated(&batch, &receipts);
        }
        if is_last {
            break;
        }
        bar.set_position(importer.bytes());
        bar.set_message(counted(importer.totals().records, "record", "records"));
    }
    bar.finish_and_clear();
    reporter.finish().context("the list was imported, but not all of its errors were written")?;
    Ok(conclude(importer.totals(), summary, output))
}

/// Sends a batch, while the list is read on.
fn send(client: Client, batch: Batch, args: &Args) -> JoinHandle<(Batch, Result<Vec<Receipt>, ClientError>)> {
    let (readers, ack) = (args.readers.clone(), args.ack);
    tokio::spawn(async move {
        let receipts = readers.state(&client, &batch.records, &batch.key, ack).await;
        (batch, receipts)
    })
}

/// What a person needs to know when the node stops in the middle of a list.
fn stopped_at(batch: &Batch, args: &Args, summary: &Summary) -> String {
    let done = counted(summary.stated_now, "record was", "records were");
    let again = if journal_path(args).is_some() {
        "run the same command again to go on; nothing is stated twice"
    } else {
        "run the same command with the same input again; the node recognises what it has"
    };
    format!("lines {} to {} ({done} stated before; {again})", batch.first_line, batch.last_line)
}

fn conclude(totals: Totals, mut summary: Summary, output: Output) -> Outcome {
    summary.lines = totals.lines;
    summary.records = totals.records;
    summary.stated_before = totals.done_before;
    summary.duplicates = totals.duplicates;
    summary.bad_lines = totals.bad;
    if output.json {
        output.json_line(&summary);
    } else {
        let verb = if summary.dry_run { "would be stated" } else { "stated" };
        let now = if summary.dry_run { totals.records } else { summary.stated_now };
        output.line(&format!(
            "{} read, {} {verb}",
            counted(totals.lines, "line", "lines"),
            counted(now, "record", "records")
        ));
        let also = [
            (totals.done_before, "stated by an earlier run"),
            (totals.duplicates, "left out, equal to an earlier line"),
            (totals.bad, "not usable, reported"),
        ];
        for (count, what) in also.iter().filter(|(count, _)| *count > 0) {
            output.line(&format!("  {} {what}", grouped(*count)));
        }
        if let (Some(log), Some(first), Some(last)) = (&summary.log, summary.index_first, summary.index_last)
        {
            output.line(&format!("  in log {}, from index {first} to {last}", printable(log)));
        }
        if summary.dry_run {
            output.note("dry run: nothing was stated");
        }
    }
    if totals.bad > 0 { Outcome::SomeFailed } else { Outcome::Done }
}

fn journal_path(args: &Args) -> Option<PathBuf> {
    if args.dry_run {
        return None;
    }
    args.state.clone().or_else(|| {
        (args.list.as_os_str() != "-").then(|| {
            let mut name = args.list.clone().into_os_string();
            name.push(".hashpact-import");
            PathBuf::from(name)
        })
    })
}

fn random_identity() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no randomness from the system: {error}"))?;
    Ok(hex_encode(&bytes))
}
