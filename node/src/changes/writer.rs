//! The thread that writes the feed: takes what changed, judges it, writes rows, wakes readers.

use super::telling::{cause, difference, marker, marker_of, row_of_compared, row_of_news};
use super::{FeedProgress, new_epoch};
use crate::driver::now_ms;
use crate::lookup::{Compared, FeedNews, Local, Lookup, NewsQueue, RecordNews, Taken, TooMany};
use crate::storage::{CauseRow, ChangeRow, Store};
use hashpact_core::policy::{Decision, Flood};
use std::sync::Arc;
use tokio::sync::watch;
use tracing::error;

/// Rows written together.
const ROWS_TOGETHER_MAX: usize = 4_096;
/// Records that one decision of the operator may change and still be told one by one.
pub(super) const COMPARED_MAX: usize = 10_000;
/// Records that are looked at for one decision: half a minute of one core.
const LOOKED_AT_MAX: usize = 5_000_000;
/// Of how many rows over the bound one in so many are kept, so that rows are let go by the thousand.
const SLACK: u64 = 16;

/// What the thread works with.
pub(super) struct Writer {
    lookup: Arc<Lookup>,
    store: Arc<Store>,
    queue: Arc<NewsQueue>,
    told: watch::Sender<FeedProgress>,
    /// What is in force for the next change.
    local: Local,
    keep: u64,
}

impl Writer {
    pub(super) fn new(
        lookup: Arc<Lookup>,
        store: Arc<Store>,
        queue: Arc<NewsQueue>,
        told: watch::Sender<FeedProgress>,
        local: Local,
        keep: u64,
    ) -> Self {
        Self { lookup, store, queue, told, local, keep }
    }

    /// Writes until nothing comes any more.
    pub(super) fn run(mut self) -> Self {
        loop {
            match self.queue.take() {
                Taken::News(FeedNews::Records(records)) => self.records(&records),
                Taken::News(FeedNews::Local(local)) => self.local(*local),
                Taken::News(FeedNews::Flood { flood, before }) => self.flood(&flood, before),
                Taken::News(FeedNews::Withheld { added, removed }) => self.withheld(&added, &removed),
                Taken::Dropped => self.add(vec![marker("overflow", None)]),
                Taken::Ended => return self,
            }
        }
    }

    /// Tells readers that nothing comes any more; how far the feed came.
    pub(super) fn end(&self) -> FeedProgress {
        self.told.send_modify(|progress| progress.ended = true);
        *self.told.borrow()
    }

    /// Tells of changes of records.
    pub(super) fn records(&mut self, records: &[RecordNews]) {
        for some in records.chunks(ROWS_TOGETHER_MAX) {
            let judged = self.lookup.judge_news(some, &self.local);
            let mut rows = Vec::with_capacity(some.len());
            for (news, judgement) in some.iter().zip(&judged) {
                rows.extend(row_of_news(news, judgement));
                let carriers = self.lookup.compare_carriers(news, &self.local);
                let cause = || cause("record", Some(news.known.id.to_hex()));
                rows.extend(carriers.iter().map(|compared| row_of_compared(compared, &cause())));
            }
            self.add(rows);
        }
    }

    fn local(&mut self, local: Local) {
        let before = std::mem::replace(&mut self.local, local);
        // The name alone changes with what is decided about floods, which is told for itself.
        let Some(cause) = difference(&before, &self.local) else { return };
        let found = self.lookup.compare_locals(&before, &self.local, COMPARED_MAX, LOOKED_AT_MAX);
        self.compared(found, &cause);
    }

    fn flood(&mut self, flood: &Flood, before: Option<Decision>) {
        let cause = cause("flood", Some(flood.id.to_string()));
        self.compared(self.lookup.compare_flood(flood, before, &self.local, COMPARED_MAX), &cause);
    }

    fn withheld(&mut self, added: &[u64], removed: &[u64]) {
        let cause = cause("flood", None);
        if added.len() + removed.len() > COMPARED_MAX {
            return self.add(vec![marker_of(cause)]);
        }
        let mut found = self.lookup.compare_withheld(removed, false, &self.local);
        found.extend(self.lookup.compare_withheld(added, true, &self.local));
        self.compared(Ok(found), &cause);
    }

    fn compared(&mut self, found: Result<Vec<Compared>, TooMany>, cause: &CauseRow) {
        match found {
            Err(TooMany) => self.add(vec![marker_of(cause.clone())]),
            Ok(found) => {
                for some in found.chunks(ROWS_TOGETHER_MAX) {
                    self.add(some.iter().map(|compared| row_of_compared(compared, cause)).collect());
                }
            }
        }
    }

    /// Adds rows and tells readers.
    pub(super) fn add(&mut self, mut rows: Vec<ChangeRow>) {
        if rows.is_empty() {
            return;
        }
        let time_ms = now_ms();
        rows.iter_mut().for_each(|row| row.time_ms = time_ms);
        let FeedProgress { first, next, .. } = *self.told.borrow();
        let after = next + rows.len() as u64;
        let is_over = after - first > self.keep + self.keep / SLACK;
        let below = is_over.then(|| after.saturating_sub(self.keep).max(first));
        match self.store.add_changes(next, &rows, below) {
            Ok(()) => self.told.send_modify(|progress| {
                progress.first = below.unwrap_or(first);
                progress.next = after;
            }),
            Err(error) => {
                error!(%error, "changes could not be written: whoever follows them must take a snapshot");
                self.begin_anew();
            }
        }
    }

    /// After rows were lost: no cursor of before is good any more.
    fn begin_anew(&self) {
        match new_epoch(&self.store, "rows could not be written") {
            Ok(progress) => _ = self.told.send_replace(progress),
            Err(error) => {
                error!(%error, "no other feed of changes could be begun");
                self.told.send_modify(|progress| progress.broken = true);
            }
        }
    }
}
