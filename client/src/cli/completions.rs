//! `hashpact completions`: a completion script for a shell.

use clap::CommandFactory;
use clap_complete::Shell;

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "For bash: hashpact completions bash > ~/.local/share/bash-completion/completions/hashpact"
)]
pub(crate) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(args: &Args) {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::Cli::command(), "hashpact", &mut script);
    // A closed pipe is the reader's business.
    let _ = std::io::Write::write_all(&mut std::io::stdout(), &script);
}
