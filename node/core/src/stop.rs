//! Reasons to stop at once: our own state may be wrong, or somebody else signs with our key.
//!
//! Each text says what happened and what to do, because an operator reads it at night.

use hashpact_protocol::digest::Root;

/// Why the node must not go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StopReason {
    /// No lock file beside a database that has a log.
    #[error(
        "the lock file is missing, so this node cannot know what it signed last for {origin}. Restore the newest lock \
         file if it was moved; otherwise give this log up with `hashpact-node recover`: governance then closes it and opens the next one"
    )]
    LockMissing {
        /// The log.
        origin: String,
    },
    /// No lock file, because the data folder came from a backup.
    #[error(
        "this data folder was restored from a backup taken at {taken}, and nobody can know what this node signed for {origin} \
         since. Give this log up with `hashpact-node recover`; the other members have what the backup lacks. Never put the \
         backup's own lock file in its place. If the machine's newest lock file survived, empty the data folder and restore again with `--lock FILE`"
    )]
    Restored {
        /// The log.
        origin: String,
        /// When the backup was taken, RFC 3339.
        taken: String,
    },
    /// Bytes of the own log changed on the disk.
    #[error(
        "the own log {origin} is damaged on this disk: {detail}. Nothing was signed over it. Check the disk and the memory, \
         then put back database and lock file of one backup with which nothing is lost, or give this log up with `hashpact-node recover` (see \
         RECOVERY.md, \"Damaged bytes\"); the other members have their copies"
    )]
    OwnLogDamaged {
        /// The log.
        origin: String,
        /// What was found where.
        detail: String,
    },
    /// The lock belongs to another log.
    #[error(
        "the lock file is for {locked}, but the database and roster say {expected}: files of two nodes were mixed. \
         Put back the lock file that belongs to this database"
    )]
    LockOrigin {
        /// Origin in the lock.
        locked: String,
        /// Origin expected.
        expected: String,
    },
    /// Database behind the lock: a restored backup, or a lost tail.
    #[error(
        "the database holds {held} entries of {origin}, but this node has signed {signed}: an older database was \
         restored, or its tail was lost. Do not delete the lock file. Restore the newest database, or give this log up with `hashpact-node recover`; \
         the other members have what it lacks"
    )]
    DatabaseBehind {
        /// The log.
        origin: String,
        /// Entries in the database.
        held: u64,
        /// Entries signed.
        signed: u64,
    },
    /// Database behind the lock in what it remembers of signatures.
    #[error(
        "the database remembers signature {stored} of this node, but the lock file {locked}: an older database was restored. \
         It does not know what this node cosigned since, so it must sign in no role. Restore the newest database, or have the \
         roster close {origin} and list a new cosigner key"
    )]
    GenerationBehind {
        /// The log.
        origin: String,
        /// Generation in the database.
        stored: u64,
        /// Generation in the lock.
        locked: u64,
    },
    /// Same size, other root.
    #[error(
        "the database's root of {origin} at size {size} is {computed}, but this node has signed {signed}: the database was \
         changed. Restore the database that belongs to the lock file and run fsck"
    )]
    RootMismatch {
        /// The log.
        origin: String,
        /// Tree size.
        size: u64,
        /// Root computed from the database.
        computed: Root,
        /// Root in the lock.
        signed: Root,
    },
    /// The stored frontier is not that of the stored leaves.
    #[error(
        "the leaves of {origin} between {from} and {to} do not hash to the stored tree: the database is damaged; run fsck"
    )]
    LeavesMismatch {
        /// The log.
        origin: String,
        /// First leaf index checked.
        from: u64,
        /// Tree size checked.
        to: u64,
    },
    /// What was read back after a sync is not what was written.
    #[error(
        "entry {index} of {origin} read back from the database differs from what was written: storage or memory is faulty. \
         Nothing was signed. Check the hardware before starting again"
    )]
    ReadBack {
        /// The log.
        origin: String,
        /// Leaf index.
        index: u64,
    },
    /// A write failed or its outcome is unknown.
    #[error("a write failed or its outcome is unknown ({detail}); start-up will recover what is on disk")]
    WriteFailed {
        /// The storage engine's words.
        detail: String,
    },
    /// A valid note under our key says more than we ever signed.
    #[error(
        "a peer holds a checkpoint of {origin} with size {seen}, signed with this node's key, but this node has signed only \
         {signed}: the key was copied, or an old machine image was restored. Do not start another copy. Give this log up with `hashpact-node recover` on one machine; if the key was stolen, governance closes \
         it where the thief's entries begin"
    )]
    OwnNoteAhead {
        /// The log.
        origin: String,
        /// Size in the peer's note.
        seen: u64,
        /// Size that we signed.
        signed: u64,
    },
    /// A valid note under our key contradicts ours.
    #[error(
        "a peer holds a checkpoint of {origin} with size {size} and another root, signed with this node's key: two nodes sign \
         this log. Stop both, and give it up with `hashpact-node recover` on one of them"
    )]
    OwnNoteContradicts {
        /// The log.
        origin: String,
        /// The size.
        size: u64,
    },
    /// The roster does not list what this node has.
    #[error("the roster does not fit this node: {0}")]
    Roster(String),
    /// A newer roster changes what counts of entries that are folded, or which log or role this node has.
    #[error("roster version {version} is installed; the node has to be started anew under it")]
    Reopen {
        /// The version.
        version: u64,
    },
    /// What look-ups took from a snapshot is not what the logs say.
    #[error(
        "the records snapshot is not what the logs say: {detail}; the node has to be started anew without it"
    )]
    Snapshot {
        /// What was found.
        detail: String,
    },
    /// A broken invariant of the engine itself.
    #[error("internal: {0}")]
    Internal(&'static str),
}
