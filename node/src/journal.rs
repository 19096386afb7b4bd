//! `data/journal`: administrative actions on this node, one JSON object a line, chained by digests (SPEC §12.10).
//!
//! Recoveries, overrides, installed rosters, tokens, keys and lists are written and synced here *before* they take effect,
//! so that an auditor finds each of them, also the one that a crash cut short. Only ever appended to, by the running
//! node and by commands beside it, under a lock of the file. It holds no signals and no look-up queries.
//!
//! `data/journal.head` remembers the newest line, so that lines that were taken off the end are missed as well. Whoever can
//! write both files can forge what no audit bundle has carried away yet; a bundle's holder signs the journal as it is.
//! A journal whose end is not the one that is remembered takes no further line; `hashpact-node journal restart` puts a broken one aside
//! and begins a new one that says so.

use crate::driver::now_ms;
use crate::rosters::write_whole;
use anyhow::Context as _;
use hashpact_protocol::api::time::rfc3339;
use hashpact_protocol::digest::{hex_array, hex_encode};
use hashpact_protocol::journal::{JOURNAL_LINE_MAX_BYTES, JournalError, JournalHead, encode_line, verify};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

const HEAD_FORMAT: &str = "hashpact-journal-head-1";

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// Somebody at the command line, by the name of the system's account.
    Command(String),
    /// Whoever holds this token of the API, by the token's name.
    Token(String),
    /// The program by itself.
    Node,
}

impl Actor {
    /// Whoever runs this command.
    #[must_use]
    pub fn of_command() -> Self {
        let uid = std::fs::metadata("/proc/self").map(|own| own.uid()).ok();
        let named = uid.and_then(account).or(uid.map(|uid| format!("uid-{uid}")));
        Self::Command(named.unwrap_or_else(|| "unknown".to_owned()))
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(account) => write!(f, "cli:{account}"),
            Self::Token(name) => write!(f, "token:{name}"),
            Self::Node => f.write_str("node"),
        }
    }
}

/// The account with this number, as the system's list has it.
fn account(uid: u32) -> Option<String> {
    let list = std::fs::read_to_string("/etc/passwd").ok()?;
    let mut accounts = list.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let found = accounts.find(|fields| fields.get(2).is_some_and(|number| **number == uid.to_string()))?;
    found.first().map(|name| (*name).to_owned())
}

/// Why a journal is not believed, or cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalFault {
    /// The chain is broken.
    #[error("the journal {} is broken: {detail}", path.display())]
    Chain {
        /// The file.
        path: PathBuf,
        /// Where and how.
        detail: JournalError,
    },
    /// Lines are missing at its end.
    #[error("the journal {} was cut: {lines} lines were written, {found} are there", path.display())]
    Cut {
        /// The file.
        path: PathBuf,
        /// Lines that the head remembers.
        lines: u64,
        /// Lines that are there.
        found: u64,
    },
    /// The line that the head remembers is another.
    #[error("the journal {} was changed: line {line} is not the one that was written", path.display())]
    Replaced {
        /// The file.
        path: PathBuf,
        /// Which.
        line: u64,
    },
    /// The head is gone or makes no sense.
    #[error("{} {what}", path.display())]
    Head {
        /// The head's file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The file system.
    #[error("cannot use the journal {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The newest line, and where it ends in the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Remembered {
    head: JournalHead,
    bytes: u64,
}

/// Adds one line, synced; returns before that only with an error, and then the action must not be done.
///
/// # Errors
/// The file cannot be written, or [`JournalFault`]: the journal is broken.
pub fn record(path: &Path, actor: &Actor, action: &str, details: &serde_json::Value) -> anyhow::Result<()> {
    let fields = format!(
        "\"time\":{},\"actor\":{},\"action\":{},\"details\":{details}",
        serde_json::json!(rfc3339(now_ms())),
        serde_json::json!(actor.to_string()),
        serde_json::json!(action)
    );
    append(path, &fields).with_context(|| format!("{action} was not done, for it cannot be journalled"))
}

