//! What happens to a picture on its way through the world, as functions from pixels to pixels.
//!
//! Every function is deterministic: noise comes from the position of the pixel, and nothing looks at a clock.
//! A transform whose name is not one of a format leaves the pixels uncompressed, so that a row of the result
//! shows one change and not two; the screenshots are the exception, they are whole chains.
//! The JPEG encoder is that of the `image` crate (no subsampling of colours).

use hashpact_hashing::decode::{DecodeLimits, decode};
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};

/// One kind of change to a picture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transform {
    /// The metric's name.
    pub(crate) name: &'static str,
    /// The heading under which the page lists it.
    pub(crate) group: &'static str,
    /// Plain words.
    pub(crate) label: &'static str,
    /// Makes the changed picture.
    pub(crate) apply: fn(&RgbImage) -> RgbImage,
}

const fn t(
    group: &'static str,
    name: &'static str,
    label: &'static str,
    apply: fn(&RgbImage) -> RgbImage,
) -> Transform {
    Transform { name, group, label, apply }
}

const ENCODING: &str = "Re-encoding and size";
const SCREEN: &str = "Screenshots";
const TONE: &str = "Tone, blur and noise";
const OVERLAY: &str = "Overlays";
const TURN: &str = "Rotation and mirroring";
const CROP: &str = "Crops";
const BORDER: &str = "Borders";

const WHITE: Rgb<u8> = Rgb([255; 3]);
const BLACK: Rgb<u8> = Rgb([0; 3]);

/// All transforms, in the order of the report.
pub(crate) const TRANSFORMS: [Transform; 49] = [
    t(ENCODING, "unchanged", "unchanged", RgbImage::clone),
    t(ENCODING, "jpeg_q90", "JPEG quality 90", |p| jpeg(p, 90)),
    t(ENCODING, "jpeg_q70", "JPEG quality 70", |p| jpeg(p, 70)),
    t(ENCODING, "jpeg_q50", "JPEG quality 50", |p| jpeg(p, 50)),
    t(ENCODING, "jpeg_q30", "JPEG quality 30", |p| jpeg(p, 30)),
    t(ENCODING, "jpeg_q10", "JPEG quality 10", |p| jpeg(p, 10)),
    t(ENCODING, "resize_75", "resized to 75 %", |p| scale(p, 75)),
    t(ENCODING, "resize_50", "resized to 50 %", |p| scale(p, 50)),
    t(ENCODING, "resize_25", "resized to 25 %", |p| scale(p, 25)),
    t(ENCODING, "thumbnail_128", "thumbnail, 128 px", |p| fit(p, 128, 128)),
    t(SCREEN, "screenshot", "screenshot, cut out 1–2 px off", screenshot),
    t(SCREEN, "screenshot_bars", "whole phone screen, black bars", phone_screen),
    t(TONE, "greyscale", "greyscale", greyscale),
    t(TONE, "brightness_minus_30", "brightness -30 %", |p| brightness(p, -30)),
    t(TONE, "brightness_minus_20", "brightness -20 %", |p| brightness(p, -20)),
    t(TONE, "brightness_minus_10", "brightness -10 %", |p| brightness(p, -10)),
    t(TONE, "brightness_plus_10", "brightness +10 %", |p| brightness(p, 10)),
    t(TONE, "brightness_plus_20", "brightness +20 %", |p| brightness(p, 20)),
    t(TONE, "brightness_plus_30", "brightness +30 %", |p| brightness(p, 30)),
    t(TONE, "contrast_minus_30", "contrast -30 %", |p| contrast(p, 0.7)),
    t(TONE, "contrast_plus_30", "contrast +30 %", |p| contrast(p, 1.3)),
    t(TONE, "gamma_0_7", "gamma 0.7 (lighter)", |p| gamma(p, 0.7)),
    t(TONE, "gamma_1_5", "gamma 1.5 (darker)", |p| gamma(p, 1.5)),
    t(TONE, "blur_0_5", "blur, sigma 0.5 % of the side", |p| blur(p, 0.005)),
    t(TONE, "blur_1_5", "blur, sigma 1.5 % of the side", |p| blur(p, 0.015)),
    t(TONE, "noise_10", "noise, sd 10 of 255", |p| noise(p, 10.0)),
    t(TONE, "noise_25", "noise, sd 25 of 255", |p| noise(p, 25.0)),
    t(OVERLAY, "caption_5", "caption over 5 % of the area", |p| caption(p, 5)),
    t(OVERLAY, "caption_10", "caption over 10 %", |p| caption(p, 10)),
    t(OVERLAY, "caption_20", "caption over 20 %", |p| caption(p, 20)),
    t(OVERLAY, "logo_5", "logo over 5 % of the area", |p| logo(p, 0.05)),
    t(OVERLAY, "logo_10", "logo over 10 %", |p| logo(p, 0.10)),
    t(OVERLAY, "logo_20", "logo over 20 %", |p| logo(p, 0.20)),
    t(TURN, "rotate_90", "rotated by 90°", imageops::rotate90),
    t(TURN, "rotate_180", "rotated by 180°", imageops::rotate180),
    t(TURN, "rotate_270", "rotated by 270°", imageops::rotate270),
    t(TURN, "flip_horizontal", "mirrored left to right", imageops::flip_horizontal),
    t(TURN, "flip_vertical", "mirrored top to bottom", imageops::flip_vertical),
    t(TURN, "rotate_1", "rotated by 1°", |p| rotate(p, 1.0)),
    t(TURN, "rotate_2", "rotated by 2°", |p| rotate(p, 2.0)),
    t(TURN, "rotate_5", "rotated by 5°", |p| rotate(p, 5.0)),
    t(CROP, "crop_2", "2 % off each side", |p| crop(p, 2)),
    t(CROP, "crop_5", "5 % off each side", |p| crop(p, 5)),
    t(CROP, "crop_10", "10 % off each side", |p| crop(p, 10)),
    t(CROP, "crop_20", "20 % off each side", |p| crop(p, 20)),
    t(BORDER, "border_white_5", "white border, 5 %", |p| border(p, 5, WHITE)),
    t(BORDER, "border_white_10", "white border, 10 %", |p| border(p, 10, WHITE)),
    t(BORDER, "border_black_5", "black border, 5 %", |p| border(p, 5, BLACK)),
    t(BORDER, "border_black_10", "black border, 10 %", |p| border(p, 10, BLACK)),
];

