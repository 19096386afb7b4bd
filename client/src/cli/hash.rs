//! `hashpact hash`: the signals of files. Talks to nobody.

use std::path::PathBuf;

use hashpact_client::list::jsonl::HashedFile;

use super::exit::Outcome;
use super::output::{Output, counted, printable};
use super::{hashing, inputs, progress};

/// Arguments of `hash`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Pictures (JPEG, PNG, WebP, GIF, BMP, TIFF) get a PDQ hash with its quality and seven rotated and \
                  mirrored variants; every file gets MD5, SHA-1 and SHA-256. Nothing is sent to anybody.\n\n\
                  With --json each line is {\"file\",\"signals\":[{\"type\",\"value\",\"quality\",\"variants\"}]}, with \
                  \"error\" for a file that could not be hashed; `match --list`, `contribute --signals` and `import` read \
                  these lines."
)]
pub(crate) struct Args {
    /// Files, and folders to walk
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
}

pub(crate) fn run(args: &Args, output: Output) -> anyhow::Result<Outcome> {
    let bar = progress::bar(output, "hashing", None, progress::Unit::Items);
    let (mut files, mut failed) = (0u64, 0u64);
    hashing::hash_all(inputs::walk(&args.paths), |file| {
        files += 1;
        failed += u64::from(file.error.is_some());
        bar.inc(1);
        bar.suspend(|| print(&file, output));
        Ok(())
    })?;
    bar.finish_and_clear();
    if failed > 0 {
        output.note(&format!(
            "{}, {failed} of them could not be hashed or not completely",
            counted(files, "file", "files")
        ));
        return Ok(Outcome::SomeFailed);
    }
    output.note(&counted(files, "file hashed", "files hashed"));
    Ok(Outcome::Done)
}

fn print(file: &HashedFile, output: Output) {
    if output.json {
        output.json_line(file);
        return;
    }
    output.line(&printable(&file.file));
    for signal in &file.signals {
        let quality = signal.quality.map(|quality| format!("  quality {quality}")).unwrap_or_default();
        output.line(&format!("  {:<7} {}{quality}", signal.signal_type, signal.value));
    }
    if let Some(error) = &file.error {
        output.warn(&format!("  {}: {}", printable(&file.file), printable(error)));
    }
}
