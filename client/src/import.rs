//! A hash list in batches: each line stated once, whatever is killed when.
//!
//! [`Importer::next_batch`] reads until a batch is full, journals it and hands it out;
//! the caller sends it with the batch's key and tells [`Importer::confirm`], in the order of the batches, of which
//! up to [`UNDER_WAY_MAX`] may be under way. The order on disk is always: batch begun, batch sent, batch done, so
//! a kill between any two steps leaves those under way in doubt, and they are sent again with the same lines
//! and the same keys.
//!
//! What "once" means: records that are equal in every field are stated once per list (the digests of
//! those seen are kept in memory, about 40 bytes for each distinct line), and the keys depend on
//! the list's identity, lines and content alone, so that even an import whose journal was lost is
//! recognised by the node, as long as the batch size is the same. What other members, or other lists of
//! this member, have stated is not looked at: the same signal in two lists is two statements with
//! two sources.
//!
//! A resumed import reads the list again from its start. It has to: the digests of the lines that were
//! done are needed to recognise duplicates, and the running digest of the list must still be the
//! one in the journal. Lines that were *appended* to a finished list are stated by running the import
//! again.

use std::collections::{HashSet, VecDeque};
use std::io::BufRead;

use hashpact_protocol::api::{NewRecord, Receipt};
use hashpact_protocol::digest::{hex_encode, sha256};
use hashpact_protocol::limits::RECORDS_PER_CALL_MAX;
use hashpact_protocol::record::Record;
use thiserror::Error;

pub use crate::journal::UNDER_WAY_MAX;
use crate::journal::{Begin, Done, Journal, JournalError};
use crate::list::{BadLine, Defaults, Format, ListError, ListReader, ReadOptions, Step};

/// Records of a batch when nothing else is asked for.
pub const BATCH_DEFAULT: usize = 2_000;

/// Why an import cannot go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The list cannot be read.
    #[error(transparent)]
    List(#[from] ListError),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The part of the list that was imported is not what it was.
    #[error(
        "the list has changed in lines 1 to {last_line}, which an earlier run imported; restore it, or import the new \
         version with another --state file"
    )]
    ListChanged {
        /// Last line that the earlier run covered.
        last_line: u64,
    },
    /// The receipts are not about the batch that was sent.
    #[error("the node's receipts do not fit the batch of lines {first_line} to {last_line}: {what}")]
    Receipts {
        /// First line of the batch.
        first_line: u64,
        /// Last line.
        last_line: u64,
        /// What does not fit.
        what: String,
    },
}

/// Lines to be sent together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// First line of the list that it covers.
    pub first_line: u64,
    /// Last line that it covers.
    pub last_line: u64,
    /// What is stated, duplicates left out.
    pub records: Vec<NewRecord>,
    /// The idempotency key to send with it.
    pub key: String,
    /// True if an earlier run may have sent it already.
    pub again: bool,
}

/// Counts over the whole list, earlier runs included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Lines read, blank ones and a header included.
    pub lines: u64,
    /// Distinct records found.
    pub records: u64,
    /// Lines left out because an equal one came before.
    pub duplicates: u64,
    /// Lines that could not be used.
    pub bad: u64,
    /// Records that an earlier run had stated.
    pub done_before: u64,
}

/// The digest of everything but the list that decides what is stated; a journal belongs to one.
///
/// `group` is the group of the roster that the records are stated in.
pub fn settings_digest(options: &ReadOptions, group: Option<&str>) -> String {
    let Defaults { labels, review, source, expires, handling } = &options.defaults;
    let format = options.format.map_or("auto", Format::name);
    let text = serde_json::to_vec(&(
        format,
        options.ignore_unknown_columns,
        (labels, review, source),
        (expires, handling),
    ))
    .expect("labels and sources have string keys only");
    let whole = sha256(&[b"hashpact/import-settings/v1\0", &text]);
    hex_encode(&in_group(whole, group))
}

