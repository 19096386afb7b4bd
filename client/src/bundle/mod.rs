//! Audit bundles as files: read in a stream, verified offline.
//!
//! The checks are `hashpact_protocol::bundle`'s; here are files, zstd and the places of damage. A file is read
//! twice at once, at its core and at its annex, and never held; the list of a compressed file's blocks is
//! (32 bytes for every 256 KiB).

mod archive;
mod blocks;

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::rc::Rc;

use hashpact_protocol::bundle::{Findings, Visitor, verify_bundle};
use hashpact_protocol::digest::Root;

use archive::{ArchiveReader, find_annex};
use blocks::Blocks;

/// Bytes of the file that are not as they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Offset of the first byte in the file.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
    /// What is wrong, and in which member.
    pub what: String,
}

/// What became of a verification.
#[derive(Debug)]
pub struct FileFindings {
    /// What the bundle says and proves.
    pub findings: Findings,
    /// Whether the file is compressed; offsets of problems are then not those of the file.
    pub is_compressed: bool,
    /// Damage of the file itself.
    pub damage: Vec<Damage>,
}

impl FileFindings {
    /// Whether everything holds.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.damage.is_empty() && self.findings.is_clean()
    }
}

/// What a reader tells when it cannot go on.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The file cannot be read.
    Io(io::Error),
    /// Its bytes make no sense from here on.
    Damage(Damage),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Called with the bytes of the file that were read since the last call.
pub type Progress = Rc<dyn Fn(u64)>;

/// Damage that a reader met and passed over.
pub(crate) type Met = Rc<RefCell<Vec<Damage>>>;

/// Verifies a bundle file against the root of the first roster version.
///
/// # Errors
/// The file cannot be read; damage is no error but a finding.
pub fn verify_file(
    path: &Path,
    trust: &Root,
    visitor: &mut dyn Visitor,
    progress: Progress,
) -> io::Result<FileFindings> {
    let met = Met::default();
    let mut magic = [0; 4];
    let is_compressed = File::open(path)?.read_exact(&mut magic).is_ok() && magic == [0x5e, 0x2a, 0x4d, 0x18];
    let opened =
        if is_compressed { Blocks::open(path, &met, &progress) } else { find_annex(path, &progress) };
    let (core, annex): (ArchiveReader, ArchiveReader) = match opened {
        Ok(readers) => readers,
        Err(Broken::Io(error)) => return Err(error),
        Err(Broken::Damage(damage)) => {
            met.borrow_mut().push(damage);
            let damage = met.borrow().clone();
            return Ok(FileFindings { findings: Findings::default(), is_compressed, damage });
        }
    };
    let (findings, stop) = verify_bundle(core, annex, trust, visitor);
    match stop {
        Some(Broken::Io(error)) => return Err(error),
        Some(Broken::Damage(damage)) => met.borrow_mut().push(damage),
        None => {}
    }
    if is_compressed && !(findings.is_clean() && met.borrow().is_empty()) {
        // What the verification did not reach.
        blocks::check_all(path, &met)?;
    }
    let mut damage = met.borrow().clone();
    damage.sort_by_key(|damage| (damage.start, damage.end));
    damage.dedup_by_key(|damage| (damage.start, damage.end));
    Ok(FileFindings { findings, is_compressed, damage })
}
