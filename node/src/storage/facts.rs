//! Column families `cosigned`, `quorum` and `evidence`: what is kept about logs beside their entries.
//!
//! ```text
//! all       key    0  32  log id
//! cosigned  value  0   8  tree size, big-endian     8  32  root
//! quorum    value  as in `notes`: size, and the checkpoint with its cosignatures, verbatim
//! evidence  value  SPEC §3.6, verbatim
//! ```
//!
//! `cosigned` is what this node vouched for, written with the raised generation in one synced step before
//! the lock file and the signature. Somebody who can lower it makes this node cosign twice, and is caught by
//! the generation if the whole database was put back. The other two are signed and verified when read:
//! somebody who writes here can make them disappear, which unfreezes a log until a peer tells again.
//! Losing `cosigned` alone loses the right to cosign; losing the others costs one round of asking.

use super::error::StoreError;
use super::options::Shape;
use super::{Store, meta, notes};
use hashpact_core::effect::{Fact, FactWrite, HeldFacts};
use hashpact_protocol::digest::{DIGEST_BYTES, LogId, Root};
use hashpact_protocol::limits::EVIDENCE_MAX_BYTES;
use rocksdb::IteratorMode;

/// What this node cosigned last.
pub(super) const COSIGNED: &str = "cosigned";
/// The largest checkpoint with a quorum of cosignatures.
pub(super) const QUORUM: &str = "quorum";
/// Evidence of equivocation.
pub(super) const EVIDENCE: &str = "evidence";
/// How they are laid out on disk.
pub(super) const SHAPE: Shape = Shape::Small;

const COSIGNED_BYTES: usize = 8 + DIGEST_BYTES;

impl Store {
    /// Keeps a fact, and raises the generation with it if one is given, in one synced step.
    ///
    /// # Errors
    /// Refusals that change nothing: [`StoreError::GenerationBackwards`], [`StoreError::ValueTooLong`],
    /// [`StoreError::CosignedBackwards`]. Then the process must stop: [`StoreError::OutcomeUnknown`].
    pub fn write_fact(&self, write: &FactWrite) -> Result<(), StoreError> {
        let mut writer = self.writer()?;
        let mut rows = rocksdb::WriteBatch::default();
        if let Fact::Seen { indexes, at_ms } = &write.fact {
            self.put_seen(&mut rows, &write.log, indexes, *at_ms)?;
            return self.commit(&mut writer, rows);
        }
        let (family, value) = match &write.fact {
            Fact::Cosigned { size, root } => {
                self.check_cosigned(&write.log, *size, root)?;
                (COSIGNED, encode_cosigned(*size, root).to_vec())
            }
            Fact::QuorumHead(note) => (QUORUM, notes::encode(note)?),
            Fact::Evidence(evidence) => (EVIDENCE, check_evidence(evidence)?.to_vec()),
            Fact::Seen { .. } => unreachable!("written above"),
        };
        rows.put_cf(self.family(family), write.log.as_bytes(), value);
        self.raise(&mut rows, write.generation)?;
        self.commit(&mut writer, rows)
    }

    /// Adds a larger generation to rows.
    pub(super) fn raise(
        &self,
        rows: &mut rocksdb::WriteBatch,
        generation: Option<u64>,
    ) -> Result<(), StoreError> {
        let Some(given) = generation else { return Ok(()) };
        let stored = self.generation()?;
        if given < stored {
            return Err(StoreError::GenerationBackwards { stored, given });
        }
        rows.put_cf(self.family(meta::FAMILY), meta::GENERATION, given.to_be_bytes());
        Ok(())
    }

    /// Everything kept beside the logs.
    ///
    /// # Errors
    /// A key or value that does not decode, or RocksDB's own.
    pub fn facts(&self) -> Result<HeldFacts, StoreError> {
        let mut facts = HeldFacts::default();
        self.each_fact(COSIGNED, |log, value| {
            facts.cosigned.insert(log, decode_cosigned(value)?);
            Ok(())
        })?;
        self.each_fact(QUORUM, |log, value| {
            facts.quorum_heads.insert(log, notes::decode(value)?);
            Ok(())
        })?;
        self.each_fact(EVIDENCE, |log, value| {
            facts.evidence.insert(log, check_evidence(value)?.to_vec());
            Ok(())
        })?;
        facts.branches = self.branches()?;
        self.seen(|entry, at_ms| {
            facts.seen.insert(entry, at_ms);
        })?;
        facts.erased = self.erased()?;
        Ok(facts)
    }

