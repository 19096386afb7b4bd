//! Hash and quality of photographs from Debian packages against the reference's.
//!
//! Needs the packages of `tests/vectors/pdq/packages.txt` unpacked, one folder each, and the folder that
//! holds them in `HASHPACT_PHOTOS`. Without it nothing is compared, and the test says so; with it, at least
//! 500 photographs have to be compared, or it fails.
#![expect(clippy::disallowed_methods, reason = "a test reads its input from files")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use hashpact_hashing::decode::{DecodeLimits, decode};
use hashpact_hashing::pdq::hash_rgb;
use sha2::{Digest as _, Sha256};

const TABLE: &str = include_str!("../../../tests/vectors/pdq/photos.tsv");
const PHOTOS_MIN: usize = 500;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// What became of one row of the table.
enum Outcome {
    Equal,
    /// No such file, or another version of the package.
    OtherFile,
    /// Decoded to other pixels than when the table was made, which says nothing about hashing.
    OtherPixels,
    Different(String),
}

fn compare(folder: &Path, fields: &[&str; 9]) -> Outcome {
    let [package, path, file_sha256, rgb_sha256, width, height, _, quality, pdq] = fields;
    let Ok(bytes) = std::fs::read(folder.join(package).join(path)) else {
        return Outcome::OtherFile;
    };
    if hex(&Sha256::digest(&bytes)) != **file_sha256 {
        return Outcome::OtherFile;
    }
    let rgb = match decode(&bytes, &DecodeLimits::default()) {
        Ok(rgb) => rgb,
        Err(e) => return Outcome::Different(e.to_string()),
    };
    if hex(&Sha256::digest(&rgb.pixels)) != **rgb_sha256 {
        return Outcome::OtherPixels;
    }
    assert_eq!((rgb.width.to_string(), rgb.height.to_string()), ((*width).to_owned(), (*height).to_owned()));
    let ours = hash_rgb(&rgb.pixels, rgb.width, rgb.height).expect("a decoded picture has its pixels");
    if hex(&ours.hash) == **pdq && ours.quality.to_string() == **quality {
        Outcome::Equal
    } else {
        Outcome::Different(format!("{ours:?}, the reference has {pdq}/{quality}"))
    }
}

/// Outcomes in the order of `rows`, worked out by as many threads as there are processors.
fn compare_all(folder: &Path, rows: &[[&str; 9]]) -> Vec<Outcome> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        while let Some((index, row)) = rows.iter().enumerate().nth(next.fetch_add(1, Ordering::Relaxed)) {
            done.push((index, compare(folder, row)));
        }
        done
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut outcomes: Vec<(usize, Outcome)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|w| w.join().expect("a worker only panics with the test")).collect()
    });
    outcomes.sort_by_key(|(index, _)| *index);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

#[test]
fn photographs_equal_the_reference() {
    let rows: Vec<[&str; 9]> = TABLE
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split('\t').collect::<Vec<_>>().try_into().expect("a row has 9 fields"))
        .collect();
    assert!(
        rows.iter().filter(|row| row[6] == "plain").count() >= PHOTOS_MIN,
        "the table itself is too short"
    );

    let Some(folder) = std::env::var_os("HASHPACT_PHOTOS") else {
        eprintln!("NOT RUN: HASHPACT_PHOTOS is not set; none of {} photographs was compared", rows.len());
        return;
    };
    let mut equal: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut other_file, mut other_pixels, mut different) = (0, 0, Vec::new());
    for (row, outcome) in rows.iter().zip(compare_all(Path::new(&folder), &rows)) {
        match outcome {
            Outcome::Equal => *equal.entry(row[6]).or_default() += 1,
            Outcome::OtherFile => other_file += 1,
            Outcome::OtherPixels => other_pixels += 1,
            Outcome::Different(how) => different.push(format!("{} {} ({}): {how}", row[0], row[1], row[6])),
        }
    }
    let [plain, ties] = ["plain", "tie"].map(|flag| equal.get(flag).copied().unwrap_or(0));
    eprintln!(
        "photographs with the reference's hash and quality: {plain} plain, {ties} blank or symmetric; different: {}; \
         not compared: {other_file} absent or of another version, {other_pixels} decoded to other pixels",
        different.len()
    );
    assert!(different.is_empty(), "{}", different.join("\n"));
    assert!(
        plain >= PHOTOS_MIN,
        "only {plain} of at least {PHOTOS_MIN} photographs could be compared in {folder:?}"
    );
}
