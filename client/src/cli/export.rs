//! `hashpact export`: what stands, as a hash list.
//!
//! Pages through the node's records and writes each as it comes, so that memory does not grow with the
//! list. With `--out` the file appears under its name only when it is complete. The node's own word
//! on whether it is complete is asked for first: a list from a node that is still loading must not
//! be taken for all there is.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use hashpact_client::Client;
use hashpact_client::list::{csv, tx};
use hashpact_protocol::api::{RecordJson, RecordsQuery};
use hashpact_protocol::limits::RECORDS_PAGE_MAX;
use hashpact_protocol::record::{LabelWord as _, Review, SignalType, Tlp, Vocabulary as _};

use super::exit::Outcome;
use super::import::FormatArg;
use super::labels::words;
use super::output::{Output, counted, printable};
use super::progress;
use super::target::Target;

/// Arguments of `export`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "csv and jsonl keep signals, labels, review, source and expiry, and `import` reads them back. A record \
                  without a source gets its author as the source, so that passing it on does not look like a second \
                  statement. tx writes TYPE VALUE lines without labels and markings, MD5 as video_md5, for the threatexchange command."
)]
pub(crate) struct Args {
    /// The format
    #[arg(long, value_enum, default_value = "jsonl")]
    format: FormatArg,
    /// Write to this file; left out: standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Only records that this member stated
    #[arg(long, value_name = "MEMBER")]
    member: Option<String>,
    /// Only records with a signal of this type
    #[arg(long = "type", value_name = "TYPE", value_parser = PossibleValuesParser::new(SignalType::ALL.map(SignalType::name)))]
    signal_type: Option<String>,
    /// Only records of this status; left out: what stands
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// Only records with at least this review
    #[arg(long, value_name = "REVIEW", value_parser = words::<Review>())]
    min_review: Option<String>,
    /// The strictest marking (TLP 2.0) of records in the list; stricter ones are left out and counted
    #[arg(long, value_name = "WORD", value_parser = words::<Tlp>(), default_value = Tlp::AmberStrict.name())]
    tlp: String,
}

pub(crate) async fn run(args: &Args, client: &Client, output: Output) -> anyhow::Result<Outcome> {
    let status = client.status().await?;
    let mut target = Target::open(args.out.as_deref())?;
    let bar = match args.out {
        Some(_) => progress::bar(output, "exporting", None, progress::Unit::Items),
        None => indicatif::ProgressBar::hidden(),
    };
    let mut query = RecordsQuery {
        cursor: None,
        limit: u32::try_from(RECORDS_PAGE_MAX).ok(),
        kind: Some("content".to_owned()),
        member: args.member.clone(),
        signal_type: args.signal_type.clone(),
        status: args.status.clone(),
        review: args.min_review.clone(),
    };
    let (mut records, mut failed, mut left_out) = (0u64, 0u64, 0u64);
    if args.format == FormatArg::Csv {
        target.line(&csv::header_line())?;
    }
    loop {
        let page = client.records(&query).await?;
        for record in &page.records {
            if marking(record) > Tlp::parse(&args.tlp).unwrap_or_default() {
                left_out += 1;
                continue;
            }
            match write_record(&mut target, record, args)? {
                Ok(()) => records += 1,
                Err(not_writable) => {
                    failed += 1;
                    bar.suspend(|| output.warn(&printable(&not_writable.to_string())));
                }
            }
        }
        bar.set_position(records);
        if page.next.is_none() {
            break;
        }
        if page.next == query.cursor {
            let what = "the cursor of the next page is that of this one".to_owned();
            let url = client.base_url().to_owned();
            return Err(hashpact_client::ClientError::Unexpected { url, what }.into());
        }
        query.cursor = page.next;
    }
    target.finish()?;
    bar.finish_and_clear();
    output.note(&counted(records, "record exported", "records exported"));
    if left_out > 0 {
        let counted = counted(left_out, "record left out", "records left out");
        output.note(&format!("{counted}: marked stricter than TLP:{}", args.tlp.to_ascii_uppercase()));
    }
    if !status.complete {
        let reason = status.reason.unwrap_or_else(|| "no reason given".to_owned());
        output.warn(&format!(
            "THE LIST IS INCOMPLETE: {}. Export again when the node has caught up.",
            printable(&reason)
        ));
        return Ok(Outcome::Incomplete);
    }
    Ok(if failed > 0 { Outcome::SomeFailed } else { Outcome::Done })
}

/// How far a record may be passed on; a marking that this version does not know is the strictest.
fn marking(record: &RecordJson) -> Tlp {
    match record.labels.as_ref().and_then(|labels| labels.tlp.as_deref()) {
        None => Tlp::DEFAULT,
        Some(word) => Tlp::parse(word).unwrap_or(Tlp::FALLBACK),
    }
}

/// Writes one record; the inner error is about the record, the outer about the file.
fn write_record(
    target: &mut Target,
    record: &RecordJson,
    args: &Args,
) -> anyhow::Result<Result<(), csv::NotWritable>> {
    match args.format {
        FormatArg::Jsonl => {
            target.line(&serde_json::to_string(record).expect("records have string keys only"))?;
        }
        FormatArg::Csv => match csv::row(record) {
            Ok(row) => target.line(&row)?,
            Err(not_writable) => return Ok(Err(not_writable)),
        },
        FormatArg::Tx => {
            let wanted = |name: &str| args.signal_type.as_deref().is_none_or(|only| only == name);
            let known = |name: &str| SignalType::parse(name).is_some();
            for signal in record.signals.iter().filter(|s| wanted(&s.signal_type) && known(&s.signal_type)) {
                target.line(&tx::line(signal))?;
            }
        }
    }
    Ok(Ok(()))
}
