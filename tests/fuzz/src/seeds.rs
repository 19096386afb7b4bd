//! What fuzzing begins with: the files of `seeds`, and test vectors of the repository.

use std::fs;
use std::path::{Path, PathBuf};

use hashpact_protocol::leaf::Kind;

/// Beginnings of model files are enough, and quicker.
const MODEL_MAX_BYTES: usize = 6000;
/// The variable that names the folder into which a target writes its seeds before it starts.
const FOLDER: &str = "HASHPACT_FUZZ_SEEDS";

/// The seeds of a target, in a fixed order.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seeds: Vec<Vec<u8>> = files(&here.join("seeds").join(target)).iter().map(read).collect();
    match target {
        "models" => {
            let vectors = files(&here.join("../vectors/models"));
            seeds.extend(vectors.iter().map(|path| {
                let mut file = read(path);
                file.truncate(MODEL_MAX_BYTES);
                file
            }));
        }
        "payloads" => {
            let vectors = files(&here.join("../vectors/records"));
            seeds.extend(vectors.iter().filter_map(|path| payload(&String::from_utf8(read(path)).ok()?)));
        }
        _ => {}
    }
    seeds
}

/// Writes the seeds of a target where the variable says, if it says so.
pub fn write(target: &str) {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    for (nth, seed) in of(target).iter().enumerate() {
        let path = Path::new(&folder).join(format!("seed-{nth}"));
        fs::write(&path, seed).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

/// A vector of a payload, behind the two bytes of the target.
fn payload(vector: &str) -> Option<Vec<u8>> {
    let field = |name: &str| vector.lines().find_map(|line| line.strip_prefix(name));
    let kind = Kind::ALL.iter().position(|kind| Some(kind.name()) == field("kind: "))?;
    let more = u8::from(field("subject: ") == Some("yes"));
    let digits = field("cbor: ")?;
    let byte = |at: usize| u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok();
    Some([kind as u8, more].into_iter().chain((0..digits.len() / 2).map_while(byte)).collect())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(files) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = files.filter_map(|file| Some(file.ok()?.path())).collect();
    paths.sort();
    paths
}

fn read(path: &PathBuf) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
