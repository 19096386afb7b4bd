//! Real PDQ values: crops of the photographs that the PDQ tests compare with.
//!
//! A few hundred pictures do not make ten million hashes, but cut into pieces they do: a crop is a picture. Each
//! crop is a square with a random place and a side between [`SIDE_MIN`] and [`SIDE_MAX`] pixels, hashed by the same code as
//! any picture, in its eight orientations (which come from one cosine transform). Nothing is invented or
//! widened: every value is the PDQ hash of pixels of a photograph. What is *not* like a real list: crops of one picture
//! are related, and there are few pictures. Both make values more alike, so that the skew seen here is more
//! likely too strong than too weak.
//!
//! Crops under [`QUALITY_MIN`] are left out, as the node leaves them out. Pictures are split: those that queries
//! come from are never stored, so that a query for an unrelated picture is a miss.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use hashpact_hashing::decode::{DecodeLimits, Rgb, decode};
use hashpact_hashing::pdq::variants_rgb;
use rayon::prelude::*;

use crate::random::Random;

/// Shortest side of a crop, in pixels.
const SIDE_MIN: u32 = 64;
/// Longest side of a crop, in pixels; longer ones cost more time to hash and change nothing here.
const SIDE_MAX: u32 = 192;
/// The quality from which on PDQ's authors say that a hash means something.
const QUALITY_MIN: u8 = 50;
/// One picture in so many is asked about and not stored.
const HELD_OUT: usize = 6;
/// Fewer pictures than this are not called real data.
const PICTURES_MIN: usize = 300;
/// The photographs, with their sizes.
const TABLE: &str = include_str!("../../../../vectors/pdq/photos.tsv");

/// Which pictures are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Those whose values are stored in the index.
    Stored,
    /// Those that only queries come from.
    HeldOut,
}

/// A picture of the table that is there.
#[derive(Debug)]
struct Picture {
    path: std::path::PathBuf,
    number: u64,
    /// How many crops it gets in relation to others: by its side, not its area, so that a few huge ones are
    /// not everything.
    weight: f64,
}

/// `count` values from one part of the pictures under `folder`, in random order.
///
/// # Errors
/// When fewer than [`PICTURES_MIN`] of the table's pictures are there, or when what they give is not enough.
pub(crate) fn values(folder: &Path, part: Part, count: usize, seed: u64) -> Result<Vec<[u8; 32]>> {
    let pictures = pictures(folder);
    ensure!(
        pictures.len() >= PICTURES_MIN,
        "{} holds {} of the listed photographs, {PICTURES_MIN} are needed",
        folder.display(),
        pictures.len()
    );
    let held_out = |number: usize| number.is_multiple_of(HELD_OUT);
    let chosen: Vec<&Picture> = (pictures.iter())
        .filter(|picture| held_out(picture.number as usize) == (part == Part::HeldOut))
        .collect();
    let weights: f64 = chosen.iter().map(|picture| picture.weight).sum();

    let mut values: Vec<[u8; 32]> = Vec::with_capacity(count + count / 4);
    for pass in 0.. {
        ensure!(pass < 8, "the photographs give {} values of {count}", values.len());
        // Crops that are rejected for their quality are made up for in the next pass.
        let crops = ((count - values.len()) as f64 / 8.0 * 1.3 + 64.0) / weights;
        let found: Vec<Vec<[u8; 32]>> = chosen
            .par_iter()
            .map(|picture| {
                let random = Random::new(seed ^ pass, picture.number);
                cut(picture, (picture.weight * crops).ceil() as usize, random)
            })
            .collect();
        values.extend(found.into_iter().flatten());
        if values.len() >= count {
            break;
        }
    }
    Random::new(seed, u64::MAX).shuffle(&mut values);
    values.truncate(count);
    Ok(values)
}

fn pictures(folder: &Path) -> Vec<Picture> {
    let rows = TABLE.lines().filter(|line| !line.starts_with('#')).enumerate();
    let pictures = rows.filter_map(|(number, line)| {
        let fields: Vec<&str> = line.split('\t').collect();
        let [package, path, _, _, width, height, ..] = fields[..] else { return None };
        let path = folder.join(package).join(path);
        let area: f64 = width.parse::<f64>().ok()? * height.parse::<f64>().ok()?;
        path.is_file().then_some(Picture { path, number: number as u64, weight: area.sqrt() })
    });
    pictures.collect()
}

/// The values of up to `crops` crops; none of a picture that cannot be read or is too small.
fn cut(picture: &Picture, crops: usize, mut random: Random) -> Vec<[u8; 32]> {
    let decoded =
        fs::read(&picture.path).ok().and_then(|bytes| decode(&bytes, &DecodeLimits::default()).ok());
    let Some(rgb) = decoded.filter(|rgb| rgb.width.min(rgb.height) > SIDE_MIN) else { return Vec::new() };
    let (mut pixels, mut values) = (Vec::new(), Vec::new());
    for _ in 0..crops {
        let side = crop(&rgb, &mut random, &mut pixels);
        let variants = variants_rgb(&pixels, side, side).expect("a square of that side was just copied");
        if variants.quality >= QUALITY_MIN {
            values.extend(variants.hashes);
        }
    }
    values
}

/// Copies a random square into `pixels` and returns its side. Small sides are as likely as large ones per octave.
fn crop(rgb: &Rgb, random: &mut Random, pixels: &mut Vec<u8>) -> u32 {
    let longest = f64::from(rgb.width.min(rgb.height).min(SIDE_MAX));
    let side = (f64::from(SIDE_MIN) * (longest / f64::from(SIDE_MIN)).powf(random.unit())) as u32;
    let left = random.below(u64::from(rgb.width - side) + 1) as usize;
    let top = random.below(u64::from(rgb.height - side) + 1) as usize;
    pixels.clear();
    for row in top..top + side as usize {
        let start = 3 * (row * rgb.width as usize + left);
        pixels.extend_from_slice(&rgb.pixels[start..start + 3 * side as usize]);
    }
    side
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crops_lie_inside_and_keep_their_rows() {
        // Every pixel says where it is.
        let pixels = (0..200 * 100_u32).flat_map(|at| [(at % 200) as u8, (at / 200) as u8, 7]).collect();
        let rgb = Rgb { width: 200, height: 100, pixels };
        let (mut random, mut crop_pixels) = (Random::new(5, 5), Vec::new());
        for _ in 0..200 {
            let side = crop(&rgb, &mut random, &mut crop_pixels) as usize;
            assert!((64..=100).contains(&side) && crop_pixels.len() == 3 * side * side);
            let (left, top) = (usize::from(crop_pixels[0]), usize::from(crop_pixels[1]));
            let (right, bottom) = (crop_pixels[3 * side * side - 3], crop_pixels[3 * side * side - 2]);
            assert_eq!((usize::from(right), usize::from(bottom)), (left + side - 1, top + side - 1));
        }
    }

    #[test]
    fn a_folder_without_the_photographs_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = values(folder.path(), Part::Stored, 10, 1).unwrap_err().to_string();
        assert!(error.contains("holds 0 of the listed photographs"), "{error}");
    }
}
