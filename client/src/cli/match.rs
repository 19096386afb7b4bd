//! `hashpact match`: is this known?
//!
//! Items are numbered for the node; which number is which file stays here. An answer that the node
//! calls incomplete is announced on standard error even with `--quiet`, is part of every JSON line,
//! turns "no match" into "unknown", and sets the exit code: silence from a node that is loading or
//! lagging must never look like a clean result.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hashpact_client::Client;
use hashpact_client::list::jsonl::HashedFile;
use hashpact_hashing::pdq::VARIANT_NAMES;
use hashpact_protocol::api::{GroupJson, Match, MatchItem, MatchRequest, MatchResult, QuerySignal};
use hashpact_protocol::limits::{MATCH_SIGNALS_PER_CALL_MAX, PDQ_DISTANCE_MAX};
use indicatif::ProgressBar;
use serde::Serialize;

use super::exit::Outcome;
use super::named_models::{self, NamedLead, NamedModel};
use super::output::{Output, counted, grouped, printable};
use super::queries::{Lots, Subject};
use super::{hashing, inputs, labels, progress};

/// Signals of one call: far below the node's bound, so that first results come soon.
const SIGNALS_PER_CALL: usize = 4_000;
const _: () = assert!(SIGNALS_PER_CALL + 64 <= MATCH_SIGNALS_PER_CALL_MAX);

/// Arguments of `match`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Files are hashed on this machine; only signals are sent, without file names. PDQ look-ups include the \
                  seven rotated and mirrored variants, so a picture that was turned or flipped is still found.\n\n\
                  The command succeeds (0) whether or not something matched; with --exit-code it ends with 10 if \
                  something did. If the node says that its answer is incomplete it ends with 6: \"no match\" then proves \
                  nothing."
)]
pub(crate) struct Args {
    /// Files, and folders to walk
    #[arg(value_name = "FILE|DIR", required_unless_present = "list")]
    paths: Vec<PathBuf>,
    /// Look up the signals of a list instead: CSV, JSON lines (also those of `hash --json`) or TYPE VALUE
    /// lines; - reads standard input
    #[arg(long, value_name = "LIST", conflicts_with = "paths")]
    list: Option<PathBuf>,
    /// Largest PDQ distance, 0 to 64; left out: the node's default of 31
    #[arg(long, value_name = "BITS", value_parser = clap::value_parser!(u32).range(0..=i64::from(PDQ_DISTANCE_MAX)))]
    max_distance: Option<u32>,
    /// Ask only this list of the node; repeat for several
    #[arg(long = "node-list", value_name = "NAME")]
    node_lists: Vec<String>,
    /// Say of each record why each list of the node counts it or not
    #[arg(long)]
    explain: bool,
    /// Say who has reviewed what matches, and whether to look again
    #[arg(long)]
    group: bool,
    /// Show items without a match as well (JSON always does)
    #[arg(long, short)]
    all: bool,
    /// Pass over CSV columns that are not known
    #[arg(long)]
    ignore_unknown_columns: bool,
    /// End with 10 if at least one item matched
    #[arg(long)]
    exit_code: bool,
}

/// A result as printed with `--json`.
#[derive(Serialize)]
struct ResultLine<'r> {
    #[serde(flatten)]
    subject: &'r Subject,
    complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'r str>,
    as_of: &'r hashpact_protocol::api::AsOf,
    outcome: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    list: Option<&'r str>,
    total: u64,
    matches: &'r [Match],
    #[serde(skip_serializing_if = "<[Match]>::is_empty")]
    not_counted: &'r [Match],
    /// Listed models that the file names: leads.
    #[serde(skip_serializing_if = "<[NamedLead]>::is_empty")]
    models: &'r [NamedLead],
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'r GroupJson>,
}

/// Items on their way to the node, and what came back so far.
struct Lookup<'c> {
    client: &'c Client,
    args: &'c Args,
    output: Output,
    bar: ProgressBar,
    subjects: Vec<Subject>,
    items: Vec<MatchItem>,
    /// Models that the files of these items name.
    named: Vec<NamedModel>,
    signals: usize,
    asked: u64,
    matched: u64,
    failed: u64,
    incomplete: Option<String>,
}

