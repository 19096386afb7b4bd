//! `hashpact contribute`: state the signals of files, with labels.
//!
//! One record a file: its PDQ hash, if the picture has enough structure for one, and its three
//! digests. File names are not sent. What will be stated is printed before it is.
//!
//! The idempotency key is derived from what is stated unless one is given, so that running the same
//! command twice states everything once: the second run prints the receipts of the first.

use std::collections::HashSet;
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use anyhow::{Context, bail};
use hashpact_client::import::in_group;
use hashpact_client::list::genmeta::stated;
use hashpact_client::list::{Defaults, ListReader, ReadOptions, Step, canonical};
use hashpact_client::{Client, ClientError, has_licensed};
use hashpact_protocol::api::{Ack, NewRecord, Receipt, check_idempotency_key};
use hashpact_protocol::digest::{hex_encode, sha256};
use serde::Serialize;

use super::connect::NodeArgs;
use super::exit::Outcome;
use super::labels::{self, LabelArgs};
use super::output::{Output, counted, printable};
use super::{hashing, inputs, progress};

/// PDQ hashes under this quality say little; the reference advises not to share them.
pub(crate) const PDQ_QUALITY_MIN: u8 = 50;
/// Why a record with a signal under licence is not stated.
pub(crate) const WITHOUT_LICENSEES: &str =
    "photodna: only licensees may receive it; --licensees names their group in the roster";

/// Whom the records are for, beside all members.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct ReaderArgs {
    /// Group of the roster that may receive signals under licence (PhotoDNA): they are stated in a record of their own, for
    /// its members alone, which is linked with the one that everybody receives
    #[arg(long, value_name = "GROUP")]
    pub(crate) licensees: Option<String>,
    /// Group of the roster in which all of it is stated: its members alone receive what the records say. Keyed digests are
    /// stated in no other way
    #[arg(long, value_name = "GROUP", conflicts_with = "licensees")]
    pub(crate) group: Option<String>,
}

impl ReaderArgs {
    /// That this member may write in the groups, before anything is stated.
    pub(crate) async fn check(&self, client: &Client) -> anyhow::Result<()> {
        check_group(client, "--licensees", self.licensees.as_deref()).await?;
        check_group(client, "--group", self.group.as_deref()).await
    }

    /// Whether a record has signals under licence, and no licensees are named.
    pub(crate) fn lack_licensees(&self, record: &NewRecord) -> bool {
        self.licensees.is_none() && has_licensed(record)
    }

    /// States records for them: one receipt for each, in order.
    pub(crate) async fn state(
        &self,
        client: &Client,
        records: &[NewRecord],
        key: &str,
        ack: Ack,
    ) -> Result<Vec<Receipt>, ClientError> {
        match self.group.as_deref() {
            Some(group) => client.contribute_to(Some(group), records, key, ack).await,
            None => client.contribute_licensed(self.licensees.as_deref(), records, key, ack).await,
        }
    }
}

async fn check_group(client: &Client, option: &str, group: Option<&str>) -> anyhow::Result<()> {
    let Some(group) = group else { return Ok(()) };
    let (own, listed) = (client.status().await?.member, client.members().await?.members);
    let own = listed.iter().find(|member| member.member == own).context("the roster lists your member")?;
    if !own.groups.iter().any(|name| name == group) {
        let groups = if own.groups.is_empty() { "none".to_owned() } else { own.groups.join(", ") };
        bail!("{option} {group}: {} is not in this group, but in {groups}; nothing was stated", own.member);
    }
    Ok(())
}

/// Records of one call.
const RECORDS_PER_CALL: usize = 2_000;

/// Arguments of `contribute`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Files are hashed on this machine; signals and labels are sent, never media or file names. Statements are \
                  signed into your member's log and replicated to every member: they can be retracted, not unsaid.\n\n\
                  Running the same command again states nothing twice. To state the same again on purpose (after a \
                  retraction), give another --idempotency-key."
)]
pub(crate) struct Args {
    /// Files, and folders to walk
    #[arg(value_name = "FILE|DIR", required_unless_present = "signals")]
    paths: Vec<PathBuf>,
    /// State the signals in this file instead: lines of `hash --json`, or records as JSON lines
    #[arg(long, value_name = "JSONL", conflicts_with = "paths")]
    signals: Option<PathBuf>,
    /// State what picture files say about how they were made as well: tool, models by digests, settings
    #[arg(long, conflicts_with = "signals")]
    genmeta: bool,
    /// State PDQ hashes of a quality under 50 as well; they match many unrelated pictures
    #[arg(long)]
    keep_low_quality: bool,
    #[command(flatten)]
    readers: ReaderArgs,
    /// What to wait for: local (survives a crash of your node), or replicated:K (survives the loss of its
    /// disk, because K other members hold it)
    #[arg(long, default_value = "local", value_parser = parse_ack)]
    ack: Ack,
    /// Key that makes a repetition harmless; left out: derived from what is stated
    #[arg(long, value_name = "KEY", value_parser = parse_key)]
    idempotency_key: Option<String>,
    /// Show what would be stated and state nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    labels: LabelArgs,
}

