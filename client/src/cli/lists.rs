//! `hashpact lists`: the lists of a node, and what a change of them would change.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use hashpact_client::{Client, ListText};
use hashpact_protocol::api::{ChangedOutcome, DryRunRequest, ListJson, ListState, MatchItem};

use super::exit::Outcome;
use super::output::{Output, counted, printable};
use super::queries::{self, Lot};

/// Signals of one call of a dry run, which looks each up twice.
const SIGNALS_PER_CALL: usize = 2_000;

/// Commands of `lists`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Show all lists in the order in which they decide, or one as it would stand in a file
    Show {
        /// Only this one
        #[arg(value_name = "NAME")]
        name: Option<String>,
    },
    /// Put a list from a file (TOML, or JSON if its name ends so); it takes effect at once
    #[command(
        after_help = "A list that exists already is only replaced if the file says from which version it was made (`version = N`, \
                      as `lists show NAME` prints it), so that two people do not undo each other's changes."
    )]
    Put {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Delete a list
    Delete {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Say which outcomes of these signals a list would change; changes nothing
    DryRun {
        /// The list as it would be put
        #[arg(value_name = "NEW")]
        file: PathBuf,
        /// Signals to look up: CSV, JSON lines (also those of `hash --json`) or TYPE VALUE lines; - reads standard input
        #[arg(value_name = "SIGNALS")]
        signals: PathBuf,
    },
}

pub(crate) async fn run(command: &Command, client: &Client, output: Output) -> anyhow::Result<Outcome> {
    match command {
        Command::Show { name: None } => show_all(client, output).await,
        Command::Show { name: Some(name) } => {
            let state = client.list(name).await?;
            if output.json {
                output.json_line(&state);
            } else {
                output.line(to_toml(&state.list)?.trim_end());
            }
            Ok(Outcome::Done)
        }
        Command::Put { file } => put(file, client, output).await,
        Command::Delete { name } => {
            let state = client.list(name).await?;
            client.delete_list(name, Some(&state.etag)).await?;
            output
                .note(&printable(&format!("list {name} deleted; it was at version {}", state.list.version)));
            Ok(Outcome::Done)
        }
        Command::DryRun { file, signals } => dry_run(file, signals, client, output).await,
    }
}

async fn show_all(client: &Client, output: Output) -> anyhow::Result<Outcome> {
    let lists = client.lists().await?.lists;
    if output.json {
        lists.iter().for_each(|list| output.json_line(list));
        return Ok(Outcome::Done);
    }
    let row = |ListState { list, built_in, .. }: &ListState| {
        let priority = if *built_in { "last".to_owned() } else { list.priority.to_string() };
        let note = list.note.clone().unwrap_or_default();
        [list.name.clone(), list.version.to_string(), list.outcome.clone(), priority, note]
            .map(|cell| printable(&cell))
            .to_vec()
    };
    output.table(
        &["list", "version", "outcome", "priority", "note"],
        &lists.iter().map(row).collect::<Vec<_>>(),
    );
    Ok(Outcome::Done)
}

async fn put(file: &Path, client: &Client, output: Output) -> anyhow::Result<Outcome> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let name = name_in(file, &text)?;
    let form = if is_json(file) { ListText::Json } else { ListText::Toml };
    let state = client.put_list(&name, (form, text), None).await?;
    if output.json {
        output.json_line(&state);
    } else {
        let ListJson { name, version, outcome, .. } = &state.list;
        output.line(&printable(&format!("list {name} is in force at version {version}, outcome {outcome}")));
    }
    Ok(Outcome::Done)
}

fn is_json(file: &Path) -> bool {
    file.extension().is_some_and(|ending| ending == "json")
}

/// The name that a file gives its list: all that is read of it here, the node checks the rest.
fn name_in(file: &Path, text: &str) -> anyhow::Result<String> {
    let found = if is_json(file) {
        let json: serde_json::Value =
            serde_json::from_str(text).with_context(|| file.display().to_string())?;
        json["name"].as_str().map(str::to_owned)
    } else {
        let named = |line: &str| {
            let (key, value) = line.split_once('=')?;
            let value = value.split('#').next().unwrap_or_default().trim();
            (key.trim() == "name").then(|| value.trim_matches(['"', '\'']).to_owned())
        };
        text.lines().take_while(|line| !line.trim_start().starts_with('[')).find_map(named)
    };
    match found.filter(|name| !name.is_empty()) {
        Some(name) => Ok(name),
        None => bail!("{}: no name; a list begins with: name = \"…\"", file.display()),
    }
}

/// A list as it would stand in a file. Strings, numbers and arrays are written alike in JSON and TOML.
fn to_toml(list: &ListJson) -> anyhow::Result<String> {
    let serde_json::Value::Object(fields) = serde_json::to_value(list)? else { bail!("a list is an object") };
    let (mut keys, mut tables) = (String::new(), String::new());
    // The name first: it is what people look for.
    let rank = |key: &str| (key != "name", key != "version", key != "outcome");
    let mut fields: Vec<_> = fields.into_iter().collect();
    fields.sort_by(|(a, _), (b, _)| (rank(a), a).cmp(&(rank(b), b)));
    for (key, value) in fields {
        match value {
            serde_json::Value::Object(table) => {
                tables.push_str(&format!("\n[{key}]\n"));
                table.iter().for_each(|(key, value)| tables.push_str(&format!("{key} = {value}\n")));
            }
            value => keys.push_str(&format!("{key} = {value}\n")),
        }
    }
    Ok(keys + &tables)
}

