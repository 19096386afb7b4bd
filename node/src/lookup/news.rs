//! What changed, on its way from where it is applied to whoever writes the feed of changes.
//!
//! Putting something here never waits: what would make the queue longer than its bound is dropped, and the taker is told
//! that something was. What stands in the queue is in memory only; the signals of a record that is being sealed go through
//! it and no further.

use super::judging::equals;
use super::local::Local;
use super::read;
use super::rows::Rows;
use hashpact_core::policy::{Decision, Flood};
use hashpact_core::view::{KnownRecord, Standing, Stated};
use hashpact_protocol::record::Signal;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Changes of records that may wait: more than a node that follows the others sees in a second.
pub(crate) const RECORDS_QUEUED_MAX: usize = 65_536;

/// One thing that changed.
pub enum FeedNews {
    /// Records.
    Records(Vec<RecordNews>),
    /// What the operator decided, or what the roster says about members.
    Local(Box<Local>),
    /// A flood of contributions was found, or decided about otherwise than before.
    Flood {
        /// As it is now.
        flood: Flood,
        /// What was decided before; none if it was not known.
        before: Option<Decision>,
    },
    /// Other withdrawals than before do not count, because they are part of a flood.
    Withheld {
        /// Numbers of records that go on matching.
        added: Vec<u64>,
        /// Numbers of records that do not any more.
        removed: Vec<u64>,
    },
}

/// A change of how one record stands.
#[derive(Debug)]
pub struct RecordNews {
    /// Its number.
    pub number: u64,
    /// The record as it stands now.
    pub known: KnownRecord,
    /// How it stood before; none if it was not known.
    pub before: Option<Standing>,
    /// What it stated, if nobody can know that any more.
    pub stated: Option<Box<Stated>>,
}

impl RecordNews {
    /// The news of a change, if it is any.
    pub(super) fn of(
        number: u64,
        before: Option<Standing>,
        known: &KnownRecord,
        stated: Option<Box<Stated>>,
    ) -> Option<Self> {
        let is_news = before.as_ref() != Some(&known.standing);
        is_news.then(|| Self { number, known: known.clone(), before, stated })
    }
}

/// The queue.
#[derive(Default)]
pub struct NewsQueue {
    state: Mutex<Waiting>,
    arrived: Condvar,
}

#[derive(Default)]
struct Waiting {
    news: VecDeque<FeedNews>,
    records: usize,
    /// Whether anything was dropped that the taker was not told of.
    dropped: bool,
    ended: bool,
}

/// What was taken.
pub enum Taken {
    /// The next thing.
    News(FeedNews),
    /// Everything before was taken, and something after it was dropped.
    Dropped,
    /// Everything was taken, and nothing comes any more.
    Ended,
}

impl NewsQueue {
    /// Puts changes of records, in their order.
    pub(super) fn put_records(&self, records: Vec<RecordNews>) {
        if records.is_empty() {
            return;
        }
        let mut state = self.state();
        // One dropped change makes those behind it tell a wrong story.
        if state.dropped || (state.records > 0 && state.records + records.len() > RECORDS_QUEUED_MAX) {
            state.dropped = true;
        } else {
            state.records += records.len();
            state.news.push_back(FeedNews::Records(records));
        }
        self.arrived.notify_one();
    }

    /// Puts anything else: what an operator does is never dropped.
    pub(super) fn put(&self, news: FeedNews) {
        self.state().news.push_back(news);
        self.arrived.notify_one();
    }

    /// Takes the next thing; waits for it.
    #[must_use]
    pub fn take(&self) -> Taken {
        let mut state = self.state();
        loop {
            if let Some(news) = state.news.pop_front() {
                if let FeedNews::Records(records) = &news {
                    state.records -= records.len();
                }
                return Taken::News(news);
            }
            if std::mem::take(&mut state.dropped) {
                return Taken::Dropped;
            }
            if state.ended {
                return Taken::Ended;
            }
            state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Nothing comes any more.
    pub fn end(&self) {
        self.state().ended = true;
        self.arrived.notify_all();
    }

    /// Changes of records that wait.
    #[must_use]
    pub fn records_waiting(&self) -> usize {
        self.state().records
    }

    fn state(&self) -> MutexGuard<'_, Waiting> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl super::Lookup {
    /// Tells of changes from now on. Once, when the logs are replayed.
    pub fn tell_news(&self, queue: Arc<NewsQueue>) {
        let _ = self.news.set(queue);
    }

    /// How the records stand that carry a signal, for [`Self::tell_ruled`]; nothing if nobody is told.
    pub(super) fn standings_with(&self, signal: &Signal) -> Vec<(u64, Standing)> {
        if self.news.get().is_none() {
            return Vec::new();
        }
        let numbers = equals(&self.source().index, std::slice::from_ref(signal));
        let rows = read(&self.rows);
        let standing = |number: u64| Some((number, rows.view(&rows.get(number)?).known.standing));
        numbers.into_iter().filter_map(standing).collect()
    }

    /// Tells of records that stand otherwise than before.
    pub(super) fn tell_ruled(&self, rows: &Rows, before: Vec<(u64, Standing)>) {
        let news = |(number, before): (u64, Standing)| {
            let known = rows.view(&rows.get(number)?).known;
            RecordNews::of(number, Some(before), &known, None)
        };
        if let Some(queue) = self.news.get() {
            queue.put_records(before.into_iter().filter_map(news).collect());
        }
    }

    pub(super) fn tell(&self, news: impl IntoIterator<Item = FeedNews>) {
        if let Some(queue) = self.news.get() {
            news.into_iter().for_each(|news| queue.put(news));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hashpact_core::view::Author;
    use hashpact_protocol::digest::{LogId, RecordId};
    use hashpact_protocol::roster::MemberId;

    fn records(count: usize) -> Vec<RecordNews> {
        let author = Author::new(MemberId::parse("acme").expect("valid"), 1, LogId::new([1; 32]));
        let known =
            KnownRecord { id: RecordId::new([2; 32]), author, index: 0, standing: Standing::UNDISPUTED };
        (0..count as u64)
            .map(|number| RecordNews::of(number, None, &known, None).expect("it was not known"))
            .collect()
    }

    fn taken(queue: &NewsQueue) -> usize {
        match queue.take() {
            Taken::News(FeedNews::Records(records)) => records.len(),
            _ => panic!("records were expected"),
        }
    }

    #[test]
    fn what_is_too_much_is_dropped_and_told_once_what_came_before_was_taken() {
        let queue = NewsQueue::default();
        queue.put_records(records(RECORDS_QUEUED_MAX));
        queue.put_records(records(1));
        queue.put_records(records(1));
        queue.put(FeedNews::Withheld { added: vec![1], removed: Vec::new() });
        assert_eq!(taken(&queue), RECORDS_QUEUED_MAX);
        queue.put_records(records(1));
        assert!(matches!(queue.take(), Taken::News(FeedNews::Withheld { .. })));
        assert!(matches!(queue.take(), Taken::Dropped), "also what came before this was told");
        queue.put_records(records(3));
        queue.end();
        assert_eq!(taken(&queue), 3);
        assert!(matches!(queue.take(), Taken::Ended));
    }

    #[test]
    fn one_change_may_be_longer_than_the_bound_and_none_is_no_news() {
        let queue = NewsQueue::default();
        queue.put_records(records(RECORDS_QUEUED_MAX + 1));
        assert_eq!(taken(&queue), RECORDS_QUEUED_MAX + 1);
        let known = &records(1)[0].known;
        assert!(RecordNews::of(0, Some(Standing::UNDISPUTED), known, None).is_none());
    }
}