/// Reads a promise from the command line.
pub(crate) fn parse_ack(text: &str) -> Result<Ack, String> {
    Ack::parse(text).map_err(|error| error.to_string())
}

fn parse_key(text: &str) -> Result<String, String> {
    // Room for the number of the call, which is appended when there are several.
    check_idempotency_key(&format!("{text}.000000")).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

/// A record to state and the file or line it is about.
struct Planned {
    name: String,
    record: NewRecord,
}

/// A receipt as printed with `--json`.
#[derive(Serialize)]
struct ReceiptLine<'r> {
    file: &'r str,
    #[serde(flatten)]
    receipt: &'r Receipt,
}

/// What was found to state.
#[derive(Default)]
struct Plan {
    records: Vec<Planned>,
    seen: HashSet<[u8; 32]>,
    failed: u64,
    left_out_pdq: u64,
    duplicates: u64,
}

pub(crate) async fn run(args: &Args, node: &NodeArgs, output: Output) -> anyhow::Result<Outcome> {
    let defaults = args.labels.defaults()?;
    // The token is checked before minutes are spent on hashing.
    let client = if args.dry_run { None } else { Some(node.client(output)?) };
    if let Some(client) = &client {
        args.readers.check(client).await?;
    }
    let mut plan = Plan::default();
    match &args.signals {
        Some(list) => plan.read_list(list, args, defaults.clone(), output)?,
        None => plan.hash_files(args, &defaults, output)?,
    }
    plan.show(&defaults, output);
    let done = if plan.failed > 0 { Outcome::SomeFailed } else { Outcome::Done };
    if plan.records.is_empty() {
        bail!("nothing to state");
    }
    match client {
        None => {
            if output.json {
                plan.records.iter().for_each(|planned| output.json_line(&planned.record));
            }
            output.note("dry run: nothing was stated");
        }
        Some(client) => state(&plan.records, &client, args, output).await?,
    }
    Ok(done)
}

impl Plan {
    fn hash_files(&mut self, args: &Args, defaults: &Defaults, output: Output) -> anyhow::Result<()> {
        let bar = progress::bar(output, "hashing", None, progress::Unit::Items);
        hashing::hash_all(inputs::walk(&args.paths), |file| {
            bar.inc(1);
            if let Some(error) = &file.error {
                self.failed += 1;
                let rest = if file.signals.is_empty() { "not stated" } else { "only its digests are stated" };
                bar.suspend(|| output.warn(&format!("{}: {error}; {rest}", printable(&file.file))));
            }
            if !file.signals.is_empty() {
                let mut record = file.to_record();
                if args.genmeta {
                    record.genmeta = file.genmeta.clone().map(|found| Box::new(stated(*found)));
                }
                defaults.apply(&mut record);
                self.add(file.file, record, args, output)?;
            }
            Ok(())
        })?;
        bar.finish_and_clear();
        Ok(())
    }