/// `whole` × `percent` / 100, rounded to the nearest and at least 1.
fn percent(whole: u32, percent: u32) -> u32 {
    ((u64::from(whole) * u64::from(percent) + 50) / 100).max(1) as u32
}

/// Encodes as JPEG and decodes as the product does.
fn jpeg(picture: &RgbImage, quality: u8) -> RgbImage {
    let mut bytes = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
    picture.write_with_encoder(encoder).expect("an RGB picture of moderate size can be a JPEG in memory");
    let rgb = decode(&bytes, &DecodeLimits::default()).expect("what was encoded decodes");
    RgbImage::from_raw(rgb.width, rgb.height, rgb.pixels).expect("a decoded picture has its pixels")
}

/// Resizes to these sides; every pixel of the source contributes.
pub(crate) fn resize(picture: &RgbImage, width: u32, height: u32) -> RgbImage {
    imageops::resize(picture, width, height, FilterType::Triangle)
}

fn scale(picture: &RgbImage, to_percent: u32) -> RgbImage {
    resize(picture, percent(picture.width(), to_percent), percent(picture.height(), to_percent))
}

/// Resizes to the largest picture of the same proportions inside this box.
pub(crate) fn fit(picture: &RgbImage, width: u32, height: u32) -> RgbImage {
    let (w, h) = (u64::from(picture.width()), u64::from(picture.height()));
    let (box_w, box_h) = (u64::from(width), u64::from(height));
    let (new_w, new_h) = if w * box_h >= h * box_w {
        (box_w, (h * box_w + w / 2) / w)
    } else {
        ((w * box_h + h / 2) / h, box_h)
    };
    resize(picture, new_w.max(1) as u32, new_h.max(1) as u32)
}

