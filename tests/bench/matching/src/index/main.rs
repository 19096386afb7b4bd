//! Measures the match index against what others use, on the same data in the same run.
//!
//! `cargo xtask bench index` starts this program. It starts itself again for every number of hashes, once to
//! make the data and once to measure, so that a process's memory is the index's and not what earlier work left
//! behind. Nothing of the node is linked: it builds in seconds.

mod changes;
mod data;
mod disk;
mod latency;
mod limit;
mod lookup;
mod memory;
mod page;
mod peer;
mod photos;
mod plot;
mod random;
mod recall;
mod report;
mod run;
mod skew;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;

#[derive(Debug, Parser)]
#[command(name = "bench-index", about = "Measure the match index", max_term_width = 100)]
struct Cli {
    /// Print one JSON object a line: metric, value, unit, and where they apply target, met, peer, peer_value, ratio
    #[arg(long)]
    json: bool,
    /// Keep every latency: a text line `# name count`, then count nanoseconds as little-endian 32-bit integers, and so on
    #[arg(long, value_name = "FILE")]
    raw: Option<PathBuf>,
    /// How many hashes are stored; several are measured one after another
    #[arg(long, value_name = "N", num_args = 1.., default_values_t = [1_000_000, 10_000_000])]
    count: Vec<usize>,
    /// Also 100 million hashes: about 15 GB of memory and disk
    #[arg(long)]
    large: bool,
    /// How many different queries are asked
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1000..))]
    queries: u32,
    /// Leave the peers out
    #[arg(long)]
    no_peers: bool,
    /// A Python that has the peers' packages
    #[arg(long, value_name = "PROGRAM")]
    python: Option<PathBuf>,
    /// Where the data are kept from run to run
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The folder that `cargo xtask photos` fetched
    #[arg(long, value_name = "DIR", env = "HASHPACT_PHOTOS")]
    photos: Option<PathBuf>,
    /// Measure nothing: write the benchmark page and its plot from the JSON lines of a run and its `--raw` file
    #[arg(long, value_name = "LINES", requires = "raw")]
    page: Option<PathBuf>,
    /// Set for the processes that this program starts
    #[arg(long, hide = true)]
    step: Option<Step>,
}

/// What one process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Step {
    Prepare,
    Measure,
}

fn main() -> Result<()> {
    let mut cli = Cli::parse();
    if let (Some(lines), Some(raw)) = (&cli.page, &cli.raw) {
        return page::write(lines, raw);
    }
    match cli.step {
        Some(Step::Prepare) => return run::prepare(&cli),
        Some(Step::Measure) => return run::measure(&cli),
        None => {}
    }
    std::fs::create_dir_all(&cli.data).with_context(|| format!("cannot make {}", cli.data.display()))?;
    if let Some(raw) = &cli.raw {
        // Steps append; samples of an earlier run must not be in front of theirs.
        std::fs::File::create(raw).with_context(|| format!("cannot write {}", raw.display()))?;
    }
    if cli.large && !cli.count.contains(&100_000_000) {
        cli.count.push(100_000_000);
    }
    run::describe(&cli)?;
    for count in &cli.count {
        ensure!((1000..=1 << 30).contains(count), "--count takes 1,000 to 1,073,741,824, not {count}");
        for step in ["prepare", "measure"] {
            start_step(&cli, *count, step)?;
        }
    }
    Ok(())
}

fn start_step(cli: &Cli, count: usize, step: &str) -> Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--step", step, "--count", &count.to_string(), "--queries", &cli.queries.to_string()]);
    command.arg("--data").arg(&cli.data);
    for (name, path) in [("--raw", &cli.raw), ("--python", &cli.python), ("--photos", &cli.photos)] {
        if let Some(path) = path {
            command.arg(name).arg(path);
        }
    }
    for (name, set) in [("--json", cli.json), ("--no-peers", cli.no_peers)] {
        if set {
            command.arg(name);
        }
    }
    let status = command.status()?;
    ensure!(status.success(), "{step} of {count} hashes ended with {status}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
        let cli =
            Cli::try_parse_from(["bench-index", "--data", "d", "--count", "1000", "2000", "--json"]).unwrap();
        assert_eq!((cli.count, cli.json), (vec![1000, 2000], true));
        assert!(Cli::try_parse_from(["bench-index", "--data", "d", "--page", "lines"]).is_err());
    }
}
