//! Signed versions, and the walk from one to the next (SPEC §8.3 to §8.5; TUF's rules).

mod lapses;
mod rivals;

use super::rules::{KeyUse, keys, word};
use super::succession::check_succession;
use super::{MemberId, Rejected, Roster, RosterError, RosterRule, governance_signer};
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::digest::{Root, RosterDigest, leaf_hash};
use crate::keys::{PublicKey, SecretKey};
use crate::limits::{NOTE_MAX_BYTES, ROSTER_BODY_MAX_BYTES};
use crate::merkle::Frontier;
use crate::note::{Note, NoteAlgorithm, NoteError, NoteKey, NoteSignature, sign_note};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const FILE_HEADER: &str = "hashpact/signed-roster/v1";

/// A roster body with the checkpoint that governance signed for it; not verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedRoster {
    /// The canonical text.
    pub body: Vec<u8>,
    /// The checkpoint of the roster log at this version, a signed note.
    pub note: Vec<u8>,
}

/// Why a version is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// The body.
    #[error(transparent)]
    Body(#[from] RosterError),
    /// A rule on what a roster says that was not read from text.
    #[error(transparent)]
    Rule(RosterRule),
    /// The checkpoint's note.
    #[error("roster checkpoint: {0}")]
    Note(NoteError),
    /// The checkpoint's text.
    #[error("roster checkpoint: {0}")]
    Checkpoint(CheckpointError),
    /// The file's framing.
    #[error("roster file: {0}")]
    File(&'static str),
    /// The chain must start at version 1.
    #[error("a chain of rosters starts at version 1, not {0}")]
    NotFirst(u64),
    /// Not the next version.
    #[error("version {got} cannot follow version {held}")]
    NotNext {
        /// Held.
        held: u64,
        /// Given.
        got: u64,
    },
    /// Of another consortium.
    #[error("a roster of {got}, not of {held}")]
    OtherConsortium {
        /// Held.
        held: String,
        /// Given.
        got: String,
    },
    /// Names another predecessor.
    #[error("names {got} as its predecessor; version {version} has digest {held}")]
    OtherPrevious {
        /// The version held.
        version: u64,
        /// Its digest.
        held: RosterDigest,
        /// Digest named.
        got: RosterDigest,
    },
    /// The checkpoint is not that of this body.
    #[error("the checkpoint signs {field} {got}, the roster has {expected}")]
    OtherCheckpoint {
        /// Which field.
        field: &'static str,
        /// Signed.
        got: String,
        /// Expected.
        expected: String,
    },
    /// Too few signatures.
    #[error("{valid} of the {keys} governance keys of version {version} signed; {threshold} must")]
    TooFewSignatures {
        /// Whose keys.
        version: u64,
        /// Distinct keys that signed validly.
        valid: usize,
        /// Keys there are.
        keys: usize,
        /// Keys that must sign.
        threshold: u8,
    },
    /// The name of a signing key.
    #[error("cannot sign: {0}")]
    SignerName(RosterRule),
    /// A key that had another role or another owner in an earlier version.
    #[error("{second} has the key that an earlier version listed as {first}")]
    KeyReused {
        /// Where the earlier version had it.
        first: String,
        /// Where it stands now.
        second: String,
    },
    /// Version 1 has another root than the one pinned.
    #[error("version 1 has root {got}, pinned is {pinned}")]
    Pin {
        /// Computed.
        got: Root,
        /// Pinned.
        pinned: Root,
    },
    /// A feature would be in use in versions that did not know of it.
    #[error(
        "feature {feature} cannot be in use from version {from} on: version {version} is the first that names it so"
    )]
    Retrospective {
        /// The feature.
        feature: String,
        /// From when on.
        from: u64,
        /// The version that says so.
        version: u64,
    },
    /// A version that rejects one of its own predecessors.
    #[error("rejects version {version}, digest {digest}, which is its own predecessor")]
    RejectsHeld {
        /// Its number.
        version: u64,
        /// Its digest.
        digest: RosterDigest,
    },
    /// A rival is known, and this version does not reject it.
    #[error(
        "governance also signed another version {version}, digest {digest}: no version follows that does not \
         reject it by name"
    )]
    Unsettled {
        /// The rival's number.
        version: u64,
        /// Its digest.
        digest: RosterDigest,
    },
    /// Something changed that is fixed for life.
    #[error("{what} may not change: {detail}")]
    Immutable {
        /// What.
        what: &'static str,
        /// Which.
        detail: String,
    },
}

