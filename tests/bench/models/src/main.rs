//! What breaks a model fingerprint, measured on small real networks that PyPI packages ship.
//!
//! The networks are saved again in other types, renamed, merged, and changed by fine-tunes and adapters that are made
//! here; each result is compared with the original as a member would. Prints one JSON object a line with `--json`,
//! otherwise a table; `--page DIR` also writes `MODELS.md` and its plot there. The same networks give the same output,
//! byte for byte. Needs the packages of `tests/vectors/models/packages.txt` unpacked in `HASHPACT_MODELS`.

mod changes;
mod measure;
mod network;
mod page;
mod plot;
mod rounding;

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;

/// Measures what model fingerprints survive.
#[derive(Debug, Parser)]
struct Arguments {
    /// The folder into which the packages were unpacked, as `cargo xtask models` leaves it.
    #[arg(long, env = "HASHPACT_MODELS", value_name = "DIR")]
    models: PathBuf,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
    /// Also write MODELS.md and its plot into this folder.
    #[arg(long, value_name = "DIR")]
    page: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let rows = measure::all(&arguments.models)?;
    if let Some(folder) = &arguments.page {
        page::write(&rows, folder)?;
    }
    for row in &rows {
        if arguments.json {
            println!("{}", row.in_json());
        } else {
            println!("{}", row.in_text());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }
}
