//! How many changed pictures still find their original.
//!
//! The way is the product's: the originals' hashes go into a [`MatchIndex`], the changed picture is the query,
//! and what counts is whether the original's record is among the answers at that radius. *With variants* means
//! that the client also asks for the seven other orientations of the query, which cost it nothing: they come from one
//! cosine transform.

use anyhow::{Result, ensure};
use hashpact_hashing::pdq::{PdqVariants, distance};
use hashpact_index::{Change, Hit, MatchIndex};

use crate::photographs::{CLASSES, Photograph, QUALITY_MIN};
use crate::series::are_related;
use crate::transforms::TRANSFORMS;

/// The radii at which everything is measured.
pub(crate) const RADII: [u16; 4] = [16, 24, 31, 40];

/// The radius that the page is about, as a position in [`RADII`].
pub(crate) const DEFAULT: usize = 2;

/// What became of one kind of change.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Recall {
    pub(crate) group: &'static str,
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    /// Pictures that were changed this way.
    pub(crate) n: u64,
    /// How many of them were found, by radius.
    pub(crate) plain: [u64; RADII.len()],
    /// The same when all eight orientations of the query are looked up.
    pub(crate) variants: [u64; RADII.len()],
    /// Of each of [`CLASSES`]: how many there were, found plain and with variants at [`DEFAULT`].
    pub(crate) classes: [[u64; 3]; CLASSES.len()],
    /// Queries that were answered with a picture that shows something else, by radius.
    pub(crate) wrong_plain: [u64; RADII.len()],
    /// The same when all eight orientations of the query are looked up.
    pub(crate) wrong_variants: [u64; RADII.len()],
    /// Queries whose own quality is too low for an automatic outcome.
    pub(crate) low_quality: u64,
    /// The middle distance between changed picture and original, without variants.
    pub(crate) median_distance: u32,
}

/// An index that holds the photographs' hashes, each under its position.
pub(crate) fn index_of(photographs: &[Photograph]) -> MatchIndex {
    let index = MatchIndex::new();
    let changes = photographs.iter().enumerate();
    index.apply(changes.map(|(record, photograph)| Change::InsertHamming {
        value: &photograph.listed.hashes[0],
        record: record as u64,
    }));
    index
}

/// Recall of each transform, and first that of the pictures before they were made smaller.
///
/// # Errors
/// If the index misses a picture that was not changed, or its answer contradicts the distance.
pub(crate) fn measure(photographs: &[Photograph]) -> Result<Vec<Recall>> {
    let index = index_of(photographs);
    let full_size = photographs.iter().map(|photograph| photograph.full_size.as_ref());
    let mut rows = vec![measure_one(&index, photographs, ENLARGED, full_size)?];
    for (nth, transform) in TRANSFORMS.iter().enumerate() {
        let queries = photographs.iter().map(|photograph| photograph.changed.get(nth));
        let about = [transform.group, transform.name, transform.label];
        rows.push(measure_one(&index, photographs, about, queries)?);
    }
    let unchanged = rows.iter().find(|row| row.name == "unchanged");
    ensure!(
        unchanged.is_some_and(|row| row.plain == [row.n; RADII.len()]),
        "the index misses pictures that were not changed"
    );
    // The order of the page: what changes nothing comes first.
    rows.swap(0, 1);
    Ok(rows)
}

const ENLARGED: [&str; 3] = ["Re-encoding and size", "full_size", "full size, listed at 1024 px"];

