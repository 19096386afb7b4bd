//! The own log: statements to a batch, a batch to disk, then a signature, a lock, and only then
//! visibility (DESIGN: Appending).
//!
//! One batch is under way at a time; what arrives meanwhile forms the next (group commit). The five
//! steps are the stages of [`InFlight`]: the synced write, the comparison of what was read back, the
//! signature, the synced lock file, publication. A crash before the lock leaves entries that start-up
//! verifies, signs and publishes; a crash after it leaves an acknowledged log.
//!
//! Invariants: `frontier` is always what the lock on disk says; no receipt and no note leaves before
//! `lock_written`; `ack=replicated` is answered only after that many members confirmed this very root.

use crate::effect::{
    Effect, IdempotencyEntry, LockState, PublishedHead, Receipts, SizedNote, StoredEntry, StoredPayload,
    SubmitError, Timer, WriteBatch, WriteId,
};
use crate::engine::Out;
use crate::event::{Ack, Submit};
use crate::limits::{
    BATCH_ENTRIES_MAX, CHECKPOINT_INTERVAL_MS, CLOCK_BEHIND_MAX_MS, QUEUED_ENTRIES_MAX, RECENT_ROOTS_MAX,
};
use crate::recover::Recovered;
use crate::stop::StopReason;
use crate::view::{Author, View};
use hashpact_protocol::checkpoint::{Checkpoint, sign_checkpoint_by};
use hashpact_protocol::digest::{LeafHash, Root, leaf_hash};
use hashpact_protocol::keys::{PublicKey, Signer};
use hashpact_protocol::leaf::{LeafHeader, seal};
use hashpact_protocol::limits::RECORDS_PER_CALL_MAX;
use hashpact_protocol::merkle::Frontier;
use hashpact_protocol::record::Record;
use hashpact_protocol::roster::{EVERYBODY, MemberId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Why nothing is appended while whoever holds the log key does not sign.
const WAITING_FOR_SIGNER: &str = "the external signer gives no signature";

mod draft;
mod replicas;
#[cfg(test)]
mod tests;

use draft::Statement;
use replicas::Replicas;

/// The own log and everything that waits for it.
pub struct OwnLog {
    author: Author,
    origin: String,
    /// None in a read replica, which has no log and takes no entry.
    key: Option<Signer>,
    roster_version: u64,
    frontier: Frontier,
    note: Option<SizedNote>,
    /// The last generation given out; the database learns it before the lock does.
    generation: u64,
    /// What the lock file says once all that was asked for is written.
    lock: LockState,
    last_time_ms: u64,
    last_batch_ms: u64,
    blocked: Option<&'static str>,
    queue: VecDeque<Queued>,
    queued_entries: usize,
    in_flight: Option<InFlight>,
    replicas: Replicas,
    recent_roots: BTreeMap<u64, Root>,
}

/// What the log is and with which key it is signed.
pub struct OwnIdentity {
    /// Member, log number and log id.
    pub author: Author,
    /// The log's origin.
    pub origin: String,
    /// The log key; `None` in a read replica.
    pub key: Option<Signer>,
    /// The roster version held.
    pub roster_version: u64,
    /// The other active members, with their groups.
    pub others: BTreeMap<MemberId, BTreeSet<u32>>,
}

#[derive(Debug, Clone, Copy)]
struct Waiter {
    request: u64,
    ack: Ack,
    group: u32,
}

struct Queued {
    statements: Vec<Statement>,
    salts: Vec<[u8; 32]>,
    key: Option<[u8; 32]>,
    digest: [u8; 32],
    waiters: Vec<Waiter>,
}

struct Submission {
    key: Option<[u8; 32]>,
    digest: [u8; 32],
    first_index: u64,
    records: Vec<LeafHash>,
    waiters: Vec<Waiter>,
}

struct InFlight {
    write: WriteId,
    generation: u64,
    stage: Stage,
    start: u64,
    entries: Vec<StoredEntry>,
    after: Frontier,
    submissions: Vec<Submission>,
}

enum Stage {
    Writing,
    /// Stored and read back; whoever holds the log key gave no signature yet. Asked again with every tick.
    Signing,
    Locking(LockState),
}

/// Entries that just became visible.
pub struct Appended {
    /// Leaf index of the first.
    pub start: u64,
    /// The entries.
    pub entries: Vec<StoredEntry>,
}

impl OwnLog {
    /// Starts from a recovered state; signs what is on disk and not yet signed. `last_time_ms` is the
    /// claimed time of the last entry on disk, or 0.
    pub(crate) fn new(
        identity: OwnIdentity,
        recovered: Recovered,
        last_time_ms: u64,
        blocked: Option<&'static str>,
        out: &mut Out,
    ) -> Self {
        let Recovered { signed, lock, unsigned, generation } = recovered;
        let mut own = Self {
            author: identity.author,
            origin: identity.origin,
            key: identity.key,
            roster_version: identity.roster_version,
            note: (!lock.note.is_empty()).then(|| SizedNote { size: lock.size, note: lock.note.clone() }),
            generation,
            last_time_ms,
            last_batch_ms: 0,
            blocked,
            queue: VecDeque::new(),
            queued_entries: 0,
            in_flight: None,
            replicas: Replicas::among(identity.others),
            recent_roots: BTreeMap::from([(signed.size(), signed.root())]),
            frontier: signed,
            lock,
        };
        if !own.is_replica() {
            out.push(own.head());
        }
        if let Some((entries, after)) = unsigned {
            let write = out.next_id();
            let start = own.frontier.size();
            // The generation that came with these entries, if the database has one beyond the lock's.
            own.generation = own.generation.max(own.lock.generation + 1);
            own.in_flight = Some(InFlight {
                write,
                generation: own.generation,
                stage: Stage::Writing,
                start,
                entries,
                after,
                submissions: Vec::new(),
            });
            own.sign(out);
        }
        own
    }

    /// Who writes this log.
    #[must_use]
    pub fn author(&self) -> &Author {
        &self.author
    }

    /// The log's origin.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The key that verifies its checkpoints; `None` in a read replica.
    #[must_use]
    pub fn public_key(&self) -> Option<PublicKey> {
        self.key.as_ref().map(Signer::public)
    }

    /// Whether this is no log at all: the node is a read replica.
    #[must_use]
    pub fn is_replica(&self) -> bool {
        self.key.is_none()
    }

    /// The tree of what is signed.
    pub(crate) fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// Signed, locked and published size.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Root at [`Self::size`].
    #[must_use]
    pub fn root(&self) -> Root {
        self.frontier.root()
    }

    /// The newest published note.
    #[must_use]
    pub fn note(&self) -> Option<&SizedNote> {
        self.note.as_ref()
    }

    /// Number of other active members.
    #[must_use]
    pub(crate) fn other_members(&self) -> usize {
        self.replicas.entitled(EVERYBODY)
    }

    /// Why the log takes no entries, if so.
    #[must_use]
    pub fn blocked(&self) -> Option<&'static str> {
        self.blocked.or(self.is_unsigned().then_some(WAITING_FOR_SIGNER))
    }

    /// Whether a stored batch waits for a signature that was refused.
    fn is_unsigned(&self) -> bool {
        self.in_flight.as_ref().is_some_and(|flight| matches!(flight.stage, Stage::Signing))
    }

    /// The next generation; whoever takes it writes it to the database first and to the lock then.
    pub(crate) fn next_generation(&mut self) -> u64 {
        self.generation += 1;
        self.generation
    }

    /// Raises the generation in the lock file for a signature of another role; what it says of this log
    /// stays. Lock writes are asked for in the order of the generations that the database learnt.
    pub(crate) fn raise_lock(&mut self, generation: u64, out: &mut Out) -> WriteId {
        let write = out.next_id();
        self.lock.generation = generation;
        out.push(Effect::WriteLock { write, lock: self.lock.clone() });
        write
    }

    /// A newer roster is in force.
    pub(crate) fn enforce(&mut self, roster_version: u64, others: BTreeMap<MemberId, BTreeSet<u32>>) {
        self.roster_version = roster_version;
        self.replicas.enforce(others);
    }

    /// Takes no entry any more, for this reason.
    pub(crate) fn block(&mut self, reason: &'static str) {
        self.blocked = Some(reason);
    }

    /// Replaces the newest note by the same checkpoint with cosignatures.
    pub(crate) fn dress(&mut self, note: SizedNote, out: &mut Out) {
        if self.note.as_ref().is_some_and(|held| held.size == note.size && held.note != note.note) {
            self.note = Some(note);
            out.push(self.head());
        }
    }

    /// Whether nothing is known here about a size that is signed.
    pub(crate) fn is_unknown(&self, size: u64) -> bool {
        size < self.frontier.size() && !self.recent_roots.contains_key(&size)
    }

    /// Opens the log for entries: the node was cleared to append.
    pub(crate) fn clear(&mut self, now_ms: u64, out: &mut Out) {
        self.blocked = None;
        self.form_batch(now_ms, out);
    }

    /// Takes a submission: answers it now, or when its promise holds.
    pub(crate) fn submit(&mut self, submit: Submit, view: &View, now_ms: u64, out: &mut Out) {
        let request = submit.request;
        if let Err(error) = self.accept(submit, view, now_ms, out) {
            out.push(Effect::Answer { request, answer: Err(error) });
        }
    }

    fn accept(&mut self, submit: Submit, view: &View, now_ms: u64, out: &mut Out) -> Result<(), SubmitError> {
        self.check_shape(&submit)?;
        let waiter = Waiter { request: submit.request, ack: submit.ack, group: submit.group };
        if self.join_pending(&submit, waiter)? {
            return Ok(());
        }
        if let Some(prior) = submit.prior {
            if prior.digest != submit.digest {
                return Err(SubmitError::KeyReused);
            }
            let submission = Submission {
                key: None,
                digest: prior.digest,
                first_index: prior.first_index,
                records: prior.records,
                waiters: vec![waiter],
            };
            match &mut self.in_flight {
                // Found on disk by start-up and not signed yet: nothing is answered before the lock.
                Some(flight) if prior.tree_size > self.frontier.size() => flight.submissions.push(submission),
                _ => self.fulfil(submission, prior.tree_size, now_ms, out),
            }
            return Ok(());
        }
        // What was appended before is answered whatever the clock says; new entries need it.
        let behind_ms = self.last_time_ms.saturating_sub(now_ms);
        if behind_ms > CLOCK_BEHIND_MAX_MS {
            return Err(SubmitError::ClockBehind { behind_ms });
        }
        if let Some(reason) = self.blocked {
            return Err(SubmitError::NotCleared(reason));
        }
        let queued = self.queued_entries + submit.drafts.len();
        if queued > QUEUED_ENTRIES_MAX {
            return Err(SubmitError::Busy { queued: self.queued_entries, max: QUEUED_ENTRIES_MAX });
        }
        let statements = draft::resolve(submit.drafts, submit.group, &self.author, view)?;
        self.queued_entries = queued;
        self.queue.push_back(Queued {
            statements,
            salts: submit.salts,
            key: submit.key,
            digest: submit.digest,
            waiters: vec![waiter],
        });
        self.form_batch(now_ms, out);
        Ok(())
    }

    /// Queues a statement of the node itself. Nobody waits for it; a log that takes no entries drops it.
    pub(crate) fn state(&mut self, record: Record, salt: [u8; 32], now_ms: u64, out: &mut Out) {
        if self.blocked.is_some() || self.last_time_ms > now_ms || self.queued_entries >= QUEUED_ENTRIES_MAX {
            return;
        }
        self.queued_entries += 1;
        self.queue.push_back(Queued {
            statements: vec![Statement { record, subject: None, priority: false, group: 0 }],
            salts: vec![salt],
            key: None,
            digest: [0; 32],
            waiters: Vec::new(),
        });
        self.form_batch(now_ms, out);
    }

    fn check_shape(&self, submit: &Submit) -> Result<(), SubmitError> {
        let drafts = submit.drafts.len();
        if drafts == 0 {
            return Err(SubmitError::Empty);
        }
        if drafts > RECORDS_PER_CALL_MAX {
            return Err(SubmitError::TooMany { count: drafts, max: RECORDS_PER_CALL_MAX });
        }
        if submit.salts.len() != drafts {
            return Err(SubmitError::Salts { salts: submit.salts.len(), drafts });
        }
        if let Ack::Replicated(asked) = submit.ack
            && let others = self.replicas.entitled(submit.group)
            && asked as usize > others
        {
            return Err(SubmitError::TooFewMembers { asked, others });
        }
        Ok(())
    }

    /// A retry of something that still waits joins it instead of stating it twice.
    fn join_pending(&mut self, submit: &Submit, waiter: Waiter) -> Result<bool, SubmitError> {
        let Some(key) = submit.key else { return Ok(false) };
        let queued = self.queue.iter_mut().map(|queued| (queued.key, queued.digest, &mut queued.waiters));
        let flying = self.in_flight.iter_mut().flat_map(|flight| {
            flight.submissions.iter_mut().map(|held| (held.key, held.digest, &mut held.waiters))
        });
        for (held_key, digest, waiters) in queued.chain(flying) {
            if held_key == Some(key) {
                if digest != submit.digest {
                    return Err(SubmitError::KeyReused);
                }
                waiters.push(waiter);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Forms the next batch if one may be formed now.
    pub(crate) fn form_batch(&mut self, now_ms: u64, out: &mut Out) {
        if self.in_flight.is_some() || self.queue.is_empty() || self.blocked.is_some() {
            return;
        }
        let due_ms = self.last_batch_ms.saturating_add(CHECKPOINT_INTERVAL_MS);
        if self.last_batch_ms <= now_ms && now_ms < due_ms {
            out.push(Effect::SetTimer { timer: Timer::Append, at_ms: due_ms });
            return;
        }
        self.last_batch_ms = now_ms;
        let mut flight = InFlight {
            write: out.next_id(),
            generation: self.next_generation(),
            stage: Stage::Writing,
            start: self.frontier.size(),
            entries: Vec::new(),
            after: self.frontier.clone(),
            submissions: Vec::new(),
        };
        self.last_time_ms = self.last_time_ms.max(now_ms);
        while let Some(next) = self.queue.front() {
            if !flight.entries.is_empty() && flight.entries.len() + next.statements.len() > BATCH_ENTRIES_MAX
            {
                break;
            }
            let Some(next) = self.queue.pop_front() else { break };
            self.queued_entries -= next.statements.len();
            self.seal_into(next, &mut flight, out);
        }
        if flight.entries.is_empty() {
            return;
        }
        out.push(Effect::Write(self.batch(&flight)));
        self.in_flight = Some(flight);
    }

    fn seal_into(&self, queued: Queued, flight: &mut InFlight, out: &mut Out) {
        let first_index = flight.after.size();
        let mut sealed_entries = Vec::with_capacity(queued.statements.len());
        for (position, (statement, salt)) in queued.statements.iter().zip(&queued.salts).enumerate() {
            let header = LeafHeader {
                kind: statement.record.kind(),
                priority: statement.priority,
                index: first_index + position as u64,
                time_ms: self.last_time_ms,
                roster_version: self.roster_version,
                log_id: self.author.log,
                subject: statement.subject,
                group: statement.group,
            };
            match seal(header, &statement.record, *salt) {
                Ok(sealed) => sealed_entries.push(sealed),
                Err(error) => {
                    let error = SubmitError::Payload { position, detail: error.to_string() };
                    for waiter in &queued.waiters {
                        out.push(Effect::Answer { request: waiter.request, answer: Err(error.clone()) });
                    }
                    return;
                }
            }
        }
        let mut records = Vec::with_capacity(sealed_entries.len());
        for sealed in sealed_entries {
            let id = leaf_hash(&sealed.leaf_bytes);
            flight.after.append(id);
            records.push(id);
            flight.entries.push(StoredEntry {
                leaf: sealed.leaf_bytes.to_vec(),
                payload: StoredPayload::Present { salt: sealed.salt, padded: sealed.padded },
            });
        }
        flight.submissions.push(Submission {
            key: queued.key,
            digest: queued.digest,
            first_index,
            records,
            waiters: queued.waiters,
        });
    }

    fn batch(&self, flight: &InFlight) -> WriteBatch {
        let tree_size = flight.after.size();
        WriteBatch {
            id: flight.write,
            log: self.author.log,
            origin: self.origin.clone(),
            start: flight.start,
            entries: flight.entries.clone(),
            frontier: flight.after.hashes().to_vec(),
            note: None,
            idempotency: flight
                .submissions
                .iter()
                .filter_map(|submission| {
                    Some(IdempotencyEntry {
                        key: submission.key?,
                        digest: submission.digest,
                        first_index: submission.first_index,
                        count: u32::try_from(submission.records.len()).unwrap_or(u32::MAX),
                        tree_size,
                    })
                })
                .collect(),
            read_back: true,
            generation: Some(flight.generation),
        }
    }

    /// Whether `write` is the batch or lock write under way.
    pub(crate) fn is_writing(&self, write: WriteId) -> bool {
        self.in_flight.as_ref().is_some_and(|flight| flight.write == write)
    }

    /// The batch is synced: compares what the database gives back, then signs.
    pub(crate) fn written(&mut self, read_back: &[Vec<u8>], out: &mut Out) -> Result<(), StopReason> {
        let Some(flight) = &self.in_flight else {
            return Err(StopReason::Internal("a batch of the own log was reported that is not under way"));
        };
        let mut tree = self.frontier.clone();
        for leaf in read_back {
            tree.append(leaf_hash(leaf));
        }
        if tree != flight.after {
            let differs = flight.entries.iter().zip(read_back).position(|(entry, leaf)| entry.leaf != *leaf);
            let offset = differs.unwrap_or(read_back.len().min(flight.entries.len()));
            return Err(StopReason::ReadBack {
                origin: self.origin.clone(),
                index: flight.start + offset as u64,
            });
        }
        self.sign(out);
        Ok(())
    }

    fn sign(&mut self, out: &mut Out) {
        let Some(flight) = &mut self.in_flight else { return };
        let checkpoint =
            Checkpoint { origin: self.origin.clone(), size: flight.after.size(), root: flight.after.root() };
        let note = self.key.as_ref().and_then(|key| sign_checkpoint_by(&checkpoint, key).ok());
        let Some(note) = note else {
            // What is stored stays unseen: a crash here is one between the batch and the signature.
            flight.stage = Stage::Signing;
            return;
        };
        let lock = LockState {
            // Another role may have raised it while the signature was waited for.
            generation: flight.generation.max(self.lock.generation),
            origin: self.origin.clone(),
            size: checkpoint.size,
            root: checkpoint.root,
            note,
        };
        out.push(Effect::WriteLock { write: flight.write, lock: lock.clone() });
        self.lock = lock.clone();
        flight.stage = Stage::Locking(lock);
    }

    /// The lock is synced: publishes, answers, and says what became visible.
    pub(crate) fn lock_written(&mut self, now_ms: u64, out: &mut Out) -> Result<Appended, StopReason> {
        let Some(InFlight { stage: Stage::Locking(lock), start, entries, after, submissions, .. }) =
            self.in_flight.take()
        else {
            return Err(StopReason::Internal("a lock write was reported that is not under way"));
        };
        self.frontier = after;
        self.note = Some(SizedNote { size: lock.size, note: lock.note });
        self.recent_roots.insert(lock.size, lock.root);
        while self.recent_roots.len() > RECENT_ROOTS_MAX {
            self.recent_roots.pop_first();
        }
        out.push(self.head());
        for submission in submissions {
            self.fulfil(submission, lock.size, now_ms, out);
        }
        self.form_batch(now_ms, out);
        Ok(Appended { start, entries })
    }

    fn head(&self) -> Effect {
        Effect::Publish(PublishedHead {
            log: self.author.log,
            origin: self.origin.clone(),
            size: self.frontier.size(),
            root: self.frontier.root(),
            note: self.note.clone(),
            announced: self.frontier.size(),
        })
    }

    fn fulfil(&mut self, submission: Submission, tree_size: u64, now_ms: u64, out: &mut Out) {
        for waiter in submission.waiters {
            let receipts = Receipts {
                origin: self.origin.clone(),
                first_index: submission.first_index,
                records: submission.records.clone(),
                tree_size,
                ack: waiter.ack,
            };
            let wanted = match waiter.ack {
                Ack::Local => 0,
                Ack::Replicated(wanted) => wanted,
            };
            self.replicas.answer(waiter.request, wanted, waiter.group, receipts, now_ms, out);
        }
    }

    /// A member confirmed that it holds leaves and payloads below `size` on its disk. Returns false
    /// when the root is not one of ours, which proves nothing and counts for nothing.
    pub(crate) fn stored(&mut self, member: &MemberId, size: u64, root: &Root, out: &mut Out) -> bool {
        if self.recent_roots.get(&size) != Some(root) {
            // Confirmations of old sizes are harmless and say nothing new.
            return size < self.recent_roots.keys().next().copied().unwrap_or(0);
        }
        self.replicas.stored(member, size, out);
        true
    }

    /// Ends waits whose time is over; the entries stay.
    pub(crate) fn tick(&mut self, now_ms: u64, out: &mut Out) {
        self.replicas.tick(now_ms, out);
        if self.is_unsigned() {
            self.sign(out);
        }
        self.form_batch(now_ms, out);
    }

    /// Compares a verified note of our own log, seen at a peer, with what we signed.
    pub(crate) fn check_seen(&self, size: u64, root: &Root) -> Result<(), StopReason> {
        let locking = self.in_flight.as_ref().and_then(|flight| match &flight.stage {
            Stage::Locking(lock) => Some((lock.size, lock.root)),
            Stage::Writing | Stage::Signing => None,
        });
        let known = match locking {
            Some((locked, locked_root)) if locked == size => Some(locked_root),
            _ => self.recent_roots.get(&size).copied(),
        };
        match known {
            Some(known) if known != *root => {
                Err(StopReason::OwnNoteContradicts { origin: self.origin.clone(), size })
            }
            None if size > self.frontier.size() => Err(StopReason::OwnNoteAhead {
                origin: self.origin.clone(),
                seen: size,
                signed: self.frontier.size(),
            }),
            _ => Ok(()),
        }
    }
}
