//! The feed of changes: what became of records at this node, in one order, for whoever must look again at what it hosts.
//!
//! Changes pass through the look-ups, which put them into a queue and never wait ([`crate::lookup::NewsQueue`]); a thread of
//! the feed's own judges them by the lists that are in force, writes rows without a sync ([`crate::storage`]), and wakes
//! readers. A reader names the last row that it has; rows are kept up to a number, the oldest go first.
//!
//! An **epoch** is a run of sequences without a gap. It goes on over a restart only if the node stopped cleanly and all
//! records stand as they stood then, apart from expiries, which are told. After anything else (a crash, a backup put back, a
//! log cut off by a closure) the next epoch begins, and a cursor of the one before is answered with where to take a
//! snapshot: nobody misses a change without being told so.
//!
//! What this does not do: say anything about queries, keep anything that a record states, or hold up the loop. SPEC §11.4.

mod telling;
#[cfg(test)]
mod tests;
mod writer;

use crate::lookup::{Local, Lookup, NewsQueue};
use crate::storage::{ChangeRow, CleanStop, FeedState, Store, StoreError};
use anyhow::Context as _;
use hashpact_protocol::digest::sha256;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use telling::marker;
use tokio::sync::watch;
use tracing::{info, warn};
use writer::Writer;

/// The feed.
pub struct Feed {
    store: Arc<Store>,
    lookup: Arc<Lookup>,
    queue: Arc<NewsQueue>,
    progress: watch::Receiver<FeedProgress>,
    thread: Mutex<Option<JoinHandle<Writer>>>,
}

/// How far the feed is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedProgress {
    /// Its epoch.
    pub epoch: u64,
    /// The first sequence that is kept.
    pub first: u64,
    /// The sequence of the next change.
    pub next: u64,
    /// Nothing comes any more: the node is stopping.
    pub ended: bool,
    /// Rows cannot be written; the log says why.
    pub broken: bool,
}

/// A place in the feed: behind a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeCursor {
    /// The epoch.
    pub epoch: u64,
    /// Sequence of the last change that is known; 0: none.
    pub sequence: u64,
}

/// Why one cannot go on from a cursor.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FeedError {
    /// It is of another epoch.
    #[error(
        "this node cannot tell what changed since this cursor: it stopped without being able to keep count, or was restored"
    )]
    OtherEpoch,
    /// What comes next is not kept any more.
    #[error(
        "the changes behind this cursor are not kept any more: {first} is the first that is, {asked} was asked for"
    )]
    TooOld {
        /// The first sequence that is kept.
        first: u64,
        /// The one that was asked for.
        asked: u64,
    },
    /// It is ahead of everything.
    #[error("there is no change {0} in this epoch yet")]
    Ahead(u64),
    /// Rows cannot be written.
    #[error("changes cannot be written; the operator's log says why")]
    Broken,
    /// Rows cannot be read.
    #[error("the database could not be read")]
    Storage(#[from] StoreError),
}

impl ChangeCursor {
    /// Its text form.
    #[must_use]
    pub fn encode(&self) -> String {
        format!("{:016x}-{}", self.epoch, self.sequence)
    }

    /// Reads the text form, of which there is one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (epoch, sequence) = text.split_once('-')?;
        let cursor = Self { epoch: u64::from_str_radix(epoch, 16).ok()?, sequence: sequence.parse().ok()? };
        (cursor.encode() == text).then_some(cursor)
    }
}

impl FeedProgress {
    /// Behind everything that was told.
    #[must_use]
    pub const fn end(&self) -> ChangeCursor {
        ChangeCursor { epoch: self.epoch, sequence: self.next.saturating_sub(1) }
    }

    /// In front of everything that is kept.
    #[must_use]
    pub const fn oldest(&self) -> ChangeCursor {
        ChangeCursor { epoch: self.epoch, sequence: self.first.saturating_sub(1) }
    }
}

