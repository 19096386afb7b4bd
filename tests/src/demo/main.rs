//! The demonstration: three members as three real processes, and every promise checked.
//!
//! Each step says in plain words what happens and checks it; the first check that fails ends the
//! demonstration with exit status 1. `cargo xtask demo` builds and runs it.

mod story;

use anyhow::{Context as _, Result};
use clap::Parser;
use hashpact_tests::Consortium;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// Runs three member nodes on loopback and checks what Hashpact promises.
#[derive(Parser)]
#[command(name = "hashpact-demo", version, about)]
struct Arguments {
    /// A folder of real images to hash; without it the demonstration renders its own.
    #[arg(long)]
    images: Option<PathBuf>,
    /// Signals in the list that is imported and exported.
    #[arg(long, default_value_t = 100_000)]
    list: u64,
    /// Keep the folder of the three members for a look around.
    #[arg(long)]
    keep: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let started = Instant::now();
    match demonstrate(&arguments) {
        Ok(()) => {
            println!("\nEvery step was checked. {:.1} s.", started.elapsed().as_secs_f64());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("\nFAILED: {error:#}");
            ExitCode::from(1)
        }
    }
}

fn demonstrate(arguments: &Arguments) -> Result<()> {
    println!("Hashpact: three members, end to end. Only hashes, labels and statistics leave a member.");
    let consortium = Consortium::found(&["acme", "birch", "cedar"]).context("founding the consortium")?;
    let mut story = story::Story::new(consortium, arguments.images.clone())?;
    let told = story.tell(arguments.list);
    if told.is_err() {
        story.print_logs();
    }
    if arguments.keep {
        println!("kept: {}", story.keep().display());
    }
    told
}
