//! TO BE DELETED WHEN `hashpact-index` HAS THESE METHODS ITSELF: `open`, `save`, `warm`, `fingerprint`,
//! `pair_fingerprint` and `IndexStats::bytes`, on top of the flat index.
//!
//! It keeps a second copy of all pairs in memory and writes them to a plain file with a digest at its
//! end. Correct, and slow; everything around it is what stays.

use hashpact_index::{Change, Hit, IndexStats};
use hashpact_protocol::digest::sha256;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

const MAGIC: &[u8; 8] = b"HPSHIM\0\x01";

type Pair = (Option<u8>, Vec<u8>, u64);

/// Why a snapshot cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The file cannot be read or written.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// Another format or version.
    #[error("its version is {0:?}")]
    Version(Vec<u8>),
    /// Torn or damaged.
    #[error("its checksum is wrong")]
    Checksum,
}

/// The flat index with what it does not have yet.
#[derive(Debug, Default)]
pub(super) struct MatchIndex {
    inner: hashpact_index::MatchIndex,
    pairs: Mutex<BTreeSet<Pair>>,
    seed: [u8; 32],
}

impl MatchIndex {
    /// An empty index.
    pub(super) fn new() -> Self {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).expect("the operating system gives random bytes");
        Self { seed, ..Self::default() }
    }

    /// See the index.
    pub(super) fn apply<'a>(&self, changes: impl IntoIterator<Item = Change<'a>>) -> usize {
        let changes: Vec<Change<'a>> = changes.into_iter().collect();
        let mut pairs = self.pairs();
        for change in &changes {
            match *change {
                Change::InsertHamming { value, record } => pairs.insert((None, value.to_vec(), record)),
                Change::RemoveHamming { value, record } => pairs.remove(&(None, value.to_vec(), record)),
                Change::InsertExact { kind, value, record } => {
                    pairs.insert((Some(kind), value.to_vec(), record))
                }
                Change::RemoveExact { kind, value, record } => {
                    pairs.remove(&(Some(kind), value.to_vec(), record))
                }
            };
        }
        self.inner.apply(changes)
    }

    /// See the index.
    pub(super) fn query_hamming(&self, value: &[u8; 32], radius: u16) -> Vec<Hit> {
        self.inner.query_hamming(value, radius)
    }

    /// See the index.
    pub(super) fn query_hamming_batch(&self, values: &[[u8; 32]], radius: u16) -> Vec<Vec<Hit>> {
        self.inner.query_hamming_batch(values, radius)
    }

    /// See the index.
    pub(super) fn query_exact(&self, kind: u8, value: &[u8]) -> Vec<u64> {
        self.inner.query_exact(kind, value)
    }

    /// See the index.
    pub(super) fn stats(&self) -> IndexStats {
        self.inner.stats()
    }

    /// Memory held, in bytes: what the pairs take at least.
    pub(super) fn bytes(&self) -> u64 {
        self.pairs().iter().map(|(_, value, _)| value.len() as u64 + 8).sum()
    }

    /// Wrapping sum of [`Self::pair_fingerprint`] over all pairs.
    pub(super) fn fingerprint(&self) -> u128 {
        let pairs = self.pairs();
        pairs.iter().fold(0, |sum, (kind, value, record)| {
            sum.wrapping_add(self.pair_fingerprint(*kind, value, *record))
        })
    }

    /// One pair's part of the fingerprint.
    pub(super) fn pair_fingerprint(&self, kind: Option<u8>, value: &[u8], record: u64) -> u128 {
        let kind = [kind.unwrap_or(0), u8::from(kind.is_some())];
        let digest = sha256(&[&self.seed, &kind, &record.to_be_bytes(), value]);
        u128::from_be_bytes(digest[..16].try_into().expect("sixteen bytes"))
    }

    /// Writes a snapshot.
    ///
    /// # Errors
    /// The system's words.
    pub(super) fn save(&self, path: &Path, tag: &[u8]) -> Result<(), SnapshotError> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&self.seed);
        bytes.extend_from_slice(&(tag.len() as u64).to_be_bytes());
        bytes.extend_from_slice(tag);
        for (kind, value, record) in self.pairs().iter() {
            bytes.extend_from_slice(&[kind.unwrap_or(0), u8::from(kind.is_some()), value.len() as u8]);
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(&record.to_be_bytes());
        }
        let digest = sha256(&[&bytes]);
        bytes.extend_from_slice(&digest);
        let temporary = path.with_extension("tmp");
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(&temporary)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        if let Some(folder) = path.parent() {
            std::fs::File::open(folder)?.sync_all()?;
        }
        Ok(())
    }

    /// Opens a snapshot.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn open(path: &Path) -> Result<(Self, Vec<u8>), SnapshotError> {
        let bytes = std::fs::read(path)?;
        if !bytes.starts_with(MAGIC) {
            return Err(SnapshotError::Version(bytes[..bytes.len().min(8)].to_vec()));
        }
        let Some((body, digest)) = bytes.split_last_chunk::<32>() else {
            return Err(SnapshotError::Checksum);
        };
        if body.len() < 48 || sha256(&[body]) != *digest {
            return Err(SnapshotError::Checksum);
        }
        let (head, rest) = body.split_at(48);
        let tag_len = u64::from_be_bytes(head[40..48].try_into().expect("eight bytes")) as usize;
        let (tag, mut rest) = rest.split_at(tag_len);
        let index = Self { seed: head[8..40].try_into().expect("as long"), ..Self::default() };
        let mut changes = Vec::new();
        while let [kind, is_exact, len, more @ ..] = rest {
            let (value, more) = more.split_at(usize::from(*len));
            let (record, more) = more.split_first_chunk::<8>().expect("written whole");
            let record = u64::from_be_bytes(*record);
            changes.push(if *is_exact == 1 {
                Change::InsertExact { kind: *kind, value, record }
            } else {
                Change::InsertHamming { value: value.try_into().expect("32 bytes"), record }
            });
            rest = more;
        }
        index.apply(changes);
        Ok((index, tag.to_vec()))
    }

    /// Nothing to warm here.
    ///
    /// # Errors
    /// None.
    #[expect(clippy::unnecessary_wraps, reason = "the index's own may fail")]
    pub(super) fn warm(&self) -> Result<(), SnapshotError> {
        Ok(())
    }

    fn pairs(&self) -> MutexGuard<'_, BTreeSet<Pair>> {
        self.pairs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
