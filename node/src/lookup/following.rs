//! Opinions that follow signals to other records of the same author: which records these are, the index knows.

use super::judging::equals;
use super::news::RecordNews;
use super::{CHANGES_PER_LOCK, Lookup, write};
use hashpact_index::MatchIndex;
use hashpact_protocol::record::Signal;
use hashpact_protocol::roster::MemberId;

/// A record about which something else is said than before.
pub(super) struct Follows {
    pub(super) number: u64,
    pub(super) author: MemberId,
    pub(super) signals: Vec<Signal>,
}

impl Lookup {
    /// Judges records anew that state the same signals, and tells of those that stand otherwise. The index holds every
    /// record that stands by now.
    pub(super) fn follow(&self, index: &MatchIndex, said: Vec<Follows>) -> Vec<RecordNews> {
        let mut news = Vec::new();
        for Follows { number, author, signals } in said {
            // Of one value there may be very many records.
            for some in equals(index, &signals).chunks(CHANGES_PER_LOCK) {
                let mut rows = write(&self.rows);
                for other in some.iter().copied().filter(|other| *other != number) {
                    if rows.get(other).is_none_or(|record| record.author.member != author) {
                        continue;
                    }
                    let before = rows.judged(other);
                    rows.judge(other);
                    let known = rows.get(other).map(|record| rows.view(&record).known);
                    news.extend(known.and_then(|known| RecordNews::of(other, before, &known, None)));
                }
            }
        }
        news
    }
}
