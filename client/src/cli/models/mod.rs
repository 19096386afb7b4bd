//! `hashpact models`: fingerprints of generative models, computed where the files are. Talks to nobody.

mod compare;
mod files;
mod fingerprint;

use clap::Subcommand;

use super::exit::Outcome;
use super::output::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Compute every identifier of model files, and the sketch of their weights
    Fingerprint(fingerprint::Args),
    /// Compare two models: identifiers, family, and what was added to a base
    Compare(compare::Args),
}

pub(crate) fn run(command: &Command, output: Output) -> anyhow::Result<Outcome> {
    match command {
        Command::Fingerprint(args) => fingerprint::run(args, output),
        Command::Compare(args) => compare::run(args, output),
    }
}
