//! The benchmark page beside the index: its tables and its plot from one run, its words by hand.
//!
//! `node/index/BENCHMARK.md` keeps the text. What lies between two marks is replaced, so that no figure is ever
//! copied by hand and the words stay.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::latency::Samples;
use crate::plot::{self, Curve};
use crate::report::{Line, read_raw};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../node/index/BENCHMARK.md");
const PLOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../node/index/benchmark.svg");
const BEGIN: &str = "<!-- figures: written by `cargo xtask bench index --page` -->";
const END: &str = "<!-- end of figures -->";

/// Tables in the order of the page: a title and the beginning of the metrics that follow the label of a count.
const TABLES: [(&str, &[&str]); 6] = [
    ("Single queries", &["single."]),
    ("Batches", &["batch"]),
    ("Memory and building", &["memory", "build"]),
    ("Changes, and readers beside them", &["insert", "visibility", "reader", "removed"]),
    ("On disk", &["save", "file", "load"]),
    ("Correctness", &["recall", "found", "brute"]),
];

/// Writes page and plot from the JSON lines and the raw samples of one run.
pub(crate) fn write(lines: &Path, raw: &Path) -> Result<()> {
    let lines = fs::read_to_string(lines).with_context(|| format!("cannot read {}", lines.display()))?;
    let lines = parse(&lines)?;
    let samples = read_raw(raw)?;
    let count = largest_compared(&lines).context("the run has no single queries")?;
    let curves = curves(&samples, &count);
    ensure!(!curves.is_empty(), "the raw file has no single queries at {count}");
    let title = format!("Single queries at {} hashes, radius 31, one thread", spelled(&count));
    fs::write(PLOT, plot::svg(&title, &curves))?;
    let page = fs::read_to_string(PAGE).with_context(|| format!("cannot read {PAGE}"))?;
    fs::write(PAGE, replaced(&page, &figures(&lines))?)?;
    println!("written: {PAGE} and {PLOT}");
    Ok(())
}

fn parse(text: &str) -> Result<Vec<Line>> {
    let lines = text.lines().filter(|line| line.starts_with('{'));
    lines
        .map(|line| serde_json::from_str(line).with_context(|| format!("not a measurement: {line}")))
        .collect()
}

/// The label of the largest count at which a peer took part, or the largest of all.
fn largest_compared(lines: &[Line]) -> Option<String> {
    let singles = lines.iter().filter(|line| line.metric.contains(".single.p50"));
    let best = singles.max_by_key(|line| (line.peer.is_some(), size_of(&line.metric)))?;
    best.metric.split('.').nth(1).map(str::to_owned)
}

/// `index.10m.uniform.single.p50` is about 10,000,000 hashes.
fn size_of(metric: &str) -> u64 {
    let label = metric.split('.').nth(1).unwrap_or_default();
    let digits = label.trim_end_matches(['m', 'k']);
    let unit = match label.as_bytes().last() {
        Some(b'm') => 1_000_000,
        Some(b'k') => 1000,
        _ => 1,
    };
    digits.parse::<u64>().unwrap_or(0) * unit
}

fn spelled(label: &str) -> String {
    match label.strip_suffix('m') {
        Some(millions) => format!("{millions} million"),
        None => label.replace('k', ",000"),
    }
}

/// Curves of the raw samples named `index.10m.uniform.single/ours`: one colour for each contender, real values dashed.
fn curves<'a>(samples: &'a [(String, Samples)], count: &str) -> Vec<Curve<'a>> {
    let mut contenders: Vec<&str> = Vec::new();
    let mut curves = Vec::new();
    for (name, samples) in samples {
        let Some((who, kind)) = single(name, count) else { continue };
        let colour = contenders.iter().position(|known| *known == who).unwrap_or_else(|| {
            contenders.push(who);
            contenders.len() - 1
        });
        let title = format!("{}, {kind}", if who == "ours" { "Hashpact" } else { who });
        curves.push(Curve { title, colour, dashed: kind == "real", samples });
    }
    curves
}

/// Who answered which kind of values; none when the samples are not about single queries at this count.
fn single<'a>(name: &'a str, count: &str) -> Option<(&'a str, &'a str)> {
    let (metric, who) = name.split_once('/')?;
    Some((who, metric.strip_prefix(&format!("index.{count}."))?.strip_suffix(".single")?))
}

