//! What a backup of the running node begins with: a copy of the database beside it, and what was signed last.
//!
//! The lock's state is taken first, between two writes of the storage thread, and the database afterwards: so
//! the copy knows everything that the lock speaks of, as a start demands. Only one copy is kept from an earlier
//! request; `hashpact-node backup` removes its own when it is done.

use super::{BackupAsk, Service, ServiceError};
use crate::driver::now_ms;
use crate::scrub::Shown;
use crate::storage::{LockFile, Store};
use anyhow::Context as _;
use hashpact_core::effect::LockState;
use hashpact_protocol::api::{self, time::rfc3339};
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Copies of earlier requests that are left when another one is made.
const CHECKPOINTS_KEPT: usize = 1;

impl Service {
    /// From now on status shows the scrub.
    pub fn set_scrub(&self, shown: Arc<Shown>) {
        // Set once, at the start.
        let _ = self.inner.scrub.set(shown);
    }

    /// The backups that begin from now on; for the loop, once.
    #[must_use]
    pub fn backup_asks(&self) -> mpsc::Receiver<BackupAsk> {
        let (asks, received) = mpsc::channel(super::BACKUP_ASKS_QUEUED_MAX);
        let _ = self.inner.backup_asks.set(asks);
        received
    }

    /// Copies the database into a new folder below `dir`.
    ///
    /// # Errors
    /// The node is loading or stopping, or the disk refused.
    pub async fn copy_database(&self, dir: &Path) -> Result<api::BackupResponse, ServiceError> {
        let asks = self.inner.backup_asks.get().filter(|_| self.inner.lookup.is_loaded());
        let (answer, answered) = oneshot::channel();
        let asked = asks.ok_or(ServiceError::Loading)?.send(BackupAsk { answer }).await;
        asked.map_err(|_| ServiceError::Stopping)?;
        let lock = answered.await.map_err(|_| ServiceError::Stopping)?;
        let dir = dir.to_owned();
        self.blocking(move |inner| {
            write(&inner.store, &lock, &dir).map_err(|error| ServiceError::Backup(format!("{error:#}")))
        })
        .await
    }

    /// Whether payloads may be shown.
    ///
    /// # Errors
    /// [`ServiceError::Restored`].
    pub fn check_shows_payloads(&self) -> Result<(), ServiceError> {
        if self.inner.lookup.health().from_backup { Err(ServiceError::Restored) } else { Ok(()) }
    }
}

fn write(store: &Store, lock: &LockState, dir: &Path) -> anyhow::Result<api::BackupResponse> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).with_context(|| dir.display().to_string())?;
    forget_old(dir)?;
    let now = now_ms();
    let name = now.to_string();
    let folder = dir.join(&name);
    DirBuilder::new().mode(0o700).create(&folder).with_context(|| folder.display().to_string())?;
    let made = checkpoint(store, lock, &folder);
    if made.is_err() {
        // What is left of it would only take room.
        let _ = fs::remove_dir_all(&folder);
    }
    made?;
    Ok(api::BackupResponse {
        checkpoint: name,
        log: lock.origin.clone(),
        size: lock.size,
        taken: rfc3339(now),
    })
}

/// Database and lock file in a folder of their own.
pub(crate) fn checkpoint(store: &Store, lock: &LockState, folder: &Path) -> anyhow::Result<()> {
    LockFile::create(&folder.join("signed.lock"), lock)?;
    Ok(store.checkpoint(&folder.join("database"))?)
}

fn forget_old(dir: &Path) -> anyhow::Result<()> {
    let mut old = fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    old.sort();
    let gone = old.len().saturating_sub(CHECKPOINTS_KEPT);
    for folder in old.into_iter().take(gone) {
        fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
    }
    Ok(())
}
