//! The lock file: the last thing this node signed, outside the database.
//!
//! A database restored from yesterday's copy looks perfectly sound, and a node that appended to it
//! would sign a second history. The lock file is what notices: it is synced after every signature and
//! before anything signed is released, and start-up compares it with the database.
//!
//! ```text
//! slot 0 at 0, slot 1 at 20480; each slot:
//!    0   8  "HPLOCK1\0"
//!    8   8  sequence number of the write, big-endian like all that follows
//!   16   8  generation          24   8  tree size          32  32  root
//!   64   2  length of origin    66   2  length of note     68   …  origin, note, zeros
//! 20448 32  SHA-256("hashpact/lock/v1\0" ‖ slot[0..20448])
//! ```
//!
//! **Both slots carry every state.** A write goes to one slot, is synced, then to the other, is
//! synced, and only then returns. So at any instant one slot holds the last acknowledged state or a
//! newer one, whole, and after a write returned both do. If the slots merely took turns, a damaged
//! newest slot and a torn, unacknowledged write would look the same, and the older state would
//! be taken for the last one. The second sync costs a few hundred microseconds on solid-state disks
//! at most ten times a second. The file never changes its length, so a cut is an error.
//!
//! | found | taken |
//! |---|---|
//! | equal slots | them |
//! | sequence n and n-1 (crash between the two writes) | n: it is signed, if not yet released |
//! | one whole, one bad (torn write, or damage later) | the whole one; the bad one is rewritten |
//! | both bad, or anything else | nothing: an error, and a person decides |
//!
//! Somebody who can write this file and the database can put back a consistent older pair; other
//! members hold the larger checkpoint. Losing the file stops the node: the roster then closes the log
//! and opens a successor. An advisory lock on the file refuses a second process.

use super::heads::ORIGIN_MAX_BYTES;
use hashpact_core::effect::LockState;
use hashpact_protocol::digest::{DIGEST_BYTES, Root, sha256};
use hashpact_protocol::limits::NOTE_MAX_BYTES;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"HPLOCK1\0";
const DOMAIN: &[u8] = b"hashpact/lock/v1\0";
const HEADER_BYTES: usize = 68;
/// Five pages, so that no two slots share one.
const SLOT_BYTES: usize = 5 * 4096;
const CHECKED_BYTES: usize = SLOT_BYTES - DIGEST_BYTES;
/// Length of the file, always.
pub const LOCK_FILE_BYTES: u64 = 2 * SLOT_BYTES as u64;

const _: () = assert!(HEADER_BYTES + ORIGIN_MAX_BYTES + NOTE_MAX_BYTES <= CHECKED_BYTES);
// Their lengths are written in two bytes each.
const _: () = assert!(SLOT_BYTES <= u16::MAX as usize);

/// Why a slot is not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SlotError {
    /// The checksum does not fit the content: torn or damaged.
    #[error("its checksum is wrong")]
    Checksum,
    /// The checksum fits, the format does not: written by something else.
    #[error("it is not a slot of this format")]
    Format,
}

/// Why the lock file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// `create` never overwrites.
    #[error("lock file {} already exists; it is never overwritten", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// There is none.
    #[error(
        "lock file {} is missing: this node cannot know what it last signed; the roster must close its log and open a successor",
        path.display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// Another process has it.
    #[error("lock file {} is held by another process", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file is cut or grown.
    #[error("lock file {} has {found_bytes} bytes instead of {LOCK_FILE_BYTES}", path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// Its length.
        found_bytes: u64,
    },
    /// Neither slot is whole.
    #[error("both slots of lock file {} are bad: first {first}, second {second}", path.display())]
    BothBad {
        /// The file.
        path: PathBuf,
        /// What is wrong with slot 0.
        first: SlotError,
        /// What is wrong with slot 1.
        second: SlotError,
    },
    /// Two whole slots that no sequence of writes leaves behind.
    #[error("the slots of lock file {} are of writes {first} and {second} and contradict each other", path.display())]
    Disagree {
        /// The file.
        path: PathBuf,
        /// Sequence number of slot 0.
        first: u64,
        /// Sequence number of slot 1.
        second: u64,
    },
    /// A state that would forget a signature.
    #[error(
        "refusing to lower the lock: generation {generation} size {size} after generation {held_generation} size {held_size}"
    )]
    Backwards {
        /// Generation held.
        held_generation: u64,
        /// Size held.
        held_size: u64,
        /// Generation given.
        generation: u64,
        /// Size given.
        size: u64,
    },
    /// A second root for a size that is already signed.
    #[error("refusing a second root for size {size} of {origin}: {given} after {held}")]
    SecondRoot {
        /// The log.
        origin: String,
        /// The size.
        size: u64,
        /// Root held.
        held: Root,
        /// Root given.
        given: Root,
    },
    /// Origin or note do not fit.
    #[error("origin of {origin_bytes} and note of {note_bytes} bytes do not fit the lock file")]
    TooLong {
        /// Length of the origin.
        origin_bytes: usize,
        /// Length of the note.
        note_bytes: usize,
    },
    /// An earlier write failed: what the file says is unknown until it is opened again.
    #[error("an earlier write of the lock file failed; the node must stop and start again")]
    Poisoned,
    /// The file system refused.
    #[error("lock file {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// What opening had to repair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repair {
    /// Which slot (0 or 1) was rewritten from the other.
    pub slot: usize,
    /// What was wrong with it; `None` if it was whole but one write behind.
    pub reason: Option<SlotError>,
}

