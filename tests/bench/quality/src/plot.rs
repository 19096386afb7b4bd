//! The two plots of the page, drawn as SVG by hand: no date, no random id, so that equal results give equal bytes.
//!
//! Colours are those of Okabe and Ito, which colour-blind readers can tell apart; marks differ in shape as well.

use std::fmt::Write as _;

use crate::false_matches::{FalseMatches, LIST};
use crate::photographs::{LARGE, LARGE_SIDE_MIN};
use crate::recall::{DEFAULT, RADII, Recall};
use crate::report::Report;
use crate::statistics::{BITS, binomial_tail, wilson};

const BLUE: &str = "#0072b2";
const ORANGE: &str = "#d55e00";
const GREEN: &str = "#009e73";
const INK: &str = "#222222";
const FAINT: &str = "#cccccc";

/// An SVG that is being drawn, in pixels from the top left.
struct Canvas {
    svg: String,
}

impl Canvas {
    fn new(width: f64, height: f64, title: &str) -> Self {
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" font-family=\"DejaVu Sans, Arial, sans-serif\" font-size=\"12\" role=\"img\">\n"
        );
        svg += &format!("<title>{}</title>\n", escaped(title));
        svg += &format!("<rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n");
        Self { svg }
    }

    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        self.svg.write_fmt(element).expect("writing to a string cannot fail");
        self.svg.push('\n');
    }

    fn line(&mut self, [x1, y1, x2, y2]: [f64; 4], colour: &str, width: f64, dashes: &str) {
        let dashes =
            if dashes.is_empty() { String::new() } else { format!(" stroke-dasharray=\"{dashes}\"") };
        self.add(format_args!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\" \
             stroke-width=\"{width}\"{dashes}/>"
        ));
    }

    fn text(&mut self, x: f64, y: f64, anchor: &str, more: &str, text: &str) {
        let text = escaped(text);
        self.add(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{INK}\" {more}>{text}</text>"
        ));
    }

    fn path(&mut self, points: &[(f64, f64)], style: &str) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        self.add(format_args!("<polyline points=\"{}\" {style}/>", points.join(" ")));
    }

    fn finish(mut self) -> String {
        self.svg += "</svg>\n";
        self.svg
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Recall of each transform at the default radius: without variants, with variants, and that of large pictures.
pub(crate) fn recall(report: &Report) -> String {
    const ROW: f64 = 18.0;
    const HEADING: f64 = 26.0;
    const TOP: f64 = 96.0;
    let rows: Vec<&Recall> = report.recalls.iter().filter(|recall| recall.n > 0).collect();
    let changes = rows.windows(2).filter(|pair| pair[0].group != pair[1].group).count();
    let height = TOP + rows.len() as f64 * ROW + (changes + 1) as f64 * HEADING + 30.0;
    let title = format!("Changed pictures that still find their original, radius {}", RADII[DEFAULT]);
    let mut canvas = Canvas::new(900.0, height, &title);
    canvas.text(20.0, 28.0, "start", "font-size=\"16\" font-weight=\"bold\"", &title);
    let x_of = |share: f64| 270.0 + share * 590.0;
    recall_legend(&mut canvas, 48.0);
    for percent in (0..=100).step_by(20) {
        let x = x_of(f64::from(percent) / 100.0);
        canvas.line([x, TOP, x, height - 24.0], FAINT, 1.0, "");
        for y in [TOP - 4.0, height - 10.0] {
            canvas.text(x, y, "middle", "", &format!("{percent} %"));
        }
    }
    let (mut y, mut group) = (TOP, "");
    for recall in rows {
        if recall.group != group {
            group = recall.group;
            y += HEADING;
            canvas.text(20.0, y - 6.0, "start", "font-weight=\"bold\"", group);
        }
        let middle = y + ROW / 2.0;
        canvas.text(260.0, middle + 4.0, "end", "", recall.label);
        let [large, _, large_found] = recall.classes[LARGE];
        if large > 0 {
            let x = x_of(large_found as f64 / large as f64);
            canvas.line([x, middle - 8.0, x, middle + 8.0], INK, 2.0, "");
        }
        interval(&mut canvas, x_of, middle - 3.0, recall.plain[DEFAULT], recall.n, BLUE);
        interval(&mut canvas, x_of, middle + 3.0, recall.variants[DEFAULT], recall.n, ORANGE);
        y += ROW;
    }
    canvas.finish()
}

fn recall_legend(canvas: &mut Canvas, y: f64) {
    let all = |x: f64| x + 270.0;
    interval(canvas, |share| all(30.0 * share), y, 1, 2, BLUE);
    canvas.text(all(36.0), y + 4.0, "start", "", "all pictures, one hash");
    interval(canvas, |share| all(190.0 + 30.0 * share), y, 1, 2, ORANGE);
    canvas.text(all(226.0), y + 4.0, "start", "", "with the eight variants");
    canvas.line([all(400.0), y - 8.0, all(400.0), y + 8.0], INK, 2.0, "");
    let large = format!("the same, {LARGE_SIDE_MIN} px or more");
    canvas.text(all(408.0), y + 4.0, "start", "", &large);
    canvas.text(all(0.0), y + 24.0, "start", "fill-opacity=\"0.7\"", "bars: 95 % intervals (Wilson)");
}

/// A share with its interval: a disc for the plain hash, a diamond for the variants.
fn interval(canvas: &mut Canvas, x_of: impl Fn(f64) -> f64, y: f64, found: u64, n: u64, colour: &str) {
    let (low, high) = wilson(found, n);
    let x = x_of(found as f64 / n as f64);
    canvas.line([x_of(low), y, x_of(high), y], colour, 1.5, "");
    if colour == BLUE {
        canvas.add(format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>"));
    } else {
        let (left, right, top, bottom) = (x - 4.5, x + 4.5, y - 4.5, y + 4.5);
        canvas.add(format_args!(
            "<path d=\"M{left:.1} {y:.1}L{x:.1} {top:.1}L{right:.1} {y:.1}L{x:.1} {bottom:.1}Z\" fill=\"{colour}\"/>"
        ));
    }
}

/// The range of the second plot: 10 to the power of these.
const DECADES: (i32, i32) = (-16, 0);

/// Shares of unrelated pairs within each distance, on a logarithmic scale, with extrapolation and binomial floor.
pub(crate) fn distances(report: &Report) -> String {
    let title = "Unrelated pictures: share of pairs within a distance";
    let mut canvas = Canvas::new(900.0, 560.0, title);
    canvas.text(20.0, 28.0, "start", "font-size=\"16\" font-weight=\"bold\"", title);
    let x_of = |distance: f64| 90.0 + distance / 140.0 * 780.0;
    let y_of = |share: f64| {
        let decade = share.log10().clamp(f64::from(DECADES.0), f64::from(DECADES.1));
        60.0 + (f64::from(DECADES.1) - decade) / f64::from(DECADES.1 - DECADES.0) * 440.0
    };
    for decade in (DECADES.0..=DECADES.1).step_by(2) {
        let y = y_of(10f64.powi(decade));
        canvas.line([x_of(0.0), y, x_of(140.0), y], FAINT, 1.0, "");
        canvas.text(x_of(0.0) - 8.0, y + 4.0, "end", "", &format!("1e{decade}"));
    }
    for distance in (0..=140).step_by(20) {
        canvas.text(x_of(f64::from(distance)), 518.0, "middle", "", &distance.to_string());
    }
    canvas.text(x_of(70.0), 542.0, "middle", "", "distance in bits");
    for radius in RADII {
        let x = x_of(f64::from(radius));
        canvas.line([x, 60.0, x, 500.0], INK, 1.0, "2 3");
        canvas.text(x, 54.0, "middle", "", &format!("r={radius}"));
    }
    let y = y_of(1.0 / LIST);
    canvas.line([x_of(0.0), y, x_of(140.0), y], INK, 1.0, "6 3");
    canvas.text(x_of(138.0), y - 5.0, "end", "", "one expected on a list of 10 M");
    let floor = (0..=140u16).map(|distance| (distance, binomial_tail(distance)));
    let floor: Vec<(f64, f64)> = floor
        .filter(|(_, share)| *share >= 10f64.powi(DECADES.0))
        .map(|(distance, share)| (x_of(f64::from(distance)), y_of(share)))
        .collect();
    canvas.path(
        &floor,
        &format!("fill=\"none\" stroke=\"{INK}\" stroke-width=\"1.5\" stroke-dasharray=\"1 3\""),
    );
    legend_line(&mut canvas, 0, INK, "1 3", "independent bits (binomial): the floor");
    let shown = [("same_kind", ORANGE), ("other_kind", GREEN), ("windows", BLUE)];
    for (nth, (name, colour)) in shown.into_iter().enumerate() {
        let Some(pairing) = report.false_matches.iter().find(|pairing| pairing.name == name) else {
            continue;
        };
        curve(&mut canvas, &x_of, &y_of, pairing, colour);
        legend_line(&mut canvas, nth + 1, colour, "", pairing.label);
    }
    legend_line(
        &mut canvas,
        shown.len() + 1,
        "#777777",
        "5 4",
        "dashed: extrapolated; shaded: its 95 % interval",
    );
    canvas.finish()
}

fn legend_line(canvas: &mut Canvas, nth: usize, colour: &str, dashes: &str, text: &str) {
    let y = 380.0 + 22.0 * nth as f64;
    canvas.line([520.0, y, 550.0, y], colour, 2.0, dashes);
    canvas.text(558.0, y + 4.0, "start", "", text);
}

/// What was seen as steps, and from the tail on what is extrapolated, with the interval at each radius.
fn curve(
    canvas: &mut Canvas,
    x_of: &impl Fn(f64) -> f64,
    y_of: &impl Fn(f64) -> f64,
    pairing: &FalseMatches,
    colour: &str,
) {
    let total = pairing.distances.total().max(1) as f64;
    let seen: Vec<(f64, f64)> = (0..=140.min(BITS as u16))
        .step_by(2)
        .map(|distance| (distance, pairing.distances.at_most(distance)))
        .filter(|(_, count)| *count > 0)
        .map(|(distance, count)| (x_of(f64::from(distance)), y_of(count as f64 / total)))
        .collect();
    let ends = pairing.extrapolated.iter().zip(RADII);
    let mut band: Vec<(f64, f64)> =
        ends.clone().map(|(pair, radius)| (x_of(f64::from(radius)), y_of(pair.high))).collect();
    let start = (x_of(f64::from(pairing.tail.from)), y_of(pairing.tail.share));
    band.push(start);
    band.extend(ends.rev().map(|(pair, radius)| (x_of(f64::from(radius)), y_of(pair.low))));
    canvas.path(&band, &format!("fill=\"{colour}\" fill-opacity=\"0.12\" stroke=\"none\""));
    let first = f64::from(RADII[0]);
    let fitted: Vec<(f64, f64)> = (RADII[0]..=pairing.tail.from)
        .step_by(2)
        .map(|radius| (radius, pairing.tail.at_most(radius)))
        .filter(|(_, share)| *share >= 10f64.powi(DECADES.0))
        .map(|(radius, share)| (x_of(f64::from(radius).max(first)), y_of(share)))
        .collect();
    canvas.path(
        &fitted,
        &format!("fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\" stroke-dasharray=\"5 4\""),
    );
    canvas.path(&seen, &format!("fill=\"none\" stroke=\"{colour}\" stroke-width=\"2.5\""));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::small_report;

    #[test]
    fn a_plot_shows_each_row_and_is_well_formed() {
        let report = small_report();
        let svg = recall(&report);
        for row in report.recalls.iter().filter(|row| row.n > 0) {
            assert!(svg.contains(&format!(">{}</text>", row.label)), "{}", row.label);
        }
        for svg in [svg, distances(&report)] {
            assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && !svg.contains("NaN"));
            assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
        }
    }
}
