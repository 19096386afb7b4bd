//! Applying changes of the view: to the rows, then to the index, then to whoever else must know.

use super::following::Follows;
use super::local::FloodState;
use super::news::RecordNews;
use super::proof::index_changes;
use super::restored::Restored;
use super::rows::{Put, Rows};
use super::{CHANGES_PER_LOCK, Lookup, Source, write};
use hashpact_core::effect::{IndexChange, ViewChange};
use hashpact_core::view::KnownRecord;
use hashpact_index::MatchIndex;
use hashpact_protocol::record::Signal;
use std::borrow::Cow;

/// What changes that the rows have taken mean for others.
#[derive(Default)]
pub(super) struct Consequences<'c> {
    /// For the index.
    told: Vec<(u64, IndexChange, Cow<'c, [Signal]>)>,
    /// For records that state the same signals.
    said: Vec<Follows>,
    /// For the feed, if there is one.
    news: Option<Vec<RecordNews>>,
}

impl<'c> Consequences<'c> {
    /// Has the rows take a change.
    pub(super) fn take(
        &mut self,
        change: &'c ViewChange,
        (rows, floods): (&mut Rows, &mut FloodState),
        restored: Option<&Restored>,
        now_ms: u64,
    ) {
        let Put { number, before, follows } = rows.put(change);
        if !follows.is_empty() {
            let author = change.record.author.member.clone();
            self.said.push(Follows { number, author, signals: follows });
        }
        floods.note(number, change, now_ms);
        let means = restored.map_or(change.index, |restored| restored.index_change(change));
        let is_sealed = change.record.is_blank() && change.stated.is_none();
        if let Some(news) = &mut self.news {
            // Of what is sealed now, only this knows what it stated.
            let stated = || rows.get(number).map(|record| Box::new(rows.view(&record).stated));
            let stated = if is_sealed { stated() } else { None };
            let standing = rows.ruled(number, change.record.standing.clone());
            let known = KnownRecord { standing, ..change.record.clone() };
            news.extend(RecordNews::of(number, before, &known, stated));
        }
        if is_sealed {
            floods.blanked(number);
        }
        if means != IndexChange::Keep {
            let signals = match &change.stated {
                Some(stated) => Cow::Borrowed(stated.content.signals.as_slice()),
                None => rows.get(number).map_or_else(Cow::default, |record| record.signals().collect()),
            };
            self.told.push((number, means, signals));
        }
        if is_sealed {
            rows.blank(number);
        }
    }
}

impl Lookup {
    /// Applies view changes in order. Rows come before index entries, so that whatever the index
    /// names has a row; a row that no longer stands hides its index entries until they are gone, too.
    pub fn apply(&self, changes: &[ViewChange]) {
        let Source { index, restored, .. } = self.source();
        let news = self.news.get().map(|_| Vec::with_capacity(changes.len()));
        let mut consequences =
            Consequences { told: Vec::with_capacity(changes.len()), news, ..Consequences::default() };
        let now_ms = crate::driver::now_ms();
        for some in changes.chunks(CHANGES_PER_LOCK) {
            let mut rows = write(&self.rows);
            let mut floods = write(&self.floods);
            for change in some {
                consequences.take(change, (&mut rows, &mut floods), restored.as_deref(), now_ms);
            }
        }
        self.spread(&index, changes, consequences);
    }

    /// Tells everybody but the rows.
    pub(super) fn spread(
        &self,
        index: &MatchIndex,
        changes: &[ViewChange],
        Consequences { told, said, news }: Consequences<'_>,
    ) {
        // One call for all: the writer's lock is taken once.
        index.apply(told.iter().flat_map(|(number, means, signals)| index_changes(signals, *number, *means)));
        if self.models.apply(changes) {
            write(&self.rows).set_conflicting(self.models.conflicting().into_keys());
        }
        let following = self.follow(index, said);
        if let (Some(queue), Some(mut news)) = (self.news.get(), news) {
            news.extend(following);
            queue.put_records(news);
        }
        self.find_floods();
    }
}
