//! `hashpact ttp`: techniques that were seen, as numbers of a taxonomy, months and counts.

use anyhow::Context;
use clap::Subcommand;
use hashpact_client::Client;
use hashpact_protocol::api::{
    Ack, LabelsJson, NewRecord, PlaceOfRecord, StatisticsJson, StatisticsQuery, TtpJson, TtpsQuery,
};
use hashpact_protocol::digest::{LogId, RecordId, hex_encode, sha256};
use hashpact_protocol::record::{
    Basis, Confidence, CountBucket, Month, Surface, TechniqueId, Tlp, TtpStatus,
};

use super::exit::Outcome;
use super::labels::words;
use super::output::{Output, counted, printable};

/// Observations that are asked for at once.
const PAGE: u32 = 500;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// State that a technique was seen
    Add(Add),
    /// Show techniques that were seen, with ids for STIX
    List(List),
    /// Count them by month
    Statistics(Statistics),
    /// Show the techniques that can be named
    Taxonomy,
}

/// Arguments of `ttp add`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Words and numbers only: there is no field for a description, a name or an address. Running the same command \
                  again states nothing twice."
)]
pub(crate) struct Add {
    /// The technique, such as HP-T0034
    #[arg(value_name = "TECHNIQUE", value_parser = technique)]
    technique: String,
    /// The month in which it was seen, YYYY-MM
    #[arg(value_name = "MONTH", value_parser = month)]
    month: String,
    /// Where it was seen; left out: other
    #[arg(long, value_name = "WORD", value_parser = words::<Surface>())]
    surface: Option<String>,
    /// How often it was seen in that month
    #[arg(long, value_name = "WORD", value_parser = words::<CountBucket>())]
    count: Option<String>,
    /// How sure your member is
    #[arg(long, value_name = "WORD", value_parser = words::<Confidence>())]
    confidence: Option<String>,
    /// What that rests on
    #[arg(long, value_name = "WORD", value_parser = words::<Basis>())]
    basis: Option<String>,
    /// Whether it goes on
    #[arg(long, value_name = "WORD", value_parser = words::<TtpStatus>())]
    status: Option<String>,
    /// A record that it has to do with; repeat for several
    #[arg(long, value_name = "RECORD", value_parser = super::parse_record_id)]
    related: Vec<RecordId>,
    /// Traffic Light Protocol 2.0; left out: amber+strict
    #[arg(long, value_name = "WORD", value_parser = words::<Tlp>())]
    tlp: Option<String>,
    /// When the statement stops counting, such as 2030-01-31T00:00:00Z
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// Show what would be stated and state nothing
    #[arg(long)]
    dry_run: bool,
}

/// Arguments of `ttp list`.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Only this technique
    #[arg(long, value_name = "TECHNIQUE", value_parser = technique)]
    technique: Option<String>,
    /// Only techniques of this tactic, such as TA05
    #[arg(long, value_name = "TACTIC")]
    tactic: Option<String>,
    /// Only what was seen there
    #[arg(long, value_name = "WORD", value_parser = words::<Surface>())]
    surface: Option<String>,
    /// Only this member's
    #[arg(long, value_name = "MEMBER")]
    member: Option<String>,
    #[command(flatten)]
    period: Period,
}

/// Arguments of `ttp statistics`.
#[derive(Debug, clap::Args)]
pub(crate) struct Statistics {
    /// What is counted apart
    #[arg(long, value_name = "KEY", default_value = "technique", value_parser = ["technique", "tactic", "surface", "member"])]
    by: String,
    #[command(flatten)]
    period: Period,
}

/// Months, both included.
#[derive(Debug, clap::Args)]
pub(crate) struct Period {
    /// From this month on, YYYY-MM
    #[arg(long, value_name = "MONTH", value_parser = month)]
    pub(crate) from: Option<String>,
    /// Up to and with this month, YYYY-MM
    #[arg(long, value_name = "MONTH", value_parser = month)]
    pub(crate) to: Option<String>,
}

fn technique(text: &str) -> Result<String, String> {
    TechniqueId::parse(text).map(|id| id.to_string()).map_err(|rule| rule.to_string())
}

fn month(text: &str) -> Result<String, String> {
    Month::parse(text).map(|month| month.to_string()).map_err(|rule| rule.to_string())
}

pub(crate) async fn run(command: &Command, client: &Client, output: Output) -> anyhow::Result<Outcome> {
    match command {
        Command::Add(args) => add(args, client, output).await,
        Command::List(args) => list(args, client, output).await,
        Command::Statistics(Statistics { by, period }) => {
            let query = query(by, period);
            show_statistics(&client.ttp_statistics(&query).await?, output);
            Ok(Outcome::Done)
        }
        Command::Taxonomy => taxonomy(client, output).await,
    }
}

