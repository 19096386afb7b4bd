//! Taking up records that an earlier fold stated, without reading their entries again.
//!
//! Of a record that states a picture the view keeps its id, its place and its expiry; all else that it says about it
//! follows from other entries. So a start may bring these three from a file, and folds the other entries: the result is the
//! same, because a fold does not mind the order. Whoever calls this answers for what the file says
//! (`ARCHITECTURE.md`, the read model).

use super::{Author, View};
use crate::effect::{IndexChange, ViewChange};
use hashpact_protocol::digest::RecordId;

/// A record of kind `content` whose payload is here, as an earlier fold stated it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restorable {
    /// Leaf index.
    pub index: u64,
    /// Its leaf hash.
    pub id: RecordId,
    /// When it expires, in seconds.
    pub expires_s: Option<u64>,
}

impl View {
    /// Takes up records of the followed histories of logs, block by block. Before any entry is folded, and each once.
    ///
    /// What comes back are those that are not simply active: because of their expiry, or because their author left.
    pub fn restore<'a>(
        &mut self,
        blocks: impl IntoIterator<Item = (&'a Author, Vec<Restorable>)>,
    ) -> Vec<ViewChange> {
        let (mut changes, mut batch) = (Vec::new(), self.records.batch());
        for (author, records) in blocks {
            let is_lapsed = Self::lapsed_reason(&self.weights(), author).is_some();
            self.counts.entry(author.line).or_default().records += records.len() as u64;
            if let Some(last) = records.last() {
                self.records.reserve(author, last.index);
            }
            for Restorable { index, id, expires_s } in records {
                let number = self.records.insert_later(author, index, id, &mut batch);
                if let Some(expires_s) = expires_s {
                    self.expiries.insert(number, expires_s);
                    self.expiring.insert((expires_s, number));
                }
                if is_lapsed || expires_s.is_some() {
                    changes.extend(self.fallen(number));
                }
            }
        }
        self.records.insert_batch(batch);
        changes
    }

    /// The change of a restored record, if it does not stand.
    fn fallen(&self, number: u64) -> Option<ViewChange> {
        let record = self.known(&self.records.get(number)?);
        (!record.stands()).then_some(ViewChange { record, stated: None, index: IndexChange::Remove })
    }
}