    fn read_list(
        &mut self,
        list: &PathBuf,
        args: &Args,
        defaults: Defaults,
        output: Output,
    ) -> anyhow::Result<()> {
        let shown = || list.display().to_string();
        let input: Box<dyn std::io::Read> = if list.as_os_str() == "-" {
            Box::new(std::io::stdin())
        } else {
            Box::new(File::open(list).with_context(shown)?)
        };
        let for_everybody = args.readers.group.is_none();
        let options = ReadOptions { for_everybody, defaults, ..ReadOptions::default() };
        let mut reader = ListReader::new(BufReader::new(input), options);
        while let Some(step) = reader.next_step().with_context(shown)? {
            match step {
                Step::Bad(bad) => {
                    self.failed += 1;
                    output.warn(&printable(&format!("line {}: {}; not stated", bad.line, bad.reason)));
                }
                Step::Item(item) => {
                    let name = item.file.unwrap_or_else(|| format!("line {}", item.line));
                    self.add(name, item.record, args, output)?;
                }
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        name: String,
        mut record: NewRecord,
        args: &Args,
        output: Output,
    ) -> anyhow::Result<()> {
        if !args.keep_low_quality {
            let low = |quality: Option<u8>| quality.is_some_and(|quality| quality < PDQ_QUALITY_MIN);
            let before = record.signals.len();
            record.signals.retain(|signal| signal.signal_type != "pdq" || !low(signal.quality));
            let left_out = before - record.signals.len();
            if left_out > 0 {
                self.left_out_pdq += left_out as u64;
                output.warn(&format!(
                    "{}: PDQ quality under {PDQ_QUALITY_MIN}; the PDQ hash is left out (--keep-low-quality states it)",
                    printable(&name)
                ));
            }
            if record.signals.is_empty() && left_out > 0 {
                self.failed += 1;
                output.warn(&format!("{}: no signal is left; not stated", printable(&name)));
                return Ok(());
            }
        }
        if args.readers.lack_licensees(&record) {
            self.failed += 1;
            output.warn(&format!("{}: {WITHOUT_LICENSEES}; not stated", printable(&name)));
            return Ok(());
        }
        let content = record.to_record().with_context(|| name.clone())?;
        let record = NewRecord { subject: record.subject, ..canonical(&content) };
        if self.seen.insert(digest_of(std::slice::from_ref(&record))) {
            self.records.push(Planned { name, record });
        } else {
            self.duplicates += 1;
        }
        Ok(())
    }

    fn show(&self, defaults: &Defaults, output: Output) {
        let signals: usize = self.records.iter().map(|planned| planned.record.signals.len()).sum();
        output.note(&format!(
            "To state: {} with {}",
            counted(self.records.len() as u64, "record", "records"),
            counted(signals as u64, "signal", "signals")
        ));
        output.note(&format!("  {}", labels::statement(defaults)));
        if self.duplicates > 0 {
            output.note(&format!("  {} left out", counted(self.duplicates, "exact copy", "exact copies")));
        }
        if self.left_out_pdq > 0 {
            output.note(&format!(
                "  {} of low quality left out",
                counted(self.left_out_pdq, "PDQ hash", "PDQ hashes")
            ));
        }
        if self.failed > 0 {
            output.note(&format!("  {} reported above", counted(self.failed, "problem", "problems")));
        }
    }
}

async fn state(planned: &[Planned], client: &Client, args: &Args, output: Output) -> anyhow::Result<()> {
    let bar = progress::bar(output, "stating", Some(planned.len() as u64), progress::Unit::Items);
    let calls = planned.len().div_ceil(RECORDS_PER_CALL);
    let mut rows = Vec::new();
    for (call, part) in planned.chunks(RECORDS_PER_CALL).enumerate() {
        let records: Vec<NewRecord> = part.iter().map(|planned| planned.record.clone()).collect();
        let key = match &args.idempotency_key {
            Some(key) if calls == 1 => key.clone(),
            Some(key) => format!("{key}.{call}"),
            None => hex_encode(&in_group(digest_of(&records), args.readers.group.as_deref())),
        };
        let receipts = args.readers.state(client, &records, &key, args.ack).await?;
        bar.inc(part.len() as u64);
        for (planned, receipt) in part.iter().zip(&receipts) {
            if output.json {
                output.json_line(&ReceiptLine { file: &planned.name, receipt });
            } else {
                rows.push(vec![
                    printable(&planned.name),
                    printable(&receipt.record),
                    printable(&format!("{} #{}", receipt.log, receipt.index)),
                    printable(&receipt.ack),
                ]);
            }
        }
    }
    bar.finish_and_clear();
    if !output.json {
        output.table(&["file", "record", "log and index", "promise"], &rows);
    }
    output.note(&counted(planned.len() as u64, "record stated", "records stated"));
    Ok(())
}

/// A digest that only the same statement has; as hexadecimal it is the idempotency key.
pub(crate) fn digest_of(records: &[NewRecord]) -> [u8; 32] {
    let bytes = serde_json::to_vec(records).expect("records have string keys only");
    sha256(&[b"hashpact/contribute-key/v1\0", &bytes])
}
