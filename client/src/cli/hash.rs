//! `hashpact hash`: the signals of files. Talks to nobody.

use std::path::PathBuf;

use hashpact_client::list::jsonl::HashedFile;
use hashpact_protocol::api::GenmetaJson;

use super::exit::Outcome;
use super::output::{Output, counted, printable};
use super::{hashing, inputs, progress};

/// Arguments of `hash`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Pictures (JPEG, PNG, WebP, GIF, BMP, TIFF) get a PDQ hash with its quality and seven rotated and \
                  mirrored variants; every file gets MD5, SHA-1 and SHA-256. Nothing is sent to anybody.\n\n\
                  PNG, JPEG and WebP files are also asked what they say about their making: tool, models by their digests, \
                  a few settings, provenance marks. Prompts, names, seeds and places are never read out.\n\n\
                  With --json each line is {\"file\",\"signals\":[{\"type\",\"value\",\"quality\",\"variants\"}],\"genmeta\"}, with \
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
    if let Some(genmeta) = &file.genmeta {
        output.line(&format!("  {:<7} {}", "genmeta", described(genmeta)));
        for resource in &genmeta.resources {
            output.line(&format!(
                "  {:<7} claims {} {} {}",
                "", resource.kind, resource.id.identifier, resource.id.hex
            ));
        }
    }
    if let Some(error) = &file.error {
        output.warn(&format!("  {}: {}", printable(&file.file), printable(error)));
    }
}

/// What a file says about its making, on one line.
fn described(genmeta: &GenmetaJson) -> String {
    let mut words = vec![genmeta.tool.clone().unwrap_or_else(|| "unknown tool".to_owned())];
    words.extend(genmeta.version.clone());
    let mut add =
        |name: &str, value: Option<String>| words.extend(value.map(|value| format!("{name} {value}")));
    add("sampler", genmeta.sampler.clone());
    add("scheduler", genmeta.scheduler.clone());
    add("steps", genmeta.steps.map(|steps| steps.to_string()));
    add("cfg", genmeta.cfg_x10.map(|cfg| format!("{}.{}", cfg / 10, cfg % 10)));
    add("workflow", genmeta.workflow.as_ref().map(|digest| digest.chars().take(12).collect()));
    add("source", genmeta.source_type.clone());
    if genmeta.c2pa.is_some() {
        words.push("C2PA manifest (not checked)".to_owned());
    }
    words.join(", ")
}
