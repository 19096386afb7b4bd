//! The journal of one import: what makes a killed import resumable without stating a line twice.
//!
//! A small text file beside the list, one JSON object a line, only ever appended to:
//!
//! ```text
//! {"hashpact_import":1,"identity":"<64 hex>","settings":"<64 hex>"}
//! {"begin":{"first_line":2,"last_line":2001,"records":2000,"key":"<64 hex>","chain":"<64 hex>"}}
//! {"done":{"last_line":2001,"records":2000,"log":"<origin>","index_first":0,"index_last":1999}}
//! ```
//!
//! `begin` is on disk before a batch is sent. Up to [`UNDER_WAY_MAX`] batches are under way at once, because a node
//! makes those durable together that arrive together; they are done in the order in which they began. A kill leaves
//! of each one of three things behind: it never began (it begins), it began (it is sent again *with the same lines
//! and the same key*, so a node that had already stated it answers with the receipts of the first time), or it
//! is done (it is passed over). A half-written
//! last line is one that was never synced; it is cut off when the journal is opened.
//!
//! The journal holds digests, line numbers and log positions, never a signal or a label. Whoever
//! can write it can make the import skip or repeat lines; whoever deletes it loses nothing but the
//! place: the keys depend on the list alone, so the node recognises the batches.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The largest journal that is opened, in bytes: some 150 million lines at the usual batch size.
const JOURNAL_MAX_BYTES: u64 = 32 * 1024 * 1024;

/// Batches that may be under way at once.
pub const UNDER_WAY_MAX: usize = 8;

/// How every journal begins.
const HEADER_START: &[u8] = b"{\"hashpact_import\":1,";

/// Why a journal cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JournalError {
    /// Reading or writing failed.
    #[error("journal {}: {source}", .path.display())]
    Io {
        /// The journal.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// Another process has it open.
    #[error("journal {} is in use: another import of this list is running", .path.display())]
    InUse {
        /// The journal.
        path: PathBuf,
    },
    /// A line before the last is not one of ours.
    #[error("journal {} line {line} is not a journal entry; move the file away to start over", .path.display())]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
    },
    /// It belongs to an import with other options.
    #[error("journal {} was started with other labels, format, column options or group; use the same ones, or another --state file", .path.display())]
    OtherSettings {
        /// The journal.
        path: PathBuf,
    },
    /// It is larger than any real journal.
    #[error("journal {} has {size_bytes} bytes, more than {JOURNAL_MAX_BYTES}", .path.display())]
    TooLarge {
        /// The journal.
        path: PathBuf,
        /// Its size.
        size_bytes: u64,
    },
}

/// Whether a journal is a header alone, of other settings.
fn is_unused(bytes: &[u8], settings: &str) -> bool {
    let header: Option<Header> = bytes.strip_suffix(b"\n").and_then(|line| serde_json::from_slice(line).ok());
    header.is_some_and(|header| header.hashpact_import == 1 && header.settings != settings)
}

/// A batch that is about to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Begin {
    /// First line of the list that the batch covers.
    pub first_line: u64,
    /// Last line that it covers, inclusive.
    pub last_line: u64,
    /// Records in it.
    pub records: u64,
    /// Its idempotency key.
    pub key: String,
    /// Digest of the list from its start to `last_line`.
    pub chain: String,
}

/// A batch that the node acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Done {
    /// Last line that it covered.
    pub last_line: u64,
    /// Records in it.
    pub records: u64,
    /// The log that holds them.
    pub log: String,
    /// Index of its first record in that log.
    pub index_first: u64,
    /// Index of its last record.
    pub index_last: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    hashpact_import: u32,
    identity: String,
    settings: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Entry {
    Begin(Begin),
    Done(Done),
}

/// An open journal; see the module's text.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    identity: String,
    acknowledged: Option<Begin>,
    pending: VecDeque<Begin>,
    records_done: u64,
}

