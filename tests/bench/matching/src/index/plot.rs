//! The plot of the benchmark page: how long single queries take, as SVG drawn by hand.
//!
//! Across: microseconds, logarithmic. Upwards: the share of the queries that took no longer, on a scale on which
//! 90 %, 99 % and 99.9 % are equally far apart, because the slow ones are what matters. A curve ends where there are no samples.

use std::fmt::Write as _;

use crate::latency::Samples;

const WIDTH: f64 = 1120.0;
const HEIGHT: f64 = 460.0;
const LEFT: f64 = 70.0;
/// Room for the legend.
const RIGHT: f64 = 320.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 60.0;
/// The axis across, in powers of ten of a microsecond.
const DECADES: (i32, i32) = (0, 6);
/// The top of the upward axis: 99.99 %.
const NINES: f64 = 4.0;
/// Distinguishable also by people who do not see all colours (Okabe and Ito).
const COLOURS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];
const POINTS: usize = 200;

/// One curve.
#[derive(Debug)]
pub(crate) struct Curve<'a> {
    pub(crate) title: String,
    /// Which of the colours; curves about the same contender share one.
    pub(crate) colour: usize,
    pub(crate) dashed: bool,
    pub(crate) samples: &'a Samples,
}

/// Draws the curves under a title.
pub(crate) fn svg(title: &str, curves: &[Curve<'_>]) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n\
         <text x=\"{LEFT}\" y=\"26\" font-size=\"15\">{title}</text>\n"
    );
    axes(&mut svg);
    for (number, curve) in curves.iter().enumerate() {
        let colour = COLOURS[curve.colour % COLOURS.len()];
        let dash = if curve.dashed { " stroke-dasharray=\"5 3\"" } else { "" };
        let points = points(curve.samples);
        let _ = writeln!(
            svg,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dash} points=\"{points}\"/>"
        );
        let y = TOP + 20.0 + 18.0 * number as f64;
        let x = WIDTH - RIGHT + 16.0;
        let _ = writeln!(
            svg,
            "<line x1=\"{x}\" y1=\"{y}\" x2=\"{}\" y2=\"{y}\" stroke=\"{colour}\" stroke-width=\"3\"{dash}/>\
             <text x=\"{}\" y=\"{}\">{}</text>",
            x + 22.0,
            x + 28.0,
            y + 4.0,
            curve.title
        );
    }
    svg + "</svg>\n"
}

fn axes(svg: &mut String) {
    let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    let names = ["1 µs", "10 µs", "100 µs", "1 ms", "10 ms", "100 ms", "1 s"];
    for (decade, name) in (DECADES.0..=DECADES.1).zip(names) {
        let x = across(10_f64.powi(decade));
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"#dddddd\"/>"
        );
        let _ =
            writeln!(svg, "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{name}</text>", bottom + 18.0);
    }
    for (share, name) in
        [(0.0, "0 %"), (0.5, "50 %"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %"), (0.9999, "99.99 %")]
    {
        let y = upward(share);
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\" stroke=\"#dddddd\"/>"
        );
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>",
            LEFT - 6.0,
            y + 4.0
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">time of a single query; upwards: share of queries that took no longer</text>",
        (LEFT + right) / 2.0,
        HEIGHT - 16.0
    );
}

fn points(samples: &Samples) -> String {
    let count = samples.nanoseconds().len();
    if count == 0 {
        return String::new();
    }
    // The last share that a sample stands for; one sample cannot say where 99.99 % lie.
    let top = (count as f64).log10().min(NINES);
    let shares: [f64; POINTS] =
        std::array::from_fn(|point| 1.0 - 10_f64.powf(-top * point as f64 / (POINTS - 1) as f64));
    let times = samples.percentiles_us(shares);
    let mut text = String::new();
    for (share, time) in shares.into_iter().zip(times) {
        let _ = write!(text, "{:.1},{:.1} ", across(time), upward(share));
    }
    text.trim_end().to_owned()
}

fn across(microseconds: f64) -> f64 {
    let decade = microseconds.max(1e-3).log10().clamp(f64::from(DECADES.0), f64::from(DECADES.1));
    let share = (decade - f64::from(DECADES.0)) / f64::from(DECADES.1 - DECADES.0);
    LEFT + share * (WIDTH - LEFT - RIGHT)
}

fn upward(share: f64) -> f64 {
    let nines = -(1.0 - share).max(1e-9).log10();
    HEIGHT - BOTTOM - nines.min(NINES) / NINES * (HEIGHT - TOP - BOTTOM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_hit_their_ends() {
        assert_eq!([across(1.0), across(1e6), across(1e9)], [LEFT, WIDTH - RIGHT, WIDTH - RIGHT]);
        assert_eq!(upward(0.0), HEIGHT - BOTTOM);
        assert!((upward(0.9999) - TOP).abs() < 1e-6);
        assert!((upward(0.9) - upward(0.99) - (upward(0.99) - upward(0.999))).abs() < 1e-6);
    }

    #[test]
    fn a_curve_rises_and_ends_where_samples_do() {
        let samples = Samples::from((1..=200).map(|n| n * 1000).collect::<Vec<u32>>());
        let points: Vec<(f64, f64)> = (points(&samples).split(' '))
            .map(|point| {
                point.split_once(',').map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap())).unwrap()
            })
            .collect();
        assert_eq!(points.len(), POINTS);
        assert!(points.windows(2).all(|pair| pair[0].0 <= pair[1].0 && pair[0].1 >= pair[1].1));
        assert!((points[POINTS - 1].1 - upward(0.995)).abs() < 0.2);
        assert!(
            svg("a title", &[Curve { title: "ours".into(), colour: 0, dashed: true, samples: &samples }])
                .contains("a title")
        );
    }
}
