//! How far each log may be seen.
//!
//! The published heads live in memory: after a start nothing is visible until the driver, having
//! compared database and lock file, publishes again. Everything that peers or HTTP callers read goes
//! through `readable` and ends there. The note of a head is also kept on disk, without a sync.

use super::Store;
use super::error::StoreError;
use hashpact_core::effect::PublishedHead;
use hashpact_protocol::digest::LogId;
use std::sync::PoisonError;

impl Store {
    /// Makes a log visible up to this head. A head that is behind the visible one narrows the view:
    /// the driver decides, this only refuses to show what is not stored.
    ///
    /// # Errors
    /// [`StoreError::PublishBeyond`], [`StoreError::UnknownLog`], [`StoreError::NoteBeyond`],
    /// [`StoreError::NoteBackwards`], or RocksDB's own.
    pub fn publish(&self, head: &PublishedHead) -> Result<(), StoreError> {
        let stored = self.stored_size(&head.log)?;
        if head.size > stored {
            return Err(StoreError::PublishBeyond { origin: head.origin.clone(), size: head.size, stored });
        }
        if let Some(note) = &head.note {
            self.keep_note(&head.log, &head.origin, note)?;
        }
        let mut published = self.published.write().unwrap_or_else(PoisonError::into_inner);
        published.insert(head.log, head.clone());
        Ok(())
    }

    /// The visible head of a log.
    #[must_use]
    pub fn published(&self, log: &LogId) -> Option<PublishedHead> {
        self.published.read().unwrap_or_else(PoisonError::into_inner).get(log).cloned()
    }

    /// The visible heads of all logs, in the order of their ids.
    #[must_use]
    pub fn published_all(&self) -> Vec<PublishedHead> {
        self.published.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Size up to which peers and callers may read a log.
    pub(super) fn readable(&self, log: &LogId) -> Result<u64, StoreError> {
        let published = self.published.read().unwrap_or_else(PoisonError::into_inner);
        published.get(log).map(|head| head.size).ok_or(StoreError::UnknownLog(*log))
    }

    /// Entries stored of a log, visible or not.
    ///
    /// # Errors
    /// [`StoreError::UnknownLog`].
    pub fn stored_size(&self, log: &LogId) -> Result<u64, StoreError> {
        let sizes = self.sizes.read().unwrap_or_else(PoisonError::into_inner);
        sizes.get(log).copied().ok_or(StoreError::UnknownLog(*log))
    }
}
