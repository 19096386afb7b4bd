//! The results: as measurements of one line each, and as tables.

use serde_json::{Value, json};

use crate::false_matches::{FalseMatches, LIST};
use crate::photographs::{CLASSES, Collection, Photograph};
use crate::recall::{DEFAULT, RADII, Recall};
use crate::statistics::{any_of, binomial_tail, wilson};

/// Everything that was measured.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) collection: Collection,
    pub(crate) recalls: Vec<Recall>,
    pub(crate) false_matches: Vec<FalseMatches>,
}

impl Report {
    /// One JSON object for each number: metric, value, unit, n (pictures, look-ups or pairs), and where there is an
    /// interval its ends, low and high (95 %). What was not counted but extrapolated says so.
    pub(crate) fn measurements(&self) -> Vec<Value> {
        let mut lines = self.about_photographs();
        self.recalls.iter().for_each(|recall| about_recall(recall, &mut lines));
        self.about_wrong_answers(&mut lines);
        self.false_matches.iter().for_each(|pairing| about_pairs(pairing, &mut lines));
        for radius in RADII {
            let pair = binomial_tail(radius);
            let held_out = any_of(LIST, pair) * 1e6;
            lines.push(json!({ "metric": format!("pairs.binomial.r{radius}"), "value": pair * 1e6,
                "unit": "per million pairs", "n": 0, "computed": true }));
            lines.push(json!({ "metric": format!("held_out.binomial.r{radius}"), "value": held_out,
                "unit": "per million pictures against 10 M", "n": 0, "computed": true }));
        }
        lines
    }

    fn about_photographs(&self) -> Vec<Value> {
        let used = &self.collection.photographs;
        let count = |metric: &str, value: usize| {
            json!({ "metric": format!("photographs.{metric}"), "value": value, "unit": "pictures",
                "n": self.collection.chosen })
        };
        let mut lines = vec![
            count("used", used.len()),
            count("quality_below_50", self.collection.blank),
            count("absent", self.collection.absent),
        ];
        let of_class =
            |belongs: fn(&Photograph) -> bool| used.iter().filter(|photograph| belongs(photograph)).count();
        lines.extend(CLASSES.map(|(name, belongs)| count(name, of_class(belongs))));
        lines
    }

    fn about_wrong_answers(&self, lines: &mut Vec<Value>) {
        for (nth, radius) in RADII.into_iter().enumerate() {
            let [(plain, n), (variants, _)] = self.wrong_answers(nth);
            lines.push(share(format!("wrong_answer.r{radius}.plain"), plain, n));
            lines.push(share(format!("wrong_answer.r{radius}.variants"), variants, n));
        }
    }

    /// Changed pictures that were answered with one that shows something else, and how many were asked: without and
    /// with variants, at one of [`RADII`].
    pub(crate) fn wrong_answers(&self, radius: usize) -> [(u64, u64); 2] {
        let n = self.recalls.iter().map(|recall| recall.n).sum();
        let plain = self.recalls.iter().map(|recall| recall.wrong_plain[radius]).sum();
        let variants = self.recalls.iter().map(|recall| recall.wrong_variants[radius]).sum();
        [(plain, n), (variants, n)]
    }
}

fn share(metric: String, found: u64, n: u64) -> Value {
    let (low, high) = wilson(found, n);
    let value = if n == 0 { Value::Null } else { json!(found as f64 / n as f64) };
    json!({ "metric": metric, "value": value, "unit": "share", "n": n, "low": low, "high": high })
}

fn about_recall(recall: &Recall, lines: &mut Vec<Value>) {
    let name = recall.name;
    for (nth, radius) in RADII.into_iter().enumerate() {
        lines.push(share(format!("recall.{name}.r{radius}.plain"), recall.plain[nth], recall.n));
        lines.push(share(format!("recall.{name}.r{radius}.variants"), recall.variants[nth], recall.n));
    }
    let radius = RADII[DEFAULT];
    for ((class, _), [n, plain, variants]) in CLASSES.iter().zip(recall.classes) {
        lines.push(share(format!("recall.{name}.r{radius}.plain.{class}"), plain, n));
        lines.push(share(format!("recall.{name}.r{radius}.variants.{class}"), variants, n));
    }
    let [plain, variants] = [recall.wrong_plain, recall.wrong_variants].map(|wrong| wrong[DEFAULT]);
    lines.push(share(format!("wrong_answer.{name}.r{radius}.plain"), plain, recall.n));
    lines.push(share(format!("wrong_answer.{name}.r{radius}.variants"), variants, recall.n));
    lines.push(share(format!("low_quality.{name}"), recall.low_quality, recall.n));
    lines.push(
        json!({ "metric": format!("distance_p50.{name}"), "value": recall.median_distance, "unit": "bits",
        "n": recall.n }),
    );
}

