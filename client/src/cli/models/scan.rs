//! `hashpact models scan`: the inventory of a store of models.
//!
//! Every model is read once, one after the other, so that memory does not grow with the store; what was found is on disk
//! before the next one is read. A model whose size and time of change are as they were is not read again.

mod inventory;
mod state;

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hashpact_client::Client;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use self::inventory::{Files, What};
use self::state::State;
use super::{fingerprint, files, lookup};
use crate::cli::connect::NodeArgs;
use crate::cli::exit::Outcome;
use crate::cli::output::{Output, counted, grouped, printable};
use crate::cli::progress;

/// The state file, when none is named.
const STATE_FILE: &str = "hashpact-models.state";
/// How often a scan that nobody watches says how far it is.
const NOTED_EVERY: Duration = Duration::from_secs(60);

/// Arguments of `models scan`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Looks into every folder, follows links, and takes an index with its shards as one model. A file that is \
                  reached under several names is read once. What cannot be read is reported with its reason and tried again \
                  by the next scan; everything else is remembered in the state file, so a scan that was stopped goes on \
                  where it was, and the next one reads only what is new or changed.\n\n\
                  Without --match nothing is sent to anybody. With it the node is asked about each model; what it answers is \
                  for people to look at. Models that were read before are then asked for by their identifiers alone; --again \
                  reads them anew.\n\n\
                  With --json each model is one line: {\"path\",\"status\",\"kind\",\"format\",\"size_bytes\",\"ids\",\"tset1\",…,\"match\"}."
)]
pub(crate) struct Args {
    /// Folders and model files
    #[arg(required = true, value_name = "DIR|FILE")]
    paths: Vec<PathBuf>,
    /// Where what was done is remembered
    #[arg(long, value_name = "FILE", default_value = STATE_FILE)]
    state: PathBuf,
    /// Also ask the node about every model
    #[arg(long)]
    r#match: bool,
    /// Read every model, also those that were read before
    #[arg(long)]
    again: bool,
    /// Also write the report as JSON into this file, when the scan is done
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

pub(crate) async fn run(args: &Args, node: &NodeArgs, output: Output) -> anyhow::Result<Outcome> {
    let client = if args.r#match { Some(node.client(output)?) } else { None };
    let mut state = State::open(&args.state)?;
    let looking = progress::bar(output, "looking", None, progress::Unit::Items);
    let found = inventory::find(&args.paths, |_| looking.inc(1));
    looking.finish_and_clear();
    let size = |found: &inventory::Found| match &found.what {
        What::Model(files) => files.size_bytes,
        _ => 0,
    };
    let total_bytes = found.iter().map(size).sum();
    let bar = progress::bar(output, "reading", Some(total_bytes), progress::Unit::Bytes);
    let mut scan = Scan { args, client, state: &mut state, bar, output, report: Report::default() };
    let (started, mut noted) = (Instant::now(), Instant::now());
    let (count, mut done_bytes) = (found.len(), 0);
    for (nth, found) in found.into_iter().enumerate() {
        let bytes = size(&found);
        scan.one(found).await?;
        done_bytes += bytes;
        scan.bar.set_position(done_bytes);
        if noted.elapsed() >= NOTED_EVERY && !std::io::stderr().is_terminal() {
            noted = Instant::now();
            let (done, all) = (grouped(done_bytes >> 20), grouped(total_bytes >> 20));
            let minutes = started.elapsed().as_secs() / 60;
            output.note(&format!("{} of {count} models, {done} of {all} MiB, {minutes} min", nth + 1));
        }
    }
    scan.bar.finish_and_clear();
    scan.report.print(output);
    if let Some(path) = &args.report {
        scan.report.write(path)?;
    }
    Ok(scan.report.outcome)
}

struct Scan<'a> {
    args: &'a Args,
    client: Option<Client>,
    state: &'a mut State,
    bar: ProgressBar,
    output: Output,
    report: Report,
}

