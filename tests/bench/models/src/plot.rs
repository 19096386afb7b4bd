//! The plot of the page, drawn as SVG by hand: equal results give equal bytes.

use std::fmt::Write as _;

use hashpact_hashing::models::decision::Thresholds;

use crate::measure::Row;

const ROW: f64 = 18.0;
const TOP: f64 = 84.0;
const LEFT: f64 = 380.0;
const WIDTH: f64 = 900.0;

fn x_of(bits: f64) -> f64 {
    LEFT + bits / 160.0 * (WIDTH - LEFT - 30.0)
}

/// Mean distance of each row with its range; bands show the verdicts.
pub(crate) fn distances(rows: &[Row]) -> String {
    let groups = 1 + rows.windows(2).filter(|pair| pair[0].group != pair[1].group).count();
    let bottom = TOP + rows.len() as f64 * ROW + groups as f64 * ROW;
    let height = bottom + 40.0;
    let thresholds = Thresholds::default();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"DejaVu Sans, Arial, sans-serif\" font-size=\"12\" role=\"img\">\n\
         <title>How far a fingerprint moves</title>\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    let mut add = |element: std::fmt::Arguments<'_>| {
        svg.write_fmt(element).expect("writing to a string cannot fail");
        svg.push('\n');
    };
    add(format_args!(
        "<text x=\"20\" y=\"28\" font-size=\"16\" font-weight=\"bold\">How far a fingerprint moves, in bits of 256</text>"
    ));
    add(format_args!("<text x=\"20\" y=\"50\">mark: mean; line: nearest to farthest tile</text>"));
    let (same, review) = (f64::from(thresholds.same_max_bits), f64::from(thresholds.review_max_bits));
    for (from, to, colour, word) in [(0.0, same, "#009e73", "same"), (same, review, "#e69f00", "review")] {
        let (x, width) = (x_of(from), x_of(to) - x_of(from));
        add(format_args!(
            "<rect x=\"{x:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"{colour}\" fill-opacity=\"0.15\"/>",
            bottom - TOP
        ));
        add(format_args!(
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{word}</text>",
            x + width / 2.0,
            TOP - 8.0
        ));
    }
    for bits in (0..=160).step_by(32) {
        let x = x_of(f64::from(bits));
        add(format_args!(
            "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\" stroke=\"#cccccc\"/>"
        ));
        add(format_args!(
            "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{bits}</text>",
            bottom + 18.0
        ));
    }
    let (mut y, mut group) = (TOP, "");
    for row in rows {
        if row.group != group {
            group = row.group;
            add(format_args!("<text x=\"20\" y=\"{:.1}\" font-weight=\"bold\">{group}</text>", y + 14.0));
            y += ROW;
        }
        let middle = y + ROW / 2.0;
        let (from, to, mean) = (x_of(f64::from(row.least)), x_of(f64::from(row.most)), x_of(row.mean));
        add(format_args!(
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 10.0,
            middle + 4.0,
            row.label
        ));
        y += ROW;
        // Where nothing is left to compare there is no distance, and zero would be the wrong one.
        if row.pairs == 0 {
            continue;
        }
        add(format_args!(
            "<line x1=\"{from:.1}\" y1=\"{middle:.1}\" x2=\"{to:.1}\" y2=\"{middle:.1}\" stroke=\"#0072b2\" stroke-width=\"1.5\"/>"
        ));
        add(format_args!("<circle cx=\"{mean:.1}\" cy=\"{middle:.1}\" r=\"4\" fill=\"#0072b2\"/>"));
    }
    svg + "</svg>\n"
}