impl Journal {
    /// Opens the journal at `path`, or starts one with `identity` if there is none.
    ///
    /// `settings` is a digest of everything but the list itself that decides what is stated; a
    /// journal that was started with other settings is refused.
    ///
    /// # Errors
    /// A [`JournalError`]; an existing journal is not changed then.
    pub fn open(path: &Path, identity: &str, settings: &str) -> Result<Journal, JournalError> {
        let io_error = |source| JournalError::Io { path: path.to_owned(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(io_error)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(JournalError::InUse { path: path.to_owned() });
            }
            Err(std::fs::TryLockError::Error(source)) => return Err(io_error(source)),
        }
        let size_bytes = file.metadata().map_err(io_error)?.len();
        if size_bytes > JOURNAL_MAX_BYTES {
            return Err(JournalError::TooLarge { path: path.to_owned(), size_bytes });
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io_error)?;
        // Whatever follows the last line end was cut off by a kill and never relied upon.
        let mut kept_bytes = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if kept_bytes == 0 && !(HEADER_START.starts_with(&bytes) || bytes.starts_with(HEADER_START)) {
            // Somebody's file, not our cut-off header: it must survive a mistyped option.
            return Err(JournalError::Damaged { path: path.to_owned(), line: 1 });
        }
        // Where nothing was begun, nothing binds whoever tries again with other options.
        if is_unused(&bytes[..kept_bytes], settings) {
            kept_bytes = 0;
        }
        let mut journal = Journal {
            path: path.to_owned(),
            file,
            identity: identity.to_owned(),
            acknowledged: None,
            pending: VecDeque::new(),
            records_done: 0,
        };
        journal.replay(&bytes[..kept_bytes], settings)?;
        journal.file.set_len(kept_bytes as u64).map_err(io_error)?;
        journal.file.seek(SeekFrom::End(0)).map_err(io_error)?;
        if kept_bytes == 0 {
            let header =
                Header { hashpact_import: 1, identity: identity.to_owned(), settings: settings.to_owned() };
            journal.append(&header)?;
            sync_folder_of(path).map_err(io_error)?;
        }
        Ok(journal)
    }

    fn replay(&mut self, bytes: &[u8], settings: &str) -> Result<(), JournalError> {
        for (at, line) in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).enumerate() {
            let damaged = || JournalError::Damaged { path: self.path.clone(), line: at + 1 };
            if at == 0 {
                let header: Header = serde_json::from_slice(line).map_err(|_| damaged())?;
                if header.hashpact_import != 1 {
                    return Err(damaged());
                }
                if header.settings != settings {
                    return Err(JournalError::OtherSettings { path: self.path.clone() });
                }
                self.identity = header.identity;
                continue;
            }
            match serde_json::from_slice(line).map_err(|_| damaged())? {
                Entry::Begin(begin) => {
                    let before = self.pending.back().or(self.acknowledged.as_ref());
                    let after = before.map_or(0, |begun| begun.last_line);
                    if self.pending.len() == UNDER_WAY_MAX
                        || begin.first_line <= after
                        || begin.last_line < begin.first_line
                    {
                        return Err(damaged());
                    }
                    self.pending.push_back(begin);
                }
                Entry::Done(done) => match self.pending.pop_front() {
                    Some(begin) if begin.last_line == done.last_line => {
                        self.records_done += done.records;
                        self.acknowledged = Some(begin);
                    }
                    _ => return Err(damaged()),
                },
            }
        }
        Ok(())
    }

    /// The identity that the keys of this import are derived from.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The last batch that the node acknowledged.
    pub fn acknowledged(&self) -> Option<&Begin> {
        self.acknowledged.as_ref()
    }

    /// Batches that began and may or may not have reached the node, in their order.
    pub fn pending(&self) -> impl ExactSizeIterator<Item = &Begin> {
        self.pending.iter()
    }

    /// Records acknowledged so far, over all runs.
    pub fn records_done(&self) -> u64 {
        self.records_done
    }

    /// Notes that `begin` is about to be sent; on disk when this returns.
    ///
    /// # Errors
    /// Writing failed; the batch must not be sent.
    ///
    /// # Panics
    /// When too many are under way.
    pub fn begin(&mut self, begin: Begin) -> Result<(), JournalError> {
        assert!(self.pending.len() < UNDER_WAY_MAX, "at most {UNDER_WAY_MAX} batches are under way");
        self.append(&Entry::Begin(begin.clone()))?;
        self.pending.push_back(begin);
        Ok(())
    }

    /// Notes that the first batch under way was acknowledged; on disk when this returns.
    ///
    /// # Errors
    /// Writing failed; the next batch must not begin.
    ///
    /// # Panics
    /// When `done` is not about the first batch under way.
    pub fn done(&mut self, done: Done) -> Result<(), JournalError> {
        let begin = self.pending.pop_front().expect("a batch is done only after it began");
        assert_eq!(begin.last_line, done.last_line, "the receipt is about the first batch under way");
        self.records_done += done.records;
        self.append(&Entry::Done(done))?;
        self.acknowledged = Some(begin);
        Ok(())
    }

    fn append<T: Serialize>(&mut self, entry: &T) -> Result<(), JournalError> {
        let mut line = serde_json::to_vec(entry).expect("entries have string keys only");
        line.push(b'\n');
        self.file
            .write_all(&line)
            .and_then(|()| self.file.sync_data())
            .map_err(|source| JournalError::Io { path: self.path.clone(), source })
    }
}

