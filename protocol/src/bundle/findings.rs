//! What a verification found: proven, claimed, missing, wrong.

use super::manifest::{BundleLog, Manifest};
use super::problem::Problem;
use super::statement::Statement;
use crate::digest::{LogId, RecordId, Root};
use crate::journal::JournalHead;
use crate::leaf::EntryLeaf;
use crate::record::Payload;
use crate::roster::{MemberId, Roster};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most problems that are kept; more are counted.
pub const PROBLEMS_KEPT_MAX: usize = 1000;

/// The result of a verification.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// What the bundle is of; `None` if not even that could be read.
    pub manifest: Option<Manifest>,
    /// The roster that the trust anchor leads to.
    pub roster: Option<Arc<Roster>>,
    /// The holder's statement, if its signature holds.
    pub statement: Option<Statement>,
    /// Each log of the manifest, in its order.
    pub logs: Vec<LogFindings>,
    /// Proven by the evidence in the annex: logs whose authors signed two histories.
    pub forks: Vec<Fork>,
    /// The end of the holder's journal of administrative actions, if it is in the annex and is a chain.
    pub journal: Option<JournalHead>,
    /// The first problems.
    pub problems: Vec<Problem>,
    /// How many there are.
    pub problem_count: u64,
    /// Whether the bundle was read to its end.
    pub is_finished: bool,
}

/// What was found about one log.
#[derive(Clone, Debug)]
pub struct LogFindings {
    /// Its head, as the manifest has it.
    pub log: BundleLog,
    /// Its origin.
    pub origin: String,
    /// Whether all its entries are in the bundle.
    pub is_whole: bool,
    /// Entries that were shown to be in the tree of the head.
    pub entries: u64,
    /// What vouches for the head.
    pub head: HeadProof,
    /// Signed checkpoints in the annex.
    pub checkpoints: u64,
    /// The largest cosigned size of each witness, with the time that it states (seconds since 1970 UTC).
    pub cosigned: BTreeMap<MemberId, (u64, u64)>,
    /// Witnesses of this log, and how many of them are a quorum.
    pub witnesses: (usize, Option<usize>),
    /// Payloads and what stands for them.
    pub payloads: PayloadCounts,
    /// Entries that this version cannot read.
    pub opaque: u64,
    /// Entries that break a rule and never count.
    pub void: u64,
}

/// Two histories of one log, both signed with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fork {
    /// The log's origin.
    pub origin: String,
    /// Sizes of the two checkpoints that contradict each other.
    pub sizes: (u64, u64),
    /// Roots of the two checkpoints.
    pub roots: (Root, Root),
    /// Leaf index of the first entry in which the histories differ, if that is proven too.
    pub diverges_at: Option<u64>,
    /// Histories that are in the annex beside the one in the core, each whole and shown to be the one signed.
    pub kept: Vec<KeptBranch>,
}

/// A history of a forked log in the annex: every entry that it has from `start` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptBranch {
    /// Size of its checkpoint, which is one of the evidence.
    pub size: u64,
    /// Its root.
    pub root: Root,
    /// Leaf index of the first entry that is there.
    pub start: u64,
    /// Payloads that are there and are what their leaves commit to.
    pub payloads: u64,
}

/// What vouches for the head of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeadProof {
    /// Nothing: a problem.
    #[default]
    Nothing,
    /// There are no entries.
    Empty,
    /// The roster closed the log at this head.
    Closed,
    /// The log's key signed this size, at least the head's.
    Signed {
        /// The size.
        size: u64,
    },
}

/// Payloads and markers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PayloadCounts {
    /// Proven: what the leaf commits to.
    pub present: u64,
    /// Claimed by the holder: not for it, or not shown.
    pub withheld: u64,
    /// Claimed: destroyed.
    pub erased: u64,
    /// Claimed: the holder never had it.
    pub not_here: u64,
    /// Claimed: under a legal hold.
    pub held: u64,
}

impl LogFindings {
    /// The largest size that a quorum of witnesses cosigned: whoever cosigned a size holds all leaves below.
    #[must_use]
    pub fn quorum_size(&self) -> Option<u64> {
        let needed = self.witnesses.1?;
        let mut sizes: Vec<u64> = self.cosigned.values().map(|(size, _)| *size).collect();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        sizes.get(needed.checked_sub(1)?).copied()
    }
}

impl Findings {
    /// Whether everything in the bundle holds.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.is_finished && self.problem_count == 0
    }

    pub(super) fn add(&mut self, problem: Problem) {
        self.problem_count += 1;
        if self.problems.len() < PROBLEMS_KEPT_MAX {
            self.problems.push(problem);
        }
    }
}

/// An entry that was read from a bundle. It counts only if the verification ends without a problem.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// Its log.
    pub log: &'a BundleLog,
    /// The log's id.
    pub log_id: LogId,
    /// Its place there.
    pub index: u64,
    /// Its leaf hash.
    pub id: RecordId,
    /// The leaf.
    pub leaf: EntryLeaf,
    /// The payload, or what the holder says in its place.
    pub payload: EntryPayload,
}

/// What stands beside a leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryPayload {
    /// A payload that the leaf commits to; as read, if the leaf is known.
    Present(Option<Box<Payload>>),
    /// Not for the holder, or not shown.
    Withheld,
    /// Destroyed, with the place of the order if it is named.
    Erased(Option<(LogId, u64)>),
    /// The holder does not have it.
    NotHere,
    /// Under a legal hold.
    Held,
    /// In the bundle, and not what the leaf commits to: a problem.
    Damaged,
}

/// A cosignature that verified.
#[derive(Clone, Copy, Debug)]
pub struct Cosigned<'a> {
    /// The log.
    pub log: &'a BundleLog,
    /// Size of the checkpoint.
    pub size: u64,
    /// Who cosigned it.
    pub witness: &'a MemberId,
    /// The time that the cosigner states, seconds since 1970 UTC.
    pub time_s: u64,
    /// The checkpoint with its lines.
    pub note: &'a [u8],
}

/// Who wants to hear of entries and cosignatures while a bundle is verified.
pub trait Visitor {
    /// An entry, in the order of the logs.
    fn entry(&mut self, entry: &Entry<'_>);

    /// A cosignature; all come before the first entry.
    fn cosignature(&mut self, cosigned: &Cosigned<'_>);
}

/// Nobody listens.
impl Visitor for () {
    fn entry(&mut self, _entry: &Entry<'_>) {}

    fn cosignature(&mut self, _cosigned: &Cosigned<'_>) {}
}
