//! The checks across logs: rows without a head, the size of the place index, idempotency entries.

use super::FsckReport;
use super::problem::Problem;
use crate::storage::error::StoreError;
use crate::storage::{
    Store, StoredHead, idempotency, leaves, missing, notes, options, payloads, places, tiles,
};
use hashpact_protocol::digest::{DIGEST_BYTES, LogId};
use rocksdb::IteratorMode;
use std::collections::BTreeMap;

/// Checks what no single log can tell.
pub(super) fn check(store: &Store, heads: &[StoredHead], report: &mut FsckReport) -> Result<(), StoreError> {
    let sizes: BTreeMap<LogId, u64> = heads.iter().map(|head| (head.log, head.size)).collect();
    for family in [notes::FAMILY, leaves::FAMILY, payloads::FAMILY, missing::FAMILY, tiles::FAMILY] {
        orphans(store, family, &sizes, report)?;
    }
    count_places(store, &sizes, report)?;
    check_idempotency(store, &sizes, report)
}

/// Skips from log to log, so that the cost does not depend on their sizes.
fn orphans(
    store: &Store,
    family: &'static str,
    sizes: &BTreeMap<LogId, u64>,
    report: &mut FsckReport,
) -> Result<(), StoreError> {
    let mut rows = store.db.raw_iterator_cf(store.family(family));
    rows.seek_to_first();
    while let Some(key) = rows.key() {
        let Some(log) = key.first_chunk::<DIGEST_BYTES>() else {
            report.add(Problem::Key { family, len_bytes: key.len() });
            rows.next();
            continue;
        };
        let mut next = *log;
        let log = LogId::new(*log);
        if !sizes.contains_key(&log) {
            report.add(Problem::Orphan { family, log });
        }
        if !increment(&mut next) {
            break;
        }
        rows.seek(next);
    }
    Ok(rows.status()?)
}

/// Adds one to a big-endian number; `false` if there is no larger one.
fn increment(number: &mut [u8; DIGEST_BYTES]) -> bool {
    for byte in number.iter_mut().rev() {
        let carried;
        (*byte, carried) = byte.overflowing_add(1);
        if !carried {
            return true;
        }
    }
    false
}

/// Every entry was looked up by its place; if there are as many rows as entries, none is superfluous.
fn count_places(
    store: &Store,
    sizes: &BTreeMap<LogId, u64>,
    report: &mut FsckReport,
) -> Result<(), StoreError> {
    let beyond_all = vec![0xff; places::KEY_BYTES + 1];
    let mut rows = store.db.raw_iterator_cf_opt(store.family(places::FAMILY), options::scan(beyond_all));
    rows.seek_to_first();
    let mut found = 0_u64;
    while let Some(key) = rows.key() {
        if places::parse_key(key).is_none() {
            report.add(Problem::Key { family: places::FAMILY, len_bytes: key.len() });
        }
        found += 1;
        rows.next();
    }
    rows.status()?;
    report.places = found;
    let entries = sizes.values().sum();
    if found > entries {
        report.add(Problem::PlacesExtra { found, entries });
    }
    Ok(())
}

fn check_idempotency(
    store: &Store,
    sizes: &BTreeMap<LogId, u64>,
    report: &mut FsckReport,
) -> Result<(), StoreError> {
    for row in store.db.iterator_cf(store.family(idempotency::FAMILY), IteratorMode::Start) {
        let (key, value) = row?;
        report.idempotency += 1;
        let (log, entry) = match idempotency::decode(&key, &value) {
            Ok(decoded) => decoded,
            Err(error) => {
                let origin = idempotency::FAMILY.to_owned();
                report.add(Problem::Value { origin, detail: error.to_string() });
                continue;
            }
        };
        let stored = sizes.get(&log).copied().unwrap_or(0);
        let end = entry.first_index.checked_add(u64::from(entry.count));
        if end.is_none_or(|end| end > entry.tree_size) || entry.tree_size > stored {
            report.add(Problem::Idempotency {
                log,
                first_index: entry.first_index,
                count: entry.count,
                tree_size: entry.tree_size,
                stored,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incrementing_carries_and_ends() {
        let mut number = [0; DIGEST_BYTES];
        number[31] = 0xff;
        assert!(increment(&mut number));
        assert_eq!((number[30], number[31]), (1, 0));
        assert!(!increment(&mut [0xff; DIGEST_BYTES]));
    }
}
