//! The other histories of forked logs in the annex: each against its checkpoint, and that against the evidence.

use super::{Check, Member, Members, Stop, Trusted};
use crate::bundle::branch::{place, spans};
use crate::bundle::chunk::{Span, read_entries};
use crate::bundle::findings::KeptBranch;
use crate::bundle::payload::{BundlePayload, decode_payloads};
use crate::bundle::problem::Rule;
use crate::checkpoint::{SignedCheckpoint, parse_decimal};
use crate::digest::{NodeHash, leaf_hash};
use crate::leaf::check_commitment;
use crate::limits::{BRANCH_ENTRIES_MAX, SALT_BYTES};
use crate::merkle::Frontier;
use crate::note::Note;

/// The history that is being checked.
struct Branch {
    /// Which of the forks it is of.
    fork: usize,
    origin: String,
    tree: Frontier,
    payloads: u64,
}

impl<M: Members> Check<'_, M> {
    /// Histories that the holder keeps beside those in the core; they come in the order of the evidence or any other.
    pub(super) fn branches(&mut self, trusted: &Trusted) -> Result<(), Stop<M::Error>> {
        let mut number = 0;
        while self.annex.behind("annex/branches/").map_err(Stop::Reader)?.is_some() {
            let note = self.annex_member(&format!("{}/checkpoint", place(number)))?;
            self.digest(&note, &note.content);
            let signed = self.branch_note(trusted, &note);
            let before = self.before(number)?;
            let start = before.size();
            let (fork, signed) = match signed {
                Ok(found) => found,
                Err(rule) => return self.fatal(&note, rule),
            };
            if start >= signed.size() || signed.size() - start > BRANCH_ENTRIES_MAX {
                return self.fatal(&note, Rule::Branch("has no entries, or more than any node keeps"));
            }
            let origin = signed.checkpoint().origin.clone();
            let mut branch = Branch { fork, origin, tree: before, payloads: 0 };
            for span in spans(start, signed.size()) {
                self.branch_chunk(number, span, &mut branch)?;
            }
            if branch.tree.root() != signed.root() {
                self.whole(&note, Rule::Branch("does not lead to the root of its checkpoint"));
            } else if let Some(found) = self.findings.forks.get_mut(branch.fork) {
                let (size, root, payloads) = (signed.size(), signed.root(), branch.payloads);
                found.kept.push(KeptBranch { size, root, start, payloads });
            }
            number += 1;
        }
        Ok(())
    }

    /// A checkpoint that evidence in this annex names; gives which evidence.
    fn branch_note(&self, trusted: &Trusted, member: &Member) -> Result<(usize, SignedCheckpoint), Rule> {
        let note = Note::parse(&member.content).map_err(crate::checkpoint::CheckpointError::from)?;
        let origin = note.text.split_once('\n').map_or("", |(origin, _)| origin);
        let log = trusted.roster.logs().find(|log| log.origin == origin).ok_or(Rule::EvidenceLog)?;
        let signed = SignedCheckpoint::verify(&member.content, origin, log.key)?;
        let is_named = |fork: &crate::bundle::findings::Fork| {
            let head = (signed.size(), signed.root());
            fork.origin == origin
                && [(fork.sizes.0, fork.roots.0), (fork.sizes.1, fork.roots.1)].contains(&head)
        };
        let fork = self.findings.forks.iter().position(is_named);
        let fork = fork.ok_or(Rule::Branch("has a checkpoint that no evidence here names"))?;
        if self.findings.forks.get(fork).is_some_and(|fork| {
            fork.kept.iter().any(|kept| (kept.size, kept.root) == (signed.size(), signed.root()))
        }) {
            return Err(Rule::Branch("is here twice"));
        }
        Ok((fork, signed))
    }

    /// The frontier of what lies before a history's own entries.
    fn before(&mut self, number: usize) -> Result<Frontier, Stop<M::Error>> {
        let prefix = format!("{}/before-", place(number));
        let size = self.annex.behind(&prefix).map_err(Stop::Reader)?;
        let size = size.as_deref().and_then(parse_decimal).unwrap_or_default();
        let member = self.annex_member(&format!("{prefix}{size}"))?;
        self.digest(&member, &member.content);
        let (hashes, rest) = member.content.as_chunks::<32>();
        let hashes: Vec<NodeHash> = hashes.iter().copied().map(NodeHash::new).collect();
        match Frontier::from_parts(size, hashes) {
            Ok(before) if rest.is_empty() => Ok(before),
            _ => self.fatal(&member, Rule::Branch("does not begin with the frontier of its size")),
        }
    }

    fn branch_chunk(&mut self, number: usize, span: Span, branch: &mut Branch) -> Result<(), Stop<M::Error>> {
        let part = format!("{}-{}", span.start, span.count);
        let entries = self.annex_member(&format!("{}/entries/{part}", place(number)))?;
        self.digest(&entries, &entries.content);
        let Some(leaves) = read_entries(&entries.content, span.count) else {
            return self.fatal(&entries, Rule::Entries);
        };
        leaves.iter().for_each(|leaf| branch.tree.append(leaf_hash(leaf)));
        let member = self.annex_member(&format!("{}/payloads/{part}", place(number)))?;
        let (payloads, mut at) = match decode_payloads(&member.content, usize::from(span.count)) {
            Ok(decoded) => decoded,
            Err(error) => {
                self.digest(&member, &member.content);
                self.whole(&member, error);
                return Ok(());
            }
        };
        self.digest(&member, member.content.get(..at).unwrap_or_default());
        for (index, (leaf, payload)) in (span.start..).zip(leaves.iter().zip(&payloads)) {
            let BundlePayload::Present { salt, padded } = payload else { continue };
            let range = at..at + SALT_BYTES + 4 + padded.len();
            at = range.end;
            match check_commitment(leaf, salt, padded) {
                Ok(()) => branch.payloads += 1,
                Err(detail) => {
                    let log = branch.origin.clone();
                    self.problem(&member, range, Rule::Payload { log, index, detail });
                }
            }
        }
        Ok(())
    }
}
