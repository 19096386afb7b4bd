//! `cargo xtask fuzz`: coverage-guided fuzzing of every parser of a stranger's bytes.
//!
//! The programs of `tests/fuzz` are built with the compiler's own coverage counters and linked with libFuzzer, which
//! the crate libfuzzer-sys compiles from C++: no nightly compiler and no cargo-fuzz. What was found worth keeping stays in
//! `fuzz/corpus` of cargo's target folder and is where the next run begins; an input that fails is in `fuzz/artifacts`.
//!
//! A target fails on a panic, on an input that takes ten seconds, and when more than a bound is allocated at a time
//! (`tests/fuzz/src/allocator.rs`).

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::workspace::Workspace;

/// Counters for every edge, and the operands of comparisons, which say how far an input is from passing one.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-simplifycfg-branch-fold-threshold=0 \
    -Ccodegen-units=1 --cfg fuzzing";
/// The longest input that is made, in bytes.
const INPUT_MAX_BYTES: u32 = 65_536;
/// The longest that one input may take.
const INPUT_MAX_SECONDS: u32 = 10;
/// Lines of a failure that are shown.
const LINES_SHOWN: usize = 25;

/// What can be fuzzed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    /// Model files of any format
    Models,
    /// Pickles of PyTorch archives
    Pickle,
    /// PNG, JPEG and WebP containers
    Genmeta,
    /// The texts in which tools state their settings
    Settings,
    /// Payloads of records, of every kind
    Payloads,
}

impl Target {
    fn name(self) -> String {
        self.to_possible_value().expect("no target is hidden").get_name().to_owned()
    }
}

pub(crate) fn run(workspace: &Workspace, target: Option<Target>, seconds: u32) -> Result<()> {
    let targets = target.map_or_else(|| Target::value_variants().to_vec(), |target| vec![target]);
    let folder = workspace.target_dir()?.join("fuzz");
    let host = host(workspace)?;
    let manifest = workspace.root().join("tests/fuzz/Cargo.toml");
    // With a target named, build scripts are not instrumented: they would not link.
    let build = workspace
        .cargo(["build", "--quiet", "--release", "--locked", "--features", "libfuzzer", "--target", &host])
        .args(["--manifest-path".as_ref(), manifest.as_os_str()])
        .args(targets.iter().flat_map(|target| ["--bin".to_owned(), target.name()]));
    build.env("CARGO_TARGET_DIR", &folder).env("RUSTFLAGS", COVERAGE).run()?;
    let programs = folder.join(&host).join("release");
    let mut failed = Vec::new();
    for target in targets {
        let name = target.name();
        if !fuzz(workspace, &folder, &programs.join(&name), &name, seconds)? {
            failed.push(name);
        }
    }
    if !failed.is_empty() {
        bail!(
            "these targets failed: {}; their inputs are in {}",
            failed.join(", "),
            folder.join("artifacts").display()
        );
    }
    Ok(())
}

/// The machine that the compiler builds for by itself.
fn host(workspace: &Workspace) -> Result<String> {
    let version = workspace.step("rustc").args(["-vV"]).quiet().read()?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names no host")?.to_owned())
}

/// Runs one target; whether it held.
fn fuzz(workspace: &Workspace, folder: &Path, program: &Path, name: &str, seconds: u32) -> Result<bool> {
    let [corpus, artifacts] = ["corpus", "artifacts"].map(|part| folder.join(part).join(name));
    fs::create_dir_all(&corpus)?;
    fs::create_dir_all(&artifacts)?;
    let log = folder.join(format!("{name}.log"));
    let limits = [
        format!("-max_total_time={seconds}"),
        format!("-timeout={INPUT_MAX_SECONDS}"),
        format!("-max_len={INPUT_MAX_BYTES}"),
        "-print_final_stats=1".to_owned(),
        format!("-artifact_prefix={}/", artifacts.display()),
    ];
    let step = workspace.step(program).args(&limits).args([&corpus]).env("HASHPACT_FUZZ_SEEDS", &corpus);
    let held = step.errors_to(File::create(&log)?).quiet().lines(|_| ())?.success();
    let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    match Figures::read(&text) {
        Some(figures) if held => println!("{name:<9} {figures}"),
        _ => {
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(LINES_SHOWN)..].iter().for_each(|line| println!("  {line}"));
            println!("{name:<9} FAILED; all of it is in {}", log.display());
        }
    }
    Ok(held)
}

/// What libFuzzer says at the end.
#[derive(Debug, PartialEq, Eq)]
struct Figures {
    executions: u64,
    per_second: u64,
    /// Edges that were reached, of all that are counted.
    edges: u64,
    edges_counted: u64,
    corpus: u64,
    slowest_s: u64,
    memory_mb: u64,
}

impl Figures {
    fn read(log: &str) -> Option<Self> {
        let stat = |name: &str| {
            let line = log.lines().rev().find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name))?;
            line.strip_prefix(':')?.trim().parse().ok()
        };
        let last = log.lines().rev().find(|line| line.starts_with('#') && line.contains(" cov: "))?;
        let field = |name: &str| number(last.split(name).nth(1)?);
        let tables = log.lines().find(|line| line.contains(" PC tables ("))?;
        Some(Self {
            executions: stat("number_of_executed_units")?,
            per_second: stat("average_exec_per_sec")?,
            edges: field(" cov: ")?,
            edges_counted: number(tables.split(" PC tables (").nth(1)?)?,
            corpus: field(" corp: ")?,
            slowest_s: stat("slowest_unit_time_sec")?,
            memory_mb: stat("peak_rss_mb")?,
        })
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} inputs ({} a second), {} of {} edges, {} inputs kept, slowest {} s, {} MB, no failure",
            self.executions,
            self.per_second,
            self.edges,
            self.edges_counted,
            self.corpus,
            self.slowest_s,
            self.memory_mb
        )
    }
}

/// The digits that a text begins with.
fn number(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_the_log() {
        let log = "INFO: Loaded 1 PC tables (49262 PCs): 49262 [0x1,0x2), \n\
            #2\tINITED cov: 10 ft: 11 corp: 1/1b exec/s: 0 rss: 28Mb\n\
            #82181\tDONE   cov: 1203 ft: 5312 corp: 911/120Kb lim: 4096 exec/s: 5136 rss: 30Mb\n\
            Done 82181 runs in 16 second(s)\n\
            stat::number_of_executed_units: 82181\n\
            stat::average_exec_per_sec:     5136\n\
            stat::new_units_added:          2399\n\
            stat::slowest_unit_time_sec:    0\n\
            stat::peak_rss_mb:              30\n";
        let figures = Figures {
            executions: 82_181,
            per_second: 5_136,
            edges: 1_203,
            edges_counted: 49_262,
            corpus: 911,
            slowest_s: 0,
            memory_mb: 30,
        };
        assert_eq!(Figures::read(log), Some(figures));
        assert_eq!(Figures::read(""), None);
        assert_eq!(Figures::read(&log[..log.len() - 10]), None, "a run that broke off");
    }

    /// The programs that the manifest of `tests/fuzz` builds with libFuzzer.
    #[test]
    fn targets_are_those_of_the_manifest() {
        let manifest = include_str!("../../fuzz/Cargo.toml");
        let programs = manifest.split("[[bin]]").skip(1).filter(|program| program.contains("libfuzzer"));
        let names = programs.map(|program| program.split('"').nth(1).unwrap_or_default().to_owned());
        let targets: Vec<String> = Target::value_variants().iter().map(|target| target.name()).collect();
        assert_eq!(names.collect::<Vec<_>>(), targets);
    }
}
