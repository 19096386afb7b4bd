//! The photographs, and every hash that the benchmark needs of each.
//!
//! Which files of the packages are photographs is what `tests/vectors/pdq/photos.tsv` says. Originals are
//! first brought to at most [`SIDE_MAX`] pixels a side, as upload pipelines do; that smaller picture is what a
//! list holds here, and what the transforms start from. Pixels are dropped as soon as they are hashed.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, ensure};
use hashpact_hashing::decode::{DecodeLimits, decode};
use hashpact_hashing::digest::digest_bytes;
use hashpact_hashing::pdq::{PdqVariants, variants_rgb};
use image::{RgbImage, imageops};
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};

use crate::transforms::{TRANSFORMS, fit, mix};

const TABLE: &str = include_str!("../../../vectors/pdq/photos.tsv");

/// Originals with a longer side are made smaller before anything else.
pub(crate) const SIDE_MAX: u32 = 1024;

/// Hashes of a lower quality are neither listed nor matched automatically.
pub(crate) const QUALITY_MIN: u8 = 50;

/// Windows that are cut from each picture to have more pairs.
const WINDOWS: u64 = 8;

/// A window with a shorter side is left out.
const WINDOW_SIDE_MIN: u32 = 64;

/// Fewer photographs say nothing about rates.
const PHOTOGRAPHS_MIN: usize = 100;

/// What is to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Galaxies, clusters and nebulae through telescopes.
    Sky,
    /// Single things, animals or plants, many cut out before an empty ground.
    Thing,
    /// Landscapes, buildings and abstract pictures made as desktop backgrounds.
    Scene,
}

impl Kind {
    fn of(package: &str) -> Option<Self> {
        match package {
            "stellarium-data" => Some(Self::Sky),
            "tuxpaint-stamps-default" => Some(Self::Thing),
            "gnome-backgrounds" | "lomiri-wallpapers-16.04" => Some(Self::Scene),
            _ => None,
        }
    }
}

/// Photographs whose results are also reported on their own: a name, and who belongs to it.
pub(crate) const CLASSES: [(&str, fn(&Photograph) -> bool); 5] = [
    ("large", |photograph| photograph.side_min >= LARGE_SIDE_MIN),
    ("small", |photograph| photograph.side_min < LARGE_SIDE_MIN),
    ("sky", |photograph| photograph.kind == Kind::Sky),
    ("thing", |photograph| photograph.kind == Kind::Thing),
    ("scene", |photograph| photograph.kind == Kind::Scene),
];

/// The position of the large photographs in [`CLASSES`].
pub(crate) const LARGE: usize = 0;

/// A photograph is large from this shorter side on. PDQ looks at 64 x 64 samples; in a picture of few pixels each of
/// them rests on so few that moving the picture by half a pixel already changes bits.
pub(crate) const LARGE_SIDE_MIN: u32 = 512;

/// A photograph without its pixels.
#[derive(Clone, Debug)]
pub(crate) struct Photograph {
    pub(crate) kind: Kind,
    /// Path in the package.
    pub(crate) path: String,
    /// The shorter side of the picture as a list holds it, in pixels.
    pub(crate) side_min: u32,
    /// Of the picture as a list holds it: at most [`SIDE_MAX`] pixels a side.
    pub(crate) listed: PdqVariants,
    /// Of the picture as the package has it, where that is larger.
    pub(crate) full_size: Option<PdqVariants>,
    /// After each of [`TRANSFORMS`], in their order.
    pub(crate) changed: Vec<PdqVariants>,
    /// Of windows cut from it that show enough, see [`windows`].
    pub(crate) windows: Vec<[u8; 32]>,
}

/// What was read and what was left out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Collection {
    pub(crate) photographs: Vec<Photograph>,
    /// Rows of the table.
    pub(crate) in_table: usize,
    /// Rows that were chosen.
    pub(crate) chosen: usize,
    /// Chosen, but absent or of another version of the package.
    pub(crate) absent: usize,
    /// Chosen and read, but with a quality below [`QUALITY_MIN`].
    pub(crate) blank: usize,
}

enum Outcome {
    Hashed(Box<Photograph>),
    Absent,
    Blank,
}

/// Reads and hashes `count` photographs spread evenly over the table (all if there are fewer).
pub(crate) fn read(folder: &Path, count: usize) -> Result<Collection> {
    let rows: Vec<Vec<&str>> =
        TABLE.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect()).collect();
    let chosen = spread(rows.len(), count);
    let done = AtomicUsize::new(0);
    let outcomes: Vec<Outcome> = chosen
        .par_iter()
        .map(|row| {
            let outcome = read_one(folder, &rows[*row]);
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            if done.is_multiple_of(50) {
                eprintln!("{done} of {} photographs hashed", chosen.len());
            }
            outcome
        })
        .collect::<Result<_>>()?;
    let mut collection = Collection { in_table: rows.len(), chosen: chosen.len(), ..Collection::default() };
    for outcome in outcomes {
        match outcome {
            Outcome::Hashed(photograph) => collection.photographs.push(*photograph),
            Outcome::Absent => collection.absent += 1,
            Outcome::Blank => collection.blank += 1,
        }
    }
    ensure!(
        collection.photographs.len() >= PHOTOGRAPHS_MIN,
        "only {} of {} photographs could be used, {PHOTOGRAPHS_MIN} are needed; `cargo xtask photos` fetches them \
         ({} absent or of another version in {})",
        collection.photographs.len(),
        collection.chosen,
        collection.absent,
        folder.display()
    );
    Ok(collection)
}

