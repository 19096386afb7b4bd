//! `hashpact record`: one record, and who said what about it.

use hashpact_client::Client;
use hashpact_protocol::api::{CrosswalkJson, RecordJson};
use hashpact_protocol::digest::RecordId;

use serde_json::Value;

use super::exit::Outcome;
use super::labels;
use super::output::{Output, printable};

/// Arguments of `record`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The record's id
    #[arg(value_name = "RECORD", value_parser = super::parse_record_id)]
    record: RecordId,
}

pub(crate) async fn run(args: &Args, client: &Client, output: Output) -> anyhow::Result<Outcome> {
    let record = client.record(&args.record).await?;
    if output.json {
        output.json_line(&record);
    } else {
        for line in lines(&record) {
            output.line(&printable(&line));
        }
        output.note(&format!("\nverify it offline: hashpact verify --record {} --key KEY", args.record));
    }
    Ok(Outcome::Done)
}

/// A record for a person to read.
fn lines(record: &RecordJson) -> Vec<String> {
    let mut lines = Vec::new();
    let mut field = |name: &str, value: &str| lines.push(format!("{name:<12} {value}"));
    field("record", &record.record);
    let why = record.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    field("status", &format!("{}{why}", record.status));
    field("kind", &record.kind);
    field("stated by", &record.member);
    field("stated at", &format!("{} (the author's claim)", record.time));
    field("place", &format!("{} #{}", record.log, record.index));
    if let Some(subject) = &record.subject {
        field("about", subject);
    }
    if let Some(superseded) = &record.supersedes {
        field("instead of", superseded);
    }
    if let Some(states) = &record.states {
        field("states a", states);
    }
    if let Some(opinion) = &record.opinion {
        field("opinion", opinion);
    }
    if let Some(found) = &record.labels {
        field("labels", &labels::in_words(found));
        field("tlp", found.tlp.as_deref().unwrap_or("amber+strict"));
    }
    if let Some(class) = &record.industry_class {
        field("class", class);
    }
    if let Some(review) = &record.review {
        field("review", review);
    }
    if let Some(source) = &record.source {
        let parts =
            [Some(&source.organisation), source.list.as_ref(), source.id.as_ref(), source.date.as_ref()];
        field("source", &parts.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" / "));
    }
    if let Some(expires) = &record.expires {
        field("expires", expires);
    }
    for (name, value) in labels::handling_in_words(&record.handling) {
        field(name, &value);
    }
    if let Some(crosswalk) = &record.crosswalk {
        field("elsewhere", &elsewhere(crosswalk));
    }
    details(record, &mut field);
    signals(record, &mut field);
    opinions(record, &mut field);
    lines
}

/// What other schemes call it.
fn elsewhere(crosswalk: &CrosswalkJson) -> String {
    let ncmec = crosswalk.ncmec_classification.as_ref().map(|word| format!("NCMEC {word}"));
    let annotations = &crosswalk.cybertip_annotations;
    let cybertip = (!annotations.is_empty()).then(|| format!("CyberTip {}", annotations.join(" + ")));
    let arachnid = crosswalk.arachnid_class.as_ref().map(|word| format!("Arachnid {word}"));
    [ncmec, cybertip, arachnid].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// What only its kind says, field by field.
fn details(record: &RecordJson, field: &mut impl FnMut(&str, &str)) {
    let whole = serde_json::to_value(record).unwrap_or_default();
    for part in ["genmeta", "model", "dataset", "service", "ttp"] {
        let Some(Value::Object(fields)) = whole.get(part) else { continue };
        for (nth, (name, value)) in fields.iter().enumerate() {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            field(if nth == 0 { part } else { "" }, &format!("{name} {text}"));
        }
    }
}

fn signals(record: &RecordJson, field: &mut impl FnMut(&str, &str)) {
    for (at, signal) in record.signals.iter().enumerate() {
        let quality = signal.quality.map(|quality| format!("  quality {quality}")).unwrap_or_default();
        let name = if at == 0 { "signals" } else { "" };
        field(name, &format!("{:<8} {}{quality}", signal.signal_type, signal.value));
    }
    let is_statement =
        matches!(record.kind.as_str(), "content" | "model" | "dataset" | "service" | "ttp" | "supersede");
    let goes_without = record.ttp.is_some() || record.model.is_some();
    if record.signals.is_empty() && is_statement && !goes_without {
        let why = match record.status.as_str() {
            "sealed" => "sealed: shown to nobody, and destroyed when the hold is over",
            "erased" => "destroyed",
            "held" => "under a legal hold at this node: kept encrypted, shown to nobody",
            _ => "none here: withheld, erased, or not yet received",
        };
        field("signals", why);
    }
}

fn opinions(record: &RecordJson, field: &mut impl FnMut(&str, &str)) {
    let counts = &record.opinions;
    let summary = format!(
        "{} agree, {} disagree, {} unsure, {} seen",
        counts.agree, counts.disagree, counts.unsure, counts.seen
    );
    field("opinions", &summary);
    for statement in &record.statements {
        let why = statement.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        field("", &format!("{}: {}{why}, {}", statement.member, statement.opinion, statement.time));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hashpact_protocol::api::StatementJson;

    #[test]
    fn who_said_what_is_shown() {
        let record = RecordJson {
            record: "ab".repeat(32),
            member: "alpha".into(),
            log: "demo/alpha/1".into(),
            index: 7,
            kind: "content".into(),
            status: "disputed".into(),
            statements: vec![StatementJson {
                member: "gamma".into(),
                opinion: "disagree".into(),
                reason: Some("benign_collision".into()),
                time: "2026-01-02T03:04:05Z".into(),
                record: None,
            }],
            ..RecordJson::default()
        };
        let text = lines(&record).join("\n");
        assert!(text.contains("stated by    alpha"), "{text}");
        assert!(text.contains("place        demo/alpha/1 #7"), "{text}");
        assert!(text.contains("gamma: disagree (benign_collision), 2026-01-02T03:04:05Z"), "{text}");
        assert!(text.contains("none here"), "{text}");
    }
}
