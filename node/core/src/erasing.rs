//! When payloads are destroyed (DESIGN: Erasure and retention; SPEC §7.10).
//!
//! An order seals at once, and destroys when `hold` has passed since the later of its claimed time and its
//! first sight here: time enough to disown what a stolen key ordered. Payloads of retracted and expired
//! records are destroyed after the retention, counted alike. First sights are on disk, so that a restart
//! neither shortens nor renews the wait.
//!
//! Destroying is done in rounds, because taking bytes out of the database's files costs far more than
//! marking them: a round begins at most once per [`round_interval_ms`], and what is due waits that long at
//! most. Which payloads, is asked of the view again when a round begins: a reason that has lapsed destroys
//! nothing.
//!
//! Not here: which orders count ([`crate::view`]), and how bytes leave the files (storage).

use crate::effect::{EntryRef, ErasureCounts, PayloadState, WriteId};
use crate::limits::{ERASE_ROUND_MAX, ERASE_ROUND_MAX_MS, ERASE_ROUND_MIN_MS};
use crate::view::{View, Withdrawal};
use hashpact_protocol::digest::RecordId;
use hashpact_protocol::roster::MemberId;
use std::collections::{BTreeMap, BTreeSet};

/// What waits to be destroyed.
#[derive(Debug, Default)]
pub struct Erasing {
    seen: BTreeMap<EntryRef, u64>,
    waiting: BTreeMap<RecordId, Waiting>,
    queue: BTreeSet<(u64, RecordId)>,
    /// Those of the queue that an order sealed.
    sealed: BTreeSet<(u64, RecordId)>,
    /// Batches under way; with those that destroy.
    writing: BTreeMap<WriteId, bool>,
    next_round_ms: u64,
    erased: u64,
    held: u64,
    told: Option<ErasureCounts>,
}

#[derive(Debug, Clone)]
struct Waiting {
    due_ms: u64,
    author: MemberId,
}

/// Least time between the beginnings of two rounds: a sixteenth of the shorter of hold and retention, within
/// a second and an hour.
#[must_use]
pub fn round_interval_ms(hold_ms: u64, retention_ms: u64) -> u64 {
    (hold_ms.min(retention_ms) / 16).clamp(ERASE_ROUND_MIN_MS, ERASE_ROUND_MAX_MS)
}

impl Erasing {
    pub(crate) fn new(seen: BTreeMap<EntryRef, u64>) -> Self {
        Self { seen, ..Self::default() }
    }

    /// Notes the first sight of an order or retraction; whether it is the first.
    pub(crate) fn see(&mut self, entry: EntryRef, now_ms: u64) -> bool {
        let mut is_new = false;
        self.seen.entry(entry).or_insert_with(|| {
            is_new = true;
            now_ms
        });
        is_new
    }

    /// When a withdrawal destroys, at the earliest. What may yet be disowned destroys nothing.
    fn due_ms(&self, withdrawal: &Withdrawal, view: &View) -> Option<u64> {
        let rules = view.orders().rules();
        let since = |by: &EntryRef, time_ms: u64| Some(time_ms.max(self.seen.get(by).copied()?));
        match withdrawal {
            Withdrawal::Ordered { is_contested: true, .. }
            | Withdrawal::Retracted { is_contested: true, .. } => None,
            Withdrawal::Ordered { by, time_ms, .. } => {
                Some(since(by, *time_ms)?.saturating_add(rules.hold_ms))
            }
            Withdrawal::Retracted { by, time_ms, .. } => {
                Some(since(by, *time_ms)?.saturating_add(rules.retention_ms))
            }
            Withdrawal::Expired { time_ms } => Some(time_ms.saturating_add(rules.retention_ms)),
        }
    }

