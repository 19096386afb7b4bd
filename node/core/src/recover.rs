//! Start-up of the own log: what database and lock file say, compared (DESIGN: Appending).
//!
//! Database ahead of lock = verify, sign, continue. Database behind, other root, or lock missing =
//! stop with a message. A crash with a matching lock counts as a clean stop.

use crate::effect::{LockState, StoredEntry};
use crate::stop::StopReason;
use hashpact_protocol::digest::leaf_hash;
use hashpact_protocol::merkle::Frontier;

#[cfg(test)]
mod tests;

/// What the shell found on disk about the own log.
#[derive(Debug)]
pub struct OwnDisk {
    /// Peaks and size of the stored tree.
    pub frontier: Frontier,
    /// Peaks of the stored tree at the lock's size, computed from the stored tiles; `None` when the
    /// database is behind the lock.
    pub at_lock: Option<Frontier>,
    /// The lock file's content; `None` when the file is missing.
    pub lock: Option<LockState>,
    /// Stored entries from the lock's size on, with their payloads.
    pub beyond_lock: Vec<StoredEntry>,
    /// Generation that the database holds; 0 if it was never set.
    pub generation: u64,
}

/// The verified state to start from.
#[derive(Debug)]
pub struct Recovered {
    /// The signed tree.
    pub signed: Frontier,
    /// The lock as found.
    pub lock: LockState,
    /// Entries that are on disk, synced and not yet signed, with the tree after them.
    pub unsigned: Option<(Vec<StoredEntry>, Frontier)>,
    /// The larger of the generations in database and lock.
    pub generation: u64,
}

/// Compares database and lock.
///
/// # Errors
/// The reason why the node must not start.
pub fn recover(origin: &str, disk: OwnDisk) -> Result<Recovered, StopReason> {
    let OwnDisk { frontier, at_lock, lock, beyond_lock, generation: stored } = disk;
    let Some(lock) = lock else { return Err(StopReason::LockMissing { origin: origin.to_owned() }) };
    if lock.origin != origin {
        return Err(StopReason::LockOrigin { locked: lock.origin, expected: origin.to_owned() });
    }
    if frontier.size() < lock.size {
        return Err(StopReason::DatabaseBehind {
            origin: origin.to_owned(),
            held: frontier.size(),
            signed: lock.size,
        });
    }
    // Every signature of any role raises the generation in the database before it does in the lock.
    if stored != 0 && stored < lock.generation {
        return Err(StopReason::GenerationBehind {
            origin: origin.to_owned(),
            stored,
            locked: lock.generation,
        });
    }
    let generation = stored.max(lock.generation);
    let signed =
        at_lock.ok_or(StopReason::Internal("no tree at the lock's size although the database reaches it"))?;
    if signed.size() != lock.size || signed.root() != lock.root {
        return Err(StopReason::RootMismatch {
            origin: origin.to_owned(),
            size: lock.size,
            computed: signed.root(),
            signed: lock.root,
        });
    }
    if frontier.size() == lock.size {
        if frontier == signed {
            return Ok(Recovered { signed, lock, unsigned: None, generation });
        }
        return Err(StopReason::LeavesMismatch { origin: origin.to_owned(), from: lock.size, to: lock.size });
    }
    let mut after = signed.clone();
    for entry in &beyond_lock {
        after.append(leaf_hash(&entry.leaf));
    }
    if after != frontier {
        return Err(StopReason::LeavesMismatch {
            origin: origin.to_owned(),
            from: lock.size,
            to: frontier.size(),
        });
    }
    Ok(Recovered { signed, lock, unsigned: Some((beyond_lock, after)), generation })
}
