//! `hashpact digest`: what records of data sets and services are made of, computed where the addresses and files are.
//!
//! `urls` and `hosts` make keyed digests of a list; `dataset` and `service` make digests of files. All of them print records
//! as JSON lines, which `contribute --signals` and `import` take, and talk to nobody. No address is ever printed, not even
//! the one that is wrong: lists are named by the numbers of their lines.

mod addresses;
mod dataset;
mod key;
mod service;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use hashpact_protocol::api::{NewRecord, NewSignal};
use hashpact_protocol::digest::{RecordId, hex_encode};
use hashpact_protocol::record::{SignalType, TechniqueId};

use super::exit::Outcome;
use super::output::Output;
use super::target::Target;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make the key of a group, or show by which value its members see that they have the same
    Key(key::Args),
    /// Make keyed digests of the addresses of a data set's items
    Urls(addresses::Urls),
    /// Make keyed digests of the host names of services
    Hosts(addresses::Hosts),
    /// Make digests and the Merkle root of a data set's files
    Dataset(dataset::Args),
    /// Make digests of a service's packages and signing certificates
    Service(service::Args),
}

pub(crate) fn run(command: &Command, output: Output) -> anyhow::Result<Outcome> {
    match command {
        Command::Key(args) => key::run(args, output),
        Command::Urls(args) => addresses::urls(args, output),
        Command::Hosts(args) => addresses::hosts(args, output),
        Command::Dataset(args) => dataset::run(args, output),
        Command::Service(args) => service::run(args, output),
    }
}

/// Where records go.
#[derive(Debug, clap::Args)]
struct OutArgs {
    /// Write the records to this file; left out: standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl OutArgs {
    fn open(&self) -> anyhow::Result<Target> {
        Target::open(self.out.as_deref())
    }

    /// Shows what was done: where results go if they are not there already, else on standard error.
    fn conclude(&self, summary: &impl serde::Serialize, text: &str, output: Output) {
        match (&self.out, output.json) {
            (Some(_), true) => output.json_line(summary),
            (Some(_), false) => output.line(text),
            (None, true) => {
                output.note(&serde_json::to_string(summary).expect("a summary has string keys only"));
            }
            (None, false) => output.note(text),
        }
    }
}

/// A signal with this value.
fn signal(kind: SignalType, value: &[u8]) -> NewSignal {
    NewSignal { signal_type: kind.name().to_owned(), value: hex_encode(value), quality: None }
}

/// Checks a record as the node will, and writes it.
fn write(target: &mut Target, record: &NewRecord) -> anyhow::Result<()> {
    record.to_record()?;
    target.line(&serde_json::to_string(record).expect("records have string keys only"))
}

/// The text of a record's id.
fn subject(id: Option<&RecordId>) -> Option<String> {
    id.map(ToString::to_string)
}

fn technique(text: &str) -> Result<String, String> {
    TechniqueId::parse(text).map(|id| id.to_string()).map_err(|rule| rule.to_string())
}

/// A path for a message.
fn shown(path: &Path) -> String {
    super::output::printable(&path.display().to_string())
}