impl Feed {
    /// Goes on with the feed of the last run, or begins another one. When the logs are replayed and before anything else
    /// changes; reads how every record stands.
    ///
    /// # Errors
    /// The database cannot be read or written, or there is no randomness.
    pub fn begin(lookup: Arc<Lookup>, store: Arc<Store>, keep: u64) -> anyhow::Result<Arc<Self>> {
        let last = store.feed_state().context("state of the feed of changes")?;
        let stopped = last.and_then(|state| Some((state.epoch, state.clean?)));
        let standings = lookup.standings(stopped.map_or(u64::MAX, |(_, clean)| clean.expired_until_ms));
        let goes_on = stopped.filter(|(_, clean)| clean.fingerprint == standings.fingerprint);
        let held = store.changes_held().context("the feed of changes")?;
        let progress = match goes_on {
            Some((epoch, clean)) if held.is_none_or(|(_, last)| last < clean.next) => {
                // From here on a crash ends the epoch.
                store.set_feed_state(&FeedState { epoch, clean: None })?;
                let first = held.map_or(clean.next, |(first, _)| first);
                FeedProgress { epoch, first, next: clean.next, ended: false, broken: false }
            }
            _ => {
                let why = match (last, stopped) {
                    (None, _) => "there was none",
                    (Some(_), None) => "the node did not stop cleanly",
                    _ => "records stand otherwise than when the node stopped",
                };
                new_epoch(&store, why)?
            }
        };
        let queue = Arc::new(NewsQueue::default());
        lookup.tell_news(Arc::clone(&queue));
        let local = lookup.local();
        let decides = policy_digest(&lookup, &local);
        let (told, seen) = watch::channel(progress);
        let mut writer =
            Writer::new(Arc::clone(&lookup), Arc::clone(&store), Arc::clone(&queue), told, local, keep);
        if let Some((_, clean)) = goes_on {
            writer.records(&standings.expired);
            if clean.policy != decides {
                writer.add(vec![marker("restart", None)]);
            }
        }
        let thread = std::thread::Builder::new().name("changes".to_owned()).spawn(move || writer.run())?;
        Ok(Arc::new(Self { store, lookup, queue, progress: seen, thread: Mutex::new(Some(thread)) }))
    }

    /// How far the feed is; changes with every change.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<FeedProgress> {
        self.progress.clone()
    }

    /// Changes that wait to be written.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.records_waiting()
    }

    /// The changes behind a cursor, at most so many, with their sequences. Reads the disk.
    ///
    /// # Errors
    /// Why one cannot go on from there.
    pub fn after(&self, cursor: ChangeCursor, count_max: usize) -> Result<Vec<(u64, ChangeRow)>, FeedError> {
        let FeedProgress { epoch, first, next, broken, .. } = *self.progress.borrow();
        if cursor.epoch != epoch {
            return Err(FeedError::OtherEpoch);
        }
        if broken {
            return Err(FeedError::Broken);
        }
        let asked = cursor.sequence.saturating_add(1);
        if asked > next {
            return Err(FeedError::Ahead(cursor.sequence));
        }
        if asked < first {
            return Err(FeedError::TooOld { first, asked });
        }
        // Never beyond what was told: those behind it may still be on their way.
        let count = usize::try_from(next - asked).unwrap_or(usize::MAX).min(count_max);
        let rows = if count == 0 { Vec::new() } else { self.store.changes(asked, count)? };
        match rows.first() {
            // They were let go while they were read.
            Some((found, _)) if *found > asked => Err(FeedError::TooOld { first: *found, asked }),
            None if count > 0 => Err(FeedError::TooOld { first: next, asked }),
            _ => Ok(rows),
        }
    }

    /// Writes what waits and ends. With `is_clean`, the next start goes on with this feed: nothing may change any more.
    pub fn finish(&self, is_clean: bool) {
        self.queue.end();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Ok(writer)) = thread.map(JoinHandle::join) else { return };
        let FeedProgress { epoch, next, broken, .. } = writer.end();
        if !is_clean || broken {
            return;
        }
        let standings = self.lookup.standings(u64::MAX);
        let clean = CleanStop {
            next,
            fingerprint: standings.fingerprint,
            expired_until_ms: standings.expired_until_ms,
            policy: policy_digest(&self.lookup, &self.lookup.local()),
        };
        if let Err(error) = self.store.set_feed_state(&FeedState { epoch, clean: Some(clean) }) {
            warn!(%error, "the feed of changes could not be closed; the next start begins another one");
        }
    }
}

/// Begins an epoch without rows.
fn new_epoch(store: &Store, why: &'static str) -> anyhow::Result<FeedProgress> {
    let mut epoch = [0; 8];
    getrandom::fill(&mut epoch).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    let epoch = u64::from_be_bytes(epoch);
    store.new_feed(epoch).context("the feed of changes")?;
    info!(why, "another feed of changes begins: whoever follows it is told to take a snapshot");
    Ok(FeedProgress { epoch, first: 1, next: 1, ended: false, broken: false })
}

/// Names everything that decides outcomes beside the records.
fn policy_digest(lookup: &Lookup, local: &Local) -> [u8; 32] {
    let members = format!("{:?}", local.policy.members());
    let floods = lookup.floods().into_iter().map(|flood| format!("{} {}", flood.id, flood.decision.name()));
    sha256(&[
        local.name.as_bytes(),
        b"\n",
        members.as_bytes(),
        floods.collect::<Vec<_>>().join("\n").as_bytes(),
    ])
}
