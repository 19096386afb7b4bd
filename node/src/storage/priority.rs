//! Column family `priority`: which entries overtake a backlog, and those held ahead of their log's end.
//!
//! ```text
//! key    0  32  log id     32  8  leaf index, big-endian
//! value  empty: the log has reached this entry, which is in `leaves` like any other
//!        else: 0  2  length of the leaf, big-endian     2  …  leaf     then the payload as in `payloads`
//! ```
//!
//! Written empty in the batch that stores the leaf, in place of what came ahead, so that listing the
//! newest ones to peers needs no reading of the log. Somebody who writes here can bring in an entry that
//! its author never signed: a start holds no proof of what is ahead. Whoever can write the database can as
//! well empty it; what the log reaches is checked against signed roots as ever. Losing it costs that these
//! entries come with the backlog, and are not listed to those who join late.

use super::error::StoreError;
use super::options::Shape;
use super::read::row_at;
use super::{Store, codec, options, payloads};
use hashpact_core::effect::{AheadBatch, HeldPriority, StoredEntry};
use hashpact_core::entitled::Entitled;
use hashpact_core::limits::{OVERTAKING_MAX, PRIORITY_RECENT_MAX};
use hashpact_protocol::digest::{DIGEST_BYTES, LogId, NodeHash};
use hashpact_protocol::limits::{ENTRY_LEAF_MAX_BYTES, RANGE_BYTES_MAX};
use hashpact_protocol::merkle::{consistency_proof, inclusion_proof};
use hashpact_protocol::wire::bounds::ENTRIES_ASKED_MAX;
use hashpact_protocol::wire::{EntriesAnswer, EntriesRequest, ProvenEntry, WireEntry};

/// Name of the column family.
pub(super) const FAMILY: &str = "priority";
/// How it is laid out on disk.
pub(super) const SHAPE: Shape = Shape::Dense;

impl Store {
    /// Stores entries ahead of their log's end, synced. One that the log has reached is left as it is.
    ///
    /// # Errors
    /// [`StoreError::LeafTooLong`], [`StoreError::ValueTooLong`], which change nothing; then the process must
    /// stop: [`StoreError::OutcomeUnknown`], [`StoreError::Poisoned`].
    pub fn write_ahead(&self, batch: &AheadBatch) -> Result<(), StoreError> {
        let mut writer = self.writer()?;
        let stored = self.stored_size_or_none(&batch.log);
        let mut rows = rocksdb::WriteBatch::default();
        for (index, entry) in batch.entries.iter().filter(|(index, _)| *index >= stored) {
            rows.put_cf(self.family(FAMILY), codec::entry_key(&batch.log, *index), encode(entry)?);
        }
        self.commit(&mut writer, rows)
    }

    /// The priority entries of a log of which the first `counted` entries count, and which ends at `end` if
    /// the roster closed it: the newest of those, and what is held ahead.
    ///
    /// # Errors
    /// A key or value that does not decode, or RocksDB's own.
    pub fn priority(&self, log: &LogId, counted: u64, end: u64) -> Result<HeldPriority, StoreError> {
        let stored = self.stored_size_or_none(log);
        let mut held = HeldPriority::default();
        let mut rows = self.db.raw_iterator_cf(self.family(FAMILY));
        if let Some(last) = counted.checked_sub(1) {
            rows.seek_for_prev(codec::entry_key(log, last));
        }
        while counted > 0
            && held.recent.len() < PRIORITY_RECENT_MAX
            && let Some(key) = rows.key().filter(|key| key.starts_with(log.as_bytes()))
        {
            held.recent.push(index_of(key)?);
            rows.prev();
        }
        rows.status()?;
        held.recent.reverse();
        let bound = options::short_walk(codec::entry_key(log, end).to_vec());
        let mut rows = self.db.raw_iterator_cf_opt(self.family(FAMILY), bound);
        rows.seek(codec::entry_key(log, stored));
        while held.ahead.len() < OVERTAKING_MAX
            && let Some((key, value)) = rows.item()
        {
            held.ahead.push((index_of(key)?, decode(value)?));
            rows.next();
        }
        rows.status()?;
        Ok(held)
    }

