//! What decoding promises for every format: right pixels, limits with numbers, and an error instead of a
//! panic for whatever else the bytes are.

use std::io::Cursor;

use hashpact_hashing::decode::{DecodeError, DecodeLimits, Format, Rgb, decode, format_of};
use hashpact_hashing::file::{ImageError, ImageOutcome, hash_bytes};
use hashpact_hashing::pdq::variants_rgb;
use image::{DynamicImage, ImageBuffer, ImageFormat, Luma, LumaA, Rgba};
use proptest::prelude::*;

#[expect(dead_code, reason = "the list of rendered pictures is for another test")]
mod pictures;

const FORMATS: [(Format, ImageFormat); 6] = [
    (Format::Jpeg, ImageFormat::Jpeg),
    (Format::Png, ImageFormat::Png),
    (Format::WebP, ImageFormat::WebP),
    (Format::Gif, ImageFormat::Gif),
    (Format::Bmp, ImageFormat::Bmp),
    (Format::Tiff, ImageFormat::Tiff),
];

fn encode(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).expect("an encoder for every format that is read");
    bytes.into_inner()
}

fn picture(width: u32, height: u32) -> DynamicImage {
    let pixels = pictures::render(pictures::Kind::Grainy, width, height);
    DynamicImage::ImageRgb8(ImageBuffer::from_raw(width, height, pixels).unwrap())
}

fn pixels_of(image: DynamicImage, format: ImageFormat) -> Vec<u8> {
    decode(&encode(&image, format), &DecodeLimits::default()).unwrap().pixels
}

#[test]
fn lossless_formats_keep_every_pixel() {
    let image = picture(61, 37);
    for (format, codec) in FORMATS {
        let bytes = encode(&image, codec);
        assert_eq!(format_of(&bytes), Some(format));
        let rgb = decode(&bytes, &DecodeLimits::default()).unwrap();
        assert_eq!((rgb.width, rgb.height, rgb.pixels.len()), (61, 37, 61 * 37 * 3), "{format}");
        if !matches!(format, Format::Jpeg | Format::Gif) {
            assert_eq!(rgb.pixels, image.as_bytes(), "{format}");
        }
    }
}

#[test]
fn every_sample_layout_becomes_rgb8() {
    // Alpha is dropped and not blended; of 16 bits the upper 8 remain.
    let rgba = ImageBuffer::from_pixel(3, 2, Rgba([10u8, 20, 30, 0]));
    assert_eq!(pixels_of(rgba.into(), ImageFormat::Png), [10, 20, 30].repeat(6));
    let rgba16 = ImageBuffer::from_pixel(3, 2, Rgba([0x10FFu16, 0x2000, 0x30C8, 7]));
    assert_eq!(pixels_of(rgba16.into(), ImageFormat::Png), [0x10, 0x20, 0x30].repeat(6));
    let grey = ImageBuffer::from_pixel(3, 2, Luma([77u8]));
    assert_eq!(pixels_of(grey.into(), ImageFormat::Png), [77; 18]);
    let grey_alpha = ImageBuffer::from_pixel(3, 2, LumaA([78u8, 3]));
    assert_eq!(pixels_of(grey_alpha.into(), ImageFormat::Png), [78; 18]);
    let grey16 = ImageBuffer::from_pixel(3, 2, Luma([0x4FFFu16]));
    assert_eq!(pixels_of(DynamicImage::from(grey16.clone()), ImageFormat::Png), [0x4F; 18]);
    assert_eq!(pixels_of(grey16.into(), ImageFormat::Tiff), [0x4F; 18]);
    let grey_alpha16 = ImageBuffer::from_pixel(3, 2, LumaA([0x60FFu16, 0]));
    assert_eq!(pixels_of(grey_alpha16.into(), ImageFormat::Png), [0x60; 18]);
    let rgb16: DynamicImage =
        DynamicImage::ImageRgb16(ImageBuffer::from_pixel(3, 2, image::Rgb([0x01FFu16, 0x02FF, 0x03FF])));
    assert_eq!(pixels_of(rgb16, ImageFormat::Tiff), [1, 2, 3].repeat(6));
}

