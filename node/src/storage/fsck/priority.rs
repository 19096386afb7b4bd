//! The check of column family `priority` against the leaves: below a log's end one empty row for every entry that
//! overtakes a backlog and no other, and beyond it only entries that do.

use super::problem::Problem;
use super::{FsckReport, LogKeys};
use crate::storage::error::StoreError;
use crate::storage::{Store, codec, places, priority};
use hashpact_core::effect::{StoredEntry, StoredPayload};
use hashpact_protocol::digest::LogId;
use hashpact_protocol::leaf::{check_commitment, is_overtaking};
use rocksdb::DBRawIterator;
use std::collections::{BTreeMap, BTreeSet};

/// The rows of one log, read beside its leaves.
pub(super) struct Listed<'a> {
    rows: DBRawIterator<'a>,
    origin: String,
    log: LogId,
    is_readable: bool,
}

impl<'a> Listed<'a> {
    pub(super) fn new(store: &'a Store, log: LogId, origin: &str, size: u64) -> Self {
        let rows = store.walk(priority::FAMILY, &log, 0, size);
        Self { rows, origin: origin.to_owned(), log, is_readable: true }
    }

    /// Holds the rows up to this entry against its leaf.
    pub(super) fn entry(&mut self, index: u64, leaf: &[u8], report: &mut FsckReport) {
        if !self.is_readable {
            return;
        }
        let (key, origin) = (codec::entry_key(&self.log, index), || self.origin.clone());
        // Every well-formed row is met at its own entry; others are named when all keys are looked at.
        while self.rows.key().is_some_and(|found| found < key.as_slice()) {
            self.rows.next();
        }
        let row = self.rows.item().filter(|row| row.0 == key);
        let detail = "the log has reached it, and it is still kept as ahead";
        match (row, is_overtaking(leaf, &self.log, index)) {
            (Some((_, [])), true) => {}
            (Some(_), true) => {
                report.add(Problem::Ahead { origin: origin(), index, detail: detail.to_owned() });
            }
            (Some(_), false) => report.add(Problem::PriorityExtra { origin: origin(), index }),
            (None, is_missing) => {
                if let Err(error) = self.rows.status() {
                    self.is_readable = false;
                    let (origin, family) = (origin(), priority::FAMILY);
                    let (place, detail) = (format!("entry {index}"), error.to_string());
                    report.add(Problem::Unreadable { origin, family, place, detail });
                } else if is_missing {
                    report.add(Problem::PriorityMissing { origin: origin(), index });
                }
                return;
            }
        }
        self.rows.next();
    }
}

/// Checks all keys, and the rows beyond the logs' ends or of logs of which nothing else is stored.
pub(super) fn check_ahead(
    store: &Store,
    sizes: &BTreeMap<LogId, u64>,
    keys: &LogKeys,
    report: &mut FsckReport,
) -> Result<(), StoreError> {
    let mut rows = store.db.raw_iterator_cf(store.family(priority::FAMILY));
    let mut nobodys = BTreeSet::new();
    rows.seek_to_first();
    while let Some((key, value)) = rows.item() {
        match codec::parse_entry_key(key) {
            None => report.add(Problem::Key { family: priority::FAMILY, len_bytes: key.len() }),
            // It was held against its leaf.
            Some((log, index)) if sizes.get(&log).is_some_and(|size| index < *size) => {}
            Some((log, index)) => {
                if !sizes.contains_key(&log) && !keys.contains_key(&log) && nobodys.insert(log) {
                    report.add(Problem::Orphan { family: priority::FAMILY, log });
                }
                report.ahead += 1;
                if let Some(detail) = wrong(&log, index, value) {
                    report.add(Problem::Ahead { origin: log.to_hex(), index, detail });
                }
            }
        }
        rows.next();
    }
    Ok(rows.status()?)
}

/// What is wrong with an entry that is held ahead of its log's end.
fn wrong(log: &LogId, index: u64, value: &[u8]) -> Option<String> {
    let StoredEntry { leaf, payload } = match priority::decode(value) {
        Ok(entry) => entry,
        Err(error) => return Some(error.to_string()),
    };
    if !is_overtaking(&leaf, log, index) {
        return Some("it is not an entry that overtakes a backlog".to_owned());
    }
    match payload {
        StoredPayload::Present { salt, padded } if places::named_place(&leaf).is_some() => {
            check_commitment(&leaf, &salt, &padded).err().map(|error| error.to_string())
        }
        _ => None,
    }
}
