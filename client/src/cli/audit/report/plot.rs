//! Plots as inline SVG: lines, stacked columns, a matrix. No scripts; colours that print and that colour-blind
//! readers tell apart (Okabe and Ito).

use std::fmt::Write as _;

pub(super) const COLOURS: [&str; 8] =
    ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#999999", "#f0e442"];

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 64.0;
const BOTTOM: f64 = 34.0;
const TOP: f64 = 12.0;
const RIGHT: f64 = 12.0;

/// One row of values with a name.
pub(super) struct Series {
    pub(super) name: String,
    pub(super) values: Vec<f64>,
}

/// Lines over categories, each series from left to right.
pub(super) fn lines(title: &str, categories: &[String], series: &[Series]) -> String {
    let top = series.iter().flat_map(|one| &one.values).copied().fold(0.0, f64::max);
    let scale = Scale::new(top, categories.len());
    let mut svg = scale.frame(title, categories);
    for (nth, one) in series.iter().enumerate() {
        let colour = COLOURS[nth % COLOURS.len()];
        let points: Vec<String> = one
            .values
            .iter()
            .enumerate()
            .map(|(at, value)| format!("{:.1},{:.1}", scale.middle(at), scale.y(*value)))
            .collect();
        let _ = write!(
            svg,
            "<polyline fill='none' stroke='{colour}' stroke-width='2.5' points='{}'/>",
            points.join(" ")
        );
        for point in &points {
            let (x, y) = point.split_once(',').unwrap_or_default();
            let _ = write!(svg, "<circle cx='{x}' cy='{y}' r='2.6' fill='{colour}'/>");
        }
    }
    svg + "</svg>" + &legend(series)
}

/// Columns over categories, the series on top of each other.
pub(super) fn columns(title: &str, categories: &[String], series: &[Series]) -> String {
    let total = |at: usize| series.iter().filter_map(|one| one.values.get(at)).sum::<f64>();
    let top = (0..categories.len()).map(total).fold(0.0, f64::max);
    let scale = Scale::new(top, categories.len());
    let mut svg = scale.frame(title, categories);
    let width = (scale.step() * 0.62).min(48.0);
    for at in 0..categories.len() {
        let mut below = 0.0;
        for (nth, one) in series.iter().enumerate() {
            let value = one.values.get(at).copied().unwrap_or(0.0);
            let (upper, lower) = (scale.y(below + value), scale.y(below));
            below += value;
            let _ = write!(
                svg,
                "<rect x='{:.1}' y='{upper:.1}' width='{width:.1}' height='{:.1}' fill='{}'><title>{}: {value}</title></rect>",
                scale.middle(at) - width / 2.0,
                (lower - upper).max(0.0),
                COLOURS[nth % COLOURS.len()],
                escape(&one.name),
            );
        }
    }
    svg + "</svg>" + &legend(series)
}

/// A matrix of shares between 0 and 1, with a text in each cell.
pub(super) fn matrix(title: &str, names: &[String], cell: impl Fn(usize, usize) -> (f64, String)) -> String {
    let (label, size) = (150.0, 64.0);
    let side = size * names.len() as f64;
    let mut svg = format!(
        "<svg role='img' aria-label='{}' viewBox='0 0 {:.0} {:.0}' width='{:.0}'>",
        escape(title),
        label + side + 10.0,
        side + 34.0,
        label + side + 10.0
    );
    for (row, name) in names.iter().enumerate() {
        let y = 28.0 + size * row as f64;
        let _ = write!(
            svg,
            "<text x='{:.0}' y='{:.0}' text-anchor='end'>{}</text>",
            label - 8.0,
            y + size / 2.0 + 4.0,
            escape(name)
        );
        let x = label + size * row as f64 + size / 2.0;
        let _ = write!(svg, "<text x='{x:.0}' y='20' text-anchor='middle'>{}</text>", escape(name));
        for column in 0..names.len() {
            let (share, text) = cell(row, column);
            let x = label + size * column as f64;
            let ink = if share > 0.55 { "#fff" } else { "#222" };
            let _ = write!(
                svg,
                "<rect x='{x:.0}' y='{y:.0}' width='{0:.0}' height='{0:.0}' fill='#0072b2' fill-opacity='{1:.3}' stroke='#ccc'/>\
                 <text x='{2:.0}' y='{3:.0}' text-anchor='middle' fill='{ink}'>{text}</text>",
                size - 3.0,
                share.clamp(0.0, 1.0),
                x + size / 2.0 - 1.5,
                y + size / 2.0 + 3.0,
            );
        }
    }
    svg + "</svg>"
}

/// Text in HTML and SVG.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('\'', "&#39;")
        .replace('"', "&quot;")
}

fn legend(series: &[Series]) -> String {
    let item = |(nth, one): (usize, &Series)| {
        format!(
            "<span><i style='background:{}'></i>{}</span>",
            COLOURS[nth % COLOURS.len()],
            escape(&one.name)
        )
    };
    format!("<p class='legend'>{}</p>", series.iter().enumerate().map(item).collect::<String>())
}

struct Scale {
    top: f64,
    tick: f64,
    count: usize,
}

impl Scale {
    fn new(top: f64, count: usize) -> Self {
        let top = top.max(1.0);
        let rough = top / 4.0;
        let power = 10_f64.powf(rough.log10().floor());
        let tick = [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * power).find(|tick| *tick >= rough);
        let tick = tick.unwrap_or(rough).max(1.0);
        Self { top: (top / tick).ceil() * tick, tick, count: count.max(1) }
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - value / self.top * (HEIGHT - BOTTOM - TOP)
    }

    fn step(&self) -> f64 {
        (WIDTH - LEFT - RIGHT) / self.count as f64
    }

    fn middle(&self, at: usize) -> f64 {
        LEFT + self.step() * (at as f64 + 0.5)
    }

    /// The opening tag, grid and axis labels.
    fn frame(&self, title: &str, categories: &[String]) -> String {
        let mut svg = format!(
            "<svg role='img' aria-label='{}' viewBox='0 0 {WIDTH} {HEIGHT}' width='100%'>",
            escape(title)
        );
        let mut value = 0.0;
        while value <= self.top + self.tick / 2.0 {
            let y = self.y(value);
            let _ = write!(
                svg,
                "<line x1='{LEFT}' x2='{:.0}' y1='{y:.1}' y2='{y:.1}' stroke='#ddd'/>\
                 <text x='{:.0}' y='{:.1}' text-anchor='end'>{}</text>",
                WIDTH - RIGHT,
                LEFT - 8.0,
                y + 4.0,
                crate::cli::output::grouped(value as u64)
            );
            value += self.tick;
        }
        // As many labels as there is room for.
        let every = categories.len().div_ceil(12).max(1);
        for (at, name) in categories.iter().enumerate().filter(|(at, _)| at % every == 0) {
            let _ = write!(
                svg,
                "<text x='{:.1}' y='{:.0}' text-anchor='middle'>{}</text>",
                self.middle(at),
                HEIGHT - BOTTOM + 20.0,
                escape(name)
            );
        }
        svg
    }
}
