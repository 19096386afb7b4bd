//! What was stated in the year, in the order in which it was acknowledged.

use hashpact_protocol::digest::RecordId;
use hashpact_protocol::record::Signal;

/// One record.
#[derive(Clone)]
pub(super) struct Item {
    pub(super) id: RecordId,
    /// Whose.
    pub(super) by: usize,
    pub(super) signal: Signal,
    /// Everyday business leaves it alone: an episode has something to do with it.
    pub(super) kept: bool,
    /// Retracted, superseded or erased.
    pub(super) is_gone: bool,
    /// When somebody first disagreed.
    pub(super) disputed_ms: Option<u64>,
}

/// All of them.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) items: Vec<Item>,
}

impl Ledger {
    /// Their places in the ledger.
    pub(super) fn add(&mut self, items: Vec<Item>) -> Vec<usize> {
        let first = self.items.len();
        self.items.extend(items);
        (first..self.items.len()).collect()
    }

    /// Those that everyday business may touch.
    pub(super) fn open(&self, of: impl Fn(&Item) -> bool) -> Vec<usize> {
        let items = self.items.iter().enumerate();
        items.filter(|(_, item)| !item.kept && !item.is_gone && of(item)).map(|(at, _)| at).collect()
    }

    pub(super) fn id(&self, at: usize) -> RecordId {
        self.items[at].id
    }

    pub(super) fn ids(&self, at: &[usize]) -> Vec<RecordId> {
        at.iter().map(|at| self.id(*at)).collect()
    }
}