/// Shown 1080 pixels wide, cut out by hand (1 pixel lost at the left and bottom, 2 at the right and top), and
/// saved again as JPEG of quality 80. The lossless PNG between the two changes no pixel and is left out.
fn screenshot(picture: &RgbImage) -> RgbImage {
    let shown = fit(picture, 1080, 1080);
    let (width, height) = (shown.width().saturating_sub(3).max(1), shown.height().saturating_sub(3).max(1));
    jpeg(&imageops::crop_imm(&shown, 1, 2, width, height).to_image(), 80)
}

/// A phone's whole screen of 540 x 1170, the picture in its middle; saved as JPEG of quality 80.
fn phone_screen(picture: &RgbImage) -> RgbImage {
    let shown = fit(picture, 540, 1170);
    let mut screen = RgbImage::from_pixel(540, 1170, BLACK);
    let (left, top) = ((540 - shown.width()) / 2, (1170 - shown.height()) / 2);
    imageops::replace(&mut screen, &shown, left.into(), top.into());
    jpeg(&screen, 80)
}

fn greyscale(picture: &RgbImage) -> RgbImage {
    map_pixels(picture, |[r, g, b]| {
        let luma = (299 * u32::from(r) + 587 * u32::from(g) + 114 * u32::from(b) + 500) / 1000;
        [luma as u8; 3]
    })
}

fn map_pixels(picture: &RgbImage, change: impl Fn([u8; 3]) -> [u8; 3]) -> RgbImage {
    let mut changed = picture.clone();
    changed.pixels_mut().for_each(|pixel| pixel.0 = change(pixel.0));
    changed
}

/// Applies a curve to each channel.
fn map_levels(picture: &RgbImage, curve: impl Fn(f64) -> f64) -> RgbImage {
    let table: Vec<u8> = (0..=255u8).map(|level| level_of(curve(f64::from(level)))).collect();
    map_pixels(picture, |pixel| pixel.map(|level| table[usize::from(level)]))
}

fn level_of(value: f64) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
}

/// Adds a share of full scale to each channel and clips.
fn brightness(picture: &RgbImage, by_percent: i32) -> RgbImage {
    map_levels(picture, |level| level + 2.55 * f64::from(by_percent))
}

/// Stretches levels about the middle and clips.
fn contrast(picture: &RgbImage, factor: f64) -> RgbImage {
    map_levels(picture, |level| 127.5 + (level - 127.5) * factor)
}

fn gamma(picture: &RgbImage, exponent: f64) -> RgbImage {
    map_levels(picture, |level| 255.0 * (level / 255.0).powf(exponent))
}

/// A Gaussian blur whose sigma is a share of the longer side.
fn blur(picture: &RgbImage, share: f32) -> RgbImage {
    imageops::fast_blur(picture, share * picture.width().max(picture.height()) as f32)
}

/// Adds nearly normal noise (a sum of four uniform values), drawn from the position of each value.
fn noise(picture: &RgbImage, sd: f64) -> RgbImage {
    let mut changed = picture.clone();
    for (position, level) in changed.iter_mut().enumerate() {
        let random = mix(position as u64);
        let sum: u64 = (0..4).map(|part| random >> (16 * part) & 0xffff).sum();
        // Four uniform values on 0..1 have mean 2 and variance 4/12.
        let normal = (sum as f64 / 65536.0 - 2.0) * 3f64.sqrt();
        *level = level_of(f64::from(*level) + sd * normal);
    }
    changed
}

