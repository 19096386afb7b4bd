//! `cargo xtask bench audit`: a synthetic bundle of a million entries, verified on one core.
//!
//! The bundle is what three members with 333,334 entries each would export, payloads and cosigned heads included; it
//! is made in memory, without a node. Verifying is one thread, from a file, as `hashpact audit verify` does it; what counts is
//! the processor time that it takes, which a machine that does other things beside it does not change much.
//! Then single bytes of the compressed file are flipped, each of which must be found and located.

#[path = "../../../../client/tests/it/packed.rs"]
mod packed;
#[path = "../../src/log/process.rs"]
#[expect(dead_code, reason = "other benchmarks use the rest")]
mod process;
#[path = "../../src/log/report.rs"]
#[expect(dead_code, reason = "other benchmarks use the rest")]
mod report;
#[path = "../../../../protocol/tests/bundle/world.rs"]
#[expect(dead_code, reason = "tests use the rest")]
mod world;

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use hashpact_client::bundle::verify_file;
use hashpact_protocol::bundle::Scope;
use hashpact_protocol::digest::Root;
use packed::Packed;
use report::{Line, Report};
use world::World;

/// Times that the bundle is verified; the median counts.
const TURNS: usize = 3;
/// What verifying a million entries may take on one core, in seconds.
const VERIFY_MAX_S: f64 = 10.0;

#[derive(Parser)]
struct Arguments {
    /// Print one JSON object a line: metric, value, unit
    #[arg(long)]
    json: bool,
    /// Entries of each of the three logs
    #[arg(long, default_value_t = 333_334)]
    entries: usize,
    /// Seconds between two entries of a log
    #[arg(long, default_value_t = 60)]
    step_s: u64,
    /// Bytes of the compressed bundle that are flipped, one after the other
    #[arg(long, default_value_t = 3)]
    flips: u64,
    /// Keep the bundle as this file and print its trust anchor, to look at a report of it
    #[arg(long)]
    out: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let report = Report { json: arguments.json };
    let show = |metric: &str, value: f64, unit: &str| report.line(&Line::new(metric, value, unit));
    let started = Instant::now();
    let world = World::new(arguments.entries, arguments.step_s);
    show("audit.seal", started.elapsed().as_secs_f64(), "s");
    let started = Instant::now();
    let packed = world.bundle_into(Packed::default(), Scope::All, 0).finish();
    show("audit.write", started.elapsed().as_secs_f64(), "s");
    let entries = (3 * arguments.entries) as f64;
    show("audit.entries", entries, "entries");
    show("audit.bytes_per_entry", packed.len() as f64 / entries, "B");
    let dir = tempfile::tempdir()?;
    let plain = dir.path().join("a.tar");
    std::fs::write(&plain, world.bundle(Scope::All, 0).bytes)?;
    let path = dir.path().join("a.tar.zst");
    std::fs::write(&path, &packed)?;
    if let Some(out) = &arguments.out {
        std::fs::write(out, &packed)?;
        eprintln!("trust anchor: {}", world.trust());
    }
    let trust = world.trust();
    drop(world);
    for (name, path) in [("audit.verify", &path), ("audit.verify_uncompressed", &plain)] {
        let (elapsed, spent) = verify(path, &trust)?;
        let cpu = Line::new(format!("{name}_cpu"), spent, "s").target(VERIFY_MAX_S * entries / 1e6);
        report.line(&cpu.note("user and system, one thread"));
        show(name, elapsed, "s");
        report.line(&Line::new(format!("{name}_rate"), entries / spent, "1/s"));
    }
    flip(&path, packed, &trust, arguments.flips, report)
}

/// Median seconds, elapsed and of the processor, that a clean file takes.
fn verify(path: &Path, trust: &Root) -> Result<(f64, f64)> {
    let (mut elapsed, mut spent) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let (started, before) = (Instant::now(), process::seconds(std::process::id())?);
        let found = verify_file(path, trust, &mut (), Rc::new(|_| {}))?;
        elapsed.push(started.elapsed().as_secs_f64());
        spent.push(process::seconds(std::process::id())? - before);
        ensure!(found.is_clean(), "{:?} {:?}", found.damage, found.findings.problems);
    }
    Ok((report::percentile(&mut elapsed, 0.5), report::percentile(&mut spent, 0.5)))
}

/// Flips bytes all over the file and ends unless each is found and located.
fn flip(path: &Path, mut bytes: Vec<u8>, trust: &Root, flips: u64, report: Report) -> Result<()> {
    let mut widest = 0;
    for nth in 0..flips {
        let offset = (2 * nth + 1) * bytes.len() as u64 / (2 * flips);
        let at = usize::try_from(offset)?;
        bytes[at] ^= 1 << (nth % 8);
        std::fs::write(path, &bytes)?;
        bytes[at] ^= 1 << (nth % 8);
        let found = verify_file(path, trust, &mut (), Rc::new(|_| {}))?;
        let place = found.damage.iter().find(|damage| (damage.start..damage.end).contains(&offset));
        let place = place.with_context(|| format!("byte {offset} was flipped: {:?}", found.damage))?;
        ensure!(!found.is_clean(), "byte {offset} was flipped and the bundle holds");
        widest = widest.max(place.end - place.start);
    }
    report.line(
        &Line::new("audit.flips_located", flips as f64, "flips").note(format!("within {widest} bytes")),
    );
    Ok(())
}
