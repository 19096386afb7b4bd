//! Backups: a copy of the database with what was signed last, a manifest that says what belongs to it, and the way back.
//!
//! ```text
//! DIR/manifest         one JSON object: whose, when, what was signed last, every file with its length and SHA-256
//! DIR/database/…       the database at one moment
//! DIR/signed.lock      the lock file of that moment: database and lock fit each other
//! DIR/roster, rivals, card, tokens, journal, journal.head, host, holds    as in the data folder, if they are there
//! DIR/held/…           payloads under a legal hold, encrypted
//! KEYS/*.key           the secret keys, 0600: only on demand, and never inside DIR
//! ```
//!
//! The manifest is written last: a folder without one is no backup. Somebody who can write the backup can put a
//! consistent older database into it, but no false entry (roots are signed), and a restore signs nothing anyhow.
//! Losing it costs what losing a disk costs.

mod files;
mod restore;
mod take;

#[cfg(test)]
mod tests;

pub use files::{BackupError, FileDigest, Manifest};
pub use restore::{Restore, RestoredFrom, restore};
pub use take::{Backup, Taken, back_up, verify};