/// SplitMix64's output function: a well mixed value for each position.
pub(crate) fn mix(position: u64) -> u64 {
    let mut z = position.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A white band along the bottom with black marks in a row, like a line of capital letters.
fn caption(picture: &RgbImage, area_percent: u32) -> RgbImage {
    let (width, height) = picture.dimensions();
    let band = percent(height, area_percent);
    let mut changed = picture.clone();
    for y in height - band..height {
        for x in 0..width {
            // In units of a twelfth of the band's height: letters are 5 wide with 2 between them.
            let (row, column) = ((y - (height - band)) * 12 / band, x * 12 / band);
            let inside = (3..9).contains(&row) && column % 7 < 5 && column > 2;
            // Each letter is a frame that is open on some sides, so that letters differ.
            let letter = mix(u64::from(column / 7));
            let stroke = column % 7 == 0
                || (row == 3 && letter & 1 == 0)
                || (row == 6 && letter & 2 == 0)
                || (row == 8 && letter & 4 == 0)
                || (column % 7 == 4 && letter & 8 == 0);
            changed.put_pixel(x, y, if inside && stroke { BLACK } else { WHITE });
        }
    }
    changed
}

/// A disc with a ring and a bar, at the lower right, that covers this share of the area where it fits.
fn logo(picture: &RgbImage, share: f64) -> RgbImage {
    let (width, height) = (f64::from(picture.width()), f64::from(picture.height()));
    let radius = (share * width * height / std::f64::consts::PI).sqrt().min(width.min(height) / 2.0);
    let (centre_x, centre_y) = (width - radius * 1.05, height - radius * 1.05);
    let mut changed = picture.clone();
    for (x, y, pixel) in changed.enumerate_pixels_mut() {
        let (dx, dy) = (f64::from(x) + 0.5 - centre_x, f64::from(y) + 0.5 - centre_y);
        let from_centre = dx.hypot(dy) / radius;
        if from_centre <= 1.0 {
            let ring = (0.7..0.85).contains(&from_centre);
            let bar = from_centre < 0.7 && dy.abs() < 0.15 * radius;
            *pixel = if ring || bar { WHITE } else { Rgb([200, 30, 40]) };
        }
    }
    changed
}

/// Turns clockwise about the centre with linear interpolation; sides stay, what comes from outside is black.
fn rotate(picture: &RgbImage, degrees: f64) -> RgbImage {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let (width, height) = picture.dimensions();
    let (centre_x, centre_y) = (f64::from(width - 1) / 2.0, f64::from(height - 1) / 2.0);
    RgbImage::from_fn(width, height, |x, y| {
        let (dx, dy) = (f64::from(x) - centre_x, f64::from(y) - centre_y);
        interpolate(picture, centre_x + cos * dx + sin * dy, centre_y - sin * dx + cos * dy)
    })
}

/// The colour between four pixels; outside of the picture it is black.
fn interpolate(picture: &RgbImage, x: f64, y: f64) -> Rgb<u8> {
    let (left, top) = (x.floor(), y.floor());
    let (right_share, lower_share) = (x - left, y - top);
    let at = |x: f64, y: f64, channel: usize| -> f64 {
        let inside = x >= 0.0 && y >= 0.0;
        let pixel = inside.then(|| picture.get_pixel_checked(x as u32, y as u32)).flatten();
        pixel.map_or(0.0, |pixel| f64::from(pixel.0[channel]))
    };
    Rgb(std::array::from_fn(|channel| {
        let row =
            |y: f64| at(left, y, channel) * (1.0 - right_share) + at(left + 1.0, y, channel) * right_share;
        level_of(row(top) * (1.0 - lower_share) + row(top + 1.0) * lower_share)
    }))
}

/// Takes a share of the width off left and right, and of the height off top and bottom.
fn crop(picture: &RgbImage, per_side_percent: u32) -> RgbImage {
    let (width, height) = picture.dimensions();
    let (dx, dy) = (percent(width, per_side_percent), percent(height, per_side_percent));
    imageops::crop_imm(picture, dx, dy, width - 2 * dx, height - 2 * dy).to_image()
}

/// Puts a frame around the picture; its thickness is a share of the picture's width and height.
fn border(picture: &RgbImage, per_side_percent: u32, colour: Rgb<u8>) -> RgbImage {
    let (width, height) = picture.dimensions();
    let (dx, dy) = (percent(width, per_side_percent), percent(height, per_side_percent));
    let mut framed = RgbImage::from_pixel(width + 2 * dx, height + 2 * dy, colour);
    imageops::replace(&mut framed, picture, dx.into(), dy.into());
    framed
}

#[cfg(test)]
mod tests;
