//! The page for analysts, written from the measurements.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use hashpact_hashing::models::decision::Thresholds;
use hashpact_hashing::models::registry::RegistryLimits;

use crate::measure::Row;
use crate::plot;

const HEAD: &str = include_str!("page_head.md");
const PLOT: &str = "models-robustness.svg";

/// Writes `MODELS.md` and its plot.
pub(crate) fn write(rows: &[Row], folder: &Path) -> Result<()> {
    for (name, text) in [("MODELS.md", text(rows)), (PLOT, plot::distances(rows))] {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn text(rows: &[Row]) -> String {
    let mut page = HEAD.replace("{thresholds}", &thresholds()).replace("{plot}", PLOT);
    page.push_str(
        "\n| what was done | mean | nearest | farthest | compared | verdict |\n|---|---|---|---|---|---|\n",
    );
    let mut group = "";
    for row in rows {
        if row.group != group {
            group = row.group;
            writeln!(page, "| **{group}** | | | | | |").expect("writing to a string cannot fail");
        }
        let verdict = row.verdict.unwrap_or("");
        if row.pairs == 0 {
            writeln!(page, "| {} | no change left to compare | | | 0 | {verdict} |", row.label)
                .expect("writing to a string cannot fail");
            continue;
        }
        writeln!(
            page,
            "| {} | {:.1} | {} | {} | {} | {verdict} |",
            row.label, row.mean, row.least, row.most, row.pairs
        )
        .expect("writing to a string cannot fail");
    }
    page
}

/// The defaults as they stand in the code, so that the page cannot differ from them.
fn thresholds() -> String {
    let (decision, registry) = (Thresholds::default(), RegistryLimits::default());
    let lines = [
        (
            "`same_max_bits`",
            decision.same_max_bits.to_string(),
            "mean, and at least half of the tiles, within this: *same*",
        ),
        ("`review_max_bits`", decision.review_max_bits.to_string(), "mean within this: *review*"),
        (
            "`near_min_percent`",
            decision.near_min_percent.to_string(),
            "share of the pairs that must be near for *same*",
        ),
        ("`tiles_min`", decision.tiles_min.to_string(), "fewest pairs of tiles"),
        (
            "`coverage_min_percent`",
            decision.coverage_min_percent.to_string(),
            "least share of the listed tiles",
        ),
        (
            "`refusal_max_bits`",
            decision.refusal_max_bits.to_string(),
            "a listing this near to a benign model of two members is refused",
        ),
        (
            "`family_max_bits`",
            registry.family_max_bits.to_string(),
            "F-bits within which a registered tile is a base",
        ),
        (
            "`stop_max_bits`",
            registry.stop_max_bits.to_string(),
            "F-bits within which a tile of the stop list is no evidence",
        ),
        (
            "`change_min`",
            registry.change_min.to_string(),
            "least change, as a share of the base, that has D-bits",
        ),
    ];
    let rows: Vec<String> =
        lines.iter().map(|(name, value, what)| format!("| {name} | {value} | {what} |")).collect();
    format!("| threshold | default | meaning |\n|---|---|---|\n{}", rows.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_row_and_no_open_place() {
        let row = |label: &str| Row {
            group: "group",
            label: label.to_owned(),
            pairs: 3,
            mean: 12.34,
            least: 1,
            most: 40,
            verdict: Some("same"),
        };
        let rows = [row("first"), row("second")];
        let page = text(&rows);
        assert!(page.contains("| first | 12.3 | 1 | 40 | 3 | same |") && page.contains("| second |"));
        assert!(!page.contains('{'), "a place was not filled");
        let svg = plot::distances(&rows);
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && !svg.contains("NaN"));
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
    }
}