/// The open lock file, held against other processes until dropped.
#[derive(Debug)]
pub struct LockFile {
    file: File,
    path: PathBuf,
    state: LockState,
    sequence: u64,
    repair: Option<Repair>,
    in_doubt: bool,
}

impl LockFile {
    /// Creates the file with its first state; only `init` does this.
    ///
    /// # Errors
    /// [`LockError::Exists`], [`LockError::TooLong`], [`LockError::Io`].
    pub fn create(path: &Path, state: &LockState) -> Result<Self, LockError> {
        let slot = encode_slot(0, state)?;
        let io = |source| LockError::Io { path: path.to_owned(), source };
        let mut options = OpenOptions::new();
        let file = match options.read(true).write(true).create_new(true).mode(0o600).open(path) {
            Ok(file) => file,
            Err(source) if source.kind() == ErrorKind::AlreadyExists => {
                return Err(LockError::Exists { path: path.to_owned() });
            }
            Err(source) => return Err(io(source)),
        };
        hold(&file, path)?;
        file.write_all_at(&slot, offset(0)).map_err(io)?;
        file.write_all_at(&slot, offset(1)).map_err(io)?;
        file.sync_all().map_err(io)?;
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(io)?;
        Ok(Self {
            file,
            path: path.to_owned(),
            state: state.clone(),
            sequence: 0,
            repair: None,
            in_doubt: false,
        })
    }

    /// Opens, holds and, after a crash, repairs the file.
    ///
    /// # Errors
    /// [`LockError::Missing`], [`LockError::InUse`], [`LockError::Length`], [`LockError::BothBad`],
    /// [`LockError::Disagree`], [`LockError::Io`].
    pub fn open(path: &Path) -> Result<Self, LockError> {
        let io = |source| LockError::Io { path: path.to_owned(), source };
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(source) if source.kind() == ErrorKind::NotFound => {
                return Err(LockError::Missing { path: path.to_owned() });
            }
            Err(source) => return Err(io(source)),
        };
        hold(&file, path)?;
        let found_bytes = file.metadata().map_err(io)?.len();
        if found_bytes != LOCK_FILE_BYTES {
            return Err(LockError::Length { path: path.to_owned(), found_bytes });
        }
        let mut slots = [vec![0; SLOT_BYTES], vec![0; SLOT_BYTES]];
        for (number, slot) in slots.iter_mut().enumerate() {
            file.read_exact_at(slot, offset(number)).map_err(io)?;
        }
        let (good, repair) = choose(path, decode_slot(&slots[0]), decode_slot(&slots[1]))?;
        if let Some(repair) = repair {
            file.write_all_at(&slots[1 - repair.slot], offset(repair.slot)).map_err(io)?;
            file.sync_data().map_err(io)?;
        }
        let (sequence, state) = good;
        Ok(Self { file, path: path.to_owned(), state, sequence, repair, in_doubt: false })
    }

    /// The last state written.
    #[must_use]
    pub const fn state(&self) -> &LockState {
        &self.state
    }

    /// What opening had to repair; worth a line in the log.
    #[must_use]
    pub const fn repair(&self) -> Option<Repair> {
        self.repair
    }

    /// Replaces the state; durable in both slots when this returns.
    ///
    /// # Errors
    /// Refusals that change nothing: [`LockError::Backwards`], [`LockError::SecondRoot`],
    /// [`LockError::TooLong`]. After [`LockError::Io`] the process must stop.
    pub fn write(&mut self, state: &LockState) -> Result<(), LockError> {
        if self.in_doubt {
            return Err(LockError::Poisoned);
        }
        if *state == self.state {
            return Ok(());
        }
        check_advance(&self.state, state)?;
        let slot = encode_slot(self.sequence + 1, state)?;
        self.in_doubt = true;
        for number in [0, 1] {
            // A crash in here leaves the other slot whole: the old state in the first round, the
            // new one in the second.
            let written = self.file.write_all_at(&slot, offset(number)).and_then(|()| self.file.sync_data());
            written.map_err(|source| LockError::Io { path: self.path.clone(), source })?;
        }
        self.in_doubt = false;
        self.sequence += 1;
        self.state = state.clone();
        Ok(())
    }
}

