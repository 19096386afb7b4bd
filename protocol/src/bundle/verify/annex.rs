//! The annex: who signed rosters and heads, who cosigned them, what the holder says.

use super::{Check, Member, Members, Stop, Trusted, all_witnesses};
use crate::bundle::findings::{Cosigned, Fork, HeadProof, LogFindings};
use crate::bundle::manifest::{BundleLog, Manifest};
use crate::bundle::problem::{Problem, Rule};
use crate::bundle::statement::Statement;
use crate::checkpoint::{Checkpoint, SignedCheckpoint, parse_decimal};
use crate::cosignature::{CosignatureError, verify_cosignature};
use crate::digest::{NodeHash, Root, leaf_hash};
use crate::evidence::Evidence;
use crate::journal::{JournalHead, verify as verify_journal};
use crate::merkle::{Frontier, MerkleError, verify_consistency};
use crate::note::{Note, NoteError};
use crate::roster::{LogRef, LogStatus, Roster, RosterChain, SignedRoster, quorum};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

impl<M: Members> Check<'_, M> {
    /// Joins roster bodies with their notes and walks from the trust anchor to the manifest's version.
    pub(super) fn roster(
        &mut self,
        manifest: Manifest,
        bodies: Vec<Member>,
        trust: &Root,
    ) -> Result<Trusted, Stop<M::Error>> {
        let mut chain: Option<RosterChain> = None;
        let mut tree = Frontier::empty();
        bodies.iter().for_each(|body| tree.append(leaf_hash(&body.content)));
        let bodies_hold = tree.root() == manifest.roster_root;
        for (version, body) in (1_u64..).zip(&bodies) {
            let note = self.annex_member(&format!("annex/roster/{version:06}"))?;
            self.digest(&note, &note.content);
            let signed = SignedRoster { body: body.content.clone(), note: note.content.clone() };
            let walked = match &mut chain {
                None => RosterChain::start(&signed, Some(trust)).map(|first| chain = Some(first)),
                Some(chain) => chain.advance(&signed),
            };
            if let Err(error) = walked {
                return self.fatal(if bodies_hold { &note } else { body }, error);
            }
        }
        let first =
            bodies.first().cloned().unwrap_or(Member { name: "core/roster".into(), content: vec![], at: 0 });
        let Some(chain) = chain else {
            return self.fatal(&first, Rule::ManifestRoster("version"));
        };
        self.check_manifest(&manifest, &chain)?;
        self.derived(chain.current())?;
        let witnesses = all_witnesses(&chain);
        let roster = Arc::clone(chain.current_shared());
        self.findings.roster = Some(Arc::clone(&roster));
        self.findings.logs = manifest.logs.iter().map(|log| log_findings(log, &manifest, &roster)).collect();
        Ok(Trusted { manifest, roster, witnesses })
    }

    fn check_manifest(&mut self, manifest: &Manifest, chain: &RosterChain) -> Result<(), Stop<M::Error>> {
        let wrong = if manifest.consortium != chain.current().consortium {
            Some(Rule::ManifestRoster("consortium"))
        } else if manifest.roster_version != chain.version() {
            Some(Rule::ManifestRoster("version"))
        } else if manifest.roster_root != chain.root() {
            Some(Rule::ManifestRoster("root"))
        } else {
            manifest.other_log(chain.current()).map(Rule::Logs)
        };
        let Some(rule) = wrong else { return Ok(()) };
        self.findings.add(Problem {
            member: "core/manifest".to_owned(),
            start: 512,
            end: 512 + manifest.encode().len() as u64,
            rule,
        });
        Err(Stop::Problem)
    }

    /// Signed checkpoints of all logs, with their cosignatures.
    pub(super) fn checkpoints(&mut self, trusted: &Trusted) -> Result<(), Stop<M::Error>> {
        for (number, log) in trusted.manifest.logs.iter().enumerate() {
            let origin = log.origin(&trusted.manifest.consortium);
            let Some(listed) = trusted.roster.logs().find(|listed| listed.origin == origin) else { continue };
            let place = format!("{}/", log.prefix("annex/checkpoints"));
            let mut last = None;
            while let Some(rest) = self.annex.behind(&place).map_err(Stop::Reader)? {
                let size = rest.strip_suffix("/consistency").and_then(parse_decimal);
                let ascends = size.is_some_and(|size| last.is_none_or(|last| size > last));
                let Some(size) = size.filter(|_| ascends) else {
                    let next = self.annex.take().map_err(Stop::Reader)?;
                    let expected = format!("{place}<size>/consistency, sizes ascending");
                    return next.map_or(Ok(()), |next| self.fatal(&next, Rule::Expected { expected }));
                };
                last = Some(size);
                self.checkpoints_of(trusted, &listed, number, size)?;
            }
            self.head(&listed, number);
        }
        Ok(())
    }

    /// The notes of one size, which follow their consistency proof.
    fn checkpoints_of(
        &mut self,
        trusted: &Trusted,
        listed: &LogRef<'_>,
        number: usize,
        size: u64,
    ) -> Result<(), Stop<M::Error>> {
        let Some(log) = trusted.manifest.logs.get(number) else { return Ok(()) };
        let place = format!("{}/{size}", log.prefix("annex/checkpoints"));
        let proof = self.annex_member(&format!("{place}/consistency"))?;
        self.digest(&proof, &proof.content);
        let (hashes, rest) = proof.content.as_chunks::<32>();
        let hashes: Vec<NodeHash> = hashes.iter().copied().map(NodeHash::new).collect();
        if !rest.is_empty() {
            self.whole(&proof, Rule::Hashes);
        }
        let mut count = 0_u64;
        loop {
            let name = format!("{place}/{count}");
            let is_next = self.annex.peek().map_err(Stop::Reader)?.is_some_and(|next| next.name == name);
            if !is_next && count > 0 {
                return Ok(());
            }
            let note = self.annex_member(&name)?;
            self.digest(&note, &note.content);
            count += 1;
            match SignedCheckpoint::verify(&note.content, &listed.origin, listed.key) {
                Err(error) => self.whole(&note, error),
                Ok(signed) if signed.size() != size => {
                    self.whole(&note, Rule::CheckpointSize { got: signed.size() });
                }
                Ok(signed) => match agrees(log, signed.checkpoint(), &hashes) {
                    Err(detail) => {
                        let log = listed.origin.clone();
                        self.whole(&note, Rule::Contradiction { log, detail });
                    }
                    Ok(()) => {
                        if let Some(found) = self.findings.logs.get_mut(number) {
                            found.checkpoints += 1;
                            if size >= log.size {
                                found.head = HeadProof::Signed { size };
                            }
                        }
                        self.cosignatures(trusted, log, number, size, &note);
                    }
                },
            }
        }
    }

    /// Every line of a known witness's key, of any version: what a witness signed stays valid.
    fn cosignatures(
        &mut self,
        trusted: &Trusted,
        log: &BundleLog,
        number: usize,
        size: u64,
        member: &Member,
    ) {
        let Ok(note) = Note::parse(&member.content) else { return };
        for (witness, key) in trusted.witnesses.iter().filter(|(witness, _)| *witness != log.member) {
            match verify_cosignature(&note, key) {
                Ok(time_s) => {
                    if let Some(found) = self.findings.logs.get_mut(number) {
                        let best = found.cosigned.entry(witness.clone()).or_insert((size, time_s));
                        *best = (*best).max((size, time_s));
                    }
                    let note = member.content.as_slice();
                    self.visitor.cosignature(&Cosigned { log, size, witness, time_s, note });
                }
                Err(CosignatureError::Note(NoteError::NotSigned { .. })) => {}
                Err(detail) => {
                    let rule = Rule::Cosignature { witness: witness.to_string(), detail };
                    self.whole(member, rule);
                }
            }
        }
    }

    /// Whether somebody vouches for the head.
    fn head(&mut self, listed: &LogRef<'_>, number: usize) {
        let Some(found) = self.findings.logs.get_mut(number) else { return };
        let (size, root) = (found.log.size, found.log.root);
        let rule = match listed.status {
            LogStatus::Closed { size: closed, root: closed_root } if *closed == size => {
                if *closed_root == root {
                    found.head = HeadProof::Closed;
                    return;
                }
                Rule::Closed { log: listed.origin.clone() }
            }
            _ if size == 0 && root == crate::digest::empty_root() => {
                found.head = HeadProof::Empty;
                return;
            }
            _ if found.head != HeadProof::Nothing => return,
            _ => Rule::HeadNotSigned { log: listed.origin.clone() },
        };
        let member = found.log.prefix("annex/checkpoints");
        self.findings.add(Problem { member, start: 0, end: 0, rule });
    }

    /// Evidence of forked logs (§3.6), each verified with the log's key.
    pub(super) fn evidence(&mut self, trusted: &Trusted) -> Result<(), Stop<M::Error>> {
        let mut number = 0;
        while self.annex.behind("annex/evidence/").map_err(Stop::Reader)?.is_some() {
            let member = self.annex_member(&format!("annex/evidence/{number:06}"))?;
            self.digest(&member, &member.content);
            number += 1;
            match fork(&member.content, &trusted.roster) {
                Ok(fork) => self.findings.forks.push(fork),
                Err(rule) => self.whole(&member, rule),
            }
        }
        Ok(())
    }

    /// The holder's journal: one chain through all its parts. Of a broken one the rest is not looked at.
    pub(super) fn journal(&mut self) -> Result<(), Stop<M::Error>> {
        let mut head = Some(JournalHead::default());
        let mut number = 0;
        while self.annex.behind("annex/journal/").map_err(Stop::Reader)?.is_some() {
            let part = self.annex_member(&format!("annex/journal/{number:06}"))?;
            self.digest(&part, &part.content);
            number += 1;
            head = match head.map(|head| verify_journal(head, &part.content)) {
                Some(Ok(head)) => Some(head),
                Some(Err(error)) => {
                    self.whole(&part, error);
                    None
                }
                None => None,
            };
        }
        self.findings.journal = head.filter(|head| head.lines > 0);
        Ok(())
    }

    /// Digests of the annex and the holder's statement; nothing follows.
    pub(super) fn statement(&mut self, trusted: &Trusted) -> Result<(), Stop<M::Error>> {
        let digests = self.digest_lists()?;
        let member = self.annex_member("annex/statement")?;
        match Statement::verify(&member.content, &trusted.roster) {
            Err(error) => self.whole(&member, error),
            Ok(statement) => {
                let about = [
                    ("consortium", statement.consortium == trusted.manifest.consortium),
                    ("core", statement.core == trusted.manifest.core_digest()),
                    ("list of digests", statement.digests == digests),
                    ("time of its end", statement.begun_s <= statement.ended_s),
                ];
                for (what, _) in about.iter().filter(|(_, is_right)| !is_right) {
                    self.whole(&member, Rule::StatementAbout(what));
                }
                self.findings.statement = Some(statement);
            }
        }
        match self.annex.take().map_err(Stop::Reader)? {
            Some(extra) => self.fatal(&extra, Rule::Expected { expected: "the end".to_owned() }),
            None => Ok(()),
        }
    }

    fn digest_lists(&mut self) -> Result<[u8; 32], Stop<M::Error>> {
        let expected = std::mem::take(&mut self.digests);
        let mut all = Sha256::new();
        for (number, lines) in expected.chunks(crate::limits::BUNDLE_DIGESTS_PER_LIST_MAX).enumerate() {
            let list = self.annex_member(&format!("annex/digests/{number:06}"))?;
            all.update(&list.content);
            let mut rest = list.content.as_slice();
            for (name, line, range) in lines {
                let end = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + 1);
                let (found, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
                rest = after;
                if found != line.as_bytes() {
                    let (start, end) = (range.start, range.end);
                    self.findings.add(Problem { member: name.clone(), start, end, rule: Rule::Digest });
                    let from = list.content.len() - rest.len() - found.len();
                    self.problem(&list, from..from + found.len(), Rule::Digests);
                }
            }
            if !rest.is_empty() {
                self.whole(&list, Rule::Digests);
            }
        }
        Ok(all.finalize().into())
    }
}

