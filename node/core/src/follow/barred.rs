//! Payloads that must not be kept, although their leaf commits to them: an order that arrived before them
//! counts. And what a peer says in place of a payload, held against what we know ourselves: a relay must not
//! be able to suppress a payload by naming an order that does not exist. It is not blamed for one either: of a
//! forked log it may honestly hold the other history.

use crate::effect::StoredPayload;
use crate::entitled::Mine;
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
    /// What this node's member may have.
    pub mine: &'a Mine,
}

impl Barred<'_> {
    /// What stands beside a leaf for good because an order counts, or because a retraction's retention is
    /// over and the peer says that an entry erased the payload, or because it is not for this member; `None` if it is wanted.
    pub(crate) fn judge(&self, leaf: &[u8], says_erased: bool) -> Option<StoredPayload> {
        let id = leaf_hash(leaf);
        // A leaf that stands elsewhere than it says is void there, and its payload the same.
        let author = named_author(leaf, self.members)?;
        let retention_ms = self.view.orders().rules().retention_ms;
        let withdrawn = self.view.withdrawals(&id, author).find_map(|withdrawal| match withdrawal {
            Withdrawal::Ordered { by, .. } => Some(StoredPayload::ErasedBy { by }),
            Withdrawal::Retracted { by, time_ms, .. } => {
                let is_over = time_ms.saturating_add(retention_ms) <= self.now_ms;
                (says_erased && is_over).then_some(StoredPayload::ErasedBy { by })
            }
            Withdrawal::Expired { .. } => None,
        });
        // By our own roster, whoever sends it: what is not for this member is not kept.
        withdrawn.or_else(|| (!self.mine.covers(author, leaf)).then_some(StoredPayload::Withheld))
    }
}

/// Who wrote the entry with this leaf, by its own word, which its hash covers.
pub(crate) fn named_author<'a>(leaf: &[u8], members: &'a BTreeMap<LogId, MemberId>) -> Option<&'a MemberId> {
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