    /// The reason that destroys first, and when.
    fn first_due(&self, id: &RecordId, author: &MemberId, view: &View) -> Option<(u64, Option<EntryRef>)> {
        let reasons = view.withdrawals(id, author).filter_map(|withdrawal| {
            let by = match withdrawal {
                Withdrawal::Ordered { by, .. } | Withdrawal::Retracted { by, .. } => Some(by),
                Withdrawal::Expired { .. } => None,
            };
            Some((self.due_ms(&withdrawal, view)?, by))
        });
        reasons.min()
    }

    /// Puts the payload of an entry on the list if it must be destroyed, and takes it off else.
    pub(crate) fn schedule(&mut self, id: RecordId, author: &MemberId, view: &View) {
        self.forget(&id);
        let mut reasons = view.withdrawals(&id, author).peekable();
        if reasons.peek().is_none() {
            return;
        }
        // A reason that may yet be disowned waits until that is settled.
        let due_ms = self.first_due(&id, author, view).map_or(u64::MAX, |(due_ms, _)| due_ms);
        self.queue.insert((due_ms, id));
        if reasons.any(|reason| matches!(reason, Withdrawal::Ordered { .. })) {
            self.sealed.insert((due_ms, id));
        }
        self.waiting.insert(id, Waiting { due_ms, author: author.clone() });
    }

    /// The payload is gone, or stays.
    pub(crate) fn forget(&mut self, id: &RecordId) {
        if let Some(waiting) = self.waiting.remove(id) {
            self.queue.remove(&(waiting.due_ms, *id));
            self.sealed.remove(&(waiting.due_ms, *id));
        }
    }

    /// Payloads to be destroyed now, with the reason; empty unless a round may begin.
    pub(crate) fn begin_round(&mut self, view: &View, now_ms: u64) -> Vec<(RecordId, Option<EntryRef>)> {
        if now_ms < self.next_round_ms || self.writing.values().any(|destroys| *destroys) {
            return Vec::new();
        }
        let due = self.queue.iter().take_while(|(due_ms, _)| *due_ms <= now_ms).take(ERASE_ROUND_MAX);
        let due: Vec<RecordId> = due.map(|(_, id)| *id).collect();
        let mut round = Vec::new();
        for id in due {
            let Some(author) = self.waiting.get(&id).map(|waiting| waiting.author.clone()) else { continue };
            match self.first_due(&id, &author, view) {
                Some((due_ms, by)) if due_ms <= now_ms => round.push((id, by)),
                // The reason lapsed, or another one is left that is due later.
                _ => self.schedule(id, &author, view),
            }
        }
        if !round.is_empty() {
            let rules = view.orders().rules();
            self.next_round_ms = now_ms.saturating_add(round_interval_ms(rules.hold_ms, rules.retention_ms));
        }
        round
    }

    /// A batch is on its way to the disk.
    pub(crate) fn started(&mut self, write: WriteId, destroys: bool) {
        self.writing.insert(write, destroys);
    }

    /// Whether this was a batch of ours, which is done now.
    pub(crate) fn finished(&mut self, write: WriteId) -> bool {
        self.writing.remove(&write).is_some()
    }

    /// Counts what stands beside an entry now; `before` is what was counted there.
    pub(crate) fn count(&mut self, before: Option<PayloadState>, after: PayloadState) {
        match before {
            Some(PayloadState::Erased) => self.erased = self.erased.saturating_sub(1),
            Some(PayloadState::Held) => self.held = self.held.saturating_sub(1),
            _ => {}
        }
        match after {
            PayloadState::Erased => self.erased += 1,
            PayloadState::Held => self.held += 1,
            _ => {}
        }
    }

    /// The counts, if they changed since they were asked for last.
    pub(crate) fn news(&mut self) -> Option<ErasureCounts> {
        let counts = ErasureCounts {
            sealed: self.sealed.len() as u64,
            next_due_ms: self.sealed.first().map(|(due_ms, _)| *due_ms),
            erased: self.erased,
            held: self.held,
        };
        (self.told != Some(counts)).then(|| {
            self.told = Some(counts);
            counts
        })
    }
}
