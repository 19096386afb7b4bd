//! `cargo xtask bench audit`: a synthetic bundle of a million entries, verified on one core.
//!
//! The bundle is what three members with 333,334 entries each would export, payloads and cosigned heads included; it
//! is made in memory, without a node. Verifying is one thread, from a file, as `hashpact audit verify` does it.

#[path = "../../../../client/tests/it/packed.rs"]
mod packed;
#[path = "../../../../protocol/tests/bundle/world.rs"]
#[expect(dead_code, reason = "tests use the rest")]
mod world;

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Instant;

use anyhow::{Result, ensure};
use clap::Parser;
use hashpact_client::bundle::verify_file;
use hashpact_protocol::bundle::Scope;
use packed::Packed;
use world::World;

/// Times that the bundle is verified; the median counts.
const TURNS: usize = 3;

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
    /// Keep the bundle as this file and print its trust anchor, to look at a report of it
    #[arg(long)]
    out: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let show = |metric: &str, value: f64, unit: &str| {
        if arguments.json {
            println!("{}", serde_json::json!({"metric": metric, "value": value, "unit": unit}));
        } else {
            println!("{metric:<28} {value:>14.3} {unit}");
        }
    };
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
    drop(packed);
    let trust = world.trust();
    drop(world);
    for (name, path) in [("audit.verify", &path), ("audit.verify_uncompressed", &plain)] {
        let mut seconds = Vec::new();
        for _ in 0..TURNS {
            let started = Instant::now();
            let found = verify_file(path, &trust, &mut (), Rc::new(|_| {}))?;
            seconds.push(started.elapsed().as_secs_f64());
            ensure!(found.is_clean(), "{:?} {:?}", found.damage, found.findings.problems);
        }
        seconds.sort_by(f64::total_cmp);
        show(name, seconds[TURNS / 2], "s");
        show(&format!("{name}_rate"), entries / seconds[TURNS / 2], "entries/s");
    }
    Ok(())
}