/// Whether a checkpoint and the head can both be true.
fn agrees(log: &BundleLog, signed: &Checkpoint, proof: &[NodeHash]) -> Result<(), MerkleError> {
    if signed.size <= log.size {
        verify_consistency(signed.size, &signed.root, log.size, &log.root, proof)
    } else {
        verify_consistency(log.size, &log.root, signed.size, &signed.root, proof)
    }
}

/// What evidence proves of a log that the roster lists.
fn fork(bytes: &[u8], roster: &Roster) -> Result<Fork, Rule> {
    let evidence = Evidence::parse(bytes)?;
    let origin = evidence.origin().unwrap_or_default();
    let log = roster.logs().find(|log| log.origin == origin).ok_or(Rule::EvidenceLog)?;
    let verified = evidence.verify(&origin, log.key)?;
    let sizes = (verified.first().size(), verified.second().size());
    let roots = (verified.first().root(), verified.second().root());
    Ok(Fork { diverges_at: verified.diverges_at(), origin, sizes, roots, kept: Vec::new() })
}

fn log_findings(log: &BundleLog, manifest: &Manifest, roster: &Roster) -> LogFindings {
    let witnesses = roster.witness_keys(&log.member).len();
    LogFindings {
        log: log.clone(),
        origin: log.origin(&manifest.consortium),
        is_whole: manifest.scope.is_whole(&log.member),
        entries: 0,
        head: HeadProof::Nothing,
        checkpoints: 0,
        cosigned: std::collections::BTreeMap::new(),
        witnesses: (witnesses, quorum(witnesses)),
        payloads: crate::bundle::findings::PayloadCounts::default(),
        opaque: 0,
        void: 0,
    }
}
