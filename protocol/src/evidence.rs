//! Evidence of equivocation: two signed checkpoints of one log that cannot both be true (SPEC §3.6).
//!
//! Evidence is complete in itself: the two notes, byte for byte as the author signed them, and, if their
//! sizes differ, the root that the larger tree has at the smaller size, with the consistency proof that
//! says so. Anybody with the log's key checks it offline. A *divergence* may be added: the exact leaf
//! index at which the two histories part, proven into both notes.
//!
//! An honest log cannot be accused. A consistency proof between two sizes has one shape, so every hash in
//! it is a node of the tree that the larger note signs, or a collision of SHA-256; the old root that it
//! leads to is therefore that tree's own at the smaller size. An author who signed both notes over one
//! growing list of leaves has signed that very root.
//!
//! What follows from evidence (freeze, contested entries, resolution) is for `hashpact-core` and the roster.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::fmt::Write as _;

use crate::checkpoint::{CheckpointError, SignedCheckpoint, parse_decimal};
use crate::digest::{DIGEST_BYTES, LeafHash, NodeHash, Root};
use crate::keys::PublicKey;
use crate::limits::{EVIDENCE_MAX_BYTES, NOTE_MAX_BYTES};
use crate::merkle::{LEVELS_MAX, verify_consistency, verify_inclusion};
use crate::note::Note;

/// How the first line starts.
const HEADER: &str = "hashpact/evidence/v1 ";

/// Why bytes are not evidence, or evidence proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// Longer than [`EVIDENCE_MAX_BYTES`].
    #[error("evidence of {bytes} bytes, at most {EVIDENCE_MAX_BYTES} are read")]
    TooLong {
        /// Length found.
        bytes: usize,
    },
    /// The first line is not the header with two lengths.
    #[error("the first line is not {HEADER:?} and two lengths")]
    Header,
    /// A line has another form than its place allows, or is missing.
    #[error("line {line} does not have the form that its place allows")]
    Line {
        /// Line, counted from 0.
        line: usize,
    },
    /// The notes do not have the stated lengths, or something follows them.
    #[error("{found} bytes of notes, the header states {stated}")]
    Notes {
        /// Bytes after the empty line.
        found: usize,
        /// Sum of the lengths stated.
        stated: usize,
    },
    /// A note is not a checkpoint of this log.
    #[error("{which} note: {source}")]
    Checkpoint {
        /// Which of the two.
        which: &'static str,
        /// What is wrong with it.
        source: CheckpointError,
    },
    /// The first note is of a larger size than the second.
    #[error("the first note is of size {first}, above {second}")]
    Order {
        /// Size of the first.
        first: u64,
        /// Size of the second.
        second: u64,
    },
    /// Sizes differ and there is no old root, or sizes are equal and there is one.
    #[error("an old root belongs to notes of different sizes, and only there")]
    OldRoot,
    /// The proof does not lead from the old root to the second note's.
    #[error("the old root is not proven to be that of the second note's tree")]
    NotProven,
    /// The two notes do not contradict each other.
    #[error("the two notes do not contradict each other")]
    NoContradiction,
    /// The divergence is not proven by both notes.
    #[error("the divergence at {index} is not proven")]
    Divergence {
        /// Leaf index stated.
        index: u64,
    },
}

/// The root that the larger tree has at the smaller size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldRoot {
    /// The root.
    pub root: Root,
    /// Consistency proof from it to the second note's root.
    pub proof: Vec<NodeHash>,
}

/// One side of a divergence: what one of the trees has there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// Hash of the leaf at the index of divergence.
    pub leaf: LeafHash,
    /// Consistency proof from the common root to the note's.
    pub consistency: Vec<NodeHash>,
    /// Inclusion proof of the leaf in the note's tree.
    pub inclusion: Vec<NodeHash>,
}

/// Where two histories part: the same root at `index`, another leaf at `index`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// Leaf index of the first entry that differs; also the size of what both share.
    pub index: u64,
    /// Root of what both share.
    pub root: Root,
    /// The first note's tree.
    pub first: Side,
    /// The second note's tree.
    pub second: Side,
}

