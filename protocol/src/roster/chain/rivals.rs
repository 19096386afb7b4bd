//! Rivals: versions that governance signed beside those that are held (SPEC §8.4).
//!
//! A version once held stays. Another one of the same number, signed by as many keys, shows that a key
//! holder signed two drafts, and that other members may hold the other one. Neither side goes on before a
//! successor of its own version names the other one as rejected: so a split cannot grow unseen.

use super::{ChainError, RosterChain, SignedRoster, verify};
use crate::digest::{RosterDigest, leaf_hash};
use crate::merkle::Frontier;
use crate::roster::{REJECTED_MAX, Rejected, Roster};
use std::collections::BTreeMap;

impl RosterChain {
    /// Walks versions from the first.
    ///
    /// # Errors
    /// The rule that one of them breaks; there is no first one.
    pub fn walk(versions: &[SignedRoster]) -> Result<Self, ChainError> {
        let (first, rest) = versions.split_first().ok_or(ChainError::File("holds no version"))?;
        let mut chain = Self::start(first, None)?;
        rest.iter().try_for_each(|version| chain.advance(version))?;
        Ok(chain)
    }

    /// Whether a version is a rival of one held: it could have followed the one before, and is not the one
    /// that did. `None` if it is the one held.
    ///
    /// # Errors
    /// It is no rival: of another number than those from 2 to the newest, or it breaks a rule, so that
    /// nobody would hold it.
    pub fn rival(&self, signed: &SignedRoster) -> Result<Option<Rejected>, ChainError> {
        let roster = Roster::parse(&signed.body)?;
        let version = roster.version;
        let not_next = || ChainError::NotNext { held: self.version(), got: version };
        let at =
            usize::try_from(version).ok().and_then(|version| version.checked_sub(1)).ok_or_else(not_next)?;
        if self.versions.get(at).ok_or_else(not_next)?.body == signed.body {
            return Ok(None);
        }
        // Anybody can state a version 1; the pin says which one it is.
        let before = self.versions.get(..at).unwrap_or_default();
        let last = before.last().ok_or_else(not_next)?;
        let digest = RosterDigest::of_body(&last.body);
        if let Some(got) = roster.previous.filter(|got| *got != digest) {
            return Err(ChainError::OtherPrevious { version: version.saturating_sub(1), held: digest, got });
        }
        // Signatures first: strangers may send this, and the walk is long.
        let mut tree = Frontier::empty();
        for earlier in before {
            tree.append(leaf_hash(&earlier.body));
        }
        verify(&roster, signed, &tree, &[&Roster::parse(&last.body)?, &roster])?;
        Self::walk(before)?.advance(signed)?;
        Ok(Some(Rejected { version, digest: RosterDigest::of_body(&signed.body) }))
    }

    /// Remembers a version if it is a rival that no version has rejected: from now on only a version that rejects it
    /// follows. Whether it was not known before. Beyond [`REJECTED_MAX`] none is remembered: one version
    /// could not name them all.
    ///
    /// # Errors
    /// As of [`Self::rival`].
    pub fn note_rival(&mut self, signed: &SignedRoster) -> Result<bool, ChainError> {
        let Some(rival) = self.rival(signed)? else { return Ok(false) };
        let is_known = self.rejected.contains(&rival) || self.unsettled.contains_key(&rival);
        if is_known || self.unsettled.len() >= REJECTED_MAX {
            return Ok(false);
        }
        self.unsettled.insert(rival, signed.clone());
        Ok(true)
    }

    /// Rivals that the next version must reject.
    #[must_use]
    pub fn unsettled(&self) -> &BTreeMap<Rejected, SignedRoster> {
        &self.unsettled
    }

    /// What a version rejects: nothing of its own past, and every rival that is known here.
    pub(super) fn check_rejected(&self, next: &Roster) -> Result<(), ChainError> {
        for Rejected { version, digest } in &next.rejected {
            let at = usize::try_from(*version).ok().and_then(|version| version.checked_sub(1));
            let held = at.and_then(|at| self.versions.get(at));
            if held.is_some_and(|held| RosterDigest::of_body(&held.body) == *digest) {
                return Err(ChainError::RejectsHeld { version: *version, digest: *digest });
            }
        }
        match self.unsettled.keys().find(|rival| !next.rejected.contains(rival)) {
            Some(Rejected { version, digest }) => {
                Err(ChainError::Unsettled { version: *version, digest: *digest })
            }
            None => Ok(()),
        }
    }

    pub(super) fn settle(&mut self, next: &Roster) {
        self.unsettled.retain(|rival, _| !next.rejected.contains(rival));
        self.rejected.extend(next.rejected.iter().copied());
    }
}