/// `count` positions below `total`, evenly spread; all of them if there are not more.
fn spread(total: usize, count: usize) -> Vec<usize> {
    let count = count.min(total);
    (0..count).map(|nth| nth * total / count).collect()
}

fn read_one(folder: &Path, row: &[&str]) -> Result<Outcome> {
    let [package, path, sha256, ..] = row else { anyhow::bail!("a row of the table has too few fields") };
    let kind = Kind::of(package).with_context(|| format!("what do the pictures of {package} show?"))?;
    let Ok(bytes) = fs::read(folder.join(package).join(path)) else { return Ok(Outcome::Absent) };
    let digest: String = digest_bytes(&bytes).sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    if digest != *sha256 {
        return Ok(Outcome::Absent);
    }
    let rgb = decode(&bytes, &DecodeLimits::default()).with_context(|| format!("{package}: {path}"))?;
    let original =
        RgbImage::from_raw(rgb.width, rgb.height, rgb.pixels).context("a decoded picture has its pixels")?;
    Ok(match hash_all(kind, path, &original) {
        Some(photograph) => Outcome::Hashed(Box::new(photograph)),
        None => Outcome::Blank,
    })
}

/// Every hash of one original; nothing if it is too blank to be listed.
pub(crate) fn hash_all(kind: Kind, path: &str, original: &RgbImage) -> Option<Photograph> {
    let large = original.width().max(original.height()) > SIDE_MAX;
    let smaller = large.then(|| fit(original, SIDE_MAX, SIDE_MAX));
    let base = smaller.as_ref().unwrap_or(original);
    let listed = hash(base);
    if listed.quality < QUALITY_MIN {
        return None;
    }
    Some(Photograph {
        kind,
        path: path.to_owned(),
        side_min: base.width().min(base.height()),
        listed,
        full_size: large.then(|| hash(original)),
        changed: TRANSFORMS.iter().map(|transform| hash(&(transform.apply)(base))).collect(),
        windows: windows(base, path),
    })
}

fn hash(picture: &RgbImage) -> PdqVariants {
    variants_rgb(picture, picture.width(), picture.height()).expect("a picture has all of its pixels")
}

/// Hashes of up to [`WINDOWS`] windows of 40 to 80 % of each side, at places that follow from the path.
fn windows(picture: &RgbImage, path: &str) -> Vec<[u8; 32]> {
    let seed = path.bytes().fold(0, |seed, byte| mix(seed ^ u64::from(byte)));
    let window = |nth: u64| {
        let draw = |what: u64| mix(seed ^ (nth << 8 | what)) >> 40;
        let side = |whole: u32, what: u64| (u64::from(whole) * (40 + draw(what) % 41) / 100) as u32;
        let (width, height) = (side(picture.width(), 0), side(picture.height(), 1));
        if width.min(height) < WINDOW_SIDE_MIN {
            return None;
        }
        let left = (draw(2) % u64::from(picture.width() - width + 1)) as u32;
        let top = (draw(3) % u64::from(picture.height() - height + 1)) as u32;
        let hashed = hash(&imageops::crop_imm(picture, left, top, width, height).to_image());
        (hashed.quality >= QUALITY_MIN).then_some(hashed.hashes[0])
    };
    (0..WINDOWS).filter_map(window).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn a_choice_is_spread_over_the_table() {
        assert_eq!(spread(10, 4), [0, 2, 5, 7]);
        assert_eq!(spread(3, 100), [0, 1, 2]);
        assert_eq!(spread(3, 0), [0; 0]);
    }

    #[test]
    fn every_package_of_the_table_has_a_kind() {
        for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
            let package = line.split('\t').next().expect("a field");
            assert!(Kind::of(package).is_some(), "{package}");
        }
    }

    #[test]
    fn a_blank_picture_is_left_out_and_another_has_every_hash() {
        assert!(hash_all(Kind::Thing, "blank", &RgbImage::from_pixel(300, 200, Rgb([7; 3]))).is_none());
        let busy = RgbImage::from_fn(1400, 700, |x, y| Rgb([mix(u64::from(x / 90 + y / 70 * 99)) as u8; 3]));
        let hashed = hash_all(Kind::Thing, "busy", &busy).expect("a picture with edges");
        assert_eq!(hashed.changed.len(), TRANSFORMS.len());
        assert!(hashed.full_size.is_some(), "1400 is more than {SIDE_MAX}");
        assert_eq!(hashed.side_min, 512, "1400 x 700 is listed as 1024 x 512");
        assert_eq!(hashed.changed[0], hashed.listed, "the first transform changes nothing");
        assert!(!hashed.windows.is_empty());
        assert_eq!(hashed.windows, hash_all(Kind::Thing, "busy", &busy).expect("the same").windows);
    }
}
