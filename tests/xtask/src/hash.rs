//! `cargo xtask bench hash`: the `hashpact hash` command and the Python tools on the same 10,000 pictures.
//!
//! The pictures are made here: JPEG files of several sizes, every fourth with settings in its EXIF. The peer is what
//! scripts of the field do: open with PIL, read its metadata, hash with `pdqhash`, and take the three digests with
//! hashlib. Both work on one core (one thread, one process), take turns, and the ratio is that of the medians.
//! The command is that of the dev profile, whose dependencies and hashing are optimised, so that nothing is built twice.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use crate::python;
use crate::workspace::Workspace;

const PICTURES: usize = 10_000;
/// Turns that each side takes.
const TURNS: usize = 3;
/// How many times as fast as the Python tools ours must be.
const TARGET_RATIO: f64 = 2.5;
const PACKAGES: [&str; 4] = ["pdqhash==0.2.8", "pillow", "numpy", "piexif"];

pub(crate) fn run(workspace: &Workspace, json: bool) -> Result<()> {
    let python = python::environment(workspace, "hash-reference", &PACKAGES)?;
    let script = workspace.root().join("tests/vectors/pdq/bench_files.py");
    let pictures = workspace.target_dir()?.join("bench-hash");
    let count = std::fs::read_dir(&pictures).map_or(0, Iterator::count);
    if count != PICTURES {
        let make = workspace.step(&python).args([&script]).args(["make"]).args([&pictures]);
        make.args([PICTURES.to_string()]).quiet().run()?;
    }
    workspace.cargo(["build", "--quiet", "--locked", "--package", "hashpact-client", "--bins"]).run()?;
    let program = workspace.target_dir()?.join("debug/hashpact");
    let (mut ours, mut peers) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        ours.push(seconds_of_ours(workspace, &program, &pictures)?);
        let output =
            workspace.step(&python).args([&script]).args(["hash"]).args([&pictures]).quiet().read()?;
        peers.push(output.trim().parse::<f64>().context("the script prints its seconds")?);
    }
    let rate = |mut seconds: Vec<f64>| {
        seconds.sort_unstable_by(f64::total_cmp);
        PICTURES as f64 / seconds[TURNS / 2]
    };
    let (ours, peer) = (rate(ours), rate(peers));
    let ratio = ours / peer;
    if json {
        println!(
            r#"{{"metric":"hash_files","value":{ours:.0},"unit":"pictures/s/core","peer":"pdqhash+pillow","peer_value":{peer:.0},"ratio":{ratio:.2},"target":{TARGET_RATIO}}}"#
        );
    } else {
        println!(
            "hash_files  {ours:.0} pictures/s/core   pdqhash+pillow {peer:.0}   {ratio:.1} times as fast (target {TARGET_RATIO})"
        );
    }
    Ok(())
}

/// Seconds of the whole command on one thread, start included.
fn seconds_of_ours(workspace: &Workspace, program: &Path, pictures: &Path) -> Result<f64> {
    let start = Instant::now();
    let step = workspace.step(program).args(["--json", "--quiet", "hash"]).args([pictures]);
    let output = step.env("RAYON_NUM_THREADS", "1").quiet().read()?;
    let seconds = start.elapsed().as_secs_f64();
    let with_metadata = output.lines().filter(|line| line.contains("\"genmeta\"")).count();
    ensure!(output.lines().count() == PICTURES, "a picture is missing");
    ensure!(with_metadata * 4 == PICTURES, "the metadata of {with_metadata} pictures was read");
    Ok(seconds)
}
