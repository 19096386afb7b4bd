//! `hashpact supersede`: state a record of your member anew.

use anyhow::bail;
use hashpact_client::Client;
use hashpact_client::list::Defaults;
use hashpact_protocol::api::{ModelJson, NewRecord, RecordJson};
use hashpact_protocol::digest::RecordId;

use super::exit::Outcome;
use super::labels::{self, LabelArgs};
use super::output::{Output, printable};

/// Arguments of `supersede`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The new record has the signals of the old one, and what the options do not change. One entry takes the place of \
                  the other at every member, for good; there is no moment in which neither counts. Only the member that stated a \
                  record can supersede it."
)]
pub(crate) struct Args {
    /// The record's id
    #[arg(value_name = "RECORD", value_parser = super::parse_record_id)]
    record: RecordId,
    /// Show what would be stated and state nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    labels: LabelArgs,
}

pub(crate) async fn run(args: &Args, client: &Client, output: Output) -> anyhow::Result<Outcome> {
    let changes = args.labels.defaults()?;
    let old = client.record(&args.record).await?;
    let record = restated(old, &changes)?;
    record.to_record()?;
    output.note(&format!("To state in the place of {}:", args.record));
    let whole = Defaults {
        labels: record.labels.clone(),
        review: record.review.clone(),
        source: record.source.clone(),
        expires: record.expires.clone(),
        handling: record.handling.clone(),
    };
    output.note(&format!("  {}", labels::statement(&whole)));
    if args.dry_run {
        if output.json {
            output.json_line(&record);
        }
        output.note("dry run: nothing was stated");
        return Ok(Outcome::Done);
    }
    let receipt = client.supersede(&args.record, &record).await?;
    if output.json {
        output.json_line(&receipt);
    } else {
        output.line(&printable(&format!(
            "{} superseded by {} ({} #{})",
            args.record, receipt.record, receipt.log, receipt.index
        )));
    }
    Ok(Outcome::Done)
}

/// The old record with what is to change.
fn restated(old: RecordJson, changes: &Defaults) -> anyhow::Result<NewRecord> {
    if old.signals.is_empty() && old.ttp.is_none() {
        bail!("record {} shows no signals here, so there is nothing to state anew", old.record);
    }
    let has_sketches = |model: &ModelJson| {
        !(model.tiles.is_empty() && model.roll_ups.is_empty() && model.numbers.is_empty())
            || model.vector_count.is_some()
            || model.part.is_some()
    };
    if old.model.as_deref().is_some_and(has_sketches) {
        bail!(
            "record {} has sketches, whose values the node does not show; state the model anew from its fingerprint",
            old.record
        );
    }
    let labels = old.labels.unwrap_or_default();
    let is_raw = !labels.raw.is_empty()
        || old.handling.classes.iter().any(|class| class.raw.is_some())
        || old.handling.reported_to.iter().any(|report| report.raw.is_some())
        || old.signals.iter().any(|signal| signal.signal_type.starts_with("unknown-"));
    if is_raw {
        bail!("record {} holds what a newer version stated, which this one would lose", old.record);
    }
    let mut record = NewRecord {
        kind: old.states.unwrap_or_else(|| {
            if old.kind.is_empty() || old.kind == "supersede" { "content".to_owned() } else { old.kind }
        }),
        signals: old.signals,
        genmeta: old.genmeta,
        model: old.model,
        dataset: old.dataset,
        service: old.service,
        ttp: old.ttp,
        ..NewRecord::default()
    };
    changes.apply(&mut record);
    let kept = Defaults {
        labels,
        review: old.review,
        source: old.source,
        expires: old.expires,
        handling: old.handling,
    };
    kept.apply(&mut record);
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hashpact_protocol::api::{LabelsJson, NewSignal};

    #[test]
    fn options_change_what_they_name_and_nothing_else() {
        let signal = NewSignal { signal_type: "md5".into(), value: "00".repeat(16), quality: None };
        let word = |text: &str| Some(text.to_owned());
        let old = RecordJson {
            signals: vec![signal.clone()],
            labels: Some(LabelsJson {
                origin: word("generated"),
                tlp: word("green"),
                ..LabelsJson::default()
            }),
            review: word("single"),
            expires: word("2030-01-01T00:00:00Z"),
            ..RecordJson::default()
        };
        let changes = Defaults {
            labels: LabelsJson { origin: word("photographic"), ..LabelsJson::default() },
            review: word("dual"),
            ..Defaults::default()
        };
        let new = restated(old.clone(), &changes).unwrap();
        assert_eq!(new.signals, [signal]);
        assert_eq!(
            (new.labels.origin.as_deref(), new.labels.tlp.as_deref()),
            (Some("photographic"), Some("green"))
        );
        assert_eq!((new.review.as_deref(), new.expires), (Some("dual"), old.expires.clone()));
        let mut newer = old;
        newer.labels.as_mut().unwrap().raw.insert("origin".into(), 9);
        assert!(restated(newer, &changes).unwrap_err().to_string().contains("newer version"));
    }
}