impl Scan<'_> {
    async fn one(&mut self, found: inventory::Found) -> anyhow::Result<()> {
        let name = found.path.to_string_lossy().into_owned();
        let (status, entry) = match found.what {
            What::SameAs(first) => ("same_file", json!({"same_as": first.to_string_lossy()})),
            What::Problem(reason) => ("unreadable", json!({"error": reason})),
            What::Model(files) => match self.model(&name, &files).await {
                Ok(found) => found,
                Err(reason) => ("unreadable", json!({"error": reason})),
            },
        };
        self.report.add(&name, status, entry, self.output);
        Ok(())
    }

    /// What is known of a model, or found out now.
    async fn model(&mut self, name: &str, files: &Files) -> Result<(&'static str, Value), String> {
        if !self.args.again
            && let Some(known) = self.state.known(name, &files.stamp)
        {
            let mut entry = known.clone();
            if let Some(client) = &self.client {
                entry["match"] = lookup::by_identifiers(client, &entry).await;
            }
            return Ok(("known", entry));
        }
        self.bar.set_message(printable(name));
        let read = files::read_with(name.to_owned(), &files.paths, &self.bar)?;
        // Written to while it was read: what was found is of no contents that ever were.
        if Files::new(files.paths.clone())? != *files {
            return Err("the file changed while it was read".to_owned());
        }
        let mut entry = fingerprint::identity(&read);
        entry.as_object_mut().expect("an identity is an object").remove("file");
        self.state.remember(name, &files.stamp, &entry).map_err(|error| format!("{error:#}"))?;
        if let Some(client) = &self.client {
            entry["match"] = lookup::in_json(client, &read).await;
        }
        Ok(("read", entry))
    }
}

/// What a scan found, for people and for programs.
#[derive(Default)]
struct Report {
    rows: Vec<Vec<String>>,
    entries: Vec<Value>,
    statuses: BTreeMap<&'static str, u64>,
    kinds: BTreeMap<String, u64>,
    matches: u64,
    bytes: u64,
    outcome: Outcome,
}


impl Report {
    fn add(&mut self, name: &str, status: &'static str, mut entry: Value, output: Output) {
        entry["path"] = name.into();
        entry["status"] = status.into();
        *self.statuses.entry(status).or_default() += 1;
        let is_bad = status == "unreadable" || entry.get("error").is_some();
        let answer = entry.get("match").map(lookup::summary);
        let refused = entry["match"]["error"].is_string();
        if is_bad || refused {
            self.outcome = self.outcome.worst(Outcome::SomeFailed);
        }
        if let Some(kind) = entry["kind"].as_str() {
            *self.kinds.entry(kind.to_owned()).or_default() += 1;
        }
        self.bytes += entry["size_bytes"].as_u64().unwrap_or(0);
        self.matches += u64::from(entry.get("match").is_some_and(lookup::is_found));
        if output.json {
            output.json_line(&entry);
        } else {
            self.rows.push(row(&entry, answer));
        }
        self.entries.push(entry);
    }

    fn print(&self, output: Output) {
        if !output.json {
            output.table(&["status", "kind", "MiB", "sha256", "tset1", "match", "path"], &self.rows);
        }
        let count = |status: &str| self.statuses.get(status).copied().unwrap_or(0);
        let kinds: Vec<String> = self.kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        output.note(&format!(
            "{} of {} MiB: {} read, {} known from before, {} under a second name, {} unreadable{}{}",
            counted(count("read") + count("known"), "model", "models"),
            grouped(self.bytes >> 20),
            count("read"),
            count("known"),
            count("same_file"),
            count("unreadable"),
            if kinds.is_empty() { String::new() } else { format!("; {}", kinds.join(", ")) },
            if self.matches > 0 { format!("; {} FOUND AT THE NODE", self.matches) } else { String::new() },
        ));
    }

    fn write(&self, path: &Path) -> anyhow::Result<()> {
        let report = json!({
            "models": self.entries,
            "counts": self.statuses,
            "kinds": self.kinds,
            "size_bytes": self.bytes,
            "found_at_node": self.matches,
        });
        let text = serde_json::to_string_pretty(&report).expect("JSON values are JSON");
        let shown = path.display();
        std::fs::write(path, text + "\n").map_err(|error| anyhow::anyhow!("report {shown}: {error}"))
    }
}

/// A line of the table.
fn row(entry: &Value, answer: Option<String>) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let start = |value: &Value| value.as_str().map_or("-".to_owned(), |hex| hex.chars().take(12).collect());
    let path = text(&entry["path"]);
    let remark = entry["error"].as_str().map(|error| format!(": {error}"));
    let same = entry["same_as"].as_str().map(|first| format!(" is {first}"));
    let path = printable(&format!("{path}{}", remark.or(same).unwrap_or_default()));
    let size = entry["size_bytes"].as_u64().map_or("-".to_owned(), |bytes| grouped(bytes >> 20));
    vec![
        text(&entry["status"]),
        text(&entry["kind"]),
        size,
        start(&entry["ids"]["sha256"]),
        start(&entry["tset1"]),
        answer.unwrap_or_else(|| "-".to_owned()),
        path,
    ]
}
