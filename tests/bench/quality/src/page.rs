//! The page for analysts, `client/hashing/QUALITY.md`, from the measurements.
//!
//! Every number on it comes from the report; the sentences around them were written with the results of all
//! photographs at hand. Equal reports give equal pages.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::false_matches::{CHECK_TAIL_PAIRS, FalseMatches, LIST, Pairing, TAIL_PAIRS, near_pairs};
use crate::photographs::{CLASSES, LARGE, LARGE_SIDE_MIN, Photograph, QUALITY_MIN, SIDE_MAX};
use crate::plot;
use crate::recall::{DEFAULT, RADII, Recall};
use crate::report::{Report, seen_per_million};
use crate::series::{LOOK_BELOW, LOOK_BELOW_TURNED};
use crate::statistics::{any_of, binomial_tail, wilson};

/// Writes the page and its two plots.
///
/// # Errors
/// If a file cannot be written.
pub(crate) fn write(report: &Report, folder: &Path) -> Result<()> {
    let files = [
        ("QUALITY.md", page(report)),
        ("quality-recall.svg", plot::recall(report)),
        ("quality-distances.svg", plot::distances(report)),
    ];
    for (name, text) in files {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn page(report: &Report) -> String {
    [
        introduction(report),
        photographs(report),
        recall(report),
        false_matches(report),
        radius(report),
        limits(),
    ]
    .join("\n")
}

/// A share as a percentage, without pretending to more digits than there are.
fn percent(found: u64, n: u64) -> String {
    match n {
        0 => "–".to_owned(),
        _ if found == n => "100 %".to_owned(),
        _ => format!("{:.1} %", found as f64 / n as f64 * 100.0),
    }
}

/// A whole number with commas.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group).into_owned());
    groups.collect::<Vec<_>>().join(",")
}

/// A positive number in a few characters: 0.0012, 35, 1.2e-9.
fn rough(number: f64) -> String {
    match number {
        _ if number == 0.0 => "0".to_owned(),
        _ if number >= 1e3 => grouped(number.round() as u64),
        _ if number >= 10.0 => format!("{number:.0}"),
        _ if number >= 0.1 => format!("{number:.1}"),
        _ if number >= 1e-3 => format!("{number:.4}"),
        _ => format!("{number:.0e}"),
    }
}

impl Report {
    fn row(&self, name: &str) -> &Recall {
        self.recalls.iter().find(|row| row.name == name).expect("every transform was measured")
    }

    /// Recall at the default radius: of all pictures, without and with variants.
    fn plain(&self, name: &str) -> String {
        percent(self.row(name).plain[DEFAULT], self.row(name).n)
    }

    fn variants(&self, name: &str) -> String {
        percent(self.row(name).variants[DEFAULT], self.row(name).n)
    }

    fn large_variants(&self, name: &str) -> String {
        let [n, _, variants] = self.row(name).classes[LARGE];
        percent(variants, n)
    }

    fn pairing(&self, pairing: Pairing) -> &FalseMatches {
        &self.false_matches[pairing as usize]
    }
}

fn introduction(report: &Report) -> String {
    let [(wrong, _), (wrong_variants, look_ups)] = report.wrong_answers(DEFAULT);
    let all = report.pairing(Pairing::All);
    format!(
        "\
# What matching is worth

For people who decide what happens to a match. Written by `bench-quality --page` (last section) from {used} benign
photographs; change the program, not this page. PDQ, radius {radius}, unless another radius is named.

**Matching finds copies of what is on a list, and nothing else.** A freshly generated picture matches nothing, however
much it resembles listed ones to a human eye, until somebody has looked at it and put its hash on a list. No answer
means \"not on the lists\", never \"harmless\".

| | |
|---|---|
| found | saved again as JPEG of quality 50 ({jpeg}), resized to half ({half}; large pictures {half_large}), made grey ({grey}), brightened by 10 % ({bright}), some noise ({noise}) |
| found only by also asking for the eight variants | mirrored ({mirror} without, {mirror_variants} with; large pictures {mirror_large}), turned by 90° ({turn} without, {turn_variants} with; large {turn_large}) |
| sometimes found | a caption over 5 % of the picture ({caption}), 2 % cut off each side ({crop_2}), turned by 2° ({turn_2}) |
| missed | 5 % or more cut off each side ({crop_5}; 10 %: {crop_10}), a white border of 5 % ({border}), a logo over 10 % ({logo}), turned by 5° ({turn_5}), a screenshot of the whole phone with bars ({bars}) |
| wrong answers | {wrong} of {look_ups} look-ups of changed pictures named a picture of something else ({wrong_variants} with variants). Of {pairs} pairs of different pictures, {near} are within 40 bits; the nearest is at {minimum} |

A match at distance 0 to 10 is nearly always the same picture saved again. A match near the edge of the radius is a hint
for a person. Leave it at `review`.
",
        used = report.collection.photographs.len(),
        radius = RADII[DEFAULT],
        jpeg = report.plain("jpeg_q50"),
        half = report.plain("resize_50"),
        half_large = report.large_variants("resize_50"),
        grey = report.plain("greyscale"),
        bright = report.plain("brightness_plus_10"),
        noise = report.plain("noise_10"),
        mirror = report.plain("flip_horizontal"),
        mirror_variants = report.variants("flip_horizontal"),
        mirror_large = report.large_variants("flip_horizontal"),
        turn = report.plain("rotate_90"),
        turn_variants = report.variants("rotate_90"),
        turn_large = report.large_variants("rotate_90"),
        caption = report.plain("caption_5"),
        crop_2 = report.plain("crop_2"),
        turn_2 = report.plain("rotate_2"),
        crop_5 = report.plain("crop_5"),
        crop_10 = report.plain("crop_10"),
        border = report.plain("border_white_5"),
        logo = report.plain("logo_10"),
        turn_5 = report.plain("rotate_5"),
        bars = report.plain("screenshot_bars"),
        look_ups = grouped(look_ups),
        pairs = grouped(all.distances.total()),
        near = all.distances.at_most(40),
        minimum = all.distances.minimum().unwrap_or(0),
    )
}

fn photographs(report: &Report) -> String {
    let collection = &report.collection;
    let used = &collection.photographs;
    let [large, small, sky, thing, scene] =
        CLASSES.map(|(_, belongs)| used.iter().filter(|photograph| belongs(photograph)).count());
    let windows: usize = used.iter().map(|photograph| photograph.windows.len()).sum();
    format!(
        "\
## The pictures, and what they cannot tell

{used} photographs from Debian packages: {sky} of galaxies, clusters and nebulae (bright middle, black ground), {thing}
of single things, animals and plants (many cut out before an empty ground, most of them small), {scene} landscapes and
other desktop backgrounds. {large} have a shorter side of {LARGE_SIDE_MIN} pixels or more, {small} are smaller. Left out of
{chosen} chosen: {blank} with a PDQ quality below {QUALITY_MIN} (nearly blank), {absent} absent. Originals are brought to at
most {SIDE_MAX} pixels a side first, as upload pipelines do, and that is what the list holds.

They are not a sample of what platforms receive: hardly a person, no room, no text, no screenshot, no meme, no generated
picture. Recall under re-encoding should carry over; tone changes are harder here (black skies clip when
darkened), small pictures are harder (below), and false matches among pictures of *one* kind are more likely here than among
holiday pictures, and less likely than among screenshots of one app.
{windows} windows (40 to 80 % of each side, cut at random places) stand in for more pictures where pairs are counted.
",
        used = used.len(),
        chosen = collection.chosen,
        blank = collection.blank,
        absent = collection.absent,
    )
}

fn recall(report: &Report) -> String {
    let mut text = format!(
        "\
## What is found

![Recall of each change at radius {radius}](quality-recall.svg)

*Variants*: the client sends the hashes of the eight orientations of the picture that it asks about, which cost it nothing.
`hashpact match` does so. *Large*: shorter side of {LARGE_SIDE_MIN} pixels or more. *Distance*: the middle one, without
variants. *Too flat*: queries with a quality below {QUALITY_MIN}; they may match, but never yield an automatic outcome. In brackets
95 % intervals (Wilson), which say how far {n} such pictures can mislead, not how far other pictures differ.

| change | found | with variants | r=16 | r=24 | r=40 | large | large, variants | distance | too flat |
|---|---|---|---|---|---|---|---|---|---|
",
        radius = RADII[DEFAULT],
        n = report.collection.photographs.len(),
    );
    let mut group = "";
    for row in report.recalls.iter().filter(|row| row.n > 0) {
        if row.group != group {
            group = row.group;
            text += &format!("| **{group}** | | | | | | | | | |\n");
        }
        let (low, high) = wilson(row.plain[DEFAULT], row.n);
        let [large, large_plain, large_variants] = row.classes[LARGE];
        let cells = [
            row.label.to_owned(),
            format!("{} ({:.1}–{:.1})", percent(row.plain[DEFAULT], row.n), low * 100.0, high * 100.0),
            percent(row.variants[DEFAULT], row.n),
            percent(row.variants[0], row.n),
            percent(row.variants[1], row.n),
            percent(row.variants[3], row.n),
            percent(large_plain, large),
            percent(large_variants, large),
            row.median_distance.to_string(),
            percent(row.low_quality, row.n),
        ];
        text += &format!("| {} |\n", cells.join(" | "));
    }
    text + &format!(
        "
The columns for other radii are with variants. Each row is one change on uncompressed pixels, except the JPEG rows and the
screenshots, which are whole chains. Real copies go through several changes; their recall is lower than that of each.

Why small pictures do worse: PDQ reduces every picture to 64 x 64 samples. In a picture of 200 pixels a sample rests on three,
and the reference takes them up to a pixel off the middle, so that mirroring a small picture moves them. The eight variants are
worked out from one cosine transform and inherit that: upside down, {turned} of all and {turned_large} of the large pictures are
found. The reference's variants do the same, bit for bit; a client that turned the pixels and hashed each of the eight would find
every exact turn, at eight times the cost. None of this is the index: an unchanged picture is always found, and the benchmark fails
if the index and the distances disagree once.
",
        turned = report.variants("rotate_180"),
        turned_large = report.large_variants("rotate_180"),
    )
}

fn false_matches(report: &Report) -> String {
    let mut text = format!(
        "\
## What is matched wrongly

### Seen

Pairs that show the same thing are not counted: one file name in two folders, the light and dark form of one background, one
object of the sky in two surveys, one thing and its mirror image, the phases of the Moon. All pairs under {LOOK_BELOW} bits,
and under {LOOK_BELOW_TURNED} in any orientation, were looked at by eye as well. Independent bits (binomial) would give mean 128 and standard deviation 8; PDQ's bits depend on one another, so the spread of real pairs is larger and the lower
tail much heavier. With none seen, the bound is the rule of three (3/n, 95 %), and it is too good, because pairs share pictures.

| pairs | n | mean | sd | nearest | per million within 16 | 24 | 31 | 40 |
|---|---|---|---|---|---|---|---|---|
"
    );
    for pairing in &report.false_matches {
        let total = pairing.distances.total();
        let within = RADII.map(|radius| match seen_per_million(pairing.distances.at_most(radius), total) {
            (0.0, _, high) => format!("0 (under {})", rough(high)),
            (value, low, high) => format!("{} ({}–{})", rough(value), rough(low), rough(high)),
        });
        text += &format!(
            "| {} | {} | {:.1} | {:.2} | {} | {} |\n",
            pairing.label,
            grouped(total),
            pairing.distances.mean(),
            pairing.distances.sd(),
            pairing.distances.minimum().unwrap_or(0),
            within.join(" | ")
        );
    }
    text +=
        &format!("\nThe nearest pairs of different things: {}.\n", nearest(&report.collection.photographs));
    text += &wrong_answers(report);
    text += &extrapolated(report);
    text
}

/// How often a changed picture was taken for a picture of something else.
fn wrong_answers(report: &Report) -> String {
    let mut text = format!(
        "
Look-ups of the changed pictures above, against the list of {} originals, that named a picture of something else:

| radius | look-ups | one hash | with variants |
|---|---|---|---|
",
        report.collection.photographs.len()
    );
    for (nth, radius) in RADII.into_iter().enumerate() {
        let [(plain, n), (variants, _)] = report.wrong_answers(nth);
        text += &format!("| {radius} | {} | {plain} | {variants} |\n", grouped(n));
    }
    let mut rows: Vec<&Recall> =
        report.recalls.iter().filter(|row| row.wrong_variants[DEFAULT] > 0).collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.wrong_variants[DEFAULT]));
    let named = rows.iter().take(5).map(|row| format!("{} ({})", row.label, row.wrong_variants[DEFAULT]));
    let named: Vec<String> = named.collect();
    if named.is_empty() {
        text
    } else {
        text + &format!("\nMost of those at radius {}: {}.\n", RADII[DEFAULT], named.join("; "))
    }
}

