//! Times model fingerprints on a safetensors file of half-precision weights: one JSON object a line.
//!
//! `bench_models FILE [GIB]` writes FILE when it is not there (synthetic weights in the shapes of a diffusion
//! model's layers), reads it once so that it is in the page cache, and then measures on one thread: the sketch alone,
//! and everything in one pass. Rates are of processor time where the system tells it, so that neighbours on the
//! machine do not count. The last line is the peak of this process's memory.
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark opens files, looks at the clock and its arguments"
)]

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::Instant;

use hashpact_hashing::models;

/// Sides of the layers, as in a large diffusion model.
const SHAPES: [[u64; 4]; 8] = [
    [1280, 1280, 3, 3],
    [1280, 1280, 1, 1],
    [10240, 1280, 1, 1],
    [1280, 5120, 1, 1],
    [640, 640, 3, 3],
    [640, 2048, 1, 1],
    [320, 320, 3, 3],
    [1280, 2048, 1, 1],
];
/// Times that each measurement is taken; the best counts, since machines have moods.
const TURNS: usize = 3;

fn write(path: &Path, bytes: u64) -> std::io::Result<()> {
    let (mut header, mut at, mut nth) = (String::from("{"), 0u64, 0);
    while at < bytes {
        let shape = SHAPES[nth % SHAPES.len()];
        let end = at + shape.iter().product::<u64>() * 2;
        let comma = if nth == 0 { "" } else { "," };
        header += &format!(
            "{comma}\"layer.{nth}\":{{\"dtype\":\"F16\",\"shape\":{shape:?},\"data_offsets\":[{at},{end}]}}"
        );
        (at, nth) = (end, nth + 1);
    }
    header.push('}');
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(header.as_bytes())?;
    let mut state = 1u64;
    let mut portion = Vec::with_capacity(1 << 20);
    for start in (0..at).step_by(1 << 20) {
        portion.clear();
        while portion.len() < (at - start).min(1 << 20) as usize {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // A sign, an exponent of about 2^-6, ten bits of fraction: numbers like weights.
            let half = (state >> 48) as u16 & 0x8fff | 0x2000;
            portion.extend(half.to_le_bytes());
        }
        file.write_all(&portion)?;
    }
    file.flush()
}

/// Millions of values a second, the best of several turns.
fn rate(path: &Path, values: u64, mut work: impl FnMut(&mut File)) -> std::io::Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..TURNS {
        let mut file = File::open(path)?;
        let (clock, processor) = (Instant::now(), processor_seconds());
        work(&mut file);
        let used = processor.zip(processor_seconds()).map(|(before, after)| after - before);
        best = best.min(used.unwrap_or_else(|| clock.elapsed().as_secs_f64()));
    }
    Ok(values as f64 / best / 1e6)
}

/// Processor time of this program's one thread so far.
fn processor_seconds() -> Option<f64> {
    let times = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    times.split_whitespace().next()?.parse::<f64>().ok().map(|nanoseconds| nanoseconds / 1e9)
}

/// The most memory that this process had, in mebibytes; nothing where the system does not say.
fn peak_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok().map(|kib| kib / 1024.0)
}

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let path = arguments.next().expect("the first argument is a file");
    let gib: f64 =
        arguments.next().map_or(1.0, |text| text.to_string_lossy().parse().expect("a number of GiB"));
    let path = Path::new(&path);
    if !path.is_file() {
        write(path, (gib * (1u64 << 30) as f64) as u64)?;
    }
    let mut parameters = 0;
    // Also brings the file into the page cache.
    let sketches = models::read_sketches(&mut File::open(path)?, |_| ())?;
    if let Some(Ok(weights)) = sketches {
        parameters = weights.parameters;
    }
    let sketch = rate(path, parameters, |file| {
        models::read_sketches(file, |_| ()).expect("the file can be read");
    })?;
    let everything = rate(path, parameters, |file| {
        models::read(file, |_| ()).expect("the file can be read");
    })?;
    println!(r#"{{"metric":"models_sketch","value":{sketch:.0},"unit":"M parameters/s"}}"#);
    println!(r#"{{"metric":"models_everything","value":{everything:.0},"unit":"M parameters/s"}}"#);
    if let Some(peak) = peak_mib() {
        let size = std::fs::metadata(path)?.len() as f64 / (1u64 << 30) as f64;
        println!(r#"{{"metric":"models_peak_memory","value":{peak:.0},"unit":"MiB","file_gib":{size:.2}}}"#);
    }
    Ok(())
}
