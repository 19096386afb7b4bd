use super::*;

/// A picture in which every pixel differs from its neighbours.
fn picture(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, (x * 3 + y * 5) as u8]))
}

fn named(name: &str) -> fn(&RgbImage) -> RgbImage {
    TRANSFORMS.iter().find(|transform| transform.name == name).expect("a transform of this name").apply
}

#[test]
fn names_differ() {
    let mut names: Vec<&str> = TRANSFORMS.iter().map(|transform| transform.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), TRANSFORMS.len());
}

#[test]
fn sides_are_those_that_the_name_states() {
    let cases = [
        ("unchanged", (200, 100)),
        ("jpeg_q50", (200, 100)),
        ("resize_75", (150, 75)),
        ("resize_25", (50, 25)),
        ("thumbnail_128", (128, 64)),
        ("crop_2", (192, 96)),
        ("crop_20", (120, 60)),
        ("border_white_5", (220, 110)),
        ("border_black_10", (240, 120)),
        ("rotate_90", (100, 200)),
        ("rotate_180", (200, 100)),
        ("rotate_5", (200, 100)),
        ("screenshot", (1077, 537)),
        ("screenshot_bars", (540, 1170)),
    ];
    for (name, sides) in cases {
        assert_eq!(named(name)(&picture(200, 100)).dimensions(), sides, "{name}");
    }
    assert_eq!(fit(&picture(100, 200), 128, 128).dimensions(), (64, 128));
    assert_eq!(fit(&picture(300, 1), 30, 30).dimensions(), (30, 1), "no side becomes 0");
}

#[test]
fn a_crop_is_the_middle_and_a_border_is_around_the_whole() {
    let whole = picture(200, 100);
    let cropped = named("crop_10")(&whole);
    assert_eq!(cropped.get_pixel(0, 0), whole.get_pixel(20, 10));
    assert_eq!(cropped.get_pixel(159, 79), whole.get_pixel(179, 89));
    let framed = named("border_white_10")(&whole);
    assert_eq!(framed.get_pixel(19, 50), &WHITE);
    let inside = imageops::crop_imm(&framed, 20, 10, 200, 100).to_image();
    assert_eq!(inside, whole);
    assert_eq!(framed.get_pixel(239, 119), &WHITE);
}

#[test]
fn turning_moves_pixels_where_they_belong() {
    let whole = picture(101, 101);
    assert_eq!(rotate(&whole, 0.0), whole);
    assert_eq!(rotate(&whole, 90.0), imageops::rotate90(&whole), "clockwise about the centre");
    // Near the left end of the middle row, 5 degrees clockwise are 4 pixels upwards.
    let mut dot = RgbImage::new(101, 101);
    dot.put_pixel(4, 50, WHITE);
    let turned = rotate(&dot, 5.0);
    let brightest = turned.enumerate_pixels().max_by_key(|(_, _, pixel)| pixel.0[0]).expect("pixels");
    assert_eq!((brightest.0, brightest.1), (4, 46));
    assert_eq!(rotate(&RgbImage::from_pixel(101, 101, WHITE), 5.0).get_pixel(0, 0), &BLACK);
}

#[test]
fn overlays_cover_the_area_that_they_state() {
    let grey = RgbImage::from_pixel(400, 300, Rgb([90, 91, 92]));
    let covered = |name: &str| {
        let changed = named(name)(&grey);
        let count = changed.pixels().zip(grey.pixels()).filter(|(a, b)| a != b).count();
        count as f64 / f64::from(400 * 300)
    };
    for (name, share) in [("caption_5", 0.05), ("caption_20", 0.20), ("logo_5", 0.05), ("logo_20", 0.20)] {
        assert!((covered(name) - share).abs() < 0.005, "{name} covers {}", covered(name));
    }
}

#[test]
fn tones_change_as_stated() {
    let level = |level: u8| RgbImage::from_pixel(8, 8, Rgb([level; 3]));
    let after = |name: &str, before: u8| named(name)(&level(before)).get_pixel(3, 3).0[0];
    assert_eq!(after("brightness_plus_20", 100), 151);
    assert_eq!(after("brightness_minus_30", 50), 0, "clipped");
    assert_eq!(after("contrast_plus_30", 227), 255, "clipped");
    assert_eq!(after("contrast_minus_30", 28), 58);
    assert_eq!(after("gamma_1_5", 255), 255);
    assert!(after("gamma_0_7", 100) > 100);
    assert_eq!(greyscale(&RgbImage::from_pixel(1, 1, Rgb([0, 255, 0]))).get_pixel(0, 0).0, [150; 3]);
}

#[test]
fn noise_has_the_stated_spread_and_is_the_same_each_time() {
    let grey = RgbImage::from_pixel(256, 256, Rgb([128; 3]));
    let noisy = named("noise_10")(&grey);
    let count = noisy.len() as f64;
    let mean = noisy.iter().map(|level| f64::from(*level)).sum::<f64>() / count;
    let variance = noisy.iter().map(|level| (f64::from(*level) - mean).powi(2)).sum::<f64>() / count;
    assert!(
        (mean - 128.0).abs() < 0.2 && (variance.sqrt() - 10.0).abs() < 0.2,
        "{mean}, {}",
        variance.sqrt()
    );
    assert_eq!(noisy, named("noise_10")(&grey));
}