    fn each_fact(
        &self,
        family: &'static str,
        mut visit: impl FnMut(LogId, &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for row in self.db.iterator_cf(self.family(family), IteratorMode::Start) {
            let (key, value) = row?;
            let bad_key = StoreError::Key { family, len_bytes: key.len() };
            let log = <[u8; DIGEST_BYTES]>::try_from(&*key).map_err(|_| bad_key)?;
            visit(LogId::new(log), &value)?;
        }
        Ok(())
    }

    /// The last line of defence against a second history: never smaller, never another root.
    fn check_cosigned(&self, log: &LogId, size: u64, root: &Root) -> Result<(), StoreError> {
        let Some(value) = self.db.get_pinned_cf(self.family(COSIGNED), log.as_bytes())? else {
            return Ok(());
        };
        let (held, held_root) = decode_cosigned(&value)?;
        if size < held || (size == held && held_root != *root) {
            return Err(StoreError::CosignedBackwards { log: *log, held, given: size });
        }
        Ok(())
    }
}

fn encode_cosigned(size: u64, root: &Root) -> [u8; COSIGNED_BYTES] {
    let mut value = [0; COSIGNED_BYTES];
    value[..8].copy_from_slice(&size.to_be_bytes());
    value[8..].copy_from_slice(root.as_bytes());
    value
}

fn decode_cosigned(value: &[u8]) -> Result<(u64, Root), StoreError> {
    let wrong = || StoreError::Value {
        family: COSIGNED,
        detail: format!("{} bytes instead of {COSIGNED_BYTES}", value.len()),
    };
    let (size, root) = value.split_first_chunk::<8>().ok_or_else(wrong)?;
    let root = <[u8; DIGEST_BYTES]>::try_from(root).map_err(|_| wrong())?;
    Ok((u64::from_be_bytes(*size), Root::new(root)))
}

fn check_evidence(evidence: &[u8]) -> Result<&[u8], StoreError> {
    let (len_bytes, max_bytes) = (evidence.len(), EVIDENCE_MAX_BYTES);
    if len_bytes > max_bytes {
        return Err(StoreError::ValueTooLong { family: EVIDENCE, len_bytes, max_bytes });
    }
    Ok(evidence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hashpact_core::effect::SizedNote;
    use proptest::prelude::*;

    fn write(log: u8, generation: Option<u64>, fact: Fact) -> FactWrite {
        FactWrite { id: 1, log: LogId::new([log; 32]), generation, fact }
    }

    fn cosigned(size: u64, root: u8) -> Fact {
        Fact::Cosigned { size, root: Root::new([root; 32]) }
    }

    #[test]
    fn facts_survive_and_a_witness_never_goes_back() {
        let (dir, store) = super::super::tests::fresh();
        let note = SizedNote { size: 5, note: b"note".to_vec() };
        let facts = [
            write(1, Some(3), cosigned(5, 1)),
            write(2, None, Fact::QuorumHead(note.clone())),
            write(3, None, Fact::Evidence(vec![7; EVIDENCE_MAX_BYTES])),
            write(1, Some(4), cosigned(5, 1)),
        ];
        for fact in facts {
            store.write_fact(&fact).expect("stored");
        }
        for (generation, fact) in [(5, cosigned(4, 1)), (5, cosigned(5, 2))] {
            let refused = store.write_fact(&write(1, Some(generation), fact));
            assert!(matches!(refused, Err(StoreError::CosignedBackwards { held: 5, .. })), "{refused:?}");
        }
        let lower = store.write_fact(&write(1, Some(3), cosigned(6, 1)));
        assert!(matches!(lower, Err(StoreError::GenerationBackwards { stored: 4, given: 3 })));
        let long = store.write_fact(&write(3, None, Fact::Evidence(vec![7; EVIDENCE_MAX_BYTES + 1])));
        assert!(matches!(long, Err(StoreError::ValueTooLong { .. })));
        drop(store);
        let store = Store::open(&dir.path().join("db")).expect("whole");
        assert_eq!(store.generation().expect("set"), 4);
        let held = store.facts().expect("whole");
        assert_eq!(
            held.cosigned.into_iter().collect::<Vec<_>>(),
            [(LogId::new([1; 32]), (5, Root::new([1; 32])))]
        );
        assert_eq!(held.quorum_heads.into_values().collect::<Vec<_>>(), [note]);
        assert_eq!(held.evidence.into_values().collect::<Vec<_>>(), [vec![7; EVIDENCE_MAX_BYTES]]);
    }

    #[test]
    fn a_database_from_before_these_families_opens_and_keeps_what_it_holds() {
        let (dir, store) = super::super::tests::fresh();
        drop(store);
        let path = dir.path().join("db");
        let families: Vec<String> =
            rocksdb::DB::list_cf(&rocksdb::Options::default(), &path).expect("listed");
        {
            let mut db = rocksdb::DB::open_cf(&rocksdb::Options::default(), &path, families).expect("opened");
            for family in [COSIGNED, QUORUM, EVIDENCE] {
                db.drop_cf(family).expect("dropped");
            }
        }
        let store = Store::open(&path).expect("families that were added later are created");
        assert_eq!(store.facts().expect("empty"), HeldFacts::default());
        assert_eq!(store.identity().member, "north");
    }

    proptest! {
        #[test]
        fn garbage_never_panics(value in proptest::collection::vec(any::<u8>(), 0..100)) {
            if let Ok((size, root)) = decode_cosigned(&value) {
                prop_assert_eq!(encode_cosigned(size, &root).to_vec(), value);
            }
        }
    }
}