async fn add(args: &Add, client: &Client, output: Output) -> anyhow::Result<Outcome> {
    let mut related = Vec::new();
    for id in &args.related {
        let record = client.record(id).await.with_context(|| format!("record {id}"))?;
        related.push(PlaceOfRecord { log_id: LogId::of_origin(&record.log).to_hex(), index: record.index });
    }
    let ttp = TtpJson {
        technique: args.technique.clone(),
        month: args.month.clone(),
        confidence: args.confidence.clone(),
        surface: args.surface.clone(),
        count: args.count.clone(),
        basis: args.basis.clone(),
        status: args.status.clone(),
        related,
        ..TtpJson::default()
    };
    let record = NewRecord {
        kind: "ttp".to_owned(),
        ttp: Some(Box::new(ttp)),
        labels: LabelsJson { tlp: args.tlp.clone(), ..LabelsJson::default() },
        expires: args.expires.clone(),
        ..NewRecord::default()
    };
    record.to_record()?;
    if args.dry_run {
        output.json_line(&record);
        output.note("dry run: nothing was stated");
        return Ok(Outcome::Done);
    }
    let bytes = serde_json::to_vec(&record).context("a record")?;
    let key = hex_encode(&sha256(&[b"hashpact/ttp-key/v1\0", &bytes]));
    for receipt in client.contribute(std::slice::from_ref(&record), &key, Ack::Local).await? {
        if output.json {
            output.json_line(&receipt);
        } else {
            output.line(&printable(&format!(
                "{} in {} stated as {} ({} #{})",
                args.technique, args.month, receipt.record, receipt.log, receipt.index
            )));
        }
    }
    Ok(Outcome::Done)
}

async fn list(args: &List, client: &Client, output: Output) -> anyhow::Result<Outcome> {
    let mut query = TtpsQuery {
        technique: args.technique.clone(),
        tactic: args.tactic.clone(),
        surface: args.surface.clone(),
        from: args.period.from.clone(),
        to: args.period.to.clone(),
        member: args.member.clone(),
        cursor: None,
        limit: Some(PAGE),
    };
    let (mut rows, mut shown) = (Vec::new(), 0);
    loop {
        let page = client.ttps(&query).await?;
        shown += page.ttps.len() as u64;
        for seen in &page.ttps {
            if output.json {
                output.json_line(seen);
                continue;
            }
            let Some(ttp) = &seen.record.ttp else { continue };
            let word = |word: &Option<String>| printable(word.as_deref().unwrap_or("-"));
            rows.push(vec![
                printable(&ttp.month),
                printable(&ttp.technique),
                printable(seen.name.as_deref().unwrap_or("unknown to this version")),
                word(&ttp.surface),
                word(&ttp.count),
                word(&ttp.confidence),
                printable(&seen.record.member),
                printable(&seen.record.record),
            ]);
        }
        if page.next.is_none() {
            break;
        }
        query.cursor = page.next;
    }
    if !output.json {
        output.table(
            &["month", "technique", "name", "surface", "count", "confidence", "member", "record"],
            &rows,
        );
    }
    output.note(&counted(shown, "observation", "observations"));
    Ok(Outcome::Done)
}

async fn taxonomy(client: &Client, output: Output) -> anyhow::Result<Outcome> {
    let taxonomy = client.taxonomy().await?;
    if output.json {
        output.json_line(&taxonomy);
        return Ok(Outcome::Done);
    }
    let row = |technique: &hashpact_protocol::api::TechniqueJson| {
        let tactic = taxonomy.tactics.iter().find(|tactic| tactic.id == technique.tactic);
        let tactic = tactic.map_or("", |tactic| tactic.name.as_str());
        [technique.id.as_str(), tactic, technique.name.as_str(), technique.description.as_str()]
            .map(printable)
            .to_vec()
    };
    let rows: Vec<Vec<String>> = taxonomy.techniques.iter().map(row).collect();
    output.table(&["technique", "tactic", "name", "what belongs to it"], &rows);
    output.note(&printable(&format!("{} version {}", taxonomy.taxonomy, taxonomy.version)));
    Ok(Outcome::Done)
}

/// The query for statistics.
pub(crate) fn query(by: &str, period: &Period) -> StatisticsQuery {
    StatisticsQuery { by: Some(by.to_owned()), from: period.from.clone(), to: period.to.clone() }
}

/// Counts by month and key.
pub(crate) fn show_statistics(statistics: &StatisticsJson, output: Output) {
    if output.json {
        statistics.rows.iter().for_each(|row| output.json_line(row));
        return;
    }
    let row = |row: &hashpact_protocol::api::StatisticsRow| {
        vec![printable(&row.month), printable(&row.key), row.records.to_string(), row.members.to_string()]
    };
    let rows: Vec<Vec<String>> = statistics.rows.iter().map(row).collect();
    output.table(&["month", statistics.by.as_str(), "records", "members"], &rows);
}
