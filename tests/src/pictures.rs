//! Pictures that our own code renders: smooth random scenes, different for each seed, and the changes
//! that uploads commonly show. Plainly benign: colour fields, discs and waves.

use anyhow::{Context as _, Result};
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, Rgb, RgbImage, imageops};
use std::path::{Path, PathBuf};

/// SplitMix64: the random numbers of a seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 24) as f32
    }
}

/// Renders a scene.
#[must_use]
pub fn render(seed: u64, width: u32, height: u32) -> RgbImage {
    let mut random = Random(seed);
    let waves: Vec<[f32; 6]> = (0..9)
        .map(|_| {
            let scale = 2.0 + 16.0 * random.unit();
            [
                scale * (random.unit() - 0.5),
                scale * (random.unit() - 0.5),
                6.3 * random.unit(),
                random.unit(),
                random.unit(),
                random.unit(),
            ]
        })
        .collect();
    let discs: Vec<[f32; 6]> = (0..14)
        .map(|_| {
            [
                random.unit(),
                random.unit(),
                0.03 + 0.2 * random.unit(),
                random.unit(),
                random.unit(),
                random.unit(),
            ]
        })
        .collect();
    RgbImage::from_fn(width, height, |x, y| {
        let (u, v) = (x as f32 / width as f32, y as f32 / height as f32);
        let mut colour = [0.5f32; 3];
        for [a, b, phase, red, green, blue] in &waves {
            let wave = (std::f32::consts::TAU * (a * u + b * v) + phase).sin() * 0.16;
            for (channel, weight) in colour.iter_mut().zip([red, green, blue]) {
                *channel += wave * weight;
            }
        }
        for [cx, cy, radius, red, green, blue] in &discs {
            let inside = (u - cx).hypot(v - cy) < *radius;
            if inside {
                for (channel, tint) in colour.iter_mut().zip([red, green, blue]) {
                    *channel = 0.35 * *channel + 0.65 * tint;
                }
            }
        }
        Rgb(colour.map(|channel| (channel.clamp(0.0, 1.0) * 255.0) as u8))
    })
}

/// Renders `count` pictures into `dir`, half PNG and half JPEG.
///
/// # Errors
/// A file cannot be written.
pub fn write_folder(dir: &Path, seed: u64, count: u64) -> Result<Vec<PathBuf>> {
    std::fs::create_dir_all(dir)?;
    (0..count)
        .map(|nth| {
            let picture = render(
                seed.wrapping_mul(1_000) + nth,
                480 + 16 * (nth as u32 % 5),
                360 + 24 * (nth as u32 % 3),
            );
            let extension = if nth % 2 == 0 { "png" } else { "jpg" };
            let path = dir.join(format!("picture-{nth:03}.{extension}"));
            save(&picture, &path)?;
            Ok(path)
        })
        .collect()
}

/// Writes a picture in the format of its file name; JPEG at quality 90.
///
/// # Errors
/// It cannot be written.
pub fn save(picture: &RgbImage, path: &Path) -> Result<()> {
    if path.extension().is_some_and(|extension| extension == "jpg") {
        return save_jpeg(picture, path, 90);
    }
    picture.save(path).with_context(|| format!("cannot write {}", path.display()))
}

fn save_jpeg(picture: &RgbImage, path: &Path, quality: u8) -> Result<()> {
    let file = std::fs::File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    JpegEncoder::new_with_quality(std::io::BufWriter::new(file), quality).encode_image(picture)?;
    Ok(())
}

/// A change that uploads commonly show.
pub struct Variant {
    /// What was done, in plain words.
    pub name: &'static str,
    /// The file.
    pub path: PathBuf,
}

/// Writes changed copies of a picture: re-encoded, resized, slightly cropped, rotated, mirrored.
///
/// # Errors
/// The picture cannot be read, or a copy not be written.
pub fn write_variants(original: &Path, dir: &Path) -> Result<Vec<Variant>> {
    std::fs::create_dir_all(dir)?;
    let picture: DynamicImage =
        image::open(original).with_context(|| format!("cannot read {}", original.display()))?;
    let rgb = picture.to_rgb8();
    let (width, height) = rgb.dimensions();
    let crop = |part: u32| {
        let (x, y) = (width * part / 1_000, height * part / 1_000);
        imageops::crop_imm(&rgb, x, y, width - 2 * x, height - 2 * y).to_image()
    };
    let half = imageops::resize(&rgb, width / 2, height / 2, imageops::FilterType::Triangle);
    let changed = [
        ("re-encoded as JPEG, quality 60", rgb.clone()),
        ("resized to half", half),
        ("cropped by 0.5 % on each side", crop(5)),
        ("rotated by 90 degrees", imageops::rotate90(&rgb)),
        ("rotated by 180 degrees", imageops::rotate180(&rgb)),
        ("mirrored", imageops::flip_horizontal(&rgb)),
    ];
    let stem = original.file_stem().and_then(|stem| stem.to_str()).unwrap_or("picture");
    changed
        .into_iter()
        .enumerate()
        .map(|(nth, (name, picture))| {
            let extension = if nth % 2 == 0 { "jpg" } else { "png" };
            let path = dir.join(format!("{stem}-variant-{nth}.{extension}"));
            if nth == 0 {
                save_jpeg(&picture, &path, 60)?
            } else {
                save(&picture, &path)?
            }
            Ok(Variant { name, path })
        })
        .collect()
}