// Their words are part of ours, so they are not also our source: a chain of causes would say them twice.
impl From<NoteError> for ChainError {
    fn from(error: NoteError) -> Self {
        Self::Note(error)
    }
}

impl From<CheckpointError> for ChainError {
    fn from(error: CheckpointError) -> Self {
        Self::Checkpoint(error)
    }
}

/// The checkpoint that governance signs for a body, on top of the versions before it.
fn checkpoint_of(
    roster: &Roster,
    body: &[u8],
    before: &Frontier,
) -> Result<(Checkpoint, Frontier), ChainError> {
    if before.size() + 1 != roster.version {
        return Err(ChainError::NotNext { held: before.size(), got: roster.version });
    }
    let mut after = before.clone();
    after.append(leaf_hash(body));
    Ok((Checkpoint { origin: roster.roster_origin(), size: roster.version, root: after.root() }, after))
}

/// Signs a body as governance key `name`; `before` is the tree of the versions before it.
///
/// The body need not list the key: when keys rotate, those of the version before sign as well.
///
/// # Errors
/// The body is not a roster or not the next version, or the name is not one that a roster could list.
pub fn sign_roster(
    body: &[u8],
    before: &Frontier,
    name: &str,
    key: &SecretKey,
) -> Result<NoteSignature, ChainError> {
    let roster = Roster::parse(body)?;
    word("governance name", name).map_err(ChainError::SignerName)?;
    let (checkpoint, _) = checkpoint_of(&roster, body, before)?;
    let signer = governance_signer(&roster.consortium, name);
    Ok(sign_note(&checkpoint.text(), &signer, key))
}

/// Joins a body with its signatures. The result is not verified: [`RosterChain`] does that.
///
/// # Errors
/// The body is not a roster or not the next version; a signature is there twice, or the signatures do
/// not make a note.
pub fn assemble(
    body: &[u8],
    before: &Frontier,
    signatures: Vec<NoteSignature>,
) -> Result<SignedRoster, ChainError> {
    let roster = Roster::parse(body)?;
    let (checkpoint, _) = checkpoint_of(&roster, body, before)?;
    for signature in &signatures {
        let same = |other: &&NoteSignature| other.name == signature.name && other.key_id == signature.key_id;
        let count = signatures.iter().filter(same).count();
        if count > 1 {
            return Err(NoteError::DuplicateSignature { name: signature.name.clone(), count }.into());
        }
    }
    let note = Note { text: checkpoint.text(), signatures }.encode();
    // The signatures came from outside: what nobody could read must not leave the signing tool.
    Note::parse(&note)?;
    Ok(SignedRoster { body: body.to_vec(), note })
}

