//! `cargo xtask`: the one door to every task of this repository.
//!
//! Each command is one module. None of them keeps a truth of its own: a rule is a test, a format is in the
//! protocol crate, and what is here installs, builds, runs, counts and times. The commands are listed in the
//! README; a test below compares the two.
//!
//! Where things are built is cargo's decision: whatever `CARGO_TARGET_DIR` or the user's configuration says,
//! otherwise `target` beside the workspace's `Cargo.toml`.

mod bench;
mod command;
mod demo;
mod fuzz;
mod gate;
mod hash;
mod index;
mod measure;
mod models;
mod pdq;
mod photos;
mod python;
mod quality;
mod setup;
mod workspace;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};

use workspace::Workspace;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Tasks of the Hashpact repository", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run three members on this machine through the whole story, each step checked
    Demo {
        /// Hash the pictures of this folder instead of those that the demo draws itself
        #[arg(long, value_name = "DIR")]
        images: Option<PathBuf>,
        /// Keep the members' folders and logs afterwards, and say where they are
        #[arg(long)]
        keep: bool,
    },
    /// Run the gate: formatting, lints and every test
    Test {
        /// Only what needs neither RocksDB nor libp2p: seconds instead of minutes
        #[arg(long)]
        pure: bool,
        /// Also long simulations and big data (sets HASHPACT_LONG=1)
        #[arg(long)]
        long: bool,
    },
    /// Simulate a consortium with one equivocating member, crashes and partitions, for many seeds
    Sim {
        /// Seeds to run, `FROM..TO`; a seed that fails is named and fails again by itself
        #[arg(long, default_value = "0..1000")]
        seeds: String,
        /// Runs at once [default: one a core]
        #[arg(long)]
        jobs: Option<u16>,
        /// Instead, a scripted year of twelve members from one seed, and its report
        #[arg(long, value_name = "SEED", conflicts_with_all = ["seeds", "jobs"])]
        year: Option<u64>,
    },
    /// Fuzz what reads a stranger's bytes, guided by coverage (libFuzzer); needs a C++ compiler
    Fuzz {
        /// One target [default: all of them, one after another]
        target: Option<fuzz::Target>,
        /// Seconds for each target
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
    /// Measure something
    Bench {
        /// What to measure
        name: Benchmark,
        /// Print one JSON object a line: metric, value, unit
        #[arg(long)]
        json: bool,
        /// Options of the benchmark itself, for `index`, `log` and `models-robustness`; `cargo xtask bench index --help-all` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<OsString>,
    },
    /// Install the Debian packages that the build needs, or print the command that does
    Setup,
    /// Fetch the photographs that the PDQ tests compare with
    Photos,
    /// Fetch the small networks that the tests of model fingerprints compare with
    Models,
    /// Check licences, bans and advisories of the dependencies with cargo-deny
    Deny,
}

/// What `bench` can measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Benchmark {
    /// Verifying an audit bundle of a million entries
    Audit,
    /// PDQ hashing of decoded pictures
    Pdq,
    /// Look-ups by distance and changes, against FAISS and threatexchange
    Index,
    /// `hashpact hash` on 10,000 pictures, metadata included, against the Python tools
    Hash,
    /// Model fingerprints: parameters a second and memory
    Models,
    /// What model fingerprints survive, on small real networks
    ModelsRobustness,
    /// Look-ups over HTTP: in bulk, one by one, and while records are imported
    Http,
    /// Durable appends, catching up, bytes on disk, and look-ups beside all of it
    Log,
    /// What matching finds and what it matches wrongly, on photographs
    Quality,
    /// From a contribution at one member to a match at another
    Propagate,
    /// Memory of a record beyond the index; fold and replay
    View,
}

fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    let workspace = Workspace::find()?;
    match cli.task {
        Task::Demo { images, keep } => {
            setup::run(&workspace)?;
            demo::run(&workspace.build_binaries()?, images, keep)
        }
        Task::Test { pure, long } => return gate::run(&workspace, gate::Options { pure, long }),
        Task::Sim { year: Some(seed), .. } => simulate(&workspace, "year".to_owned(), Some(seed.to_string())),
        Task::Sim { seeds, jobs, .. } => simulate(&workspace, seeds, jobs.map(|jobs| jobs.to_string())),
        Task::Fuzz { target, seconds } => fuzz::run(&workspace, target, seconds),
        Task::Bench { name, json, options } => measure::run(&workspace, name, json, &options),
        Task::Setup => setup::run(&workspace),
        Task::Photos => photos::fetch(&workspace).map(drop),
        Task::Models => models::fetch(&workspace)
            .map(|folder| println!("models: all packages are in {}", folder.display())),
        Task::Deny => deny(&workspace),
    }?;
    Ok(ExitCode::SUCCESS)
}

/// Runs in the dev profile: what is hot is optimised in it, and it checks overflows.
fn simulate(workspace: &Workspace, what: String, more: Option<String>) -> Result<()> {
    let args = ["run", "--quiet", "--locked", "--package", "hashpact-sim", "--"];
    workspace.cargo(args).args([what]).args(more).run()
}

fn deny(workspace: &Workspace) -> Result<()> {
    let installed = workspace.cargo(["deny", "--version"]).quiet().succeeds();
    anyhow::ensure!(installed, "cargo-deny is not installed; type: cargo install --locked cargo-deny");
    workspace.cargo(["deny", "--workspace", "check", "--config", ".deny.toml"]).run()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_readme_lists_exactly_the_commands() {
        let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
        let readme = std::fs::read_to_string(readme).expect("README.md is at the top of the workspace");
        let listed = commands_in(&readme);
        let real: BTreeSet<String> = Cli::command()
            .get_subcommands()
            .map(|command| command.get_name().to_owned())
            .filter(|name| name != "help")
            .collect();
        assert_eq!(listed, real, "README.md must name each `cargo xtask` command, and no other");
    }

    #[test]
    fn commands_are_found_in_text() {
        let text = "`cargo xtask test` or `cargo xtask bench index --json`; cargo xtask, cargo xtask help";
        assert_eq!(commands_in(text), ["bench", "test"].map(String::from).into());
    }

    /// The words that follow `cargo xtask` in a text, without clap's own `help`.
    fn commands_in(text: &str) -> BTreeSet<String> {
        text.split("cargo xtask ")
            .skip(1)
            .map(|rest| rest.chars().take_while(char::is_ascii_lowercase).collect::<String>())
            .filter(|word| !word.is_empty() && word != "help")
            .collect()
    }
}
