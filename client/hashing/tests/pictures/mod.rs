//! Pictures rendered by integer arithmetic alone, the same on every machine.
//!
//! `tests/vectors/pdq/rendered.tsv` holds the reference's hashes of all of them. The example
//! `dump_rendered` writes their pixels for the Python side, the test `rendered` hashes them.

/// What is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Sums of parabolic waves of several directions and lengths, another set for each channel.
    Waves,
    /// Independent random bytes.
    Noise,
    /// Waves with a little noise, the closest to a photograph.
    Grainy,
    /// Rectangles in steps of 51, so that gradients sit on the quality's rounding edge.
    Blocks,
    /// One colour: every frequency is rounding noise.
    Blank,
    /// The same left and right, up and down.
    Symmetric,
    /// Black and white squares of one 64th of the width.
    Checks,
}

pub(crate) const KINDS: [(&str, Kind); 7] = [
    ("waves", Kind::Waves),
    ("noise", Kind::Noise),
    ("grainy", Kind::Grainy),
    ("blocks", Kind::Blocks),
    ("blank", Kind::Blank),
    ("symmetric", Kind::Symmetric),
    ("checks", Kind::Checks),
];

/// Tiny ones, around every change of window size up to three, odd ones, and long strips.
pub(crate) const SIZES: [(u32, u32); 26] = [
    (1, 1),
    (4, 4),
    (4, 100),
    (100, 4),
    (5, 5),
    (5, 7),
    (8, 9),
    (31, 64),
    (63, 65),
    (64, 64),
    (65, 64),
    (127, 128),
    (128, 129),
    (129, 128),
    (200, 150),
    (255, 257),
    (257, 256),
    (384, 385),
    (512, 512),
    (640, 480),
    (7, 1000),
    (1000, 7),
    (3001, 20),
    (20, 3001),
    (767, 513),
    (1150, 300),
];

/// The pixels of one picture, interleaved RGB.
pub(crate) fn render(kind: Kind, width: u32, height: u32) -> Vec<u8> {
    let mut random = SplitMix64(u64::from(width) << 32 | u64::from(height) << 8 | kind as u64);
    let mut pixels = Vec::with_capacity((width * height * 3) as usize);
    for y in 0..i64::from(height) {
        for x in 0..i64::from(width) {
            let noise = random.next();
            pixels.extend(
                [0, 1, 2].map(|c| channel(kind, x, y, i64::from(width), i64::from(height), c, noise)),
            );
        }
    }
    pixels
}

fn channel(kind: Kind, x: i64, y: i64, width: i64, height: i64, c: i64, noise: u64) -> u8 {
    let byte = i64::from(noise.to_le_bytes()[c as usize]);
    let value = match kind {
        Kind::Waves => waves(x, y, width, height, c),
        Kind::Noise => byte,
        Kind::Grainy => waves(x, y, width, height, c) * 7 / 8 + byte / 8,
        Kind::Blocks => ((x * 5 / width) * 2 + (y * 7 / height) * 3 + c) % 6 * 51,
        Kind::Blank => 90 + 40 * c,
        Kind::Symmetric => {
            let (dx, dy) = (x.min(width - 1 - x), y.min(height - 1 - y));
            (dx * 160 / width + dy * 300 / height + 20 * c).min(255)
        }
        Kind::Checks => (x * 64 / width + y * 64 / width) % 2 * 255,
    };
    value.clamp(0, 255) as u8
}

/// Eight waves over the picture, about 128 in the middle.
fn waves(x: i64, y: i64, width: i64, height: i64, c: i64) -> i64 {
    const FREQUENCIES: [(i64, i64); 8] =
        [(1, 2), (3, -1), (0, 5), (7, 4), (-6, 9), (11, 2), (5, 13), (16, -15)];
    let sum: i64 = FREQUENCIES
        .iter()
        .enumerate()
        .map(|(i, (fx, fy))| {
            let phase = (x * fx * 1024) / width + (y * fy * 1024) / height + (i as i64 * 379 + c * 97);
            wave(phase) / (2 + i as i64)
        })
        .sum();
    128 + sum * 120 / 1900
}

/// A sine-like wave from two parabolas: period 1024, -1024 to 1024.
fn wave(phase: i64) -> i64 {
    let p = phase.rem_euclid(1024);
    let half = p % 512;
    let arch = half * (512 - half) / 64;
    if p < 512 { arch } else { -arch }
}

/// Sebastiano Vigna's generator, for repeatable noise.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}
