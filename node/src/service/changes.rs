//! What HTTP and webhooks may ask of the feed of changes.

use super::shown::reason_text;
use super::{Inner, Service, ServiceError};
use crate::changes::{ChangeCursor, Feed, FeedError, FeedProgress};
use crate::metrics::HookLabel;
use crate::storage::{ChangeRow, DecidedRow, RecordRow};
use crate::webhooks::Hook;
use hashpact_protocol::api::{
    self, CHANGES_NOW, CHANGES_OLDEST, CHANGES_SNAPSHOT, ChangeCause, ChangeJson, ChangesSnapshot, ListTurn,
    OutcomeTurn, StatusTurn,
};
use hashpact_protocol::digest::RecordId;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Some changes, in their order.
#[derive(Debug)]
pub struct ChangesPage {
    /// The changes.
    pub changes: Vec<ChangeJson>,
    /// Where to go on.
    pub cursor: ChangeCursor,
}

impl Service {
    /// The feed of changes; set once, when the logs are replayed.
    pub fn set_feed(&self, feed: Arc<Feed>) {
        let _ = self.inner.feed.set(feed);
    }

    /// The webhooks that run; set once.
    pub fn set_hooks(&self, hooks: Vec<Arc<Hook>>) {
        let _ = self.inner.hooks.set(hooks);
    }

    /// How far the feed is; changes with every change.
    ///
    /// # Errors
    /// The logs are still being replayed.
    pub fn feed_progress(&self) -> Result<watch::Receiver<FeedProgress>, ServiceError> {
        Ok(self.inner.feed()?.progress())
    }

    /// The place that a caller names.
    ///
    /// # Errors
    /// The logs are still being replayed, or it is no cursor.
    pub fn changes_place(&self, after: &str) -> Result<ChangeCursor, ServiceError> {
        let progress = *self.inner.feed()?.progress().borrow();
        match after {
            CHANGES_NOW => Ok(progress.end()),
            CHANGES_OLDEST => Ok(progress.oldest()),
            cursor => ChangeCursor::parse(cursor).ok_or(ServiceError::Cursor),
        }
    }

    /// The changes behind a cursor, at most so many.
    ///
    /// # Errors
    /// Why one cannot go on from there; the node is stopping.
    pub async fn changes(&self, after: ChangeCursor, count_max: usize) -> Result<ChangesPage, ServiceError> {
        self.blocking(move |inner| {
            let rows = inner.feed()?.after(after, count_max)?;
            let epoch = after.epoch;
            let cursor =
                rows.last().map_or(after, |(sequence, _)| ChangeCursor { epoch, sequence: *sequence });
            let changes = rows
                .iter()
                .map(|(sequence, row)| inner.show_change(ChangeCursor { epoch, sequence: *sequence }, row));
            Ok(ChangesPage { changes: changes.collect(), cursor })
        })
        .await
    }

    /// The same; waits for one if there is none.
    ///
    /// # Errors
    /// As [`Self::changes`].
    pub async fn changes_within(
        &self,
        after: ChangeCursor,
        count_max: usize,
        wait: Duration,
    ) -> Result<ChangesPage, ServiceError> {
        let mut progress = self.feed_progress()?;
        let page = self.changes(after, count_max).await?;
        if !page.changes.is_empty() || wait.is_zero() {
            return Ok(page);
        }
        let is_there = |progress: &FeedProgress| progress.ended || progress.end() != after;
        let is_in_time = tokio::time::timeout(wait, progress.wait_for(is_there)).await.is_ok();
        if is_in_time { self.changes(after, count_max).await } else { Ok(page) }
    }

    /// Where to begin anew.
    ///
    /// # Errors
    /// The logs are still being replayed.
    pub fn changes_snapshot(&self) -> Result<ChangesSnapshot, ServiceError> {
        let cursor = self.inner.feed()?.progress().borrow().end().encode();
        let (complete, reason) = self.inner.lookup.completeness();
        let records = "/v1/records?limit=1000".to_owned();
        Ok(ChangesSnapshot { cursor, records, complete, reason, as_of: self.inner.lookup.as_of() })
    }
}

