//! What look-ups know from an index snapshot while the logs are still being replayed.
//!
//! The snapshot says which records carry a value; the records themselves are not in memory yet. A hit
//! is read from the database, its payload held against its leaf, and its values compared with the query
//! again ([`super::matching`]): a snapshot can make a node miss something until the replay ends (answers
//! say `complete: false` until then), but it cannot make one up.
//!
//! What happened since the snapshot must not be missed in the other direction. A retraction acts from
//! its leaf alone, so before the first answer the leaves beyond the snapshot's positions are read, and
//! what they withdraw is never shown. Expiry is held against the clock of the look-up.

use crate::storage::{Store, StoreError};
use hashpact_core::effect::{HeldPriority, IndexChange, ViewChange};
use hashpact_core::view::{Author, Leavers, RecordView, Rules, read_record, withdrawn_record};
use hashpact_protocol::digest::{LogId, RecordId};
use hashpact_protocol::leaf::{Kind, marked_kind};
use hashpact_protocol::roster::{LogPlace, MemberId};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

/// One log, as far as it is signed or held and may be seen.
#[derive(Debug, Clone)]
pub struct LogExtent {
    /// Whose it is.
    pub author: Author,
    /// Entries.
    pub size: u64,
    /// Its priority entries, those ahead of the others included.
    pub priority: HeldPriority,
    /// Histories that are kept beside it because it is forked.
    pub kept: Vec<KeptExtent>,
}

/// A history of a forked log that is kept beside the followed one (SPEC §3.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptExtent {
    /// Its number.
    pub number: u8,
    /// Leaf index of its first entry.
    pub start: u64,
    /// Leaf index behind its last one.
    pub end: u64,
}

/// The state between snapshot and replay. Of kept histories it knows nothing: what only they hold is found when the replay
/// has folded it, and answers say until then that they are not complete.
#[derive(Debug)]
pub(super) struct Restored {
    store: Arc<Store>,
    logs: BTreeMap<LogId, LogExtent>,
    positions: BTreeMap<LogId, u64>,
    /// Records withdrawn beyond the positions, with who withdrew them.
    withdrawn: BTreeSet<(RecordId, MemberId)>,
    /// Records superseded there, with who did and where last: what took their place before does not stand any more.
    superseded: BTreeMap<(RecordId, MemberId), LogPlace>,
    /// Records whose erasure an authority ordered beyond the positions.
    ordered: BTreeSet<RecordId>,
    leavers: Leavers,
}

impl Restored {
    /// Reads what was withdrawn beyond the snapshot's positions.
    ///
    /// # Errors
    /// The database cannot be read.
    pub(super) fn new(
        store: Arc<Store>,
        logs: &[LogExtent],
        positions: BTreeMap<LogId, u64>,
        rules: &Rules,
    ) -> Result<Self, StoreError> {
        let (mut withdrawn, mut ordered, mut superseded) =
            (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
        let mut withdraw = |author: &Author, index: u64, leaf: &[u8]| {
            let Some(id) = withdrawn_record(author, index, leaf) else { return };
            let place = LogPlace { n: author.n, index };
            let is_superseded = marked_kind(leaf) == Some(Kind::Supersede);
            let mut take = |member: MemberId, place: LogPlace| {
                if is_superseded {
                    let last = superseded.entry((id, member.clone())).or_insert(place);
                    *last = place.max(*last);
                }
                withdrawn.insert((id, member));
            };
            take(author.member.clone(), place);
            // A steward's word is that of the members who left, and comes after their own.
            let served = rules.leavers().served_by(&author.member, place);
            served.into_iter().for_each(|leaver| take(leaver, LogPlace { n: u32::MAX, index }));
            // What an authority retracts of others counts no more than before, and is rare.
            if rules.erasure.is_authority(&author.member, author.n, index) {
                ordered.insert(id);
            }
        };
        for LogExtent { author, size, priority, .. } in logs {
            for (index, entry) in &priority.ahead {
                withdraw(author, *index, &entry.leaf);
            }
            let start = positions.get(&author.log).copied().unwrap_or(0).min(*size);
            for_each_leaf(&store, &author.log, start, *size, |index, leaf| withdraw(author, index, leaf))?;
        }
        let logs = logs.iter().map(|extent| (extent.author.log, extent.clone())).collect();
        let leavers = rules.leavers().clone();
        Ok(Self { store, logs, positions, withdrawn, superseded, ordered, leavers })
    }

    /// Whether the snapshot has the effects of this entry.
    pub(super) fn covers(&self, log: &LogId, index: u64) -> bool {
        self.positions.get(log).is_some_and(|position| index < *position)
    }

    /// What a change found by the replay means for an index that came from a snapshot: records that it
    /// covers are in it if they stood then, and must go if they do not stand any more.
    pub(super) fn index_change(&self, change: &ViewChange) -> IndexChange {
        if !change.record.stands() {
            IndexChange::Remove
        } else if self.covers(&change.record.author.line, change.record.index) {
            IndexChange::Keep
        } else {
            change.index
        }
    }

    /// The record at a place that was not replayed yet, if it stands at `now_ms` as far as the database
    /// and the retractions tell; without what others say about it.
    pub(super) fn read(&self, log: &LogId, index: u64, now_ms: u64) -> Option<Arc<RecordView>> {
        let LogExtent { author, size, .. } = self.logs.get(log)?;
        if index >= *size {
            return None;
        }
        let entry = match self.store.entry(log, index) {
            Ok(entry) => entry?,
            Err(error) => {
                tracing::error!(%error, log.index = index, "a matching record could not be read; run fsck");
                return None;
            }
        };
        let record = read_record(author, index, &entry.leaf, &entry.payload, now_ms)?;
        let known = &record.known;
        let rival =
            || withdrawn_record(author, index, &entry.leaf).filter(|_| record.stated.kind == Kind::Supersede);
        let has_rival = || {
            let last = self.superseded.get(&(rival()?, author.member.clone()))?;
            (*last > LogPlace { n: author.n, index }).then_some(())
        };
        let is_withdrawn = self.withdrawn.contains(&(known.id, known.author.member.clone()))
            || has_rival().is_some()
            || self.ordered.contains(&known.id)
            || self.leavers.lapsed_since(&known.author.member).is_some();
        (known.stands() && !is_withdrawn).then(|| Arc::new(record))
    }
}

/// Calls `visit` with the leaves of `[start, end)`.
pub(super) fn for_each_leaf(
    store: &Store,
    log: &LogId,
    start: u64,
    end: u64,
    mut visit: impl FnMut(u64, &[u8]),
) -> Result<(), StoreError> {
    if start == end {
        // A log that holds nothing may not be known to the database at all.
        return Ok(());
    }
    store.for_each_leaf(log, start, end, |index, leaf| {
        visit(index, leaf);
        ControlFlow::Continue(())
    })
}
