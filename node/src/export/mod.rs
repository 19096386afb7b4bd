//! Audit bundles from what this node holds (SPEC §12).
//!
//! [`Export`] is one bundle that is about to be written: heads are chosen, nothing was read. The core follows
//! from the heads, so the same heads give the same bytes here and at every other member. What the annex says
//! about payloads is what the database says while it is written.
//!
//! Nothing is spooled: a copy of payloads on disk would outlive their erasure. Whoever resumes a transfer has
//! the bundle written again from its start and gets what comes behind the place where it stopped, if the bundle still
//! begins with what was sent: notes, payloads and erasures that came meanwhile change its annex.

mod audience;
mod branches;
mod heads;
mod sink;

pub use audience::Audience;
pub use heads::{HeadsError, Held};
pub use sink::{Beginning, Compressed, OtherBeginning, Portion};

use crate::storage::{PayloadRef, Store, StoreError};
use audience::Carried;
use hashpact_core::effect::{HeldFacts, StoredPayload};
use hashpact_protocol::bundle::{BundleLog, BundlePayload, BundleWriter, Manifest, Scope, Sink, WriteError};
use hashpact_protocol::digest::{LogId, RecordId, leaf_hash};
use hashpact_protocol::keys::Signer;
use hashpact_protocol::leaf::check_commitment;
use hashpact_protocol::limits::BUNDLE_CHUNK_ENTRIES_MAX;
use hashpact_protocol::merkle::consistency_proof;
use hashpact_protocol::roster::{MemberId, RosterChain};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;

const CHUNK: usize = BUNDLE_CHUNK_ENTRIES_MAX;

/// Who exports.
pub struct Holder {
    /// The rosters held.
    pub chain: RosterChain,
    /// The member.
    pub member: MemberId,
    /// Its card key, which signs the statement over the annex; a read replica has none and exports nothing.
    pub card: Option<Signer>,
    /// Its journal of administrative actions.
    pub journal: PathBuf,
}

/// One bundle that is about to be written.
pub struct Export<'a> {
    store: &'a Store,
    holder: &'a Holder,
    /// The rosters up to the version of the manifest.
    chain: RosterChain,
    manifest: Manifest,
    held: &'a BTreeMap<LogId, Held>,
    /// Cosigned notes, and evidence of forks.
    facts: HeldFacts,
    /// The holder's journal.
    journal: Vec<u8>,
    carried: Carried,
    begun_s: u64,
}

/// Why no bundle could be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError<E: std::fmt::Display> {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The sink, or a tree that is not the one that was signed.
    #[error(transparent)]
    Write(#[from] WriteError<E>),
    /// Nobody here signs bundles.
    #[error("a read replica has no card key to sign a bundle with")]
    NoCardKey,
}

impl<'a> Export<'a> {
    /// Chooses heads: those of `at`, or the newest signed ones.
    ///
    /// # Errors
    /// [`HeadsError`]: `at` is not of this consortium, or asks for more than is held.
    pub fn new(
        store: &'a Store,
        holder: &'a Holder,
        held: &'a BTreeMap<LogId, Held>,
        scope: Scope,
        audience: &Audience,
        at: Option<&str>,
        begun_s: u64,
    ) -> Result<Self, HeadsError> {
        let (chain, logs) = heads::choose(store, holder, held, at)?;
        if let Scope::Member(member) = &scope
            && chain.current().member(member).is_none()
        {
            return Err(HeadsError::UnknownMember(member.clone()));
        }
        let carried = audience.of_roster(chain.current())?;
        let manifest = Manifest {
            consortium: chain.current().consortium.clone(),
            roster_version: chain.version(),
            roster_root: chain.root(),
            scope,
            logs,
        };
        let facts = store.facts()?;
        // It speaks of the whole node: whoever gets a part of the logs gets none of it.
        let journal = match manifest.scope {
            Scope::All => crate::journal::read(&holder.journal).map_err(HeadsError::Journal)?,
            _ => Vec::new(),
        };
        Ok(Self { store, holder, chain, manifest, held, facts, journal, carried, begun_s })
    }

    /// What the core follows from.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The heads as [`Export::new`] takes them.
    #[must_use]
    pub fn at(&self) -> String {
        heads::text(&self.manifest)
    }