fn figures(lines: &[Line]) -> String {
    let mut text = String::from("\n![Latency of single queries](benchmark.svg)\n");
    section(
        &mut text,
        "Machine and versions",
        lines.iter().filter(|line| line.metric.starts_with("machine.")),
    );
    section(&mut text, "Data", lines.iter().filter(|line| line.metric.starts_with("data.")));
    for (title, beginnings) in TABLES {
        let belongs = |line: &&Line| {
            let rest = line.metric.splitn(4, '.').nth(3).unwrap_or_default();
            let whole = title == "Single queries" && line.metric.contains(".real_over_uniform.");
            whole || line.metric.starts_with("index.") && beginnings.iter().any(|b| rest.starts_with(b))
        };
        section(&mut text, title, lines.iter().filter(belongs));
    }
    text
}

fn section<'a>(text: &mut String, title: &str, lines: impl Iterator<Item = &'a Line>) {
    let _ = write!(
        text,
        "\n### {title}\n\n| metric | ours | peer | ratio | target | |\n|---|---|---|---|---|---|\n"
    );
    for line in lines {
        let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
        let peer = match (&line.peer, line.peer_value) {
            (Some(peer), Some(value)) => format!("{value} {} ({peer})", line.unit),
            _ => String::new(),
        };
        let target = match (line.target, line.met, &line.peer) {
            (Some(target), Some(met), peer) => {
                let what = if peer.is_some() { " times" } else { "" };
                format!("{target}{what}: {}", if met { "met" } else { "**missed**" })
            }
            _ => String::new(),
        };
        let note = line.note.as_deref().unwrap_or_default();
        let _ = writeln!(
            text,
            "| `{}` | {} {} | {peer} | {} | {target} | {note} |",
            line.metric,
            line.value,
            line.unit,
            number(line.ratio)
        );
    }
}

fn replaced(page: &str, figures: &str) -> Result<String> {
    let (before, rest) = page.split_once(BEGIN).context("the page has no mark where figures begin")?;
    let (_, after) = rest.split_once(END).context("the page has no mark where figures end")?;
    Ok(format!("{before}{BEGIN}\n{figures}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_replaced_and_words_stay() {
        let page = format!("words\n{BEGIN}\nold\n{END}\nmore words\n");
        let once = replaced(&page, "new").unwrap();
        assert!(once.starts_with("words\n") && once.ends_with("\nmore words\n"));
        assert!(once.contains("new") && !once.contains("old"));
        assert_eq!(replaced(&once, "new").unwrap(), once);
        assert!(replaced("no marks", "new").is_err());
    }

    #[test]
    fn the_page_has_its_marks() {
        assert!(replaced(&fs::read_to_string(PAGE).unwrap(), "").is_ok());
    }

    #[test]
    fn every_line_of_a_run_is_in_one_table() {
        let lines = [
            Line::new("machine.memory", 23.4, "GiB"),
            Line::new("data.1m.real.work_p99", 1.6, "% of stored"),
            Line::new("index.10m.uniform.single.p50.flat", 10.0, "us")
                .peer("Flat", 45_000.0)
                .target_ratio(3000.0),
            Line::new("index.10m.real_over_uniform.p50", 1.2, "times").target(1.5),
            Line::new("index.1m.real.insert.p50", 2.0, "us").target(1.0),
            Line::new("index.1m.real.found_at_32", 0.0, "queries").target(0.0),
        ];
        let text = figures(&lines);
        for line in &lines {
            assert_eq!(text.matches(&format!("`{}`", line.metric)).count(), 1, "{}", line.metric);
        }
        assert!(text.contains("45000 us (Flat) | 4500 | 3000 times: met"), "{text}");
        assert!(text.contains("2 us |  |  | 1: **missed**"), "{text}");
        assert_eq!(largest_compared(&lines).unwrap(), "10m");
    }

    #[test]
    fn curves_are_those_of_single_queries_at_one_count() {
        let names = [
            "index.10m.uniform.single/ours",
            "index.10m.uniform.single/FAISS Flat",
            "index.10m.real.single/ours",
        ];
        let others = ["index.1m.real.single/ours", "index.10m.real.insert/ours"];
        let samples: Vec<_> =
            names.into_iter().chain(others).map(|name| (name.to_owned(), Samples::default())).collect();
        let curves = curves(&samples, "10m");
        let shown: Vec<_> = curves.iter().map(|c| (c.title.as_str(), c.colour, c.dashed)).collect();
        let expected =
            [("Hashpact, uniform", 0, false), ("FAISS Flat, uniform", 1, false), ("Hashpact, real", 0, true)];
        assert_eq!(shown, expected);
    }
}