    /// Single entries for a peer: the first of those asked for, within the bound (one always), each with its
    /// place in the tree named, and how the peer's size leads there.
    ///
    /// # Errors
    /// [`StoreError::UnknownLog`], [`StoreError::Beyond`] the published size, or damage.
    pub fn proven_entries(
        &self,
        ask: &EntriesRequest,
        entitled: &Entitled,
    ) -> Result<EntriesAnswer, StoreError> {
        let (log, size) = (LogId::new(ask.log), ask.size);
        let bytes_max = (ask.bytes_max as usize).min(RANGE_BYTES_MAX);
        let bytes_of = |hashes: Vec<NodeHash>| hashes.iter().map(|hash| *hash.as_bytes()).collect();
        let hashes = self.hashes(&log);
        let consistency =
            consistency_proof(&hashes, ask.old, size).map_err(|error| self.proof_error(&log, error))?;
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for index in ask.indexes.iter().take(ENTRIES_ASKED_MAX) {
            self.check_readable(&log, *index, size)?;
            let missing = |family| StoreError::EntryMissing { family, log, index: *index };
            let key = codec::entry_key(&log, *index);
            let leaf = self.walk(super::leaves::FAMILY, &log, *index, index + 1);
            let leaf = row_at(&leaf, &key)?.ok_or_else(|| missing(super::leaves::FAMILY))?.to_vec();
            let rows = self.walk(payloads::FAMILY, &log, *index, index + 1);
            let payload = row_at(&rows, &key)?.ok_or_else(|| missing(payloads::FAMILY))?;
            let payload = payloads::decode(payload)?;
            bytes += leaf.len() + payload.len_bytes();
            if bytes > bytes_max && !entries.is_empty() {
                break;
            }
            let inclusion =
                inclusion_proof(&hashes, *index, size).map_err(|error| self.proof_error(&log, error))?;
            let entry = entitled.shown_entry(WireEntry { leaf, payload: payload.to_wire() });
            entries.push(ProvenEntry { entry, inclusion: bytes_of(inclusion) });
        }
        Ok(EntriesAnswer { consistency: bytes_of(consistency), entries })
    }

    fn stored_size_or_none(&self, log: &LogId) -> u64 {
        self.stored_size(log).unwrap_or(0)
    }
}

fn index_of(key: &[u8]) -> Result<u64, StoreError> {
    let bad_key = StoreError::Key { family: FAMILY, len_bytes: key.len() };
    codec::parse_entry_key(key).map(|(_, index)| index).ok_or(bad_key)
}

pub(super) fn encode(entry: &StoredEntry) -> Result<Vec<u8>, StoreError> {
    let (len_bytes, max_bytes) = (entry.leaf.len(), ENTRY_LEAF_MAX_BYTES);
    let too_long = StoreError::ValueTooLong { family: FAMILY, len_bytes, max_bytes };
    let length = u16::try_from(len_bytes).ok().filter(|_| len_bytes <= max_bytes).ok_or(too_long)?;
    let mut value = length.to_be_bytes().to_vec();
    value.extend_from_slice(&entry.leaf);
    value.extend_from_slice(&payloads::encode(&entry.payload)?);
    Ok(value)
}

pub(super) fn decode(value: &[u8]) -> Result<StoredEntry, StoreError> {
    let wrong =
        || StoreError::Value { family: FAMILY, detail: format!("{} bytes are no entry", value.len()) };
    let (length, rest) = value.split_first_chunk::<2>().ok_or_else(wrong)?;
    let length = usize::from(u16::from_be_bytes(*length));
    let (leaf, payload) = rest.split_at_checked(length).ok_or_else(wrong)?;
    if length > ENTRY_LEAF_MAX_BYTES {
        return Err(wrong());
    }
    Ok(StoredEntry { leaf: leaf.to_vec(), payload: payloads::decode(payload)?.to_stored() })
}

const _: () = assert!(DIGEST_BYTES + 8 == codec::ENTRY_KEY_BYTES);

#[cfg(test)]
mod tests {
    use super::super::tests::{TestLog, fresh};
    use super::*;
    use hashpact_core::effect::StoredPayload;
    use proptest::prelude::*;

    /// A sound entry whose leaf is a retraction that overtakes.
    fn urgent(log: &TestLog, index: u64) -> StoredEntry {
        let mut entry = log.entry(index);
        (entry.leaf[4], entry.leaf[5], entry.leaf[64]) = (7, 3, 1);
        entry
    }

    fn grow(store: &Store, log: &mut TestLog, urgent_at: &[u64], until: u64) {
        let entries = (log.frontier.size()..until)
            .map(|index| if urgent_at.contains(&index) { urgent(log, index) } else { log.entry(index) });
        let entries = entries.collect();
        store.write(&log.batch_of(entries)).expect("stored");
        log.publish(store);
    }

