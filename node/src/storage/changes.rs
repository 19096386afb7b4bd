//! Column family `changes`: what the feed of changes tells, one row a change.
//!
//! ```text
//! key    0   8  sequence, big-endian, from 1
//! value  bincode ChangeRow
//! meta   key "changes"  ->  bincode FeedState
//! ```
//!
//! A row names a record, its statuses and outcomes, and lists; what the record states is looked up when the row is read, so
//! that nothing of a destroyed payload is kept here. Rows are written without a sync of their own: a crash may lose the last
//! of them, and the next start, which finds no [`CleanStop`], begins another epoch. Somebody who can write here can hide a
//! change from whoever follows the feed, or make up one; losing it costs them a snapshot.

use super::error::StoreError;
use super::options::Shape;
use super::{Store, codec, meta, options};
use bincode::{Decode, Encode};
use rocksdb::{Direction, IteratorMode, WriteBatch};

/// Name of the column family.
pub(super) const FAMILY: &str = "changes";
/// How it is laid out on disk.
pub(super) const SHAPE: Shape = Shape::Compressible;
/// Key of the state in `meta`.
const STATE: &[u8] = b"changes";
/// Largest row: as many lists as a node may have, with the longest names.
const ROW_MAX_BYTES: usize = 16 * 1024;
const STATE_MAX_BYTES: usize = 256;
const KEY_BYTES: usize = 8;

/// One change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct ChangeRow {
    /// When it was noted, milliseconds since 1970.
    pub time_ms: u64,
    /// The record; none: more changed than is told one by one.
    pub record: Option<RecordRow>,
    /// What changed, if it was not the record.
    pub cause: Option<CauseRow>,
}

/// The record of a change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct RecordRow {
    /// Its id.
    pub id: [u8; 32],
    /// Its status before, in a word; none if it was not known.
    pub status_before: Option<String>,
    /// Its status after.
    pub status_after: String,
    /// What it came to.
    pub before: Option<DecidedRow>,
    /// What it comes to.
    pub after: Option<DecidedRow>,
    /// The lists that make something else of it.
    pub lists: Vec<ListRow>,
}

/// An outcome and the list that decided it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct DecidedRow {
    /// In a word.
    pub outcome: String,
    /// Name of the list.
    pub list: String,
}

/// What one list makes of a record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct ListRow {
    /// Its name.
    pub list: String,
    /// Its version.
    pub version: u64,
    /// Outcome before, in a word.
    pub before: Option<String>,
    /// Outcome after.
    pub after: Option<String>,
}

/// What changed beside records.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct CauseRow {
    /// In a word.
    pub what: String,
    /// Which one.
    pub name: Option<String>,
    /// Version of a list.
    pub version: Option<u64>,
}

/// Which feed this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct FeedState {
    /// Its epoch.
    pub epoch: u64,
    /// How it was left; none while a node runs, and after one that did not stop cleanly.
    pub clean: Option<CleanStop>,
}

/// What was so when a node stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct CleanStop {
    /// Sequence of the next row.
    pub next: u64,
    /// How all records stood.
    pub fingerprint: u128,
    /// The last expiry that was told, in milliseconds since 1970.
    pub expired_until_ms: u64,
    /// What was decided and known about members.
    pub policy: [u8; 32],
}

impl Store {
    /// Which feed of changes there is.
    ///
    /// # Errors
    /// A value that does not decode, or RocksDB's own.
    pub fn feed_state(&self) -> Result<Option<FeedState>, StoreError> {
        let value = self.db.get_cf(self.family(meta::FAMILY), STATE)?;
        value.map(|value| codec::decode::<_, STATE_MAX_BYTES>(FAMILY, &value)).transpose()
    }

    /// Keeps which feed there is, and every row before it, synced.
    ///
    /// # Errors
    /// RocksDB's own.
    pub fn set_feed_state(&self, state: &FeedState) -> Result<(), StoreError> {
        let value = codec::encode::<_, STATE_MAX_BYTES>(FAMILY, state)?;
        Ok(self.db.put_cf_opt(self.family(meta::FAMILY), STATE, value, &options::synced())?)
    }

    /// Begins another feed, without rows.
    ///
    /// # Errors
    /// RocksDB's own.
    pub fn new_feed(&self, epoch: u64) -> Result<(), StoreError> {
        let state = codec::encode::<_, STATE_MAX_BYTES>(FAMILY, FeedState { epoch, clean: None })?;
        let mut batch = WriteBatch::default();
        batch.delete_range_cf(self.family(FAMILY), 0_u64.to_be_bytes(), u64::MAX.to_be_bytes());
        batch.put_cf(self.family(meta::FAMILY), STATE, state);
        Ok(self.db.write_opt(batch, &options::synced())?)
    }

