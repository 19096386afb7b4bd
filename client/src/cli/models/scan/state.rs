//! What a scan has done: the file that makes it resumable.
//!
//! One JSON object a line, only ever appended to, each on disk before the next model is read:
//!
//! ```text
//! {"hashpact_models_scan":1}
//! {"path":"unet/model.safetensors","stamp":"<size>:<time of last change>","result":{…}}
//! ```
//!
//! A kill leaves at most half a line, which is cut off when the file is opened again. A later line about a path stands in
//! the place of an earlier one. Whoever can write the file can make a scan pass models over; whoever deletes it loses the
//! time of reading them again. It holds identifiers and names of files: it stays on this machine.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How every such file begins.
const HEADER: &str = "{\"hashpact_models_scan\":1}";
/// The longest line that is read, in bytes.
const LINE_MAX_BYTES: u64 = 1 << 20;

/// One model that was read.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    path: String,
    stamp: String,
    result: Value,
}

/// Stamp and result of what was read, by path.
type Done = BTreeMap<String, (String, Value)>;

/// The open file, with what it says.
#[derive(Debug)]
pub(super) struct State {
    file: File,
    done: Done,
}

impl State {
    /// Opens or makes the file. Another scan that has it open is waited for by nobody: it is an error.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).with_context(|| format!("state file {shown}"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("state file {shown} is in use: another scan is running"),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("state file {shown}"));
            }
        }
        let (done, end) = Self::read(&file).with_context(|| format!("state file {shown}"))?;
        let mut state = Self { file, done };
        state.file.set_len(end).with_context(|| format!("state file {shown}"))?;
        if end == 0 {
            state.write(HEADER)?;
        }
        Ok(state)
    }

    /// What it says, and where its last whole line ends.
    fn read(file: &File) -> anyhow::Result<(Done, u64)> {
        let mut reader = BufReader::new(file);
        reader.seek(SeekFrom::Start(0))?;
        let (mut done, mut end, mut number) = (BTreeMap::new(), 0u64, 0u64);
        loop {
            let mut line = Vec::new();
            let taken = std::io::Read::take(&mut reader, LINE_MAX_BYTES).read_until(b'\n', &mut line)?;
            if taken as u64 == LINE_MAX_BYTES {
                bail!("line {} is longer than {LINE_MAX_BYTES} bytes; name another file", number + 1);
            }
            if line.pop() != Some(b'\n') {
                // Nothing, or a line that was cut short. A file that is something else altogether is not cut.
                let is_ours = end > 0 || line.is_empty() || HEADER.as_bytes().starts_with(&line);
                if !is_ours {
                    bail!("it is not the state of a scan; name another file");
                }
                return Ok((done, end));
            }
            number += 1;
            if number == 1 {
                if line != HEADER.as_bytes() {
                    bail!("it is not the state of a scan; name another file");
                }
            } else {
                let line: Line = serde_json::from_slice(&line)
                    .with_context(|| format!("line {number} is damaged; move the file away to start anew"))?;
                done.insert(line.path, (line.stamp, line.result));
            }
            end += taken as u64;
        }
    }

    /// What was found about a model, unless it changed since.
    pub(super) fn known(&self, path: &str, stamp: &str) -> Option<&Value> {
        self.done.get(path).filter(|(known, _)| known == stamp).map(|(_, result)| result)
    }

    /// Remembers a model: on disk when this returns.
    pub(super) fn remember(&mut self, path: &str, stamp: &str, result: &Value) -> anyhow::Result<()> {
        let line = Line { path: path.to_owned(), stamp: stamp.to_owned(), result: result.clone() };
        let line = serde_json::to_string(&line).expect("a line of strings and JSON is JSON");
        self.write(&line).context("the state of the scan cannot be written")
    }

    fn write(&mut self, line: &str) -> anyhow::Result<()> {
        // One call, so that a full disk leaves half a line at most.
        self.file.write_all(format!("{line}\n").as_bytes())?;
        self.file.sync_data()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_was_done_is_known_again_and_half_a_line_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let result = serde_json::json!({"ids": {"sha256": "00"}});
        let mut state = State::open(&path).unwrap();
        assert!(State::open(&path).unwrap_err().to_string().contains("in use"));
        state.remember("a", "1:2", &result).unwrap();
        state.remember("b", "1:2", &result).unwrap();
        drop(state);
        let whole = fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let state = State::open(&path).unwrap();
            let kept = fs::read(&path).unwrap();
            assert!(kept.ends_with(b"\n") && (whole.starts_with(&kept)), "cut at {cut}");
            assert!(state.known("b", "1:2").is_none());
        }
        fs::write(&path, &whole).unwrap();
        let mut state = State::open(&path).unwrap();
        assert_eq!(state.known("a", "1:2"), Some(&result));
        assert_eq!(state.known("a", "1:3"), None, "another time of change");
        state.remember("a", "1:3", &Value::Null).unwrap();
        drop(state);
        assert_eq!(State::open(&path).unwrap().known("a", "1:3"), Some(&Value::Null));
    }

    #[test]
    fn another_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        for text in ["notes", "notes\n", "{\"hashpact_models_scan\":1}\nnotes\n"] {
            fs::write(&path, text).unwrap();
            assert!(State::open(&path).is_err(), "{text}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}
