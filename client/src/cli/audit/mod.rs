//! `hashpact audit`: bundles for whoever must check afterwards.
//!
//! `fetch` asks the node; `verify`, `report` and `when --bundle` ask nobody: a file and the root of the first
//! roster version, which comes on another way than the file, are all they take.

mod fetch;
mod report;
mod verify;
mod when;

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

use anyhow::Context as _;
use hashpact_client::bundle::{FileFindings, verify_file};
use hashpact_protocol::bundle::Visitor;
use hashpact_protocol::digest::Root;

use super::connect::NodeArgs;
use super::exit::Outcome;
use super::output::Output;
use super::progress;

/// What to do with audit bundles.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Get a bundle from the node; resumable
    Fetch(fetch::Args),
    /// Check a bundle offline: what is proven, what is only claimed, what is missing
    Verify(verify::Args),
    /// Write a report for governance from a bundle that verifies
    Report(report::Args),
    /// Say when a record was in its log, by whose word, with the proofs
    When(when::Args),
}

pub(crate) async fn run(command: &Command, node: &NodeArgs, output: Output) -> anyhow::Result<Outcome> {
    match command {
        Command::Fetch(args) => fetch::run(args, &node.client(output)?, output).await,
        Command::Verify(args) => verify::run(args, output),
        Command::Report(args) => report::run(args, output),
        Command::When(args) => when::run(args, node, output).await,
    }
}

/// Reads the trust anchor from the command line.
fn parse_trust(text: &str) -> Result<Root, String> {
    Root::from_hex(text).map_err(|error| format!("the root of roster version 1, 64 hex digits: {error}"))
}

/// Verifies a file with a bar of its bytes.
fn verified(
    path: &Path,
    trust: &Root,
    visitor: &mut dyn Visitor,
    output: Output,
) -> anyhow::Result<FileFindings> {
    let shown = || path.display().to_string();
    let bytes = std::fs::metadata(path).with_context(shown)?.len();
    let bar = progress::bar(output, "verifying", Some(bytes), progress::Unit::Bytes);
    let moved = Rc::new(RefCell::new(bar.clone()));
    let findings = verify_file(path, trust, visitor, Rc::new(move |bytes| moved.borrow().inc(bytes)));
    bar.finish_and_clear();
    findings.with_context(shown)
}