impl SignedRoster {
    /// The file form: header with both lengths, body, note.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = format!("{FILE_HEADER} {} {}\n", self.body.len(), self.note.len()).into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes.extend_from_slice(&self.note);
        bytes
    }

    /// Reads a file with one or more versions after each other.
    ///
    /// # Errors
    /// The framing is broken, or a part is longer than allowed.
    pub fn parse_file(mut bytes: &[u8]) -> Result<Vec<Self>, ChainError> {
        let mut versions = Vec::new();
        while !bytes.is_empty() {
            let (version, rest) = Self::parse_one(bytes)?;
            versions.push(version);
            bytes = rest;
        }
        if versions.is_empty() {
            return Err(ChainError::File("holds no version"));
        }
        Ok(versions)
    }

    fn parse_one(bytes: &[u8]) -> Result<(Self, &[u8]), ChainError> {
        let header_end = bytes.iter().take(128).position(|byte| *byte == b'\n');
        let header_end = header_end.ok_or(ChainError::File("does not start with a header line"))?;
        let (header, rest) =
            bytes.split_at_checked(header_end + 1).ok_or(ChainError::File("has no header"))?;
        let header =
            std::str::from_utf8(header).map_err(|_| ChainError::File("has a header that is not text"))?;
        let words: Vec<&str> = header.trim_end_matches('\n').split(' ').collect();
        let [FILE_HEADER, body_len, note_len] = words.as_slice() else {
            return Err(ChainError::File(
                "has another header than `hashpact/signed-roster/v1 <bytes> <bytes>`",
            ));
        };
        let length = |text: &str, max: usize| {
            let parsed =
                text.parse::<usize>().ok().filter(|parsed| parsed.to_string() == text && *parsed <= max);
            parsed.ok_or(ChainError::File("has a length that is no number or too large"))
        };
        let body_len = length(body_len, ROSTER_BODY_MAX_BYTES)?;
        let note_len = length(note_len, NOTE_MAX_BYTES)?;
        let cut = ChainError::File("is shorter than its header says");
        let (body, rest) = rest.split_at_checked(body_len).ok_or(cut.clone())?;
        let (note, rest) = rest.split_at_checked(note_len).ok_or(cut)?;
        Ok((Self { body: body.to_vec(), note: note.to_vec() }, rest))
    }
}

/// Verified versions, from 1 to the newest.
#[derive(Clone, Debug)]
pub struct RosterChain {
    versions: Vec<SignedRoster>,
    current: Arc<Roster>,
    digest: RosterDigest,
    tree: Frontier,
    /// Every key that any version listed, with its role.
    keys: BTreeMap<PublicKey, KeyUse>,
    /// What any version rejected by name.
    rejected: BTreeSet<Rejected>,
    /// Rivals that no version has rejected yet.
    unsettled: BTreeMap<Rejected, SignedRoster>,
    /// Members whose records lapse, and the version since which they do without a break.
    lapsed: BTreeMap<MemberId, u64>,
}

impl RosterChain {
    /// Starts at version 1; with a pin, only if its root is the pinned one.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn start(first: &SignedRoster, pin: Option<&Root>) -> Result<Self, ChainError> {
        let roster = Roster::parse(&first.body)?;
        if roster.version != 1 {
            return Err(ChainError::NotFirst(roster.version));
        }
        let tree = verify(&roster, first, &Frontier::empty(), &[&roster])?;
        if let Some(pinned) = pin.filter(|pinned| **pinned != tree.root()) {
            return Err(ChainError::Pin { got: tree.root(), pinned: *pinned });
        }
        let digest = RosterDigest::of_body(&first.body);
        let keys = keys(&roster).map(|(key, role, _)| (key, role)).collect();
        let (rejected, unsettled) = (BTreeSet::new(), BTreeMap::new());
        let lapsed = lapses::next(&roster, &BTreeMap::new());
        let (versions, current) = (vec![first.clone()], Arc::new(roster));
        Ok(Self { versions, current, digest, tree, keys, rejected, unsettled, lapsed })
    }

    /// Goes on to the next version; on an error nothing changes.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn advance(&mut self, next: &SignedRoster) -> Result<(), ChainError> {
        let roster = Roster::parse(&next.body)?;
        self.check_place(&roster)?;
        let tree = verify(&roster, next, &self.tree, &[&self.current, &roster])?;
        self.check_changes(&roster)?;
        self.settle(&roster);
        self.lapsed = lapses::next(&roster, &self.lapsed);
        self.keys.extend(keys(&roster).map(|(key, role, _)| (key, role)));
        self.versions.push(next.clone());
        self.current = Arc::new(roster);
        self.digest = RosterDigest::of_body(&next.body);
        self.tree = tree;
        Ok(())
    }

    /// Whether a roster could follow once governance has signed it: every rule but those on signatures.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn check_next(&self, roster: &Roster) -> Result<(), ChainError> {
        roster.check().map_err(ChainError::Rule)?;
        self.check_place(roster)?;
        self.check_changes(roster)
    }

    fn check_place(&self, roster: &Roster) -> Result<(), ChainError> {
        let held = &self.current;
        if roster.consortium != held.consortium {
            return Err(ChainError::OtherConsortium {
                held: held.consortium.clone(),
                got: roster.consortium.clone(),
            });
        }
        if Some(roster.version) != held.version.checked_add(1) {
            return Err(ChainError::NotNext { held: held.version, got: roster.version });
        }
        if let Some(got) = roster.previous.filter(|got| *got != self.digest) {
            return Err(ChainError::OtherPrevious { version: held.version, held: self.digest, got });
        }
        Ok(())
    }

    fn check_changes(&self, roster: &Roster) -> Result<(), ChainError> {
        check_succession(&self.current, roster)?;
        self.check_key_roles(roster)?;
        self.check_rejected(roster)
    }

    /// A key keeps its role and its owner, even after a version that does not list it.
    fn check_key_roles(&self, next: &Roster) -> Result<(), ChainError> {
        for (key, now, _) in keys(next) {
            if let Some(before) = self.keys.get(&key).filter(|before| !before.is_same_role(&now)) {
                return Err(ChainError::KeyReused { first: before.to_string(), second: now.to_string() });
            }
        }
        Ok(())
    }

    /// The newest version.
    #[must_use]
    pub fn current(&self) -> &Roster {
        &self.current
    }

    /// The newest version, shared.
    #[must_use]
    pub fn current_shared(&self) -> &Arc<Roster> {
        &self.current
    }

    /// Number of the newest version.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.current.version
    }

    /// Root of the roster log at the newest version; at version 1 this is what others pin.
    #[must_use]
    pub fn root(&self) -> Root {
        self.tree.root()
    }

    /// The tree of all versions held, on which the next one is signed.
    #[must_use]
    pub fn tree(&self) -> &Frontier {
        &self.tree
    }

    /// The versions after `version`, for somebody who holds that one.
    #[must_use]
    pub fn suffix_from(&self, version: u64) -> &[SignedRoster] {
        let from = usize::try_from(version).unwrap_or(usize::MAX).min(self.versions.len());
        self.versions.get(from..).unwrap_or_default()
    }

    /// Whether the newest version has expired. Only the newest one is asked.
    #[must_use]
    pub fn is_expired(&self, now_s: u64) -> bool {
        now_s >= self.current.expires_s
    }
}