/// The nearest unrelated pairs by name.
fn nearest(photographs: &[Photograph]) -> String {
    let file = |nth: usize| photographs[nth].path.rsplit('/').next().unwrap_or_default();
    let mut near = near_pairs(photographs, Pairing::All, LOOK_BELOW);
    near.truncate(8);
    let named = near.iter().map(|pair| format!("`{}` and `{}` ({})", file(pair.a), file(pair.b), pair.apart));
    named.collect::<Vec<_>>().join(", ")
}

fn extrapolated(report: &Report) -> String {
    let mut text = format!(
        "
### Extrapolated to a list of 10 million

**Nothing in this section was counted.** To see one false match in a million look-ups against 10 million entries takes 10¹³
pairs. Instead the lower tail is fitted to about {TAIL_PAIRS} nearest pairs: P(distance ≤ x) = s · q^((u − x)/2), where u is where the
tail begins, s the share of pairs in it, and q = m/(1 + m) with m the mean of (u − distance)/2. Intervals come from drawing
the photographs anew (bootstrap, 95 %). Of a million held-out pictures, 10⁶ · (1 − (1 − P)^10,000,000) then meet something unrelated.
*Cannot be said* stands where that interval spans a factor of a hundred or more, or where the fit expects less than a tenth of a
pair in the whole sample: there the sample supports no number, and what the fit gives is printed only to show how far it reaches.

![Shares of unrelated pairs within each distance](quality-distances.svg)

| per million held-out pictures, list of 10 M | r=16 | r=24 | r=31 | r=40 | check of the fit |
|---|---|---|---|---|---|
"
    );
    for pairing in &report.false_matches {
        let cells = pairing.extrapolated.map(|pair| {
            let list = pair.against_the_list();
            let interval = format!("{} to {}", rough(list.low * 1e6), rough(list.high * 1e6));
            let value = rough(list.value * 1e6);
            if pair.is_supported_by(pairing.distances.total()) {
                format!("{value} ({interval})")
            } else {
                format!("cannot be said; fit: {value} ({interval})")
            }
        });
        let check = pairing.check;
        text += &format!(
            "| {} | {} | within {}: {} expected, {} seen |\n",
            pairing.label,
            cells.join(" | "),
            check.within,
            rough(check.expected),
            check.seen
        );
    }
    let floor = RADII.map(|radius| rough(any_of(LIST, binomial_tail(radius)) * 1e6));
    text += &format!("| independent bits: the floor | {} | |\n", floor.join(" | "));
    text + &format!(
        "
The check makes the same fit with {CHECK_TAIL_PAIRS} pairs and asks it for the nearest ten: where far more were seen than expected,
the true tail is heavier than the fit, and the extrapolation too low. What the table does say:

- Pictures of different kinds keep far apart: the nearest of {others} pairs lie {other_minimum} bits apart. Pictures of one composition (a bright
  blob on black) come to {same_minimum}, and their tail falls slowly. If it went on like that, a list of 10 million pictures of that
  composition would answer most look-ups of such pictures wrongly. Real tails may end sooner; nothing here shows where.
- So what is on the list and what is asked decides, more than the radius does, and a list of one kind of picture is like the second
  row, not like the third. Measure it where you are: run a new list with outcome `log` for a week and look at what it names.
- Without any fit: no pair in {pairs} means, against a list of 1,000 such pictures, at most {bound} % of look-ups (95 %, and optimistic).
- With variants each look-up asks eight times; expect about eight times the false matches where nothing else is known.
",
        others = grouped(report.pairing(Pairing::OtherKind).distances.total()),
        other_minimum = report.pairing(Pairing::OtherKind).distances.minimum().unwrap_or(0),
        same_minimum = report.pairing(Pairing::SameKind).distances.minimum().unwrap_or(0),
        pairs = grouped(report.pairing(Pairing::All).distances.total()),
        bound = rough(3e5 / report.pairing(Pairing::All).distances.total().max(1) as f64),
    )
}