async fn dry_run(file: &Path, signals: &Path, client: &Client, output: Output) -> anyhow::Result<Outcome> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let (toml, list) = if is_json(file) {
        (None, Some(serde_json::from_str(&text).with_context(|| file.display().to_string())?))
    } else {
        (Some(text), None)
    };
    let change = DryRunRequest { toml, list, ..DryRunRequest::default() };
    let mut run = DryRun { client, output, change, totals: Totals::default() };
    let mut lots = queries::Lots::open(signals, SIGNALS_PER_CALL, false)?;
    while let Some(lot) = lots.next_lot(|text| output.warn(&printable(text)))? {
        run.ask(lot).await?;
    }
    run.totals.failed = lots.failed();
    Ok(run.summary())
}

#[derive(Default)]
struct Totals {
    items: u64,
    changed: u64,
    matched: [u64; 2],
    failed: u64,
    incomplete: Option<String>,
}

struct DryRun<'c> {
    client: &'c Client,
    output: Output,
    change: DryRunRequest,
    totals: Totals,
}

impl DryRun<'_> {
    async fn ask(&mut self, lot: Lot) -> anyhow::Result<()> {
        let (subjects, signals): (Vec<_>, Vec<_>) = lot.into_iter().unzip();
        let item = |(at, signals): (usize, _)| MatchItem { id: at.to_string(), signals };
        let items = signals.into_iter().enumerate().map(item).collect();
        let request = DryRunRequest { items, ..self.change.clone() };
        let answer = self.client.dry_run(&request).await?;
        self.totals.items += answer.items;
        self.totals.changed += answer.changed.len() as u64;
        for (total, matched) in self.totals.matched.iter_mut().zip(answer.matched) {
            *total += matched;
        }
        if !answer.complete && self.totals.incomplete.is_none() {
            self.totals.incomplete = Some(answer.reason.unwrap_or_else(|| "no reason given".to_owned()));
        }
        for changed in &answer.changed {
            let subject = changed.id.parse().ok().and_then(|at: usize| subjects.get(at));
            let subject = subject.map_or_else(|| changed.id.clone(), ToString::to_string);
            if self.output.json {
                let line = serde_json::json!({
                    "item": subject, "before": changed.before, "list_before": changed.list_before,
                    "after": changed.after, "list_after": changed.list_after,
                });
                self.output.line(&line.to_string());
            } else {
                self.output.line(&printable(&format!("{subject}: {}", in_words(changed))));
            }
        }
        Ok(())
    }

    fn summary(self) -> Outcome {
        let Totals { items, changed, matched: [before, after], failed, incomplete } = self.totals;
        let (items, mut outcome) = (counted(items, "item", "items"), Outcome::Done);
        self.output
            .note(&format!("{changed} of {items} would change; {before} have an outcome now, {after} would"));
        if failed > 0 {
            outcome = Outcome::SomeFailed;
        }
        if let Some(reason) = incomplete {
            let text = format!("THE ANSWER IS INCOMPLETE: {reason}. Ask again when the node has caught up.");
            self.output.warn(&printable(&text));
            outcome = outcome.worst(Outcome::Incomplete);
        }
        outcome
    }
}

fn in_words(changed: &ChangedOutcome) -> String {
    let side = |outcome: &Option<String>, list: &Option<String>| match (outcome, list) {
        (Some(outcome), Some(list)) => format!("{outcome} ({list})"),
        _ => "no outcome".to_owned(),
    };
    let before = side(&changed.before, &changed.list_before);
    format!("{before} -> {}", side(&changed.after, &changed.list_after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_list_has_its_name_first_and_its_tables_last() {
        let list = ListJson {
            name: "confirmed".to_owned(),
            version: 3,
            outcome: "block".to_owned(),
            priority: 7,
            review: vec!["dual".to_owned()],
            distance: [("pdq".to_owned(), 20)].into(),
            ..ListJson::default()
        };
        let text = to_toml(&list).expect("plain data");
        let expected = "name = \"confirmed\"\nversion = 3\noutcome = \"block\"\npriority = 7\nreview = [\"dual\"]\n\n[distance]\npdq = 20\n";
        assert_eq!(text, expected);
        assert_eq!(name_in(Path::new("a.toml"), &text).expect("named"), "confirmed");
    }

    #[test]
    fn the_name_is_found_in_both_forms_and_its_lack_is_said() {
        for (file, text) in [
            ("a.toml", "# x\noutcome = \"log\"\n name = 'mine' # a name\n"),
            ("a.json", "{\"outcome\":\"log\",\"name\":\"mine\"}"),
        ] {
            assert_eq!(name_in(Path::new(file), text).expect(file), "mine");
        }
        for text in ["", "outcome = \"log\"\n[distance]\nname = \"x\"\n"] {
            let error = name_in(Path::new("a.toml"), text).expect_err("no name").to_string();
            assert_eq!(error, "a.toml: no name; a list begins with: name = \"…\"");
        }
    }
}
