//! `hashpact models`: fingerprints of generative models, computed where the files are. `fingerprint` and `compare` talk to
//! nobody; the others send identifiers and sketches to the node, never a weight or the name of a file.

pub(crate) mod bases;
mod compare;
mod contribute;
mod files;
mod fingerprint;
mod lookup;
mod r#match;
mod register;
mod scan;
mod statement;

use clap::Subcommand;

use super::connect::NodeArgs;
use super::exit::Outcome;
use super::output::Output;

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one, and it is read once")]
pub(crate) enum Command {
    /// Compute every identifier of model files, and the sketch of their weights
    Fingerprint(fingerprint::Args),
    /// Compare two models: identifiers, family, and what was added to a base
    Compare(compare::Args),
    /// Ask the node whether models are known
    Match(r#match::Args),
    /// List model files, with labels, as records of your member
    Contribute(contribute::Args),
    /// Register a known base or a popular benign model, or put tiles on the stop list
    Register(register::Args),
    /// Take the inventory of a store of models; resumable
    Scan(scan::Args),
}

pub(crate) async fn run(command: &Command, node: &NodeArgs, output: Output) -> anyhow::Result<Outcome> {
    match command {
        Command::Fingerprint(args) => fingerprint::run(args, output),
        Command::Compare(args) => compare::run(args, output),
        Command::Match(args) => r#match::run(args, &node.client(output)?, output).await,
        Command::Contribute(args) => contribute::run(args, &node.client(output)?, output).await,
        Command::Register(args) => register::run(args, &node.client(output)?, output).await,
        Command::Scan(args) => scan::run(args, node, output).await,
    }
}