fn measure_one<'p>(
    index: &MatchIndex,
    photographs: &[Photograph],
    [group, name, label]: [&'static str; 3],
    queries: impl Iterator<Item = Option<&'p PdqVariants>>,
) -> Result<Recall> {
    let pairs: Vec<(usize, &PdqVariants)> =
        queries.enumerate().filter_map(|(record, query)| Some((record, query?))).collect();
    let values: Vec<[u8; 32]> = pairs.iter().flat_map(|(_, query)| query.hashes).collect();
    let mut row = Recall {
        group,
        name,
        label,
        n: pairs.len() as u64,
        plain: [0; RADII.len()],
        variants: [0; RADII.len()],
        classes: [[0; 3]; CLASSES.len()],
        wrong_plain: [0; RADII.len()],
        wrong_variants: [0; RADII.len()],
        low_quality: pairs.iter().filter(|(_, query)| query.quality < QUALITY_MIN).count() as u64,
        median_distance: 0,
    };
    for (nth, radius) in RADII.into_iter().enumerate() {
        let answers = index.query_hamming_batch(&values, radius);
        for ((record, query), answers) in pairs.iter().zip(answers.as_chunks::<8>().0) {
            let original = &photographs[*record];
            let finds = |answer: &Vec<Hit>| answer.iter().any(|hit| hit.record == *record as u64);
            let errs = |answer: &Vec<Hit>| {
                answer.iter().any(|hit| !are_related(original, &photographs[hit.record as usize]))
            };
            let (plain, any) = (finds(&answers[0]), answers.iter().any(finds));
            let apart = distance(&query.hashes[0], &original.listed.hashes[0]);
            ensure!(plain == (apart <= radius.into()), "{name}: the index and the distance {apart} disagree");
            row.plain[nth] += u64::from(plain);
            row.variants[nth] += u64::from(any);
            row.wrong_plain[nth] += u64::from(errs(&answers[0]));
            row.wrong_variants[nth] += u64::from(answers.iter().any(errs));
            if nth == DEFAULT {
                for (class, (_, belongs)) in row.classes.iter_mut().zip(CLASSES) {
                    let counts = [true, plain, any].map(|counts| u64::from(counts && belongs(original)));
                    class.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
                }
            }
        }
    }
    let mut apart: Vec<u32> = pairs
        .iter()
        .map(|(record, query)| distance(&query.hashes[0], &photographs[*record].listed.hashes[0]))
        .collect();
    apart.sort_unstable();
    row.median_distance = apart.get(apart.len() / 2).copied().unwrap_or(0);
    Ok(row)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::OnceLock;

    use super::*;
    use crate::photographs::{Kind, hash_all};
    use crate::transforms::mix;
    use image::{Rgb, RgbImage};

    /// Up to nine small pictures of random tiles: as different as pictures can be. The kinds take turns.
    pub(crate) fn tiles(count: usize) -> Vec<Photograph> {
        static TILES: OnceLock<Vec<Photograph>> = OnceLock::new();
        let all = TILES.get_or_init(|| (0..9).map(|seed| tiled(seed, 160, 128)).collect());
        all[..count].to_vec()
    }

    fn tiled(seed: u64, width: u32, height: u32) -> Photograph {
        let level = |x: u32, y: u32| mix(seed << 32 | u64::from(x * 10 / width * 100 + y * 10 / width)) as u8;
        let picture = RgbImage::from_fn(width, height, |x, y| Rgb([level(x, y); 3]));
        let kind = [Kind::Sky, Kind::Thing, Kind::Scene][seed as usize % 3];
        hash_all(kind, &format!("tiles{seed}.png"), &picture).expect("tiles have edges")
    }

    #[test]
    fn what_was_not_changed_is_found_and_what_was_mirrored_only_with_variants() {
        let photographs: Vec<Photograph> = (0..3).map(|seed| tiled(seed, 640, 640)).collect();
        let rows = measure(&photographs).unwrap();
        let row = |name: &str| rows.iter().find(|row| row.name == name).expect("a row").clone();
        let unchanged = row("unchanged");
        assert_eq!((unchanged.n, unchanged.median_distance, unchanged.plain), (3, 0, [3; 4]));
        assert_eq!(unchanged.classes, [[3; 3], [0; 3], [1; 3], [1; 3], [1; 3]]);
        assert_eq!((unchanged.wrong_plain, unchanged.wrong_variants), ([0; 4], [0; 4]));
        // Upside down both axes are displaced by PDQ's sampling, which leaves such sharp tiles at the edge of the radius.
        assert_eq!((row("rotate_180").plain, row("rotate_180").variants[3]), ([0; 4], 3));
        for name in ["flip_horizontal", "flip_vertical", "rotate_90", "rotate_270"] {
            assert_eq!((row(name).plain[DEFAULT], row(name).variants[DEFAULT]), (0, 3), "{name}");
        }
        assert_eq!(row("full_size").n, 0, "the tiles are small");
        assert_eq!(row("crop_20").plain[0], 0);
        assert_eq!(rows[0].name, "unchanged");
    }

    #[test]
    fn a_copy_under_another_name_is_a_wrong_answer_and_one_of_the_series_is_not() {
        let mut photographs = tiles(3);
        photographs.push(Photograph { path: "elsewhere.png".into(), ..photographs[1].clone() });
        photographs.push(photographs[2].clone());
        let unchanged = measure(&photographs).unwrap()[0].clone();
        assert_eq!(
            (unchanged.plain, unchanged.wrong_plain, unchanged.wrong_variants),
            ([5; 4], [2; 4], [2; 4])
        );
    }
}