impl Drop for Journal {
    /// Closing alone would not do: a child process that is just being started holds a copy of the open
    /// file until it becomes another program, and with it the lock.
    fn drop(&mut self) {
        // Nothing to be done about a failure; the lock then ends with the process.
        let _ = self.file.unlock();
    }
}

/// Makes a new file's name durable, not only its content.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(first_line: u64, last_line: u64) -> Begin {
        Begin { first_line, last_line, records: 1, key: "k".into(), chain: "c".into() }
    }

    fn done(last_line: u64) -> Done {
        Done { last_line, records: 1, log: "c/a/1".into(), index_first: 0, index_last: 0 }
    }

    #[test]
    fn every_cut_of_a_journal_opens_to_a_state_it_was_in() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.journal");
        let mut sizes = Vec::new();
        {
            let mut journal = Journal::open(&path, "id", "set").unwrap();
            let mut note = |j: &Journal| {
                sizes.push((
                    std::fs::metadata(&path).unwrap().len(),
                    j.acknowledged.clone(),
                    j.pending.front().cloned(),
                ))
            };
            note(&journal);
            for (first, last) in [(1, 4), (5, 9)] {
                journal.begin(begin(first, last)).unwrap();
                note(&journal);
                journal.done(done(last)).unwrap();
                note(&journal);
            }
        }
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..=whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let mut journal = Journal::open(&path, "other", "set").unwrap();
            let expected = sizes.iter().rev().find(|(size, ..)| *size <= cut as u64);
            let (acknowledged, pending) = expected.map_or((None, None), |(_, a, p)| (a.clone(), p.clone()));
            assert_eq!(
                (journal.acknowledged().cloned(), journal.pending().next().cloned()),
                (acknowledged, pending),
                "cut at {cut}"
            );
            assert_eq!(journal.identity(), if expected.is_some() { "id" } else { "other" });
            // And it goes on from there.
            let pending = journal.pending().next().cloned();
            if let Some(pending) = pending {
                journal.done(done(pending.last_line)).unwrap();
            }
            journal.begin(begin(10, 12)).unwrap();
            drop(journal);
            assert_eq!(Journal::open(&path, "x", "set").unwrap().pending().next(), Some(&begin(10, 12)));
        }
    }

    #[test]
    fn journals_that_are_not_ours_are_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j");
        let header = r#"{"hashpact_import":1,"identity":"i","settings":"set"}"#;
        let open_begin = r#"{"begin":{"first_line":1,"last_line":2,"records":1,"key":"k","chain":"c"}}"#;
        for (text, what) in [
            ("type,value\n".to_owned(), "line 1 is not"),
            ("one line, no end".to_owned(), "line 1 is not"),
            (format!("{header}\nx\n"), "line 2 is not"),
            (format!("{header}\n{open_begin}\n{open_begin}\n"), "line 3 is not"),
            (header.replace("\"set\"", "\"old\"") + "\n" + open_begin + "\n", "other labels"),
            (header.replace(":1", ":2") + "\n", "line 1 is not"),
        ] {
            std::fs::write(&path, &text).unwrap();
            let error = Journal::open(&path, "i", "set").unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn other_settings_are_taken_where_nothing_was_begun() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j");
        drop(Journal::open(&path, "i", "old").unwrap());
        let mut journal = Journal::open(&path, "other", "set").unwrap();
        assert_eq!(journal.identity(), "other");
        journal.begin(begin(1, 2)).unwrap();
        drop(journal);
        assert!(matches!(Journal::open(&path, "i", "old"), Err(JournalError::OtherSettings { .. })));
        assert_eq!(Journal::open(&path, "i", "set").unwrap().pending().next(), Some(&begin(1, 2)));
    }

    #[test]
    fn one_import_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j");
        let _first = Journal::open(&path, "i", "s").unwrap();
        assert!(matches!(Journal::open(&path, "i", "s"), Err(JournalError::InUse { .. })));
    }
}
