use super::*;
use proptest::prelude::*;

/// The reference's algorithm written the plain way: whole pictures, one value at a time.
mod plainly {
    fn mean_line(input: &[f32], window: usize) -> Vec<f32> {
        let half = (window + 2) / 2;
        let (mut sum, mut count) = (0.0f32, 0);
        let (mut left, mut right) = (0, 0);
        let mut out = Vec::new();
        while out.len() < input.len() {
            // Until half a window is in, only add; then one step for each output.
            if right < input.len() {
                sum += input[right];
                right += 1;
                count += 1;
                if right < half {
                    continue;
                }
            }
            if count > window || out.len() + half > input.len() {
                sum -= input[left];
                left += 1;
                count -= 1;
            }
            out.push(sum / count as f32);
        }
        out
    }

    fn transpose(rows: &[Vec<f32>]) -> Vec<Vec<f32>> {
        (0..rows[0].len()).map(|c| rows.iter().map(|r| r[c]).collect()).collect()
    }

    pub(super) fn samples(luma: &[f32], width: usize) -> Vec<f32> {
        let mut rows: Vec<Vec<f32>> = luma.chunks(width).map(<[f32]>::to_vec).collect();
        let height = rows.len();
        for _ in 0..4 {
            let window = rows[0].len().div_ceil(128);
            rows = transpose(&rows.iter().map(|r| mean_line(r, window)).collect::<Vec<_>>());
        }
        let at = |i: usize, n: usize| ((i as f64 + 0.5) * n as f64 / 64.0) as usize;
        (0..64 * 64).map(|k| rows[at(k / 64, height)][at(k % 64, width)]).collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A picture with structure at several scales from one seed, not symmetric in any way.
fn scene(width: usize, height: usize, seed: u32) -> Vec<u8> {
    let s = f64::from(seed % 1000) / 100.0;
    let value = |x: f64, y: f64| {
        let waves =
            (3.0 * x + 5.0 * y + s).sin() + (9.0 * x * (1.0 + y) - s).sin() + (17.0 * y * y + 4.0 * x).cos();
        let blob = 2.0 * (-20.0 * ((x - 0.3).powi(2) + (y - 0.7).powi(2))).exp();
        // Patches of one grey each, so that no frequency is empty.
        let patch =
            ((x * 23.0) as u32 * 31 + (y * 19.0) as u32).wrapping_add(seed).wrapping_mul(0x9E37_79B9) >> 25;
        ((waves + blob + 3.0) * 18.0 + f64::from(patch)) as u8
    };
    let at = |i: usize, n: usize| (i as f64 + 0.5) / n as f64;
    (0..width * height)
        .flat_map(|k| {
            let v = value(at(k % width, width), at(k / width, height));
            [v, v / 2 + 60, 255 - v]
        })
        .collect()
}

/// The pixels of a `width` x `height` picture whose pixel (x, y) is `from(x, y)` of a source `source_width` wide.
fn rearranged(
    source: &[u8],
    source_width: usize,
    width: usize,
    height: usize,
    from: impl Fn(usize, usize) -> (usize, usize),
) -> Vec<u8> {
    (0..width * height)
        .flat_map(|k| {
            let (x, y) = from(k % width, k / width);
            let at = (y * source_width + x) * 3;
            [source[at], source[at + 1], source[at + 2]]
        })
        .collect()
}

#[test]
fn luma_equals_the_binding_for_every_colour() {
    let mut row = [0.0f32; 256];
    for r in 0..=255u8 {
        for g in 0..=255u8 {
            let pixels: Vec<u8> = (0..=255u8).flat_map(|b| [r, g, b]).collect();
            luma_row(&pixels, &mut row);
            for (b, &y) in row.iter().enumerate() {
                let expected = (f64::from(r) * 0.299 + f64::from(g) * 0.587 + b as f64 * 0.114) as f32;
                assert_eq!(y.to_bits(), expected.to_bits(), "{r} {g} {b}");
            }
        }
    }
}

#[test]
fn names_tell_what_the_variants_are() {
    let (w, h) = (300, 200);
    let source = scene(w, h, 77);
    let variants = variants_rgb(&source, 300, 200).unwrap();
    let turned = [
        rearranged(&source, w, w, h, |x, y| (x, y)),
        rearranged(&source, w, h, w, |x, y| (w - 1 - y, x)),
        rearranged(&source, w, w, h, |x, y| (w - 1 - x, h - 1 - y)),
        rearranged(&source, w, h, w, |x, y| (y, h - 1 - x)),
        rearranged(&source, w, w, h, |x, y| (x, h - 1 - y)),
        rearranged(&source, w, w, h, |x, y| (w - 1 - x, y)),
        rearranged(&source, w, h, w, |x, y| (y, x)),
        rearranged(&source, w, h, w, |x, y| (w - 1 - y, h - 1 - x)),
    ];
    for (i, pixels) in turned.iter().enumerate() {
        let (width, height) = if matches!(i, 0 | 2 | 4 | 5) { (300, 200) } else { (200, 300) };
        let direct = hash_rgb(pixels, width, height).unwrap();
        let distances = variants.hashes.map(|v| distance(&v, &direct.hash));
        let nearest = (0..8).min_by_key(|&v| distances[v]).unwrap();
        assert_eq!(nearest, i, "{}: {distances:?}", VARIANT_NAMES[i]);
        assert!(distances[i] <= 31, "{}: {distances:?}", VARIANT_NAMES[i]);
    }
    assert_eq!(variants.original(), hash_rgb(&source, 300, 200).unwrap());
}

#[test]
fn small_pictures_have_the_zero_hash() {
    for (width, height) in [(0, 0), (0, 9), (1, 1), (4, 4), (4, 1000), (1000, 4)] {
        let pixels = vec![200; (width * height * 3) as usize];
        let zero = Pdq { hash: [0; 32], quality: 0 };
        assert_eq!(hash_rgb(&pixels, width, height).unwrap(), zero);
        assert_eq!(
            variants_rgb(&pixels, width, height).unwrap(),
            PdqVariants { quality: 0, hashes: [[0; 32]; 8] }
        );
    }
}

#[test]
fn wrong_buffers_are_refused_with_numbers() {
    assert_eq!(
        hash_rgb(&[0; 10], 2, 2),
        Err(PdqError::WrongLength { width: 2, height: 2, expected: 12, got: 10 })
    );
    assert_eq!(
        hash_luma_f32(&[0.0; 37], 6, 6),
        Err(PdqError::WrongLength { width: 6, height: 6, expected: 36, got: 37 })
    );
    assert_eq!(
        variants_rgb(&[], u32::MAX, u32::MAX),
        Err(PdqError::TooManyPixels { width: u32::MAX, height: u32::MAX, max: 2_147_483_647 })
    );
    let mut luma = [1.0; 36];
    luma[17] = f32::NAN;
    assert_eq!(hash_luma_f32(&luma, 6, 6), Err(PdqError::NotFinite { index: 17 }));
    assert_eq!(variants_luma_f32(&luma, 6, 6), Err(PdqError::NotFinite { index: 17 }));
}

#[test]
fn luma_and_rgb_agree() {
    let pixels = scene(130, 90, 5);
    let luma: Vec<f32> = pixels
        .chunks(3)
        .map(|p| (f64::from(p[0]) * 0.299 + f64::from(p[1]) * 0.587 + f64::from(p[2]) * 0.114) as f32)
        .collect();
    assert_eq!(hash_luma_f32(&luma, 130, 90), hash_rgb(&pixels, 130, 90));
    assert_eq!(variants_luma_f32(&luma, 130, 90), variants_rgb(&pixels, 130, 90));
}

#[test]
fn distance_counts_bits() {
    let mut other = [0u8; 32];
    assert_eq!(distance(&other, &[0; 32]), 0);
    other[0] = 0x81;
    other[31] = 1;
    assert_eq!(distance(&other, &[0; 32]), 3);
    assert_eq!(distance(&[0; 32], &[255; 32]), 256);
}

#[test]
fn debug_form_is_the_reference_text() {
    let mut hash = [0; 32];
    hash[0] = 0xf0;
    assert_eq!(format!("{:?}", Pdq { hash, quality: 7 }), format!("{}/7", hex(&hash)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// Chaining, lanes, the ring of rows and sampling change no bit of any sample.
    #[test]
    fn samples_equal_the_plain_algorithm(width in 5usize..700, height in 5usize..700, seed: u32) {
        prop_assume!((width, height) != (64, 64));
        let mut luma = vec![0.0f32; width * height];
        luma_row(&scene(width, height, seed), &mut luma);
        let ours = downscale::to_64x64(width, height, |row, out| out.copy_from_slice(&luma[row * width..][..width]));
        let expected = plainly::samples(&luma, width);
        for (i, (a, b)) in ours.as_flattened().iter().zip(&expected).enumerate() {
            prop_assert_eq!(a.to_bits(), b.to_bits(), "sample {} of {} x {}", i, width, height);
        }
    }

    /// The samples of a grid with an even side are off its centre, so hashes of turned pixels are near the
    /// variant and not equal to it; but no other variant is as near.
    #[test]
    fn variants_are_near_the_turned_pixels(width in 128usize..400, height in 128usize..400, seed: u32) {
        let source = scene(width, height, seed);
        let (w, h) = (width as u32, height as u32);
        let variants = variants_rgb(&source, w, h).unwrap();
        let mirrored = rearranged(&source, width, width, height, |x, y| (width - 1 - x, y));
        let transposed = rearranged(&source, width, height, width, |x, y| (y, x));
        let mirrored = hash_rgb(&mirrored, w, h).unwrap();
        let transposed = hash_rgb(&transposed, h, w).unwrap();
        for (turned, own) in [(mirrored, 5), (transposed, 6)] {
            let distances = variants.hashes.map(|v| distance(&v, &turned.hash));
            let others = (0..8).filter(|&v| v != own).map(|v| distances[v]).min().unwrap();
            prop_assert!(distances[own] + 20 < others, "variant {}: {:?}", own, distances);
        }
    }

    /// Below 64 x 64 windows there is nothing to take apart: every value of a noisy strip is used.
    #[test]
    fn any_bytes_of_any_shape_hash(width in 0u32..40, height in 0u32..40, seed: u64) {
        let pixels: Vec<u8> = (0..u64::from(width * height * 3)).map(|i| ((i ^ seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect();
        let variants = variants_rgb(&pixels, width, height).unwrap();
        prop_assert!(variants.quality <= 100);
        prop_assert_eq!(variants.original(), hash_rgb(&pixels, width, height).unwrap());
    }
}