/// A digest that is another one for what is stated in a group.
pub fn in_group(digest: [u8; 32], group: Option<&str>) -> [u8; 32] {
    group.map_or(digest, |group| sha256(&[b"hashpact/in-group/v1\0", &digest, group.as_bytes()]))
}

/// Cuts a list into batches; see the module's text.
pub struct Importer<R> {
    reader: ListReader<R>,
    journal: Option<Journal>,
    identity: String,
    batch_max: usize,
    seen: HashSet<[u8; 16]>,
    totals: Totals,
    resumed: bool,
    /// Batches that a killed run began, to be sent again.
    begun: VecDeque<Begin>,
}

impl<R: BufRead> Importer<R> {
    /// An importer of `reader`, whose progress is kept in `journal`.
    ///
    /// Without a journal nothing is written and nothing can be resumed; `identity` then takes the place
    /// of the journal's.
    pub fn new(
        reader: ListReader<R>,
        journal: Option<Journal>,
        identity: &str,
        batch_max: usize,
    ) -> Importer<R> {
        let identity = journal.as_ref().map_or(identity, Journal::identity).to_owned();
        let batch_max = batch_max.clamp(1, RECORDS_PER_CALL_MAX);
        Importer {
            reader,
            journal,
            identity,
            batch_max,
            seen: HashSet::new(),
            totals: Totals::default(),
            resumed: false,
            begun: VecDeque::new(),
        }
    }

    /// Counts so far.
    pub fn totals(&self) -> Totals {
        Totals { lines: self.reader.line(), ..self.totals }
    }

    /// Bytes of the list read so far.
    pub fn bytes(&self) -> u64 {
        self.reader.bytes()
    }

    /// The next batch to send; on disk as begun when this returns. `None` at the end of the list.
    ///
    /// Every unusable line is handed to `report`, also those of a part that an earlier run did.
    ///
    /// # Errors
    /// An [`ImportError`]; nothing may be sent then.
    pub fn next_batch(&mut self, report: &mut dyn FnMut(&BadLine)) -> Result<Option<Batch>, ImportError> {
        if !self.resumed {
            self.resumed = true;
            self.pass_over_done(report)?;
            self.begun = self.journal.iter().flat_map(Journal::pending).cloned().collect();
        }
        if let Some(begun) = self.begun.pop_front() {
            return self.begun_batch(&begun, report).map(Some);
        }
        let first_line = self.reader.line() + 1;
        let Collected { records, digests, last_line, chain } = self.collect(self.batch_max, None, report)?;
        if records.is_empty() {
            return Ok(None);
        }
        let key = batch_key(&self.identity, first_line, last_line, &digests);
        if let Some(journal) = &mut self.journal {
            journal.begin(Begin {
                first_line,
                last_line,
                records: records.len() as u64,
                key: key.clone(),
                chain: hex_encode(&chain),
            })?;
        }
        Ok(Some(Batch { first_line, last_line, records, key, again: false }))
    }

    /// Notes that `batch`, the first of those under way, was acknowledged with `receipts`; on disk when this returns.
    ///
    /// # Errors
    /// The receipts are not about this batch, or the journal cannot be written.
    pub fn confirm(&mut self, batch: &Batch, receipts: &[Receipt]) -> Result<(), ImportError> {
        let mismatch = |what: String| {
            let Batch { first_line, last_line, .. } = *batch;
            Err(ImportError::Receipts { first_line, last_line, what })
        };
        let (Some(first), Some(last)) = (receipts.first(), receipts.last()) else {
            return mismatch("there are none".to_owned());
        };
        if receipts.len() != batch.records.len() {
            return mismatch(format!("{} receipts for {} records", receipts.len(), batch.records.len()));
        }
        let Some(journal) = &mut self.journal else {
            return Ok(());
        };
        journal.done(Done {
            last_line: batch.last_line,
            records: batch.records.len() as u64,
            log: first.log.clone(),
            index_first: first.index,
            index_last: last.index,
        })?;
        Ok(())
    }

