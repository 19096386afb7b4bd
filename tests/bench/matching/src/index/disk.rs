//! Saving, and how long after a start the index answers and is fast again.
//!
//! Measured twice: with the file in the page cache, as after a restart of the program, and with the file's pages
//! dropped first (with `dd`, which any user may do for a file of his own), as after a restart of the machine.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hashpact_index::Hit;

use crate::latency::Samples;
use crate::lookup::{RADIUS, Side};
use crate::report::{Line, Report};

/// Queries whose p50 says that full speed is reached.
const PROBE: usize = 5000;
const TAG: &[u8] = b"position";

/// Saves the side's index, gives it up, and opens it again.
pub(crate) fn measure(side: Side, folder: &Path, report: &Report) -> Result<()> {
    let path = folder.join(format!("{}.snapshot", side.metric));
    let start = Instant::now();
    side.index.save(&path, TAG)?;
    let metric = side.metric.clone();
    report.line(&Line::new(format!("{metric}.save"), start.elapsed().as_secs_f64(), "s"))?;
    let bytes = std::fs::metadata(&path)?.len() as f64;
    report.line(&Line::new(format!("{metric}.file"), bytes / side.set.size.stored as f64, "B/hash"))?;

    // A query far enough into the queries that neither readers nor writers of other measurements used it up.
    let planted: Vec<(usize, Hit)> = (0..side.queries.len())
        .filter_map(|number| side.set.planted(number).map(|planted| (number, planted)))
        .filter(|(_, planted)| planted.record as usize > side.set.size.stored / 50)
        .map(|(number, planted)| (number, Hit { record: planted.record, distance: planted.distance }))
        .collect();
    let [before] = probe(&side, &side.index).percentiles_us([0.5]);
    let Side { set, queries, index, .. } = side;
    // Two of them may be more than there is memory for.
    drop(index);
    for cache in ["cached", "cold"] {
        if cache == "cold" && !drop_from_page_cache(&path) {
            eprintln!("note: pages cannot be dropped here; no figures for a cold file");
            continue;
        }
        let start = Instant::now();
        let (index, tag) = hashpact_index::MatchIndex::open(&path)?;
        let opened = start.elapsed();
        ensure!(tag == TAG, "the snapshot gives back another tag");
        let (number, expected) = planted.first().context("no planted query")?;
        let hits = index.query_hamming(&queries[*number], RADIUS);
        let first_answer = start.elapsed();
        ensure!(hits.contains(expected), "the first answer after opening is wrong");
        index.warm()?;
        let warm = start.elapsed();
        let side =
            Side { set: set.clone(), metric: metric.clone(), index, queries: queries.clone(), peers: None };
        let [after] = probe(&side, &side.index).percentiles_us([0.5]);
        say(report, &format!("{metric}.load.{cache}"), [opened, first_answer, warm], after / before)?;
    }
    Ok(std::fs::remove_file(path)?)
}

fn say(report: &Report, metric: &str, [opened, first, warm]: [Duration; 3], ratio: f64) -> Result<()> {
    let ten_million = metric.contains(".10m.");
    let seconds = |name: &str, time: Duration, target: Option<f64>| {
        let line = Line::new(format!("{metric}.{name}"), time.as_secs_f64(), "s");
        target.filter(|_| ten_million).into_iter().fold(line, Line::target)
    };
    report.line(&seconds("open", opened, None))?;
    report.line(&seconds("first_answer", first, Some(1.0)))?;
    report.line(&seconds("full_speed", warm, Some(2.0)))?;
    report.line(
        &Line::new(format!("{metric}.p50_over_before"), ratio, "times").note("single queries after warming"),
    )
}

fn probe(side: &Side, index: &hashpact_index::MatchIndex) -> Samples {
    let mut samples = Samples::default();
    for query in &side.queries[..PROBE.min(side.queries.len())] {
        samples.time(|| index.query_hamming(query, RADIUS));
    }
    samples
}

fn drop_from_page_cache(path: &Path) -> bool {
    let mut file = std::ffi::OsString::from("if=");
    file.push(path);
    let dd = Command::new("dd")
        .arg(file)
        .args(["iflag=nocache", "count=0", "of=/dev/null"])
        .stderr(Stdio::null())
        .status();
    dd.is_ok_and(|status| status.success())
}