#[test]
fn the_first_frame_of_an_animation_counts() {
    let mut bytes = Vec::new();
    let mut encoder = image::codecs::gif::GifEncoder::new(&mut bytes);
    for grey in [40u8, 200] {
        encoder
            .encode_frame(image::Frame::new(ImageBuffer::from_pixel(9, 9, Rgba([grey, grey, grey, 255]))))
            .unwrap();
    }
    drop(encoder);
    assert_eq!(decode(&bytes, &DecodeLimits::default()).unwrap().pixels, [40; 243]);
}

#[test]
fn each_limit_is_met_and_passed() {
    let limits = DecodeLimits { width_max: 60, height_max: 40, pixels_max: 2000, alloc_max_bytes: 1 << 20 };
    for (format, codec) in FORMATS {
        let attempt =
            |w, h| decode(&encode(&picture(w, h), codec), &limits).map(|rgb| (rgb.width, rgb.height));
        assert_eq!(attempt(60, 33), Ok((60, 33)));
        assert_eq!(attempt(50, 40), Ok((50, 40)));
        assert_eq!(attempt(61, 5), Err(DecodeError::TooWide { format, width: 61, max: 60 }));
        assert_eq!(attempt(5, 41), Err(DecodeError::TooHigh { format, height: 41, max: 40 }));
        assert_eq!(attempt(60, 34), Err(DecodeError::TooManyPixels { format, pixels: 2040, max: 2000 }));
        let bytes = encode(&picture(50, 40), codec);
        let little = DecodeLimits { alloc_max_bytes: 9000, ..limits.clone() };
        match decode(&bytes, &little) {
            Err(DecodeError::TooMuchMemory { format: f, bytes, max: 9000 }) => {
                assert_eq!(f, format);
                assert!(bytes >= 12_000, "{format} {bytes}");
            }
            // A decoder that budgets while reading the header stops there.
            Err(DecodeError::TooMuchWorkingMemory { format: f, max: 9000 }) => assert_eq!(f, format),
            other => panic!("{format}: {other:?}"),
        }
    }
}

fn png_chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let covered = [&name[..], data].concat();
    let mut crc = u32::MAX;
    for byte in &covered {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        }
    }
    [&(data.len() as u32).to_be_bytes()[..], &covered, &(!crc).to_be_bytes()].concat()
}

fn png_header(width: u32, height: u32) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    [&b"\x89PNG\r\n\x1a\n"[..], &png_chunk(b"IHDR", &header), &png_chunk(b"IDAT", &[0x78, 0x9c])].concat()
}

#[test]
fn bombs_are_errors_with_their_numbers() {
    let limits = DecodeLimits::default();
    let png = |w, h| decode(&png_header(w, h), &limits).unwrap_err();
    let format = Format::Png;
    assert_eq!(png(60_000, 60_000), DecodeError::TooWide { format, width: 60_000, max: 32_768 });
    assert_eq!(png(30_000, 60_000), DecodeError::TooHigh { format, height: 60_000, max: 32_768 });
    assert_eq!(
        png(30_000, 30_000),
        DecodeError::TooManyPixels { format, pixels: 900_000_000, max: 128 << 20 }
    );
    assert!(matches!(png(10_000, 10_000), DecodeError::Truncated { .. } | DecodeError::Malformed { .. }));

    // A GIF whose screen is 65,535 a side, and a BMP that claims two gigapixels in 54 bytes.
    let gif = [
        b"GIF89a\xff\xff\xff\xff\x80\0\0\0\0\0\xff\xff\xff".as_slice(),
        b",\0\0\0\0\xff\xff\xff\xff\0\x02\x02\x44\x01\0;",
    ]
    .concat();
    assert!(matches!(
        decode(&gif, &limits),
        Err(DecodeError::TooWide { format: Format::Gif, width: 65_535, .. })
    ));
    let mut bmp = encode(&picture(8, 8), ImageFormat::Bmp);
    bmp[18..22].copy_from_slice(&60_000u32.to_le_bytes());
    assert!(matches!(
        decode(&bmp, &limits),
        Err(DecodeError::TooWide { format: Format::Bmp, width: 60_000, .. })
    ));
}

