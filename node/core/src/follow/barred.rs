//! Payloads that must not be kept, although their leaf commits to them: an order that arrived before them
//! counts. And what a peer says in place of a payload, held against what we know ourselves: a relay must not
//! be able to suppress a payload by naming an order that does not exist.

use crate::effect::{EntryRef, StoredPayload};
use crate::view::{View, Withdrawal};
use hashpact_protocol::digest::{LogId, leaf_hash};
use hashpact_protocol::leaf::{EntryLeaf, read_leaf};
use hashpact_protocol::roster::MemberId;
use std::collections::BTreeMap;

/// What the view knows about payloads that are still to come.
pub struct Barred<'a> {
    /// The view.
    pub view: &'a View,
    /// Authors of all logs of the roster.
    pub members: &'a BTreeMap<LogId, MemberId>,
    /// Now, in milliseconds since 1970.
    pub now_ms: u64,
}

/// A place that is named for an erasure and holds nothing of the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MadeUpOrder;

impl Barred<'_> {
    /// What stands beside a leaf for good because an order counts, or because a retraction's retention is
    /// over and `claimed` says that it is gone; `None` if its payload is wanted.
    ///
    /// # Errors
    /// The claim names an entry that we hold, which is neither order nor retraction about this leaf.
    pub fn judge(&self, leaf: &[u8], claimed: Option<EntryRef>) -> Result<Option<StoredPayload>, MadeUpOrder> {
        let id = leaf_hash(leaf);
        // A leaf that stands elsewhere than it says is void there, and its payload the same.
        let Some(author) = named_author(leaf, self.members) else { return Ok(None) };
        let retention_ms = self.view.orders().rules().retention_ms;
        for withdrawal in self.view.withdrawals(&id, author) {
            let by = match withdrawal {
                Withdrawal::Ordered { by, .. } => by,
                Withdrawal::Retracted { by, time_ms }
                    if claimed.is_some() && time_ms.saturating_add(retention_ms) <= self.now_ms =>
                {
                    by
                }
                Withdrawal::Retracted { .. } | Withdrawal::Expired { .. } => continue,
            };
            return Ok(Some(StoredPayload::ErasedBy { by }));
        }
        let Some(claimed) = claimed else { return Ok(None) };
        // Entries are folded in the order of their log, so one below this count has been.
        let is_folded = claimed.index < self.view.counts(&claimed.log).entries();
        if is_folded && !self.view.has_withdrawal_from(&id, &claimed.log) {
            return Err(MadeUpOrder);
        }
        Ok(None)
    }
}

/// Who wrote the entry with this leaf, by its own word, which its hash covers.
pub(crate) fn named_author<'a>(
    leaf: &[u8],
    members: &'a BTreeMap<LogId, MemberId>,
) -> Option<&'a MemberId> {
    let (log, index) = named_place(leaf)?;
    match read_leaf(leaf, &log, index) {
        EntryLeaf::Known(known) if known.kind.payload_can_be_erased() => members.get(&log),
        _ => None,
    }
}

fn named_place(leaf: &[u8]) -> Option<(LogId, u64)> {
    let index = <[u8; 8]>::try_from(leaf.get(8..16)?).ok()?;
    let log = <[u8; 32]>::try_from(leaf.get(32..64)?).ok()?;
    Some((LogId::new(log), u64::from_be_bytes(index)))
}