impl Inner {
    fn feed(&self) -> Result<&Arc<Feed>, ServiceError> {
        self.feed.get().ok_or(ServiceError::Loading)
    }

    pub(super) fn feed_status(&self) -> Option<api::FeedStatus> {
        let feed = self.feed.get()?;
        let progress = *feed.progress().borrow();
        let (cursor, kept) = (progress.end().encode(), progress.next - progress.first);
        Some(api::FeedStatus { cursor, kept, waiting: feed.waiting() as u64 })
    }

    pub(super) fn hook_status(&self) -> Vec<api::WebhookStatus> {
        let progress = self.feed.get().map(|feed| *feed.progress().borrow());
        self.hooks.get().into_iter().flatten().map(|hook| hook.status(progress.as_ref())).collect()
    }

    /// Brings the gauges of feed and webhooks up to now.
    pub(super) fn note_feed(&self) {
        let (metrics, gauge) = (&self.metrics.feed, |count: u64| i64::try_from(count).unwrap_or(i64::MAX));
        if let Some(status) = self.feed_status() {
            metrics.kept.set(gauge(status.kept));
            metrics.waiting.set(gauge(status.waiting));
        }
        for hook in self.hook_status() {
            let since_ms = hook.failing_since.and_then(|text| api::time::parse_rfc3339(&text).ok());
            let label = HookLabel { hook: hook.name };
            metrics.behind.get_or_create(&label).set(gauge(hook.behind));
            metrics.failing_since.get_or_create(&label).set(gauge(since_ms.unwrap_or(0) / 1_000));
        }
    }

    fn show_change(&self, cursor: ChangeCursor, row: &ChangeRow) -> ChangeJson {
        let cause = row.cause.clone().map(|cause| ChangeCause {
            what: cause.what,
            name: cause.name,
            version: cause.version,
        });
        let change = ChangeJson {
            cursor: cursor.encode(),
            time: api::time::rfc3339(row.time_ms),
            cause,
            ..ChangeJson::default()
        };
        match &row.record {
            Some(record) => self.show_record_change(change, record),
            None => ChangeJson {
                kind: ChangeJson::SNAPSHOT.to_owned(),
                snapshot: Some(CHANGES_SNAPSHOT.to_owned()),
                ..change
            },
        }
    }

    /// What a row does not keep is looked up now: nothing of a payload that is sealed or gone can be shown.
    fn show_record_change(&self, change: ChangeJson, row: &RecordRow) -> ChangeJson {
        let id = RecordId::new(row.id);
        let decided = |row: &Option<DecidedRow>| {
            row.as_ref().map(|decided| (decided.outcome.clone(), decided.list.clone())).unzip()
        };
        let ((before, list_before), (after, list_after)) = (decided(&row.before), decided(&row.after));
        let is_decided = before.is_some() || after.is_some();
        let lists = row.lists.iter().map(|list| ListTurn {
            list: list.list.clone(),
            version: list.version,
            before: list.before.clone(),
            after: list.after.clone(),
        });
        let change = ChangeJson {
            kind: ChangeJson::RECORD.to_owned(),
            record: Some(id.to_hex()),
            status: Some(StatusTurn { before: row.status_before.clone(), after: row.status_after.clone() }),
            outcome: is_decided.then_some(OutcomeTurn { before, list_before, after, list_after }),
            lists: lists.collect(),
            ..change
        };
        let Some(record) = self.lookup.record(&id) else { return change };
        let known = &record.known;
        let is_so_still = known.status().name() == row.status_after;
        ChangeJson {
            member: Some(known.author.member.to_string()),
            log: Some(self.origin(&known.author.log)),
            index: Some(known.index),
            reason: is_so_still.then(|| reason_text(&known.standing)).flatten(),
            signals: self.show(&record).signals,
            ..change
        }
    }
}

impl From<FeedError> for ServiceError {
    fn from(error: FeedError) -> Self {
        match error {
            FeedError::Storage(cause) => Self::Storage(cause),
            other => Self::Feed(other),
        }
    }
}