#[test]
fn files_cut_short_are_errors() {
    let image = picture(64, 48);
    for (format, codec) in FORMATS {
        let bytes = encode(&image, codec);
        for part in 1..20 {
            let cut = &bytes[..bytes.len() * part / 20];
            let result = decode(cut, &DecodeLimits::default());
            assert!(result.is_err(), "{format}: {} of {} bytes gave a picture", cut.len(), bytes.len());
            assert!(!matches!(result, Err(DecodeError::DecoderPanicked { .. })), "{format} at {}", cut.len());
        }
    }
}

#[test]
fn a_jpeg_without_its_end_marker_is_whole() {
    let bytes = encode(&picture(64, 48), ImageFormat::Jpeg);
    let whole = decode(&bytes, &DecodeLimits::default());
    for cut in [1, 2] {
        assert_eq!(decode(&bytes[..bytes.len() - cut], &DecodeLimits::default()), whole);
    }
    let format = Format::Jpeg;
    for cut in [6, 10, 40, 200] {
        assert_eq!(
            decode(&bytes[..bytes.len() - cut], &DecodeLimits::default()),
            Err(DecodeError::Truncated { format })
        );
    }
}

#[test]
fn other_files_are_not_images() {
    for bytes in [&b""[..], b"\xff", b"plain text", b"%PDF-1.7", b"II*", b"RIFF\0\0\0\0WAVE"] {
        assert_eq!(decode(bytes, &DecodeLimits::default()), Err(DecodeError::NotAnImage));
        assert_eq!(hash_bytes(bytes, &DecodeLimits::default()).image, ImageOutcome::NotAnImage);
    }
}

#[test]
fn a_file_has_digests_whatever_the_picture() {
    let limits = DecodeLimits::default();
    let bytes = encode(&picture(200, 150), ImageFormat::Png);
    let signals = hash_bytes(&bytes, &limits);
    assert_eq!(signals.digests.size_bytes, bytes.len() as u64);
    let Rgb { width, height, pixels } = decode(&bytes, &limits).unwrap();
    assert_eq!(signals.image, ImageOutcome::Hashed(variants_rgb(&pixels, width, height).unwrap()));

    let cut = hash_bytes(&bytes[..bytes.len() / 2], &limits);
    assert_eq!(cut.digests.size_bytes, bytes.len() as u64 / 2);
    assert!(matches!(cut.image, ImageOutcome::Failed(ImageError::Decode(_))), "{:?}", cut.image);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_after_any_magic_give_a_value(which in 0usize..6, keep in 2usize..60, tail in prop::collection::vec(any::<u8>(), 0..400)) {
        let whole = encode(&picture(16, 16), FORMATS[which].1);
        let bytes = [&whole[..keep.min(whole.len())], &tail].concat();
        let limits = DecodeLimits { pixels_max: 1 << 20, alloc_max_bytes: 16 << 20, ..DecodeLimits::default() };
        if let Ok(rgb) = decode(&bytes, &limits) {
            prop_assert_eq!(rgb.pixels.len() as u64, 3 * u64::from(rgb.width) * u64::from(rgb.height));
        }
    }

    #[test]
    fn flipped_bits_give_a_value(which in 0usize..6, flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..12)) {
        let mut bytes = encode(&picture(40, 30), FORMATS[which].1);
        for (at, bit) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        let limits = DecodeLimits { pixels_max: 1 << 20, alloc_max_bytes: 16 << 20, ..DecodeLimits::default() };
        if let Ok(rgb) = decode(&bytes, &limits) {
            prop_assert!(u64::from(rgb.width) * u64::from(rgb.height) <= limits.pixels_max);
            prop_assert_eq!(rgb.pixels.len() as u64, 3 * u64::from(rgb.width) * u64::from(rgb.height));
        }
    }
}