fn append(path: &Path, fields: &str) -> Result<(), JournalFault> {
    let io = |source| JournalFault::Io { path: path.to_owned(), source };
    let mut file = locked(path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    let before = newest(path, &mut file, length)?;
    if before.bytes < length {
        // A crash while it was written: what it was to record was not done.
        file.set_len(before.bytes).map_err(io)?;
    }
    let line = encode_line(&before.head, fields);
    let chain = |detail| JournalFault::Chain { path: path.to_owned(), detail };
    let head = verify(before.head, line.as_bytes()).map_err(chain)?;
    file.seek(SeekFrom::End(0)).map_err(io)?;
    file.write_all(line.as_bytes()).map_err(io)?;
    file.sync_all().map_err(io)?;
    remember(path, &Remembered { head, bytes: before.bytes + line.len() as u64 })
}

/// A file that may be replaced as a whole, made (for its owner only) if it is missing, and locked against everybody else
/// who changes it this way.
pub(crate) fn locked(path: &Path) -> io::Result<File> {
    loop {
        let file =
            OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(path)?;
        file.lock()?;
        // It may have been put aside while we waited.
        let is_same = std::fs::metadata(path).is_ok_and(|now| {
            file.metadata().is_ok_and(|own| (own.dev(), own.ino()) == (now.dev(), now.ino()))
        });
        if is_same {
            return Ok(file);
        }
    }
}

/// The newest whole line: what the head remembers, and what a crash left behind that.
fn newest(path: &Path, file: &mut File, length: u64) -> Result<Remembered, JournalFault> {
    let io = |source| JournalFault::Io { path: path.to_owned(), source };
    let remembered = read_head(path)?.unwrap_or_default();
    if length < remembered.bytes {
        return Err(count_cut(path, &remembered));
    }
    file.seek(SeekFrom::Start(remembered.bytes)).map_err(io)?;
    let mut rest = Vec::new();
    file.take(length - remembered.bytes).read_to_end(&mut rest).map_err(io)?;
    let whole = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let whole = rest.get(..whole).unwrap_or_default();
    let head = verify(remembered.head, whole)
        .map_err(|detail| JournalFault::Chain { path: path.to_owned(), detail })?;
    if remembered == Remembered::default() && head.lines > 1 {
        return Err(JournalFault::Head {
            path: head_file(path),
            what: "is missing, and the journal has lines",
        });
    }
    Ok(Remembered { head, bytes: remembered.bytes + whole.len() as u64 })
}

/// How many lines are left of a journal that is shorter than it was.
fn count_cut(path: &Path, remembered: &Remembered) -> JournalFault {
    let text = std::fs::read(path).unwrap_or_default();
    let found = text.iter().filter(|byte| **byte == b'\n').count() as u64;
    JournalFault::Cut { path: path.to_owned(), lines: remembered.head.lines, found }
}

/// Where the newest line is remembered.
fn head_file(path: &Path) -> PathBuf {
    path.with_extension("head")
}

fn remember(path: &Path, newest: &Remembered) -> Result<(), JournalFault> {
    let Remembered { head, bytes } = newest;
    let text = format!("{HEAD_FORMAT} {} {bytes} {}\n", head.lines, hex_encode(&head.digest));
    let file = head_file(path);
    write_whole(&file, text.as_bytes())
        .map_err(|error| JournalFault::Io { path: file, source: io::Error::other(format!("{error:#}")) })
}

fn read_head(path: &Path) -> Result<Option<Remembered>, JournalFault> {
    let file = head_file(path);
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(JournalFault::Io { path: file, source }),
    };
    let parse = || {
        let words: Vec<&str> = text.strip_suffix('\n')?.split(' ').collect();
        let [HEAD_FORMAT, lines, bytes, digest] = words[..] else { return None };
        let head = JournalHead { lines: lines.parse().ok()?, digest: hex_array(digest).ok()? };
        Some(Remembered { head, bytes: bytes.parse().ok()? })
    };
    parse().map(Some).ok_or(JournalFault::Head { path: file, what: "is not what the program writes" })
}

/// Verifies every line; gives the newest one. A last line that a crash tore does not count.
///
/// # Errors
/// [`JournalFault`] names the line that was changed or cut.
pub fn check(path: &Path) -> Result<JournalHead, JournalFault> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(source) => return Err(JournalFault::Io { path: path.to_owned(), source }),
    };
    let chain = |detail| JournalFault::Chain { path: path.to_owned(), detail };
    let remembered = read_head(path)?;
    let known = remembered.unwrap_or_default();
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let whole = bytes.get(..whole).unwrap_or_default();
    let Some((written, since)) = usize::try_from(known.bytes).ok().and_then(|at| whole.split_at_checked(at))
    else {
        verify(JournalHead::default(), whole).map_err(chain)?;
        return Err(count_cut(path, &known));
    };
    let head = verify(JournalHead::default(), written).map_err(chain)?;
    if head != known.head {
        return Err(JournalFault::Replaced { path: path.to_owned(), line: head.lines });
    }
    let head = verify(head, since).map_err(chain)?;
    if remembered.is_none() && head.lines > 1 {
        return Err(JournalFault::Head {
            path: head_file(path),
            what: "is missing, and the journal has lines",
        });
    }
    Ok(head)
}

/// The journal's bytes for an audit bundle, as they are, without a last line that is just being written; empty if there is none.
///
/// # Errors
/// It cannot be read.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    if bytes.len() - whole <= JOURNAL_LINE_MAX_BYTES {
        bytes.truncate(whole);
    }
    Ok(bytes)
}

/// Puts a broken journal aside and begins a new one, whose first line says so and names the digest of the old file.
/// Gives the name of the file that was put aside.
///
/// # Errors
/// There is nothing wrong with it, or a file cannot be written.
pub fn restart(path: &Path, actor: &Actor, reason: &str) -> anyhow::Result<PathBuf> {
    let Err(fault) = check(path) else {
        anyhow::bail!("the journal {} is whole; it goes on", path.display())
    };
    let lock = locked(path).with_context(|| path.display().to_string())?;
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    let aside = path.with_extension(format!("broken-{}", now_ms()));
    std::fs::copy(path, &aside).with_context(|| aside.display().to_string())?;
    File::open(&aside).and_then(|file| file.sync_all()).with_context(|| aside.display().to_string())?;
    let details = serde_json::json!({
        "reason": reason, "fault": fault.to_string(), "kept": aside.file_name().map(|name| name.to_string_lossy()),
        "bytes": bytes.len(), "sha256": hex_encode(&hashpact_protocol::digest::sha256(&[&bytes])),
    });
    // The head goes first: a crash here leaves a journal that is still broken, and this can be done again.
    match std::fs::remove_file(head_file(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    lock.set_len(0)?;
    lock.sync_all()?;
    drop(lock);
    record(path, actor, "restart-journal", &details)?;
    Ok(aside)
}

#[cfg(test)]
mod tests;