    /// Reads the part that earlier runs did, for its duplicates and to see that it is unchanged.
    fn pass_over_done(&mut self, report: &mut dyn FnMut(&BadLine)) -> Result<(), ImportError> {
        let Some(journal) = &self.journal else {
            return Ok(());
        };
        let Some(done) = journal.acknowledged().cloned() else {
            return Ok(());
        };
        self.totals.done_before = journal.records_done();
        while self.reader.line() < done.last_line {
            // Batch by batch, so that memory stays that of one batch.
            if self.collect(self.batch_max, Some(done.last_line), report)?.records.is_empty() {
                break;
            }
        }
        self.check_unchanged(&done)
    }

    /// The batch that a killed run began: the same lines, hence the same key.
    fn begun_batch(&mut self, begun: &Begin, report: &mut dyn FnMut(&BadLine)) -> Result<Batch, ImportError> {
        let Collected { records, digests, .. } =
            self.collect(RECORDS_PER_CALL_MAX, Some(begun.last_line), report)?;
        self.check_unchanged(begun)?;
        let key = batch_key(&self.identity, begun.first_line, begun.last_line, &digests);
        if key != begun.key || records.len() as u64 != begun.records {
            return Err(ImportError::ListChanged { last_line: begun.last_line });
        }
        Ok(Batch { first_line: begun.first_line, last_line: begun.last_line, records, key, again: true })
    }

    fn check_unchanged(&self, begin: &Begin) -> Result<(), ImportError> {
        if self.reader.line() == begin.last_line && hex_encode(&self.reader.chain()) == begin.chain {
            Ok(())
        } else {
            Err(ImportError::ListChanged { last_line: begin.last_line })
        }
    }

    /// Reads up to `records_max` new records, and not past `last_line`.
    ///
    /// A batch's range ends with the line of its last record, so that what follows that line (blank
    /// lines, unusable lines, the end of the list) may still change.
    fn collect(
        &mut self,
        records_max: usize,
        last_line: Option<u64>,
        report: &mut dyn FnMut(&BadLine),
    ) -> Result<Collected, ImportError> {
        let mut found = Collected::default();
        while found.records.len() < records_max && last_line.is_none_or(|last| self.reader.line() < last) {
            match self.reader.next_step()? {
                None => break,
                Some(Step::Bad(bad)) => {
                    self.totals.bad += 1;
                    report(&bad);
                }
                Some(Step::Item(item)) => {
                    let content = Record::Content(item.content).encode();
                    // What is added to one record is not what is added to another.
                    let subject = item.record.subject.as_deref().unwrap_or_default().as_bytes();
                    let digest = sha256(&[b"hashpact/import-record/v1\0", &content, subject]);
                    let short = digest.first_chunk::<16>().expect("32 bytes begin with 16");
                    if self.seen.insert(*short) {
                        self.totals.records += 1;
                        found.records.push(item.record);
                        found.digests.push(digest);
                        found.last_line = item.line;
                        found.chain = self.reader.chain();
                    } else {
                        self.totals.duplicates += 1;
                    }
                }
            }
        }
        Ok(found)
    }
}

/// New records and the place of the last of them.
#[derive(Default)]
struct Collected {
    records: Vec<NewRecord>,
    digests: Vec<[u8; 32]>,
    last_line: u64,
    chain: [u8; 32],
}

/// The idempotency key of a batch: list identity, line range and content, and nothing else.
fn batch_key(identity: &str, first_line: u64, last_line: u64, digests: &[[u8; 32]]) -> String {
    let lines = [first_line.to_be_bytes(), last_line.to_be_bytes()].concat();
    let content = sha256(&digests.iter().map(<[u8; 32]>::as_slice).collect::<Vec<_>>());
    hex_encode(&sha256(&[b"hashpact/import-batch/v1\0", identity.as_bytes(), b"\0", &lines, &content]))
}