fn radius(report: &Report) -> String {
    let [same, other] = [Pairing::SameKind, Pairing::OtherKind].map(|pairing| {
        let tail = report.pairing(pairing).tail;
        (1.0 / tail.ratio, tail.at_most(40) / tail.at_most(31))
    });
    let found = |radius: usize| {
        let rows = report.recalls.iter().filter(|row| row.n > 0);
        let (found, n) = rows.fold((0, 0), |(found, n), row| (found + row.variants[radius], n + row.n));
        percent(found, n)
    };
    format!(
        "\
## Why radius 31, and why review near its edge

- Over all changes above, with variants, {} are found at radius 16, {} at 24, {} at 31, {} at 40.
- Every two bits more multiply false matches by {:.1} among pictures of one kind and by {:.1} among pictures of different kinds
  (fitted); from 31 to 40 by {} and {}. Distances of PDQ values are even, so 31 and 30 are the same radius.
- 31 is what Meta recommends for PDQ with a quality of {QUALITY_MIN} or more, so lists, tools and partners' experience mean the same.
- Below the nearest unrelated pair seen here ({} bits) lies a gap, but a list of 10 million gives chance ten million tries per look-up.
  The distance is evidence of a copy, not proof: a flat picture, a template, two pictures of one composition come near as well.
  That is why the built-in list yields `review`, and why `block` belongs, if anywhere, to small distances on lists whose false
  matches you have measured yourself.
",
        found(0),
        found(1),
        found(2),
        found(3),
        same.0,
        other.0,
        rough(same.1),
        rough(other.1),
        report.pairing(Pairing::All).distances.minimum().unwrap_or(0),
    )
}