/// Evidence as claimed: trust nothing in it before [`Evidence::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The note of the smaller (or equal) size, verbatim.
    pub first: Vec<u8>,
    /// The other note, verbatim.
    pub second: Vec<u8>,
    /// Present exactly when the sizes differ.
    pub old: Option<OldRoot>,
    /// Where the histories part, if that is known.
    pub divergence: Option<Divergence>,
}

/// Evidence that verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedEvidence {
    first: SignedCheckpoint,
    second: SignedCheckpoint,
    evidence: Evidence,
}

impl Evidence {
    /// The origin that the first note names, unverified: which log's key to verify with.
    #[must_use]
    pub fn origin(&self) -> Option<String> {
        let text = Note::parse(&self.first).ok()?.text;
        text.split_once('\n').map(|(origin, _)| origin.to_owned())
    }

    /// Verifies evidence against the log `origin` with this key.
    ///
    /// # Errors
    /// The first rule of SPEC §3.6 that is broken.
    pub fn verify(self, origin: &str, key: &PublicKey) -> Result<VerifiedEvidence, EvidenceError> {
        let checkpoint = |which, note: &[u8]| {
            SignedCheckpoint::verify(note, origin, key)
                .map_err(|source| EvidenceError::Checkpoint { which, source })
        };
        let first = checkpoint("first", &self.first)?;
        let second = checkpoint("second", &self.second)?;
        let (a, b) = (first.size(), second.size());
        if a > b {
            return Err(EvidenceError::Order { first: a, second: b });
        }
        let claimed = match &self.old {
            Some(old) if a < b => {
                verify_consistency(a, &old.root, b, &second.root(), &old.proof)
                    .map_err(|_| EvidenceError::NotProven)?;
                old.root
            }
            None if a == b => second.root(),
            _ => return Err(EvidenceError::OldRoot),
        };
        if claimed == first.root() {
            return Err(EvidenceError::NoContradiction);
        }
        if let Some(divergence) = &self.divergence {
            divergence.check(&first, &second)?;
        }
        Ok(VerifiedEvidence { first, second, evidence: self })
    }

    /// Reads what [`Evidence::encode`] writes, and nothing else.
    ///
    /// # Errors
    /// [`EvidenceError`] names the rule broken.
    pub fn parse(bytes: &[u8]) -> Result<Self, EvidenceError> {
        if bytes.len() > EVIDENCE_MAX_BYTES {
            return Err(EvidenceError::TooLong { bytes: bytes.len() });
        }
        let end = bytes.windows(2).position(|two| two == b"\n\n").ok_or(EvidenceError::Header)?;
        let (head, notes) = bytes.split_at_checked(end + 2).ok_or(EvidenceError::Header)?;
        let head = core::str::from_utf8(head).map_err(|_| EvidenceError::Header)?;
        let mut lines = Lines { lines: head.trim_end_matches('\n').split('\n').collect(), at: 1 };
        let lengths = lines.lines.first().and_then(|line| line.strip_prefix(HEADER));
        let lengths = lengths.and_then(|rest| rest.split_once(' ')).ok_or(EvidenceError::Header)?;
        let length = |text| {
            let length = parse_decimal(text).and_then(|length| usize::try_from(length).ok());
            length.filter(|length| (1..=NOTE_MAX_BYTES).contains(length)).ok_or(EvidenceError::Header)
        };
        let (first_bytes, second_bytes) = (length(lengths.0)?, length(lengths.1)?);
        let old = match lines.digest("old-root ") {
            Some(root) => Some(OldRoot { root: Root::new(root), proof: lines.hashes("old-proof ")? }),
            None => None,
        };
        let divergence = match lines.number("divergence ") {
            Some(index) => Some(Divergence {
                index,
                root: Root::new(lines.required("common-root ")?),
                first: lines.side("first-")?,
                second: lines.side("second-")?,
            }),
            None => None,
        };
        if lines.at != lines.lines.len() {
            return Err(EvidenceError::Line { line: lines.at });
        }
        let stated = first_bytes + second_bytes;
        match notes.split_at_checked(first_bytes) {
            Some((first, second)) if second.len() == second_bytes => {
                Ok(Self { first: first.to_vec(), second: second.to_vec(), old, divergence })
            }
            _ => Err(EvidenceError::Notes { found: notes.len(), stated }),
        }
    }

