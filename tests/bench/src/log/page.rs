//! The benchmark page beside the node: its tables from one run, its words by hand.
//!
//! What lies between two marks is replaced, so that no figure is ever copied by hand and the words stay.

use crate::report::Line;
use anyhow::{Context as _, Result};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../node/BENCHMARK.md");
const BEGIN: &str = "<!-- figures: written by `cargo xtask bench log --page` -->";
const END: &str = "<!-- end of figures -->";

/// Tables in the order of the page: a title and the beginning of the metrics.
const TABLES: [(&str, &str); 6] = [
    ("Machine", "machine."),
    ("Limits", "limit."),
    ("Durable appends", "append."),
    ("Catching up", "catch_up."),
    ("On disk", "disk."),
    ("Look-ups beside everything else", "isolation."),
];

/// Writes the page from the JSON lines of one run.
pub(crate) fn write(lines: &Path) -> Result<()> {
    let text = fs::read_to_string(lines).with_context(|| format!("cannot read {}", lines.display()))?;
    let lines = text.lines().filter(|line| line.starts_with('{'));
    let lines: Vec<Line> = lines
        .map(|line| serde_json::from_str(line).with_context(|| format!("not a measurement: {line}")))
        .collect::<Result<_>>()?;
    let page = fs::read_to_string(PAGE).with_context(|| format!("cannot read {PAGE}"))?;
    fs::write(PAGE, replaced(&page, &figures(&lines)?)?)?;
    println!("written: {PAGE}");
    Ok(())
}

fn replaced(page: &str, figures: &str) -> Result<String> {
    let begin = page.find(BEGIN).context("the page has no mark for the figures' beginning")? + BEGIN.len();
    let end = page.find(END).context("the page has no mark for the figures' end")?;
    Ok(format!("{}\n{figures}\n{}", &page[..begin], &page[end..]))
}

fn figures(lines: &[Line]) -> Result<String> {
    let mut text = String::new();
    for (title, prefix) in TABLES {
        let rows: Vec<&Line> = lines.iter().filter(|line| line.metric.starts_with(prefix)).collect();
        if rows.is_empty() {
            continue;
        }
        writeln!(
            text,
            "\n### {title}\n\n| metric | measured | target | limit | of it | note |\n|---|---|---|---|---|---|"
        )?;
        for line in rows {
            writeln!(text, "{}", row(line))?;
        }
    }
    Ok(text)
}

fn row(line: &Line) -> String {
    let target = match (line.target, line.met) {
        (Some(target), Some(true)) => format!("{target}, met"),
        (Some(target), _) => format!("{target}, **missed**"),
        _ => String::new(),
    };
    let limit = line.peer_value.map_or(String::new(), |value| value.to_string());
    let ratio = line.ratio.map_or(String::new(), |ratio| ratio.to_string());
    let note = [line.peer.clone().map(|peer| format!("limit: {peer}")), line.note.clone()];
    let note = note.into_iter().flatten().collect::<Vec<_>>().join("; ");
    format!("| `{}` | {} {} | {target} | {limit} | {ratio} | {note} |", line.metric, line.value, line.unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_replace_what_is_between_the_marks_and_nothing_else() {
        let line =
            Line::new("disk.after_compaction", 300.0, "B/record").target(400.0).peer("the floor", 250.0);
        let page = format!("before\n{BEGIN}\nold\n{END}\nbehind\n");
        let written = replaced(&page, &figures(&[line]).expect("text")).expect("both marks");
        assert!(
            written.starts_with("before\n") && written.ends_with("\nbehind\n") && !written.contains("old")
        );
        assert!(written.contains(
            "| `disk.after_compaction` | 300 B/record | 400, met | 250 | 0.8333 | limit: the floor |"
        ));
        assert!(replaced("no marks", "").is_err());
    }

    #[test]
    fn the_page_has_its_marks() {
        let page = fs::read_to_string(PAGE).expect("node/BENCHMARK.md");
        assert!(replaced(&page, "").is_ok());
    }
}