fn limits() -> String {
    "\
## Again

```
cargo xtask photos
cargo xtask bench quality                  # every second photograph; --json for one object a line
HASHPACT_PHOTOS=\"${CARGO_TARGET_DIR:-target}/photos\" \\
  cargo run --release -p hashpact-bench-quality -- --all --page client/hashing
```

The same packages give the same page, byte for byte. JPEG is encoded by the `image` crate without subsampling of colours; noise
comes from the position of each pixel; overlays are drawn by the benchmark.
"
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{measured_again, small_report};

    #[test]
    fn equal_measurements_give_equal_pages() {
        let (first, second) = (small_report(), measured_again());
        assert_eq!(page(&first), page(&second));
        assert_eq!(plot::recall(&first), plot::recall(&second));
        assert_eq!(plot::distances(&first), plot::distances(&second));
    }

    #[test]
    fn the_page_says_what_matching_cannot_do() {
        let text = page(&small_report());
        assert!(text.contains("A freshly generated picture matches nothing"));
        assert!(text.contains("**Nothing in this section was counted.**"));
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!(
            ["0", "999", "1,000", "367,653"],
            [0, 999, 1000, 367_653].map(grouped).each_ref().map(|s| &**s)
        );
        assert_eq!(
            (percent(1, 3), percent(3, 3), percent(0, 0)),
            ("33.3 %".into(), "100 %".into(), "–".into())
        );
        let numbers = [0.0, 1_234.0, 35.4, 1.24, 0.0123, 1.2e-9].map(rough);
        assert_eq!(numbers, ["0", "1,234", "35", "1.2", "0.0123", "1e-9"]);
    }
}