    /// The canonical bytes: a few lines, an empty line, the two notes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut text = format!("{HEADER}{} {}\n", self.first.len(), self.second.len());
        if let Some(old) = &self.old {
            line(&mut text, "old-root ", old.root.as_bytes());
            hashes(&mut text, "old-proof ", &old.proof);
        }
        if let Some(divergence) = &self.divergence {
            let _ = writeln!(text, "divergence {}", divergence.index);
            line(&mut text, "common-root ", divergence.root.as_bytes());
            for (name, side) in [("first", &divergence.first), ("second", &divergence.second)] {
                line(&mut text, &format!("{name}-leaf "), side.leaf.as_bytes());
                hashes(&mut text, &format!("{name}-consistency "), &side.consistency);
                hashes(&mut text, &format!("{name}-inclusion "), &side.inclusion);
            }
        }
        text.push('\n');
        [text.as_bytes(), &self.first, &self.second].concat()
    }
}

impl Divergence {
    fn check(&self, first: &SignedCheckpoint, second: &SignedCheckpoint) -> Result<(), EvidenceError> {
        let unproven = EvidenceError::Divergence { index: self.index };
        if self.first.leaf == self.second.leaf {
            return Err(unproven);
        }
        for (side, note) in [(&self.first, first), (&self.second, second)] {
            let (size, root) = (note.size(), note.root());
            verify_consistency(self.index, &self.root, size, &root, &side.consistency)
                .map_err(|_| unproven.clone())?;
            verify_inclusion(&side.leaf, self.index, size, &side.inclusion, &root)
                .map_err(|_| unproven.clone())?;
        }
        Ok(())
    }
}

impl VerifiedEvidence {
    /// The note of the smaller (or equal) size.
    #[must_use]
    pub const fn first(&self) -> &SignedCheckpoint {
        &self.first
    }

    /// The other note.
    #[must_use]
    pub const fn second(&self) -> &SignedCheckpoint {
        &self.second
    }

    /// The log that its author forked.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.first.checkpoint().origin
    }

    /// Leaf index of the first entry in which the two histories differ, if it is proven.
    #[must_use]
    pub fn diverges_at(&self) -> Option<u64> {
        self.evidence.divergence.as_ref().map(|divergence| divergence.index)
    }

    /// The evidence itself.
    #[must_use]
    pub const fn evidence(&self) -> &Evidence {
        &self.evidence
    }
}

fn line(text: &mut String, keyword: &str, digest: &[u8; DIGEST_BYTES]) {
    text.push_str(keyword);
    text.push_str(&BASE64.encode(digest));
    text.push('\n');
}

fn hashes(text: &mut String, keyword: &str, hashes: &[NodeHash]) {
    for hash in hashes {
        line(text, keyword, hash.as_bytes());
    }
}

/// The lines before the notes, read one keyword at a time.
struct Lines<'a> {
    lines: Vec<&'a str>,
    at: usize,
}

impl Lines<'_> {
    fn take<T>(&mut self, keyword: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let value = self.lines.get(self.at)?.strip_prefix(keyword).and_then(read)?;
        self.at += 1;
        Some(value)
    }

    fn number(&mut self, keyword: &str) -> Option<u64> {
        self.take(keyword, parse_decimal)
    }

    fn digest(&mut self, keyword: &str) -> Option<[u8; DIGEST_BYTES]> {
        self.take(keyword, |text| BASE64.decode(text).ok()?.try_into().ok())
    }

    fn required(&mut self, keyword: &str) -> Result<[u8; DIGEST_BYTES], EvidenceError> {
        self.digest(keyword).ok_or(EvidenceError::Line { line: self.at })
    }

    fn hashes(&mut self, keyword: &str) -> Result<Vec<NodeHash>, EvidenceError> {
        let mut hashes = Vec::new();
        while let Some(hash) = self.digest(keyword) {
            if hashes.len() == LEVELS_MAX {
                return Err(EvidenceError::Line { line: self.at });
            }
            hashes.push(NodeHash::new(hash));
        }
        Ok(hashes)
    }

    fn side(&mut self, prefix: &str) -> Result<Side, EvidenceError> {
        Ok(Side {
            leaf: LeafHash::new(self.required(&format!("{prefix}leaf "))?),
            consistency: self.hashes(&format!("{prefix}consistency "))?,
            inclusion: self.hashes(&format!("{prefix}inclusion "))?,
        })
    }
}