fn hold(file: &File, path: &Path) -> Result<(), LockError> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => LockError::InUse { path: path.to_owned() },
        TryLockError::Error(source) => LockError::Io { path: path.to_owned(), source },
    })
}

const fn offset(slot: usize) -> u64 {
    slot as u64 * SLOT_BYTES as u64
}

fn check_advance(held: &LockState, given: &LockState) -> Result<(), LockError> {
    let is_same_log = held.origin == given.origin;
    if given.generation <= held.generation || (is_same_log && given.size < held.size) {
        return Err(LockError::Backwards {
            held_generation: held.generation,
            held_size: held.size,
            generation: given.generation,
            size: given.size,
        });
    }
    if is_same_log && given.size == held.size && given.root != held.root {
        let (origin, size) = (given.origin.clone(), given.size);
        return Err(LockError::SecondRoot { origin, size, held: held.root, given: given.root });
    }
    Ok(())
}

/// A slot's sequence number and state, or why it is not whole.
pub(super) type Slot = Result<(u64, LockState), SlotError>;

pub(super) fn choose(
    path: &Path,
    first: Slot,
    second: Slot,
) -> Result<((u64, LockState), Option<Repair>), LockError> {
    match (first, second) {
        (Ok(first), Ok(second)) if first == second => Ok((first, None)),
        (Ok(first), Ok(second)) if second.0.checked_add(1) == Some(first.0) => {
            Ok((first, Some(Repair { slot: 1, reason: None })))
        }
        (Ok(first), Ok(second)) if first.0.checked_add(1) == Some(second.0) => {
            Ok((second, Some(Repair { slot: 0, reason: None })))
        }
        (Ok(first), Ok(second)) => {
            Err(LockError::Disagree { path: path.to_owned(), first: first.0, second: second.0 })
        }
        (Ok(first), Err(reason)) => Ok((first, Some(Repair { slot: 1, reason: Some(reason) }))),
        (Err(reason), Ok(second)) => Ok((second, Some(Repair { slot: 0, reason: Some(reason) }))),
        (Err(first), Err(second)) => Err(LockError::BothBad { path: path.to_owned(), first, second }),
    }
}

fn encode_slot(sequence: u64, state: &LockState) -> Result<Vec<u8>, LockError> {
    let (origin, note) = (state.origin.as_bytes(), &state.note);
    if origin.len() > ORIGIN_MAX_BYTES || note.len() > NOTE_MAX_BYTES {
        return Err(LockError::TooLong { origin_bytes: origin.len(), note_bytes: note.len() });
    }
    let mut slot = Vec::with_capacity(SLOT_BYTES);
    slot.extend_from_slice(MAGIC);
    for number in [sequence, state.generation, state.size] {
        slot.extend_from_slice(&number.to_be_bytes());
    }
    slot.extend_from_slice(state.root.as_bytes());
    for length in [origin.len(), note.len()] {
        let length = u16::try_from(length).expect("both bounds are below 2^16");
        slot.extend_from_slice(&length.to_be_bytes());
    }
    slot.extend_from_slice(origin);
    slot.extend_from_slice(note);
    slot.resize(CHECKED_BYTES, 0);
    let checksum = sha256(&[DOMAIN, &slot]);
    slot.extend_from_slice(&checksum);
    Ok(slot)
}

pub(super) fn decode_slot(slot: &[u8]) -> Slot {
    let (checked, checksum) = slot.split_at_checked(CHECKED_BYTES).ok_or(SlotError::Format)?;
    if sha256(&[DOMAIN, checked]).as_slice() != checksum {
        return Err(SlotError::Checksum);
    }
    parse_slot(checked).ok_or(SlotError::Format)
}

fn parse_slot(slot: &[u8]) -> Option<(u64, LockState)> {
    let rest = slot.strip_prefix(MAGIC)?;
    let (sequence, rest) = rest.split_first_chunk::<8>()?;
    let (generation, rest) = rest.split_first_chunk::<8>()?;
    let (size, rest) = rest.split_first_chunk::<8>()?;
    let (root, rest) = rest.split_first_chunk::<DIGEST_BYTES>()?;
    let (origin_len, rest) = rest.split_first_chunk::<2>()?;
    let (note_len, rest) = rest.split_first_chunk::<2>()?;
    let (origin, rest) = rest.split_at_checked(u16::from_be_bytes(*origin_len).into())?;
    let (note, zeros) = rest.split_at_checked(u16::from_be_bytes(*note_len).into())?;
    if zeros.iter().any(|byte| *byte != 0) || origin.len() > ORIGIN_MAX_BYTES || note.len() > NOTE_MAX_BYTES {
        return None;
    }
    let state = LockState {
        generation: u64::from_be_bytes(*generation),
        origin: String::from_utf8(origin.to_vec()).ok()?,
        size: u64::from_be_bytes(*size),
        root: Root::new(*root),
        note: note.to_vec(),
    };
    Some((u64::from_be_bytes(*sequence), state))
}