/// Checks that the note is the checkpoint of this body and that enough keys of each judge signed it.
fn verify(
    roster: &Roster,
    signed: &SignedRoster,
    before: &Frontier,
    judges: &[&Roster],
) -> Result<Frontier, ChainError> {
    let (expected, tree) = checkpoint_of(roster, &signed.body, before)?;
    let note = Note::parse(&signed.note)?;
    let found = Checkpoint::parse_text(&note.text)?;
    let differs = |field, got: String, expected: String| ChainError::OtherCheckpoint { field, got, expected };
    if found.origin != expected.origin {
        return Err(differs("origin", found.origin, expected.origin));
    }
    if found.size != expected.size {
        return Err(differs("size", found.size.to_string(), expected.size.to_string()));
    }
    if found.root != expected.root {
        return Err(differs("root", found.root.to_hex(), expected.root.to_hex()));
    }
    for judge in judges {
        let mut valid: BTreeSet<PublicKey> = BTreeSet::new();
        for key in &judge.governance {
            if has_signed(&note, judge, key)? {
                valid.insert(key.key);
            }
        }
        if valid.len() < usize::from(judge.threshold) {
            return Err(ChainError::TooFewSignatures {
                version: judge.version,
                valid: valid.len(),
                keys: judge.governance.len(),
                threshold: judge.threshold,
            });
        }
    }
    Ok(tree)
}

/// Whether a key signed. A line that is there and does not verify, or is there twice, is an error and
/// not a missing signature (SPEC §3.2).
fn has_signed(note: &Note, roster: &Roster, key: &super::GovernanceKey) -> Result<bool, NoteError> {
    let signer = NoteKey {
        name: governance_signer(&roster.consortium, &key.name),
        algorithm: NoteAlgorithm::Ed25519,
        key: key.key,
    };
    match note.verify(&signer) {
        Ok(()) => Ok(true),
        Err(NoteError::NotSigned { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
