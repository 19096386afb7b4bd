//! The peers: FAISS and threatexchange in one Python process, told what to do line by line.
//!
//! The process lives as long as its indexes are needed, so that both sides can take turns. A request is a line of
//! words, an answer a line of JSON; see `peers.py`. Peers read the same files as we do.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::data::Set;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers.py");

/// An index that others use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contender {
    /// As the script calls it, and metrics do.
    pub(crate) name: &'static str,
    /// As people call it.
    pub(crate) title: &'static str,
    /// Above this many values it takes more memory or time than a run can spare.
    pub(crate) count_max: usize,
    /// How many times as fast as it a single query at 10 M should be.
    pub(crate) target_ratio_10m: Option<f64>,
}

pub(crate) const CONTENDERS: [Contender; 3] = [
    Contender {
        name: "flat",
        title: "FAISS IndexBinaryFlat",
        count_max: 20_000_000,
        target_ratio_10m: Some(3000.0),
    },
    Contender {
        name: "multihash",
        title: "FAISS IndexBinaryMultiHash 16x16",
        count_max: 20_000_000,
        target_ratio_10m: Some(2500.0),
    },
    Contender {
        name: "pdqindex",
        title: "threatexchange PDQIndex",
        count_max: 1_000_000,
        target_ratio_10m: None,
    },
];

/// The process.
#[derive(Debug)]
pub(crate) struct Peers {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// What the process says of itself.
#[derive(Debug, Deserialize)]
pub(crate) struct Versions {
    pub(crate) versions: String,
}

/// An index was filled.
#[derive(Debug, Deserialize)]
pub(crate) struct Loaded {
    pub(crate) seconds: f64,
    pub(crate) resident_bytes: f64,
}

/// Queries were answered one after another.
#[derive(Debug, Deserialize)]
pub(crate) struct Singles {
    pub(crate) nanoseconds: Vec<u32>,
    /// Hits of each query.
    pub(crate) hits: Vec<usize>,
}

/// Queries were answered in one call.
#[derive(Debug, Deserialize)]
pub(crate) struct Batch {
    pub(crate) seconds: f64,
}

impl Peers {
    /// Starts the script with a Python that has the packages, and returns what it found.
    pub(crate) fn start(python: &Path) -> Result<(Self, Versions)> {
        let mut child = Command::new(python)
            .arg(SCRIPT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", python.display()))?;
        let requests = child.stdin.take().context("standard input was piped")?;
        let answers = BufReader::new(child.stdout.take().context("standard output was piped")?);
        let mut peers = Self { child, requests, answers };
        let versions = peers.ask("versions")?;
        Ok((peers, versions))
    }

    pub(crate) fn load(&mut self, name: &str, set: &Set) -> Result<Loaded> {
        self.ask(&format!("load {name} {}", set.stored.display()))
    }

    pub(crate) fn singles(&mut self, name: &str, set: &Set, start: usize, count: usize) -> Result<Singles> {
        self.ask(&format!("singles {name} {start} {count} {}", set.queries.display()))
    }

    pub(crate) fn batch(
        &mut self,
        name: &str,
        set: &Set,
        [start, count]: [usize; 2],
        threads: usize,
    ) -> Result<Batch> {
        self.ask(&format!("batch {name} {start} {count} {threads} {}", set.queries.display()))
    }

    fn ask<T: for<'de> Deserialize<'de>>(&mut self, request: &str) -> Result<T> {
        writeln!(self.requests, "{request}")?;
        self.requests.flush()?;
        let mut answer = String::new();
        if self.answers.read_line(&mut answer)? == 0 {
            bail!("the peers' process ended at: {request}");
        }
        serde_json::from_str(&answer).with_context(|| format!("{request}: unexpected answer {answer}"))
    }
}

impl Drop for Peers {
    // A process that outlives its measurement would hold gigabytes and a processor.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
