//! Signals of files: the only place of this program that reads media.
//!
//! A file that is no picture is digested as a stream, however large; a picture is read whole, up to
//! a bound, and hashed under the decode limits. Work is spread over the processors in portions, and
//! results come out in the order of the inputs. What leaves this file are [`HashedFile`]s.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use hashpact_client::list::genmeta::described;
use hashpact_client::list::jsonl::{HashedFile, HashedSignal};
use hashpact_hashing::decode::{self, DecodeLimits};
use hashpact_hashing::digest::{self, Digests};
use hashpact_hashing::file::{self, ImageOutcome};
use hashpact_hashing::genmeta;
use hashpact_protocol::digest::hex_encode;
use rayon::prelude::*;

use super::inputs::Input;

/// The largest picture file that is read, in bytes.
const PICTURE_MAX_BYTES: u64 = 512 * 1024 * 1024;
/// Bytes that suffice to recognise a picture format.
const HEAD_BYTES: u64 = 64;
/// Files hashed between two results, for each processor.
const PORTION_PER_THREAD: usize = 8;

/// Hashes `inputs` in order and hands each result to `emit`.
pub(crate) fn hash_all(
    inputs: impl Iterator<Item = Input>,
    mut emit: impl FnMut(HashedFile) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let limits = DecodeLimits::default();
    let portion = rayon::current_num_threads() * PORTION_PER_THREAD;
    let mut inputs = inputs.peekable();
    while inputs.peek().is_some() {
        let some: Vec<Input> = inputs.by_ref().take(portion).collect();
        let hashed: Vec<HashedFile> = some.par_iter().map(|input| hash_input(input, &limits)).collect();
        for file in hashed {
            emit(file)?;
        }
    }
    Ok(())
}

fn hash_input(input: &Input, limits: &DecodeLimits) -> HashedFile {
    let file = input.path.to_string_lossy().into_owned();
    let result = match &input.problem {
        Some(problem) => Err(problem.clone()),
        None => hash_file(&input.path, limits),
    };
    let hashed = result.unwrap_or_else(|error| HashedFile { error: Some(error), ..HashedFile::default() });
    HashedFile { file, ..hashed }
}

/// The signals of one file, why its picture has none, and what it says about its making; without its name.
fn hash_file(path: &Path, limits: &DecodeLimits) -> Result<HashedFile, String> {
    let io = |error: std::io::Error| error.to_string();
    let mut file = File::open(path).map_err(io)?;
    let mut head = Vec::new();
    file.by_ref().take(HEAD_BYTES).read_to_end(&mut head).map_err(io)?;
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    if decode::format_of(&head).is_none() {
        let signals = digest_signals(&digest::digest_reader(file).map_err(io)?);
        return Ok(HashedFile { signals, ..HashedFile::default() });
    }
    let size_bytes = file.metadata().map_err(io)?.len();
    if size_bytes > PICTURE_MAX_BYTES {
        let digests = digest::digest_reader(file).map_err(io)?;
        let error =
            format!("picture file of {size_bytes} bytes; more than {PICTURE_MAX_BYTES} are not decoded");
        let signals = digest_signals(&digests);
        return Ok(HashedFile { signals, error: Some(error), ..HashedFile::default() });
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size_bytes).unwrap_or(0) + 1);
    // The bound again: a file that is being written to may have grown.
    file.take(PICTURE_MAX_BYTES).read_to_end(&mut bytes).map_err(io)?;
    let found = file::hash_bytes(&bytes, limits);
    let (mut signals, error) = match found.image {
        ImageOutcome::Hashed(pdq) => {
            let [value, variants @ ..] = pdq.hashes.map(|hash| hex_encode(&hash));
            let signal = HashedSignal {
                signal_type: "pdq".to_owned(),
                value,
                quality: Some(pdq.quality),
                variants: variants.to_vec(),
            };
            (vec![signal], None)
        }
        ImageOutcome::NotAnImage => (Vec::new(), None),
        ImageOutcome::Failed(error) => {
            (Vec::new(), Some(format!("the picture could not be hashed: {error}")))
        }
    };
    signals.extend(digest_signals(&found.digests));
    let genmeta = described(&genmeta::read(&bytes)).map(Box::new);
    Ok(HashedFile { signals, genmeta, error, ..HashedFile::default() })
}

fn digest_signals(digests: &Digests) -> Vec<HashedSignal> {
    let exact = |name: &str, value: &[u8]| HashedSignal {
        signal_type: name.to_owned(),
        value: hex_encode(value),
        ..HashedSignal::default()
    };
    vec![exact("md5", &digests.md5), exact("sha1", &digests.sha1), exact("sha256", &digests.sha256)]
}