    /// Adds rows from a sequence on, and lets those below another one go. Not synced.
    ///
    /// # Errors
    /// [`StoreError::ValueTooLong`], or RocksDB's own.
    pub fn add_changes(&self, first: u64, rows: &[ChangeRow], below: Option<u64>) -> Result<(), StoreError> {
        let family = self.family(FAMILY);
        let mut batch = WriteBatch::default();
        for (sequence, row) in (first..).zip(rows) {
            batch.put_cf(family, sequence.to_be_bytes(), codec::encode::<_, ROW_MAX_BYTES>(FAMILY, row)?);
        }
        if let Some(below) = below {
            batch.delete_range_cf(family, 0_u64.to_be_bytes(), below.to_be_bytes());
        }
        Ok(self.db.write_opt(batch, &options::unsynced())?)
    }

    /// Rows from a sequence on, at most so many.
    ///
    /// # Errors
    /// A row that does not decode, or RocksDB's own.
    pub fn changes(&self, from: u64, count_max: usize) -> Result<Vec<(u64, ChangeRow)>, StoreError> {
        let from = from.to_be_bytes();
        let mode = IteratorMode::From(&from, Direction::Forward);
        let rows = self.db.iterator_cf(self.family(FAMILY), mode).take(count_max);
        rows.map(|row| {
            let (key, value) = row?;
            Ok((sequence(&key)?, codec::decode::<_, ROW_MAX_BYTES>(FAMILY, &value)?))
        })
        .collect()
    }

    /// The first and the last sequence of which there are rows.
    ///
    /// # Errors
    /// A key that does not decode, or RocksDB's own.
    pub fn changes_held(&self) -> Result<Option<(u64, u64)>, StoreError> {
        let at = |mode| {
            let row = self.db.iterator_cf(self.family(FAMILY), mode).next().transpose()?;
            row.map(|(key, _)| sequence(&key)).transpose()
        };
        Ok(at(IteratorMode::Start)?.zip(at(IteratorMode::End)?))
    }
}

fn sequence(key: &[u8]) -> Result<u64, StoreError> {
    let key: [u8; KEY_BYTES] =
        key.try_into().map_err(|_| StoreError::Key { family: FAMILY, len_bytes: key.len() })?;
    Ok(u64::from_be_bytes(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row(time_ms: u64) -> ChangeRow {
        let lists = (0..64).map(|number| ListRow {
            list: format!("{number:064}"),
            version: number,
            before: Some("block".to_owned()),
            after: Some("review".to_owned()),
        });
        let decided = DecidedRow { outcome: "block".to_owned(), list: "l".repeat(64) };
        let record = RecordRow {
            id: [7; 32],
            status_before: Some("contested".to_owned()),
            status_after: "retracted".to_owned(),
            before: Some(decided.clone()),
            after: Some(decided),
            lists: lists.collect(),
        };
        ChangeRow { time_ms, record: Some(record), cause: Some(CauseRow::default()) }
    }

    #[test]
    fn rows_are_read_in_their_order_and_let_go_from_the_front() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let store = Store::create(&dir.path().join("db"), "test-0011223344556677", "north").expect("fresh");
        assert_eq!(store.feed_state().expect("readable"), None);
        store.new_feed(5).expect("written");
        store.add_changes(1, &(0..300).map(row).collect::<Vec<_>>(), None).expect("the largest rows fit");
        let read = store.changes(100, 2).expect("readable");
        assert_eq!(read, [(100, row(99)), (101, row(100))]);
        store.add_changes(301, &[ChangeRow::default()], Some(300)).expect("written");
        assert_eq!(store.changes_held().expect("readable"), Some((300, 301)));
        let clean = CleanStop { next: 302, fingerprint: 1 << 100, expired_until_ms: 9, policy: [1; 32] };
        let state = FeedState { epoch: 5, clean: Some(clean) };
        store.set_feed_state(&state).expect("written");
        drop(store);
        let store = Store::open(&dir.path().join("db")).expect("whole");
        assert_eq!(store.feed_state().expect("readable"), Some(state));
        assert_eq!(store.changes(0, 9).expect("readable").len(), 2);
        store.new_feed(6).expect("written");
        assert_eq!(store.changes_held().expect("readable"), None);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(value in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = codec::decode::<ChangeRow, ROW_MAX_BYTES>(FAMILY, &value);
            let _ = codec::decode::<FeedState, STATE_MAX_BYTES>(FAMILY, &value);
        }
    }
}