    /// Writes the bundle; `now_s` is asked when the rest was written.
    ///
    /// # Errors
    /// [`ExportError`]; what was written until then is no bundle.
    pub fn write<S: Sink<Error: std::fmt::Display>>(
        &self,
        sink: S,
        now_s: impl FnOnce() -> u64,
    ) -> Result<S, ExportError<S::Error>> {
        let mut writer = BundleWriter::start(sink, self.manifest.clone(), &self.chain)?;
        let mut spans = Vec::new();
        for log in &self.manifest.logs {
            spans.push(if self.manifest.scope.is_whole(&log.member) {
                self.whole_log(&mut writer, log)?;
                Spans::Whole
            } else {
                Spans::Runs(self.runs(&mut writer, log)?)
            });
        }
        writer.annex(&self.chain)?;
        for log in &self.manifest.logs {
            self.checkpoints(&mut writer, log)?;
        }
        let is_listed = |log: &LogId| self.chain.current().logs().any(|listed| listed.log_id == *log);
        let evidence = self.facts.evidence.iter().filter(|(log, _)| is_listed(log));
        for (number, (_, evidence)) in evidence.enumerate() {
            writer.evidence(number, evidence)?;
        }
        self.branches(&mut writer)?;
        for (log, spans) in self.manifest.logs.iter().zip(&spans) {
            match spans {
                Spans::Whole => self.payloads(&mut writer, log, 0, log.size)?,
                Spans::Runs(runs) => {
                    for (start, end) in runs {
                        self.payloads(&mut writer, log, *start, *end)?;
                    }
                }
            }
        }
        writer.journal(&self.journal)?;
        let ended_s = now_s().max(self.begun_s);
        let card = self.holder.card.as_ref().ok_or(ExportError::NoCardKey)?;
        Ok(writer.finish(&self.holder.member, self.begun_s, ended_s, card)?)
    }

    fn id(&self, log: &BundleLog) -> LogId {
        log.log_id(&self.manifest.consortium)
    }