    #[test]
    fn what_is_ahead_survives_a_restart_until_the_log_reaches_it() {
        let (dir, store) = fresh();
        let mut log = TestLog::new("south");
        let ahead = vec![(5, urgent(&log, 5)), (9, urgent(&log, 9))];
        let batch = AheadBatch { id: 1, log: log.log, entries: ahead.clone() };
        store.write_ahead(&batch).expect("before the log has any entry");
        assert_eq!(store.priority(&log.log, 0, u64::MAX).expect("readable").ahead, ahead);
        grow(&store, &mut log, &[2, 5], 6);
        // The log has reached the first of them by now.
        store.write_ahead(&batch).expect("again");
        drop(store);
        let store = Store::open(&dir.path().join("db")).expect("sound");
        let held = store.priority(&log.log, 6, u64::MAX).expect("readable");
        assert_eq!((held.recent, held.ahead), (vec![2, 5], ahead[1..].to_vec()));
        let closed = store.priority(&log.log, 4, 4).expect("readable");
        assert_eq!(
            (closed.recent, closed.ahead),
            (vec![2], Vec::new()),
            "what a closure cut off is not told"
        );
        let other = store.priority(&TestLog::new("east").log, 0, u64::MAX).expect("readable");
        assert_eq!(other, HeldPriority::default());
        grow(&store, &mut log, &[9], 10);
        let held = store.priority(&log.log, 10, u64::MAX).expect("readable");
        assert_eq!((held.recent, held.ahead), (vec![2, 5, 9], Vec::new()));
    }

    #[test]
    fn only_the_newest_are_listed() {
        let (_dir, store) = fresh();
        let mut log = TestLog::new("south");
        let all: Vec<u64> = (0..PRIORITY_RECENT_MAX as u64 + 3).collect();
        grow(&store, &mut log, &all, all.len() as u64);
        let held = store.priority(&log.log, all.len() as u64, u64::MAX).expect("readable");
        assert_eq!(held.recent, all[3..]);
    }

    #[test]
    fn entries_are_served_with_their_proofs_and_never_beyond_what_is_published() {
        let (_dir, store) = fresh();
        let mut log = TestLog::new("south");
        grow(&store, &mut log, &[7], 5);
        let old = log.frontier.root();
        grow(&store, &mut log, &[7], 11);
        let ask = EntriesRequest {
            log: *log.log.as_bytes(),
            old: 5,
            size: 11,
            indexes: vec![7, 10],
            bytes_max: 1 << 20,
        };
        let answer = store.proven_entries(&ask, &Entitled::All).expect("published");
        let hashes = |hashes: &[[u8; 32]]| hashes.iter().copied().map(NodeHash::new).collect::<Vec<_>>();
        let root = log.frontier.root();
        hashpact_protocol::merkle::verify_consistency(5, &old, 11, &root, &hashes(&answer.consistency))
            .expect("consistent");
        for (index, entry) in ask.indexes.iter().zip(&answer.entries) {
            let leaf = hashpact_protocol::digest::leaf_hash(&entry.entry.leaf);
            hashpact_protocol::merkle::verify_inclusion(&leaf, *index, 11, &hashes(&entry.inclusion), &root)
                .expect("included");
        }
        assert_eq!(answer.entries[0].entry.leaf, urgent(&log, 7).leaf);
        let few = store
            .proven_entries(&EntriesRequest { bytes_max: 1, ..ask.clone() }, &Entitled::All)
            .expect("one always");
        assert_eq!(few.entries.len(), 1);
        store.write(&log.batch(1)).expect("stored and not published");
        let beyond =
            store.proven_entries(&EntriesRequest { size: 12, indexes: vec![11], ..ask }, &Entitled::All);
        assert!(matches!(beyond, Err(StoreError::Beyond { .. })), "{beyond:?}");
    }

    proptest! {
        #[test]
        fn garbage_never_panics(value in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(entry) = decode(&value) {
                prop_assert_eq!(encode(&entry).expect("within bounds"), value);
            }
        }

        #[test]
        fn entries_round_trip(leaf in proptest::collection::vec(any::<u8>(), 0..1025), present in any::<bool>()) {
            let payload = if present {
                StoredPayload::Present { salt: [7; 32], padded: vec![1; 128] }
            } else {
                StoredPayload::NotHere
            };
            let entry = StoredEntry { leaf, payload };
            prop_assert_eq!(decode(&encode(&entry).expect("within bounds")).expect("ours"), entry);
        }
    }
}