pub(crate) async fn run(args: &Args, client: &Client, output: Output) -> anyhow::Result<Outcome> {
    let mut lookup = Lookup {
        client,
        args,
        output,
        bar: progress::bar(output, "looking up", None, progress::Unit::Items),
        subjects: Vec::new(),
        items: Vec::new(),
        named: Vec::new(),
        signals: 0,
        asked: 0,
        matched: 0,
        failed: 0,
        incomplete: None,
    };
    match &args.list {
        Some(list) => lookup.ask_list(list).await?,
        None => lookup.ask_files().await?,
    }
    lookup.send().await?;
    lookup.bar.finish_and_clear();
    Ok(lookup.summary())
}

impl Lookup<'_> {
    async fn ask_files(&mut self) -> anyhow::Result<()> {
        // A portion of files is hashed, then sent: hashing needs the processors, the node the wait.
        let mut files = inputs::walk(&self.args.paths).peekable();
        while files.peek().is_some() {
            let mut hashed: Vec<HashedFile> = Vec::new();
            hashing::hash_all(files.by_ref().take(256), |file| {
                hashed.push(file);
                Ok(())
            })?;
            for file in hashed {
                self.add_file(file).await?;
            }
        }
        Ok(())
    }

    async fn add_file(&mut self, file: HashedFile) -> anyhow::Result<()> {
        if let Some(error) = &file.error {
            self.failed += 1;
            let rest =
                if file.signals.is_empty() { "not looked up" } else { "looked up by exact digests only" };
            self.bar.suspend(|| self.output.warn(&format!("{}: {error}; {rest}", printable(&file.file))));
        }
        if file.signals.is_empty() {
            return Ok(());
        }
        let query = |signal: hashpact_client::list::jsonl::HashedSignal| QuerySignal {
            signal_type: signal.signal_type,
            value: signal.value,
            quality: signal.quality,
            variants: signal.variants,
        };
        let resources = file.genmeta.into_iter().flat_map(|genmeta| genmeta.resources);
        let item = self.items.len();
        self.named.extend(resources.map(|resource| NamedModel { item, resource }));
        self.add(Subject::File(file.file), file.signals.into_iter().map(query).collect()).await
    }

    async fn ask_list(&mut self, list: &Path) -> anyhow::Result<()> {
        let mut lots = Lots::open(list, SIGNALS_PER_CALL, self.args.ignore_unknown_columns)?;
        let (bar, output) = (self.bar.clone(), self.output);
        let warn = |text: &str| bar.suspend(|| output.warn(&printable(text)));
        while let Some(lot) = lots.next_lot(warn)? {
            for (subject, signals) in lot {
                self.add(subject, signals).await?;
            }
        }
        self.failed += lots.failed();
        Ok(())
    }

    async fn add(&mut self, subject: Subject, signals: Vec<QuerySignal>) -> anyhow::Result<()> {
        self.signals += signals.len();
        // The node sees a number: a file name can say more about a case than any signal.
        self.items.push(MatchItem { id: format!("u{}", self.items.len() + 1), signals });
        self.subjects.push(subject);
        if self.signals >= SIGNALS_PER_CALL { self.send().await } else { Ok(()) }
    }

    async fn send(&mut self) -> anyhow::Result<()> {
        if self.items.is_empty() {
            return Ok(());
        }
        let max_distance: BTreeMap<String, u32> =
            self.args.max_distance.map(|bits| ("pdq".to_owned(), bits)).into_iter().collect();
        let lists = (!self.args.node_lists.is_empty()).then(|| self.args.node_lists.clone());
        let request = MatchRequest {
            items: std::mem::take(&mut self.items),
            max_distance,
            lists,
            explain: self.args.explain,
            group: self.args.group,
        };
        let subjects = std::mem::take(&mut self.subjects);
        self.signals = 0;
        let answer = self.client.match_signals(&request).await?;
        let as_asked = answer.results.len() == request.items.len()
            && answer.results.iter().zip(&request.items).all(|(result, item)| result.id == item.id);
        if !as_asked {
            // Attributing a result to the wrong file would be worse than none.
            let what = "the results are not those of the items that were asked, in their order".to_owned();
            let url = self.client.base_url().to_owned();
            return Err(hashpact_client::ClientError::Unexpected { url, what }.into());
        }
        if !answer.complete && self.incomplete.is_none() {
            let reason = answer.reason.clone().unwrap_or_else(|| "no reason given".to_owned());
            self.bar.suspend(|| warn_incomplete(self.output, &reason));
            self.incomplete = Some(reason);
        }
        let named = named_models::leads(self.client, &std::mem::take(&mut self.named)).await?;
        for (nth, (subject, result)) in subjects.iter().zip(&answer.results).enumerate() {
            let models = named.iter().filter(|(item, _)| *item == nth).map(|(_, lead)| lead.clone());
            let models: Vec<NamedLead> = models.collect();
            self.asked += 1;
            self.matched += u64::from(result.total > 0);
            self.bar.inc(1);
            let line = ResultLine {
                subject,
                complete: answer.complete,
                reason: answer.reason.as_deref(),
                as_of: &answer.as_of,
                outcome: result.outcome.as_deref(),
                list: result.list.as_deref(),
                total: result.total,
                matches: &result.matches,
                not_counted: &result.not_counted,
                models: &models,
                group: result.group.as_ref(),
            };
            self.bar.suspend(|| match self.output.json {
                true => self.output.json_line(&line),
                false => self.show(subject, result, &models, answer.complete),
            });
        }
        Ok(())
    }

    fn show(&self, subject: &Subject, result: &MatchResult, models: &[NamedLead], complete: bool) {
        let name = printable(&subject.to_string());
        let show_leads = || {
            models.iter().for_each(|lead| self.output.line(&format!("    {}", printable(&lead.sentence()))));
        };
        if result.total == 0 && result.not_counted.is_empty() {
            if self.args.all || !models.is_empty() {
                let words = if complete { "no match" } else { "UNKNOWN: the answer is incomplete" };
                self.output.line(&format!("{name}: {words}"));
            }
            show_leads();
            return;
        }
        let outcome = printable(result.outcome.as_deref().unwrap_or("no outcome"));
        let by =
            result.list.as_deref().map_or_else(String::new, |list| format!(" by list {}", printable(list)));
        let count = counted(result.total, "record", "records");
        self.output.line(&format!("{name}: {outcome}{by}, {count}"));
        if let Some(group) = &result.group {
            self.output.line(&format!("    {}", printable(&group.sentence)));
        }
        for found in result.matches.iter().chain(&result.not_counted) {
            let explained = found.explain.iter().map(|list| format!("  {}", list.sentence));
            for line in match_lines(found).into_iter().chain(explained) {
                self.output.line(&format!("    {}", printable(&line)));
            }
        }
        show_leads();
        let hidden = result.total.saturating_sub(result.matches.len() as u64);
        if hidden > 0 {
            self.output.line(&format!(
                "    and {} that the node does not list",
                counted(hidden, "record", "records")
            ));
        }
    }

    fn summary(self) -> Outcome {
        let mut outcome = Outcome::Done;
        if self.failed > 0 {
            self.output.note(&format!(
                "{} not or not completely looked up",
                counted(self.failed, "input was", "inputs were")
            ));
            outcome = outcome.worst(Outcome::SomeFailed);
        }
        let (matched, asked) = (grouped(self.matched), counted(self.asked, "item", "items"));
        match &self.incomplete {
            None => self.output.note(&format!("{matched} of {asked} matched")),
            Some(reason) => {
                let text = format!("{matched} of {asked} matched so far; nothing is known about the others");
                self.output.warn(&text);
                warn_incomplete(self.output, reason);
                outcome = outcome.worst(Outcome::Incomplete);
            }
        }
        if self.args.exit_code && self.matched > 0 {
            outcome = outcome.worst(Outcome::Matched);
        }
        outcome
    }
}

fn warn_incomplete(output: Output, reason: &str) {
    output.warn(&format!(
        "THE ANSWER IS INCOMPLETE: {}. \"No match\" proves nothing until the node has caught up.",
        printable(reason)
    ));
}

/// A matching record in two lines.
fn match_lines(found: &Match) -> [String; 2] {
    let turned = match VARIANT_NAMES.get(usize::from(found.variant)) {
        Some(name) if found.variant > 0 => format!(" as {name}"),
        _ => String::new(),
    };
    let opinions = [
        (found.opinions.agree, "agree"),
        (found.opinions.disagree, "disagree"),
        (found.opinions.unsure, "unsure"),
        (found.opinions.seen, "seen"),
    ];
    let opinions: Vec<String> = opinions
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    let opinions = if opinions.is_empty() { "none".to_owned() } else { opinions.join(", ") };
    [
        format!(
            "{} distance {}{turned}, stated by {} ({}), review {}, {}",
            found.signal_type,
            found.distance,
            found.member,
            found.status,
            found.review,
            labels::in_words(&found.labels),
        ),
        format!(
            "  record {}  first stated {}, {}, opinions: {opinions}",
            found.record,
            found.first_stated,
            counted(u64::from(found.sources), "source", "sources"),
        ),
    ]
}