    fn whole_log<S: Sink<Error: std::fmt::Display>>(
        &self,
        writer: &mut BundleWriter<S>,
        log: &BundleLog,
    ) -> Result<(), ExportError<S::Error>> {
        if log.size == 0 {
            return Ok(());
        }
        let mut whole = BundleWriter::<S>::whole_log(log);
        let (mut leaves, mut failed) = (Vec::with_capacity(CHUNK), Ok(()));
        self.store.for_each_leaf(&self.id(log), 0, log.size, |index, leaf| {
            leaves.push(leaf.to_vec());
            if leaves.len() == CHUNK || index + 1 == log.size {
                failed = writer.leaves(&mut whole, &leaves);
                leaves.clear();
            }
            if failed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(failed?)
    }

    /// Writes the entries that the scope takes; gives where they are.
    fn runs<S: Sink<Error: std::fmt::Display>>(
        &self,
        writer: &mut BundleWriter<S>,
        log: &BundleLog,
    ) -> Result<Vec<(u64, u64)>, ExportError<S::Error>> {
        if log.size == 0 {
            return Ok(Vec::new());
        }
        let id = self.id(log);
        let failed = RefCell::new(None);
        let is_subject = |record: &RecordId| {
            self.is_of_scope(record).unwrap_or_else(|error| {
                *failed.borrow_mut() = Some(error);
                false
            })
        };
        let mut runs: Vec<(u64, u64)> = Vec::new();
        self.store.for_each_leaf(&id, 0, log.size, |index, leaf| {
            if self.manifest.scope.takes(leaf, &leaf_hash(leaf), &id, index, is_subject) {
                match runs.last_mut() {
                    Some((_, end)) if *end == index && !index.is_multiple_of(CHUNK as u64) => *end += 1,
                    _ => runs.push((index, index + 1)),
                }
            }
            if failed.borrow().is_none() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        if let Some(error) = failed.into_inner() {
            return Err(error.into());
        }
        let tree = self.store.hashes(&id);
        for (start, end) in &runs {
            let mut leaves = Vec::with_capacity(CHUNK);
            self.store.for_each_leaf(&id, *start, *end, |_, leaf| {
                leaves.push(leaf.to_vec());
                ControlFlow::Continue(())
            })?;
            writer.run(log, *start, &leaves, &tree)?;
        }
        Ok(runs)
    }

    /// Whether a record is an entry of the scope's member below its heads.
    fn is_of_scope(&self, record: &RecordId) -> Result<bool, StoreError> {
        let Scope::Member(member) = &self.manifest.scope else { return Ok(false) };
        let Some(place) = self.store.place(record)? else { return Ok(false) };
        let logs = self.manifest.logs.iter().filter(|log| log.member == *member);
        Ok(logs.into_iter().any(|log| self.id(log) == place.log && place.index < log.size))
    }

    /// The notes that are held, with the proofs that they and the head are of one tree.
    fn checkpoints<S: Sink<Error: std::fmt::Display>>(
        &self,
        writer: &mut BundleWriter<S>,
        log: &BundleLog,
    ) -> Result<(), ExportError<S::Error>> {
        let id = self.id(log);
        let Some(held) = self.held.get(&id) else { return Ok(()) };
        let mut by_size: BTreeMap<u64, Vec<Vec<u8>>> = BTreeMap::new();
        let kept = held.notes.iter().chain(self.facts.quorum_heads.get(&id));
        for note in kept.filter(|note| note.size <= held.size) {
            let notes = by_size.entry(note.size).or_default();
            if !notes.contains(&note.note) {
                notes.push(note.note.clone());
            }
        }
        let tree = self.store.hashes(&id);
        for (size, notes) in by_size {
            let (old, new) = (size.min(log.size), size.max(log.size));
            let proof = consistency_proof(&tree, old, new);
            let proof = proof.map_err(|_| WriteError::Root { log: held.origin.clone() })?;
            writer.checkpoints(log, size, &proof, &notes)?;
        }
        Ok(())
    }

    fn payloads<S: Sink<Error: std::fmt::Display>>(
        &self,
        writer: &mut BundleWriter<S>,
        log: &BundleLog,
        start: u64,
        end: u64,
    ) -> Result<(), ExportError<S::Error>> {
        if start == end {
            return Ok(());
        }
        let (mut chunk, mut failed) = (Vec::with_capacity(CHUNK), Ok(()));
        let id = self.id(log);
        self.store.for_each_entry(&id, start, end, |index, leaf, payload| {
            chunk.push(self.shown(&id, index, leaf, payload));
            if chunk.len() == CHUNK || index + 1 == end {
                let payloads: Vec<BundlePayload<'_>> = chunk.iter().map(as_bundled).collect();
                failed = writer.payloads(log, index + 1 - chunk.len() as u64, &payloads);
                chunk.clear();
            }
            if failed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(failed?)
    }

    /// What is said about a payload. One that is not what its leaf commits to is none.
    fn shown(&self, log: &LogId, index: u64, leaf: &[u8], payload: PayloadRef<'_>) -> StoredPayload {
        match payload {
            PayloadRef::Present { padded, .. } if !self.carried.takes(log, index, leaf, padded) => {
                StoredPayload::Withheld
            }
            // A sealed payload is shown to nobody any more; why, is what there is to say.
            PayloadRef::Sealed { by, .. } => StoredPayload::ErasedBy { by: by.into() },
            PayloadRef::Present { salt, padded } if check_commitment(leaf, &salt, padded).is_err() => {
                StoredPayload::NotHere
            }
            other => other.to_stored(),
        }
    }
}

/// Where the entries of a log stand.
enum Spans {
    Whole,
    Runs(Vec<(u64, u64)>),
}

fn as_bundled(payload: &StoredPayload) -> BundlePayload<'_> {
    match payload {
        StoredPayload::Present { salt, padded } => BundlePayload::Present { salt, padded },
        StoredPayload::Withheld => BundlePayload::Withheld,
        StoredPayload::Erased => BundlePayload::Erased,
        StoredPayload::NotHere => BundlePayload::NotHere,
        StoredPayload::Held { .. } => BundlePayload::Held,
        StoredPayload::Sealed { by, .. } | StoredPayload::ErasedBy { by } => {
            BundlePayload::ErasedBy { log: by.log, index: by.index }
        }
    }
}
