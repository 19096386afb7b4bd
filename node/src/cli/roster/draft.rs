//! Roster files under construction.

use crate::rosters::write_whole;
use anyhow::{Context as _, Result, ensure};
use hashpact_protocol::digest::RosterDigest;
use hashpact_protocol::merkle::Frontier;
use hashpact_protocol::note::{Note, NoteSignature};
use hashpact_protocol::roster::{ChainError, Roster, RosterChain, SignedRoster, assemble};
use std::path::Path;

/// A file under construction: the versions before, the body, and the signatures so far.
pub(super) struct Draft {
    pub(super) before: Vec<SignedRoster>,
    pub(super) body: Vec<u8>,
    pub(super) signatures: Vec<NoteSignature>,
}

impl Draft {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut versions = SignedRoster::parse_file(&bytes).with_context(|| path.display().to_string())?;
        let file = versions.pop().context("no version")?;
        let signatures = if file.note.is_empty() {
            Vec::new()
        } else {
            Note::parse(&file.note).with_context(|| format!("{}: the signatures", path.display()))?.signatures
        };
        Ok(Self { before: versions, body: file.body, signatures })
    }

    /// The body, read.
    pub(super) fn roster(&self, path: &Path) -> Result<Roster> {
        Roster::parse(&self.body).with_context(|| path.display().to_string())
    }

    /// The verified versions before; `None` for version 1.
    pub(super) fn chain(&self, path: &Path) -> Result<Option<RosterChain>> {
        if self.before.is_empty() {
            return Ok(None);
        }
        let chain = RosterChain::walk(&self.before);
        Ok(Some(chain.with_context(|| format!("{}: the versions before the newest", path.display()))?))
    }

    /// Whether these signatures complete it.
    pub(super) fn judge(&self, chain: Option<&RosterChain>) -> Result<RosterChain, ChainError> {
        let signed = assemble(&self.body, &tree(chain), self.signatures.clone())?;
        match chain {
            None => RosterChain::start(&signed, None),
            Some(chain) => {
                let mut chain = chain.clone();
                chain.advance(&signed).map(|()| chain)
            }
        }
    }

    /// Writes all versions, with the signatures so far.
    pub(super) fn write(&self, chain: Option<&RosterChain>, path: &Path) -> Result<()> {
        let signed = if self.signatures.is_empty() {
            SignedRoster { body: self.body.clone(), note: Vec::new() }
        } else {
            assemble(&self.body, &tree(chain), self.signatures.clone())?
        };
        let earlier: Vec<u8> = self.before.iter().flat_map(SignedRoster::encode).collect();
        write_whole(path, &[earlier, signed.encode()].concat())
    }

    pub(super) fn digest(&self) -> RosterDigest {
        RosterDigest::of_body(&self.body)
    }
}

/// The tree on which the next version is signed.
pub(super) fn tree(chain: Option<&RosterChain>) -> Frontier {
    chain.map_or_else(Frontier::empty, |chain| chain.tree().clone())
}

/// Writes a draft of the version after a chain.
pub(super) fn write_new(path: &Path, chain: Option<&RosterChain>, roster: &Roster) -> Result<()> {
    let before = chain.map(|chain| chain.suffix_from(0).to_vec()).unwrap_or_default();
    Draft { before, body: roster.encode(), signatures: Vec::new() }.write(chain, path)
}

/// A new file never takes another one's place.
pub(super) fn ensure_new(path: &Path) -> Result<()> {
    ensure!(!path.exists(), "{} exists; a roster is never overwritten: choose another --out", path.display());
    Ok(())
}

/// What is to be done with a draft.
pub(super) fn told(roster: &Roster) -> String {
    format!(
        "digest {}\nNow {} of {} governance keys sign it: hashpact-node roster sign\n",
        RosterDigest::of_body(&roster.encode()),
        roster.threshold,
        roster.governance.len()
    )
}
