//! The checks across logs: rows without a head, the size of the place index, idempotency entries.

use super::priority::check_ahead;
use super::problem::Problem;
use super::{FsckReport, LogKeys};
use crate::storage::error::StoreError;
use crate::storage::{
    Store, StoredHead, idempotency, leaves, missing, notes, options, payloads, places, priority, tiles,
};
use hashpact_core::effect::HeldFacts;
use hashpact_protocol::digest::{DIGEST_BYTES, LogId};
use hashpact_protocol::evidence::Evidence;
use rocksdb::IteratorMode;
use std::collections::BTreeMap;

/// What is kept beside the logs, as far as it can be read.
pub(super) fn facts(store: &Store, report: &mut FsckReport) -> HeldFacts {
    store.facts().unwrap_or_else(|error| {
        let origin = "facts beside the logs".to_owned();
        report.add(Problem::Value { origin, detail: error.to_string() });
        HeldFacts::default()
    })
}

/// Checks what no single log can tell. A table that cannot be read does not keep the others from being checked.
pub(super) fn check(
    store: &Store,
    heads: &[StoredHead],
    facts: &HeldFacts,
    keys: &LogKeys,
    report: &mut FsckReport,
) -> Result<(), StoreError> {
    let sizes: BTreeMap<LogId, u64> = heads.iter().map(|head| (head.log, head.size)).collect();
    for family in [notes::FAMILY, leaves::FAMILY, payloads::FAMILY, missing::FAMILY, tiles::FAMILY] {
        let checked = orphans(store, family, &sizes, report);
        note_unreadable(family, checked, report);
    }
    // A witness may have vouched for an empty log, of which nothing is stored.
    let cosigned = facts.cosigned.iter().filter(|(_, (size, _))| *size > 0).map(|(log, _)| log);
    for (family, logs) in [
        (super::super::facts::COSIGNED, cosigned.collect::<Vec<_>>()),
        (super::super::facts::QUORUM, facts.quorum_heads.keys().collect()),
    ] {
        for log in logs.into_iter().filter(|log| !sizes.contains_key(*log)) {
            report.add(Problem::Orphan { family, log: *log });
        }
    }
    check_evidence(heads, facts, keys, report);
    let checked = count_places(store, &sizes, report);
    note_unreadable(places::FAMILY, checked, report);
    let checked = check_idempotency(store, &sizes, report);
    note_unreadable(idempotency::FAMILY, checked, report);
    let checked = check_ahead(store, &sizes, keys, report);
    note_unreadable(priority::FAMILY, checked, report);
    if let Err(error) = store.cards() {
        report.add(Problem::Value { origin: "cards".to_owned(), detail: error.to_string() });
    }
    Ok(())
}

fn note_unreadable(family: &'static str, checked: Result<(), StoreError>, report: &mut FsckReport) {
    if let Err(error) = checked {
        let (origin, place, detail) = (family.to_owned(), "some row".to_owned(), error.to_string());
        report.add(Problem::Unreadable { origin, family, place, detail });
    }
}

/// Evidence proves what it says, offline and by itself.
fn check_evidence(heads: &[StoredHead], facts: &HeldFacts, keys: &LogKeys, report: &mut FsckReport) {
    for (log, bytes) in &facts.evidence {
        let origin = heads.iter().find(|head| head.log == *log).map(|head| head.origin.clone());
        let shown = origin.unwrap_or_else(|| log.to_hex());
        let claimed = match Evidence::parse(bytes) {
            Ok(claimed) => claimed,
            Err(error) => {
                report.add(Problem::Evidence { origin: shown, detail: error.to_string() });
                continue;
            }
        };
        let (named, key) = (claimed.origin().unwrap_or_default(), keys.get(log));
        if LogId::of_origin(&named) != *log {
            report.add(Problem::Evidence { origin: shown, detail: format!("it is about {named:?}") });
        } else if let Some(Err(error)) = key.map(|key| claimed.verify(&named, key)) {
            report.add(Problem::Evidence { origin: shown, detail: error.to_string() });
        }
    }
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