/// The upper end for a rate of which none of `n` was seen: the rule of three (one-sided 95 %).
pub(crate) fn seen_per_million(seen: u64, n: u64) -> (f64, f64, f64) {
    let (low, high) = wilson(seen, n);
    let high = if seen == 0 { (3.0 / n.max(1) as f64).min(1.0) } else { high };
    (seen as f64 / n.max(1) as f64 * 1e6, low * 1e6, high * 1e6)
}

fn about_pairs(pairing: &FalseMatches, lines: &mut Vec<Value>) {
    let (name, n) = (pairing.name, pairing.distances.total());
    let mut line = |metric: String, value: Value, unit: &str, more: Value| {
        let mut line = json!({ "metric": metric, "value": value, "unit": unit, "n": n });
        if let (Some(line), Some(more)) = (line.as_object_mut(), more.as_object()) {
            line.extend(more.clone());
        }
        lines.push(line);
    };
    line(format!("pairs.{name}.mean"), json!(pairing.distances.mean()), "bits", Value::Null);
    line(format!("pairs.{name}.sd"), json!(pairing.distances.sd()), "bits", Value::Null);
    line(format!("pairs.{name}.minimum"), json!(pairing.distances.minimum()), "bits", Value::Null);
    for (nth, radius) in RADII.into_iter().enumerate() {
        let (value, low, high) = seen_per_million(pairing.distances.at_most(radius), n);
        let interval = json!({ "low": low, "high": high });
        line(format!("pairs.{name}.r{radius}"), json!(value), "per million pairs", interval);
        let pair = pairing.extrapolated[nth];
        let interval = |low: f64, high: f64| json!({ "low": low * 1e6, "high": high * 1e6, "extrapolated": true, "supported": pair.is_supported_by(n) });
        let per_million = json!(pair.value * 1e6);
        line(
            format!("tail.{name}.r{radius}"),
            per_million,
            "per million pairs",
            interval(pair.low, pair.high),
        );
        let list = pair.against_the_list();
        let (value, unit) = (json!(list.value * 1e6), "per million pictures against 10 M");
        line(format!("held_out.{name}.r{radius}"), value, unit, interval(list.low, list.high));
    }
    let (tail, check) = (pairing.tail, pairing.check);
    let fit = json!({ "share": tail.share, "ratio_per_2_bits": tail.ratio });
    line(format!("tail.{name}.from"), json!(tail.from), "bits", fit);
    let seen = json!({ "seen": check.seen, "within": check.within });
    line(format!("tail.{name}.check"), json!(check.expected), "pairs expected", seen);
}

/// The measurements as tables for a terminal.
pub(crate) fn tables(report: &Report) -> String {
    let collection = &report.collection;
    let mut text = format!(
        "{} photographs of {} chosen ({} in the table); left out: {} of PDQ quality below 50, {} absent\n\n\
         found, in %, at radius      {:>6} {:>6} {:>6} {:>6}   with variants {:>6} {:>6} {:>6} {:>6}   median distance\n",
        collection.photographs.len(),
        collection.chosen,
        collection.in_table,
        collection.blank,
        collection.absent,
        RADII[0],
        RADII[1],
        RADII[2],
        RADII[3],
        RADII[0],
        RADII[1],
        RADII[2],
        RADII[3],
    );
    for recall in &report.recalls {
        let percent = |found: &u64| format!(" {:>6.1}", *found as f64 / recall.n.max(1) as f64 * 100.0);
        let [plain, variants] =
            [recall.plain, recall.variants].map(|found| found.iter().map(percent).collect::<String>());
        text += &format!(
            "{:<27}{plain}                {variants}   {:>6}\n",
            recall.name, recall.median_distance
        );
    }
    text += "\nunrelated pairs     pairs      mean     sd   minimum   per million within";
    text += &RADII.map(|radius| format!(" {radius:>8}")).concat();
    for pairing in &report.false_matches {
        let within = RADII.map(|radius| {
            let (value, _, high) =
                seen_per_million(pairing.distances.at_most(radius), pairing.distances.total());
            if value == 0.0 { format!(" {:>8}", format!("<{high:.1}")) } else { format!(" {value:>8.2}") }
        });
        text += &format!(
            "\n{:<12} {:>12} {:>9.2} {:>6.2} {:>9}                     {}",
            pairing.name,
            pairing.distances.total(),
            pairing.distances.mean(),
            pairing.distances.sd(),
            pairing.distances.minimum().unwrap_or(0),
            within.concat()
        );
    }
    text += "\n\nEXTRAPOLATED: of a million held-out pictures, how many meet something unrelated on a list of 10 M\n";
    for pairing in &report.false_matches {
        for (radius, pair) in RADII.into_iter().zip(pairing.extrapolated) {
            let list = pair.against_the_list();
            let note = if pair.is_supported_by(pairing.distances.total()) {
                ""
            } else {
                "   not supported by this sample"
            };
            text += &format!(
                "{:<12} radius {radius}: {:>10.3e}   95 % {:.1e} to {:.1e}{note}\n",
                pairing.name,
                list.value * 1e6,
                list.low * 1e6,
                list.high * 1e6
            );
        }
    }
    for radius in RADII {
        text += &format!(
            "binomial     radius {radius}: {:>10.3e}   (floor)\n",
            any_of(LIST, binomial_tail(radius)) * 1e6
        );
    }
    text
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::OnceLock;

    use super::*;
    use crate::false_matches::{Pairing, measure};
    use crate::recall;
    use crate::recall::tests::tiles;

    /// The same report for every test that only looks at one.
    pub(crate) fn small_report() -> Report {
        static REPORT: OnceLock<Report> = OnceLock::new();
        REPORT.get_or_init(measured_again).clone()
    }

    /// Everything measured anew.
    pub(crate) fn measured_again() -> Report {
        let photographs = tiles(9);
        let recalls = recall::measure(&photographs).unwrap();
        let pairings = Pairing::ALL.map(|(pairing, _, _)| measure(&photographs, pairing).unwrap());
        let collection = Collection { in_table: 12, chosen: 10, blank: 1, absent: 0, photographs };
        Report { collection, recalls, false_matches: pairings.to_vec() }
    }

    #[test]
    fn every_measurement_has_its_fields_and_a_name_of_its_own() {
        let lines = small_report().measurements();
        let mut names = Vec::new();
        for line in &lines {
            let metric = line["metric"].as_str().expect("a name");
            assert!(line["unit"].is_string() && line["n"].is_u64() && line.get("value").is_some(), "{line}");
            if metric.starts_with("recall.") {
                let [low, value, high] = ["low", "value", "high"].map(|field| line[field].as_f64());
                assert!(value.is_none() || (low <= value && value <= high), "{line}");
            }
            if metric.starts_with("held_out.") {
                assert!(line["extrapolated"] == true || line["computed"] == true, "{line}");
            }
            names.push(metric.to_owned());
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), lines.len());
        let wanted =
            lines.iter().find(|line| line["metric"] == "recall.unchanged.r31.plain").expect("a line");
        assert_eq!((&wanted["value"], &wanted["n"]), (&json!(1.0), &json!(9)));
    }

    #[test]
    fn nothing_seen_is_bounded_by_the_rule_of_three() {
        assert_eq!(seen_per_million(0, 3_000_000), (0.0, 0.0, 1.0));
        assert_eq!(seen_per_million(0, 0), (0.0, 0.0, 1e6));
        let (value, low, high) = seen_per_million(4, 1_000_000);
        assert!(low < value && value < high && (value - 4.0).abs() < 1e-9);
    }

    #[test]
    fn the_tables_name_every_transform_and_pairing() {
        let (report, text) = (small_report(), tables(&small_report()));
        assert!(report.recalls.iter().all(|recall| text.contains(recall.name)));
        assert!(report.false_matches.iter().all(|pairing| text.contains(pairing.name)));
        assert!(text.contains("EXTRAPOLATED"));
    }
}
